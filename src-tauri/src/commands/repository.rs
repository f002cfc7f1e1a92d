//! The GitOps repository.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{
        CommitOutcome, DeleteRepository, DeletedRepository, RepositoryCard, RepositoryCare, RepositoryDeletion,
        RepositoryEdit, RepositoryEditPreview, RepositoryForm, RepositoryOverview, RepositoryPreview, TidyFile,
    },
};
use tauri::State;

/// Git servers and the repository.
#[tauri::command]
#[specta::specta]
pub async fn repository_overview(app: State<'_, Arc<App>>) -> Result<RepositoryOverview> {
    app.repository_overview().await
}

/// The exact Codebase a form would create, or its problems.
#[tauri::command]
#[specta::specta]
pub async fn repository_preview(app: State<'_, Arc<App>>, form: RepositoryForm) -> Result<RepositoryPreview> {
    app.repository_preview(form).await
}

/// Creates the Codebase and waits for the platform to finish; answers its name.
#[tauri::command]
#[specta::specta]
pub async fn create_repository(app: State<'_, Arc<App>>, form: RepositoryForm, operation: String) -> Result<String> {
    app.create_repository(form, operation).await
}

/// Registers a repository in the app only, for clusters without KubeRocketCI.
#[tauri::command]
#[specta::specta]
pub async fn register_repository(app: State<'_, Arc<App>>, url: String) -> Result<RepositoryOverview> {
    app.register_repository(url).await
}

/// Clones the repository, or fetches when it is cloned already.
#[tauri::command]
#[specta::specta]
pub async fn clone_repository(app: State<'_, Arc<App>>, operation: String) -> Result<RepositoryCard> {
    app.clone_repository(operation).await
}

/// What wants attention about the repository, and what the user may do about it.
#[tauri::command]
#[specta::specta]
pub async fn repository_care(app: State<'_, Arc<App>>) -> Result<RepositoryCare> {
    app.repository_care().await
}

/// Has the platform try again now; only with `resume` does it go on with a repository it was told to leave alone.
#[tauri::command]
#[specta::specta]
pub async fn retry_repository(app: State<'_, Arc<App>>, resume: bool) -> Result<()> {
    app.retry_repository(resume).await
}

/// What a change of the repository comes to; nothing is written.
#[tauri::command]
#[specta::specta]
pub async fn preview_repository_edit(app: State<'_, Arc<App>>, edit: RepositoryEdit) -> Result<RepositoryEditPreview> {
    app.preview_repository_edit(edit).await
}

/// Changes the repository, if it is still as `seen`.
#[tauri::command]
#[specta::specta]
pub async fn edit_repository(app: State<'_, Arc<App>>, seen: RepositoryEdit, edit: RepositoryEdit) -> Result<()> {
    app.edit_repository(seen, edit).await
}

/// Patches an ApplicationSet so that it reads the repository; `shown` is the patch that the user saw.
#[tauri::command]
#[specta::specta]
pub async fn mend_application_set(app: State<'_, Arc<App>>, name: String, shown: String) -> Result<()> {
    app.mend_application_set(name, shown).await
}

/// Renames and deletes values files that nothing reads, as one commit.
#[tauri::command]
#[specta::specta]
pub async fn tidy_values(
    app: State<'_, Arc<App>>,
    files: Vec<TidyFile>,
    message: String,
    operation: String,
) -> Result<CommitOutcome> {
    app.tidy_values(files, message, operation).await
}

/// What deleting the repository comes to; nothing is written.
#[tauri::command]
#[specta::specta]
pub async fn plan_repository_deletion(app: State<'_, Arc<App>>) -> Result<RepositoryDeletion> {
    app.plan_repository_deletion().await
}

/// Deletes the repository; cancelling ends the waiting, not the deletion.
#[tauri::command]
#[specta::specta]
pub async fn delete_repository(
    app: State<'_, Arc<App>>,
    request: DeleteRepository,
    operation: String,
) -> Result<DeletedRepository> {
    app.delete_repository(request, operation).await
}

/// Makes the repository that was deleted last again, and waits for the platform; answers its name.
#[tauri::command]
#[specta::specta]
pub async fn bring_back_repository(app: State<'_, Arc<App>>, operation: String) -> Result<String> {
    app.bring_back_repository(operation).await
}
