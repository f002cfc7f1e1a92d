//! The one error shape that reaches the window.

use serde::{Deserialize, Serialize};
use specta::Type;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// What went wrong, for the window to act on. Texts may change, codes do not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl ErrorCode {
            /// Every code, for tests and catalogues.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The code as the window reads it, for example `git.hostKeyUnknown`.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $text,)* }
            }
        }
    };
}

codes! {
    /// Nothing is connected yet: choose a context or the practice cluster.
    NotConnected = "app.notConnected",
    /// The cluster has no platform, or none is chosen.
    NoPlatform = "app.noPlatform",
    /// No GitOps repository is known on this platform.
    NoRepository = "app.noRepository",
    /// A GitOps repository is there already; a platform has one.
    RepositoryExists = "app.repositoryExists",
    /// No credential is kept for this remote.
    NoCredential = "app.noCredential",
    /// No name and e-mail address for commits are set.
    NoIdentity = "app.noIdentity",
    /// The input has problems; the detail names the fields.
    Fields = "app.fields",
    /// The named thing does not exist.
    NotFound = "app.notFound",
    /// The named thing exists already.
    Exists = "app.exists",
    /// The state of things does not allow this now; the message says why.
    Blocked = "app.blocked",
    /// A confirmation text is missing or does not match.
    ConfirmationNeeded = "app.confirmationNeeded",
    /// A component this needs is not installed in the cluster.
    ComponentMissing = "app.componentMissing",
    /// The operation was cancelled by the user.
    Cancelled = "app.cancelled",
    /// It did not end within the time allowed.
    Timeout = "app.timeout",
    /// The operating system's keychain refused.
    Keychain = "app.keychain",
    /// The app's own data folder cannot be read or written.
    Storage = "app.storage",
    /// A fault in the app itself.
    Internal = "app.internal",
    /// The SSH host's key is not known yet; the detail holds it.
    GitHostKeyUnknown = "git.hostKeyUnknown",
    /// The SSH host's key differs from the one known.
    GitHostKeyChanged = "git.hostKeyChanged",
    /// The Git server refused the credential.
    GitAuth = "git.auth",
    /// The credential is right but may not do this.
    GitForbidden = "git.forbidden",
    /// The branch is protected.
    GitProtectedBranch = "git.protectedBranch",
    /// A hook on the server refused the push.
    GitHookRefused = "git.hookRefused",
    /// No such repository, or not for this credential.
    GitNotFound = "git.notFound",
    /// The Git server cannot be reached.
    GitNetwork = "git.network",
    /// The Git server's certificate is not trusted.
    GitTls = "git.tls",
    /// The Git server did not answer in time.
    GitTimeout = "git.timeout",
    /// The transfer was cancelled.
    GitCancelled = "git.cancelled",
    /// A file or a repository is larger than the app reads.
    GitTooLarge = "git.tooLarge",
    /// The path is a symbolic link, a submodule or a folder.
    GitNotAFile = "git.notAFile",
    /// The address is not one the app accepts.
    GitBadUrl = "git.badUrl",
    /// The path is not one the app accepts.
    GitBadPath = "git.badPath",
    /// The private key cannot be read.
    GitBadKey = "git.badKey",
    /// The private key's passphrase is missing or wrong.
    GitPassphrase = "git.passphrase",
    /// The SSH host's key is marked as revoked.
    GitHostKeyRevoked = "git.hostKeyRevoked",
    /// The file of known hosts cannot be read or written.
    GitKnownHosts = "git.knownHosts",
    /// The server asked for a credential that belongs to another server.
    GitCredentialHost = "git.credentialHost",
    /// The server redirects to another server.
    GitRedirected = "git.redirected",
    /// The private authority's certificate cannot be read.
    GitBadAuthority = "git.badAuthority",
    /// The address holds a password or token.
    GitSecretInUrl = "git.secretInUrl",
    /// The text is not a branch name.
    GitBadBranch = "git.badBranch",
    /// The text is not a commit's or content's id.
    GitBadId = "git.badId",
    /// The author or the message cannot be written into a commit.
    GitBadIdentity = "git.badIdentity",
    /// The commit is not in the clone.
    GitNoCommit = "git.noCommit",
    /// The clone's folder cannot be used.
    GitClone = "git.clone",
    /// The repository has no commit yet.
    GitEmpty = "git.empty",
    /// The branch does not exist.
    GitNoBranch = "git.noBranch",
    /// The content is the same as before.
    GitNothingChanged = "git.nothingChanged",
    /// The branch kept moving while the push was retried.
    GitBusy = "git.busy",
    /// The repository is archived or read-only.
    GitArchived = "git.archived",
    /// The push is larger than the server takes.
    GitPushTooLarge = "git.pushTooLarge",
    /// The server takes no more requests for a while.
    GitRateLimited = "git.rateLimited",
    /// The server found a secret in the push.
    GitSecretFound = "git.secretFound",
    /// The server takes signed commits only.
    GitSignatureRequired = "git.signatureRequired",
    /// The repository names its objects with SHA-256, which the app does not read.
    GitSha256 = "git.sha256",
    /// The proxy refuses or cannot be reached.
    GitProxy = "git.proxy",
    /// The clone does not hold enough history for this.
    GitNeedsHistory = "git.needsHistory",
    /// There is no such folder.
    GitNoFolder = "git.noFolder",
    /// The place in a list is not one that was given out.
    GitBadCursor = "git.badCursor",
    /// Git failed in another way; the message holds the server's or the library's words.
    GitInternal = "git.internal",
    /// The API server cannot be reached.
    ClusterUnreachable = "cluster.unreachable",
    /// The API server's certificate is not trusted.
    ClusterTls = "cluster.tls",
    /// The API server does not accept the identity.
    ClusterUnauthorized = "cluster.unauthorized",
    /// A permission is missing; the detail names verb and resource.
    ClusterForbidden = "cluster.forbidden",
    /// The object or its kind does not exist.
    ClusterNotFound = "cluster.notFound",
    /// Somebody else changed the object meanwhile, or it exists already.
    ClusterConflict = "cluster.conflict",
    /// The API server refused the object as invalid.
    ClusterInvalid = "cluster.invalid",
    /// The list position is too old; reading again mends it.
    ClusterGone = "cluster.gone",
    /// The kubeconfig's credential plugin failed.
    ClusterExec = "cluster.exec",
    /// The kubeconfig cannot be used.
    ClusterKubeconfig = "cluster.kubeconfig",
    /// The API server did not answer in time.
    ClusterTimeout = "cluster.timeout",
    /// A name is not one that Kubernetes takes.
    ClusterBadName = "cluster.badName",
    /// The API server is overloaded or not well.
    ClusterBusy = "cluster.busy",
    /// The cluster failed in another way.
    ClusterInternal = "cluster.internal",
    /// The provider's API does not accept the token.
    ProviderAuth = "provider.auth",
    /// The provider's API does not let this token do it.
    ProviderForbidden = "provider.forbidden",
    /// The provider has nothing of that name to show to this token.
    ProviderNotFound = "provider.notFound",
    /// The provider takes no more requests for a while; the message says until when.
    ProviderRateLimited = "provider.rateLimited",
    /// The provider's API cannot be reached.
    ProviderNetwork = "provider.network",
    /// The provider's certificate is not trusted.
    ProviderTls = "provider.tls",
    /// The provider's API did not answer in time.
    ProviderTimeout = "provider.timeout",
    /// The provider's API cannot do this.
    ProviderUnsupported = "provider.unsupported",
    /// The provider's API was not asked, or answered something else than documented.
    ProviderRefused = "provider.refused",
    /// The repository or deployment part refused; the message says why.
    Delivery = "delivery.refused",
    /// What would be deployed is not what was shown; nothing was started: look again, then decide.
    DeployPreviewStale = "delivery.previewStale",
    /// The values text is not usable; the message says where.
    Values = "values.invalid",
    /// The chaos workflow or project is not usable; the message says why.
    Chaos = "chaos.invalid",
    /// What was shown before a decision is not what would be done now: look again, then decide.
    ChaosPreviewStale = "chaos.previewStale",
    /// ChaosCenter answered that it does not do it; the message holds its words.
    ChaosCenter = "chaos.center",
    /// The trigger is not usable; the message says why.
    Trigger = "triggers.invalid",
    /// The practice cluster failed.
    Practice = "practice.failed",
}

impl ErrorCode {
    /// The edge code for a domain's code such as `git.host_key_unknown`; `None` when the window has none for it.
    pub fn from_domain(code: &str) -> Option<ErrorCode> {
        let mut camel = String::with_capacity(code.len());
        let mut upper = false;
        for c in code.chars() {
            match c {
                '_' => upper = true,
                c if upper => {
                    camel.push(c.to_ascii_uppercase());
                    upper = false;
                }
                c => camel.push(c),
            }
        }
        Self::ALL.iter().copied().find(|c| c.as_str() == camel)
    }
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum Retry {
    /// The same call fails again.
    Never,
    /// The same call may work at once.
    Now,
    /// The same call may work after a while.
    Later,
    /// The user has to do something first; the hint says what.
    NeedsUser,
}

/// One problem of one field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct FieldProblem {
    /// The field's name as in the form's type, for example `repository`.
    pub field: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// What the window needs beyond the message, by kind of error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ErrorDetail {
    /// The SSH host showed this key, which nobody has accepted yet.
    HostKey {
        /// Host name.
        host: String,
        /// TCP port.
        port: u32,
        /// Key algorithm, for example `ssh-ed25519`.
        algorithm: String,
        /// `SHA256:…`, as the provider's page shows it.
        fingerprint: String,
        /// Who publishes this very key as the host's own, for well-known hosts.
        published_by: Option<String>,
        /// A warning: who runs this well-known host and publishes other keys for it.
        differs_from: Option<String>,
        /// What known_hosts files say about the host although they do not hold this key, as a sentence.
        note: Option<String>,
    },
    /// The SSH host showed a key that differs from the known ones.
    HostKeyChanged {
        /// Host name.
        host: String,
        /// TCP port.
        port: u32,
        /// Key algorithm.
        algorithm: String,
        /// The key shown now.
        fingerprint: String,
        /// The keys known so far.
        known: Vec<String>,
    },
    /// Fields with problems.
    Fields {
        /// The problems, in the form's order.
        problems: Vec<FieldProblem>,
    },
    /// A missing permission.
    Forbidden {
        /// The verb, for example `create`.
        verb: String,
        /// The resource, for example `codebases.v2.edp.epam.com`.
        resource: String,
        /// The namespace; none for cluster-wide resources.
        namespace: Option<String>,
    },
    /// What another program said about it, word for word, for whoever asks.
    Said {
        /// Its words.
        words: String,
    },
}

/// Where a commit can go that the server's branch does not take now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum Detour {
    /// It may wait on this machine: what is in the way may pass by itself.
    Later,
    /// It may go out on a branch of its own, for a pull or merge request.
    Branch,
}

/// What every failed command answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{message}")]
pub struct AppError {
    /// What went wrong, to act on.
    pub code: ErrorCode,
    /// What went wrong and where, in a sentence.
    pub message: String,
    /// How to mend it, where that is known.
    pub hint: Option<String>,
    /// Whether trying again can help.
    pub retry: Retry,
    /// Where a commit that failed can go instead.
    pub detour: Option<Detour>,
    /// More, by kind of error.
    pub detail: Option<Box<ErrorDetail>>,
}

impl AppError {
    /// An error without hint and detail, with the code's usual advice about trying again.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, retry: code.retry(), detour: code.detour(), detail: None }
    }

    /// A fault in the app itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// Not allowed now; the message says why.
    pub fn blocked(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Blocked, message)
    }

    /// The named thing does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// A form with problems.
    pub fn fields(problems: Vec<FieldProblem>) -> Self {
        let message = problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; ");
        Self { detail: Some(Box::new(ErrorDetail::Fields { problems })), ..Self::new(ErrorCode::Fields, message) }
    }

    /// The same error with a way to mend it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error with something for the window to act on.
    #[must_use]
    pub fn with_detail(mut self, detail: ErrorDetail) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }
}

impl ErrorCode {
    /// Where a commit can go whose push failed so.
    pub fn detour(self) -> Option<Detour> {
        use ErrorCode as C;
        match self {
            C::GitNetwork | C::GitTimeout | C::GitTls | C::GitBusy | C::GitRateLimited | C::GitProxy => {
                Some(Detour::Later)
            }
            C::GitProtectedBranch | C::GitHookRefused | C::GitForbidden => Some(Detour::Branch),
            _ => None,
        }
    }

    /// Whether a failed push may pass by itself, so that a commit may wait for it.
    pub fn may_pass(self) -> bool {
        self.detour() == Some(Detour::Later)
    }

    /// Whether trying again usually helps.
    pub fn retry(self) -> Retry {
        use ErrorCode as C;
        match self {
            C::Timeout
            | C::GitNetwork
            | C::GitTimeout
            | C::GitBusy
            | C::GitRateLimited
            | C::ProviderNetwork
            | C::ProviderTimeout
            | C::ProviderRateLimited
            | C::ClusterUnreachable
            | C::ClusterTimeout => Retry::Later,
            C::Cancelled | C::GitCancelled | C::ClusterConflict | C::ClusterGone | C::Storage => Retry::Now,
            C::Internal | C::GitInternal | C::ClusterInternal | C::NotFound | C::Exists | C::Practice => Retry::Never,
            _ => Retry::NeedsUser,
        }
    }
}
