//! What a run would hit, before it runs.

use pilothouse_cluster::Name;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::WorkflowDocument;
use crate::engine::Target;

/// A fault's target, with the pods it finds now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Aim {
    /// The fault.
    pub fault: String,
    /// What it aims at.
    pub target: Target,
    /// The pods that match now, sorted; Litmus picks among them.
    pub pods: Vec<String>,
    /// How many of the matching pods Litmus may hit, in percent (`PODS_AFFECTED_PERC`; 0 means one pod).
    pub affected_percent: u32,
    /// How long the fault lasts, in seconds (`TOTAL_CHAOS_DURATION`), when it says.
    pub seconds: Option<u32>,
}

/// Every fault's aim. `pods` are Pod objects of all target namespaces that could be read.
pub fn aims(document: &WorkflowDocument, pods: &[Value]) -> Vec<Aim> {
    let mut found = Vec::new();
    for fault in &document.faults {
        let setting = |name: &str| fault.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
        for target in &fault.targets {
            let mut names: Vec<String> =
                pods.iter().filter(|pod| hits(target, pod)).map(|pod| text(pod, "/metadata/name").to_owned()).collect();
            names.sort();
            found.push(Aim {
                fault: fault.name.clone(),
                target: target.clone(),
                pods: names,
                affected_percent: setting("PODS_AFFECTED_PERC").and_then(|text| text.parse().ok()).unwrap_or(0),
                seconds: setting("TOTAL_CHAOS_DURATION").and_then(|text| text.parse().ok()),
            });
        }
    }
    found
}

/// What a person should know before pressing the button.
pub fn warnings(document: &WorkflowDocument, aims: &[Aim]) -> Vec<String> {
    let mut words: Vec<String> = document.problems.iter().map(ToString::to_string).collect();
    for aim in aims {
        let place = &aim.target.namespace;
        if aim.pods.is_empty() {
            words.push(format!("{}: no pod in {place:?} matches now, so the fault will end in an error", aim.fault));
        } else if aim.pods.len() == 1 {
            words.push(format!("{}: only one pod matches, so the application may be down meanwhile", aim.fault));
        }
        if matches!(place.as_str(), "kube-system" | "kube-public" | "kube-node-lease") {
            words.push(format!("{}: it aims at {place}, which keeps the cluster itself running", aim.fault));
        }
    }
    words
}

/// The namespaces a document's faults aim at, without repetition.
pub fn namespaces(document: &WorkflowDocument) -> Vec<String> {
    let mut found: Vec<String> = document
        .faults
        .iter()
        .flat_map(|fault| &fault.targets)
        .map(|target| target.namespace.clone())
        .filter(|namespace| Name::parse("namespace", namespace).is_ok())
        .collect();
    found.sort();
    found.dedup();
    found
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn hits(target: &Target, pod: &Value) -> bool {
    if text(pod, "/metadata/namespace") != target.namespace {
        return false;
    }
    if let Some(selector) = &target.labels {
        return selector_matches(selector, pod);
    }
    let name = text(pod, "/metadata/name");
    let owner = pod.pointer("/metadata/ownerReferences/0");
    let owner_name = owner.map(|owner| text(owner, "/name")).unwrap_or_default();
    target.names.iter().any(|wanted| match target.kind.as_str() {
        "pod" | "" => name == wanted,
        // A Deployment owns its pods through a ReplicaSet called `<deployment>-<template hash>`.
        "deployment" if owner.is_some_and(|owner| text(owner, "/kind") == "ReplicaSet") => owner_name
            .strip_prefix(wanted.as_str())
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|rest| !rest.is_empty() && !rest.contains('-')),
        kind => owner_name == wanted && owner.is_some_and(|owner| text(owner, "/kind").eq_ignore_ascii_case(kind)),
    })
}

/// Matches an equality selector (`a=b,c==d,e!=f,g`); Litmus takes nothing richer in `applabel`.
fn selector_matches(selector: &str, pod: &Value) -> bool {
    let label = |key: &str| pod.pointer("/metadata/labels").and_then(|labels| labels.get(key)).and_then(Value::as_str);
    selector.split(',').map(str::trim).filter(|part| !part.is_empty()).all(|part| {
        if let Some((key, value)) = part.split_once("!=") {
            label(key.trim()) != Some(value.trim())
        } else if let Some((key, value)) = part.split_once('=') {
            label(key.trim()) == Some(value.trim_start_matches('=').trim())
        } else {
            label(part).is_some()
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_pods_by_label_and_by_owner() {
        let pods = [
            json!({"metadata": {"name": "cart-1", "namespace": "shop", "labels": {"app": "cart"},
                   "ownerReferences": [{"kind": "ReplicaSet", "name": "cart-7f9c"}]}}),
            json!({"metadata": {"name": "cart-db-0", "namespace": "shop", "labels": {"app": "db"},
                   "ownerReferences": [{"kind": "StatefulSet", "name": "cart-db"}]}}),
            json!({"metadata": {"name": "cart-2", "namespace": "other", "labels": {"app": "cart"}}}),
        ];
        let target = |kind: &str, names: &[&str], labels: Option<&str>| Target {
            kind: kind.into(),
            namespace: "shop".into(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            labels: labels.map(str::to_owned),
        };
        let found = |target: &Target| {
            pods.iter().filter(|pod| hits(target, pod)).map(|pod| text(pod, "/metadata/name")).collect::<Vec<_>>()
        };
        assert_eq!(found(&target("deployment", &[], Some("app=cart"))), ["cart-1"]);
        assert_eq!(found(&target("deployment", &[], Some("app!=cart"))), ["cart-db-0"]);
        assert_eq!(found(&target("deployment", &["cart"], None)), ["cart-1"]);
        assert_eq!(found(&target("statefulset", &["cart-db"], None)), ["cart-db-0"]);
        assert_eq!(found(&target("pod", &["cart-db-0"], None)), ["cart-db-0"]);
    }
}
