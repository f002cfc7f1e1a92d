//! Signatures on commits, made with an SSH key as `git commit -S` makes them with `gpg.format=ssh`.

use std::sync::Arc;

use git2::{Commit, Oid, Repository, Signature, Tree};
use rsa::signature::{SignatureEncoding, Signer};
use secrecy::{ExposeSecret, SecretString};
use ssh_key::private::{KeypairData, RsaKeypair};
use ssh_key::{Algorithm, HashAlg, LineEnding, Mpint, PrivateKey, SshSig};

use crate::bare_clone::BareClone;
use crate::error::{Error, Result};
use crate::key::{KeyInfo, inspect_private_key, opened};

/// What the signature is for; others' signatures by the same key cannot be passed off as one on a commit.
const NAMESPACE: &str = "git";

/// A key that signs commits. It is opened once and stays in memory.
#[derive(Clone)]
pub struct SigningKey {
    key: Arc<PrivateKey>,
    info: KeyInfo,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("fingerprint", &self.info.fingerprint).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Opens a key.
    ///
    /// # Errors
    /// As [`inspect_private_key`]; [`Error::Passphrase`] when an encrypted one is given without its passphrase.
    pub fn open(text: &SecretString, passphrase: Option<&SecretString>) -> Result<Self> {
        let info = inspect_private_key(text, passphrase)?;
        let unlocked = opened(text, passphrase)?;
        let bad = |error: ssh_key::Error| Error::BadKey { why: format!("commits cannot be signed with it: {error}") };
        let mut key = PrivateKey::from_openssh(unlocked.text.expose_secret()).map_err(bad)?;
        if let (true, Some(passphrase)) = (key.is_encrypted(), &unlocked.passphrase) {
            key = key.decrypt(passphrase.expose_secret()).map_err(bad)?;
        }
        let signer = Self { key: Arc::new(key), info };
        // A kind of key that cannot sign is told now, and not at the first commit.
        signer.sign(b"")?;
        Ok(signer)
    }

    /// What the key is.
    pub fn info(&self) -> &KeyInfo {
        &self.info
    }

    /// The armoured signature of a text.
    pub(crate) fn sign(&self, text: &[u8]) -> Result<String> {
        let failed =
            |error: ssh_key::Error| Error::BadKey { why: format!("commits cannot be signed with it: {error}") };
        let signature = match self.key.key_data() {
            KeypairData::Rsa(pair) => {
                let signed = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, text).map_err(failed)?;
                let algorithm = Algorithm::Rsa { hash: Some(HashAlg::Sha512) };
                let signature = ssh_key::Signature::new(algorithm, rsa(pair, &signed).map_err(failed)?);
                let public = self.key.public_key().key_data().clone();
                SshSig::new(public, NAMESPACE, HashAlg::Sha512, signature.map_err(failed)?)
            }
            _ => self.key.sign(NAMESPACE, HashAlg::Sha512, text),
        };
        signature.map_err(failed)?.to_pem(LineEnding::LF).map_err(failed)
    }
}

/// An RSA signature. The SSH library takes one prime for both when it puts such a key together.
fn rsa(pair: &RsaKeypair, text: &[u8]) -> ssh_key::Result<Vec<u8>> {
    let number = |number: &Mpint| rsa::BigUint::try_from(number);
    let primes = vec![number(&pair.private.p)?, number(&pair.private.q)?];
    let (n, e, d) = (number(&pair.public.n)?, number(&pair.public.e)?, number(&pair.private.d)?);
    let key = rsa::RsaPrivateKey::from_components(n, e, d, primes).map_err(|_| ssh_key::Error::Crypto)?;
    let signed = rsa::pkcs1v15::SigningKey::<rsa::sha2::Sha512>::new(key).try_sign(text);
    Ok(signed.map_err(|_| ssh_key::Error::Crypto)?.to_vec())
}

impl BareClone {
    /// The same clone, whose commits are signed from now on.
    #[must_use]
    pub fn signed_by(mut self, key: Option<SigningKey>) -> Self {
        self.signer = key;
        self
    }
}

/// Writes a commit object, signed where there is a key; moves no branch.
pub(crate) fn write_commit(
    repo: &Repository,
    signer: Option<&SigningKey>,
    who: &Signature<'_>,
    message: &str,
    tree: &Tree<'_>,
    parents: &[&Commit<'_>],
) -> Result<Oid> {
    let Some(signer) = signer else {
        return Ok(repo.commit(None, who, who, message, tree, parents)?);
    };
    let content = repo.commit_create_buffer(who, who, message, tree, parents)?;
    let signature = signer.sign(&content)?;
    let content = std::str::from_utf8(&content).map_err(|_| Error::BadIdentity("the commit is no UTF-8 text"))?;
    Ok(repo.commit_signed(content, &signature, None)?)
}
