//! What waits to be pushed: keeping a commit, looking at it, joining it with another, putting it away.

use pilothouse_chaos::WorkflowDocument;
use pilothouse_git::{BlobId, RemoteUrl, RepoPath};

use crate::{
    App, Result,
    commits::{Change, FILE_LIMIT, check_message},
    contract::{
        ActivityKind, AppError, CommitOutcome, PushReport, SaveWorkflow, WaitingChange, WaitingCommit, WaitingCommits,
        WaitingNote, WaitingState,
    },
    outbox::{Entry, Kept, Why, blob_of},
    sending::{Stop, address, check, conflict},
    values::{readable_values, small, text_diff},
    workflows::file_path,
};

fn view(entry: Entry) -> WaitingCommit {
    let (mut problem, mut code, mut hint) = (None, None, None);
    match entry.why {
        Some(Why::Problem { code: c, message, hint: h }) => {
            (problem, code, hint) = (Some(message), Some(c), h);
        }
        Some(Why::Conflict { their_commit, .. }) => {
            let who = their_commit.map_or_else(|| "Somebody else".to_owned(), |c| c.author);
            problem = Some(format!("{who} changed the same lines meanwhile."));
        }
        None => {}
    }
    WaitingCommit {
        id: u32::try_from(entry.id).unwrap_or(u32::MAX),
        time: entry.time,
        repository: address(&entry.kept.remote).map_or(entry.kept.remote.clone(), |url| url.display().to_owned()),
        branch: Some(entry.kept.branch).filter(|b| !b.is_empty()),
        path: entry.kept.path,
        page: entry.kept.page,
        message: entry.kept.message,
        author: format!("{} <{}>", entry.kept.author_name, entry.kept.author_email),
        state: entry.state,
        attempts: entry.attempts,
        problem,
        code,
        hint,
    }
}

impl App {
    /// Keeps a change on this machine until the server takes it.
    pub(crate) async fn keep_change(&self, url: &RemoteUrl, branch: &str, change: Change) -> Result<WaitingCommits> {
        let identity = self.author().await?;
        change.check_message()?;
        let seen = change.base_blob.as_deref().map(BlobId::parse).transpose()?;
        let remote = url.as_str();
        // The branch in use may be another one by the time the server takes the change.
        let branch = match branch {
            "" => self.remote_note(url).await?.default_branch.unwrap_or_default(),
            named => named.to_owned(),
        };
        let mut base_text = self.outbox.text_behind(remote, change.path.as_str(), seen.as_ref()).await?;
        if let (None, Some(blob)) = (&base_text, seen)
            && self.clone_dir(url).is_dir()
        {
            let clone = self.bare_clone(url).await?;
            let bytes = self.git(move || clone.read_blob(&blob, FILE_LIMIT)).await?;
            base_text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        }
        let kept = Kept {
            context: self.context_name(),
            remote: remote.to_owned(),
            branch,
            path: change.path.to_string(),
            kind: change.kind,
            words: change.words,
            page: change.page,
            base_blob: change.base_blob,
            base_text,
            text: change.text,
            message: change.message,
            author_name: identity.name,
            author_email: identity.email,
        };
        self.outbox.keep(kept).await?;
        self.outbox.wake.notify_one();
        self.told_outbox();
        self.waiting_commits().await
    }

    /// The change that a commit of a chaos workflow makes, its remote and its branch.
    pub(crate) async fn workflow_change(&self, request: SaveWorkflow) -> Result<(Change, RemoteUrl, String)> {
        let path = file_path(&request.project, &request.name)?;
        WorkflowDocument::accept(&request.project, path.as_str(), &request.text)?;
        let live = self.live()?;
        let project = self.project(&live, &request.project).await?;
        let message = self.workflow_message(&live, &project, &request.name, &request.message);
        let change = Change {
            kind: ActivityKind::Chaos,
            words: format!("Commit the chaos workflow {} of {}", request.name, request.project),
            page: format!("/chaos/{}/workflows/{}", request.project, request.name),
            path,
            base_blob: request.base_blob,
            text: Some(request.text),
            message,
            accept: readable_values(),
        };
        Ok((change, self.remote(&project.url)?, project.branch))
    }

    /// Keeps a chaos workflow's new text until the server takes it.
    pub async fn keep_workflow(&self, request: SaveWorkflow) -> Result<WaitingCommits> {
        let (change, url, branch) = self.workflow_change(request).await?;
        self.keep_change(&url, &branch, change).await
    }

    /// What waits to be pushed, and what was put away.
    pub async fn waiting_commits(&self) -> Result<WaitingCommits> {
        let entries = self.outbox.all().await?.into_iter().map(view).collect();
        let discarded = self.outbox.discarded().await?.into_iter().rev().map(view).collect();
        Ok(WaitingCommits { entries, discarded, next_try: self.outbox.next_try() })
    }

    async fn waiting(&self, id: u32) -> Result<Entry> {
        let found = self.outbox.get(i64::from(id)).await?;
        found.ok_or_else(|| AppError::not_found("this commit does not wait any more"))
    }

    /// What a waiting commit changes.
    pub async fn waiting_change(&self, id: u32) -> Result<WaitingChange> {
        let entry = self.waiting(id).await?;
        let base = entry.kept.base_text.clone().unwrap_or_default();
        let diff = text_diff(&base, entry.kept.text.as_deref().unwrap_or_default());
        Ok(WaitingChange { conflict: conflict(&entry), text: entry.kept.text.clone(), diff, commit: view(entry) })
    }

    /// Puts a waiting commit away. Its text stays until it is let go.
    pub async fn discard_waiting(&self, id: u32) -> Result<WaitingCommits> {
        let entry = self.waiting(id).await?;
        let _turn = self.outbox.turn(&entry.kept.remote).await?;
        // It may have gone out while this waited.
        if self.outbox.get(entry.id).await?.is_some() {
            self.outbox.discard(entry.id).await?;
        }
        self.told_outbox();
        self.waiting_commits().await
    }

    /// Lets a commit that was put away go for good.
    pub async fn forget_waiting(&self, id: u32) -> Result<WaitingCommits> {
        let entry = self.waiting(id).await?;
        if entry.state != WaitingState::Discarded {
            return Err(AppError::blocked("this commit still waits to be pushed").with_hint("discard it first"));
        }
        self.outbox.remove(entry.id).await?;
        self.told_outbox();
        self.waiting_commits().await
    }

    /// Joins a waiting commit with somebody else's change, and sends it.
    pub async fn settle_waiting(
        &self,
        id: u32,
        text: String,
        base_blob: Option<String>,
        message: String,
        operation: String,
    ) -> Result<CommitOutcome> {
        let remote = self.waiting(id).await?.kept.remote;
        let turn = self.outbox.turn(&remote).await?;
        // It may have been joined or put away while this waited.
        let entry = self.waiting(id).await?;
        if entry.state != WaitingState::Conflict {
            return Err(AppError::blocked("this commit does not wait for a decision any more"));
        }
        let theirs = match &entry.why {
            Some(Why::Conflict { theirs, their_blob, .. }) if *their_blob == base_blob => theirs.clone(),
            _ => return Err(AppError::blocked("the file changed again; look at both versions once more")),
        };
        check_message(&message)?;
        check(entry.kept.kind, &entry.kept.path, &text)?;
        self.outbox.replace(entry.id, (base_blob, theirs), text, message).await?;
        drop(turn);
        let flushed = self
            .operations
            .run(operation, "Committing and pushing", |operation| self.flush(remote, Some(operation), true))
            .await?;
        if let Some((_, outcome)) = flushed.sent.into_iter().find(|(sent, _)| *sent == entry.id) {
            return Ok(outcome);
        }
        match flushed.stopped {
            Some(Stop { id, conflict: Some(conflict), .. }) if id == entry.id => Ok(conflict),
            Some(stop) => Err(stop.error),
            None => Err(AppError::not_found("this commit does not wait any more")),
        }
    }

    /// Sends what waits, now.
    pub async fn push_waiting(&self, operation: String) -> Result<PushReport> {
        self.operations
            .run(operation, "Pushing what waits", |operation| async move {
                let (mut sent, mut stopped) = (0, None);
                for remote in self.remotes_waiting().await? {
                    let flushed = self.flush(remote, Some(operation.clone()), true).await?;
                    sent += flushed.sent.len();
                    stopped = stopped.or(flushed.stopped.map(|stop| stop.error.message));
                }
                self.outbox.wake.notify_one();
                Ok(PushReport { sent: small(sent), waiting: self.waiting_commits().await?, stopped })
            })
            .await
    }

    /// What waits for one file on one branch, in order. An entry that names no branch is for the one in use.
    pub(crate) async fn waiting_for(&self, url: &RemoteUrl, branch: &str, path: &RepoPath) -> Result<Vec<Entry>> {
        let mut entries = self.outbox.of(url.as_str()).await?;
        entries.retain(|e| e.kept.path == path.as_str());
        if !entries.is_empty() {
            let in_use = self.remote_note(url).await?.default_branch;
            let named = |branch: &str| Some(branch.to_owned()).filter(|b| !b.is_empty()).or_else(|| in_use.clone());
            let wanted = named(branch);
            entries.retain(|e| named(&e.kept.branch) == wanted);
        }
        Ok(entries)
    }

    /// The text that an editor is shown while commits of the file on this branch wait: the newest of them.
    pub(crate) async fn waiting_text(
        &self,
        url: &RemoteUrl,
        branch: &str,
        path: &RepoPath,
    ) -> Result<Option<WaitingText>> {
        let mine = self.waiting_for(url, branch, path).await?;
        let (Some(first), Some(last)) = (mine.first(), mine.last()) else { return Ok(None) };
        let Some(text) = last.kept.text.clone() else { return Ok(None) };
        Ok(Some(WaitingText {
            blob: blob_of(&text),
            note: WaitingNote { count: small(mine.len()), time: last.time.clone(), state: first.state },
            text,
        }))
    }
}

/// A text that waits to be pushed.
pub(crate) struct WaitingText {
    pub(crate) text: String,
    pub(crate) blob: String,
    pub(crate) note: WaitingNote,
}
