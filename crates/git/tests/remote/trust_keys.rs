//! Kinds and forms of SSH keys, the server's and ours, and their passphrases.

use std::process::Command;

use pilothouse_git::{Access, Error, KnownHosts, RemoteUrl, generate_ed25519, inspect_private_key, probe};
use pilothouse_rig::git_host::{GitHost, SshSetup};
use secrecy::ExposeSecret;

use crate::stage::*;

const MODERN: &str = "PubkeyAcceptedAlgorithms ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,\
                      ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256\n";

#[test]
fn case_04_every_usual_kind_of_key_logs_in_without_sha1() {
    // The server takes RSA keys with SHA-2 only.
    let host = GitHost::ssh_with(&SshSetup { settings: MODERN, ..SshSetup::default() }).unwrap();
    let address = url(&host.create_repo("kinds").unwrap().url);
    let dir = tempfile::tempdir().unwrap();
    let hosts = known(&dir, &host.host_key_line);
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
        let key = host.new_client_key(options).unwrap();
        inspect_private_key(&secret(&key), None).unwrap_or_else(|error| panic!("{options:?}: {error}"));
        let access = Access::new(&address, ssh_key(&key, None), hosts.clone());
        probe(&address, &access).unwrap_or_else(|error| panic!("{options:?}: {error}"));
    }
    let pair = generate_ed25519("pilothouse").unwrap();
    host.authorize_line(&pair.public_openssh).unwrap();
    let access = Access::new(&address, ssh_key(pair.private_openssh.expose_secret(), None), hosts);
    probe(&address, &access).unwrap();
}

/// RSA keys are never used with SHA-1, and the message says that this may be what the server waits for.
#[test]
fn case_04_a_server_that_takes_rsa_only_with_sha1_is_named_as_such() {
    let setup = SshSetup { settings: "PubkeyAcceptedAlgorithms ssh-rsa\n", ..SshSetup::default() };
    let host = GitHost::ssh_with(&setup).unwrap();
    let address = url(&host.create_repo("old").unwrap().url);
    let dir = tempfile::tempdir().unwrap();
    let hosts = known(&dir, &host.host_key_line);
    let key = host.new_client_key(&["-t", "rsa", "-b", "3072", "-N", ""]).unwrap();
    for key in [key.as_str(), host.client_private_key.as_str()] {
        let error = probe(&address, &Access::new(&address, ssh_key(key, None), hosts.clone())).unwrap_err();
        assert!(matches!(error, Error::Auth { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("SHA-1") && text.contains("ed25519"), "{text}");
    }
}

#[test]
fn case_04_servers_with_every_kind_of_host_key_are_met_and_known_again() {
    for (options, algorithm) in [
        (&["-t", "ecdsa", "-b", "256", "-N", ""][..], "ecdsa-sha2-nistp256"),
        (&["-t", "ecdsa", "-b", "384", "-N", ""], "ecdsa-sha2-nistp384"),
        (&["-t", "ecdsa", "-b", "521", "-N", ""], "ecdsa-sha2-nistp521"),
        (&["-t", "rsa", "-b", "3072", "-N", ""], "ssh-rsa"),
    ] {
        let settings = if algorithm == "ssh-rsa" { "HostKeyAlgorithms rsa-sha2-512,rsa-sha2-256\n" } else { "" };
        let setup = SshSetup { host_key: options, settings, ..SshSetup::default() };
        let host = GitHost::ssh_with(&setup).unwrap();
        let address = url(&host.create_repo("kind").unwrap().url);
        let dir = tempfile::tempdir().unwrap();
        let hosts = KnownHosts::new(dir.path().join("own"), Vec::new());
        let access = Access::new(&address, ssh_key(&host.client_private_key, None), hosts.clone());
        let Err(Error::HostKeyUnknown(shown)) = probe(&address, &access) else { panic!("must be unknown") };
        assert_eq!((shown.algorithm.as_str(), shown.line.as_str()), (algorithm, host.host_key_line.as_str()));
        hosts.accept(&shown).unwrap();
        probe(&address, &access).unwrap_or_else(|error| panic!("{algorithm}: {error}"));
    }
}

#[test]
fn case_05_an_encrypted_key_needs_its_passphrase() {
    let address = url(&ssh().create_repo("passphrase").unwrap().url);
    let elliptic = &["-t", "ecdsa", "-b", "521", "-N", "seeded-pass", "-a", "4"][..];
    for options in [
        elliptic,
        elliptic,
        elliptic,
        &["-t", "ed25519", "-N", "seeded-pass", "-a", "4"][..],
        &["-t", "rsa", "-b", "3072", "-N", "seeded-pass", "-a", "4"],
    ] {
        let key = ssh().new_client_key(options).unwrap();
        opens_only_with_its_passphrase(&address, &key, &format!("{options:?}"));
    }
}

/// A key whose passphrase is `seeded-pass`, and which the server lets in.
fn opens_only_with_its_passphrase(address: &RemoteUrl, key: &str, what: &str) {
    let dir = tempfile::tempdir().unwrap();
    let hosts = known(&dir, &ssh().host_key_line);
    let look = |passphrase| probe(address, &Access::new(address, ssh_key(key, passphrase), hosts.clone()));
    look(Some("seeded-pass")).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(inspect_private_key(&secret(key), Some(&secret("seeded-pass"))).unwrap().encrypted);
    for (passphrase, wanted) in [(Some("seeded-wrong"), true), (Some(""), false), (None, false)] {
        let error = look(passphrase).unwrap_err();
        assert!(matches!(error, Error::Passphrase { given } if given == wanted), "{what} {passphrase:?}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("seeded"));
    }
    // What other programs of this machine see of this one.
    for name in ["cmdline", "environ"] {
        let seen = std::fs::read(format!("/proc/self/{name}")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&seen).contains("seeded-pass"), "{name}");
    }
}

#[test]
fn case_05_keys_in_the_older_forms_open_too() {
    let address = url(&ssh().create_repo("forms").unwrap().url);
    let kinds = [
        &["-t", "rsa", "-b", "2048"][..],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "ecdsa", "-b", "521"],
    ];
    let dir = tempfile::tempdir().unwrap();
    let hosts = known(&dir, &ssh().host_key_line);
    for kind in kinds {
        for form in ["PEM", "PKCS8"] {
            for passphrase in ["", "seeded-pass"] {
                let options: Vec<&str> = kind.iter().copied().chain(["-m", form, "-N", passphrase]).collect();
                let key = ssh().new_client_key(&options).unwrap();
                assert!(!key.contains("OPENSSH"), "{options:?}");
                if passphrase.is_empty() {
                    let access = Access::new(&address, ssh_key(&key, None), hosts.clone());
                    probe(&address, &access).unwrap_or_else(|error| panic!("{options:?}: {error}"));
                } else {
                    opens_only_with_its_passphrase(&address, &key, &format!("{options:?}"));
                }
            }
        }
    }
}

/// OpenSSL's own ways to write keys, among them those of ed25519 keys that `ssh-keygen` does not write.
#[test]
fn case_05_keys_that_openssl_wrote_open_too() {
    let address = url(&ssh().create_repo("openssl").unwrap().url);
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain.pem");
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", "plain.pem"]);
    let text = std::fs::read_to_string(&plain).unwrap();
    let info = inspect_private_key(&secret(&text), None).unwrap();
    assert_eq!((info.algorithm.as_str(), info.encrypted), ("ssh-ed25519", false));
    ssh().authorize_line(&info.public_openssh).unwrap();
    let hosts = known(&dir, &ssh().host_key_line);
    probe(&address, &Access::new(&address, ssh_key(&text, None), hosts)).unwrap();

    let sealing: [&[&str]; 4] = [
        &["-v2", "aes-256-cbc"],
        &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"],
        &["-v2", "des3"],
        &["-scrypt", "-scrypt_N", "1024"],
    ];
    for options in sealing {
        let mut arguments = vec!["pkcs8", "-topk8", "-in", "plain.pem", "-out", "sealed.pem"];
        arguments.extend(["-passout", "pass:seeded-pass"]);
        arguments.extend(options);
        openssl(&arguments);
        let sealed = std::fs::read_to_string(dir.path().join("sealed.pem")).unwrap();
        assert!(sealed.contains("ENCRYPTED"));
        opens_only_with_its_passphrase(&address, &sealed, &format!("{options:?}"));
    }

    openssl(&["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.pem"]);
    let rsa = std::fs::read_to_string(dir.path().join("rsa.pem")).unwrap();
    let info = inspect_private_key(&secret(&rsa), None).unwrap();
    ssh().authorize_line(&info.public_openssh).unwrap();
    for cipher in ["-aes128", "-aes192", "-aes256", "-des3"] {
        openssl(&["rsa", "-traditional", cipher, "-in", "rsa.pem", "-out", "old.pem", "-passout", "pass:seeded-pass"]);
        let sealed = std::fs::read_to_string(dir.path().join("old.pem")).unwrap();
        assert!(sealed.contains("DEK-Info"));
        opens_only_with_its_passphrase(&address, &sealed, cipher);
    }
}
