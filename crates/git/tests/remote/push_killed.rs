//! Processes that are killed or starved on the way: the server's branch and the clone are old or new, never half, and
//! the next try ends with the change there once.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use pilothouse_git::{Access, BareClone, Error, PublishOutcome};
use pilothouse_rig::git_host::{GitHost, RepoHandle};
use pilothouse_rig::wire::{Fault, Way, Wire};

use crate::stage::*;
use crate::writer::Task;

fn count(repo: &RepoHandle, subject: &str) -> usize {
    let log = repo.git(&["log", "--format=%s", "main"]).unwrap();
    log.lines().filter(|line| *line == subject).count()
}

/// What must hold after a process died on `task`: nothing is half done, and the next process finishes it once.
fn settled(repo: &RepoHandle, desk: &Desk, task: &Task, after: &str) {
    assert!(repo.git(&["fsck", "--strict"]).is_ok(), "{after}");
    assert!(count(repo, &task.message) <= 1, "{after}");
    // A process that starts anew opens the clone as it was left.
    let clone = BareClone::open_or_create(&desk.folder(), desk.clone.url()).unwrap();
    let request = task.request(&clone, &desk.access);
    let outcome = clone.publish(&desk.access, "main", &request).unwrap();
    assert!(
        matches!(outcome, PublishOutcome::Published { .. } | PublishOutcome::Unchanged { .. }),
        "{after}: {outcome:?}"
    );
    assert_eq!(count(repo, &task.message), 1, "{after}: there once");
    assert_eq!(repo.show("main", &task.file).as_deref(), Some(task.text.as_str()), "{after}");
    assert!(clone.rescues().unwrap().is_empty(), "{after}");
    let refs = git2::Repository::open_bare(desk.folder()).unwrap();
    assert_eq!(refs.references_glob("refs/pilothouse/*").unwrap().count(), 0, "{after}: nothing is left over");
}

/// Kills the process at its first sign of life, then at its second, and so on, until it gets through.
fn killed_at_every_step(host: &GitHost, name: &str) {
    let repo = host.create_repo(name).unwrap();
    let desk = Desk::of(&repo);
    desk.clone.fetch(&desk.access, "main").unwrap();
    let mut steps = 0;
    for step in 1..60 {
        let task = Task::new(&desk, "dev/a.yaml", &format!("step: {step}\n"), &format!("Step {step}"));
        let (status, said) = Task { stop_at: Some(step), ..task.clone() }.start().wait();
        let killed = status.signal() == Some(9);
        assert!(killed || said.starts_with("published"), "{said}");
        settled(&repo, &desk, &task, &format!("killed at step {step}"));
        steps = step;
        if !killed {
            break;
        }
    }
    assert!((5..59).contains(&steps), "{steps} steps were seen");
}

#[test]
fn case_36_killed_at_every_step_over_https() {
    killed_at_every_step(https(), "killed-steps");
}

#[test]
fn case_36_killed_at_every_step_over_ssh() {
    killed_at_every_step(ssh(), "killed-steps");
}

/// Kills the process while its connection is stopped after so many bytes, both ways.
#[test]
fn case_36_killed_in_the_middle_of_the_pack_and_of_the_answer() {
    let repo = ssh().create_repo("killed-bytes").unwrap();
    let wire = Wire::before(ssh().port()).unwrap();
    let mut desk = Desk::at(&wire.url(&repo.url));
    let line = wire.host_key_line(&ssh().host_key_line);
    desk.access.known_hosts = known(&desk.dir, &line);
    desk.clone.fetch(&desk.access, "main").unwrap();
    for (round, at) in [500, 2500, 3400, 3800, 4200, 4800, 6000].into_iter().enumerate() {
        for way in [Way::Up, Way::Down] {
            let noise: String = (0..2000).map(|_| fastrand::alphanumeric()).collect();
            let subject = format!("Round {round} {way:?}");
            let task = Task::new(&desk, "dev/a.yaml", &format!("noise: {noise}\n"), &subject);
            let task = Task { host_key_line: line.clone(), ..task };
            // The child fetches twice, and then pushes.
            wire.next([Fault::None, Fault::None, Fault::Stall(way, at)]);
            let taken = wire.connections();
            let writer = task.start();
            let start = Instant::now();
            let (mut last, mut still) = ((0, 0), 0);
            // It has stopped when nothing moves on its third connection, or has got through.
            while still < 12 && start.elapsed() < Duration::from_secs(30) {
                std::thread::sleep(Duration::from_millis(25));
                let now = (wire.carried(Way::Up), wire.carried(Way::Down));
                still = if now == last && wire.connections() >= taken + 3 { still + 1 } else { 0 };
                last = now;
            }
            writer.signal("KILL");
            writer.wait();
            wire.next([]);
            wire.cut_all();
            settled(&repo, &desk, &task, &format!("killed after {at} bytes {way:?}"));
        }
    }
}

/// A machine that sleeps in the middle of a push and wakes up in another network.
#[test]
fn case_39_asleep_in_the_middle_of_a_push_and_awake_in_another_network() {
    let repo = ssh().create_repo("asleep").unwrap();
    let wire = Wire::before(ssh().port()).unwrap();
    let mut desk = Desk::at(&wire.url(&repo.url));
    let line = wire.host_key_line(&ssh().host_key_line);
    desk.access.known_hosts = known(&desk.dir, &line);
    desk.clone.fetch(&desk.access, "main").unwrap();
    for at in [3000, 4200] {
        let task = Task::new(&desk, "dev/a.yaml", &format!("at: {at}\n"), &format!("Asleep at {at}"));
        let task = Task { host_key_line: line.clone(), stall: Duration::from_secs(5), ..task };
        wire.next([Fault::None, Fault::None, Fault::Stall(Way::Up, at)]);
        let taken = wire.connections();
        let writer = task.start();
        while wire.connections() < taken + 3 {
            std::thread::sleep(Duration::from_millis(10));
        }
        writer.signal("STOP");
        wire.cut_all();
        wire.unplug();
        wire.plug_in().unwrap();
        writer.signal("CONT");
        let (status, said) = writer.wait();
        assert!(status.success(), "{said}");
        assert!(said.starts_with("published") || said.starts_with("git.network"), "{said}");
        settled(&repo, &desk, &task, &format!("asleep at {at}"));
    }
}

/// Whether this user may mount a file system of its own, and the command that begins a shell which can.
fn mounting_shell() -> Option<Vec<&'static str>> {
    [vec!["unshare", "-m"], vec!["unshare", "-rm"]].into_iter().find(|words| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["sh", "-c", "mount -t tmpfs -o size=64k none /mnt"]);
        command.output().is_ok_and(|output| output.status.success())
    })
}

/// Runs `task` with its clone's folder on a file system that `prepare` makes of it; the clone on the real one stays.
fn on_a_strange_disk(task: &Task, prepare: &str) -> Option<(std::process::ExitStatus, String)> {
    let words = mounting_shell()?;
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(["sh", "-c", &format!("set -e\n{prepare}\nexec \"$@\""), "sh"]);
    command.arg(std::env::current_exe().unwrap());
    command.env("CLONE", &task.clone);
    Some(task.start_through(command).wait())
}

#[test]
fn case_37_a_full_or_read_only_disk_is_told_and_leaves_the_clone_whole() {
    let repo = https().create_repo("strange-disk").unwrap();
    let desk = Desk::of(&repo);
    desk.clone.fetch(&desk.access, "main").unwrap();
    let before = repo.tip("main");
    let noise: String = (0..600_000).map(|_| fastrand::alphanumeric()).collect();
    // A full disk: room for the clone as it is and a little more; what is fetched does not fit.
    repo.push_file("big.txt", &noise, "Big").unwrap();
    let task = Task::new(&desk, "dev/a.yaml", "a: 1\n", "On a strange disk");
    let full = "cp -a \"$CLONE\" /tmp/full-$$\nmount -t tmpfs -o size=300k none \"$CLONE\"\n\
                cp -a /tmp/full-$$/. \"$CLONE\"\nrm -rf /tmp/full-$$";
    let read_only = "mount --bind \"$CLONE\" \"$CLONE\"\nmount -o remount,bind,ro \"$CLONE\"";
    for (prepare, sign) in [(full, "No space left"), (read_only, "Read-only file system")] {
        let Some((_, said)) = on_a_strange_disk(&task, prepare) else {
            let why = "no file system may be mounted here, so a full disk cannot be shown";
            pilothouse_rig::skipped("case_37_a_full_or_read_only_disk", &why);
            return;
        };
        assert!(said.to_lowercase().contains(&sign.to_lowercase()), "{said}");
        assert!(!said.contains("published"), "{said}");
    }
    assert_ne!(repo.tip("main"), before);
    settled(&repo, &desk, &task, "on a good disk");
}

#[test]
fn case_37_locks_of_the_dead_are_removed_and_the_living_are_waited_for() {
    let repo = https().create_repo("locks").unwrap();
    let desk = Desk::of(&repo);
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let dir = desk.folder();
    // What a process leaves that is killed while it writes.
    for file in ["refs/remotes/origin/main.lock", "packed-refs.lock", "HEAD.lock", "objects/pack/tmp_pack_1"] {
        std::fs::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
        std::fs::write(dir.join(file), "half").unwrap();
    }
    let raw = git2::Repository::open_bare(&dir).unwrap();
    let left = git2::Oid::from_str(&tip.to_string()).unwrap();
    raw.reference("refs/pilothouse/outgoing/abc", left, true, "left by a dead process").unwrap();
    let outcome = desk.publish("main", desk.change("main", "x", Some("y"))).unwrap();
    assert!(matches!(outcome, PublishOutcome::Published { .. }), "{outcome:?}");
    assert!(!dir.join("refs/remotes/origin/main.lock").exists() && !dir.join("packed-refs.lock").exists());
    assert_eq!(raw.references_glob("refs/pilothouse/*").unwrap().count(), 0);

    // A lock that somebody alive holds is respected, and told in the end.
    let held = std::fs::File::options().write(true).open(dir.join("pilothouse.lock")).unwrap();
    held.lock().unwrap();
    let error = desk.clone.fetch(&impatient(desk.access.clone()), "main").unwrap_err();
    assert!(matches!(&error, Error::Clone { why, .. } if why.contains("another operation")), "{error:?}");
    drop(held);
    assert!(desk.clone.fetch(&desk.access, "main").is_ok());
}

#[test]
fn case_39_clocks_that_differ_by_a_day_or_a_century_change_no_order() {
    let repo = ssh().create_repo("clocks").unwrap();
    let desk = Desk::of(&repo);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let day = 24 * 60 * 60;
    let mut wanted = vec!["First commit".to_owned()];
    for (number, time) in [now + day, now - day, 0, 4_102_444_800, now - day, 99_999_999_999].into_iter().enumerate() {
        let subject = format!("Theirs {number}");
        let blob = repo.git_with_input(&["hash-object", "-w", "--stdin"], subject.as_bytes()).unwrap();
        let tree = repo.git(&["ls-tree", "main"]).unwrap();
        let tree: Vec<_> = tree.lines().filter(|line| !line.ends_with("\tclock.yaml")).collect();
        let listing = format!("{}\n100644 blob {blob}\tclock.yaml\n", tree.join("\n"));
        let tree = repo.git_with_input(&["mktree"], listing.as_bytes()).unwrap();
        let parent = repo.tip("main").unwrap();
        let who = format!("E <e@x> {time} +0000");
        let text = format!("tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\n{subject}\n");
        let commit = repo.git_with_input(&["hash-object", "-t", "commit", "-w", "--stdin"], text.as_bytes()).unwrap();
        repo.git(&["update-ref", "refs/heads/main", &commit]).unwrap();
        wanted.push(subject.clone());

        let fetched = desk.clone.fetch(&desk.access, "main").unwrap();
        assert!(!fetched.rewritten, "{subject}");
        let tip = fetched.tip.unwrap();
        let newest = desk.clone.last_change(&tip, &path("clock.yaml")).unwrap().unwrap();
        assert_eq!(newest.summary, subject, "the newest is the one on top, whatever its date");
        let change = desk.change("main", "ours.yaml", Some(&format!("n: {number}\n")));
        let mine = pilothouse_git::PublishRequest { message: format!("Ours {number}"), ..request(vec![change]) };
        let outcome = desk.clone.publish(&desk.access, "main", &mine).unwrap();
        assert!(matches!(outcome, PublishOutcome::Published { replays: 0, .. }), "{outcome:?}");
        wanted.push(format!("Ours {number}"));
        let tip = desk.clone.tip("main").unwrap().unwrap();
        let told: Vec<_> = desk.clone.history(&tip, None, 50).unwrap().into_iter().map(|info| info.summary).collect();
        assert_eq!(told, wanted.iter().rev().cloned().collect::<Vec<_>>());
    }
    let _: &Access = &desk.access;
}
