//! What becomes a path or an object's name: flow, environment, application, chaos project and chaos workflow.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::sync::Arc;

use pilothouse_app::{
    App, AppOptions, Silent,
    contract::{AppError, ChaosProjectForm, ConnectTarget, ErrorDetail, SaveWorkflow, ValuesFile},
    keychain::MemoryStore,
};

/// Everything that was said of a name.
fn words(error: &AppError) -> String {
    match error.detail.as_deref() {
        Some(ErrorDetail::Fields { problems }) => problems.iter().map(|p| p.message.clone()).collect(),
        _ => error.message.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_21_every_name_keeps_to_one_rule_and_is_refused_in_the_same_words() {
    let dir = tempfile::tempdir().unwrap();
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(Vec::new()),
        ..AppOptions::new(dir.path().to_owned())
    };
    let app = App::open(options, Arc::new(Silent)).await.unwrap();
    app.connect(ConnectTarget::Practice, "connect".into()).await.unwrap();

    let long = "x".repeat(254);
    for bad in ["", "..", "../x", "a/b", "A", "a b", "-a", "a-", "a\n", "a\0", "\u{202e}a", "a_b", "%2e%2e", &long] {
        let file =
            |flow: &str, env: &str, app: &str| ValuesFile { flow: flow.into(), env: env.into(), app: app.into() };
        let form = ChaosProjectForm {
            id: bad.into(),
            namespace: "litmus".into(),
            use_gitops_repository: true,
            url: String::new(),
            branch: String::new(),
            credential: None,
        };
        let save = SaveWorkflow {
            project: "shop".into(),
            name: bad.into(),
            text: String::new(),
            base_blob: None,
            message: "Add it".into(),
        };
        let refused = [
            ("flow", app.open_values(file(bad, "dev", "cart")).await.unwrap_err()),
            ("environment", app.open_values(file("storefront", bad, "cart")).await.unwrap_err()),
            ("application", app.open_values(file("storefront", "dev", bad)).await.unwrap_err()),
            ("project", app.enable_project(form, "enable".into()).await.unwrap_err()),
            ("project", app.open_workflow(bad.into(), "cart-kill".into()).await.unwrap_err()),
            ("workflow", app.open_workflow("shop".into(), bad.into()).await.unwrap_err()),
            ("workflow", app.save_workflow(save.clone(), "save".into()).await.unwrap_err()),
            ("workflow", app.keep_workflow(save).await.unwrap_err()),
        ];
        let shown: String = bad.chars().take(80).collect();
        for (what, error) in refused {
            let words = words(&error);
            let told = format!("{what}: {shown:?} is not a valid name: use 1 to ");
            assert!(words.starts_with(&told), "{what} {bad:?}: {words}");
        }
    }
    assert!(!dir.path().join("clones").exists(), "nothing was made of any of them");
}
