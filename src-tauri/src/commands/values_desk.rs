//! Around the values editor: help while writing, history, and environments beside each other.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{
        ChartServer, CredentialInput, FieldKind, PromotedText, Promotion, ValuesBlame, ValuesCompletion, ValuesField,
        ValuesFile, ValuesHistory, ValuesHover, ValuesMatrix, ValuesVersion,
    },
};
use tauri::State;

/// What could be written at a place of a values file; lines and columns count from 1.
#[tauri::command]
#[specta::specta]
pub async fn complete_values(
    app: State<'_, Arc<App>>,
    file: ValuesFile,
    text: String,
    line: u32,
    column: u32,
) -> Result<Vec<ValuesCompletion>> {
    app.complete_values(file, text, line, column).await
}

/// What is known of the key at a place of a values file.
#[tauri::command]
#[specta::specta]
pub async fn hover_values(
    app: State<'_, Arc<App>>,
    file: ValuesFile,
    text: String,
    line: u32,
    column: u32,
) -> Result<Option<ValuesHover>> {
    app.hover_values(file, text, line, column).await
}

/// The effective values as fields to click.
#[tauri::command]
#[specta::specta]
pub async fn values_fields(app: State<'_, Arc<App>>, file: ValuesFile, text: String) -> Result<Vec<ValuesField>> {
    app.values_fields(file, text).await
}

/// A values file with one value changed, and every other byte as it was.
#[tauri::command]
#[specta::specta]
pub async fn set_value(
    app: State<'_, Arc<App>>,
    text: String,
    path: String,
    value: String,
    kind: FieldKind,
) -> Result<String> {
    app.set_value(text, path, value, kind).await
}

/// A values file without one of its keys, so that the chart's default counts again.
#[tauri::command]
#[specta::specta]
pub async fn unset_value(app: State<'_, Arc<App>>, text: String, path: String) -> Result<String> {
    app.unset_value(text, path).await
}

/// The commits that changed a values file, newest first, and when its environment ran each version.
#[tauri::command]
#[specta::specta]
pub async fn values_history(
    app: State<'_, Arc<App>>,
    file: ValuesFile,
    after: Option<String>,
) -> Result<ValuesHistory> {
    app.values_history(file, after).await
}

/// A values file as a commit left it.
#[tauri::command]
#[specta::specta]
pub async fn values_version(app: State<'_, Arc<App>>, file: ValuesFile, commit: String) -> Result<ValuesVersion> {
    app.values_version(file, commit).await
}

/// Which commit each line of a values file comes from.
#[tauri::command]
#[specta::specta]
pub async fn values_blame(app: State<'_, Arc<App>>, file: ValuesFile) -> Result<Option<ValuesBlame>> {
    app.values_blame(file).await
}

/// Where an application's effective values differ between the environments of a flow.
#[tauri::command]
#[specta::specta]
pub async fn values_matrix(app: State<'_, Arc<App>>, flow: String, application: String) -> Result<ValuesMatrix> {
    app.values_matrix(flow, application).await
}

/// What could be taken over from one environment's values file to another's.
#[tauri::command]
#[specta::specta]
pub async fn preview_promotion(app: State<'_, Arc<App>>, from: ValuesFile, to: ValuesFile) -> Result<Promotion> {
    app.preview_promotion(from, to).await
}

/// The target's text with the chosen keys taken over.
#[tauri::command]
#[specta::specta]
pub async fn promoted_text(
    app: State<'_, Arc<App>>,
    from: ValuesFile,
    text: String,
    paths: Vec<String>,
) -> Result<PromotedText> {
    app.promoted_text(from, text, paths).await
}

/// The server that publishes an application's chart; none where the chart is in Git.
#[tauri::command]
#[specta::specta]
pub async fn chart_server(app: State<'_, Arc<App>>, file: ValuesFile) -> Result<Option<ChartServer>> {
    app.chart_server(file).await
}

/// Keeps a login for that server, or forgets the one that is kept.
#[tauri::command]
#[specta::specta]
pub async fn keep_chart_login(
    app: State<'_, Arc<App>>,
    file: ValuesFile,
    server: String,
    login: Option<CredentialInput>,
) -> Result<()> {
    app.keep_chart_login(file, server, login).await
}
