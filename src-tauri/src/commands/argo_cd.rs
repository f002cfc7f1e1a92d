//! Delivery where Argo CD alone deploys.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{
        ApplicationForm, ApplicationMade, ApplicationPreview, ArgoCdView, NewApplication, SetVersion, VersionPreview,
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
