//! Environments and deployments.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{Permission, Verdict};

/// An environment with its applications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentView {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub name: String,
    /// Its place in the flow.
    pub order: u32,
    /// The namespace it deploys to.
    pub namespace: String,
    /// The cluster it deploys to.
    pub cluster: String,
    /// `Manual`, `Auto` or `Auto-stable`.
    pub trigger_type: String,
    /// The platform's status word.
    pub status: String,
    /// What the platform says about a failure.
    pub message: Option<String>,
    /// The applications.
    pub applications: Vec<ApplicationView>,
    /// Deploy runs, newest first.
    pub runs: Vec<DeployRunEntry>,
    /// True while a deploy run is running.
    pub busy: bool,
    /// Whether the user may start a deploy run.
    pub can_deploy: Permission,
}

/// An application in an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationView {
    /// Its name.
    pub name: String,
    /// The deployed tag; none when it was never deployed.
    pub version: Option<String>,
    /// The deployed digest.
    pub digest: Option<String>,
    /// The values override.
    #[serde(rename = "override")]
    pub values_override: OverrideState,
    /// Whether the values file is there.
    pub values_file: ValuesFileState,
    /// Argo CD's health.
    pub health: HealthView,
    /// Argo CD's sync.
    pub sync: SyncView,
    /// The values in Git differ from the deployed ones.
    pub drift: Option<DriftView>,
    /// The tags on offer, newest first.
    pub tags: Vec<TagEntry>,
    /// The images running.
    pub images: Vec<String>,
    /// The application's addresses.
    pub urls: Vec<String>,
    /// The verdict of the last run against it.
    pub last_verdict: Option<LastVerdict>,
}

/// The values override, live and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct OverrideState {
    /// The live Application reads the values file.
    pub live: bool,
    /// The flow's ApplicationSet says it should; none where it cannot be read.
    pub stored: Option<bool>,
}

/// Whether a values file is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ValuesFileState {
    /// It is in the repository.
    Present,
    /// It is not.
    Absent,
    /// The repository is not cloned.
    Unknown,
}

/// Argo CD's health, in its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct HealthView {
    /// `Healthy`, `Progressing`, `Degraded`, `Suspended`, `Missing` or `Unknown`.
    pub status: String,
    /// Why.
    pub message: Option<String>,
}

/// Argo CD's sync, in its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SyncView {
    /// `Synced`, `OutOfSync` or `Unknown`.
    pub status: String,
    /// Why, where Argo CD says.
    pub why: Option<String>,
}

/// Values committed but not deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DriftView {
    /// The last commit that changed the values file.
    pub committed: String,
    /// The commit that is deployed.
    pub deployed: String,
}

/// A tag on offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TagEntry {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: Option<String>,
    /// When it was built.
    pub created: Option<String>,
    /// The newest.
    pub latest: bool,
    /// The last that passed this environment.
    pub stable: bool,
}

/// A deploy run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeployRunEntry {
    /// The PipelineRun's name.
    pub name: String,
    /// How it stands.
    pub status: DeployStatus,
    /// Why, in the pipeline's words.
    pub reason: Option<String>,
    /// When it started.
    pub started_at: Option<String>,
    /// When it finished.
    pub finished_at: Option<String>,
}

/// How a deploy run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum DeployStatus {
    /// Not started.
    Pending,
    /// Running.
    Running,
    /// Ended well.
    Succeeded,
    /// Failed.
    Failed,
    /// Cancelled.
    Cancelled,
}

/// The verdict of the last chaos run against an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LastVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// The resilience score, 0 to 100.
    pub score: Option<f64>,
    /// The run's namespace.
    pub namespace: String,
    /// The run's name.
    pub run: String,
    /// The image it was run against, where a trigger noted it.
    pub image: Option<String>,
    /// When it finished.
    pub finished_at: Option<String>,
}

/// What to deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeployRequest {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub env: String,
    /// One choice for each application.
    pub choices: Vec<DeployChoice>,
    /// The environment's name, typed by the user; needed on a production context. A preview does not look at it.
    pub confirm: Option<String>,
}

/// What to deploy of one application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeployChoice {
    /// The application.
    pub application: String,
    /// The tag.
    pub tag: String,
    /// Read the values file.
    #[serde(rename = "override")]
    pub values_override: bool,
}

/// What a deploy would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeployPreview {
    /// The exact PipelineRun; empty while a check blocks that.
    pub yaml: String,
    /// The checks before it.
    pub checks: Vec<PreflightCheck>,
    /// What changes, in words.
    pub changes: Vec<String>,
}

/// One check before a deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct PreflightCheck {
    /// A stable id.
    pub id: String,
    /// What is checked.
    pub label: String,
    /// True when it passed.
    pub ok: bool,
    /// Why not, or what to know.
    pub why: Option<String>,
    /// True when it stops the deploy.
    pub blocking: bool,
}

/// A deploy run that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeployStarted {
    /// The PipelineRun's name.
    pub run: String,
}
