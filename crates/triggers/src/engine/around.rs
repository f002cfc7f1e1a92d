//! What is around the triggers, from the indexes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kube::api::DynamicObject;
use pilothouse_cluster::{LiveIndex, WatchSpec, WatchState, kinds};
use serde_json::Value;

use super::trigger::{Trigger, kind_of};
use crate::surroundings::{Budget, Budgets, HALT_LABEL, OpenRun, PROTECTED_LABEL, Surroundings};

/// What to watch for a set of triggers, besides themselves.
pub(super) fn wanted(triggers: &[Trigger], namespaces: &[String]) -> Vec<WatchSpec> {
    let mut workloads = BTreeSet::new();
    let mut budgets = BTreeSet::new();
    for trigger in triggers.iter().filter(|trigger| trigger.is_valid()) {
        let target = &trigger.spec.target;
        workloads.insert((target.kind, target.namespace.clone()));
        if trigger.spec.guards.respect_disruption_budget {
            budgets.insert(target.namespace.clone());
        }
    }
    let mut specs: Vec<WatchSpec> = Vec::new();
    specs.extend(workloads.iter().map(|(kind, namespace)| WatchSpec::in_namespace(kind_of(*kind), namespace)));
    specs.extend(budgets.iter().map(|namespace| WatchSpec::in_namespace(kinds::POD_DISRUPTION_BUDGET, namespace)));
    let labelled = |spec: WatchSpec, label: &str| WatchSpec { labels: Some(label.to_owned()), ..spec };
    specs.push(labelled(WatchSpec::everywhere(kinds::NAMESPACE), &format!("{PROTECTED_LABEL}=true")));
    if namespaces.is_empty() {
        specs.push(labelled(WatchSpec::everywhere(kinds::CONFIG_MAP), HALT_LABEL));
    }
    specs.extend(
        namespaces.iter().map(|namespace| labelled(WatchSpec::in_namespace(kinds::CONFIG_MAP, namespace), HALT_LABEL)),
    );
    specs
}

/// Why the triggers of each namespace are halted, where they are.
pub(super) fn halts(index: &LiveIndex) -> BTreeMap<String, String> {
    let read = |object: &DynamicObject| {
        let reason = object.data.pointer("/data/reason").and_then(Value::as_str).unwrap_or("no reason is given");
        Some((object.metadata.namespace.clone()?, reason.chars().take(200).collect()))
    };
    index.list(&kinds::CONFIG_MAP).iter().filter_map(|object| read(object)).collect()
}

/// Runs that an engine started and that the index does not show yet, with their triggers and workloads.
pub(super) type Started = HashMap<String, (String, String)>;

/// What is around all triggers: everything but the answers on one of them.
pub(super) fn around(triggers: &[Trigger], index: &LiveIndex, started: &mut Started) -> Surroundings {
    let mut open = Vec::new();
    for trigger in triggers {
        let names = |run: &String| {
            trigger.status.observed.iter().any(|one| one.last_run.as_ref().is_some_and(|last| last.name == *run))
        };
        started.retain(|run, (uid, _)| *uid != trigger.uid || !names(run));
        open.extend(trigger.status.open_runs().into_iter().map(|(run, workload)| OpenRun {
            run: run.to_owned(),
            trigger: trigger.uid.clone(),
            workload: workload.to_owned(),
        }));
    }
    started.retain(|_, (uid, _)| triggers.iter().any(|trigger| trigger.uid == *uid));
    open.extend(started.iter().map(|(run, (trigger, workload))| OpenRun {
        run: run.clone(),
        trigger: trigger.clone(),
        workload: workload.clone(),
    }));
    let protected = index.list(&kinds::NAMESPACE).iter().filter_map(|one| one.metadata.name.clone()).collect();
    let budgets = match index.state(&kinds::POD_DISRUPTION_BUDGET) {
        WatchState::Forbidden(words) | WatchState::Retrying(words) => Budgets::Unknown(words),
        WatchState::Absent => Budgets::Unknown("the cluster serves none of policy/v1".to_owned()),
        _ => {
            let all = index.list(&kinds::POD_DISRUPTION_BUDGET);
            let read = all.iter().filter_map(|one| serde_json::to_value(one).ok()).map(|one| Budget::read(&one));
            Budgets::Known(read.collect())
        }
    };
    Surroundings { halted: None, protected, open, budgets, answers: BTreeMap::new() }
}
