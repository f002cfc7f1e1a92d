//! The times of schedules: looking whether one has come, and noting that it was seen to.

use jiff::Timestamp;
use pilothouse_cluster::Cluster;
use serde_json::{Map, Value, json};

use crate::document::WorkflowDocument;
use crate::error::Result;
use crate::names::{digest, run_name};
use crate::plan::SyncState;
use crate::schedule::{Turn, missed_words};
use crate::workflow_object::{self, RunPolicy, SCHEDULE_NOTE, SETTLED, ScheduleStatus, WorkflowObject};

/// A time at which a workflow's schedule asks for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The time.
    pub time: Timestamp,
    /// The run's name: a function of the project, the workflow and the time, so that everybody who sees the time come
    /// starts the same run.
    pub run: String,
}

impl Tick {
    fn new(object: &WorkflowObject, time: Timestamp) -> Self {
        let hash = digest(&format!("schedule\n{}\n{}\n{time}", object.project, object.workflow));
        Self { time, run: run_name(&object.workflow, &hash[..16]) }
    }

    /// Whether the workflow, as it is now, asks for a run at this time, and nobody has seen to that yet.
    pub(crate) fn is_asked_for_by(&self, object: &WorkflowObject, document: &WorkflowDocument) -> bool {
        let Ok(schedule) = object.agreed_schedule_of(document) else { return false };
        let just_before = self.time - jiff::SignedDuration::from_secs(1);
        !schedule.suspended
            && object.settled.is_some_and(|settled| {
                settled < self.time && {
                    // A step counted from the last time is one only from there.
                    schedule.next_after(just_before) == Some(self.time)
                        || schedule.next_after(settled) == Some(self.time)
                }
            })
    }
}

/// What is to be done about a workflow's schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Nothing: no schedule may start it now.
    Off,
    /// It is looked at for the first time since somebody agreed to it: [`settle`] it at the time of the look. What
    /// came before is nobody's.
    Begin,
    /// Nothing before this time.
    Wait(Option<Timestamp>),
    /// Start this run, then [`settle`] it; `told` says what was missed before.
    Run {
        /// The time and its run.
        tick: Tick,
        /// What was missed before, in words.
        told: Option<String>,
    },
    /// The last of the times that nobody was there for; [`settle`] it with `told` unless its run is there.
    Missed {
        /// The time and the run it would have been.
        tick: Tick,
        /// What was missed, in words.
        told: String,
    },
}

/// Looks at a workflow's schedule. `namespace` is that of its project.
pub fn look(object: &WorkflowObject, namespace: &str, now: Timestamp) -> Look {
    let off = object.run_policy != RunPolicy::OnSchedule
        || matches!(object.state, None | Some(SyncState::Paused))
        || object.held_back(namespace).is_some();
    let Some(schedule) = (!off)
        .then(|| WorkflowDocument::parse(&object.manifest).ok())
        .flatten()
        .and_then(|document| object.agreed_schedule_of(&document).ok())
    else {
        return Look::Off;
    };
    let Some(settled) = object.settled else { return Look::Begin };
    let words = |missed: u32, last: Timestamp| {
        format!("{} went by unused, the last at {last}: nobody was there to start a run", missed_words(missed))
    };
    match schedule.turn(settled, now) {
        Turn::Wait(next) => Look::Wait(next),
        Turn::Run { tick, missed: 0 } => Look::Run { tick: Tick::new(object, tick), told: None },
        Turn::Run { tick, missed } => {
            let told =
                format!("{} before {tick} went by unused: nobody was there to start a run", missed_words(missed));
            Look::Run { tick: Tick::new(object, tick), told: Some(told) }
        }
        Turn::Missed { last, missed } => Look::Missed { tick: Tick::new(object, last), told: words(missed, last) },
    }
}

/// What is said about the times that did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note<'a> {
    /// What was said before.
    Keep,
    /// Nothing any more.
    Clear,
    /// This.
    Say(&'a str),
}

/// Notes that everything up to `time` was seen to, over the version that was looked at, and in the same write what is
/// to be said about it. Gives the object as it is then.
pub async fn settle(
    cluster: &Cluster,
    namespace: &str,
    object: &WorkflowObject,
    time: Timestamp,
    note: Note<'_>,
) -> Result<WorkflowObject> {
    let mut annotations = json!({SETTLED: time.to_string()});
    match note {
        Note::Keep => {}
        Note::Clear => annotations[SCHEDULE_NOTE] = Value::Null,
        Note::Say(words) => annotations[SCHEDULE_NOTE] = json!(words),
    }
    let patch = json!({"metadata": {"resourceVersion": object.version, "annotations": annotations}});
    workflow_object::patch_object(cluster, namespace, &object.object, patch).await
}

/// Says in a workflow's status when it runs next, and what became of the times before. Says whether it wrote.
pub async fn tell(
    cluster: &Cluster,
    namespace: &str,
    object: &WorkflowObject,
    next: Option<Timestamp>,
) -> Result<bool> {
    let now = ScheduleStatus { next: next.map(|next| next.to_string()), note: object.schedule_note.clone() };
    if object.schedule.as_ref() == Some(&now) || (object.schedule.is_none() && now == ScheduleStatus::default()) {
        return Ok(false);
    }
    let value = json!({"next": now.next, "note": now.note});
    write(cluster, namespace, object, value).await
}

/// Takes back what a workflow's status says about its schedule. Says whether it wrote.
pub async fn hush(cluster: &Cluster, namespace: &str, object: &WorkflowObject) -> Result<bool> {
    if object.schedule.is_none() {
        return Ok(false);
    }
    write(cluster, namespace, object, Value::Null).await
}

async fn write(cluster: &Cluster, namespace: &str, object: &WorkflowObject, value: Value) -> Result<bool> {
    let fields = Map::from_iter([("schedule".to_owned(), value)]);
    workflow_object::write_status(cluster, namespace, object, &fields).await
}
