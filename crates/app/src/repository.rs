//! The GitOps repository.

use crate::{
    App, Result,
    contract::{RepositoryCard, RepositoryForm, RepositoryOverview, RepositoryPreview},
};

impl App {
    /// Git servers, the repository and what wants attention.
    pub async fn repository_overview(&self) -> Result<RepositoryOverview> {
        Err(self.not_ready())
    }

    /// The exact Codebase a form would create, or its problems.
    pub async fn repository_preview(&self, _form: RepositoryForm) -> Result<RepositoryPreview> {
        Err(self.not_ready())
    }

    /// Creates the Codebase and waits for the platform to finish; answers its name.
    pub async fn create_repository(&self, _form: RepositoryForm, _operation: String) -> Result<String> {
        Err(self.not_ready())
    }

    /// Registers a repository in the app only, for clusters without KubeRocketCI.
    pub async fn register_repository(&self, _url: String) -> Result<RepositoryOverview> {
        Err(self.not_ready())
    }

    /// Clones the repository, or fetches when it is cloned already.
    pub async fn clone_repository(&self, _operation: String) -> Result<RepositoryCard> {
        Err(self.not_ready())
    }
}
impl App {
    pub(crate) async fn repository_url(&self, _t: crate::contract::Transport) -> Result<String> {
        Err(self.not_ready())
    }
    pub(crate) async fn git_server_url(&self, _g: &str, _p: &str, _t: crate::contract::Transport) -> Result<String> {
        Err(self.not_ready())
    }
    pub(crate) async fn choose_transport(&self, _t: crate::contract::Transport) -> Result<()> {
        Err(self.not_ready())
    }
}
