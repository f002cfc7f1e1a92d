//! Sync, runs and stops against a real API server, with Git in memory.

// Clippy takes only the functions marked as tests for tests, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

mod center;
mod decisions;
mod defects;
mod meanwhile;
mod moves;
mod once;
mod quick;
mod samples;
mod schedules;
mod stage;

use pilothouse_chaos::document::path_of;
use pilothouse_chaos::plan::SyncState;
use pilothouse_chaos::resolve::{self, Resolution};
use pilothouse_chaos::run::Phase;
use pilothouse_chaos::sync::sync_once;
use pilothouse_chaos::workflow_object::{self, RunPolicy};
use pilothouse_chaos::{Error, launch, project, stop};
use pilothouse_cluster::kinds;
use serde_json::json;
use stage::{MemoryGit, PROJECT, edit, labels, let_run, object, place, sync, workflow};

#[tokio::test(flavor = "multi_thread")]
async fn git_and_the_cluster_agree_in_both_directions() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    let path = |name: &str| path_of(PROJECT, name);
    git.put(&path("kill"), Some(&workflow("kill", "")));
    git.put("litmus/shop/odd.yml", Some(&workflow("odd", "")));
    git.put(&path("broken"), Some("kind: [\n"));
    git.put("litmus/other/foreign.yaml", Some("x"));
    git.put("litmus/shop/README.md", Some("x"));

    // New files: the good one is taken, the others are shown with the reason.
    let report = sync(&cluster, &namespace, &git).await;
    let states: Vec<_> = report.states.iter().map(|(name, state)| (name.as_str(), *state)).collect();
    assert_eq!(states, [("broken", SyncState::Invalid), ("kill", SyncState::InSync), ("odd.yml", SyncState::Invalid)]);
    let broken = object(&cluster, &namespace, "broken").await;
    assert!(broken.line.is_some() && broken.manifest.is_empty(), "{broken:?}");
    assert!(object(&cluster, &namespace, "odd.yml").await.message.contains("odd.yaml"));
    let kill = object(&cluster, &namespace, "kill").await;
    assert_eq!(kill.manifest, workflow("kill", ""), "comments and order survive");
    assert_eq!((kill.author.as_deref(), kill.run_policy), (Some("Ann"), RunPolicy::Manual));

    // Changed in Git; mended in Git; removed in Git.
    let_run(&cluster, &namespace, "kill", RunPolicy::OnCommit).await;
    git.put(&path("kill"), Some(&workflow("kill", "  # one\n")));
    git.put(&path("broken"), Some(&workflow("broken", "")));
    git.put("litmus/shop/odd.yml", None);
    let report = sync(&cluster, &namespace, &git).await;
    assert_eq!(report.states.len(), 2);
    assert_eq!(report.due.iter().map(|due| due.workflow.as_str()).collect::<Vec<_>>(), ["kill"]);
    assert_eq!(object(&cluster, &namespace, "broken").await.manifest, workflow("broken", ""));

    // Changed in the cluster: into Git, as it is.
    edit(&cluster, &namespace, "kill", &workflow("kill", "  # two\n")).await;
    let report = sync(&cluster, &namespace, &git).await;
    assert!(report.done.iter().any(|done| done.what == "adopted"));
    assert_eq!(git.text(&path("kill")), Some(workflow("kill", "  # two\n")));

    // Changed on both sides in different places: merged into both.
    let both = workflow("kill", "  # two\n").replace("busybox", "alpine");
    git.put(&path("kill"), Some(&both));
    edit(&cluster, &namespace, "kill", &workflow("kill", "  # two\n").replace("# kill", "# Kill!")).await;
    sync(&cluster, &namespace, &git).await;
    let merged = both.replace("# kill", "# Kill!");
    assert_eq!(git.text(&path("kill")).as_deref(), Some(merged.as_str()));
    assert_eq!(object(&cluster, &namespace, "kill").await.manifest, merged);

    // Changed on both sides in one place: nobody is overwritten, and a person decides.
    git.put(&path("kill"), Some(&merged.replace("alpine", "git")));
    edit(&cluster, &namespace, "kill", &merged.replace("alpine", "cluster")).await;
    let report = sync(&cluster, &namespace, &git).await;
    assert_eq!(report.states["kill"], SyncState::Conflict);
    assert!(matches!(
        launch::preview(&cluster, &namespace, "kill-1", &labels("kill")).await,
        Err(Error::WrongState { .. })
    ));
    let seen =
        async |workflow: &str| resolve::sides(&cluster, &namespace, (PROJECT, workflow), &git).await.unwrap().seen;
    let which = (PROJECT, "kill");
    resolve::resolve(&cluster, &namespace, which, &git, Resolution::TakeCluster, &seen("kill").await).await.unwrap();
    let report = sync(&cluster, &namespace, &git).await;
    assert_eq!(report.states["kill"], SyncState::InSync);
    assert_eq!(git.text(&path("kill")), Some(merged.replace("alpine", "cluster")));

    // Deleted in Git: marked, kept, and gone only when a person says so.
    git.put(&path("broken"), None);
    let report = sync(&cluster, &namespace, &git).await;
    assert_eq!(report.states["broken"], SyncState::DeletedInGit);
    let which = (PROJECT, "broken");
    resolve::restore(&cluster, &namespace, which, &git, &seen("broken").await).await.unwrap();
    assert_eq!(sync(&cluster, &namespace, &git).await.states["broken"], SyncState::InSync);
    git.put(&path("broken"), None);
    sync(&cluster, &namespace, &git).await;
    let seen = seen("broken").await;
    resolve::confirm_deletion(&cluster, &namespace, which, Some((&seen, &git))).await.unwrap();
    assert_eq!(sync(&cluster, &namespace, &git).await.states.len(), 1);

    // Git takes no writes: the change stays in the cluster and says so.
    git.inner.lock().unwrap().refuses = true;
    edit(&cluster, &namespace, "kill", &workflow("kill", "")).await;
    let report = sync(&cluster, &namespace, &git).await;
    assert_eq!(report.states["kill"], SyncState::Ahead);
    assert_eq!(object(&cluster, &namespace, "kill").await.manifest, workflow("kill", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_enabled_noted_and_disabled() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    let form = project::Enable {
        id: PROJECT.into(),
        url: "https://git.example/shop.git".into(),
        branch: "main".into(),
        auth: project::Auth::Ssh,
        description: None,
    };
    project::enable(&cluster, &namespace, &form).await.unwrap();
    project::enable(&cluster, &namespace, &form).await.unwrap();
    // What it follows is somebody's choice, as long as it is switched on.
    let elsewhere = project::Enable { url: "https://git.example/other.git".into(), ..form.clone() };
    let again = project::Enable { branch: "next".into(), ..form };
    for other in [&elsewhere, &again] {
        let refused = project::enable(&cluster, &namespace, other).await;
        let Err(Error::Taken { url, branch, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!((url.as_str(), branch.as_str()), ("https://git.example/shop.git", "main"));
    }
    project::disable(&cluster, &namespace, PROJECT).await.unwrap();
    let enabled = project::enable(&cluster, &namespace, &again).await.unwrap();
    assert_eq!((enabled.branch.as_str(), enabled.auth, enabled.enabled), ("next", project::Auth::Ssh, true));

    git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "")));
    let report = sync(&cluster, &namespace, &git).await;
    let note = async |outcome| project::note_sync(&cluster, &namespace, PROJECT, outcome, "2026-01-01T00:00:00Z").await;
    assert!(note(Ok(&report)).await.unwrap());
    assert!(!note(Ok(&report)).await.unwrap(), "the same outcome is written twice");
    assert_eq!(project::get(&cluster, &namespace, PROJECT).await.unwrap().state.as_deref(), Some("InSync"));
    let failed = Error::Git { code: "git.auth".into(), message: "refused".into() };
    assert!(note(Err(&failed)).await.unwrap());

    project::disable(&cluster, &namespace, PROJECT).await.unwrap();
    assert!(!project::list(&cluster, &namespace).await.unwrap()[0].enabled);
    assert_eq!(object(&cluster, &namespace, "kill").await.state, Some(SyncState::Paused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_starts_once_and_stops() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "")));
    sync(&cluster, &namespace, &git).await;

    let preview = launch::preview(&cluster, &namespace, "kill-1", &labels("kill")).await.unwrap();
    assert_eq!(preview.namespace, namespace);
    once::start_as_seen(&cluster, &namespace, "kill-1", &preview.digest).await;

    let run = launch::read_run(&cluster, &namespace, "kill-1").await.unwrap();
    assert_eq!((run.phase, run.workflow.as_deref()), (Phase::Queued, Some("kill")));
    assert!(run.why.as_deref().is_some_and(|why| why.contains("no Argo workflow controller")), "{:?}", run.why);
    let listed = launch::list_runs(&cluster, &namespace, Some(PROJECT)).await.unwrap();
    assert_eq!(listed.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["kill-1"]);
    assert!(launch::list_runs(&cluster, &namespace, Some("other")).await.unwrap().is_empty());

    // An engine of the run, as litmus-checker would create it.
    let workflows = cluster.api(&kinds::WORKFLOW, &namespace);
    let uid = workflows.get("kill-1").await.unwrap().metadata.uid.unwrap();
    let engines = cluster.api(&kinds::CHAOS_ENGINE, &namespace);
    let engine = serde_json::from_value(json!({"apiVersion": "litmuschaos.io/v1alpha1", "kind": "ChaosEngine",
        "metadata": {"name": "e", "labels": {"workflow_run_id": uid}}, "spec": {"engineState": "active"}}))
    .unwrap();
    engines.create(&Default::default(), &engine).await.unwrap();
    assert!(stop::stop(&cluster, &namespace, "kill-1").await.unwrap());
    assert_eq!(engines.get("e").await.unwrap().data["spec"]["engineState"], "stop");
    assert_eq!(workflows.get("kill-1").await.unwrap().data["spec"]["shutdown"], "Stop");
    assert!(matches!(stop::stop(&cluster, &namespace, "no-such").await, Err(Error::NotFound { .. })));

    let last = workflow_object::LastRun { name: "kill-1".into(), verdict: Some("Pass".into()), ..Default::default() };
    let note = async || workflow_object::note_last_run(&cluster, &namespace, PROJECT, "kill", &last).await.unwrap();
    assert!(note().await);
    assert!(!note().await);
    assert_eq!(object(&cluster, &namespace, "kill").await.last_run.map(|run| run.name).as_deref(), Some("kill-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_meet_are_kept_apart() {
    let (cluster, namespace) = place().await;
    let one = MemoryGit::default();
    one.put(&path_of("a-b", "c"), Some(&workflow("c", "")));
    let two = MemoryGit::default();
    two.put(&path_of("a", "b-c"), Some(&workflow("b-c", "")));
    for _ in 0..2 {
        sync_once(&cluster, &namespace, "a-b", &one).await.unwrap();
        sync_once(&cluster, &namespace, "a", &two).await.unwrap();
    }
    assert_eq!(workflow_object::get(&cluster, &namespace, "a-b", "c").await.unwrap().manifest, workflow("c", ""));
    assert_eq!(workflow_object::get(&cluster, &namespace, "a", "b-c").await.unwrap().manifest, workflow("b-c", ""));
    assert_eq!(sync_once(&cluster, &namespace, "a", &two).await.unwrap().writes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_syncs_at_once_make_each_object_once() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    for n in 0..8 {
        git.put(&path_of(PROJECT, &format!("kill-{n}")), Some(&workflow(&format!("kill-{n}"), "")));
    }
    let once = || sync_once(&cluster, &namespace, PROJECT, &git);
    let (one, two, three) = tokio::join!(once(), once(), once());
    for report in [one, two, three] {
        assert_eq!(report.unwrap().states.len(), 8);
    }
    let objects = cluster.api(&kinds::CHAOS_WORKFLOW, &namespace).list(&Default::default()).await.unwrap();
    assert_eq!(objects.items.len(), 8, "each workflow has one object");
}
