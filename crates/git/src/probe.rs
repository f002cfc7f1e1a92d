//! A first look at a remote, before anything is kept.

use git2::Direction;
use serde::Serialize;

use crate::access::Access;
use crate::bare_clone::{create_bare, open_isolated};
use crate::deadline;
use crate::error::{Error, Result};
use crate::ids::CommitId;
use crate::remote_url::RemoteUrl;
use crate::session::Session;

/// The most references that are told.
const MAX_REFS: usize = 10_000;

/// A branch of a remote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// Its name, without `refs/heads/`.
    pub name: String,
    /// Its newest commit.
    pub commit: CommitId,
}

/// What a remote shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoteRefs {
    /// The branch the remote's HEAD names; `None` when it is empty or names no branch.
    pub default_branch: Option<String>,
    /// The branches, at most 10,000.
    pub branches: Vec<Branch>,
    /// Whether there is no branch at all.
    pub empty: bool,
}

/// Connects, logs in and lists branches. Nothing is downloaded.
pub fn probe(url: &RemoteUrl, access: &Access) -> Result<RemoteRefs> {
    look(url, access, Direction::Fetch)
}

/// As [`probe`], but asks for the right to push; many servers answer [`Error::Forbidden`] or [`Error::Auth`] here
/// where they let anybody read.
pub fn probe_push(url: &RemoteUrl, access: &Access) -> Result<RemoteRefs> {
    look(url, access, Direction::Push)
}

fn look(url: &RemoteUrl, access: &Access, direction: Direction) -> Result<RemoteRefs> {
    let doing = match access.proxy.beside(url) {
        None => "connecting",
        Some(_) => {
            "connecting. SSH does not go through the proxy that is set here; where only the proxy leads out, use the \
             repository's HTTPS address"
        }
    };
    let (owned_url, owned_access) = (url.clone(), access.clone());
    deadline::run(
        access,
        url.host().unwrap_or("the local repository"),
        doing,
        || {},
        move |pulse| {
            let (url, access) = (owned_url, owned_access);
            let session = Session::new(&url, &access, pulse)?;
            if direction == Direction::Push {
                session.pushing();
            }
            let failed = |error: std::io::Error| Error::Internal(format!("cannot make a temporary folder: {error}"));
            let dir = tempfile::tempdir().map_err(failed)?;
            let place = dir.path().join("probe");
            create_bare(&place)?;
            let repo = open_isolated(&place)?;
            let mut remote = repo.remote_anonymous(url.as_str())?;
            let connection = remote
                .connect_auth(direction, Some(session.callbacks()), Some(session.proxy()))
                .map_err(|error| session.explain(&error))?;
            let heads = connection.list().map_err(|error| session.explain(&error))?;
            let mut branches: Vec<Branch> = heads
                .iter()
                .filter_map(|head| {
                    let name = head.name().strip_prefix("refs/heads/")?;
                    Some(Branch { name: name.to_owned(), commit: head.oid().into() })
                })
                .take(MAX_REFS)
                .collect();
            branches.sort_by(|a, b| a.name.cmp(&b.name));
            let default_branch = heads
                .iter()
                .find(|head| head.name() == "HEAD")
                .and_then(|head| head.symref_target())
                .and_then(|target| target.strip_prefix("refs/heads/"))
                .map(str::to_owned);
            Ok(RemoteRefs { default_branch, empty: branches.is_empty(), branches })
        },
    )
}
