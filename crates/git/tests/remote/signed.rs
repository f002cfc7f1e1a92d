//! Commits signed with an SSH key, as git and ssh-keygen see them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use pilothouse_git::{Error, SigningKey, generate_ed25519};
use secrecy::SecretString;

use crate::stage::{Desk, https, request};

fn key(dir: &Path, name: &str, options: &[&str]) -> (SecretString, String) {
    let file = dir.join(name);
    let made =
        Command::new("ssh-keygen").args(["-q", "-C", "ada"]).args(options).arg("-f").arg(&file).status().unwrap();
    assert!(made.success());
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    (SecretString::from(read(&file)), read(&file.with_extension("pub")))
}

/// Git's own look at a commit, by keys that this person is known to have.
fn git_verifies(repo: &Path, commit: &str, signers: &Path) -> Result<String, Box<str>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(repo)
        .args(["-c", "gpg.format=ssh", "-c"])
        .arg(format!("gpg.ssh.allowedSignersFile={}", signers.display()))
        .args(["verify-commit", "-v", commit])
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(words) } else { Err(words.into()) }
}

#[test]
fn git_and_ssh_keygen_verify_what_was_signed() {
    let dir = tempfile::tempdir().unwrap();
    let made = generate_ed25519("ada").unwrap();
    let pass = SecretString::from("open sesame".to_owned());
    let (rsa, rsa_public) = key(dir.path(), "rsa", &["-t", "rsa", "-b", "3072", "-N", ""]);
    let (ecdsa, ecdsa_public) = key(dir.path(), "ecdsa", &["-t", "ecdsa", "-N", ""]);
    let (locked, locked_public) = key(dir.path(), "locked", &["-t", "ed25519", "-N", "open sesame"]);
    let refused = SigningKey::open(&locked, None);
    assert!(matches!(refused, Err(Error::Passphrase { .. })), "{refused:?}");

    let keys = [
        (made.private_openssh, made.public_openssh, None),
        (rsa, rsa_public, None),
        (ecdsa, ecdsa_public, None),
        (locked, locked_public, Some(&pass)),
    ];
    for (at, (private, public, passphrase)) in keys.into_iter().enumerate() {
        let signer = SigningKey::open(&private, passphrase).unwrap();
        assert!(!format!("{signer:?}").contains("PRIVATE"));
        let repo = https().create_repo(&format!("signed/{at}")).unwrap();
        let desk = Desk::of(&repo);
        let clone = desk.clone.clone().signed_by(Some(signer));
        clone.fetch(&desk.access, "main").unwrap();
        let change = desk.change("main", "values.yaml", Some("replicas: 2\n"));
        clone.publish(&desk.access, "main", &request(vec![change])).unwrap();
        let tip = repo.tip("main").unwrap();

        let signers = dir.path().join(format!("signers-{at}"));
        std::fs::write(&signers, format!("pilot@example.test {public}\n")).unwrap();
        let words = git_verifies(&repo.path, &tip, &signers).unwrap();
        assert!(words.contains("Good \"git\" signature for pilot@example.test"), "{words}");
        // Another's key does not vouch for it.
        let other = generate_ed25519("eve").unwrap().public_openssh;
        let strangers = dir.path().join("strangers");
        std::fs::write(&strangers, format!("pilot@example.test {other}\n")).unwrap();
        assert!(git_verifies(&repo.path, &tip, &strangers).is_err());
        // The one before it, which the server's maker wrote, has none.
        assert!(git_verifies(&repo.path, &format!("{tip}~1"), &signers).is_err());

        ssh_keygen_verifies(&repo.git(&["cat-file", "commit", &tip]).unwrap(), &signers, dir.path());
    }
}

/// Takes the signature out of the commit, as git does, and has ssh-keygen look at the rest.
fn ssh_keygen_verifies(commit: &str, signers: &Path, dir: &Path) {
    let (mut signature, mut signed, mut inside) = (String::new(), String::new(), false);
    for line in format!("{commit}\n").split_inclusive('\n') {
        if let Some(first) = line.strip_prefix("gpgsig ") {
            (inside, signature) = (true, first.to_owned());
        } else if let Some(more) = line.strip_prefix(' ').filter(|_| inside) {
            signature.push_str(more);
        } else {
            inside = false;
            signed.push_str(line);
        }
    }
    let file = dir.join("signature");
    std::fs::write(&file, &signature).unwrap();
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-n", "git", "-I", "pilot@example.test", "-f"])
        .arg(signers)
        .arg("-s")
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(signed.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{signature}\n{signed}");
}
