//! Bringing one tag: a chart lies in its application's repository at the tag that was built.

use git2::ObjectType;

use crate::access::Access;
use crate::bare_clone::{BareClone, check_branch};
use crate::depth::Depth;
use crate::error::{Error, Result};
use crate::ids::CommitId;

impl BareClone {
    /// The commit that the server's tag `tag` names, brought into the clone; `None` when the server has no such tag
    /// or it names no commit. A tag the server moved is followed.
    pub fn fetch_tag(&self, access: &Access, tag: &str) -> Result<Option<CommitId>> {
        // A tag's name obeys the same rules as a branch's.
        check_branch(tag)?;
        let tag = tag.to_owned();
        self.holding(access, "fetching a tag", move |this, access, pulse| {
            // Only the files at the tag are wanted.
            let shown = this.bring(access, &format!("refs/tags/{tag}"), Depth::Tip, pulse)?;
            if pulse.left() {
                return Err(Error::Cancelled);
            }
            let Some(target) = shown.target else { return Ok(None) };
            let repo = this.repo()?;
            let Ok(commit) = repo.find_object(target, None)?.peel(ObjectType::Commit) else { return Ok(None) };
            // Kept under a name, so that the objects are not swept away.
            repo.reference(&format!("refs/pilothouse/tags/{tag}"), commit.id(), true, "fetch")?;
            Ok(Some(commit.id().into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RemoteUrl, RepoPath};

    #[test]
    fn a_tag_is_brought_and_followed() {
        let dir = tempfile::tempdir().unwrap();
        let server = git2::Repository::init_bare(dir.path().join("server.git")).unwrap();
        let commit = |text: &str| {
            let blob = server.blob(text.as_bytes()).unwrap();
            let mut tree = server.treebuilder(None).unwrap();
            tree.insert("values.yaml", blob, 0o100_644).unwrap();
            let tree = server.find_tree(tree.write().unwrap()).unwrap();
            let who = git2::Signature::new("A", "a@example.org", &git2::Time::new(1, 0)).unwrap();
            server.commit(None, &who, &who, text, &tree, &[]).unwrap()
        };
        let tag = |name: &str, text: &str| {
            let object = server.find_object(commit(text), None).unwrap();
            let who = git2::Signature::new("A", "a@example.org", &git2::Time::new(1, 0)).unwrap();
            server.tag(name, &object, &who, "annotated", true).unwrap();
        };
        tag("build/1.0.0", "one");
        let url = RemoteUrl::local(server.path()).unwrap();
        let clone = BareClone::open_or_create(&dir.path().join("clone"), &url).unwrap();
        let read = || {
            let commit = clone.fetch_tag(&Access::default(), "build/1.0.0").unwrap().unwrap();
            clone.read(&commit, &RepoPath::parse("values.yaml").unwrap(), 100).unwrap().unwrap().bytes
        };
        assert_eq!(read(), b"one");
        tag("build/1.0.0", "two");
        assert_eq!(read(), b"two");
        assert_eq!(clone.fetch_tag(&Access::default(), "build/2.0.0").unwrap(), None);
    }
}
