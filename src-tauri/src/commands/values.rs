//! Values files.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{CommitOutcome, CommitValues, Diagnostic, EffectiveValues, FlowEntry, OpenedValues, Review, ValuesFile},
};
use tauri::State;

/// The flows of the platform with their environments.
#[tauri::command]
#[specta::specta]
pub async fn list_flows(app: State<'_, Arc<App>>) -> Result<Vec<FlowEntry>> {
    app.list_flows().await
}

/// Opens a values file, or proposes one made from the chart's defaults.
#[tauri::command]
#[specta::specta]
pub async fn open_values(app: State<'_, Arc<App>>, file: ValuesFile) -> Result<OpenedValues> {
    app.open_values(file).await
}

/// Problems of a text, without saving it.
#[tauri::command]
#[specta::specta]
pub async fn check_values(app: State<'_, Arc<App>>, file: ValuesFile, text: String) -> Result<Vec<Diagnostic>> {
    app.check_values(file, text).await
}

/// What Helm would see with this text.
#[tauri::command]
#[specta::specta]
pub async fn effective_values(app: State<'_, Arc<App>>, file: ValuesFile, text: String) -> Result<EffectiveValues> {
    app.effective_values(file, text).await
}

/// The change a commit would make.
#[tauri::command]
#[specta::specta]
pub async fn review_values(
    app: State<'_, Arc<App>>,
    file: ValuesFile,
    text: String,
    base_blob: Option<String>,
) -> Result<Review> {
    app.review_values(file, text, base_blob).await
}

/// Commits and pushes a values file.
#[tauri::command]
#[specta::specta]
pub async fn commit_values(
    app: State<'_, Arc<App>>,
    request: CommitValues,
    operation: String,
) -> Result<CommitOutcome> {
    app.commit_values(request, operation).await
}
