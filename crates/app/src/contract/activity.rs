//! The timeline of what the app did.

use serde::{Deserialize, Serialize};
use specta::Type;

/// A page of the timeline, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ActivityPage {
    /// The entries.
    pub entries: Vec<ActivityEntry>,
    /// Ask with this `before` for older ones; none at the end.
    pub next_before: Option<u32>,
}

/// Something the app did to Git or the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ActivityEntry {
    /// Its number; newer is larger.
    pub id: u32,
    /// When it began.
    pub time: String,
    /// What sort of thing.
    pub kind: ActivityKind,
    /// What, in words.
    pub words: String,
    /// The context it happened in.
    pub context: Option<String>,
    /// The commit, for writes to Git.
    pub commit: Option<String>,
    /// The object, `kind/namespace/name`, for writes to the cluster.
    pub object: Option<String>,
    /// A page about it, in the app or at the provider.
    pub url: Option<String>,
    /// How it ended.
    pub outcome: ActivityOutcome,
    /// Why it failed.
    pub detail: Option<String>,
}

/// What sort of thing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ActivityKind {
    /// The GitOps repository.
    Repository,
    /// A credential or a host key.
    Credential,
    /// A values file.
    Values,
    /// A deployment.
    Deploy,
    /// A chaos project or workflow.
    Chaos,
    /// A chaos run.
    Run,
    /// A trigger.
    Trigger,
    /// Something else in the cluster.
    Cluster,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ActivityOutcome {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Begun and not ended yet.
    Started,
    /// Cancelled by the user.
    Cancelled,
    /// The app ended in the middle; the words say what was found afterwards.
    Interrupted,
}
