//! Carrying out a plan: many writes at once, but not more than an API server takes from one user without complaint.

use std::collections::HashMap;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::git_side::{LastChange, Snapshot};
use crate::memory::Version;
use crate::plan::{Action, Content as FileContent, GitFile, Planned, Sides, SyncState};
use crate::sync::{Done, Place, SyncReport};
use crate::workflow_object::{self, Content, Due, RunPolicy, WorkflowObject};

/// How many workflows are written at a time. Where the server asks for patience (429 with Retry-After), the client
/// waits as long as it says, so that a busy server slows all of them down.
const AT_ONCE: usize = 16;

/// What is needed to carry out a plan.
pub(crate) struct Pass<'a> {
    pub(crate) place: &'a Place<'a>,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) sides: &'a Sides,
    pub(crate) objects: &'a std::collections::BTreeMap<String, WorkflowObject>,
    /// The project came to this place, and what differs there is not what anybody commits to it from now on.
    pub(crate) arriving: bool,
}

/// What became of a plan.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Whether somebody else wrote meanwhile, so that it has to be made anew.
    pub(crate) moved: bool,
    /// The objects as they are now, by their own names.
    pub(crate) versions: HashMap<String, Version>,
}

/// What became of one workflow.
#[derive(Default)]
struct One {
    writes: usize,
    done: Option<Done>,
    due: Option<Due>,
    version: Option<(String, Version)>,
}

/// What is looked up once for all workflows.
struct Known<'a> {
    files: HashMap<&'a str, &'a GitFile>,
    changes: HashMap<String, LastChange>,
}

impl Pass<'_> {
    /// Applies a plan.
    pub(crate) async fn apply(&self, planned: &[Planned], report: &mut SyncReport) -> Result<Applied> {
        let files: HashMap<&str, &GitFile> =
            self.snapshot.files.iter().map(|file| (file.path.as_str(), file)).collect();
        let new: Vec<String> = planned
            .iter()
            .filter(|one| files.contains_key(one.path.as_str()))
            .filter(|one| {
                let brings =
                    matches!(one.action, Action::Create { .. } | Action::Update { .. } | Action::Record { .. });
                brings || self.objects.get(&one.workflow).is_none_or(lacks_commit)
            })
            .map(|one| one.path.clone())
            .collect();
        let changes = match &self.snapshot.commit {
            Some(tip) if !new.is_empty() => self.place.git.last_changes(tip, &new).await?,
            _ => HashMap::new(),
        };
        let facts = &Known { files, changes };
        let work: Vec<BoxFuture<'_, Result<One>>> =
            planned.iter().map(|one| self.apply_one(one, facts).boxed()).collect();
        let mut work = stream::iter(work).buffered(AT_ONCE);
        let mut planned = planned.iter();
        let mut applied = Applied::default();
        // In the order of the plan.
        while let (Some(outcome), Some(one)) = (work.next().await, planned.next()) {
            match outcome {
                Ok(one) => {
                    report.writes += one.writes;
                    report.done.extend(one.done);
                    report.due.extend(one.due);
                    applied.versions.extend(one.version);
                }
                Err(Error::Cluster(
                    pilothouse_cluster::Error::Conflict { .. } | pilothouse_cluster::Error::NotFound { .. },
                )) => applied.moved = true,
                // One workflow that the API server refuses must not keep the others from being synced.
                Err(Error::Cluster(error @ pilothouse_cluster::Error::Invalid { .. })) => {
                    match self.stay_behind(one, &error.to_string()).await {
                        Ok(wrote) => report.writes += usize::from(wrote),
                        Err(Error::Cluster(
                            pilothouse_cluster::Error::Conflict { .. } | pilothouse_cluster::Error::NotFound { .. },
                        )) => {
                            applied.moved = true;
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                    report.behind.insert(one.workflow.clone());
                    report.problems.push(format!("{}: {error}", one.path));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(applied)
    }

    /// What the API server did not take stays in Git, and the object says so.
    async fn stay_behind(&self, one: &Planned, why: &str) -> Result<bool> {
        let Some(object) = self.objects.get(&one.workflow) else { return Ok(false) };
        let message = format!("changed in Git, and the cluster did not take it: {why}");
        let fields = Map::from_iter([
            ("state".to_owned(), json!(SyncState::Behind.as_str())),
            ("message".to_owned(), json!(message)),
            ("line".to_owned(), Value::Null),
        ]);
        workflow_object::write_status_over(self.place.cluster, self.place.namespace, object, &fields).await
    }

    async fn apply_one(&self, one: &Planned, facts: &Known<'_>) -> Result<One> {
        let (cluster, namespace) = (self.place.cluster, self.place.namespace);
        let mut outcome = One::default();
        let known = self.objects.get(&one.workflow);
        let change = self.change_to_run(one, known, facts);
        let content = match &one.action {
            Action::Create { text, blob } | Action::Update { text, blob } | Action::Record { text, blob } => {
                Some(Content { path: &one.path, manifest: text, blob: Some(blob), run_for: change.as_deref() })
            }
            Action::Invalid(_) if known.is_none() => {
                Some(Content { path: &one.path, manifest: "", blob: None, run_for: None })
            }
            Action::Drop => {
                if let Some(object) = known {
                    workflow_object::delete(cluster, namespace, object).await?;
                    outcome.writes += 1;
                    outcome.done = Some(done(one, "removed"));
                }
                return Ok(outcome);
            }
            _ => None,
        };
        let written = match (content, known) {
            (Some(content), Some(object)) => Some(workflow_object::update(cluster, namespace, object, &content).await?),
            (Some(content), None) => {
                let key = (self.sides.project.as_str(), one.workflow.as_str());
                Some(workflow_object::create(cluster, namespace, key, &content).await?)
            }
            (None, _) => None,
        };
        let what = match &one.action {
            Action::Create { .. } => "created",
            Action::Update { .. } => "updated",
            Action::Record { .. } => "recorded",
            _ => "marked",
        };
        outcome.writes += usize::from(written.is_some());
        let Some(object) = written.as_ref().or(known) else { return Ok(outcome) };
        let status = self.status(one, object, facts);
        let marked = workflow_object::write_status_over(cluster, namespace, object, &status).await?;
        outcome.writes += usize::from(marked);
        if written.is_some() || marked {
            outcome.done = Some(done(one, what));
        }
        let version = if marked { String::new() } else { object.version.clone() };
        outcome.version = Some((object.object.clone(), Version { version, workflow: one.workflow.clone() }));
        // Read from the object, not from the action: what a killed app left to be run is found here too.
        if let Some(due) = &object.due
            && object.run_policy == RunPolicy::OnCommit
            && one.state == SyncState::InSync
            && object.synced_blob.as_ref() == Some(&due.blob)
        {
            outcome.due = Some(due.clone());
        }
        Ok(outcome)
    }

    /// The commit that a change is to be run for. The policy is the object's, which no commit can touch, and it counts
    /// as it stands in the very version that the change is written over. What changed while the project was switched
    /// off is older than its enabling, and is not run; nor is what stands where it comes to.
    fn change_to_run(&self, one: &Planned, known: Option<&WorkflowObject>, facts: &Known<'_>) -> Option<String> {
        let asked = !self.arriving
            && known
                .is_some_and(|known| known.run_policy == RunPolicy::OnCommit && known.state != Some(SyncState::Paused));
        let (true, Action::Update { .. }, Some(tip)) = (asked, &one.action, &self.snapshot.commit) else {
            return None;
        };
        Some(facts.changes.get(&one.path).map_or_else(|| tip.clone(), |change| change.commit.clone()))
    }

    /// The status fields that the sync owns; `lastRun` is left alone.
    fn status(&self, one: &Planned, object: &WorkflowObject, facts: &Known<'_>) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("state".into(), json!(one.state.as_str()));
        let held_back =
            || object.held_back(self.place.namespace).map(|why| format!("it does not run by itself: {why}"));
        let message = Some(one.message.clone()).filter(|words| !words.is_empty()).or_else(held_back);
        fields.insert("message".into(), json!(message));
        fields.insert("line".into(), json!(one.line));
        fields.insert("observedGeneration".into(), json!(object.generation));
        fields.insert("syncedBlob".into(), json!(object.synced_blob));
        // The commit is looked up when the blob is new, for that walks through history.
        if let Some(file) = facts.files.get(one.path.as_str())
            && matches!(file.content, FileContent::Text(_))
            && lacks_commit(object)
            && let Some(change) = facts.changes.get(&one.path)
        {
            fields.insert("commit".into(), json!(change.commit));
            fields.insert("author".into(), json!(change.author));
        }
        fields
    }
}

/// Whether an object does not say, or not of the blob it holds now, which commit brought it.
fn lacks_commit(object: &WorkflowObject) -> bool {
    let known = object.status.get("syncedBlob").and_then(Value::as_str);
    object.commit.is_none() || known != object.synced_blob.as_deref()
}

pub(crate) fn done(planned: &Planned, what: &'static str) -> Done {
    Done {
        workflow: planned.workflow.clone(),
        path: planned.path.clone(),
        what,
        state: planned.state,
        message: planned.message.clone(),
    }
}
