//! The agent as the window handles it: what is installed, what an installation comes to, and the steps that carry it
//! out. What it is made of is in [`crate::agent`].

mod charges;
mod comparison;
mod handing_over;
mod installing;
mod permissions;
mod planning;
mod removal;
mod standing;

use std::collections::BTreeSet;

use kube::api::{DynamicObject, ListParams};
use pilothouse_chaos::project::Project;
use pilothouse_cluster::{Error as ClusterError, Kind, kinds};
use pilothouse_triggers::spec::TriggerSpec;
use serde_json::Value;

use crate::{
    App, Result,
    agent::{AGENT, CONFIG_MAP, CREDENTIALS, MANAGER, MANAGER_LABEL, NAME_LABEL, Needs},
    session::Live,
};

/// Who writes the objects, among those who own their fields.
const FIELD_MANAGER: &str = "pilothouse-agent-installer";
/// The namespace that is proposed.
const USUAL_NAMESPACE: &str = "pilothouse";
/// Which credentials the Secret holds: its values are never read back.
const HELD: &str = "pilothouse.dev/credentials";
/// How many pods there were before a pause.
const BEFORE_PAUSE: &str = "pilothouse.dev/replicas-before-pause";

/// The kinds that an installation's objects are of, in the order in which they are removed: first what runs.
const OWN: [Kind; 11] = [
    kinds::DEPLOYMENT,
    kinds::POD_DISRUPTION_BUDGET,
    kinds::NETWORK_POLICY,
    kinds::CONFIG_MAP,
    kinds::SECRET,
    kinds::ROLE_BINDING,
    kinds::ROLE,
    kinds::CLUSTER_ROLE_BINDING,
    kinds::CLUSTER_ROLE,
    kinds::SERVICE_ACCOUNT,
    kinds::NAMESPACE,
];

/// Whether objects of a kind are in no namespace.
fn is_wide(kind: &Kind) -> bool {
    matches!(*kind, kinds::NAMESPACE | kinds::CLUSTER_ROLE | kinds::CLUSTER_ROLE_BINDING | kinds::CRD)
}

/// The kind of a manifest.
fn kind_of(manifest: &Value) -> Option<Kind> {
    let all = OWN.into_iter().chain([kinds::CRD]);
    all.into_iter().find(|kind| manifest["kind"] == kind.kind && manifest["apiVersion"] == kind.api_version())
}

fn selector() -> ListParams {
    ListParams::default().labels(&format!("{NAME_LABEL}={AGENT},{MANAGER_LABEL}={MANAGER}"))
}

/// An object of an installation that is in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    kind: Kind,
    namespace: Option<String>,
    name: String,
    uid: Option<String>,
}

impl Found {
    fn words(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {} in {namespace}", self.kind.kind, self.name),
            None => format!("{} {}", self.kind.kind, self.name),
        }
    }
}

/// What of an installation is in the cluster.
struct Installed {
    /// The agent's namespace.
    namespace: String,
    deployment: Option<DynamicObject>,
    /// What the live configuration says it looks after.
    needs: Option<Needs>,
    /// The name and the address on its commits.
    author: Option<(String, String)>,
    /// The credentials that the Secret holds, by their names.
    held: BTreeSet<String>,
    /// Every object that carries the labels.
    found: Vec<Found>,
    /// Where nobody could look, one sentence each.
    unseen: Vec<String>,
}

fn place_setting(live: &Live) -> String {
    format!("agent:{}", live.name())
}

/// The projects there are, by namespace and id.
fn projects_of(live: &Live) -> Vec<Project> {
    let mut all: Vec<Project> = live.list(&kinds::CHAOS_PROJECT).iter().filter_map(|one| Project::read(one)).collect();
    all.sort_by(|a, b| (&a.namespace, &a.id).cmp(&(&b.namespace, &b.id)));
    all
}

/// The triggers that can be read, with their namespaces.
fn triggers_of(live: &Live) -> Vec<(String, TriggerSpec)> {
    let read = |object: &DynamicObject| {
        let spec = serde_json::from_value(object.data.get("spec").cloned().unwrap_or_default()).ok()?;
        Some((object.metadata.namespace.clone().unwrap_or_default(), spec))
    };
    live.list(&kinds::EVENT_TRIGGER).iter().filter_map(|one| read(one)).collect()
}

impl App {
    /// The agent's namespace as this computer remembers it.
    async fn agent_place(&self, live: &Live) -> String {
        let kept = self.storage.setting(&place_setting(live)).await.ok().flatten();
        kept.unwrap_or_else(|| USUAL_NAMESPACE.to_owned())
    }

    /// The namespaces in which an installation's objects can be, where not all may be looked at.
    async fn likely_places(&self, live: &Live) -> BTreeSet<String> {
        let mut places: BTreeSet<String> = projects_of(live).into_iter().map(|one| one.namespace).collect();
        for (namespace, spec) in triggers_of(live) {
            places.extend([namespace, spec.target.namespace]);
        }
        places.extend([self.agent_place(live).await, live.cluster.default_namespace().to_owned()]);
        places
    }

    /// Every object with the labels of an installation, and where nobody could look.
    async fn agent_objects(&self, live: &Live) -> Result<(Vec<Found>, Vec<String>)> {
        let (mut found, mut unseen) = (Vec::new(), Vec::new());
        for kind in OWN {
            // Only who they are: what a Secret holds does not leave the cluster.
            let all = live.cluster.api_all(&kind);
            let listed = match live.cluster.in_time("the agent's objects", all.list_metadata(&selector())).await {
                Ok(list) => list.items,
                Err(ClusterError::NotFound { .. }) => continue,
                Err(ClusterError::Forbidden { .. }) if is_wide(&kind) => {
                    unseen.push(format!(
                        "You may not list {}, so any that belong to the agent are not seen.",
                        kind.plural
                    ));
                    continue;
                }
                Err(ClusterError::Forbidden { .. }) => {
                    let mut items = Vec::new();
                    for place in self.likely_places(live).await {
                        let api = live.cluster.api(&kind, &place);
                        match live.cluster.in_time("the agent's objects", api.list_metadata(&selector())).await {
                            Ok(list) => items.extend(list.items),
                            Err(ClusterError::Forbidden { .. }) => {
                                unseen.push(format!("You may not list {} in the namespace {place}.", kind.plural));
                            }
                            Err(ClusterError::NotFound { .. }) => {}
                            Err(other) => return Err(other.into()),
                        }
                    }
                    items
                }
                Err(other) => return Err(other.into()),
            };
            found.extend(listed.into_iter().filter_map(|one| {
                Some(Found { kind, namespace: one.metadata.namespace, name: one.metadata.name?, uid: one.metadata.uid })
            }));
        }
        Ok((found, unseen))
    }

    /// An object, if it is there and may be seen.
    async fn look_up(&self, live: &Live, kind: &Kind, namespace: &str, name: &str) -> Result<Option<DynamicObject>> {
        let api = live.cluster.api(kind, namespace);
        match live.cluster.in_time("the agent", api.get_opt(name)).await {
            Ok(one) => Ok(one),
            Err(ClusterError::Forbidden { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// What of an installation is there; none when there is nothing at all.
    async fn installed_agent(&self, live: &Live) -> Result<Option<Installed>> {
        let (found, unseen) = self.agent_objects(live).await?;
        if found.is_empty() {
            return Ok(None);
        }
        let place = |kind: Kind| found.iter().find(|one| one.kind == kind).and_then(|one| one.namespace.clone());
        let namespace = match place(kinds::DEPLOYMENT)
            .or_else(|| place(kinds::CONFIG_MAP))
            .or_else(|| place(kinds::SERVICE_ACCOUNT))
        {
            Some(namespace) => namespace,
            None => self.agent_place(live).await,
        };
        let deployment = if place(kinds::DEPLOYMENT).is_some() {
            self.look_up(live, &kinds::DEPLOYMENT, &namespace, AGENT).await?
        } else {
            None
        };
        let config = self.look_up(live, &kinds::CONFIG_MAP, &namespace, CONFIG_MAP).await?;
        let config = config.as_ref().and_then(|one| one.data.pointer("/data/config.yaml")).and_then(Value::as_str);
        let config: Option<Value> = config.and_then(|text| serde_yaml::from_str(text).ok());
        let author = config.as_ref().and_then(|one| {
            let text = |at: &str| one.pointer(at).and_then(Value::as_str).map(str::to_owned);
            Some((text("/author/name")?, text("/author/email")?))
        });
        let secret = live.cluster.api(&kinds::SECRET, &namespace);
        let secret =
            live.cluster.in_time("the agent's Secret", secret.get_metadata_opt(CREDENTIALS)).await.ok().flatten();
        let held = secret.and_then(|one| one.metadata.annotations).and_then(|all| all.get(HELD).cloned());
        Ok(Some(Installed {
            needs: config.and_then(|one| serde_json::from_value(one).ok()),
            held: held.iter().flat_map(|all| all.split(',')).filter(|one| !one.is_empty()).map(str::to_owned).collect(),
            author,
            namespace,
            deployment,
            found,
            unseen,
        }))
    }
}
