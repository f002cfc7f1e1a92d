//! Sending what waits: in order, one repository at a time, until the server takes it or a person has to decide.

use std::{
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use pilothouse_chaos::WorkflowDocument;
use pilothouse_git::{
    BareClone, BlobId, CommitId, ExpectedChange, Identity, PublishOutcome, PublishRequest, RemoteUrl, RepoPath,
};

use crate::{
    App, Result,
    commits::{Accept, FILE_LIMIT, content_digest},
    contract::{
        ActivityKind, AppError, CommitEntry, CommitOutcome, ErrorCode, Notice, NoticeLevel, Topic, WaitingState,
    },
    gitops::{Fetched, commit_entry},
    journal::{Begin, End, Intent},
    kept_commits::changed_files,
    operations::Operation,
    outbox::{Entry, Kept, Why},
    values::refuse_broken,
};

/// The first pause between attempts, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// How many commits after an attempt are looked at for our own.
const LOOK_BACK: usize = 500;

/// The address an entry was kept for; a practice remote is a folder.
pub(crate) fn address(text: &str) -> Result<RemoteUrl> {
    match RemoteUrl::parse(text) {
        Ok(url) => Ok(url),
        Err(_) => Ok(RemoteUrl::local(Path::new(text))?),
    }
}

/// Refuses a text that the editor of its file would refuse.
pub(crate) fn check(kind: ActivityKind, path: &str, text: &str) -> Result<()> {
    if kind != ActivityKind::Chaos {
        return refuse_broken(text);
    }
    WorkflowDocument::accept(path.split('/').nth(1).unwrap_or_default(), path, text)?;
    Ok(())
}

/// The check of a merged file.
fn accept(kind: ActivityKind) -> Accept {
    Arc::new(move |path, bytes| std::str::from_utf8(bytes).is_ok_and(|text| check(kind, path.as_str(), text).is_ok()))
}

/// What became of one entry.
enum Sent {
    /// It is on the server.
    Gone(CommitOutcome),
    /// It stays, and so do those behind it.
    Stays(AppError, Option<CommitOutcome>),
}

/// What became of a remote's entries.
pub(crate) struct Flushed {
    /// Those that went out, by number.
    pub(crate) sent: Vec<(i64, CommitOutcome)>,
    /// The entry that did not.
    pub(crate) stopped: Option<Stop>,
}

/// An entry that did not go out.
pub(crate) struct Stop {
    pub(crate) id: i64,
    pub(crate) error: AppError,
    pub(crate) conflict: Option<CommitOutcome>,
    /// Whether it was tried just now; else it was stuck before.
    fresh: bool,
}

/// Both versions of an entry that somebody else's change is in the way of.
pub(crate) fn conflict(entry: &Entry) -> Option<CommitOutcome> {
    match &entry.why {
        Some(Why::Conflict { theirs, their_blob, their_commit }) => Some(CommitOutcome::Conflict {
            path: entry.kept.path.clone(),
            base: entry.kept.base_text.clone(),
            ours: entry.kept.text.clone(),
            theirs: theirs.clone(),
            their_blob: their_blob.clone(),
            their_commit: their_commit.clone(),
        }),
        _ => None,
    }
}

/// Whether this very commit is among those that came after the last attempt: the app may have ended, or the answer
/// been lost, between the push and its being noted. Where `since` is not in the history any more, nobody can say which
/// commits came after it, and an older one of the same words and content is no proof. Blocks.
fn landed(
    clone: &BareClone,
    tip: &CommitId,
    since: &str,
    path: &RepoPath,
    kept: &Kept,
) -> pilothouse_git::Result<Option<CommitEntry>> {
    let summary = kept.message.trim().lines().next().unwrap_or_default();
    let history = clone.history(tip, None, LOOK_BACK)?;
    let Some(after) = history.iter().position(|commit| commit.id.to_string() == since) else { return Ok(None) };
    for commit in history.into_iter().take(after) {
        let ours = commit.summary == summary
            && commit.author_name == kept.author_name
            && commit.author_email == kept.author_email;
        if !ours {
            continue;
        }
        let content = clone.read(&commit.id, path, FILE_LIMIT)?.map(|c| c.bytes);
        if content.as_deref() == kept.text.as_deref().map(str::as_bytes) {
            return Ok(Some(commit_entry(commit)));
        }
    }
    Ok(None)
}

impl App {
    pub(crate) fn told_outbox(&self) {
        self.changes.tell(Topic::Repository);
    }

    pub(crate) async fn remotes_waiting(&self) -> Result<Vec<String>> {
        let mut remotes: Vec<String> = Vec::new();
        for entry in self.outbox.all().await? {
            if !remotes.contains(&entry.kept.remote) {
                remotes.push(entry.kept.remote);
            }
        }
        Ok(remotes)
    }

    /// Sends what waits for one remote, in order, until one entry does not go out. `again` also tries what was
    /// refused before. A push that was begun is followed to its end even when the caller is gone.
    pub(crate) async fn flush(&self, remote: String, operation: Option<Operation>, again: bool) -> Result<Flushed> {
        let app = self.arc()?;
        let work = tokio::spawn(async move {
            let _turn = app.outbox.turn(&remote).await?;
            let mut flushed = Flushed { sent: Vec::new(), stopped: None };
            while let Some(entry) = app.outbox.of(&remote).await?.into_iter().next() {
                let id = entry.id;
                let stuck = match entry.state {
                    WaitingState::Conflict => true,
                    WaitingState::Refused => !again,
                    _ => false,
                };
                if stuck {
                    let error = AppError::blocked(format!(
                        "an earlier commit of {} waits for a decision of yours",
                        entry.kept.path
                    ))
                    .with_hint("settle or discard it on the repository page");
                    flushed.stopped = Some(Stop { id, error, conflict: conflict(&entry), fresh: false });
                    break;
                }
                match app.send(entry, operation.as_ref()).await? {
                    Sent::Gone(outcome) => flushed.sent.push((id, outcome)),
                    Sent::Stays(error, conflict) => {
                        flushed.stopped = Some(Stop { id, error, conflict, fresh: true });
                        break;
                    }
                }
            }
            if !flushed.sent.is_empty() {
                app.changes.tell(Topic::Environments);
                app.changes.tell(Topic::Chaos);
            }
            app.told_outbox();
            Ok(flushed)
        });
        work.await.map_err(|e| AppError::internal(format!("the push ended early: {e}")))?
    }

    /// The branch an entry is for, as the server has it now.
    pub(crate) async fn fetched_for(
        &self,
        url: &RemoteUrl,
        branch: &str,
        operation: Option<&Operation>,
    ) -> Result<Fetched> {
        if branch.is_empty() {
            return self.fetch(url, pilothouse_delivery::repository::PLATFORM_BRANCH, operation).await;
        }
        let access = self.access(url, self.credential(url).await?, operation).await?;
        let clone = self.bare_clone(url).await?;
        let (here, name) = (clone.clone(), branch.to_owned());
        let outcome = self.git(move || here.fetch(&access, &name)).await?;
        if outcome.tip.is_none() && !outcome.empty {
            return Err(AppError::new(ErrorCode::GitNoBranch, format!("{url} has no branch {branch}"))
                .with_hint("create the branch at the provider, or make the change again for another one"));
        }
        Ok(Fetched { clone, branch: branch.to_owned(), tip: outcome.tip })
    }

    /// Sends one entry. An error is one of this machine; what the server says is in the answer.
    async fn send(&self, entry: Entry, operation: Option<&Operation>) -> Result<Sent> {
        let attempt = self.attempt(&entry, operation).await;
        match attempt {
            Ok(Sent::Gone(outcome)) => {
                // Whatever fails here, the commit is out; the next attempt finds it there.
                if let Err(error) = self.outbox.remove(entry.id).await {
                    tracing::warn!(%error, "a commit that was pushed could not be taken off the list");
                    return Ok(Sent::Stays(error, None));
                }
                Ok(Sent::Gone(outcome))
            }
            Ok(Sent::Stays(error, conflict)) => Ok(Sent::Stays(error, conflict)),
            Err(error) if matches!(error.code, ErrorCode::Storage | ErrorCode::Internal) => Err(error),
            Err(error) => {
                // Without its credential an entry waits for that, and is not blamed.
                let passes = error.code.may_pass()
                    || matches!(error.code, ErrorCode::GitCancelled | ErrorCode::Keychain | ErrorCode::NoCredential);
                let state = if passes { WaitingState::Waiting } else { WaitingState::Refused };
                self.outbox.set_state(entry.id, state, Some(Why::from(&error))).await?;
                Ok(Sent::Stays(error, None))
            }
        }
    }

    async fn attempt(&self, entry: &Entry, operation: Option<&Operation>) -> Result<Sent> {
        let kept = &entry.kept;
        let url = address(&kept.remote)?;
        let path = RepoPath::parse(&kept.path)?;
        let fetched = self.fetched_for(&url, &kept.branch, operation).await?;
        if let (Some(since), Some(tip)) = (entry.attempt_tip.clone(), fetched.tip.clone()) {
            let (clone, at, kept) = (fetched.clone.clone(), path.clone(), kept.clone());
            if let Some(commit) = self.git(move || landed(&clone, &tip, &since, &at, &kept)).await? {
                return Ok(Sent::Gone(CommitOutcome::Published {
                    commit,
                    replays: 0,
                    merged: false,
                    blob: None,
                    text: None,
                }));
            }
        }
        self.signer().await?;
        let request = PublishRequest {
            changes: vec![ExpectedChange {
                path: path.clone(),
                base_blob: kept.base_blob.as_deref().map(BlobId::parse).transpose()?,
                base_text: kept.base_text.clone().map(String::into_bytes),
                new: kept.text.clone().map(String::into_bytes),
            }],
            identity: Identity { name: kept.author_name.clone(), email: kept.author_email.clone() },
            message: kept.message.clone(),
        };
        let begin = Begin {
            kind: kept.kind,
            words: format!("{} (kept since {})", kept.words, entry.time),
            context: kept.context.clone(),
            object: None,
            intent: Intent::Publish {
                url: url.as_str().to_owned(),
                branch: fetched.branch.clone(),
                path: kept.path.clone(),
                content: kept.text.as_deref().map(|text| content_digest(text.as_bytes())),
            },
        };
        let access = self.access(&url, self.credential(&url).await?, operation).await?;
        let (clone, branch, accept) = (fetched.clone.clone(), fetched.branch.clone(), accept(kept.kind));
        let activity = self.journal.begin(begin).await?;
        self.outbox.begin_attempt(entry.id, fetched.tip.as_ref().map(ToString::to_string)).await?;
        let outcome = self.git(move || clone.publish_checked(&access, &branch, &request, accept)).await;
        let published = |outcome: &PublishOutcome| matches!(outcome, PublishOutcome::Published { .. });
        self.note_push(&url, &outcome, published).await;
        let lossy = |bytes: Option<Vec<u8>>| bytes.map(|b| String::from_utf8_lossy(&b).into_owned());
        match outcome {
            Ok(PublishOutcome::Published { commit, replays, merged }) => {
                let end = End { commit: Some(commit.id.to_string()), url: Some(kept.page.clone()), ..End::default() };
                self.note_done(activity, end).await;
                self.forget_twins(&fetched, &path, kept.text.clone(), &kept.message).await;
                let commit = commit_entry(commit);
                Ok(Sent::Gone(CommitOutcome::Published { commit, replays, merged, blob: None, text: None }))
            }
            Ok(PublishOutcome::Unchanged { tip }) => {
                let words = Some(format!("{}: it was there already", kept.words));
                let end = End { words, commit: tip.map(|t| t.to_string()), ..End::default() };
                self.note_done(activity, end).await;
                Ok(Sent::Gone(CommitOutcome::Unchanged))
            }
            Ok(PublishOutcome::Conflict { theirs, their_blob, their_commit, .. }) => {
                let who = &their_commit.author_name;
                let error = AppError::blocked(format!("{who} changed the same lines meanwhile; nothing was pushed"))
                    .with_hint("look at both versions and join them");
                self.journal.failed(activity, &error).await?;
                let why = Why::Conflict {
                    theirs: lossy(theirs),
                    their_blob: their_blob.map(|b| b.to_string()),
                    their_commit: Some(commit_entry(their_commit)),
                };
                self.outbox.set_state(entry.id, WaitingState::Conflict, Some(why.clone())).await?;
                let now = Entry { why: Some(why), state: WaitingState::Conflict, ..entry.clone() };
                Ok(Sent::Stays(error, conflict(&now)))
            }
            Err(error) => {
                self.journal.failed(activity, &error).await?;
                Err(error)
            }
        }
    }

    /// Sends what waits whenever the server may be back, with pauses that grow.
    pub(crate) async fn keep_pushing(me: Weak<App>) {
        let Some(wake) = me.upgrade().map(|app| app.outbox.wake.clone()) else { return };
        let mut pause = PAUSE.0;
        loop {
            let due = {
                let Some(app) = me.upgrade().filter(|app| !app.tasks.is_closed()) else { return };
                let again = app.push_quietly().await;
                let due = again.then(|| pause.mul_f64(0.75 + fastrand::f64() / 2.0));
                let at = due.and_then(|due| jiff::Timestamp::now().checked_add(due).ok());
                app.outbox.set_next_try(at.map(|at| at.to_string()));
                if again {
                    app.told_outbox();
                }
                due
            };
            let woken = match due {
                Some(due) => tokio::time::timeout(due, wake.notified()).await.is_ok(),
                None => {
                    wake.notified().await;
                    true
                }
            };
            pause = if woken { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        }
    }

    /// One round without anybody looking; whether another may help.
    async fn push_quietly(&self) -> bool {
        let mut again = false;
        for remote in self.remotes_waiting().await.unwrap_or_default() {
            // A practice remote needs no key, any other its own; nobody is asked from the background.
            match self.flush(remote, None, false).await {
                Ok(flushed) => {
                    let stopped = flushed.stopped.as_ref().map(|stop| stop.error.code);
                    again |= stopped.is_some_and(|code| code.may_pass() || code == ErrorCode::Storage);
                    self.tell_flushed(&flushed);
                }
                Err(error) => {
                    tracing::debug!(%error, "what waits could not be pushed");
                    again = true;
                }
            }
        }
        again
    }

    fn tell_flushed(&self, flushed: &Flushed) {
        let path = Some("/repository".to_owned());
        let (count, body) = (flushed.sent.len(), String::new());
        if count > 0 {
            let title = if count == 1 {
                "A commit that waited was pushed".to_owned()
            } else {
                format!("{count} commits that waited were pushed")
            };
            self.tell_notice(Notice { level: NoticeLevel::Good, title, body, path: path.clone() });
        }
        // A network that is still away is no news, and what was stuck before has been told.
        let news = |stop: &&Stop| {
            stop.fresh && !stop.error.code.may_pass() && !matches!(stop.error.code, ErrorCode::NoCredential)
        };
        if let Some(stop) = flushed.stopped.as_ref().filter(news) {
            let title = "A commit that waited could not be pushed".to_owned();
            let body = stop.error.message.clone();
            self.tell_notice(Notice { level: NoticeLevel::Warn, title, body, path });
        }
    }

    /// Closes an entry of the timeline about something that is done, whether or not the timeline can be written.
    pub(crate) async fn note_done(&self, id: i64, end: End) {
        if let Err(error) = self.journal.done(id, end).await {
            tracing::warn!(%error, "a commit was pushed, and the timeline could not be written");
        }
    }

    /// Lets go of commits that were kept while their push was in doubt, once the same change has arrived. A line of
    /// several stays, and so does a commit that did more: both may hold what is nowhere else.
    pub(crate) async fn forget_twins(&self, fetched: &Fetched, path: &RepoPath, text: Option<String>, message: &str) {
        let (clone, branch, path) = (fetched.clone.clone(), fetched.branch.clone(), path.clone());
        let summary = message.trim().lines().next().unwrap_or_default().to_owned();
        let look = self.git(move || {
            for kept in clone.kept_commits(&branch)? {
                let [commit] = kept.commits.as_slice() else { continue };
                if kept.more || commit.summary != summary {
                    continue;
                }
                let changed = changed_files(&clone, &commit.id)?;
                let [file] = changed.as_slice() else { continue };
                let after = file.after.as_ref().map(|content| content.bytes.as_slice());
                if file.path == path && after == text.as_deref().map(str::as_bytes) {
                    clone.forget_rescue(&kept.name)?;
                }
            }
            Ok(())
        });
        if let Err(error) = look.await {
            tracing::debug!(%error, "kept commits could not be looked through");
        }
    }
}

#[cfg(test)]
mod tests {
    use pilothouse_git::FileChange;

    use super::*;

    #[test]
    fn an_older_commit_of_the_same_words_is_not_taken_for_the_one_that_waits() {
        let folder = tempfile::tempdir().unwrap();
        let url = RemoteUrl::local(&folder.path().join("remote")).unwrap();
        let clone = BareClone::open_or_create(&folder.path().join("clone"), &url).unwrap();
        let author = Identity { name: "Robin".into(), email: "robin@example.com".into() };
        let path = RepoPath::parse("shop/dev/cart-values.yaml").unwrap();
        let commit = |base: Option<&CommitId>, text: &str, message: &str| {
            let change = FileChange { path: path.clone(), content: Some(text.as_bytes().to_vec()) };
            clone.commit(base, &[change], &author, message).unwrap()
        };
        let (two, three) = ("replicaCount: 2\n", "replicaCount: 3\n");
        let first = commit(None, two, "Two replicas");
        let second = commit(Some(&first), three, "Three replicas");
        let kept = Kept {
            kind: ActivityKind::Values,
            words: "Change the cart".into(),
            page: "/environments/shop/dev/cart".into(),
            context: None,
            remote: url.as_str().into(),
            branch: "main".into(),
            path: path.to_string(),
            base_blob: None,
            base_text: Some(three.into()),
            text: Some(two.into()),
            message: "Two replicas".into(),
            author_name: author.name.clone(),
            author_email: author.email.clone(),
        };
        let seen = |tip: &CommitId, since: &CommitId| {
            landed(&clone, tip, &since.to_string(), &path, &kept).unwrap().map(|commit| commit.id)
        };
        assert_eq!(seen(&second, &second), None);
        // The attempt was made on a commit that is not in the branch any more.
        let gone = commit(Some(&second), "replicaCount: 4\n", "Four replicas");
        assert_eq!(seen(&second, &gone), None);
        let third = commit(Some(&second), two, "Two replicas");
        assert_eq!(seen(&third, &second), Some(third.to_string()));
    }
}
