//! The care of the GitOps repository: trying again, changing it, mending who reads it, deleting it and bringing it back.
//! Each write looks at the API server first and refuses when things are not as they were shown.

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use pilothouse_cluster::{Cluster, Kind, explain, kinds};
use serde_json::{Value, json};

use crate::objects::{ApplicationSet, Codebase, GitServer, Objects, PAUSED};
use crate::repository::{Edit, EditPlan, edit_refusal, plan_edit, stale_sets};
use crate::writes::{create_object, list, refuse_second};
use crate::{Error, Result};

/// How often a write is repeated when the operator was quicker: it writes the status at any moment.
const ATTEMPTS: usize = 5;

/// Has the operator look at a Codebase now. Only with `resume` does it go on with one that it was told to leave alone:
/// whoever paused it had a reason, and asking for another attempt is not asking for that.
///
/// A failed Codebase waits longer each time. The operator looks at once when the spec changes, or when its pause
/// annotation does (codebase_controller.go, PauseAnnotationChanged): the annotation is added as `false`, or taken away
/// when it is there. Neither pauses anything.
///
/// # Errors
/// [`Error::Unknown`], [`Error::BeingDeleted`], [`Error::Refused`] for a paused one, or what the API server says.
pub async fn retry(cluster: &Cluster, namespace: &str, name: &str, resume: bool) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let object = get(cluster, &kinds::CODEBASE, namespace, name, "Codebase").await?;
        let codebase = Codebase::read(&object);
        if codebase.meta.deleting {
            return Err(Error::BeingDeleted { name: name.to_owned() });
        }
        if codebase.is_paused() && !resume {
            return Err(Error::Refused(format!(
                "`{name}` is paused: somebody told the platform to leave it alone. Let the platform go on with it first."
            )));
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

/// Whether [`delete`] would be taken now: asked of the API server, which deletes nothing.
///
/// # Errors
/// As [`delete`].
pub async fn rehearse_deletion(cluster: &Cluster, namespace: &str, name: &str, uid: &str) -> Result<()> {
    deletable(cluster, namespace, name, uid).await?;
    let params = DeleteParams { dry_run: true, ..only(uid) };
    let api = cluster.api(&kinds::CODEBASE, namespace);
    cluster.in_time("deleting the Codebase", api.delete(name, &params)).await?;
    Ok(())
}

/// Asks for the deletion of the one Codebase with this `uid`, and answers how far it came at once. An answer that was
/// lost on the way is no failure when what is there shows that the deletion was taken.
///
/// # Errors
/// [`Error::Unknown`]; a conflict when another object has its name now; or what the API server says.
pub async fn delete(cluster: &Cluster, namespace: &str, name: &str, uid: &str) -> Result<Progress> {
    deletable(cluster, namespace, name, uid).await?;
    let api = cluster.api(&kinds::CODEBASE, namespace);
    match cluster.in_time("deleting the Codebase", api.delete(name, &only(uid))).await {
        // The order was taken; a look that fails now changes nothing about that.
        Ok(answer) => Ok(progress(cluster, namespace, name, uid).await.unwrap_or_else(|_| {
            answer.left().map_or(Progress::Gone, |one| Progress::Held(one.metadata.finalizers.unwrap_or_default()))
        })),
        Err(error) if error.is_transient() => match standing(cluster, namespace, name, uid).await {
            Ok(None) => Ok(Progress::Gone),
            Ok(Some(one)) if one.metadata.deletion_timestamp.is_some() => {
                Ok(Progress::Held(one.metadata.finalizers.unwrap_or_default()))
            }
            _ => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Whether the Codebase with this `uid` is there and not on its way out.
///
/// # Errors
/// What the API server says; then nobody knows.
pub async fn stands(cluster: &Cluster, namespace: &str, name: &str, uid: &str) -> Result<bool> {
    let found = standing(cluster, namespace, name, uid).await?;
    Ok(found.is_some_and(|one| one.metadata.deletion_timestamp.is_none()))
}

/// The Codebase with this `uid`, if it is there.
async fn standing(cluster: &Cluster, namespace: &str, name: &str, uid: &str) -> Result<Option<DynamicObject>> {
    let api = cluster.api(&kinds::CODEBASE, namespace);
    let found = cluster.in_time("the Codebase", api.get_opt(name)).await?;
    Ok(found.filter(|one| one.metadata.uid.as_deref() == Some(uid)))
}

/// That very object, and no other of its name.
fn only(uid: &str) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    }
}

async fn deletable(cluster: &Cluster, namespace: &str, name: &str, uid: &str) -> Result<()> {
    let object = get(cluster, &kinds::CODEBASE, namespace, name, "Codebase").await?;
    let codebase = Codebase::read(&object);
    if codebase.meta.uid != uid {
        return Err(Error::Changed { what: format!("the Codebase `{name}`") });
    }
    if codebase.is_protected_from("delete") {
        return Err(Error::Refused(format!("A label forbids to delete `{name}`.")));
    }
    Ok(())
}

/// How far the deletion of the Codebase with this `uid` has come.
///
/// # Errors
/// What the API server says.
pub async fn progress(cluster: &Cluster, namespace: &str, name: &str, uid: &str) -> Result<Progress> {
    Ok(match standing(cluster, namespace, name, uid).await? {
        Some(one) => Progress::Held(one.metadata.finalizers.unwrap_or_default()),
        None => Progress::Gone,
    })
}

/// Makes a deleted Codebase again from what was kept of it, and answers its name. As when one is created, who then sees
/// another beside his own takes his own back.
///
/// # Errors
/// [`Error::RepositoryExists`], [`Error::BeingDeleted`], [`Error::Underway`], or what the API server says.
pub async fn bring_back(cluster: &Cluster, namespace: &str, keepsake: Value) -> Result<String> {
    let bringing = async {
        let codebases: Vec<Codebase> =
            list(cluster, &kinds::CODEBASE, namespace, None).await?.iter().map(Codebase::read).collect();
        refuse_second(namespace, &codebases)?;
        let made = create_object(cluster, &kinds::CODEBASE, namespace, keepsake).await?;
        crate::claim::withdraw_unless_alone(cluster, namespace, &made).await?;
        Ok(made.metadata.name.unwrap_or_default())
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
