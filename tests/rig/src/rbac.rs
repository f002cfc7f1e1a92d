//! The rights of the rig's developer and viewer, after KubeRocketCI's own roles
//! (epam/edp-install, deploy-templates/templates/rbac).

use kube::Client;
use serde_json::{Value, json};

use crate::control_plane::{PLATFORM, ensure_namespace};
use crate::error::Result;

const READ: [&str; 3] = ["get", "list", "watch"];

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// Flows and branches in full; Argo CD applications without `patch`; pipeline runs; no Codebase may be made or
/// deleted, no Secret read, no ApplicationSet seen.
fn developer_rules() -> Vec<Value> {
    vec![
        rule("v2.edp.epam.com", &["cdpipelines", "stages", "codebasebranches", "cdstagedeployments"], &["*"]),
        rule("v2.edp.epam.com", &["codebases", "gitservers", "codebaseimagestreams"], &READ),
        rule("", &["configmaps"], &["*"]),
        rule("", &["pods", "events"], &READ),
        rule("argoproj.io", &["applications"], &["get", "list", "watch", "create", "update", "delete"]),
        rule("tekton.dev", &["pipelineruns"], &["get", "list", "watch", "create", "patch"]),
        rule("tekton.dev", &["taskruns"], &READ),
        rule("triggers.tekton.dev", &["triggertemplates"], &READ),
    ]
}

fn viewer_rules() -> Vec<Value> {
    vec![
        rule("v2.edp.epam.com", &["codebases", "gitservers", "codebaseimagestreams", "cdstagedeployments"], &READ),
        rule("argoproj.io", &["applications"], &READ),
    ]
}

/// Makes the platform namespace, the roles `developer` and `viewer` and their bindings there.
pub(crate) async fn apply(client: &Client) -> Result<()> {
    ensure_namespace(client, PLATFORM).await?;
    for (name, rules) in [("developer", developer_rules()), ("viewer", viewer_rules())] {
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": format!("rig-{name}")}, "rules": rules});
        post(client, "/apis/rbac.authorization.k8s.io/v1/clusterroles", &role).await?;
        bind(client, name, PLATFORM).await?;
    }
    Ok(())
}

/// Gives `user` (`developer` or `viewer`) its rights in one more namespace.
pub(crate) async fn bind(client: &Client, user: &str, namespace: &str) -> Result<()> {
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": format!("rig-{user}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("rig-{user}")},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
    post(client, &format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"), &binding).await
}

async fn post(client: &Client, path: &str, object: &Value) -> Result<()> {
    let request = http::Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(object.to_string().into_bytes())
        .map_err(kube::Error::HttpError)?;
    match client.request_text(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(other) => Err(other.into()),
    }
}
