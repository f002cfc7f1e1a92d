//! A run happens once: as it was seen, however often it is asked for, and whenever the app is killed.

use kube::api::{Patch, PatchParams, PostParams};
use pilothouse_chaos::document::path_of;
use pilothouse_chaos::launch::{self, Cause, Next, Started};
use pilothouse_chaos::plan::SyncState;
use pilothouse_chaos::sync::sync_once;
use pilothouse_chaos::workflow_object::{self, Due, RunPolicy, settle_due};
use pilothouse_chaos::{Error, project};
use pilothouse_cluster::{Cluster, kinds};
use serde_json::json;

use crate::stage::{MemoryGit, PROJECT, edit, labels, let_run, object, place, sync, workflow};

/// Starts a run that a preview showed.
pub async fn start_as_seen(cluster: &Cluster, namespace: &str, run: &str, digest: &str) -> Started {
    match launch::as_seen(cluster, namespace, run, &labels("kill"), digest).await.unwrap() {
        Next::There(started) => started,
        Next::Start(prepared) => launch::start(cluster, &prepared).await.unwrap(),
    }
}

/// Does about a due run what the app does, short of noting it.
async fn launch_due(cluster: &Cluster, namespace: &str, due: &Due) -> Started {
    match launch::automatic(cluster, namespace, &due.run, &labels(&due.workflow), Cause::Commit(due)).await.unwrap() {
        Next::There(started) => started,
        Next::Start(prepared) => launch::start(cluster, &prepared).await.unwrap(),
    }
}

async fn runs(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let all = cluster.api(&kinds::WORKFLOW, namespace).list(&Default::default()).await.unwrap();
    let mut names: Vec<String> = all.items.into_iter().filter_map(|one| one.metadata.name).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_asked_for_twice_is_one_run_and_is_the_one_that_was_seen() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "")));
    sync(&cluster, &namespace, &git).await;
    let preview = async |run: &str| launch::preview(&cluster, &namespace, run, &labels("kill")).await.unwrap().digest;

    let seen = preview("kill-a").await;
    let first = start_as_seen(&cluster, &namespace, "kill-a", &seen).await;
    let second = start_as_seen(&cluster, &namespace, "kill-a", &seen).await;
    assert_eq!((first.already, second.already), (false, true));
    assert_eq!((first.name, first.namespace), (second.name, second.namespace));

    // The answer was lost, and meanwhile the workflow changed: the run is still found.
    let stale = preview("kill-b").await;
    edit(&cluster, &namespace, "kill", &workflow("kill", "").replace("busybox", "alpine")).await;
    assert!(start_as_seen(&cluster, &namespace, "kill-a", &seen).await.already);
    // What was not started yet would be another run than the one seen.
    let refused = launch::as_seen(&cluster, &namespace, "kill-b", &labels("kill"), &stale).await;
    assert!(matches!(refused, Err(Error::PreviewStale { .. })), "{refused:?}");
    assert_eq!(runs(&cluster, &namespace).await, ["kill-a"]);

    // A name that something else has, even with our labels on it, is nobody's run.
    let seen = preview("kill-c").await;
    let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
        "metadata": {"name": "kill-c", "labels": {"pilothouse.dev/run": "kill-c", "pilothouse.dev/project": PROJECT,
            "pilothouse.dev/workflow": "kill"}},
        "spec": {"entrypoint": "a", "templates": [{"name": "a"}]}});
    let object = serde_json::from_value(object).unwrap();
    cluster.api(&kinds::WORKFLOW, &namespace).create(&PostParams::default(), &object).await.unwrap();
    let Next::Start(prepared) = launch::as_seen(&cluster, &namespace, "kill-c", &labels("kill"), &seen).await.unwrap()
    else {
        panic!("somebody else's object was taken for the run")
    };
    let refused = launch::start(&cluster, &prepared).await;
    assert!(matches!(refused, Err(Error::WrongState { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_commit_survives_a_kill_at_every_step_and_starts_once() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    let path = path_of(PROJECT, "kill");
    git.put(&path, Some(&workflow("kill", "")));
    sync(&cluster, &namespace, &git).await;
    let once = async || sync_once(&cluster, &namespace, PROJECT, &git).await.unwrap();

    // Nothing that was there before the policy is run.
    git.put(&path, Some(&workflow("kill", "  # before\n")));
    sync(&cluster, &namespace, &git).await;
    let_run(&cluster, &namespace, "kill", RunPolicy::OnCommit).await;
    assert_eq!(once().await.due, []);

    // Killed between the sync and the start: what the first sync brought is due in the next one still.
    git.put(&path, Some(&workflow("kill", "  # one\n")));
    let first = once().await.due;
    assert_eq!(first.len(), 1);
    let second = once().await;
    assert_eq!((second.due.clone(), second.writes), (first.clone(), 0), "the run is lost");
    assert!(!launch_due(&cluster, &namespace, &first[0]).await.already);
    // Killed between the start and the note of it: the same run is found.
    let third = once().await.due;
    assert_eq!(third, first);
    assert!(launch_due(&cluster, &namespace, &third[0]).await.already);
    settle_due(&cluster, &namespace, PROJECT, &third[0]).await.unwrap();
    assert_eq!(once().await.due, []);
    assert_eq!(runs(&cluster, &namespace).await, [first[0].run.clone()]);

    // Another change, and then the first text again with a new commit: each is a run of its own.
    for (lines, number) in [("  # two\n", 2), ("  # one\n", 3)] {
        git.put(&path, Some(&workflow("kill", lines)));
        let due = once().await.due;
        assert!(!launch_due(&cluster, &namespace, &due[0]).await.already, "{lines}");
        settle_due(&cluster, &namespace, PROJECT, &due[0]).await.unwrap();
        assert_eq!(runs(&cluster, &namespace).await.len(), number);
    }

    // A run that was cleaned up before the note of it is not started again.
    git.put(&path, Some(&workflow("kill", "  # four\n")));
    let due = once().await.due.remove(0);
    let last = workflow_object::LastRun { name: due.run.clone(), ..Default::default() };
    workflow_object::note_last_run(&cluster, &namespace, PROJECT, "kill", &last).await.unwrap();
    assert!(launch_due(&cluster, &namespace, &due).await.already);
    assert_eq!(runs(&cluster, &namespace).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_while_a_project_was_off_is_not_run() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    let path = path_of(PROJECT, "kill");
    let form = project::Enable {
        id: PROJECT.into(),
        url: "https://git.example/shop.git".into(),
        branch: "main".into(),
        auth: project::Auth::Token,
        description: None,
    };
    project::enable(&cluster, &namespace, &form).await.unwrap();
    git.put(&path, Some(&workflow("kill", "")));
    sync(&cluster, &namespace, &git).await;
    let_run(&cluster, &namespace, "kill", RunPolicy::OnCommit).await;

    // One change is due when the project is switched off, the next comes while it is.
    git.put(&path, Some(&workflow("kill", "  # one\n")));
    let due = sync(&cluster, &namespace, &git).await.due;
    assert_eq!(due.len(), 1);
    project::disable(&cluster, &namespace, PROJECT).await.unwrap();
    let refused = launch::automatic(&cluster, &namespace, &due[0].run, &labels("kill"), Cause::Commit(&due[0])).await;
    assert!(refused.is_err(), "{refused:?}");
    git.put(&path, Some(&workflow("kill", "  # two\n")));
    project::enable(&cluster, &namespace, &form).await.unwrap();
    assert_eq!(sync(&cluster, &namespace, &git).await.due, []);
    assert_eq!(object(&cluster, &namespace, "kill").await.state, Some(SyncState::InSync));

    git.put(&path, Some(&workflow("kill", "  # three\n")));
    assert_eq!(sync(&cluster, &namespace, &git).await.due.len(), 1);
    // By hand again: what was due is not.
    workflow_object::set_run_policy(&cluster, &namespace, (PROJECT, "kill"), RunPolicy::Manual, None).await.unwrap();
    let_run(&cluster, &namespace, "kill", RunPolicy::OnCommit).await;
    assert_eq!(sync(&cluster, &namespace, &git).await.due, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automatic_run_reaches_only_what_somebody_agreed_to() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    let path = path_of(PROJECT, "kill");
    let account = |name: &str| {
        workflow("kill", "").replace("  entrypoint", &format!("  serviceAccountName: {name}\n  entrypoint"))
    };
    git.put(&path, Some(&account("argo-chaos")));
    sync(&cluster, &namespace, &git).await;

    // Agreeing to something that is not there, or to nothing, lets nothing run.
    for seen in [None, Some("another")] {
        let which = (PROJECT, "kill");
        let refused = workflow_object::set_run_policy(&cluster, &namespace, which, RunPolicy::OnCommit, seen).await;
        assert!(matches!(refused, Err(Error::PreviewStale { .. })), "{refused:?}");
    }
    let_run(&cluster, &namespace, "kill", RunPolicy::OnCommit).await;

    let good = account("argo-chaos").replace("# kill", "# kill!");
    let evil = good.replace("argo-chaos", "cluster-admin");
    let escape = good.replace("  entrypoint", "  volumes: [{name: v, hostPath: {path: /etc}}]\n  entrypoint");
    let image = good.replace("busybox", "miner");
    let away = good.replace("  name: kill", "  name: kill\n  namespace: kube-system");
    for (text, why) in [(&evil, "cluster-admin"), (&escape, "/etc"), (&image, "miner"), (&away, "kube-system")] {
        git.put(&path, Some(text));
        let due = sync(&cluster, &namespace, &git).await.due.remove(0);
        let refused = launch::automatic(&cluster, &namespace, &due.run, &labels("kill"), Cause::Commit(&due)).await;
        let Err(error @ (Error::NotAgreed { .. } | Error::Elsewhere { .. })) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains(why), "{error}");
        // The page says so, and goes on saying it.
        let known = object(&cluster, &namespace, "kill").await;
        assert!(known.message.contains(why) && known.held_back(&namespace).unwrap().contains(why), "{known:?}");
        assert_eq!(known.state, Some(SyncState::InSync));
    }
    assert!(runs(&cluster, &namespace).await.is_empty());

    // What was agreed to runs, and a person may agree to more; that runs nothing yet.
    git.put(&path, Some(&good));
    let due = sync(&cluster, &namespace, &git).await.due.remove(0);
    assert!(!launch_due(&cluster, &namespace, &due).await.already);
    assert_eq!(object(&cluster, &namespace, "kill").await.message, "");
    git.put(&path, Some(&evil));
    sync(&cluster, &namespace, &git).await;
    let_run(&cluster, &namespace, "kill", RunPolicy::OnCommit).await;
    assert_eq!(sync(&cluster, &namespace, &git).await.due, []);
    assert_eq!(object(&cluster, &namespace, "kill").await.message, "");

    // A workflow that was let run before anybody was asked to agree is held back, and so is one that only says when
    // it runs what it starts.
    let api = cluster.api(&kinds::CHAOS_WORKFLOW, &namespace);
    let name = object(&cluster, &namespace, "kill").await.object;
    let patch = json!({"metadata": {"annotations": {"pilothouse.dev/agreed-reach": null}}});
    api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let known = object(&cluster, &namespace, "kill").await;
    assert!(known.held_back(&namespace).unwrap().contains("nobody has agreed"));
    git.put(&path, Some(&good.replace("image: busybox", "image: '{{inputs.parameters.x}}'")));
    sync(&cluster, &namespace, &git).await;
    let refused =
        workflow_object::set_run_policy(&cluster, &namespace, (PROJECT, "kill"), RunPolicy::OnEvent, None).await;
    assert!(matches!(refused, Err(Error::NotAgreed { .. })), "{refused:?}");
}
