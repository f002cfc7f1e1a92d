//! A thousand changes over two hundred workloads, while engines are killed and the API server is restarted: exactly the
//! expected runs, none twice, none missing.
//!
//! A small storm blows in the suite. `PILOTHOUSE_STORM_CHANGES=1000` makes it the whole one, with 200 workloads, 20
//! killed engines and 3 restarts of the API server.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use pilothouse_cluster::{Kind, kinds};
use pilothouse_rig::Rig;
use pilothouse_triggers::spec::{Outcome, TriggerStatus};
use serde_json::{Value, json};

use crate::place::Place;
use crate::process::{Engines, serve_if_ordered};

const CHANGES: &str = "PILOTHOUSE_STORM_CHANGES";
/// How many changes the suite makes.
const USUAL: usize = 40;
/// How long nothing may come before the storm counts as stuck.
const PATIENCE: Duration = Duration::from_secs(120);
/// The triggers, each with its kind, whether it waits for rollouts, and how many of ten workloads are its own. Those that
/// wait have pods that a node runs, of which it has room for about a hundred; the others' are never scheduled.
const TRIGGERS: [(&str, Kind, bool, usize); 4] = [
    ("deployments", kinds::DEPLOYMENT, true, 2),
    ("sets", kinds::STATEFUL_SET, true, 1),
    ("deployments-at-once", kinds::DEPLOYMENT, false, 4),
    ("sets-at-once", kinds::STATEFUL_SET, false, 3),
];

/// One workload, as those who change it know it.
struct Target {
    name: String,
    kind: Kind,
    trigger: usize,
    image: String,
    /// Since when a change of it has not been run.
    since: Option<Instant>,
    /// The runs for its changes.
    runs: Vec<String>,
}

/// Which trigger the nth workload belongs to.
fn trigger_of(n: usize) -> usize {
    let mut left = n % 10;
    TRIGGERS.iter().position(|(.., share)| left.checked_sub(*share).map(|less| left = less).is_none()).unwrap()
}

async fn set_up(place: &Place, workloads: usize) -> Vec<Target> {
    for (name, kind, waits, _) in TRIGGERS {
        let target = json!({"kind": kind.kind, "namespace": place.namespace, "labels": {"of": name}});
        let more = json!({"target": target, "whileAway": "Run", "guards": {"waitForRollout": waits}});
        place.trigger_as(name, more).await;
    }
    let mut targets = Vec::new();
    for n in 0..workloads {
        let trigger = trigger_of(n);
        let (label, kind, waits, _) = TRIGGERS[trigger];
        let pod = if waits { json!({}) } else { json!({"schedulerName": "none"}) };
        let name = format!("w{n:03}");
        place.workload(&kind, &name, json!({"labels": {"of": label}}), pod).await;
        targets.push(Target { name, kind, trigger, image: "app:1".into(), since: None, runs: Vec::new() });
    }
    targets
}

/// The statuses of the triggers; none while the API server is away.
async fn statuses(place: &Place) -> Option<Vec<TriggerStatus>> {
    let api: Api<DynamicObject> = place.cluster.api(&kinds::EVENT_TRIGGER, &place.namespace);
    let mut all = Vec::new();
    for (name, ..) in TRIGGERS {
        let status = api.get(name).await.ok()?.data.get("status").cloned().unwrap_or_else(|| json!({}));
        all.push(serde_json::from_value(status).unwrap());
    }
    Some(all)
}

/// Changes the image of a workload; again and again while the API server is away, which makes it one change all the same.
async fn change(place: &Place, target: &Target) {
    let api = place.cluster.api(&target.kind, &place.namespace);
    let containers: Value = json!([{"name": "app", "image": target.image}]);
    let patch = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": containers}}}}));
    for _ in 0..600 {
        if api.patch(&target.name, &PatchParams::default(), &patch).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} cannot be changed", target.name);
}

/// Notes the runs that have ended for changes; whether there were any.
fn reap(targets: &mut [Target], statuses: &[TriggerStatus]) {
    for target in targets.iter_mut().filter(|target| target.since.is_some()) {
        let Some(seen) = statuses[target.trigger].observed.iter().find(|one| one.name == target.name) else { continue };
        let Some(last) = seen.last_run.as_ref().filter(|last| last.verdict.is_some()) else { continue };
        if seen.images.get("app") == Some(&target.image) && !target.runs.contains(&last.name) {
            target.runs.push(last.name.clone());
            target.since = None;
        }
    }
    for target in targets.iter() {
        let stuck = target.since.is_some_and(|since| since.elapsed() > PATIENCE);
        assert!(!stuck, "{} was changed to {} and not run: {:#?}", target.name, target.image, statuses[target.trigger]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_run_once_whatever_dies() {
    serve_if_ordered().await;
    let asked = std::env::var(CHANGES).ok().and_then(|text| text.parse().ok());
    let changes: usize = asked.unwrap_or(USUAL);
    let (workloads, kills, restarts) = ((changes / 5).clamp(10, 200), (changes / 50).max(4), (changes / 333).max(1));
    let mut rig = Rig::start(true).unwrap();
    let place = Place::on(&rig).await;
    let dir = tempfile::tempdir().unwrap();
    let engines = Engines::new("storm::every_change_is_run_once_whatever_dies", &rig, &place.namespace, dir.path());
    let mut targets = set_up(&place, workloads).await;
    let mut engine = engines.start();
    let all_seen =
        |statuses: &[TriggerStatus]| statuses.iter().map(|one| one.observed.len()).sum::<usize>() == workloads;
    let end = Instant::now() + PATIENCE;
    while !statuses(&place).await.is_some_and(|statuses| all_seen(&statuses)) {
        assert!(Instant::now() < end, "never saw all workloads");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let begun = Instant::now();
    let at = |times: usize| -> Vec<usize> {
        let mut all: Vec<usize> = (0..times).map(|_| fastrand::usize(changes / 20..changes)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all
    };
    let (mut kill_at, mut restart_at) = (at(kills), at(restarts));
    let (mut made, mut most) = (0, 0);
    while made < changes || targets.iter().any(|target| target.since.is_some()) {
        if let Some(statuses) = statuses(&place).await {
            reap(&mut targets, &statuses);
        }
        // A burst on workloads whose last change is over; any image but its own, so that rollbacks are among them.
        let mut idle: Vec<usize> = (0..targets.len()).filter(|n| targets[*n].since.is_none()).collect();
        fastrand::shuffle(&mut idle);
        idle.truncate(fastrand::usize(1..=workloads.div_ceil(4)).min(changes - made));
        for n in idle {
            let target = &mut targets[n];
            let mut others = vec!["app:1", "app:2", "app:3", "app:4"];
            others.retain(|image| *image != target.image);
            target.image = fastrand::choice(others).unwrap().to_owned();
            target.since = Some(Instant::now());
            change(&place, target).await;
            made += 1;
            if kill_at.pop_if(|at| *at < made).is_some() {
                // At any moment of the engine's work, also between a run's note and its creation.
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..600))).await;
                engine.stop();
                engine = engines.start();
            }
            if restart_at.pop_if(|at| *at < made).is_some() {
                tokio::task::block_in_place(|| rig.restart_api_server());
            }
        }
        most = targets.iter().filter(|target| target.since.is_some()).count().max(most);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let taken = begun.elapsed();
    assert!(kill_at.is_empty() && restart_at.is_empty());

    // Once more from the beginning: a change after it is the only one that this engine finds.
    engine.stop();
    engine = engines.start();
    targets[0].image = "app:5".into();
    targets[0].since = Some(Instant::now());
    change(&place, &targets[0]).await;
    while targets[0].since.is_some() {
        reap(&mut targets, &statuses(&place).await.unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    engine.stop();

    let wanted: BTreeSet<String> = targets.iter().flat_map(|target| target.runs.iter().cloned()).collect();
    assert_eq!(wanted.len(), changes + 1, "each change had a run of its own");
    let created: BTreeSet<String> = place.created().await.into_iter().collect();
    assert_eq!(created, wanted, "and there is no other run");
    for status in statuses(&place).await.unwrap() {
        let others = status.decisions.iter().filter(|one| one.decision != Outcome::Fired);
        assert_eq!(others.count(), 0, "{:#?}", status.decisions);
    }
    println!(
        "{changes} changes of {workloads} workloads, at most {most} at a time, {kills} engines killed, {restarts} restarts \
         of the API server: {} runs, {} launches that found their run there, {:.0} s",
        created.len(),
        engines.found(),
        taken.as_secs_f64()
    );
}
