//! Chaos projects and workflows.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{
        ChangedWorkflow, ChaosOverview, ChaosProjectEntry, ChaosProjectForm, ChaosWorkflowEntry, CommitOutcome,
        ConnectionTest, Diagnostic, DisablePreview, DryRunEntry, FormChange, ImportedWorkflow, OpenedWorkflow,
        PlaceSeen, ProjectPreview, Review, RunPolicy, SaveWorkflow, SidesSeen, SyncReport, TemplateChoice,
        WorkflowForm, WorkflowReach, WorkflowResolution, WorkflowSides, WorkflowTemplate,
    },
};
use tauri::State;

/// The chaos projects.
#[tauri::command]
#[specta::specta]
pub async fn chaos_overview(app: State<'_, Arc<App>>) -> Result<ChaosOverview> {
    app.chaos_overview().await
}

/// Tries a project's repository, part by part.
#[tauri::command]
#[specta::specta]
pub async fn test_project(app: State<'_, Arc<App>>, form: ChaosProjectForm) -> Result<ConnectionTest> {
    app.test_project(form).await
}

/// What enabling GitOps for a project, or leading it to another place, would do.
#[tauri::command]
#[specta::specta]
pub async fn preview_project(
    app: State<'_, Arc<App>>,
    form: ChaosProjectForm,
    take_along: bool,
) -> Result<ProjectPreview> {
    app.preview_project(form, take_along).await
}

/// Leads a project that is switched on to another repository or branch, and syncs it there once.
#[tauri::command]
#[specta::specta]
pub async fn change_project(
    app: State<'_, Arc<App>>,
    form: ChaosProjectForm,
    seen: PlaceSeen,
    take_along: bool,
    operation: String,
) -> Result<ChaosProjectEntry> {
    app.change_project(form, seen, take_along, operation).await
}

/// What switching GitOps off for a project would do.
#[tauri::command]
#[specta::specta]
pub async fn preview_disable(app: State<'_, Arc<App>>, id: String) -> Result<DisablePreview> {
    app.preview_disable(id).await
}

/// A workflow's text as a form.
#[tauri::command]
#[specta::specta]
pub async fn workflow_form(app: State<'_, Arc<App>>, text: String) -> Result<WorkflowForm> {
    app.workflow_form(text).await
}

/// A workflow's text with a change of its form.
#[tauri::command]
#[specta::specta]
pub async fn change_workflow_form(
    app: State<'_, Arc<App>>,
    text: String,
    change: FormChange,
) -> Result<ChangedWorkflow> {
    app.change_workflow_form(text, change).await
}

/// What the API server says to a workflow's text, without anything being created.
#[tauri::command]
#[specta::specta]
pub async fn dry_run_workflow(app: State<'_, Arc<App>>, project: String, text: String) -> Result<Vec<DryRunEntry>> {
    app.dry_run_workflow(project, text).await
}

/// Enables GitOps for a project and syncs it once.
#[tauri::command]
#[specta::specta]
pub async fn enable_project(
    app: State<'_, Arc<App>>,
    form: ChaosProjectForm,
    operation: String,
) -> Result<ChaosProjectEntry> {
    app.enable_project(form, operation).await
}

/// Disables GitOps for a project; Git and workflows stay.
#[tauri::command]
#[specta::specta]
pub async fn disable_project(app: State<'_, Arc<App>>, id: String) -> Result<()> {
    app.disable_project(id).await
}

/// Syncs a project now.
#[tauri::command]
#[specta::specta]
pub async fn sync_project(app: State<'_, Arc<App>>, id: String, operation: String) -> Result<SyncReport> {
    app.sync_project(id, operation).await
}

/// A project's workflows.
#[tauri::command]
#[specta::specta]
pub async fn chaos_workflows(app: State<'_, Arc<App>>, project: String) -> Result<Vec<ChaosWorkflowEntry>> {
    app.chaos_workflows(project).await
}

/// Opens a workflow's file.
#[tauri::command]
#[specta::specta]
pub async fn open_workflow(app: State<'_, Arc<App>>, project: String, name: String) -> Result<OpenedWorkflow> {
    app.open_workflow(project, name).await
}

/// Ready-made workflows to start from.
#[tauri::command]
#[specta::specta]
pub async fn workflow_templates(app: State<'_, Arc<App>>) -> Result<Vec<WorkflowTemplate>> {
    app.workflow_templates().await
}

/// The text of a workflow made from a template.
#[tauri::command]
#[specta::specta]
pub async fn render_template(app: State<'_, Arc<App>>, choice: TemplateChoice) -> Result<String> {
    app.render_template(choice).await
}

/// Problems of a text, without saving it.
#[tauri::command]
#[specta::specta]
pub async fn check_workflow(app: State<'_, Arc<App>>, project: String, text: String) -> Result<Vec<Diagnostic>> {
    app.check_workflow(project, text).await
}

/// The change a commit would make.
#[tauri::command]
#[specta::specta]
pub async fn review_workflow(
    app: State<'_, Arc<App>>,
    project: String,
    name: String,
    text: String,
    base_blob: Option<String>,
) -> Result<Review> {
    app.review_workflow(project, name, text, base_blob).await
}

/// Commits and pushes a workflow's file, then syncs the project.
#[tauri::command]
#[specta::specta]
pub async fn save_workflow(
    app: State<'_, Arc<App>>,
    request: SaveWorkflow,
    operation: String,
) -> Result<CommitOutcome> {
    app.save_workflow(request, operation).await
}

/// Reads a workflow from a file on disk.
#[tauri::command]
#[specta::specta]
pub async fn import_workflow_file(app: State<'_, Arc<App>>, project: String, path: String) -> Result<ImportedWorkflow> {
    app.import_workflow_file(project, path).await
}

/// What a workflow reaches when it runs, to be agreed to before it runs by itself.
#[tauri::command]
#[specta::specta]
pub async fn workflow_reach(app: State<'_, Arc<App>>, project: String, name: String) -> Result<WorkflowReach> {
    app.workflow_reach(project, name).await
}

/// Says when a workflow runs.
#[tauri::command]
#[specta::specta]
pub async fn set_run_policy(
    app: State<'_, Arc<App>>,
    project: String,
    name: String,
    policy: RunPolicy,
    seen: Option<String>,
) -> Result<()> {
    app.set_run_policy(project, name, policy, seen).await
}

/// Both sides of a workflow, to be looked at before deciding between them.
#[tauri::command]
#[specta::specta]
pub async fn workflow_sides(app: State<'_, Arc<App>>, project: String, name: String) -> Result<WorkflowSides> {
    app.workflow_sides(project, name).await
}

/// Settles what a sync cannot settle by itself: a conflict, or a file deleted in Git.
#[tauri::command]
#[specta::specta]
pub async fn resolve_workflow(
    app: State<'_, Arc<App>>,
    project: String,
    name: String,
    resolution: WorkflowResolution,
    seen: SidesSeen,
    operation: String,
) -> Result<()> {
    app.resolve_workflow(project, name, resolution, seen, operation).await
}

/// Deletes a workflow's file from Git and the workflow from the cluster.
#[tauri::command]
#[specta::specta]
pub async fn delete_workflow(
    app: State<'_, Arc<App>>,
    project: String,
    name: String,
    base_blob: Option<String>,
    operation: String,
) -> Result<CommitOutcome> {
    app.delete_workflow(project, name, base_blob, operation).await
}
