//! What can go wrong, said so that the reader can mend it.

use crate::host_key::HostKey;
use crate::tls::TlsProblem;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What stands at a path where a file was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A symbolic link; links in repositories are never followed.
    Symlink,
    /// Another repository's commit.
    Submodule,
    /// A folder.
    Folder,
    /// A file where a folder is needed.
    FileAsFolder,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Symlink => "a symbolic link",
            Self::Submodule => "a submodule",
            Self::Folder => "a folder",
            Self::FileAsFolder => "a file where a folder is needed",
        })
    }
}

/// Why a Git operation did not happen. No variant ever holds a secret. `words` are the server's own, cleaned of
/// control characters and cut to a few kilobytes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The SSH server showed a key nobody has accepted yet; nothing was sent to it.
    #[error(
        "{}:{} is not known yet: it shows the {} key {}{}", .0.host, .0.port, .0.algorithm, .0.fingerprint, .0.remark()
    )]
    HostKeyUnknown(Box<HostKey>),
    /// The SSH server showed another key than the known ones; nothing was sent to it.
    #[error(
        "{host} shows another key than before: known {}, seen {seen}. Somebody may be listening in; ask the server's \
         administrator, and remove the old line from known_hosts only when the change is confirmed", known.join(", ")
    )]
    HostKeyChanged {
        /// `host` or `[host]:port`.
        host: String,
        /// Fingerprints of the keys on file.
        known: Vec<String>,
        /// Fingerprint of the key that was shown.
        seen: String,
    },
    /// The SSH server showed a key that a known_hosts file marks as revoked.
    #[error("{host} shows the key {seen}, which is marked as revoked in known_hosts")]
    HostKeyRevoked {
        /// `host` or `[host]:port`.
        host: String,
        /// Fingerprint of the key.
        seen: String,
    },
    /// A known_hosts file could not be read whole, or ours could not be written; no key is judged without it.
    #[error("cannot use the known_hosts file {path}: {why}")]
    KnownHosts {
        /// The file.
        path: String,
        /// The reason.
        why: String,
    },
    /// The server did not take the credential, or wants one and has none.
    #[error("{host} did not accept the {what}. {hint}")]
    Auth {
        /// The server.
        host: String,
        /// Which kind of credential was tried.
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// The server asked for a credential that is meant for another server; it was not sent.
    #[error("the credential is for {bound} and was not sent to {asked}")]
    CredentialHost {
        /// The host the credential is bound to.
        bound: String,
        /// The host that asked.
        asked: String,
    },
    /// The server sent us to another address; credentials do not travel along, so we stop.
    #[error("{host} redirects to another server. Use the new address if you trust it: {words}")]
    Redirected {
        /// The server.
        host: String,
        /// From where to where.
        words: String,
    },
    /// The credential is good, but may not do this.
    #[error("{host} does not allow this: {words}")]
    Forbidden {
        /// The server.
        host: String,
        /// The server's reason.
        words: String,
    },
    /// The branch is protected on the server.
    #[error("the branch {branch} is protected: {words}")]
    ProtectedBranch {
        /// The branch.
        branch: String,
        /// The server's reason.
        words: String,
    },
    /// The repository is archived or otherwise kept from changes.
    #[error("{host} keeps this repository read-only: {words}")]
    Archived {
        /// The server.
        host: String,
        /// The server's reason.
        words: String,
    },
    /// The server takes signed commits only.
    #[error("the server takes only signed commits on {branch}: {words}")]
    SignatureRequired {
        /// The branch.
        branch: String,
        /// The server's reason.
        words: String,
    },
    /// A file, or the push as a whole, is larger than the server takes.
    #[error("the server found the push to {branch} too large: {words}")]
    PushTooLarge {
        /// The branch.
        branch: String,
        /// The server's reason.
        words: String,
    },
    /// The server found a secret in the pushed files.
    #[error("the server found a secret in the push to {branch}: {words}")]
    SecretFound {
        /// The branch.
        branch: String,
        /// The server's reason.
        words: String,
    },
    /// The server wants fewer requests, or is down for a while.
    #[error("{host} asks for a pause: {words}")]
    RateLimited {
        /// The server.
        host: String,
        /// The server's reason.
        words: String,
        /// After how many seconds to come back, when it said so; at most a day.
        retry_after: Option<u64>,
    },
    /// A hook or rule of the server refused the push.
    #[error("the server refused the push to {branch}: {words}")]
    HookRefused {
        /// The branch.
        branch: String,
        /// The server's reason.
        words: String,
    },
    /// The branch moved at every attempt.
    #[error("{branch} moved {attempts} times while we tried to add to it; try again")]
    Busy {
        /// The branch.
        branch: String,
        /// How often we tried.
        attempts: u32,
    },
    /// The repository is not there, or not for this credential.
    #[error("{host} has no such repository, or does not show it to this credential: {words}")]
    NotFound {
        /// The server.
        host: String,
        /// The server's reason.
        words: String,
    },
    /// The server could not be reached or stopped answering.
    #[error("cannot talk to {host}: {words}")]
    Network {
        /// The server.
        host: String,
        /// The reason.
        words: String,
    },
    /// The server's certificate is not trusted, or TLS failed; nothing was sent to it.
    #[error("there is no safe connection to {host}: {problem}")]
    Tls {
        /// The server.
        host: String,
        /// What is wrong, and what to do.
        problem: TlsProblem,
        /// The TLS library's own words.
        words: String,
    },
    /// The proxy could not be used, or did not let us through.
    #[error("the proxy {proxy} does not lead to the server: {words}")]
    Proxy {
        /// The proxy's address without its password, and where it was found.
        proxy: String,
        /// The reason, and what to do.
        words: String,
    },
    /// The certificates given as a private authority cannot be read.
    #[error("the authority's certificate cannot be read: {why}")]
    BadAuthority {
        /// The reason.
        why: String,
    },
    /// Nothing moved for too long.
    #[error("{host} sent nothing for {seconds} s while {doing}")]
    Timeout {
        /// The server.
        host: String,
        /// How long we waited.
        seconds: u64,
        /// What was under way.
        doing: &'static str,
    },
    /// The observer asked to stop.
    #[error("stopped")]
    Cancelled,
    /// Something is larger than allowed.
    #[error("{what} is too large: {size} bytes, at most {limit} are taken")]
    TooLarge {
        /// What.
        what: String,
        /// Its size; for a download, what had arrived.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A folder holds more entries than allowed.
    #[error("{what} holds more than {limit} entries")]
    TooMany {
        /// What.
        what: String,
        /// The limit.
        limit: usize,
    },
    /// There is something else than a file at the path.
    #[error("{path} is {kind}, not a file; it is left alone")]
    NotAFile {
        /// The path.
        path: String,
        /// What it is.
        kind: Kind,
    },
    /// The text is not an address of a repository we talk to.
    #[error("this is not a usable repository address: {why}")]
    BadUrl {
        /// What is wrong.
        why: String,
    },
    /// The address holds a password or token.
    #[error("leave the password out of the address and put it into the credential form")]
    SecretInUrl,
    /// The path cannot be used in a repository.
    #[error("the path {path} cannot be used: {why}")]
    BadPath {
        /// The path, made printable.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The text is not the name of a branch.
    #[error("{name} is not a branch name")]
    BadBranch {
        /// The text, made printable.
        name: String,
    },
    /// The text is not an object's full hash.
    #[error("{text} is not a full commit or content hash")]
    BadId {
        /// The text.
        text: String,
    },
    /// The author's name or e-mail address cannot be written into a commit, or the message is empty.
    #[error("{0}")]
    BadIdentity(&'static str),
    /// The text is not a private key we can use.
    #[error("this private key cannot be used: {why}")]
    BadKey {
        /// What is wrong.
        why: String,
    },
    /// The key is encrypted, and the passphrase is missing or wrong.
    #[error("{}", if *.given { "the passphrase does not open this key" } else { "this key needs its passphrase" })]
    Passphrase {
        /// Whether there was a passphrase.
        given: bool,
    },
    /// The repository has no such branch.
    #[error("the repository has no branch {branch}")]
    NoBranch {
        /// The branch.
        branch: String,
    },
    /// The commit is not in the clone.
    #[error("the commit {id} is not in the clone; fetch first")]
    NoCommit {
        /// The commit.
        id: String,
    },
    /// The path leads to no folder.
    #[error("there is no folder {path} in this commit")]
    NoFolder {
        /// The path.
        path: String,
    },
    /// The place to go on from is not one that a page of this listing or history gave.
    #[error("{text} is no place to go on from; start at the first page again")]
    BadCursor {
        /// The text, made printable.
        text: String,
    },
    /// The clone holds the newest commits only, and the answer lies in older ones; deepen it.
    #[error("the clone holds the newest commits only; fetch the whole history first")]
    NeedsHistory,
    /// The repository names its objects with SHA-256, which the Git library does not speak yet.
    #[error("{host} keeps this repository with SHA-256 names, which are not supported yet; use one with SHA-1 names")]
    Sha256 {
        /// The server.
        host: String,
    },
    /// The result would equal what is there.
    #[error("nothing changed")]
    NothingChanged,
    /// The clone's folder could not be made or read, or another operation holds it.
    #[error("the clone in {path} cannot be used: {why}")]
    Clone {
        /// The folder.
        path: String,
        /// The reason.
        why: String,
    },
    /// Git's library failed in a way that has no better name here.
    #[error("Git: {0}")]
    Internal(String),
}

impl Error {
    /// Whether a push that ended like this may have arrived all the same.
    pub(crate) fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Network { .. } | Self::Timeout { .. } | Self::Tls { .. } | Self::Internal(_))
    }

    /// The class of the error, stable for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::HostKeyUnknown(_) => "git.host_key_unknown",
            Self::HostKeyChanged { .. } => "git.host_key_changed",
            Self::HostKeyRevoked { .. } => "git.host_key_revoked",
            Self::KnownHosts { .. } => "git.known_hosts",
            Self::Auth { .. } => "git.auth",
            Self::CredentialHost { .. } => "git.credential_host",
            Self::Redirected { .. } => "git.redirected",
            Self::Forbidden { .. } => "git.forbidden",
            Self::ProtectedBranch { .. } => "git.protected_branch",
            Self::Archived { .. } => "git.archived",
            Self::SignatureRequired { .. } => "git.signature_required",
            Self::PushTooLarge { .. } => "git.push_too_large",
            Self::SecretFound { .. } => "git.secret_found",
            Self::RateLimited { .. } => "git.rate_limited",
            Self::HookRefused { .. } => "git.hook_refused",
            Self::Busy { .. } => "git.busy",
            Self::NotFound { .. } => "git.not_found",
            Self::Network { .. } => "git.network",
            Self::Tls { .. } => "git.tls",
            Self::Proxy { .. } => "git.proxy",
            Self::BadAuthority { .. } => "git.bad_authority",
            Self::Timeout { .. } => "git.timeout",
            Self::Cancelled => "git.cancelled",
            Self::TooLarge { .. } | Self::TooMany { .. } => "git.too_large",
            Self::NotAFile { .. } => "git.not_a_file",
            Self::BadUrl { .. } => "git.bad_url",
            Self::SecretInUrl => "git.secret_in_url",
            Self::BadPath { .. } => "git.bad_path",
            Self::BadBranch { .. } => "git.bad_branch",
            Self::BadId { .. } => "git.bad_id",
            Self::BadIdentity(_) => "git.bad_identity",
            Self::BadKey { .. } => "git.bad_key",
            Self::Passphrase { .. } => "git.passphrase",
            Self::NoBranch { .. } => "git.no_branch",
            Self::NoCommit { .. } => "git.no_commit",
            Self::NoFolder { .. } => "git.no_folder",
            Self::BadCursor { .. } => "git.bad_cursor",
            Self::NeedsHistory => "git.needs_history",
            Self::Sha256 { .. } => "git.sha256",
            Self::NothingChanged => "git.nothing_changed",
            Self::Clone { .. } => "git.clone",
            Self::Internal(_) => "git.internal",
        }
    }
}

impl From<git2::Error> for Error {
    fn from(error: git2::Error) -> Self {
        Self::Internal(crate::rejection::clean(error.message()))
    }
}
