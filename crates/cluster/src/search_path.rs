//! Where programs are looked for.
//!
//! An app started from the desktop inherits a poorer PATH than the user's shell has, so `aws` or `gcloud`, which work
//! in a terminal, would not be found. The login shell is asked once for its PATH.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::exec::{Limits, run};

/// How long the login shell may take. Some load much; one that asks a question never ends.
const SHELL_PATIENCE: Duration = Duration::from_secs(5);

/// Folders where package managers put programs, for shells that tell nothing. Below HOME unless absolute.
const USUAL: &[&str] =
    &["/usr/local/bin", "/opt/homebrew/bin", "/snap/bin", ".local/bin", "bin", "google-cloud-sdk/bin", ".krew/bin"];

/// The folders to search, in order, without doubles and without relative ones (which would depend on where the app
/// was started).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchPath(Vec<PathBuf>);

impl SearchPath {
    /// This process' own PATH.
    pub fn inherited() -> Self {
        Self::from_text(&std::env::var_os("PATH").unwrap_or_default())
    }

    /// The folders of a PATH-like text.
    pub fn from_text(text: &OsStr) -> Self {
        Self::default().with(std::env::split_paths(text))
    }

    /// This process' PATH, then the login shell's, then the usual folders. The shell is asked once per process.
    pub async fn complete() -> &'static Self {
        static COMPLETE: OnceCell<SearchPath> = OnceCell::const_new();
        COMPLETE
            .get_or_init(|| async {
                let shell = std::env::var_os("SHELL").map(PathBuf::from).filter(|shell| shell.is_absolute());
                let told = match shell {
                    Some(shell) if cfg!(unix) => login_shell(&shell, SHELL_PATIENCE).await,
                    _ => None,
                };
                let home = std::env::home_dir().unwrap_or_default();
                Self::inherited()
                    .with(told.iter().flat_map(std::env::split_paths))
                    .with(USUAL.iter().map(|folder| home.join(folder)).filter(|folder| folder.is_dir()))
            })
            .await
    }

    fn with(mut self, more: impl IntoIterator<Item = PathBuf>) -> Self {
        for folder in more {
            if folder.is_absolute() && !self.0.contains(&folder) {
                self.0.push(folder);
            }
        }
        self
    }

    /// The program's absolute path: looked up if it is a bare name, else checked to be there.
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        let given = Path::new(program);
        if given.components().count() > 1 || given.is_absolute() {
            return Some(given.to_owned()).filter(|path| path.is_absolute() && is_program(path));
        }
        self.0.iter().flat_map(|folder| candidates(folder, program)).find(|path| is_program(path))
    }

    /// As the PATH of a child.
    pub fn to_text(&self) -> OsString {
        std::env::join_paths(&self.0).unwrap_or_default()
    }

    /// The folders.
    pub fn folders(&self) -> &[PathBuf] {
        &self.0
    }
}

fn candidates(folder: &Path, program: &str) -> Vec<PathBuf> {
    let mut list = vec![folder.join(program)];
    if cfg!(windows) {
        list.extend(["exe", "cmd", "bat"].map(|extension| folder.join(format!("{program}.{extension}"))));
    }
    list
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// The PATH that `shell` sets up at login, in whatever way: banners before it and a bad exit status do not matter.
///
/// `env` rather than `echo $PATH`, because every shell, fish and nu among them, can run a program, and they agree on
/// nothing else. Interactive first, because that is where many set PATH; without if that hangs.
async fn login_shell(shell: &Path, patience: Duration) -> Option<OsString> {
    // The last variable keeps oh-my-zsh from asking whether to update itself.
    let env: Vec<(OsString, OsString)> =
        std::env::vars_os().chain([("DISABLE_AUTO_UPDATE".into(), "true".into())]).collect();
    for flags in [&["-i", "-l", "-c"][..], &["-l", "-c"][..]] {
        let args: Vec<OsString> = flags.iter().map(Into::into).chain(["/usr/bin/env".into()]).collect();
        let limits = Limits { patience, ..Limits::default() };
        if let Ok(ended) = run(shell, &args, &env, limits).await
            && let Some(path) = path_in(&ended.stdout)
        {
            return Some(path);
        }
    }
    None
}

/// The last line that begins with `PATH=`.
fn path_in(output: &[u8]) -> Option<OsString> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().rev().find_map(|line| line.strip_prefix("PATH="))?;
    Some(line.trim_end_matches('\r').into()).filter(|path: &OsString| !path.is_empty())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn script(dir: &Path, name: &str, body: &str) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn relative_folders_and_doubles_are_left_out() {
        let path = SearchPath::from_text(OsStr::new("/a:.:/b::/a:bin"));
        assert_eq!(path.folders(), [PathBuf::from("/a"), PathBuf::from("/b")]);
    }

    #[test]
    fn only_programs_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let plugin = script(dir.path(), "plugin", "");
        std::fs::write(dir.path().join("text"), "").unwrap();
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        let path = SearchPath::from_text(dir.path().as_os_str());
        assert_eq!(path.find("plugin"), Some(plugin.clone()));
        assert_eq!(path.find(plugin.to_str().unwrap()), Some(plugin));
        for absent in ["text", "folder", "nothing", "./plugin", "../plugin", ""] {
            assert_eq!(path.find(absent), None, "{absent:?}");
        }
    }

    #[tokio::test]
    async fn a_chatty_failing_shell_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let shell =
            script(dir.path(), "sh1", "echo 'Welcome! PATH=/no'; PATH=/login/bin:/usr/bin; export PATH; env; exit 7");
        assert_eq!(login_shell(&shell, Duration::from_secs(10)).await, Some("/login/bin:/usr/bin".into()));
    }

    #[tokio::test]
    async fn a_shell_that_hangs_when_interactive_is_asked_plainly() {
        let dir = tempfile::tempdir().unwrap();
        let shell = script(dir.path(), "sh2", "[ \"$1\" = -i ] && exec sleep 600; echo PATH=/plain");
        assert_eq!(login_shell(&shell, Duration::from_secs(3)).await, Some("/plain".into()));
    }

    #[tokio::test]
    async fn a_shell_that_always_hangs_gives_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let shell = script(dir.path(), "sh3", "exec sleep 600");
        assert_eq!(login_shell(&shell, Duration::from_millis(100)).await, None);
    }
}
