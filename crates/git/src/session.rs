//! One conversation with a remote: who we are, whom we trust, and what was said.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use git2::cert::Cert;
use git2::{CertificateCheckStatus, Cred, CredentialType, ErrorClass, ErrorCode, ProxyOptions, RemoteCallbacks};
use secrecy::ExposeSecret;
use url::Url;

use crate::access::{Access, Credential, Phase, Progress};
use crate::agent::Agent;
use crate::deadline::Pulse;
use crate::error::{Error, Result};
use crate::host_key::{HostKey, algorithm, known_name};
use crate::key::{self, Unlocked};
use crate::known_hosts::Trust;
use crate::preflight;
use crate::private_ca::PrivateAuthority;
use crate::proxy::Proxy;
use crate::rejection::{MAX_WORDS, breaks_off, clean, of_connection, unquoted};
use crate::remote_url::{RemoteUrl, Scheme};
use crate::tls::TlsProblem;
use crate::why::explain_status;

/// What was learned during the conversation.
#[derive(Debug, Default)]
struct Notes {
    /// Why we ended it ourselves; goes before whatever the library says.
    refusal: Option<Error>,
    /// Whether we mean to push.
    pushing: bool,
    /// How often a credential was asked for.
    asked: u32,
    /// Whether the server itself, and not only a proxy, has answered.
    met: bool,
    /// The certificate that the HTTPS server showed, when nobody given vouched for it.
    unvouched: Option<Vec<u8>>,
    /// What the SSH agent was like when its keys were offered.
    agent: Option<Agent>,
    /// What the server said besides.
    words: Vec<u8>,
    /// The server's answer to each pushed reference.
    answers: Vec<(String, Option<String>)>,
}

/// A conversation. Clones share it.
#[derive(Clone)]
pub(crate) struct Session {
    access: Access,
    url: RemoteUrl,
    pulse: Arc<Pulse>,
    private_key: Option<Unlocked>,
    authority: Option<Arc<PrivateAuthority>>,
    proxy: Option<Proxy>,
    /// Behind a proxy: the certificate that was found good beforehand.
    expected: Option<Vec<u8>>,
    notes: Arc<Mutex<Notes>>,
}

impl Session {
    /// Opens the key, reads the authorities and finds the proxy, so that mistakes in them show before anything is sent.
    pub(crate) fn new(url: &RemoteUrl, access: &Access, pulse: &Arc<Pulse>) -> Result<Self> {
        if let Some(path) = url.local_path().filter(|path| !path.is_dir()) {
            let words = format!("there is no folder {}", path.display());
            return Err(Error::NotFound { host: "this computer".to_owned(), words });
        }
        let private_key = match &access.credential {
            Credential::SshKey { private_key, passphrase, .. } if url.scheme() == Scheme::Ssh => {
                Some(key::opened(private_key, passphrase.as_ref())?)
            }
            _ => None,
        };
        let authority = match (&access.extra_ca_pem, url.scheme()) {
            (Some(pem), Scheme::Https) if !pem.is_empty() => Some(Arc::new(PrivateAuthority::parse(pem)?)),
            _ => None,
        };
        let proxy = access.proxy.find(url)?;
        let expected = match &proxy {
            Some(proxy) if url.scheme() == Scheme::Https => preflight::look(url, access, proxy, authority.as_ref())?,
            _ => None,
        };
        Ok(Self {
            access: access.clone(),
            url: url.clone(),
            pulse: Arc::clone(pulse),
            private_key,
            authority,
            proxy,
            expected,
            notes: Arc::default(),
        })
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self) -> String {
        self.url.host().unwrap_or("the local repository").to_owned()
    }

    /// Notes why we stop; the library only needs to hear that we do.
    fn refuse(&self, error: Error) -> git2::Error {
        let text = error.code();
        self.notes().refusal.get_or_insert(error);
        git2::Error::new(ErrorCode::User, ErrorClass::Callback, text)
    }

    /// The library's callbacks into this conversation.
    pub(crate) fn callbacks(&self) -> RemoteCallbacks<'static> {
        let mut callbacks = RemoteCallbacks::new();
        let this = self.clone();
        callbacks.credentials(move |url, user, allowed| this.credential(url, user, allowed));
        let this = self.clone();
        callbacks.certificate_check(move |cert, host| this.judge_certificate(cert, host));
        let this = self.clone();
        callbacks.transfer_progress(move |stats| {
            let resolving = stats.total_objects() > 0 && stats.received_objects() == stats.total_objects();
            let (phase, done, total) = if resolving {
                (Phase::Resolving, stats.indexed_deltas(), stats.total_deltas())
            } else {
                (Phase::Receiving, stats.received_objects(), stats.total_objects())
            };
            let bytes = stats.received_bytes() as u64;
            if bytes > this.access.limits.download {
                let limit = this.access.limits.download;
                this.refuse(Error::TooLarge { what: "the repository".to_owned(), size: bytes, limit });
                return false;
            }
            this.beat(phase, done as u64, Some(total as u64), bytes)
        });
        let this = self.clone();
        callbacks.sideband_progress(move |words| {
            {
                let mut notes = this.notes();
                let room = MAX_WORDS.saturating_sub(notes.words.len());
                notes.words.extend(words.iter().take(room));
            }
            this.beat(Phase::Connecting, 0, None, 0)
        });
        let this = self.clone();
        callbacks.push_transfer_progress(move |done, total, bytes| {
            this.beat(Phase::Sending, done as u64, Some(total as u64), bytes as u64);
        });
        let this = self.clone();
        callbacks.push_negotiation(move |_| {
            if this.pulse.left() {
                return Err(this.refuse(Error::Cancelled));
            }
            this.pulse.commit();
            Ok(())
        });
        let this = self.clone();
        callbacks.push_update_reference(move |name, status| {
            this.notes().answers.push((name.to_owned(), status.map(str::to_owned)));
            Ok(())
        });
        callbacks
    }

    fn beat(&self, phase: Phase, done: u64, total: Option<u64>, bytes: u64) -> bool {
        self.pulse.beat(&self.access, &Progress { phase, done, total, bytes })
    }

    /// The proxy to go through. Never the library's own search: it knows neither `ALL_PROXY` nor all of `NO_PROXY`.
    pub(crate) fn proxy(&self) -> ProxyOptions<'static> {
        let mut options = ProxyOptions::new();
        if let Some(proxy) = &self.proxy {
            options.url(proxy.url.expose_secret());
        }
        options
    }

    fn credential(
        &self,
        url: &str,
        user: Option<&str>,
        allowed: CredentialType,
    ) -> std::result::Result<Cred, git2::Error> {
        self.beat(Phase::Connecting, 0, None, 0);
        let (host, port) = match self.url.scheme() {
            // SSH has no redirects: the server is the one the address names, and its key has been judged.
            Scheme::Ssh | Scheme::Local => (self.host(), self.url.port()),
            scheme => {
                let asked = Url::parse(url).ok().filter(|asked| match scheme {
                    Scheme::HttpLoopback => matches!(asked.scheme(), "http" | "https"),
                    _ => asked.scheme() == "https",
                });
                let place = asked.as_ref().and_then(|asked| Some((asked.host_str()?, asked.port_or_known_default()?)));
                let Some((host, port)) = place else {
                    let error = Error::CredentialHost { bound: self.access.bound_host.clone(), asked: self.host() };
                    return Err(self.refuse(error));
                };
                (host.to_owned(), port)
            }
        };
        if !self.access.is_bound_to(&host, port) {
            let bound = self.access.bound_host.clone();
            return Err(self.refuse(Error::CredentialHost { bound, asked: format!("{host}:{port}") }));
        }
        let name = |wanted: &str| match user {
            Some(user) if !user.is_empty() => user.to_owned(),
            _ if wanted.is_empty() => "git".to_owned(),
            _ => wanted.to_owned(),
        };
        let username = match &self.access.credential {
            Credential::Token { username, .. } if username.is_empty() => name(self.url.username().unwrap_or_default()),
            Credential::Token { username, .. } => username.clone(),
            Credential::SshKey { username, .. } | Credential::SshAgent { username } => name(username),
            Credential::None => name(""),
        };
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(&username);
        }
        let asked = {
            let mut notes = self.notes();
            notes.asked += 1;
            notes.asked
        };
        let auth = |hint| Error::Auth { host: self.host(), what: self.access.credential.what(), hint };
        if asked > 1 {
            return Err(self.refuse(auth(self.after_refusal())));
        }
        match &self.access.credential {
            Credential::Token { token, .. } if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) => {
                if self.url.scheme() == Scheme::Ssh {
                    return Err(self.refuse(auth("This address uses SSH: give an SSH key.")));
                }
                Cred::userpass_plaintext(&username, token.expose_secret())
            }
            Credential::Token { .. } => Err(self.refuse(auth("This address does not take tokens: give an SSH key."))),
            Credential::SshKey { .. } => match &self.private_key {
                Some(key) if allowed.contains(CredentialType::SSH_MEMORY) => {
                    let passphrase = key.passphrase.as_ref().map(|text| text.expose_secret());
                    Cred::ssh_key_from_memory(&username, None, key.text.expose_secret(), passphrase)
                }
                _ => Err(self.refuse(auth("This server does not take SSH keys here: give a token."))),
            },
            Credential::SshAgent { .. } if allowed.contains(CredentialType::SSH_KEY) => {
                let agent = Agent::look();
                if let Some(obstacle) = agent.obstacle() {
                    return Err(self.refuse(auth(obstacle)));
                }
                self.notes().agent = Some(agent);
                Cred::ssh_key_from_agent(&username)
            }
            Credential::SshAgent { .. } => Err(self.refuse(auth("This address does not take SSH keys: give a token."))),
            Credential::None => Err(self.refuse(auth("Give a token or an SSH key."))),
        }
    }

    /// What to do about a credential that was not taken.
    fn after_refusal(&self) -> &'static str {
        match (self.notes().agent, &self.access.credential) {
            (Some(agent), _) => agent.after_failure(),
            (None, Credential::SshKey { .. }) => {
                "Register the key's public half with the server. Servers that take RSA keys only with SHA-1 are too old: \
                 there, use an ed25519 key."
            }
            (None, Credential::None) => "Give a token or an SSH key.",
            _ => "It may have expired or been revoked: make a new one, with the right to use this repository.",
        }
    }

    fn judge_certificate(
        &self,
        cert: &Cert<'_>,
        host: &str,
    ) -> std::result::Result<CertificateCheckStatus, git2::Error> {
        self.beat(Phase::Connecting, 0, None, 0);
        if let Some(shown) = cert.as_x509() {
            if self.proxy.is_some() {
                if self.expected.as_deref() == Some(shown.data()) {
                    self.notes().met = true;
                    return Ok(CertificateCheckStatus::CertificateOk);
                }
                let problem = TlsProblem::Changed;
                let words = "another certificate than a moment ago".to_owned();
                self.pulse.abandon(Error::Tls { host: self.host(), problem, words });
            }
            let vouched = self.authority.as_ref().is_some_and(|authority| authority.vouches_for(shown.data(), host));
            let mut notes = self.notes();
            notes.met = true;
            notes.unvouched = (!vouched).then(|| shown.data().to_vec());
            return Ok(match vouched {
                true => CertificateCheckStatus::CertificateOk,
                false => CertificateCheckStatus::CertificatePassthrough,
            });
        }
        let Some(blob) = cert.as_hostkey().and_then(|shown| shown.hostkey()) else {
            let words = "the server showed no key".to_owned();
            return Err(self.refuse(Error::Network { host: self.host(), words }));
        };
        let (host, port) = (self.host(), self.url.port());
        let seen = HostKey::new(&host, port, blob);
        let name = known_name(&host, port);
        let trust = self.access.known_hosts.check(&host, port, &algorithm(blob), blob);
        match trust.map_err(|error| self.refuse(error))? {
            Trust::Trusted => Ok(CertificateCheckStatus::CertificateOk),
            Trust::Unknown => Err(self.refuse(Error::HostKeyUnknown(Box::new(seen)))),
            Trust::NotVouched { why } => {
                let seen = HostKey { note: Some(why), ..seen };
                Err(self.refuse(Error::HostKeyUnknown(Box::new(seen))))
            }
            Trust::Changed { known } => {
                Err(self.refuse(Error::HostKeyChanged { host: name, known, seen: seen.fingerprint }))
            }
            Trust::Revoked => Err(self.refuse(Error::HostKeyRevoked { host: name, seen: seen.fingerprint })),
        }
    }

    /// Says that this conversation means to push.
    pub(crate) fn pushing(&self) {
        self.notes().pushing = true;
    }

    /// What the server said besides its answers, as text.
    pub(crate) fn words(&self) -> String {
        String::from_utf8_lossy(&self.notes().words).into_owned()
    }

    /// The server's answer to a pushed reference: `None` when there was none, `Some(None)` when it was taken.
    pub(crate) fn answer(&self, reference: &str) -> Option<Option<String>> {
        self.notes().answers.iter().find(|(name, _)| name == reference).map(|(_, status)| status.clone())
    }

    /// Finds the reason behind the library's error.
    pub(crate) fn explain(&self, error: &git2::Error) -> Error {
        if let Some(refusal) = self.notes().refusal.take() {
            return refusal;
        }
        if self.pulse.left() {
            return Error::Cancelled;
        }
        let host = self.host();
        let words = without_secrets(&clean(error.message()));
        let lower = unquoted(&words);
        let any = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
        let auth =
            || Error::Auth { host: host.clone(), what: self.access.credential.what(), hint: self.after_refusal() };
        if let Some(proxy) = &self.proxy
            && let Some(error) = self.blame(proxy, &lower, &words, error.class())
        {
            return error;
        }
        if any(&["known_hosts", "known hosts"]) {
            let why = "it has a line that the SSH library cannot read; `ssh-keygen -lf` names it".to_owned();
            return Error::KnownHosts { path: "~/.ssh/known_hosts".to_owned(), why };
        }
        // A server hangs up on an agent that offers too many keys; with a single one, it is the connection that broke.
        let one_key =
            error.class() == ErrorClass::Ssh && !matches!(self.access.credential, Credential::SshAgent { .. });
        let tls = error.class() == ErrorClass::Ssl || lower.contains("ssl error");
        let tls = tls && error.code() != ErrorCode::Certificate && TlsProblem::from_words(&words).is_none();
        if (one_key || tls) && breaks_off(&lower) {
            return Error::Network { host, words };
        }
        // What is left of an open conversation that the server ended, or that was cut.
        if any(&["shutdown while in init", "early eof", "unexpected eof", "syscall failure"]) {
            let given = self.authority.as_ref();
            let wanted = lower.contains("shutdown while in init")
                && preflight::wants_certificate(&self.url, &self.access, self.proxy.as_ref(), given);
            return match wanted {
                true => Error::Tls { host, problem: TlsProblem::ClientCertificate, words },
                false => Error::Network { host, words: "the connection was cut".to_owned() },
            };
        }
        if error.class() == ErrorClass::Ssl || error.code() == ErrorCode::Certificate || lower.contains("ssl error") {
            let unvouched = self.notes().unvouched.take();
            let problem = TlsProblem::from_words(&words).unwrap_or_else(|| match unvouched {
                Some(leaf) => TlsProblem::of_certificate(&leaf, &host, self.authority.as_deref()),
                None => TlsProblem::Other(words.clone()),
            });
            return Error::Tls { host, problem, words };
        }
        if any(&["cannot redirect from", "unexpected redirect"]) {
            return Error::Redirected { host, words };
        }
        if let Some((_, status)) = lower.split_once("http status code: ") {
            let pushing = self.notes().pushing;
            return match status.trim().parse() {
                Ok(401) => auth(),
                Ok(status) => explain_status(&self.url, &self.access, pushing, status),
                Err(_) => Error::Network { host, words },
            };
        }
        if any(&["invalid content-type", "no content-type"]) {
            let words = format!("the answer does not come from a Git server ({words})");
            return Error::Network { host, words };
        }
        if error.code() != ErrorCode::Auth
            && let Some(error) = of_connection(&host, error.message())
        {
            return error;
        }
        if error.code() == ErrorCode::Auth || any(&["failed to authenticate", "authentication"]) {
            return auth();
        }
        let absent = [
            "not found",
            "does not appear to be a git",
            "no such file",
            "failed to resolve path",
            "could not find repository",
        ];
        if any(&absent) {
            return Error::NotFound { host, words };
        }
        if any(&["permission", "denied", "read-only", "archived", "not allowed", "unauthorized"]) {
            return Error::Forbidden { host, words };
        }
        if self.notes().agent.is_some() && error.class() == ErrorClass::Ssh && !lower.contains("channel") {
            // The server hung up while the agent's keys were tried.
            return auth();
        }
        match error.class() {
            ErrorClass::Net | ErrorClass::Http | ErrorClass::Ssh | ErrorClass::Os => {
                Error::Network { host, words: words + &self.beside_the_proxy() }
            }
            _ => Error::Internal(words),
        }
    }

    /// What to add when SSH does not get through in a network that has a proxy.
    fn beside_the_proxy(&self) -> String {
        self.access.proxy.beside(&self.url).map_or_else(String::new, |proxy| {
            format!(
                ". SSH does not go through the proxy {proxy}; where only the proxy leads out, use the repository's \
                 HTTPS address"
            )
        })
    }

    /// What the proxy did, when the failure is its own.
    fn blame(&self, proxy: &Proxy, lower: &str, words: &str, class: ErrorClass) -> Option<Error> {
        if lower.contains("proxy") && lower.contains("authenti") || lower.contains("http status code: 407") {
            return Some(proxy.error(match proxy.has_user {
                true => "it does not take the user name and password in its address (407)",
                false => "it wants a user name and password (407). Write them into its address: http://user:password@host:port",
            }));
        }
        if let Some((_, status)) = lower.split_once("proxy returned unexpected status: ") {
            let status = status.trim();
            return Some(match status {
                "502" | "503" | "504" => proxy.error(format!("it cannot reach the server (HTTP status {status})")),
                _ => proxy.error(format!("it does not let us through (HTTP status {status}); ask its administrator")),
            });
        }
        // Until the server has shown its certificate, all that was spoken to is the proxy.
        let met = self.notes().met || self.url.scheme() != Scheme::Https;
        let network = matches!(class, ErrorClass::Net | ErrorClass::Http | ErrorClass::Os | ErrorClass::Ssl);
        let garbled = lower.contains("ssl error") && proxy.shown.starts_with("http://");
        (network && !met).then(|| match garbled {
            true => proxy.error("it answers with something else than the server's own words"),
            false => proxy.error(words),
        })
    }
}

/// The library's words without what stands before the `@` of an address in them.
fn without_secrets(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c == '/' || c == '\'' || c == '"' || c.is_whitespace()).unwrap_or(after.len());
        let authority = &after[..end];
        out.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}
