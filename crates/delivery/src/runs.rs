//! Deploy and clean runs (Tekton PipelineRuns).

use serde_json::Value;

use crate::deploy::{is_digest, is_tag};
use crate::objects::{Objects, PipelineRun};

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// Deploys the environment.
    Deploy,
    /// Removes what is deployed.
    Clean,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// Not started.
    Pending,
    /// Running.
    Running,
    /// Ended well.
    Succeeded,
    /// Failed.
    Failed,
    /// Cancelled.
    Cancelled,
}

impl RunStatus {
    /// Whether the run can still change something.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}

/// A run as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The PipelineRun.
    pub name: String,
    /// Its unique id: a name may be used again.
    pub uid: String,
    /// What it does.
    pub kind: RunKind,
    /// How it stands.
    pub status: RunStatus,
    /// Why, in Tekton's words.
    pub reason: Option<String>,
    /// When it was created, RFC 3339.
    pub created: Option<String>,
    /// When it started, RFC 3339.
    pub started: Option<String>,
    /// When it ended, RFC 3339.
    pub finished: Option<String>,
    /// Somebody asked for it to be cancelled.
    pub cancelling: bool,
    /// What it deployed; empty for a clean run, and for a payload that cannot be read.
    pub carried: Vec<Carried>,
}

/// What a deploy run carried of one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The application.
    pub application: String,
    /// The tag.
    pub tag: String,
    /// The digest; none when it was sent empty or not at all.
    pub digest: Option<String>,
    /// The values override; none in automatic deploys, which leave it as it is.
    pub values_override: Option<bool>,
}

/// The largest payload that is read, in bytes.
const PAYLOAD: usize = 1024 * 1024;

/// Reads `APPLICATIONS_PAYLOAD`. What is not as the portal or the operator write it is left out.
fn carried(run: &PipelineRun) -> Vec<Carried> {
    let text = run.parameter("APPLICATIONS_PAYLOAD").filter(|text| text.len() <= PAYLOAD);
    let parsed = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(Value::Object(map)) = parsed else { return Vec::new() };
    map.iter()
        .filter_map(|(application, fields)| {
            Some(Carried {
                application: application.clone(),
                tag: fields.get("imageTag")?.as_str().filter(|tag| is_tag(tag))?.to_owned(),
                digest: fields
                    .get("imageDigest")
                    .and_then(Value::as_str)
                    .filter(|text| is_digest(text))
                    .map(str::to_owned),
                values_override: fields.get("customValues").and_then(Value::as_bool),
            })
        })
        .collect()
}

/// The label that says what a run does.
pub(crate) const TYPE_LABEL: &str = "app.edp.epam.com/pipelinetype";
/// The label that names the flow.
pub(crate) const FLOW_LABEL: &str = "app.edp.epam.com/cdpipeline";
/// The label that names the Stage object, `<flow>-<environment>`.
pub(crate) const STAGE_LABEL: &str = "app.edp.epam.com/cdstage";

/// How a PipelineRun stands: its `Succeeded` condition, as Tekton defines it (pkg/apis/pipeline/v1, PipelineRunReason).
pub fn run_view(run: &PipelineRun) -> Run {
    let reason = run.reason.as_deref().unwrap_or_default();
    let cancelled =
        ["Cancelled", "CancelledRunFinally", "StoppedRunFinally", "PipelineRunCancelled", "PipelineRunStopped"];
    let status = match run.succeeded.as_deref() {
        Some("True") => RunStatus::Succeeded,
        Some("False") if cancelled.contains(&reason) => RunStatus::Cancelled,
        Some("False") => RunStatus::Failed,
        Some(_) if reason == "PipelineRunPending" => RunStatus::Pending,
        Some(_) => RunStatus::Running,
        None if run.started.is_some() => RunStatus::Running,
        None => RunStatus::Pending,
    };
    let words = match (&run.reason, &run.message) {
        _ if status == RunStatus::Running && run.asked.is_some() => Some("Cancelling".to_owned()),
        (Some(reason), Some(message)) if !message.is_empty() && message != reason => {
            Some(format!("{reason}: {message}"))
        }
        (Some(reason), _) => Some(reason.clone()),
        (None, message) => message.clone(),
    };
    Run {
        name: run.meta.name.clone(),
        uid: run.meta.uid.clone(),
        kind: if run.meta.label(TYPE_LABEL) == Some("clean") { RunKind::Clean } else { RunKind::Deploy },
        status,
        reason: words,
        created: run.meta.created.clone(),
        started: run.started.clone(),
        finished: run.finished.clone(),
        cancelling: status.is_active() && run.asked.as_deref().is_some_and(|asked| asked != "PipelineRunPending"),
        carried: carried(run),
    }
}

/// Whether a run belongs to an environment and deploys or cleans it.
pub(crate) fn belongs(run: &PipelineRun, flow: &str, environment: &str) -> bool {
    let stage = format!("{flow}-{environment}");
    run.meta.label(FLOW_LABEL) == Some(flow)
        && (run.meta.label(STAGE_LABEL) == Some(&stage) || run.meta.label("app.edp.epam.com/stage") == Some(&stage))
        && matches!(run.meta.label(TYPE_LABEL), Some("deploy" | "clean"))
}

/// The runs of an environment, newest first.
pub(crate) fn runs_of(objects: &Objects, flow: &str, environment: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = objects.runs.iter().filter(|run| belongs(run, flow, environment)).map(run_view).collect();
    runs.sort_by(|a, b| (&b.created, &b.name).cmp(&(&a.created, &a.name)));
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_stands_as_tekton_says() {
        let table = [
            (None, "", false, RunStatus::Pending),
            (None, "", true, RunStatus::Running),
            (Some("Unknown"), "Running", true, RunStatus::Running),
            (Some("Unknown"), "PipelineRunPending", false, RunStatus::Pending),
            (Some("True"), "Succeeded", true, RunStatus::Succeeded),
            (Some("True"), "Completed", true, RunStatus::Succeeded),
            (Some("False"), "Failed", true, RunStatus::Failed),
            (Some("False"), "PipelineRunTimeout", true, RunStatus::Failed),
            (Some("False"), "Cancelled", true, RunStatus::Cancelled),
            (Some("False"), "StoppedRunFinally", true, RunStatus::Cancelled),
        ];
        for (succeeded, reason, started, expected) in table {
            let run = PipelineRun {
                succeeded: succeeded.map(str::to_owned),
                reason: Some(reason.to_owned()),
                started: started.then(|| "2026-01-01T00:00:00Z".to_owned()),
                ..PipelineRun::default()
            };
            assert_eq!(run_view(&run).status, expected, "{succeeded:?} {reason}");
        }
    }
}
