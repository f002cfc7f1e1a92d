//! The kill switch as the window sees it, and the namespaces that have triggers.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use kube::{ResourceExt, api::DynamicObject};
use pilothouse_cluster::{ComponentId, WatchState, kinds};
use pilothouse_triggers::{
    spec::{Outcome, TriggerStatus},
    surroundings::HALT_LABEL,
};
use serde_json::Value;

use crate::{
    App, Result,
    contract::{HaltView, Permission, TriggerPlace},
    session::Live,
    triggers::read_status,
    values::small,
};

/// The reason by which the engine marks a trigger that is halted.
const HALTED: &str = "Halted";
/// What the engine puts before the reason of a halt.
const MARK: &str = "all triggers are halted: ";

fn text(object: &DynamicObject, pointer: &str) -> Option<String> {
    object.data.pointer(pointer).and_then(Value::as_str).map(|text| text.chars().take(200).collect())
}

/// A halt that is read off the mark itself.
fn of_mark(mark: &DynamicObject) -> Option<HaltView> {
    mark.labels().contains_key(HALT_LABEL).then(|| HaltView {
        namespace: mark.namespace().unwrap_or_default(),
        reason: text(mark, "/data/reason").unwrap_or_default(),
        by: text(mark, "/data/by"),
        since: mark.creation_timestamp().map(|time| time.0.to_string()),
    })
}

/// A halt that only the engine's word on a trigger tells of: who may not list ConfigMaps has to see it too.
fn of_trigger(namespace: &str, status: &TriggerStatus) -> Option<HaltView> {
    let told = status.conditions.iter().find(|one| one["type"] == "Ready" && one["reason"] == HALTED)?;
    let reason = told["message"].as_str().unwrap_or_default();
    Some(HaltView {
        namespace: namespace.to_owned(),
        reason: reason.strip_prefix(MARK).unwrap_or(reason).to_owned(),
        by: None,
        since: told["lastTransitionTime"].as_str().map(str::to_owned),
    })
}

impl App {
    /// The halts by namespace.
    pub(crate) fn halts(&self, live: &Live) -> BTreeMap<String, HaltView> {
        let mut found = BTreeMap::new();
        for object in live.list(&kinds::EVENT_TRIGGER) {
            let namespace = object.namespace().unwrap_or_default();
            // Where marks are seen, they alone count: nobody may be there to take a trigger's own word back.
            if matches!(live.index().state_in(&kinds::CONFIG_MAP, &namespace), WatchState::Live | WatchState::Polling) {
                continue;
            }
            if let Some(halt) = of_trigger(&namespace, &read_status(&object)) {
                found.insert(namespace, halt);
            }
        }
        // The mark knows more than what the engine made of it.
        let marks = live.list(&kinds::CONFIG_MAP);
        found.extend(marks.iter().filter_map(|mark| of_mark(mark)).map(|halt| (halt.namespace.clone(), halt)));
        found
    }

    /// The namespaces in which triggers are halted.
    pub async fn trigger_halts(&self) -> Result<Vec<HaltView>> {
        let Some(live) = self.maybe_live() else { return Ok(Vec::new()) };
        if !live.has(ComponentId::Pilothouse) {
            return Ok(Vec::new());
        }
        Ok(self.halts(&live).into_values().collect())
    }

    /// The namespaces that hold triggers or could.
    pub(crate) async fn trigger_places(&self, live: &Live) -> Vec<TriggerPlace> {
        let triggers = live.list(&kinds::EVENT_TRIGGER);
        let projects = live.list(&kinds::CHAOS_PROJECT);
        let namespaces: BTreeSet<String> = triggers.iter().chain(&projects).filter_map(|one| one.namespace()).collect();
        let mut halts = self.halts(live);
        let mut places = Vec::new();
        for namespace in namespaces {
            let of_here = |one: &&std::sync::Arc<DynamicObject>| one.namespace().as_deref() == Some(&namespace);
            let here: Vec<TriggerStatus> = triggers.iter().filter(of_here).map(|one| read_status(one)).collect();
            let open = here.iter().flat_map(|one| one.open_runs().into_keys().map(str::to_owned)).collect();
            let waits = here.iter().flat_map(|one| &one.decisions).filter(|one| one.decision == Outcome::Waited);
            let engine = live.engine().view(&namespace);
            places.push(TriggerPlace {
                engine,
                halt: halts.remove(&namespace),
                triggers: small(here.len()),
                open_runs: open,
                waiting: small(waits.count()),
                can_halt: Permission { allowed: false, why: None },
                namespace,
            });
        }
        let may = places.iter().map(|one| self.may(live, "create", &kinds::CONFIG_MAP, Some(&one.namespace)));
        let permissions = join_all(may).await;
        for (permission, place) in permissions.into_iter().zip(&mut places) {
            place.can_halt = permission;
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_halt_is_seen_by_its_mark_or_by_what_the_engine_says() {
        let mark = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"reason": "payments are down", "by": "olha"},
            "metadata": {"name": "any", "namespace": "litmus", "labels": {HALT_LABEL: "true"}}});
        let mark: DynamicObject = serde_json::from_value(mark).unwrap();
        let seen = of_mark(&mark).unwrap();
        assert_eq!((seen.reason.as_str(), seen.by.as_deref()), ("payments are down", Some("olha")));
        let other =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "any", "namespace": "litmus"}});
        assert!(of_mark(&serde_json::from_value(other).unwrap()).is_none());

        let ready = json!({"type": "Ready", "status": "False", "reason": "Halted",
            "message": "all triggers are halted: payments are down"});
        let status = |condition: Value| TriggerStatus { conditions: vec![condition], ..TriggerStatus::default() };
        assert_eq!(of_trigger("litmus", &status(ready)).unwrap().reason, "payments are down");
        let suspended = json!({"type": "Ready", "status": "False", "reason": "Suspended"});
        assert!(of_trigger("litmus", &status(suspended)).is_none());
    }
}
