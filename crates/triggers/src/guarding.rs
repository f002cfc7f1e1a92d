//! The guards, one after another. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::decide::Facts;
use crate::rollout::Rollout;
use crate::spec::{DecisionRecord, Exclusive, Outcome};
use crate::surroundings::Budgets;

/// What a guard says to a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Not yet.
    Wait {
        /// What is awaited. The same words as long as the same is awaited: each new word is a write.
        reason: String,
        /// When to look again at the latest, when that is known.
        until: Option<Timestamp>,
    },
    /// Not at all.
    Skip(String),
}

fn wait(reason: impl Into<String>) -> Option<Hold> {
    Some(Hold::Wait { reason: reason.into(), until: None })
}

fn wait_until(what: &str, until: Timestamp) -> Option<Hold> {
    Some(Hold::Wait { reason: format!("{what} until {}", short(until)), until: Some(until) })
}

/// How many changes in a row may come while the run for the one before has not ended, each run being followed by the
/// next, until a person is asked: a run that changes what its own trigger watches would go on for ever.
pub const CHAIN: usize = 5;

const APPROVAL: &str = "waiting for approval";
const LOOP: &str = "five changes in a row came while the run for the one before had not ended, which looks like a loop; \
                    it waits for a person's word";

/// Whether a change waits for nothing but a person's word, or is offered to one.
pub fn asks(record: &DecisionRecord) -> bool {
    match record.decision {
        Outcome::Waited => record.reason == APPROVAL || record.reason == LOOP,
        Outcome::Missed => record.run.is_some(),
        _ => false,
    }
}

/// The first guard that holds a change back, the person's word left aside.
pub fn hold(facts: &Facts<'_>) -> Option<Hold> {
    doubt(facts)
        .or_else(|| rollout(facts))
        .or_else(|| soak(facts))
        .or_else(|| pods(facts))
        .or_else(|| others(facts))
        .or_else(|| enough(facts))
        .or_else(|| quiet(facts))
}

/// What each group of guards says to a change by itself, by its name, in the order in which they are asked; with the
/// run that would be started, whose approval comes last.
pub fn each(facts: &Facts<'_>, run: &str) -> Vec<(&'static str, Option<Hold>)> {
    vec![
        ("known", doubt(facts)),
        ("rollout", rollout(facts)),
        ("soak", soak(facts)),
        ("pods", pods(facts)),
        ("runs", others(facts)),
        ("often", enough(facts)),
        ("quiet", quiet(facts)),
        ("approval", word(facts, run)),
    ]
}

/// First of all, as every other guard may pass the change over for good.
fn doubt(facts: &Facts<'_>) -> Option<Hold> {
    facts.around.doubt(&facts.workload.namespace).and_then(wait)
}

fn rollout(facts: &Facts<'_>) -> Option<Hold> {
    let (guards, workload) = (&facts.spec.guards, facts.workload);
    let hold = if !workload.taken_up {
        wait("the cluster has not taken the change up yet")
    } else if workload.replicas == 0 {
        wait("it is scaled to zero, so there is nothing to test")
    } else if !guards.wait_for_rollout {
        None
    } else {
        match &workload.rollout {
            Rollout::Complete => None,
            // Without the counts: each of them would be a write to the API server.
            Rollout::Progressing(_) => wait("waiting for the rollout"),
            Rollout::Paused => wait("the rollout is paused"),
            Rollout::Failed(why) => wait(format!("the rollout fails: {why}")),
            Rollout::TimedOut => wait("the rollout has not ended within its deadline"),
        }
    };
    let Some(Hold::Wait { reason, .. }) = hold else { return hold };
    let Some(seconds) = guards.rollout_timeout_seconds else { return wait(reason) };
    let since = facts.known().map_or(facts.now, |known| known.seen.unwrap_or(known.time));
    let until = after(since, seconds);
    Some(if facts.now >= until {
        Hold::Skip(format!("{seconds} seconds have passed, and still: {reason}"))
    } else {
        Hold::Wait { reason, until: Some(until) }
    })
}

fn soak(facts: &Facts<'_>) -> Option<Hold> {
    let seconds = facts.spec.guards.soak_seconds;
    let until = after(facts.complete_since.unwrap_or(facts.now), seconds);
    if seconds > 0 && facts.now < until { wait_until("soaking", until) } else { None }
}

fn pods(facts: &Facts<'_>) -> Option<Hold> {
    let (guards, workload) = (&facts.spec.guards, facts.workload);
    if let Some(least) = guards.min_ready_replicas
        && workload.ready < i64::from(least)
    {
        return wait(format!("fewer than {least} replicas are ready"));
    }
    if !guards.respect_disruption_budget {
        return None;
    }
    match &facts.around.budgets {
        Budgets::Unknown(why) => wait(format!("the disruption budgets are not known: {why}")),
        Budgets::Known(budgets) => budgets
            .iter()
            .find(|one| one.allowed <= 0 && one.covers(workload))
            .and_then(|one| wait(format!("the disruption budget {} allows no pod to go", one.name))),
    }
}

fn others(facts: &Facts<'_>) -> Option<Hold> {
    if let Some(run) = facts.open_run() {
        return wait(format!("{run} for this workload has not ended yet"));
    }
    let counts = |trigger: &str| match facts.spec.guards.exclusive {
        Exclusive::Workload => false,
        Exclusive::Trigger => trigger == facts.trigger_uid,
        Exclusive::All => true,
    };
    let around = facts.others().filter(|one| counts(&one.trigger)).map(|one| one.run.as_str());
    let own = facts.status.open_runs().into_keys().filter(|_| counts(facts.trigger_uid));
    // Not which: while many change, another one with each look.
    around.chain(own).next().and_then(|_| wait("another run has not ended yet"))
}

fn fired<'a>(facts: &Facts<'a>) -> impl DoubleEndedIterator<Item = &'a DecisionRecord> {
    facts.status.decisions.iter().filter(|one| one.decision == Outcome::Fired)
}

fn enough(facts: &Facts<'_>) -> Option<Hold> {
    let (guards, uid) = (&facts.spec.guards, facts.workload.uid.as_str());
    let remembered = facts.settled().and_then(|one| one.last_run.as_ref()).map(|run| run.time);
    let latest = fired(facts).filter(|one| one.uid == uid).map(|one| one.time).chain(remembered).max();
    if let Some(latest) = latest {
        let until = after(latest, guards.cooldown_seconds);
        if facts.now < until {
            return Some(Hold::Skip(format!("cooling down until {}", short(until))));
        }
    }
    if let Some(max) = guards.max_per_day {
        let day_ago = facts.now.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
        let today = fired(facts).filter(|one| one.time > day_ago).count();
        if today >= max as usize {
            return Some(Hold::Skip(format!("{today} runs were started within 24 hours, and {max} are allowed")));
        }
    }
    None
}

fn quiet(facts: &Facts<'_>) -> Option<Hold> {
    let quiet = facts.spec.guards.quiet_hours.as_ref()?;
    match quiet.until(facts.now) {
        Ok(until) => until.and_then(|until| wait_until("quiet hours", until)),
        Err(why) => wait(why),
    }
}

/// A person's word, where it is asked for. The last guard, so that nobody is asked about what could not start yet.
pub fn word(facts: &Facts<'_>, run: &str) -> Option<Hold> {
    let chained = chain(facts) >= CHAIN;
    if !facts.spec.guards.approval && !chained {
        return None;
    }
    match facts.around.answers.get(run) {
        Some(answer) if answer.yes => None,
        Some(answer) if answer.who.is_empty() => Some(Hold::Skip("it was declined".to_owned())),
        Some(answer) => Some(Hold::Skip(format!("{} declined it", answer.who))),
        None if chained => wait(LOOP),
        None => wait(APPROVAL),
    }
}

/// How many runs for the workload in a row were for changes that came during the one before, up to this change.
fn chain(facts: &Facts<'_>) -> usize {
    let uid = facts.workload.uid.as_str();
    let mut during = match facts.known() {
        Some(known) => known.during.clone(),
        None => facts.open_run().map(str::to_owned),
    };
    let mut length = 0;
    for one in fired(facts).rev().filter(|one| one.uid == uid) {
        if during.is_none() || one.run != during {
            break;
        }
        length += 1;
        during.clone_from(&one.during);
    }
    length
}

fn after(time: Timestamp, seconds: u32) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX)
}

fn short(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
#[path = "guarding_tests.rs"]
mod tests;
