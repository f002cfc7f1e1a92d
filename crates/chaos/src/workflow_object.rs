//! `ChaosWorkflow` objects: what they hold, and how they are written.

use crate::error::Reason;
use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use pilothouse_cluster::{Cluster, kinds};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::document::WorkflowDocument;
use crate::error::{Error, Result};
use crate::names::{PROJECT_LABEL, digest, label_value, object_name, object_name_hashed, run_name};
use crate::plan::SyncState;
use crate::reach::Reach;
use crate::schedule::Schedule;

/// Annotation: the Git blob that the manifest was equal to last. Together with [`DIGEST`] it is the base of the next
/// three-way plan, and it is written in one piece with the manifest.
pub(crate) const BLOB: &str = "pilothouse.dev/synced-blob";
/// Annotation: the digest of the manifest that was equal to the blob.
pub(crate) const DIGEST: &str = "pilothouse.dev/synced-digest";
/// Annotation: the change that is to be run, written in one piece with the manifest that it brought, so that a kill
/// between the two cannot be. It goes once its run is there.
pub(crate) const DUE: &str = "pilothouse.dev/run-due";
/// Annotation: what a person agreed to that runs may reach which nobody asks for at the moment they start.
const AGREED: &str = "pilothouse.dev/agreed-reach";
/// Annotation: the schedule that a person agreed to, in [`Schedule`]'s words.
const AGREED_SCHEDULE: &str = "pilothouse.dev/agreed-schedule";
/// Annotation: the time up to which the schedule has been seen to; none while nobody has looked at it yet.
pub(crate) const SETTLED: &str = "pilothouse.dev/schedule-settled";
/// Annotation: what became of the times that did not run.
pub(crate) const SCHEDULE_NOTE: &str = "pilothouse.dev/schedule-note";
/// The largest agreement, in bytes; an object's annotations together may have 256 KiB.
const MAX_AGREEMENT: usize = 64 * 1024;

/// A change of a workflow's file that is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The workflow.
    pub workflow: String,
    /// The blob that is to be run.
    pub blob: String,
    /// The commit that brought it.
    pub commit: String,
    /// The run's name: a function of the project, the workflow, the commit and the blob, so that everybody who sees
    /// the change starts the same run, and the same text coming back with a later commit another.
    pub run: String,
}

impl Due {
    fn read(project: &str, workflow: &str, text: &str) -> Option<Self> {
        let (blob, commit) = text.split_once('@')?;
        let hash = digest(&format!("{project}\n{workflow}\n{commit}\n{blob}"));
        let run = run_name(workflow, &hash[..16]);
        Some(Self { workflow: workflow.to_owned(), blob: blob.to_owned(), commit: commit.to_owned(), run })
    }
}

/// What may start a workflow besides a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunPolicy {
    /// Nothing.
    #[default]
    Manual,
    /// A change of its file.
    OnCommit,
    /// Its own schedule.
    OnSchedule,
    /// A trigger.
    OnEvent,
}

/// The last run of a workflow, as its object remembers it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LastRun {
    /// The run's name.
    pub name: String,
    /// Its phase.
    pub phase: Option<String>,
    /// Its verdict.
    pub verdict: Option<String>,
    /// Its score.
    pub score: Option<f64>,
    /// When it ended (RFC 3339).
    pub finished_at: Option<String>,
}

/// What a workflow's status says about its schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScheduleStatus {
    /// When it runs next (RFC 3339).
    pub next: Option<String>,
    /// What became of the last times that did not run, in words.
    pub note: Option<String>,
}

/// A `ChaosWorkflow`, read.
#[derive(Debug, Clone)]
pub struct WorkflowObject {
    /// The object's own name.
    pub object: String,
    /// The project.
    pub project: String,
    /// The workflow's name.
    pub workflow: String,
    /// Its file.
    pub path: String,
    /// What may start it.
    pub run_policy: RunPolicy,
    /// Its manifest; empty for the placeholder of a file that was never valid.
    pub manifest: String,
    /// The state in its status.
    pub state: Option<SyncState>,
    /// The message in its status.
    pub message: String,
    /// The line in its status.
    pub line: Option<usize>,
    /// The commit that last changed the file.
    pub commit: Option<String>,
    /// That commit's author.
    pub author: Option<String>,
    /// Its last run.
    pub last_run: Option<LastRun>,
    /// The blob it was last equal to.
    pub synced_blob: Option<String>,
    /// The change that is to be run.
    pub due: Option<Due>,
    /// What its automatic runs may reach; `None` as long as nobody agreed to anything.
    pub agreed: Option<Reach>,
    /// The schedule that somebody agreed to, in words.
    pub agreed_schedule: Option<String>,
    /// Up to when its schedule has been seen to.
    pub settled: Option<Timestamp>,
    /// What is to be said about the times of its schedule that did not run.
    pub schedule_note: Option<String>,
    /// What its status says about its schedule.
    pub schedule: Option<ScheduleStatus>,
    pub(crate) synced_digest: Option<String>,
    pub(crate) version: String,
    pub(crate) generation: i64,
    pub(crate) status: Map<String, Value>,
    created: String,
}

impl WorkflowObject {
    /// Reads an object; `None` when it is no `ChaosWorkflow`.
    pub fn read(object: &DynamicObject) -> Option<Self> {
        let spec = object.data.get("spec")?;
        let text = |key: &str| spec.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let status = object.data.get("status").and_then(Value::as_object).cloned().unwrap_or_default();
        let said = |key: &str| status.get(key).and_then(Value::as_str).map(str::to_owned);
        let noted = |key: &str| object.metadata.annotations.as_ref()?.get(key).cloned();
        let typed = |value: Option<&Value>| value.cloned().unwrap_or(Value::Null);
        let due = noted(DUE).and_then(|due| Due::read(&text("project"), &text("workflow"), &due));
        Some(Self {
            object: object.metadata.name.clone()?,
            project: text("project"),
            workflow: text("workflow"),
            path: text("path"),
            run_policy: serde_json::from_value(typed(spec.get("runPolicy"))).unwrap_or_default(),
            manifest: text("manifest"),
            state: serde_json::from_value(typed(status.get("state"))).ok(),
            message: said("message").unwrap_or_default(),
            line: status.get("line").and_then(Value::as_u64).and_then(|line| usize::try_from(line).ok()),
            commit: said("commit"),
            author: said("author"),
            last_run: serde_json::from_value(typed(status.get("lastRun"))).ok(),
            synced_blob: noted(BLOB),
            due,
            agreed: noted(AGREED).and_then(|agreed| serde_json::from_str(&agreed).ok()),
            agreed_schedule: noted(AGREED_SCHEDULE),
            settled: noted(SETTLED).and_then(|time| time.parse().ok()),
            schedule_note: noted(SCHEDULE_NOTE),
            schedule: serde_json::from_value(typed(status.get("schedule"))).ok(),
            synced_digest: noted(DIGEST),
            version: object.metadata.resource_version.clone()?,
            generation: object.metadata.generation.unwrap_or(0),
            created: object.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string()).unwrap_or_default(),
            status,
        })
    }

    /// Why the workflow may not run by itself although its policy says so, in words; `None` when it may, or when its
    /// policy does not ask for it.
    pub fn held_back(&self, namespace: &str) -> Option<String> {
        if self.run_policy == RunPolicy::Manual {
            return None;
        }
        let document = WorkflowDocument::parse(&self.manifest).ok()?;
        if let Some(other) = document.namespace.as_deref().filter(|other| *other != namespace) {
            return Some(format!("it names the namespace {other}, which is not its project's"));
        }
        if self.run_policy == RunPolicy::OnSchedule
            && let Err(why) = self.agreed_schedule_of(&document)
        {
            return Some(why.into());
        }
        self.not_agreed(&Reach::of(&document, namespace))
    }

    /// The schedule that a document asks for, as far as it is the one that somebody agreed to.
    pub(crate) fn agreed_schedule_of(&self, document: &WorkflowDocument) -> std::result::Result<Schedule, Reason> {
        let schedule = Schedule::of(document)?;
        match self.agreed_schedule.as_deref() {
            Some(agreed) if agreed == schedule.words() => Ok(schedule),
            Some(agreed) => Err(format!("its schedule is {} now, and {agreed} was agreed to", schedule.words()).into()),
            None => Err("nobody has agreed yet to its schedule".into()),
        }
    }

    /// What of a reach nobody agreed to, in words.
    pub(crate) fn not_agreed(&self, reach: &Reach) -> Option<String> {
        let Some(agreed) = &self.agreed else {
            return Some("nobody has agreed yet to what it reaches when it runs by itself".to_owned());
        };
        let beyond = reach.beyond(agreed);
        (!beyond.is_empty()).then(|| beyond.join("; "))
    }

    /// A digest of the manifest: what a person who decides about it must have seen.
    pub fn manifest_digest(&self) -> String {
        digest(&self.manifest)
    }
}

/// The workflows of a project by name. Where two objects claim one workflow, the older one counts.
pub async fn list(cluster: &Cluster, namespace: &str, project: &str) -> Result<BTreeMap<String, WorkflowObject>> {
    let api = cluster.api(&kinds::CHAOS_WORKFLOW, namespace);
    let all = cluster.list_all("list the chaos workflows", &api).await?;
    let mut found: Vec<_> = all.iter().filter_map(WorkflowObject::read).filter(|one| one.project == project).collect();
    found.sort_by(|a, b| (&b.created, &b.object).cmp(&(&a.created, &a.object)));
    Ok(found.into_iter().map(|one| (one.workflow.clone(), one)).collect())
}

/// One workflow of a project.
pub async fn get(cluster: &Cluster, namespace: &str, project: &str, workflow: &str) -> Result<WorkflowObject> {
    let api = cluster.api(&kinds::CHAOS_WORKFLOW, namespace);
    let direct = cluster.in_time("read a chaos workflow", api.get_opt(&object_name(project, workflow))).await?;
    let direct = direct.as_ref().and_then(WorkflowObject::read);
    if let Some(found) = direct.filter(|one| one.project == project && one.workflow == workflow) {
        return Ok(found);
    }
    let missing = || Error::NotFound { what: "the chaos workflow", name: workflow.to_owned() };
    list(cluster, namespace, project).await?.remove(workflow).ok_or_else(missing)
}

/// What a write brings to an object.
pub(crate) struct Content<'a> {
    pub(crate) path: &'a str,
    pub(crate) manifest: &'a str,
    /// The blob that the manifest equals; `None` for a placeholder.
    pub(crate) blob: Option<&'a str>,
    /// The commit to run the manifest for; a content that is not to be run takes back what was to be run before.
    pub(crate) run_for: Option<&'a str>,
}

impl Content<'_> {
    fn annotations(&self) -> Value {
        let due = self.blob.zip(self.run_for).map(|(blob, commit)| format!("{blob}@{commit}"));
        json!({BLOB: self.blob, DIGEST: self.blob.map(|_| digest(self.manifest)), DUE: due})
    }
}

/// Creates a workflow's object.
pub(crate) async fn create(
    cluster: &Cluster,
    namespace: &str,
    (project, workflow): (&str, &str),
    content: &Content<'_>,
) -> Result<WorkflowObject> {
    let api = cluster.api(&kinds::CHAOS_WORKFLOW, namespace);
    let names = [object_name(project, workflow), object_name_hashed(project, workflow)];
    for (at, name) in names.iter().enumerate() {
        let mut annotations = content.annotations();
        if let Some(map) = annotations.as_object_mut() {
            map.retain(|_, value| !value.is_null());
        }
        let object = json!({
            "apiVersion": kinds::CHAOS_WORKFLOW.api_version(),
            "kind": kinds::CHAOS_WORKFLOW.kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {PROJECT_LABEL: label_value(project)},
                "annotations": annotations,
            },
            "spec": {
                "project": project,
                "workflow": workflow,
                "path": content.path,
                "runPolicy": RunPolicy::Manual,
                "manifest": content.manifest,
            },
        });
        let object: DynamicObject = typed(object)?;
        match cluster.in_time("create a chaos workflow", api.create(&PostParams::default(), &object)).await {
            Ok(made) => return WorkflowObject::read(&made).ok_or_else(|| unreadable(name)),
            Err(error @ pilothouse_cluster::Error::Conflict { exists: true, .. }) => {
                let there = cluster.in_time("read a chaos workflow", api.get_opt(name)).await?;
                let same = there
                    .and_then(|there| WorkflowObject::read(&there))
                    .is_some_and(|there| there.project == project && there.workflow == workflow);
                // Another sync has just made it: the caller looks again. Else another workflow has the plain name,
                // and the digest tells them apart.
                if same || at > 0 {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::WrongState { name: workflow.to_owned(), why: "its object exists already".to_owned() })
}

/// Brings an object to a content, over exactly the version it was read at.
pub(crate) async fn update(
    cluster: &Cluster,
    namespace: &str,
    object: &WorkflowObject,
    content: &Content<'_>,
) -> Result<WorkflowObject> {
    let patch = json!({
        "metadata": {"resourceVersion": object.version, "annotations": content.annotations()},
        "spec": {"path": content.path, "manifest": content.manifest},
    });
    patch_object(cluster, namespace, &object.object, patch).await
}

/// Why a document can never run by itself, whatever anybody agrees to; `None` when it can.
pub fn never_automatic(document: &WorkflowDocument, workflow: &str, namespace: &str) -> Option<Error> {
    if let Err(elsewhere) = crate::launch::stays(document, workflow, namespace) {
        return Some(elsewhere);
    }
    let reach = Reach::of(document, namespace);
    let open = reach.beyond(&reach);
    (!open.is_empty()).then(|| Error::NotAgreed { name: workflow.to_owned(), why: open.join("; ") })
}

/// A digest of what a person agrees to who lets a document start by itself: what it reaches, and when it runs.
pub fn agreement(document: &WorkflowDocument, namespace: &str) -> String {
    let reach = Reach::of(document, namespace).digest();
    Schedule::of(document).map_or(reach.clone(), |schedule| digest(&format!("{reach}\n{}", schedule.words())))
}

/// Changes what may start a workflow. Whoever lets it start by itself agrees to what it reaches: `seen` is the
/// [`agreement`] that was shown. What changed before is not run: an automatic run is for a change that comes after.
///
/// # Errors
/// [`Error::PreviewStale`] when the workflow reaches something else, or has another schedule, by now;
/// [`Error::WrongState`] when it has no schedule that could be followed; nothing was written then.
pub async fn set_run_policy(
    cluster: &Cluster,
    namespace: &str,
    (project, workflow): (&str, &str),
    policy: RunPolicy,
    seen: Option<&str>,
) -> Result<WorkflowObject> {
    let object = get(cluster, namespace, project, workflow).await?;
    let mut schedule = None;
    let agreed = if policy == RunPolicy::Manual {
        None
    } else {
        let document = WorkflowDocument::accept(project, &object.path, &object.manifest)?;
        if let Some(why) = never_automatic(&document, workflow, namespace) {
            return Err(why);
        }
        let reach = Reach::of(&document, namespace);
        if seen != Some(agreement(&document, namespace).as_str()) {
            let why = "it reaches something else, or runs at other times, than what you saw".to_owned();
            return Err(Error::PreviewStale { name: workflow.to_owned(), why });
        }
        if policy == RunPolicy::OnSchedule {
            let found = Schedule::of(&document);
            let found = found.map_err(|why| Error::WrongState { name: workflow.to_owned(), why: why.into() })?;
            schedule = Some(found.words().to_owned());
        }
        let text = serde_json::to_string(&reach).unwrap_or_default();
        if text.len() > MAX_AGREEMENT {
            let why = "it names more images and accounts than can be agreed to; run it by hand".to_owned();
            return Err(Error::WrongState { name: workflow.to_owned(), why });
        }
        Some(text)
    };
    // Over exactly the version whose reach was compared. The schedule counts from when it is looked at next.
    let annotations = json!({AGREED: agreed, DUE: null, AGREED_SCHEDULE: schedule, SETTLED: null, SCHEDULE_NOTE: null});
    let patch = json!({
        "metadata": {"resourceVersion": object.version, "annotations": annotations},
        "spec": {"runPolicy": policy},
    });
    patch_object(cluster, namespace, &object.object, patch).await
}

/// Notes that a change has its run, or is not to have one, unless another change has come meanwhile.
pub async fn settle_due(cluster: &Cluster, namespace: &str, project: &str, due: &Due) -> Result<()> {
    let object = get(cluster, namespace, project, &due.workflow).await?;
    if object.due.as_ref() != Some(due) {
        return Ok(());
    }
    let patch = json!({"metadata": {"resourceVersion": object.version, "annotations": {DUE: null}}});
    patch_object(cluster, namespace, &object.object, patch).await.map(|_| ())
}

/// Forgets up to when a schedule was seen to.
pub(crate) async fn unsettle(cluster: &Cluster, namespace: &str, object: &WorkflowObject) -> Result<()> {
    if object.settled.is_none() {
        return Ok(());
    }
    let patch = json!({"metadata": {"annotations": {SETTLED: null}}});
    patch_object(cluster, namespace, &object.object, patch).await.map(|_| ())
}

pub(crate) async fn patch_object(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    patch: Value,
) -> Result<WorkflowObject> {
    let api = cluster.api(&kinds::CHAOS_WORKFLOW, namespace);
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    let made = cluster.in_time("write a chaos workflow", api.patch(name, &parameters, &patch)).await?;
    WorkflowObject::read(&made).ok_or_else(|| unreadable(name))
}

/// Writes the given fields of a status when any of them differs from what is there (null removes one). Says whether it
/// wrote.
pub(crate) async fn write_status(
    cluster: &Cluster,
    namespace: &str,
    object: &WorkflowObject,
    fields: &Map<String, Value>,
) -> Result<bool> {
    if !differs(object, fields) {
        return Ok(false);
    }
    patch_status(cluster, namespace, object, json!({"status": fields})).await
}

/// As [`write_status`], over exactly the version that was looked at: what a sync found must not be written over what
/// switching the project off has put there meanwhile.
pub(crate) async fn write_status_over(
    cluster: &Cluster,
    namespace: &str,
    object: &WorkflowObject,
    fields: &Map<String, Value>,
) -> Result<bool> {
    if !differs(object, fields) {
        return Ok(false);
    }
    let patch = json!({"metadata": {"resourceVersion": object.version}, "status": fields});
    patch_status(cluster, namespace, object, patch).await
}

fn differs(object: &WorkflowObject, fields: &Map<String, Value>) -> bool {
    fields.iter().any(|(key, value)| object.status.get(key).unwrap_or(&Value::Null) != value)
}

async fn patch_status(cluster: &Cluster, namespace: &str, object: &WorkflowObject, patch: Value) -> Result<bool> {
    let api = cluster.api(&kinds::CHAOS_WORKFLOW, namespace);
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    cluster.in_time("write a chaos workflow's status", api.patch_status(&object.object, &parameters, &patch)).await?;
    Ok(true)
}

/// Remembers a workflow's last run.
pub async fn note_last_run(
    cluster: &Cluster,
    namespace: &str,
    project: &str,
    workflow: &str,
    run: &LastRun,
) -> Result<bool> {
    let object = get(cluster, namespace, project, workflow).await?;
    let value = serde_json::to_value(run).unwrap_or(Value::Null);
    let value = match value {
        // The API server prunes nulls in a stored object, so they must not count as a difference.
        Value::Object(map) => Value::Object(map.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        other => other,
    };
    let old = object.status.get("lastRun").and_then(|old| old.get("name"));
    if old.is_some() && old != value.get("name") {
        // A merge patch would keep the fields of the run before.
        write_status(cluster, namespace, &object, &Map::from_iter([("lastRun".to_owned(), Value::Null)])).await?;
    }
    write_status(cluster, namespace, &object, &Map::from_iter([("lastRun".to_owned(), value)])).await
}

/// Removes a workflow's object.
pub(crate) async fn delete(cluster: &Cluster, namespace: &str, object: &WorkflowObject) -> Result<()> {
    let api = cluster.api(&kinds::CHAOS_WORKFLOW, namespace);
    let only_this = kube::api::Preconditions { resource_version: Some(object.version.clone()), uid: None };
    let parameters = kube::api::DeleteParams { preconditions: Some(only_this), ..Default::default() };
    match cluster.in_time("delete a chaos workflow", api.delete(&object.object, &parameters)).await {
        Ok(_) | Err(pilothouse_cluster::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn typed(object: Value) -> Result<DynamicObject> {
    serde_json::from_value(object).map_err(|error| Error::WrongState {
        name: "the object".to_owned(),
        why: format!("it cannot be written as a Kubernetes object: {error}"),
    })
}

/// Whether an object runs on a schedule, or still says something of one; without reading all of it.
pub fn speaks_of_schedule(object: &DynamicObject) -> bool {
    let annotations = object.metadata.annotations.as_ref();
    object.data.pointer("/spec/runPolicy").and_then(Value::as_str) == Some("OnSchedule")
        || object.data.pointer("/status/schedule").is_some_and(|schedule| !schedule.is_null())
        || annotations.is_some_and(|all| all.contains_key(SETTLED) || all.contains_key(SCHEDULE_NOTE))
}

fn unreadable(name: &str) -> Error {
    Error::WrongState { name: name.to_owned(), why: "the API server answered with no ChaosWorkflow".to_owned() }
}
