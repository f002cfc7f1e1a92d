//! The TaskRuns of a played pipeline, each with a pod of one step and what that step prints.
//!
//! Where no container runs, the pod's log is kept in an annotation, which the practice cluster's API reads it from. A
//! real API server asks the node for it and says that there is none.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::Scene;
use super::kinds::{PIPELINE_RUN, POD, TASK_RUN};
use super::object_fields::{Named, owner_reference};
use crate::api::LOG_ANNOTATION;
use crate::{Error, Result};

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    Badly,
    Cancelled,
}

/// A task that is being played.
pub(super) struct Task {
    namespace: String,
    name: String,
    step: String,
    pod: Option<String>,
    log: String,
    started: String,
}

impl Task {
    /// Begins a task: its TaskRun and pod. One that is there already, after a restart of the actors, is taken up.
    pub async fn begin(scene: &Scene, run: &DynamicObject, task: &str) -> Result<Self> {
        let name = format!("{}-{task}", run.name());
        let mut labels = json!({
            "tekton.dev/pipelineRun": run.name(),
            "tekton.dev/pipelineTask": task,
            "tekton.dev/memberOf": "tasks",
        });
        for (key, value) in run.metadata.labels.iter().flatten() {
            labels[key] = json!(value);
        }
        let object = json!({
            "metadata": {
                "name": name,
                "labels": labels,
                "ownerReferences": [owner_reference(PIPELINE_RUN, run)],
            },
            "spec": { "serviceAccountName": "tekton-cd", "taskRef": { "kind": "Task", "name": task }, "timeout": "1h0m0s" },
        });
        scene.create(TASK_RUN, run.ns(), object).await?;
        let mut played = Self {
            namespace: run.ns().to_string(),
            pod: None,
            step: task.to_string(),
            log: String::new(),
            started: scene.now(),
            name,
        };
        played.pod = played.make_pod(scene, labels).await;
        let step = json!({ "running": { "startedAt": played.started } });
        played.write(scene, "Unknown", "Running", "Not all Steps in the Task have finished executing", step).await?;
        Ok(played)
    }

    /// The TaskRun's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A cluster that takes no such pod, for want of a service account or room, loses the log and nothing else.
    async fn make_pod(&self, scene: &Scene, labels: Value) -> Option<String> {
        let owner = scene.get(TASK_RUN, &self.namespace, &self.name).await.ok()??;
        let name = format!("{}-pod", self.name);
        let object = json!({
            "metadata": {
                "name": name,
                "labels": labels,
                "ownerReferences": [owner_reference(TASK_RUN, &owner)],
            },
            "spec": {
                "restartPolicy": "Never",
                "containers": [{ "name": self.container(), "image": "registry.practice.local/deploy-tools:1.0" }],
            },
        });
        match scene.create(POD, &self.namespace, object).await {
            Ok(_) => Some(name),
            Err(error) => {
                tracing::debug!(name, %error, "a task's pod was not made");
                None
            }
        }
    }

    fn container(&self) -> String {
        format!("step-{}", self.step)
    }

    /// Prints a line. What cannot be kept is no reason for a task to fail.
    pub async fn say(&mut self, scene: &Scene, line: &str) {
        self.log.push_str(line);
        self.log.push('\n');
        let Some(pod) = &self.pod else { return };
        let patch = json!({ "metadata": { "annotations": { LOG_ANNOTATION: self.log } } });
        if let Err(error) = scene.merge(POD, &self.namespace, pod, patch).await {
            tracing::debug!(pod, %error, "a line was not kept");
        }
    }

    /// Ends the task.
    pub async fn end(self, scene: &Scene, how: Ended) -> Result<()> {
        let (status, reason, code, words) = match how {
            Ended::Well => ("True", "Succeeded", 0, "All Steps have completed executing".to_string()),
            Ended::Badly => ("False", "Failed", 1, format!("\"{}\" exited with code 1: Error", self.container())),
            Ended::Cancelled => ("False", "TaskRunCancelled", 1, format!("TaskRun \"{}\" was cancelled", self.name)),
        };
        let mut step = json!({ "terminated": {
            "exitCode": code,
            "reason": if code == 0 { "Completed" } else { "Error" },
            "startedAt": self.started,
            "finishedAt": scene.now(),
        } });
        if how == Ended::Cancelled {
            step["terminationReason"] = json!("TaskRunCancelled");
        }
        self.write(scene, status, reason, &words, step).await?;
        if let Some(pod) = &self.pod {
            let phase = if code == 0 { "Succeeded" } else { "Failed" };
            // A node that is real has its own say.
            let _ = scene.merge_status(POD, &self.namespace, pod, json!({ "phase": phase })).await;
        }
        Ok(())
    }

    async fn write(&self, scene: &Scene, status: &str, reason: &str, words: &str, state: Value) -> Result<()> {
        let mut step = state;
        step["name"] = json!(self.step);
        step["container"] = json!(self.container());
        let mut body = json!({
            "startTime": self.started,
            "podName": self.pod.clone().unwrap_or_default(),
            "conditions": [{
                "type": "Succeeded", "status": status, "reason": reason, "message": words,
                "lastTransitionTime": scene.now(),
            }],
            "steps": [step],
        });
        if status != "Unknown" {
            body["completionTime"] = json!(scene.now());
        }
        match scene.merge_status(TASK_RUN, &self.namespace, &self.name, body).await {
            Ok(_) => Ok(()),
            // Deleted with its run.
            Err(Error::Kube(kube::Error::Api(status))) if status.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}
