//! From an edited text to the server's branch, however many others write to it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use git2::Repository;

use crate::access::{Access, Phase, Progress};
use crate::backoff::Backoff;
use crate::bare_clone::{BareClone, check_branch};
use crate::error::{Error, Result};
use crate::history::{CommitInfo, describe};
use crate::ids::{BlobId, CommitId};
use crate::merge::{Merge, merge_text};
use crate::push::{Destination, Pushed};
use crate::repo_path::RepoPath;
use crate::rescue;
use crate::signing::SigningKey;
use crate::tree::{Found, commit_of, find_file, load, tree_of};
use crate::write::{Identity, write};

/// The largest file that takes part, in bytes.
const MAX_FILE: usize = 16 * 1024 * 1024;
/// How often a branch that keeps moving is tried.
const ATTEMPTS: u32 = 10;

/// A file's new content, and what its editor saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedChange {
    /// Which file.
    pub path: RepoPath,
    /// The content the editor started from; `None` when there was no file.
    pub base_blob: Option<BlobId>,
    /// That content itself, if it is at hand; else it is looked up in the clone.
    pub base_text: Option<Vec<u8>>,
    /// The new content; `None` removes the file.
    pub new: Option<Vec<u8>>,
}

/// What to publish, as one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishRequest {
    /// The files.
    pub changes: Vec<ExpectedChange>,
    /// Who makes the commit.
    pub identity: Identity,
    /// Its message.
    pub message: String,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// The server's branch holds the change.
    Published {
        /// The commit.
        commit: CommitInfo,
        /// How often somebody was quicker and the change was laid onto their tip.
        replays: u32,
        /// Whether a file was changed on both sides, in different places.
        merged: bool,
    },
    /// Somebody changed the same lines. Nothing was pushed.
    Conflict {
        /// The file.
        path: RepoPath,
        /// What the editor started from.
        base: Option<Vec<u8>>,
        /// The editor's version.
        ours: Option<Vec<u8>>,
        /// The server's version; `None` when it was removed there.
        theirs: Option<Vec<u8>>,
        /// The server's hash of its version, to start the next edit from.
        their_blob: Option<BlobId>,
        /// The server's newest commit that changed the file.
        their_commit: CommitInfo,
    },
    /// The server already holds all of it.
    Unchanged {
        /// The branch's newest commit; `None` when the repository is empty.
        tip: Option<CommitId>,
    },
}

/// Looks at a merged file before it is published; `false` makes it a conflict.
pub type MergeCheck = Arc<dyn Fn(&RepoPath, &[u8]) -> bool + Send + Sync>;

/// One commit ready to push, or a reason why there is none.
pub(crate) enum Prepared {
    Commit { id: CommitId, merged: bool },
    Done(Box<PublishOutcome>),
}

type Locks = Mutex<HashMap<(String, String), Arc<Mutex<()>>>>;

/// One writer at a time to each branch of each remote within this process; others would only lose races.
static LOCKS: LazyLock<Locks> = LazyLock::new(Locks::default);

impl BareClone {
    /// Publishes `request` on `branch`: fetch, lay each file onto the server's newest version, commit, push without
    /// force; again on the new tip when somebody was quicker, at most ten times. An empty repository gets the branch
    /// with a first commit; in any other, a missing branch is [`Error::NoBranch`].
    pub fn publish(&self, access: &Access, branch: &str, request: &PublishRequest) -> Result<PublishOutcome> {
        self.publish_checked(access, branch, request, Arc::new(|_, _| true))
    }

    /// As [`BareClone::publish`]; `accept` looks at each file that both sides changed, after merging: where it says
    /// no, the outcome is a conflict. Merging lines can break what they mean together.
    pub fn publish_checked(
        &self,
        access: &Access,
        branch: &str,
        request: &PublishRequest,
        accept: MergeCheck,
    ) -> Result<PublishOutcome> {
        check_branch(branch)?;
        let key = (self.url.as_str().to_owned(), branch.to_owned());
        let lock = Arc::clone(LOCKS.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        let _turn = lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.adopt_outgoing(access)?;
        let mut backoff = Backoff::new();
        for replays in 0..ATTEMPTS {
            let start = Instant::now();
            if let Some(outcome) = self.attempt(access, branch, request, &accept, replays)? {
                return Ok(outcome);
            }
            if replays + 1 < ATTEMPTS {
                self.pause(access, backoff.next(start.elapsed(), fastrand::f64()))?;
            }
        }
        Err(Error::Busy { branch: branch.to_owned(), attempts: ATTEMPTS })
    }

    /// One round; `None` when somebody was quicker.
    fn attempt(
        &self,
        access: &Access,
        branch: &str,
        request: &PublishRequest,
        accept: &MergeCheck,
        replays: u32,
    ) -> Result<Option<PublishOutcome>> {
        let fetched = self.fetch_as_deep(access, branch)?;
        if fetched.tip.is_none() && !fetched.empty {
            return Err(Error::NoBranch { branch: branch.to_owned() });
        }
        let repo = self.repo()?;
        if let (Some(tip), 0) = (&fetched.tip, replays)
            && let Some(id) = rescue::settle(&repo, tip, request)?
        {
            // An earlier push arrived after all.
            let commit = describe(&commit_of(&repo, &id)?);
            return Ok(Some(PublishOutcome::Published { commit, replays, merged: false }));
        }
        let prepared = match prepare(&self.repo()?, fetched.tip.as_ref(), request, accept, self.signer.as_ref()) {
            // Naming the commit behind a conflict takes history.
            Err(Error::NeedsHistory) => {
                self.fetch(access, branch)?;
                prepare(&self.repo()?, fetched.tip.as_ref(), request, accept, self.signer.as_ref())?
            }
            prepared => prepared?,
        };
        let (id, merged) = match prepared {
            Prepared::Done(outcome) => return Ok(Some(*outcome)),
            Prepared::Commit { id, merged } => (id, merged),
        };
        let published = |repo: &Repository| -> Result<Option<PublishOutcome>> {
            Ok(Some(PublishOutcome::Published { commit: describe(&commit_of(repo, &id)?), replays, merged }))
        };
        match self.push(access, &Destination::Branch(branch.to_owned()), &id) {
            Ok(Pushed::Done(_)) => {
                rescue::forget_same(&repo, &id, request)?;
                published(&repo)
            }
            Ok(Pushed::Moved | Pushed::Taken) => Ok(None),
            Err(error) if error.leaves_doubt() => {
                // The answer may have been lost on the way back: the server knows.
                rescue::keep(&repo, &id)?;
                match self.fetch_as_deep(access, branch) {
                    Ok(now) if now.tip.as_ref().is_some_and(|tip| holds(&repo, tip, &id)) => {
                        rescue::forget(&repo, &id)?;
                        published(&repo)
                    }
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn pause(&self, access: &Access, mut left: Duration) -> Result<()> {
        access.report(&Progress { phase: Phase::Waiting, done: 0, total: None, bytes: 0 });
        let step = Duration::from_millis(50);
        while !left.is_zero() {
            if access.cancelled() {
                return Err(Error::Cancelled);
            }
            std::thread::sleep(left.min(step));
            left = left.saturating_sub(step);
        }
        Ok(())
    }
}

/// Whether the history of `tip` holds `id`.
pub(crate) fn holds(repo: &Repository, tip: &CommitId, id: &CommitId) -> bool {
    tip == id || repo.graph_descendant_of(tip.oid(), id.oid()).unwrap_or(false)
}

/// Lays the changes onto `tip` and writes the commit.
pub(crate) fn prepare(
    repo: &Repository,
    tip: Option<&CommitId>,
    request: &PublishRequest,
    accept: &MergeCheck,
    signer: Option<&SigningKey>,
) -> Result<Prepared> {
    let tree = tip.map(|tip| tree_of(repo, tip)).transpose()?;
    let mut contents = Vec::with_capacity(request.changes.len());
    let mut merged = false;
    for change in &request.changes {
        let found = match &tree {
            Some(tree) => find_file(repo, tree, &change.path)?,
            None => None,
        };
        match lay(repo, change, found, accept)? {
            Laid::Keep => {}
            Laid::Write(content, both) => {
                merged |= both;
                contents.push((&change.path, content));
            }
            Laid::Conflict { base, theirs } => {
                let Some(tip) = tip else { return Err(Error::NoBranch { branch: String::new() }) };
                let theirs_since = last_change_in(repo, tip, &change.path)?;
                return Ok(Prepared::Done(Box::new(PublishOutcome::Conflict {
                    path: change.path.clone(),
                    base,
                    ours: change.new.clone(),
                    theirs,
                    their_blob: found.map(|found| found.oid.into()),
                    their_commit: theirs_since,
                })));
            }
        }
    }
    let changes: Vec<_> = contents.iter().map(|(path, content)| (*path, content.as_deref())).collect();
    match write(repo, tip, &changes, &request.identity, &request.message, signer) {
        Ok(id) => Ok(Prepared::Commit { id, merged }),
        Err(Error::NothingChanged) => Ok(Prepared::Done(Box::new(PublishOutcome::Unchanged { tip: tip.cloned() }))),
        Err(error) => Err(error),
    }
}

fn last_change_in(repo: &Repository, tip: &CommitId, path: &RepoPath) -> Result<CommitInfo> {
    let clone =
        BareClone { dir: repo.path().to_owned(), url: crate::remote_url::RemoteUrl::local(repo.path())?, signer: None };
    match clone.last_change(tip, path)? {
        Some(info) => Ok(info),
        None => clone.commit_info(tip),
    }
}

enum Laid {
    /// The server already has it.
    Keep,
    /// The content to write, and whether both sides had changed the file.
    Write(Option<Vec<u8>>, bool),
    Conflict {
        base: Option<Vec<u8>>,
        theirs: Option<Vec<u8>>,
    },
}

/// One file: what the editor made of `base`, laid onto what the server has.
fn lay(repo: &Repository, change: &ExpectedChange, found: Option<Found>, accept: &MergeCheck) -> Result<Laid> {
    let theirs = found.map(|found| load(repo, found, &change.path, MAX_FILE)).transpose()?;
    let same = theirs.as_ref().map(|file| &file.blob) == change.base_blob.as_ref();
    let theirs = theirs.map(|file| file.bytes);
    if theirs == change.new {
        return Ok(Laid::Keep);
    }
    if same {
        return Ok(Laid::Write(change.new.clone(), false));
    }
    let base = base_of(repo, change)?;
    if let (Some(base), Some(ours), Some(theirs)) = (&base, &change.new, &theirs)
        && let Merge::Clean(text) = merge_text(base, ours, theirs)?
        && accept(&change.path, &text)
    {
        return Ok(if text == *theirs { Laid::Keep } else { Laid::Write(Some(text), true) });
    }
    Ok(Laid::Conflict { base, theirs })
}

fn base_of(repo: &Repository, change: &ExpectedChange) -> Result<Option<Vec<u8>>> {
    if change.base_text.is_some() {
        return Ok(change.base_text.clone());
    }
    let Some(blob) = &change.base_blob else { return Ok(None) };
    let odb = repo.odb()?;
    match odb.read_header(blob.oid()) {
        Ok((size, git2::ObjectType::Blob)) if size <= MAX_FILE => Ok(Some(odb.read(blob.oid())?.data().to_vec())),
        // Without the starting point there is nothing to merge from; both versions are shown instead.
        _ => Ok(None),
    }
}
