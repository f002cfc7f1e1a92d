//! A workflow document as a form: what can be set without writing YAML, read from the text and written back into it.
//!
//! The text stays the document. A form is read from it anew after each change, and a change touches only the bytes that
//! it is about, so that people may go back and forth between the two.

mod schedule_text;
mod writes;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::{DocumentKind, Problem, WorkflowDocument, scalar_text};
use crate::embedded::EngineText;
use crate::engine::{Fault, Target};
use crate::error::{Error, Result};
use crate::schedule::Schedule;

/// A document as a form.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: DocumentKind,
    /// When it runs by itself, once somebody lets it.
    pub schedule: Option<Cron>,
    /// Its faults, in the order of the templates.
    pub faults: Vec<FormFault>,
}

/// When a document asks to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cron {
    /// Five fields of cron, or a descriptor such as `@daily`.
    pub cron: String,
    /// The time zone's name; none for UTC.
    pub timezone: Option<String>,
}

/// A fault of a form.
#[derive(Debug, Clone, PartialEq)]
pub struct FormFault {
    /// The template that holds it, or the name of a standalone engine.
    pub template: String,
    /// The fault's exact name.
    pub fault: String,
    /// Its weight in the resilience score; none where the document has no place for one.
    pub weight: Option<u32>,
    /// What it aims at.
    pub targets: Vec<Target>,
    /// Its settings, in their order.
    pub parameters: Vec<(String, String)>,
    /// Its probes, in their order.
    pub probes: Vec<FormProbe>,
    /// Why it can only be changed in the YAML; none where the form can.
    pub by_hand: Option<&'static str>,
}

/// A probe of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormProbe {
    /// Its name.
    pub name: String,
    /// `httpProbe`, `cmdProbe`…
    pub probe_type: String,
    /// `SOT`, `EOT`, `Edge`, `Continuous` or `OnChaos`.
    pub mode: String,
    /// What it looks at: an address, a command, a resource.
    pub looks_at: String,
    /// What it must find, as `>= 1` or `== 200`.
    pub criteria: Option<String>,
    /// The value in that, which a form can change.
    pub expects: Option<String>,
}

/// A probe that a form adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum NewProbe {
    /// An address answers with a status.
    Http {
        /// Its name.
        name: String,
        /// `http://…` or `https://…`.
        url: String,
        /// The status that is right.
        code: u16,
        /// `SOT`, `EOT`, `Edge`, `Continuous` or `OnChaos`.
        mode: String,
    },
    /// So many pods run.
    PodsRunning {
        /// Its name.
        name: String,
        /// Their namespace.
        namespace: String,
        /// The labels that select them, as `key=value,…`.
        selector: String,
        /// `SOT`, `EOT`, `Edge`, `Continuous` or `OnChaos`.
        mode: String,
    },
    /// A query of Prometheus gives a value.
    Prometheus {
        /// Its name.
        name: String,
        /// The address of Prometheus.
        endpoint: String,
        /// The query.
        query: String,
        /// `==`, `!=`, `<`, `<=`, `>` or `>=`.
        criteria: String,
        /// What the result is compared with.
        value: String,
        /// `SOT`, `EOT`, `Edge`, `Continuous` or `OnChaos`.
        mode: String,
    },
}

impl NewProbe {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Http { name, .. } | Self::PodsRunning { name, .. } | Self::Prometheus { name, .. } => name,
        }
    }
}

/// One change of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Change {
    /// The document gets another name.
    Name {
        /// The name.
        name: String,
    },
    /// The document runs on a schedule, or only when somebody asks.
    Schedule {
        /// The schedule; none for none.
        schedule: Option<Cron>,
    },
    /// A fault gets another weight.
    Weight {
        /// Its template.
        template: String,
        /// The weight, 0 to 1000.
        weight: u32,
    },
    /// A setting of a fault.
    Parameter {
        /// Its template.
        template: String,
        /// The fault.
        fault: String,
        /// The setting.
        name: String,
        /// Its value.
        value: String,
    },
    /// A probe is added to a fault.
    AddProbe {
        /// Its template.
        template: String,
        /// The fault.
        fault: String,
        /// The probe.
        probe: NewProbe,
    },
    /// A probe is taken away.
    RemoveProbe {
        /// Its template.
        template: String,
        /// The fault.
        fault: String,
        /// The probe's name.
        probe: String,
    },
    /// What a probe must find.
    ProbeExpects {
        /// Its template.
        template: String,
        /// The fault.
        fault: String,
        /// The probe's name.
        probe: String,
        /// The value.
        value: String,
    },
}

/// What can only be changed in the YAML.
pub(crate) fn by_hand(what: &str) -> Error {
    let words = format!("{what} stands in a form that only a person can change; change it in the YAML");
    Error::Refused(Problem::error("form.by_hand", None, words))
}

fn wrong(name: &str, message: impl Into<String>) -> Error {
    Error::Parameter { name: name.to_owned(), message: message.into() }
}

/// Reads a text as a form.
///
/// # Errors
/// [`Error::Refused`] when the text is no workflow.
pub fn read(text: &str) -> Result<Form> {
    Ok(form(&WorkflowDocument::parse(text)?, text))
}

fn form(document: &WorkflowDocument, text: &str) -> Form {
    let weighed = document.workflow_spec().is_some();
    let faults = document.faults.iter().map(|fault| {
        let engine = EngineText::find(document, text, &fault.template);
        FormFault {
            template: fault.template.clone(),
            fault: fault.name.clone(),
            weight: weighed.then_some(fault.weight),
            targets: fault.targets.clone(),
            parameters: fault.environment.clone(),
            probes: engine.as_ref().map(|engine| probes(engine, fault)).unwrap_or_default(),
            by_hand: engine.is_none().then_some("its engine is not written line by line"),
        }
    });
    Form {
        name: document.name.clone(),
        kind: document.kind,
        schedule: schedule_text::read(document),
        faults: faults.collect(),
    }
}

/// The engine of a fault, and the pointer of its experiment.
pub(crate) fn experiment_of(engine: &EngineText<'_>, fault: &str) -> Option<String> {
    let all = engine.value.pointer("/spec/experiments")?.as_array()?;
    let index = all.iter().position(|one| one.get("name").and_then(Value::as_str) == Some(fault))?;
    Some(format!("/spec/experiments/{index}"))
}

fn probes(engine: &EngineText<'_>, fault: &Fault) -> Vec<FormProbe> {
    let Some(experiment) = experiment_of(engine, &fault.name) else { return Vec::new() };
    let listed = engine.value.pointer(&format!("{experiment}/spec/probe")).and_then(Value::as_array);
    listed.into_iter().flatten().map(probe).collect()
}

fn probe(value: &Value) -> FormProbe {
    let text = |pointer: &str| value.pointer(pointer).and_then(scalar_text).unwrap_or_default();
    let probe_type = text("/type");
    let inputs = |rest: &str| value.pointer(&format!("/{probe_type}~1inputs/{rest}")).and_then(scalar_text);
    let first = |all: &[&str]| all.iter().find_map(|one| inputs(one)).unwrap_or_default();
    let looks_at = match probe_type.as_str() {
        "httpProbe" => first(&["url"]),
        "cmdProbe" => first(&["command"]),
        "k8sProbe" => {
            let parts = [inputs("resource"), inputs("namespace"), inputs("labelSelector"), inputs("fieldSelector")];
            parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        "promProbe" => first(&["query", "queryPath"]),
        _ => String::new(),
    };
    let expects = writes::expects_pointer(&probe_type, value).and_then(|at| value.pointer(&at).and_then(scalar_text));
    let criteria = match probe_type.as_str() {
        "httpProbe" => inputs("method/get/criteria").or_else(|| inputs("method/post/criteria")),
        "k8sProbe" => inputs("operation"),
        _ => inputs("comparator/criteria"),
    };
    FormProbe { name: text("/name"), mode: text("/mode"), probe_type, looks_at, criteria, expects }
}

/// A text with a change made. Everything that the change is not about stays as it is, byte for byte.
///
/// # Errors
/// [`Error::Parameter`] for a value that cannot be; [`Error::Refused`] when the text is no workflow, or is written so
/// that only a person can change it.
pub fn change(text: &str, change: &Change) -> Result<String> {
    let document = WorkflowDocument::parse(text)?;
    let before = form(&document, text);
    let after = writes::write(&document, text, change)?;
    // Whatever way a text is written in, what comes out is what was asked for and nothing else, or nothing comes out.
    let changed = WorkflowDocument::parse(&after).map_err(|_| by_hand("this"))?;
    if form(&changed, &after) != expected(before, change)? {
        return Err(by_hand("this"));
    }
    if let (Change::Schedule { schedule: Some(_) }, Err(reason)) = (change, Schedule::of(&changed)) {
        return Err(wrong("schedule", reason.to_string()));
    }
    Ok(after)
}

fn fault_of<'f>(form: &'f mut Form, template: &str, fault: Option<&str>) -> Result<&'f mut FormFault> {
    let is = |one: &&mut FormFault| one.template == template && fault.is_none_or(|fault| one.fault == fault);
    let missing = || Error::NotFound { what: "the fault", name: fault.unwrap_or(template).to_owned() };
    form.faults.iter_mut().find(is).ok_or_else(missing)
}

/// The form that a change leads to.
fn expected(mut form: Form, change: &Change) -> Result<Form> {
    let missing = |name: &str| Error::NotFound { what: "the probe", name: name.to_owned() };
    match change {
        Change::Name { name } => form.name.clone_from(name),
        Change::Schedule { schedule } => {
            form.kind = if schedule.is_some() { DocumentKind::CronWorkflow } else { DocumentKind::Workflow };
            form.schedule.clone_from(schedule);
        }
        Change::Weight { template, weight } => {
            fault_of(&mut form, template, None)?;
            // All faults of a template share its label.
            for one in form.faults.iter_mut().filter(|one| one.template == *template) {
                one.weight = Some(*weight);
            }
        }
        Change::Parameter { template, fault, name, value } => {
            let one = fault_of(&mut form, template, Some(fault))?;
            match one.parameters.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.clone_from(value),
                None => one.parameters.push((name.clone(), value.clone())),
            }
        }
        Change::AddProbe { template, fault, probe } => {
            let one = fault_of(&mut form, template, Some(fault))?;
            one.probes.push(self::probe(&writes::probe_value(probe)?));
        }
        Change::RemoveProbe { template, fault, probe } => {
            fault_of(&mut form, template, Some(fault))?.probes.retain(|one| one.name != *probe);
        }
        Change::ProbeExpects { template, fault, probe, value } => {
            let one = fault_of(&mut form, template, Some(fault))?;
            let probe = one.probes.iter_mut().find(|one| one.name == *probe).ok_or_else(|| missing(probe))?;
            probe.expects = Some(value.clone());
        }
    }
    Ok(form)
}

#[cfg(test)]
mod tests;
