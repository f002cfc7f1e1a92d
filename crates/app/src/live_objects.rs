//! The objects that are in the cluster where a release goes.

use futures::{StreamExt, stream};
use kube::{
    api::{Api, ApiResource, DynamicObject},
    core::GroupVersionKind,
    discovery::{Discovery, Scope},
};
use pilothouse_cluster::{Cluster, Error as ClusterError};
use pilothouse_delivery::chart::{LiveObject, LiveSide, Manifest};

/// How many objects are asked for at once.
const AT_ONCE: usize = 8;
/// How many bytes of kinds are told to Helm; with more, only their groups and versions are.
const MOST_WORDS: usize = 48 * 1024;

/// What a cluster serves.
pub(crate) struct Served {
    discovery: Discovery,
}

impl Served {
    /// Asks the cluster.
    pub(crate) async fn ask(cluster: &Cluster) -> pilothouse_cluster::Result<Self> {
        let discovery = cluster.in_time("what the cluster serves", Discovery::new(cluster.client()).run()).await?;
        Ok(Self { discovery })
    }

    /// `group/version` and `group/version/Kind`, as Argo CD tells them to Helm.
    pub(crate) fn api_versions(&self) -> Vec<String> {
        let (mut versions, mut kinds) = (Vec::new(), Vec::new());
        for group in self.discovery.groups_alphabetical() {
            for version in group.versions() {
                let whole = match group.name() {
                    "" => version.to_owned(),
                    name => format!("{name}/{version}"),
                };
                kinds.extend(group.versioned_resources(version).iter().map(|(one, _)| format!("{whole}/{}", one.kind)));
                versions.push(whole);
            }
        }
        kinds.sort();
        kinds.dedup();
        if kinds.iter().map(|kind| kind.len() + 16).sum::<usize>() <= MOST_WORDS {
            versions.extend(kinds);
        }
        versions
    }

    fn resource(&self, one: &Manifest) -> Option<(ApiResource, bool)> {
        let (group, version) = one.api_version.split_once('/').unwrap_or(("", &one.api_version));
        let kind = GroupVersionKind::gvk(group, version, &one.kind);
        let (resource, capabilities) = self.discovery.resolve_gvk(&kind)?;
        Some((resource, capabilities.scope == Scope::Namespaced))
    }

    /// The namespace that a manifest goes to; none for what lies outside of them.
    pub(crate) fn namespace(&self, one: &Manifest, usual: &str) -> Option<String> {
        match self.resource(one) {
            Some((_, false)) => None,
            _ => Some(one.namespace.clone().unwrap_or_else(|| usual.to_owned())),
        }
    }

    /// What the cluster has where the manifests go, in their order.
    pub(crate) async fn live(&self, cluster: &Cluster, all: Vec<Manifest>, usual: &str) -> Vec<(Manifest, LiveSide)> {
        let look = |one: Manifest| async move {
            let namespace = self.namespace(&one, usual);
            let object = self.look(cluster, &one, namespace.as_deref()).await;
            (one, LiveSide { namespace, object })
        };
        stream::iter(all).map(look).buffered(AT_ONCE).collect().await
    }

    async fn look(&self, cluster: &Cluster, one: &Manifest, namespace: Option<&str>) -> LiveObject {
        let Some((resource, _)) = self.resource(one) else {
            return LiveObject::Unreadable(format!(
                "The cluster does not know the kind {} ({}).",
                one.kind, one.api_version
            ));
        };
        // One that the server is to name cannot be asked for.
        if one.name.ends_with('*') {
            return LiveObject::Absent;
        }
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(cluster.client(), namespace, &resource),
            None => Api::all_with(cluster.client(), &resource),
        };
        match cluster.in_time("an object", api.get_opt(&one.name)).await {
            Ok(None) => LiveObject::Absent,
            Ok(Some(object)) => match serde_json::to_value(object) {
                Ok(value) => LiveObject::Found(value),
                Err(error) => LiveObject::Unreadable(format!("It could not be read: {error}.")),
            },
            Err(ClusterError::Forbidden { .. }) => {
                let place = namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
                LiveObject::Unreadable(format!("{} may not be read{place} with your permissions.", resource.plural))
            }
            Err(error) => LiveObject::Unreadable(error.to_string()),
        }
    }
}
