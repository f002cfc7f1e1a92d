//! The connection: one cluster, what is in it, and the live picture of it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use kube::api::DynamicObject;
use pilothouse_cluster::{Cluster, ComponentId, Discovered, Kind, LiveIndex, OnChange, WatchSpec, kinds};
use pilothouse_git::{RemoteUrl, RepoPath};
use pilothouse_practice::{PracticeCluster, seed};
use pilothouse_triggers::surroundings::HALT_LABEL;
use tokio_util::sync::CancellationToken;

use crate::{
    App, Result,
    app::Scope,
    changes::Changes,
    contract::{AppError, ErrorCode, Session, Topic},
    trigger_engine::EngineState,
};

/// How long a page waits for the first lists after connecting.
const FIRST_LISTS: Duration = Duration::from_secs(10);

/// The namespace that Argo CD usually has, looked at where not all may be.
pub(crate) const ARGO_CD: &str = "argocd";

/// A connection. Everything started for it ends with it.
pub(crate) struct Live {
    pub(crate) cluster: Cluster,
    pub(crate) version: String,
    pub(crate) practice: Option<Arc<PracticeCluster>>,
    pub(crate) stop: CancellationToken,
    state: Mutex<State>,
    engine: Mutex<EngineState>,
}

#[derive(Clone)]
struct State {
    discovered: Discovered,
    platforms: Vec<String>,
    platform: Option<String>,
    can_install: bool,
    index: Arc<LiveIndex>,
    registered: Vec<String>,
}

/// The topic that a kind's changes belong to.
fn topic(kind: &Kind) -> Topic {
    use kinds::*;
    match *kind {
        CODEBASE | GIT_SERVER => Topic::Repository,
        CHAOS_PROJECT | CHAOS_WORKFLOW => Topic::Chaos,
        WORKFLOW | CRON_WORKFLOW | CHAOS_ENGINE | CHAOS_RESULT | CHAOS_SCHEDULE => Topic::Runs,
        EVENT_TRIGGER | CONFIG_MAP | DEPLOYMENT | STATEFUL_SET | DAEMON_SET | ROLLOUT => Topic::Triggers,
        _ => Topic::Environments,
    }
}

impl Live {
    /// Asks what the cluster holds and begins to watch it.
    pub(crate) async fn start(
        cluster: Cluster,
        practice: Option<Arc<PracticeCluster>>,
        preferred: Option<String>,
        scope: &Scope,
        changes: &Changes,
    ) -> Result<Live> {
        let (version, discovered) = tokio::try_join!(cluster.version(), cluster.discover())?;
        let all = *scope == Scope::Everything;
        let platforms = if all && discovered.has(ComponentId::Krci) { cluster.platforms().await? } else { Vec::new() };
        let can_install = all && cluster.can("create", &kinds::CRD, None).await.unwrap_or(false);
        let platform = preferred
            .filter(|p| platforms.contains(p))
            .or_else(|| platforms.iter().find(|p| *p == cluster.default_namespace()).cloned())
            .or_else(|| platforms.first().cloned());
        let specs = match scope {
            Scope::Everything => everything(&cluster, &discovered, platform.as_deref()).await,
            Scope::Chaos { namespaces, .. } => chaos_of(&discovered, namespaces),
        };
        let index = watch(&cluster, specs, changes).await;
        let state = State { discovered, platforms, platform, can_install, index, registered: Vec::new() };
        Ok(Live {
            cluster,
            version,
            practice,
            stop: CancellationToken::new(),
            state: Mutex::new(state),
            engine: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name under which settings and timeline know the connection.
    pub(crate) fn name(&self) -> &str {
        self.cluster.name()
    }

    /// What is in the cluster.
    pub(crate) fn discovered(&self) -> Discovered {
        self.lock().discovered.clone()
    }

    /// Whether a component is in the cluster.
    pub(crate) fn has(&self, id: ComponentId) -> bool {
        self.lock().discovered.has(id)
    }

    /// The platforms found.
    pub(crate) fn platforms(&self) -> Vec<String> {
        self.lock().platforms.clone()
    }

    /// The chosen platform.
    pub(crate) fn chosen_platform(&self) -> Option<String> {
        self.lock().platform.clone()
    }

    /// The addresses of the GitOps repository that was registered in the app.
    pub(crate) fn registered(&self) -> Vec<String> {
        self.lock().registered.clone()
    }

    /// Remembers where the registered GitOps repository is.
    pub(crate) fn set_registered(&self, addresses: Vec<String>) {
        self.lock().registered = addresses;
    }

    /// Whether Argo CD alone deploys here: there is no platform.
    pub(crate) fn argo_cd_alone(&self) -> bool {
        let state = self.lock();
        state.platform.is_none() && state.discovered.has(ComponentId::ArgoCd)
    }

    /// The live picture.
    pub(crate) fn index(&self) -> Arc<LiveIndex> {
        self.lock().index.clone()
    }

    /// The known objects of a kind.
    pub(crate) fn list(&self, kind: &Kind) -> Vec<Arc<DynamicObject>> {
        self.index().list(kind)
    }

    /// What is known about the trigger engine; not held across an await.
    pub(crate) fn engine(&self) -> MutexGuard<'_, EngineState> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection as the window sees it.
    pub(crate) fn view(&self) -> Session {
        let state = self.lock().clone();
        Session {
            name: self.name().to_owned(),
            practice: self.cluster.is_practice(),
            production: self.cluster.is_production(),
            server: self.cluster.server().to_owned(),
            version: self.version.clone(),
            components: state.discovered.components.iter().map(crate::contexts::component).collect(),
            platforms: state.platforms,
            platform: state.platform,
            insecure: self.cluster.is_insecure(),
            can_install_crds: state.can_install,
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The kinds of chaos projects, triggers and runs.
const CHAOS: [Kind; 7] = [
    kinds::WORKFLOW,
    kinds::CRON_WORKFLOW,
    kinds::CHAOS_ENGINE,
    kinds::CHAOS_RESULT,
    kinds::CHAOS_PROJECT,
    kinds::CHAOS_WORKFLOW,
    kinds::EVENT_TRIGGER,
];

/// What chaos projects, triggers and runs are in these namespaces.
fn chaos_of(discovered: &Discovered, namespaces: &[String]) -> Vec<WatchSpec> {
    // A workflow on a schedule of Argo's own is nothing of ours.
    let served = CHAOS.into_iter().filter(|kind| *kind != kinds::CRON_WORKFLOW && discovered.serves(kind));
    served.flat_map(|kind| namespaces.iter().map(move |one| WatchSpec::in_namespace(kind, one))).collect()
}

/// What the pages show. Kinds that live in many namespaces are watched everywhere where the user may, else in the
/// namespaces that are known.
async fn everything(cluster: &Cluster, discovered: &Discovered, platform: Option<&str>) -> Vec<WatchSpec> {
    use kinds::*;
    let mut specs = Vec::new();
    let mut namespaces = BTreeSet::from([cluster.default_namespace().to_owned()]);
    if let Some(platform) = platform {
        namespaces.insert(platform.to_owned());
        let in_platform = [
            CODEBASE,
            GIT_SERVER,
            CODEBASE_IMAGE_STREAM,
            CD_PIPELINE,
            STAGE,
            APPLICATION,
            APPLICATION_SET,
            APP_PROJECT,
            PIPELINE_RUN,
            TRIGGER_TEMPLATE,
        ];
        let served = in_platform.into_iter().filter(|kind| discovered.serves(kind));
        specs.extend(served.map(|kind| WatchSpec::in_namespace(kind, platform)));
        if discovered.serves(&STAGE)
            && let Ok(stages) =
                cluster.in_time("the environments", cluster.api(&STAGE, platform).list(&Default::default())).await
        {
            let spaces = stages.items.iter().filter_map(|s| s.data.pointer("/spec/namespace")?.as_str());
            namespaces.extend(spaces.map(str::to_owned));
        }
    }
    let mut wide = vec![DEPLOYMENT, STATEFUL_SET];
    wide.extend([DAEMON_SET, ROLLOUT].into_iter().filter(|kind| discovered.serves(kind)));
    if platform.is_none() {
        let own: Vec<Kind> = [APPLICATION, APP_PROJECT].into_iter().filter(|kind| discovered.serves(kind)).collect();
        if !own.is_empty() {
            namespaces.insert(ARGO_CD.to_owned());
        }
        wide.extend(own);
    }
    wide.extend(CHAOS.into_iter().filter(|kind| discovered.serves(kind)));
    // Of ConfigMaps only those that halt triggers.
    wide.extend(discovered.serves(&EVENT_TRIGGER).then_some(CONFIG_MAP));
    let asked = join_all(wide.iter().map(|kind| cluster.can("list", kind, None))).await;
    for (kind, may) in wide.into_iter().zip(asked) {
        let labels = (kind == CONFIG_MAP).then(|| HALT_LABEL.to_owned());
        let own = |spec: WatchSpec| WatchSpec { labels: labels.clone(), ..spec };
        if may.unwrap_or(false) {
            specs.push(own(WatchSpec::everywhere(kind)));
        } else {
            specs.extend(namespaces.iter().map(|namespace| own(WatchSpec::in_namespace(kind, namespace))));
        }
    }
    specs
}

async fn watch(cluster: &Cluster, specs: Vec<WatchSpec>, changes: &Changes) -> Arc<LiveIndex> {
    use kinds::*;
    let changes = changes.clone();
    let on_change: OnChange = Arc::new(move |kind| {
        changes.tell(topic(kind));
        // A new codebase or stage also changes what the environments show, and a workload what runs there.
        if matches!(*kind, CODEBASE | DEPLOYMENT | STATEFUL_SET | WORKFLOW | CHAOS_RESULT) {
            changes.tell(Topic::Environments);
        }
        if matches!(*kind, CD_PIPELINE | APPLICATION_SET) {
            changes.tell(Topic::Repository);
        }
    });
    let index = Arc::new(LiveIndex::start(cluster, specs, on_change));
    // A slow or refused list must not keep the window waiting; it fills in later.
    let _ = tokio::time::timeout(FIRST_LISTS, index.settled()).await;
    index
}

/// The path part of an address, without a trailing `.git`.
fn path_of(url: &RemoteUrl) -> Option<&str> {
    let text = url.display();
    let path = match text.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => text.split_once(':')?.1,
    };
    Some(path.trim_matches('/'))
}

impl App {
    /// The connection.
    ///
    /// # Errors
    /// `app.notConnected`.
    pub(crate) fn live(&self) -> Result<Arc<Live>> {
        self.maybe_live().ok_or_else(|| {
            AppError::new(ErrorCode::NotConnected, "nothing is connected")
                .with_hint("choose a context or the practice cluster")
        })
    }

    /// The connection, if there is one.
    pub(crate) fn maybe_live(&self) -> Option<Arc<Live>> {
        self.session.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the connection; what belonged to the old one ends.
    pub(crate) fn set_live(&self, live: Option<Arc<Live>>) {
        let old = {
            let mut session = self.session.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *session, live)
        };
        if let Some(old) = old {
            old.stop.cancel();
        }
        self.changes.tell(Topic::Session);
        self.say_keychain();
        // Whoever connects is back on the network, most likely.
        self.outbox.wake.notify_one();
    }

    /// The connection's name, for the timeline.
    pub(crate) fn context_name(&self) -> Option<String> {
        self.maybe_live().map(|live| live.name().to_owned())
    }

    /// The connection and its platform.
    ///
    /// # Errors
    /// `app.notConnected`, `app.noPlatform`.
    pub(crate) fn platform(&self) -> Result<(Arc<Live>, String)> {
        let live = self.live()?;
        let platform = live.chosen_platform().ok_or_else(|| {
            AppError::new(ErrorCode::NoPlatform, format!("{} has no KubeRocketCI platform", live.name()))
                .with_hint("install KubeRocketCI, or register a repository without it")
        })?;
        Ok((live, platform))
    }

    /// The connection, and its platform where there is one; without one Argo CD alone deploys.
    ///
    /// # Errors
    /// `app.notConnected`, `app.noPlatform`.
    pub(crate) fn deliverer(&self) -> Result<(Arc<Live>, Option<String>)> {
        let live = self.live()?;
        if live.argo_cd_alone() {
            return Ok((live, None));
        }
        self.platform().map(|(live, platform)| (live, Some(platform)))
    }

    /// Where a repository of the practice cluster's Git server lies on this machine.
    pub(crate) fn practice_path(&self, url: &RemoteUrl) -> Option<std::path::PathBuf> {
        let live = self.maybe_live()?;
        let practice = live.practice.as_ref()?;
        if url.host() != Some(seed::GIT_HOST) {
            return None;
        }
        let path = RepoPath::parse(path_of(url)?).ok()?;
        Some(practice.repositories().path(path.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_found_in_every_form_of_address() {
        for text in [
            "https://git.practice.local/acme/cart.git",
            "ssh://git@git.practice.local:22/acme/cart",
            "git@git.practice.local:acme/cart.git",
        ] {
            assert_eq!(path_of(&RemoteUrl::parse(text).unwrap()), Some("acme/cart"), "{text}");
        }
    }
}
