//! Runs for pipelines, by the agent's own rights.

use kube::api::{ListParams, Patch, PatchParams};
use pilothouse_cluster::kinds;
use serde_json::{Value, json};

use crate::stage::{Stage, WORKFLOW, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_learns_by_the_exit_code_and_the_report() {
    let mut stage = Stage::new().await;
    stage.push(WORKFLOW, &stage.workflow(WORKFLOW), "Add a workflow");
    stage.enable().await;
    stage.cart(1).await;
    let agent = stage.agent("agent-a");
    until("the workflow", async || stage.object(WORKFLOW).await).await;
    let report = stage.dir.path().join("junit.xml");
    let json_report = stage.dir.path().join("report.json");
    let run = |stage: &Stage, more: &[&str]| {
        let (junit, json) = (format!("--junit={}", report.display()), format!("--json={}", json_report.display()));
        let mut words =
            vec!["run-workflow", "--cluster", "rig", "--namespace", &stage.home, "--project", "shop", WORKFLOW];
        words.extend(["--wait", &junit, &json]);
        words.extend(more);
        stage.command(&words)
    };
    let (code, said) = run(&stage, &[]);
    assert_eq!(code, 10, "one replica does not survive: {said}");
    let junit = std::fs::read_to_string(&report).unwrap();
    assert!(junit.contains("<failure") && junit.contains("pod-delete"), "{junit}");
    let told: Value = serde_json::from_str(&std::fs::read_to_string(&json_report).unwrap()).unwrap();
    assert_eq!((told["exitCode"].as_u64(), told["outcome"].as_str()), (Some(10), Some("failed")));
    assert_eq!(run(&stage, &["--threshold", "100"]).0, 11);

    let api = stage.cluster.api(&kinds::DEPLOYMENT, &stage.target);
    let patch = json!({"spec": {"replicas": 2}});
    api.patch("cart", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    until("two pods", async || {
        let ready = api.get("cart").await.unwrap().data.pointer("/status/readyReplicas").and_then(Value::as_u64);
        (ready == Some(2)).then_some(())
    })
    .await;
    let (code, said) = run(&stage, &[]);
    assert_eq!(code, 0, "{said}");
    let junit = std::fs::read_to_string(&report).unwrap();
    assert!(junit.contains("<testcase") && !junit.contains("<failure") && !junit.contains("<error"), "{junit}");
    assert!(said.contains("passed"), "{said}");

    // What was asked for is what ran, whatever the agent beside it does.
    assert_eq!(stage.runs().await.len(), 3);
    let (code, said) =
        stage.command(&["run-workflow", "--cluster", "rig", "-n", &stage.home, "-p", "shop", "not-there"]);
    assert_eq!(code, 1, "{said}");
    let (code, said) =
        stage.command(&["run-workflow", "--cluster", "rig", "-n", &stage.home, "-p", "nobody", WORKFLOW]);
    assert_eq!(code, 1, "{said}");
    let (code, _) =
        stage.command(&["run-workflow", "--cluster", "rig", "-n", &stage.home, "-p", "shop", WORKFLOW, "--junit=x"]);
    assert_eq!(code, 2, "a report without waiting is a wrong call");
    let call = ["run-workflow", "--cluster", "eu-prod", "-n", &stage.home, "-p", "shop", WORKFLOW];
    let (code, said) = stage.command(&call);
    assert_eq!(code, 1, "a cluster in production wants the workflow's name once more: {said}");
    assert_eq!(stage.runs().await.len(), 3, "what could not be done did nothing");

    // Nothing to do harm to: nothing can be said.
    let patch = json!({"spec": {"replicas": 0}});
    api.patch("cart", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let pods = stage.cluster.api(&kinds::POD, &stage.target);
    until("no pod", async || pods.list(&ListParams::default()).await.unwrap().items.is_empty().then_some(())).await;
    let (code, said) = run(&stage, &[]);
    assert_eq!(code, 13, "{said}");
    let junit = std::fs::read_to_string(&report).unwrap();
    assert!(junit.contains("<error") && !junit.contains("<failure"), "{junit}");
    assert_eq!(run(&stage, &["--threshold", "0"]).0, 13, "a score cannot make up for it");

    // Nobody carries runs out any more.
    stage.actors.take();
    let (code, said) = run(&stage, &["--timeout", "1"]);
    assert_eq!(code, 12, "{said}");
    let told: Value = serde_json::from_str(&std::fs::read_to_string(&json_report).unwrap()).unwrap();
    assert_eq!((told["exitCode"].as_u64(), told["outcome"].as_str()), (Some(12), Some("notFinished")));
    assert_eq!(stage.runs().await.len(), 6, "it goes on all the same");
    drop(agent);
}
