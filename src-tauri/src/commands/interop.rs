//! ChaosCenter: what it would refuse, moving files between its installations, and connections to them.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{
        CenterConnection, CenterForm, CenterGitOpsForm, CenterProject, CenterProjectView, CenterRun, CenterRunView,
        CommitOutcome, ProjectTies, RemapForm, RemapPreview, WorkflowRemark,
    },
};
use tauri::State;

/// What is wrong with a workflow's text, here or for ChaosCenter only, with the fixes.
#[tauri::command]
#[specta::specta]
pub async fn workflow_remarks(
    app: State<'_, Arc<App>>,
    project: String,
    name: String,
    text: String,
) -> Result<Vec<WorkflowRemark>> {
    app.workflow_remarks(project, name, text).await
}

/// A text with the fixes of these remarks.
#[tauri::command]
#[specta::specta]
pub async fn mend_workflow(
    app: State<'_, Arc<App>>,
    project: String,
    name: String,
    text: String,
    ids: Vec<String>,
) -> Result<String> {
    app.mend_workflow(project, name, text, ids).await
}

/// What ties a project's files to installations of ChaosCenter.
#[tauri::command]
#[specta::specta]
pub async fn project_ties(app: State<'_, Arc<App>>, project: String) -> Result<ProjectTies> {
    app.project_ties(project).await
}

/// What moving a project's files to another installation would change.
#[tauri::command]
#[specta::specta]
pub async fn preview_remap(app: State<'_, Arc<App>>, project: String, form: RemapForm) -> Result<RemapPreview> {
    app.preview_remap(project, form).await
}

/// Moves a project's files to another installation, as it was shown.
#[tauri::command]
#[specta::specta]
pub async fn remap_project(
    app: State<'_, Arc<App>>,
    project: String,
    form: RemapForm,
    seen: String,
    message: String,
    operation: String,
) -> Result<CommitOutcome> {
    app.remap_project(project, form, seen, message, operation).await
}

/// The connections to ChaosCenter.
#[tauri::command]
#[specta::specta]
pub async fn chaos_centers(app: State<'_, Arc<App>>) -> Result<Vec<CenterConnection>> {
    app.chaos_centers().await
}

/// Signs in at an installation without keeping anything.
#[tauri::command]
#[specta::specta]
pub async fn test_chaos_center(app: State<'_, Arc<App>>, form: CenterForm) -> Result<Vec<CenterProject>> {
    app.test_chaos_center(form).await
}

/// Adds a connection, once its token is found good.
#[tauri::command]
#[specta::specta]
pub async fn add_chaos_center(app: State<'_, Arc<App>>, form: CenterForm) -> Result<CenterConnection> {
    app.add_chaos_center(form).await
}

/// Forgets a connection and its token.
#[tauri::command]
#[specta::specta]
pub async fn forget_chaos_center(app: State<'_, Arc<App>>, id: String) -> Result<()> {
    app.forget_chaos_center(id).await
}

/// An installation's projects.
#[tauri::command]
#[specta::specta]
pub async fn center_projects(app: State<'_, Arc<App>>, id: String) -> Result<Vec<CenterProject>> {
    app.center_projects(id).await
}

/// A project's experiments, and how it stands to Git.
#[tauri::command]
#[specta::specta]
pub async fn center_project(app: State<'_, Arc<App>>, id: String, project: String) -> Result<CenterProjectView> {
    app.center_project(id, project).await
}

/// The runs of an experiment.
#[tauri::command]
#[specta::specta]
pub async fn center_runs(
    app: State<'_, Arc<App>>,
    id: String,
    project: String,
    experiment: String,
) -> Result<Vec<CenterRun>> {
    app.center_runs(id, project, experiment).await
}

/// A run of an installation in full.
#[tauri::command]
#[specta::specta]
pub async fn center_run(app: State<'_, Arc<App>>, id: String, project: String, run: String) -> Result<CenterRunView> {
    app.center_run(id, project, run).await
}

/// Runs an experiment whose name was confirmed.
#[tauri::command]
#[specta::specta]
pub async fn run_center_experiment(
    app: State<'_, Arc<App>>,
    id: String,
    project: String,
    experiment: String,
    confirm: String,
) -> Result<CenterRunView> {
    app.run_center_experiment(id, project, experiment, confirm).await
}

/// Stops a run of an installation.
#[tauri::command]
#[specta::specta]
pub async fn stop_center_run(
    app: State<'_, Arc<App>>,
    id: String,
    project: String,
    experiment: String,
    run: String,
) -> Result<()> {
    app.stop_center_run(id, project, experiment, run).await
}

/// Switches GitOps on for a project of an installation.
#[tauri::command]
#[specta::specta]
pub async fn enable_center_git_ops(
    app: State<'_, Arc<App>>,
    id: String,
    project: String,
    form: CenterGitOpsForm,
) -> Result<()> {
    app.enable_center_git_ops(id, project, form).await
}

/// Switches GitOps off for a project of an installation.
#[tauri::command]
#[specta::specta]
pub async fn disable_center_git_ops(app: State<'_, Arc<App>>, id: String, project: String) -> Result<()> {
    app.disable_center_git_ops(id, project).await
}
