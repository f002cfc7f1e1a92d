//! A place in the cluster, and Git in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use kube::api::{Patch, PatchParams};
use pilothouse_chaos::git_side::{GitChange, LastChange, Publication, Snapshot};
use pilothouse_chaos::instantiate::RunLabels;
use pilothouse_chaos::names::digest;
use pilothouse_chaos::plan::{Content, GitFile};
use pilothouse_chaos::sync::{SyncReport, sync_once};
use pilothouse_chaos::workflow_object::{self, RunPolicy, WorkflowObject};
use pilothouse_chaos::{Error, GitSide, WorkflowDocument, project};
use pilothouse_cluster::{Cluster, kinds};
use pilothouse_rig::Rig;
use serde_json::json;

pub const PROJECT: &str = "shop";

#[derive(Default)]
pub struct MemoryGit {
    pub inner: Mutex<Inner>,
}

#[derive(Default)]
pub struct Inner {
    files: BTreeMap<String, String>,
    blobs: BTreeMap<String, String>,
    commits: usize,
    /// The commit that last changed each file.
    changed: BTreeMap<String, usize>,
    pub refuses: bool,
}

impl MemoryGit {
    pub fn put(&self, path: &str, text: Option<&str>) {
        let mut inner = self.inner.lock().unwrap();
        inner.commits += 1;
        let commit = inner.commits;
        inner.changed.insert(path.to_owned(), commit);
        match text {
            Some(text) => {
                inner.blobs.insert(digest(text), text.to_owned());
                inner.files.insert(path.to_owned(), text.to_owned());
            }
            None => {
                inner.files.remove(path);
            }
        }
    }

    pub fn text(&self, path: &str) -> Option<String> {
        self.inner.lock().unwrap().files.get(path).cloned()
    }

    pub fn commits(&self) -> usize {
        self.inner.lock().unwrap().commits
    }
}

#[async_trait]
impl GitSide for MemoryGit {
    async fn snapshot(&self, folder: &str, limit: usize) -> pilothouse_chaos::Result<Snapshot> {
        let inner = self.inner.lock().unwrap();
        let all: Vec<_> = inner.files.iter().filter(|(path, _)| path.starts_with(folder)).collect();
        Ok(Snapshot {
            commit: Some(inner.commits.to_string()),
            files: all
                .iter()
                .take(limit)
                .map(|(path, text)| GitFile {
                    path: (*path).clone(),
                    blob: digest(text),
                    content: Content::Text((*text).clone()),
                })
                .collect(),
            complete: all.len() <= limit,
        })
    }

    async fn blob_text(&self, blob: &str) -> pilothouse_chaos::Result<Option<String>> {
        Ok(self.inner.lock().unwrap().blobs.get(blob).cloned())
    }

    async fn last_change(&self, commit: &str, path: &str) -> pilothouse_chaos::Result<Option<LastChange>> {
        let _ = commit;
        let at = self.inner.lock().unwrap().changed.get(path).copied().unwrap_or_default();
        Ok(Some(LastChange { commit: at.to_string(), author: "Ann".into() }))
    }

    async fn publish(&self, changes: &[GitChange], _: &str) -> pilothouse_chaos::Result<Publication> {
        {
            let inner = self.inner.lock().unwrap();
            if inner.refuses {
                return Err(Error::Git {
                    code: "git.protected_branch".into(),
                    message: "the branch is protected".into(),
                });
            }
            if changes.iter().any(|change| inner.files.get(&change.path).map(|text| digest(text)) != change.base_blob) {
                return Ok(Publication::Moved);
            }
        }
        changes.iter().for_each(|change| self.put(&change.path, change.text.as_deref()));
        Ok(Publication::Published { commit: self.commits().to_string() })
    }
}

pub fn workflow(name: &str, lines: &str) -> String {
    format!(
        "# {name}\napiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: {name}\n{lines}spec:\n  entrypoint: main\n  templates:\n    - name: main\n      container:\n        image: busybox\n"
    )
}

pub fn labels(workflow: &str) -> RunLabels {
    RunLabels { project: PROJECT.into(), workflow: workflow.into(), ..RunLabels::default() }
}

pub async fn place() -> (Cluster, String) {
    let rig = Rig::get();
    let cluster = Cluster::from_client(rig.client().await, "rig", false);
    pilothouse_cluster::crds::install(&cluster).await.unwrap();
    (cluster, rig.namespace("chaos").await)
}

/// Syncs, and checks that a second pass finds nothing to do.
pub async fn sync(cluster: &Cluster, namespace: &str, git: &MemoryGit) -> SyncReport {
    let first = sync_once(cluster, namespace, PROJECT, git).await.unwrap();
    let commits = git.commits();
    let second = sync_once(cluster, namespace, PROJECT, git).await.unwrap();
    assert_eq!((second.writes, &second.done[..]), (0, &[][..]), "the second pass wrote something");
    assert_eq!(git.commits(), commits);
    assert_eq!(first.states, second.states);
    first
}

pub async fn edit(cluster: &Cluster, namespace: &str, workflow: &str, manifest: &str) {
    let object = workflow_object::get(cluster, namespace, PROJECT, workflow).await.unwrap();
    let patch = json!({"spec": {"manifest": manifest}});
    let api = cluster.api(&kinds::CHAOS_WORKFLOW, namespace);
    api.patch(&object.object, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

pub async fn object(cluster: &Cluster, namespace: &str, workflow: &str) -> WorkflowObject {
    workflow_object::get(cluster, namespace, PROJECT, workflow).await.unwrap()
}

pub fn form() -> project::Enable {
    project::Enable {
        id: PROJECT.into(),
        url: "https://git.example/shop.git".into(),
        branch: "main".into(),
        auth: project::Auth::Token,
        description: None,
    }
}

/// The agreement to what a workflow reaches now, as somebody gives it who has just looked. Only the workflows of a
/// project run by themselves, so that one is made where there is none.
pub async fn let_run(cluster: &Cluster, namespace: &str, workflow: &str, policy: RunPolicy) {
    if let Err(Error::NotFound { .. }) = project::get(cluster, namespace, PROJECT).await {
        project::enable(cluster, namespace, &form()).await.unwrap();
    }
    let manifest = object(cluster, namespace, workflow).await.manifest;
    let seen = workflow_object::agreement(&WorkflowDocument::parse(&manifest).unwrap(), namespace);
    workflow_object::set_run_policy(cluster, namespace, (PROJECT, workflow), policy, Some(&seen)).await.unwrap();
}
