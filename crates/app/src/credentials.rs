//! Credentials and host keys.

use crate::{
    App, Result,
    contract::{AcceptHostKey, CredentialInput, GeneratedKey, RemoteCheck, RemoteTarget, Transport},
};

impl App {
    /// Makes an ed25519 key pair; the private half goes to the keychain.
    pub async fn generate_key(&self, _comment: String) -> Result<GeneratedKey> {
        Err(self.not_ready())
    }

    /// Tries a remote with the given credential, or with the one kept for it.
    pub async fn test_remote(
        &self,
        _target: RemoteTarget,
        _credential: Option<CredentialInput>,
    ) -> Result<RemoteCheck> {
        Err(self.not_ready())
    }

    /// Trusts an SSH host key that the user has looked at.
    pub async fn accept_host_key(&self, _key: AcceptHostKey) -> Result<()> {
        Err(self.not_ready())
    }

    /// Keeps the credential of the GitOps repository in the keychain.
    pub async fn save_repository_credential(&self, _transport: Transport, _credential: CredentialInput) -> Result<()> {
        Err(self.not_ready())
    }
}
