//! The actors against a real API server, with its own controllers and a node: what the operators
//! leave must be accepted there, and a rollout must be the real one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its story cannot go on")]

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use pilothouse_practice::controllers::{Actor, ActorConfig, Actors, ActorsHandle};
use pilothouse_practice::git_remote::{GitAccess, GitRemote};
use pilothouse_practice::seed;
use pilothouse_rig::Rig;
use serde_json::{Value, json};

/// One platform of its own on the shared API server.
struct Platform {
    _dir: tempfile::TempDir,
    _actors: ActorsHandle,
    client: Client,
    remote: GitRemote,
    name: String,
    chaos: String,
}

async fn platform() -> Platform {
    let rig = Rig::get();
    let client = rig.client().await;
    let name = rig.namespace("actors").await;
    let chaos = rig.namespace("chaos").await;
    let dir = tempfile::tempdir().unwrap();
    let remote = GitRemote::create(dir.path()).unwrap();
    seed::plant_in(client.clone(), &remote, &name).await.unwrap();
    let git: Arc<dyn GitAccess> = Arc::new(GitRemote::create(dir.path()).unwrap());
    let mut config = ActorConfig::new(&name, Some(git)).paced(Duration::from_millis(20));
    config.chaos_namespace = chaos.clone();
    config.patience = Duration::from_secs(90);
    let actors = Actors::start(client.clone(), config, Actor::PLATFORM);
    Platform { _dir: dir, _actors: actors, client, remote, name, chaos }
}

impl Platform {
    fn api(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let (group, version) = match kind {
            "Codebase" | "CodebaseBranch" | "CodebaseImageStream" | "CDPipeline" | "Stage" => ("v2.edp.epam.com", "v1"),
            "Application" | "ApplicationSet" | "Workflow" => ("argoproj.io", "v1alpha1"),
            "PipelineRun" => ("tekton.dev", "v1"),
            "ChaosEngine" | "ChaosResult" => ("litmuschaos.io", "v1alpha1"),
            "Deployment" => ("apps", "v1"),
            _ => ("", "v1"),
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    fn own(&self, kind: &str) -> Api<DynamicObject> {
        self.api(kind, &self.name)
    }

    /// Deploys with the override on or off and returns the finished run.
    async fn deploy(&self, name: &str, on: bool) -> Value {
        let mut payload = json!({});
        for application in seed::APPLICATIONS {
            let stream = self.own("CodebaseImageStream").get(&format!("{application}-main")).await.unwrap();
            let tag = stream.data["spec"]["tags"].as_array().unwrap().last().unwrap().clone();
            payload[application] = json!({
                "imageTag": tag["name"],
                "imageDigest": tag["digest"],
                "customValues": on && application == "cart",
            });
        }
        let run = json!({
            "apiVersion": "tekton.dev/v1",
            "kind": "PipelineRun",
            "metadata": { "name": name, "labels": {
                "app.edp.epam.com/cdpipeline": seed::FLOW,
                "app.edp.epam.com/cdstage": format!("{}-dev", seed::FLOW),
                "app.edp.epam.com/pipelinetype": "deploy",
            } },
            "spec": {
                "pipelineRef": { "name": "deploy" },
                "params": [
                    { "name": "APPLICATIONS_PAYLOAD", "value": payload.to_string() },
                    { "name": "CDSTAGE", "value": "dev" },
                    { "name": "CDPIPELINE", "value": seed::FLOW },
                    { "name": "KUBECONFIG_SECRET_NAME", "value": "in-cluster" },
                ],
            },
        });
        let runs = self.own("PipelineRun");
        create(&runs, run).await;
        until(&runs, name, |r| r["status"]["completionTime"].is_string()).await
    }

    /// Runs a pod deletion against the cart and returns the ChaosResult.
    async fn strike(&self, name: &str) -> Value {
        let target = format!("{}-{}-dev", self.name, seed::FLOW);
        let engine = format!(
            "apiVersion: litmuschaos.io/v1alpha1
kind: ChaosEngine
metadata:
  name: {name}-engine
  labels: {{workflow_run_id: \"{{{{ workflow.uid }}}}\"}}
spec:
  appinfo: {{appns: {target}, applabel: app.kubernetes.io/name=cart, appkind: deployment}}
  engineState: active
  chaosServiceAccount: litmus-admin
  experiments: [{{name: pod-delete, spec: {{components: {{env: []}}}}}}]
"
        );
        let workflow = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": { "name": name },
            "spec": {
                "entrypoint": "main",
                "templates": [
                    { "name": "main", "steps": [[{ "name": "pod-delete", "template": "fault" }]] },
                    {
                        "name": "fault",
                        "inputs": { "artifacts": [
                            { "name": "fault", "path": "/tmp/fault.yaml", "raw": { "data": engine } },
                        ] },
                        "container": { "image": "litmus-checker" },
                    },
                ],
            },
        });
        let workflows = self.api("Workflow", &self.chaos);
        create(&workflows, workflow).await;
        let run = until(&workflows, name, |w| w["status"]["finishedAt"].is_string()).await;
        assert_eq!(run["status"]["phase"], "Succeeded", "{run:#}");
        let engine = self.api("ChaosEngine", &self.chaos).get(&format!("{name}-engine")).await.unwrap();
        assert_eq!(engine.data["status"]["engineStatus"], "completed");
        let result = self.api("ChaosResult", &self.chaos).get(&format!("{name}-engine-pod-delete")).await.unwrap();
        serde_json::to_value(result).unwrap()
    }

    async fn clear_away(&self) {
        // The operators' finalizers must go with their actors still there.
        let pipelines = self.own("CDPipeline");
        pipelines.delete(seed::FLOW, &DeleteParams::default()).await.unwrap();
        gone(&pipelines, seed::FLOW).await;
        let codebases = self.own("Codebase");
        for codebase in codebases.list(&ListParams::default()).await.unwrap() {
            let name = codebase.metadata.name.unwrap();
            codebases.delete(&name, &DeleteParams::default()).await.unwrap();
            gone(&codebases, &name).await;
        }
    }
}

async fn create(api: &Api<DynamicObject>, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// Asks until the object is as wanted; the bound only ends a broken test.
async fn until(api: &Api<DynamicObject>, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..1200 {
        if let Some(object) = api.get_opt(name).await.unwrap() {
            last = serde_json::to_value(object).unwrap();
            if wanted(&last) {
                return last;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} never became as wanted: {last:#}");
}

async fn gone(api: &Api<DynamicObject>, name: &str) {
    for _ in 0..600 {
        if api.get_opt(name).await.unwrap().is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} never went: {:#?}", api.get(name).await.unwrap());
}

#[tokio::test]
async fn the_platform_works_on_a_real_api_server() {
    let platform = platform().await;
    let pipelines = platform.own("CDPipeline");
    until(&pipelines, seed::FLOW, |p| p["status"]["detailed_message"] == "no GitOps codebases found").await;
    let codebases = platform.own("Codebase");
    let gitops = json!({
        "apiVersion": "v2.edp.epam.com/v1",
        "kind": "Codebase",
        "metadata": { "name": "krci-gitops", "labels": {
            "app.edp.epam.com/systemType": "gitops",
            "app.edp.epam.com/codebaseType": "system",
        } },
        "spec": {
            "ciTool": "tekton", "type": "system", "buildTool": "helm", "defaultBranch": "main",
            "deploymentScript": "helm-chart", "emptyProject": false, "framework": "gitops",
            "gitServer": seed::GIT_SERVER, "lang": "helm", "private": true, "strategy": "create",
            "versioning": { "type": "semver", "startFrom": "0.1.0-SNAPSHOT" },
            "gitUrlPath": "/acme/krci-gitops",
        },
    });
    create(&codebases, gitops).await;
    let made = until(&codebases, "krci-gitops", |c| c["status"]["status"] == "created").await;
    assert_eq!(made["status"]["git"], "pushed");
    assert_eq!(made["metadata"]["finalizers"], json!(["codebase.operator.finalizer.name", "foregroundDeletion"]));
    until(&platform.own("CodebaseImageStream"), "krci-gitops-main", |_| true).await;

    until(&pipelines, seed::FLOW, |p| p["status"]["status"] == "created").await;
    for stage in seed::ENVIRONMENTS {
        let name = format!("{}-{stage}", seed::FLOW);
        until(&platform.own("Stage"), &name, |s| s["status"]["status"] == "created").await;
    }
    let set = platform.own("ApplicationSet").get(seed::FLOW).await.unwrap();
    let elements = set.data["spec"]["generators"][0]["list"]["elements"].as_array().unwrap().len();
    assert_eq!(elements, seed::ENVIRONMENTS.len() * seed::APPLICATIONS.len());

    let run = platform.deploy("one", false).await;
    assert_eq!(run["status"]["conditions"][0]["reason"], "Succeeded", "{run:#}");
    let applications = platform.own("Application");
    let cart = format!("{}-dev-cart", seed::FLOW);
    let synced = until(&applications, &cart, |a| a["status"]["health"]["status"] == "Healthy").await;
    assert_eq!(synced["status"]["sync"]["status"], "Synced");
    assert!(synced["spec"].get("sources").is_none());
    let result = platform.strike("first").await;
    assert_eq!(result["status"]["experimentStatus"]["verdict"], "Fail", "{result:#}");
    assert_eq!(result["status"]["experimentStatus"]["probeSuccessPercentage"], "0");

    platform
        .remote
        .commit_files("acme/krci-gitops", "main", &[("storefront/dev/cart-values.yaml", "replicaCount: 2\n")], "Two")
        .unwrap();
    let run = platform.deploy("two", true).await;
    assert_eq!(run["status"]["conditions"][0]["reason"], "Succeeded", "{run:#}");
    let synced = applications.get(&cart).await.unwrap();
    assert_eq!(synced.data["spec"]["sources"].as_array().unwrap().len(), 2);
    assert_eq!(synced.data["status"]["sync"]["revisions"].as_array().unwrap().len(), 2);
    let place = format!("{}-{}-dev", platform.name, seed::FLOW);
    let live = platform.api("Deployment", &place).get("cart").await.unwrap();
    assert_eq!(live.data["status"]["readyReplicas"], 2);
    let result = platform.strike("second").await;
    assert_eq!(result["status"]["experimentStatus"]["verdict"], "Pass", "{result:#}");
    assert_eq!(result["status"]["history"]["targets"][0]["name"], "cart");

    platform.clear_away().await;
}
