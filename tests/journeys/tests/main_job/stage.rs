//! Where the main job is played: the practice cluster, or a real API server and a real Git server.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use pilothouse_app::contract::{
    Changed, ConnectTarget, CredentialInput, Notice, OperationProgress, RepositoryForm, RepositoryStrategy, Session,
    Transport,
};
use pilothouse_app::keychain::MemoryStore;
use pilothouse_app::{App, AppOptions, EventSink};
use pilothouse_practice::controllers::{Actor, ActorConfig, Actors, ActorsHandle};
use pilothouse_practice::git_remote::{GitAccess, GitRemote};
use pilothouse_practice::seed;
use pilothouse_rig::Rig;
use pilothouse_rig::git_host::GitHost;
use secrecy::SecretString;
use serde_json::{Value, json};

/// How long anything may take before the story counts as stuck; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `look` finds what it looks for.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Gives a namespace the roles of the platform's chart, on the real API server.
pub async fn grant_platform_roles(namespace: &str) {
    let client = Rig::get().client().await;
    for document in include_str!("../repository_care/platform_roles.yaml").split("\n---\n") {
        let mut object: Value = serde_yaml::from_str(document).unwrap();
        if let Some(group) = object.pointer_mut("/subjects/0/name") {
            *group = json!(group.as_str().unwrap().replace("NAMESPACE", namespace));
        }
        let kind = object["kind"].as_str().unwrap().to_owned();
        let at = match kind.as_str() {
            "ClusterRole" => "/apis/rbac.authorization.k8s.io/v1/clusterroles".to_owned(),
            _ => format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{}s", kind.to_lowercase()),
        };
        let request = http::Request::post(at)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(object.to_string().into_bytes())
            .unwrap();
        match client.request_text(request).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// The trigger engines of two apps on one API server would serve each other's triggers.
pub async fn one_at_a_time() -> tokio::sync::MutexGuard<'static, ()> {
    static ONE: OnceLock<tokio::sync::Mutex<()>> = OnceLock::new();
    ONE.get_or_init(tokio::sync::Mutex::default).lock().await
}

/// Everything the app told.
#[derive(Default)]
pub struct Told {
    notices: Mutex<Vec<Notice>>,
    all: Mutex<String>,
}

impl Told {
    fn keep(&self, event: String) {
        let mut all = self.all.lock().unwrap();
        all.push_str(&event);
        all.push('\n');
    }
}

impl EventSink for Told {
    fn changed(&self, event: Changed) {
        self.keep(serde_json::to_string(&event).unwrap());
    }
    fn progress(&self, event: OperationProgress) {
        self.keep(serde_json::to_string(&event).unwrap());
    }
    fn notice(&self, event: Notice, _: bool) {
        self.keep(serde_json::to_string(&event).unwrap());
        self.notices.lock().unwrap().push(event);
    }
}

struct Real {
    host: GitHost,
    _actors: ActorsHandle,
}

/// The stage of one story.
pub struct Stage {
    pub app: Arc<App>,
    pub platform: String,
    pub chaos: String,
    pub git_server: String,
    pub transport: Transport,
    /// The chaos project's id, which is one of its kind in a cluster.
    pub project: String,
    told: Arc<Told>,
    /// The Git server's repositories.
    pub remote: GitRemote,
    real: Option<Real>,
    data: tempfile::TempDir,
}

fn options(data: &Path) -> AppOptions {
    AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(Vec::new()),
        known_hosts: Vec::new(),
        authority: None,
        helm: pilothouse_rig::helm::program().ok(),
        ..AppOptions::new(data.to_owned())
    }
}

impl Stage {
    pub async fn practice() -> Self {
        let data = tempfile::tempdir().unwrap();
        let told = Arc::new(Told::default());
        let app = App::open(options(data.path()), told.clone()).await.unwrap();
        let remote = GitRemote::create(&data.path().join("practice/repositories")).unwrap();
        Self {
            app,
            platform: seed::PLATFORM.into(),
            chaos: "litmus".into(),
            git_server: seed::GIT_SERVER.into(),
            transport: Transport::Ssh,
            project: "storefront-chaos".into(),
            told,
            remote,
            real: None,
            data,
        }
    }

    pub async fn real(transport: Transport) -> Self {
        Self::real_on(Rig::get(), transport).await
    }

    /// On a cluster of one's own.
    pub async fn real_on(rig: &Rig, transport: Transport) -> Self {
        let client = rig.client().await;
        let platform = rig.namespace("job").await;
        let chaos = rig.namespace("chaos").await;
        let host = match transport {
            Transport::Ssh => GitHost::ssh().unwrap(),
            Transport::Https => GitHost::https().unwrap(),
        };
        let remote = Arc::new(GitRemote::create(&host.repositories()).unwrap());
        seed::plant_in(client.clone(), &remote, &platform).await.unwrap();
        point_git_server_at(&client, &platform, &host, transport).await;
        let git: Arc<dyn GitAccess> = remote;
        let mut config = ActorConfig::new(&platform, Some(git)).paced(Duration::from_millis(20));
        config.chaos_namespace = chaos.clone();
        let actors = Actors::start(client, config, Actor::PLATFORM);

        let data = tempfile::tempdir().unwrap();
        let told = Arc::new(Told::default());
        let mut options = options(data.path());
        options.kubeconfig = Some(vec![rig.kubeconfig()]);
        if transport == Transport::Https {
            let authority = host.repositories().join("authority.pem");
            std::fs::write(&authority, &host.ca_pem).unwrap();
            options.authority = Some(authority);
        }
        let app = App::open(options, told.clone()).await.unwrap();
        Self {
            app,
            project: format!("storefront-{platform}"),
            platform,
            chaos,
            git_server: seed::GIT_SERVER.into(),
            transport,
            told,
            remote: GitRemote::create(&host.repositories()).unwrap(),
            real: Some(Real { host, _actors: actors }),
            data,
        }
    }

    /// The GitOps repository that most stories begin with.
    pub fn repository_form(&self) -> RepositoryForm {
        RepositoryForm {
            strategy: RepositoryStrategy::Create,
            git_server: self.git_server.clone(),
            owner: "acme".into(),
            repository: "krci-gitops".into(),
            ci_tool: "tekton".into(),
            default_branch: "main".into(),
            private: true,
        }
    }

    /// The file with the authority of the Git server's certificate.
    pub fn authority(&self) -> PathBuf {
        self.real.as_ref().unwrap().host.repositories().join("authority.pem")
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    pub fn is_practice(&self) -> bool {
        self.real.is_none()
    }

    pub async fn connect(&self) -> Session {
        if self.is_practice() {
            return self.app.connect(ConnectTarget::Practice, "connect".into()).await.unwrap();
        }
        let target = ConnectTarget::Context { name: "rig".into() };
        self.app.connect(target, "connect".into()).await.unwrap();
        self.app.install_pilothouse_crds().await.unwrap();
        self.app.select_platform(self.platform.clone()).await.unwrap()
    }

    pub fn credential(&self) -> Option<CredentialInput> {
        let real = self.real.as_ref()?;
        let secret = |text: &str| SecretString::from(text.to_owned());
        Some(match self.transport {
            Transport::Ssh => {
                CredentialInput::KeyText { text: secret(&real.host.client_private_key), passphrase: None }
            }
            Transport::Https => {
                CredentialInput::Token { username: Some(real.host.username.clone()), token: secret(&real.host.token) }
            }
        })
    }

    /// What was given as a secret, or a part of it that is like no other.
    pub fn secret(&self) -> Option<String> {
        let real = self.real.as_ref()?;
        Some(match self.transport {
            Transport::Https => real.host.token.clone(),
            Transport::Ssh => real.host.client_private_key.lines().nth(1)?.to_owned(),
        })
    }

    /// Another person's app, with a kubeconfig and a data folder of their own.
    pub async fn opened_with(&self, kubeconfig: &Path, data: &Path) -> Arc<App> {
        let mut options = options(data);
        options.kubeconfig = Some(vec![kubeconfig.to_owned()]);
        App::open(options, Arc::new(Told::default())).await.unwrap()
    }

    pub fn wrong_credential(&self) -> Option<CredentialInput> {
        let real = self.real.as_ref().filter(|_| self.transport == Transport::Https)?;
        let token = SecretString::from("a-wrong-token".to_owned());
        Some(CredentialInput::Token { username: Some(real.host.username.clone()), token })
    }

    pub fn asks_for_host_key(&self) -> bool {
        self.real.is_some() && self.transport == Transport::Ssh
    }

    /// The same stage, seen by a colleague who connects with another kubeconfig, whose namespace is the platform.
    pub async fn seen_by(&self, kubeconfig: &Path, data: &Path) -> Arc<App> {
        let text = std::fs::read_to_string(kubeconfig).unwrap();
        let mut config: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        config["contexts"][0]["context"]["namespace"] = json!(self.platform);
        let name = config["contexts"][0]["name"].as_str().unwrap().to_owned();
        let own = data.join("kubeconfig");
        std::fs::write(&own, config.to_string()).unwrap();
        let mut options = options(&data.join("app"));
        options.kubeconfig = Some(vec![own]);
        if let Some(real) = self.real.as_ref().filter(|_| self.transport == Transport::Https) {
            options.authority = Some(real.host.repositories().join("authority.pem"));
        }
        let app = App::open(options, Arc::new(Told::default())).await.unwrap();
        // The API server takes a moment to grant what was just bound.
        until("the platform", async || {
            app.connect(ConnectTarget::Context { name: name.clone() }, "connect".into()).await.unwrap();
            app.select_platform(self.platform.clone()).await.ok()
        })
        .await;
        app
    }

    /// A colleague pushes to the GitOps repository.
    pub fn colleague(&self, files: &[(&str, &str)], message: &str) {
        self.remote.commit_files("acme/krci-gitops", "main", files, message).unwrap();
    }

    /// What the GitOps repository's server holds.
    pub fn read(&self, path: &str) -> Option<String> {
        self.remote.read("acme/krci-gitops", "main", path).unwrap()
    }

    /// Waits for a notice.
    pub async fn noticed(&self, what: &str, is: impl Fn(&Notice) -> bool) {
        until(what, async || self.told.notices.lock().unwrap().iter().any(&is).then_some(())).await;
    }

    /// What was given as a secret is in no file of the app and in no event.
    pub fn no_secret_is_anywhere(&self) {
        let Some(real) = &self.real else { return };
        let secrets: Vec<&str> = match self.transport {
            Transport::Https => vec![&real.host.token],
            // The key's body; its first and last lines are on every key.
            Transport::Ssh => real.host.client_private_key.lines().filter(|l| !l.starts_with("---")).take(2).collect(),
        };
        assert!(secrets.iter().all(|secret| secret.len() > 10));
        let events = self.told.all.lock().unwrap().clone();
        let mut folders: Vec<PathBuf> = vec![self.data.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let bytes = std::fs::read(&path).unwrap();
                for secret in &secrets {
                    let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                    assert!(!found, "a secret is in {}", path.display());
                    assert!(!events.contains(secret), "a secret is in an event");
                }
            }
        }
    }
}

/// Makes the seeded Git server the one that really runs here.
async fn point_git_server_at(client: &kube::Client, platform: &str, host: &GitHost, transport: Transport) {
    let kind = GroupVersionKind::gvk("v2.edp.epam.com", "v1", "GitServer");
    let resource = ApiResource::from_gvk_with_plural(&kind, "gitservers");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), platform, &resource);
    let (ssh, https) = if transport == Transport::Ssh { (host.port(), 443) } else { (22, host.port()) };
    let spec = json!({ "gitHost": "127.0.0.1", "gitUser": host.username, "sshPort": ssh, "httpsPort": https });
    let patch = Patch::Merge(json!({ "spec": spec }));
    api.patch(seed::GIT_SERVER, &PatchParams::default(), &patch).await.unwrap();
}
