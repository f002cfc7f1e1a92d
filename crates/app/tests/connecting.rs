//! Connecting, on the practice cluster and through kubeconfig files.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::sync::Arc;

use pilothouse_app::{
    App, AppOptions, EventSink, Silent,
    contract::{Changed, ComponentKind, ConnectTarget, ErrorCode, Notice, OperationProgress, Topic},
    keychain::MemoryStore,
};
use pilothouse_rig::{
    Rig,
    proxy::{Manner, Proxy},
};

async fn open(dir: &std::path::Path, kubeconfig: Vec<std::path::PathBuf>) -> Arc<App> {
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(kubeconfig),
        ..AppOptions::new(dir.to_owned())
    };
    App::open(options, Arc::new(Silent)).await.unwrap()
}

#[tokio::test]
async fn the_practice_cluster_is_there_without_any_kubeconfig() {
    let dir = tempfile::tempdir().unwrap();
    let app = open(dir.path(), vec![dir.path().join("missing")]).await;
    let contexts = app.list_contexts().await.unwrap();
    assert!(contexts.practice);
    assert!(contexts.contexts.is_empty());
    assert_eq!(app.current_session().await.unwrap(), None);

    let session = app.connect(ConnectTarget::Practice, "op".into()).await.unwrap();
    assert!(session.practice);
    assert_eq!(session.platform.as_deref(), Some("krci"));
    for component in &session.components {
        assert!(component.present, "{component:?}");
        assert!(component.missing_means.is_empty());
    }
    assert!(session.components.iter().any(|c| c.id == ComponentKind::Pilothouse));

    app.disconnect().await.unwrap();
    assert_eq!(app.current_session().await.unwrap(), None);
}

#[tokio::test]
async fn several_files_are_read_and_a_broken_one_hides_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    let broken = dir.path().join("broken");
    std::fs::write(
        &good,
        "apiVersion: v1\nkind: Config\ncurrent-context: shop-prod\nclusters:\n- name: shop\n  cluster:\n    server: \
         https://127.0.0.1:1\ncontexts:\n- name: shop-prod\n  context:\n    cluster: shop\n    user: ada\nusers:\n- \
         name: ada\n  user: {}\n",
    )
    .unwrap();
    std::fs::write(&broken, ": not yaml: [").unwrap();
    let app = open(&dir.path().join("data"), vec![broken, good]).await;
    let contexts = app.list_contexts().await.unwrap();
    assert!(contexts.files[0].error.is_some());
    assert_eq!(contexts.files[1].error, None);
    assert_eq!(contexts.contexts.len(), 1);
    assert!(contexts.contexts[0].production);

    let target = ConnectTarget::Context { name: "shop-prod".into() };
    let refused = app.connect(target, "op".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ClusterUnreachable);
    let unknown = app.connect(ConnectTarget::Context { name: "none".into() }, "op".into()).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::ClusterKubeconfig);
}

#[tokio::test]
async fn without_a_connection_pages_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let app = open(dir.path(), Vec::new()).await;
    assert_eq!(app.select_platform("krci".into()).await.unwrap_err().code, ErrorCode::NotConnected);
}

/// Hands on what changed.
struct Hears(tokio::sync::mpsc::UnboundedSender<Topic>);

impl EventSink for Hears {
    fn changed(&self, event: Changed) {
        let _ = self.0.send(event.topic);
    }
    fn progress(&self, _: OperationProgress) {}
    fn notice(&self, _: Notice, _: bool) {}
}

#[tokio::test]
async fn a_new_kubeconfig_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(vec![file.clone()]),
        ..AppOptions::new(dir.path().join("data"))
    };
    let app = App::open(options, Arc::new(Hears(sender))).await.unwrap();
    // Written again and again, for the first look may come at any time.
    let writes = async {
        for round in 0.. {
            std::fs::write(&file, format!("apiVersion: v1\nkind: Config\n# {round}\n")).unwrap();
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = writes => unreachable!(),
        topic = async { while heard.recv().await != Some(Topic::Contexts) {} } => topic,
    }
    app.close().await;
}

/// The rig's API server behind a proxy that the kubeconfig names.
async fn through(
    proxy: &str,
) -> (Result<pilothouse_app::contract::Session, pilothouse_app::AppError>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(Rig::get().kubeconfig()).unwrap();
    let with = text.replacen("\"server\":", &format!("\"proxy-url\": \"{proxy}\", \"server\":"), 1);
    assert_ne!(with, text);
    let file = dir.path().join("config");
    std::fs::write(&file, with).unwrap();
    let app = open(&dir.path().join("data"), vec![file]).await;
    (app.connect(ConnectTarget::Context { name: "rig".into() }, "op".into()).await, dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn case_09_a_kubeconfigs_proxy_is_used_and_its_refusal_is_told() {
    let open_proxy = Proxy::http(Manner::Open).unwrap();
    let (session, _dir) = through(&format!("http://127.0.0.1:{}", open_proxy.port)).await;
    assert_eq!(session.unwrap().name, "rig");
    assert!(open_proxy.asked().iter().all(|asked| asked.line.starts_with("CONNECT 127.0.0.1:")));
    assert!(!open_proxy.asked().is_empty(), "nothing went past the proxy");

    let guarded = Proxy::http(Manner::Guarded("Basic YWRhOnBhNTUtb2YtdGhlLXByb3h5".to_owned())).unwrap();
    let (session, _dir) = through(&format!("http://ada:pa55-of-the-proxy@127.0.0.1:{}", guarded.port)).await;
    assert_eq!(session.unwrap().name, "rig");
    let (refused, _dir) = through(&format!("http://ada:wr0ng-of-the-proxy@127.0.0.1:{}", guarded.port)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ClusterUnreachable, "{refused:?}");
    assert!(refused.message.contains("proxy"), "{refused:?}");
    assert!(!format!("{refused:?}").contains("wr0ng-of-the-proxy"), "{refused:?}");

    let (page, _dir) = through(&format!("http://127.0.0.1:{}", Proxy::http(Manner::Page(403)).unwrap().port)).await;
    assert_eq!(page.unwrap_err().code, ErrorCode::ClusterUnreachable);
    let (odd, _dir) = through("ftp://127.0.0.1:1").await;
    let odd = odd.unwrap_err();
    assert!(odd.code == ErrorCode::ClusterKubeconfig && odd.message.contains("proxy-url"), "{odd:?}");
}
