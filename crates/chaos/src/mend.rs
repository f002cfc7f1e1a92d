//! Fixes: what mends a problem of a document without touching a byte of anything else.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::document::{Problem, Severity, WorkflowDocument};
use crate::edit::{Edit, apply, insert_first, remove_line, scalar, set_scalar};
use crate::embedded::EngineText;
use crate::error::{Error, Result};
use crate::names::label_value;
use crate::places::{Form, Places, step};
use crate::position::line_of;
use crate::remap::{INFRA_ID, INSTANCE_ID};

/// The most fixes that are tried for one text; each is tried on the whole of it.
const MOST: usize = 40;

/// How a problem is mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mend {
    /// A scalar becomes this text.
    Set { pointer: String, text: String },
    /// The labels that name the infrastructure are added.
    Infra,
    /// The template's engine gets a new name with each run.
    GenerateName { template: String },
    /// The fault gets a probe that looks whether its target's pods run.
    Probe { template: String, fault: String },
    /// A label of the template's engine goes.
    DropLabel { template: String, key: String },
    /// A time inside the engine becomes a text with its unit.
    Duration { template: String, pointer: String },
}

/// What is known about a text besides itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    /// The stem of its file, which its name must equal.
    pub stem: Option<String>,
    /// The infrastructure that the project's other files name.
    pub infra: Option<String>,
}

/// A problem, with its fix where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Names it among the remarks of this very text.
    pub id: String,
    /// The problem.
    pub problem: Problem,
    /// What the fix does, in words; `None` where only a person can tell what is right.
    pub fix: Option<String>,
}

fn problems(text: &str, around: &Around) -> (Vec<Problem>, Option<WorkflowDocument>) {
    match WorkflowDocument::parse(text) {
        Ok(document) => {
            let mut found = document.problems.clone();
            if let Some(stem) = around.stem.as_ref().filter(|stem| **stem != document.name) {
                found.insert(0, wrong_stem(text, &document.name, stem));
            }
            (found, Some(document))
        }
        Err(Error::Refused(problem)) => (vec![problem], None),
        Err(other) => (vec![Problem::error("document.refused", None, other.to_string())], None),
    }
}

/// The problem of a name that is not its file's.
pub(crate) fn wrong_stem(text: &str, name: &str, stem: &str) -> Problem {
    let words = format!("metadata.name is {name:?} but the file is called {stem}.yaml; make them equal");
    Problem::error("document.stem", line_of(text, &["metadata", "name"]), words)
        .mended(Mend::Set { pointer: "/metadata/name".into(), text: stem.to_owned() })
}

/// Everything worth saying about a text, with the fixes that hold: each was tried, makes its problem go, and brings no
/// other.
pub fn remarks(text: &str, around: &Around) -> Vec<Remark> {
    let (found, document) = problems(text, around);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut tried = 0;
    let all = found.iter().map(|problem| {
        let place = format!("{}:{}", problem.code, problem.line.unwrap_or(0));
        let count = seen.entry(place.clone()).or_default();
        *count += 1;
        let fix = problem.mend.as_deref().filter(|_| tried < MOST).and_then(|mend| {
            tried += 1;
            let edits = edits(mend, text, document.as_ref(), around)?;
            let after = apply(text, &edits)?;
            holds(&found, problem, &problems(&after, around).0).then(|| words(mend, around))
        });
        Remark { id: format!("{place}:{count}"), problem: problem.clone(), fix }
    });
    all.collect()
}

/// Whether a problem is gone and none has come.
fn holds(before: &[Problem], mended: &Problem, after: &[Problem]) -> bool {
    let count = |all: &[Problem], code: &str| all.iter().filter(|one| one.code == code).count();
    // What was not looked at behind a text that could not be read is no new problem.
    let readable = before
        .iter()
        .all(|one| one.mend.is_none() || !one.code.starts_with("document.") || one.code == "document.stem");
    count(after, &mended.code) < count(before, &mended.code)
        && after.iter().all(|one| {
            let came = count(after, &one.code) > count(before, &one.code);
            !came || (!readable && one.code != mended.code && !one.code.starts_with("document."))
        })
}

/// The text with the fixes of these remarks.
///
/// # Errors
/// [`Error::Refused`] when a remark is not among those of this text, has no fix, or two fixes do not go together.
pub fn mend(text: &str, around: &Around, ids: &[String]) -> Result<String> {
    let refuse = |message: &str| Err(Error::Refused(Problem::error("fix.unknown", None, message)));
    let found = remarks(text, around);
    let document = WorkflowDocument::parse(text).ok();
    let mut all: Vec<Edit> = Vec::new();
    for id in ids {
        let remark = found.iter().find(|remark| remark.id == *id && remark.fix.is_some());
        let mend = remark.and_then(|remark| remark.problem.mend.as_deref());
        let Some(edits) = mend.and_then(|mend| edits(mend, text, document.as_ref(), around)) else {
            return refuse("this fix is not one of this text's any more; look at the remarks again");
        };
        for edit in edits {
            // Two problems of one engine may have one and the same fix.
            if !all.contains(&edit) {
                all.push(edit);
            }
        }
    }
    let Some(after) = apply(text, &all) else {
        return refuse("these fixes change the same place; make them one after the other");
    };
    let (left, _) = problems(&after, around);
    let worse = |severity| {
        left.iter().filter(|one| one.severity == severity).count()
            > found.iter().filter(|one| one.problem.severity == severity).count()
    };
    if document.is_some() && worse(Severity::Error) {
        return refuse("these fixes do not go together; make them one after the other");
    }
    Ok(after)
}

fn words(mend: &Mend, around: &Around) -> String {
    match mend {
        Mend::Set { text, .. } => format!("Write {text:?} here"),
        Mend::Infra => format!("Add the label infra_id: {}", around.infra.as_deref().unwrap_or_default()),
        Mend::GenerateName { .. } => "Use generateName, and clean up by the run instead of by the name".to_owned(),
        Mend::Probe { .. } => "Add a probe that looks whether the target's pods run".to_owned(),
        Mend::DropLabel { key, .. } => format!("Take the label {key} off the engine"),
        Mend::Duration { .. } => "Write it as seconds".to_owned(),
    }
}

fn edits(mend: &Mend, text: &str, document: Option<&WorkflowDocument>, around: &Around) -> Option<Vec<Edit>> {
    match mend {
        Mend::Set { pointer, text: new } => Some(vec![set_scalar(&Places::read(text)?, pointer, new)?]),
        Mend::Infra => infra(text, document?, around.infra.as_deref()?),
        Mend::GenerateName { template } => generate_name(text, document?, template),
        Mend::Probe { template, fault } => probe(text, document?, template, fault),
        Mend::DropLabel { template, key } => {
            let engine = EngineText::find(document?, text, template)?;
            Some(vec![engine.lift(&remove_line(
                &engine.text,
                &engine.places,
                &label_pointer(&["metadata", "labels"], key),
            )?)])
        }
        Mend::Duration { template, pointer } => {
            let engine = EngineText::find(document?, text, template)?;
            let seconds = format!("{}s", engine.value.pointer(pointer)?.as_u64()?);
            Some(vec![engine.lift(&set_scalar(&engine.places, pointer, &seconds)?)])
        }
    }
}

/// Adds labels to a mapping that may not be there yet.
fn add_labels(text: &str, places: &Places, labels: &[(&str, String)]) -> Option<Edit> {
    let lines = || labels.iter().map(|(key, value)| format!("{key}: {value}"));
    match places.get("/metadata/labels") {
        Some(place) if place.form == Form::Block => {
            insert_first(text, places, "/metadata/labels", &lines().collect::<Vec<_>>())
        }
        Some(place) if place.form == Form::Flow => {
            let first = places.first_below("/metadata/labels").is_some();
            let joined = lines().collect::<Vec<_>>().join(", ");
            Some(Edit::insert(place.value.start + 1, if first { format!("{joined}, ") } else { joined }))
        }
        // An alias, or a key without a value.
        Some(_) => None,
        None => match places.get("/metadata")? {
            place if place.form == Form::Flow => {
                let joined = lines().collect::<Vec<_>>().join(", ");
                Some(Edit::insert(place.value.start + 1, format!("labels: {{{joined}}}, ")))
            }
            _ => {
                let all: Vec<_> =
                    std::iter::once("labels:".to_owned()).chain(lines().map(|line| format!("  {line}"))).collect();
                insert_first(text, places, "/metadata", &all)
            }
        },
    }
}

fn infra(text: &str, document: &WorkflowDocument, id: &str) -> Option<Vec<Edit>> {
    if id.is_empty() || crate::names::label_value_fault(id).is_some() {
        return None;
    }
    let written = scalar(id, Form::Plain);
    let mut labels = vec![(INFRA_ID, written.clone())];
    // Its Argo controller passes over a workflow without this one.
    if document.workflow_spec().is_some() && !document.labels.contains_key(INSTANCE_ID) {
        labels.push((INSTANCE_ID, written));
    }
    Some(vec![add_labels(text, &Places::read(text)?, &labels)?])
}

fn generate_name(text: &str, document: &WorkflowDocument, template: &str) -> Option<Vec<Edit>> {
    let engine = EngineText::find(document, text, template)?;
    let mut own = Vec::new();
    let places = &engine.places;
    let metadata = engine.value.get("metadata")?;
    match (metadata.get("name").and_then(Value::as_str), metadata.get("generateName").is_some()) {
        (Some(_), true) => own.push(remove_line(&engine.text, places, "/metadata/name")?),
        (Some(_), false) => {
            let key = places.get("/metadata/name")?.key.clone()?;
            own.push(Edit { range: key, text: "generateName".to_owned() });
        }
        (None, _) => {
            let fault = document.faults.iter().find(|fault| fault.template == template)?;
            own.push(insert_first(&engine.text, places, "/metadata", &[format!("generateName: {}-", fault.name)])?);
        }
    }
    // What has no name of its own any more is found by its run.
    if metadata.pointer("/labels/workflow_run_id").is_none() {
        own.push(add_labels(&engine.text, places, &[("workflow_run_id", "\"{{workflow.uid}}\"".to_owned())])?);
    }
    let mut all: Vec<Edit> = own.iter().map(|edit| engine.lift(edit)).collect();
    if let Some(name) = engine.written("/metadata/name").map(|name| name.trim_matches(['"', '\''])) {
        let wanted = format!("delete chaosengine {name}");
        for (at, found) in text.match_indices(&wanted) {
            let end = at + found.len();
            let goes_on =
                text[end..].starts_with(|ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '.' | '{'));
            if !goes_on {
                let label = "-l workflow_run_id={{workflow.uid}}".to_owned();
                all.push(Edit { range: end - name.len()..end, text: label });
            }
        }
    }
    Some(all)
}

fn probe(text: &str, document: &WorkflowDocument, template: &str, fault: &str) -> Option<Vec<Edit>> {
    let engine = EngineText::find(document, text, template)?;
    let experiments = engine.value.pointer("/spec/experiments")?.as_array()?;
    let index = experiments.iter().position(|one| one.get("name").and_then(Value::as_str) == Some(fault))?;
    let (namespace, selector) = (engine.written("/spec/appinfo/appns")?, engine.written("/spec/appinfo/applabel")?);
    if [namespace, selector].iter().any(|one| one.trim_matches(['"', '\'']).is_empty() || one.contains('\n')) {
        return None;
    }
    // ChaosCenter keeps probes by their names, so the name says whose it is.
    let name = label_value(&format!("{}-{fault}-pods", document.name)).to_lowercase();
    let probe = [
        "probe:".to_owned(),
        format!("  - name: {name}"),
        "    type: k8sProbe".to_owned(),
        "    mode: Edge".to_owned(),
        "    k8sProbe/inputs:".to_owned(),
        "      version: v1".to_owned(),
        "      resource: pods".to_owned(),
        format!("      namespace: {namespace}"),
        format!("      labelSelector: {selector}"),
        "      fieldSelector: status.phase=Running".to_owned(),
        "      operation: present".to_owned(),
        "    runProperties:".to_owned(),
        "      probeTimeout: 10s".to_owned(),
        "      interval: 2s".to_owned(),
        "      attempt: 3".to_owned(),
    ];
    let spec = format!("/spec/experiments/{index}/spec");
    let experiment = format!("/spec/experiments/{index}");
    let edit = if experiments[index].get("spec").is_some() {
        insert_first(&engine.text, &engine.places, &spec, &probe)?
    } else {
        // `spec:` goes before the name, as the first of its mapping.
        let lines: Vec<_> =
            std::iter::once("spec:".to_owned()).chain(probe.iter().map(|line| format!("  {line}"))).collect();
        insert_first(&engine.text, &engine.places, &experiment, &lines)?
    };
    Some(vec![engine.lift(&edit)])
}

/// The pointer of a label.
pub(crate) fn label_pointer(path: &[&str], key: &str) -> String {
    format!("/{}/{}", path.join("/"), step(key))
}
