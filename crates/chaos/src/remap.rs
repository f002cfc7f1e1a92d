//! ChaosCenter's labels: what ties a file to one installation, and moving it to another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::{Problem, WorkflowDocument};
use crate::edit::{apply, set_scalar};
use crate::error::{Error, Result};
use crate::places::{Places, line_at, step};

/// Label: the experiment's id in ChaosCenter.
pub const WORKFLOW_ID: &str = "workflow_id";
/// Label: the infrastructure that runs it.
pub const INFRA_ID: &str = "infra_id";
/// Label: ChaosCenter's revision of the manifest; empty for one that came from Git.
pub const REVISION_ID: &str = "revision_id";
/// Label: the Argo controller that takes it up; ChaosCenter's is called after its infrastructure.
pub const INSTANCE_ID: &str = "workflows.argoproj.io/controller-instanceid";

/// Where ChaosCenter writes its labels.
const PLACES: [&str; 2] = ["/metadata/labels", "/spec/workflowMetadata/labels"];

/// A label that ties a file to an installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tie {
    /// The label.
    pub label: String,
    /// Its value.
    pub value: String,
    /// Its line, when it can be told.
    pub line: Option<usize>,
}

/// What becomes of the experiments' ids in another installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Experiments {
    /// They stay: the other installation knows them, as after a restored backup.
    Keep,
    /// They become empty, so that the other installation takes each file for a new experiment and gives it an id of its
    /// own. An id that it does not know it would refuse for ever (`No such experiment found`).
    Forget,
}

/// How files are moved to another installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remap {
    /// The infrastructures: old id to new id. Labels with any other value stay.
    pub infra: BTreeMap<String, String>,
    /// The experiments' ids.
    pub experiments: Experiments,
}

/// A label that a remap changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The label.
    pub label: String,
    /// Its 1-based line.
    pub line: usize,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
}

/// A text, remapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remapped {
    /// The text; equal to the old one but for the values of the labels changed.
    pub text: String,
    /// What was changed, in the order of the text.
    pub changed: Vec<Changed>,
}

/// The labels that tie a document to an installation of ChaosCenter.
pub fn ties(document: &WorkflowDocument, text: &str) -> Vec<Tie> {
    let places = Places::read(text);
    let found = labels(&document.value).map(|(pointer, label, value)| {
        let place = places.as_ref().and_then(|places| places.get(&pointer));
        Tie { label: label.to_owned(), value, line: place.map(|place| line_at(text, place.value.start)) }
    });
    found.collect()
}

/// The labels with their pointers, labels and values.
fn labels(value: &Value) -> impl Iterator<Item = (String, &'static str, String)> {
    PLACES.into_iter().flat_map(move |place| {
        [WORKFLOW_ID, INFRA_ID, REVISION_ID, INSTANCE_ID].into_iter().filter_map(move |label| {
            let pointer = format!("{place}/{}", step(label));
            let found = value.pointer(&pointer)?.as_str()?.to_owned();
            Some((pointer, label, found))
        })
    })
}

/// Moves a text to another installation of ChaosCenter. Only the values of its labels change.
///
/// # Errors
/// [`Error::Refused`] when the text is no chaos workflow, a new id is no label value, or a label is written in a way
/// that cannot be changed alone (by an alias, say).
pub fn remap(text: &str, how: &Remap) -> Result<Remapped> {
    let document = WorkflowDocument::parse(text)?;
    let refuse = |line, message: String| Err(Error::Refused(Problem::error("remap.label", line, message)));
    if let Some((id, why)) = how
        .infra
        .values()
        .find_map(|id| Some((id, crate::names::label_value_fault(id)?)))
        .filter(|(id, _)| !id.is_empty())
    {
        return refuse(None, format!("{id:?} cannot be an infrastructure's id: {why}"));
    }
    let places = Places::read(text).unwrap_or_default();
    let (mut edits, mut changed, mut expected) = (Vec::new(), Vec::new(), document.value.clone());
    for (pointer, label, from) in labels(&document.value) {
        let to = match label {
            INFRA_ID | INSTANCE_ID => how.infra.get(&from).cloned(),
            _ if how.experiments == Experiments::Forget => Some(String::new()),
            _ => None,
        };
        let Some(to) = to.filter(|to| *to != from) else { continue };
        let line = places.get(&pointer).map(|place| line_at(text, place.value.start));
        let (Some(edit), Some(line)) = (set_scalar(&places, &pointer, &to), line) else {
            return refuse(
                line,
                format!("the label {label} is not written out here, so it cannot be changed by itself"),
            );
        };
        edits.push(edit);
        if let Some(value) = expected.pointer_mut(&pointer) {
            *value = Value::String(to.clone());
        }
        changed.push(Changed { label: label.to_owned(), line, from, to });
    }
    changed.sort_by_key(|one| one.line);
    let text = apply(text, &edits).unwrap_or_else(|| text.to_owned());
    // Nothing but these labels means something else now, whatever tricks the text plays with anchors.
    if WorkflowDocument::parse(&text)?.value != expected {
        return refuse(
            None,
            "the labels cannot be changed without changing something else; edit the file by hand".into(),
        );
    }
    Ok(Remapped { text, changed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# keep\r\napiVersion: argoproj.io/v1alpha1\r\nkind: CronWorkflow\r\nmetadata:\r\n  name: w   # mine\r\n  labels: {infra_id: 'old', subject: \"a_b\", workflows.argoproj.io/controller-instanceid: old}\r\nspec:\r\n  schedule: '0 3 * * *'\r\n  workflowMetadata:\r\n    labels:\r\n      workflow_id: \"w1\" # theirs\r\n      infra_id: old\r\n      revision_id:    r1\r\n  workflowSpec: {entrypoint: a, templates: [{name: a}]}";

    fn how(experiments: Experiments) -> Remap {
        Remap { infra: BTreeMap::from([("old".into(), "new".into())]), experiments }
    }

    #[test]
    fn only_the_labels_values_change() {
        let moved = remap(TEXT, &how(Experiments::Forget)).unwrap();
        let expected = TEXT
            .replace("'old'", "'new'")
            .replace("instanceid: old", "instanceid: new")
            .replace("infra_id: old", "infra_id: new")
            .replace("\"w1\"", "\"\"")
            .replace("   r1", "   \"\"");
        assert_eq!(moved.text, expected);
        let lines: Vec<_> = moved.changed.iter().map(|one| (one.line, one.label.as_str())).collect();
        assert_eq!(lines, [(6, INFRA_ID), (6, INSTANCE_ID), (11, WORKFLOW_ID), (12, INFRA_ID), (13, REVISION_ID)]);
        // There and back again is the same text, but for the ids that were to be forgotten.
        let there = remap(TEXT, &how(Experiments::Keep)).unwrap();
        let back = Remap { infra: BTreeMap::from([("new".into(), "old".into())]), experiments: Experiments::Keep };
        assert_eq!(remap(&there.text, &back).unwrap().text, TEXT);
        let document = WorkflowDocument::parse(TEXT).unwrap();
        assert_eq!(ties(&document, TEXT).len(), 5);
    }

    #[test]
    fn what_cannot_be_changed_alone_is_refused() {
        let text = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: &n old\n  labels:\n    infra_id: *n\nspec: {entrypoint: a, templates: [{name: a}]}\n";
        assert!(
            matches!(remap(text, &how(Experiments::Keep)), Err(Error::Refused(problem)) if problem.line == Some(6))
        );
        let anchored =
            text.replace("&n old", "n").replace("*n", "&n old").replace("spec:", "  annotations: {x: *n}\nspec:");
        assert!(remap(&anchored, &how(Experiments::Keep)).is_err());
        let bad = Remap { infra: BTreeMap::from([("old".into(), "a b".into())]), experiments: Experiments::Keep };
        assert!(remap(TEXT, &bad).is_err());
        let nothing = Remap { infra: BTreeMap::new(), experiments: Experiments::Keep };
        assert_eq!(remap(TEXT, &nothing).unwrap(), Remapped { text: TEXT.to_owned(), changed: Vec::new() });
    }
}
