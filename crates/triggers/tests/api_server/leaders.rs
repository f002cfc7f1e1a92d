//! A change of leader at the worst moment: still once.

use std::time::Duration;

use pilothouse_cluster::kinds;
use pilothouse_rig::Rig;
use serde_json::json;

use crate::place::{Place, settled_on};
use crate::process::{Engines, serve_if_ordered, signal};

/// Who holds the Lease.
async fn holder(place: &Place) -> String {
    let api = place.cluster.api(&kinds::LEASE, &place.namespace);
    loop {
        let lease = api.get_opt("engines").await.unwrap();
        let holder = lease.and_then(|lease| lease.data["spec"]["holderIdentity"].as_str().map(str::to_owned));
        if let Some(holder) = holder.filter(|holder| !holder.is_empty()) {
            return holder;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until somebody else holds it.
async fn taken_over(place: &Place, from: &str) {
    while holder(place).await == from {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_55_a_leader_that_dies_or_is_held_still_at_a_change_leaves_one_run() {
    serve_if_ordered().await;
    let place = Place::new().await;
    place.deployment().await;
    place.trigger_with(json!({"whileAway": "Run", "guards": {"waitForRollout": false}})).await;
    let dir = tempfile::tempdir().unwrap();
    let test = "leaders::case_55_a_leader_that_dies_or_is_held_still_at_a_change_leaves_one_run";
    let engines = Engines::new(test, Rig::get(), &place.namespace, dir.path());
    let names = ["anna", "bohdan"];
    let mut seats = names.map(|name| engines.candidate(name));
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    for n in 2..=5 {
        let leader = holder(&place).await;
        let at = names.iter().position(|name| *name == leader).unwrap();
        let image = format!("app:{n}");
        place.image(&image).await;
        // Now it has seen the change, or decided, or written it down, or created the run.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(100..700))).await;
        if n % 2 == 0 {
            seats[at].stop();
            taken_over(&place, &leader).await;
            seats[at] = engines.candidate(names[at]);
        } else {
            // Held still for longer than the Lease, as a laptop that sleeps: when it goes on it still takes itself for
            // the leader, and has the next request half done.
            signal(&seats[at], "STOP");
            taken_over(&place, &leader).await;
            place.settled(&image, n - 1).await;
            signal(&seats[at], "CONT");
        }
        place.settled(&image, n - 1).await;
    }
    for seat in &mut seats {
        seat.stop();
    }
    assert_eq!(place.status().await.decisions.len(), 4);
}
