//! Environments and deployments.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{
        CleanRequest, CommitOutcome, DeleteDeployment, DeployPreview, DeployRequest, DeployRunView, DeployStarted,
        EndingView, EnvironmentView, ReleaseRow, RestoreValues, RollbackView, RunRef, StepLogView, SyncRequest,
    },
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

/// Every application in every environment.
#[tauri::command]
#[specta::specta]
pub async fn list_releases(app: State<'_, Arc<App>>) -> Result<Vec<ReleaseRow>> {
    app.list_releases().await
}

/// A run with its tasks and steps.
#[tauri::command]
#[specta::specta]
pub async fn deploy_run(app: State<'_, Arc<App>>, run: RunRef) -> Result<DeployRunView> {
    app.deploy_run(run).await
}

/// The end of a step's log.
#[tauri::command]
#[specta::specta]
pub async fn step_log(app: State<'_, Arc<App>>, run: RunRef, task: String, step: String) -> Result<StepLogView> {
    app.step_log(run, task, step).await
}

/// Cancels the run that was shown.
#[tauri::command]
#[specta::specta]
pub async fn cancel_deploy(app: State<'_, Arc<App>>, run: RunRef, uid: String, confirm: Option<String>) -> Result<()> {
    app.cancel_deploy(run, uid, confirm).await
}

/// What a clean run of an environment means.
#[tauri::command]
#[specta::specta]
pub async fn preview_clean(app: State<'_, Arc<App>>, flow: String, env: String) -> Result<EndingView> {
    app.preview_clean(flow, env).await
}

/// Removes what is deployed in an environment.
#[tauri::command]
#[specta::specta]
pub async fn clean(app: State<'_, Arc<App>>, request: CleanRequest) -> Result<DeployStarted> {
    app.clean(request).await
}

/// What deleting one application's deployment means.
#[tauri::command]
#[specta::specta]
pub async fn preview_delete_deployment(
    app: State<'_, Arc<App>>,
    flow: String,
    env: String,
    application: String,
) -> Result<EndingView> {
    app.preview_delete_deployment(flow, env, application).await
}

/// Deletes one application's deployment.
#[tauri::command]
#[specta::specta]
pub async fn delete_deployment(app: State<'_, Arc<App>>, request: DeleteDeployment) -> Result<()> {
    app.delete_deployment(request).await
}

/// An earlier deploy as choices for a new one.
#[tauri::command]
#[specta::specta]
pub async fn preview_rollback(app: State<'_, Arc<App>>, run: RunRef) -> Result<RollbackView> {
    app.preview_rollback(run).await
}

/// Puts values files back as an earlier run deployed them.
#[tauri::command]
#[specta::specta]
pub async fn restore_values(
    app: State<'_, Arc<App>>,
    request: RestoreValues,
    operation: String,
) -> Result<CommitOutcome> {
    app.restore_values(request, operation).await
}

/// Has Argo CD sync an application's values.
#[tauri::command]
#[specta::specta]
pub async fn sync_values(app: State<'_, Arc<App>>, request: SyncRequest) -> Result<()> {
    app.sync_values(request).await
}
