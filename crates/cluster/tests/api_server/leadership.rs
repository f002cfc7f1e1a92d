//! Leadership: one at most, and soon another when the one is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::client::Body;
use pilothouse_cluster::{Cluster, Leadership, Timing, kinds};
use pilothouse_rig::Rig;

use crate::{admin, until};

const QUICK: Timing = Timing {
    lease: Duration::from_secs(3),
    renew_within: Duration::from_millis(1500),
    every: Duration::from_millis(150),
};

/// A cluster whose requests hang for ever while `cut`.
async fn with_cut(cut: Arc<AtomicBool>) -> Cluster {
    let client = Rig::get().client().await;
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (client, cut) = (client.clone(), cut.clone());
        async move {
            if cut.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            client.send(request).await
        }
    });
    Cluster::from_client(kube::Client::new(service, "default"), "rig", false)
}

#[tokio::test]
async fn of_two_exactly_one_leads_and_the_other_takes_over() {
    let namespace = Rig::get().namespace("lease").await;
    let cuts = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
    let mut candidates = Vec::new();
    for (cut, identity) in cuts.iter().zip(["one", "two"]) {
        candidates.push(Leadership::start(&with_cut(cut.clone()).await, &namespace, "engine", identity, QUICK));
    }
    let leaders = |candidates: &[Leadership]| candidates.iter().filter(|candidate| candidate.is_leader()).count();
    until("a leader", || leaders(&candidates) == 1).await;
    let first = candidates.iter().position(Leadership::is_leader).unwrap();
    let name = |at: usize| ["one", "two"][at];
    until("both to know it", || candidates.iter().all(|c| c.holder().as_deref() == Some(name(first)))).await;

    // The leader's connection hangs: it must stand down before the other stands up.
    cuts[first].store(true, Ordering::SeqCst);
    let other = 1 - first;
    until("the other to take over", || {
        assert!(leaders(&candidates) <= 1, "two lead at once");
        candidates[other].is_leader()
    })
    .await;
    assert_eq!(candidates[other].holder().as_deref(), Some(name(other)));
    let lease = admin().await.api(&kinds::LEASE, &namespace).get("engine").await.unwrap();
    assert!(lease.data["spec"]["leaseTransitions"].as_u64().unwrap() >= 1);

    // Back again, the first does not push itself forward.
    cuts[first].store(false, Ordering::SeqCst);
    until("the first to see the other", || {
        assert!(leaders(&candidates) <= 1, "two lead at once");
        candidates[first].holder().as_deref() == Some(name(other))
    })
    .await;

    // Given up on purpose, the leadership passes on without waiting for the lease to run out.
    candidates.remove(other).release().await;
    until("the first to lead again", || candidates[0].is_leader()).await;
}

#[tokio::test]
async fn clocks_may_differ() {
    let namespace = Rig::get().namespace("clock").await;
    let cluster = admin().await;
    // Renewed in the far future by the holder's clock, and never again: judged by what is seen, it has run out.
    for (name, time) in [("ahead", "2099-01-01T00:00:00.000000Z"), ("behind", "2001-01-01T00:00:00.000000Z")] {
        let lease = serde_json::from_value(serde_json::json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name}, "spec": {"holderIdentity": "gone", "leaseDurationSeconds": 2,
            "acquireTime": time, "renewTime": time}}));
        cluster.api(&kinds::LEASE, &namespace).create(&Default::default(), &lease.unwrap()).await.unwrap();
        let begun = std::time::Instant::now();
        let candidate = Leadership::start(&cluster, &namespace, name, "me", QUICK);
        until("the lease to run out", || candidate.is_leader()).await;
        assert!(begun.elapsed() >= Duration::from_secs(2), "the holder's two seconds were not respected: {name}");
    }
}
