//! The rig as tests see it: one for each process, or one shared by many.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use kube::Client;
use serde::{Deserialize, Serialize};

use crate::control_plane::{ControlPlane, Kubeconfigs, client_from, on_own_thread};
use crate::error::{At, Error, Result};
use crate::leash::{Leash, Sweep};
use crate::{namespaces, rbac};

/// The environment variable that names the JSON file of a rig already up.
pub const SHARED: &str = "PILOTHOUSE_RIG";

/// What a running rig tells those who would use it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// The process that holds the rig; ending it ends the rig.
    pub pid: u32,
    /// The rig's folder, removed when it ends.
    pub dir: PathBuf,
    /// The API server's URL.
    pub server: String,
    /// The API server's minor version.
    pub minor: u32,
    /// The kubeconfigs.
    pub kubeconfigs: Kubeconfigs,
    /// Whether controllers run.
    pub has_controllers: bool,
    /// Whether pods run.
    pub has_node: bool,
}

/// A running control plane with the upstream CRDs.
#[derive(Debug)]
pub struct Rig {
    description: Description,
    // Dropped in this order: first the programs end, then their folder goes.
    plane: Option<ControlPlane>,
    _sweep: Option<Sweep>,
}

impl Rig {
    /// This process' rig: the one that `PILOTHOUSE_RIG` describes, else one started now. It ends with the process.
    ///
    /// # Panics
    /// When it cannot be started: no test that asks for it could pass.
    #[allow(clippy::panic)]
    pub fn get() -> &'static Self {
        static RIG: OnceLock<Rig> = OnceLock::new();
        RIG.get_or_init(|| match Self::shared_or_started() {
            Ok(rig) => rig,
            Err(error) => panic!("{error}"),
        })
    }

    fn shared_or_started() -> Result<Self> {
        match std::env::var_os(SHARED).filter(|path| !path.is_empty()) {
            Some(path) => {
                let rig = Self::described_in(Path::new(&path))?;
                on_own_thread(async { namespaces::sweep(&client_from(&rig.kubeconfig()).await?).await })?;
                Ok(rig)
            }
            None => Self::start(true),
        }
    }

    /// The rig that a JSON file written by `pilothouse-rig up` describes.
    pub fn described_in(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).at("read the description of the rig", path)?;
        let description =
            serde_json::from_slice(&text).map_err(|source| Error::Description { path: path.to_owned(), source })?;
        Ok(Self { description, plane: None, _sweep: None })
    }

    /// Starts a rig in a folder of its own, with a node if asked for.
    pub fn start(with_node: bool) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("pilothouse-rig-")
            .tempdir()
            .at("make a folder", "the system's temporary folder")?
            .keep();
        let sweep = Leash::sweep(&dir)?;
        let plane = ControlPlane::start(&dir, with_node)?;
        let description = Description {
            pid: std::process::id(),
            dir,
            server: plane.server().to_owned(),
            minor: plane.minor(),
            kubeconfigs: plane.kubeconfigs().clone(),
            has_controllers: plane.has_controllers(),
            has_node: plane.has_node(),
        };
        Ok(Self { description, plane: Some(plane), _sweep: Some(sweep) })
    }

    /// Kills the API server of a rig of one's own, starts it again on the same port and data, and waits until it answers.
    ///
    /// # Panics
    /// When it does not come back, or when the rig is another process'.
    #[allow(clippy::panic)]
    pub fn restart_api_server(&mut self) {
        match self.plane.as_mut().map(ControlPlane::restart_api_server) {
            Some(Ok(())) => {}
            Some(Err(error)) => panic!("{error}"),
            None => panic!("another process holds this rig"),
        }
    }

    /// What others need to know to use it.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The administrator's kubeconfig, context `rig`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.description.kubeconfigs.admin.clone()
    }

    /// All kubeconfigs.
    pub fn kubeconfigs(&self) -> &Kubeconfigs {
        &self.description.kubeconfigs
    }

    /// A client with all rights. Each test makes its own, for a client belongs to the runtime it was made in.
    ///
    /// # Panics
    /// When the kubeconfig is gone.
    pub async fn client(&self) -> Client {
        self.client_of(&self.description.kubeconfigs.admin).await
    }

    /// A client with the developer's rights.
    ///
    /// # Panics
    /// When the kubeconfig is gone.
    pub async fn developer(&self) -> Client {
        self.client_of(&self.description.kubeconfigs.developer).await
    }

    /// A client with the viewer's rights.
    ///
    /// # Panics
    /// When the kubeconfig is gone.
    pub async fn viewer(&self) -> Client {
        self.client_of(&self.description.kubeconfigs.viewer).await
    }

    #[allow(clippy::panic)]
    async fn client_of(&self, kubeconfig: &Path) -> Client {
        match client_from(kubeconfig).await {
            Ok(client) => client,
            Err(error) => panic!("{error}"),
        }
    }

    /// A new namespace, `<prefix>-<six letters>`. On a shared rig it goes when a later process comes; [`Rig::leave`] has
    /// it go at once.
    ///
    /// # Panics
    /// When the API server refuses.
    #[allow(clippy::panic)]
    pub async fn namespace(&self, prefix: &str) -> String {
        let name = format!("{prefix}-{}", (0..6).map(|_| fastrand::lowercase()).collect::<String>());
        match namespaces::make(&self.client().await, &name).await {
            Ok(()) => name,
            Err(error) => panic!("cannot make the namespace {name}: {error}"),
        }
    }

    /// Has a namespace deleted, for destructors: it does not wait for the end, and what fails is only printed.
    pub fn leave(description: &Description, namespace: &str) {
        let admin = &description.kubeconfigs.admin;
        if let Err(error) = on_own_thread(async { namespaces::delete(&client_from(admin).await?, namespace).await }) {
            eprintln!("cannot delete the namespace {namespace}: {error}");
        }
    }

    /// Gives `user`, `developer` or `viewer`, in `namespace` the rights that it has in the platform namespace.
    ///
    /// # Panics
    /// When the API server refuses.
    #[allow(clippy::panic)]
    pub async fn grant(&self, user: &str, namespace: &str) {
        if let Err(error) = rbac::bind(&self.client().await, user, namespace).await {
            panic!("cannot give {user} its rights in {namespace}: {error}");
        }
    }
}
