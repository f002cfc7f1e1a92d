//! The `EventTrigger` object: what a user asks for, and what the engine remembers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many decisions a status keeps.
pub const MAX_DECISIONS: usize = 50;
/// How many workloads a trigger watches at most.
pub const MAX_OBSERVED: usize = 200;

/// The kinds of workload a trigger watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
}

impl WorkloadKind {
    /// The kind as written in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
        }
    }
}

/// Which workloads are watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetSpec {
    /// Their kind.
    pub kind: WorkloadKind,
    /// Their namespace.
    pub namespace: String,
    /// Their names; empty takes every name that the labels allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Labels they all must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct When {
    /// An image of the workload changed.
    #[serde(default)]
    pub image_changed: ImageChanged,
}

/// Which images count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageChanged {
    /// The containers whose images count; empty takes all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
}

/// What must hold before a run is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Guards {
    /// Wait until the rollout of the change is complete.
    pub wait_for_rollout: bool,
    /// Seconds to wait after the rollout.
    pub soak_seconds: u32,
    /// Seconds after a run for a workload in which its changes are passed over.
    pub cooldown_seconds: u32,
    /// The most runs this trigger starts within 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_day: Option<u32>,
}

impl Default for Guards {
    fn default() -> Self {
        Self { wait_for_rollout: true, soak_seconds: 0, cooldown_seconds: 0, max_per_day: None }
    }
}

/// `spec` of an `EventTrigger`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerSpec {
    /// The chaos project.
    pub project: String,
    /// The chaos workflow to run.
    pub workflow: String,
    /// What is watched.
    pub target: TargetSpec,
    /// The condition.
    #[serde(default)]
    pub when: When,
    /// The guards.
    #[serde(default)]
    pub guards: Guards,
    /// Whether it rests: changes are noted and passed over.
    #[serde(default)]
    pub suspended: bool,
}

/// What the engine last settled for a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Observed {
    /// The workload's uid.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// The revision of its images, see [`crate::decide::revision`].
    pub revision: String,
    /// Its images by container.
    pub images: BTreeMap<String, String>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A run was started.
    Fired,
    /// The change is known and waits for a guard.
    Waited,
    /// A guard passed it over.
    Skipped,
    /// It happened while no engine was looking; it is offered, never run by itself.
    Missed,
}

/// One remembered decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// When it was taken (RFC 3339).
    pub time: Timestamp,
    /// The workload's name.
    pub workload: String,
    /// The workload's uid.
    pub uid: String,
    /// The revision the decision is about.
    #[serde(default)]
    pub revision: String,
    /// What was decided.
    pub decision: Outcome,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
    /// The images before.
    #[serde(default)]
    pub old_images: BTreeMap<String, String>,
    /// The images after.
    #[serde(default)]
    pub new_images: BTreeMap<String, String>,
    /// The run that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The run's verdict, once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// `status` of an `EventTrigger`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TriggerStatus {
    /// What was last settled for each workload.
    pub observed: Vec<Observed>,
    /// The latest decisions, newest last, at most [`MAX_DECISIONS`].
    pub decisions: Vec<DecisionRecord>,
    /// Conditions as Kubernetes writes them.
    pub conditions: Vec<Value>,
}

impl TriggerStatus {
    /// What was last settled for a workload.
    pub fn observed_of(&self, uid: &str) -> Option<&Observed> {
        self.observed.iter().find(|one| one.uid == uid)
    }

    /// Notes what is settled for a workload.
    pub fn settle(&mut self, observed: Observed) {
        self.observed.retain(|one| one.uid != observed.uid);
        self.observed.push(observed);
        let excess = self.observed.len().saturating_sub(MAX_OBSERVED);
        self.observed.drain(..excess);
    }

    /// Notes a decision. One about the same change that was only waiting is replaced, so that a change has one entry.
    /// When the list is full the oldest goes, but a run without a verdict stays as long as anything else can go.
    pub fn note(&mut self, record: DecisionRecord) {
        self.decisions.retain(|old| !(old.decision == Outcome::Waited && old.uid == record.uid));
        self.decisions.push(record);
        while self.decisions.len() > MAX_DECISIONS {
            let open = |one: &DecisionRecord| one.decision == Outcome::Fired && one.verdict.is_none();
            let oldest = self.decisions.iter().position(|one| !open(one)).unwrap_or(0);
            self.decisions.remove(oldest);
        }
    }

    /// The change of a workload that is known and waits.
    pub fn waiting(&self, uid: &str) -> Option<&DecisionRecord> {
        self.decisions.iter().find(|one| one.decision == Outcome::Waited && one.uid == uid)
    }
}

/// A field that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldProblem {
    /// The field's path below `spec`.
    pub field: String,
    /// The rule, in words.
    pub message: String,
}

impl std::fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Checks a spec. Empty when it can be used.
pub fn validate(spec: &TriggerSpec) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let mut say = |field: &str, message: &str| {
        problems.push(FieldProblem { field: field.to_owned(), message: message.to_owned() });
    };
    let label = |text: &str| {
        !text.is_empty()
            && text.len() <= 63
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    let subdomain = |text: &str| text.len() <= 253 && text.split('.').all(label);
    if !label(&spec.project) {
        say("project", "name a chaos project");
    }
    if !subdomain(&spec.workflow) {
        say("workflow", "name a chaos workflow");
    }
    if !label(&spec.target.namespace) {
        say("target.namespace", "name a namespace");
    }
    if spec.target.names.is_empty() && spec.target.labels.is_empty() {
        say("target", "give names or labels; a trigger never watches everything in a namespace");
    }
    if spec.target.names.len() > MAX_OBSERVED {
        say("target.names", "a trigger watches at most 200 workloads");
    }
    if spec.target.names.iter().any(|name| !subdomain(name)) {
        say("target.names", "a workload's name has lower-case letters, digits, '-' and '.'");
    }
    if spec.when.image_changed.containers.iter().any(|name| !label(name)) {
        say("when.imageChanged.containers", "a container's name has lower-case letters, digits and '-'");
    }
    if spec.guards.soak_seconds > 86_400 {
        say("guards.soakSeconds", "at most one day (86400)");
    }
    if spec.guards.cooldown_seconds > 30 * 86_400 {
        say("guards.cooldownSeconds", "at most thirty days (2592000)");
    }
    // The count is taken from the remembered decisions, of which there are fifty.
    if spec.guards.max_per_day.is_some_and(|max| max == 0 || max > 40) {
        say("guards.maxPerDay", "from 1 to 40; suspend the trigger to start none");
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_and_rules() {
        let spec: TriggerSpec = serde_json::from_value(json!({"project": "shop", "workflow": "kill-cart",
            "target": {"kind": "Deployment", "namespace": "shop", "names": ["cart"]}}))
        .unwrap();
        assert_eq!(spec.guards, Guards::default());
        assert!(spec.guards.wait_for_rollout);
        assert_eq!(validate(&spec), []);
        let field = |change: &dyn Fn(&mut TriggerSpec)| {
            let mut broken = spec.clone();
            change(&mut broken);
            validate(&broken).first().map(|problem| problem.field.clone())
        };
        assert_eq!(field(&|s| s.target.names.clear()).as_deref(), Some("target"));
        assert_eq!(field(&|s| s.project = "A".into()).as_deref(), Some("project"));
        assert_eq!(field(&|s| s.guards.max_per_day = Some(0)).as_deref(), Some("guards.maxPerDay"));
        assert_eq!(field(&|s| s.target.names = vec!["a b".into()]).as_deref(), Some("target.names"));
    }

    #[test]
    fn decisions_are_bounded_and_open_runs_stay() {
        let mut status = TriggerStatus::default();
        let record = |n: usize, decision| DecisionRecord {
            time: Timestamp::UNIX_EPOCH,
            workload: "cart".into(),
            uid: "u".into(),
            revision: n.to_string(),
            decision,
            reason: String::new(),
            old_images: BTreeMap::new(),
            new_images: BTreeMap::new(),
            run: None,
            verdict: None,
        };
        status.note(record(0, Outcome::Fired));
        for n in 1..=60 {
            status.note(record(n, Outcome::Skipped));
        }
        assert_eq!(status.decisions.len(), MAX_DECISIONS);
        assert_eq!(status.decisions[0].revision, "0");
        status.note(record(61, Outcome::Waited));
        status.note(record(62, Outcome::Fired));
        assert!(status.waiting("u").is_none());
    }
}
