//! Many writers, one branch; nothing lost, nothing forced.

use std::sync::Arc;

use pilothouse_git::{Error, ExpectedChange, FileChange, Identity, PublishOutcome};

use crate::stage::*;

const VALUES: &str = "replicaCount: 1\nimage:\n  tag: a\nresources:\n  cpu: 1\n  memory: 2\nservice:\n  port: 80\n";

fn published(outcome: PublishOutcome) -> (String, u32, bool) {
    match outcome {
        PublishOutcome::Published { commit, replays, merged } => (commit.id.to_string(), replays, merged),
        other => panic!("not published: {other:?}"),
    }
}

#[test]
fn a_change_arrives_over_both_transports() {
    for (host, name) in [(https(), "arrives"), (ssh(), "arrives")] {
        let repo = host.create_repo(name).unwrap();
        repo.push_file("dev/cart-values.yaml", VALUES, "Add values").unwrap();
        let desk = Desk::of(&repo);
        let fetched = desk.clone.fetch(&desk.access, "main").unwrap();
        assert_eq!(fetched.tip.as_ref().map(ToString::to_string), repo.tip("main"));
        let new = VALUES.replace("replicaCount: 1", "replicaCount: 2");
        let change = desk.change("main", "dev/cart-values.yaml", Some(&new));
        assert_eq!(
            change.base_blob,
            desk.clone
                .read(&fetched.tip.unwrap(), &path("dev/cart-values.yaml"), 1 << 20)
                .unwrap()
                .map(|file| file.blob)
        );
        let outcome = desk.publish("main", change.clone()).unwrap();
        let PublishOutcome::Published { commit, .. } = &outcome else { panic!("{outcome:?}") };
        assert_eq!((commit.author_name.as_str(), commit.summary.as_str()), ("Pilot", "Change values"));
        let (id, replays, merged) = published(outcome);
        assert_eq!((Some(id), replays, merged), (repo.tip("main"), 0, false));
        assert_eq!(repo.show("main", "dev/cart-values.yaml"), Some(new));
        assert_eq!(repo.commits("main").unwrap(), 3);
        assert!(repo.git(&["fsck", "--strict"]).is_ok());
        assert_eq!(desk.clone.tip("main").unwrap().map(|tip| tip.to_string()), repo.tip("main"));

        // The same again is nothing new.
        let again = desk.publish("main", change).unwrap();
        assert!(matches!(again, PublishOutcome::Unchanged { .. }));
        // Removal.
        published(desk.publish("main", desk.change("main", "dev/cart-values.yaml", None)).unwrap());
        assert_eq!(repo.show("main", "dev/cart-values.yaml"), None);
        assert_eq!(repo.git(&["ls-tree", "--name-only", "main"]).unwrap(), "README.md", "empty folders go");
    }
}

#[test]
fn an_empty_repository_gets_its_first_commit_and_a_missing_branch_is_not_made_up() {
    let repo = ssh().create_empty_repo("first").unwrap();
    let desk = Desk::of(&repo);
    let fetched = desk.clone.fetch(&desk.access, "trunk").unwrap();
    assert!(fetched.empty && fetched.tip.is_none());
    let (id, ..) = published(desk.publish("trunk", desk.change("trunk", "a/b.yaml", Some("x: 1\n"))).unwrap());
    assert_eq!(repo.tip("trunk"), Some(id));
    assert_eq!(repo.commits("trunk").unwrap(), 1);
    let error = desk.publish("absent", desk.change("absent", "a", Some("x"))).unwrap_err();
    assert!(matches!(error, Error::NoBranch { .. }), "{error:?}");
    assert_eq!(repo.tip("absent"), None);
}

#[test]
fn somebody_elses_change_to_another_place_is_kept() {
    let repo = https().create_repo("merge").unwrap();
    repo.push_file("v.yaml", VALUES, "Add").unwrap();
    let desk = Desk::of(&repo);
    desk.clone.fetch(&desk.access, "main").unwrap();
    let change = desk.change("main", "v.yaml", Some(&VALUES.replace("replicaCount: 1", "replicaCount: 5")));
    repo.push_file("v.yaml", &VALUES.replace("port: 80", "port: 81"), "Theirs").unwrap();
    repo.push_file("other.yaml", "x\n", "Another file").unwrap();

    // A merge that the caller does not accept is a conflict.
    let refused = desk
        .clone
        .publish_checked(&desk.access, "main", &request(vec![change.clone()]), Arc::new(|_, _| false))
        .unwrap();
    assert!(matches!(refused, PublishOutcome::Conflict { .. }));

    let (_, _, merged) = published(desk.publish("main", change).unwrap());
    assert!(merged);
    let text = repo.show("main", "v.yaml").unwrap();
    assert!(text.contains("replicaCount: 5") && text.contains("port: 81"));
    assert_eq!(repo.show("main", "other.yaml").as_deref(), Some("x\n"));
}

#[test]
fn case_32_a_true_conflict_gives_back_both_versions_and_pushes_nothing() {
    let repo = https().create_repo("conflict").unwrap();
    repo.push_file("v.yaml", VALUES, "Add").unwrap();
    let desk = Desk::of(&repo);
    desk.clone.fetch(&desk.access, "main").unwrap();
    let mine = VALUES.replace("replicaCount: 1", "replicaCount: 5");
    let change = desk.change("main", "v.yaml", Some(&mine));
    let removal = desk.change("main", "v.yaml", None);
    let theirs = VALUES.replace("replicaCount: 1", "replicaCount: 3");
    let their_commit = repo.push_file("v.yaml", &theirs, "Theirs").unwrap();
    repo.push_file("unrelated", "x", "Later").unwrap();
    let tip = repo.tip("main");
    for (change, ours) in [(change.clone(), Some(mine.clone())), (removal, None)] {
        let outcome = desk.publish("main", change).unwrap();
        let PublishOutcome::Conflict { path, base, ours: o, theirs: t, their_blob, their_commit: c } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(path.as_str(), "v.yaml");
        let text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!((text(base).as_deref(), text(o), text(t)), (Some(VALUES), ours, Some(theirs.clone())));
        assert_eq!((c.id.to_string(), c.author_name.as_str()), (their_commit.clone(), "Somebody Else"));
        // The user chose their own version, knowing the other one.
        assert!(their_blob.is_some());
        assert_eq!(repo.tip("main"), tip);
    }
    // Removed on the server, edited here.
    repo.edit("main", "Remove", |dir| {
        std::fs::remove_file(dir.join("v.yaml")).unwrap();
        Ok(())
    })
    .unwrap();
    let outcome = desk.publish("main", change.clone()).unwrap();
    assert!(matches!(outcome, PublishOutcome::Conflict { theirs: None, .. }));
    // Made on both sides.
    let fresh = ExpectedChange { base_blob: None, ..change };
    repo.push_file("v.yaml", &theirs, "Again").unwrap();
    assert!(matches!(desk.publish("main", fresh).unwrap(), PublishOutcome::Conflict { base: None, .. }));
}

#[test]
fn case_31_a_lost_race_is_run_again_on_the_new_tip() {
    let repo = https().create_repo("race").unwrap();
    let desk = Desk::of(&repo);
    // While our push is being received, another commit lands; twice. The hook leaves the quarantine to do that.
    repo.install_hook(
        "pre-receive",
        "#!/bin/sh\necho x >> rounds\n[ $(wc -l < rounds) -gt 2 ] && exit 0\n\
         unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n\
         export GIT_AUTHOR_NAME=E GIT_AUTHOR_EMAIL=e@x GIT_COMMITTER_NAME=E GIT_COMMITTER_EMAIL=e@x\n\
         git update-ref refs/heads/main $(git commit-tree -p main -m Quicker main^{tree})\n",
    )
    .unwrap();
    let (_, replays, merged) = published(desk.publish("main", desk.change("main", "x", Some("y"))).unwrap());
    assert_eq!((replays, merged), (2, false));
    assert_eq!(repo.commits("main").unwrap(), 4);
    assert_eq!(repo.git(&["log", "--format=%s", "main"]).unwrap(), "Change values\nQuicker\nQuicker\nFirst commit");
}

#[test]
fn case_31_writers_of_one_process_take_turns() {
    let repo = ssh().create_repo("turns").unwrap();
    let desk = Arc::new(Desk::of(&repo));
    desk.clone.fetch(&desk.access, "main").unwrap();
    let threads: Vec<_> = (0..4)
        .map(|writer| {
            let desk = Arc::clone(&desk);
            std::thread::spawn(move || {
                let change = desk.change("main", &format!("{writer}.yaml"), Some("x\n"));
                published(desk.publish("main", change).unwrap()).1
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 0));
    assert_eq!(repo.commits("main").unwrap(), 5);
}

#[test]
fn a_commit_moves_no_branch_and_checks_who_and_what() {
    let repo = https().create_repo("objects").unwrap();
    repo.edit("main", "Script", |dir| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(dir.join("run.sh"), "a\n").unwrap();
        std::fs::set_permissions(dir.join("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        Ok(())
    })
    .unwrap();
    let desk = Desk::of(&repo);
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let me = Identity { name: "Pilot".into(), email: "p@example.test".into() };
    let change = |file: &str, text: &str| vec![FileChange { path: path(file), content: Some(text.into()) }];
    let commit = desk.clone.commit(Some(&tip), &change("run.sh", "b\n"), &me, "M\u{1b}[31m\r\n\r\nbody\n").unwrap();
    assert!(desk.clone.read(&commit, &path("run.sh"), 10).unwrap().unwrap().executable);
    assert_eq!(desk.clone.tip("main").unwrap(), Some(tip.clone()));
    let info = desk.clone.commit_info(&commit).unwrap();
    assert_eq!((info.summary.as_str(), info.body.as_str()), ("M[31m", "body"));

    let same = desk.clone.commit(Some(&tip), &change("run.sh", "a\n"), &me, "m");
    assert!(matches!(same, Err(Error::NothingChanged)));
    let twin = desk.clone.commit(Some(&tip), &change("RUN.sh", "a\n"), &me, "m");
    assert!(matches!(twin, Err(Error::BadPath { .. })));
    let below = desk.clone.commit(Some(&tip), &change("run.sh/x", "a\n"), &me, "m");
    assert!(matches!(below, Err(Error::NotAFile { .. })));
    for (name, email, message) in
        [("", "a@b", "m"), ("a<b", "a@b", "m"), ("a\nb", "a@b", "m"), ("a", "", "m"), ("a", "a@b", " \n")]
    {
        let who = Identity { name: name.into(), email: email.into() };
        let outcome = desk.clone.commit(Some(&tip), &change("x", "a"), &who, message);
        assert!(matches!(outcome, Err(Error::BadIdentity(_))), "{name:?} {email:?} {message:?}");
    }
}

#[test]
fn history_tells_who_changed_a_file() {
    let repo = https().create_repo("history").unwrap();
    let first = repo.push_file("a.yaml", "1", "First of a").unwrap();
    repo.push_file("b.yaml", "1", "First of b").unwrap();
    let second = repo.push_file("a.yaml", "2", "Second of a\n\nWith words.").unwrap();
    repo.push_file("b.yaml", "2", "Second of b").unwrap();
    let desk = Desk::of(&repo);
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let ids =
        |path| desk.clone.history(&tip, path, 10).unwrap().iter().map(|info| info.id.to_string()).collect::<Vec<_>>();
    let a = path("a.yaml");
    assert_eq!(ids(Some(&a)), [second.clone(), first]);
    assert_eq!(ids(None).len(), 5);
    let last = desk.clone.last_change(&tip, &path("a.yaml")).unwrap().unwrap();
    assert_eq!((last.id.to_string(), last.body.as_str()), (second, "With words."));
    assert_eq!(desk.clone.last_change(&tip, &path("absent")).unwrap(), None);
}

#[test]
fn commits_of_others_that_a_rewrite_took_away_stay_when_ours_is_made_again() {
    let repo = https().create_repo("theirs-stay").unwrap();
    let desk = Desk::of(&repo);
    let start = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    repo.push_file("theirs.yaml", "a: 1\n", "Theirs").unwrap();
    desk.clone.fetch(&desk.access, "main").unwrap();
    let change = desk.change("main", "ours.yaml", Some("b: 1\n"));
    let (lost, ..) = published(desk.publish("main", change.clone()).unwrap());
    repo.git(&["update-ref", "refs/heads/main", &start.to_string()]).unwrap();
    let (again, ..) = published(desk.publish("main", change).unwrap());
    assert_ne!(again, lost);
    let kept: Vec<_> = desk.clone.rescues().unwrap().into_iter().map(|rescue| rescue.commit.to_string()).collect();
    assert_eq!(kept, [lost], "it leads to their commit too");
}

#[test]
fn an_old_commit_of_the_same_words_and_content_is_not_taken_for_a_new_change() {
    let repo = https().create_repo("same-words").unwrap();
    repo.push_file("x.yaml", "x: 1\n", "One").unwrap();
    let desk = Desk::of(&repo);
    desk.clone.fetch(&desk.access, "main").unwrap();
    let (first, ..) = published(desk.publish("main", desk.change("main", "x.yaml", Some("x: 3\n"))).unwrap());
    // As a push leaves it whose answer was lost.
    let clone = git2::Repository::open(desk.folder()).unwrap();
    clone.reference("refs/pilothouse/rescue/1-0123456789", first.parse().unwrap(), false, "test").unwrap();
    repo.push_file("x.yaml", "x: 5\n", "Five").unwrap();
    desk.clone.fetch(&desk.access, "main").unwrap();
    let (second, ..) = published(desk.publish("main", desk.change("main", "x.yaml", Some("x: 3\n"))).unwrap());
    assert_ne!(second, first);
    assert_eq!(repo.show("main", "x.yaml").as_deref(), Some("x: 3\n"));
    assert!(desk.clone.rescues().unwrap().is_empty());
}
