use serde_json::{Value, json};

use super::*;
use crate::rollout::Rollout;
use crate::spec::{LastRun, WorkloadKind};
use crate::surroundings::{Answer, Budget, Budgets, OpenRun};

fn spec(more: Value) -> TriggerSpec {
    let mut spec = json!({"project": "shop", "workflow": "w",
        "target": {"kind": "Deployment", "namespace": "shop", "names": ["cart"]}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn workload(image: &str, own: &str) -> Workload {
    Workload::read(
        WorkloadKind::Deployment,
        json!({"metadata": {"name": "cart", "namespace": "shop", "uid": "w-uid", "generation": 3,
                "annotations": {"deployment.kubernetes.io/revision": own}},
            "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "cart"}},
                "spec": {"containers": [{"name": "app", "image": image}]}}},
            "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
                "readyReplicas": 2}}),
    )
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// Everything that a decision is taken on, owned.
struct Scene {
    spec: TriggerSpec,
    status: TriggerStatus,
    workload: Workload,
    around: Surroundings,
    now: Timestamp,
    first_look: bool,
    complete_since: Option<Timestamp>,
}

impl Scene {
    /// `app:1` is settled, and the workload has `app:2`.
    fn new(more: Value) -> Self {
        let mut scene = Self {
            spec: spec(more),
            status: TriggerStatus::default(),
            workload: workload("app:1", "1"),
            around: Surroundings::default(),
            now: at(1000),
            first_look: false,
            complete_since: Some(at(940)),
        };
        assert_eq!(scene.go().0, Decision::Settle);
        scene.workload = workload("app:2", "2");
        scene
    }

    fn with<T>(&self, use_: impl FnOnce(&Facts<'_>) -> T) -> T {
        let seen = Seen::look(&self.spec.when, &self.workload.object);
        use_(&Facts {
            trigger_uid: "t",
            spec: &self.spec,
            status: &self.status,
            workload: &self.workload,
            seen: &seen,
            around: &self.around,
            complete_since: self.complete_since,
            now: self.now,
            first_look: self.first_look,
        })
    }

    fn decide(&self) -> Decision {
        self.with(decide)
    }

    /// Decides, and writes it down as the engine does.
    fn go(&mut self) -> (Decision, Option<DecisionRecord>) {
        let (decision, record, settled) = self.with(|facts| {
            let decision = decide(facts);
            (decision.clone(), leaves(facts, &decision), settled(facts))
        });
        if !matches!(decision, Decision::Nothing | Decision::Wait { .. }) {
            self.status.settle(settled);
        }
        if let Some(record) = &record {
            self.status.note(record.clone());
        }
        (decision, record)
    }

    /// Decides until something else than the start is awaited.
    fn run(&mut self) -> (Decision, Option<DecisionRecord>) {
        let first = self.go();
        if word(&first.0) == "start" { self.go() } else { first }
    }

    fn ran(&mut self, seconds: i64, verdict: Option<&str>) {
        let mut record = self.with(|facts| record(facts, Outcome::Fired, String::new(), Some("trigger-x".into())));
        (record.time, record.verdict) = (at(seconds), verdict.map(str::to_owned));
        self.status.note(record);
    }
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Nothing => "nothing",
        Decision::Settle => "settle",
        Decision::Pass { outcome: Outcome::Missed, .. } => "missed",
        Decision::Pass { outcome: Outcome::WouldFire, .. } => "would fire",
        Decision::Pass { .. } => "skip",
        Decision::Wait { reason, .. } if reason == ABOUT_TO_START => "start",
        Decision::Wait { .. } => "wait",
        Decision::Fire { .. } => "fire",
    }
}

/// One row: the name, a change to a plain changed image with nothing in its way, and what is to come of it.
type Row = (&'static str, fn(&mut Scene), &'static str);

#[test]
fn every_decision() {
    let table: &[Row] = &[
        ("changed", |_| {}, "start"),
        ("first sight", |s| s.status.observed.clear(), "settle"),
        ("same images", |s| s.workload = workload("app:1", "1"), "nothing"),
        ("same images at start", |s| (s.workload, s.first_look) = (workload("app:1", "1"), true), "nothing"),
        ("another own revision", |s| s.workload = workload("app:1", "9"), "nothing"),
        ("suspended", |s| s.spec.suspended = true, "skip"),
        ("halted", |s| s.around.halted = Some("freeze".into()), "skip"),
        ("protected", |s| s.around.protected = vec!["shop".into()], "skip"),
        ("a halt that is not known", |s| s.around.halt_unknown = Some("forbidden".into()), "wait"),
        ("a protection that is not known", |s| s.around.unread = [("shop".into(), "forbidden".into())].into(), "wait"),
        ("another namespace's", |s| s.around.unread = [("other".into(), "forbidden".into())].into(), "start"),
        (
            "a halt that is not known, and too long a rollout",
            |s| {
                s.around.halt_unknown = Some("forbidden".into());
                (s.spec.guards.rollout_timeout_seconds, s.workload.rollout) = (Some(0), Rollout::Paused);
            },
            "wait",
        ),
        ("made by a run", |s| s.workload.made_by_run = Some("r".into()), "skip"),
        ("written by a run's program", |s| s.workload.written_by_run = Some("litmus".into()), "skip"),
        ("unseen at start", |s| s.first_look = true, "missed"),
        ("unseen at start, to be run", |s| (s.first_look, s.spec.while_away) = (true, WhileAway::Run), "start"),
        ("not taken up", |s| s.workload.taken_up = false, "wait"),
        ("scaled to zero", |s| s.workload.replicas = 0, "wait"),
        ("progressing", |s| s.workload.rollout = Rollout::Progressing(String::new()), "wait"),
        ("paused", |s| s.workload.rollout = Rollout::Paused, "wait"),
        ("failed", |s| s.workload.rollout = Rollout::Failed(String::new()), "wait"),
        ("timed out", |s| s.workload.rollout = Rollout::TimedOut, "wait"),
        (
            "not waiting for the rollout",
            |s| (s.spec.guards.wait_for_rollout, s.workload.rollout) = (false, Rollout::Paused),
            "start",
        ),
        ("soaking", |s| s.spec.guards.soak_seconds = 61, "wait"),
        ("soaked", |s| s.spec.guards.soak_seconds = 60, "start"),
        ("too few ready", |s| s.spec.guards.min_ready_replicas = Some(3), "wait"),
        ("enough ready", |s| s.spec.guards.min_ready_replicas = Some(2), "start"),
        (
            "a budget that is used up",
            |s| {
                s.spec.guards.respect_disruption_budget = true;
                s.around.budgets = Budgets::Known(vec![budget(0)]);
            },
            "wait",
        ),
        (
            "a budget with room",
            |s| {
                s.spec.guards.respect_disruption_budget = true;
                s.around.budgets = Budgets::Known(vec![budget(1)]);
            },
            "start",
        ),
        (
            "budgets that are not known",
            |s| {
                s.spec.guards.respect_disruption_budget = true;
                s.around.budgets = Budgets::Unknown("forbidden".into());
            },
            "wait",
        ),
        ("budgets that nobody asked for", |s| s.around.budgets = Budgets::Unknown("forbidden".into()), "start"),
        ("one at a time", |s| s.ran(0, None), "wait"),
        ("another trigger's run for the workload", |s| s.around.open = vec![open("other", "w-uid")], "wait"),
        ("another workload's run", |s| s.around.open = vec![open("t", "other")], "start"),
        (
            "one at a time in the trigger",
            |s| (s.spec.guards.exclusive, s.around.open) = (crate::spec::Exclusive::Trigger, vec![open("t", "other")]),
            "wait",
        ),
        (
            "another trigger's, one at a time in the trigger",
            |s| (s.spec.guards.exclusive, s.around.open) = (crate::spec::Exclusive::Trigger, vec![open("o", "other")]),
            "start",
        ),
        (
            "one at a time overall",
            |s| (s.spec.guards.exclusive, s.around.open) = (crate::spec::Exclusive::All, vec![open("o", "other")]),
            "wait",
        ),
        (
            "cooling down",
            |s| {
                s.spec.guards.cooldown_seconds = 1001;
                s.ran(0, Some("Pass"));
            },
            "skip",
        ),
        (
            "cooling down after a run that is no longer listed",
            |s| {
                s.spec.guards.cooldown_seconds = 1001;
                let last = LastRun { name: "x".into(), time: at(0), verdict: Some("Pass".into()) };
                s.status.observed[0].last_run = Some(last);
            },
            "skip",
        ),
        (
            "cooled down",
            |s| {
                s.spec.guards.cooldown_seconds = 1000;
                s.ran(0, Some("Pass"));
            },
            "start",
        ),
        (
            "enough for a day",
            |s| {
                s.spec.guards.max_per_day = Some(1);
                s.ran(0, Some("Pass"));
            },
            "skip",
        ),
        (
            "a new day",
            |s| {
                s.spec.guards.max_per_day = Some(1);
                s.ran(-90_000, Some("Pass"));
            },
            "start",
        ),
        ("dry run", |s| s.spec.guards.dry_run = true, "would fire"),
        ("approval", |s| s.spec.guards.approval = true, "wait"),
        (
            "quiet hours",
            |s| {
                let quiet = json!({"timeZone": "UTC", "windows": [{"from": "00:00", "to": "00:00"}]});
                s.spec.guards.quiet_hours = serde_json::from_value(quiet).unwrap();
            },
            "wait",
        ),
    ];
    for (name, change, wanted) in table {
        let mut scene = Scene::new(json!({}));
        change(&mut scene);
        let decision = scene.decide();
        assert_eq!(word(&decision), *wanted, "{name}: {decision:?}");
    }
}

fn open(trigger: &str, workload: &str) -> OpenRun {
    OpenRun { run: "trigger-o".into(), trigger: trigger.into(), workload: workload.into() }
}

fn budget(allowed: i64) -> Budget {
    Budget::read(&json!({"metadata": {"namespace": "shop", "name": "b"}, "status": {"disruptionsAllowed": allowed},
        "spec": {"selector": {"matchLabels": {"app": "cart"}}}}))
}

#[test]
fn a_run_is_written_down_before_it_is_created_and_keeps_its_name() {
    let mut scene = Scene::new(json!({}));
    let (_, written) = scene.go();
    let written = written.unwrap().run.unwrap();
    // The engine dies here. Meanwhile somebody restarts the workload, which gives it another own revision.
    scene.workload = workload("app:2", "3");
    scene.first_look = true;
    let (decision, _) = scene.go();
    assert!(matches!(&decision, Decision::Fire { run, .. } if *run == written), "{decision:?}");
    assert_eq!(scene.decide(), Decision::Nothing);
    assert_eq!(scene.status.decisions.len(), 1, "a change has one entry");
}

#[test]
fn a_run_whose_creation_was_not_noted_does_not_wait_for_itself() {
    let mut scene = Scene::new(json!({}));
    let (_, written) = scene.go();
    let written = written.unwrap().run.unwrap();
    // It was created; the status that says so met somebody else's write, again and again.
    scene.around.open.push(OpenRun { run: written.clone(), trigger: "t".into(), workload: scene.workload.uid.clone() });
    let decision = scene.decide();
    assert!(matches!(&decision, Decision::Fire { run, .. } if *run == written), "{decision:?}");
    scene.around.open.push(open("another", &scene.workload.uid.clone()));
    assert_eq!(word(&scene.decide()), "wait");
}

#[test]
fn a_change_that_was_waited_on_is_carried_on_with_after_a_restart() {
    let mut scene = Scene::new(json!({}));
    scene.workload.rollout = Rollout::Progressing(String::new());
    assert_eq!(word(&scene.go().0), "wait");
    assert!(scene.go().1.is_none(), "the same word is written once");
    scene.first_look = true;
    scene.workload.rollout = Rollout::Complete;
    assert_eq!(word(&scene.run().0), "fire");
}

#[test]
fn a_rollout_that_takes_too_long_is_passed_over() {
    let mut scene = Scene::new(json!({"guards": {"rolloutTimeoutSeconds": 60}}));
    scene.workload.rollout = Rollout::Paused;
    assert_eq!(word(&scene.go().0), "wait");
    scene.now = at(1059);
    // Another reason does not begin the time anew.
    scene.workload.rollout = Rollout::Failed("quota".into());
    assert_eq!(word(&scene.go().0), "wait");
    scene.now = at(1060);
    let (decision, _) = scene.go();
    assert!(matches!(&decision, Decision::Pass { reason, .. } if reason.contains("quota")), "{decision:?}");
}

#[test]
fn an_approval_is_for_one_run_and_a_refusal_ends_it() {
    let mut scene = Scene::new(json!({"guards": {"approval": true}}));
    let (_, record) = scene.go();
    let run = record.unwrap().run.unwrap();
    let say = |scene: &mut Scene, run: &str, yes: bool| {
        scene.around.answers.insert(run.to_owned(), Answer { yes, who: "olha".into() });
    };
    say(&mut scene, "trigger-of-another-change", true);
    assert_eq!(word(&scene.decide()), "wait");
    // Approved, but now the night has begun: the other guards still count.
    say(&mut scene, &run, true);
    scene.spec.guards.soak_seconds = 3600;
    assert_eq!(word(&scene.decide()), "wait");
    scene.spec.guards.soak_seconds = 0;
    let (decision, _) = scene.run();
    assert!(matches!(&decision, Decision::Fire { run: fired, .. } if *fired == run));

    let mut scene = Scene::new(json!({"guards": {"approval": true}}));
    scene.go();
    say(&mut scene, &run, false);
    let (decision, _) = scene.go();
    assert!(matches!(&decision, Decision::Pass { reason, .. } if reason == "olha declined it"), "{decision:?}");
    assert_eq!(scene.decide(), Decision::Nothing);
}

#[test]
fn what_was_missed_is_offered_and_runs_once_on_a_persons_word() {
    let mut scene = Scene::new(json!({}));
    scene.first_look = true;
    let (_, record) = scene.go();
    let run = record.unwrap().run.unwrap();
    scene.first_look = false;
    assert_eq!(scene.decide(), Decision::Nothing);
    scene.around.answers.insert(run.clone(), Answer { yes: true, who: String::new() });
    let (decision, _) = scene.go();
    assert!(matches!(&decision, Decision::Fire { run: fired, .. } if *fired == run), "{decision:?}");
    assert_eq!(scene.decide(), Decision::Nothing);
    assert_eq!(scene.status.decisions.len(), 1);

    // An offer whose images have been replaced is none any more.
    let mut scene = Scene::new(json!({}));
    scene.first_look = true;
    scene.go();
    scene.first_look = false;
    scene.workload = workload("app:3", "3");
    scene.spec.suspended = true;
    scene.go();
    scene.spec.suspended = false;
    scene.around.answers.insert(run, Answer { yes: true, who: String::new() });
    assert_eq!(scene.decide(), Decision::Nothing);
}

#[test]
fn a_persons_word_outlives_a_launch_that_fails_for_the_moment_and_ends_with_one_that_is_refused() {
    let missed = || {
        let mut scene = Scene::new(json!({}));
        scene.first_look = true;
        let run = scene.go().1.unwrap().run.unwrap();
        scene.first_look = false;
        scene.around.answers.insert(run.clone(), Answer { yes: true, who: "olha".into() });
        (scene, run)
    };
    let failed = |scene: &Scene, retry: bool| {
        let error = LaunchError { message: "the quota is used up".into(), retry };
        scene.with(|facts| {
            let decision = decide(facts);
            assert_eq!(word(&decision), "fire");
            unstarted(facts, &leaves(facts, &decision).unwrap(), &error)
        })
    };
    let (mut scene, run) = missed();
    assert_eq!(failed(&scene, true), None, "the offer stays as it is");
    let (decision, _) = scene.go();
    assert!(matches!(&decision, Decision::Fire { run: fired, .. } if *fired == run), "{decision:?}");

    let (mut scene, run) = missed();
    let record = failed(&scene, false).unwrap();
    assert_eq!((record.decision, record.run.as_deref()), (Outcome::Skipped, Some(run.as_str())));
    assert!(record.reason.contains("quota"), "{record:?}");
    scene.status.note(record);
    assert_eq!(scene.decide(), Decision::Nothing, "it is not asked for again and again");

    // A change that was seen waits with its run, and says so once.
    let mut scene = Scene::new(json!({}));
    let run = scene.go().1.unwrap().run;
    let record = failed(&scene, true).unwrap();
    assert_eq!((record.decision, &record.run), (Outcome::Waited, &run));
    scene.status.note(record);
    assert_eq!(failed(&scene, true), None);
    assert_eq!(failed(&scene, false).unwrap().run, None, "no run was started and none is offered");
}

#[test]
fn a_runs_own_change_and_its_undoing_start_nothing_and_a_persons_change_after_them_does() {
    let mut scene = Scene::new(json!({}));
    scene.workload.made_by_run = Some("trigger-y".into());
    assert_eq!(word(&scene.go().0), "skip");
    // What was there before comes back, by whoever.
    scene.workload = workload("app:1", "3");
    assert_eq!(word(&scene.go().0), "skip");
    scene.workload = workload("app:2", "4");
    assert_eq!(word(&scene.decide()), "start");
    // The mark that a run left behind does not hide later changes.
    let mut scene = Scene::new(json!({}));
    scene.workload.made_by_run = Some("trigger-y".into());
    scene.go();
    scene.workload = workload("app:3", "3");
    scene.workload.made_by_run = Some("trigger-y".into());
    assert_eq!(word(&scene.decide()), "start");
}

#[test]
fn a_loop_ends_at_a_person() {
    let mut scene = Scene::new(json!({}));
    let mut fired = 0;
    // Each run brings the next change with it, until one waits.
    for n in 2..=crate::guarding::CHAIN + 2 {
        scene.workload = workload(&format!("app:{n}"), &n.to_string());
        // Seen while the run before has not ended, which then ends.
        scene.go();
        let open: Vec<String> = scene.status.open_runs().into_keys().map(str::to_owned).collect();
        open.iter().for_each(|run| scene.status.ended(run, "Pass"));
        if word(&scene.run().0) == "fire" || word(&scene.run().0) == "fire" {
            fired += 1;
        }
    }
    assert_eq!(fired, crate::guarding::CHAIN, "{:#?}", scene.status.decisions.last());
    let last = scene.status.decisions.last().unwrap();
    assert!(last.reason.contains("loop"), "{last:?}");
    let run = last.run.clone().unwrap();
    scene.around.answers.insert(run, Answer { yes: true, who: String::new() });
    assert_eq!(word(&scene.decide()), "fire");
}

#[test]
fn a_workload_that_is_gone_waits_no_longer() {
    let mut scene = Scene::new(json!({}));
    scene.workload.rollout = Rollout::Paused;
    scene.go();
    assert!(gone(&scene.status, at(0), |_| true).is_empty());
    let records = gone(&scene.status, at(0), |_| false);
    assert_eq!(records.len(), 1);
    scene.status.note(records[0].clone());
    assert!(scene.status.waiting("w-uid").is_none());
    assert_eq!(scene.status.decisions.len(), 1);
}

#[test]
fn run_names_are_names_and_tell_changes_apart() {
    let mut scene = Scene::new(json!({}));
    let second = scene.with(|facts| facts.run());
    assert!(second.len() <= 63 && second.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
    assert_eq!(second, scene.with(|facts| facts.run()));
    scene.run();
    scene.status.ended(&second, "Pass");
    // The images of the first rollout come back as a third: another run.
    scene.workload = workload("app:1", "3");
    let third = scene.with(|facts| facts.run());
    scene.run();
    scene.status.ended(&third, "Pass");
    scene.workload = workload("app:2", "4");
    let names = [second, third, scene.with(|facts| facts.run())];
    assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
    assert_ne!(run_name("ab", "c", "r"), run_name("a", "bc", "r"));
    // A Deployment's revision does not hang on what was settled before, so engines that disagree about it still agree.
    let of = |settled: Option<&Observed>| scene.with(|facts| revision(facts.spec, facts.workload, facts.seen, settled));
    assert_eq!(of(None), of(scene.status.observed_of("w-uid")));
}

#[test]
fn conditions_other_than_images() {
    let mut scene = Scene::new(json!({"when": {"label": {"key": "tier", "operator": "Equals", "value": "gold"}}}));
    assert_eq!(word(&scene.go().0), "settle", "an image is not asked about");
    let label = |scene: &mut Scene, value: &str| {
        let mut object = (*scene.workload.object).clone();
        object["metadata"]["labels"] = json!({"tier": value});
        scene.workload = Workload::read(WorkloadKind::Deployment, object);
    };
    label(&mut scene, "silver");
    assert_eq!(word(&scene.go().0), "settle");
    label(&mut scene, "gold");
    let (decision, first) = scene.run();
    assert_eq!(word(&decision), "fire");
    let first = first.unwrap().run.unwrap();
    scene.status.ended(&first, "Pass");
    label(&mut scene, "silver");
    scene.go();
    label(&mut scene, "gold");
    let (_, again) = scene.run();
    assert_ne!(again.unwrap().run.unwrap(), first, "it came back, which is another change");
    // What is edited in the trigger is no change of the workload.
    let mut scene = Scene::new(json!({"when": {"imageChanged": {}}}));
    scene.run();
    scene.spec.when = serde_json::from_value(json!({"replicas": {"operator": "GreaterThan", "value": 1}})).unwrap();
    assert_eq!(word(&scene.go().0), "settle");
    assert_eq!(word(&scene.decide()), "nothing");
}

#[test]
fn many_workloads_that_change_at_once_are_all_run_and_counted() {
    const MANY: usize = 120;
    let pass = |spec: &TriggerSpec, status: &mut TriggerStatus, image: &str, own: &str| {
        let (mut fired, mut wrote) = (0, 0);
        for n in 0..MANY {
            let workload = Workload { uid: format!("w{n}"), ..workload(image, own) };
            let seen = Seen::look(&spec.when, &workload.object);
            let (decision, record, observed) = {
                let facts = Facts {
                    trigger_uid: "t",
                    spec,
                    status,
                    workload: &workload,
                    seen: &seen,
                    around: &Surroundings::default(),
                    complete_since: Some(at(940)),
                    now: at(1000),
                    first_look: false,
                };
                let decision = decide(&facts);
                (decision.clone(), leaves(&facts, &decision), settled(&facts))
            };
            fired += usize::from(word(&decision) == "fire");
            if !matches!(decision, Decision::Nothing | Decision::Wait { .. }) {
                status.settle(observed);
                wrote += 1;
            }
            if let Some(record) = record {
                status.note(record);
                wrote += 1;
            }
        }
        (fired, wrote)
    };
    let (all, mut status) = (spec(json!({})), TriggerStatus::default());
    pass(&all, &mut status, "app:1", "1");
    assert_eq!(pass(&all, &mut status, "app:2", "2").0, 0, "each is written down first");
    assert_eq!(pass(&all, &mut status, "app:2", "2").0, MANY);
    assert_eq!(pass(&all, &mut status, "app:2", "2"), (0, 0), "and nothing is written for ever");

    let (few, mut status) = (spec(json!({"guards": {"maxPerDay": 40}})), TriggerStatus::default());
    pass(&few, &mut status, "app:1", "1");
    let fired: usize = (0..5).map(|_| pass(&few, &mut status, "app:2", "2").0).sum();
    assert_eq!(fired, 40);
}
