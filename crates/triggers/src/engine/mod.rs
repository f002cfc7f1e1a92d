//! The engine: watches triggers and their workloads, decides, starts runs, and remembers in the trigger's status.
//!
//! What it knows lives in the status of each `EventTrigger`, which is only ever written over the version that the
//! decision was taken on. Its own memory holds nothing that a restart may not lose.

mod acting;
mod around;
mod trigger;
mod unharmed;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::DynamicObject;
use pilothouse_cluster::{Cluster, LiveIndex, WatchSpec, WatchState, kinds};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::around::{Memory, Started};
use self::trigger::Trigger;
use crate::condition::facts::Seen;
use crate::decide::{self, Decision, Facts};
use crate::launcher::Launcher;
use crate::spec::{DecisionRecord, MAX_OBSERVED};
use crate::surroundings::{Budgets, Surroundings};
use crate::workload::Workload;

pub use self::trigger::kind_of;
pub use self::unharmed::unharmed;

/// How long it waits after a change at least, so that changes that come together make one pass.
const GATHER: Duration = Duration::from_millis(25);
/// The longest pause between two passes while changes go on coming; and how soon it looks again at what it postponed.
const DEBOUNCE: Duration = Duration::from_millis(150);
/// How long it sleeps when nothing is awaited.
const IDLE: Duration = Duration::from_secs(60);
/// How soon it looks again while runs are being stopped.
const HALTING: Duration = Duration::from_secs(1);
/// How often the state of runs that have not ended is asked for.
const OPEN_RUNS: Duration = Duration::from_secs(5);
/// How long a launch that failed for the moment is left alone.
const LAUNCH_AGAIN: Duration = Duration::from_secs(15);

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
        record: Box<DecisionRecord>,
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
    /// Since when the rollout of the state with this digest is complete, by trigger and workload uid.
    complete: HashMap<(String, String), (String, Timestamp)>,
    /// Workloads as last read, by uid, with their version.
    read: HashMap<String, (String, Arc<Workload>)>,
    /// What was last seen of halts and protection.
    memory: Memory,
    /// Runs that the index does not show yet.
    started: Started,
    /// Runs that were told to stop.
    stopped: HashSet<String>,
    /// What was told of runs that cannot be asked or stopped, so that it is not told at every look.
    told: HashSet<String>,
    /// Workloads of the trigger at hand that the index shows otherwise than the API server holds them. What becomes of
    /// them is left to the next pass, which still looks at them for the first time if this one does.
    postponed: HashSet<String>,
    /// Launches to leave alone until then, by run.
    held: HashMap<String, Instant>,
    /// When to ask for the state of runs again.
    ask_runs: Instant,
    /// The longest sleep that the last pass allows.
    rest: Duration,
    /// How long the last pass read and wrote triggers, and started runs.
    settling: Duration,
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
            read: HashMap::new(),
            memory: Memory::default(),
            started: HashMap::new(),
            stopped: HashSet::new(),
            told: HashSet::new(),
            postponed: HashSet::new(),
            held: HashMap::new(),
            ask_runs: Instant::now(),
            rest: IDLE,
            settling: Duration::ZERO,
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
        let mut watched: Vec<WatchSpec> = Vec::new();
        let mut index = LiveIndex::start(&self.cluster, Vec::new(), Arc::new(|_| {}));
        loop {
            trigger_changes.mark_unchanged();
            let read = read_all(&triggers);
            let wanted = around::wanted(&read, &namespaces);
            if wanted != watched {
                index = LiveIndex::start(&self.cluster, wanted.clone(), Arc::new(|_| {}));
                index.settled().await;
                self.memory = Memory::default();
                watched = wanted;
            }
            let mut changes = index.changes();
            changes.mark_unchanged();
            let begun = Instant::now();
            self.pass(&read, &index).await;
            let ended = Instant::now();
            let again = ended + pause(ended - begun, self.settling);
            tokio::select! {
                _ = trigger_changes.changed() => {}
                _ = changes.changed() => {}
                () = tokio::time::sleep(self.rest) => {}
            }
            tokio::time::sleep_until(again.max(Instant::now() + GATHER)).await;
        }
    }

    async fn pass(&mut self, triggers: &[Trigger], index: &LiveIndex) {
        (self.rest, self.settling) = (IDLE, Duration::ZERO);
        let ask_runs = Instant::now() >= self.ask_runs;
        let halts = self.memory.halts(index);
        let halting = halts.as_ref().is_ok_and(|halts| !halts.is_empty());
        let mut around = around::around(triggers, &mut self.started);
        (around.protected, around.unread) = self.memory.protection(&self.cluster, triggers, index).await;
        around.halt_unknown = halts.as_ref().err().map(ToString::to_string);
        if around.halt_unknown.is_some() || !around.unread.is_empty() {
            self.rest = self.rest.min(LAUNCH_AGAIN);
        }
        let mut any_open = false;
        let mut live = HashSet::new();
        for trigger in triggers {
            around.halted = halts.as_ref().ok().and_then(|halts| halts.get(&trigger.namespace).cloned());
            around.answers.clone_from(&trigger.answers);
            around.budgets = if trigger.spec.guards.respect_disruption_budget {
                around::budgets(index, &trigger.spec.target.namespace)
            } else {
                Budgets::Known(Vec::new())
            };
            let found = self.find(trigger, index);
            live.extend(found.workloads.iter().map(|(workload, _)| workload.uid.clone()));
            self.look(trigger, &found);
            let open = !trigger.status.open_runs().is_empty();
            any_open |= open;
            if open && around.halted.is_some() {
                self.stop_runs(trigger).await;
            }
            self.postponed.clear();
            let work = self.needs_work(trigger, &found, &around) || (open && ask_runs);
            let begun = Instant::now();
            let settled = if work { self.settle(trigger, &found, &mut around, ask_runs).await } else { Ok(()) };
            self.settling += begun.elapsed();
            if let Err(error) = settled {
                self.rest = self.rest.min(LAUNCH_AGAIN);
                self.tell_trouble(trigger, error.to_string());
                continue;
            }
            // From here on this engine looks: a later change was not missed.
            let looked = found.workloads.iter().filter(|(workload, _)| !self.postponed.contains(&workload.uid));
            self.seen.extend(looked.map(|(workload, _)| (trigger.uid.clone(), workload.uid.clone())));
        }
        self.held.retain(|_, until| *until > Instant::now());
        self.read.retain(|uid, _| live.contains(uid));
        self.complete.retain(|(_, uid), _| live.contains(uid));
        if any_open {
            self.rest = self.rest.min(if halting { HALTING } else { OPEN_RUNS });
        } else {
            self.told.clear();
        }
        if ask_runs {
            self.ask_runs = Instant::now() + if halting { HALTING } else { OPEN_RUNS };
        }
    }

    /// The workloads of a trigger, and what its condition sees in each.
    fn find(&mut self, trigger: &Trigger, index: &LiveIndex) -> Found {
        let (objects, excess) = trigger.objects(index);
        let target = &trigger.spec.target;
        let state = index.state_in(&kind_of(target.kind), &target.namespace);
        let mut workloads = Vec::new();
        for object in objects {
            let Some(workload) = self.read_workload(trigger, &object) else { continue };
            let seen = Seen::look(&trigger.spec.when, &workload.object);
            workloads.push((workload, seen));
        }
        Found { workloads, excess, state }
    }

    /// A workload, read once for each of its versions.
    fn read_workload(&mut self, trigger: &Trigger, object: &DynamicObject) -> Option<Arc<Workload>> {
        let (uid, version) = (object.metadata.uid.clone()?, object.metadata.resource_version.clone()?);
        if let Some((known, workload)) = self.read.get(&uid)
            && *known == version
        {
            return Some(workload.clone());
        }
        let value = serde_json::to_value(object).ok()?;
        let workload = Arc::new(Workload::read(trigger.spec.target.kind, value));
        self.read.insert(uid, (version, workload.clone()));
        Some(workload)
    }

    /// Notes since when rollouts are complete.
    fn look(&mut self, trigger: &Trigger, found: &Found) {
        let now = (self.clock)();
        for (workload, seen) in &found.workloads {
            let key = (trigger.uid.clone(), workload.uid.clone());
            let waits = trigger.spec.guards.wait_for_rollout;
            let done = workload.taken_up && (!waits || workload.rollout == crate::rollout::Rollout::Complete);
            let state = decide::state_digest(&trigger.spec, &seen.images, &seen.remembered());
            match self.complete.get(&key) {
                Some((known, _)) if done && *known == state => {}
                _ if done => {
                    self.complete.insert(key, (state, now));
                }
                _ => {
                    self.complete.remove(&key);
                }
            }
        }
    }

    fn facts<'a>(
        &self,
        trigger: &'a Trigger,
        workload: &'a Workload,
        seen: &'a Seen,
        around: &'a Surroundings,
    ) -> Facts<'a> {
        let key = (trigger.uid.clone(), workload.uid.clone());
        Facts {
            trigger_uid: &trigger.uid,
            spec: &trigger.spec,
            status: &trigger.status,
            workload,
            seen,
            around,
            complete_since: self.complete.get(&key).map(|(_, since)| *since),
            now: (self.clock)(),
            first_look: !self.seen.contains(&key),
        }
    }

    /// Whether the picture of the index calls for a decision to be written; nothing is written on its word alone.
    fn needs_work(&mut self, trigger: &Trigger, found: &Found, around: &Surroundings) -> bool {
        let ready = found.ready(trigger, around);
        if trigger.with_condition(ready, (self.clock)()) != trigger.status {
            return true;
        }
        if !trigger.is_valid() {
            return false;
        }
        let mut needed = !found.gone(trigger, (self.clock)()).is_empty();
        for (workload, seen) in &found.workloads {
            let facts = self.facts(trigger, workload, seen, around);
            let decision = decide::decide(&facts);
            let leaves = decide::leaves(&facts, &decision).is_some();
            match decision {
                Decision::Nothing => {}
                Decision::Wait { until, .. } => {
                    self.rest_until(until);
                    needed |= leaves;
                }
                Decision::Fire { run, .. } => needed |= !self.is_held(&run),
                Decision::Settle | Decision::Pass { .. } => needed = true,
            }
        }
        needed
    }

    /// Whether a launch is to be left alone for now.
    fn is_held(&mut self, run: &str) -> bool {
        let held = self.held.get(run).is_some_and(|until| *until > Instant::now());
        if held {
            self.rest = self.rest.min(LAUNCH_AGAIN);
        }
        held
    }

    fn rest_until(&mut self, until: Option<Timestamp>) {
        if let Some(until) = until {
            let left = until.duration_since((self.clock)());
            let left = Duration::try_from(left).unwrap_or_default();
            self.rest = self.rest.min(left.max(DEBOUNCE));
        }
    }

    /// Tells what is wrong with a run that is open, once while any is.
    fn tell_once(&mut self, trigger: &Trigger, message: String) {
        if self.told.insert(message.clone()) {
            self.tell_trouble(trigger, message);
        }
    }

    fn tell_trouble(&self, trigger: &Trigger, message: String) {
        (self.sink)(Event::Trouble { namespace: trigger.namespace.clone(), trigger: trigger.name.clone(), message });
    }
}

/// How long to leave triggers alone after a pass while changes go on coming: it looks for a ninth of its time at most, and
/// reads and writes for half of it.
fn pause(pass: Duration, settling: Duration) -> Duration {
    let looking = pass.saturating_sub(settling);
    (looking * 8).max(settling).min(DEBOUNCE)
}

/// The workloads of a trigger.
struct Found {
    workloads: Vec<(Arc<Workload>, Seen)>,
    /// How many more match than a trigger watches.
    excess: usize,
    /// How current the picture is.
    state: WatchState,
}

impl Found {
    fn ready(&self, trigger: &Trigger, around: &Surroundings) -> trigger::Ready {
        let doubt = around.doubt(&trigger.spec.target.namespace);
        trigger.ready(self.state.clone(), self.excess, around.halted.as_ref(), doubt)
    }

    /// What becomes of changes that wait at workloads that are not in it, as long as the picture is current. Nothing is
    /// settled for them: a workload that comes back among those that are watched is looked at anew.
    fn gone(&self, trigger: &Trigger, now: Timestamp) -> Vec<DecisionRecord> {
        if !matches!(self.state, WatchState::Live | WatchState::Polling) {
            return Vec::new();
        }
        let watched = self.uids();
        let mut records = decide::gone(&trigger.status, now, |uid| watched.contains(uid));
        if self.excess > 0 {
            let reason = format!("the workload is gone, or not among the {MAX_OBSERVED} that are watched");
            records.iter_mut().for_each(|record| record.reason.clone_from(&reason));
        }
        records
    }

    fn uids(&self) -> BTreeSet<&str> {
        self.workloads.iter().map(|(workload, _)| workload.uid.as_str()).collect()
    }
}

fn read_all(triggers: &LiveIndex) -> Vec<Trigger> {
    let all = triggers.list(&kinds::EVENT_TRIGGER);
    let read = |object: &Arc<DynamicObject>| Trigger::read(object).inspect_err(|error| tracing::warn!(%error)).ok();
    all.iter().filter_map(read).collect()
}
