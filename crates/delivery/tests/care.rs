//! Warnings, edits and deletions of the GitOps repository against objects as upstream writes them.

#![allow(clippy::unwrap_used, reason = "a test ends where its data is not as expected")]

use std::sync::Arc;

use kube::core::DynamicObject;
use pilothouse_cluster::Kind;
use pilothouse_delivery::Objects;
use pilothouse_delivery::deletion::{ChaosUser, ReferrerKind, StepId, keepsake, plan, still_reads};
use pilothouse_delivery::objects::{Codebase, PAUSED, PROTECTED};
use pilothouse_delivery::repository::{
    Action, CiTool, Edit, Strategy, find_existing, plan_edit, readers, stale_sets, warnings, warnings_on,
};
use serde::Deserialize;
use serde_json::{Value, json};

fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap()).collect()
}

/// The platform of the samples with its GitOps repository as `repository` makes it.
fn platform(repository: impl FnOnce(&mut Value)) -> Objects {
    let files = [
        "app-pipeline-stages.yaml",
        "gitservers.yaml",
        "argocd-application-override-on.yaml",
        "argocd-application-override-off.yaml",
        "argocd-applicationset-mypipe.yaml",
    ];
    let mut codebase = documents("codebase-gitops-reconciled.yaml").remove(0);
    codebase["metadata"]["uid"] = json!("u-1");
    repository(&mut codebase);
    let all: Vec<Value> = files.iter().flat_map(|file| documents(file)).chain([codebase]).collect();
    let all: Vec<Arc<DynamicObject>> = all
        .into_iter()
        .map(|mut value| {
            value["metadata"]["namespace"] = json!("krci");
            value["metadata"]["resourceVersion"] = json!("7");
            if value["kind"] == "GitServer" {
                value["status"] = json!({"connected": true});
            }
            Arc::new(serde_json::from_value(value).unwrap())
        })
        .collect();
    Objects::read("krci", |kind: &Kind| {
        let of_kind = |one: &&Arc<DynamicObject>| one.types.as_ref().is_some_and(|types| types.kind == kind.kind);
        Some(all.iter().filter(of_kind).cloned().collect())
    })
}

fn gitops(objects: &Objects) -> Codebase {
    (*find_existing(&objects.codebases).first().unwrap()).clone()
}

fn failed(value: &mut Value) {
    value["status"] = documents("codebase-gitops-failed.yaml").remove(0)["status"].clone();
}

#[test]
fn each_state_has_its_warning_and_its_ways_out() {
    type Case = (&'static str, fn(&mut Value), &'static str, &'static [Action]);
    let cases: [Case; 7] = [
        ("failed", failed, "creationFailed", &[Action::UseExisting, Action::Retry, Action::Edit, Action::Delete]),
        (
            "failed import",
            |one| {
                failed(one);
                one["spec"]["strategy"] = json!("import");
            },
            "creationFailed",
            &[Action::Retry, Action::Edit, Action::Delete],
        ),
        ("public", |_| {}, "publicRepository", &[]),
        ("another branch", |one| one["spec"]["defaultBranch"] = json!("master"), "branchDiffers", &[Action::Edit]),
        ("no server", |one| one["spec"]["gitServer"] = json!("gone"), "serverMissing", &[Action::Edit]),
        ("paused", |one| one["metadata"]["annotations"] = json!({ PAUSED: "true" }), "paused", &[Action::Resume]),
        ("moved", |one| one["spec"]["gitUrlPath"] = json!("/acme/other"), "readsAnotherRepository", &[Action::MendSet]),
    ];
    for (what, change, code, actions) in cases {
        let objects = platform(change);
        let found = warnings(&objects);
        let one = found.iter().find(|one| one.code == code).unwrap_or_else(|| panic!("{what}: {found:?}"));
        assert_eq!(one.actions, actions, "{what}");
        assert!(one.hint.is_some() && !one.message.is_empty(), "{what}");
    }
    let healthy = platform(|one| one["spec"]["private"] = json!(true));
    assert_eq!(warnings(&healthy), []);
    let deleting = platform(|one| one["metadata"]["deletionTimestamp"] = json!("2026-08-20T10:00:00Z"));
    let found = warnings(&deleting);
    assert_eq!(found[0].code, "beingDeleted");
    assert!(found[0].why.as_deref().unwrap().contains("codebase.operator.finalizer.name"));
}

#[test]
fn the_patch_of_a_set_changes_the_address_and_nothing_else() {
    let objects = platform(|one| one["spec"]["gitUrlPath"] = json!("/acme/new-values"));
    let found = stale_sets(&objects, &gitops(&objects), "main");
    assert_eq!(found.len(), 1);
    let set = &found[0];
    assert!(set.other_repository);
    assert_eq!(set.applications, ["mypipe-dev-fastapi-demo"]);
    let patch = set.merge_patch.clone().unwrap();
    assert_eq!(patch["metadata"], json!({"resourceVersion": "7"}));
    assert_eq!(patch["spec"].as_object().unwrap().keys().collect::<Vec<_>>(), ["templatePatch"]);
    let (old, new) = &set.template_patch;
    let changed: Vec<(&str, &str)> = old.lines().zip(new.lines()).filter(|(a, b)| a != b).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert!(changed[0].0.contains("ssh://git@github.com:22/acme/krci-gitops"));
    assert!(changed[0].1.ends_with("RepoURL: ssh://git@github.com:22/acme/new-values"));

    // Patched, it is right; and then only a branch can be wrong.
    let mut mended = objects;
    mended.application_sets.as_mut().unwrap()[0].template_patch = new.clone();
    assert_eq!(stale_sets(&mended, &gitops(&mended), "main"), []);
    let branch = stale_sets(&mended, &gitops(&mended), "master");
    assert!(!branch[0].other_repository);
    assert!(branch[0].template_patch.1.contains("targetRevision: master"));
    assert_eq!(warnings_on(&mended, "master").last().unwrap().code, "readsAnotherBranch");
}

#[test]
fn a_hand_made_set_is_mended_in_its_sources() {
    let mut objects = platform(|one| one["spec"]["gitUrlPath"] = json!("/acme/new-values"));
    let set = &mut objects.application_sets.as_mut().unwrap()[0];
    set.template_patch = String::new();
    set.template_sources = vec![
        json!({"ref": "values", "repoURL": "https://github.com/acme/krci-gitops.git", "targetRevision": "main"}),
        json!({"repoURL": "{{ .repoURL }}", "path": "deploy-templates"}),
    ];
    let found = stale_sets(&objects, &gitops(&objects), "main");
    let sources = &found[0].merge_patch.as_ref().unwrap()["spec"]["template"]["spec"]["sources"];
    assert_eq!(sources[0]["repoURL"], "ssh://git@github.com:22/acme/new-values");
    assert_eq!(sources[1]["repoURL"], "{{ .repoURL }}");
}

#[test]
fn an_address_that_would_break_the_patch_is_not_offered() {
    let mut objects = platform(|one| one["spec"]["gitUrlPath"] = json!("/acme/new-values"));
    for server in &mut objects.git_servers {
        server.host = "evil.example.com/x\n      path: y #".into();
    }
    let found = stale_sets(&objects, &gitops(&objects), "main");
    assert_eq!(found[0].merge_patch, None);
    let warned = warnings(&objects);
    assert_eq!(warned.last().unwrap().actions, []);
}

#[test]
fn everything_that_reads_the_repository_is_named() {
    let objects = platform(|_| {});
    let who = readers(&objects, &gitops(&objects));
    assert_eq!(who.flows, ["mypipe"]);
    assert_eq!(who.environments, ["mypipe/dev"]);
    assert_eq!(who.applications, ["mypipe-dev-fastapi-demo"]);
    let unseen = Objects { application_sets: None, ..objects };
    let who = readers(&unseen, &gitops(&unseen));
    assert!(!who.sets_known);
    assert_eq!(who.flows, ["mypipe"], "whatever cannot be read may read it");
}

#[test]
fn an_edit_says_what_it_does_and_what_it_does_not() {
    let objects = platform(|_| {});
    let codebase = gitops(&objects);
    let same = Edit::of(&codebase);
    assert_eq!(plan_edit(&codebase, &same, &objects).patch, None, "nothing changed");

    let moved = Edit { path: "acme/elsewhere.git".into(), ..same.clone() };
    let plan = plan_edit(&codebase, &moved, &objects);
    assert_eq!(
        plan.patch.unwrap(),
        json!({"metadata": {"resourceVersion": "7", "uid": "u-1"}, "spec": {"gitUrlPath": "/acme/elsewhere"}})
    );
    let said = plan.stays.join("\n");
    for word in ["has to exist there", "webhook 512345678", "mypipe", "/acme/krci-gitops stays"] {
        assert!(said.contains(word), "{word} is not in:\n{said}");
    }

    let import = Edit { strategy: Strategy::Import, ..same.clone() };
    assert_eq!(plan_edit(&codebase, &import, &objects).patch.unwrap()["spec"], json!({"strategy": "import"}));

    let wrong = |edit: Edit| {
        plan_edit(&codebase, &edit, &objects).problems.iter().map(|one| one.field.clone()).collect::<Vec<_>>()
    };
    assert_eq!(wrong(Edit { path: "/acme/fastapi-demo".into(), ..same.clone() }), ["path"], "another Codebase's");
    assert_eq!(wrong(Edit { path: "/acme/../x".into(), ..same.clone() }), ["path"]);
    assert_eq!(wrong(Edit { path: "/alone".into(), ..same.clone() }), ["path"]);
    assert_eq!(wrong(Edit { git_server: "none".into(), ..same.clone() }), ["gitServer"]);
    assert_eq!(wrong(Edit { ci_tool: CiTool::Gitlab, ..same.clone() }), ["ciTool"]);
    assert_eq!(wrong(Edit { default_branch: "-x".into(), ..same.clone() }), ["defaultBranch"]);

    let locked = platform(|one| one["metadata"]["labels"][PROTECTED] = json!("delete-update"));
    let plan = plan_edit(&gitops(&locked), &moved, &locked);
    assert!(plan.refused.unwrap().contains(PROTECTED) && plan.patch.is_none());
    let imported = platform(|one| one["spec"]["strategy"] = json!("import"));
    let back = Edit { strategy: Strategy::Create, ..Edit::of(&gitops(&imported)) };
    assert_eq!(plan_edit(&gitops(&imported), &back, &imported).problems[0].field, "strategy");
}

#[test]
fn a_deletion_is_planned_from_what_is_there() {
    type Case = (&'static str, fn(&mut Value), Option<&'static str>);
    let cases: [Case; 4] = [
        ("free", |_| {}, None),
        ("deleting", |one| one["metadata"]["deletionTimestamp"] = json!("2026-08-20T10:00:00Z"), Some("already")),
        ("locked", |one| one["metadata"]["labels"][PROTECTED] = json!("delete"), Some(PROTECTED)),
        // Nothing hinders the name of an application.
        ("an application's name", |one| one["metadata"]["name"] = json!("fastapi-demo"), Some("mypipe")),
    ];
    for (what, change, refused) in cases {
        let objects = platform(change);
        let plan = plan(&objects, &gitops(&objects), &[], None);
        assert_eq!(plan.refused.is_some(), refused.is_some(), "{what}: {:?}", plan.refused);
        if let Some(word) = refused {
            assert!(plan.refused.as_deref().unwrap().contains(word), "{what}");
            assert!(plan.steps.iter().filter(|one| one.blocked.is_some()).count() == 3, "{what}");
        }
    }

    let objects = platform(|_| {});
    let chaos = [ChaosUser { id: "shop".into(), namespace: "litmus".into() }];
    let found = plan(&objects, &gitops(&objects), &chaos, Some("no right".into()));
    let who: Vec<(ReferrerKind, &str)> = found.referrers.iter().map(|one| (one.kind, one.name.as_str())).collect();
    assert_eq!(
        who,
        [
            (ReferrerKind::Flow, "mypipe"),
            (ReferrerKind::ApplicationSet, "mypipe"),
            (ReferrerKind::Application, "mypipe-dev-fastapi-demo"),
            (ReferrerKind::ChaosProject, "shop"),
        ]
    );
    assert!(found.referrers[0].what.contains("dev"));
    assert_eq!((found.uid.as_str(), found.full_name.as_str()), ("u-1", "acme/krci-gitops"));
    assert!(found.goes.iter().any(|one| one.contains("webhook 512345678")));
    assert!(found.stays[0].contains("acme/krci-gitops"));
    assert!(found.stays.iter().any(|one| one.contains("ApplicationSets that still name it: mypipe")));
    let blocked: Vec<StepId> = found.steps.iter().filter(|one| one.blocked.is_some()).map(|one| one.id).collect();
    assert_eq!(blocked, [StepId::Provider], "the provider's refusal does not hold the rest");

    let unseen = Objects { application_sets: None, ..objects };
    let found = plan(&unseen, &gitops(&unseen), &[], None);
    assert!(found.stays.iter().any(|one| one.contains("may not read them")));
}

#[test]
fn what_is_kept_of_a_deleted_repository_imports_it_again() {
    let mut object = documents("codebase-gitops-reconciled.yaml").remove(0);
    object["metadata"]["labels"][PROTECTED] = json!("update");
    let kept = keepsake(&serde_json::from_value(object.clone()).unwrap());
    assert_eq!(kept["spec"]["strategy"], "import");
    assert_eq!(
        kept["metadata"],
        json!({"name": "krci-gitops", "labels": {
            "app.edp.epam.com/systemType": "gitops", "app.edp.epam.com/codebaseType": "system"}})
    );
    assert!(kept.get("status").is_none());
    let mut same = kept["spec"].clone();
    same["strategy"] = json!("create");
    assert_eq!(same, object["spec"]);
    let again = Codebase::read(&serde_json::from_value(kept).unwrap());
    assert!(again.is_gitops());
    assert!(still_reads(&platform(|_| {}), &again));

    // What was never made cannot be imported.
    let never = documents("codebase-gitops-failed.yaml").remove(0);
    assert_eq!(keepsake(&serde_json::from_value(never).unwrap())["spec"]["strategy"], "create");
}
