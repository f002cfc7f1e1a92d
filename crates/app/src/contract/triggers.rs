//! Triggers.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{Permission, Verdict, WorkflowReach};

/// Everything the triggers page shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TriggersOverview {
    /// The app's own kinds are installed.
    pub crds_installed: bool,
    /// The triggers.
    pub triggers: Vec<TriggerView>,
    /// Whether the user may create and delete triggers.
    pub can_manage: Permission,
}

/// Who evaluates the triggers of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct EngineView {
    /// The Lease's holder; none when nobody is.
    pub holder: Option<String>,
    /// True when this app is in charge.
    pub here: bool,
    /// Why this app's engine does not stand for that namespace.
    pub problem: Option<String>,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TriggerView {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The project whose workflow it runs.
    pub project: String,
    /// The workflow.
    pub workflow: String,
    /// What it watches.
    pub target: TriggerTarget,
    /// The containers whose image counts; empty means all.
    pub containers: Vec<String>,
    /// When it holds back.
    pub guards: TriggerGuards,
    /// True when it is switched off.
    pub suspended: bool,
    /// What keeps it from working.
    pub problem: Option<String>,
    /// Who is in charge of it: each namespace has a Lease of its own.
    pub engine: EngineView,
    /// The workloads it has looked at; a change of them is seen from then on.
    pub observed: Vec<String>,
    /// What it decided, newest first.
    pub decisions: Vec<DecisionView>,
}

/// What a trigger watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TriggerTarget {
    /// `Deployment` or `StatefulSet`.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// Names; empty means all that the labels select.
    pub names: Vec<String>,
    /// Labels that must match.
    pub labels: Vec<LabelEntry>,
}

/// A label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LabelEntry {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// When a trigger holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TriggerGuards {
    /// Wait until the rollout is complete.
    pub wait_for_rollout: bool,
    /// Seconds to wait after that.
    pub soak_seconds: u32,
    /// Seconds between two runs for one workload.
    pub cooldown_seconds: u32,
    /// Runs a day at most.
    pub max_per_day: Option<u32>,
}

/// What a trigger decided on a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DecisionView {
    /// When.
    pub time: String,
    /// The workload.
    pub workload: String,
    /// The workload's revision.
    pub revision: String,
    /// What was decided.
    pub decision: DecisionKind,
    /// Why.
    pub reason: String,
    /// Images before, `container=image`.
    pub old_images: Vec<String>,
    /// Images after, `container=image`.
    pub new_images: Vec<String>,
    /// The run started.
    pub run: Option<String>,
    /// The run's namespace.
    pub run_namespace: Option<String>,
    /// The run's verdict, once known.
    pub verdict: Option<Verdict>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum DecisionKind {
    /// A run was started.
    Fired,
    /// It waits for the rollout or a guard.
    Waited,
    /// No run for this change.
    Skipped,
    /// It happened while nobody was looking; it can be run by hand.
    Missed,
}

/// The form of a trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TriggerForm {
    /// Its name.
    pub name: String,
    /// The project whose workflow it runs.
    pub project: String,
    /// The workflow.
    pub workflow: String,
    /// What it watches.
    pub target: TriggerTarget,
    /// The containers whose image counts; empty means all.
    pub containers: Vec<String>,
    /// When it holds back.
    pub guards: TriggerGuards,
    /// Create it switched off.
    pub suspended: bool,
    /// The digest of what the workflow reaches, from the preview; needed for saving.
    pub seen: Option<String>,
}

/// What a trigger would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TriggerPreview {
    /// The exact object.
    pub yaml: String,
    /// The workloads it matches now.
    pub matches: Vec<WorkloadEntry>,
    /// What the workflow reaches when the trigger runs it; none when it is not in the cluster yet.
    pub reach: Option<WorkflowReach>,
    /// Remarks, for example that nothing matches.
    pub warnings: Vec<String>,
}

/// A workload of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadEntry {
    /// `Deployment` or `StatefulSet`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its images, `container=image`.
    pub images: Vec<String>,
    /// Pods ready.
    pub ready: u32,
    /// Pods wanted.
    pub wanted: u32,
}
