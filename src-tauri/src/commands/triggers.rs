//! Triggers.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{Backtest, LitmusExport, TriggerForm, TriggerPreview, TriggersOverview, WorkloadEntry},
};
use tauri::State;

/// The triggers, what they decided, and who is in charge of them.
#[tauri::command]
#[specta::specta]
pub async fn list_triggers(app: State<'_, Arc<App>>) -> Result<TriggersOverview> {
    app.list_triggers().await
}

/// The workloads of a namespace or of all that a trigger can watch.
#[tauri::command]
#[specta::specta]
pub async fn workloads(app: State<'_, Arc<App>>, namespace: Option<String>) -> Result<Vec<WorkloadEntry>> {
    app.workloads(namespace).await
}

/// The exact object and what it matches now.
#[tauri::command]
#[specta::specta]
pub async fn preview_trigger(app: State<'_, Arc<App>>, form: TriggerForm) -> Result<TriggerPreview> {
    app.preview_trigger(form).await
}

/// Creates a trigger or changes it.
#[tauri::command]
#[specta::specta]
pub async fn save_trigger(app: State<'_, Arc<App>>, form: TriggerForm) -> Result<()> {
    app.save_trigger(form).await
}

/// Switches a trigger off or on.
#[tauri::command]
#[specta::specta]
pub async fn suspend_trigger(app: State<'_, Arc<App>>, namespace: String, name: String, suspended: bool) -> Result<()> {
    app.suspend_trigger(namespace, name, suspended).await
}

/// Deletes a trigger.
#[tauri::command]
#[specta::specta]
pub async fn delete_trigger(app: State<'_, Arc<App>>, namespace: String, name: String) -> Result<()> {
    app.delete_trigger(namespace, name).await
}

/// Answers for a run that a trigger asks about or offers.
#[tauri::command]
#[specta::specta]
pub async fn answer_trigger(
    app: State<'_, Arc<App>>,
    namespace: String,
    name: String,
    run: String,
    yes: bool,
) -> Result<()> {
    app.answer_trigger(namespace, name, run, yes).await
}

/// Halts every trigger of a namespace and stops their runs; with no reason, lifts the halt.
#[tauri::command]
#[specta::specta]
pub async fn halt_triggers(app: State<'_, Arc<App>>, namespace: String, reason: Option<String>) -> Result<()> {
    app.halt_triggers(namespace, reason).await
}

/// What a trigger would have done over the revisions of a workload that the cluster still holds.
#[tauri::command]
#[specta::specta]
pub async fn backtest_trigger(app: State<'_, Arc<App>>, form: TriggerForm, workload: String) -> Result<Backtest> {
    app.backtest_trigger(form, workload).await
}

/// A trigger as Litmus' own tracker would have it, and what that tracker does not honour.
#[tauri::command]
#[specta::specta]
pub async fn export_trigger(
    app: State<'_, Arc<App>>,
    form: TriggerForm,
    namespace: String,
    experiment: String,
) -> Result<LitmusExport> {
    app.export_trigger(form, namespace, experiment).await
}
