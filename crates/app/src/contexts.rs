//! Contexts and the connection.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use pilothouse_cluster::{Cluster, Component, ComponentId, crds, kubeconfig};
use pilothouse_practice::Installed;

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, ComponentEntry, ComponentKind, ConnectTarget, ContextEntry, Contexts, ErrorCode,
        KubeconfigFile, Session, Topic,
    },
    journal::{Begin, End, Intent},
    practice::practice_name,
    session::Live,
};

/// The name under which the practice cluster stands among the contexts.
pub(crate) const PRACTICE: &str = "practice";
/// The same for the one where Argo CD works alone.
pub(crate) const PRACTICE_ARGO_CD: &str = "practice-argo-cd";

fn platform_setting(context: &str) -> String {
    format!("platform:{context}")
}

/// How often the kubeconfig files are looked at.
const KUBECONFIG_LOOK: Duration = Duration::from_secs(3);

/// What of a file changes when it is written.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// A component in words.
pub(crate) fn component(found: &Component) -> ComponentEntry {
    let (id, name, means) = match found.id {
        ComponentId::Krci => (
            ComponentKind::Krci,
            "KubeRocketCI",
            "A GitOps repository can be registered in the app all the same. Where Argo CD is there, flows and \
             environments follow from its Applications; chaos workflows and triggers work.",
        ),
        ComponentId::ArgoCd => (
            ComponentKind::ArgoCd,
            "Argo CD",
            "Health and sync of applications cannot be shown. Values are edited and committed as usual.",
        ),
        ComponentId::Tekton => (
            ComponentKind::Tekton,
            "Tekton",
            "Deployments cannot be started here. Values are edited and committed as usual.",
        ),
        ComponentId::Litmus => (
            ComponentKind::Litmus,
            "Litmus",
            "Faults cannot be injected, so runs end without a verdict. Chaos workflows are edited and synced as usual.",
        ),
        ComponentId::ArgoWorkflows => (
            ComponentKind::ArgoWorkflows,
            "Argo Workflows",
            "Workflows of several steps cannot run. A ChaosEngine by itself can.",
        ),
        ComponentId::Pilothouse => (
            ComponentKind::Pilothouse,
            "Pilothouse",
            "Chaos projects and triggers cannot be kept in the cluster. Values, deployments and the doctor work.",
        ),
    };
    let missing_means = match (&found.version, found.present) {
        (_, true) => String::new(),
        (Some(version), false) => format!("It is installed at {version}, which the app does not speak. {means}"),
        (None, false) => means.to_owned(),
    };
    ComponentEntry { id, name: name.to_owned(), present: found.present, version: found.version.clone(), missing_means }
}

impl App {
    fn kubeconfig_paths(&self) -> Vec<PathBuf> {
        self.options.kubeconfig.clone().unwrap_or_else(kubeconfig::default_paths)
    }

    /// The contexts of the kubeconfig files, and whether the practice cluster is on offer.
    pub async fn list_contexts(&self) -> Result<Contexts> {
        let paths = self.kubeconfig_paths();
        let found = crate::blocking(move || Ok(kubeconfig::load(&paths))).await?;
        let files =
            found.files.iter().map(|f| KubeconfigFile { path: f.path.display().to_string(), error: f.error.clone() });
        let contexts = found.contexts.iter().map(|c| ContextEntry {
            name: c.name.clone(),
            cluster: c.cluster.clone(),
            server: c.server.clone(),
            user: c.user.clone().unwrap_or_default(),
            namespace: c.namespace.clone(),
            current: c.current,
            insecure: c.insecure,
            exec: c.exec.clone(),
            production: c.production,
            problem: c.problem.clone(),
        });
        Ok(Contexts {
            files: files.collect(),
            contexts: contexts.collect(),
            practice: true,
            practice_kept: self.is_practice_kept(Installed::Platform).await,
            practice_argo_cd_kept: self.is_practice_kept(Installed::ArgoCdAlone).await,
        })
    }

    /// Tells the window when a kubeconfig file appears, changes or goes.
    pub(crate) async fn watch_kubeconfig(me: Weak<App>) {
        let mut before = None;
        loop {
            let Some(paths) = me.upgrade().map(|app| app.kubeconfig_paths()) else { return };
            let now = crate::blocking(move || Ok(paths.iter().map(|path| stamp(path)).collect::<Vec<_>>())).await.ok();
            if before.is_some()
                && before != now
                && let Some(app) = me.upgrade()
            {
                app.changes.tell(Topic::Contexts);
            }
            before = now;
            tokio::time::sleep(KUBECONFIG_LOOK).await;
        }
    }

    /// Connects to a context or starts the practice cluster.
    pub async fn connect(&self, target: ConnectTarget, operation: String) -> Result<Session> {
        let label = match &target {
            ConnectTarget::Context { name } => format!("Connecting to {name}"),
            ConnectTarget::Practice | ConnectTarget::PracticeArgoCd => "Starting the practice cluster".to_owned(),
        };
        let installed = match &target {
            ConnectTarget::PracticeArgoCd => Installed::ArgoCdAlone,
            _ => Installed::Platform,
        };
        let shown = label.clone();
        self.operations
            .run(operation, &label, |operation| async move {
                let (cluster, practice) = match &target {
                    ConnectTarget::Practice | ConnectTarget::PracticeArgoCd => {
                        let practice = self.practice_cluster(installed).await?;
                        let cluster = Cluster::from_client(practice.client(), practice_name(installed), true);
                        // The practice cluster is the user's own: what it lacks is put there without asking.
                        crds::install(&cluster).await?;
                        (cluster, Some(practice))
                    }
                    ConnectTarget::Context { name } => {
                        (Cluster::connect_in(&self.kubeconfig_paths(), name).await?, None)
                    }
                };
                operation.step("Looking what is installed", 1, Some(2));
                let preferred = self.storage.setting(&platform_setting(cluster.name())).await?;
                let live =
                    Arc::new(Live::start(cluster, practice, preferred, &self.options.scope, &self.changes).await?);
                self.recall_registered(&live).await?;
                operation.step(&shown, 2, Some(2));
                let view = live.view();
                self.set_live(Some(live.clone()));
                self.start_background(live);
                Ok(view)
            })
            .await
    }

    /// Connects to a context without beginning to look after anything in it: for a command that ends by itself.
    pub async fn look_at(&self, target: ConnectTarget) -> Result<Session> {
        let ConnectTarget::Context { name } = target else {
            return Err(AppError::blocked("a practice cluster lives in the app alone"));
        };
        let cluster = Cluster::connect_in(&self.kubeconfig_paths(), &name).await?;
        let live = Arc::new(Live::start(cluster, None, None, &self.options.scope, &self.changes).await?);
        let view = live.view();
        self.set_live(Some(live));
        Ok(view)
    }

    /// Whether the cluster serves other kinds of ours than when it was connected to.
    ///
    /// # Errors
    /// `app.notConnected`; when the API server does not answer.
    pub async fn kinds_changed(&self) -> Result<bool> {
        let live = self.live()?;
        Ok(live.cluster.discover().await? != live.discovered())
    }

    /// The connection, if there is one.
    pub async fn current_session(&self) -> Result<Option<Session>> {
        Ok(self.maybe_live().map(|live| live.view()))
    }

    /// Ends the connection.
    pub async fn disconnect(&self) -> Result<()> {
        self.operations.cancel_all();
        self.set_live(None);
        Ok(())
    }

    /// Chooses the platform to work in.
    pub async fn select_platform(&self, namespace: String) -> Result<Session> {
        let live = self.live()?;
        if !live.platforms().contains(&namespace) {
            return Err(AppError::not_found(format!("{} has no platform {namespace:?}", live.name())));
        }
        self.storage.set_setting(&platform_setting(live.name()), Some(namespace.clone())).await?;
        self.reconnect(&live, Some(namespace)).await
    }

    /// Looks again what the cluster holds, and starts what now can run.
    pub(crate) async fn reconnect(&self, live: &Arc<Live>, platform: Option<String>) -> Result<Session> {
        let fresh = Arc::new(
            Live::start(live.cluster.clone(), live.practice.clone(), platform, &self.options.scope, &self.changes)
                .await?,
        );
        self.recall_registered(&fresh).await?;
        let view = fresh.view();
        self.set_live(Some(fresh.clone()));
        self.start_background(fresh);
        Ok(view)
    }

    /// Installs the app's own kinds into the cluster.
    pub async fn install_pilothouse_crds(&self) -> Result<Session> {
        let live = self.live()?;
        let begin = Begin {
            kind: ActivityKind::Cluster,
            words: format!("Install Pilothouse's kinds in {}", live.name()),
            context: Some(live.name().to_owned()),
            object: None,
            intent: Intent::Other,
        };
        let id = self.journal.begin(begin).await?;
        let outcome = crds::install(&live.cluster).await.map_err(AppError::from);
        self.journal.close_with(id, outcome, |_| End::default()).await?;
        self.reconnect(&live, live.chosen_platform()).await
    }

    /// Fails when a component is missing.
    pub(crate) fn need(&self, live: &Live, id: ComponentId) -> Result<()> {
        if live.has(id) {
            return Ok(());
        }
        let discovered = live.discovered();
        let entry = discovered.components.iter().find(|c| c.id == id).map(component);
        let (name, means) = entry.map_or_else(Default::default, |e| (e.name, e.missing_means));
        Err(AppError::new(ErrorCode::ComponentMissing, format!("{name} is not installed in {}", live.name()))
            .with_hint(means))
    }
}
