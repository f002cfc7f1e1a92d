//! What is written to the API server where Argo CD alone deploys. Each write looks at the object at that moment, and holds
//! only if nobody else wrote meanwhile.

use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use pilothouse_cluster::{Cluster, Error as ClusterError, explain, kinds};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::change::{CASCADE, VersionChange, cascades, changed_source, is_cascade};
use super::convention::{Place, place};
use crate::deploy::argo::operation;
use crate::objects::Application;
use crate::{Error, Result};

/// How often a write is made again on an object that changed meanwhile: Argo CD writes the status into it, often.
const TRIES: usize = 8;

/// The Application that is meant.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its unique id: the name may belong to another by now.
    pub uid: &'a str,
}

impl Target<'_> {
    fn changed(&self) -> Error {
        Error::Changed { what: format!("the Application `{}`", self.name) }
    }

    async fn read(&self, api: &Api<DynamicObject>) -> Result<DynamicObject> {
        let object = api.get(self.name).await.map_err(|error| explain(&error))?;
        if object.metadata.uid.as_deref() != Some(self.uid) {
            return Err(self.changed());
        }
        Ok(object)
    }

    /// Writes what `change` makes of the object as it is now, again when somebody was quicker. The whole object is
    /// written, as developers often may update but not patch; who may only patch does that.
    async fn write(
        &self,
        cluster: &Cluster,
        mut change: impl FnMut(&DynamicObject) -> Result<Change>,
    ) -> Result<DynamicObject> {
        let api = cluster.api(&kinds::APPLICATION, self.namespace);
        let mut last = None;
        for _ in 0..TRIES {
            let object = self.read(&api).await?;
            let Change { whole, mut patch } = change(&object)?;
            let written = match api.replace(self.name, &PostParams::default(), &whole).await {
                Ok(made) => return Ok(made),
                Err(error) => explain(&error),
            };
            let written = match written {
                refused @ ClusterError::Forbidden { .. } => {
                    patch["metadata"]["resourceVersion"] = json!(object.metadata.resource_version);
                    match api.patch(self.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
                        Ok(made) => return Ok(made),
                        Err(error) => match explain(&error) {
                            // The first refusal names the right that is usual.
                            ClusterError::Forbidden { .. } => return Err(refused.into()),
                            error => error,
                        },
                    }
                }
                error => error,
            };
            match written {
                error @ ClusterError::Conflict { .. } => last = Some(error),
                error => return Err(error.into()),
            }
        }
        Err(last.map_or_else(|| self.changed(), Error::from))
    }
}

/// An object after a change, and the same change as a merge patch.
struct Change {
    whole: DynamicObject,
    patch: Value,
}

/// Why an Application cannot be synced now; none when it can.
pub fn why_no_sync(application: &Application) -> Option<String> {
    let name = &application.meta.name;
    if application.meta.deleting {
        return Some(format!("{name} is being deleted."));
    }
    let running =
        application.operation.as_ref().is_some_and(|one| matches!(one.phase.as_str(), "Running" | "Terminating"));
    (application.asked || running).then(|| format!("Argo CD is syncing {name} at this moment."))
}

/// What an Application is set to, as a digest: Argo CD writes the status into the same object, which is no change of it.
pub fn set_to(object: &DynamicObject) -> String {
    let spec = object.data["spec"].to_string();
    Sha256::digest(spec.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Has Argo CD sync an Application as it is set; with `seen` only where it is still set to what was seen.
///
/// # Errors
/// [`Error::Refused`] while a sync goes on; [`Error::Changed`] when it is another Application by now, or set to something
/// else than was seen; what the API server says.
pub async fn sync(cluster: &Cluster, target: Target<'_>, seen: Option<&str>, prune: bool, reason: &str) -> Result<()> {
    let change = |object: &DynamicObject| {
        if seen.is_some_and(|seen| seen != set_to(object)) {
            return Err(target.changed());
        }
        if let Some(why) = why_no_sync(&Application::read(object)) {
            return Err(Error::Refused(why));
        }
        let asked = operation(object, reason, prune);
        let mut whole = object.clone();
        whole.data["operation"] = asked.clone();
        Ok(Change { whole, patch: json!({ "operation": asked }) })
    };
    target.write(cluster, change).await.map(drop)
}

/// Sets an Application to another version, and has Argo CD sync it where `sync` says how. `seen` is the chart's source
/// that the change was shown against.
///
/// # Errors
/// [`Error::Changed`] when the source is another than was seen; [`Error::Form`]; [`Error::Refused`] when a sync is to
/// follow and one goes on; what the API server says.
pub async fn change_version(
    cluster: &Cluster,
    target: Target<'_>,
    seen: &Value,
    change: &VersionChange,
    sync: Option<(bool, &str)>,
) -> Result<()> {
    replace_source(cluster, target, seen, |object, at| changed_source(object, at, change), sync).await
}

/// Sets the chart's source of an Application to that of an earlier deploy, and has Argo CD sync it where `sync` says how.
/// `seen` is the source that the change was shown against.
///
/// # Errors
/// As [`change_version`].
pub async fn set_source(
    cluster: &Cluster,
    target: Target<'_>,
    seen: &Value,
    source: &Value,
    sync: Option<(bool, &str)>,
) -> Result<()> {
    replace_source(cluster, target, seen, |_, _| Ok(source.clone()), sync).await
}

async fn replace_source(
    cluster: &Cluster,
    target: Target<'_>,
    seen: &Value,
    new: impl Fn(&DynamicObject, &Place) -> Result<Value>,
    sync: Option<(bool, &str)>,
) -> Result<()> {
    let make = |object: &DynamicObject| {
        let read = Application::read(object);
        let at: Place = place(&read).ok_or_else(|| target.changed())?;
        let sources = &object.data["spec"]["sources"];
        if sources.get(at.chart) != Some(seen) {
            return Err(target.changed());
        }
        let made = new(object, &at)?;
        let mut whole = object.clone();
        whole.data["spec"]["sources"][at.chart] = made;
        let mut patch = json!({ "spec": { "sources": whole.data["spec"]["sources"] } });
        if let Some((prune, reason)) = sync {
            if let Some(why) = why_no_sync(&read) {
                return Err(Error::Refused(why));
            }
            let asked = operation(object, reason, prune);
            whole.data["operation"] = asked.clone();
            patch["operation"] = asked;
        }
        Ok(Change { whole, patch })
    };
    target.write(cluster, make).await.map(drop)
}

fn parse(application: &Value) -> Result<DynamicObject> {
    serde_json::from_value(application.clone()).map_err(|error| Error::Template {
        name: "Application".to_owned(),
        why: format!("the object made from it is not well formed: {error}"),
    })
}

async fn post(cluster: &Cluster, namespace: &str, application: &Value, dry_run: bool) -> Result<DynamicObject> {
    let object = parse(application)?;
    let name = object.metadata.name.clone().unwrap_or_default();
    let params = PostParams { dry_run, ..PostParams::default() };
    match cluster.api(&kinds::APPLICATION, namespace).create(&params, &object).await.map_err(|error| explain(&error)) {
        Err(ClusterError::Conflict { exists: true, .. }) => Err(Error::Exists { what: "Application", name }),
        other => Ok(other?),
    }
}

/// Has the API server look at a new Application without making it.
///
/// # Errors
/// [`Error::Exists`], and what the API server says.
pub async fn try_create(cluster: &Cluster, namespace: &str, application: &Value) -> Result<()> {
    post(cluster, namespace, application, true).await.map(drop)
}

/// Makes a new Application. One that is there already is not touched.
///
/// # Errors
/// As [`try_create`].
pub async fn create(cluster: &Cluster, namespace: &str, application: &Value) -> Result<()> {
    post(cluster, namespace, application, false).await.map(drop)
}

/// Deletes an Application, with what it made or without: Argo CD knows by a finalizer which of the two is meant, so that
/// is set right first.
///
/// # Errors
/// [`Error::Changed`] when it is another Application by now; what the API server says.
pub async fn delete(cluster: &Cluster, target: Target<'_>, cascade: bool) -> Result<()> {
    let api = cluster.api(&kinds::APPLICATION, target.namespace);
    let now = Application::read(&target.read(&api).await?);
    if cascades(&now) != cascade {
        let change = |object: &DynamicObject| {
            let mut whole = object.clone();
            let mut finalizers = whole.metadata.finalizers.take().unwrap_or_default();
            finalizers.retain(|one| !is_cascade(one));
            if cascade {
                finalizers.push(CASCADE.to_owned());
            }
            whole.metadata.finalizers = Some(finalizers.clone());
            Ok(Change { whole, patch: json!({ "metadata": { "finalizers": finalizers } }) })
        };
        target.write(cluster, change).await?;
    }
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: Some(target.uid.to_owned()), resource_version: None }),
        ..DeleteParams::background()
    };
    api.delete(target.name, &params).await.map_err(|error| explain(&error))?;
    Ok(())
}
