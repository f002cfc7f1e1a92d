//! What can go wrong here.

use std::{net::SocketAddr, path::PathBuf};

use pilothouse_app::AppError;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which the agent's commands fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The threads of the program cannot be started.
    #[error("its threads cannot be started: {0}")]
    Runtime(#[source] std::io::Error),
    /// A file cannot be read or written.
    #[error("{path} cannot be {done}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What was to be done with it.
        done: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not the YAML that it should be.
    #[error("{path} is not what it should be: {source}")]
    Yaml {
        /// Which.
        path: PathBuf,
        /// Where, and what is wrong.
        source: serde_yaml::Error,
    },
    /// A configuration cannot stay as it is.
    #[error("{path}: {flaws}")]
    Flaws {
        /// The file.
        path: PathBuf,
        /// What is wrong, one to a line.
        flaws: String,
    },
    /// This is not a pod, and no kubeconfig was named.
    #[error("{what}; give --kubeconfig, or run where a service account is mounted")]
    NotInCluster {
        /// What is missing.
        what: String,
    },
    /// The kubeconfig names no context to take.
    #[error("{path} has no current context; give --context")]
    NoContext {
        /// The kubeconfig.
        path: PathBuf,
    },
    /// The address for health and metrics cannot be had.
    #[error("{address} cannot be listened at: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A use case failed.
    #[error("{}{}", .0.message, .0.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
    App(Box<AppError>),
}

impl From<AppError> for Error {
    fn from(error: AppError) -> Self {
        Self::App(Box::new(error))
    }
}
