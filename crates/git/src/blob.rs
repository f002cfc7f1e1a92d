//! Content by its hash: what an editor or a sync started from, whatever became of the file since.

use git2::{ObjectType, Odb};

use crate::bare_clone::BareClone;
use crate::error::{Error, Result};
use crate::ids::BlobId;

impl BareClone {
    /// The content `blob` of at most `limit` bytes; `None` when the clone does not hold it, or it is no file's content.
    pub fn read_blob(&self, blob: &BlobId, limit: usize) -> Result<Option<Vec<u8>>> {
        read_one(&self.repo()?.odb()?, blob, limit)
    }

    /// As [`BareClone::read_blob`] for each of many, opening the clone once. `take` gets each answer in turn.
    pub fn read_blobs<'b>(
        &self,
        blobs: impl IntoIterator<Item = &'b BlobId>,
        limit: usize,
        mut take: impl FnMut(&'b BlobId, Result<Option<Vec<u8>>>),
    ) -> Result<()> {
        let repo = self.repo()?;
        let odb = repo.odb()?;
        for blob in blobs {
            take(blob, read_one(&odb, blob, limit));
        }
        Ok(())
    }
}

fn read_one(odb: &Odb<'_>, blob: &BlobId, limit: usize) -> Result<Option<Vec<u8>>> {
    let (size, kind) = match odb.read_header(blob.oid()) {
        Ok(found) => found,
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if kind != ObjectType::Blob {
        return Ok(None);
    }
    if size > limit {
        return Err(Error::TooLarge { what: blob.to_string(), size: size as u64, limit: limit as u64 });
    }
    Ok(Some(odb.read(blob.oid())?.data().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileChange, Identity, RemoteUrl, RepoPath};

    #[test]
    fn content_is_found_by_its_hash_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let url = RemoteUrl::local(&dir.path().join("nowhere")).unwrap();
        let clone = BareClone::open_or_create(&dir.path().join("clone"), &url).unwrap();
        let path = RepoPath::parse("a.yaml").unwrap();
        let change = FileChange { path: path.clone(), content: Some(b"one: 1\n".to_vec()) };
        let who = Identity { name: "A".into(), email: "a@example.org".into() };
        let commit = clone.commit(None, &[change], &who, "add").unwrap();
        let blob = clone.read(&commit, &path, 100).unwrap().unwrap().blob;
        assert_eq!(clone.read_blob(&blob, 100).unwrap().as_deref(), Some(b"one: 1\n".as_slice()));
        assert!(matches!(clone.read_blob(&blob, 3), Err(Error::TooLarge { .. })));
        let unknown = BlobId::parse(&format!("{}1", "0".repeat(39))).unwrap();
        assert_eq!(clone.read_blob(&unknown, 100).unwrap(), None);
        let commit = BlobId::parse(&commit.to_string()).unwrap();
        assert_eq!(clone.read_blob(&commit, 100).unwrap(), None);
        let mut found = Vec::new();
        clone.read_blobs([&unknown, &blob, &commit], 100, |_, read| found.push(read.unwrap())).unwrap();
        assert_eq!(found, [None, Some(b"one: 1\n".to_vec()), None]);
    }
}
