//! Guards, on workloads that real controllers roll out.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::DeleteParams;
use pilothouse_cluster::kinds;
use pilothouse_triggers::spec::{Outcome, TriggerStatus};
use serde_json::json;

use crate::place::{Place, containers, count, settled_on, stop};
use crate::watched::watched;

#[tokio::test(flavor = "multi_thread")]
async fn case_56_a_hundred_rollouts_make_one_run_at_a_time_and_no_more_than_allowed() {
    let (place, engine) = watched(json!({"waitForRollout": false, "maxPerDay": 2})).await;
    *place.launcher.open.lock().unwrap() = true;
    for n in 2..=101 {
        place.image(&format!("app:{n}")).await;
        if n == 50 {
            place.until("a run", |status| count(status, Outcome::Fired) == 1).await;
        }
    }
    let held = |status: &TriggerStatus| {
        status.decisions.last().is_some_and(|one| {
            one.decision == Outcome::Waited && one.reason.contains("not ended") && one.new_images["app"] == "app:101"
        })
    };
    place.until("the last of them to wait", held).await;
    assert_eq!(place.created().await.len(), 1);
    *place.launcher.open.lock().unwrap() = false;
    place.settled("app:101", 2).await;
    place.image("app:102").await;
    let record = place.newest(Outcome::Skipped, "are allowed").await;
    assert_eq!(record.new_images["app"], "app:102");
    assert_eq!(place.created().await.len(), 2);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_57_what_keeps_a_rollout_from_ending_is_told_apart() {
    let (place, engine) = watched(json!({})).await;

    place.patch(json!({"spec": {"paused": true}})).await;
    place.image("app:2").await;
    place.newest(Outcome::Waited, "paused").await;
    place.patch(json!({"spec": {"paused": false}})).await;
    place.settled("app:2", 1).await;

    // A quota that admits no further pod: the rollout fails, in the cluster's own words.
    place
        .create(
            &pilothouse_cluster::Kind { group: "", version: "v1", kind: "ResourceQuota", plural: "resourcequotas" },
            json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}),
        )
        .await;
    place.refuses_pods().await;
    place.image("app:3").await;
    let failing = place.newest(Outcome::Waited, "the rollout fails").await;
    assert!(failing.reason.contains("quota"), "{}", failing.reason);

    // Nothing goes on until the deadline has passed, which is another thing than failing.
    place.patch(json!({"spec": {"progressDeadlineSeconds": 2}})).await;
    place.newest(Outcome::Waited, "within its deadline").await;
    assert_eq!(place.created().await.len(), 1);

    // The workload goes while its change waits.
    let api = place.cluster.api(&kinds::DEPLOYMENT, &place.namespace);
    api.delete("cart", &DeleteParams::background()).await.unwrap();
    place.newest(Outcome::Skipped, "the workload is gone").await;
    assert_eq!(place.created().await.len(), 1);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_57_nothing_is_tested_that_is_scaled_to_zero() {
    let (place, engine) = watched(json!({})).await;
    place.patch(json!({"spec": {"replicas": 0}})).await;
    place.image("app:2").await;
    place.newest(Outcome::Waited, "scaled to zero").await;
    place.patch(json!({"spec": {"replicas": 1}})).await;
    place.settled("app:2", 1).await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_58_the_kill_switch_stops_runs_and_starts_none_until_it_is_lifted() {
    let (place, engine) = watched(json!({})).await;
    *place.launcher.open.lock().unwrap() = true;
    place.image("app:2").await;
    let fired = place.newest(Outcome::Fired, "changed").await;
    let halt = json!({"metadata": {"name": "halt", "labels": {"pilothouse.dev/halt-triggers": "true"}},
        "data": {"reason": "incident 7"}});
    place.create(&kinds::CONFIG_MAP, halt).await;
    let ended = |status: &TriggerStatus| status.decisions.last().is_some_and(|one| one.verdict.is_some());
    place.until("the run to be gone", ended).await;
    assert_eq!(*place.launcher.stopped.lock().unwrap(), [fired.run.unwrap()]);
    assert!(place.created().await.is_empty(), "what was started is removed");
    place.image("app:3").await;
    place.newest(Outcome::Skipped, "incident 7").await;
    assert_eq!(place.status().await.conditions[0]["reason"], "Halted");
    let api = place.cluster.api(&kinds::CONFIG_MAP, &place.namespace);
    api.delete("halt", &DeleteParams::default()).await.unwrap();
    *place.launcher.open.lock().unwrap() = false;
    place.until("the triggers to watch", |status| status.conditions[0]["reason"] == "Watching").await;
    place.image("app:4").await;
    place.newest(Outcome::Fired, "changed").await;
    assert_eq!(place.created().await.len(), 1, "what was passed over meanwhile does not come after");
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_dry_runs_and_protection() {
    let (place, engine) = watched(json!({"approval": true})).await;
    place.image("app:2").await;
    let asks = place.newest(Outcome::Waited, "approval").await;
    let answer = |run: &str, word: &str| {
        let key = format!("approve.pilothouse.dev/{run}");
        json!({"metadata": {"annotations": {key: format!("{word} olha")}}})
    };
    place.patch_trigger(answer(&asks.run.unwrap(), "yes")).await;
    place.settled("app:2", 1).await;

    place.image("app:3").await;
    let asks = place.newest(Outcome::Waited, "approval").await;
    place.patch_trigger(answer(&asks.run.unwrap(), "no")).await;
    place.newest(Outcome::Skipped, "olha declined it").await;

    place.patch_trigger(json!({"spec": {"guards": {"approval": false, "dryRun": true}}})).await;
    place.image("app:4").await;
    place.newest(Outcome::WouldFire, "changed").await;

    let spaces = place.cluster.api_all(&kinds::NAMESPACE);
    let label = json!({"metadata": {"labels": {"pilothouse.dev/protected": "true"}}});
    spaces.patch(&place.namespace, &Default::default(), &kube::api::Patch::Merge(&label)).await.unwrap();
    // The label and the change come to the engine by two watches.
    tokio::time::sleep(Duration::from_secs(1)).await;
    place.image("app:5").await;
    place.newest(Outcome::Skipped, "protected").await;
    assert_eq!(place.created().await.len(), 1);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_hours_soak_and_cooldown_by_a_clock_of_our_own() {
    let place = Place::new().await;
    place.deployment().await;
    let quiet = json!({"timeZone": "Europe/Kyiv", "windows": [{"from": "22:00", "to": "06:00"}]});
    place
        .trigger(json!({"waitForRollout": false, "soakSeconds": 3600, "cooldownSeconds": 7200, "quietHours": quiet}))
        .await;
    // Noon in Kyiv, and from there by hours.
    let hours = Arc::new(AtomicI64::new(0));
    let clock = {
        let hours = hours.clone();
        let noon: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        Arc::new(move || noon + SignedDuration::from_hours(hours.load(Ordering::Relaxed)))
    };
    let engine = place.engine_at(clock);
    // A write wakes the engine, which then asks the clock.
    let at = async |hour: i64| {
        hours.store(hour, Ordering::Relaxed);
        place.patch_trigger(json!({"metadata": {"labels": {"hour": hour.to_string()}}})).await;
    };
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    place.image("app:2").await;
    place.newest(Outcome::Waited, "soaking until 2026-03-02 11:00:00 UTC").await;
    at(1).await;
    place.settled("app:2", 1).await;
    place.image("app:3").await;
    place.newest(Outcome::Waited, "soaking").await;
    at(2).await;
    place.newest(Outcome::Skipped, "cooling down until 2026-03-02 13:00:00 UTC").await;
    at(9).await;
    place.image("app:4").await;
    place.newest(Outcome::Waited, "soaking").await;
    // Past ten in the evening there; the night ends at six.
    at(10).await;
    place.newest(Outcome::Waited, "quiet hours until 2026-03-03 04:00:00 UTC").await;
    at(18).await;
    place.settled("app:4", 2).await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runs_own_change_starts_nothing_whoever_undoes_it() {
    let (place, engine) = watched(json!({})).await;
    let image = |image: &str| containers(json!([{"name": "app", "image": image}]));
    // By the program that wrote it.
    place.patch_as("cart", image("app:broken"), "litmus-go-runner").await;
    place.newest(Outcome::Skipped, "made by the chaos run litmus-go-runner").await;
    // The GitOps controller puts back what is in Git.
    place.patch_as("cart", image("app:1"), "argocd-controller").await;
    place.newest(Outcome::Skipped, "takes a chaos run's change back").await;
    // By the mark that it leaves.
    let mut marked = image("app:worse");
    marked["metadata"] = json!({"annotations": {"pilothouse.dev/run": "trigger-abc"}});
    place.patch(marked).await;
    place.newest(Outcome::Skipped, "made by the chaos run trigger-abc").await;
    assert!(place.created().await.is_empty());
    // And a person's change after it is one, though the mark is still there.
    place.image("app:2").await;
    place.newest(Outcome::Fired, "changed").await;
    stop(engine).await;
}
