//! Deploys from the first to the last: first deploy, update, values alone, override off, the way back, a cancelled run, a
//! deleted deployment and a clean one; on the practice cluster, and on a real API server with the developer role of the
//! platform's chart and no other right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its story cannot go on")]

#[path = "deploys/argo_cd_alone.rs"]
mod argo_cd_alone;
#[path = "deploys/back_alone.rs"]
mod back_alone;
#[path = "deploys/made_or_not.rs"]
mod made_or_not;
#[path = "deploys/published_charts.rs"]
mod published_charts;
#[path = "main_job/stage.rs"]
#[allow(dead_code, reason = "the main job uses more of it")]
mod stage;
#[path = "deploys/synced_together.rs"]
mod synced_together;
#[path = "deploys/trigger_types.rs"]
mod trigger_types;

use std::sync::Arc;

use kube::Api;
use kube::api::DynamicObject;
use pilothouse_app::contract::{
    ActivityOutcome, ApplicationView, CleanRequest, CommitOutcome, CommitValues, ConnectTarget, DeleteDeployment,
    DeployChoice, DeployRequest, DeployRunView, DeployStatus, EnvironmentView, ErrorCode, RestoreFile, RestoreValues,
    RunRef, SyncRequest, TaskStatus, Transport,
};
use pilothouse_app::keychain::MemoryStore;
use pilothouse_app::{App, AppOptions, Silent};
use pilothouse_cluster::kinds;
use pilothouse_rig::Rig;
use serde_json::{Value, json};
use stage::{Stage, until};

const FLOW: &str = "storefront";
const ENV: &str = "dev";
const APP: &str = "cart";
const FILE: &str = "storefront/dev/cart-values.yaml";

#[tokio::test(flavor = "multi_thread")]
async fn on_the_practice_cluster() {
    let stage = Stage::practice().await;
    stage.connect().await;
    make_repository(&stage).await;
    let app = stage.app.clone();
    prepare(&app, &stage).await;
    deploys(&app, &stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_real_cluster_with_the_developer_role_alone() {
    let _one = stage::one_at_a_time().await;
    let stage = Stage::real(Transport::Https).await;
    stage.connect().await;
    make_repository(&stage).await;
    stage::grant_platform_roles(&stage.platform).await;
    let (app, _data) = until("the developer's view", async || {
        // The view role gathers the platform's kinds some moments after they are added.
        let (app, data) = developer(&stage).await;
        let seen = app.repository_overview().await.unwrap().card.is_some();
        seen.then_some((app, data))
    })
    .await;
    prepare(&app, &stage).await;
    deploys(&app, &stage).await;
    let care = app.repository_care().await.unwrap();
    assert!(!care.permissions.see_sets.allowed && !care.permissions.create_secret.allowed);
}

async fn make_repository(stage: &Stage) {
    stage.app.create_repository(stage.repository_form(), "create".into()).await.unwrap();
    until("the repository", async || {
        stage.app.repository_overview().await.unwrap().card.filter(|card| card.status == "created")
    })
    .await;
}

/// An app of its own, connected as one of the platform's developers, by impersonation.
async fn developer(stage: &Stage) -> (Arc<App>, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(Rig::get().kubeconfig()).unwrap();
    let mut config: Value = serde_yaml::from_str(&text).unwrap();
    config["users"][0]["user"]["as"] = json!("robin");
    config["users"][0]["user"]["as-groups"] = json!([format!("{}-oidc-developers", stage.platform)]);
    config["contexts"][0]["context"]["namespace"] = json!(stage.platform);
    let kubeconfig = data.path().join("kubeconfig");
    std::fs::write(&kubeconfig, serde_yaml::to_string(&config).unwrap()).unwrap();
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(vec![kubeconfig]),
        known_hosts: Vec::new(),
        authority: Some(stage.remote.dir().join("authority.pem")),
        ..AppOptions::new(data.path().join("app"))
    };
    let app = App::open(options, Arc::new(Silent)).await.unwrap();
    app.connect(ConnectTarget::Context { name: "rig".into() }, "connect".into()).await.unwrap();
    (app, data)
}

async fn prepare(app: &App, stage: &Stage) {
    if let Some(credential) = stage.credential() {
        app.test_remote(
            pilothouse_app::contract::RemoteTarget::Repository { transport: stage.transport },
            Some(credential),
        )
        .await
        .unwrap();
        app.save_repository_credential(stage.transport, stage.credential().unwrap()).await.unwrap();
    }
    app.clone_repository("clone".into()).await.unwrap();
    app.set_identity("Ada Example".into(), "ada@example.org".into()).await.unwrap();
}

async fn look(app: &App) -> EnvironmentView {
    app.environment(FLOW.into(), ENV.into()).await.unwrap()
}

fn cart(view: &EnvironmentView) -> &ApplicationView {
    view.applications.iter().find(|one| one.name == APP).unwrap()
}

/// Every application with its `number`-th oldest tag, the cart with the override.
fn request(view: &EnvironmentView, number: usize, on: bool) -> DeployRequest {
    let choices = view.applications.iter().map(|one| DeployChoice {
        application: one.name.clone(),
        tag: one.tags[one.tags.len() - 1 - number.min(one.tags.len() - 1)].name.clone(),
        values_override: on && one.name == APP,
    });
    DeployRequest {
        flow: FLOW.into(),
        env: ENV.into(),
        choices: choices.collect(),
        confirm: None,
        rollback_of: None,
        seen: None,
    }
}

fn run_ref(run: &str) -> RunRef {
    RunRef { flow: FLOW.into(), env: ENV.into(), run: run.to_owned() }
}

/// Follows a run to its end.
async fn follow(app: &App, run: &str) -> DeployRunView {
    until("the end of the run", async || {
        let view = app.deploy_run(run_ref(run)).await.unwrap();
        let active = matches!(view.entry.status, DeployStatus::Pending | DeployStatus::Running);
        (!active).then_some(view)
    })
    .await
}

/// Deploys and waits until what runs is what was asked for.
async fn deploy(app: &App, request: &DeployRequest) -> String {
    let preview = app.preview_deploy(request.clone()).await.unwrap();
    let blocking: Vec<_> = preview.checks.iter().filter(|check| check.blocking && !check.ok).collect();
    assert!(blocking.is_empty(), "{blocking:?}");
    let unseen = app.deploy(request.clone()).await.unwrap_err();
    assert_eq!(unseen.code, ErrorCode::DeployPreviewStale, "{unseen:?}");
    let other = app.deploy(DeployRequest { seen: Some("of another".into()), ..request.clone() }).await.unwrap_err();
    assert_eq!(other.code, ErrorCode::DeployPreviewStale, "{other:?}");
    let run = app.deploy(DeployRequest { seen: preview.digest, ..request.clone() }).await.unwrap().run;
    let ended = follow(app, &run).await;
    assert_eq!(ended.entry.status, DeployStatus::Succeeded, "{ended:#?}");
    let wanted = request.choices.iter().find(|one| one.application == APP).unwrap();
    until("the deployed cart", async || {
        let view = look(app).await;
        let cart = cart(&view);
        let done = !view.busy
            && cart.version.as_deref() == Some(wanted.tag.as_str())
            && cart.values_override.live == wanted.values_override
            && cart.health.status == "Healthy"
            && cart.sync.status == "Synced";
        done.then_some(())
    })
    .await;
    run
}

async fn commit(app: &App, text: &str) {
    let file = pilothouse_app::contract::ValuesFile { flow: FLOW.into(), env: ENV.into(), app: APP.into() };
    let opened = app.open_values(file).await.unwrap();
    let request = CommitValues {
        flow: FLOW.into(),
        env: ENV.into(),
        app: APP.into(),
        text: text.into(),
        base_blob: opened.base_blob,
        message: "Change the cart".into(),
    };
    let outcome = app.commit_values(request, format!("commit {}", text.len())).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?}");
}

async fn deploys(app: &Arc<App>, stage: &Stage) {
    trigger_types::are_told(app, stage).await;
    let undeployed = app.preview_clean(FLOW.into(), ENV.into()).await.unwrap();
    let first = first_deploy(app, stage).await;
    let updated = update(app, stage).await;
    values_alone(app).await;
    unchecked(app, stage).await;
    back_to(app, stage, &updated).await;
    two_at_once_and_a_cancelled_run(app).await;
    taken_away(app, stage, &undeployed.digest).await;
    assert_ne!(first, updated);
    let entries = app.activity(None, 200).await.unwrap().entries;
    for words in [
        "Deploy storefront to dev: cart",
        "Deploy storefront to dev, back to deploy-storefront-dev-",
        "Sync the values of cart in storefront/dev",
        "Put the values of cart in storefront/dev back as of deploy-storefront-dev-",
        "Cancel the run deploy-storefront-dev-",
        "Delete the deployment of checkout in storefront/dev",
        "Clean storefront/dev",
    ] {
        let found = entries.iter().find(|one| one.words.starts_with(words) && one.outcome == ActivityOutcome::Done);
        assert!(found.is_some_and(|one| one.url.is_some() || one.commit.is_some()), "{words}: {entries:#?}");
    }
}

async fn first_deploy(app: &App, stage: &Stage) -> String {
    let before = until("the environment", async || {
        let view = look(app).await;
        let ready =
            |one: &ApplicationView| !one.tags.is_empty() && one.notes.iter().any(|note| note.code == "neverDeployed");
        view.applications.iter().all(ready).then_some(view)
    })
    .await;
    let one = cart(&before);
    assert!(one.notes.iter().any(|note| note.code == "neverDeployed" && note.message.contains("build/NaN")), "{one:?}");
    assert!(one.tags_why.contains("first environment"), "{}", one.tags_why);
    assert!(one.why_no_sync.is_some());
    assert!(before.can_deploy.allowed && before.can_sync.allowed && before.can_delete.allowed);
    // Developers may not read ApplicationSets: what is stored is not known, and everything else works.
    assert_eq!(one.values_override.stored.is_none(), !stage.is_practice());

    let missing = app.deploy(request(&before, 0, true)).await.unwrap_err();
    assert!(missing.message.contains(&format!("{FILE} is not in the repository")), "{missing:?}");

    let wanted = request(&before, 0, false);
    let run = deploy(app, &wanted).await;
    the_run_is_the_portals(app, stage, &run, &wanted).await;
    let view = app.deploy_run(run_ref(&run)).await.unwrap();
    let tasks: Vec<_> = view.tasks.iter().map(|task| (task.name.as_str(), task.status)).collect();
    let done = TaskStatus::Succeeded;
    assert_eq!(tasks, [("pre-deploy", done), ("deploy-app", done), ("post-deploy", done), ("promote-images", done)]);
    assert!(view.tasks.iter().all(|task| task.started_at.is_some() && task.finished_at.is_some()));
    assert!(view.can_cancel.allowed && view.problem.is_none(), "{view:?}");
    let step = &view.tasks[1].steps[0];
    let log = app.step_log(run_ref(&run), "deploy-app".into(), step.name.clone()).await.unwrap();
    if stage.is_practice() {
        assert!(log.text.contains("argocd app sync") && log.text.contains("cart: Synced, Healthy"), "{log:?}");
    } else {
        // No container runs behind this API server: that there is no log is said, and is no failure of the page.
        assert!(log.nothing.is_some() || log.text.is_empty(), "{log:?}");
    }
    assert!(app.step_log(run_ref(&run), "deploy-app".into(), "other".into()).await.is_err());
    run
}

/// The run of a deploy is the portal's, byte for byte but for the four letters at the end of its name.
async fn the_run_is_the_portals(app: &App, stage: &Stage, run: &str, wanted: &DeployRequest) {
    let mut payload = Vec::new();
    for choice in &wanted.choices {
        let view = look(app).await;
        let known = view.applications.iter().find(|one| one.name == choice.application).unwrap();
        let digest = known.tags.iter().find(|tag| tag.name == choice.tag).and_then(|tag| tag.digest.clone());
        payload.push(format!(
            r#""{}":{{"imageTag":"{}","customValues":{},"imageDigest":"{}"}}"#,
            choice.application,
            choice.tag,
            choice.values_override,
            digest.unwrap_or_default()
        ));
    }
    let sample = include_str!("../../../crates/delivery/tests/data/tekton-pipelinerun-deploy.yaml");
    let sample =
        sample.replace("mypipe", FLOW).replace("namespace: krci\n", &format!("namespace: {}\n", stage.platform));
    let mut sample: Value = serde_yaml::from_str(&sample).unwrap();
    sample["spec"]["params"][0]["value"] = json!(format!("{{{}}}", payload.join(",")));

    sample["metadata"]["name"] = json!(format!("deploy-{FLOW}-{ENV}-xxxx"));
    let preview = app.preview_deploy(wanted.clone()).await.unwrap();
    if stage.is_practice() {
        assert_eq!(preview.yaml, serde_yaml::to_string(&sample).unwrap());
        return;
    }
    // A real API server gives the TriggerTemplate's keys in the order of the alphabet; nothing else is changed.
    let shown: Value = serde_yaml::from_str(&preview.yaml).unwrap();
    assert_eq!(ordered(&shown).to_string(), ordered(&sample).to_string());
    let resource = kinds::PIPELINE_RUN.resource();
    let api: Api<DynamicObject> = Api::namespaced_with(Rig::get().client().await, &stage.platform, &resource);
    let live = serde_json::to_value(api.get(run).await.unwrap()).unwrap();
    assert_eq!(ordered(&live["spec"]).to_string(), ordered(&sample["spec"]).to_string());
    for field in ["labels", "annotations", "namespace"] {
        assert_eq!(live["metadata"][field], sample["metadata"][field], "{field}");
    }
    assert_eq!(run.len(), "deploy-storefront-dev-".len() + 4);
}

/// The same with its keys in the order of the alphabet.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: std::collections::BTreeMap<_, _> =
                map.iter().map(|(key, one)| (key.clone(), ordered(one))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(ordered).collect()),
        other => other.clone(),
    }
}

async fn update(app: &App, stage: &Stage) -> String {
    commit(app, "replicaCount: 2\n").await;
    let wanted = request(&look(app).await, 1, true);
    let preview = app.preview_deploy(wanted.clone()).await.unwrap();
    let switch = &preview.switches[0];
    assert!(switch.on && switch.path == FILE, "{switch:?}");
    assert_eq!(switch.keys[0].path, "replicaCount");
    assert_eq!(switch.keys[0].after.as_deref(), Some("2"));
    assert!(preview.releases.iter().any(|one| one.application == APP && one.changed && one.next_override));
    let run = deploy(app, &wanted).await;
    assert_eq!(stage.read(FILE).as_deref(), Some("replicaCount: 2\n"));
    run
}

async fn values_alone(app: &App) {
    let before = look(app).await;
    commit(app, "replicaCount: 3\n").await;
    until("the drift", async || cart(&look(app).await).drift.clone()).await;
    let listed = app.list_releases().await.unwrap();
    assert!(listed.iter().any(|row| row.env == ENV && row.app == APP && row.drift), "{listed:?}");
    let wanted = SyncRequest { flow: FLOW.into(), env: ENV.into(), app: APP.into(), prune: None, confirm: None };
    let other = SyncRequest { app: "checkout".into(), ..wanted.clone() };
    let refused = app.sync_values(other).await.unwrap_err();
    assert!(refused.message.contains("is off") || refused.message.contains("not in Git"), "{refused:?}");
    app.sync_values(wanted).await.unwrap();
    until("the synced values", async || {
        let view = look(app).await;
        let cart = cart(&view);
        let ours = cart
            .operation
            .as_ref()
            .is_some_and(|one| one.phase == "Succeeded" && one.by.as_deref() == Some("pilothouse"));
        (ours && cart.drift.is_none() && cart.sync.status == "Synced" && cart.health.status == "Healthy").then_some(())
    })
    .await;
    let after = look(app).await;
    assert_eq!(cart(&after).version, cart(&before).version, "the tag stays");
    assert_eq!(after.runs.len(), before.runs.len(), "no run was made");
}

async fn unchecked(app: &App, stage: &Stage) {
    let wanted = request(&look(app).await, 1, false);
    let preview = app.preview_deploy(wanted.clone()).await.unwrap();
    let switch = &preview.switches[0];
    assert!(!switch.on, "{switch:?}");
    assert_eq!((switch.keys[0].path.as_str(), switch.keys[0].before.as_deref()), ("replicaCount", Some("3")));
    assert!(preview.changes.iter().any(|words| words.contains("goes back to the chart's defaults")), "{preview:?}");
    deploy(app, &wanted).await;
    assert_eq!(stage.read(FILE).as_deref(), Some("replicaCount: 3\n"), "the file stays");
}

async fn back_to(app: &App, stage: &Stage, run: &str) {
    let back = app.preview_rollback(run_ref(run)).await.unwrap();
    let choice = back.choices.iter().find(|one| one.application == APP).unwrap();
    assert!(choice.values_override);
    let then = back.values.iter().find(|one| one.application == APP).unwrap();
    assert!(!then.same && then.unknown.is_none(), "{then:?}");
    assert_eq!(then.commit.as_ref().unwrap().summary, "Change the cart");
    let diff = then.diff.as_ref().unwrap();
    assert_eq!((diff.added, diff.removed), (1, 1));

    let restore = |blob: Option<String>| RestoreValues {
        run: run_ref(run),
        files: vec![RestoreFile { application: APP.into(), blob }],
        message: "Put the cart back".into(),
    };
    let stale = app.restore_values(restore(None), "stale".into()).await.unwrap_err();
    assert_eq!(stale.code, ErrorCode::Blocked, "{stale:?}");
    let outcome = app.restore_values(restore(then.blob.clone()), "restore".into()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?}");
    assert_eq!(stage.read(FILE).as_deref(), Some("replicaCount: 2\n"));
    let again = app.preview_rollback(run_ref(run)).await.unwrap();
    assert!(again.values.iter().all(|one| one.same), "{again:?}");

    let wanted = DeployRequest {
        flow: FLOW.into(),
        env: ENV.into(),
        choices: back.choices,
        confirm: None,
        rollback_of: Some(run.to_owned()),
        seen: None,
    };
    let new = deploy(app, &wanted).await;
    let view = look(app).await;
    let carried = |name: &str| view.runs.iter().find(|one| one.name == name).unwrap().applications.clone();
    assert_eq!(carried(&new), carried(run), "the same tags, images and switches");
}

async fn two_at_once_and_a_cancelled_run(app: &Arc<App>) {
    let wanted = request(&look(app).await, 0, true);
    // On a fast stage a run may be over before it can be cancelled.
    for _ in 0..8 {
        let seen = app.preview_deploy(wanted.clone()).await.unwrap().digest;
        let wanted = DeployRequest { seen, ..wanted.clone() };
        let (one, two) = tokio::join!(app.deploy(wanted.clone()), app.deploy(wanted.clone()));
        let (started, refused) = match (one, two) {
            (Ok(run), Err(error)) | (Err(error), Ok(run)) => (run.run, error),
            other => panic!("one of two is let through: {other:?}"),
        };
        assert!(refused.message.contains(&started), "the refusal names the run: {refused:?}");
        let other = app.cancel_deploy(run_ref(&started), "another".into(), None).await.unwrap_err();
        assert_eq!(other.code, ErrorCode::ClusterConflict, "{other:?}");
        let shown = app.deploy_run(run_ref(&started)).await.unwrap().entry.uid;
        app.cancel_deploy(run_ref(&started), shown, None).await.unwrap();
        let ended = follow(app, &started).await;
        until("an environment at rest", async || (!look(app).await.busy).then_some(())).await;
        if ended.entry.status == DeployStatus::Cancelled {
            let stopped =
                |status| matches!(status, TaskStatus::Cancelled | TaskStatus::Skipped | TaskStatus::Succeeded);
            assert!(ended.tasks.iter().all(|task| stopped(task.status)), "{ended:#?}");
            assert!(ended.tasks.iter().any(|task| task.status == TaskStatus::Skipped), "{ended:#?}");
            return;
        }
        assert_eq!(ended.entry.status, DeployStatus::Succeeded, "{ended:#?}");
    }
    panic!("no run could be cancelled");
}

async fn taken_away(app: &Arc<App>, stage: &Stage, undeployed: &str) {
    deploy(app, &request(&look(app).await, 0, true)).await;
    let means = app.preview_delete_deployment(FLOW.into(), ENV.into(), "checkout".into()).await.unwrap();
    assert!(means.permission.allowed && means.blocked.is_none(), "{means:?}");
    assert!(means.stays.iter().any(|words| words.contains("not synced")), "{means:?}");
    let wanted = |uid: &str, seen: &str| DeleteDeployment {
        flow: FLOW.into(),
        env: ENV.into(),
        app: "checkout".into(),
        uid: uid.to_owned(),
        seen: seen.to_owned(),
        leave_running: false,
        confirm: None,
    };
    let uid = means.uid.as_deref().unwrap();
    let another = app.delete_deployment(wanted("another", &means.digest)).await.unwrap_err();
    assert_eq!(another.code, ErrorCode::ClusterConflict, "{another:?}");
    let stale = app.delete_deployment(wanted(uid, undeployed)).await.unwrap_err();
    assert_eq!(stale.code, ErrorCode::DeployPreviewStale, "{stale:?}");
    let version = look(app).await.applications.into_iter().find(|one| one.name == "checkout").unwrap().version;
    app.delete_deployment(wanted(uid, &means.digest)).await.unwrap();
    until("the Application made anew", async || {
        let now = app.preview_delete_deployment(FLOW.into(), ENV.into(), "checkout".into()).await.unwrap();
        let view = look(app).await;
        let checkout = view.applications.iter().find(|one| one.name == "checkout")?;
        let anew = now.uid.is_some() && now.uid != means.uid;
        (anew && checkout.version == version && checkout.health.status == "Missing").then_some(())
    })
    .await;
    assert_eq!(cart(&look(app).await).health.status, "Healthy", "the other is not touched");

    let means = app.preview_clean(FLOW.into(), ENV.into()).await.unwrap();
    assert!(means.blocked.is_none() && means.yaml.is_some_and(|yaml| yaml.contains("name: clean")), "no clean run");
    let clean = |seen: &str| CleanRequest { flow: FLOW.into(), env: ENV.into(), seen: seen.to_owned(), confirm: None };
    // What was deployed since it was looked at is not removed.
    let stale = app.clean(clean(undeployed)).await.unwrap_err();
    assert_eq!(stale.code, ErrorCode::DeployPreviewStale, "{stale:?}");
    let run = app.clean(clean(&means.digest)).await.unwrap().run;
    let ended = follow(app, &run).await;
    assert!(ended.entry.clean && ended.entry.status == DeployStatus::Succeeded, "{ended:#?}");
    until("the cart is gone and its Application back", async || {
        let view = look(app).await;
        let cart = cart(&view);
        (cart.health.status == "Missing" && cart.version.is_some() && cart.values_override.live).then_some(())
    })
    .await;
    assert!(stage.read(FILE).is_some(), "the file stays");
}
