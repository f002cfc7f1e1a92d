//! Built-in kinds: their table, and how a body becomes a stored object (types, unknown fields, defaults).

use k8s_openapi::api::{
    apps::v1 as apps, batch::v1 as batch, coordination::v1 as coordination, core::v1 as core,
    networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::status_errors::Refusal;

/// One built-in kind.
#[derive(Debug)]
pub struct Builtin {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind of one object.
    pub kind: &'static str,
    /// Name in the path.
    pub plural: &'static str,
    /// Short names, in discovery.
    pub short_names: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether `/status` is a resource of its own.
    pub status: bool,
    /// Whether the server counts changes of `spec` in `metadata.generation`.
    pub generation: bool,
    /// Paths that a field selector may name besides name and namespace.
    pub selectable: &'static [&'static str],
    /// Reads the body as the kind's type and writes it again: wrong types are refused, unknown fields dropped.
    pub retype: fn(Value) -> Result<Value, serde_json::Error>,
}

fn retype<T: Serialize + DeserializeOwned>(value: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<T>(value)?)
}

const fn entry(
    (group, version, kind, plural): (&'static str, &'static str, &'static str, &'static str),
    short_names: &'static [&'static str],
    (status, generation): (bool, bool),
    selectable: &'static [&'static str],
    retype: fn(Value) -> Result<Value, serde_json::Error>,
) -> Builtin {
    Builtin { group, version, kind, plural, short_names, namespaced: true, status, generation, selectable, retype }
}

const fn cluster_wide(mut builtin: Builtin) -> Builtin {
    builtin.namespaced = false;
    builtin
}

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "reason",
    "type",
];
const POD_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.phase",
    "status.podIP",
];
const RBAC: &str = "rbac.authorization.k8s.io";
const NONE: (bool, bool) = (false, false);

/// All built-in kinds.
pub static TABLE: [Builtin; 23] = [
    cluster_wide(entry(
        ("", "v1", "Namespace", "namespaces"),
        &["ns"],
        (true, false),
        &["status.phase"],
        retype::<core::Namespace>,
    )),
    cluster_wide(entry(
        ("", "v1", "Node", "nodes"),
        &["no"],
        (true, false),
        &["spec.unschedulable"],
        retype::<core::Node>,
    )),
    entry(("", "v1", "ConfigMap", "configmaps"), &["cm"], NONE, &[], retype::<core::ConfigMap>),
    entry(("", "v1", "Secret", "secrets"), &[], NONE, &["type"], retype::<core::Secret>),
    entry(("", "v1", "Service", "services"), &["svc"], (true, false), &[], retype::<core::Service>),
    entry(("", "v1", "ServiceAccount", "serviceaccounts"), &["sa"], NONE, &[], retype::<core::ServiceAccount>),
    entry(("", "v1", "Pod", "pods"), &["po"], (true, false), POD_FIELDS, retype::<core::Pod>),
    entry(("", "v1", "Event", "events"), &["ev"], NONE, EVENT_FIELDS, retype::<core::Event>),
    entry(
        ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
        &["pvc"],
        (true, false),
        &[],
        retype::<core::PersistentVolumeClaim>,
    ),
    entry(("apps", "v1", "Deployment", "deployments"), &["deploy"], (true, true), &[], retype::<apps::Deployment>),
    entry(("apps", "v1", "StatefulSet", "statefulsets"), &["sts"], (true, true), &[], retype::<apps::StatefulSet>),
    entry(("apps", "v1", "DaemonSet", "daemonsets"), &["ds"], (true, true), &[], retype::<apps::DaemonSet>),
    entry(("apps", "v1", "ReplicaSet", "replicasets"), &["rs"], (true, true), &[], retype::<apps::ReplicaSet>),
    entry(("batch", "v1", "Job", "jobs"), &[], (true, false), &["status.successful"], retype::<batch::Job>),
    entry(("coordination.k8s.io", "v1", "Lease", "leases"), &[], NONE, &[], retype::<coordination::Lease>),
    entry((RBAC, "v1", "Role", "roles"), &[], NONE, &[], retype::<rbac::Role>),
    entry((RBAC, "v1", "RoleBinding", "rolebindings"), &[], NONE, &[], retype::<rbac::RoleBinding>),
    cluster_wide(entry((RBAC, "v1", "ClusterRole", "clusterroles"), &[], NONE, &[], retype::<rbac::ClusterRole>)),
    cluster_wide(entry(
        (RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings"),
        &[],
        NONE,
        &[],
        retype::<rbac::ClusterRoleBinding>,
    )),
    entry(
        ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
        &["netpol"],
        (false, true),
        &[],
        retype::<networking::NetworkPolicy>,
    ),
    entry(
        ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
        &["pdb"],
        (true, true),
        &[],
        retype::<policy::PodDisruptionBudget>,
    ),
    entry(
        ("", "v1", "ReplicationController", "replicationcontrollers"),
        &["rc"],
        (true, true),
        &[],
        retype::<core::ReplicationController>,
    ),
    cluster_wide(entry(
        ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"),
        &["crd", "crds"],
        (true, true),
        &[],
        retype::<CustomResourceDefinition>,
    )),
];

/// Numbers stand for quantities in JSON too; the typed form knows text only.
fn quantities_to_text(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                if ["limits", "requests", "capacity", "allocatable", "hard"].contains(&key.as_str()) {
                    for quantity in child.as_object_mut().into_iter().flat_map(|m| m.values_mut()) {
                        if quantity.is_number() {
                            *quantity = json!(quantity.to_string());
                        }
                    }
                }
                quantities_to_text(child);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(quantities_to_text),
        _ => {}
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, child| !child.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Types the body and fills in the kind's defaults. A body of another shape is refused with a 400.
pub fn decode(builtin: &Builtin, mut value: Value) -> Result<Value, Refusal> {
    if builtin.kind != "CustomResourceDefinition" {
        drop_nulls(&mut value);
    }
    quantities_to_text(&mut value);
    if builtin.kind == "Secret" {
        fold_string_data(&mut value);
    }
    let mut value = (builtin.retype)(value).map_err(|e| {
        let kind = builtin.kind;
        Refusal::bad_request(format!("{kind} in version {:?} cannot be handled as a {kind}: {e}", builtin.version))
    })?;
    fill_defaults(builtin, &mut value);
    Ok(value)
}

/// `stringData` is write-only: its texts land in `data`.
fn fold_string_data(value: &mut Value) {
    use base64::Engine;
    let Some(Value::Object(texts)) = value.as_object_mut().and_then(|m| m.remove("stringData")) else { return };
    for (key, text) in texts {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default());
        value["data"][key] = json!(encoded);
    }
}

fn default(value: &mut Value, key: &str, default: Value) {
    if let Some(map) = value.as_object_mut() {
        map.entry(key).or_insert(default);
    }
}

fn fill_defaults(builtin: &Builtin, object: &mut Value) {
    match builtin.kind {
        "Namespace" => {
            let name = object["metadata"]["name"].clone();
            if name.is_string() {
                default(&mut object["metadata"], "labels", json!({}));
                default(&mut object["metadata"]["labels"], "kubernetes.io/metadata.name", name);
            }
        }
        "Secret" => default(object, "type", json!("Opaque")),
        "Pod" => {
            pod_defaults(&mut object["spec"]);
            default(object, "status", json!({"phase": "Pending"}));
        }
        "Service" => service_defaults(&mut object["spec"]),
        "Deployment" => {
            let spec = &mut object["spec"];
            default(spec, "replicas", json!(1));
            default(spec, "revisionHistoryLimit", json!(10));
            default(spec, "progressDeadlineSeconds", json!(600));
            default(spec, "strategy", json!({}));
            default(&mut spec["strategy"], "type", json!("RollingUpdate"));
            if spec["strategy"]["type"] == "RollingUpdate" {
                default(&mut spec["strategy"], "rollingUpdate", json!({}));
                default(&mut spec["strategy"]["rollingUpdate"], "maxUnavailable", json!("25%"));
                default(&mut spec["strategy"]["rollingUpdate"], "maxSurge", json!("25%"));
            }
            template_defaults(spec);
        }
        "StatefulSet" => {
            let spec = &mut object["spec"];
            default(spec, "replicas", json!(1));
            default(spec, "revisionHistoryLimit", json!(10));
            default(spec, "podManagementPolicy", json!("OrderedReady"));
            default(spec, "updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}));
            template_defaults(spec);
        }
        "DaemonSet" => {
            let spec = &mut object["spec"];
            default(spec, "revisionHistoryLimit", json!(10));
            default(spec, "updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}));
            template_defaults(spec);
        }
        "ReplicaSet" | "ReplicationController" => {
            default(&mut object["spec"], "replicas", json!(1));
            template_defaults(&mut object["spec"]);
        }
        "Job" => {
            let spec = &mut object["spec"];
            default(spec, "backoffLimit", json!(6));
            if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
                default(spec, "completions", json!(1));
            }
            default(spec, "parallelism", json!(1));
            template_defaults(spec);
        }
        "CustomResourceDefinition" => crd_defaults(&mut object["spec"]),
        _ => {}
    }
}

fn template_defaults(spec: &mut Value) {
    if spec["template"]["spec"].is_object() {
        pod_defaults(&mut spec["template"]["spec"]);
    }
}

fn pod_defaults(spec: &mut Value) {
    for (key, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
    ] {
        default(spec, key, value);
    }
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        default(spec, "serviceAccount", account);
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let image = container["image"].as_str().unwrap_or_default();
            let last = image.rsplit('/').next().unwrap_or_default();
            let latest = !image.contains('@') && (last.ends_with(":latest") || !last.contains(':'));
            default(container, "imagePullPolicy", json!(if latest { "Always" } else { "IfNotPresent" }));
            default(container, "terminationMessagePath", json!("/dev/termination-log"));
            default(container, "terminationMessagePolicy", json!("File"));
            default(container, "resources", json!({}));
            for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                default(port, "protocol", json!("TCP"));
            }
        }
    }
}

fn service_defaults(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    default(spec, "type", json!("ClusterIP"));
    default(spec, "sessionAffinity", json!("None"));
    if spec["type"] != "ExternalName" {
        let address = format!("10.96.{}.{}", fastrand::u8(..), fastrand::u8(1..));
        default(spec, "clusterIP", json!(address));
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        default(port, "protocol", json!("TCP"));
        let number = port["port"].clone();
        default(port, "targetPort", number);
    }
}

fn crd_defaults(spec: &mut Value) {
    let kind = spec["names"]["kind"].as_str().unwrap_or_default().to_owned();
    default(&mut spec["names"], "singular", json!(kind.to_lowercase()));
    default(&mut spec["names"], "listKind", json!(format!("{kind}List")));
    default(spec, "conversion", json!({"strategy": "None"}));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(kind: &str) -> &'static Builtin {
        TABLE.iter().find(|b| b.kind == kind).unwrap()
    }

    #[test]
    fn unknown_fields_go_and_defaults_come() {
        let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {
            "selector": {"matchLabels": {"a": "b"}}, "nonsense": 1, "template": {"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i:1", "ports": [{"containerPort": 80}],
                     "resources": {"limits": {"cpu": 1}}}]}}}});
        let out = decode(find("Deployment"), body).unwrap();
        assert!(out["spec"].get("nonsense").is_none());
        assert_eq!(out["spec"]["replicas"], 1);
        let container = &out["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        assert_eq!(container["imagePullPolicy"], "IfNotPresent");
        assert_eq!(container["resources"]["limits"]["cpu"], "1");
    }

    #[test]
    fn wrong_types_are_refused() {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": 1}});
        assert!(decode(find("ConfigMap"), body).is_err());
    }

    #[test]
    fn string_data_is_folded() {
        let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"k": "v"}});
        let out = decode(find("Secret"), body).unwrap();
        assert_eq!(out["data"]["k"], "dg==");
        assert!(out.get("stringData").is_none());
    }
}
