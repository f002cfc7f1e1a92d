//! SSH keys: made, looked at, opened; in memory only.

use secrecy::{ExposeSecret, SecretString};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};

use crate::error::{Error, Result};

/// The largest key text, in bytes.
const MAX: usize = 64 * 1024;

/// A fresh key pair.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The private half in OpenSSH's form, not encrypted.
    pub private_openssh: SecretString,
    /// The public half: one line for the server.
    pub public_openssh: String,
    /// `SHA256:` and the digest.
    pub fingerprint: String,
}

/// What a private key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// The algorithm as SSH names it, such as `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:` and the digest.
    pub fingerprint: String,
    /// The public half: one line for the server.
    pub public_openssh: String,
    /// Whether a passphrase guards the text.
    pub encrypted: bool,
}

/// Makes an ed25519 key pair. Control characters are taken out of `comment`.
pub fn generate_ed25519(comment: &str) -> Result<KeyPair> {
    let failed = |error: ssh_key::Error| Error::Internal(format!("cannot make a key: {error}"));
    let comment: String = comment.chars().filter(|c| !c.is_control()).take(200).collect();
    let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(failed)?;
    key.set_comment(comment);
    Ok(KeyPair {
        private_openssh: SecretString::from(key.to_openssh(LineEnding::LF).map_err(failed)?.as_str().to_owned()),
        public_openssh: key.public_key().to_openssh().map_err(failed)?,
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
    })
}

/// Reads a private key and says what it is. An encrypted key is opened with `passphrase` when there is one, to prove
/// that it fits; without one its public half is told all the same.
pub fn inspect_private_key(text: &SecretString, passphrase: Option<&SecretString>) -> Result<KeyInfo> {
    let key = parse(text)?;
    if key.is_encrypted() && passphrase.is_some() {
        open(&key, passphrase)?;
    }
    let algorithm = key.algorithm();
    if matches!(algorithm, Algorithm::Dsa) {
        return Err(Error::BadKey { why: "DSA keys are no longer taken by servers; make an ed25519 key".to_owned() });
    }
    if matches!(algorithm, Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256) {
        return Err(Error::BadKey {
            why: "it lives in a security key; add it to the SSH agent and use that".to_owned(),
        });
    }
    let public = key.public_key().to_openssh().map_err(|error| Error::BadKey { why: error.to_string() })?;
    Ok(KeyInfo {
        algorithm: algorithm.as_str().to_owned(),
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        public_openssh: public,
        encrypted: key.is_encrypted(),
    })
}

/// The key in OpenSSH's form without encryption, for the SSH library.
pub(crate) fn opened(text: &SecretString, passphrase: Option<&SecretString>) -> Result<SecretString> {
    let key = parse(text)?;
    let key = if key.is_encrypted() { open(&key, passphrase)? } else { key };
    let text = key.to_openssh(LineEnding::LF).map_err(|error| Error::BadKey { why: error.to_string() })?;
    Ok(SecretString::from(text.as_str().to_owned()))
}

fn parse(text: &SecretString) -> Result<PrivateKey> {
    let bad = |why: &str| Error::BadKey { why: why.to_owned() };
    let text = text.expose_secret().trim();
    if text.len() > MAX {
        return Err(bad("it is larger than 64 KiB"));
    }
    if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
        return Err(bad("this is the public half; the private half is in the file without .pub"));
    }
    if text.starts_with("PuTTY-User-Key-File") {
        return Err(bad("it is in PuTTY's form; export it as an OpenSSH key with PuTTYgen"));
    }
    if text.starts_with("-----BEGIN") && !text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") {
        return Err(bad("it is in an old form; `ssh-keygen -p -f FILE` rewrites it in OpenSSH's form"));
    }
    // Pasting often brings other line ends along, and loses the last one.
    let text = zeroize_text(text.replace("\r\n", "\n") + "\n");
    PrivateKey::from_openssh(text.expose_secret())
        .map_err(|_| bad("it is not an OpenSSH private key, or it is cut off"))
}

fn zeroize_text(text: String) -> SecretString {
    SecretString::from(text)
}

fn open(key: &PrivateKey, passphrase: Option<&SecretString>) -> Result<PrivateKey> {
    let Some(passphrase) = passphrase.filter(|text| !text.expose_secret().is_empty()) else {
        return Err(Error::Passphrase { given: false });
    };
    match key.decrypt(passphrase.expose_secret()) {
        Ok(key) => Ok(key),
        Err(ssh_key::Error::Crypto) => Err(Error::Passphrase { given: true }),
        Err(ssh_key::Error::AlgorithmUnsupported { .. } | ssh_key::Error::AlgorithmUnknown) => Err(Error::BadKey {
            why: "its cipher is not known here; `ssh-keygen -p -f FILE` rewrites it with a usual one".to_owned(),
        }),
        Err(_) => Err(Error::Passphrase { given: true }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_can_be_read_back() {
        let pair = generate_ed25519("me\n@host").unwrap();
        let info = inspect_private_key(&pair.private_openssh, None).unwrap();
        assert_eq!((info.algorithm.as_str(), info.encrypted), ("ssh-ed25519", false));
        assert_eq!((info.fingerprint, info.public_openssh), (pair.fingerprint.clone(), pair.public_openssh.clone()));
        assert!(pair.public_openssh.ends_with(" me@host"));
        assert!(!format!("{pair:?}").contains("PRIVATE"));
        let windows = pair.private_openssh.expose_secret().trim().replace('\n', "\r\n");
        assert!(inspect_private_key(&SecretString::from(windows), None).is_ok());
    }

    #[test]
    fn an_encrypted_key_opens_only_with_its_passphrase() {
        let pair = generate_ed25519("x").unwrap();
        let key = PrivateKey::from_openssh(pair.private_openssh.expose_secret()).unwrap();
        let locked = key.encrypt(&mut OsRng, "right").unwrap().to_openssh(LineEnding::LF).unwrap();
        let locked = SecretString::from(locked.as_str().to_owned());
        let pass = |text: &str| SecretString::from(text.to_owned());
        assert!(inspect_private_key(&locked, None).unwrap().encrypted);
        assert!(inspect_private_key(&locked, Some(&pass("right"))).is_ok());
        assert!(matches!(inspect_private_key(&locked, Some(&pass("wrong"))), Err(Error::Passphrase { given: true })));
        assert!(matches!(opened(&locked, None), Err(Error::Passphrase { given: false })));
        assert!(matches!(opened(&locked, Some(&pass(""))), Err(Error::Passphrase { given: false })));
        assert!(opened(&locked, Some(&pass("right"))).is_ok());
    }

    #[test]
    fn other_texts_are_named_for_what_they_are() {
        for (text, word) in [
            ("ssh-ed25519 AAAA x", "public"),
            ("PuTTY-User-Key-File-3: ssh-rsa", "PuTTY"),
            ("-----BEGIN RSA PRIVATE KEY-----\nseeded", "ssh-keygen"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nseeded", "cut off"),
            ("", "not an OpenSSH"),
        ] {
            let error = inspect_private_key(&SecretString::from(text.to_owned()), None).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("seeded"), "{text}: {error}");
        }
    }
}
