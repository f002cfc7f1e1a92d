//! Deploys as they are shown and planned: what is on offer and why, what is out of the ordinary, the way back, and a run
//! followed to its end.

#![allow(clippy::unwrap_used, reason = "a test ends where its data is not as expected")]

use std::sync::Arc;

use kube::core::DynamicObject;
use pilothouse_cluster::Kind;
use pilothouse_delivery::deploy::{
    AppChoice, Choices, FileState, Outside, SHOWN, Standing, app_changes, clean_means, deletion_means, plan, preflight,
    render, render_clean, rollback, run_details, why_no_sync,
};
use pilothouse_delivery::objects::{PipelineRun, TaskRun};
use pilothouse_delivery::{Error, Objects, RunStatus, environment, releases};
use serde::Deserialize;
use serde_json::{Value, json};

fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap()).collect()
}

/// The platform of the samples, after `change` was made to its objects.
fn platform(change: impl FnOnce(&mut Vec<Value>)) -> Objects {
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
    change(&mut all);
    let all: Vec<Arc<DynamicObject>> = all
        .into_iter()
        .map(|mut value| {
            value["metadata"]["namespace"] = json!("krci");
            Arc::new(serde_json::from_value(value).unwrap())
        })
        .collect();
    Objects::read("krci", |kind: &Kind| {
        let of_kind = |one: &&Arc<DynamicObject>| one.types.as_ref().is_some_and(|types| types.kind == kind.kind);
        Some(all.iter().filter(of_kind).cloned().collect())
    })
}

fn find<'a>(all: &'a mut [Value], kind: &str, name: &str) -> &'a mut Value {
    all.iter_mut().find(|one| one["kind"] == kind && one["metadata"]["name"] == name).unwrap()
}

fn codes(objects: &Objects, environment_name: &str) -> Vec<(&'static str, String)> {
    let found = environment(objects, "mypipe", environment_name).unwrap();
    found.applications[0].notes.iter().map(|note| (note.code, note.message.clone())).collect()
}

fn digest(of: char) -> String {
    format!("sha256:{}", of.to_string().repeat(64))
}

fn run(name: &str, payload: &Value, times: (&str, &str), status: &str) -> Value {
    let mut run = documents("tekton-pipelinerun-deploy.yaml").remove(0);
    run["metadata"]["name"] = json!(name);
    run["metadata"]["creationTimestamp"] = json!(times.0);
    run["spec"]["params"][0]["value"] = json!(payload.to_string());
    run["status"] = json!({
        "startTime": times.0, "completionTime": times.1,
        "conditions": [{"type": "Succeeded", "status": status, "reason": "R"}],
    });
    run
}

#[test]
fn what_was_never_deployed_says_so_and_why_its_chart_is_not_found() {
    let objects = platform(|all| {
        // What Argo CD itself says of `build/NaN` only misleads.
        find(all, "Application", "mypipe-qa-fastapi-demo")["status"] = json!({
            "sync": {"status": "Unknown"}, "health": {"status": "Missing"},
            "conditions": [{"type": "ComparisonError", "message": "unable to resolve 'build/NaN' to a commit SHA"}],
        });
    });
    let qa = environment(&objects, "mypipe", "qa").unwrap();
    let app = &qa.applications[0];
    assert_eq!(app.version, None);
    assert_eq!(app.sync.why.as_deref(), Some("It was never deployed here."));
    let notes = codes(&objects, "qa");
    assert_eq!(notes[0].0, "neverDeployed");
    assert!(notes[0].1.contains("`build/NaN`") && notes[0].1.contains("first deploy"), "{}", notes[0].1);
    assert_eq!(codes(&objects, "dev"), []);
    let all = releases(&objects);
    assert_eq!(all.len(), 2);
    assert_eq!((all[1].environment.as_str(), all[1].version.as_deref()), ("qa", None));
}

#[test]
fn a_digest_of_another_image_is_noticed_and_never_caused() {
    // The tag went from .1 to .2 and the digest stayed, as after a deploy that carried none.
    let stale = |all: &mut Vec<Value>| {
        let app = find(all, "Application", "mypipe-dev-fastapi-demo");
        let parameters = json!([
            {"name": "image.tag", "value": "0.1.0-SNAPSHOT.2"}, {"name": "image.digest", "value": digest('1')},
        ]);
        app["spec"]["sources"][1]["helm"]["parameters"] = parameters;
    };
    let notes = codes(&platform(stale), "dev");
    assert_eq!(notes[0].0, "staleDigest");
    assert!(
        notes[0].1.contains("The tag is 0.1.0-SNAPSHOT.2, but the digest is the one of 0.1.0-SNAPSHOT.1"),
        "{notes:?}"
    );

    // The stream does not know the digest: an empty one is sent, and the check says what that is for.
    let unknown = platform(|all| {
        for tag in find(all, "CodebaseImageStream", "fastapi-demo-main")["spec"]["tags"].as_array_mut().unwrap() {
            tag.as_object_mut().unwrap().remove("digest");
        }
    });
    let choices = Choices {
        applications: vec![AppChoice {
            application: "fastapi-demo".into(),
            tag: "0.1.0-SNAPSHOT.2".into(),
            ..AppChoice::default()
        }],
    };
    let made = plan(&unknown, "mypipe", "dev", &choices).unwrap();
    assert!(made.payload().contains(r#""imageDigest":"""#), "{}", made.payload());
    let checks = preflight(&unknown, "mypipe", "dev", &choices, &Outside::default()).unwrap();
    let check = checks.iter().find(|one| one.id == "digests").unwrap();
    assert!(!check.ok && !check.blocking);
    assert!(check.why.as_deref().unwrap().contains("an empty one is sent"), "{check:?}");
    let change = &app_changes(&unknown, &made).unwrap()[0];
    assert_eq!((change.next_digest.as_deref(), change.is_change()), (None, true));
}

#[test]
fn an_override_without_its_file_stops_a_deploy_and_names_the_file() {
    let choices = Choices {
        applications: vec![AppChoice {
            application: "fastapi-demo".into(),
            tag: "0.1.0-SNAPSHOT.2".into(),
            values_override: true,
            digest: None,
        }],
    };
    let outside =
        Outside { values_files: [("fastapi-demo".to_owned(), FileState::Absent)].into(), remote_branch: None };
    let checks = preflight(&platform(|_| {}), "mypipe", "dev", &choices, &outside).unwrap();
    let check = checks.iter().find(|one| one.id == "valuesFiles").unwrap();
    assert!(check.blocking);
    assert!(check.why.as_deref().unwrap().starts_with("mypipe/dev/fastapi-demo-values.yaml is not in the repository"));
}

#[test]
fn tags_say_where_they_are_available_and_why() {
    let objects = platform(|_| {});
    let tags =
        |name: &str, objects: &Objects| environment(objects, "mypipe", name).unwrap().applications[0].tags.clone();
    let dev = tags("dev", &objects);
    let told: Vec<_> =
        dev.tags.iter().map(|tag| (tag.name.as_str(), tag.verified.clone(), tag.deployed.clone())).collect();
    assert_eq!(
        told,
        [
            ("0.1.0-SNAPSHOT.2", Vec::<String>::new(), Vec::<String>::new()),
            ("0.1.0-SNAPSHOT.1", vec!["dev".to_owned()], vec!["dev".to_owned()]),
        ]
    );
    assert!(dev.why().contains("first environment") && dev.why().contains("`fastapi-demo-main`"), "{}", dev.why());
    let qa = tags("qa", &objects);
    assert!(qa.why().contains("Only what was deployed to `dev` without failure"), "{}", qa.why());

    let empty = platform(|all| {
        find(all, "CodebaseImageStream", "mypipe-dev-fastapi-demo-verified")["spec"]["tags"] = json!([]);
    });
    assert!(tags("qa", &empty).why().ends_with("Nothing has passed `dev` yet."));
    let gone = platform(|all| all.retain(|one| one["metadata"]["name"] != "mypipe-dev-fastapi-demo-verified"));
    assert!(tags("qa", &gone).why().contains("has no verified stream of it yet"));
    let alone = platform(|all| find(all, "CDPipeline", "mypipe")["spec"]["applicationsToPromote"] = json!([]));
    assert!(tags("qa", &alone).why().contains("not promoted from environment to environment"));
}

#[test]
fn an_earlier_deploy_comes_back_with_its_image_its_override_and_the_commit_of_its_values() {
    let then =
        json!({"fastapi-demo": {"imageTag": "0.1.0-SNAPSHOT.1", "customValues": true, "imageDigest": digest('9')}});
    let times = ("2026-03-01T10:00:00Z", "2026-03-01T10:01:00Z");
    let history = |tag: &str, at: &str, commit: &str| {
        json!({"deployedAt": at, "revisions": [commit, "c0ffee"], "sources": [
            {"repoURL": "ssh://git@github.com:22/acme/krci-gitops", "ref": "values"},
            {"repoURL": "ssh://git@github.com:22/acme/fastapi-demo", "helm": {"parameters": [{"name": "image.tag", "value": tag}]}},
        ]})
    };
    let objects = platform(|all| {
        find(all, "Application", "mypipe-dev-fastapi-demo")["status"]["history"] = json!([
            history("0.1.0-SNAPSHOT.1", "2026-03-01T09:00:00Z", "aaaa"),
            history("0.1.0-SNAPSHOT.1", "2026-03-01T10:00:40Z", "bbbb"),
            history("0.1.0-SNAPSHOT.2", "2026-03-01T10:00:50Z", "cccc"),
            history("0.1.0-SNAPSHOT.1", "2026-03-02T10:00:50Z", "dddd"),
        ]);
        all.push(run("deploy-then", &then, times, "True"));
        let mut auto = then.clone();
        auto["fastapi-demo"].as_object_mut().unwrap().remove("customValues");
        all.push(run("deploy-auto", &auto, times, "True"));
        all.push(run("deploy-bad", &json!({"fastapi-demo": {"imageTag": "'; rm"}}), times, "True"));
    });
    let back = rollback(&objects, "mypipe", "dev", "deploy-then").unwrap();
    assert_eq!(back.run.status, RunStatus::Succeeded);
    assert_eq!(back.values, [("fastapi-demo".to_owned(), Some("bbbb".to_owned()))]);
    assert!(back.notes[0].contains("was built again since"), "{:?}", back.notes);
    let made = plan(&objects, "mypipe", "dev", &back.choices).unwrap();
    assert_eq!(made.payload(), then.to_string(), "the very payload again");

    let auto = rollback(&objects, "mypipe", "dev", "deploy-auto").unwrap();
    assert!(auto.choices.applications[0].values_override, "as it is stored now");
    assert!(auto.notes.iter().any(|note| note.contains("automatic")), "{:?}", auto.notes);
    assert!(matches!(rollback(&objects, "mypipe", "dev", "deploy-bad"), Err(Error::Choice(_))));
    assert!(matches!(rollback(&objects, "mypipe", "dev", "none"), Err(Error::Unknown { .. })));
}

#[test]
fn ends_are_told_with_what_stays_and_what_comes_back() {
    let objects = platform(|_| {});
    let clean = clean_means(&objects, "mypipe", "dev").unwrap();
    let words = [clean.goes.join("\n"), clean.stays.join("\n")].join("\n");
    for part in [
        "krci-mypipe-dev",
        "fastapi-demo 0.1.0-SNAPSHOT.1",
        "values files under mypipe/dev/ stay",
        "override stays",
        "old version",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let deletion = deletion_means(&objects, "mypipe", "dev", "fastapi-demo").unwrap();
    assert_eq!(deletion.blocked, None);
    assert!(deletion.stays.join("\n").contains("mypipe/dev/fastapi-demo-values.yaml is not touched"));
    assert!(deletion_means(&objects, "mypipe", "dev", "other").is_err());
    let busy = platform(|all| {
        all.push(run("deploy-now", &json!({}), ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"), "Unknown"));
    });
    assert!(clean_means(&busy, "mypipe", "dev").unwrap().blocked.unwrap().contains("deploy-now"));
    assert!(deletion_means(&busy, "mypipe", "dev", "fastapi-demo").unwrap().blocked.is_some());
}

#[test]
fn values_are_synced_only_where_they_are_read() {
    let objects = platform(|_| {});
    let of =
        |objects: &Objects, env: &str| why_no_sync("fastapi-demo", objects.application("mypipe", env, "fastapi-demo"));
    assert_eq!(of(&objects, "dev"), None);
    assert!(of(&objects, "qa").unwrap().contains("never deployed"));
    assert!(of(&objects, "prod").unwrap().contains("no Application"));
    let off = platform(|all| {
        find(all, "Application", "mypipe-dev-fastapi-demo")["spec"]["sources"] = json!(null);
    });
    assert!(of(&off, "dev").unwrap().contains("override of fastapi-demo is off"));
    for (field, value) in
        [("operation", json!({"sync": {}})), ("status", json!({"operationState": {"phase": "Running"}}))]
    {
        let syncing = platform(|all| find(all, "Application", "mypipe-dev-fastapi-demo")[field] = value);
        assert!(of(&syncing, "dev").unwrap().contains("at this moment"), "{field}");
    }
}

#[test]
fn a_run_is_followed_task_by_task_and_step_by_step() {
    let read = |value: Value| PipelineRun::read(&serde_json::from_value(value).unwrap());
    let task = |name: &str, value: Value| {
        let mut object = json!({"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": name}});
        object["status"] = value;
        TaskRun::read(&serde_json::from_value(object).unwrap())
    };
    let mut base = documents("tekton-pipelinerun-deploy.yaml").remove(0);
    base["status"] = json!({
        "startTime": "2026-03-01T10:00:00Z",
        "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Running"}],
        "childReferences": [{"name": "r-pre", "pipelineTaskName": "pre-deploy"}, {"name": "r-app", "pipelineTaskName": "deploy-app"}],
        "pipelineSpec": {"tasks": [{"name": "pre-deploy"}, {"name": "deploy-app"}, {"name": "promote-images"}], "finally": [{"name": "notify"}]},
        "skippedTasks": [{"name": "promote-images", "reason": "When Expressions evaluated to false"}],
    });
    let tasks = [
        task(
            "r-pre",
            json!({"startTime": "2026-03-01T10:00:01Z", "completionTime": "2026-03-01T10:00:02Z", "podName": "p",
            "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
            "steps": [{"name": "pre", "container": "step-pre", "terminated": {"exitCode": 0, "reason": "Completed"}}]}),
        ),
        task(
            "r-app",
            json!({"startTime": "2026-03-01T10:00:02Z",
            "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Running"}],
            "steps": [
                {"name": "patch", "container": "step-patch", "terminated": {"exitCode": 0, "reason": "Completed"}},
                {"name": "sync", "container": "step-sync", "running": {"startedAt": "2026-03-01T10:00:05Z"}},
                {"name": "wait", "container": "step-wait", "waiting": {"reason": "PodInitializing"}}]}),
        ),
    ];
    let told = run_details(&read(base.clone()), Some(&tasks));
    let standings: Vec<_> = told.tasks.iter().map(|task| (task.name.as_str(), task.standing)).collect();
    assert_eq!(
        standings,
        [
            ("pre-deploy", Standing::Succeeded),
            ("deploy-app", Standing::Running),
            ("promote-images", Standing::Skipped),
            ("notify", Standing::Waiting),
        ]
    );
    let steps: Vec<_> = told.tasks[1].steps.iter().map(|step| (step.name.as_str(), step.standing)).collect();
    assert_eq!(steps, [("patch", Standing::Succeeded), ("sync", Standing::Running), ("wait", Standing::Waiting)]);

    // Without TaskRuns the run itself names its tasks.
    let bare = run_details(&read(base.clone()), None);
    assert_eq!(
        bare.tasks.iter().map(|task| task.standing).collect::<Vec<_>>()[1..],
        [Standing::Running, Standing::Skipped, Standing::Waiting]
    );
    base["spec"]["status"] = json!("CancelledRunFinally");
    let asked = run_details(&read(base), None);
    assert!(asked.run.cancelling);
    assert_eq!(asked.run.carried[0].tag, "0.1.0-SNAPSHOT.1");
}

#[test]
fn an_image_tells_when_it_was_built_and_since_when_it_runs() {
    let (first, second) = (digest('1'), digest('2'));
    let built =
        |tag: &str, of: Option<&str>, created: Option<&str>| json!({"name": tag, "digest": of, "created": created});
    let with = |tags: Value, running: Option<&str>| {
        platform(move |all| {
            find(all, "CodebaseImageStream", "fastapi-demo-main")["spec"]["tags"] = tags;
            all.retain(|one| one["metadata"]["name"] != "mypipe-dev-fastapi-demo-verified");
            let app = find(all, "Application", "mypipe-dev-fastapi-demo");
            let mut parameters = vec![json!({"name": "image.tag", "value": "1.4"})];
            parameters.extend(running.map(|digest| json!({"name": "image.digest", "value": digest})));
            app["spec"]["sources"][1]["helm"]["parameters"] = json!(parameters);
            app["status"]["summary"] = json!(null);
        })
    };
    let (old, new) = (Some("2026-01-01T00:00:00Z"), Some("2026-02-01T00:00:00Z"));
    let created =
        |objects: &Objects| environment(objects, "mypipe", "dev").unwrap().applications[0].image_created.clone();
    // The tag was built twice: the digest says which of the two runs.
    let twice = json!([built("1.4", Some(&first), old), built("1.4", Some(&second), new)]);
    assert_eq!(created(&with(twice.clone(), Some(&first))).as_deref(), old);
    assert_eq!(created(&with(twice.clone(), Some(&second))).as_deref(), new);
    assert_eq!(created(&with(twice.clone(), None)).as_deref(), new, "the newest of the name");
    assert_eq!(created(&with(twice, Some(&digest('9')))), None, "an image that no stream knows");
    assert_eq!(created(&with(json!([built("1.4", None, old)]), Some(&first))).as_deref(), old);
    assert_eq!(created(&with(json!([built("1.4", Some(&first), None)]), Some(&first))), None);

    let history = |tag: &str, at: &str| json!({"deployedAt": at, "sources": [{"helm": {"parameters": [{"name": "image.tag", "value": tag}]}}]});
    let since = |all: Value| {
        let objects = platform(move |objects| {
            find(objects, "Application", "mypipe-dev-fastapi-demo")["status"]["history"] = all;
        });
        environment(&objects, "mypipe", "dev").unwrap().applications[0].image_since.clone()
    };
    let now = "0.1.0-SNAPSHOT.1";
    let told = since(json!([history(now, "01"), history("other", "02"), history(now, "03"), history(now, "04")]));
    assert_eq!(told.as_deref(), Some("03"), "values alone are no new image");
    assert_eq!(since(json!([history("other", "02")])), None);
    assert_eq!(since(json!([])), None);
}

#[test]
fn every_way_to_deploy_is_told_and_its_own_template_is_used() {
    let choices = Choices {
        applications: vec![AppChoice {
            application: "fastapi-demo".into(),
            tag: "0.1.0-SNAPSHOT.2".into(),
            ..AppChoice::default()
        }],
    };
    let ways = ["deploy", "deploy-with-approve", "deploy-with-autotests", "deploy-diff-approve"];
    for (kind, template) in ["Manual", "Auto", "Auto-stable", "Manual"].into_iter().zip(ways) {
        let objects = platform(|all| {
            let stage = find(all, "Stage", "mypipe-dev");
            stage["spec"]["triggerType"] = json!(kind);
            stage["spec"]["triggerTemplate"] = json!(template);
            let mut own = find(all, "TriggerTemplate", "deploy").clone();
            own["metadata"]["name"] = json!(template);
            own["spec"]["resourcetemplates"][0]["spec"]["pipelineRef"]["name"] = json!(template);
            all.push(own);
        });
        let found = environment(&objects, "mypipe", "dev").unwrap();
        assert_eq!((found.trigger_type.as_str(), found.trigger_template.as_str()), (kind, template));
        let made = plan(&objects, "mypipe", "dev", &choices).unwrap();
        let own = objects.templates.iter().flatten().rfind(|one| one.meta.name == made.template).unwrap();
        let run = render(own, &made, "krci", SHOWN).unwrap();
        assert_eq!(run["spec"]["pipelineRef"]["name"], template);
        assert_eq!(run["metadata"]["labels"]["app.edp.epam.com/pipelinetype"], "deploy", "{template}");
    }
    // An approval is a task of its own kind, for which there is no TaskRun.
    let mut waiting = documents("tekton-pipelinerun-deploy.yaml").remove(0);
    waiting["status"] = json!({
        "startTime": "2026-03-01T10:00:00Z",
        "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Running"}],
        "childReferences": [{"kind": "CustomRun", "name": "r-approve", "pipelineTaskName": "approve"}],
        "pipelineSpec": {"tasks": [{"name": "approve"}, {"name": "deploy-app"}]},
    });
    let told = run_details(&PipelineRun::read(&serde_json::from_value(waiting).unwrap()), Some(&[]));
    let standings: Vec<_> = told.tasks.iter().map(|task| (task.name.as_str(), task.standing)).collect();
    assert_eq!(standings, [("approve", Standing::Running), ("deploy-app", Standing::Waiting)]);
}

#[test]
fn a_clean_run_takes_no_name_that_no_object_can_have() {
    let objects = platform(|_| {});
    let template = objects.templates.iter().flatten().find(|one| one.meta.name == "clean").unwrap();
    let stage = objects.stage("mypipe", "dev").unwrap();
    render_clean(template, stage, "krci", SHOWN).unwrap();
    // Each goes into parameters that the pipeline's scripts write out.
    for hostile in ["", "dev; rm -rf /", "dev$(id)", "Dev", "a b", "../x", "x\ny", &"x".repeat(64)] {
        for field in ["flow", "environment", "cluster"] {
            let mut stage = stage.clone();
            match field {
                "flow" => stage.pipeline = hostile.to_owned(),
                "environment" => stage.name = hostile.to_owned(),
                _ => stage.cluster = hostile.to_owned(),
            }
            let refused = render_clean(template, &stage, "krci", SHOWN);
            assert!(refused.is_err(), "{field} {hostile:?}: {refused:?}");
        }
    }
    let dotted = pilothouse_delivery::objects::Stage { cluster: "eu-central-1.prod".into(), ..stage.clone() };
    assert_eq!(
        render_clean(template, &dotted, "krci", SHOWN).unwrap()["spec"]["params"][2]["value"],
        "eu-central-1.prod"
    );
}
