//! The Leases that an agent leaves behind: those that one held last, and those that nobody holds. Whoever needs one makes
//! it anew.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::{DeleteParams, DynamicObject, ListParams, Preconditions};
use pilothouse_cluster::{Error as ClusterError, kinds};
use serde_json::Value;

use super::{Found, charges::holder_of, projects_of, triggers_of};
use crate::{App, Result, contract::ChargeHolder, session::Live, trigger_engine::LEASE};

/// A Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    namespace: String,
    name: String,
}

impl Left {
    pub(super) fn words(&self) -> String {
        format!("Lease {} in {}", self.name, self.namespace)
    }
}

/// Leases that no app holds.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// Those that can go.
    pub(super) free: Vec<Left>,
    /// Those that the user may not delete, in words: they are in nobody's way, and hinder no removal.
    pub(super) kept: Vec<String>,
}

/// The namespace and name of one of our Leases that no app holds.
fn left(one: &DynamicObject) -> Option<Left> {
    let name = one.metadata.name.clone()?;
    let ours = name == LEASE || name.starts_with("pilothouse-sync-");
    let holder = one.data.pointer("/spec/holderIdentity").and_then(Value::as_str);
    let free = ours && holder_of(holder) != ChargeHolder::App;
    free.then(|| Left { namespace: one.metadata.namespace.clone().unwrap_or_default(), name })
}

impl App {
    /// The Leases that the agent leaves behind, wherever they are; where not all may be listed, those beside projects,
    /// triggers and the agent's rights: a project may be gone whose Lease is still there.
    pub(super) async fn agents_leases(&self, live: &Live, found: &[Found]) -> Leases {
        let all = live.cluster.api_all(&kinds::LEASE);
        let mut items = Vec::new();
        match live.cluster.in_time("the Leases", all.list(&ListParams::default())).await {
            Ok(list) => items.extend(list.items.iter().filter_map(left)),
            Err(_) => {
                let mut places: BTreeSet<String> = projects_of(live).into_iter().map(|one| one.namespace).collect();
                places.extend(triggers_of(live).into_iter().map(|(namespace, _)| namespace));
                places
                    .extend(found.iter().filter(|one| one.kind == kinds::ROLE).filter_map(|one| one.namespace.clone()));
                for place in places {
                    let api = live.cluster.api(&kinds::LEASE, &place);
                    let listed = live.cluster.in_time("the Leases", api.list(&ListParams::default())).await;
                    items.extend(listed.iter().flat_map(|list| &list.items).filter_map(left));
                }
            }
        }
        let (mut leases, mut may) = (Leases::default(), BTreeMap::new());
        for one in items {
            if !may.contains_key(&one.namespace) {
                let asked = live.cluster.access("delete", &kinds::LEASE, None, Some(&one.namespace)).await;
                may.insert(one.namespace.clone(), asked.map_or(true, |access| access.allowed));
            }
            if may.get(&one.namespace).copied().unwrap_or_default() {
                leases.free.push(one);
            } else {
                leases.kept.push(format!("{}, which you may not delete: whoever needs it takes it.", one.words()));
            }
        }
        leases
    }

    /// Removes a Lease unless an app took it meanwhile.
    pub(super) async fn remove_lease(&self, live: &Live, one: &Left) -> Result<()> {
        let api = live.cluster.api(&kinds::LEASE, &one.namespace);
        let Some(now) = live.cluster.in_time("a Lease", api.get_opt(&one.name)).await? else { return Ok(()) };
        if left(&now).is_none() {
            return Ok(());
        }
        let preconditions = Preconditions { uid: now.metadata.uid, resource_version: now.metadata.resource_version };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match live.cluster.in_time("a Lease", api.delete(&one.name, &parameters)).await {
            // Changed since: somebody uses it.
            Ok(_) | Err(ClusterError::NotFound { .. } | ClusterError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_our_leases_that_no_app_holds_are_left_behind() {
        let lease = |name: &str, holder: Value| {
            let object = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": name, "namespace": "litmus"}, "spec": {"holderIdentity": holder}});
            left(&serde_json::from_value(object).unwrap()).map(|one| one.words())
        };
        assert_eq!(lease(LEASE, Value::Null).as_deref(), Some("Lease pilothouse-triggers in litmus"));
        assert!(lease("pilothouse-sync-shop", json!("")).is_some());
        assert!(lease("pilothouse-sync-gone", json!("pilothouse-agent-7d9c-x2")).is_some());
        assert_eq!(lease("pilothouse-sync-shop", json!("robin-0a1b2c3d")), None);
        assert_eq!(lease("somebody-elses", Value::Null), None);
    }
}
