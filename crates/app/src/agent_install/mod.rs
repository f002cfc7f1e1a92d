//! The agent as the window handles it: what is installed, what an installation comes to, and the steps that carry it
//! out. What it is made of is in [`crate::agent`].

mod begun;
mod charges;
mod comparison;
mod handing_over;
mod installing;
mod leases;
mod permissions;
mod planning;
mod proposing;
mod removal;
mod standing;

use std::collections::BTreeSet;

use kube::{
    api::{DynamicObject, ListParams, ObjectMeta},
    core::PartialObjectMeta,
};
use pilothouse_chaos::project::Project;
use pilothouse_cluster::{Error as ClusterError, Kind, kinds};
use pilothouse_triggers::spec::TriggerSpec;
use serde_json::Value;

use crate::{
    App, Result,
    agent::{AGENT, CONFIG_MAP, CREDENTIALS, MANAGER, MANAGER_LABEL, NAME_LABEL, Needs},
    contract::AppError,
    session::Live,
};

/// Who writes the objects, among those who own their fields.
const FIELD_MANAGER: &str = "pilothouse-agent-installer";
/// The Roles in namespaces of watched workloads.
const TARGETS: &str = "pilothouse-agent-targets";
/// The namespace that is proposed.
const USUAL_NAMESPACE: &str = "pilothouse";
/// Which credentials the Secret holds: its values are never read back.
const HELD: &str = "pilothouse.dev/credentials";
/// How many pods there were before a pause.
const BEFORE_PAUSE: &str = "pilothouse.dev/replicas-before-pause";

/// The kinds that an installation's objects are of, in the order in which they are removed: first what runs.
const OWN: [Kind; 9] = [
    kinds::DEPLOYMENT,
    kinds::POD_DISRUPTION_BUDGET,
    kinds::NETWORK_POLICY,
    kinds::CONFIG_MAP,
    kinds::SECRET,
    kinds::ROLE_BINDING,
    kinds::ROLE,
    kinds::SERVICE_ACCOUNT,
    kinds::NAMESPACE,
];

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
    /// What else its configuration says.
    config: Value,
    /// The ConfigMap's other files.
    files: Value,
    /// The Secret's name.
    secret: String,
    /// The credentials that the Secret holds, by their names; none when it was not made here, so that nobody knows.
    held: Option<BTreeSet<String>>,
    /// Every object that is its.
    found: Vec<Found>,
}

fn place_setting(live: &Live) -> String {
    format!("agent:{}", live.name())
}

impl Installed {
    /// A text of its configuration.
    fn says(&self, at: &str) -> Option<String> {
        self.config.pointer(at).and_then(Value::as_str).map(str::to_owned)
    }

    /// A file of its ConfigMap.
    fn file(&self, name: &str) -> String {
        self.files.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
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

    /// The namespaces of projects and triggers, in which only rights of the agent are.
    fn right_places(live: &Live) -> BTreeSet<String> {
        let mut places: BTreeSet<String> = projects_of(live).into_iter().map(|one| one.namespace).collect();
        for (namespace, spec) in triggers_of(live) {
            places.extend([namespace, spec.target.namespace]);
        }
        places
    }

    /// Objects of a kind with the labels of an installation; where not all may be listed, those in these places. What
    /// could not be looked at is said.
    async fn labelled(
        &self,
        live: &Live,
        kind: &Kind,
        places: &BTreeSet<String>,
        unseen: &mut Vec<String>,
    ) -> Result<Vec<PartialObjectMeta<DynamicObject>>> {
        // Only who they are: what a Secret holds does not leave the cluster.
        let all = live.cluster.api_all(kind);
        match live.cluster.in_time("the agent's objects", all.list_metadata(&selector())).await {
            Ok(list) => return Ok(list.items),
            Err(ClusterError::NotFound { .. }) => return Ok(Vec::new()),
            Err(ClusterError::Forbidden { .. }) => {}
            Err(other) => return Err(other.into()),
        }
        let mut items = Vec::new();
        for place in places {
            if *kind == kinds::NAMESPACE {
                if let Ok(Some(one)) = live.cluster.in_time("the namespace", all.get_metadata_opt(place)).await {
                    items.extend(is_labelled(&one.metadata).then_some(one));
                }
                continue;
            }
            let api = live.cluster.api(kind, place);
            match live.cluster.in_time("the agent's objects", api.list_metadata(&selector())).await {
                Ok(list) => items.extend(list.items),
                Err(ClusterError::Forbidden { .. }) => {
                    unseen.push(format!("The {} of the agent in {place}, which you may not list.", kind.plural));
                }
                Err(ClusterError::NotFound { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Ok(items)
    }

    /// The namespaces that RoleBindings beside projects and triggers give rights to. Whoever is only in charge of a
    /// namespace of their own cannot make such a binding, and so cannot pass for the agent.
    async fn pointed_at(&self, live: &Live) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        for place in Self::right_places(live) {
            let api = live.cluster.api(&kinds::ROLE_BINDING, &place);
            let Ok(list) = live.cluster.in_time("the agent's rights", api.list(&selector())).await else { continue };
            for one in list.items {
                let name = one.metadata.name.clone().unwrap_or_default();
                let subjects = one.data.get("subjects").and_then(Value::as_array).cloned().unwrap_or_default();
                for subject in subjects.iter().filter(|one| one["kind"] == "ServiceAccount" && one["name"] == AGENT) {
                    let namespace = subject["namespace"].as_str().unwrap_or_default().to_owned();
                    found.push((place.clone(), name.clone(), namespace));
                }
            }
        }
        found
    }

    /// The agent's namespace and its objects. Labels are anybody's to set: only what this computer installed, or what
    /// has the rights of an agent, is one.
    async fn agent_objects(&self, live: &Live) -> Result<(Option<String>, Vec<Found>, Vec<String>)> {
        let remembered = self.agent_place(live).await;
        let (mut all, mut unseen) = (Vec::new(), Vec::new());
        let own = BTreeSet::from([remembered.clone()]);
        let wide = Self::right_places(live);
        for kind in OWN {
            let places = if matches!(kind, kinds::ROLE | kinds::ROLE_BINDING) { &wide } else { &own };
            let items = self.labelled(live, &kind, places, &mut unseen).await?;
            all.extend(items.into_iter().filter_map(|one| {
                let metadata = one.metadata;
                Some(Found { kind, namespace: metadata.namespace, name: metadata.name?, uid: metadata.uid })
            }));
        }
        let marks = [kinds::DEPLOYMENT, kinds::CONFIG_MAP, kinds::SERVICE_ACCOUNT];
        let mut candidates: BTreeSet<String> = all
            .iter()
            .filter(|one| marks.contains(&one.kind) && one.name == AGENT)
            .filter_map(|one| one.namespace.clone())
            .collect();
        candidates.extend(
            all.iter().filter(|one| one.kind == kinds::NAMESPACE && one.name == remembered).map(|one| one.name.clone()),
        );
        let pointers = self.pointed_at(live).await;
        // Rights alone are left when somebody removed the namespace.
        candidates.extend(pointers.iter().map(|(_, _, to)| to.clone()).filter(|to| *to == remembered));
        let trusted: Vec<String> = candidates
            .into_iter()
            .filter(|place| *place == remembered || pointers.iter().any(|(_, _, to)| to == place))
            .collect();
        let place = match &trusted[..] {
            [] => return Ok((None, Vec::new(), unseen)),
            [one] => one.clone(),
            several if several.contains(&remembered) => remembered,
            [one, other, ..] => {
                return Err(AppError::blocked(format!("there are two agents, in the namespaces {one} and {other}"))
                    .with_hint("remove one of the two with kubectl; each carries the label app.kubernetes.io/name=pilothouse-agent"));
            }
        };
        all.retain(|one| is_of(one, &place, &pointers));
        Ok((Some(place), all, unseen))
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
        let (Some(namespace), found, _) = self.agent_objects(live).await? else { return Ok(None) };
        let deployment = match found.iter().any(|one| one.kind == kinds::DEPLOYMENT) {
            true => self.look_up(live, &kinds::DEPLOYMENT, &namespace, AGENT).await?,
            false => None,
        };
        let map = self.look_up(live, &kinds::CONFIG_MAP, &namespace, CONFIG_MAP).await?;
        let files = map.and_then(|one| one.data.get("data").cloned()).unwrap_or_default();
        let text = files.get("config.yaml").and_then(Value::as_str).unwrap_or_default();
        let config: Value = serde_yaml::from_str(text).unwrap_or_default();
        let secret = deployment.as_ref().and_then(secret_of).unwrap_or_else(|| CREDENTIALS.to_owned());
        let api = live.cluster.api(&kinds::SECRET, &namespace);
        let held = match live.cluster.in_time("the agent's Secret", api.get_metadata_opt(&secret)).await {
            Ok(None) => Some(BTreeSet::new()),
            Ok(Some(one)) => one.metadata.annotations.and_then(|all| all.get(HELD).cloned()).map(|names| {
                names.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect::<BTreeSet<String>>()
            }),
            Err(_) => None,
        };
        Ok(Some(Installed {
            needs: serde_json::from_value(config.clone()).ok().filter(|_| config.is_object()),
            config,
            files,
            secret,
            held,
            namespace,
            deployment,
            found,
        }))
    }
}

/// Whether metadata carries the labels of an installation.
fn is_labelled(metadata: &ObjectMeta) -> bool {
    let has =
        |key: &str, value: &str| metadata.labels.as_ref().and_then(|all| all.get(key)).is_some_and(|one| one == value);
    has(NAME_LABEL, AGENT) && has(MANAGER_LABEL, MANAGER)
}

/// The Secret with the credentials that a Deployment mounts.
fn secret_of(deployment: &DynamicObject) -> Option<String> {
    let volumes = deployment.data.pointer("/spec/template/spec/volumes")?.as_array()?;
    let volume = volumes.iter().find(|one| one["name"] == "credentials")?;
    volume.pointer("/secret/secretName").and_then(Value::as_str).map(str::to_owned)
}

/// Whether a labelled object is the agent's in `place`: it is there, or it is a right that is given to it or to nobody.
fn is_of(one: &Found, place: &str, pointers: &[(String, String, String)]) -> bool {
    match one.kind {
        kinds::NAMESPACE => one.name == place,
        kinds::ROLE | kinds::ROLE_BINDING => {
            let same = |(namespace, name, _): &&(String, String, String)| {
                one.namespace.as_deref() == Some(namespace.as_str()) && one.name == *name
            };
            let mut mine = pointers.iter().filter(same).peekable();
            let known = one.name == AGENT || one.name == TARGETS;
            known && (mine.peek().is_none() || mine.any(|(_, _, to)| to == place))
        }
        _ => one.namespace.as_deref() == Some(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: Kind, namespace: Option<&str>, name: &str) -> Found {
        Found { kind, namespace: namespace.map(str::to_owned), name: name.to_owned(), uid: None }
    }

    #[test]
    fn labels_alone_make_nothing_the_agents() {
        let pointer = |at: &str, to: &str| (at.to_owned(), AGENT.to_owned(), to.to_owned());
        let pointers = [pointer("litmus", "pilothouse"), pointer("aaa", "aaa")];
        for (one, of) in [
            (found(kinds::DEPLOYMENT, Some("pilothouse"), AGENT), true),
            (found(kinds::DEPLOYMENT, Some("aaa"), AGENT), false),
            (found(kinds::ROLE, Some("litmus"), AGENT), true),
            (found(kinds::ROLE_BINDING, Some("aaa"), AGENT), false),
            (found(kinds::ROLE, Some("litmus"), TARGETS), true),
            (found(kinds::ROLE, Some("litmus"), "another"), false),
            (found(kinds::NAMESPACE, None, "pilothouse"), true),
            (found(kinds::NAMESPACE, None, "aaa"), false),
        ] {
            assert_eq!(is_of(&one, "pilothouse", &pointers), of, "{one:?}");
        }
    }
}
