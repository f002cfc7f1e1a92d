//! Going back to earlier deploys where Argo CD alone deploys: the values file and the Application, each only as shown.

use pilothouse_app::App;
use pilothouse_app::contract::{ErrorCode, GoBack, PastDeploy, ReturnPreview, ReturnRequest};
use serde_json::Value;

use super::argo_cd_alone::{APP, Alone, FLOW, deployed, replicas};
use super::stage::until;

const FILE: &str = "shop/dev/cart-values.yaml";
const OLD: &str = "1.3.0-SNAPSHOT.1";
const NEW: &str = "1.4.0-SNAPSHOT.2";

async fn past(app: &App) -> Vec<PastDeploy> {
    app.past_deploys(FLOW.into(), "dev".into(), APP.into()).await.unwrap()
}

fn to(deploy: u32) -> ReturnRequest {
    ReturnRequest { flow: FLOW.into(), env: "dev".into(), app: APP.into(), deploy }
}

async fn preview(app: &App, deploy: u32) -> ReturnPreview {
    app.preview_return(to(deploy)).await.unwrap()
}

fn back(shown: &ReturnPreview, deploy: u32) -> GoBack {
    GoBack {
        request: to(deploy),
        seen: shown.seen.clone(),
        message: Some("Back to what ran".into()),
        blob: shown.values.as_ref().and_then(|one| one.blob.clone()),
        prune: false,
        confirm: None,
    }
}

async fn spec(alone: &Alone) -> Value {
    alone.application("shop-dev-cart").await.unwrap().data["spec"].clone()
}

/// The cart was deployed as it was made, then with two replicas, then in another version; it goes back to the first of
/// them and on to the second.
pub(super) async fn there_and_back(app: &App, alone: &Alone) {
    let all = past(app).await;
    let told: Vec<_> = all.iter().map(|one| (one.id, one.version.as_str(), one.latest)).collect();
    assert_eq!(told, [(2, NEW, true), (1, OLD, false), (0, OLD, false)]);
    assert!(all.iter().all(|one| one.why_not.is_none() && one.values.is_some() && one.time.is_some()), "{all:?}");
    let history = alone.application("shop-dev-cart").await.unwrap().data["status"]["history"].clone();

    let shown = preview(app, 0).await;
    assert_eq!((shown.diff.added, shown.diff.removed), (2, 2), "{:?}", shown.diff);
    assert!(shown.blocked.is_none() && shown.permission.allowed && shown.words.is_empty(), "{shown:?}");
    let file = shown.values.clone().unwrap();
    assert!(file.diff.is_some() && !file.removes && file.path == FILE, "{file:?}");

    // What is not as it was shown is not gone back from, and then nothing is written at all.
    let (before, text) = (spec(alone).await, alone.read(FILE));
    let other = GoBack { seen: "another".into(), ..back(&shown, 0) };
    assert_eq!(app.go_back(other, "other".into()).await.unwrap_err().code, ErrorCode::DeployPreviewStale);
    let other = GoBack { blob: None, ..back(&shown, 0) };
    assert_eq!(app.go_back(other, "blob".into()).await.unwrap_err().code, ErrorCode::Blocked);
    let error = app.preview_return(to(77)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound, "{error:?}");
    assert_eq!((spec(alone).await, alone.read(FILE)), (before, text));

    app.go_back(back(&shown, 0), "back".into()).await.unwrap();
    deployed(app, "dev", OLD).await;
    until("one replica", async || (replicas(alone).await == Some(1)).then_some(())).await;
    assert_eq!(spec(alone).await["sources"][0], history[0]["sources"][0]);
    assert_ne!(alone.read(FILE).as_deref(), Some("replicaCount: 2\n"));

    // Where the Application is set as it was, only the file goes back; with no message it stays.
    let shown = preview(app, 1).await;
    assert!(shown.diff.hunks.is_empty() && shown.values.as_ref().unwrap().diff.is_some(), "{shown:?}");
    app.go_back(back(&shown, 1), "on".into()).await.unwrap();
    until("two replicas", async || (replicas(alone).await == Some(2)).then_some(())).await;
    deployed(app, "dev", OLD).await;
    assert_eq!(alone.read(FILE).as_deref(), Some("replicaCount: 2\n"));
    let shown = preview(app, 1).await;
    assert!(shown.diff.hunks.is_empty() && shown.values.unwrap().same);
}

pub(super) async fn not_for_who_may_only_look(app: &App, alone: &Alone) {
    let shown = preview(app, 2).await;
    assert!(!shown.permission.allowed && shown.permission.why.as_ref().unwrap().contains("update"), "{shown:?}");
    let before = spec(alone).await;
    let error = app.go_back(GoBack { message: None, ..back(&shown, 2) }, "sam".into()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ClusterForbidden, "{error:?}");
    assert_eq!(spec(alone).await, before);
}
