//! Signing in, and what the wizard asks.

use std::sync::Arc;

use pilothouse_app::{
    contract::{AttemptState, ErrorCode, RepositoryStrategy},
    keychain::MemoryStore,
};
use pilothouse_cluster::kinds;
use pilothouse_rig::provider_host::{Api, Instead, ProviderHost};
use serde_json::json;

use crate::stage::{SERVER, Stage, credential, form, furnish, sign_in, until};

/// Where a provider's account, repositories and one repository are.
fn places(api: Api) -> (&'static str, &'static str, &'static str) {
    match api {
        Api::GitHub => ("GET /api/v3/user", "GET /api/v3/orgs/acme/repos", "GET /api/v3/repos/"),
        Api::GitLab => ("GET /api/v4/user", "GET /api/v4/groups/acme/projects", "GET /api/v4/projects/"),
        Api::Bitbucket => ("GET /2.0/user", "GET /2.0/repositories/acme?", "GET /2.0/repositories/acme/"),
        Api::Gerrit => ("GET /a/accounts/self", "GET /a/projects/?", "GET /a/projects/"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn github_is_signed_in_to_asked_and_left() {
    signed_in_asked_and_left(Api::GitHub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gitlab_is_signed_in_to_asked_and_left() {
    signed_in_asked_and_left(Api::GitLab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gerrit_is_signed_in_to_asked_and_left() {
    signed_in_asked_and_left(Api::Gerrit).await;
}

async fn signed_in_asked_and_left(api: Api) {
    let stage = Stage::new(api).await;
    let app = &stage.app;
    let before = app.repository_owners(SERVER.into()).await.unwrap();
    assert!(!before.available && before.why.unwrap().contains("No token is kept"));
    assert!(stage.host.calls().is_empty(), "nobody is asked without a token");

    let login = sign_in(app, stage.place.credential()).await.unwrap();
    assert_eq!(login, stage.host.user);
    let servers = app.git_servers().await.unwrap();
    assert_eq!(servers.servers[0].signed_in_as.as_deref(), Some(login.as_str()));
    let check = app.test_git_server(SERVER.into()).await.unwrap();
    let expected = if api == Api::Gerrit { AttemptState::NotMade } else { AttemptState::Passed };
    assert_eq!(check.api.state, expected, "{check:?}");

    let owners = app.repository_owners(SERVER.into()).await.unwrap();
    let names: Vec<&str> = owners.owners.iter().map(|one| one.path.as_str()).collect();
    let all = ["rig-user", "acme", "beta", "gamma"];
    assert_eq!(names, if api == Api::Gerrit { &[][..] } else { &all[..] });
    assert!(owners.available && owners.complete);

    let (_, list, _) = places(api);
    let listed = app.owner_repositories(SERVER.into(), "acme".into()).await.unwrap();
    let names: Vec<&str> = listed.repositories.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["krci-gitops", "other", "past", "shown", "theirs"]);
    assert!(listed.complete && stage.host.count(list) > 2, "the list came in pages");
    assert!(listed.repositories[2].archived);

    wizard(&stage, api).await;

    app.sign_out_git_server(SERVER.into()).await.unwrap();
    assert_eq!(app.git_servers().await.unwrap().servers[0].signed_in_as, None);
    let asked = stage.host.calls().len();
    assert!(!app.repository_owners(SERVER.into()).await.unwrap().available);
    let finding = app.look_at_repository(form(RepositoryStrategy::Create, "krci-gitops")).await.unwrap();
    assert_eq!(finding.exists, None);
    assert_eq!(stage.host.calls().len(), asked, "nobody is asked any more");
    stage.token_is_nowhere("").await;
}

/// What is known before anything is saved.
async fn wizard(stage: &Stage, api: Api) {
    let look =
        async |strategy, repository: &str| stage.app.look_at_repository(form(strategy, repository)).await.unwrap();
    let clash = look(RepositoryStrategy::Create, "krci-gitops").await;
    assert_eq!((clash.exists, clash.problems[0].field.as_str()), (Some(true), "repository"));
    let free = look(RepositoryStrategy::Create, "brand-new").await;
    assert_eq!((free.exists, free.problems.len()), (Some(false), 0));
    // Half a form is no question.
    let asked = stage.host.calls().len();
    assert_eq!(look(RepositoryStrategy::Create, " ").await.exists, None);
    assert_eq!(stage.host.calls().len(), asked);

    let other = look(RepositoryStrategy::Import, "other").await;
    assert_eq!((other.default_branch.as_deref(), other.problems.len()), (Some("trunk"), 0), "{other:?}");
    let gone = look(RepositoryStrategy::Import, "gone").await;
    assert!(gone.problems[0].message.contains("shows your token no repository"), "{gone:?}");
    let past = look(RepositoryStrategy::Import, "past").await;
    assert!(past.problems[0].message.contains("archived"), "{past:?}");
    // Gerrit's rules about who sees and writes what are not one word.
    if api != Api::Gerrit {
        let shown = look(RepositoryStrategy::Import, "shown").await;
        assert!(shown.problems.is_empty() && shown.notes[0].contains("public"), "{shown:?}");
        let theirs = look(RepositoryStrategy::Import, "theirs").await;
        assert!(theirs.problems.is_empty() && theirs.notes[0].contains("not push"), "{theirs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lives_in_the_keychain_alone() {
    let stage = Stage::signed_in(Api::GitHub).await;
    stage.app.close().await;
    // Started again over the same folder, with the same keychain and then with another one.
    for (secrets, kept) in [(stage.secrets.clone(), true), (Arc::new(MemoryStore::default()), false)] {
        let app = stage.place.open_with(stage.told.clone(), secrets).await;
        assert_eq!(app.repository_owners(SERVER.into()).await.unwrap().available, kept);
        let account = app.git_servers().await.unwrap().servers[0].signed_in_as.clone();
        assert_eq!(account.is_some(), kept, "nobody is said to be signed in without a token");
        assert_eq!(app.plan_repository_deletion().await.unwrap().provider.has_token, kept);
        app.close().await;
    }
    stage.token_is_nowhere("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_told_and_not_kept() {
    for api in [Api::GitHub, Api::GitLab, Api::Gerrit] {
        let stage = Stage::new(api).await;
        let wrong = credential(&stage.host.user, "a-wrong-token-0123456789");
        let refused = sign_in(&stage.app, wrong).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::ProviderAuth, "{refused:?}");
        assert!(refused.hint.as_deref().unwrap().contains("new token"), "{refused:?}");
        assert!(!format!("{refused:?}").contains("a-wrong-token"), "{refused:?}");
        assert_eq!(stage.app.git_servers().await.unwrap().servers[0].signed_in_as, None);
        assert!(!stage.app.repository_owners(SERVER.into()).await.unwrap().available);
        // A good one is not lost to a wrong one tried later.
        sign_in(&stage.app, stage.place.credential()).await.unwrap();
        let wrong = credential(&stage.host.user, "a-wrong-token-0123456789");
        sign_in(&stage.app, wrong).await.unwrap_err();
        assert!(stage.app.repository_owners(SERVER.into()).await.unwrap().available);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_revoked_is_told() {
    let stage = Stage::signed_in(Api::GitLab).await;
    stage.host.revoke();
    let mut shown = String::new();
    for refused in [
        stage.app.repository_owners(SERVER.into()).await.unwrap_err(),
        stage.app.owner_repositories(SERVER.into(), "acme".into()).await.unwrap_err(),
        stage.app.look_at_repository(form(RepositoryStrategy::Import, "other")).await.unwrap_err(),
    ] {
        assert_eq!(refused.code, ErrorCode::ProviderAuth, "{refused:?}");
        assert!(refused.message.contains("Token was revoked"), "the server's own words: {refused:?}");
        assert!(refused.hint.as_deref().unwrap().contains("new token"), "{refused:?}");
        shown.push_str(&format!("{refused:?}"));
    }
    let check = stage.app.test_git_server(SERVER.into()).await.unwrap();
    assert_eq!(check.api.state, AttemptState::Failed, "{check:?}");
    stage.token_is_nowhere(&shown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_apart() {
    let stage = Stage::signed_in(Api::GitHub).await;
    let (_, list, _) = places(Api::GitHub);
    let words = |status, headers: &[(&'static str, &str)], text: &str| {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Instead::Words(status, headers, text.to_owned())
    };
    let echo = format!(r#"{{"message":"the header was Bearer {}"}}"#, stage.place.token);
    let mut shown = String::new();
    for (instead, code, part) in [
        (
            words(403, &[], r#"{"message":"Resource protected by organization SAML enforcement."}"#),
            ErrorCode::ProviderForbidden,
            "SAML enforcement",
        ),
        (
            words(429, &[("Retry-After", "120")], r#"{"message":"Too many requests"}"#),
            ErrorCode::ProviderRateLimited,
            "in about 2 minutes",
        ),
        (
            words(403, &[("Retry-After", "60")], r#"{"message":"You have exceeded a secondary rate limit"}"#),
            ErrorCode::ProviderRateLimited,
            "in about 1 minute",
        ),
        (Instead::Page, ErrorCode::ProviderRefused, "a web page"),
        (words(502, &[], "<html>Bad gateway</html>"), ErrorCode::ProviderRefused, "Bad Gateway"),
        (words(500, &[], &echo), ErrorCode::ProviderRefused, "***"),
        (words(200, &[], r#"{"unexpected":true}"#), ErrorCode::ProviderRefused, "not the JSON"),
    ] {
        stage.host.answer(list, instead);
        let refused = stage.app.owner_repositories(SERVER.into(), "acme".into()).await.unwrap_err();
        assert_eq!(refused.code, code, "{refused:?}");
        assert!(refused.message.contains(part) && !refused.message.contains('<'), "{refused:?}");
        shown.push_str(&format!("{refused:?}"));
    }
    stage.host.answer_truly();
    assert_eq!(stage.app.owner_repositories(SERVER.into(), "acme".into()).await.unwrap().repositories.len(), 5);
    // Somebody who is no organisation, and shows nothing.
    assert!(stage.app.owner_repositories(SERVER.into(), "nobody".into()).await.unwrap().repositories.is_empty());
    stage.token_is_nowhere(&shown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_elsewhere_does_not_take_the_token_along() {
    let thief = ProviderHost::start(Api::GitHub).unwrap();
    furnish(&thief);
    // Its certificate is as good as the other's: nothing but the app's own care holds the token back.
    let stage = Stage::with(Api::GitHub, &[&thief.ca_pem]).await;
    let (account, list, one) = places(Api::GitHub);
    let there = |path: &str| format!("https://127.0.0.1:{}/api/v3/{path}", thief.port);
    stage.host.answer(account, Instead::Redirect(there("user")));
    let refused = sign_in(&stage.app, stage.place.credential()).await.unwrap_err();
    assert!(refused.message.contains("was not sent there"), "{refused:?}");
    stage.host.answer_truly();
    sign_in(&stage.app, stage.place.credential()).await.unwrap();

    stage.host.answer(one, Instead::Redirect(there("repos/acme/other")));
    stage.app.look_at_repository(form(RepositoryStrategy::Import, "other")).await.unwrap_err();
    let next = format!("<{}>; rel=\"next\"", there("orgs/acme/repos?page=2"));
    stage.host.answer(list, Instead::Words(200, vec![("Link", next)], "[]".into()));
    let refused = stage.app.owner_repositories(SERVER.into(), "acme".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ProviderRefused, "{refused:?}");
    assert!(thief.calls().is_empty(), "{:?}", thief.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_server_that_moved_does_not_get_the_old_ones_token() {
    let thief = ProviderHost::start(Api::GitLab).unwrap();
    furnish(&thief);
    let stage = Stage::with(Api::GitLab, &[&thief.ca_pem]).await;
    sign_in(&stage.app, stage.place.credential()).await.unwrap();
    stage.patch(&kinds::GIT_SERVER, SERVER, json!({"spec": {"httpsPort": thief.port}})).await;
    until("the new port", async || {
        let servers = stage.app.git_servers().await.unwrap().servers;
        (servers[0].https_port == u32::from(thief.port)).then_some(())
    })
    .await;
    assert!(!stage.app.repository_owners(SERVER.into()).await.unwrap().available);
    assert_eq!(stage.app.git_servers().await.unwrap().servers[0].signed_in_as, None);
    // Nor one that is given while the old place is still shown.
    let shown = format!("{}:{}", stage.app.git_servers().await.unwrap().servers[0].host, stage.host.port);
    let refused = stage.app.sign_in_git_server(SERVER.into(), shown, stage.place.credential()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ClusterConflict, "{refused:?}");
    assert!(thief.calls().is_empty());
}
