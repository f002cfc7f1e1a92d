//! The engine: watches triggers and their workloads, decides, starts runs, and remembers in the trigger's status.
//!
//! What it knows lives in the status of each `EventTrigger`, which is only ever written over the version that the
//! decision was taken on. Its own memory holds nothing that a restart may not lose.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use pilothouse_cluster::{Cluster, Kind, LiveIndex, WatchSpec, WatchState, kinds};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::decide::{self, Decision, Facts, Workload};
use crate::error::{Error, Result};
use crate::launcher::{Launch, Launched, Launcher, RunState};
use crate::spec::{DecisionRecord, Outcome, TriggerSpec, TriggerStatus, WorkloadKind, validate};

/// How long it looks on after a change, so that many changes make one pass.
const DEBOUNCE: Duration = Duration::from_millis(150);
/// How long it sleeps when nothing is awaited.
const IDLE: Duration = Duration::from_secs(60);
/// How often the state of runs that have not ended is asked for.
const OPEN_RUNS: Duration = Duration::from_secs(5);
/// How long a launch that failed for the moment is left alone.
const LAUNCH_AGAIN: Duration = Duration::from_secs(15);
/// How often a status is tried to be written against others' writes.
const ATTEMPTS: u32 = 6;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
/// Takes what the engine has to tell. It must not block.
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// What the engine tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A decision was taken and remembered.
    Decided {
        /// The trigger's namespace.
        namespace: String,
        /// The trigger's name.
        trigger: String,
        /// The decision.
        record: DecisionRecord,
    },
    /// A run that a trigger started has ended.
    Ended {
        /// The trigger's namespace.
        namespace: String,
        /// The trigger's name.
        trigger: String,
        /// The run.
        run: String,
        /// Its verdict.
        verdict: String,
    },
    /// Something keeps a trigger from working for now.
    Trouble {
        /// The trigger's namespace.
        namespace: String,
        /// The trigger's name.
        trigger: String,
        /// What, in words.
        message: String,
    },
}

/// The trigger engine. Run it only where the Lease is held; two of them at once are wasteful, not harmful.
pub struct Engine {
    cluster: Cluster,
    launcher: Arc<dyn Launcher>,
    clock: Clock,
    sink: Sink,
    /// Trigger and workload uids this engine has looked at before.
    seen: HashSet<(String, String)>,
    /// Since when the rollout of these images is complete, by trigger and workload uid.
    complete: HashMap<(String, String), (BTreeMap<String, String>, Timestamp)>,
    /// Launches to leave alone until then, by run.
    held: HashMap<String, Instant>,
    /// When to ask for the state of runs again.
    ask_runs: Instant,
    /// The longest sleep that the last pass allows.
    rest: Duration,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("cluster", &self.cluster.name()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Runs until cancelled. `namespaces` are those whose triggers it serves; none means all.
    pub async fn run(
        cluster: Cluster,
        namespaces: Vec<String>,
        launcher: Arc<dyn Launcher>,
        clock: Clock,
        sink: Sink,
        cancel: CancellationToken,
    ) {
        let mut engine = Self {
            cluster,
            launcher,
            clock,
            sink,
            seen: HashSet::new(),
            complete: HashMap::new(),
            held: HashMap::new(),
            ask_runs: Instant::now(),
            rest: IDLE,
        };
        let work = engine.work(namespaces);
        tokio::select! {
            () = work => {}
            () = cancel.cancelled() => {}
        }
    }

    async fn work(&mut self, namespaces: Vec<String>) {
        let specs = if namespaces.is_empty() {
            vec![WatchSpec::everywhere(kinds::EVENT_TRIGGER)]
        } else {
            namespaces.iter().map(|namespace| WatchSpec::in_namespace(kinds::EVENT_TRIGGER, namespace)).collect()
        };
        let triggers = LiveIndex::start(&self.cluster, specs, Arc::new(|_| {}));
        let mut trigger_changes = triggers.changes();
        triggers.settled().await;
        let mut watched: BTreeSet<(WorkloadKind, String)> = BTreeSet::new();
        let mut workloads = LiveIndex::start(&self.cluster, Vec::new(), Arc::new(|_| {}));
        loop {
            trigger_changes.mark_unchanged();
            let wanted = targets(&triggers);
            if wanted != watched {
                let specs = wanted.iter().map(|(kind, ns)| WatchSpec::in_namespace(kind_of(*kind), ns)).collect();
                workloads = LiveIndex::start(&self.cluster, specs, Arc::new(|_| {}));
                workloads.settled().await;
                watched = wanted;
            }
            let mut workload_changes = workloads.changes();
            workload_changes.mark_unchanged();
            self.pass(&triggers, &workloads).await;
            tokio::select! {
                _ = trigger_changes.changed() => {}
                _ = workload_changes.changed() => {}
                () = tokio::time::sleep(self.rest) => {}
            }
            tokio::time::sleep(DEBOUNCE).await;
        }
    }

    async fn pass(&mut self, triggers: &LiveIndex, workloads: &LiveIndex) {
        self.rest = IDLE;
        let ask_runs = Instant::now() >= self.ask_runs;
        let mut any_open = false;
        for object in triggers.list(&kinds::EVENT_TRIGGER) {
            let Some(trigger) = Trigger::read(&object).inspect_err(|error| tracing::warn!(%error)).ok() else {
                continue;
            };
            let found = trigger.workloads(workloads);
            self.look(&trigger, &found);
            let open = trigger.status.decisions.iter().any(is_open);
            any_open |= open;
            let work = self.needs_work(&trigger, &found, workloads) || (open && ask_runs);
            if work && let Err(error) = self.settle(&trigger, &found, workloads, ask_runs).await {
                self.rest = self.rest.min(LAUNCH_AGAIN);
                self.tell_trouble(&trigger, error.to_string());
                continue;
            }
            // From here on this engine looks: a later change was not missed.
            self.seen.extend(found.into_iter().map(|workload| (trigger.uid.clone(), workload.uid)));
        }
        if any_open {
            self.rest = self.rest.min(OPEN_RUNS);
        }
        if ask_runs {
            self.ask_runs = Instant::now() + OPEN_RUNS;
        }
    }

    /// Notes since when rollouts are complete.
    fn look(&mut self, trigger: &Trigger, found: &[Workload]) {
        for workload in found {
            let key = (trigger.uid.clone(), workload.uid.clone());
            let waits = trigger.spec.guards.wait_for_rollout;
            let done = workload.taken_up && (!waits || workload.rollout == crate::rollout::Rollout::Complete);
            let now = (self.clock)();
            match self.complete.get(&key) {
                Some((images, _)) if done && *images == workload.images => {}
                _ if done => {
                    self.complete.insert(key, (workload.images.clone(), now));
                }
                _ => {
                    self.complete.remove(&key);
                }
            }
        }
    }

    fn facts<'a>(&self, trigger: &'a Trigger, workload: &'a Workload) -> Facts<'a> {
        let key = (trigger.uid.clone(), workload.uid.clone());
        Facts {
            trigger_uid: &trigger.uid,
            spec: &trigger.spec,
            status: &trigger.status,
            workload,
            complete_since: self.complete.get(&key).map(|(_, since)| *since),
            now: (self.clock)(),
            first_look: !self.seen.contains(&key),
        }
    }

    /// Whether the picture of the index calls for a decision to be written; nothing is written on its word alone.
    fn needs_work(&mut self, trigger: &Trigger, found: &[Workload], workloads: &LiveIndex) -> bool {
        if trigger.with_condition(self.condition(trigger, workloads)) != trigger.status {
            return true;
        }
        if !trigger.is_valid() {
            return false;
        }
        let mut needed = false;
        for workload in found {
            match decide::decide(&self.facts(trigger, workload)) {
                Decision::Nothing => {}
                Decision::Wait { reason, until } => {
                    self.rest_until(until);
                    needed |= !is_noted(&trigger.status, workload, &reason);
                }
                Decision::Fire { run, .. } => match self.held.get(&run) {
                    Some(until) if *until > Instant::now() => self.rest = self.rest.min(LAUNCH_AGAIN),
                    _ => needed = true,
                },
                Decision::Settle | Decision::Pass { .. } => needed = true,
            }
        }
        needed
    }

    fn rest_until(&mut self, until: Option<Timestamp>) {
        if let Some(until) = until {
            let left = until.duration_since((self.clock)());
            let left = Duration::try_from(left).unwrap_or_default();
            self.rest = self.rest.min(left.max(DEBOUNCE));
        }
    }

    /// Decides on the newest version of the trigger, acts, and writes what came of it over exactly that version.
    async fn settle(
        &mut self,
        trigger: &Trigger,
        found: &[Workload],
        workloads: &LiveIndex,
        ask_runs: bool,
    ) -> Result<()> {
        let api = self.cluster.api(&kinds::EVENT_TRIGGER, &trigger.namespace);
        // Runs started in an attempt whose status could not be written; the next attempt must record them.
        let mut started: HashMap<String, DecisionRecord> = HashMap::new();
        for _ in 0..ATTEMPTS {
            let fresh = self.cluster.in_time("read a trigger", api.get_opt(&trigger.name)).await?;
            let Some(fresh) = fresh.filter(|fresh| fresh.metadata.uid.as_deref() == Some(trigger.uid.as_str())) else {
                return Ok(());
            };
            let mut fresh = Trigger::read(&fresh)?;
            let before = fresh.status.clone();
            let mut events = Vec::new();
            fresh.status = fresh.with_condition(self.condition(&fresh, workloads));
            if fresh.is_valid() {
                for workload in found {
                    if decide::watches(&fresh.spec, workload) {
                        self.act(&mut fresh, workload, &mut started, &mut events).await?;
                    }
                }
            }
            if ask_runs {
                self.ask_for_verdicts(&mut fresh, &mut events).await;
            }
            if fresh.status == before {
                return Ok(());
            }
            match self.write(&fresh).await {
                Ok(()) => {
                    events.into_iter().for_each(|event| (self.sink)(event));
                    return Ok(());
                }
                Err(pilothouse_cluster::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended { name: trigger.name.clone(), attempts: ATTEMPTS })
    }

    async fn act(
        &mut self,
        trigger: &mut Trigger,
        workload: &Workload,
        started: &mut HashMap<String, DecisionRecord>,
        events: &mut Vec<Event>,
    ) -> Result<()> {
        let facts = self.facts(trigger, workload);
        let decision = decide::decide(&facts);
        let before = trigger.status.observed_of(&workload.uid).cloned();
        let settled = decide::settled(workload, before.as_ref());
        if decision != Decision::Nothing
            && let Some(record) = started.get(&workload.uid)
        {
            trigger.status.settle(settled);
            trigger.tell(record.clone(), events);
            return Ok(());
        }
        match decision {
            Decision::Nothing => {}
            Decision::Settle => trigger.status.settle(settled),
            Decision::Pass { outcome, reason } => {
                let record = decide::record(&facts, outcome, reason, None);
                trigger.status.settle(settled);
                trigger.tell(record, events);
            }
            Decision::Wait { reason, until } => {
                if !is_noted(&trigger.status, workload, &reason) {
                    let record = decide::record(&facts, Outcome::Waited, reason, None);
                    trigger.tell(record, events);
                }
                self.rest_until(until);
            }
            Decision::Fire { .. } if !self.is_still(workload).await? => self.rest = self.rest.min(DEBOUNCE),
            Decision::Fire { run, revision, reason } => {
                let fired =
                    DecisionRecord { revision, ..decide::record(&facts, Outcome::Fired, reason, Some(run.clone())) };
                let waited = |reason| decide::record(&facts, Outcome::Waited, reason, None);
                let skipped = |reason| decide::record(&facts, Outcome::Skipped, reason, None);
                match self.launcher.launch(&trigger.launch(&run)).await {
                    Ok(launched) => {
                        self.held.remove(&run);
                        tracing::info!(trigger = trigger.name, run, already = launched == Launched::Already, "fired");
                        started.insert(workload.uid.clone(), fired.clone());
                        trigger.status.settle(settled);
                        trigger.tell(fired, events);
                    }
                    Err(error) if error.retry => {
                        self.held.insert(run, Instant::now() + LAUNCH_AGAIN);
                        self.rest = self.rest.min(LAUNCH_AGAIN);
                        let reason = format!("the run could not be started yet: {error}");
                        if !is_noted(&trigger.status, workload, &reason) {
                            let record = waited(reason);
                            trigger.tell(record, events);
                        }
                    }
                    Err(error) => {
                        let record = skipped(format!("the run could not be started: {error}"));
                        trigger.status.settle(settled);
                        trigger.tell(record, events);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the API server holds the images that the index shows: a picture that lags starts nothing.
    async fn is_still(&self, workload: &Workload) -> Result<bool> {
        let api = self.cluster.api(&kind_of(workload.kind), &workload.namespace);
        let now = self.cluster.in_time("read a workload", api.get_opt(&workload.name)).await?;
        let now = now.and_then(|object| serde_json::to_value(&object).ok());
        Ok(now.is_some_and(|object| {
            let now = Workload::read(workload.kind, &object);
            now.uid == workload.uid && now.images == workload.images && now.own_revision == workload.own_revision
        }))
    }

    async fn ask_for_verdicts(&self, trigger: &mut Trigger, events: &mut Vec<Event>) {
        let open: Vec<String> =
            trigger.status.decisions.iter().filter(|one| is_open(one)).filter_map(|one| one.run.clone()).collect();
        for run in open {
            let verdict = match self.launcher.state(&trigger.launch(&run)).await {
                Ok(RunState::Open) => continue,
                Ok(RunState::Ended(verdict)) => verdict,
                Ok(RunState::Gone) => "Gone".to_owned(),
                Err(error) => {
                    tracing::debug!(run, %error, "cannot tell how the run stands");
                    continue;
                }
            };
            for one in trigger.status.decisions.iter_mut().filter(|one| one.run.as_deref() == Some(run.as_str())) {
                one.verdict = Some(verdict.clone());
            }
            events.push(Event::Ended {
                namespace: trigger.namespace.clone(),
                trigger: trigger.name.clone(),
                run,
                verdict,
            });
        }
    }

    async fn write(&self, trigger: &Trigger) -> std::result::Result<(), pilothouse_cluster::Error> {
        let api = self.cluster.api(&kinds::EVENT_TRIGGER, &trigger.namespace);
        let patch = json!({
            "metadata": {"resourceVersion": trigger.version, "uid": trigger.uid},
            "status": trigger.status,
        });
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let request = api.patch_status(&trigger.name, &parameters, &patch);
        self.cluster.in_time("write a trigger's status", request).await.map(|_| ())
    }

    /// The condition `Ready`: its status, reason and message.
    fn condition(&self, trigger: &Trigger, workloads: &LiveIndex) -> (bool, &'static str, String, Timestamp) {
        let now = (self.clock)();
        if let Some(problem) = trigger.problem() {
            return (false, "Invalid", problem, now);
        }
        let kind = kind_of(trigger.spec.target.kind);
        match workloads.state(&kind) {
            WatchState::Forbidden(words) => (false, "Forbidden", words, now),
            _ if trigger.spec.suspended => (false, "Suspended", "the trigger rests".to_owned(), now),
            _ => (true, "Watching", String::new(), now),
        }
    }

    fn tell_trouble(&self, trigger: &Trigger, message: String) {
        (self.sink)(Event::Trouble { namespace: trigger.namespace.clone(), trigger: trigger.name.clone(), message });
    }
}

fn kind_of(kind: WorkloadKind) -> Kind {
    match kind {
        WorkloadKind::Deployment => kinds::DEPLOYMENT,
        WorkloadKind::StatefulSet => kinds::STATEFUL_SET,
    }
}

fn targets(triggers: &LiveIndex) -> BTreeSet<(WorkloadKind, String)> {
    let all = triggers.list(&kinds::EVENT_TRIGGER);
    let valid = all.iter().filter_map(|object| Trigger::read(object).ok()).filter(Trigger::is_valid);
    valid.map(|trigger| (trigger.spec.target.kind, trigger.spec.target.namespace)).collect()
}

fn is_open(record: &DecisionRecord) -> bool {
    record.decision == Outcome::Fired && record.verdict.is_none() && record.run.is_some()
}

fn is_noted(status: &TriggerStatus, workload: &Workload, reason: &str) -> bool {
    status.waiting(&workload.uid).is_some_and(|one| one.new_images == workload.images && one.reason == reason)
}

/// An `EventTrigger`, read.
#[derive(Debug, Clone)]
struct Trigger {
    namespace: String,
    name: String,
    uid: String,
    version: String,
    spec: TriggerSpec,
    status: TriggerStatus,
}

impl Trigger {
    fn read(object: &DynamicObject) -> Result<Self> {
        let meta = &object.metadata;
        let name = meta.name.clone().unwrap_or_default();
        let unreadable = |error: serde_json::Error| Error::Unreadable { name: name.clone(), why: error.to_string() };
        let spec =
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
            spec,
            status,
        })
    }

    fn problem(&self) -> Option<String> {
        validate(&self.spec).first().map(ToString::to_string)
    }

    fn is_valid(&self) -> bool {
        self.problem().is_none()
    }

    fn workloads(&self, index: &LiveIndex) -> Vec<Workload> {
        if !self.is_valid() {
            return Vec::new();
        }
        let kind = self.spec.target.kind;
        let read = |object: &DynamicObject| serde_json::to_value(object).map(|value| Workload::read(kind, &value)).ok();
        let mut found: Vec<Workload> = index
            .list(&kind_of(kind))
            .iter()
            .filter(|object| object.metadata.deletion_timestamp.is_none())
            .filter(|object| object.metadata.namespace.as_deref() == Some(self.spec.target.namespace.as_str()))
            .filter_map(|object| read(object))
            .filter(|workload| decide::watches(&self.spec, workload))
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.truncate(crate::spec::MAX_OBSERVED);
        found
    }

    fn launch(&self, run: &str) -> Launch {
        Launch {
            namespace: self.namespace.clone(),
            project: self.spec.project.clone(),
            workflow: self.spec.workflow.clone(),
            run: run.to_owned(),
            trigger: self.name.clone(),
            labels: BTreeMap::new(),
        }
    }

    fn tell(&mut self, record: DecisionRecord, events: &mut Vec<Event>) {
        self.status.note(record.clone());
        events.push(Event::Decided { namespace: self.namespace.clone(), trigger: self.name.clone(), record });
    }

    /// The status with the condition `Ready` as given; its time moves only when it changes.
    fn with_condition(&self, (ok, reason, message, now): (bool, &'static str, String, Timestamp)) -> TriggerStatus {
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
