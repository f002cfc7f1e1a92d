//! The Git side of a sync, as this crate needs it; the app gives one that works on a clone.

use async_trait::async_trait;

use crate::error::Result;
use crate::plan::GitFile;

/// The project's folder at the tip of its branch.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The tip; `None` when the repository is empty.
    pub commit: Option<String>,
    /// The files below the folder.
    pub files: Vec<GitFile>,
    /// Whether `files` is everything.
    pub complete: bool,
}

/// The last change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastChange {
    /// The commit.
    pub commit: String,
    /// Its author's name.
    pub author: String,
}

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitChange {
    /// Its path in the repository.
    pub path: String,
    /// The blob that the change replaces; `None` for a new file.
    pub base_blob: Option<String>,
    /// The new text; `None` deletes the file.
    pub text: Option<String>,
}

/// What came of publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// The changes are in the branch, in this commit.
    Published {
        /// The commit.
        commit: String,
    },
    /// A file is no longer what the change was based on. Nothing was written.
    Moved,
}

/// The Git side.
#[async_trait]
pub trait GitSide: Send + Sync {
    /// Fetches, and reads the files below a folder, at most `limit` of them in the order of their paths.
    async fn snapshot(&self, folder: &str, limit: usize) -> Result<Snapshot>;

    /// The text of a blob; `None` when the repository no longer has it or it is no text.
    async fn blob_text(&self, blob: &str) -> Result<Option<String>>;

    /// The last commit up to `commit` that changed a file.
    async fn last_change(&self, commit: &str, path: &str) -> Result<Option<LastChange>>;

    /// Commits the changes on the tip and pushes, without force, and only when each file is still what its change was
    /// based on.
    async fn publish(&self, changes: &[GitChange], message: &str) -> Result<Publication>;
}
