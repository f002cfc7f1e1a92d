//! What a decision needs to know besides the trigger and the workload.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::workload::Workload;

/// Namespaces of Kubernetes itself; no trigger starts anything for a workload there.
const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
/// The label by which a Namespace is protected.
pub const PROTECTED_LABEL: &str = "pilothouse.dev/protected";
/// The label of a ConfigMap that, as long as it exists, halts every trigger of its namespace. `data.reason` says why.
pub const HALT_LABEL: &str = "pilothouse.dev/halt-triggers";
/// How the annotations of a trigger begin that answer for a run: `yes` or `no`, and who said so.
pub const ANSWER_PREFIX: &str = "approve.pilothouse.dev/";

/// The disruption budgets, as far as they can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Budgets {
    /// All of them.
    Known(Vec<Budget>),
    /// Why they cannot be seen.
    Unknown(String),
}

/// What is around a trigger and a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// Why all triggers are halted, when they are.
    pub halted: Option<String>,
    /// Why it cannot be told whether all triggers are halted, when it cannot.
    pub halt_unknown: Option<String>,
    /// Namespaces that are protected by a label.
    pub protected: Vec<String>,
    /// Namespaces of which it cannot be told whether they are protected, and why.
    pub unread: BTreeMap<String, String>,
    /// The runs of all triggers that have not ended, of this one too.
    pub open: Vec<OpenRun>,
    /// The disruption budgets.
    pub budgets: Budgets,
    /// The answers on the trigger, by run.
    pub answers: BTreeMap<String, Answer>,
}

impl Default for Surroundings {
    /// Nothing at all around: everything is known, and there is none of it.
    fn default() -> Self {
        Self {
            halted: None,
            halt_unknown: None,
            protected: Vec::new(),
            unread: BTreeMap::new(),
            open: Vec::new(),
            budgets: Budgets::Known(Vec::new()),
            answers: BTreeMap::new(),
        }
    }
}

impl Surroundings {
    /// Why a namespace is protected, if it is.
    pub fn protects(&self, namespace: &str) -> Option<String> {
        if SYSTEM_NAMESPACES.contains(&namespace) {
            return Some(format!("{namespace} is Kubernetes' own"));
        }
        self.protected.iter().any(|one| one == namespace).then(|| format!("{namespace} is marked as protected"))
    }
}

impl Surroundings {
    /// Why nothing can be started in a namespace before more is known: whoever may not see a halt or a protection is
    /// not thereby free of it.
    pub fn doubt(&self, namespace: &str) -> Option<String> {
        let why = self.halt_unknown.as_ref().or_else(|| self.unread.get(namespace))?;
        Some(format!("protection or halt is not known: {why}"))
    }
}

/// A run that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRun {
    /// Its name.
    pub run: String,
    /// The uid of the trigger that started it.
    pub trigger: String,
    /// The uid of the workload it was started for.
    pub workload: String,
}

/// A person's answer about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether it may be started.
    pub yes: bool,
    /// Who said so; empty when nobody signed.
    pub who: String,
}

/// Reads the answers on a trigger; anything but a clear yes is no.
pub fn answers<'a>(annotations: impl Iterator<Item = (&'a String, &'a String)>) -> BTreeMap<String, Answer> {
    let read = |(key, text): (&String, &String)| {
        let run = key.strip_prefix(ANSWER_PREFIX)?.to_owned();
        let (word, who) = text.split_once(' ').unwrap_or((text, ""));
        Some((run, Answer { yes: word == "yes", who: who.chars().take(100).collect() }))
    };
    annotations.filter_map(read).collect()
}

/// A disruption budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its selector.
    selector: Value,
    /// How many pods may go now.
    pub allowed: i64,
}

impl Budget {
    /// Reads a PodDisruptionBudget. By `policy/v1` an empty selector selects every pod; by `policy/v1beta1`, none.
    pub fn read(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let older = text("/apiVersion") == "policy/v1beta1";
        let chooses = |selector: &&Value| {
            let has = |key: &str| match selector.get(key) {
                Some(Value::Object(map)) => !map.is_empty(),
                Some(Value::Array(list)) => !list.is_empty(),
                _ => false,
            };
            !older || has("matchLabels") || has("matchExpressions")
        };
        Self {
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            selector: object.pointer("/spec/selector").filter(chooses).cloned().unwrap_or_default(),
            allowed: object.pointer("/status/disruptionsAllowed").and_then(Value::as_i64).unwrap_or(0),
        }
    }

    /// Whether it is about a workload's pods. No selector selects none.
    pub fn covers(&self, workload: &Workload) -> bool {
        if self.namespace != workload.namespace || self.selector.is_null() {
            return false;
        }
        let labels = workload.pod_labels();
        let wanted = self.selector.get("matchLabels").and_then(Value::as_object);
        let mut equal = wanted.into_iter().flatten();
        let rules = self.selector.get("matchExpressions").and_then(Value::as_array);
        equal.all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
            && rules.into_iter().flatten().all(|rule| matches(rule, &labels))
    }
}

fn matches(rule: &Value, labels: &BTreeMap<String, String>) -> bool {
    let text = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default();
    let found = labels.get(text("key"));
    let values = rule.get("values").and_then(Value::as_array);
    let listed = |label: &String| values.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(label)));
    match text("operator") {
        "In" => found.is_some_and(listed),
        "NotIn" => found.is_none_or(|label| !listed(label)),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        // What is not understood is taken to cover: waiting does no harm.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::WorkloadKind;

    #[test]
    fn budgets_cover_by_their_selector() {
        let workload = Workload::read(
            WorkloadKind::Deployment,
            json!({"metadata": {"namespace": "shop"},
                "spec": {"template": {"metadata": {"labels": {"app": "cart", "tier": "web"}}}}}),
        );
        let covers = |selector: Value, namespace: &str| {
            let object = json!({"metadata": {"namespace": namespace}, "spec": {"selector": selector}});
            Budget::read(&object).covers(&workload)
        };
        let older = |selector: Value| {
            let object = json!({"apiVersion": "policy/v1beta1", "metadata": {"namespace": "shop"},
                "spec": {"selector": selector}});
            Budget::read(&object).covers(&workload)
        };
        assert!(older(json!({"matchLabels": {"app": "cart"}})));
        assert!(!older(json!({})) && !older(json!({"matchLabels": {}, "matchExpressions": []})) && !older(Value::Null));
        assert!(covers(json!({"matchLabels": {"app": "cart"}}), "shop"));
        assert!(!covers(json!({"matchLabels": {"app": "cart"}}), "other"));
        assert!(!covers(json!({"matchLabels": {"app": "cart", "x": "y"}}), "shop"));
        assert!(covers(json!({}), "shop"));
        assert!(!covers(Value::Null, "shop"));
        let rule = |operator: &str, key: &str| {
            covers(json!({"matchExpressions": [{"key": key, "operator": operator, "values": ["web"]}]}), "shop")
        };
        assert!(
            rule("In", "tier") && !rule("NotIn", "tier") && rule("Exists", "tier") && !rule("DoesNotExist", "tier")
        );
        assert!(!rule("In", "none") && rule("NotIn", "none"));
    }

    #[test]
    fn answers_are_yes_only_when_they_say_so() {
        let annotations: BTreeMap<String, String> = [
            ("approve.pilothouse.dev/trigger-1", "yes olha"),
            ("approve.pilothouse.dev/trigger-2", "no"),
            ("approve.pilothouse.dev/trigger-3", "yesterday"),
            ("other", "yes"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let read = answers(annotations.iter());
        assert_eq!(read.len(), 3);
        assert_eq!(read["trigger-1"], Answer { yes: true, who: "olha".into() });
        assert!(!read["trigger-2"].yes && !read["trigger-3"].yes);
    }
}
