//! Chaos projects and workflows.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{CredentialInput, Diagnostic, Permission, PlaceSeen, Verdict};

/// Everything the chaos page shows first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ChaosOverview {
    /// The app's own kinds are installed.
    pub crds_installed: bool,
    /// The projects.
    pub projects: Vec<ChaosProjectEntry>,
    /// Whether the user may enable and disable projects.
    pub can_manage: Permission,
    /// Namespaces a project can live in.
    pub namespaces: Vec<String>,
}

/// How a project's sync stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ProjectState {
    /// Not synced yet.
    Pending,
    /// Git and cluster agree.
    InSync,
    /// Some workflow is in conflict or invalid.
    Attention,
    /// The last sync failed.
    Failed,
    /// GitOps is off.
    Disabled,
}

/// A chaos project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ChaosProjectEntry {
    /// Its id, the folder's name below `litmus/`.
    pub id: String,
    /// Where its objects live.
    pub namespace: String,
    /// GitOps is on.
    pub enabled: bool,
    /// The repository.
    pub url: String,
    /// It is the platform's GitOps repository.
    pub in_gitops_repository: bool,
    /// The branch.
    pub branch: String,
    /// How the app is let in.
    pub auth: ProjectAuth,
    /// How its sync stands.
    pub state: ProjectState,
    /// The commit synced last.
    pub commit: Option<String>,
    /// When it was synced last.
    pub last_sync: Option<String>,
    /// What the last sync said.
    pub message: Option<String>,
    /// True when this machine keeps a credential for it, or none is needed.
    pub has_credential: bool,
    /// Its workflows by state.
    pub counts: WorkflowCounts,
}

/// Workflows by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowCounts {
    /// All.
    pub total: u32,
    /// In sync.
    pub in_sync: u32,
    /// In conflict.
    pub conflict: u32,
    /// Not usable.
    pub invalid: u32,
}

/// How a project's repository lets the app in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ProjectAuth {
    /// A token over HTTPS.
    Token,
    /// A key over SSH.
    Ssh,
}

/// The form that enables GitOps for a project.
#[derive(Debug, Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ChaosProjectForm {
    /// The project's id.
    pub id: String,
    /// Where its objects live.
    pub namespace: String,
    /// Take the platform's GitOps repository, with its credential; `url` and `credential` are then unused.
    pub use_gitops_repository: bool,
    /// The repository.
    pub url: String,
    /// The branch; empty takes the remote's default.
    pub branch: String,
    /// The credential; none keeps the one this machine has.
    pub credential: Option<CredentialInput>,
}

/// What a sync did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SyncReport {
    /// The commit read.
    pub commit: Option<String>,
    /// What was done, one entry for each workflow touched.
    pub actions: Vec<SyncActionEntry>,
    /// What went wrong without stopping the sync.
    pub problems: Vec<String>,
}

/// One thing a sync did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SyncActionEntry {
    /// The workflow.
    pub workflow: String,
    /// What: `created`, `updated`, `adopted`, `merged`, `recorded`, `marked` or `removed`.
    pub action: String,
    /// In words.
    pub words: String,
}

/// How a workflow in Git stands to the one in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum WorkflowState {
    /// They agree.
    InSync,
    /// The cluster has a change that Git lacks.
    Ahead,
    /// Git has a change that the cluster lacks.
    Behind,
    /// Both changed.
    Conflict,
    /// The file cannot be used; the message says why.
    Invalid,
    /// The file is gone from Git.
    DeletedInGit,
    /// The project is off.
    Paused,
}

/// When a workflow runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum RunPolicy {
    /// Only by hand.
    Manual,
    /// When its file changes.
    OnCommit,
    /// As its schedule says.
    OnSchedule,
    /// When a trigger asks.
    OnEvent,
}

/// A chaos workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ChaosWorkflowEntry {
    /// Its name.
    pub name: String,
    /// Its path in the repository.
    pub path: String,
    /// `Workflow`, `CronWorkflow`, `ChaosEngine` or `ChaosSchedule`; empty when it cannot be read.
    pub kind: String,
    /// How it stands.
    pub state: WorkflowState,
    /// Why.
    pub message: Option<String>,
    /// The line the message is about.
    pub line: Option<u32>,
    /// The last commit that changed it.
    pub commit: Option<String>,
    /// Its author.
    pub author: Option<String>,
    /// When it runs.
    pub run_policy: RunPolicy,
    /// Why it does not run by itself although it is set to; none when nothing holds it back.
    pub held_back: Option<String>,
    /// How its schedule stands; none where it does not run on one.
    pub schedule: Option<WorkflowSchedule>,
    /// Its last run.
    pub last_run: Option<LastRun>,
}

/// How the schedule of a workflow stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowSchedule {
    /// The schedule that was agreed to, in words.
    pub words: Option<String>,
    /// When it runs next (RFC 3339).
    pub next: Option<String>,
    /// What became of times that did not run.
    pub note: Option<String>,
}

/// What a workflow reaches when it runs. Letting it run by itself means agreeing to this and to nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowReach {
    /// Identifies what is shown, to be given back when agreeing.
    pub digest: String,
    /// The service accounts it runs as.
    pub accounts: Vec<String>,
    /// The namespaces it runs in, looks into and aims at.
    pub namespaces: Vec<String>,
    /// The images it starts.
    pub images: Vec<String>,
    /// What else it asks for, such as paths of the node or privileges.
    pub powers: Vec<String>,
    /// When its own schedule runs it, in words.
    pub schedule: Option<String>,
    /// Why it has no schedule that can be followed; none where it has one.
    pub schedule_problem: Option<String>,
    /// Why it cannot be let run by itself at all.
    pub blocked: Option<String>,
}

/// The last run of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its phase.
    pub phase: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Its score, 0 to 100.
    pub score: Option<f64>,
    /// When it finished.
    pub finished_at: Option<String>,
}

/// How something is settled that a sync cannot settle by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WorkflowResolution {
    /// A conflict: the cluster takes what Git has.
    TakeGit,
    /// A conflict: Git takes what the cluster has.
    TakeCluster,
    /// A conflict: both take this text.
    Take {
        /// The text.
        text: String,
    },
    /// Deleted in Git: delete it from the cluster too.
    ConfirmDeletion,
    /// Deleted in Git: put the file back.
    Restore,
}

/// Both sides of a workflow that a sync cannot settle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowSides {
    /// The text in Git; none where there is no file that can be read.
    pub git: Option<String>,
    /// The text in the cluster.
    pub cluster: String,
    /// What both held when they were last equal; none where that is no longer known.
    pub base: Option<String>,
    /// Identifies the two versions, to be given back with the decision.
    pub seen: SidesSeen,
}

/// The versions of both sides that a person saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SidesSeen {
    /// The content id in Git; none for no file.
    pub blob: Option<String>,
    /// The digest of the text in the cluster.
    pub manifest: String,
}

/// A workflow file, opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct OpenedWorkflow {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its text as in Git.
    pub text: String,
    /// The content id, for saving.
    pub base_blob: Option<String>,
    /// Remarks on the text.
    pub diagnostics: Vec<Diagnostic>,
    /// When it runs.
    pub run_policy: RunPolicy,
}

/// A ready-made workflow to start from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowTemplate {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it does to the target.
    pub what: String,
    /// What can be set.
    pub parameters: Vec<TemplateParameter>,
}

/// A parameter of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TemplateParameter {
    /// Its name.
    pub name: String,
    /// Its label.
    pub label: String,
    /// Its unit, for example `s`.
    pub unit: Option<String>,
    /// Its default.
    pub default: String,
    /// The smallest value, for numbers.
    pub min: Option<i32>,
    /// The largest value, for numbers.
    pub max: Option<i32>,
    /// What it does.
    pub help: String,
}

/// What a workflow is aimed at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ChaosTarget {
    /// `Deployment` or `StatefulSet`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A template and its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TemplateChoice {
    /// The template's id.
    pub id: String,
    /// The project.
    pub project: String,
    /// The workflow's name.
    pub name: String,
    /// What it is aimed at.
    pub target: ChaosTarget,
    /// Parameters set; the others keep their defaults.
    pub parameters: Vec<ParameterValue>,
}

/// A parameter set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ParameterValue {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A workflow file read from disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ImportedWorkflow {
    /// The name found in it.
    pub name: String,
    /// The text.
    pub text: String,
    /// Remarks on the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// A commit of a workflow file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SaveWorkflow {
    /// The project.
    pub project: String,
    /// The workflow's name; the file's stem.
    pub name: String,
    /// The text.
    pub text: String,
    /// The content id the editor saw; none for a new file.
    pub base_blob: Option<String>,
    /// The commit message.
    pub message: String,
}

/// What enabling GitOps for a project would do, before it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ProjectPreview {
    /// The branch that would be followed.
    pub branch: String,
    /// The repository has no commit yet; the first change makes the branch.
    pub empty: bool,
    /// The folder in the repository.
    pub folder: String,
    /// Why nothing could be pushed there; none where the server takes this user's pushes.
    pub cannot_write: Option<String>,
    /// The repository that the project follows now, where that is another one, or another branch of it.
    pub follows: Option<String>,
    /// The place that the project follows while GitOps is on for it; to be given back when it is changed.
    pub seen: Option<PlaceSeen>,
    /// Every workflow on either side, and what would become of it.
    pub items: Vec<PreviewItem>,
    /// Whether these are all; a folder may hold more files than are read.
    pub complete: bool,
}

/// What would become of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct PreviewItem {
    /// The workflow.
    pub workflow: String,
    /// Its file.
    pub path: String,
    /// What would be done.
    pub what: PreviewWhat,
    /// Why, where that is not plain.
    pub message: Option<String>,
    /// The line the message is about.
    pub line: Option<u32>,
}

/// What would be done about a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum PreviewWhat {
    /// Its file is taken into the cluster.
    Import,
    /// It is written to Git.
    Export,
    /// The cluster's is brought to what Git has.
    Update,
    /// Both are brought to what both changed together.
    Merge,
    /// Both hold the same.
    Same,
    /// Both differ, and a person will decide.
    Conflict,
    /// Its file cannot be used.
    Invalid,
    /// It has no file there; a person will decide.
    Missing,
}
