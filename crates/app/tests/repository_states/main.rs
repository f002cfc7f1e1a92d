//! The states of a GitOps repository as the app tells them, and the way out of each through the app's own commands.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its story cannot go on")]

#[path = "../outbox/stage.rs"]
#[allow(dead_code, reason = "the stage of two stories; each uses a part of it")]
mod stage;

use pilothouse_app::contract::{
    AppError, CommitOutcome, Detour, ErrorCode, RemoteCondition, RemoteTarget, RepositoryStanding, Transport,
    WaitingState,
};
use stage::{Stage, change, file, path};

const ONE: &str = "replicaCount: 1\n";

impl Stage {
    /// Looks at the server, as the window does when it is told to.
    async fn look(&self) -> RepositoryStanding {
        self.app.clone_repository("look".into()).await.unwrap();
        self.app.repository_standing().await.unwrap()
    }

    /// The same, where there is nothing to be had.
    async fn look_in_vain(&self) -> (AppError, RepositoryStanding) {
        let error = self.app.clone_repository("look".into()).await.unwrap_err();
        (error, self.app.repository_standing().await.unwrap())
    }

    /// Adds a values file through the app, to the branch in use.
    async fn add(&self, app: &str) {
        self.commit(app, ONE, None, &format!("Add the {app}")).await;
    }

    fn holds(&self, branch: &str, app: &str) -> bool {
        self.repo.show(branch, &path(app)).is_some()
    }
}

fn kept(standing: &RepositoryStanding) -> Vec<&str> {
    standing.rescued.iter().map(|one| one.commit.summary.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn case_33_after_a_rewrite_nothing_is_lost_pushed_or_not() {
    let stage = Stage::new().await;
    let base = stage.commit("cart", ONE, None, "Add the cart").await;
    stage.add("checkout").await;
    // The wire is pulled while the server looks at a push, which it then refuses: from here nobody can know.
    let hook = "#!/bin/sh\ntouch looking\nwhile [ ! -e go-on ]; do sleep 0.05; done\nexit 1\n";
    stage.repo.install_hook("pre-receive", hook).unwrap();
    let pull = async {
        while !stage.repo.path.join("looking").exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        stage.wire.unplug();
        std::fs::write(stage.repo.path.join("go-on"), "").unwrap();
    };
    let doubtful = stage.app.commit_values(change("payment", ONE, None, "Add the payment"), "doubt".into());
    let (outcome, ()) = tokio::join!(doubtful, pull);
    let lost = outcome.unwrap_err();
    assert_eq!(lost.detour, Some(Detour::Later), "{lost:?}");
    assert_eq!(kept(&stage.app.repository_standing().await.unwrap()), ["Add the payment"]);
    stage.repo.remove_hook("pre-receive").unwrap();

    // One more was kept on this machine, and upstream the history is replaced meanwhile.
    stage.app.keep_values(change("cart", "replicaCount: 2\n", base, "Two carts")).await.unwrap();
    stage.repo.git(&["update-ref", "refs/heads/main", "main~2"]).unwrap();
    stage.repo.push_file("README.md", "# Another history\n", "Instead").unwrap();
    stage.wire.plug_in().unwrap();

    let standing = stage.look().await;
    let Some(RemoteCondition::Rewritten { kept: tip }) = &standing.condition else { panic!("{standing:?}") };
    assert!(standing.rescued.iter().any(|one| one.commit.id == *tip), "{standing:?}");
    assert!(standing.since.is_some());
    for summary in ["Add the cart", "Add the checkout", "Add the payment"] {
        assert!(kept(&standing).contains(&summary), "{summary}: {standing:?}");
    }

    // What waited meets a file that is gone; it says so, and goes out once somebody has decided.
    let report = stage.app.push_waiting("push".into()).await.unwrap();
    let entry = &report.waiting.entries[0];
    assert_eq!((entry.state, entry.message.as_str()), (WaitingState::Conflict, "Two carts"), "{report:?}");
    let settled = stage.app.settle_waiting(entry.id, "replicaCount: 2\n".into(), None, "Two carts".into(), "s".into());
    assert!(matches!(settled.await.unwrap(), CommitOutcome::Published { .. }));

    // Each kept commit is looked at and made again; the one that was overtaken is told, and let go of by hand.
    for summary in ["Add the checkout", "Add the payment"] {
        let standing = stage.app.repository_standing().await.unwrap();
        let one = standing.rescued.iter().find(|one| one.commit.summary == summary).unwrap();
        let files = stage.app.rescued_change(one.commit.id.clone()).await.unwrap();
        assert_eq!(files[0].diff.as_ref().map(|diff| (diff.added, diff.removed)), Some((1, 0)));
        let outcome = stage.app.reapply_rescued(one.name.clone(), one.commit.id.clone(), "again".into()).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Published { .. }), "{summary}: {outcome:?}");
    }
    let standing = stage.app.repository_standing().await.unwrap();
    let cart = standing.rescued.iter().find(|one| one.commit.summary == "Add the cart").unwrap();
    let outcome = stage.app.reapply_rescued(cart.name.clone(), cart.commit.id.clone(), "again".into()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Conflict { .. }), "{outcome:?}");
    assert_eq!(stage.repo.show("main", &path("cart")).as_deref(), Some("replicaCount: 2\n"));
    assert!(stage.holds("main", "checkout") && stage.holds("main", "payment"));
    let names: std::collections::BTreeSet<_> = standing.rescued.iter().map(|one| one.name.clone()).collect();
    for name in names {
        stage.app.forget_rescued(name).await.unwrap();
    }
    let standing = stage.app.dismiss_standing().await.unwrap();
    assert!(standing.condition.is_none() && standing.rescued.is_empty(), "{standing:?}");
    assert_eq!(stage.look().await.condition, None, "it is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_33_a_branch_that_is_deleted_gives_way_to_the_default_one() {
    let stage = Stage::new().await;
    stage.repo.git(&["branch", "work", "main"]).unwrap();
    stage.app.use_branch("work".into()).await.unwrap();
    stage.add("cart").await;
    let tip = stage.repo.tip("work").unwrap();
    stage.repo.git(&["branch", "-D", "work"]).unwrap();

    let standing = stage.look().await;
    let gone = RemoteCondition::BranchDeleted { kept: tip, default_branch: Some("main".into()), branches: Vec::new() };
    assert_eq!((standing.branch.as_deref(), &standing.condition), (Some("main"), &Some(gone)));
    assert_eq!(kept(&standing), ["Add the cart"]);
    let one = &standing.rescued[0];
    let outcome = stage.app.reapply_rescued(one.name.clone(), one.commit.id.clone(), "again".into()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?}");
    assert!(stage.holds("main", "cart"));
    let standing = stage.app.dismiss_standing().await.unwrap();
    assert!(standing.condition.is_none() && standing.rescued.is_empty(), "{standing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_33_a_deleted_default_branch_leaves_the_others_to_choose_from() {
    let stage = Stage::new().await;
    stage.repo.git(&["branch", "next", "main"]).unwrap();
    stage.add("cart").await;
    stage.repo.git(&["update-ref", "-d", "refs/heads/main"]).unwrap();

    let (error, standing) = stage.look_in_vain().await;
    assert_eq!(error.code, ErrorCode::GitNoBranch, "{error:?}");
    assert!(error.message.contains("main") && error.hint.is_some(), "{error:?}");
    let Some(RemoteCondition::BranchDeleted { default_branch: None, branches, .. }) = &standing.condition else {
        panic!("{standing:?}")
    };
    assert_eq!(branches, &["next"]);
    // What is not there is not made anew behind anybody's back.
    assert_eq!(
        stage.app.commit_values(change("checkout", ONE, None, "x"), "c".into()).await.unwrap_err().code,
        ErrorCode::GitNoBranch
    );
    assert_eq!(stage.repo.tip("main"), None);

    let standing = stage.app.use_branch("next".into()).await.unwrap();
    assert_eq!((standing.branch.as_deref(), &standing.condition), (Some("next"), &None));
    assert_eq!(kept(&standing), ["Add the cart"], "what the deleted branch held can still be made again");
    stage.add("checkout").await;
    assert!(stage.holds("next", "checkout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn case_33_a_branch_with_another_name_is_followed() {
    let stage = Stage::new().await;
    stage.add("cart").await;
    stage.repo.git(&["branch", "-m", "main", "trunk"]).unwrap();
    stage.repo.set_default_branch("trunk").unwrap();
    let standing = stage.look().await;
    let renamed = RemoteCondition::BranchRenamed { to: "trunk".into() };
    assert_eq!((standing.branch.as_deref(), &standing.condition), (Some("trunk"), &Some(renamed)));
    assert_eq!(stage.app.open_values(file("cart")).await.unwrap().text, ONE);
    stage.add("checkout").await;
    assert!(stage.holds("trunk", "checkout") && stage.repo.tip("main").is_none());
    assert_eq!(stage.app.dismiss_standing().await.unwrap().condition, None);
    assert_eq!(stage.look().await.condition, None, "it is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_33_another_default_branch_is_told_and_the_app_stays_where_it_is() {
    let stage = Stage::new().await;
    stage.repo.git(&["branch", "next", "main"]).unwrap();
    stage.repo.set_default_branch("next").unwrap();
    let standing = stage.look().await;
    let changed = RemoteCondition::DefaultBranchChanged { from: "main".into(), to: "next".into() };
    assert_eq!((standing.branch.as_deref(), &standing.condition), (Some("main"), &Some(changed)));
    stage.add("cart").await;
    assert!(stage.holds("main", "cart") && !stage.holds("next", "cart"));

    let refused = stage.app.use_branch("nowhere".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::GitNoBranch, "{refused:?}");
    let standing = stage.app.use_branch("next".into()).await.unwrap();
    assert_eq!((standing.branch.as_deref(), standing.condition), (Some("next"), None));
    stage.add("cart").await;
    assert!(stage.holds("next", "cart"));

    // Trying the connection is no choice of a branch.
    stage.repo.set_default_branch("main").unwrap();
    let target = RemoteTarget::Repository { transport: Transport::Https };
    let check = stage.app.test_remote(target, None).await.unwrap();
    assert_eq!(check.default_branch.as_deref(), Some("main"));
    assert_eq!(stage.app.repository_standing().await.unwrap().branch.as_deref(), Some("next"));
}

#[tokio::test(flavor = "multi_thread")]
async fn case_23_an_empty_repository_takes_its_first_commit() {
    let stage = Stage::on(|host| host.create_empty_repo("acme/gitops").unwrap()).await;
    let standing = stage.look().await;
    assert_eq!(standing.condition, Some(RemoteCondition::Empty));
    let opened = stage.app.open_values(file("cart")).await.unwrap();
    assert_eq!((opened.exists, &opened.base_commit), (false, &None));
    stage.add("cart").await;
    assert_eq!(stage.repo.show("main", &path("cart")).as_deref(), Some(ONE));
    assert_eq!(stage.repo.commits("main").unwrap(), 1, "the first commit makes the branch");
    assert_eq!(stage.look().await.condition, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_23_a_repository_without_a_default_branch_is_used_by_the_branch_one_names() {
    let stage = Stage::new().await;
    stage.repo.git(&["branch", "next", "main"]).unwrap();
    stage.repo.set_default_branch("nowhere").unwrap();
    let standing = stage.look().await;
    let headless = |branches: &[&str]| RemoteCondition::NoDefaultBranch {
        detached: false,
        branches: branches.iter().map(|name| (*name).to_owned()).collect(),
    };
    assert_eq!(standing.condition, Some(headless(&["main", "next"])));
    stage.add("cart").await;
    assert!(stage.holds("main", "cart"), "the branch that is known goes on to work");
    stage.repo.set_default_branch("main").unwrap();
    assert_eq!(stage.look().await.condition, None, "once one is chosen, there is nothing to tell");

    // One that was never looked at: no branch suggests itself.
    let stage = Stage::on(|host| {
        let repo = host.create_empty_repo("acme/gitops").unwrap();
        repo.push_file_to("next", "README.md", "# Next\n", "First").unwrap();
        repo
    })
    .await;
    let (error, standing) = stage.look_in_vain().await;
    assert_eq!(error.code, ErrorCode::GitNoBranch, "{error:?}");
    assert_eq!(standing.condition, Some(headless(&["next"])));
    let standing = stage.app.use_branch("next".into()).await.unwrap();
    assert_eq!((standing.branch.as_deref(), &standing.condition), (Some("next"), &None));
    stage.add("cart").await;
    assert!(stage.holds("next", "cart"));
    assert!(stage.look().await.condition.is_some(), "the server still names none");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_23_a_sha_256_repository_is_named_and_another_one_takes_its_place() {
    let stage = Stage::on(|host| {
        let repo = host.create_empty_repo("acme/gitops").unwrap();
        std::fs::remove_dir_all(&repo.path).unwrap();
        let place = repo.path.to_string_lossy().into_owned();
        let init = ["init", "-q", "--bare", "--object-format=sha256", "--template=", "--initial-branch=main", &place];
        assert!(std::process::Command::new("git").args(init).status().unwrap().success());
        let tree = repo.git_with_input(&["mktree"], b"").unwrap();
        let commit = repo.git(&["commit-tree", "-m", "First", &tree]).unwrap();
        repo.git(&["update-ref", "refs/heads/main", &commit]).unwrap();
        repo.git(&["config", "http.receivepack", "true"]).unwrap();
        repo
    })
    .await;
    let (error, standing) = stage.look_in_vain().await;
    assert_eq!(error.code, ErrorCode::GitSha256, "{error:?}");
    assert!(error.message.contains("SHA-256"), "{error:?}");
    assert_eq!(standing.condition, Some(RemoteCondition::Sha256));
    let refused = stage.app.commit_values(change("cart", ONE, None, "Add the cart"), "c".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::GitSha256, "{refused:?}");

    let other = stage.host.create_repo("acme/sha1").unwrap();
    stage.app.register_repository(stage.wire.url(&other.url)).await.unwrap();
    stage.app.save_repository_credential(Transport::Https, stage.place.credential()).await.unwrap();
    assert_eq!(stage.look().await.condition, None);
    stage.add("cart").await;
    assert!(other.show("main", &path("cart")).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn case_33_an_archived_repository_is_read_and_not_written_until_it_is_opened_again() {
    let stage = Stage::new().await;
    let base = stage.commit("cart", ONE, None, "Add the cart").await;
    let words = "This repository was archived so it is read-only.";
    stage.repo.refuse_pushes(Some(words)).unwrap();
    assert_eq!(stage.look().await.condition, None, "it shows itself only at a push");
    let request = change("cart", "replicaCount: 2\n", base, "Two carts");
    let refused = stage.app.commit_values(request.clone(), "c".into()).await.unwrap_err();
    assert_eq!((refused.code, refused.detour), (ErrorCode::GitArchived, None), "{refused:?}");
    assert!(refused.message.contains(words) && refused.hint.is_some(), "{refused:?}");
    let standing = stage.look().await;
    let Some(RemoteCondition::ReadOnly { words: told }) = &standing.condition else { panic!("{standing:?}") };
    assert!(told.contains(words), "{told}");
    assert_eq!(stage.app.open_values(file("cart")).await.unwrap().text, ONE, "reading works meanwhile");

    stage.repo.refuse_pushes(None).unwrap();
    let outcome = stage.app.commit_values(request, "c".into()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?}");
    assert_eq!(stage.app.repository_standing().await.unwrap().condition, None, "a push that arrived says enough");
}
