//! Environments and deployments.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{DeployPreview, DeployRequest, DeployStarted, EnvironmentView},
};
use tauri::State;

/// An environment with its applications.
#[tauri::command]
#[specta::specta]
pub async fn environment(app: State<'_, Arc<App>>, flow: String, env: String) -> Result<EnvironmentView> {
    app.environment(flow, env).await
}

/// The exact PipelineRun, the checks before it and what it changes.
#[tauri::command]
#[specta::specta]
pub async fn preview_deploy(app: State<'_, Arc<App>>, request: DeployRequest) -> Result<DeployPreview> {
    app.preview_deploy(request).await
}

/// Creates the PipelineRun.
#[tauri::command]
#[specta::specta]
pub async fn deploy(app: State<'_, Arc<App>>, request: DeployRequest) -> Result<DeployStarted> {
    app.deploy(request).await
}
