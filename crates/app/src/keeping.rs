//! Chaos projects that this machine keeps in step with Git by itself, and whose schedules it serves.
//!
//! Each project has a Lease, so that one app or agent looks after it at a time. The Lease saves work and keeps authors
//! from alternating; what is right does not hang on it, for every write of a sync is over the version that it was
//! planned on, and every run is named by what asks for it. So a sync by hand waits for nobody, and where somebody may
//! not have a Lease the project is looked after without.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use pilothouse_chaos::{
    Error as ChaosError,
    instantiate::RunLabels,
    launch::{self, Cause},
    names::sync_lease,
    project::Project,
    ticks::{self, Look, Note, Tick},
    workflow_object::{RunPolicy, WorkflowObject},
};
use pilothouse_cluster::{ComponentId, Leadership, Timing, kinds};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    App, Result,
    contract::{ActivityKind, AppError, Notice, NoticeLevel, Topic},
    journal::{Begin, End, Intent},
    runs::only_by_hand,
    session::Live,
    trigger_engine::identity,
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

type Key = (String, String);

/// What makes this app look at its projects at once.
#[derive(Default)]
pub(crate) struct Keeping {
    nudges: watch::Sender<u64>,
}

impl Keeping {
    /// Has every project that is kept here looked at now.
    pub(crate) fn nudge(&self) {
        self.nudges.send_modify(|count| *count += 1);
    }
}

/// A time around [`ROUND`], so that machines do not march in step.
fn around() -> Duration {
    ROUND.mul_f64(0.75 + 0.5 * fastrand::f64())
}

/// What of a project's objects a sync goes by. What the sync notes in their status is not of it.
fn fingerprint(objects: &[WorkflowObject], project: &Project) -> String {
    let all: Vec<String> = objects.iter().map(|one| format!("{} {}", one.object, one.manifest_digest())).collect();
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
        let identity = identity();
        let index = live.index();
        let mut changes = index.changes();
        let Some(mut nudges) = me.upgrade().map(|app| app.keeping.nudges.subscribe()) else { return };
        let mut seats: BTreeMap<Key, CancellationToken> = BTreeMap::new();
        let mut tasks = JoinSet::new();
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
            seats.retain(|key, seat| {
                let stays = wanted.contains(key);
                if !stays {
                    seat.cancel();
                }
                stays
            });
            for key in wanted.clone() {
                let seat = live.stop.child_token();
                if let Entry::Vacant(free) = seats.entry(key) {
                    let (me, live, identity) = (me.clone(), live.clone(), identity.clone());
                    tasks.spawn(Self::keep_project(me, live, free.key().clone(), identity, seat.clone()));
                    free.insert(seat);
                }
            }
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
        while tasks.join_next().await.is_some() {}
    }

    /// Stands for the Lease of one project, and looks after it while it is held.
    async fn keep_project(me: Weak<App>, live: Arc<Live>, key: Key, identity: String, seat: CancellationToken) {
        let (namespace, id) = &key;
        let may = live.cluster.access("create", &kinds::LEASE, None, Some(namespace)).await;
        if may.is_ok_and(|access| !access.allowed) {
            tokio::select! {
                () = Self::rounds(&me, &live, &key) => {}
                () = seat.cancelled() => {}
            }
            return;
        }
        let leadership = Leadership::start(&live.cluster, namespace, &sync_lease(id), &identity, TIMING);
        let mut leads = leadership.watch();
        while !seat.is_cancelled() {
            let leading = *leads.borrow_and_update();
            let work = async {
                if leading {
                    Self::rounds(&me, &live, &key).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = work => {}
                changed = leads.changed() => if changed.is_err() { break },
                () = seat.cancelled() => {}
            }
        }
        drop(leads);
        // Given up in good order, so that the next one need not wait until the Lease runs out.
        leadership.release().await;
    }

    /// Syncs a project whenever something calls for it, and starts what its schedules ask for.
    async fn rounds(me: &Weak<App>, live: &Arc<Live>, (namespace, id): &Key) {
        let index = live.index();
        let mut changes = index.changes();
        let Some(mut nudges) = me.upgrade().map(|app| app.keeping.nudges.subscribe()) else { return };
        let (mut due, mut seen) = (Instant::now(), String::new());
        loop {
            changes.mark_unchanged();
            let Some(app) = me.upgrade() else { return };
            let listed = live.list(&kinds::CHAOS_PROJECT);
            let project = listed.iter().filter_map(|o| Project::read(o));
            let Some(project) = project.into_iter().find(|p| p.namespace == *namespace && p.id == *id) else { return };
            let now = fingerprint(&app.workflow_objects(live, namespace, id), &project);
            if Instant::now() >= due || now != seen {
                // Asked before each sync and not at each look, for the keychain is slow to answer.
                if !app.keeps(live, &project).await {
                    return;
                }
                nudges.mark_unchanged();
                (seen, due) = (now, Instant::now() + around());
                if let Err(error) = app.sync_changes(live, &project, None).await {
                    tracing::debug!(%error, project = %project.id, "a sync in the background failed");
                }
            }
            let tick = app.serve_schedules(live, &project).await;
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

    /// Starts what the schedules of a project's workflows ask for now; says when to look again at the latest.
    async fn serve_schedules(&self, live: &Live, project: &Project) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        for object in self.workflow_objects(live, &project.namespace, &project.id) {
            match self.serve_schedule(live, project, &object).await {
                Ok(found) => next = [next, found].into_iter().flatten().min(),
                // The version that was looked at is not the last one: the next look has it.
                Err(error) => {
                    tracing::debug!(%error, workflow = %object.workflow, "a schedule is looked at again");
                    next = Some(Timestamp::now());
                }
            }
        }
        next
    }

    async fn serve_schedule(
        &self,
        live: &Live,
        project: &Project,
        object: &WorkflowObject,
    ) -> Result<Option<Timestamp>> {
        let (cluster, namespace) = (&live.cluster, project.namespace.as_str());
        let now = Timestamp::now();
        match ticks::look(object, namespace, now) {
            Look::Off => {
                if object.run_policy != RunPolicy::OnSchedule {
                    ticks::hush(cluster, namespace, object).await?;
                }
                Ok(None)
            }
            Look::Begin => {
                ticks::settle(cluster, namespace, object, now, Note::Keep).await?;
                Ok(Some(now))
            }
            Look::Wait(next) => {
                ticks::tell(cluster, namespace, object, next).await?;
                Ok(next)
            }
            Look::Run { tick, told } => {
                let mut said = told;
                match self.start_scheduled(live, project, object, &tick).await? {
                    Ok(()) => {}
                    // The API server may answer again while there is time.
                    Err(ChaosError::Cluster(error)) if error.is_transient() => return Ok(Some(now)),
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
                Ok(Some(now))
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
                Ok(Some(now))
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
        if let Err(error) = only_by_hand(live.cluster.is_production(), live.name()) {
            return Ok(Err(ChaosError::WrongState { name: workflow.to_owned(), why: error.message }));
        }
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
