//! The files that the user picked in the system's dialog: the only ones that a page may have read.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// How many are remembered; the oldest goes first.
const MOST: usize = 32;

/// The picked paths, oldest first.
#[derive(Default)]
pub(crate) struct PickedFiles {
    paths: Mutex<VecDeque<PathBuf>>,
}

impl PickedFiles {
    /// Remembers a path, letting go of the oldest when there are too many.
    pub(crate) fn remember(&self, path: PathBuf) {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.retain(|known| *known != path);
        if paths.len() >= MOST {
            paths.pop_front();
        }
        paths.push_back(path);
    }

    /// Whether the user picked this very path.
    pub(crate) fn has(&self, path: &str) -> bool {
        // Compared as text: two paths can be equal as paths and still be written differently.
        let wanted = Path::new(path).as_os_str();
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|known| known.as_os_str() == wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_nothing_else_is_known() {
        let picked = PickedFiles::default();
        for number in 0..MOST {
            picked.remember(format!("/home/ada/{number}").into());
        }
        picked.remember("/home/ada/0".into());
        picked.remember("/home/ada/new".into());
        assert!(picked.has("/home/ada/0") && picked.has("/home/ada/new") && picked.has("/home/ada/2"));
        assert!(!picked.has("/home/ada/1"), "the oldest went");
        assert!(!picked.has("/home/ada/x/../0") && !picked.has("/home/ada") && !picked.has(""));
    }
}
