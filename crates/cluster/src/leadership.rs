//! One leader among several, by a Lease.
//!
//! The rules are client-go's (tools/leaderelection): the times written in the Lease are for people; whether it has run
//! out is judged by how long it has been seen unchanged by this computer's own clock, so that clocks may differ.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::connect::Cluster;
use crate::error::{Error, Result};
use crate::explain::explain;

/// The intervals of an election. `renew_within` must be less than `lease`, else two could lead at once.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long others wait for a sign of the leader before one takes over. Whole seconds.
    pub lease: Duration,
    /// How long a leader goes on without having renewed.
    pub renew_within: Duration,
    /// How often the Lease is looked at, or renewed.
    pub every: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), renew_within: Duration::from_secs(10), every: Duration::from_secs(2) }
    }
}

/// A candidacy. Dropping it gives the leadership up, as far as there is time.
#[derive(Debug)]
pub struct Leadership {
    leads: watch::Receiver<bool>,
    refusals: watch::Receiver<Option<String>>,
    holder: Arc<Mutex<Option<String>>>,
    cancel: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Leadership {
    /// Begins to run for the Lease `name` in `namespace`. `identity` must differ from every other candidate's.
    pub fn start(cluster: &Cluster, namespace: &str, name: &str, identity: &str, timing: Timing) -> Self {
        let (sender, leads) = watch::channel(false);
        let (refused, refusals) = watch::channel(None);
        let holder = Arc::new(Mutex::new(None));
        let cancel = CancellationToken::new();
        let candidate = Candidate {
            api: Api::namespaced(cluster.client(), namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            timing,
            holder: holder.clone(),
            seen: None,
            refused,
        };
        let task = tokio::spawn(candidate.run(sender, cancel.clone()));
        Self { leads, refusals, holder, cancel, task: Some(task) }
    }

    /// Whether this candidate leads now.
    pub fn is_leader(&self) -> bool {
        *self.leads.borrow()
    }

    /// Follows whether this candidate leads.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.leads.clone()
    }

    /// Follows why the API server refuses this candidate the Lease, in its words: a right is missing. That another one
    /// holds it is no refusal.
    pub fn refusals(&self) -> watch::Receiver<Option<String>> {
        self.refusals.clone()
    }

    /// Who was last seen to lead.
    pub fn holder(&self) -> Option<String> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the leadership up, and waits until the others can see that.
    pub async fn release(mut self) {
        self.cancel.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    holder: Arc<Mutex<Option<String>>>,
    seen: Option<Seen>,
    refused: watch::Sender<Option<String>>,
}

/// The Lease as last seen, and since when it has been so.
struct Seen {
    version: Option<String>,
    since: Instant,
}

impl Candidate {
    async fn run(mut self, leads: watch::Sender<bool>, cancel: CancellationToken) {
        let mut renewed = Instant::now();
        while !cancel.is_cancelled() {
            let begun = Instant::now();
            // A request that hangs must not carry a leader past its time.
            let left = if *leads.borrow() {
                self.timing.renew_within.saturating_sub(renewed.elapsed())
            } else {
                self.timing.renew_within
            };
            let attempt = tokio::select! {
                () = cancel.cancelled() => break,
                attempt = tokio::time::timeout(left, self.attempt()) => attempt,
            };
            if let Ok(attempt) = &attempt {
                self.tell_refusal(attempt);
            }
            let leading = match attempt {
                Ok(Ok(true)) => {
                    // Counted from before the request: others may have seen its effect from then on.
                    renewed = begun;
                    true
                }
                Ok(Ok(false)) => false,
                Ok(Err(error)) => {
                    tracing::debug!(%error, lease = %self.name, "lease not renewed");
                    *leads.borrow() && renewed.elapsed() < self.timing.renew_within
                }
                Err(_) => *leads.borrow() && renewed.elapsed() < self.timing.renew_within,
            };
            leads.send_if_modified(|now| std::mem::replace(now, leading) != leading);
            // A little jitter keeps candidates from marching in step.
            let pause = self.timing.every.mul_f64(0.9 + 0.2 * fastrand::f64());
            tokio::select! {
                () = cancel.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        let led = leads.send_replace(false);
        if led {
            // Said to those here before it is said to the others, so that there are never two.
            let _ = tokio::time::timeout(Duration::from_secs(3), self.give_up()).await;
        }
    }

    /// Tells whether the last attempt was refused. One that came to nothing otherwise says nothing of rights.
    fn tell_refusal(&self, attempt: &Result<bool>) {
        let now = match attempt {
            Ok(_) => None,
            Err(Error::Forbidden { message, .. }) => Some(message.clone()),
            Err(_) => return,
        };
        let is_new = self.refused.send_if_modified(|words| {
            let is_new = *words != now;
            words.clone_from(&now);
            is_new
        });
        if let Some(why) = now.filter(|_| is_new) {
            tracing::warn!(%why, lease = %self.name, "the Lease cannot be had");
        }
    }

    /// Takes or renews the Lease if that is possible; says whether it is ours.
    async fn attempt(&mut self) -> Result<bool> {
        let Some(mut lease) = self.api.get_opt(&self.name).await.map_err(|error| explain(&error))? else {
            let spec = self.claim(None);
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(spec),
            };
            return self.written(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.take().unwrap_or_default();
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
        self.note(holder.clone());
        let version = lease.metadata.resource_version.clone();
        if self.seen.as_ref().is_none_or(|seen| seen.version != version) {
            self.seen = Some(Seen { version, since: Instant::now() });
        }
        if let Some(holder) = &holder
            && *holder != self.identity
        {
            // The holder's own promise counts, within reason.
            let promised = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
            let promised = promised.map_or(self.timing.lease, |seconds| Duration::from_secs(seconds.clamp(1, 3600)));
            if self.seen.as_ref().is_none_or(|seen| seen.since.elapsed() < promised) {
                return Ok(false);
            }
        }
        lease.spec = Some(self.claim(Some(&spec)));
        // The resource version in the object makes the server refuse if another was faster.
        self.written(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    fn written(&mut self, answer: std::result::Result<Lease, kube::Error>) -> Result<bool> {
        match answer.map_err(|error| explain(&error)) {
            Ok(lease) => {
                self.seen = Some(Seen { version: lease.metadata.resource_version, since: Instant::now() });
                self.note(Some(self.identity.clone()));
                Ok(true)
            }
            // Another was faster. If we led, our write of a moment ago may itself be what it collides with.
            Err(error @ Error::Conflict { .. }) => Err(error),
            Err(other) => Err(other),
        }
    }

    fn claim(&self, old: Option<&LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let kept = old.filter(|old| old.holder_identity.as_deref() == Some(&self.identity));
        let transitions = old.and_then(|old| old.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(self.timing.lease.as_secs().max(1)).unwrap_or(i32::MAX)),
            acquire_time: kept.and_then(|old| old.acquire_time.clone()).or_else(|| now.clone()),
            renew_time: now,
            lease_transitions: Some(if kept.is_some() || old.is_none() {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..old.cloned().unwrap_or_default()
        }
    }

    async fn give_up(&self) -> Result<()> {
        let Some(mut lease) = self.api.get_opt(&self.name).await.map_err(|error| explain(&error))? else {
            return Ok(());
        };
        let mut spec = lease.spec.take().unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(());
        }
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        lease.spec = Some(spec);
        self.api.replace(&self.name, &PostParams::default(), &lease).await.map_err(|error| explain(&error))?;
        Ok(())
    }

    fn note(&self, holder: Option<String>) {
        *self.holder.lock().unwrap_or_else(PoisonError::into_inner) = holder;
    }
}
