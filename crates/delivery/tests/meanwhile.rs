//! The care of the repository while others act too: what the API server holds and answers decides, not what was shown.

#![allow(clippy::unwrap_used, reason = "a test ends where its data is not as expected")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use pilothouse_cluster::Cluster;
use pilothouse_delivery::Error;
use pilothouse_delivery::care::{self, Progress};
use pilothouse_delivery::objects::PAUSED;
use serde_json::{Value, json};

/// One request as it came in: its method, the object or list asked for, and its body.
type Asked = (String, String, Value);

/// An API server that answers as it is told, and what it was asked.
fn server(
    answer: impl Fn(&str, &str, usize) -> (u16, Value) + Send + Sync + 'static,
) -> (Cluster, Arc<Mutex<Vec<Asked>>>) {
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let (log, answer) = (asked.clone(), Arc::new(answer));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (log, answer) = (log.clone(), answer.clone());
        async move {
            let method = request.method().to_string();
            // /apis/<group>/<version>/namespaces/<namespace>/<plural>[/<name>]
            let what = request.uri().path().split('/').skip(6).collect::<Vec<_>>().join("/");
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let before = {
                let mut log = log.lock().unwrap();
                let before = log.iter().filter(|(m, w, _)| (m, w) == (&method, &what)).count();
                log.push((method.clone(), what.clone(), body));
                before
            };
            let (status, answer) = answer(&method, &what, before);
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, Infallible>(
                Response::builder().status(status).header("content-type", "application/json").body(body).unwrap(),
            )
        }
    });
    (Cluster::from_client(Client::new(service, "krci"), "test", true), asked)
}

fn codebase(name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "v2.edp.epam.com/v1", "kind": "Codebase",
        "metadata": {
            "name": name, "namespace": "krci", "uid": uid, "resourceVersion": "7",
            "labels": {"app.edp.epam.com/systemType": "gitops"}, "finalizers": ["codebase.operator.finalizer.name"],
        },
        "spec": {"type": "system", "gitServer": "my-github", "gitUrlPath": "/acme/krci-gitops", "strategy": "import"},
    })
}

fn refusal(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": reason});
    (code, status)
}

fn items(all: &[Value]) -> (u16, Value) {
    (200, json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": all}))
}

fn done() -> (u16, Value) {
    (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
}

fn of<'a>(asked: &'a [Asked], method: &str) -> Vec<&'a Asked> {
    asked.iter().filter(|one| one.0 == method).collect()
}

#[tokio::test]
async fn another_attempt_is_not_the_end_of_somebodys_pause() {
    // What the annotation says, whether to resume, and what is written of it; none when it is refused.
    let cases = [
        (Some("true"), false, None),
        (Some("true"), true, Some(Value::Null)),
        (Some("false"), false, Some(Value::Null)),
        (None, false, Some(json!("false"))),
    ];
    for (mark, resume, written) in cases {
        let mut held = codebase("krci-gitops", "u-1");
        if let Some(mark) = mark {
            held["metadata"]["annotations"] = json!({ PAUSED: mark });
        }
        let (cluster, asked) = server(move |_, _, _| (200, held.clone()));
        let outcome = care::retry(&cluster, "krci", "krci-gitops", resume).await;
        let asked = asked.lock().unwrap();
        let patched = of(&asked, "PATCH").first().map(|one| one.2["metadata"]["annotations"][PAUSED].clone());
        assert_eq!(patched, written, "{mark:?} {resume}");
        match written {
            None => assert!(matches!(&outcome, Err(Error::Refused(why)) if why.contains("paused")), "{outcome:?}"),
            Some(_) => outcome.unwrap(),
        }
    }
}

#[tokio::test]
async fn who_sees_another_after_bringing_his_own_back_withdraws_it() {
    let (cluster, asked) = server(|method, what, before| match (method, what) {
        ("GET", "codebases") if before == 0 => items(&[]),
        ("GET", "codebases") => items(&[codebase("krci-gitops", "u-1"), codebase("theirs", "u-2")]),
        ("POST", "codebases") => (201, codebase("krci-gitops", "u-1")),
        ("POST", _) => (
            201,
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "uid": "l-1"}}),
        ),
        _ => done(),
    });
    let error = care::bring_back(&cluster, "krci", codebase("krci-gitops", "u-1")).await.unwrap_err();
    assert!(matches!(&error, Error::RepositoryExists { name, .. } if name == "theirs"), "{error}");
    let asked = asked.lock().unwrap();
    let gone: Vec<&Asked> = of(&asked, "DELETE").into_iter().filter(|one| one.1.starts_with("codebases/")).collect();
    assert_eq!(gone.len(), 1);
    assert_eq!((gone[0].1.as_str(), &gone[0].2["preconditions"]["uid"]), ("codebases/krci-gitops", &json!("u-1")));
}

#[tokio::test]
async fn a_claim_that_nobody_can_take_away_holds_nobody_up() {
    let stale = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "pilothouse-gitops-repository", "uid": "l-1", "creationTimestamp": "2020-01-01T00:00:00Z"},
    });
    // How the stale Lease's deletion is answered, and whether the repository is made then.
    for (refused, made) in [(refusal(403, "Forbidden"), true), (refusal(500, "InternalError"), false)] {
        let stale = stale.clone();
        let (cluster, asked) = server(move |method, what, _| match (method, what) {
            ("POST", "leases") => refusal(409, "AlreadyExists"),
            ("GET", one) if one.starts_with("leases/") => (200, stale.clone()),
            ("DELETE", one) if one.starts_with("leases/") => refused.clone(),
            ("GET", "codebases") => items(&[]),
            _ => (201, codebase("krci-gitops", "u-1")),
        });
        let outcome = care::bring_back(&cluster, "krci", codebase("krci-gitops", "u-1")).await;
        assert_eq!(outcome.is_ok(), made, "{outcome:?}");
        let asked = asked.lock().unwrap();
        assert_eq!(of(&asked, "DELETE").len(), 1, "asked once, not over and over");
    }
}

#[tokio::test]
async fn a_rehearsal_deletes_nothing_and_hears_what_the_deletion_would() {
    for (answer, taken) in [(done(), true), (refusal(403, "Forbidden"), false), (refusal(409, "Conflict"), false)] {
        let (cluster, asked) = server(move |method, _, _| match method {
            "DELETE" => answer.clone(),
            _ => (200, codebase("krci-gitops", "u-1")),
        });
        let outcome = care::rehearse_deletion(&cluster, "krci", "krci-gitops", "u-1").await;
        assert_eq!(outcome.is_ok(), taken, "{outcome:?}");
        let asked = asked.lock().unwrap();
        for (_, _, body) in of(&asked, "DELETE") {
            assert_eq!((&body["dryRun"], &body["preconditions"]["uid"]), (&json!(["All"]), &json!("u-1")));
        }
    }
    let (cluster, asked) = server(|_, _, _| (200, codebase("krci-gitops", "u-2")));
    assert!(care::rehearse_deletion(&cluster, "krci", "krci-gitops", "u-1").await.is_err(), "another of its name");
    assert!(of(&asked.lock().unwrap(), "DELETE").is_empty());
}

#[tokio::test]
async fn a_deletion_that_was_taken_is_told_as_such() {
    let held = || {
        let mut one = codebase("krci-gitops", "u-1");
        one["metadata"]["deletionTimestamp"] = json!("2026-08-20T10:00:00Z");
        (200, one)
    };
    let standing = || (200, codebase("krci-gitops", "u-1"));
    let by = || Progress::Held(vec!["codebase.operator.finalizer.name".to_owned()]);
    // The answer to the deletion, that to the look after it, what is told, and whether the Codebase certainly stands.
    let cases = [
        ("taken, unseen", held(), refusal(500, "InternalError"), Some(by()), None),
        ("gone, unseen", done(), refusal(500, "InternalError"), Some(Progress::Gone), None),
        ("gone", done(), refusal(404, "NotFound"), Some(Progress::Gone), Some(false)),
        ("answer lost, held", refusal(503, "ServiceUnavailable"), held(), Some(by()), Some(false)),
        (
            "answer lost, gone",
            refusal(503, "ServiceUnavailable"),
            refusal(404, "NotFound"),
            Some(Progress::Gone),
            Some(false),
        ),
        ("not taken", refusal(503, "ServiceUnavailable"), standing(), None, Some(true)),
        ("nobody knows", refusal(503, "ServiceUnavailable"), refusal(503, "ServiceUnavailable"), None, None),
        ("not allowed", refusal(403, "Forbidden"), standing(), None, Some(true)),
    ];
    for (what, deletion, look, told, stands) in cases {
        let (cluster, _) = server(move |method, _, before| match (method, before) {
            ("DELETE", _) => deletion.clone(),
            (_, 0) => (200, codebase("krci-gitops", "u-1")),
            _ => look.clone(),
        });
        assert_eq!(care::delete(&cluster, "krci", "krci-gitops", "u-1").await.ok(), told, "{what}");
        assert_eq!(care::stands(&cluster, "krci", "krci-gitops", "u-1").await.ok(), stands, "{what}");
    }
}
