//! Values files and what a commit ends in.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{CommitEntry, WaitingNote};

/// A deployment flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct FlowEntry {
    /// The CDPipeline's name.
    pub name: String,
    /// The platform's status word.
    pub status: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its environments in order.
    pub environments: Vec<EnvironmentEntry>,
}

/// An environment of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentEntry {
    /// Its name.
    pub name: String,
    /// Its place in the flow, from 0.
    pub order: u32,
    /// The namespace it deploys to.
    pub namespace: String,
    /// The cluster it deploys to; `in-cluster` for the platform's own.
    pub cluster: String,
    /// `Manual`, `Auto` or `Auto-stable`.
    pub trigger_type: String,
    /// The applications.
    pub applications: Vec<String>,
    /// The platform's status word.
    pub status: String,
}

/// Names one values file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ValuesFile {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub env: String,
    /// The application.
    pub app: String,
}

/// A values file, opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct OpenedValues {
    /// Its path in the repository.
    pub path: String,
    /// The branch.
    pub branch: String,
    /// True when the file is there; else `text` is a proposal made from the defaults.
    pub exists: bool,
    /// The text to edit.
    pub text: String,
    /// The file's content id when it was opened; none when it did not exist.
    pub base_blob: Option<String>,
    /// The branch's tip when it was opened.
    pub base_commit: Option<String>,
    /// The chart's defaults, when they could be read.
    pub defaults: Option<ChartDefaults>,
    /// Why the defaults could not be read.
    pub defaults_problem: Option<String>,
    /// The file's last change.
    pub last_change: Option<CommitEntry>,
    /// Problems of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// Set when `text` is that of a commit which waits to be pushed.
    pub waiting: Option<WaitingNote>,
}

/// A chart's defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ChartDefaults {
    /// The text of the chart's `values.yaml`.
    pub text: String,
    /// Where it was read: repository and reference.
    pub source: String,
}

/// How serious a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Stops saving.
    Error,
    /// Probably not meant.
    Warning,
    /// For information.
    Info,
}

/// A remark on a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Line from 1.
    pub line: u32,
    /// Column from 1.
    pub column: u32,
    /// How serious.
    pub severity: Severity,
    /// A stable code.
    pub code: String,
    /// What and how to mend it.
    pub message: String,
    /// The path of the key that it is about, where it is about one.
    pub path: Option<String>,
}

/// The values as Helm will see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveValues {
    /// One line for each leaf.
    pub lines: Vec<EffectiveLine>,
}

/// One effective value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveLine {
    /// The key's path, for example `resources.limits.cpu`.
    pub path: String,
    /// The value, as YAML on one line.
    pub value: String,
    /// Which layer set it.
    pub source: ValueSource,
}

/// Which layer set a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ValueSource {
    /// The chart's defaults.
    Defaults,
    /// The values file.
    File,
    /// A parameter given by the deployment, such as the image tag.
    Parameter,
}

/// What the review shows before a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// The change.
    pub diff: TextDiff,
    /// Problems of the new text.
    pub diagnostics: Vec<Diagnostic>,
    /// A proposal for the commit message.
    pub message: String,
    /// The author, when set.
    pub author: Option<String>,
    /// True when the file changed on the remote since it was opened.
    pub moved: bool,
}

/// A change of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TextDiff {
    /// The changed places with their surroundings.
    pub hunks: Vec<DiffHunk>,
    /// Lines added.
    pub added: u32,
    /// Lines removed.
    pub removed: u32,
}

/// One changed place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DiffHunk {
    /// Its lines.
    pub lines: Vec<DiffLine>,
}

/// One line of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DiffLine {
    /// Kept, added or removed.
    pub kind: DiffKind,
    /// Line number in the old text.
    pub old_no: Option<u32>,
    /// Line number in the new text.
    pub new_no: Option<u32>,
    /// The line without its end.
    pub text: String,
}

/// Kept, added or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum DiffKind {
    /// In both texts.
    Same,
    /// In the new one only.
    Added,
    /// In the old one only.
    Removed,
}

/// A commit of a values file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CommitValues {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub env: String,
    /// The application.
    pub app: String,
    /// The new text.
    pub text: String,
    /// The content id the editor saw; none when the file did not exist.
    pub base_blob: Option<String>,
    /// The commit message.
    pub message: String,
}

/// What a commit and push ended in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(tag = "outcome", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CommitOutcome {
    /// It is on the remote's branch.
    Published {
        /// The commit.
        commit: CommitEntry,
        /// How often it was replayed on a branch that had moved.
        replays: u32,
        /// True when the text was merged with somebody else's change.
        merged: bool,
        /// The content id now, for further edits.
        blob: Option<String>,
        /// The file as it is on the branch now, where a colleague's change was merged into it.
        text: Option<String>,
    },
    /// Somebody else changed the same place; nothing was pushed, nothing is lost.
    Conflict {
        /// The file.
        path: String,
        /// The text the editor started from.
        base: Option<String>,
        /// The editor's text.
        ours: Option<String>,
        /// The remote's text.
        theirs: Option<String>,
        /// The remote's content id, to commit over once the texts are joined.
        their_blob: Option<String>,
        /// The commit that brought the remote's text.
        their_commit: Option<CommitEntry>,
    },
    /// The remote has this text already.
    Unchanged,
}

/// The server that publishes an application's chart. What is kept for it stays in the keychain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ChartServer {
    /// Its host, with the port where that is not the usual one.
    pub server: String,
    /// The chart's place there.
    pub place: String,
    /// Whether a login is kept for it.
    pub kept: bool,
    /// Whose login it is.
    pub username: Option<String>,
}

/// A values file's text with keys of another taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct PromotedText {
    /// The new text.
    pub text: String,
    /// The comments of the old text that are not in it any more.
    pub lost: Vec<LostComment>,
}

/// A comment that goes with what is replaced or taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LostComment {
    /// Its line before, from 1.
    pub line: u32,
    /// The comment with its `#`.
    pub text: String,
}
