//! Rules of metadata, and of the built-in kinds that have some beyond their types.

use serde_json::{Value, json};

use super::kinds::KindDef;
use super::schema;
use super::selectors::{Labels, is_dns_label, is_dns_subdomain, is_label_key, is_label_value};
use super::status_errors::Cause;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
    an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
    must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Annotations together may hold this many bytes.
const ANNOTATION_BYTES: u64 = 256 * 1024;

fn name_fault(kind: &KindDef, name: &str) -> Option<String> {
    let path_safe = || {
        if name == "." || name == ".." {
            return Some(format!("may not be '{name}'"));
        }
        name.chars().find(|c| ['/', '%'].contains(c)).map(|bad| format!("may not contain '{bad}'"))
    };
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Namespace") => (!is_dns_label(name)).then(|| LABEL.to_owned()),
        ("", "Service") => {
            let letter = name.starts_with(|c: char| c.is_ascii_lowercase());
            (!is_dns_label(name) || !letter).then(|| {
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                 character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                 validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
                    .to_owned()
            })
        }
        ("rbac.authorization.k8s.io", _) => path_safe(),
        _ => (!is_dns_subdomain(name)).then(|| SUBDOMAIN.to_owned()),
    }
}

/// What is wrong with an object's metadata.
pub fn metadata(kind: &KindDef, meta: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    match meta["name"].as_str() {
        None | Some("") => causes.push(Cause::required("metadata.name", "name or generateName is required")),
        Some(name) => {
            if let Some(why) = name_fault(kind, name) {
                causes.push(Cause::invalid("metadata.name", &json!(name), &why));
            }
        }
    }
    for (key, value) in meta["labels"].as_object().into_iter().flatten() {
        if !is_label_key(key) {
            causes.push(Cause::invalid("metadata.labels", &json!(key), QUALIFIED));
        }
        if !value.as_str().is_some_and(is_label_value) {
            causes.push(Cause::invalid("metadata.labels", value, VALUE));
        }
    }
    let mut bytes = 0;
    for (key, value) in meta["annotations"].as_object().into_iter().flatten() {
        if !is_label_key(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &json!(key), QUALIFIED));
        }
        bytes += (key.len() + value.as_str().map_or(0, str::len)) as u64;
    }
    if bytes > ANNOTATION_BYTES {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATION_BYTES));
    }
    for (at, finalizer) in meta["finalizers"].as_array().into_iter().flatten().enumerate() {
        let name = finalizer.as_str().unwrap_or_default();
        let known = ["orphan", "foregroundDeletion", "kubernetes"].contains(&name);
        if !is_label_key(name) {
            causes.push(Cause::invalid("metadata.finalizers", finalizer, QUALIFIED));
        } else if kind.builtin.is_some() && !known && !name.contains('/') {
            let words = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(format!("metadata.finalizers[{at}]"), finalizer, words));
        }
    }
    let mut controllers = 0;
    for owner in meta["ownerReferences"].as_array().into_iter().flatten() {
        for (field, words) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "kind must not be empty"),
            ("name", "name must not be empty"),
            ("uid", "uid must not be empty"),
        ] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                causes.push(Cause::invalid(format!("metadata.ownerReferences.{field}"), &owner[field], words));
            }
        }
        controllers += usize::from(owner["controller"] == json!(true));
    }
    if controllers > 1 {
        let words = "Only one reference can have Controller set to true";
        causes.push(Cause::invalid("metadata.ownerReferences", &meta["ownerReferences"], words));
    }
    causes
}

/// What a body's metadata may not change.
pub fn metadata_change(old: &Value, new: &Value) -> Vec<Cause> {
    ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
        .into_iter()
        .filter(|field| old[field] != new[field])
        .map(|field| Cause::invalid(format!("metadata.{field}"), &new[field], "field is immutable"))
        .collect()
}

/// What is wrong with the object besides its metadata; `old` is what it replaces.
pub fn content(kind: &KindDef, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    if let Some(schema) = &kind.schema {
        return schema::validate(schema, object, "");
    }
    match kind.kind.as_str() {
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => workload(object, old),
        "Pod" => pod_spec(&object["spec"], "spec"),
        "Job" => pod_spec(&object["spec"]["template"]["spec"], "spec.template.spec"),
        "ConfigMap" | "Secret" => data_keys(object),
        "CustomResourceDefinition" => definition(object),
        "Lease" => lease(&object["spec"]),
        _ => Vec::new(),
    }
}

fn workload(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &object["spec"];
    let mut causes = Vec::new();
    let selector = &spec["selector"];
    let is_empty = |v: &Value| v.as_object().is_none_or(serde_json::Map::is_empty);
    if is_empty(&selector["matchLabels"]) && selector["matchExpressions"].as_array().is_none_or(Vec::is_empty) {
        if selector.as_object().is_none_or(serde_json::Map::is_empty) {
            causes.push(Cause::required("spec.selector", ""));
        }
        causes.push(Cause::invalid("spec.selector", selector, "empty selector is invalid for deployment"));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if !Labels::from_object(selector).matches_labels(labels) {
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            labels,
            "`selector` does not match template `labels`",
        ));
    }
    if spec["replicas"].as_i64().is_some_and(|n| n < 0) {
        causes.push(Cause::invalid("spec.replicas", &spec["replicas"], "must be greater than or equal to 0"));
    }
    causes.extend(pod_spec(&spec["template"]["spec"], "spec.template.spec"));
    if let Some(old) = old
        && old["spec"]["selector"] != *selector
    {
        causes.push(Cause::invalid("spec.selector", selector, "field is immutable"));
    }
    causes
}

fn pod_spec(spec: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let containers = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    for (list, containers) in [
        ("containers", containers),
        ("initContainers", spec["initContainers"].as_array().map(Vec::as_slice).unwrap_or_default()),
    ] {
        for (at, container) in containers.iter().enumerate() {
            let path = format!("{path}.{list}[{at}]");
            let name = container["name"].as_str().unwrap_or_default();
            if name.is_empty() {
                causes.push(Cause::required(format!("{path}.name"), ""));
            } else if !is_dns_label(name) {
                causes.push(Cause::invalid(format!("{path}.name"), &json!(name), LABEL));
            } else if containers[..at].iter().any(|c| c["name"] == name) {
                causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
            }
            if container["image"].as_str().unwrap_or_default().is_empty() {
                causes.push(Cause::required(format!("{path}.image"), ""));
            }
        }
    }
    causes
}

fn data_keys(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for key in object["data"].as_object().into_iter().flat_map(|m| m.keys()) {
        let fits = !key.is_empty()
            && key.len() <= 253
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && key != "."
            && !key.starts_with("..");
        if !fits {
            let words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  \
                or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
            causes.push(Cause::invalid(format!("data[{key}]"), &json!(key), words));
        }
    }
    causes
}

fn lease(spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if spec["leaseDurationSeconds"].as_i64().is_some_and(|n| n <= 0) {
        let (field, value) = ("spec.leaseDurationSeconds", &spec["leaseDurationSeconds"]);
        causes.push(Cause::invalid(field, value, "must be greater than 0"));
    }
    if spec["leaseTransitions"].as_i64().is_some_and(|n| n < 0) {
        let value = &spec["leaseTransitions"];
        causes.push(Cause::invalid("spec.leaseTransitions", value, "must be greater than or equal to 0"));
    }
    causes
}

fn definition(object: &Value) -> Vec<Cause> {
    let spec = &object["spec"];
    let mut causes = Vec::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    for (field, value) in [("group", &group), ("names.plural", &plural), ("names.kind", &text(&spec["names"]["kind"]))]
    {
        if value.is_empty() {
            causes.push(Cause::required(format!("spec.{field}"), ""));
        }
    }
    if text(&object["metadata"]["name"]) != format!("{plural}.{group}") {
        let words = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &object["metadata"]["name"], words));
    }
    let scopes = ["Cluster".to_owned(), "Namespaced".to_owned()];
    if !scopes.contains(&text(&spec["scope"])) {
        causes.push(Cause::not_supported("spec.scope", &spec["scope"], &scopes));
    }
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if versions.iter().filter(|v| v["storage"] == json!(true)).count() != 1 {
        let words = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &spec["versions"], words));
    }
    for (at, version) in versions.iter().enumerate() {
        let path = if versions.len() == 1 {
            "spec.validation.openAPIV3Schema".to_owned()
        } else {
            format!("spec.versions[{at}].schema.openAPIV3Schema")
        };
        if version["schema"]["openAPIV3Schema"].is_object() {
            schema::structural_faults(&version["schema"]["openAPIV3Schema"], &path, true, &mut causes);
        } else {
            let path = format!("spec.versions[{at}].schema.openAPIV3Schema");
            causes.push(Cause::required(path, "schemas are required"));
        }
    }
    causes
}
