//! Many writers, one branch: all land, nothing is forced, nothing is lost.

use std::sync::{Arc, Barrier};

use pilothouse_git::PublishOutcome;
use pilothouse_rig::git_host::{Answer, GitHost, RepoHandle};

use crate::stage::*;
use crate::writer::Task;

/// A server that notes every change of a reference, and refuses anything but a step forward.
fn strict(host: &GitHost, name: &str) -> RepoHandle {
    let repo = host.create_repo(name).unwrap();
    repo.git(&["config", "receive.denyNonFastForwards", "true"]).unwrap();
    repo.git(&["config", "receive.denyDeletes", "true"]).unwrap();
    repo.install_hook("post-receive", "#!/bin/sh\ncat >> moves\n").unwrap();
    repo
}

/// Each commit of `writers` lies in one unbroken line from `start` to the tip, and so does each move the server made.
fn all_landed(repo: &RepoHandle, start: &str, writers: &[String]) {
    for writer in writers {
        assert_eq!(repo.show("main", &format!("{writer}.yaml")), Some(format!("writer: {writer}\n")));
    }
    let count = repo.git(&["rev-list", "--count", &format!("{start}..main")]).unwrap();
    assert_eq!(count, writers.len().to_string(), "one commit each");
    assert_eq!(repo.git(&["rev-list", "--count", "--merges", "main"]).unwrap(), "0", "in a row");
    let moves = std::fs::read_to_string(repo.path.join("moves")).unwrap();
    let mut at = start.to_owned();
    let mine = moves.lines().skip_while(|line| !line.starts_with(start));
    for line in mine {
        let [old, new, "refs/heads/main"] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert_eq!(old, at, "each push goes on from the one before");
        assert_eq!(repo.git(&["merge-base", old, new]).unwrap(), old, "never sideways");
        at = new.to_owned();
    }
    assert_eq!(Some(at), repo.tip("main"));
    assert!(repo.git(&["fsck", "--strict"]).is_ok());
}

/// `writers` threads, each through an address of its own so that no lock of ours keeps them in line.
fn threads(name: &str, writers: usize) {
    let repo = strict(https(), name);
    let start = repo.tip("main").unwrap();
    let barrier = Arc::new(Barrier::new(writers));
    let threads: Vec<_> = (0..writers)
        .map(|writer| {
            let prefix = format!("/{name}-{writer}/");
            https().answer(&prefix, Answer::Alias);
            let desk = Desk::at(&format!("https://127.0.0.1:{}{prefix}{name}.git", https().port()));
            let barrier = Arc::clone(&barrier);
            std::thread::spawn(move || {
                desk.clone.fetch(&desk.access, "main").unwrap();
                let change = desk.change("main", &format!("{writer}.yaml"), Some(&format!("writer: {writer}\n")));
                barrier.wait();
                match desk.publish("main", change).unwrap() {
                    PublishOutcome::Published { replays, .. } => assert!(replays < 10),
                    other => panic!("{other:?}"),
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    all_landed(&repo, &start, &(0..writers).map(|writer| writer.to_string()).collect::<Vec<_>>());
}

/// `writers` processes with a clone each, three times over on the same branch.
fn processes(host: &GitHost, name: &str, writers: usize) {
    let repo = strict(host, name);
    for round in 0..3 {
        let start = repo.tip("main").unwrap();
        let desks: Vec<_> = (0..writers).map(|_| Desk::of(&repo)).collect();
        let go = desks[0].dir.path().join("go");
        let names: Vec<_> = (0..writers).map(|writer| format!("r{round}-w{writer}")).collect();
        let running: Vec<_> = desks
            .iter()
            .zip(&names)
            .map(|(desk, name)| {
                let file = format!("{name}.yaml");
                let task = Task::new(desk, &file, &format!("writer: {name}\n"), &format!("Change of {name}"));
                Task { go: Some(go.clone()), ..task }.start()
            })
            .collect();
        std::fs::write(&go, "").unwrap();
        for writer in running {
            let (status, said) = writer.wait();
            assert!(status.success() && said.starts_with("published"), "{said}");
        }
        all_landed(&repo, &start, &names);
    }
}

#[test]
fn case_31_two_writers_at_once_both_land() {
    threads("two", 2);
    processes(ssh(), "two", 2);
}

#[test]
fn case_31_ten_writers_at_once_all_land() {
    threads("ten", 10);
}

#[test]
fn case_31_ten_processes_all_land_over_https_three_times() {
    processes(https(), "ten-processes", 10);
}

#[test]
fn case_31_ten_processes_all_land_over_ssh_three_times() {
    processes(ssh(), "ten-processes", 10);
}

#[test]
fn case_38_two_processes_share_one_clone() {
    for host in [https(), ssh()] {
        let repo = strict(host, "one-clone");
        let start = repo.tip("main").unwrap();
        let desk = Desk::of(&repo);
        let go = desk.dir.path().join("go");
        let names = ["a", "b", "c"].map(str::to_owned);
        let running = names.clone().map(|name| {
            let task = Task::new(&desk, &format!("{name}.yaml"), &format!("writer: {name}\n"), "From one clone");
            Task { go: Some(go.clone()), ..task }.start()
        });
        std::fs::write(&go, "").unwrap();
        for writer in running {
            let (status, said) = writer.wait();
            assert!(status.success() && said.starts_with("published"), "{said}");
        }
        all_landed(&repo, &start, &names);
        assert!(desk.clone.rescues().unwrap().is_empty());
    }
}
