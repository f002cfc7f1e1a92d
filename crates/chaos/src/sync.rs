//! The sync: reads Git and the cluster, plans, and does what the plan says. Safe to repeat, safe to interrupt.

use std::collections::BTreeMap;

use pilothouse_cluster::{Cluster, Name};
use serde_json::{Map, Value, json};

use crate::document::{folder_of, is_candidate};
use crate::error::{Error, Result};
use crate::git_side::{GitChange, GitSide, Publication, Snapshot};
use crate::names::digest;
use crate::plan::{Action, Base, ClusterItem, Content as FileContent, Planned, Sides, SyncState, key_of, plan};
use crate::workflow_object::{self, Content, Due, RunPolicy, WorkflowObject};

/// The most files a project may have.
pub const MAX_FILES: usize = 2_000;
/// How often it plans anew because somebody else wrote meanwhile. Two passes are ordinary: writing to Git is followed
/// by a look at what Git has then.
const PASSES: u32 = 8;

/// What a sync did.
#[derive(Debug, Clone, Default)]
pub struct SyncReport {
    /// The tip of the branch that the cluster now agrees with.
    pub commit: Option<String>,
    /// What was done, in the order it was done. Empty when everything was in place.
    pub done: Vec<Done>,
    /// Every workflow's state now.
    pub states: BTreeMap<String, SyncState>,
    /// Changes by commits of workflows whose run policy is `OnCommit`, which are to be run: those that this sync
    /// brought, and those that an earlier one brought and whose run nobody got to start.
    pub due: Vec<Due>,
    /// What went wrong without stopping the sync, in words.
    pub problems: Vec<String>,
    /// Writes to the cluster and to Git; none on a second pass over the same state.
    pub writes: usize,
}

/// One thing done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The workflow.
    pub workflow: String,
    /// Its file.
    pub path: String,
    /// What was done: `created`, `updated`, `adopted`, `merged`, `recorded`, `marked`, `removed`.
    pub what: &'static str,
    /// The state it is in.
    pub state: SyncState,
    /// The reason, where there is one.
    pub message: String,
}

/// Syncs one project. `namespace` is that of its `ChaosProject`.
pub async fn sync_once(cluster: &Cluster, namespace: &str, project: &str, git: &dyn GitSide) -> Result<SyncReport> {
    Name::parse("project", project)?;
    let mut report = SyncReport::default();
    let mut refused_by_git: Option<String> = None;
    for _ in 0..PASSES {
        let snapshot = git.snapshot(&folder_of(project), MAX_FILES).await?;
        let objects = workflow_object::list(cluster, namespace, project).await?;
        let sides = sides(project, &snapshot, &objects, git).await?;
        let (sides, mut planned) = plan_aside(sides).await?;
        if refused_by_git.is_none() {
            let changes: Vec<_> = planned.iter().filter_map(git_change).collect();
            if !changes.is_empty() {
                match git.publish(&changes, &commit_message(&planned)).await {
                    Ok(Publication::Published { .. }) => {
                        report.writes += 1;
                        let wrote = planned.iter().filter(|one| git_change(one).is_some());
                        report.done.extend(wrote.map(|one| done(one, "adopted")));
                        continue;
                    }
                    Ok(Publication::Moved) => continue,
                    Err(error) => refused_by_git = Some(error.to_string()),
                }
            }
        }
        if let Some(why) = &refused_by_git {
            stay_ahead(&mut planned, why);
        }
        report.due.clear();
        let moved = Pass { cluster, namespace, git, snapshot: &snapshot, sides: &sides, objects: &objects }
            .apply(&planned, &mut report)
            .await?;
        if moved {
            continue;
        }
        report.commit = snapshot.commit;
        report.states = planned
            .iter()
            .filter(|one| one.action != Action::Drop)
            .map(|one| (one.workflow.clone(), one.state))
            .collect();
        if !snapshot.complete {
            report.problems.push(format!("the project has more than {MAX_FILES} files; the rest is not synced"));
        }
        report.problems.extend(refused_by_git);
        return Ok(report);
    }
    Err(Error::Contended { attempts: PASSES })
}

/// Plans where it holds nobody up: hundreds of large files take a while to parse.
async fn plan_aside(sides: Sides) -> Result<(Sides, Vec<Planned>)> {
    let work = tokio::task::spawn_blocking(move || {
        let planned = plan(&sides);
        (sides, planned)
    });
    work.await
        .map_err(|error| Error::WrongState { name: "the sync".to_owned(), why: format!("its plan broke off: {error}") })
}

/// Puts the three sides together. The base stands in the objects themselves; its text is looked for where it may be.
async fn sides(
    project: &str,
    snapshot: &Snapshot,
    objects: &BTreeMap<String, WorkflowObject>,
    git: &dyn GitSide,
) -> Result<Sides> {
    let files: BTreeMap<String, _> = snapshot
        .files
        .iter()
        .filter(|file| is_candidate(&file.path))
        .map(|file| (key_of(project, &file.path), file))
        .collect();
    let mut base = BTreeMap::new();
    for (workflow, object) in objects {
        let (Some(blob), Some(base_digest)) = (&object.synced_blob, &object.synced_digest) else { continue };
        let text = if digest(&object.manifest) == *base_digest {
            Some(object.manifest.clone())
        } else {
            match files.get(workflow) {
                // Only when both sides changed is the text needed.
                Some(file) if file.blob != *blob => git.blob_text(blob).await?,
                _ => None,
            }
        };
        let text = text.filter(|text| digest(text) == *base_digest);
        base.insert(workflow.clone(), Base { blob: blob.clone(), digest: base_digest.clone(), text });
    }
    Ok(Sides {
        project: project.to_owned(),
        base,
        git: snapshot.files.clone(),
        cluster: objects
            .iter()
            .map(|(workflow, object)| (workflow.clone(), ClusterItem { manifest: object.manifest.clone() }))
            .collect(),
        complete: snapshot.complete,
    })
}

fn git_change(planned: &Planned) -> Option<GitChange> {
    let (text, base_blob) = match &planned.action {
        Action::Adopt { text, over } => (text, over.clone()),
        Action::Merge { text, over } => (text, Some(over.clone())),
        _ => return None,
    };
    Some(GitChange { path: planned.path.clone(), base_blob, text: Some(text.clone()) })
}

fn commit_message(planned: &[Planned]) -> String {
    let names: Vec<&str> =
        planned.iter().filter(|one| git_change(one).is_some()).map(|one| one.workflow.as_str()).collect();
    match names[..] {
        [one] => format!("Take chaos workflow {one} over from the cluster"),
        _ => format!("Take {} chaos workflows over from the cluster\n\n{}", names.len(), names.join("\n")),
    }
}

/// What could not be written to Git stays in the cluster, and says so.
fn stay_ahead(planned: &mut [Planned], why: &str) {
    for one in planned.iter_mut() {
        if git_change(one).is_some() {
            one.action = Action::Nothing;
            one.state = SyncState::Ahead;
            one.message = format!("changed in the cluster, and Git did not take it: {why}");
        }
    }
}

fn done(planned: &Planned, what: &'static str) -> Done {
    Done {
        workflow: planned.workflow.clone(),
        path: planned.path.clone(),
        what,
        state: planned.state,
        message: planned.message.clone(),
    }
}

struct Pass<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    git: &'a dyn GitSide,
    snapshot: &'a Snapshot,
    sides: &'a Sides,
    objects: &'a BTreeMap<String, WorkflowObject>,
}

impl Pass<'_> {
    /// Applies a plan; says whether somebody else wrote meanwhile, so that it has to be made anew.
    async fn apply(&self, planned: &[Planned], report: &mut SyncReport) -> Result<bool> {
        let mut moved = false;
        for one in planned {
            match self.apply_one(one, report).await {
                Ok(()) => {}
                Err(Error::Cluster(
                    pilothouse_cluster::Error::Conflict { .. } | pilothouse_cluster::Error::NotFound { .. },
                )) => moved = true,
                // One workflow that the API server refuses must not keep the others from being synced.
                Err(Error::Cluster(error @ pilothouse_cluster::Error::Invalid { .. })) => {
                    report.problems.push(format!("{}: {error}", one.path));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }

    async fn apply_one(&self, one: &Planned, report: &mut SyncReport) -> Result<()> {
        let known = self.objects.get(&one.workflow);
        let project = self.sides.project.as_str();
        let change = self.change_to_run(one, known).await?;
        let content = match &one.action {
            Action::Create { text, blob } | Action::Update { text, blob } | Action::Record { text, blob } => {
                Some(Content { path: &one.path, manifest: text, blob: Some(blob), run_for: change.as_deref() })
            }
            Action::Invalid(_) if known.is_none() => {
                Some(Content { path: &one.path, manifest: "", blob: None, run_for: None })
            }
            Action::Drop => {
                if let Some(object) = known {
                    workflow_object::delete(self.cluster, self.namespace, object).await?;
                    report.writes += 1;
                    report.done.push(done(one, "removed"));
                }
                return Ok(());
            }
            _ => None,
        };
        let written = match (content, known) {
            (Some(content), Some(object)) => {
                Some(workflow_object::update(self.cluster, self.namespace, object, &content).await?)
            }
            (Some(content), None) => {
                let key = (project, one.workflow.as_str());
                Some(workflow_object::create(self.cluster, self.namespace, key, &content).await?)
            }
            (None, _) => None,
        };
        let what = match &one.action {
            Action::Create { .. } => "created",
            Action::Update { .. } => "updated",
            Action::Record { .. } => "recorded",
            _ => "marked",
        };
        report.writes += usize::from(written.is_some());
        let Some(object) = written.as_ref().or(known) else { return Ok(()) };
        let marked =
            workflow_object::write_status(self.cluster, self.namespace, object, &self.status(one, object).await?)
                .await?;
        report.writes += usize::from(marked);
        if written.is_some() || marked {
            report.done.push(done(one, what));
        }
        // Read from the object, not from the action: what a killed app left to be run is found here too.
        if let Some(due) = &object.due
            && object.run_policy == RunPolicy::OnCommit
            && one.state == SyncState::InSync
            && object.synced_blob.as_ref() == Some(&due.blob)
        {
            report.due.push(due.clone());
        }
        Ok(())
    }

    /// The commit that a change is to be run for. The policy is the object's, which no commit can touch, and it counts
    /// as it stands in the very version that the change is written over. What changed while the project was switched
    /// off is older than its enabling, and is not run.
    async fn change_to_run(&self, one: &Planned, known: Option<&WorkflowObject>) -> Result<Option<String>> {
        let asked = known
            .is_some_and(|known| known.run_policy == RunPolicy::OnCommit && known.state != Some(SyncState::Paused));
        let (true, Action::Update { .. }, Some(tip)) = (asked, &one.action, &self.snapshot.commit) else {
            return Ok(None);
        };
        let change = self.git.last_change(tip, &one.path).await?;
        Ok(Some(change.map_or_else(|| tip.clone(), |change| change.commit)))
    }

    /// The status fields that the sync owns; `lastRun` is left alone.
    async fn status(&self, one: &Planned, object: &WorkflowObject) -> Result<Map<String, Value>> {
        let mut fields = Map::new();
        fields.insert("state".into(), json!(one.state.as_str()));
        let held_back = || object.held_back(self.namespace).map(|why| format!("it does not run by itself: {why}"));
        let message = Some(one.message.clone()).filter(|words| !words.is_empty()).or_else(held_back);
        fields.insert("message".into(), json!(message));
        fields.insert("line".into(), json!(one.line));
        fields.insert("observedGeneration".into(), json!(object.generation));
        fields.insert("syncedBlob".into(), json!(object.synced_blob));
        // The commit is looked up when the blob is new, for that walks through history.
        let file = self.snapshot.files.iter().find(|file| file.path == one.path);
        let known = object.status.get("syncedBlob").and_then(Value::as_str);
        if let (Some(file), Some(tip)) = (file, &self.snapshot.commit)
            && matches!(file.content, FileContent::Text(_))
            && (object.commit.is_none() || known != object.synced_blob.as_deref())
            && let Some(change) = self.git.last_change(tip, &one.path).await?
        {
            fields.insert("commit".into(), json!(change.commit));
            fields.insert("author".into(), json!(change.author));
        }
        Ok(fields)
    }
}
