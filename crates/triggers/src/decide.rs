//! The decision: what to do about a workload, given what was settled last and what is there now. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::images::{changed, images_of};
use crate::rollout::{Rollout, rollout_state};
use crate::spec::{DecisionRecord, Observed, Outcome, TriggerSpec, TriggerStatus, WorkloadKind};

/// Marks a workload that a chaos run has changed; also the label on a run's own objects.
pub const RUN_LABEL: &str = "pilothouse.dev/run";

/// What a decision needs to know of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its images by container.
    pub images: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// A Deployment's own revision number, once the cluster has taken the newest change up.
    pub own_revision: Option<String>,
    /// How many replicas it asks for.
    pub replicas: i64,
    /// Whether the cluster has taken up its newest change.
    pub taken_up: bool,
    /// The run that says it made the newest change.
    pub made_by_run: Option<String>,
    /// How far its rollout is.
    pub rollout: Rollout,
}

impl Workload {
    /// Reads a workload object.
    pub fn read(kind: WorkloadKind, object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let entry = |map: &str, key: &str| {
            object.pointer(map).and_then(|map| map.get(key)).and_then(Value::as_str).map(str::to_owned)
        };
        let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
        let taken_up = number("/status/observedGeneration").unwrap_or(0) >= number("/metadata/generation").unwrap_or(0);
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        Self {
            kind,
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            images: images_of(object),
            labels: labels
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            own_revision: entry("/metadata/annotations", "deployment.kubernetes.io/revision")
                .filter(|_| kind == WorkloadKind::Deployment && taken_up),
            replicas: number("/spec/replicas").unwrap_or(1),
            taken_up,
            made_by_run: entry("/spec/template/metadata/annotations", RUN_LABEL)
                .or_else(|| entry("/spec/template/metadata/labels", RUN_LABEL))
                .or_else(|| entry("/metadata/annotations", RUN_LABEL)),
            rollout: rollout_state(kind, object),
        }
    }
}

/// Whether a trigger watches a workload.
pub fn watches(spec: &TriggerSpec, workload: &Workload) -> bool {
    let target = &spec.target;
    target.kind == workload.kind
        && target.namespace == workload.namespace
        && (target.names.is_empty() || target.names.contains(&workload.name))
        && target.labels.iter().all(|(key, value)| workload.labels.get(key) == Some(value))
}

/// The revision of a workload's images: a digest over the images and what tells one rollout of them from another. For
/// a Deployment that is its own revision number, which grows even when old images come back; elsewhere it is the
/// revision settled before. Neither moves with scaling or annotations, as `metadata.generation` would.
pub fn revision(workload: &Workload, settled: Option<&Observed>) -> String {
    let mut hash = Sha256::new();
    for (name, image) in &workload.images {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(image.as_bytes());
        hash.update([0]);
    }
    match (&workload.own_revision, settled) {
        (Some(own), _) => hash.update(format!("own {own}")),
        (None, Some(settled)) => hash.update(format!("after {}", settled.revision)),
        (None, None) => hash.update("first"),
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

fn hex(bytes: &[u8], digits: usize) -> String {
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
    /// Since when this engine has seen the rollout of the present images complete.
    pub complete_since: Option<Timestamp>,
    /// The time.
    pub now: Timestamp,
    /// Whether this engine looks at the workload for the first time since it started.
    pub first_look: bool,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Everything is as settled.
    Nothing,
    /// Settle what is there without a word: the first sight of a workload, or a container that went.
    Settle,
    /// Settle, and remember why no run was started.
    Pass {
        /// `Skipped` or `Missed`.
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

/// Decides.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Facts { spec, status, workload, now, .. } = *facts;
    let Some(settled) = status.observed_of(&workload.uid) else { return Decision::Settle };
    if settled.images == workload.images {
        return Decision::Nothing;
    }
    let containers = changed(&settled.images, &workload.images, &spec.when.image_changed.containers);
    if containers.is_empty() {
        return Decision::Settle;
    }
    let skip = |reason: String| Decision::Pass { outcome: Outcome::Skipped, reason };
    let wait = |reason: String, until| Decision::Wait { reason, until };

    if spec.suspended {
        return skip("the trigger is suspended".to_owned());
    }
    if let Some(run) = &workload.made_by_run {
        return skip(format!("the change was made by the chaos run {run}"));
    }
    // A change that an engine had begun to wait on is carried on with after a restart; one that nobody saw is not run
    // behind the user's back.
    let known = status.waiting(&workload.uid).is_some_and(|waiting| waiting.new_images == workload.images);
    if facts.first_look && !known {
        let reason = "it changed while no engine was looking; run it from here if it is wanted".to_owned();
        return Decision::Pass { outcome: Outcome::Missed, reason };
    }
    if !workload.taken_up {
        return wait("the cluster has not taken the change up yet".to_owned(), None);
    }
    if workload.replicas == 0 {
        return wait("it is scaled to zero, so there is nothing to test".to_owned(), None);
    }
    if spec.guards.wait_for_rollout {
        match &workload.rollout {
            Rollout::Complete => {}
            // Without the counts: each of them would be a write to the API server.
            Rollout::Progressing(_) => return wait("waiting for the rollout".to_owned(), None),
            Rollout::Paused => return wait("the rollout is paused".to_owned(), None),
            Rollout::Failed(why) => return wait(format!("the rollout fails: {why}"), None),
            Rollout::TimedOut => return wait("the rollout has not ended within its deadline".to_owned(), None),
        }
    }
    if spec.guards.soak_seconds > 0 {
        let until = after(facts.complete_since.unwrap_or(now), spec.guards.soak_seconds);
        if now < until {
            return wait(format!("soaking until {}", short(until)), Some(until));
        }
    }
    let fired = || status.decisions.iter().filter(|one| one.decision == Outcome::Fired);
    if let Some(open) = fired().find(|one| one.uid == workload.uid && one.verdict.is_none()) {
        let run = open.run.as_deref().unwrap_or("a run");
        return wait(format!("{run} for this workload has not ended yet"), None);
    }
    if let Some(latest) = fired().filter(|one| one.uid == workload.uid).map(|one| one.time).max() {
        let until = after(latest, spec.guards.cooldown_seconds);
        if now < until {
            return skip(format!("cooling down until {}", short(until)));
        }
    }
    if let Some(max) = spec.guards.max_per_day {
        let day_ago = now.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
        let today = fired().filter(|one| one.time > day_ago).count();
        if today >= max as usize {
            return skip(format!("{today} runs were started within 24 hours, and {max} are allowed"));
        }
    }
    let revision = revision(workload, Some(settled));
    Decision::Fire {
        run: run_name(facts.trigger_uid, &workload.uid, &revision),
        revision,
        reason: format!("the image of {} changed", containers.join(", ")),
    }
}

fn after(time: Timestamp, seconds: u32) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX)
}

fn short(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// What there is to settle for a workload.
pub fn settled(workload: &Workload, before: Option<&Observed>) -> Observed {
    Observed {
        uid: workload.uid.clone(),
        name: workload.name.clone(),
        revision: revision(workload, before),
        images: workload.images.clone(),
    }
}

/// The record of a decision about a workload.
pub fn record(facts: &Facts<'_>, outcome: Outcome, reason: String, run: Option<String>) -> DecisionRecord {
    let before = facts.status.observed_of(&facts.workload.uid);
    DecisionRecord {
        time: facts.now,
        workload: facts.workload.name.clone(),
        uid: facts.workload.uid.clone(),
        revision: revision(facts.workload, before),
        decision: outcome,
        reason,
        old_images: before.map(|one| one.images.clone()).unwrap_or_default(),
        new_images: facts.workload.images.clone(),
        run,
        verdict: None,
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
