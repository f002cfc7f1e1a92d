//! Every kind of line in known_hosts, against real servers.

use std::process::Command;

use pilothouse_git::{Access, Error, HostKey, KnownHosts, RemoteUrl, Result, generate_ed25519, probe};
use pilothouse_rig::git_host::{GitHost, HostCertificate, SshSetup};
use tempfile::TempDir;

use crate::look::Look;
use crate::stage::*;

fn look(host: &GitHost, address: &RemoteUrl, dir: &TempDir, lines: &str) -> Result<()> {
    let access = Access::new(address, ssh_key(&host.client_private_key, None), known(dir, lines));
    probe(address, &access).map(drop)
}

fn unknown(outcome: Result<()>) -> HostKey {
    match outcome {
        Err(Error::HostKeyUnknown(key)) => *key,
        other => panic!("must be unknown: {other:?}"),
    }
}

#[test]
fn case_03_lines_of_every_kind_are_honoured() {
    let repo = ssh().create_repo("lines").unwrap();
    let address = url(&repo.url);
    let dir = tempfile::tempdir().unwrap();
    let line = ssh().host_key_line.clone();
    let key = line.split_once(' ').unwrap().1.to_owned();
    let other = generate_ed25519("x").unwrap().public_openssh;
    let port = ssh().port();

    // As OpenSSH itself hashes it.
    let file = dir.path().join("hashed");
    std::fs::write(&file, format!("{line}\n")).unwrap();
    assert!(Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).output().unwrap().status.success());
    let hashed = std::fs::read_to_string(&file).unwrap();
    assert!(hashed.starts_with("|1|"), "{hashed}");

    for good in [
        line.clone(),
        hashed,
        format!("# known\n\n  # more\n{line} comment with words"),
        format!("other.example,[127.0.0.1]:{port} {key}"),
        format!("[127.0.0.*]:{port} {key}"),
        format!("nonsense\n[x]:1 ssh-ed25519 !!!\n{line}"),
        format!("@revoked * {other}\n{line}"),
        format!("@cert-authority * {other}\n{line}"),
    ] {
        look(ssh(), &address, &dir, &good).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
    for unlike in [
        String::new(),
        format!("127.0.0.1 {key}"),
        format!("[127.0.0.1]:{} {key}", port ^ 1),
        format!("#{line}"),
        format!("[127.0.0.*]:{port},![127.0.0.1]:{port} {key}"),
        format!("@unheard-of {line}"),
    ] {
        assert_eq!(unknown(look(ssh(), &address, &dir, &unlike)).note, None, "{unlike}");
    }
    for bad in [format!("@revoked * {key}"), format!("{line}\n@revoked [127.0.0.1]:{port} {key}")] {
        let error = look(ssh(), &address, &dir, &bad).unwrap_err();
        assert!(matches!(error, Error::HostKeyRevoked { .. }), "{bad}: {error:?}");
    }

    // A server that is known through an authority only, and shows a plain key: not trusted, and said in words.
    let seen = unknown(look(ssh(), &address, &dir, &format!("@cert-authority * {key}")));
    assert!(seen.note.as_ref().is_some_and(|note| note.contains("without a certificate")), "{seen:?}");
    let text = Error::HostKeyUnknown(Box::new(seen)).to_string();
    assert!(text.contains("only through an authority"), "{text}");
}

#[test]
fn case_03_large_and_unreadable_files() {
    let repo = ssh().create_repo("large").unwrap();
    let address = url(&repo.url);
    let dir = tempfile::tempdir().unwrap();
    let line = &ssh().host_key_line;
    let filler = "x.example ssh-ed25519 AAAA\n";
    let over_a_mebibyte = filler.repeat((1 << 20) / filler.len() + 1) + line;
    look(ssh(), &address, &dir, &over_a_mebibyte).unwrap();
    let far_over = filler.repeat((16 << 20) / filler.len() + 1) + line;
    let error = look(ssh(), &address, &dir, &far_over).unwrap_err();
    assert!(matches!(&error, Error::KnownHosts { why, .. } if why.contains("larger")), "{error:?}");

    // The user's own file cannot be read: nothing is trusted, and the message names the file.
    let folder = dir.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let own = dir.path().join("own");
    std::fs::write(&own, line).unwrap();
    let access = Access::new(
        &address,
        ssh_key(&ssh().client_private_key, None),
        KnownHosts::new(own.clone(), vec![folder.clone()]),
    );
    let error = probe(&address, &access).unwrap_err();
    assert!(matches!(&error, Error::KnownHosts { path, .. } if *path == folder.display().to_string()), "{error:?}");

    // Keys in any of the user's files count.
    for name in ["known_hosts", "known_hosts2"] {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        std::fs::write(home.path().join(".ssh").join(name), line).unwrap();
        let hosts = KnownHosts::new(home.path().join("own"), KnownHosts::usual_files(Some(home.path())));
        probe(&address, &Access { known_hosts: hosts, ..access.clone() }).unwrap();
        assert!(!home.path().join("own").exists());
    }
}

/// The library reads the user's file too, to choose among the server's keys; no line in it may stop us.
#[test]
fn case_03_the_users_own_file_stops_nothing() {
    let repo = ssh().create_repo("home").unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".ssh")).unwrap();
    let other = generate_ed25519("x").unwrap().public_openssh;
    let lines = format!(
        "# mine\n\n@cert-authority *.example {other}\n@revoked * {other}\n|1|c2FsdA==|aGFzaA== {other}\n\
         *.wild.example,!not.wild.example {other} a comment\n{}\n",
        ssh().host_key_line
    );
    std::fs::write(home.path().join(".ssh/known_hosts"), lines).unwrap();
    let key = home.path().join("key");
    std::fs::write(&key, &ssh().client_private_key).unwrap();
    let known = home.path().join("own");
    std::fs::write(&known, format!("{}\n", ssh().host_key_line)).unwrap();
    let look = Look {
        url: &repo.url,
        credential: &format!("key {}", key.display()),
        known_hosts: &known,
        authority: None,
        environment: &[],
        home: home.path(),
    };
    assert_eq!(look.result(), "ok");
}

fn certified(principals: &str, validity: &str) -> GitHost {
    let certificate = Some(HostCertificate { principals, validity });
    GitHost::ssh_with(&SshSetup { certificate, ..SshSetup::default() }).unwrap()
}

#[test]
fn case_03_an_authority_vouches_for_the_servers_it_signed() {
    let host = certified("git.example,127.0.0.1", "-5m:+1h");
    let address = url(&host.create_repo("certified").unwrap().url);
    let dir = tempfile::tempdir().unwrap();
    look(&host, &address, &dir, &host.host_authority_line).unwrap();
    let anywhere = host.host_authority_line.split_once(' ').unwrap().1.split_once(' ').unwrap().1.to_owned();
    look(&host, &address, &dir, &format!("@cert-authority * {anywhere}")).unwrap();

    // The key in the certificate is the server's key, for those who know it, and for those who meet it first.
    look(&host, &address, &dir, &host.host_key_line).unwrap();
    let seen = unknown(look(&host, &address, &dir, ""));
    assert_eq!((seen.line.as_str(), seen.algorithm.as_str()), (host.host_key_line.as_str(), "ssh-ed25519"));
    look(&host, &address, &dir, &seen.line).unwrap();

    let other = generate_ed25519("x").unwrap().public_openssh;
    let seen = unknown(look(&host, &address, &dir, &format!("@cert-authority * {other}")));
    assert!(seen.note.is_some_and(|note| note.contains("another authority")));
    // An authority's key is no host's key.
    assert!(matches!(
        look(&host, &address, &dir, &format!("[127.0.0.1]:{} {anywhere}", host.port())),
        Err(Error::HostKeyChanged { .. })
    ));
    for revoked in [format!("@revoked * {anywhere}"), format!("@revoked {}", host.host_key_line)] {
        let error = look(&host, &address, &dir, &format!("{}\n{revoked}", host.host_authority_line)).unwrap_err();
        assert!(matches!(error, Error::HostKeyRevoked { .. }), "{error:?}");
    }
}

#[test]
fn case_03_a_certificate_for_others_or_out_of_its_time_vouches_for_nothing() {
    for (principals, validity, word) in
        [("git.example", "-5m:+1h", "for git.example"), ("127.0.0.1", "20200101:20210101", "run out")]
    {
        let host = certified(principals, validity);
        let address = url(&host.create_repo("certified").unwrap().url);
        let dir = tempfile::tempdir().unwrap();
        let seen = unknown(look(&host, &address, &dir, &host.host_authority_line));
        assert!(seen.note.as_ref().is_some_and(|note| note.contains(word)), "{seen:?}");
    }
}
