//! Downloads: files that may be large, from servers that may send us on to others. A login goes to the one server it is
//! for; whoever that server sends us to gets the request without it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::{
    ApiToken, Connection, Result, WORDS_LIMIT, WebError, authority, chain, explained, is_loopback, shown, tls,
};

/// How often one request may be sent on to another address.
const HOPS: usize = 5;
/// The most bytes of an answer that says that something is wrong.
const COMPLAINT: usize = 64 * 1024;

/// What proves who we are to one server.
#[derive(Clone)]
pub enum Proof {
    /// A user's name and password or token.
    Basic(ApiToken),
    /// A token that a server gave us for a while.
    Bearer(SecretString),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Basic(_) => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

/// A client for downloads.
#[derive(Debug, Clone)]
pub struct Downloads {
    client: reqwest::Client,
    /// For this machine, which is not reached through a proxy.
    direct: reqwest::Client,
    patience: Duration,
}

/// What is asked for.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Where. Plain HTTP is taken without a proof, or from this machine.
    pub url: &'a Url,
    /// The kinds of content that are understood.
    pub accept: &'a str,
    /// The most bytes that are read.
    pub limit: usize,
    /// Who we are, to the server of `url` alone.
    pub proof: Option<&'a Proof>,
}

/// What came. Its status may be any.
#[derive(Debug)]
pub struct Download {
    /// Where it came from in the end.
    pub url: Url,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The content.
    pub body: Vec<u8>,
}

impl Download {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The content of a good answer.
    ///
    /// # Errors
    /// What the server says instead; `action` completes "does not allow this token to …".
    pub fn good(self, action: &'static str) -> Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let (host, words) = (authority(&self.url), self.words());
        Err(match self.status {
            401 => WebError::Auth { host, words },
            403 => WebError::Forbidden { host, action, words },
            404 => WebError::NotFound { host, action, words },
            429 => WebError::RateLimited { host, until: None, words },
            status => WebError::Unexpected { host, status, words },
        })
    }

    /// The server's words about an error, where they are for people.
    fn words(&self) -> String {
        let said = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
        let said = said.as_ref().and_then(|value| {
            let places = ["/errors/0/message", "/message", "/error"];
            places.iter().find_map(|place| value.pointer(place)?.as_str())
        });
        let plain = || {
            let text = std::str::from_utf8(&self.body).ok()?.trim();
            (!text.is_empty() && !text.starts_with(['<', '{'])).then_some(text)
        };
        let words = said.or_else(plain).unwrap_or("no reason given");
        words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_LIMIT).collect()
    }
}

impl Downloads {
    /// A client. `connection.timeout` is how long a server may be silent.
    ///
    /// # Errors
    /// The private authority's certificate cannot be used.
    pub fn new(connection: &Connection) -> Result<Self> {
        let patience = connection.timeout;
        let build = |direct: bool| -> Result<reqwest::Client> {
            let mut builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls(connection)?)
                .user_agent(concat!("Pilothouse/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .connect_timeout(patience.min(Duration::from_secs(10)))
                .read_timeout(patience);
            if direct {
                builder = builder.no_proxy();
            }
            builder.build().map_err(|error| WebError::Setup(chain(&error)))
        };
        Ok(Self { client: build(false)?, direct: build(true)?, patience })
    }

    /// Fetches something, following redirects. `progress` is told how many bytes have come, and of how many.
    ///
    /// # Errors
    /// The server cannot be reached, sends more than is read, or sends us where we do not go. A bad status is no error
    /// here: see [`Download::good`].
    pub async fn get(&self, wanted: Wanted<'_>, progress: &(dyn Fn(u64, Option<u64>) + Sync)) -> Result<Download> {
        let mut url = wanted.url.clone();
        allowed(&url, wanted.proof.is_some())?;
        for _ in 0..=HOPS {
            let own = url.origin() == wanted.url.origin();
            let client = if is_loopback(&url) { &self.direct } else { &self.client };
            let mut request = client.get(url.clone()).header(ACCEPT, wanted.accept);
            if let Some(proof) = wanted.proof.filter(|_| own) {
                request = request.header(AUTHORIZATION, header(proof)?);
            }
            let failed = |error: &reqwest::Error| explained(error, authority(&url), self.patience);
            let mut response = request.send().await.map_err(|error| failed(&error))?;
            let status = response.status();
            if let Some(to) = response.headers().get(LOCATION).filter(|_| status.is_redirection()) {
                let to = to.to_str().ok().and_then(|to| url.join(to).ok());
                url = onward(&url, to, wanted.proof.is_some())?;
                continue;
            }
            let limit = if status.is_success() { wanted.limit } else { COMPLAINT };
            let too_large = || WebError::TooLarge { host: authority(&url), limit };
            let total = response.content_length();
            if status.is_success() && total.is_some_and(|total| total > limit as u64) {
                return Err(too_large());
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
                if body.len() + chunk.len() > limit {
                    if status.is_success() {
                        return Err(too_large());
                    }
                    break;
                }
                body.extend_from_slice(&chunk);
                progress(body.len() as u64, total);
            }
            return Ok(Download { url, status: status.as_u16(), headers: response.headers().clone(), body });
        }
        Err(WebError::Unexpected {
            host: authority(wanted.url),
            status: 310,
            words: format!("it sends us on and on, more than {HOPS} times"),
        })
    }
}

/// Refuses an address that nothing, or no secret, is sent to.
fn allowed(url: &Url, with_proof: bool) -> Result<()> {
    let refused = |why| Err(WebError::Address { address: shown(url), why });
    if url.host_str().is_none() || !url.username().is_empty() || url.password().is_some() {
        return refused("it must name a host and hold no user name");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) || !with_proof => Ok(()),
        "http" => refused("a user name and a password or token are sent over HTTPS only"),
        _ => refused("it is neither HTTPS nor HTTP"),
    }
}

/// Where a redirect leads, if we go there: never from TLS to plain text, and never from outside to this machine.
fn onward(from: &Url, to: Option<Url>, with_proof: bool) -> Result<Url> {
    let host = authority(from);
    let Some(to) = to else { return Err(WebError::Redirected { host, to: "no address".to_owned() }) };
    let weaker = from.scheme() == "https" && to.scheme() != "https";
    if weaker || leads_inwards(from, &to) || allowed(&to, with_proof && to.origin() == from.origin()).is_err() {
        return Err(WebError::Redirected { host, to: authority(&to) });
    }
    Ok(to)
}

/// Whether somebody outside sends us to this machine, in whichever way it may be written.
pub fn leads_inwards(from: &Url, to: &Url) -> bool {
    let inside = match to.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => {
            let inner = ip.to_ipv4().is_some_and(|ip| ip.is_loopback() || ip.is_unspecified());
            inner || ip.is_loopback() || ip.is_unspecified()
        }
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    };
    inside && !is_loopback(from)
}

fn header(proof: &Proof) -> Result<HeaderValue> {
    let text = match proof {
        Proof::Bearer(token) => Zeroizing::new(format!("Bearer {}", token.expose_secret())),
        Proof::Basic(login) => {
            let pair = Zeroizing::new(format!("{}:{}", login.username, login.token.expose_secret()));
            Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
        }
    };
    // The error's text is ours: the library's could quote the header.
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| WebError::Setup("the token holds a character no token has; enter it again".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn secrets_go_over_tls_only() {
        assert!(allowed(&url("https://charts.example/x"), true).is_ok());
        assert!(allowed(&url("http://127.0.0.1:8080/x"), true).is_ok());
        assert!(allowed(&url("http://charts.example/x"), false).is_ok());
        for (text, proof) in [
            ("http://charts.example/x", true),
            ("https://robin:hush@charts.example/x", false),
            ("file:///etc/passwd", false),
            ("ftp://charts.example/x", false),
        ] {
            let told = allowed(&url(text), proof).unwrap_err().to_string();
            assert!(!told.contains("hush"), "{told}");
        }
    }

    #[test]
    fn redirects_lead_neither_to_plain_text_nor_to_this_machine() {
        let from = url("https://charts.example/a");
        assert!(onward(&from, Some(url("https://storage.example/b")), true).is_ok());
        for to in [
            "http://charts.example/b",
            "https://127.0.0.1/b",
            "https://127.1/b",
            "https://0x7f000001/b",
            "https://0.0.0.0/b",
            "https://[::1]/b",
            "https://[::]/b",
            "https://[::ffff:127.0.0.1]/b",
            "https://[::127.0.0.1]/b",
            "https://localhost:5000/b",
            "https://localhost./b",
            "https://LOCALHOST/b",
            "https://registry.localhost/b",
            "file:///etc/passwd",
        ] {
            assert!(onward(&from, Some(url(to)), false).is_err(), "{to}");
        }
        let here = url("https://127.0.0.1:5000/a");
        assert!(onward(&here, Some(url("https://localhost:5001/b")), false).is_ok(), "this machine may name itself");
        assert!(onward(&from, None, false).is_err());
    }
}
