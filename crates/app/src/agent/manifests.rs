//! The objects that install the agent.

use std::fmt::Write;

use pilothouse_cluster::{Name, crds};
use pilothouse_git::RemoteUrl;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    needs::{Flaw, Needs},
    rights::{Right, by_home, by_target},
};

/// What the agent's objects are called, and their label `app.kubernetes.io/name`.
pub const AGENT: &str = "pilothouse-agent";
/// The label that every object of an installation carries with [`AGENT`]: what to look for to find them all.
pub const NAME_LABEL: &str = "app.kubernetes.io/name";
/// The label that every object of an installation carries with [`MANAGER`].
pub const MANAGER_LABEL: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGER_LABEL`].
pub const MANAGER: &str = "pilothouse";
/// The ConfigMap that the agent reads.
pub const CONFIG_MAP: &str = AGENT;
/// The usual name of the Secret with the Git credentials.
pub const CREDENTIALS: &str = "pilothouse-agent-git";
/// The port of health, readiness and metrics.
pub const PORT: u16 = 8080;

/// Who the agent's commits are by: what it takes over from the cluster into Git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Author {
    /// A name.
    pub name: String,
    /// An e-mail address.
    pub email: String,
}

/// How the agent is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// The namespace of the agent itself; it is made when it is not there.
    pub namespace: String,
    /// The image, with its tag or digest.
    pub image: String,
    /// How many pods; one is in charge of each project, the others stand by. 0 pauses the agent.
    #[serde(default = "two")]
    pub replicas: u32,
    /// The name that this cluster is known by, best that of the context in the window: on a name that says production
    /// chaos starts only by hand, in the agent as in the window.
    pub cluster: String,
    /// Who its commits are by.
    pub author: Author,
    /// The Secret with the Git credentials, in the agent's namespace. Its value is nowhere in the manifests.
    #[serde(default = "credentials")]
    pub credentials: String,
    /// Lines of `known_hosts` for Git servers over SSH. No host key is accepted unseen.
    #[serde(default)]
    pub known_hosts: String,
    /// Certificates in PEM of private authorities of Git servers; empty for the image's own alone.
    #[serde(default)]
    pub authority: String,
    /// The TCP ports that the agent may call, wherever: the API server's and the Git servers'. DNS is always allowed.
    #[serde(default = "usual_ports")]
    pub egress_ports: Vec<u16>,
    /// What is logged, as `RUST_LOG` says it.
    #[serde(default = "info")]
    pub log: String,
}

fn two() -> u32 {
    2
}

fn credentials() -> String {
    CREDENTIALS.to_owned()
}

fn usual_ports() -> Vec<u16> {
    vec![22, 443, 6443]
}

fn info() -> String {
    "info".to_owned()
}

impl Settings {
    /// The usual settings for a namespace, an image, a cluster's name and an author.
    pub fn new(namespace: &str, image: &str, cluster: &str, author: Author) -> Self {
        Self {
            namespace: namespace.to_owned(),
            image: image.to_owned(),
            replicas: two(),
            cluster: cluster.to_owned(),
            author,
            credentials: credentials(),
            known_hosts: String::new(),
            authority: String::new(),
            egress_ports: usual_ports(),
            log: info(),
        }
    }

    /// Adds the ports of the projects' Git servers to those that may be called, and that of the API server at `server`
    /// where it is known.
    pub fn reaching(mut self, needs: &Needs, server: Option<&str>) -> Self {
        let git = needs.projects.iter().filter_map(|project| RemoteUrl::parse(&project.url).ok());
        // The address of a repository has a path; that of an API server rarely has one.
        let api = server.map(|server| format!("{}/api", server.trim_end_matches('/')));
        let api = api.and_then(|server| RemoteUrl::parse(&server).ok());
        self.egress_ports.extend(git.chain(api).map(|url| url.port()));
        self.egress_ports.sort_unstable();
        self.egress_ports.dedup();
        self
    }

    /// What of the settings cannot stay as it is.
    pub(super) fn flaws(&self) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        let mut say = |field: &str, message: &str| {
            flaws.push(Flaw { field: field.to_owned(), message: message.to_owned() });
        };
        for (field, text) in [("namespace", &self.namespace), ("credentials", &self.credentials)] {
            if let Err(error) = Name::parse(field, text) {
                say(field, &error.to_string());
            }
        }
        if self.image.is_empty() || self.image.contains(|c: char| c.is_whitespace() || c.is_control()) {
            say("image", "name an image, such as registry.example/pilothouse-agent:0.1.0");
        }
        if self.replicas > 5 {
            say("replicas", "take 0 to 5: one of them works, the others only stand by");
        }
        let lines = [
            ("cluster", &self.cluster),
            ("author.name", &self.author.name),
            ("author.email", &self.author.email),
            ("log", &self.log),
        ];
        for (field, text) in lines {
            if text.trim().is_empty() || text.chars().any(char::is_control) {
                say(field, "write one line of text");
            }
        }
        if self.authority.contains("PRIVATE KEY") {
            say("authority", "it holds a private key; only certificates belong here");
        }
        if self.egress_ports.contains(&0) {
            say("egressPorts", "0 is no port");
        }
        flaws
    }
}

/// A text as YAML and JSON both quote it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The file that the agent reads: what it is to look after, and that its operator agrees to where each project leads.
pub fn config_text(settings: &Settings, needs: &Needs) -> String {
    let mut text = format!("cluster: {}\n", quoted(&settings.cluster));
    let author = &settings.author;
    // Writing to a String cannot fail.
    let _ = write!(text, "author:\n  name: {}\n  email: {}\n", quoted(&author.name), quoted(&author.email));
    let none = |empty: bool| if empty { " []" } else { "" };
    let _ = writeln!(text, "projects:{}", none(needs.projects.is_empty()));
    for one in &needs.projects {
        let _ = writeln!(text, "- namespace: {}\n  id: {}", quoted(&one.namespace), quoted(&one.id));
        let _ = writeln!(text, "  url: {}\n  branch: {}", quoted(&one.url), quoted(&one.branch));
        let _ = writeln!(text, "  credential: {}", quoted(&one.credential));
    }
    let _ = writeln!(text, "triggers:{}", none(needs.triggers.is_empty()));
    for one in &needs.triggers {
        let _ = writeln!(text, "- namespace: {}\n  target: {}", quoted(&one.namespace), quoted(&one.target));
        let _ = writeln!(text, "  kind: {}", quoted(one.kind.as_str()));
        let _ = writeln!(text, "  respectDisruptionBudget: {}", one.respect_disruption_budget);
    }
    text
}

fn labels() -> Value {
    json!({ NAME_LABEL: AGENT, MANAGER_LABEL: MANAGER, "app.kubernetes.io/part-of": "pilothouse" })
}

fn object(api_version: &str, kind: &str, name: &str, namespace: Option<&str>, rest: Value) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), name.into());
    if let Some(namespace) = namespace {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    metadata.insert("labels".to_owned(), labels());
    let mut whole = Map::new();
    whole.insert("apiVersion".to_owned(), api_version.into());
    whole.insert("kind".to_owned(), kind.into());
    whole.insert("metadata".to_owned(), Value::Object(metadata));
    if let Value::Object(rest) = rest {
        whole.extend(rest);
    }
    Value::Object(whole)
}

const RBAC: &str = "rbac.authorization.k8s.io";

fn role(agent: &str, name: &str, namespace: &str, rights: &[Right]) -> [Value; 2] {
    let rules: Vec<Value> = rights
        .iter()
        .map(|right| {
            let mut rule = json!({ "apiGroups": [right.group], "resources": [right.resource], "verbs": right.verbs });
            if !right.names.is_empty() {
                rule["resourceNames"] = json!(right.names);
            }
            rule
        })
        .collect();
    let version = format!("{RBAC}/v1");
    [
        object(&version, "Role", name, Some(namespace), json!({ "rules": rules })),
        object(
            &version,
            "RoleBinding",
            name,
            Some(namespace),
            json!({
                "roleRef": { "apiGroup": RBAC, "kind": "Role", "name": name },
                "subjects": [{ "kind": "ServiceAccount", "name": AGENT, "namespace": agent }],
            }),
        ),
    ]
}

/// The Roles' names in the namespaces of projects, and in those of watched workloads; a namespace may be both.
const ROLES: [&str; 2] = [AGENT, "pilothouse-agent-targets"];

fn probe(path: &str, period: u32, failures: u32) -> Value {
    json!({ "httpGet": { "path": path, "port": "http" }, "periodSeconds": period, "failureThreshold": failures })
}

fn container(settings: &Settings) -> Value {
    json!({
        "name": "agent",
        "image": settings.image,
        "args": [
            "run",
            "--config=/etc/pilothouse/config.yaml",
            "--credentials=/var/run/secrets/pilothouse/git",
            "--data=/data",
            format!("--listen=0.0.0.0:{PORT}"),
        ],
        "env": [
            { "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
            { "name": "RUST_LOG", "value": settings.log },
            { "name": "HOME", "value": "/data" },
        ],
        "ports": [{ "name": "http", "containerPort": PORT, "protocol": "TCP" }],
        "startupProbe": probe("/healthz", 2, 30),
        "livenessProbe": probe("/healthz", 10, 6),
        "readinessProbe": probe("/readyz", 5, 3),
        "resources": {
            "requests": { "cpu": "50m", "memory": "96Mi" },
            "limits": { "memory": "512Mi" },
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": [
            { "name": "config", "mountPath": "/etc/pilothouse", "readOnly": true },
            { "name": "credentials", "mountPath": "/var/run/secrets/pilothouse/git", "readOnly": true },
            { "name": "data", "mountPath": "/data" },
            { "name": "tmp", "mountPath": "/tmp" },
        ],
    })
}

fn deployment(settings: &Settings, config: &str) -> Value {
    let selector = json!({ NAME_LABEL: AGENT });
    let digest: String = Sha256::digest(config.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "spec": {
        "replicas": settings.replicas,
        "selector": { "matchLabels": selector },
        "template": {
            "metadata": {
                "labels": labels(),
                // A changed configuration is a new rollout.
                "annotations": { "pilothouse.dev/config-digest": digest },
            },
            "spec": {
                "serviceAccountName": AGENT,
                "automountServiceAccountToken": true,
                "terminationGracePeriodSeconds": 20,
                "securityContext": {
                    "runAsNonRoot": true,
                    "runAsUser": 65532,
                    "runAsGroup": 65532,
                    "fsGroup": 65532,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "topologySpreadConstraints": [{
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": { "matchLabels": selector },
                }],
                "containers": [container(settings)],
                "volumes": [
                    { "name": "config", "configMap": { "name": CONFIG_MAP } },
                    // Optional, so that a pod without it can say what is missing.
                    { "name": "credentials", "secret": {
                        "secretName": settings.credentials, "optional": true, "defaultMode": 0o440,
                    } },
                    { "name": "data", "emptyDir": { "sizeLimit": "2Gi" } },
                    { "name": "tmp", "emptyDir": { "sizeLimit": "64Mi" } },
                ],
            },
        },
    } })
}

fn network_policy(settings: &Settings) -> Value {
    let tcp = |port: u16| json!({ "port": port, "protocol": "TCP" });
    let ports: Vec<Value> = settings.egress_ports.iter().map(|port| tcp(*port)).collect();
    json!({ "spec": {
        "podSelector": { "matchLabels": { NAME_LABEL: AGENT } },
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{ "ports": [tcp(PORT)] }],
        "egress": [
            { "ports": [{ "port": 53, "protocol": "UDP" }, tcp(53)] },
            { "ports": ports },
        ],
    } })
}

/// The objects of an installation in the order in which they are to be applied. All but the kinds (the three CRDs,
/// which hold projects and triggers and outlive the agent) carry [`NAME_LABEL`] and [`MANAGER_LABEL`]. The namespaces
/// of projects and workloads are there already; the Secret with the credentials is not among the objects.
pub fn manifests(settings: &Settings, needs: &Needs) -> Vec<Value> {
    let own = Some(settings.namespace.as_str());
    let mut namespace = object("v1", "Namespace", &settings.namespace, None, json!({}));
    namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted".into();
    let mut all = vec![namespace];
    all.extend(crds::manifests());
    all.push(object("v1", "ServiceAccount", AGENT, own, json!({ "automountServiceAccountToken": false })));
    for (namespace, rights) in by_home(needs) {
        all.extend(role(&settings.namespace, ROLES[0], namespace, &rights));
    }
    for (namespace, rights) in by_target(needs) {
        all.extend(role(&settings.namespace, ROLES[1], namespace, &rights));
    }
    let config = config_text(settings, needs);
    let deployment = deployment(settings, &config);
    let mut data = json!({ "config.yaml": config, "known_hosts": settings.known_hosts });
    if !settings.authority.is_empty() {
        data["authority.pem"] = settings.authority.clone().into();
    }
    all.push(object("v1", "ConfigMap", CONFIG_MAP, own, json!({ "data": data })));
    all.push(object("networking.k8s.io/v1", "NetworkPolicy", AGENT, own, network_policy(settings)));
    let selector = json!({ "matchLabels": { NAME_LABEL: AGENT } });
    let budget = json!({ "spec": { "maxUnavailable": 1, "selector": selector } });
    all.push(object("policy/v1", "PodDisruptionBudget", AGENT, own, budget));
    all.push(object("apps/v1", "Deployment", AGENT, own, deployment));
    all
}

/// The objects as one YAML text fit for `kubectl apply -f -`, each Role with a comment for each of its rights.
pub fn to_yaml(objects: &[Value], needs: &Needs) -> serde_yaml::Result<String> {
    let homes = by_home(needs);
    let targets = by_target(needs);
    let mut text = String::new();
    for one in objects {
        text.push_str("---\n");
        if one["kind"] == "Role" {
            let rights = if one["metadata"]["name"] == ROLES[0] { &homes } else { &targets };
            let here = rights.iter().find(|(namespace, _)| one["metadata"]["namespace"] == *namespace);
            for right in here.into_iter().flat_map(|(_, rights)| rights) {
                let _ = writeln!(text, "# {}: {}.", right.words(), right.why);
            }
        }
        text.push_str(&serde_yaml::to_string(one)?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use pilothouse_triggers::spec::WorkloadKind;

    use super::*;
    use crate::agent::{ProjectNeed, TriggerNeed, rights};

    fn plan() -> (Settings, Needs) {
        let author = Author { name: "Pilothouse \"agent\"".into(), email: "agent@example.com".into() };
        let needs = Needs {
            projects: vec![ProjectNeed {
                namespace: "litmus".into(),
                id: "shop".into(),
                url: "ssh://git@git.example:2222/acme/chaos.git".into(),
                branch: "main".into(),
                credential: "chaos".into(),
            }],
            triggers: vec![TriggerNeed {
                namespace: "litmus".into(),
                target: "litmus".into(),
                kind: WorkloadKind::Deployment,
                respect_disruption_budget: false,
            }],
        };
        let settings = Settings::new("pilothouse", "registry.example/agent:1", "shop-eu", author);
        (settings.reaching(&needs, Some("https://10.0.0.1:16443/")), needs)
    }

    #[test]
    fn every_object_is_found_by_its_labels_but_the_kinds() {
        let (settings, needs) = plan();
        let all = manifests(&settings, &needs);
        let kinds: Vec<&str> = all.iter().filter_map(|one| one["kind"].as_str()).collect();
        assert_eq!(kinds[0], "Namespace");
        assert_eq!(kinds.last(), Some(&"Deployment"), "what needs all the others comes last");
        for one in &all {
            let labels = &one["metadata"]["labels"];
            let ours = labels[NAME_LABEL] == AGENT && labels[MANAGER_LABEL] == MANAGER;
            assert_eq!(ours, one["kind"] != "CustomResourceDefinition", "{one}");
        }
        assert_eq!(settings.egress_ports, [22, 443, 2222, 6443, 16443]);
    }

    #[test]
    fn the_roles_hold_the_rights_and_no_other() {
        let (settings, needs) = plan();
        let all = manifests(&settings, &needs);
        let mut rules = 0;
        for one in all.iter().filter(|one| one["kind"] == "Role") {
            assert_eq!(one["metadata"]["namespace"], "litmus");
            rules += one["rules"].as_array().unwrap().len();
        }
        assert_eq!(rules, rights(&needs).len());
        assert!(!all.iter().any(|one| one["kind"].as_str().is_some_and(|kind| kind.starts_with("ClusterRole"))));
        let text = to_yaml(&all, &needs).unwrap();
        for right in rights(&needs) {
            assert!(text.contains(&format!("# {}: {}.\n", right.words(), right.why)), "{}", right.words());
        }
        let read: Vec<Value> =
            serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap()).collect();
        assert_eq!(read, all);
    }

    #[test]
    fn the_configuration_reads_back_and_rolls_the_pods_when_it_changes() {
        let (settings, mut needs) = plan();
        let text = config_text(&settings, &needs);
        let read: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(read["author"]["name"], "Pilothouse \"agent\"");
        assert_eq!(serde_json::from_value::<Needs>(read).unwrap(), needs);
        let digest = |needs: &Needs| {
            let all = manifests(&settings, needs);
            all.last().unwrap()["spec"]["template"]["metadata"]["annotations"].clone()
        };
        let before = digest(&needs);
        assert_eq!(digest(&needs), before);
        needs.projects[0].branch = "next".into();
        assert_ne!(digest(&needs), before);
        needs = Needs::default();
        assert!(serde_yaml::from_str::<Value>(&config_text(&settings, &needs)).is_ok());
    }

    #[test]
    fn the_pod_is_one_that_the_restricted_standard_admits() {
        let (settings, needs) = plan();
        let all = manifests(&settings, &needs);
        let pod = &all.last().unwrap()["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(container["allowPrivilegeEscalation"], false);
        assert_eq!(container["readOnlyRootFilesystem"], true);
        assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
    }
}
