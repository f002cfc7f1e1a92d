//! SSH: host keys first, then our own keys.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pilothouse_git::{Access, Credential, Error, HostKey, KnownHosts, ProxyChoice, Variables, generate_ed25519, probe};
use secrecy::ExposeSecret;

use crate::stage::*;

#[test]
fn case_01_an_unknown_host_is_shown_then_accepted_then_known() {
    let repo = ssh().create_repo("unknown-host").unwrap();
    let address = url(&repo.url);
    let dir = tempfile::tempdir().unwrap();
    let hosts = KnownHosts::new(dir.path().join("own"), Vec::new());
    let access = Access::new(&address, ssh_key(&ssh().client_private_key, None), hosts.clone());
    let Err(Error::HostKeyUnknown(shown)) = probe(&address, &access) else { panic!("must be unknown") };
    assert_eq!((shown.host.as_str(), shown.port, shown.algorithm.as_str()), ("127.0.0.1", ssh().port(), "ssh-ed25519"));
    assert_eq!(shown.line, ssh().host_key_line);
    assert!(!dir.path().join("own").exists(), "nothing is kept before it is accepted");
    // Nothing is tried before the server is known: without any credential the answer is the same.
    let nobody = Access { credential: Credential::None, ..access.clone() };
    assert!(matches!(probe(&address, &nobody), Err(Error::HostKeyUnknown(_))));

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
fn case_02_a_changed_host_key_is_refused_with_both_fingerprints() {
    let repo = ssh().create_repo("changed-host").unwrap();
    let address = url(&repo.url);
    let dir = tempfile::tempdir().unwrap();
    let other = generate_ed25519("x").unwrap();
    let name = format!("[127.0.0.1]:{}", ssh().port());
    let line = |text: &str| text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let hosts = known(&dir, &format!("{name} {}", line(&other.public_openssh)));
    // A broken key would be an error of its own if it were used.
    let access = Access::new(&address, ssh_key(&ssh().client_private_key, None), hosts.clone());
    let error = probe(&address, &access).unwrap_err();
    let text = error.to_string();
    let Error::HostKeyChanged { host, known, seen } = error else { panic!("must be refused") };
    assert!(text.contains(&other.fingerprint) && text.contains(&seen), "{text}");
    assert_eq!((host, known), (name.clone(), vec![other.fingerprint]));
    assert!(seen.starts_with("SHA256:"));
    // The new key cannot be accepted over the old one, however it is asked for.
    let blob = ssh().host_key_line.split_whitespace().nth(2).unwrap().to_owned();
    let shown = HostKey::new("127.0.0.1", ssh().port(), &STANDARD.decode(blob).unwrap());
    assert_eq!(shown.fingerprint, seen);
    assert!(matches!(hosts.accept(&shown), Err(Error::HostKeyChanged { .. })));

    let revoked = known_file(&dir, &format!("@revoked {}", ssh().host_key_line));
    let access = Access { known_hosts: revoked, ..access };
    assert!(matches!(probe(&address, &access), Err(Error::HostKeyRevoked { .. })));
}

fn known_file(dir: &tempfile::TempDir, line: &str) -> KnownHosts {
    known(dir, line)
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

#[test]
fn case_09_ssh_goes_straight_and_says_so_where_a_proxy_is_set() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = url(&format!("ssh://git@127.0.0.1:{port}/x.git"));
    let access = Access::new(&address, ssh_key(&ssh().client_private_key, None), KnownHosts::default());
    let variables = Variables::new([("https_proxy", "http://me:seeded-proxy@proxy.example:3128")]);
    let access = Access { proxy: ProxyChoice::Variables(variables), ..access };
    let error = probe(&address, &access).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(matches!(error, Error::Network { .. }), "{text}");
    assert!(text.contains("SSH does not go through the proxy http://proxy.example:3128"), "{text}");
    assert!(!text.contains("seeded-proxy"), "{text}");

    // A network that swallows what does not go through its proxy.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = url(&format!("ssh://git@127.0.0.1:{}/x.git", silent.local_addr().unwrap().port()));
    let error = probe(&address, &impatient(Access { bound_host: address.authority(), ..access })).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert!(error.to_string().contains("SSH does not go through the proxy"), "{error}");
}
