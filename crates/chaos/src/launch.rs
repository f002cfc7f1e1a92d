//! Starting runs, and reading them.

use kube::api::{ListParams, PostParams};
use pilothouse_cluster::{Cluster, Kind, kinds};
use serde_json::{Value, json};

use crate::blast::{self, Aim};
use crate::document::{DocumentKind, WorkflowDocument};
use crate::error::{Error, Result};
use crate::instantiate::{RunLabels, instantiate};
use crate::names::{PROJECT_LABEL, RUN_LABEL, WORKFLOW_LABEL, digest, label_value};
use crate::plan::SyncState;
use crate::project;
use crate::queue::{Controller, controllers, queued_reason};
use crate::reach::Reach;
use crate::run::{Phase, Run, run_view};
use crate::schedule::Schedule;
use crate::ticks::Tick;
use crate::workflow_object::{self, Due, RunPolicy, WorkflowObject, typed};

/// Annotation on a run's object: the digest of the object as it was prepared, by which the run is known again.
pub const PREPARED: &str = "pilothouse.dev/prepared-digest";

/// Annotation on a run's object: the commit that it was started for.
pub const COMMIT: &str = "pilothouse.dev/commit";

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

/// A run that can be started: everything is decided, and nothing is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The object to create.
    pub object: Value,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `Workflow` or `ChaosEngine`.
    pub kind: String,
    /// The digest of the object.
    pub digest: String,
    labels: RunLabels,
    /// Only a run of this very digest is the same run. Automatic runs are told apart by their names, which are made of
    /// what they run, so that different versions of this program agree on them.
    strict: bool,
}

/// What is left to do for a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Nothing: it was started before.
    There(Started),
    /// [`start`] it.
    Start(Box<Prepared>),
}

/// What a run would do.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The object that would be created.
    pub object: Value,
    /// Its digest.
    pub digest: String,
    /// Its namespace.
    pub namespace: String,
    /// The service account it would run as.
    pub service_account: Option<String>,
    /// What it would hit.
    pub aims: Vec<Aim>,
    /// What to know before.
    pub warnings: Vec<String>,
}

impl Prepared {
    fn new(document: &WorkflowDocument, namespace: &str, run_name: &str, labels: &RunLabels) -> Result<Self> {
        let mut object = instantiate(document, run_name, namespace, labels)?;
        let digest = digest(&object.to_string());
        object["metadata"]["annotations"][PREPARED] = json!(digest);
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Self {
            namespace: text("/metadata/namespace"),
            name: run_name.to_owned(),
            kind: text("/kind"),
            digest,
            labels: labels.clone(),
            strict: true,
            object,
        })
    }

    /// The API version of the object.
    pub fn api_version(&self) -> String {
        kind_of(&self.kind).api_version()
    }
}

/// Prepares a run that a person saw in a preview. A run that this preview has started already is found, whatever
/// became of the workflow since, so that asking again after a lost answer starts nothing.
///
/// # Errors
/// [`Error::PreviewStale`] when the object would be another than the one that was shown.
pub async fn as_seen(
    cluster: &Cluster,
    namespace: &str,
    run_name: &str,
    labels: &RunLabels,
    seen: &str,
) -> Result<Next> {
    let workflow = labels.workflow.as_str();
    let prepared = async {
        let object = workflow_object::get(cluster, namespace, &labels.project, workflow).await?;
        Prepared::new(&runnable(&object, workflow)?, namespace, run_name, labels)
    };
    let prepared = prepared.await;
    let mut places = vec![namespace];
    places.extend(prepared.iter().map(|one| one.namespace.as_str()).filter(|other| *other != namespace));
    for place in places {
        for kind in [DocumentKind::Workflow, DocumentKind::ChaosEngine] {
            let is_it = |there: &Value| is_run(there, run_name, labels) && prepared_as(there) == Some(seen);
            if let Some(started) = find(cluster, kind.as_str(), place, run_name, is_it).await? {
                return Ok(Next::There(started));
            }
        }
    }
    let prepared = prepared?;
    if prepared.digest != seen {
        let why = "the run would be another than the one you saw, as the workflow changed meanwhile".to_owned();
        return Err(Error::PreviewStale { name: workflow.to_owned(), why });
    }
    Ok(Next::Start(Box::new(prepared)))
}

/// What starts a run that nobody asks for at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause<'a> {
    /// A change of its file.
    Commit(&'a Due),
    /// Its schedule.
    Schedule(&'a Tick),
    /// A trigger.
    Event,
}

impl Cause<'_> {
    fn policy(self) -> RunPolicy {
        match self {
            Self::Commit(_) => RunPolicy::OnCommit,
            Self::Schedule(_) => RunPolicy::OnSchedule,
            Self::Event => RunPolicy::OnEvent,
        }
    }
}

/// Prepares a run that nobody asks for at this moment. It stays in the
/// project's namespace and within what a person agreed to, as whoever can commit is not thereby let into anything.
///
/// # Errors
/// [`Error::Elsewhere`] when the document names another namespace, [`Error::NotAgreed`] when it reaches what nobody
/// agreed to, its policy asks for
/// something else by now, or GitOps is off for its project.
pub async fn automatic(
    cluster: &Cluster,
    namespace: &str,
    run_name: &str,
    labels: &RunLabels,
    cause: Cause<'_>,
) -> Result<Next> {
    let workflow = labels.workflow.as_str();
    let object = workflow_object::get(cluster, namespace, &labels.project, workflow).await?;
    let document = runnable(&object, workflow)?;
    let policy = cause.policy();
    let refuse = |why: String| Err(Error::NotAgreed { name: workflow.to_owned(), why });
    if object.run_policy != policy {
        return refuse(format!("its run policy is {:?}, not {policy:?}", object.run_policy));
    }
    if object.state == Some(SyncState::Paused) {
        return refuse("GitOps is off for its project".to_owned());
    }
    let asked = match cause {
        Cause::Commit(due) => object.due.as_ref() == Some(due) && object.synced_blob.as_ref() == Some(&due.blob),
        Cause::Schedule(tick) => tick.is_asked_for_by(&object, &document),
        Cause::Event => true,
    };
    if !asked {
        let why = "it changed again meanwhile".to_owned();
        return Err(Error::WrongState { name: workflow.to_owned(), why });
    }
    stays(&document, workflow, namespace)?;
    if let Some(why) = object.not_agreed(&Reach::of(&document, namespace)) {
        return refuse(why);
    }
    let mut prepared = Prepared { strict: false, ..Prepared::new(&document, namespace, run_name, labels)? };
    if let Cause::Commit(due) = cause {
        prepared.object["metadata"]["annotations"][COMMIT] = json!(due.commit);
    }
    let is_it = |there: &Value| is_run(there, run_name, labels);
    if let Some(started) = find(cluster, &prepared.kind, &prepared.namespace, run_name, is_it).await? {
        return Ok(Next::There(started));
    }
    // A run that ended may have been cleaned up since.
    if object.last_run.as_ref().is_some_and(|last| last.name == run_name) {
        let Prepared { namespace, name, kind, .. } = prepared;
        return Ok(Next::There(Started { namespace, name, kind, already: true }));
    }
    if let Cause::Schedule(_) = cause
        && !Schedule::of(&document).is_ok_and(|schedule| schedule.overlaps)
    {
        let going = list_runs(cluster, namespace, Some(&labels.project)).await?;
        let same = |run: &&Run| run.workflow.as_deref() == Some(&label_value(workflow)) && !run.phase.ended();
        if let Some(run) = going.iter().find(same) {
            let why = format!("its run {} still goes on, and its schedule allows one at a time", run.name);
            return Err(Error::WrongState { name: workflow.to_owned(), why });
        }
    }
    // Asked last, and of the project itself: the marks of its workflows come after it is switched off.
    match project::get(cluster, namespace, &labels.project).await {
        Ok(project) if project.enabled => Ok(Next::Start(Box::new(prepared))),
        Ok(_) => refuse("GitOps is off for its project".to_owned()),
        Err(Error::NotFound { .. }) => refuse("its project is not there any more".to_owned()),
        Err(error) => Err(error),
    }
}

pub(crate) fn stays(document: &WorkflowDocument, workflow: &str, project_namespace: &str) -> Result<()> {
    match document.namespace.as_deref() {
        Some(namespace) if namespace != project_namespace => Err(Error::Elsewhere {
            name: workflow.to_owned(),
            namespace: namespace.to_owned(),
            project_namespace: project_namespace.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Starts a run. Creating its object is what starts it, so that asking twice for one name starts one run.
///
/// # Errors
/// [`Error::WrongState`] when another object has the name.
pub async fn start(cluster: &Cluster, prepared: &Prepared) -> Result<Started> {
    let Prepared { namespace, name, kind, .. } = prepared;
    let started = Started { namespace: namespace.clone(), name: name.clone(), kind: kind.clone(), already: false };
    let api = cluster.api(&kind_of(kind), namespace);
    let object = typed(prepared.object.clone())?;
    match cluster.in_time("start the run", api.create(&PostParams::default(), &object)).await {
        Ok(_) => Ok(started),
        Err(pilothouse_cluster::Error::Conflict { exists: true, .. }) => {
            let is_it = |there: &Value| {
                is_run(there, name, &prepared.labels)
                    && (!prepared.strict || prepared_as(there) == Some(prepared.digest.as_str()))
            };
            let why = "another object has this name; choose another name for the run".to_owned();
            let other = Error::WrongState { name: name.clone(), why };
            find(cluster, kind, namespace, name, is_it).await?.ok_or(other)
        }
        Err(error) => Err(error.into()),
    }
}

/// The run of a name, when there is an object of that name and it is the one meant.
async fn find(
    cluster: &Cluster,
    kind: &str,
    namespace: &str,
    name: &str,
    is_it: impl Fn(&Value) -> bool,
) -> Result<Option<Started>> {
    let api = cluster.api(&kind_of(kind), namespace);
    let there = match cluster.in_time("look for the run", api.get_opt(name)).await {
        Ok(there) => there.and_then(|there| serde_json::to_value(&there).ok()),
        // The kind is not installed.
        Err(pilothouse_cluster::Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(there.filter(is_it).map(|_| Started {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        already: true,
    }))
}

fn is_run(there: &Value, name: &str, labels: &RunLabels) -> bool {
    let label = |key: &str| there.pointer("/metadata/labels").and_then(|all| all.get(key)).and_then(Value::as_str);
    label(RUN_LABEL) == Some(&label_value(name))
        && label(PROJECT_LABEL) == Some(&label_value(&labels.project))
        && label(WORKFLOW_LABEL) == Some(&label_value(&labels.workflow))
}

fn prepared_as(there: &Value) -> Option<&str> {
    there.pointer("/metadata/annotations").and_then(|all| all.get(PREPARED)).and_then(Value::as_str)
}

/// What a run of a project's workflow would do.
pub async fn preview(cluster: &Cluster, namespace: &str, run_name: &str, labels: &RunLabels) -> Result<Preview> {
    let object = workflow_object::get(cluster, namespace, &labels.project, &labels.workflow).await?;
    let document = runnable(&object, &labels.workflow)?;
    let prepared = Prepared::new(&document, namespace, run_name, labels)?;
    let mut pods = Vec::new();
    let mut unread = Vec::new();
    for target in blast::namespaces(&document) {
        let api = cluster.api(&kinds::POD, &target);
        match cluster.list_all("list the pods", &api).await {
            Ok(found) => pods.extend(found.iter().filter_map(|pod| serde_json::to_value(pod).ok())),
            Err(error) => {
                unread.push(format!("the pods of {target} cannot be read, so what is hit is not known: {error}"))
            }
        }
    }
    let aims = blast::aims(&document, &pods);
    let mut warnings = if unread.is_empty() { blast::warnings(&document, &aims) } else { unread };
    warnings.dedup();
    Ok(Preview {
        namespace: prepared.namespace,
        digest: prepared.digest,
        service_account: document.service_account.clone(),
        object: prepared.object,
        aims,
        warnings,
    })
}

fn runnable(object: &WorkflowObject, workflow: &str) -> Result<WorkflowDocument> {
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
    WorkflowDocument::accept(&object.project, &object.path, &object.manifest)
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
    let all = match cluster.list_all("list the objects of runs", &api).await {
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
    Ok(all.iter().filter_map(|object| serde_json::to_value(object).ok()).map(own).collect())
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
    fn what_differs_from_git_and_is_not_settled_is_not_run_by_anybody() {
        let object = |state: &str| {
            let manifest = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: kill}\n\
                            spec: {entrypoint: a, templates: [{name: a}]}\n";
            let object = json!({"metadata": {"name": "shop-kill", "namespace": "litmus", "resourceVersion": "1"},
                "spec": {"project": "shop", "workflow": "kill", "path": "litmus/shop/kill.yaml", "manifest": manifest},
                "status": {"state": state}});
            WorkflowObject::read(&serde_json::from_value(object).unwrap()).unwrap()
        };
        assert!(runnable(&object("InSync"), "kill").is_ok());
        for (state, way) in
            [("Conflict", "settle its conflict"), ("DeletedInGit", "restore it"), ("Invalid", "not valid")]
        {
            let refused = runnable(&object(state), "kill").unwrap_err();
            assert!(matches!(&refused, Error::WrongState { why, .. } if why.contains(way)), "{state}: {refused}");
        }
    }

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
