//! Chaos runs.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::ChaosTarget;

/// A run's or a fault's verdict, in Litmus' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
pub enum Verdict {
    /// The hypothesis held.
    Pass,
    /// It did not.
    Fail,
    /// The run was stopped.
    Stopped,
    /// The fault could not be injected.
    Error,
    /// Not known yet.
    Awaited,
    /// The run ended without a result.
    #[serde(rename = "N/A")]
    NotAvailable,
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RunPreview {
    /// The run's name, by which asking twice starts it once.
    pub run: String,
    /// The digest of the exact object.
    pub digest: String,
    /// The context it would run in.
    pub context: String,
    /// The exact object.
    pub yaml: String,
    /// The namespace it runs in.
    pub namespace: String,
    /// The service account it runs under.
    pub service_account: Option<String>,
    /// What it is aimed at, as found in the cluster now.
    pub targets: Vec<RunTarget>,
    /// What to know before.
    pub warnings: Vec<String>,
    /// A text the user has to type first, on a production context.
    pub confirm: Option<String>,
}

/// What the user saw in a preview, to be given back when starting the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RunSeen {
    /// The run's name.
    pub run: String,
    /// The digest of the exact object.
    pub digest: String,
    /// The context.
    pub context: String,
}

/// A target as found in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RunTarget {
    /// The workload.
    pub target: ChaosTarget,
    /// False when it does not exist.
    pub found: bool,
    /// Its pods that are ready.
    pub ready: u32,
    /// Its pods wanted.
    pub pods: u32,
}

/// A run that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RunStarted {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub run: String,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RunEntry {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The project, where it is labelled.
    pub project: Option<String>,
    /// The workflow, where it is labelled.
    pub workflow: Option<String>,
    /// The trigger that started it.
    pub trigger: Option<String>,
    /// Its phase in the workflow controller's words.
    pub phase: String,
    /// True while it runs.
    pub running: bool,
    /// Its verdict.
    pub verdict: Verdict,
    /// Its score, 0 to 100.
    pub score: Option<f64>,
    /// When it started.
    pub started_at: Option<String>,
    /// When it finished.
    pub finished_at: Option<String>,
}

/// A run in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// The run as in the list.
    pub entry: RunEntry,
    /// Its steps.
    pub steps: Vec<RunStep>,
    /// Its faults.
    pub faults: Vec<FaultView>,
    /// Why it stands as it does.
    pub why: Option<String>,
    /// How the score came about, in words.
    pub score_words: Option<String>,
    /// What to know before believing the verdict.
    pub warnings: Vec<String>,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RunStep {
    /// Its name.
    pub name: String,
    /// Its phase.
    pub phase: String,
    /// What it says.
    pub message: Option<String>,
    /// When it started.
    pub started_at: Option<String>,
    /// When it finished.
    pub finished_at: Option<String>,
}

/// A fault of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct FaultView {
    /// Its name, for example `pod-delete`.
    pub name: String,
    /// The engine that ran it.
    pub engine: String,
    /// Its phase in Litmus' words.
    pub phase: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Share of successful probes, 0 to 100.
    pub probe_success_percentage: Option<f64>,
    /// Its weight in the score.
    pub weight: u32,
    /// Why it ended in an error.
    pub why: Option<String>,
    /// Its probes.
    pub probes: Vec<ProbeView>,
}

/// A probe of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ProbeView {
    /// Its name.
    pub name: String,
    /// Its type, for example `httpProbe`.
    pub kind: String,
    /// Its mode, for example `EOT`.
    pub mode: String,
    /// Its verdict.
    pub verdict: String,
    /// What it found.
    pub description: Option<String>,
}

/// A shape of a report for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ReportFormat {
    /// JUnit XML.
    JUnit,
    /// JSON.
    Json,
}

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ReportOf {
    /// One run.
    Run {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The runs of a workflow.
    History {
        /// The project.
        project: String,
        /// The workflow.
        workflow: String,
    },
}

/// How the runs of a workflow went, those that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RunTrend {
    /// The runs, the oldest first.
    pub points: Vec<TrendPoint>,
    /// How many passed.
    pub passed: u32,
    /// How many failed.
    pub failed: u32,
    /// How many could not be judged.
    pub unjudged: u32,
    /// The mean score.
    pub mean: Option<f64>,
    /// The newest score less the one before it.
    pub change: Option<f64>,
}

/// One run of a trend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TrendPoint {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub run: String,
    /// When it ended.
    pub at: Option<String>,
    /// Its verdict.
    pub verdict: Verdict,
    /// Its score.
    pub score: Option<f64>,
}
