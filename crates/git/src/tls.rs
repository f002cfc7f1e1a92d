//! Why there is no safe connection: what is wrong with a certificate, or with the server's TLS.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error as RustlsError};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::private_ca::PrivateAuthority;

/// What keeps a connection from being safe. Its text says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsProblem {
    /// The server signed its certificate itself, so nobody vouches for it.
    SelfSigned,
    /// The certificate comes from an authority that this computer does not know.
    UnknownAuthority,
    /// The certificate comes neither from an authority that this computer knows nor from a given one.
    OtherAuthority,
    /// What was given as the authority is a server's certificate, which cannot vouch for others.
    NotAnAuthority,
    /// The certificate has run out.
    Expired {
        /// When.
        since: String,
    },
    /// The certificate is not good yet, or this computer's clock is wrong.
    NotYetValid {
        /// From when on it is.
        from: String,
    },
    /// The certificate is for other names.
    WrongName {
        /// The names it is for.
        names: String,
    },
    /// The server wants a certificate of the client.
    ClientCertificate,
    /// The server speaks only versions of TLS that are no longer safe.
    OldVersion,
    /// The server broke the handshake off without a reason: it wants a certificate, or offers nothing safe.
    Handshake,
    /// Behind a proxy, the server showed another certificate than a moment before.
    Changed,
    /// The server does not speak TLS on this port.
    NotTls,
    /// Something else; the library's words.
    Other(String),
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfSigned => f.write_str(
                "its certificate is signed by itself, so nobody vouches for it. If this is expected, add the \
                 certificate as a private authority",
            ),
            Self::UnknownAuthority => f.write_str(
                "its certificate comes from an authority that this computer does not know. If it is your \
                 organisation's, add that authority's certificate",
            ),
            Self::OtherAuthority => f.write_str(
                "its certificate comes neither from the given authority nor from one that this computer knows. Give \
                 the authority that signed it, with the ones in between",
            ),
            Self::NotAnAuthority => f.write_str(
                "what was given as its authority is a server's certificate, which cannot vouch for others. Give the \
                 authority's own certificate",
            ),
            Self::Expired { since } => {
                write!(f, "its certificate has expired ({since}). The server's administrator has to renew it")
            }
            Self::NotYetValid { from } => {
                write!(f, "its certificate is good only from {from} on. Check this computer's clock")
            }
            Self::WrongName { names } => write!(
                f,
                "its certificate is for {names}, not for the name in the address. Use a name that the certificate \
                 holds, or have it renewed for this one"
            ),
            Self::ClientCertificate => f.write_str(
                "it wants a client certificate (mutual TLS), which is not supported. Use SSH, or an address without it",
            ),
            Self::OldVersion => f.write_str(
                "it offers only old TLS versions or ciphers that are no longer safe. Its administrator has to allow \
                 TLS 1.2 or newer",
            ),
            Self::Handshake => f.write_str(
                "it broke the TLS handshake off. It may want a client certificate, which is not supported, or offer \
                 only old ciphers",
            ),
            Self::Changed => f.write_str(
                "behind the proxy it shows another certificate than a moment before, so nothing was sent. Try again; if \
                 it stays so, ask who runs the proxy",
            ),
            Self::NotTls => f.write_str("it does not speak TLS on this port. Check the address and its port"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl TlsProblem {
    /// What the library's words mean, where they alone say it.
    pub(crate) fn from_words(words: &str) -> Option<Self> {
        let lower = words.to_lowercase();
        let any = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
        let client = ["certificate required", "alert bad certificate"];
        if any(&client) {
            return Some(Self::ClientCertificate);
        }
        if any(&["alert handshake failure"]) {
            return Some(Self::Handshake);
        }
        if any(&["wrong version number", "packet length too long", "http request", "record layer failure"]) {
            return Some(Self::NotTls);
        }
        let old = ["unsupported protocol", "protocol version", "no protocols available", "wrong ssl version"];
        let weak = ["no shared cipher", "alert insufficient security", "dh key too small"];
        let legacy = ["legacy sigalg", "no suitable signature", "internal error", "wrong signature type"];
        (any(&old) || any(&weak) || any(&legacy)).then_some(Self::OldVersion)
    }

    /// What is wrong with a certificate that nobody vouched for.
    pub(crate) fn of_certificate(leaf: &[u8], host: &str, given: Option<&PrivateAuthority>) -> Self {
        let Ok((_, parsed)) = X509Certificate::from_der(leaf) else {
            return Self::Other("its certificate cannot be read".to_owned());
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs() as i64);
        let validity = parsed.validity();
        if now > validity.not_after.timestamp() {
            return Self::Expired { since: validity.not_after.to_string() };
        }
        if now < validity.not_before.timestamp() {
            return Self::NotYetValid { from: validity.not_before.to_string() };
        }
        if let Some(names) = wrong_name(leaf, host) {
            return Self::WrongName { names };
        }
        if parsed.issuer() == parsed.subject() {
            return Self::SelfSigned;
        }
        match given {
            Some(given) if given.holds_server(parsed.issuer()) => Self::NotAnAuthority,
            Some(_) => Self::OtherAuthority,
            None => Self::UnknownAuthority,
        }
    }
}

/// Whether a certificate is within its time now.
pub(crate) fn is_current(certificate: &[u8]) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, parsed)| parsed.validity().is_valid())
}

/// The names a certificate is for, when `host` is not among them.
fn wrong_name(leaf: &[u8], host: &str) -> Option<String> {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let der = CertificateDer::from(leaf);
    let (parsed, name) = (ParsedCertificate::try_from(&der).ok()?, ServerName::try_from(host).ok()?);
    let names = match rustls::client::verify_server_name(&parsed, &name).err()? {
        RustlsError::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => presented
            .iter()
            .take(5)
            .map(|name| crate::rejection::clean(name))
            .map(|name| name.split('"').nth(1).map(str::to_owned).unwrap_or(name))
            .collect::<Vec<_>>()
            .join(", "),
        _ => String::new(),
    };
    Some(if names.is_empty() { "other names".to_owned() } else { names })
}
