//! Taking a commit back: as a change to publish, never as a rewrite.

use git2::Repository;

use crate::bare_clone::BareClone;
use crate::depth::roots;
use crate::error::{Error, Result};
use crate::ids::{BlobId, CommitId};
use crate::merge::{Merge, merge_text};
use crate::publish::ExpectedChange;
use crate::repo_path::RepoPath;
use crate::tree::{FileContent, commit_of, find_file, load, tree_of};

/// The largest file that takes part, in bytes.
const MAX_FILE: usize = 16 * 1024 * 1024;
/// The most files that are taken back at once.
const MAX_FILES: usize = 1000;

/// A file that cannot be taken back by itself: its lines were changed again since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevertConflict {
    /// Which file.
    pub path: RepoPath,
    /// The content before the commit; `None` when the commit added the file.
    pub before: Option<Vec<u8>>,
    /// The content that the commit made; `None` when it removed the file.
    pub after: Option<Vec<u8>>,
    /// The content now; `None` when it was removed since.
    pub now: Option<Vec<u8>>,
    /// The hash of the content now, to start an edit from.
    pub now_blob: Option<BlobId>,
}

/// What taking a commit back means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revert {
    /// The changes to publish, one for each file that can be taken back.
    pub changes: Vec<ExpectedChange>,
    /// The files that cannot; nothing is proposed for them.
    pub conflicts: Vec<RevertConflict>,
    /// Files that already are as they were before, or that the commit left alone.
    pub untouched: Vec<RepoPath>,
}

impl BareClone {
    /// What takes `commit` back on top of `tip`, for `paths` (without any: for every file it changed). A merge is taken
    /// back against its first parent: what it brought into that branch goes. Where lines were changed again since, the
    /// file is a conflict and nothing is overwritten. Publish the changes to make it so.
    ///
    /// [`Error::NeedsHistory`] when the clone does not hold the commit's parent; [`Error::NotAFile`] where a link or
    /// submodule is concerned.
    pub fn revert(&self, tip: &CommitId, commit: &CommitId, paths: &[RepoPath]) -> Result<Revert> {
        let repo = self.repo()?;
        if roots(&repo)?.contains(&commit.oid()) {
            return Err(Error::NeedsHistory);
        }
        let parent = commit_of(&repo, commit)?.parent_ids().next().map(CommitId::from);
        let touched;
        let paths = if paths.is_empty() {
            touched = touched_by(&repo, parent.as_ref(), commit)?;
            &touched
        } else {
            paths
        };
        if paths.len() > MAX_FILES {
            return Err(Error::TooMany { what: format!("the commit {}", commit.short()), limit: MAX_FILES });
        }
        let mut out = Revert::default();
        for path in paths {
            let before = parent.as_ref().map(|parent| file(&repo, parent, path)).transpose()?.flatten();
            let after = file(&repo, commit, path)?;
            let now = file(&repo, tip, path)?;
            take_back(&mut out, path, before, after, now)?;
        }
        Ok(out)
    }
}

fn take_back(
    out: &mut Revert,
    path: &RepoPath,
    before: Option<FileContent>,
    after: Option<FileContent>,
    now: Option<FileContent>,
) -> Result<()> {
    let blob = |file: &Option<FileContent>| file.as_ref().map(|file| file.blob.clone());
    let bytes = |file: Option<FileContent>| file.map(|file| file.bytes);
    if blob(&before) == blob(&after) || blob(&now) == blob(&before) {
        out.untouched.push(path.clone());
        return Ok(());
    }
    let now_blob = blob(&now);
    let as_it_was = now_blob == blob(&after);
    let (before, after, now) = (bytes(before), bytes(after), bytes(now));
    let new = match (&after, &now, &before) {
        _ if as_it_was => Some(before.clone()),
        (Some(after), Some(now), Some(before)) => match merge_text(after, now, before)? {
            Merge::Clean(text) => Some(Some(text)),
            Merge::Conflict => None,
        },
        _ => None,
    };
    match new {
        Some(new) if new == now => out.untouched.push(path.clone()),
        Some(new) => out.changes.push(ExpectedChange { path: path.clone(), base_blob: now_blob, base_text: now, new }),
        None => out.conflicts.push(RevertConflict { path: path.clone(), before, after, now, now_blob }),
    }
    Ok(())
}

fn file(repo: &Repository, commit: &CommitId, path: &RepoPath) -> Result<Option<FileContent>> {
    match find_file(repo, &tree_of(repo, commit)?, path)? {
        Some(found) => load(repo, found, path, MAX_FILE).map(Some),
        None => Ok(None),
    }
}

/// The files in which a commit differs from its first parent.
fn touched_by(repo: &Repository, parent: Option<&CommitId>, commit: &CommitId) -> Result<Vec<RepoPath>> {
    let old = parent.map(|parent| tree_of(repo, parent)).transpose()?;
    let new = tree_of(repo, commit)?;
    let diff = repo.diff_tree_to_tree(old.as_ref(), Some(&new), None)?;
    if diff.deltas().len() > MAX_FILES {
        return Err(Error::TooMany { what: format!("the commit {}", commit.short()), limit: MAX_FILES });
    }
    let mut paths = Vec::new();
    for delta in diff.deltas() {
        let name = delta.new_file().path_bytes().or_else(|| delta.old_file().path_bytes()).unwrap_or_default();
        paths.push(RepoPath::parse(&String::from_utf8_lossy(name))?);
    }
    Ok(paths)
}
