//! Servers whose certificate comes from a private authority.
//!
//! Git's library takes authorities only through process-wide switches, so the leaf it shows us is judged here against
//! the authorities of this one remote. Only where that succeeds is the certificate accepted; in every other case the
//! library's own verdict, from the system's authorities, stands. The server shows us no intermediate certificates, so
//! those must be among the given ones; each given certificate is trusted as an anchor.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;

use crate::error::{Error, Result};

/// The authorities of one remote.
#[derive(Debug)]
pub(crate) struct PrivateAuthority {
    given: Vec<CertificateDer<'static>>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl PrivateAuthority {
    /// Reads PEM; [`Error::BadAuthority`] when there is no usable certificate in it.
    pub(crate) fn parse(pem: &[u8]) -> Result<Self> {
        let bad = |why: String| Error::BadAuthority { why };
        if pem.len() > 1024 * 1024 {
            return Err(bad("it is larger than 1 MiB".to_owned()));
        }
        let given = CertificateDer::pem_slice_iter(pem)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| bad(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(given.iter().cloned());
        if taken == 0 {
            return Err(bad("there is no certificate in it".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self { given, verifier })
    }

    /// Whether `leaf` is good for `host` today under these authorities, or is itself one of the given certificates.
    pub(crate) fn vouches_for(&self, leaf: &[u8], host: &str) -> bool {
        let leaf = CertificateDer::from(leaf);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let Ok(name) = ServerName::try_from(host) else { return false };
        if self.verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::now()).is_ok() {
            return true;
        }
        // A self-signed certificate that calls itself an authority is no leaf to the verifier; given as such, it is.
        self.given.contains(&leaf)
            && ParsedCertificate::try_from(&leaf)
                .is_ok_and(|leaf| rustls::client::verify_server_name(&leaf, &name).is_ok())
    }
}
