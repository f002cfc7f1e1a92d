//! The bare Git repositories of the practice cluster, on disk and without a Git server:
//! a client reaches them by path. Tests point the same type at the directory that their
//! real Git server serves.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use git2::{ErrorCode, ObjectType, Oid, Repository, RepositoryInitOptions, Signature, Time};

use crate::{Error, Result};

/// What a repository holds when an operator looks at it before it provisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepositoryState {
    /// There is no repository at this path.
    Missing,
    /// The repository exists and has no commit.
    Empty,
    /// The repository exists and has at least one branch.
    WithHistory,
}

/// What the actors ask of the Git server that the platform works with.
/// Repositories are named as `gitUrlPath` names them, without the leading slash (`acme/cart`).
pub trait GitAccess: Send + Sync {
    /// Looks whether the repository exists and has commits.
    fn state(&self, repository: &str) -> Result<RepositoryState>;
    /// Creates the repository (when missing) with one commit on `branch`.
    fn create(&self, repository: &str, branch: &str, files: &[(String, String)], message: &str) -> Result<()>;
    /// The commit id that a branch, a tag or a commit id names now.
    fn resolve(&self, repository: &str, revision: &str) -> Result<Option<String>>;
    /// The text of a file at a revision; none when the revision or the file is missing.
    fn read(&self, repository: &str, revision: &str, path: &str) -> Result<Option<String>>;
}

/// A directory of bare repositories: `<dir>/<owner>/<name>.git`.
pub struct GitRemote {
    dir: PathBuf,
    // One writer at a time, so that two commits to one branch never race inside this process.
    writer: Mutex<()>,
}

/// The greatest file that `read` returns, in bytes.
const READ_LIMIT: usize = 2 * 1024 * 1024;

impl GitRemote {
    /// Opens the directory, made when missing; repositories already in it are kept.
    pub fn create(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|source| Error::Disk { path: dir.to_path_buf(), source })?;
        Ok(Self { dir: dir.to_path_buf(), writer: Mutex::new(()) })
    }

    /// The directory that holds the repositories.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a repository is or would be on disk.
    pub fn path(&self, repository: &str) -> PathBuf {
        let mut path = self.dir.clone();
        path.extend(segments(repository));
        path.as_mut_os_string().push(".git");
        path
    }

    /// Creates a bare repository without a commit, whose HEAD names `default_branch`.
    /// An existing repository is left as it is.
    pub fn create_repo(&self, name: &str, default_branch: &str) -> Result<PathBuf> {
        check_name(name)?;
        let path = self.path(name);
        if Repository::open_bare(&path).is_err() {
            let mut options = RepositoryInitOptions::new();
            options.bare(true).mkpath(true).no_reinit(true).external_template(false).initial_head(default_branch);
            Repository::init_opts(&path, &options).map_err(|e| git(name, "create", e))?;
        }
        Ok(path)
    }

    /// Commits files onto a branch (created when missing); other files of the branch stay.
    /// Returns the commit id.
    pub fn commit_files(
        &self,
        repository: &str,
        branch: &str,
        files: &[(&str, &str)],
        message: &str,
    ) -> Result<String> {
        let _writer = self.writer.lock().unwrap_or_else(|e| e.into_inner());
        let repo = self.open(repository)?;
        let failed = |e| git(repository, "commit to", e);
        let reference = format!("refs/heads/{branch}");
        let parent = match repo.find_reference(&reference) {
            Ok(r) => Some(r.peel_to_commit().map_err(failed)?),
            Err(e) if e.code() == ErrorCode::NotFound => None,
            Err(e) => return Err(failed(e)),
        };
        let mut tree = match &parent {
            Some(commit) => Some(commit.tree().map_err(failed)?),
            None => None,
        };
        for (path, text) in files {
            let blob = repo.blob(text.as_bytes()).map_err(failed)?;
            let parts: Vec<&str> = segments(path).collect();
            let id = place(&repo, tree.as_ref(), &parts, blob).map_err(failed)?;
            tree = Some(repo.find_tree(id).map_err(failed)?);
        }
        let tree = match tree {
            Some(tree) => tree,
            None => {
                let id = repo.treebuilder(None).and_then(|b| b.write()).map_err(failed)?;
                repo.find_tree(id).map_err(failed)?
            }
        };
        let seconds = jiff::Timestamp::now().as_second();
        let who = Signature::new("Practice Platform", "platform@git.practice.local", &Time::new(seconds, 0))
            .map_err(failed)?;
        let parents: Vec<_> = parent.iter().collect();
        let id = repo.commit(Some(&reference), &who, &who, message, &tree, &parents).map_err(failed)?;
        Ok(id.to_string())
    }

    /// Puts a lightweight tag on what `revision` names; a tag of that name moves.
    pub fn tag(&self, repository: &str, name: &str, revision: &str) -> Result<()> {
        let repo = self.open(repository)?;
        let id = find(&repo, revision)
            .ok_or_else(|| Error::Revision { repository: repository.into(), revision: revision.into() })?;
        repo.reference(&format!("refs/tags/{name}"), id, true, "tag").map_err(|e| git(repository, "tag", e))?;
        Ok(())
    }

    /// The text of a file at a branch, tag or commit; none when either is missing.
    pub fn read(&self, repository: &str, revision: &str, path: &str) -> Result<Option<String>> {
        if !self.path(repository).exists() {
            return Ok(None);
        }
        let repo = self.open(repository)?;
        let failed = |e| git(repository, "read", e);
        let Some(id) = find(&repo, revision) else {
            return Ok(None);
        };
        let tree = repo.find_commit(id).and_then(|c| c.tree()).map_err(failed)?;
        let entry = match tree.get_path(Path::new(path)) {
            Ok(entry) if entry.kind() == Some(ObjectType::Blob) => entry,
            Ok(_) => return Ok(None),
            Err(e) if e.code() == ErrorCode::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let blob = repo.find_blob(entry.id()).map_err(failed)?;
        if blob.size() > READ_LIMIT {
            return Err(Error::TooLarge { path: path.into(), limit: READ_LIMIT });
        }
        Ok(Some(String::from_utf8_lossy(blob.content()).into_owned()))
    }

    fn open(&self, repository: &str) -> Result<Repository> {
        check_name(repository)?;
        Repository::open_bare(self.path(repository)).map_err(|e| git(repository, "open", e))
    }
}

impl GitAccess for GitRemote {
    fn state(&self, repository: &str) -> Result<RepositoryState> {
        check_name(repository)?;
        if !self.path(repository).exists() {
            return Ok(RepositoryState::Missing);
        }
        let repo = self.open(repository)?;
        let mut branches = repo.references_glob("refs/heads/*").map_err(|e| git(repository, "list branches of", e))?;
        Ok(match branches.next() {
            Some(_) => RepositoryState::WithHistory,
            None => RepositoryState::Empty,
        })
    }

    fn create(&self, repository: &str, branch: &str, files: &[(String, String)], message: &str) -> Result<()> {
        self.create_repo(repository, branch)?;
        let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (&**p, &**t)).collect();
        self.commit_files(repository, branch, &files, message)?;
        self.open(repository)?
            .set_head(&format!("refs/heads/{branch}"))
            .map_err(|e| git(repository, "set the default branch of", e))
    }

    fn resolve(&self, repository: &str, revision: &str) -> Result<Option<String>> {
        if !self.path(repository).exists() {
            return Ok(None);
        }
        let repo = self.open(repository)?;
        Ok(find(&repo, revision).map(|id| id.to_string()))
    }

    fn read(&self, repository: &str, revision: &str, path: &str) -> Result<Option<String>> {
        GitRemote::read(self, repository, revision, path)
    }
}

/// Branch first, then tag, then a full commit id: never a revision expression.
fn find(repo: &Repository, revision: &str) -> Option<Oid> {
    for name in [format!("refs/heads/{revision}"), format!("refs/tags/{revision}")] {
        if let Ok(reference) = repo.find_reference(&name) {
            return reference.peel_to_commit().ok().map(|c| c.id());
        }
    }
    if revision == "HEAD" {
        return repo.head().ok()?.peel_to_commit().ok().map(|c| c.id());
    }
    let id = Oid::from_str(revision).ok()?;
    (revision.len() == 40).then(|| repo.find_commit(id).ok().map(|c| c.id())).flatten()
}

/// Writes the trees from the changed leaf up to a new root.
fn place(
    repo: &Repository,
    tree: Option<&git2::Tree<'_>>,
    parts: &[&str],
    blob: Oid,
) -> std::result::Result<Oid, git2::Error> {
    let mut builder = repo.treebuilder(tree)?;
    match parts {
        [] => return Err(git2::Error::from_str("a file needs a name")),
        [file] => {
            builder.insert(file, blob, 0o100_644)?;
        }
        [folder, rest @ ..] => {
            let below = match tree.and_then(|t| t.get_name(folder)) {
                Some(entry) if entry.kind() == Some(ObjectType::Tree) => Some(repo.find_tree(entry.id())?),
                _ => None,
            };
            let id = place(repo, below.as_ref(), rest, blob)?;
            builder.insert(folder, id, 0o040_000)?;
        }
    }
    builder.write()
}

fn segments(name: &str) -> impl Iterator<Item = &str> {
    name.split('/').filter(|s| !s.is_empty())
}

/// A repository name comes from a Codebase, so it may try to leave the directory.
fn check_name(name: &str) -> Result<()> {
    let fine = segments(name).count() > 0
        && segments(name)
            .all(|s| s != "." && s != ".." && s.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
    match fine {
        true => Ok(()),
        false => Err(Error::RepositoryName { name: name.into() }),
    }
}

fn git(repository: &str, verb: &'static str, source: git2::Error) -> Error {
    Error::Git { verb, repository: repository.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_tags_and_reads_without_touching_other_files() {
        let dir = tempfile::tempdir().unwrap();
        let remote = GitRemote::create(dir.path()).unwrap();
        assert_eq!(remote.state("acme/cart").unwrap(), RepositoryState::Missing);
        remote.create_repo("acme/cart", "main").unwrap();
        assert_eq!(remote.state("acme/cart").unwrap(), RepositoryState::Empty);
        remote
            .commit_files(
                "acme/cart",
                "main",
                &[("deploy-templates/values.yaml", "a: 1\n"), ("README.md", "x")],
                "First",
            )
            .unwrap();
        remote.tag("acme/cart", "build/1", "main").unwrap();
        remote.commit_files("acme/cart", "main", &[("deploy-templates/values.yaml", "a: 2\n")], "Second").unwrap();
        let at = |rev, path| remote.read("acme/cart", rev, path).unwrap();
        assert_eq!(at("build/1", "deploy-templates/values.yaml").as_deref(), Some("a: 1\n"));
        assert_eq!(at("main", "deploy-templates/values.yaml").as_deref(), Some("a: 2\n"));
        assert_eq!(at("main", "README.md").as_deref(), Some("x"));
        assert_eq!(at("build/9", "README.md"), None);
        assert_eq!(at("main", "deploy-templates"), None);
        assert_eq!(remote.state("acme/cart").unwrap(), RepositoryState::WithHistory);
    }

    #[test]
    fn names_stay_inside_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let remote = GitRemote::create(dir.path()).unwrap();
        for name in ["", "/", "../out", "a/../../b", "a b", "a\0b"] {
            assert!(remote.create_repo(name, "main").is_err(), "{name:?}");
        }
    }
}
