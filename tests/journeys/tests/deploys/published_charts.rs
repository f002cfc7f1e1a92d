//! Charts that are published, from the wizard to the rendered manifests: in a Helm repository over HTTPS and in a registry
//! of container images, each behind a login, on a real API server.

use std::path::{Path, PathBuf};

use pilothouse_app::App;
use pilothouse_app::contract::{
    ApplicationForm, ChartKind, CommitOutcome, CommitValues, CredentialInput, NewApplication, RenderAgainst,
    SetVersion, Severity, VersionRequest,
};
use pilothouse_rig::chart_host::{ChartHost, Page};
use pilothouse_rig::registry::{PASSWORD, Registry, USER, package};
use pilothouse_rig::{helm, registry, skipped};
use secrecy::SecretString;
use serde_json::json;

use super::argo_cd_alone::{APP, Alone, FLOW, cart, look, place, post};
use super::stage::until;

/// The registry's user and password, as HTTP sends them.
const BASIC: &str = "Basic cmlnLXVzZXI6cmlnLXJlZ2lzdHJ5LXBhc3N3b3Jk";
const VERSIONS: [&str; 2] = ["1.2.0", "1.3.0"];

/// The cart's own chart, packed by Helm once for each version.
fn packed(alone: &Alone, helm: &Path, dir: &Path) -> Vec<PathBuf> {
    for file in
        ["Chart.yaml", "values.yaml", "values.schema.json", "templates/deployment.yaml", "templates/service.yaml"]
    {
        let text = alone.remote.read("acme/cart", "main", &format!("deploy-templates/{file}")).unwrap().unwrap();
        let path = dir.join("cart").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    VERSIONS.iter().map(|version| package(helm, &dir.join("cart"), version, dir).unwrap()).collect()
}

fn login(password: &str) -> CredentialInput {
    CredentialInput::Token { username: Some(USER.into()), token: SecretString::from(password.to_owned()) }
}

async fn make(app: &App, form: ApplicationForm) {
    let preview = until("an Application that may be made", async || {
        let preview = app.preview_application(form.clone()).await.unwrap();
        assert!(preview.problems.is_empty(), "{:?}", preview.problems);
        preview.checks.iter().all(|one| one.ok).then_some(preview)
    })
    .await;
    let request = NewApplication { form, seen: preview.yaml, seen_file: preview.file_text, confirm: None };
    app.create_application(request, "make".into()).await.unwrap();
}

/// From the missing login to another version of the chart.
async fn story(app: &App, alone: &Alone, env: &str, kind: ChartKind, url: String, server: &str) {
    let form = ApplicationForm {
        project: "charts".into(),
        chart_kind: kind,
        chart_url: url,
        chart: APP.into(),
        revision: VERSIONS[0].into(),
        image_tag: String::new(),
        ..alone.form(env)
    };
    make(app, form).await;
    let view = until("the environment", async || app.environment(FLOW.into(), env.into()).await.ok()).await;
    let one = cart(&view);
    let argo = one.argo.as_ref().unwrap();
    assert_eq!((argo.chart_kind, argo.revision.as_str(), one.version.as_deref()), (kind, "1.2.0", Some("1.2.0")));

    // Without a login there are no defaults, and the page says what is missing; the file can be edited all the same.
    let opened = app.open_values(place(env)).await.unwrap();
    let problem = opened.defaults_problem.unwrap();
    assert!(opened.exists && problem.contains("user name and a password or token"), "{problem}");
    let asked = app.chart_server(place(env)).await.unwrap().unwrap();
    assert_eq!((asked.server.as_str(), asked.kept), (server, false), "{asked:?}");

    // A login is kept for that server alone, and a wrong one is told without being repeated.
    assert!(app.keep_chart_login(place(env), "evil.example".into(), Some(login(PASSWORD))).await.is_err());
    app.keep_chart_login(place(env), server.into(), Some(login("wrong-password-of-rig"))).await.unwrap();
    let problem = app.open_values(place(env)).await.unwrap().defaults_problem.unwrap();
    assert!(!problem.contains("wrong-password-of-rig"), "{problem}");
    app.keep_chart_login(place(env), server.into(), Some(login(PASSWORD))).await.unwrap();
    let opened = app.open_values(place(env)).await.unwrap();
    let defaults = opened.defaults.unwrap_or_else(|| panic!("{:?}", opened.defaults_problem));
    assert!(defaults.text.contains("replicaCount") && defaults.source.ends_with("1.2.0"), "{}", defaults.source);

    // The published schema judges, the published chart renders.
    let found = app.check_values(place(env), "replicaCount: many\n".into()).await.unwrap();
    assert!(
        found.iter().any(|one| one.severity == Severity::Error && one.message.contains("replicaCount")),
        "{found:?}"
    );
    let text = "replicaCount: 3\n";
    let rendered = app.render_values(place(env), text.into(), RenderAgainst::Committed, "render".into()).await.unwrap();
    assert!(rendered.chart.contains("1.2.0"), "{}", rendered.chart);
    let deployment = rendered.objects.iter().find(|one| one.kind == "Deployment").unwrap();
    assert!(deployment.text.contains("replicas: 3") && deployment.diff.added == 1, "{deployment:?}");
    let request = CommitValues {
        flow: FLOW.into(),
        env: env.into(),
        app: APP.into(),
        text: text.into(),
        base_blob: opened.base_blob,
        message: "Run three carts".into(),
    };
    let outcome = app.commit_values(request, "commit".into()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?}");

    // Another version of the chart, by an update that only fits what was shown.
    let wanted = VersionRequest {
        flow: FLOW.into(),
        env: env.into(),
        app: APP.into(),
        revision: VERSIONS[1].into(),
        parameters: Vec::new(),
        sync: false,
        prune: false,
    };
    let preview = app.preview_version(wanted.clone()).await.unwrap();
    app.set_version(SetVersion { request: wanted, seen: preview.seen, confirm: None }).await.unwrap();
    until("the other version", async || {
        (cart(&look(app, env).await).version.as_deref() == Some(VERSIONS[1])).then_some(())
    })
    .await;
    let defaults = app.open_values(place(env)).await.unwrap().defaults.unwrap();
    assert!(defaults.source.ends_with("1.3.0"), "{}", defaults.source);

    // Forgotten, the login is not used any more.
    app.keep_chart_login(place(env), server.into(), None).await.unwrap();
    assert!(!app.chart_server(place(env)).await.unwrap().unwrap().kept);
}

/// The files below a folder that hold a text.
fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes()) {
            found.push(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_of_a_repository_and_of_a_registry() {
    let name = "charts_of_a_repository_and_of_a_registry";
    let helm = match helm::program() {
        Ok(helm) => helm,
        Err(why) => return skipped(name, &why),
    };
    let program = match registry::program() {
        Ok(program) => program,
        Err(why) => return skipped(name, &why),
    };
    let mut alone = Alone::start().await;
    let dir = tempfile::tempdir().unwrap();
    let archives = packed(&alone, &helm, dir.path());
    let host = ChartHost::start().unwrap();
    let guard = |page: Page| page.guarded(BASIC, "Basic realm=\"charts\"");
    let mut index = "apiVersion: v1\nentries:\n  cart:\n".to_owned();
    for (version, path) in VERSIONS.iter().zip(&archives) {
        index.push_str(&format!("  - {{name: cart, version: {version}, urls: ['cart-{version}.tgz']}}\n"));
        host.put(&format!("/stable/cart-{version}.tgz"), guard(Page::of(std::fs::read(path).unwrap())));
    }
    host.put("/stable/index.yaml", guard(Page::of(index)));
    let registry = Registry::start(&program, true).unwrap();
    for archive in &archives {
        registry.push(&helm, archive).unwrap();
    }
    alone.trust = format!("{}{}", host.ca_pem, registry.ca_pem);
    let project = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": { "name": "charts" },
        "spec": { "sourceRepos": ["*"], "destinations": [
            { "server": "https://kubernetes.default.svc", "namespace": alone.target }] } });
    post(&format!("/apis/argoproj.io/v1alpha1/namespaces/{}/appprojects", alone.argo), project).await;

    let data = tempfile::tempdir().unwrap();
    let app = alone.app("robin", data.path()).await;
    alone.register(&app).await;
    let (at, place) = (format!("127.0.0.1:{}", host.port), host.url("/stable"));
    story(&app, &alone, "dev", ChartKind::Helm, place, &at).await;
    let at = format!("127.0.0.1:{}", registry.port);
    story(&app, &alone, "qa", ChartKind::Oci, format!("{at}/charts"), &at).await;
    app.close().await;
    for secret in [PASSWORD, "wrong-password-of-rig", BASIC.trim_start_matches("Basic ")] {
        assert_eq!(holding(data.path(), secret), Vec::<PathBuf>::new(), "a login was written down");
    }
}
