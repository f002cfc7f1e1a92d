//! Writing commits straight into the object database.

use std::collections::BTreeMap;

use git2::{Oid, Repository, Signature, Tree};
use unicode_normalization::UnicodeNormalization;

use crate::bare_clone::BareClone;
use crate::error::{Error, Result};
use crate::ids::CommitId;
use crate::repo_path::RepoPath;
use crate::signing::{SigningKey, write_commit};
use crate::tree::{MODE_EXECUTABLE, MODE_FILE, MODE_TREE, bounded_tree, entry, not_a_file, tree_of};

/// The longest commit message, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;

/// Who makes a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
}

/// A file's new content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Which file.
    pub path: RepoPath,
    /// The content; `None` removes the file.
    pub content: Option<Vec<u8>>,
}

impl BareClone {
    /// Writes a commit on top of `base` (without one: a first commit) and moves no branch. A file keeps its executable
    /// mark. [`Error::NothingChanged`] when the files are as they were; [`Error::NotAFile`] where a link, submodule
    /// or folder is in the way.
    pub fn commit(
        &self,
        base: Option<&CommitId>,
        changes: &[FileChange],
        identity: &Identity,
        message: &str,
    ) -> Result<CommitId> {
        let changes: Vec<_> = changes.iter().map(|change| (&change.path, change.content.as_deref())).collect();
        write(&self.repo()?, base, &changes, identity, message, self.signer.as_ref())
    }
}

/// As [`BareClone::commit`], in an open repository.
pub(crate) fn write(
    repo: &Repository,
    base: Option<&CommitId>,
    changes: &[(&RepoPath, Option<&[u8]>)],
    identity: &Identity,
    message: &str,
    signer: Option<&SigningKey>,
) -> Result<CommitId> {
    let signature = signature(identity)?;
    let message = tidy(message)?;
    let tree = base.map(|base| tree_of(repo, base)).transpose()?;
    let new = changed(repo, tree.as_ref(), changes)?;
    if new == tree.as_ref().map_or(changed(repo, None, &[])?, Tree::id) {
        return Err(Error::NothingChanged);
    }
    let new = repo.find_tree(new)?;
    let parent = base.map(|base| repo.find_commit(base.oid())).transpose()?;
    let parents: Vec<_> = parent.iter().collect();
    Ok(write_commit(repo, signer, &signature, &message, &new, &parents)?.into())
}

/// Writes the tree that `changes` make of `tree`.
pub(crate) fn changed(
    repo: &Repository,
    tree: Option<&Tree<'_>>,
    changes: &[(&RepoPath, Option<&[u8]>)],
) -> Result<Oid> {
    let mut root = Edits::default();
    for (path, content) in changes {
        root.add(path, path.as_str(), *content);
    }
    match root.apply(repo, tree)? {
        Some(tree) => Ok(tree),
        None => Ok(repo.treebuilder(None)?.write()?),
    }
}

/// Changes below one folder.
#[derive(Default)]
struct Edits<'a> {
    files: BTreeMap<&'a str, (&'a RepoPath, Option<&'a [u8]>)>,
    folders: BTreeMap<&'a str, (&'a RepoPath, Edits<'a>)>,
}

impl<'a> Edits<'a> {
    fn add(&mut self, path: &'a RepoPath, rest: &'a str, content: Option<&'a [u8]>) {
        match rest.split_once('/') {
            Some((folder, rest)) => {
                let (_, edits) = self.folders.entry(folder).or_insert_with(|| (path, Self::default()));
                edits.add(path, rest, content);
            }
            None => {
                self.files.insert(rest, (path, content));
            }
        }
    }

    /// Writes the folder anew; `None` when nothing is left in it.
    fn apply(&self, repo: &Repository, old: Option<&Tree<'_>>) -> Result<Option<Oid>> {
        let mut builder = repo.treebuilder(old)?;
        let before = |name: &str| old.and_then(|tree| entry(tree, name));
        for (name, (path, content)) in &self.files {
            let mode = match before(name) {
                Some((_, mode)) if mode & 0o170_000 != 0o100_000 => return Err(not_a_file(path, mode, false)),
                Some((_, mode)) if mode & 0o111 != 0 => MODE_EXECUTABLE,
                Some(_) => MODE_FILE,
                None => {
                    if content.is_some() {
                        no_twin(old, name, path)?;
                    }
                    MODE_FILE
                }
            };
            match content {
                Some(bytes) => {
                    builder.insert(*name, repo.blob(bytes)?, mode)?;
                }
                None if before(name).is_some() => builder.remove(*name)?,
                None => {}
            }
        }
        for (name, (path, edits)) in &self.folders {
            let inner = match before(name) {
                Some((oid, MODE_TREE)) => Some(bounded_tree(repo, oid)?),
                Some((_, mode)) => return Err(not_a_file(path, mode, true)),
                None => {
                    no_twin(old, name, path)?;
                    None
                }
            };
            match edits.apply(repo, inner.as_ref())? {
                Some(oid) => {
                    builder.insert(*name, oid, MODE_TREE)?;
                }
                None if inner.is_some() => builder.remove(*name)?,
                None => {}
            }
        }
        if builder.is_empty() { Ok(None) } else { Ok(Some(builder.write()?)) }
    }
}

/// Refuses a new name that differs from one that is there by case or Unicode form only: on macOS and Windows one would
/// hide the other.
fn no_twin(tree: Option<&Tree<'_>>, name: &str, path: &RepoPath) -> Result<()> {
    let folded = fold(name);
    for entry in tree.into_iter().flat_map(Tree::iter) {
        if let Ok(other) = entry.name()
            && other != name
            && fold(other) == folded
        {
            let shown = crate::repo_path::printable(other);
            let why = format!("{shown} is already there and differs only in case or in the form of its letters");
            return Err(Error::BadPath { path: path.to_string(), why });
        }
    }
    Ok(())
}

fn fold(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase().nfc().collect()
}

fn signature(identity: &Identity) -> Result<Signature<'static>> {
    let (name, email) = (identity.name.trim(), identity.email.trim());
    let odd = |text: &str| text.len() > 250 || text.contains(['<', '>']) || text.chars().any(char::is_control);
    if name.is_empty() || odd(name) {
        return Err(Error::BadIdentity("give a name for commits, without < and >"));
    }
    if email.is_empty() || odd(email) || email.contains(' ') {
        return Err(Error::BadIdentity("give an e-mail address for commits"));
    }
    Ok(Signature::now(name, email)?)
}

/// The message without control characters, with one final newline.
pub(crate) fn tidy(message: &str) -> Result<String> {
    if message.len() > MAX_MESSAGE {
        let size = message.len() as u64;
        return Err(Error::TooLarge { what: "the message".to_owned(), size, limit: MAX_MESSAGE as u64 });
    }
    let text: String =
        message.replace("\r\n", "\n").chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect();
    if text.trim().is_empty() {
        return Err(Error::BadIdentity("give the commit a message"));
    }
    Ok(format!("{}\n", text.trim()))
}
