//! Chaos projects: switching GitOps on and off, and what their object says.

use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use pilothouse_cluster::{Cluster, Name, kinds};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::plan::SyncState;
use crate::sync::SyncReport;
use crate::workflow_object::{self, typed};

/// How a project's repository is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Auth {
    /// With a token, over HTTPS.
    #[default]
    Token,
    /// With a key, over SSH.
    Ssh,
}

/// Annotation on a project: it came to another place. That it was synced there in full stands in its status, which
/// whoever syncs may write without being able to lead the project elsewhere.
const ARRIVING: &str = "pilothouse.dev/arriving";

/// What becomes of workflows that have no file at the place that their project comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Absent {
    /// They are marked, and a person decides about each.
    #[default]
    Ask,
    /// They are committed there.
    TakeAlong,
}

/// Where a project comes to. What stands here of another place than the project's own counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Arrival {
    url: String,
    branch: String,
    absent: Absent,
    /// The version that the project was led here from: each arrival has its own.
    #[serde(default)]
    mark: String,
}

impl Arrival {
    /// The arrival that is not over yet, at the place that the project follows now.
    fn of(object: &DynamicObject) -> Option<Self> {
        let text = |pointer: &str| object.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let noted = object.metadata.annotations.as_ref()?.get(ARRIVING)?;
        let to = serde_json::from_str::<Self>(noted).ok()?;
        let here = to.url == text("/spec/gitOps/url") && to.branch == text("/spec/gitOps/branch");
        (here && text("/status/arrived") != to.mark).then_some(to)
    }
}

/// A chaos project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// Its id, which is also its object's name and its folder's.
    pub id: String,
    /// Its object's namespace.
    pub namespace: String,
    /// Whether its workflows are kept in step with Git.
    pub enabled: bool,
    /// The repository's address, without credentials.
    pub url: String,
    /// The branch.
    pub branch: String,
    /// How the repository is reached.
    pub auth: Auth,
    /// What it is for.
    pub description: Option<String>,
    /// The state in its status (`InSync`, `Conflict`, `Failed`, `Disabled`…).
    pub state: Option<String>,
    /// The commit last brought in.
    pub commit: Option<String>,
    /// When that was (RFC 3339).
    pub last_sync: Option<String>,
    /// What is wrong, or what to do.
    pub message: Option<String>,
    /// The project came to where it is, and was not synced there in full yet: what differs there is no commit that
    /// anybody made to have it run.
    pub arriving: Option<Absent>,
}

/// What the user gives to enable a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enable {
    /// The project's id.
    pub id: String,
    /// The repository's address, without credentials; checked by the Git engine before.
    pub url: String,
    /// The branch.
    pub branch: String,
    /// How the repository is reached.
    pub auth: Auth,
    /// What the project is for.
    pub description: Option<String>,
}

impl Project {
    /// Reads an object; `None` when it is no `ChaosProject`.
    pub fn read(object: &DynamicObject) -> Option<Self> {
        let text = |pointer: &str| {
            object.data.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        object.data.get("spec")?;
        Some(Self {
            arriving: Arrival::of(object).map(|to| to.absent),
            id: object.metadata.name.clone()?,
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            enabled: object.data.pointer("/spec/gitOps/enabled").and_then(Value::as_bool).unwrap_or(false),
            url: text("/spec/gitOps/url").unwrap_or_default(),
            branch: text("/spec/gitOps/branch").unwrap_or_default(),
            auth: if text("/spec/gitOps/auth").as_deref() == Some("ssh") { Auth::Ssh } else { Auth::Token },
            description: text("/spec/description"),
            state: text("/status/state"),
            commit: text("/status/commit"),
            last_sync: text("/status/lastSyncTime"),
            message: text("/status/message"),
        })
    }
}

/// The chaos projects of a namespace.
pub async fn list(cluster: &Cluster, namespace: &str) -> Result<Vec<Project>> {
    let api = cluster.api(&kinds::CHAOS_PROJECT, namespace);
    let all = cluster.in_time("list the chaos projects", api.list(&ListParams::default())).await?;
    Ok(all.items.iter().filter_map(Project::read).collect())
}

/// One chaos project.
pub async fn get(cluster: &Cluster, namespace: &str, id: &str) -> Result<Project> {
    let api = cluster.api(&kinds::CHAOS_PROJECT, namespace);
    let found = cluster.in_time("read a chaos project", api.get_opt(id)).await?;
    found.as_ref().and_then(Project::read).ok_or(Error::NotFound { what: "the chaos project", name: id.to_owned() })
}

/// How often a project is read again because somebody wrote it meanwhile.
const ATTEMPTS: u32 = 5;

/// Whether a form would make a project that is switched on follow something else.
fn repoints(there: &Project, form: &Enable) -> bool {
    let same_branch = form.branch.is_empty() || there.branch.is_empty() || there.branch == form.branch;
    there.enabled && !there.url.is_empty() && !(there.url == form.url && same_branch)
}

/// Switches GitOps on for a project, making its object where there is none.
///
/// # Errors
/// [`Error::Taken`] when it is switched on already and follows another repository or branch; nothing was written then.
pub async fn enable(cluster: &Cluster, namespace: &str, form: &Enable) -> Result<Project> {
    Name::parse("project", &form.id)?;
    let mut git_ops = json!({"enabled": true, "url": form.url, "auth": form.auth});
    if !form.branch.is_empty() {
        git_ops["branch"] = json!(form.branch);
    }
    let mut spec = json!({"gitOps": git_ops});
    if let Some(description) = &form.description {
        spec["description"] = json!(description);
    }
    let api = cluster.api(&kinds::CHAOS_PROJECT, namespace);
    let object = typed(json!({
        "apiVersion": kinds::CHAOS_PROJECT.api_version(),
        "kind": kinds::CHAOS_PROJECT.kind,
        "metadata": {"name": form.id, "namespace": namespace},
        "spec": spec,
    }))?;
    let made = match cluster.in_time("create a chaos project", api.create(&PostParams::default(), &object)).await {
        Err(pilothouse_cluster::Error::Conflict { exists: true, .. }) => {
            let mut attempt = 1;
            loop {
                let there = cluster.in_time("read a chaos project", api.get(&form.id)).await?;
                if let Some(there) = Project::read(&there).filter(|there| repoints(there, form)) {
                    let (id, namespace) = (there.id, namespace.to_owned());
                    return Err(Error::Taken { id, namespace, url: there.url, branch: there.branch });
                }
                // Over exactly the version that was looked at. One that is on and has not arrived yet goes on arriving.
                let mut metadata = json!({"resourceVersion": there.metadata.resource_version});
                if Project::read(&there).is_none_or(|there| !there.enabled) {
                    metadata["annotations"] = json!({ARRIVING: null});
                }
                let patch = json!({"metadata": metadata, "spec": spec});
                let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
                match cluster.in_time("write a chaos project", api.patch(&form.id, &parameters, &patch)).await {
                    Err(pilothouse_cluster::Error::Conflict { .. }) if attempt < ATTEMPTS => attempt += 1,
                    other => break other?,
                }
            }
        }
        other => other?,
    };
    Project::read(&made).ok_or(Error::NotFound { what: "the chaos project", name: form.id.clone() })
}

/// The place of a project, as a person saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The repository's address.
    pub url: String,
    /// The branch.
    pub branch: String,
}

/// Leads a project that is switched on to another repository or branch, in one write: whoever is killed right after it
/// leaves a project that follows the new place, and the next sync brings it there. What differs there runs nothing.
///
/// # Errors
/// [`Error::PreviewStale`] when the project follows another place than the one that was seen, [`Error::WrongState`]
/// when it is switched off; nothing was written then.
pub async fn change(cluster: &Cluster, namespace: &str, seen: &Seen, to: &Enable, absent: Absent) -> Result<Project> {
    let api = cluster.api(&kinds::CHAOS_PROJECT, namespace);
    let missing = || Error::NotFound { what: "the chaos project", name: to.id.clone() };
    for attempt in 1.. {
        let there = cluster.in_time("read a chaos project", api.get_opt(&to.id)).await?.ok_or_else(missing)?;
        let now = Project::read(&there).ok_or_else(missing)?;
        if !now.enabled {
            let why = "GitOps is off for it; enable it at the new place".to_owned();
            return Err(Error::WrongState { name: now.id, why });
        }
        if now.url != seen.url || now.branch != seen.branch {
            let why = format!("it follows {} ({}) by now", now.url, now.branch);
            return Err(Error::PreviewStale { name: now.id, why });
        }
        if now.url == to.url && now.branch == to.branch && absent == Absent::Ask {
            return Ok(now);
        }
        let mark = there.metadata.resource_version.clone().unwrap_or_default();
        let arrival = Arrival { url: to.url.clone(), branch: to.branch.clone(), absent, mark };
        let arrival = serde_json::to_value(&arrival).map(|arrival| arrival.to_string()).unwrap_or_default();
        let branch = Some(&to.branch).filter(|branch| !branch.is_empty());
        // Over exactly the version that was looked at.
        let patch = json!({
            "metadata": {"resourceVersion": there.metadata.resource_version, "annotations": {ARRIVING: arrival}},
            "spec": {"gitOps": {"url": to.url, "branch": branch, "auth": to.auth}},
        });
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
        match cluster.in_time("write a chaos project", api.patch(&to.id, &parameters, &patch)).await {
            Err(pilothouse_cluster::Error::Conflict { .. }) if attempt < ATTEMPTS => {}
            other => return Project::read(&other?).ok_or_else(missing),
        }
    }
    Err(Error::Contended { attempts: ATTEMPTS })
}

/// Notes that a project was synced in full where it came to. Somebody who leads it elsewhere at this moment makes
/// another arrival, which this note is not about.
pub(crate) async fn arrived(cluster: &Cluster, namespace: &str, id: &str) -> Result<()> {
    let api = cluster.api(&kinds::CHAOS_PROJECT, namespace);
    let there = cluster.in_time("read a chaos project", api.get(id)).await?;
    match Arrival::of(&there) {
        Some(arrival) => write_status(cluster, namespace, id, json!({"status": {"arrived": arrival.mark}})).await,
        None => Ok(()),
    }
}

/// Switches GitOps off. Nothing in Git or among the workflows is removed; they are marked as paused.
pub async fn disable(cluster: &Cluster, namespace: &str, id: &str) -> Result<()> {
    let api = cluster.api(&kinds::CHAOS_PROJECT, namespace);
    let patch = json!({"metadata": {"annotations": {ARRIVING: null}}, "spec": {"gitOps": {"enabled": false}}});
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    cluster.in_time("write a chaos project", api.patch(id, &parameters, &patch)).await?;
    // It is off: whatever cannot be written now, the rest is.
    let patch = json!({"status": {"state": "Disabled", "message": null}});
    let told = write_status(cluster, namespace, id, patch).await;
    told.and(pause(cluster, namespace, id).await)
}

/// Marks the workflows of a project as paused, and takes back what they were to run. One that cannot be written does
/// not keep the others from it; the first error is told at the end.
pub(crate) async fn pause(cluster: &Cluster, namespace: &str, id: &str) -> Result<()> {
    let paused = Map::from_iter([
        ("state".to_owned(), json!(SyncState::Paused.as_str())),
        ("message".to_owned(), json!("GitOps is off for the project")),
    ]);
    let mut all = Ok(());
    for object in workflow_object::list(cluster, namespace, id).await?.values() {
        let marked = workflow_object::write_status(cluster, namespace, object, &paused).await;
        all = all.and(marked.map(|_| ()));
        // A schedule counts anew from when the project is switched on again.
        all = all.and(workflow_object::unsettle(cluster, namespace, object).await);
        if let Some(due) = &object.due {
            all = all.and(workflow_object::settle_due(cluster, namespace, id, due).await);
        }
    }
    all
}

/// Notes in a project what a sync brought. Writes only when something changed; `now` is RFC 3339. A project that was
/// switched off meanwhile keeps saying so.
pub async fn note_sync(
    cluster: &Cluster,
    namespace: &str,
    id: &str,
    outcome: std::result::Result<&SyncReport, &Error>,
    now: &str,
) -> Result<bool> {
    let api = cluster.api(&kinds::CHAOS_PROJECT, namespace);
    for attempt in 1.. {
        let there = cluster.in_time("read a chaos project", api.get_opt(id)).await?;
        let missing = || Error::NotFound { what: "the chaos project", name: id.to_owned() };
        let there = there.ok_or_else(missing)?;
        let before = Project::read(&there).ok_or_else(missing)?;
        if !before.enabled {
            break;
        }
        let Some(mut status) = status_after(&before, outcome) else { break };
        if outcome.is_ok() {
            status["lastSyncTime"] = json!(now);
        }
        // Over exactly the version that was looked at: it may be switched off at this moment.
        let patch = json!({"metadata": {"resourceVersion": there.metadata.resource_version}, "status": status});
        match write_status(cluster, namespace, id, patch).await {
            Err(Error::Cluster(pilothouse_cluster::Error::Conflict { .. })) if attempt < ATTEMPTS => {}
            other => return other.map(|()| true),
        }
    }
    Ok(false)
}

/// What a project says after a sync; `None` when it says that already, or when the sync was overtaken.
fn status_after(before: &Project, outcome: std::result::Result<&SyncReport, &Error>) -> Option<Value> {
    let (state, commit, message) = match outcome {
        Ok(report) => {
            let any = |state| report.states.values().any(|one| *one == state);
            let state = if any(SyncState::Conflict) {
                "Conflict"
            } else if [SyncState::Invalid, SyncState::DeletedInGit, SyncState::Ahead, SyncState::Behind]
                .into_iter()
                .any(any)
            {
                "Behind"
            } else {
                "InSync"
            };
            (state, report.commit.clone(), report.problems.join("; "))
        }
        Err(Error::Superseded { .. }) => return None,
        Err(error) => ("Failed", before.commit.clone(), error.to_string()),
    };
    let message = Some(message).filter(|message| !message.is_empty());
    let same = before.state.as_deref() == Some(state) && before.commit == commit && before.message == message;
    (!same).then(|| json!({"state": state, "commit": commit, "message": message}))
}

async fn write_status(cluster: &Cluster, namespace: &str, id: &str, patch: Value) -> Result<()> {
    let api = cluster.api(&kinds::CHAOS_PROJECT, namespace);
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    cluster.in_time("write a chaos project's status", api.patch_status(id, &parameters, &patch)).await?;
    Ok(())
}
