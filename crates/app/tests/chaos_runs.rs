//! Chaos runs on the practice cluster: as they were seen, on commit, and found again after a kill.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its story cannot go on")]

#[path = "chaos_runs/projects.rs"]
mod projects;

use std::{path::Path, sync::Arc};

use pilothouse_app::{
    App, AppOptions, Silent,
    contract::{
        ActivityOutcome, ChaosProjectForm, ChaosWorkflowEntry, ConnectTarget, ErrorCode, RunEntry, RunPolicy, RunSeen,
        WorkflowResolution, WorkflowState,
    },
    journal::Intent,
    keychain::MemoryStore,
};
use pilothouse_practice::{git_remote::GitRemote, seed};

const REPOSITORY: &str = "acme/chaos";
const PROJECT: &str = "shop";

struct Place {
    dir: tempfile::TempDir,
    app: Arc<App>,
    remote: GitRemote,
}

async fn open(dir: &Path) -> Arc<App> {
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(Vec::new()),
        known_hosts: Vec::new(),
        ..AppOptions::new(dir.to_owned())
    };
    let app = App::open(options, Arc::new(Silent)).await.unwrap();
    app.connect(ConnectTarget::Practice, "connect".into()).await.unwrap();
    app
}

fn workflow(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: {name}\nspec:\n  entrypoint: main\n{rest}  \
         templates:\n    - name: main\n      container:\n        image: busybox\n"
    )
}

impl Place {
    async fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let app = open(dir.path()).await;
        app.set_identity("Robin Doe".into(), "robin@example.com".into()).await.unwrap();
        let remote = GitRemote::create(&dir.path().join("practice/repositories")).unwrap();
        remote.create_repo(REPOSITORY, "main").unwrap();
        let place = Self { dir, app, remote };
        place.push(files);
        let form = ChaosProjectForm {
            id: PROJECT.into(),
            namespace: "litmus".into(),
            use_gitops_repository: false,
            url: format!("ssh://git@{}:22/{REPOSITORY}", seed::GIT_HOST),
            branch: "main".into(),
            credential: None,
        };
        place.app.enable_project(form, "enable".into()).await.unwrap();
        place
    }

    fn push(&self, files: &[(&str, &str)]) {
        let named: Vec<(String, &str)> =
            files.iter().map(|(name, text)| (format!("litmus/{PROJECT}/{name}.yaml"), *text)).collect();
        let files: Vec<(&str, &str)> = named.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        self.remote.commit_files(REPOSITORY, "main", &files, "Change workflows").unwrap();
    }

    async fn sync(&self) {
        let report = self.app.sync_project(PROJECT.into(), "sync".into()).await.unwrap();
        assert!(report.problems.is_empty(), "{report:?}");
    }

    async fn preview(&self, name: &str) -> RunSeen {
        let preview = self.app.preview_run(PROJECT.into(), name.into()).await.unwrap();
        RunSeen { run: preview.run, digest: preview.digest, context: preview.context }
    }

    async fn entry(&self, name: &str, is: impl Fn(&ChaosWorkflowEntry) -> bool) -> ChaosWorkflowEntry {
        loop {
            let all = self.app.chaos_workflows(PROJECT.into()).await.unwrap();
            if let Some(found) = all.into_iter().find(|one| one.name == name && is(one)) {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    async fn runs(&self, number: usize) -> Vec<RunEntry> {
        loop {
            let found = self.app.list_runs(Some(PROJECT.into())).await.unwrap();
            if found.len() >= number {
                assert_eq!(found.len(), number, "{found:?}");
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_the_one_that_was_seen_and_starts_once() {
    let place = Place::new(&[("kill", &workflow("kill", ""))]).await;
    let run = async |seen: RunSeen| place.app.run_workflow(PROJECT.into(), "kill".into(), seen, None).await;
    let seen = place.preview("kill").await;
    let elsewhere = RunSeen { context: "eu-prod".into(), ..seen.clone() };
    assert_eq!(run(elsewhere).await.unwrap_err().code, ErrorCode::ChaosPreviewStale);

    let stale = place.preview("kill").await;
    let first = run(seen.clone()).await.unwrap();
    assert_eq!(first.run, seen.run);
    assert_eq!(run(seen).await.unwrap(), first);
    place.push(&[("kill", &workflow("kill", "  serviceAccountName: other\n"))]);
    place.sync().await;
    assert_eq!(run(stale).await.unwrap_err().code, ErrorCode::ChaosPreviewStale);
    place.runs(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_any_kind_and_anywhere_is_found_after_a_kill() {
    let engine = "apiVersion: litmuschaos.io/v1alpha1\nkind: ChaosEngine\nmetadata:\n  name: alone\n  namespace: krci\n\
                  spec:\n  engineState: active\n  chaosServiceAccount: litmus-admin\n  appinfo: {appns: krci, applabel: \
                  app=cart, appkind: deployment}\n  experiments: [{name: pod-delete}]\n";
    let cron = "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata:\n  name: nightly\n  namespace: krci\n\
                spec:\n  schedule: '0 3 * * *'\n  workflowSpec:\n    entrypoint: main\n    templates: [{name: main, \
                container: {image: busybox}}]\n";
    let place = Place::new(&[("alone", engine), ("nightly", cron)]).await;
    let mut started = Vec::new();
    for (name, kind) in [("alone", "ChaosEngine"), ("nightly", "Workflow")] {
        let seen = place.preview(name).await;
        let run = place.app.run_workflow(PROJECT.into(), name.into(), seen, None).await.unwrap();
        assert_eq!(run.namespace, "krci");
        started.push((kind, run.run));
    }

    // As a kill right after the runs were created would have left the timeline.
    let database = rusqlite::Connection::open(place.dir.path().join("pilothouse.sqlite3")).unwrap();
    let changed = database.execute("UPDATE activity SET outcome = 'interrupted' WHERE words LIKE 'Run the%'", []);
    assert_eq!(changed.unwrap(), 2);
    let open = place.app.journal().interrupted().await.unwrap();
    let intents: Vec<Intent> = open.into_iter().map(|entry| entry.intent).collect();
    for (kind, run) in &started {
        assert!(
            intents.iter().any(|intent| matches!(intent, Intent::Object { kind: k, namespace, name, .. }
                if k == kind && namespace == "krci" && name == run)),
            "{kind} {run}: {intents:?}"
        );
    }
    // Connecting looks for them, and finds them.
    place.app.disconnect().await.unwrap();
    place.app.connect(ConnectTarget::Practice, "again".into()).await.unwrap();
    loop {
        let page = place.app.activity(None, 50).await.unwrap();
        let runs: Vec<_> = page.entries.iter().filter(|entry| entry.words.starts_with("Run the")).collect();
        if place.app.journal().interrupted().await.unwrap().is_empty() {
            assert!(runs.iter().all(|entry| entry.outcome == ActivityOutcome::Done), "{runs:#?}");
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_runs_a_workflow_within_what_was_agreed_to() {
    let text = |lines: &str| format!("{}{lines}", workflow("kill", "  serviceAccountName: argo-chaos\n"));
    let place = Place::new(&[("kill", &text(""))]).await;
    let set = async |policy, seen| place.app.set_run_policy(PROJECT.into(), "kill".into(), policy, seen).await;
    assert_eq!(set(RunPolicy::OnCommit, None).await.unwrap_err().code, ErrorCode::ChaosPreviewStale);
    let reach = place.app.workflow_reach(PROJECT.into(), "kill".into()).await.unwrap();
    assert_eq!((reach.accounts, reach.images), (vec!["argo-chaos".to_owned()], vec!["busybox".to_owned()]));

    // Pushed before the policy is set and not synced yet: it is older than the policy, and is not run.
    place.push(&[("kill", &text("# before\n"))]);
    set(RunPolicy::OnCommit, Some(reach.digest.clone())).await.unwrap();
    place.sync().await;
    assert!(place.app.list_runs(Some(PROJECT.into())).await.unwrap().is_empty());

    place.push(&[("kill", &text("# one\n"))]);
    place.sync().await;
    place.sync().await;
    let run = place.runs(1).await.remove(0);
    let page = place.app.activity(None, 50).await.unwrap();
    let noted: Vec<_> = page.entries.iter().filter(|entry| entry.words.contains("runs on commit")).collect();
    assert_eq!(noted.len(), 1, "{noted:#?}");
    assert_eq!(noted[0].object.as_deref(), Some(format!("Workflow/litmus/{}", run.name).as_str()));

    place.push(&[("kill", &text("# two\n").replace("argo-chaos", "cluster-admin"))]);
    place.sync().await;
    let held = place.entry("kill", |one| one.held_back.is_some()).await;
    assert!(held.held_back.unwrap().contains("cluster-admin"));
    assert_eq!(set(RunPolicy::OnCommit, Some(reach.digest)).await.unwrap_err().code, ErrorCode::ChaosPreviewStale);
    place.runs(1).await;

    // Somebody looks and agrees: from then on, and not at once.
    let reach = place.app.workflow_reach(PROJECT.into(), "kill".into()).await.unwrap();
    set(RunPolicy::OnCommit, Some(reach.digest)).await.unwrap();
    place.sync().await;
    place.entry("kill", |one| one.held_back.is_none()).await;
    place.runs(1).await;
    place.push(&[("kill", &text("# three\n").replace("argo-chaos", "cluster-admin"))]);
    place.sync().await;
    place.runs(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_confirmed_only_as_it_was_seen() {
    let place = Place::new(&[("kill", &workflow("kill", ""))]).await;
    let file = format!("litmus/{PROJECT}/kill.yaml");
    let clone = place.dir.path().join("colleague");
    let bare = place.remote.path(REPOSITORY);
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(["-c", "user.name=Sam", "-c", "user.email=sam@example.com"]).args(arguments);
        assert!(command.current_dir(place.dir.path()).output().unwrap().status.success(), "{arguments:?}");
    };
    let at = clone.display().to_string();
    git(&["clone", "-q", &bare.display().to_string(), &at]);
    git(&["-C", &at, "rm", "-q", &file]);
    git(&["-C", &at, "commit", "-q", "-m", "Remove it"]);
    git(&["-C", &at, "push", "-q"]);
    place.sync().await;
    place.entry("kill", |one| one.state == WorkflowState::DeletedInGit).await;
    let sides = place.app.workflow_sides(PROJECT.into(), "kill".into()).await.unwrap();
    assert_eq!((sides.git, sides.seen.blob.as_deref()), (None, None));

    place.push(&[("kill", &workflow("kill", "  serviceAccountName: back\n"))]);
    let settle = async |seen| {
        let how = WorkflowResolution::ConfirmDeletion;
        place.app.resolve_workflow(PROJECT.into(), "kill".into(), how, seen, "settle".into()).await
    };
    assert_eq!(settle(sides.seen).await.unwrap_err().code, ErrorCode::ChaosPreviewStale);
    assert!(place.app.workflow_sides(PROJECT.into(), "kill".into()).await.unwrap().git.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_deleted_only_as_it_was_opened() {
    let place = Place::new(&[("kill", &workflow("kill", ""))]).await;
    let open = async || place.app.open_workflow(PROJECT.into(), "kill".into()).await;
    let delete = async |blob| place.app.delete_workflow(PROJECT.into(), "kill".into(), blob, "delete".into()).await;
    let seen = open().await.unwrap().base_blob;
    place.push(&[("kill", &workflow("kill", "  serviceAccountName: other\n"))]);
    place.sync().await;
    assert_eq!(delete(seen).await.unwrap_err().code, ErrorCode::ChaosPreviewStale);
    let now = open().await.unwrap();
    assert!(now.text.contains("other"));
    delete(now.base_blob).await.unwrap();
    assert!(open().await.is_err());
}
