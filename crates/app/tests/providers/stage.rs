//! A Git server object on a real API server, and behind its address a provider's API that the app asks.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use pilothouse_app::{
    App, AppOptions, EventSink,
    contract::{
        Changed, ConnectTarget, CredentialInput, DeleteAtProvider, DeleteRepository, DeletedRepository, Notice,
        OperationProgress, RepositoryForm, RepositoryStrategy,
    },
    keychain::MemoryStore,
};
use pilothouse_cluster::{Cluster, Kind, kinds};
use pilothouse_delivery::{objects::GitServer, repository};
use pilothouse_rig::{
    Rig,
    provider_host::{Api as Provider, ProviderHost, Stored},
};
use serde_json::{Value, json};

/// The Git server's name.
pub const SERVER: &str = "git-server";
/// The Codebase's name.
pub const CODEBASE: &str = "krci-gitops";

/// How long anything may take before the story counts as stuck; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` finds what it looks for.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Everything the app told.
#[derive(Default)]
pub struct Told(Mutex<String>);

impl Told {
    fn keep(&self, event: &impl serde::Serialize) {
        self.0.lock().unwrap().push_str(&serde_json::to_string(event).unwrap());
    }
}

impl EventSink for Told {
    fn changed(&self, event: Changed) {
        self.keep(&event);
    }
    fn progress(&self, event: OperationProgress) {
        self.keep(&event);
    }
    fn notice(&self, event: Notice, _: bool) {
        self.keep(&event);
    }
}

/// What a second process needs to play on the same stage.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Place {
    pub kubeconfig: PathBuf,
    pub platform: String,
    pub data: PathBuf,
    pub authority: Option<PathBuf>,
    pub user: String,
    pub token: String,
}

impl Place {
    /// Opens the app here and connects it to the platform.
    pub async fn open(&self, told: Arc<Told>) -> Arc<App> {
        self.open_with(told, Arc::new(MemoryStore::default())).await
    }

    /// The same with these secrets.
    pub async fn open_with(&self, told: Arc<Told>, secrets: Arc<MemoryStore>) -> Arc<App> {
        let options = AppOptions {
            secrets,
            kubeconfig: Some(vec![self.kubeconfig.clone()]),
            known_hosts: Vec::new(),
            authority: self.authority.clone(),
            ..AppOptions::new(self.data.clone())
        };
        let app = App::open(options, told).await.unwrap();
        app.connect(ConnectTarget::Context { name: "rig".into() }, "connect".into()).await.unwrap();
        app.select_platform(self.platform.clone()).await.unwrap();
        until("the Git server", async || app.git_servers().await.unwrap().servers.pop()).await;
        until("the repository", async || app.repository_overview().await.unwrap().card).await;
        app
    }

    /// The token as the user gives it.
    pub fn credential(&self) -> CredentialInput {
        credential(&self.user, &self.token)
    }
}

pub fn credential(user: &str, token: &str) -> CredentialInput {
    CredentialInput::Token { username: Some(user.to_owned()), token: token.to_owned().into() }
}

/// Signs in at the server that is shown.
pub async fn sign_in(app: &App, credential: CredentialInput) -> pilothouse_app::Result<String> {
    let server = app.git_servers().await?.servers.remove(0);
    app.sign_in_git_server(server.name, format!("{}:{}", server.host, server.https_port), credential).await
}

/// The story's parts.
pub struct Stage {
    pub app: Arc<App>,
    pub host: ProviderHost,
    pub place: Place,
    pub cluster: Cluster,
    pub secrets: Arc<MemoryStore>,
    pub told: Arc<Told>,
    folder: tempfile::TempDir,
}

fn word(api: Provider) -> &'static str {
    match api {
        Provider::GitHub => "github",
        Provider::GitLab => "gitlab",
        Provider::Bitbucket => "bitbucket",
        Provider::Gerrit => "gerrit",
    }
}

/// The GitOps repository's path at a provider.
pub fn path(api: Provider) -> &'static str {
    match api {
        Provider::Gerrit => "krci-gitops",
        _ => "acme/krci-gitops",
    }
}

/// The beginning of the request that deletes a repository.
pub fn deletion(api: Provider) -> &'static str {
    match api {
        Provider::GitHub => "DELETE /api/v3/repos/",
        Provider::GitLab => "DELETE /api/v4/projects/",
        Provider::Bitbucket => "DELETE /2.0/repositories/",
        Provider::Gerrit => "POST /a/projects/",
    }
}

/// A host of that provider with an owner `acme` and its repositories, two entries to a page.
pub fn furnish(host: &ProviderHost) {
    let gerrit = host.api == Provider::Gerrit;
    for owner in ["acme", "beta", "gamma"] {
        host.add_owner(owner);
    }
    let within = |name: &str| if gerrit { name.to_owned() } else { format!("acme/{name}") };
    host.add(Stored::new(path(host.api)));
    host.add(Stored { default_branch: "trunk".into(), ..Stored::new(&within("other")) });
    host.add(Stored { archived: true, ..Stored::new(&within("past")) });
    host.add(Stored { private: false, ..Stored::new(&within("shown")) });
    host.add(Stored { writable: false, ..Stored::new(&within("theirs")) });
    host.page_size(2);
}

/// Makes the platform: a Git server at `address` and the Codebase of the GitOps repository on it.
pub async fn platform(api: Provider, address: (&str, u16)) -> (Cluster, String) {
    let rig = Rig::get();
    let namespace = rig.namespace("providers").await;
    let cluster = Cluster::from_client(rig.client().await, "rig", false);
    let server = json!({
        "apiVersion": "v2.edp.epam.com/v1", "kind": "GitServer", "metadata": {"name": SERVER},
        "spec": {"gitProvider": word(api), "gitHost": address.0, "gitUser": "git", "sshPort": 22,
            "httpsPort": address.1, "nameSshKeySecret": "git-key"},
    });
    let form = repository::Form {
        git_server: SERVER.into(),
        owner: "acme".into(),
        name: CODEBASE.into(),
        ..repository::Form::default()
    };
    let known = GitServer { provider: word(api).into(), ..GitServer::default() };
    let codebase = repository::render(&form, Some(&known));
    for (kind, object) in [(&kinds::GIT_SERVER, server), (&kinds::CODEBASE, codebase)] {
        let objects: Api<DynamicObject> = cluster.api(kind, &namespace);
        objects.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    (cluster, namespace)
}

impl Stage {
    /// The app, trusting the provider's authority.
    pub async fn new(api: Provider) -> Self {
        Self::with(api, &[]).await
    }

    /// The same, trusting also these.
    pub async fn with(api: Provider, more: &[&str]) -> Self {
        let host = ProviderHost::start(api).unwrap();
        furnish(&host);
        let (cluster, platform) = platform(api, ("127.0.0.1", host.port)).await;
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("authority.pem");
        std::fs::write(&authority, format!("{}{}", host.ca_pem, more.concat())).unwrap();
        let place = Place {
            kubeconfig: Rig::get().kubeconfig(),
            platform,
            data: folder.path().join("data"),
            authority: Some(authority),
            user: host.user.clone(),
            token: host.token.clone(),
        };
        let told = Arc::new(Told::default());
        let secrets = Arc::new(MemoryStore::default());
        let app = place.open_with(told.clone(), secrets.clone()).await;
        Self { app, host, place, cluster, secrets, told, folder }
    }

    /// The same app, signed in.
    pub async fn signed_in(api: Provider) -> Self {
        let stage = Self::new(api).await;
        sign_in(&stage.app, stage.place.credential()).await.unwrap();
        stage
    }

    /// Changes an object behind the app's back.
    pub async fn patch(&self, kind: &Kind, name: &str, change: Value) {
        let objects: Api<DynamicObject> = self.cluster.api(kind, &self.place.platform);
        objects.patch(name, &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    }

    /// Whether the Codebase is there.
    pub async fn has_codebase(&self) -> bool {
        self.cluster.api(&kinds::CODEBASE, &self.place.platform).get_opt(CODEBASE).await.unwrap().is_some()
    }

    /// Deletes the repository as its plan shows it, at the provider too when its name is given.
    pub async fn delete(&self, typed: Option<&str>, operation: &str) -> pilothouse_app::Result<DeletedRepository> {
        let plan = self.app.plan_repository_deletion().await.unwrap();
        let provider = typed.map(|typed| DeleteAtProvider {
            typed: typed.into(),
            host: plan.provider.host.clone(),
            credential: None,
        });
        let request = DeleteRepository { name: plan.name, uid: plan.uid, provider, confirm: None };
        self.app.delete_repository(request, operation.into()).await
    }

    /// How often a deletion was ordered at the provider.
    pub fn deletions(&self) -> usize {
        self.host.count(deletion(self.host.api))
    }

    /// The token is in no file of the app, in no event and not in what is given.
    pub async fn token_is_nowhere(&self, shown: &str) {
        let journal = format!("{:?}", self.app.activity(None, 100).await.unwrap());
        let told = self.told.0.lock().unwrap().clone();
        assert!(told.len() > 10 && self.place.token.len() > 10);
        for text in [shown, &journal, &told] {
            assert!(!text.contains(&self.place.token), "{text}");
        }
        let files = look_for(self.folder.path(), self.place.token.as_bytes());
        assert!(files > 0, "the app keeps files");
    }
}

/// Looks for a text in all files of a folder; answers how many there are.
fn look_for(folder: &Path, secret: &[u8]) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += look_for(&path, secret);
            continue;
        }
        // The database's own helper files come and go.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        files += 1;
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "the token is in {}", path.display());
    }
    files
}

/// The wizard's form for a repository of `acme`.
pub fn form(strategy: RepositoryStrategy, repository: &str) -> RepositoryForm {
    RepositoryForm {
        strategy,
        git_server: SERVER.into(),
        owner: "acme".into(),
        repository: repository.into(),
        ci_tool: "tekton".into(),
        default_branch: "main".into(),
        private: true,
    }
}
