//! What is a change of an image, and what is none.

use kube::api::{Patch, PatchParams};
use pilothouse_cluster::kinds;
use pilothouse_triggers::spec::{Outcome, TriggerStatus};
use serde_json::{Value, json};

use crate::place::{Place, containers, count, settled_on, stop};
use crate::watched::{at_rest, watched, watched_with};

/// The digest of an image, made of one letter.
fn digest(letter: &str) -> String {
    format!("app:2@sha256:{}", letter.repeat(64))
}

/// Waits for one more run, and for everything to be over; returns the reason of that run.
async fn fires(place: &Place, runs: usize) -> String {
    let over = |status: &TriggerStatus| count(status, Outcome::Fired) == runs && at_rest(status);
    let status = place.until("one more run", over).await;
    assert_eq!(place.created().await.len(), runs, "{:#?}", status.decisions);
    assert_eq!(status.decisions.len(), runs, "nothing else was decided: {:#?}", status.decisions);
    status.decisions.last().unwrap().reason.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn case_53_each_kind_of_change_of_an_image_fires_once() {
    // The rollout of an init container does not end on the rig's node, which runs nothing.
    let (place, engine) = watched(json!({"waitForRollout": false})).await;

    place.image("app:2").await;
    assert_eq!(fires(&place, 1).await, "the image of app changed", "the tag");
    place.image(&digest("a")).await;
    fires(&place, 2).await;
    place.image(&digest("b")).await;
    assert_eq!(fires(&place, 3).await, "the image of app changed", "the digest alone");
    let init = json!({"spec": {"template": {"spec": {"initContainers": [{"name": "prepare", "image": "init:1"}]}}}});
    place.patch(init).await;
    assert_eq!(fires(&place, 4).await, "the image of prepare changed", "an init container");
    place.patch(containers(json!([{"name": "app", "image": "app:1"}, {"name": "proxy", "image": "proxy:1"}]))).await;
    assert_eq!(fires(&place, 5).await, "the image of app, proxy changed");
    place.patch(containers(json!([{"name": "app", "image": "proxy:1"}, {"name": "proxy", "image": "app:1"}]))).await;
    assert_eq!(fires(&place, 6).await, "the image of app, proxy changed", "two containers that swap their images");
    place.patch(containers(json!([{"name": "app", "image": "app:1"}, {"name": "proxy", "image": "proxy:1"}]))).await;
    fires(&place, 7).await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_53_a_sidecar_that_somebody_else_injects_can_be_left_out() {
    let (place, engine) = watched_with(json!({"when": {"imageChanged": {"except": ["proxy"]}}})).await;
    // As a webhook would: the container comes, and later has another image.
    for image in ["proxy:1", "proxy:2"] {
        place.patch(containers(json!([{"name": "proxy", "image": image}]))).await;
        let seen = |status: &TriggerStatus| status.observed[0].images.get("proxy").is_some_and(|one| one == image);
        place.until("the sidecar", seen).await;
    }
    place.image("app:2").await;
    assert_eq!(fires(&place, 1).await, "the image of app changed");
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_53_a_rollback_is_a_change_like_any_other() {
    let (place, engine) = watched(json!({})).await;
    for (image, runs) in [("app:2", 1), ("app:1", 2), ("app:2", 3), ("app:1", 4)] {
        place.image(image).await;
        place.settled(image, runs).await;
    }
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_54_scales_statuses_annotations_and_lists_fire_nothing() {
    let (place, engine) = watched(json!({"waitForRollout": false})).await;
    let deployments = place.cluster.api(&kinds::DEPLOYMENT, &place.namespace);
    for round in 0..3 {
        place.patch(json!({"spec": {"replicas": 2 + round}})).await;
        place.patch(json!({"metadata": {"annotations": {"note": round.to_string()}}})).await;
        place.patch(json!({"metadata": {"labels": {"note": round.to_string()}}})).await;
        let parameters = PatchParams::default();
        let status = json!({"status": {"conditions": [{"type": "Progressing", "status": "Unknown",
            "lastUpdateTime": null, "lastTransitionTime": null, "reason": round.to_string()}]}});
        deployments.patch_status("cart", &parameters, &Patch::Strategic(&status)).await.unwrap();
        // A template that rolls without another image.
        let restarted = json!({"metadata": {"annotations": {"restarted": round.to_string()}}});
        place.patch(json!({"spec": {"template": restarted}})).await;
    }
    // The engine comes back, and lists everything anew.
    stop(engine).await;
    let engine = place.engine();
    place.image("app:2").await;
    // That one is either seen or, made before the engine looked, offered; what came before it is neither.
    let over = |status: &TriggerStatus| settled_on(status, "app:2") && at_rest(status);
    let status = place.until("the one change", over).await;
    assert_eq!(status.decisions.len(), 1, "{:#?}", status.decisions);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_55_a_change_while_nothing_ran_is_offered_and_a_rollback_too() {
    let (place, engine) = watched(json!({})).await;
    place.image("app:2").await;
    place.settled("app:2", 1).await;
    stop(engine).await;
    place.image("app:1").await;
    let engine = place.engine();
    let offer = place.newest(Outcome::Missed, "no engine").await;
    assert_eq!((offer.old_images["app"].as_str(), offer.new_images["app"].as_str()), ("app:2", "app:1"));
    assert_eq!(place.created().await.len(), 1);
    // A person takes the offer up; it runs once, also when the engine comes back.
    let run = offer.run.unwrap();
    let key = format!("approve.pilothouse.dev/{run}");
    place.patch_trigger(json!({"metadata": {"annotations": {key: "yes olha"}}})).await;
    let status = place.settled("app:1", 2).await;
    assert!(place.created().await.contains(&run));
    assert!(status.decisions.last().unwrap().reason.contains("olha"));
    stop(engine).await;
    let engine = place.engine();
    place.image("app:3").await;
    let over = |status: &TriggerStatus| settled_on(status, "app:3") && count(status, Outcome::Waited) == 0;
    place.until("the next change", over).await;
    assert_eq!(place.created().await.iter().filter(|one| **one == run).count(), 1);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_55_a_change_while_nothing_ran_runs_where_that_is_the_policy() {
    let (place, engine) = watched_with(json!({"whileAway": "Run"})).await;
    stop(engine).await;
    place.image("app:2").await;
    let engine = place.engine();
    place.settled("app:2", 1).await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_conditions_fire_on_what_they_name() {
    let place = Place::new().await;
    place.deployment().await;
    let when = json!({"any": [
        {"all": [{"label": {"key": "tier", "operator": "Changed"}}, {"replicas": {"operator": "LessThan", "value": "10"}}]},
        {"env": {"name": "LEVEL", "operator": "Equals", "value": "debug"}},
        {"field": {"path": "spec.template.spec.containers[name=app].resources.limits.memory",
            "operator": "GreaterThan", "value": "900Mi"}},
        {"cel": "new.spec.minReadySeconds > 3 && old.spec.minReadySeconds <= 3"}]});
    let first = json!({"spec": {"minReadySeconds": 1}});
    place.patch(first).await;
    place.trigger_with(json!({"when": when, "guards": {"waitForRollout": false}})).await;
    let engine = place.engine();
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    let app = |more: Value| {
        let mut one = json!({"name": "app"});
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        containers(json!([one]))
    };
    place.patch(json!({"metadata": {"labels": {"tier": "gold"}}})).await;
    assert_eq!(fires(&place, 1).await, "the label tier changed");
    place.patch(app(json!({"env": [{"name": "LEVEL", "value": "debug"}]}))).await;
    assert_eq!(fires(&place, 2).await, "the variable LEVEL changed");
    place.patch(app(json!({"env": [{"name": "LEVEL", "value": "info"}]}))).await;
    place.patch(app(json!({"resources": {"limits": {"memory": "1Gi"}}}))).await;
    fires(&place, 3).await;
    place.patch(json!({"spec": {"minReadySeconds": 5}})).await;
    fires(&place, 4).await;
    // What is remembered holds no value of a variable.
    let kept = serde_json::to_string(&place.status().await.observed).unwrap();
    assert!(kept.contains("LEVEL") && !kept.contains("debug") && !kept.contains("info"), "{kept}");
    stop(engine).await;
}
