//! Delete and deletecollection.

use std::sync::Arc;

use serde_json::{Value, json};

use super::garbage::{self, FOREGROUND};
use super::kinds::KindDef;
use super::selectors::Selection;
use super::status_errors::{Named, Refusal};
use super::store::{Key, State};
use super::writes::as_version;

/// What becomes of the dependants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// They are collected afterwards.
    #[default]
    Background,
    /// They go first.
    Foreground,
    /// They stay, without their owner.
    Orphan,
}

/// `DeleteOptions`, from body and query.
#[derive(Debug, Clone, Default)]
pub struct RemovalOptions {
    /// Only an object with this uid.
    pub uid: Option<String>,
    /// Only an object at this resource version.
    pub version: Option<String>,
    /// What becomes of the dependants.
    pub propagation: Propagation,
    /// Whether nothing is to be kept.
    pub dry_run: bool,
}

impl RemovalOptions {
    /// Reads a `DeleteOptions` body; the query's `propagationPolicy` and `dryRun` count where the body is silent.
    pub fn read(body: &Value, policy: Option<&str>, dry_run: bool) -> Result<Self, Refusal> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let policy = body["propagationPolicy"].as_str().or(policy);
        let propagation = match policy {
            Some("Foreground") => Propagation::Foreground,
            Some("Orphan") => Propagation::Orphan,
            None if body["orphanDependents"] == json!(true) => Propagation::Orphan,
            None | Some("Background" | "") => Propagation::Background,
            Some(other) => {
                let allowed = ["Background", "Foreground", "Orphan"].map(str::to_owned);
                let cause = super::status_errors::Cause::not_supported("propagationPolicy", &json!(other), &allowed);
                let of = Named { group: "meta.k8s.io", what: "DeleteOptions", name: "" };
                return Err(Refusal::invalid(of, &[cause]));
            }
        };
        Ok(Self {
            uid: text(&body["preconditions"]["uid"]),
            version: text(&body["preconditions"]["resourceVersion"]),
            propagation,
            dry_run: dry_run || body["dryRun"].as_array().is_some_and(|d| d.iter().any(|d| d == "All")),
        })
    }
}

/// Deletes one object. The answer is a success `Status`, or the object while something still holds it.
pub fn delete(state: &mut State, kind: &KindDef, key: &Key, options: &RemovalOptions) -> Result<Value, Refusal> {
    let named = kind.resource(&key.name);
    let object = state.get(key).ok_or_else(|| Refusal::not_found(named))?;
    let meta = &object["metadata"];
    for (wanted, found, what) in
        [(&options.uid, &meta["uid"], "UID"), (&options.version, &meta["resourceVersion"], "ResourceVersion")]
    {
        if let Some(wanted) = wanted
            && *found != json!(wanted)
        {
            let found = found.as_str().unwrap_or_default();
            let why = format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}");
            return Err(Refusal::conflict(named, &why));
        }
    }
    if !options.dry_run {
        remove(state, key, &object, options.propagation);
    }
    match state.get(key) {
        Some(held) if !options.dry_run => Ok(as_version(kind, &held)),
        _ => {
            let mut details = json!({"name": key.name, "kind": kind.plural, "uid": meta["uid"]});
            if !kind.group.is_empty() {
                details["group"] = json!(kind.group);
            }
            Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}))
        }
    }
}

fn remove(state: &mut State, key: &Key, object: &Arc<Value>, propagation: Propagation) {
    let uid = &object["metadata"]["uid"];
    match propagation {
        Propagation::Background => {}
        Propagation::Orphan => {
            for dependant in garbage::dependants(state, uid) {
                if let Some(found) = state.get(&dependant) {
                    let mut freed = (*found).clone();
                    garbage::disown(&mut freed, |owner| owner["uid"] == *uid);
                    state.put(dependant, freed);
                }
            }
        }
        Propagation::Foreground => {
            if !garbage::dependants(state, uid).is_empty() && !garbage::is_leaving(object) {
                let mut waiting = (**object).clone();
                let list = &mut waiting["metadata"]["finalizers"];
                match list.as_array_mut() {
                    Some(list) => list.push(json!(FOREGROUND)),
                    None => *list = json!([FOREGROUND]),
                }
                garbage::mark_leaving(&mut waiting);
                state.put(key.clone(), waiting);
                garbage::settle(state);
                return;
            }
        }
    }
    garbage::begin_removal(state, key);
}

/// Deletes the selected objects; the answer is the list of them as they were.
pub fn delete_selected(
    state: &mut State,
    kind: &KindDef,
    namespace: Option<&str>,
    selection: &Selection,
    options: &RemovalOptions,
) -> Result<Value, Refusal> {
    let chosen = state
        .scan(&kind.group, &kind.plural, namespace)
        .filter(|(_, object)| selection.matches(object))
        .map(|(key, object)| (key.clone(), object.clone()))
        .collect::<Vec<_>>();
    for (key, _) in &chosen {
        if state.get(key).is_some() {
            delete(state, kind, key, options)?;
        }
    }
    let items = chosen.iter().map(|(_, object)| super::reads::list_item(kind, object)).collect::<Vec<_>>();
    Ok(json!({
        "kind": kind.list_kind, "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": state.version().to_string()}, "items": items,
    }))
}
