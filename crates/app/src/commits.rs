//! Reviewing a change of one file, and publishing it.

use std::sync::Arc;

use pilothouse_git::{BlobId, ExpectedChange, Identity, PublishOutcome, PublishRequest, RemoteUrl, RepoPath};
use sha2::{Digest, Sha256};

use crate::{
    App, Result,
    contract::{ActivityKind, AppError, CommitOutcome, Diagnostic, ErrorCode, FieldProblem, Review, Topic},
    gitops::{Fetched, commit_entry},
    journal::{Begin, End, Intent},
    operations::Operation,
    values::{text_diff, text_of},
};

/// The largest file that is read or written here, in bytes.
pub(crate) const FILE_LIMIT: usize = 1024 * 1024;

/// Looks at a merged file: false makes it a conflict.
pub(crate) type Accept = Arc<dyn Fn(&RepoPath, &[u8]) -> bool + Send + Sync>;

/// A change of one file.
pub(crate) struct Change {
    pub(crate) kind: ActivityKind,
    /// For the timeline.
    pub(crate) words: String,
    /// The page about it.
    pub(crate) page: String,
    pub(crate) path: RepoPath,
    /// What the editor saw; none when there was no file.
    pub(crate) base_blob: Option<String>,
    /// The new text; none removes the file.
    pub(crate) text: Option<String>,
    pub(crate) message: String,
    pub(crate) accept: Accept,
}

impl Change {
    /// A commit needs a message.
    pub(crate) fn check_message(&self) -> Result<()> {
        check_message(&self.message)
    }
}

/// A commit needs a message.
pub(crate) fn check_message(message: &str) -> Result<()> {
    if message.trim().is_empty() {
        return Err(AppError::fields(vec![FieldProblem {
            field: "message".into(),
            message: "Say in a few words what the change is.".into(),
        }]));
    }
    Ok(())
}

/// Files that one commit puts as they are: joined with somebody else's change they would be neither's.
pub(crate) struct WholeFiles {
    pub(crate) kind: ActivityKind,
    pub(crate) changes: Vec<ExpectedChange>,
    pub(crate) message: String,
    /// For the timeline.
    pub(crate) words: String,
    /// The page about it.
    pub(crate) page: String,
}

/// The digest by which an interrupted commit is recognised later.
pub(crate) fn content_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl App {
    /// The author of commits.
    ///
    /// # Errors
    /// `app.noIdentity`.
    pub(crate) async fn author(&self) -> Result<Identity> {
        let identity = self.identity().await?.ok_or_else(|| {
            AppError::new(ErrorCode::NoIdentity, "commits need your name and e-mail address")
                .with_hint("enter them once; they are kept in the app's settings")
        })?;
        // Said before anything is written: a commit that was to be signed is not to be made without.
        self.signer().await?;
        Ok(Identity { name: identity.name, email: identity.email })
    }

    /// What a commit of `text` would change against what the editor saw.
    pub(crate) async fn review(
        &self,
        fetched: Option<Fetched>,
        path: &RepoPath,
        text: &str,
        base_blob: Option<String>,
        diagnostics: Vec<Diagnostic>,
        message: String,
    ) -> Result<Review> {
        let seen = base_blob.as_deref().map(BlobId::parse).transpose()?;
        let (mut now, mut old) = (None, None);
        let mut queued = None;
        if let Some(fetched) = &fetched {
            queued = self.outbox.text_behind(fetched.clone.url().as_str(), path.as_str(), seen.as_ref()).await?;
        }
        if let Some(fetched) = fetched {
            let at = path.clone();
            (now, old) = self
                .git(move || {
                    let now = match &fetched.tip {
                        Some(tip) => fetched.clone.read(tip, &at, FILE_LIMIT)?.map(|c| c.blob),
                        None => None,
                    };
                    let old = match &seen {
                        Some(blob) => fetched.clone.read_blob(blob, FILE_LIMIT)?,
                        None => None,
                    };
                    Ok((now, old))
                })
                .await?;
        }
        // What waits to be pushed is in no clone; the branch is no measure for whether it moved.
        let waits = queued.is_some();
        let old = match queued {
            Some(text) => text,
            None => old.map(|bytes| text_of(path, bytes)).transpose()?.unwrap_or_default(),
        };
        let author = self.identity().await?.map(|i| format!("{} <{}>", i.name, i.email));
        let moved = !waits && now.map(|blob| blob.to_string()) != base_blob;
        Ok(Review { diff: text_diff(&old, text), diagnostics, message, author, moved })
    }

    /// Commits and pushes a change, and notes it in the timeline.
    pub(crate) async fn publish(
        &self,
        url: &RemoteUrl,
        fetched: Fetched,
        change: Change,
        operation: &Operation,
    ) -> Result<CommitOutcome> {
        let identity = self.author().await?;
        change.check_message()?;
        let base_blob = change.base_blob.as_deref().map(BlobId::parse).transpose()?;
        let base_text = self.outbox.text_behind(url.as_str(), change.path.as_str(), base_blob.as_ref()).await?;
        self.send_what_waits(url, &fetched.branch, &change.path, operation).await?;
        let text = change.text.clone();
        let new = change.text.map(String::into_bytes);
        let begin = Begin {
            kind: change.kind,
            words: change.words.clone(),
            context: self.context_name(),
            object: None,
            intent: Intent::Publish {
                url: url.as_str().to_owned(),
                branch: fetched.branch.clone(),
                path: change.path.to_string(),
                content: new.as_deref().map(content_digest),
            },
        };
        let request = PublishRequest {
            changes: vec![ExpectedChange {
                path: change.path.clone(),
                base_blob,
                base_text: base_text.map(String::into_bytes),
                new,
            }],
            identity,
            message: change.message.clone(),
        };
        let access = self.access(url, self.credential(url).await?, Some(operation)).await?;
        let (clone, name, accept) = (fetched.clone.clone(), fetched.branch.clone(), change.accept);
        let id = self.journal.begin(begin).await?;
        operation.step("Committing and pushing", 1, None);
        // Once objects are on their way a push is not stopped any more, so it is followed to its end even when the
        // operation was cancelled meanwhile: the timeline must say what came of it.
        let app = self.arc()?;
        let (words, page) = (change.words, change.page);
        let follow = tokio::spawn(async move {
            let outcome = app.git(move || clone.publish_checked(&access, &name, &request, accept)).await;
            let published = |outcome: &PublishOutcome| matches!(outcome, PublishOutcome::Published { .. });
            app.note_push(fetched.clone.url(), &outcome, published).await;
            if let Ok(PublishOutcome::Published { .. }) = &outcome {
                app.forget_twins(&fetched, &change.path, text, &change.message).await;
            }
            app.published(id, words, page, fetched, change.path, outcome).await
        });
        follow.await.map_err(|e| AppError::internal(format!("the commit ended early: {e}")))?
    }

    /// Commits and pushes values files whole, and notes it in the timeline.
    pub(crate) async fn publish_whole(
        &self,
        url: &RemoteUrl,
        fetched: Fetched,
        files: WholeFiles,
        operation: &Operation,
    ) -> Result<CommitOutcome> {
        let identity = self.author().await?;
        let WholeFiles { kind, changes, message, words, page } = files;
        let request = PublishRequest { changes, identity, message };
        let access = self.access(url, self.credential(url).await?, Some(operation)).await?;
        let begin = Begin { kind, words, context: self.context_name(), object: None, intent: Intent::Other };
        let entry = self.journal.enter(begin).await?;
        operation.step("Committing and pushing", 1, None);
        // Followed to its end even when the operation is cancelled: the timeline must say what came of it.
        let app = self.arc()?;
        let follow = tokio::spawn(async move {
            let (clone, branch) = (fetched.clone.clone(), fetched.branch);
            let refuse: Accept = Arc::new(|_, _| false);
            let outcome = app.git(move || clone.publish_checked(&access, &branch, &request, refuse)).await;
            let published = |outcome: &PublishOutcome| matches!(outcome, PublishOutcome::Published { .. });
            app.note_push(fetched.clone.url(), &outcome, published).await;
            let outcome = outcome.and_then(|outcome| match outcome {
                PublishOutcome::Published { commit, replays, merged } => Ok(CommitOutcome::Published {
                    commit: commit_entry(commit),
                    replays,
                    merged,
                    blob: None,
                    text: None,
                }),
                PublishOutcome::Unchanged { .. } => Ok(CommitOutcome::Unchanged),
                PublishOutcome::Conflict { path, their_commit, .. } => Err(AppError::blocked(format!(
                    "{} changed {path} meanwhile; nothing was pushed",
                    their_commit.author_name
                ))),
            });
            let done = entry
                .close_with(outcome, |outcome| End {
                    commit: match outcome {
                        CommitOutcome::Published { commit, .. } => Some(commit.id.clone()),
                        _ => None,
                    },
                    url: Some(page),
                    ..End::default()
                })
                .await;
            app.changes.tell(Topic::Repository);
            app.changes.tell(Topic::Environments);
            done
        });
        follow.await.map_err(|e| AppError::internal(format!("the commit ended early: {e}")))?
    }

    /// Sends what waits for a remote before something new goes there, so that commits arrive in the order in which
    /// they were made. An entry that waits for a decision stops only changes of the same file on the same branch.
    pub(crate) async fn send_what_waits(
        &self,
        url: &RemoteUrl,
        branch: &str,
        path: &RepoPath,
        operation: &Operation,
    ) -> Result<()> {
        if self.outbox.of(url.as_str()).await?.is_empty() {
            return Ok(());
        }
        operation.step("Pushing what waited", 0, None);
        let flushed = self.flush(url.as_str().to_owned(), Some(operation.clone()), false).await?;
        let Some(error) = flushed.stopped.map(|stop| stop.error) else { return Ok(()) };
        if error.code.may_pass() || !self.waiting_for(url, branch, path).await?.is_empty() {
            return Err(error);
        }
        Ok(())
    }

    async fn published(
        &self,
        id: i64,
        words: String,
        page: String,
        fetched: Fetched,
        path: RepoPath,
        outcome: Result<PublishOutcome>,
    ) -> Result<CommitOutcome> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return self.journal.close_with(id, Err(error), |_: &CommitOutcome| End::default()).await,
        };
        let lossy = |bytes: Option<Vec<u8>>| bytes.map(|b| String::from_utf8_lossy(&b).into_owned());
        let (answer, end) = match outcome {
            PublishOutcome::Published { commit, replays, merged } => {
                let (clone, tip, at) = (fetched.clone, commit.id.clone(), path.clone());
                // The commit is out: a clone that cannot be read now must not make a failure of it.
                let content = self.git(move || clone.read(&tip, &at, FILE_LIMIT)).await.unwrap_or_default();
                let blob = content.as_ref().map(|c| c.blob.to_string());
                // What a merge made of it is not what the editor holds.
                let text = content.filter(|_| merged).and_then(|c| String::from_utf8(c.bytes).ok());
                let end = End { commit: Some(commit.id.to_string()), url: Some(page), ..End::default() };
                (CommitOutcome::Published { commit: commit_entry(commit), replays, merged, blob, text }, end)
            }
            PublishOutcome::Unchanged { tip } => {
                let words = Some(format!("{words}: it was there already"));
                (CommitOutcome::Unchanged, End { words, commit: tip.map(|t| t.to_string()), ..End::default() })
            }
            PublishOutcome::Conflict { path, base, ours, theirs, their_blob, their_commit } => {
                let who = &their_commit.author_name;
                let error = AppError::blocked(format!("{who} changed the same lines meanwhile; nothing was pushed"));
                // Both versions are shown whether or not the timeline can be written.
                if let Err(error) = self.journal.failed(id, &error).await {
                    tracing::warn!(%error, "the timeline could not be written");
                }
                return Ok(CommitOutcome::Conflict {
                    path: path.to_string(),
                    base: lossy(base),
                    ours: lossy(ours),
                    theirs: lossy(theirs),
                    their_blob: their_blob.map(|b| b.to_string()),
                    their_commit: Some(commit_entry(their_commit)),
                });
            }
        };
        self.note_done(id, end).await;
        self.changes.tell(Topic::Repository);
        self.changes.tell(Topic::Environments);
        Ok(answer)
    }
}
