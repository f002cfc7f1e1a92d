//! The timeline: what the app does to Git and to clusters, written before it is done and closed after.
//!
//! An entry that was begun and never closed means the app ended in the middle. On the next start it is marked
//! as interrupted, and once the place it wrote to can be asked, the entry says what was found there.

use rusqlite::{Row, params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Result,
    changes::Changes,
    contract::{ActivityEntry, ActivityKind, ActivityOutcome, ActivityPage, AppError, ErrorCode, Topic},
    storage::Storage,
};

/// What was about to be written, so that a later start can look whether it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "intent", rename_all = "camelCase")]
pub enum Intent {
    /// A file on a branch.
    Publish {
        /// The remote's address.
        url: String,
        /// The branch.
        branch: String,
        /// The file.
        path: String,
        /// SHA-256 of the new content, hexadecimal; none for a deletion.
        content: Option<String>,
    },
    /// An object in a cluster.
    Object {
        /// The API group and version, for example `tekton.dev/v1`.
        api: String,
        /// The kind.
        kind: String,
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// A deploy, whose PipelineRun is named by chance.
    Deploy {
        /// The platform's namespace.
        namespace: String,
        /// The flow.
        flow: String,
        /// The environment.
        environment: String,
        /// When, as RFC 3339.
        since: String,
    },
    /// The agent of a cluster, installed (or brought up to date) or removed. It is written in many steps: whoever goes
    /// on with it, or undoes it, settles it.
    Agent {
        /// It is removed.
        removal: bool,
    },
    /// Something that cannot be asked about afterwards.
    Other,
}

/// What is known when an entry is begun.
#[derive(Debug, Clone)]
pub struct Begin {
    /// What sort of thing.
    pub kind: ActivityKind,
    /// What, in words.
    pub words: String,
    /// The context.
    pub context: Option<String>,
    /// The object, where there is one.
    pub object: Option<String>,
    /// What is about to be written.
    pub intent: Intent,
}

/// What is known when an entry is closed.
#[derive(Debug, Clone, Default)]
pub struct End {
    /// Better words, where more is known now.
    pub words: Option<String>,
    /// The commit.
    pub commit: Option<String>,
    /// The object.
    pub object: Option<String>,
    /// A page about it.
    pub url: Option<String>,
}

/// An interrupted entry and what it was about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// The entry's number.
    pub id: i64,
    /// Its words.
    pub words: String,
    /// Its context.
    pub context: Option<String>,
    /// What was about to be written.
    pub intent: Intent,
}

/// What became of the agent since something about it was interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentSince {
    /// A later entry came to its end.
    Ended {
        /// Its words.
        words: String,
        /// It removed the agent.
        removal: bool,
    },
    /// The user gave up what was begun.
    GivenUp,
}

impl AgentSince {
    /// How an interrupted entry ended after all.
    fn of(&self, removal: bool) -> (ActivityOutcome, String) {
        let cut = "The app ended before this was finished";
        match self {
            Self::Ended { words, removal: later } if *later == removal => {
                (ActivityOutcome::Done, format!("{cut}. It was gone on with and finished: {words}."))
            }
            Self::Ended { words, .. } => {
                (ActivityOutcome::Interrupted, format!("{cut}, and it is settled since: {words}."))
            }
            Self::GivenUp => (ActivityOutcome::Interrupted, format!("{cut}, and was given up since.")),
        }
    }
}

/// The timeline.
#[derive(Clone)]
pub struct Journal {
    storage: Storage,
    changes: Changes,
}

fn word<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(s)) => s,
        _ => String::new(),
    }
}

fn unword<T: DeserializeOwned>(text: String) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(text)).ok()
}

/// Now, in UTC to the millisecond.
pub(crate) fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Millisecond).unwrap_or(now).to_string()
}

fn entry(row: &Row<'_>) -> rusqlite::Result<ActivityEntry> {
    Ok(ActivityEntry {
        id: u32::try_from(row.get::<_, i64>(0)?).unwrap_or(u32::MAX),
        time: row.get(1)?,
        kind: unword(row.get(2)?).unwrap_or(ActivityKind::Cluster),
        words: row.get(3)?,
        context: row.get(4)?,
        commit: row.get(5)?,
        object: row.get(6)?,
        url: row.get(7)?,
        outcome: unword(row.get(8)?).unwrap_or(ActivityOutcome::Failed),
        detail: row.get(9)?,
    })
}

/// An entry that was begun and will be closed. Dropped before that, as happens when its operation is cancelled, it
/// closes itself as cancelled.
#[must_use]
pub struct OpenEntry {
    journal: Journal,
    id: i64,
    closed: bool,
}

impl OpenEntry {
    /// Closes the entry by what came out of it; see [`Journal::close_with`].
    ///
    /// # Errors
    /// The outcome's own error.
    pub async fn close_with<T>(mut self, outcome: Result<T>, end: impl FnOnce(&T) -> End) -> Result<T> {
        let outcome = self.journal.close_with(self.id, outcome, end).await;
        self.closed = true;
        outcome
    }
}

impl Drop for OpenEntry {
    fn drop(&mut self) {
        // Without a runtime the app itself is ending, and the next start marks the entry.
        if self.closed {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (journal, id) = (self.journal.clone(), self.id);
            runtime.spawn(async move {
                if let Err(error) = journal.cancelled(id).await {
                    tracing::warn!(%error, "a cancelled entry could not be closed");
                }
            });
        }
    }
}

impl Journal {
    /// The timeline in `storage`; what a former run left open becomes interrupted.
    pub(crate) async fn open(storage: Storage, changes: Changes) -> Result<Journal> {
        storage
            .with("the timeline cannot be read", |c| {
                c.execute(
                    "UPDATE activity SET outcome = 'interrupted',
                            detail = 'The app ended before this was finished.'
                      WHERE outcome = 'started'",
                    [],
                )
            })
            .await?;
        Ok(Journal { storage, changes })
    }

    fn changed(&self) {
        self.changes.tell(Topic::Activity);
    }

    /// Writes an entry before the thing is done.
    ///
    /// # Errors
    /// `app.storage`; the thing must then not be done.
    pub async fn begin(&self, begin: Begin) -> Result<i64> {
        let id = self
            .storage
            .with("the timeline cannot be written", move |c| {
                let intent = serde_json::to_string(&begin.intent).unwrap_or_default();
                c.execute(
                    "INSERT INTO activity (time, kind, words, context, object, outcome, intent)
                     VALUES (?1, ?2, ?3, ?4, ?5, 'started', ?6)",
                    params![now(), word(begin.kind), begin.words, begin.context, begin.object, intent],
                )?;
                Ok(c.last_insert_rowid())
            })
            .await?;
        self.changed();
        Ok(id)
    }

    /// As [`begin`](Self::begin), for work that can be cancelled: the entry is closed however the work ends.
    ///
    /// # Errors
    /// `app.storage`; the thing must then not be done.
    pub async fn enter(&self, begin: Begin) -> Result<OpenEntry> {
        // Written by a task of its own: whoever waits for it may be dropped between the writing and the answer, and
        // the answer, which nobody then takes, closes the entry.
        let (answer, written) = tokio::sync::oneshot::channel();
        let journal = self.clone();
        tokio::spawn(async move {
            let begun = journal.begin(begin).await;
            let _ = answer.send(begun.map(|id| OpenEntry { journal, id, closed: false }));
        });
        written.await.map_err(|_| AppError::internal("the timeline's writer ended"))?
    }

    /// Closes an entry as cancelled, unless it was closed already.
    async fn cancelled(&self, id: i64) -> Result<()> {
        self.storage
            .with("the timeline cannot be written", move |c| {
                c.execute(
                    "UPDATE activity SET outcome = ?2, detail = ?3 WHERE id = ?1 AND outcome = 'started'",
                    params![id, word(ActivityOutcome::Cancelled), "It was cancelled before it was finished."],
                )
            })
            .await?;
        self.changed();
        Ok(())
    }

    /// Closes an entry as done.
    ///
    /// # Errors
    /// `app.storage`.
    pub async fn done(&self, id: i64, end: End) -> Result<()> {
        self.close(id, ActivityOutcome::Done, end, None).await
    }

    /// Closes an entry as failed, or as cancelled when that is what the error says.
    ///
    /// # Errors
    /// `app.storage`.
    pub async fn failed(&self, id: i64, error: &AppError) -> Result<()> {
        let cancelled = matches!(error.code, ErrorCode::Cancelled | ErrorCode::GitCancelled);
        let outcome = if cancelled { ActivityOutcome::Cancelled } else { ActivityOutcome::Failed };
        self.close(id, outcome, End::default(), Some(error.message.clone())).await
    }

    /// Closes an entry by what came out of it. What was done stays done when only the timeline could not be written:
    /// an error would have it done again.
    ///
    /// # Errors
    /// The outcome's own error.
    pub async fn close_with<T>(&self, id: i64, outcome: Result<T>, end: impl FnOnce(&T) -> End) -> Result<T> {
        match outcome {
            Ok(value) => {
                if let Err(e) = self.done(id, end(&value)).await {
                    tracing::warn!(error = %e, "a success could not be written to the timeline");
                }
                Ok(value)
            }
            Err(error) => {
                if let Err(e) = self.failed(id, &error).await {
                    tracing::warn!(error = %e, "a failure could not be written to the timeline");
                }
                Err(error)
            }
        }
    }

    async fn close(&self, id: i64, outcome: ActivityOutcome, end: End, detail: Option<String>) -> Result<()> {
        self.storage
            .with("the timeline cannot be written", move |c| {
                c.execute(
                    "UPDATE activity SET outcome = ?2, detail = ?3, words = COALESCE(?4, words),
                            commit_id = COALESCE(?5, commit_id), object = COALESCE(?6, object),
                            url = COALESCE(?7, url)
                      WHERE id = ?1",
                    params![id, word(outcome), detail, end.words, end.commit, end.object, end.url],
                )
            })
            .await?;
        self.changed();
        Ok(())
    }

    /// Writes an entry about something that is already done and cannot be interrupted.
    ///
    /// # Errors
    /// `app.storage`.
    pub async fn note(&self, begin: Begin, end: End) -> Result<()> {
        let id = self.begin(begin).await?;
        self.done(id, end).await
    }

    /// Interrupted entries that have not been looked into.
    ///
    /// # Errors
    /// `app.storage`.
    pub async fn interrupted(&self) -> Result<Vec<Interrupted>> {
        self.storage
            .with("the timeline cannot be read", |c| {
                let mut query = c.prepare(
                    "SELECT id, words, context, intent FROM activity
                      WHERE outcome = 'interrupted' AND intent IS NOT NULL ORDER BY id",
                )?;
                let rows = query.query_map([], |r| {
                    let intent: String = r.get(3)?;
                    Ok(Interrupted {
                        id: r.get(0)?,
                        words: r.get(1)?,
                        context: r.get(2)?,
                        intent: serde_json::from_str(&intent).unwrap_or(Intent::Other),
                    })
                })?;
                rows.collect()
            })
            .await
    }

    /// Says what was found about an interrupted entry: that it had been done, or that it had not.
    ///
    /// # Errors
    /// `app.storage`.
    pub async fn settle(&self, id: i64, found: bool) -> Result<()> {
        let (outcome, detail) = if found {
            (ActivityOutcome::Done, "The app ended before it could note this; it was found done afterwards.")
        } else {
            (ActivityOutcome::Interrupted, "The app ended before this was done; nothing of it was found afterwards.")
        };
        self.settle_as(id, outcome, detail.to_owned()).await
    }

    /// Says what became of everything about the agent of a context that was interrupted.
    ///
    /// # Errors
    /// `app.storage`.
    pub async fn settle_agent(&self, context: &str, since: &AgentSince) -> Result<()> {
        for entry in self.interrupted().await? {
            if let (Intent::Agent { removal }, true) = (&entry.intent, entry.context.as_deref() == Some(context)) {
                let (outcome, detail) = since.of(*removal);
                self.settle_as(entry.id, outcome, detail).await?;
            }
        }
        Ok(())
    }

    async fn settle_as(&self, id: i64, outcome: ActivityOutcome, detail: String) -> Result<()> {
        self.storage
            .with("the timeline cannot be written", move |c| {
                c.execute(
                    "UPDATE activity SET outcome = ?2, detail = ?3, intent = NULL WHERE id = ?1",
                    params![id, word(outcome), detail],
                )
            })
            .await?;
        self.changed();
        Ok(())
    }

    /// A page of the timeline, newest first.
    ///
    /// # Errors
    /// `app.storage`.
    pub async fn page(&self, before: Option<u32>, limit: u32) -> Result<ActivityPage> {
        let limit = limit.clamp(1, 200);
        let before = before.map_or(i64::MAX, i64::from);
        let entries: Vec<ActivityEntry> = self
            .storage
            .with("the timeline cannot be read", move |c| {
                let mut query = c.prepare(
                    "SELECT id, time, kind, words, context, commit_id, object, url, outcome, detail
                       FROM activity WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
                )?;
                let rows = query.query_map(params![before, limit], entry)?;
                rows.collect()
            })
            .await?;
        let full = entries.len() == limit as usize;
        let next_before = entries.last().filter(|_| full).map(|e| e.id);
        Ok(ActivityPage { entries, next_before })
    }
}
