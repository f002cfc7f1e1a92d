//! ReplicaSet and StatefulSet controllers and a kubelet that starts every pod, for a cluster
//! that is only an API.

use std::sync::Arc;

use kube::api::{DeleteParams, DynamicObject};
use kube::runtime::controller::Action;
use serde_json::{Value, json};

use super::application_sets::merge;
use super::kinds::{POD, REPLICA_SET, STATEFUL_SET};
use super::object_fields::{Fields, Named, canonical, owner_reference, random_suffix, short_hash};
use super::workload_pods::is_ready;
use super::{Kind, Part, Scene, also_watch, controller, play};
use crate::Result;

/// The ReplicaSet controller.
pub(super) fn replica_sets(scene: &Arc<Scene>) -> Part {
    let sets = owning_pods(scene, REPLICA_SET);
    Box::pin(play("replicaset", sets, scene.clone(), REPLICA_SET, replica_set))
}

/// The StatefulSet controller.
pub(super) fn stateful_sets(scene: &Arc<Scene>) -> Part {
    let sets = owning_pods(scene, STATEFUL_SET);
    Box::pin(play("statefulset", sets, scene.clone(), STATEFUL_SET, stateful_set))
}

/// The kubelet.
pub(super) fn pods(scene: &Arc<Scene>) -> Part {
    let pods = controller(scene, POD, "");
    Box::pin(play("kubelet", pods, scene.clone(), POD, pod))
}

fn owning_pods(scene: &Scene, kind: Kind) -> kube::runtime::controller::Controller<DynamicObject> {
    let sets = controller(scene, kind, "");
    also_watch(sets, scene, (POD, ""), kind, move |pod| match pod.owner(kind.kind) {
        "" => Vec::new(),
        owner => vec![(pod.ns().into(), owner.into())],
    })
}

async fn pods_of(scene: &Scene, owner: &DynamicObject) -> Result<Vec<DynamicObject>> {
    let mut pods = scene.list(POD, owner.ns(), "").await?;
    pods.retain(|p| p.owned_by(owner.uid()) && !p.deleting());
    Ok(pods)
}

fn pod_from(kind: Kind, owner: &DynamicObject, name: &str, labels: Value) -> Value {
    let template = owner.at("/spec/template");
    let mut metadata = template.at("/metadata").clone();
    merge(
        &mut metadata,
        &json!({
            "name": name,
            "labels": labels,
            "ownerReferences": [owner_reference(kind, owner)],
            "creationTimestamp": null,
        }),
    );
    json!({ "metadata": metadata, "spec": template.at("/spec") })
}

async fn replica_set(set: Arc<DynamicObject>, scene: Arc<Scene>) -> Result<Action> {
    if set.deleting() {
        return Ok(Action::await_change());
    }
    let wanted = usize::try_from(set.at("/spec/replicas").as_i64().unwrap_or(1)).unwrap_or(0);
    let mut pods = pods_of(&scene, &set).await?;
    while pods.len() < wanted {
        let name = format!("{}-{}", set.name(), random_suffix(5));
        let pod = pod_from(REPLICA_SET, &set, &name, json!({}));
        scene.create(POD, set.ns(), pod).await?;
        pods.push(scene.want(POD, set.ns(), &name).await?);
    }
    // Those that are not ready go first.
    pods.sort_by_key(|p| !is_ready(p));
    for pod in pods.drain(wanted..) {
        scene.delete(POD, set.ns(), pod.name()).await?;
    }
    let ready = pods.iter().filter(|p| is_ready(p)).count();
    let count = |n: usize| if n == 0 { Value::Null } else { json!(n) };
    let status = json!({
        "observedGeneration": set.metadata.generation.unwrap_or_default(),
        "replicas": pods.len(),
        "fullyLabeledReplicas": count(pods.len()),
        "readyReplicas": count(ready),
        "availableReplicas": count(ready),
    });
    write_status(&scene, REPLICA_SET, &set, status).await
}

async fn stateful_set(set: Arc<DynamicObject>, scene: Arc<Scene>) -> Result<Action> {
    if set.deleting() {
        return Ok(Action::await_change());
    }
    let label = "controller-revision-hash";
    let wanted = usize::try_from(set.at("/spec/replicas").as_i64().unwrap_or(1)).unwrap_or(0);
    let update = format!("{}-{}", set.name(), short_hash(&canonical(set.at("/spec/template"))));
    let mut pods = pods_of(&scene, &set).await?;
    let ordinal = |pod: &DynamicObject| -> usize {
        let (_, number) = pod.name().rsplit_once('-').unwrap_or_default();
        number.parse().unwrap_or(usize::MAX)
    };
    pods.sort_by_key(ordinal);
    // One change at a time, as the real controller does: first what is missing, in order; then
    // what is too much and what is old, from the end.
    let all_ready = pods.iter().all(is_ready);
    let missing = (0..wanted).find(|n| !pods.iter().any(|p| ordinal(p) == *n));
    let superfluous = pods.iter().rfind(|p| ordinal(p) >= wanted);
    let old = pods.iter().rfind(|p| p.label(label) != update);
    if let (Some(number), true) = (missing, all_ready) {
        let name = format!("{}-{number}", set.name());
        let labels = json!({ label: update, "statefulset.kubernetes.io/pod-name": name });
        let pod = pod_from(STATEFUL_SET, &set, &name, labels);
        scene.create(POD, set.ns(), pod).await?;
    } else if let Some(pod) = superfluous.or(old.filter(|_| all_ready)) {
        scene.delete(POD, set.ns(), pod.name()).await?;
    }
    let pods = pods_of(&scene, &set).await?;
    let ready = pods.iter().filter(|p| is_ready(p)).count();
    let updated = pods.iter().filter(|p| p.label(label) == update).count();
    let done = updated == wanted && ready == wanted && pods.len() == wanted;
    let current = match (done, set.text("/status/currentRevision")) {
        (true, _) | (_, "") => update.clone(),
        (false, earlier) => earlier.to_string(),
    };
    let count = |n: usize| if n == 0 { Value::Null } else { json!(n) };
    let status = json!({
        "observedGeneration": set.metadata.generation.unwrap_or_default(),
        "replicas": pods.len(),
        "readyReplicas": count(ready),
        "availableReplicas": ready,
        "updatedReplicas": count(updated),
        "currentReplicas": count(if done { updated } else { pods.len() - updated }),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": 0,
    });
    write_status(&scene, STATEFUL_SET, &set, status).await
}

async fn write_status(scene: &Scene, kind: Kind, object: &DynamicObject, status: Value) -> Result<Action> {
    let mut merged = object.at("/status").clone();
    merge(&mut merged, &status);
    if merged != *object.at("/status") {
        scene.merge_status(kind, object.ns(), object.name(), status).await?;
    }
    Ok(Action::await_change())
}

async fn pod(pod: Arc<DynamicObject>, scene: Arc<Scene>) -> Result<Action> {
    if pod.deleting() {
        // The kubelet confirms a graceful deletion once the containers are gone.
        let now = DeleteParams::default().grace_period(0);
        let outcome = scene.api(POD, pod.ns()).delete(pod.name(), &now).await;
        return match outcome {
            Ok(_) => Ok(Action::await_change()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Action::await_change()),
            Err(error) => Err(error.into()),
        };
    }
    // What a task's pod comes to is written by who runs the task.
    if !matches!(pod.text("/status/phase"), "" | "Pending") {
        return Ok(Action::await_change());
    }
    scene.pause().await;
    let now = scene.now();
    let condition =
        |kind: &str| json!({ "type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": now });
    let containers: Vec<Value> = pod
        .items("/spec/containers")
        .iter()
        .map(|c| {
            let image = c.text("/image");
            json!({
                "name": c.text("/name"),
                "image": image,
                "imageID": image.split_once('@').map_or(image, |(_, digest)| digest),
                "containerID": format!("practice://{}", short_hash(pod.uid())),
                "ready": true,
                "started": true,
                "restartCount": 0,
                "state": { "running": { "startedAt": now } },
                "lastState": {},
            })
        })
        .collect();
    let kinds = ["Initialized", "Ready", "ContainersReady", "PodScheduled"];
    let status = json!({
        "phase": "Running",
        "startTime": now,
        "hostIP": "192.0.2.1",
        "podIP": format!("198.51.100.{}", fastrand::u8(1..250)),
        "qosClass": "BestEffort",
        "conditions": kinds.map(condition),
        "containerStatuses": containers,
    });
    scene.merge_status(POD, pod.ns(), pod.name(), status).await?;
    Ok(Action::await_change())
}
