//! What is done to Argo CD's Applications directly: a sync of values alone, and the deletion of a deployment.

use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use pilothouse_cluster::{Cluster, Error as ClusterError, explain, kinds};
use serde_json::{Value, json};

use super::ending::deletion_means;
use super::start::refuse_while_running;
use crate::objects::{Application, Objects};
use crate::writes::list;
use crate::{Error, Result};

/// How often a write is made again on an object that changed meanwhile.
const TRIES: usize = 8;
/// Who an operation says it comes from.
const BY: &str = "pilothouse";

/// Why an application's values cannot be synced without a deploy; none when they can.
pub fn why_no_sync(name: &str, application: Option<&Application>) -> Option<String> {
    let Some(application) = application else {
        return Some(format!("Argo CD has no Application for {name} yet; deploy it first."));
    };
    if application.version().is_none() {
        return Some(format!("{name} was never deployed here; a first deploy decides its tag."));
    }
    if !application.multi_source {
        return Some(format!(
            "The values override of {name} is off, so a sync would not read the file; switch it on with a deploy."
        ));
    }
    let running =
        application.operation.as_ref().is_some_and(|one| matches!(one.phase.as_str(), "Running" | "Terminating"));
    (application.asked || running).then(|| format!("Argo CD is syncing {name} at this moment."))
}

/// The operation that Argo CD's server makes of a request to sync: it copies the Application's own options and its retry
/// (server/application, `Sync`), and nobody does so for an operation that is written directly.
pub(crate) fn operation(object: &DynamicObject, reason: &str, prune: bool) -> Value {
    let mut operation = json!({
        "initiatedBy": { "username": BY },
        "info": [{ "name": "Reason", "value": reason }],
        "sync": { "prune": prune, "syncStrategy": { "hook": {} } },
    });
    let policy = &object.data["spec"]["syncPolicy"];
    if policy["syncOptions"].is_array() {
        operation["sync"]["syncOptions"] = policy["syncOptions"].clone();
    }
    if policy["retry"].is_object() {
        operation["retry"] = policy["retry"].clone();
    }
    operation
}

/// Asks Argo CD to sync one application as it is configured: same tag, values as they are in Git now. The operation is
/// what `argocd app sync --prune` asks for. Written with the whole object, as the platform's developers may update but
/// not patch; who may only patch does that. Both hold only if nobody wrote meanwhile.
///
/// # Errors
/// [`Error::Busy`] while a deploy runs; [`Error::Refused`] when there is nothing to sync or a sync is in progress; what
/// the API server says.
pub async fn sync_values(
    cluster: &Cluster,
    namespace: &str,
    flow: &str,
    environment: &str,
    application: &str,
    reason: &str,
) -> Result<String> {
    refuse_while_running(cluster, namespace, flow, environment).await?;
    let api = cluster.api(&kinds::APPLICATION, namespace);
    let mut last = None;
    for _ in 0..TRIES {
        let mut object = find(cluster, namespace, flow, environment, application).await?;
        let read = Application::read(&object);
        if let Some(why) = why_no_sync(application, Some(&read)) {
            return Err(Error::Refused(why));
        }
        let name = read.meta.name;
        let operation = operation(&object, reason, true);
        object.data["operation"] = operation.clone();
        let written = match api.replace(&name, &PostParams::default(), &object).await.map_err(|error| explain(&error)) {
            Err(refused @ ClusterError::Forbidden { .. }) => {
                let patch =
                    json!({ "metadata": { "resourceVersion": read.meta.resource_version }, "operation": operation });
                match api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
                    Ok(made) => Ok(made),
                    Err(error) => match explain(&error) {
                        // The first refusal names the right that is usual.
                        ClusterError::Forbidden { .. } => Err(refused),
                        error => Err(error),
                    },
                }
            }
            written => written,
        };
        match written {
            Ok(_) => return Ok(name),
            // Argo CD writes the status into the same object, often.
            Err(error @ ClusterError::Conflict { .. }) => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.map_or_else(|| Error::Changed { what: application.to_owned() }, Error::from))
}

/// What the user saw of a deployment that is to be deleted.
#[derive(Debug, Clone, Copy)]
pub struct SeenDeployment<'a> {
    /// The Application's unique id.
    pub uid: &'a str,
    /// The [`Ending::shown_digest`] of what its deletion means.
    ///
    /// [`Ending::shown_digest`]: super::Ending::shown_digest
    pub digest: &'a str,
}

/// Deletes an application's deployment: its Argo CD Application `seen`, and by that one's finalizer its workloads.
///
/// # Errors
/// [`Error::Busy`] while a deploy runs; [`Error::Changed`] when it is another Application by now;
/// [`Error::PreviewStale`] when its deletion means something else by now; what the API server says.
pub async fn delete_application(
    cluster: &Cluster,
    namespace: &str,
    objects: &Objects,
    (flow, environment, application): (&str, &str, &str),
    seen: SeenDeployment<'_>,
) -> Result<String> {
    refuse_while_running(cluster, namespace, flow, environment).await?;
    let object = find(cluster, namespace, flow, environment, application).await?;
    let name = object.metadata.name.clone().unwrap_or_default();
    if object.metadata.uid.as_deref() != Some(seen.uid) {
        return Err(Error::Changed { what: format!("the Application `{name}`") });
    }
    let now = Objects { applications: vec![Application::read(&object)], ..objects.clone() };
    if deletion_means(&now, flow, environment, application)?.shown_digest(None) != seen.digest {
        return Err(Error::PreviewStale { what: format!("what deleting the deployment of `{application}` removes") });
    }
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: Some(seen.uid.to_owned()), resource_version: None }),
        ..DeleteParams::background()
    };
    let api = cluster.api(&kinds::APPLICATION, namespace);
    api.delete(&name, &params).await.map_err(|error| explain(&error))?;
    Ok(name)
}

async fn find(
    cluster: &Cluster,
    namespace: &str,
    flow: &str,
    environment: &str,
    application: &str,
) -> Result<DynamicObject> {
    let unknown = || Error::Unknown { what: "Argo CD Application of", name: application.to_owned() };
    let labels = format!("app.edp.epam.com/pipeline={flow},app.edp.epam.com/stage={environment}");
    let all = list(cluster, &kinds::APPLICATION, namespace, Some(&labels)).await?;
    let objects = Objects { applications: all.iter().map(Application::read).collect(), ..Objects::default() };
    let name = objects.application(flow, environment, application).ok_or_else(unknown)?.meta.name.clone();
    all.into_iter().find(|one| one.metadata.name.as_deref() == Some(name.as_str())).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_keeps_the_applications_own_options_and_retry() {
        let object = |spec: Value| -> DynamicObject {
            serde_json::from_value(json!({ "metadata": { "name": "shop-dev-cart" }, "spec": spec })).unwrap()
        };
        let options = json!(["CreateNamespace=true", "ServerSideApply=true"]);
        let retry = json!({ "limit": 3, "backoff": { "duration": "5s" } });
        let made =
            operation(&object(json!({ "syncPolicy": { "syncOptions": options, "retry": retry } })), "values", true);
        assert_eq!((&made["sync"]["syncOptions"], &made["retry"]), (&options, &retry));
        assert_eq!(made["sync"]["prune"], true);
        let plain = operation(&object(json!({})), "values", true);
        assert!(plain.get("retry").is_none() && plain["sync"].get("syncOptions").is_none(), "{plain}");
    }
}
