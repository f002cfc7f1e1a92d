//! What the platform says of a Git server, beside what this computer found.

use crate::objects::GitServer;

/// How a test of ours went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// It worked; how.
    Passed(String),
    /// It did not; why.
    Failed(String),
    /// It was not made; why.
    NotMade(String),
}

impl Attempt {
    fn failed(&self) -> Option<&str> {
        match self {
            Self::Failed(why) => Some(why),
            _ => None,
        }
    }

    fn passed(&self) -> bool {
        matches!(self, Self::Passed(_))
    }
}

/// Where the platform's word and our tests differ, and what that usually means. The platform tests SSH only, and only
/// when the Secret holds a key (codebase-operator, gitserver_controller.go): its word says nothing about the token.
pub fn differences(server: &GitServer, ssh: &Attempt, token: &Attempt) -> Vec<String> {
    let mut found = Vec::new();
    match (server.connected, ssh) {
        (true, Attempt::Failed(why)) => found.push(format!(
            "The platform is connected over SSH, this computer is not: {why}. Your own commits would not go out this way; \
             compare the networks and the keys."
        )),
        (false, Attempt::Passed(_)) => {
            let said = server.error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            found.push(format!(
                "This computer signs in over SSH, the platform does not{said}. Look whether the cluster may reach the server, \
                 and whether the server's host key is in the platform's ConfigMap of known hosts: without it the platform \
                 refuses the server."
            ));
        }
        _ => {}
    }
    if server.connected
        && let Some(why) = token.failed()
    {
        found.push(format!(
            "The platform is connected, but it tests SSH alone. The API token does not work: {why}. Creating repositories \
             and webhooks would fail."
        ));
    }
    if ssh.passed()
        && let Some(why) = token.failed().filter(|_| !server.connected)
    {
        found.push(format!("SSH works from this computer, the API token does not: {why}."));
    }
    if token.passed()
        && let Some(why) = ssh.failed()
    {
        found.push(format!(
            "The API token works, SSH does not: {why}. Argo CD always reads over SSH, so environments would not see their \
             values."
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_told_apart_from_ssh() {
        let server = |connected| GitServer { connected, error: Some("no host key".into()), ..GitServer::default() };
        let good = Attempt::Passed("signed in".into());
        let bad = Attempt::Failed("401".into());
        let skipped = Attempt::NotMade("no right".into());
        assert!(differences(&server(true), &good, &good).is_empty());
        assert!(differences(&server(true), &skipped, &skipped).is_empty());
        assert!(differences(&server(false), &bad, &skipped).is_empty());
        assert!(differences(&server(true), &good, &bad)[0].contains("tests SSH alone"));
        assert!(differences(&server(false), &good, &good)[0].contains("no host key"));
        assert!(differences(&server(true), &bad, &good).len() == 2);
    }
}
