//! The GitOps repository's care and its end: strays put in order, a move with the ApplicationSets that it leaves behind,
//! failures and their ways out, deletion and return; with the rights of the platform's own roles.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its story cannot go on")]

#[path = "main_job/stage.rs"]
#[allow(dead_code, reason = "the main job uses more of it")]
mod stage;

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use pilothouse_app::contract::{
    AcceptHostKey, CareAction, CloneState, CommitOutcome, ConnectTarget, DeleteAtProvider, DeleteRepository, ErrorCode,
    ErrorDetail, ReferrerWord, RemoteTarget, RepositoryCard, RepositoryCare, RepositoryEdit, RepositoryForm,
    RepositoryStrategy, TidyFile, Transport,
};
use pilothouse_app::keychain::MemoryStore;
use pilothouse_app::{App, AppOptions, Silent};
use pilothouse_cluster::{Kind, kinds};
use pilothouse_rig::Rig;
use serde_json::{Value, json};
use stage::{Stage, until};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn on_the_practice_cluster() {
    care(&Stage::practice().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_real_cluster() {
    let _one = stage::one_at_a_time().await;
    let stage = Stage::real(Transport::Ssh).await;
    care(&stage).await;
    held_by_a_finalizer(&stage).await;
}

async fn care(stage: &Stage) {
    stage.connect().await;
    stage.app.set_identity("Ada Example".into(), "ada@example.org".into()).await.unwrap();
    a_failed_creation_has_ways_out(stage).await;
    clone(stage).await;
    strays_are_put_in_order(stage).await;
    a_move_leaves_sets_behind(stage).await;
    deleted_and_brought_back(stage).await;
    what_was_begun_is_finished(stage).await;
}

async fn card(stage: &Stage) -> Option<RepositoryCard> {
    stage.app.repository_overview().await.unwrap().card
}

async fn ready(stage: &Stage) -> RepositoryCard {
    until("the repository", async || card(stage).await.filter(|one| one.status == "created")).await
}

async fn look(stage: &Stage) -> RepositoryCare {
    stage.app.repository_care().await.unwrap()
}

fn edit_of(card: &RepositoryCard) -> RepositoryEdit {
    RepositoryEdit {
        path: card.path.clone(),
        git_server: card.git_server.clone(),
        strategy: if card.strategy == "import" { RepositoryStrategy::Import } else { RepositoryStrategy::Create },
        ci_tool: card.operator.as_ref().unwrap().ci_tool.clone(),
        default_branch: card.default_branch.clone(),
    }
}

/// The repository exists with a history: the platform refuses to overwrite it, and the way out is to take it as it is.
async fn a_failed_creation_has_ways_out(stage: &Stage) {
    stage.remote.create_repo("acme/krci-gitops", "main").unwrap();
    stage.colleague(&[("README.md", "values\n")], "Begin");
    let refused = stage.app.create_repository(stage.repository_form(), "create".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Delivery, "{refused:?}");
    let failed = until("the failure", async || card(stage).await.filter(|one| one.status == "failed")).await;
    assert!(failed.detailed_message.as_deref().unwrap().contains("already contains default branch"));
    assert!(failed.operator.as_ref().unwrap().failure_count > 0);
    let warned = look(stage).await;
    let warning = warned.warnings.iter().find(|one| one.code == "creationFailed").unwrap();
    assert_eq!(warning.actions, [CareAction::UseExisting, CareAction::Retry, CareAction::Edit, CareAction::Delete]);
    assert!(warning.why.as_deref().unwrap().contains("tries again"));

    // Trying again does not help here, and says so by failing once more.
    let before = failed.operator.unwrap().failure_count;
    stage.app.retry_repository(false).await.unwrap();
    until("another attempt", async || {
        card(stage).await.filter(|one| one.operator.as_ref().is_some_and(|it| it.failure_count > before))
    })
    .await;

    let seen = edit_of(&card(stage).await.unwrap());
    let import = RepositoryEdit { strategy: RepositoryStrategy::Import, ..seen.clone() };
    let preview = stage.app.preview_repository_edit(import.clone()).await.unwrap();
    assert_eq!(preview.changes.len(), 1);
    assert!(preview.patch.unwrap().contains("import"));
    // Somebody who saw something else changes nothing.
    let stale = RepositoryEdit { path: "/acme/other".into(), ..seen.clone() };
    let conflict = stage.app.edit_repository(stale, import.clone()).await.unwrap_err();
    assert_eq!(conflict.code, ErrorCode::ClusterConflict, "{conflict:?}");
    stage.app.edit_repository(seen, import).await.unwrap();
    let made = ready(stage).await;
    assert_eq!(made.strategy, "import");
    assert_eq!(stage.read("README.md").as_deref(), Some("values\n"), "nothing was overwritten");
    assert!(look(stage).await.warnings.iter().all(|one| one.code != "creationFailed"));
}

async fn clone(stage: &Stage) {
    let app = &stage.app;
    if stage.asks_for_host_key() {
        let target = RemoteTarget::Repository { transport: stage.transport };
        let unknown = app.test_remote(target, stage.credential()).await.unwrap_err();
        let Some(ErrorDetail::HostKey { host, port, fingerprint, .. }) = unknown.detail.map(|it| *it) else {
            panic!("no key")
        };
        app.accept_host_key(AcceptHostKey { host, port, fingerprint }).await.unwrap();
    }
    if let Some(credential) = stage.credential() {
        app.save_repository_credential(stage.transport, credential).await.unwrap();
    }
    let card = app.clone_repository("clone".into()).await.unwrap();
    assert!(matches!(card.clone_state, CloneState::Ready { .. }), "{:?}", card.clone_state);
}

async fn strays_are_put_in_order(stage: &Stage) {
    stage.colleague(
        &[
            ("storefront/dev/cart-values.yml", "replicaCount: 2\n"),
            ("storefront/storefront-qa/checkout-values.yaml", "replicaCount: 3\n"),
            ("gone/dev/cart-values.yaml", "replicaCount: 4\n"),
        ],
        "Add values by hand",
    );
    stage.app.clone_repository("fetch".into()).await.unwrap();
    let strays = look(stage).await.strays;
    let found: Vec<(&str, Option<&str>)> =
        strays.files.iter().map(|one| (one.path.as_str(), one.rename.as_deref())).collect();
    assert_eq!(
        found,
        [
            ("gone/dev/cart-values.yaml", None),
            ("storefront/dev/cart-values.yml", Some("storefront/dev/cart-values.yaml")),
            ("storefront/storefront-qa/checkout-values.yaml", Some("storefront/qa/checkout-values.yaml")),
        ],
        "{strays:?}"
    );
    // Only what was offered is done: a name of one's own, or a file that is no stray, is refused.
    let blob = |path: &str| strays.files.iter().find(|one| one.path == path).map(|one| one.blob.clone());
    let tidy = |path: &str, to: Option<&str>| TidyFile {
        path: path.into(),
        blob: blob(path).unwrap_or_default(),
        to: to.map(Into::into),
    };
    // As somebody saw it whose list holds the other file's contents.
    let other =
        TidyFile { blob: blob("gone/dev/cart-values.yaml").unwrap(), ..tidy("storefront/dev/cart-values.yml", None) };
    for wrong in [tidy("README.md", None), tidy("storefront/dev/cart-values.yml", Some("elsewhere.yaml")), other] {
        let refused = stage.app.tidy_values(vec![wrong], "Tidy".into(), "wrong".into()).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Blocked, "{refused:?}");
    }
    let files = strays.files.iter().map(|one| tidy(&one.path, one.rename.as_deref())).collect();
    let outcome = stage.app.tidy_values(files, "Put values in order".into(), "tidy".into()).await.unwrap();
    assert!(
        matches!(&outcome, CommitOutcome::Published { commit, .. } if commit.summary == "Put values in order"),
        "{outcome:?}"
    );
    assert_eq!(stage.read("storefront/dev/cart-values.yaml").as_deref(), Some("replicaCount: 2\n"));
    assert_eq!(stage.read("storefront/qa/checkout-values.yaml").as_deref(), Some("replicaCount: 3\n"));
    for gone in found.iter().map(|(path, _)| path) {
        assert_eq!(stage.read(gone), None, "{gone}");
    }
    assert_eq!(look(stage).await.strays.total, 0);
}

async fn a_move_leaves_sets_behind(stage: &Stage) {
    // The flow's set is made once there is a repository.
    let readers = until("the flow's set", async || {
        card(stage).await.filter(|one| one.used_by == ["storefront"]).and_then(|one| one.operator)
    })
    .await;
    assert!(readers.readers_known);
    assert!(look(stage).await.stale_sets.is_empty());
    stage.remote.create_repo("acme/values", "main").unwrap();
    let files = [("README.md", "moved\n")];
    stage.remote.commit_files("acme/values", "main", &files, "Move").unwrap();

    let seen = edit_of(&card(stage).await.unwrap());
    let moved = RepositoryEdit { path: "/acme/values".into(), ..seen.clone() };
    let preview = stage.app.preview_repository_edit(moved.clone()).await.unwrap();
    assert!(preview.stays.iter().any(|one| one.contains("storefront")), "{:?}", preview.stays);
    let taken = RepositoryEdit { path: "/acme/cart".into(), ..seen.clone() };
    let preview = stage.app.preview_repository_edit(taken.clone()).await.unwrap();
    assert_eq!(preview.problems[0].field, "path");
    assert_eq!(stage.app.edit_repository(seen.clone(), taken).await.unwrap_err().code, ErrorCode::Fields);
    stage.app.edit_repository(seen, moved).await.unwrap();

    let care = until("the stale set", async || Some(look(stage).await).filter(|it| !it.stale_sets.is_empty())).await;
    let set = &care.stale_sets[0];
    assert_eq!(set.name, "storefront");
    assert!(set.reads[0].contains("acme/krci-gitops") && set.wanted.contains("acme/values"));
    assert_eq!((set.diff.added, set.diff.removed), (1, 1));
    let warning = care.warnings.iter().find(|one| one.code == "readsAnotherRepository").unwrap();
    assert_eq!(warning.subject.as_deref(), Some("storefront"));

    let other = json!({ "templatePatch": "spec: {}" }).to_string();
    let refused = stage.app.mend_application_set("storefront".into(), other).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ClusterConflict, "only the patch that was shown is applied");
    stage.app.mend_application_set("storefront".into(), set.shown.clone().unwrap()).await.unwrap();
    until("the mended set", async || look(stage).await.stale_sets.is_empty().then_some(())).await;
    until("the repository at its new place", async || {
        card(stage).await.filter(|one| one.status == "created" && one.used_by == ["storefront"])
    })
    .await;
}

async fn deleted_and_brought_back(stage: &Stage) {
    let app = &stage.app;
    let plan = app.plan_repository_deletion().await.unwrap();
    assert_eq!((plan.refused.as_deref(), plan.permission.allowed), (None, true));
    assert!(plan.referrers.iter().any(|one| one.kind == ReferrerWord::ApplicationSet && one.name == "storefront"));
    assert!(plan.keepsake.contains("strategy: import"));
    assert_eq!(plan.provider.full_name, "acme/values");
    let request =
        |uid: &str| DeleteRepository { name: plan.name.clone(), uid: uid.to_owned(), provider: None, confirm: None };
    let other = app.delete_repository(request("another"), "d0".into()).await.unwrap_err();
    assert_eq!(other.code, ErrorCode::ClusterConflict);
    let at_provider = |typed: &str, host: &str| DeleteRepository {
        provider: Some(DeleteAtProvider { typed: typed.into(), host: host.into(), credential: None }),
        ..request(&plan.uid)
    };
    let untyped = at_provider("acme/krci-gitops", &plan.provider.host);
    let refused = app.delete_repository(untyped, "d1".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ConfirmationNeeded, "the full name of this one has to be typed");
    let elsewhere = at_provider("acme/values", "another.example.com:443");
    let refused = app.delete_repository(elsewhere, "d3".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ClusterConflict, "a token goes to the host that was shown: {refused:?}");
    assert!(plan.provider.host.contains(':'), "{}", plan.provider.host);
    assert!(card(stage).await.is_some(), "nothing was deleted");

    let done = app.delete_repository(request(&plan.uid), "d2".into()).await.unwrap();
    assert!(done.can_return);
    until("the empty page", async || card(stage).await.is_none().then_some(())).await;
    assert!(stage.remote.path("acme/values").is_dir(), "the provider's repository stays");
    let kept = look(stage).await.kept.unwrap();
    assert_eq!((kept.name.as_str(), kept.path.as_str()), ("krci-gitops", "/acme/values"));

    assert_eq!(app.bring_back_repository("back".into()).await.unwrap(), "krci-gitops");
    let back = ready(stage).await;
    assert_eq!((back.path.as_str(), back.strategy.as_str()), ("/acme/values", "import"));
    assert!(look(stage).await.kept.is_none());
    let words: Vec<String> =
        app.activity(None, 50).await.unwrap().entries.into_iter().map(|entry| entry.words).collect();
    for word in [
        "Bring back the repository",
        "brought back on the repository's page",
        "storefront read values",
        "gitUrlPath from",
    ] {
        assert!(words.iter().any(|one| one.contains(word)), "{word} is not in {words:#?}");
    }
}

/// Cancels an operation as soon as it runs.
async fn cancelled<T: Send + 'static>(
    stage: &Stage,
    id: &str,
    work: impl Future<Output = pilothouse_app::Result<T>> + Send + 'static,
) {
    let waiting = tokio::spawn(work);
    while !stage.app.cancel_operation(id.into()).await.unwrap() {
        assert!(!waiting.is_finished(), "{id} ended by itself");
        tokio::task::yield_now().await;
    }
    let outcome = waiting.await.unwrap();
    assert_eq!(outcome.err().map(|error| error.code), Some(ErrorCode::Cancelled));
}

/// Cancelling ends the waiting and not the write: a creation cut off in its middle would leave its claim behind, and a
/// Codebase nobody looked at again.
async fn what_was_begun_is_finished(stage: &Stage) {
    let delete = async |id: &str| {
        let plan = stage.app.plan_repository_deletion().await.unwrap();
        let request = DeleteRepository { name: plan.name, uid: plan.uid, provider: None, confirm: None };
        stage.app.delete_repository(request, id.to_owned()).await.unwrap();
        until("the empty page", async || card(stage).await.is_none().then_some(())).await;
    };
    delete("d4").await;
    let app = stage.app.clone();
    cancelled(stage, "back2", async move { app.bring_back_repository("back2".into()).await }).await;
    ready(stage).await;
    until("nothing kept", async || look(stage).await.kept.is_none().then_some(())).await;

    delete("d5").await;
    let (app, again) = (
        stage.app.clone(),
        RepositoryForm { strategy: RepositoryStrategy::Import, repository: "values".into(), ..stage.repository_form() },
    );
    cancelled(stage, "create2", async move { app.create_repository(again, "create2".into()).await }).await;
    ready(stage).await;
}

fn objects(client: &kube::Client, namespace: &str, kind: &Kind) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kind.resource())
}

/// Cancelling ends the waiting; the Codebase goes on ending, and nothing is made beside it.
async fn held_by_a_finalizer(stage: &Stage) {
    let app = &stage.app;
    let client = Rig::get().client().await;
    let api = objects(&client, &stage.platform, &kinds::CODEBASE);
    let mut finalizers = api.get("krci-gitops").await.unwrap().metadata.finalizers.unwrap();
    finalizers.push("example.org/held".into());
    let add = json!({ "metadata": { "finalizers": finalizers } });
    api.patch("krci-gitops", &PatchParams::default(), &Patch::Merge(add)).await.unwrap();
    let plan = app.plan_repository_deletion().await.unwrap();
    let request = DeleteRepository { name: plan.name, uid: plan.uid, provider: None, confirm: None };
    let waiting = tokio::spawn({
        let app = app.clone();
        async move { app.delete_repository(request, "held".into()).await }
    });
    until("the deletion", async || {
        card(stage).await.and_then(|one| one.operator).filter(|it| it.deleting && it.finalizers == ["example.org/held"])
    })
    .await;
    assert!(app.cancel_operation("held".into()).await.unwrap());
    assert_eq!(waiting.await.unwrap().unwrap_err().code, ErrorCode::Cancelled);
    let warned = look(stage).await.warnings;
    let warning = warned.iter().find(|one| one.code == "beingDeleted").unwrap();
    assert!(warning.why.as_deref().unwrap().contains("example.org/held"));

    let refused = app.create_repository(stage.repository_form(), "beside".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Blocked, "{refused:?}");
    assert!(refused.message.contains("is being deleted"), "{refused:?}");
    let refused = app.bring_back_repository("early".into()).await.unwrap_err();
    assert!(refused.message.contains("is being deleted"), "{refused:?}");
    assert_eq!(app.retry_repository(false).await.unwrap_err().code, ErrorCode::Blocked);

    let free = json!({ "metadata": { "finalizers": null } });
    api.patch("krci-gitops", &PatchParams::default(), &Patch::Merge(free)).await.unwrap();
    until("the empty page", async || card(stage).await.is_none().then_some(())).await;
    assert_eq!(app.bring_back_repository("late".into()).await.unwrap(), "krci-gitops");
}

/// A kubeconfig whose user is one of `group`, by impersonation.
fn as_one_of(group: &str, namespace: &str, dir: &std::path::Path) -> std::path::PathBuf {
    let text = std::fs::read_to_string(Rig::get().kubeconfig()).unwrap();
    let mut config: Value = serde_yaml::from_str(&text).unwrap();
    config["users"][0]["user"]["as"] = json!("robin");
    config["users"][0]["user"]["as-groups"] = json!([group]);
    config["contexts"][0]["context"]["namespace"] = json!(namespace);
    let path = dir.join("kubeconfig");
    std::fs::write(&path, serde_yaml::to_string(&config).unwrap()).unwrap();
    path
}

async fn connected(group: &str, namespace: &str) -> (Arc<App>, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(vec![as_one_of(group, namespace, data.path())]),
        known_hosts: Vec::new(),
        authority: None,
        ..AppOptions::new(data.path().to_owned())
    };
    let app = App::open(options, Arc::new(Silent)).await.unwrap();
    app.connect(ConnectTarget::Context { name: "rig".into() }, "connect".into()).await.unwrap();
    (app, data)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_own_roles_decide_what_is_offered() {
    let rig = Rig::get();
    let client = rig.client().await;
    let namespace = rig.namespace("roles").await;
    stage::grant_platform_roles(&namespace).await;
    let server = json!({
        "apiVersion": "v2.edp.epam.com/v1", "kind": "GitServer", "metadata": { "name": "github" },
        "spec": { "gitHost": "git.example.com", "gitProvider": "gitlab", "gitUser": "git", "httpsPort": 443, "sshPort": 22, "nameSshKeySecret": "ci-gitlab" },
    });
    let codebase = json!({
        "apiVersion": "v2.edp.epam.com/v1", "kind": "Codebase",
        "metadata": { "name": "krci-gitops", "labels": { "app.edp.epam.com/systemType": "gitops", "app.edp.epam.com/codebaseType": "system" } },
        "spec": {
            "type": "system", "buildTool": "helm", "defaultBranch": "main", "emptyProject": false, "framework": "gitops",
            "gitServer": "github", "gitUrlPath": "/acme/krci-gitops", "lang": "helm", "strategy": "import",
            "versioning": { "type": "semver", "startFrom": "0.1.0-SNAPSHOT" },
        },
    });
    for (kind, object) in [(&kinds::GIT_SERVER, server), (&kinds::CODEBASE, codebase)] {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        objects(&client, &namespace, kind).create(&Default::default(), &object).await.unwrap();
    }

    // The view role gathers the platform's kinds some moments after they are added.
    let (developer, _data) = until("the developer's view", async || {
        let (app, data) = connected(&format!("{namespace}-oidc-developers"), &namespace).await;
        let seen = app.repository_overview().await.unwrap().card.is_some();
        seen.then_some((app, data))
    })
    .await;
    let may = developer.repository_care().await.unwrap().permissions;
    for (permission, verb, resource) in [
        (&may.create, "create", "codebases.v2.edp.epam.com"),
        (&may.edit, "patch", "codebases.v2.edp.epam.com"),
        (&may.delete, "delete", "codebases.v2.edp.epam.com"),
        (&may.see_sets, "list", "applicationsets.argoproj.io"),
        (&may.mend_sets, "patch", "applicationsets.argoproj.io"),
        (&may.create_secret, "create", "secrets"),
        (&may.create_git_server, "create", "gitservers.v2.edp.epam.com"),
    ] {
        assert!(!permission.allowed, "{verb} {resource}");
        let why = permission.why.as_deref().unwrap();
        assert!(why.contains(&format!("`{verb}` on `{resource}` in the namespace `{namespace}`")), "{why}");
    }
    // And the API server agrees, whatever a window offers.
    let refused = developer.retry_repository(false).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ClusterForbidden, "{refused:?}");
    let plan = developer.plan_repository_deletion().await.unwrap();
    assert!(!plan.permission.allowed);
    let request = DeleteRepository { name: plan.name, uid: plan.uid, provider: None, confirm: None };
    let refused = developer.delete_repository(request, "delete".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ClusterForbidden, "{refused:?}");
    assert!(developer.repository_overview().await.unwrap().card.is_some());

    let (admin, _data) = connected(&format!("{namespace}-oidc-admins"), &namespace).await;
    let may = admin.repository_care().await.unwrap().permissions;
    for permission in
        [&may.create, &may.edit, &may.delete, &may.see_sets, &may.mend_sets, &may.create_secret, &may.create_git_server]
    {
        assert!(permission.allowed, "{permission:?}");
    }
    admin.retry_repository(false).await.unwrap();
    let made = objects(&client, &namespace, &kinds::CODEBASE).get("krci-gitops").await.unwrap();
    assert_eq!(made.metadata.annotations.unwrap()["edp.epam.com/paused"], "false");
}
