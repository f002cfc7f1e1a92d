//! "What would it do now": a trigger over one workload at this moment, test by test and guard by guard. Pure; nothing
//! comes of it.
//!
//! The change that is asked about is the newest one that the cluster can still tell: from the revision before to what
//! is there. What no revision holds (replicas, labels, annotations) is supposed to have changed with it, and that is
//! told.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::backtest::Revision;
use crate::condition::Condition;
use crate::condition::facts::{Seen, key};
use crate::condition::judge::{Before, holds};
use crate::decide::{ABOUT_TO_START, Decision, Facts, decide};
use crate::guarding::{Hold, each};
use crate::spec::{Observed, Outcome, TriggerSpec, TriggerStatus};
use crate::workload::Workload;

/// What a test of the condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// It cannot be told; why.
    Unclear(String),
}

/// What one group of guards says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardAnswer {
    /// Which: `known`, `rollout`, `soak`, `pods`, `runs`, `often`, `quiet` or `approval`.
    pub guard: &'static str,
    /// What holds a change back; none when it passes.
    pub hold: Option<Hold>,
}

/// What a trigger makes of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// What the tests of the condition say, in the order in which they are written.
    pub tests: Vec<Truth>,
    /// What the guards say.
    pub guards: Vec<GuardAnswer>,
    /// What would be decided; none when the condition does not hold or nothing changed.
    pub outcome: Option<Outcome>,
    /// Why.
    pub reason: String,
}

/// The change that a test is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supposed {
    /// What was there before.
    pub before: Observed,
    /// What is taken to have changed though nothing tells.
    pub assumptions: Vec<String>,
}

/// Explains what is decided on these facts.
pub fn explain(facts: &Facts<'_>) -> Explained {
    let nothing = (BTreeMap::new(), BTreeMap::new());
    let (images, remembered) = facts.settled().map_or((&nothing.0, &nothing.1), |one| (&one.images, &one.facts));
    let before = Before { images, facts: remembered };
    let test = |test: &&Condition| match holds(test, before, facts.seen) {
        Ok(true) => Truth::Holds,
        Ok(false) => Truth::Fails,
        Err(why) => Truth::Unclear(why.into()),
    };
    let tests = facts.spec.when.tests().iter().map(test).collect();
    let guards = each(facts, &facts.run()).into_iter().map(|(guard, hold)| GuardAnswer { guard, hold }).collect();
    let (outcome, reason) = match decide(facts) {
        Decision::Settle if facts.settled().is_none() => {
            (None, "it is looked at for the first time; what changes from then on counts".to_owned())
        }
        Decision::Nothing => (None, "nothing that the condition names has changed".to_owned()),
        Decision::Settle => (None, "the condition does not hold".to_owned()),
        Decision::Pass { outcome, reason } => (Some(outcome), reason),
        Decision::Wait { reason, .. } if reason == ABOUT_TO_START => (Some(Outcome::Fired), reason),
        Decision::Wait { reason, .. } => (Some(Outcome::Waited), reason),
        Decision::Fire { reason, .. } => (Some(Outcome::Fired), reason),
    };
    Explained { tests, guards, outcome, reason }
}

/// Whether what a test looks at lies outside of the pod template, which is all that revisions hold.
fn outside(test: &Condition) -> bool {
    match test {
        Condition::Replicas(_) | Condition::Label(_) | Condition::Annotation(_) => true,
        Condition::Field(test) => !test.path.starts_with("spec.template"),
        Condition::Jmespath(test) => !test.key.starts_with("spec.template"),
        _ => false,
    }
}

/// What a test looks at, in words.
fn about(test: &Condition) -> String {
    match test {
        Condition::Replicas(_) => "the number of replicas".to_owned(),
        Condition::Label(test) => format!("the label {}", test.key),
        Condition::Annotation(test) => format!("the annotation {}", test.key),
        Condition::Env(test) => format!("the variable {}", test.name),
        Condition::Field(test) => test.path.clone(),
        Condition::Jmespath(test) => test.key.clone(),
        _ => "the image".to_owned(),
    }
}

/// A fact that equals none that is ever seen.
const ANOTHER: &str = "another";

/// The change from the revision before to what is there now. With no such revision, everything that the condition names
/// is supposed to have changed, but for what expressions look at.
pub fn suppose(spec: &TriggerSpec, workload: &Workload, previous: Option<&Revision>) -> Supposed {
    let mut object = (*workload.object).clone();
    if let (Some(previous), Some(template)) = (previous, object.pointer_mut("/spec/template")) {
        *template = previous.template.clone();
    }
    let seen = Seen::look(&spec.when, &object);
    let (mut images, mut facts) = (seen.images.clone(), seen.remembered());
    let mut assumptions = Vec::new();
    for test in spec.when.tests() {
        let unknown = previous.is_none() || outside(test);
        match key(test) {
            _ if !unknown || matches!(test, Condition::Cel(_)) => continue,
            Some(key) => {
                facts.insert(key, ANOTHER.to_owned());
            }
            None => images.values_mut().for_each(|image| *image = ANOTHER.to_owned()),
        }
        let words = format!("{} has just changed", about(test));
        if !assumptions.contains(&words) {
            assumptions.push(words);
        }
    }
    let before = Observed {
        uid: workload.uid.clone(),
        name: workload.name.clone(),
        revision: String::new(),
        images,
        facts,
        ..Observed::default()
    };
    Supposed { before, assumptions }
}

/// The trigger's memory with the supposed state as the one that was settled last.
pub fn as_if(status: &TriggerStatus, before: &Observed) -> TriggerStatus {
    let mut status = status.clone();
    status.decisions.retain(|one| one.decision != Outcome::Waited || one.uid != before.uid);
    let last_run = status.observed_of(&before.uid).and_then(|one| one.last_run.clone());
    status.settle(Observed { last_run, ..before.clone() });
    status
}

/// The revision before the newest of a history that has another template than the workload now.
pub fn previous<'a>(history: &'a [Revision], workload: &Value) -> Option<&'a Revision> {
    let now = workload.pointer("/spec/template/spec");
    history.iter().rev().find(|one| one.template.get("spec") != now)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::spec::WorkloadKind;
    use crate::surroundings::Surroundings;

    fn spec(when: Value, guards: Value) -> TriggerSpec {
        serde_json::from_value(json!({"project": "shop", "workflow": "w", "when": when, "guards": guards,
            "target": {"kind": "Deployment", "namespace": "shop", "names": ["cart"]}}))
        .unwrap()
    }

    fn workload(image: &str, ready: i64) -> Workload {
        let object = json!({"metadata": {"uid": "w", "name": "cart", "namespace": "shop", "generation": 1,
                "annotations": {"deployment.kubernetes.io/revision": "2"}},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
            "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": ready,
                "availableReplicas": ready}});
        Workload::read(WorkloadKind::Deployment, object)
    }

    fn revision(image: &str) -> Revision {
        let template = json!({"spec": {"containers": [{"name": "app", "image": image}]}});
        Revision { number: 1, time: Timestamp::UNIX_EPOCH, exact: true, template }
    }

    fn asked(spec: &TriggerSpec, workload: &Workload, previous: Option<&Revision>) -> (Explained, Vec<String>) {
        let supposed = suppose(spec, workload, previous);
        let status = as_if(&TriggerStatus::default(), &supposed.before);
        let (seen, around) = (Seen::look(&spec.when, &workload.object), Surroundings::default());
        let facts = Facts {
            trigger_uid: "t",
            spec,
            status: &status,
            workload,
            seen: &seen,
            around: &around,
            complete_since: None,
            now: "2026-01-01T12:00:00Z".parse().unwrap(),
            first_look: false,
        };
        (explain(&facts), supposed.assumptions)
    }

    #[test]
    fn each_test_and_each_guard_answers() {
        let when = json!({"all": [{"imageChanged": {}}, {"replicas": {"operator": "GreaterThan", "value": 5}}]});
        let (found, assumptions) = asked(&spec(when, json!({})), &workload("app:2", 2), Some(&revision("app:1")));
        assert_eq!(found.tests, [Truth::Holds, Truth::Fails]);
        assert_eq!((found.outcome, found.reason.as_str()), (None, "the condition does not hold"));
        assert_eq!(assumptions, ["the number of replicas has just changed"]);

        let guards = json!({"minReadyReplicas": 2, "approval": true,
            "quietHours": {"timeZone": "UTC", "windows": [{"from": "11:00", "to": "13:00"}]}});
        let spec = spec(json!({}), guards);
        let (found, _) = asked(&spec, &workload("app:2", 1), Some(&revision("app:1")));
        let holding: Vec<&str> = found.guards.iter().filter(|one| one.hold.is_some()).map(|one| one.guard).collect();
        assert_eq!(holding, ["rollout", "pods", "quiet", "approval"]);
        assert_eq!(found.outcome, Some(Outcome::Waited), "the first of them is what would be told");
        assert_eq!(found.reason, "waiting for the rollout");
    }

    #[test]
    fn a_release_would_fire_and_an_equal_one_would_not() {
        let plain = spec(json!({}), json!({}));
        let (found, assumptions) = asked(&plain, &workload("app:2", 2), Some(&revision("app:1")));
        assert_eq!(found.outcome, Some(Outcome::Fired), "{}", found.reason);
        assert!(assumptions.is_empty());
        // With nothing to compare with, a change is supposed, and said to be.
        let (found, assumptions) = asked(&plain, &workload("app:2", 2), None);
        assert_eq!((found.outcome, assumptions.len()), (Some(Outcome::Fired), 1));
        let env = spec(json!({"env": {"name": "LEVEL", "operator": "Changed"}}), json!({}));
        let (found, _) = asked(&env, &workload("app:2", 2), Some(&revision("app:1")));
        assert_eq!((found.outcome, found.tests), (None, vec![Truth::Fails]), "the last release left it alone");
        let dry = spec(json!({}), json!({"dryRun": true}));
        assert_eq!(asked(&dry, &workload("app:2", 2), None).0.outcome, Some(Outcome::WouldFire));
    }

    #[test]
    fn what_was_before_is_another_template() {
        let history = [revision("app:1"), revision("app:2")];
        let now = workload("app:2", 2);
        assert_eq!(previous(&history, &now.object).map(|one| one.template.clone()), Some(history[0].template.clone()));
        assert!(previous(&history[1..], &now.object).is_none());
    }
}
