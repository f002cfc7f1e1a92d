//! The platform's Git servers, and what their providers' APIs tell the wizard.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{FieldProblem, Permission};

/// The platform's Git servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GitServersView {
    /// The servers, by name.
    pub servers: Vec<GitServerView>,
    /// Whether a server may be added.
    pub can_add: Permission,
    /// Whether credentials may be replaced.
    pub can_edit: Permission,
    /// Whether a server may be deleted.
    pub can_delete: Permission,
}

/// One Git server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GitServerView {
    /// The GitServer object's name.
    pub name: String,
    /// `github`, `gitlab`, `bitbucket` or `gerrit`.
    pub provider: String,
    /// The provider's name as people write it.
    pub provider_title: String,
    /// Host name.
    pub host: String,
    /// The SSH user.
    pub user: String,
    /// SSH port.
    pub ssh_port: u32,
    /// HTTPS port.
    pub https_port: u32,
    /// The name of the Secret with the platform's credentials.
    pub secret_name: String,
    /// True when the platform reports a connection; it tests SSH only.
    pub connected: bool,
    /// Why not.
    pub error: Option<String>,
    /// Codebases that live on it.
    pub users: Vec<String>,
    /// Whose token is kept for the provider's API on this computer.
    pub signed_in_as: Option<String>,
}

/// The form that adds a Git server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GitServerForm {
    /// `github`, `gitlab`, `bitbucket` or `gerrit`.
    pub provider: String,
    /// The GitServer object's name.
    pub name: String,
    /// Host name, without scheme and port.
    pub host: String,
    /// The SSH user.
    pub user: String,
    /// SSH port.
    pub ssh_port: u32,
    /// HTTPS port.
    pub https_port: u32,
    /// The Secret's name.
    pub secret_name: String,
    /// Where the provider sends webhooks; empty leaves it to the platform.
    pub webhook_url: String,
    /// The provider does not check the certificate of the webhook's receiver.
    pub skip_webhook_ssl_verification: bool,
    /// The platform makes no Tekton listener for this server.
    pub tekton_disabled: bool,
}

/// The objects that a form comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GitServerPreview {
    /// Secret and GitServer; every secret is masked. Empty while there are problems.
    pub yaml: String,
    /// Problems of the form; the fields `key`, `token` and `username` are those of the credentials.
    pub problems: Vec<FieldProblem>,
}

/// How one test went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum AttemptState {
    /// It worked.
    Passed,
    /// It did not.
    Failed,
    /// It was not made.
    NotMade,
}

/// One test of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView {
    /// How it went.
    pub state: AttemptState,
    /// What was found, or why it was not made.
    pub words: String,
}

/// What this computer found about a Git server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GitServerCheck {
    /// Signing in over SSH.
    pub ssh: AttemptView,
    /// The provider's API with the token.
    pub api: AttemptView,
    /// Where the platform's word and these differ, and what that usually means.
    pub differences: Vec<String>,
}

/// What a deletion left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GitServerDeleted {
    /// The Secret, when nothing removes it along with its server.
    pub secret_left: Option<String>,
}

/// Who can own a repository, as the provider says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct OwnerChoices {
    /// Whether the provider was asked: a token is kept, and the provider has an API.
    pub available: bool,
    /// Why not.
    pub why: Option<String>,
    /// The owners.
    pub owners: Vec<OwnerChoice>,
    /// Whether these are all.
    pub complete: bool,
}

/// Somebody who can own a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct OwnerChoice {
    /// What is written into the path.
    pub path: String,
    /// The name for people.
    pub title: Option<String>,
    /// The token's own user.
    pub personal: bool,
}

/// The repositories of an owner, as the provider says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryChoices {
    /// Whether the provider was asked.
    pub available: bool,
    /// Why not.
    pub why: Option<String>,
    /// The repositories.
    pub repositories: Vec<RepositoryChoice>,
    /// Whether these are all.
    pub complete: bool,
}

/// One repository to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryChoice {
    /// Its name; for Gerrit its path.
    pub name: String,
    /// Its default branch.
    pub default_branch: Option<String>,
    /// Whether only members see it.
    pub private: Option<bool>,
    /// Whether it takes no pushes any more.
    pub archived: bool,
}

/// What the provider says about the repository that a form names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryFinding {
    /// Whether it is there; none when the provider was not asked or does not tell.
    pub exists: Option<bool>,
    /// Its default branch.
    pub default_branch: Option<String>,
    /// What stands against saving, at its field.
    pub problems: Vec<FieldProblem>,
    /// What is worth knowing.
    pub notes: Vec<String>,
}
