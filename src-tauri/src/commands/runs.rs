//! Chaos runs.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{RunEntry, RunPreview, RunSeen, RunStarted, RunTrend, RunView},
};
use tauri::State;

/// The exact object a run would create, and what it is aimed at.
#[tauri::command]
#[specta::specta]
pub async fn preview_run(app: State<'_, Arc<App>>, project: String, name: String) -> Result<RunPreview> {
    app.preview_run(project, name).await
}

/// Starts the run that a preview showed; asked again, it answers the same run.
#[tauri::command]
#[specta::specta]
pub async fn run_workflow(
    app: State<'_, Arc<App>>,
    project: String,
    name: String,
    seen: RunSeen,
    confirm: Option<String>,
) -> Result<RunStarted> {
    app.run_workflow(project, name, seen, confirm).await
}

/// Stops a run.
#[tauri::command]
#[specta::specta]
pub async fn stop_run(app: State<'_, Arc<App>>, namespace: String, name: String) -> Result<()> {
    app.stop_run(namespace, name).await
}

/// The runs, newest first.
#[tauri::command]
#[specta::specta]
pub async fn list_runs(app: State<'_, Arc<App>>, project: Option<String>) -> Result<Vec<RunEntry>> {
    app.list_runs(project).await
}

/// A run in full.
#[tauri::command]
#[specta::specta]
pub async fn run(app: State<'_, Arc<App>>, namespace: String, name: String) -> Result<RunView> {
    app.run(namespace, name).await
}

/// How the runs of a workflow went.
#[tauri::command]
#[specta::specta]
pub async fn workflow_trend(app: State<'_, Arc<App>>, project: String, workflow: String) -> Result<RunTrend> {
    app.workflow_trend(project, workflow).await
}
