//! What can go wrong in the practice cluster and in its actors.

use std::path::PathBuf;

/// The outcome of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the practice cluster or of one of its actors.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file could not be made, read or written.
    #[error("{path} cannot be used: {source}. Check that it exists and may be written", path = path.display())]
    Disk {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// libgit2 refused an operation on a practice repository.
    #[error("could not {verb} the repository {repository}: {source}")]
    Git {
        /// What was tried.
        verb: &'static str,
        /// The repository, as `owner/name`.
        repository: String,
        /// What libgit2 said.
        source: git2::Error,
    },
    /// A revision that should exist does not.
    #[error("{repository} has no branch, tag or commit {revision}")]
    Revision {
        /// The repository, as `owner/name`.
        repository: String,
        /// The branch, tag or commit.
        revision: String,
    },
    /// A file is greater than this crate reads.
    #[error("{path} is greater than {limit} bytes")]
    TooLarge {
        /// The path in the repository.
        path: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// A repository name would leave the folder of repositories or is empty.
    #[error("\"{name}\" is no repository name: use owner/name with letters, digits, dots, dashes and underscores")]
    RepositoryName {
        /// The name as given.
        name: String,
    },
    /// An object that an actor needs is not there.
    #[error("{resource} \"{name}\" not found")]
    Missing {
        /// Plural and group, as the API server writes them.
        resource: String,
        /// The object's name.
        name: String,
    },
    /// A template of an ApplicationSet cannot be rendered.
    #[error("template: {reason}")]
    Template {
        /// What is wrong, and where.
        reason: String,
    },
    /// A played run was cancelled by its user.
    #[error("the run was cancelled")]
    Cancelled,
    /// The part an actor plays failed, in the words of the operator it plays.
    #[error("{0}")]
    Played(String),
    /// A CustomResourceDefinition that the API server does not take.
    #[error("the definition {name} is not valid: {why}")]
    Definition {
        /// Its name.
        name: String,
        /// What the API server said.
        why: String,
    },
    /// The API refused or could not be reached.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// An object is not of the shape its kind has.
    #[error("an object has an unexpected shape: {0}")]
    Json(#[from] serde_json::Error),
    /// A YAML text cannot be read.
    #[error("YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
}
