//! Reading files out of commits.

use git2::{ObjectType, Oid, Repository, Tree};
use serde::Serialize;

use crate::bare_clone::BareClone;
use crate::error::{Error, Kind, Result};
use crate::ids::{BlobId, CommitId};
use crate::repo_path::{RepoPath, flaw, printable};

/// The largest tree object that is loaded, in bytes: about a hundred thousand entries.
const MAX_TREE: usize = 8 * 1024 * 1024;
/// The largest commit object that is loaded, in bytes.
const MAX_COMMIT: usize = 1024 * 1024;

pub(crate) const MODE_TREE: i32 = 0o040_000;
pub(crate) const MODE_FILE: i32 = 0o100_644;
pub(crate) const MODE_EXECUTABLE: i32 = 0o100_755;
pub(crate) const MODE_LINK: i32 = 0o120_000;
pub(crate) const MODE_SUBMODULE: i32 = 0o160_000;

/// The largest values file or workflow that is read, in bytes: what the editors and the chaos sync pass as their limit.
pub const FILE_LIMIT: usize = 1024 * 1024;

/// A file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The content's hash.
    pub blob: BlobId,
    /// Whether it is marked executable.
    pub executable: bool,
}

/// What a listed entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum EntryKind {
    /// A file.
    File,
    /// A file marked executable.
    Executable,
    /// A symbolic link; never followed.
    Symlink,
    /// Another repository's commit; never entered.
    Submodule,
    /// Something whose name cannot be used; never opened. The path is made printable.
    BadName,
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TreeEntry {
    /// The path from the root.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// The object's hash.
    pub blob: String,
    /// The size in bytes, of files.
    pub size: Option<u64>,
}

impl BareClone {
    /// Reads a file of at most `limit` bytes. `None` when there is nothing at `path`; [`Error::NotAFile`] for links,
    /// submodules and folders; the size is known before anything is loaded.
    pub fn read(&self, commit: &CommitId, path: &RepoPath, limit: usize) -> Result<Option<FileContent>> {
        let repo = self.repo()?;
        let tree = tree_of(&repo, commit)?;
        match find_file(&repo, &tree, path)? {
            Some(found) => load(&repo, found, path, limit).map(Some),
            None => Ok(None),
        }
    }

    /// What stays the same as long as all that a folder holds does; `None` when there is no such folder.
    pub fn folder_id(&self, commit: &CommitId, folder: &RepoPath) -> Result<Option<String>> {
        let repo = self.repo()?;
        let mut tree = tree_of(&repo, commit)?;
        for component in folder.components() {
            match entry(&tree, component) {
                Some((oid, MODE_TREE)) => tree = bounded_tree(&repo, oid)?,
                _ => return Ok(None),
            }
        }
        Ok(Some(tree.id().to_string()))
    }

    /// Lists all files below `prefix` (or all of the commit's), in Git's order. More than `limit` entries are
    /// [`Error::TooMany`].
    pub fn list(&self, commit: &CommitId, prefix: Option<&RepoPath>, limit: usize) -> Result<Vec<TreeEntry>> {
        let repo = self.repo()?;
        let mut tree = tree_of(&repo, commit)?;
        let mut base = String::new();
        if let Some(prefix) = prefix {
            for component in prefix.components() {
                let Some((oid, mode)) = entry(&tree, component) else { return Ok(Vec::new()) };
                if mode != MODE_TREE {
                    return Err(not_a_file(prefix, mode, true));
                }
                tree = bounded_tree(&repo, oid)?;
            }
            base = format!("{prefix}/");
        }
        let what = prefix.map_or_else(|| "the repository".to_owned(), ToString::to_string);
        let odb = repo.odb()?;
        let mut out = Vec::new();
        // Depth first, in order: each level's remaining entries wait on the stack.
        let mut stack: Vec<(String, Oid)> = Vec::new();
        let mut level = Some((base, tree));
        while let Some((base, tree)) = level.take() {
            let mut folders = Vec::new();
            for entry in &tree {
                let Ok(name) = std::str::from_utf8(entry.name_bytes()) else {
                    let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
                    push(&mut out, limit, &what, &base, &name, EntryKind::BadName, entry.id(), None)?;
                    continue;
                };
                let kind = match entry.filemode_raw() {
                    // A tree made by hand can hold a slash within one name: a way out of its folder.
                    _ if name.contains('/') || (flaw(name).is_some() && name != ".gitmodules") => EntryKind::BadName,
                    MODE_TREE => {
                        folders.push((format!("{base}{name}/"), entry.id()));
                        continue;
                    }
                    MODE_LINK => EntryKind::Symlink,
                    MODE_SUBMODULE => EntryKind::Submodule,
                    mode if mode & 0o111 != 0 => EntryKind::Executable,
                    _ => EntryKind::File,
                };
                let size = match kind {
                    EntryKind::File | EntryKind::Executable => {
                        odb.read_header(entry.id()).ok().map(|(size, _)| size as u64)
                    }
                    _ => None,
                };
                push(&mut out, limit, &what, &base, name, kind, entry.id(), size)?;
            }
            stack.extend(folders.into_iter().rev());
            if stack.len() > limit {
                return Err(Error::TooMany { what, limit });
            }
            if let Some((base, oid)) = stack.pop() {
                if base.matches('/').count() > RepoPath::MAX_DEPTH || base.len() > RepoPath::MAX {
                    return Err(Error::TooMany { what: printable(&base), limit: RepoPath::MAX_DEPTH });
                }
                level = Some((base, bounded_tree(&repo, oid)?));
            }
        }
        out.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(out)
    }
}

#[allow(clippy::too_many_arguments, reason = "one place builds entries, from loose parts")]
fn push(
    out: &mut Vec<TreeEntry>,
    limit: usize,
    what: &str,
    base: &str,
    name: &str,
    kind: EntryKind,
    oid: Oid,
    size: Option<u64>,
) -> Result<()> {
    if out.len() >= limit {
        return Err(Error::TooMany { what: what.to_owned(), limit });
    }
    let name = if kind == EntryKind::BadName { printable(name) } else { name.to_owned() };
    out.push(TreeEntry { path: format!("{base}{name}"), kind, blob: oid.to_string(), size });
    Ok(())
}

/// A file found in a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) oid: Oid,
    pub(crate) mode: i32,
}

/// Loads a commit, bounded.
pub(crate) fn commit_of<'r>(repo: &'r Repository, commit: &CommitId) -> Result<git2::Commit<'r>> {
    let absent = |_| Error::NoCommit { id: commit.to_string() };
    let (size, kind) = repo.odb()?.read_header(commit.oid()).map_err(absent)?;
    if kind != ObjectType::Commit {
        return Err(Error::NoCommit { id: commit.to_string() });
    }
    too_large("the commit", size, MAX_COMMIT)?;
    repo.find_commit(commit.oid()).map_err(absent)
}

/// A commit's tree, bounded.
pub(crate) fn tree_of<'r>(repo: &'r Repository, commit: &CommitId) -> Result<Tree<'r>> {
    bounded_tree(repo, commit_of(repo, commit)?.tree_id())
}

/// A tree, bounded.
pub(crate) fn bounded_tree(repo: &Repository, oid: Oid) -> Result<Tree<'_>> {
    let (size, _) = repo.odb()?.read_header(oid)?;
    too_large("a folder", size, MAX_TREE)?;
    Ok(repo.find_tree(oid)?)
}

/// A blob's size without loading it; `None` when it is absent or no blob.
pub(crate) fn blob_head(repo: &Repository, oid: Oid) -> Option<usize> {
    let (size, kind) = repo.odb().ok()?.read_header(oid).ok()?;
    (kind == ObjectType::Blob).then_some(size)
}

/// Whether a mode is a plain file's.
pub(crate) fn mode_is_file(mode: i32) -> bool {
    mode & 0o170_000 == 0o100_000
}

pub(crate) fn too_large(what: &str, size: usize, limit: usize) -> Result<()> {
    if size > limit {
        return Err(Error::TooLarge { what: what.to_owned(), size: size as u64, limit: limit as u64 });
    }
    Ok(())
}

/// The object and mode a folder has under `name`.
pub(crate) fn entry(tree: &Tree<'_>, name: &str) -> Option<(Oid, i32)> {
    tree.get_name(name).map(|entry| (entry.id(), entry.filemode_raw()))
}

/// Walks to `path` one component at a time, through folders only.
pub(crate) fn find_file(repo: &Repository, root: &Tree<'_>, path: &RepoPath) -> Result<Option<Found>> {
    let mut tree = root.clone();
    let last = path.components().count() - 1;
    for (depth, component) in path.components().enumerate() {
        let Some((oid, mode)) = entry(&tree, component) else { return Ok(None) };
        if depth < last {
            if mode != MODE_TREE {
                return Err(not_a_file(path, mode, true));
            }
            tree = bounded_tree(repo, oid)?;
        } else if matches!(mode, MODE_TREE | MODE_LINK | MODE_SUBMODULE) {
            return Err(not_a_file(path, mode, false));
        } else {
            return Ok(Some(Found { oid, mode }));
        }
    }
    Ok(None)
}

/// Loads a file, bounded.
pub(crate) fn load(repo: &Repository, found: Found, path: &RepoPath, limit: usize) -> Result<FileContent> {
    let odb = repo.odb()?;
    let (size, kind) = odb.read_header(found.oid)?;
    if kind != ObjectType::Blob {
        return Err(Error::NotAFile { path: path.to_string(), kind: Kind::Folder });
    }
    too_large(path.as_str(), size, limit)?;
    let object = odb.read(found.oid)?;
    Ok(FileContent { bytes: object.data().to_vec(), blob: found.oid.into(), executable: found.mode & 0o111 != 0 })
}

pub(crate) fn not_a_file(path: &RepoPath, mode: i32, folder_wanted: bool) -> Error {
    let kind = match mode {
        MODE_LINK => Kind::Symlink,
        MODE_SUBMODULE => Kind::Submodule,
        _ if folder_wanted => Kind::FileAsFolder,
        _ => Kind::Folder,
    };
    Error::NotAFile { path: path.to_string(), kind }
}
