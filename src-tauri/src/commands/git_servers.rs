//! The platform's Git servers.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{
        CredentialInput, GitServerCheck, GitServerDeleted, GitServerForm, GitServerPreview, GitServersView,
        OwnerChoices, RepositoryChoices, RepositoryFinding, RepositoryForm,
    },
};
use tauri::State;

/// The platform's Git servers with the operator's word about each.
#[tauri::command]
#[specta::specta]
pub async fn git_servers(app: State<'_, Arc<App>>) -> Result<GitServersView> {
    app.git_servers().await
}

/// The form for a provider, filled in with defaults.
#[tauri::command]
#[specta::specta]
pub async fn git_server_defaults(app: State<'_, Arc<App>>, provider: String) -> Result<GitServerForm> {
    app.git_server_defaults(provider).await
}

/// The Secret and the GitServer that a form comes to, secrets masked.
#[tauri::command]
#[specta::specta]
pub async fn preview_git_server(
    app: State<'_, Arc<App>>,
    form: GitServerForm,
    key: Option<CredentialInput>,
    token: Option<CredentialInput>,
) -> Result<GitServerPreview> {
    app.preview_git_server(form, key, token).await
}

/// Creates the Secret, then the GitServer; neither stays when the second fails.
#[tauri::command]
#[specta::specta]
pub async fn add_git_server(
    app: State<'_, Arc<App>>,
    form: GitServerForm,
    key: Option<CredentialInput>,
    token: Option<CredentialInput>,
) -> Result<()> {
    app.add_git_server(form, key, token).await
}

/// Tests a Git server from this computer.
#[tauri::command]
#[specta::specta]
pub async fn test_git_server(app: State<'_, Arc<App>>, name: String) -> Result<GitServerCheck> {
    app.test_git_server(name).await
}

/// Replaces the platform's key or token for a Git server.
#[tauri::command]
#[specta::specta]
pub async fn replace_git_server_credential(
    app: State<'_, Arc<App>>,
    name: String,
    key: Option<CredentialInput>,
    token: Option<CredentialInput>,
) -> Result<()> {
    app.replace_git_server_credential(name, key, token).await
}

/// Deletes a Git server that no Codebase lives on.
#[tauri::command]
#[specta::specta]
pub async fn delete_git_server(app: State<'_, Arc<App>>, name: String) -> Result<GitServerDeleted> {
    app.delete_git_server(name).await
}

/// Tries a token at a server's API and keeps it in the keychain; answers whose it is.
#[tauri::command]
#[specta::specta]
pub async fn sign_in_git_server(
    app: State<'_, Arc<App>>,
    name: String,
    host: String,
    credential: CredentialInput,
) -> Result<String> {
    app.sign_in_git_server(name, host, credential).await
}

/// Forgets the token kept for a server's API.
#[tauri::command]
#[specta::specta]
pub async fn sign_out_git_server(app: State<'_, Arc<App>>, name: String) -> Result<()> {
    app.sign_out_git_server(name).await
}

/// Who can own a repository on a Git server.
#[tauri::command]
#[specta::specta]
pub async fn repository_owners(app: State<'_, Arc<App>>, git_server: String) -> Result<OwnerChoices> {
    app.repository_owners(git_server).await
}

/// The repositories of an owner on a Git server.
#[tauri::command]
#[specta::specta]
pub async fn owner_repositories(
    app: State<'_, Arc<App>>,
    git_server: String,
    owner: String,
) -> Result<RepositoryChoices> {
    app.owner_repositories(git_server, owner).await
}

/// What the provider says about the repository that a form names.
#[tauri::command]
#[specta::specta]
pub async fn look_at_repository(app: State<'_, Arc<App>>, form: RepositoryForm) -> Result<RepositoryFinding> {
    app.look_at_repository(form).await
}
