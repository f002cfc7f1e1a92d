//! Where a token goes, and what becomes of it: never over plain HTTP, never elsewhere, never kept in an address.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pilothouse_git::{Access, BareClone, Credential, Error, KnownHosts, PublishOutcome, RemoteUrl, probe, probe_push};
use pilothouse_rig::git_host::{Answer, GitHost};
use secrecy::ExposeSecret;

use crate::stage::*;

#[test]
fn case_10_a_token_does_not_go_over_plain_http() {
    for text in ["http://git.example/o/r.git", "http://127.0.0.1.example/o/r", "HTTP://git.example/r"] {
        let error = RemoteUrl::parse(text).unwrap_err();
        assert!(matches!(&error, Error::BadUrl { why } if why.contains("https://")), "{text}: {error:?}");
    }
    // A server that sends its visitors from https to http: nobody comes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&came);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    });
    https().answer("/downgrade/", Answer::Redirect(format!("http://127.0.0.1:{port}/")));
    let address = url(&format!("https://127.0.0.1:{}/downgrade/x.git", https().port()));
    for look in [probe, probe_push] {
        let error = look(&address, &https_access(&address)).unwrap_err();
        assert!(matches!(error, Error::Redirected { .. }), "{error:?}");
    }
    assert_eq!(came.load(Ordering::Acquire), 0);
}

#[test]
fn case_10_a_token_goes_to_no_other_server() {
    let elsewhere = GitHost::https().unwrap();
    let repo = https().create_repo("redirected").unwrap();
    let there = elsewhere.create_repo("redirected").unwrap();
    let address = url(&format!("https://127.0.0.1:{}/away/redirected.git", https().port()));
    // Another name, and the same name on another port.
    for name in ["localhost", "127.0.0.1"] {
        let base = there.url.replace("127.0.0.1", name).replace("redirected.git", "");
        https().answer("/away/", Answer::Redirect(base));
        let mut pem = https().ca_pem.clone();
        pem.push_str(&elsewhere.ca_pem);
        let access = https_access(&address).with_authority(pem);
        let dir = tempfile::tempdir().unwrap();
        let clone = BareClone::open_or_create(&dir.path().join("c"), &address).unwrap();
        for error in [probe(&address, &access).unwrap_err(), clone.fetch(&access, "main").unwrap_err()] {
            assert!(matches!(error, Error::Redirected { .. } | Error::CredentialHost { .. }), "{name}: {error:?}");
        }
        assert!(elsewhere.requests().iter().all(|request| request.authorization.is_none()), "{name}");
    }

    // A credential of another server, or of another port of this one, is not even tried.
    let other = url(&repo.url);
    for bound in ["git.example", "127.0.0.1", "127.0.0.1:443", ""] {
        let access = Access { bound_host: bound.into(), ..https_access(&other) };
        let error = probe(&other, &access).unwrap_err();
        assert!(matches!(error, Error::CredentialHost { .. }), "{bound}: {error:?}");
    }
    let sent = https().requests().into_iter().filter(|request| request.target.starts_with("/away/"));
    assert!(sent.clone().count() > 0 && sent.clone().all(|request| request.authorization.is_none()));

    // A server that moves a repository within itself is followed.
    let moved = url(&format!("https://127.0.0.1:{}/old/redirected.git", https().port()));
    https().answer("/old/", Answer::Redirect(format!("https://127.0.0.1:{}/", https().port())));
    assert_eq!(probe(&moved, &https_access(&moved)).unwrap().branches.len(), 1);
}

#[test]
fn case_11_a_token_in_a_typed_address_is_parted_from_it() {
    let repo = https().create_repo("typed").unwrap();
    let typed = repo.url.replace("https://", &format!("https://{}:{}@", https().username, https().token));
    let error = RemoteUrl::parse(&typed).unwrap_err();
    assert!(matches!(error, Error::SecretInUrl) && error.code() == "git.secret_in_url");
    assert!(!format!("{error} {error:?}").contains(&https().token));

    let parted = RemoteUrl::part_secret(&typed).unwrap();
    assert!(!format!("{parted:?}").contains(&https().token));
    assert_eq!(parted.url.as_str(), repo.url);
    let credential = Credential::Token { username: parted.username, token: parted.secret };
    let access = Access::new(&parted.url, credential, KnownHosts::default()).with_authority(https().ca_pem.clone());
    probe(&parted.url, &access).unwrap();

    for (typed, kept, username, token) in [
        ("https://me:p%40ss%2Fword@h.example/r.git", "https://h.example/r.git", "me", "p@ss/word"),
        ("https://:tok@h.example/r", "https://h.example/r", "", "tok"),
        ("https://me:a@b@h.example/r", "https://h.example/r", "me", "a@b"),
        ("https://ghp_abc@github.com/o/r", "https://github.com/o/r", "", "ghp_abc"),
        ("ssh://git:word@h.example:2222/r", "ssh://git@h.example:2222/r", "git", "word"),
        ("git:word@h.example:o/r.git", "git@h.example:o/r.git", "git", "word"),
    ] {
        let parted = RemoteUrl::part_secret(typed).unwrap_or_else(|| panic!("{typed}"));
        let found = (parted.url.as_str(), parted.username.as_str(), parted.secret.expose_secret());
        assert_eq!(found, (kept, username, token), "{typed}");
    }
    for typed in ["https://h.example/r", "https://me@h.example/r", "git@h.example:o/r", "ext::x:y@h", "https://a:b@/r"]
    {
        assert!(RemoteUrl::part_secret(typed).is_none(), "{typed}");
    }
}

#[test]
fn case_15_a_token_revoked_in_the_middle_is_told_and_nothing_is_lost() {
    let repo = https().create_repo("revoked").unwrap();
    let desk = Desk::of(&repo);
    desk.clone.fetch(&desk.access, "main").unwrap();
    let change = desk.change("main", "x", Some("y"));
    https().answer("/revoked.git", Answer::Locked);
    let tip = repo.tip("main");
    for error in [
        desk.clone.fetch(&desk.access, "main").unwrap_err(),
        desk.publish("main", change).unwrap_err(),
        probe_push(&url(&repo.url), &desk.access).unwrap_err(),
    ] {
        assert_eq!(error.code(), "git.auth", "{error:?}");
        assert!(error.to_string().contains("expired or been revoked"), "{error}");
    }
    assert_eq!(repo.tip("main"), tip);
    assert!(desk.clone.tip("main").unwrap().is_some(), "what was read before is still there");
    // With a good token again, the same change goes out.
    https().answer("/again/", Answer::Alias);
    let again = Desk::at(&repo.url.replace("/revoked.git", "/again/revoked.git"));
    again.clone.fetch(&again.access, "main").unwrap();
    let outcome = again.publish("main", again.change("main", "x", Some("y"))).unwrap();
    assert!(matches!(outcome, PublishOutcome::Published { .. }), "{outcome:?}");
}

#[test]
fn case_15_refusals_are_told_apart_with_the_next_step() {
    for (status, code, step) in [
        (401, "git.auth", "make a new one"),
        (403, "git.forbidden", "scopes"),
        (404, "git.not_found", "check the address"),
        (410, "git.not_found", "check the address"),
    ] {
        let answer = if status == 401 { Answer::Locked } else { Answer::Status(status) };
        https().answer(&format!("/says-{status}/"), answer);
        let address = url(&format!("https://127.0.0.1:{}/says-{status}/x.git", https().port()));
        for look in [probe, probe_push] {
            let error = look(&address, &https_access(&address)).unwrap_err();
            assert_eq!(error.code(), code, "{error:?}");
            assert!(error.to_string().contains(step), "{error}");
        }
    }
}
