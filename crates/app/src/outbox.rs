//! Commits that could not go out, kept in the app's database until the server takes them.
//!
//! Each entry holds the new text of one file and the text it was made from, so that it can be laid onto whatever the
//! branch holds by then. Entries of one repository go out in the order in which they were kept.

use std::{
    collections::HashMap,
    fs::{File, TryLockError},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pilothouse_git::BlobId;
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use tokio::sync::{Notify, OwnedMutexGuard};

use crate::{
    Result,
    contract::{ActivityKind, AppError, CommitEntry, ErrorCode, WaitingState},
    journal::now,
    storage::Storage,
};

/// How many discarded entries are kept for second thoughts.
const DISCARDED: u32 = 50;

/// What is kept of a commit.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) context: Option<String>,
    /// The remote's address as Git takes it.
    pub(crate) remote: String,
    /// The branch; empty for the remote's own default.
    pub(crate) branch: String,
    pub(crate) path: String,
    pub(crate) kind: ActivityKind,
    /// For the timeline.
    pub(crate) words: String,
    /// The page about it.
    pub(crate) page: String,
    /// What the editor saw; none when there was no file.
    pub(crate) base_blob: Option<String>,
    pub(crate) base_text: Option<String>,
    /// The new text; none removes the file.
    pub(crate) text: Option<String>,
    pub(crate) message: String,
    pub(crate) author_name: String,
    pub(crate) author_email: String,
}

/// Why an entry stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "camelCase")]
pub(crate) enum Why {
    /// The last attempt failed.
    Problem { code: ErrorCode, message: String, hint: Option<String> },
    /// Somebody else changed the same lines.
    Conflict { theirs: Option<String>, their_blob: Option<String>, their_commit: Option<CommitEntry> },
}

impl From<&AppError> for Why {
    fn from(error: &AppError) -> Self {
        Why::Problem { code: error.code, message: error.message.clone(), hint: error.hint.clone() }
    }
}

/// An entry.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: i64,
    pub(crate) time: String,
    pub(crate) kept: Kept,
    pub(crate) state: WaitingState,
    pub(crate) attempts: u32,
    /// The branch's tip when a push was last begun: what came after it may be this very commit.
    pub(crate) attempt_tip: Option<String>,
    pub(crate) why: Option<Why>,
}

/// The name Git gives to a content.
pub(crate) fn blob_of(text: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", text.len()));
    hash.update(text);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn word(state: WaitingState) -> &'static str {
    match state {
        WaitingState::Waiting => "waiting",
        WaitingState::Conflict => "conflict",
        WaitingState::Refused => "refused",
        WaitingState::Discarded => "discarded",
    }
}

fn kind_word(kind: ActivityKind) -> String {
    serde_json::to_value(kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

const COLUMNS: &str = "id, time, context, remote, branch, path, kind, words, page, base_blob, base_text, text, message, \
                       author_name, author_email, state, attempts, attempt_tip, detail";

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let kind: String = row.get(6)?;
    let state: String = row.get(15)?;
    let why: Option<String> = row.get(18)?;
    Ok(Entry {
        id: row.get(0)?,
        time: row.get(1)?,
        kept: Kept {
            context: row.get(2)?,
            remote: row.get(3)?,
            branch: row.get(4)?,
            path: row.get(5)?,
            kind: serde_json::from_value(serde_json::Value::String(kind)).unwrap_or(ActivityKind::Values),
            words: row.get(7)?,
            page: row.get(8)?,
            base_blob: row.get(9)?,
            base_text: row.get(10)?,
            text: row.get(11)?,
            message: row.get(12)?,
            author_name: row.get(13)?,
            author_email: row.get(14)?,
        },
        state: match state.as_str() {
            "waiting" => WaitingState::Waiting,
            "conflict" => WaitingState::Conflict,
            "discarded" => WaitingState::Discarded,
            _ => WaitingState::Refused,
        },
        attempts: row.get(16)?,
        attempt_tip: row.get(17)?,
        why: why.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

type Turns = HashMap<String, Arc<tokio::sync::Mutex<()>>>;

/// The sole right to send to a remote, against everybody else in this process and on this data folder.
pub(crate) struct Turn {
    // The file first: whoever waits for the other right in this process finds the file free.
    _file: File,
    _here: OwnedMutexGuard<()>,
}

/// The entries.
pub(crate) struct Outbox {
    storage: Storage,
    /// Where the files lie by which processes take turns.
    dir: PathBuf,
    /// One sender at a time for each remote.
    turns: Mutex<Turns>,
    /// Something is there to be sent now.
    pub(crate) wake: Arc<Notify>,
    /// When the next attempt is due.
    next_try: Mutex<Option<String>>,
}

const UNREAD: &str = "the commits that wait cannot be read";
const UNWRITTEN: &str = "the commits that wait cannot be written";

impl Outbox {
    pub(crate) fn new(storage: Storage, dir: PathBuf) -> Self {
        Self { storage, dir, turns: Mutex::default(), wake: Arc::default(), next_try: Mutex::default() }
    }

    /// Waits for the sole right to send to a remote.
    ///
    /// # Errors
    /// `app.storage` when the file by which processes take turns cannot be used.
    pub(crate) async fn turn(&self, remote: &str) -> Result<Turn> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.entry(remote.to_owned()).or_default().clone()
        };
        let here = turn.lock_owned().await;
        let digest = blob_of(remote);
        let path = self.dir.join("turns").join(format!("{}.lock", &digest[..24]));
        let failed = move |error: std::io::Error| {
            AppError::new(ErrorCode::Storage, format!("the data folder cannot be used: {error}"))
                .with_hint("check that the data folder can be written and that the disk is not full")
        };
        let file = crate::blocking(move || {
            path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
            File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)
        })
        .await?;
        // Another process may hold it for as long as a push takes. Asking again keeps no thread waiting meanwhile.
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Turn { _file: file, _here: here }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// When the next attempt is due, as RFC 3339.
    pub(crate) fn next_try(&self) -> Option<String> {
        self.next_try.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_next_try(&self, time: Option<String>) {
        *self.next_try.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// Keeps a commit; it is on the disk when this answers.
    pub(crate) async fn keep(&self, kept: Kept) -> Result<i64> {
        self.storage
            .with(UNWRITTEN, move |c| {
                c.execute(
                    "INSERT INTO outbox (time, context, remote, branch, path, kind, words, page, base_blob, base_text,
                                         text, message, author_name, author_email, state)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 'waiting')",
                    params![
                        now(),
                        kept.context,
                        kept.remote,
                        kept.branch,
                        kept.path,
                        kind_word(kept.kind),
                        kept.words,
                        kept.page,
                        kept.base_blob,
                        kept.base_text,
                        kept.text,
                        kept.message,
                        kept.author_name,
                        kept.author_email,
                    ],
                )?;
                Ok(c.last_insert_rowid())
            })
            .await
    }

    async fn select(&self, condition: &'static str, value: Option<String>) -> Result<Vec<Entry>> {
        self.storage
            .with(UNREAD, move |c| {
                let mut query = c.prepare(&format!("SELECT {COLUMNS} FROM outbox WHERE {condition} ORDER BY id"))?;
                match value {
                    Some(value) => query.query_map([value], entry)?.collect(),
                    None => query.query_map([], entry)?.collect(),
                }
            })
            .await
    }

    /// Everything that waits, in order.
    pub(crate) async fn all(&self) -> Result<Vec<Entry>> {
        self.select("state <> 'discarded'", None).await
    }

    /// What was discarded, and is still there to be copied.
    pub(crate) async fn discarded(&self) -> Result<Vec<Entry>> {
        self.select("state = 'discarded'", None).await
    }

    /// What waits for one remote, in order.
    pub(crate) async fn of(&self, remote: &str) -> Result<Vec<Entry>> {
        self.select("state <> 'discarded' AND remote = ?1", Some(remote.to_owned())).await
    }

    /// One entry.
    pub(crate) async fn get(&self, id: i64) -> Result<Option<Entry>> {
        self.storage
            .with(UNREAD, move |c| {
                c.query_row(&format!("SELECT {COLUMNS} FROM outbox WHERE id = ?1"), [id], entry).optional()
            })
            .await
    }

    /// Notes that a push is about to begin, above `tip`.
    pub(crate) async fn begin_attempt(&self, id: i64, tip: Option<String>) -> Result<()> {
        self.storage
            .with(UNWRITTEN, move |c| {
                c.execute(
                    "UPDATE outbox SET attempts = attempts + 1, attempt_tip = ?2 WHERE id = ?1",
                    params![id, tip.unwrap_or_default()],
                )
            })
            .await?;
        Ok(())
    }

    /// Says how an entry stands.
    pub(crate) async fn set_state(&self, id: i64, state: WaitingState, why: Option<Why>) -> Result<()> {
        let why = why.and_then(|why| serde_json::to_string(&why).ok());
        self.storage
            .with(UNWRITTEN, move |c| {
                c.execute("UPDATE outbox SET state = ?2, detail = ?3 WHERE id = ?1", params![id, word(state), why])
            })
            .await?;
        Ok(())
    }

    /// Gives an entry another text and starting point, and lets it wait again.
    pub(crate) async fn replace(
        &self,
        id: i64,
        base: (Option<String>, Option<String>),
        text: String,
        message: String,
    ) -> Result<()> {
        self.storage
            .with(UNWRITTEN, move |c| {
                c.execute(
                    "UPDATE outbox SET base_blob = ?2, base_text = ?3, text = ?4, message = ?5, state = 'waiting',
                            detail = NULL, attempt_tip = NULL WHERE id = ?1",
                    params![id, base.0, base.1, text, message],
                )
            })
            .await?;
        Ok(())
    }

    /// Puts an entry away; the oldest of many are let go.
    pub(crate) async fn discard(&self, id: i64) -> Result<()> {
        self.storage
            .with(UNWRITTEN, move |c| {
                let change = c.transaction()?;
                change.execute("UPDATE outbox SET state = 'discarded' WHERE id = ?1", [id])?;
                change.execute(
                    "DELETE FROM outbox WHERE state = 'discarded' AND id NOT IN
                        (SELECT id FROM outbox WHERE state = 'discarded' ORDER BY id DESC LIMIT ?1)",
                    [DISCARDED],
                )?;
                change.commit()
            })
            .await
    }

    /// Takes an entry out: it is on the server, or let go.
    pub(crate) async fn remove(&self, id: i64) -> Result<()> {
        self.storage.with(UNWRITTEN, move |c| c.execute("DELETE FROM outbox WHERE id = ?1", [id])).await?;
        Ok(())
    }

    /// Takes out all that was kept for a remote, what was discarded too: the remote itself is gone.
    pub(crate) async fn remove_all_of(&self, remote: &str) -> Result<()> {
        let remote = remote.to_owned();
        self.storage.with(UNWRITTEN, move |c| c.execute("DELETE FROM outbox WHERE remote = ?1", [remote])).await?;
        Ok(())
    }

    /// The text behind a content id that an editor was given while it waits.
    pub(crate) async fn text_behind(&self, remote: &str, path: &str, blob: Option<&BlobId>) -> Result<Option<String>> {
        let Some(blob) = blob.map(ToString::to_string) else { return Ok(None) };
        let entries = self.of(remote).await?;
        let texts = entries.into_iter().filter(|e| e.kept.path == path).filter_map(|e| e.kept.text);
        Ok(texts.into_iter().find(|text| blob_of(text) == blob))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_have_the_names_that_git_gives_them() {
        assert_eq!(blob_of(""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(blob_of("hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
    }
}
