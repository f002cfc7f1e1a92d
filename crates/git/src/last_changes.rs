//! Which commit last changed each of many files, in one walk through history.

use std::collections::{BTreeMap, HashMap, HashSet};

use git2::{Commit, Oid, Repository, Tree};

use crate::bare_clone::BareClone;
use crate::depth::roots;
use crate::error::{Error, Result};
use crate::history::{CommitInfo, MAX_WALK, describe};
use crate::ids::CommitId;
use crate::repo_path::RepoPath;
use crate::tree::{MODE_TREE, bounded_tree, commit_of, entry, mode_is_file};

/// The most folders at different commits whose place is remembered on the way.
const MAX_MEMO: usize = 4096;

impl BareClone {
    /// As [`BareClone::last_change`] for each of many files, at the price of one walk. A file that none of the last
    /// 50,000 commits changed is left out.
    pub fn last_changes(&self, commit: &CommitId, paths: &[RepoPath]) -> Result<HashMap<String, CommitInfo>> {
        let repo = self.repo()?;
        commit_of(&repo, commit)?;
        let roots = roots(&repo)?;
        let mut folders: BTreeMap<&str, Folder<'_>> = BTreeMap::new();
        for path in paths {
            let (folder, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
            folders.entry(folder).or_insert_with(|| Folder::new(folder)).wanted.insert(name);
        }
        let mut found = HashMap::new();
        let mut revisions = repo.revwalk()?;
        revisions.push(commit.oid())?;
        for oid in revisions.take(MAX_WALK) {
            let oid = oid?;
            if roots.contains(&oid) {
                // What a commit changed cannot be told without its parents.
                return Err(Error::NeedsHistory);
            }
            let commit = commit_of(&repo, &oid.into())?;
            for folder in folders.values_mut() {
                for name in folder.changed(&repo, &commit)? {
                    found.insert(folder.path_of(name), describe(&commit));
                    folder.wanted.remove(name);
                }
            }
            folders.retain(|_, folder| !folder.wanted.is_empty());
            if folders.is_empty() {
                break;
            }
        }
        Ok(found)
    }
}

/// A folder, and the files in it that are still looked for.
struct Folder<'p> {
    path: &'p str,
    wanted: HashSet<&'p str>,
    memo: HashMap<Oid, Option<Oid>>,
}

impl<'p> Folder<'p> {
    fn new(path: &'p str) -> Self {
        Self { path, wanted: HashSet::new(), memo: HashMap::new() }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }

    /// The files looked for at which the commit differs from all of its parents.
    fn changed(&mut self, repo: &Repository, commit: &Commit<'_>) -> Result<Vec<&'p str>> {
        let here = self.below(repo, commit.tree_id())?;
        let mut parents = Vec::new();
        for parent in commit.parent_ids() {
            let parent = self.below(repo, commit_of(repo, &parent.into())?.tree_id())?;
            if parent == here {
                return Ok(Vec::new());
            }
            parents.push(parent);
        }
        let load = |oid: Option<Oid>| oid.map(|oid| bounded_tree(repo, oid)).transpose();
        let here = load(here)?;
        let parents = parents.into_iter().map(load).collect::<Result<Vec<_>>>()?;
        if let (Some(here), [Some(parent)]) = (&here, &parents[..])
            && let Some(changed) = self.aligned(here, parent)
        {
            return Ok(changed);
        }
        let differs = |name: &&&str| {
            let now = file(here.as_ref(), name);
            if parents.is_empty() { now.is_some() } else { parents.iter().all(|then| file(then.as_ref(), name) != now) }
        };
        Ok(self.wanted.iter().filter(differs).copied().collect())
    }

    /// The differences of two folders that hold the same names in the same order, as after most commits; `None` where
    /// they do not. Large folders are gone through once instead of once for each name.
    fn aligned(&self, here: &Tree<'_>, then: &Tree<'_>) -> Option<Vec<&'p str>> {
        if here.len() != then.len() {
            return None;
        }
        let mut changed = Vec::new();
        for (now, before) in here.iter().zip(then.iter()) {
            if now.name_bytes() != before.name_bytes() {
                return None;
            }
            let same = (now.id(), now.filemode_raw()) == (before.id(), before.filemode_raw());
            if same || !(mode_is_file(now.filemode_raw()) || mode_is_file(before.filemode_raw())) {
                continue;
            }
            changed.extend(now.name().ok().and_then(|name| self.wanted.get(name)).copied());
        }
        Some(changed)
    }

    /// The folder's tree below the root `tree`.
    fn below(&mut self, repo: &Repository, root: Oid) -> Result<Option<Oid>> {
        if let Some(known) = self.memo.get(&root) {
            return Ok(*known);
        }
        let mut at = Some(root);
        for name in self.path.split('/').filter(|name| !name.is_empty()) {
            let Some(tree) = at else { break };
            at = match entry(&bounded_tree(repo, tree)?, name) {
                Some((oid, MODE_TREE)) => Some(oid),
                _ => None,
            };
        }
        if self.memo.len() >= MAX_MEMO {
            self.memo.clear();
        }
        self.memo.insert(root, at);
        Ok(at)
    }
}

fn file(folder: Option<&Tree<'_>>, name: &str) -> Option<(Oid, i32)> {
    entry(folder?, name).filter(|(_, mode)| mode_is_file(*mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileChange, Identity, RemoteUrl};

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

        /// One walk for many finds what one walk each finds, through edits, removals, returns and merges.
        #[test]
        fn many_are_found_as_one_by_one(
            steps in proptest::collection::vec((0usize..6, proptest::option::weighted(0.8, 0u8..4), 0u8..10), 1..24),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let url = RemoteUrl::local(&dir.path().join("nowhere")).unwrap();
            let clone = BareClone::open_or_create(&dir.path().join("clone"), &url).unwrap();
            let paths: Vec<RepoPath> =
                ["top", "d/a", "d/b", "d/c", "d/e/f", "g/h"].map(|path| RepoPath::parse(path).unwrap()).to_vec();
            let who = Identity { name: "A".into(), email: "a@example.org".into() };
            let mut tips: Vec<CommitId> = Vec::new();
            for (at, (path, content, kind)) in steps.into_iter().enumerate() {
                // Now and then from an older commit, and now and then a merge.
                let back = if kind == 0 { tips.len() / 2 } else { tips.len() };
                let base = back.checked_sub(1).map(|index| tips[index].clone());
                let content = content.map(|content| vec![b'x'; usize::from(content) + 1]);
                let change = FileChange { path: paths[path].clone(), content };
                let Ok(mut tip) = clone.commit(base.as_ref(), &[change], &who, &format!("step {at}")) else { continue };
                if kind == 1 && !tips.is_empty() {
                    let repo = clone.repo().unwrap();
                    let by = git2::Signature::now("A", "a@example.org").unwrap();
                    let (one, two) = (repo.find_commit(tip.oid()).unwrap(), repo.find_commit(tips[0].oid()).unwrap());
                    let merged = repo.commit(None, &by, &by, "merge", &one.tree().unwrap(), &[&one, &two]).unwrap();
                    tip = merged.into();
                }
                tips.push(tip);
            }
            if let Some(tip) = tips.last() {
                let many = clone.last_changes(tip, &paths).unwrap();
                for path in &paths {
                    let one = clone.last_change(tip, path).unwrap();
                    proptest::prop_assert_eq!(many.get(path.as_str()), one.as_ref(), "{}", path);
                }
            }
        }
    }
}
