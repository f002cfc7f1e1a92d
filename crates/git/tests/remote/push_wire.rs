//! Wires that break: whatever is cut, stalled or slow, the server holds the change once or not at all, and the next
//! try ends with it there once.

use std::sync::Arc;
use std::time::Duration;

use pilothouse_git::{Error, Limits, PublishOutcome};
use pilothouse_rig::git_host::{Answer, GitHost, RepoHandle};
use pilothouse_rig::wire::{Fault, Way, Wire};

use crate::stage::*;

/// A repository behind a wire, and a desk at its other end.
struct Bench {
    repo: RepoHandle,
    wire: Wire,
    desk: Desk,
    round: u32,
}

impl Bench {
    fn new(host: &GitHost, name: &str) -> Self {
        let repo = host.create_repo(name).unwrap();
        let wire = Wire::before(host.port()).unwrap();
        let mut desk = Desk::at(&wire.url(&repo.url));
        if repo.url.starts_with("ssh") {
            desk.access.known_hosts = known(&desk.dir, &wire.host_key_line(&host.host_key_line));
        }
        desk.clone.fetch(&desk.access, "main").unwrap();
        Self { repo, wire, desk, round: 0 }
    }

    /// One publication through the wire as it is, of content that is new each time.
    fn publish(&mut self) -> (pilothouse_git::PublishRequest, pilothouse_git::Result<PublishOutcome>) {
        self.round += 1;
        // Enough that the pack fills more than one piece.
        let noise: String = (0..3000).map(|_| fastrand::alphanumeric()).collect();
        let text = format!("round: {}\nnoise: {noise}\n", self.round);
        let change = self.desk.change("main", "a.yaml", Some(&text));
        let wanted =
            pilothouse_git::PublishRequest { message: format!("Round {}", self.round), ..request(vec![change]) };
        let outcome = self.desk.clone.publish(&self.desk.access, "main", &wanted);
        (wanted, outcome)
    }

    /// After a publication under `fault`: the server is whole and holds it once or not at all; tried again on a good
    /// wire, it is there once, and nothing waits to be rescued.
    fn settle(
        &self,
        wanted: &pilothouse_git::PublishRequest,
        outcome: &pilothouse_git::Result<PublishOutcome>,
        fault: &str,
    ) {
        self.wire.usually(Fault::None);
        self.wire.next([]);
        let subject = &wanted.message;
        let count = || {
            let log = self.repo.git(&["log", "--format=%s", "main"]).unwrap();
            log.lines().filter(|line| line == subject).count()
        };
        match outcome {
            Ok(PublishOutcome::Published { .. }) => assert_eq!(count(), 1, "{fault}"),
            Ok(other) => panic!("{fault}: {other:?}"),
            Err(error) => {
                let network = matches!(error.code(), "git.network" | "git.timeout");
                assert!(network, "{fault}: {error:?}");
                assert!(count() <= 1, "{fault}");
            }
        }
        let again = self.desk.clone.publish(&self.desk.access, "main", wanted).unwrap();
        assert!(
            matches!(again, PublishOutcome::Published { .. } | PublishOutcome::Unchanged { .. }),
            "{fault}: {again:?}"
        );
        assert_eq!(count(), 1, "{fault}: there once");
        assert_eq!(self.repo.show("main", "a.yaml").map(String::into_bytes), wanted.changes[0].new, "{fault}");
        assert!(self.desk.clone.rescues().unwrap().is_empty(), "{fault}");
        assert_eq!(self.repo.git(&["rev-list", "--count", "--merges", "main"]).unwrap(), "0");
    }

    /// How many connections one publication takes.
    fn measure(&mut self) -> usize {
        let before = self.wire.connections();
        self.publish().1.unwrap();
        usize::try_from(self.wire.connections() - before).unwrap()
    }
}

/// Cuts one connection of a publication at every place in turn, both ways, and loses the answer.
fn cut_everywhere(host: &GitHost, name: &str, places: &[u64]) {
    let mut bench = Bench::new(host, name);
    let connections = bench.measure();
    let (mut broke, mut held) = (0, 0);
    for connection in 0..connections {
        // What only reads comes first; the last connection carries the pack.
        let places = if connection + 1 == connections { places } else { &places[..1] };
        for &at in places {
            for fault in [Fault::Cut(Way::Up, at), Fault::Cut(Way::Down, at), Fault::Deafen(at)] {
                let plan = std::iter::repeat_n(Fault::None, connection).chain([fault]);
                bench.wire.next(plan);
                let (wanted, outcome) = bench.publish();
                if outcome.is_ok() {
                    held += 1
                } else {
                    broke += 1
                }
                bench.settle(&wanted, &outcome, &format!("{fault:?} on connection {connection} of {connections}"));
            }
        }
    }
    assert!(broke > 3, "the wire did break: {broke} broken, {held} held");
    assert!(bench.repo.git(&["fsck", "--strict"]).is_ok());
}

#[test]
fn case_35_a_wire_cut_anywhere_over_https_loses_and_doubles_nothing() {
    cut_everywhere(https(), "cut", &[1000, 2200, 3500, 4500, 6000]);
}

#[test]
fn case_35_a_wire_cut_anywhere_over_ssh_loses_and_doubles_nothing() {
    cut_everywhere(ssh(), "cut", &[1500, 3000, 4000, 5000, 7000]);
}

#[test]
fn case_35_an_answer_lost_after_the_server_took_the_push_counts_as_published() {
    for (host, name) in [(https(), "deaf"), (ssh(), "deaf")] {
        let mut bench = Bench::new(host, name);
        // The server takes the push, and the connection dies before it can say so.
        bench
            .repo
            .install_hook("post-receive", "#!/bin/sh\ntouch took\nwhile [ ! -e go-on ]; do sleep 0.05; done\n")
            .unwrap();
        let (took, go_on) = (bench.repo.path.join("took"), bench.repo.path.join("go-on"));
        std::thread::scope(|scope| {
            let wire = &bench.wire;
            let watch = scope.spawn(move || {
                while !took.exists() {
                    std::thread::sleep(Duration::from_millis(10));
                }
                wire.cut_all();
                std::fs::write(go_on, "").unwrap();
            });
            // The thread above only needs the wire, this one the rest.
            let change = bench.desk.change("main", "x.yaml", Some("x: 1\n"));
            let outcome = bench.desk.publish("main", change).unwrap();
            assert!(matches!(outcome, PublishOutcome::Published { .. }), "{outcome:?}");
            watch.join().unwrap();
        });
        assert_eq!(bench.repo.commits("main").unwrap(), 2);
        assert!(bench.desk.clone.rescues().unwrap().is_empty());
        bench.repo.remove_hook("post-receive").unwrap();
        let (wanted, outcome) = bench.publish();
        bench.settle(&wanted, &outcome, "after it");
    }
}

#[test]
fn case_35_a_stalled_wire_is_given_up_in_time() {
    // Downwards early: a conversation that finds nothing new may bring little more than the handshake.
    for (host, name, up, down) in [(https(), "stalled", 1500, 900), (ssh(), "stalled", 3500, 1800)] {
        let mut bench = Bench::new(host, name);
        let patient = bench.desk.access.clone();
        for fault in [Fault::Stall(Way::Up, up), Fault::Stall(Way::Down, down), Fault::Stall(Way::Down, 0)] {
            bench.desk.access = impatient(patient.clone());
            bench.wire.usually(fault);
            let (wanted, outcome) = bench.publish();
            let error = outcome.as_ref().unwrap_err();
            assert!(matches!(error, Error::Timeout { .. }), "{fault:?}: {error:?}");
            bench.wire.usually(Fault::None);
            bench.wire.cut_all();
            bench.desk.access = patient.clone();
            bench.settle(&wanted, &outcome, &format!("{fault:?}"));
        }
    }
}

#[test]
fn case_35_a_byte_at_a_time_arrives_for_the_patient_and_ends_for_the_others() {
    for (host, name, at) in [(https(), "trickle", 3000), (ssh(), "trickle", 4000)] {
        let mut bench = Bench::new(host, name);
        let patient = bench.desk.access.clone();
        // The last thousand bytes come one at a time.
        bench.wire.usually(Fault::Trickle(Way::Down, at, Duration::from_millis(1)));
        let (wanted, outcome) = bench.publish();
        assert!(outcome.is_ok(), "{outcome:?}");
        bench.settle(&wanted, &outcome, "slow");
        // One byte a second, scaled: from the start, so that no handshake ends in time.
        bench.wire.usually(Fault::Trickle(Way::Down, 0, Duration::from_millis(50)));
        bench.desk.access = impatient(patient.clone());
        let (wanted, outcome) = bench.publish();
        assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}");
        bench.wire.cut_all();
        // Somebody who stops waiting is heard at once, whatever the wire does.
        let limits = Limits { stall: Duration::from_secs(60), ..Limits::default() };
        let access = watched(&pilothouse_git::Access { limits, ..patient.clone() }, Arc::new(StopSoon::default()));
        let stopped = bench.desk.clone.fetch(&access, "main");
        assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
        bench.wire.cut_all();
        bench.desk.access = patient;
        bench.settle(&wanted, &outcome, "too slow");
    }
}

/// Wants to stop at the third time of asking.
#[derive(Default)]
struct StopSoon(std::sync::atomic::AtomicU32);

impl pilothouse_git::Observer for StopSoon {
    fn progress(&self, _: &pilothouse_git::Progress) {}

    fn cancelled(&self) -> bool {
        self.0.fetch_add(1, std::sync::atomic::Ordering::AcqRel) >= 3
    }
}

#[test]
fn case_35_a_wire_that_refuses_resets_or_delays() {
    for (host, name) in [(https(), "reset"), (ssh(), "reset")] {
        let mut bench = Bench::new(host, name);
        bench.wire.usually(Fault::Reset);
        let (wanted, outcome) = bench.publish();
        assert!(outcome.is_err());
        bench.settle(&wanted, &outcome, "reset");
        bench.wire.unplug();
        let (wanted, outcome) = bench.publish();
        assert!(matches!(outcome, Err(Error::Network { .. })), "{outcome:?}");
        bench.wire.plug_in().unwrap();
        bench.settle(&wanted, &outcome, "refused");
        bench.wire.usually(Fault::Delay(Way::Down, Duration::from_millis(30)));
        let (wanted, outcome) = bench.publish();
        assert!(outcome.is_ok());
        bench.settle(&wanted, &outcome, "late");
    }
}

#[test]
fn case_35_a_server_that_fails_after_taking_the_push_is_asked_what_it_has() {
    let repo = https().create_repo("gateway").unwrap();
    https().answer("/gateway/", Answer::Alias);
    let desk = Desk::at(&format!("https://127.0.0.1:{}/gateway/gateway.git", https().port()));
    desk.clone.fetch(&desk.access, "main").unwrap();
    // A gateway gives up on the push itself, which the server never saw.
    https().answer("/gateway/gateway.git/git-receive-pack", Answer::Words(504, Vec::new(), String::new()));
    let change = desk.change("main", "x.yaml", Some("x: 1\n"));
    let error = desk.publish("main", change.clone()).unwrap_err();
    assert!(matches!(&error, Error::Network { words, .. } if words.contains("504")), "{error:?}");
    assert_eq!((repo.commits("main").unwrap(), desk.clone.rescues().unwrap().len()), (1, 1));
    // This time the server had taken it.
    let kept = desk.clone.rescues().unwrap()[0].commit.to_string();
    let pack = desk.folder();
    repo.git(&["fetch", "-q", &pack.display().to_string(), "+refs/pilothouse/rescue/*:refs/taken/*"]).unwrap();
    repo.git(&["update-ref", "refs/heads/main", &kept]).unwrap();
    https().answer_truly("/gateway/gateway.git/git-receive-pack");
    let again = desk.publish("main", change).unwrap();
    assert!(matches!(&again, PublishOutcome::Published { commit, .. } if commit.id.to_string() == kept), "{again:?}");
    assert_eq!((repo.commits("main").unwrap(), desk.clone.rescues().unwrap().len()), (2, 0));
}
