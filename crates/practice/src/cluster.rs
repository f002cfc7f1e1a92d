//! The practice cluster as a whole: API, repositories, seed and actors.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use tokio::task::JoinHandle;

use crate::api::Server;
use crate::controllers::{Actor, ActorConfig, Actors, ActorsHandle};
use crate::definitions;
use crate::git_remote::{GitAccess, GitRemote};
use crate::kept_objects::{self, KeptObjects};
use crate::seed;
use crate::{Error, Result};

fn repositories(dir: &Path) -> PathBuf {
    dir.join("repositories")
}

/// What is installed in a practice cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Installed {
    /// KubeRocketCI and all that it works with.
    Platform,
    /// Argo CD, Argo Workflows and Litmus, without KubeRocketCI.
    ArgoCdAlone,
}

impl Installed {
    /// Both.
    pub const ALL: [Installed; 2] = [Installed::Platform, Installed::ArgoCdAlone];

    fn definitions(self) -> Result<Vec<serde_json::Value>> {
        match self {
            Self::Platform => definitions::all(),
            Self::ArgoCdAlone => definitions::without_platform(),
        }
    }

    fn plant_repositories(self, remote: &GitRemote) -> Result<()> {
        match self {
            Self::Platform => seed::plant_repositories(remote),
            Self::ArgoCdAlone => seed::argo_cd::plant_repositories(remote),
        }
    }

    async fn plant(self, client: Client, remote: &GitRemote) -> Result<()> {
        match self {
            Self::Platform => seed::plant(client, remote).await,
            Self::ArgoCdAlone => seed::argo_cd::plant(client, remote).await,
        }
    }

    fn namespace(self) -> &'static str {
        match self {
            Self::Platform => seed::PLATFORM,
            Self::ArgoCdAlone => seed::argo_cd::NAMESPACE,
        }
    }

    fn actors(self) -> &'static [Actor] {
        match self {
            Self::Platform => Actor::ALL,
            Self::ArgoCdAlone => Actor::WITHOUT_PLATFORM,
        }
    }
}

/// A running practice cluster; everything in it but what is on disk ends when it is dropped.
pub struct PracticeCluster {
    server: Server,
    client: Client,
    remote: Arc<GitRemote>,
    kept: Option<Arc<KeptObjects>>,
    keeping: Mutex<Option<JoinHandle<()>>>,
    actors: Mutex<Option<ActorsHandle>>,
}

impl PracticeCluster {
    /// Starts a practice cluster that is kept below `dir`: repositories and objects are found again at the next start.
    /// Needs a running tokio runtime. Objects that cannot be read are set aside, and those of the first start are made.
    ///
    /// # Errors
    /// When `dir` cannot be used or what the cluster holds at first cannot be written.
    pub async fn start(dir: &Path) -> Result<Self> {
        Self::start_with_installed(dir, Installed::Platform).await
    }

    /// The same, and says what is installed in it.
    ///
    /// # Errors
    /// When `dir` cannot be used or what the cluster holds at first cannot be written.
    pub async fn start_with_installed(dir: &Path, installed: Installed) -> Result<Self> {
        // Objects whose repositories are gone would tell of what is not there.
        if !repositories(dir).is_dir() {
            kept_objects::set_aside(dir);
        }
        let remote = Arc::new(GitRemote::create(&repositories(dir))?);
        let git: Arc<dyn GitAccess> = remote.clone();
        let config = ActorConfig::new(installed.namespace(), Some(git));
        Self::kept(dir, remote, config, installed.actors(), installed).await
    }

    /// The same with the settings and the parts that a test asks for.
    ///
    /// # Errors
    /// When `dir` cannot be used or what the cluster holds at first cannot be written.
    pub async fn start_kept(dir: &Path, remote: Arc<GitRemote>, config: ActorConfig, actors: &[Actor]) -> Result<Self> {
        Self::kept(dir, remote, config, actors, Installed::Platform).await
    }

    async fn kept(
        dir: &Path,
        remote: Arc<GitRemote>,
        config: ActorConfig,
        actors: &[Actor],
        installed: Installed,
    ) -> Result<Self> {
        let found = kept_objects::read(dir).and_then(|snapshot| {
            Server::take_up(snapshot, installed.definitions().ok()?)
                .inspect_err(|error| {
                    tracing::warn!(%error, "the practice cluster cannot go on where it stood");
                    kept_objects::set_aside(dir);
                })
                .ok()
        });
        let mut cluster = match found {
            Some(server) => {
                installed.plant_repositories(&remote)?;
                Self::around(server, remote)
            }
            None => Self::fresh(remote, installed).await?,
        };
        let kept = Arc::new(KeptObjects::new(dir, cluster.server.clone()));
        // What was planted is there from now on, even if the process is killed at once.
        kept.save()?;
        let keeping = tokio::spawn(kept_objects::keep(kept.clone()));
        cluster.kept = Some(kept);
        cluster.keeping = Mutex::new(Some(keeping));
        Ok(cluster.played(config, actors))
    }

    /// A cluster in memory alone, with the settings and the parts that a test asks for.
    ///
    /// # Errors
    /// When what the cluster holds at first cannot be written.
    pub async fn start_with(remote: Arc<GitRemote>, config: ActorConfig, actors: &[Actor]) -> Result<Self> {
        Ok(Self::fresh(remote, Installed::Platform).await?.played(config, actors))
    }

    async fn fresh(remote: Arc<GitRemote>, installed: Installed) -> Result<Self> {
        let server = Server::with_crds(installed.definitions()?)?;
        installed.plant(server.client(), &remote).await?;
        Ok(Self::around(server, remote))
    }

    fn around(server: Server, remote: Arc<GitRemote>) -> Self {
        let client = server.client();
        Self { server, client, remote, kept: None, keeping: Mutex::default(), actors: Mutex::default() }
    }

    fn played(self, config: ActorConfig, actors: &[Actor]) -> Self {
        let playing = Actors::start(self.client.clone(), config, actors);
        *self.actors.lock().unwrap_or_else(PoisonError::into_inner) = Some(playing);
        self
    }

    /// Writes what is not on disk yet. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written or the objects are more than it may hold.
    pub fn save(&self) -> Result<()> {
        self.kept.as_ref().map_or(Ok(()), |kept| kept.save())
    }

    /// Ends the actors, and writes nothing from now on. Blocks until a write that goes on is done.
    pub fn stop(&self) {
        self.actors.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeping) = self.keeping.lock().unwrap_or_else(PoisonError::into_inner).take() {
            keeping.abort();
        }
        if let Some(kept) = &self.kept {
            kept.close();
        }
    }

    /// Whether a practice cluster has been kept below `dir`.
    pub fn is_kept(dir: &Path) -> bool {
        kept_objects::exists(dir)
    }

    /// Removes what is kept below `dir`, objects and repositories. Call it after [`PracticeCluster::stop`]. Blocks.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn forget(dir: &Path) -> Result<()> {
        kept_objects::remove(dir)?;
        // Out of the way in one step, so that a start in between finds all or nothing.
        let (here, gone) = (repositories(dir), dir.join("repositories.gone"));
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Disk { path, source }
        };
        if gone.exists() {
            std::fs::remove_dir_all(&gone).map_err(failed(&gone))?;
        }
        if here.exists() {
            std::fs::rename(&here, &gone).map_err(failed(&here))?;
            std::fs::remove_dir_all(&gone).map_err(failed(&gone))?;
        }
        Ok(())
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

impl Drop for PracticeCluster {
    fn drop(&mut self) {
        if let Err(error) = self.save() {
            tracing::warn!(%error, "the practice cluster was not kept as it stood at its end");
        }
        self.stop();
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
