//! The sync planner: three sides in, actions out.
//!
//! `base` is what Git and the cluster had in common when they were last equal, `git` is the tip of the branch, and
//! `cluster` is what the `ChaosWorkflow` objects hold. The planner looks at states, never at history, so deletes,
//! renames and rewritten branches are ordinary inputs. It never drops a change that no side removed, it asks before a
//! deletion in Git reaches the cluster, and where both sides are equal it plans nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::document::{self, Problem};
use crate::merge::merge;
use crate::names::digest;
use crate::verdicts::Verdicts;

/// How many parts of a plan are made side by side at most, and from how many workflows on that is worth it.
const MOST_THREADS: usize = 4;
const WORTH_THREADS: usize = 128;

/// What a file in Git holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text(String),
    /// It cannot be read as one (too large, not UTF-8, a link); why, in words.
    Unreadable(String),
}

/// A file of the project at the tip of the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitFile {
    /// Its path in the repository.
    pub path: String,
    /// Its blob.
    pub blob: String,
    /// What it holds.
    pub content: Content,
}

/// What both sides held when they were last equal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base {
    /// The blob in Git.
    pub blob: String,
    /// [`digest`] of the text.
    pub digest: String,
    /// The text, where it can still be had; without it nothing can be merged.
    pub text: Option<String>,
}

/// A workflow as the cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterItem {
    /// The manifest; empty for the placeholder of a file that was never valid.
    pub manifest: String,
}

/// The three sides. The keys are workflow names; a file that can be no workflow goes under its file name.
#[derive(Debug, Clone, Default)]
pub struct Sides {
    /// The chaos project's id.
    pub project: String,
    /// The base of each workflow that has one.
    pub base: BTreeMap<String, Base>,
    /// The files in Git.
    pub git: Vec<GitFile>,
    /// The objects in the cluster.
    pub cluster: BTreeMap<String, ClusterItem>,
    /// Whether `git` is everything; when it was cut, an absent file is not taken for a deleted one.
    pub complete: bool,
}

/// The state of a workflow, as users see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyncState {
    /// Git and the cluster hold the same.
    InSync,
    /// The cluster is ahead of Git.
    Ahead,
    /// Git is ahead of the cluster.
    Behind,
    /// Both changed and cannot be merged; a person decides.
    Conflict,
    /// The file or the object is no acceptable workflow.
    Invalid,
    /// The file is gone from Git; a person confirms or restores.
    DeletedInGit,
    /// GitOps is off for the project.
    Paused,
}

impl SyncState {
    /// The state as the CRD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "InSync",
            Self::Ahead => "Ahead",
            Self::Behind => "Behind",
            Self::Conflict => "Conflict",
            Self::Invalid => "Invalid",
            Self::DeletedInGit => "DeletedInGit",
            Self::Paused => "Paused",
        }
    }
}

/// What is to be done for one workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing: everything is where it belongs.
    Nothing,
    /// Make an object from the file.
    Create {
        /// The file's text.
        text: String,
        /// The file's blob.
        blob: String,
    },
    /// Bring the object to the file's text.
    Update {
        /// The file's text.
        text: String,
        /// The file's blob.
        blob: String,
    },
    /// Write the object's manifest into Git.
    Adopt {
        /// The manifest.
        text: String,
        /// The blob it replaces; `None` for a new file.
        over: Option<String>,
    },
    /// Both sides changed different lines: write the merged text to both.
    Merge {
        /// The merged text.
        text: String,
        /// The blob it replaces in Git.
        over: String,
    },
    /// Both sides are equal already; only the base is to be noted.
    Record {
        /// The text both hold.
        text: String,
        /// The file's blob.
        blob: String,
    },
    /// Mark as deleted in Git; nothing is removed before a person confirms.
    MarkDeleted {
        /// The workflow the file was renamed to, when there is one with the same content.
        renamed_to: Option<String>,
    },
    /// Mark as in conflict.
    Conflict,
    /// Mark as invalid; the last acceptable manifest stays.
    Invalid(Problem),
    /// Remove the placeholder of a file that was never valid and is gone.
    Drop,
}

/// One workflow's part of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The workflow's name, or the file's where it can be no workflow.
    pub workflow: String,
    /// The file's path.
    pub path: String,
    /// What is to be done.
    pub action: Action,
    /// The state once that is done.
    pub state: SyncState,
    /// The reason, for people; empty when in sync.
    pub message: String,
    /// The line the reason is about.
    pub line: Option<usize>,
}

/// Plans a sync.
pub fn plan(sides: &Sides) -> Vec<Planned> {
    plan_knowing(sides, &Verdicts::default())
}

/// As [`plan`], with the verdicts about texts that were looked at before.
pub fn plan_knowing(sides: &Sides, verdicts: &Verdicts) -> Vec<Planned> {
    let git = keyed(&sides.project, &sides.git);
    let keys: BTreeSet<&String> = git.keys().chain(sides.cluster.keys()).collect();
    let keys: Vec<&String> = keys.into_iter().collect();
    let part = |keys: &[&String]| -> Vec<Planned> {
        let one = |key: &&String| {
            let file = git.get(*key).copied();
            let one = One {
                sides,
                verdicts,
                key,
                path: file.map_or_else(|| document::path_of(&sides.project, key), |file| file.path.clone()),
                file,
                base: sides.base.get(*key),
                manifest: sides.cluster.get(*key).map(|item| item.manifest.as_str()),
            };
            one.plan()
        };
        keys.iter().filter_map(one).collect()
    };
    let mut planned = in_parts(&keys, part);
    find_renames(sides, &mut planned);
    planned
}

/// Plans parts side by side, for each workflow is planned by itself, and reading thousands of texts takes a while.
fn in_parts<'k>(keys: &[&'k String], plan: impl Fn(&[&'k String]) -> Vec<Planned> + Sync) -> Vec<Planned> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    if threads == 1 || keys.len() < WORTH_THREADS {
        return plan(keys);
    }
    let plan = &plan;
    std::thread::scope(|scope| {
        let parts = keys.chunks(keys.len().div_ceil(threads));
        let begun: Vec<_> = parts.map(|part| scope.spawn(move || plan(part))).collect();
        let ended = begun.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// The files that are workflows, or meant to be, by the keys they are known under. No file hides another: a workflow may
/// be called `a.yml`, and a misnamed file `a.yml` beside it is then known by more of its path.
pub(crate) fn keyed<'f>(project: &str, files: &'f [GitFile]) -> BTreeMap<String, &'f GitFile> {
    let (mut named, mut misnamed) = (BTreeMap::new(), Vec::new());
    for file in files.iter().filter(|file| document::is_candidate(&file.path)) {
        match document::stem_of(project, &file.path) {
            Ok(stem) => drop(named.insert(stem, file)),
            Err(_) => misnamed.push(file),
        }
    }
    for file in misnamed {
        let mut key = key_of(project, &file.path);
        if named.contains_key(&key) {
            key = file.path.clone();
        }
        named.insert(key, file);
    }
    named
}

/// The key a file is known under: its workflow's name, or the part of its path below the project's folder.
pub fn key_of(project: &str, path: &str) -> String {
    document::stem_of(project, path).unwrap_or_else(|_| {
        let folder = document::folder_of(project);
        path.strip_prefix(&folder).map_or(path, |rest| rest.trim_start_matches('/')).to_owned()
    })
}

struct One<'a> {
    sides: &'a Sides,
    verdicts: &'a Verdicts,
    key: &'a str,
    path: String,
    file: Option<&'a GitFile>,
    base: Option<&'a Base>,
    /// The object's manifest: `None` without an object, empty for a placeholder.
    manifest: Option<&'a str>,
}

impl One<'_> {
    fn plan(&self) -> Option<Planned> {
        let held = self.manifest.filter(|manifest| !manifest.is_empty());
        match (self.file, held) {
            (Some(file), None) => Some(self.taken_from_git(file)),
            (Some(file), Some(held)) => Some(self.both(file, held)),
            // The file may well be there, beyond what was read.
            (None, _) if !self.sides.complete => self.manifest.map(|_| self.not_looked_at()),
            (None, Some(held)) => Some(self.only_cluster(held)),
            (None, None) => self.manifest.map(|_| self.done(Action::Drop, SyncState::InSync, String::new())),
        }
    }

    fn done(&self, action: Action, state: SyncState, message: String) -> Planned {
        Planned { workflow: self.key.to_owned(), path: self.path.clone(), action, state, message, line: None }
    }

    fn not_looked_at(&self) -> Planned {
        let why = "its file was not looked at, as the project has more files than are read";
        self.done(Action::Nothing, SyncState::Behind, why.to_owned())
    }

    fn in_sync(&self, action: Action) -> Planned {
        self.done(action, SyncState::InSync, String::new())
    }

    fn invalid(&self, problem: Problem, prefix: &str) -> Planned {
        Planned {
            line: problem.line,
            ..self.done(Action::Invalid(problem.clone()), SyncState::Invalid, format!("{prefix}{}", problem.message))
        }
    }

    fn check(&self, text: &str) -> Result<(), Problem> {
        self.verdicts.of(&self.sides.project, &self.path, text)
    }

    fn text<'f>(&self, file: &'f GitFile) -> Result<&'f str, Problem> {
        // A path that can be no workflow says so before its content is looked at.
        document::stem_of(&self.sides.project, &file.path)?;
        match &file.content {
            Content::Text(text) => Ok(text),
            Content::Unreadable(why) => Err(Problem::error("file.unreadable", None, why.clone())),
        }
    }

    fn taken_from_git(&self, file: &GitFile) -> Planned {
        let checked = self.text(file).and_then(|text| self.check(text).map(|()| text.to_owned()));
        match checked {
            Ok(text) => {
                let blob = file.blob.clone();
                let exists = self.manifest.is_some();
                self.in_sync(if exists { Action::Update { text, blob } } else { Action::Create { text, blob } })
            }
            Err(problem) => self.invalid(problem, ""),
        }
    }

    fn both(&self, file: &GitFile, held: &str) -> Planned {
        let git_text = match self.text(file) {
            Ok(text) => text,
            Err(problem) => return self.invalid(problem, ""),
        };
        let held_digest = digest(held);
        if git_text == held {
            if let Err(problem) = self.check(held) {
                return self.invalid(problem, "");
            }
            let recorded = self.base.is_some_and(|base| base.blob == file.blob && base.digest == held_digest);
            return self.in_sync(if recorded {
                Action::Nothing
            } else {
                Action::Record { text: held.to_owned(), blob: file.blob.clone() }
            });
        }
        let Some(base) = self.base else {
            return self.conflict("Git and the cluster hold different versions, and they were never in sync");
        };
        match (base.blob != file.blob, base.digest != held_digest) {
            (true, false) => self.taken_from_git(file),
            (false, true) => match self.check(held) {
                Ok(()) => self.in_sync(Action::Adopt { text: held.to_owned(), over: Some(file.blob.clone()) }),
                Err(problem) => self.invalid(problem, "in the cluster: "),
            },
            (true, true) => self.merged(base, file, git_text, held),
            (false, false) => self.conflict("Git and the cluster differ although neither is known to have changed"),
        }
    }

    fn merged(&self, base: &Base, file: &GitFile, git_text: &str, held: &str) -> Planned {
        let Some(base_text) = base.text.as_deref() else {
            return self.conflict("both Git and the cluster changed, and their common version is gone from Git");
        };
        let Some(text) = merge(base_text, git_text, held) else {
            return self.conflict("Git and the cluster changed the same lines");
        };
        if self.check(&text).is_err() {
            return self.conflict("Git and the cluster both changed, and the merge of the two is not a valid workflow");
        }
        let blob = file.blob.clone();
        self.in_sync(if text == git_text {
            Action::Update { text, blob }
        } else if text == held {
            Action::Adopt { text, over: Some(blob) }
        } else {
            Action::Merge { text, over: blob }
        })
    }

    fn only_cluster(&self, held: &str) -> Planned {
        match self.base {
            None => {
                let checked = document::stem_of(&self.sides.project, &self.path).and_then(|_| self.check(held));
                match checked {
                    Ok(()) => self.in_sync(Action::Adopt { text: held.to_owned(), over: None }),
                    Err(problem) => self.invalid(problem, "in the cluster: "),
                }
            }
            Some(base) if base.digest == digest(held) => self.done(
                Action::MarkDeleted { renamed_to: None },
                SyncState::DeletedInGit,
                "the file is gone from Git; confirm the deletion or restore the file".to_owned(),
            ),
            Some(_) => self.conflict("deleted in Git, and edited in the cluster"),
        }
    }

    fn conflict(&self, why: &str) -> Planned {
        self.done(Action::Conflict, SyncState::Conflict, why.to_owned())
    }
}

/// A deleted file whose content, but for the name, stands in Git under another name was renamed. Looking at what stands
/// there, and not at what is being created, keeps the message the same in every later pass.
fn find_renames(sides: &Sides, planned: &mut [Planned]) {
    if !planned.iter().any(|one| matches!(one.action, Action::MarkDeleted { .. })) {
        return;
    }
    let nameless = |workflow: &str, text: &str| {
        let lines = text.lines().filter(|line| line.trim() != format!("name: {workflow}"));
        digest(&lines.collect::<Vec<_>>().join("\n"))
    };
    let present: BTreeMap<String, String> = sides
        .git
        .iter()
        .filter_map(|file| match &file.content {
            Content::Text(text) => {
                let name = document::stem_of(&sides.project, &file.path).ok()?;
                Some((nameless(&name, text), name))
            }
            Content::Unreadable(_) => None,
        })
        .collect();
    for one in planned.iter_mut() {
        let Action::MarkDeleted { renamed_to } = &mut one.action else { continue };
        let Some(item) = sides.cluster.get(&one.workflow) else { continue };
        if let Some(new_name) = present.get(&nameless(&one.workflow, &item.manifest)) {
            *renamed_to = Some(new_name.clone());
            one.message = format!("renamed to {new_name} in Git; confirm the deletion of the old name");
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "plan_history_tests.rs"]
mod history;
