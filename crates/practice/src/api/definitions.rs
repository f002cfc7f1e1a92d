//! What the server itself adds to objects as they are written: definitions' status, namespaces' content, jobs' selectors.

use serde_json::{Value, json};

use super::kinds::KindDef;
use super::ownership;
use super::store::{Key, State};
use super::{clock, garbage};

/// Fills in what a new object gets from the server.
pub fn initialize(kind: &KindDef, object: &mut Value) {
    if kind.status
        && kind.kind != "Node"
        && let Some(map) = object.as_object_mut()
    {
        map.shift_remove("status");
    }
    if kind.builtin.is_none() {
        return;
    }
    match kind.kind.as_str() {
        "Namespace" => {
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        "Pod" | "PersistentVolumeClaim" => object["status"] = json!({"phase": "Pending"}),
        "Job" => {
            let uid = object["metadata"]["uid"].clone();
            let name = object["metadata"]["name"].clone();
            let spec = &mut object["spec"];
            if spec["manualSelector"] != json!(true) {
                spec["selector"] = json!({"matchLabels": {"controller-uid": uid}});
                spec["template"]["metadata"]["labels"]["controller-uid"] = uid;
                spec["template"]["metadata"]["labels"]["job-name"] = name;
            }
        }
        _ => {}
    }
}

/// Keeps what an update may not touch.
pub fn carry_over(kind: &KindDef, old: &Value, new: &mut Value) {
    if kind.builtin.is_none() {
        return;
    }
    match kind.kind.as_str() {
        "Namespace" => new["spec"] = old["spec"].clone(),
        "Service" if new["spec"]["type"] != "ExternalName" && old["spec"]["clusterIP"].is_string() => {
            new["spec"]["clusterIP"] = old["spec"]["clusterIP"].clone();
        }
        _ => {}
    }
}

/// What follows a write that was kept.
pub fn written(state: &mut State, kind: &KindDef, key: &Key) {
    if kind.builtin.is_none() {
        return;
    }
    match kind.kind.as_str() {
        "CustomResourceDefinition" => establish(state, key),
        "Namespace" => default_account(state, key),
        _ => {}
    }
}

fn establish(state: &mut State, key: &Key) {
    let Some(stored) = state.get(key) else { return };
    if garbage::is_leaving(&stored) {
        return;
    }
    state.kinds.register(&stored);
    let accepted = &stored["status"]["acceptedNames"];
    if *accepted == stored["spec"]["names"] {
        return;
    }
    let mut crd = (*stored).clone();
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": clock::now(), "reason": reason, "message": message});
    let versions = crd["spec"]["versions"].as_array().cloned().unwrap_or_default();
    let storage = versions.iter().filter(|v| v["storage"] == json!(true)).map(|v| v["name"].clone());
    crd["status"] = json!({
        "acceptedNames": crd["spec"]["names"],
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": storage.collect::<Vec<_>>(),
    });
    state.put(key.clone(), crd);
}

fn default_account(state: &mut State, key: &Key) {
    let Some(kind) = state.kinds.find("", "v1", "serviceaccounts") else { return };
    let account = Key::new(&kind, &key.name, "default");
    if state.get(&account).is_some() || state.get(key).is_none_or(|ns| garbage::is_leaving(&ns)) {
        return;
    }
    let mut object = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": key.name, "uid": clock::uid(), "creationTimestamp": clock::now()},
    });
    ownership::write(&mut object, &[]);
    state.put(account, object);
}
