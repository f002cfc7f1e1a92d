//! What a sync remembers of the one before, so that only what changed is looked at.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::git_side::Entry;
use crate::plan::SyncState;
use crate::verdicts::Verdicts;
use crate::workflow_object::Due;

/// How many projects are remembered.
const MOST: usize = 64;
/// How long a sync may go by what a watch shows. A connection can be dead for minutes before anybody is told.
const TRUST: Duration = Duration::from_secs(600);

/// What syncs remember. Forgetting any of it costs time only.
#[derive(Debug, Default)]
pub struct Memory {
    /// What was found about texts.
    pub verdicts: Verdicts,
    last: Mutex<HashMap<Key, Last>>,
    turns: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>,
}

/// A namespace and a project.
type Key = (String, String);

/// A version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// Its resource version; empty when it was written since, so that the next sync looks at it.
    pub(crate) version: String,
    /// Its workflow.
    pub(crate) workflow: String,
}

/// Both sides as a sync left them, with nothing more to do.
#[derive(Debug)]
pub(crate) struct Last {
    /// The repository and the branch.
    pub(crate) place: String,
    /// The folder in Git.
    pub(crate) folder: Option<String>,
    /// Its files by path.
    pub(crate) files: HashMap<String, Entry>,
    /// The objects by their own names.
    pub(crate) objects: HashMap<String, Version>,
    /// Each workflow's state.
    pub(crate) states: BTreeMap<String, SyncState>,
    /// Changes that are to be run.
    pub(crate) due: Vec<Due>,
    /// When everything was read anew.
    pub(crate) whole: Instant,
}

impl Last {
    /// Whether it may still be gone by.
    pub(crate) fn is_fresh(&self) -> bool {
        self.whole.elapsed() < TRUST
    }
}

impl Memory {
    /// Lets the next sync of a project read both sides anew: after a write that a watch may not show yet.
    pub fn forget(&self, namespace: &str, project: &str) {
        self.lock().remove(&(namespace.to_owned(), project.to_owned()));
    }

    /// Waits until no other sync of a project runs that has this memory: two would only do the same work twice and meet
    /// each other's writes.
    pub(crate) async fn turn(&self, namespace: &str, project: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            if turns.len() >= MOST {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            }
            turns.entry((namespace.to_owned(), project.to_owned())).or_default().clone()
        };
        turn.lock_owned().await
    }

    /// Takes what is remembered; a sync that fails on the way leaves nothing behind.
    pub(crate) fn take(&self, namespace: &str, project: &str) -> Option<Last> {
        self.lock().remove(&(namespace.to_owned(), project.to_owned()))
    }

    pub(crate) fn keep(&self, namespace: &str, project: &str, last: Last) {
        let mut kept = self.lock();
        if kept.len() >= MOST {
            let oldest = kept.iter().min_by_key(|(_, last)| last.whole).map(|(key, _)| key.clone());
            oldest.map(|key| kept.remove(&key));
        }
        kept.insert((namespace.to_owned(), project.to_owned()), last);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
