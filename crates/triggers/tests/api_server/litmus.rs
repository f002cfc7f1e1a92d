//! Litmus' policies as triggers: what they say, without what is wrong with the tracker they were written for.

use kube::api::PostParams;
use pilothouse_cluster::{Kind, kinds};
use pilothouse_triggers::litmus::Policy;
use pilothouse_triggers::litmus::annotations::{EXPERIMENT, GITOPS, WORKFLOW, named};
use pilothouse_triggers::litmus::export::export;
use pilothouse_triggers::litmus::import::{Workflows, import};
use pilothouse_triggers::spec::{Outcome, TriggerStatus, WorkloadKind};
use serde_json::{Value, json};

use crate::place::{Place, Running, containers, count, settled_on, stop};

/// A policy that went through the API server, imported for `cart`, which is annotated for it.
async fn imported(place: &Place, join: &str, conditions: Value) -> Running {
    imported_by(place, EXPERIMENT, join, conditions).await
}

async fn imported_by(place: &Place, spelling: &str, join: &str, conditions: Value) -> Running {
    pilothouse_rig_crds(place).await;
    place.deployment_of("cart", json!({GITOPS: "true", spelling: "id-1"})).await;
    let policy = json!({"metadata": {"name": "on-image"}, "spec": {"condition_type": join, "conditions": conditions}});
    place.create(&kinds::EVENT_TRACKER_POLICY, policy).await;
    let policies = place.cluster.api(&kinds::EVENT_TRACKER_POLICY, &place.namespace);
    let written = serde_json::to_value(policies.get("on-image").await.unwrap()).unwrap();
    let policy = Policy::read(&written).unwrap();
    let deployments = place.cluster.api(&kinds::DEPLOYMENT, &place.namespace);
    let cart = serde_json::to_value(deployments.get("cart").await.unwrap()).unwrap();
    assert_eq!(named(&cart).unwrap().spelling, spelling);
    let workflows: Workflows = [("id-1".to_owned(), ("shop".to_owned(), "kill-cart".to_owned()))].into();
    let made = import(&policy, &[(WorkloadKind::Deployment, cart)], &workflows);
    let [(name, spec)] = made.triggers.as_slice() else { panic!("{made:#?}") };
    place.create(&kinds::EVENT_TRIGGER, json!({"metadata": {"name": name}, "spec": spec})).await;
    let engine = place.engine();
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    engine
}

async fn pilothouse_rig_crds(place: &Place) {
    pilothouse_rig::crds::apply(&place.cluster.client()).await.unwrap();
}

fn image() -> Value {
    json!({"key": "spec.template.spec.containers[0].image", "operator": "Change"})
}

#[tokio::test(flavor = "multi_thread")]
async fn and_does_not_leave_out_what_did_not_change() {
    let place = Place::new().await;
    let two = json!({"key": "spec.replicas", "operator": "EqualTo", "value": "2"});
    let engine = imported(&place, "and", json!([two, image()])).await;
    // The image changed, and there is one replica: Litmus would leave the other condition out, and fire.
    place.image("app:2").await;
    place.until("the change to be passed over", |status| settled_on(status, "app:2")).await;
    assert!(place.status().await.decisions.is_empty());
    place.patch(json!({"spec": {"replicas": 2}})).await;
    place.image("app:3").await;
    place.settled("app:3", 1).await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_finds_a_list_or_a_map_brings_nothing_down() {
    let place = Place::new().await;
    let images = json!({"key": "spec.template.spec.containers[*].image", "operator": "Change"});
    let labels = json!({"key": "metadata.labels", "operator": "Change"});
    let engine = imported(&place, "or", json!([images, labels])).await;
    place.patch(containers(json!([{"name": "side", "image": "side:1"}]))).await;
    place.until("a run", |status| count(status, Outcome::Fired) == 1).await;
    place.patch(json!({"metadata": {"labels": {"tier": "gold"}}})).await;
    place.until("another", |status| count(status, Outcome::Fired) == 2).await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_not_compared_as_texts() {
    let place = Place::new().await;
    let less = json!({"key": "spec.progressDeadlineSeconds", "operator": "LessThan", "value": "9"});
    let engine = imported(&place, "and", json!([less])).await;
    // As texts, 10 comes before 9.
    place.patch(json!({"spec": {"progressDeadlineSeconds": 10}})).await;
    place.patch(json!({"spec": {"progressDeadlineSeconds": 8}})).await;
    place.until("a run", |status| count(status, Outcome::Fired) == 1 && status.open_runs().is_empty()).await;
    place.patch(json!({"spec": {"progressDeadlineSeconds": 100}})).await;
    place.patch(json!({"spec": {"progressDeadlineSeconds": 7}})).await;
    place.until("another", |status| count(status, Outcome::Fired) == 2).await;
    assert_eq!(place.created().await.len(), 2);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_annotation_counts_too_and_only_while_the_workload_is_switched_on() {
    let place = Place::new().await;
    let engine = imported_by(&place, WORKFLOW, "or", json!([image()])).await;
    place.image("app:2").await;
    place.settled("app:2", 1).await;
    place.patch(json!({"metadata": {"annotations": {GITOPS: "false"}}})).await;
    place.image("app:3").await;
    place.patch(json!({"metadata": {"annotations": {GITOPS: "true"}}})).await;
    place.image("app:4").await;
    let on_four = |status: &TriggerStatus| settled_on(status, "app:4") && count(status, Outcome::Waited) == 0;
    place.until("the switch to be on again", on_four).await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_the_rollout_and_runs_once_though_the_policy_is_written_to() {
    let place = Place::new().await;
    let engine = imported(&place, "or", json!([image()])).await;
    place.patch(json!({"spec": {"paused": true}})).await;
    place.image("app:2").await;
    place.newest(Outcome::Waited, "paused").await;
    // Others write to the policy all the while; its `statuses` are nobody's queue here, and nothing is lost in a conflict.
    let policies = place.cluster.api(&kinds::EVENT_TRACKER_POLICY, &place.namespace);
    for n in 0..5 {
        let mut policy = policies.get("on-image").await.unwrap();
        policy.data["statuses"] =
            json!([{"result": "ConditionPassed", "is_triggered": "false", "experiment_id": n.to_string()}]);
        policies.replace("on-image", &PostParams::default(), &policy).await.unwrap();
    }
    place.patch(json!({"spec": {"paused": false}})).await;
    place.settled("app:2", 1).await;
    // The engine goes and comes back: what changed meanwhile is not lost, and nothing runs twice.
    stop(engine).await;
    place.image("app:3").await;
    let engine = place.engine();
    place.newest(Outcome::Missed, "no engine").await;
    assert_eq!(place.created().await.len(), 1);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_for_litmus_is_a_policy_that_the_cluster_takes() {
    let place = Place::new().await;
    pilothouse_rig_crds(&place).await;
    let spec = json!({"project": "shop", "workflow": "w", "guards": {"soakSeconds": 60},
        "target": {"kind": "Deployment", "namespace": place.namespace, "names": ["cart"]},
        "when": {"any": [{"imageChanged": {}}, {"label": {"key": "a.b/c", "operator": "Changed"}}]}});
    let written = export("plain", &serde_json::from_value(spec).unwrap(), &place.namespace, "id-1");
    let kind: &Kind = &kinds::EVENT_TRACKER_POLICY;
    place.create(kind, written.policy.unwrap()).await;
    let stored = place.cluster.api(kind, &place.namespace).get("plain").await.unwrap();
    assert_eq!(stored.data["spec"]["conditions"].as_array().unwrap().len(), 2, "nothing of it was pruned");
    let lost: Vec<_> = written.unhonoured.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(lost, ["guards.waitForRollout", "guards.soakSeconds", "target"]);
}
