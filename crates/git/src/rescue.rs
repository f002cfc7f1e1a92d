//! Commits that are in nobody's branch any more, or not yet, and must not be lost.

use std::time::{SystemTime, UNIX_EPOCH};

use git2::{ObjectType, Oid, Repository};
use serde::Serialize;

use crate::access::Access;
use crate::bare_clone::BareClone;
use crate::error::{Error, Result};
use crate::ids::CommitId;
use crate::publish::{PublishRequest, holds};
use crate::tree::{bounded_tree, commit_of, find_file};
use crate::write::{changed, tidy};

const PREFIX: &str = "refs/pilothouse/rescue/";
/// Where a commit is named while it is being pushed.
pub(crate) const OUTGOING: &str = "refs/pilothouse/outgoing/";

/// A commit that was kept because the server's branch no longer holds it, or because a push may not have arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rescue {
    /// What it is kept under; give it to [`BareClone::forget_rescue`].
    pub name: String,
    /// The commit.
    pub commit: CommitId,
    /// When it was kept, in seconds since 1970.
    pub time_unix: i64,
}

/// Keeps `commit`; keeping it twice changes nothing.
pub(crate) fn keep(repo: &Repository, commit: &CommitId) -> Result<()> {
    if list(repo)?.iter().any(|rescue| rescue.commit == *commit) {
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|time| time.as_secs()).unwrap_or(0);
    repo.reference(&format!("{PREFIX}{now}-{}", commit.short()), commit.oid(), true, "rescue")?;
    Ok(())
}

/// Lets `commit` go, if it is kept.
pub(crate) fn forget(repo: &Repository, commit: &CommitId) -> Result<()> {
    for rescue in list(repo)?.into_iter().filter(|rescue| rescue.commit == *commit) {
        repo.find_reference(&format!("{PREFIX}{}", rescue.name))?.delete()?;
    }
    Ok(())
}

/// Lets go what is kept and lies in the history of `tip` by now; gives the commit among them that holds `request`.
pub(crate) fn settle(repo: &Repository, tip: &CommitId, request: &PublishRequest) -> Result<Option<CommitId>> {
    let mut arrived = None;
    for rescue in list(repo)? {
        if holds(repo, tip, &rescue.commit) {
            if arrived.is_none() && is_very_same(repo, &rescue.commit, request).unwrap_or(false) {
                arrived = Some(rescue.commit.clone());
            }
            repo.find_reference(&format!("{PREFIX}{}", rescue.name))?.delete()?;
        }
    }
    Ok(arrived)
}

/// Lets go what is kept of earlier tries of `request`, which has arrived in `tip`. What else a kept line of commits
/// holds stays: it may be somebody else's.
pub(crate) fn forget_same(repo: &Repository, tip: &CommitId, request: &PublishRequest) -> Result<()> {
    for rescue in list(repo)? {
        if is_next(repo, tip, &rescue.commit) && is_same(repo, &rescue.commit, request).unwrap_or(false) {
            repo.find_reference(&format!("{PREFIX}{}", rescue.name))?.delete()?;
        }
    }
    Ok(())
}

/// Whether the history of `tip` lacks no more than `commit` itself. What cannot be read is not known to be there.
pub(crate) fn is_next(repo: &Repository, tip: &CommitId, commit: &CommitId) -> bool {
    commit_of(repo, commit).is_ok_and(|commit| commit.parent_ids().all(|parent| holds(repo, tip, &parent.into())))
}

/// Whether a commit says and does what `request` asks for, and nothing else.
fn is_same(repo: &Repository, commit: &CommitId, request: &PublishRequest) -> Result<bool> {
    let commit = commit_of(repo, commit)?;
    if commit.message_bytes() != tidy(&request.message)?.as_bytes() {
        return Ok(false);
    }
    let before = match commit.parent_count() {
        0 => None,
        1 => Some(bounded_tree(repo, commit.parent(0)?.tree_id())?),
        _ => return Ok(false),
    };
    let changes: Vec<_> = request.changes.iter().map(|change| (&change.path, change.new.as_deref())).collect();
    Ok(changed(repo, before.as_ref(), &changes)? == commit.tree_id())
}

/// As [`is_same`], and made from what the editor saw: the same words and content may have been made before, from
/// something else, and undone since.
pub(crate) fn is_very_same(repo: &Repository, commit: &CommitId, request: &PublishRequest) -> Result<bool> {
    if !is_same(repo, commit, request)? {
        return Ok(false);
    }
    let commit = commit_of(repo, commit)?;
    let before = match commit.parent_count() {
        0 => None,
        _ => Some(bounded_tree(repo, commit.parent(0)?.tree_id())?),
    };
    if before.as_ref().is_some_and(|before| before.id() == commit.tree_id()) {
        return Ok(false);
    }
    for change in &request.changes {
        let found = before.as_ref().map(|tree| find_file(repo, tree, &change.path)).transpose()?.flatten();
        let blob = found.map(|found| found.oid);
        let wanted = change.new.as_ref().map(|bytes| Oid::hash_object(ObjectType::Blob, bytes)).transpose()?;
        // Of several files, one may have been there already.
        if blob != change.base_blob.as_ref().map(|base| base.oid()) && blob != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

fn list(repo: &Repository) -> Result<Vec<Rescue>> {
    let mut out = Vec::new();
    for reference in repo.references_glob(&format!("{PREFIX}*"))? {
        let reference = reference?;
        let name = reference.name().ok().and_then(|name| name.strip_prefix(PREFIX)).map(str::to_owned);
        if let (Some(name), Some(oid)) = (name, reference.target()) {
            let time = name.split('-').next().and_then(|time| time.parse().ok()).unwrap_or(0);
            out.push(Rescue { name, commit: oid.into(), time_unix: time });
        }
    }
    out.sort_by(|a, b| b.time_unix.cmp(&a.time_unix).then_with(|| a.name.cmp(&b.name)));
    Ok(out)
}

impl BareClone {
    /// Keeps the commits whose push ended with its process.
    pub(crate) fn adopt_outgoing(&self, access: &Access) -> Result<()> {
        let _hold = self.hold(access)?;
        let repo = self.repo()?;
        for reference in repo.references_glob(&format!("{OUTGOING}*"))? {
            let mut reference = reference?;
            if let Some(oid) = reference.target() {
                keep(&repo, &oid.into())?;
            }
            reference.delete()?;
        }
        Ok(())
    }

    /// The commits that were kept, newest first.
    pub fn rescues(&self) -> Result<Vec<Rescue>> {
        list(&self.repo()?)
    }

    /// Lets a kept commit go.
    pub fn forget_rescue(&self, name: &str) -> Result<()> {
        let repo = self.repo()?;
        if !list(&repo)?.iter().any(|rescue| rescue.name == name) {
            return Err(Error::NoCommit { id: crate::repo_path::printable(name) });
        }
        repo.find_reference(&format!("{PREFIX}{name}"))?.delete()?;
        Ok(())
    }
}
