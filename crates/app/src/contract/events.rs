//! Events that Rust sends to the window unasked.

use serde::{Deserialize, Serialize};
use specta::Type;

/// A part of what the window shows; it asks again for what of it is on screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum Topic {
    /// Kubeconfig files and their contexts.
    Contexts,
    /// The connection and what is installed there.
    Session,
    /// The GitOps repository and its clone.
    Repository,
    /// Flows, environments, applications and deployments.
    Environments,
    /// Chaos projects and workflows.
    Chaos,
    /// Chaos runs.
    Runs,
    /// Triggers and their decisions.
    Triggers,
    /// The timeline.
    Activity,
}

/// Something changed. Bursts are gathered for 200 ms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// What changed.
    pub topic: Topic,
}

/// How far a long operation has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct OperationProgress {
    /// The id the window chose.
    pub operation: String,
    /// What is being done now, in words.
    pub label: String,
    /// Steps or objects done.
    pub done: u32,
    /// Steps or objects in all, where known.
    pub total: Option<u32>,
    /// Where in its life the operation is.
    pub phase: OperationPhase,
}

/// Where in its life an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum OperationPhase {
    /// Work goes on.
    Running,
    /// It ended well.
    Done,
    /// It ended with an error, which the command itself returns.
    Failed,
    /// The user cancelled it.
    Cancelled,
}

/// How a notice looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum NoticeLevel {
    /// For information.
    Info,
    /// Something ended well.
    Good,
    /// Something wants attention.
    Warn,
    /// Something failed.
    Bad,
}

/// Something happened that the user should hear of wherever they are: a run ended, a trigger fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// How it looks.
    pub level: NoticeLevel,
    /// One line.
    pub title: String,
    /// A sentence or two.
    pub body: String,
    /// The page about it, for example `/chaos/runs/practice-chaos/cart-pod-delete-1`.
    pub path: Option<String>,
}
