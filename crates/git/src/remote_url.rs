//! Addresses of repositories.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::Url;

use crate::error::{Error, Result};

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTPS.
    Https,
    /// Plain HTTP to this machine only.
    HttpLoopback,
    /// SSH.
    Ssh,
    /// A folder on this machine.
    Local,
}

/// A checked address. It never holds a password, and nothing in it can be read as an option or a second line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteUrl {
    scheme: Scheme,
    text: String,
    host: Option<String>,
    port: u16,
    username: Option<String>,
    path: String,
}

/// What a typed address held besides the address. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct UrlSecret {
    /// The address without the secret; it has been checked.
    pub url: RemoteUrl,
    /// The user name beside the secret; empty when there was none, or when the secret stood in its place.
    pub username: String,
    /// The password or token.
    pub secret: SecretString,
}

impl RemoteUrl {
    /// Parts an address that [`RemoteUrl::parse`] refuses with [`Error::SecretInUrl`], or that has a token in the
    /// place of its user name, into what may be kept and what belongs into the credential form. `None` when there is
    /// no secret in it, or when what is left is no address.
    pub fn part_secret(text: &str) -> Option<UrlSecret> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (format!("{scheme}://"), rest),
            None => (String::new(), text),
        };
        // Passwords hold what they like, slashes and at signs too; the last at sign that leaves an address is it.
        for (at, _) in rest.match_indices('@').rev() {
            let (before, place) = (&rest[..at], &rest[at + 1..]);
            let (username, secret) = before.split_once(':').unwrap_or(("", before));
            let web = scheme.starts_with("http");
            let is_secret = before.contains(':') || (web && is_token(before));
            if secret.is_empty() || !is_secret {
                continue;
            }
            let kept = if web || username.is_empty() { String::new() } else { format!("{username}@") };
            if let Ok(url) = Self::parse(&format!("{scheme}{kept}{place}")) {
                return Some(UrlSecret {
                    url,
                    username: decoded(username),
                    secret: SecretString::from(decoded(secret)),
                });
            }
        }
        None
    }

    /// The longest address, in bytes.
    pub const MAX: usize = 2048;

    /// Accepts `https://host[:port]/path`, `ssh://[user@]host[:port]/path` and `[user@]host:path`; `http://` only to
    /// this machine. A user name in an `https` address is kept apart and never sent by itself.
    /// [`Error::BadUrl`] says what else was found; [`Error::SecretInUrl`] when it was a password.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let bad = |why: &str| Error::BadUrl { why: why.to_owned() };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if text.len() > Self::MAX {
            return Err(bad("it is longer than 2048 bytes"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) || hides_control(text) {
            return Err(bad("it holds spaces or control characters"));
        }
        if text.starts_with('-') {
            return Err(bad("it starts with a dash"));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return match scheme.to_ascii_lowercase().as_str() {
                "https" | "http" => Self::parse_http(text),
                "ssh" => Self::parse_ssh(text),
                "git" => Err(bad("git:// has no encryption; use https:// or ssh://")),
                _ => Err(bad("use an https:// or ssh:// address")),
            };
        }
        if text.contains("::") {
            return Err(bad("transport helpers are not used; use an https:// or ssh:// address"));
        }
        Self::parse_scp(text)
    }

    /// A repository in a folder of this machine, for the practice cluster and for tests.
    pub fn local(path: &Path) -> Result<Self> {
        let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
        let Some(text) = text.filter(|_| path.is_absolute()) else {
            return Err(Error::BadUrl { why: "a local repository needs an absolute path of plain text".to_owned() });
        };
        Ok(Self {
            scheme: Scheme::Local,
            text: text.to_owned(),
            host: None,
            port: 0,
            username: None,
            path: text.to_owned(),
        })
    }

    fn parse_http(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::BadUrl { why: why.to_owned() };
        let mut url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        if url.password().is_some() {
            return Err(Error::SecretInUrl);
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        check_host(host.trim_start_matches('[').trim_end_matches(']'))?;
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            _ if is_loopback(&host) => Scheme::HttpLoopback,
            _ => return Err(bad("http:// would show the token to everybody on the way; use https://")),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it has a query or a fragment"));
        }
        check_path(url.path())?;
        let username = Some(url.username()).filter(|name| !name.is_empty()).map(str::to_owned);
        if let Some(name) = &username {
            check_user(name)?;
            url.set_username("").map_err(|()| bad("its user name cannot be read"))?;
        }
        let port = url.port_or_known_default().unwrap_or(443);
        let path = url.path().to_owned();
        Ok(Self { scheme, text: url.into(), host: Some(host), port, username, path })
    }

    fn parse_ssh(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::BadUrl { why: why.to_owned() };
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        if url.password().is_some() {
            return Err(Error::SecretInUrl);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it has a query or a fragment"));
        }
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        check_host(host.trim_start_matches('[').trim_end_matches(']'))?;
        let username = Some(url.username()).filter(|name| !name.is_empty()).map(str::to_owned);
        if let Some(name) = &username {
            check_user(name)?;
        }
        check_path(url.path())?;
        let port = url.port().unwrap_or(22);
        let at = username.as_ref().map(|name| format!("{name}@")).unwrap_or_default();
        let colon = if port == 22 { String::new() } else { format!(":{port}") };
        let text = format!("ssh://{at}{host}{colon}{}", url.path());
        Ok(Self { scheme: Scheme::Ssh, text, host: Some(host), port, username, path: url.path().to_owned() })
    }

    fn parse_scp(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::BadUrl { why: why.to_owned() };
        let Some((before, path)) = text.split_once(':') else {
            return Err(bad("use an https:// or ssh:// address"));
        };
        let (username, host) = match before.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, before),
        };
        if host.len() == 1 {
            return Err(bad("that is a folder of this machine; use an https:// or ssh:// address"));
        }
        // `me:secret@host:path` splits at its first colon.
        if path.contains('@') {
            return Err(Error::SecretInUrl);
        }
        if let Some(user) = username {
            check_user(user)?;
        }
        let host = host.to_ascii_lowercase();
        check_host(&host)?;
        check_path(path)?;
        let at = username.map(|user| format!("{user}@")).unwrap_or_default();
        Ok(Self {
            scheme: Scheme::Ssh,
            text: format!("{at}{host}:{path}"),
            host: Some(host),
            port: 22,
            username: username.map(str::to_owned),
            path: path.to_owned(),
        })
    }

    /// The host in lower case, IPv6 in brackets; `None` for a local repository.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The port, the scheme's own where none was written; 0 for a local repository.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How the repository is reached.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The user name that was written in the address.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// `host`, or `host:port` where the port is not the scheme's own; what a credential is bound to.
    pub fn authority(&self) -> String {
        let usual = match self.scheme {
            Scheme::Https => 443,
            Scheme::HttpLoopback => 80,
            Scheme::Ssh => 22,
            Scheme::Local => 0,
        };
        let host = self.host.as_deref().unwrap_or_default();
        if self.port == usual { host.to_owned() } else { format!("{host}:{}", self.port) }
    }

    /// The address as it is given to Git; no secret in it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address for people: as [`RemoteUrl::as_str`], without a trailing `.git`.
    pub fn display(&self) -> &str {
        self.text.strip_suffix(".git").unwrap_or(&self.text)
    }

    /// The folder, for a local repository.
    pub fn local_path(&self) -> Option<PathBuf> {
        (self.scheme == Scheme::Local).then(|| PathBuf::from(&self.path))
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.display())
    }
}

/// Tokens begin as the large providers' do; names of accounts do not.
fn is_token(name: &str) -> bool {
    let marks = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gloas-", "gldt-", "ATBB", "ATCTT"];
    marks.iter().any(|mark| name.starts_with(mark)) || (name.len() >= 20 && name.bytes().any(|b| b.is_ascii_digit()))
}

/// The text without percent-encoding, as it was before somebody put it into an address.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| *byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Whether percent-encoding hides a control character.
fn hides_control(text: &str) -> bool {
    text.as_bytes().windows(3).any(|window| {
        let [b'%', high, low] = window else { return false };
        let digit = |byte: &u8| (*byte as char).to_digit(16);
        matches!((digit(high), digit(low)), (Some(high), Some(low)) if high * 16 + low < 0x20 || high * 16 + low == 0x7f)
    })
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn check_host(host: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let v6 = host.contains(':') && host.parse::<IpAddr>().is_ok();
    if host.is_empty() || host.len() > 253 || host.starts_with(['-', '.']) || !(v6 || host.chars().all(plain)) {
        return Err(Error::BadUrl { why: "its host is not a host name".to_owned() });
    }
    Ok(())
}

fn check_user(user: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '%' | '@' | '~');
    if user.is_empty() || user.len() > 128 || user.starts_with('-') || !user.chars().all(plain) {
        return Err(Error::BadUrl { why: "its user name holds characters no Git server uses".to_owned() });
    }
    Ok(())
}

fn check_path(path: &str) -> Result<()> {
    let bare = path.trim_matches('/');
    if bare.is_empty() {
        return Err(Error::BadUrl { why: "it names a host but no repository".to_owned() });
    }
    if bare.starts_with('-')
        || path.contains(['\\', '\'', '"', '`', '$', ';', '&', '|', '<', '>', '!', '*', '?', '#', '(', ')'])
    {
        return Err(Error::BadUrl { why: "its path holds characters no Git server uses".to_owned() });
    }
    if path.split('/').any(|part| part == "..") {
        return Err(Error::BadUrl { why: "its path steps upwards".to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_taken() {
        let cases = [
            ("https://github.com/o/r.git", Scheme::Https, "github.com", 443, "https://github.com/o/r.git"),
            ("https://Example.com:8443/r", Scheme::Https, "example.com", 8443, "https://example.com:8443/r"),
            (
                "https://me@dev.azure.com/o/_git/r",
                Scheme::Https,
                "dev.azure.com",
                443,
                "https://dev.azure.com/o/_git/r",
            ),
            ("http://127.0.0.1:80/r", Scheme::HttpLoopback, "127.0.0.1", 80, "http://127.0.0.1/r"),
            ("http://[::1]:3000/r", Scheme::HttpLoopback, "[::1]", 3000, "http://[::1]:3000/r"),
            ("ssh://git@host:2222/o/r.git", Scheme::Ssh, "host", 2222, "ssh://git@host:2222/o/r.git"),
            ("ssh://Host/o/r", Scheme::Ssh, "host", 22, "ssh://host/o/r"),
            ("git@github.com:o/r.git", Scheme::Ssh, "github.com", 22, "git@github.com:o/r.git"),
            ("host.local:~user/r", Scheme::Ssh, "host.local", 22, "host.local:~user/r"),
        ];
        for (text, scheme, host, port, kept) in cases {
            let url = RemoteUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (url.scheme(), url.host(), url.port(), url.as_str()),
                (scheme, Some(host), port, kept),
                "{text}"
            );
        }
        assert_eq!(RemoteUrl::parse("https://me@h.example/r").unwrap().username(), Some("me"));
        assert_eq!(RemoteUrl::parse("https://h.example:8443/r").unwrap().authority(), "h.example:8443");
        assert_eq!(RemoteUrl::parse("https://h.example/r.git").unwrap().display(), "https://h.example/r");
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "   ",
            "r",
            "/etc/passwd",
            "./r",
            "file:///tmp/r",
            "C:\\r",
            "C:/r",
            "git://h/r",
            "ftp://h/r",
            "ext::sh -c x",
            "fd::17",
            "ext::x",
            "http://example.com/r",
            "http://127.0.0.1.example.com/r",
            "-oProxyCommand=x:r",
            "--upload-pack=x",
            "ssh://-oProxyCommand=x/r",
            "ssh://git@-h/r",
            "ssh://-u@h/r",
            "git@h:-r",
            "ssh://h/-r",
            "https://h/r\nx",
            "https://h/a b",
            "https://h/%0ax",
            "https://h/%0Dx",
            "https://h/%00",
            "git@h:a%0a",
            "https://h/r?x=1",
            "https://h/r#x",
            "https://h/",
            "ssh://h",
            "https://",
            "https:///r",
            "https://h/a/%2e%2e",
            "git@h:../r",
            "git@h:a'b",
            "git@h:$(x)",
            "git@h:`x`",
            "ssh://h/a\\b",
            "ssh://h%0a/r",
            "ssh://h;x/r",
            "javascript:alert(1)//",
            "https://h/r\u{202e}",
            "ssh://a b@h/r",
        ] {
            // A direction character is percent-encoded by the parser, so it is harmless; all others must fail.
            let parsed = RemoteUrl::parse(text);
            if let Ok(url) = &parsed {
                assert!(url.as_str().is_ascii() && text.contains('\u{202e}'), "{text:?} was taken as {url:?}");
            }
        }
        assert!(RemoteUrl::parse(&format!("https://h/{}", "x".repeat(3000))).is_err());
    }

    #[test]
    fn a_password_is_refused_without_being_repeated() {
        for text in ["https://me:hunter2@h.example/r", "ssh://git:hunter2@h/r", "me:hunter2@h:r"] {
            let error = RemoteUrl::parse(text).unwrap_err();
            assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{text}");
        }
        assert!(matches!(RemoteUrl::parse("https://me:hunter2@h/r"), Err(Error::SecretInUrl)));
    }

    proptest::proptest! {
        #[test]
        fn what_passes_cannot_be_read_otherwise(text in "(https|ssh|http|ext|git)(://|::)[ -~]{0,40}|[ -~\\n]{0,40}") {
            if let Ok(url) = RemoteUrl::parse(&text) {
                assert!(!url.as_str().starts_with('-') && !url.as_str().contains(['\n', '\r', '\0', ' ']));
                assert_eq!(RemoteUrl::parse(url.as_str()).unwrap().as_str(), url.as_str());
            }
        }
    }
}
