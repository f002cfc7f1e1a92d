//! Delivery where Argo CD alone deploys.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{
        ApplicationForm, ApplicationMade, ApplicationPreview, ArgoCdView, GoBack, NewApplication, PastDeploy,
        ReturnPreview, ReturnRequest, SetVersion, SyncAllPreview, SyncAllRequest, SyncAllResult, VersionPreview,
        VersionRequest,
    },
};
use tauri::State;

/// Argo CD, where it alone deploys.
#[tauri::command]
#[specta::specta]
pub async fn argo_cd(app: State<'_, Arc<App>>) -> Result<ArgoCdView> {
    app.argo_cd().await
}

/// What saving a new Application would do.
#[tauri::command]
#[specta::specta]
pub async fn preview_application(app: State<'_, Arc<App>>, form: ApplicationForm) -> Result<ApplicationPreview> {
    app.preview_application(form).await
}

/// Makes an Application, and its values file first where that is wanted.
#[tauri::command]
#[specta::specta]
pub async fn create_application(
    app: State<'_, Arc<App>>,
    request: NewApplication,
    operation: String,
) -> Result<ApplicationMade> {
    app.create_application(request, operation).await
}

/// What another version of an application changes.
#[tauri::command]
#[specta::specta]
pub async fn preview_version(app: State<'_, Arc<App>>, request: VersionRequest) -> Result<VersionPreview> {
    app.preview_version(request).await
}

/// Sets an application to another version.
#[tauri::command]
#[specta::specta]
pub async fn set_version(app: State<'_, Arc<App>>, change: SetVersion) -> Result<()> {
    app.set_version(change).await
}

/// The deploys of an application that Argo CD remembers.
#[tauri::command]
#[specta::specta]
pub async fn past_deploys(
    app: State<'_, Arc<App>>,
    flow: String,
    env: String,
    application: String,
) -> Result<Vec<PastDeploy>> {
    app.past_deploys(flow, env, application).await
}

/// What going back to a past deploy changes.
#[tauri::command]
#[specta::specta]
pub async fn preview_return(app: State<'_, Arc<App>>, request: ReturnRequest) -> Result<ReturnPreview> {
    app.preview_return(request).await
}

/// Goes back to a past deploy.
#[tauri::command]
#[specta::specta]
pub async fn go_back(app: State<'_, Arc<App>>, back: GoBack, operation: String) -> Result<()> {
    app.go_back(back, operation).await
}

/// What syncing all that is out of sync in an environment would reach.
#[tauri::command]
#[specta::specta]
pub async fn preview_sync_all(app: State<'_, Arc<App>>, flow: String, env: String) -> Result<SyncAllPreview> {
    app.preview_sync_all(flow, env).await
}

/// Syncs applications of an environment, one after the other.
#[tauri::command]
#[specta::specta]
pub async fn sync_all(
    app: State<'_, Arc<App>>,
    request: SyncAllRequest,
    operation: String,
) -> Result<Vec<SyncAllResult>> {
    app.sync_all(request, operation).await
}
