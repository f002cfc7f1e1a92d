//! A sync that goes by what changed reads only that, and comes to what a whole sync comes to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kube::api::{DynamicObject, ListParams};
use pilothouse_chaos::document::path_of;
use pilothouse_chaos::git_side::{Entry, GitChange, LastChange, Listing, Publication, SelectiveGit, Snapshot, Tip};
use pilothouse_chaos::names::digest;
use pilothouse_chaos::plan::{Content, GitFile, SyncState};
use pilothouse_chaos::sync::{SyncReport, sync_knowing, sync_once};
use pilothouse_chaos::{GitSide, Memory, Result, workflow_object};
use pilothouse_cluster::{Cluster, kinds};

use crate::stage::{MemoryGit, PROJECT, edit, object, place, workflow};

/// Git in memory that tells what is there without reading it, and counts what is read.
#[derive(Default)]
struct Told {
    git: MemoryGit,
    listed: AtomicUsize,
    read: AtomicUsize,
}

impl Told {
    async fn whole(&self, folder: &str) -> Result<Snapshot> {
        self.git.snapshot(folder, usize::MAX).await
    }

    /// How many listings and files were read since the last call.
    fn looked(&self) -> (usize, usize) {
        (self.listed.swap(0, Ordering::SeqCst), self.read.swap(0, Ordering::SeqCst))
    }
}

#[async_trait]
impl SelectiveGit for Told {
    async fn tip(&self, folder: &str) -> Result<Tip> {
        let all = self.whole(folder).await?;
        let lines: Vec<String> = all.files.iter().map(|file| format!("{} {}", file.path, file.blob)).collect();
        Ok(Tip { commit: all.commit, folder: Some(digest(&lines.join("\n"))) })
    }

    async fn list(&self, _: &Tip, folder: &str, limit: usize) -> Result<Listing> {
        self.listed.fetch_add(1, Ordering::SeqCst);
        let files = self.whole(folder).await?.files;
        let complete = files.len() <= limit;
        let entries = files.into_iter().map(|file| Entry { path: file.path, blob: file.blob, unreadable: None });
        Ok(Listing { entries: entries.take(limit).collect(), complete })
    }

    async fn read(&self, entries: Vec<Entry>) -> Result<Vec<GitFile>> {
        self.read.fetch_add(entries.len(), Ordering::SeqCst);
        let mut files = Vec::new();
        for Entry { path, blob, .. } in entries {
            let text = self.git.blob_text(&blob).await?.unwrap();
            files.push(GitFile { path, blob, content: Content::Text(text) });
        }
        Ok(files)
    }
}

#[async_trait]
impl GitSide for Told {
    fn selective(&self) -> Option<&dyn SelectiveGit> {
        Some(self)
    }

    async fn snapshot(&self, folder: &str, limit: usize) -> Result<Snapshot> {
        self.git.snapshot(folder, limit).await
    }

    async fn blob_text(&self, blob: &str) -> Result<Option<String>> {
        self.git.blob_text(blob).await
    }

    async fn last_change(&self, commit: &str, path: &str) -> Result<Option<LastChange>> {
        self.git.last_change(commit, path).await
    }

    async fn publish(&self, changes: &[GitChange], message: &str) -> Result<Publication> {
        self.git.publish(changes, message).await
    }
}

/// One app: what it remembers, and what its watch shows.
struct Seat {
    cluster: Cluster,
    namespace: String,
    memory: Arc<Memory>,
    watched: Mutex<Vec<Arc<DynamicObject>>>,
}

impl Seat {
    async fn new() -> Self {
        let (cluster, namespace) = place().await;
        Self { cluster, namespace, memory: Arc::default(), watched: Mutex::default() }
    }

    /// The watch catches up.
    async fn catch_up(&self) {
        let api = self.cluster.api(&kinds::CHAOS_WORKFLOW, &self.namespace);
        let items = api.list(&ListParams::default()).await.unwrap().items;
        *self.watched.lock().unwrap() = items.into_iter().map(Arc::new).collect();
    }

    /// Syncs by the watch as it is.
    async fn sync(&self, git: &Told) -> SyncReport {
        let watched = || Some(self.watched.lock().unwrap().clone());
        sync_knowing(&self.cluster, &self.namespace, PROJECT, git, &self.memory, &watched).await.unwrap()
    }

    async fn manifests(&self) -> HashMap<String, String> {
        let all = workflow_object::list(&self.cluster, &self.namespace, PROJECT).await.unwrap();
        all.into_iter().map(|(name, object)| (name, object.manifest)).collect()
    }
}

#[tokio::test]
async fn what_did_not_change_is_not_read_again() {
    let (seat, git) = (Seat::new().await, Told::default());
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        git.git.put(&path_of(PROJECT, name), Some(&workflow(name, "")));
    }
    let first = seat.sync(&git).await;
    assert_eq!((first.done.len(), git.looked()), (5, (1, 5)));
    seat.catch_up().await;
    // What was written is looked at once more.
    assert_eq!(seat.sync(&git).await.writes, 0);
    git.looked();
    let idle = seat.sync(&git).await;
    assert_eq!((idle.writes, git.looked()), (0, (0, 0)));
    assert_eq!((&idle.states, &idle.commit), (&first.states, &first.commit));

    // A commit beside the folder is noted, and nothing is read for it.
    git.git.put("README.md", Some("x"));
    let beside = seat.sync(&git).await;
    assert_eq!((beside.writes, git.looked()), (0, (0, 0)));
    assert_ne!(beside.commit, first.commit);

    git.git.put(&path_of(PROJECT, "c"), Some(&workflow("c", "  # changed\n")));
    let one = seat.sync(&git).await;
    assert_eq!(git.looked(), (1, 1));
    assert_eq!((one.done.len(), &one.states), (1, &first.states));
    let changed = object(&seat.cluster, &seat.namespace, "c").await;
    assert!(changed.manifest.contains("# changed"));
    assert!(changed.commit > object(&seat.cluster, &seat.namespace, "b").await.commit);

    // What the watch does not show yet is not written over.
    edit(&seat.cluster, &seat.namespace, "a", &workflow("a", "  # in the cluster\n")).await;
    git.git.put(&path_of(PROJECT, "a"), Some(&workflow("a", "  # in Git\n")));
    assert_eq!(seat.sync(&git).await.states["a"], SyncState::Conflict);
    assert!(object(&seat.cluster, &seat.namespace, "a").await.manifest.contains("# in the cluster"));

    // With a conflict there, too, nothing new is nothing to read.
    seat.catch_up().await;
    seat.sync(&git).await;
    seat.catch_up().await;
    seat.sync(&git).await;
    git.looked();
    assert_eq!(seat.sync(&git).await.states["a"], SyncState::Conflict);
    assert_eq!(git.looked(), (0, 0));
    seat.memory.forget(&seat.namespace, PROJECT);
    seat.sync(&git).await;
    assert_eq!(git.looked(), (1, 5));
}

#[tokio::test]
async fn by_what_changed_it_comes_to_the_same_as_whole() {
    let (quick, whole) = (Seat::new().await, Seat::new().await);
    let (told, plain) = (Told::default(), MemoryGit::default());
    let names = ["a", "b", "c", "d"];
    let mut dice = 7_u64;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    for step in 0..24 {
        let name = names[roll(4) as usize];
        let text = workflow(name, &format!("  # {}\n", roll(3)));
        let path = path_of(PROJECT, name);
        match roll(8) {
            0 => [&told.git, &plain].into_iter().for_each(|git| git.put(&path, None)),
            1 => [&told.git, &plain].into_iter().for_each(|git| git.put(&path, Some("kind: [\n"))),
            2 | 3 if quick.manifests().await.get(name).is_some_and(|held| !held.is_empty()) => {
                for seat in [&quick, &whole] {
                    edit(&seat.cluster, &seat.namespace, name, &text).await;
                }
            }
            _ => [&told.git, &plain].into_iter().for_each(|git| git.put(&path, Some(&text))),
        }
        // Now and then the watch lags behind; what it hides is found once it shows.
        if roll(3) == 0 {
            quick.sync(&told).await;
        }
        quick.catch_up().await;
        let one = quick.sync(&told).await;
        let other = sync_once(&whole.cluster, &whole.namespace, PROJECT, &plain).await.unwrap();
        assert_eq!(one.states, other.states, "step {step}");
        assert_eq!(quick.manifests().await, whole.manifests().await, "step {step}");
        for name in names {
            let path = path_of(PROJECT, name);
            assert_eq!(told.git.text(&path), plain.text(&path), "step {step}");
        }
    }
}
