//! The times of schedules: looking whether one has come, and noting that it was seen to.

use jiff::{SignedDuration, Timestamp};
use pilothouse_cluster::Cluster;
use serde_json::{Map, Value, json};

use crate::document::WorkflowDocument;
use crate::error::Result;
use crate::names::{digest, run_name};
use crate::plan::SyncState;
use crate::schedule::{Turn, missed_words};
use crate::workflow_object::{self, RunPolicy, SCHEDULE_NOTE, SETTLED, ScheduleStatus, WorkflowObject};

/// How far a clock that noted a time may be ahead of the one that reads it.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

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
        object.settled.is_some_and(
            |settled| matches!(schedule.turn(settled, self.time), Turn::Run { tick, .. } if tick == self.time),
        )
    }
}

/// What is to be done about a workflow's schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Nothing: no schedule may start it now, or the document says that none is to. [`forget`] what was settled, so
    /// that what comes meanwhile is nobody's.
    Off,
    /// It is looked at for the first time since it may start, or what was noted lies in the future: [`settle`] it at the time of the look. What
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
        .filter(|schedule| !schedule.suspended)
    else {
        return Look::Off;
    };
    // A clock that was wrong must not keep a schedule from ever running.
    let Some(settled) = object.settled.filter(|settled| *settled <= now + AHEAD) else { return Look::Begin };
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

/// Forgets up to when a schedule was seen to, over the version that was looked at. Gives the object as it is then.
pub async fn forget(cluster: &Cluster, namespace: &str, object: &WorkflowObject) -> Result<WorkflowObject> {
    if object.settled.is_none() {
        return Ok(object.clone());
    }
    let patch = json!({"metadata": {"resourceVersion": object.version, "annotations": {SETTLED: null}}});
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::Reach;
    use crate::schedule::Schedule;
    use crate::workflow_object::typed;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A workflow with a schedule that somebody agreed to.
    fn object(schedule: &str, more: &str, settled: Option<&str>) -> (WorkflowObject, WorkflowDocument) {
        let manifest = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata: {{name: w}}\nspec:\n  \
             schedule: '{schedule}'\n{more}  workflowSpec:\n    entrypoint: a\n    \
             templates: [{{name: a, container: {{image: busybox}}}}]\n"
        );
        let document = WorkflowDocument::parse(&manifest).unwrap();
        let mut annotations = json!({
            "pilothouse.dev/agreed-reach": serde_json::to_string(&Reach::of(&document, "chaos")).unwrap(),
            "pilothouse.dev/agreed-schedule": Schedule::of(&document).unwrap().words(),
        });
        if let Some(settled) = settled {
            annotations[SETTLED] = json!(settled);
        }
        let object = typed(json!({
            "apiVersion": "pilothouse.dev/v1alpha1",
            "kind": "ChaosWorkflow",
            "metadata": {"name": "w", "namespace": "chaos", "resourceVersion": "1", "annotations": annotations},
            "spec": {"project": "shop", "workflow": "w", "runPolicy": "OnSchedule", "manifest": manifest},
            "status": {"state": "InSync"},
        }));
        (WorkflowObject::read(&object.unwrap()).unwrap(), document)
    }

    #[test]
    fn a_step_that_has_come_is_asked_for_wherever_it_is_looked_at() {
        let (object, document) = object("@every 7s", "", Some("2026-05-05T00:00:03Z"));
        let now = time("2026-05-05T08:00:00Z");
        let Look::Run { tick, told: Some(_) } = look(&object, "chaos", now) else { panic!("it is time") };
        assert!(tick.is_asked_for_by(&object, &document), "{tick:?}");
        let between = Tick::new(&object, tick.time - SignedDuration::from_secs(1));
        assert!(!between.is_asked_for_by(&object, &document));
    }

    #[test]
    fn a_time_noted_far_ahead_does_not_stop_a_schedule() {
        let now = time("2026-05-05T08:00:30Z");
        let of = |settled: &str| look(&object("* * * * *", "", Some(settled)).0, "chaos", now);
        assert_eq!(of("2027-01-01T00:00:00Z"), Look::Begin);
        assert_eq!(of("2026-05-05T08:05:31Z"), Look::Begin);
        // Clocks are never quite the same.
        assert_eq!(of("2026-05-05T08:02:00Z"), Look::Wait(Some(time("2026-05-05T08:03:00Z"))));
    }

    #[test]
    fn a_suspended_schedule_begins_anew() {
        let now = time("2026-05-05T08:00:30Z");
        let suspend = "  suspend: true\n";
        let settled = Some("2026-05-05T07:59:00Z");
        let (suspended, document) = object("* * * * *", suspend, settled);
        assert_eq!(look(&suspended, "chaos", now), Look::Off);
        let tick = Tick::new(&suspended, time("2026-05-05T08:00:00Z"));
        assert!(!tick.is_asked_for_by(&suspended, &document));
        assert!(matches!(look(&object("* * * * *", "", settled).0, "chaos", now), Look::Run { .. }));
        assert_eq!(look(&object("* * * * *", "", None).0, "chaos", now), Look::Begin);
    }
}
