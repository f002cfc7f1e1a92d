//! Contexts and the connection.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{ConnectTarget, Contexts, Session},
};
use tauri::State;

/// The contexts of the kubeconfig files, and whether the practice cluster is on offer.
#[tauri::command]
#[specta::specta]
pub async fn list_contexts(app: State<'_, Arc<App>>) -> Result<Contexts> {
    app.list_contexts().await
}

/// Connects to a context or starts the practice cluster.
#[tauri::command]
#[specta::specta]
pub async fn connect(app: State<'_, Arc<App>>, target: ConnectTarget, operation: String) -> Result<Session> {
    app.connect(target, operation).await
}

/// The connection, if there is one.
#[tauri::command]
#[specta::specta]
pub async fn current_session(app: State<'_, Arc<App>>) -> Result<Option<Session>> {
    app.current_session().await
}

/// Ends the connection.
#[tauri::command]
#[specta::specta]
pub async fn disconnect(app: State<'_, Arc<App>>) -> Result<()> {
    app.disconnect().await
}

/// Chooses the platform to work in.
#[tauri::command]
#[specta::specta]
pub async fn select_platform(app: State<'_, Arc<App>>, namespace: String) -> Result<Session> {
    app.select_platform(namespace).await
}

/// Installs the app's own kinds into the cluster.
#[tauri::command]
#[specta::specta]
pub async fn install_pilothouse_crds(app: State<'_, Arc<App>>) -> Result<Session> {
    app.install_pilothouse_crds().await
}

/// Removes all that was made on the practice cluster; its next start is as the first one was.
#[tauri::command]
#[specta::specta]
pub async fn reset_practice(app: State<'_, Arc<App>>) -> Result<()> {
    app.reset_practice().await
}
