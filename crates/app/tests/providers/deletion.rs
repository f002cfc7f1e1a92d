//! The end of a repository at its provider.

use std::sync::Arc;

use pilothouse_app::contract::{CredentialInput, DeleteAtProvider, DeleteRepository, ErrorCode, RunRef};
use pilothouse_rig::provider_host::{Api, Gate, Instead};

use crate::stage::{Place, SERVER, Stage, Told, deletion, path, until};

#[tokio::test(flavor = "multi_thread")]
async fn github_deletes_what_was_typed() {
    deletes_what_was_typed(Api::GitHub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gitlab_deletes_what_was_typed() {
    deletes_what_was_typed(Api::GitLab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gerrit_deletes_what_was_typed() {
    deletes_what_was_typed(Api::Gerrit).await;
}

async fn deletes_what_was_typed(api: Api) {
    let stage = Stage::signed_in(api).await;
    let plan = stage.app.plan_repository_deletion().await.unwrap();
    assert!(plan.provider.has_token, "the token that was signed in with will do");
    assert_eq!(plan.provider.full_name, path(api));
    assert_eq!(plan.provider.host, format!("127.0.0.1:{}", stage.host.port));

    for typed in ["", "acme", "krci-gitop", "acme/Krci-gitops"] {
        let refused = stage.delete(Some(typed), "wrong").await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::ConfirmationNeeded, "{typed:?}: {refused:?}");
    }
    // As somebody saw it before the Git server was pointed elsewhere.
    let provider = DeleteAtProvider { typed: path(api).into(), host: "127.0.0.1:1".into(), credential: None };
    let request =
        DeleteRepository { name: plan.name.clone(), uid: plan.uid.clone(), provider: Some(provider), confirm: None };
    let moved = stage.app.delete_repository(request, "moved".into()).await.unwrap_err();
    assert_eq!(moved.code, ErrorCode::ClusterConflict, "{moved:?}");
    assert!(stage.deletions() == 0 && stage.host.holds(path(api)) && stage.has_codebase().await);

    let done = stage.delete(Some(path(api)), "delete").await.unwrap();
    assert!(!stage.host.holds(path(api)) && !stage.has_codebase().await);
    assert_eq!(stage.deletions(), 1);
    // GitLab only marks it, and it can be restored there.
    let scheduled = api == Api::GitLab;
    assert_eq!(done.can_return, scheduled, "{done:?}");
    assert!(done.provider.as_deref().unwrap().contains(if scheduled { "restored" } else { "was deleted" }), "{done:?}");
    stage.token_is_nowhere(&format!("{done:?}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leaves_everything_where_it_is() {
    for api in [Api::GitHub, Api::GitLab, Api::Gerrit] {
        let stage = Stage::signed_in(api).await;
        stage.host.may_delete(false);
        let refused = stage.delete(Some(path(api)), "delete").await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::ProviderForbidden, "{refused:?}");
        assert!(refused.hint.as_deref().unwrap().contains("scope"), "{refused:?}");
        assert!(stage.host.holds(path(api)) && stage.has_codebase().await);

        // Another token may do more. It is used once, and not kept.
        stage.host.may_delete(true);
        let plan = stage.app.plan_repository_deletion().await.unwrap();
        stage.app.sign_out_git_server(SERVER.into()).await.unwrap();
        let order = |credential: Option<CredentialInput>| DeleteRepository {
            name: plan.name.clone(),
            uid: plan.uid.clone(),
            provider: Some(DeleteAtProvider { typed: path(api).into(), host: plan.provider.host.clone(), credential }),
            confirm: None,
        };
        let without = stage.app.delete_repository(order(None), "without".into()).await.unwrap_err();
        assert_eq!(without.code, ErrorCode::Fields, "{without:?}");
        assert!(stage.host.holds(path(api)));
        let with = order(Some(stage.place.credential()));
        stage.app.delete_repository(with, "with".into()).await.unwrap();
        assert!(!stage.host.holds(path(api)) && !stage.has_codebase().await);
        stage.token_is_nowhere(&format!("{refused:?}{without:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_not_taken_for_either_and_not_sent_twice() {
    let stage = Stage::signed_in(Api::GitHub).await;
    let path = path(Api::GitHub);
    stage.host.answer(deletion(Api::GitHub), Instead::Lost);
    let lost = stage.delete(Some(path), "delete").await.unwrap_err();
    assert_eq!(lost.code, ErrorCode::ProviderNetwork, "{lost:?}");
    assert!(lost.hint.as_deref().unwrap().contains("not certain"), "{lost:?}");
    assert_eq!(stage.deletions(), 1, "an order whose answer is lost is not given again");
    assert!(!stage.host.holds(path) && stage.has_codebase().await);

    // It is gone there: whoever asks again hears that, and how to go on.
    stage.host.answer_truly();
    let gone = stage.delete(Some(path), "again").await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::ProviderNotFound, "{gone:?}");
    assert!(gone.hint.as_deref().unwrap().contains("leave the provider out"), "{gone:?}");
    assert!(stage.has_codebase().await);
    stage.delete(None, "alone").await.unwrap();
    assert!(!stage.has_codebase().await);
    assert_eq!(stage.deletions(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_page_is_no_deletion() {
    let stage = Stage::signed_in(Api::GitHub).await;
    stage.host.answer(deletion(Api::GitHub), Instead::Page);
    let refused = stage.delete(Some(path(Api::GitHub)), "delete").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ProviderRefused, "{refused:?}");
    assert!(refused.message.contains("a web page"), "{refused:?}");
    assert!(stage.has_codebase().await && stage.host.holds(path(Api::GitHub)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_orders_at_once_the_provider_hears_one() {
    let stage = Arc::new(Stage::signed_in(Api::GitHub).await);
    let gate = Arc::new(Gate::default());
    stage.host.answer(deletion(Api::GitHub), Instead::Held(gate.clone()));
    let first = {
        let stage = stage.clone();
        tokio::spawn(async move { stage.delete(Some(path(Api::GitHub)), "first").await })
    };
    until("the first order", async || (stage.deletions() == 1).then_some(())).await;
    let second = stage.delete(Some(path(Api::GitHub)), "second").await.unwrap_err();
    assert_eq!(second.code, ErrorCode::Blocked, "{second:?}");
    gate.open();
    first.await.unwrap().unwrap();
    assert_eq!(stage.deletions(), 1);
    assert!(!stage.has_codebase().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn production_wants_the_name_typed() {
    let stage = Stage::new(Api::GitHub).await;
    let text = std::fs::read_to_string(&stage.place.kubeconfig).unwrap();
    let mut config: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    config["clusters"][0]["name"] = "live".into();
    config["contexts"][0]["context"]["cluster"] = "live".into();
    let kubeconfig = stage.place.data.with_file_name("live.yaml");
    std::fs::write(&kubeconfig, serde_yaml::to_string(&config).unwrap()).unwrap();
    let data = stage.place.data.with_file_name("live");
    let app = Place { kubeconfig, data, ..stage.place.clone() }.open(Arc::new(Told::default())).await;
    assert!(app.current_session().await.unwrap().unwrap().production);

    let run = RunRef { flow: "shop".into(), env: "dev".into(), run: "deploy-shop-dev-ab12".into() };
    for typed in [None, Some("shop".to_owned())] {
        let refused = app.cancel_deploy(run.clone(), "u-1".into(), typed).await.unwrap_err();
        assert!(refused.message.contains("production"), "{refused:?}");
    }
    let asked = app.cancel_deploy(run, "u-1".into(), Some("dev".into())).await.unwrap_err();
    assert!(!asked.message.contains("production"), "{asked:?}");

    let plan = app.plan_repository_deletion().await.unwrap();
    let request = |confirm: Option<&str>| DeleteRepository {
        name: plan.name.clone(),
        uid: plan.uid.clone(),
        provider: None,
        confirm: confirm.map(str::to_owned),
    };
    for typed in [None, Some("krci")] {
        let refused = app.delete_repository(request(typed), "refused".into()).await.unwrap_err();
        assert!(refused.message.contains("production"), "{refused:?}");
    }
    assert!(stage.has_codebase().await);
    app.delete_repository(request(Some(&plan.name)), "typed".into()).await.unwrap();
    assert!(!stage.has_codebase().await);
    app.close().await;
}
