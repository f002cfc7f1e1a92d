//! What the engine knows of a workload.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::images::images_of;
use crate::rollout::{self, Rollout, rollout_state};
use crate::spec::{TriggerSpec, WorkloadKind};

/// Marks a workload that a chaos run has changed; also the label on a run's own objects.
pub const RUN_LABEL: &str = "pilothouse.dev/run";

/// How the field managers of programs begin that carry chaos out. What they write on a workload is a run's doing.
const RUN_MANAGERS: [&str; 7] =
    ["pilothouse-run", "litmus", "chaos-operator", "chaos-runner", "go-runner", "experiments", "chaos-mesh"];

/// What a decision needs to know of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its images by container.
    pub images: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// A Deployment's own revision number, once the cluster has taken the newest change up.
    pub own_revision: Option<String>,
    /// How many replicas it asks for.
    pub replicas: i64,
    /// How many of them are ready.
    pub ready: i64,
    /// Whether the cluster has taken up its newest change.
    pub taken_up: bool,
    /// The run that says, on the workload itself, that it made a change.
    pub made_by_run: Option<String>,
    /// The program of a run that wrote the newest change, where the managed fields are at hand.
    pub written_by_run: Option<String>,
    /// Who set each container's image, where the managed fields are at hand.
    pub image_writers: BTreeMap<String, String>,
    /// How far its rollout is.
    pub rollout: Rollout,
    /// The object.
    pub object: Arc<Value>,
}

fn map(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let found = object.pointer(pointer).and_then(Value::as_object);
    found.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

impl Workload {
    /// Reads a workload object.
    pub fn read(kind: WorkloadKind, object: Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let entry = |map: &str, key: &str| {
            object.pointer(map).and_then(|map| map.get(key)).and_then(Value::as_str).map(str::to_owned)
        };
        let taken_up = rollout::taken_up(&object);
        Self {
            kind,
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            images: images_of(&object),
            labels: map(&object, "/metadata/labels"),
            annotations: map(&object, "/metadata/annotations"),
            own_revision: entry("/metadata/annotations", "deployment.kubernetes.io/revision")
                .filter(|_| kind == WorkloadKind::Deployment && taken_up),
            replicas: rollout::wanted(kind, &object),
            ready: rollout::ready(kind, &object),
            taken_up,
            made_by_run: entry("/spec/template/metadata/annotations", RUN_LABEL)
                .or_else(|| entry("/spec/template/metadata/labels", RUN_LABEL))
                .or_else(|| entry("/metadata/annotations", RUN_LABEL)),
            written_by_run: writer(&object),
            image_writers: image_writers(&object),
            rollout: rollout_state(kind, &object),
            object: Arc::new(object),
        }
    }

    /// The labels of its pods.
    pub fn pod_labels(&self) -> BTreeMap<String, String> {
        map(&self.object, "/spec/template/metadata/labels")
    }
}

/// Whether a field manager is a program that carries chaos out.
pub fn is_run_manager(manager: &str) -> bool {
    RUN_MANAGERS.iter().any(|prefix| manager.starts_with(prefix))
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The entries of the managed fields that are about the spec and not only a status.
fn written(object: &Value) -> impl Iterator<Item = &Value> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let of_spec = |one: &&Value| text(one, "subresource").is_empty() && one.pointer("/fieldsV1/f:spec").is_some();
    entries.into_iter().flatten().filter(of_spec)
}

/// The manager of the newest write, if it is a run's program. Times are kept to the second; of two in one second the
/// run's is taken, since what it did is known to have been done to this workload.
fn writer(object: &Value) -> Option<String> {
    let newest = written(object).max_by_key(|one| (text(one, "time"), is_run_manager(text(one, "manager"))))?;
    Some(text(newest, "manager").to_owned()).filter(|manager| is_run_manager(manager))
}

/// Who set each container's image last: who changes a field takes it from whoever had it.
fn image_writers(object: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in written(object) {
        for list in ["f:containers", "f:initContainers"] {
            let pod = entry.pointer("/fieldsV1/f:spec/f:template/f:spec");
            let containers = pod.and_then(|pod| pod.get(list)).and_then(Value::as_object);
            for (key, fields) in containers.into_iter().flatten() {
                let named = key.strip_prefix("k:").and_then(|key| serde_json::from_str::<Value>(key).ok());
                let Some(name) = named.as_ref().map(|named| text(named, "name")) else { continue };
                if fields.get("f:image").is_some() {
                    found.insert(name.to_owned(), text(entry, "manager").to_owned());
                }
            }
        }
    }
    found
}

/// Whether a trigger watches a workload.
pub fn watches(spec: &TriggerSpec, workload: &Workload) -> bool {
    let target = &spec.target;
    let has = |wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>| {
        wanted.iter().all(|(key, value)| found.get(key) == Some(value))
    };
    target.kind == workload.kind
        && target.namespace == workload.namespace
        && (target.names.is_empty() || target.names.contains(&workload.name))
        && has(&target.labels, &workload.labels)
        && has(&target.annotations, &workload.annotations)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_writer_counts_and_only_a_program_of_a_run() {
        let object = |managers: &[(&str, &str, &str)]| {
            let fields: Vec<Value> = managers
                .iter()
                .map(|(manager, time, sub)| {
                    json!({"manager": manager, "time": time, "subresource": sub, "fieldsV1": {"f:spec": {}}})
                })
                .collect();
            Workload::read(WorkloadKind::Deployment, json!({"metadata": {"managedFields": fields}})).written_by_run
        };
        let (first, second) = ("2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z");
        assert_eq!(object(&[("kubectl", first, ""), ("litmus-go", second, "")]).as_deref(), Some("litmus-go"));
        assert_eq!(object(&[("litmus-go", first, ""), ("argocd-controller", second, "")]), None);
        assert_eq!(object(&[("kubectl", first, ""), ("chaos-operator", second, "status")]), None);
        assert_eq!(object(&[]), None);
        assert_eq!(object(&[("litmus-go", first, ""), ("unknown", first, "")]).as_deref(), Some("litmus-go"));
    }

    #[test]
    fn who_set_an_image_is_known_by_container() {
        let fields = |name: &str, field: &str| {
            let key = format!("k:{{\"name\":\"{name}\"}}");
            json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {key: {field: {}}}}}}})
        };
        let entry = |manager: &str, fields: Value| json!({"manager": manager, "fieldsV1": fields});
        let object = json!({"metadata": {"managedFields": [
            entry("litmus", fields("app", "f:image")), entry("kubectl", fields("app", "f:env")),
            entry("argocd-controller", fields("side", "f:image")), entry("x", json!({"f:spec": {"f:replicas": {}}}))]}});
        let writers = Workload::read(WorkloadKind::Deployment, object).image_writers;
        let wanted = [("app", "litmus"), ("side", "argocd-controller")];
        assert_eq!(writers, wanted.map(|(name, manager)| (name.to_owned(), manager.to_owned())).into());
    }

    #[test]
    fn targets() {
        let spec = |target: Value| -> TriggerSpec {
            let mut all = json!({"kind": "DaemonSet", "namespace": "shop"});
            all.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
            serde_json::from_value(json!({"project": "p", "workflow": "w", "target": all})).unwrap()
        };
        let cart = Workload::read(
            WorkloadKind::DaemonSet,
            json!({"metadata": {"name": "cart", "namespace": "shop", "labels": {"app": "cart"},
                "annotations": {"tested": "yes"}}}),
        );
        assert!(watches(&spec(json!({"names": ["cart"]})), &cart));
        assert!(watches(&spec(json!({"labels": {"app": "cart"}, "annotations": {"tested": "yes"}})), &cart));
        assert!(!watches(&spec(json!({"names": ["cart"], "annotations": {"tested": "no"}})), &cart));
        assert!(!watches(&spec(json!({"names": ["cart"], "namespace": "other"})), &cart));
        assert!(!watches(&spec(json!({"names": ["cart"], "kind": "Deployment"})), &cart));
    }
}
