//! Which commit each line of a file comes from.
//!
//! The library's own blame can neither be stopped nor bounded, and takes the end of a shallow clone for the first
//! commit. This one walks from the newest commit to the oldest, hands each line on to the parent that already has it,
//! and stops when it is told to.

use std::collections::{BTreeMap, BinaryHeap, HashMap};

use git2::{DiffOptions, Oid, Patch, Repository};
use serde::Serialize;

use crate::bare_clone::BareClone;
use crate::depth::roots;
use crate::error::{Error, Result};
use crate::history::{CommitInfo, Lens, MAX_WALK, WalkEnd, describe};
use crate::ids::CommitId;
use crate::repo_path::RepoPath;
use crate::tree::{FILE_LIMIT, blob_head, commit_of, find_file, load, too_large, tree_of};

/// The most lines of a file.
const MAX_LINES: usize = 50_000;
/// The most versions of the file that are compared.
const MAX_VERSIONS: usize = 5_000;

/// Some lines that follow each other and come from one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlameRange {
    /// The first line's number, from 1.
    pub first_line: u32,
    /// How many lines.
    pub lines: u32,
    /// The commit's place in [`Blame::commits`]; `None` where the walk ended before it was found.
    pub commit: Option<usize>,
}

/// Which commit each line of a file comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blame {
    /// All lines, from the first to the last.
    pub ranges: Vec<BlameRange>,
    /// The commits that the ranges name.
    pub commits: Vec<CommitInfo>,
    /// How many commits were looked at.
    pub looked_at: usize,
    /// [`WalkEnd::Full`] when every line found its commit; else why not.
    pub end: WalkEnd,
}

/// Lines that a commit has to answer for: (number in the file asked about, number in this commit's version), from 0.
type Lines = Vec<(u32, u32)>;

impl BareClone {
    /// Which commit each line of `path` in `commit` comes from; `None` when there is no such file. Renames are not
    /// followed. Files over 1 MiB or 50,000 lines are [`Error::TooLarge`]; at most `walk` commits (50,000) and 5,000
    /// versions are looked at. `stop` is asked on the way; [`Error::Cancelled`] when it says so.
    pub fn blame(
        &self,
        commit: &CommitId,
        path: &RepoPath,
        walk: usize,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Blame>> {
        let repo = self.repo()?;
        let Some(found) = find_file(&repo, &tree_of(&repo, commit)?, path)? else { return Ok(None) };
        let count = lines_in(&load(&repo, found, path, FILE_LIMIT)?.bytes);
        too_large(&format!("{path} (in lines)"), count, MAX_LINES)?;
        let mut trace = Trace::new(&repo, path, count)?;
        trace.run(commit.oid(), walk.min(MAX_WALK), stop)?;
        trace.finish().map(Some)
    }
}

struct Trace<'r, 'p> {
    repo: &'r Repository,
    path: &'p RepoPath,
    lens: Lens<'p>,
    roots: std::collections::HashSet<Oid>,
    owner: Vec<Option<Oid>>,
    waiting: HashMap<Oid, Lines>,
    queue: BinaryHeap<(i64, Oid)>,
    looked_at: usize,
    versions: usize,
    end: WalkEnd,
}

impl<'r, 'p> Trace<'r, 'p> {
    fn new(repo: &'r Repository, path: &'p RepoPath, count: usize) -> Result<Self> {
        Ok(Self {
            repo,
            path,
            lens: Lens::new(path),
            roots: roots(repo)?,
            owner: vec![None; count],
            waiting: HashMap::new(),
            queue: BinaryHeap::new(),
            looked_at: 0,
            versions: 0,
            end: WalkEnd::Full,
        })
    }

    fn run(&mut self, start: Oid, walk: usize, stop: &dyn Fn() -> bool) -> Result<()> {
        let all = (0..self.owner.len() as u32).map(|line| (line, line)).collect();
        self.hand(start, all)?;
        while let Some((_, oid)) = self.queue.pop() {
            let Some(lines) = self.waiting.remove(&oid) else { continue };
            if self.looked_at.is_multiple_of(16) && stop() {
                return Err(Error::Cancelled);
            }
            if self.looked_at >= walk || self.versions >= MAX_VERSIONS {
                self.end = WalkEnd::Bound;
                return Ok(());
            }
            self.looked_at += 1;
            self.answer(oid, lines)?;
        }
        Ok(())
    }

    /// Gives `lines` to a commit to answer for.
    fn hand(&mut self, oid: Oid, lines: Lines) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let time = commit_of(self.repo, &oid.into())?.time().seconds();
        let waiting = self.waiting.entry(oid).or_default();
        if waiting.is_empty() {
            self.queue.push((time, oid));
        }
        waiting.extend(lines);
        Ok(())
    }

    /// Hands on the lines that a parent has already; the others are this commit's own.
    fn answer(&mut self, oid: Oid, mut lines: Lines) -> Result<()> {
        if self.roots.contains(&oid) {
            self.end = WalkEnd::Shallow;
            return Ok(());
        }
        let commit = commit_of(self.repo, &oid.into())?;
        let here = self.lens.at(self.repo, commit.tree_id())?.map(|(blob, _)| blob);
        let mut parents = Vec::new();
        for parent in commit.parent_ids() {
            let tree = commit_of(self.repo, &parent.into())?.tree_id();
            if let Some((blob, _)) = self.lens.at(self.repo, tree)? {
                if Some(blob) == here {
                    return self.hand(parent, lines);
                }
                parents.push((parent, blob));
            }
        }
        let Some(here) = here else { return Ok(()) };
        for (parent, blob) in parents {
            if lines.is_empty() {
                break;
            }
            let same = self.same_lines(blob, here)?;
            let (kept, rest): (Vec<_>, Vec<_>) = lines
                .into_iter()
                .map(|(asked, line)| (asked, line, same.get(&line).copied()))
                .partition(|(_, _, there)| there.is_some());
            self.hand(parent, kept.into_iter().filter_map(|(asked, _, there)| Some((asked, there?))).collect())?;
            lines = rest.into_iter().map(|(asked, line, _)| (asked, line)).collect();
        }
        for (asked, _) in lines {
            if let Some(owner) = self.owner.get_mut(asked as usize) {
                *owner = Some(oid);
            }
        }
        Ok(())
    }

    /// Which line of `old` each unchanged line of `new` is. A version that is too large shares none.
    fn same_lines(&mut self, old: Oid, new: Oid) -> Result<HashMap<u32, u32>> {
        self.versions += 1;
        let fits = |oid| blob_head(self.repo, oid).is_some_and(|size| size <= FILE_LIMIT);
        if !fits(old) || !fits(new) {
            return Ok(HashMap::new());
        }
        let (old, new) = (self.repo.find_blob(old)?, self.repo.find_blob(new)?);
        let mut options = DiffOptions::new();
        options.context_lines(0).interhunk_lines(0).force_text(true);
        let patch = Patch::from_buffers(old.content(), None, new.content(), None, Some(&mut options))?;
        let mut same = HashMap::new();
        let (mut at_old, mut at_new) = (0, 0);
        let mut run = |at_old: u32, at_new: u32, count: u32| same.extend((0..count).map(|i| (at_new + i, at_old + i)));
        for index in 0..patch.num_hunks() {
            let (hunk, _) = patch.hunk(index)?;
            // Without lines on one side, a hunk names the line before it there.
            let new_start = hunk.new_start() - u32::from(hunk.new_lines() > 0);
            run(at_old, at_new, new_start.saturating_sub(at_new));
            let old_start = hunk.old_start() - u32::from(hunk.old_lines() > 0);
            (at_old, at_new) = (old_start + hunk.old_lines(), new_start + hunk.new_lines());
        }
        let left = u32::try_from(lines_in(new.content())).unwrap_or(u32::MAX).saturating_sub(at_new);
        run(at_old, at_new, left);
        Ok(same)
    }

    fn finish(self) -> Result<Blame> {
        let mut ranges: Vec<BlameRange> = Vec::new();
        let mut commits = Vec::new();
        let mut known = BTreeMap::new();
        for (line, owner) in self.owner.iter().enumerate() {
            let commit = match owner {
                None => None,
                Some(oid) => Some(match known.get(oid) {
                    Some(place) => *place,
                    None => {
                        commits.push(describe(&commit_of(self.repo, &(*oid).into())?));
                        known.insert(*oid, commits.len() - 1);
                        commits.len() - 1
                    }
                }),
            };
            match ranges.last_mut() {
                Some(range) if range.commit == commit => range.lines += 1,
                _ => ranges.push(BlameRange { first_line: line as u32 + 1, lines: 1, commit }),
            }
        }
        tracing::debug!(path = %self.path, commits = self.looked_at, versions = self.versions, "blamed");
        Ok(Blame { ranges, commits, looked_at: self.looked_at, end: self.end })
    }
}

/// Lines as Git counts them: the last one may lack its end.
fn lines_in(text: &[u8]) -> usize {
    let ends = text.iter().filter(|&&byte| byte == b'\n').count();
    ends + usize::from(text.last().is_some_and(|&byte| byte != b'\n'))
}
