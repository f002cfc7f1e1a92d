//! Who is in charge of what: the Leases that apps and agents share.

use std::collections::BTreeSet;

use futures::future::join_all;
use pilothouse_chaos::names::sync_lease;
use pilothouse_cluster::{Error as ClusterError, kinds};
use serde_json::Value;

use super::{projects_of, triggers_of};
use crate::{
    App, Result,
    agent::AGENT,
    contract::{AgentCharge, ChargeHolder},
    session::Live,
    trigger_engine::LEASE,
};

/// Whose name stands in a Lease: an agent's is its pod's.
pub(super) fn holder_of(name: Option<&str>) -> ChargeHolder {
    match name.filter(|name| !name.is_empty()) {
        None => ChargeHolder::Nobody,
        Some(name) if name.strip_prefix(AGENT).is_some_and(|rest| rest.starts_with('-')) => ChargeHolder::Agent,
        Some(_) => ChargeHolder::App,
    }
}

impl App {
    /// Who looks after a project, or after all of them and the triggers; without a look at the agent itself.
    pub async fn agent_charges(&self, project: Option<String>) -> Result<Vec<AgentCharge>> {
        let live = self.live()?;
        Ok(self.charges(&live, project.as_deref()).await)
    }

    /// Who looks after each enabled project, and after the triggers of each namespace.
    pub(super) async fn charges(&self, live: &Live, only: Option<&str>) -> Vec<AgentCharge> {
        let projects = projects_of(live).into_iter().filter(|one| one.enabled);
        let mut wanted: Vec<(String, Option<String>)> = projects.map(|one| (one.namespace, Some(one.id))).collect();
        let namespaces: BTreeSet<String> = triggers_of(live).into_iter().map(|(namespace, _)| namespace).collect();
        wanted.extend(namespaces.into_iter().map(|namespace| (namespace, None)));
        wanted.retain(|(_, project)| only.is_none() || project.as_deref() == only);
        join_all(wanted.into_iter().map(|(namespace, project)| async move {
            let lease = project.as_deref().map_or_else(|| LEASE.to_owned(), sync_lease);
            let api = live.cluster.api(&kinds::LEASE, &namespace);
            let found = live.cluster.in_time("the Lease", api.get_opt(&lease)).await;
            let text = |at: &str| match &found {
                Ok(Some(one)) => one.data.pointer(at).and_then(Value::as_str).map(str::to_owned),
                _ => None,
            };
            let holder = text("/spec/holderIdentity").filter(|name| !name.is_empty());
            let by = match &found {
                Ok(_) | Err(ClusterError::NotFound { .. }) => holder_of(holder.as_deref()),
                Err(_) => ChargeHolder::Unknown,
            };
            AgentCharge { renewed: text("/spec/renewTime"), namespace, project, by, holder, lease }
        }))
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_known_by_its_pods_name() {
        for (name, by) in [
            (None, ChargeHolder::Nobody),
            (Some(""), ChargeHolder::Nobody),
            (Some("pilothouse-agent-7d9c-x2"), ChargeHolder::Agent),
            (Some("robin-0a1b2c3d"), ChargeHolder::App),
            (Some("pilothouse-agents-1"), ChargeHolder::App),
        ] {
            assert_eq!(holder_of(name), by, "{name:?}");
        }
    }
}
