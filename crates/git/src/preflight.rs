//! A look at a server's certificate before Git's library meets it through a proxy.
//!
//! Behind a proxy the library must never find a certificate wanting: when it does, it frees the connection to the
//! proxy and then still writes to it. So the certificate is judged here first, over a connection of our own, and the
//! library is told that this very certificate is good. Should it then be shown another one, the conversation is
//! stopped where it stands and left behind; see [`crate::deadline::Pulse::abandon`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::blocking::Client;
use reqwest::redirect::Policy;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, Error as RustlsError, SignatureScheme};
use secrecy::ExposeSecret;

use crate::access::Access;
use crate::error::{Error, Result};
use crate::private_ca::PrivateAuthority;
use crate::proxy::Proxy;
use crate::remote_url::RemoteUrl;
use crate::tls::TlsProblem;

/// Looks at the server through the proxy; nothing secret is sent. Gives the certificate that was found good, or
/// nothing when none was shown, which the library will then explain.
pub(crate) fn look(
    url: &RemoteUrl,
    access: &Access,
    proxy: &Proxy,
    given: Option<&Arc<PrivateAuthority>>,
) -> Result<Option<Vec<u8>>> {
    let Some((client, judge)) = client(access, Some(proxy), given) else { return Ok(None) };
    let address = format!("{}/info/refs?service=git-upload-pack", url.as_str().trim_end_matches('/'));
    let _ = client.get(address).send();
    let seen = std::mem::take(&mut *judge.seen.lock().unwrap_or_else(PoisonError::into_inner));
    // A proxy that is itself spoken to over TLS is met first; when it is refused, the library says so.
    let server = if proxy.shown.starts_with("https://") { seen.get(1) } else { seen.last() };
    match server {
        Some((leaf, true)) => Ok(Some(leaf.clone())),
        Some((leaf, false)) => {
            let host = url.host().unwrap_or_default().to_owned();
            let problem = TlsProblem::of_certificate(leaf, &host, given.map(AsRef::as_ref));
            let words = "the certificate is not trusted".to_owned();
            Err(Error::Tls { host, problem, words })
        }
        None => Ok(None),
    }
}

/// Whether the server asks for a certificate of ours: the library's words for that are those of a cut connection too.
pub(crate) fn wants_certificate(
    url: &RemoteUrl,
    access: &Access,
    proxy: Option<&Proxy>,
    given: Option<&Arc<PrivateAuthority>>,
) -> bool {
    let Some((client, judge)) = client(access, proxy, given) else { return false };
    let refused = client.get(url.as_str()).send().is_err();
    refused && judge.asked.load(Ordering::Acquire)
}

fn client(
    access: &Access,
    proxy: Option<&Proxy>,
    given: Option<&Arc<PrivateAuthority>>,
) -> Option<(Client, Arc<Judge>)> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let system = rustls_platform_verifier::Verifier::new(Arc::clone(&provider)).ok()?;
    let judge =
        Arc::new(Judge { given: given.cloned(), system, seen: Mutex::default(), asked: AtomicBool::new(false) });
    let verifier: Arc<dyn ServerCertVerifier> = Arc::<Judge>::clone(&judge);
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::<Judge>::clone(&judge));
    let mut builder = Client::builder().no_proxy();
    if let Some(proxy) = proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy.url.expose_secret()).ok()?);
    }
    let client = builder
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .redirect(Policy::none())
        .timeout(access.limits.stall)
        .user_agent("git/2.0 (pilothouse)")
        .build()
        .ok()?;
    Some((client, judge))
}

/// Judges as the conversation will: by the given authorities, else by the system's. Notes what it saw.
#[derive(Debug)]
struct Judge {
    given: Option<Arc<PrivateAuthority>>,
    system: rustls_platform_verifier::Verifier,
    seen: Mutex<Vec<(Vec<u8>, bool)>>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Judge {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Release);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, RustlsError> {
        let vouched = self.given.as_ref().is_some_and(|given| given.vouches_for(leaf, &name.to_str()));
        let good = vouched || self.system.verify_server_cert(leaf, between, name, stapled, now).is_ok();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push((leaf.to_vec(), good));
        match good {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, RustlsError> {
        self.system.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, RustlsError> {
        self.system.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.system.supported_verify_schemes()
    }
}
