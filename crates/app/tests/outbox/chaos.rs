//! Chaos projects on a real Git server: what upstream's GitOps does to commits, locks and pushes and this does not, a
//! connection told apart, and a place that changes.

use std::sync::Arc;

use pilothouse_app::{
    App,
    contract::{
        ChaosProjectForm, CommitOutcome, ConnectionPart, ConnectionTest, CredentialInput, ErrorCode, InfraChange,
        PartOutcome, PlaceSeen, PreviewWhat, ProjectState, RemapForm, SaveWorkflow, WorkflowState,
    },
};
use pilothouse_rig::git_host::{GitHost, RepoHandle};
use secrecy::SecretString;

use crate::stage::Stage;

fn workflow(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: {name}\n{rest}spec:\n  entrypoint: main\n  \
         templates:\n    - name: main\n      container:\n        image: busybox\n"
    )
}

fn form(stage: &Stage, id: &str, repo: &RepoHandle) -> ChaosProjectForm {
    ChaosProjectForm {
        id: id.into(),
        namespace: "litmus".into(),
        use_gitops_repository: false,
        url: stage.wire.url(&repo.url),
        branch: String::new(),
        credential: Some(stage.place.credential()),
    }
}

async fn stage(names: &[&str]) -> (Stage, Vec<RepoHandle>) {
    let stage = Stage::on(|host| host.create_repo("acme/gitops").unwrap()).await;
    let repos = names.iter().map(|name| made(&stage.host, name)).collect();
    (stage, repos)
}

fn made(host: &GitHost, name: &str) -> RepoHandle {
    host.create_repo(name).unwrap()
}

fn save(project: &str, name: &str, text: &str, base_blob: Option<String>) -> SaveWorkflow {
    let message = format!("Save {name}");
    SaveWorkflow { project: project.into(), name: name.into(), text: text.into(), base_blob, message }
}

async fn states(app: &Arc<App>, project: &str, number: usize) -> Vec<(String, WorkflowState)> {
    loop {
        let all = app.chaos_workflows(project.into()).await.unwrap();
        if all.len() == number {
            return all.into_iter().map(|one| (one.name, one.state)).collect();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_the_person_who_saved_is_lost_in_the_commit() {
    let (stage, repos) = stage(&["acme/chaos"]).await;
    stage.app.enable_project(form(&stage, "shop", &repos[0]), "enable".into()).await.unwrap();
    stage.app.save_workflow(save("shop", "kill", &workflow("kill", ""), None), "save".into()).await.unwrap();
    let log = repos[0].git(&["log", "-1", "--format=%an <%ae>|%cn <%ce>|%s", "main"]).unwrap();
    assert_eq!(log.trim(), "Ada Example <ada@example.org>|Ada Example <ada@example.org>|Save kill");
    assert_eq!(repos[0].show("main", "litmus/shop/kill.yaml"), Some(workflow("kill", "")));
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_a_push_that_a_colleague_was_faster_than_is_an_error_and_lost() {
    let (stage, repos) = stage(&["acme/chaos"]).await;
    stage.app.enable_project(form(&stage, "shop", &repos[0]), "enable".into()).await.unwrap();
    // Whatever is pushed, a colleague's push is in the repository a moment before: once, in the hook that decides.
    let hook = "#!/bin/sh\n[ -e \"$GIT_DIR/once\" ] && exit 0\ntouch \"$GIT_DIR/once\"\nunset GIT_QUARANTINE_PATH \
                GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\ntree=$(git rev-parse main^{tree})\n\
                theirs=$(GIT_AUTHOR_NAME=Sam GIT_AUTHOR_EMAIL=sam@example.org GIT_COMMITTER_NAME=Sam \
                GIT_COMMITTER_EMAIL=sam@example.org git commit-tree \"$tree\" -p main -m Theirs)\n\
                git update-ref refs/heads/main \"$theirs\"\nexit 0\n";
    repos[0].install_hook("pre-receive", hook).unwrap();
    let saved =
        stage.app.save_workflow(save("shop", "kill", &workflow("kill", ""), None), "save".into()).await.unwrap();
    assert!(matches!(saved, CommitOutcome::Published { .. }), "{saved:?}");
    let log = repos[0].git(&["log", "-2", "--format=%s", "main"]).unwrap();
    assert_eq!(log.lines().collect::<Vec<_>>(), ["Save kill", "Theirs"], "on top of theirs, which stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_repositories_whose_names_are_alike_share_a_lock() {
    // Upstream cuts the letters of ".git" off both ends of a name, so that these are one to it.
    let names = ["acme/b", "acme/big", "acme/chaos-test", "acme/chaos-tes"];
    let (stage, repos) = stage(&names).await;
    for (at, repo) in repos.iter().enumerate() {
        let id = format!("p{at}");
        let name = format!("of-{at}");
        repo.push_file(&format!("litmus/{id}/{name}.yaml"), &workflow(&name, ""), "Theirs").unwrap();
        stage.app.enable_project(form(&stage, &id, repo), format!("enable-{at}")).await.unwrap();
    }
    // All at once, each saves into its own and sees nothing of the others.
    let saving = (0..names.len()).map(|at| {
        let (id, name) = (format!("p{at}"), format!("new-{at}"));
        let request = save(&id, &name, &workflow(&name, ""), None);
        stage.app.save_workflow(request, format!("save-{at}"))
    });
    for saved in futures::future::try_join_all(saving).await.unwrap() {
        assert!(matches!(saved, CommitOutcome::Published { .. }), "{saved:?}");
    }
    for (at, repo) in repos.iter().enumerate() {
        let files = repo.git(&["ls-tree", "-r", "--name-only", "main", "litmus/"]).unwrap();
        let wanted = [format!("litmus/p{at}/new-{at}.yaml"), format!("litmus/p{at}/of-{at}.yaml")];
        assert_eq!(files.lines().collect::<Vec<_>>(), wanted);
        assert!(
            states(&stage.app, &format!("p{at}"), 2).await.iter().all(|(_, state)| *state == WorkflowState::InSync)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_a_branch_that_is_gone_is_a_line_in_a_log() {
    let (stage, repos) = stage(&["acme/chaos"]).await;
    repos[0].push_file_to("chaos", "litmus/shop/kill.yaml", &workflow("kill", ""), "Theirs").unwrap();
    let on = ChaosProjectForm { branch: "chaos".into(), ..form(&stage, "shop", &repos[0]) };
    stage.app.enable_project(on, "enable".into()).await.unwrap();
    assert_eq!(states(&stage.app, "shop", 1).await[0].1, WorkflowState::InSync);
    repos[0].git(&["branch", "-D", "chaos"]).unwrap();
    let error = stage.app.sync_project("shop".into(), "sync".into()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::GitNoBranch, "{error:?}");
    let entry = loop {
        let all = stage.app.chaos_overview().await.unwrap().projects;
        match all.into_iter().find(|one| one.id == "shop" && one.state == ProjectState::Failed) {
            Some(found) => break found,
            None => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    };
    assert!(entry.message.as_deref().is_some_and(|words| words.contains("chaos")), "{entry:?}");
    assert_eq!(states(&stage.app, "shop", 1).await[0].1, WorkflowState::InSync, "no workflow is taken for deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_moved_on_a_real_server_in_one_commit_and_every_other_byte_stays() {
    let (stage, repos) = stage(&["acme/chaos"]).await;
    let of = |name: &str, infra: &str| {
        workflow(name, &format!("  labels: # theirs\n    infra_id: '{infra}'   # where\n    workflow_id: w-{name}\n"))
    };
    for (name, infra) in [("a", "old"), ("b", "old"), ("c", "other")] {
        repos[0].push_file(&format!("litmus/shop/{name}.yaml"), &of(name, infra), "Theirs").unwrap();
    }
    stage.app.enable_project(form(&stage, "shop", &repos[0]), "enable".into()).await.unwrap();
    let commits = repos[0].commits("main").unwrap();
    let ties = stage.app.project_ties("shop".into()).await.unwrap();
    assert_eq!((ties.infras[0].id.as_str(), ties.infras[0].files, ties.experiments), ("old", 2, 3));
    let how =
        RemapForm { infras: vec![InfraChange { from: "old".into(), to: "new".into() }], forget_experiments: false };
    let preview = stage.app.preview_remap("shop".into(), how.clone()).await.unwrap();
    assert_eq!(preview.files.len(), 2);
    let moved =
        stage.app.remap_project("shop".into(), how.clone(), preview.digest.clone(), "Move".into(), "move".into());
    assert!(matches!(moved.await.unwrap(), CommitOutcome::Published { .. }));
    assert_eq!(repos[0].commits("main").unwrap(), commits + 1);
    let log = repos[0].git(&["log", "-1", "--format=%an|%s", "--name-only", "main"]).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, ["Ada Example|Move", "litmus/shop/a.yaml", "litmus/shop/b.yaml"]);
    assert_eq!(repos[0].show("main", "litmus/shop/a.yaml"), Some(of("a", "new")));
    assert_eq!(repos[0].show("main", "litmus/shop/c.yaml"), Some(of("c", "other")));
    // What was seen counts once: the files are others now.
    let again = stage.app.remap_project("shop".into(), how, preview.digest, "Move".into(), "again".into()).await;
    assert_eq!(again.unwrap_err().code, ErrorCode::ChaosPreviewStale);
}

fn outcomes(test: &ConnectionTest) -> Vec<(ConnectionPart, PartOutcome)> {
    test.parts.iter().map(|one| (one.part, one.outcome)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_says_of_each_part_how_it_stands() {
    use ConnectionPart as P;
    use PartOutcome::{Failed, NotReached, Passed};

    let (stage, repos) = stage(&["acme/chaos"]).await;
    let test = async |form: ChaosProjectForm| stage.app.test_project(form).await.unwrap();
    let all = |six: [PartOutcome; 6]| {
        [P::Server, P::Identity, P::Reading, P::Branch, P::Folder, P::Writing].into_iter().zip(six).collect::<Vec<_>>()
    };
    let good = form(&stage, "shop", &repos[0]);
    let found = test(good.clone()).await;
    assert_eq!(outcomes(&found), all([Passed; 6]), "{found:?}");
    assert_eq!((found.branch.as_deref(), found.error.is_none()), (Some("main"), true));

    // A branch that is not there says nothing of the right to push.
    let found = test(ChaosProjectForm { branch: "nope".into(), ..good.clone() }).await;
    assert_eq!(outcomes(&found), all([Passed, Passed, Passed, Failed, NotReached, Passed]), "{found:?}");
    assert_eq!(found.error.unwrap().code, ErrorCode::GitNoBranch);

    let wrong = CredentialInput::Token { username: None, token: SecretString::from("wrong".to_owned()) };
    let found = test(ChaosProjectForm { credential: Some(wrong), ..good.clone() }).await;
    assert_eq!(outcomes(&found), all([Passed, Passed, Failed, NotReached, NotReached, NotReached]), "{found:?}");

    let nowhere = ChaosProjectForm { url: good.url.replace("acme/chaos", "acme/nope"), ..good.clone() };
    let found = test(nowhere).await;
    assert_eq!(outcomes(&found), all([Passed, Passed, Failed, NotReached, NotReached, NotReached]), "{found:?}");

    // A file where the folder belongs.
    repos[0].push_file_to("filed", "litmus/shop", "x\n", "Theirs").unwrap();
    let found = test(ChaosProjectForm { branch: "filed".into(), ..good.clone() }).await;
    assert_eq!(outcomes(&found), all([Passed, Passed, Passed, Passed, Failed, Passed]), "{found:?}");

    // The server is not who it says it is, to whom does not know its authority.
    let stranger = Stage::on(|host| host.create_repo("acme/gitops").unwrap()).await;
    let found = test(ChaosProjectForm { url: stranger.place.url.clone(), ..good.clone() }).await;
    assert_eq!(outcomes(&found), all([Passed, Failed, NotReached, NotReached, NotReached, NotReached]), "{found:?}");

    stage.wire.unplug();
    let found = test(good).await;
    assert_eq!(
        outcomes(&found),
        all([Failed, NotReached, NotReached, NotReached, NotReached, NotReached]),
        "{found:?}"
    );
    assert!(found.parts[0].words.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_changes_its_place_as_it_was_shown() {
    let (stage, repos) = stage(&["acme/old", "acme/new"]).await;
    for name in ["kill", "only"] {
        repos[0].push_file(&format!("litmus/shop/{name}.yaml"), &workflow(name, ""), "Theirs").unwrap();
    }
    repos[1].push_file("litmus/shop/kill.yaml", &workflow("kill", "  # there\n"), "Theirs").unwrap();
    stage.app.enable_project(form(&stage, "shop", &repos[0]), "enable".into()).await.unwrap();
    states(&stage.app, "shop", 2).await;
    let there = form(&stage, "shop", &repos[1]);
    let preview = stage.app.preview_project(there.clone(), true).await.unwrap();
    let items: Vec<_> = preview.items.iter().map(|one| (one.workflow.as_str(), one.what)).collect();
    assert_eq!(items, [("kill", PreviewWhat::Update), ("only", PreviewWhat::Export)], "{preview:?}");
    let asked = stage.app.preview_project(there.clone(), false).await.unwrap();
    assert_eq!(asked.items[1].what, PreviewWhat::Missing);
    let seen = preview.seen.unwrap();
    assert_eq!(seen.url, stage.wire.url(&repos[0].url));

    let stale = PlaceSeen { branch: "other".into(), ..seen.clone() };
    let refused = stage.app.change_project(there.clone(), stale, true, "change".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ChaosPreviewStale);
    let off = stage.app.preview_disable("shop".into()).await.unwrap();
    let files: Vec<_> = off.workflows.iter().map(|one| one.file.as_deref()).collect();
    assert_eq!(files, [Some("litmus/shop/kill.yaml"), Some("litmus/shop/only.yaml")]);
    assert_eq!((off.place.url.as_str(), off.object.as_str(), off.running.len()), (seen.url.as_str(), "litmus/shop", 0));

    let before = repos[0].tip("main");
    let changed = stage.app.change_project(there, seen, true, "again".into()).await.unwrap();
    assert_eq!((changed.url, changed.state), (stage.wire.url(&repos[1].url), ProjectState::InSync));
    assert_eq!(repos[1].show("main", "litmus/shop/only.yaml"), Some(workflow("only", "")));
    assert_eq!(repos[0].tip("main"), before, "the old place is left as it is");
    assert!(stage.app.list_runs(None).await.unwrap().is_empty());
}
