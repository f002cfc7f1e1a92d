//! Chaos runs.

use crate::{
    App, Result,
    contract::{RunEntry, RunPreview, RunStarted, RunView},
};

impl App {
    /// The exact object a run would create, and what it is aimed at.
    pub async fn preview_run(&self, _project: String, _name: String) -> Result<RunPreview> {
        Err(self.not_ready())
    }

    /// Starts a run by hand.
    pub async fn run_workflow(&self, _project: String, _name: String, _confirm: Option<String>) -> Result<RunStarted> {
        Err(self.not_ready())
    }

    /// Stops a run.
    pub async fn stop_run(&self, _namespace: String, _name: String) -> Result<()> {
        Err(self.not_ready())
    }

    /// The runs, newest first.
    pub async fn list_runs(&self, _project: Option<String>) -> Result<Vec<RunEntry>> {
        Err(self.not_ready())
    }

    /// A run in full.
    pub async fn run(&self, _namespace: String, _name: String) -> Result<RunView> {
        Err(self.not_ready())
    }
}
