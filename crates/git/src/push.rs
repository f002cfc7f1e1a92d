//! One attempt to move a reference of the server forward, or to make a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use git2::{ErrorCode, PushOptions, RemoteRedirect};

use crate::access::Access;
use crate::bare_clone::{BareClone, tracking};
use crate::deadline::{self, Pulse};
use crate::error::{Error, Result};
use crate::ids::CommitId;
use crate::rejection::{Verdict, clean, judge, refusal};
use crate::rescue::OUTGOING;
use crate::session::Session;

/// Where a push goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A branch, forward from what it holds.
    Branch(String),
    /// A branch that must not be there yet.
    NewBranch(String),
    /// Gerrit's queue of changes for a branch.
    Review(String),
}

impl Destination {
    /// The branch that is meant, for messages.
    pub(crate) fn branch(&self) -> &str {
        match self {
            Self::Branch(name) | Self::NewBranch(name) | Self::Review(name) => name,
        }
    }

    fn reference(&self) -> String {
        match self {
            Self::Branch(name) | Self::NewBranch(name) => format!("refs/heads/{name}"),
            Self::Review(name) => format!("refs/for/{name}"),
        }
    }
}

/// What became of an attempt.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// The server took it; these are its words, made safe to show.
    Done(String),
    /// Somebody was quicker.
    Moved,
    /// The branch that should be new is there already.
    Taken,
}

impl BareClone {
    /// Pushes `commit` without force, within the time limits.
    pub(crate) fn push(&self, access: &Access, to: &Destination, id: &CommitId) -> Result<Pushed> {
        let hold = self.hold(access)?;
        let (this, owned_access, owned_to, owned_id, inner) =
            (self.clone(), access.clone(), to.clone(), id.clone(), hold.clone());
        deadline::run(
            access,
            &self.host(),
            "pushing",
            || hold.release(),
            move |pulse: &Arc<Pulse>| {
                let outcome = this.push_now(&owned_access, &owned_to, &owned_id, pulse);
                drop(inner);
                outcome
            },
        )
    }

    fn push_now(&self, access: &Access, to: &Destination, commit: &CommitId, pulse: &Arc<Pulse>) -> Result<Pushed> {
        let repo = self.repo()?;
        let session = Session::new(&self.url, access, pulse)?;
        session.pushing();
        let outgoing = format!("{OUTGOING}{}", commit.short());
        repo.reference(&outgoing, commit.oid(), true, "outgoing")?;
        let target = to.reference();
        let taken = Arc::new(AtomicBool::new(false));
        let mut callbacks = session.callbacks();
        if matches!(to, Destination::NewBranch(_)) {
            // The server compares what we say it held, nothing, with what it holds when it takes the push; so a
            // branch that somebody makes in between is safe too.
            let (pulse, taken) = (Arc::clone(pulse), Arc::clone(&taken));
            callbacks.push_negotiation(move |updates| {
                if updates.iter().any(|update| !update.src().is_zero()) {
                    taken.store(true, Ordering::Release);
                    return Err(git2::Error::from_str("the branch is there already"));
                }
                if pulse.left() {
                    return Err(git2::Error::from_str("stopped"));
                }
                pulse.commit();
                Ok(())
            });
        }
        let mut options = PushOptions::new();
        options
            .remote_callbacks(callbacks)
            .proxy_options(session.proxy())
            .packbuilder_parallelism(1)
            .follow_redirects(RemoteRedirect::None);
        let pushed = repo
            .remote_anonymous(self.url.as_str())
            .and_then(|mut remote| remote.push(&[format!("{outgoing}:{target}")], Some(&mut options)));
        if let Ok(mut reference) = repo.find_reference(&outgoing) {
            reference.delete()?;
        }
        let behind = match to {
            Destination::NewBranch(_) => Pushed::Taken,
            Destination::Branch(_) | Destination::Review(_) => Pushed::Moved,
        };
        if let Err(error) = pushed {
            return match error.code() {
                _ if taken.load(Ordering::Acquire) => Ok(Pushed::Taken),
                ErrorCode::NotFastForward => Ok(behind),
                // The server refused the objects as such, and says why besides.
                _ if error.message().contains("unpacking the sent packfile failed") => {
                    Err(refusal(&self.host(), to.branch(), &format!("{}\n(unpacker error)", session.words())))
                }
                _ => Err(session.explain(&error)),
            };
        }
        match session.answer(&target) {
            Some(None) => {
                if let Destination::Branch(name) | Destination::NewBranch(name) = to {
                    repo.reference(&tracking(name), commit.oid(), true, "push")?;
                }
                Ok(Pushed::Done(clean(&session.words())))
            }
            Some(Some(status)) => match judge(&self.host(), to.branch(), &status, &session.words()) {
                Verdict::Moved => Ok(behind),
                Verdict::Refused(error) => Err(error),
            },
            None => {
                let words = "the server did not say whether it took the push".to_owned();
                Err(Error::Network { host: self.host(), words })
            }
        }
    }
}
