//! What the tests share: the servers, a clone, and short ways to say things.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use pilothouse_git::{
    Access, BareClone, Credential, ExpectedChange, Identity, KnownHosts, Limits, Observer, Progress, PublishOutcome,
    PublishRequest, RemoteUrl, RepoPath,
};
use pilothouse_rig::git_host::{GitHost, RepoHandle};
use secrecy::SecretString;
use tempfile::TempDir;

/// The HTTPS server of this process.
pub fn https() -> &'static GitHost {
    static HOST: OnceLock<GitHost> = OnceLock::new();
    HOST.get_or_init(|| GitHost::https().unwrap())
}

/// The SSH server of this process.
pub fn ssh() -> &'static GitHost {
    static HOST: OnceLock<GitHost> = OnceLock::new();
    HOST.get_or_init(|| GitHost::ssh().unwrap())
}

pub fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

pub fn url(text: &str) -> RemoteUrl {
    RemoteUrl::parse(text).unwrap()
}

pub fn path(text: &str) -> RepoPath {
    RepoPath::parse(text).unwrap()
}

pub fn token(host: &GitHost) -> Credential {
    Credential::Token { username: host.username.clone(), token: secret(&host.token) }
}

/// Good access to an HTTPS repository.
pub fn https_access(url: &RemoteUrl) -> Access {
    Access::new(url, token(https()), KnownHosts::default()).with_authority(https().ca_pem.clone())
}

pub fn ssh_key(private: &str, passphrase: Option<&str>) -> Credential {
    Credential::SshKey { username: String::new(), private_key: secret(private), passphrase: passphrase.map(secret) }
}

/// Known hosts that hold the SSH server's key, or `line` instead.
pub fn known(dir: &TempDir, line: &str) -> KnownHosts {
    let own = dir.path().join("known_hosts");
    std::fs::write(&own, format!("{line}\n")).unwrap();
    KnownHosts::new(own, Vec::new())
}

/// A clone in a folder of its own, with good access.
pub struct Desk {
    pub dir: TempDir,
    pub clone: BareClone,
    pub access: Access,
}

impl Desk {
    pub fn at(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = url(text);
        let clone = BareClone::open_or_create(&dir.path().join("clones/one"), &url).unwrap();
        let access = if text.starts_with("ssh") {
            Access::new(&url, ssh_key(&ssh().client_private_key, None), known(&dir, &ssh().host_key_line))
        } else {
            https_access(&url)
        };
        Self { dir, clone, access }
    }

    pub fn of(repo: &RepoHandle) -> Self {
        Self::at(&repo.url)
    }

    pub fn folder(&self) -> PathBuf {
        self.clone.dir().to_owned()
    }

    /// A change of `file` to `new`, from what the clone last saw on `branch`.
    pub fn change(&self, branch: &str, file: &str, new: Option<&str>) -> ExpectedChange {
        let seen = self.clone.tip(branch).unwrap().and_then(|tip| self.clone.read(&tip, &path(file), 1 << 20).unwrap());
        ExpectedChange {
            path: path(file),
            base_blob: seen.as_ref().map(|file| file.blob.clone()),
            base_text: None,
            new: new.map(|text| text.as_bytes().to_vec()),
        }
    }

    pub fn publish(&self, branch: &str, change: ExpectedChange) -> pilothouse_git::Result<PublishOutcome> {
        self.clone.publish(&self.access, branch, &request(vec![change]))
    }
}

pub fn request(changes: Vec<ExpectedChange>) -> PublishRequest {
    let identity = Identity { name: "Pilot".into(), email: "pilot@example.test".into() };
    PublishRequest { changes, identity, message: "Change values".into() }
}

/// An observer that stops everything.
#[derive(Default)]
pub struct Stop;

impl Observer for Stop {
    fn progress(&self, _: &Progress) {}

    fn cancelled(&self) -> bool {
        true
    }
}

/// An observer that stops once something has happened.
#[derive(Default)]
pub struct StopLater(std::sync::atomic::AtomicBool);

impl Observer for StopLater {
    fn progress(&self, _: &Progress) {
        self.0.store(true, std::sync::atomic::Ordering::Release);
    }

    fn cancelled(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Acquire)
    }
}

pub fn impatient(access: Access) -> Access {
    Access { limits: Limits { stall: std::time::Duration::from_millis(300), ..Limits::default() }, ..access }
}

pub fn watched(access: &Access, observer: Arc<dyn Observer>) -> Access {
    access.clone().with_observer(observer)
}
