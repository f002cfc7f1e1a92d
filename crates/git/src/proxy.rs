//! Which proxy leads to a server, found as git and curl find it: the user's git configuration, then the environment.
//!
//! The system's own proxy settings are not read: on Linux they are the environment; on macOS and Windows the same
//! variables have to be set. Only HTTPS goes through a proxy; SSH goes straight.

use std::fmt;
use std::net::IpAddr;

use git2::Config;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::error::{Error, Result};
use crate::remote_url::{RemoteUrl, Scheme};

/// Where the proxy's address comes from.
#[derive(Debug, Clone, Default)]
pub enum ProxyChoice {
    /// The user's git configuration (`http.proxy`), then `https_proxy`, `HTTPS_PROXY`, `all_proxy` and `ALL_PROXY`
    /// of this process, save for the servers that `no_proxy` or `NO_PROXY` lists. Read anew at each operation.
    #[default]
    Environment,
    /// Never one.
    Direct,
    /// As `Environment`, with these variables instead of the process' and without git's configuration. The values
    /// may hold passwords, so `Debug` does not show them.
    Variables(Variables),
}

/// Names and values of environment variables; `Debug` shows the names.
#[derive(Clone, Default)]
pub struct Variables(Vec<(String, SecretString)>);

impl Variables {
    /// These names and values.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), SecretString::from(value.to_owned()))).collect())
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.expose_secret().to_owned())
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A proxy to go through.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// Its address as the library takes it; may hold a password.
    pub(crate) url: SecretString,
    /// Its address for people: scheme, host and port.
    pub(crate) shown: String,
    /// Where it was found: a variable or a setting.
    pub(crate) source: &'static str,
    /// Whether there is a user name in the address.
    pub(crate) has_user: bool,
}

impl ProxyChoice {
    /// The proxy for `remote`; `None` when the connection is direct. [`Error::Proxy`] when its address is one that
    /// cannot be used.
    pub(crate) fn find(&self, remote: &RemoteUrl) -> Result<Option<Proxy>> {
        if !matches!(remote.scheme(), Scheme::Https | Scheme::HttpLoopback) {
            return Ok(None);
        }
        self.look(remote)
    }

    /// As [`ProxyChoice::find`], for an address that would go through it if it were an HTTPS one: what to tell when
    /// SSH, which goes straight, does not get through.
    pub(crate) fn beside(&self, remote: &RemoteUrl) -> Option<String> {
        if remote.scheme() != Scheme::Ssh {
            return None;
        }
        match self.look(remote) {
            Ok(found) => found.map(|proxy| proxy.shown),
            Err(Error::Proxy { proxy, .. }) => Some(proxy),
            Err(_) => None,
        }
    }

    fn look(&self, remote: &RemoteUrl) -> Result<Option<Proxy>> {
        match self {
            Self::Direct => Ok(None),
            Self::Environment => {
                let variable = |name: &str| std::env::var(name).ok();
                let configured = Config::open_default().and_then(|config| config.get_string("http.proxy")).ok();
                choose(remote, configured, variable)
            }
            Self::Variables(variables) => choose(remote, None, |name| variables.get(name)),
        }
    }
}

fn choose(
    remote: &RemoteUrl,
    configured: Option<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>> {
    // `HTTP_PROXY` in capitals is left alone, as curl does: web servers set it from a visitor's header.
    let names: &[&'static str] = match remote.scheme() {
        Scheme::HttpLoopback => &["http_proxy", "all_proxy", "ALL_PROXY"],
        _ => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let found = match configured {
        Some(text) => Some((text, "http.proxy")),
        None => names.iter().find_map(|name| Some((variable(name)?, *name))),
    };
    let Some((text, source)) = found.filter(|(text, _)| !text.trim().is_empty()) else { return Ok(None) };
    let spared = variable("no_proxy").or_else(|| variable("NO_PROXY")).unwrap_or_default();
    if is_spared(&spared, remote.host().unwrap_or_default(), remote.port()) {
        return Ok(None);
    }
    Proxy::parse(text.trim(), source).map(Some)
}

impl Proxy {
    fn parse(text: &str, source: &'static str) -> Result<Self> {
        let bad = |shown: &str, words: String| Error::Proxy { proxy: format!("{shown} (from {source})"), words };
        let odd = || bad("that is set", "its address cannot be read; it should look like http://host:port".to_owned());
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&full).map_err(|_| odd())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(odd)?;
        let usual = match url.scheme() {
            "https" => 443,
            "socks" | "socks4" | "socks4a" | "socks5" | "socks5h" => 1080,
            _ => 80,
        };
        let shown = format!("{}://{host}:{}", url.scheme(), url.port().unwrap_or(usual));
        match url.scheme() {
            "http" | "https" => {}
            scheme if scheme.starts_with("socks") => {
                let words = "Git connections cannot use a SOCKS proxy. Set https_proxy to an HTTP proxy, or add the server \
                             to no_proxy if it can be reached without one";
                return Err(bad(&shown, words.to_owned()));
            }
            scheme => return Err(bad(&shown, format!("{scheme}:// is no kind of proxy; use http://host:port"))),
        }
        let has_user = !url.username().is_empty();
        Ok(Self { url: SecretString::from(String::from(url)), shown, source, has_user })
    }

    /// The error that says what this proxy did.
    pub(crate) fn error(&self, words: impl Into<String>) -> Error {
        Error::Proxy { proxy: format!("{} (from {})", self.shown, self.source), words: words.into() }
    }
}

/// Whether `list`, in the form of `no_proxy`, names the server: hosts with or without port, which cover what is below
/// them, addresses, ranges of addresses, or `*`.
fn is_spared(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    list.split([',', ' ', '\t']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        let mut entry = entry.to_ascii_lowercase();
        if let Some((name, wanted)) = entry.rsplit_once(':')
            && (!name.contains(':') || name.ends_with(']'))
            && let Ok(wanted) = wanted.parse::<u16>()
        {
            if wanted != port {
                return false;
            }
            entry = name.to_owned();
        }
        let entry = entry.trim_start_matches('[').trim_end_matches(']');
        if let Some(address) = address {
            return entry.parse() == Ok(address) || in_range(entry, address).unwrap_or(false);
        }
        let entry = entry.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
        !entry.is_empty() && (host == entry || host.ends_with(&format!(".{entry}")))
    })
}

/// Whether a range such as `10.0.0.0/8` covers the address; `None` when it is no range.
fn in_range(range: &str, address: IpAddr) -> Option<bool> {
    let (start, bits) = range.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    Some(match (start.parse().ok()?, address) {
        (IpAddr::V4(start), IpAddr::V4(address)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            u32::from(start) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(start), IpAddr::V6(address)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            u128::from(start) & mask == u128::from(address) & mask
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, pairs: &[(&str, &str)]) -> Option<(String, &'static str)> {
        let choice = ProxyChoice::Variables(Variables::new(pairs.iter().copied()));
        choice.find(&RemoteUrl::parse(url).unwrap()).unwrap().map(|proxy| (proxy.shown, proxy.source))
    }

    #[test]
    fn variables_are_read_in_curls_order() {
        let https = "https://git.example/r";
        assert_eq!(found(https, &[]), None);
        let all = [("ALL_PROXY", "http://d:4"), ("all_proxy", "c:3"), ("HTTPS_PROXY", "b:2"), ("https_proxy", "a:1")];
        for (skip, shown) in [(0, "http://a:1"), (1, "http://b:2"), (2, "http://c:3"), (3, "http://d:4")] {
            assert_eq!(found(https, &all[..4 - skip]).unwrap().0, shown);
        }
        assert_eq!(found("http://127.0.0.1/r", &[("HTTP_PROXY", "http://x:1")]), None);
        assert_eq!(found("http://127.0.0.1/r", &[("http_proxy", "http://x:1")]).unwrap().1, "http_proxy");
        assert_eq!(found(https, &[("https_proxy", "")]), None);
        assert_eq!(found("git@git.example:r", &all), None, "SSH goes straight");
    }

    #[test]
    fn spared_servers_go_straight() {
        for (list, host, spared) in [
            ("*", "a.example", true),
            ("a.example", "a.example", true),
            ("example", "a.example", true),
            (".example", "a.example", true),
            ("*.example", "a.example", true),
            ("x, A.EXAMPLE", "a.example", true),
            ("a.example:443", "a.example", true),
            ("a.example:8443", "a.example", false),
            ("ample", "a.example", false),
            ("b.a.example", "a.example", false),
            ("", "a.example", false),
            ("10.0.0.0/8", "10.2.3.4", true),
            ("10.0.0.0/8", "11.2.3.4", false),
            ("0.0.0.0/0", "11.2.3.4", true),
            ("10.2.3.4", "10.2.3.4", true),
            ("2001:db8::/32", "[2001:db8::1]", true),
            ("[::1]:443", "[::1]", true),
            ("::1", "[::1]", true),
        ] {
            assert_eq!(is_spared(list, host, 443), spared, "{list} {host}");
        }
    }

    #[test]
    fn an_odd_address_is_refused_without_its_password() {
        for text in ["socks5://u:seeded-secret@s:1080", "ftp://u:seeded-secret@s", "http://u:seeded-secret@"] {
            let choice = ProxyChoice::Variables(Variables::new([("https_proxy", text)]));
            assert!(!format!("{choice:?}").contains("seeded-secret"));
            let error = choice.find(&RemoteUrl::parse("https://h.example/r").unwrap()).unwrap_err();
            let told = format!("{error} {error:?}");
            assert!(matches!(error, Error::Proxy { .. }) && !told.contains("seeded-secret"), "{told}");
            assert!(told.contains("https_proxy"), "{told}");
        }
    }
}
