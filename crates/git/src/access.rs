//! How a remote is reached: credential, trust, limits, and who watches.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::known_hosts::KnownHosts;
use crate::proxy::ProxyChoice;
use crate::remote_url::RemoteUrl;

/// What proves to the server who we are. `Debug` shows neither secrets nor names: some write a token as their name.
#[derive(Clone, Default)]
pub enum Credential {
    /// Nothing; enough for public repositories.
    #[default]
    None,
    /// A token or password over HTTPS.
    Token {
        /// The user name; where it is empty, `git` is sent, which the large hosts take with a token.
        username: String,
        /// The token.
        token: SecretString,
    },
    /// A private key, held in memory.
    SshKey {
        /// The user name; one written in the address goes first; where both are empty, `git`.
        username: String,
        /// The key in OpenSSH's form, or in PEM as PKCS #1, SEC 1 or PKCS #8.
        private_key: SecretString,
        /// What opens the key, if it is encrypted.
        passphrase: Option<SecretString>,
    },
    /// The keys of the running SSH agent.
    SshAgent {
        /// The user name, as for [`Credential::SshKey`].
        username: String,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token { .. } => "Token",
            Self::SshKey { .. } => "SshKey",
            Self::SshAgent { .. } => "SshAgent",
        })
    }
}

impl Credential {
    /// The kind, for messages.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::None => "connection without a credential",
            Self::Token { .. } => "token",
            Self::SshKey { .. } => "SSH key",
            Self::SshAgent { .. } => "keys of the SSH agent",
        }
    }
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Opening the connection and logging in.
    Connecting,
    /// Receiving objects.
    Receiving,
    /// Working out what arrived.
    Resolving,
    /// Sending objects.
    Sending,
    /// Waiting before another attempt.
    Waiting,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is under way.
    pub phase: Phase,
    /// Objects done.
    pub done: u64,
    /// Objects in all, where known.
    pub total: Option<u64>,
    /// Bytes moved.
    pub bytes: u64,
}

/// Somebody who watches an operation and may stop it. Called from other threads.
pub trait Observer: Send + Sync {
    /// Something moved.
    fn progress(&self, progress: &Progress);

    /// Whether to stop. A push whose objects are already on their way is not stopped any more.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Bounds of one operation.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long the server may send nothing; 60 s unless told.
    pub stall: Duration,
    /// How much one fetch may bring, in bytes; 2 GiB unless told.
    pub download: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { stall: Duration::from_secs(60), download: 2 * 1024 * 1024 * 1024 }
    }
}

/// Everything needed to talk to one remote. `Debug` shows no secret.
#[derive(Clone, Default)]
pub struct Access {
    /// What proves who we are.
    pub credential: Credential,
    /// `host` or `host:port`: the only server the credential is given to.
    pub bound_host: String,
    /// The SSH servers we know.
    pub known_hosts: KnownHosts,
    /// Certificates of private authorities, in PEM, trusted besides the system's.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Who watches.
    pub observer: Option<Arc<dyn Observer>>,
    /// Bounds.
    pub limits: Limits,
    /// Which proxy HTTPS goes through.
    pub proxy: ProxyChoice,
}

impl Access {
    /// Access to `url` with `credential`, bound to that very server.
    pub fn new(url: &RemoteUrl, credential: Credential, known_hosts: KnownHosts) -> Self {
        Self { credential, bound_host: url.authority(), known_hosts, ..Self::default() }
    }

    /// Trusts the authorities in `pem` besides the system's.
    pub fn with_authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.extra_ca_pem = Some(pem.into());
        self
    }

    /// Tells `observer` how it goes.
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.observer.as_ref().is_some_and(|observer| observer.cancelled())
    }

    pub(crate) fn report(&self, progress: &Progress) {
        if let Some(observer) = &self.observer {
            observer.progress(progress);
        }
    }

    /// Whether the credential may go to `host` on `port`.
    pub(crate) fn is_bound_to(&self, host: &str, port: u16) -> bool {
        let bound = self.bound_host.to_ascii_lowercase();
        let host = host.to_ascii_lowercase();
        let usual = matches!(port, 22 | 80 | 443);
        (usual && bound == host) || bound == format!("{host}:{port}")
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("credential", &self.credential)
            .field("bound_host", &self.bound_host)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let secret = || SecretString::from("seeded-secret".to_owned());
        for credential in [
            Credential::Token { username: "u".into(), token: secret() },
            Credential::SshKey { username: "u".into(), private_key: secret(), passphrase: Some(secret()) },
        ] {
            let access = Access { credential, ..Access::default() };
            assert!(!format!("{access:?}").contains("seeded-secret"));
        }
    }

    #[test]
    fn a_credential_is_bound_to_its_server() {
        let url = RemoteUrl::parse("https://git.example:8443/r").unwrap();
        let access = Access::new(&url, Credential::None, KnownHosts::default());
        assert!(access.is_bound_to("GIT.example", 8443));
        assert!(!access.is_bound_to("git.example", 443));
        assert!(!access.is_bound_to("git.example.evil.example", 8443));
        assert!(!Access::default().is_bound_to("git.example", 443));
        let usual = Access::new(&RemoteUrl::parse("https://git.example/r").unwrap(), Credential::None, <_>::default());
        assert!(usual.is_bound_to("git.example", 443));
        assert!(!usual.is_bound_to("git.example", 8443), "another port is another server");
    }
}
