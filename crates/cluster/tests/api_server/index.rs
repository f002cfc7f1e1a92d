//! The live index.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::client::Body;
use pilothouse_cluster::{Cluster, Kind, LiveIndex, Tuning, WatchSpec, WatchState, kinds};
use pilothouse_rig::Rig;
use serde_json::json;

use crate::{admin, until};

const QUICK: Tuning = Tuning { poll: Duration::from_millis(100), polls_before_watch: 3 };

fn map(name: &str, value: &str) -> DynamicObject {
    let json = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"v": value}}, "data": {"v": value}});
    serde_json::from_value(json).unwrap()
}

fn quiet() -> pilothouse_cluster::OnChange {
    Arc::new(|_| {})
}

fn value(index: &LiveIndex, namespace: &str, name: &str) -> Option<String> {
    let object = index.get(&kinds::CONFIG_MAP, namespace, name)?;
    object.data["data"]["v"].as_str().map(ToOwned::to_owned)
}

#[tokio::test]
async fn every_change_is_seen() {
    let namespace = Rig::get().namespace("index").await;
    let cluster = admin().await;
    let api = cluster.api(&kinds::CONFIG_MAP, &namespace);
    let post = PostParams::default();
    api.create(&post, &map("before", "1")).await.unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let counter = told.clone();
    let specs = vec![WatchSpec::in_namespace(kinds::CONFIG_MAP, &namespace)];
    let index = LiveIndex::start(
        &cluster,
        specs,
        Arc::new(move |kind: &Kind| {
            assert_eq!(*kind, kinds::CONFIG_MAP);
            counter.fetch_add(1, Ordering::SeqCst);
        }),
    );
    index.settled().await;
    assert_eq!(index.state(&kinds::CONFIG_MAP), WatchState::Live);
    assert_eq!(value(&index, &namespace, "before").as_deref(), Some("1"));
    assert!(index.get(&kinds::CONFIG_MAP, &namespace, "before").unwrap().metadata.managed_fields.is_none());

    api.create(&post, &map("after", "1")).await.unwrap();
    until("the new object", || value(&index, &namespace, "after").is_some()).await;
    api.patch("after", &PatchParams::default(), &Patch::Merge(json!({"data": {"v": "2"}}))).await.unwrap();
    until("the changed object", || value(&index, &namespace, "after").as_deref() == Some("2")).await;
    api.delete("before", &DeleteParams::default()).await.unwrap();
    until("the deletion", || index.get(&kinds::CONFIG_MAP, &namespace, "before").is_none()).await;
    assert!(index.list(&kinds::CONFIG_MAP).iter().any(|object| object.metadata.name.as_deref() == Some("after")));
    assert!(told.load(Ordering::SeqCst) >= 4);

    // Dropped, it is told nothing more.
    drop(index);
    let before = told.load(Ordering::SeqCst);
    let witness = LiveIndex::start(&cluster, vec![WatchSpec::in_namespace(kinds::CONFIG_MAP, &namespace)], quiet());
    witness.settled().await;
    api.create(&post, &map("late", "1")).await.unwrap();
    until("the witness", || value(&witness, &namespace, "late").is_some()).await;
    assert_eq!(told.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn labels_choose() {
    let namespace = Rig::get().namespace("labels").await;
    let cluster = admin().await;
    let api = cluster.api(&kinds::CONFIG_MAP, &namespace);
    for (name, label) in [("yes", "1"), ("no", "2")] {
        api.create(&PostParams::default(), &map(name, label)).await.unwrap();
    }
    let spec = WatchSpec { labels: Some("v=1".to_owned()), ..WatchSpec::in_namespace(kinds::CONFIG_MAP, &namespace) };
    let index = LiveIndex::start(&cluster, vec![spec], quiet());
    index.settled().await;
    assert_eq!(index.list(&kinds::CONFIG_MAP).len(), 1);
    // An object that loses the label leaves the picture.
    api.patch("yes", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"labels": {"v": "3"}}})))
        .await
        .unwrap();
    until("the relabelled object to go", || index.list(&kinds::CONFIG_MAP).is_empty()).await;
}

/// The rig's cluster, with each request seen, changed or stopped on its way by `change`.
async fn through(change: impl Fn(&mut http::Request<Body>) -> std::io::Result<()> + Send + Sync + 'static) -> Cluster {
    let client = Rig::get().client().await;
    let change = Arc::new(change);
    let service = tower::service_fn(move |mut request: http::Request<Body>| {
        let changed = change(&mut request);
        let client = client.clone();
        async move {
            changed?;
            client.send(request).await.map_err(Box::<dyn std::error::Error + Send + Sync>::from)
        }
    });
    Cluster::from_client(kube::Client::new(service, "default"), "rig", false)
}

/// Puts another value for a parameter of the request's query.
fn set_parameter(request: &mut http::Request<Body>, name: &str, value: &str) {
    let uri = request.uri().to_string();
    let start = uri.find(&format!("{name}=")).unwrap() + name.len() + 1;
    let end = uri[start..].find('&').map_or(uri.len(), |at| start + at);
    *request.uri_mut() = format!("{}{value}{}", &uri[..start], &uri[end..]).parse().unwrap();
}

#[tokio::test]
async fn an_expired_watch_begins_anew() {
    let namespace = Rig::get().namespace("gone").await;
    let admin = admin().await;
    // The beginning of time is forgotten a few seconds after the server's start.
    let path = format!("/api/v1/namespaces/{namespace}/configmaps?watch=true&resourceVersion=1&timeoutSeconds=1");
    loop {
        let answer = admin.client().request_text(http::Request::get(&path).body(Vec::new()).unwrap()).await;
        let gone = |error: kube::Error| pilothouse_cluster::explain(&error).code() == "cluster.gone";
        if answer.map_or_else(gone, |text| text.contains("\"code\":410")) {
            break;
        }
    }
    // The first watches ask for what happened since then; the server says 410.
    let expired = Arc::new(AtomicUsize::new(0));
    let count = expired.clone();
    let cluster = through(move |request| {
        if request.uri().to_string().contains("watch=true") && count.fetch_add(1, Ordering::SeqCst) < 2 {
            set_parameter(request, "resourceVersion", "1");
        }
        Ok(())
    })
    .await;
    let index = LiveIndex::start(&cluster, vec![WatchSpec::in_namespace(kinds::CONFIG_MAP, &namespace)], quiet());
    index.settled().await;
    let api = cluster.api(&kinds::CONFIG_MAP, &namespace);
    api.create(&PostParams::default(), &map("one", "1")).await.unwrap();
    until("a third watch", || expired.load(Ordering::SeqCst) >= 3).await;
    until("the object", || value(&index, &namespace, "one").is_some()).await;
    api.patch("one", &PatchParams::default(), &Patch::Merge(json!({"data": {"v": "2"}}))).await.unwrap();
    until("the change", || value(&index, &namespace, "one").as_deref() == Some("2")).await;
    assert_eq!(index.state(&kinds::CONFIG_MAP), WatchState::Live);
}

/// Two objects a page instead of hundreds, and the pages' mark as `change` would have it; lists five, and returns the
/// names found and the requests made.
async fn by_twos(namespace: &str, change: fn(&mut http::Request<Body>)) -> (Vec<String>, Vec<String>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let cluster = through(move |request| {
        if request.uri().to_string().contains("limit=") {
            set_parameter(request, "limit", "2");
        }
        change(request);
        noted.lock().unwrap().push(request.uri().to_string());
        Ok(())
    })
    .await;
    let listed = cluster.list_all("the maps", &cluster.api(&kinds::CONFIG_MAP, namespace)).await.unwrap();
    let own = |name: &String| name.starts_with("map-");
    let names = listed.iter().filter_map(|object| object.metadata.name.clone()).filter(own).collect();
    let asked = asked.lock().unwrap().clone();
    (names, asked)
}

#[tokio::test]
async fn a_long_list_comes_by_pages_also_when_they_expire() {
    let namespace = Rig::get().namespace("pages").await;
    let api = admin().await.api(&kinds::CONFIG_MAP, &namespace);
    let wanted: Vec<String> = (0..5).map(|n| format!("map-{n}")).collect();
    for name in &wanted {
        api.create(&PostParams::default(), &map(name, "1")).await.unwrap();
    }
    let (names, asked) = by_twos(&namespace, |_| {}).await;
    assert_eq!(names, wanted);
    assert!(asked.len() >= 3, "{asked:?}");
    // A mark from the beginning of time, which the server forgets a few seconds after its start.
    let old = |request: &mut http::Request<Body>| {
        if request.uri().to_string().contains("continue=") {
            let mark = json!({"v": "meta.k8s.io/v1", "rv": 1, "start": "map-0\u{0}"}).to_string();
            set_parameter(request, "continue", &URL_SAFE_NO_PAD.encode(mark));
        }
    };
    for _ in 0..900 {
        let (names, asked) = by_twos(&namespace, old).await;
        if asked.last().is_some_and(|last| !last.contains("limit=")) {
            assert_eq!(names, wanted);
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server never forgot");
}

/// Sets what the rig's viewer may do with ConfigMaps in a namespace.
async fn allow_viewer(namespace: &str, verbs: &[&str]) {
    let cluster = admin().await;
    let role = Kind { group: "rbac.authorization.k8s.io", version: "v1", kind: "Role", plural: "roles" };
    let binding = Kind { kind: "RoleBinding", plural: "rolebindings", ..role };
    let rules = json!({"apiVersion": role.api_version(), "kind": "Role", "metadata": {"name": "maps"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]});
    let params = PatchParams::apply("test").force();
    cluster.api(&role, namespace).patch("maps", &params, &Patch::Apply(rules)).await.unwrap();
    let bound = json!({"apiVersion": role.api_version(), "kind": "RoleBinding", "metadata": {"name": "maps"},
        "roleRef": {"apiGroup": role.group, "kind": "Role", "name": "maps"},
        "subjects": [{"apiGroup": role.group, "kind": "User", "name": "viewer"}]});
    cluster.api(&binding, namespace).patch("maps", &params, &Patch::Apply(bound)).await.unwrap();
}

#[tokio::test]
async fn a_forbidden_watch_becomes_a_poll_and_rights_that_change_are_noticed() {
    let namespace = Rig::get().namespace("poll").await;
    let api = admin().await.api(&kinds::CONFIG_MAP, &namespace);
    let viewer = Cluster::from_client(Rig::get().viewer().await, "rig", false);
    let specs = vec![WatchSpec::in_namespace(kinds::CONFIG_MAP, &namespace)];
    let index = LiveIndex::start_with(&viewer, specs, quiet(), QUICK);
    index.settled().await;
    let state = || index.state(&kinds::CONFIG_MAP);
    assert!(matches!(state(), WatchState::Forbidden(words) if words.contains("configmaps")), "{:?}", state());

    allow_viewer(&namespace, &["list"]).await;
    until("the polling", || state() == WatchState::Polling).await;
    api.create(&PostParams::default(), &map("one", "1")).await.unwrap();
    until("the object", || value(&index, &namespace, "one").is_some()).await;
    api.delete("one", &DeleteParams::default()).await.unwrap();
    until("the deletion", || value(&index, &namespace, "one").is_none()).await;

    allow_viewer(&namespace, &["list", "watch"]).await;
    until("the watch", || state() == WatchState::Live).await;
}

#[tokio::test]
async fn a_kind_that_is_absent_is_said_to_be() {
    let absent = Kind { group: "absent.example", version: "v1", kind: "Nothing", plural: "nothings" };
    let index = LiveIndex::start_with(&admin().await, vec![WatchSpec::everywhere(absent)], quiet(), QUICK);
    index.settled().await;
    assert_eq!(index.state(&absent), WatchState::Absent);
    assert!(index.list(&absent).is_empty());
}

#[tokio::test]
async fn without_a_connection_the_last_picture_stays() {
    let namespace = Rig::get().namespace("offline").await;
    let cut = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let offline = cut.clone();
    let cluster = through(move |request| {
        if offline.load(Ordering::SeqCst) {
            return Err(std::io::ErrorKind::ConnectionRefused.into());
        }
        if request.uri().to_string().contains("watch=true") {
            // The server ends each watch after a second, so that the next one meets the cut.
            set_parameter(request, "timeoutSeconds", "1");
        }
        Ok(())
    })
    .await;
    let api = admin().await.api(&kinds::CONFIG_MAP, &namespace);
    api.create(&PostParams::default(), &map("one", "1")).await.unwrap();
    let index = LiveIndex::start(&cluster, vec![WatchSpec::in_namespace(kinds::CONFIG_MAP, &namespace)], quiet());
    index.settled().await;
    cut.store(true, Ordering::SeqCst);
    until("the trouble", || matches!(index.state(&kinds::CONFIG_MAP), WatchState::Retrying(_))).await;
    assert!(value(&index, &namespace, "one").is_some());
    api.patch("one", &PatchParams::default(), &Patch::Merge(json!({"data": {"v": "2"}}))).await.unwrap();
    cut.store(false, Ordering::SeqCst);
    until("the missed change", || value(&index, &namespace, "one").as_deref() == Some("2")).await;
    until("the recovery", || index.state(&kinds::CONFIG_MAP) == WatchState::Live).await;
}
