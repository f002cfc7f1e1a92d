//! Delivery without KubeRocketCI, on a real API server with upstream's Argo CD CRDs, by somebody who may work with the
//! Applications of one namespace and nothing else: no object of the platform can be seen.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::{DynamicObject, ListParams, PostParams};
use pilothouse_app::contract::{
    ActivityOutcome, ApplicationForm, ApplicationView, ArgoDestination, ArgoParameter, ArgoSyncPolicy, ChartKind,
    CommitOutcome, CommitValues, ConnectTarget, CredentialInput, DeleteDeployment, EnvironmentView, ErrorCode,
    NewApplication, RemoteTarget, SetVersion, SyncRequest, Transport, ValuesFile, ValuesFileState, VersionRequest,
};
use pilothouse_app::keychain::MemoryStore;
use pilothouse_app::{App, AppOptions, EventSink, Silent};
use pilothouse_cluster::{Kind, kinds};
use pilothouse_practice::controllers::{Actor, ActorConfig, Actors, ActorsHandle};
use pilothouse_practice::git_remote::{GitAccess, GitRemote};
use pilothouse_practice::seed;
use pilothouse_rig::Rig;
use pilothouse_rig::git_host::GitHost;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::back_alone;
use super::stage::until;

pub(super) const GITOPS: &str = "acme/gitops";
pub(super) const FLOW: &str = "shop";
pub(super) const APP: &str = "cart";
const FIRST: &str = "build/1.3.0-SNAPSHOT.1";
const SECOND: &str = "build/1.4.0-SNAPSHOT.2";

pub(super) struct Alone {
    /// Argo CD's namespace.
    pub(super) argo: String,
    /// Where the applications go.
    pub(super) target: String,
    pub(super) host: GitHost,
    pub(super) remote: GitRemote,
    /// Certificates that an app trusts besides the Git server's.
    pub(super) trust: String,
    _actors: ActorsHandle,
}

pub(super) async fn post(path: &str, object: Value) {
    let request = http::Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(object.to_string().into_bytes())
        .unwrap();
    Rig::get().client().await.request_text(request).await.unwrap();
}

impl Alone {
    pub(super) async fn start() -> Self {
        let rig = Rig::get();
        let (argo, target) = (rig.namespace("argo").await, rig.namespace("shop").await);
        let host = GitHost::https().unwrap();
        let remote = Arc::new(GitRemote::create(&host.repositories()).unwrap());
        seed::plant_repositories(&remote).unwrap();
        remote.create_repo(GITOPS, "main").unwrap();
        remote.commit_files(GITOPS, "main", &[("README.md", "Values of the shop\n")], "Begin").unwrap();
        let git: Arc<dyn GitAccess> = remote.clone();
        let config = ActorConfig::new(&argo, Some(git)).paced(Duration::from_millis(20));
        let actors = Actors::start(rig.client().await, config, &[Actor::Applications]);
        let remote = GitRemote::create(&host.repositories()).unwrap();
        let alone = Self { argo, target, host, remote, trust: String::new(), _actors: actors };
        for (name, repos, namespaces) in [
            ("shop", format!("https://127.0.0.1:{}/acme/*", alone.host.port()), alone.target.clone()),
            ("closed", "https://elsewhere.example.com/*".to_owned(), "other".to_owned()),
        ] {
            let project = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": { "name": name },
                "spec": { "sourceRepos": [repos], "destinations": [
                    { "server": "https://kubernetes.default.svc", "namespace": namespaces }] } });
            post(&format!("/apis/argoproj.io/v1alpha1/namespaces/{}/appprojects", alone.argo), project).await;
        }
        let all = ["get", "list", "watch", "create", "update", "delete"];
        for (user, verbs) in [("robin", &all[..]), ("sam", &all[..3])] {
            let at = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", alone.argo);
            let rules = json!([
                { "apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": verbs },
                { "apiGroups": ["argoproj.io"], "resources": ["appprojects"], "verbs": ["get", "list", "watch"] },
            ]);
            post(&format!("{at}/roles"), json!({ "metadata": { "name": user }, "rules": rules })).await;
            let binding = json!({ "metadata": { "name": user },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user },
                "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("{user}-{}", alone.argo) }] });
            post(&format!("{at}/rolebindings"), binding).await;
        }
        alone
    }

    pub(super) fn url(&self, repository: &str) -> String {
        format!("https://127.0.0.1:{}/{repository}.git", self.host.port())
    }

    /// An app of its own, connected as one of the two.
    pub(super) async fn app(&self, user: &str, data: &Path) -> Arc<App> {
        self.app_with(user, data, Arc::new(Silent)).await
    }

    /// The same, with somebody who hears what it says.
    pub(super) async fn app_with(&self, user: &str, data: &Path, events: Arc<dyn EventSink>) -> Arc<App> {
        let text = std::fs::read_to_string(Rig::get().kubeconfig()).unwrap();
        let mut config: Value = serde_yaml::from_str(&text).unwrap();
        config["users"][0]["user"]["as"] = json!(format!("{user}-{}", self.argo));
        config["contexts"][0]["context"]["namespace"] = json!(self.argo);
        let kubeconfig = data.join("kubeconfig");
        std::fs::write(&kubeconfig, serde_yaml::to_string(&config).unwrap()).unwrap();
        let authority = data.join("authority.pem");
        std::fs::write(&authority, format!("{}{}", self.host.ca_pem, self.trust)).unwrap();
        let options = AppOptions {
            secrets: Arc::new(MemoryStore::default()),
            kubeconfig: Some(vec![kubeconfig]),
            known_hosts: Vec::new(),
            authority: Some(authority),
            helm: pilothouse_rig::helm::program().ok(),
            ..AppOptions::new(data.join("app"))
        };
        let app = App::open(options, events).await.unwrap();
        // The API server takes a moment to grant what was just bound.
        until("the rights", async || {
            let session = app.connect(ConnectTarget::Context { name: "rig".into() }, "connect".into()).await.unwrap();
            assert_eq!(session.platform, None, "no platform can be seen: {:?}", session.platforms);
            app.argo_cd().await.unwrap().projects
        })
        .await;
        app
    }

    pub(super) async fn register(&self, app: &App) {
        app.register_repository(self.url(GITOPS)).await.unwrap();
        let token = || CredentialInput::Token {
            username: Some(self.host.username.clone()),
            token: SecretString::from(self.host.token.clone()),
        };
        app.test_remote(RemoteTarget::Repository { transport: Transport::Https }, Some(token())).await.unwrap();
        app.save_repository_credential(Transport::Https, token()).await.unwrap();
        app.clone_repository("clone".into()).await.unwrap();
        app.set_identity("Ada Example".into(), "ada@example.org".into()).await.unwrap();
    }

    pub(super) fn form(&self, env: &str) -> ApplicationForm {
        ApplicationForm {
            flow: FLOW.into(),
            env: env.into(),
            app: APP.into(),
            name: format!("shop-{env}-cart"),
            namespace: self.argo.clone(),
            project: "shop".into(),
            chart_kind: ChartKind::Git,
            chart_url: self.url("acme/cart"),
            chart: "deploy-templates".into(),
            revision: FIRST.into(),
            image_tag: "1.3.0-SNAPSHOT.1".into(),
            destination: ArgoDestination::InCluster,
            target_namespace: self.target.clone(),
            create_namespace: false,
            ignore_missing: false,
            sync: ArgoSyncPolicy::Manual,
            create_file: true,
        }
    }

    pub(super) async fn api(&self, kind: &Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(Rig::get().client().await, namespace, &kind.resource())
    }

    pub(super) async fn application(&self, name: &str) -> Option<DynamicObject> {
        self.api(&kinds::APPLICATION, &self.argo).await.get_opt(name).await.unwrap()
    }

    /// Whether a user may do something with the Applications of Argo CD's namespace, by the API server's own word.
    pub(super) async fn may(&self, user: &str, verb: &str) -> bool {
        let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
            "user": format!("{user}-{}", self.argo),
            "resourceAttributes": { "namespace": self.argo, "verb": verb, "group": "argoproj.io", "resource": "applications" } } });
        let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(review.to_string().into_bytes())
            .unwrap();
        let answer: Value = Rig::get().client().await.request(request).await.unwrap();
        answer["status"]["allowed"] == json!(true)
    }

    pub(super) fn read(&self, path: &str) -> Option<String> {
        self.remote.read(GITOPS, "main", path).unwrap()
    }
}

pub(super) fn place(env: &str) -> ValuesFile {
    ValuesFile { flow: FLOW.into(), env: env.into(), app: APP.into() }
}

pub(super) async fn look(app: &App, env: &str) -> EnvironmentView {
    app.environment(FLOW.into(), env.into()).await.unwrap()
}

pub(super) fn cart(view: &EnvironmentView) -> &ApplicationView {
    view.applications.iter().find(|one| one.name == APP).unwrap()
}

/// Waits until the cart runs a version, as Argo CD says.
pub(super) async fn deployed(app: &App, env: &str, version: &str) -> ApplicationView {
    until("the deployed cart", async || {
        let view = look(app, env).await;
        let one = cart(&view);
        let done = one.version.as_deref() == Some(version)
            && one.sync.status == "Synced"
            && one.health.status == "Healthy"
            && one.why_no_sync.is_none();
        done.then(|| one.clone())
    })
    .await
}

fn sync_of(env: &str) -> SyncRequest {
    SyncRequest { flow: FLOW.into(), env: env.into(), app: APP.into(), prune: Some(false), confirm: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_platform() {
    let alone = Alone::start().await;
    let data = tempfile::tempdir().unwrap();
    let app = alone.app("robin", data.path()).await;
    nothing_is_registered(&app, &alone).await;
    alone.register(&app).await;
    the_checks_speak_before_anything_is_written(&app, &alone).await;
    a_new_application(&app, &alone).await;
    values_and_drift(&app, &alone).await;
    another_version(&app, &alone).await;
    back_alone::there_and_back(&app, &alone).await;
    what_is_hostile_is_read_past(&app, &alone).await;
    somebody_who_may_only_look(&app, &alone).await;
    taken_away(&app, &alone).await;
    let entries = app.activity(None, 200).await.unwrap().entries;
    for words in [
        "Register the repository https://127.0.0.1",
        "Commit the values of cart in shop/dev",
        "Make the Application shop-dev-cart for cart in shop/dev",
        "Sync the values of cart in shop/dev",
        "Set cart in shop/dev to build/1.4.0-SNAPSHOT.2",
        "Put the values of cart in shop/dev back as of deploy 0",
        "Set cart in shop/dev back to 1.3.0-SNAPSHOT.1",
        "Delete the deployment of cart in shop/dev, and leave what runs",
        "Delete the deployment of cart in shop/dev",
    ] {
        let found = entries.iter().any(|one| one.words.starts_with(words) && one.outcome == ActivityOutcome::Done);
        assert!(found, "{words}: {entries:#?}");
    }
}

async fn nothing_is_registered(app: &App, alone: &Alone) {
    let view = app.argo_cd().await.unwrap();
    assert_eq!((view.repository, view.namespaces.first()), (None, Some(&alone.argo)));
    assert!(view.can_create.allowed);
    let names: Vec<String> = view.projects.unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(app.list_flows().await.unwrap().is_empty() && app.list_releases().await.unwrap().is_empty());
    let error = app.preview_application(alone.form("dev")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoRepository, "{error:?}");
}

async fn the_checks_speak_before_anything_is_written(app: &App, alone: &Alone) {
    let commits = || alone.host.repositories().join(format!("{GITOPS}.git"));
    let before = alone.read("shop/dev/cart-values.yaml");
    assert!(commits().is_dir() && before.is_none());
    let closed = ApplicationForm { project: "closed".into(), ..alone.form("dev") };
    let unknown = ApplicationForm { project: "nobody".into(), ..alone.form("dev") };
    let away = ApplicationForm { namespace: alone.target.clone(), ..alone.form("dev") };
    for (form, wanted) in [
        (closed, &["chartSource", "valuesSource", "destination"][..]),
        (unknown, &["project"]),
        (away, &["namespace", "permission"]),
    ] {
        let preview = app.preview_application(form.clone()).await.unwrap();
        let blocking: Vec<&str> =
            preview.checks.iter().filter(|one| one.blocking && !one.ok).map(|one| one.id.as_str()).collect();
        assert_eq!(blocking, wanted, "{:#?}", preview.checks);
        let request = NewApplication { form, seen: preview.yaml, seen_file: preview.file_text, confirm: None };
        let error = app.create_application(request, "make".into()).await.unwrap_err();
        assert!(error.message.starts_with("nothing was made"), "{error:?}");
    }
    let bad = ApplicationForm { flow: "../shop".into(), chart: "/etc".into(), ..alone.form("dev") };
    let preview = app.preview_application(bad).await.unwrap();
    let fields: Vec<&str> = preview.problems.iter().map(|one| one.field.as_str()).collect();
    assert_eq!((fields, preview.yaml.as_str()), (vec!["flow", "chartPath"], ""));
    let good = app.preview_application(alone.form("dev")).await.unwrap();
    for (seen, seen_file) in [("other".to_owned(), good.file_text), (good.yaml, None)] {
        let request = NewApplication { form: alone.form("dev"), seen, seen_file, confirm: None };
        let error = app.create_application(request, "m".into()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::DeployPreviewStale, "{error:?}");
    }
    assert_eq!(alone.read("shop/dev/cart-values.yaml"), None);
    assert!(alone.application("shop-dev-cart").await.is_none());
}

async fn a_new_application(app: &App, alone: &Alone) {
    let form = alone.form("dev");
    let preview = app.preview_application(form.clone()).await.unwrap();
    assert_eq!((preview.file, preview.path.as_str()), (ValuesFileState::Absent, "shop/dev/cart-values.yaml"));
    assert!(preview.checks.iter().all(|one| one.ok), "{:#?}", preview.checks);
    assert!(preview.checks.iter().any(|one| one.id == "dryRun"));
    let request = NewApplication {
        form: form.clone(),
        seen: preview.yaml.clone(),
        seen_file: preview.file_text.clone(),
        confirm: None,
    };
    let made = app.create_application(request.clone(), "make".into()).await.unwrap();
    assert!(made.commit.is_some());
    assert_eq!(alone.read("shop/dev/cart-values.yaml"), preview.file_text);
    let shown: Value = serde_yaml::from_str(&preview.yaml).unwrap();
    let live = serde_json::to_value(alone.application("shop-dev-cart").await.unwrap()).unwrap();
    assert_eq!(super::ordered(&live["spec"]), super::ordered(&shown["spec"]));

    let found = until("the environment", async || {
        let flows = app.list_flows().await.unwrap();
        let view = app.environment(FLOW.into(), "dev".into()).await.ok()?;
        (cart(&view).sync.status == "OutOfSync" && !flows.is_empty()).then_some((flows, view))
    })
    .await;
    let (flows, view) = found;
    assert_eq!(flows[0].name, FLOW);
    assert_eq!(flows[0].environments[0].applications, [APP]);
    let one = cart(&view);
    assert_eq!((one.version.as_deref(), one.values_file), (Some("1.3.0-SNAPSHOT.1"), ValuesFileState::Present));
    assert!(one.values_override.live && one.why_no_sync.is_none());
    let argo = one.argo.as_ref().unwrap();
    assert_eq!((argo.revision.as_str(), argo.chart_kind), (FIRST, ChartKind::Git));
    assert!(view.can_sync.allowed && view.can_delete.allowed);
    assert_eq!((view.namespace.as_str(), view.cluster.as_str()), (alone.target.as_str(), "in-cluster"));

    // What is there is never overwritten: neither from the same place nor by the same name.
    let uid = alone.application("shop-dev-cart").await.unwrap().metadata.uid;
    let gone = app.create_application(request.clone(), "gone".into()).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::DeployPreviewStale, "the file is there by now: {gone:?}");
    let request = NewApplication { seen_file: None, ..request };
    let again = app.create_application(request, "again".into()).await.unwrap_err();
    assert!(again.message.contains("reads that values file already"), "{again:?}");
    let named = ApplicationForm { env: "qa".into(), name: "shop-dev-cart".into(), ..form };
    let preview = app.preview_application(named.clone()).await.unwrap();
    let taken = preview.checks.iter().find(|one| one.id == "dryRun").unwrap();
    assert!(!taken.ok && taken.why.as_ref().unwrap().contains("already"), "{taken:?}");
    let request = NewApplication { form: named, seen: preview.yaml, seen_file: preview.file_text, confirm: None };
    assert!(app.create_application(request, "taken".into()).await.is_err());
    assert_eq!(alone.read("shop/qa/cart-values.yaml"), None, "nothing was committed for it");
    assert_eq!(alone.application("shop-dev-cart").await.unwrap().metadata.uid, uid);
}

async fn commit(app: &App, text: &str) {
    let opened = app.open_values(place("dev")).await.unwrap();
    assert!(opened.defaults_problem.is_none(), "{:?}", opened.defaults_problem);
    let defaults = opened.defaults.unwrap();
    assert!(defaults.text.contains("replicaCount"), "{}", defaults.source);
    let request = CommitValues {
        flow: FLOW.into(),
        env: "dev".into(),
        app: APP.into(),
        text: text.into(),
        base_blob: opened.base_blob,
        message: "Change the cart".into(),
    };
    let outcome = app.commit_values(request, format!("commit {}", text.len())).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?}");
}

pub(super) async fn replicas(alone: &Alone) -> Option<i64> {
    let all = alone.api(&kinds::DEPLOYMENT, &alone.target).await;
    let found = all.get_opt(APP).await.unwrap()?;
    found.data["spec"]["replicas"].as_i64()
}

async fn values_and_drift(app: &App, alone: &Alone) {
    app.sync_values(sync_of("dev")).await.unwrap();
    let first = deployed(app, "dev", "1.3.0-SNAPSHOT.1").await;
    assert_eq!((first.drift, first.operation.unwrap().by.as_deref()), (None, Some("pilothouse")));
    commit(app, "replicaCount: 2\n").await;
    let effective = app.effective_values(place("dev"), "replicaCount: 2\n".into()).await.unwrap();
    let of = |path: &str| effective.lines.iter().find(|line| line.path == path).map(|line| line.value.clone());
    assert_eq!((of("replicaCount").as_deref(), of("image.tag").as_deref()), (Some("2"), Some("\"1.3.0-SNAPSHOT.1\"")));
    let drifted = until("the drift", async || cart(&look(app, "dev").await).drift.clone()).await;
    assert_ne!(drifted.committed, drifted.deployed);
    let rows = app.list_releases().await.unwrap();
    assert!(rows.len() == 1 && rows[0].drift && rows[0].version.as_deref() == Some("1.3.0-SNAPSHOT.1"), "{rows:?}");
    app.sync_values(sync_of("dev")).await.unwrap();
    until("the values", async || (replicas(alone).await == Some(2)).then_some(())).await;
    until("no drift", async || cart(&look(app, "dev").await).drift.is_none().then_some(())).await;
    deployed(app, "dev", "1.3.0-SNAPSHOT.1").await;
    let operation = alone.application("shop-dev-cart").await.unwrap();
    let asked = &operation.data["status"]["operationState"]["operation"];
    assert_eq!((&asked["sync"]["prune"], &asked["initiatedBy"]["username"]), (&json!(false), &json!("pilothouse")));
}

async fn another_version(app: &App, alone: &Alone) {
    let wanted = VersionRequest {
        flow: FLOW.into(),
        env: "dev".into(),
        app: APP.into(),
        revision: SECOND.into(),
        parameters: vec![ArgoParameter { name: "image.tag".into(), value: "1.4.0-SNAPSHOT.2".into() }],
        sync: true,
        prune: false,
    };
    let preview = app.preview_version(wanted.clone()).await.unwrap();
    assert_eq!((preview.diff.added, preview.diff.removed), (2, 2), "{:?}", preview.diff);
    assert!(preview.blocked.is_none() && preview.permission.allowed);
    let stale = SetVersion { request: wanted.clone(), seen: "another".into(), confirm: None };
    let error = app.set_version(stale).await.unwrap_err();
    assert!(error.message.contains("was changed meanwhile"), "{error:?}");
    let bad = VersionRequest { revision: "--upload-pack=x".into(), ..wanted.clone() };
    assert!(app.preview_version(bad).await.is_err());
    let before = alone.application("shop-dev-cart").await.unwrap().data["spec"].clone();
    app.set_version(SetVersion { request: wanted, seen: preview.seen, confirm: None }).await.unwrap();
    let now = deployed(app, "dev", "1.4.0-SNAPSHOT.2").await;
    assert!(now.images.iter().any(|image| image.contains("1.4.0-SNAPSHOT.2")), "{:?}", now.images);
    let mut expected = before;
    expected["sources"][0]["targetRevision"] = json!(SECOND);
    expected["sources"][0]["helm"]["parameters"][0]["value"] = json!("1.4.0-SNAPSHOT.2");
    assert_eq!(alone.application("shop-dev-cart").await.unwrap().data["spec"], expected, "nothing else changed");
}

/// Whoever may write Applications may write anything into them.
async fn what_is_hostile_is_read_past(app: &App, alone: &Alone) {
    let gitops = alone.url(GITOPS);
    let api = alone.api(&kinds::APPLICATION, &alone.argo).await;
    let files = [
        ("up", "$values/../../etc/passwd-values.yaml"),
        ("loud", "$values/shop/DEV/cart-values.yaml"),
        ("deep", "$values/a/b/c/cart-values.yaml"),
        ("none", "$other/shop/dev/cart-values.yaml"),
        ("double", "$values/shop/dev/cart-values.yaml"),
    ];
    for (name, file) in files {
        let object = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": { "name": format!("z-{name}") },
            "spec": { "project": "shop", "destination": { "server": "https://kubernetes.default.svc", "namespace": "nowhere" },
                "sources": [{ "repoURL": "https://charts.example.com", "chart": "x", "targetRevision": "1",
                    "helm": { "valueFiles": [file] } }, { "repoURL": gitops, "ref": "values", "targetRevision": "main" }] } });
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    let elsewhere = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": { "name": "z-elsewhere" },
        "spec": { "project": "shop", "destination": { "server": "https://kubernetes.default.svc", "namespace": "nowhere" },
            "sources": [{ "repoURL": "https://charts.example.com", "chart": "x", "targetRevision": "1",
                "helm": { "valueFiles": ["$v/shop/dev/other-values.yaml"] } },
                { "repoURL": "https://git.example.com/else/gitops", "ref": "v", "targetRevision": "main" }] } });
    api.create(&PostParams::default(), &serde_json::from_value(elsewhere).unwrap()).await.unwrap();
    let view = until("the others", async || {
        let view = app.argo_cd().await.unwrap();
        (!view.elsewhere.is_empty() && view.applications == 7).then_some(view)
    })
    .await;
    assert_eq!(view.elsewhere[0].url, "https://git.example.com/else/gitops");
    let flows = app.list_flows().await.unwrap();
    let environments: BTreeMap<_, _> = flows
        .iter()
        .map(|one| (one.name.clone(), one.environments.iter().map(|e| e.name.clone()).collect::<Vec<_>>()))
        .collect();
    assert_eq!(environments, BTreeMap::from([("shop".to_owned(), vec!["dev".to_owned()])]));
    let view = look(app, "dev").await;
    let note = cart(&view).notes.iter().find(|one| one.code == "sharedFile").unwrap();
    assert!(note.message.contains("z-double"), "{note:?}");
    assert_eq!(cart(&view).argo.as_ref().unwrap().name, "shop-dev-cart");
    for name in files.iter().map(|(name, _)| *name).chain(["elsewhere"]) {
        api.delete(&format!("z-{name}"), &Default::default()).await.unwrap();
    }
}

async fn somebody_who_may_only_look(_: &App, alone: &Alone) {
    let data = tempfile::tempdir().unwrap();
    let app = alone.app("sam", data.path()).await;
    alone.register(&app).await;
    let view = look(&app, "dev").await;
    for (permission, verb) in [(&view.can_sync, "update"), (&view.can_delete, "delete")] {
        let why = permission.why.as_ref().unwrap();
        assert!(!permission.allowed && why.contains(verb) && why.contains("applications.argoproj.io"), "{why}");
    }
    let argo = app.argo_cd().await.unwrap();
    assert!(!argo.can_create.allowed && argo.can_create.why.unwrap().contains("create"));
    let preview = app.preview_application(alone.form("qa")).await.unwrap();
    let lacking = preview.checks.iter().find(|one| one.id == "permission").unwrap();
    assert!(!lacking.ok && lacking.blocking, "{lacking:?}");
    let request =
        NewApplication { form: alone.form("qa"), seen: preview.yaml, seen_file: preview.file_text, confirm: None };
    assert!(app.create_application(request, "make".into()).await.is_err());
    assert_eq!(
        alone.read("shop/qa/cart-values.yaml"),
        None,
        "the file goes first only where the Application can follow"
    );
    let error = app.sync_values(sync_of("dev")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ClusterForbidden, "{error:?}");
    back_alone::not_for_who_may_only_look(&app, alone).await;
}

async fn delete(app: &App, leave_running: bool) {
    let means = app.preview_delete_deployment(FLOW.into(), "dev".into(), APP.into()).await.unwrap();
    let left = means.left_running.unwrap();
    assert!(means.goes[1].contains("running pods") && left.stays[0].contains("goes on running"), "{left:?}");
    let request = |seen: String| DeleteDeployment {
        flow: FLOW.into(),
        env: "dev".into(),
        app: APP.into(),
        uid: means.uid.clone().unwrap(),
        seen,
        leave_running,
        confirm: None,
    };
    // What was shown for the one is no word for the other.
    let wrong = request(if leave_running { means.digest.clone() } else { left.digest.clone() });
    assert_eq!(app.delete_deployment(wrong).await.unwrap_err().code, ErrorCode::DeployPreviewStale);
    let right = request(if leave_running { left.digest.clone() } else { means.digest.clone() });
    app.delete_deployment(right).await.unwrap();
}

async fn taken_away(app: &App, alone: &Alone) {
    until("one reader of the file", async || {
        (!cart(&look(app, "dev").await).notes.iter().any(|one| one.code == "sharedFile")).then_some(())
    })
    .await;
    delete(app, true).await;
    until("no Application", async || alone.application("shop-dev-cart").await.is_none().then_some(())).await;
    assert_eq!(replicas(alone).await, Some(2), "what ran goes on running");
    assert_eq!(alone.read("shop/dev/cart-values.yaml").as_deref(), Some("replicaCount: 2\n"));

    // The file that is there is used as it is, and a new Application takes over what runs.
    let form =
        until("the free place", async || app.list_flows().await.unwrap().is_empty().then(|| alone.form("dev"))).await;
    let preview = app.preview_application(form.clone()).await.unwrap();
    assert_eq!((preview.file, &preview.file_text), (ValuesFileState::Present, &None));
    let request = NewApplication { form, seen: preview.yaml, seen_file: preview.file_text, confirm: None };
    assert_eq!(app.create_application(request, "make again".into()).await.unwrap().commit, None);
    until("the cart", async || app.environment(FLOW.into(), "dev".into()).await.ok()).await;
    app.sync_values(sync_of("dev")).await.unwrap();
    deployed(app, "dev", "1.3.0-SNAPSHOT.1").await;
    delete(app, false).await;
    until("no Application", async || alone.application("shop-dev-cart").await.is_none().then_some(())).await;
    until("nothing running", async || {
        let left = alone.api(&kinds::DEPLOYMENT, &alone.target).await.list(&ListParams::default()).await.unwrap();
        left.items.is_empty().then_some(())
    })
    .await;
    assert!(alone.read("shop/dev/cart-values.yaml").is_some(), "Git is not touched");
}
