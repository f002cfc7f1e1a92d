//! Servers that say no: once, in their own words, each with a code of its own and the next step.

use pilothouse_git::{Error, PublishOutcome, probe_push};
use pilothouse_rig::git_host::{Answer, GitHost, RepoHandle};

use crate::stage::*;

/// One refused push: the server's branch and the clone stay as they were, and the server is asked once.
fn refused(repo: &RepoHandle, code: &str, words: &str) -> Error {
    let desk = Desk::of(repo);
    desk.clone.fetch(&desk.access, "main").unwrap();
    let before = repo.tip("main");
    let error = desk.publish("main", desk.change("main", "x.yaml", Some("x: 1\n"))).unwrap_err();
    assert_eq!(error.code(), code, "{error:?}");
    assert!(error.to_string().contains(words), "{words:?} in {error}");
    assert!(error.hint().is_some_and(|hint| hint.len() > 10), "{error}");
    assert_eq!(
        (repo.tip("main"), desk.clone.tip("main").unwrap().map(|tip| tip.to_string())),
        (before.clone(), before)
    );
    assert!(desk.clone.rescues().unwrap().is_empty(), "a refused push leaves nothing behind");
    error
}

#[test]
fn case_33_a_repository_that_was_archived_or_is_not_for_us_is_named_as_such() {
    for host in [https(), ssh()] {
        for (name, words, code) in [
            ("archived", "This repository was archived so it is read-only.", "git.archived"),
            ("gitlab-archived", "You can't push code to an archived project.", "git.archived"),
            ("denied", "Permission to o/r.git denied to somebody.", "git.forbidden"),
            ("project", "You are not allowed to push code to this project.", "git.forbidden"),
            ("deploy-key", "The key you are authenticating with has been marked as read only.", "git.forbidden"),
        ] {
            let repo = host.create_repo(name).unwrap();
            repo.refuse_pushes(Some(&format!("ERROR: {words}"))).unwrap();
            refused(&repo, code, words);
            let desk = Desk::of(&repo);
            assert_eq!(probe_push(desk.clone.url(), &desk.access).unwrap_err().code(), code);
            assert!(desk.clone.fetch(&desk.access, "main").unwrap().tip.is_some(), "reading goes on");
            // Once it takes pushes again, the same change goes through.
            repo.refuse_pushes(None).unwrap();
            let outcome = desk.publish("main", desk.change("main", "x.yaml", Some("x: 1\n"))).unwrap();
            assert!(matches!(outcome, PublishOutcome::Published { .. }));
        }
    }
}

#[test]
fn case_34_rules_and_hooks_of_the_large_hosts_are_told_in_their_own_words() {
    for host in [https(), ssh()] {
        for (name, words, code) in [
            ("gh006", "error: GH006: Protected branch update failed for refs/heads/main.", "git.protected_branch"),
            ("gh013", "- Changes must be made through a pull request.", "git.protected_branch"),
            (
                "gitlab",
                "GitLab: You are not allowed to push code to protected branches on this project.",
                "git.protected_branch",
            ),
            ("bitbucket", "Permission denied to update branch main.", "git.protected_branch"),
            ("gerrit", "prohibited by Gerrit: not permitted: update", "git.protected_branch"),
            ("signed", "- Commits must have verified signatures.", "git.signature_required"),
            ("gh001", "error: GH001: Large files detected.", "git.push_too_large"),
            ("size", "GitLab: File \"a\" is larger than the allowed size of 5 MiB.", "git.push_too_large"),
            ("secret", "- Push cannot contain secrets", "git.secret_found"),
            ("ticket", "Name a ticket in the message, please.", "git.hook_refused"),
        ] {
            let repo = host.create_repo(&format!("rule-{name}")).unwrap();
            let script = "#!/bin/sh\necho asked >> asked\ncat words >&2\nexit 1\n";
            std::fs::write(repo.path.join("words"), format!("\u{1b}[31m{words}\u{1b}[0m\n")).unwrap();
            repo.install_hook(if name.starts_with('g') { "update" } else { "pre-receive" }, script).unwrap();
            refused(&repo, code, words);
            assert_eq!(std::fs::read_to_string(repo.path.join("asked")).unwrap(), "asked\n", "no second try");
        }
    }
}

#[test]
fn case_34_a_push_larger_than_the_server_takes_is_told() {
    for host in [https(), ssh()] {
        let repo = host.create_repo("max-input").unwrap();
        repo.git(&["config", "receive.maxInputSize", "2000"]).unwrap();
        let desk = Desk::of(&repo);
        let noise: String = (0..20_000).map(|_| fastrand::alphanumeric()).collect();
        let error = desk.publish("main", desk.change("main", "big.yaml", Some(&noise))).unwrap_err();
        assert_eq!(error.code(), "git.push_too_large", "{error:?}");
        assert_eq!(repo.show("main", "big.yaml"), None);
        let outcome = desk.publish("main", desk.change("main", "small.yaml", Some("a: 1\n"))).unwrap();
        assert!(matches!(outcome, PublishOutcome::Published { .. }));
    }
}

#[test]
fn case_33_a_token_that_expired_or_was_revoked_is_an_auth_error_and_not_a_forbidden_one() {
    let host = GitHost::https().unwrap();
    let repo = host.create_repo("expired").unwrap();
    let address = url(&repo.url);
    let access =
        pilothouse_git::Access::new(&address, token(&host), Default::default()).with_authority(host.ca_pem.clone());
    let dir = tempfile::tempdir().unwrap();
    let clone = pilothouse_git::BareClone::open_or_create(&dir.path().join("c"), &address).unwrap();
    clone.fetch(&access, "main").unwrap();
    let desk = Desk { dir, clone, access };
    let change = desk.change("main", "x", Some("y"));
    // Between the reading and the pushing.
    host.answer("/expired.git/info/refs?service=git-receive-pack", Answer::Locked);
    let error = desk.publish("main", change.clone()).unwrap_err();
    assert_eq!(error.code(), "git.auth", "{error:?}");
    assert!(error.hint().is_some());
    host.answer("/expired.git", Answer::Locked);
    assert_eq!(desk.publish("main", change).unwrap_err().code(), "git.auth");
    assert_eq!(repo.commits("main").unwrap(), 1);
}

#[test]
fn case_35_a_server_in_trouble_says_when_to_come_back() {
    let repo = https().create_repo("trouble").unwrap();
    let at = |name: &str| Desk::at(&format!("https://127.0.0.1:{}/{name}/trouble.git", https().port()));
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let words = |status, headers, text: &str| Answer::Words(status, headers, text.to_owned());
    for (name, answer, code, said, retry) in [
        ("t500", words(500, Vec::new(), "boom"), "git.network", "500", None),
        ("t502", words(502, Vec::new(), ""), "git.network", "502", None),
        ("t429", words(429, header("Retry-After", "7"), "slow down"), "git.rate_limited", "slow down", Some(7)),
        ("t429-bare", words(429, Vec::new(), ""), "git.rate_limited", "429", None),
        ("t503", words(503, header("Retry-After", "30"), "maintenance"), "git.rate_limited", "maintenance", Some(30)),
        ("portal", Answer::Page, "git.network", "Git server", None),
    ] {
        let whole = format!("/{name}/");
        let pushing = format!("/{name}/trouble.git/info/refs?service=git-receive-pack");
        // First for everything, then for pushes only: the longer address wins.
        for prefix in [whole.clone(), pushing] {
            let desk = at(name);
            https().answer(&whole, Answer::Alias);
            desk.clone.fetch(&desk.access, "main").unwrap();
            let change = desk.change("main", &format!("{name}.yaml"), Some("a: 1\n"));
            https().answer(&prefix, answer.clone());
            let before = repo.tip("main");
            let error = desk.publish("main", change.clone()).unwrap_err();
            assert_eq!(error.code(), code, "{name}: {error:?}");
            assert!(error.to_string().contains(said), "{name}: {error}");
            if code == "git.rate_limited" {
                let Error::RateLimited { retry_after, .. } = &error else { panic!("{error:?}") };
                assert_eq!(*retry_after, retry, "{name}");
                let hint = error.hint().unwrap();
                assert!(retry.is_none_or(|seconds| hint.contains(&format!("{seconds} s"))), "{hint}");
            }
            assert_eq!(repo.tip("main"), before);
        }
    }
}

#[test]
fn case_35_a_name_that_nobody_knows_is_a_network_error() {
    for text in ["https://no-such-host.invalid/o/r.git", "ssh://git@no-such-host.invalid/o/r.git"] {
        let desk = Desk::at(text);
        let error = desk.clone.fetch(&desk.access, "main").unwrap_err();
        assert_eq!(error.code(), "git.network", "{error:?}");
        assert!(error.to_string().contains("no-such-host.invalid"));
    }
}
