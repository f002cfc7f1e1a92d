//! Chaos engines: the ones inside a workflow's templates, and standalone ones.

use std::collections::BTreeMap;

use pilothouse_cluster::Unfolding;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::{DocumentKind, Problem, scalar_text};
use crate::mend::Mend;
use crate::position::line_of_pair;

/// The weight of a fault whose template has no `weight` label (ChaosCenter's default).
pub const DEFAULT_WEIGHT: u32 = 10;

/// How an engine gets its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "name")]
pub enum EngineName {
    /// `metadata.name`: always the same.
    Fixed(String),
    /// `metadata.generateName`: this, and five characters from the API server.
    Generated(String),
}

/// A probe of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Its name.
    pub name: String,
    /// `httpProbe`, `cmdProbe`, `k8sProbe`, `promProbe` or `sloProbe`; empty when only referred to.
    pub probe_type: String,
    /// `SOT`, `EOT`, `Edge`, `Continuous` or `OnChaos`.
    pub mode: String,
    /// Whether it is written in the engine; otherwise ChaosCenter fills it in and a run started by anybody else
    /// goes without it.
    pub inline: bool,
}

/// What a fault aims at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// `deployment`, `statefulset`, `daemonset`, `pod`…, lower case as Litmus writes it; empty when not said.
    pub kind: String,
    /// The namespace; empty when not said.
    pub namespace: String,
    /// Names, when it is aimed by name.
    pub names: Vec<String>,
    /// A label selector, when it is aimed by label.
    pub labels: Option<String>,
}

/// One fault of a workflow: an experiment of a chaos engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The experiment's exact name, such as `pod-delete`.
    pub name: String,
    /// The workflow template that creates the engine; the document's own name for a standalone engine.
    pub template: String,
    /// How the engine is called, when it is called anything.
    pub engine: Option<EngineName>,
    /// The namespace the engine is created in, when written.
    pub namespace: Option<String>,
    /// Its weight in the resilience score.
    pub weight: u32,
    /// What it aims at.
    pub targets: Vec<Target>,
    /// Its probes.
    pub probes: Vec<Probe>,
    /// The service account the chaos runs as.
    pub service_account: Option<String>,
    /// The fault's tunables (`TOTAL_CHAOS_DURATION`…), in their order.
    pub environment: Vec<(String, String)>,
    /// Whether the engine carries the annotation `probeRef`.
    pub has_probe_ref: bool,
    /// Which experiment of its engine it is.
    #[serde(skip)]
    pub(crate) index: usize,
    /// Times of probes that are bare numbers: pointers in the engine, and what they are.
    #[serde(skip)]
    pub(crate) bare_durations: Vec<(String, String)>,
}

/// Reads the faults of a document, with problems of the engines themselves.
pub(crate) fn faults(
    kind: DocumentKind,
    value: &Value,
    text: &str,
    parameters: &[(String, Option<String>)],
    problems: &mut Vec<Problem>,
) -> Vec<Fault> {
    let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    match kind {
        DocumentKind::ChaosEngine => of_engine(value, name, DEFAULT_WEIGHT),
        DocumentKind::ChaosSchedule => {
            let spec = value.pointer("/spec/engineTemplateSpec").cloned().unwrap_or(Value::Null);
            let engine = serde_json::json!({"metadata": value.get("metadata"), "spec": spec});
            of_engine(&engine, name, DEFAULT_WEIGHT)
        }
        DocumentKind::Workflow => of_templates(value.get("spec"), text, parameters, problems),
        DocumentKind::CronWorkflow => of_templates(value.pointer("/spec/workflowSpec"), text, parameters, problems),
    }
}

/// Reads the faults of a running workflow's spec (as it is in the cluster).
pub(crate) fn faults_of_spec(spec: Option<&Value>) -> Vec<Fault> {
    let listed = spec.and_then(|spec| spec.pointer("/arguments/parameters")).and_then(Value::as_array);
    let parameters: Vec<_> = listed
        .into_iter()
        .flatten()
        .filter_map(|p| Some((p.get("name")?.as_str()?.to_owned(), p.get("value").and_then(scalar_text))))
        .collect();
    of_templates(spec, "", &parameters, &mut Vec::new())
}

fn of_templates(
    spec: Option<&Value>,
    text: &str,
    parameters: &[(String, Option<String>)],
    problems: &mut Vec<Problem>,
) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut unfolding = Unfolding::default();
    let known: BTreeMap<&str, &str> =
        parameters.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?))).collect();
    let templates = spec.and_then(|spec| spec.get("templates")).and_then(Value::as_array);
    for template in templates.into_iter().flatten() {
        let name = template.get("name").and_then(Value::as_str).unwrap_or_default();
        let weight = weight_of(template, name, text, problems);
        let artifacts = template.pointer("/inputs/artifacts").and_then(Value::as_array);
        let raw = artifacts
            .into_iter()
            .flatten()
            .filter_map(|artifact| artifact.pointer("/raw/data").and_then(Value::as_str))
            .chain(template.pointer("/resource/manifest").and_then(Value::as_str));
        for data in raw {
            let filled = fill_in(data, &known);
            if let Err(error) = unfolding.count(&filled) {
                let words = format!("a text in template {name:?} is not read: {error}");
                problems.push(Problem::error("engine.not_yaml", line_of_pair(text, "name", name), words));
                continue;
            }
            match serde_yaml::from_str::<Value>(&filled) {
                Ok(engine) if engine.get("kind").and_then(Value::as_str) == Some("ChaosEngine") => {
                    let declared = |wanted: &str| parameters.iter().any(|(known, _)| known == wanted);
                    problems.extend(
                        unresolved(data, &declared).map(|inner| unresolved_problem(text, name, inner, &engine)),
                    );
                    found.extend(of_engine(&engine, name, weight));
                }
                Ok(_) => {}
                Err(error) if data.contains("kind: ChaosEngine") => problems.push(Problem::error(
                    "engine.not_yaml",
                    line_of_pair(text, "name", name),
                    format!("the chaos engine in template {name:?} is not valid YAML: {error}"),
                )),
                Err(_) => {}
            }
        }
    }
    found
}

fn weight_of(template: &Value, name: &str, text: &str, problems: &mut Vec<Problem>) -> u32 {
    let Some(written) = template.pointer("/metadata/labels/weight") else { return DEFAULT_WEIGHT };
    let parsed = scalar_text(written).and_then(|weight| weight.parse::<u32>().ok()).filter(|weight| *weight <= 1000);
    parsed.unwrap_or_else(|| {
        problems.push(Problem::warning(
            "engine.weight",
            line_of_pair(text, "name", name),
            format!("the weight of template {name:?} is not a whole number up to 1000; {DEFAULT_WEIGHT} is used"),
        ));
        DEFAULT_WEIGHT
    })
}

/// What Argo fills in besides the parameters of the workflow, by how it begins.
const FILLED_IN: [&str; 24] = [
    "=",
    "inputs.",
    "outputs.",
    "steps.",
    "tasks.",
    "item",
    "pod.name",
    "node.name",
    "retries",
    "lastRetry.",
    "cronworkflow.",
    "workflow.name",
    "workflow.namespace",
    "workflow.uid",
    "workflow.mainEntrypoint",
    "workflow.serviceAccountName",
    "workflow.creationTimestamp",
    "workflow.duration",
    "workflow.priority",
    "workflow.scheduledTime",
    "workflow.labels",
    "workflow.annotations",
    "workflow.outputs.",
    "workflow.status",
];

/// The templates of a text that nothing fills in, each once.
fn unresolved<'t>(data: &'t str, declared: &dyn Fn(&str) -> bool) -> impl Iterator<Item = &'t str> {
    let mut found: Vec<&str> = Vec::new();
    for part in data.split("{{").skip(1) {
        let Some((inner, _)) = part.split_once("}}") else { continue };
        let inner = inner.trim();
        let known = match inner.strip_prefix("workflow.parameters") {
            Some(rest) => rest.strip_prefix('.').is_none_or(declared),
            None => FILLED_IN.iter().any(|known| inner.starts_with(known)),
        };
        if !known && !found.contains(&inner) && found.len() < 20 {
            found.push(inner);
        }
    }
    found.into_iter()
}

fn unresolved_problem(text: &str, template: &str, inner: &str, engine: &Value) -> Problem {
    let line = text.lines().position(|line| line.contains("{{") && line.contains(inner)).map(|at| at + 1);
    let words = format!(
        "nothing fills in {{{{{inner}}}}}: it reaches the API server as it is, which takes no braces in a label or a name; \
         declare it in spec.arguments.parameters, or write the value"
    );
    let problem = Problem::warning("engine.unresolved", line, words);
    let labels = engine.pointer("/metadata/labels").and_then(Value::as_object);
    let label =
        labels.into_iter().flatten().find(|(_, value)| value.as_str().is_some_and(|value| value.contains(inner)));
    match label {
        Some((key, _)) => problem.mended(Mend::DropLabel { template: template.to_owned(), key: key.clone() }),
        None => problem,
    }
}

/// Replaces the workflow parameters that are known and takes the braces off the rest, as ChaosCenter does before it
/// reads an engine.
pub(crate) fn fill_in(data: &str, parameters: &BTreeMap<&str, &str>) -> String {
    let mut out = String::with_capacity(data.len());
    let mut rest = data;
    while let Some(start) = rest.find("{{") {
        out.push_str(&rest[..start]);
        let after = &rest[start + 2..];
        let Some(end) = after.find("}}") else {
            out.push_str(after);
            return out;
        };
        let inner = after[..end].trim();
        let value = inner.strip_prefix("workflow.parameters.").and_then(|name| parameters.get(name));
        out.push_str(value.copied().unwrap_or(inner));
        rest = &after[end + 2..];
    }
    out.push_str(rest);
    out
}

fn of_engine(engine: &Value, template: &str, weight: u32) -> Vec<Fault> {
    let text_at = |pointer: &str| engine.pointer(pointer).and_then(scalar_text).filter(|text| !text.is_empty());
    let name = match (text_at("/metadata/generateName"), text_at("/metadata/name")) {
        // The API server prefers a name over a prefix.
        (_, Some(name)) => Some(EngineName::Fixed(name)),
        (Some(prefix), None) => Some(EngineName::Generated(prefix)),
        (None, None) => None,
    };
    let referred = engine.pointer("/metadata/annotations/probeRef").and_then(Value::as_str);
    let experiments = engine.pointer("/spec/experiments").and_then(Value::as_array);
    experiments
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, experiment)| {
            Some(Fault {
                name: experiment.get("name")?.as_str()?.to_owned(),
                template: template.to_owned(),
                engine: name.clone(),
                namespace: text_at("/metadata/namespace"),
                weight,
                targets: targets(engine.get("spec")),
                probes: probes(experiment, referred),
                service_account: text_at("/spec/chaosServiceAccount"),
                environment: environment(experiment),
                has_probe_ref: referred.is_some(),
                index,
                bare_durations: bare_durations(index, experiment),
            })
        })
        .collect()
}

/// The run properties that the engine's CRD wants as texts with a unit.
const DURATIONS: [&str; 5] = ["probeTimeout", "interval", "probePollingInterval", "initialDelay", "evaluationTimeout"];

fn bare_durations(experiment: usize, value: &Value) -> Vec<(String, String)> {
    let probes = value.pointer("/spec/probe").and_then(Value::as_array);
    let all = probes.into_iter().flatten().enumerate().flat_map(|(index, probe)| {
        let name = probe.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        DURATIONS.iter().filter_map(move |key| {
            let found = probe.get("runProperties")?.get(key)?;
            let pointer = format!("/spec/experiments/{experiment}/spec/probe/{index}/runProperties/{key}");
            found.is_number().then(|| (pointer, format!("{key} of the probe {name:?}")))
        })
    });
    all.collect()
}

fn environment(experiment: &Value) -> Vec<(String, String)> {
    let listed = experiment.pointer("/spec/components/env").and_then(Value::as_array);
    listed
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let name = entry.get("name")?.as_str()?.to_owned();
            Some((name, entry.get("value").and_then(scalar_text).unwrap_or_default()))
        })
        .collect()
}

fn probes(experiment: &Value, referred: Option<&str>) -> Vec<Probe> {
    let text = |probe: &Value, key: &str| probe.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let written = experiment.pointer("/spec/probe").and_then(Value::as_array);
    let mut found: Vec<Probe> = written
        .into_iter()
        .flatten()
        .map(|probe| Probe {
            name: text(probe, "name"),
            probe_type: text(probe, "type"),
            mode: text(probe, "mode"),
            inline: true,
        })
        .collect();
    let referred: Option<Vec<Value>> = referred.and_then(|json| serde_json::from_str(json).ok());
    for probe in referred.iter().flatten() {
        let name = text(probe, "name");
        if !name.is_empty() && !found.iter().any(|known| known.name == name) {
            found.push(Probe { name, probe_type: String::new(), mode: text(probe, "mode"), inline: false });
        }
    }
    found
}

fn targets(spec: Option<&Value>) -> Vec<Target> {
    let Some(spec) = spec else { return Vec::new() };
    let text = |value: &Value, key: &str| value.get(key).and_then(scalar_text).unwrap_or_default();
    let names = |value: &Value| -> Vec<String> {
        // Litmus writes names as one text, separated by commas.
        text(value, "names").split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    if let Some(info) = spec.get("appinfo") {
        let target = Target {
            kind: text(info, "appkind").to_lowercase(),
            namespace: text(info, "appns"),
            names: Vec::new(),
            labels: Some(text(info, "applabel")).filter(|label| !label.is_empty()),
        };
        if target.labels.is_some() || !target.namespace.is_empty() || !target.kind.is_empty() {
            found.push(target);
        }
    }
    for (list, default_kind) in [("workloads", ""), ("pods", "pod")] {
        let listed = spec.pointer(&format!("/selectors/{list}")).and_then(Value::as_array);
        for entry in listed.into_iter().flatten() {
            let kind = text(entry, "kind").to_lowercase();
            found.push(Target {
                kind: if kind.is_empty() { default_kind.to_owned() } else { kind },
                namespace: text(entry, "namespace"),
                names: names(entry),
                labels: Some(text(entry, "labels")).filter(|labels| !labels.is_empty()),
            });
        }
    }
    found
}

/// Whether a live engine's name is the one a definition gives: equal, or the prefix and exactly the five characters
/// that the API server appends.
pub(crate) fn name_fits(defined: &EngineName, live: &str) -> bool {
    // The alphabet of k8s.io/apimachinery/pkg/util/rand: no vowels, no 0, 1 or 3.
    const ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";
    match defined {
        EngineName::Fixed(name) => live == name,
        EngineName::Generated(prefix) => live
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.len() == 5 && rest.chars().all(|c| ALPHABET.contains(c))),
    }
}
