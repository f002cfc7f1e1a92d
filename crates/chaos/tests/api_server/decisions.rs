//! A person's decision counts for the versions that the person saw, and for no others.

use pilothouse_chaos::Error;
use pilothouse_chaos::document::path_of;
use pilothouse_chaos::plan::SyncState;
use pilothouse_chaos::resolve::{self, Resolution};

use crate::stage::{MemoryGit, PROJECT, edit, object, place, sync, workflow};

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_moved_is_not_settled() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    let path = path_of(PROJECT, "kill");
    let text = |image: &str| workflow("kill", "").replace("busybox", image);
    git.put(&path, Some(&text("base")));
    sync(&cluster, &namespace, &git).await;
    git.put(&path, Some(&text("git")));
    edit(&cluster, &namespace, "kill", &text("cluster")).await;
    assert_eq!(sync(&cluster, &namespace, &git).await.states["kill"], SyncState::Conflict);

    let which = (PROJECT, "kill");
    let look = async || resolve::sides(&cluster, &namespace, which, &git).await.unwrap();
    let ways = || [Resolution::TakeGit, Resolution::TakeCluster, Resolution::Take(text("joined"))];
    let sides = look().await;
    assert_eq!((sides.git.as_deref(), sides.cluster.as_str()), (Some(text("git").as_str()), text("cluster").as_str()));
    assert_eq!(sides.base, Some(text("base")));

    // Git moved under the decision, and then the cluster did.
    git.put(&path, Some(&text("git-two")));
    for how in ways() {
        let refused = resolve::resolve(&cluster, &namespace, which, &git, how, &sides.seen).await;
        let Err(Error::PreviewStale { why, .. }) = refused else { panic!("{refused:?}") };
        assert!(why.contains("in Git"), "{why}");
    }
    let sides = look().await;
    edit(&cluster, &namespace, "kill", &text("cluster-two")).await;
    for how in ways() {
        let refused = resolve::resolve(&cluster, &namespace, which, &git, how, &sides.seen).await;
        let Err(Error::PreviewStale { why, .. }) = refused else { panic!("{refused:?}") };
        assert!(why.contains("in the cluster"), "{why}");
    }
    assert_eq!(git.text(&path), Some(text("git-two")), "nothing was written");
    assert_eq!(object(&cluster, &namespace, "kill").await.manifest, text("cluster-two"));

    // What is seen now can be settled.
    let sides = look().await;
    resolve::resolve(&cluster, &namespace, which, &git, Resolution::TakeGit, &sides.seen).await.unwrap();
    assert_eq!(sync(&cluster, &namespace, &git).await.states["kill"], SyncState::InSync);
    assert_eq!(object(&cluster, &namespace, "kill").await.manifest, text("git-two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_moved_is_not_confirmed() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    let path = path_of(PROJECT, "kill");
    git.put(&path, Some(&workflow("kill", "")));
    sync(&cluster, &namespace, &git).await;
    git.put(&path, None);
    assert_eq!(sync(&cluster, &namespace, &git).await.states["kill"], SyncState::DeletedInGit);
    let which = (PROJECT, "kill");
    let seen = resolve::sides(&cluster, &namespace, which, &git).await.unwrap().seen;

    // The file is back before the confirmation is.
    git.put(&path, Some(&workflow("kill", "  # back\n")));
    let refused = resolve::confirm_deletion(&cluster, &namespace, which, Some((&seen, &git))).await;
    assert!(matches!(refused, Err(Error::PreviewStale { .. })), "{refused:?}");
    let refused = resolve::restore(&cluster, &namespace, which, &git, &seen).await;
    assert!(matches!(refused, Err(Error::PreviewStale { .. })), "{refused:?}");
    git.put(&path, None);
    edit(&cluster, &namespace, "kill", &workflow("kill", "  # edited\n")).await;
    let refused = resolve::confirm_deletion(&cluster, &namespace, which, Some((&seen, &git))).await;
    assert!(matches!(refused, Err(Error::PreviewStale { .. })), "{refused:?}");
    // Whoever deleted the file did not see that either.
    let refused = resolve::confirm_deletion(&cluster, &namespace, which, None).await;
    assert!(matches!(refused, Err(Error::PreviewStale { .. })), "{refused:?}");
    assert_eq!(object(&cluster, &namespace, "kill").await.manifest, workflow("kill", "  # edited\n"));
    edit(&cluster, &namespace, "kill", &workflow("kill", "")).await;
    resolve::confirm_deletion(&cluster, &namespace, which, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn case_40_a_deletion_in_git_waits_until_somebody_confirms_it() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    let (path, text) = (path_of(PROJECT, "kill"), workflow("kill", ""));
    git.put(&path, Some(&text));
    sync(&cluster, &namespace, &git).await;
    git.put(&path, None);
    // However often it syncs, the workflow stays, is said to be deleted in Git, and Git is not written to.
    let commits = git.commits();
    for _ in 0..3 {
        let report = sync(&cluster, &namespace, &git).await;
        assert_eq!(report.states["kill"], SyncState::DeletedInGit);
        assert_eq!(object(&cluster, &namespace, "kill").await.manifest, text);
    }
    assert_eq!((git.commits(), git.text(&path)), (commits, None));

    let which = (PROJECT, "kill");
    let seen = async || resolve::sides(&cluster, &namespace, which, &git).await.unwrap().seen;
    resolve::restore(&cluster, &namespace, which, &git, &seen().await).await.unwrap();
    assert_eq!(git.text(&path).as_ref(), Some(&text), "kept, by the other answer");
    assert_eq!(sync(&cluster, &namespace, &git).await.states["kill"], SyncState::InSync);

    git.put(&path, None);
    sync(&cluster, &namespace, &git).await;
    resolve::confirm_deletion(&cluster, &namespace, which, Some((&seen().await, &git))).await.unwrap();
    assert!(sync(&cluster, &namespace, &git).await.states.is_empty());
}
