//! Where a chaos project lives: tests of a connection, moves to another place, and switching off.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{AppError, RunEntry};

/// A repository and a branch, as a person saw them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct PlaceSeen {
    /// The repository's address.
    pub url: String,
    /// The branch.
    pub branch: String,
}

/// A part of a connection to a project's repository, in the order in which they are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ConnectionPart {
    /// A server answers at the address.
    Server,
    /// It is the server it says it is: its host key or certificate is trusted.
    Identity,
    /// The repository is there, and the credential may read it.
    Reading,
    /// The branch is there.
    Branch,
    /// The project's folder can be read.
    Folder,
    /// The credential may push.
    Writing,
}

/// How a part of a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum PartOutcome {
    /// It is in order.
    Passed,
    /// It is not.
    Failed,
    /// It was not looked at, for something before it failed.
    NotReached,
}

/// What a test found about one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionFinding {
    /// The part.
    pub part: ConnectionPart,
    /// How it stands.
    pub outcome: PartOutcome,
    /// Why, or what was found.
    pub words: Option<String>,
}

/// What a test of a project's repository found, part by part.
#[derive(Debug, Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionTest {
    /// The address tried.
    pub url: String,
    /// Every part, in order.
    pub parts: Vec<ConnectionFinding>,
    /// The branch that would be followed, as far as that can be told.
    pub branch: Option<String>,
    /// All branches.
    pub branches: Vec<String>,
    /// What failed first, with its hint; none when everything passed.
    pub error: Option<AppError>,
}

/// What switching GitOps off for a project would do. Nothing is deleted anywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DisablePreview {
    /// The place it follows.
    pub place: PlaceSeen,
    /// The folder there.
    pub folder: String,
    /// The project's own object, which stays and says that GitOps is off.
    pub object: String,
    /// Its workflows.
    pub workflows: Vec<DisabledWorkflow>,
    /// Runs that go on.
    pub running: Vec<RunEntry>,
    /// Triggers that no longer start anything, by namespace and name.
    pub triggers: Vec<String>,
}

/// What becomes of a workflow when GitOps is switched off for its project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DisabledWorkflow {
    /// Its name.
    pub name: String,
    /// Its object in the cluster, which stays and is marked as paused.
    pub object: String,
    /// Its file in Git, which stays; none where there is none.
    pub file: Option<String>,
    /// What stops with it, in words: its schedule, its runs on commit.
    pub stops: Vec<String>,
    /// What is in one place only and stays there, in words.
    pub only_here: Option<String>,
}
