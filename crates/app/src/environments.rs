//! Environments and deployments.

use crate::{
    App, Result,
    contract::{DeployPreview, DeployRequest, DeployStarted, EnvironmentView},
};

impl App {
    /// An environment with its applications.
    pub async fn environment(&self, _flow: String, _env: String) -> Result<EnvironmentView> {
        Err(self.not_ready())
    }

    /// The exact PipelineRun, the checks before it and what it changes.
    pub async fn preview_deploy(&self, _request: DeployRequest) -> Result<DeployPreview> {
        Err(self.not_ready())
    }

    /// Creates the PipelineRun.
    pub async fn deploy(&self, _request: DeployRequest) -> Result<DeployStarted> {
        Err(self.not_ready())
    }
}
