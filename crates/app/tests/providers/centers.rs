//! Connections to ChaosCenter through the app.

use std::sync::Arc;

use pilothouse_app::{
    App, AppOptions,
    contract::{CenterForm, CenterGitOpsForm, ConnectTarget, CredentialInput, ErrorCode, Verdict},
    keychain::{MemoryStore, SecretStore},
};
use pilothouse_rig::center_host::{CenterHost, EXPERIMENT, PROJECT};

use crate::stage::{Told, credential};

fn form(host: &CenterHost, token: &str) -> CenterForm {
    CenterForm { name: "staging".into(), url: host.url(), credential: credential("", token) }
}

/// Everything below a folder.
fn bytes_below(folder: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().filter_map(Result::ok) {
        if entry.path().is_dir() {
            all.extend(bytes_below(&entry.path()));
        } else {
            all.extend(std::fs::read(entry.path()).unwrap_or_default());
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chaoscenter_is_added_looked_at_run_stopped_and_forgotten() {
    let host = CenterHost::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, &host.ca_pem).unwrap();
    let secrets = Arc::new(MemoryStore::default());
    let data = folder.path().join("data");
    let options = || AppOptions {
        secrets: secrets.clone(),
        kubeconfig: Some(Vec::new()),
        known_hosts: Vec::new(),
        authority: Some(authority.clone()),
        ..AppOptions::new(data.clone())
    };
    let told = Arc::new(Told::default());
    let app = App::open(options(), told.clone()).await.unwrap();

    // A token that is not taken is not kept, and plain HTTP is not even tried.
    let refused = app.add_chaos_center(form(&host, "seeded-wrong-token")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ProviderAuth, "{refused:?}");
    assert!(refused.hint.as_deref().is_some_and(|hint| hint.contains("ChaosCenter")), "{refused:?}");
    assert!(app.chaos_centers().await.unwrap().is_empty());
    let plain = CenterForm { url: "http://chaos.example".into(), ..form(&host, "t") };
    assert_eq!(app.test_chaos_center(plain).await.unwrap_err().code, ErrorCode::ProviderRefused);

    assert_eq!(app.test_chaos_center(form(&host, &host.token)).await.unwrap()[0].name, "admin-project");
    let added = app.add_chaos_center(form(&host, &host.token)).await.unwrap();
    assert!(app.add_chaos_center(form(&host, &host.token)).await.is_err(), "one name, one connection");
    app.close().await;

    // The next start finds it, and the token only in the keychain.
    let app = App::open(options(), told.clone()).await.unwrap();
    assert_eq!(app.chaos_centers().await.unwrap(), std::slice::from_ref(&added));
    let projects = app.center_projects(added.id.clone()).await.unwrap();
    let (id, project) = (added.id.clone(), projects[0].id.clone());
    assert_eq!(project, PROJECT);
    let view = app.center_project(id.clone(), project.clone()).await.unwrap();
    let experiment = &view.experiments[0];
    let last = experiment.last_run.as_ref().unwrap();
    assert_eq!((experiment.id.as_str(), last.verdict, last.score), (EXPERIMENT, Verdict::Fail, Some(50.0)));
    assert!(!view.git_ops.unwrap().enabled);

    // Nothing starts without the name that was shown.
    let run = async |confirm: &str| {
        app.run_center_experiment(id.clone(), project.clone(), EXPERIMENT.into(), confirm.to_owned()).await
    };
    assert_eq!(run("another").await.unwrap_err().code, ErrorCode::ConfirmationNeeded);
    assert!(host.asked().iter().all(|asked| asked.operation != "runChaosExperiment"));
    let started = run(&experiment.name).await.unwrap().run;
    assert_eq!((started.phase.as_str(), started.ended), ("Queued", false));
    app.stop_center_run(id.clone(), project.clone(), EXPERIMENT.into(), started.id.clone()).await.unwrap();
    let stopped = app.center_run(id.clone(), project.clone(), started.id).await.unwrap().run;
    assert_eq!((stopped.ended, stopped.verdict), (true, Verdict::Stopped));

    let git = |branch: &str, credential: CredentialInput| CenterGitOpsForm {
        url: "https://git.example/chaos.git".into(),
        branch: branch.into(),
        credential,
    };
    let token = || credential("", "seeded-git-token");
    let absent = app.enable_center_git_ops(id.clone(), project.clone(), git("absent", token())).await.unwrap_err();
    assert_eq!(absent.code, ErrorCode::ChaosCenter, "{absent:?}");
    assert!(!absent.message.contains("seeded"), "{absent:?}");
    let agent = app.enable_center_git_ops(id.clone(), project.clone(), git("main", CredentialInput::Agent)).await;
    assert_eq!(agent.unwrap_err().code, ErrorCode::Fields);
    app.enable_center_git_ops(id.clone(), project.clone(), git("main", token())).await.unwrap();
    app.disable_center_git_ops(id.clone(), project.clone()).await.unwrap();

    // Practice asks nobody outside.
    app.connect(ConnectTarget::Practice, "connect".into()).await.unwrap();
    let asked = host.asked().len();
    assert_eq!(app.center_projects(id.clone()).await.unwrap_err().code, ErrorCode::Blocked);
    assert_eq!(host.asked().len(), asked);

    app.forget_chaos_center(id.clone()).await.unwrap();
    assert!(secrets.get(&format!("center:{id}")).unwrap().is_none());
    assert!(app.chaos_centers().await.unwrap().is_empty());
    let activity = serde_json::to_string(&app.activity(None, 50).await.unwrap()).unwrap();
    for words in ["Run the experiment", "Stop a run", "Switch GitOps on", "Keep a token for the ChaosCenter staging"] {
        assert!(activity.contains(words), "{words}: {activity}");
    }
    app.close().await;
    let all = bytes_below(&data);
    for secret in [host.token.as_str(), "seeded-git-token", "seeded-wrong-token"] {
        assert!(!activity.contains(secret));
        assert!(!all.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is on the disk");
    }
}
