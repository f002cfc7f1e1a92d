//! What to do about an error.

use crate::error::Error;

impl Error {
    /// The next step, where there is one that helps; without a full stop.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::HostKeyUnknown(_) => "compare the fingerprint with the one the provider publishes, then accept it",
            Self::HostKeyChanged { .. } | Self::HostKeyRevoked { .. } => {
                "ask the server's administrator whether its key was changed, and send nothing before you know"
            }
            Self::Auth { hint, .. } => hint.trim_end_matches('.'),
            Self::Redirected { .. } => "register the new address if you trust it",
            Self::CredentialHost { .. } => "enter a credential for this server",
            Self::Tls { .. } => "add the authority's certificate if the server uses a private one",
            Self::Forbidden { .. } => {
                "ask the repository's owner for the right to write, or use a token or key that has it"
            }
            Self::Archived { .. } => {
                "ask the repository's owner to unarchive it, or move to another repository; nothing was lost here"
            }
            Self::ProtectedBranch { .. } => {
                "push a new branch and open a pull or merge request, or ask for the right to push to this one"
            }
            Self::SignatureRequired { .. } => {
                "push a new branch and have the provider sign the merge, or ask for an exception; commits made here \
                 are not signed"
            }
            Self::PushTooLarge { .. } => "make the file smaller, or ask for a higher limit",
            Self::SecretFound { .. } => {
                "take the secret out of the text and revoke it if it is real; keep it in a secret store instead"
            }
            Self::HookRefused { .. } => "do what the server asks for in its message, then publish again",
            Self::RateLimited { retry_after: Some(seconds), .. } => return Some(format!("try again in {seconds} s")),
            Self::RateLimited { retry_after: None, .. } => "try again in a few minutes",
            Self::Busy { .. } => "publish again in a moment",
            Self::NotFound { .. } => "check the address, and that the credential may see the repository",
            Self::Network { .. } | Self::Timeout { .. } => {
                "check the connection and try again; before anything is sent again, the server is asked what it has"
            }
            Self::NoBranch { .. } => "choose another branch, or make this one on the server",
            Self::TooLarge { .. } | Self::TooMany { .. } => "make it smaller, or edit it with another tool",
            Self::SecretInUrl => "put the password into the credential form",
            Self::Passphrase { .. } => "enter the key's passphrase",
            Self::Clone { .. } => "check that the disk is not full and that the folder may be written to",
            _ => return None,
        };
        Some(text.to_owned())
    }
}
