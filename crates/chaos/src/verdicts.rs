//! What was found about texts that were looked at before: one that did not change is not parsed again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::document::{Problem, WorkflowDocument};
use crate::error::Error;

/// How many verdicts a generation holds. Two are kept, so that what is still asked for outlives what is not.
const GENERATION: usize = 25_000;

type Key = [u8; 32];

/// Whether texts are acceptable where they lie, by path and content. Bounded; safe to share between threads.
#[derive(Debug, Default)]
pub struct Verdicts {
    kept: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, Option<Box<Problem>>>,
    old: HashMap<Key, Option<Box<Problem>>>,
}

impl Verdicts {
    /// Whether a text is acceptable as the file at `path` of a project, as [`WorkflowDocument::accept`] finds it.
    pub fn of(&self, project: &str, path: &str, text: &str) -> Result<(), Problem> {
        let key = key(project, path, text);
        if let Some(known) = self.lock().find(&key) {
            return known.map_or(Ok(()), |problem| Err(*problem));
        }
        // Not under the lock: it takes a while.
        let problem = match WorkflowDocument::accept(project, path, text) {
            Ok(_) => None,
            Err(Error::Refused(problem)) => Some(problem),
            Err(other) => Some(Problem::error("document.refused", None, other.to_string())),
        };
        self.lock().keep(key, problem.clone().map(Box::new));
        problem.map_or(Ok(()), Err)
    }

    /// How many verdicts are kept.
    pub fn len(&self) -> usize {
        let kept = self.lock();
        kept.young.len() + kept.old.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn find(&mut self, key: &Key) -> Option<Option<Box<Problem>>> {
        if let Some(known) = self.young.get(key) {
            return Some(known.clone());
        }
        let known = self.old.remove(key)?;
        self.keep(*key, known.clone());
        Some(known)
    }

    fn keep(&mut self, key: Key, problem: Option<Box<Problem>>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, problem);
    }
}

/// A digest that nobody can aim at: what stands in Git is a stranger's, and so must not borrow another text's verdict.
fn key(project: &str, path: &str, text: &str) -> Key {
    let mut hash = Sha256::new();
    for part in [project, path, text] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: kill\nspec:\n  entrypoint: \
                        main\n  templates:\n    - name: main\n      container: {image: busybox}\n";

    #[test]
    fn a_verdict_is_that_of_the_text_at_its_path() {
        let verdicts = Verdicts::default();
        for _ in 0..2 {
            assert_eq!(verdicts.of("shop", "litmus/shop/kill.yaml", GOOD), Ok(()));
            let stem = verdicts.of("shop", "litmus/shop/other.yaml", GOOD).unwrap_err();
            assert_eq!(stem.code, "document.stem");
            let elsewhere = verdicts.of("cart", "litmus/shop/kill.yaml", GOOD).unwrap_err();
            assert_eq!(elsewhere.code, "path.folder");
            let broken = verdicts.of("shop", "litmus/shop/kill.yaml", "a: [").unwrap_err();
            assert_eq!(broken.code, "document.not_yaml");
        }
        assert_eq!(verdicts.len(), 4);
    }

    #[test]
    fn the_number_kept_is_bounded_and_what_is_asked_for_stays() {
        let mut kept = Generations::default();
        let key = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_le_bytes());
            key
        };
        for n in 0..5 * GENERATION {
            kept.keep(key(n), None);
            if n.is_multiple_of(1000) {
                assert!(kept.find(&key(0)).is_some());
            }
        }
        assert!(kept.young.len() + kept.old.len() <= 2 * GENERATION);
        assert!(kept.find(&key(1)).is_none());
    }
}
