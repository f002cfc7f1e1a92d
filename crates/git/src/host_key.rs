//! An SSH server's key, in the forms people and files know.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::host_certificate::plain_key;
use crate::well_known::Operator;

/// The key an SSH server showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKey {
    /// The host, in lower case.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The algorithm as SSH names it, such as `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:` and the digest, as OpenSSH prints it.
    pub fingerprint: String,
    /// The line to write into a known_hosts file.
    pub line: String,
    /// Who publishes this very key as the server's, for well-known servers.
    #[serde(skip_deserializing)]
    pub published_by: Option<&'static str>,
    /// A warning: who runs this well-known server and publishes other keys for it, but not this one.
    #[serde(skip_deserializing)]
    pub differs_from: Option<&'static str>,
    /// What known_hosts files say about the server although they do not hold this key, as a sentence.
    #[serde(default)]
    pub note: Option<String>,
}

impl HostKey {
    /// Describes the public key `blob` (in SSH's wire form) of a server; of a certificate, the key in it.
    pub fn new(host: &str, port: u16, blob: &[u8]) -> Self {
        let blob = plain_key(blob);
        let (algorithm, fingerprint) = (algorithm(&blob), fingerprint(&blob));
        let operator = Operator::of(host);
        let (published, other) = operator.map_or((None, None), |operator| {
            if operator.publishes(&fingerprint) { (Some(operator.name), None) } else { (None, Some(operator.name)) }
        });
        Self {
            host: host.to_ascii_lowercase(),
            port,
            line: format!("{} {algorithm} {}", known_name(host, port), STANDARD.encode(&blob)),
            algorithm,
            fingerprint,
            published_by: published,
            differs_from: other,
            note: None,
        }
    }

    /// What else there is to say about the key, for the end of a message.
    pub(crate) fn remark(&self) -> String {
        let mut text = String::new();
        if let Some(name) = self.published_by {
            text.push_str(&format!(", which {name} publishes as its own"));
        }
        if let Some(name) = self.differs_from {
            text.push_str(&format!(
                ". WARNING: {name} publishes other keys for this server. Somebody may be listening in; accept this one \
                 only if {name} itself has announced it"
            ));
        }
        if let Some(note) = &self.note {
            text.push_str(&format!(". {note}"));
        }
        text
    }
}

/// The name under which known_hosts lists a server: `host`, or `[host]:port` off port 22.
pub(crate) fn known_name(host: &str, port: u16) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// OpenSSH's SHA-256 fingerprint of a public key in wire form.
pub(crate) fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(sha2::Sha256::digest(blob)))
}

/// The algorithm a public key in wire form starts with, or `unknown`.
pub(crate) fn algorithm(blob: &[u8]) -> String {
    let name =
        blob.split_first_chunk::<4>().and_then(|(length, rest)| rest.get(..u32::from_be_bytes(*length) as usize));
    match name.map(std::str::from_utf8) {
        Some(Ok(name))
            if !name.is_empty() && name.len() < 64 && name.chars().all(|c| c.is_ascii_graphic() && c != ',') =>
        {
            name.to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ed25519 keys as published: GitHub's, and one of nobody's.
    const GITHUB: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    #[test]
    fn a_well_known_servers_key_is_told_from_an_unpublished_one() {
        let github = STANDARD.decode(GITHUB).unwrap();
        for host in ["github.com", "GitHub.com", "ssh.github.com"] {
            let key = HostKey::new(host, 22, &github);
            assert_eq!((key.published_by, key.differs_from), (Some("GitHub"), None), "{host}");
            assert!(key.remark().contains("GitHub publishes"));
        }
        for (host, name) in [("gitlab.com", "GitLab"), ("altssh.bitbucket.org", "Bitbucket")] {
            let key = HostKey::new(host, 443, &github);
            assert_eq!((key.published_by, key.differs_from), (None, Some(name)), "{host}");
            assert!(key.remark().contains("WARNING"));
        }
        for host in ["git.example", "github.com.evil.example"] {
            let key = HostKey::new(host, 22, &github);
            assert_eq!((key.published_by, key.differs_from, key.remark().as_str()), (None, None, ""), "{host}");
        }
    }

    #[test]
    fn the_publishers_word_is_not_taken_from_outside() {
        let key = HostKey::new("git.example", 22, &STANDARD.decode(GITHUB).unwrap());
        let text = serde_json::to_string(&key).unwrap().replace("\"published_by\":null", "\"published_by\":\"GitHub\"");
        let read: HostKey = serde_json::from_str(&text).unwrap();
        assert_eq!(read.published_by, None);
    }
}
