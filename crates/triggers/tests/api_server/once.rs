//! Exactly once, whatever happens to the engine.

use std::collections::BTreeSet;
use std::time::Duration;

use pilothouse_cluster::kinds;
use pilothouse_triggers::decide::ABOUT_TO_START;
use pilothouse_triggers::spec::{Outcome, TriggerStatus};
use serde_json::json;

use crate::place::{Place, count, kill, stop};
use crate::watched::{at_rest, watched};

#[tokio::test(flavor = "multi_thread")]
async fn case_55_an_engine_that_dies_between_deciding_and_creating_starts_one_run() {
    let (place, engine) = watched(json!({"waitForRollout": false})).await;
    // Each change is met by a death as soon as it is written down that its run is about to start, before or after the
    // run was created, as it happens.
    let mut met = BTreeSet::new();
    let mut engine = engine;
    for n in 2..=9 {
        place.image(&format!("app:{n}")).await;
        let written = |status: &TriggerStatus| {
            status.decisions.iter().any(|one| {
                one.new_images["app"] == format!("app:{n}")
                    && (one.reason == ABOUT_TO_START || one.decision == Outcome::Fired)
            })
        };
        let status = place.until("the start to be written down", written).await;
        met.insert(status.decisions.last().unwrap().decision == Outcome::Fired);
        kill(engine).await;
        // Meanwhile the workload is restarted, which gives it another revision of its own.
        let restarted = json!({"metadata": {"annotations": {"restarted": n.to_string()}}});
        place.patch(json!({"spec": {"template": restarted}})).await;
        engine = place.engine();
        place.settled(&format!("app:{n}"), n - 1).await;
    }
    let status = place.status().await;
    assert_eq!(count(&status, Outcome::Fired), 8);
    assert_eq!(status.decisions.len(), 8, "{:#?}", status.decisions);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_under_a_dying_engine_and_a_second_one_fire_each_once() {
    const WORKLOADS: usize = 12;
    const ROUNDS: usize = 6;
    let place = Place::new().await;
    let names: Vec<String> = (0..WORKLOADS).map(|n| format!("w{n}")).collect();
    for name in &names {
        place.deployment_of(name, json!({"tested": "yes"})).await;
    }
    let target = json!({"kind": "Deployment", "namespace": place.namespace, "annotations": {"tested": "yes"}});
    place.trigger_with(json!({"target": target, "whileAway": "Run", "guards": {"waitForRollout": false}})).await;
    let mut engine = place.engine();
    let second = place.engine();
    let all_on = |status: &TriggerStatus, image: &str| {
        status.observed.len() == WORKLOADS
            && status.observed.iter().all(|one| one.images.get("app").is_some_and(|found| found == image))
            && at_rest(status)
    };
    place.until("the first sight", |status| all_on(status, "app:0") || all_on(status, "app:1")).await;
    for round in 1..=ROUNDS {
        let image = format!("app:{}", round + 1);
        for name in &names {
            let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}});
            place.patch_as(name, patch, "kubectl-edit").await;
        }
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(pause_in(round))).await;
            kill(engine).await;
            engine = place.engine();
        }
        place.until("a settled round", |status| all_on(status, &image)).await;
        assert_eq!(place.created().await.len(), WORKLOADS * round, "round {round}");
    }
    // Every workload had one run for each round.
    let status = place.status().await;
    let last: BTreeSet<_> =
        status.observed.iter().filter_map(|one| one.last_run.as_ref()).map(|run| &run.name).collect();
    assert_eq!(last.len(), WORKLOADS);
    let launches = place.launcher.launches.lock().unwrap().len();
    assert!(launches >= WORKLOADS * ROUNDS, "{launches}");
    stop(engine).await;
    stop(second).await;
    let api = place.cluster.api(&kinds::EVENT_TRIGGER, &place.namespace);
    assert!(api.get("on-image").await.is_ok());
}

/// Deaths at other moments in each round.
fn pause_in(round: usize) -> u64 {
    [40, 170, 310, 90, 230, 400][round % 6]
}
