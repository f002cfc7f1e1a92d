//! The practice cluster as a whole: API, repositories, seed and actors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::Client;

use crate::Result;
use crate::api::Server;
use crate::controllers::{Actor, ActorConfig, Actors, ActorsHandle};
use crate::definitions;
use crate::git_remote::{GitAccess, GitRemote};
use crate::seed;

/// A running practice cluster; everything in it but the repositories ends when it is dropped.
pub struct PracticeCluster {
    server: Server,
    client: Client,
    remote: Arc<GitRemote>,
    _actors: ActorsHandle,
}

impl PracticeCluster {
    /// Starts a practice cluster whose repositories lie below `dir`. Needs a running tokio runtime. The cluster's
    /// objects are made afresh each time; repositories that are there already are kept.
    ///
    /// # Errors
    /// When `dir` cannot be used or what the cluster holds at first cannot be written.
    pub async fn start(dir: &Path) -> Result<Self> {
        let remote = Arc::new(GitRemote::create(&dir.join("repositories"))?);
        let git: Arc<dyn GitAccess> = remote.clone();
        Self::start_with(remote, ActorConfig::new(seed::PLATFORM, Some(git)), Actor::ALL).await
    }

    /// The same with the settings and the parts that a test asks for.
    ///
    /// # Errors
    /// When what the cluster holds at first cannot be written.
    pub async fn start_with(remote: Arc<GitRemote>, config: ActorConfig, actors: &[Actor]) -> Result<Self> {
        let server = Server::with_crds(definitions::all()?)?;
        let client = server.client();
        seed::plant(client.clone(), &remote).await?;
        let actors = Actors::start(client.clone(), config, actors);
        Ok(Self { server, client, remote, _actors: actors })
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The API server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The folder that holds the bare repositories, as `<owner>/<name>.git`.
    pub fn git_remote(&self) -> PathBuf {
        self.remote.dir().to_path_buf()
    }

    /// The repositories.
    pub fn repositories(&self) -> &Arc<GitRemote> {
        &self.remote
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::api::{Api, DynamicObject, ListParams};
    use kube::core::{ApiResource, GroupVersionKind};

    #[tokio::test]
    async fn starts_with_its_seed() {
        let dir = tempfile::tempdir().unwrap();
        let cluster = PracticeCluster::start(dir.path()).await.unwrap();
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("v2.edp.epam.com", "v1", "Stage"), "stages");
        let api: Api<DynamicObject> = Api::namespaced_with(cluster.client(), seed::PLATFORM, &resource);
        let stages = api.list(&ListParams::default()).await.unwrap();
        assert_eq!(stages.items.len(), seed::ENVIRONMENTS.len());
        assert!(cluster.git_remote().is_dir());
    }
}
