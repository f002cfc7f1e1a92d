//! What a document can reach when it runs: service accounts, namespaces, images, and what breaks out of a container.
//!
//! A run that nobody asks for at this moment may reach only what a person saw and agreed to when letting it start by
//! itself; whoever can commit to the repository could otherwise borrow the cluster's rights. Commands and their
//! arguments are not compared: they run with exactly these rights, in exactly these images.

use std::collections::{BTreeMap, BTreeSet};

use pilothouse_cluster::Unfolding;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::document::{DocumentKind, WorkflowDocument, scalar_text};
use crate::names::digest;

/// The account that Kubernetes gives to pods which name none.
const DEFAULT_ACCOUNT: &str = "default";
/// What a parameter that is not known before the run is put between, so that the rest can still be read as YAML.
const OPEN: (char, char) = ('«', '»');

/// What a document can reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reach {
    /// The service accounts its steps and its faults run as.
    pub accounts: BTreeSet<String>,
    /// The namespaces it runs in, looks into and aims at.
    pub namespaces: BTreeSet<String>,
    /// The images it starts.
    pub images: BTreeSet<String>,
    /// What else it asks for: paths of the node, privileges, secrets, templates kept in the cluster, further objects.
    pub powers: BTreeSet<String>,
    /// What cannot be told before it runs; nobody can agree to that.
    pub open: BTreeSet<String>,
}

impl Reach {
    /// What a document reaches when it is run for a project in `project_namespace`.
    pub fn of(document: &WorkflowDocument, project_namespace: &str) -> Self {
        let namespace = document.namespace.as_deref().unwrap_or(project_namespace);
        let spec = document.workflow_spec();
        let own = spec.and_then(|spec| spec.get("serviceAccountName")).and_then(Value::as_str);
        let account = own.or(document.service_account.as_deref()).unwrap_or(DEFAULT_ACCOUNT);
        let mut known: BTreeMap<String, String> = document
            .parameters
            .iter()
            .filter_map(|(name, value)| Some((format!("workflow.parameters.{name}"), value.clone()?)))
            .collect();
        known.insert("workflow.namespace".to_owned(), namespace.to_owned());
        known.insert("workflow.serviceAccountName".to_owned(), account.to_owned());
        let mut walk = Walk { known, found: Self::default(), unfolding: Unfolding::default() };
        walk.found.namespaces.insert(namespace.to_owned());
        if matches!(document.kind, DocumentKind::Workflow | DocumentKind::CronWorkflow) {
            walk.note("service account", account, |found| &mut found.accounts);
        }
        walk.value(&document.value);
        walk.found
    }

    /// A digest that changes when any of it does.
    pub fn digest(&self) -> String {
        digest(&serde_json::to_string(self).unwrap_or_default())
    }

    /// What goes beyond `agreed`, in words; empty when nothing does.
    pub fn beyond(&self, agreed: &Self) -> Vec<String> {
        let more = |here: &BTreeSet<String>, there: &BTreeSet<String>, words: &str| {
            here.difference(there).map(|one| format!("{words} {one}")).collect::<Vec<_>>()
        };
        let mut found = more(&self.accounts, &agreed.accounts, "it runs as the service account");
        found.extend(more(&self.namespaces, &agreed.namespaces, "it reaches into the namespace"));
        found.extend(more(&self.images, &agreed.images, "it starts the image"));
        found.extend(more(&self.powers, &agreed.powers, "it asks for"));
        found.extend(self.open.iter().map(|one| format!("it does not say before it runs which {one} it takes")));
        found
    }
}

struct Walk {
    known: BTreeMap<String, String>,
    found: Reach,
    unfolding: Unfolding,
}

impl Walk {
    fn note(&mut self, what: &str, text: &str, into: impl Fn(&mut Reach) -> &mut BTreeSet<String>) {
        let text = self.filled(text);
        let text = text.trim();
        if is_open(text) {
            self.open(what, text);
        } else if !text.is_empty() {
            into(&mut self.found).insert(text.to_owned());
        }
    }

    /// Notes what is only known later.
    fn open(&mut self, what: &str, text: &str) {
        let shown = text.replace(OPEN.0, "{{").replace(OPEN.1, "}}");
        self.found.open.insert(format!("{what} ({shown})"));
    }

    fn power(&mut self, text: String) {
        self.note("privilege", &text, |found| &mut found.powers);
    }

    /// A text with the parameters that are known put in.
    fn filled(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            out.push_str(&rest[..start]);
            let after = &rest[start + 2..];
            let Some(end) = after.find("}}") else {
                rest = after;
                continue;
            };
            let inner = after[..end].trim();
            match self.known.get(inner) {
                Some(value) if !is_open(value) => out.push_str(value),
                _ => out.extend([OPEN.0.to_string(), inner.to_owned(), OPEN.1.to_string()]),
            }
            rest = &after[end + 2..];
        }
        out.push_str(rest);
        out
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(map) => self.map(map),
            Value::Array(list) => list.iter().for_each(|one| self.value(one)),
            _ => {}
        }
    }

    fn map(&mut self, map: &Map<String, Value>) {
        self.environment(map);
        for (key, value) in map {
            // Parameters are put into names as well.
            let key = self.filled(key);
            if is_open(&key) {
                self.open("field", &key);
            }
            self.entry(&key, value);
            self.value(value);
        }
    }

    /// Litmus takes much of what a fault reaches from entries of its environment.
    fn environment(&mut self, map: &Map<String, Value>) {
        let (Some(name), Some(value)) =
            (map.get("name").and_then(Value::as_str), map.get("value").and_then(scalar_text))
        else {
            return;
        };
        let name = self.filled(name).to_ascii_uppercase();
        if is_open(&name) {
            self.open("entry of its environment", &name);
        } else if name.ends_with("IMAGE") {
            self.note("image", &value, |found| &mut found.images);
        } else if name.ends_with("NAMESPACE") {
            self.note("namespace", &value, |found| &mut found.namespaces);
        } else if name.ends_with("SERVICE_ACCOUNT") {
            self.note("service account", &value, |found| &mut found.accounts);
        }
    }

    /// The names of fields are compared without their case: Argo reads a patch of a pod that way.
    fn entry(&mut self, key: &str, value: &Value) {
        let named = |inner: &str| named_in(value, inner).unwrap_or_default();
        let lower = key.to_ascii_lowercase();
        match (lower.as_str(), value) {
            ("image", Value::String(text)) => self.note("image", text, |found| &mut found.images),
            ("serviceaccountname" | "serviceaccount" | "chaosserviceaccount", Value::String(text)) => {
                self.note("service account", text, |found| &mut found.accounts);
            }
            ("namespace" | "appns" | "appnamespace", Value::String(text)) => {
                self.note("namespace", text, |found| &mut found.namespaces);
            }
            ("hostpath", Value::Object(_)) => self.power(format!("the node's path {}", named("path"))),
            // Litmus' own way of writing a hostPath.
            ("nodepath", Value::String(path)) => self.power(format!("the node's path {path}")),
            ("privileged" | "allowprivilegeescalation" | "hostnetwork" | "hostpid" | "hostipc", asked) => {
                self.privilege(key, key, asked, asked.as_bool() == Some(true), "true");
            }
            ("runasuser", user) => self.privilege(key, "root", user, user.as_f64() == Some(0.0), "0"),
            ("capabilities", Value::Object(of)) => {
                let added = of.iter().find(|(name, _)| name.eq_ignore_ascii_case("add"));
                let added = added.and_then(|(_, added)| added.as_array()).into_iter().flatten();
                added.filter_map(Value::as_str).for_each(|one| self.power(format!("the capability {one}")));
            }
            ("secretname", Value::String(name)) => self.power(format!("the secret {name}")),
            ("claimname", Value::String(name)) => self.power(format!("the volume {name}")),
            (list, Value::Array(all)) if list.ends_with("secrets") => {
                let names: Vec<_> = all.iter().filter_map(|one| named_in(one, "name")).collect();
                names.into_iter().for_each(|name| self.power(format!("the secret {name}")));
            }
            (one, Value::Object(_)) if ["secret", "secretref", "secretkeyref"].iter().any(|end| one.ends_with(end)) => {
                if let Some(name) = named_in(value, "name").or_else(|| named_in(value, "secretName")) {
                    self.power(format!("the secret {name}"));
                }
            }
            ("workflowtemplateref" | "templateref", Value::Object(_)) => {
                self.power(format!("the template {} kept in the cluster", named("name")));
            }
            ("manifestfrom", Value::Object(_)) => {
                self.found.open.insert("object (its manifest is made while it runs)".to_owned());
            }
            ("podspecpatch" | "manifest", Value::String(text)) => self.embedded(text, lower == "manifest"),
            ("raw", Value::Object(_)) => {
                // A file for a step; only one that holds objects can reach further.
                let text = named("data");
                if holds_objects(&text) {
                    self.embedded(&text, true);
                }
            }
            _ => {}
        }
    }

    /// What breaks out of a container, asked for outright or by a text that becomes it.
    fn privilege(&mut self, key: &str, words: &str, asked: &Value, outright: bool, text: &str) {
        let written = asked.as_str().map(|asked| self.filled(asked)).unwrap_or_default();
        if is_open(&written) {
            self.open(key, &written);
        } else if outright || written.trim().eq_ignore_ascii_case(text) {
            self.power(words.to_owned());
        }
    }

    /// Objects or a part of one, written as a text within the document.
    fn embedded(&mut self, text: &str, objects: bool) {
        let filled = self.filled(text);
        // What stands in for a parameter can be a whole part of the patch, whatever is around it.
        if !objects && is_open(&filled) {
            self.found.open.insert("part of its pod (podSpecPatch)".to_owned());
        }
        if self.unfolding.count(&filled).is_err() {
            self.found.open.insert("object (a manifest in it cannot be read)".to_owned());
            return;
        }
        for document in serde_yaml::Deserializer::from_str(&filled) {
            let Ok(value) = Value::deserialize(document) else {
                self.found.open.insert("object (a manifest in it cannot be read)".to_owned());
                return;
            };
            match value.get("kind").and_then(Value::as_str) {
                Some("ChaosEngine" | "ChaosExperiment") | None => {}
                Some(kind) if objects => self.power(format!("an object of kind {kind}")),
                Some(_) => {}
            }
            self.value(&value);
        }
    }
}

/// Whether a text holds a parameter that is not known before the run.
fn is_open(text: &str) -> bool {
    text.contains(OPEN.0) || text.contains("{{")
}

/// The text of a field, whatever the case of its name.
fn named_in(value: &Value, inner: &str) -> Option<String> {
    let (_, text) = value.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case(inner))?;
    text.as_str().map(str::to_owned)
}

/// Whether a file's text is, or may become, Kubernetes objects.
fn holds_objects(text: &str) -> bool {
    // What follows something that is no YAML is not to be asked for.
    let mut documents = serde_yaml::Deserializer::from_str(text).map_while(|one| Value::deserialize(one).ok());
    text.contains("kind:")
        || text.contains("\"kind\"")
        || Unfolding::default().count(text).is_err()
        || documents.any(|one| one.get("kind").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_yaml_holds_no_objects() {
        assert!(!holds_objects("a: *nobody\n"));
        assert!(holds_objects("'kind' : Pod\n"));
    }

    fn reach(spec: &str) -> Reach {
        let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
        let text = format!("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {{name: w}}\nspec:\n{spec}");
        Reach::of(&WorkflowDocument::parse(&text).unwrap(), "litmus")
    }

    const SEEN: &str = "entrypoint: a
serviceAccountName: argo-chaos
arguments: {parameters: [{name: image, value: 'busybox:1'}]}
templates:
  - name: a
    container: {image: '{{workflow.parameters.image}}'}
  - name: b
    inputs:
      artifacts:
        - name: e
          raw:
            data: |
              kind: ChaosEngine
              metadata: {namespace: '{{workflow.namespace}}'}
              spec: {chaosServiceAccount: litmus-admin, appinfo: {appns: shop, applabel: app=cart}}";

    #[test]
    fn everything_that_is_named_is_found() {
        let found = reach(SEEN);
        let words = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        assert_eq!(words(&found.accounts), ["argo-chaos", "litmus-admin"]);
        assert_eq!(words(&found.namespaces), ["litmus", "shop"]);
        assert_eq!(words(&found.images), ["busybox:1"]);
        assert!(found.powers.is_empty() && found.open.is_empty(), "{found:?}");
        assert!(found.beyond(&found).is_empty());
        assert_eq!(reach("entrypoint: a\ntemplates: [{name: a}]").accounts, BTreeSet::from(["default".to_owned()]));
    }

    #[test]
    fn what_was_not_seen_is_told() {
        let seen = reach(SEEN);
        for (from, to, words) in [
            ("serviceAccountName: argo-chaos", "serviceAccountName: cluster-admin", "service account cluster-admin"),
            ("chaosServiceAccount: litmus-admin", "chaosServiceAccount: root", "service account root"),
            ("- name: a\n", "- name: a\n    serviceAccountName: other\n", "service account other"),
            ("value: 'busybox:1'", "value: 'miner:1'", "image miner:1"),
            ("appns: shop", "appns: bank", "namespace bank"),
            ("'{{workflow.namespace}}'", "kube-system", "namespace kube-system"),
            ("templates:\n", "volumes: [{name: v, hostPath: {path: /}}]\ntemplates:\n", "the node's path /"),
            ("- name: b\n", "- name: b\n    securityContext: {privileged: true}\n", "privileged"),
            ("- name: b\n", "- name: b\n    podSpecPatch: '{\"hostNetwork\": true}'\n", "hostNetwork"),
            ("kind: ChaosEngine", "kind: ClusterRoleBinding", "kind ClusterRoleBinding"),
            ("- name: b\n", "- name: b\n    initContainers: [{name: i, image: evil}]\n", "image evil"),
            ("- name: b\n", "- name: b\n    steps: [[{name: s, templateRef: {name: t}}]]\n", "the template t"),
            ("- name: b\n", "- name: b\n    podSpecPatch: '{\"HostNetwork\": true}'\n", "HostNetwork"),
            ("- name: b\n", "- name: b\n    podSpecPatch: '{\"a\": {{workflow.parameters.on}}}'\n", "podSpecPatch"),
            (
                "templates:\n",
                "volumes: [{name: v, projected: {sources: [{secret: {name: keys}}]}}]\ntemplates:\n",
                "the secret keys",
            ),
            (
                "templates:\n",
                "volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]\ntemplates:\n",
                "the volume data",
            ),
            (
                "- name: b\n",
                "- name: b\n    outputs: {artifacts: [{name: o, s3: {accessKeySecret: {name: s3, key: k}}}]}\n",
                "the secret s3",
            ),
            ("spec: {chaos", "spec: {components: {secrets: [{name: tls, mountPath: /t}]}, chaos", "the secret tls"),
            ("kind: ChaosEngine", "kind : ClusterRoleBinding", "kind ClusterRoleBinding"),
            (
                "spec: {chaos",
                "spec: {experiments: [{name: x, spec: {components: {env: [{name: LIB_IMAGE, value: lib}]}}}], chaos",
                "image lib",
            ),
        ] {
            let changed = SEEN.replacen(from, to, 1);
            assert_ne!(changed, SEEN, "{from}");
            let beyond = reach(&changed).beyond(&seen);
            assert!(beyond.iter().any(|one| one.contains(words)), "{to}: {beyond:?}");
        }
    }

    #[test]
    fn what_is_only_known_later_is_never_agreed_to() {
        let later = reach(&SEEN.replace("workflow.parameters.image", "inputs.parameters.image"));
        let beyond = later.beyond(&later);
        assert!(beyond.iter().any(|one| one.contains("{{inputs.parameters.image}}")), "{beyond:?}");
        let before = "- name: b\n";
        for (line, words) in [
            ("podSpecPatch: '{\"privileged\": {{inputs.parameters.p}}}'", "podSpecPatch"),
            ("podSpecPatch: '{\"{{inputs.parameters.p}}\": true}'", "podSpecPatch"),
            ("podSpecPatch: '{\"memory\": \"{{inputs.parameters.p}}\"}'", "podSpecPatch"),
            ("securityContext: {privileged: '{{inputs.parameters.p}}'}", "privileged ({{inputs.parameters.p}})"),
            ("securityContext: {runAsUser: '{{inputs.parameters.p}}'}", "runAsUser"),
            ("securityContext: {'{{inputs.parameters.p}}': true}", "field ({{inputs.parameters.p}})"),
            ("resource: {manifest: '{kind: ChaosEngine, spec: {privileged: {{inputs.parameters.p}} }}'}", "privileged"),
            ("volumes: [{name: v, secret: {secretName: '{{item}}'}}]", "the secret {{item}}"),
        ] {
            let seen = reach(&SEEN.replacen(before, &format!("{before}    {line}\n"), 1));
            let beyond = seen.beyond(&seen);
            assert!(beyond.iter().any(|one| one.contains(words)), "{line}: {beyond:?}");
        }
        let broken = reach(&SEEN.replace("kind: ChaosEngine", "kind: ["));
        assert!(!broken.beyond(&broken).is_empty());
    }
}
