//! A person's decisions: a conflict settled, a deletion confirmed, a file restored.

use pilothouse_cluster::Cluster;

use crate::document::{WorkflowDocument, folder_of, path_of};
use crate::error::{Error, Result};
use crate::git_side::{GitChange, GitSide, Publication};
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

/// Settles a conflict. The next sync finds both sides equal.
pub async fn resolve(
    cluster: &Cluster,
    namespace: &str,
    (project, workflow): (&str, &str),
    git: &dyn GitSide,
    resolution: Resolution,
) -> Result<()> {
    let object = in_state(cluster, namespace, (project, workflow), SyncState::Conflict).await?;
    let file = file_of(project, workflow, git).await?;
    let text = match (resolution, file.as_ref().map(|file| (&file.content, &file.blob))) {
        (Resolution::TakeGit, None) => return workflow_object::delete(cluster, namespace, &object).await,
        (Resolution::TakeGit, Some((FileContent::Text(text), blob))) => {
            WorkflowDocument::accept(project, &path_of(project, workflow), text)?;
            let content = Content { path: &object.path, manifest: text, blob: Some(blob) };
            return workflow_object::update(cluster, namespace, &object, &content).await.map(|_| ());
        }
        (Resolution::TakeGit, Some((FileContent::Unreadable(why), _))) => {
            return Err(Error::WrongState { name: workflow.to_owned(), why: why.clone() });
        }
        (Resolution::TakeCluster, _) => object.manifest.clone(),
        (Resolution::Take(text), _) => text,
    };
    publish(project, workflow, git, file.as_ref(), Some(text.clone())).await?;
    let written = file_of(project, workflow, git).await?.map(|file| file.blob);
    let content = Content { path: &object.path, manifest: &text, blob: written.as_deref() };
    workflow_object::update(cluster, namespace, &object, &content).await.map(|_| ())
}

/// Removes a workflow from the cluster after its file was deleted in Git.
pub async fn confirm_deletion(cluster: &Cluster, namespace: &str, project: &str, workflow: &str) -> Result<()> {
    let object = in_state(cluster, namespace, (project, workflow), SyncState::DeletedInGit).await?;
    workflow_object::delete(cluster, namespace, &object).await
}

/// Puts the file of a workflow back that was deleted in Git.
pub async fn restore(
    cluster: &Cluster,
    namespace: &str,
    (project, workflow): (&str, &str),
    git: &dyn GitSide,
) -> Result<()> {
    let object = in_state(cluster, namespace, (project, workflow), SyncState::DeletedInGit).await?;
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
