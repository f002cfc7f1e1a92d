//! What the engine remembers in a trigger's status.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many decisions a status keeps, besides the changes that wait. Those are at most one for each workload that is
/// watched: were they counted too, many that wait at once would push each other out for ever.
pub const MAX_DECISIONS: usize = 50;
/// How many workloads a trigger watches at most.
pub const MAX_OBSERVED: usize = 200;

/// What the engine last settled for a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Observed {
    /// The workload's uid.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// The revision of what the condition sees, see [`crate::decide::revision`].
    pub revision: String,
    /// Its images by container.
    pub images: BTreeMap<String, String>,
    /// What each test of the condition looked at, see [`crate::condition::facts`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// The run that said it made the newest change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// The state before that run's change; to come back to it is no change either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_run: Option<String>,
    /// The last run for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
}

/// The last run that a trigger started for a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Its name.
    pub name: String,
    /// When it was started.
    pub time: Timestamp,
    /// Its verdict, once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A run was started.
    Fired,
    /// The change is known and waits for a guard.
    Waited,
    /// A guard passed it over.
    Skipped,
    /// It happened while no engine was looking; it is offered, never run by itself.
    Missed,
    /// A run would have been started, were the trigger not to tell only.
    WouldFire,
}

/// One remembered decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// When it was taken (RFC 3339).
    pub time: Timestamp,
    /// When the change was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
    /// The workload's name.
    pub workload: String,
    /// The workload's uid.
    pub uid: String,
    /// The revision the decision is about.
    #[serde(default)]
    pub revision: String,
    /// A digest of what the condition sees after the change.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub change: String,
    /// What was decided.
    pub decision: Outcome,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
    /// The images before.
    #[serde(default)]
    pub old_images: BTreeMap<String, String>,
    /// The images after.
    #[serde(default)]
    pub new_images: BTreeMap<String, String>,
    /// The run that was started; for a change that is offered, or waits for nothing but its start or a person's word,
    /// the run that it will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The run for the same workload that had not ended when the change was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during: Option<String>,
    /// The run's verdict, once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// `status` of an `EventTrigger`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TriggerStatus {
    /// What was last settled for each workload.
    pub observed: Vec<Observed>,
    /// The latest decisions, newest last, at most [`MAX_DECISIONS`], and what waits.
    pub decisions: Vec<DecisionRecord>,
    /// Conditions as Kubernetes writes them.
    pub conditions: Vec<Value>,
}

impl TriggerStatus {
    /// What was last settled for a workload.
    pub fn observed_of(&self, uid: &str) -> Option<&Observed> {
        self.observed.iter().find(|one| one.uid == uid)
    }

    /// Notes what is settled for a workload.
    pub fn settle(&mut self, observed: Observed) {
        match self.observed.iter_mut().find(|one| one.uid == observed.uid) {
            Some(place) => *place = observed,
            None => self.observed.push(observed),
        }
    }

    /// Forgets workloads that are gone, once there is no room for new ones; so a list that was short for a moment
    /// loses nothing.
    pub fn make_room(&mut self, live: &BTreeSet<&str>) {
        let new = live.iter().filter(|uid| self.observed_of(uid).is_none()).count();
        if self.observed.len() + new > MAX_OBSERVED {
            self.observed.retain(|one| live.contains(one.uid.as_str()));
        }
    }

    /// Notes a decision. One about the same workload that was only waiting is replaced, so that a change has one entry;
    /// so is the offer of the same run. A run that was started is also noted with its workload.
    pub fn note(&mut self, record: DecisionRecord) {
        self.decisions.retain(|old| {
            let waited = old.decision == Outcome::Waited && old.uid == record.uid;
            let offered = old.decision == Outcome::Missed && old.run.is_some() && old.run == record.run;
            !(waited || offered)
        });
        if record.decision == Outcome::Fired
            && let Some(name) = &record.run
            && let Some(place) = self.observed.iter_mut().find(|one| one.uid == record.uid)
        {
            place.last_run = Some(LastRun { name: name.clone(), time: record.time, verdict: record.verdict.clone() });
        }
        self.decisions.push(record);
        self.shrink();
    }

    /// When the list is full the oldest goes; but what waits stays, a run stays as long as anything else can go, since
    /// the runs of a day are counted here, and one without a verdict longer still.
    fn shrink(&mut self) {
        let rank = |one: &DecisionRecord| match (one.decision, &one.verdict) {
            (Outcome::Skipped | Outcome::WouldFire | Outcome::Missed, _) => Some(0),
            (Outcome::Fired, Some(_)) => Some(1),
            (Outcome::Fired, None) => Some(2),
            (Outcome::Waited, _) => None,
        };
        while self.decisions.iter().filter_map(rank).count() > MAX_DECISIONS {
            let least = self.decisions.iter().filter_map(rank).min();
            let Some(at) = self.decisions.iter().position(|one| rank(one) == least) else { break };
            self.decisions.remove(at);
        }
        // More can only wait when some of their workloads are watched no longer; the schema has no room for them.
        while self.decisions.iter().filter(|one| rank(one).is_none()).count() > MAX_OBSERVED {
            let Some(at) = self.decisions.iter().position(|one| rank(one).is_none()) else { break };
            self.decisions.remove(at);
        }
    }

    /// The change of a workload that is known and waits.
    pub fn waiting(&self, uid: &str) -> Option<&DecisionRecord> {
        self.decisions.iter().find(|one| one.decision == Outcome::Waited && one.uid == uid)
    }

    /// The runs that have not ended as far as is known, each with its workload's uid.
    pub fn open_runs(&self) -> BTreeMap<&str, &str> {
        let of_workloads = self
            .observed
            .iter()
            .filter_map(|one| one.last_run.as_ref().filter(|run| run.verdict.is_none()).map(|run| (run, one)))
            .map(|(run, one)| (run.name.as_str(), one.uid.as_str()));
        let of_decisions = self
            .decisions
            .iter()
            .filter(|one| one.decision == Outcome::Fired && one.verdict.is_none())
            .filter_map(|one| Some((one.run.as_deref()?, one.uid.as_str())));
        of_workloads.chain(of_decisions).collect()
    }

    /// Notes the verdict of a run.
    pub fn ended(&mut self, run: &str, verdict: &str) {
        for one in self.decisions.iter_mut().filter(|one| one.run.as_deref() == Some(run)) {
            if one.decision == Outcome::Fired {
                one.verdict = Some(verdict.to_owned());
            }
        }
        for last in self.observed.iter_mut().filter_map(|one| one.last_run.as_mut()) {
            if last.name == run {
                last.verdict = Some(verdict.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: usize, decision: Outcome) -> DecisionRecord {
        DecisionRecord {
            time: Timestamp::UNIX_EPOCH,
            seen: None,
            workload: "cart".into(),
            uid: "u".into(),
            revision: n.to_string(),
            change: String::new(),
            decision,
            reason: String::new(),
            old_images: BTreeMap::new(),
            new_images: BTreeMap::new(),
            run: (decision == Outcome::Fired).then(|| format!("run-{n}")),
            during: None,
            verdict: None,
        }
    }

    #[test]
    fn decisions_are_bounded_and_runs_stay() {
        let mut status = TriggerStatus::default();
        status.note(record(0, Outcome::Fired));
        status.note(record(1, Outcome::Fired));
        status.ended("run-0", "Pass");
        for n in 2..=70 {
            status.note(record(n, Outcome::Skipped));
        }
        assert_eq!(status.decisions.len(), MAX_DECISIONS);
        assert_eq!((status.decisions[0].revision.as_str(), status.decisions[1].revision.as_str()), ("0", "1"));
        status.note(record(71, Outcome::Waited));
        status.note(record(72, Outcome::Fired));
        assert!(status.waiting("u").is_none());
    }

    #[test]
    fn what_waits_pushes_nothing_out_and_has_a_bound_of_its_own() {
        let mut status = TriggerStatus::default();
        for n in 0..MAX_DECISIONS {
            status.note(record(n, Outcome::Fired));
        }
        for n in 0..MAX_OBSERVED + 3 {
            status.note(DecisionRecord { uid: format!("u{n}"), ..record(n, Outcome::Waited) });
        }
        let count = |outcome| status.decisions.iter().filter(|one| one.decision == outcome).count();
        assert_eq!((count(Outcome::Fired), count(Outcome::Waited)), (MAX_DECISIONS, MAX_OBSERVED));
        assert!(status.waiting("u2").is_none() && status.waiting("u3").is_some());
        let schema = include_str!("../../../cluster/crds/eventtriggers.yaml");
        assert!(schema.contains(&format!("maxItems: {}", MAX_DECISIONS + MAX_OBSERVED)));
    }

    #[test]
    fn open_runs_are_known_however_many_there_are() {
        let mut status = TriggerStatus::default();
        for n in 0..120 {
            let uid = format!("u{n}");
            status.settle(Observed { uid: uid.clone(), ..Observed::default() });
            status.note(DecisionRecord { uid, ..record(n, Outcome::Fired) });
        }
        assert_eq!(status.decisions.len(), MAX_DECISIONS);
        assert_eq!(status.open_runs().len(), 120);
        status.ended("run-3", "Pass");
        assert_eq!(status.open_runs().len(), 119);
    }

    #[test]
    fn workloads_are_forgotten_only_for_room_and_only_when_gone() {
        let mut status = TriggerStatus::default();
        let uids: Vec<String> = (0..MAX_OBSERVED + 1).map(|n| format!("u{n}")).collect();
        for uid in &uids[..MAX_OBSERVED] {
            status.settle(Observed { uid: uid.clone(), ..Observed::default() });
        }
        status.make_room(&uids[1..MAX_OBSERVED].iter().map(String::as_str).collect());
        assert_eq!(status.observed.len(), MAX_OBSERVED, "nothing new, so there is room enough");
        status.make_room(&uids[1..].iter().map(String::as_str).collect());
        assert_eq!(status.observed.len(), MAX_OBSERVED - 1);
        assert!(status.observed_of("u0").is_none());
    }
}
