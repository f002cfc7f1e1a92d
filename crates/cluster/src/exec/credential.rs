//! What a plugin gives: an ExecCredential (client.authentication.k8s.io).

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;

/// A credential from a plugin.
#[derive(Clone)]
pub struct Credential {
    /// A bearer token.
    pub token: Option<SecretString>,
    /// A client certificate and its key, both PEM.
    pub certificate: Option<(String, SecretString)>,
    /// When it ends; unknown if the plugin did not say.
    pub expires: Option<Timestamp>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// The most YAML read: hostile YAML costs far more time than its size suggests, and a credential is small.
const YAML_LIMIT: usize = 64 << 10;

/// How long before its end a credential is no longer used: clocks differ, and requests take time.
const MARGIN: SignedDuration = SignedDuration::from_secs(15);

/// Why a plugin's output is no credential, in fixed words: the output itself may hold one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadCredential(pub &'static str);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    kind: Option<String>,
    status: Option<WireStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus {
    expiration_timestamp: Option<String>,
    token: Option<SecretString>,
    client_certificate_data: Option<String>,
    client_key_data: Option<SecretString>,
}

impl Credential {
    /// Reads a plugin's output, JSON or YAML as client-go does. The problem is told without any of the output.
    pub fn parse(output: &[u8], now: Timestamp) -> Result<Self, BadCredential> {
        const NOT_ONE: BadCredential = BadCredential("it printed something other than an ExecCredential");
        let is_json = output.trim_ascii_start().starts_with(b"{");
        let wire: Wire = if is_json {
            serde_json::from_slice(output).map_err(|_| NOT_ONE)?
        } else if output.len() <= YAML_LIMIT {
            serde_yaml::from_slice(output).map_err(|_| NOT_ONE)?
        } else {
            return Err(NOT_ONE);
        };
        if wire.kind.as_deref().is_some_and(|kind| kind != "ExecCredential") {
            return Err(BadCredential("it printed an object that is not an ExecCredential"));
        }
        let status = wire.status.ok_or(BadCredential("its ExecCredential has no status"))?;
        let expires = match status.expiration_timestamp {
            None => None,
            Some(text) => {
                Some(text.parse::<Timestamp>().map_err(|_| BadCredential("its expirationTimestamp is not a time"))?)
            }
        };
        if expires.is_some_and(|end| end <= now) {
            return Err(BadCredential(
                "the credential that it gave has expired already (or this computer's clock is fast)",
            ));
        }
        let certificate = match (status.client_certificate_data, status.client_key_data) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(BadCredential("it gave a certificate without its key, or a key without its certificate")),
        };
        if status.token.is_none() && certificate.is_none() {
            return Err(BadCredential("its ExecCredential holds neither a token nor a certificate"));
        }
        Ok(Self { token: status.token, certificate, expires })
    }

    /// Whether it can be used at `now`, with a margin.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now.saturating_add(MARGIN).is_ok_and(|soon| soon < end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn now() -> Timestamp {
        "2030-01-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn tokens_are_read_from_json_and_yaml_of_each_version() {
        for text in [
            r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t0p"}}"#,
            r#"{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","spec":{},"status":{"token":"t0p","expirationTimestamp":"2030-01-01T01:00:00Z"}}"#,
            "apiVersion: client.authentication.k8s.io/v1\nkind: ExecCredential\nstatus:\n  token: t0p\n",
        ] {
            let credential = Credential::parse(text.as_bytes(), now()).unwrap();
            assert_eq!(credential.token.as_ref().unwrap().expose_secret(), "t0p");
            assert!(credential.is_fresh(now()));
            assert!(!format!("{credential:?}").contains("t0p"));
        }
    }

    #[test]
    fn junk_is_refused_without_being_repeated() {
        for text in [
            "s3cr3t".to_owned(),
            String::new(),
            r#"{"kind":"Pod","status":{"token":"s3cr3t"}}"#.to_owned(),
            r#"{"kind":"ExecCredential"}"#.to_owned(),
            r#"{"kind":"ExecCredential","status":{}}"#.to_owned(),
            r#"{"kind":"ExecCredential","status":{"clientKeyData":"s3cr3t"}}"#.to_owned(),
            r#"{"kind":"ExecCredential","status":{"token":"s3cr3t","expirationTimestamp":"soon s3cr3t"}}"#.to_owned(),
            r#"{"kind":"ExecCredential","status":{"token":"s3cr3t","expirationTimestamp":"2029-12-31T23:59:59Z"}}"#
                .to_owned(),
            "[".repeat(20_000),
            "[".repeat(1 << 20),
        ] {
            let problem = Credential::parse(text.as_bytes(), now()).unwrap_err();
            assert!(!problem.to_string().contains("s3cr3t"), "{problem}");
        }
    }

    #[test]
    fn freshness_ends_before_the_end() {
        let text = r#"{"kind":"ExecCredential","status":{"token":"t","expirationTimestamp":"2030-01-01T00:10:00Z"}}"#;
        let credential = Credential::parse(text.as_bytes(), now()).unwrap();
        assert!(credential.is_fresh("2030-01-01T00:09:00Z".parse().unwrap()));
        assert!(!credential.is_fresh("2030-01-01T00:09:50Z".parse().unwrap()));
    }
}
