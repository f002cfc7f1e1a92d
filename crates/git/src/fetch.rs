//! Bringing one branch up to date.

use std::sync::Arc;

use git2::{AutotagOption, Direction, ErrorCode, FetchOptions, Oid, RemoteRedirect};
use serde::Serialize;

use crate::access::Access;
use crate::bare_clone::{BareClone, check_branch, tracked, tracking};
use crate::deadline::{self, Pulse};
use crate::depth::{Depth, ENDLESS, fresh, roots};
use crate::error::{Error, Result};
use crate::history::whole;
use crate::ids::CommitId;
use crate::rescue;
use crate::session::Session;

/// What a fetch found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FetchOutcome {
    /// The branch's newest commit on the server; `None` when the server has no such branch.
    pub tip: Option<CommitId>,
    /// The newest commit as of the fetch before.
    pub old_tip: Option<CommitId>,
    /// Whether the server's history was replaced or the branch removed, so that `old_tip` is no longer part of it.
    /// The old commits are kept: see [`BareClone::rescues`].
    pub rewritten: bool,
    /// Whether the server has no branch at all.
    pub empty: bool,
}

/// What the server showed when we connected.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// The wanted branch's or tag's newest commit or object.
    pub(crate) target: Option<Oid>,
    /// Every branch.
    pub(crate) branches: Vec<(String, Oid)>,
    /// The branch that HEAD names.
    pub(crate) default_branch: Option<String>,
    /// Whether HEAD names a commit instead.
    pub(crate) detached: bool,
}

impl BareClone {
    /// Brings `branch` up to date with the server, with all of its history.
    pub fn fetch(&self, access: &Access, branch: &str) -> Result<FetchOutcome> {
        self.fetch_to(access, branch, Depth::Whole)
    }

    pub(crate) fn fetch_to(&self, access: &Access, branch: &str, depth: Depth) -> Result<FetchOutcome> {
        let branch = branch.to_owned();
        check_branch(&branch)?;
        self.holding(access, "fetching", move |this, access, pulse| {
            this.fetch_now(access, &branch, depth, pulse).map(|(outcome, _)| outcome)
        })
    }

    /// Runs `work`, which talks to the server, with the sole right to change the clone.
    pub(crate) fn holding<T: Send + 'static>(
        &self,
        access: &Access,
        doing: &'static str,
        work: impl FnOnce(&Self, &Access, &Arc<Pulse>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let hold = self.hold(access)?;
        let (this, owned_access, inner) = (self.clone(), access.clone(), hold.clone());
        deadline::run(
            access,
            &self.host(),
            doing,
            || hold.release(),
            move |pulse| {
                let outcome = work(&this, &owned_access, pulse);
                drop(inner);
                outcome
            },
        )
    }

    pub(crate) fn fetch_now(
        &self,
        access: &Access,
        branch: &str,
        depth: Depth,
        pulse: &Arc<Pulse>,
    ) -> Result<(FetchOutcome, Shown)> {
        let wanted = format!("refs/heads/{branch}");
        let mut shown = self.bring(access, &wanted, depth, pulse)?;
        let old_tip = tracked(&self.repo()?, branch)?;
        let mut rewritten = self.replaced(old_tip.as_ref(), shown.target)?;
        if rewritten && shown.target.is_some() && self.is_shallow()? {
            // The way from the new commits to the old one may lead through what the clone does not hold.
            shown = self.bring(access, &wanted, Depth::Whole, pulse)?;
            rewritten = self.replaced(old_tip.as_ref(), shown.target)?;
        }
        if pulse.left() {
            return Err(Error::Cancelled);
        }
        let repo = self.repo()?;
        if let (true, Some(old)) = (rewritten, &old_tip) {
            rescue::keep(&repo, old)?;
        }
        match shown.target {
            Some(oid) => {
                repo.find_commit(oid)?;
                repo.reference(&tracking(branch), oid, true, "fetch")?;
            }
            None => match repo.find_reference(&tracking(branch)) {
                Ok(mut reference) => reference.delete()?,
                Err(error) if error.code() == ErrorCode::NotFound => {}
                Err(error) => return Err(error.into()),
            },
        }
        let (tip, empty) = (shown.target.map(CommitId::from), shown.branches.is_empty());
        Ok((FetchOutcome { tip, old_tip, rewritten, empty }, shown))
    }

    fn replaced(&self, old: Option<&CommitId>, new: Option<Oid>) -> Result<bool> {
        Ok(match (old, new) {
            (Some(old), Some(new)) => old.oid() != new && !self.repo()?.graph_descendant_of(new, old.oid())?,
            (old, None) => old.is_some(),
            (None, Some(_)) => false,
        })
    }

    /// Looks at the server and downloads what is missing for the reference `wanted`. Moves no reference.
    pub(crate) fn bring(&self, access: &Access, wanted: &str, depth: Depth, pulse: &Arc<Pulse>) -> Result<Shown> {
        match self.bring_once(access, wanted, depth, self.can_be_shallow(), pulse) {
            Err(Error::Internal(words)) if words.contains("support shallow") => {
                self.bring_once(access, wanted, depth, false, pulse)
            }
            outcome => outcome,
        }
    }

    fn bring_once(
        &self,
        access: &Access,
        wanted: &str,
        depth: Depth,
        may_cut: bool,
        pulse: &Arc<Pulse>,
    ) -> Result<Shown> {
        let repo = self.repo()?;
        let session = Session::new(&self.url, access, pulse)?;
        let explain = |error: git2::Error| match error.message() {
            // The library is built without SHA-256 and says so in its own way.
            words if words.contains("object format") => Error::Sha256 { host: self.host() },
            _ => session.explain(&error),
        };
        let mut remote = repo.remote_anonymous(self.url.as_str())?;
        let mut connection =
            remote.connect_auth(Direction::Fetch, Some(session.callbacks()), Some(session.proxy())).map_err(explain)?;
        let mut shown = Shown::default();
        for head in connection.list().map_err(explain)? {
            if head.name() == wanted {
                shown.target = Some(head.oid());
            }
            if let Some(branch) = head.name().strip_prefix("refs/heads/") {
                shown.branches.push((branch.to_owned(), head.oid()));
            } else if head.name() == "HEAD" {
                let target = head.symref_target().and_then(|target| target.strip_prefix("refs/heads/"));
                shown.default_branch = target.map(str::to_owned);
                shown.detached = shown.default_branch.is_none();
            }
        }
        let ask = match shown.target {
            Some(oid) => self.how_deep(&repo, oid, depth, may_cut, wanted.starts_with("refs/tags/"))?,
            None => None,
        };
        if let Some(commits) = ask {
            let mut options = FetchOptions::new();
            options
                .remote_callbacks(session.callbacks())
                .proxy_options(session.proxy())
                .download_tags(AutotagOption::None)
                .update_fetchhead(false)
                .follow_redirects(RemoteRedirect::None)
                .depth(commits);
            connection.remote().download(&[wanted], Some(&mut options)).map_err(explain)?;
        }
        Ok(shown)
    }

    /// How many commits to ask for, counted from the target; 0 is whatever is missing. `None` when nothing is.
    fn how_deep(
        &self,
        repo: &git2::Repository,
        target: Oid,
        depth: Depth,
        may_cut: bool,
        tag: bool,
    ) -> Result<Option<i32>> {
        let roots = roots(repo)?;
        let commit = repo.find_object(target, None).ok().and_then(|object| object.peel_to_commit().ok());
        let there = commit.is_some_and(|commit| whole(repo, commit.id(), &roots));
        let half = !there && repo.find_object(target, None).is_ok();
        let shallow = !roots.is_empty();
        Ok(match depth {
            Depth::Whole if shallow => Some(ENDLESS),
            _ if there => None,
            // Nobody asks for a commit that is there, so what is missing below it comes only when depth is changed.
            Depth::Whole if half && may_cut => Some(ENDLESS),
            // In a clone that is whole, a cut would hide what it holds.
            Depth::Tip if may_cut && (fresh(repo)? || (tag && shallow)) => Some(1),
            Depth::Tip if half && may_cut => Some(ENDLESS),
            _ => Some(0),
        })
    }
}
