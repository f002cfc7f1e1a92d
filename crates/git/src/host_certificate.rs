//! Certificates of SSH hosts: a host's key, signed by an authority that a known_hosts file may trust.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use ssh_key::certificate::CertType;
use ssh_key::public::KeyData;
use ssh_key::{Certificate, HashAlg, PublicKey};

use crate::host_key::algorithm;
use crate::known_hosts::glob;

const SUFFIX: &str = "-cert-v01@openssh.com";

/// A host's certificate, not yet judged.
pub(crate) struct HostCertificate {
    inner: Certificate,
    /// The host's own key in wire form.
    pub(crate) key: Vec<u8>,
    /// The key of who signed it, in wire form.
    pub(crate) authority: Vec<u8>,
}

impl HostCertificate {
    /// Reads a certificate in wire form; `None` when it is a plain key, or broken.
    pub(crate) fn parse(blob: &[u8]) -> Option<Self> {
        if !algorithm(blob).ends_with(SUFFIX) {
            return None;
        }
        let inner = Certificate::from_bytes(blob).ok()?;
        let wire = |key: &KeyData| PublicKey::from(key.clone()).to_bytes().ok();
        Some(Self { key: wire(inner.public_key())?, authority: wire(inner.signature_key())?, inner })
    }

    /// Why the certificate does not vouch for `host` today, although its authority is trusted; `None` when it does.
    pub(crate) fn refusal(&self, host: &str) -> Option<String> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if self.inner.cert_type() != CertType::Host {
            return Some("its certificate is one for users, not for hosts".to_owned());
        }
        let principals = self.inner.valid_principals();
        if !principals.iter().any(|pattern| glob(&pattern.to_ascii_lowercase(), &host)) {
            let names: Vec<String> = principals.iter().take(5).map(|name| crate::rejection::clean(name)).collect();
            return Some(format!("its certificate is for {}, not for {host}", names.join(", ")));
        }
        if self.inner.critical_options().iter().next().is_some() {
            return Some("its certificate has conditions that are not understood here".to_owned());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
        if now >= self.inner.valid_before() || now < self.inner.valid_after() {
            return Some("its certificate has run out, or is not good yet".to_owned());
        }
        let signer = self.inner.signature_key().fingerprint(HashAlg::Sha256);
        match self.inner.validate_at(now, [&signer]) {
            Ok(()) => None,
            Err(_) => Some("its certificate's signature cannot be checked".to_owned()),
        }
    }
}

/// The host's own key: what a certificate holds, or the blob itself.
pub(crate) fn plain_key(blob: &[u8]) -> Cow<'_, [u8]> {
    match HostCertificate::parse(blob) {
        Some(certificate) => Cow::Owned(certificate.key),
        None => Cow::Borrowed(blob),
    }
}
