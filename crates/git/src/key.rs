//! SSH keys: made, looked at, opened; in memory only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};

use crate::error::{Error, Result};
use crate::host_key::{algorithm, fingerprint};
use crate::old_key::OldKey;

/// The largest key text, in bytes.
const MAX: usize = 64 * 1024;
const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";

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
/// that it fits; without one its public half is told all the same, save for keys in the older PEM forms, whose public
/// half is sealed too: those are [`Error::Passphrase`].
pub fn inspect_private_key(text: &SecretString, passphrase: Option<&SecretString>) -> Result<KeyInfo> {
    let mut text = tidy(text)?;
    if let Some(old) = OldKey::read(text.expose_secret()) {
        let old = old?;
        let encrypted = old.encrypted();
        text = old.open(passphrase)?;
        return Ok(KeyInfo { encrypted, ..inspect_private_key(&text, None)? });
    }
    let outside = Outside::read(&text)?;
    if passphrase.is_some() || !outside.encrypted {
        unlock(&text, &outside, passphrase)?;
    }
    Ok(KeyInfo {
        algorithm: algorithm(&outside.public),
        fingerprint: fingerprint(&outside.public),
        public_openssh: format!("{} {}", algorithm(&outside.public), STANDARD.encode(&outside.public)),
        encrypted: outside.encrypted,
    })
}

/// A key as the SSH library takes it.
#[derive(Clone)]
pub(crate) struct Unlocked {
    /// OpenSSH's form, without encryption where we could take it away.
    pub(crate) text: SecretString,
    /// The passphrase, already proven right, where we could not.
    pub(crate) passphrase: Option<SecretString>,
}

/// Opens a key for the SSH library.
pub(crate) fn opened(text: &SecretString, passphrase: Option<&SecretString>) -> Result<Unlocked> {
    let text = tidy(text)?;
    if let Some(old) = OldKey::read(text.expose_secret()) {
        let text = old?.open(passphrase)?;
        return Ok(Unlocked { text, passphrase: None });
    }
    let outside = Outside::read(&text)?;
    unlock(&text, &outside, passphrase)
}

/// What can be read of a key without opening it; the container is that of OpenSSH's `PROTOCOL.key`.
struct Outside {
    public: Vec<u8>,
    encrypted: bool,
}

impl Outside {
    fn read(text: &SecretString) -> Result<Self> {
        let cut = || Error::BadKey { why: "it is not an OpenSSH private key, or it is cut off".to_owned() };
        let body = text.expose_secret().trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
        let body: Zeroizing<String> =
            Zeroizing::new(body.ok_or_else(cut)?.chars().filter(|c| !c.is_ascii_whitespace()).collect());
        let bytes = Zeroizing::new(STANDARD.decode(body.as_bytes()).map_err(|_| cut())?);
        let mut rest = bytes.strip_prefix(b"openssh-key-v1\0").ok_or_else(cut)?;
        let cipher = string(&mut rest).ok_or_else(cut)?;
        string(&mut rest).and_then(|_| string(&mut rest)).ok_or_else(cut)?;
        if number(&mut rest) != Some(1) {
            return Err(Error::BadKey { why: "the file holds several keys; give one".to_owned() });
        }
        let public = string(&mut rest).ok_or_else(cut)?;
        string(&mut rest).ok_or_else(cut)?;
        match algorithm(public).as_str() {
            "ssh-dss" => {
                let why = "DSA keys are no longer taken by servers; make an ed25519 key".to_owned();
                Err(Error::BadKey { why })
            }
            name if name.starts_with("sk-") => {
                let why = "it lives in a security key; add it to the SSH agent and use that".to_owned();
                Err(Error::BadKey { why })
            }
            _ => Ok(Self { public: public.to_vec(), encrypted: cipher != b"none" }),
        }
    }
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_be_bytes(*head))
}

fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)? as usize;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

/// Takes the text as people paste it; other kinds of key are named for what they are.
fn tidy(text: &SecretString) -> Result<SecretString> {
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
    if text.starts_with("-----BEGIN") && !text.starts_with(BEGIN) && OldKey::read(text).is_none() {
        return Err(bad(
            "it is in a form that is not read here; `ssh-keygen -p -f FILE` rewrites it in OpenSSH's form",
        ));
    }
    // Pasting often brings other line ends along, and loses the last one.
    Ok(SecretString::from(text.replace("\r\n", "\n") + "\n"))
}

/// Opens the key here where that is possible. The library for keys does not read elliptic keys whose number happens
/// to be short (half of all P-521 keys); such a key, its passphrase proven, is left to the SSH library as it is.
fn unlock(text: &SecretString, outside: &Outside, passphrase: Option<&SecretString>) -> Result<Unlocked> {
    let bad = |why: &str| Error::BadKey { why: why.to_owned() };
    let elliptic = algorithm(&outside.public).starts_with("ecdsa-");
    let as_it_is = || Unlocked { text: text.clone(), passphrase: passphrase.filter(|_| outside.encrypted).cloned() };
    let key = match PrivateKey::from_openssh(text.expose_secret()) {
        Ok(key) => key,
        Err(_) if elliptic && !outside.encrypted => return Ok(as_it_is()),
        Err(_) => return Err(bad("it is not an OpenSSH private key, or it is cut off")),
    };
    let key = if key.is_encrypted() {
        let Some(passphrase) = passphrase.filter(|text| !text.expose_secret().is_empty()) else {
            return Err(Error::Passphrase { given: false });
        };
        match key.decrypt(passphrase.expose_secret()) {
            Ok(key) => key,
            // The check numbers come first in what was decrypted: they differ under a wrong passphrase.
            Err(ssh_key::Error::Crypto) => return Err(Error::Passphrase { given: true }),
            Err(_) if elliptic => return Ok(as_it_is()),
            Err(_) => {
                return Err(bad("its cipher is not known here; `ssh-keygen -p -f FILE` rewrites it with a usual one"));
            }
        }
    } else {
        key
    };
    let text = key.to_openssh(LineEnding::LF).map_err(|_| bad("it cannot be written in OpenSSH's form"))?;
    Ok(Unlocked { text: SecretString::from(text.as_str().to_owned()), passphrase: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_can_be_read_back() {
        let pair = generate_ed25519("me\n@host").unwrap();
        let info = inspect_private_key(&pair.private_openssh, None).unwrap();
        assert_eq!((info.algorithm.as_str(), info.encrypted), ("ssh-ed25519", false));
        assert_eq!(info.fingerprint, pair.fingerprint);
        assert!(pair.public_openssh.starts_with(&info.public_openssh));
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
            ("-----BEGIN RSA PRIVATE KEY-----\nseeded", "cut off"),
            ("-----BEGIN RSA PRIVATE KEY-----\nseeded\n-----END RSA PRIVATE KEY-----", "cut off"),
            ("-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----", "DSA"),
            ("-----BEGIN CERTIFICATE-----\nseeded\n-----END CERTIFICATE-----", "ssh-keygen"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nseeded", "cut off"),
            ("", "not an OpenSSH"),
        ] {
            let error = inspect_private_key(&SecretString::from(text.to_owned()), None).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("seeded"), "{text}: {error}");
        }
    }
}
