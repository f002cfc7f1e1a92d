//! An image trigger: it fires once for each change of an image, and for nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use pilothouse_cluster::kinds;
use pilothouse_triggers::spec::{Outcome, TriggerStatus};
use serde_json::{Value, json};

use crate::place::{Place, count, settled_on, stop};
use crate::watched::watched;

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_image_fires_once_and_nothing_else_does() {
    let (place, engine) = watched(json!({})).await;

    // Neither scaling nor annotating is a change; both are over before the one that counts.
    place.patch(json!({"spec": {"replicas": 2}})).await;
    place.patch(json!({"metadata": {"annotations": {"x": "y"}}})).await;
    place.image("app:2").await;
    let status = place.until("one run", |status| count(status, Outcome::Fired) == 1).await;
    assert_eq!(status.decisions.len(), 1, "{:#?}", status.decisions);
    let fired = &status.decisions[0];
    assert_eq!((fired.old_images["app"].as_str(), fired.new_images["app"].as_str()), ("app:1", "app:2"));
    assert_eq!(place.created().await, [fired.run.clone().unwrap()]);
    place.until("its verdict", |status| status.decisions[0].verdict.as_deref() == Some("Pass")).await;
    stop(engine).await;

    // The engine comes back: the re-list is no change, and neither is another annotation. A second trigger on the same
    // workload tells when the engine has looked at it.
    let engine = place.engine();
    place.patch(json!({"metadata": {"annotations": {"x": "z"}}})).await;
    place
        .create(
            &kinds::EVENT_TRIGGER,
            json!({"metadata": {"name": "witness"}, "spec": {"project": "shop", "workflow": "w",
                "target": {"kind": "Deployment", "namespace": place.namespace, "names": ["cart"]}}}),
        )
        .await;
    let witness = place.cluster.api(&kinds::EVENT_TRIGGER, &place.namespace);
    while witness.get("witness").await.unwrap().data.pointer("/status/observed/0").is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    witness.delete("witness", &Default::default()).await.unwrap();
    assert_eq!(place.created().await.len(), 1);

    // Images that were there before come back: that is a change, and another run.
    place.image("app:1").await;
    let status = place.until("the second run", |status| count(status, Outcome::Fired) == 2).await;
    let runs: BTreeSet<_> = status.decisions.iter().filter_map(|one| one.run.clone()).collect();
    assert_eq!(runs, place.created().await.into_iter().filter(|run| runs.contains(run)).collect());
    assert_eq!(runs.len(), 2);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_fires_once_for_each_change_of_an_image_and_for_nothing_else() {
    let place = Place::new().await;
    let pod = json!({"terminationGracePeriodSeconds": 0, "containers": [{"name": "app", "image": "db:1"}]});
    let set = json!({"metadata": {"name": "db"}, "spec": {"replicas": 1, "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}}, "template": {"metadata": {"labels": {"app": "db"}}, "spec": pod}}});
    place.create(&kinds::STATEFUL_SET, set).await;
    let spec = json!({"project": "shop", "workflow": "kill-db",
        "target": {"kind": "StatefulSet", "namespace": place.namespace, "names": ["db"]}});
    place.create(&kinds::EVENT_TRIGGER, json!({"metadata": {"name": "on-image"}, "spec": spec})).await;
    let api = place.cluster.api(&kinds::STATEFUL_SET, &place.namespace);
    let patch = async |patch: Value| {
        api.patch("db", &PatchParams::default(), &Patch::Strategic(&patch)).await.unwrap();
    };
    let template = |pod: Value| json!({"spec": {"template": {"spec": pod}}});
    let images = |status: &TriggerStatus| status.observed.first().map(|one| one.images.clone()).unwrap_or_default();
    let wanted = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, image)| ((*name).to_owned(), (*image).to_owned())).collect()
    };
    // A change is over when its one run has its verdict, and nothing waits.
    let settled = async |pairs: &[(&str, &str)], runs: usize| {
        let status = place
            .until("a settled change", |status| {
                images(status) == wanted(pairs)
                    && count(status, Outcome::Fired) == runs
                    && status.decisions.iter().all(|one| one.verdict.is_some())
            })
            .await;
        assert_eq!(status.decisions.len(), runs, "{:#?}", status.decisions);
        assert_eq!(place.created().await.len(), runs);
    };

    let engine = place.engine();
    place.until("the first sight", |status| images(status) == wanted(&[("app", "db:1")])).await;
    // Scaling, annotating and an annotation of the template, which even rolls the pods, are no change of an image. They
    // are made before each change that counts, whose decision they would come before.
    let nothing = async |n: usize| {
        patch(json!({"spec": {"replicas": 1 + n % 2}})).await;
        patch(json!({"metadata": {"annotations": {"x": n.to_string()}}})).await;
        patch(json!({"spec": {"template": {"metadata": {"annotations": {"x": n.to_string()}}}}})).await;
    };
    nothing(1).await;
    patch(template(json!({"containers": [{"name": "app", "image": "db:2"}]}))).await;
    settled(&[("app", "db:2")], 1).await;

    // The tag stays, the digest is another.
    let digest = |c: &str| format!("db:2@sha256:{}", c.repeat(64));
    nothing(2).await;
    patch(template(json!({"containers": [{"name": "app", "image": digest("a")}]}))).await;
    settled(&[("app", &digest("a"))], 2).await;
    patch(template(json!({"containers": [{"name": "app", "image": digest("b")}]}))).await;
    settled(&[("app", &digest("b"))], 3).await;

    // An init container comes, and then its image changes. Those of the rig's node never end, so that their rollouts
    // are not waited for.
    let guards = json!({"spec": {"guards": {"waitForRollout": false}}});
    let triggers = place.cluster.api(&kinds::EVENT_TRIGGER, &place.namespace);
    triggers.patch("on-image", &PatchParams::default(), &Patch::Merge(&guards)).await.unwrap();
    for (image, runs) in [("init:1", 4), ("init:2", 5)] {
        nothing(runs).await;
        patch(template(json!({"initContainers": [{"name": "prepare", "image": image}]}))).await;
        settled(&[("app", &digest("b")), ("prepare", image)], runs).await;
    }
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_engines_start_one_run() {
    let place = Place::new().await;
    place.deployment().await;
    place.trigger(json!({})).await;
    let engines = (place.engine(), place.engine());
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    for (image, runs) in [("app:2", 1), ("app:3", 2), ("app:2", 3)] {
        place.image(image).await;
        let ended = |status: &TriggerStatus| {
            settled_on(status, image)
                && count(status, Outcome::Fired) == runs
                && status.decisions.iter().all(|one| one.verdict.is_some())
        };
        place.until("a settled run", ended).await;
        assert_eq!(place.created().await.len(), runs);
    }
    stop(engines.0).await;
    stop(engines.1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_nobody_saw_is_offered_and_not_run() {
    let (place, engine) = watched(json!({})).await;
    stop(engine).await;
    place.image("app:2").await;
    let engine = place.engine();
    let status = place.until("the missed change", |status| count(status, Outcome::Missed) == 1).await;
    assert!(settled_on(&status, "app:2"));
    assert!(place.created().await.is_empty());
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_progress_holds_the_next_one_back() {
    let (place, engine) = watched(json!({"waitForRollout": false})).await;
    *place.launcher.open.lock().unwrap() = true;
    place.image("app:2").await;
    place.until("one run", |status| count(status, Outcome::Fired) == 1).await;
    place.image("app:3").await;
    let held = |status: &TriggerStatus| {
        status.decisions.iter().any(|one| one.decision == Outcome::Waited && one.reason.contains("not ended"))
    };
    place.until("the next change to wait", held).await;
    assert_eq!(place.created().await.len(), 1);
    // A restart in between loses nothing: the change was known.
    stop(engine).await;
    *place.launcher.open.lock().unwrap() = false;
    let engine = place.engine();
    place.until("the second run", |status| count(status, Outcome::Fired) == 2).await;
    assert_eq!(place.created().await.len(), 2);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_trigger_says_so() {
    let place = Place::new().await;
    place
        .create(
            &kinds::EVENT_TRIGGER,
            json!({"metadata": {"name": "on-image"}, "spec": {"project": "shop", "workflow": "w",
                "target": {"kind": "Deployment", "namespace": place.namespace}}}),
        )
        .await;
    let engine = place.engine();
    let status = place.until("a condition", |status| !status.conditions.is_empty()).await;
    assert_eq!(status.conditions[0]["status"], "False");
    assert!(status.conditions[0]["message"].as_str().unwrap().contains("names or labels"));
    stop(engine).await;
}
