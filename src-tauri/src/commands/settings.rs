//! The app itself: identity, preferences, cancelling.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{AppInfo, AuthorityView, CredentialInput, Preferences, SigningView},
};
use tauri::State;

/// The app, where its data are, and where it keeps secrets.
#[tauri::command]
#[specta::specta]
pub async fn app_info(app: State<'_, Arc<App>>) -> Result<AppInfo> {
    app.app_info().await
}

/// Sets the author of commits.
#[tauri::command]
#[specta::specta]
pub async fn set_identity(app: State<'_, Arc<App>>, name: String, email: String) -> Result<()> {
    app.set_identity(name, email).await
}

/// How the app looks and behaves.
#[tauri::command]
#[specta::specta]
pub async fn preferences(app: State<'_, Arc<App>>) -> Result<Preferences> {
    app.preferences().await
}

/// Changes how the app looks and behaves.
#[tauri::command]
#[specta::specta]
pub async fn set_preferences(app: State<'_, Arc<App>>, preferences: Preferences) -> Result<()> {
    app.set_preferences(preferences).await
}

/// The certificates trusted for Git servers besides the system's.
#[tauri::command]
#[specta::specta]
pub async fn authority(app: State<'_, Arc<App>>) -> Result<AuthorityView> {
    app.authority().await
}

/// Trusts the certificates of a file that the user picked; none trusts the system's alone again.
#[tauri::command]
#[specta::specta]
pub async fn set_authority(app: State<'_, Arc<App>>, path: Option<String>) -> Result<AuthorityView> {
    app.set_authority(path).await
}

/// Cancels a long operation; false when it is not running.
#[tauri::command]
#[specta::specta]
pub async fn cancel_operation(app: State<'_, Arc<App>>, operation: String) -> Result<bool> {
    app.cancel_operation(operation).await
}

/// Whether commits are signed, and with what.
#[tauri::command]
#[specta::specta]
pub async fn signing(app: State<'_, Arc<App>>) -> Result<SigningView> {
    app.signing().await
}

/// Signs commits with a key from now on; none switches signing off.
#[tauri::command]
#[specta::specta]
pub async fn set_signing(app: State<'_, Arc<App>>, key: Option<CredentialInput>) -> Result<SigningView> {
    app.set_signing(key).await
}
