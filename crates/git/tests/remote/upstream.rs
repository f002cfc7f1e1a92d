//! Branches that others rewrite, remove or rename; processes that die.

use pilothouse_git::{BareClone, Error};

use crate::stage::*;

#[test]
fn a_rewritten_branch_is_noticed_and_the_old_commits_are_kept() {
    let repo = https().create_repo("rewritten").unwrap();
    repo.push_file("v.yaml", "a: 1\n", "Will be dropped").unwrap();
    let desk = Desk::of(&repo);
    let old = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    repo.git(&["update-ref", "refs/heads/main", "main~1"]).unwrap();
    repo.push_file("v.yaml", "a: 2\n", "Instead").unwrap();
    let fetched = desk.clone.fetch(&desk.access, "main").unwrap();
    assert!(fetched.rewritten);
    assert_eq!((fetched.old_tip.as_ref(), fetched.tip.map(|tip| tip.to_string())), (Some(&old), repo.tip("main")));
    let kept = desk.clone.rescues().unwrap();
    assert_eq!(kept.iter().map(|rescue| &rescue.commit).collect::<Vec<_>>(), [&old]);
    assert_eq!(desk.clone.read(&old, &path("v.yaml"), 100).unwrap().unwrap().bytes, b"a: 1\n");
    let again = desk.clone.fetch(&desk.access, "main").unwrap();
    assert!(!again.rewritten);
    assert_eq!(desk.clone.rescues().unwrap().len(), 1);
}

#[test]
fn a_removed_branch_is_gone_here_too_but_kept() {
    let repo = ssh().create_repo("removed").unwrap();
    repo.push_file_to("work", "x", "y", "On a branch").unwrap();
    let desk = Desk::of(&repo);
    let old = desk.clone.fetch(&desk.access, "work").unwrap().tip.unwrap();
    repo.git(&["update-ref", "-d", "refs/heads/work"]).unwrap();
    let fetched = desk.clone.fetch(&desk.access, "work").unwrap();
    assert!(fetched.tip.is_none() && fetched.rewritten && !fetched.empty);
    assert_eq!(desk.clone.tip("work").unwrap(), None);
    assert_eq!(desk.clone.rescues().unwrap()[0].commit, old);
}

#[test]
fn only_the_asked_branch_is_brought() {
    let repo = https().create_repo("narrow").unwrap();
    let other = repo.push_file_to("other", "big", "x", "Elsewhere").unwrap();
    repo.git(&["tag", "v1", "other"]).unwrap();
    let desk = Desk::of(&repo);
    desk.clone.fetch(&desk.access, "main").unwrap();
    let id = pilothouse_git::CommitId::parse(&other).unwrap();
    assert!(matches!(desk.clone.commit_info(&id), Err(Error::NoCommit { .. })));
    for bad in ["", "-x", "a..b", "a b", "HEAD", "a:b", "*", "refs/../x", "a\nb", "x.lock"] {
        assert!(matches!(desk.clone.fetch(&desk.access, bad), Err(Error::BadBranch { .. })), "{bad:?}");
    }
}

#[test]
fn what_a_killed_process_left_does_not_stop_us() {
    let repo = https().create_repo("killed").unwrap();
    let desk = Desk::of(&repo);
    desk.clone.fetch(&desk.access, "main").unwrap();
    let dir = desk.folder();
    let refs = dir.join("refs/remotes/origin");
    std::fs::create_dir_all(&refs).unwrap();
    for lock in ["main.lock", "other.lock"] {
        std::fs::write(refs.join(lock), "").unwrap();
    }
    std::fs::write(dir.join("packed-refs.lock"), "").unwrap();
    std::fs::write(dir.join("config.lock"), "").unwrap();
    std::fs::create_dir_all(dir.join("objects/pack")).unwrap();
    std::fs::write(dir.join("objects/pack/tmp_pack_x"), "half").unwrap();
    // Half a clone, as it lies beside its place before it is moved.
    let parent = dir.parent().unwrap();
    std::fs::create_dir_all(parent.join(".clone-old/repo/objects")).unwrap();
    repo.push_file("x", "y", "More").unwrap();
    assert!(desk.clone.fetch(&desk.access, "main").unwrap().tip.is_some());
    assert!(!refs.join("main.lock").exists() && !dir.join("objects/pack/tmp_pack_x").exists());
    let url = desk.clone.url().clone();
    assert!(BareClone::open_or_create(&dir, &url).unwrap().tip("main").unwrap().is_some());
}

#[test]
fn a_folder_that_is_no_clone_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("letter"), "dear").unwrap();
    let address = url("https://git.example/r");
    assert!(matches!(BareClone::open_or_create(dir.path(), &address), Err(Error::Clone { .. })));
    assert_eq!(std::fs::read_to_string(dir.path().join("letter")).unwrap(), "dear");
}

#[test]
fn several_openers_share_one_clone() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("a/b/clone");
    let address = url("https://git.example/r");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (place, address) = (place.clone(), address.clone());
            std::thread::spawn(move || BareClone::open_or_create(&place, &address).map(drop))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    let left: Vec<_> = std::fs::read_dir(place.parent().unwrap()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "no temporary folder stays: {left:?}");
}
