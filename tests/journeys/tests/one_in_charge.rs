//! Of two apps that chose different platforms of one cluster, one is in charge of a namespace's triggers; and what it
//! may start.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]
#![allow(dead_code, reason = "the stage has more than this story needs")]

#[path = "main_job/stage.rs"]
mod stage;
#[path = "one_in_charge/triggered.rs"]
mod triggered;
#[path = "main_job/two_sides.rs"]
mod two_sides;

use kube::api::PostParams;
use pilothouse_app::contract::Transport;
use pilothouse_cluster::{Cluster, kinds};
use pilothouse_rig::Rig;
use serde_json::json;
use stage::{Stage, one_at_a_time, until};

#[tokio::test(flavor = "multi_thread")]
async fn one_app_is_in_charge_whatever_platform_each_has_chosen() {
    let _one = one_at_a_time().await;
    let stages = [Stage::real(Transport::Https).await, Stage::real(Transport::Https).await];
    for stage in &stages {
        stage.connect().await;
    }
    assert_ne!(stages[0].platform, stages[1].platform);
    let rig = Rig::get();
    let cluster = Cluster::from_client(rig.client().await, "rig", false);
    let namespace = rig.namespace("triggers").await;
    let object = json!({"apiVersion": kinds::EVENT_TRIGGER.api_version(), "kind": kinds::EVENT_TRIGGER.kind,
        "metadata": {"name": "on-image"}, "spec": {"project": "shop", "workflow": "w",
            "target": {"kind": "Deployment", "namespace": namespace, "names": ["cart"]}}});
    let object = serde_json::from_value(object).unwrap();
    cluster.api(&kinds::EVENT_TRIGGER, &namespace).create(&PostParams::default(), &object).await.unwrap();

    let engines = async || {
        let mut found = Vec::new();
        for stage in &stages {
            let overview = stage.app.list_triggers().await.unwrap();
            // Other stories' namespaces may have triggers too, and another holder each.
            found.extend(overview.triggers.into_iter().find(|t| t.namespace == namespace).map(|t| t.engine));
        }
        found
    };
    // Both know of the holder, and it is the same: there is one Lease for the namespace, and nobody serves without it.
    let agreed = until("one app to be in charge", async || {
        let found = engines().await;
        let known = found.iter().filter(|engine| engine.holder.is_some()).count();
        (known == 2 && found.iter().any(|engine| engine.here)).then_some(found)
    })
    .await;
    assert_eq!(agreed[0].holder, agreed[1].holder);
    assert_eq!(agreed.iter().filter(|engine| engine.here).count(), 1, "{agreed:?}");

    // When that app goes, the other takes over.
    let (leaving, staying) = if agreed[0].here { (0, 1) } else { (1, 0) };
    stages[leaving].app.disconnect().await.unwrap();
    until("the other to take over", async || {
        let overview = stages[staying].app.list_triggers().await.unwrap();
        overview.triggers.iter().any(|t| t.namespace == namespace && t.engine.here).then_some(())
    })
    .await;
    stages[staying].app.disconnect().await.unwrap();
}
