//! The app behind the commands.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, Weak, atomic::AtomicBool},
    time::Duration,
};

use pilothouse_practice::{Installed, PracticeCluster};
use tokio_util::task::TaskTracker;

use crate::{
    EventSink, Result,
    authority::ChosenAuthority,
    changes::Changes,
    charts::ChartShelf,
    contract::{AppError, ErrorCode},
    journal::Journal,
    keeping::Keeping,
    keychain::{Keychain, SecretStore, SystemStore},
    operations::Operations,
    outbox::Outbox,
    picked_files::PickedFiles,
    releases::SeenReleases,
    remotes::ShownKeys,
    seen_charts::SeenCharts,
    session::Live,
    signing::OpenedKey,
    storage::Storage,
};

/// How long closing may take.
const CLOSING: Duration = Duration::from_secs(2);

/// How to open the app.
#[derive(Clone)]
pub struct AppOptions {
    /// Where clones, timeline and preferences are kept.
    pub data_dir: PathBuf,
    /// Where secrets are kept, when it works.
    pub secrets: Arc<dyn SecretStore>,
    /// Kubeconfig files to read; none takes `KUBECONFIG` or the user's own file, as kubectl does.
    pub kubeconfig: Option<Vec<PathBuf>>,
    /// SSH host keys known to the user besides those accepted in the app.
    pub known_hosts: Vec<PathBuf>,
    /// A file of certificates in PEM trusted for Git servers besides the system's; goes before the one in the settings.
    pub authority: Option<PathBuf>,
    /// The `helm` to render manifests with; none takes the one on the login shell's PATH.
    pub helm: Option<PathBuf>,
    /// What of a cluster is looked at.
    pub scope: Scope,
    /// Who this app is among those that stand for a Lease; none makes a name of the user's.
    pub identity: Option<String>,
}

/// What of a cluster the app looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// Whatever its pages show and the user may see.
    #[default]
    Everything,
    /// Chaos projects, their workflows, triggers and runs in these namespaces alone: the agent's part.
    Chaos {
        /// The namespaces.
        namespaces: Vec<String>,
        /// Those of them whose triggers are served. Who may not look at what triggers watch would only hold the Lease.
        triggers: Vec<String>,
    },
}

impl Scope {
    /// Whether the triggers of a namespace are served.
    pub(crate) fn serves(&self, namespace: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Chaos { triggers, .. } => triggers.iter().any(|one| one == namespace),
        }
    }
}

impl AppOptions {
    /// The usual options over a data folder: the system's keychain, and what kubectl, ssh and git read.
    pub fn new(data_dir: PathBuf) -> Self {
        let known_hosts = pilothouse_git::KnownHosts::usual_files(std::env::home_dir().as_deref());
        let authority = std::env::var_os("GIT_SSL_CAINFO").filter(|v| !v.is_empty()).map(PathBuf::from);
        let helm = std::env::var_os("PILOTHOUSE_HELM").filter(|v| !v.is_empty()).map(PathBuf::from);
        Self {
            data_dir,
            secrets: Arc::new(SystemStore),
            kubeconfig: None,
            known_hosts,
            authority,
            helm,
            scope: Scope::Everything,
            identity: None,
        }
    }
}

/// The app: one method for each use case.
pub struct App {
    pub(crate) options: AppOptions,
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) storage: Storage,
    pub(crate) journal: Journal,
    pub(crate) outbox: Outbox,
    pub(crate) keychain: Keychain,
    /// Whether it was said that the keychain does not work.
    pub(crate) keychain_said: AtomicBool,
    pub(crate) operations: Operations,
    pub(crate) changes: Changes,
    pub(crate) shown_keys: Arc<ShownKeys>,
    pub(crate) picked: PickedFiles,
    pub(crate) keeping: Keeping,
    pub(crate) signing: OpenedKey,
    pub(crate) authority: ChosenAuthority,
    pub(crate) session: RwLock<Option<Arc<Live>>>,
    /// The practice clusters that run.
    pub(crate) practice: tokio::sync::Mutex<BTreeMap<Installed, Arc<PracticeCluster>>>,
    pub(crate) cloning: Mutex<BTreeSet<String>>,
    pub(crate) charts: SeenCharts,
    pub(crate) shelf: ChartShelf,
    pub(crate) releases: tokio::sync::Mutex<SeenReleases>,
    /// What syncs of chaos projects remember.
    pub(crate) chaos_memory: Arc<pilothouse_chaos::Memory>,
    /// What runs in the background and has something to put in order when it ends.
    pub(crate) tasks: TaskTracker,
    pub(crate) me: Weak<App>,
}

impl App {
    /// Opens the app over its data folder.
    ///
    /// # Errors
    /// `app.storage` when the folder or the database in it cannot be used.
    pub async fn open(options: AppOptions, events: Arc<dyn EventSink>) -> Result<Arc<App>> {
        let dir = options.data_dir.clone();
        let storage = crate::blocking(move || {
            make_private(&dir)?;
            crate::rendering::sweep_rooms(&dir);
            Storage::open(&dir.join("pilothouse.sqlite3"))
        })
        .await?;
        let changes = Changes::start(events.clone());
        let journal = Journal::open(storage.clone(), changes.clone()).await?;
        let outbox = Outbox::new(storage.clone(), options.data_dir.clone());
        let authority = ChosenAuthority::load(&storage).await?;
        let keychain = Keychain::new(options.secrets.clone());
        let operations = Operations::new(events.clone());
        let app = Arc::new_cyclic(|me: &Weak<App>| App {
            options,
            events,
            storage,
            journal,
            outbox,
            keychain,
            keychain_said: AtomicBool::new(false),
            operations,
            changes,
            shown_keys: Arc::default(),
            picked: PickedFiles::default(),
            keeping: Keeping::default(),
            signing: OpenedKey::default(),
            authority,
            session: RwLock::default(),
            practice: tokio::sync::Mutex::default(),
            cloning: Mutex::default(),
            charts: SeenCharts::default(),
            shelf: ChartShelf::default(),
            releases: tokio::sync::Mutex::default(),
            chaos_memory: Arc::default(),
            tasks: TaskTracker::new(),
            me: me.clone(),
        });
        tokio::spawn(App::watch_kubeconfig(app.me.clone()));
        app.keychain.begin();
        tokio::spawn(App::keep_pushing(app.me.clone()));
        Ok(app)
    }

    /// The app itself, for work that outlives a call.
    pub(crate) fn arc(&self) -> Result<Arc<App>> {
        self.me.upgrade().ok_or_else(|| AppError::internal("the app is closing"))
    }

    /// Ends the connection and waits a moment for what belongs to it, so that colleagues need not wait for a Lease.
    pub async fn close(&self) {
        // First, so that what waits to be pushed is not begun any more.
        self.tasks.close();
        self.operations.cancel_all();
        self.set_live(None);
        self.keep_practice().await;
        // A cluster that does not answer must not keep the window from closing.
        let _ = tokio::time::timeout(CLOSING, self.tasks.wait()).await;
    }

    /// Remembers a file that the user picked in the system's dialog. Only such files are read for a page.
    pub fn remember_picked(&self, path: impl Into<PathBuf>) {
        self.picked.remember(path.into());
    }

    /// The timeline.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // The sender of what waits notices that there is no app any more.
        self.outbox.wake.notify_one();
        if let Some(live) = self.session.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            live.stop.cancel();
        }
    }
}

/// Makes a folder that only the user may read.
fn make_private(dir: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|e| {
        AppError::new(ErrorCode::Storage, format!("the data folder {} cannot be made: {e}", dir.display()))
            .with_hint("check its parent's permissions, or set PILOTHOUSE_DATA to another folder")
    })
}
