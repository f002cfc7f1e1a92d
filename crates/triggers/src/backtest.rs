//! "With this trigger, what would have fired": the trigger run over the revisions that the cluster still holds. Pure.
//!
//! A revision holds the pod template and when it came. What else the trigger asks about is taken as it is now and told
//! as an assumption; rollouts are taken to have gone well, and runs to have ended before the next change.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::condition::Condition;
use crate::condition::facts::Seen;
use crate::decide::{ABOUT_TO_START, Decision, Facts, decide, leaves, settled};
use crate::rollout::Rollout;
use crate::spec::{Outcome, TriggerSpec, TriggerStatus, WorkloadKind};
use crate::surroundings::Surroundings;
use crate::workload::Workload;

/// The most revisions that are looked at.
const MAX_REVISIONS: usize = 200;

/// A revision of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// Its number.
    pub number: i64,
    /// When it came; for one that came back, the earliest it can have.
    pub time: Timestamp,
    /// Whether that time is known.
    pub exact: bool,
    /// Its pod template.
    pub template: Value,
}

/// What would have become of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backtested {
    /// The revision's number.
    pub number: i64,
    /// When it came.
    pub time: Timestamp,
    /// Whether that time is known.
    pub exact: bool,
    /// The images before.
    pub old_images: BTreeMap<String, String>,
    /// The images after.
    pub new_images: BTreeMap<String, String>,
    /// What would have been decided; none when the condition does not hold.
    pub outcome: Option<Outcome>,
    /// When that would have been.
    pub decided: Timestamp,
    /// Why.
    pub reason: String,
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    match object.pointer(pointer)? {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

fn is_owned(object: &Value, uid: &str) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| owner.get("uid").and_then(Value::as_str) == Some(uid))
}

/// The history of a workload: from the ReplicaSets of a Deployment or an Argo Rollout, or the ControllerRevisions of
/// the others. What belongs to other workloads is left out.
pub fn history(kind: WorkloadKind, workload: &Value, kept: &[Value]) -> Vec<Revision> {
    let uid = workload.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
    let mut found: Vec<Revision> = Vec::new();
    for one in kept.iter().filter(|one| is_owned(one, uid)) {
        let created = one.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
        let Some(time) = created.and_then(|text| text.parse::<Timestamp>().ok()) else { continue };
        let (numbers, template) = match kind {
            WorkloadKind::Deployment | WorkloadKind::Rollout => {
                (replica_set_numbers(one), one.pointer("/spec/template"))
            }
            WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => {
                (number(one, "/revision").into_iter().collect(), one.pointer("/data/spec/template"))
            }
        };
        let Some(template) = template else { continue };
        for (n, number) in numbers.into_iter().enumerate() {
            found.push(Revision { number, time, exact: n == 0, template: template.clone() });
        }
    }
    found.sort_by_key(|one| one.number);
    let excess = found.len().saturating_sub(MAX_REVISIONS);
    found.drain(..excess);
    // An object that came back keeps the time it was first made at.
    let mut latest = Timestamp::MIN;
    for one in &mut found {
        one.exact &= one.time >= latest;
        one.time = one.time.max(latest);
        latest = one.time;
    }
    found
}

/// The numbers that a ReplicaSet had: each time it came back it got a new one.
fn replica_set_numbers(set: &Value) -> Vec<i64> {
    let annotation = |key: &str| set.pointer("/metadata/annotations").and_then(|all| all.get(key));
    let text = |key: &str| annotation(key).and_then(Value::as_str).unwrap_or_default();
    let history =
        text("deployment.kubernetes.io/revision-history").split(',').filter_map(|one| one.trim().parse().ok());
    let current = ["deployment.kubernetes.io/revision", "rollout.argoproj.io/revision"];
    let current = current.iter().find_map(|key| text(key).parse().ok());
    let mut numbers: Vec<i64> = history.chain(current).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// What the trigger asks about that no revision holds.
pub fn assumptions(spec: &TriggerSpec) -> Vec<String> {
    let about = |test: &&Condition| match test {
        Condition::Replicas(_) | Condition::Label(_) | Condition::Annotation(_) => true,
        Condition::Field(test) => !test.path.starts_with("spec.template"),
        Condition::Jmespath(test) => !test.key.starts_with("spec.template"),
        _ => false,
    };
    let mut found: Vec<String> = spec
        .when
        .tests()
        .iter()
        .filter(|test| about(test))
        .map(|test| format!("{} as it is now", test.word()))
        .collect();
    found.dedup();
    if spec.guards.min_ready_replicas.is_some() {
        found.push("enough replicas ready".to_owned());
    }
    if spec.guards.respect_disruption_budget {
        found.push("disruption budgets that allow it".to_owned());
    }
    if spec.guards.wait_for_rollout {
        found.push("rollouts that went well, at once".to_owned());
    }
    found
}

fn at_revision(kind: WorkloadKind, workload: &Value, revision: &Revision) -> Workload {
    let mut object = workload.clone();
    if let Some(template) = object.pointer_mut("/spec/template") {
        *template = revision.template.clone();
    }
    let read = Workload::read(kind, object);
    let own = (kind == WorkloadKind::Deployment).then(|| revision.number.to_string());
    let (replicas, ready) = (read.replicas.max(1), i64::MAX);
    Workload { own_revision: own, taken_up: true, rollout: Rollout::Complete, replicas, ready, ..read }
}

/// Runs a trigger over a history.
pub fn backtest(spec: &TriggerSpec, workload: &Value, history: &[Revision]) -> Vec<Backtested> {
    let mut spec = spec.clone();
    // What it would do, not what it is kept from.
    (spec.suspended, spec.guards.dry_run) = (false, false);
    let (mut status, around) = (TriggerStatus::default(), Surroundings::default());
    let mut found = Vec::new();
    for (n, revision) in history.iter().enumerate() {
        let workload = at_revision(spec.target.kind, workload, revision);
        let seen = Seen::look(&spec.when, &workload.object);
        let next = history.get(n + 1).map_or(Timestamp::MAX, |next| next.time);
        let old_images = status.observed_of(&workload.uid).map(|one| one.images.clone()).unwrap_or_default();
        let first = n == 0;
        let (outcome, decided, reason) = settle(&spec, &mut status, &around, (&workload, &seen), revision.time, next);
        if !first {
            found.push(Backtested {
                number: revision.number,
                time: revision.time,
                exact: revision.exact,
                old_images,
                new_images: seen.images,
                outcome,
                decided,
                reason,
            });
        }
    }
    found
}

/// Goes on until a change is decided, or the next one comes.
fn settle(
    spec: &TriggerSpec,
    status: &mut TriggerStatus,
    around: &Surroundings,
    (workload, seen): (&Workload, &Seen),
    time: Timestamp,
    next: Timestamp,
) -> (Option<Outcome>, Timestamp, String) {
    let mut now = time;
    loop {
        let (decision, record, observed) = {
            let facts = Facts {
                trigger_uid: "backtest",
                spec,
                status,
                workload,
                seen,
                around,
                complete_since: Some(time),
                now,
                first_look: false,
            };
            let decision = decide(&facts);
            (decision.clone(), leaves(&facts, &decision), settled(&facts))
        };
        match decision {
            Decision::Nothing | Decision::Settle => {
                status.settle(observed);
                return (None, now, "the condition does not hold".to_owned());
            }
            Decision::Pass { outcome, reason } => {
                status.settle(observed);
                status.decisions.extend(record);
                return (Some(outcome), now, reason);
            }
            Decision::Fire { run, reason, .. } => {
                status.settle(observed);
                if let Some(record) = record {
                    status.note(record);
                }
                status.ended(&run, "");
                return (Some(Outcome::Fired), now, reason);
            }
            Decision::Wait { reason, until, .. } => {
                if let Some(record) = record {
                    status.note(record);
                }
                if reason == ABOUT_TO_START {
                    continue;
                }
                match until {
                    Some(until) if until < next && until > now => now = until,
                    // The change waits on; the next one takes its place.
                    Some(_) if next < Timestamp::MAX => {
                        return (Some(Outcome::Waited), next, format!("{reason}; the next change came first"));
                    }
                    _ => return (Some(Outcome::Waited), now, reason),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(number: &str, before: &str, created: &str, image: &str) -> Value {
        json!({"metadata": {"creationTimestamp": created, "ownerReferences": [{"uid": "w"}],
                "annotations": {"deployment.kubernetes.io/revision": number,
                    "deployment.kubernetes.io/revision-history": before}},
            "spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}})
    }

    fn spec(guards: Value) -> TriggerSpec {
        serde_json::from_value(json!({"project": "shop", "workflow": "w", "guards": guards, "suspended": true,
            "target": {"kind": "Deployment", "namespace": "shop", "names": ["cart"]}}))
        .unwrap()
    }

    fn outcomes(guards: Value) -> Vec<(i64, Option<Outcome>)> {
        let workload = json!({"metadata": {"uid": "w", "name": "cart", "namespace": "shop"},
            "spec": {"template": {}}});
        let mut stranger = set("9", "", "2026-01-01T09:00:00Z", "x");
        stranger["metadata"]["ownerReferences"][0]["uid"] = json!("other");
        let kept = [
            set("4", "1", "2026-01-01T10:00:00Z", "app:1"),
            set("2", "", "2026-01-01T11:00:00Z", "app:2"),
            set("3", "", "2026-01-01T11:20:00Z", "app:3"),
            stranger,
        ];
        let history = history(WorkloadKind::Deployment, &workload, &kept);
        assert_eq!(history.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(history[0].exact && !history[3].exact, "when the first came back is not kept");
        backtest(&spec(guards), &workload, &history).into_iter().map(|one| (one.number, one.outcome)).collect()
    }

    #[test]
    fn what_would_have_fired() {
        let fired = Some(Outcome::Fired);
        assert_eq!(outcomes(json!({})), [(2, fired), (3, fired), (4, fired)]);
        let skipped = Some(Outcome::Skipped);
        assert_eq!(outcomes(json!({"cooldownSeconds": 1800})), [(2, fired), (3, skipped), (4, skipped)]);
        assert_eq!(outcomes(json!({"maxPerDay": 2})), [(2, fired), (3, fired), (4, skipped)]);
        let waited = Some(Outcome::Waited);
        assert_eq!(outcomes(json!({"soakSeconds": 1800})), [(2, waited), (3, waited), (4, skipped)], "taken back");
        assert_eq!(outcomes(json!({"approval": true})), [(2, waited), (3, waited), (4, skipped)]);
        let quiet = json!({"quietHours": {"timeZone": "UTC", "windows": [{"from": "10:30", "to": "11:10"}]}});
        assert_eq!(outcomes(quiet), [(2, fired), (3, fired), (4, fired)]);
    }
}
