//! The agent beside an open app, and beside a Git server over SSH.

use std::sync::Arc;

use pilothouse_app::contract::ConnectTarget;
use pilothouse_app::keychain::MemoryStore;
use pilothouse_app::{App, AppOptions, Scope, Silent};
use pilothouse_rig::Rig;
use pilothouse_rig::git_host::GitHost;
use serde_json::json;

use crate::stage::{Stage, TRIGGERS, WORKFLOW, until};

/// The app of somebody at the same cluster.
async fn open_app(stage: &Stage) -> Arc<App> {
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(vec![Rig::get().kubeconfig()]),
        known_hosts: Vec::new(),
        authority: None,
        // The cluster is shared with other stages.
        scope: Scope::Chaos { namespaces: vec![stage.home.clone()], triggers: vec![stage.home.clone()] },
        identity: Some("robin's app".to_owned()),
        ..AppOptions::new(stage.dir.path().join("app"))
    };
    let app = App::open(options, Arc::new(Silent)).await.unwrap();
    app.connect(ConnectTarget::Context { name: "rig".into() }, "connect".into()).await.unwrap();
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_app_doubles_nothing_and_takes_over_when_the_agent_ends() {
    let stage = Stage::new().await;
    stage.push(WORKFLOW, &stage.workflow(WORKFLOW), "Add a workflow");
    stage.enable().await;
    stage.cart(2).await;
    let agent = stage.agent("agent");
    stage.let_start_on_events(WORKFLOW).await;
    stage.trigger(json!({})).await;
    stage.settled("cart:1", 0).await;
    let app = open_app(&stage).await;
    stage.image("cart:2").await;
    stage.settled("cart:2", 1).await;
    assert_eq!(stage.holder(TRIGGERS).await, "agent", "the app stands by");

    assert_eq!(agent.end("TERM").await, 0);
    until("the app to take over", async || (stage.holder(TRIGGERS).await == "robin's app").then_some(())).await;
    stage.image("cart:3").await;
    stage.settled("cart:3", 2).await;

    let again = stage.agent("agent");
    again.ready().await;
    stage.image("cart:4").await;
    stage.settled("cart:4", 3).await;
    assert_eq!(stage.holder(TRIGGERS).await, "robin's app", "now the agent stands by");
    app.close().await;
    until("the agent to take over", async || (stage.holder(TRIGGERS).await == "agent").then_some(())).await;
    stage.image("cart:5").await;
    stage.settled("cart:5", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_ssh_it_syncs_from_the_host_that_is_known_alone() {
    let mut stage = Stage::with(GitHost::ssh().unwrap()).await;
    stage.push(WORKFLOW, &stage.workflow(WORKFLOW), "Add a workflow");
    stage.enable().await;
    let agent = stage.agent("agent");
    until("the workflow", async || stage.object(WORKFLOW).await).await;
    let log = agent.logged();
    assert_eq!(agent.end("TERM").await, 0);
    let key: Vec<&str> = stage.host.client_private_key.lines().filter(|line| line.len() > 40).collect();
    assert!(!key.is_empty() && key.iter().all(|line| !log.contains(line)), "the key is in the log");

    // The same server under another key.
    let other = GitHost::ssh().unwrap();
    let blob = |line: &str| line.split(' ').nth(2).unwrap().to_owned();
    let known = stage.host.host_key_line.replace(&blob(&stage.host.host_key_line), &blob(&other.host_key_line));
    stage.plan.settings.known_hosts = known;
    stage.remount().await;
    stage.push("second", &stage.workflow("second"), "Add another");
    let agent = stage.agent("agent");
    until("word of the other key", async || stage.project_says().await.contains("key").then_some(())).await;
    assert!(stage.object("second").await.is_none());
    drop(agent);
}
