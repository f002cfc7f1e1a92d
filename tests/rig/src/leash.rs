//! Children that cannot outlive us.
//!
//! Each child runs in a process group of its own together with a shell that reads a pipe held open by this process
//! alone. When this process ends, however it ends, the pipe closes and the shell kills the group.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::error::{At, Error, Result};

/// Runs `"$@"` beside a watcher of the pipe; whichever ends first takes the whole group with it. SIGKILL, because
/// kube-apiserver lingers for a minute on SIGTERM, and nothing here has anything to save.
const GROUP: &str = r#"
exec 3<&0
stdin=$1; shift
( cat <&3 >/dev/null 2>&1; kill -s KILL 0 ) &
"$@" <"$stdin" 3<&-
echo "ended with status $?" >&2
kill -s KILL 0
"#;

/// Waits for the pipe to close, then removes a folder; other leashes' children may still be writing there for a moment.
const SWEEP: &str = r#"
cat >/dev/null 2>&1
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" 2>/dev/null && [ ! -e "$1" ] && exit; sleep 0.2; done
"#;

/// A child that is killed with its whole process group when this value is dropped or this process ends.
#[derive(Debug)]
pub struct Leash {
    child: Child,
    pipe: Option<ChildStdin>,
    log: PathBuf,
    name: String,
}

impl Leash {
    /// Starts `command` (program, arguments, folder and added environment are honoured; its stdio is not), with
    /// stdin empty and both outputs appended to `log`.
    pub fn start(command: &Command, log: &Path) -> Result<Self> {
        Self::start_with_stdin(command, Path::new("/dev/null"), log)
    }

    /// As [`Leash::start`], with `stdin` read from a file.
    pub fn start_with_stdin(command: &Command, stdin: &Path, log: &Path) -> Result<Self> {
        let out = OpenOptions::new().create(true).append(true).open(log).at("open the log", log)?;
        let err = out.try_clone().at("open the log", log)?;
        let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", GROUP, "leash"]).arg(stdin).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(key, value),
                None => shell.env_remove(key),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            shell.current_dir(dir);
        }
        let mut child = shell
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|source| Error::Start { program: name.clone(), source })?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe, log: log.to_owned(), name })
    }

    /// Has `dir` removed once this process has ended, even by SIGKILL.
    pub fn sweep(dir: &Path) -> Result<Sweep> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", SWEEP, "sweep"])
            .arg(dir)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| Error::Start { program: "sh".to_owned(), source })?;
        let pipe = child.stdin.take();
        Ok(Sweep { child, pipe })
    }

    /// Whether the child still runs.
    pub fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The process group's id, for tests that look at it from outside.
    pub fn group(&self) -> u32 {
        self.child.id()
    }

    /// The last 4 KiB that the child wrote.
    pub fn log_tail(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = std::fs::File::open(&self.log) {
            let length = file.metadata().map(|meta| meta.len()).unwrap_or(0);
            let _ = file.seek(SeekFrom::Start(length.saturating_sub(4096)));
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The error to give when the child did not do `what`.
    pub fn not_ready(&self, what: &str) -> Error {
        Error::NotReady { what: format!("{}: {what}", self.name), log: self.log_tail() }
    }

    /// Kills the group now and waits until it is gone.
    pub fn stop(&mut self) {
        drop(self.pipe.take());
        let _ = self.child.wait();
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A folder's removal, promised. Dropping it fulfils the promise at once.
#[derive(Debug)]
pub struct Sweep {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Drop for Sweep {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether any process of the group is alive (a zombie is not).
    fn alive(group: u32) -> bool {
        let out = Command::new("ps").args(["-eo", "pgid=,stat="]).output().unwrap();
        String::from_utf8_lossy(&out.stdout).lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(&group.to_string()) && !words.next().unwrap_or("Z").starts_with('Z')
        })
    }

    fn until(mut done: impl FnMut() -> bool) {
        for _ in 0..500 {
            if done() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("did not happen");
    }

    #[test]
    fn stopping_kills_grandchildren_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo up; sleep 600"]);
        let mut leash = Leash::start(&command, &dir.path().join("log")).unwrap();
        until(|| leash.log_tail().contains("up"));
        let group = leash.group();
        assert!(leash.running() && alive(group));
        leash.stop();
        until(|| !alive(group));
    }

    #[test]
    fn a_child_that_ends_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo why >&2; exit 3"]);
        let mut leash = Leash::start(&command, &dir.path().join("log")).unwrap();
        until(|| !leash.running());
        assert!(leash.not_ready("gone").to_string().contains("why"));
    }

    #[test]
    fn a_killed_parent_takes_its_children_along() {
        if let Some(dir) = std::env::var_os("RIG_TEST_PARENT") {
            // The parent's role: start a child, say its group, and wait to be killed.
            let mut command = Command::new("sleep");
            command.arg("600");
            let leash = Leash::start(&command, &Path::new(&dir).join("log")).unwrap();
            std::fs::write(Path::new(&dir).join("group"), leash.group().to_string()).unwrap();
            std::thread::sleep(std::time::Duration::from_secs(600));
        }
        let dir = tempfile::tempdir().unwrap();
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "leash::tests::a_killed_parent_takes_its_children_along"])
            .env("RIG_TEST_PARENT", dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let file = dir.path().join("group");
        until(|| std::fs::read_to_string(&file).is_ok_and(|text| !text.is_empty()));
        let group: u32 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        assert!(alive(group));
        parent.kill().unwrap();
        parent.wait().unwrap();
        until(|| !alive(group));
    }
}
