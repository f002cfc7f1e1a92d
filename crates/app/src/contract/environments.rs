//! Environments and deployments.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{ArgoApplication, Permission, Verdict};

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
    /// The TriggerTemplate that a deploy run is made from, such as `deploy` or `deploy-with-approve`.
    pub deploy_template: String,
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
    /// Whether the user may have Argo CD sync an application.
    pub can_sync: Permission,
    /// Whether the user may delete an application's deployment.
    pub can_delete: Permission,
    /// The TriggerTemplate of a clean run; none when the environment cannot be cleaned.
    pub clean_template: Option<String>,
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
    /// When the deployed image was built, by the application's image streams; none where they do not say.
    pub image_created: Option<String>,
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
    /// The image stream that they come from; none when there is none.
    pub tag_stream: Option<String>,
    /// Why these tags and no others.
    pub tags_why: String,
    /// What the platform's portal calls latest, where that is another tag.
    pub portal_latest: Option<String>,
    /// What is out of the ordinary, each with its explanation.
    pub notes: Vec<ApplicationNote>,
    /// Argo CD's last operation.
    pub operation: Option<OperationView>,
    /// Why its values cannot be synced without a deploy; none when they can.
    pub why_no_sync: Option<String>,
    /// The images running.
    pub images: Vec<String>,
    /// The application's addresses.
    pub urls: Vec<String>,
    /// The verdict of the last run against it.
    pub last_verdict: Option<LastVerdict>,
    /// What its Application is set to, where Argo CD alone deploys.
    pub argo: Option<ArgoApplication>,
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
    /// The environments that it has passed.
    pub verified: Vec<String>,
    /// The environments that it is deployed to now.
    pub deployed: Vec<String>,
}

/// Something out of the ordinary with an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationNote {
    /// `neverDeployed`, `staleDigest`, `overridePending` or `missingValuesFile`; where Argo CD alone deploys also
    /// `fileIgnored`, `sharedFile`, `otherBranch` and `deleting`.
    pub code: String,
    /// What it means and how to mend it.
    pub message: String,
}

/// An operation of Argo CD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct OperationView {
    /// `Asked`, `Running`, `Succeeded`, `Failed`, `Error` or `Terminating`.
    pub phase: String,
    /// What Argo CD says.
    pub message: Option<String>,
    /// When it began.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Who asked for it.
    pub by: Option<String>,
}

/// A deploy or clean run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeployRunEntry {
    /// The PipelineRun's name.
    pub name: String,
    /// Its unique id: a name may be used again.
    pub uid: String,
    /// It removes what is deployed.
    pub clean: bool,
    /// Somebody asked for it to be cancelled.
    pub cancelling: bool,
    /// What it deployed; empty for a clean run.
    pub applications: Vec<CarriedApplication>,
    /// How it stands.
    pub status: DeployStatus,
    /// Why, in the pipeline's words.
    pub reason: Option<String>,
    /// When it started.
    pub started_at: Option<String>,
    /// When it finished.
    pub finished_at: Option<String>,
}

/// What a deploy run carried of one application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CarriedApplication {
    /// The application.
    pub application: String,
    /// The tag.
    pub tag: String,
    /// The digest; none when it was sent empty or not at all.
    pub digest: Option<String>,
    /// The values override; none in automatic deploys, which leave it as it is.
    #[serde(rename = "override")]
    pub values_override: Option<bool>,
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
    /// Whether that is the image which runs now; none where it is not known.
    pub of_running: Option<bool>,
    /// When it started.
    pub started_at: Option<String>,
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
    /// The earlier deploy run that this one goes back to: where the tags are its tags, its images are deployed.
    pub rollback_of: Option<String>,
    /// The digest of the preview that the user saw; nothing is started where it would be something else. A preview does
    /// not look at it.
    pub seen: Option<String>,
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
    /// The digest of the PipelineRun and of what changes; none where the PipelineRun cannot be shown.
    pub digest: Option<String>,
    /// The checks before it.
    pub checks: Vec<PreflightCheck>,
    /// What changes, in words.
    pub changes: Vec<String>,
    /// What changes, application by application.
    pub releases: Vec<ReleaseChange>,
    /// What the override's switch changes, for each application where it changes something.
    pub switches: Vec<SwitchChange>,
}

/// What a deploy changes of one application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseChange {
    /// The application.
    pub application: String,
    /// The tag now; none when it was never deployed.
    pub version: Option<String>,
    /// The tag then.
    pub next_version: String,
    /// The digest now.
    pub digest: Option<String>,
    /// The digest then; none when it is not known.
    pub next_digest: Option<String>,
    /// Whether the values file is read now.
    #[serde(rename = "override")]
    pub values_override: bool,
    /// Whether it is read then.
    pub next_override: bool,
    /// Whether any of these is other than now.
    pub changed: bool,
}

/// What switching the values override does to an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SwitchChange {
    /// The application.
    pub application: String,
    /// It is switched on.
    pub on: bool,
    /// The values file.
    pub path: String,
    /// The values that change, at most 40.
    pub keys: Vec<SwitchedKey>,
    /// How many more there are.
    pub more: u32,
    /// Why the values are not listed.
    pub unknown: Option<String>,
}

/// One value that the override's switch changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SwitchedKey {
    /// The key path.
    pub path: String,
    /// The value before; none where it is not set or the chart's default is not known.
    pub before: Option<String>,
    /// The value after, as `before`.
    pub after: Option<String>,
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
