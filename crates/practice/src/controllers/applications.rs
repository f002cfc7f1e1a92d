//! Argo CD's application controller: compares what Git says with the cluster, syncs when an
//! operation asks for it, and reports health.

use std::sync::Arc;

use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use serde_json::{Value, json};

use super::application_rendering::{Rendered, TRACKING_ANNOTATION, VALUES_ANNOTATION, release_of, render};
use super::application_sets::merge;
use super::kinds::{APPLICATION, DEPLOYMENT, SERVICE};
use super::object_fields::{Fields, Named};
use super::workload_pods::deployment_health;
use super::{Part, Scene, also_watch, controller, play};
use crate::{Error, Result};

const FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";
/// As many past syncs as Argo CD keeps.
const HISTORY: usize = 10;

/// The Application controller.
pub(super) fn applications(scene: &Arc<Scene>) -> Part {
    let namespace = scene.platform().to_string();
    let applications = controller(scene, APPLICATION, &namespace);
    let applications =
        also_watch(applications, scene, (DEPLOYMENT, ""), APPLICATION, move |deployment| {
            match deployment.annotation(TRACKING_ANNOTATION).split_once(':') {
                Some((application, _)) => vec![(namespace.clone(), application.to_string())],
                None => Vec::new(),
            }
        });
    Box::pin(play("application", applications, scene.clone(), APPLICATION, reconcile))
}

async fn reconcile(application: Arc<DynamicObject>, scene: Arc<Scene>) -> Result<Action> {
    if application.deleting() {
        let namespace = application.text("/spec/destination/namespace");
        for kind in [DEPLOYMENT, SERVICE] {
            for object in scene.list(kind, namespace, "").await? {
                let owner = object.annotation(TRACKING_ANNOTATION);
                if owner.split_once(':').map(|(name, _)| name) == Some(application.name()) {
                    scene.delete(kind, namespace, object.name()).await?;
                }
            }
        }
        scene.release(APPLICATION, &application, &[FINALIZER]).await?;
        return Ok(Action::await_change());
    }
    let asked = application.at("/operation");
    let interrupted = application.text("/status/operationState/phase") == "Running";
    if asked.is_object() {
        sync(&application, &scene, asked.clone()).await?;
        return Ok(Action::requeue(scene.config.pace));
    } else if interrupted {
        let operation = application.at("/status/operationState/operation").clone();
        sync(&application, &scene, operation).await?;
        return Ok(Action::requeue(scene.config.pace));
    }
    refresh(&application, &scene).await?;
    if let Some(operation) = by_itself(&scene.want(APPLICATION, application.ns(), application.name()).await?) {
        let patch = json!({ "operation": operation });
        scene.merge(APPLICATION, application.ns(), application.name(), patch).await?;
        return Ok(Action::requeue(scene.config.pace));
    }
    // Argo CD asks Git every three minutes; here a person waits for it.
    Ok(Action::requeue(scene.config.pace * 5))
}

/// The sync that an Application asks for by itself: once for each state of Git and of its own sources, and again for a
/// change in the cluster only where it heals itself.
fn by_itself(application: &DynamicObject) -> Option<Value> {
    let automated = application.at("/spec/syncPolicy/automated");
    let off = !automated.is_object() || automated["enabled"] == json!(false);
    if off || application.text("/status/sync/status") != "OutOfSync" || application.at("/operation").is_object() {
        return None;
    }
    let (compared, tried) = (application.at("/status/sync"), application.at("/status/operationState/operation/sync"));
    let wanted = without_nulls(json!({
        "prune": automated["prune"],
        "revision": compared["revision"],
        "revisions": compared["revisions"],
        "sources": compared["comparedTo"]["sources"],
        "syncOptions": application.at("/spec/syncPolicy/syncOptions"),
    }));
    let again = automated["selfHeal"] == json!(true) && application.text("/status/operationState/phase") == "Succeeded";
    let same = ["revision", "revisions", "sources"].iter().all(|key| tried[key] == wanted[key]);
    (again || !same).then(|| json!({ "initiatedBy": { "automated": true }, "sync": wanted }))
}

/// Whether a sync makes the namespace that it deploys to.
fn makes_namespace(application: &DynamicObject) -> bool {
    application.items("/spec/syncPolicy/syncOptions").iter().any(|option| option == "CreateNamespace=true")
}

fn whole(application: &DynamicObject) -> Result<Value> {
    Ok(serde_json::to_value(application)?)
}

fn rendered(application: &DynamicObject, scene: &Scene) -> Result<Rendered> {
    match &scene.config.git {
        Some(git) => render(&whole(application)?, git.as_ref()),
        None => Err(Error::Played("Failed to load target state: no repository can be reached".into())),
    }
}

async fn sync(application: &DynamicObject, scene: &Scene, operation: Value) -> Result<()> {
    let (namespace, name) = (application.ns(), application.name());
    let started = scene.now();
    let patch = json!({
        "operation": null,
        "status": { "operationState": {
            "phase": "Running",
            "operation": operation,
            "startedAt": started,
            "finishedAt": null,
            "message": "waiting for completion of tasks",
            "syncResult": null,
        } },
    });
    scene.merge(APPLICATION, namespace, name, patch).await?;
    scene.pause().await;
    let outcome = match rendered(application, scene) {
        Ok(made) => {
            if makes_namespace(application) {
                scene.ensure_namespace(application.text("/spec/destination/namespace"), json!({})).await?;
            }
            apply(scene, &made).await.map(|resources| (made, resources))
        }
        Err(error) => Err(error),
    };
    let finished = scene.now();
    let status = match outcome {
        Ok((made, resources)) => {
            let mut result = sources(application, &made.revisions, "source", "sources");
            let mut entry = result.clone();
            result["resources"] = json!(resources);
            if result["revision"].is_null() {
                result["revision"] = json!("");
            }
            let old = application.items("/status/history");
            entry["id"] = json!(old.last().map_or(0, |h| h.number("/id") + 1));
            entry["deployedAt"] = json!(finished);
            entry["deployStartedAt"] = json!(started);
            entry["initiatedBy"] = operation.at("/initiatedBy").clone();
            let kept = old.len().saturating_sub(HISTORY - 1);
            let mut history = old[kept..].to_vec();
            history.push(without_nulls(entry));
            json!({
                "operationState": {
                    "phase": "Succeeded",
                    "message": "successfully synced (all tasks run)",
                    "finishedAt": finished,
                    "syncResult": without_nulls(result),
                },
                "history": history,
            })
        }
        Err(error @ Error::Kube(kube::Error::Service(_))) => return Err(error),
        Err(error) => json!({
            "operationState": {
                "phase": "Failed",
                "message": failure_words(&error),
                "finishedAt": finished,
            },
        }),
    };
    // Comparison and health go with the end of the operation, so that nobody who waits for it
    // sees the health of before.
    let mut fresh = scene.want(APPLICATION, namespace, name).await?;
    let mut compared = comparison(&fresh, scene).await?;
    merge(&mut compared, &status);
    compared["reconciledAt"] = json!(finished);
    merge(&mut fresh.data["status"], &compared);
    scene.merge_status(APPLICATION, namespace, name, compared).await?;
    Ok(())
}

fn failure_words(error: &Error) -> String {
    match error {
        Error::Kube(kube::Error::Api(status)) => {
            format!("one or more objects failed to apply, reason: {}", status.message)
        }
        error => format!("ComparisonError: {error}"),
    }
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, v| !v.is_null());
    }
    value
}

/// Revisions and sources the way Argo CD writes them: singular for one, plural for several; the
/// other form is null so that a merge removes it.
fn sources(application: &DynamicObject, revisions: &[String], one: &str, many: &str) -> Value {
    let several = !application.items("/spec/sources").is_empty();
    let mut out = json!({});
    out["revision"] = match several {
        true => Value::Null,
        false => json!(revisions.first()),
    };
    out["revisions"] = match several {
        true => json!(revisions),
        false => Value::Null,
    };
    out[one] = match several {
        true => Value::Null,
        false => application.at("/spec/source").clone(),
    };
    out[many] = match several {
        true => application.at("/spec/sources").clone(),
        false => Value::Null,
    };
    out
}

async fn apply(scene: &Scene, made: &Rendered) -> Result<Vec<Value>> {
    let mut resources = Vec::new();
    for (kind, object) in [(SERVICE, &made.service), (DEPLOYMENT, &made.deployment)] {
        let (namespace, name) = (object.text("/metadata/namespace"), object.text("/metadata/name"));
        let verb = match scene.get(kind, namespace, name).await? {
            None => {
                scene.create(kind, namespace, object.clone()).await?;
                "created"
            }
            Some(_) => {
                let mut patch = object.clone();
                // Selectors cannot change after creation.
                if kind == DEPLOYMENT {
                    patch["spec"].as_object_mut().map(|s| s.shift_remove("selector"));
                }
                scene.merge(kind, namespace, name, patch).await?;
                "configured"
            }
        };
        let what = match kind.group {
            "" => kind.kind.to_lowercase(),
            group => format!("{}.{group}", kind.kind.to_lowercase()),
        };
        resources.push(json!({
            "group": kind.group,
            "version": kind.version,
            "kind": kind.kind,
            "namespace": namespace,
            "name": name,
            "status": "Synced",
            "hookPhase": "Running",
            "syncPhase": "Sync",
            "message": format!("{what}/{name} {verb}"),
        }));
    }
    Ok(resources)
}

async fn refresh(application: &DynamicObject, scene: &Scene) -> Result<()> {
    let mut status = comparison(application, scene).await?;
    let mut merged = application.at("/status").clone();
    merge(&mut merged, &status);
    if merged != *application.at("/status") {
        status["reconciledAt"] = json!(scene.now());
        scene.merge_status(APPLICATION, application.ns(), application.name(), status).await?;
    }
    Ok(())
}

/// Sync and health as they are now, as a merge patch of the status.
async fn comparison(application: &DynamicObject, scene: &Scene) -> Result<Value> {
    let namespace = application.text("/spec/destination/namespace");
    let whole = whole(application)?;
    let workload = match application.label("app.edp.epam.com/app-name") {
        "" => release_of(&whole),
        name => name,
    };
    let live = scene.get(DEPLOYMENT, namespace, workload).await?;
    let rendered = rendered(application, scene);
    let (sync, revisions, conditions) = match &rendered {
        Ok(made) => {
            let same = live.as_ref().is_some_and(|live| in_sync(live, &made.deployment));
            let word = if same { "Synced" } else { "OutOfSync" };
            (word, made.revisions.clone(), Value::Null)
        }
        Err(error) => {
            let message = error.to_string();
            let old = application.at("/status/conditions/0");
            let since = match old.text("/message") == message {
                true => old.at("/lastTransitionTime").clone(),
                false => json!(scene.now()),
            };
            let conditions = json!([{
                "type": "ComparisonError",
                "message": message,
                "lastTransitionTime": since,
            }]);
            ("Unknown", Vec::new(), conditions)
        }
    };
    let (health, words) = match &live {
        None => ("Missing", None),
        Some(live) => deployment_health(live),
    };
    let mut compared = sources(application, &revisions, "source", "sources");
    let (revision, many) = (compared["revision"].take(), compared["revisions"].take());
    let images: Vec<&str> =
        live.iter().flat_map(|l| l.items("/spec/template/spec/containers")).map(|c| c.text("/image")).collect();
    Ok(json!({
        "sync": {
            "status": sync,
            "revision": revision,
            "revisions": many,
            "comparedTo": {
                "destination": application.at("/spec/destination"),
                "source": compared["source"],
                "sources": compared["sources"],
            },
        },
        "health": { "status": health, "message": words },
        "conditions": conditions,
        "summary": { "images": images },
        "resources": [{
            "group": DEPLOYMENT.group,
            "version": DEPLOYMENT.version,
            "kind": DEPLOYMENT.kind,
            "namespace": namespace,
            "name": workload,
            "status": sync,
            "health": without_nulls(json!({ "status": health, "message": words })),
        }],
    }))
}

/// Whether the live Deployment is what would be applied. Values that the API server rewrites
/// (quantities, defaults) are covered by the checksum.
fn in_sync(live: &DynamicObject, wanted: &Value) -> bool {
    let checksum = wanted.at("/metadata/annotations")[VALUES_ANNOTATION].as_str();
    let container = "/spec/template/spec/containers/0";
    Some(live.annotation(VALUES_ANNOTATION)) == checksum
        && live.at("/spec/replicas") == wanted.at("/spec/replicas")
        && live.text(&format!("{container}/image")) == wanted.text(&format!("{container}/image"))
}
