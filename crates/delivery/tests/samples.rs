//! The readers, views and manifests against objects as upstream writes them.

#![allow(clippy::unwrap_used, reason = "a test ends where its data is not as expected")]

use std::sync::Arc;

use kube::core::DynamicObject;
use pilothouse_cluster::{Kind, kinds};
use pilothouse_delivery::deploy::{
    AppChoice, Choices, FileState, Outside, changes, plan, preflight, render, render_clean,
};
use pilothouse_delivery::objects::{Codebase, GitServer, ImageStream, PipelineRun};
use pilothouse_delivery::repository::{CiTool, Form, Strategy, card, find_existing, render_yaml, validate, warnings};
use pilothouse_delivery::{Error, Objects, RunStatus, environment, flows};
use serde::Deserialize;
use serde_json::{Value, json};

fn data(file: &str) -> String {
    let path = format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn documents(file: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(&data(file)).map(|one| Value::deserialize(one).unwrap()).collect()
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

/// The whole platform of the samples.
fn platform(mut more: Vec<Value>) -> Objects {
    let files = [
        "app-pipeline-stages.yaml",
        "gitservers.yaml",
        "codebase-gitops-reconciled.yaml",
        "argocd-application-override-on.yaml",
        "argocd-application-override-off.yaml",
        "argocd-applicationset-mypipe.yaml",
        "tekton-triggertemplate-deploy.yaml",
        "tekton-triggertemplate-clean.yaml",
    ];
    let mut all: Vec<Value> = files.iter().flat_map(|file| documents(file)).collect();
    all.append(&mut more);
    all.push(json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "krci", "namespace": "krci"}}));
    let all: Vec<Arc<DynamicObject>> = all
        .into_iter()
        .map(|mut value| {
            value["metadata"]["namespace"] = json!("krci");
            if value["kind"] == "GitServer" && value["metadata"]["name"] != "my-broken" {
                value["status"] = json!({"connected": true});
            }
            Arc::new(object(value))
        })
        .collect();
    Objects::read("krci", |kind: &Kind| {
        let of_kind = |one: &&Arc<DynamicObject>| one.types.as_ref().is_some_and(|types| types.kind == kind.kind);
        Some(all.iter().filter(of_kind).cloned().collect())
    })
}

fn without_repository(mut objects: Objects) -> Objects {
    objects.codebases.retain(|one| !one.is_gitops());
    objects
}

fn choose(tag: &str, values_override: bool) -> Choices {
    Choices {
        applications: vec![AppChoice {
            application: "fastapi-demo".into(),
            tag: tag.into(),
            values_override,
            digest: None,
        }],
    }
}

#[test]
fn the_samples_are_read_without_problems() {
    assert_eq!(platform(Vec::new()).problems(), []);
}

#[test]
fn the_codebase_is_the_portals_byte_for_byte_except_private() {
    let objects = platform(Vec::new());
    let form = |server: &str| Form { git_server: server.into(), owner: "acme".into(), ..Form::default() };
    let table = [
        ("codebase-gitops-github.yaml", form("my-github")),
        ("codebase-gitops-gitlab.yaml", form("my-gitlab")),
        ("codebase-gitops-gitlab-gitlabci.yaml", Form { ci_tool: CiTool::Gitlab, ..form("my-gitlab") }),
        ("codebase-gitops-bitbucket.yaml", form("my-bitbucket")),
        ("codebase-gitops-gerrit.yaml", Form { owner: String::new(), ..form("gerrit") }),
        (
            "codebase-gitops-github-import.yaml",
            Form { strategy: Strategy::Import, repository: "env-values".into(), ..form("my-github") },
        ),
    ];
    for (file, form) in table {
        assert_eq!(validate(&form, &without_repository(objects.clone())), [], "{file}");
        let sample: String =
            data(file).lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        let sample = sample.replace("private: false", "private: true");
        let server = objects.git_servers.iter().find(|one| one.meta.name == form.git_server);
        assert_eq!(render_yaml(&form, server), sample, "{file}");
    }
}

#[test]
fn a_form_is_checked_against_the_platform() {
    let objects = without_repository(platform(Vec::new()));
    let good = Form { git_server: "my-github".into(), owner: "acme".into(), ..Form::default() };
    let table = [
        (Form { git_server: String::new(), ..good.clone() }, "gitServer"),
        (Form { git_server: "my-broken".into(), ..good.clone() }, "gitServer"),
        (Form { owner: String::new(), ..good.clone() }, "owner"),
        (Form { owner: "a/../b".into(), ..good.clone() }, "owner"),
        (Form { repository: "ab".into(), ..good.clone() }, "repository"),
        (Form { repository: "FastAPI-demo".into(), ..good.clone() }, "repository"),
        (Form { git_server: "gerrit".into(), git_url_path: "/a".into(), ..good.clone() }, "gitUrlPath"),
        (Form { ci_tool: CiTool::Gitlab, ..good.clone() }, "ciTool"),
        (Form { default_branch: "a b".into(), ..good.clone() }, "defaultBranch"),
        (Form { name: "krci--gitops".into(), ..good.clone() }, "name"),
        (Form { name: "Krci".into(), ..good.clone() }, "name"),
        (Form { name: "fastapi-demo".into(), ..good.clone() }, "name"),
    ];
    for (form, field) in table {
        let problems = validate(&form, &objects);
        assert_eq!(problems.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), [field], "{problems:?}");
    }
    let second = validate(&good, &platform(Vec::new()));
    assert_eq!(second[0].field, "form");
}

#[test]
fn the_card_shows_the_operators_words() {
    let objects = platform(Vec::new());
    let found = find_existing(&objects.codebases);
    assert_eq!(found.len(), 1);
    let shown = card(found[0], &objects);
    assert_eq!((shown.status.as_str(), shown.status_known, shown.available), ("created", true, true));
    assert_eq!(shown.used_by, ["mypipe"]);
    let urls = shown.urls.unwrap();
    assert_eq!(urls.https, "https://github.com/acme/krci-gitops.git");
    assert_eq!(urls.ssh, "ssh://git@github.com:22/acme/krci-gitops");

    let mut working = found[0].clone();
    working.status.status = Some("in progress".into());
    assert!(card(&working, &objects).status_known);
    working.status.status = Some("reticulating".into());
    assert!(!card(&working, &objects).status_known);
}

#[test]
fn warnings_name_what_is_wrong() {
    let codes = |objects: &Objects| warnings(objects).into_iter().map(|one| one.code).collect::<Vec<_>>();
    assert_eq!(codes(&platform(Vec::new())), ["publicRepository"]);

    let mut objects = without_repository(platform(Vec::new()));
    assert_eq!(codes(&objects), Vec::<&str>::new());
    let mut failed = Codebase::read(&object(documents("codebase-gitops-failed.yaml").remove(0)));
    failed.private = true;
    objects.codebases.push(failed.clone());
    let found = warnings(&objects);
    assert_eq!(found[0].code, "creationFailed");
    assert!(found[0].message.starts_with("remote repository already contains default branch"));

    let mut moved = failed;
    moved.status = Default::default();
    moved.default_branch = "master".into();
    moved.git_url_path = "/acme/other".into();
    objects.codebases.retain(|one| !one.is_gitops());
    objects.codebases.push(moved.clone());
    assert_eq!(codes(&objects), ["branchDiffers", "readsAnotherRepository"]);
    moved.meta.name = "second".into();
    objects.codebases.push(moved);
    assert_eq!(codes(&objects)[0], "severalRepositories");
}

#[test]
fn flows_and_environments_are_put_together() {
    let objects = platform(Vec::new());
    let all = flows(&objects);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].environments.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["dev", "qa"]);

    let dev = environment(&objects, "mypipe", "dev").unwrap();
    let app = &dev.applications[0];
    assert_eq!(app.version.as_deref(), Some("0.1.0-SNAPSHOT.1"));
    assert!(app.digest.as_deref().unwrap().starts_with("sha256:1111"));
    assert_eq!((app.values_override.live, app.values_override.stored), (true, Some(true)));
    assert_eq!((app.health.status.as_str(), app.sync.status.as_str()), ("Healthy", "Synced"));
    assert_eq!(app.tags.stream.as_deref(), Some("fastapi-demo-main"));
    let tags: Vec<_> = app.tags.tags.iter().map(|tag| (tag.name.as_str(), tag.latest, tag.stable)).collect();
    assert_eq!(tags, [("0.1.0-SNAPSHOT.2", true, false), ("0.1.0-SNAPSHOT.1", false, true)]);

    let qa = environment(&objects, "mypipe", "qa").unwrap();
    let app = &qa.applications[0];
    assert_eq!(app.version, None, "NaN is no version");
    assert_eq!((app.values_override.live, app.values_override.stored), (false, Some(false)));
    assert_eq!(app.tags.stream.as_deref(), Some("mypipe-dev-fastapi-demo-verified"), "promoted from dev");
    assert_eq!(app.tags.tags.len(), 1);
    assert!(!app.tags.tags[0].stable);

    assert!(matches!(environment(&objects, "mypipe", "prod"), Err(Error::Unknown { .. })));
}

#[test]
fn an_application_that_is_not_promoted_takes_the_input_stream_everywhere() {
    let mut objects = platform(Vec::new());
    objects.pipelines[0].to_promote.clear();
    let qa = environment(&objects, "mypipe", "qa").unwrap();
    assert_eq!(qa.applications[0].tags.stream.as_deref(), Some("fastapi-demo-main"));
}

#[test]
fn the_newest_by_time_may_differ_from_the_portals() {
    let mut objects = platform(Vec::new());
    let stream: &mut ImageStream = objects.streams.iter_mut().find(|one| one.meta.name == "fastapi-demo-main").unwrap();
    stream.tags.reverse();
    let tags = environment(&objects, "mypipe", "dev").unwrap().applications[0].tags.clone();
    assert_eq!(tags.tags[0].name, "0.1.0-SNAPSHOT.2");
    assert_eq!(tags.portal_latest.as_deref(), Some("0.1.0-SNAPSHOT.1"));
}

#[test]
fn the_deploy_run_is_the_portals() {
    let objects = platform(Vec::new());
    let template = objects.templates.as_ref().unwrap().iter().find(|one| one.meta.name == "deploy").unwrap();
    let made = plan(&objects, "mypipe", "dev", &choose("stable::0.1.0-SNAPSHOT.1", true)).unwrap();
    let run = render(template, &made, "krci", "ab12").unwrap();
    let sample = documents("tekton-pipelinerun-deploy.yaml").remove(0);
    assert_eq!(serde_yaml::to_string(&run).unwrap(), serde_yaml::to_string(&sample).unwrap());
}

#[test]
fn the_clean_run_is_the_portals() {
    let objects = platform(Vec::new());
    let template = objects.templates.as_ref().unwrap().iter().find(|one| one.meta.name == "clean").unwrap();
    let run = render_clean(template, objects.stage("mypipe", "dev").unwrap(), "krci", "cd34").unwrap();
    let sample = documents("tekton-pipelinerun-clean.yaml").remove(0);
    assert_eq!(serde_yaml::to_string(&run).unwrap(), serde_yaml::to_string(&sample).unwrap());
}

#[test]
fn the_payload_holds_every_application_in_order_and_always_a_digest() {
    let mut objects = platform(Vec::new());
    objects.pipelines[0].applications = vec!["zeta".into(), "fastapi-demo".into()];
    let mut choices = choose("0.1.0-SNAPSHOT.2", false);
    assert!(matches!(plan(&objects, "mypipe", "dev", &choices), Err(Error::Choice(_))), "zeta has no tag");
    choices.applications.push(AppChoice {
        application: "zeta".into(),
        tag: "latest::1.0".into(),
        values_override: true,
        digest: None,
    });
    let payload = plan(&objects, "mypipe", "dev", &choices).unwrap().payload();
    let digest = format!("sha256:{}", "2".repeat(64));
    assert_eq!(
        payload,
        format!(
            r#"{{"zeta":{{"imageTag":"1.0","customValues":true,"imageDigest":""}},"fastapi-demo":{{"imageTag":"0.1.0-SNAPSHOT.2","customValues":false,"imageDigest":"{digest}"}}}}"#
        )
    );
}

#[test]
fn unsafe_choices_are_refused() {
    let objects = platform(Vec::new());
    for tag in ["", "latest::", "a'; rm -rf /", "a b", "$(x)", "é", "-a", &"a".repeat(129)] {
        assert!(plan(&objects, "mypipe", "dev", &choose(tag, false)).is_err(), "{tag}");
    }
    let mut stranger = choose("1", false);
    stranger.applications.push(AppChoice {
        application: "other".into(),
        tag: "1".into(),
        values_override: false,
        digest: None,
    });
    assert!(plan(&objects, "mypipe", "dev", &stranger).is_err());
    assert!(plan(&objects, "mypipe", "prod", &choose("1", false)).is_err());
}

fn outside(state: FileState) -> Outside {
    Outside { values_files: [("fastapi-demo".to_owned(), state)].into(), remote_branch: None }
}

#[test]
fn preflight_says_what_stops_a_deploy() {
    let failing = |objects: &Objects, choices: &Choices, state: FileState| -> Vec<(&'static str, bool)> {
        let checks = preflight(objects, "mypipe", "dev", choices, &outside(state)).unwrap();
        checks.into_iter().filter(|one| !one.ok).map(|one| (one.id, one.blocking)).collect()
    };
    let good = choose("0.1.0-SNAPSHOT.2", true);
    let objects = platform(Vec::new());
    assert_eq!(failing(&objects, &good, FileState::Present), []);
    assert_eq!(failing(&objects, &good, FileState::Absent), [("valuesFiles", true)]);
    assert_eq!(failing(&objects, &good, FileState::Unknown), [("valuesFiles", false)]);
    assert_eq!(failing(&objects, &choose("0.1.0-SNAPSHOT.2", false), FileState::Absent), []);
    assert_eq!(failing(&objects, &choose("", false), FileState::Present), [("tags", true)]);
    assert_eq!(failing(&objects, &choose("9.9", false), FileState::Present), [("digests", false)]);

    let mut run = documents("tekton-pipelinerun-deploy.yaml").remove(0);
    run["status"] = json!({"conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Running"}]});
    assert_eq!(failing(&platform(vec![run]), &good, FileState::Present), [("idle", true)]);

    let mut bare = platform(Vec::new());
    bare.projects = Some(Vec::new());
    bare.templates = Some(Vec::new());
    bare.codebases.clear();
    let found = failing(&bare, &good, FileState::Present);
    assert_eq!(found, [("applications", true), ("project", true), ("repository", true), ("template", true)]);

    let mut forbidden = platform(Vec::new());
    (forbidden.projects, forbidden.templates, forbidden.application_sets) = (None, None, None);
    assert_eq!(failing(&forbidden, &good, FileState::Present), [("project", false), ("template", false)]);
}

#[test]
fn changes_are_told_in_words() {
    let objects = platform(Vec::new());
    let words = |environment: &str, choices: &Choices| {
        let plan = plan(&objects, "mypipe", environment, choices).unwrap();
        changes(&objects, &plan).unwrap().join("\n")
    };
    assert!(words("dev", &choose("0.1.0-SNAPSHOT.2", true)).contains("0.1.0-SNAPSHOT.1 → 0.1.0-SNAPSHOT.2"));
    assert!(words("dev", &choose("0.1.0-SNAPSHOT.1", false)).contains("goes back to the chart's defaults"));
    assert!(words("qa", &choose("0.1.0-SNAPSHOT.1", true)).contains("first deploy"));
    assert!(
        words("qa", &choose("0.1.0-SNAPSHOT.1", true)).contains("begins to read mypipe/qa/fastapi-demo-values.yaml")
    );
}

#[test]
fn runs_of_an_environment_come_newest_first() {
    let run = |name: &str, created: &str, status: &str, stage: &str| {
        let mut run = documents("tekton-pipelinerun-deploy.yaml").remove(0);
        run["metadata"]["name"] = json!(name);
        run["metadata"]["creationTimestamp"] = json!(created);
        run["metadata"]["labels"]["app.edp.epam.com/cdstage"] = json!(stage);
        run["metadata"]["labels"]["app.edp.epam.com/stage"] = json!(stage);
        run["status"] = json!({"conditions": [{"type": "Succeeded", "status": status, "reason": "R", "message": "m"}]});
        run
    };
    let objects = platform(vec![
        run("a", "2026-01-01T00:00:00Z", "True", "mypipe-dev"),
        run("b", "2026-01-02T00:00:00Z", "False", "mypipe-dev"),
        run("c", "2026-01-03T00:00:00Z", "Unknown", "mypipe-qa"),
    ]);
    let dev = environment(&objects, "mypipe", "dev").unwrap();
    let told: Vec<_> = dev.runs.iter().map(|run| (run.name.as_str(), run.status)).collect();
    assert_eq!(told, [("b", RunStatus::Failed), ("a", RunStatus::Succeeded)]);
    assert_eq!(dev.runs[0].reason.as_deref(), Some("R: m"));
    assert_eq!(dev.busy, None);
    assert_eq!(environment(&objects, "mypipe", "qa").unwrap().busy.as_deref(), Some("c"));
}

#[test]
fn a_broken_field_takes_nothing_else_away() {
    let hostile = [json!(null), json!(7), json!("x"), json!([]), json!({"a": 1}), json!([null, 7, {"name": 3}])];
    let fields = ["spec", "status"];
    let kinds = [
        ("CDPipeline", json!({"applications": ["fastapi-demo"]}), &kinds::CD_PIPELINE),
        ("Stage", json!({"cdPipeline": "mypipe", "name": "dev"}), &kinds::STAGE),
        ("Application", json!({"sources": [{"helm": {"parameters": []}}]}), &kinds::APPLICATION),
        ("ApplicationSet", json!({"generators": [{"list": {"elements": []}}]}), &kinds::APPLICATION_SET),
        ("PipelineRun", json!({"params": []}), &kinds::PIPELINE_RUN),
        ("TriggerTemplate", json!({"resourcetemplates": []}), &kinds::TRIGGER_TEMPLATE),
        ("Codebase", json!({"type": "system"}), &kinds::CODEBASE),
        ("GitServer", json!({"gitHost": "x"}), &kinds::GIT_SERVER),
        ("CodebaseImageStream", json!({"tags": []}), &kinds::CODEBASE_IMAGE_STREAM),
    ];
    for (kind, spec, _) in &kinds {
        for value in &hostile {
            let mut broken =
                vec![json!({"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "broken"}, "status": value})];
            for field in fields {
                let mut one = json!({"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "broken"}, "spec": spec});
                one[field] = value.clone();
                broken.push(one);
            }
            for key in spec.as_object().unwrap().keys() {
                let mut one = json!({"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "broken"}, "spec": spec});
                one["spec"][key] = value.clone();
                broken.push(one);
            }
            let objects = platform(broken);
            assert_eq!(
                flows(&objects).iter().find(|flow| flow.name == "mypipe").unwrap().applications,
                ["fastapi-demo"]
            );
            assert_eq!(
                environment(&objects, "mypipe", "dev").unwrap().applications[0].version.as_deref(),
                Some("0.1.0-SNAPSHOT.1")
            );
            let _ = warnings(&objects);
        }
    }
    let server = GitServer::read(&object(
        json!({"apiVersion": "x/v1", "kind": "GitServer", "metadata": {"name": "s"}, "spec": {"gitHost": 7, "sshPort": 99999}}),
    ));
    assert_eq!((server.ssh_port, server.problems.len()), (22, 1));
    let run = PipelineRun::read(&object(
        json!({"apiVersion": "x/v1", "kind": "PipelineRun", "metadata": {"name": "r"}, "status": {"conditions": "no"}}),
    ));
    assert_eq!(run.problems.len(), 1);
}
