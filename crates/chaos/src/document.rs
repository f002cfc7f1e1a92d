//! A workflow document: one YAML file of a chaos project, read strictly.

use std::collections::BTreeMap;

use pilothouse_cluster::{Name, Subdomain, Unfolding};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::acceptance;
use crate::engine::{self, Fault};
use crate::error::{Error, Result};
use crate::mend::{Mend, wrong_stem};
use crate::position::line_of;

/// The largest document read, in bytes. An object of the API server cannot be larger than 1.5 MiB.
pub const MAX_BYTES: usize = 1 << 20;

/// The kinds a chaos workflow can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DocumentKind {
    /// Argo `Workflow`.
    Workflow,
    /// Argo `CronWorkflow`.
    CronWorkflow,
    /// Litmus `ChaosEngine` on its own.
    ChaosEngine,
    /// Litmus `ChaosSchedule`.
    ChaosSchedule,
}

impl DocumentKind {
    /// The kind as written in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Workflow => "Workflow",
            Self::CronWorkflow => "CronWorkflow",
            Self::ChaosEngine => "ChaosEngine",
            Self::ChaosSchedule => "ChaosSchedule",
        }
    }

    /// The only `apiVersion` this kind exists in.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Workflow | Self::CronWorkflow => "argoproj.io/v1alpha1",
            Self::ChaosEngine | Self::ChaosSchedule => "litmuschaos.io/v1alpha1",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Workflow, Self::CronWorkflow, Self::ChaosEngine, Self::ChaosSchedule]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// The kind that was meant: ChaosCenter takes kinds in any case, the API server only as they are.
    fn near(text: &str) -> Option<Self> {
        [Self::Workflow, Self::CronWorkflow, Self::ChaosEngine, Self::ChaosSchedule]
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(text))
    }
}

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The document works here but not everywhere, or says less than it could.
    Warning,
    /// The document cannot be used as it is.
    Error,
}

/// Something wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// A stable code, such as `document.not_yaml` or `chaoscenter.no_probe`.
    pub code: String,
    /// The 1-based line in the document, when there is one to point at.
    pub line: Option<usize>,
    /// What is wrong and how to mend it.
    pub message: String,
    /// How it is mended without a person's thought, where that is possible.
    #[serde(skip)]
    pub(crate) mend: Option<Box<Mend>>,
}

impl Problem {
    /// A problem that makes the document unusable.
    pub fn error(code: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code: code.to_owned(), line, message: message.into(), mend: None }
    }

    pub(crate) fn mended(self, mend: Mend) -> Self {
        Self { mend: Some(Box::new(mend)), ..self }
    }

    /// A problem worth telling.
    pub fn warning(code: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, line, message) }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// A parsed chaos workflow.
#[derive(Debug, Clone)]
pub struct WorkflowDocument {
    /// Its kind.
    pub kind: DocumentKind,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`, when written.
    pub namespace: Option<String>,
    /// `metadata.labels` that are strings.
    pub labels: BTreeMap<String, String>,
    /// Service account the workflow's own steps run as, or the chaos service account of a standalone engine.
    pub service_account: Option<String>,
    /// The cron schedules of a `CronWorkflow`, as written.
    pub schedules: Vec<String>,
    /// Workflow parameters (`spec.arguments.parameters`) in their order; `None` where no value is given.
    pub parameters: Vec<(String, Option<String>)>,
    /// The faults it injects, in the order of the templates.
    pub faults: Vec<Fault>,
    /// Everything worth saying about it, errors first.
    pub problems: Vec<Problem>,
    /// The whole document.
    pub value: Value,
}

impl WorkflowDocument {
    /// Parses a text. Fails only when there is no telling what the document is; everything else is in
    /// [`problems`](Self::problems).
    pub fn parse(text: &str) -> Result<Self> {
        let value = read_value(text).map_err(Error::Refused)?;
        let refuse = |problem| Err(Error::Refused(problem));
        let kind_text = value.get("kind").and_then(Value::as_str).unwrap_or_default();
        let Some(kind) = DocumentKind::parse(kind_text) else {
            let line = line_of(text, &["kind"]);
            let message = match kind_text {
                "" => "there is no 'kind'; a chaos workflow is a Workflow, CronWorkflow, ChaosEngine or ChaosSchedule".into(),
                "ChaosExperiment" => "a ChaosExperiment only defines a fault; it does not run by itself. Put it into the install step of a Workflow".into(),
                other => format!("kind {other:?} is not a chaos workflow; use Workflow, CronWorkflow, ChaosEngine or ChaosSchedule"),
            };
            let mut problem = Problem::error("document.kind", line, message);
            problem.mend = DocumentKind::near(kind_text)
                .map(|kind| Mend::Set { pointer: "/kind".to_owned(), text: kind.as_str().to_owned() })
                .map(Box::new);
            return refuse(problem);
        };
        let version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        if version != kind.api_version() {
            return refuse(
                Problem::error(
                    "document.api_version",
                    line_of(text, &["apiVersion"]),
                    format!("apiVersion of a {kind_text} is {}, not {version:?}", kind.api_version()),
                )
                .mended(Mend::Set { pointer: "/apiVersion".to_owned(), text: kind.api_version().to_owned() }),
            );
        }
        let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Err(error) = Subdomain::parse("metadata.name", &name) {
            let line = line_of(text, &["metadata", "name"]);
            let message = if name.is_empty() {
                "metadata.name is missing; the file is called after it".to_owned()
            } else {
                error.to_string()
            };
            return refuse(Problem::error("document.name", line, message));
        }
        let labels = value
            .pointer("/metadata/labels")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        let namespace =
            value.pointer("/metadata/namespace").and_then(Value::as_str).filter(|ns| !ns.is_empty()).map(str::to_owned);

        let mut problems = Vec::new();
        let spec = workflow_spec(kind, &value);
        let parameters = spec.map(parameters).unwrap_or_default();
        let faults = engine::faults(kind, &value, text, &parameters, &mut problems);
        let service_account = match kind {
            DocumentKind::Workflow | DocumentKind::CronWorkflow => {
                spec.and_then(|spec| spec.get("serviceAccountName")).and_then(Value::as_str).map(str::to_owned)
            }
            _ => faults.first().and_then(|fault| fault.service_account.clone()),
        };
        let mut document = Self {
            kind,
            name,
            namespace,
            labels,
            service_account,
            schedules: schedules(kind, &value),
            parameters,
            faults,
            problems,
            value,
        };
        let found = acceptance::check(&document, text);
        document.problems.extend(found);
        document.problems.sort_by_key(|problem| (std::cmp::Reverse(problem.severity), problem.line));
        Ok(document)
    }

    /// Parses a text as the file at `path` of a project: the path is right, and nothing in it is an error.
    pub fn accept(project: &str, path: &str, text: &str) -> Result<Self> {
        let stem = stem_of(project, path).map_err(Error::Refused)?;
        let document = Self::parse(text)?;
        if document.name != stem {
            return Err(Error::Refused(wrong_stem(text, &document.name, &stem)));
        }
        match document.first_error() {
            Some(problem) => Err(Error::Refused(problem.clone())),
            None => Ok(document),
        }
    }

    /// A text with the workflow's parameters filled in.
    pub(crate) fn filled(&self, text: &str) -> String {
        let known = self.parameters.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
        engine::fill_in(text, &known.collect())
    }

    /// The first problem that makes the document unusable.
    pub fn first_error(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.severity == Severity::Error)
    }

    /// The Argo workflow spec: `spec` of a `Workflow`, `spec.workflowSpec` of a `CronWorkflow`.
    pub fn workflow_spec(&self) -> Option<&Value> {
        workflow_spec(self.kind, &self.value)
    }
}

fn workflow_spec(kind: DocumentKind, value: &Value) -> Option<&Value> {
    match kind {
        DocumentKind::Workflow => value.get("spec"),
        DocumentKind::CronWorkflow => value.pointer("/spec/workflowSpec"),
        _ => None,
    }
}

fn parameters(spec: &Value) -> Vec<(String, Option<String>)> {
    let listed = spec.pointer("/arguments/parameters").and_then(Value::as_array);
    listed
        .into_iter()
        .flatten()
        .filter_map(|parameter| {
            let name = parameter.get("name")?.as_str()?.to_owned();
            Some((name, parameter.get("value").and_then(scalar_text)))
        })
        .collect()
}

/// Argo takes `schedule` and, since 3.6, `schedules`.
fn schedules(kind: DocumentKind, value: &Value) -> Vec<String> {
    if kind != DocumentKind::CronWorkflow {
        return Vec::new();
    }
    let one = value.pointer("/spec/schedule").and_then(Value::as_str);
    let many = value.pointer("/spec/schedules").and_then(Value::as_array);
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str)).map(str::to_owned).collect()
}

/// A YAML scalar as the text a reader sees; `None` for maps, lists and null.
pub(crate) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The folder of a project in Git, without a slash at its end.
pub fn folder_of(project: &str) -> String {
    format!("litmus/{project}")
}

/// The path of a workflow's file in Git.
pub fn path_of(project: &str, workflow: &str) -> String {
    format!("{}/{workflow}.yaml", folder_of(project))
}

/// Whether a path is a workflow file or meant to be one; other files in the folder are nobody's business.
pub fn is_candidate(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    lower.ends_with(".yaml") || lower.ends_with(".yml")
}

/// The workflow name a path stands for, or why it stands for none.
pub fn stem_of(project: &str, path: &str) -> std::result::Result<String, Problem> {
    let refuse = |code: &str, message: String| Err(Problem::error(code, None, message));
    if let Err(error) = Name::parse("project", project) {
        return refuse("path.project", error.to_string());
    }
    let folder = folder_of(project);
    let Some(file) = path.strip_prefix(&folder).and_then(|rest| rest.strip_prefix('/')) else {
        return refuse("path.folder", format!("{path} is not in {folder}/"));
    };
    if file.contains('/') {
        return refuse("path.nested", format!("workflows lie directly in {folder}/; move {path} up"));
    }
    if file.to_ascii_lowercase().ends_with(".yml") {
        let stem = &file[..file.len() - 4];
        return refuse("path.yml", format!("only .yaml files are workflows; rename it to {stem}.yaml"));
    }
    let Some(stem) = file.strip_suffix(".yaml") else {
        return refuse("path.suffix", format!("{file} does not end in .yaml"));
    };
    match Subdomain::parse("workflow", stem) {
        Err(error) => refuse("path.name", error.to_string()),
        Ok(name) => Ok(name.into()),
    }
}

fn read_value(text: &str) -> std::result::Result<Value, Problem> {
    if text.len() > MAX_BYTES {
        return Err(Problem::error("document.too_large", None, "the file is larger than 1 MiB"));
    }
    if let Some(line) = deep_line(text) {
        return Err(Problem::error("document.too_deep", Some(line), "this line opens too many brackets"));
    }
    let too_far = |error| Problem::error("document.not_yaml", None, format!("this is not read: {error}"));
    Unfolding::default().count(text).map_err(too_far)?;
    let mut found: Option<serde_yaml::Value> = None;
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = serde_yaml::Value::deserialize(document).map_err(|error| {
            let line = error.location().map(|at| at.line());
            Problem::error("document.not_yaml", line, format!("this is not valid YAML: {error}"))
        })?;
        if value.is_null() {
            continue;
        }
        if found.is_some() {
            return Err(Problem::error(
                "document.several",
                second_document_line(text),
                "the file holds several documents; give each workflow its own file",
            ));
        }
        found = Some(value);
    }
    let Some(mut value) = found else {
        return Err(Problem::error("document.empty", None, "the file is empty"));
    };
    if !value.is_mapping() {
        return Err(Problem::error("document.not_object", Some(1), "the file does not hold an object"));
    }
    let unreadable = |error: &dyn std::fmt::Display| {
        Problem::error("document.not_yaml", None, format!("this YAML cannot become a Kubernetes object: {error}"))
    };
    value.apply_merge().map_err(|error| unreadable(&error))?;
    serde_json::to_value(&value).map_err(|error| unreadable(&error))
}

/// The first line that opens more than a hundred brackets without closing them. The YAML scanner keeps every one of
/// them as a possible key and looks through all for each token, so that a mebibyte of brackets takes it a minute.
fn deep_line(text: &str) -> Option<usize> {
    let deep = |line: &str| {
        let mut depth = 0_u32;
        line.bytes().any(|byte| {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth > 100
        })
    };
    text.split(['\n', '\r']).position(deep).map(|index| index + 1)
}

fn second_document_line(text: &str) -> Option<usize> {
    let mut seen_content = false;
    for (index, line) in text.lines().enumerate() {
        let is_marker = line == "---" || line.starts_with("--- ");
        if is_marker && seen_content {
            return Some(index + 1);
        }
        seen_content |= !is_marker && !line.trim().is_empty() && !line.trim_start().starts_with('#');
    }
    None
}
