//! The trigger editor, the kill switch, and Litmus' policies.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{DecisionKind, EngineView, Permission, TriggerForm, WorkflowReach, WorkloadEntry};

/// The workloads that a target takes now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TriggerMatches {
    /// The workloads.
    pub workloads: Vec<WorkloadEntry>,
    /// How many more there are than a trigger watches.
    pub excess: u32,
    /// Why they cannot be told.
    pub problem: Option<String>,
}

/// A trigger, opened to be looked at or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct OpenedTrigger {
    /// What it asks for.
    pub form: TriggerForm,
    /// The version that was read; what is written later is written over this one only.
    pub version: String,
    /// The object as it is in the cluster, without its status.
    pub yaml: String,
    /// What its workflow reaches now; none when it is not in the cluster.
    pub reach: Option<WorkflowReach>,
}

/// What a part of a decision says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TriggerAnswer {
    /// What would be decided; none when there is nothing to decide.
    pub decision: Option<DecisionKind>,
    /// Why.
    pub reason: String,
}

/// What a test of a condition says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TestAnswer {
    /// Whether it holds; none when it cannot be told.
    pub holds: Option<bool>,
    /// Why it cannot be told.
    pub why: Option<String>,
}

/// What a group of guards says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GuardAnswer {
    /// Which guards.
    pub guard: GuardGroup,
    /// What it does to a change now.
    pub state: GuardState,
    /// Why, when it holds a change back.
    pub reason: Option<String>,
}

/// A group of guards that answers with one voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum GuardGroup {
    /// Whether all triggers are halted, or the namespace is protected.
    Allowed,
    /// The rollout.
    Rollout,
    /// The time after it.
    Soak,
    /// Ready replicas and the disruption budget.
    Pods,
    /// Other runs.
    Runs,
    /// The cooldown, and the runs a day.
    Often,
    /// Quiet hours.
    Quiet,
    /// A person's word.
    Approval,
}

/// What a group of guards does to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum GuardState {
    /// It lets it pass.
    Passes,
    /// It makes it wait.
    Waits,
    /// It passes it over.
    Skips,
}

/// A trigger tried on a workload. Nothing was written and nothing was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TriggerTest {
    /// What the trigger would decide at this moment, by what it remembers.
    pub now: TriggerAnswer,
    /// What it would decide if the newest release came now.
    pub released: TriggerAnswer,
    /// The number of the revision that the release is compared with; none when the cluster holds no earlier one.
    pub compared_with: Option<String>,
    /// What is taken to have changed with it though nothing tells.
    pub assumptions: Vec<String>,
    /// Images before, `container=image`.
    pub old_images: Vec<String>,
    /// Images now, `container=image`.
    pub new_images: Vec<String>,
    /// What each test says, in the order in which they are written.
    pub tests: Vec<TestAnswer>,
    /// What each group of guards says.
    pub guards: Vec<GuardAnswer>,
}

/// A namespace with triggers, or with projects whose workflows triggers could run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TriggerPlace {
    /// The namespace.
    pub namespace: String,
    /// Who is in charge there.
    pub engine: EngineView,
    /// Why everything is halted there, when it is.
    pub halt: Option<HaltView>,
    /// How many triggers are there.
    pub triggers: u32,
    /// The runs that they started and that have not ended.
    pub open_runs: Vec<String>,
    /// How many changes wait.
    pub waiting: u32,
    /// Whether the user may halt them.
    pub can_halt: Permission,
}

/// A halt of all triggers of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct HaltView {
    /// The namespace.
    pub namespace: String,
    /// Why, in somebody's words.
    pub reason: String,
    /// Who halted them, when that is known.
    pub by: Option<String>,
    /// Since when, when that is known.
    pub since: Option<String>,
}

/// Litmus' policies in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LitmusPolicies {
    /// The cluster knows such policies.
    pub known: bool,
    /// The policies.
    pub policies: Vec<LitmusPolicy>,
    /// Why they cannot all be listed.
    pub problem: Option<String>,
}

/// An `EventTrackerPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LitmusPolicy {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `and` or `or`, as it is written.
    pub join: String,
    /// Its conditions as it states them.
    pub conditions: Vec<String>,
    /// What keeps it from ever matching.
    pub problems: Vec<String>,
}

/// The workflow that is meant by the id of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentChoice {
    /// The experiment's id.
    pub experiment: String,
    /// The chaos project.
    pub project: String,
    /// The chaos workflow.
    pub workflow: String,
}

/// What a policy becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LitmusImport {
    /// The triggers, one for each experiment, kind and namespace that has annotated workloads.
    pub triggers: Vec<TriggerForm>,
    /// Experiments that workloads name and whose workflow is not known.
    pub unknown: Vec<String>,
    /// What is other in the triggers than in the policy.
    pub differences: Vec<LitmusDifference>,
    /// The policy as it is written.
    pub yaml: String,
}

/// Something that is other in a trigger than in the policy that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LitmusDifference {
    /// What it is about.
    pub about: String,
    /// What Litmus' tracker does.
    pub litmus: String,
    /// What the trigger does.
    pub here: String,
}

/// A policy to be written for Litmus' tracker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WriteLitmus {
    /// The trigger that it comes from.
    pub form: TriggerForm,
    /// The namespace of Litmus' infrastructure, where its tracker looks for policies.
    pub namespace: String,
    /// The experiment's id.
    pub experiment: String,
    /// Whether the matching workloads are annotated too.
    pub annotate: bool,
    /// The workloads that were shown; others are left alone.
    pub workloads: Vec<String>,
}

/// What was written for Litmus' tracker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LitmusWritten {
    /// The workloads that were annotated.
    pub annotated: Vec<String>,
    /// The workloads that could not be, each with why.
    pub refused: Vec<String>,
}
