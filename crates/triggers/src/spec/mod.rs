//! The `EventTrigger` object: what a user asks for, and what the engine remembers.

pub mod guards;
pub mod rules;
pub mod status;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::condition::Condition;

pub use guards::{Exclusive, Guards, QuietHours, QuietWindow, Weekday};
pub use rules::{FieldProblem, validate};
pub use status::{DecisionRecord, LastRun, MAX_DECISIONS, MAX_OBSERVED, Observed, Outcome, TriggerStatus};

/// The kinds of workload a trigger watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
    /// `argoproj.io/v1alpha1` Rollout of Argo Rollouts, where the cluster has it.
    Rollout,
}

impl WorkloadKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::Rollout];

    /// The kind as written in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Rollout => "Rollout",
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
    /// Their names; empty takes every name that labels and annotations allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Labels they all must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations they all must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What becomes of a change that happened while no engine was looking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhileAway {
    /// It is offered; a person may have it run.
    #[default]
    Offer,
    /// It is treated like any other.
    Run,
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
    #[serde(default, deserialize_with = "condition")]
    pub when: Condition,
    /// The guards.
    #[serde(default)]
    pub guards: Guards,
    /// What becomes of changes that nobody saw.
    #[serde(default, skip_serializing_if = "is_offer")]
    pub while_away: WhileAway,
    /// Whether it rests: changes are noted and passed over.
    #[serde(default)]
    pub suspended: bool,
}

fn is_offer(policy: &WhileAway) -> bool {
    *policy == WhileAway::Offer
}

/// Nothing at all means an image; more than one thing has to say whether all or any.
fn condition<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Condition, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match value.as_object().map(serde_json::Map::len) {
        Some(0) => Ok(Condition::default()),
        None if value.is_null() => Ok(Condition::default()),
        Some(1) => serde_json::from_value(value).map_err(serde::de::Error::custom),
        _ => Err(serde::de::Error::custom("when: give one condition, and join several by all or any")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::condition::{ImageChanged, Operator};

    fn spec(more: Value) -> Result<TriggerSpec, serde_json::Error> {
        let mut spec = json!({"project": "shop", "workflow": "kill-cart",
            "target": {"kind": "Deployment", "namespace": "shop", "names": ["cart"]}});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec)
    }

    #[test]
    fn triggers_written_before_still_load() {
        for when in [json!({}), json!({"when": {}}), json!({"when": {"imageChanged": {}}})] {
            let read = spec(when).unwrap();
            assert_eq!(read.when, Condition::default());
            assert_eq!(read.guards, Guards::default());
            assert!(read.guards.wait_for_rollout);
            assert_eq!(validate(&read), []);
        }
        let named = spec(json!({"when": {"imageChanged": {"containers": ["app"]}},
            "guards": {"waitForRollout": false, "soakSeconds": 5, "cooldownSeconds": 6, "maxPerDay": 7}}))
        .unwrap();
        let images = ImageChanged { containers: vec!["app".into()], ..ImageChanged::default() };
        assert_eq!(named.when, Condition::ImageChanged(images));
        assert_eq!((named.guards.soak_seconds, named.guards.max_per_day), (5, Some(7)));
        // And what is written is what was read: no field of a newer kind is added to an older trigger.
        assert_eq!(serde_json::to_value(&named.when).unwrap(), json!({"imageChanged": {"containers": ["app"]}}));
    }

    #[test]
    fn trees_of_conditions() {
        let when = json!({"all": [{"imageChanged": {"part": "DigestOnly"}}, {"any": [
            {"replicas": {"operator": "GreaterThan", "value": 1}}, {"cel": "new.spec.replicas > 1"},
            {"label": {"key": "app", "operator": "Exists"}}]}]});
        let read = spec(json!({"when": when})).unwrap();
        assert_eq!(read.when.tests().len(), 4);
        assert_eq!(read.when.tests()[1].comparison().map(|(operator, _)| operator), Some(Operator::GreaterThan));
        assert_eq!(serde_json::to_value(&read.when).unwrap(), when);
        let two = json!({"when": {"imageChanged": {}, "replicas": {"operator": "Changed"}}});
        assert!(spec(two).unwrap_err().to_string().contains("all or any"));
        let typo = json!({"when": {"label": {"key": "a", "operator": "Equals", "valeu": 1}}});
        assert!(spec(typo).is_err(), "a field that is not known may have been meant to hold it back");
    }
}
