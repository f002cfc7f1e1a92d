//! ChaosCenter's API on loopback, behind TLS with a private authority: what its GraphQL schema and its auth server
//! describe of projects, experiments, runs and GitOps.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::error::Result;
use crate::git_host::Certificate;
use crate::provider_host::read;
use crate::tls_listener::{Connection, TlsListener, finish};

/// The project that is there.
pub const PROJECT: &str = "b3b6c7d2-0a8e-4f0e-9a43-5c1d2e3f4a5b";
/// Its experiment.
pub const EXPERIMENT: &str = "cf6dead4-944d-4c86-ba82-b5576ec0ceaf";
/// The experiment's first run: completed, with one fault that passed and one that failed.
pub const RUN: &str = "0f5b7c1e-2d5d-4be2-8a50-6d0e0f3f9b11";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET` or `POST`.
    pub method: String,
    /// The path with its query.
    pub target: String,
    /// The header `Authorization`.
    pub authorization: String,
    /// The GraphQL operation's name; empty for the auth server.
    pub operation: String,
    /// The operation's text.
    pub query: String,
    /// Its variables.
    pub variables: Value,
}

#[derive(Debug)]
struct State {
    token: String,
    git: Value,
    /// Runs started through the API: their notification's id, and whether they were stopped.
    started: Vec<(String, bool)>,
    instead: Vec<(String, u16, String)>,
    asked: Vec<Asked>,
}

/// A running server. It ends with this value.
#[derive(Debug)]
pub struct CenterHost {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The private authority's certificate in PEM.
    pub ca_pem: String,
    /// The only token that is taken.
    pub token: String,
    state: Arc<Mutex<State>>,
    _listener: TlsListener,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CenterHost {
    /// Starts a server with one project, one experiment and one run; GitOps is off.
    pub fn start() -> Result<Self> {
        let token = format!("rig-center-token-{:016x}", fastrand::u64(..));
        let git = json!({"enabled": false, "projectID": PROJECT, "branch": null, "repoURL": null, "authType": null});
        let state = State { token: token.clone(), git, started: Vec::new(), instead: Vec::new(), asked: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let certificate = Certificate::For(&["127.0.0.1", "localhost"]);
        let listener = TlsListener::start(certificate, move |connection, _| serve(connection, &shared))?;
        Ok(Self { port: listener.port, ca_pem: listener.trust.clone(), token, state, _listener: listener })
    }

    /// The installation's address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Answers an operation, or a path of the auth server, with this status and text.
    pub fn answer(&self, what: &str, status: u16, body: impl Into<String>) {
        let mut state = lock(&self.state);
        state.instead.retain(|(old, ..)| old != what);
        state.instead.push((what.to_owned(), status, body.into()));
    }

    /// Answers everything truly again.
    pub fn answer_truly(&self) {
        lock(&self.state).instead.clear();
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.state).asked.clone()
    }
}

fn serve(mut tls: Connection, state: &Mutex<State>) -> io::Result<()> {
    let Some(call) = read(&mut tls)? else { return Ok(()) };
    let length = call.headers.get("content-length").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    let mut body = vec![0; length.min(1 << 20)];
    tls.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let query = body["query"].as_str().unwrap_or_default().to_owned();
    let operation = query.split([' ', '(']).nth(1).unwrap_or_default().to_owned();
    let asked = Asked {
        method: call.method,
        target: call.target,
        authorization: call.headers.get("authorization").cloned().unwrap_or_default(),
        operation,
        query,
        variables: body["variables"].clone(),
    };
    let (status, text) = answer(&mut lock(state), &asked);
    let kind = if text.starts_with('<') { "text/html" } else { "application/json" };
    let head = format!(
        "HTTP/1.1 {status} Rig\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let stream = tls.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(text.as_bytes())?;
    finish(&mut tls)
}

fn answer(state: &mut State, asked: &Asked) -> (u16, String) {
    state.asked.push(asked.clone());
    let path = asked.target.split('?').next().unwrap_or_default();
    let key = if asked.operation.is_empty() { path } else { asked.operation.as_str() };
    if let Some((_, status, body)) = state.instead.iter().find(|(what, ..)| what == key) {
        return (*status, body.clone());
    }
    if asked.authorization != format!("Bearer {}", state.token) {
        return (401, json!({"error": "unauthorized", "errorDescription": "invalid token"}).to_string());
    }
    let body = match (asked.method.as_str(), path) {
        ("GET", "/auth/list_projects") => json!({"data": {
            "projects": [{"projectID": PROJECT, "name": "admin-project", "members": [
                {"userID": "u1", "username": "admin", "role": "Owner", "invitation": "Accepted", "joinedAt": 1_784_000_000_000_i64},
            ], "state": "ACTIVE", "createdAt": 1_784_000_000_000_i64}],
            "totalNumberOfProjects": 1,
        }}),
        ("POST", "/api/query") => graph(state, asked),
        _ => return (404, json!({"error": "not found"}).to_string()),
    };
    (200, body.to_string())
}

fn graph(state: &mut State, asked: &Asked) -> Value {
    let refused = |words: &str| json!({"errors": [{"message": words, "path": [asked.operation]}], "data": null});
    let variables = &asked.variables;
    if variables["projectID"] != PROJECT {
        return refused("permission_denied");
    }
    let notified = |id: &str| state.started.iter().position(|(known, _)| known == id);
    let value = match asked.operation.as_str() {
        "listExperiment" => json!({"totalNoOfExperiments": 1, "experiments": [{
            "experimentID": EXPERIMENT, "name": "recommendation-service-pod-delete", "experimentType": "Experiment",
            "cronSyntax": "", "infra": {"infraID": "5b9be872-6396-4ad1-b64a-ed4b25edd516", "name": "shop-cluster"},
            "recentExperimentRunDetails": [{"experimentRunID": RUN, "phase": "Completed", "resiliencyScore": 50.0}],
        }]}),
        "listExperimentRun" => json!({"totalNoOfExperimentRuns": 1, "experimentRuns": [{
            "experimentRunID": RUN, "experimentID": EXPERIMENT, "experimentName": "recommendation-service-pod-delete",
            "phase": "Completed", "resiliencyScore": 50.0, "updatedAt": "1784000000000",
        }]}),
        "runChaosExperiment" if variables["experimentID"] == EXPERIMENT => {
            let id = format!("6c1d9f5e-0000-4000-8000-{:012x}", state.started.len() + 1);
            state.started.push((id.clone(), false));
            json!({"notifyID": id})
        }
        "stopExperimentRuns" => {
            let Some(at) = variables["notifyID"].as_str().and_then(notified) else {
                return refused("no experiment run found");
            };
            state.started[at].1 = true;
            json!(true)
        }
        "getExperimentRun" if variables["experimentRunID"] == RUN => finished(),
        "getExperimentRun" => {
            let Some(at) = variables["notifyID"].as_str().and_then(notified) else {
                return refused("mongo: no documents in result");
            };
            let phase = if state.started[at].1 { "Stopped" } else { "Queued" };
            json!({
                "experimentRunID": "", "notifyID": state.started[at].0, "experimentID": EXPERIMENT, "phase": phase,
                "experimentName": "recommendation-service-pod-delete", "resiliencyScore": null, "faultsPassed": null,
                "faultsFailed": null, "faultsAwaited": null, "faultsStopped": null, "faultsNa": null,
                "totalFaults": null, "weightages": [], "executionData": "", "updatedAt": "1784000000000",
            })
        }
        "getGitOpsDetails" => state.git.clone(),
        "enableGitOps" => {
            let form = &variables["configurations"];
            if form["branch"] != "main" {
                let words = format!("clone with {}: reference not found", form["token"]);
                return refused(&words);
            }
            state.git = json!({"enabled": true, "projectID": PROJECT, "branch": form["branch"],
                "repoURL": form["repoURL"], "authType": form["authType"]});
            json!(true)
        }
        "disableGitOps" => {
            state.git["enabled"] = json!(false);
            json!(true)
        }
        _ => return refused("unknown operation"),
    };
    json!({"data": {asked.operation.as_str(): value}})
}

/// A run as the subscriber reports it: the steps of Argo as nodes, two of them with chaos.
fn finished() -> Value {
    let chaos = |engine: &str, verdict: &str, share: &str, probes: Value| {
        json!({
            "engineName": engine, "experimentVerdict": verdict, "probeSuccessPercentage": share,
            "experimentStatus": "Completed", "engineUID": "e", "namespace": "litmus",
            "chaosResult": {"status": {"experimentStatus": {"phase": "Completed"}, "probeStatuses": probes}},
        })
    };
    let probe = |verdict: &str, words: &str| json!([{"name": "answers", "type": "httpProbe", "mode": "Continuous", "status": {"verdict": verdict, "description": words}}]);
    let nodes = json!({"nodes": {
        "n1": {"name": "install-chaos-faults", "phase": "Succeeded", "type": "Pod"},
        "n2": {"name": "pod-delete-zkg", "phase": "Succeeded", "type": "ChaosEngine",
            "chaosData": chaos("pod-delete-zkg9f2lq", "Pass", "100", probe("Passed", "every answer was 200"))},
        "n3": {"name": "pod-cpu-hog-8gk", "phase": "Succeeded", "type": "ChaosEngine",
            "chaosData": chaos("pod-cpu-hog-8gkx7w2b", "Fail", "0", probe("Failed", "503 for 12 s"))},
    }});
    json!({
        "experimentRunID": RUN, "notifyID": null, "experimentID": EXPERIMENT, "phase": "Completed",
        "experimentName": "recommendation-service-pod-delete", "resiliencyScore": 50.0, "faultsPassed": 1,
        "faultsFailed": 1, "faultsAwaited": 0, "faultsStopped": 0, "faultsNa": 0, "totalFaults": 2,
        "weightages": [{"faultName": "pod-delete-zkg", "weightage": 5}, {"faultName": "pod-cpu-hog-8gk", "weightage": 5}],
        "executionData": nodes.to_string(), "updatedAt": "1784000000000",
    })
}
