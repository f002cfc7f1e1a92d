//! Pilothouse's own CRDs: ChaosProject, ChaosWorkflow and EventTrigger of `pilothouse.dev/v1alpha1`.

use std::time::Duration;

use kube::api::{DynamicObject, PostParams};
use serde_json::Value;

use crate::connect::Cluster;
use crate::error::{Error, Result};
use crate::kinds;

/// The manifests' text, fit for `kubectl create -f`.
pub const TEXTS: [&str; 3] = [
    include_str!("../crds/chaosprojects.yaml"),
    include_str!("../crds/chaosworkflows.yaml"),
    include_str!("../crds/eventtriggers.yaml"),
];

/// Counts the schema's changes; a cluster's higher number is a newer Pilothouse's, which is left alone.
const REVISION: &str = "pilothouse.dev/schema-revision";

/// How often a collision with another installer is tried again.
const ATTEMPTS: u32 = 5;

/// What an installation did; the CRDs' names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallOutcome {
    /// Those that were not there.
    pub created: Vec<String>,
    /// Those that were older.
    pub updated: Vec<String>,
    /// Those that were the same, or newer.
    pub unchanged: Vec<String>,
}

/// The manifests.
pub fn manifests() -> Vec<Value> {
    // They are part of the program, and a test reads them.
    TEXTS.iter().filter_map(|text| serde_yaml::from_str(text).ok()).collect()
}

/// Creates the CRDs, or brings them up to date, and waits until the API serves them. Needs the right to create and
/// update CustomResourceDefinitions; without it the error is `Forbidden`, whose hint says who has it.
pub async fn install(cluster: &Cluster) -> Result<InstallOutcome> {
    let mut outcome = InstallOutcome::default();
    for manifest in manifests() {
        let object: DynamicObject =
            serde_json::from_value(manifest).map_err(|error| Error::Unexpected { problem: error.to_string() })?;
        let name = object.metadata.name.clone().unwrap_or_default();
        match install_one(cluster, &name, &object).await? {
            Step::Created => outcome.created.push(name),
            Step::Updated => outcome.updated.push(name),
            Step::Unchanged => outcome.unchanged.push(name),
        }
    }
    for name in outcome.created.iter().chain(&outcome.updated) {
        wait_established(cluster, name).await?;
    }
    Ok(outcome)
}

enum Step {
    Created,
    Updated,
    Unchanged,
}

async fn install_one(cluster: &Cluster, name: &str, wanted: &DynamicObject) -> Result<Step> {
    let api = cluster.api_all(&kinds::CRD);
    let what = format!("installing {name}");
    let mut last = Error::Conflict { message: format!("{name} keeps changing"), exists: false };
    for attempt in 0..ATTEMPTS {
        let create = || async { cluster.in_time(&what, api.create(&PostParams::default(), wanted)).await };
        let present = match cluster.in_time(&what, api.get_opt(name)).await {
            // Who may not even look is told about the right that matters.
            Err(hidden @ Error::Forbidden { .. }) => {
                return match create().await {
                    Ok(_) => Ok(Step::Created),
                    Err(Error::Conflict { .. }) => Err(hidden),
                    Err(other) => Err(other),
                };
            }
            other => other?,
        };
        let attempt_result = match present {
            None => create().await.map(|_| Step::Created),
            Some(present) if revision(&present) >= revision(wanted) => return Ok(Step::Unchanged),
            Some(mut present) => {
                // The version that was read goes back with it: whoever changed it meanwhile is not overwritten.
                let add = |into: &mut Option<_>, from: &Option<std::collections::BTreeMap<String, String>>| {
                    into.get_or_insert_with(std::collections::BTreeMap::new).extend(from.clone().unwrap_or_default());
                };
                add(&mut present.metadata.annotations, &wanted.metadata.annotations);
                add(&mut present.metadata.labels, &wanted.metadata.labels);
                if let (Value::Object(data), Some(spec)) = (&mut present.data, wanted.data.get("spec")) {
                    data.insert("spec".to_owned(), spec.clone());
                }
                let replaced = cluster.in_time(&what, api.replace(name, &PostParams::default(), &present)).await;
                replaced.map(|_| Step::Updated)
            }
        };
        match attempt_result {
            Err(conflict @ Error::Conflict { .. }) => last = conflict,
            other => return other,
        }
        tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
    }
    Err(last)
}

fn revision(object: &DynamicObject) -> u64 {
    let annotations = object.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(REVISION)).and_then(|text| text.parse().ok()).unwrap_or(0)
}

async fn wait_established(cluster: &Cluster, name: &str) -> Result<()> {
    let api = cluster.api_all(&kinds::CRD);
    let patience = Duration::from_secs(30);
    let end = tokio::time::Instant::now() + patience;
    loop {
        let object = cluster.in_time("the new kinds", api.get(name)).await?;
        let conditions =
            object.data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        if conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True") {
            return Ok(());
        }
        // The server found the manifest itself wrong, or its names taken.
        let refused =
            conditions.iter().find(|condition| condition["type"] == "NamesAccepted" && condition["status"] == "False");
        if let Some(refused) = refused {
            let message = format!("{name}: {}", refused["message"].as_str().unwrap_or("its names are taken"));
            return Err(Error::Invalid { message, causes: Vec::new() });
        }
        if tokio::time::Instant::now() >= end {
            return Err(Error::Timeout { what: format!("{name} to be served"), after: patience });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_are_those_of_our_kinds() {
        let all = manifests();
        assert_eq!(all.len(), TEXTS.len());
        for (manifest, kind) in all.iter().zip([kinds::CHAOS_PROJECT, kinds::CHAOS_WORKFLOW, kinds::EVENT_TRIGGER]) {
            assert_eq!(manifest["metadata"]["name"], kind.resource_name());
            assert_eq!(manifest["spec"]["names"]["kind"], kind.kind);
            assert_eq!(manifest["spec"]["versions"][0]["name"], kind.version);
            assert_eq!(manifest["spec"]["versions"][0]["subresources"]["status"], serde_json::json!({}));
            assert!(
                manifest["metadata"]["annotations"][REVISION].as_str().is_some_and(|text| text.parse::<u64>().is_ok())
            );
        }
    }
}
