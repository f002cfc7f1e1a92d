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
    contract::{AppError, ErrorCode, RemoteCondition},
    journal,
    kept_commits::passes,
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
    /// What the last look found that has to be told.
    #[serde(default)]
    pub condition: Option<RemoteCondition>,
    /// Since when.
    #[serde(default)]
    pub since: Option<String>,
}

impl RemoteNote {
    /// Takes in what a look found.
    pub(crate) fn found(&mut self, now: Option<RemoteCondition>) {
        match now {
            Some(now) if self.condition.as_ref() != Some(&now) => {
                (self.condition, self.since) = (Some(now), Some(journal::now()));
            }
            Some(_) => {}
            None if self.condition.as_ref().is_some_and(passes) => (self.condition, self.since) = (None, None),
            None => {}
        }
    }

    /// Takes in how a fetch ended that began with the branch `known`: the branch it brought, or what to say of its
    /// failure. Whether there is something new to tell.
    pub(crate) fn after_fetch(
        &mut self,
        known: Option<&str>,
        ended: std::result::Result<String, Option<String>>,
        found: Option<Option<RemoteCondition>>,
    ) -> bool {
        let before = self.clone();
        // Somebody chose another branch meanwhile: what this fetch saw is about the one before.
        let current = self.default_branch.as_deref() == known;
        if let (true, Some(found)) = (current, found) {
            self.found(found);
        }
        match ended {
            Ok(branch) => {
                if current {
                    self.default_branch = Some(branch);
                }
                (self.fetched, self.error) = (Some(journal::now()), None);
            }
            Err(Some(message)) if current => self.error = Some(message),
            Err(_) => {}
        }
        // Said once: whoever looks at the repository asks again at each word, and would never come to rest.
        self.condition != before.condition || (self.error.is_some() && self.error != before.error)
    }
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

/// The name under which a remote's credential is kept.
pub(crate) fn keychain_name(url: &RemoteUrl) -> String {
    format!("git:{}", url.as_str())
}

/// The setting that holds what is known about a remote.
pub(crate) fn note_name(url: &RemoteUrl) -> String {
    format!("remote:{}", url.as_str())
}

/// Which server a credential may be given to.
pub(crate) fn bound_to(url: &RemoteUrl) -> String {
    format!("{:?} {}", url.scheme(), url.authority())
}

/// Refuses an address that carries a token in the place of a user name: it would be shown, and written into clusters.
pub(crate) fn without_secret(text: &str) -> Result<RemoteUrl> {
    let url = RemoteUrl::parse(text)?;
    let web = matches!(url.scheme(), Scheme::Https | Scheme::HttpLoopback);
    if web && url.username().is_some_and(looks_like_token) {
        return Err(GitError::SecretInUrl.into());
    }
    Ok(url)
}

/// Tokens are long, or begin as the large providers' do; names of accounts are neither.
fn looks_like_token(name: &str) -> bool {
    let marks = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gloas-", "gldt-", "ATBB", "ATCTT"];
    marks.iter().any(|mark| name.starts_with(mark)) || (name.len() >= 20 && name.bytes().any(|b| b.is_ascii_digit()))
}

/// A credential as the keychain keeps it, with the server it is for.
pub(crate) fn pack(credential: &Credential, url: &RemoteUrl) -> Option<SecretString> {
    let mut packed = match credential {
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
    packed["server"] = bound_to(url).into();
    Some(SecretString::from(packed.to_string()))
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Packed {
    Token { username: String, token: SecretString },
    Key { username: String, key: SecretString, passphrase: Option<SecretString> },
    Agent { username: String },
}

#[derive(Deserialize)]
struct Bound {
    server: Option<String>,
}

/// The credential in an entry of the keychain; none when it is for another server.
fn unpack(text: &SecretString, url: &RemoteUrl) -> Option<Credential> {
    let bound: Bound = serde_json::from_str(text.expose_secret()).ok()?;
    // Entries of the first release name no server; they are found under the whole address only.
    if bound.server.is_some_and(|server| server != bound_to(url)) {
        return None;
    }
    Some(match serde_json::from_str(text.expose_secret()).ok()? {
        Packed::Token { username, token } => Credential::Token { username, token },
        Packed::Key { username, key, passphrase } => Credential::SshKey { username, private_key: key, passphrase },
        Packed::Agent { username } => Credential::SshAgent { username },
    })
}

impl App {
    /// The address behind `text`: the practice cluster's Git server is a folder on this machine.
    pub(crate) fn remote(&self, text: &str) -> Result<RemoteUrl> {
        let url = without_secret(text)?;
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
        Ok(kept.as_ref().and_then(|text| unpack(text, url)))
    }

    /// Keeps a remote's credential.
    pub(crate) async fn keep_credential(&self, url: &RemoteUrl, credential: &Credential) -> Result<()> {
        match pack(credential, url) {
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
    pub(crate) async fn access(
        &self,
        url: &RemoteUrl,
        credential: Credential,
        operation: Option<&Operation>,
    ) -> Result<Access> {
        let known = KnownHosts::new(self.options.data_dir.join("known_hosts"), self.options.known_hosts.clone());
        let mut access = Access::new(url, credential, known);
        if let Some(pem) = self.authority_pem().await? {
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
        // A key that is gone keeps nobody from reading; who writes asks for it before.
        let signer = self.signer().await.unwrap_or_default();
        self.git(move || {
            if let Some(parent) = dir.parent() {
                std::fs::create_dir_all(parent)
                    .map_err(|e| GitError::Clone { path: parent.display().to_string(), why: e.to_string() })?;
            }
            Ok(BareClone::open_or_create(&dir, &url)?.signed_by(signer))
        })
        .await
    }

    /// What is known about a remote.
    pub(crate) async fn remote_note(&self, url: &RemoteUrl) -> Result<RemoteNote> {
        let text = self.storage.setting(&note_name(url)).await?;
        Ok(text.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default())
    }

    /// Changes what is known about a remote, in one step: a fetch and the user may have something to note at once.
    pub(crate) async fn change_note<T: Send + 'static>(
        &self,
        url: &RemoteUrl,
        change: impl FnOnce(&mut RemoteNote) -> T + Send + 'static,
    ) -> Result<T> {
        let step = |old: Option<String>| {
            let mut note: RemoteNote = old.as_deref().and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
            let answer = change(&mut note);
            (serde_json::to_string(&note).ok().or(old).unwrap_or_default(), answer)
        };
        self.storage.change_setting(&note_name(url), step).await
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
        let url = RemoteUrl::parse("ssh://git@git.example/a/b").unwrap();
        let web = RemoteUrl::parse("https://git.example/a/b").unwrap();
        match unpack(&pack(&key, &url).unwrap(), &url).unwrap() {
            Credential::SshKey { username, private_key, passphrase } => {
                assert_eq!(username, "git");
                assert_eq!(private_key.expose_secret(), "-----BEGIN\nkey\n");
                assert_eq!(passphrase.unwrap().expose_secret(), "p\"w");
            }
            other => panic!("{other:?}"),
        }
        let token = Credential::Token { username: String::new(), token: secret("t") };
        assert!(
            matches!(unpack(&pack(&token, &web).unwrap(), &web), Some(Credential::Token { token, .. }) if token.expose_secret() == "t")
        );
        assert!(pack(&Credential::None, &web).is_none());
        assert!(unpack(&secret("{}"), &web).is_none());
        let old = secret(r#"{"kind":"token","username":"","token":"t"}"#);
        assert!(unpack(&old, &web).is_some(), "an entry of the first release is read");
    }

    #[test]
    fn a_fetch_takes_back_nothing_that_was_chosen_or_noted_meanwhile() {
        let read_only = RemoteCondition::ReadOnly { words: "archived".into() };
        let mut note = RemoteNote { default_branch: Some("main".into()), ..RemoteNote::default() };
        note.found(Some(read_only.clone()));
        assert!(!note.after_fetch(Some("main"), Ok("main".into()), Some(None)));
        assert_eq!(note.condition, Some(read_only), "noted by a push while the fetch was under way");

        let mut note = RemoteNote { default_branch: Some("next".into()), ..RemoteNote::default() };
        let gone = RemoteCondition::BranchDeleted { kept: "0".repeat(40), default_branch: None, branches: Vec::new() };
        assert!(!note.after_fetch(Some("main"), Ok("main".into()), Some(Some(gone.clone()))));
        assert_eq!((note.default_branch.as_deref(), &note.condition), (Some("next"), &None));
        assert!(!note.after_fetch(Some("main"), Err(Some("there is no main".into())), None));
        assert_eq!(note.error, None);

        assert!(note.after_fetch(Some("next"), Ok("trunk".into()), Some(Some(gone))));
        assert_eq!(note.default_branch.as_deref(), Some("trunk"));
        let failure = || Err(Some("no network".to_owned()));
        assert!(note.after_fetch(Some("trunk"), failure(), None));
        assert!(!note.after_fetch(Some("trunk"), failure(), None), "said once");
    }

    #[test]
    fn a_credential_is_not_read_for_another_server() {
        let token = Credential::Token { username: String::new(), token: SecretString::from("t".to_owned()) };
        let url = |text: &str| RemoteUrl::parse(text).unwrap();
        let kept = pack(&token, &url("https://git.example/a/b")).unwrap();
        assert!(unpack(&kept, &url("https://git.example/a/b")).is_some());
        for other in ["https://evil.example/a/b", "https://git.example:8443/a/b", "ssh://git.example/a/b"] {
            assert!(unpack(&kept, &url(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn case_11_an_address_with_a_token_in_it_is_refused() {
        for text in [
            "https://robin:hush@git.example/a/b.git",
            "https://:hush@git.example/a/b.git",
            "https://ghp_abcdef@github.com/a/b",
            "https://glpat-x1@gitlab.com/a/b",
            "https://abcdefghij0123456789@git.example/a/b",
            "robin:hush@git.example:a/b.git",
            "ssh://git:hush@git.example/a/b.git",
        ] {
            let refused = without_secret(text).unwrap_err();
            assert_eq!(refused.code, ErrorCode::GitSecretInUrl, "{text}");
            assert!(!format!("{refused:?}").contains("hush"), "{refused:?}");
        }
        for text in ["https://robin@git.example/a/b.git", "git@github.com:a/b.git", "ssh://git@h/a/b"] {
            assert!(without_secret(text).is_ok(), "{text}");
        }
    }
}
