//! Servers whose certificate comes from a private authority.
//!
//! Git's library takes authorities only through process-wide switches, so the leaf it shows us is judged here against
//! the authorities of this one remote. Only where that succeeds is the certificate accepted; in every other case the
//! library's own verdict, from the system's authorities, stands. The server shows us no intermediate certificates, so
//! those must be among the given ones. A given certificate that is no authority is trusted as the server's own and
//! vouches for no other.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use crate::error::{Error, Result};
use crate::tls::is_current;

/// The authorities of one remote.
#[derive(Debug)]
pub(crate) struct PrivateAuthority {
    given: Vec<CertificateDer<'static>>,
    /// `None` when none of the given certificates is an authority.
    verifier: Option<Arc<WebPkiServerVerifier>>,
}

impl PrivateAuthority {
    /// Reads PEM; [`Error::BadAuthority`] when there is no usable certificate in it.
    pub(crate) fn parse(pem: &[u8]) -> Result<Self> {
        let bad = |why: String| Error::BadAuthority { why };
        if pem.len() > 1024 * 1024 {
            return Err(bad("it is larger than 1 MiB".to_owned()));
        }
        let mut given = CertificateDer::pem_slice_iter(pem)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| bad(error.to_string()))?;
        given.retain(|certificate| X509Certificate::from_der(certificate).is_ok());
        if given.is_empty() {
            return Err(bad("there is no certificate in it".to_owned()));
        }
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(given.iter().filter(|one| is_authority(one)).cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = match taken {
            0 => None,
            _ => Some(
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| bad(error.to_string()))?,
            ),
        };
        Ok(Self { given, verifier })
    }

    /// Whether `leaf` is good for `host` today under these authorities, or is itself one of the given certificates.
    pub(crate) fn vouches_for(&self, leaf: &[u8], host: &str) -> bool {
        let leaf = CertificateDer::from(leaf);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let Ok(name) = ServerName::try_from(host) else { return false };
        let verified = |verifier: &Arc<WebPkiServerVerifier>| {
            verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::now()).is_ok()
        };
        if self.verifier.as_ref().is_some_and(verified) {
            return true;
        }
        self.given.contains(&leaf)
            && is_current(&leaf)
            && ParsedCertificate::try_from(&leaf)
                .is_ok_and(|leaf| rustls::client::verify_server_name(&leaf, &name).is_ok())
    }

    /// Whether a given certificate of that name is no authority.
    pub(crate) fn holds_server(&self, subject: &X509Name<'_>) -> bool {
        self.given.iter().any(|one| {
            !is_authority(one)
                && X509Certificate::from_der(one).is_ok_and(|(_, parsed)| parsed.subject().as_raw() == subject.as_raw())
        })
    }
}

/// Those of the certificates in `pem` that may vouch for others.
pub(crate) fn authorities(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(|one| one.ok()).filter(|one| is_authority(one)).collect()
}

/// Whether a certificate may vouch for others. Those of version 1 cannot say so; they may when they signed themselves.
fn is_authority(certificate: &[u8]) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, parsed)| {
        parsed.is_ca() || (parsed.version.0 == 0 && parsed.issuer().as_raw() == parsed.subject().as_raw())
    })
}
