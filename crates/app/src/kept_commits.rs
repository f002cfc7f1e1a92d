//! How the remote stands after a look, and the commits that a rewrite or a doubtful push left in the clone only.

use pilothouse_git::{BareClone, CommitId, EntryKind, FileContent, KeptCommits, RemoteState, RemoteUrl, RepoPath};

use crate::{
    App, Result,
    commits::{Change, FILE_LIMIT},
    contract::{
        ActivityKind, AppError, CommitOutcome, ErrorCode, RemoteCondition, RepositoryStanding, RescuedCommit,
        RescuedFile, Topic,
    },
    gitops::{Fetched, commit_entry},
    remotes::RemoteNote,
    values::{readable_values, text_diff},
};

/// The most entries of a tree that are compared for one commit.
const MAX_ENTRIES: usize = 100_000;
/// The most files of a commit that are shown.
const MAX_FILES: usize = 100;

/// The most branches that are offered.
pub(crate) const MAX_BRANCHES: usize = 50;

/// What of a state has to be told; none when all is as usual.
pub(crate) fn condition(state: &RemoteState) -> Option<RemoteCondition> {
    Some(match state {
        RemoteState::UpToDate | RemoteState::New | RemoteState::Moved { .. } => return None,
        RemoteState::Rewritten { kept } => RemoteCondition::Rewritten { kept: kept.to_string() },
        // It was never there: the repository simply uses another name.
        RemoteState::BranchDeleted { kept: None, .. } => return None,
        RemoteState::BranchDeleted { kept: Some(kept), default_branch } => {
            let kept = kept.to_string();
            RemoteCondition::BranchDeleted { kept, default_branch: default_branch.clone(), branches: Vec::new() }
        }
        RemoteState::BranchRenamed { to, .. } => RemoteCondition::BranchRenamed { to: to.clone() },
        RemoteState::DefaultBranchChanged { from, to } => {
            RemoteCondition::DefaultBranchChanged { from: from.clone(), to: to.clone() }
        }
        RemoteState::Empty => RemoteCondition::Empty,
        RemoteState::NoDefaultBranch { detached, branches } => {
            let branches = branches.iter().take(MAX_BRANCHES).cloned().collect();
            RemoteCondition::NoDefaultBranch { detached: *detached, branches }
        }
        RemoteState::Sha256Repository => RemoteCondition::Sha256,
        RemoteState::ReadOnly { words } => RemoteCondition::ReadOnly { words: words.clone() },
    })
}

/// Whether a condition is over as soon as a look does not find it any more. The others tell of something that
/// happened, and stay until somebody has read them.
pub(crate) fn passes(condition: &RemoteCondition) -> bool {
    use RemoteCondition as C;
    matches!(condition, C::Empty | C::NoDefaultBranch { .. } | C::Sha256)
}

fn text(content: Option<FileContent>) -> Option<Option<String>> {
    match content {
        None => Some(None),
        Some(content) => String::from_utf8(content.bytes).ok().map(Some),
    }
}

/// A file that a commit changed: its path, and its content before and after.
pub(crate) struct Changed {
    pub(crate) path: RepoPath,
    before: Option<FileContent>,
    pub(crate) after: Option<FileContent>,
}

/// The files that a commit changed against the one before it. Blocks.
pub(crate) fn changed_files(clone: &BareClone, commit: &CommitId) -> pilothouse_git::Result<Vec<Changed>> {
    let list = |at: &CommitId| -> pilothouse_git::Result<std::collections::BTreeMap<String, String>> {
        let entries = clone.list(at, None, MAX_ENTRIES)?.into_iter();
        let files = entries.filter(|e| matches!(e.kind, EntryKind::File | EntryKind::Executable));
        Ok(files.map(|e| (e.path, e.blob)).collect())
    };
    let after = list(commit)?;
    let parent = clone.history(commit, None, 2)?.into_iter().nth(1).map(|c| c.id);
    let before = match &parent {
        Some(parent) => list(parent)?,
        None => Default::default(),
    };
    let paths: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changed = Vec::new();
    for path in paths {
        if before.get(path) == after.get(path) {
            continue;
        }
        let Ok(path) = RepoPath::parse(path) else { continue };
        let read = |at: &CommitId| clone.read(at, &path, FILE_LIMIT);
        let was = match &parent {
            Some(parent) => read(parent)?,
            None => None,
        };
        let is = read(commit)?;
        changed.push(Changed { path, before: was, after: is });
        if changed.len() >= MAX_FILES {
            break;
        }
    }
    Ok(changed)
}

impl App {
    /// The clone of the GitOps repository as it is on disk.
    async fn local(&self) -> Result<(crate::gitops::GitOps, Fetched)> {
        let repository = self.gitops().await?;
        let fetched = self.on_disk(&repository.url).await?;
        let fetched = fetched.ok_or_else(|| AppError::not_found("the repository is not cloned yet"))?;
        Ok((repository, fetched))
    }

    /// Notes whether a server takes changes, which shows itself only at a push.
    pub(crate) async fn note_push<T>(&self, url: &RemoteUrl, outcome: &Result<T>, published: impl FnOnce(&T) -> bool) {
        let told = match outcome {
            Err(error) if error.code == ErrorCode::GitArchived => {
                let condition = RemoteCondition::ReadOnly { words: error.message.clone() };
                self.change_note(url, |note| note.found(Some(condition))).await
            }
            Ok(outcome) if published(outcome) => {
                let open_again = |note: &mut RemoteNote| {
                    if matches!(note.condition, Some(RemoteCondition::ReadOnly { .. })) {
                        (note.condition, note.since) = (None, None);
                    }
                };
                self.change_note(url, open_again).await
            }
            _ => return,
        };
        match told {
            Ok(()) => self.changes.tell(Topic::Repository),
            Err(error) => tracing::warn!(%error, "the repository's state could not be noted"),
        }
    }

    /// How the repository's branch stands, and what was kept from being lost.
    pub async fn repository_standing(&self) -> Result<RepositoryStanding> {
        let Some(repository) = self.maybe_gitops().await? else {
            return Ok(RepositoryStanding { branch: None, condition: None, since: None, rescued: Vec::new() });
        };
        let note = self.remote_note(&repository.url).await?;
        let (mut rescued, mut told) = (Vec::new(), std::collections::BTreeSet::new());
        if let Ok(Some(fetched)) = self.on_disk(&repository.url).await {
            let kept = self.git(move || fetched.clone.kept_commits(&fetched.branch)).await.unwrap_or_default();
            for rescue in kept {
                let time = jiff::Timestamp::from_second(rescue.kept_unix).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
                // Lines that were kept one after the other share commits; each is told once.
                let commits = rescue.commits.into_iter().filter(|commit| told.insert(commit.id.to_string()));
                rescued.extend(commits.take(MAX_FILES).map(|commit| RescuedCommit {
                    name: rescue.name.clone(),
                    commit: commit_entry(commit),
                    kept: time.to_string(),
                }));
            }
        }
        Ok(RepositoryStanding { branch: note.default_branch, condition: note.condition, since: note.since, rescued })
    }

    /// Puts away what is told about the repository's branch.
    pub async fn dismiss_standing(&self) -> Result<RepositoryStanding> {
        let repository = self.gitops().await?;
        self.change_note(&repository.url, |note| (note.condition, note.since) = (None, None)).await?;
        self.changes.tell(Topic::Repository);
        self.repository_standing().await
    }

    /// Works with another branch of the repository from now on.
    pub async fn use_branch(&self, branch: String) -> Result<RepositoryStanding> {
        let repository = self.gitops().await?;
        let access = self.access(&repository.url, self.credential(&repository.url).await?, None).await?;
        let clone = self.bare_clone(&repository.url).await?;
        let wanted = branch.clone();
        let outcome = self.git(move || clone.fetch(&access, &wanted)).await?;
        if outcome.tip.is_none() {
            return Err(AppError::new(ErrorCode::GitNoBranch, format!("the repository has no branch {branch}")));
        }
        let chosen = |note: &mut RemoteNote| {
            note.default_branch = Some(branch);
            (note.condition, note.since, note.error) = (None, None, None);
        };
        self.change_note(&repository.url, chosen).await?;
        self.changes.tell(Topic::Repository);
        self.changes.tell(Topic::Environments);
        self.repository_standing().await
    }

    /// What a kept commit changed.
    pub async fn rescued_change(&self, commit: String) -> Result<Vec<RescuedFile>> {
        let (_, fetched) = self.local().await?;
        let id = CommitId::parse(&commit)?;
        let changed = self.git(move || changed_files(&fetched.clone, &id)).await?;
        let diff = |change: &Changed| {
            let before = text(change.before.clone())?.unwrap_or_default();
            let after = text(change.after.clone())?.unwrap_or_default();
            Some(text_diff(&before, &after))
        };
        Ok(changed.iter().map(|c| RescuedFile { path: c.path.to_string(), diff: diff(c) }).collect())
    }

    /// Makes a kept commit's change again on the branch as it is now. Only commits of one file, which the app makes.
    pub async fn reapply_rescued(&self, name: String, commit: String, operation: String) -> Result<CommitOutcome> {
        let (repository, fetched) = self.local().await?;
        let id = CommitId::parse(&commit)?;
        let (here, at) = (fetched.clone(), id.clone());
        let (mut changed, info) =
            self.git(move || Ok((changed_files(&here.clone, &at)?, here.clone.commit_info(&at)?))).await?;
        let (Some(change), true) = (changed.pop(), changed.is_empty()) else {
            return Err(AppError::blocked("this commit changes more than one file")
                .with_hint("look at its change, and make what is missed of it again file by file"));
        };
        let new = text(change.after).ok_or_else(|| AppError::new(ErrorCode::Values, "the file is no text"))?;
        let change = Change {
            kind: ActivityKind::Repository,
            words: format!("Make the change of {} again in {}", &commit[..10.min(commit.len())], change.path),
            page: "/repository".into(),
            path: change.path,
            base_blob: change.before.map(|content| content.blob.to_string()),
            text: new,
            message: info.summary,
            accept: readable_values(),
        };
        let outcome = self
            .operations
            .run(operation, "Committing and pushing", |operation| async move {
                let now = self.fetch(&repository.url, &repository.usual_branch, Some(&operation)).await?;
                self.publish(&repository.url, now, change, &operation).await
            })
            .await?;
        // The whole line of commits stays until it is let go, but for a single one that is back.
        if !matches!(outcome, CommitOutcome::Conflict { .. }) {
            let single = self.git(move || {
                let kept = fetched.clone.kept_commits(&fetched.branch)?;
                if kept.iter().any(|k| k.name == name && k.commits.len() <= 1 && !k.more) {
                    fetched.clone.forget_rescue(&name)?;
                }
                Ok(())
            });
            if let Err(error) = single.await {
                tracing::debug!(%error, "a kept commit that is back could not be let go");
            }
            self.changes.tell(Topic::Repository);
        }
        Ok(outcome)
    }

    /// Lets kept commits go. What was let go already stays so.
    pub async fn forget_rescued(&self, name: String) -> Result<RepositoryStanding> {
        let (_, fetched) = self.local().await?;
        self.git(move || {
            let kept = fetched.clone.kept_commits(&fetched.branch)?;
            let Some(line) = kept.iter().find(|line| line.name == name) else { return Ok(()) };
            let gone: std::collections::BTreeSet<_> = line.commits.iter().map(|commit| &commit.id).collect();
            // Each commit is told once: a line that holds only what is let go here would come back unasked.
            let within = |other: &&KeptCommits| !other.more && other.commits.iter().all(|one| gone.contains(&one.id));
            for other in kept.iter().filter(|other| other.name == name || within(other)) {
                fetched.clone.forget_rescue(&other.name)?;
            }
            Ok(())
        })
        .await?;
        self.changes.tell(Topic::Repository);
        self.repository_standing().await
    }
}
