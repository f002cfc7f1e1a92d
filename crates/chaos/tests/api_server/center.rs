//! ChaosCenter's API over TLS, and the one interface that it and the cluster's own chaos share.

use std::time::Duration;

use pilothouse_chaos::Error;
use pilothouse_chaos::backend::{Backend, ClusterBackend, GitOps};
use pilothouse_chaos::center::{Center, GitAccess};
use pilothouse_chaos::document::path_of;
use pilothouse_chaos::project::{self, Enable};
use pilothouse_chaos::run::{Phase, Verdict};
use pilothouse_cluster::web::{Connection, WebError};
use pilothouse_rig::center_host::{CenterHost, EXPERIMENT, PROJECT, RUN};
use serde_json::json;

use crate::stage::{self, MemoryGit};

fn connection(host: &CenterHost) -> Connection {
    Connection { authority_pem: Some(host.ca_pem.clone().into_bytes()), timeout: Duration::from_secs(20) }
}

fn center(host: &CenterHost) -> Center {
    Center::at(&host.url(), host.token.clone().into(), &connection(host)).unwrap()
}

/// What the app does with either: from the projects to a run that was started and stopped.
async fn walk(backend: &dyn Backend, project: &str, experiment: &str) {
    let projects = backend.projects().await.unwrap();
    assert!(projects.complete && projects.items.iter().any(|one| one.id == project), "{projects:?}");
    let experiments = backend.experiments(project).await.unwrap();
    assert_eq!(experiments.items.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [experiment]);
    let run = backend.start(project, experiment).await.unwrap();
    let queued = backend.run(project, &run).await.unwrap();
    assert_eq!((queued.card.phase, queued.card.verdict.unwrap_or(Verdict::Awaited)), (Phase::Queued, Verdict::Awaited));
    backend.stop(project, experiment, &run).await.unwrap();
    backend.disable_gitops(project).await.unwrap();
    assert!(!backend.gitops(project).await.unwrap().enabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_interface_serves_the_cluster_and_chaoscenter() {
    let host = CenterHost::start().unwrap();
    walk(&center(&host), PROJECT, EXPERIMENT).await;

    let (cluster, namespace) = stage::place().await;
    let url = "https://git.example/shop.git".to_owned();
    let form =
        Enable { id: stage::PROJECT.into(), url, branch: "main".into(), auth: project::Auth::Token, description: None };
    let own = ClusterBackend { cluster: cluster.clone(), namespace: namespace.clone(), suffix: || "first".to_owned() };
    own.enable_gitops(&form).await.unwrap();
    assert_eq!(own.gitops(stage::PROJECT).await.unwrap().branch, "main");
    let git = MemoryGit::default();
    git.put(&path_of(stage::PROJECT, "kill"), Some(&stage::workflow("kill", "")));
    stage::sync(&cluster, &namespace, &git).await;
    walk(&own, stage::PROJECT, "kill").await;
    let runs = own.runs(stage::PROJECT, Some("kill")).await.unwrap().items;
    assert_eq!(runs.iter().map(|run| run.experiment.as_str()).collect::<Vec<_>>(), ["kill"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_chaoscenter_is_read_with_its_faults_probes_and_weights() {
    let host = CenterHost::start().unwrap();
    let center = center(&host);
    let last = center.experiments(PROJECT).await.unwrap().items.remove(0).last_run.unwrap();
    assert_eq!((last.id.as_str(), last.verdict, last.score), (RUN, Some(Verdict::Fail), Some(50.0)));
    let run = center.run(PROJECT, RUN).await.unwrap();
    assert_eq!((run.card.phase, run.card.verdict), (Phase::Succeeded, Some(Verdict::Fail)));
    assert_eq!(run.card.at.as_deref(), Some("2026-07-14T03:33:20Z"));
    let faults: Vec<_> = run
        .faults
        .iter()
        .map(|fault| (fault.template.as_str(), fault.verdict, fault.weight, fault.probe_success_percentage))
        .collect();
    let wanted = [("pod-delete-zkg", Verdict::Pass, 5, Some(100)), ("pod-cpu-hog-8gk", Verdict::Fail, 5, Some(0))];
    assert_eq!(faults, wanted);
    assert_eq!(run.faults[1].probes[0].description.as_deref(), Some("503 for 12 s"));
    let runs = center.runs(PROJECT, Some(EXPERIMENT)).await.unwrap();
    assert_eq!((runs.items.len(), runs.complete), (1, true));
    // Only a run that is named is stopped: without one, ChaosCenter stops them all.
    assert!(center.stop(PROJECT, EXPERIMENT, "").await.is_err());
    assert!(host.asked().iter().all(|one| one.operation != "stopExperimentRuns"));
}

#[tokio::test(flavor = "multi_thread")]
async fn gitops_of_chaoscenter_is_switched_and_its_secrets_are_never_asked_for() {
    let host = CenterHost::start().unwrap();
    let center = center(&host);
    assert_eq!(center.gitops(PROJECT).await.unwrap(), GitOps::default());
    let access = GitAccess::Token("seeded-git-token".to_owned().into());
    let url = "https://git.example/chaos.git";
    // ChaosCenter's words repeat what it was given.
    let error = center.enable_gitops(PROJECT, url, "absent", &access).await.unwrap_err();
    assert!(matches!(error, Error::CenterRefused { .. }));
    assert!(!error.to_string().contains("seeded") && error.to_string().contains("reference not found"), "{error}");
    center.enable_gitops(PROJECT, url, "main", &access).await.unwrap();
    let wanted = GitOps { enabled: true, url: url.into(), branch: "main".into(), auth: "TOKEN".into() };
    assert_eq!(center.gitops(PROJECT).await.unwrap(), wanted);
    for asked in host.asked().iter().filter(|asked| asked.operation == "getGitOpsDetails") {
        let secret =
            ["token", "password", "sshPrivateKey", "userName"].iter().find(|field| asked.query.contains(*field));
        assert_eq!(secret, None);
    }
    // The token of the installation goes in the header only.
    assert!(
        host.asked()
            .iter()
            .all(|asked| asked.authorization == format!("Bearer {}", host.token) && !asked.target.contains("token"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_over_tls_to_a_trusted_server_only() {
    let host = CenterHost::start().unwrap();
    let token = || "seeded-center-token".to_owned().into();
    for bad in [
        "http://center.example",
        "ftp://x",
        "center.example",
        "https://u:p@center.example",
        "https://c.example/?t=1",
        "",
    ] {
        let refused = Center::at(bad, token(), &Connection::default());
        assert!(matches!(refused, Err(Error::Center(WebError::Address { .. }))), "{bad}");
    }
    let stranger = Center::at(&host.url(), token(), &Connection::default()).unwrap();
    assert!(matches!(stranger.projects().await, Err(Error::Center(WebError::Tls { .. }))));
    assert!(host.asked().is_empty());
    let wrong = Center::at(&host.url(), token(), &connection(&host)).unwrap();
    let error = wrong.projects().await.unwrap_err();
    assert!(matches!(error, Error::Center(WebError::Auth { .. })), "{error}");
    assert!(!format!("{error} {error:?} {wrong:?}").contains("seeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_answers_of_chaoscenter_are_bounded_and_refused() {
    let host = CenterHost::start().unwrap();
    let center = center(&host);
    let list = |id: &str, name: &str, score: serde_json::Value| {
        json!({"data": {"listExperiment": {"totalNoOfExperiments": 1, "experiments": [{
            "experimentID": id, "name": name, "experimentType": null, "cronSyntax": null, "infra": null,
            "recentExperimentRunDetails": [{"experimentRunID": "r", "phase": "Completed", "resiliencyScore": score}]}]}}})
        .to_string()
    };
    for body in [
        "<html>log in</html>".to_owned(),
        "{}".into(),
        "[".repeat(100_000),
        json!({"data": {"listExperiment": {"totalNoOfExperiments": -1, "experiments": []}}}).to_string(),
        json!({"data": {"listExperiment": null}}).to_string(),
        json!({"errors": [{"message": "permission_denied \u{1b}[31m"}], "data": null}).to_string(),
        list("../../etc", "x", json!(1)),
        list("", "x", json!(1)),
        list("\") { x", "x", json!(1)),
        "x".repeat(9 << 20),
    ] {
        host.answer("listExperiment", 200, body.clone());
        let error = center.experiments(PROJECT).await.unwrap_err();
        let words = error.to_string();
        assert!(words.len() < 700 && !words.contains('\u{1b}'), "{words}");
    }
    host.answer("listExperiment", 200, list("e1", &format!("a\u{1b}[31m{}", "b".repeat(10_000)), json!(1e300)));
    let found = center.experiments(PROJECT).await.unwrap().items.remove(0);
    assert!(found.name.len() <= 300 && !found.name.contains('\u{1b}'));
    assert_eq!(found.last_run.unwrap().score, None);
    // A list that never ends is cut, and says so.
    let page: Vec<_> = (0..50).map(|at| json!({"experimentID": format!("e{at}"), "name": "n"})).collect();
    let endless = json!({"data": {"listExperiment": {"totalNoOfExperiments": 1_000_000, "experiments": page}}});
    host.answer("listExperiment", 200, endless.to_string());
    let cut = center.experiments(PROJECT).await.unwrap();
    assert_eq!((cut.items.len(), cut.complete), (1_000, false));
    // What a run carries along can be anything.
    for executed in
        ["", "[", "{\"nodes\": 3}", "{\"nodes\": {\"a\": {\"chaosData\": {\"probeSuccessPercentage\": \"4000\"}}}}"]
    {
        let run =
            json!({"data": {"getExperimentRun": {"experimentRunID": RUN, "phase": "NA", "executionData": executed}}});
        host.answer("getExperimentRun", 200, run.to_string());
        let read = center.run(PROJECT, RUN).await.unwrap();
        assert!(read.faults.iter().all(|fault| fault.probe_success_percentage.is_none()), "{executed}");
    }
    for id in ["", "a b", "a/../b", &"x".repeat(200)] {
        assert!(center.start(PROJECT, id).await.is_err() && center.experiments(id).await.is_err());
    }
}
