//! "What would have fired", over the history that the cluster really keeps, beside what really did.

use kube::api::{ListParams, Patch, PatchParams};
use pilothouse_cluster::kinds;
use pilothouse_triggers::backtest::{backtest, history};
use pilothouse_triggers::engine::kind_of;
use pilothouse_triggers::rollout::{Rollout, rollout_state};
use pilothouse_triggers::spec::{Outcome, TriggerSpec, WorkloadKind};
use serde_json::{Value, json};

use crate::place::{Place, settled_on, stop};

type Moves = Vec<(String, String)>;

fn moves<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Moves {
    pairs.map(|(old, new)| (old.to_owned(), new.to_owned())).collect()
}

/// Deploys some images in turn under a trigger, and returns what fired, and what the backtest says would have.
async fn both(kind: WorkloadKind, images: &[&str]) -> (Moves, Moves) {
    let place = Place::new().await;
    let object = kind_of(kind);
    place.workload(&object, "cart", json!({}), json!({})).await;
    // Its history is kept beside.
    place.workload(&object, "other", json!({}), json!({})).await;
    let target = json!({"kind": object.kind, "namespace": place.namespace, "names": ["cart"]});
    place.trigger_with(json!({"target": target})).await;
    let engine = place.engine();
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    let api = place.cluster.api(&object, &place.namespace);
    // What is changed before its controller has seen it leaves no revision.
    while rollout_state(kind, &serde_json::to_value(api.get("cart").await.unwrap()).unwrap()) != Rollout::Complete {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for (n, image) in images.iter().enumerate() {
        let containers = json!([{"name": "app", "image": image}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        api.patch("cart", &PatchParams::default(), &Patch::Strategic(&patch)).await.unwrap();
        place.settled(image, n + 1).await;
    }
    stop(engine).await;
    let fired = place.status().await.decisions;
    let fired = moves(fired.iter().map(|one| (one.old_images["app"].as_str(), one.new_images["app"].as_str())));

    let kept = match kind {
        WorkloadKind::Deployment => kinds::REPLICA_SET,
        _ => kinds::CONTROLLER_REVISION,
    };
    let kept = place.cluster.api(&kept, &place.namespace).list(&ListParams::default()).await.unwrap();
    let kept: Vec<Value> = kept.items.iter().map(|one| serde_json::to_value(one).unwrap()).collect();
    let workload = serde_json::to_value(api.get("cart").await.unwrap()).unwrap();
    let trigger = place.cluster.api(&kinds::EVENT_TRIGGER, &place.namespace).get("on-image").await.unwrap();
    let spec: TriggerSpec = serde_json::from_value(trigger.data["spec"].clone()).unwrap();
    let found = backtest(&spec, &workload, &history(kind, &workload, &kept));
    assert!(found.iter().all(|one| one.outcome == Some(Outcome::Fired)), "{found:#?}");
    let told = moves(found.iter().map(|one| (one.old_images["app"].as_str(), one.new_images["app"].as_str())));
    (fired, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_have_fired_is_what_did() {
    let kinds = [WorkloadKind::Deployment, WorkloadKind::StatefulSet, WorkloadKind::DaemonSet];
    for (fired, told) in futures::future::join_all(kinds.map(|kind| both(kind, &["app:2", "app:3"]))).await {
        assert_eq!(fired, moves([("app:1", "app:2"), ("app:2", "app:3")].into_iter()));
        assert_eq!(told, fired);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rollback_a_deployment_knows_every_revision_and_the_others_the_newest_of_each() {
    let images = ["app:2", "app:3", "app:2"];
    let (fired, told) = both(WorkloadKind::Deployment, &images).await;
    assert_eq!(told, fired);
    assert_eq!(told.len(), 3);
    // The cluster gives the revision that came back a new number, and nothing tells that it was there before.
    for kind in [WorkloadKind::StatefulSet, WorkloadKind::DaemonSet] {
        let (fired, told) = both(kind, &images).await;
        assert_eq!(fired.len(), 3);
        assert_eq!(told, moves([("app:1", "app:3"), ("app:3", "app:2")].into_iter()), "{kind:?}");
    }
}
