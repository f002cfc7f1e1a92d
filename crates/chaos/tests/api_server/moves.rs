//! A project that is led to another place while it is on, and one that is switched off over errors.

use kube::api::{Patch, PatchParams};
use pilothouse_chaos::document::path_of;
use pilothouse_chaos::dry_run::{self, Answer};
use pilothouse_chaos::plan::SyncState;
use pilothouse_chaos::project::{self, Absent, Enable, Seen};
use pilothouse_chaos::sync::sync_once;
use pilothouse_chaos::workflow_object::RunPolicy;
use pilothouse_chaos::{Error, Severity};
use pilothouse_cluster::{Cluster, Kind, kinds};
use pilothouse_rig::Rig;
use serde_json::json;

use crate::stage::{MemoryGit, PROJECT, edit, form, labels, let_run, object, place, sync, workflow};

fn seen() -> Seen {
    Seen { url: form().url, branch: form().branch }
}

fn to(url: &str) -> Enable {
    Enable { url: url.into(), ..form() }
}

/// A project with two workflows, of which one runs on commit.
async fn stage() -> (Cluster, String, MemoryGit) {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    project::enable(&cluster, &namespace, &form()).await.unwrap();
    for name in ["kill", "only"] {
        git.put(&path_of(PROJECT, name), Some(&workflow(name, "")));
    }
    sync(&cluster, &namespace, &git).await;
    let_run(&cluster, &namespace, "kill", RunPolicy::OnCommit).await;
    (cluster, namespace, git)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_at_another_place_is_brought_in_and_runs_nothing() {
    let (cluster, namespace, _old) = stage().await;
    let other = MemoryGit::default();
    other.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "  # there\n")));
    other.put(&path_of(PROJECT, "new"), Some(&workflow("new", "")));

    let stale = Seen { branch: "other".into(), ..seen() };
    let refused = project::change(&cluster, &namespace, &stale, &to("https://git.example/b.git"), Absent::Ask).await;
    assert!(matches!(refused, Err(Error::PreviewStale { .. })), "{refused:?}");
    assert_eq!(project::get(&cluster, &namespace, PROJECT).await.unwrap().url, form().url, "nothing was written");

    let moved =
        project::change(&cluster, &namespace, &seen(), &to("https://git.example/b.git"), Absent::Ask).await.unwrap();
    assert_eq!(
        (moved.url.as_str(), moved.enabled, moved.arriving),
        ("https://git.example/b.git", true, Some(Absent::Ask))
    );
    // Whoever was killed here left a project at the new place; another syncs it.
    let report = sync_once(&cluster, &namespace, PROJECT, &other).await.unwrap();
    assert_eq!(report.due, [], "a change of place is no commit");
    let states = ["kill", "new", "only"].map(|name| report.states[name]);
    assert_eq!(states, [SyncState::InSync, SyncState::InSync, SyncState::DeletedInGit]);
    assert!(object(&cluster, &namespace, "kill").await.manifest.contains("# there"));
    assert_eq!(project::get(&cluster, &namespace, PROJECT).await.unwrap().arriving, None);
    assert_eq!(sync(&cluster, &namespace, &other).await.writes, 0);
    // From now on a commit there is a commit.
    other.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "  # committed\n")));
    assert_eq!(sync_once(&cluster, &namespace, PROJECT, &other).await.unwrap().due.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_are_taken_along_to_a_place_that_lacks_them_and_a_push_that_fails_is_made_up_for() {
    let (cluster, namespace, old) = stage().await;
    edit(&cluster, &namespace, "only", &workflow("only", "  # edited\n")).await;
    let empty = MemoryGit::default();
    project::change(&cluster, &namespace, &seen(), &to("https://git.example/c.git"), Absent::TakeAlong).await.unwrap();
    empty.inner.lock().unwrap().refuses = true;
    let refused = sync_once(&cluster, &namespace, PROJECT, &empty).await.unwrap();
    assert_eq!(refused.states["kill"], SyncState::Ahead, "said, and not lost");
    let now = project::get(&cluster, &namespace, PROJECT).await.unwrap();
    assert_eq!(now.arriving, Some(Absent::TakeAlong), "it has not arrived");
    empty.inner.lock().unwrap().refuses = false;
    let report = sync_once(&cluster, &namespace, PROJECT, &empty).await.unwrap();
    assert_eq!(report.due, []);
    assert_eq!(empty.text(&path_of(PROJECT, "kill")), Some(workflow("kill", "")));
    assert_eq!(empty.text(&path_of(PROJECT, "only")), Some(workflow("only", "  # edited\n")));
    assert_eq!(old.text(&path_of(PROJECT, "only")), Some(workflow("only", "")), "what was left stays as it is");
    assert_eq!(project::get(&cluster, &namespace, PROJECT).await.unwrap().arriving, None);
    // A file deleted there later asks, as everywhere.
    empty.put(&path_of(PROJECT, "only"), None);
    assert_eq!(sync(&cluster, &namespace, &empty).await.states["only"], SyncState::DeletedInGit);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_to_be_taken_along_to_one_place_is_not_taken_to_another() {
    let (cluster, namespace, _old) = stage().await;
    project::change(&cluster, &namespace, &seen(), &to("https://git.example/d.git"), Absent::TakeAlong).await.unwrap();
    // Before its first sync there somebody switches it off, and on for a third place.
    project::disable(&cluster, &namespace, PROJECT).await.unwrap();
    let refused = project::change(&cluster, &namespace, &seen(), &to("https://git.example/e.git"), Absent::Ask).await;
    assert!(matches!(refused, Err(Error::WrongState { .. })), "{refused:?}");
    let third = MemoryGit::default();
    third.put("README.md", Some("x"));
    let enabled = project::enable(&cluster, &namespace, &to("https://git.example/f.git")).await.unwrap();
    assert_eq!(enabled.arriving, None);
    sync_once(&cluster, &namespace, PROJECT, &third).await.unwrap();
    assert_eq!(third.text(&path_of(PROJECT, "kill")), None, "nobody asked for it here");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_to_the_same_place_can_still_take_along_and_enabling_it_again_makes_no_arrival_a_commit() {
    let (cluster, namespace, _old) = stage().await;
    let here = to("https://git.example/g.git");
    let there = MemoryGit::default();
    there.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "  # there\n")));
    project::change(&cluster, &namespace, &seen(), &here, Absent::Ask).await.unwrap();
    // Somebody gives it a credential by enabling it again, before it was synced there.
    let again = project::enable(&cluster, &namespace, &here).await.unwrap();
    assert_eq!(again.arriving, Some(Absent::Ask), "it has not arrived by that");
    let report = sync_once(&cluster, &namespace, PROJECT, &there).await.unwrap();
    assert_eq!((report.due, report.states["only"]), (Vec::new(), SyncState::DeletedInGit));

    // Nothing is to be done for the place where it is, unless what has no file there is to come along.
    let seen = Seen { url: here.url.clone(), branch: here.branch.clone() };
    let same = project::change(&cluster, &namespace, &seen, &here, Absent::Ask).await.unwrap();
    assert_eq!(same.arriving, None);
    let along = project::change(&cluster, &namespace, &seen, &here, Absent::TakeAlong).await.unwrap();
    assert_eq!(along.arriving, Some(Absent::TakeAlong));
    let report = sync_once(&cluster, &namespace, PROJECT, &there).await.unwrap();
    assert_eq!((report.due, report.states["only"]), (Vec::new(), SyncState::InSync));
    assert_eq!(there.text(&path_of(PROJECT, "only")), Some(workflow("only", "")));
    assert_eq!(project::get(&cluster, &namespace, PROJECT).await.unwrap().arriving, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_cannot_be_written_keeps_no_other_from_being_switched_off() {
    let (cluster, namespace, _git) = stage().await;
    let only = object(&cluster, &namespace, "only").await.object;
    // A user who may write every status but that of one workflow.
    let role = Kind { group: "rbac.authorization.k8s.io", version: "v1", kind: "Role", plural: "roles" };
    let binding = Kind { kind: "RoleBinding", plural: "rolebindings", ..role };
    let rules = json!([
        {"apiGroups": ["pilothouse.dev"], "resources": ["chaosprojects", "chaosworkflows"], "verbs": ["get", "list", "patch"]},
        {"apiGroups": ["pilothouse.dev"], "resources": ["chaosprojects/status"], "verbs": ["patch"]},
        {"apiGroups": ["pilothouse.dev"], "resources": ["chaosworkflows/status"], "resourceNames": [only], "verbs": ["patch"]},
    ]);
    let params = PatchParams::apply("test").force();
    let made = json!({"apiVersion": role.api_version(), "kind": "Role", "metadata": {"name": "most"}, "rules": rules});
    cluster.api(&role, &namespace).patch("most", &params, &Patch::Apply(made)).await.unwrap();
    let bound = json!({"apiVersion": role.api_version(), "kind": "RoleBinding", "metadata": {"name": "most"},
        "roleRef": {"apiGroup": role.group, "kind": "Role", "name": "most"},
        "subjects": [{"apiGroup": role.group, "kind": "User", "name": "viewer"}]});
    cluster.api(&binding, &namespace).patch("most", &params, &Patch::Apply(bound)).await.unwrap();
    let viewer = Cluster::from_client(Rig::get().viewer().await, "rig", false);

    // The rights take a moment to be seen.
    let refused = loop {
        match project::disable(&viewer, &namespace, PROJECT).await {
            Err(Error::Cluster(pilothouse_cluster::Error::Forbidden { resource, .. }))
                if resource.contains("chaosprojects") =>
            {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            other => break other,
        }
    };
    assert!(matches!(refused, Err(Error::Cluster(pilothouse_cluster::Error::Forbidden { .. }))), "{refused:?}");
    let now = project::get(&cluster, &namespace, PROJECT).await.unwrap();
    assert_eq!((now.enabled, now.state.as_deref()), (false, Some("Disabled")), "it is off all the same");
    assert_eq!(object(&cluster, &namespace, "kill").await.state, Some(SyncState::InSync), "which could not be written");
    assert_eq!(object(&cluster, &namespace, "only").await.state, Some(SyncState::Paused), "the others were");
}

const DRY: &str = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: dry\nspec:\n  entrypoint: main\n  templates:\n    - name: main\n      inputs:\n        artifacts:\n          - name: e\n            path: /tmp/e.yaml\n            raw:\n              data: |\n                apiVersion: litmuschaos.io/v1alpha1\n                kind: ChaosEngine\n                metadata:\n                  generateName: dry-\n                  namespace: '{{workflow.namespace}}'\n                spec:\n                  engineState: active\n                  experiments:\n                    - name: pod-delete\n      container:\n        image: busybox\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_is_asked_about_a_run_and_about_all_that_is_in_it() {
    let (cluster, namespace) = place().await;
    let asked = dry_run::ask(&cluster, &namespace, &labels("dry"), DRY).await.unwrap();
    let found: Vec<_> = asked.iter().map(|one| (one.kind.as_str(), one.template.as_deref(), &one.answer)).collect();
    assert_eq!(found, [("Workflow", None, &Answer::Taken), ("ChaosEngine", Some("main"), &Answer::Taken)]);
    let engines = cluster.api(&kinds::CHAOS_ENGINE, &namespace).list(&Default::default()).await.unwrap().items;
    let runs = cluster.api(&kinds::WORKFLOW, &namespace).list(&Default::default()).await.unwrap().items;
    assert_eq!((engines.len(), runs.len()), (0, 0), "asking makes nothing");

    // What the definition of an engine does not allow, at the line of the file it stands in.
    let text = DRY.replace("engineState: active", "engineState: 7");
    let asked = dry_run::ask(&cluster, &namespace, &labels("dry"), &text).await.unwrap();
    let Answer::Refused(problems) = &asked[1].answer else { panic!("{asked:?}") };
    let line = text.lines().position(|line| line.contains("engineState")).unwrap() + 1;
    assert_eq!((problems[0].line, problems[0].severity), (Some(line), Severity::Error), "{problems:?}");
    // What the definition does not know: dropped within what it describes, kept where it keeps all.
    let text = DRY.replace("engineState: active", "enginestate: active").replace(
        "- name: pod-delete\n",
        "- name: pod-delete\n                      sepc: {}\n                      more: {}\n",
    );
    let asked = dry_run::ask(&cluster, &namespace, &labels("dry"), &text).await.unwrap();
    let Answer::UnknownFields(found) = &asked[1].answer else { panic!("{asked:?}") };
    let mut found = found.clone();
    found.sort_by_key(|one| one.line);
    let told: Vec<_> = found.iter().map(|one| (one.line, one.code.as_str(), one.severity)).collect();
    let at = |word: &str| text.lines().position(|line| line.trim_start().starts_with(word)).map(|line| line + 1);
    let (dropped, kept) = ("server.dropped", "server.unknown");
    let wanted = [("enginestate:", kept), ("sepc:", dropped), ("more:", dropped)];
    assert_eq!(told, wanted.map(|(word, code)| (at(word), code, Severity::Warning)), "{found:?}");
    let meant = ["is engineState meant?", "is spec meant?", ""];
    assert!(found.iter().zip(meant).all(|(one, meant)| one.message.ends_with(meant)), "{found:?}");
    // A name that is taken is no answer about the rest.
    let there = text.replace("generateName: dry-", "name: dry");
    let there = there.replace("namespace: '{{workflow.namespace}}'", &format!("namespace: {namespace}"));
    let engine = json!({"apiVersion": "litmuschaos.io/v1alpha1", "kind": "ChaosEngine", "metadata": {"name": "dry"},
        "spec": {"experiments": [{"name": "pod-delete"}]}});
    let engine = serde_json::from_value(engine).unwrap();
    cluster.api(&kinds::CHAOS_ENGINE, &namespace).create(&Default::default(), &engine).await.unwrap();
    let asked = dry_run::ask(&cluster, &namespace, &labels("dry"), &there).await.unwrap();
    assert!(matches!(&asked[1].answer, Answer::UnknownFields(found) if found.len() == 3), "{asked:?}");
    // Somebody who may not make such objects is told so, and is not told that they are wrong.
    let viewer = Cluster::from_client(Rig::get().viewer().await, "rig", false);
    let asked = dry_run::ask(&viewer, &namespace, &labels("dry"), DRY).await.unwrap();
    assert!(
        asked.iter().all(|one| matches!(&one.answer, Answer::NotAsked(why) if why.contains("create"))),
        "{asked:?}"
    );
}
