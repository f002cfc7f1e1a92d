//! Commits that are in nobody's branch any more, or not yet, and must not be lost.

use std::time::{SystemTime, UNIX_EPOCH};

use git2::Repository;
use serde::Serialize;

use crate::bare_clone::BareClone;
use crate::error::{Error, Result};
use crate::ids::CommitId;

const PREFIX: &str = "refs/pilothouse/rescue/";

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
