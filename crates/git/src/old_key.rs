//! Private keys in the forms that came before OpenSSH's own: PKCS #1, SEC 1 and PKCS #8 in PEM, encrypted or not.
//!
//! They are opened here and written anew in OpenSSH's form, which is what the SSH library reads everywhere.

use aes::cipher::{BlockDecryptMut, KeyIvInit, block_padding::Pkcs7};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use pkcs1::RsaPrivateKey;
use pkcs8::der::Decode as _;
use pkcs8::{EncryptedPrivateKeyInfo, ObjectIdentifier, PrivateKeyInfo};
use sec1::EcPrivateKey;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use ssh_key::private::Ed25519Keypair;

use crate::error::{Error, Result};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ELLIPTIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// A PEM text, taken apart.
pub(crate) struct OldKey<'a> {
    label: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: Zeroizing<Vec<u8>>,
}

impl<'a> OldKey<'a> {
    /// Reads the outside; `None` when the text is in none of these forms.
    pub(crate) fn read(text: &'a str) -> Option<Result<Self>> {
        let rest = text.trim().strip_prefix("-----BEGIN ")?;
        let (label, rest) = rest.split_once("-----")?;
        if !matches!(
            label,
            "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "DSA PRIVATE KEY" | "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY"
        ) {
            return None;
        }
        let Some(inside) = rest.split_once("-----END ").filter(|(_, end)| end.starts_with(label)).map(|(body, _)| body)
        else {
            return Some(Err(cut()));
        };
        let mut headers = Vec::new();
        let mut base64 = Zeroizing::new(String::new());
        for line in inside.lines().map(str::trim) {
            match line.split_once(": ") {
                Some(header) => headers.push(header),
                None => base64.push_str(line),
            }
        }
        Some(match STANDARD.decode(base64.as_bytes()) {
            Ok(body) => Ok(Self { label, headers, body: Zeroizing::new(body) }),
            Err(_) => Err(cut()),
        })
    }

    /// Whether a passphrase guards the key.
    pub(crate) fn encrypted(&self) -> bool {
        self.label == "ENCRYPTED PRIVATE KEY" || self.header("Proc-Type").is_some_and(|kind| kind.contains("ENCRYPTED"))
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    /// Opens the key and writes it in OpenSSH's form, without a passphrase.
    pub(crate) fn open(&self, passphrase: Option<&SecretString>) -> Result<SecretString> {
        if self.label == "DSA PRIVATE KEY" {
            return Err(bad("DSA keys are no longer taken by servers; make an ed25519 key"));
        }
        if !self.encrypted() {
            return self.rewrite(self.label, &self.body);
        }
        let Some(passphrase) = passphrase.map(|text| text.expose_secret()).filter(|text| !text.is_empty()) else {
            return Err(Error::Passphrase { given: false });
        };
        // What a wrong passphrase leaves is noise, which all but never reads as a key.
        let wrong = |_| Error::Passphrase { given: true };
        if self.label == "ENCRYPTED PRIVATE KEY" {
            let sealed = EncryptedPrivateKeyInfo::from_der(&self.body).map_err(|_| unknown_cipher())?;
            let opened = sealed.decrypt(passphrase.as_bytes()).map_err(|error| match error {
                pkcs8::Error::EncryptedPrivateKey(
                    pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. } | pkcs8::pkcs5::Error::NoPbes1CryptSupport,
                ) => unknown_cipher(),
                _ => Error::Passphrase { given: true },
            })?;
            return self.rewrite("PRIVATE KEY", opened.as_bytes()).map_err(wrong);
        }
        let (cipher, salt) = self.header("DEK-Info").and_then(|info| info.split_once(',')).ok_or_else(cut)?;
        let opened = decrypt(cipher.trim(), salt.trim(), passphrase.as_bytes(), &self.body)?;
        self.rewrite(self.label, &opened).map_err(wrong)
    }

    fn rewrite(&self, label: &str, der: &[u8]) -> Result<SecretString> {
        match label {
            "RSA PRIVATE KEY" => rsa(der),
            "EC PRIVATE KEY" => elliptic(der, None),
            _ => {
                let info = PrivateKeyInfo::from_der(der).map_err(|_| cut())?;
                match info.algorithm.oid {
                    RSA => rsa(info.private_key),
                    ELLIPTIC => {
                        let curve = info.algorithm.parameters_oid().map_err(|_| cut())?;
                        elliptic(info.private_key, Some(curve))
                    }
                    ED25519 => {
                        // An OCTET STRING within the one of PKCS #8.
                        let seed = info.private_key.strip_prefix(&[4, 32]).ok_or_else(cut)?;
                        let pair = Ed25519Keypair::from_seed(seed.try_into().map_err(|_| cut())?);
                        let public: &[u8] = pair.public.as_ref();
                        let both = Zeroizing::new([seed, public].concat());
                        Ok(container("ssh-ed25519", &[public], &[public, &both]))
                    }
                    _ => Err(bad("its algorithm is none that SSH uses; make an ed25519 key")),
                }
            }
        }
    }
}

fn bad(why: &str) -> Error {
    Error::BadKey { why: why.to_owned() }
}

fn cut() -> Error {
    bad("it is not a private key, or it is cut off")
}

fn unknown_cipher() -> Error {
    bad("its cipher is not known here; `ssh-keygen -p -f FILE` rewrites it with a usual one")
}

/// Opens what OpenSSL's old PEM encryption sealed: the key is MD5 of the passphrase and the first half of the IV.
fn decrypt(cipher: &str, iv: &str, passphrase: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let iv: Vec<u8> = (0..iv.len() / 2)
        .map(|at| u8::from_str_radix(iv.get(2 * at..2 * at + 2).unwrap_or_default(), 16))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| cut())?;
    let salt = iv.get(..8).ok_or_else(cut)?;
    let mut key = Zeroizing::new(Vec::new());
    let mut last = Vec::new();
    while key.len() < 32 {
        last = Md5::new().chain_update(&last).chain_update(passphrase).chain_update(salt).finalize().to_vec();
        key.extend_from_slice(&last);
    }
    macro_rules! open {
        ($cipher:ty, $size:expr) => {
            cbc::Decryptor::<$cipher>::new_from_slices(&key[..$size], &iv)
                .map_err(|_| cut())?
                .decrypt_padded_vec_mut::<Pkcs7>(sealed)
                .map_err(|_| Error::Passphrase { given: true })?
        };
    }
    Ok(Zeroizing::new(match cipher {
        "AES-128-CBC" => open!(aes::Aes128, 16),
        "AES-192-CBC" => open!(aes::Aes192, 24),
        "AES-256-CBC" => open!(aes::Aes256, 32),
        "DES-EDE3-CBC" => open!(des::TdesEde3, 24),
        _ => return Err(unknown_cipher()),
    }))
}

fn rsa(der: &[u8]) -> Result<SecretString> {
    let key = RsaPrivateKey::from_der(der).map_err(|_| cut())?;
    let [n, e, d] = [key.modulus, key.public_exponent, key.private_exponent].map(|number| mpint(number.as_bytes()));
    let [q1, p, q] = [key.coefficient, key.prime1, key.prime2].map(|number| mpint(number.as_bytes()));
    Ok(container("ssh-rsa", &[&e, &n], &[&n, &e, &d, &q1, &p, &q]))
}

fn elliptic(der: &[u8], curve: Option<ObjectIdentifier>) -> Result<SecretString> {
    let key = EcPrivateKey::from_der(der).map_err(|_| cut())?;
    let curve = key.parameters.and_then(|parameters| parameters.named_curve()).or(curve).ok_or_else(cut)?;
    let name = match curve {
        P256 => "nistp256",
        P384 => "nistp384",
        P521 => "nistp521",
        _ => return Err(bad("its curve is none that SSH uses; make an ed25519 key")),
    };
    let Some(point) = key.public_key else {
        return Err(bad("it lacks its public half; `ssh-keygen -p -f FILE` adds it"));
    };
    let number = mpint(key.private_key);
    let fields: [&[u8]; 3] = [name.as_bytes(), point, &number];
    Ok(container(&format!("ecdsa-sha2-{name}"), &fields[..2], &fields))
}

/// A positive number as SSH writes it: no leading zeros, save one where the first bit is set.
fn mpint(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len() + 1));
    if bytes.get(start).is_some_and(|byte| *byte >= 0x80) {
        out.push(0);
    }
    out.extend_from_slice(&bytes[start..]);
    out
}

/// OpenSSH's container (its `PROTOCOL.key`) around one key, not encrypted.
fn container(algorithm: &str, public: &[&[u8]], private: &[&[u8]]) -> SecretString {
    fn put(out: &mut Vec<u8>, field: &[u8]) {
        out.extend_from_slice(&(field.len() as u32).to_be_bytes());
        out.extend_from_slice(field);
    }
    let mut blob = Vec::new();
    put(&mut blob, algorithm.as_bytes());
    public.iter().for_each(|field| put(&mut blob, field));
    // The check numbers only tell a right passphrase from a wrong one; there is none here.
    let mut inner = Zeroizing::new(vec![0x50; 8]);
    put(&mut inner, algorithm.as_bytes());
    private.iter().for_each(|field| put(&mut inner, field));
    put(&mut inner, b"");
    let mut pad = 1;
    while !inner.len().is_multiple_of(8) {
        inner.push(pad);
        pad += 1;
    }
    let mut whole = Zeroizing::new(b"openssh-key-v1\0".to_vec());
    for field in [b"none".as_slice(), b"none", b""] {
        put(&mut whole, field);
    }
    whole.extend_from_slice(&1u32.to_be_bytes());
    put(&mut whole, &blob);
    put(&mut whole, &inner);
    let mut text = Zeroizing::new("-----BEGIN OPENSSH PRIVATE KEY-----\n".to_owned());
    let base64 = Zeroizing::new(STANDARD.encode(whole.as_slice()));
    for line in base64.as_bytes().chunks(70) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    SecretString::from(text.as_str().to_owned())
}
