//! Chaos projects that this machine keeps in step with Git by itself, and whose schedules it serves.
//!
//! Each project has a Lease, so that one app or agent looks after it at a time. The Lease saves work and keeps authors
//! from alternating; what is right does not hang on it, for every write of a sync is over the version that it was
//! planned on, and every run is named by what asks for it. So a sync by hand waits for nobody, and where somebody may
//! not have a Lease the project is looked after without. Nobody holds it who cannot start what its schedules ask for: a
//! time that one machine may not run stays unnoted, so that another still can.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use pilothouse_chaos::{
    Error as ChaosError,
    instantiate::RunLabels,
    launch::{self, Cause},
    names::sync_lease,
    project::Project,
    ticks::{self, Look, Note, Tick},
    workflow_object::{self, RunPolicy, WorkflowObject},
};
use pilothouse_cluster::{ComponentId, Error as ClusterError, Kind, Leadership, Timing, kinds};
use serde_json::Value;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    App, Result,
    contract::{ActivityKind, AppError, ErrorCode, Notice, NoticeLevel, Topic},
    journal::{Begin, End, Intent},
    runs::only_by_hand,
    seats::{Key, Seats},
    session::Live,
};

/// How often a project is synced when nothing calls for it; the real time varies by a quarter.
const ROUND: Duration = Duration::from_secs(30);
/// How long changes are gathered, and the least time between two looks.
const GATHER: Duration = Duration::from_secs(1);
/// The longest time between two looks at which projects there are.
const LOOK: Duration = Duration::from_secs(10);
/// A sync is no matter of seconds, so its Lease need not be renewed as often as that of the triggers.
const TIMING: Timing =
    Timing { lease: Duration::from_secs(30), renew_within: Duration::from_secs(20), every: Duration::from_secs(5) };

/// How long somebody who cannot have the Lease, or not use it, goes without before trying anew: rights change.
const REST: Duration = Duration::from_secs(600);
/// The same where the right to it is missing, which somebody may be about to give.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Workflows by their objects' names whose schedules are left alone for a while, as looking at them failed.
type Left = BTreeMap<String, Rest>;

/// A schedule that is left alone.
#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    /// How often in a row its look failed.
    failures: u32,
}

/// How long a schedule is left alone whose run the API server could not start just now: a second, and twice as long
/// each time, while it is not too late for the run.
fn patience(failures: u32) -> Duration {
    GATHER.saturating_mul(1 << failures.min(5)).min(ROUND)
}

/// What part a machine takes in looking after a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// It holds the Lease.
    Holds,
    /// It does the same without.
    Free,
    /// It only syncs, for no run can start by itself from here: what is due is left to others as it is.
    Syncs,
}

impl Stand {
    /// The part of a machine that may start runs or not, may have a Lease or not, and has just given it up or not for a
    /// run that somebody else may be able to start.
    fn of(starts: bool, leases: bool, stepped_down: bool) -> Self {
        match (starts, leases, stepped_down) {
            (false, ..) => Self::Syncs,
            (true, true, false) => Self::Holds,
            (true, ..) => Self::Free,
        }
    }
}

/// What came of looking at a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// There is nothing more to do before this time.
    Until(Option<Timestamp>),
    /// The API server could not take its run just now.
    Again,
    /// This user may not start the run that it asks for; it was left unnoted, as another may.
    Refused,
}

/// How long a schedule is left alone after its look failed; `None` when the version that was looked at was not the
/// last one, which the next look has.
fn rest_after(error: &AppError) -> Option<Duration> {
    (error.code != ErrorCode::ClusterConflict).then_some(ROUND)
}

/// Whether a run was refused to this user, and not to everybody.
fn refused_here(error: &ChaosError) -> bool {
    match error {
        // An admission rule refuses whoever asks; it names no verb.
        ChaosError::Cluster(ClusterError::Forbidden { verb, .. }) => !verb.is_empty(),
        ChaosError::Cluster(ClusterError::Unauthorized { .. }) => true,
        _ => false,
    }
}

/// What makes this app look at its projects at once.
#[derive(Default)]
pub(crate) struct Keeping {
    nudges: watch::Sender<u64>,
    /// The projects whose Lease is held here.
    held: Mutex<BTreeSet<Key>>,
    /// Why the Lease of a project cannot be had here, as its candidacy tells it.
    refusals: Mutex<BTreeMap<Key, Refusals>>,
}

/// Why a Lease cannot be had, while it is asked for.
type Refusals = watch::Receiver<Option<String>>;

impl Keeping {
    /// Has every project that is kept here looked at now.
    pub(crate) fn nudge(&self) {
        self.nudges.send_modify(|count| *count += 1);
    }

    fn held(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusals(&self) -> MutexGuard<'_, BTreeMap<Key, Refusals>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which right is missing for the Lease of a project to be had here, in words.
    pub(crate) fn refusal(&self, namespace: &str, id: &str) -> Option<String> {
        self.refusals().get(&(namespace.to_owned(), id.to_owned()))?.borrow().clone()
    }

    /// Whether the Lease of a project is held here.
    pub(crate) fn holds(&self, namespace: &str, id: &str) -> bool {
        self.held().contains(&(namespace.to_owned(), id.to_owned()))
    }
}

/// A time around [`ROUND`], so that machines do not march in step.
fn around() -> Duration {
    ROUND.mul_f64(0.75 + 0.5 * fastrand::f64())
}

/// What of a project's objects a sync goes by. What the sync notes in their status is not of it, nor in their
/// annotations: an object's generation counts what it is asked to be.
fn fingerprint(objects: &[Arc<DynamicObject>], project: &Project) -> String {
    let of_it = |one: &&Arc<DynamicObject>| {
        one.metadata.namespace.as_deref() == Some(&project.namespace)
            && one.data.pointer("/spec/project").and_then(Value::as_str) == Some(&project.id)
    };
    let mut all: Vec<String> = objects
        .iter()
        .filter(of_it)
        .map(|one| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let (name, uid) = (text(&one.metadata.name), text(&one.metadata.uid));
            format!("{name} {uid} {}", one.metadata.generation.unwrap_or_default())
        })
        .collect();
    all.sort();
    format!("{} {} {}\n{}", project.enabled, project.url, project.branch, all.join("\n"))
}

impl App {
    /// The window came to the front: what others did meanwhile is looked for.
    pub fn look_again(&self) {
        self.keeping.nudge();
    }

    /// Whether this machine keeps a project in step by itself.
    pub(crate) async fn keeps(&self, live: &Live, project: &Project) -> bool {
        // Whoever can write the object could otherwise have this user's credential used for it.
        if !project.enabled || !self.consented(live, project).await.unwrap_or(false) {
            return false;
        }
        let Ok(url) = self.remote(&project.url) else { return false };
        // A colleague's project, for which this machine has no credential, is the colleague's to sync.
        matches!(self.kept_credential(&url).await, Ok(Some(_)))
    }

    async fn kept_projects(&self, live: &Live) -> BTreeSet<Key> {
        let mut found = BTreeSet::new();
        for project in live.list(&kinds::CHAOS_PROJECT).iter().filter_map(|o| Project::read(o)) {
            if self.keeps(live, &project).await {
                found.insert((project.namespace, project.id));
            }
        }
        found
    }

    /// Looks after the projects of a connection until it ends.
    pub(crate) async fn keep_projects(me: Weak<App>, live: Arc<Live>) {
        if !live.has(ComponentId::Pilothouse) {
            return;
        }
        let Some(identity) = me.upgrade().map(|app| app.candidate()) else { return };
        let index = live.index();
        let mut changes = index.changes();
        let Some(mut nudges) = me.upgrade().map(|app| app.keeping.nudges.subscribe()) else { return };
        let mut seats = Seats::default();
        let (mut wanted, mut seen, mut looked) = (BTreeSet::new(), Vec::new(), None::<Instant>);
        loop {
            changes.mark_unchanged();
            let nudged = nudges.has_changed().unwrap_or(true);
            nudges.mark_unchanged();
            let projects: Vec<Project> =
                live.list(&kinds::CHAOS_PROJECT).iter().filter_map(|o| Project::read(o)).collect();
            let now: Vec<_> = projects.into_iter().map(|p| (p.namespace, p.id, p.enabled, p.url, p.branch)).collect();
            // What the user agreed to and the keychain change without the cluster's doing.
            if nudged || now != seen || looked.is_none_or(|at| at.elapsed() >= LOOK) {
                let Some(app) = me.upgrade() else { break };
                (wanted, seen, looked) = (app.kept_projects(&live).await, now, Some(Instant::now()));
            }
            seats.tend(&wanted, &live.stop, |key, seat| {
                Self::keep_project(me.clone(), live.clone(), key, identity.clone(), seat)
            });
            let next = async {
                tokio::select! {
                    _ = changes.changed() => {}
                    _ = nudges.changed() => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
                tokio::time::sleep(GATHER).await;
            };
            tokio::select! {
                () = next => {}
                () = live.stop.cancelled() => break,
            }
        }
        // Each gives its Lease up before it ends.
        seats.end().await;
    }

    /// Looks after one project until it is not this machine's any more: with its Lease where that can be.
    async fn keep_project(me: Weak<App>, live: Arc<Live>, key: Key, identity: String, seat: CancellationToken) {
        let namespace = key.0.as_str();
        let mut left = Left::new();
        let mut stepped_down = false;
        while !seat.is_cancelled() && me.strong_count() > 0 {
            let starts = Self::may_start(&live, namespace).await;
            let stands = starts && !stepped_down;
            let refusal = if stands { Self::refusal(&live, &kinds::LEASE, namespace).await } else { None };
            let stand = Stand::of(starts, stands && refusal.is_none(), stepped_down);
            if stand == Stand::Holds {
                stepped_down = Self::hold(&me, &live, &key, &identity, &seat, &mut left).await;
            } else {
                stepped_down = false;
                let rest = if refusal.is_some() { ASK_AGAIN } else { REST };
                Self::note_refusals(&me, &key, Some(watch::channel(refusal).1));
                tokio::select! {
                    () = Self::rounds(&me, &live, &key, (stand, rest), &mut left) => {}
                    () = seat.cancelled() => {}
                }
            }
        }
        // Only now: between two of these it is still so.
        Self::note_refusals(&me, &key, None);
    }

    fn note_refusals(me: &Weak<App>, key: &Key, refusals: Option<Refusals>) {
        let Some(app) = me.upgrade() else { return };
        let mut noted = app.keeping.refusals();
        match refusals {
            Some(refusals) => noted.insert(key.clone(), refusals),
            None => noted.remove(key),
        };
    }

    /// Why this user may not make such objects. What cannot be told is found out by trying.
    async fn refusal(live: &Live, kind: &Kind, namespace: &str) -> Option<String> {
        let access = live.cluster.access("create", kind, None, Some(namespace)).await;
        access.ok().filter(|access| !access.allowed).map(|access| access.who_can())
    }

    async fn may_make(live: &Live, kind: &Kind, namespace: &str) -> bool {
        Self::refusal(live, kind, namespace).await.is_none()
    }

    /// Whether runs can start by themselves from here at all.
    async fn may_start(live: &Live, namespace: &str) -> bool {
        only_by_hand(live.cluster.is_production(), live.name()).is_ok()
            && (Self::may_make(live, &kinds::WORKFLOW, namespace).await
                || Self::may_make(live, &kinds::CHAOS_ENGINE, namespace).await)
    }

    /// Stands for the Lease of a project, and looks after it while it is held. Says whether it was given up for a run
    /// that somebody else may be able to start.
    async fn hold(
        me: &Weak<App>,
        live: &Arc<Live>,
        key: &Key,
        identity: &str,
        seat: &CancellationToken,
        left: &mut Left,
    ) -> bool {
        let leadership = Leadership::start(&live.cluster, &key.0, &sync_lease(&key.1), identity, TIMING);
        Self::note_refusals(me, key, Some(leadership.refusals()));
        let mut leads = leadership.watch();
        let mut stepped_down = false;
        while !stepped_down && !seat.is_cancelled() {
            let leading = *leads.borrow_and_update();
            if let Some(app) = me.upgrade() {
                let mut held = app.keeping.held();
                if leading {
                    held.insert(key.clone())
                } else {
                    held.remove(key)
                };
            }
            let work = async {
                if leading {
                    Self::rounds(me, live, key, (Stand::Holds, REST), left).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = work => stepped_down = true,
                changed = leads.changed() => if changed.is_err() {
                    // Nobody answers for the Lease any more; it is stood for anew.
                    tokio::time::sleep(GATHER).await;
                    break;
                },
                () = seat.cancelled() => {}
            }
        }
        drop(leads);
        if let Some(app) = me.upgrade() {
            app.keeping.held().remove(key);
        }
        // Given up in good order, so that the next one need not wait until the Lease runs out.
        leadership.release().await;
        stepped_down
    }

    /// Syncs a project whenever something calls for it, and starts what its schedules ask for. A doubt whether it is
    /// still this machine's ends nothing: that is for who gave it the seat, and a Lease that is held while nobody
    /// works would keep everybody else from it. Ends when the Lease is to be given up; without it, when it is time to
    /// see whether it can be had.
    async fn rounds(
        me: &Weak<App>,
        live: &Arc<Live>,
        (namespace, id): &Key,
        (stand, rest): (Stand, Duration),
        left: &mut Left,
    ) {
        let index = live.index();
        let mut changes = index.changes();
        let Some(mut nudges) = me.upgrade().map(|app| app.keeping.nudges.subscribe()) else { return };
        let (mut due, mut seen, mut keeps) = (Instant::now(), String::new(), false);
        let until = Instant::now() + rest;
        loop {
            if stand != Stand::Holds && Instant::now() >= until {
                return;
            }
            changes.mark_unchanged();
            let Some(app) = me.upgrade() else { return };
            let listed = live.list(&kinds::CHAOS_PROJECT);
            let project = listed.iter().filter_map(|o| Project::read(o));
            let project = project.into_iter().find(|p| p.namespace == *namespace && p.id == *id);
            let now = project.as_ref().map(|p| fingerprint(&live.list(&kinds::CHAOS_WORKFLOW), p));
            let now = now.unwrap_or_default();
            if Instant::now() >= due || now != seen {
                // Asked before each sync and not at each look, for the keychain is slow to answer.
                keeps = match &project {
                    Some(project) => app.keeps(live, project).await,
                    None => false,
                };
                nudges.mark_unchanged();
                (seen, due) = (now, Instant::now() + if keeps { around() } else { LOOK });
                if let Some(project) = project.as_ref().filter(|_| keeps)
                    && let Err(error) = app.sync_changes(live, project, None).await
                {
                    tracing::debug!(%error, project = %project.id, "a sync in the background failed");
                }
            }
            let mut tick = None;
            if let Some(project) = project.as_ref().filter(|_| keeps && stand != Stand::Syncs) {
                let refused;
                (tick, refused) = app.serve_schedules(live, project, left).await;
                if refused && stand == Stand::Holds {
                    return;
                }
            }
            drop(app);
            let pause = tick.map_or(ROUND, |tick| {
                let left = tick.duration_since(Timestamp::now());
                Duration::try_from(left).unwrap_or(Duration::ZERO)
            });
            let wake = due.min(Instant::now() + pause);
            tokio::select! {
                () = tokio::time::sleep_until(wake) => {}
                _ = changes.changed() => {}
                _ = nudges.changed() => due = Instant::now(),
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Starts what the schedules of a project's workflows ask for now. Says when to look again at the latest, and
    /// whether there is a run that this user may not start.
    async fn serve_schedules(&self, live: &Live, project: &Project, left: &mut Left) -> (Option<Timestamp>, bool) {
        let (mut next, mut refused) = (None::<Timestamp>, false);
        let now = Instant::now();
        // Kept for a while after, so that what fails again waits longer.
        left.retain(|_, rest| rest.until + ROUND > now);
        for object in self.scheduled_objects(live, project) {
            if let Some(rest) = left.get(&object.object).filter(|rest| rest.until > now) {
                let wait = SignedDuration::try_from(rest.until - now).unwrap_or_default();
                next = [next, Some(Timestamp::now() + wait)].into_iter().flatten().min();
                continue;
            }
            let rest = match self.serve_schedule(live, project, &object).await {
                Ok(Served::Until(found)) => {
                    next = [next, found].into_iter().flatten().min();
                    left.remove(&object.object);
                    continue;
                }
                Ok(Served::Again) => {
                    let failures = left.get(&object.object).map_or(0, |rest| rest.failures);
                    let wait = patience(failures);
                    let at = Timestamp::now() + SignedDuration::try_from(wait).unwrap_or_default();
                    next = [next, Some(at)].into_iter().flatten().min();
                    left.insert(object.object, Rest { until: Instant::now() + wait, failures: failures + 1 });
                    continue;
                }
                Ok(Served::Refused) => {
                    refused = true;
                    REST
                }
                Err(error) => {
                    tracing::debug!(%error, workflow = %object.workflow, "a schedule is looked at again");
                    let Some(rest) = rest_after(&error) else {
                        next = Some(Timestamp::now());
                        continue;
                    };
                    rest
                }
            };
            left.insert(object.object, Rest { until: Instant::now() + rest, failures: 1 });
        }
        (next, refused)
    }

    /// The workflows of a project that run on a schedule, or say something of one.
    fn scheduled_objects(&self, live: &Live, project: &Project) -> Vec<WorkflowObject> {
        let objects = live.list(&kinds::CHAOS_WORKFLOW);
        let of_it = |one: &&Arc<DynamicObject>| {
            one.metadata.namespace.as_deref() == Some(&project.namespace) && workflow_object::speaks_of_schedule(one)
        };
        let read = objects.iter().filter(of_it).filter_map(|one| WorkflowObject::read(one));
        let mut found: Vec<WorkflowObject> = read.filter(|one| one.project == project.id).collect();
        found.sort_by(|a, b| a.workflow.cmp(&b.workflow));
        found
    }

    async fn serve_schedule(&self, live: &Live, project: &Project, object: &WorkflowObject) -> Result<Served> {
        let (cluster, namespace) = (&live.cluster, project.namespace.as_str());
        let now = Timestamp::now();
        match ticks::look(object, namespace, now) {
            Look::Off => {
                if object.run_policy != RunPolicy::OnSchedule {
                    ticks::hush(cluster, namespace, object).await?;
                } else {
                    let object = &ticks::forget(cluster, namespace, object).await?;
                    ticks::tell(cluster, namespace, object, None).await?;
                }
                Ok(Served::Until(None))
            }
            Look::Begin => {
                ticks::settle(cluster, namespace, object, now, Note::Keep).await?;
                Ok(Served::Until(Some(now)))
            }
            Look::Wait(next) => {
                ticks::tell(cluster, namespace, object, next).await?;
                Ok(Served::Until(next))
            }
            Look::Run { tick, told } => {
                if let Err(reason) = only_by_hand(live.cluster.is_production(), live.name()) {
                    tracing::info!(%reason, workflow = %object.workflow, "a scheduled run was not started");
                    return Ok(Served::Refused);
                }
                let mut said = told;
                match self.start_scheduled(live, project, object, &tick).await? {
                    Ok(()) => {}
                    // The API server may answer again while there is time.
                    Err(ChaosError::Cluster(error)) if error.is_transient() => return Ok(Served::Again),
                    Err(error) if refused_here(&error) => {
                        tracing::info!(%error, workflow = %object.workflow, "a run is left to who may start it");
                        return Ok(Served::Refused);
                    }
                    Err(error) => {
                        let why = format!("the run at {} was not started: {error}", tick.time);
                        said = Some(said.map_or(why.clone(), |before| format!("{before}; {why}")));
                    }
                }
                let note = said.as_deref().map_or(Note::Clear, Note::Say);
                let object = &ticks::settle(cluster, namespace, object, tick.time, note).await?;
                self.tell_unused(live, project, object, said.as_deref()).await?;
                if let Look::Wait(next) = ticks::look(object, namespace, Timestamp::now()) {
                    ticks::tell(cluster, namespace, object, next).await?;
                }
                Ok(Served::Until(Some(now)))
            }
            Look::Missed { tick, told } => {
                // Killed right after it was started, a run is there and was only not noted.
                let there = launch::read_run(cluster, namespace, &tick.run).await.is_ok();
                let said = (!there).then_some(told);
                let note = said.as_deref().map_or(Note::Keep, Note::Say);
                let object = &ticks::settle(cluster, namespace, object, tick.time, note).await?;
                self.tell_unused(live, project, object, said.as_deref()).await?;
                if let Look::Wait(next) = ticks::look(object, namespace, Timestamp::now()) {
                    ticks::tell(cluster, namespace, object, next).await?;
                }
                Ok(Served::Until(Some(now)))
            }
        }
    }

    async fn start_scheduled(
        &self,
        live: &Live,
        project: &Project,
        object: &WorkflowObject,
        tick: &Tick,
    ) -> Result<std::result::Result<(), ChaosError>> {
        let workflow = object.workflow.as_str();
        let labels = RunLabels { project: project.id.clone(), workflow: workflow.into(), ..RunLabels::default() };
        let words = format!("Run {workflow} on its schedule, at {}", tick.time);
        let cause = Cause::Schedule(tick);
        let started = self.start_automatic(live, &project.namespace, &tick.run, &labels, cause, words).await?;
        Ok(started.map(|_| ()))
    }

    /// Tells what of a schedule did not run.
    async fn tell_unused(
        &self,
        live: &Live,
        project: &Project,
        object: &WorkflowObject,
        said: Option<&str>,
    ) -> Result<()> {
        self.changes.tell(Topic::Chaos);
        let Some(said) = said else { return Ok(()) };
        let begin = Begin {
            kind: ActivityKind::Run,
            words: format!("Run {} on its schedule", object.workflow),
            context: Some(live.name().to_owned()),
            object: Some(format!("ChaosWorkflow/{}/{}", project.namespace, object.workflow)),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        // The error is the entry's outcome.
        let _: Result<()> = entry.close_with(Err(AppError::blocked(said)), |()| End::default()).await;
        self.tell_notice(Notice {
            level: NoticeLevel::Warn,
            title: format!("{} did not run on its schedule", object.workflow),
            body: said.to_owned(),
            path: Some(format!("/chaos/{}/workflows/{}", project.id, object.workflow)),
        });
        Ok(())
    }
}

#[cfg(test)]
#[path = "keeping_tests.rs"]
mod tests;
