//! Private folders for renderings, gone in the end whatever happens.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::ChartError;

/// Names the lock that says that a folder is in use, and the one held while folders are made and swept.
const LOCK: &str = "lock";

/// A folder that only the user may read. It is removed when this is dropped; one that a killed process left is removed
/// by the next [`sweep`].
#[derive(Debug)]
pub struct Workroom {
    folder: PathBuf,
    lock: Option<File>,
}

impl Workroom {
    /// Makes a folder below `root`, which is made too. Blocks.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn make(root: &Path) -> Result<Self, ChartError> {
        let failed = |error: std::io::Error| disk(root, &error);
        private(root, true).map_err(failed)?;
        let hold = locked(&root.join(LOCK)).map_err(failed)?;
        hold.lock().map_err(failed)?;
        let folder = root.join((0..12).map(|_| fastrand::alphanumeric()).collect::<String>());
        private(&folder, false).map_err(failed)?;
        let lock = locked(&folder.join(LOCK)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self { folder, lock: Some(lock) })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Writes a new file below the folder. `path` has been checked to stay there.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), ChartError> {
        let place = self.folder.join(path);
        let write = || {
            if let Some(parent) = place.parent() {
                private(parent, true)?;
            }
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(&place)?.write_all(bytes)
        };
        write().map_err(|error| disk(&place, &error))
    }
}

impl Drop for Workroom {
    fn drop(&mut self) {
        // Before the folder: some systems do not remove what is open.
        drop(self.lock.take());
        // What cannot be removed now, the next sweep tries again.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes the folders below `root` that no living process uses. Blocks.
pub fn sweep(root: &Path) {
    let Ok(folders) = fs::read_dir(root) else { return };
    // While it is held nobody is between making a folder and locking it.
    let Ok(hold) = locked(&root.join(LOCK)) else { return };
    if hold.lock().is_err() {
        return;
    }
    for folder in folders.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let folder = folder.path();
        let used = match File::open(folder.join(LOCK)).map(|lock| lock.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => true,
            // No lock: its process died on the way, or was about to remove it.
            _ => false,
        };
        if !used {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn private(folder: &Path, with_parents: bool) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(with_parents);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn locked(path: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}

fn disk(folder: &Path, why: &std::io::Error) -> ChartError {
    ChartError::Disk { folder: folder.display().to_string(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_private_and_ends_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("rendering");
        let room = Workroom::make(&root).unwrap();
        room.write(Path::new("chart/templates/a.yaml"), b"a").unwrap();
        assert!(room.write(Path::new("chart/templates/a.yaml"), b"b").is_err(), "nothing is written over");
        #[cfg(unix)]
        for path in [root.clone(), room.path().to_owned(), room.path().join("chart/templates/a.yaml")] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0, "{path:?}");
        }
        let path = room.path().to_owned();
        drop(room);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("rendering");
        let used = Workroom::make(&root).unwrap();
        let left = Workroom::make(&root).unwrap();
        let path = left.path().to_owned();
        // A process that is killed leaves the folder, and its lock goes with it.
        std::fs::create_dir_all(root.join("half")).unwrap();
        let mut left = std::mem::ManuallyDrop::new(left);
        drop(left.lock.take());
        sweep(&root);
        assert!(used.path().exists() && !path.exists() && !root.join("half").exists());
        sweep(&dir.path().join("never made"));
    }
}
