//! The trigger engine inside the app: under the Lease, so that one app is in charge.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use pilothouse_chaos::{
    Error as ChaosError, WorkflowDocument,
    instantiate::RunLabels,
    launch,
    workflow_object::{self, RunPolicy},
};
use pilothouse_cluster::{ComponentId, Leadership, Timing, kinds};
use pilothouse_triggers::{
    engine::{Engine, Event},
    launcher::{Launch, LaunchError, Launched, Launcher, RunState},
    spec::Outcome,
};

use crate::{
    App,
    contract::{EngineView, Notice, NoticeLevel, Topic},
    runs::only_by_hand,
    session::Live,
};

/// The Lease's name; every app uses the same.
const LEASE: &str = "pilothouse-triggers";

/// Who this app is among the candidates, in words that mean something to a colleague.
fn identity() -> String {
    let user = ["USER", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let user: String = user.unwrap_or_default().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let user = if user.is_empty() { "desktop".to_owned() } else { user };
    format!("{user}-{:08x}", fastrand::u32(..))
}

/// What a connection knows about its engine.
#[derive(Default)]
pub(crate) struct EngineState {
    leadership: Option<Arc<Leadership>>,
    problem: Option<String>,
}

impl EngineState {
    /// As the window sees it.
    pub(crate) fn view(&self) -> EngineView {
        let holder = self.leadership.as_ref().and_then(|l| l.holder());
        let here = self.leadership.as_ref().is_some_and(|l| l.is_leader());
        EngineView { holder, here, problem: self.problem.clone() }
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
        let object = workflow_object::get(cluster, &launch.namespace, &launch.project, &launch.workflow)
            .await
            .map_err(refused)?;
        if object.run_policy != RunPolicy::OnEvent {
            let message = format!("the run policy of {} does not let triggers run it", launch.workflow);
            return Err(LaunchError { message, retry: false });
        }
        let labels = RunLabels {
            project: launch.project.clone(),
            workflow: launch.workflow.clone(),
            trigger: Some(launch.trigger.clone()),
            more: launch.labels.clone(),
        };
        let started = launch::run_automatic(cluster, &launch.namespace, &launch.run, &labels).await.map_err(refused)?;
        if started.already {
            return Ok(Launched::Already);
        }
        if let Some(app) = self.app.upgrade() {
            let words = format!("Run {}, because the trigger {} saw a new image", launch.workflow, launch.trigger);
            if let Err(error) = app.note_run(&self.live, &started.namespace, &started.name, words).await {
                tracing::warn!(%error, "a triggered run could not be noted in the timeline");
            }
        }
        Ok(Launched::Created)
    }

    async fn state(&self, launch: &Launch) -> Result<RunState, LaunchError> {
        let cluster = &self.live.cluster;
        // The run is where its document says, which need not be where the trigger is.
        let namespace = match workflow_object::get(cluster, &launch.namespace, &launch.project, &launch.workflow).await
        {
            Ok(object) => WorkflowDocument::parse(&object.manifest).ok().and_then(|d| d.namespace),
            Err(ChaosError::NotFound { .. }) => None,
            Err(error) => return Err(refused(error)),
        };
        let namespace = namespace.unwrap_or_else(|| launch.namespace.clone());
        match launch::read_run(cluster, &namespace, &launch.run).await {
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
    /// Runs for the Lease, and runs the engine while it is held; until the connection ends.
    pub(crate) async fn serve_triggers(me: Weak<App>, live: Arc<Live>) {
        if !live.has(ComponentId::Pilothouse) {
            return;
        }
        let cluster = live.cluster.clone();
        let namespace = live.chosen_platform().unwrap_or_else(|| cluster.default_namespace().to_owned());
        let may = cluster.access("create", &kinds::LEASE, None, Some(&namespace)).await;
        if let Ok(access) = &may
            && !access.allowed
        {
            live.engine().problem = Some(access.who_can());
            return;
        }
        let everywhere = cluster.can("watch", &kinds::EVENT_TRIGGER, None).await.unwrap_or(false);
        let namespaces = if everywhere { Vec::new() } else { vec![namespace.clone()] };
        let leadership = Arc::new(Leadership::start(&cluster, &namespace, LEASE, &identity(), Timing::default()));
        live.engine().leadership = Some(leadership.clone());
        let mut leads = leadership.watch();
        loop {
            let leading = *leads.borrow_and_update();
            if let Some(app) = me.upgrade() {
                app.changes.tell(Topic::Triggers);
            }
            let round = live.stop.child_token();
            let work = async {
                if leading {
                    let launcher = Arc::new(Runs { app: me.clone(), live: live.clone() });
                    let sink = me.clone();
                    let sink = Arc::new(move |event| tell(&sink, event));
                    let clock = Arc::new(jiff::Timestamp::now);
                    Engine::run(cluster.clone(), namespaces.clone(), launcher, clock, sink, round.clone()).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = work => {}
                changed = leads.changed() => if changed.is_err() { break },
                () = live.stop.cancelled() => {}
            }
            round.cancel();
            if live.stop.is_cancelled() {
                break;
            }
        }
        live.engine().leadership = None;
        drop(leads);
        // Given up in good order, so that the next one need not wait until the Lease runs out.
        if let Some(leadership) = Arc::into_inner(leadership) {
            leadership.release().await;
        }
    }
}
