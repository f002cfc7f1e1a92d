//! What can go wrong between us and a web API.

/// Why a web API did not give what was asked. No variant ever holds a token; `words` are the server's own,
/// cleaned of control characters and cut short.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// The address is not one a token may be sent to.
    #[error("{address} is not an address we ask: {why}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The server does not take the token (401).
    #[error("{host} does not accept the token: {words}")]
    Auth {
        /// The server.
        host: String,
        /// Its words.
        words: String,
    },
    /// The token is good, but may not do this (403).
    #[error("{host} does not allow this token to {action}: {words}")]
    Forbidden {
        /// The server.
        host: String,
        /// What was asked.
        action: &'static str,
        /// Its words.
        words: String,
    },
    /// It is not there, or not for this token (404).
    #[error("{host} has nothing to show this token when asked to {action}: {words}")]
    NotFound {
        /// The server.
        host: String,
        /// What was asked.
        action: &'static str,
        /// Its words.
        words: String,
    },
    /// Too many requests were made with this token or from this place (429, or 403 with a limit's headers).
    #[error("{host} takes no more requests from you for now: {words}. {}", wait(.until))]
    RateLimited {
        /// The server.
        host: String,
        /// When it takes requests again, where it said so.
        until: Option<jiff::Timestamp>,
        /// Its words.
        words: String,
    },
    /// The server sends us elsewhere. We do not go: the token would travel along.
    #[error("{host} answers with a redirect to {to}. {}", redirect_hint(host, to))]
    Redirected {
        /// The server.
        host: String,
        /// The server it names; the same one for something that was renamed.
        to: String,
    },
    /// Nothing answers there.
    #[error("{host} cannot be reached: {why}")]
    Network {
        /// The server.
        host: String,
        /// The reason.
        why: String,
    },
    /// The certificate is not trusted, or TLS failed.
    #[error("{host} cannot prove who it is: {why}. If it uses a private authority, add that authority's certificate")]
    Tls {
        /// The server.
        host: String,
        /// The reason.
        why: String,
    },
    /// No answer in time.
    #[error("{host} did not answer within {seconds} s")]
    Timeout {
        /// The server.
        host: String,
        /// How long we waited.
        seconds: u64,
    },
    /// The answer is larger than what we read.
    #[error("the answer of {host} is larger than the {limit} bytes that are read")]
    TooLarge {
        /// The server.
        host: String,
        /// The limit.
        limit: usize,
    },
    /// The answer is not what the API's documentation says.
    #[error("{host} answered something unexpected ({status}): {words}")]
    Unexpected {
        /// The server.
        host: String,
        /// The HTTP status.
        status: u16,
        /// What was wrong, or the server's words.
        words: String,
    },
    /// This server's API cannot do it.
    #[error("{0}")]
    Unsupported(String),
    /// A certificate given as a private authority, or a text given as a token, cannot be used.
    #[error("{0}")]
    Setup(String),
}

impl WebError {
    /// A stable code for the edge.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Auth { .. } => "provider.auth",
            Self::Forbidden { .. } => "provider.forbidden",
            Self::NotFound { .. } => "provider.not_found",
            Self::RateLimited { .. } => "provider.rate_limited",
            Self::Network { .. } => "provider.network",
            Self::Tls { .. } => "provider.tls",
            Self::Timeout { .. } => "provider.timeout",
            Self::Unsupported(_) => "provider.unsupported",
            Self::Address { .. }
            | Self::Redirected { .. }
            | Self::TooLarge { .. }
            | Self::Unexpected { .. }
            | Self::Setup(_) => "provider.refused",
        }
    }
}

fn wait(until: &Option<jiff::Timestamp>) -> String {
    match until {
        Some(until) => {
            let seconds = until.duration_since(jiff::Timestamp::now()).as_secs().max(0);
            let minutes = (seconds + 59) / 60;
            let time = until.strftime("%H:%M:%S");
            format!(
                "It takes them again at {time} UTC, in about {minutes} minute{}",
                if minutes == 1 { "" } else { "s" }
            )
        }
        None => "It does not say for how long; wait some minutes".to_owned(),
    }
}

fn redirect_hint(host: &str, to: &str) -> &'static str {
    if host == to {
        "What was asked for has probably been renamed or moved: use its new name or address"
    } else {
        "The token was not sent there. If that server is the right one, use its name as the host"
    }
}
