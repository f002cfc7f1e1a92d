//! Deploys after they were started, and what takes them back.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{
    CommitEntry, DeployChoice, DeployRunEntry, HealthView, LastVerdict, LeftRunning, Permission, SyncView, TextDiff,
};

/// A run followed to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeployRunView {
    /// The run.
    pub entry: DeployRunEntry,
    /// Its tasks, in the pipeline's order.
    pub tasks: Vec<TaskView>,
    /// Why the tasks are not told in full.
    pub problem: Option<String>,
    /// Whether the user may cancel it.
    pub can_cancel: Permission,
}

/// A task of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    /// Its name in the pipeline.
    pub name: String,
    /// How it stands.
    pub status: TaskStatus,
    /// Why, in Tekton's words.
    pub reason: Option<String>,
    /// When it started.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Its steps, in order.
    pub steps: Vec<StepView>,
}

/// A step of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    /// Its name in the task.
    pub name: String,
    /// How it stands.
    pub status: TaskStatus,
    /// Why.
    pub reason: Option<String>,
    /// The exit code, once it ended.
    pub exit_code: Option<i32>,
    /// When it started.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
}

/// How a task or a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum TaskStatus {
    /// Its turn has not come.
    Waiting,
    /// Running.
    Running,
    /// Ended well.
    Succeeded,
    /// Failed.
    Failed,
    /// Cancelled.
    Cancelled,
    /// Left out.
    Skipped,
}

/// Which run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RunRef {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub env: String,
    /// The PipelineRun's name.
    pub run: String,
}

/// The end of a step's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct StepLogView {
    /// The text.
    pub text: String,
    /// Its beginning is left out.
    pub cut: bool,
    /// Why there is nothing to read.
    pub nothing: Option<String>,
}

/// What a clean run, or the deletion of one deployment, means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct EndingView {
    /// What goes.
    pub goes: Vec<String>,
    /// What stays, and what comes back.
    pub stays: Vec<String>,
    /// Why it cannot be done now.
    pub blocked: Option<String>,
    /// Whether the user may.
    pub permission: Permission,
    /// The exact PipelineRun of a clean run.
    pub yaml: Option<String>,
    /// The Argo CD Application that would be deleted, by its unique id.
    pub uid: Option<String>,
    /// The digest of what is shown.
    pub digest: String,
    /// What it means when what runs is left alone; none where that cannot be chosen.
    pub left_running: Option<LeftRunning>,
}

/// An environment to clean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CleanRequest {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub env: String,
    /// The digest of what was shown; nothing is started where it would be something else.
    pub seen: String,
    /// The environment's name, typed by the user; needed on a production context.
    pub confirm: Option<String>,
}

/// An application's deployment to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeleteDeployment {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub env: String,
    /// The application.
    pub app: String,
    /// The Application that was shown, by its unique id.
    pub uid: String,
    /// The digest of what was shown; nothing is deleted where it would be something else.
    pub seen: String,
    /// What runs is left alone, where that can be chosen.
    pub leave_running: bool,
    /// The application's name, typed by the user; needed on a production context.
    pub confirm: Option<String>,
}

/// An earlier deploy as choices for a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RollbackView {
    /// The run.
    pub entry: DeployRunEntry,
    /// The choices.
    pub choices: Vec<DeployChoice>,
    /// What is not as it was then.
    pub notes: Vec<String>,
    /// The values files that were deployed then.
    pub values: Vec<ValuesThen>,
    /// Why the values files of then cannot be told.
    pub values_unknown: Option<String>,
}

/// A values file as it was deployed by an earlier run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ValuesThen {
    /// The application.
    pub application: String,
    /// The file.
    pub path: String,
    /// The commit that was deployed; none where Argo CD does not say any more.
    pub commit: Option<CommitEntry>,
    /// Why the file of then is not known.
    pub unknown: Option<String>,
    /// The file is as it was then.
    pub same: bool,
    /// There was no file then, so putting it back removes the file.
    pub removes: bool,
    /// What putting it back changes; none while it is not known or the same.
    pub diff: Option<TextDiff>,
    /// The content id of the file now; none when there is no file.
    pub blob: Option<String>,
}

/// Values files to put back as an earlier run deployed them, with one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RestoreValues {
    /// The run.
    pub run: RunRef,
    /// The files, as they were shown.
    pub files: Vec<RestoreFile>,
    /// The commit's message.
    pub message: String,
}

/// One values file to put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RestoreFile {
    /// The application.
    pub application: String,
    /// The content id of the file that was shown; none when there was no file.
    pub blob: Option<String>,
}

/// A sync of values without a deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SyncRequest {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub env: String,
    /// The application.
    pub app: String,
    /// What is no longer in Git is removed from the cluster. None is the platform's way, which does; where Argo CD alone
    /// deploys none does not.
    pub prune: Option<bool>,
    /// The environment's name, typed by the user; needed on a production context.
    pub confirm: Option<String>,
}

/// One application in one environment, in the list over all flows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRow {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub env: String,
    /// The namespace it deploys to.
    pub namespace: String,
    /// The application.
    pub app: String,
    /// The deployed tag; none when it was never deployed.
    pub version: Option<String>,
    /// The running Application reads the values file.
    #[serde(rename = "override")]
    pub values_override: bool,
    /// Argo CD's health.
    pub health: HealthView,
    /// Argo CD's sync.
    pub sync: SyncView,
    /// The values in Git differ from the deployed ones.
    pub drift: bool,
    /// A deploy or clean run of the environment is in progress.
    pub busy: bool,
    /// The verdict of the last chaos run against it.
    pub last_verdict: Option<LastVerdict>,
}
