//! One attempt to move the server's branch forward.

use std::sync::Arc;

use git2::{ErrorCode, PushOptions, RemoteRedirect};

use crate::access::Access;
use crate::bare_clone::{BareClone, tracking};
use crate::deadline::Pulse;
use crate::error::{Error, Result};
use crate::ids::CommitId;
use crate::rejection::{Verdict, judge};
use crate::session::Session;

/// What became of an attempt.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// The branch now ends with our commit.
    Done,
    /// Somebody was quicker.
    Moved,
}

impl BareClone {
    /// Pushes `commit` to `branch` without force.
    pub(crate) fn push_now(
        &self,
        access: &Access,
        branch: &str,
        commit: &CommitId,
        pulse: &Arc<Pulse>,
    ) -> Result<Pushed> {
        let repo = self.repo()?;
        let session = Session::new(&self.url, access, pulse)?;
        let outgoing = format!("refs/pilothouse/outgoing/{}", commit.short());
        repo.reference(&outgoing, commit.oid(), true, "outgoing")?;
        let target = format!("refs/heads/{branch}");
        let mut options = PushOptions::new();
        options
            .remote_callbacks(session.callbacks())
            .proxy_options(session.proxy())
            .packbuilder_parallelism(1)
            .follow_redirects(RemoteRedirect::None);
        let pushed = repo
            .remote_anonymous(self.url.as_str())
            .and_then(|mut remote| remote.push(&[format!("{outgoing}:{target}")], Some(&mut options)));
        if let Ok(mut reference) = repo.find_reference(&outgoing) {
            reference.delete()?;
        }
        if let Err(error) = pushed {
            return match error.code() {
                ErrorCode::NotFastForward => Ok(Pushed::Moved),
                _ => Err(session.explain(&error)),
            };
        }
        match session.answer(&target) {
            Some(None) => {
                repo.reference(&tracking(branch), commit.oid(), true, "push")?;
                Ok(Pushed::Done)
            }
            Some(Some(status)) => match judge(branch, &status, &session.words()) {
                Verdict::Moved => Ok(Pushed::Moved),
                Verdict::Refused(error) => Err(error),
            },
            None => {
                let words = "the server did not say whether it took the push".to_owned();
                Err(Error::Network { host: self.host(), words })
            }
        }
    }
}
