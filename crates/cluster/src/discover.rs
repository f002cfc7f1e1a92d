//! Which systems a cluster holds.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use kube::api::ListParams;

use crate::connect::Cluster;
use crate::error::{Error, Result};
use crate::kinds::{self, Kind};

/// A system that the app works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ComponentId {
    /// KubeRocketCI.
    Krci,
    /// Argo CD.
    ArgoCd,
    /// Tekton Pipelines and Triggers.
    Tekton,
    /// Litmus.
    Litmus,
    /// Argo Workflows.
    ArgoWorkflows,
    /// Pilothouse's own CRDs.
    Pilothouse,
}

impl ComponentId {
    /// All systems.
    pub const ALL: [Self; 6] =
        [Self::Krci, Self::ArgoCd, Self::Tekton, Self::Litmus, Self::ArgoWorkflows, Self::Pilothouse];

    /// The kinds without which it counts as absent.
    pub fn required(self) -> &'static [Kind] {
        use kinds::*;
        match self {
            Self::Krci => &[CODEBASE, GIT_SERVER, CODEBASE_BRANCH, CODEBASE_IMAGE_STREAM, CD_PIPELINE, STAGE],
            Self::ArgoCd => &[APPLICATION, APP_PROJECT],
            Self::Tekton => &[PIPELINE_RUN],
            Self::Litmus => &[CHAOS_ENGINE, CHAOS_EXPERIMENT, CHAOS_RESULT],
            Self::ArgoWorkflows => &[WORKFLOW],
            Self::Pilothouse => &[CHAOS_PROJECT, CHAOS_WORKFLOW, EVENT_TRIGGER],
        }
    }

    /// The kinds without which it can do less.
    pub fn optional(self) -> &'static [Kind] {
        use kinds::*;
        match self {
            Self::ArgoCd => &[APPLICATION_SET],
            Self::Tekton => &[TASK_RUN, TRIGGER_TEMPLATE],
            Self::Litmus => &[CHAOS_SCHEDULE, EVENT_TRACKER_POLICY],
            Self::ArgoWorkflows => &[CRON_WORKFLOW, WORKFLOW_TEMPLATE],
            Self::Krci | Self::Pilothouse => &[],
        }
    }
}

/// One system in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Which.
    pub id: ComponentId,
    /// Whether all its required kinds are served.
    pub present: bool,
    /// The API version at which its first kind is served, even if that is not the one the app speaks.
    pub version: Option<String>,
    /// The kinds that are not served at the version the app speaks: `applicationsets.argoproj.io/v1alpha1`.
    pub missing: Vec<String>,
}

/// The systems in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discovered {
    /// One for each system.
    pub components: Vec<Component>,
    served: BTreeSet<(String, String, String)>,
}

impl Discovered {
    /// Whether the system is there.
    pub fn has(&self, id: ComponentId) -> bool {
        self.components.iter().any(|component| component.id == id && component.present)
    }

    /// Whether the cluster serves the kind at this version. Known for the systems' kinds only.
    pub fn serves(&self, kind: &Kind) -> bool {
        self.served.contains(&(kind.group.to_owned(), kind.version.to_owned(), kind.plural.to_owned()))
    }
}

impl Cluster {
    /// Finds the systems. Plain discovery: the aggregated kind silently gives nothing on older servers.
    pub async fn discover(&self) -> Result<Discovered> {
        let client = self.client();
        let groups = self.in_time("the cluster's API groups", client.list_api_groups()).await?;
        let wanted: BTreeSet<&str> = ComponentId::ALL
            .iter()
            .flat_map(|id| id.required().iter().chain(id.optional()))
            .map(|kind| kind.group)
            .collect();
        let versions: Vec<(String, String)> = groups
            .groups
            .iter()
            .filter(|group| wanted.contains(group.name.as_str()))
            .flat_map(|group| group.versions.iter().map(|version| (group.name.clone(), version.version.clone())))
            .collect();
        let lists = join_all(versions.into_iter().map(|(group, version)| {
            let client = client.clone();
            async move {
                let api_version = format!("{group}/{version}");
                let what = format!("the kinds of {api_version}");
                let list = self.in_time(&what, client.list_api_group_resources(&api_version)).await;
                (group, version, list)
            }
        }))
        .await;
        let mut served = BTreeSet::new();
        for (group, version, list) in lists {
            match list {
                Ok(list) => served.extend(
                    list.resources
                        .into_iter()
                        .filter(|resource| !resource.name.contains('/'))
                        .map(|resource| (group.clone(), version.clone(), resource.name)),
                ),
                // One group may be broken or hidden from us without the others being so.
                Err(Error::NotFound { .. } | Error::Forbidden { .. } | Error::Busy { .. }) => {
                    tracing::debug!(%group, %version, "group not listed");
                }
                Err(other) => return Err(other),
            }
        }
        Ok(judge(served))
    }

    /// The namespaces that hold Codebases, the platforms, sorted. Where the user may not list those everywhere, the
    /// namespaces are asked one by one; where not even the namespaces may be listed, the context's own and `krci`.
    pub async fn platforms(&self) -> Result<Vec<String>> {
        match self.all_pages(&kinds::CODEBASE).await {
            Ok(objects) => {
                let spaces: BTreeSet<String> =
                    objects.into_iter().filter_map(|object| object.metadata.namespace).collect();
                return Ok(spaces.into_iter().collect());
            }
            Err(Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(Error::Forbidden { .. }) => {}
            Err(other) => return Err(other),
        }
        let candidates: BTreeSet<String> = match self.all_pages(&kinds::NAMESPACE).await {
            Ok(objects) => objects.into_iter().filter_map(|object| object.metadata.name).collect(),
            Err(Error::Forbidden { .. }) => [self.default_namespace().to_owned(), "krci".to_owned()].into(),
            Err(other) => return Err(other),
        };
        let mut platforms = Vec::new();
        for batch in candidates.into_iter().collect::<Vec<_>>().chunks(16) {
            let asked = join_all(batch.iter().map(|namespace| async move {
                let api = self.api(&kinds::CODEBASE, namespace);
                let list = self.in_time("the codebases", api.list_metadata(&ListParams::default().limit(1))).await;
                (namespace, list)
            }))
            .await;
            for (namespace, list) in asked {
                match list {
                    Ok(list) if !list.items.is_empty() => platforms.push(namespace.clone()),
                    Ok(_) | Err(Error::Forbidden { .. } | Error::NotFound { .. }) => {}
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(platforms)
    }

    async fn all_pages(&self, kind: &Kind) -> Result<Vec<kube::core::PartialObjectMeta<kube::api::DynamicObject>>> {
        let api = self.api_all(kind);
        let mut params = ListParams::default().limit(500);
        let mut objects = Vec::new();
        loop {
            let page = self.in_time(kind.plural, api.list_metadata(&params)).await?;
            objects.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(objects),
            }
        }
    }
}

fn judge(served: BTreeSet<(String, String, String)>) -> Discovered {
    let is_served =
        |kind: &Kind| served.contains(&(kind.group.to_owned(), kind.version.to_owned(), kind.plural.to_owned()));
    let versions: BTreeMap<(&str, &str), &str> =
        served.iter().map(|(group, version, plural)| ((group.as_str(), plural.as_str()), version.as_str())).collect();
    let components = ComponentId::ALL
        .into_iter()
        .map(|id| {
            let lacking = |list: &'static [Kind]| list.iter().filter(|kind| !is_served(kind));
            let first = id.required().first();
            let version = first.and_then(|kind| {
                if is_served(kind) { Some(kind.version) } else { versions.get(&(kind.group, kind.plural)).copied() }
            });
            Component {
                id,
                present: lacking(id.required()).next().is_none(),
                version: version.map(ToOwned::to_owned),
                missing: lacking(id.required())
                    .chain(lacking(id.optional()))
                    .map(|kind| format!("{}/{}", kind.resource_name(), kind.version))
                    .collect(),
            }
        })
        .collect();
    Discovered { components, served }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(kinds: &[(&str, &str, &str)]) -> Discovered {
        judge(kinds.iter().map(|(g, v, p)| ((*g).to_owned(), (*v).to_owned(), (*p).to_owned())).collect())
    }

    #[test]
    fn the_two_argos_are_told_apart() {
        let found = served(&[("argoproj.io", "v1alpha1", "workflows")]);
        assert!(found.has(ComponentId::ArgoWorkflows) && !found.has(ComponentId::ArgoCd));
        assert!(found.serves(&kinds::WORKFLOW) && !found.serves(&kinds::APPLICATION));
    }

    #[test]
    fn an_old_version_is_named_and_not_taken_for_ours() {
        let found = served(&[("tekton.dev", "v1beta1", "pipelineruns")]);
        let tekton = found.components.iter().find(|component| component.id == ComponentId::Tekton).unwrap();
        assert!(!tekton.present);
        assert_eq!(tekton.version.as_deref(), Some("v1beta1"));
        assert_eq!(tekton.missing[0], "pipelineruns.tekton.dev/v1");
    }

    #[test]
    fn nothing_served_is_nothing_there() {
        let found = served(&[]);
        assert_eq!(found.components.len(), 6);
        assert!(found.components.iter().all(|component| !component.present && component.version.is_none()));
    }
}
