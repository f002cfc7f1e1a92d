//! The Deployment controller of Kubernetes, for a cluster that is only an API: ReplicaSets by
//! template, rolling updates within surge and unavailability, and the status that clients read.
//! Never to be started where kube-controller-manager runs.

use std::sync::Arc;

use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use serde_json::{Value, json};

use super::application_sets::merge;
use super::kinds::{DEPLOYMENT, REPLICA_SET};
use super::object_fields::{Fields, Named, canonical, owner_reference, short_hash};
use super::{Part, Scene, also_watch, controller, play, pod_keeping};
use crate::Result;

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH_LABEL: &str = "pod-template-hash";

/// Every workload controller.
pub(super) fn workloads(scene: &Arc<Scene>) -> Vec<Part> {
    let deployments = controller(scene, DEPLOYMENT, "");
    let deployments =
        also_watch(deployments, scene, (REPLICA_SET, ""), DEPLOYMENT, |set| match set.owner(DEPLOYMENT.kind) {
            "" => Vec::new(),
            owner => vec![(set.ns().into(), owner.into())],
        });
    vec![
        Box::pin(play("deployment", deployments, scene.clone(), DEPLOYMENT, deployment)),
        pod_keeping::replica_sets(scene),
        pod_keeping::stateful_sets(scene),
        pod_keeping::pods(scene),
    ]
}

async fn deployment(deployment: Arc<DynamicObject>, scene: Arc<Scene>) -> Result<Action> {
    let namespace = deployment.ns();
    if deployment.deleting() {
        return Ok(Action::await_change());
    }
    let mut owned = scene.list(REPLICA_SET, namespace, "").await?;
    owned.retain(|s| s.owned_by(deployment.uid()) && !s.deleting());
    let hash = template_hash(deployment.at("/spec/template"));
    let newest = owned.iter().map(revision).max().unwrap_or(0);
    let paused = deployment.flag("/spec/paused");
    let position = owned.iter().position(|s| s.label(HASH_LABEL) == hash);
    let (new, number) = match position {
        Some(position) => {
            let new = owned.remove(position);
            let number = revision(&new);
            // Going back to an old template makes it the newest again.
            let number = if number < newest { newest + 1 } else { number };
            if number != revision(&new) {
                let patch = json!({ "metadata": { "annotations": { REVISION: number.to_string() } } });
                scene.merge(REPLICA_SET, namespace, new.name(), patch).await?;
            }
            (Some(new), number)
        }
        None if paused => (None, newest),
        None => {
            let number = newest + 1;
            let set = replica_set(&deployment, &hash, number);
            scene.create(REPLICA_SET, namespace, set).await?;
            let name = format!("{}-{hash}", deployment.name());
            (Some(scene.want(REPLICA_SET, namespace, &name).await?), number)
        }
    };
    if deployment.annotation(REVISION) != number.to_string() && number > 0 {
        let patch = json!({ "metadata": { "annotations": { REVISION: number.to_string() } } });
        scene.merge(DEPLOYMENT, namespace, deployment.name(), patch).await?;
    }
    let sizes = |set: &DynamicObject| Size {
        wanted: set.number("/spec/replicas"),
        ready: set.number("/status/readyReplicas"),
        present: set.number("/status/replicas"),
    };
    let wanted = deployment.at("/spec/replicas").as_i64().unwrap_or(1);
    let before: Vec<Size> = owned.iter().map(sizes).collect();
    let now = new.as_ref().map(sizes).unwrap_or_default();
    if let (Some(new), false) = (&new, paused) {
        let (new_size, old_sizes) = next_sizes(wanted, now, &before, limits(&deployment, wanted));
        for (set, size, current) in owned
            .iter()
            .zip(&old_sizes)
            .zip(&before)
            .map(|((set, size), old)| (set, *size, old.wanted))
            .chain([(new, new_size, now.wanted)])
        {
            if size != current {
                let patch = json!({ "spec": { "replicas": size } });
                scene.merge(REPLICA_SET, namespace, set.name(), patch).await?;
            }
        }
    }
    let name = new.as_ref().map_or("", |n| n.name());
    let status = status(&deployment, wanted, now, &before, name, &scene.now());
    let mut merged = deployment.at("/status").clone();
    merge(&mut merged, &status);
    if merged != *deployment.at("/status") {
        scene.merge_status(DEPLOYMENT, namespace, deployment.name(), status).await?;
    }
    Ok(Action::await_change())
}

fn revision(set: &DynamicObject) -> i64 {
    set.annotation(REVISION).parse().unwrap_or(0)
}

fn template_hash(template: &Value) -> String {
    short_hash(&canonical(template))
}

fn replica_set(deployment: &DynamicObject, hash: &str, number: i64) -> Value {
    let mut template = deployment.at("/spec/template").clone();
    template["metadata"]["labels"][HASH_LABEL] = json!(hash);
    let mut selector = deployment.at("/spec/selector").clone();
    selector["matchLabels"][HASH_LABEL] = json!(hash);
    json!({
        "metadata": {
            "name": format!("{}-{hash}", deployment.name()),
            "labels": template["metadata"]["labels"],
            "annotations": { REVISION: number.to_string() },
            "ownerReferences": [owner_reference(DEPLOYMENT, deployment)],
        },
        "spec": { "replicas": 0, "selector": selector, "template": template },
    })
}

/// How many pods a ReplicaSet wants, has, and has ready.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Size {
    wanted: i64,
    ready: i64,
    present: i64,
}

/// The greatest surge and unavailability of a Deployment, in pods.
fn limits(deployment: &DynamicObject, wanted: i64) -> (i64, i64) {
    if deployment.text("/spec/strategy/type") == "Recreate" {
        return (0, wanted);
    }
    let share = |pointer: &str, up: bool| {
        let value = deployment.at(pointer);
        let percent = match value {
            Value::Number(number) => return number.as_i64().unwrap_or(1),
            Value::String(text) => text.trim_end_matches('%').parse().unwrap_or(25),
            _ => 25,
        };
        match up {
            true => (wanted * percent + 99) / 100,
            false => wanted * percent / 100,
        }
    };
    let surge = share("/spec/strategy/rollingUpdate/maxSurge", true);
    let unavailable = share("/spec/strategy/rollingUpdate/maxUnavailable", false);
    match (surge, unavailable) {
        (0, 0) => (0, 1),
        limits => limits,
    }
}

/// The next size of the new ReplicaSet and of each old one: up within the surge, down as far as
/// enough pods stay ready.
fn next_sizes(wanted: i64, new: Size, old: &[Size], limits: (i64, i64)) -> (i64, Vec<i64>) {
    let (surge, unavailable) = limits;
    let old_total: i64 = old.iter().map(|s| s.wanted.max(s.present)).sum();
    let room = (wanted + surge - old_total - new.wanted).max(0);
    let grown = match new.wanted > wanted {
        true => wanted,
        false => wanted.min(new.wanted + room),
    };
    let ready: i64 = new.ready + old.iter().map(|s| s.ready).sum::<i64>();
    let mut spare = (ready - (wanted - unavailable)).max(0);
    let sizes = old
        .iter()
        .map(|size| {
            // What is not ready serves nobody and goes first.
            let idle = (size.wanted - size.ready).max(0);
            let down = (idle + spare.min(size.ready)).min(size.wanted);
            spare -= (down - idle).max(0);
            size.wanted - down
        })
        .collect();
    (grown, sizes)
}

fn status(deployment: &DynamicObject, wanted: i64, new: Size, old: &[Size], set: &str, now: &str) -> Value {
    let all = new.present + old.iter().map(|s| s.present).sum::<i64>();
    let ready = new.ready + old.iter().map(|s| s.ready).sum::<i64>();
    let complete = new.present == wanted && all == wanted && ready == wanted;
    let enough = ready >= wanted - limits(deployment, wanted).1;
    let available = match enough {
        true => ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        false => ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
    };
    let progress = match (deployment.flag("/spec/paused"), complete) {
        (true, _) => ("Unknown", "DeploymentPaused", "Deployment is paused".to_string()),
        (_, true) => ("True", "NewReplicaSetAvailable", format!("ReplicaSet \"{set}\" has successfully progressed.")),
        (_, false) => ("True", "ReplicaSetUpdated", format!("ReplicaSet \"{set}\" is progressing.")),
    };
    // Go leaves zero counts out.
    let count = |n: i64| if n == 0 { Value::Null } else { json!(n) };
    json!({
        "observedGeneration": deployment.metadata.generation.unwrap_or_default(),
        "replicas": count(all),
        "updatedReplicas": count(new.present),
        "readyReplicas": count(ready),
        "availableReplicas": count(ready),
        "unavailableReplicas": count((wanted.max(all) - ready).max(0)),
        "conditions": [
            with_times(deployment, "Available", available.0, available.1, available.2, now),
            with_times(deployment, "Progressing", progress.0, progress.1, &progress.2, now),
        ],
    })
}

/// A condition that keeps its times while nothing about it changes.
fn with_times(deployment: &DynamicObject, kind: &str, status: &str, reason: &str, message: &str, now: &str) -> Value {
    let old = deployment.items("/status/conditions").iter().find(|c| c.text("/type") == kind);
    let same_status = old.filter(|c| c.text("/status") == status);
    let same = same_status.filter(|c| c.text("/reason") == reason && c.text("/message") == message);
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": same.map_or(now, |c| c.text("/lastUpdateTime")),
        "lastTransitionTime": same_status.map_or(now, |c| c.text("/lastTransitionTime")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(wanted: i64, ready: i64) -> Size {
        Size { wanted, ready, present: wanted }
    }

    #[test]
    fn a_rolling_update_never_goes_below_what_is_promised() {
        for (wanted, surge, unavailable) in [(1, 1, 0), (2, 1, 0), (4, 1, 1), (5, 2, 1), (3, 0, 1)] {
            let (mut new, mut old) = (size(0, 0), size(wanted, wanted));
            let mut steps = 0;
            while new.ready < wanted || old.wanted > 0 {
                let (grown, sizes) = next_sizes(wanted, new, &[old], (surge, unavailable));
                old = size(sizes[0], old.ready.min(sizes[0]));
                assert!(grown + old.wanted <= wanted + surge, "surge of {wanted}");
                assert!(new.ready + old.ready >= wanted - unavailable, "ready of {wanted}");
                new = size(grown, grown);
                steps += 1;
                assert!(steps < 30, "never ends for {wanted}");
            }
        }
    }

    #[test]
    fn scaling_and_first_creation() {
        assert_eq!(next_sizes(3, size(0, 0), &[], (1, 0)), (3, vec![]));
        assert_eq!(next_sizes(1, size(4, 4), &[], (1, 0)), (1, vec![]));
        assert_eq!(next_sizes(0, size(2, 2), &[], (0, 0)), (0, vec![]));
        // Old pods that never became ready do not hold the update up.
        assert_eq!(next_sizes(2, size(1, 1), &[size(2, 0)], (1, 0)), (1, vec![0]));
    }
}
