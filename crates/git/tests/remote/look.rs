//! A look at a remote from a process of its own, for what a whole process shares: its environment, its home and its
//! SSH agent. This test binary runs itself again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pilothouse_git::{Access, Credential, KnownHosts, probe};

use crate::stage::*;

/// What to look at, and with what.
pub struct Look<'a> {
    pub url: &'a str,
    /// `none`, `agent`, `token USER TOKEN` or `key FILE`.
    pub credential: &'a str,
    pub known_hosts: &'a Path,
    /// A file of authorities in PEM.
    pub authority: Option<&'a Path>,
    /// The environment besides `PATH` and `HOME`.
    pub environment: &'a [(&'a str, &'a str)],
    pub home: &'a Path,
}

impl Look<'_> {
    /// `ok`, or the error's code and text.
    pub fn result(&self) -> String {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "look::looks", "--nocapture"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home)
            .env("LOOK_URL", self.url)
            .env("LOOK_CREDENTIAL", self.credential)
            .env("LOOK_KNOWN_HOSTS", self.known_hosts)
            .envs(self.environment.iter().copied())
            .stdin(Stdio::null());
        if let Some(file) = self.authority {
            command.env("LOOK_AUTHORITY", file);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = text.lines().find_map(|line| line.strip_prefix("LOOK ").map(str::to_owned));
        found.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The other side of [`Look::result`]; in a usual run there is nothing to look at.
#[test]
fn looks() {
    let Ok(text) = std::env::var("LOOK_URL") else { return };
    let address = url(&text);
    let wanted = std::env::var("LOOK_CREDENTIAL").unwrap();
    let words: Vec<&str> = wanted.split(' ').collect();
    let credential = match words.as_slice() {
        ["agent"] => Credential::SshAgent { username: String::new() },
        ["token", username, token] => Credential::Token { username: (*username).to_owned(), token: secret(token) },
        ["key", file] => ssh_key(&std::fs::read_to_string(file).unwrap(), None),
        _ => Credential::None,
    };
    let hosts = KnownHosts::new(PathBuf::from(std::env::var_os("LOOK_KNOWN_HOSTS").unwrap()), Vec::new());
    let mut access = Access::new(&address, credential, hosts);
    if let Some(file) = std::env::var_os("LOOK_AUTHORITY") {
        access = access.with_authority(std::fs::read(file).unwrap());
    }
    match probe(&address, &access) {
        Ok(_) => println!("\nLOOK ok"),
        Err(error) => println!("\nLOOK {} {}", error.code(), error.to_string().replace('\n', " ")),
    }
}
