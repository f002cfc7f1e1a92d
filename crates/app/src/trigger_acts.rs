//! What a person does about triggers besides making them: answering, halting all, and trying one on what was.

use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use pilothouse_cluster::{Error as ClusterError, Name, kinds};
use pilothouse_triggers::{
    backtest,
    engine::kind_of as object_kind,
    litmus::export,
    spec::WorkloadKind,
    surroundings::{ANSWER_PREFIX, HALT_LABEL},
};
use serde_json::{Value, json};

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, Backtest, BacktestEntry, LabelEntry, LitmusExport, LitmusLoss, Topic, TriggerForm,
    },
    journal::{Begin, End, Intent},
    runs::only_by_hand,
    trigger_engine::identity,
    trigger_forms::{kind_of, spec_of},
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
        let url = Some(PAGE.to_owned());
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
        let object = json!({
            "apiVersion": kinds::CONFIG_MAP.api_version(),
            "kind": kinds::CONFIG_MAP.kind,
            "metadata": { "name": HALT, "namespace": namespace, "labels": { HALT_LABEL: "true" } },
            "data": { "reason": reason },
        });
        let object = serde_json::from_value(object).map_err(|error| AppError::internal(error.to_string()))?;
        match live.cluster.in_time("the halt", api.create(&PostParams::default(), &object)).await {
            Ok(_) | Err(ClusterError::Conflict { exists: true, .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What a trigger would have done over the revisions of a workload that the cluster still holds.
    pub async fn backtest_trigger(&self, form: TriggerForm, workload: String) -> Result<Backtest> {
        let live = self.live()?;
        let spec = spec_of(&form)?;
        let kind = kind_of(&form.target.kind)?;
        Name::parse("namespace", &form.target.namespace)?;
        let namespace = form.target.namespace.as_str();
        let cluster = &live.cluster;
        let api = cluster.api(&object_kind(kind), namespace);
        let object = cluster.in_time("the workload", api.get(&workload)).await?;
        let kept = match kind {
            WorkloadKind::Deployment | WorkloadKind::Rollout => kinds::REPLICA_SET,
            WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => kinds::CONTROLLER_REVISION,
        };
        let kept = cluster.api(&kept, namespace);
        let kept = cluster.in_time("its revisions", kept.list(&ListParams::default())).await?;
        let value = |object| serde_json::to_value(object).map_err(|error| AppError::internal(error.to_string()));
        let object: Value = value(&object)?;
        let kept = kept.items.iter().map(value).collect::<Result<Vec<_>>>()?;
        crate::blocking(move || {
            let history = backtest::history(kind, &object, &kept);
            let found = backtest::backtest(&spec, &object, &history);
            let mut entries: Vec<BacktestEntry> = found.into_iter().map(entry).collect();
            entries.reverse();
            Ok(Backtest { entries, assumptions: backtest::assumptions(&spec) })
        })
        .await
    }

    /// A trigger as Litmus' own tracker would have it, and what that tracker does not honour.
    pub async fn export_trigger(
        &self,
        form: TriggerForm,
        namespace: String,
        experiment: String,
    ) -> Result<LitmusExport> {
        let spec = spec_of(&form)?;
        let written = export::export(&form.name, &spec, &namespace, &experiment);
        let yaml = |policy: &Value| serde_yaml::to_string(policy).map_err(|e| AppError::internal(e.to_string()));
        Ok(LitmusExport {
            policy: written.policy.as_ref().map(yaml).transpose()?,
            annotations: written.annotations.into_iter().map(|(key, value)| LabelEntry { key, value }).collect(),
            unhonoured: written
                .unhonoured
                .into_iter()
                .map(|one| LitmusLoss { field: one.field, why: one.why })
                .collect(),
        })
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
