//! What can go wrong between the app and a cluster.

use std::time::Duration;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// One field that the API server found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The field's path, as the server names it: `spec.names[0]`. May be empty.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// Why something with a cluster failed. No variant ever holds a credential, or raw output of a credential plugin.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name is not an RFC 1123 label or subdomain, whichever it has to be.
    #[error("{field}: {shown:?} is not a valid name: {rule}")]
    BadName {
        /// What is being named.
        field: String,
        /// The name given, shortened.
        shown: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// The kubeconfig, or one of its contexts, cannot be used as it is.
    #[error("kubeconfig: {problem}")]
    Kubeconfig {
        /// The context, if the problem is one context's.
        context: Option<String>,
        /// What is wrong, and where.
        problem: String,
    },
    /// A kubeconfig credential plugin could not be run, or gave no credential.
    #[error("credential plugin {program}: {problem}")]
    Exec {
        /// The plugin's program.
        program: String,
        /// What went wrong, in words of ours: the plugin's own may hold secrets.
        problem: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// Nothing answers at the server's address: refused, no route, no such host.
    #[error("the cluster cannot be reached: {reason}")]
    Unreachable {
        /// The system's reason.
        reason: String,
    },
    /// The connection's encryption failed: an unknown authority, an expired certificate, a wrong host.
    #[error("no trusted connection to the cluster: {reason}")]
    Tls {
        /// The reason.
        reason: String,
    },
    /// The server does not know who we are (401).
    #[error("the cluster does not accept the credential: {message}")]
    Unauthorized {
        /// The server's words.
        message: String,
    },
    /// The server knows who we are and says no (403).
    #[error("{message}")]
    Forbidden {
        /// The verb refused (`create`), if the server named it. Empty when an admission rule refused.
        verb: String,
        /// The resource, `codebases.v2.edp.epam.com`.
        resource: String,
        /// The namespace, none for cluster-wide requests.
        namespace: Option<String>,
        /// The server's words.
        message: String,
    },
    /// The object, or its kind, does not exist (404).
    #[error("{message}")]
    NotFound {
        /// The server's words.
        message: String,
    },
    /// Somebody else made or changed the object meanwhile (409).
    #[error("{message}")]
    Conflict {
        /// The server's words.
        message: String,
        /// Whether it is because an object of this name exists already.
        exists: bool,
    },
    /// The server found the object wrong (400, 422).
    #[error("{message}")]
    Invalid {
        /// The server's words.
        message: String,
        /// Field by field, where the server said so.
        causes: Vec<Cause>,
    },
    /// The point in history asked for is no longer kept (410); listing anew mends it.
    #[error("{message}")]
    Gone {
        /// The server's words.
        message: String,
    },
    /// No answer in time.
    #[error("no answer from the cluster within {}: {what}", seconds(after))]
    Timeout {
        /// What was asked.
        what: String,
        /// How long was waited; zero when the server or the system gave up.
        after: Duration,
    },
    /// The server is overloaded or not well (429, 5xx).
    #[error("the cluster's API server cannot answer now ({code}): {message}")]
    Busy {
        /// The HTTP status.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// The server's answer could not be understood.
    #[error("the cluster answered with something unexpected: {problem}")]
    Unexpected {
        /// What was wrong with it.
        problem: String,
    },
}

fn seconds(after: &Duration) -> String {
    if after.is_zero() { "the time allowed".to_owned() } else { format!("{} s", after.as_secs_f64()) }
}

impl Error {
    /// The stable code that the app decides on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadName { .. } => "cluster.bad_name",
            Self::Kubeconfig { .. } => "cluster.kubeconfig",
            Self::Exec { .. } => "cluster.exec",
            Self::Unreachable { .. } => "cluster.unreachable",
            Self::Tls { .. } => "cluster.tls",
            Self::Unauthorized { .. } => "cluster.unauthorized",
            Self::Forbidden { .. } => "cluster.forbidden",
            Self::NotFound { .. } => "cluster.not_found",
            Self::Conflict { .. } => "cluster.conflict",
            Self::Invalid { .. } => "cluster.invalid",
            Self::Gone { .. } => "cluster.gone",
            Self::Timeout { .. } => "cluster.timeout",
            Self::Busy { .. } => "cluster.busy",
            Self::Unexpected { .. } => "cluster.unexpected",
        }
    }

    /// What the user can do about it, if there is something to say beyond the message.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Exec { hint, .. } => return hint.clone(),
            Self::Unreachable { .. } => {
                "Check that the cluster is running, and the VPN or proxy that leads to it.".to_owned()
            }
            Self::Tls { .. } => "Compare certificate-authority-data in the kubeconfig with the cluster's, and this \
                computer's clock with the right time."
                .to_owned(),
            Self::Unauthorized { .. } => {
                "The token or certificate has expired or is another cluster's. Sign in again the way you got this \
                 kubeconfig."
                    .to_owned()
            }
            Self::Forbidden { verb, resource, namespace, .. } if !verb.is_empty() => {
                crate::access::who_can(verb, resource, namespace.as_deref())
            }
            Self::Conflict { exists: false, .. } => "Load the current state and try again.".to_owned(),
            Self::Busy { .. } | Self::Timeout { .. } => "Try again in a moment.".to_owned(),
            _ => return None,
        })
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::Busy { .. } | Self::Gone { .. })
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        crate::explain::explain(&error)
    }
}
