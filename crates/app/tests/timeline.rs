//! The timeline keeps what happened, also when the app is killed in the middle.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use pilothouse_app::{
    App, AppError, AppOptions, Silent,
    contract::{ActivityKind, ActivityOutcome, ErrorCode},
    journal::{AgentSince, Begin, End, Intent},
    keychain::MemoryStore,
};

async fn open(dir: &Path) -> Arc<App> {
    let options = AppOptions { secrets: Arc::new(MemoryStore::default()), ..AppOptions::new(dir.to_owned()) };
    App::open(options, Arc::new(Silent)).await.unwrap()
}

fn begin(words: &str) -> Begin {
    Begin {
        kind: ActivityKind::Deploy,
        words: words.into(),
        context: Some("practice".into()),
        object: None,
        intent: Intent::Object {
            api: "tekton.dev/v1".into(),
            kind: "PipelineRun".into(),
            namespace: "krci".into(),
            name: "deploy-storefront-dev-1".into(),
        },
    }
}

const CHILD: &str = "PILOTHOUSE_TEST_TIMELINE";

/// The child of the test below: begins an entry and waits to be killed.
#[tokio::test]
async fn child_begins_and_waits() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let app = open(Path::new(&dir)).await;
    app.journal().begin(begin("Deploy storefront to dev")).await.unwrap();
    println!("\nbegun");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn an_entry_begun_before_a_kill_is_interrupted_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_begins_and_waits", "--nocapture"])
        .env(CHILD, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = lines.map_while(Result::ok).any(|line| line.trim() == "begun");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(begun);

    let app = open(dir.path()).await;
    let page = app.activity(None, 50).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.entries[0].outcome, ActivityOutcome::Interrupted);
    assert_eq!(page.entries[0].words, "Deploy storefront to dev");

    // What it was about to do is still known, and once it is looked into it is not asked again.
    let open_ends = app.journal().interrupted().await.unwrap();
    assert_eq!(open_ends[0].intent, begin("").intent);
    app.journal().settle(open_ends[0].id, true).await.unwrap();
    assert!(app.journal().interrupted().await.unwrap().is_empty());
    assert_eq!(app.activity(None, 50).await.unwrap().entries[0].outcome, ActivityOutcome::Done);
}

#[tokio::test]
async fn what_was_cut_off_about_the_agent_is_closed_by_what_went_on_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let app = open(dir.path()).await;
    let agent = |words: &str, context: &str, removal: bool| Begin {
        context: Some(context.into()),
        intent: Intent::Agent { removal },
        ..begin(words)
    };
    for entry in [
        agent("Install the agent", "practice", false),
        agent("Remove the agent", "practice", true),
        agent("Install the agent elsewhere", "other", false),
        begin("Deploy storefront to dev"),
    ] {
        app.journal().begin(entry).await.unwrap();
    }
    drop(app);
    let app = open(dir.path()).await;
    let words = "Complete the installation of the agent".to_owned();
    app.journal().settle_agent("practice", &AgentSince::Ended { words: words.clone(), removal: false }).await.unwrap();
    let all = app.activity(None, 50).await.unwrap().entries;
    let told: Vec<_> =
        all.iter().rev().map(|one| (one.outcome, one.detail.as_deref().unwrap().contains(&words))).collect();
    let (done, cut) = (ActivityOutcome::Done, ActivityOutcome::Interrupted);
    assert_eq!(told, [(done, true), (cut, true), (cut, false), (cut, false)], "{all:?}");
    let left = app.journal().interrupted().await.unwrap();
    assert_eq!(
        left.iter().map(|one| one.words.as_str()).collect::<Vec<_>>(),
        ["Install the agent elsewhere", "Deploy storefront to dev"]
    );

    app.journal().settle_agent("other", &AgentSince::GivenUp).await.unwrap();
    let all = app.activity(None, 50).await.unwrap().entries;
    assert!(all[1].outcome == cut && all[1].detail.as_deref().unwrap().contains("given up"), "{:?}", all[1]);
}

#[tokio::test]
async fn entries_come_newest_first_in_pages_and_say_how_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    let app = open(dir.path()).await;
    for number in 0..5 {
        let id = app.journal().begin(begin(&format!("thing {number}"))).await.unwrap();
        match number {
            0 => app.journal().done(id, End { commit: Some("abc".into()), ..End::default() }).await.unwrap(),
            1 => app.journal().failed(id, &AppError::new(ErrorCode::GitCancelled, "stopped")).await.unwrap(),
            2 => app.journal().failed(id, &AppError::blocked("no")).await.unwrap(),
            _ => {}
        }
    }
    let first = app.activity(None, 3).await.unwrap();
    let words: Vec<_> = first.entries.iter().map(|e| e.words.as_str()).collect();
    assert_eq!(words, ["thing 4", "thing 3", "thing 2"]);
    let rest = app.activity(first.next_before, 3).await.unwrap();
    let outcomes: Vec<_> = rest.entries.iter().map(|e| e.outcome).collect();
    assert_eq!(outcomes, [ActivityOutcome::Cancelled, ActivityOutcome::Done]);
    assert_eq!(rest.entries[1].commit.as_deref(), Some("abc"));
    assert_eq!(rest.next_before, None);
}

#[tokio::test]
async fn identity_and_preferences_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let app = open(dir.path()).await;
    let refused = app.set_identity("  ".into(), "nobody".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Fields);
    app.set_identity("Ada Example".into(), "ada@example.org".into()).await.unwrap();
    drop(app);
    let app = open(dir.path()).await;
    assert_eq!(app.app_info().await.unwrap().identity.unwrap().email, "ada@example.org");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_work_was_cancelled_closes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let app = open(dir.path()).await;
    let outcomes = async || -> Vec<ActivityOutcome> {
        app.activity(None, 50).await.unwrap().entries.iter().map(|entry| entry.outcome).collect()
    };
    let closed = async |number: usize| {
        loop {
            let found = outcomes().await;
            if found.len() == number && found.iter().all(|outcome| *outcome != ActivityOutcome::Started) {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };

    // Dropped in the middle of the work, as a cancelled operation is.
    let work = async {
        let entry = app.journal().enter(begin("Enable a project")).await.unwrap();
        std::future::pending::<()>().await;
        entry.close_with(Ok(()), |()| End::default()).await
    };
    tokio::select! {
        biased;
        _ = work => unreachable!(),
        () = async { while outcomes().await.is_empty() {} } => {}
    }
    assert_eq!(closed(1).await, [ActivityOutcome::Cancelled]);

    // Dropped before the entry is even known to be written.
    {
        let mut enter = Box::pin(app.journal().enter(begin("Settle a workflow")));
        assert!(futures::poll!(&mut enter).is_pending());
    }
    assert_eq!(closed(2).await, [ActivityOutcome::Cancelled, ActivityOutcome::Cancelled]);

    // What was done stays done.
    let entry = app.journal().enter(begin("Deploy")).await.unwrap();
    entry.close_with(Ok(()), |()| End::default()).await.unwrap();
    assert_eq!(closed(3).await[0], ActivityOutcome::Done);
}

#[tokio::test]
async fn case_42_a_newer_versions_database_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.close().await;
    let file = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|e| e == "sqlite3")).unwrap();
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 1_000).unwrap();
    connection.execute_batch("CREATE TABLE of_tomorrow (id INTEGER); PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    let before = std::fs::read(&file).unwrap();

    let options = AppOptions { secrets: Arc::new(MemoryStore::default()), ..AppOptions::new(dir.path().to_owned()) };
    let error = App::open(options, Arc::new(Silent)).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::Storage);
    assert!(error.message.contains("newer version") && error.message.contains(&*file.to_string_lossy()), "{error:?}");
    assert!(error.hint.is_some_and(|hint| hint.contains("PILOTHOUSE_DATA")));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}
