//! What the practice cluster holds when it starts: a platform with one flow in two environments
//! and two applications, each object with the status its operator leaves. There is no GitOps
//! repository yet: to create it is the first thing to practise.

pub mod argo_cd;
mod charts;
mod pipelines;

use kube::Client;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::Result;
use crate::controllers::seeding::{self, Scene};
use crate::git_remote::GitRemote;

/// The platform namespace of the practice cluster.
pub const PLATFORM: &str = "krci";
/// The one Git server of the practice cluster.
pub const GIT_SERVER: &str = "practice-git";
/// The host of that Git server; repositories are reached by path, never over the network.
pub const GIT_HOST: &str = "git.practice.local";
/// The one flow.
pub const FLOW: &str = "storefront";
/// Its environments, in order.
pub const ENVIRONMENTS: [&str; 2] = ["dev", "qa"];
/// Its applications.
pub const APPLICATIONS: [&str; 2] = ["cart", "checkout"];

const REGISTRY: &str = "registry.practice.local/krci";
const PLANTED: &str = "2026-09-12T08:00:00Z";

/// Writes the applications' repositories and every object. What is there already stays, so
/// planting twice is the same as once.
pub async fn plant(client: Client, remote: &GitRemote) -> Result<()> {
    plant_in(client, remote, PLATFORM).await
}

/// The same with another platform namespace, for tests that share an API server.
pub async fn plant_in(client: Client, remote: &GitRemote, platform: &str) -> Result<()> {
    charts::plant(remote)?;
    let scene = seeding::scene(client, platform);
    namespaces(&scene).await?;
    git_server(&scene).await?;
    for sample in charts::SAMPLES {
        application(&scene, sample).await?;
    }
    pipelines::plant(&scene).await?;
    flow(&scene).await
}

/// Writes the applications' repositories where they are missing.
pub fn plant_repositories(remote: &GitRemote) -> Result<()> {
    charts::plant(remote)
}

async fn namespaces(scene: &Scene) -> Result<()> {
    let platform = scene.platform();
    use seeding::{APP_PROJECT, CONFIG_MAP, SERVICE_ACCOUNT};
    for name in ["default", "kube-system", platform, "litmus"] {
        scene.ensure_namespace(name, json!({})).await?;
    }
    for (namespace, name) in [("litmus", "litmus-admin"), ("litmus", "argo-chaos"), (platform, "tekton-cd")] {
        let account = json!({ "metadata": { "name": name } });
        scene.create(SERVICE_ACCOUNT, namespace, account).await?;
    }
    let config = json!({
        "metadata": { "name": "krci-config" },
        "data": {
            "available_clusters": "",
            "container_registry_host": "registry.practice.local",
            "container_registry_space": platform,
            "container_registry_type": "harbor",
            "dns_wildcard": "practice.local",
            "edp_version": "3.15.0",
            "platform_type": "kubernetes",
        },
    });
    scene.create(CONFIG_MAP, platform, config).await?;
    let project = seeding::app_project(platform);
    scene.create(APP_PROJECT, platform, project).await?;
    Ok(())
}

async fn git_server(scene: &Scene) -> Result<()> {
    let platform = scene.platform();
    let secret = json!({
        "metadata": {
            "name": "ci-practice-git",
            "labels": { "app.edp.epam.com/secret-type": "repository" },
        },
        "type": "Opaque",
        // A word that says what it is: the practice remote asks for no credential.
        "data": { "token": "cHJhY3RpY2U=", "username": "Z2l0" },
    });
    scene.create(seeding::SECRET, platform, secret).await?;
    let server = json!({
        "metadata": { "name": GIT_SERVER },
        "spec": {
            "gitHost": GIT_HOST,
            "gitProvider": "github",
            "gitUser": "git",
            "httpsPort": 443,
            "nameSshKeySecret": "ci-practice-git",
            "skipWebhookSSLVerification": false,
            "sshPort": 22,
            "tektonDisabled": false,
        },
        "status": { "connected": true, "status": "ok" },
    });
    scene.plant(seeding::GIT_SERVER, platform, server).await
}

async fn application(scene: &Scene, sample: &charts::Sample) -> Result<()> {
    let platform = scene.platform();
    let name = sample.name;
    let path = format!("/acme/{name}");
    let codebase = json!({
        "metadata": {
            "name": name,
            "labels": {
                "app.edp.epam.com/codebaseType": "application",
                "app.edp.epam.com/gitUrlPathHash": seeding::path_hash(&path),
            },
            "finalizers": ["codebase.operator.finalizer.name", "foregroundDeletion"],
        },
        "spec": {
            "type": "application",
            "description": sample.about,
            "lang": sample.language,
            "framework": sample.framework,
            "buildTool": sample.build_tool,
            "strategy": "create",
            "emptyProject": false,
            "defaultBranch": "main",
            "deploymentScript": "helm-chart",
            "ciTool": "tekton",
            "gitServer": GIT_SERVER,
            "gitUrlPath": path,
            "private": true,
            "repository": null,
            "versioning": { "type": "semver", "startFrom": "0.1.0-SNAPSHOT" },
        },
        "status": {
            "action": "setup_deployment_templates",
            "available": true,
            "failureCount": 0,
            "git": "templates_pushed",
            "gitWebUrl": format!("https://{GIT_HOST}/acme/{name}"),
            "lastTimeUpdated": PLANTED,
            "result": "success",
            "status": "created",
            "username": "system",
            "value": "active",
        },
    });
    scene.plant(seeding::CODEBASE, platform, codebase).await?;
    let owner = scene.want(seeding::CODEBASE, platform, name).await?;
    let main = format!("{name}-main");
    let newest = sample.builds.last().map_or("", |b| b.tag);
    let mut status = seeding::branch_status(PLANTED);
    status["build"] = json!(sample.builds.len().to_string());
    status["lastSuccessfulBuild"] = json!(newest);
    let branch = json!({
        "metadata": {
            "name": main,
            "labels": {
                "app.edp.epam.com/codebaseName": name,
                "app.edp.epam.com/codebase": name,
            },
            "ownerReferences": [owned_by(seeding::CODEBASE, &owner)],
        },
        "spec": {
            "branchName": "main",
            "codebaseName": name,
            "release": false,
            "version": newest.split_once('-').map_or(newest, |(version, _)| version).to_string() + "-SNAPSHOT",
        },
        "status": status,
    });
    scene.plant(seeding::CODEBASE_BRANCH, platform, branch).await?;
    let owner = scene.want(seeding::CODEBASE_BRANCH, platform, &main).await?;
    let tags: Vec<Value> = sample
        .builds
        .iter()
        .map(|b| json!({ "name": b.tag, "created": b.created, "digest": charts::digest(name, b.tag) }))
        .collect();
    let stream = json!({
        "metadata": {
            "name": main,
            "labels": {
                "app.edp.epam.com/codebasebranch": main,
                "app.edp.epam.com/codebase": name,
            },
            "ownerReferences": [owned_by(seeding::CODEBASE_BRANCH, &owner)],
        },
        "spec": { "codebase": name, "imageName": format!("{REGISTRY}/{name}"), "tags": tags },
        "status": { "failureCount": 0 },
    });
    scene.plant(seeding::IMAGE_STREAM, platform, stream).await
}

async fn flow(scene: &Scene) -> Result<()> {
    let platform = scene.platform();
    let streams: Vec<String> = APPLICATIONS.iter().map(|a| format!("{a}-main")).collect();
    let pipeline = json!({
        "metadata": { "name": FLOW, "finalizers": ["edp.epam.com/ownedStages"] },
        "spec": {
            "name": FLOW,
            "description": "The shop that customers see",
            "deploymentType": "container",
            "applications": APPLICATIONS,
            "applicationsToPromote": APPLICATIONS,
            "inputDockerStreams": streams,
        },
        "status": failed("setup_initial_structure", "no GitOps codebases found"),
    });
    scene.plant(seeding::CD_PIPELINE, platform, pipeline).await?;
    let owner = scene.want(seeding::CD_PIPELINE, platform, FLOW).await?;
    for (order, name) in ENVIRONMENTS.iter().enumerate() {
        let about = match *name {
            "dev" => "Where every build goes first",
            _ => "Where testers look at it",
        };
        let stage = json!({
            "metadata": {
                "name": format!("{FLOW}-{name}"),
                "labels": { "app.edp.epam.com/cdPipelineName": FLOW },
                "finalizers": ["envLabelDeletion"],
                "ownerReferences": [owned_by(seeding::CD_PIPELINE, &owner)],
            },
            "spec": {
                "cdPipeline": FLOW,
                "name": name,
                "description": about,
                "order": order,
                "namespace": format!("{platform}-{FLOW}-{name}"),
                "clusterName": "in-cluster",
                "triggerType": "Manual",
                "triggerTemplate": "deploy",
                "cleanTemplate": "clean",
                "qualityGates": [{
                    "qualityGateType": "manual",
                    "stepName": "approve",
                    "autotestName": null,
                    "branchName": null,
                }],
                "source": { "type": "default" },
            },
            "status": failed(
                "accept_cd_stage_registration",
                &format!(
                    "failed to get ApplicationSet: applicationsets.argoproj.io \"{FLOW}\" not found"
                ),
            ),
        });
        scene.plant(seeding::STAGE, platform, stage).await?;
    }
    Ok(())
}

/// What the cd-pipeline-operator leaves while there is no GitOps repository.
fn failed(action: &str, words: &str) -> Value {
    json!({
        "action": action,
        "available": false,
        "detailed_message": words,
        "last_time_updated": PLANTED,
        "result": "error",
        "status": "failed",
        "username": "system",
        "value": "failed",
    })
}

fn owned_by(kind: seeding::Kind, owner: &DynamicObject) -> Value {
    seeding::owner_reference(kind, owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_tell_one_story() {
        let samples: Vec<&str> = charts::SAMPLES.iter().map(|s| s.name).collect();
        assert_eq!(samples, APPLICATIONS);
        let dir = tempfile::tempdir().unwrap();
        let remote = GitRemote::create(dir.path()).unwrap();
        charts::plant(&remote).unwrap();
        charts::plant(&remote).unwrap();
        for sample in charts::SAMPLES {
            assert!((4..=5).contains(&sample.builds.len()));
            let repository = format!("acme/{}", sample.name);
            for build in sample.builds {
                let at = format!("build/{}", build.tag);
                let chart = remote.read(&repository, &at, "deploy-templates/Chart.yaml").unwrap().unwrap();
                let chart: Value = serde_yaml::from_str(&chart).unwrap();
                assert_eq!(chart["appVersion"], build.tag);
                let values = remote.read(&repository, &at, "deploy-templates/values.yaml").unwrap().unwrap();
                let values: Value = serde_yaml::from_str(&values).unwrap();
                assert_eq!(values["replicaCount"], 1);
            }
        }
    }
}
