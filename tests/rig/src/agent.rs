//! A real `ssh-agent` on a socket of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::{At, Error, Result};
use crate::leash::Leash;

/// A running agent. It ends when this value is dropped or this process ends.
#[derive(Debug)]
pub struct Agent {
    leash: Leash,
    dir: tempfile::TempDir,
}

impl Agent {
    /// Starts an agent that holds no key.
    pub fn start() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("pilothouse-agent-")
            .tempdir()
            .at("make a folder", "the system's temporary folder")?;
        let socket = dir.path().join("socket");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket);
        let mut leash = Leash::start(&command, &dir.path().join("log"))?;
        for _ in 0..200 {
            if socket.exists() {
                return Ok(Self { leash, dir });
            }
            if !leash.running() {
                break;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        Err(leash.not_ready("makes no socket"))
    }

    /// What `SSH_AUTH_SOCK` names for this agent.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// Gives the agent a private key in OpenSSH's form, without a passphrase.
    pub fn add(&self, private_key: &str) -> Result<()> {
        let path = self.dir.path().join("key");
        fs::write(&path, private_key).at("write the key", &path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).at("guard the key", &path)?;
        self.ssh_add(&["-q".as_ref(), path.as_path()])
    }

    /// Makes a fresh key that no server knows and gives it to the agent.
    pub fn add_stranger(&self) -> Result<()> {
        let path = self.dir.path().join(format!("stranger_{:08x}", fastrand::u32(..)));
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path);
        ended(&mut command)?;
        self.ssh_add(&["-q".as_ref(), path.as_path()])
    }

    /// Locks the agent: it shows no key until it is unlocked.
    pub fn lock(&self) -> Result<()> {
        self.ssh_add(&["-x".as_ref()])
    }

    fn ssh_add(&self, arguments: &[&Path]) -> Result<()> {
        let ask = self.dir.path().join("ask");
        fs::write(&ask, "#!/bin/sh\necho lock-word\n").at("write a script", &ask)?;
        fs::set_permissions(&ask, fs::Permissions::from_mode(0o700)).at("make it runnable", &ask)?;
        let mut command = Command::new("ssh-add");
        command
            .args(arguments)
            .env("SSH_AUTH_SOCK", self.socket())
            .env("SSH_ASKPASS", &ask)
            .env("SSH_ASKPASS_REQUIRE", "force");
        ended(&mut command)
    }

    /// The agent's process group, for tests that look at it from outside.
    pub fn group(&self) -> u32 {
        self.leash.group()
    }
}

/// Runs a program to its end; the error carries its complaints.
fn ended(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|source| Error::Start { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::NotReady { what: format!("{program} failed"), log })
}
