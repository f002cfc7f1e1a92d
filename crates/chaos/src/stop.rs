//! Stopping runs.

use std::collections::BTreeSet;

use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use pilothouse_cluster::{Cluster, kinds};
use serde_json::json;

use crate::error::{Error, Result};

/// Stops a run: first its engines, so that the faults are taken back, then its workflow, then the engines that it made
/// meanwhile. What cannot be stopped keeps nothing else from being stopped; the first error is told at the end. Says
/// whether there was anything left to stop. Stopping twice is harmless.
pub async fn stop(cluster: &Cluster, namespace: &str, name: &str) -> Result<bool> {
    let workflows = cluster.api(&kinds::WORKFLOW, namespace);
    let engines = cluster.api(&kinds::CHAOS_ENGINE, namespace);
    let workflow = match cluster.in_time("read the run", workflows.get_opt(name)).await {
        Ok(found) => found,
        Err(pilothouse_cluster::Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let halt = json!({"spec": {"engineState": "stop"}});
    let parameters = PatchParams::default();
    let Some(workflow) = workflow else {
        let patch = Patch::Merge(&halt);
        return match cluster.in_time("stop the engine", engines.patch(name, &parameters, &patch)).await {
            Ok(_) => Ok(true),
            Err(pilothouse_cluster::Error::NotFound { .. }) => {
                Err(Error::NotFound { what: "the run", name: name.to_owned() })
            }
            Err(error) => Err(error.into()),
        };
    };
    let phase = workflow.data.pointer("/status/phase").and_then(|phase| phase.as_str()).unwrap_or_default();
    let ended = matches!(phase, "Succeeded" | "Failed" | "Error");
    let uid = workflow.metadata.uid.unwrap_or_default();
    let mut halting = Halting { cluster, engines, of_run: format!("workflow_run_id={uid}"), halted: BTreeSet::new() };
    // A run can have ended and its engines not, when its last steps were cut off.
    let mut outcome = halting.pass().await;
    let mut stopped = !halting.halted.is_empty();
    if !ended {
        let shutdown = json!({"spec": {"shutdown": "Stop"}});
        let patch = Patch::Merge(&shutdown);
        let shut = cluster.in_time("stop the run", workflows.patch(name, &parameters, &patch)).await;
        stopped |= shut.is_ok();
        outcome = outcome.and(shut.map(drop).map_err(Error::from));
        // A step can have made an engine between the first look and the shutdown.
        let again = halting.pass().await;
        stopped |= !halting.halted.is_empty();
        outcome = outcome.and(again);
    }
    outcome.map(|()| stopped)
}

/// The halting of a run's engines.
struct Halting<'a> {
    cluster: &'a Cluster,
    engines: Api<DynamicObject>,
    /// The label selector that finds them.
    of_run: String,
    /// Those that were told to stop.
    halted: BTreeSet<String>,
}

impl Halting<'_> {
    /// Halts each engine that is there, works and was not told yet; answers the first error after trying all.
    async fn pass(&mut self) -> Result<()> {
        let of_run = ListParams::default().labels(&self.of_run);
        let found = match self.cluster.in_time("list the run's engines", self.engines.list(&of_run)).await {
            Ok(found) => found,
            Err(pilothouse_cluster::Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let halt = json!({"spec": {"engineState": "stop"}});
        let (patch, parameters) = (Patch::Merge(&halt), PatchParams::default());
        let mut outcome = Ok(());
        for engine in found.items {
            let state = engine.data.pointer("/status/engineStatus").and_then(|state| state.as_str());
            let name = engine.metadata.name.unwrap_or_default();
            if matches!(state, Some("completed" | "stopped")) || self.halted.contains(&name) {
                continue;
            }
            match self.cluster.in_time("stop an engine", self.engines.patch(&name, &parameters, &patch)).await {
                Ok(_) => {
                    self.halted.insert(name);
                }
                Err(pilothouse_cluster::Error::NotFound { .. }) => {}
                Err(error) => outcome = outcome.and(Err(error.into())),
            }
        }
        outcome
    }
}
