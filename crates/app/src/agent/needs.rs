//! What the agent is to look after.

use std::collections::BTreeSet;

use pilothouse_chaos::{names::digest, project::Project};
use pilothouse_cluster::Name;
use pilothouse_git::RemoteUrl;
use pilothouse_triggers::spec::{TriggerSpec, WorkloadKind};
use serde::{Deserialize, Serialize};

use super::manifests::{Author, Settings};
use crate::remotes::{bound_to, without_secret};

/// A chaos project that the agent keeps in step with Git. Where it leads stands here once more, as a consent: whoever
/// can write the `ChaosProject` could otherwise have the agent's credential used for another repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectNeed {
    /// The namespace of its `ChaosProject`.
    pub namespace: String,
    /// Its id, which is the object's name.
    pub id: String,
    /// The repository's address, as in the object.
    pub url: String,
    /// The branch, as in the object; empty for the repository's own.
    #[serde(default)]
    pub branch: String,
    /// The entry of the Secret that holds the repository's credential: `<credential>.token` with an optional
    /// `<credential>.username`, or `<credential>.key` with an optional `<credential>.passphrase`. Any name will do;
    /// the window's are those of [`credential_name`].
    pub credential: String,
}

/// A trigger that the agent serves, as far as rights follow from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TriggerNeed {
    /// The namespace of the `EventTrigger`, which is also its project's and its runs'.
    pub namespace: String,
    /// The namespace of the workloads that it watches.
    pub target: String,
    /// Their kind.
    pub kind: WorkloadKind,
    /// Whether its guards ask for disruption budgets.
    #[serde(default)]
    pub respect_disruption_budget: bool,
}

/// Which projects and triggers the agent looks after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Needs {
    /// The chaos projects.
    #[serde(default)]
    pub projects: Vec<ProjectNeed>,
    /// The triggers; equal ones count once.
    #[serde(default)]
    pub triggers: Vec<TriggerNeed>,
}

/// What a running agent reads: the file that [`super::config_text`] writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The name that the cluster is known by.
    pub cluster: String,
    /// Who its commits are by.
    pub author: Author,
    /// What it looks after.
    #[serde(flatten)]
    pub needs: Needs,
}

/// All that an installation is made of: the values of the Helm chart and the input of `print-manifests`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How the agent is installed.
    #[serde(flatten)]
    pub settings: Settings,
    /// What it looks after.
    #[serde(flatten)]
    pub needs: Needs,
}

/// A field of a [`Plan`] that cannot stay as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Flaw {
    /// Where, such as `projects[0].url`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// What the credential of a project is called in the Secret: `<namespace>.<id>.<server>`, the server as the first eight
/// hexadecimal digits of the SHA-256 of its address. For a project that is led to another server, the credential of the
/// old one is thus not even looked for.
pub fn credential_name(namespace: &str, id: &str, url: &str) -> String {
    // An address that cannot be read is a flaw of the plan, and nothing is called at it.
    let server = RemoteUrl::parse(url).map_or_else(|_| url.to_owned(), |url| bound_to(&url));
    let server: String = digest(&server).chars().take(8).collect();
    format!("{namespace}.{id}.{server}")
}

impl Needs {
    /// What live objects ask for: the enabled ones among `projects`, and `triggers` with the namespaces that they are
    /// in. Credentials are called as [`credential_name`] has it.
    pub fn of<'a>(
        projects: impl IntoIterator<Item = &'a Project>,
        triggers: impl IntoIterator<Item = (&'a str, &'a TriggerSpec)>,
    ) -> Self {
        let enabled = projects.into_iter().filter(|project| project.enabled);
        let mut needs = Self {
            projects: enabled
                .map(|project| ProjectNeed {
                    namespace: project.namespace.clone(),
                    id: project.id.clone(),
                    url: project.url.clone(),
                    branch: project.branch.clone(),
                    credential: credential_name(&project.namespace, &project.id, &project.url),
                })
                .collect(),
            triggers: triggers
                .into_iter()
                .map(|(namespace, spec)| TriggerNeed {
                    namespace: namespace.to_owned(),
                    target: spec.target.namespace.clone(),
                    kind: spec.target.kind,
                    respect_disruption_budget: spec.guards.respect_disruption_budget,
                })
                .collect(),
        };
        needs.projects.sort();
        needs.projects.dedup();
        needs.triggers.sort();
        needs.triggers.dedup();
        needs
    }

    /// The namespaces of projects and triggers, where runs are made.
    pub fn homes(&self) -> BTreeSet<&str> {
        let projects = self.projects.iter().map(|one| one.namespace.as_str());
        projects.chain(self.triggers.iter().map(|one| one.namespace.as_str())).collect()
    }

    /// The namespaces whose triggers are served.
    pub fn served(&self) -> BTreeSet<&str> {
        self.triggers.iter().map(|one| one.namespace.as_str()).collect()
    }

    /// The namespaces whose workloads are watched.
    pub fn targets(&self) -> BTreeSet<&str> {
        self.triggers.iter().map(|one| one.target.as_str()).collect()
    }
}

/// Whether a text can be the beginning of a Secret's key.
fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl Plan {
    /// What of it cannot stay as it is; nothing is to be made of a plan with a flaw.
    pub fn flaws(&self) -> Vec<Flaw> {
        let mut flaws = self.settings.flaws();
        flaws.extend(self.needs.flaws());
        flaws
    }
}

impl Needs {
    /// What of it cannot stay as it is.
    pub fn flaws(&self) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        let mut say = |field: String, message: String| flaws.push(Flaw { field, message });
        let mut seen = BTreeSet::new();
        for (at, project) in self.projects.iter().enumerate() {
            let field = |name: &str| format!("projects[{at}].{name}");
            for (name, text) in [("namespace", &project.namespace), ("id", &project.id)] {
                if let Err(error) = Name::parse(name, text) {
                    say(field(name), error.to_string());
                }
            }
            if let Err(error) = without_secret(&project.url) {
                say(field("url"), error.message);
            }
            if project.branch.chars().any(char::is_control) {
                say(field("branch"), "it holds a control character".to_owned());
            }
            if !is_key(&project.credential) {
                say(field("credential"), "use letters, digits, '-', '_' and '.', not beginning with '.'".to_owned());
            }
            if !seen.insert((&project.namespace, &project.id)) {
                say(field("id"), format!("{} of {} stands here twice", project.id, project.namespace));
            }
        }
        for (at, trigger) in self.triggers.iter().enumerate() {
            for (name, text) in [("namespace", &trigger.namespace), ("target", &trigger.target)] {
                if let Err(error) = Name::parse(name, text) {
                    say(format!("triggers[{at}].{name}"), error.to_string());
                }
            }
        }
        flaws
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "
namespace: pilothouse
image: registry.example/pilothouse-agent:0.1.0
cluster: shop-eu
author: {name: Pilothouse agent, email: agent@example.com}
projects:
- {namespace: litmus, id: shop, url: https://git.example/acme/chaos.git, branch: main, credential: chaos}
triggers:
- {namespace: litmus, target: shop, kind: Deployment, respectDisruptionBudget: true}
";

    #[test]
    fn a_plan_is_read_and_its_flaws_are_told() {
        let plan: Plan = serde_yaml::from_str(PLAN).unwrap();
        assert_eq!(plan.flaws(), []);
        assert_eq!(plan.settings.replicas, 2);
        assert!(plan.needs.triggers[0].respect_disruption_budget);
        let again: Plan = serde_yaml::from_str(&serde_yaml::to_string(&plan).unwrap()).unwrap();
        assert_eq!(again, plan);
        for (from, to, field) in [
            ("namespace: litmus, id", "namespace: Litmus, id", "projects[0].namespace"),
            ("https://git", "https://robin:hush@git", "projects[0].url"),
            ("credential: chaos", "credential: ../chaos", "projects[0].credential"),
            ("target: shop", "target: 'a/b'", "triggers[0].target"),
            ("image: registry.example/pilothouse-agent:0.1.0", "image: ''", "image"),
        ] {
            let plan: Plan = serde_yaml::from_str(&PLAN.replacen(from, to, 1)).unwrap();
            let flaws = plan.flaws();
            assert_eq!(flaws.first().map_or("", |flaw| flaw.field.as_str()), field, "{flaws:?}");
            assert!(flaws.iter().all(|flaw| !flaw.to_string().contains("hush")));
        }
        let typo = PLAN.replace("respectDisruptionBudget", "respectBudget");
        assert!(serde_yaml::from_str::<Plan>(&typo).is_err(), "a field that is not known may have been meant");
    }

    #[test]
    fn another_server_is_another_credential() {
        let name = |url: &str| credential_name("litmus", "shop", url);
        let known = name("https://git.a/acme/one.git");
        assert_eq!(name("https://git.a/acme/two.git"), known);
        for other in ["https://git.b/acme/one.git", "https://git.a:8443/acme/one.git", "ssh://git@git.a/acme/one.git"] {
            assert_ne!(name(other), known, "{other}");
        }
        let server = known.strip_prefix("litmus.shop.").unwrap();
        assert!(server.len() == 8 && server.bytes().all(|b| b.is_ascii_hexdigit()), "{known}");
        assert!(is_key(&known), "the Secret takes it");
    }

    #[test]
    fn live_objects_tell_what_is_needed() {
        let project = |id: &str, enabled| Project {
            id: id.into(),
            namespace: "litmus".into(),
            enabled,
            url: "https://git.example/acme/chaos.git".into(),
            branch: "main".into(),
            auth: pilothouse_chaos::project::Auth::Token,
            description: None,
            state: None,
            commit: None,
            last_sync: None,
            message: None,
            arriving: None,
        };
        let spec: TriggerSpec = serde_yaml::from_str(
            "{project: shop, workflow: kill, target: {kind: StatefulSet, namespace: data}, guards: {respectDisruptionBudget: true}}",
        )
        .unwrap();
        let needs = Needs::of(&[project("shop", true), project("old", false)], [("litmus", &spec), ("litmus", &spec)]);
        assert_eq!(needs.projects.len(), 1);
        let url = "https://git.example/another/repository.git";
        assert_eq!(
            needs.projects[0].credential,
            credential_name("litmus", "shop", url),
            "it is the server that counts"
        );
        assert_eq!(
            needs.triggers,
            [TriggerNeed {
                namespace: "litmus".into(),
                target: "data".into(),
                kind: WorkloadKind::StatefulSet,
                respect_disruption_budget: true,
            }]
        );
        assert_eq!(needs.homes().into_iter().collect::<Vec<_>>(), ["litmus"]);
        assert_eq!(needs.targets().into_iter().collect::<Vec<_>>(), ["data"]);
    }
}
