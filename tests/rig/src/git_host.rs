//! Git servers on loopback: git's own HTTP program behind TLS with a private authority, and OpenSSH's server.

mod cgi;
mod door;
mod https;
mod repository;
mod sshd;
pub(crate) mod tls;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use door::{Answer, Request};
pub use repository::RepoHandle;
pub use sshd::{HostCertificate, SshSetup};
pub use tls::Certificate;

use crate::error::{At, Error, Result};
use crate::leash::{Leash, Sweep};
use https::Https;
use sshd::Sshd;

/// A Git server. It ends when this value is dropped or this process ends.
#[derive(Debug)]
pub struct GitHost {
    /// The user name that goes with [`GitHost::token`]; for SSH, the account.
    pub username: String,
    /// The only token the HTTPS server takes; empty for SSH.
    pub token: String,
    /// The private authority's certificate in PEM; empty for SSH.
    pub ca_pem: String,
    /// A private key the SSH server takes, in OpenSSH's form; empty for HTTPS.
    pub client_private_key: String,
    /// The SSH server's line for known_hosts; empty for HTTPS.
    pub host_key_line: String,
    /// The line for known_hosts of the authority that signed the SSH server's host certificate; empty without one.
    pub host_authority_line: String,
    dir: PathBuf,
    server: Server,
    _sweep: Sweep,
}

#[derive(Debug)]
enum Server {
    Https(Https),
    Ssh(Sshd),
}

impl GitHost {
    /// Starts an HTTPS server with a certificate for `127.0.0.1` and `localhost`.
    pub fn https() -> Result<Self> {
        Self::https_for(&["127.0.0.1", "localhost"])
    }

    /// Starts an HTTPS server on 127.0.0.1 whose certificate is for `names`, right or wrong.
    pub fn https_for(names: &[&str]) -> Result<Self> {
        Self::https_with(Certificate::For(names))
    }

    /// Starts an HTTPS server on 127.0.0.1 that shows `certificate`. [`GitHost::ca_pem`] is what would vouch for it.
    pub fn https_with(certificate: Certificate<'_>) -> Result<Self> {
        let (dir, sweep) = folder()?;
        let token = format!("rig-token-{:016x}", fastrand::u64(..));
        let https = Https::start(&dir, certificate, "rig-user", &token)?;
        let (username, ca_pem) = ("rig-user".to_owned(), https.ca_pem.clone());
        Ok(Self {
            username,
            token,
            ca_pem,
            client_private_key: String::new(),
            host_key_line: String::new(),
            host_authority_line: String::new(),
            dir,
            server: Server::Https(https),
            _sweep: sweep,
        })
    }

    /// Starts an SSH server with an ed25519 host key and one accepted ed25519 client key.
    pub fn ssh() -> Result<Self> {
        Self::ssh_with(&SshSetup::default())
    }

    /// Starts an SSH server set up as told, with one accepted ed25519 client key.
    pub fn ssh_with(setup: &SshSetup<'_>) -> Result<Self> {
        let (dir, sweep) = folder()?;
        let sshd = Sshd::start(&dir, setup)?;
        let key = dir.join("client_ed25519");
        keygen(&key, &["-t", "ed25519", "-N", ""])?;
        let host = Self {
            username: sshd.account.clone(),
            token: String::new(),
            ca_pem: String::new(),
            client_private_key: fs::read_to_string(&key).at("read the key", &key)?,
            host_key_line: sshd.host_key_line.clone(),
            host_authority_line: sshd.host_authority_line.clone(),
            dir,
            server: Server::Ssh(sshd),
            _sweep: sweep,
        };
        host.authorize(&key)?;
        Ok(host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        match &self.server {
            Server::Https(https) => https.port,
            Server::Ssh(sshd) => sshd.port,
        }
    }

    /// The folder whose `<owner>/<name>.git` the server serves as `/<owner>/<name>.git`.
    pub fn repositories(&self) -> PathBuf {
        self.dir.join("repos")
    }

    /// Makes a repository whose branch `main` holds a README.
    pub fn create_repo(&self, name: &str) -> Result<RepoHandle> {
        let repo = self.create_empty_repo(name)?;
        repo.push_file("README.md", "# A repository for tests\n", "First commit")?;
        Ok(repo)
    }

    /// Makes a repository without any commit; its HEAD names `main`.
    pub fn create_empty_repo(&self, name: &str) -> Result<RepoHandle> {
        let path = self.dir.join("repos").join(format!("{name}.git"));
        let url = match &self.server {
            Server::Https(https) => format!("https://127.0.0.1:{}/{name}.git", https.port),
            Server::Ssh(sshd) => format!("ssh://{}@127.0.0.1:{}{}", sshd.account, sshd.port, path.display()),
        };
        RepoHandle::create(path, url, self.dir.join("work"))
    }

    /// The HTTPS server answers `answer` to every path that starts with `prefix`, such as `/gone/`.
    /// Over SSH there is no such thing.
    pub fn answer(&self, prefix: &str, answer: Answer) {
        if let Server::Https(https) = &self.server {
            https.door.answer(prefix, answer);
        }
    }

    /// The HTTPS server answers truly again where [`GitHost::answer`] named `prefix`.
    pub fn answer_truly(&self, prefix: &str) {
        if let Server::Https(https) = &self.server {
            https.door.forget(prefix);
        }
    }

    /// What the HTTPS server was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        match &self.server {
            Server::Https(https) => https.door.requests(),
            Server::Ssh(_) => Vec::new(),
        }
    }

    /// Makes a key pair with `ssh-keygen`'s own options (such as `-t rsa -b 3072 -N secret`), lets it in, and
    /// gives the private half. SSH only.
    pub fn new_client_key(&self, options: &[&str]) -> Result<String> {
        let key = self.dir.join(format!("client_{:08x}", fastrand::u32(..)));
        keygen(&key, options)?;
        self.authorize(&key)?;
        fs::read_to_string(&key).at("read the key", &key)
    }

    /// Lets a key in; `line` is its public half. SSH only.
    pub fn authorize_line(&self, line: &str) -> Result<()> {
        let path = self.dir.join("authorized_keys");
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        text.push_str(line.trim());
        text.push('\n');
        fs::write(&path, text).at("write the accepted keys", &path)
    }

    fn authorize(&self, key: &Path) -> Result<()> {
        let public = key.with_extension("pub");
        self.authorize_line(&fs::read_to_string(&public).at("read the key", &public)?)
    }
}

fn folder() -> Result<(PathBuf, Sweep)> {
    let dir = tempfile::Builder::new()
        .prefix("pilothouse-git-host-")
        .tempdir()
        .at("make a folder", "the system's temporary folder")?
        .keep();
    let sweep = Leash::sweep(&dir)?;
    for name in ["repos", "work"] {
        let path = dir.join(name);
        fs::create_dir(&path).at("make a folder", &path)?;
    }
    Ok((dir, sweep))
}

/// Makes a key pair in `path` and `path.pub`.
fn keygen(path: &Path, options: &[&str]) -> Result<()> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-C", "rig"]).args(options).arg("-f").arg(path);
    run(&mut command).map(drop)
}

/// Runs a program to its end and gives what it wrote; the error carries its complaints.
fn run(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| Error::Start { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let arguments: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    Err(Error::NotReady {
        what: format!("{program} {} failed", arguments.join(" ")),
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
