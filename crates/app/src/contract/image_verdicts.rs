//! What chaos runs said about images, and environments that ask for it.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{Permission, Verdict};

/// A release whose verdict is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseAsked {
    /// The application.
    pub application: String,
    /// The tag; none for what runs in the environment.
    pub tag: Option<String>,
}

/// The newest verdict about a release, in whichever environment of the flow it was tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseVerdict {
    /// The application.
    pub application: String,
    /// The tag; none when nothing runs.
    pub tag: Option<String>,
    /// The verdict; none when no run has tested it.
    pub tested: Option<TestedRelease>,
}

/// A run that tested a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TestedRelease {
    /// The environment in which it was tested.
    pub env: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The resilience score, 0 to 100.
    pub score: Option<f64>,
    /// The run's namespace.
    pub namespace: String,
    /// The run.
    pub run: String,
    /// When it ended, or else when it was started.
    pub time: Option<String>,
}

/// Whether an environment takes only releases that passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct VerdictRequirement {
    /// It does.
    pub required: bool,
    /// Whether the user may change that.
    pub can_change: Permission,
}
