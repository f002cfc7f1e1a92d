//! HTTPS: who the server is, who we are, and where the token goes.

use std::sync::Arc;

use pilothouse_git::{Access, BareClone, Credential, Error, KnownHosts, probe, probe_push};
use pilothouse_rig::git_host::Answer;

use crate::stage::*;

#[test]
fn a_look_shows_branches_and_the_default_one() {
    let repo = https().create_empty_repo("look").unwrap();
    let address = url(&repo.url);
    let empty = probe(&address, &https_access(&address)).unwrap();
    assert!(empty.empty && empty.branches.is_empty() && empty.default_branch.is_none());

    repo.push_file_to("trunk", "a", "a", "First").unwrap();
    repo.push_file_to("other", "b", "b", "Second").unwrap();
    repo.set_default_branch("trunk").unwrap();
    let refs = probe(&address, &https_access(&address)).unwrap();
    assert_eq!(refs.default_branch.as_deref(), Some("trunk"));
    assert_eq!(refs.branches.iter().map(|branch| branch.name.as_str()).collect::<Vec<_>>(), ["other", "trunk"]);
    assert_eq!(refs.branches[1].commit.to_string(), repo.tip("trunk").unwrap());

    let tip = repo.tip("trunk").unwrap();
    repo.git(&["update-ref", "--no-deref", "HEAD", &tip]).unwrap();
    assert_eq!(probe(&address, &https_access(&address)).unwrap().default_branch, None, "a detached HEAD names none");
}

#[test]
fn case_15_a_wrong_token_is_told_at_once_and_not_repeated() {
    let repo = https().create_repo("wrong-token").unwrap();
    let address = url(&repo.url);
    let credential = Credential::Token { username: "rig-user".into(), token: secret("seeded-secret-1") };
    let access = Access::new(&address, credential, KnownHosts::default()).with_authority(https().ca_pem.clone());
    let error = probe(&address, &access).unwrap_err();
    assert!(matches!(error, Error::Auth { .. }), "{error:?}");
    assert_eq!(error.code(), "git.auth");
    let text = format!("{error} {error:?}");
    assert!(!text.contains("seeded-secret-1") && !text.contains("c2VlZGVkLXNlY3JldC0x"), "{text}");
    let asked = https().requests().iter().filter(|request| request.target.contains("/wrong-token")).count();
    assert_eq!(asked, 2, "one request without the token, one with it");

    let nothing = Access::new(&address, Credential::None, KnownHosts::default()).with_authority(https().ca_pem.clone());
    assert!(matches!(probe(&address, &nothing), Err(Error::Auth { .. })));
    let key = Access { credential: ssh_key(&ssh().client_private_key, None), ..nothing };
    assert!(matches!(probe(&address, &key), Err(Error::Auth { .. })));
}

#[test]
fn case_13_the_token_stays_out_of_the_clone() {
    let repo = https().create_repo("no-trace").unwrap();
    let desk = Desk::of(&repo);
    desk.clone.fetch(&desk.access, "main").unwrap();
    let mut folders = vec![desk.folder()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
                assert!(!text.contains(&https().token), "{:?}", entry.path());
            }
        }
    }
}

#[test]
fn case_15_servers_that_say_no_are_told_apart() {
    let at = |name: &str| url(&format!("https://127.0.0.1:{}/{name}/x.git", https().port()));
    let look = |name: &str, answer: Answer| {
        https().answer(&format!("/{name}/"), answer);
        probe(&at(name), &https_access(&at(name))).unwrap_err()
    };
    let error = look("forbidden", Answer::Status(403));
    assert!(matches!(error, Error::Forbidden { .. }), "{error:?}");
    let error = look("gone", Answer::Status(404));
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    let error = look("broken", Answer::Status(500));
    assert!(matches!(&error, Error::Network { words, .. } if words.contains("500")), "{error:?}");
    let error = look("busy", Answer::Status(429));
    assert!(matches!(&error, Error::RateLimited { words, .. } if words.contains("429")), "{error:?}");
    let error = look("portal", Answer::Page);
    assert!(matches!(&error, Error::Network { words, .. } if words.contains("Git server")), "{error:?}");
    let error = look("locked", Answer::Locked);
    assert!(matches!(error, Error::Auth { .. }), "{error:?}");
    let absent = url(&format!("https://127.0.0.1:{}/absent.git", https().port()));
    let error = probe(&absent, &https_access(&absent)).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");

    let repo = https().create_repo("readers").unwrap();
    https().answer("/readers.git", Answer::ReadOnly);
    let address = url(&repo.url);
    assert!(probe(&address, &https_access(&address)).is_ok());
    assert!(matches!(probe_push(&address, &https_access(&address)), Err(Error::Forbidden { .. })));
    let desk = Desk::of(&repo);
    let error = desk.publish("main", desk.change("main", "x", Some("y"))).unwrap_err();
    assert!(matches!(error, Error::Forbidden { .. }), "{error:?}");
}

#[test]
fn nobody_there_is_a_network_error() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = url(&format!("https://127.0.0.1:{port}/x.git"));
    assert!(matches!(probe(&address, &https_access(&address)), Err(Error::Network { .. })));
    let address = url(&format!("ssh://git@127.0.0.1:{port}/x.git"));
    let access = Access::new(&address, ssh_key(&ssh().client_private_key, None), KnownHosts::default());
    assert!(matches!(probe(&address, &access), Err(Error::Network { .. })));
}

#[test]
fn a_silent_server_is_given_up_and_an_unwanted_one_left() {
    https().answer("/silence/", Answer::Silence);
    let address = url(&format!("https://127.0.0.1:{}/silence/x.git", https().port()));
    let access = https_access(&address);
    assert!(matches!(probe(&address, &impatient(access.clone())), Err(Error::Timeout { .. })));
    // The certificate is the first sign of life; after it, nothing more would ever come.
    assert!(matches!(probe(&address, &watched(&access, Arc::new(StopLater::default()))), Err(Error::Cancelled)));
    assert!(matches!(probe(&address, &watched(&access, Arc::new(Stop))), Err(Error::Cancelled)));

    // The clone is free again after a conversation was left behind.
    let dir = tempfile::tempdir().unwrap();
    let clone = BareClone::open_or_create(&dir.path().join("c"), &address).unwrap();
    for _ in 0..2 {
        assert!(matches!(clone.fetch(&impatient(access.clone()), "main"), Err(Error::Timeout { .. })));
    }
}
