//! Commits that cannot go out now: kept, sent in order, never twice, and never in the way of what a person decides.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its story cannot go on")]

mod chaos;
mod stage;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::Arc,
};

use pilothouse_app::{
    contract::{CommitOutcome, ConnectTarget, ErrorCode, RemoteTarget, Transport, WaitingState},
    keychain::MemoryStore,
};
use pilothouse_rig::git_host::{Answer, GitHost};
use stage::{Place, Stage, change, file, path};

#[tokio::test(flavor = "multi_thread")]
async fn case_41_offline_edits_queue_and_push_in_order() {
    let mut stage = Stage::new().await;
    let base = stage.commit("cart", "replicaCount: 1\n", None, "Add the cart").await;
    stage.wire.unplug();
    let two = change("cart", "replicaCount: 2\n", base, "Two carts");
    let refused = stage.app.commit_values(two.clone(), "c".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::GitNetwork, "{refused:?}");
    assert!(stage.app.waiting_commits().await.unwrap().entries.is_empty(), "nothing is kept unasked");
    assert_eq!(stage.app.keep_values(two).await.unwrap().entries.len(), 1);

    // The editor goes on from what waits.
    let opened = stage.app.open_values(file("cart")).await.unwrap();
    assert_eq!((opened.text.as_str(), opened.waiting.as_ref().unwrap().count), ("replicaCount: 2\n", 1));
    let text = "replicaCount: 3\n";
    let review = stage.app.review_values(file("cart"), text.into(), opened.base_blob.clone()).await.unwrap();
    assert_eq!((review.diff.added, review.diff.removed, review.moved), (1, 1, false));
    stage.app.keep_values(change("cart", text, opened.base_blob, "Three carts")).await.unwrap();
    stage.app.keep_values(change("checkout", "replicaCount: 4\n", None, "Add the checkout")).await.unwrap();

    // A colleague goes on meanwhile, and the app is started again.
    stage.repo.push_file("README.md", "# Changed\n", "Theirs").unwrap();
    stage.end().await;
    stage.start_again().await;
    let waiting = stage.app.waiting_commits().await.unwrap();
    let messages: Vec<_> = waiting.entries.iter().map(|e| e.message.as_str()).collect();
    assert_eq!(messages, ["Two carts", "Three carts", "Add the checkout"]);
    assert_eq!(stage.subjects(), ["Add the cart", "Theirs"], "nothing went out through a pulled wire");

    stage.wire.plug_in().unwrap();
    let report = stage.app.push_waiting("push".into()).await.unwrap();
    assert!(report.waiting.entries.is_empty(), "{report:?}");
    assert_eq!(stage.subjects(), ["Add the cart", "Theirs", "Two carts", "Three carts", "Add the checkout"]);
    assert_eq!(stage.repo.show("main", &path("cart")).as_deref(), Some(text));
    let authors = stage.repo.git(&["log", "-3", "--format=%an <%ae>", "main"]).unwrap();
    assert!(authors.lines().all(|author| author == "Ada Example <ada@example.org>"), "{authors}");
    let opened = stage.app.open_values(file("cart")).await.unwrap();
    assert!(opened.waiting.is_none() && opened.text == text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_version_is_restored_offline_and_goes_out_later() {
    let stage = Stage::new().await;
    let (one, two) = ("# ours\nreplicaCount: 1\n", "# ours\nreplicaCount: 2\n");
    let base = stage.commit("cart", one, None, "Add the cart").await;
    stage.commit("cart", two, base, "Two carts").await;
    stage.app.open_values(file("cart")).await.unwrap();
    stage.wire.unplug();

    // History and the version of then are on this machine.
    let history = stage.app.values_history(file("cart"), None).await.unwrap();
    let first = history.versions.iter().find(|entry| entry.commit.summary == "Add the cart").unwrap();
    let then = stage.app.values_version(file("cart"), first.commit.id.clone()).await.unwrap();
    assert_eq!(then.text.as_deref(), Some(one));
    let opened = stage.app.open_values(file("cart")).await.unwrap();
    let back = change("cart", then.text.as_deref().unwrap(), opened.base_blob.clone(), "Back to one");
    let refused = stage.app.commit_values(back.clone(), "back".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::GitNetwork, "{refused:?}");
    stage.app.keep_values(back).await.unwrap();
    let waiting = stage.app.open_values(file("cart")).await.unwrap();
    assert_eq!((waiting.text.as_str(), waiting.waiting.map(|one| one.count)), (one, Some(1)));
    assert_eq!(stage.repo.show("main", &path("cart")).as_deref(), Some(two), "nothing went out");

    // A colleague changed another file meanwhile; the restored one follows it.
    stage.repo.push_file("README.md", "# Changed\n", "Theirs").unwrap();
    stage.wire.plug_in().unwrap();
    let report = stage.app.push_waiting("push".into()).await.unwrap();
    assert!(report.waiting.entries.is_empty(), "{report:?}");
    assert_eq!(stage.subjects(), ["Add the cart", "Two carts", "Theirs", "Back to one"]);
    assert_eq!(stage.repo.show("main", &path("cart")).as_deref(), Some(one));
    let newest = &stage.app.values_history(file("cart"), None).await.unwrap().versions[0];
    assert_eq!(newest.commit.summary, "Back to one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_goes_out_by_itself_and_before_anything_newer() {
    let stage = Stage::new().await;
    stage.wire.unplug();
    stage.app.keep_values(change("cart", "replicaCount: 1\n", None, "First")).await.unwrap();
    stage.wire.plug_in().unwrap();
    // Whether the background was quicker or not, the order is that in which the commits were made.
    stage.commit("checkout", "replicaCount: 1\n", None, "Second").await;
    assert_eq!(stage.subjects(), ["First", "Second"]);
    assert!(stage.app.waiting_commits().await.unwrap().entries.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_same_lines_stops_the_queue_until_somebody_decides() {
    let stage = Stage::new().await;
    let base = stage.commit("cart", "replicaCount: 1\n", None, "Add the cart").await;
    stage.wire.unplug();
    stage.app.keep_values(change("cart", "replicaCount: 2\n", base, "Two")).await.unwrap();
    stage.app.keep_values(change("checkout", "replicaCount: 1\n", None, "Behind")).await.unwrap();
    stage.repo.push_file(&path("cart"), "replicaCount: 5\n", "Five").unwrap();
    stage.wire.plug_in().unwrap();
    let report = stage.app.push_waiting("push".into()).await.unwrap();
    assert!(report.stopped.is_some(), "{report:?}");
    let states: Vec<_> = report.waiting.entries.iter().map(|e| e.state).collect();
    assert_eq!(states, [WaitingState::Conflict, WaitingState::Waiting]);
    let id = report.waiting.entries[0].id;
    let waiting = stage.app.waiting_change(id).await.unwrap();
    let Some(CommitOutcome::Conflict { theirs, ours, their_blob, .. }) = waiting.conflict else { panic!() };
    assert_eq!((theirs.as_deref(), ours.as_deref()), (Some("replicaCount: 5\n"), Some("replicaCount: 2\n")));
    assert_eq!(stage.subjects(), ["Add the cart", "Five"]);

    // The same file waits for the decision, another one does not.
    let opened = stage.app.open_values(file("cart")).await.unwrap();
    let more = change("cart", "replicaCount: 9\n", opened.base_blob, "More");
    assert_eq!(stage.app.commit_values(more, "c".into()).await.unwrap_err().code, ErrorCode::Blocked);

    // What is no values file, or has no message, is refused before it is kept; so is what waits for nobody.
    let settle = |id: u32, text: &str, message: &str| {
        stage.app.settle_waiting(id, text.into(), their_blob.clone(), message.into(), "s".into())
    };
    assert_eq!(settle(id, "a: [1\n", "Six").await.unwrap_err().code, ErrorCode::Values);
    assert_eq!(settle(id, "replicaCount: 6\n", " ").await.unwrap_err().code, ErrorCode::Fields);
    assert_eq!(stage.app.waiting_change(id).await.unwrap().text.as_deref(), Some("replicaCount: 2\n"));

    let joined = "replicaCount: 6\n".to_owned();
    let outcome =
        stage.app.settle_waiting(id, joined.clone(), their_blob.clone(), "Six".into(), "s".into()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?}");
    assert_eq!(stage.repo.show("main", &path("cart")).as_deref(), Some(joined.as_str()));
    assert_eq!(stage.subjects(), ["Add the cart", "Five", "Six", "Behind"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_was_put_away_is_not_joined_any_more() {
    let stage = Stage::new().await;
    let base = stage.commit("cart", "replicaCount: 1\n", None, "Add the cart").await;
    stage.wire.unplug();
    let kept = stage.app.keep_values(change("cart", "replicaCount: 2\n", base, "Two")).await.unwrap();
    stage.repo.push_file(&path("cart"), "replicaCount: 5\n", "Five").unwrap();
    stage.wire.plug_in().unwrap();
    stage.app.push_waiting("push".into()).await.unwrap();
    let id = kept.entries[0].id;
    let waiting = stage.app.waiting_change(id).await.unwrap();
    let Some(CommitOutcome::Conflict { their_blob, .. }) = waiting.conflict else { panic!() };
    stage.app.discard_waiting(id).await.unwrap();
    let text = "replicaCount: 6\n".to_owned();
    let refused = stage.app.settle_waiting(id, text, their_blob, "Six".into(), "s".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Blocked);
    assert_eq!(stage.subjects(), ["Add the cart", "Five"]);
    assert_eq!(stage.app.waiting_commits().await.unwrap().discarded.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_commit_goes_to_the_branch_it_was_made_for() {
    let stage = Stage::new().await;
    stage.repo.git(&["branch", "next", "main"]).unwrap();
    stage.wire.unplug();
    let kept = stage.app.keep_values(change("cart", "replicaCount: 1\n", None, "First")).await.unwrap();
    assert_eq!(kept.entries[0].branch.as_deref(), Some("main"));
    stage.wire.plug_in().unwrap();
    stage.app.use_branch("next".into()).await.unwrap();
    let report = stage.app.push_waiting("push".into()).await.unwrap();
    assert!(report.waiting.entries.is_empty(), "{report:?}");
    assert_eq!(stage.repo.show("main", &path("cart")).as_deref(), Some("replicaCount: 1\n"));
    assert_eq!(stage.repo.show("next", &path("cart")), None);

    // A branch that has gone is said, and nothing goes elsewhere.
    stage.wire.unplug();
    stage.app.keep_values(change("cart", "replicaCount: 2\n", None, "Second")).await.unwrap();
    stage.repo.git(&["branch", "-D", "next"]).unwrap();
    stage.wire.plug_in().unwrap();
    let report = stage.app.push_waiting("again".into()).await.unwrap();
    let entry = &report.waiting.entries[0];
    assert_eq!((entry.state, entry.code), (WaitingState::Refused, Some(ErrorCode::GitNoBranch)), "{entry:?}");
    assert_eq!(stage.subjects(), ["First"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_one_branch_is_nothing_to_another() {
    let stage = Stage::new().await;
    stage.wire.unplug();
    stage.app.keep_values(change("cart", "replicaCount: 2\n", None, "Two")).await.unwrap();
    stage.repo.push_file(&path("cart"), "replicaCount: 5\n", "Five").unwrap();
    stage.repo.git(&["branch", "next", "main"]).unwrap();
    stage.wire.plug_in().unwrap();
    let report = stage.app.push_waiting("push".into()).await.unwrap();
    assert_eq!(report.waiting.entries[0].state, WaitingState::Conflict, "{report:?}");
    let opened = stage.app.open_values(file("cart")).await.unwrap();
    assert_eq!((opened.text.as_str(), opened.waiting.unwrap().count), ("replicaCount: 2\n", 1));

    stage.app.use_branch("next".into()).await.unwrap();
    let opened = stage.app.open_values(file("cart")).await.unwrap();
    assert_eq!((opened.text.as_str(), &opened.waiting), ("replicaCount: 5\n", &None));
    stage.commit("cart", "replicaCount: 6\n", opened.base_blob, "Six").await;
    assert_eq!(stage.repo.show("next", &path("cart")).as_deref(), Some("replicaCount: 6\n"));
    assert_eq!(stage.repo.show("main", &path("cart")).as_deref(), Some("replicaCount: 5\n"));

    stage.app.use_branch("main".into()).await.unwrap();
    assert_eq!(stage.app.open_values(file("cart")).await.unwrap().text, "replicaCount: 2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_38_two_apps_on_one_folder_send_each_commit_once_and_in_order() {
    let stage = Stage::new().await;
    let other = stage.second().await;
    stage.wire.unplug();
    let (mut wanted, mut base) = (Vec::new(), None);
    for count in 1..=8 {
        let app = if count % 2 == 0 { &other } else { &stage.app };
        let (text, message) = (format!("replicaCount: {count}\n"), format!("Carts: {count}"));
        app.keep_values(change("cart", &text, base, &message)).await.unwrap();
        base = app.open_values(file("cart")).await.unwrap().base_blob;
        wanted.push(message);
    }
    stage.wire.plug_in().unwrap();
    let (one, two) = tokio::join!(stage.app.push_waiting("one".into()), other.push_waiting("two".into()));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.stopped.is_none() && two.stopped.is_none(), "{one:?} {two:?}");
    assert!(stage.app.waiting_commits().await.unwrap().entries.is_empty());
    assert_eq!(stage.subjects(), wanted);
    assert_eq!(stage.repo.show("main", &path("cart")).as_deref(), Some("replicaCount: 8\n"));

    // One puts away what the other is about to send: it is either on the server or among what was put away.
    stage.wire.unplug();
    let kept = stage.app.keep_values(change("checkout", "replicaCount: 1\n", None, "Once")).await.unwrap();
    stage.wire.plug_in().unwrap();
    let id = kept.entries[0].id;
    let (pushed, _) = tokio::join!(stage.app.push_waiting("three".into()), other.discard_waiting(id));
    pushed.unwrap();
    let there = stage.repo.show("main", &path("checkout")).is_some();
    let away = stage.app.waiting_commits().await.unwrap();
    assert!(away.entries.is_empty());
    assert_ne!(there, away.discarded.iter().any(|entry| entry.id == id), "there: {there}, {away:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_commit_can_still_be_copied() {
    let stage = Stage::new().await;
    stage.wire.unplug();
    let text = "replicaCount: 7\n";
    let kept = stage.app.keep_values(change("cart", text, None, "Seven")).await.unwrap();
    let id = kept.entries[0].id;
    assert_eq!(stage.app.forget_waiting(id).await.unwrap_err().code, ErrorCode::Blocked);
    let after = stage.app.discard_waiting(id).await.unwrap();
    assert_eq!((after.entries.len(), after.discarded.len()), (0, 1));
    assert_eq!(stage.app.waiting_change(id).await.unwrap().text.as_deref(), Some(text));
    stage.wire.plug_in().unwrap();
    assert_eq!(stage.app.push_waiting("push".into()).await.unwrap().sent, 0);
    assert!(stage.app.forget_waiting(id).await.unwrap().discarded.is_empty());
    assert_eq!(stage.app.waiting_change(id).await.unwrap_err().code, ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_35_a_server_that_is_not_well_leaves_the_commit_to_wait_and_a_refusal_does_not() {
    let stage = Stage::new().await;
    for (answer, passes) in [
        (Answer::Status(500), true),
        (Answer::Status(503), true),
        (Answer::Status(429), true),
        (Answer::Page, true),
        (Answer::Locked, false),
        (Answer::Status(404), false),
    ] {
        stage.host.answer("/acme/", answer.clone());
        let request = change("cart", "replicaCount: 1\n", None, "One");
        let failed = stage.app.commit_values(request.clone(), "c".into()).await.unwrap_err();
        assert_eq!(failed.code.may_pass(), passes, "{answer:?}: {failed:?}");
        let kept = stage.app.keep_values(request).await.unwrap();
        let report = stage.app.push_waiting("p".into()).await.unwrap();
        let state = if passes { WaitingState::Waiting } else { WaitingState::Refused };
        assert_eq!(report.waiting.entries[0].state, state, "{answer:?}: {report:?}");
        assert!(report.waiting.entries[0].problem.is_some());
        let id = kept.entries[0].id;
        stage.app.discard_waiting(id).await.unwrap();
    }
}

const CHILD: &str = "PILOTHOUSE_TEST_OUTBOX";

/// The child of the test below: opens the app, and pushes what waits until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn child_pushes() {
    let Some(text) = std::env::var_os(CHILD) else { return };
    let text = text.into_string().unwrap();
    let [data, authority, url, username, token]: [String; 5] =
        text.split('\n').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    let place = Place { data: data.into(), authority: authority.into(), url, username, token };
    let app = stage::open(&place.data, &place.authority, Arc::new(MemoryStore::default())).await;
    app.connect(ConnectTarget::Practice, "connect".into()).await.unwrap();
    app.save_repository_credential(Transport::Https, place.credential()).await.unwrap();
    println!("\npushing");
    let _ = app.push_waiting("push".into()).await;
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_36_a_commit_that_landed_before_a_kill_is_not_pushed_again() {
    let mut stage = Stage::new().await;
    let base = stage.commit("cart", "replicaCount: 1\n", None, "Add the cart").await;
    stage.wire.unplug();
    stage.app.keep_values(change("cart", "replicaCount: 2\n", base, "Two")).await.unwrap();
    stage.end().await;

    // The server takes the push, and its answer does not come while this file is there.
    let hold = stage.place.data.join("hold");
    std::fs::write(&hold, "").unwrap();
    let script =
        format!("#!/bin/sh\n[ \"$1\" = committed ] || exit 0\nwhile [ -e '{}' ]; do sleep 0.1; done\n", hold.display());
    stage.repo.install_hook("reference-transaction", &script).unwrap();
    stage.wire.plug_in().unwrap();
    let before = stage.repo.tip("main");
    let place = &stage.place;
    let lines = [
        &place.data.display().to_string(),
        &place.authority.display().to_string(),
        &place.url,
        &place.username,
        &place.token,
    ];
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_pushes", "--nocapture"])
        .env(CHILD, lines.map(String::as_str).join("\n"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(output.map_while(Result::ok).any(|line| line.trim() == "pushing"));
    while stage.repo.tip("main") == before {
        assert!(child.try_wait().unwrap().is_none(), "the child ended early");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(&hold).unwrap();
    stage.repo.remove_hook("reference-transaction").unwrap();

    // A colleague has changed the very line since.
    stage.repo.push_file(&path("cart"), "replicaCount: 5\n", "Five").unwrap();
    stage.wire.unplug();
    stage.start_again().await;
    let waiting = stage.app.waiting_commits().await.unwrap();
    assert_eq!(waiting.entries.len(), 1, "the kill came before the entry was taken out: {waiting:?}");
    stage.wire.plug_in().unwrap();
    let report = stage.app.push_waiting("push".into()).await.unwrap();
    assert!(report.waiting.entries.is_empty(), "{report:?}");
    assert_eq!(stage.subjects(), ["Add the cart", "Two", "Five"]);
    assert_eq!(stage.repo.show("main", &path("cart")).as_deref(), Some("replicaCount: 5\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_push_nothing_makes_a_failure_of_it() {
    let stage = Stage::new().await;
    // From now on the timeline cannot be closed, and nothing taken off the list.
    stage.sql(
        "CREATE TRIGGER full BEFORE UPDATE ON activity BEGIN SELECT RAISE(ABORT, 'the disk is full'); END;
         CREATE TRIGGER stuck BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, 'the disk is full'); END;",
    );
    let text = "replicaCount: 1\n";
    assert!(stage.commit("cart", text, None, "Add the cart").await.is_some());
    assert_eq!(stage.repo.show("main", &path("cart")).as_deref(), Some(text));

    stage.wire.unplug();
    stage.app.keep_values(change("checkout", text, None, "Kept")).await.unwrap();
    stage.wire.plug_in().unwrap();
    let report = stage.app.push_waiting("push".into()).await.unwrap();
    assert_eq!(report.waiting.entries.len(), 1);
    stage.sql("DROP TRIGGER full; DROP TRIGGER stuck;");
    let report = stage.app.push_waiting("again".into()).await.unwrap();
    assert!(report.waiting.entries.is_empty(), "{report:?}");
    assert_eq!(stage.subjects(), ["Add the cart", "Kept"], "found, not made again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_push_goes_out_as_a_branch_of_its_own() {
    let stage = Stage::new().await;
    let script = "#!/bin/sh\nwhile read old new ref; do [ \"$ref\" = refs/heads/main ] && \
                  { echo 'main takes merge requests only' >&2; exit 1; }; done\nexit 0\n";
    stage.repo.install_hook("pre-receive", script).unwrap();
    let tip = stage.repo.tip("main");
    let request = change("cart", "replicaCount: 1\n", None, "Add the cart");
    let refused = stage.app.commit_values(request.clone(), "c".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::GitHookRefused, "{refused:?}");
    assert!(refused.message.contains("merge requests only"), "{refused:?}");
    let same = stage.app.propose_values(request.clone(), "main".into(), "p0".into()).await.unwrap_err();
    assert_eq!(same.code, ErrorCode::GitBadBranch);
    let wanted = "pilothouse/storefront-dev-cart-1a2b";
    let proposed = stage.app.propose_values(request.clone(), wanted.into(), "p1".into()).await.unwrap();
    assert_eq!((proposed.branch.as_str(), proposed.target.as_str()), (wanted, "main"));
    assert!(matches!(proposed.outcome, CommitOutcome::Published { .. }));
    assert_eq!(stage.repo.show(wanted, &path("cart")).as_deref(), Some("replicaCount: 1\n"));
    assert_eq!(stage.repo.tip("main"), tip);
    // A branch that is there is never touched.
    let other = change("cart", "replicaCount: 2\n", None, "Add the cart");
    let beside = stage.app.propose_values(other, wanted.into(), "p2".into()).await.unwrap();
    assert_ne!(beside.branch, wanted);
    // And the same once more, as after a lost answer, makes no second one.
    let again = stage.app.propose_values(request, wanted.into(), "p3".into()).await.unwrap();
    assert_eq!(again.branch, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_never_sent_to_an_address_that_somebody_else_chose() {
    let stage = Stage::new().await;
    let evil = GitHost::https().unwrap();
    let theirs = evil.create_repo("acme/gitops").unwrap();
    // The cluster's word for where the repository is changes to another server.
    stage.app.register_repository(theirs.url.clone()).await.unwrap();
    let refused = stage.app.clone_repository("clone".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NoCredential, "{refused:?}");
    let target = RemoteTarget::Repository { transport: Transport::Https };
    assert!(stage.app.test_remote(target, None).await.is_err());
    assert!(evil.requests().iter().all(|request| request.authorization.is_none()));
    assert!(stage.host.requests().iter().any(|request| request.authorization.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn case_11_a_token_in_an_address_is_refused_and_stored_nowhere() {
    let stage = Stage::new().await;
    let url = "https://robin:seeded-secret@git.example/acme/gitops.git".to_owned();
    let refused = stage.app.register_repository(url.clone()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::GitSecretInUrl);
    let refused = stage.app.test_remote(RemoteTarget::Url { url }, None).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::GitSecretInUrl);
    let mut files = vec![stage.place.data.clone()];
    while let Some(place) = files.pop() {
        if place.is_dir() {
            files.extend(std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
        } else if let Ok(bytes) = std::fs::read(&place) {
            assert!(!bytes.windows(13).any(|window| window == b"seeded-secret"), "{}", place.display());
        }
    }
}
