//! What the API server would say to a document, without anything being created: to its run, to itself where it is a kind
//! that is never created as it is, and to the engines and faults written inside of it.

use std::collections::HashMap;

use kube::api::{DynamicObject, PostParams};
use pilothouse_cluster::{Cluster, Error as ClusterError, Kind, Name, kinds};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::document::{DocumentKind, Problem, WorkflowDocument};
use crate::embedded::EngineText;
use crate::error::Result;
use crate::instantiate::{RunLabels, instantiate};
use crate::places::{Places, line_at};
use crate::position::line_of_pair;
use crate::unknown_fields::{Unknown, unknown_fields};
use crate::workflow_object::typed;

/// The most objects of one document that are asked about.
const MOST: usize = 40;

/// What stands for a value that Argo fills in when it runs.
const FILLED: &str = "filled-in";

/// One object that the API server was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its kind.
    pub kind: String,
    /// Its name, or what its name begins with.
    pub name: String,
    /// The template that holds it; none for the document itself and its run.
    pub template: Option<String>,
    /// What the server said.
    pub answer: Answer,
}

/// What the API server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It would take the object.
    Taken,
    /// It would take the object, and fields of it mean nothing to it.
    UnknownFields(Vec<Problem>),
    /// It would not.
    Refused(Vec<Problem>),
    /// It could not be asked; why, in words.
    NotAsked(String),
}

/// Finds the line of the text that a pointer of an object stands at.
type FindLine<'a> = Box<dyn Fn(&str) -> Option<usize> + Send + Sync + 'a>;

/// An object to ask about, and where it stands in the text.
struct Question<'a> {
    kind: Kind,
    object: Value,
    template: Option<String>,
    line: FindLine<'a>,
}

/// Asks the API server about a text of a project, as a dry run. `namespace` is the project's.
///
/// # Errors
/// [`Error::Refused`](crate::Error::Refused) when the text is no workflow, or has an error that anybody can see.
pub async fn ask(cluster: &Cluster, namespace: &str, labels: &RunLabels, text: &str) -> Result<Vec<Asked>> {
    let document = WorkflowDocument::parse(text)?;
    let mut schemas = Schemas::default();
    let mut asked = Vec::new();
    for question in questions(&document, namespace, labels, text)? {
        asked.push(question.put(cluster, namespace, &mut schemas).await?);
    }
    Ok(asked)
}

/// The schemas of the kinds that were asked about, for as long as one document is; none where they may not be read.
#[derive(Default)]
struct Schemas {
    known: HashMap<&'static str, Option<Value>>,
}

impl Schemas {
    async fn of(&mut self, cluster: &Cluster, kind: &Kind) -> Option<&Value> {
        if !self.known.contains_key(kind.plural) {
            let name = format!("{}.{}", kind.plural, kind.group);
            let api = cluster.api_all(&kinds::CRD);
            // Without it what the server drops is seen all the same.
            let found = cluster.in_time("read the definition of a kind", api.get_opt(&name)).await.ok().flatten();
            let schema = found.and_then(|found| {
                let versions = found.data.pointer("/spec/versions")?.as_array()?;
                let served = versions.iter().find(|one| one.get("name").and_then(Value::as_str) == Some(kind.version));
                served?.pointer("/schema/openAPIV3Schema").cloned()
            });
            self.known.insert(kind.plural, schema);
        }
        self.known.get(kind.plural)?.as_ref()
    }
}

fn questions<'a>(
    document: &'a WorkflowDocument,
    namespace: &str,
    labels: &RunLabels,
    text: &'a str,
) -> Result<Vec<Question<'a>>> {
    let run = instantiate(document, &document.name, namespace, labels)?;
    let run_kind = if run["kind"] == "ChaosEngine" { kinds::CHAOS_ENGINE } else { kinds::WORKFLOW };
    // What a run takes its spec from.
    let spec = match document.kind {
        DocumentKind::CronWorkflow => "/spec/workflowSpec",
        DocumentKind::ChaosSchedule => "/spec/engineTemplateSpec",
        DocumentKind::Workflow | DocumentKind::ChaosEngine => "/spec",
    };
    let run_namespace = document.namespace.as_deref().unwrap_or(namespace);
    let mut all = Vec::new();
    let own = match document.kind {
        DocumentKind::CronWorkflow => Some(kinds::CRON_WORKFLOW),
        DocumentKind::ChaosSchedule => Some(kinds::CHAOS_SCHEDULE),
        DocumentKind::Workflow | DocumentKind::ChaosEngine => None,
    };
    if let Some(kind) = own {
        let mut object = document.value.clone();
        object["metadata"]["namespace"] = json!(document.namespace.as_deref().unwrap_or(namespace));
        let line = move |pointer: &str| line_of_pointer(text, pointer);
        all.push(Question { kind, object, template: None, line: Box::new(line) });
    }
    let line = move |pointer: &str| {
        let pointer = pointer.strip_prefix("/spec").map_or_else(|| pointer.to_owned(), |rest| format!("{spec}{rest}"));
        line_of_pointer(text, &pointer)
    };
    all.push(Question { kind: run_kind, object: run, template: None, line: Box::new(line) });
    let templates = document.workflow_spec().and_then(|spec| spec.get("templates")).and_then(Value::as_array);
    for template in templates.into_iter().flatten() {
        let name = template.get("name").and_then(Value::as_str).unwrap_or_default();
        let artifacts = template.pointer("/inputs/artifacts").and_then(Value::as_array);
        let raw = artifacts
            .into_iter()
            .flatten()
            .filter_map(|artifact| artifact.pointer("/raw/data").and_then(Value::as_str))
            .chain(template.pointer("/resource/manifest").and_then(Value::as_str));
        for data in raw {
            for object in embedded(&document.filled(&filled(data, run_namespace))) {
                let kind = match object.get("kind").and_then(Value::as_str) {
                    Some("ChaosEngine") => kinds::CHAOS_ENGINE,
                    Some("ChaosExperiment") => kinds::CHAOS_EXPERIMENT,
                    _ => continue,
                };
                let is_engine = kind.kind == kinds::CHAOS_ENGINE.kind;
                let line = move |pointer: &str| {
                    let engine = is_engine.then(|| EngineText::find(document, text, name)).flatten();
                    engine
                        .and_then(|engine| up(pointer, |at| engine.line(at)))
                        .or_else(|| line_of_pair(text, "name", name))
                };
                all.push(Question { kind, object, template: Some(name.to_owned()), line: Box::new(line) });
            }
        }
    }
    all.truncate(MOST);
    Ok(all)
}

/// The objects of a text inside a template; what is no YAML was told already.
fn embedded(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text).take(MOST);
    documents.map_while(|document| Value::deserialize(document).ok()).filter(Value::is_object).collect()
}

/// A text with a word for everything that Argo fills in when it runs. The namespace is known, and the workflow's own
/// parameters are filled in by who knows them.
fn filled(text: &str, namespace: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start..].find("}}") else { break };
        let end = start + length + 2;
        out.push_str(&rest[..start]);
        match rest[start + 2..end - 2].trim() {
            "workflow.namespace" => out.push_str(namespace),
            inner if inner.starts_with("workflow.parameters.") => out.push_str(&rest[start..end]),
            _ => out.push_str(FILLED),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

impl Question<'_> {
    async fn put(&self, cluster: &Cluster, namespace: &str, schemas: &mut Schemas) -> Result<Asked> {
        let text = |pointer: &str| self.object.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").or_else(|| text("/metadata/generateName")).unwrap_or_default().to_owned();
        // A namespace that nobody gives a value to is none.
        let given = text("/metadata/namespace").filter(|one| *one != FILLED && Name::parse("namespace", one).is_ok());
        let namespace = given.unwrap_or(namespace);
        let mut object = self.object.clone();
        object["metadata"]["namespace"] = json!(namespace);
        let asked = |answer| Asked {
            kind: self.kind.kind.to_owned(),
            name: name.clone(),
            template: self.template.clone(),
            answer,
        };
        let mut object = match typed(object) {
            Ok(object) => object,
            Err(error) => return Ok(asked(Answer::Refused(vec![self.problem("", &error.to_string())]))),
        };
        let how = PostParams { dry_run: true, ..PostParams::default() };
        let api = cluster.api(&self.kind, namespace);
        let mut answer = cluster.in_time("ask about the workflow", api.create(&how, &object)).await;
        if let Err(ClusterError::Conflict { exists: true, .. }) = answer {
            // Whether the name is free is no matter: a run has another one.
            object.metadata.name = None;
            object.metadata.generate_name = Some("asked-".to_owned());
            answer = cluster.in_time("ask about the workflow", api.create(&how, &object)).await;
        }
        Ok(asked(match answer {
            Ok(back) => self.unknown(&back, schemas.of(cluster, &self.kind).await),
            Err(ClusterError::Invalid { message, causes }) => {
                let mut problems: Vec<Problem> =
                    causes.iter().map(|cause| self.problem(&cause.field, &cause.message)).collect();
                if problems.is_empty() {
                    problems.push(self.problem("", &message));
                }
                Answer::Refused(problems)
            }
            // An admission rule says no to whoever asks.
            Err(ClusterError::Forbidden { verb, message, .. }) if verb.is_empty() => {
                Answer::Refused(vec![self.problem("", &message)])
            }
            Err(error @ (ClusterError::Forbidden { .. } | ClusterError::NotFound { .. })) => {
                Answer::NotAsked(error.to_string())
            }
            Err(error) => return Err(error.into()),
        }))
    }

    /// What of the object meant something to the server that gave it back.
    fn unknown(&self, back: &DynamicObject, schema: Option<&Value>) -> Answer {
        let Ok(back) = serde_json::to_value(back) else { return Answer::Taken };
        let found = unknown_fields(&self.object, &back, schema);
        if found.is_empty() {
            return Answer::Taken;
        }
        Answer::UnknownFields(found.iter().take(MOST).map(|one| self.remark(one)).collect())
    }

    fn remark(&self, one: &Unknown) -> Problem {
        let kind = self.kind.kind;
        let what = match &self.template {
            Some(template) => format!("the {kind} in {template}: "),
            None => String::new(),
        };
        let field = field_of(&one.pointer);
        let meant = one.meant.as_ref().map(|meant| format!("; is {meant} meant?")).unwrap_or_default();
        let (code, words) = if one.kept {
            ("server.unknown", "is kept, but the definition of the kind does not know it")
        } else {
            ("server.dropped", "is dropped, for the API server does not know it")
        };
        let line = up(&one.pointer, |at| (self.line)(at));
        Problem::warning(code, line, format!("{what}{field} {words}{meant}"))
    }

    fn problem(&self, field: &str, message: &str) -> Problem {
        let line = up(&pointer_of(field), |at| (self.line)(at));
        let at = if field.is_empty() { String::new() } else { format!("{field}: ") };
        let what = match &self.template {
            Some(template) => format!("the {} in {template}: ", self.kind.kind),
            None => String::new(),
        };
        Problem::error("server.refused", line, format!("{what}{at}{message}"))
    }
}

/// What is found at a pointer, or else at the nearest one above it.
fn up(pointer: &str, find: impl Fn(&str) -> Option<usize>) -> Option<usize> {
    let mut at = pointer;
    loop {
        if let Some(found) = find(at) {
            return Some(found);
        }
        at = &at[..at.rfind('/')?];
    }
}

/// A field as the API server names it (`spec.templates[0].name`, `metadata.labels[a/b]`) as a JSON pointer.
fn pointer_of(field: &str) -> String {
    let mut out = String::new();
    let mut step = String::new();
    let mut inside = false;
    for c in field.chars() {
        match c {
            '.' if !inside => out.push_str(&take(&mut step)),
            '[' if !inside => {
                out.push_str(&take(&mut step));
                inside = true;
            }
            ']' if inside => {
                out.push_str(&take(&mut step));
                inside = false;
            }
            '"' if inside => {}
            c => step.push(c),
        }
    }
    out.push_str(&take(&mut step));
    out
}

/// A JSON pointer as the API server names a field.
fn field_of(pointer: &str) -> String {
    let mut out = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        match part.parse::<usize>() {
            Ok(index) => out.push_str(&format!("[{index}]")),
            Err(_) if out.is_empty() => out.push_str(&part),
            Err(_) if part.contains(['.', '/']) => out.push_str(&format!("[{part}]")),
            Err(_) => {
                out.push('.');
                out.push_str(&part);
            }
        }
    }
    out
}

fn take(step: &mut String) -> String {
    let taken = std::mem::take(step);
    if taken.is_empty() { taken } else { format!("/{}", crate::places::step(&taken)) }
}

fn line_of_pointer(text: &str, pointer: &str) -> Option<usize> {
    let places = Places::read(text)?;
    up(pointer, |at| {
        let place = places.get(at)?;
        let start = place.key.as_ref().map_or(place.value.start, |key| key.start);
        (!at.is_empty()).then(|| line_at(text, start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_the_text() {
        assert_eq!(pointer_of("spec.templates[0].name"), "/spec/templates/0/name");
        assert_eq!(pointer_of("metadata.labels[\"a.b/c\"]"), "/metadata/labels/a.b~1c");
        assert_eq!(pointer_of(""), "");
        for field in ["spec.templates[0].name", "metadata.labels[a.b/c]"] {
            assert_eq!(field_of(&pointer_of(field)), field);
        }
        let text = "kind: x\nspec:\n  templates:\n    - name: a\n      b: 1\n";
        assert_eq!(line_of_pointer(text, "/spec/templates/0/b"), Some(5));
        // What is not written is looked for where it would stand.
        assert_eq!(line_of_pointer(text, "/spec/templates/0/steps/1"), Some(4));
        assert_eq!(line_of_pointer(text, "/status"), None);
    }

    #[test]
    fn what_argo_fills_in_is_a_word() {
        assert_eq!(filled("a: \"{{workflow.uid}}\" {{x}}", "litmus"), "a: \"filled-in\" filled-in");
        assert_eq!(
            filled("{{ workflow.namespace }} {{workflow.parameters.a}}", "litmus"),
            "litmus {{workflow.parameters.a}}"
        );
        assert_eq!(filled("a: {{ never closed", "litmus"), "a: {{ never closed");
        assert_eq!(embedded("a: 1\n---\nb: 2\n").len(), 2);
        assert!(embedded("kind: [").is_empty());
    }
}
