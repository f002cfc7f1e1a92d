//! All that is out of sync in an environment, synced together where Argo CD alone deploys: what is in sync is not touched,
//! and what is not as it was shown is left alone and told.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use kube::api::{Patch, PatchParams};
use pilothouse_app::contract::{
    ActivityOutcome, ApplicationForm, Changed, CommitOutcome, CommitValues, ErrorCode, NewApplication, Notice,
    OperationProgress, SyncAllChoice, SyncAllEnd, SyncAllEntry, SyncAllPreview, SyncAllRequest, SyncAllResult,
    ValuesFile,
};
use pilothouse_app::{App, EventSink};
use pilothouse_cluster::kinds;
use serde_json::json;

use super::argo_cd_alone::{Alone, FLOW, look};
use super::stage::until;

const CART: &str = "cart";
const CHECKOUT: &str = "checkout";

async fn make(app: &App, form: ApplicationForm) {
    let preview = app.preview_application(form.clone()).await.unwrap();
    assert!(preview.checks.iter().all(|one| one.ok), "{:#?}", preview.checks);
    let request = NewApplication { form, seen: preview.yaml, seen_file: preview.file_text, confirm: None };
    app.create_application(request, "make".into()).await.unwrap();
}

async fn commit(app: &App, name: &str, text: &str) {
    let file = ValuesFile { flow: FLOW.into(), env: "dev".into(), app: name.into() };
    let opened = app.open_values(file).await.unwrap();
    let request = CommitValues {
        flow: FLOW.into(),
        env: "dev".into(),
        app: name.into(),
        text: text.into(),
        base_blob: opened.base_blob,
        message: format!("Change {name}"),
    };
    let outcome = app.commit_values(request, "commit".into()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?}");
}

async fn preview(app: &App) -> SyncAllPreview {
    app.preview_sync_all(FLOW.into(), "dev".into()).await.unwrap()
}

/// Waits until just these are out of sync, and none of them is being synced.
async fn behind(app: &App, names: &[&str]) -> SyncAllPreview {
    until(&format!("{names:?} out of sync"), async || {
        let found = preview(app).await;
        let all: Vec<&str> = found.applications.iter().map(|one| one.app.as_str()).collect();
        (all == names && found.applications.iter().all(|one| one.blocked.is_none())).then_some(found)
    })
    .await
}

fn request(entries: &[SyncAllEntry]) -> SyncAllRequest {
    let choices = entries.iter().map(|one| SyncAllChoice { app: one.app.clone(), seen: one.seen.clone() });
    SyncAllRequest { flow: FLOW.into(), env: "dev".into(), choices: choices.collect(), prune: false, confirm: None }
}

async fn sync(app: &App, entries: &[SyncAllEntry]) -> Vec<SyncAllResult> {
    app.sync_all(request(entries), "together".into()).await.unwrap()
}

/// Halts the app where it says that it syncs the cart, until it is let go on.
struct Halting {
    reached: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl EventSink for Halting {
    fn changed(&self, _: Changed) {}

    fn progress(&self, event: OperationProgress) {
        if event.label == "Syncing cart" {
            self.reached.send(()).unwrap();
            let _ = self.go_on.lock().unwrap().recv();
        }
    }

    fn notice(&self, _: Notice, _: bool) {}
}

async fn in_sync(app: &App) {
    until("everything in sync", async || {
        let view = look(app, "dev").await;
        let well = |one: &pilothouse_app::contract::ApplicationView| {
            one.sync.status == "Synced" && one.health.status == "Healthy" && one.drift.is_none()
        };
        (view.applications.len() == 2 && view.applications.iter().all(well)).then_some(())
    })
    .await;
}

async fn replicas(alone: &Alone, name: &str) -> Option<i64> {
    let found = alone.api(&kinds::DEPLOYMENT, &alone.target).await.get_opt(name).await.unwrap()?;
    found.data["spec"]["replicas"].as_i64()
}

/// How often Argo CD has synced an Application.
async fn syncs(alone: &Alone, name: &str) -> usize {
    let found = alone.application(&format!("shop-dev-{name}")).await.unwrap();
    found.data["status"]["history"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_sync_is_synced_together() {
    let alone = Alone::start().await;
    let data = tempfile::tempdir().unwrap();
    let app: Arc<App> = alone.app("robin", data.path()).await;
    alone.register(&app).await;
    make(&app, alone.form("dev")).await;
    let checkout = ApplicationForm {
        app: CHECKOUT.into(),
        name: "shop-dev-checkout".into(),
        chart_url: alone.url("acme/checkout"),
        revision: "build/2.0.0-SNAPSHOT.7".into(),
        image_tag: "2.0.0-SNAPSHOT.7".into(),
        ..alone.form("dev")
    };
    make(&app, checkout).await;

    // Both are new, so both are behind.
    let found = behind(&app, &[CART, CHECKOUT]).await;
    assert!(found.permission.allowed && found.in_sync == 0, "{found:?}");
    let results = sync(&app, &found.applications).await;
    assert!(results.len() == 2 && results.iter().all(|one| one.end == SyncAllEnd::Asked), "{results:?}");
    in_sync(&app).await;
    let none = preview(&app).await;
    assert_eq!((none.applications.len(), none.in_sync), (0, 2));
    let empty =
        SyncAllRequest { flow: FLOW.into(), env: "dev".into(), choices: Vec::new(), prune: false, confirm: None };
    assert_eq!(app.sync_all(empty, "none".into()).await.unwrap_err().code, ErrorCode::Blocked);

    // One changes in Git: the other is neither shown nor touched.
    commit(&app, CART, "replicaCount: 2\n").await;
    let found = behind(&app, &[CART]).await;
    assert!(found.applications[0].drift && found.in_sync == 1, "{found:?}");
    let before = syncs(&alone, CHECKOUT).await;
    let results = sync(&app, &found.applications).await;
    assert_eq!(results.iter().map(|one| one.end).collect::<Vec<_>>(), [SyncAllEnd::Asked]);
    until("the cart's replicas", async || (replicas(&alone, CART).await == Some(2)).then_some(())).await;
    in_sync(&app).await;
    assert_eq!(syncs(&alone, CHECKOUT).await, before);

    // Both change, and somebody sets one of them to something else after it was shown.
    commit(&app, CART, "replicaCount: 3\n").await;
    commit(&app, CHECKOUT, "replicaCount: 3\n").await;
    let found = behind(&app, &[CART, CHECKOUT]).await;
    let patch = json!({ "spec": { "revisionHistoryLimit": 7 } });
    let applications = alone.api(&kinds::APPLICATION, &alone.argo).await;
    applications.patch("shop-dev-cart", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    let before = syncs(&alone, CART).await;
    let gone = SyncAllEntry { app: "gone".into(), ..found.applications[0].clone() };
    let results = sync(&app, &[found.applications.clone(), vec![gone]].concat()).await;
    let ends: Vec<(&str, SyncAllEnd)> = results.iter().map(|one| (one.app.as_str(), one.end)).collect();
    assert_eq!(
        ends,
        [(CART, SyncAllEnd::Stale), (CHECKOUT, SyncAllEnd::Asked), ("gone", SyncAllEnd::Stale)],
        "{results:?}"
    );
    assert!(results.iter().all(|one| one.why.is_some() == (one.end != SyncAllEnd::Asked)), "{results:?}");
    until("the checkout's replicas", async || (replicas(&alone, CHECKOUT).await == Some(3)).then_some(())).await;
    assert_eq!((replicas(&alone, CART).await, syncs(&alone, CART).await), (Some(2), before), "left alone");

    // Looked at again, it is what was shown.
    let found = behind(&app, &[CART]).await;
    assert_eq!(sync(&app, &found.applications).await[0].end, SyncAllEnd::Asked);
    until("the cart's replicas", async || (replicas(&alone, CART).await == Some(3)).then_some(())).await;
    in_sync(&app).await;

    cancelled_between(&alone).await;

    // Who may only look is told so, and asks for nothing.
    let data = tempfile::tempdir().unwrap();
    let sam = alone.app("sam", data.path()).await;
    alone.register(&sam).await;
    let refused = preview(&sam).await.permission;
    assert!(!refused.allowed && refused.why.unwrap().contains("update"));
    let before = syncs(&alone, CART).await;
    let results = sync(&sam, &found.applications).await;
    assert_eq!((results[0].end, syncs(&alone, CART).await), (SyncAllEnd::Failed, before), "{results:?}");
}

/// Cancelled while the first is asked for: that one is synced and on the timeline, and the second is not touched.
async fn cancelled_between(alone: &Alone) {
    let (reached, halted) = channel();
    let (let_go, go_on) = channel();
    let data = tempfile::tempdir().unwrap();
    let app = alone.app_with("robin", data.path(), Arc::new(Halting { reached, go_on: Mutex::new(go_on) })).await;
    alone.register(&app).await;
    commit(&app, CART, "replicaCount: 1\n").await;
    commit(&app, CHECKOUT, "replicaCount: 1\n").await;
    let found = behind(&app, &[CART, CHECKOUT]).await;
    let before = syncs(alone, CHECKOUT).await;
    let (asking, wanted) = (app.clone(), request(&found.applications));
    let asked = tokio::spawn(async move { asking.sync_all(wanted, "halted".into()).await });
    tokio::task::spawn_blocking(move || halted.recv().unwrap()).await.unwrap();
    assert!(app.cancel_operation("halted".into()).await.unwrap());
    let_go.send(()).unwrap();
    assert_eq!(asked.await.unwrap().unwrap_err().code, ErrorCode::Cancelled);
    until("the cart's replicas", async || (replicas(alone, CART).await == Some(1)).then_some(())).await;
    let words = "Sync the values of cart in shop/dev";
    until("the timeline", async || {
        let entries = app.activity(None, 50).await.unwrap().entries;
        entries.iter().any(|one| one.words == words && one.outcome == ActivityOutcome::Done).then_some(())
    })
    .await;
    let left = behind(&app, &[CHECKOUT]).await;
    assert!(left.applications[0].drift, "{left:?}");
    assert_eq!((replicas(alone, CHECKOUT).await, syncs(alone, CHECKOUT).await), (Some(3), before));
    assert_eq!(sync(&app, &left.applications).await[0].end, SyncAllEnd::Asked);
    until("the checkout's replicas", async || (replicas(alone, CHECKOUT).await == Some(1)).then_some(())).await;
    in_sync(&app).await;
    app.close().await;
}
