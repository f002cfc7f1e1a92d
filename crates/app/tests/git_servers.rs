//! Git servers on the practice cluster: secrets go in, and come back nowhere.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::sync::Arc;

use pilothouse_app::{
    App, AppOptions, Silent,
    contract::{
        AttemptState, ConnectTarget, CredentialInput, ErrorCode, ErrorDetail, GitServerForm, RepositoryForm,
        RepositoryStrategy,
    },
    keychain::MemoryStore,
};

const TOKEN: &str = "seeded-secret-token";

async fn practice(dir: &std::path::Path) -> Arc<App> {
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(vec![dir.join("none")]),
        ..AppOptions::new(dir.to_owned())
    };
    let app = App::open(options, Arc::new(Silent)).await.unwrap();
    app.connect(ConnectTarget::Practice, "connect".into()).await.unwrap();
    app
}

fn token() -> Option<CredentialInput> {
    Some(CredentialInput::Token { username: None, token: TOKEN.to_owned().into() })
}

async fn generated(app: &App) -> Option<CredentialInput> {
    let key = app.generate_key("krci".into()).await.unwrap();
    Some(CredentialInput::Generated { key_id: key.key_id })
}

async fn form(app: &App) -> GitServerForm {
    let form = app.git_server_defaults("gitlab".into()).await.unwrap();
    GitServerForm { name: "my-gitlab".into(), host: "gitlab.example.com".into(), ..form }
}

fn fields(detail: Option<Box<ErrorDetail>>) -> Vec<String> {
    match detail.as_deref() {
        Some(ErrorDetail::Fields { problems }) => problems.iter().map(|one| one.field.clone()).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_is_shown_masked_added_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let app = practice(dir.path()).await;
    let form = form(&app).await;

    let incomplete = app.preview_git_server(form.clone(), None, None).await.unwrap();
    assert_eq!(incomplete.problems.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), ["key", "token"]);
    assert!(incomplete.yaml.is_empty());

    let preview = app.preview_git_server(form.clone(), generated(&app).await, token()).await.unwrap();
    assert!(preview.problems.is_empty(), "{:?}", preview.problems);
    assert!(preview.yaml.contains("********") && preview.yaml.contains("kind: GitServer"), "{}", preview.yaml);
    assert!(!preview.yaml.contains(TOKEN) && !preview.yaml.contains("PRIVATE KEY"));

    app.add_git_server(form.clone(), generated(&app).await, token()).await.unwrap();
    let again = app.add_git_server(form.clone(), generated(&app).await, token()).await.unwrap_err();
    assert!(matches!(again.code, ErrorCode::Exists | ErrorCode::Fields), "{again:?}");
    assert!(!format!("{again:?}").contains(TOKEN));

    let other = GitServerForm { name: "other".into(), ..form.clone() };
    let taken = app.preview_git_server(other, generated(&app).await, token()).await.unwrap();
    assert_eq!(taken.problems[0].field, "secretName", "{:?}", taken.problems);

    let agent = app.add_git_server(form.clone(), Some(CredentialInput::Agent), token()).await.unwrap_err();
    assert!(fields(agent.detail).contains(&"key".to_owned()));

    let check = app.test_git_server("my-gitlab".into()).await.unwrap();
    assert_eq!((check.ssh.state, check.api.state), (AttemptState::NotMade, AttemptState::NotMade), "{check:?}");
    app.delete_git_server("my-gitlab".into()).await.unwrap();
    let page = app.journal().page(None, 50).await.unwrap();
    let told = format!("{page:?}");
    assert!(
        told.contains("Add the Git server my-gitlab") && told.contains("Delete the Git server my-gitlab"),
        "{told}"
    );
    assert!(!told.contains(TOKEN) && !told.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn the_practice_server_is_tested_and_has_no_api() {
    let dir = tempfile::tempdir().unwrap();
    let app = practice(dir.path()).await;
    let servers = app.git_servers().await.unwrap();
    let server = &servers.servers[0];
    assert!(server.connected && server.signed_in_as.is_none());
    assert!(servers.can_add.allowed);
    let check = app.test_git_server(server.name.clone()).await.unwrap();
    assert_eq!(check.ssh.state, AttemptState::Passed, "{check:?}");
    assert_eq!(check.api.state, AttemptState::NotMade, "nothing leaves this computer: {check:?}");
    let owners = app.repository_owners(server.name.clone()).await.unwrap();
    assert!(!owners.available && owners.why.is_some());
    let wanted = RepositoryForm {
        strategy: RepositoryStrategy::Create,
        git_server: server.name.clone(),
        owner: "acme".into(),
        repository: "krci-gitops".into(),
        ci_tool: "tekton".into(),
        default_branch: "main".into(),
        private: true,
    };
    let finding = app.look_at_repository(wanted).await.unwrap();
    assert_eq!((finding.exists, finding.problems.len()), (None, 0));
    // A token is never sent where there is no API known to take it.
    let shown = format!("{}:{}", server.host, server.https_port);
    let refused = app.sign_in_git_server(server.name.clone(), shown, token().unwrap()).await.unwrap_err();
    assert!(!format!("{refused:?}").contains(TOKEN));
}
