//! The SSH agent, and that nothing ever asks the user by itself. Each look happens in a process of its own, since the
//! agent is found through the environment.

use std::os::unix::fs::PermissionsExt;

use pilothouse_rig::agent::Agent;
use tempfile::TempDir;

use crate::look::Look;
use crate::stage::*;

struct Place {
    home: TempDir,
    url: String,
}

impl Place {
    fn new(name: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("known"), format!("{}\n", ssh().host_key_line)).unwrap();
        Self { home, url: ssh().create_repo(name).unwrap().url }
    }

    fn look(&self, environment: &[(&str, &str)]) -> String {
        Look {
            url: &self.url,
            credential: "agent",
            known_hosts: &self.home.path().join("known"),
            authority: None,
            environment,
            home: self.home.path(),
        }
        .result()
    }

    fn look_with(&self, agent: &Agent) -> String {
        self.look(&[("SSH_AUTH_SOCK", agent.socket().to_str().unwrap())])
    }
}

#[test]
fn case_06_an_absent_or_silent_agent_is_named_as_such() {
    let place = Place::new("agent-absent");
    let told = place.look(&[]);
    assert!(told.starts_with("git.auth ") && told.contains("SSH_AUTH_SOCK is not set"), "{told}");
    let told = place.look(&[("SSH_AUTH_SOCK", "/nonexistent/agent")]);
    assert!(told.starts_with("git.auth ") && told.contains("does not answer"), "{told}");
}

#[test]
fn case_06_an_empty_or_locked_agent_is_told_from_one_with_the_wrong_keys() {
    let place = Place::new("agent-locked");
    let agent = Agent::start().unwrap();
    let told = place.look_with(&agent);
    assert!(told.starts_with("git.auth ") && told.contains("locked"), "{told}");
    agent.add_stranger().unwrap();
    let told = place.look_with(&agent);
    assert!(told.starts_with("git.auth ") && told.contains("None of the SSH agent's keys"), "{told}");
    agent.add(&ssh().client_private_key).unwrap();
    assert_eq!(place.look_with(&agent), "ok");
    agent.lock().unwrap();
    let told = place.look_with(&agent);
    assert!(told.starts_with("git.auth ") && told.contains("ssh-add -X"), "{told}");
}

#[test]
fn case_06_an_agent_with_twenty_keys_is_told_from_a_wrong_key() {
    use pilothouse_rig::git_host::{GitHost, SshSetup};
    // As servers are set up usually.
    let host = GitHost::ssh_with(&SshSetup { settings: "MaxAuthTries 6\n", ..SshSetup::default() }).unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("known"), format!("{}\n", host.host_key_line)).unwrap();
    let place = Place { home, url: host.create_repo("agent-many").unwrap().url };
    let agent = Agent::start().unwrap();
    agent.add(&host.client_private_key).unwrap();
    for _ in 0..19 {
        agent.add_stranger().unwrap();
    }
    assert_eq!(place.look_with(&agent), "ok", "the right key is the first");

    let agent = Agent::start().unwrap();
    for _ in 0..19 {
        agent.add_stranger().unwrap();
    }
    agent.add(&host.client_private_key).unwrap();
    let told = place.look_with(&agent);
    assert!(told.starts_with("git.auth ") && told.contains("too many authentication failures"), "{told}");
    assert!(told.contains("Leave only this server's key"), "{told}");
}

#[test]
fn case_07_nothing_ever_asks_by_itself() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let ask = path("ask");
    std::fs::write(&ask, format!("#!/bin/sh\ntouch '{}'\necho seeded-answer\n", path("asked").display())).unwrap();
    std::fs::set_permissions(&ask, std::fs::Permissions::from_mode(0o755)).unwrap();
    let asks = ask.to_str().unwrap();
    // Whatever git, ssh and their helpers would use to ask.
    std::fs::write(path(".gitconfig"), format!("[credential]\n\thelper = {asks}\n[core]\n\taskPass = {asks}\n"))
        .unwrap();
    let environment = [
        ("DISPLAY", ":99"),
        ("SSH_ASKPASS", asks),
        ("SSH_ASKPASS_REQUIRE", "force"),
        ("GIT_ASKPASS", asks),
        ("GIT_SSH_COMMAND", asks),
    ];
    let known = path("known");
    std::fs::write(&known, format!("{}\n", ssh().host_key_line)).unwrap();
    std::fs::write(path("key"), ssh().new_client_key(&["-t", "ed25519", "-N", "pass", "-a", "4"]).unwrap()).unwrap();
    std::fs::write(path("stranger"), pem()).unwrap();
    std::fs::write(path("ca"), &https().ca_pem).unwrap();
    let over_ssh = ssh().create_repo("unasked").unwrap().url;
    let over_https = https().create_repo("unasked").unwrap().url;
    let (nowhere, ca) = (path("nowhere"), path("ca"));
    let key = |name: &str| format!("key {}", path(name).display());
    for (url, credential, known_hosts, code) in [
        (&over_ssh, key("key"), &nowhere, "git.passphrase "),
        (&over_ssh, key("key"), &known, "git.passphrase "),
        (&over_ssh, key("stranger"), &nowhere, "git.host_key_unknown "),
        (&over_ssh, key("stranger"), &known, "git.auth "),
        (&over_ssh, "none".to_owned(), &known, "git.auth "),
        (&over_ssh, "agent".to_owned(), &known, "git.auth "),
        (&over_https, "none".to_owned(), &known, "git.auth "),
        (&over_https, "token rig-user wrong".to_owned(), &known, "git.auth "),
    ] {
        let authority = Some(ca.as_path());
        let look =
            Look { url, credential: &credential, known_hosts, authority, environment: &environment, home: home.path() };
        let told = look.result();
        assert!(told.starts_with(code), "{credential}: {told}");
        assert!(!path("asked").exists(), "{credential}");
    }
}

/// A key that no server knows.
fn pem() -> String {
    use secrecy::ExposeSecret;
    pilothouse_git::generate_ed25519("stranger").unwrap().private_openssh.expose_secret().to_owned()
}
