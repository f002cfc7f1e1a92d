//! Tekton's TaskRuns (`tekton.dev/v1`): one for each task of a pipeline's run.

use kube::api::DynamicObject;

use super::Meta;
use super::reader::Reader;
use crate::FieldProblem;

/// A Tekton TaskRun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskRun {
    /// Metadata.
    pub meta: Meta,
    /// The `Succeeded` condition's status: `True`, `False` or `Unknown`.
    pub succeeded: Option<String>,
    /// The condition's reason.
    pub reason: Option<String>,
    /// The condition's message.
    pub message: Option<String>,
    /// When it started, RFC 3339.
    pub started: Option<String>,
    /// When it ended, RFC 3339.
    pub finished: Option<String>,
    /// The pod that its steps run in.
    pub pod: Option<String>,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// Fields that could not be read.
    pub problems: Vec<FieldProblem>,
}

/// One step of a task: a container of its pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// Its name in the task.
    pub name: String,
    /// The container.
    pub container: String,
    /// When it started, RFC 3339; none while it waits.
    pub started: Option<String>,
    /// When it ended, RFC 3339.
    pub finished: Option<String>,
    /// The exit code, once it ended.
    pub exit_code: Option<i64>,
    /// Why it waits or how it ended, in the kubelet's or Tekton's word.
    pub reason: Option<String>,
}

impl TaskRun {
    /// Reads a TaskRun.
    pub fn read(object: &DynamicObject) -> Self {
        let reader = Reader::new(&object.data);
        let conditions = reader.each("status.conditions", |one| {
            (one.text("type")? == "Succeeded").then(|| (one.text("status"), one.text("reason"), one.text("message")))
        });
        let (succeeded, reason, message) = conditions.into_iter().next().unwrap_or_default();
        Self {
            meta: Meta::read(object),
            succeeded,
            reason,
            message,
            started: reader.text("status.startTime"),
            finished: reader.text("status.completionTime"),
            pod: reader.text("status.podName").filter(|text| !text.is_empty()),
            steps: reader.each("status.steps", |one| {
                let name = one.text("name").unwrap_or_default();
                let container = one.text("container").unwrap_or_else(|| format!("step-{name}"));
                let at = |field: &str| one.text(&format!("terminated.{field}"));
                Some(Step {
                    container,
                    started: at("startedAt").or_else(|| one.text("running.startedAt")),
                    finished: at("finishedAt"),
                    exit_code: one.number("terminated.exitCode"),
                    // Tekton's own word says more than the kubelet's: `TaskRunCancelled`, `Skipped`.
                    reason: one
                        .text("terminationReason")
                        .or_else(|| at("reason"))
                        .or_else(|| one.text("waiting.reason")),
                    name,
                })
            }),
            problems: reader.problems(),
        }
    }
}
