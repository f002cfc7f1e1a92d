//! How most of these stories begin: the Deployment `cart`, a trigger on it, and an engine that has seen both. And how
//! they end.

use pilothouse_triggers::spec::{Outcome, TriggerStatus};
use serde_json::{Value, json};

use crate::place::{Place, Running, count, settled_on};

/// With a trigger under these guards.
pub async fn watched(guards: Value) -> (Place, Running) {
    watched_with(json!({"guards": guards})).await
}

/// With a trigger that says this, too.
pub async fn watched_with(more: Value) -> (Place, Running) {
    let place = Place::new().await;
    place.deployment().await;
    place.trigger_with(more).await;
    let engine = place.engine();
    place.until("the first sight", |status| settled_on(status, "app:1")).await;
    (place, engine)
}

/// Nothing waits, and no run goes on.
pub fn at_rest(status: &TriggerStatus) -> bool {
    count(status, Outcome::Waited) == 0 && status.open_runs().is_empty()
}
