//! How a branch stands after a look at its server: what happened there, what it means here, and the way out.

use serde::Serialize;

use crate::access::Access;
use crate::bare_clone::{BareClone, check_branch};
use crate::depth::Depth;
use crate::error::{Error, Result};
use crate::fetch::Shown;
use crate::history::{CommitInfo, only_in};
use crate::ids::CommitId;

/// Where the clone notes the server's default branch as of the last look.
const DEFAULT_KEY: &str = "pilothouse.defaultbranch";
/// The most commits that are counted or listed.
const MAX_COUNT: usize = 1000;

/// How a branch stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RemoteState {
    /// Nothing is new.
    UpToDate,
    /// The branch was never looked at before.
    New,
    /// Others added commits.
    Moved {
        /// How many; at most 1000 are counted.
        commits: usize,
        /// Whether there are more than were counted.
        more: bool,
    },
    /// The server's history was replaced: the commits that were there before are not part of it any more.
    Rewritten {
        /// The newest of the commits that the branch lost; kept in the clone.
        kept: CommitId,
    },
    /// The branch is gone from the server, and nothing there looks like it under another name.
    BranchDeleted {
        /// Its newest commit as of the look before, kept in the clone; `None` when it was never there.
        kept: Option<CommitId>,
        /// The server's default branch now.
        default_branch: Option<String>,
    },
    /// The branch is gone, and another one holds its commits.
    BranchRenamed {
        /// That other branch; the default branch where it is one of several.
        to: String,
        /// The newest commit under the old name.
        kept: CommitId,
    },
    /// The branch stands as before, and the server now shows another one to whoever does not ask for one by name.
    DefaultBranchChanged {
        /// The default branch as of the look before.
        from: String,
        /// The default branch now.
        to: String,
    },
    /// The repository has no commit yet.
    Empty,
    /// The repository has branches, and its HEAD names none of them.
    NoDefaultBranch {
        /// Whether HEAD names a commit; else it names a branch that does not exist.
        detached: bool,
        /// The branches there are, at most 1000.
        branches: Vec<String>,
    },
    /// The repository names its objects with SHA-256, which the Git library does not speak yet.
    Sha256Repository,
    /// The server takes no changes: the repository is archived or read-only.
    ReadOnly {
        /// The server's words.
        words: String,
    },
}

/// What can be done about a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "way", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WayOut {
    /// Nothing has to be done.
    Nothing,
    /// Read the files again; what is open may be old.
    ReadAgain,
    /// Look through the kept commits and publish again what is missed.
    LookThroughKept,
    /// Use another branch from now on.
    UseBranch {
        /// Which one, where one suggests itself.
        branch: Option<String>,
    },
    /// Publish a first commit; it makes the branch.
    FirstCommit,
    /// Have somebody with the right to do so choose a default branch on the server; naming a branch works meanwhile.
    ChooseDefaultBranch,
    /// Use a repository with SHA-1 names, for example a new one that the old history is pushed to.
    UseSha1,
    /// Have somebody with the right to do so open the repository for changes again; reading works meanwhile.
    Reopen,
}

impl RemoteState {
    /// The way out.
    pub fn way_out(&self) -> WayOut {
        match self {
            Self::UpToDate | Self::New | Self::DefaultBranchChanged { .. } => WayOut::Nothing,
            Self::Moved { .. } => WayOut::ReadAgain,
            Self::Rewritten { .. } => WayOut::LookThroughKept,
            Self::BranchDeleted { default_branch, .. } => WayOut::UseBranch { branch: default_branch.clone() },
            Self::BranchRenamed { to, .. } => WayOut::UseBranch { branch: Some(to.clone()) },
            Self::Empty => WayOut::FirstCommit,
            Self::NoDefaultBranch { .. } => WayOut::ChooseDefaultBranch,
            Self::Sha256Repository => WayOut::UseSha1,
            Self::ReadOnly { .. } => WayOut::Reopen,
        }
    }

    /// Whether the branch's files can be read.
    pub fn readable(&self) -> bool {
        let gone = matches!(self, Self::BranchDeleted { .. } | Self::BranchRenamed { .. });
        !gone && !matches!(self, Self::Empty | Self::Sha256Repository)
    }

    /// Whether a change can be published to the branch, as far as is known.
    pub fn writable(&self) -> bool {
        matches!(self, Self::Empty) || (self.readable() && !matches!(self, Self::ReadOnly { .. }))
    }

    /// The state that an error tells of, if it tells of one: an archived repository shows itself only when a push is
    /// refused.
    pub fn of_error(error: &Error) -> Option<Self> {
        match error {
            Error::Sha256 { .. } => Some(Self::Sha256Repository),
            Error::Forbidden { words, .. }
            | Error::HookRefused { words, .. }
            | Error::ProtectedBranch { words, .. } => {
                let lower = words.to_lowercase();
                let signs = ["archived", "read-only", "read only", "readonly"];
                signs.iter().any(|sign| lower.contains(sign)).then(|| Self::ReadOnly { words: words.clone() })
            }
            _ if error.code() == "git.archived" => Some(Self::ReadOnly { words: error.to_string() }),
            _ => None,
        }
    }
}

/// What a look at the server found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoteReport {
    /// How the branch stands.
    pub state: RemoteState,
    /// The branch's newest commit; `None` when it is not there.
    pub tip: Option<CommitId>,
    /// The newest commit as of the look before.
    pub old_tip: Option<CommitId>,
    /// The server's default branch.
    pub default_branch: Option<String>,
}

/// Commits that the server's branch does not hold, kept in the clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptCommits {
    /// What they are kept under; give it to [`BareClone::forget_rescue`].
    pub name: String,
    /// When they were kept, in seconds since 1970.
    pub kept_unix: i64,
    /// The commits, newest first, at most 1000; in a shallow clone only those that it holds.
    pub commits: Vec<CommitInfo>,
    /// Whether there are more.
    pub more: bool,
}

impl BareClone {
    /// Looks at the server, brings `branch` up to date, and says how it stands. [`Error::Sha256`] is told as a state;
    /// other errors stay errors.
    pub fn look(&self, access: &Access, branch: &str, depth: Depth) -> Result<RemoteReport> {
        let branch = branch.to_owned();
        check_branch(&branch)?;
        let looked = self.holding(access, "fetching", move |this, access, pulse| {
            let (outcome, shown) = this.fetch_now(access, &branch, depth, pulse)?;
            let mut renamed = None;
            if let (None, Some(old)) = (&outcome.tip, &outcome.old_tip) {
                renamed = heir(&shown, old);
                if let (None, Some(default)) = (&renamed, shown.default_branch.as_ref().filter(|name| **name != branch))
                {
                    // Commits may have been added since the branch got its new name.
                    let (other, _) = this.fetch_now(access, default, depth, pulse)?;
                    let repo = this.repo()?;
                    let holds = |tip: &CommitId| repo.graph_descendant_of(tip.oid(), old.oid()).unwrap_or(false);
                    renamed = other.tip.as_ref().filter(|tip| holds(tip)).map(|_| default.clone());
                }
            }
            let before = this.noted_default()?;
            this.note_default(shown.default_branch.as_deref(), before.as_deref())?;
            let state = match (&outcome.tip, &outcome.old_tip) {
                _ if outcome.empty => RemoteState::Empty,
                (None, Some(old)) => match renamed {
                    Some(to) => RemoteState::BranchRenamed { to, kept: old.clone() },
                    None => RemoteState::BranchDeleted {
                        kept: Some(old.clone()),
                        default_branch: shown.default_branch.clone(),
                    },
                },
                (None, None) if shown.default_branch.is_some() => {
                    RemoteState::BranchDeleted { kept: None, default_branch: shown.default_branch.clone() }
                }
                (Some(_), Some(old)) if outcome.rewritten => RemoteState::Rewritten { kept: old.clone() },
                _ if shown.default_branch.is_none() => RemoteState::NoDefaultBranch {
                    detached: shown.detached,
                    branches: shown.branches.iter().take(MAX_COUNT).map(|(name, _)| name.clone()).collect(),
                },
                (tip, old) => match (before, &shown.default_branch) {
                    (Some(from), Some(to)) if from != *to => RemoteState::DefaultBranchChanged { from, to: to.clone() },
                    _ => this.moved(tip.as_ref(), old.as_ref())?,
                },
            };
            let (tip, old_tip) = (outcome.tip, outcome.old_tip);
            Ok(RemoteReport { state, tip, old_tip, default_branch: shown.default_branch })
        });
        match looked {
            Err(Error::Sha256 { .. }) => {
                let state = RemoteState::Sha256Repository;
                Ok(RemoteReport { state, tip: None, old_tip: None, default_branch: None })
            }
            looked => looked,
        }
    }

    fn moved(&self, tip: Option<&CommitId>, old: Option<&CommitId>) -> Result<RemoteState> {
        Ok(match (tip, old) {
            (Some(tip), Some(old)) if tip == old => RemoteState::UpToDate,
            (Some(tip), Some(old)) => {
                let (commits, more) = only_in(&self.repo()?, tip.oid(), Some(old.oid()), MAX_COUNT)?;
                RemoteState::Moved { commits: commits.len(), more }
            }
            _ => RemoteState::New,
        })
    }

    fn noted_default(&self) -> Result<Option<String>> {
        Ok(self.repo()?.config()?.get_string(DEFAULT_KEY).ok())
    }

    fn note_default(&self, now: Option<&str>, before: Option<&str>) -> Result<()> {
        if let Some(now) = now.filter(|now| Some(*now) != before) {
            self.repo()?.config()?.set_str(DEFAULT_KEY, now)?;
        }
        Ok(())
    }

    /// The kept commits that `branch` (as last seen) does not hold, newest first: what was lost by a rewrite or a
    /// removal, and what a push that may not have arrived would have brought.
    pub fn kept_commits(&self, branch: &str) -> Result<Vec<KeptCommits>> {
        let tip = self.tip(branch)?;
        let repo = self.repo()?;
        let mut out = Vec::new();
        for rescue in self.rescues()? {
            let without = tip.as_ref().map(CommitId::oid);
            let (commits, more) = only_in(&repo, rescue.commit.oid(), without, MAX_COUNT)?;
            out.push(KeptCommits { name: rescue.name, kept_unix: rescue.time_unix, commits, more });
        }
        Ok(out)
    }
}

/// A branch that ends with the very commit that the lost one ended with; the default branch first.
fn heir(shown: &Shown, old: &CommitId) -> Option<String> {
    let same = |(_, oid): &&(String, git2::Oid)| *oid == old.oid();
    let mut heirs = shown.branches.iter().filter(same).map(|(name, _)| name);
    let first = heirs.next()?;
    let default = shown.default_branch.as_ref();
    let chosen =
        if Some(first) == default { first } else { heirs.find(|name| Some(*name) == default).unwrap_or(first) };
    Some(chosen.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_tell_of_an_archive() {
        let words = "remote: This repository was archived so it is read-only.".to_owned();
        let error = Error::Forbidden { host: "h".into(), words: words.clone() };
        assert_eq!(RemoteState::of_error(&error), Some(RemoteState::ReadOnly { words }));
        let other = Error::Forbidden { host: "h".into(), words: "you may not push".into() };
        assert_eq!(RemoteState::of_error(&other), None);
        assert_eq!(RemoteState::of_error(&Error::Sha256 { host: "h".into() }), Some(RemoteState::Sha256Repository));
    }

    #[test]
    fn each_state_says_what_it_means() {
        let gone = RemoteState::BranchDeleted { kept: None, default_branch: Some("trunk".into()) };
        assert_eq!(gone.way_out(), WayOut::UseBranch { branch: Some("trunk".into()) });
        assert!(!gone.readable() && !gone.writable());
        assert!(RemoteState::Empty.writable() && !RemoteState::Empty.readable());
        let closed = RemoteState::ReadOnly { words: String::new() };
        assert!(closed.readable() && !closed.writable());
        assert!(!RemoteState::Sha256Repository.readable());
    }
}
