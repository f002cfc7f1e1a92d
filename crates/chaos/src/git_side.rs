//! The Git side of a sync, as this crate needs it; the app gives one that works on a clone.

use std::collections::HashMap;

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

/// The branch as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tip {
    /// Its newest commit; `None` when the repository is empty.
    pub commit: Option<String>,
    /// What stays the same as long as all that the project's folder holds does; `None` when there is no folder.
    pub folder: Option<String>,
}

/// A file as its folder lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the repository.
    pub path: String,
    /// Its blob.
    pub blob: String,
    /// Why it is not read, in words, when it is no ordinary file.
    pub unreadable: Option<&'static str>,
}

/// What a folder lists.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The files that are workflows or meant to be, in the order of their paths.
    pub entries: Vec<Entry>,
    /// Whether `entries` is everything.
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

/// A Git side that tells what is there without reading it all, so that what did not change is not read again.
#[async_trait]
pub trait SelectiveGit: Send + Sync {
    /// Looks where the branch stands, and downloads what is new.
    async fn tip(&self, folder: &str) -> Result<Tip>;

    /// Lists what a folder holds at a tip, at most `limit` files.
    async fn list(&self, tip: &Tip, folder: &str, limit: usize) -> Result<Listing>;

    /// Reads files, in the order given.
    async fn read(&self, entries: Vec<Entry>) -> Result<Vec<GitFile>>;
}

/// The Git side.
#[async_trait]
pub trait GitSide: Send + Sync {
    /// Whether this is the side of a project that follows this branch of this repository, as its object names them.
    fn follows(&self, url: &str, branch: &str) -> bool {
        let _ = (url, branch);
        true
    }

    /// Names the repository and the branch: what is remembered of one counts for no other.
    fn place(&self) -> String {
        String::new()
    }

    /// The same side, where it can tell what changed.
    fn selective(&self) -> Option<&dyn SelectiveGit> {
        None
    }

    /// The last commits up to `commit` that changed each of these files; a file that no commit changed is left out.
    async fn last_changes(&self, commit: &str, paths: &[String]) -> Result<HashMap<String, LastChange>> {
        let mut found = HashMap::new();
        for path in paths {
            if let Some(change) = self.last_change(commit, path).await? {
                found.insert(path.clone(), change);
            }
        }
        Ok(found)
    }

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
