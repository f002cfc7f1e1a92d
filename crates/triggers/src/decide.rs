//! The decision: what to do about a workload, given what was settled last and what is there now. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::condition::facts::Seen;
use crate::condition::judge::{Before, Judgement, judge};
use crate::guarding::{self, Hold};
use crate::launcher::LaunchError;
use crate::spec::{DecisionRecord, Observed, Outcome, TriggerSpec, TriggerStatus, WhileAway};
use crate::surroundings::{OpenRun, Surroundings};
use crate::workload::{Workload, is_run_manager};

/// A digest of what a condition sees: the images, if it is about them, and everything else that it names.
pub fn state_digest(spec: &TriggerSpec, images: &BTreeMap<String, String>, facts: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    let mut feed = |map: &BTreeMap<String, String>| {
        for (name, value) in map {
            for part in [name, value] {
                hash.update(part.len().to_string());
                hash.update([0]);
                hash.update(part);
            }
        }
        hash.update([1]);
    };
    if spec.when.names_images() {
        feed(images);
    }
    feed(facts);
    hex(&hash.finalize(), 24)
}

/// The revision that a run is for: a digest over what the condition sees and what tells one change from another. For
/// the images of a Deployment that is its own revision number, which grows even when old images come back; elsewhere it
/// is the revision settled before. Neither moves with scaling or annotations, as `metadata.generation` would.
pub fn revision(spec: &TriggerSpec, workload: &Workload, seen: &Seen, settled: Option<&Observed>) -> String {
    let mut hash = Sha256::new();
    for (name, image) in &seen.images {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(image.as_bytes());
        hash.update([0]);
    }
    let images_only = spec.when.images_only();
    if !images_only {
        hash.update(state_digest(spec, &seen.images, &seen.remembered()));
    }
    match (&workload.own_revision, settled) {
        (Some(own), _) if images_only => hash.update(format!("own {own}")),
        (_, Some(settled)) => hash.update(format!("after {}", settled.revision)),
        (_, None) => hash.update("first"),
    }
    hex(&hash.finalize(), 16)
}

/// The name of the run for a change: the same for every engine that sees it, so that the API server itself admits only
/// one. An RFC 1123 label of at most 63 characters.
pub fn run_name(trigger_uid: &str, workload_uid: &str, revision: &str) -> String {
    let mut hash = Sha256::new();
    for part in [trigger_uid, workload_uid, revision] {
        hash.update(part.len().to_string());
        hash.update([0]);
        hash.update(part.as_bytes());
    }
    format!("trigger-{}", hex(&hash.finalize(), 20))
}

pub(crate) fn hex(bytes: &[u8], digits: usize) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(digits).map(|n| DIGITS[usize::from(n)] as char).collect()
}

/// What a decision is taken on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The trigger's uid.
    pub trigger_uid: &'a str,
    /// What it asks for.
    pub spec: &'a TriggerSpec,
    /// What is remembered.
    pub status: &'a TriggerStatus,
    /// The workload now.
    pub workload: &'a Workload,
    /// What the condition sees in it.
    pub seen: &'a Seen,
    /// What is around.
    pub around: &'a Surroundings,
    /// Since when this engine has seen the rollout of the present state complete.
    pub complete_since: Option<Timestamp>,
    /// The time.
    pub now: Timestamp,
    /// Whether this engine looks at the workload for the first time since it started.
    pub first_look: bool,
}

impl Facts<'_> {
    /// What was settled for the workload.
    pub fn settled(&self) -> Option<&Observed> {
        self.status.observed_of(&self.workload.uid)
    }

    /// A digest of what the condition sees now.
    pub fn change(&self) -> String {
        state_digest(self.spec, &self.seen.images, &self.seen.remembered())
    }

    /// The revision that a run now would be for. Once a name was written down for the change it stays, whatever else
    /// moves on the workload in between.
    pub fn revision(&self) -> String {
        match self.known().filter(|known| known.run.is_some()) {
            Some(known) => known.revision.clone(),
            None => revision(self.spec, self.workload, self.seen, self.settled()),
        }
    }

    /// The run that would be started now.
    pub fn run(&self) -> String {
        self.written_run()
            .map_or_else(|| run_name(self.trigger_uid, &self.workload.uid, &self.revision()), str::to_owned)
    }

    /// The run that is written down for the change.
    fn written_run(&self) -> Option<&str> {
        self.known()?.run.as_deref()
    }

    /// The record of exactly this change, when it is known and waits. Records of older versions have no digest.
    pub fn known(&self) -> Option<&DecisionRecord> {
        let waiting = self.status.waiting(&self.workload.uid)?;
        let same = if waiting.change.is_empty() {
            waiting.new_images == self.seen.images
        } else {
            waiting.change == self.change()
        };
        same.then_some(waiting)
    }

    /// The runs around that have not ended, without the one that is written down for this change: where its creation was
    /// not noted it would wait for its own end for ever.
    pub fn others(&self) -> impl Iterator<Item = &OpenRun> {
        let own = self.written_run();
        self.around.open.iter().filter(move |one| own != Some(one.run.as_str()))
    }

    /// The run for this workload, of whichever trigger, that has not ended.
    pub fn open_run(&self) -> Option<&str> {
        let own = self.status.open_runs().into_iter().find(|(_, uid)| *uid == self.workload.uid).map(|(run, _)| run);
        let around = || self.others().find(|one| one.workload == self.workload.uid).map(|one| one.run.as_str());
        own.or_else(around)
    }
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Everything is as settled.
    Nothing,
    /// Settle what is there without a word: the first sight of a workload, or a change that is not asked about.
    Settle,
    /// Settle, and remember why no run was started.
    Pass {
        /// `Skipped`, `Missed` or `WouldFire`.
        outcome: Outcome,
        /// Why.
        reason: String,
    },
    /// Remember that the change is known, and look again.
    Wait {
        /// What is awaited.
        reason: String,
        /// When to look again at the latest, when that is known.
        until: Option<Timestamp>,
        /// The run that is settled on for the change, once it is.
        run: Option<String>,
    },
    /// Start the run.
    Fire {
        /// Its name.
        run: String,
        /// The revision it is for.
        revision: String,
        /// The change, in words.
        reason: String,
    },
}

/// What a change waits for that nothing else holds back. It is written down before the run is created: an engine that
/// dies between the two finds it there, and starts the run instead of taking the change for one that nobody saw.
pub const ABOUT_TO_START: &str = "about to start";

/// Why a change that waited is passed over once it is not there any more.
const TAKEN_BACK: &str = "it was taken back before a run was started";

/// Decides.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some(settled) = facts.settled() else { return Decision::Settle };
    let before = Before { images: &settled.images, facts: &settled.facts };
    let skip = |reason: String| Decision::Pass { outcome: Outcome::Skipped, reason };
    let reason = match judge(&facts.spec.when, before, facts.seen) {
        // What was waited on is no longer so.
        Judgement::Unchanged | Judgement::No if facts.status.waiting(&facts.workload.uid).is_some() => {
            return skip(TAKEN_BACK.to_owned());
        }
        Judgement::Unchanged if settled.images == facts.seen.images && settled.facts == facts.seen.remembered() => {
            return offered(facts).unwrap_or(Decision::Nothing);
        }
        Judgement::Unchanged | Judgement::No => return Decision::Settle,
        Judgement::Unclear(why) => return skip(format!("it cannot be told whether the condition holds: {why}")),
        Judgement::Yes(reason) => reason,
    };
    if let Some(halted) = &facts.around.halted {
        return skip(format!("all triggers are halted: {halted}"));
    }
    if facts.spec.suspended {
        return skip("the trigger is suspended".to_owned());
    }
    if let Some(why) = facts.around.protects(&facts.workload.namespace) {
        return skip(why);
    }
    if let Some(run) = made_by_run(facts, settled) {
        return skip(format!("the change was made by the chaos run {run}"));
    }
    if settled.before_run.as_ref().is_some_and(|before| *before == facts.change()) {
        return skip("it only takes a chaos run's change back".to_owned());
    }
    // A change that an engine had begun to wait on is carried on with after a restart; one that nobody saw is not run
    // behind the user's back.
    let known = facts.known().is_some();
    if facts.first_look && !known && facts.spec.while_away == WhileAway::Offer {
        let reason = "it changed while no engine was looking; run it from here if it is wanted".to_owned();
        return Decision::Pass { outcome: Outcome::Missed, reason };
    }
    let written = facts.written_run().map(str::to_owned);
    match guarding::hold(facts) {
        Some(Hold::Wait { reason, until }) => Decision::Wait { reason, until, run: written },
        Some(Hold::Skip(reason)) => skip(reason),
        None if facts.spec.guards.dry_run => {
            Decision::Pass { outcome: Outcome::WouldFire, reason: format!("{reason}; the trigger only tells") }
        }
        None => match (guarding::word(facts, &facts.run()), written) {
            // What a person says yes to is this run and no other.
            (Some(Hold::Wait { reason, until }), _) => Decision::Wait { reason, until, run: Some(facts.run()) },
            (Some(Hold::Skip(reason)), _) => skip(reason),
            (None, None) => {
                Decision::Wait { reason: ABOUT_TO_START.to_owned(), until: Some(facts.now), run: Some(facts.run()) }
            }
            (None, Some(run)) => Decision::Fire { run, revision: facts.revision(), reason },
        },
    }
}

/// The run of a missed change that a person has said yes to. Its name stays that of the offer, so that it is started
/// once; every guard but the approval itself still holds it back.
fn offered(facts: &Facts<'_>) -> Option<Decision> {
    let of_this = |one: &&DecisionRecord| one.decision == Outcome::Missed && one.uid == facts.workload.uid;
    let offer = facts.status.decisions.iter().rfind(of_this)?;
    let run = offer.run.clone()?;
    let answer = facts.around.answers.get(&run)?;
    let halted = facts.around.halted.is_some() || facts.spec.suspended;
    // Later changes have made the offer one of something that is no longer there.
    if !answer.yes
        || halted
        || offer.change != facts.change()
        || facts.around.protects(&facts.workload.namespace).is_some()
    {
        return None;
    }
    match guarding::hold(facts) {
        Some(_) => None,
        None => Some(Decision::Fire {
            run,
            revision: offer.revision.clone(),
            reason: match answer.who.as_str() {
                "" => "it was missed, and is run on a person's word".to_owned(),
                who => format!("it was missed, and is run on the word of {who}"),
            },
        }),
    }
}

/// The run that made the change: it says so on the workload, where it did not say so before, or its program wrote it.
/// Who set the images that changed is known best; for anything else it is who wrote last.
fn made_by_run<'a>(facts: &Facts<'a>, settled: &Observed) -> Option<&'a str> {
    let workload = facts.workload;
    let said = workload.made_by_run.as_deref().filter(|run| settled.made_by.as_deref() != Some(run));
    let changed = facts.seen.images.iter().filter(|(name, image)| settled.images.get(*name) != Some(image));
    let writers: Vec<&str> =
        changed.filter_map(|(name, _)| workload.image_writers.get(name)).map(String::as_str).collect();
    let wrote = match writers.as_slice() {
        [] => workload.written_by_run.as_deref(),
        [first, ..] => Some(*first).filter(|_| writers.iter().all(|one| is_run_manager(one))),
    };
    said.or(wrote)
}

/// What there is to settle for a workload.
pub fn settled(facts: &Facts<'_>) -> Observed {
    let before = facts.settled();
    let of_run = before.is_some_and(|before| made_by_run(facts, before).is_some());
    // Through several changes by one run, what was there before the first of them stays the state to come back to.
    let before_run = before.filter(|_| of_run).map(|before| {
        before.before_run.clone().unwrap_or_else(|| state_digest(facts.spec, &before.images, &before.facts))
    });
    Observed {
        uid: facts.workload.uid.clone(),
        name: facts.workload.name.clone(),
        revision: facts.revision(),
        images: facts.seen.images.clone(),
        facts: facts.seen.remembered(),
        made_by: facts.workload.made_by_run.clone(),
        before_run,
        last_run: before.and_then(|before| before.last_run.clone()),
    }
}

/// The record of a decision about a workload.
pub fn record(facts: &Facts<'_>, outcome: Outcome, reason: String, run: Option<String>) -> DecisionRecord {
    let (before, known) = (facts.settled(), facts.known());
    DecisionRecord {
        time: facts.now,
        seen: known.map_or(Some(facts.now), |known| Some(known.seen.unwrap_or(known.time))),
        workload: facts.workload.name.clone(),
        uid: facts.workload.uid.clone(),
        revision: facts.revision(),
        change: facts.change(),
        decision: outcome,
        reason,
        old_images: before.map(|one| one.images.clone()).unwrap_or_default(),
        new_images: facts.seen.images.clone(),
        run,
        during: match known {
            Some(known) => known.during.clone(),
            None => facts.open_run().map(str::to_owned),
        },
        verdict: None,
    }
}

/// The record that a decision leaves, when it leaves one that is not there already.
pub fn leaves(facts: &Facts<'_>, decision: &Decision) -> Option<DecisionRecord> {
    match decision {
        Decision::Nothing | Decision::Settle => None,
        // An offer names the run that it would be.
        Decision::Pass { outcome, reason } => {
            let run = (*outcome != Outcome::Skipped).then(|| facts.run());
            let record = record(facts, *outcome, reason.clone(), run);
            let waited = facts.status.waiting(&facts.workload.uid).filter(|_| reason == TAKEN_BACK);
            Some(match waited {
                Some(waited) => DecisionRecord { new_images: waited.new_images.clone(), ..record },
                None => record,
            })
        }
        Decision::Wait { reason, run, .. } => {
            let noted = facts.known().is_some_and(|known| known.reason == *reason && known.run == *run);
            (!noted).then(|| record(facts, Outcome::Waited, reason.clone(), run.clone()))
        }
        Decision::Fire { run, revision, reason } => {
            let record = record(facts, Outcome::Fired, reason.clone(), Some(run.clone()));
            Some(DecisionRecord { revision: revision.clone(), ..record })
        }
    }
}

/// Whether a run is that of a missed change, which is offered to a person.
pub fn is_offer(status: &TriggerStatus, run: &str) -> bool {
    status.decisions.iter().any(|one| one.decision == Outcome::Missed && one.run.as_deref() == Some(run))
}

/// The record of a launch that did not succeed, when it leaves one that is not there already. While it is tried again
/// the run that it was for stays settled on: an offer stays one, with the word that a person gave. A launch that is not
/// tried again answers its offer.
pub fn unstarted(facts: &Facts<'_>, fired: &DecisionRecord, error: &LaunchError) -> Option<DecisionRecord> {
    let offer = fired.run.as_deref().is_some_and(|run| is_offer(facts.status, run));
    let (outcome, reason, run) = if !error.retry {
        let run = fired.run.clone().filter(|_| offer);
        (Outcome::Skipped, format!("the run could not be started: {error}"), run)
    } else if offer {
        return None;
    } else {
        (Outcome::Waited, format!("the run could not be started yet: {error}"), fired.run.clone())
    };
    let waiting = facts.status.waiting(&facts.workload.uid);
    let noted = outcome == Outcome::Waited && waiting.is_some_and(|one| one.reason == reason);
    (!noted).then(|| DecisionRecord { revision: fired.revision.clone(), ..record(facts, outcome, reason, run) })
}

/// What becomes of waiting changes whose workloads are gone.
pub fn gone(status: &TriggerStatus, now: Timestamp, is_there: impl Fn(&str) -> bool) -> Vec<DecisionRecord> {
    let waiting = status.decisions.iter().filter(|one| one.decision == Outcome::Waited && !is_there(&one.uid));
    waiting
        .map(|one| DecisionRecord {
            time: now,
            decision: Outcome::Skipped,
            reason: "the workload is gone".to_owned(),
            run: None,
            ..one.clone()
        })
        .collect()
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
