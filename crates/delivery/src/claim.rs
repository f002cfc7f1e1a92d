//! One at a time: who may create the platform's GitOps repository.
//!
//! A look at the Codebases before the write is not enough. Two people who save at once both see none, and when the names
//! differ the API server takes both. Only one thing is exclusive there: an object's name. So whoever wants to create the
//! repository first creates a Lease of a fixed name, and looks, writes and looks again while it is theirs. etcd lets one
//! of them through; the other waits a moment and then sees the Codebase.
//!
//! The Lease alone would not do, for not everybody takes it: the portal does not, and a user may lack the right to. So
//! after the write the Codebases are listed once more, and who sees another than his own takes his own back. Of any two,
//! the one written later sees the earlier one, whatever the names and clocks are: the list is read from etcd itself, after
//! the write was acknowledged. At most one stays. (Without Leases both may step back, and nobody is harmed.)
//!
//! A Lease that nobody released, because its holder was killed, is taken over when it is older than its holder can still
//! be writing. Clocks are compared for this alone, and may differ by the minute between the two bounds.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use pilothouse_cluster::{Cluster, Error as ClusterError, kinds};
use serde_json::json;

use crate::objects::Codebase;
use crate::repository::find_existing;
use crate::writes::list;
use crate::{Error, Result};

/// The Lease's name; one in each platform's namespace.
const NAME: &str = "pilothouse-gitops-repository";
/// The longest that a holder works. Each of its few requests ends after 20 s by itself.
const WORK: Duration = Duration::from_secs(60);
/// A Lease older than this has no holder any more.
const STALE: Duration = Duration::from_secs(120);
/// How long somebody waits for another's Lease.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often the Lease is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(150);

/// Runs `work` while nobody else who takes the Lease runs theirs.
pub(crate) async fn exclusively<T>(
    cluster: &Cluster,
    namespace: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let api = cluster.api(&kinds::LEASE, namespace);
    let held = acquire(cluster, &api).await?;
    let outcome = match tokio::time::timeout(WORK, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ClusterError::Timeout { what: "creating the repository".to_owned(), after: WORK }.into()),
    };
    if let Some(held) = held {
        // Should this fail, the Lease is taken over when it is stale.
        let _ = remove(cluster, &api, &held).await;
    }
    outcome
}

/// Takes the Lease; none for a user without the right to Leases, who relies on the second look alone.
async fn acquire(cluster: &Cluster, api: &Api<DynamicObject>) -> Result<Option<DynamicObject>> {
    let now = Timestamp::now();
    let lease = json!({
        "apiVersion": kinds::LEASE.api_version(),
        "kind": kinds::LEASE.kind,
        "metadata": { "name": NAME },
        "spec": {
            "holderIdentity": format!("pilothouse-{:016x}", fastrand::u64(..)),
            "leaseDurationSeconds": STALE.as_secs(),
            "acquireTime": now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        },
    });
    let lease: DynamicObject = serde_json::from_value(lease)
        .map_err(|error| Error::Refused(format!("the Lease is not well formed: {error}")))?;
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        match cluster.in_time("the Lease", api.create(&PostParams::default(), &lease)).await {
            Ok(made) => return Ok(Some(made)),
            Err(ClusterError::Forbidden { .. } | ClusterError::NotFound { .. }) => return Ok(None),
            Err(ClusterError::Conflict { exists: true, .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let found = cluster.in_time("the Lease", api.get_opt(NAME)).await?;
        if tokio::time::Instant::now() > until {
            return Err(Error::Underway { holder: "Somebody else".to_owned() });
        }
        if let Some(other) = found.filter(is_stale) {
            // Only this very Lease: another may have taken it over by now.
            match remove(cluster, api, &other).await {
                Ok(()) | Err(ClusterError::NotFound { .. } | ClusterError::Conflict { .. }) => {}
                // Whoever may not take it away is as one without the right to Leases at all.
                Err(ClusterError::Forbidden { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn is_stale(lease: &DynamicObject) -> bool {
    let created = lease.metadata.creation_timestamp.as_ref();
    created.is_some_and(|created| Timestamp::now().duration_since(created.0).as_secs_f64() > STALE.as_secs_f64())
}

async fn remove(
    cluster: &Cluster,
    api: &Api<DynamicObject>,
    lease: &DynamicObject,
) -> std::result::Result<(), ClusterError> {
    let this = Preconditions { uid: lease.metadata.uid.clone(), resource_version: None };
    let how = DeleteParams { preconditions: Some(this), ..DeleteParams::default() };
    cluster.in_time("the Lease", api.delete(NAME, &how)).await.map(|_| ())
}

/// Looks for another GitOps repository after one's own was created, and takes one's own back if there is one.
///
/// # Errors
/// [`Error::RepositoryExists`] when it was taken back, [`Error::HalfDone`] when that failed.
pub(crate) async fn withdraw_unless_alone(cluster: &Cluster, namespace: &str, own: &DynamicObject) -> Result<()> {
    let name = own.metadata.name.clone().unwrap_or_default();
    let uid = own.metadata.uid.clone().unwrap_or_default();
    let codebases: Vec<Codebase> =
        list(cluster, &kinds::CODEBASE, namespace, None).await?.iter().map(Codebase::read).collect();
    let other = find_existing(&codebases).into_iter().find(|one| one.meta.uid != uid && !one.meta.deleting);
    let Some(other) = other.map(|one| one.meta.name.clone()) else { return Ok(()) };
    let this = Preconditions { uid: Some(uid), resource_version: None };
    let how = DeleteParams { preconditions: Some(this), ..DeleteParams::default() };
    let gone = cluster.in_time("the Codebase", cluster.api(&kinds::CODEBASE, namespace).delete(&name, &how)).await;
    match gone {
        Ok(_) | Err(ClusterError::NotFound { .. }) => {
            Err(Error::RepositoryExists { namespace: namespace.to_owned(), name: other })
        }
        Err(error) => Err(Error::HalfDone(format!(
            "Somebody created the GitOps repository `{other}` at the same moment, and yours, `{name}`, could not be taken \
             back: {error}. Delete one of the two Codebases: the platform makes no new deployment flow while there are two"
        ))),
    }
}
