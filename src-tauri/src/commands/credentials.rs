//! Credentials and host keys.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{AcceptHostKey, CredentialInput, GeneratedKey, RemoteCheck, RemoteTarget, Transport},
};
use tauri::State;

/// Makes an ed25519 key pair; the private half goes to the keychain.
#[tauri::command]
#[specta::specta]
pub async fn generate_key(app: State<'_, Arc<App>>, comment: String) -> Result<GeneratedKey> {
    app.generate_key(comment).await
}

/// Tries a remote with the given credential, or with the one kept for it.
#[tauri::command]
#[specta::specta]
pub async fn test_remote(
    app: State<'_, Arc<App>>,
    target: RemoteTarget,
    credential: Option<CredentialInput>,
) -> Result<RemoteCheck> {
    app.test_remote(target, credential).await
}

/// Trusts an SSH host key that the user has looked at.
#[tauri::command]
#[specta::specta]
pub async fn accept_host_key(app: State<'_, Arc<App>>, key: AcceptHostKey) -> Result<()> {
    app.accept_host_key(key).await
}

/// Keeps the credential of the GitOps repository in the keychain.
#[tauri::command]
#[specta::specta]
pub async fn save_repository_credential(
    app: State<'_, Arc<App>>,
    transport: Transport,
    credential: CredentialInput,
) -> Result<()> {
    app.save_repository_credential(transport, credential).await
}
