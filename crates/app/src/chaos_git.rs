//! The Git side of chaos sync: a project's folder in its repository, over a bare clone.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use pilothouse_chaos::{
    Error as ChaosError, GitSide, Result as ChaosResult,
    git_side::{Entry, GitChange, LastChange, Listing, Publication, SelectiveGit, Snapshot, Tip},
    plan::{Content, GitFile},
};
use pilothouse_git::{
    BareClone, BlobId, CommitId, CommitInfo, Credential, EntryKind, ExpectedChange, FetchOutcome, PublishOutcome,
    PublishRequest, RemoteUrl, RepoPath,
};

use crate::{
    App, Result,
    commits::FILE_LIMIT,
    contract::{ActivityKind, AppError, ErrorCode},
    gitops::Fetched,
    journal::{Begin, End, Intent},
    operations::Operation,
};

/// The most entries that a project's folder is listed with.
const MAX_ENTRIES: usize = 50_000;

/// A project's repository and branch.
pub(crate) struct ProjectGit {
    pub(crate) app: Arc<App>,
    pub(crate) url: RemoteUrl,
    /// Empty for the remote's own default.
    pub(crate) branch: String,
    pub(crate) operation: Option<Operation>,
    /// The credential to go in with, where it is not the one that is kept.
    pub(crate) credential: Option<Credential>,
}

fn chaos_error(error: AppError) -> ChaosError {
    ChaosError::Git { code: error.code.as_str().to_owned(), message: error.message }
}

/// The files of a folder. Blocks.
fn list(clone: &BareClone, tip: &CommitId, folder: &str, limit: usize) -> pilothouse_git::Result<Listing> {
    let mut found = clone.list(tip, Some(&RepoPath::parse(folder)?), MAX_ENTRIES)?;
    found.retain(|entry| pilothouse_chaos::document::is_candidate(&entry.path));
    let complete = found.len() <= limit;
    let entries = found.into_iter().take(limit).map(|entry| Entry {
        path: entry.path,
        blob: entry.blob,
        unreadable: match entry.kind {
            EntryKind::File | EntryKind::Executable => None,
            EntryKind::Symlink => Some("it is a symbolic link, which is not followed"),
            _ => Some("it is not a file"),
        },
    });
    Ok(Listing { entries: entries.collect(), complete })
}

/// Files with their texts. Blocks.
fn read(clone: &BareClone, entries: Vec<Entry>) -> pilothouse_git::Result<Vec<GitFile>> {
    let mut blobs = Vec::with_capacity(entries.len());
    let mut files = Vec::with_capacity(entries.len());
    for entry in entries {
        let why = match (entry.unreadable, BlobId::parse(&entry.blob)) {
            (None, Ok(blob)) => {
                blobs.push((files.len(), blob));
                String::new()
            }
            (None, Err(error)) => error.to_string(),
            (Some(why), _) => why.to_owned(),
        };
        files.push(GitFile { path: entry.path, blob: entry.blob, content: Content::Unreadable(why) });
    }
    let mut at = blobs.iter().map(|(at, _)| *at);
    clone.read_blobs(blobs.iter().map(|(_, blob)| blob), FILE_LIMIT, |_, outcome| {
        let content = match outcome {
            Ok(Some(bytes)) => String::from_utf8(bytes)
                .map_or_else(|_| Content::Unreadable("it is not UTF-8 text".into()), Content::Text),
            Ok(None) => Content::Unreadable("it is not a file".into()),
            Err(error) => Content::Unreadable(error.to_string()),
        };
        if let Some(file) = at.next().and_then(|at| files.get_mut(at)) {
            file.content = content;
        }
    })?;
    Ok(files)
}

impl ProjectGit {
    /// The branch's tip on the server, brought into the clone.
    pub(crate) async fn fetched(&self) -> Result<Fetched> {
        if self.branch.is_empty() {
            return self.app.fetch(&self.url, "main", self.operation.as_ref()).await;
        }
        let credential = match &self.credential {
            Some(given) => given.clone(),
            None => self.app.credential(&self.url).await?,
        };
        let access = self.app.access(&self.url, credential, self.operation.as_ref()).await?;
        let clone = self.app.bare_clone(&self.url).await?;
        let (here, branch) = (clone.clone(), self.branch.clone());
        let outcome: FetchOutcome = self.app.git(move || here.fetch(&access, &branch)).await?;
        if outcome.tip.is_none() && !outcome.empty {
            return Err(AppError::new(ErrorCode::GitNoBranch, format!("{} has no branch {}", self.url, self.branch))
                .with_hint("create the branch at the provider, or give the project another one"));
        }
        Ok(Fetched { clone, branch: self.branch.clone(), tip: outcome.tip })
    }

    async fn write(&self, changes: &[GitChange], message: &str) -> Result<Publication> {
        let mut expected = Vec::with_capacity(changes.len());
        for change in changes {
            expected.push(ExpectedChange {
                path: RepoPath::parse(&change.path)?,
                base_blob: change.base_blob.as_deref().map(BlobId::parse).transpose()?,
                base_text: None,
                new: change.text.clone().map(String::into_bytes),
            });
        }
        let fetched = self.fetched().await?;
        let request =
            PublishRequest { changes: expected, identity: self.app.author().await?, message: message.to_owned() };
        let credential = self.app.credential(&self.url).await?;
        let access = self.app.access(&self.url, credential, self.operation.as_ref()).await?;
        let summary = message.lines().next().unwrap_or_default();
        let begin = Begin {
            kind: ActivityKind::Chaos,
            words: format!("Commit to {}: {summary}", self.url),
            context: self.app.context_name(),
            object: None,
            intent: Intent::Other,
        };
        let entry = self.app.journal.enter(begin).await?;
        // Once objects are on their way a push is not stopped any more, so it is followed to its end even when whoever
        // wanted it is gone: the timeline must say what came of it.
        let app = self.app.clone();
        let follow = tokio::spawn(async move {
            // A file that both sides changed is for the planner to merge, which knows what workflows are.
            let push =
                move || fetched.clone.publish_checked(&access, &fetched.branch, &request, Arc::new(|_, _| false));
            let outcome = match app.git(push).await {
                Ok(PublishOutcome::Published { commit, .. }) => Ok(commit.id.to_string()),
                Ok(PublishOutcome::Unchanged { tip }) => Ok(tip.map(|tip| tip.to_string()).unwrap_or_default()),
                Ok(PublishOutcome::Conflict { .. }) => {
                    let moved = Err(AppError::blocked("the file changed meanwhile; the sync looks again"));
                    let _: Result<()> = entry.close_with(moved, |()| End::default()).await;
                    return Ok(Publication::Moved);
                }
                Err(error) => Err(error),
            };
            let end = |commit: &String| End { commit: Some(commit.clone()), ..End::default() };
            let commit = entry.close_with(outcome, end).await?;
            Ok(Publication::Published { commit })
        });
        follow.await.map_err(|e| AppError::internal(format!("the commit ended early: {e}")))?
    }
}

#[async_trait]
impl GitSide for ProjectGit {
    fn follows(&self, url: &str, branch: &str) -> bool {
        self.branch == branch && self.app.remote(url).is_ok_and(|url| url.as_str() == self.url.as_str())
    }

    fn place(&self) -> String {
        format!("{} {}", self.url.as_str(), self.branch)
    }

    fn selective(&self) -> Option<&dyn SelectiveGit> {
        Some(self)
    }

    async fn snapshot(&self, folder: &str, limit: usize) -> ChaosResult<Snapshot> {
        let tip = self.tip(folder).await?;
        let listing = self.list(&tip, folder, limit).await?;
        Ok(Snapshot { commit: tip.commit, files: self.read(listing.entries).await?, complete: listing.complete })
    }

    async fn blob_text(&self, blob: &str) -> ChaosResult<Option<String>> {
        let read = async {
            let clone = self.app.bare_clone(&self.url).await?;
            let blob = BlobId::parse(blob)?;
            self.app.git(move || clone.read_blob(&blob, FILE_LIMIT)).await
        };
        let bytes = read.await.map_err(chaos_error)?;
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    async fn last_change(&self, commit: &str, path: &str) -> ChaosResult<Option<LastChange>> {
        let read = async {
            let clone = self.app.bare_clone(&self.url).await?;
            let (commit, path) = (CommitId::parse(commit)?, RepoPath::parse(path)?);
            self.app.git(move || clone.last_change(&commit, &path)).await
        };
        let found = read.await.map_err(chaos_error)?;
        Ok(found.map(|info| LastChange { commit: info.id.to_string(), author: info.author_name }))
    }

    async fn last_changes(&self, commit: &str, paths: &[String]) -> ChaosResult<HashMap<String, LastChange>> {
        let look = async {
            let clone = self.app.bare_clone(&self.url).await?;
            let commit = CommitId::parse(commit)?;
            let paths = paths.iter().map(|path| RepoPath::parse(path)).collect::<pilothouse_git::Result<Vec<_>>>()?;
            self.app.git(move || clone.last_changes(&commit, &paths)).await
        };
        let found = look.await.map_err(chaos_error)?;
        let change = |info: CommitInfo| LastChange { commit: info.id.to_string(), author: info.author_name };
        Ok(found.into_iter().map(|(path, info)| (path, change(info))).collect())
    }

    async fn publish(&self, changes: &[GitChange], message: &str) -> ChaosResult<Publication> {
        self.write(changes, message).await.map_err(chaos_error)
    }
}

#[async_trait]
impl SelectiveGit for ProjectGit {
    async fn tip(&self, folder: &str) -> ChaosResult<Tip> {
        let look = async {
            let fetched = self.fetched().await?;
            let Some(tip) = fetched.tip else { return Ok(Tip::default()) };
            let folder = RepoPath::parse(folder)?;
            let (clone, at) = (fetched.clone, tip.clone());
            let folder = self.app.git(move || clone.folder_id(&at, &folder)).await?;
            Ok(Tip { commit: Some(tip.to_string()), folder })
        };
        look.await.map_err(chaos_error)
    }

    async fn list(&self, tip: &Tip, folder: &str, limit: usize) -> ChaosResult<Listing> {
        let Some(commit) = &tip.commit else { return Ok(Listing { complete: true, ..Listing::default() }) };
        let look = async {
            let clone = self.app.bare_clone(&self.url).await?;
            let (commit, folder) = (CommitId::parse(commit)?, folder.to_owned());
            self.app.git(move || list(&clone, &commit, &folder, limit)).await
        };
        look.await.map_err(chaos_error)
    }

    async fn read(&self, entries: Vec<Entry>) -> ChaosResult<Vec<GitFile>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let look = async {
            let clone = self.app.bare_clone(&self.url).await?;
            self.app.git(move || read(&clone, entries)).await
        };
        look.await.map_err(chaos_error)
    }
}
