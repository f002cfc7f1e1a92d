//! Against a real API server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod connection;
mod crds;
mod discovery;
mod index;
mod leadership;

use std::time::Duration;

use pilothouse_cluster::Cluster;
use pilothouse_rig::Rig;

/// The rig's cluster, as its administrator.
async fn admin() -> Cluster {
    Cluster::from_client(Rig::get().client().await, "rig", false)
}

/// The most that anything is waited for; only spent when it does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `done`, asked now and again after each wake-up or short pause.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !done() {
        assert!(tokio::time::Instant::now() < end, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
