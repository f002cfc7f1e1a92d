//! The guards against a model, in virtual time: changes, rollouts, ends of runs, switches, restarts and other triggers'
//! runs come in any order, and a small engine carries decisions out as the real one does. The model knows the events
//! alone, never a trigger's status, and says of every run that was started whether it may have been.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use crate::condition::facts::Seen;
use crate::decide::{Decision, Facts, decide, leaves, settled};
use crate::rollout::Rollout;
use crate::spec::{Outcome, TriggerSpec, TriggerStatus, WorkloadKind};
use crate::surroundings::{Answer, OpenRun, Surroundings};
use crate::workload::Workload;

#[derive(Debug, Clone)]
enum Step {
    /// An image is deployed to one of two workloads.
    Deploy(usize, u8),
    /// The rollout of one is complete, fails, or is paused.
    Rolls(usize, u8),
    /// Minutes pass.
    Pass(u16),
    /// The oldest run that has not ended ends.
    RunEnds,
    Suspend(bool),
    Halt(bool),
    /// A person says yes or no to what waits.
    Answer(bool),
    /// The engine comes back with nothing but the status.
    Restart,
    /// A run of another trigger for one of the workloads begins, or all of them end.
    Other(usize),
    OthersEnd,
    Scale(usize, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        4 => (0..2_usize, 0..4_u8).prop_map(|(at, image)| Step::Deploy(at, image)),
        4 => (0..2_usize, 0..3_u8).prop_map(|(at, how)| Step::Rolls(at, how)),
        4 => (1..300_u16).prop_map(Step::Pass),
        3 => Just(Step::RunEnds),
        1 => any::<bool>().prop_map(Step::Suspend),
        1 => any::<bool>().prop_map(Step::Halt),
        2 => any::<bool>().prop_map(Step::Answer),
        1 => Just(Step::Restart),
        1 => (0..2_usize).prop_map(Step::Other),
        1 => Just(Step::OthersEnd),
        1 => (0..2_usize, 0..4_u8).prop_map(|(at, n)| Step::Scale(at, n)),
    ];
    prop::collection::vec(one, 1..60)
}

#[derive(Debug, Clone)]
struct Rules {
    soak: u32,
    cooldown: u32,
    per_day: Option<u32>,
    exclusive: u8,
    quiet: bool,
    approval: bool,
    waits: bool,
    least: Option<u32>,
}

fn rules() -> impl Strategy<Value = Rules> {
    (
        prop::sample::select(vec![0, 600]),
        prop::sample::select(vec![0, 7200]),
        prop::option::of(1..4_u32),
        0..3_u8,
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.8),
        prop::option::of(1..3_u32),
    )
        .prop_map(|(soak, cooldown, per_day, exclusive, quiet, approval, waits, least)| Rules {
            soak,
            cooldown,
            per_day,
            exclusive,
            quiet,
            approval,
            waits,
            least,
        })
}

fn spec(rules: &Rules) -> TriggerSpec {
    let quiet = rules.quiet.then(|| json!({"timeZone": "UTC", "windows": [{"from": "22:00", "to": "06:00"}]}));
    let exclusive = ["Workload", "Trigger", "All"][usize::from(rules.exclusive)];
    serde_json::from_value(json!({"project": "shop", "workflow": "w",
        "target": {"kind": "Deployment", "namespace": "shop", "names": ["w0", "w1"]},
        "guards": {"waitForRollout": rules.waits, "soakSeconds": rules.soak, "cooldownSeconds": rules.cooldown,
            "maxPerDay": rules.per_day, "minReadyReplicas": rules.least, "approval": rules.approval,
            "exclusive": exclusive, "quietHours": quiet}}))
    .unwrap()
}

/// A workload in the model: what is deployed, and what is known of it.
#[derive(Debug, Clone)]
struct Truth {
    image: u8,
    generation: u32,
    rollout: Rollout,
    complete_since: Option<Timestamp>,
    replicas: u8,
}

struct World {
    rules: Rules,
    spec: TriggerSpec,
    now: Timestamp,
    workloads: [Truth; 2],
    suspended: bool,
    halted: bool,
    others: Vec<usize>,
    /// Every run: when, which workload, its name, the generation it was started for, and whether it has ended.
    runs: Vec<(Timestamp, usize, String, u32, bool)>,
    yes: BTreeSet<String>,
    // The engine's.
    status: TriggerStatus,
    around: Surroundings,
    looked: [bool; 2],
    engine_complete: [Option<(u8, Timestamp)>; 2],
}

impl World {
    fn new(rules: Rules) -> Self {
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let fresh =
            Truth { image: 0, generation: 1, rollout: Rollout::Complete, complete_since: Some(now), replicas: 2 };
        let mut world = Self {
            spec: spec(&rules),
            rules,
            now,
            workloads: [fresh.clone(), fresh],
            suspended: false,
            halted: false,
            others: Vec::new(),
            runs: Vec::new(),
            yes: BTreeSet::new(),
            status: TriggerStatus::default(),
            around: Surroundings::default(),
            looked: [false; 2],
            engine_complete: [None, None],
        };
        world.engine();
        world
    }

    fn read(&self, at: usize) -> Workload {
        let truth = &self.workloads[at];
        let read = Workload::read(
            WorkloadKind::Deployment,
            json!({"metadata": {"name": format!("w{at}"), "namespace": "shop", "uid": format!("u{at}"), "generation": 1,
                    "annotations": {"deployment.kubernetes.io/revision": truth.generation.to_string()}},
                "spec": {"replicas": truth.replicas, "template": {"spec": {"containers": [
                    {"name": "app", "image": format!("app:{}", truth.image)}]}}},
                "status": {"observedGeneration": 1, "readyReplicas": truth.replicas}}),
        );
        Workload { rollout: truth.rollout.clone(), ..read }
    }

    /// Passes of the engine until it has nothing more to write.
    fn engine(&mut self) {
        self.spec.suspended = self.suspended;
        self.around.halted = self.halted.then(|| "freeze".to_owned());
        for _ in 0..8 {
            let mut wrote = false;
            for at in 0..2 {
                wrote |= self.look(at);
            }
            if !wrote {
                return;
            }
        }
        panic!("the engine goes on writing: {:#?}", self.status.decisions.last());
    }

    fn look(&mut self, at: usize) -> bool {
        let workload = self.read(at);
        let seen = Seen::look(&self.spec.when, &workload.object);
        let image = self.workloads[at].image;
        let done = !self.rules.waits || workload.rollout == Rollout::Complete;
        self.engine_complete[at] = match self.engine_complete[at] {
            Some((known, since)) if done && known == image => Some((known, since)),
            _ => done.then_some((image, self.now)),
        };
        self.around.open = self
            .others
            .iter()
            .map(|at| OpenRun { run: "other".into(), trigger: "other".into(), workload: format!("u{at}") })
            .collect();
        let (decision, record, observed) = {
            let facts = Facts {
                trigger_uid: "t",
                spec: &self.spec,
                status: &self.status,
                workload: &workload,
                seen: &seen,
                around: &self.around,
                complete_since: self.engine_complete[at].map(|(_, since)| since),
                now: self.now,
                first_look: !self.looked[at],
            };
            let decision = decide(&facts);
            (decision.clone(), leaves(&facts, &decision), settled(&facts))
        };
        self.looked[at] = true;
        if let Decision::Fire { run, .. } = &decision {
            self.judge(at, run);
            self.runs.push((self.now, at, run.clone(), self.workloads[at].generation, false));
        }
        let settles = !matches!(decision, Decision::Nothing | Decision::Wait { .. });
        if settles {
            self.status.settle(observed);
        }
        let wrote = settles || record.is_some();
        if let Some(record) = record {
            self.status.note(record);
        }
        wrote
    }

    /// Whether the run may be started, by the events alone.
    fn judge(&self, at: usize, run: &str) {
        let (truth, rules) = (&self.workloads[at], &self.rules);
        assert!(!self.suspended && !self.halted, "started while everything rests");
        assert!(self.runs.iter().all(|one| one.2 != run), "two runs of one name");
        assert!(
            !self.runs.iter().any(|one| one.1 == at && one.3 == truth.generation),
            "the same change started two runs"
        );
        assert!(truth.replicas > 0, "nothing to test");
        assert!(rules.least.is_none_or(|least| u32::from(truth.replicas) >= least), "too few ready");
        if rules.waits {
            let since = truth.complete_since.expect("the rollout is not complete");
            assert!(self.now.duration_since(since) >= SignedDuration::from_secs(rules.soak.into()), "not soaked");
        }
        let open = |one: &&(Timestamp, usize, String, u32, bool)| !one.4;
        assert!(!self.runs.iter().filter(open).any(|one| one.1 == at), "a run for it is under way");
        assert!(!self.others.contains(&at), "another trigger's run for it is under way");
        if rules.exclusive > 0 {
            assert_eq!(self.runs.iter().filter(open).count(), 0, "a run of the trigger is under way");
        }
        if rules.exclusive > 1 {
            assert!(self.others.is_empty(), "another trigger's run is under way");
        }
        let cooldown = SignedDuration::from_secs(rules.cooldown.into());
        let cooled = |one: &(Timestamp, usize, String, u32, bool)| self.now.duration_since(one.0) >= cooldown;
        assert!(self.runs.iter().filter(|one| one.1 == at).all(cooled), "not cooled down");
        if let Some(most) = rules.per_day {
            let day = SignedDuration::from_hours(24);
            let today = self.runs.iter().filter(|one| self.now.duration_since(one.0) < day).count();
            assert!(today < most as usize, "enough for a day");
        }
        let hour = self.now.to_zoned(jiff::tz::TimeZone::UTC).hour();
        assert!(!rules.quiet || (6..22).contains(&hour), "quiet hours");
        assert!(!rules.approval || self.yes.contains(run), "nobody said yes");
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Deploy(at, image) => {
                let truth = &mut self.workloads[at];
                if truth.image != image {
                    truth.image = image;
                    truth.generation += 1;
                    truth.rollout = Rollout::Progressing(String::new());
                    truth.complete_since = None;
                }
            }
            Step::Rolls(at, how) => {
                let truth = &mut self.workloads[at];
                truth.rollout = match how {
                    0 => Rollout::Complete,
                    1 => Rollout::Failed("quota".into()),
                    _ => Rollout::Paused,
                };
                let complete = truth.rollout == Rollout::Complete;
                truth.complete_since = complete.then(|| truth.complete_since.unwrap_or(self.now));
            }
            Step::Pass(minutes) => self.now += SignedDuration::from_mins(minutes.into()),
            Step::RunEnds => {
                if let Some(run) = self.runs.iter_mut().find(|one| !one.4) {
                    run.4 = true;
                    let name = run.2.clone();
                    self.status.ended(&name, "Pass");
                }
            }
            Step::Suspend(on) => self.suspended = on,
            Step::Halt(on) => self.halted = on,
            Step::Answer(yes) => {
                let waiting = self.status.decisions.iter().filter(|one| one.decision == Outcome::Waited);
                for run in waiting.filter_map(|one| one.run.clone()).collect::<Vec<_>>() {
                    if yes {
                        self.yes.insert(run.clone());
                    }
                    self.around.answers.insert(run, Answer { yes, who: "olha".into() });
                }
            }
            Step::Restart => (self.looked, self.engine_complete) = ([false; 2], [None, None]),
            Step::Other(at) => self.others.push(at),
            Step::OthersEnd => self.others.clear(),
            Step::Scale(at, n) => self.workloads[at].replicas = n,
        }
        self.engine();
    }

    /// With everything in order again, nothing is left undecided: what waits is run, or passed over with a reason.
    fn calm(&mut self) {
        for step in [Step::Suspend(false), Step::Halt(false), Step::OthersEnd, Step::Scale(0, 2), Step::Scale(1, 2)] {
            self.step(&step);
        }
        for _ in 0..12 {
            for step in [Step::Rolls(0, 0), Step::Rolls(1, 0), Step::Pass(300), Step::Answer(true), Step::RunEnds] {
                self.step(&step);
            }
        }
        let waiting = self.status.decisions.iter().find(|one| one.decision == Outcome::Waited);
        assert!(waiting.is_none(), "{waiting:#?}");
        for at in 0..2 {
            let images = &self.status.observed_of(&format!("u{at}")).unwrap().images;
            assert_eq!(images["app"], format!("app:{}", self.workloads[at].image));
        }
        assert!(self.status.decisions.len() <= crate::spec::MAX_DECISIONS);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_run_is_started_that_a_guard_forbids_and_no_change_is_forgotten(rules in rules(), steps in steps()) {
        let mut world = World::new(rules);
        for step in &steps {
            world.step(step);
        }
        world.calm();
    }
}
