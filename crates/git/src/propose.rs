//! Where a branch may not be pushed to: a branch of our own, and the provider's page to ask for it to be merged.

use std::sync::Arc;

use sha1::{Digest, Sha1};
use url::Url;

use crate::access::Access;
use crate::bare_clone::{BareClone, check_branch};
use crate::error::{Error, Result};
use crate::history::describe;
use crate::ids::CommitId;
use crate::publish::{Prepared, PublishOutcome, PublishRequest, holds, prepare};
use crate::push::{Destination, Pushed};
use crate::rescue;
use crate::tree::commit_of;

/// How many names are tried when the wanted one is taken: `name`, `name-2`, and so on.
const NAMES: u32 = 20;

/// A kind of Git server, as far as its pages differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// GitHub, also GitHub Enterprise.
    GitHub,
    /// GitLab, also self-managed.
    GitLab,
    /// bitbucket.org.
    BitbucketCloud,
    /// Bitbucket Data Center, once Server.
    BitbucketServer,
    /// Gerrit; it has no branches of requests, changes are pushed to it: [`BareClone::publish_for_review`].
    Gerrit,
}

/// What became of a change that goes beside its branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The branch that holds the change on the server; the branch to review it for, with Gerrit.
    pub branch: String,
    /// The commit, a conflict with the target's newest version, or that the target holds all of it already; in the
    /// last two cases nothing was pushed.
    pub outcome: PublishOutcome,
    /// The page the server itself named to go on with, when it lies on the server's own host.
    pub page: Option<String>,
}

impl BareClone {
    /// Lays `request` onto the newest commit of `target` and pushes the result as a new branch, which is `wanted` or,
    /// where that is taken, `wanted-2` and so on. No branch that is there is ever touched; one that holds this very
    /// change, since the answer to an earlier push was lost, is the answer.
    pub fn publish_to_branch(
        &self,
        access: &Access,
        target: &str,
        wanted: &str,
        request: &PublishRequest,
    ) -> Result<Proposal> {
        check_branch(wanted)?;
        let id = match self.laid_onto(access, target, request)? {
            Ok(id) => id,
            Err(outcome) => return Ok(Proposal { branch: wanted.to_owned(), outcome, page: None }),
        };
        let repo = self.repo()?;
        for number in 1..=NAMES {
            let branch = if number == 1 { wanted.to_owned() } else { format!("{wanted}-{number}") };
            check_branch(&branch)?;
            let words = match self.push(access, &Destination::NewBranch(branch.clone()), &id) {
                Ok(Pushed::Taken | Pushed::Moved) => match self.there_already(access, &branch, &id, request)? {
                    None => continue,
                    Some(there) => {
                        rescue::forget_same(&repo, &there, request)?;
                        return Ok(Proposal { branch, outcome: self.published(&there)?, page: None });
                    }
                },
                Ok(Pushed::Done(words)) => {
                    rescue::forget_same(&repo, &id, request)?;
                    words
                }
                Err(error) if error.leaves_doubt() => {
                    // The answer may have been lost on the way back: the server knows.
                    rescue::keep(&repo, &id)?;
                    match self.fetch(access, &branch) {
                        Ok(now) if now.tip.as_ref().is_some_and(|tip| holds(&repo, tip, &id)) => {
                            rescue::forget(&repo, &id)?;
                            String::new()
                        }
                        _ => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            };
            let outcome = self.published(&id)?;
            return Ok(Proposal { branch, outcome, page: self.page_in(&words) });
        }
        Err(Error::Busy { branch: wanted.to_owned(), attempts: NAMES })
    }

    /// Lays `request` onto the newest commit of `target` and pushes the result to Gerrit for review. The commit's
    /// message gets a `Change-Id`, the same again for the same content on the same commit, so that repeating this
    /// after a lost answer makes no second change.
    pub fn publish_for_review(&self, access: &Access, target: &str, request: &PublishRequest) -> Result<Proposal> {
        let branch = target.to_owned();
        let tip = self.fetch(access, target)?.tip;
        let message = with_change_id(&request.message, &change_id(tip.as_ref(), request));
        let request = PublishRequest { message, ..request.clone() };
        let id = match self.laid_onto(access, target, &request)? {
            Ok(id) => id,
            Err(outcome) => return Ok(Proposal { branch, outcome, page: None }),
        };
        match self.push(access, &Destination::Review(target.to_owned()), &id)? {
            Pushed::Done(words) => Ok(Proposal { branch, outcome: self.published(&id)?, page: self.page_in(&words) }),
            Pushed::Moved | Pushed::Taken => Err(Error::Busy { branch, attempts: 1 }),
        }
    }

    /// The commit that lays `request` onto the newest `target`, or why there is none.
    fn laid_onto(
        &self,
        access: &Access,
        target: &str,
        request: &PublishRequest,
    ) -> Result<std::result::Result<CommitId, PublishOutcome>> {
        let fetched = self.fetch(access, target)?;
        if fetched.tip.is_none() {
            return Err(Error::NoBranch { branch: target.to_owned() });
        }
        let accept: crate::publish::MergeCheck = Arc::new(|_, _| true);
        Ok(match prepare(&self.repo()?, fetched.tip.as_ref(), request, &accept, self.signer.as_ref())? {
            Prepared::Commit { id, .. } => Ok(id),
            Prepared::Done(outcome) => Err(*outcome),
        })
    }

    /// The newest commit of `branch`, when it does the same as `id`, which lays `request` onto its target.
    fn there_already(
        &self,
        access: &Access,
        branch: &str,
        id: &CommitId,
        request: &PublishRequest,
    ) -> Result<Option<CommitId>> {
        let Some(tip) = self.fetch(access, branch)?.tip else { return Ok(None) };
        let repo = self.repo()?;
        let author = |id: &CommitId| Ok::<_, Error>(describe(&commit_of(&repo, id)?).author_email);
        let ours = rescue::is_next(&repo, id, &tip)
            && rescue::is_very_same(&repo, &tip, request).unwrap_or(false)
            && author(&tip)? == author(id)?;
        Ok(ours.then_some(tip))
    }

    fn published(&self, id: &CommitId) -> Result<PublishOutcome> {
        let commit = describe(&commit_of(&self.repo()?, id)?);
        Ok(PublishOutcome::Published { commit, replays: 0, merged: false })
    }

    /// The first web address in the server's words that lies on its own host.
    fn page_in(&self, words: &str) -> Option<String> {
        let host = self.url.host()?;
        words.split_whitespace().filter(|word| word.len() <= 2048).find_map(|word| {
            let page = Url::parse(word.trim_end_matches(['.', ','])).ok()?;
            let own = page.scheme() == "https" && page.host_str() == Some(host) && page.username().is_empty();
            own.then(|| page.to_string())
        })
    }
}

/// The same for the same content on the same commit.
fn change_id(tip: Option<&CommitId>, request: &PublishRequest) -> String {
    let mut hash = Sha1::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    add(tip.map(ToString::to_string).unwrap_or_default().as_bytes());
    add(request.message.as_bytes());
    for change in &request.changes {
        add(change.path.as_str().as_bytes());
        add(change.new.as_deref().unwrap_or_default());
        add(&[u8::from(change.new.is_some())]);
    }
    hash.finalize().iter().fold("I".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The message with a `Change-Id` in its last paragraph, unless it has one.
fn with_change_id(message: &str, id: &str) -> String {
    let message = message.trim_end();
    let last = message.rsplit("\n\n").next().filter(|last| last.len() < message.len()).unwrap_or_default();
    if last.lines().any(|line| line.starts_with("Change-Id: I")) {
        return message.to_owned();
    }
    let trailer = |line: &str| {
        let word = line.split(": ").next().unwrap_or_default();
        line.contains(": ") && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let gap = if !last.is_empty() && last.lines().all(trailer) { "\n" } else { "\n\n" };
    format!("{message}{gap}Change-Id: {id}\n")
}

/// The provider's page that opens a new pull or merge request from `source` into `target`. `web_base` is the
/// provider's address such as `https://github.com`, with the path it is served under if it has one; `path` is the
/// repository's, such as `owner/name`; for Bitbucket Data Center `project/name`, with `scm/` or without.
/// `None` for Gerrit, and when `web_base` is not a plain web address.
pub fn new_request_url(provider: Provider, web_base: &str, path: &str, source: &str, target: &str) -> Option<String> {
    let mut url = Url::parse(web_base.trim_end_matches('/')).ok()?;
    let plain = matches!(url.scheme(), "https" | "http") && url.host_str().is_some() && url.query().is_none();
    if !plain || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let path = path.trim_matches('/');
    let parts: Vec<&str> = path.strip_suffix(".git").unwrap_or(path).split('/').collect();
    if parts.len() < 2 || parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return None;
    }
    let head = format!("refs/heads/{source}");
    let base = format!("refs/heads/{target}");
    let range = format!("{target}...{source}");
    // Branch names hold slashes that GitHub wants to see as such, and characters that must not end the path.
    let (tail, query): (Vec<&str>, Vec<(&str, &str)>) = match provider {
        Provider::GitHub => {
            let tail = ["compare"].into_iter().chain(range.split('/')).collect();
            (tail, vec![("expand", "1")])
        }
        Provider::GitLab => (
            vec!["-", "merge_requests", "new"],
            vec![("merge_request[source_branch]", source), ("merge_request[target_branch]", target)],
        ),
        Provider::BitbucketCloud => (vec!["pull-requests", "new"], vec![("source", source), ("dest", target)]),
        Provider::BitbucketServer => {
            let query = vec![("create", ""), ("sourceBranch", head.as_str()), ("targetBranch", base.as_str())];
            (vec!["pull-requests"], query)
        }
        Provider::Gerrit => return None,
    };
    {
        let mut segments = url.path_segments_mut().ok()?;
        segments.pop_if_empty();
        if provider == Provider::BitbucketServer {
            let parts = parts.strip_prefix(&["scm"]).unwrap_or(&parts);
            let [project, name] = parts else { return None };
            match project.strip_prefix('~') {
                Some(user) => segments.extend(["users", user, "repos", name]),
                None => segments.extend(["projects", project, "repos", name]),
            };
        } else {
            segments.extend(&parts);
        }
        segments.extend(tail);
    }
    url.query_pairs_mut().extend_pairs(query);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_has_its_page() {
        let page = |provider, base, path| new_request_url(provider, base, path, "me/dev #1", "release/1.x");
        for (provider, base, path, wanted) in [
            (
                Provider::GitHub,
                "https://github.com",
                "o/r.git",
                "https://github.com/o/r/compare/release/1.x...me/dev%20%231?expand=1",
            ),
            (
                Provider::GitLab,
                "https://git.example/lab/",
                "/group/sub/r.git",
                "https://git.example/lab/group/sub/r/-/merge_requests/new?merge_request%5Bsource_branch%5D=me%2Fdev+%231\
                 &merge_request%5Btarget_branch%5D=release%2F1.x",
            ),
            (
                Provider::BitbucketCloud,
                "https://bitbucket.org",
                "o/r",
                "https://bitbucket.org/o/r/pull-requests/new?source=me%2Fdev+%231&dest=release%2F1.x",
            ),
            (
                Provider::BitbucketServer,
                "https://bb.example:7990",
                "scm/PRJ/r.git",
                "https://bb.example:7990/projects/PRJ/repos/r/pull-requests?create=\
                 &sourceBranch=refs%2Fheads%2Fme%2Fdev+%231&targetBranch=refs%2Fheads%2Frelease%2F1.x",
            ),
            (
                Provider::BitbucketServer,
                "https://bb.example",
                "~ann/r",
                "https://bb.example/users/ann/repos/r/pull-requests?create=\
                 &sourceBranch=refs%2Fheads%2Fme%2Fdev+%231&targetBranch=refs%2Fheads%2Frelease%2F1.x",
            ),
        ] {
            assert_eq!(page(provider, base, path).as_deref(), Some(wanted));
        }
        for (provider, base, path) in [
            (Provider::Gerrit, "https://g.example", "o/r"),
            (Provider::GitHub, "javascript:alert(1)", "o/r"),
            (Provider::GitHub, "https://me:secret@github.com", "o/r"),
            (Provider::GitHub, "https://github.com", "../r"),
            (Provider::GitHub, "https://github.com", "r"),
            (Provider::BitbucketServer, "https://b.example", "a/b/c/d"),
        ] {
            assert_eq!(page(provider, base, path), None, "{base} {path}");
        }
    }

    #[test]
    fn a_change_id_goes_into_the_last_paragraph_once() {
        let id = "I0123";
        assert_eq!(with_change_id("Subject", id), "Subject\n\nChange-Id: I0123\n");
        assert_eq!(with_change_id("Subject: x", id), "Subject: x\n\nChange-Id: I0123\n");
        assert_eq!(with_change_id("S\n\nWhy: because\nof it", id), "S\n\nWhy: because\nof it\n\nChange-Id: I0123\n");
        let signed = with_change_id("S\n\nSigned-off-by: A <a@b>", id);
        assert_eq!(signed, "S\n\nSigned-off-by: A <a@b>\nChange-Id: I0123\n");
        assert_eq!(with_change_id(&signed, "I9"), signed.trim_end());
    }
}
