//! The practice cluster with a repository on a real HTTPS server behind a wire that can be pulled.

use std::{path::Path, sync::Arc};

use pilothouse_app::{
    App, AppOptions, Silent,
    contract::{CommitOutcome, CommitValues, ConnectTarget, CredentialInput, Transport, ValuesFile},
    keychain::{MemoryStore, SecretStore},
};
use pilothouse_rig::{
    git_host::{GitHost, RepoHandle},
    wire::Wire,
};
use secrecy::SecretString;

/// What a second process needs to open the same app.
pub struct Place {
    pub data: std::path::PathBuf,
    pub authority: std::path::PathBuf,
    pub url: String,
    pub username: String,
    pub token: String,
}

/// The story's parts.
pub struct Stage {
    pub app: Arc<App>,
    pub host: GitHost,
    pub repo: RepoHandle,
    pub wire: Wire,
    pub place: Place,
    secrets: Arc<dyn SecretStore>,
    _data: tempfile::TempDir,
}

pub async fn open(data: &Path, authority: &Path, secrets: Arc<dyn SecretStore>) -> Arc<App> {
    let options = AppOptions {
        secrets,
        kubeconfig: Some(Vec::new()),
        known_hosts: Vec::new(),
        authority: Some(authority.to_owned()),
        ..AppOptions::new(data.to_owned())
    };
    App::open(options, Arc::new(Silent)).await.unwrap()
}

impl Place {
    /// The token the server takes.
    pub fn credential(&self) -> CredentialInput {
        CredentialInput::Token { username: Some(self.username.clone()), token: SecretString::from(self.token.clone()) }
    }
}

impl Stage {
    pub async fn new() -> Self {
        let stage = Self::on(|host| host.create_repo("acme/gitops").unwrap()).await;
        stage.app.clone_repository("clone".into()).await.unwrap();
        stage
    }

    /// As [`Stage::new`], with a repository of the caller's making that is not cloned yet.
    pub async fn on(make: impl FnOnce(&GitHost) -> RepoHandle) -> Self {
        let data = tempfile::tempdir().unwrap();
        let host = GitHost::https().unwrap();
        let repo = make(&host);
        let wire = Wire::before(host.port()).unwrap();
        let authority = data.path().join("authority.pem");
        std::fs::write(&authority, &host.ca_pem).unwrap();
        let place = Place {
            data: data.path().join("data"),
            authority,
            url: wire.url(&repo.url),
            username: host.username.clone(),
            token: host.token.clone(),
        };
        let secrets: Arc<dyn SecretStore> = Arc::new(MemoryStore::default());
        let app = open(&place.data, &place.authority, secrets.clone()).await;
        app.set_identity("Ada Example".into(), "ada@example.org".into()).await.unwrap();
        app.connect(ConnectTarget::Practice, "connect".into()).await.unwrap();
        app.register_repository(place.url.clone()).await.unwrap();
        app.save_repository_credential(Transport::Https, place.credential()).await.unwrap();
        Self { app, host, repo, wire, place, secrets, _data: data }
    }

    /// Ends the app and waits until nothing of it is under way; what it knows is on the disk.
    pub async fn end(&mut self) {
        let elsewhere = open(&self._data.path().join("elsewhere"), &self.place.authority, self.secrets.clone()).await;
        let old = std::mem::replace(&mut self.app, elsewhere);
        old.close().await;
        let gone = Arc::downgrade(&old);
        drop(old);
        while gone.strong_count() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Starts it again over the same folder.
    pub async fn start_again(&mut self) {
        self.app = open(&self.place.data, &self.place.authority, self.secrets.clone()).await;
        self.app.connect(ConnectTarget::Practice, "again".into()).await.unwrap();
    }

    /// A second app over the same folder, as another process would be.
    pub async fn second(&self) -> Arc<App> {
        let app = open(&self.place.data, &self.place.authority, self.secrets.clone()).await;
        app.connect(ConnectTarget::Practice, "second".into()).await.unwrap();
        app
    }

    /// The subjects of the commits on `main`, oldest first, without the repository's first.
    pub fn subjects(&self) -> Vec<String> {
        let log = self.repo.git(&["log", "--reverse", "--format=%s", "main"]).unwrap();
        log.lines().skip(1).map(str::to_owned).collect()
    }

    /// Changes the app's database behind its back.
    pub fn sql(&self, statement: &str) {
        let database = rusqlite::Connection::open(self.place.data.join("pilothouse.sqlite3")).unwrap();
        database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        database.execute_batch(statement).unwrap();
    }

    /// A commit made while all is well; answers the content's id.
    pub async fn commit(&self, app: &str, text: &str, base: Option<String>, message: &str) -> Option<String> {
        let outcome = self.app.commit_values(change(app, text, base, message), "commit".into()).await.unwrap();
        match outcome {
            CommitOutcome::Published { blob, .. } => blob,
            other => panic!("{other:?}"),
        }
    }
}

pub fn file(app: &str) -> ValuesFile {
    ValuesFile { flow: "storefront".into(), env: "dev".into(), app: app.into() }
}

pub fn path(app: &str) -> String {
    format!("storefront/dev/{app}-values.yaml")
}

pub fn change(app: &str, text: &str, base_blob: Option<String>, message: &str) -> CommitValues {
    CommitValues {
        flow: "storefront".into(),
        env: "dev".into(),
        app: app.into(),
        text: text.into(),
        base_blob,
        message: message.into(),
    }
}
