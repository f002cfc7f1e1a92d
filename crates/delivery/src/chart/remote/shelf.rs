//! Archives of charts that were fetched, kept by their digest.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::sha256;

/// The most archives that are kept.
const MOST: usize = 48;

/// A folder of archives. What is in it is looked at again each time: it is believed only as far as its digest.
#[derive(Debug, Clone)]
pub(super) struct Shelf(pub PathBuf);

impl Shelf {
    fn place(&self, digest: &str) -> Option<PathBuf> {
        let hex = digest.strip_prefix("sha256:").unwrap_or(digest).to_lowercase();
        let fine = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        fine.then(|| self.0.join(format!("{hex}.tgz")))
    }

    /// The archive with this digest. Blocks.
    pub fn get(&self, digest: &str) -> Option<Vec<u8>> {
        let place = self.place(digest)?;
        let bytes = fs::read(&place).ok()?;
        if place.file_stem().is_none_or(|name| *name != *sha256(&bytes)) {
            let _ = fs::remove_file(&place);
            return None;
        }
        Some(bytes)
    }

    /// Keeps an archive, best effort: without it the next rendering fetches it again. Blocks.
    pub fn put(&self, bytes: &[u8]) {
        let Some(place) = self.place(&sha256(bytes)).filter(|place| !place.exists()) else { return };
        if let Err(error) = self.write(&place, bytes) {
            tracing::warn!(%error, "a chart's archive is not kept");
        }
    }

    fn write(&self, place: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        folder.create(&self.0)?;
        self.tidy();
        // Whole or not at all: half an archive would have another digest, and another name.
        let half = self.0.join(format!("{:016x}.half", fastrand::u64(..)));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written =
            options.open(&half).and_then(|mut file| file.write_all(bytes)).and_then(|()| fs::rename(&half, place));
        if written.is_err() {
            let _ = fs::remove_file(&half);
        }
        written
    }

    /// Makes room for one more, and takes away what a killed process left.
    fn tidy(&self) {
        let age = |entry: &fs::DirEntry| {
            entry.metadata().and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
        };
        let mut all: Vec<(SystemTime, PathBuf)> =
            fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| (age(&entry), entry.path())).collect();
        all.sort();
        let hour = std::time::Duration::from_secs(3600);
        let old = |time: &SystemTime| time.elapsed().is_ok_and(|age| age > hour);
        let (halves, whole): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, path)| path.extension().is_some_and(|e| e == "half"));
        let surplus = (whole.len() + 1).saturating_sub(MOST);
        let gone = whole.into_iter().take(surplus).chain(halves.into_iter().filter(|(time, _)| old(time)));
        for (_, path) in gone {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_kept_by_digest_and_believed_no_further() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf(dir.path().join("charts"));
        let digest = sha256(b"one");
        assert_eq!(shelf.get(&digest), None);
        shelf.put(b"one");
        assert_eq!(shelf.get(&format!("sha256:{digest}")).as_deref(), Some(&b"one"[..]));
        fs::write(shelf.0.join(format!("{digest}.tgz")), b"other").unwrap();
        assert_eq!(shelf.get(&digest), None);
        for odd in ["", "../../etc/passwd", "sha256:", "sha512:00", &"g".repeat(64)] {
            assert_eq!(shelf.get(odd), None, "{odd}");
        }
        for number in 0..MOST + 5 {
            shelf.put(number.to_string().as_bytes());
        }
        assert_eq!(fs::read_dir(&shelf.0).unwrap().count(), MOST);
    }
}
