//! The whole loop over the practice cluster: a repository, values, two deploys, a fault that
//! fails and then passes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its story cannot go on")]

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use pilothouse_practice::PracticeCluster;
use pilothouse_practice::controllers::{Actor, ActorConfig};
use pilothouse_practice::git_remote::{GitAccess, GitRemote};
use serde_json::{Value, json};

struct Place {
    _dir: tempfile::TempDir,
    remote: Arc<GitRemote>,
    cluster: PracticeCluster,
}

async fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let remote = Arc::new(GitRemote::create(dir.path()).unwrap());
    let git: Arc<dyn GitAccess> = remote.clone();
    let config = ActorConfig::new("krci", Some(git)).paced(Duration::from_millis(10));
    let cluster = PracticeCluster::start_with(remote.clone(), config, Actor::ALL).await.unwrap();
    Place { _dir: dir, remote, cluster }
}

fn api(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let (group, version) = match kind {
        "Codebase" | "CodebaseBranch" | "CodebaseImageStream" | "CDPipeline" | "Stage" => ("v2.edp.epam.com", "v1"),
        "Application" | "ApplicationSet" | "Workflow" => ("argoproj.io", "v1alpha1"),
        "PipelineRun" => ("tekton.dev", "v1"),
        "ChaosEngine" | "ChaosResult" => ("litmuschaos.io", "v1alpha1"),
        "Deployment" | "StatefulSet" | "ReplicaSet" => ("apps", "v1"),
        _ => ("", "v1"),
    };
    let kind = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk(&kind);
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// Asks until the object is as wanted; the bound only ends a broken test.
async fn until(api: &Api<DynamicObject>, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..1500 {
        if let Some(object) = api.get_opt(name).await.unwrap() {
            last = serde_json::to_value(object).unwrap();
            if wanted(&last) {
                return last;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} never became as wanted: {last:#}");
}

async fn create(api: &Api<DynamicObject>, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}

fn gitops(strategy: &str, path: &str) -> Value {
    json!({
        "apiVersion": "v2.edp.epam.com/v1",
        "kind": "Codebase",
        "metadata": {
            "name": "krci-gitops",
            "labels": {
                "app.edp.epam.com/systemType": "gitops",
                "app.edp.epam.com/codebaseType": "system",
            },
        },
        "spec": {
            "ciTool": "tekton", "type": "system", "buildTool": "helm", "defaultBranch": "main",
            "deploymentScript": "helm-chart", "emptyProject": false, "framework": "gitops",
            "gitServer": "practice-git", "lang": "helm", "private": true, "strategy": strategy,
            "versioning": { "type": "semver", "startFrom": "0.1.0-SNAPSHOT" },
            "gitUrlPath": path, "repository": null,
        },
    })
}

fn deploy(name: &str, payload: &Value) -> Value {
    json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {
            "name": name,
            "labels": {
                "app.edp.epam.com/cdpipeline": "storefront",
                "app.edp.epam.com/cdstage": "storefront-dev",
                "app.edp.epam.com/stage": "storefront-dev",
                "app.edp.epam.com/pipelinetype": "deploy",
            },
        },
        "spec": {
            "taskRunTemplate": { "serviceAccountName": "tekton-cd" },
            "pipelineRef": { "name": "deploy" },
            "params": [
                { "name": "APPLICATIONS_PAYLOAD", "value": payload.to_string() },
                { "name": "CDSTAGE", "value": "dev" },
                { "name": "CDPIPELINE", "value": "storefront" },
                { "name": "KUBECONFIG_SECRET_NAME", "value": "in-cluster" },
            ],
            "timeouts": { "pipeline": "1h00m0s" },
        },
    })
}

fn workflow(name: &str) -> Value {
    let engine = "apiVersion: litmuschaos.io/v1alpha1
kind: ChaosEngine
metadata:
  generateName: pod-delete-cart-
  namespace: \"{{workflow.parameters.adminModeNamespace}}\"
  labels: {workflow_run_id: \"{{ workflow.uid }}\"}
spec:
  appinfo: {appns: krci-storefront-dev, applabel: app.kubernetes.io/name=cart, appkind: deployment}
  engineState: active
  chaosServiceAccount: litmus-admin
  experiments: [{name: pod-delete, spec: {components: {env: []}}}]
";
    let experiment = "apiVersion: litmuschaos.io/v1alpha1
kind: ChaosExperiment
metadata: {name: pod-delete}
spec: {definition: {scope: Namespaced, image: go-runner, labels: {name: pod-delete}}}
";
    let step = |name: &str| json!([{ "name": name, "template": name }]);
    let raw = |name: &str, data: &str| {
        json!({
            "name": name,
            "inputs": { "artifacts": [{ "name": name, "path": "/tmp/x.yaml", "raw": { "data": data } }] },
            "container": { "image": "x" },
        })
    };
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": { "name": name, "namespace": "litmus" },
        "spec": {
            "entrypoint": "main",
            "serviceAccountName": "argo-chaos",
            "arguments": { "parameters": [{ "name": "adminModeNamespace", "value": "litmus" }] },
            "templates": [
                { "name": "main", "steps": [
                    step("install-chaos-faults"), step("pod-delete"), step("cleanup-chaos-resources"),
                ] },
                raw("install-chaos-faults", experiment),
                raw("pod-delete", engine),
                { "name": "cleanup-chaos-resources", "container": { "image": "x", "args": [
                    "kubectl delete chaosengine -l workflow_run_id={{workflow.uid}} -n litmus",
                ] } },
            ],
        },
    })
}

/// Runs the workflow to its end and returns the verdict with the first probe's words.
async fn strike(client: &Client, name: &str) -> (String, String) {
    let workflows = api(client, "Workflow", "litmus");
    create(&workflows, workflow(name)).await;
    let run = until(&workflows, name, |w| w["status"]["finishedAt"].is_string()).await;
    assert_eq!(run["status"]["phase"], "Succeeded", "{run:#}");
    assert_eq!(run["status"]["progress"], "3/3");
    let uid = run["metadata"]["uid"].as_str().unwrap();
    let engines = api(client, "ChaosEngine", "litmus");
    let ours = ListParams::default().labels(&format!("workflow_run_id={uid}"));
    assert!(engines.list(&ours).await.unwrap().items.is_empty());
    let results = api(client, "ChaosResult", "litmus");
    let mut all = results.list(&ListParams::default()).await.unwrap().items;
    all.sort_by_key(|r| r.metadata.creation_timestamp.clone());
    let mut finished: Vec<&DynamicObject> = all
        .iter()
        .filter(|r| {
            r.data["status"]["experimentStatus"]["verdict"] != "Awaited"
                && r.metadata.annotations.as_ref().is_none_or(|a| !a.contains_key("seen"))
        })
        .collect();
    let result = finished.pop().unwrap();
    assert!(finished.is_empty());
    let seen = json!({ "metadata": { "annotations": { "seen": "yes" } } });
    results.patch(result.metadata.name.as_ref().unwrap(), &PatchParams::default(), &Patch::Merge(&seen)).await.unwrap();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
    (
        text(&result.data["status"]["experimentStatus"]["verdict"]),
        text(&result.data["status"]["probeStatuses"][0]["status"]["description"]),
    )
}

#[tokio::test]
async fn from_a_repository_to_a_verdict() {
    let place = place().await;
    let client = place.cluster.client();
    let pipelines = api(&client, "CDPipeline", "krci");
    let waiting = pipelines.get("storefront").await.unwrap();
    assert_eq!(waiting.data["status"]["detailed_message"], "no GitOps codebases found");

    let codebases = api(&client, "Codebase", "krci");
    create(&codebases, gitops("create", "/acme/krci-gitops")).await;
    let made = until(&codebases, "krci-gitops", |c| c["status"]["status"] == "created").await;
    assert_eq!(made["metadata"]["labels"]["app.edp.epam.com/gitUrlPathHash"], "e11959203f24be79a890fabd97d48c4c");
    assert_eq!(made["metadata"]["finalizers"], json!(["codebase.operator.finalizer.name", "foregroundDeletion"]));
    let mut status = made["status"].clone();
    for (moving, is_text) in [("lastTimeUpdated", true), ("webHookRef", true)] {
        let value = status.as_object_mut().unwrap().shift_remove(moving).unwrap();
        assert_eq!(value.is_string(), is_text, "{moving}");
    }
    assert_eq!(
        status,
        json!({
            "action": "setup_deployment_templates", "available": true, "failureCount": 0,
            "git": "pushed", "gitWebUrl": "https://git.practice.local/acme/krci-gitops",
            "result": "success", "status": "created", "username": "system", "value": "active",
        })
    );
    assert!(place.remote.read("acme/krci-gitops", "main", "README.md").unwrap().is_some());
    for kind in ["CodebaseBranch", "CodebaseImageStream"] {
        until(&api(&client, kind, "krci"), "krci-gitops-main", |_| true).await;
    }

    // The flow recovers by itself.
    until(&pipelines, "storefront", |p| p["status"]["status"] == "created").await;
    for stage in ["storefront-dev", "storefront-qa"] {
        until(&api(&client, "Stage", "krci"), stage, |s| s["status"]["status"] == "created").await;
    }
    let applications = api(&client, "Application", "krci");
    let never = until(&applications, "storefront-dev-cart", |a| a["status"]["health"]["status"] == "Missing").await;
    assert_eq!(never["status"]["sync"]["status"], "Unknown");
    let streams = api(&client, "CodebaseImageStream", "krci");
    let tags = streams.get("cart-main").await.unwrap().data["spec"]["tags"].clone();
    let newest = tags.as_array().unwrap().last().unwrap().clone();
    let checkout = streams.get("checkout-main").await.unwrap().data["spec"]["tags"][0].clone();
    let payload = |on: bool| {
        json!({
            "cart": { "imageTag": newest["name"], "imageDigest": newest["digest"], "customValues": on },
            "checkout": { "imageTag": checkout["name"], "imageDigest": checkout["digest"], "customValues": false },
        })
    };
    let runs = api(&client, "PipelineRun", "krci");
    let ended = |r: &Value| r["status"]["completionTime"].is_string();

    create(&runs, deploy("one", &payload(false))).await;
    let run = until(&runs, "one", ended).await;
    assert_eq!(run["status"]["conditions"][0]["reason"], "Succeeded", "{run:#}");
    assert_eq!(run["status"]["childReferences"].as_array().unwrap().len(), 4);
    let deployments = api(&client, "Deployment", "krci-storefront-dev");
    let live = deployments.get("cart").await.unwrap();
    assert_eq!(live.data["status"]["readyReplicas"], 1);
    assert_eq!(
        live.data["spec"]["template"]["spec"]["containers"][0]["image"],
        format!(
            "registry.practice.local/krci/cart:{}@{}",
            newest["name"].as_str().unwrap(),
            newest["digest"].as_str().unwrap()
        )
    );
    let verified = streams.get("storefront-dev-cart-verified").await.unwrap();
    assert_eq!(verified.data["spec"]["tags"][0]["name"], newest["name"]);
    let (verdict, words) = strike(&client, "first").await;
    assert_eq!(verdict, "Fail");
    assert!(words.contains("1 ready replica"), "{words}");

    // The override without its file fails with words that name the file.
    create(&runs, deploy("two", &payload(true))).await;
    let run = until(&runs, "two", ended).await;
    assert_eq!(run["status"]["conditions"][0]["reason"], "Failed");
    let broken =
        until(&applications, "storefront-dev-cart", |a| a["status"]["conditions"][0]["type"] == "ComparisonError")
            .await;
    let words = broken["status"]["conditions"][0]["message"].as_str().unwrap();
    assert!(words.ends_with("storefront/dev/cart-values.yaml: no such file or directory"), "{words}");

    let file = "storefront/dev/cart-values.yaml";
    place.remote.commit_files("acme/krci-gitops", "main", &[(file, "replicaCount: 3\n")], "Three").unwrap();
    create(&runs, deploy("three", &payload(true))).await;
    let run = until(&runs, "three", ended).await;
    assert_eq!(run["status"]["conditions"][0]["reason"], "Succeeded", "{run:#}");
    assert_eq!(deployments.get("cart").await.unwrap().data["status"]["readyReplicas"], 3);
    let synced = until(&applications, "storefront-dev-cart", |a| a["status"]["sync"]["status"] == "Synced").await;
    assert!(synced["status"].get("conditions").is_none());
    assert_eq!(synced["status"]["sync"]["revisions"].as_array().unwrap().len(), 2);
    assert_eq!(synced["status"]["history"].as_array().unwrap().len(), 2, "{synced:#}");
    assert_eq!(strike(&client, "second").await.0, "Pass");

    // A commit is drift until the next sync, which a client may also ask for itself.
    place.remote.commit_files("acme/krci-gitops", "main", &[(file, "replicaCount: 2\n")], "Two").unwrap();
    let drifted = until(&applications, "storefront-dev-cart", |a| a["status"]["sync"]["status"] == "OutOfSync").await;
    let mut asked: DynamicObject = serde_json::from_value(drifted).unwrap();
    asked.data["operation"] = json!({ "sync": {}, "initiatedBy": { "username": "user" } });
    asked.metadata.resource_version = None;
    let patch = json!({ "operation": asked.data["operation"] });
    applications.patch("storefront-dev-cart", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    until(&applications, "storefront-dev-cart", |a| {
        a["status"]["sync"]["status"] == "Synced" && a["status"]["health"]["status"] == "Healthy"
    })
    .await;
    // Health does not wait for superfluous pods to go.
    until(&deployments, "cart", |d| d["status"]["readyReplicas"] == 2).await;
}

#[tokio::test]
async fn what_cannot_be_provisioned_says_why() {
    let place = place().await;
    let client = place.cluster.client();
    let codebases = api(&client, "Codebase", "krci");
    place.remote.create_repo("acme/full", "main").unwrap();
    place.remote.commit_files("acme/full", "main", &[("a", "b")], "Somebody's").unwrap();
    for (strategy, path, part) in
        [("create", "/acme/full", "refusing to overwrite it"), ("import", "/acme/none", "acme/none not found")]
    {
        create(&codebases, gitops(strategy, path)).await;
        let failed = until(&codebases, "krci-gitops", |c| c["status"]["status"] == "failed").await;
        let words = failed["status"]["detailedMessage"].as_str().unwrap();
        assert!(words.contains(part), "{words}");
        assert_eq!(failed["status"]["available"], false);
        assert_eq!(failed["status"]["failureCount"], 1);
        codebases.delete("krci-gitops", &DeleteParams::default()).await.unwrap();
        for _ in 0..500 {
            if codebases.get_opt("krci-gitops").await.unwrap().is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    create(&codebases, gitops("import", "/acme/full")).await;
    until(&codebases, "krci-gitops", |c| c["status"]["status"] == "created").await;
}

#[tokio::test]
async fn a_run_stops_when_it_is_told_to() {
    let place = place().await;
    let client = place.cluster.client();
    let engines = api(&client, "ChaosEngine", "litmus");
    let deployments = api(&client, "Deployment", "default");
    create(
        &deployments,
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "labels": { "app": "web" } },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{ "name": "web", "image": "web:1" }] },
                },
            },
        }),
    )
    .await;
    let ready = until(&deployments, "web", |d| d["status"]["readyReplicas"] == 2).await;
    let progressing =
        ready["status"]["conditions"].as_array().unwrap().iter().any(|c| c["reason"] == "NewReplicaSetAvailable");
    assert!(progressing, "{ready:#}");
    let engine = |name: &str, state: &str| {
        json!({
            "apiVersion": "litmuschaos.io/v1alpha1", "kind": "ChaosEngine",
            "metadata": { "name": name },
            "spec": {
                "engineState": state,
                "chaosServiceAccount": "litmus-admin",
                "selectors": { "workloads": [{ "kind": "deployment", "namespace": "default", "names": "web" }] },
                "experiments": [{ "name": "pod-cpu-hog", "spec": { "components": {} } }],
            },
        })
    };
    create(&engines, engine("steady", "active")).await;
    until(&engines, "steady", |e| e["status"]["engineStatus"] == "completed").await;
    let results = api(&client, "ChaosResult", "litmus");
    let passed = results.get("steady-pod-cpu-hog").await.unwrap();
    assert_eq!(passed.data["status"]["experimentStatus"]["verdict"], "Pass");
    assert_eq!(passed.data["status"]["history"]["passedRuns"], 1);

    create(&engines, engine("never", "stop")).await;
    until(&engines, "never", |e| e["status"]["engineStatus"] == "stopped").await;
    assert!(results.get_opt("never-pod-cpu-hog").await.unwrap().is_none());

    let mut stopped = workflow("stopped");
    stopped["spec"]["shutdown"] = json!("Stop");
    let workflows = api(&client, "Workflow", "litmus");
    create(&workflows, stopped).await;
    let run = until(&workflows, "stopped", |w| w["status"]["finishedAt"].is_string()).await;
    assert_eq!(run["status"]["phase"], "Failed");
    assert_eq!(run["status"]["message"], "Stopped with strategy 'Stop'");
}

fn stateful(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": "db" },
        "spec": {
            "serviceName": "db",
            "replicas": 2,
            "selector": { "matchLabels": { "app": "db" } },
            "template": {
                "metadata": { "labels": { "app": "db" } },
                "spec": { "containers": [{ "name": "db", "image": image }] },
            },
        },
    })
}

#[tokio::test]
async fn workloads_roll_as_real_ones_do() {
    let place = place().await;
    let client = place.cluster.client();
    let sets = api(&client, "StatefulSet", "default");
    create(&sets, stateful("db:1")).await;
    let first = until(&sets, "db", |s| s["status"]["readyReplicas"] == 2).await;
    let patch = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "db", "image": "db:2" }] } } } });
    sets.patch("db", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let second = until(&sets, "db", |s| {
        s["status"]["observedGeneration"] == s["metadata"]["generation"]
            && s["status"]["updatedReplicas"] == 2
            && s["status"]["readyReplicas"] == 2
            && s["status"]["currentRevision"] == s["status"]["updateRevision"]
    })
    .await;
    assert_ne!(first["status"]["updateRevision"], second["status"]["updateRevision"]);
    let pods = api(&client, "Pod", "default");
    for name in ["db-0", "db-1"] {
        let pod = pods.get(name).await.unwrap();
        assert_eq!(pod.data["spec"]["containers"][0]["image"], "db:2");
        assert_eq!(pod.data["status"]["phase"], "Running");
    }
    // A lost pod comes back under its own name.
    let old = pods.get("db-1").await.unwrap().metadata.uid;
    pods.delete("db-1", &DeleteParams::default().grace_period(0)).await.unwrap();
    until(&pods, "db-1", |p| p["metadata"]["uid"].as_str() != old.as_deref() && p["status"]["phase"] == "Running")
        .await;

    let deployments = api(&client, "Deployment", "default");
    let mut web = stateful("web:1");
    web["kind"] = json!("Deployment");
    web["metadata"]["name"] = json!("web");
    web["spec"].as_object_mut().unwrap().shift_remove("serviceName");
    create(&deployments, web).await;
    let complete = |d: &Value| {
        d["status"]["observedGeneration"] == d["metadata"]["generation"]
            && d["status"]["updatedReplicas"] == 2
            && d["status"]["replicas"] == 2
            && d["status"]["availableReplicas"] == 2
            && d["status"].get("unavailableReplicas").is_none()
    };
    for (image, revision) in [("web:1", "1"), ("web:2", "2"), ("web:1", "3")] {
        let patch = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "db", "image": image }] } } } });
        deployments.patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        let rolled = until(&deployments, "web", complete).await;
        assert_eq!(rolled["metadata"]["annotations"]["deployment.kubernetes.io/revision"], revision);
    }
    let replicas = api(&client, "ReplicaSet", "default").list(&ListParams::default()).await.unwrap();
    let mut sizes: Vec<i64> = replicas.iter().map(|r| r.data["spec"]["replicas"].as_i64().unwrap()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [0, 2]);

    deployments.delete("web", &DeleteParams::background()).await.unwrap();
    let left = ListParams::default().labels("pod-template-hash");
    for _ in 0..500 {
        if pods.list(&left).await.unwrap().items.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the pods of a deleted Deployment stay");
}

#[tokio::test]
async fn a_clean_takes_the_workloads_and_a_cancel_ends_a_deploy() {
    let place = place().await;
    let client = place.cluster.client();
    let codebases = api(&client, "Codebase", "krci");
    create(&codebases, gitops("create", "/acme/krci-gitops")).await;
    let applications = api(&client, "Application", "krci");
    until(&applications, "storefront-dev-checkout", |_| true).await;
    until(&applications, "storefront-dev-cart", |_| true).await;
    let payload = json!({
        "cart": { "imageTag": "1.4.0-SNAPSHOT.2", "imageDigest": "", "customValues": false },
        "checkout": { "imageTag": "2.1.0-SNAPSHOT.2", "imageDigest": "", "customValues": false },
    });
    let runs = api(&client, "PipelineRun", "krci");
    let ended = |r: &Value| r["status"]["completionTime"].is_string();
    let mut cancelled = deploy("cancelled", &payload);
    cancelled["spec"]["status"] = json!("CancelledRunFinally");
    create(&runs, cancelled).await;
    let run = until(&runs, "cancelled", ended).await;
    assert_eq!(run["status"]["conditions"][0]["reason"], "Cancelled");

    create(&runs, deploy("real", &payload)).await;
    until(&runs, "real", ended).await;
    let deployments = api(&client, "Deployment", "krci-storefront-dev");
    let before = applications.get("storefront-dev-cart").await.unwrap().metadata.uid;
    assert!(deployments.get_opt("cart").await.unwrap().is_some());
    let mut clean = deploy("clean", &json!({}));
    clean["metadata"]["labels"]["app.edp.epam.com/pipelinetype"] = json!("clean");
    create(&runs, clean).await;
    let run = until(&runs, "clean", ended).await;
    assert_eq!(run["status"]["conditions"][0]["reason"], "Succeeded", "{run:#}");
    // The set makes them anew, not deployed and with the old tag.
    let again = until(&applications, "storefront-dev-cart", |a| {
        a["metadata"]["uid"].as_str() != before.as_deref() && a["status"]["health"]["status"] == "Missing"
    })
    .await;
    assert_eq!(again["spec"]["source"]["targetRevision"], "build/1.4.0-SNAPSHOT.2");
    assert_eq!(again["status"]["sync"]["status"], "OutOfSync");
    assert!(deployments.get_opt("cart").await.unwrap().is_none());
}
