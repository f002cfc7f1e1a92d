//! Asks an HTTPS server again for the words that Git's library throws away.
//!
//! The library tells a refusal's status and nothing else, but the reason, and how long to wait, stand in the answer's
//! text and headers. So the request that was refused, which only reads, is made once more. A wrong credential is not
//! repeated: servers lock accounts for that.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;

use crate::access::{Access, Credential};
use crate::error::Error;
use crate::private_ca::authorities;
use crate::rejection::{MAX_WORDS, clean, of_connection};
use crate::remote_url::{RemoteUrl, Scheme};

/// The longest wait for the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest wait a server may ask for; what is longer is cut to this.
const LONGEST: u64 = 24 * 60 * 60;

/// What the server said.
#[derive(Debug, Default)]
struct Said {
    words: String,
    retry_after: Option<u64>,
}

/// What an HTTP status means that a request to `url` got.
pub(crate) fn explain_status(url: &RemoteUrl, access: &Access, pushing: bool, status: u16) -> Error {
    let host = url.host().unwrap_or_default().to_owned();
    let said = match status {
        403 | 429 | 503 => ask(url, access, pushing, status).unwrap_or_default(),
        _ => Said::default(),
    };
    let or = |words: &str, usual: &str| if words.is_empty() { usual.to_owned() } else { words.to_owned() };
    match status {
        403 => of_connection(&host, &said.words).unwrap_or_else(|| Error::Forbidden {
            host,
            words: or(&said.words, "the credential is good, but may not do this (403). Ask for the right to this repository, or give the token \
             more scopes"),
        }),
        404 | 410 => Error::NotFound { host, words: format!("it is not there ({status}). Servers say this of private repositories too: check the address, and that \
                    the credential may read it") },
        429 => {
            let words = or(&said.words, "too many requests (429)");
            Error::RateLimited { host, words, retry_after: said.retry_after }
        }
        503 if said.retry_after.is_some() => {
            let words = or(&said.words, "not available for now (503)");
            Error::RateLimited { host, words, retry_after: said.retry_after }
        }
        _ => {
            let words = or(&said.words, "");
            let gap = if words.is_empty() { "" } else { ": " };
            Error::Network { host, words: format!("the server answered with HTTP status {status}{gap}{words}") }
        }
    }
}

/// Makes the request again; `None` when it cannot be made or is answered otherwise now.
fn ask(url: &RemoteUrl, access: &Access, pushing: bool, status: u16) -> Option<Said> {
    if url.scheme() != Scheme::Https {
        return None;
    }
    let service = if pushing { "git-receive-pack" } else { "git-upload-pack" };
    let address = format!("{}/info/refs?service={service}", url.as_str().trim_end_matches('/'));
    let mut request = client(url, access)?.get(address);
    if let Credential::Token { username, token } = &access.credential
        && access.is_bound_to(url.host()?, url.port())
    {
        let name = [username.as_str(), url.username().unwrap_or_default(), "git"];
        let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        request = request.basic_auth(name, Some(token.expose_secret()));
    }
    let response = request.send().ok()?;
    (response.status().as_u16() == status).then(|| read(response))
}

/// A client that trusts whom the conversation trusted, takes the same proxy, and goes nowhere else.
fn client(url: &RemoteUrl, access: &Access) -> Option<Client> {
    let extra = authorities(access.extra_ca_pem.as_deref().unwrap_or_default());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, Arc::clone(&provider)).ok()?;
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let mut builder = Client::builder().no_proxy();
    if let Some(proxy) = access.proxy.find(url).ok()? {
        builder = builder.proxy(reqwest::Proxy::all(proxy.url.expose_secret()).ok()?);
    }
    builder
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .redirect(Policy::none())
        .timeout(access.limits.stall.min(PATIENCE))
        .user_agent("git/2.0 (pilothouse)")
        .build()
        .ok()
}

fn read(response: Response) -> Said {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let retry_after = wait_in(header(RETRY_AFTER));
    // Pages for browsers say nothing that can be shown here.
    if !header(CONTENT_TYPE).starts_with("text/plain") {
        return Said { words: String::new(), retry_after };
    }
    let mut bytes = Vec::new();
    let _ = response.take(MAX_WORDS as u64).read_to_end(&mut bytes);
    Said { words: clean(&String::from_utf8_lossy(&bytes)), retry_after }
}

/// The seconds of a `Retry-After`, which is a number or a date.
fn wait_in(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.min(LONGEST));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let seconds = at.duration_since(jiff::Timestamp::now()).as_secs();
    Some(u64::try_from(seconds).unwrap_or(0).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_number_or_a_date_and_bounded() {
        assert_eq!(wait_in("120"), Some(120));
        assert_eq!(wait_in("99999999999"), Some(LONGEST));
        assert_eq!(wait_in("Wed, 21 Oct 2015 07:28:00 GMT"), Some(0));
        assert_eq!(wait_in("Wed, 21 Oct 2099 07:28:00 GMT"), Some(LONGEST));
        assert_eq!((wait_in(""), wait_in("-1"), wait_in("soon")), (None, None, None));
    }
}
