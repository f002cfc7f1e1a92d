//! A look at the SSH agent before the SSH library uses it: the library only ever says that logging in failed.

/// What the agent that `SSH_AUTH_SOCK` names is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agent {
    /// The variable is not set.
    Absent,
    /// Nobody answers there, or not as an agent does.
    Silent,
    /// It shows this many keys; a locked agent shows none.
    Shows(u32),
    /// It cannot be asked on this system.
    #[cfg(not(unix))]
    Unasked,
}

/// How many keys servers let a client try, usually: OpenSSH's `MaxAuthTries`.
const USUAL_TRIES: u32 = 6;

impl Agent {
    /// Asks the agent.
    #[cfg(unix)]
    pub(crate) fn look() -> Self {
        use std::io::{Read, Write};
        use std::os::unix::net::UnixStream;
        use std::time::Duration;

        let Some(path) = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()) else {
            return Self::Absent;
        };
        // The agent protocol's SSH_AGENTC_REQUEST_IDENTITIES, answered by SSH_AGENT_IDENTITIES_ANSWER and a count.
        let ask = || -> std::io::Result<Option<u32>> {
            let mut stream = UnixStream::connect(path)?;
            let patience = Some(Duration::from_secs(5));
            stream.set_read_timeout(patience)?;
            stream.set_write_timeout(patience)?;
            stream.write_all(&[0, 0, 0, 1, 11])?;
            let mut head = [0; 9];
            stream.read_exact(&mut head[..5])?;
            if head[4] != 12 {
                return Ok(None);
            }
            stream.read_exact(&mut head[5..])?;
            Ok(Some(u32::from_be_bytes([head[5], head[6], head[7], head[8]])))
        };
        ask().ok().flatten().map_or(Self::Silent, Self::Shows)
    }

    /// Asks the agent.
    #[cfg(not(unix))]
    pub(crate) fn look() -> Self {
        Self::Unasked
    }

    /// Why it is of no use, and what to do.
    pub(crate) fn obstacle(self) -> Option<&'static str> {
        match self {
            Self::Absent => Some(
                "No SSH agent runs (SSH_AUTH_SOCK is not set). Start one and add the key with ssh-add, or give the \
                 key itself.",
            ),
            Self::Silent => {
                Some("The SSH agent that SSH_AUTH_SOCK names does not answer. Start it again, or give the key itself.")
            }
            Self::Shows(0) => Some(
                "The SSH agent shows no key: it is locked (unlock it with ssh-add -X) or empty (add the key with \
                 ssh-add).",
            ),
            _ => None,
        }
    }

    /// What a failed login most likely means.
    pub(crate) fn after_failure(self) -> &'static str {
        match self {
            Self::Shows(keys) if keys >= USUAL_TRIES => {
                "The SSH agent holds many keys, and servers end the conversation after a few wrong ones (too many \
                 authentication failures). Leave only this server's key in the agent, or give the key itself."
            }
            _ => {
                "None of the SSH agent's keys is let in. Add the right one with ssh-add, or register its public half \
                 with the server."
            }
        }
    }
}
