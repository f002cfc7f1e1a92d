//! The trigger engine inside the app: in every namespace that holds triggers it runs under that namespace's Lease, so
//! that one app is in charge of each, whatever platform the apps have chosen.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use pilothouse_chaos::{Error as ChaosError, instantiate::RunLabels, launch, stop};
use pilothouse_cluster::{ComponentId, Leadership, Timing, kinds};
use pilothouse_triggers::{
    engine::{Engine, Event, unharmed},
    launcher::{Launch, LaunchError, Launched, Launcher, RunState},
    spec::Outcome,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    App,
    contract::{EngineView, Notice, NoticeLevel, Topic},
    runs::only_by_hand,
    session::Live,
};

/// The Lease's name; every app uses the same.
pub(crate) const LEASE: &str = "pilothouse-triggers";
/// How long changes of the objects are gathered before the namespaces are looked at again.
const GATHER: Duration = Duration::from_secs(1);
/// How long after a fault of the engine it is started again, and after a refusal it is asked for the right again.
const RECOVER: Duration = Duration::from_secs(60);

/// Who this app is among the candidates, in words that mean something to a colleague.
pub(crate) fn identity() -> String {
    let user = ["USER", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let user: String = user.unwrap_or_default().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let user = if user.is_empty() { "desktop".to_owned() } else { user };
    format!("{user}-{:08x}", fastrand::u32(..))
}

/// What a connection knows about its engine.
#[derive(Default)]
pub(crate) struct EngineState {
    /// The candidacy in each namespace.
    seats: BTreeMap<String, Arc<Leadership>>,
    /// What keeps this app from standing in a namespace.
    problems: BTreeMap<String, String>,
}

impl EngineState {
    /// Who is in charge of a namespace, as the window sees it.
    pub(crate) fn view(&self, namespace: &str) -> EngineView {
        let seat = self.seats.get(namespace);
        EngineView {
            holder: seat.and_then(|seat| seat.holder()),
            here: seat.is_some_and(|seat| seat.is_leader()),
            problem: self.problems.get(namespace).cloned().or_else(|| seat?.refusals().borrow().clone()),
        }
    }

    /// The namespaces that this app stands in or is kept from.
    pub(crate) fn namespaces(&self) -> BTreeSet<String> {
        self.seats.keys().chain(self.problems.keys()).cloned().collect()
    }
}

/// Starts runs for the engine.
struct Runs {
    app: Weak<App>,
    live: Arc<Live>,
}

fn refused(error: ChaosError) -> LaunchError {
    let retry = match &error {
        ChaosError::Cluster(error) => error.is_transient(),
        ChaosError::Contended { .. } => true,
        // A workflow in conflict or not synced yet may be all right in a moment.
        ChaosError::WrongState { .. } | ChaosError::NotFound { .. } => true,
        _ => false,
    };
    LaunchError { message: error.to_string(), retry }
}

#[async_trait]
impl Launcher for Runs {
    async fn launch(&self, launch: &Launch) -> Result<Launched, LaunchError> {
        let cluster = &self.live.cluster;
        if let Err(error) = only_by_hand(cluster.is_production(), self.live.name()) {
            tracing::info!(reason = %error, trigger = %launch.trigger, "a triggered run was not started");
            return Err(LaunchError { message: error.message, retry: false });
        }
        let Some(app) = self.app.upgrade() else {
            return Err(LaunchError { message: "the app is closing".to_owned(), retry: true });
        };
        let labels = RunLabels {
            project: launch.project.clone(),
            workflow: launch.workflow.clone(),
            trigger: Some(launch.trigger.clone()),
            more: launch.labels.clone(),
        };
        let words = format!("Run {}, because the trigger {} saw a change", launch.workflow, launch.trigger);
        let started = app
            .start_automatic(&self.live, &launch.namespace, &launch.run, &labels, launch::Cause::Event, words)
            .await
            .map_err(|error| LaunchError { message: error.message, retry: true })?
            .map_err(refused)?;
        Ok(if started.already { Launched::Already } else { Launched::Created })
    }

    async fn stop(&self, launch: &Launch) -> Result<(), LaunchError> {
        // A triggered run is never anywhere else, whatever the workflow's document says by now.
        match stop::stop(&self.live.cluster, &launch.namespace, &launch.run).await {
            Ok(_) | Err(ChaosError::NotFound { .. }) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }

    async fn state(&self, launch: &Launch) -> Result<RunState, LaunchError> {
        match launch::read_run(&self.live.cluster, &launch.namespace, &launch.run).await {
            Ok(run) if run.phase.ended() => {
                let verdict = run.verdict.map_or_else(|| "N/A".to_owned(), |v| format!("{v:?}"));
                Ok(RunState::Ended(verdict))
            }
            Ok(_) => Ok(RunState::Open),
            Err(ChaosError::NotFound { .. }) => Ok(RunState::Gone),
            Err(error) => Err(refused(error)),
        }
    }
}

/// Tells the window what the engine did.
fn tell(app: &Weak<App>, event: Event) {
    let Some(app) = app.upgrade() else { return };
    match event {
        Event::Decided { trigger, record, .. } => {
            app.changes.tell(Topic::Triggers);
            app.changes.tell(Topic::Environments);
            if record.decision == Outcome::Fired {
                app.tell_notice(Notice {
                    level: NoticeLevel::Info,
                    title: format!("Trigger {trigger} fired"),
                    body: format!("{}: {}", record.workload, record.reason),
                    path: Some("/triggers".to_owned()),
                });
            }
        }
        Event::Ended { .. } => {
            app.changes.tell(Topic::Triggers);
            app.changes.tell(Topic::Environments);
        }
        Event::Trouble { namespace, trigger, message } => {
            tracing::warn!(%namespace, %trigger, %message, "a trigger does not work for now");
            app.changes.tell(Topic::Triggers);
        }
    }
}

impl App {
    /// Who this app is among the candidates for a Lease.
    pub(crate) fn candidate(&self) -> String {
        self.options.identity.clone().unwrap_or_else(identity)
    }

    /// Stands for the Lease of every namespace that holds triggers or could hold some, and runs an engine wherever it
    /// has it; until the connection ends.
    pub(crate) async fn serve_triggers(me: Weak<App>, live: Arc<Live>) {
        if !live.has(ComponentId::Pilothouse) {
            return;
        }
        let Some(identity) = me.upgrade().map(|app| app.candidate()) else { return };
        let index = live.index();
        let mut changes = index.changes();
        let mut seats: BTreeMap<String, CancellationToken> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        loop {
            changes.mark_unchanged();
            let Some(app) = me.upgrade() else { break };
            let mut wanted = namespaces(&live);
            wanted.retain(|namespace| app.options.scope.serves(namespace));
            drop(app);
            seats.retain(|namespace, seat| {
                let stays = wanted.contains(namespace);
                if !stays {
                    seat.cancel();
                }
                stays
            });
            for namespace in wanted {
                let seat = live.stop.child_token();
                if let Entry::Vacant(free) = seats.entry(namespace) {
                    let (me, live, identity) = (me.clone(), live.clone(), identity.clone());
                    tasks.spawn(Self::serve_namespace(me, live, free.key().clone(), identity, seat.clone()));
                    free.insert(seat);
                }
            }
            let next = async {
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
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

    /// Stands for the Lease of one namespace until the seat is taken away. After a fault of the engine the Lease is left
    /// to others for a while.
    async fn serve_namespace(
        me: Weak<App>,
        live: Arc<Live>,
        namespace: String,
        identity: String,
        seat: CancellationToken,
    ) {
        while let Err(error) = Self::stand(&me, &live, &namespace, &identity, &seat).await {
            tracing::error!(%namespace, %error, "the trigger engine ended");
            live.engine().problems.insert(namespace.clone(), error.to_string());
            if let Some(app) = me.upgrade() {
                app.changes.tell(Topic::Triggers);
            }
            tokio::select! {
                () = tokio::time::sleep(RECOVER) => {}
                () = seat.cancelled() => {}
            }
            live.engine().problems.remove(&namespace);
            if seat.is_cancelled() {
                return;
            }
        }
    }

    /// Stands for the Lease of one namespace, and runs the engine for its triggers while it is held.
    ///
    /// # Errors
    /// The fault at which the engine stopped; the Lease is given up then.
    async fn stand(
        me: &Weak<App>,
        live: &Arc<Live>,
        namespace: &str,
        identity: &str,
        seat: &CancellationToken,
    ) -> pilothouse_triggers::Result<()> {
        let cluster = live.cluster.clone();
        // What cannot be told is found out by trying.
        while let Ok(access) = cluster.access("create", &kinds::LEASE, None, Some(namespace)).await
            && !access.allowed
        {
            live.engine().problems.insert(namespace.to_owned(), access.who_can());
            if let Some(app) = me.upgrade() {
                app.changes.tell(Topic::Triggers);
            }
            tokio::select! {
                () = tokio::time::sleep(RECOVER) => {}
                () = seat.cancelled() => {}
            }
            if seat.is_cancelled() {
                break;
            }
        }
        live.engine().problems.remove(namespace);
        if seat.is_cancelled() {
            return Ok(());
        }
        let leadership = Arc::new(Leadership::start(&cluster, namespace, LEASE, identity, Timing::default()));
        live.engine().seats.insert(namespace.to_owned(), leadership.clone());
        let (mut leads, mut refusals) = (leadership.watch(), leadership.refusals());
        let mut outcome = Ok(());
        loop {
            let leading = *leads.borrow_and_update();
            if let Some(app) = me.upgrade() {
                app.changes.tell(Topic::Triggers);
            }
            let round = seat.child_token();
            let work = async {
                if leading {
                    let launcher = Arc::new(Runs { app: me.clone(), live: live.clone() });
                    let sink = me.clone();
                    let sink = Arc::new(move |event| tell(&sink, event));
                    let clock = Arc::new(jiff::Timestamp::now);
                    let here = vec![namespace.to_owned()];
                    unharmed(Engine::run(cluster.clone(), here, launcher, clock, sink, round.clone())).await
                } else {
                    while refusals.changed().await.is_ok() {
                        if let Some(app) = me.upgrade() {
                            app.changes.tell(Topic::Triggers);
                        }
                    }
                    std::future::pending().await
                }
            };
            tokio::select! {
                ended = work => outcome = ended,
                changed = leads.changed() => if changed.is_err() { break },
                () = seat.cancelled() => {}
            }
            round.cancel();
            if seat.is_cancelled() || outcome.is_err() {
                break;
            }
        }
        live.engine().seats.remove(namespace);
        drop(leads);
        // Given up in good order, so that the next one need not wait until the Lease runs out.
        if let Some(leadership) = Arc::into_inner(leadership) {
            leadership.release().await;
        }
        outcome
    }
}

/// The namespaces that hold triggers, or projects whose workflows a trigger could run.
fn namespaces(live: &Live) -> BTreeSet<String> {
    let objects = [kinds::EVENT_TRIGGER, kinds::CHAOS_PROJECT].into_iter().flat_map(|kind| live.list(&kind));
    objects.filter_map(|object| object.metadata.namespace.clone()).collect()
}
