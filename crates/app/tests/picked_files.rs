//! Files on disk are read for a page only when the user picked them.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::{path::Path, sync::Arc};

use pilothouse_app::{
    App, AppOptions, Silent,
    contract::{CredentialInput, ErrorCode, RemoteTarget},
    keychain::MemoryStore,
};

async fn open(dir: &Path) -> Arc<App> {
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(Vec::new()),
        ..AppOptions::new(dir.join("data"))
    };
    App::open(options, Arc::new(Silent)).await.unwrap()
}

fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_workflow_is_imported_from_a_picked_file_only() {
    let dir = tempfile::tempdir().unwrap();
    let app = open(dir.path()).await;
    let text = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: pod-delete\n";
    let path = file(dir.path(), "w.yaml", text);
    let refused = app.import_workflow_file("shop".into(), path.clone()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Blocked);
    app.remember_picked(&path);
    let imported = app.import_workflow_file("shop".into(), path).await.unwrap();
    assert_eq!((imported.name.as_str(), imported.text.as_str()), ("pod-delete", text));
}

#[tokio::test]
async fn a_picked_file_that_is_no_object_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let app = open(dir.path()).await;
    let texts = [
        "hush",
        "-----BEGIN KEY-----\nhush\n",
        "kind: hush\n",
        "- hush\n",
        "apiVersion: v1\nkind: [hush]\n",
        "",
        "apiVersion: v1\nkind: Config\nusers: [{name: a, user: {token: hush}}]\n",
        "apiVersion: v1\nkind: Secret\nstringData: {a: hush}\n",
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n---\napiVersion: v1\nkind: Secret\ndata: {a: hush}\n",
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let path = file(dir.path(), &number.to_string(), text);
        app.remember_picked(&path);
        let refused = app.import_workflow_file("shop".into(), path).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Chaos);
        assert!(!format!("{refused:?}").contains("hush"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_key_is_read_from_a_picked_file_only() {
    let dir = tempfile::tempdir().unwrap();
    let app = open(dir.path()).await;
    let path = file(dir.path(), "id", "no key");
    let attempt = || {
        let target = RemoteTarget::Url { url: "ssh://git@127.0.0.1:1/acme/repo".into() };
        app.test_remote(target, Some(CredentialInput::KeyFile { path: path.clone(), passphrase: None }))
    };
    let refused = attempt().await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Fields);
    assert!(format!("{refused:?}").contains("with the button"), "{refused:?}");
    app.remember_picked(&path);
    // The file is read now, and found to be no key.
    assert_ne!(attempt().await.unwrap_err().code, ErrorCode::Fields);
}
