//! Create, update and patch: from a body to a stored object.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::apply::{self, Applier};
use super::ownership::{self, Entry, FieldSet, Step};
use super::shape::Shape;
use super::status_errors::{Cause, Refusal};
use super::store::{Key, State};
use super::{builtins, clock, definitions, garbage, kinds::KindDef, patch, schema, validation};

/// Who writes, and how.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Field manager: the query's, or the client's name.
    pub manager: String,
    /// Whether nothing is to be kept.
    pub dry_run: bool,
    /// Whether server-side apply takes fields over.
    pub force: bool,
    /// Whether the write goes through `/status`.
    pub status: bool,
}

/// The kinds of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Json,
    /// The API's own, for built-in kinds.
    Strategic,
    /// Server-side apply.
    Apply,
}

/// A write's result, and whether it made the object.
pub type Written = (Arc<Value>, bool);

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

impl WriteOptions {
    fn entry(&self, kind: &KindDef, applied: bool) -> Entry {
        Entry {
            manager: self.manager.clone(),
            applied,
            api_version: kind.api_version(),
            time: clock::now(),
            subresource: if self.status { "status".to_owned() } else { String::new() },
            set: FieldSet::new(),
        }
    }
}

/// Checks that the body is of the kind and for the place that the path names.
fn check_place(kind: &KindDef, namespace: &str, body: &mut Value) -> Result<(), Refusal> {
    if !body.is_object() {
        return Err(Refusal::bad_request("the body of the request is not an object"));
    }
    let api_version = kind.api_version();
    for (field, expected) in [("kind", kind.kind.as_str()), ("apiVersion", api_version.as_str())] {
        let given = text(body, field);
        if given.is_empty() {
            if kind.builtin.is_none() {
                return Err(Refusal::bad_request(format!("Object '{field}' is missing in the body")));
            }
            body[field] = json!(expected);
        } else if given != expected {
            return Err(Refusal::bad_request(format!(
                "the {field} in the data ({given}) does not match the expected {field} ({expected})"
            )));
        }
    }
    if !body["metadata"].is_object() {
        body["metadata"] = json!({});
    }
    let given = text(&body["metadata"], "namespace").to_owned();
    if kind.namespaced {
        if given.is_empty() {
            body["metadata"]["namespace"] = json!(namespace);
        } else if given != namespace {
            return Err(Refusal::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
    } else if let Some(meta) = body["metadata"].as_object_mut() {
        meta.remove("namespace");
    }
    Ok(())
}

fn check_name(key: &Key, body: &Value) -> Result<(), Refusal> {
    let given = text(&body["metadata"], "name");
    if given == key.name {
        return Ok(());
    }
    let name = &key.name;
    Err(Refusal::bad_request(format!("the name of the object ({given}) does not match the name on the URL ({name})")))
}

/// Types, prunes and defaults a body.
fn decode(kind: &KindDef, mut body: Value) -> Result<Value, Refusal> {
    if let Some(builtin) = kind.builtin {
        return builtins::decode(builtin, body);
    }
    let meta = serde_json::from_value::<ObjectMeta>(body["metadata"].take())
        .and_then(serde_json::to_value)
        .map_err(|e| Refusal::bad_request(format!("metadata of the body cannot be read: {e}")))?;
    body["metadata"] = meta;
    if let Some(schema) = &kind.schema {
        schema::prune(schema, &mut body, true);
        schema::drop_nulls(schema, &mut body);
        schema::fill_defaults(schema, &mut body);
    }
    Ok(body)
}

fn check_namespace(state: &State, kind: &KindDef, namespace: &str, name: &str) -> Result<(), Refusal> {
    if !kind.namespaced {
        return Ok(());
    }
    let namespaces =
        state.kinds.find("", "v1", "namespaces").ok_or_else(|| Refusal::internal("namespaces are not served"))?;
    let Some(object) = state.get(&Key::new(&namespaces, "", namespace)) else {
        return Err(Refusal::not_found(namespaces.resource(namespace)));
    };
    if garbage::is_leaving(&object) {
        return Err(Refusal::namespace_terminating(kind.resource(name), namespace));
    }
    Ok(())
}

fn refuse_if(causes: Vec<Cause>, kind: &KindDef, name: &str) -> Result<(), Refusal> {
    if causes.is_empty() { Ok(()) } else { Err(Refusal::invalid(kind.named_kind(name), &causes)) }
}

/// Makes a new object.
pub fn create(
    state: &mut State,
    kind: &KindDef,
    namespace: &str,
    body: Value,
    options: &WriteOptions,
) -> Result<Arc<Value>, Refusal> {
    insert(state, kind, namespace, body, options, None)
}

fn insert(
    state: &mut State,
    kind: &KindDef,
    namespace: &str,
    mut body: Value,
    options: &WriteOptions,
    applied: Option<Vec<Entry>>,
) -> Result<Arc<Value>, Refusal> {
    check_place(kind, namespace, &mut body)?;
    let mut object = decode(kind, body)?;
    let meta = &mut object["metadata"];
    if !text(meta, "resourceVersion").is_empty() {
        return Err(Refusal::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let base = text(meta, "generateName");
    if text(meta, "name").is_empty() && !base.is_empty() {
        meta["name"] = json!(clock::generated_name(base));
    }
    let name = text(meta, "name").to_owned();
    check_namespace(state, kind, namespace, &name)?;
    if let Some(map) = meta.as_object_mut() {
        for field in ["selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "generation"] {
            map.remove(field);
        }
        map.insert("uid".to_owned(), clock::uid());
        map.insert("creationTimestamp".to_owned(), json!(clock::now()));
        if counts_generations(kind) {
            map.insert("generation".to_owned(), json!(1));
        }
    }
    definitions::initialize(kind, &mut object);
    let entries = applied.unwrap_or_else(|| {
        let mut own = options.entry(kind, false);
        own.set = ownership::fields_of(Shape::of(kind), &object);
        vec![own]
    });
    ownership::write(&mut object, &without_foreign_fields(kind, entries, options));
    let mut causes = validation::metadata(kind, &object["metadata"]);
    causes.extend(validation::content(kind, &object, None));
    refuse_if(causes, kind, &name)?;
    let key = Key::new(kind, if kind.namespaced { namespace } else { "" }, &name);
    if state.get(&key).is_some() {
        return Err(Refusal::already_exists(kind.resource(&name)));
    }
    if options.dry_run {
        return Ok(Arc::new(object));
    }
    let stored = state.put(key.clone(), object);
    definitions::written(state, kind, &key);
    Ok(stored)
}

fn counts_generations(kind: &KindDef) -> bool {
    kind.builtin.is_none_or(|b| b.generation)
}

/// Replaces an object by a body (PUT).
pub fn update(
    state: &mut State,
    kind: &KindDef,
    key: &Key,
    mut body: Value,
    options: &WriteOptions,
) -> Result<Arc<Value>, Refusal> {
    check_place(kind, &key.namespace, &mut body)?;
    check_name(key, &body)?;
    let old = state.get(key).ok_or_else(|| Refusal::not_found(kind.resource(&key.name)))?;
    let unconditional = kind.builtin.is_some_and(|b| !["Lease", "CustomResourceDefinition"].contains(&b.kind));
    if text(&body["metadata"], "resourceVersion").is_empty() && !unconditional {
        let cause = Cause::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
        return Err(Refusal::invalid(kind.named_kind(&key.name), &[cause]));
    }
    replace(state, kind, key, &old, body, options, None)
}

/// Patches an object; server-side apply makes it when it is absent.
pub fn patch(
    state: &mut State,
    kind: &KindDef,
    key: &Key,
    how: PatchKind,
    change: &Value,
    options: &WriteOptions,
) -> Result<Written, Refusal> {
    if how == PatchKind::Apply {
        return apply_config(state, kind, key, change.clone(), options);
    }
    if how == PatchKind::Strategic && kind.builtin.is_none() {
        return Err(Refusal::unsupported_media(&[
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/apply-patch+yaml",
        ]));
    }
    let old = state.get(key).ok_or_else(|| Refusal::not_found(kind.resource(&key.name)))?;
    let mut new = as_version(kind, &old);
    match how {
        PatchKind::Json => new = patch::json_patch(&new, change)?,
        _ if !change.is_object() => return Err(Refusal::bad_request("error decoding patch: not an object")),
        PatchKind::Strategic => patch::strategic(Shape::of(kind), &mut new, change),
        PatchKind::Merge | PatchKind::Apply => patch::merge(&mut new, change),
    }
    check_place(kind, &key.namespace, &mut new)?;
    check_name(key, &new)?;
    let uid = text(&new["metadata"], "uid");
    if !uid.is_empty() && uid != text(&old["metadata"], "uid") {
        let cause = Cause::invalid("metadata.uid", &json!(uid), "field is immutable");
        return Err(Refusal::invalid(kind.named_kind(&key.name), &[cause]));
    }
    Ok((replace(state, kind, key, &old, new, options, None)?, false))
}

fn apply_config(
    state: &mut State,
    kind: &KindDef,
    key: &Key,
    mut config: Value,
    options: &WriteOptions,
) -> Result<Written, Refusal> {
    if options.manager.is_empty() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        let of = super::status_errors::Named { group: "meta.k8s.io", what: "PatchOptions", name: "" };
        return Err(Refusal::invalid(of, &[cause]));
    }
    if text(&config, "kind").is_empty() || text(&config, "apiVersion").is_empty() {
        return Err(Refusal::bad_request("error decoding YAML: Object 'Kind' is missing in the body"));
    }
    check_place(kind, &key.namespace, &mut config)?;
    if config["metadata"]["managedFields"].as_array().is_some_and(|m| !m.is_empty()) {
        return Err(Refusal::bad_request("metadata.managedFields must be nil"));
    }
    if text(&config["metadata"], "name").is_empty() {
        config["metadata"]["name"] = json!(key.name);
    }
    check_name(key, &config)?;
    let by = Applier { entry: options.entry(kind, true), force: options.force };
    let Some(old) = state.get(key) else {
        if options.status {
            return Err(Refusal::not_found(kind.resource(&key.name)));
        }
        if !text(&config["metadata"], "uid").is_empty() {
            return Err(Refusal::conflict(kind.resource(&key.name), "uid mismatch: no existing object was found"));
        }
        let (_, entries) = apply::apply(Shape::of(kind), &json!({"metadata": {}}), &config, &by)?;
        return Ok((insert(state, kind, &key.namespace, config, options, Some(entries))?, true));
    };
    let live = as_version(kind, &old);
    let (merged, entries) = apply::apply(Shape::of(kind), &live, &config, &by)?;
    Ok((replace(state, kind, key, &old, merged, options, Some(entries))?, false))
}

/// The object in the version that the request names; all versions share one form.
pub fn as_version(kind: &KindDef, object: &Value) -> Value {
    let mut out = object.clone();
    out["apiVersion"] = json!(kind.api_version());
    out
}

/// Owners lose the fields that a write through this path does not reach.
fn without_foreign_fields(kind: &KindDef, mut entries: Vec<Entry>, options: &WriteOptions) -> Vec<Entry> {
    if kind.status {
        let through = if options.status { "status" } else { "" };
        for entry in entries.iter_mut().filter(|e| e.manager == options.manager && e.subresource == through) {
            entry.set.retain(|path| (path.first() == Some(&Step::Field("status".to_owned()))) == options.status);
        }
    }
    entries
}

fn replace(
    state: &mut State,
    kind: &KindDef,
    key: &Key,
    old: &Arc<Value>,
    candidate: Value,
    options: &WriteOptions,
    applied: Option<Vec<Entry>>,
) -> Result<Arc<Value>, Refusal> {
    let resource = kind.resource(&key.name);
    let old_meta = &old["metadata"];
    let given = text(&candidate["metadata"], "resourceVersion").to_owned();
    if !given.is_empty() && given != text(old_meta, "resourceVersion") {
        return Err(Refusal::stale(resource));
    }
    let uid = text(&candidate["metadata"], "uid");
    if !uid.is_empty() && uid != text(old_meta, "uid") {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", text(old_meta, "uid"));
        return Err(Refusal::conflict(resource, &why));
    }
    let resets_owners = candidate["metadata"]["managedFields"] == json!([{}]);
    let mut new = decode(kind, candidate)?;
    if options.status {
        let status = new["status"].take();
        new = as_version(kind, old);
        set_or_remove(&mut new, "status", status);
    } else if kind.status {
        set_or_remove(&mut new, "status", old["status"].clone());
    }
    let filled =
        ["uid", "creationTimestamp", "resourceVersion", "namespace", "deletionTimestamp", "deletionGracePeriodSeconds"];
    for field in filled {
        if new["metadata"].get(field).is_none() && !old_meta[field].is_null() {
            new["metadata"][field] = old_meta[field].clone();
        }
    }
    for field in ["generation", "selfLink"] {
        set_or_remove(&mut new["metadata"], field, old_meta[field].clone());
    }
    definitions::carry_over(kind, old, &mut new);

    let shape = Shape::of(kind);
    let entries = match applied {
        Some(entries) => entries,
        None if resets_owners => Vec::new(),
        None => ownership::after_update(shape, &ownership::read(old), old, &new, &options.entry(kind, false)),
    };
    ownership::write(&mut new, &without_foreign_fields(kind, entries, options));
    keep_times(old, &mut new);

    if counts_generations(kind) && !options.status && differs_in_spec(kind, old, &new) {
        let generation = old_meta["generation"].as_i64().unwrap_or_default() + 1;
        new["metadata"]["generation"] = json!(generation);
    }
    let mut causes = validation::metadata_change(old_meta, &new["metadata"]);
    causes.extend(validation::metadata(kind, &new["metadata"]));
    if garbage::is_leaving(old) {
        let had = old_meta["finalizers"].as_array().cloned().unwrap_or_default();
        let fresh = new["metadata"]["finalizers"].as_array().into_iter().flatten().any(|f| !had.contains(f));
        if fresh {
            let words = "no new finalizers can be added if the object is being deleted";
            causes.push(Cause::forbidden("metadata.finalizers", words));
        }
    }
    causes.extend(validation::content(kind, &new, Some(old)));
    refuse_if(causes, kind, &key.name)?;

    if new == **old {
        return Ok(old.clone());
    }
    if options.dry_run {
        return Ok(Arc::new(new));
    }
    let stored = garbage::finish(state, key, new);
    definitions::written(state, kind, key);
    Ok(stored)
}

fn set_or_remove(target: &mut Value, field: &str, value: Value) {
    if value.is_null() {
        if let Some(map) = target.as_object_mut() {
            map.shift_remove(field);
        }
    } else {
        target[field] = value;
    }
}

/// An owner whose fields did not change keeps the time of its last write.
fn keep_times(old: &Value, new: &mut Value) {
    let before = ownership::read(old);
    let mut after = ownership::read(new);
    if after.len() == before.len()
        && after.iter().all(|a| before.iter().any(|b| b.is_same_manager(a) && b.set == a.set))
        && without_owners(old) == without_owners(new)
    {
        after = before;
        ownership::write(new, &after);
    }
}

fn without_owners(object: &Value) -> Value {
    let mut out = object.clone();
    if let Some(meta) = out["metadata"].as_object_mut() {
        meta.remove("managedFields");
    }
    out
}

/// Whether the part that `metadata.generation` counts differs.
fn differs_in_spec(kind: &KindDef, old: &Value, new: &Value) -> bool {
    if kind.builtin.is_some() {
        return old["spec"] != new["spec"];
    }
    let counted = |object: &Value| {
        let mut out = object.clone();
        if let Some(map) = out.as_object_mut() {
            map.remove("metadata");
            map.remove("apiVersion");
            if kind.status {
                map.remove("status");
            }
        }
        out
    };
    counted(old) != counted(new)
}
