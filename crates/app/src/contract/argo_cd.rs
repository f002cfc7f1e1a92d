//! Delivery where Argo CD alone deploys.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{FieldProblem, Permission, PreflightCheck, TextDiff, ValuesFileState, ValuesThen};

/// Where a chart comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ChartKind {
    /// A folder in a Git repository.
    Git,
    /// A Helm repository.
    Helm,
    /// An OCI registry.
    Oci,
}

/// A Helm parameter of an Application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ArgoParameter {
    /// Its key path.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What an Application of Argo CD is set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ArgoApplication {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The AppProject.
    pub project: String,
    /// The cluster that it deploys to: a name or an address.
    pub cluster: String,
    /// The namespace that it deploys to.
    pub target_namespace: String,
    /// Where the chart comes from.
    pub chart_kind: ChartKind,
    /// The chart's repository or registry.
    pub chart_url: String,
    /// The chart's name, or its folder in Git.
    pub chart: String,
    /// The chart's version, or the revision in Git.
    pub revision: String,
    /// The parameters, which beat the values.
    pub parameters: Vec<ArgoParameter>,
    /// The branch or tag that the values are read at.
    pub values_revision: String,
    /// A missing values file is passed over.
    pub ignore_missing: bool,
    /// Argo CD syncs it by itself.
    pub automated: bool,
    /// What no longer is in Git is removed by such a sync.
    pub prune: bool,
    /// Why its version cannot be changed here; none when it can.
    pub why_kept: Option<String>,
}

/// What an AppProject permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ArgoProject {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What it is for.
    pub description: Option<String>,
    /// The repositories that its Applications may read.
    pub source_repos: Vec<String>,
    /// Where its Applications may deploy to, in words.
    pub destinations: Vec<String>,
}

/// A repository that Applications read values from by the convention, and which is not the GitOps repository here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ValuesElsewhere {
    /// Its address.
    pub url: String,
    /// How many Applications read it.
    pub applications: u32,
}

/// Argo CD, where it alone deploys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ArgoCdView {
    /// The GitOps repository's address; none while none is registered.
    pub repository: Option<String>,
    /// Its branch, as far as it is known.
    pub branch: Option<String>,
    /// Other repositories that values come from by the convention.
    pub elsewhere: Vec<ValuesElsewhere>,
    /// Applications seen, of whatever kind.
    pub applications: u32,
    /// The namespaces that Applications may lie in, the likeliest first.
    pub namespaces: Vec<String>,
    /// The AppProjects; none where they may not be listed.
    pub projects: Option<Vec<ArgoProject>>,
    /// Clusters that Applications deploy to already.
    pub clusters: Vec<String>,
    /// Charts' repositories that Applications use already.
    pub chart_urls: Vec<String>,
    /// Whether the user may make an Application in the first of the namespaces.
    pub can_create: Permission,
}

/// Which cluster a new Application deploys to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum ArgoDestination {
    /// The one that Argo CD runs in.
    InCluster,
    /// One by its address.
    Server {
        /// The address.
        server: String,
    },
    /// One by the name under which Argo CD knows it.
    Named {
        /// The name.
        name: String,
    },
}

/// When Argo CD syncs a new Application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum ArgoSyncPolicy {
    /// When somebody asks for it.
    Manual,
    /// By itself.
    #[serde(rename_all = "camelCase")]
    Automated {
        /// What is no longer in Git is removed.
        prune: bool,
        /// What is changed in the cluster is changed back.
        self_heal: bool,
    },
}

/// A new Application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationForm {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub env: String,
    /// The application.
    pub app: String,
    /// The Application's name.
    pub name: String,
    /// The namespace that it lies in.
    pub namespace: String,
    /// The AppProject.
    pub project: String,
    /// Where the chart comes from.
    pub chart_kind: ChartKind,
    /// The chart's repository or registry.
    pub chart_url: String,
    /// The chart's name, or its folder in Git.
    pub chart: String,
    /// The chart's version, or the revision in Git.
    pub revision: String,
    /// The parameter `image.tag`; empty passes none.
    pub image_tag: String,
    /// The cluster.
    pub destination: ArgoDestination,
    /// The namespace that it deploys to.
    pub target_namespace: String,
    /// Argo CD makes that namespace.
    pub create_namespace: bool,
    /// A missing values file is passed over.
    pub ignore_missing: bool,
    /// When it is synced.
    pub sync: ArgoSyncPolicy,
    /// Commit a values file first, where there is none.
    pub create_file: bool,
}

/// What saving a new Application would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationPreview {
    /// What is wrong with the form, field by field.
    pub problems: Vec<FieldProblem>,
    /// The exact Application; empty while the form has problems.
    pub yaml: String,
    /// The values file's path.
    pub path: String,
    /// Whether it is there.
    pub file: ValuesFileState,
    /// The text that would be committed; none when nothing would be.
    pub file_text: Option<String>,
    /// The checks before it, the API server's own dry run among them.
    pub checks: Vec<PreflightCheck>,
}

/// A new Application to save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct NewApplication {
    /// The form.
    pub form: ApplicationForm,
    /// The YAML that was shown; nothing is done where it would be another.
    pub seen: String,
    /// The text of the values file that was shown as to be committed, if one was; nothing is done where it would be
    /// another, or none.
    pub seen_file: Option<String>,
    /// The Application's name, typed by the user; needed on a production context.
    pub confirm: Option<String>,
}

/// A new Application that was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationMade {
    /// Its name.
    pub name: String,
    /// The commit of the values file; none when none was made.
    pub commit: Option<String>,
}

/// Another version of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct VersionRequest {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub env: String,
    /// The application.
    pub app: String,
    /// The chart's version, or the revision in Git.
    pub revision: String,
    /// Parameters to set; an empty value takes one away.
    pub parameters: Vec<ArgoParameter>,
    /// Have Argo CD sync at once.
    pub sync: bool,
    /// Such a sync removes what is no longer in Git.
    pub prune: bool,
}

/// What another version changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct VersionPreview {
    /// The change of the Application's source.
    pub diff: TextDiff,
    /// What the Application's source is known by as it is now; to be given back with the change.
    pub seen: String,
    /// What happens, in words.
    pub words: Vec<String>,
    /// Why it cannot be done now.
    pub blocked: Option<String>,
    /// Whether the user may.
    pub permission: Permission,
}

/// Another version to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SetVersion {
    /// The version.
    pub request: VersionRequest,
    /// What was shown as it is now.
    pub seen: String,
    /// The environment's name, typed by the user; needed on a production context.
    pub confirm: Option<String>,
}

/// A deploy of an application that Argo CD remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct PastDeploy {
    /// Argo CD's number of it.
    pub id: u32,
    /// When it ended, RFC 3339.
    pub time: Option<String>,
    /// Who asked for it; none where Argo CD did so by itself, or does not say.
    pub by: Option<String>,
    /// The image's tag, else the chart's version or revision.
    pub version: String,
    /// The chart's version or revision.
    pub revision: String,
    /// The commit of the values repository.
    pub values: Option<String>,
    /// It is the last one.
    pub latest: bool,
    /// Why one cannot go back to it.
    pub why_not: Option<String>,
}

/// A past deploy to go back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ReturnRequest {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub env: String,
    /// The application.
    pub app: String,
    /// Argo CD's number of the deploy.
    pub deploy: u32,
}

/// What going back to a past deploy changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ReturnPreview {
    /// The change of the Application's source.
    pub diff: TextDiff,
    /// What the Application's source is known by as it is now; to be given back.
    pub seen: String,
    /// The values file; none where Argo CD reads another branch than the one that is edited.
    pub values: Option<ValuesThen>,
    /// Why the values file is not known, or not put back here.
    pub values_unknown: Option<String>,
    /// What happens, in words.
    pub words: Vec<String>,
    /// Why it cannot be done now.
    pub blocked: Option<String>,
    /// Whether the user may.
    pub permission: Permission,
}

/// Goes back to a past deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GoBack {
    /// Which one.
    pub request: ReturnRequest,
    /// What the Application's source that was shown is known by.
    pub seen: String,
    /// The values file is put back first, with a commit of this message; none leaves the file as it is.
    pub message: Option<String>,
    /// The content id of the values file that was shown; none when there was no file.
    pub blob: Option<String>,
    /// What is no longer made by the chart is removed.
    pub prune: bool,
    /// The environment's name, typed by the user; needed on a production context.
    pub confirm: Option<String>,
}

/// What deleting a deployment means when what runs is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LeftRunning {
    /// What goes.
    pub goes: Vec<String>,
    /// What stays.
    pub stays: Vec<String>,
    /// The digest of what is shown.
    pub digest: String,
}

/// An application of an environment that a sync of all would reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SyncAllEntry {
    /// The application.
    pub app: String,
    /// The version that is deployed again.
    pub version: Option<String>,
    /// Argo CD's word.
    pub sync: String,
    /// Its values in Git are newer than what is deployed.
    pub drift: bool,
    /// Why it cannot be synced now; none when it can.
    pub blocked: Option<String>,
    /// What the Application is set to; to be given back.
    pub seen: String,
}

/// What syncing all that is out of sync in an environment would reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SyncAllPreview {
    /// The applications that are out of sync, by name.
    pub applications: Vec<SyncAllEntry>,
    /// How many are in sync, and are not touched.
    pub in_sync: u32,
    /// Whether the user may.
    pub permission: Permission,
}

/// One that is to be synced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SyncAllChoice {
    /// The application.
    pub app: String,
    /// What was shown; nothing is done where the Application is set to something else.
    pub seen: String,
}

/// Syncs several applications of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SyncAllRequest {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub env: String,
    /// Which ones.
    pub choices: Vec<SyncAllChoice>,
    /// What is no longer made by their charts is removed.
    pub prune: bool,
    /// The environment's name, typed by the user; needed on a production context.
    pub confirm: Option<String>,
}

/// What came of one of several syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum SyncAllEnd {
    /// Argo CD was asked.
    Asked,
    /// The Application is not what was shown; nothing was done.
    Stale,
    /// It could not be asked.
    Failed,
}

/// What came of one of several syncs, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SyncAllResult {
    /// The application.
    pub app: String,
    /// What came of it.
    pub end: SyncAllEnd,
    /// Why it was not asked.
    pub why: Option<String>,
}
