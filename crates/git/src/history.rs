//! Who changed what, and when.

use git2::{Commit, Oid, Repository, Sort};
use serde::Serialize;

use crate::bare_clone::BareClone;
use crate::error::Result;
use crate::ids::CommitId;
use crate::rejection::clean;
use crate::repo_path::RepoPath;
use crate::tree::{commit_of, find_file};

/// The most commits that are looked at for one file's history.
const MAX_WALK: usize = 50_000;

/// A commit, in words that are safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommitInfo {
    /// Its hash.
    pub id: CommitId,
    /// The first line of its message.
    pub summary: String,
    /// The rest of its message, at most 4 KiB.
    pub body: String,
    /// The author's name.
    pub author_name: String,
    /// The author's e-mail address.
    pub author_email: String,
    /// When it was committed, in seconds since 1970.
    pub time_unix: i64,
}

impl BareClone {
    /// What one commit says.
    pub fn commit_info(&self, commit: &CommitId) -> Result<CommitInfo> {
        Ok(describe(&commit_of(&self.repo()?, commit)?))
    }

    /// The newest commit up to `commit` that changed `path`; `None` when none of the last 50,000 did.
    pub fn last_change(&self, commit: &CommitId, path: &RepoPath) -> Result<Option<CommitInfo>> {
        Ok(self.history(commit, Some(path), 1)?.pop())
    }

    /// The last commits up to `commit`, newest first: all, or those that changed `path`. At most `limit`.
    pub fn history(&self, commit: &CommitId, path: Option<&RepoPath>, limit: usize) -> Result<Vec<CommitInfo>> {
        let repo = self.repo()?;
        commit_of(&repo, commit)?;
        let mut walk = repo.revwalk()?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME)?;
        walk.push(commit.oid())?;
        let mut out = Vec::new();
        for oid in walk.take(MAX_WALK) {
            if out.len() >= limit {
                break;
            }
            let commit = commit_of(&repo, &oid?.into())?;
            let changed = match path {
                Some(path) => changed(&repo, &commit, path)?,
                None => true,
            };
            if changed {
                out.push(describe(&commit));
            }
        }
        Ok(out)
    }
}

/// Whether the commit differs at `path` from all of its parents, as `git log` without merges simplified away sees it.
fn changed(repo: &Repository, commit: &Commit<'_>, path: &RepoPath) -> Result<bool> {
    let here = content_at(repo, commit, path)?;
    if commit.parent_count() == 0 {
        return Ok(here.is_some());
    }
    for parent in commit.parents() {
        if content_at(repo, &parent, path)? == here {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is at `path`; anything that is not a file counts as nothing.
fn content_at(repo: &Repository, commit: &Commit<'_>, path: &RepoPath) -> Result<Option<(Oid, i32)>> {
    let tree = crate::tree::bounded_tree(repo, commit.tree_id())?;
    Ok(find_file(repo, &tree, path).ok().flatten().map(|found| (found.oid, found.mode)))
}

pub(crate) fn describe(commit: &Commit<'_>) -> CommitInfo {
    let message = String::from_utf8_lossy(commit.message_bytes());
    let (summary, body) = message.split_once('\n').unwrap_or((&message, ""));
    let author = commit.author();
    let text = |bytes: &[u8]| clean(&String::from_utf8_lossy(bytes)).replace('\n', " ");
    CommitInfo {
        id: commit.id().into(),
        summary: clean(summary).replace('\n', " ").chars().take(500).collect(),
        body: clean(body),
        author_name: text(author.name_bytes()),
        author_email: text(author.email_bytes()),
        time_unix: commit.time().seconds(),
    }
}
