//! What a values file was before, who wrote each line, and when an environment ran it.

use std::collections::BTreeMap;

use pilothouse_git::{BareClone, CommitId, HistoryLimits, RepoPath, WalkEnd};

use crate::{
    App, Result,
    contract::{
        AppError, BlameEntry, RanEntry, ValuesBlame, ValuesFile, ValuesHistory, ValuesVersion, ValuesVersionEntry,
    },
    gitops::{Fetched, commit_entry},
    values::{small, text_diff, text_of},
};

/// How many versions one page has.
const PAGE: usize = 30;

/// A deploy that Argo CD remembers, with the commit of the values repository that it took.
struct Ran {
    revision: CommitId,
    entry: RanEntry,
}

/// Which version of the file each deploy ran, by the commit that made it. Blocks.
fn versions_that_ran(
    clone: &BareClone,
    path: &RepoPath,
    deploys: Vec<Ran>,
) -> pilothouse_git::Result<BTreeMap<String, Vec<RanEntry>>> {
    let mut found: BTreeMap<String, Vec<RanEntry>> = BTreeMap::new();
    for ran in deploys {
        // A commit that the clone does not have was rewritten since, or is another repository's.
        if let Ok(Some(version)) = clone.last_change(&ran.revision, path) {
            found.entry(version.id.to_string()).or_default().push(ran.entry);
        }
    }
    Ok(found)
}

impl App {
    /// What Argo CD remembers of the deploys of a values file's application, newest first.
    fn deploys_of(&self, file: &ValuesFile) -> Vec<Ran> {
        let Some(live) = self.maybe_live() else { return Vec::new() };
        let objects = self.objects(&live);
        let Some(application) = objects.application(&file.flow, &file.env, &file.app) else { return Vec::new() };
        let newest = application.history.len().saturating_sub(1);
        let ran = application.history.iter().enumerate().rev().filter_map(|(at, sync)| {
            Some(Ran {
                revision: CommitId::parse(sync.values_revision.as_deref()?).ok()?,
                entry: RanEntry { time: sync.ended.clone(), tag: sync.tag.clone(), current: at == newest },
            })
        });
        ran.collect()
    }

    async fn values_at_hand(&self, file: &ValuesFile) -> Result<(Fetched, CommitId, RepoPath)> {
        let path = file.path()?;
        let repository = self.gitops().await?;
        let fetched = match self.on_disk(&repository.url).await? {
            Some(fetched) => fetched,
            None => self.fetch(&repository.url, &repository.usual_branch, None).await?,
        };
        let tip = fetched.tip.clone().ok_or_else(|| AppError::not_found("the repository has no commits yet"))?;
        Ok((fetched, tip, path))
    }

    /// The commits that changed a values file, newest first, and when its environment ran each version.
    pub async fn values_history(&self, file: ValuesFile, after: Option<String>) -> Result<ValuesHistory> {
        let (fetched, tip, path) = self.values_at_hand(&file).await?;
        let deploys = self.deploys_of(&file);
        let (page, mut ran) = self
            .git(move || {
                let limits = HistoryLimits { page: PAGE, ..HistoryLimits::default() };
                let page = fetched.clone.history_page(&tip, Some(&path), after.as_deref(), limits, &|| false)?;
                Ok((page, versions_that_ran(&fetched.clone, &path, deploys)?))
            })
            .await?;
        let cut = match page.end {
            WalkEnd::Full | WalkEnd::Start => None,
            WalkEnd::Bound => {
                Some(format!("Of {} commits only these changed the file; older ones follow.", page.looked_at))
            }
            WalkEnd::Shallow => Some("The clone on this computer holds no older commits.".to_owned()),
        };
        let versions = page.commits.into_iter().map(|commit| ValuesVersionEntry {
            ran: ran.remove(&commit.id.to_string()).unwrap_or_default(),
            commit: commit_entry(commit),
        });
        Ok(ValuesHistory { versions: versions.collect(), next: page.next, cut })
    }

    /// A values file as a commit left it, what the commit changed, and what going back to it means.
    pub async fn values_version(&self, file: ValuesFile, commit: String) -> Result<ValuesVersion> {
        let (fetched, tip, path) = self.values_at_hand(&file).await?;
        let commit = CommitId::parse(&commit)?;
        let at = path.clone();
        let (before, then, now) = self
            .git(move || {
                let clone = &fetched.clone;
                let read = |commit: &CommitId| clone.read(commit, &at, pilothouse_values::LIMIT);
                let earlier = clone.history(&commit, Some(&at), 2)?.into_iter().find(|one| one.id != commit);
                let before = earlier.map(|one| read(&one.id)).transpose()?.flatten();
                Ok((before, read(&commit)?, read(&tip)?))
            })
            .await?;
        let text = |content: Option<pilothouse_git::FileContent>| {
            content.map(|content| text_of(&path, content.bytes)).transpose()
        };
        let (before, then, now) = (text(before)?, text(then)?, text(now)?);
        let words = |text: &Option<String>| text.clone().unwrap_or_default();
        Ok(ValuesVersion {
            change: text_diff(&words(&before), &words(&then)),
            back: text_diff(&words(&now), &words(&then)),
            text: then,
        })
    }

    /// Which commit each line of a values file on its branch comes from; nothing while there is no such file.
    pub async fn values_blame(&self, file: ValuesFile) -> Result<Option<ValuesBlame>> {
        let (fetched, tip, path) = self.values_at_hand(&file).await?;
        let walk = HistoryLimits::default().walk;
        let blame = self.git(move || fetched.clone.blame(&tip, &path, walk, &|| false)).await?;
        Ok(blame.map(|blame| ValuesBlame {
            ranges: blame
                .ranges
                .iter()
                .map(|range| BlameEntry {
                    first: range.first_line,
                    lines: range.lines,
                    commit: range.commit.map(small),
                })
                .collect(),
            commits: blame.commits.into_iter().map(commit_entry).collect(),
        }))
    }
}
