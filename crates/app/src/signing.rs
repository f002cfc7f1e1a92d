//! Signing commits with an SSH key: the key is in the keychain, the settings say that it is to be used.

use std::sync::{Mutex, PoisonError};

use pilothouse_git::{Credential, RemoteUrl, SigningKey};
use secrecy::SecretString;

use crate::{
    App, Result,
    contract::{AppError, CredentialInput, ErrorCode, SigningView},
};

/// The setting: the fingerprint of the key that commits are signed with.
const SIGNING: &str = "signing";
/// The key's name in the keychain.
const KEY: &str = "signing-key";
/// Its passphrase's.
const PASSPHRASE: &str = "signing-passphrase";

/// The key, once it was opened.
#[derive(Default)]
pub(crate) struct OpenedKey(Mutex<Option<SigningKey>>);

impl OpenedKey {
    fn get(&self) -> Option<SigningKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, key: Option<SigningKey>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }
}

fn lost() -> AppError {
    AppError::new(ErrorCode::NoCredential, "the key that signs your commits is no longer in the keychain")
        .with_hint("give it again in the settings, or switch signing off there")
}

impl App {
    /// What commits are signed with; none when signing is off.
    ///
    /// # Errors
    /// `git.noCredential` when the key is gone: who wants signed commits wants no unsigned ones.
    pub(crate) async fn signer(&self) -> Result<Option<SigningKey>> {
        let Some(wanted) = self.storage.setting(SIGNING).await? else { return Ok(None) };
        if let Some(key) = self.signing.get().filter(|key| key.info().fingerprint == wanted) {
            return Ok(Some(key));
        }
        let text = self.keychain.get(KEY).await?.ok_or_else(lost)?;
        let passphrase = self.keychain.get(PASSPHRASE).await?;
        let key = self.git(move || SigningKey::open(&text, passphrase.as_ref())).await?;
        if key.info().fingerprint != wanted {
            return Err(lost());
        }
        self.signing.set(Some(key.clone()));
        Ok(Some(key))
    }

    /// Whether commits are signed, and with what.
    pub async fn signing(&self) -> Result<SigningView> {
        let Some(wanted) = self.storage.setting(SIGNING).await? else { return Ok(SigningView::default()) };
        Ok(match self.signer().await {
            Ok(key) => key.map(|key| view(&key)).unwrap_or_default(),
            Err(error) => {
                SigningView { fingerprint: Some(wanted), problem: Some(error.message), ..SigningView::default() }
            }
        })
    }

    /// Signs commits with a key from now on; none switches signing off and forgets the key.
    ///
    /// # Errors
    /// `git.badKey`, `git.passphrase`: nothing changes then.
    pub async fn set_signing(&self, key: Option<CredentialInput>) -> Result<SigningView> {
        let Some(input) = key else {
            self.storage.set_setting(SIGNING, None).await?;
            self.signing.set(None);
            self.keychain.delete(KEY).await?;
            self.keychain.delete(PASSPHRASE).await?;
            return Ok(SigningView::default());
        };
        // As for a remote over SSH: a key, and no token.
        let like = RemoteUrl::parse("ssh://git@localhost/signing")?;
        let Credential::SshKey { private_key, passphrase, .. } = self.credential_of(input, &like).await? else {
            return Err(AppError::blocked("the SSH agent does not sign commits here").with_hint("give a key"));
        };
        let (text, phrase): (SecretString, Option<SecretString>) = (private_key.clone(), passphrase.clone());
        let key = self.git(move || SigningKey::open(&text, phrase.as_ref())).await?;
        self.keychain.set(KEY, private_key).await?;
        match passphrase {
            Some(passphrase) => self.keychain.set(PASSPHRASE, passphrase).await?,
            None => self.keychain.delete(PASSPHRASE).await?,
        }
        self.storage.set_setting(SIGNING, Some(key.info().fingerprint.clone())).await?;
        self.signing.set(Some(key.clone()));
        Ok(view(&key))
    }
}

fn view(key: &SigningKey) -> SigningView {
    let info = key.info();
    SigningView {
        algorithm: Some(info.algorithm.clone()),
        fingerprint: Some(info.fingerprint.clone()),
        public_key: Some(info.public_openssh.clone()),
        problem: None,
    }
}
