//! Rendered manifests against what is committed and what is live, on the practice cluster and on a real API server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its story cannot go on")]

#[allow(dead_code, reason = "the stage of another story, of which this one needs a part")]
#[path = "main_job/stage.rs"]
mod stage;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};
use pilothouse_app::App;
use pilothouse_app::contract::{
    CheckState, CloneState, CommitOutcome, CommitValues, DeployChoice, DeployRequest, DeployStatus, DiffKind,
    ErrorCode, ObjectChange, RemoteTarget, RenderAgainst, RenderEngine, RenderedObject, RenderedValues, Transport,
    ValuesFile,
};
use pilothouse_rig::Rig;
use pilothouse_rig::{helm::program, skipped};
use serde_json::json;
use stage::{Stage, until};

const FLOW: &str = "storefront";
const ENV: &str = "dev";
const APP: &str = "cart";

fn file() -> ValuesFile {
    ValuesFile { flow: FLOW.into(), env: ENV.into(), app: APP.into() }
}

/// A Secret whose value follows the replicas, so that it changes with the values and is easily found where it must not be.
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ .Chart.Name }}-pin\nstringData:\n  \
    pin: pin-{{ .Values.replicaCount }}\n";

/// Takes long for seventeen copies. The chart's schema allows no keys of a test's own.
const SLOW: &str =
    "{{- range until (ternary 3000 0 (eq (int .Values.replicaCount) 17)) }}{{ range until 100000 }}{{ end }}{{ end }}";

#[tokio::test(flavor = "multi_thread")]
async fn manifests_on_the_practice_cluster() {
    if let Err(why) = program() {
        return skipped("manifests_on_the_practice_cluster", &why);
    }
    let stage = Stage::practice().await;
    stage.connect().await;
    story(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_on_a_real_cluster() {
    if let Err(why) = program() {
        return skipped("manifests_on_a_real_cluster", &why);
    }
    let _one = stage::one_at_a_time().await;
    let stage = Stage::real(Transport::Https).await;
    stage.connect().await;
    story(&stage).await;
    a_secret_that_is_there(&stage).await;
    a_developer_without_rights_there(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_helm_the_rest_works() {
    let dir = tempfile::tempdir().unwrap();
    let options = pilothouse_app::AppOptions {
        secrets: std::sync::Arc::new(pilothouse_app::keychain::MemoryStore::default()),
        kubeconfig: Some(Vec::new()),
        helm: Some("/nowhere/helm".into()),
        ..pilothouse_app::AppOptions::new(dir.path().to_owned())
    };
    // What a killed process left of a rendering goes at the next start.
    let left = dir.path().join("rendering/left");
    std::fs::create_dir_all(left.join("chart")).unwrap();
    let app = App::open(options, std::sync::Arc::new(pilothouse_app::Silent)).await.unwrap();
    assert!(!left.exists());
    app.connect(pilothouse_app::contract::ConnectTarget::Practice, "connect".into()).await.unwrap();
    let rendered = render(&app, "replicaCount: 2\n", RenderAgainst::Committed).await;
    let RenderEngine::Missing { words, searched } = rendered.engine else { panic!("{rendered:?}") };
    assert!(words.contains("work without it"), "{words}");
    assert_eq!(searched, ["/nowhere/helm"]);
    assert_eq!((rendered.objects.len(), rendered.release.as_str()), (0, APP));
    let row = app.doctor().await.unwrap().into_iter().find(|row| row.id == "helm").unwrap();
    assert!(row.state == CheckState::Warn && row.hint.is_some(), "{row:?}");
}

async fn render(app: &App, text: &str, against: RenderAgainst) -> RenderedValues {
    app.render_values(file(), text.into(), against, "render".into()).await.unwrap()
}

fn object<'a>(rendered: &'a RenderedValues, kind: &str) -> &'a RenderedObject {
    rendered.objects.iter().find(|one| one.kind == kind).unwrap_or_else(|| panic!("no {kind}: {rendered:?}"))
}

fn lines(object: &RenderedObject, kind: DiffKind) -> Vec<&str> {
    let all = object.diff.hunks.iter().flat_map(|hunk| &hunk.lines);
    all.filter(|line| line.kind == kind).map(|line| line.text.trim()).collect()
}

async fn repository(stage: &Stage) {
    let app = &stage.app;
    app.create_repository(stage.repository_form(), "create".into()).await.unwrap();
    until("the repository's card", async || {
        app.repository_overview().await.unwrap().card.filter(|c| c.status == "created")
    })
    .await;
    let target = RemoteTarget::Repository { transport: stage.transport };
    app.test_remote(target, stage.credential()).await.unwrap();
    if let Some(credential) = stage.credential() {
        app.save_repository_credential(stage.transport, credential).await.unwrap();
    }
    let card = app.clone_repository("clone".into()).await.unwrap();
    assert!(matches!(card.clone_state, CloneState::Ready { .. }), "{:?}", card.clone_state);
    app.set_identity("Ada Example".into(), "ada@example.org".into()).await.unwrap();
}

async fn deploy(stage: &Stage, tag: &str) {
    let app = &stage.app;
    let before = until("the environment", async || {
        let view = app.environment(FLOW.into(), ENV.into()).await.unwrap();
        (!view.busy && view.applications.iter().all(|a| !a.tags.is_empty())).then_some(view)
    })
    .await;
    let choices = before.applications.iter().map(|a| DeployChoice {
        application: a.name.clone(),
        tag: if a.name == APP { tag.to_owned() } else { a.tags[0].name.clone() },
        values_override: a.name == APP,
    });
    let request = DeployRequest {
        flow: FLOW.into(),
        env: ENV.into(),
        choices: choices.collect(),
        confirm: None,
        rollback_of: None,
        seen: None,
    };
    let seen = app.preview_deploy(request.clone()).await.unwrap().digest;
    let started = app.deploy(DeployRequest { seen, ..request }).await.unwrap();
    until("the deploy", async || {
        let view = app.environment(FLOW.into(), ENV.into()).await.unwrap();
        let run = view.runs.iter().find(|r| r.name == started.run)?;
        assert!(!matches!(run.status, DeployStatus::Failed | DeployStatus::Cancelled), "{run:?}");
        let cart = view.applications.iter().find(|a| a.name == APP)?;
        let done = run.status == DeployStatus::Succeeded && cart.sync.status == "Synced" && cart.values_override.live;
        done.then_some(())
    })
    .await;
}

async fn story(stage: &Stage) {
    let app = &stage.app;
    repository(stage).await;
    let row = app.doctor().await.unwrap().into_iter().find(|row| row.id == "helm").unwrap();
    assert_eq!(row.state, CheckState::Ok, "{row:?}");

    // The build that is deployed has a Secret among its templates.
    let tag = until("the tags", async || {
        let view = app.environment(FLOW.into(), ENV.into()).await.unwrap();
        let cart = view.applications.into_iter().find(|a| a.name == APP)?;
        cart.tags.first().map(|tag| tag.name.clone())
    })
    .await;
    const DEPLOYMENT: &str = "deploy-templates/templates/deployment.yaml";
    let deployment = stage.remote.read("acme/cart", "main", DEPLOYMENT).unwrap().unwrap();
    let deployment = format!("{{{{- if ne (int .Values.replicaCount) 13 }}}}\n{deployment}\n{{{{- end }}}}\n");
    let files = [
        ("deploy-templates/templates/secret.yaml", SECRET),
        ("deploy-templates/templates/slow.yaml", SLOW),
        (DEPLOYMENT, deployment.as_str()),
    ];
    stage.remote.commit_files("acme/cart", "main", &files, "Keep a pin").unwrap();
    stage.remote.tag("acme/cart", &format!("build/{tag}"), "main").unwrap();

    // Before anything is committed or deployed: against the chart's defaults, as the first deploy would be.
    let first = until("the Application", async || {
        let first = render(app, "replicaCount: 3\n", RenderAgainst::Committed).await;
        first.notes.iter().any(|note| note.contains("never deployed")).then_some(first)
    })
    .await;
    assert!(matches!(first.engine, RenderEngine::Found { .. }));
    assert!(first.notes.iter().any(|note| note.contains("not in Git yet")), "{:?}", first.notes);
    assert!(first.chart.contains(&format!("deploy-templates at build/{tag}")), "{}", first.chart);
    let deployment = object(&first, "Deployment");
    assert_eq!(deployment.change, ObjectChange::Changed);
    assert_eq!(lines(deployment, DiffKind::Added), ["replicas: 3"]);
    assert!(deployment.text.contains(&format!("cart:{tag}@sha256:")), "{}", deployment.text);
    assert_eq!(object(&first, "Service").change, ObjectChange::Same);
    assert_eq!(object(&first, "Secret").change, ObjectChange::Changed);
    assert_eq!(deployment.source.as_deref(), Some("cart/templates/deployment.yaml"));

    let text = "replicaCount: 2\n";
    let request = CommitValues {
        flow: FLOW.into(),
        env: ENV.into(),
        app: APP.into(),
        text: text.into(),
        base_blob: None,
        message: "Two carts".into(),
    };
    let outcome = app.commit_values(request, "commit".into()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?}");
    let same = render(app, text, RenderAgainst::Committed).await;
    assert!(same.objects.iter().all(|one| one.change == ObjectChange::Same), "{same:?}");
    // What cannot be rendered is told with its place; the same text is refused before it reaches Git, too.
    let refused = app.render_values(file(), "replicaCount: 99\n".into(), RenderAgainst::Committed, "r".into()).await;
    assert!(refused.unwrap_err().message.contains("replicaCount"));

    deploy(stage, &tag).await;
    let live = render(app, text, RenderAgainst::Live).await;
    assert_eq!(object(&live, "Deployment").change, ObjectChange::Same, "{:?}", object(&live, "Deployment").diff);
    assert_eq!(object(&live, "Service").change, ObjectChange::Same, "{:?}", object(&live, "Service").diff);
    // The platform's part here makes no Secrets: it is missing in the cluster.
    assert_eq!(object(&live, "Secret").change, ObjectChange::Added);

    let text = "replicaCount: 4\nenv:\n  - name: LOG_LEVEL\n    value: debug\n";
    let live = render(app, text, RenderAgainst::Live).await;
    let deployment = object(&live, "Deployment");
    assert_eq!(deployment.change, ObjectChange::Changed);
    assert_eq!(lines(deployment, DiffKind::Removed), ["replicas: 2", "value: info"]);
    assert_eq!(lines(deployment, DiffKind::Added), ["replicas: 4", "value: debug"]);
    what_the_chart_no_longer_has(app).await;
    a_rendering_is_cancelled(stage).await;
    for rendered in [&first, &same, &live] {
        let text = serde_json::to_string(rendered).unwrap();
        assert!(!text.contains("pin-2") && !text.contains("pin-3") && !text.contains("pin-4"), "{text}");
    }
}

/// What is live and counted to the Application, and is not rendered any more, would go with the next sync.
async fn what_the_chart_no_longer_has(app: &App) {
    let text = "replicaCount: 13\n";
    let pruned = render(app, text, RenderAgainst::Live).await;
    let deployment = object(&pruned, "Deployment");
    assert_eq!(deployment.change, ObjectChange::Removed, "{pruned:?}");
    assert!(lines(deployment, DiffKind::Removed).contains(&"replicas: 2"), "{:?}", deployment.diff);
    assert_eq!((lines(deployment, DiffKind::Added), deployment.name.as_str()), (vec![], APP));
    assert_eq!(object(&pruned, "Service").change, ObjectChange::Same);
    let committed = render(app, text, RenderAgainst::Committed).await;
    assert_eq!(object(&committed, "Deployment").change, ObjectChange::Removed);
}

/// A rendering that takes too long for somebody ends when they say so, and leaves nothing.
async fn a_rendering_is_cancelled(stage: &Stage) {
    let rooms = || {
        let all = std::fs::read_dir(stage.data().join("rendering")).into_iter().flatten().flatten();
        all.filter(|entry| entry.path().join("chart").is_dir()).count()
    };
    let app = stage.app.clone();
    let rendering = tokio::spawn(async move {
        let text = "replicaCount: 17\n".to_owned();
        app.render_values(file(), text, RenderAgainst::Committed, "slow".into()).await
    });
    until("the rendering", async || (rooms() > 0).then_some(())).await;
    assert!(stage.app.cancel_operation("slow".into()).await.unwrap());
    let ended = rendering.await.unwrap().unwrap_err();
    assert_eq!(ended.code, ErrorCode::Cancelled, "{ended:?}");
    until("the end of its folder", async || (rooms() == 0).then_some(())).await;
    assert!(!stage.app.cancel_operation("slow".into()).await.unwrap());
}

/// A Secret in the cluster is compared by its contents, which nobody sees.
async fn a_secret_that_is_there(stage: &Stage) {
    let namespace = render(&stage.app, "replicaCount: 2\n", RenderAgainst::Live).await.namespace;
    let secrets: Api<Secret> = Api::namespaced(Rig::get().client().await, &namespace);
    let secret = json!({"metadata": {"name": "cart-pin"}, "stringData": {"pin": "pin-2", "old": "pin-old"}});
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    let with_old = render(&stage.app, "replicaCount: 2\n", RenderAgainst::Live).await;
    assert_eq!(object(&with_old, "Secret").change, ObjectChange::Changed);
    assert_eq!(lines(object(&with_old, "Secret"), DiffKind::Removed), ["old: <hidden 2>"]);
    let patch = Patch::Merge(json!({"data": {"old": null}}));
    secrets.patch("cart-pin", &PatchParams::default(), &patch).await.unwrap();
    let same = render(&stage.app, "replicaCount: 2\n", RenderAgainst::Live).await;
    assert_eq!(object(&same, "Secret").change, ObjectChange::Same);
    let other = render(&stage.app, "replicaCount: 5\n", RenderAgainst::Live).await;
    assert_eq!(lines(object(&other, "Secret"), DiffKind::Added), ["pin: <hidden 2>"]);
    let told = format!("{}{}", serde_json::to_string(&with_old).unwrap(), serde_json::to_string(&other).unwrap());
    // The contents as they are, and as the cluster keeps them.
    assert!(!told.contains("pin-2") && !told.contains("pin-o") && !told.contains("cGluL"), "{told}");
}

/// Somebody who may work with the platform, and read nothing where it deploys to.
async fn a_developer_without_rights_there(stage: &Stage) {
    let rig = Rig::get();
    rig.grant("developer", &stage.platform).await;
    let data = tempfile::tempdir().unwrap();
    let app = stage.seen_by(&rig.kubeconfigs().developer, data.path()).await;
    if let Some(credential) = stage.credential() {
        app.save_repository_credential(stage.transport, credential).await.unwrap();
    }
    let live = render(&app, "replicaCount: 2\n", RenderAgainst::Live).await;
    let secret = object(&live, "Secret");
    assert_eq!(secret.change, ObjectChange::Unreadable);
    assert!(secret.words.as_deref().unwrap_or_default().contains("may not be read"), "{secret:?}");
    assert!(secret.text.contains("<hidden 1>"), "what would be deployed is shown all the same: {secret:?}");
    // What is committed needs no rights there.
    let committed = render(&app, "replicaCount: 2\n", RenderAgainst::Committed).await;
    assert!(committed.objects.iter().all(|one| one.change == ObjectChange::Same), "{committed:?}");
    app.close().await;
}
