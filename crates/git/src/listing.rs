//! A folder's entries in pages, shown as what they are, with a warning where a name could do harm on somebody's disk.

use std::collections::HashMap;

use git2::{Oid, Repository, Tree};
use serde::Serialize;

use crate::bare_clone::BareClone;
use crate::error::{Error, Result};
use crate::harm::{self, Harm};
use crate::ids::CommitId;
use crate::repo_path::{RepoPath, printable};
use crate::tree::{
    MODE_LINK, MODE_SUBMODULE, MODE_TREE, blob_head, bounded_tree, entry, mode_is_file, not_a_file, tree_of,
};

/// The most entries of one page.
const MAX_PAGE: usize = 1000;
/// The longest target of a link that is shown, in bytes.
const MAX_TARGET: usize = 4096;

/// What an entry of a folder is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub enum FolderItem {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Its size in bytes; `None` when the object is not in the clone.
        size: Option<u64>,
    },
    /// A file marked executable.
    Executable {
        /// Its size in bytes; `None` when the object is not in the clone.
        size: Option<u64>,
    },
    /// A symbolic link; never followed.
    Symlink {
        /// Where it points, made printable; `None` when that is longer than 4 KiB or not in the clone.
        target: Option<String>,
        /// Whether it points out of the repository.
        escapes: bool,
    },
    /// Another repository's commit; never entered. The entry's hash names the commit.
    Submodule,
    /// A mode that Git does not know.
    Unknown,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FolderEntry {
    /// The name, made printable.
    pub name: String,
    /// The path from the root, when the entry may be opened.
    pub path: Option<RepoPath>,
    /// What it is.
    pub item: FolderItem,
    /// The object's hash.
    pub id: String,
    /// How the name, or what a link points to, could do harm where somebody checks the repository out.
    pub harms: Vec<Harm>,
}

/// Some of a folder's entries, in Git's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FolderPage {
    /// The entries.
    pub entries: Vec<FolderEntry>,
    /// How many the folder has in all.
    pub total: usize,
    /// Give this to the next call to go on; `None` at the end. It holds across commits: entries that were there
    /// before and stay are neither repeated nor left out.
    pub next: Option<String>,
}

impl BareClone {
    /// At most `limit` (1 to 1000) entries of `folder`, or of the root, after `cursor`. Folders within are not entered.
    /// [`Error::NotAFile`] where `folder` is no folder, [`Error::NoFolder`] where nothing is, [`Error::BadCursor`]
    /// for a cursor that is none of ours.
    pub fn folder(
        &self,
        commit: &CommitId,
        folder: Option<&RepoPath>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<FolderPage> {
        let repo = self.repo()?;
        let mut tree = tree_of(&repo, commit)?;
        for component in folder.into_iter().flat_map(RepoPath::components) {
            let missing = || Error::NoFolder { path: folder.map(ToString::to_string).unwrap_or_default() };
            let (oid, mode) = entry(&tree, component).ok_or_else(missing)?;
            tree = match (mode, folder) {
                (MODE_TREE, _) => bounded_tree(&repo, oid)?,
                (_, Some(folder)) => return Err(not_a_file(folder, mode, true)),
                (_, None) => return Err(missing()),
            };
        }
        page(&repo, &tree, folder, cursor, limit.clamp(1, MAX_PAGE))
    }
}

/// A raw entry: its place in Git's order, and what stands there.
struct Raw {
    key: Vec<u8>,
    name: Vec<u8>,
    oid: Oid,
    mode: i32,
}

fn page(
    repo: &Repository,
    tree: &Tree<'_>,
    folder: Option<&RepoPath>,
    cursor: Option<&str>,
    limit: usize,
) -> Result<FolderPage> {
    let after = cursor.map(Cursor::parse).transpose()?;
    let mut raws: Vec<Raw> = tree
        .iter()
        .map(|entry| {
            let (name, mode) = (entry.name_bytes().to_vec(), entry.filemode_raw());
            let mut key = name.clone();
            if mode == MODE_TREE {
                key.push(b'/');
            }
            Raw { key, name, oid: entry.id(), mode }
        })
        .collect();
    // A tree made by hand need not be in order; the cursor relies on it.
    raws.sort_by(|a, b| a.key.cmp(&b.key));
    let total = raws.len();
    let start = after.map_or(0, |cursor| cursor.place_in(&raws));
    let end = (start + limit).min(total);
    let (by_fold, by_form) = twins(&raws);
    let mut entries = Vec::with_capacity(end - start);
    for raw in &raws[start..end] {
        let mut harms = harm::of_name(&raw.name, raw.mode == MODE_LINK);
        if by_fold.get(&harm::folded(&raw.name)).is_some_and(|&count| count > 1) {
            let same_form = by_form.get(&harm::composed(&raw.name)).is_some_and(|&count| count > 1);
            harms.push(if same_form { Harm::FormTwin } else { Harm::CaseTwin });
        }
        let item = item(repo, raw);
        if matches!(item, FolderItem::Symlink { escapes: true, .. }) {
            harms.push(Harm::LinkEscapes);
        }
        // A slash within one name would be read as a way through folders.
        let name = std::str::from_utf8(&raw.name).ok().filter(|name| !name.contains('/'));
        let path = name.and_then(|name| {
            let whole = folder.map_or_else(|| name.to_owned(), |folder| format!("{folder}/{name}"));
            RepoPath::parse(&whole).ok()
        });
        let name = printable(&String::from_utf8_lossy(&raw.name));
        entries.push(FolderEntry { name, path, item, id: raw.oid.to_string(), harms });
    }
    let next = (end < total).then(|| Cursor::at(&raws, end - 1).to_string());
    Ok(FolderPage { entries, total, next })
}

/// How many entries share a folded name, and how many a composed one.
fn twins(raws: &[Raw]) -> (HashMap<Vec<u8>, u32>, HashMap<Vec<u8>, u32>) {
    let (mut by_fold, mut by_form) = (HashMap::with_capacity(raws.len()), HashMap::new());
    for raw in raws {
        *by_fold.entry(harm::folded(&raw.name)).or_insert(0) += 1;
    }
    for raw in raws {
        if by_fold.get(&harm::folded(&raw.name)).is_some_and(|&count| count > 1) {
            *by_form.entry(harm::composed(&raw.name)).or_insert(0) += 1;
        }
    }
    (by_fold, by_form)
}

fn item(repo: &Repository, raw: &Raw) -> FolderItem {
    let size = || blob_head(repo, raw.oid).map(|size| size as u64);
    match raw.mode {
        MODE_TREE => FolderItem::Folder,
        MODE_SUBMODULE => FolderItem::Submodule,
        MODE_LINK => {
            let target = blob_head(repo, raw.oid).filter(|&size| size <= MAX_TARGET);
            let target = target.and_then(|_| repo.find_blob(raw.oid).ok()).map(|blob| blob.content().to_vec());
            let escapes = target.as_ref().is_none_or(|target| harm::escapes(target));
            FolderItem::Symlink { target: target.map(|text| printable(&String::from_utf8_lossy(&text))), escapes }
        }
        mode if !mode_is_file(mode) => FolderItem::Unknown,
        mode if mode & 0o111 != 0 => FolderItem::Executable { size: size() },
        _ => FolderItem::File { size: size() },
    }
}

/// A place in a folder: after the n-th entry of that name, since hand-made trees can repeat one.
struct Cursor {
    key: Vec<u8>,
    nth: usize,
}

impl Cursor {
    fn at(raws: &[Raw], index: usize) -> Self {
        let key = raws[index].key.clone();
        let nth = raws[..index].iter().rev().take_while(|raw| raw.key == key).count();
        Self { key, nth }
    }

    fn place_in(&self, raws: &[Raw]) -> usize {
        let first = raws.partition_point(|raw| raw.key < self.key);
        let same = raws[first..].iter().take_while(|raw| raw.key == self.key).count();
        first + same.min(self.nth + 1)
    }

    fn parse(text: &str) -> Result<Self> {
        let read = || {
            let (hex, nth) = text.split_once('.')?;
            let whole =
                hex.len().is_multiple_of(2) && !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            let digits = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
            let key = (0..hex.len()).step_by(2).map(digits).collect::<Option<Vec<u8>>>()?;
            whole.then_some(Self { key, nth: nth.parse::<u32>().ok()? as usize })
        };
        read().ok_or_else(|| Error::BadCursor { text: printable(text) })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in &self.key {
            write!(f, "{byte:02x}")?;
        }
        write!(f, ".{}", self.nth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileChange, Identity, RemoteUrl};

    fn clone(dir: &std::path::Path) -> BareClone {
        BareClone::open_or_create(&dir.join("clone"), &RemoteUrl::local(&dir.join("nowhere")).unwrap()).unwrap()
    }

    fn commit(clone: &BareClone, base: Option<&CommitId>, names: &[&str]) -> CommitId {
        let changes: Vec<_> = names
            .iter()
            .map(|name| FileChange { path: RepoPath::parse(name).unwrap(), content: Some(b"x".to_vec()) })
            .collect();
        let who = Identity { name: "A".into(), email: "a@example.org".into() };
        clone.commit(base, &changes, &who, "add").unwrap()
    }

    fn names(page: &FolderPage) -> Vec<&str> {
        page.entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn pages_follow_each_other_also_when_the_folder_changes_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let clone = clone(dir.path());
        let first = commit(&clone, None, &["a", "b/x", "b.txt", "c", "d", "deep/er/f"]);
        let one = clone.folder(&first, None, None, 2).unwrap();
        assert_eq!((names(&one), one.total), (vec!["a", "b.txt"], 6));
        let second = commit(&clone, Some(&first), &["a0", "bb"]);
        let two = clone.folder(&second, None, one.next.as_deref(), 3).unwrap();
        assert_eq!(names(&two), ["b", "bb", "c"]);
        let three = clone.folder(&second, None, two.next.as_deref(), 1000).unwrap();
        assert_eq!((names(&three), three.next.as_deref()), (vec!["d", "deep"], None));
        let inner = clone.folder(&second, Some(&RepoPath::parse("deep/er").unwrap()), None, 9).unwrap();
        assert_eq!(inner.entries[0].path.as_ref().unwrap().as_str(), "deep/er/f");
        let file = clone.folder(&second, Some(&RepoPath::parse("a").unwrap()), None, 9);
        assert!(matches!(file, Err(Error::NotAFile { .. })));
        let none = clone.folder(&second, Some(&RepoPath::parse("no/where").unwrap()), None, 9);
        assert!(matches!(none, Err(Error::NoFolder { .. })));
    }

    #[test]
    fn foreign_cursors_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let clone = clone(dir.path());
        let tip = commit(&clone, None, &["a"]);
        for bad in ["", "x", "61", "6.0", "zz.0", "61.x", ".0", "é0.1", "61.-1"] {
            assert!(matches!(clone.folder(&tip, None, Some(bad), 5), Err(Error::BadCursor { .. })), "{bad}");
        }
    }
}
