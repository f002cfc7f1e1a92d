//! One run of a foreign program.

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// What a program may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long it may run.
    pub patience: Duration,
    /// How many bytes it may write to stdout, and how many to stderr.
    pub output: usize,
    /// How many bytes of address space it may take; `None` for as many as it likes. Only Linux can hold a process to
    /// it; elsewhere the time limit has to do.
    pub memory: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { patience: Duration::from_secs(30), output: 1 << 20, memory: None }
    }
}

/// A program that ran to its end.
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout. May hold a credential.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr. May hold a credential.
    pub stderr: Vec<u8>,
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ended").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why a program did not run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It could not be started.
    NotStarted(String),
    /// It ran longer than it may.
    TooLong,
    /// It wrote more than it may.
    TooMuch,
}

/// Runs `program` with nothing on stdin and exactly `env` as environment. Whatever happens, also when the future is
/// dropped, the program and all it started in its process group are killed.
pub async fn run(
    program: &Path,
    args: &[OsString],
    env: &[(OsString, OsString)],
    limits: Limits,
) -> Result<Ended, Stopped> {
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    #[cfg(windows)]
    command.creation_flags(0x0800_0000); // CREATE_NO_WINDOW: no console flashes up
    let mut child = command.spawn().map_err(|error| Stopped::NotStarted(error.to_string()))?;
    let group = Group::of(&child);
    hold_to(&child, limits.memory);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());

    let whole = async {
        let leader = async {
            let status = child.wait().await;
            // What it left running in its group would keep the pipes open for ever.
            drop(group);
            status.map_err(|error| Stopped::NotStarted(error.to_string()))
        };
        let (status, stdout, stderr) =
            tokio::try_join!(leader, read(stdout, limits.output), read(stderr, limits.output))?;
        Ok(Ended { status, stdout, stderr })
    };
    tokio::time::timeout(limits.patience, whole).await.unwrap_or(Err(Stopped::TooLong))
}

/// Bounds the address space of a program that has just been started; what it starts inherits the bound.
#[cfg(target_os = "linux")]
fn hold_to(child: &tokio::process::Child, memory: Option<u64>) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let (Some(id), Some(bytes)) = (id, memory) {
        // It fails when the program has ended already, which is well.
        let _ = prlimit(Some(id), Resource::As, Rlimit { current: Some(bytes), maximum: Some(bytes) });
    }
}

#[cfg(not(target_os = "linux"))]
fn hold_to(_: &tokio::process::Child, _: Option<u64>) {}

async fn read(pipe: Option<impl AsyncRead + Unpin>, limit: usize) -> Result<Vec<u8>, Stopped> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        // A pipe that breaks has said all it will say.
        let _ = pipe.take(most).read_to_end(&mut bytes).await;
    }
    if bytes.len() > limit { Err(Stopped::TooMuch) } else { Ok(bytes) }
}

/// A child's process group, killed when dropped.
struct Group(#[cfg(unix)] Option<rustix::process::Pid>);

impl Group {
    #[cfg(unix)]
    fn of(child: &tokio::process::Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(rustix::process::Pid::from_raw))
    }

    #[cfg(not(unix))]
    fn of(_: &tokio::process::Child) -> Self {
        Self()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(id) = self.0 {
            // It fails when the group is empty already, which is well.
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    async fn sh(script: &str, limits: Limits) -> Result<Ended, Stopped> {
        let env = [("PATH".into(), std::env::var_os("PATH").unwrap_or_default())];
        run(Path::new("/bin/sh"), &["-c".into(), script.into()], &env, limits).await
    }

    const SHORT: Limits = Limits { patience: Duration::from_millis(300), output: 1 << 20, memory: None };
    const AMPLE: Limits = Limits { patience: Duration::from_secs(60), output: 1 << 20, memory: None };

    fn process_exists(id: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    async fn gone(file: &Path) {
        let id = std::fs::read_to_string(file).unwrap();
        for _ in 0..500 {
            if !process_exists(&id) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("process {id} outlived its group");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_stopped() {
        assert_eq!(sh("sleep 600", SHORT).await.unwrap_err(), Stopped::TooLong);
    }

    #[tokio::test]
    async fn a_run_that_is_given_up_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("id");
        let script = format!("sleep 600 & echo $! > {}; sleep 600", file.display());
        let written = async {
            while !std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            ended = sh(&script, AMPLE) => panic!("{ended:?}"),
            () = written => {}
        }
        gone(&file).await;
    }

    #[tokio::test]
    async fn what_it_leaves_behind_is_killed_and_does_not_delay_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("id");
        let script = format!("sleep 600 & echo $! > {}; echo done", file.display());
        let ended = sh(&script, AMPLE).await.unwrap();
        assert_eq!(ended.stdout, b"done\n");
        gone(&file).await;
    }

    #[tokio::test]
    async fn endless_output_is_cut_off() {
        for script in ["yes", "yes >&2"] {
            let limits = Limits { output: 10_000, ..AMPLE };
            assert_eq!(sh(script, limits).await.unwrap_err(), Stopped::TooMuch, "{script}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_program_gets_no_more_memory_than_it_may_take() {
        // The shell's own loop leaves time for the bound to be set before the text grows.
        let script = "sleep 0.1; text=x; while :; do text=$text$text; done";
        let limits = Limits { memory: Some(256 << 20), ..AMPLE };
        assert!(!sh(script, limits).await.unwrap().status.success());
    }

    #[tokio::test]
    async fn stdin_is_empty_and_the_environment_is_what_was_given() {
        let env = [("GIVEN".into(), "yes".into())];
        let args = ["-c".into(), "cat; /usr/bin/env".into()];
        let ended = run(Path::new("/bin/sh"), &args, &env, AMPLE).await.unwrap();
        let text = String::from_utf8(ended.stdout).unwrap();
        let names: Vec<_> = text.lines().filter_map(|line| line.split('=').next()).collect();
        assert!(names.contains(&"GIVEN") && !names.contains(&"HOME") && !names.contains(&"PATH"), "{names:?}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_not_started() {
        let stopped = run(Path::new("/no/such"), &[], &[], SHORT).await.unwrap_err();
        assert!(matches!(stopped, Stopped::NotStarted(_)));
    }
}
