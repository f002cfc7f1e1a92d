//! The care of the GitOps repository: what wants attention, what can be done about it, and its end.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{CredentialInput, FieldProblem, Permission, RepositoryStrategy, TextDiff};

/// Everything beside the card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryCare {
    /// What wants attention, the worst first.
    pub warnings: Vec<RepositoryWarning>,
    /// What the user may do.
    pub permissions: RepositoryPermissions,
    /// ApplicationSets that read another repository or branch.
    pub stale_sets: Vec<StaleSetView>,
    /// Values files that nothing reads.
    pub strays: StrayFiles,
    /// A deleted repository that can be brought back.
    pub kept: Option<KeptRepository>,
}

/// Something that wants attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryWarning {
    /// Its own among all that are shown.
    pub id: String,
    /// A stable code, for example `creationFailed`.
    pub code: String,
    /// How bad it is.
    pub severity: WarningSeverity,
    /// What is the matter.
    pub message: String,
    /// Why it is so, or what comes of it.
    pub why: Option<String>,
    /// What to do next.
    pub next: Option<String>,
    /// What can be done about it here, the best first.
    pub actions: Vec<CareAction>,
    /// The object it is about, where there may be several of one code.
    pub subject: Option<String>,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum WarningSeverity {
    /// Something does not work.
    Bad,
    /// Something will not work as expected.
    Warn,
    /// Good to know.
    Note,
}

/// What can be done about a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum CareAction {
    /// Have the platform try again now.
    Retry,
    /// Let the platform work on it again.
    Resume,
    /// Change path, server or branch.
    Edit,
    /// Take the repository that exists instead of making one.
    UseExisting,
    /// Delete the Codebase.
    Delete,
    /// Patch the ApplicationSet.
    MendSet,
}

/// What the user may do; a missing right names its verb and resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryPermissions {
    /// Create or bring back a repository.
    pub create: Permission,
    /// Have the platform try again, and change the repository.
    pub edit: Permission,
    /// Delete it.
    pub delete: Permission,
    /// Read ApplicationSets: without it nobody can say which of them read another place.
    pub see_sets: Permission,
    /// Patch ApplicationSets.
    pub mend_sets: Permission,
    /// Make a Git server's Secret.
    pub create_secret: Permission,
    /// Make a Git server.
    pub create_git_server: Permission,
}

/// An ApplicationSet that reads another repository or branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct StaleSetView {
    /// Its name, which is the flow's.
    pub name: String,
    /// What it reads, as `address at branch`.
    pub reads: Vec<String>,
    /// What it should read.
    pub wanted: String,
    /// Applications with the values override on.
    pub applications: Vec<String>,
    /// The change of its templatePatch.
    pub diff: TextDiff,
    /// The merge patch as JSON; none when none can be made safely.
    pub patch: Option<String>,
    /// Names the patch that was shown, to be given back with the click.
    pub shown: Option<String>,
}

/// Values files that nothing reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct StrayFiles {
    /// The files; at most two hundred.
    pub files: Vec<StrayFile>,
    /// How many there are.
    pub total: u32,
    /// Why nobody looked, if nobody did.
    pub unknown: Option<String>,
}

/// A values file that nothing reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct StrayFile {
    /// The file.
    pub path: String,
    /// The hash of its contents, as they were looked at.
    pub blob: String,
    /// What is wrong, in a sentence.
    pub why: String,
    /// The name under which it would be read.
    pub rename: Option<String>,
}

/// A deleted repository that can be brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct KeptRepository {
    /// The Codebase.
    pub name: String,
    /// The repository's path on its server.
    pub path: String,
    /// The GitServer.
    pub git_server: String,
    /// When it was deleted.
    pub deleted: String,
    /// The Codebase that would be made.
    pub yaml: String,
}

/// What the operator and others say of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct OperatorView {
    /// Ready for use.
    pub available: bool,
    /// Deletion was asked for.
    pub deleting: bool,
    /// The last step of the operator, in its words.
    pub action: Option<String>,
    /// `inactive`, `active` or `failed`.
    pub value: Option<String>,
    /// `success` or `error`.
    pub result: Option<String>,
    /// How far the operator's push went.
    pub git: Option<String>,
    /// How often it failed.
    pub failure_count: u32,
    /// When it wrote last.
    pub last_time_updated: Option<String>,
    /// The provider's number for the webhook.
    pub webhook: Option<String>,
    /// `tekton` or `gitlab`.
    pub ci_tool: String,
    /// When the Codebase was created.
    pub created: Option<String>,
    /// The operator leaves it alone.
    pub paused: bool,
    /// What a label forbids: `update`, `delete`.
    pub protected: Vec<String>,
    /// What holds a deleted Codebase.
    pub finalizers: Vec<String>,
    /// Fields that could not be read.
    pub problems: Vec<FieldProblem>,
    /// Environments in which the values override is on, as `flow/environment`.
    pub environments: Vec<String>,
    /// Applications that read a file of it now.
    pub applications: Vec<String>,
    /// False when ApplicationSets cannot be read, so that who uses the repository is a guess.
    pub readers_known: bool,
}

/// The fields of a repository that can be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryEdit {
    /// The path on the server.
    pub path: String,
    /// The GitServer.
    pub git_server: String,
    /// Create, or take what exists.
    pub strategy: RepositoryStrategy,
    /// `tekton`, or `gitlab` on a GitLab server.
    pub ci_tool: String,
    /// The default branch.
    pub default_branch: String,
}

/// What an edit comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryEditPreview {
    /// Why nothing can be changed now.
    pub refused: Option<String>,
    /// Problems of single fields.
    pub problems: Vec<FieldProblem>,
    /// What changes.
    pub changes: Vec<FieldChangeView>,
    /// What the change does not do, and what stays behind.
    pub stays: Vec<String>,
    /// The merge patch that is sent; none while nothing may be sent.
    pub patch: Option<String>,
}

/// One field's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct FieldChangeView {
    /// The field, for example `spec.gitUrlPath`.
    pub field: String,
    /// The value now.
    pub old: String,
    /// The value then.
    pub new: String,
}

/// What happens to a values file that nothing reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TidyFile {
    /// The file.
    pub path: String,
    /// The hash of the contents that were listed: other contents are left alone.
    pub blob: String,
    /// Its new name; none deletes it.
    pub to: Option<String>,
}

/// How the repository is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryDeletion {
    /// The Codebase.
    pub name: String,
    /// Its unique id.
    pub uid: String,
    /// Why it cannot be deleted.
    pub refused: Option<String>,
    /// Whether the user may.
    pub permission: Permission,
    /// What refers to it.
    pub referrers: Vec<ReferrerView>,
    /// What goes with it.
    pub goes: Vec<String>,
    /// What stays behind.
    pub stays: Vec<String>,
    /// The repository at the provider.
    pub provider: ProviderDeletionView,
    /// The Codebase that is kept here to bring the repository back.
    pub keepsake: String,
}

/// One that refers to the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ReferrerView {
    /// What it is.
    pub kind: ReferrerWord,
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub what: String,
}

/// What refers to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ReferrerWord {
    /// A deployment flow with the values override on.
    Flow,
    /// An ApplicationSet that holds its address.
    ApplicationSet,
    /// An Application that reads a file of it now.
    Application,
    /// A chaos project whose workflows are in it.
    ChaosProject,
}

/// The repository at its provider, as far as deleting it is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ProviderDeletionView {
    /// The provider's name, for example GitHub.
    pub title: String,
    /// The server that would be asked, as `host:port`; empty without one.
    pub host: String,
    /// `owner/repository`: to be typed.
    pub full_name: String,
    /// Why it cannot be deleted from here.
    pub blocked: Option<String>,
    /// True when a token for it is kept; otherwise one has to be given.
    pub has_token: bool,
    /// Its page, to delete it there.
    pub web_url: Option<String>,
}

/// Asks to delete the repository.
#[derive(Debug, Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeleteRepository {
    /// The Codebase.
    pub name: String,
    /// Its unique id, as it was shown.
    pub uid: String,
    /// Delete the provider's repository too.
    pub provider: Option<DeleteAtProvider>,
    /// The Codebase's name, typed by the user; needed on a production context unless the provider's name is typed.
    pub confirm: Option<String>,
}

/// Asks to delete the provider's repository.
#[derive(Debug, Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeleteAtProvider {
    /// The full name, typed by the user.
    pub typed: String,
    /// The server, as `host:port`, that was shown: the token goes to no other.
    pub host: String,
    /// A token; none takes the one that is kept.
    pub credential: Option<CredentialInput>,
}

/// What became of a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeletedRepository {
    /// The Codebase.
    pub name: String,
    /// What became of the provider's repository, in a sentence; none when it was left.
    pub provider: Option<String>,
    /// True when it can be brought back.
    pub can_return: bool,
}
