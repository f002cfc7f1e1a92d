//! A repository of a test server, seen from the server's side.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::run;
use crate::error::{At, Error, Result};

/// Where a repository keeps the words with which its server refuses pushes.
pub(super) const REFUSAL: &str = "refused-by-server";

/// A bare repository on the server, driven with plain `git`.
#[derive(Debug, Clone)]
pub struct RepoHandle {
    /// Where it lies.
    pub path: PathBuf,
    /// Its address for clients.
    pub url: String,
    work: PathBuf,
}

impl RepoHandle {
    pub(super) fn create(path: PathBuf, url: String, work: PathBuf) -> Result<Self> {
        let mut command = plain_git();
        command.args(["init", "-q", "--bare", "--template=", "--initial-branch=main"]).arg(&path);
        run(&mut command)?;
        let repo = Self { path, url, work };
        repo.git(&["config", "http.receivepack", "true"])?;
        Ok(repo)
    }

    /// Runs `git` in the bare repository and gives what it wrote, without the last line end.
    pub fn git(&self, arguments: &[&str]) -> Result<String> {
        let mut command = plain_git();
        command.arg("-C").arg(&self.path).args(arguments);
        Ok(String::from_utf8_lossy(&run(&mut command)?).trim_end_matches('\n').to_owned())
    }

    /// As [`RepoHandle::git`], with `input` on its standard input.
    pub fn git_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<String> {
        let started = |source| Error::Start { program: "git".to_owned(), source };
        let mut child = plain_git()
            .arg("-C")
            .arg(&self.path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(started)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).map_err(started)?;
        }
        let output = child.wait_with_output().map_err(started)?;
        if !output.status.success() {
            let log = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::NotReady { what: format!("git {} failed", arguments.join(" ")), log });
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
    }

    /// The file's text on `branch`, if it is there.
    pub fn show(&self, branch: &str, path: &str) -> Option<String> {
        let mut command = plain_git();
        command.arg("-C").arg(&self.path).args(["show", &format!("refs/heads/{branch}:{path}")]);
        run(&mut command).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The branch's newest commit, if there is such a branch.
    pub fn tip(&self, branch: &str) -> Option<String> {
        self.git(&["rev-parse", "--verify", "-q", &format!("refs/heads/{branch}")]).ok()
    }

    /// How many commits the branch holds.
    pub fn commits(&self, branch: &str) -> Result<usize> {
        Ok(self.git(&["rev-list", "--count", &format!("refs/heads/{branch}")])?.parse().unwrap_or(0))
    }

    /// Somebody else's push to `main`: writes the file, commits, pushes; gives the commit.
    pub fn push_file(&self, path: &str, text: &str, message: &str) -> Result<String> {
        self.push_file_to("main", path, text, message)
    }

    /// As [`RepoHandle::push_file`], to `branch`, which is made if need be.
    pub fn push_file_to(&self, branch: &str, path: &str, text: &str, message: &str) -> Result<String> {
        self.edit(branch, message, |dir| {
            let file = dir.join(path);
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder).at("make a folder", folder)?;
            }
            fs::write(&file, text).at("write the file", &file)
        })
    }

    /// Somebody else's push of whatever `change` does to a work tree of `branch`; gives the commit.
    pub fn edit(&self, branch: &str, message: &str, change: impl FnOnce(&Path) -> Result<()>) -> Result<String> {
        let dir = tempfile::tempdir_in(&self.work).at("make a folder", &self.work)?;
        let work = dir.path();
        let git = |arguments: &[&str]| {
            let mut command = plain_git();
            command.current_dir(work).args(arguments);
            run(&mut command).map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        git(&["init", "-q", "--template=", &format!("--initial-branch={branch}")])?;
        let origin = self.path.to_string_lossy().into_owned();
        if self.tip(branch).is_some() {
            git(&["fetch", "-q", &origin, branch])?;
            git(&["reset", "-q", "--hard", "FETCH_HEAD"])?;
        }
        change(work)?;
        git(&["add", "-A"])?;
        git(&["commit", "-q", "--allow-empty", "-m", message])?;
        git(&["push", "-q", &origin, &format!("HEAD:refs/heads/{branch}")])?;
        git(&["rev-parse", "HEAD"])
    }

    /// Clones with plain `git` into `dir`, from the server's own folder.
    pub fn clone_to(&self, dir: &Path) -> Result<()> {
        run(plain_git().args(["clone", "-q"]).arg(&self.path).arg(dir)).map(drop)
    }

    /// Installs a hook, such as `pre-receive`; `script` is the whole file.
    pub fn install_hook(&self, name: &str, script: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = self.path.join("hooks");
        fs::create_dir_all(&folder).at("make a folder", &folder)?;
        let file = folder.join(name);
        fs::write(&file, script).at("write the hook", &file)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).at("make the hook runnable", &file)
    }

    /// Removes a hook.
    pub fn remove_hook(&self, name: &str) -> Result<()> {
        let file = self.path.join("hooks").join(name);
        fs::remove_file(&file).at("remove the hook", &file)
    }

    /// The server itself refuses pushes with these words, before git is asked: over HTTPS with status 403, over SSH
    /// on the error channel. `None` takes them again.
    pub fn refuse_pushes(&self, words: Option<&str>) -> Result<()> {
        let file = self.path.join(REFUSAL);
        match words {
            Some(words) => fs::write(&file, format!("{words}\n")).at("write the refusal", &file),
            None => fs::remove_file(&file).at("remove the refusal", &file),
        }
    }

    /// Has HEAD name another branch.
    pub fn set_default_branch(&self, name: &str) -> Result<()> {
        self.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{name}")]).map(drop)
    }
}

/// `git` without anybody's configuration, as "Somebody Else".
fn plain_git() -> Command {
    let mut command = Command::new("git");
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Somebody Else").env(format!("GIT_{role}_EMAIL"), "else@example.test");
    }
    command
}
