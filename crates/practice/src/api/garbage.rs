//! What follows a deletion: dependants, namespaces' content, custom objects of a deleted definition.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::clock;
use super::store::{Key, State};

/// Finalizer that waits for the dependants of an object.
pub const FOREGROUND: &str = "foregroundDeletion";

/// Brings the state to rest after a write.
pub fn settle(state: &mut State) {
    while state.unsettled {
        state.unsettled = false;
        collect_dependants(state);
        finish_foreground(state);
        finish_namespaces(state);
        finish_definitions(state);
    }
}

/// Marks an object as being deleted, or removes it when nothing holds it.
pub fn begin_removal(state: &mut State, key: &Key) -> Option<Arc<Value>> {
    let object = state.get(key)?;
    if !has_finalizers(&object) {
        return state.remove(key);
    }
    if is_leaving(&object) {
        return Some(object);
    }
    let mut leaving = (*object).clone();
    mark_leaving(&mut leaving);
    Some(state.put(key.clone(), leaving))
}

/// Whether anything must happen before the object can go. Namespaces and definitions hold themselves.
pub fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty())
        || (object["apiVersion"] == "v1" && object["kind"] == "Namespace")
        || (object["apiVersion"] == "apiextensions.k8s.io/v1" && object["kind"] == "CustomResourceDefinition")
}

/// Whether the object is being deleted.
pub fn is_leaving(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Sets the marks of an object that is being deleted.
pub fn mark_leaving(object: &mut Value) {
    object["metadata"]["deletionTimestamp"] = json!(clock::now());
    object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
    if let Some(generation) = object["metadata"]["generation"].as_i64() {
        object["metadata"]["generation"] = json!(generation + 1);
    }
    if object["apiVersion"] == "v1" && object["kind"] == "Namespace" {
        object["status"]["phase"] = json!("Terminating");
    }
}

/// The keys of the objects that name this uid as an owner.
pub fn dependants(state: &State, uid: &Value) -> Vec<Key> {
    let owns = |object: &Value| {
        object["metadata"]["ownerReferences"].as_array().into_iter().flatten().any(|o| o["uid"] == *uid)
    };
    state.objects().filter(|(_, object)| owns(object)).map(|(key, _)| key.clone()).collect()
}

/// Takes the owner references that a test names away from an object.
pub fn disown(object: &mut Value, absent: impl Fn(&Value) -> bool) {
    let Some(meta) = object["metadata"].as_object_mut() else { return };
    if let Some(owners) = meta.get_mut("ownerReferences").and_then(Value::as_array_mut) {
        owners.retain(|o| !absent(o));
        if owners.is_empty() {
            meta.shift_remove("ownerReferences");
        }
    }
}

fn collect_dependants(state: &mut State) {
    let uids = state
        .objects()
        .filter_map(|(_, object)| object["metadata"]["uid"].as_str().map(str::to_owned))
        .collect::<BTreeSet<_>>();
    let mut doomed = Vec::new();
    let mut partly = Vec::new();
    for (key, object) in state.objects() {
        let Some(owners) = object["metadata"]["ownerReferences"].as_array() else { continue };
        // An owner of a kind that is not served cannot be proven absent.
        let absent = |owner: &Value| {
            let known = |field: &str| owner[field].as_str().unwrap_or_default();
            state.kinds.by_kind(known("apiVersion"), known("kind")).is_some() && !uids.contains(known("uid"))
        };
        let gone = owners.iter().filter(|o| absent(o)).map(|o| o["uid"].clone()).collect::<Vec<_>>();
        if gone.len() == owners.len() && !owners.is_empty() {
            if !is_leaving(object) {
                doomed.push(key.clone());
            }
        } else if !gone.is_empty() {
            partly.push((key.clone(), gone));
        }
    }
    for key in doomed {
        begin_removal(state, &key);
    }
    for (key, gone) in partly {
        if let Some(object) = state.get(&key) {
            let mut kept = (*object).clone();
            disown(&mut kept, |owner| gone.contains(&owner["uid"]));
            state.put(key, kept);
        }
    }
}

fn finish_foreground(state: &mut State) {
    let waits = |object: &Value| {
        let list = object["metadata"]["finalizers"].as_array();
        is_leaving(object) && list.is_some_and(|f| f.iter().any(|f| f == FOREGROUND))
    };
    let waiting = state.objects().filter(|(_, o)| waits(o)).map(|(k, o)| (k.clone(), o.clone())).collect::<Vec<_>>();
    for (key, object) in waiting {
        let left = dependants(state, &object["metadata"]["uid"]);
        if left.is_empty() {
            let mut freed = (*object).clone();
            if let Some(list) = freed["metadata"]["finalizers"].as_array_mut() {
                list.retain(|f| f != FOREGROUND);
            }
            finish(state, &key, freed);
        } else {
            for dependant in left {
                if state.get(&dependant).is_some_and(|o| !is_leaving(&o)) {
                    begin_removal(state, &dependant);
                }
            }
        }
    }
}

/// Writes an object that is being deleted, or removes it when its last finalizer went.
pub fn finish(state: &mut State, key: &Key, object: Value) -> Arc<Value> {
    if is_leaving(&object) && !has_finalizers(&object) {
        state.remove(key);
        return Arc::new(object);
    }
    state.put(key.clone(), object)
}

fn leaving_objects(state: &State, group: &str, plural: &str) -> Vec<(Key, Arc<Value>)> {
    state.scan(group, plural, None).filter(|(_, o)| is_leaving(o)).map(|(k, o)| (k.clone(), o.clone())).collect()
}

fn finish_namespaces(state: &mut State) {
    for (key, object) in leaving_objects(state, "", "namespaces") {
        let content = |state: &State| {
            state.objects().filter(|(k, _)| k.namespace == key.name).map(|(k, _)| k.clone()).collect::<Vec<_>>()
        };
        for inner in content(state) {
            if state.get(&inner).is_some_and(|o| !is_leaving(&o)) {
                begin_removal(state, &inner);
            }
        }
        if content(state).is_empty() && object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
            state.remove(&key);
        }
    }
}

fn finish_definitions(state: &mut State) {
    for (key, crd) in leaving_objects(state, "apiextensions.k8s.io", "customresourcedefinitions") {
        let group = crd["spec"]["group"].as_str().unwrap_or_default().to_owned();
        let plural = crd["spec"]["names"]["plural"].as_str().unwrap_or_default().to_owned();
        let content = |state: &State| state.scan(&group, &plural, None).map(|(key, _)| key.clone()).collect::<Vec<_>>();
        for inner in content(state) {
            if state.get(&inner).is_some_and(|o| !is_leaving(&o)) {
                begin_removal(state, &inner);
            }
        }
        if content(state).is_empty() && crd["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
            state.kinds.forget(&crd);
            state.remove(&key);
        }
    }
}
