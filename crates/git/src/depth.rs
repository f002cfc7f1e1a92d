//! How much history a clone holds.
//!
//! A first look needs the newest commit only; history, blame, taking back and the judgement whether a branch was
//! rewritten need all of it. What a shallow clone holds is cut at its roots: commits whose parents it does not have and
//! whose parents are therefore not told.

use std::collections::HashSet;
use std::io::Read;

use git2::{Oid, Repository};

use crate::access::Access;
use crate::bare_clone::{BareClone, clone_error};
use crate::error::Result;
use crate::fetch::FetchOutcome;
use crate::remote_url::Scheme;

/// How many bytes of the list of roots are read: about 25,000 of them.
const MAX_ROOTS: u64 = 1024 * 1024;
/// What the protocol takes for "all of it".
pub(crate) const ENDLESS: i32 = i32::MAX;

/// How much history a fetch brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All of it; a clone that is shallow so far becomes whole.
    Whole,
    /// For a fresh clone the newest commit only, where the server can do that; later what is new since. A clone that
    /// is whole stays so.
    Tip,
}

impl BareClone {
    /// Whether the clone holds less than all history.
    pub fn is_shallow(&self) -> Result<bool> {
        Ok(!roots(&self.repo()?)?.is_empty())
    }

    /// As [`BareClone::fetch`], with no more history than the clone has already: the quickest way to a branch's files.
    /// What needs history then answers [`crate::Error::NeedsHistory`] until [`BareClone::fetch`] brings it.
    pub fn fetch_tip(&self, access: &Access, branch: &str) -> Result<FetchOutcome> {
        self.fetch_to(access, branch, Depth::Tip)
    }

    /// As [`BareClone::fetch`], except that a shallow clone stays so.
    pub(crate) fn fetch_as_deep(&self, access: &Access, branch: &str) -> Result<FetchOutcome> {
        let depth = if self.is_shallow()? { Depth::Tip } else { Depth::Whole };
        self.fetch_to(access, branch, depth)
    }

    /// Whether the transport can bring a part of a history; the library's own for folders cannot.
    pub(crate) fn can_be_shallow(&self) -> bool {
        self.url.scheme() != Scheme::Local
    }
}

/// The commits whose parents the clone does not hold.
pub(crate) fn roots(repo: &Repository) -> Result<HashSet<Oid>> {
    let path = repo.path().join("shallow");
    let mut text = String::new();
    match std::fs::File::open(&path) {
        Ok(file) => file.take(MAX_ROOTS).read_to_string(&mut text).map_err(|error| clone_error(&path, error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(clone_error(&path, error)),
    };
    Ok(text.lines().filter_map(|line| Oid::from_str(line.trim()).ok()).collect())
}

/// Whether nothing was ever fetched into the clone.
pub(crate) fn fresh(repo: &Repository) -> Result<bool> {
    Ok(repo.references()?.next().is_none())
}
