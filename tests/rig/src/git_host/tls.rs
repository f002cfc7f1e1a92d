//! What an HTTPS server shows of itself: good certificates, and every kind of bad one.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::error::{Error, Result};

/// A server's certificate. All but the self-signed ones come from a private authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate<'a> {
    /// For these names: DNS names or IP addresses.
    For(&'a [&'a str]),
    /// For these names, and the server wants one of the client too.
    Mutual(&'a [&'a str]),
    /// For 127.0.0.1, but it ran out years ago.
    Expired,
    /// For 127.0.0.1, from years ahead.
    Early,
    /// For 127.0.0.1, signed by itself.
    SelfSigned,
    /// For 127.0.0.1, signed by itself, and it calls itself an authority.
    SelfSignedAuthority,
    /// For 127.0.0.1, signed with the key of a server's certificate, which is no authority.
    FromServer,
}

/// A server's side of TLS, and the certificate that a client may be told to trust: the authority's, or for the
/// self-signed ones their own.
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) trust: String,
    /// The server's own certificate.
    pub(crate) own: String,
    /// The server's key.
    pub(crate) key: String,
}

impl Tls {
    pub(crate) fn new(kind: Certificate<'_>) -> Result<Self> {
        let names: &[&str] = match kind {
            Certificate::For(names) | Certificate::Mutual(names) => names,
            _ => &["127.0.0.1"],
        };
        let mut params = leaf(names)?;
        match kind {
            Certificate::Expired => {
                params.not_before = date_time_ymd(2019, 1, 1);
                params.not_after = date_time_ymd(2020, 1, 1);
            }
            Certificate::Early => {
                params.not_before = date_time_ymd(2090, 1, 1);
                params.not_after = date_time_ymd(2091, 1, 1);
            }
            Certificate::SelfSignedAuthority => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            _ => {}
        }
        let key = KeyPair::generate()?;
        let (own, trust) = match kind {
            Certificate::SelfSigned | Certificate::SelfSignedAuthority => {
                let own = params.self_signed(&key)?.pem();
                (own.clone(), own)
            }
            Certificate::FromServer => {
                let mut signer = leaf(&["signer.example"])?;
                signer.key_usages.push(KeyUsagePurpose::KeyCertSign);
                let signer_key = KeyPair::generate()?;
                let signer_pem = signer.self_signed(&signer_key)?.pem();
                let own = params.signed_by(&key, &Issuer::from_params(&signer, &signer_key))?.pem();
                (own, signer_pem)
            }
            _ => {
                let authority = authority()?;
                (params.signed_by(&key, &authority)?.pem(), authority.pem())
            }
        };
        let odd = |error: &dyn std::fmt::Display| Error::NotReady { what: "TLS".to_owned(), log: error.to_string() };
        let key = key.serialize_pem();
        let chain = vec![CertificateDer::from_pem_slice(own.as_bytes()).map_err(|error| odd(&error))?];
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| odd(&error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| odd(&error))?;
        let builder = if let Certificate::Mutual(_) = kind {
            let mut roots = RootCertStore::empty();
            let der = CertificateDer::from_pem_slice(trust.as_bytes()).map_err(|error| odd(&error))?;
            roots.add(der).map_err(|error| odd(&error))?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| odd(&error))?;
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let config = Arc::new(builder.with_single_cert(chain, private).map_err(|error| odd(&error))?);
        Ok(Self { config, trust, own, key })
    }
}

fn leaf(names: &[&str]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, format!("rig git host {}", fastrand::u32(..)));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("pilothouse rig git {}", fastrand::u32(..)));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}
