//! Pushes the server does not want: told once, in its own words.

use pilothouse_git::{Error, PublishOutcome};

use crate::stage::*;

#[test]
fn case_34_a_hooks_words_are_told_and_it_is_asked_once() {
    for (host, name) in [(https(), "hook"), (ssh(), "hook")] {
        let repo = host.create_repo(name).unwrap();
        repo.install_hook(
            "pre-receive",
            "#!/bin/sh\necho asked >> asked\nprintf 'Sign your \\033[31mcommits\\033[0m, please\\n' >&2\nexit 1\n",
        )
        .unwrap();
        let desk = Desk::of(&repo);
        desk.clone.fetch(&desk.access, "main").unwrap();
        let tip = repo.tip("main");
        let error = desk.publish("main", desk.change("main", "x", Some("y"))).unwrap_err();
        let Error::HookRefused { branch, words } = &error else { panic!("{error:?}") };
        assert_eq!(branch, "main");
        assert!(words.contains("Sign your commits, please") && !words.contains('\u{1b}'), "{words:?}");
        assert_eq!(std::fs::read_to_string(repo.path.join("asked")).unwrap(), "asked\n", "no second try");
        assert_eq!(repo.tip("main"), tip);
        assert!(desk.clone.rescues().unwrap().is_empty());
        repo.remove_hook("pre-receive").unwrap();
        let outcome = desk.publish("main", desk.change("main", "x", Some("y"))).unwrap();
        assert!(matches!(outcome, PublishOutcome::Published { .. }));
    }
}

#[test]
fn case_34_a_flood_of_words_is_cut() {
    let repo = https().create_repo("flood").unwrap();
    repo.install_hook("pre-receive", "#!/bin/sh\nyes 'many words' | head -c 1000000 >&2\nexit 1\n").unwrap();
    let desk = Desk::of(&repo);
    let error = desk.publish("main", desk.change("main", "x", Some("y"))).unwrap_err();
    assert!(matches!(&error, Error::HookRefused { words, .. } if words.len() < 5000), "{error:?}");
}

#[test]
fn case_34_a_protected_branch_is_named_as_such() {
    let repo = https().create_repo("protected").unwrap();
    let words = "GitLab: You are not allowed to push code to protected branches on this project.";
    repo.install_hook("update", &format!("#!/bin/sh\necho '{words}' >&2\nexit 1\n")).unwrap();
    let desk = Desk::of(&repo);
    let error = desk.publish("main", desk.change("main", "x", Some("y"))).unwrap_err();
    let Error::ProtectedBranch { words: told, .. } = &error else { panic!("{error:?}") };
    assert!(told.contains(words));
}

#[test]
fn case_35_a_push_that_arrived_although_the_answer_got_lost_counts() {
    let repo = ssh().create_repo("lost-answer").unwrap();
    // The connection dies after the branch has moved and before the server says so.
    repo.install_hook("post-update", "#!/bin/sh\nkill -9 $PPID\n").unwrap();
    repo.install_hook("post-receive", "#!/bin/sh\nkill -9 $PPID\n").unwrap();
    let desk = Desk::of(&repo);
    let outcome = desk.publish("main", desk.change("main", "x", Some("y"))).unwrap();
    assert!(matches!(outcome, PublishOutcome::Published { .. }), "{outcome:?}");
    assert_eq!(repo.show("main", "x").as_deref(), Some("y"));
    assert!(desk.clone.rescues().unwrap().is_empty());
}

#[test]
fn case_35_a_push_that_did_not_arrive_keeps_its_commit() {
    let repo = ssh().create_repo("no-answer").unwrap();
    repo.install_hook("pre-receive", "#!/bin/sh\nkill -9 $PPID\n").unwrap();
    let desk = Desk::of(&repo);
    let error = desk.publish("main", desk.change("main", "x", Some("y"))).unwrap_err();
    assert!(matches!(error, Error::Network { .. }), "{error:?}");
    let kept = desk.clone.rescues().unwrap();
    let bytes = desk.clone.read(&kept[0].commit, &path("x"), 10).unwrap().unwrap().bytes;
    assert_eq!((kept.len(), bytes.as_slice()), (1, b"y".as_slice()));
    desk.clone.forget_rescue(&kept[0].name).unwrap();
    assert!(desk.clone.rescues().unwrap().is_empty());
}
