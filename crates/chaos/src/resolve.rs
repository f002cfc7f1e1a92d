//! A person's decisions: a conflict settled, a deletion confirmed, a file restored.

use pilothouse_cluster::Cluster;

use crate::document::{WorkflowDocument, folder_of, path_of};
use crate::error::{Error, Result};
use crate::git_side::{GitChange, GitSide, Publication};
use crate::names::digest;
use crate::plan::{Content as FileContent, GitFile, SyncState};
use crate::sync::MAX_FILES;
use crate::workflow_object::{self, Content, WorkflowObject};

/// How a conflict is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The cluster takes what Git has.
    TakeGit,
    /// Git takes what the cluster has.
    TakeCluster,
    /// Both take this text.
    Take(String),
}

/// Both sides of a workflow, for a person to decide about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// The text in Git; `None` where there is no file, or none that can be read.
    pub git: Option<String>,
    /// The text in the cluster.
    pub cluster: String,
    /// What both held when they were last equal; `None` where Git no longer has it, or they never were.
    pub base: Option<String>,
    /// What identifies the two.
    pub seen: Seen,
}

/// Which versions of both sides a person saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The blob in Git; `None` for no file.
    pub blob: Option<String>,
    /// The digest of the text in the cluster.
    pub manifest: String,
}

/// Both sides as they are now.
pub async fn sides(
    cluster: &Cluster,
    namespace: &str,
    (project, workflow): (&str, &str),
    git: &dyn GitSide,
) -> Result<Sides> {
    let file = file_of(project, workflow, git).await?;
    let object = workflow_object::get(cluster, namespace, project, workflow).await?;
    let seen = Seen { blob: file.as_ref().map(|file| file.blob.clone()), manifest: object.manifest_digest() };
    let text = file.and_then(|file| match file.content {
        FileContent::Text(text) => Some(text),
        FileContent::Unreadable(_) => None,
    });
    let base = match &object.synced_blob {
        Some(blob) => git.blob_text(blob).await?,
        None => None,
    };
    let base = base.filter(|base| Some(digest(base)) == object.synced_digest);
    Ok(Sides { git: text, cluster: object.manifest, base, seen })
}

/// Refuses when either side is not what the person saw.
fn unmoved(workflow: &str, seen: &Seen, file: Option<&GitFile>, object: &WorkflowObject) -> Result<()> {
    let moved = match (
        seen.blob.as_deref() != file.map(|file| file.blob.as_str()),
        seen.manifest != object.manifest_digest(),
    ) {
        (false, false) => return Ok(()),
        (true, false) => "its file changed in Git since you looked",
        (false, true) => "it changed in the cluster since you looked",
        (true, true) => "it changed in Git and in the cluster since you looked",
    };
    Err(Error::PreviewStale { name: workflow.to_owned(), why: moved.to_owned() })
}

/// Settles a conflict between the two versions that a person saw. The next sync finds both sides equal.
///
/// # Errors
/// [`Error::PreviewStale`] when either side is another by now; nothing was written then.
pub async fn resolve(
    cluster: &Cluster,
    namespace: &str,
    (project, workflow): (&str, &str),
    git: &dyn GitSide,
    resolution: Resolution,
    seen: &Seen,
) -> Result<()> {
    let object = in_state(cluster, namespace, (project, workflow), SyncState::Conflict).await?;
    let file = file_of(project, workflow, git).await?;
    unmoved(workflow, seen, file.as_ref(), &object)?;
    let text = match (resolution, file.as_ref().map(|file| (&file.content, &file.blob))) {
        (Resolution::TakeGit, None) => return workflow_object::delete(cluster, namespace, &object).await,
        (Resolution::TakeGit, Some((FileContent::Text(text), blob))) => {
            WorkflowDocument::accept(project, &path_of(project, workflow), text)?;
            return update(cluster, namespace, &object, text, Some(blob)).await;
        }
        (Resolution::TakeGit, Some((FileContent::Unreadable(why), _))) => {
            return Err(Error::WrongState { name: workflow.to_owned(), why: why.clone() });
        }
        (Resolution::TakeCluster, _) => object.manifest.clone(),
        (Resolution::Take(text), _) => text,
    };
    publish(project, workflow, git, file.as_ref(), Some(text.clone())).await?;
    let written = file_of(project, workflow, git).await?;
    // Somebody may have pushed since; then the next sync finds both the base and the change.
    let blob = written.filter(|file| file.content == FileContent::Text(text.clone())).map(|file| file.blob);
    match blob {
        Some(blob) => update(cluster, namespace, &object, &text, Some(&blob)).await,
        None => Err(Error::PreviewStale {
            name: workflow.to_owned(),
            why: "your version is in Git, and somebody changed the file again right after it".to_owned(),
        }),
    }
}

/// Brings the object to a text, over exactly the version that was compared with what the person saw. Settling a
/// conflict is the person's doing, not a commit's, so nothing is to be run for it.
async fn update(
    cluster: &Cluster,
    namespace: &str,
    object: &WorkflowObject,
    text: &str,
    blob: Option<&str>,
) -> Result<()> {
    let content = Content { path: &object.path, manifest: text, blob, run_for: None };
    workflow_object::update(cluster, namespace, object, &content).await.map(|_| ())
}

/// Removes a workflow from the cluster after its file was deleted in Git. Without `seen` it is the deletion's own
/// author who confirms, of the version that Git held.
///
/// # Errors
/// [`Error::PreviewStale`] when the workflow is another by now, or its file is back.
pub async fn confirm_deletion(
    cluster: &Cluster,
    namespace: &str,
    (project, workflow): (&str, &str),
    seen: Option<(&Seen, &dyn GitSide)>,
) -> Result<()> {
    let object = in_state(cluster, namespace, (project, workflow), SyncState::DeletedInGit).await?;
    if let Some((seen, git)) = seen {
        unmoved(workflow, seen, file_of(project, workflow, git).await?.as_ref(), &object)?;
    } else if object.synced_digest.as_ref().is_some_and(|held| *held != object.manifest_digest()) {
        let why = "it was changed in the cluster since it was the same as in Git".to_owned();
        return Err(Error::PreviewStale { name: workflow.to_owned(), why });
    }
    workflow_object::delete(cluster, namespace, &object).await
}

/// Puts the file of a workflow back that was deleted in Git.
///
/// # Errors
/// [`Error::PreviewStale`] when the workflow is another by now, or its file is back.
pub async fn restore(
    cluster: &Cluster,
    namespace: &str,
    (project, workflow): (&str, &str),
    git: &dyn GitSide,
    seen: &Seen,
) -> Result<()> {
    let object = in_state(cluster, namespace, (project, workflow), SyncState::DeletedInGit).await?;
    unmoved(workflow, seen, file_of(project, workflow, git).await?.as_ref(), &object)?;
    publish(project, workflow, git, None, Some(object.manifest)).await
}

/// Deletes a workflow: its file in Git, then its object.
pub async fn delete(
    cluster: &Cluster,
    namespace: &str,
    (project, workflow): (&str, &str),
    git: &dyn GitSide,
) -> Result<()> {
    let object = workflow_object::get(cluster, namespace, project, workflow).await?;
    if let Some(file) = file_of(project, workflow, git).await? {
        publish(project, workflow, git, Some(&file), None).await?;
    }
    workflow_object::delete(cluster, namespace, &object).await
}

async fn in_state(
    cluster: &Cluster,
    namespace: &str,
    (project, workflow): (&str, &str),
    wanted: SyncState,
) -> Result<WorkflowObject> {
    let object = workflow_object::get(cluster, namespace, project, workflow).await?;
    if object.state == Some(wanted) {
        return Ok(object);
    }
    let now = object.state.map_or("not synced yet", SyncState::as_str);
    Err(Error::WrongState { name: workflow.to_owned(), why: format!("it is {now}, not {}", wanted.as_str()) })
}

async fn file_of(project: &str, workflow: &str, git: &dyn GitSide) -> Result<Option<GitFile>> {
    let path = path_of(project, workflow);
    if let Some(selective) = git.selective() {
        let tip = selective.tip(&folder_of(project)).await?;
        let mut listing = selective.list(&tip, &folder_of(project), MAX_FILES).await?;
        listing.entries.retain(|entry| entry.path == path);
        return Ok(selective.read(listing.entries).await?.pop());
    }
    let snapshot = git.snapshot(&folder_of(project), MAX_FILES).await?;
    Ok(snapshot.files.into_iter().find(|file| file.path == path))
}

async fn publish(
    project: &str,
    workflow: &str,
    git: &dyn GitSide,
    file: Option<&GitFile>,
    text: Option<String>,
) -> Result<()> {
    if let (Some(file), Some(text)) = (file, &text)
        && file.content == FileContent::Text(text.clone())
    {
        return Ok(());
    }
    let verb = if text.is_some() { "Change" } else { "Delete" };
    if let Some(text) = &text {
        WorkflowDocument::accept(project, &path_of(project, workflow), text)?;
    }
    let change = GitChange { path: path_of(project, workflow), base_blob: file.map(|file| file.blob.clone()), text };
    match git.publish(&[change], &format!("{verb} chaos workflow {workflow}")).await? {
        Publication::Published { .. } => Ok(()),
        Publication::Moved => Err(Error::WrongState {
            name: workflow.to_owned(),
            why: "its file changed in Git meanwhile; sync and look again".to_owned(),
        }),
    }
}
