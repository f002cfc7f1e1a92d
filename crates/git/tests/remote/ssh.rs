//! SSH: host keys first, then our own keys.

use std::process::Command;

use pilothouse_git::{Access, Credential, Error, KnownHosts, generate_ed25519, inspect_private_key, probe};
use secrecy::ExposeSecret;

use crate::stage::*;

#[test]
fn an_unknown_host_is_shown_then_accepted_then_known() {
    let repo = ssh().create_repo("unknown-host").unwrap();
    let address = url(&repo.url);
    let dir = tempfile::tempdir().unwrap();
    let hosts = KnownHosts::new(dir.path().join("own"), Vec::new());
    let access = Access::new(&address, ssh_key(&ssh().client_private_key, None), hosts.clone());
    let Err(Error::HostKeyUnknown(shown)) = probe(&address, &access) else { panic!("must be unknown") };
    assert_eq!((shown.host.as_str(), shown.port, shown.algorithm.as_str()), ("127.0.0.1", ssh().port(), "ssh-ed25519"));
    assert_eq!(shown.line, ssh().host_key_line);
    assert!(!dir.path().join("own").exists(), "nothing is kept before it is accepted");

    // What people compare it with.
    let file = dir.path().join("line");
    std::fs::write(&file, &shown.line).unwrap();
    let printed = Command::new("ssh-keygen").args(["-l", "-f"]).arg(&file).output().unwrap();
    assert!(String::from_utf8_lossy(&printed.stdout).contains(&shown.fingerprint));

    hosts.accept(&shown).unwrap();
    assert_eq!(probe(&address, &access).unwrap().default_branch.as_deref(), Some("main"));
    let found = Command::new("ssh-keygen")
        .args(["-F", &format!("[127.0.0.1]:{}", ssh().port()), "-f"])
        .arg(dir.path().join("own"))
        .output()
        .unwrap();
    assert!(found.status.success(), "OpenSSH reads the file too");
}

#[test]
fn a_changed_host_key_is_refused_before_anything_is_sent() {
    let repo = ssh().create_repo("changed-host").unwrap();
    let address = url(&repo.url);
    let dir = tempfile::tempdir().unwrap();
    let other = generate_ed25519("x").unwrap();
    let name = format!("[127.0.0.1]:{}", ssh().port());
    let line = |text: &str| text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let hosts = known(&dir, &format!("{name} {}", line(&other.public_openssh)));
    // A broken key would be an error of its own if it were used.
    let access = Access::new(&address, ssh_key(&ssh().client_private_key, None), hosts.clone());
    let Err(Error::HostKeyChanged { host, known, seen }) = probe(&address, &access) else { panic!("must be refused") };
    assert_eq!((host, known), (name.clone(), vec![other.fingerprint]));
    assert!(seen.starts_with("SHA256:"));

    let revoked = known_file(&dir, &format!("@revoked {}", ssh().host_key_line));
    let access = Access { known_hosts: revoked, ..access };
    assert!(matches!(probe(&address, &access), Err(Error::HostKeyRevoked { .. })));
}

fn known_file(dir: &tempfile::TempDir, line: &str) -> KnownHosts {
    known(dir, line)
}

#[test]
fn every_usual_kind_of_key_logs_in() {
    let repo = ssh().create_repo("kinds").unwrap();
    let address = url(&repo.url);
    let dir = tempfile::tempdir().unwrap();
    let hosts = known(&dir, &ssh().host_key_line);
    for options in [
        &["-t", "ed25519", "-N", ""][..],
        &["-t", "ecdsa", "-b", "256", "-N", ""],
        &["-t", "ecdsa", "-b", "384", "-N", ""],
        // Half of these have a short number, which some readers of keys stumble over.
        &["-t", "ecdsa", "-b", "521", "-N", ""],
        &["-t", "ecdsa", "-b", "521", "-N", ""],
        &["-t", "ecdsa", "-b", "521", "-N", ""],
        &["-t", "ecdsa", "-b", "521", "-N", ""],
        &["-t", "ecdsa", "-b", "521", "-N", ""],
        &["-t", "rsa", "-b", "3072", "-N", ""],
    ] {
        let key = ssh().new_client_key(options).unwrap();
        inspect_private_key(&secret(&key), None).unwrap_or_else(|error| panic!("{options:?}: {error}"));
        let access = Access::new(&address, ssh_key(&key, None), hosts.clone());
        probe(&address, &access).unwrap_or_else(|error| panic!("{options:?}: {error}"));
    }
    let pair = generate_ed25519("pilothouse").unwrap();
    ssh().authorize_line(&pair.public_openssh).unwrap();
    let access = Access::new(&address, ssh_key(pair.private_openssh.expose_secret(), None), hosts);
    probe(&address, &access).unwrap();
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    let repo = ssh().create_repo("passphrase").unwrap();
    let address = url(&repo.url);
    let dir = tempfile::tempdir().unwrap();
    let hosts = known(&dir, &ssh().host_key_line);
    let elliptic = &["-t", "ecdsa", "-b", "521", "-N", "seeded-pass", "-a", "4"][..];
    for options in [
        elliptic,
        elliptic,
        elliptic,
        &["-t", "ed25519", "-N", "seeded-pass", "-a", "4"][..],
        &["-t", "rsa", "-b", "3072", "-N", "seeded-pass", "-a", "4"],
    ] {
        let key = ssh().new_client_key(options).unwrap();
        let look = |passphrase| probe(&address, &Access::new(&address, ssh_key(&key, passphrase), hosts.clone()));
        look(Some("seeded-pass")).unwrap();
        for (passphrase, given) in [(Some("seeded-wrong"), true), (Some(""), false), (None, false)] {
            let error = look(passphrase).unwrap_err();
            assert!(matches!(error, Error::Passphrase { given: g } if g == given), "{passphrase:?}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("seeded"));
        }
    }
}

#[test]
fn a_key_the_server_does_not_know_is_told_at_once() {
    let repo = ssh().create_repo("stranger").unwrap();
    let address = url(&repo.url);
    let dir = tempfile::tempdir().unwrap();
    let hosts = known(&dir, &ssh().host_key_line);
    let pair = generate_ed25519("stranger").unwrap();
    let access = Access::new(&address, ssh_key(pair.private_openssh.expose_secret(), None), hosts);
    let error = probe(&address, &access).unwrap_err();
    assert!(matches!(error, Error::Auth { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("PRIVATE"));
    for credential in [Credential::None, Credential::Token { username: "git".into(), token: secret("t") }] {
        let error = probe(&address, &Access { credential, ..access.clone() }).unwrap_err();
        assert!(matches!(error, Error::Auth { .. }), "{error:?}");
    }
}

#[test]
fn a_missing_repository_is_not_found() {
    let repo = ssh().create_repo("present").unwrap();
    let address = url(&repo.url.replace("present", "absent"));
    let dir = tempfile::tempdir().unwrap();
    let access = Access::new(&address, ssh_key(&ssh().client_private_key, None), known(&dir, &ssh().host_key_line));
    let error = probe(&address, &access).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

#[test]
fn the_short_form_of_an_address_works_on_a_local_folder_name() {
    // The short form has no port, so only its reading can be shown here; `ssh://` above is the same server.
    let address = url("git@127.0.0.1:some/repo.git");
    assert_eq!((address.port(), address.username()), (22, Some("git")));
}
