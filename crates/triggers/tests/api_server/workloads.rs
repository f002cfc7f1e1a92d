//! Every kind of workload, rolled out by its own controller, and Argo's Rollout as Argo would write it.

use kube::api::{ListParams, Patch, PatchParams};
use pilothouse_cluster::{Kind, kinds};
use pilothouse_triggers::rollout::{Rollout, rollout_state};
use pilothouse_triggers::spec::{Outcome, WorkloadKind};
use serde_json::{Value, json};

use crate::place::{Place, count, settled_on, stop};

async fn image(place: &Place, kind: &Kind, image: &str) {
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}});
    let patch = if kind.group == "apps" { Patch::Strategic(patch) } else { Patch::Merge(patch) };
    place.cluster.api(kind, &place.namespace).patch("cart", &PatchParams::default(), &patch).await.unwrap();
}

/// A run is not started before all pods are of the new image and ready.
async fn is_run_after_its_rollout(kind: WorkloadKind) {
    let place = Place::new().await;
    let object = pilothouse_triggers::engine::kind_of(kind);
    place.workload(&object, "cart", json!({}), json!({})).await;
    let target = json!({"kind": object.kind, "namespace": place.namespace, "names": ["cart"]});
    place.trigger_with(json!({"target": target})).await;
    *place.launcher.looks_at.lock().unwrap() = Some((object, "cart".into()));
    let engine = place.engine();
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    for (n, next) in ["app:2", "app:3", "app:2"].into_iter().enumerate() {
        image(&place, &object, next).await;
        place.settled(next, n + 1).await;
        let (workload, pods) = place.launcher.looked.lock().unwrap().pop().unwrap();
        assert_eq!(rollout_state(kind, &workload), Rollout::Complete, "{workload:#}");
        let living: Vec<&Value> = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect();
        assert_eq!(living.len(), 1, "{kind:?}");
        assert_eq!(living[0]["spec"]["containers"][0]["image"], next);
        let ready = living[0]["status"]["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Ready");
        assert_eq!(ready.unwrap()["status"], "True");
    }
    assert_eq!(place.status().await.decisions.len(), 3);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_tested_after_its_rollout() {
    is_run_after_its_rollout(WorkloadKind::Deployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_is_tested_after_its_rollout() {
    is_run_after_its_rollout(WorkloadKind::StatefulSet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_set_is_tested_after_its_rollout() {
    is_run_after_its_rollout(WorkloadKind::DaemonSet).await;
}

/// The kind as Argo Rollouts serves it, as far as a trigger looks at it: the status is not a subresource there.
async fn serve_rollouts(place: &Place) {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "rollouts.argoproj.io"},
        "spec": {"group": "argoproj.io", "scope": "Namespaced",
            "names": {"kind": "Rollout", "listKind": "RolloutList", "plural": "rollouts", "singular": "rollout"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "properties": {"spec": open, "status": open}}},
                "subresources": {"status": {}}}]}});
    let definitions = place.cluster.api_all(&kinds::CRD);
    let applied = PatchParams::apply("test").force();
    definitions.patch("rollouts.argoproj.io", &applied, &Patch::Apply(crd)).await.unwrap();
    let served = place.cluster.api(&kinds::ROLLOUT, &place.namespace);
    while served.list(&ListParams::default()).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Plays the part of Argo's controller: what it writes of a Rollout.
async fn argo_writes(place: &Place, phase: &str, message: &str, hash: &str, stable: &str) {
    let api = place.cluster.api(&kinds::ROLLOUT, &place.namespace);
    let generation = api.get("cart").await.unwrap().metadata.generation.unwrap();
    let status = json!({"status": {"phase": phase, "message": message, "currentPodHash": hash, "stableRS": stable,
        "observedGeneration": generation.to_string(), "readyReplicas": 1, "replicas": 1}});
    api.patch_status("cart", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_argo_rollout_is_tested_once_its_new_revision_is_the_stable_one() {
    let place = Place::new().await;
    serve_rollouts(&place).await;
    place.workload(&kinds::ROLLOUT, "cart", json!({}), json!({})).await;
    argo_writes(&place, "Healthy", "", "one", "one").await;
    let target = json!({"kind": "Rollout", "namespace": place.namespace, "names": ["cart"]});
    place.trigger_with(json!({"target": target})).await;
    let engine = place.engine();
    place.until("the first sight", |status| settled_on(status, "app:1")).await;

    image(&place, &kinds::ROLLOUT, "app:2").await;
    place.newest(Outcome::Waited, "not taken the change up").await;
    argo_writes(&place, "Progressing", "more replicas need to be updated", "two", "one").await;
    place.newest(Outcome::Waited, "waiting for the rollout").await;
    // A canary that waits for somebody's word.
    argo_writes(&place, "Paused", "CanaryPauseStep", "two", "one").await;
    place.newest(Outcome::Waited, "paused").await;
    assert!(place.created().await.is_empty());
    argo_writes(&place, "Healthy", "", "two", "two").await;
    place.settled("app:2", 1).await;

    image(&place, &kinds::ROLLOUT, "app:3").await;
    argo_writes(&place, "Degraded", "RolloutAborted: metric failed", "three", "two").await;
    place.newest(Outcome::Waited, "the rollout fails: RolloutAborted").await;
    argo_writes(&place, "Degraded", "ProgressDeadlineExceeded: timed out", "three", "two").await;
    place.newest(Outcome::Waited, "within its deadline").await;
    // Scaling and the controller's own writes are no change; the rollback is, of the change that waited.
    image(&place, &kinds::ROLLOUT, "app:2").await;
    argo_writes(&place, "Healthy", "", "two", "two").await;
    place.newest(Outcome::Skipped, "taken back").await;
    assert_eq!(count(&place.status().await, Outcome::Fired), 1);
    stop(engine).await;
}
