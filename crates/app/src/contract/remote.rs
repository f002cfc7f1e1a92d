//! Remotes and credentials. Secrets only travel from the window to Rust.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use specta::Type;

/// How a Git server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum Transport {
    /// HTTPS, with a token.
    Https,
    /// SSH, with a key.
    Ssh,
}

/// Which remote is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RemoteTarget {
    /// The platform's GitOps repository, over one of its two addresses.
    Repository {
        /// Which address.
        transport: Transport,
    },
    /// A repository on a Git server of the platform, before or after it exists.
    GitServer {
        /// The GitServer object's name.
        git_server: String,
        /// The path on it, for example `acme/krci-gitops`.
        path: String,
        /// Which address.
        transport: Transport,
    },
    /// Any address.
    Url {
        /// `https://…`, `ssh://…` or `git@host:path`.
        url: String,
    },
}

/// What the user gives to be let in.
#[derive(Debug, Clone, Deserialize, Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CredentialInput {
    /// A token for HTTPS.
    Token {
        /// The user name; most providers accept any.
        username: Option<String>,
        /// The token.
        #[specta(type = String)]
        token: SecretString,
    },
    /// A private key, pasted.
    KeyText {
        /// The key, OpenSSH or PEM.
        #[specta(type = String)]
        text: SecretString,
        /// Its passphrase.
        #[specta(type = Option<String>)]
        passphrase: Option<SecretString>,
    },
    /// A private key in a file.
    KeyFile {
        /// The file's path.
        path: String,
        /// Its passphrase.
        #[specta(type = Option<String>)]
        passphrase: Option<SecretString>,
    },
    /// A key pair that `generateKey` made.
    Generated {
        /// Its id.
        key_id: String,
    },
    /// The running SSH agent.
    Agent,
}

/// A key pair made by the app; the private half is in the keychain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GeneratedKey {
    /// Names it in `CredentialInput`.
    pub key_id: String,
    /// The public half, to paste at the provider.
    pub public_key: String,
    /// `SHA256:…`.
    pub fingerprint: String,
}

/// What a test of a remote found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RemoteCheck {
    /// The address tried.
    pub url: String,
    /// The server answered.
    pub reachable: bool,
    /// The repository's references can be read.
    pub can_read: bool,
    /// The branch the remote calls its default.
    pub default_branch: Option<String>,
    /// All branches.
    pub branches: Vec<String>,
    /// True when it holds no commit yet.
    pub empty: bool,
}

/// A host key the user looked at and accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AcceptHostKey {
    /// Host name, from the error's detail.
    pub host: String,
    /// TCP port, from the error's detail.
    pub port: u32,
    /// The fingerprint that was shown; another key is not accepted.
    pub fingerprint: String,
}

/// Whether commits are signed with an SSH key, and with which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SigningView {
    /// The key's algorithm, such as `ssh-ed25519`; none when commits are not signed.
    pub algorithm: Option<String>,
    /// Its fingerprint; none when commits are not signed.
    pub fingerprint: Option<String>,
    /// Its public half, for the provider's list of signing keys.
    pub public_key: Option<String>,
    /// Why commits cannot be signed although they are to be; none is made until that is mended.
    pub problem: Option<String>,
}
