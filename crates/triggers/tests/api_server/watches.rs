//! Watches that expire, that end, and that tell things twice or late: still once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use pilothouse_triggers::spec::Outcome;
use serde_json::json;

use crate::place::{Place, count, settled_on, stop};
use crate::unruly::{Faults, connection};

#[tokio::test(flavor = "multi_thread")]
async fn case_54_watches_that_end_and_expire_start_nothing_again_and_lose_nothing() {
    let place = Place::new().await;
    place.deployment().await;
    place.trigger(json!({"waitForRollout": false})).await;
    let (cluster, seen) = connection(Faults { expire: true, ..Faults::default() }).await;
    let engine = place.engine_with(&cluster, Arc::new(Timestamp::now));
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    for n in 2..=6 {
        place.image(&format!("app:{n}")).await;
        let status = place.settled(&format!("app:{n}"), n - 1).await;
        assert_eq!(status.decisions.len(), n - 1, "{:#?}", status.decisions);
    }
    stop(engine).await;
    let gone = seen.gone.load(Ordering::Relaxed);
    assert!(gone >= 5, "the server said 410 {gone} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_54_events_that_come_twice_or_late_start_nothing_again() {
    let place = Place::new().await;
    place.deployment().await;
    place.trigger(json!({"waitForRollout": false})).await;
    let (cluster, seen) = connection(Faults { repeat: true, ..Faults::default() }).await;
    let engine = place.engine_with(&cluster, Arc::new(Timestamp::now));
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    for n in 2..=6 {
        place.image(&format!("app:{n}")).await;
        let status = place.settled(&format!("app:{n}"), n - 1).await;
        assert_eq!(count(&status, Outcome::Fired), status.decisions.len(), "{:#?}", status.decisions);
    }
    stop(engine).await;
    let repeated = seen.repeated.load(Ordering::Relaxed);
    assert!(repeated >= 10, "{repeated} events came again");
}
