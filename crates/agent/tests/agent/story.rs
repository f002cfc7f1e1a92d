//! The agent at work, under its own rights alone.

use kube::api::{Patch, PatchParams};
use pilothouse_chaos::plan::SyncState;
use pilothouse_cluster::kinds;
use serde_json::{Value, json};

use crate::stage::{Stage, TRIGGERS, WORKFLOW, until};

const SYNC: &str = "pilothouse-sync-shop";

#[tokio::test(flavor = "multi_thread")]
async fn it_syncs_both_ways_fires_once_and_hands_over() {
    let stage = Stage::new().await;
    stage.push(WORKFLOW, &stage.workflow(WORKFLOW), "Add the first workflow");
    stage.enable().await;
    stage.cart(1).await;
    let (code, said) = stage.check();
    assert_eq!((code, said.trim()), (0, "ok: 1 projects, 1 triggers"));

    let first = stage.agent("agent-a");
    first.ready().await;
    both_ways(&stage).await;

    stage.let_start_on_events(WORKFLOW).await;
    stage.trigger(json!({})).await;
    stage.settled("cart:1", 0).await;
    stage.image("cart:2").await;
    stage.settled("cart:2", 1).await;
    let status = stage.status().await;
    let verdict = status.observed[0].last_run.as_ref().and_then(|run| run.verdict.clone());
    assert_eq!(verdict.as_deref(), Some("Fail"), "one replica does not survive: {status:#?}");
    until("the workflow's last run", async || {
        let last = stage.object(WORKFLOW).await?.last_run?;
        (last.verdict.as_deref() == Some("Fail")).then_some(())
    })
    .await;
    let (code, page) = first.ask("/metrics").await;
    assert_eq!(code, 200);
    let line = |wanted: String| assert!(page.lines().any(|line| line == wanted), "{wanted}\n{page}");
    line(format!("pilothouse_project_in_charge{{namespace=\"{}\",project=\"shop\"}} 1", stage.home));
    line(format!("pilothouse_triggers_in_charge{{namespace=\"{}\"}} 1", stage.home));
    line(format!("pilothouse_trigger_decisions{{namespace=\"{}\",decision=\"fired\"}} 1", stage.home));
    line("pilothouse_runs{phase=\"Succeeded\",verdict=\"Fail\"} 1".to_owned());
    assert_eq!(first.ask("/healthz").await.0, 200);
    assert_eq!(first.ask("/secrets").await.0, 404);

    // A second one stands by; when the first is told to end, it gives its Leases back and the second takes over.
    let second = stage.agent("agent-b");
    second.ready().await;
    assert_eq!((stage.holder(SYNC).await, stage.holder(TRIGGERS).await), ("agent-a".into(), "agent-a".into()));
    let log = first.log.clone();
    assert_eq!(first.end("TERM").await, 0);
    let ended = std::fs::read_to_string(&log).unwrap();
    assert!(ended.lines().last().is_some_and(|line| line.contains("the agent ended")), "{ended}");
    for lease in [SYNC, TRIGGERS] {
        assert_ne!(stage.holder(lease).await, "agent-a", "{lease} was given back");
        until("the second to take over", async || (stage.holder(lease).await == "agent-b").then_some(())).await;
    }
    stage.image("cart:3").await;
    stage.settled("cart:3", 2).await;

    // Killed and started again, as a container is: nothing is done twice, and what changed meanwhile is seen.
    assert_eq!(second.end("KILL").await, 137);
    let again = stage.agent("agent-b");
    again.ready().await;
    stage.settled("cart:3", 2).await;
    stage.image("cart:4").await;
    stage.settled("cart:4", 3).await;
    let commits = stage.repo.commits("main").unwrap();
    until("the sync after the kill", async || (stage.holder(SYNC).await == "agent-b").then_some(())).await;
    stage.push("second", &stage.workflow("second"), "Add another");
    until("the other workflow", async || stage.object("second").await).await;
    assert_eq!(stage.repo.commits("main").unwrap(), commits + 1, "the agent wrote nothing into Git unasked");
    no_secret_is_anywhere(&stage);
    drop(again);
}

/// A change in Git comes into the cluster, one in the cluster into Git, and of a file that goes its object tells.
async fn both_ways(stage: &Stage) {
    until("the file in the cluster", async || stage.object(WORKFLOW).await).await;
    let object = stage.object(WORKFLOW).await.unwrap();
    let changed = format!("# by kubectl\n{}", object.manifest);
    let api = stage.cluster.api(&kinds::CHAOS_WORKFLOW, &stage.home);
    let patch = json!({"spec": {"manifest": changed}});
    api.patch(&object.object, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    until("the change in Git", async || (stage.repo.show("main", &stage.path(WORKFLOW))? == changed).then_some(()))
        .await;
    let author = stage.repo.git(&["log", "-1", "--format=%an <%ae>", "main"]).unwrap();
    assert_eq!(author.trim(), "The agent <agent@example.com>");
    stage.push("passing", &stage.workflow("passing"), "Add one that goes again");
    until("the second file", async || stage.object("passing").await).await;
    until("the project's word", async || {
        let project = stage.cluster.api(&kinds::CHAOS_PROJECT, &stage.home).get("shop").await.unwrap();
        (project.data.pointer("/status/state").and_then(Value::as_str) == Some("InSync")).then_some(())
    })
    .await;
    let path = stage.path("passing");
    let remove = |tree: &std::path::Path| {
        std::fs::remove_file(tree.join(&path)).unwrap();
        Ok(())
    };
    stage.repo.edit("main", "Remove it", remove).unwrap();
    until("word of its end", async || (stage.object("passing").await?.state? == SyncState::DeletedInGit).then_some(()))
        .await;
}

/// Neither the Git token nor the service account's is in a log or in a file of the agent's.
fn no_secret_is_anywhere(stage: &Stage) {
    let token = std::fs::read_to_string(stage.dir.path().join("account/token")).unwrap();
    // The signature alone: head and claims of a token are no secret, but nobody needs them either.
    let secrets = [stage.host.token.as_str(), token.as_str(), token.rsplit('.').next().unwrap()];
    let files = stage.files();
    assert!(files.iter().any(|path| path.extension().is_some_and(|end| end == "log")));
    assert!(files.iter().any(|path| path.ends_with("kubeconfig")));
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        for secret in secrets {
            assert!(secret.len() > 10);
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a secret is in {}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_was_led_elsewhere_is_left_alone() {
    let stage = Stage::new().await;
    stage.push(WORKFLOW, &stage.workflow(WORKFLOW), "Add a workflow");
    let other = stage.host.create_repo("mallory/chaos").unwrap();
    other.push_file(&stage.path("stolen"), &stage.workflow("stolen"), "Add another").unwrap();
    stage.enable().await;
    let api = stage.cluster.api(&kinds::CHAOS_PROJECT, &stage.home);
    let patch = json!({"spec": {"gitOps": {"url": other.url}}});
    api.patch("shop", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let agent = stage.agent("agent-a");
    agent.ready().await;
    let (code, said) = agent.ask("/readyz").await;
    assert_eq!(code, 200);
    assert!(said.contains("note:") && said.contains("agrees to"), "{said}");
    // Led back, it is looked after; and nothing of the other repository ever came.
    let patch = json!({"spec": {"gitOps": {"url": stage.repo.url}}});
    api.patch("shop", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    until("the right workflow", async || stage.object(WORKFLOW).await).await;
    assert!(stage.object("stolen").await.is_none());
}
