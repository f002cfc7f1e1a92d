//! Every application in every environment, put together once for each change, however many there are and however often
//! a page asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use pilothouse_cluster::LiveIndex;
use pilothouse_delivery::{Release, releases};
use pilothouse_git::{BareClone, CommitId, RepoPath};

use crate::{
    App, Result,
    argo_cd::is_branch,
    blocking,
    contract::{HealthView, ReleaseRow, SyncView, ValuesFile},
    gitops::Fetched,
    session::Live,
};

/// As many files as the tree of one commit may have to be compared.
const MOST_FILES: usize = 50_000;
/// As many commits as are compared; the values of more are simply not said to differ.
const MOST_COMMITS: usize = 64;

type Blobs = Arc<BTreeMap<String, String>>;

/// The releases, and of which state of the cluster and of Git they are.
struct Together {
    /// Kept, so that no other index can stand at its address.
    index: Weak<LiveIndex>,
    change: u64,
    tip: Option<CommitId>,
    registered: Vec<String>,
    all: Arc<Vec<Release>>,
    drift: Arc<BTreeSet<usize>>,
}

/// What was put together last.
#[derive(Default)]
pub(crate) struct SeenReleases {
    last: Option<Together>,
    /// The values files by commit; a commit's tree never changes. One that is not fetched yet is not kept.
    trees: BTreeMap<String, Blobs>,
}

fn tree(clone: &BareClone, commit: &CommitId) -> Option<Blobs> {
    let all = clone.list(commit, None, MOST_FILES).ok()?;
    let values = all.into_iter().filter(|one| one.path.ends_with("-values.yaml"));
    Some(Arc::new(values.map(|one| (one.path, one.blob)).collect()))
}

/// The values files of a commit, of which those that were found are kept. Blocks.
fn known(clone: &BareClone, commit: &str, trees: &mut BTreeMap<String, Blobs>) -> Option<Blobs> {
    if let Some(known) = trees.get(commit) {
        return Some(known.clone());
    }
    if trees.len() > MOST_COMMITS {
        return None;
    }
    let found = tree(clone, &CommitId::parse(commit).ok()?)?;
    trees.insert(commit.to_owned(), found.clone());
    Some(found)
}

/// Which releases read other values than are in Git now, by their place in the list. Blocks.
fn drifted(
    (clone, tip, branch): (&BareClone, &CommitId, &str),
    all: &[Release],
    trees: &mut BTreeMap<String, Blobs>,
) -> BTreeSet<usize> {
    // Of what reads another branch, the tip of this one says nothing.
    let here = |one: &Release| one.values_revision.as_deref().is_none_or(|revision| is_branch(revision, branch));
    let wanted: BTreeSet<&str> = all
        .iter()
        .filter(|one| one.values_override && here(one))
        .filter_map(|one| one.deployed_values.as_deref())
        .collect();
    trees.retain(|commit, _| wanted.contains(commit.as_str()) || commit == tip.to_string().as_str());
    let Some(now) = known(clone, &tip.to_string(), trees) else { return BTreeSet::new() };
    let differs = |one: &Release, then: &Blobs| {
        let file = ValuesFile { flow: one.flow.clone(), env: one.environment.clone(), app: one.application.clone() };
        file.path().is_ok_and(|path: RepoPath| then.get(path.as_str()) != now.get(path.as_str()))
    };
    let mut out = BTreeSet::new();
    for (place, one) in all.iter().enumerate().filter(|(_, one)| one.values_override && here(one)) {
        if let Some(then) = one.deployed_values.as_deref().and_then(|commit| known(clone, commit, trees))
            && differs(one, &then)
        {
            out.insert(place);
        }
    }
    out
}

impl App {
    async fn put_together(&self, live: &Arc<Live>) -> Result<(Arc<Vec<Release>>, Arc<BTreeSet<usize>>)> {
        let fetched = match self.maybe_gitops().await {
            Ok(Some(repository)) => self.on_disk(&repository.url).await.ok().flatten(),
            _ => None,
        };
        let tip = fetched.as_ref().and_then(|fetched| fetched.tip.clone());
        // Whoever asks meanwhile waits for this answer and takes it.
        let mut seen = self.releases.lock().await;
        let index = live.index();
        let change = *index.changes().borrow();
        let registered = live.registered();
        if let Some(last) = &seen.last
            && std::ptr::eq(last.index.as_ptr(), Arc::as_ptr(&index))
            && (last.change, &last.tip, &last.registered) == (change, &tip, &registered)
        {
            return Ok((last.all.clone(), last.drift.clone()));
        }
        let (app, live) = (self.arc()?, live.clone());
        let mut trees = std::mem::take(&mut seen.trees);
        let (all, drift, trees) = blocking(move || {
            let all = releases(&app.objects(&live));
            let drift = match &fetched {
                Some(Fetched { clone, tip: Some(tip), branch }) => drifted((clone, tip, branch), &all, &mut trees),
                _ => BTreeSet::new(),
            };
            Ok((Arc::new(all), Arc::new(drift), trees))
        })
        .await?;
        seen.trees = trees;
        let index = Arc::downgrade(&index);
        seen.last = Some(Together { index, change, tip, registered, all: all.clone(), drift: drift.clone() });
        Ok((all, drift))
    }

    /// Every application in every environment: flows by name, environments and applications in their order.
    pub async fn list_releases(&self) -> Result<Vec<ReleaseRow>> {
        let (live, _) = self.deliverer()?;
        let (all, drift) = self.put_together(&live).await?;
        let runs = self.known_runs(&live, None);
        let row = |(place, one): (usize, &Release)| ReleaseRow {
            last_verdict: match runs.is_empty() {
                true => None,
                false => self.last_verdict(&live, &runs, &one.namespace, &one.application),
            },
            flow: one.flow.clone(),
            env: one.environment.clone(),
            namespace: one.namespace.clone(),
            app: one.application.clone(),
            version: one.version.clone(),
            values_override: one.values_override,
            health: HealthView { status: one.health.clone(), message: one.health_why.clone() },
            sync: SyncView { status: one.sync.clone(), why: one.sync_why.clone() },
            drift: drift.contains(&place),
            busy: one.busy,
        };
        Ok(all.iter().enumerate().map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use pilothouse_git::{FileChange, Identity, RemoteUrl};

    use super::*;

    #[test]
    fn a_commit_that_is_not_fetched_yet_is_looked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let clone = |name: &str| {
            let url = RemoteUrl::local(&folder.path().join("remote")).unwrap();
            BareClone::open_or_create(&folder.path().join(name), &url).unwrap()
        };
        let (fetched, behind) = (clone("fetched"), clone("behind"));
        let change = |path: &str| FileChange {
            path: RepoPath::parse(path).unwrap(),
            content: Some(b"replicaCount: 2\n".to_vec()),
        };
        let author = Identity { name: "Robin".into(), email: "robin@example.com".into() };
        let changes = [change("shop/dev/cart-values.yaml"), change("docs/readme.md")];
        let commit = fetched.commit(None, &changes, &author, "Begin").unwrap().to_string();

        let mut trees = BTreeMap::new();
        assert!(known(&behind, &commit, &mut trees).is_none());
        let found = known(&fetched, &commit, &mut trees).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["shop/dev/cart-values.yaml"]);
        assert!(known(&behind, &commit, &mut trees).is_some(), "what was found is kept");
    }
}
