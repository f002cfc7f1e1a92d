//! The rights that follow from what the agent looks after, and from nothing else.

use std::collections::BTreeSet;

use pilothouse_chaos::names::sync_lease;
use pilothouse_cluster::{Kind, kinds};
use pilothouse_triggers::engine::kind_of;
use serde::Serialize;

use super::needs::Needs;
use crate::trigger_engine::LEASE as TRIGGERS_LEASE;

/// One right, with what it is for. All are within a namespace: the agent needs none over the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Right {
    /// The namespace in which it holds.
    pub namespace: String,
    /// The API group; empty for the core.
    pub group: String,
    /// The resource as rules name it: `leases`, `chaosprojects/status`.
    pub resource: String,
    /// The only objects that it reaches; empty for all of the namespace.
    pub names: Vec<String>,
    /// The verbs.
    pub verbs: Vec<&'static str>,
    /// What it is for, and so what does not work without it.
    pub why: String,
}

const READ: &[&str] = &["get", "list", "watch"];

impl Right {
    fn new(namespace: &str, kind: &Kind, subresource: &str, verbs: &[&'static str], why: &str) -> Self {
        let resource =
            if subresource.is_empty() { kind.plural.to_owned() } else { format!("{}/{subresource}", kind.plural) };
        Self {
            namespace: namespace.to_owned(),
            group: kind.group.to_owned(),
            resource,
            names: Vec::new(),
            verbs: verbs.to_vec(),
            why: why.to_owned(),
        }
    }

    fn only(self, names: Vec<String>) -> Self {
        Self { names, ..self }
    }

    /// The resource with its group: `leases.coordination.k8s.io`, `chaosprojects.pilothouse.dev/status`.
    pub fn resource_name(&self) -> String {
        if self.group.is_empty() {
            return self.resource.clone();
        }
        match self.resource.split_once('/') {
            Some((plural, sub)) => format!("{plural}.{}/{sub}", self.group),
            None => format!("{}.{}", self.resource, self.group),
        }
    }

    /// The right in words: `get, list, watch leases.coordination.k8s.io (pilothouse-triggers) in litmus`.
    pub fn words(&self) -> String {
        let names = if self.names.is_empty() { String::new() } else { format!(" ({})", self.names.join(", ")) };
        format!("{} {}{names} in {}", self.verbs.join(", "), self.resource_name(), self.namespace)
    }
}

/// What the agent needs in a namespace of projects: to sync them, to serve their triggers, to start and follow runs.
fn home(needs: &Needs, namespace: &str) -> Vec<Right> {
    use kinds::*;
    let right = |kind, sub, verbs, why| Right::new(namespace, kind, sub, verbs, why);
    let here = needs.projects.iter().filter(|project| project.namespace == namespace);
    let mut leases: BTreeSet<String> = here.map(|project| sync_lease(&project.id)).collect();
    let served = needs.served().contains(namespace);
    if served {
        leases.insert(TRIGGERS_LEASE.to_owned());
    }
    let mut found = vec![
        right(&CHAOS_PROJECT, "", READ, "to see which chaos projects there are and where they lead"),
        right(&CHAOS_PROJECT, "status", &["patch"], "to say in a project how its last sync ended"),
        right(&CHAOS_WORKFLOW, "", READ, "to see the workflows that the cluster holds"),
        right(&CHAOS_WORKFLOW, "", &["create"], "to bring workflows that are new in Git into the cluster"),
        right(
            &CHAOS_WORKFLOW,
            "",
            &["patch"],
            "to bring what changed in Git into the cluster, and to note what is to run and what did",
        ),
        right(
            &CHAOS_WORKFLOW,
            "",
            &["delete"],
            "to remove what stands for a file that never was valid, once the file is gone from Git",
        ),
        right(&CHAOS_WORKFLOW, "status", &["patch"], "to say how a workflow stands, and how its last run ended"),
        right(&LEASE, "", &["create"], "to make the Leases by which one app or agent is in charge at a time"),
        right(&LEASE, "", &["get", "update"], "to hold those Leases, and to give them back")
            .only(leases.into_iter().collect()),
        right(&WORKFLOW, "", READ, "to follow runs of Argo Workflows"),
        right(
            &WORKFLOW,
            "",
            &["create"],
            "to start runs of Argo Workflows; whoever may do so can use every service account of the namespace",
        ),
        right(&WORKFLOW, "", &["patch"], "to stop runs of Argo Workflows when triggers are halted"),
        right(&CHAOS_ENGINE, "", READ, "to follow the faults of runs"),
        right(&CHAOS_ENGINE, "", &["create"], "to start runs that are a ChaosEngine by themselves"),
        right(&CHAOS_ENGINE, "", &["patch"], "to take faults back when triggers are halted"),
        right(&CHAOS_RESULT, "", READ, "to read verdicts"),
        right(&EVENT_TRIGGER, "", READ, "to see the triggers"),
    ];
    if served {
        found.push(right(&EVENT_TRIGGER, "status", &["patch"], "to remember what a trigger decided"));
        found.push(right(
            &CONFIG_MAP,
            "",
            &["list", "watch"],
            "to see whether all triggers are halted, without which nothing is started; rights cannot name a label, so \
             that it reaches all ConfigMaps here",
        ));
    }
    found
}

/// What the agent needs in a namespace whose workloads a trigger watches.
fn target(needs: &Needs, namespace: &str) -> Vec<Right> {
    let here = || needs.triggers.iter().filter(|trigger| trigger.target == namespace);
    let watched: BTreeSet<_> = here().map(|trigger| trigger.kind).collect();
    let mut found: Vec<Right> = watched
        .into_iter()
        .map(|kind| {
            let why = format!("to see changes of the {}s that triggers watch", kind.as_str());
            Right::new(namespace, &kind_of(kind), "", READ, &why)
        })
        .collect();
    let why = "to see whether the namespace is protected, without which nothing is started for its workloads";
    found.push(Right::new(namespace, &kinds::NAMESPACE, "", &["get"], why).only(vec![namespace.to_owned()]));
    if here().any(|trigger| trigger.respect_disruption_budget) {
        let why = "to respect disruption budgets, as a trigger's guards ask for";
        found.push(Right::new(namespace, &kinds::POD_DISRUPTION_BUDGET, "", &["list", "watch"], why));
    }
    found
}

/// Every right that the agent needs, and none that it does not: first those in the namespaces of projects, then those
/// in the namespaces of watched workloads. Discovery and asking for one's own rights are everybody's.
pub fn rights(needs: &Needs) -> Vec<Right> {
    let homes = needs.homes().into_iter().flat_map(|namespace| home(needs, namespace));
    homes.chain(needs.targets().into_iter().flat_map(|namespace| target(needs, namespace))).collect()
}

/// The rights in the namespaces of projects, by namespace.
pub(super) fn by_home(needs: &Needs) -> Vec<(&str, Vec<Right>)> {
    needs.homes().into_iter().map(|namespace| (namespace, home(needs, namespace))).collect()
}

/// The rights in the namespaces of watched workloads, by namespace.
pub(super) fn by_target(needs: &Needs) -> Vec<(&str, Vec<Right>)> {
    needs.targets().into_iter().map(|namespace| (namespace, target(needs, namespace))).collect()
}

#[cfg(test)]
mod tests {
    use pilothouse_triggers::spec::WorkloadKind;

    use super::*;
    use crate::agent::{ProjectNeed, TriggerNeed};

    fn needs() -> Needs {
        let project = |id: &str| ProjectNeed {
            namespace: "litmus".into(),
            id: id.into(),
            url: "https://git.example/acme/chaos.git".into(),
            branch: "main".into(),
            credential: "chaos".into(),
        };
        let trigger = |target: &str, kind, respect_disruption_budget| TriggerNeed {
            namespace: "litmus".into(),
            target: target.into(),
            kind,
            respect_disruption_budget,
        };
        Needs {
            projects: vec![project("shop"), project("bank")],
            triggers: vec![
                trigger("shop", WorkloadKind::Deployment, false),
                trigger("data", WorkloadKind::StatefulSet, true),
                trigger("data", WorkloadKind::Rollout, false),
            ],
        }
    }

    #[test]
    fn rights_follow_from_needs_alone() {
        assert_eq!(rights(&Needs::default()), []);
        let all = rights(&needs());
        let words: BTreeSet<String> = all.iter().map(Right::words).collect();
        assert_eq!(words.len(), all.len(), "none is asked for twice");
        for expected in [
            "get, update leases.coordination.k8s.io (pilothouse-sync-bank, pilothouse-sync-shop, pilothouse-triggers) in litmus",
            "patch chaosprojects.pilothouse.dev/status in litmus",
            "get, list, watch deployments.apps in shop",
            "get, list, watch statefulsets.apps in data",
            "get, list, watch rollouts.argoproj.io in data",
            "get namespaces (shop) in shop",
            "list, watch poddisruptionbudgets.policy in data",
        ] {
            assert!(words.contains(expected), "{expected}\n{words:#?}");
        }
        for never in ["secrets", "pods ", "poddisruptionbudgets.policy in shop", "statefulsets.apps in shop", "*"] {
            assert!(!words.iter().any(|one| one.contains(never)), "{never}");
        }
        assert!(all.iter().all(|right| !right.why.is_empty() && !right.namespace.is_empty()));
    }

    #[test]
    fn where_no_triggers_are_served_nothing_is_asked_for_that_only_they_need() {
        let projects = Needs { triggers: Vec::new(), ..needs() };
        let words: Vec<String> = rights(&projects).iter().map(Right::words).collect();
        for never in ["pilothouse-triggers", "configmaps", "eventtriggers.pilothouse.dev/status", "namespaces"] {
            assert!(!words.iter().any(|one| one.contains(never)), "{never}");
        }
    }
}
