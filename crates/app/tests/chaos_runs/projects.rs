//! Chaos projects on the practice cluster: what enabling would do, schedules, signed commits.

use std::process::Command;

use pilothouse_app::contract::{
    ChaosProjectForm, CredentialInput, ErrorCode, PreviewWhat, RunPolicy, SaveWorkflow, WorkflowState,
};
use pilothouse_git::generate_ed25519;
use pilothouse_practice::seed;

use crate::{PROJECT, Place, REPOSITORY, workflow};

fn form(id: &str) -> ChaosProjectForm {
    ChaosProjectForm {
        id: id.into(),
        namespace: "litmus".into(),
        use_gitops_repository: false,
        url: format!("ssh://git@{}:22/{REPOSITORY}", seed::GIT_HOST),
        branch: String::new(),
        credential: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_enabling_would_do_is_shown_and_is_what_happens() {
    let place = Place::new(&[("kill", &workflow("kill", ""))]).await;
    let files = [
        ("litmus/next/kill.yaml", workflow("kill", "")),
        ("litmus/next/old.yml", workflow("old", "")),
        ("litmus/next/broken.yaml", "kind: [\n".to_owned()),
        ("litmus/next/README.md", "read me\n".to_owned()),
    ];
    let borrowed: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    place.remote.commit_files(REPOSITORY, "main", &borrowed, "Bring workflows").unwrap();
    let preview = place.app.preview_project(form("next"), false).await.unwrap();
    let items: Vec<_> = preview.items.iter().map(|one| (one.workflow.as_str(), one.what)).collect();
    let wanted = [("broken", PreviewWhat::Invalid), ("kill", PreviewWhat::Import), ("old.yml", PreviewWhat::Invalid)];
    assert_eq!(items, wanted, "{preview:?}");
    assert!(preview.items[0].line.is_some() && preview.items[2].message.as_ref().unwrap().contains("old.yaml"));
    assert_eq!((preview.branch.as_str(), preview.folder.as_str()), ("main", "litmus/next"));
    assert_eq!((preview.cannot_write, preview.follows, preview.complete), (None, None, true));
    // Looking does nothing.
    assert!(place.app.chaos_overview().await.unwrap().projects.iter().all(|one| one.id != "next"));

    place.app.enable_project(form("next"), "enable".into()).await.unwrap();
    let mut states: Vec<_> =
        place.app.chaos_workflows("next".into()).await.unwrap().into_iter().map(|one| (one.name, one.state)).collect();
    states.sort_by(|a, b| a.0.cmp(&b.0));
    let wanted =
        [("broken", WorkflowState::Invalid), ("kill", WorkflowState::InSync), ("old.yml", WorkflowState::Invalid)];
    assert_eq!(states, wanted.map(|(name, state)| (name.to_owned(), state)));
    let again = place.app.preview_project(form("next"), false).await.unwrap();
    assert!(again.items.iter().all(|one| matches!(one.what, PreviewWhat::Same | PreviewWhat::Invalid)), "{again:?}");
    let elsewhere = ChaosProjectForm { branch: "no-such".into(), ..form("next") };
    assert_eq!(place.app.preview_project(elsewhere, false).await.unwrap_err().code, ErrorCode::Fields);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_runs_what_it_asks_for_once_somebody_agreed() {
    let text = |schedule: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata:\n  name: tick\nspec:\n  schedule: '{schedule}'\n  workflowSpec:\n    entrypoint: main\n    templates:\n      - name: main\n        container:\n          image: busybox\n"
        )
    };
    let place = Place::new(&[("tick", &text("@every 2s")), ("kill", &workflow("kill", ""))]).await;
    let reach = place.app.workflow_reach(PROJECT.into(), "tick".into()).await.unwrap();
    assert!(reach.schedule.as_deref().is_some_and(|words| words.contains("@every 2s")), "{reach:?}");
    let plain = place.app.workflow_reach(PROJECT.into(), "kill".into()).await.unwrap();
    assert!(plain.schedule.is_none() && plain.schedule_problem.is_some(), "{plain:?}");
    assert!(place.app.list_runs(None).await.unwrap().is_empty(), "nothing asked for a run");

    let set = async |policy, seen| place.app.set_run_policy(PROJECT.into(), "tick".into(), policy, seen).await;
    set(RunPolicy::OnSchedule, Some(reach.digest)).await.unwrap();
    place.app.look_again();
    while place.app.list_runs(Some(PROJECT.into())).await.unwrap().len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let runs = place.app.list_runs(Some(PROJECT.into())).await.unwrap();
    assert!(runs.iter().all(|run| run.workflow.as_deref() == Some("tick")), "{runs:?}");
    let entry = place.entry("tick", |one| one.schedule.as_ref().is_some_and(|s| s.next.is_some())).await;
    assert_eq!(entry.held_back, None);

    // Another schedule is nobody's agreement.
    place.push(&[("tick", &text("@every 1h"))]);
    place.sync().await;
    let held = place.entry("tick", |one| one.held_back.is_some()).await;
    assert!(held.held_back.unwrap().contains("@every 1h"));
    set(RunPolicy::Manual, None).await.unwrap();
    place.entry("tick", |one| one.schedule.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_signed_with_the_key_from_the_keychain() {
    let place = Place::new(&[("kill", &workflow("kill", ""))]).await;
    let key = generate_ed25519("robin").unwrap();
    assert_eq!(place.app.signing().await.unwrap().fingerprint, None);
    let input = CredentialInput::KeyText { text: key.private_openssh, passphrase: None };
    let view = place.app.set_signing(Some(input)).await.unwrap();
    assert_eq!(view.fingerprint.as_deref(), Some(key.fingerprint.as_str()));

    let change = async |lines: &str| {
        let opened = place.app.open_workflow(PROJECT.into(), "kill".into()).await.unwrap();
        let request = SaveWorkflow {
            project: PROJECT.into(),
            name: "kill".into(),
            text: format!("{}{lines}", opened.text),
            base_blob: opened.base_blob,
            message: "Say more".into(),
        };
        place.app.save_workflow(request, "save".into()).await
    };
    change("# one\n").await.unwrap();
    let bare = place.remote.path(REPOSITORY);
    let signers = place.dir.path().join("signers");
    std::fs::write(&signers, format!("robin@example.com {}\n", key.public_openssh)).unwrap();
    let git = |arguments: &[&str]| {
        let allowed = format!("gpg.ssh.allowedSignersFile={}", signers.display());
        let mut git = Command::new("git");
        git.arg("-C").arg(&bare).args(["-c", "gpg.format=ssh", "-c", &allowed]).args(arguments);
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap()
    };
    let verified = git(&["verify-commit", "main"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let told = git(&["log", "-1", "--format=%an <%ae> %(trailers:key=Chaos-Workflow,valueonly)", "main"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.starts_with("Robin Doe <robin@example.com> kill"), "{told}");

    // Off again: no signature.
    place.app.set_signing(None).await.unwrap();
    change("# two\n").await.unwrap();
    assert!(!git(&["verify-commit", "main"]).status.success());
}
