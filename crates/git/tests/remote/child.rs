//! A writer in a process of its own, which can be killed at any step.
//!
//! The test program starts itself again with a task in the environment; only [`the_child`] heeds it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pilothouse_git::{
    Access, BareClone, ExpectedChange, KnownHosts, Limits, Observer, Progress, PublishOutcome, PublishRequest,
};

use crate::stage::*;

const TASK: &str = "PILOTHOUSE_TEST_TASK";

/// What a child is to publish, and how.
#[derive(Debug, Clone)]
pub struct Task {
    pub url: String,
    /// The clone's folder.
    pub clone: PathBuf,
    pub host_key_line: String,
    pub file: String,
    pub text: String,
    pub message: String,
    /// The child waits until this file is there.
    pub go: Option<PathBuf>,
    /// The child is killed at this sign of life.
    pub stop_at: Option<u32>,
    /// How long silence is borne.
    pub stall: Duration,
}

impl Task {
    pub fn new(desk: &Desk, file: &str, text: &str, message: &str) -> Self {
        Self {
            url: desk.clone.url().as_str().to_owned(),
            clone: desk.folder(),
            host_key_line: ssh().host_key_line.clone(),
            file: file.to_owned(),
            text: text.to_owned(),
            message: message.to_owned(),
            go: None,
            stop_at: None,
            stall: Duration::from_secs(60),
        }
    }

    pub fn request(&self, clone: &BareClone, access: &Access) -> PublishRequest {
        let tip = clone.fetch(access, "main").unwrap().tip.unwrap();
        let seen = clone.read(&tip, &path(&self.file), 1 << 20).unwrap();
        let change = ExpectedChange {
            path: path(&self.file),
            base_blob: seen.map(|file| file.blob),
            base_text: None,
            new: Some(self.text.clone().into_bytes()),
        };
        PublishRequest { message: self.message.clone(), ..request(vec![change]) }
    }

    /// Starts the child with the test's own servers' secrets, which only live in memory and in its environment.
    pub fn start(&self) -> Writer {
        self.start_through(Command::new(std::env::current_exe().unwrap()))
    }

    /// As [`Task::start`]; `command` runs the test program in its own way.
    pub fn start_through(&self, mut command: Command) -> Writer {
        let fields = [
            self.url.clone(),
            self.clone.display().to_string(),
            self.host_key_line.clone(),
            self.file.clone(),
            self.text.clone(),
            self.message.clone(),
            self.go.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            self.stop_at.unwrap_or(0).to_string(),
            self.stall.as_millis().to_string(),
            https().ca_pem.clone(),
            https().token.clone(),
            ssh().client_private_key.clone(),
        ];
        let child = command
            .args(["--exact", "child::the_child", "--nocapture"])
            .env(TASK, fields.join("\u{1f}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Writer(child)
    }
}

/// A running child.
pub struct Writer(Child);

impl Writer {
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([format!("-{name}"), self.0.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// The child's status and what it said became of its task.
    pub fn wait(self) -> (ExitStatus, String) {
        let output = self.0.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = text.lines().find_map(|line| line.split_once("outcome: ").map(|(_, said)| said.to_owned()));
        let said = said.unwrap_or_else(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        (output.status, said)
    }
}

/// Ends the process at a sign of life, as the kernel does it: nothing is flushed or cleaned up.
struct KillAt {
    at: u32,
    seen: AtomicU32,
}

impl Observer for KillAt {
    fn progress(&self, _: &Progress) {
        if self.seen.fetch_add(1, Ordering::AcqRel) + 1 == self.at {
            let _ = Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
            std::thread::sleep(Duration::from_secs(60));
        }
    }
}

#[test]
fn the_child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let fields: Vec<&str> = task.split('\u{1f}').collect();
    let [url_text, dir, line, file, text, message, go, stop_at, stall, ca, token_text, key] = fields[..] else {
        panic!("an odd task")
    };
    let address = url(url_text);
    let home = tempfile::tempdir_in(Path::new(dir).parent().unwrap()).or_else(|_| tempfile::tempdir()).unwrap();
    let access = if url_text.starts_with("ssh") {
        Access::new(&address, ssh_key(key, None), known(&home, line))
    } else {
        let credential = pilothouse_git::Credential::Token { username: "rig-user".into(), token: secret(token_text) };
        Access::new(&address, credential, KnownHosts::default()).with_authority(ca)
    };
    let stall = Duration::from_millis(stall.parse().unwrap());
    let access = Access { limits: Limits { stall, ..Limits::default() }, ..access };
    let task = Task {
        url: url_text.into(),
        clone: dir.into(),
        host_key_line: line.into(),
        file: file.into(),
        text: text.into(),
        message: message.into(),
        go: None,
        stop_at: None,
        stall,
    };
    let outcome = BareClone::open_or_create(Path::new(dir), &address).and_then(|clone| {
        let wanted = task.request(&clone, &access);
        while !go.is_empty() && !Path::new(go).exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let at: u32 = stop_at.parse().unwrap();
        let access = access.clone().with_observer(Arc::new(KillAt { at, seen: AtomicU32::new(0) }));
        clone.publish(&access, "main", &wanted)
    });
    match outcome {
        Ok(PublishOutcome::Published { commit, replays, .. }) => {
            println!("outcome: published {} after {replays}", commit.id);
        }
        Ok(other) => println!("outcome: {other:?}"),
        Err(error) => println!("outcome: {} {error}", error.code()),
    }
}
