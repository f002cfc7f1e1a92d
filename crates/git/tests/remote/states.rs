//! Every way in which a server's branch can stand.

use pilothouse_git::{Depth, RemoteState, WayOut};
use pilothouse_rig::git_host::RepoHandle;

use crate::stage::*;

fn look(desk: &Desk, branch: &str) -> RemoteState {
    desk.clone.look(&desk.access, branch, Depth::Whole).unwrap().state
}

#[test]
fn case_33_moved_rewritten_deleted_renamed_and_another_default_are_told_apart() {
    for host in [https(), ssh()] {
        let repo: RepoHandle = host.create_repo("states").unwrap();
        let desk = Desk::of(&repo);
        assert_eq!(look(&desk, "main"), RemoteState::New);
        assert_eq!(look(&desk, "main"), RemoteState::UpToDate);
        repo.push_file("a", "1", "One").unwrap();
        let lost = repo.push_file("a", "2", "Two").unwrap();
        assert_eq!(look(&desk, "main"), RemoteState::Moved { commits: 2, more: false });

        repo.git(&["update-ref", "refs/heads/main", "main~2"]).unwrap();
        repo.push_file("b", "1", "Instead").unwrap();
        let state = look(&desk, "main");
        assert!(matches!(&state, RemoteState::Rewritten { kept } if kept.to_string() == lost), "{state:?}");
        assert_eq!(state.way_out(), WayOut::LookThroughKept);
        let kept = desk.clone.kept_commits("main").unwrap();
        let summaries: Vec<_> = kept[0].commits.iter().map(|commit| commit.summary.as_str()).collect();
        assert_eq!(summaries, ["Two", "One"], "only what the branch lost");
        assert!(kept[0].commits.iter().all(|commit| commit.time_unix > 0) && kept[0].kept_unix > 0);

        repo.git(&["branch", "trunk", "main"]).unwrap();
        repo.set_default_branch("trunk").unwrap();
        let changed = RemoteState::DefaultBranchChanged { from: "main".into(), to: "trunk".into() };
        assert_eq!(look(&desk, "main"), changed);
        assert_eq!(look(&desk, "main"), RemoteState::UpToDate, "it is told once");

        // Renamed, with a commit added under the new name.
        repo.push_file_to("trunk", "c", "1", "Under the new name").unwrap();
        repo.git(&["update-ref", "-d", "refs/heads/main"]).unwrap();
        let state = look(&desk, "main");
        assert!(matches!(&state, RemoteState::BranchRenamed { to, .. } if to == "trunk"), "{state:?}");
        assert_eq!(state.way_out(), WayOut::UseBranch { branch: Some("trunk".into()) });

        // Gone, with its commits.
        repo.push_file_to("work", "d", "1", "Work").unwrap();
        assert_eq!(look(&desk, "work"), RemoteState::New);
        let tip = desk.clone.tip("work").unwrap();
        repo.git(&["update-ref", "-d", "refs/heads/work"]).unwrap();
        let gone = RemoteState::BranchDeleted { kept: tip.clone(), default_branch: Some("trunk".into()) };
        assert_eq!(look(&desk, "work"), gone);
        assert!(desk.clone.rescues().unwrap().iter().any(|rescue| Some(&rescue.commit) == tip.as_ref()));
        assert!(!gone.readable());
    }
}

#[test]
fn case_23_empty_detached_and_headless_repositories_are_told_apart() {
    for host in [https(), ssh()] {
        let repo = host.create_empty_repo("states-empty").unwrap();
        let desk = Desk::of(&repo);
        let state = look(&desk, "main");
        assert_eq!((state.way_out(), state), (WayOut::FirstCommit, RemoteState::Empty));
        desk.publish("main", desk.change("main", "a", Some("1"))).unwrap();
        assert!(matches!(look(&desk, "main"), RemoteState::UpToDate | RemoteState::New));

        // HEAD names a branch that is not there.
        repo.set_default_branch("nowhere").unwrap();
        let headless = RemoteState::NoDefaultBranch { detached: false, branches: vec!["main".into()] };
        assert_eq!(look(&desk, "main"), headless);
        assert!(headless.readable() && headless.writable());
        assert_eq!(headless.way_out(), WayOut::ChooseDefaultBranch);
        // HEAD names a commit.
        let tip = repo.tip("main").unwrap();
        repo.git(&["update-ref", "--no-deref", "HEAD", &tip]).unwrap();
        let detached = RemoteState::NoDefaultBranch { detached: true, branches: vec!["main".into()] };
        assert_eq!(look(&desk, "main"), detached);
        // Nothing is assumed about the default branch's name.
        repo.git(&["branch", "-m", "main", "master"]).unwrap();
        repo.set_default_branch("master").unwrap();
        let report = desk.clone.look(&desk.access, "master", Depth::Whole).unwrap();
        assert_eq!((report.default_branch.as_deref(), report.tip.is_some()), (Some("master"), true));
        let changed = RemoteState::DefaultBranchChanged { from: "main".into(), to: "master".into() };
        assert_eq!(report.state, changed);
    }
}

#[test]
fn case_23_a_sha_256_repository_is_named_as_such() {
    for (host, filled) in [(https(), true), (ssh(), true), (https(), false)] {
        let name = if filled { "sha256" } else { "sha256-empty" };
        let repo = host.create_empty_repo(name).unwrap();
        std::fs::remove_dir_all(&repo.path).unwrap();
        let place = repo.path.to_string_lossy().into_owned();
        let init = ["init", "-q", "--bare", "--object-format=sha256", "--template=", "--initial-branch=main", &place];
        assert!(std::process::Command::new("git").args(init).status().unwrap().success());
        if filled {
            let tree = repo.git_with_input(&["mktree"], b"").unwrap();
            let commit = repo.git(&["commit-tree", "-m", "First", &tree]).unwrap();
            assert_eq!(commit.len(), 64);
            repo.git(&["update-ref", "refs/heads/main", &commit]).unwrap();
        }
        let desk = Desk::of(&repo);
        let state = look(&desk, "main");
        // Git before 2.41 says nothing of an empty repository, so nobody can know.
        let said = repo.git(&["upload-pack", "--advertise-refs", "."]).unwrap();
        if !said.contains("object-format=sha256") {
            assert!(!filled);
            assert_eq!(state, RemoteState::Empty);
            continue;
        }
        assert_eq!((state.way_out(), state.readable()), (WayOut::UseSha1, false));
        assert_eq!(state, RemoteState::Sha256Repository);
        let error = desk.clone.fetch(&desk.access, "main").unwrap_err();
        assert_eq!(error.code(), "git.sha256", "{error}");
    }
}
