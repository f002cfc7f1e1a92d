//! Remotes: which address, which credential, which host keys, and how far a transfer has come.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use pilothouse_git::{
    Access, BareClone, Credential, Error as GitError, HostKey, KnownHosts, Observer, Phase, Progress, RemoteUrl, Scheme,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    App, Result,
    contract::{AppError, ErrorCode},
    operations::Operation,
};

/// Host keys that were shown and not yet accepted, by host, port and fingerprint.
#[derive(Default)]
pub(crate) struct ShownKeys {
    keys: Mutex<HashMap<(String, u32, String), HostKey>>,
}

impl ShownKeys {
    fn remember(&self, key: &HostKey) {
        let name = (key.host.clone(), u32::from(key.port), key.fingerprint.clone());
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        // A hostile server could show a new key at each attempt; a handful is enough for a person.
        if keys.len() >= 64 {
            keys.clear();
        }
        keys.insert(name, key.clone());
    }

    /// The key that was shown under these words.
    pub(crate) fn get(&self, host: &str, port: u32, fingerprint: &str) -> Option<HostKey> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(&(host.to_owned(), port, fingerprint.to_owned())).cloned()
    }
}

/// What is known about a remote between starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RemoteNote {
    /// The branch its HEAD names.
    pub default_branch: Option<String>,
    /// When it was fetched last.
    pub fetched: Option<String>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// Tells a Git transfer's progress as an operation's.
struct Follows {
    operation: Operation,
    last: Mutex<Option<(Phase, u64)>>,
}

impl Observer for Follows {
    fn progress(&self, progress: &Progress) {
        // Objects come by the thousand; the window needs each percent once.
        let share = progress.total.filter(|t| *t > 0).map_or(progress.done / 200, |t| progress.done * 100 / t);
        let now = Some((progress.phase, share));
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if *last == now {
                return;
            }
            *last = now;
        }
        let label = match progress.phase {
            Phase::Connecting => "Connecting",
            Phase::Receiving => "Receiving objects",
            Phase::Resolving => "Resolving objects",
            Phase::Sending => "Sending objects",
            Phase::Waiting => "Waiting before another attempt",
        };
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        self.operation.step(label, small(progress.done), progress.total.map(small));
    }

    fn cancelled(&self) -> bool {
        self.operation.is_cancelled()
    }
}

fn keychain_name(url: &RemoteUrl) -> String {
    format!("git:{}", url.as_str())
}

fn note_name(url: &RemoteUrl) -> String {
    format!("remote:{}", url.as_str())
}

/// A credential as the keychain keeps it.
fn pack(credential: &Credential) -> Option<SecretString> {
    let packed = match credential {
        Credential::None => return None,
        Credential::Token { username, token } => {
            json!({ "kind": "token", "username": username, "token": token.expose_secret() })
        }
        Credential::SshKey { username, private_key, passphrase } => json!({
            "kind": "key",
            "username": username,
            "key": private_key.expose_secret(),
            "passphrase": passphrase.as_ref().map(|p| p.expose_secret()),
        }),
        Credential::SshAgent { username } => json!({ "kind": "agent", "username": username }),
    };
    Some(SecretString::from(packed.to_string()))
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Packed {
    Token { username: String, token: SecretString },
    Key { username: String, key: SecretString, passphrase: Option<SecretString> },
    Agent { username: String },
}

fn unpack(text: &SecretString) -> Option<Credential> {
    Some(match serde_json::from_str(text.expose_secret()).ok()? {
        Packed::Token { username, token } => Credential::Token { username, token },
        Packed::Key { username, key, passphrase } => Credential::SshKey { username, private_key: key, passphrase },
        Packed::Agent { username } => Credential::SshAgent { username },
    })
}

impl App {
    /// The address behind `text`: the practice cluster's Git server is a folder on this machine.
    pub(crate) fn remote(&self, text: &str) -> Result<RemoteUrl> {
        let url = RemoteUrl::parse(text)?;
        match self.practice_path(&url) {
            Some(dir) => Ok(RemoteUrl::local(&dir)?),
            None => Ok(url),
        }
    }

    /// The credential kept for a remote; `None` in the option when there is none.
    pub(crate) async fn kept_credential(&self, url: &RemoteUrl) -> Result<Option<Credential>> {
        if url.scheme() == Scheme::Local {
            return Ok(Some(Credential::None));
        }
        let kept = self.keychain.get(&keychain_name(url)).await?;
        Ok(kept.as_ref().and_then(unpack))
    }

    /// Keeps a remote's credential.
    pub(crate) async fn keep_credential(&self, url: &RemoteUrl, credential: &Credential) -> Result<()> {
        match pack(credential) {
            Some(secret) => self.keychain.set(&keychain_name(url), secret).await,
            None => self.keychain.delete(&keychain_name(url)).await,
        }
    }

    /// The credential kept for a remote.
    ///
    /// # Errors
    /// `app.noCredential` when there is none.
    pub(crate) async fn credential(&self, url: &RemoteUrl) -> Result<Credential> {
        self.kept_credential(url).await?.ok_or_else(|| {
            AppError::new(ErrorCode::NoCredential, format!("no credential is kept for {url}"))
                .with_hint("give a token or an SSH key on the repository's page")
        })
    }

    /// What a Git call needs besides the address.
    pub(crate) fn access(
        &self,
        url: &RemoteUrl,
        credential: Credential,
        operation: Option<&Operation>,
    ) -> Result<Access> {
        let known = KnownHosts::new(self.options.data_dir.join("known_hosts"), self.options.known_hosts.clone());
        let mut access = Access::new(url, credential, known);
        if let Some(file) = &self.options.authority {
            let pem = std::fs::read(file).map_err(|e| {
                AppError::new(ErrorCode::GitBadAuthority, format!("{} cannot be read: {e}", file.display()))
            })?;
            access = access.with_authority(pem);
        }
        if let Some(operation) = operation {
            access = access.with_observer(Arc::new(Follows { operation: operation.clone(), last: Mutex::default() }));
        }
        Ok(access)
    }

    /// Runs a Git call on a thread that may wait; a host key it stumbles over is remembered for the user to accept.
    pub(crate) async fn git<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> pilothouse_git::Result<T> + Send + 'static,
    ) -> Result<T> {
        let shown = self.shown_keys.clone();
        crate::blocking(move || {
            work().map_err(|error| {
                if let GitError::HostKeyUnknown(key) = &error {
                    shown.remember(key);
                }
                AppError::from(error)
            })
        })
        .await
    }

    /// The folder of a remote's clone.
    pub(crate) fn clone_dir(&self, url: &RemoteUrl) -> PathBuf {
        let digest = Sha256::digest(url.as_str().as_bytes());
        let name: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        self.options.data_dir.join("clones").join(name)
    }

    /// The clone of a remote, made empty when it is not there.
    pub(crate) async fn bare_clone(&self, url: &RemoteUrl) -> Result<BareClone> {
        let (dir, url) = (self.clone_dir(url), url.clone());
        self.git(move || {
            if let Some(parent) = dir.parent() {
                std::fs::create_dir_all(parent)
                    .map_err(|e| GitError::Clone { path: parent.display().to_string(), why: e.to_string() })?;
            }
            BareClone::open_or_create(&dir, &url)
        })
        .await
    }

    /// What is known about a remote.
    pub(crate) async fn remote_note(&self, url: &RemoteUrl) -> Result<RemoteNote> {
        let text = self.storage.setting(&note_name(url)).await?;
        Ok(text.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default())
    }

    /// Keeps what is known about a remote.
    pub(crate) async fn note_remote(&self, url: &RemoteUrl, note: &RemoteNote) -> Result<()> {
        let text = serde_json::to_string(note).map_err(|e| AppError::internal(e.to_string()))?;
        self.storage.set_setting(&note_name(url), Some(text)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_comes_back_as_it_was_kept() {
        let secret = |s: &str| SecretString::from(s.to_owned());
        let key = Credential::SshKey {
            username: "git".into(),
            private_key: secret("-----BEGIN\nkey\n"),
            passphrase: Some(secret("p\"w")),
        };
        match unpack(&pack(&key).unwrap()).unwrap() {
            Credential::SshKey { username, private_key, passphrase } => {
                assert_eq!(username, "git");
                assert_eq!(private_key.expose_secret(), "-----BEGIN\nkey\n");
                assert_eq!(passphrase.unwrap().expose_secret(), "p\"w");
            }
            other => panic!("{other:?}"),
        }
        let token = Credential::Token { username: String::new(), token: secret("t") };
        assert!(
            matches!(unpack(&pack(&token).unwrap()), Some(Credential::Token { token, .. }) if token.expose_secret() == "t")
        );
        assert!(pack(&Credential::None).is_none());
        assert!(unpack(&secret("{}")).is_none());
    }
}
