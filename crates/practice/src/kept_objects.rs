//! The objects of the practice cluster on disk: one file, replaced whole, so that a kill leaves the old or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::api::{Server, Snapshot};
use crate::{Error, Result};

/// The greatest file that is written and read.
const LIMIT: usize = 64 * 1024 * 1024;

/// How long changes are gathered before they are written.
const GATHER: Duration = Duration::from_millis(500);

fn file(dir: &Path) -> PathBuf {
    dir.join("objects.json")
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Disk { path, source }
}

/// Whether there are kept objects.
pub fn exists(dir: &Path) -> bool {
    file(dir).is_file()
}

/// The kept objects; `None` where there are none or where they cannot be read, which sets them aside.
pub fn read(dir: &Path) -> Option<Snapshot> {
    let path = file(dir);
    let snapshot = match load(&path) {
        Ok(snapshot) => snapshot,
        Err(Error::Disk { source, .. }) if source.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the practice cluster's objects cannot be read");
            set_aside(dir);
            return None;
        }
    };
    if !snapshot.is_known() {
        tracing::warn!(path = %path.display(), "the practice cluster's objects were written by another edition");
        set_aside(dir);
        return None;
    }
    Some(snapshot)
}

fn load(path: &Path) -> Result<Snapshot> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(LIMIT).unwrap_or(u64::MAX);
    File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(failed(path))?;
    if bytes.len() > LIMIT {
        return Err(Error::TooLarge { path: path.display().to_string(), limit: LIMIT });
    }
    Ok(serde_json::from_slice(&bytes)?)
}

/// Moves the objects out of the way, where a person can look at them.
pub fn set_aside(dir: &Path) {
    let path = file(dir);
    if !path.exists() {
        return;
    }
    if let Err(error) = fs::rename(&path, dir.join("objects.unread.json")) {
        tracing::warn!(%error, path = %path.display(), "a file that cannot be read could not be set aside");
    }
}

/// Removes the objects, also those that were set aside.
pub fn remove(dir: &Path) -> Result<()> {
    for name in ["objects.json", "objects.json.part", "objects.unread.json"] {
        let path = dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// The file of one running server.
pub struct KeptObjects {
    dir: PathBuf,
    server: Server,
    /// The version on disk; `None` once nothing may be written any more. Held while writing, so that an older state
    /// never replaces a newer one.
    written: Mutex<Option<u64>>,
}

impl KeptObjects {
    /// Nothing is written yet.
    pub fn new(dir: &Path, server: Server) -> Self {
        Self { dir: dir.to_path_buf(), server, written: Mutex::new(Some(0)) }
    }

    /// Writes the state, unless it is on disk already. Blocks.
    pub fn save(&self) -> Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(version) = *written else { return Ok(()) };
        if !self.server.changed_since(version) {
            return Ok(());
        }
        let snapshot = self.server.snapshot();
        let bytes = serde_json::to_vec(&snapshot)?;
        let path = file(&self.dir);
        if bytes.len() > LIMIT {
            return Err(Error::TooLarge { path: path.display().to_string(), limit: LIMIT });
        }
        replace(&path, &bytes)?;
        *written = Some(snapshot.version());
        Ok(())
    }

    /// Nothing is written from now on.
    pub fn close(&self) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Puts a whole file in the place of another.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = path.with_extension("json.part");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || {
        let mut file = options.open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&aside, path)?;
        #[cfg(unix)]
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(failed(path))
}

/// Writes what changes, until the task is ended.
pub async fn keep(kept: Arc<KeptObjects>) {
    let mut bell = kept.server.bell();
    while bell.changed().await.is_ok() {
        tokio::time::sleep(GATHER).await;
        bell.mark_unchanged();
        let writing = kept.clone();
        match tokio::task::spawn_blocking(move || writing.save()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the practice cluster was not kept as it stands"),
            Err(_) => return,
        }
    }
}
