//! Disruption budgets, as the cluster's own controller keeps them, in both versions that clusters serve.

use std::sync::Arc;

use jiff::Timestamp;
use kube::api::DeleteParams;
use pilothouse_cluster::{Cluster, Kind, kinds};
use pilothouse_triggers::spec::{Outcome, TriggerStatus};
use serde_json::{Value, json};

use crate::place::{Place, settled_on, stop};
use crate::unruly::{Faults, connection};

const OLDER: Kind = Kind { version: "v1beta1", ..kinds::POD_DISRUPTION_BUDGET };

/// The budgets in the newest version that the rig's server has: from 1.25 on there is no older one.
async fn own(place: &Place) -> Kind {
    let newest = kinds::POD_DISRUPTION_BUDGET;
    match place.cluster.client().list_api_group_resources(&newest.api_version()).await {
        Ok(list) if list.resources.iter().any(|one| one.name == newest.plural) => newest,
        Ok(_) => OLDER,
        Err(kube::Error::Api(status)) if status.code == 404 => OLDER,
        Err(error) => panic!("{error}"),
    }
}

/// A budget that lets no pod go holds a change back; one about other pods, or whose selector is empty where that means
/// none, does not.
async fn holds_back(place: &Place, kind: &Kind, cluster: &Cluster, empty_is_all: bool) {
    place.deployment().await;
    place.trigger(json!({"respectDisruptionBudget": true})).await;
    let engine = place.engine_with(cluster, Arc::new(Timestamp::now));
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    let budget = |name: &str, selector: Value| json!({"metadata": {"name": name}, "spec": {"minAvailable": "100%", "selector": selector}});
    let api = place.cluster.api(kind, &place.namespace);
    place.create(kind, budget("others", json!({"matchLabels": {"app": "other"}}))).await;
    place.create(kind, budget("all", json!({"matchLabels": {"app": "cart"}}))).await;
    place.image("app:2").await;
    place.newest(Outcome::Waited, "the disruption budget all allows no pod to go").await;
    api.delete("all", &DeleteParams::default()).await.unwrap();
    place.settled("app:2", 1).await;

    place.create(kind, budget("empty", json!({}))).await;
    place.image("app:3").await;
    if empty_is_all {
        place.newest(Outcome::Waited, "the disruption budget empty").await;
        api.delete("empty", &DeleteParams::default()).await.unwrap();
    }
    place.settled("app:3", 2).await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_in_the_servers_own_version_holds_a_change_back() {
    let place = Place::new().await;
    let kind = own(&place).await;
    let cluster = place.cluster.clone();
    holds_back(&place, &kind, &cluster, kind != OLDER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_of_a_server_that_has_only_the_newer_version_holds_a_change_back() {
    let place = Place::new().await;
    let kind = own(&place).await;
    if kind != OLDER {
        return holds_back(&place, &kind, &place.cluster, true).await;
    }
    let (newer, _) = connection(Faults { newer_policy: true, ..Faults::default() }).await;
    holds_back(&place, &kind, &newer, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_that_may_not_be_seen_allow_nothing() {
    let place = Place::new().await;
    let viewer = Cluster::from_client(pilothouse_rig::Rig::get().viewer().await, "rig", false);
    place.deployment().await;
    place.trigger(json!({"respectDisruptionBudget": true})).await;
    place
        .allow_viewer(&[
            ("apps", "deployments", &["get", "list", "watch"]),
            ("pilothouse.dev", "eventtriggers", &["get", "list", "watch"]),
            ("pilothouse.dev", "eventtriggers/status", &["patch"]),
            ("", "configmaps", &["list", "watch"]),
            ("", "namespaces", &["get"]),
        ])
        .await;
    let engine = place.engine_with(&viewer, Arc::new(Timestamp::now));
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    place.image("app:2").await;
    place.newest(Outcome::Waited, "the disruption budgets are not known").await;
    place
        .allow_viewer(&[
            ("apps", "deployments", &["get", "list", "watch"]),
            ("pilothouse.dev", "eventtriggers", &["get", "list", "watch"]),
            ("pilothouse.dev", "eventtriggers/status", &["patch"]),
            ("", "configmaps", &["list", "watch"]),
            ("", "namespaces", &["get"]),
            ("policy", "poddisruptionbudgets", &["list", "watch"]),
        ])
        .await;
    let over = |status: &TriggerStatus| settled_on(status, "app:2") && status.open_runs().is_empty();
    place.until("the run", over).await;
    assert_eq!(place.created().await.len(), 1);
    stop(engine).await;
}
