//! Contexts and the connection.

use crate::{
    App, Result,
    contract::{ConnectTarget, Contexts, Session},
};

impl App {
    /// The contexts of the kubeconfig files, and whether the practice cluster is on offer.
    pub async fn list_contexts(&self) -> Result<Contexts> {
        Err(self.not_ready())
    }

    /// Connects to a context or starts the practice cluster.
    pub async fn connect(&self, _target: ConnectTarget, _operation: String) -> Result<Session> {
        Err(self.not_ready())
    }

    /// The connection, if there is one.
    pub async fn current_session(&self) -> Result<Option<Session>> {
        Err(self.not_ready())
    }

    /// Ends the connection.
    pub async fn disconnect(&self) -> Result<()> {
        Err(self.not_ready())
    }

    /// Chooses the platform to work in.
    pub async fn select_platform(&self, _namespace: String) -> Result<Session> {
        Err(self.not_ready())
    }

    /// Installs the app's own kinds into the cluster.
    pub async fn install_pilothouse_crds(&self) -> Result<Session> {
        Err(self.not_ready())
    }
}
