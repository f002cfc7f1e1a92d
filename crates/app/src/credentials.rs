//! Credentials and host keys.

use std::{path::Path, sync::atomic::Ordering};

use pilothouse_git::{Credential, KnownHosts, RemoteUrl, Scheme, generate_ed25519, inspect_private_key, probe};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    App, Result,
    contract::{
        AcceptHostKey, ActivityKind, AppError, CredentialInput, ErrorCode, FieldProblem, GeneratedKey, KeychainInfo,
        Notice, NoticeLevel, RemoteCheck, RemoteTarget, Topic, Transport,
    },
    journal::{Begin, End, Intent},
    remotes::RemoteNote,
};

/// The largest key file that is read, in bytes.
const KEY_LIMIT: u64 = 64 * 1024;

pub(crate) fn generated_name(id: &str) -> String {
    format!("key:{id}")
}

fn field(name: &str, message: &str) -> AppError {
    AppError::fields(vec![FieldProblem { field: name.into(), message: message.into() }])
}

/// Reads a private key file; bounded, and only a plain file.
fn read_key(path: &str) -> Result<SecretString> {
    let refused = |why: String| field("path", &format!("The key file {path} cannot be used: {why}."));
    let file = Path::new(path);
    let meta = std::fs::metadata(file).map_err(|e| refused(e.to_string()))?;
    if !meta.is_file() {
        return Err(refused("it is not a file".into()));
    }
    if meta.len() > KEY_LIMIT {
        return Err(refused("it is too large for a private key".into()));
    }
    std::fs::read_to_string(file).map(SecretString::from).map_err(|e| refused(e.to_string()))
}

impl App {
    /// Says once, when there is a window to say it in, that secrets will not outlive this session.
    pub(crate) fn say_keychain(&self) {
        let Some(app) = self.me.upgrade() else { return };
        if app.keychain_said.swap(true, Ordering::SeqCst) {
            return;
        }
        tokio::spawn(async move {
            let info = app.keychain.settled().await;
            let Some(problem) = info.problem else { return };
            let hint = info.hint.map(|hint| format!(" To mend it: {hint}.")).unwrap_or_default();
            app.tell_notice(Notice {
                level: NoticeLevel::Warn,
                title: "Secrets are kept for this session only".into(),
                body: format!("Tokens and keys you enter are forgotten when Pilothouse ends, for {problem}.{hint}"),
                path: Some("/settings".into()),
            });
            app.changes.tell(Topic::Session);
        });
    }

    /// Keeps what is entered from now on in this session's memory, which the user agreed to.
    pub async fn keep_secrets_in_session(&self) -> Result<KeychainInfo> {
        self.keychain.keep_in_session();
        Ok(self.keychain.info().await)
    }

    /// Looks again whether the system's keychain works, and moves this session's secrets there.
    pub async fn try_keychain_again(&self) -> Result<KeychainInfo> {
        let outcome = self.keychain.try_again().await;
        self.changes.tell(Topic::Session);
        outcome
    }

    /// Makes an ed25519 key pair; the private half goes to the keychain.
    pub async fn generate_key(&self, comment: String) -> Result<GeneratedKey> {
        let comment = comment.chars().filter(|c| !c.is_control()).take(100).collect::<String>();
        let pair = self.git(move || generate_ed25519(&comment)).await?;
        let key_id = format!("{:032x}", fastrand::u128(..));
        self.keychain.set(&generated_name(&key_id), pair.private_openssh).await?;
        Ok(GeneratedKey { key_id, public_key: pair.public_openssh, fingerprint: pair.fingerprint })
    }

    /// The credential behind the window's input, checked as far as that is possible without a server.
    pub(crate) async fn credential_of(&self, input: CredentialInput, url: &RemoteUrl) -> Result<Credential> {
        let web = matches!(url.scheme(), Scheme::Https | Scheme::HttpLoopback);
        let (text, passphrase) = match input {
            CredentialInput::Token { .. } if url.scheme() == Scheme::Ssh => {
                return Err(field("token", "A token works over HTTPS only; give an SSH key, or choose HTTPS."));
            }
            CredentialInput::Token { username, token } => {
                if token.expose_secret().trim().is_empty() {
                    return Err(field("token", "Enter the token."));
                }
                let token = SecretString::from(token.expose_secret().trim().to_owned());
                let username = username.unwrap_or_default().trim().to_owned();
                return Ok(Credential::Token { username, token });
            }
            _ if web => {
                return Err(field("kind", "An SSH key works over SSH only; give a token, or choose SSH."));
            }
            CredentialInput::Agent => return Ok(Credential::SshAgent { username: String::new() }),
            CredentialInput::KeyText { text, passphrase } => (text, passphrase),
            CredentialInput::KeyFile { path, .. } if !self.picked.has(&path) => {
                return Err(field("path", "Choose the key file with the button."));
            }
            CredentialInput::KeyFile { path, passphrase } => {
                (crate::blocking(move || read_key(&path)).await?, passphrase)
            }
            CredentialInput::Generated { key_id } => {
                let key = self.keychain.get(&generated_name(&key_id)).await?;
                let lost = || {
                    AppError::not_found("the generated key is no longer in the keychain")
                        .with_hint("generate a new one and add its public half at the provider")
                };
                (key.ok_or_else(lost)?, None)
            }
        };
        let passphrase = passphrase.filter(|p| !p.expose_secret().is_empty());
        let (key, phrase) = (text.clone(), passphrase.clone());
        let info = self.git(move || inspect_private_key(&key, phrase.as_ref())).await?;
        if info.encrypted && passphrase.is_none() {
            return Err(AppError::new(ErrorCode::GitPassphrase, "this key needs its passphrase"));
        }
        Ok(Credential::SshKey { username: String::new(), private_key: text, passphrase })
    }

    /// The address a target means, as the user knows it.
    async fn target_url(&self, target: RemoteTarget) -> Result<String> {
        Ok(match target {
            RemoteTarget::Url { url } => url,
            RemoteTarget::Repository { transport } => self.repository_url(transport).await?,
            RemoteTarget::GitServer { git_server, path, transport } => {
                self.git_server_url(&git_server, &path, transport).await?
            }
        })
    }

    /// Tries a remote with the given credential, or with the one kept for it.
    pub async fn test_remote(&self, target: RemoteTarget, credential: Option<CredentialInput>) -> Result<RemoteCheck> {
        let text = self.target_url(target).await?;
        let url = self.remote(&text)?;
        let credential = match credential {
            Some(input) if url.scheme() != Scheme::Local => self.credential_of(input, &url).await?,
            _ => self.kept_credential(&url).await?.unwrap_or_default(),
        };
        self.check_remote(&text, url, credential).await
    }

    /// Connects to a remote and lists its branches.
    pub(crate) async fn check_remote(&self, text: &str, url: RemoteUrl, credential: Credential) -> Result<RemoteCheck> {
        let access = self.access(&url, credential, None).await?;
        let at = url.clone();
        let refs = self.git(move || probe(&at, &access)).await?;
        let branches: Vec<String> = refs.branches.into_iter().map(|b| b.name).collect();
        let (there, default) = (branches.clone(), refs.default_branch.clone());
        let note = move |note: &mut RemoteNote| {
            // The user may work with another branch than the one HEAD names.
            if !note.default_branch.as_ref().is_some_and(|known| there.contains(known)) {
                note.default_branch = default.or(note.default_branch.take());
            }
            note.error = None;
        };
        self.change_note(&url, note).await?;
        Ok(RemoteCheck {
            url: text.to_owned(),
            reachable: true,
            can_read: true,
            default_branch: refs.default_branch,
            branches,
            empty: refs.empty,
        })
    }

    /// Trusts an SSH host key that the user has looked at.
    pub async fn accept_host_key(&self, key: AcceptHostKey) -> Result<()> {
        let shown = self.shown_keys.get(&key.host, key.port, &key.fingerprint).ok_or_else(|| {
            AppError::not_found(format!("{} has not shown the key {}", key.host, key.fingerprint))
                .with_hint("test the connection again and look at the key it shows")
        })?;
        let known = KnownHosts::new(self.options.data_dir.join("known_hosts"), self.options.known_hosts.clone());
        let begin = Begin {
            kind: ActivityKind::Credential,
            words: format!("Trust the {} key {} of {}", shown.algorithm, shown.fingerprint, shown.host),
            context: self.context_name(),
            object: None,
            intent: Intent::Other,
        };
        let id = self.journal.begin(begin).await?;
        let outcome = self.git(move || known.accept(&shown)).await;
        self.journal.close_with(id, outcome, |()| End::default()).await
    }

    /// Keeps the credential of the GitOps repository in the keychain.
    pub async fn save_repository_credential(&self, transport: Transport, credential: CredentialInput) -> Result<()> {
        let text = self.repository_url(transport).await?;
        let url = self.remote(&text)?;
        let used = match &credential {
            CredentialInput::Generated { key_id } => Some(generated_name(key_id)),
            _ => None,
        };
        let credential = self.credential_of(credential, &url).await?;
        let what = match &credential {
            Credential::None => "no credential",
            Credential::Token { .. } => "a token",
            Credential::SshKey { .. } => "an SSH key",
            Credential::SshAgent { .. } => "the SSH agent",
        };
        let begin = Begin {
            kind: ActivityKind::Credential,
            words: format!("Keep {what} for {url}"),
            context: self.context_name(),
            object: None,
            intent: Intent::Other,
        };
        let id = self.journal.begin(begin).await?;
        let outcome = async {
            self.keep_credential(&url, &credential).await?;
            self.choose_transport(transport).await
        };
        let outcome = outcome.await;
        self.journal.close_with(id, outcome, |()| End::default()).await?;
        self.outbox.wake.notify_one();
        // The key lives on under the repository's name.
        if let Some(name) = used
            && let Err(error) = self.keychain.delete(&name).await
        {
            tracing::warn!(%error, "a generated key is still in the keychain under its first name too");
        }
        self.changes.tell(Topic::Repository);
        Ok(())
    }
}
