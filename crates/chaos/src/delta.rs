//! A sync of what changed since the last one, by what a watch shows of the cluster. It never decides more than the
//! whole sync would: whatever is not plainly one side following the other is left to that.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use kube::api::DynamicObject;
use serde_json::Value;

use crate::apply::Pass;
use crate::document::folder_of;
use crate::error::Result;
use crate::git_side::{Entry, SelectiveGit, Snapshot, Tip};
use crate::memory::{Last, Memory, Version};
use crate::plan::{Action, Planned, SyncState, key_of};
use crate::sync::{MAX_FILES, Place, SyncReport, plan_aside, sides};
use crate::workflow_object::WorkflowObject;

/// The most workflows that are looked at by themselves; beyond, everything is.
const MOST: usize = 256;

/// Syncs what changed. Says whether that was all there is to do; else the whole sync goes on with the report.
pub(crate) async fn sync(
    place: &Place<'_>,
    git: &dyn SelectiveGit,
    tip: &Tip,
    watched: &[Arc<DynamicObject>],
    memory: &Arc<Memory>,
    report: &mut SyncReport,
) -> Result<bool> {
    let here = place.git.place();
    let known = memory.take(place.namespace, place.project);
    let Some(mut last) = known.filter(|last| last.is_fresh() && last.place == here) else { return Ok(false) };
    let ours: Vec<&DynamicObject> =
        watched.iter().map(Arc::as_ref).filter(|object| text_of(object, "project") == place.project).collect();
    let mut changed = changed_objects(&last, &ours);
    if tip.folder != last.folder {
        let listing = match tip.folder {
            Some(_) => git.list(tip, &folder_of(place.project), MAX_FILES).await?,
            None => return Ok(false),
        };
        if !listing.complete {
            return Ok(false);
        }
        let now: HashMap<String, Entry> =
            listing.entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
        let differs = |(path, entry): &(&String, &Entry), other: &HashMap<String, Entry>| {
            other.get(*path).is_none_or(|there| there.blob != entry.blob || there.unreadable != entry.unreadable)
        };
        let new = now.iter().filter(|file| differs(file, &last.files));
        let gone = last.files.iter().filter(|(path, _)| !now.contains_key(*path));
        changed.extend(new.chain(gone).map(|(path, _)| key_of(place.project, path)));
        last.files = now;
        last.folder.clone_from(&tip.folder);
    }
    if !changed.is_empty() {
        let all_in_sync = last.states.values().all(|state| *state == SyncState::InSync);
        if !all_in_sync
            || changed.len() > MOST
            || !changes(place, git, tip, &ours, &changed, memory, &mut last, report).await?
        {
            return Ok(false);
        }
    }
    report.commit.clone_from(&tip.commit);
    report.states.clone_from(&last.states);
    report.due.clone_from(&last.due);
    if report.problems.is_empty() {
        memory.keep(place.namespace, place.project, last);
    }
    Ok(true)
}

/// The workflows whose objects are not the remembered versions.
fn changed_objects(last: &Last, ours: &[&DynamicObject]) -> BTreeSet<String> {
    let mut changed = BTreeSet::new();
    let mut same = 0;
    for object in ours {
        let (name, version) = (&object.metadata.name, &object.metadata.resource_version);
        let known = name.as_ref().and_then(|name| last.objects.get(name));
        match (known, version) {
            (Some(known), Some(version)) if known.version == *version => same += 1,
            _ => {
                changed.insert(text_of(object, "workflow").to_owned());
            }
        }
    }
    if same < last.objects.len() {
        let there: HashSet<&str> = ours.iter().filter_map(|object| object.metadata.name.as_deref()).collect();
        let gone = last.objects.iter().filter(|(name, _)| !there.contains(name.as_str()));
        changed.extend(gone.map(|(_, known)| known.workflow.clone()));
    }
    changed
}

fn text_of<'o>(object: &'o DynamicObject, field: &str) -> &'o str {
    object.data.get("spec").and_then(|spec| spec.get(field)).and_then(Value::as_str).unwrap_or_default()
}

/// Plans and applies the workflows that changed; says whether that was all.
#[allow(clippy::too_many_arguments, reason = "one step of `sync`, which has them all at hand")]
async fn changes(
    place: &Place<'_>,
    git: &dyn SelectiveGit,
    tip: &Tip,
    ours: &[&DynamicObject],
    changed: &BTreeSet<String>,
    memory: &Arc<Memory>,
    last: &mut Last,
    report: &mut SyncReport,
) -> Result<bool> {
    let entries: Vec<Entry> =
        last.files.values().filter(|entry| changed.contains(&key_of(place.project, &entry.path))).cloned().collect();
    let snapshot = Snapshot { commit: tip.commit.clone(), files: git.read(entries).await?, complete: true };
    let mut objects = BTreeMap::new();
    let mut mine: Vec<_> = ours.iter().filter(|object| changed.contains(text_of(object, "workflow"))).collect();
    // Where two objects claim one workflow, the older one counts.
    mine.sort_by_key(|object| (&object.metadata.creation_timestamp, &object.metadata.name));
    for object in mine {
        if let Some(read) = WorkflowObject::read(object) {
            objects.entry(read.workflow.clone()).or_insert(read);
        }
    }
    let (sides, planned) = plan_aside(sides(place, &snapshot, &objects).await?, memory).await?;
    let plain = |one: &Planned| {
        one.state == SyncState::InSync
            && matches!(
                one.action,
                Action::Nothing | Action::Create { .. } | Action::Update { .. } | Action::Record { .. }
            )
    };
    if !planned.iter().all(plain) {
        return Ok(false);
    }
    let pass = Pass { place, snapshot: &snapshot, sides: &sides, objects: &objects, arriving: false };
    let mut here = SyncReport::default();
    if place.still_on(false).await?.is_some() {
        return Ok(false);
    }
    let applied = pass.apply(&planned, &mut here).await?;
    report.writes += here.writes;
    if here.writes > 0 {
        place.still_on(true).await?;
    }
    report.done.append(&mut here.done);
    if applied.moved || !here.problems.is_empty() {
        // The whole sync comes upon the same problems.
        return Ok(false);
    }
    last.due.retain(|due| !changed.contains(&due.workflow));
    last.due.append(&mut here.due);
    last.objects.retain(|_, known| !changed.contains(&known.workflow));
    last.objects.extend(applied.versions);
    for workflow in changed {
        last.states.remove(workflow);
    }
    last.states.extend(planned.into_iter().map(|one| (one.workflow, one.state)));
    Ok(true)
}

/// What a whole sync leaves to remember.
pub(crate) fn remember(
    place: String,
    folder: Option<String>,
    files: Vec<Entry>,
    objects: HashMap<String, Version>,
    report: &SyncReport,
) -> Last {
    Last {
        place,
        folder,
        files: files.into_iter().map(|entry| (entry.path.clone(), entry)).collect(),
        objects,
        states: report.states.clone(),
        due: report.due.clone(),
        whole: std::time::Instant::now(),
    }
}
