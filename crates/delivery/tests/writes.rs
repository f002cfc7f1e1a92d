//! The writes look at the API server at the moment of writing, whatever the window shows.

#![allow(clippy::unwrap_used, reason = "a test ends where its data is not as expected")]

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::core::DynamicObject;
use pilothouse_cluster::{Cluster, Kind};
use pilothouse_delivery::deploy::{
    AppChoice, Choices, SHOWN, SeenDeployment, cancel_run, changes, clean_means, delete_application, deletion_means,
    plan, render_clean, shown_digest,
};
use pilothouse_delivery::repository::Form;
use pilothouse_delivery::{Error, Objects, create_repository, start_clean, start_deploy};
use serde::Deserialize;
use serde_json::{Value, json};

fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap()).collect()
}

fn base() -> Vec<Value> {
    let files = [
        "app-pipeline-stages.yaml",
        "gitservers.yaml",
        "tekton-triggertemplate-deploy.yaml",
        "tekton-triggertemplate-clean.yaml",
    ];
    let mut all: Vec<Value> = files.iter().flat_map(|file| documents(file)).collect();
    for one in &mut all {
        one["metadata"]["namespace"] = json!("krci");
        if one["kind"] == "GitServer" {
            one["status"] = json!({"connected": true});
        }
    }
    all
}

/// A server that lists and gets what it was given and keeps what is sent to it. With `taken`, every create answers that
/// the object exists.
fn server(objects: Vec<Value>, taken: bool) -> (Cluster, Arc<Mutex<Vec<Value>>>) {
    let written: Arc<Mutex<Vec<Value>>> = Arc::default();
    let log = written.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (objects, log) = (objects.clone(), log.clone());
        async move {
            let path = request.uri().path().to_owned();
            let parts: Vec<&str> = path.split('/').skip(1).collect();
            // /apis/<group>/<version>/namespaces/<namespace>/<plural>[/<name>]
            let (plural, name) = (parts[5].to_owned(), parts.get(6).map(|name| (*name).to_owned()));
            let of_kind =
                |one: &&Value| one["kind"].as_str().is_some_and(|kind| format!("{}s", kind.to_lowercase()) == plural);
            let (status, answer) = if request.method() == http::Method::POST {
                let bytes = request.into_body().collect().await.unwrap().to_bytes();
                let object: Value = serde_json::from_slice(&bytes).unwrap();
                if plural == "leases" {
                    // The claim is not what these tests are about.
                    (201, object)
                } else if taken {
                    (
                        409,
                        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "AlreadyExists", "code": 409, "message": "exists"}),
                    )
                } else {
                    log.lock().unwrap().push(object.clone());
                    (201, object)
                }
            } else if request.method() == http::Method::DELETE {
                (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            } else if let Some(name) = name {
                match objects.iter().filter(of_kind).find(|one| one["metadata"]["name"] == *name) {
                    Some(one) => (200, one.clone()),
                    None => (
                        404,
                        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "none"}),
                    ),
                }
            } else {
                let items: Vec<&Value> = objects.iter().filter(of_kind).collect();
                (200, json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}))
            };
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, Infallible>(
                Response::builder().status(status).header("content-type", "application/json").body(body).unwrap(),
            )
        }
    });
    (Cluster::from_client(Client::new(service, "krci"), "test", true), written)
}

fn form() -> Form {
    Form { git_server: "my-github".into(), owner: "acme".into(), ..Form::default() }
}

fn snapshot(objects: &[Value]) -> Objects {
    let all: Vec<Arc<DynamicObject>> =
        objects.iter().map(|one| Arc::new(serde_json::from_value(one.clone()).unwrap())).collect();
    Objects::read("krci", |kind: &Kind| {
        Some(
            all.iter().filter(|one| one.types.as_ref().is_some_and(|types| types.kind == kind.kind)).cloned().collect(),
        )
    })
}

fn choices() -> Choices {
    Choices {
        applications: vec![AppChoice {
            application: "fastapi-demo".into(),
            tag: "0.1.0-SNAPSHOT.2".into(),
            values_override: true,
            digest: None,
        }],
    }
}

#[tokio::test]
async fn one_repository_is_created() {
    let (cluster, written) = server(base(), false);
    assert_eq!(create_repository(&cluster, "krci", &form()).await.unwrap(), "krci-gitops");
    let written = written.lock().unwrap();
    assert_eq!(written.len(), 1);
    assert_eq!(written[0]["spec"]["gitUrlPath"], "/acme/krci-gitops");
    assert_eq!(written[0]["spec"]["private"], true);
}

#[tokio::test]
async fn a_second_repository_is_refused_and_nothing_is_written() {
    let mut objects = base();
    objects.extend(documents("codebase-gitops-reconciled.yaml"));
    let (cluster, written) = server(objects, false);
    let error = create_repository(&cluster, "krci", &form()).await.unwrap_err();
    assert!(matches!(error, Error::RepositoryExists { .. }), "{error}");
    assert!(written.lock().unwrap().is_empty());
}

#[tokio::test]
async fn losing_the_race_reads_the_same() {
    let (cluster, _) = server(base(), true);
    let error = create_repository(&cluster, "krci", &form()).await.unwrap_err();
    assert_eq!(error.code(), "delivery.repository_exists", "{error}");
}

#[tokio::test]
async fn a_form_with_problems_is_not_sent() {
    let (cluster, written) = server(base(), false);
    let error = create_repository(&cluster, "krci", &Form { owner: String::new(), ..form() }).await.unwrap_err();
    assert!(matches!(error, Error::Form(_)), "{error}");
    assert!(written.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_deploy_is_started_once() {
    let (cluster, written) = server(base(), false);
    let run = start_deploy(&cluster, "krci", &snapshot(&base()), "mypipe", "dev", &choices(), None).await.unwrap();
    assert!(run.starts_with("deploy-mypipe-dev-") && run.len() == "deploy-mypipe-dev-".len() + 4, "{run}");
    assert_eq!(written.lock().unwrap()[0]["metadata"]["name"], run);
}

#[tokio::test]
async fn a_run_the_window_has_not_seen_stops_a_deploy_and_a_clean() {
    let mut objects = base();
    objects.extend(documents("tekton-pipelinerun-deploy.yaml"));
    let (cluster, written) = server(objects, false);
    let stale = snapshot(&base());
    let error = start_deploy(&cluster, "krci", &stale, "mypipe", "dev", &choices(), None).await.unwrap_err();
    assert!(matches!(&error, Error::Busy { run } if run == "deploy-mypipe-dev-ab12"), "{error}");
    let error = start_clean(&cluster, "krci", &stale, "mypipe", "dev", None).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    assert!(written.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_clean_run_is_started() {
    let (cluster, written) = server(base(), false);
    start_clean(&cluster, "krci", &snapshot(&base()), "mypipe", "dev", None).await.unwrap();
    assert_eq!(written.lock().unwrap()[0]["metadata"]["labels"]["app.edp.epam.com/pipelinetype"], "clean");
}

/// A server that takes each name once, and shows from then on what it took, as running.
fn taking_server(objects: Vec<Value>, meanwhile: Vec<Value>) -> (Cluster, Arc<Mutex<Vec<Value>>>) {
    refusing_server(objects, meanwhile, |_, _| None)
}

/// The same, which first asks `refuse` about a method and how many runs there are.
fn refusing_server(
    objects: Vec<Value>,
    meanwhile: Vec<Value>,
    refuse: impl Fn(&http::Method, usize) -> Option<u16> + Send + Sync + 'static,
) -> (Cluster, Arc<Mutex<Vec<Value>>>) {
    let refuse = Arc::new(refuse);
    let held: Arc<Mutex<Vec<Value>>> = Arc::new(Mutex::new(objects));
    let (all, meanwhile) = (held.clone(), Arc::new(Mutex::new(meanwhile)));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (all, meanwhile, refuse) = (all.clone(), meanwhile.clone(), refuse.clone());
        async move {
            let path = request.uri().path().to_owned();
            let parts: Vec<&str> = path.split('/').skip(1).collect();
            let (plural, name) = (parts[5].to_owned(), parts.get(6).map(|name| (*name).to_owned()));
            let of_kind =
                |one: &Value| one["kind"].as_str().is_some_and(|kind| format!("{}s", kind.to_lowercase()) == plural);
            let method = request.method().clone();
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            let mut all = all.lock().unwrap();
            let there = |all: &[Value], name: &Value| {
                all.iter().position(|one| of_kind(one) && one["metadata"]["name"] == *name)
            };
            let failure = |code: u16, reason: &str| {
                (
                    code,
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": reason}),
                )
            };
            let runs = all.iter().filter(|one| one["kind"] == "PipelineRun").count();
            let refused = if plural == "pipelineruns" { refuse(&method, runs) } else { None };
            let (status, answer) = match method {
                _ if refused.is_some() => {
                    let code = refused.unwrap();
                    failure(code, if code == 403 { "Forbidden" } else { "ServiceUnavailable" })
                }
                http::Method::PUT => {
                    let object: Value = serde_json::from_slice(&bytes).unwrap();
                    let place = there(&all, &json!(name)).unwrap();
                    all[place] = object.clone();
                    (200, object)
                }
                http::Method::POST => {
                    let mut object: Value = serde_json::from_slice(&bytes).unwrap();
                    if there(&all, &object["metadata"]["name"]).is_some() {
                        failure(409, "AlreadyExists")
                    } else {
                        all.extend(meanwhile.lock().unwrap().drain(..));
                        object["metadata"]["uid"] = json!(format!("uid-{}", all.len()));
                        object["metadata"]["creationTimestamp"] = json!("2026-03-01T10:00:00Z");
                        all.push(object.clone());
                        (201, object)
                    }
                }
                http::Method::PATCH => {
                    let patch: Value = serde_json::from_slice(&bytes).unwrap();
                    let place = there(&all, &json!(name)).unwrap();
                    assert_eq!(patch["metadata"]["uid"], all[place]["metadata"]["uid"]);
                    all[place]["spec"]["status"] = patch["spec"]["status"].clone();
                    (200, all[place].clone())
                }
                _ => match name {
                    Some(name) => match there(&all, &json!(name)) {
                        Some(place) => (200, all[place].clone()),
                        None => failure(404, "NotFound"),
                    },
                    None => {
                        let items: Vec<&Value> = all.iter().filter(|one| of_kind(one)).collect();
                        (
                            200,
                            json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}),
                        )
                    }
                },
            };
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, Infallible>(
                Response::builder().status(status).header("content-type", "application/json").body(body).unwrap(),
            )
        }
    });
    (Cluster::from_client(Client::new(service, "krci"), "test", true), held)
}

#[tokio::test]
async fn of_two_people_who_deploy_at_once_one_is_let_through() {
    let (cluster, held) = taking_server(base(), Vec::new());
    let (objects, choices) = (snapshot(&base()), choices());
    let deploy = || start_deploy(&cluster, "krci", &objects, "mypipe", "dev", &choices, None);
    let (one, two) = tokio::join!(deploy(), deploy());
    let outcomes = [one, two];
    assert_eq!(outcomes.iter().filter(|one| one.is_ok()).count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().any(|one| matches!(one, Err(Error::Busy { .. }))), "{outcomes:?}");
    let held = held.lock().unwrap();
    assert_eq!(held.iter().filter(|one| one["kind"] == "PipelineRun").count(), 1);
}

/// The portal gives names by chance, so the name does not stop it: between our look and our write it was quicker.
fn theirs() -> Value {
    let mut theirs = documents("tekton-pipelinerun-deploy.yaml").remove(0);
    theirs["metadata"]["uid"] = json!("theirs");
    theirs["metadata"]["creationTimestamp"] = json!("2026-03-01T10:00:00Z");
    theirs
}

#[tokio::test]
async fn a_deploy_that_came_later_than_one_from_elsewhere_takes_itself_back() {
    // Also by who may update but not patch, and when the second look is not answered at once.
    let unanswered = AtomicUsize::new(0);
    type Refuse = Box<dyn Fn(&http::Method, usize) -> Option<u16> + Send + Sync>;
    let ways: [Refuse; 3] = [
        Box::new(|_, _| None),
        Box::new(|method, _| (method == http::Method::PATCH).then_some(403)),
        Box::new(move |method, runs| {
            let first = method == http::Method::GET && runs == 2 && unanswered.fetch_add(1, Ordering::Relaxed) == 0;
            first.then_some(503)
        }),
    ];
    for refuse in ways {
        let (cluster, held) = refusing_server(base(), vec![theirs()], refuse);
        let outcome = start_deploy(&cluster, "krci", &snapshot(&base()), "mypipe", "dev", &choices(), None).await;
        assert!(matches!(&outcome, Err(Error::Busy { run }) if run == "deploy-mypipe-dev-ab12"), "{outcome:?}");
        let held = held.lock().unwrap();
        let runs: Vec<_> = held.iter().filter(|one| one["kind"] == "PipelineRun").collect();
        let stopped: Vec<_> =
            runs.iter().map(|run| (run["metadata"]["uid"] == "theirs", run["spec"]["status"].clone())).collect();
        assert_eq!(stopped, [(true, Value::Null), (false, json!("Cancelled"))]);
    }
}

#[tokio::test]
async fn a_deploy_that_cannot_look_again_says_that_it_is_not_certain() {
    let refuse = |method: &http::Method, runs: usize| (method == http::Method::GET && runs == 1).then_some(503);
    let (cluster, held) = refusing_server(base(), Vec::new(), refuse);
    let outcome = start_deploy(&cluster, "krci", &snapshot(&base()), "mypipe", "dev", &choices(), None).await;
    let name = held.lock().unwrap().last().unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
    let words = format!("the run `{name}` was started, but");
    assert!(matches!(&outcome, Err(Error::HalfDone(why)) if why.contains(&words)), "{outcome:?}");
}

#[tokio::test]
async fn what_is_started_is_what_was_shown() {
    let objects = snapshot(&base());
    let made = plan(&objects, "mypipe", "dev", &choices()).unwrap();
    let template = objects.templates.iter().flatten().find(|one| one.meta.name == made.template).unwrap();
    let said = changes(&objects, &made).unwrap();
    let seen = shown_digest(template, &made, "krci", &said).unwrap();

    let mut other = choices();
    other.applications[0].values_override = false;
    let mut template_changed = base();
    let place = template_changed
        .iter()
        .position(|one| one["kind"] == "TriggerTemplate" && one["metadata"]["name"] == "deploy")
        .unwrap();
    template_changed[place]["spec"]["resourcetemplates"][0]["spec"]["serviceAccountName"] = json!("somebody-else");
    for (held, choices) in [(base(), other), (template_changed, choices())] {
        let (cluster, written) = server(held, false);
        let outcome = start_deploy(&cluster, "krci", &objects, "mypipe", "dev", &choices, Some(&seen)).await;
        assert!(matches!(&outcome, Err(Error::PreviewStale { .. })), "{outcome:?}");
        assert!(written.lock().unwrap().is_empty());
    }
    let (cluster, _) = server(base(), false);
    start_deploy(&cluster, "krci", &objects, "mypipe", "dev", &choices(), Some(&seen)).await.unwrap();
}

fn deployed(version: &str) -> Value {
    let mut one = documents("argocd-application-override-on.yaml").remove(0);
    one["metadata"]["namespace"] = json!("krci");
    one["metadata"]["uid"] = json!("a-1");
    let parameters = one["spec"]["sources"][1]["helm"]["parameters"].as_array_mut().unwrap();
    parameters.iter_mut().find(|one| one["name"] == "image.tag").unwrap()["value"] = json!(version);
    one
}

fn with(mut all: Vec<Value>, more: Value) -> Vec<Value> {
    all.push(more);
    all
}

#[tokio::test]
async fn what_is_removed_is_what_was_shown() {
    let before = with(base(), deployed("0.1.0-SNAPSHOT.1"));
    let objects = snapshot(&before);
    let stage = objects.stage("mypipe", "dev").unwrap();
    let template = objects.templates.iter().flatten().find(|one| one.meta.name == "clean").unwrap();
    let run = render_clean(template, stage, "krci", SHOWN).unwrap();
    let clean = clean_means(&objects, "mypipe", "dev").unwrap().shown_digest(Some(&run));
    let deletion = deletion_means(&objects, "mypipe", "dev", "fastapi-demo").unwrap().shown_digest(None);

    // What the window holds is what was shown; only the API server knows of the change.
    let moved = with(base(), deployed("0.1.0-SNAPSHOT.2"));
    let mut other_run = before.clone();
    let place = other_run
        .iter()
        .position(|one| one["kind"] == "TriggerTemplate" && one["metadata"]["name"] == "clean")
        .unwrap();
    other_run[place]["spec"]["resourcetemplates"][0]["spec"]["pipelineRef"]["name"] = json!("clean-all");
    let mut elsewhere = before.clone();
    let place = elsewhere.iter().position(|one| one["kind"] == "Stage" && one["spec"]["name"] == "dev").unwrap();
    elsewhere[place]["spec"]["namespace"] = json!("another");
    for held in [moved.clone(), other_run, elsewhere] {
        let (cluster, written) = server(held, false);
        let outcome = start_clean(&cluster, "krci", &objects, "mypipe", "dev", Some(&clean)).await;
        assert!(matches!(&outcome, Err(Error::PreviewStale { .. })), "{outcome:?}");
        assert!(written.lock().unwrap().is_empty());
    }
    let (cluster, written) = server(before.clone(), false);
    start_clean(&cluster, "krci", &objects, "mypipe", "dev", Some(&clean)).await.unwrap();
    assert_eq!(written.lock().unwrap().len(), 1);

    let place = ("mypipe", "dev", "fastapi-demo");
    let seen = |uid, digest| SeenDeployment { uid, digest };
    let (cluster, _) = server(moved, false);
    let outcome = delete_application(&cluster, "krci", &objects, place, seen("a-1", &deletion)).await;
    assert!(matches!(&outcome, Err(Error::PreviewStale { what }) if what.contains("fastapi-demo")), "{outcome:?}");
    let (cluster, _) = server(before, false);
    let outcome = delete_application(&cluster, "krci", &objects, place, seen("a-2", &deletion)).await;
    assert!(matches!(&outcome, Err(Error::Changed { .. })), "{outcome:?}");
    delete_application(&cluster, "krci", &objects, place, seen("a-1", &deletion)).await.unwrap();
}

#[tokio::test]
async fn a_run_of_the_same_name_that_is_another_is_not_cancelled() {
    let running = |uid: &str| {
        let mut run = theirs();
        run["metadata"]["uid"] = json!(uid);
        run
    };
    let name = "deploy-mypipe-dev-ab12";
    let cancel = async |refuse: fn(&http::Method, usize) -> Option<u16>, seen: &str| {
        let (cluster, held) = refusing_server(with(base(), running("theirs")), Vec::new(), refuse);
        let outcome = cancel_run(&cluster, "krci", "mypipe", "dev", name, seen).await;
        let held = held.lock().unwrap();
        (outcome, held.last().unwrap()["spec"]["status"].clone())
    };
    let (outcome, status) = cancel(|_, _| None, "mine").await;
    assert!(matches!(&outcome, Err(Error::Changed { what }) if what.contains(name)), "{outcome:?}");
    assert_eq!(status, Value::Null, "the other one goes on");
    // Who may update but not patch is held to the same run.
    for refuse in
        [|_: &http::Method, _| None, |method: &http::Method, _| (method == http::Method::PATCH).then_some(403)]
    {
        let (outcome, status) = cancel(refuse, "theirs").await;
        assert!(outcome.unwrap());
        assert_eq!(status, "CancelledRunFinally");
    }
}

#[tokio::test]
async fn a_run_that_is_replaced_while_it_is_cancelled_is_let_alone() {
    // The patch meets another uid, as the API server answers it, and the next look finds the other run.
    let looks = Arc::new(AtomicUsize::new(0));
    let seen = looks.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let looks = looks.clone();
        async move {
            let mut run = theirs();
            let (status, answer) = match *request.method() {
                http::Method::PATCH => {
                    let why = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409, "message": "Precondition failed: UID in precondition: theirs"});
                    (409, why)
                }
                _ => {
                    let first = looks.fetch_add(1, Ordering::Relaxed) == 0;
                    run["metadata"]["uid"] = json!(if first { "theirs" } else { "newer" });
                    (200, run)
                }
            };
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            let answer = Response::builder().status(status).header("content-type", "application/json").body(body);
            Ok::<_, Infallible>(answer.unwrap())
        }
    });
    let cluster = Cluster::from_client(Client::new(service, "krci"), "test", true);
    let outcome = cancel_run(&cluster, "krci", "mypipe", "dev", "deploy-mypipe-dev-ab12", "theirs").await;
    assert!(matches!(&outcome, Err(Error::Changed { .. })), "{outcome:?}");
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}
