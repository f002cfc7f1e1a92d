//! A bare clone in the app's data folder.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use git2::{Config, Repository, RepositoryInitOptions, RepositoryOpenFlags};

use crate::access::Access;
use crate::error::{Error, Result};
use crate::ids::CommitId;
use crate::remote_url::RemoteUrl;
use crate::signing::SigningKey;

/// A clone without a work tree. Cheap to clone and to send between threads: every call opens the folder anew.
#[derive(Debug, Clone)]
pub struct BareClone {
    pub(crate) dir: PathBuf,
    pub(crate) url: RemoteUrl,
    /// What its commits are signed with.
    pub(crate) signer: Option<SigningKey>,
}

impl BareClone {
    /// Opens the clone in `dir`, or makes an empty one there. It is made beside its place and then moved, so that a
    /// process killed on the way leaves nothing half done.
    pub fn open_or_create(dir: &Path, url: &RemoteUrl) -> Result<Self> {
        let clone = Self { dir: dir.to_owned(), url: url.clone(), signer: None };
        if dir.join("HEAD").is_file() && dir.join("objects").is_dir() {
            open_isolated(dir)?;
            return Ok(clone);
        }
        let failed = |error: std::io::Error| clone_error(dir, error);
        let parent = dir.parent().ok_or_else(|| clone_error(dir, "it has no parent folder"))?;
        fs::create_dir_all(parent).map_err(failed)?;
        let fresh = tempfile::Builder::new().prefix(".clone-").tempdir_in(parent).map_err(failed)?;
        let place = fresh.path().join("repo");
        create_bare(&place)?;
        match fs::rename(&place, dir) {
            Ok(()) => {}
            // Somebody else was quicker.
            Err(_) if dir.join("HEAD").is_file() => {}
            Err(error) => return Err(failed(error)),
        }
        open_isolated(dir)?;
        Ok(clone)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The remote's address.
    pub fn url(&self) -> &RemoteUrl {
        &self.url
    }

    /// The branch's newest commit as of the last fetch or push; asks no server.
    pub fn tip(&self, branch: &str) -> Result<Option<CommitId>> {
        check_branch(branch)?;
        tracked(&self.repo()?, branch)
    }

    pub(crate) fn repo(&self) -> Result<Repository> {
        open_isolated(&self.dir)
    }

    pub(crate) fn host(&self) -> String {
        self.url.host().unwrap_or("the local repository").to_owned()
    }

    /// Waits for the sole right to change this clone, across processes. While it is held, any lock file in the clone
    /// is left over from a process that died, and is removed.
    pub(crate) fn hold(&self, access: &Access) -> Result<Hold> {
        let path = self.dir.join("pilothouse.lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| clone_error(&self.dir, error))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if access.cancelled() => return Err(Error::Cancelled),
                Err(TryLockError::WouldBlock) if start.elapsed() < access.limits.stall => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(clone_error(&self.dir, "another operation holds it"));
                }
                Err(TryLockError::Error(error)) => return Err(clone_error(&self.dir, error)),
            }
        }
        sweep(&self.dir, &["refs"], true);
        sweep(&self.dir, &["objects/pack"], false);
        Ok(Hold(Arc::new(file)))
    }
}

/// The sole right to change a clone; ends with the last copy, or at [`Hold::release`].
#[derive(Debug, Clone)]
pub(crate) struct Hold(Arc<File>);

impl Hold {
    /// Gives the right up although a conversation that was left behind still has a copy.
    pub(crate) fn release(&self) {
        let _ = self.0.unlock();
    }
}

/// Removes what a killed process left: lock files of references, or packs that never got their name.
fn sweep(dir: &Path, below: &[&str], locks: bool) {
    let mut folders: Vec<PathBuf> = below.iter().map(|name| dir.join(name)).collect();
    if locks {
        for name in ["HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock"] {
            let _ = fs::remove_file(dir.join(name));
        }
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else if if locks { name.ends_with(".lock") } else { !name.starts_with("pack-") } {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

pub(crate) fn clone_error(dir: &Path, why: impl ToString) -> Error {
    Error::Clone { path: dir.display().to_string(), why: why.to_string() }
}

/// Makes an empty bare repository without any template.
pub(crate) fn create_bare(dir: &Path) -> Result<()> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).no_reinit(true).external_template(false).mkpath(true).initial_head("none");
    let repo = Repository::init_opts(dir, &options).map_err(|error| clone_error(dir, error.message()))?;
    let mut config = Config::open(&repo.path().join("config"))?;
    // A credential must never follow a redirect to another server.
    config.set_bool("http.followRedirects", false)?;
    Ok(())
}

/// Opens a bare repository with its own configuration only: rules such as `url.*.insteadOf` in the user's
/// configuration could send a credential elsewhere.
pub(crate) fn open_isolated(dir: &Path) -> Result<Repository> {
    let flags = RepositoryOpenFlags::BARE | RepositoryOpenFlags::NO_SEARCH;
    let repo = Repository::open_ext(dir, flags, std::iter::empty::<&Path>())
        .map_err(|error| clone_error(dir, error.message()))?;
    repo.set_config(&Config::open(&dir.join("config"))?)?;
    Ok(repo)
}

/// Checks that `branch` is a branch name and cannot be read as anything else.
pub(crate) fn check_branch(branch: &str) -> Result<()> {
    let name = format!("refs/heads/{branch}");
    let plain = !branch.is_empty() && branch.len() <= 250 && !branch.starts_with('-') && branch != "HEAD";
    if plain && git2::Reference::is_valid_name(&name) && !branch.chars().any(|c| c.is_control() || c == '\u{202e}') {
        return Ok(());
    }
    Err(Error::BadBranch { name: crate::repo_path::printable(branch) })
}

/// Where the remote's branch is kept.
pub(crate) fn tracking(branch: &str) -> String {
    format!("refs/remotes/origin/{branch}")
}

/// The remote's branch as last seen.
pub(crate) fn tracked(repo: &Repository, branch: &str) -> Result<Option<CommitId>> {
    match repo.refname_to_id(&tracking(branch)) {
        Ok(oid) => Ok(Some(oid.into())),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
