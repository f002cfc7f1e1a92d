//! Bringing one branch up to date.

use std::sync::Arc;

use git2::{AutotagOption, Direction, ErrorCode, FetchOptions, RemoteRedirect};
use serde::Serialize;

use crate::access::Access;
use crate::bare_clone::{BareClone, check_branch, tracked, tracking};
use crate::deadline::{self, Pulse};
use crate::error::{Error, Result};
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

impl BareClone {
    /// Brings `branch` up to date with the server.
    pub fn fetch(&self, access: &Access, branch: &str) -> Result<FetchOutcome> {
        check_branch(branch)?;
        let hold = self.hold(access)?;
        let (this, owned_access, owned_branch, inner) = (self.clone(), access.clone(), branch.to_owned(), hold.clone());
        deadline::run(
            access,
            &self.host(),
            "fetching",
            || hold.release(),
            move |pulse| {
                let outcome = this.fetch_now(&owned_access, &owned_branch, pulse);
                drop(inner);
                outcome
            },
        )
    }

    pub(crate) fn fetch_now(&self, access: &Access, branch: &str, pulse: &Arc<Pulse>) -> Result<FetchOutcome> {
        let repo = self.repo()?;
        let session = Session::new(&self.url, access, pulse)?;
        let explain = |error: git2::Error| session.explain(&error);
        let wanted = format!("refs/heads/{branch}");
        let mut remote = repo.remote_anonymous(self.url.as_str())?;
        let (target, empty) = {
            let mut connection = remote
                .connect_auth(Direction::Fetch, Some(session.callbacks()), Some(session.proxy()))
                .map_err(explain)?;
            let heads = connection.list().map_err(explain)?;
            let target = heads.iter().find(|head| head.name() == wanted).map(|head| head.oid());
            let empty = !heads.iter().any(|head| head.name().starts_with("refs/heads/"));
            if let Some(oid) = target
                && repo.find_commit(oid).is_err()
            {
                let mut options = FetchOptions::new();
                options
                    .remote_callbacks(session.callbacks())
                    .proxy_options(session.proxy())
                    .download_tags(AutotagOption::None)
                    .update_fetchhead(false)
                    .follow_redirects(RemoteRedirect::None);
                connection.remote().download(&[wanted.as_str()], Some(&mut options)).map_err(explain)?;
            }
            (target, empty)
        };
        if pulse.left() {
            return Err(Error::Cancelled);
        }
        let old_tip = tracked(&repo, branch)?;
        let rewritten = match (&old_tip, target) {
            (Some(old), Some(new)) => old.oid() != new && !repo.graph_descendant_of(new, old.oid())?,
            (old, None) => old.is_some(),
            (None, Some(_)) => false,
        };
        if let (true, Some(old)) = (rewritten, &old_tip) {
            rescue::keep(&repo, old)?;
        }
        match target {
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
        Ok(FetchOutcome { tip: target.map(CommitId::from), old_tip, rewritten, empty })
    }
}
