//! From a document to the object that starts a run.

use std::collections::BTreeMap;

use pilothouse_cluster::Subdomain;
use serde_json::{Map, Value, json};

use crate::document::{DocumentKind, WorkflowDocument};
use crate::error::{Error, Result};
use crate::names::{PROJECT_LABEL, RUN_LABEL, TRIGGER_LABEL, WORKFLOW_LABEL, label_value};

/// Who starts a run, for the run's labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunLabels {
    /// The chaos project.
    pub project: String,
    /// The chaos workflow.
    pub workflow: String,
    /// The trigger, when one started the run.
    pub trigger: Option<String>,
    /// More labels, for the app's own use; values that are no label values are shortened.
    pub more: BTreeMap<String, String>,
}

/// The object to create for a run called `run_name`, in the document's namespace or else in `namespace`.
///
/// A `Workflow` and a `ChaosEngine` become themselves under the run's name; a `CronWorkflow` run by hand becomes a
/// `Workflow` from its `workflowSpec`, a `ChaosSchedule` an engine from its `engineTemplateSpec`, so that nothing that
/// keeps firing is ever created by a run.
pub fn instantiate(document: &WorkflowDocument, run_name: &str, namespace: &str, labels: &RunLabels) -> Result<Value> {
    Subdomain::parse("run", run_name)?;
    if let Some(problem) = document.first_error() {
        return Err(Error::Refused(problem.clone()));
    }
    let source = &document.value;
    let (kind, spec) = match document.kind {
        DocumentKind::Workflow => (DocumentKind::Workflow, source.get("spec").cloned()),
        DocumentKind::CronWorkflow => (DocumentKind::Workflow, source.pointer("/spec/workflowSpec").cloned()),
        DocumentKind::ChaosEngine => (DocumentKind::ChaosEngine, source.get("spec").cloned()),
        DocumentKind::ChaosSchedule => (DocumentKind::ChaosEngine, source.pointer("/spec/engineTemplateSpec").cloned()),
    };
    let mut spec = spec.unwrap_or_else(|| json!({}));
    if kind == DocumentKind::ChaosEngine {
        // An engine that was stopped when it was written down would never start.
        spec["engineState"] = json!("active");
    }

    let mut all = object_at(source, "/metadata/labels");
    if document.kind == DocumentKind::CronWorkflow {
        all.extend(object_at(source, "/spec/workflowMetadata/labels"));
    }
    let ours = [
        (PROJECT_LABEL, Some(&labels.project)),
        (WORKFLOW_LABEL, Some(&labels.workflow)),
        (TRIGGER_LABEL, labels.trigger.as_ref()),
    ];
    for (key, value) in ours {
        if let Some(value) = value {
            all.insert(key.to_owned(), json!(label_value(value)));
        }
    }
    for (key, value) in &labels.more {
        all.insert(key.clone(), json!(label_value(value)));
    }
    all.insert(RUN_LABEL.to_owned(), json!(label_value(run_name)));

    let mut metadata = Map::new();
    metadata.insert("name".into(), json!(run_name));
    metadata.insert("namespace".into(), json!(document.namespace.as_deref().unwrap_or(namespace)));
    metadata.insert("labels".into(), Value::Object(all));
    let mut annotations = object_at(source, "/metadata/annotations");
    if document.kind == DocumentKind::CronWorkflow {
        annotations.extend(object_at(source, "/spec/workflowMetadata/annotations"));
    }
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    if !annotations.is_empty() {
        metadata.insert("annotations".into(), Value::Object(annotations));
    }
    Ok(json!({
        "apiVersion": kind.api_version(),
        "kind": kind.as_str(),
        "metadata": metadata,
        "spec": spec,
    }))
}

fn object_at(value: &Value, pointer: &str) -> Map<String, Value> {
    let found = value.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
    found.into_iter().filter(|(_, value)| value.is_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> RunLabels {
        RunLabels {
            project: "shop".into(),
            workflow: "w".into(),
            trigger: Some("on image".into()),
            more: BTreeMap::new(),
        }
    }

    const SPEC: &str = "entrypoint: a\ntemplates: [{name: a}]\n";

    fn indent(text: &str, by: usize) -> String {
        text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
    }

    #[test]
    fn a_workflow_keeps_its_labels_and_loses_what_the_server_owns() {
        let text = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: w\n  generateName: x\n  uid: u\n  resourceVersion: '4'\n  creationTimestamp: null\n  labels: {{infra_id: i}}\nspec:\n{}status: {{phase: Failed}}\n",
            indent(SPEC, 2)
        );
        let object = instantiate(&WorkflowDocument::parse(&text).unwrap(), "w-1", "litmus", &labels()).unwrap();
        assert_eq!(
            object["metadata"],
            json!({"name": "w-1", "namespace": "litmus", "labels": {
                "infra_id": "i", "pilothouse.dev/project": "shop", "pilothouse.dev/workflow": "w",
                "pilothouse.dev/trigger": label_value("on image"), "pilothouse.dev/run": "w-1"}})
        );
        assert_eq!(object.get("status"), None);
        assert_eq!(object["spec"]["entrypoint"], "a");
    }

    #[test]
    fn a_cron_workflow_becomes_one_workflow() {
        let text = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata: {{name: w, namespace: own}}\nspec:\n  schedule: '0 3 * * *'\n  workflowMetadata: {{labels: {{workflow_id: '1'}}}}\n  workflowSpec:\n{}",
            indent(SPEC, 4)
        );
        let object = instantiate(&WorkflowDocument::parse(&text).unwrap(), "w-1", "litmus", &labels()).unwrap();
        assert_eq!(object["kind"], "Workflow");
        assert_eq!(object["metadata"]["namespace"], "own");
        assert_eq!(object["metadata"]["labels"]["workflow_id"], "1");
        assert_eq!(object["spec"], json!({"entrypoint": "a", "templates": [{"name": "a"}]}));
    }

    #[test]
    fn a_standalone_engine_is_active() {
        let text = "apiVersion: litmuschaos.io/v1alpha1\nkind: ChaosEngine\nmetadata: {name: w}\nspec: {engineState: stop, experiments: [{name: pod-delete}]}\n";
        let object = instantiate(&WorkflowDocument::parse(text).unwrap(), "w-1", "litmus", &labels()).unwrap();
        assert_eq!(object["kind"], "ChaosEngine");
        assert_eq!(object["spec"]["engineState"], "active");
    }

    #[test]
    fn nothing_is_made_of_an_invalid_document() {
        let text = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec: {}\n";
        let document = WorkflowDocument::parse(text).unwrap();
        assert!(matches!(instantiate(&document, "w-1", "litmus", &labels()), Err(Error::Refused(_))));
    }
}
