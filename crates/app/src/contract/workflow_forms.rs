//! A workflow document as a form, and what the API server says to it.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{Diagnostic, TemplateParameter};

/// A workflow document as a form. The text stays the document; the form is read from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowForm {
    /// Its name.
    pub name: String,
    /// `Workflow`, `CronWorkflow`, `ChaosEngine` or `ChaosSchedule`.
    pub kind: String,
    /// When it asks to be run.
    pub schedule: Option<FormSchedule>,
    /// When that is next, up to three times (RFC 3339).
    pub next: Vec<String>,
    /// Why its schedule cannot be followed; none where it has none.
    pub schedule_problem: Option<String>,
    /// Its faults.
    pub faults: Vec<FormFault>,
}

/// When a document asks to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct FormSchedule {
    /// Five fields of cron, or a descriptor such as `@daily`.
    pub cron: String,
    /// The time zone's name; none for UTC.
    pub timezone: Option<String>,
}

/// A fault of a form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct FormFault {
    /// The template that holds it.
    pub template: String,
    /// Its exact name.
    pub fault: String,
    /// What it is called, where it is one that is known here.
    pub title: Option<String>,
    /// Its weight in the score; none where the document has no place for one.
    pub weight: Option<u32>,
    /// What it aims at, in words.
    pub targets: Vec<String>,
    /// The namespace of its target; empty when not said.
    pub namespace: String,
    /// The labels of its target; empty when it is aimed by name.
    pub selector: String,
    /// Its settings.
    pub parameters: Vec<FormParameter>,
    /// Its probes.
    pub probes: Vec<FormProbe>,
    /// Why it can only be changed in the YAML; none where the form can.
    pub by_hand: Option<String>,
}

/// A setting of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct FormParameter {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What is known about it: label, unit, bounds.
    pub known: Option<TemplateParameter>,
    /// The values there are; empty where it is free.
    pub choices: Vec<ParameterChoice>,
}

/// A value that a setting can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ParameterChoice {
    /// As it is written down.
    pub value: String,
    /// What to call it.
    pub label: String,
}

/// A probe of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct FormProbe {
    /// Its name.
    pub name: String,
    /// Its type, for example `httpProbe`.
    pub kind: String,
    /// Its mode, for example `EOT`.
    pub mode: String,
    /// What it looks at.
    pub looks_at: String,
    /// How what it finds is compared, for example `>=`.
    pub criteria: Option<String>,
    /// With what, where the form can change it.
    pub expects: Option<String>,
}

/// A probe to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
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
    /// Pods with these labels run.
    PodsRunning {
        /// Its name.
        name: String,
        /// Their namespace.
        namespace: String,
        /// Their labels, as `key=value,…`.
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

/// One change of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum FormChange {
    /// Another name.
    Name {
        /// The name.
        name: String,
    },
    /// Another schedule, or none.
    Schedule {
        /// The schedule.
        schedule: Option<FormSchedule>,
    },
    /// Another weight of a fault.
    Weight {
        /// Its template.
        template: String,
        /// The weight.
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
    /// A probe more.
    AddProbe {
        /// The fault's template.
        template: String,
        /// The fault.
        fault: String,
        /// The probe.
        probe: NewProbe,
    },
    /// A probe less.
    RemoveProbe {
        /// The fault's template.
        template: String,
        /// The fault.
        fault: String,
        /// The probe's name.
        probe: String,
    },
    /// What a probe must find.
    ProbeExpects {
        /// The fault's template.
        template: String,
        /// The fault.
        fault: String,
        /// The probe's name.
        probe: String,
        /// The value.
        value: String,
    },
}

/// A text after a change of its form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ChangedWorkflow {
    /// The text.
    pub text: String,
    /// It as a form.
    pub form: WorkflowForm,
    /// Remarks on the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// What the API server said to one object of a document, asked without anything being created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DryRunEntry {
    /// The object's kind.
    pub kind: String,
    /// Its name, or what its name begins with.
    pub name: String,
    /// The template that holds it; none for the document and its run.
    pub template: Option<String>,
    /// What it said.
    pub answer: DryRunAnswer,
    /// What it found wrong.
    pub problems: Vec<Diagnostic>,
    /// Why it was not asked.
    pub why: Option<String>,
}

/// An answer of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum DryRunAnswer {
    /// It would take the object.
    Taken,
    /// It would take the object, and fields of it mean nothing to it.
    UnknownFields,
    /// It would not.
    Refused,
    /// It could not be asked.
    NotAsked,
}
