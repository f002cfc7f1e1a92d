//! The GitOps repository.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{RepositoryCard, RepositoryForm, RepositoryOverview, RepositoryPreview},
};
use tauri::State;

/// Git servers, the repository and what wants attention.
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
