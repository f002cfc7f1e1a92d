//! A project that is switched off, or pointed elsewhere, while it is being synced.

use std::sync::Mutex;

use async_trait::async_trait;
use pilothouse_chaos::document::path_of;
use pilothouse_chaos::git_side::{GitChange, LastChange, Publication, Snapshot};
use pilothouse_chaos::launch::{self, Cause};
use pilothouse_chaos::plan::SyncState;
use pilothouse_chaos::sync::sync_once;
use pilothouse_chaos::workflow_object::{self, RunPolicy};
use pilothouse_chaos::{Error, GitSide, Result, project};
use pilothouse_cluster::Cluster;

use crate::stage::{MemoryGit, PROJECT, edit, form, labels, let_run, object, place, sync, workflow};

/// When the project is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// When Git is read: before anything is planned.
    Reading,
    /// When a commit is looked up: while the plan is being carried out.
    Applying,
}

/// Git, during which somebody else switches the project off once.
struct Interrupted<'a> {
    git: &'a MemoryGit,
    cluster: &'a Cluster,
    namespace: &'a str,
    at: Mutex<Option<At>>,
    follows: bool,
}

impl Interrupted<'_> {
    async fn reach(&self, at: At) {
        let now = self.at.lock().unwrap().take_if(|one| *one == at).is_some();
        if now {
            project::disable(self.cluster, self.namespace, PROJECT).await.unwrap();
        }
    }
}

#[async_trait]
impl GitSide for Interrupted<'_> {
    fn follows(&self, _: &str, _: &str) -> bool {
        self.follows
    }

    async fn snapshot(&self, folder: &str, limit: usize) -> Result<Snapshot> {
        self.reach(At::Reading).await;
        self.git.snapshot(folder, limit).await
    }

    async fn blob_text(&self, blob: &str) -> Result<Option<String>> {
        self.git.blob_text(blob).await
    }

    async fn last_change(&self, commit: &str, path: &str) -> Result<Option<LastChange>> {
        self.reach(At::Applying).await;
        self.git.last_change(commit, path).await
    }

    async fn publish(&self, changes: &[GitChange], message: &str) -> Result<Publication> {
        self.git.publish(changes, message).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_under_way_does_not_undo_switching_off() {
    for at in [At::Reading, At::Applying] {
        let (cluster, namespace) = place().await;
        let git = MemoryGit::default();
        project::enable(&cluster, &namespace, &form()).await.unwrap();
        for name in ["kill", "other"] {
            git.put(&path_of(PROJECT, name), Some(&workflow(name, "")));
        }
        sync(&cluster, &namespace, &git).await;
        let_run(&cluster, &namespace, "kill", RunPolicy::OnEvent).await;
        git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "  # two\n")));
        git.put(&path_of(PROJECT, "new"), Some(&workflow("new", "")));
        edit(&cluster, &namespace, "other", &workflow("other", "  # here\n")).await;
        let commits = git.commits();

        // The commit that the cluster's change makes is looked up, too; in the second case it is made before.
        let side = Interrupted {
            git: &git,
            cluster: &cluster,
            namespace: &namespace,
            at: Mutex::new(Some(at)),
            follows: true,
        };
        let outcome = sync_once(&cluster, &namespace, PROJECT, &side).await;
        assert!(matches!(outcome, Err(Error::Superseded { .. })), "{at:?}: {outcome:?}");
        if at == At::Reading {
            assert_eq!(git.commits(), commits, "it was written to Git for a project that is off");
        }
        for (name, object) in workflow_object::list(&cluster, &namespace, PROJECT).await.unwrap() {
            assert_eq!(object.state, Some(SyncState::Paused), "{at:?}: {name}");
        }
        let noted = outcome.as_ref();
        assert!(!project::note_sync(&cluster, &namespace, PROJECT, noted, "2026-01-01T00:00:00Z").await.unwrap());
        // Neither does one that came to its end before it could be told.
        let late = Default::default();
        let noted = project::note_sync(&cluster, &namespace, PROJECT, Ok(&late), "2026-01-01T00:00:00Z").await;
        assert!(!noted.unwrap(), "{at:?}");
        let now = project::get(&cluster, &namespace, PROJECT).await.unwrap();
        assert_eq!((now.enabled, now.state.as_deref()), (false, Some("Disabled")), "{at:?}");

        // On again, everything is brought in.
        project::enable(&cluster, &namespace, &form()).await.unwrap();
        let report = sync(&cluster, &namespace, &git).await;
        assert!(report.states.len() == 3 && report.states.values().all(|state| *state == SyncState::InSync));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_repository_is_brought_in_that_is_no_longer_followed() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    project::enable(&cluster, &namespace, &form()).await.unwrap();
    git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "")));
    let side =
        Interrupted { git: &git, cluster: &cluster, namespace: &namespace, at: Mutex::new(None), follows: false };
    let outcome = sync_once(&cluster, &namespace, PROJECT, &side).await;
    assert!(matches!(outcome, Err(Error::Superseded { .. })), "{outcome:?}");
    assert!(workflow_object::list(&cluster, &namespace, PROJECT).await.unwrap().is_empty());
    let noted = project::note_sync(&cluster, &namespace, PROJECT, outcome.as_ref(), "2026-01-01T00:00:00Z").await;
    assert!(!noted.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_project_that_is_off_runs_by_itself_whatever_its_workflows_say() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "")));
    sync(&cluster, &namespace, &git).await;
    let_run(&cluster, &namespace, "kill", RunPolicy::OnEvent).await;
    let launch = async || launch::automatic(&cluster, &namespace, "kill-1", &labels("kill"), Cause::Event).await;
    assert!(launch().await.is_ok());
    // Switched off by hand, or by an app that was killed on the way: no workflow is marked.
    let patch = serde_json::json!({"spec": {"gitOps": {"enabled": false}}});
    let api = cluster.api(&pilothouse_cluster::kinds::CHAOS_PROJECT, &namespace);
    let parameters = kube::api::PatchParams::default();
    api.patch(PROJECT, &parameters, &kube::api::Patch::Merge(&patch)).await.unwrap();
    assert_eq!(object(&cluster, &namespace, "kill").await.state, Some(SyncState::InSync));
    let refused = launch().await;
    let Err(Error::NotAgreed { why, .. }) = refused else { panic!("{refused:?}") };
    assert!(why.contains("GitOps is off"), "{why}");
    api.delete(PROJECT, &Default::default()).await.unwrap();
    let refused = launch().await;
    assert!(matches!(refused, Err(Error::NotAgreed { .. })), "{refused:?}");
}
