//! A chaos project between a real API server and a real Git server, without a platform.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pilothouse_app::contract::{ChaosProjectForm, ConnectTarget, CredentialInput};
use pilothouse_app::keychain::MemoryStore;
use pilothouse_app::{App, AppOptions, Silent};
use pilothouse_chaos::workflow_object::{self, WorkflowObject};
use pilothouse_cluster::Cluster;
use pilothouse_rig::Rig;
use pilothouse_rig::git_host::{GitHost, RepoHandle};
use secrecy::SecretString;

pub struct Sides {
    pub namespace: String,
    pub project: String,
    pub cluster: Cluster,
    pub host: GitHost,
    pub repo: RepoHandle,
    pub data: tempfile::TempDir,
}

/// What somebody needs to open an app on the project.
#[derive(Clone)]
pub struct Door {
    pub kubeconfig: PathBuf,
    pub authority: PathBuf,
    pub namespace: String,
    pub project: String,
    pub url: String,
    pub username: String,
    pub token: String,
}

impl Door {
    /// The same to another repository.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    pub fn form(&self) -> ChaosProjectForm {
        ChaosProjectForm {
            id: self.project.clone(),
            namespace: self.namespace.clone(),
            use_gitops_repository: false,
            url: self.url.clone(),
            branch: "main".into(),
            credential: Some(CredentialInput::Token {
                username: Some(self.username.clone()),
                token: SecretString::from(self.token.clone()),
            }),
        }
    }

    pub async fn open(&self, data: &Path, name: &str) -> Arc<App> {
        let options = AppOptions {
            secrets: Arc::new(MemoryStore::default()),
            kubeconfig: Some(vec![self.kubeconfig.clone()]),
            known_hosts: Vec::new(),
            authority: Some(self.authority.clone()),
            ..AppOptions::new(data.to_owned())
        };
        let app = App::open(options, Arc::new(Silent)).await.unwrap();
        app.set_identity(name.to_owned(), email(name)).await.unwrap();
        app.connect(ConnectTarget::Context { name: "rig".into() }, "connect".into()).await.unwrap();
        app
    }
}

pub fn email(name: &str) -> String {
    format!("{}@example.org", name.to_lowercase())
}

impl Sides {
    pub async fn new() -> Self {
        let rig = Rig::get();
        let namespace = rig.namespace("chaos").await;
        let cluster = Cluster::from_client(rig.client().await, "rig", false);
        pilothouse_cluster::crds::install(&cluster).await.unwrap();
        let host = GitHost::https().unwrap();
        let repo = host.create_repo("acme/chaos").unwrap();
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("authority.pem"), &host.ca_pem).unwrap();
        Self { project: format!("storm-{namespace}"), namespace, cluster, host, repo, data }
    }

    pub fn door(&self) -> Door {
        Door {
            kubeconfig: Rig::get().kubeconfig(),
            authority: self.data.path().join("authority.pem"),
            namespace: self.namespace.clone(),
            project: self.project.clone(),
            url: self.repo.url.clone(),
            username: self.host.username.clone(),
            token: self.host.token.clone(),
        }
    }

    pub fn path(&self, workflow: &str) -> String {
        format!("litmus/{}/{workflow}.yaml", self.project)
    }

    /// The project's files at the tip, by their stems.
    pub fn files(&self) -> BTreeMap<String, String> {
        let folder = format!("litmus/{}/", self.project);
        let listed = self.repo.git(&["ls-tree", "--name-only", "main", &folder]).unwrap();
        let stem = |path: &str| path.strip_prefix(&folder)?.strip_suffix(".yaml").map(str::to_owned);
        let named = listed.lines().filter_map(|path| Some((stem(path)?, self.repo.show("main", path)?)));
        named.collect()
    }

    pub async fn objects(&self) -> BTreeMap<String, WorkflowObject> {
        workflow_object::list(&self.cluster, &self.namespace, &self.project).await.unwrap()
    }

    /// The names of the runs that there are, with the workflow each belongs to.
    pub async fn runs(&self) -> BTreeMap<String, String> {
        let api = self.cluster.api(&pilothouse_cluster::kinds::WORKFLOW, &self.namespace);
        let all = api.list(&Default::default()).await.unwrap();
        let label = |labels: &Option<BTreeMap<String, String>>| {
            labels.as_ref().and_then(|all| all.get("pilothouse.dev/workflow").cloned()).unwrap_or_default()
        };
        all.items
            .into_iter()
            .filter_map(|one| Some((one.metadata.name.clone()?, label(&one.metadata.labels))))
            .collect()
    }
}

/// An acceptable workflow with room for marks.
pub fn workflow(name: &str) -> String {
    let head: String = (0..24).map(|n| format!("# line {n}\n")).collect();
    format!(
        "{head}apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: {name}\nspec:\n  entrypoint: main\n  \
         templates:\n    - name: main\n      container:\n        image: busybox\n"
    )
}
