//! An `EventTrigger`, read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::api::DynamicObject;
use pilothouse_cluster::{Kind, LiveIndex, WatchState, kinds};
use serde_json::{Value, json};

use super::Event;
use crate::error::{Error, Result};
use crate::launcher::Launch;
use crate::spec::{DecisionRecord, MAX_OBSERVED, TriggerSpec, TriggerStatus, WorkloadKind, validate};
use crate::surroundings::{self, Answer};

/// The kind of object of a workload.
pub fn kind_of(kind: WorkloadKind) -> Kind {
    match kind {
        WorkloadKind::Deployment => kinds::DEPLOYMENT,
        WorkloadKind::StatefulSet => kinds::STATEFUL_SET,
        WorkloadKind::DaemonSet => kinds::DAEMON_SET,
        WorkloadKind::Rollout => kinds::ROLLOUT,
    }
}

/// An `EventTrigger`, read.
#[derive(Debug, Clone)]
pub(super) struct Trigger {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) version: String,
    pub(super) spec: TriggerSpec,
    pub(super) status: TriggerStatus,
    pub(super) answers: BTreeMap<String, Answer>,
    problem: Option<String>,
}

/// What the condition `Ready` says: whether it is, the reason, and a message.
pub(super) type Ready = (bool, &'static str, String);

impl Trigger {
    pub(super) fn read(object: &DynamicObject) -> Result<Self> {
        let meta = &object.metadata;
        let name = meta.name.clone().unwrap_or_default();
        let unreadable = |error: serde_json::Error| Error::Unreadable { name: name.clone(), why: error.to_string() };
        let spec: TriggerSpec =
            serde_json::from_value(object.data.get("spec").cloned().unwrap_or(Value::Null)).map_err(unreadable)?;
        let status = match object.data.get("status") {
            Some(status) => serde_json::from_value(status.clone()).map_err(unreadable)?,
            None => TriggerStatus::default(),
        };
        Ok(Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            version: meta.resource_version.clone().unwrap_or_default(),
            name,
            problem: validate(&spec).first().map(ToString::to_string),
            spec,
            status,
            answers: surroundings::answers(meta.annotations.iter().flatten()),
        })
    }

    pub(super) fn is_valid(&self) -> bool {
        self.problem.is_none()
    }

    /// Whether the object is one that it watches; without a copy of it.
    fn takes(&self, object: &DynamicObject) -> bool {
        let (meta, target) = (&object.metadata, &self.spec.target);
        let has = |wanted: &BTreeMap<String, String>, found: &Option<BTreeMap<String, String>>| {
            wanted.iter().all(|(key, value)| found.as_ref().and_then(|all| all.get(key)) == Some(value))
        };
        meta.deletion_timestamp.is_none()
            && meta.namespace.as_deref() == Some(target.namespace.as_str())
            && (target.names.is_empty() || meta.name.as_ref().is_some_and(|name| target.names.contains(name)))
            && has(&target.labels, &meta.labels)
            && has(&target.annotations, &meta.annotations)
    }

    /// The objects that it watches, by name; and how many more there are than it can.
    pub(super) fn objects(&self, index: &LiveIndex) -> (Vec<std::sync::Arc<DynamicObject>>, usize) {
        if !self.is_valid() {
            return (Vec::new(), 0);
        }
        let mut found = index.list(&kind_of(self.spec.target.kind));
        found.retain(|object| self.takes(object));
        found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let excess = found.len().saturating_sub(MAX_OBSERVED);
        found.truncate(MAX_OBSERVED);
        (found, excess)
    }

    pub(super) fn launch(&self, run: &str) -> Launch {
        Launch {
            namespace: self.namespace.clone(),
            project: self.spec.project.clone(),
            workflow: self.spec.workflow.clone(),
            run: run.to_owned(),
            trigger: self.name.clone(),
            labels: BTreeMap::new(),
        }
    }

    pub(super) fn tell(&mut self, record: DecisionRecord, events: &mut Vec<Event>) {
        self.status.note(record.clone());
        let (namespace, trigger) = (self.namespace.clone(), self.name.clone());
        events.push(Event::Decided { namespace, trigger, record: Box::new(record) });
    }

    /// The condition `Ready`, given the state of its workloads' watch, how many workloads are too many, whether all are
    /// halted, and why that or its protection is not known.
    pub(super) fn ready(
        &self,
        state: WatchState,
        excess: usize,
        halted: Option<&String>,
        doubt: Option<String>,
    ) -> Ready {
        let kind = self.spec.target.kind.as_str();
        match (&self.problem, state) {
            (Some(problem), _) => (false, "Invalid", problem.clone()),
            (None, WatchState::Forbidden(words)) => (false, "Forbidden", words),
            (None, WatchState::Absent) => (false, "Absent", format!("the cluster has no {kind}")),
            _ if halted.is_some() => {
                (false, "Halted", format!("all triggers are halted: {}", halted.map_or("", String::as_str)))
            }
            _ if self.spec.suspended => (false, "Suspended", "the trigger rests".to_owned()),
            _ if doubt.is_some() => (false, "Unsure", doubt.unwrap_or_default()),
            _ if excess > 0 => (
                false,
                "TooMany",
                format!("it watches {MAX_OBSERVED} workloads; {excess} more match and are not watched"),
            ),
            _ => (true, "Watching", String::new()),
        }
    }

    /// The status with the condition `Ready` as given; its time moves only when it changes.
    pub(super) fn with_condition(&self, (ok, reason, message): Ready, now: Timestamp) -> TriggerStatus {
        let mut status = self.status.clone();
        let word = if ok { "True" } else { "False" };
        let is_ready = |one: &Value| one.get("type").and_then(Value::as_str) == Some("Ready");
        let text = |one: &Value, key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let old = status.conditions.iter().find(|one| is_ready(one));
        if old.is_some_and(|old| {
            text(old, "status") == word && text(old, "reason") == reason && text(old, "message") == message
        }) {
            return status;
        }
        status.conditions.retain(|one| !is_ready(one));
        status.conditions.push(json!({
            "type": "Ready", "status": word, "reason": reason, "message": message,
            "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }));
        status
    }
}
