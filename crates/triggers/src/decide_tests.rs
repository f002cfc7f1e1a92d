use serde_json::json;

use super::*;

fn spec() -> TriggerSpec {
    serde_json::from_value(json!({"project": "shop", "workflow": "w",
        "target": {"kind": "Deployment", "namespace": "shop", "names": ["cart"]}}))
    .unwrap()
}

fn workload(image: &str, own: &str) -> Workload {
    Workload::read(
        WorkloadKind::Deployment,
        &json!({"metadata": {"name": "cart", "namespace": "shop", "uid": "w-uid", "generation": 3,
                "annotations": {"deployment.kubernetes.io/revision": own}},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
            "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}}),
    )
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn status(image: &str) -> TriggerStatus {
    let mut status = TriggerStatus::default();
    status.settle(settled(&workload(image, "1"), None));
    status
}

fn fired(seconds: i64, uid: &str, verdict: Option<&str>) -> DecisionRecord {
    DecisionRecord {
        time: at(seconds),
        workload: "cart".into(),
        uid: uid.into(),
        revision: "r".into(),
        decision: Outcome::Fired,
        reason: String::new(),
        old_images: BTreeMap::new(),
        new_images: BTreeMap::new(),
        run: Some("trigger-x".into()),
        verdict: verdict.map(str::to_owned),
    }
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Nothing => "nothing",
        Decision::Settle => "settle",
        Decision::Pass { outcome: Outcome::Missed, .. } => "missed",
        Decision::Pass { .. } => "skip",
        Decision::Wait { .. } => "wait",
        Decision::Fire { .. } => "fire",
    }
}

/// One row: the name, a change to a plain changed image with nothing in its way, and what is to come of it.
type Row = (&'static str, fn(&mut TriggerSpec, &mut TriggerStatus, &mut Workload, &mut bool), &'static str);

#[test]
fn every_decision() {
    let table: &[Row] = &[
        ("changed", |_, _, _, _| {}, "fire"),
        ("first sight", |_, s, _, _| s.observed.clear(), "settle"),
        ("same images", |_, s, _, _| *s = status("app:2"), "nothing"),
        ("same images at start", |_, s, _, look| (*s, *look) = (status("app:2"), true), "nothing"),
        ("scaled", |_, s, w, _| (*s, w.replicas) = (status("app:2"), 9), "nothing"),
        ("another own revision", |_, s, w, _| (*s, w.own_revision) = (status("app:2"), Some("9".into())), "nothing"),
        ("another container", |t, _, _, _| t.when.image_changed.containers = vec!["side".into()], "settle"),
        ("this container", |t, _, _, _| t.when.image_changed.containers = vec!["app".into()], "fire"),
        ("suspended", |t, _, _, _| t.suspended = true, "skip"),
        ("made by a run", |_, _, w, _| w.made_by_run = Some("r".into()), "skip"),
        ("unseen at start", |_, _, _, look| *look = true, "missed"),
        ("not taken up", |_, _, w, _| w.taken_up = false, "wait"),
        ("scaled to zero", |_, _, w, _| w.replicas = 0, "wait"),
        ("progressing", |_, _, w, _| w.rollout = Rollout::Progressing(String::new()), "wait"),
        ("paused", |_, _, w, _| w.rollout = Rollout::Paused, "wait"),
        ("failed", |_, _, w, _| w.rollout = Rollout::Failed(String::new()), "wait"),
        ("timed out", |_, _, w, _| w.rollout = Rollout::TimedOut, "wait"),
        (
            "not waiting for the rollout",
            |t, _, w, _| (t.guards.wait_for_rollout, w.rollout) = (false, Rollout::Paused),
            "fire",
        ),
        ("soaking", |t, _, _, _| t.guards.soak_seconds = 61, "wait"),
        ("soaked", |t, _, _, _| t.guards.soak_seconds = 60, "fire"),
        ("one at a time", |_, s, _, _| s.note(fired(0, "w-uid", None)), "wait"),
        ("another workload's run", |_, s, _, _| s.note(fired(0, "other", None)), "fire"),
        (
            "cooling down",
            |t, s, _, _| {
                t.guards.cooldown_seconds = 1001;
                s.note(fired(0, "w-uid", Some("Pass")));
            },
            "skip",
        ),
        (
            "cooled down",
            |t, s, _, _| {
                t.guards.cooldown_seconds = 1000;
                s.note(fired(0, "w-uid", Some("Pass")));
            },
            "fire",
        ),
        (
            "enough for a day",
            |t, s, _, _| {
                t.guards.max_per_day = Some(1);
                s.note(fired(0, "other", Some("Pass")));
            },
            "skip",
        ),
        (
            "a new day",
            |t, s, _, _| {
                t.guards.max_per_day = Some(1);
                s.note(fired(-90_000, "other", Some("Pass")));
            },
            "fire",
        ),
    ];
    for (name, change, wanted) in table {
        let (mut spec, mut status, mut workload, mut first_look) =
            (spec(), status("app:1"), workload("app:2", "2"), false);
        change(&mut spec, &mut status, &mut workload, &mut first_look);
        let decision = decide(&Facts {
            trigger_uid: "t",
            spec: &spec,
            status: &status,
            workload: &workload,
            complete_since: Some(at(940)),
            now: at(1000),
            first_look,
        });
        assert_eq!(word(&decision), *wanted, "{name}: {decision:?}");
    }
}

#[test]
fn a_change_that_was_waited_on_is_carried_on_with_after_a_restart() {
    let (spec, mut status, workload) = (spec(), status("app:1"), workload("app:2", "2"));
    let facts = |status: &TriggerStatus, first_look| {
        let facts = Facts {
            trigger_uid: "t",
            spec: &spec,
            status,
            workload: &workload,
            complete_since: None,
            now: at(0),
            first_look,
        };
        (decide(&facts), record(&facts, Outcome::Waited, "rollout".into(), None))
    };
    let (before, waiting) = facts(&status, false);
    status.note(waiting);
    let (after, _) = facts(&status, true);
    assert_eq!(before, after);
    assert_eq!(word(&after), "fire");
}

#[test]
fn run_names_are_names_and_tell_rollouts_apart() {
    let first = settled(&workload("app:1", "1"), None);
    let second = settled(&workload("app:2", "2"), Some(&first));
    // The images of the first rollout come back as a third: another revision, so another run.
    let third = settled(&workload("app:1", "3"), Some(&second));
    assert_ne!(first.revision, third.revision);
    // A Deployment's revision does not hang on what was settled before, so engines that disagree about it still agree.
    assert_eq!(revision(&workload("app:1", "3"), None), third.revision);
    let mut bare = workload("app:1", "1");
    bare.own_revision = None;
    assert_ne!(revision(&bare, Some(&first)), revision(&bare, Some(&second)));
    let name = run_name("t", "w", &third.revision);
    assert!(name.len() <= 63 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
    assert_eq!(name, run_name("t", "w", &third.revision));
    assert_ne!(run_name("ab", "c", "r"), run_name("a", "bc", "r"));
}

#[test]
fn targets() {
    let cart = workload("app:1", "1");
    assert!(watches(&spec(), &cart));
    let mut by_label = spec();
    by_label.target.names.clear();
    by_label.target.labels.insert("app".into(), "cart".into());
    assert!(!watches(&by_label, &cart));
    let mut labelled = cart;
    labelled.labels.insert("app".into(), "cart".into());
    assert!(watches(&by_label, &labelled));
    labelled.namespace = "other".into();
    assert!(!watches(&by_label, &labelled));
}
