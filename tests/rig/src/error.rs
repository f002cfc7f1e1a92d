//! What can go wrong while the parts start.

use std::path::PathBuf;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a part of the rig could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the rig could not be read or written.
    #[error("{what}: {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The control plane's programs are neither in KUBEBUILDER_ASSETS nor in the cache, and could not be built.
    #[error("no kube-apiserver for the tests: {0}. Set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver")]
    Assets(String),
    /// A program ended, or did not answer in time; `log` is the end of what it wrote.
    #[error("{what}; its log ends with:\n{log}")]
    NotReady {
        /// What was awaited.
        what: String,
        /// The last lines of the program's log.
        log: String,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The API server refused something the rig needs.
    #[error("the rig's API server: {0}")]
    Api(#[from] Box<kube::Error>),
    /// A kubeconfig of the rig could not be loaded.
    #[error("the rig's kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The JSON file of a running rig could not be understood.
    #[error("{path} does not describe a running rig: {source}")]
    Description {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// Adds what was tried, and where, to an input/output error.
pub(crate) trait At<T> {
    /// Names the attempt and the path.
    fn at(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::File { what, path: path.into(), source })
    }
}
