//! Clones that hold less than all history, over HTTPS and SSH.

use pilothouse_git::{BareClone, Depth, Error, HistoryLimits, PublishOutcome, RemoteState, WalkEnd};
use pilothouse_rig::git_host::{GitHost, RepoHandle};

use crate::stage::*;

fn both(name: &str) -> [RepoHandle; 2] {
    [https(), ssh()].map(|host: &GitHost| {
        let repo = host.create_repo(name).unwrap();
        for n in 1..=5 {
            repo.push_file("v.yaml", &format!("first: 1\nn: {n}\nlast: 1\n"), &format!("Set n to {n}")).unwrap();
        }
        repo
    })
}

#[test]
fn case_23_a_shallow_clone_brings_one_commit_and_goes_on_from_there() {
    for repo in both("shallow-first") {
        let desk = Desk::of(&repo);
        let tip = desk.clone.fetch_tip(&desk.access, "main").unwrap().tip.unwrap();
        assert!(desk.clone.is_shallow().unwrap(), "{}", repo.url);
        assert!(desk.clone.read(&tip, &path("v.yaml"), 100).unwrap().is_some());
        // Nothing is claimed about commits that are not there.
        assert!(matches!(desk.clone.last_change(&tip, &path("v.yaml")), Err(Error::NeedsHistory)));
        assert!(matches!(desk.clone.revert(&tip, &tip, &[]), Err(Error::NeedsHistory)));
        let page = desk.clone.history_page(&tip, None, None, HistoryLimits::default(), &|| false).unwrap();
        assert_eq!((page.commits.len(), page.end, page.next), (1, WalkEnd::Shallow, None));
        let blame = desk.clone.blame(&tip, &path("v.yaml"), 100, &|| false).unwrap().unwrap();
        assert!(blame.end == WalkEnd::Shallow && blame.commits.is_empty());

        // New commits come on top, and are told apart from a rewritten branch.
        repo.push_file("v.yaml", "first: 1\nn: 6\nlast: 1\n", "Set n to 6").unwrap();
        repo.push_file("w.yaml", "w: 1\n", "Add w").unwrap();
        let report = desk.clone.look(&desk.access, "main", Depth::Tip).unwrap();
        assert_eq!(report.state, RemoteState::Moved { commits: 2, more: false });
        assert!(desk.clone.is_shallow().unwrap());
        let tip = report.tip.unwrap();
        assert_eq!(desk.clone.last_change(&tip, &path("w.yaml")).unwrap().unwrap().summary, "Add w");

        // Asking for all of it makes it whole, also when nothing is new.
        assert!(!desk.clone.fetch(&desk.access, "main").unwrap().rewritten);
        assert!(!desk.clone.is_shallow().unwrap());
        let history = desk.clone.history(&tip, Some(&path("v.yaml")), 100).unwrap();
        assert_eq!(history.len(), 6);
        assert_eq!(desk.clone.history(&tip, None, 100).unwrap().len(), repo.commits("main").unwrap());
        // Never back again: a cut would hide what is there.
        desk.clone.fetch_tip(&desk.access, "main").unwrap();
        assert!(!desk.clone.is_shallow().unwrap());
    }
}

#[test]
fn case_23_publishing_from_a_shallow_clone_merges_and_harms_nothing() {
    for repo in both("shallow-publish") {
        let desk = Desk::of(&repo);
        desk.clone.fetch_tip(&desk.access, "main").unwrap();
        let change = desk.change("main", "v.yaml", Some("first: 2\nn: 5\nlast: 1\n"));
        // Somebody else changes another line meanwhile.
        repo.push_file("v.yaml", "first: 1\nn: 5\nlast: 9\n", "Set last").unwrap();
        let before = repo.commits("main").unwrap();
        let outcome = desk.publish("main", change).unwrap();
        assert!(matches!(outcome, PublishOutcome::Published { merged: true, .. }), "{outcome:?}");
        assert_eq!(repo.show("main", "v.yaml").unwrap(), "first: 2\nn: 5\nlast: 9\n");
        assert_eq!(repo.commits("main").unwrap(), before + 1, "no history is lost on the server");
        assert!(repo.git(&["fsck", "--strict", "--connectivity-only"]).is_ok());
        assert!(desk.clone.is_shallow().unwrap(), "nothing of this took history");

        // The same line: a conflict that names the right commit.
        let change = desk.change("main", "v.yaml", Some("first: 3\nn: 5\nlast: 9\n"));
        repo.push_file("v.yaml", "first: 4\nn: 5\nlast: 9\n", "Set first to 4").unwrap();
        let outcome = desk.publish("main", change).unwrap();
        let PublishOutcome::Conflict { their_commit, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(their_commit.summary, "Set first to 4");

        // A conflict whose commit lies beyond what a new clone holds is named all the same.
        repo.push_file("unrelated", "1", "Elsewhere").unwrap();
        let fresh = Desk::of(&repo);
        let tip = fresh.clone.fetch_tip(&fresh.access, "main").unwrap().tip.unwrap();
        assert!(fresh.clone.is_shallow().unwrap());
        let seen = fresh.clone.read(&tip, &path("v.yaml"), 100).unwrap().unwrap();
        let mut change = fresh.change("main", "v.yaml", Some("first: 3\nn: 5\nlast: 9\n"));
        change.base_text = Some(b"first: 2\nn: 5\nlast: 9\n".to_vec());
        change.base_blob = None;
        assert_eq!(seen.bytes, b"first: 4\nn: 5\nlast: 9\n");
        let outcome = fresh.publish("main", change).unwrap();
        let PublishOutcome::Conflict { their_commit, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(their_commit.summary, "Set first to 4");
    }
}

#[test]
fn case_33_a_rewrite_is_told_from_hidden_ancestry_in_a_shallow_clone() {
    for repo in both("shallow-rewrite") {
        // A side branch goes its own way and is merged by fast-forward: the way back to our commit leads past a commit
        // that the clone holds without parents.
        let desk = Desk::of(&repo);
        desk.clone.fetch_tip(&desk.access, "main").unwrap();
        repo.git(&["branch", "side", "main"]).unwrap();
        repo.push_file_to("side", "s", "1", "Side one").unwrap();
        repo.push_file_to("side", "s", "2", "Side two").unwrap();
        repo.git(&["tag", "mark", "side"]).unwrap();
        desk.clone.fetch_tag(&desk.access, "mark").unwrap().unwrap();
        repo.push_file_to("side", "s", "3", "Side three").unwrap();
        repo.git(&["update-ref", "refs/heads/main", "side"]).unwrap();
        let fetched = desk.clone.fetch_tip(&desk.access, "main").unwrap();
        assert!(!fetched.rewritten, "{}", repo.url);
        assert!(desk.clone.rescues().unwrap().is_empty());

        // A true rewrite stays one.
        let desk = Desk::of(&repo);
        let old = desk.clone.fetch_tip(&desk.access, "main").unwrap().tip.unwrap();
        repo.git(&["update-ref", "refs/heads/main", "main~2"]).unwrap();
        repo.push_file("v.yaml", "other: 1\n", "Instead").unwrap();
        assert!(desk.clone.fetch_tip(&desk.access, "main").unwrap().rewritten);
        assert_eq!(desk.clone.rescues().unwrap()[0].commit, old);
    }
}

#[test]
fn a_tag_is_brought_without_its_history() {
    for repo in both("shallow-tag") {
        repo.git(&["tag", "v1", "main~1"]).unwrap();
        repo.git(&["tag", "-a", "-m", "Annotated", "v2", "main"]).unwrap();
        let desk = Desk::of(&repo);
        for (tag, text) in [("v1", "first: 1\nn: 4\nlast: 1\n"), ("v2", "first: 1\nn: 5\nlast: 1\n")] {
            let commit = desk.clone.fetch_tag(&desk.access, tag).unwrap().unwrap();
            assert_eq!(desk.clone.read(&commit, &path("v.yaml"), 100).unwrap().unwrap().bytes, text.as_bytes());
        }
        assert!(desk.clone.is_shallow().unwrap());
        let old = repo.git(&["rev-parse", "main~3"]).unwrap();
        let old = pilothouse_git::CommitId::parse(&old).unwrap();
        assert!(matches!(desk.clone.commit_info(&old), Err(Error::NoCommit { .. })));
        desk.clone.fetch(&desk.access, "main").unwrap();
        assert!(desk.clone.commit_info(&old).is_ok() && !desk.clone.is_shallow().unwrap());
    }
}

#[test]
fn a_process_killed_before_the_cut_was_noted_leaves_a_clone_that_mends_itself() {
    for repo in both("shallow-killed") {
        let desk = Desk::of(&repo);
        desk.clone.fetch_tip(&desk.access, "main").unwrap();
        // As it lies after the download, before the cut is written down and the branch is moved.
        let dir = desk.folder();
        std::fs::remove_file(dir.join("shallow")).unwrap();
        std::fs::remove_file(dir.join("refs/remotes/origin/main")).unwrap();
        std::fs::write(dir.join("shallow.lock"), "").unwrap();
        for whole in [false, true] {
            let tip = match whole {
                false => desk.clone.fetch_tip(&desk.access, "main").unwrap().tip.unwrap(),
                true => desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap(),
            };
            assert_eq!(desk.clone.is_shallow().unwrap(), !whole);
            assert_eq!(repo.tip("main").unwrap(), tip.to_string());
        }
        let tip = desk.clone.tip("main").unwrap().unwrap();
        assert_eq!(desk.clone.history(&tip, None, 100).unwrap().len(), 6);
    }
}

#[test]
fn a_folder_is_cloned_whole() {
    let repo = https().create_repo("shallow-local").unwrap();
    repo.push_file("v.yaml", "a: 1\n", "Add v").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let address = pilothouse_git::RemoteUrl::local(&repo.path).unwrap();
    let clone = BareClone::open_or_create(&dir.path().join("c"), &address).unwrap();
    let tip = clone.fetch_tip(&pilothouse_git::Access::default(), "main").unwrap().tip.unwrap();
    assert!(!clone.is_shallow().unwrap());
    assert_eq!(clone.history(&tip, None, 10).unwrap().len(), 2);
}
