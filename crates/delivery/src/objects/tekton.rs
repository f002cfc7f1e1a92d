//! Tekton's PipelineRuns (`tekton.dev/v1`) and TriggerTemplates (`triggers.tekton.dev/v1beta1`).

use kube::api::DynamicObject;
use serde_json::Value;

use super::Meta;
use super::reader::Reader;
use crate::FieldProblem;

/// A Tekton PipelineRun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PipelineRun {
    /// Metadata.
    pub meta: Meta,
    /// The pipeline it runs.
    pub pipeline: String,
    /// `Cancelled` and the like, when somebody asked for it.
    pub asked: Option<String>,
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
    /// Parameters that are text.
    pub parameters: Vec<(String, String)>,
    /// The tasks begun: the TaskRun's name and the task's name in the pipeline.
    pub children: Vec<(String, String)>,
    /// The pipeline's tasks in order, the final ones last, as Tekton resolved them when the run began.
    pub planned: Vec<String>,
    /// Tasks that were left out, and why.
    pub skipped: Vec<(String, String)>,
    /// Fields that could not be read.
    pub problems: Vec<FieldProblem>,
}

impl PipelineRun {
    /// Reads a PipelineRun.
    pub fn read(object: &DynamicObject) -> Self {
        let reader = Reader::new(&object.data);
        let conditions = reader.each("status.conditions", |one| {
            let kind = one.text("type")?;
            Some((kind, one.text("status"), one.text("reason"), one.text("message")))
        });
        let (succeeded, reason, message) = conditions
            .into_iter()
            .find(|(kind, ..)| kind == "Succeeded")
            .map_or((None, None, None), |(_, status, reason, message)| (status, reason, message));
        Self {
            meta: Meta::read(object),
            pipeline: reader.text("spec.pipelineRef.name").unwrap_or_default(),
            asked: reader.text("spec.status").filter(|text| !text.is_empty()),
            succeeded,
            reason,
            message,
            started: reader.text("status.startTime"),
            finished: reader.text("status.completionTime"),
            // A parameter may also be a list or a mapping; those are none of ours.
            parameters: reader.each("spec.params", |one| {
                Some((one.text("name")?, one.at("value").and_then(Value::as_str).map(str::to_owned)?))
            }),
            children: reader
                .each("status.childReferences", |one| Some((one.text("name")?, one.text("pipelineTaskName")?))),
            planned: ["status.pipelineSpec.tasks", "status.pipelineSpec.finally"]
                .into_iter()
                .flat_map(|list| reader.each(list, |one| one.text("name")))
                .collect(),
            skipped: reader
                .each("status.skippedTasks", |one| Some((one.text("name")?, one.text("reason").unwrap_or_default()))),
            problems: reader.problems(),
        }
    }

    /// A parameter's text.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A Tekton TriggerTemplate: what a run is made from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TriggerTemplate {
    /// Metadata.
    pub meta: Meta,
    /// Its parameters with their defaults.
    pub parameters: Vec<(String, Option<String>)>,
    /// The objects it makes.
    pub resources: Vec<Value>,
    /// Fields that could not be read.
    pub problems: Vec<FieldProblem>,
}

impl TriggerTemplate {
    /// Reads a TriggerTemplate.
    pub fn read(object: &DynamicObject) -> Self {
        let reader = Reader::new(&object.data);
        Self {
            meta: Meta::read(object),
            parameters: reader.each("spec.params", |one| Some((one.text("name")?, one.text("default")))),
            resources: reader.list("spec.resourcetemplates").to_vec(),
            problems: reader.problems(),
        }
    }
}
