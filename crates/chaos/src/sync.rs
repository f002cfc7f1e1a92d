//! The sync: reads Git and the cluster, plans, and does what the plan says. Safe to repeat, safe to interrupt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::api::DynamicObject;
use pilothouse_cluster::{Cluster, Name};

use crate::apply::{Pass, done};
use crate::delta;
use crate::document::folder_of;
use crate::error::{Error, Result};
use crate::git_side::{Entry, GitChange, GitSide, Publication, Snapshot, Tip};
use crate::memory::Memory;
use crate::names::digest;
use crate::plan::{Action, Base, ClusterItem, Planned, Sides, SyncState, keyed, plan_knowing};
use crate::project::{self, Absent};
use crate::trailers::with_trailers;
use crate::workflow_object::{self, Due, WorkflowObject};

/// The most files a project may have.
pub const MAX_FILES: usize = 20_000;
/// How often it plans anew because somebody else wrote meanwhile. Two passes are ordinary: writing to Git is followed
/// by a look at what Git has then.
const PASSES: u32 = 8;

/// The most workflows that a commit message names.
const NAMED: usize = 50;

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
    /// Workflows whose version in Git the API server did not take.
    pub behind: BTreeSet<String>,
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

/// What is synced with what.
pub(crate) struct Place<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) namespace: &'a str,
    pub(crate) project: &'a str,
    pub(crate) git: &'a dyn GitSide,
}

/// The workflow objects as a watch shows them; `None` when none is up, or when only the server's own word will do.
pub type Watched<'a> = &'a (dyn Fn() -> Option<Vec<Arc<DynamicObject>>> + Send + Sync);

/// Syncs one project. `namespace` is that of its `ChaosProject`.
pub async fn sync_once(cluster: &Cluster, namespace: &str, project: &str, git: &dyn GitSide) -> Result<SyncReport> {
    sync_knowing(cluster, namespace, project, git, &Arc::default(), &|| None).await
}

/// As [`sync_once`], with what is known already: where nothing changed since the sync before, neither side is read
/// again, and what was parsed before is not parsed again. `watched` is asked after Git was looked at.
pub async fn sync_knowing(
    cluster: &Cluster,
    namespace: &str,
    project: &str,
    git: &dyn GitSide,
    memory: &Arc<Memory>,
    watched: Watched<'_>,
) -> Result<SyncReport> {
    Name::parse("project", project)?;
    let place = Place { cluster, namespace, project, git };
    let _turn = memory.turn(namespace, project).await;
    let mut report = SyncReport::default();
    let mut looked = None;
    if let Some(selective) = git.selective() {
        let tip = selective.tip(&folder_of(project)).await?;
        if let Some(objects) = watched()
            && delta::sync(&place, selective, &tip, &objects, memory, &mut report).await?
        {
            return Ok(report);
        }
        looked = Some(tip);
    }
    let mut refused_by_git: Option<String> = None;
    for _ in 0..PASSES {
        let (snapshot, files) = place.snapshot(looked.take()).await?;
        let objects = workflow_object::list(cluster, namespace, project).await?;
        let sides = sides(&place, &snapshot, &objects).await?;
        let (mut sides, mut planned) = plan_aside(sides, memory).await?;
        let arriving = place.still_on(report.writes > 0).await?;
        if arriving == Some(Absent::TakeAlong) && forget_absent(&mut sides) {
            (sides, planned) = plan_aside(sides, memory).await?;
        }
        if refused_by_git.is_none() {
            let changes: Vec<_> = planned.iter().filter_map(git_change).collect();
            if !changes.is_empty() {
                match git.publish(&changes, &commit_message(project, &planned, &objects)).await {
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
        report.behind.clear();
        let pass =
            Pass { place: &place, snapshot: &snapshot, sides: &sides, objects: &objects, arriving: arriving.is_some() };
        let applied = pass.apply(&planned, &mut report).await?;
        if applied.moved {
            continue;
        }
        if report.writes > 0 {
            place.still_on(true).await?;
        }
        if arriving.is_some() && refused_by_git.is_none() {
            project::arrived(cluster, namespace, project).await?;
        }
        report.states = planned
            .iter()
            .filter(|one| one.action != Action::Drop)
            .map(|one| {
                let behind = report.behind.contains(&one.workflow);
                (one.workflow.clone(), if behind { SyncState::Behind } else { one.state })
            })
            .collect();
        if !snapshot.complete {
            report.problems.push(format!("the project has more than {MAX_FILES} files; the rest is not synced"));
        }
        report.problems.extend(refused_by_git);
        if let Some((tip, entries)) = files.filter(|_| report.problems.is_empty()) {
            let last = delta::remember(git.place(), tip.folder, entries, applied.versions, &report);
            memory.keep(namespace, project, last);
        }
        report.commit = snapshot.commit;
        return Ok(report);
    }
    Err(Error::Contended { attempts: PASSES })
}

impl Place<'_> {
    /// Ends a sync whose project was switched off since it began, or follows another repository or branch by now. To
    /// be asked after the objects were read: what was read as paused is then known to be on again. When it `wrote`,
    /// what it made meanwhile is paused as the rest is. A project that has no object can only be synced by who asks.
    /// Says whether the project was not synced in full since it came to this place.
    pub(crate) async fn still_on(&self, wrote: bool) -> Result<Option<Absent>> {
        let now = match project::get(self.cluster, self.namespace, self.project).await {
            Ok(now) => now,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let ended = |why| Err(Error::Superseded { name: self.project.to_owned(), why });
        if !now.enabled {
            if wrote {
                project::pause(self.cluster, self.namespace, self.project).await?;
            }
            return ended("GitOps was switched off for it meanwhile");
        }
        if !self.git.follows(&now.url, &now.branch) {
            return ended("it follows another repository or branch by now");
        }
        Ok(now.arriving)
    }

    /// The files in Git, and where that can be told, what they are known by.
    async fn snapshot(&self, looked: Option<Tip>) -> Result<(Snapshot, Option<(Tip, Vec<Entry>)>)> {
        let folder = folder_of(self.project);
        let Some(selective) = self.git.selective() else {
            return Ok((self.git.snapshot(&folder, MAX_FILES).await?, None));
        };
        let tip = match looked {
            Some(tip) => tip,
            None => selective.tip(&folder).await?,
        };
        let listing = selective.list(&tip, &folder, MAX_FILES).await?;
        let files = selective.read(listing.entries.clone()).await?;
        let snapshot = Snapshot { commit: tip.commit.clone(), files, complete: listing.complete };
        Ok((snapshot, Some((tip, listing.entries))))
    }
}

/// Plans where it holds nobody up: hundreds of large files take a while to parse.
pub(crate) async fn plan_aside(sides: Sides, memory: &Arc<Memory>) -> Result<(Sides, Vec<Planned>)> {
    let memory = memory.clone();
    let work = tokio::task::spawn_blocking(move || {
        let planned = plan_knowing(&sides, &memory.verdicts);
        (sides, planned)
    });
    work.await
        .map_err(|error| Error::WrongState { name: "the sync".to_owned(), why: format!("its plan broke off: {error}") })
}

/// Puts the three sides together. The base stands in the objects themselves; its text is looked for where it may be.
pub(crate) async fn sides(
    place: &Place<'_>,
    snapshot: &Snapshot,
    objects: &BTreeMap<String, WorkflowObject>,
) -> Result<Sides> {
    let files = keyed(place.project, &snapshot.files);
    let mut base = BTreeMap::new();
    for (workflow, object) in objects {
        let (Some(blob), Some(base_digest)) = (&object.synced_blob, &object.synced_digest) else { continue };
        let text = if digest(&object.manifest) == *base_digest {
            Some(object.manifest.clone())
        } else {
            match files.get(workflow) {
                // Only when both sides changed is the text needed.
                Some(file) if file.blob != *blob => place.git.blob_text(blob).await?,
                _ => None,
            }
        };
        let text = text.filter(|text| digest(text) == *base_digest);
        base.insert(workflow.clone(), Base { blob: blob.clone(), digest: base_digest.clone(), text });
    }
    Ok(Sides {
        project: place.project.to_owned(),
        base,
        git: snapshot.files.clone(),
        cluster: objects
            .iter()
            .map(|(workflow, object)| (workflow.clone(), ClusterItem { manifest: object.manifest.clone() }))
            .collect(),
        complete: snapshot.complete,
    })
}

/// Takes the workflows that have no file for ones that no place has seen yet; says whether there are any.
fn forget_absent(sides: &mut Sides) -> bool {
    if !sides.complete {
        return false;
    }
    let files = keyed(&sides.project, &sides.git);
    let absent: Vec<String> = sides.base.keys().filter(|one| !files.contains_key(*one)).cloned().collect();
    for one in &absent {
        sides.base.remove(one);
    }
    !absent.is_empty()
}

fn git_change(planned: &Planned) -> Option<GitChange> {
    let (text, base_blob) = match &planned.action {
        Action::Adopt { text, over } => (text, over.clone()),
        Action::Merge { text, over } => (text, Some(over.clone())),
        _ => return None,
    };
    Some(GitChange { path: planned.path.clone(), base_blob, text: Some(text.clone()) })
}

fn commit_message(project: &str, planned: &[Planned], objects: &BTreeMap<String, WorkflowObject>) -> String {
    let names: Vec<&str> =
        planned.iter().filter(|one| git_change(one).is_some()).map(|one| one.workflow.as_str()).collect();
    let subject = match names[..] {
        [one] => format!("Take chaos workflow {one} over from the cluster"),
        _ => format!("Take {} chaos workflows over from the cluster", names.len()),
    };
    let run = |name: &&str| objects.get(*name).and_then(|object| object.last_run.as_ref());
    // A first sync may take over thousands; a message has bounds.
    let about: Vec<_> = names.iter().take(NAMED).map(|name| (*name, run(name))).collect();
    with_trailers(&subject, project, &about)
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

/// What a sync would do now, and nothing done: what the first sync brings where a project is about to be enabled, or to
/// follow another repository, and what becomes of workflows that have no file there.
pub async fn preview(
    cluster: &Cluster,
    namespace: &str,
    project: &str,
    git: &dyn GitSide,
    absent: Absent,
) -> Result<(Snapshot, Vec<Planned>)> {
    Name::parse("project", project)?;
    let place = Place { cluster, namespace, project, git };
    let (snapshot, _) = place.snapshot(None).await?;
    let objects = workflow_object::list(cluster, namespace, project).await?;
    let mut sides = sides(&place, &snapshot, &objects).await?;
    if absent == Absent::TakeAlong {
        forget_absent(&mut sides);
    }
    let (_, planned) = plan_aside(sides, &Arc::default()).await?;
    Ok((snapshot, planned))
}
