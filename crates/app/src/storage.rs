//! The app's own data: one SQLite file in WAL mode, so that what was written survives a kill.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::{
    Result,
    contract::{AppError, ErrorCode},
};

/// The layout; each step brings the file from the version before. Steps are never changed, only added.
const STEPS: &[&str] = &[
    "
    CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE activity (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time TEXT NOT NULL,
        kind TEXT NOT NULL,
        words TEXT NOT NULL,
        context TEXT,
        commit_id TEXT,
        object TEXT,
        url TEXT,
        outcome TEXT NOT NULL,
        detail TEXT,
        intent TEXT
    );
    CREATE INDEX activity_open ON activity (outcome) WHERE outcome IN ('started', 'interrupted');
",
    "
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time TEXT NOT NULL,
        context TEXT,
        remote TEXT NOT NULL,
        branch TEXT NOT NULL,
        path TEXT NOT NULL,
        kind TEXT NOT NULL,
        words TEXT NOT NULL,
        page TEXT NOT NULL,
        base_blob TEXT,
        base_text TEXT,
        text TEXT,
        message TEXT NOT NULL,
        author_name TEXT NOT NULL,
        author_email TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        attempt_tip TEXT,
        detail TEXT
    );
",
];

/// The open database.
#[derive(Clone)]
pub(crate) struct Storage {
    connection: Arc<Mutex<Connection>>,
}

fn failed(what: &str, e: &rusqlite::Error) -> AppError {
    AppError::new(ErrorCode::Storage, format!("{what}: {e}"))
        .with_hint("check that the data folder can be written and that the disk is not full")
}

/// What came of opening the file.
enum Opened {
    Ready(Connection),
    /// Its layout is one that this version does not know.
    Newer,
}

/// How many of the steps a file has seen.
fn version_of(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |r| r.get(0))?;
    Ok(usize::try_from(version).unwrap_or(0))
}

impl Storage {
    /// Opens or makes the file. Blocks.
    pub(crate) fn open(file: &Path) -> Result<Storage> {
        let what = format!("the app's database {} cannot be opened", file.display());
        let prepare = || -> std::result::Result<Opened, rusqlite::Error> {
            let mut connection = Connection::open(file)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            // Before anything is written: a file of a newer version is left as it is.
            if version_of(&connection)? > STEPS.len() {
                return Ok(Opened::Newer);
            }
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            // Two apps may start at once; the second finds what the first has done.
            let steps = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let version = version_of(&steps)?;
            if version > STEPS.len() {
                return Ok(Opened::Newer);
            }
            for step in STEPS.iter().skip(version) {
                steps.execute_batch(step)?;
            }
            steps.pragma_update(None, "user_version", STEPS.len() as i64)?;
            steps.commit()?;
            Ok(Opened::Ready(connection))
        };
        match prepare().map_err(|e| failed(&what, &e))? {
            Opened::Ready(connection) => Ok(Storage { connection: Arc::new(Mutex::new(connection)) }),
            Opened::Newer => Err(AppError::new(
                ErrorCode::Storage,
                format!("{} was written by a newer version of Pilothouse; it was left as it is", file.display()),
            )
            .with_hint("start that version again, or give this one another folder in PILOTHOUSE_DATA")),
        }
    }

    /// Runs `work` on a thread that may wait.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = self.connection.clone();
        crate::blocking(move || {
            // A panic while the lock was held cannot have left a transaction open: its guard rolls back.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection).map_err(|e| failed(what, &e))
        })
        .await
    }

    /// A setting's value.
    pub(crate) async fn setting(&self, key: &str) -> Result<Option<String>> {
        let key = key.to_owned();
        self.with("a setting cannot be read", move |c| {
            c.query_row("SELECT value FROM settings WHERE key = ?1", [key], |r| r.get(0)).optional()
        })
        .await
    }

    /// Makes a setting's new value of its old one, with nobody else's change in between.
    pub(crate) async fn change_setting<T: Send + 'static>(
        &self,
        key: &str,
        change: impl FnOnce(Option<String>) -> (String, T) + Send + 'static,
    ) -> Result<T> {
        let key = key.to_owned();
        self.with("a setting cannot be written", move |c| {
            let step = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let old: Option<String> =
                step.query_row("SELECT value FROM settings WHERE key = ?1", [&key], |r| r.get(0)).optional()?;
            let (new, answer) = change(old.clone());
            if old.as_ref() != Some(&new) {
                step.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)", params![key, new])?;
            }
            step.commit()?;
            Ok(answer)
        })
        .await
    }

    /// Replaces all settings whose keys begin so by these.
    pub(crate) async fn replace_settings(&self, begin: &'static str, entries: Vec<(String, String)>) -> Result<()> {
        self.with("settings cannot be written", move |c| {
            let step = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
            step.execute("DELETE FROM settings WHERE substr(key, 1, length(?1)) = ?1", [begin])?;
            for (key, value) in entries {
                step.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)", params![key, value])?;
            }
            step.commit()
        })
        .await
    }

    /// Sets a setting, or removes it.
    pub(crate) async fn set_setting(&self, key: &str, value: Option<String>) -> Result<()> {
        let key = key.to_owned();
        self.with("a setting cannot be written", move |c| {
            match value {
                Some(value) => c.execute(
                    "INSERT INTO settings (key, value) VALUES (?1, ?2)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    params![key, value],
                )?,
                None => c.execute("DELETE FROM settings WHERE key = ?1", [key])?,
            };
            Ok(())
        })
        .await
    }
}
