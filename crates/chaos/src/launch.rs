//! Starting runs, and reading them.

use kube::api::{ListParams, PostParams};
use pilothouse_cluster::{Cluster, Kind, kinds};
use serde_json::Value;

use crate::blast::{self, Aim};
use crate::document::{DocumentKind, WorkflowDocument};
use crate::error::{Error, Result};
use crate::instantiate::{RunLabels, instantiate};
use crate::names::{PROJECT_LABEL, RUN_LABEL, label_value};
use crate::plan::SyncState;
use crate::queue::{Controller, controllers, queued_reason};
use crate::run::{Phase, Run, run_view};
use crate::workflow_object::{self, typed};

/// A run that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `Workflow` or `ChaosEngine`.
    pub kind: String,
    /// Whether it existed already: somebody asked for the same run before.
    pub already: bool,
}

/// What a run would do.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The object that would be created.
    pub object: Value,
    /// Its namespace.
    pub namespace: String,
    /// The service account it would run as.
    pub service_account: Option<String>,
    /// What it would hit.
    pub aims: Vec<Aim>,
    /// What to know before.
    pub warnings: Vec<String>,
}

/// Starts a run of a project's workflow. The object's name is `run_name`, and creating it is what starts the run, so
/// that asking twice for one name starts one run.
pub async fn run(cluster: &Cluster, namespace: &str, run_name: &str, labels: &RunLabels) -> Result<Started> {
    let document = runnable(cluster, namespace, &labels.project, &labels.workflow).await?;
    start(cluster, namespace, &document, run_name, labels).await
}

/// As [`run`], for a run that nobody asked for at this moment: what a commit or a trigger starts. It stays in the
/// project's namespace, as whoever can commit is not thereby let into other namespaces.
///
/// # Errors
/// [`Error::Elsewhere`] when the document names another namespace; nothing was created then.
pub async fn run_automatic(cluster: &Cluster, namespace: &str, run_name: &str, labels: &RunLabels) -> Result<Started> {
    let document = runnable(cluster, namespace, &labels.project, &labels.workflow).await?;
    stays(&document, &labels.workflow, namespace)?;
    start(cluster, namespace, &document, run_name, labels).await
}

fn stays(document: &WorkflowDocument, workflow: &str, project_namespace: &str) -> Result<()> {
    match document.namespace.as_deref() {
        Some(namespace) if namespace != project_namespace => Err(Error::Elsewhere {
            name: workflow.to_owned(),
            namespace: namespace.to_owned(),
            project_namespace: project_namespace.to_owned(),
        }),
        _ => Ok(()),
    }
}

async fn start(
    cluster: &Cluster,
    namespace: &str,
    document: &WorkflowDocument,
    run_name: &str,
    labels: &RunLabels,
) -> Result<Started> {
    let object = instantiate(document, run_name, namespace, labels)?;
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (target, kind) = (text("/metadata/namespace"), text("/kind"));
    let mut started = Started { namespace: target, name: run_name.to_owned(), kind, already: false };
    let api = cluster.api(&kind_of(&started.kind), &started.namespace);
    match cluster.in_time("start the run", api.create(&PostParams::default(), &typed(object)?)).await {
        Ok(_) => Ok(started),
        Err(pilothouse_cluster::Error::Conflict { exists: true, .. }) => {
            let there = cluster.in_time("read the run", api.get(run_name)).await?;
            let ours = there.metadata.labels.as_ref().is_some_and(|all| {
                all.get(RUN_LABEL) == Some(&label_value(run_name))
                    && all.get(PROJECT_LABEL) == Some(&label_value(&labels.project))
            });
            if !ours {
                let why = "another object has this name; choose another name for the run".to_owned();
                return Err(Error::WrongState { name: run_name.to_owned(), why });
            }
            started.already = true;
            Ok(started)
        }
        Err(error) => Err(error.into()),
    }
}

/// What a run of a project's workflow would do.
pub async fn preview(cluster: &Cluster, namespace: &str, run_name: &str, labels: &RunLabels) -> Result<Preview> {
    let document = runnable(cluster, namespace, &labels.project, &labels.workflow).await?;
    let object = instantiate(&document, run_name, namespace, labels)?;
    let mut pods = Vec::new();
    let mut unread = Vec::new();
    for target in blast::namespaces(&document) {
        let api = cluster.api(&kinds::POD, &target);
        match cluster.in_time("list the pods", api.list(&ListParams::default())).await {
            Ok(found) => pods.extend(found.items.iter().filter_map(|pod| serde_json::to_value(pod).ok())),
            Err(error) => {
                unread.push(format!("the pods of {target} cannot be read, so what is hit is not known: {error}"))
            }
        }
    }
    let aims = blast::aims(&document, &pods);
    let mut warnings = if unread.is_empty() { blast::warnings(&document, &aims) } else { unread };
    warnings.dedup();
    Ok(Preview {
        namespace: object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(namespace).to_owned(),
        service_account: document.service_account.clone(),
        object,
        aims,
        warnings,
    })
}

async fn runnable(cluster: &Cluster, namespace: &str, project: &str, workflow: &str) -> Result<WorkflowDocument> {
    let object = workflow_object::get(cluster, namespace, project, workflow).await?;
    let refuse = |why: String| Err(Error::WrongState { name: workflow.to_owned(), why });
    match object.state {
        Some(SyncState::Conflict) => return refuse("settle its conflict with Git before running it".to_owned()),
        Some(SyncState::Invalid) => return refuse(format!("it is not valid: {}", object.message)),
        Some(SyncState::DeletedInGit) => {
            return refuse("its file is gone from Git; restore it before running it".to_owned());
        }
        _ => {}
    }
    if object.manifest.is_empty() {
        return refuse("it has no manifest yet".to_owned());
    }
    WorkflowDocument::accept(project, &object.path, &object.manifest)
}

fn kind_of(kind: &str) -> Kind {
    if kind == DocumentKind::ChaosEngine.as_str() { kinds::CHAOS_ENGINE } else { kinds::WORKFLOW }
}

/// One run, by the name of its `Workflow` or `ChaosEngine`.
pub async fn read_run(cluster: &Cluster, namespace: &str, name: &str) -> Result<Run> {
    let (engines, results) = (
        objects(cluster, &kinds::CHAOS_ENGINE, namespace).await?,
        objects(cluster, &kinds::CHAOS_RESULT, namespace).await?,
    );
    let api = cluster.api(&kinds::WORKFLOW, namespace);
    let found = match cluster.in_time("read the run", api.get_opt(name)).await {
        Ok(found) => found.and_then(|object| serde_json::to_value(&object).ok()),
        // A cluster with Litmus but without Argo has standalone engines only.
        Err(pilothouse_cluster::Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let is_named = |engine: &&Value| engine.pointer("/metadata/name").and_then(Value::as_str) == Some(name);
    let object = match found.or_else(|| engines.iter().find(is_named).cloned()) {
        Some(object) => with_kind(object),
        None => return Err(Error::NotFound { what: "the run", name: name.to_owned() }),
    };
    let mut run = run_view(&object, &engines, &results);
    if run.phase == Phase::Queued && run.kind == "Workflow" {
        run.why = Some(queued_reason(&object, found_controllers(cluster, namespace).await.as_deref()));
    }
    Ok(run)
}

/// The runs of a namespace that Pilothouse started, newest first; of one project, when that is given.
pub async fn list_runs(cluster: &Cluster, namespace: &str, project: Option<&str>) -> Result<Vec<Run>> {
    let engines = objects(cluster, &kinds::CHAOS_ENGINE, namespace).await?;
    let results = objects(cluster, &kinds::CHAOS_RESULT, namespace).await?;
    let workflows = objects(cluster, &kinds::WORKFLOW, namespace).await?;
    let label = |object: &Value, key: &str| {
        object.pointer("/metadata/labels").and_then(|all| all.get(key)).and_then(Value::as_str).map(str::to_owned)
    };
    let name = |object: &Value| object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let ours = |object: &&Value| label(object, RUN_LABEL).is_some_and(|run| run == label_value(&name(object)));
    let wanted = |object: &&Value| project.is_none_or(|id| label(object, PROJECT_LABEL) == Some(label_value(id)));
    let mut runs: Vec<Run> = workflows
        .iter()
        .chain(&engines)
        .filter(ours)
        .filter(wanted)
        .map(|object| run_view(object, &engines, &results))
        .collect();
    runs.sort_by(|a, b| (&b.created_at, &b.name).cmp(&(&a.created_at, &a.name)));
    Ok(runs)
}

async fn objects(cluster: &Cluster, kind: &Kind, namespace: &str) -> Result<Vec<Value>> {
    let api = cluster.api(kind, namespace);
    let all = match cluster.in_time("list the objects of runs", api.list(&ListParams::default())).await {
        Ok(all) => all,
        // The kind is not installed.
        Err(pilothouse_cluster::Error::NotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let own = |value: Value| match value {
        Value::Object(mut map) => {
            map.insert("kind".to_owned(), Value::String(kind.kind.to_owned()));
            Value::Object(map)
        }
        other => other,
    };
    Ok(all.items.iter().filter_map(|object| serde_json::to_value(object).ok()).map(own).collect())
}

/// Objects in a list come without their kind.
fn with_kind(mut object: Value) -> Value {
    if object.get("kind").is_none() {
        object["kind"] = Value::String(DocumentKind::ChaosEngine.as_str().to_owned());
    }
    object
}

/// The Argo controllers that may look at a namespace; `None` when they cannot be read.
async fn found_controllers(cluster: &Cluster, namespace: &str) -> Option<Vec<Controller>> {
    let read = async |kind: &Kind| {
        let everywhere = cluster.api_all(kind);
        let found = match cluster.in_time("look for controllers", everywhere.list(&ListParams::default())).await {
            Ok(found) => found,
            Err(_) => {
                let here = cluster.api(kind, namespace);
                let found = cluster.in_time("look for controllers", here.list(&ListParams::default())).await.ok()?;
                // Those elsewhere cannot be seen, so that finding none here proves nothing.
                if found.items.is_empty() {
                    return None;
                }
                found
            }
        };
        Some(found.items.iter().filter_map(|object| serde_json::to_value(object).ok()).collect::<Vec<_>>())
    };
    let deployments = read(&kinds::DEPLOYMENT).await?;
    let config_maps = read(&kinds::CONFIG_MAP).await.unwrap_or_default();
    Some(controllers(&deployments, &config_maps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_person_starts_a_run_in_another_namespace() {
        let document = |namespace: &str| {
            let text = format!(
                "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {{name: w{namespace}}}\n\
                 spec: {{entrypoint: a, templates: [{{name: a}}]}}\n"
            );
            WorkflowDocument::parse(&text).unwrap()
        };
        for namespace in ["", ", namespace: litmus"] {
            assert!(stays(&document(namespace), "w", "litmus").is_ok(), "{namespace}");
        }
        let error = stays(&document(", namespace: shop"), "w", "litmus").unwrap_err();
        assert_eq!(error.code(), "chaos.elsewhere");
        let words = error.to_string();
        assert!(words.contains("shop") && words.contains("by hand"), "{words}");
    }
}
