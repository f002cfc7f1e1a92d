//! Commits that wait to be pushed, commits on branches for review, and commits kept from being lost.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{
        CommitOutcome, CommitValues, KeychainInfo, ProposedCommit, PushReport, RepositoryStanding, RescuedFile,
        SaveWorkflow, WaitingChange, WaitingCommits,
    },
};
use tauri::State;

/// Keeps a values file's new text on this machine until the server takes it.
#[tauri::command]
#[specta::specta]
pub async fn keep_values(app: State<'_, Arc<App>>, request: CommitValues) -> Result<WaitingCommits> {
    app.keep_values(request).await
}

/// Keeps a chaos workflow's new text on this machine until the server takes it.
#[tauri::command]
#[specta::specta]
pub async fn keep_workflow(app: State<'_, Arc<App>>, request: SaveWorkflow) -> Result<WaitingCommits> {
    app.keep_workflow(request).await
}

/// What waits to be pushed, and what was put away.
#[tauri::command]
#[specta::specta]
pub async fn waiting_commits(app: State<'_, Arc<App>>) -> Result<WaitingCommits> {
    app.waiting_commits().await
}

/// What a waiting commit changes.
#[tauri::command]
#[specta::specta]
pub async fn waiting_change(app: State<'_, Arc<App>>, id: u32) -> Result<WaitingChange> {
    app.waiting_change(id).await
}

/// Sends what waits, now.
#[tauri::command]
#[specta::specta]
pub async fn push_waiting(app: State<'_, Arc<App>>, operation: String) -> Result<PushReport> {
    app.push_waiting(operation).await
}

/// Joins a waiting commit with somebody else's change, and sends it.
#[tauri::command]
#[specta::specta]
pub async fn settle_waiting(
    app: State<'_, Arc<App>>,
    id: u32,
    text: String,
    base_blob: Option<String>,
    message: String,
    operation: String,
) -> Result<CommitOutcome> {
    app.settle_waiting(id, text, base_blob, message, operation).await
}

/// Puts a waiting commit away. Its text stays until it is let go.
#[tauri::command]
#[specta::specta]
pub async fn discard_waiting(app: State<'_, Arc<App>>, id: u32) -> Result<WaitingCommits> {
    app.discard_waiting(id).await
}

/// Lets a commit that was put away go for good.
#[tauri::command]
#[specta::specta]
pub async fn forget_waiting(app: State<'_, Arc<App>>, id: u32) -> Result<WaitingCommits> {
    app.forget_waiting(id).await
}

/// Pushes a values file's new text as a branch of its own.
#[tauri::command]
#[specta::specta]
pub async fn propose_values(
    app: State<'_, Arc<App>>,
    request: CommitValues,
    branch: String,
    operation: String,
) -> Result<ProposedCommit> {
    app.propose_values(request, branch, operation).await
}

/// Pushes a chaos workflow's new text as a branch of its own.
#[tauri::command]
#[specta::specta]
pub async fn propose_workflow(
    app: State<'_, Arc<App>>,
    request: SaveWorkflow,
    branch: String,
    operation: String,
) -> Result<ProposedCommit> {
    app.propose_workflow(request, branch, operation).await
}

/// How the repository's branch stands, and what was kept from being lost.
#[tauri::command]
#[specta::specta]
pub async fn repository_standing(app: State<'_, Arc<App>>) -> Result<RepositoryStanding> {
    app.repository_standing().await
}

/// Puts away what is told about the repository's branch.
#[tauri::command]
#[specta::specta]
pub async fn dismiss_standing(app: State<'_, Arc<App>>) -> Result<RepositoryStanding> {
    app.dismiss_standing().await
}

/// Works with another branch of the repository from now on.
#[tauri::command]
#[specta::specta]
pub async fn use_branch(app: State<'_, Arc<App>>, branch: String) -> Result<RepositoryStanding> {
    app.use_branch(branch).await
}

/// What a kept commit changed.
#[tauri::command]
#[specta::specta]
pub async fn rescued_change(app: State<'_, Arc<App>>, commit: String) -> Result<Vec<RescuedFile>> {
    app.rescued_change(commit).await
}

/// Makes a kept commit's change again on the branch as it is now.
#[tauri::command]
#[specta::specta]
pub async fn reapply_rescued(
    app: State<'_, Arc<App>>,
    name: String,
    commit: String,
    operation: String,
) -> Result<CommitOutcome> {
    app.reapply_rescued(name, commit, operation).await
}

/// Lets kept commits go.
#[tauri::command]
#[specta::specta]
pub async fn forget_rescued(app: State<'_, Arc<App>>, name: String) -> Result<RepositoryStanding> {
    app.forget_rescued(name).await
}

/// Keeps what is entered from now on in this session's memory, which the user agreed to.
#[tauri::command]
#[specta::specta]
pub async fn keep_secrets_in_session(app: State<'_, Arc<App>>) -> Result<KeychainInfo> {
    app.keep_secrets_in_session().await
}

/// Looks again whether the system's keychain works, and moves this session's secrets there.
#[tauri::command]
#[specta::specta]
pub async fn try_keychain_again(app: State<'_, Arc<App>>) -> Result<KeychainInfo> {
    app.try_keychain_again().await
}
