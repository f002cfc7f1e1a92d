//! What the practice cluster holds where Argo CD works without KubeRocketCI: its projects, the repositories, and one
//! application that a colleague set up, so that there is something to look at before the first one is made.

use kube::Client;
use serde_json::json;

use super::{GIT_HOST, charts};
use crate::Result;
use crate::controllers::seeding::{self, APP_PROJECT, APPLICATION, SERVICE_ACCOUNT};
use crate::git_remote::{GitAccess, GitRemote, RepositoryState};

/// Argo CD's own namespace.
pub const NAMESPACE: &str = "argocd";
/// The GitOps repository, as `<owner>/<name>`.
pub const REPOSITORY: &str = "acme/gitops";
/// The flow of the application that is there already.
pub const FLOW: &str = "shop";

const README: &str = "# Values of the shop\n\nOne file for each application in each environment: \
                      `<flow>/<environment>/<application>-values.yaml`.\n";
const VALUES: &str = "# Two copies, so that a lost pod is no lost order.\nreplicaCount: 2\nservice:\n  port: 8090\n";

fn address(repository: &str) -> String {
    format!("https://{GIT_HOST}/{repository}.git")
}

/// Writes the repositories where they are missing.
pub(crate) fn plant_repositories(remote: &GitRemote) -> Result<()> {
    charts::plant(remote)?;
    if GitAccess::state(remote, REPOSITORY)? == RepositoryState::WithHistory {
        return Ok(());
    }
    remote.create_repo(REPOSITORY, "main")?;
    remote.commit_files(REPOSITORY, "main", &[("README.md", README)], "Begin")?;
    let file = format!("{FLOW}/dev/checkout-values.yaml");
    remote.commit_files(REPOSITORY, "main", &[(file.as_str(), VALUES)], "Run two copies of the checkout")?;
    Ok(())
}

/// Writes the repositories and every object. What is there already stays.
pub(crate) async fn plant(client: Client, remote: &GitRemote) -> Result<()> {
    plant_repositories(remote)?;
    let scene = seeding::scene(client, NAMESPACE);
    for name in ["default", "kube-system", NAMESPACE, "litmus"] {
        scene.ensure_namespace(name, json!({})).await?;
    }
    for name in ["litmus-admin", "argo-chaos"] {
        scene.create(SERVICE_ACCOUNT, "litmus", json!({ "metadata": { "name": name } })).await?;
    }
    for (name, about, repositories, namespaces) in [
        ("default", "Everything, everywhere", "*".to_owned(), "*".to_owned()),
        ("shop", "The shop that customers see", format!("https://{GIT_HOST}/acme/*"), format!("{FLOW}-*")),
    ] {
        let project = json!({
            "metadata": { "name": name },
            "spec": {
                "description": about,
                "sourceRepos": [repositories],
                "destinations": [{ "server": "*", "name": "*", "namespace": namespaces }],
            },
        });
        scene.create(APP_PROJECT, NAMESPACE, project).await?;
    }
    scene.create(APPLICATION, NAMESPACE, checkout()).await?;
    Ok(())
}

/// An Application whose first sync is asked for.
fn checkout() -> serde_json::Value {
    json!({
        "metadata": { "name": format!("{FLOW}-dev-checkout") },
        "spec": {
            "project": "shop",
            "sources": [
                {
                    "repoURL": address("acme/checkout"),
                    "path": "deploy-templates",
                    "targetRevision": "build/2.0.0-SNAPSHOT.7",
                    "helm": {
                        "releaseName": "checkout",
                        "valueFiles": [format!("$values/{FLOW}/dev/checkout-values.yaml")],
                        "parameters": [
                            { "name": "image.tag", "value": "2.0.0-SNAPSHOT.7", "forceString": true },
                        ],
                    },
                },
                { "repoURL": address(REPOSITORY), "targetRevision": "main", "ref": "values" },
            ],
            "destination": { "server": "https://kubernetes.default.svc", "namespace": format!("{FLOW}-dev") },
            "syncPolicy": { "syncOptions": ["CreateNamespace=true"] },
        },
        "operation": {
            "initiatedBy": { "username": "sam" },
            "sync": { "syncOptions": ["CreateNamespace=true"], "syncStrategy": { "hook": {} } },
        },
    })
}
