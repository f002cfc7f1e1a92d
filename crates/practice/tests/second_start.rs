//! A practice cluster that is started again goes on where it stood.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its story cannot go on")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use pilothouse_practice::PracticeCluster;
use pilothouse_practice::controllers::{Actor, ActorConfig};
use pilothouse_practice::git_remote::{GitAccess, GitRemote};
use serde_json::{Value, json};

async fn start(dir: &Path) -> PracticeCluster {
    let remote = Arc::new(GitRemote::create(&dir.join("repositories")).unwrap());
    let git: Arc<dyn GitAccess> = remote.clone();
    let config = ActorConfig::new("krci", Some(git)).paced(Duration::from_millis(10));
    PracticeCluster::start_kept(dir, remote, config, Actor::ALL).await.unwrap()
}

fn api(cluster: &PracticeCluster, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(cluster.client(), "krci", &resource)
}

fn codebases(cluster: &PracticeCluster) -> Api<DynamicObject> {
    api(cluster, "v2.edp.epam.com", "v1", "Codebase")
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

fn gitops() -> DynamicObject {
    object(json!({
        "apiVersion": "v2.edp.epam.com/v1", "kind": "Codebase",
        "metadata": { "name": "krci-gitops", "labels": {
            "app.edp.epam.com/systemType": "gitops", "app.edp.epam.com/codebaseType": "system",
        } },
        "spec": {
            "ciTool": "tekton", "type": "system", "buildTool": "helm", "defaultBranch": "main",
            "deploymentScript": "helm-chart", "emptyProject": false, "framework": "gitops",
            "gitServer": "practice-git", "lang": "helm", "private": true, "strategy": "create",
            "versioning": { "type": "semver", "startFrom": "0.1.0-SNAPSHOT" },
            "gitUrlPath": "/acme/krci-gitops", "repository": null,
        },
    }))
}

async fn created(api: &Api<DynamicObject>, name: &str) -> DynamicObject {
    for _ in 0..1500 {
        if let Some(found) = api.get_opt(name).await.unwrap()
            && found.data["status"]["status"] == "created"
        {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name} was never created");
}

fn version(object: &DynamicObject) -> u64 {
    object.metadata.resource_version.as_deref().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_is_there_again_and_versions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path()).await;
    let api = codebases(&cluster);
    api.create(&PostParams::default(), &gitops()).await.unwrap();
    let before = created(&api, "krci-gitops").await;
    cluster
        .repositories()
        .commit_files("acme/krci-gitops", "main", &[("storefront/dev/cart-values.yaml", "replicaCount: 2\n")], "Two")
        .unwrap();
    let started = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    drop((api, cluster));

    let cluster = start(dir.path()).await;
    let api = codebases(&cluster);
    let after = api.get("krci-gitops").await.unwrap();
    assert_eq!(after.metadata.uid, before.metadata.uid, "the same object, not one of the same name");
    assert_eq!(after.data["status"]["status"], "created");
    let values = cluster.repositories().read("acme/krci-gitops", "main", "storefront/dev/cart-values.yaml").unwrap();
    assert_eq!(values.as_deref(), Some("replicaCount: 2\n"));

    let label = Patch::Merge(json!({ "metadata": { "labels": { "touched": "yes" } } }));
    let touched = api.patch("krci-gitops", &PatchParams::default(), &label).await.unwrap();
    assert!(version(&touched) > started.parse().unwrap(), "versions go on");

    let mut old = api.watch(&WatchParams::default(), &started).await.unwrap().boxed();
    match old.next().await.unwrap() {
        Ok(WatchEvent::Error(status)) => assert_eq!(status.code, 410),
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 410),
        other => panic!("a watch from before the start must begin anew: {other:?}"),
    }
    // The seed is planted once: what its owner deletes stays away.
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_stays_deleted_and_owned_objects_stay() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path()).await;
    let maps = api(&cluster, "", "v1", "ConfigMap");
    maps.delete("krci-config", &Default::default()).await.unwrap();
    let branches = api(&cluster, "v2.edp.epam.com", "v1", "CodebaseBranch");
    let owned = branches.list(&ListParams::default()).await.unwrap().items.len();
    assert!(owned > 0);
    cluster.save().unwrap();
    // As after a kill: nothing more is written, nothing is put in order.
    cluster.stop();

    let again = start(dir.path()).await;
    assert!(api(&again, "", "v1", "ConfigMap").get_opt("krci-config").await.unwrap().is_none());
    let branches = api(&again, "v2.edp.epam.com", "v1", "CodebaseBranch");
    assert_eq!(branches.list(&ListParams::default()).await.unwrap().items.len(), owned);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path()).await;
    let secret = object(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mine" },
        "stringData": { "token": "keep-me-out-of-files" },
    }));
    api(&cluster, "", "v1", "Secret").create(&PostParams::default(), &secret).await.unwrap();
    drop(cluster);
    let text = std::fs::read_to_string(dir.path().join("objects.json")).unwrap();
    assert!(text.contains("\"mine\""));
    assert!(!text.contains("keep-me-out-of-files") && !text.contains("a2VlcC1tZS1vdXQtb2YtZmlsZXM"));
    let again = start(dir.path()).await;
    let kept = api(&again, "", "v1", "Secret").get("mine").await.unwrap();
    assert_eq!(kept.data["data"]["token"], "", "the key is there, its value is not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_is_set_aside_and_forgetting_removes_all() {
    let dir = tempfile::tempdir().unwrap();
    drop(start(dir.path()).await);
    std::fs::write(dir.path().join("objects.json"), b"{\"form\":1,").unwrap();
    let cluster = start(dir.path()).await;
    assert_eq!(codebases(&cluster).list(&ListParams::default()).await.unwrap().items.len(), 2);
    assert!(dir.path().join("objects.unread.json").exists());

    cluster.stop();
    PracticeCluster::forget(dir.path()).unwrap();
    drop(cluster);
    assert!(!PracticeCluster::is_kept(dir.path()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left, and nothing comes back");
}
