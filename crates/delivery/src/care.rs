//! The care of the GitOps repository: trying again, changing it, mending who reads it, deleting it and bringing it back.
//! Each write looks at the API server first and refuses when things are not as they were shown.

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use pilothouse_cluster::{Cluster, Kind, explain, kinds};
use serde_json::{Value, json};

use crate::objects::{ApplicationSet, Codebase, GitServer, Objects, PAUSED};
use crate::repository::{Edit, EditPlan, edit_refusal, plan_edit, stale_sets};
use crate::writes::{create, list, refuse_second};
use crate::{Error, Result};

/// How often a write is repeated when the operator was quicker: it writes the status at any moment.
const ATTEMPTS: usize = 5;

/// Has the operator look at a Codebase now, or work on it again when it was told to leave it alone.
///
/// A failed Codebase waits longer each time. The operator looks at once when the spec changes, or when its pause
/// annotation does (codebase_controller.go, PauseAnnotationChanged): the annotation is added as `false`, or taken away
/// when it is there. Neither pauses anything.
///
/// # Errors
/// [`Error::Unknown`], [`Error::BeingDeleted`], or what the API server says.
pub async fn retry(cluster: &Cluster, namespace: &str, name: &str) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let object = get(cluster, &kinds::CODEBASE, namespace, name, "Codebase").await?;
        let codebase = Codebase::read(&object);
        if codebase.meta.deleting {
            return Err(Error::BeingDeleted { name: name.to_owned() });
        }
        let mark = if codebase.meta.annotation(PAUSED).is_some() { Value::Null } else { json!("false") };
        let patch = json!({ "metadata": {
            "resourceVersion": codebase.meta.resource_version,
            "annotations": { PAUSED: mark },
        } });
        if merge(cluster, &kinds::CODEBASE, namespace, name, &patch).await? {
            return Ok(());
        }
    }
    Err(Error::Changed { what: format!("the Codebase `{name}`") })
}

/// Changes a Codebase whose fields are still as `seen`, and answers what was changed.
///
/// # Errors
/// [`Error::Refused`], [`Error::Form`], [`Error::Changed`] when somebody else changed it meanwhile, or what the API
/// server says.
pub async fn edit(cluster: &Cluster, namespace: &str, name: &str, seen: &Edit, wanted: &Edit) -> Result<EditPlan> {
    for _ in 0..ATTEMPTS {
        let objects = Objects {
            codebases: list(cluster, &kinds::CODEBASE, namespace, None).await?.iter().map(Codebase::read).collect(),
            git_servers: list(cluster, &kinds::GIT_SERVER, namespace, None)
                .await?
                .iter()
                .map(GitServer::read)
                .collect(),
            ..Objects::default()
        };
        let codebase = objects.codebases.iter().find(|one| one.meta.name == name);
        let codebase = codebase.ok_or_else(|| Error::Unknown { what: "Codebase", name: name.to_owned() })?;
        if let Some(why) = edit_refusal(codebase) {
            return Err(Error::Refused(why));
        }
        if Edit::of(codebase) != *seen {
            return Err(Error::Changed { what: format!("the Codebase `{name}`") });
        }
        let plan = plan_edit(codebase, wanted, &objects);
        if !plan.problems.is_empty() {
            return Err(Error::Form(plan.problems));
        }
        let Some(patch) = &plan.patch else { return Err(Error::Refused("Nothing was changed.".to_owned())) };
        if merge(cluster, &kinds::CODEBASE, namespace, name, patch).await? {
            return Ok(plan);
        }
    }
    Err(Error::Changed { what: format!("the Codebase `{name}`") })
}

/// Patches an ApplicationSet so that it reads `codebase` on `branch`. `shown` is the patch's `spec` that the user saw:
/// when the set was changed since, so that another patch would be needed, nothing is written.
///
/// # Errors
/// [`Error::Changed`], [`Error::Unknown`], or what the API server says.
pub async fn mend_set(
    cluster: &Cluster,
    namespace: &str,
    set: &str,
    codebase: &str,
    branch: &str,
    shown: &Value,
) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let found = get(cluster, &kinds::APPLICATION_SET, namespace, set, "ApplicationSet").await?;
        let repository = get(cluster, &kinds::CODEBASE, namespace, codebase, "Codebase").await?;
        let repository = Codebase::read(&repository);
        let objects = Objects {
            git_servers: list(cluster, &kinds::GIT_SERVER, namespace, None)
                .await?
                .iter()
                .map(GitServer::read)
                .collect(),
            application_sets: Some(vec![ApplicationSet::read(&found)]),
            ..Objects::default()
        };
        let stale = stale_sets(&objects, &repository, branch).pop();
        let patch = stale.and_then(|one| one.merge_patch).filter(|patch| patch.get("spec") == Some(shown));
        let Some(patch) = patch else { return Err(Error::Changed { what: format!("the ApplicationSet `{set}`") }) };
        if merge(cluster, &kinds::APPLICATION_SET, namespace, set, &patch).await? {
            return Ok(());
        }
    }
    Err(Error::Changed { what: format!("the ApplicationSet `{set}`") })
}

/// How far a deletion has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It is gone.
    Gone,
    /// Finalizers hold it.
    Held(Vec<String>),
}

/// Asks for the deletion of the one Codebase with this `uid`, and answers how far it came at once.
///
/// # Errors
/// [`Error::Unknown`]; a conflict when another object has its name now; or what the API server says.
pub async fn delete(cluster: &Cluster, namespace: &str, name: &str, uid: &str) -> Result<Progress> {
    let object = get(cluster, &kinds::CODEBASE, namespace, name, "Codebase").await?;
    let codebase = Codebase::read(&object);
    if codebase.meta.uid != uid {
        return Err(Error::Changed { what: format!("the Codebase `{name}`") });
    }
    if codebase.is_protected_from("delete") {
        return Err(Error::Refused(format!("A label forbids to delete `{name}`.")));
    }
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    };
    let api = cluster.api(&kinds::CODEBASE, namespace);
    cluster.in_time("deleting the Codebase", api.delete(name, &params)).await?;
    progress(cluster, namespace, name, uid).await
}

/// How far the deletion of the Codebase with this `uid` has come.
///
/// # Errors
/// What the API server says.
pub async fn progress(cluster: &Cluster, namespace: &str, name: &str, uid: &str) -> Result<Progress> {
    let api = cluster.api(&kinds::CODEBASE, namespace);
    let found = cluster.in_time("the Codebase", api.get_opt(name)).await?;
    Ok(match found.filter(|one| one.metadata.uid.as_deref() == Some(uid)) {
        Some(one) => Progress::Held(one.metadata.finalizers.unwrap_or_default()),
        None => Progress::Gone,
    })
}

/// Makes a deleted Codebase again from what was kept of it, and answers its name.
///
/// # Errors
/// [`Error::RepositoryExists`], [`Error::BeingDeleted`], [`Error::Underway`], or what the API server says.
pub async fn bring_back(cluster: &Cluster, namespace: &str, keepsake: Value) -> Result<String> {
    let bringing = async {
        let codebases: Vec<Codebase> =
            list(cluster, &kinds::CODEBASE, namespace, None).await?.iter().map(Codebase::read).collect();
        refuse_second(namespace, &codebases)?;
        create(cluster, &kinds::CODEBASE, namespace, keepsake).await
    };
    crate::claim::exclusively(cluster, namespace, bringing).await
}

async fn get(cluster: &Cluster, kind: &Kind, namespace: &str, name: &str, what: &'static str) -> Result<DynamicObject> {
    let api = cluster.api(kind, namespace);
    let found = cluster.in_time(what, api.get_opt(name)).await?;
    found.ok_or_else(|| Error::Unknown { what, name: name.to_owned() })
}

/// Sends a merge patch; false when the object is of another version by now.
async fn merge(cluster: &Cluster, kind: &Kind, namespace: &str, name: &str, patch: &Value) -> Result<bool> {
    let api = cluster.api(kind, namespace);
    match api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map_err(|error| explain(&error)) {
        Ok(_) => Ok(true),
        Err(pilothouse_cluster::Error::Conflict { .. }) => Ok(false),
        Err(other) => Err(other.into()),
    }
}
