//! Who changed what, and when.

use std::collections::{HashMap, HashSet};

use git2::{Commit, Oid, Repository};
use serde::Serialize;

use crate::bare_clone::BareClone;
use crate::depth::roots;
use crate::error::{Error, Result};
use crate::ids::CommitId;
use crate::rejection::clean;
use crate::repo_path::{RepoPath, printable};
use crate::tree::{MODE_TREE, bounded_tree, commit_of, entry, mode_is_file};

/// The most commits that are looked at in one go.
pub(crate) const MAX_WALK: usize = 50_000;
/// The most commits of one page.
const MAX_PAGE: usize = 1000;
/// How many folders' entries are remembered on the way.
const MAX_MEMO: usize = 4096;

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

/// Why a walk through history ended where it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WalkEnd {
    /// The page, or every line, is full; there may be more.
    Full,
    /// The first commit was reached: this is all.
    Start,
    /// As many commits as one call may look at were looked at; older ones may hold more.
    Bound,
    /// The clone holds no older commits; deepen it to see them.
    Shallow,
}

/// A part of a history, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryPage {
    /// The commits.
    pub commits: Vec<CommitInfo>,
    /// How many commits were looked at for this page.
    pub looked_at: usize,
    /// Why it ends here.
    pub end: WalkEnd,
    /// Give this to the next call to go on; `None` when nothing is left in the clone. It names the commit it started
    /// from, so later pages are not moved by new commits.
    pub next: Option<String>,
}

/// How much of a history one call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// The most commits that are given, at most 1000.
    pub page: usize,
    /// The most commits that are looked at, at most 50,000.
    pub walk: usize,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self { page: 50, walk: MAX_WALK }
    }
}

impl BareClone {
    /// What one commit says.
    pub fn commit_info(&self, commit: &CommitId) -> Result<CommitInfo> {
        Ok(describe(&commit_of(&self.repo()?, commit)?))
    }

    /// The newest commit up to `commit` that changed `path`; `None` when none of the last 50,000 did.
    /// [`Error::NeedsHistory`] when the answer may lie in commits that the clone does not hold.
    pub fn last_change(&self, commit: &CommitId, path: &RepoPath) -> Result<Option<CommitInfo>> {
        Ok(self.history(commit, Some(path), 1)?.pop())
    }

    /// The last commits up to `commit`, newest first: all, or those that changed `path`. At most `limit`.
    /// [`Error::NeedsHistory`] when some of them lie where the clone does not reach.
    pub fn history(&self, commit: &CommitId, path: Option<&RepoPath>, limit: usize) -> Result<Vec<CommitInfo>> {
        let walked = walk(&self.repo()?, commit, path, 0, limit, MAX_WALK, &|| false)?;
        if walked.end == WalkEnd::Shallow {
            return Err(Error::NeedsHistory);
        }
        Ok(walked.commits)
    }

    /// A page of what [`BareClone::history`] gives, after `cursor`. A rename counts as one file's end and another's
    /// beginning. `stop` is asked on the way; [`Error::Cancelled`] when it says so. [`Error::BadCursor`] for a cursor
    /// that is none of ours.
    pub fn history_page(
        &self,
        commit: &CommitId,
        path: Option<&RepoPath>,
        cursor: Option<&str>,
        limits: HistoryLimits,
        stop: &dyn Fn() -> bool,
    ) -> Result<HistoryPage> {
        let (start, skip) = match cursor {
            Some(text) => {
                let place = text
                    .split_once('.')
                    .and_then(|(id, skip)| Some((CommitId::parse(id).ok()?, skip.parse::<u32>().ok()? as usize)));
                place.ok_or_else(|| Error::BadCursor { text: printable(text) })?
            }
            None => (commit.clone(), 0),
        };
        let (page, bound) = (limits.page.clamp(1, MAX_PAGE), limits.walk.clamp(1, MAX_WALK));
        let walked = walk(&self.repo()?, &start, path, skip, page, bound, stop)?;
        let more = matches!(walked.end, WalkEnd::Full | WalkEnd::Bound);
        Ok(HistoryPage {
            next: more.then(|| format!("{start}.{}", skip + walked.looked_at)),
            commits: walked.commits,
            looked_at: walked.looked_at,
            end: walked.end,
        })
    }
}

struct Walked {
    commits: Vec<CommitInfo>,
    looked_at: usize,
    end: WalkEnd,
}

/// Walks as `git log` does: newest first by commit time, loading only as many commits as are asked for. `skip` commits
/// are passed over unseen.
fn walk(
    repo: &Repository,
    start: &CommitId,
    path: Option<&RepoPath>,
    skip: usize,
    page: usize,
    bound: usize,
    stop: &dyn Fn() -> bool,
) -> Result<Walked> {
    commit_of(repo, start)?;
    let roots = roots(repo)?;
    let mut lens = path.map(Lens::new);
    let mut revisions = repo.revwalk()?;
    revisions.push(start.oid())?;
    let mut walked = Walked { commits: Vec::new(), looked_at: 0, end: WalkEnd::Start };
    let mut cut = false;
    for (at, oid) in revisions.enumerate() {
        if at.is_multiple_of(64) && stop() {
            return Err(Error::Cancelled);
        }
        let oid = oid?;
        cut |= roots.contains(&oid);
        if at < skip {
            continue;
        }
        if walked.commits.len() >= page || walked.looked_at >= bound {
            walked.end = if walked.commits.len() >= page { WalkEnd::Full } else { WalkEnd::Bound };
            return Ok(walked);
        }
        walked.looked_at += 1;
        let commit = commit_of(repo, &oid.into())?;
        let shown = match &mut lens {
            // What a commit changed cannot be told without its parents.
            Some(_) if roots.contains(&oid) => false,
            Some(lens) => lens.changed(repo, &commit)?,
            None => true,
        };
        if shown {
            walked.commits.push(describe(&commit));
        }
    }
    // Enough was found before the clone's end: whatever lies beyond is not missed.
    walked.end = match cut {
        true if walked.commits.len() >= page => WalkEnd::Full,
        true => WalkEnd::Shallow,
        false => WalkEnd::Start,
    };
    Ok(walked)
}

/// Looks at one path in many commits, remembering folders that stay the same.
pub(crate) struct Lens<'p> {
    path: &'p RepoPath,
    memo: HashMap<(usize, Oid), Option<(Oid, i32)>>,
}

impl<'p> Lens<'p> {
    pub(crate) fn new(path: &'p RepoPath) -> Self {
        Self { path, memo: HashMap::new() }
    }

    /// Whether the commit differs at the path from all of its parents, as `git log` without merges simplified away
    /// sees it.
    fn changed(&mut self, repo: &Repository, commit: &Commit<'_>) -> Result<bool> {
        let here = self.at(repo, commit.tree_id())?;
        if commit.parent_count() == 0 {
            return Ok(here.is_some());
        }
        for parent in commit.parent_ids() {
            let parent = commit_of(repo, &parent.into())?;
            if parent.tree_id() == commit.tree_id() || self.at(repo, parent.tree_id())? == here {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The file at the path below the root `tree`; anything that is not a file counts as nothing.
    pub(crate) fn at(&mut self, repo: &Repository, tree: Oid) -> Result<Option<(Oid, i32)>> {
        let last = self.path.components().count() - 1;
        let mut tree = tree;
        for (depth, name) in self.path.components().enumerate() {
            let found = match self.memo.get(&(depth, tree)) {
                Some(found) => *found,
                None => {
                    let found = entry(&bounded_tree(repo, tree)?, name);
                    if self.memo.len() >= MAX_MEMO {
                        self.memo.clear();
                    }
                    self.memo.insert((depth, tree), found);
                    found
                }
            };
            match found {
                Some((oid, mode)) if depth == last && mode_is_file(mode) => return Ok(Some((oid, mode))),
                Some((oid, MODE_TREE)) if depth < last => tree = oid,
                _ => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// The commits of `from` that are not in `without`, newest first, at most `limit`, and whether there are more.
pub(crate) fn only_in(
    repo: &Repository,
    from: Oid,
    without: Option<Oid>,
    limit: usize,
) -> Result<(Vec<CommitInfo>, bool)> {
    let mut revisions = repo.revwalk()?;
    revisions.push(from)?;
    if let Some(oid) = without {
        revisions.hide(oid)?;
    }
    let mut out = Vec::new();
    for oid in revisions {
        if out.len() >= limit {
            return Ok((out, true));
        }
        out.push(describe(&commit_of(repo, &oid?.into())?));
    }
    Ok((out, false))
}

/// Whether none of `commit`'s parents is missing without the clone knowing it: a process that was killed after a
/// shallow download and before it was noted leaves such a commit behind.
pub(crate) fn whole(repo: &Repository, oid: Oid, roots: &HashSet<Oid>) -> bool {
    let Ok(commit) = repo.find_commit(oid) else { return false };
    let Ok(odb) = repo.odb() else { return false };
    odb.exists(commit.tree_id()) && (roots.contains(&oid) || commit.parent_ids().all(|parent| odb.exists(parent)))
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
