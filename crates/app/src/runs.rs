//! Chaos runs.

use std::collections::BTreeMap;

use pilothouse_chaos::{
    Error as ChaosError,
    blast::Aim,
    engine::Target,
    instantiate::RunLabels,
    launch::{self, Cause, Next, Prepared, Started},
    names::{PROJECT_LABEL, RUN_LABEL, label_value, run_name},
    run::{FaultRun, Phase, Run, run_view},
    stop,
};
use pilothouse_cluster::{Kind, kinds};
use serde_json::Value;

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, ChaosTarget, ErrorCode, FaultView, LastVerdict, ProbeView, RunEntry, RunPreview,
        RunSeen, RunStarted, RunStep, RunTarget, RunView, Topic, Verdict,
    },
    journal::{Begin, End, Intent},
    session::Live,
    values::small,
    workflows::verdict_view,
};

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "Queued",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
        Phase::Error => "Error",
        Phase::Stopped => "Stopped",
    }
}

fn entry(run: &Run) -> RunEntry {
    RunEntry {
        namespace: run.namespace.clone(),
        name: run.name.clone(),
        project: run.project.clone(),
        workflow: run.workflow.clone(),
        trigger: run.trigger.clone(),
        phase: phase_word(run.phase).to_owned(),
        running: !run.phase.ended(),
        verdict: match run.verdict {
            Some(found) => verdict_view(found),
            None if run.phase.ended() => Verdict::NotAvailable,
            None => Verdict::Awaited,
        },
        score: run.score,
        started_at: run.started_at.clone().or_else(|| run.created_at.clone()),
        finished_at: run.finished_at.clone(),
    }
}

fn fault(fault: &FaultRun) -> FaultView {
    FaultView {
        name: fault.name.clone(),
        engine: fault.engine.clone().unwrap_or_default(),
        phase: fault.engine_status.clone().unwrap_or_else(|| "not started".to_owned()),
        verdict: verdict_view(fault.verdict),
        probe_success_percentage: fault.probe_success_percentage.map(f64::from),
        weight: fault.weight,
        why: fault.why.clone(),
        probes: fault
            .probes
            .iter()
            .map(|p| ProbeView {
                name: p.name.clone(),
                kind: p.probe_type.clone(),
                mode: p.mode.clone(),
                verdict: p.verdict.clone(),
                description: p.description.clone(),
            })
            .collect(),
    }
}

/// How the score came about: each fault's share of probes that held, by its weight.
fn score_words(run: &Run) -> Option<String> {
    let score = run.score?;
    let parts: Vec<String> = run
        .faults
        .iter()
        .map(|f| format!("{} {} % × {}", f.name, f.probe_success_percentage.unwrap_or(0), f.weight))
        .collect();
    let weights: u32 = run.faults.iter().map(|f| f.weight).sum();
    Some(format!("({}) ÷ {weights} = {score}", parts.join(" + ")))
}

/// Whether a fault's target is one workload, by name or by the labels of its pods.
fn aims_at(target: &Target, namespace: &str, workload: &str, pod_labels: &BTreeMap<String, String>) -> bool {
    if target.namespace != namespace {
        return false;
    }
    if !target.names.is_empty() {
        return target.names.iter().any(|name| name == workload);
    }
    let Some(selector) = &target.labels else { return false };
    !selector.is_empty()
        && selector.split(',').all(|pair| {
            pair.split_once('=').is_some_and(|(k, v)| pod_labels.get(k.trim()).is_some_and(|found| found == v.trim()))
        })
}

fn of_kind(live: &Live, kind: &Kind) -> BTreeMap<String, Vec<Value>> {
    let mut by_namespace: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for object in live.list(kind) {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let Ok(Value::Object(mut map)) = serde_json::to_value(&*object) else { continue };
        // Objects of a list come without their kind.
        map.insert("kind".to_owned(), Value::String(kind.kind.to_owned()));
        by_namespace.entry(namespace).or_default().push(Value::Object(map));
    }
    by_namespace
}

impl App {
    /// The runs that the app or its triggers started, from the live picture, newest first.
    pub(crate) fn known_runs(&self, live: &Live, project: Option<&str>) -> Vec<Run> {
        let (workflows, engines) = (of_kind(live, &kinds::WORKFLOW), of_kind(live, &kinds::CHAOS_ENGINE));
        let results = of_kind(live, &kinds::CHAOS_RESULT);
        let nothing = Vec::new();
        let label = |object: &Value, key: &str| {
            object.pointer("/metadata/labels").and_then(|l| l.get(key)).and_then(Value::as_str).map(str::to_owned)
        };
        let mut runs = Vec::new();
        for (namespace, object) in
            workflows.iter().chain(&engines).flat_map(|(ns, all)| all.iter().map(move |o| (ns, o)))
        {
            let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            if label(object, RUN_LABEL) != Some(label_value(name)) {
                continue;
            }
            if project.is_some_and(|id| label(object, PROJECT_LABEL) != Some(label_value(id))) {
                continue;
            }
            let engines = engines.get(namespace).unwrap_or(&nothing);
            runs.push(run_view(object, engines, results.get(namespace).unwrap_or(&nothing)));
        }
        runs.sort_by(|a, b| (&b.created_at, &b.name).cmp(&(&a.created_at, &a.name)));
        runs
    }

    /// The verdict of the last run against a workload.
    pub(crate) fn last_verdict(
        &self,
        live: &Live,
        runs: &[Run],
        namespace: &str,
        workload: &str,
    ) -> Option<LastVerdict> {
        if runs.is_empty() {
            return None;
        }
        let index = live.index();
        let object = index
            .get(&kinds::DEPLOYMENT, namespace, workload)
            .or_else(|| index.get(&kinds::STATEFUL_SET, namespace, workload));
        let labels: BTreeMap<String, String> = object
            .and_then(|o| serde_json::from_value(o.data.pointer("/spec/template/metadata/labels")?.clone()).ok())
            .unwrap_or_default();
        let run = runs.iter().find(|run| {
            run.phase.ended()
                && run.faults.iter().flat_map(|f| &f.targets).any(|t| aims_at(t, namespace, workload, &labels))
        })?;
        let view = entry(run);
        Some(LastVerdict {
            verdict: view.verdict,
            score: view.score,
            image: self.image_of_run(live, &run.name),
            of_running: None,
            started_at: view.started_at,
            namespace: view.namespace,
            run: view.name,
            finished_at: view.finished_at,
        })
    }

    fn run_labels(project: &str, workflow: &str) -> RunLabels {
        RunLabels { project: project.to_owned(), workflow: workflow.to_owned(), ..RunLabels::default() }
    }

    /// What an aim finds in the cluster now.
    fn run_target(&self, live: &Live, aim: &Aim) -> RunTarget {
        let target = &aim.target;
        let kind = match target.kind.as_str() {
            "statefulset" => "StatefulSet",
            "deployment" => "Deployment",
            other => other,
        };
        let name = match (&target.labels, target.names.is_empty()) {
            (_, false) => target.names.join(", "),
            (Some(labels), true) => labels.clone(),
            (None, true) => String::new(),
        };
        let pods = small(aim.pods.len());
        let index = live.index();
        let workload = target.names.first().and_then(|name| match kind {
            "StatefulSet" => index.get(&kinds::STATEFUL_SET, &target.namespace, name),
            _ => index.get(&kinds::DEPLOYMENT, &target.namespace, name),
        });
        let number = |pointer: &str| {
            let found = workload.as_ref()?.data.pointer(pointer)?.as_u64()?;
            u32::try_from(found).ok()
        };
        RunTarget {
            target: ChaosTarget { kind: kind.to_owned(), namespace: target.namespace.clone(), name },
            found: pods > 0 || workload.is_some(),
            ready: number("/status/readyReplicas").unwrap_or(if workload.is_some() { 0 } else { pods }),
            pods: number("/spec/replicas").unwrap_or(pods),
        }
    }

    /// The exact object a run would create, and what it is aimed at.
    pub async fn preview_run(&self, project: String, name: String) -> Result<RunPreview> {
        let live = self.chaos_live()?;
        let project = self.project(&live, &project).await?;
        let labels = Self::run_labels(&project.id, &name);
        let suffix: String = (0..8)
            .map(|_| fastrand::choice(b"bcdfghjklmnpqrstvwxz2456789"))
            .map(|c| c.map_or('x', |c| char::from(*c)))
            .collect();
        let run = run_name(&name, &suffix);
        let preview = launch::preview(&live.cluster, &project.namespace, &run, &labels).await?;
        Ok(RunPreview {
            run,
            digest: preview.digest,
            context: live.name().to_owned(),
            yaml: serde_yaml::to_string(&preview.object).map_err(|e| AppError::internal(e.to_string()))?,
            targets: preview.aims.iter().map(|aim| self.run_target(&live, aim)).collect(),
            namespace: preview.namespace,
            service_account: preview.service_account,
            warnings: preview.warnings,
            confirm: live.cluster.is_production().then_some(name),
        })
    }

    /// Starts the run that a preview showed. Asked again after a lost answer, it answers the same run.
    ///
    /// # Errors
    /// `chaos.previewStale` when the context or the object is not the one that was shown; nothing was started then.
    pub async fn run_workflow(
        &self,
        project: String,
        name: String,
        seen: RunSeen,
        confirm: Option<String>,
    ) -> Result<RunStarted> {
        let live = self.chaos_live()?;
        if live.name() != seen.context {
            let message = format!("You saw this run on {}, and are connected to {} now", seen.context, live.name());
            return Err(AppError::new(ErrorCode::ChaosPreviewStale, message).with_hint("look again, then start it"));
        }
        let project = self.project(&live, &project).await?;
        if live.cluster.is_production() && confirm.as_deref() != Some(name.as_str()) {
            return Err(AppError::new(
                ErrorCode::ConfirmationNeeded,
                format!("{} is marked as production", live.name()),
            )
            .with_hint(format!("type {name} to run it here")));
        }
        let labels = Self::run_labels(&project.id, &name);
        let next = launch::as_seen(&live.cluster, &project.namespace, &seen.run, &labels, &seen.digest).await?;
        let started = match next {
            Next::There(started) => started,
            Next::Start(prepared) => {
                let words = format!("Run the chaos workflow {name} of {}", project.id);
                self.start_noted(&live, &prepared, words).await??
            }
        };
        self.changes.tell(Topic::Runs);
        Ok(RunStarted { namespace: started.namespace, run: started.name })
    }

    /// Starts a run with an entry of the timeline around it. The entry names the very object, wherever it is and of
    /// whatever kind, so that after a kill it can be looked for.
    async fn start_noted(
        &self,
        live: &Live,
        prepared: &Prepared,
        words: String,
    ) -> Result<std::result::Result<Started, ChaosError>> {
        let Prepared { kind, namespace, name, .. } = prepared;
        let begin = Begin {
            kind: ActivityKind::Run,
            words,
            context: Some(live.name().to_owned()),
            object: Some(format!("{kind}/{namespace}/{name}")),
            intent: Intent::Object {
                api: prepared.api_version(),
                kind: kind.clone(),
                namespace: namespace.clone(),
                name: name.clone(),
            },
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = launch::start(&live.cluster, prepared).await;
        let noted = match &outcome {
            Ok(_) => Ok(()),
            Err(error) => Err(AppError::new(ErrorCode::Chaos, error.to_string())),
        };
        let url = Some(format!("/chaos/runs/{namespace}/{name}"));
        let _: Result<()> = entry.close_with(noted, |()| End { url, ..End::default() }).await;
        Ok(outcome)
    }

    /// Starts a run that nobody asks for at this moment, unless it was started before.
    ///
    /// # Errors
    /// `app.storage` outside, as nothing is started that cannot be noted; why the run does not start inside.
    pub(crate) async fn start_automatic(
        &self,
        live: &Live,
        namespace: &str,
        run: &str,
        labels: &RunLabels,
        cause: Cause<'_>,
        words: String,
    ) -> Result<std::result::Result<Started, ChaosError>> {
        let prepared = match launch::automatic(&live.cluster, namespace, run, labels, cause).await {
            Ok(Next::There(started)) => return Ok(Ok(started)),
            Ok(Next::Start(prepared)) => prepared,
            Err(error) => return Ok(Err(error)),
        };
        let outcome = self.start_noted(live, &prepared, words).await;
        self.changes.tell(Topic::Runs);
        outcome
    }

    /// Stops a run.
    pub async fn stop_run(&self, namespace: String, name: String) -> Result<()> {
        let live = self.live()?;
        let begin = Begin {
            kind: ActivityKind::Run,
            words: format!("Stop the run {name}"),
            context: Some(live.name().to_owned()),
            object: Some(format!("Run/{namespace}/{name}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = stop::stop(&live.cluster, &namespace, &name).await.map_err(AppError::from);
        let words = format!("Stop the run {name}: it had ended already");
        let url = Some(format!("/chaos/runs/{namespace}/{name}"));
        entry.close_with(outcome, |stopped| End { words: (!stopped).then_some(words), url, ..End::default() }).await?;
        self.changes.tell(Topic::Runs);
        Ok(())
    }

    /// The runs, newest first.
    pub async fn list_runs(&self, project: Option<String>) -> Result<Vec<RunEntry>> {
        let live = self.live()?;
        Ok(self.known_runs(&live, project.as_deref()).iter().map(entry).collect())
    }

    /// A run in full.
    pub async fn run(&self, namespace: String, name: String) -> Result<RunView> {
        let live = self.live()?;
        let run = launch::read_run(&live.cluster, &namespace, &name).await?;
        let steps = run.steps.iter().map(|s| RunStep {
            name: s.name.clone(),
            phase: s.phase.clone(),
            message: s.message.clone(),
            started_at: s.started_at.clone(),
            finished_at: s.finished_at.clone(),
        });
        Ok(RunView {
            entry: entry(&run),
            steps: steps.collect(),
            faults: run.faults.iter().map(fault).collect(),
            why: run.why.clone(),
            score_words: score_words(&run),
            warnings: run.warnings.clone(),
        })
    }
}

/// Refuses what would start chaos by itself on a production context.
///
/// # Errors
/// `app.blocked`.
pub(crate) fn only_by_hand(production: bool, context: &str) -> Result<()> {
    if !production {
        return Ok(());
    }
    let message = format!("{context} is marked as production, where chaos starts only by hand");
    Err(AppError::blocked(message).with_hint("open the workflow, choose Run, and type its name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chaos_starts_by_itself_only_outside_production() {
        assert!(only_by_hand(false, "dev").is_ok());
        let error = only_by_hand(true, "eu-prod").unwrap_err();
        assert_eq!(error.code, ErrorCode::Blocked);
        assert!(error.message.contains("eu-prod") && error.message.contains("by hand"), "{error:?}");
        assert!(error.hint.is_some_and(|hint| hint.contains("type its name")));
    }

    fn target(names: &[&str], labels: Option<&str>) -> Target {
        Target {
            kind: "deployment".into(),
            namespace: "shop".into(),
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            labels: labels.map(str::to_owned),
        }
    }

    #[test]
    fn a_verdict_belongs_to_what_was_aimed_at() {
        let labels = BTreeMap::from([("app".to_owned(), "cart".to_owned()), ("tier".to_owned(), "web".to_owned())]);
        assert!(aims_at(&target(&["cart"], None), "shop", "cart", &labels));
        assert!(!aims_at(&target(&["cart"], None), "other", "cart", &labels));
        assert!(!aims_at(&target(&["checkout"], Some("app=cart")), "shop", "cart", &labels));
        assert!(aims_at(&target(&[], Some("app=cart")), "shop", "cart", &labels));
        assert!(aims_at(&target(&[], Some("app=cart,tier=web")), "shop", "cart", &labels));
        assert!(!aims_at(&target(&[], Some("app=cart,tier=db")), "shop", "cart", &labels));
        assert!(!aims_at(&target(&[], Some("")), "shop", "cart", &labels));
        assert!(!aims_at(&target(&[], None), "shop", "cart", &labels));
    }
}
