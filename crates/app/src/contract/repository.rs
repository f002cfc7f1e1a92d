//! The GitOps repository.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{FieldProblem, OperatorView, Transport};

/// Everything the repository page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryOverview {
    /// Git servers of the platform.
    pub git_servers: Vec<GitServerEntry>,
    /// The repository, when there is one.
    pub card: Option<RepositoryCard>,
    /// Whether the wizard can be started.
    pub can_create: Permission,
}

/// Something that wants attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// A stable code, for example `branchDiffers`.
    pub code: String,
    /// What is the matter.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

/// Whether something may be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    /// True when it may.
    pub allowed: bool,
    /// Why not, for example the missing verb and resource.
    pub why: Option<String>,
}

/// A Git server of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GitServerEntry {
    /// The GitServer object's name.
    pub name: String,
    /// Host name.
    pub host: String,
    /// `github`, `gitlab`, `bitbucket` or `gerrit`.
    pub provider: String,
    /// The SSH user.
    pub user: String,
    /// SSH port.
    pub ssh_port: u32,
    /// HTTPS port.
    pub https_port: u32,
    /// True when the platform reports a connection.
    pub connected: bool,
    /// Why not.
    pub error: Option<String>,
}

/// The GitOps repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryCard {
    /// The Codebase's name, or the address's last part for a registered one.
    pub name: String,
    /// True when it is registered in the app only, without KubeRocketCI.
    pub registered_here: bool,
    /// The platform's status word.
    pub status: String,
    /// True when the app knows the word.
    pub status_known: bool,
    /// What the platform says about a failure.
    pub detailed_message: Option<String>,
    /// `create` or `import`.
    pub strategy: String,
    /// The GitServer object's name.
    pub git_server: String,
    /// The path on the server.
    pub path: String,
    /// The branch the platform uses.
    pub default_branch: String,
    /// The provider's page.
    pub web_url: Option<String>,
    /// True when the Codebase asks for a private repository.
    pub private: bool,
    /// The newest commit of the clone.
    pub last_commit: Option<CommitEntry>,
    /// Flows that read from it.
    pub used_by: Vec<String>,
    /// How the clone stands.
    pub clone_state: CloneState,
    /// The transport whose credential is kept, or that is preferred.
    pub transport: Transport,
    /// SSH address.
    pub url_ssh: String,
    /// HTTPS address.
    pub url_https: String,
    /// The remote's own default branch, once seen.
    pub remote_branch: Option<String>,
    /// What the operator and others say of it; none when it is registered in the app only.
    pub operator: Option<OperatorView>,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CommitEntry {
    /// The full id.
    pub id: String,
    /// First line of the message.
    pub summary: String,
    /// Author's name.
    pub author: String,
    /// When.
    pub time: String,
}

/// How the clone stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CloneState {
    /// Not cloned yet; a credential is there or none is needed.
    None,
    /// A credential has to be given first.
    NeedsCredential,
    /// Being cloned.
    Cloning,
    /// Cloned.
    Ready {
        /// The branch's tip; none in an empty repository.
        commit: Option<String>,
        /// When it was fetched last.
        fetched: Option<String>,
    },
    /// Cloning or fetching failed.
    Error {
        /// Why.
        message: String,
    },
}

/// The wizard's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryForm {
    /// Create a new repository or import an existing one.
    pub strategy: RepositoryStrategy,
    /// The GitServer object's name.
    pub git_server: String,
    /// The owner: user, organisation, group or workspace; unused for Gerrit.
    pub owner: String,
    /// The repository's name; for Gerrit its path.
    pub repository: String,
    /// Which CI runs on it: `tekton`, or `gitlab` on a GitLab server.
    pub ci_tool: String,
    /// The default branch; `main` is what the platform reads.
    pub default_branch: String,
    /// Ask the provider for a private repository.
    pub private: bool,
}

/// Create or import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum RepositoryStrategy {
    /// The platform creates the repository at the provider.
    Create,
    /// The repository exists.
    Import,
}

/// What the wizard's review shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryPreview {
    /// The exact Codebase; empty while there are problems.
    pub yaml: String,
    /// Problems of the form.
    pub problems: Vec<FieldProblem>,
    /// What to know before saving a form that is otherwise right.
    pub warnings: Vec<Warning>,
    /// The address over SSH that will result; empty while unknown.
    pub url_ssh: String,
    /// The address over HTTPS that will result; empty while unknown.
    pub url_https: String,
}
