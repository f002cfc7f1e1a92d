//! Stopping runs.

use kube::api::{ListParams, Patch, PatchParams};
use pilothouse_cluster::{Cluster, kinds};
use serde_json::json;

use crate::error::{Error, Result};

/// Stops a run: first its engines, so that the faults are taken back, then its workflow. Says whether there was
/// anything left to stop. Stopping twice is harmless.
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
    let mut stopped = false;
    let uid = workflow.metadata.uid.unwrap_or_default();
    let of_run = ListParams::default().labels(&format!("workflow_run_id={uid}"));
    // A run can have ended and its engines not, when its last steps were cut off.
    match cluster.in_time("list the run's engines", engines.list(&of_run)).await {
        Ok(found) => {
            for engine in found.items {
                let state = engine.data.pointer("/status/engineStatus").and_then(|state| state.as_str());
                if matches!(state, Some("completed" | "stopped")) {
                    continue;
                }
                let engine_name = engine.metadata.name.unwrap_or_default();
                let patch = Patch::Merge(&halt);
                match cluster.in_time("stop an engine", engines.patch(&engine_name, &parameters, &patch)).await {
                    Ok(_) => stopped = true,
                    Err(pilothouse_cluster::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Err(pilothouse_cluster::Error::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if !ended {
        let shutdown = json!({"spec": {"shutdown": "Stop"}});
        let patch = Patch::Merge(&shutdown);
        cluster.in_time("stop the run", workflows.patch(name, &parameters, &patch)).await?;
        stopped = true;
    }
    Ok(stopped)
}
