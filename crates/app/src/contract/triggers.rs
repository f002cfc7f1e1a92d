//! Triggers.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{Permission, TriggerCondition, TriggerGuards, TriggerPlace, Verdict, WhileAway, WorkflowReach};

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
    /// The namespaces that hold triggers or could, with who is in charge and whether they are halted.
    pub places: Vec<TriggerPlace>,
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
    /// The condition; none when the trigger cannot be read.
    pub when: Option<TriggerCondition>,
    /// When it holds back.
    pub guards: TriggerGuards,
    /// What becomes of changes that nobody saw.
    pub while_away: WhileAway,
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
    /// `Deployment`, `StatefulSet`, `DaemonSet` or `Rollout`.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// Names; empty means all that labels and annotations select.
    pub names: Vec<String>,
    /// Labels that must match.
    pub labels: Vec<LabelEntry>,
    /// Annotations that must match.
    pub annotations: Vec<LabelEntry>,
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
    /// The run that waits for a person's word, or is offered.
    pub asks: Option<String>,
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
    /// A run would have been started, were the trigger not to tell only.
    WouldFire,
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
    /// The condition.
    pub when: TriggerCondition,
    /// When it holds back.
    pub guards: TriggerGuards,
    /// What becomes of changes that nobody saw.
    pub while_away: WhileAway,
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
    /// `Deployment`, `StatefulSet`, `DaemonSet` or `Rollout`.
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

/// What a trigger would have made of a revision that the cluster still holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct BacktestEntry {
    /// The revision's number.
    pub number: String,
    /// When it came.
    pub time: String,
    /// Whether that time is known; else it is the earliest it can be.
    pub exact: bool,
    /// Images before, `container=image`.
    pub old_images: Vec<String>,
    /// Images after, `container=image`.
    pub new_images: Vec<String>,
    /// What would have been decided; none when the condition does not hold.
    pub decision: Option<DecisionKind>,
    /// Why.
    pub reason: String,
}

/// A trigger over the history of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Backtest {
    /// The revisions, newest first; the first that is known is where the others are compared from.
    pub entries: Vec<BacktestEntry>,
    /// What was taken for granted, since no revision holds it.
    pub assumptions: Vec<String>,
}

/// A trigger for clusters that run Litmus' own tracker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LitmusExport {
    /// The policy; none when its condition cannot be said in one.
    pub policy: Option<String>,
    /// The annotations for each workload.
    pub annotations: Vec<LabelEntry>,
    /// What Litmus' tracker does not honour: the field and why.
    pub unhonoured: Vec<LitmusLoss>,
    /// Why it honours none of the guards, set or not.
    pub guards: Vec<LitmusLoss>,
    /// The experiment that the annotations name; empty when the workflow has no such id.
    pub experiment: String,
    /// The workloads that would be annotated.
    pub workloads: Vec<String>,
}

/// Something of a trigger that Litmus' tracker does not honour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LitmusLoss {
    /// The field.
    pub field: String,
    /// Why.
    pub why: String,
}
