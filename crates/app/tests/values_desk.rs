//! Around the values editor: help while writing, a file's history, and environments beside each other.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::sync::Arc;

use pilothouse_app::{
    App, AppOptions, Silent,
    contract::{
        CommitOutcome, CommitValues, ConnectTarget, ErrorCode, FieldKind, PromotionChange, PromotionSide, ValueSource,
        ValuesFile,
    },
    keychain::MemoryStore,
};

fn file(env: &str) -> ValuesFile {
    ValuesFile { flow: "storefront".into(), env: env.into(), app: "cart".into() }
}

async fn desk(data: &std::path::Path) -> Arc<App> {
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(Vec::new()),
        authority: None,
        ..AppOptions::new(data.to_owned())
    };
    let app = App::open(options, Arc::new(Silent)).await.unwrap();
    app.connect(ConnectTarget::Practice, "connect".into()).await.unwrap();
    app.set_identity("Ada Example".into(), "ada@example.org".into()).await.unwrap();
    app.register_repository("https://git.practice.local/acme/cart.git".into()).await.unwrap();
    app
}

/// Commits over what is there, and gives the commit's name.
async fn commit(app: &App, env: &str, text: &str, message: &str) -> String {
    let base_blob = app.open_values(file(env)).await.unwrap().base_blob;
    let of = file(env);
    let request =
        CommitValues { flow: of.flow, env: of.env, app: of.app, text: text.into(), base_blob, message: message.into() };
    match app.commit_values(request, "commit".into()).await.unwrap() {
        CommitOutcome::Published { commit, .. } => commit.id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_tells_its_history_and_who_wrote_each_line() {
    let data = tempfile::tempdir().unwrap();
    let app = desk(data.path()).await;
    let first = commit(&app, "dev", "replicaCount: 1\nservice:\n  port: 80\n", "Add").await;
    commit(&app, "qa", "replicaCount: 9\n", "Elsewhere").await;
    let second = commit(&app, "dev", "replicaCount: 3\nservice:\n  port: 80\n", "Scale").await;

    let history = app.values_history(file("dev"), None).await.unwrap();
    let ids: Vec<&str> = history.versions.iter().map(|one| one.commit.id.as_str()).collect();
    assert_eq!(ids, [second.as_str(), first.as_str()], "newest first, and no other file's commits");
    assert!(history.versions.iter().all(|one| one.ran.is_empty()), "nothing was deployed from here");

    let version = app.values_version(file("dev"), second.clone()).await.unwrap();
    assert_eq!((version.change.added, version.change.removed), (1, 1));
    assert_eq!((version.back.added, version.back.removed), (0, 0), "it is the version of the branch");
    let version = app.values_version(file("dev"), first.clone()).await.unwrap();
    assert_eq!((version.change.added, version.change.removed), (3, 0), "it made the file");
    assert_eq!(version.text.as_deref(), Some("replicaCount: 1\nservice:\n  port: 80\n"));
    assert_eq!((version.back.added, version.back.removed), (1, 1));

    let blame = app.values_blame(file("dev")).await.unwrap().unwrap();
    let lines: Vec<(u32, u32, &str)> = blame
        .ranges
        .iter()
        .map(|range| (range.first, range.lines, blame.commits[range.commit.unwrap() as usize].id.as_str()))
        .collect();
    assert_eq!(lines, [(1, 1, second.as_str()), (2, 2, first.as_str())]);
    assert_eq!(app.values_blame(file("prod")).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chart_helps_while_a_file_is_written() {
    let data = tempfile::tempdir().unwrap();
    let app = desk(data.path()).await;
    let opened = app.open_values(file("dev")).await.unwrap();
    assert!(opened.defaults.is_some(), "{:?}", opened.defaults_problem);

    let offered = app.complete_values(file("dev"), "repl".into(), 1, 5).await.unwrap();
    assert!(offered.iter().any(|one| one.label == "replicaCount" && one.from == 1), "{offered:?}");
    let hover = app.hover_values(file("dev"), "replicaCount: 3\n".into(), 1, 3).await.unwrap().unwrap();
    assert_eq!(hover.path, "replicaCount");
    assert!(hover.default.is_some());

    // Clicking edits the same text, and only the value's bytes.
    let text = "# ours\nreplicaCount: 3 # three\n";
    let fields = app.values_fields(file("dev"), text.into()).await.unwrap();
    let field = fields.iter().find(|one| one.path == "replicaCount").unwrap();
    assert_eq!((field.kind, field.source), (FieldKind::Number, ValueSource::File));
    let set = app.set_value(text.into(), "replicaCount".into(), "5".into(), FieldKind::Number).await.unwrap();
    assert_eq!(set, "# ours\nreplicaCount: 5 # three\n");
    let words = app.set_value(set, "note".into(), "5".into(), FieldKind::Text).await.unwrap();
    assert!(words.contains("note: \"5\"") || words.contains("note: '5'"), "text stays text: {words}");
    let unset = app.unset_value(words, "note".into()).await.unwrap();
    assert_eq!(unset, "# ours\nreplicaCount: 5 # three\n");
    let refused = app.set_value(unset, "a..b".into(), "5".into(), FieldKind::Number).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Values);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_between_environments_is_told_and_taken_over() {
    let data = tempfile::tempdir().unwrap();
    let app = desk(data.path()).await;
    commit(&app, "dev", "replicaCount: 1\nlogLevel: debug\n", "Add dev").await;
    // Once the target is written, what differs from then on is the source's change.
    commit(&app, "qa", "# qa\nreplicaCount: 4 # more load\nlogLevel: debug\n", "Add qa").await;
    commit(&app, "dev", "replicaCount: 1\nlogLevel: info\nextra: true\n", "Quieter").await;

    let matrix = app.values_matrix("storefront".into(), "cart".into()).await.unwrap();
    let names: Vec<&str> = matrix.environments.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["dev", "qa"]);
    assert!(matrix.environments.iter().all(|one| one.exists && one.problem.is_none()), "{:?}", matrix.environments);
    let row = matrix.rows.iter().find(|row| row.path == "replicaCount").unwrap();
    let cells: Vec<(&str, ValueSource)> =
        row.cells.iter().flatten().map(|cell| (cell.value.as_str(), cell.source)).collect();
    assert_eq!(cells, [("1", ValueSource::File), ("4", ValueSource::File)]);
    assert!(matrix.same > 0 && matrix.rows.iter().all(|row| row.path != "service.port"));

    let promotion = app.preview_promotion(file("dev"), file("qa")).await.unwrap();
    assert!(promotion.base.is_some() && promotion.target_exists);
    let side = |path: &str| promotion.rows.iter().find(|row| row.path == path).map(|row| (row.changed_in, row.change));
    assert_eq!(side("replicaCount"), Some((PromotionSide::Target, PromotionChange::Changed)), "meant to differ");
    assert_eq!(side("logLevel"), Some((PromotionSide::Source, PromotionChange::Changed)));
    assert_eq!(side("extra"), Some((PromotionSide::Source, PromotionChange::Added)));
    let paths = vec!["logLevel".to_owned(), "extra".to_owned()];
    let taken = app.promoted_text(file("dev"), promotion.target_text.clone(), paths).await.unwrap();
    assert_eq!(taken.lost, []);
    let text = taken.text;
    assert_eq!(text, "# qa\nreplicaCount: 4 # more load\nlogLevel: info\nextra: true\n");

    let nothing = app.preview_promotion(file("prod"), file("qa")).await.unwrap_err();
    assert_eq!(nothing.code, ErrorCode::NotFound, "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_merged_gives_the_text_that_is_on_the_branch() {
    let data = tempfile::tempdir().unwrap();
    let app = desk(data.path()).await;
    let text = |first: u8, last: u8| format!("first: {first}\na: 1\nb: 2\nc: 3\nd: 4\nlast: {last}\n");
    commit(&app, "dev", &text(1, 1), "Add").await;
    let base_blob = app.open_values(file("dev")).await.unwrap().base_blob;
    // Both began with the same version.
    let change = |text: String| CommitValues {
        flow: "storefront".into(),
        env: "dev".into(),
        app: "cart".into(),
        text,
        base_blob: base_blob.clone(),
        message: "Change".into(),
    };
    let alone = app.commit_values(change(text(2, 1)), "one".into()).await.unwrap();
    assert!(matches!(alone, CommitOutcome::Published { merged: false, text: None, .. }), "{alone:?}");
    let merged = app.commit_values(change(text(1, 2)), "two".into()).await.unwrap();
    let CommitOutcome::Published { merged: true, text: Some(now), blob, .. } = merged else { panic!("{merged:?}") };
    assert_eq!(now, text(2, 2));
    let opened = app.open_values(file("dev")).await.unwrap();
    assert_eq!((opened.text, opened.base_blob), (now, blob), "the text and the version belong together");
}
