//! What is wrong with Litmus' event tracker (chaoscenter/event-tracker, 3.31), and where it is seen that triggers are
//! free of it:
//!
//! | The tracker | Test |
//! |---|---|
//! | A policy's `statuses` only grow, up to etcd's limit | [`what_is_remembered_stays_small_and_whole`] |
//! | A field of them is pruned by one of its CRDs | [`what_is_remembered_stays_small_and_whole`] |
//! | Whoever edits a policy can drop `statuses` | [`a_hand_that_writes_a_trigger_drops_nothing_that_is_remembered`] |
//! | An operator without a value ends the process; an unknown `condition_type` never matches, and nobody is told | [`a_trigger_that_makes_no_sense_is_told_and_harms_no_other`] |
//! | `and` leaves out what did not change (#3930) | `litmus::and_does_not_leave_out_what_did_not_change` |
//! | A key that finds a list or a map ends the process | `litmus::a_key_that_finds_a_list_or_a_map_brings_nothing_down` |
//! | Numbers are compared as texts | `litmus::numbers_are_not_compared_as_texts` |
//! | A key that cannot be evaluated makes the whole policy false | [`a_key_that_cannot_be_evaluated_is_said_and_hides_nothing`] |
//! | Only StatefulSets and DaemonSets since 3.28 (#5407), nothing else ever | `workloads::*` |
//! | Workloads outside the agent's own namespace are not seen | [`a_workload_in_another_namespace_is_watched`] |
//! | Two spellings of one annotation, of which each version reads one | `litmus::the_older_annotation_counts_too_and_only_while_the_workload_is_switched_on` |
//! | One experiment for each workload; a conflict loses the event and the policies after it | [`two_triggers_on_one_workload_both_run_while_others_write_to_them`] |
//! | Resyncs and rewrites are told apart by chance | `images::case_54_*`, `watches::case_54_*` |
//! | It fires at the write, before new pods are there | `workloads::*`, `guards::case_57_*` |
//! | Several requests for one event (#5409), none after a restart (#4434) | `once::*`, `leaders::*`, `storm::*` |
//! | "GitOps disabled" and GraphQL errors count as success, and the event is lost | [`a_launch_that_fails_is_told_and_tried_again_and_repeats_no_other`] |
//! | What is refused is sent again for ever; what is sent again arms all earlier entries | [`a_launch_that_fails_is_told_and_tried_again_and_repeats_no_other`] |
//! | A request without a time limit holds everything up | `engine::unharmed`, a unit test |
//! | No look at a run in progress, no cooldown, no rate | `guards::case_56_*`, `guards::quiet_hours_*` |
//! | An event on a `CronWorkflow` leaves another one that fires for ever | the app's journeys: `triggered::an_event_on_a_cron_workflow_makes_one_run_and_no_schedule` |
//! | A message for an agent that is away is dropped and called acknowledged | `once::*`: a run is an object, or it is not there |
//! | What changes while it is down is lost | `images::case_55_*` |
//! | No `watch` in the namespaced role: nothing but lists, with growing pauses | [`who_may_list_and_not_watch_is_served_all_the_same`] |
//! | Whoever may annotate a workload can start any experiment | [`an_annotation_alone_starts_nothing`] |
//! | What it wrote for itself cannot be read back by kind, namespace, change or verdict | [`what_is_remembered_stays_small_and_whole`] |

use std::sync::Arc;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use pilothouse_cluster::{Cluster, kinds};
use pilothouse_rig::Rig;
use pilothouse_triggers::LaunchError;
use pilothouse_triggers::litmus::annotations::{EXPERIMENT, GITOPS, WORKFLOW};
use pilothouse_triggers::spec::{MAX_DECISIONS, Outcome, TriggerStatus};
use serde_json::{Value, json};

use crate::place::{Place, containers, count, settled_on, stop};
use crate::watched::{at_rest, watched};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_stays_small_and_whole() {
    let place = Place::new().await;
    let names: Vec<String> = (0..15).map(|n| format!("w{n}")).collect();
    for name in &names {
        place.deployment_of(name, json!({"tested": "yes"})).await;
    }
    let target = json!({"kind": "Deployment", "namespace": place.namespace, "annotations": {"tested": "yes"}});
    place.trigger_with(json!({"target": target, "guards": {"waitForRollout": false}})).await;
    let engine = place.engine();
    place.until("the first sight", |status| status.observed.len() == names.len()).await;
    for round in 2..=6 {
        let image = format!("app:{round}");
        for name in &names {
            place.patch_as(name, containers(json!([{"name": "app", "image": image}])), "kubectl-edit").await;
        }
        let over =
            |status: &TriggerStatus| status.observed.iter().all(|one| one.images["app"] == image) && at_rest(status);
        place.until("a round", over).await;
    }
    assert_eq!(place.created().await.len(), 75);
    let api = place.cluster.api(&kinds::EVENT_TRIGGER, &place.namespace);
    let stored = api.get("on-image").await.unwrap();
    let status = stored.data["status"].clone();
    assert_eq!(status["decisions"].as_array().unwrap().len(), MAX_DECISIONS);
    let size = serde_json::to_vec(&stored).unwrap().len();
    assert!(size < 64 * 1024, "{size} bytes");
    // The schema knows every field that is written.
    let read: TriggerStatus = serde_json::from_value(status.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap()["decisions"], status["decisions"]);
    let last = status["decisions"].as_array().unwrap().last().unwrap();
    for field in
        ["time", "seen", "workload", "uid", "revision", "change", "decision", "reason", "oldImages", "newImages"]
    {
        assert!(last.get(field).is_some(), "{field} of {last}");
    }
    assert!(last["run"].is_string() && last["verdict"] == "Pass", "{last}");
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_that_writes_a_trigger_drops_nothing_that_is_remembered() {
    let (place, engine) = watched(json!({"waitForRollout": false})).await;
    place.image("app:2").await;
    let before = place.settled("app:2", 1).await;
    let api = place.cluster.api(&kinds::EVENT_TRIGGER, &place.namespace);
    let mut bare = api.get("on-image").await.unwrap();
    bare.data.as_object_mut().unwrap().remove("status");
    api.replace("on-image", &PostParams::default(), &bare).await.unwrap();
    assert_eq!(place.status().await, before);
    place.image("app:3").await;
    place.settled("app:3", 2).await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_makes_no_sense_is_told_and_harms_no_other() {
    let place = Place::new().await;
    place.deployment().await;
    let broken = [
        ("no-value", json!({"label": {"key": "tier", "operator": "Equals"}})),
        ("no-expression", json!({"cel": "new.spec.replicas >"})),
        ("no-key", json!({"jmespath": {"key": "spec.[", "operator": "Changed"}})),
        ("no-branch", json!({"all": []})),
    ];
    for (name, when) in &broken {
        place.trigger_as(name, json!({"when": when})).await;
    }
    place.trigger(json!({"waitForRollout": false})).await;
    let engine = place.engine();
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    place.image("app:2").await;
    place.settled("app:2", 1).await;
    for (name, _) in &broken {
        let status = place.status_of(name).await;
        assert_eq!(status.conditions[0]["reason"], "Invalid", "{name}: {status:#?}");
        assert!(!status.conditions[0]["message"].as_str().unwrap().is_empty());
        assert!(status.decisions.is_empty());
    }
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_evaluated_is_said_and_hides_nothing() {
    let place = Place::new().await;
    place.deployment().await;
    // The length of a number is an error only once there is one to look at.
    let wrong = json!({"jmespath": {"key": "length(spec.replicas)", "operator": "Changed"}});
    let image = json!({"imageChanged": {}});
    place.trigger_with(json!({"when": {"any": [wrong, image]}, "guards": {"waitForRollout": false}})).await;
    place.trigger_as("all", json!({"when": {"all": [wrong, image]}, "guards": {"waitForRollout": false}})).await;
    let engine = place.engine();
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    let all = async |holds: &dyn Fn(&TriggerStatus) -> bool| {
        while !holds(&place.status_of("all").await) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    all(&|status| settled_on(status, "app:1")).await;
    place.image("app:2").await;
    place.settled("app:2", 1).await;
    all(&|status| {
        let last = status.decisions.last();
        last.is_some_and(|one| one.decision == Outcome::Skipped && one.reason.contains("cannot be told"))
    })
    .await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_in_another_namespace_is_watched() {
    let (place, shop) = (Place::new().await, Place::new().await);
    shop.deployment().await;
    let target = json!({"kind": "Deployment", "namespace": shop.namespace, "names": ["cart"]});
    place.trigger_with(json!({"target": target, "guards": {"waitForRollout": false}})).await;
    let engine = place.engine();
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    shop.image("app:2").await;
    place.settled("app:2", 1).await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_triggers_on_one_workload_both_run_while_others_write_to_them() {
    let place = Place::new().await;
    place.deployment().await;
    for name in ["on-image", "too"] {
        place.trigger_as(name, json!({"guards": {"waitForRollout": false}})).await;
    }
    let engine = place.engine();
    let api = place.cluster.api(&kinds::EVENT_TRIGGER, &place.namespace);
    let busy = tokio::spawn(async move {
        for n in 0_u32.. {
            for name in ["on-image", "too"] {
                let patch = json!({"metadata": {"labels": {"round": n.to_string()}}});
                let _ = api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    for n in 2..=4 {
        let image = format!("app:{n}");
        place.image(&image).await;
        for name in ["on-image", "too"] {
            let over = |status: &TriggerStatus| {
                settled_on(status, &image) && count(status, Outcome::Fired) == n - 1 && at_rest(status)
            };
            while !over(&place.status_of(name).await) {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        assert_eq!(place.created().await.len(), 2 * (n - 1), "one for each trigger");
    }
    busy.abort();
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_fails_is_told_and_tried_again_and_repeats_no_other() {
    let (place, engine) = watched(json!({"waitForRollout": false})).await;
    place.image("app:2").await;
    place.settled("app:2", 1).await;
    let fails = |retry: bool| {
        let error = LaunchError { message: "GitOps Disabled".into(), retry };
        place.launcher.failing.lock().unwrap().push(error);
    };
    fails(true);
    place.image("app:3").await;
    place.newest(Outcome::Waited, "could not be started yet: GitOps Disabled").await;
    place.settled("app:3", 2).await;
    fails(false);
    place.image("app:4").await;
    place.newest(Outcome::Skipped, "could not be started: GitOps Disabled").await;
    place.image("app:5").await;
    let over = |status: &TriggerStatus| settled_on(status, "app:5") && status.open_runs().is_empty();
    place.until("the next change", over).await;
    assert_eq!(place.created().await.len(), 3);
    // Once, twice since the first was not taken, once since it was refused, and once.
    let mut asked: Vec<usize> = Vec::new();
    let launches = place.launcher.launches.lock().unwrap().clone();
    for group in launches.chunk_by(|one, next| one == next) {
        asked.push(group.len());
    }
    assert_eq!(asked, [1, 2, 1, 1], "{launches:?}");
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_list_and_not_watch_is_served_all_the_same() {
    let place = Place::new().await;
    let viewer = Cluster::from_client(Rig::get().viewer().await, "rig", false);
    place.deployment().await;
    place.trigger(json!({"waitForRollout": false})).await;
    let few: [(&str, &str, &[&str]); 5] = [
        ("apps", "deployments", &["get", "list"]),
        ("pilothouse.dev", "eventtriggers", &["get", "list"]),
        ("pilothouse.dev", "eventtriggers/status", &["patch"]),
        ("", "configmaps", &["list"]),
        ("", "namespaces", &["get"]),
    ];
    place.allow_viewer(&few).await;
    let engine = place.engine_with(&viewer, Arc::new(Timestamp::now));
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    place.image("app:2").await;
    place.settled("app:2", 1).await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_alone_starts_nothing() {
    let (place, engine) = watched(json!({"waitForRollout": false})).await;
    place.deployment_of("greedy", json!({GITOPS: "true", EXPERIMENT: "id-1", WORKFLOW: "id-1"})).await;
    let change: Value = containers(json!([{"name": "app", "image": "app:2"}]));
    place.patch_as("greedy", change, "kubectl-edit").await;
    // What comes after it is seen, and is the only one.
    place.image("app:2").await;
    place.settled("app:2", 1).await;
    stop(engine).await;
}
