//! An SSH server's key, in the forms people and files know.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

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
}

impl HostKey {
    /// Describes the public key `blob` (in SSH's wire form) of a server.
    pub fn new(host: &str, port: u16, blob: &[u8]) -> Self {
        let algorithm = algorithm(blob);
        Self {
            host: host.to_ascii_lowercase(),
            port,
            fingerprint: fingerprint(blob),
            line: format!("{} {algorithm} {}", known_name(host, port), STANDARD.encode(blob)),
            algorithm,
        }
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
