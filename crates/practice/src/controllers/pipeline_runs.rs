//! Tekton running the platform's two pipelines: `deploy` writes the image and the override into
//! the ApplicationSet, syncs the stage's Applications and promotes the images; `clean` deletes
//! the Applications.

use std::sync::Arc;

use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use serde_json::{Map, Value, json};

use super::image_update::update_elements;
use super::kinds::{APPLICATION, APPLICATION_SET, IMAGE_STREAM, PIPELINE_RUN, STAGE};
use super::object_fields::{Fields, Named};
use super::task_runs::{Ended, Task};
use super::{Part, Scene, controller, play};
use crate::{Error, Result};

const DEPLOY: [&str; 4] = ["pre-deploy", "deploy-app", "post-deploy", "promote-images"];
const CLEAN: [&str; 1] = ["clean"];

/// The PipelineRun controller.
pub(super) fn runs(scene: &Arc<Scene>) -> Part {
    let runs = controller(scene, PIPELINE_RUN, scene.platform());
    Box::pin(play("pipelinerun", runs, scene.clone(), PIPELINE_RUN, reconcile))
}

async fn reconcile(run: Arc<DynamicObject>, scene: Arc<Scene>) -> Result<Action> {
    let done = matches!(succeeded(&run).text("/status"), "True" | "False");
    if done || run.deleting() {
        return Ok(Action::await_change());
    }
    match run.label("app.edp.epam.com/pipelinetype") {
        "deploy" => play_run(&run, &scene, &DEPLOY).await?,
        "clean" => play_run(&run, &scene, &CLEAN).await?,
        _ => {}
    }
    Ok(Action::await_change())
}

fn succeeded(run: &DynamicObject) -> &Value {
    run.items("/status/conditions").iter().find(|c| c.text("/type") == "Succeeded").unwrap_or(&Value::Null)
}

/// Why a run ended before its last task.
enum Stopped {
    Cancelled,
    Failed(String),
}

async fn play_run(run: &DynamicObject, scene: &Scene, tasks: &[&str]) -> Result<()> {
    let started = match run.text("/status/startTime") {
        "" => scene.now(),
        earlier => earlier.to_string(),
    };
    let planned: Vec<Value> = tasks
        .iter()
        .enumerate()
        .map(|(n, task)| {
            let before = n.checked_sub(1).and_then(|n| tasks.get(n));
            json!({ "name": task, "taskRef": { "kind": "Task", "name": task }, "runAfter": before.into_iter().collect::<Vec<_>>() })
        })
        .collect();
    let mut status = json!({
        "startTime": started,
        "childReferences": [],
        "pipelineSpec": { "tasks": planned },
    });
    status["conditions"] =
        condition(scene, "Unknown", "Started", "Not all Tasks in the Pipeline have finished executing");
    write(run, scene, &status).await?;
    scene.pause().await;
    let mut completed = 0;
    let mut stopped = None;
    for (number, task) in tasks.iter().enumerate() {
        if cancelled(run, scene).await? {
            stopped = Some((number, Stopped::Cancelled));
            break;
        }
        let mut played = Task::begin(scene, run, task).await?;
        if let Some(children) = status["childReferences"].as_array_mut() {
            children.push(json!({
                "apiVersion": "tekton.dev/v1",
                "kind": "TaskRun",
                "name": played.name(),
                "pipelineTaskName": task,
            }));
        }
        let words = format!(
            "Tasks Completed: {completed} (Failed: 0, Cancelled 0), Incomplete: {}, Skipped: 0",
            tasks.len() - completed
        );
        status["conditions"] = condition(scene, "Unknown", "Running", &words);
        write(run, scene, &status).await?;
        scene.pause().await;
        match perform(task, run, scene, &mut played).await {
            Ok(()) => {
                played.end(scene, Ended::Well).await?;
                completed += 1;
            }
            Err(Error::Cancelled) => {
                played.end(scene, Ended::Cancelled).await?;
                stopped = Some((number + 1, Stopped::Cancelled));
                break;
            }
            Err(error @ Error::Kube(kube::Error::Service(_))) => return Err(error),
            Err(error) => {
                tracing::info!(run = run.name(), task, %error, "task failed");
                played.say(scene, &format!("error: {error}")).await;
                played.end(scene, Ended::Badly).await?;
                stopped = Some((number + 1, Stopped::Failed(error.to_string())));
                break;
            }
        }
    }
    if let Some((from, how)) = &stopped {
        let why = match how {
            Stopped::Cancelled => "PipelineRun was gracefully cancelled",
            Stopped::Failed(_) => "PipelineRun was stopping",
        };
        status["skippedTasks"] =
            tasks.iter().skip(*from).map(|task| json!({ "name": task, "reason": why })).collect::<Vec<_>>().into();
    }
    let left = tasks.len() - completed;
    let (word, reason, words) = match stopped.map(|(_, how)| how) {
        None => ("True", "Succeeded", format!("Tasks Completed: {completed} (Failed: 0, Cancelled 0), Skipped: 0")),
        Some(Stopped::Cancelled) => ("False", "Cancelled", format!("PipelineRun \"{}\" was cancelled", run.name())),
        Some(Stopped::Failed(why)) => (
            "False",
            "Failed",
            format!("Tasks Completed: {} (Failed: 1, Cancelled 0), Skipped: {}: {why}", completed + 1, left - 1),
        ),
    };
    status["conditions"] = condition(scene, word, reason, &words);
    status["completionTime"] = json!(scene.now());
    write(run, scene, &status).await
}

async fn write(run: &DynamicObject, scene: &Scene, status: &Value) -> Result<()> {
    scene.merge_status(PIPELINE_RUN, run.ns(), run.name(), status.clone()).await.map(|_| ())
}

fn condition(scene: &Scene, status: &str, reason: &str, message: &str) -> Value {
    json!([{
        "type": "Succeeded",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": scene.now(),
    }])
}

/// Tekton's three ways of asking a run to end early.
async fn cancelled(run: &DynamicObject, scene: &Scene) -> Result<bool> {
    let fresh = scene.want(PIPELINE_RUN, run.ns(), run.name()).await?;
    Ok(matches!(fresh.text("/spec/status"), "Cancelled" | "CancelledRunFinally" | "StoppedRunFinally"))
}

fn parameter<'r>(run: &'r DynamicObject, name: &str) -> &'r str {
    run.items("/spec/params").iter().find(|p| p.text("/name") == name).map_or("", |p| p.text("/value"))
}

async fn perform(task: &str, run: &DynamicObject, scene: &Scene, played: &mut Task) -> Result<()> {
    let (flow, env) = (parameter(run, "CDPIPELINE"), parameter(run, "CDSTAGE"));
    match task {
        "deploy-app" => deploy(run, scene, flow, env, played).await,
        "promote-images" => promote(run, scene, flow, env, played).await,
        "clean" => clean(scene, flow, env, played).await,
        other => {
            played.say(scene, &format!("{other}: nothing to do for {flow}-{env}")).await;
            Ok(())
        }
    }
}

fn payload(run: &DynamicObject) -> Result<Map<String, Value>> {
    serde_json::from_str(parameter(run, "APPLICATIONS_PAYLOAD"))
        .map_err(|e| Error::Played(format!("jq: invalid JSON text passed to --argjson: {e}")))
}

fn selector(flow: &str, env: &str) -> String {
    format!("app.edp.epam.com/stage={env},app.edp.epam.com/pipeline={flow}")
}

async fn deploy(run: &DynamicObject, scene: &Scene, flow: &str, env: &str, played: &mut Task) -> Result<()> {
    let updates = payload(run)?;
    played.say(scene, &format!("Stage: {env}\nPayload: {}", parameter(run, "APPLICATIONS_PAYLOAD"))).await;
    let namespace = run.ns();
    let elements = loop {
        let mut set = scene.want(APPLICATION_SET, namespace, flow).await?;
        let list = "/spec/generators/0/list/elements";
        let elements = update_elements(set.items(list), env, &updates);
        if elements == set.items(list) {
            break elements;
        }
        set.data["spec"]["generators"][0]["list"]["elements"] = json!(elements);
        match scene.replace(APPLICATION_SET, namespace, &set).await {
            Ok(_) => break elements,
            Err(Error::Kube(kube::Error::Api(status))) if status.is_conflict() => {}
            Err(error) => return Err(error),
        }
    };
    played.say(scene, &format!("applicationset.argoproj.io/{flow} patched")).await;
    // The task itself sleeps five seconds here; waiting for the effect is surer.
    let patience = Patience::new(scene);
    let applications = loop {
        let found = scene.list(APPLICATION, namespace, &selector(flow, env)).await?;
        let mut here = elements.iter().filter(|e| e.text("/stage") == env);
        if here.all(|element| found.iter().any(|a| follows(a, element))) {
            break found;
        }
        if !patience.rest(run, scene).await? {
            let words = "the Applications were not generated in time";
            return Err(Error::Played(words.into()));
        }
    };
    played.say(scene, &format!("argocd app sync -l {} --prune --timeout 300", selector(flow, env))).await;
    for application in &applications {
        let operation = json!({ "operation": {
            "initiatedBy": { "username": "admin" },
            "info": [{ "name": "Reason", "value": run.name() }],
            "sync": { "prune": true, "syncStrategy": { "hook": {} } },
        } });
        scene.merge(APPLICATION, namespace, application.name(), operation).await?;
    }
    for application in &applications {
        settle(run, scene, application.name(), &patience).await?;
        played.say(scene, &format!("{}: Synced, Healthy", application.name())).await;
    }
    Ok(())
}

/// Waits until an Application is synced by this run and healthy.
async fn settle(run: &DynamicObject, scene: &Scene, name: &str, patience: &Patience) -> Result<()> {
    loop {
        let now = scene.want(APPLICATION, run.ns(), name).await?;
        let ours = now.text("/status/operationState/operation/info/0/value") == run.name();
        match now.text("/status/operationState/phase") {
            "Failed" | "Error" if ours => {
                let words = now.text("/status/operationState/message");
                return Err(Error::Played(format!("{name}: {words}")));
            }
            "Succeeded"
                if ours
                    && now.text("/status/health/status") == "Healthy"
                    && now.text("/status/sync/status") == "Synced" =>
            {
                return Ok(());
            }
            _ => {}
        }
        if !patience.rest(run, scene).await? {
            return Err(Error::Played(format!(
                "timed out ({} seconds) waiting for app \"{name}\" match desired state",
                scene.config.patience.as_secs()
            )));
        }
    }
}

/// Whether an Application was generated from this element.
fn follows(application: &DynamicObject, element: &Value) -> bool {
    let value = |name: &str| {
        application
            .items("/spec/source/helm/parameters")
            .iter()
            .find(|p| p.text("/name") == name)
            .map_or("", |p| p.text("/value"))
    };
    application.label("app.edp.epam.com/app-name") == element.text("/codebase")
        && !application.deleting()
        && value("image.tag") == element.text("/imageTag")
        && value("image.digest") == element.text("/imageDigest")
        && application.items("/spec/sources").is_empty() != element.flag("/customValues")
}

/// How long a task waits for others.
struct Patience {
    until: tokio::time::Instant,
}

impl Patience {
    fn new(scene: &Scene) -> Self {
        Self { until: tokio::time::Instant::now() + scene.config.patience }
    }

    /// Waits a moment; false when the time is over, a failure when the run was cancelled.
    async fn rest(&self, run: &DynamicObject, scene: &Scene) -> Result<bool> {
        if cancelled(run, scene).await? {
            return Err(Error::Cancelled);
        }
        scene.pause().await;
        Ok(tokio::time::Instant::now() < self.until)
    }
}

async fn promote(run: &DynamicObject, scene: &Scene, flow: &str, env: &str, played: &mut Task) -> Result<()> {
    let namespace = run.ns();
    let updates = payload(run)?;
    let mut annotations = Map::new();
    for (application, update) in &updates {
        let tag = update.text("/imageTag");
        annotations.insert(format!("app.edp.epam.com/{application}"), json!(tag));
        let verified = format!("{flow}-{env}-{application}-verified");
        let Some(stream) = scene.get(IMAGE_STREAM, namespace, &verified).await? else {
            continue;
        };
        let mut tags = stream.items("/spec/tags").to_vec();
        if tags.iter().any(|t| t.text("/name") == tag) {
            continue;
        }
        let mut entry = json!({ "name": tag, "created": scene.now() });
        match update.text("/imageDigest") {
            "" => {}
            digest => entry["digest"] = json!(digest),
        }
        tags.push(entry);
        let patch = json!({ "spec": { "tags": tags } });
        scene.merge(IMAGE_STREAM, namespace, &verified, patch).await?;
        played.say(scene, &format!("{tag} promoted to {verified}")).await;
    }
    let patch = json!({ "metadata": { "annotations": annotations } });
    scene.merge(STAGE, namespace, &format!("{flow}-{env}"), patch).await.map(|_| ())
}

async fn clean(scene: &Scene, flow: &str, env: &str, played: &mut Task) -> Result<()> {
    let namespace = scene.platform();
    for application in scene.list(APPLICATION, namespace, &selector(flow, env)).await? {
        scene.delete(APPLICATION, namespace, application.name()).await?;
        played.say(scene, &format!("application '{}' deleted", application.name())).await;
    }
    Ok(())
}
