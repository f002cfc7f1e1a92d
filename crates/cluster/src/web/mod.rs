//! One HTTP client for the web APIs beside the cluster's own, such as those of Git providers and of ChaosCenter: a token
//! goes to its own server, over TLS, and nowhere else.

mod download;
mod error;

pub use download::{Download, Downloads, Proof, Wanted, leads_inwards};
pub use error::WebError;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LINK, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

type Result<T> = std::result::Result<T, WebError>;

/// A secret's lines of at least so many letters are hidden singly; shorter ones may be anybody's words.
const SHORTEST_LINE: usize = 16;
/// The most bytes of one answer that are read.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// What is said of a page for people in the place of an answer.
const PAGE: &str = "a web page, not the API's answer. A login page of this network, a proxy, or a server that is no such \
                    provider sends one";
/// The most bytes of a server's words that are shown.
const WORDS_LIMIT: usize = 400;
/// The most pages that are read of one list; with 100 entries each, a thousand.
const PAGES: usize = 10;

/// A list, perhaps cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Whether these are all.
    pub complete: bool,
}

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Certificates of private authorities, in PEM, trusted besides the system's.
    pub authority_pem: Option<Vec<u8>>,
    /// How long one answer may take.
    pub timeout: Duration,
}

impl Default for Connection {
    fn default() -> Self {
        Self { authority_pem: None, timeout: Duration::from_secs(20) }
    }
}

/// What proves who we are.
#[derive(Clone)]
pub struct ApiToken {
    /// The user name, for providers that want one beside the token.
    pub username: String,
    /// The token or HTTP password.
    pub token: SecretString,
}

impl std::fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiToken").field("username", &self.username).finish_non_exhaustive()
    }
}

/// How a server wants the token.
#[derive(Debug, Clone, Copy)]
pub enum Scheme {
    /// `Authorization: Bearer`.
    Bearer,
    /// `PRIVATE-TOKEN`.
    PrivateToken,
    /// `Authorization: Basic`, or `Bearer` when there is no user name.
    Basic,
}

/// A server's API and the token for it.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    base: Url,
    timeout: Duration,
    /// What no text may show: the token, and the form in which it is sent.
    secrets: Vec<SecretString>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("base", &shown(&self.base)).finish_non_exhaustive()
    }
}

/// An answer with a good status, read whole.
pub struct Answer {
    host: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Http {
    /// A client for the API at `base`; plain HTTP is taken on this machine only.
    ///
    /// # Errors
    /// [`WebError::Address`] or [`WebError::Setup`]; nothing is sent yet.
    pub fn new(base: Url, scheme: Scheme, token: &ApiToken, connection: &Connection) -> Result<Self> {
        let local = is_loopback(&base);
        let refused = |why| WebError::Address { address: shown(&base), why };
        if base.scheme() != "https" && !(base.scheme() == "http" && local) {
            return Err(refused("a token is sent over HTTPS only"));
        }
        if !base.username().is_empty() || base.password().is_some() || base.host_str().is_none() {
            return Err(refused("it must name a host and hold no user name"));
        }
        let mut headers = HeaderMap::new();
        let (name, value) = authorization(scheme, token)?;
        headers.insert(name, value);
        let seconds = connection.timeout;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(connection)?)
            .default_headers(headers)
            .user_agent(concat!("Pilothouse/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(seconds.min(Duration::from_secs(10)))
            .timeout(seconds);
        // This machine is not reached through a proxy, which would see the token of plain HTTP.
        if local {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| WebError::Setup(chain(&error)))?;
        Ok(Self { client, base, timeout: seconds, secrets: secrets(token) })
    }

    /// The server's name, with its port where that is not the usual one.
    pub fn host(&self) -> String {
        authority(&self.base)
    }

    /// An address below the API's root. Each segment is one part of the path, slashes in it are encoded.
    fn address(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        let mut url = self.base.clone();
        if segments.iter().any(|part| matches!(*part, "." | "..") || part.chars().any(char::is_control)) {
            return Err(WebError::Address { address: shown(&url), why: "the path holds a name that is none" });
        }
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// Reads one thing; `action` completes "does not allow this token to …".
    pub async fn get(&self, action: &'static str, segments: &[&str], query: &[(&str, &str)]) -> Result<Answer> {
        self.send(Method::GET, action, self.address(segments, query)?).await
    }

    /// As [`Http::get`], where not being there is an answer.
    pub async fn find(&self, action: &'static str, segments: &[&str]) -> Result<Option<Answer>> {
        match self.get(action, segments, &[]).await {
            Err(WebError::NotFound { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Sends a request without a body, and answers which of the `expected` answers came. Any other good one is none of
    /// this API's: a login page comes with 200 as well.
    pub async fn order(
        &self,
        method: Method,
        action: &'static str,
        segments: &[&str],
        expected: &[StatusCode],
    ) -> Result<StatusCode> {
        let answer = self.send(method, action, self.address(segments, &[])?).await?;
        if expected.contains(&answer.status) {
            return Ok(answer.status);
        }
        let words = if answer.is_page() { PAGE } else { "this is not how this API says that an order was carried out" };
        Err(self.unexpected(&answer, words))
    }

    /// Sends a body of JSON, and answers what came; `action` completes "does not allow this token to …".
    pub async fn post(&self, action: &'static str, segments: &[&str], body: &serde_json::Value) -> Result<Answer> {
        let request = self.client.request(Method::POST, self.address(segments, &[])?).json(body);
        self.carry(action, request).await
    }

    /// Reads a list page by page; `read` takes a page apart into its entries and the next page's address. Only
    /// addresses of this very server are followed.
    pub async fn pages<T>(
        &self,
        action: &'static str,
        segments: &[&str],
        query: &[(&str, &str)],
        read: impl Fn(&Answer) -> Result<(Vec<T>, Option<String>)>,
    ) -> Result<Listing<T>> {
        let mut items = Vec::new();
        let mut url = self.address(segments, query)?;
        for _ in 0..PAGES {
            let answer = self.send(Method::GET, action, url.clone()).await?;
            let (page, next) = read(&answer)?;
            items.extend(page);
            let Some(next) = next else { return Ok(Listing { items, complete: true }) };
            let next = url.join(&next).map_err(|_| self.unexpected(&answer, "the next page's address is none"))?;
            if next.origin() != self.base.origin() {
                return Err(WebError::Redirected { host: self.host(), to: self.masked(&authority(&next)) });
            }
            url = next;
        }
        Ok(Listing { items, complete: false })
    }

    /// The error for an answer that is not what the API's documentation says; `words` are ours.
    pub fn unexpected(&self, answer: &Answer, words: &str) -> WebError {
        WebError::Unexpected { host: self.host(), status: answer.status.as_u16(), words: words.to_owned() }
    }

    /// A server's words for people: without the token, should it repeat it, and then cut short. In the other order half
    /// a token could be left at the end.
    pub fn masked(&self, words: &str) -> String {
        let mut words = words.to_owned();
        for secret in self.secrets.iter().map(ExposeSecret::expose_secret).filter(|secret| !secret.is_empty()) {
            words = words.replace(secret, "***");
        }
        let clean: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        clean.trim().chars().take(WORDS_LIMIT).collect()
    }

    /// The same API, whose words are also without `secret`: whole, as it stands in JSON, and line by line.
    pub fn hiding(&self, secret: &SecretString) -> Self {
        let text = secret.expose_secret();
        let escaped = serde_json::Value::from(text).to_string();
        let lines = text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
        let mut hiding = self.clone();
        hiding.secrets.push(secret.clone());
        hiding.secrets.push(SecretString::from(escaped.trim_matches('"').to_owned()));
        hiding.secrets.extend(lines.map(|line| SecretString::from(line.to_owned())));
        hiding
    }

    async fn send(&self, method: Method, action: &'static str, url: Url) -> Result<Answer> {
        self.carry(action, self.client.request(method, url)).await
    }

    async fn carry(&self, action: &'static str, request: reqwest::RequestBuilder) -> Result<Answer> {
        let host = self.host();
        let request = request.header("accept", "application/json");
        let response = request.send().await.map_err(|error| self.explain(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.read(response).await?;
        let answer = Answer { host: host.clone(), status, headers, body };
        if status.is_success() {
            return Ok(answer);
        }
        let words = self.masked(&answer.words());
        Err(if status.is_redirection() {
            let to = answer.header(LOCATION).and_then(|to| self.base.join(to).ok());
            WebError::Redirected {
                host,
                to: to.map_or_else(|| "no address".to_owned(), |to| self.masked(&authority(&to))),
            }
        } else if answer.is_rate_limit(&words) {
            WebError::RateLimited { host, until: answer.until(), words }
        } else {
            match status {
                StatusCode::UNAUTHORIZED => WebError::Auth { host, words },
                StatusCode::FORBIDDEN => WebError::Forbidden { host, action, words },
                StatusCode::NOT_FOUND => WebError::NotFound { host, action, words },
                _ => WebError::Unexpected { host, status: status.as_u16(), words },
            }
        })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.explain(&error))? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(WebError::TooLarge { host: self.host(), limit: BODY_LIMIT });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn explain(&self, error: &reqwest::Error) -> WebError {
        explained(error, self.host(), self.timeout)
    }
}

/// Why a request to `host` failed.
fn explained(error: &reqwest::Error, host: String, patience: Duration) -> WebError {
    if error.is_timeout() {
        return WebError::Timeout { host, seconds: patience.as_secs() };
    }
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(link) = next {
        if let Some(tls) = link.downcast_ref::<rustls::Error>() {
            return WebError::Tls { host, why: tls_words(tls) };
        }
        next = match link.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            // An io::Error hides what it wraps: its source is its content's source.
            Some(inner) => Some(inner),
            None => link.source(),
        };
    }
    let why = chain(error);
    // Hyper's own words are no help to somebody who never heard of a tunnel.
    let why = match why.strip_prefix("tunnel error: ") {
        Some(words) => format!(
            "the proxy that this computer is told to use does not let us through ({words}); HTTPS_PROXY and NO_PROXY, \
             or the system's settings, name it"
        ),
        None => why,
    };
    WebError::Network { host, why }
}

impl Answer {
    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        // Gerrit puts this before every JSON answer, so that a browser cannot run it as a script.
        let body = self.body.strip_prefix(b")]}'").unwrap_or(&self.body);
        serde_json::from_slice(body).map_err(|error| WebError::Unexpected {
            host: self.host.clone(),
            status: self.status.as_u16(),
            // The body is not shown, it can be anything; and the error's own text quotes it.
            words: match self.is_page() {
                true => PAGE.to_owned(),
                false => format!("not the JSON that was expected (line {}, column {})", error.line(), error.column()),
            },
        })
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether this is a page for people.
    pub fn is_page(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"<")
    }

    fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next page, from the Link header (RFC 8288) as GitHub and GitLab send it.
    pub fn next(&self) -> Option<String> {
        self.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(|value| {
            value.split(',').find_map(|link| {
                let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
                let is_next = parameters.split(';').any(|one| matches!(one.trim(), r#"rel="next""# | "rel=next"));
                is_next.then(|| target.to_owned())
            })
        })
    }

    fn is_rate_limit(&self, words: &str) -> bool {
        let none_left = self.headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0");
        self.status == StatusCode::TOO_MANY_REQUESTS
            || (self.status == StatusCode::FORBIDDEN
                && (none_left || self.headers.contains_key(RETRY_AFTER) || words.to_lowercase().contains("rate limit")))
    }

    /// When the server takes requests again: `Retry-After`, else the reset time of GitHub and GitLab.
    fn until(&self) -> Option<jiff::Timestamp> {
        let number = |name: &'static str| self.header(HeaderName::from_static(name))?.trim().parse::<i64>().ok();
        if let Some(seconds) = number("retry-after") {
            return jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(seconds.clamp(0, 86_400))).ok();
        }
        // RFC 9110 knows a date too, which gateways send.
        if let Some(date) = self.header(RETRY_AFTER).and_then(|date| jiff::fmt::rfc2822::parse(date.trim()).ok()) {
            return Some(date.timestamp());
        }
        jiff::Timestamp::from_second(number("x-ratelimit-reset").or_else(|| number("ratelimit-reset"))?).ok()
    }

    /// The server's words about an error, wherever this provider puts them: as they came, so only [`Http::masked`] shows
    /// them.
    fn words(&self) -> String {
        let text = match serde_json::from_slice::<serde_json::Value>(&self.body) {
            Ok(value) => ["/error/message", "/message", "/error_description", "/error"]
                .iter()
                .find_map(|path| value.pointer(path).filter(|found| !found.is_null()))
                .map(|found| found.as_str().map_or_else(|| found.to_string(), str::to_owned)),
            // A page of HTML says nothing to a person.
            Err(_) => {
                let text = String::from_utf8_lossy(&self.body);
                (!text.trim_start().starts_with('<')).then(|| text.trim().to_owned())
            }
        };
        let text = text.filter(|text| !text.is_empty());
        text.unwrap_or_else(|| self.status.canonical_reason().unwrap_or("no reason given").to_owned())
    }
}

/// The token alone, and with its user as `Basic` sends it.
fn secrets(token: &ApiToken) -> Vec<SecretString> {
    let pair = Zeroizing::new(format!("{}:{}", token.username, token.token.expose_secret()));
    vec![STANDARD.encode(pair.as_bytes()).into(), token.token.clone()]
}

fn authorization(scheme: Scheme, token: &ApiToken) -> Result<(HeaderName, HeaderValue)> {
    let secret = token.token.expose_secret();
    let (name, text) = match scheme {
        Scheme::PrivateToken => (HeaderName::from_static("private-token"), Zeroizing::new(secret.to_owned())),
        Scheme::Basic if !token.username.is_empty() => {
            let pair = Zeroizing::new(format!("{}:{secret}", token.username));
            (AUTHORIZATION, Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))))
        }
        Scheme::Bearer | Scheme::Basic => (AUTHORIZATION, Zeroizing::new(format!("Bearer {secret}"))),
    };
    // The error's text is ours: the library's could quote the header.
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| WebError::Setup("the token holds a character no token has; paste it again".to_owned()))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// The system's authorities, and the private ones.
fn tls(connection: &Connection) -> Result<rustls::ClientConfig> {
    let setup = |why: String| WebError::Setup(format!("the authority's certificate cannot be used: {why}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let given = connection.authority_pem.as_deref().unwrap_or_default();
    let extra = CertificateDer::pem_slice_iter(given)
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| setup(error.to_string()))?;
    let verifier = Verifier::new_with_extra_roots(extra, provider.clone()).map_err(|error| setup(error.to_string()))?;
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn tls_words(error: &rustls::Error) -> String {
    use rustls::CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            "its certificate was issued by an authority that this computer does not trust".to_owned()
        }
        rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "its certificate is for another host".to_owned()
        }
        rustls::Error::InvalidMessage(_) => "what answers there does not speak TLS".to_owned(),
        other => other.to_string(),
    }
}

/// The innermost reason, which is the one that says something. Reqwest's own texts name the address only.
fn chain(error: &dyn StdError) -> String {
    let mut last = error.to_string();
    let mut next = error.source();
    while let Some(link) = next {
        last = link.to_string();
        next = link.source();
    }
    last.chars().take(WORDS_LIMIT).collect()
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// An address without what could be a secret in it.
fn shown(url: &Url) -> String {
    format!("{}://{}", url.scheme(), authority(url))
}

/// This machine by an address or by its name, in the plain spellings.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_repeats_of_a_secret_is_hidden() {
        let token = ApiToken { username: String::new(), token: SecretString::from("token-of-mine".to_owned()) };
        let base = Url::parse("https://chaos.example").unwrap();
        let http = Http::new(base, Scheme::Bearer, &token, &Connection::default()).unwrap();
        let key = SecretString::from("-----BEGIN KEY-----\nc2VjcmV0LXNlY3JldC1zZWNyZXQ=\nc2hvcnQ=\n".to_owned());
        let hiding = http.hiding(&key);
        for repeated in [
            key.expose_secret().to_owned(),
            serde_json::Value::from(key.expose_secret()).to_string(),
            "line 2 is c2VjcmV0LXNlY3JldC1zZWNyZXQ=".to_owned(),
            "the token was token-of-mine".to_owned(),
        ] {
            let words = hiding.masked(&repeated);
            assert!(!words.contains("c2VjcmV0") && !words.contains("of-mine"), "{words}");
        }
        assert!(
            http.masked("c2VjcmV0LXNlY3JldC1zZWNyZXQ=").contains("c2VjcmV0"),
            "only the call with the key knows it"
        );
    }
}
