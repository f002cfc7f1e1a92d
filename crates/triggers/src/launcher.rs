//! How the engine starts runs, without knowing what a chaos run is.

use std::collections::BTreeMap;

use async_trait::async_trait;

/// A run to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The trigger's namespace, which is also its chaos project's.
    pub namespace: String,
    /// The chaos project.
    pub project: String,
    /// The chaos workflow.
    pub workflow: String,
    /// The run's name. Creating an object of this name is what makes the run happen, and makes it happen once.
    pub run: String,
    /// The trigger's name.
    pub trigger: String,
    /// Labels for the run's objects, besides the launcher's own.
    pub labels: BTreeMap<String, String>,
}

/// A launch that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launched {
    /// The run was created now.
    Created,
    /// A run of this name exists: somebody started it before, perhaps this engine before it was restarted.
    Already,
}

/// A launch that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LaunchError {
    /// Why, in words.
    pub message: String,
    /// Whether the same launch may succeed later without anybody changing anything.
    pub retry: bool,
}

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// It has not ended.
    Open,
    /// It ended with this verdict (`Pass`, `Fail`…).
    Ended(String),
    /// It no longer exists.
    Gone,
}

/// Starts runs and tells how they ended.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Starts a run. To be called again with the same run is harmless.
    async fn launch(&self, launch: &Launch) -> Result<Launched, LaunchError>;

    /// Stops a run and takes back what it did, because all triggers are halted. To be called again, or for a run that
    /// has ended, is harmless.
    async fn stop(&self, launch: &Launch) -> Result<(), LaunchError>;

    /// How a run stands; an error when that cannot be told now.
    async fn state(&self, launch: &Launch) -> Result<RunState, LaunchError>;
}
