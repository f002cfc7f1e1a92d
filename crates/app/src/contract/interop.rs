//! ChaosCenter: what it would refuse, its labels, and connections to its installations.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{CredentialInput, Severity, TextDiff, Verdict};

/// A remark on a workflow's text, with its fix where there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowRemark {
    /// Names it among the remarks of this very text.
    pub id: String,
    /// The line, from 1; none where it is about no line.
    pub line: Option<u32>,
    /// How much it matters here.
    pub severity: Severity,
    /// True when it is only ChaosCenter that minds; the workflow runs here all the same.
    pub only_chaos_center: bool,
    /// A stable code.
    pub code: String,
    /// What is wrong and how to mend it.
    pub message: String,
    /// What the fix does; none where only a person can tell what is right.
    pub fix: Option<String>,
}

/// What ties a project's files to installations of ChaosCenter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ProjectTies {
    /// The infrastructures that files name, the most named first.
    pub infras: Vec<InfraTie>,
    /// How many files carry an experiment's id.
    pub experiments: u32,
    /// How many workflow files were read.
    pub files: u32,
    /// False when the project has more files than are read at once.
    pub complete: bool,
}

/// An infrastructure that files name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct InfraTie {
    /// Its id.
    pub id: String,
    /// How many files name it.
    pub files: u32,
}

/// How a project's files are moved to another installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RemapForm {
    /// The infrastructures that change.
    pub infras: Vec<InfraChange>,
    /// Whether the experiments' ids are emptied, so that the other installation takes the files for new experiments.
    pub forget_experiments: bool,
}

/// An infrastructure's new id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct InfraChange {
    /// The id in the files.
    pub from: String,
    /// The id in the other installation.
    pub to: String,
}

/// What a move would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RemapPreview {
    /// The files that would change.
    pub files: Vec<RemappedFile>,
    /// Files that cannot be moved, with the reason; they stay as they are.
    pub problems: Vec<String>,
    /// The commit message proposed.
    pub message: String,
    /// Identifies what is shown, to be given back when committing.
    pub digest: String,
}

/// A file that would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RemappedFile {
    /// Its path.
    pub path: String,
    /// The change.
    pub diff: TextDiff,
}

/// A connection to an installation of ChaosCenter. Its token stays in the keychain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CenterConnection {
    /// Its id on this computer.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The installation's address.
    pub url: String,
    /// True when a token is kept for it.
    pub has_token: bool,
}

/// The form that adds a connection.
#[derive(Debug, Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CenterForm {
    /// Its name.
    pub name: String,
    /// The installation's address, with https.
    pub url: String,
    /// A token of the user's; no other credential fits.
    pub credential: CredentialInput,
}

/// A project of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CenterProject {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A project's experiments and how it stands to Git.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CenterProjectView {
    /// The experiments.
    pub experiments: Vec<CenterExperiment>,
    /// Whether these are all.
    pub complete: bool,
    /// How it stands to Git; none where the user may not see that.
    pub git_ops: Option<CenterGitOps>,
    /// Why not.
    pub git_ops_problem: Option<String>,
}

/// An experiment of an installation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CenterExperiment {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its schedule.
    pub schedule: Option<String>,
    /// The infrastructure that runs it.
    pub place: String,
    /// Its last run.
    pub last_run: Option<CenterRun>,
}

/// A run of an installation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CenterRun {
    /// Its id, or what names it until it has one. Empty while there is neither.
    pub id: String,
    /// Its phase in ChaosCenter's word.
    pub phase: String,
    /// Nothing more will happen.
    pub ended: bool,
    /// Its verdict.
    pub verdict: Verdict,
    /// Its resilience score, 0 to 100.
    pub score: Option<f64>,
    /// When it changed last.
    pub at: Option<String>,
}

/// A run of an installation, in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CenterRunView {
    /// The run.
    pub run: CenterRun,
    /// Its faults.
    pub faults: Vec<CenterFault>,
    /// What to know before believing it.
    pub warnings: Vec<String>,
}

/// A fault of such a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CenterFault {
    /// Its name.
    pub name: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// The share of its probes that held, in percent.
    pub share: Option<u32>,
    /// Its weight in the score.
    pub weight: u32,
    /// Why it ended in an error.
    pub why: Option<String>,
}

/// How a project of an installation stands to Git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CenterGitOps {
    /// Whether it is on.
    pub enabled: bool,
    /// The repository.
    pub url: String,
    /// The branch.
    pub branch: String,
    /// How ChaosCenter is let in, in its word.
    pub auth: String,
}

/// The form that switches GitOps on for a project of an installation.
#[derive(Debug, Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CenterGitOpsForm {
    /// The repository.
    pub url: String,
    /// The branch, which must be there.
    pub branch: String,
    /// A token or a key for ChaosCenter, which keeps it unencrypted.
    pub credential: CredentialInput,
}
