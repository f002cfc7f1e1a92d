//! The practice cluster between starts, and the certificates of a private authority.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::{path::Path, sync::Arc};

use pilothouse_app::{
    App, AppOptions, Silent,
    contract::{AuthoritySource, CommitValues, ConnectTarget, ErrorCode},
    keychain::MemoryStore,
};

async fn open(dir: &Path) -> Arc<App> {
    open_with(AppOptions { authority: None, ..AppOptions::new(dir.to_owned()) }).await
}

async fn open_with(options: AppOptions) -> Arc<App> {
    let options = AppOptions { secrets: Arc::new(MemoryStore::default()), kubeconfig: Some(Vec::new()), ..options };
    App::open(options, Arc::new(Silent)).await.unwrap()
}

/// Leaves a commit waiting for a decision.
async fn keep_in_conflict(app: &App) {
    app.set_identity("Ada Example".into(), "ada@example.org".into()).await.unwrap();
    app.register_repository("https://git.practice.local/acme/cart.git".into()).await.unwrap();
    let change = |text: &str| CommitValues {
        flow: "storefront".into(),
        env: "dev".into(),
        app: "cart".into(),
        text: text.into(),
        base_blob: None,
        message: "Change the cart".into(),
    };
    app.commit_values(change("replicaCount: 1\n"), "commit".into()).await.unwrap();
    app.keep_values(change("replicaCount: 2\n")).await.unwrap();
    assert_eq!(app.push_waiting("push".into()).await.unwrap().waiting.entries.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn practice_is_kept_until_it_is_started_afresh() {
    let dir = tempfile::tempdir().unwrap();
    let app = open(dir.path()).await;
    assert!(!app.list_contexts().await.unwrap().practice_kept);
    app.connect(ConnectTarget::Practice, "op".into()).await.unwrap();
    assert!(app.list_contexts().await.unwrap().practice_kept);
    app.close().await;
    drop(app);

    let app = open(dir.path()).await;
    assert!(app.list_contexts().await.unwrap().practice_kept, "found again by the next start");
    app.connect(ConnectTarget::Practice, "op".into()).await.unwrap();
    keep_in_conflict(&app).await;
    app.reset_practice().await.unwrap();
    assert!(app.waiting_commits().await.unwrap().entries.is_empty(), "what waited for the old repositories went too");
    assert_eq!(app.current_session().await.unwrap(), None, "the connection to it ended");
    assert!(!app.list_contexts().await.unwrap().practice_kept);
    assert!(!dir.path().join("practice").join("repositories").exists());

    let again = app.connect(ConnectTarget::Practice, "op".into()).await.unwrap();
    assert!(again.practice, "and it starts as the first time");
    assert_eq!(app.list_flows().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn argo_cd_alone_is_a_practice_cluster_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let app = open(dir.path()).await;
    app.connect(ConnectTarget::Practice, "op".into()).await.unwrap();
    app.register_repository("https://git.practice.local/acme/cart.git".into()).await.unwrap();

    let session = app.connect(ConnectTarget::PracticeArgoCd, "op".into()).await.unwrap();
    assert!(session.practice && session.platform.is_none() && session.platforms.is_empty());
    let view = app.argo_cd().await.unwrap();
    assert_eq!(view.repository, None, "what is registered on the one is not on the other");
    assert_eq!(view.elsewhere[0].url, "https://git.practice.local/acme/gitops.git");
    app.register_repository(view.elsewhere[0].url.clone()).await.unwrap();
    app.clone_repository("clone".into()).await.unwrap();
    let flows = app.list_flows().await.unwrap();
    assert_eq!((flows[0].name.as_str(), flows[0].environments[0].applications.len()), ("shop", 1));
    let found = app.list_contexts().await.unwrap();
    assert!(found.practice_kept && found.practice_argo_cd_kept);

    app.reset_practice().await.unwrap();
    let found = app.list_contexts().await.unwrap();
    assert!(!found.practice_kept && !found.practice_argo_cd_kept);
    app.connect(ConnectTarget::PracticeArgoCd, "op".into()).await.unwrap();
    assert_eq!(app.argo_cd().await.unwrap().repository, None, "nothing is registered any more");
}

#[tokio::test]
async fn an_authority_is_picked_checked_kept_and_overruled_by_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::new(vec!["ca.example".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let path = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (good, bad) = (path("ca.pem", &pem), path("key.pem", &key.serialize_pem()));

    let app = open(&data).await;
    assert_eq!(app.authority().await.unwrap().source, AuthoritySource::None);
    assert_eq!(app.set_authority(Some(good.clone())).await.unwrap_err().code, ErrorCode::Blocked, "nobody picked it");
    app.remember_picked(&good);
    app.remember_picked(&bad);
    assert_eq!(app.set_authority(Some(bad)).await.unwrap_err().code, ErrorCode::GitBadAuthority);
    let view = app.set_authority(Some(good.clone())).await.unwrap();
    assert_eq!((view.source, view.certificates.len(), view.problem), (AuthoritySource::Settings, 1, None));
    drop(app);

    let app = open(&data).await;
    assert_eq!(app.authority().await.unwrap().path, Some(good.clone()), "kept");
    std::fs::remove_file(&good).unwrap();
    assert!(app.authority().await.unwrap().problem.is_some(), "a file that is gone is told");
    assert_eq!(app.set_authority(None).await.unwrap().source, AuthoritySource::None);
    drop(app);

    let named = path("other.pem", &pem);
    let app = open_with(AppOptions { authority: Some(named.clone().into()), ..AppOptions::new(data) }).await;
    let view = app.authority().await.unwrap();
    assert_eq!((view.source, view.path), (AuthoritySource::Environment, Some(named)));
}
