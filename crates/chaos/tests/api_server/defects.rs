//! What upstream's sync does to repositories and clusters that this does not: each defect has its test.
//!
//! Where each defect of LitmusChaos' GitOps and of its verdicts is shown not to be one of this program's (`here` is this
//! file, `samples` is `tests/samples/defects.rs`, `app` is `crates/app/tests/outbox/chaos.rs`, on a real Git server):
//!
//! | upstream | test |
//! |---|---|
//! | a new file runs at once; ids are written back and comments lost; each start commits `.info` | here: `defect_a_new_file_runs_chaos_at_once_…` |
//! | files of another kind, `.yml` and broken files are passed over, never tried again | here: `defect_cron_workflows_yml_files_…` |
//! | a deleted or renamed file stays in the cluster | here: `defect_a_file_deleted_or_renamed_…` |
//! | a changed file runs a finished run again; deleting a run deletes the file | here: `defect_a_changed_file_runs_…` |
//! | a push that fails makes another experiment with every pass | here: `defect_a_push_that_fails_…` |
//! | both sides changed: the last writer wins | here: `defect_the_last_writer_wins_in_silence` |
//! | a rewritten history runs everything again; merged commits are missed | here: `defect_a_rewritten_history_…` |
//! | what the cluster had before is never exported | here: `defect_what_the_cluster_had_before_…` |
//! | labels drift; another infrastructure is refused in a log | here: `defect_labels_of_an_installation_…` |
//! | the person who saved is lost in the commit | app: `defect_the_person_who_saved_…` |
//! | a push that is no fast-forward is an error, and the change is lost | app: `defect_a_push_that_a_colleague_…` |
//! | repositories whose names are alike share a lock | app: `defect_repositories_whose_names_are_alike_…` |
//! | a deleted branch, an expired token: a line in a log | app: `defect_a_branch_that_is_gone_…`, `a_connection_says_of_each_part_…` |
//! | moving to another place moves nothing and tells nothing | app: `a_project_changes_its_place_as_it_was_shown` |
//! | a file saved by somebody killed half-way leaves both sides apart | `tests/journeys/tests/main_job/killed.rs` |
//! | inline probes bring the server down; probes kept elsewhere are skipped | samples: `defect_inline_probes_…`, `defect_runs_from_git_skip_probes_…` |
//! | hub manifests: label values, braces, fixed engine names | samples: `defect_hub_manifests_…`, `defect_an_engine_that_is_yaml_…`, `defect_a_second_run_…` |
//! | a failed fault hides behind a step that succeeds | samples: `defect_a_failed_fault_hides_…` |
//! | faults are told apart by what their names contain | samples: `defect_a_fault_gets_the_result_…` |
//! | the score is divided by revisions; a missing engine counts as zero; no probe is a hundred | samples: `defect_the_score_…`, `defect_an_engine_that_never_came_…`, `defect_a_fault_without_a_probe_…` |

use kube::api::{DeleteParams, Patch, PatchParams};
use pilothouse_chaos::document::path_of;
use pilothouse_chaos::launch::{self, Next};
use pilothouse_chaos::plan::SyncState;
use pilothouse_chaos::sync::sync_once;
use pilothouse_chaos::workflow_object;
use pilothouse_cluster::{Cluster, kinds};
use serde_json::json;

use crate::stage::{MemoryGit, PROJECT, edit, labels, object, place, sync, workflow};

/// A file as ChaosCenter writes it.
fn theirs(name: &str) -> String {
    workflow(
        name,
        "  labels: # ours to keep\n    infra_id: i-1\n    revision_id: r-1\n    subject: 'a_b'\n    workflow_id: w-1\n    workflows.argoproj.io/controller-instanceid: i-1\n",
    )
}

async fn runs(cluster: &Cluster, namespace: &str) -> usize {
    cluster.api(&kinds::WORKFLOW, namespace).list(&Default::default()).await.unwrap().items.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_a_new_file_runs_chaos_at_once_and_loses_its_comments_to_ids_written_back() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "")));
    git.put(&path_of(PROJECT, "old"), Some(&theirs("old")));
    let commits = git.commits();
    sync(&cluster, &namespace, &git).await;
    assert_eq!(runs(&cluster, &namespace).await, 0);
    assert_eq!(git.commits(), commits, "nothing is written into Git that nobody changed");
    assert_eq!(git.text(&path_of(PROJECT, "kill")), Some(workflow("kill", "")));
    assert_eq!(object(&cluster, &namespace, "old").await.manifest, theirs("old"));
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_labels_of_an_installation_are_lost_or_drift_when_a_file_is_edited() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    git.put(&path_of(PROJECT, "old"), Some(&theirs("old")));
    sync(&cluster, &namespace, &git).await;
    let edited = theirs("old").replace("busybox", "alpine");
    edit(&cluster, &namespace, "old", &edited).await;
    sync(&cluster, &namespace, &git).await;
    assert_eq!(git.text(&path_of(PROJECT, "old")), Some(edited.clone()));
    // Another infrastructure is an ordinary change, not one that is refused in a log.
    let moved = edited.replace("i-1", "i-2");
    git.put(&path_of(PROJECT, "old"), Some(&moved));
    sync(&cluster, &namespace, &git).await;
    assert_eq!(object(&cluster, &namespace, "old").await.manifest, moved);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_cron_workflows_yml_files_and_broken_files_are_passed_over_in_silence() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    let cron = "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata: {name: cron}\nspec:\n  schedule: '0 3 * * *'\n  workflowSpec: {entrypoint: a, templates: [{name: a}]}\n";
    git.put(&path_of(PROJECT, "cron"), Some(cron));
    git.put("litmus/shop/short.yml", Some(&workflow("short", "")));
    git.put(&path_of(PROJECT, "broken"), Some("kind: [\n"));
    git.put(&path_of(PROJECT, "stem"), Some(&workflow("other", "")));
    git.put(&path_of(PROJECT, "two"), Some(&format!("{}---\n{}", workflow("two", ""), workflow("three", ""))));
    let report = sync(&cluster, &namespace, &git).await;
    assert_eq!(report.states["cron"], SyncState::InSync);
    for name in ["short.yml", "broken", "stem", "two"] {
        assert_eq!(report.states[name], SyncState::Invalid, "{name}");
        assert!(!object(&cluster, &namespace, name).await.message.is_empty(), "{name}");
    }
    // And it is looked at again as soon as it is mended, whatever the last commit was.
    git.put(&path_of(PROJECT, "broken"), Some(&workflow("broken", "")));
    assert_eq!(sync(&cluster, &namespace, &git).await.states["broken"], SyncState::InSync);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_a_file_deleted_or_renamed_in_git_stays_in_the_cluster_without_a_word() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    for name in ["gone", "before"] {
        git.put(&path_of(PROJECT, name), Some(&theirs(name)));
    }
    sync(&cluster, &namespace, &git).await;
    git.put(&path_of(PROJECT, "gone"), None);
    git.put(&path_of(PROJECT, "before"), None);
    let renamed = theirs("before").replace("name: before", "name: after");
    git.put(&path_of(PROJECT, "after"), Some(&renamed));
    let report = sync(&cluster, &namespace, &git).await;
    assert_eq!((report.states["gone"], report.states["after"]), (SyncState::DeletedInGit, SyncState::InSync));
    assert!(object(&cluster, &namespace, "before").await.message.contains("renamed to after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_a_changed_file_runs_a_finished_run_again() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "")));
    sync(&cluster, &namespace, &git).await;
    let seen = launch::preview(&cluster, &namespace, "kill", &labels("kill")).await.unwrap();
    // Under the very name that upstream looks for.
    let Next::Start(run) = launch::as_seen(&cluster, &namespace, "kill", &labels("kill"), &seen.digest).await.unwrap()
    else {
        panic!("it was there")
    };
    launch::start(&cluster, &run).await.unwrap();
    let api = cluster.api(&kinds::WORKFLOW, &namespace);
    let ended = json!({"status": {"phase": "Succeeded"}});
    let before = api.patch("kill", &PatchParams::default(), &Patch::Merge(&ended)).await.unwrap();
    git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "").replace("busybox", "alpine")));
    sync(&cluster, &namespace, &git).await;
    let after = api.get("kill").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
    assert_eq!(runs(&cluster, &namespace).await, 1);

    // A run that somebody deletes takes nothing along from Git.
    api.delete("kill", &DeleteParams::default()).await.unwrap();
    sync(&cluster, &namespace, &git).await;
    assert!(git.text(&path_of(PROJECT, "kill")).is_some_and(|text| text.contains("alpine")));
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_a_push_that_fails_makes_another_experiment_with_every_pass() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    git.put(&path_of(PROJECT, "new"), Some(&workflow("new", "")));
    git.inner.lock().unwrap().refuses = true;
    for _ in 0..3 {
        sync_once(&cluster, &namespace, PROJECT, &git).await.unwrap();
    }
    assert_eq!(workflow_object::list(&cluster, &namespace, PROJECT).await.unwrap().len(), 1);
    edit(&cluster, &namespace, "new", &workflow("new", "").replace("busybox", "alpine")).await;
    for _ in 0..3 {
        let report = sync_once(&cluster, &namespace, PROJECT, &git).await.unwrap();
        assert_eq!(report.states["new"], SyncState::Ahead, "said, not lost");
    }
    git.inner.lock().unwrap().refuses = false;
    assert_eq!(sync(&cluster, &namespace, &git).await.states["new"], SyncState::InSync);
    assert!(git.text(&path_of(PROJECT, "new")).is_some_and(|text| text.contains("alpine")));
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_the_last_writer_wins_in_silence() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "")));
    sync(&cluster, &namespace, &git).await;
    git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "").replace("busybox", "git")));
    edit(&cluster, &namespace, "kill", &workflow("kill", "").replace("busybox", "cluster")).await;
    let report = sync(&cluster, &namespace, &git).await;
    assert_eq!(report.states["kill"], SyncState::Conflict);
    assert!(git.text(&path_of(PROJECT, "kill")).is_some_and(|text| text.contains("git")));
    assert!(object(&cluster, &namespace, "kill").await.manifest.contains("cluster"));
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_a_rewritten_history_creates_and_runs_everything_again() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "")));
    git.put(&path_of(PROJECT, "passed"), Some(&workflow("passed", "")));
    git.put(&path_of(PROJECT, "passed"), None);
    sync(&cluster, &namespace, &git).await;
    let before = object(&cluster, &namespace, "kill").await;
    // Another history with other commits, and one file that a first-parent walk would not meet.
    let other = MemoryGit::default();
    for at in 0..5 {
        other.put("README.md", Some(&at.to_string()));
    }
    other.put(&path_of(PROJECT, "merged"), Some(&workflow("merged", "")));
    other.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "")));
    let report = sync(&cluster, &namespace, &other).await;
    assert_eq!(report.states.keys().map(String::as_str).collect::<Vec<_>>(), ["kill", "merged"]);
    let after = object(&cluster, &namespace, "kill").await;
    assert_eq!((after.manifest, after.synced_blob), (before.manifest, before.synced_blob));
    assert_eq!(runs(&cluster, &namespace).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_what_the_cluster_had_before_is_never_exported() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    git.put(&path_of(PROJECT, "kill"), Some(&workflow("kill", "")));
    sync(&cluster, &namespace, &git).await;
    // A repository that knows nothing of them, enabled for the same project later.
    let fresh = MemoryGit::default();
    fresh.put(&path_of(PROJECT, "there"), Some(&workflow("there", "")));
    let api = cluster.api(&kinds::CHAOS_WORKFLOW, &namespace);
    let unsynced = json!({"metadata": {"annotations": {"pilothouse.dev/synced-blob": null, "pilothouse.dev/synced-digest": null}}});
    let name = object(&cluster, &namespace, "kill").await.object;
    api.patch(&name, &PatchParams::default(), &Patch::Merge(&unsynced)).await.unwrap();
    sync(&cluster, &namespace, &fresh).await;
    assert_eq!(fresh.text(&path_of(PROJECT, "kill")), Some(workflow("kill", "")));
    assert_eq!(object(&cluster, &namespace, "there").await.state, Some(SyncState::InSync));
}
