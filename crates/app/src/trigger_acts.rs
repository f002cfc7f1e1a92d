//! What a person does about triggers besides making them: answering, halting all, and trying one on what was.

use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use pilothouse_cluster::{Error as ClusterError, Name, kinds};
use pilothouse_triggers::{
    backtest,
    surroundings::{ANSWER_PREFIX, HALT_LABEL},
};
use serde_json::json;

use crate::{
    App, Result,
    contract::{ActivityKind, AppError, Backtest, BacktestEntry, Topic, TriggerForm},
    journal::{Begin, End, Intent},
    runs::only_by_hand,
    trigger_desk::page,
    trigger_engine::identity,
    trigger_forms::spec_of,
    triggers::{decision_word, pairs},
};

/// The ConfigMap that halts the triggers of a namespace.
const HALT: &str = "pilothouse-halt-triggers";
/// The page about triggers.
const PAGE: &str = "/triggers";

impl App {
    /// Answers for a run that a trigger asks about or offers. A yes is for this run alone.
    pub async fn answer_trigger(&self, namespace: String, name: String, run: String, yes: bool) -> Result<()> {
        let live = self.chaos_live()?;
        if yes {
            only_by_hand(live.cluster.is_production(), live.name())?;
        }
        Name::parse("run", &run)?;
        let word = if yes { "yes" } else { "no" };
        let begin = Begin {
            kind: ActivityKind::Trigger,
            words: format!("Say {word} to {run} of the trigger {name}"),
            context: Some(live.name().to_owned()),
            object: Some(format!("EventTrigger/{namespace}/{name}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let api = live.cluster.api(&kinds::EVENT_TRIGGER, &namespace);
        let key = format!("{ANSWER_PREFIX}{run}");
        let patch = json!({ "metadata": { "annotations": { key: format!("{word} {}", identity()) } } });
        let parameters = PatchParams::default();
        let outcome = live.cluster.in_time("the trigger", api.patch(&name, &parameters, &Patch::Merge(&patch))).await;
        let url = Some(page(&namespace, &name));
        entry.close_with(outcome.map_err(AppError::from), |_| End { url, ..End::default() }).await?;
        self.changes.tell(Topic::Triggers);
        Ok(())
    }

    /// Halts every trigger of a namespace and stops the runs that they started, or lifts the halt.
    pub async fn halt_triggers(&self, namespace: String, reason: Option<String>) -> Result<()> {
        let live = self.chaos_live()?;
        if reason.is_none() {
            only_by_hand(live.cluster.is_production(), live.name())?;
        }
        let words = match &reason {
            Some(_) => format!("Halt all triggers in {namespace} and stop their runs"),
            None => format!("Let the triggers in {namespace} go on"),
        };
        let begin = Begin {
            kind: ActivityKind::Trigger,
            words,
            context: Some(live.name().to_owned()),
            object: Some(format!("ConfigMap/{namespace}/{HALT}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = self.set_halt(&namespace, reason).await;
        let url = Some(PAGE.to_owned());
        entry.close_with(outcome, |()| End { url, ..End::default() }).await?;
        self.changes.tell(Topic::Triggers);
        Ok(())
    }

    async fn set_halt(&self, namespace: &str, reason: Option<String>) -> Result<()> {
        let live = self.chaos_live()?;
        let api = live.cluster.api(&kinds::CONFIG_MAP, namespace);
        let Some(reason) = reason else {
            // Whoever made it: every mark of this kind halts.
            let marks = ListParams::default().labels(HALT_LABEL);
            let marks = live.cluster.in_time("the halt", api.list(&marks)).await?;
            for name in marks.items.into_iter().filter_map(|one| one.metadata.name) {
                match live.cluster.in_time("the halt", api.delete(&name, &DeleteParams::default())).await {
                    Ok(_) | Err(ClusterError::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            return Ok(());
        };
        let reason: String = reason.chars().take(200).collect();
        let who = identity();
        let who = who.rsplit_once('-').map_or(who.as_str(), |(user, _)| user);
        let object = json!({
            "apiVersion": kinds::CONFIG_MAP.api_version(),
            "kind": kinds::CONFIG_MAP.kind,
            "metadata": { "name": HALT, "namespace": namespace, "labels": { HALT_LABEL: "true" } },
            "data": { "reason": reason, "by": who },
        });
        let object = serde_json::from_value(object).map_err(|error| AppError::internal(error.to_string()))?;
        match live.cluster.in_time("the halt", api.create(&PostParams::default(), &object)).await {
            Ok(_) => return Ok(()),
            Err(ClusterError::Conflict { exists: true, .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let there = live.cluster.in_time("the halt", api.get(HALT)).await?;
        if there.labels().contains_key(HALT_LABEL) {
            // Somebody else was faster, and the reason is theirs.
            return Ok(());
        }
        // Without its label the mark halts nothing, whatever it is called.
        let mark = json!({
            "metadata": { "labels": { HALT_LABEL: "true" }, "resourceVersion": there.metadata.resource_version },
            "data": { "reason": reason, "by": who },
        });
        let (parameters, mark) = (PatchParams::default(), Patch::Merge(mark));
        live.cluster.in_time("the halt", api.patch(HALT, &parameters, &mark)).await?;
        Ok(())
    }

    /// What a trigger would have done over the revisions of a workload that the cluster still holds.
    pub async fn backtest_trigger(&self, form: TriggerForm, workload: String) -> Result<Backtest> {
        let live = self.live()?;
        let spec = spec_of(&form)?;
        let kind = spec.target.kind;
        let (object, kept) = self.workload_and_past(&live, &spec.target.namespace, kind, &workload).await?;
        crate::blocking(move || {
            let history = backtest::history(kind, &object, &kept);
            let found = backtest::backtest(&spec, &object, &history);
            let mut entries: Vec<BacktestEntry> = found.into_iter().map(entry).collect();
            entries.reverse();
            Ok(Backtest { entries, assumptions: backtest::assumptions(&spec) })
        })
        .await
    }
}

fn entry(one: backtest::Backtested) -> BacktestEntry {
    BacktestEntry {
        number: one.number.to_string(),
        time: one.time.to_string(),
        exact: one.exact,
        old_images: pairs(&one.old_images),
        new_images: pairs(&one.new_images),
        decision: one.outcome.map(decision_word),
        reason: one.reason,
    }
}
