//! Reading an Argo Workflow: its steps in order, its parameters filled in, and what each step
//! does, as far as chaos workflows go.

use serde_json::{Value, json};

use super::object_fields::Fields;
use crate::{Error, Result};

/// One step of the entrypoint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub name: String,
    pub template: String,
    arguments: Value,
}

/// What a step's pod would do.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Work {
    /// ChaosExperiments to install.
    pub experiments: Vec<Value>,
    /// ChaosEngines to create and wait for.
    pub engines: Vec<Value>,
    /// Label selectors of ChaosEngines to delete.
    pub deletes: Vec<String>,
}

/// The groups of steps of the entrypoint; those of one group run together.
pub(crate) fn groups(workflow: &Value) -> Result<Vec<Vec<Step>>> {
    let entrypoint = workflow.text("/spec/entrypoint");
    let template = template(workflow, entrypoint)
        .ok_or_else(|| Error::Played(format!("invalid spec: template name '{entrypoint}' undefined")))?;
    let step = |value: &Value| -> Result<Step> {
        let step = Step {
            name: value.text("/name").into(),
            template: value.text("/template").into(),
            arguments: value.at("/arguments").clone(),
        };
        match self::template(workflow, &step.template) {
            Some(_) => Ok(step),
            None => Err(Error::Played(format!(
                "invalid spec: templates.{entrypoint}.steps.{} template name '{}' undefined",
                step.name, step.template
            ))),
        }
    };
    let mut groups = Vec::new();
    for group in template.items("/steps") {
        let items = group.as_array().map_or(std::slice::from_ref(group), Vec::as_slice);
        groups.push(items.iter().map(step).collect::<Result<Vec<_>>>()?);
    }
    // Tasks of a graph run one at a time, each after those it depends on.
    let mut waiting: Vec<&Value> = template.items("/dag/tasks").iter().collect();
    let mut done: Vec<String> = Vec::new();
    while !waiting.is_empty() {
        let position = waiting
            .iter()
            .position(|t| t.texts("/dependencies").iter().all(|d| done.contains(d)))
            .ok_or_else(|| Error::Played("invalid spec: the tasks depend on each other".into()))?;
        let task = waiting.remove(position);
        done.push(task.text("/name").into());
        groups.push(vec![step(task)?]);
    }
    if groups.is_empty() {
        // The entrypoint is itself what runs.
        groups.push(vec![Step { name: entrypoint.into(), template: entrypoint.into(), arguments: Value::Null }]);
    }
    Ok(groups)
}

fn template<'w>(workflow: &'w Value, name: &str) -> Option<&'w Value> {
    workflow.items("/spec/templates").iter().find(|t| t.text("/name") == name && !name.is_empty())
}

/// What a step does, with every parameter filled in.
pub(crate) fn work(workflow: &Value, step: &Step) -> Result<Work> {
    let Some(template) = template(workflow, &step.template) else {
        return Ok(Work::default());
    };
    let fill = |text: &str| substitute(text, workflow, template, &step.arguments);
    let mut work = Work::default();
    for artifact in template.items("/inputs/artifacts") {
        let text = fill(artifact.text("/raw/data"));
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object: Value = serde::Deserialize::deserialize(document)
                .map_err(|e| Error::Played(format!("Error (exit code 1): artifact {}: {e}", artifact.text("/name"))))?;
            match object.text("/kind") {
                "ChaosExperiment" => work.experiments.push(object),
                "ChaosEngine" => work.engines.push(object),
                _ => {}
            }
        }
    }
    for container in ["/container", "/script"] {
        for key in ["command", "args"] {
            for text in template.texts(&format!("{container}/{key}")) {
                work.deletes.extend(deleted(&fill(&text)));
            }
        }
        work.deletes.extend(deleted(&fill(template.text(&format!("{container}/source")))));
    }
    Ok(work)
}

/// The selectors of `kubectl delete chaosengine -l <selector>` in a shell text.
fn deleted(shell: &str) -> Vec<String> {
    let words: Vec<&str> = shell.split(|c: char| c.is_whitespace() || c == ';').filter(|w| !w.is_empty()).collect();
    words
        .windows(4)
        .filter(|w| w[0] == "delete" && matches!(w[1], "chaosengine" | "chaosengines") && w[2] == "-l")
        .map(|w| w[3].trim_matches(['\'', '"']).to_string())
        .collect()
}

/// Fills in `{{workflow.*}}` and `{{inputs.parameters.*}}`, with or without spaces inside the
/// braces. What is unknown stays as it is, as Argo leaves it.
fn substitute(text: &str, workflow: &Value, template: &Value, arguments: &Value) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let Some(close) = rest[open..].find("}}") else {
            break;
        };
        out.push_str(&rest[..open]);
        let whole = &rest[open..open + close + 2];
        let name = whole[2..whole.len() - 2].trim();
        match value(name, workflow, template, arguments) {
            Some(value) => out.push_str(&value),
            None => out.push_str(whole),
        }
        rest = &rest[open + close + 2..];
    }
    out.push_str(rest);
    out
}

fn value(name: &str, workflow: &Value, template: &Value, arguments: &Value) -> Option<String> {
    let parameter = |list: &Value, name: &str| {
        let found = list.items("/parameters").iter().find(|p| p.text("/name") == name)?;
        match (found.at("/value"), found.at("/default")) {
            (Value::Null, Value::Null) => None,
            (Value::Null, value) | (value, _) => Some(plain(value)),
        }
    };
    match name {
        "workflow.uid" => Some(workflow.text("/metadata/uid").into()),
        "workflow.name" => Some(workflow.text("/metadata/name").into()),
        "workflow.namespace" => Some(workflow.text("/metadata/namespace").into()),
        "workflow.serviceAccountName" => Some(workflow.text("/spec/serviceAccountName").into()),
        name => match name.split_once("parameters.") {
            Some(("workflow.", name)) => parameter(workflow.at("/spec/arguments"), name),
            Some(("inputs.", name)) => parameter(arguments, name)
                .or_else(|| parameter(template.at("/inputs"), name))
                .map(|text| substitute(&text, workflow, &Value::Null, &Value::Null)),
            _ => None,
        },
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A node's id, as Argo makes it from the node's full name: the workflow's name and a hash.
pub(crate) fn node_id(workflow: &str, node: &str) -> String {
    if workflow == node {
        return workflow.into();
    }
    let hash = node.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{workflow}-{hash}")
}

/// One node of a Workflow's status.
pub(crate) fn node(workflow: &str, full_name: &str, display: &str, kind: &str) -> Value {
    json!({
        "id": node_id(workflow, full_name),
        "name": full_name,
        "displayName": display,
        "type": kind,
        "templateScope": format!("local/{workflow}"),
        "phase": "Pending",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow() -> Value {
        serde_yaml::from_str(
            r#"
metadata: {name: wf, namespace: litmus, uid: u-1}
spec:
  entrypoint: main
  arguments: {parameters: [{name: adminModeNamespace, value: litmus}]}
  templates:
    - name: main
      steps:
        - - {name: install, template: install}
        - - {name: a, template: fault}
          - {name: b, template: fault}
        - - {name: cleanup, template: cleanup}
    - name: install
      inputs: {artifacts: [{name: x, raw: {data: "kind: ChaosExperiment\nmetadata: {name: pod-delete}\n"}}]}
    - name: fault
      inputs:
        artifacts:
          - name: x
            raw:
              data: |
                kind: ChaosEngine
                metadata:
                  namespace: "{{workflow.parameters.adminModeNamespace}}"
                  labels: {workflow_run_id: "{{ workflow.uid }}", other: "{{unknown}}"}
    - name: cleanup
      container:
        args: ["kubectl delete chaosengine -l workflow_run_id={{workflow.uid}} -n {{workflow.parameters.adminModeNamespace}}"]
"#,
        )
        .unwrap()
    }

    #[test]
    fn reads_steps_and_what_they_do() {
        let workflow = workflow();
        let groups = groups(&workflow).unwrap();
        let names: Vec<Vec<&str>> = groups.iter().map(|g| g.iter().map(|s| s.name.as_str()).collect()).collect();
        assert_eq!(names, [vec!["install"], vec!["a", "b"], vec!["cleanup"]]);
        let of = |group: usize| work(&workflow, &groups[group][0]).unwrap();
        assert_eq!(of(0).experiments.len(), 1);
        let engine = &of(1).engines[0];
        assert_eq!(engine.text("/metadata/namespace"), "litmus");
        assert_eq!(engine.text("/metadata/labels/workflow_run_id"), "u-1");
        assert_eq!(engine.text("/metadata/labels/other"), "{{unknown}}");
        assert_eq!(of(2).deletes, ["workflow_run_id=u-1"]);
    }

    #[test]
    fn broken_workflows_say_what_is_wrong() {
        for (change, part) in [
            (json!({"spec": {"entrypoint": "none"}}), "'none' undefined"),
            (
                json!({"spec": {"templates": [{"name": "main", "steps": [[{"name": "a", "template": "gone"}]]}]}}),
                "'gone' undefined",
            ),
            (
                json!({"spec": {"templates": [{"name": "main", "dag": {"tasks": [
                    {"name": "a", "template": "main", "dependencies": ["b"]},
                    {"name": "b", "template": "main", "dependencies": ["a"]}]}}]}}),
                "depend on each other",
            ),
        ] {
            let mut workflow = workflow();
            super::super::application_sets::merge(&mut workflow, &change);
            let words = groups(&workflow).unwrap_err().to_string();
            assert!(words.contains(part), "{words}");
        }
    }
}
