//! What a ChaosEngine aims at: `appinfo`, or `selectors` of workloads or pods.

use kube::api::DynamicObject;
use serde_json::Value;

use super::kinds::{DEPLOYMENT, POD, STATEFUL_SET};
use super::object_fields::{Fields, Named};
use super::workload_pods::is_ready;
use super::{Kind, Scene};
use crate::Result;

/// The pods that an engine aims at, and words for them.
pub(crate) struct Target {
    /// `deployment cart` or the like.
    pub words: String,
    /// Lower-case kind and name of the workload, as ChaosResult history names it.
    pub kind: String,
    pub name: String,
    pub pods: Vec<DynamicObject>,
}

impl Target {
    pub fn ready(&self) -> usize {
        self.pods.iter().filter(|p| is_ready(p)).count()
    }
}

/// Finds what an engine aims at now.
pub(crate) async fn find(scene: &Scene, engine: &DynamicObject) -> Result<Target> {
    let workload = &engine.at("/spec/selectors/workloads/0");
    let pods = &engine.at("/spec/selectors/pods/0");
    if workload.is_object() {
        return by_workload(scene, engine, workload).await;
    }
    if pods.is_object() {
        let names = pods.texts("/names");
        let mut found = scene.list(POD, namespace(pods, "/namespace", engine), "").await?;
        found.retain(|p| names.iter().any(|n| n == p.name()));
        return Ok(Target {
            words: format!("pods {}", names.join(", ")),
            kind: "pod".into(),
            name: names.join(","),
            pods: found,
        });
    }
    let app = engine.at("/spec/appinfo");
    let label = app.text("/applabel");
    let place = namespace(app, "/appns", engine);
    let kind = workload_kind(app.text("/appkind"));
    if label.is_empty() {
        return Ok(nothing(kind, "without a label"));
    }
    // A label may be that of the workload or that of its pods.
    let workloads = scene.list(kind, place, label).await?;
    let mut target = match workloads.as_slice() {
        [] => nothing(kind, label),
        found => from_workloads(scene, kind, found).await?,
    };
    if target.pods.is_empty() {
        target.pods = scene.list(POD, place, label).await?;
    }
    Ok(target)
}

async fn by_workload(scene: &Scene, engine: &DynamicObject, wanted: &Value) -> Result<Target> {
    let kind = workload_kind(wanted.text("/kind"));
    let place = namespace(wanted, "/namespace", engine);
    // Names are one text with commas in the CRD and a list in some manifests.
    let mut names = wanted.texts("/names");
    names.extend(wanted.text("/names").split(',').map(|n| n.trim().to_string()));
    names.retain(|n| !n.is_empty());
    let labels = wanted.text("/labels");
    let found: Vec<DynamicObject> = match names.is_empty() {
        true if labels.is_empty() => Vec::new(),
        true => scene.list(kind, place, labels).await?,
        false => {
            let mut all = scene.list(kind, place, "").await?;
            all.retain(|w| names.iter().any(|n| n == w.name()));
            all
        }
    };
    match found.as_slice() {
        [] => Ok(nothing(kind, if names.is_empty() { labels } else { &names[0] })),
        found => from_workloads(scene, kind, found).await,
    }
}

async fn from_workloads(scene: &Scene, kind: Kind, workloads: &[DynamicObject]) -> Result<Target> {
    let mut pods = Vec::new();
    let mut names = Vec::new();
    for workload in workloads {
        names.push(workload.name().to_string());
        let labels: Vec<String> = workload
            .at("/spec/selector/matchLabels")
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
            .collect();
        if !labels.is_empty() {
            pods.extend(scene.list(POD, workload.ns(), &labels.join(",")).await?);
        }
    }
    let kind = kind.kind.to_lowercase();
    Ok(Target { words: format!("{kind} {}", names.join(", ")), kind, name: names.join(","), pods })
}

fn nothing(kind: Kind, name: &str) -> Target {
    let kind = kind.kind.to_lowercase();
    Target { words: format!("{kind} {name}"), kind, name: name.into(), pods: Vec::new() }
}

fn workload_kind(text: &str) -> Kind {
    match text.to_lowercase().as_str() {
        "statefulset" => STATEFUL_SET,
        _ => DEPLOYMENT,
    }
}

fn namespace<'v>(value: &'v Value, pointer: &str, engine: &'v DynamicObject) -> &'v str {
    match value.text(pointer) {
        "" => engine.ns(),
        named => named,
    }
}
