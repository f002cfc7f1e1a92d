//! A policy and the workloads that are annotated for it, as triggers; and what is other about them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::annotations::{GITOPS, named};
use super::{Join, Policy};
use crate::condition::{Operator, query};
use crate::spec::{Guards, TargetSpec, TriggerSpec, WhileAway, WorkloadKind};

/// The kinds that Litmus' tracker watches.
const KINDS: [WorkloadKind; 3] = [WorkloadKind::Deployment, WorkloadKind::StatefulSet, WorkloadKind::DaemonSet];

/// Something that is other in the trigger than in the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub about: &'static str,
    /// What Litmus' tracker does.
    pub litmus: String,
    /// What the trigger does.
    pub here: String,
}

/// What a policy becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The triggers, with proposed names: one for each experiment, kind and namespace that has annotated workloads.
    pub triggers: Vec<(String, TriggerSpec)>,
    /// Experiments that workloads name and no workflow is known for.
    pub unknown: Vec<String>,
    /// What is other.
    pub differences: Vec<Difference>,
}

/// The chaos project and workflow of an experiment's id.
pub type Workflows = BTreeMap<String, (String, String)>;

/// Turns a policy into triggers for the workloads that are annotated now.
pub fn import(policy: &Policy, workloads: &[(WorkloadKind, Value)], workflows: &Workflows) -> Import {
    let mut found: BTreeMap<(String, &'static str, WorkloadKind, String), Vec<&Value>> = BTreeMap::new();
    for (kind, workload) in workloads.iter().filter(|(kind, _)| KINDS.contains(kind)) {
        if let Some(named) = named(workload) {
            let namespace = workload.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            let key = (named.experiment, named.spelling, *kind, namespace.to_owned());
            found.entry(key).or_default().push(workload);
        }
    }
    let mut triggers = Vec::new();
    let mut unknown = BTreeSet::new();
    for (n, (experiment, spelling, kind, namespace)) in found.keys().enumerate() {
        let Some((project, workflow)) = workflows.get(experiment) else {
            unknown.insert(experiment.clone());
            continue;
        };
        let annotations = [(GITOPS.to_owned(), "true".to_owned()), ((*spelling).to_owned(), experiment.clone())].into();
        let target = TargetSpec {
            kind: *kind,
            namespace: namespace.clone(),
            names: Vec::new(),
            labels: BTreeMap::new(),
            annotations,
        };
        let spec = TriggerSpec {
            project: project.clone(),
            workflow: workflow.clone(),
            target,
            when: policy.condition(),
            guards: Guards::default(),
            while_away: WhileAway::default(),
            suspended: false,
        };
        let name = if found.len() == 1 { policy.name.clone() } else { format!("{}-{}", policy.name, n + 1) };
        triggers.push((name, spec));
    }
    let all: Vec<&Value> = found.values().flatten().copied().collect();
    Import { triggers, unknown: unknown.into_iter().collect(), differences: differences(policy, &all) }
}

fn differences(policy: &Policy, workloads: &[&Value]) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut say = |about: &'static str, litmus: &str, here: &str| {
        found.push(Difference { about, litmus: litmus.to_owned(), here: here.to_owned() });
    };
    let several = policy.conditions.len() > 1;
    let compares = policy.conditions.iter().any(|one| one.operator != Operator::Changed);
    if policy.join == Join::And && several {
        say(
            "and",
            "conditions whose key did not change are left out, so it can fire when some of them do not hold",
            "every condition must hold",
        );
    }
    if policy.join == Join::Or && several && compares {
        say(
            "or",
            "a condition is looked at only when its own key changed",
            "when any of the keys changed, every condition is looked at",
        );
    }
    let orders = |operator: Operator| !matches!(operator, Operator::Changed | Operator::Equals | Operator::NotEquals);
    if policy.conditions.iter().any(|one| orders(one.operator)) {
        say("numbers", "they are compared as texts: 10 comes before 9", "they are compared as numbers");
    }
    let yields_many = |key: &str| {
        workloads.iter().any(|one| matches!(query::search(key, one), Ok(Value::Array(_) | Value::Object(_))))
    };
    if policy.conditions.iter().any(|one| yields_many(&one.key)) {
        say("lists", "a key that finds a list or a map brings the tracker down", "lists and maps are compared");
    }
    say("moment", "it fires while the rollout is under way", "it waits until the rollout is complete");
    say(
        "once",
        "the same change can start several runs, and runs can overlap",
        "a change starts one run, and a workload has one at a time",
    );
    say(
        "away",
        "changes are lost while the tracker does not run",
        "they are found when the engine starts, and offered",
    );
    say(
        "reach",
        "any workload of the cluster that is annotated later takes part",
        "those of the same kind and namespace do; for others, import again",
    );
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::litmus::annotations::{EXPERIMENT, WORKFLOW};
    use crate::spec::validate;

    #[test]
    fn a_policy_becomes_triggers_and_what_is_other_is_told() {
        let policy = Policy::read(&json!({"metadata": {"name": "p", "namespace": "litmus"},
            "spec": {"condition_type": "and", "conditions": [
                {"key": "spec.replicas", "value": "3", "operator": "LessThan"},
                {"key": "spec.template.spec.containers[*].image", "operator": "Change"}]}}))
        .unwrap();
        let workload = |kind: WorkloadKind, name: &str, spelling: &str, id: &str| {
            (
                kind,
                json!({"metadata": {"name": name, "namespace": "shop", "annotations": {GITOPS: "true", spelling: id}},
                    "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "c", "image": "a:1"}]}}}}),
            )
        };
        let workloads = [
            workload(WorkloadKind::Deployment, "cart", EXPERIMENT, "id-1"),
            workload(WorkloadKind::Deployment, "web", EXPERIMENT, "id-1"),
            workload(WorkloadKind::DaemonSet, "log", WORKFLOW, "id-1"),
            workload(WorkloadKind::Deployment, "db", EXPERIMENT, "id-2"),
            (WorkloadKind::Deployment, json!({"metadata": {"name": "plain", "namespace": "shop"}})),
        ];
        let workflows: Workflows = [("id-1".to_owned(), ("shop".to_owned(), "kill-cart".to_owned()))].into();
        let imported = import(&policy, &workloads, &workflows);
        assert_eq!(imported.triggers.len(), 2, "{:#?}", imported.triggers);
        assert_eq!(imported.unknown, ["id-2"]);
        for (_, spec) in &imported.triggers {
            assert_eq!(validate(spec), []);
        }
        let about: Vec<_> = imported.differences.iter().map(|one| one.about).collect();
        assert_eq!(about, ["and", "numbers", "lists", "moment", "once", "away", "reach"]);
    }
}
