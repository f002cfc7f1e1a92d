//! Triggers.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{TriggerForm, TriggerPreview, TriggersOverview, WorkloadEntry},
};
use tauri::State;

/// The triggers, what they decided, and who is in charge of them.
#[tauri::command]
#[specta::specta]
pub async fn list_triggers(app: State<'_, Arc<App>>) -> Result<TriggersOverview> {
    app.list_triggers().await
}

/// Deployments and StatefulSets of a namespace or of all.
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
