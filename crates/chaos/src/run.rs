//! A run, as people see it: phase, steps, faults, verdict and score, from the objects in the cluster.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{self, Fault, Probe, Target};
use crate::names::{PROJECT_LABEL, TRIGGER_LABEL, WORKFLOW_LABEL};

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Created; no controller has taken it up.
    Queued,
    /// In progress.
    Running,
    /// Every step ended well. Says nothing about the verdict: the step that waits for a fault always ends well.
    Succeeded,
    /// A step failed.
    Failed,
    /// It could not be carried out.
    Error,
    /// Somebody stopped it.
    Stopped,
}

impl Phase {
    /// Whether nothing more will happen.
    pub fn ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// What a fault, or a whole run, has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The application withstood it.
    Pass,
    /// It did not.
    Fail,
    /// Stopped before it could be told.
    Stopped,
    /// The fault could not be injected or judged.
    Error,
    /// Not known yet.
    Awaited,
}

impl Verdict {
    fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "pass" | "passed" => Self::Pass,
            "fail" | "failed" => Self::Fail,
            "stopped" => Self::Stopped,
            "error" => Self::Error,
            "awaited" => Self::Awaited,
            _ => return None,
        })
    }
}

/// A step of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Argo's phase of it, or `Pending` before it begins.
    pub phase: String,
    /// Argo's words about it.
    pub message: Option<String>,
    /// When it began (RFC 3339).
    pub started_at: Option<String>,
    /// When it ended (RFC 3339).
    pub finished_at: Option<String>,
}

/// A probe's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeOutcome {
    /// Its name.
    pub name: String,
    /// Its type (`httpProbe`…).
    pub probe_type: String,
    /// Its mode (`SOT`…).
    pub mode: String,
    /// `Passed`, `Failed`, `N/A` or `Awaited`, as Litmus writes it.
    pub verdict: String,
    /// Litmus' words about it.
    pub description: Option<String>,
}

/// A fault of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultRun {
    /// The fault's exact name.
    pub name: String,
    /// The template it belongs to.
    pub template: String,
    /// Its weight.
    pub weight: u32,
    /// The engine that carries it out, once there is one.
    pub engine: Option<String>,
    /// The engine's status (`initialized`, `completed`, `stopped`).
    pub engine_status: Option<String>,
    /// Its verdict.
    pub verdict: Verdict,
    /// Probe success percentage, 0 to 100, once known.
    pub probe_success_percentage: Option<u32>,
    /// Its probes.
    pub probes: Vec<ProbeOutcome>,
    /// What it aims at.
    pub targets: Vec<Target>,
    /// Why it ended in an error, in Litmus' words or ours.
    pub why: Option<String>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `Workflow` or `ChaosEngine`.
    pub kind: String,
    /// The chaos project, from its label.
    pub project: Option<String>,
    /// The chaos workflow, from its label.
    pub workflow: Option<String>,
    /// The trigger that started it, from its label.
    pub trigger: Option<String>,
    /// How far it is.
    pub phase: Phase,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// Its faults, in order.
    pub faults: Vec<FaultRun>,
    /// The verdict; `None` for a run without any fault.
    pub verdict: Option<Verdict>,
    /// The resilience score, 0 to 100 with two decimals, once it ended.
    pub score: Option<f64>,
    /// When it was created (RFC 3339).
    pub created_at: Option<String>,
    /// When it began (RFC 3339).
    pub started_at: Option<String>,
    /// When it ended (RFC 3339).
    pub finished_at: Option<String>,
    /// Why it is where it is: Argo's message, or why it waits.
    pub why: Option<String>,
    /// What to know before believing the verdict.
    pub warnings: Vec<String>,
}

/// Puts a run together from its object (a `Workflow` or a `ChaosEngine`) and the engines and results of its namespace.
pub fn run_view(object: &Value, engines: &[Value], results: &[Value]) -> Run {
    let standalone = text(object, "/kind") == "ChaosEngine";
    let label = |key: &str| {
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        labels.and_then(|labels| labels.get(key)).and_then(Value::as_str).map(str::to_owned)
    };
    let phase = if standalone { engine_phase(object) } else { workflow_phase(object) };
    let own = [object.clone()];
    let defined = if standalone {
        engine::faults(crate::DocumentKind::ChaosEngine, object, "", &[], &mut Vec::new())
    } else {
        engine::faults_of_spec(object.get("spec"))
    };
    let mut matcher =
        Matcher { object, standalone, engines: if standalone { &own } else { engines }, results, used: Vec::new() };
    let faults: Vec<FaultRun> = defined.iter().map(|fault| matcher.fault_run(fault, phase)).collect();
    let warnings = warnings(&faults);
    Run {
        namespace: text(object, "/metadata/namespace").to_owned(),
        name: text(object, "/metadata/name").to_owned(),
        kind: if standalone { "ChaosEngine" } else { "Workflow" }.to_owned(),
        project: label(PROJECT_LABEL),
        workflow: label(WORKFLOW_LABEL),
        trigger: label(TRIGGER_LABEL),
        phase,
        steps: if standalone { Vec::new() } else { steps(object) },
        verdict: verdict(&faults, phase),
        score: if phase.ended() { score(&faults) } else { None },
        faults,
        created_at: some_text(object, "/metadata/creationTimestamp"),
        started_at: some_text(object, "/status/startedAt"),
        finished_at: some_text(object, "/status/finishedAt").or_else(|| engine_end(object, standalone, phase)),
        why: some_text(object, "/status/message"),
        warnings,
    }
}

/// The resilience score: `trunc2(Σ weight · percentage / Σ weight)`, as ChaosCenter's `ProcessCompletedExperimentRun`,
/// but over this run's own faults, each matched to its engine exactly. `None` without any weight.
pub fn score(faults: &[FaultRun]) -> Option<f64> {
    let weights: u64 = faults.iter().map(|fault| u64::from(fault.weight)).sum();
    let gained: u64 = faults
        .iter()
        .map(|fault| u64::from(fault.weight) * u64::from(fault.probe_success_percentage.unwrap_or(0)))
        .sum();
    // Hundredths as a whole number: cutting after the division would show 99.99 for a round 100.
    #[allow(clippy::cast_precision_loss)]
    (weights > 0).then(|| (gained * 100 / weights) as f64 / 100.0)
}

fn verdict(faults: &[FaultRun], phase: Phase) -> Option<Verdict> {
    if faults.is_empty() {
        return None;
    }
    if !phase.ended() {
        return Some(Verdict::Awaited);
    }
    let any = |verdict| faults.iter().any(|fault| fault.verdict == verdict);
    Some(if any(Verdict::Fail) {
        Verdict::Fail
    } else if phase == Phase::Stopped || any(Verdict::Stopped) {
        Verdict::Stopped
    } else if any(Verdict::Error) || any(Verdict::Awaited) {
        Verdict::Error
    } else {
        Verdict::Pass
    })
}

fn warnings(faults: &[FaultRun]) -> Vec<String> {
    let bare = faults.iter().filter(|fault| fault.verdict == Verdict::Pass && fault.probes.is_empty());
    bare.map(|fault| {
        format!(
            "{} passed without any probe: it shows that the fault ran, not that the application withstood it",
            fault.name
        )
    })
    .collect()
}

fn workflow_phase(workflow: &Value) -> Phase {
    let asked_to_stop = ["Stop", "Terminate"].contains(&text(workflow, "/spec/shutdown"));
    match text(workflow, "/status/phase") {
        "Succeeded" => Phase::Succeeded,
        "Failed" | "Error" if asked_to_stop => Phase::Stopped,
        "Failed" => Phase::Failed,
        "Error" => Phase::Error,
        "Running" => Phase::Running,
        "Pending" if !text(workflow, "/status/startedAt").is_empty() => Phase::Running,
        _ => Phase::Queued,
    }
}

fn engine_phase(engine: &Value) -> Phase {
    match text(engine, "/status/engineStatus") {
        "completed" => {
            let failed = experiments(engine).any(|one| text(one, "/verdict").eq_ignore_ascii_case("error"));
            if failed { Phase::Error } else { Phase::Succeeded }
        }
        "stopped" => Phase::Stopped,
        "initialized" => Phase::Running,
        _ if experiments(engine).next().is_some() => Phase::Running,
        _ => Phase::Queued,
    }
}

fn engine_end(engine: &Value, standalone: bool, phase: Phase) -> Option<String> {
    if !standalone || !phase.ended() {
        return None;
    }
    experiments(engine).filter_map(|one| some_text(one, "/lastUpdateTime")).max()
}

fn experiments(engine: &Value) -> impl Iterator<Item = &Value> {
    engine.pointer("/status/experiments").and_then(Value::as_array).into_iter().flatten()
}

fn nodes(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow.pointer("/status/nodes").and_then(Value::as_object).into_iter().flatten()
}

fn steps(workflow: &Value) -> Vec<Step> {
    let step = |node: &Value| Step {
        name: text(node, "/displayName").to_owned(),
        phase: text(node, "/phase").to_owned(),
        message: some_text(node, "/message"),
        started_at: some_text(node, "/startedAt"),
        finished_at: some_text(node, "/finishedAt"),
    };
    let mut begun: Vec<Step> = nodes(workflow)
        .filter(|(_, node)| !matches!(text(node, "/type"), "Steps" | "StepGroup" | "DAG" | "TaskGroup" | "Retry"))
        .map(|(_, node)| step(node))
        .collect();
    begun.sort_by(|a, b| (&a.started_at, &a.name).cmp(&(&b.started_at, &b.name)));
    for name in planned_steps(workflow) {
        if !begun.iter().any(|step| step.name == name) {
            begun.push(Step { name, phase: "Pending".into(), message: None, started_at: None, finished_at: None });
        }
    }
    begun
}

fn planned_steps(workflow: &Value) -> Vec<String> {
    let entry = text(workflow, "/spec/entrypoint");
    let templates = workflow.pointer("/spec/templates").and_then(Value::as_array);
    let entry = templates.into_iter().flatten().find(|template| text(template, "/name") == entry);
    let groups = entry.and_then(|template| template.get("steps")).and_then(Value::as_array);
    let steps = groups.into_iter().flatten().filter_map(Value::as_array).flatten();
    steps.map(|step| text(step, "/name").to_owned()).filter(|name| !name.is_empty()).collect()
}

struct Matcher<'a> {
    object: &'a Value,
    standalone: bool,
    engines: &'a [Value],
    results: &'a [Value],
    /// Engine names already given to a fault: two faults may share a prefix, but never an engine.
    used: Vec<(String, String)>,
}

impl<'a> Matcher<'a> {
    fn fault_run(&mut self, fault: &Fault, phase: Phase) -> FaultRun {
        let engine = self.engine(fault);
        let (result, unclear) = match engine {
            Some(engine) => (self.result_of(text(engine, "/metadata/name"), fault), false),
            None => self.result_by_prefix(fault),
        };
        let engine_name = engine
            .map(|engine| text(engine, "/metadata/name").to_owned())
            .or_else(|| result.and_then(|result| some_text(result, "/spec/engine")));
        if let Some(name) = &engine_name {
            self.used.push((name.clone(), fault.name.clone()));
        }
        let of_engine = engine.and_then(|engine| experiments(engine).find(|one| text(one, "/name") == fault.name));
        let written = result
            .map(|result| text(result, "/status/experimentStatus/verdict"))
            .and_then(Verdict::parse)
            .or_else(|| of_engine.map(|one| text(one, "/verdict")).and_then(Verdict::parse));
        let stopped = engine.is_some_and(|engine| text(engine, "/status/engineStatus") == "stopped");
        let mut why = result.and_then(reason);
        let verdict = match written {
            Some(Verdict::Awaited) | None if stopped => Verdict::Stopped,
            Some(Verdict::Awaited) | None if phase == Phase::Stopped => Verdict::Stopped,
            Some(Verdict::Awaited) | None if phase.ended() => {
                why = why.or_else(|| Some(missing(engine_name.as_deref(), unclear)));
                Verdict::Error
            }
            Some(verdict) => verdict,
            None => Verdict::Awaited,
        };
        FaultRun {
            name: fault.name.clone(),
            template: fault.template.clone(),
            weight: fault.weight,
            engine_status: engine.and_then(|engine| some_text(engine, "/status/engineStatus")),
            probe_success_percentage: result.and_then(percentage).or(match verdict {
                Verdict::Pass => Some(100),
                Verdict::Awaited => None,
                _ => Some(0),
            }),
            probes: probes(fault, result),
            targets: fault.targets.clone(),
            engine: engine_name,
            verdict,
            why,
        }
    }

    fn engine(&self, fault: &Fault) -> Option<&'a Value> {
        if self.standalone {
            return self.engines.first();
        }
        let uid = text(self.object, "/metadata/uid");
        let defined = fault.engine.as_ref()?;
        let mut fitting: Vec<&'a Value> = self
            .engines
            .iter()
            .filter(|engine| {
                let name = text(engine, "/metadata/name");
                let run = text(engine, "/metadata/labels/workflow_run_id");
                let has_fault = engine
                    .pointer("/spec/experiments")
                    .and_then(Value::as_array)
                    .is_some_and(|all| all.iter().any(|one| text(one, "/name") == fault.name));
                engine::name_fits(defined, name)
                    && has_fault
                    && (if run.is_empty() { self.within_run(engine) } else { run == uid })
                    && !self.used.contains(&(name.to_owned(), fault.name.clone()))
            })
            .collect();
        // litmus-checker notes the pod of the step, which names the template; where it does, that decides.
        let of_step = |engine: &&&'a Value| {
            let pod = text(engine, "/metadata/labels/step_pod_name");
            !pod.is_empty()
                && nodes(self.object).any(|(id, node)| id == pod && text(node, "/templateName") == fault.template)
        };
        if let Some(exact) = fitting.iter().find(of_step) {
            return Some(exact);
        }
        fitting.sort_by_key(|engine| text(engine, "/metadata/creationTimestamp").to_owned());
        fitting.first().copied()
    }

    /// Whether an object without a run id was made while this run was in progress.
    fn within_run(&self, other: &Value) -> bool {
        let Some(made) = moment(other, "/metadata/creationTimestamp") else { return false };
        let began = moment(self.object, "/metadata/creationTimestamp").is_some_and(|began| made >= began);
        let before_end = moment(self.object, "/status/finishedAt").is_none_or(|ended| made <= ended);
        began && before_end
    }

    fn result_of(&self, engine: &str, fault: &Fault) -> Option<&'a Value> {
        let plain = format!("{engine}-{}", fault.name);
        let instance = format!("{plain}-");
        self.results.iter().find(|result| {
            let name = text(result, "/metadata/name");
            let (of_engine, of_fault) = (text(result, "/spec/engine"), text(result, "/spec/experiment"));
            if of_engine.is_empty() {
                name == plain || name.starts_with(&instance)
            } else {
                of_engine == engine && (of_fault.is_empty() || of_fault == fault.name)
            }
        })
    }

    /// The result of an engine that has been cleaned away: same fault, a fitting engine name, made during the run.
    /// The flag says that several fit and none was chosen.
    fn result_by_prefix(&self, fault: &Fault) -> (Option<&'a Value>, bool) {
        let Some(defined) = fault.engine.as_ref() else { return (None, false) };
        let fitting: Vec<&'a Value> = self
            .results
            .iter()
            .filter(|result| {
                let engine = text(result, "/spec/engine");
                text(result, "/spec/experiment") == fault.name
                    && engine::name_fits(defined, engine)
                    && self.within_run(result)
                    && !self.used.contains(&(engine.to_owned(), fault.name.clone()))
            })
            .collect();
        match fitting[..] {
            [one] => (Some(one), false),
            [] => (None, false),
            _ => (None, true),
        }
    }
}

fn missing(engine: Option<&str>, unclear: bool) -> String {
    match engine {
        _ if unclear => "several results fit this fault, because runs of the workflow overlapped".to_owned(),
        Some(engine) => format!("the engine {engine} ended without a result"),
        None => "no chaos engine was created for this fault".to_owned(),
    }
}

fn reason(result: &Value) -> Option<String> {
    let status = result.pointer("/status/experimentStatus")?;
    let code = text(status, "/errorOutput/errorCode");
    let words = some_text(status, "/errorOutput/reason").or_else(|| some_text(status, "/failStep"))?;
    if words == "N/A" {
        return None;
    }
    Some(if code.is_empty() { words } else { format!("{code}: {words}") })
}

fn percentage(result: &Value) -> Option<u32> {
    let written = result.pointer("/status/experimentStatus/probeSuccessPercentage")?;
    let number = match written {
        Value::String(text) => text.trim_end_matches('%').parse::<u32>().ok()?,
        other => u32::try_from(other.as_u64()?).ok()?,
    };
    (number <= 100).then_some(number)
}

fn probes(fault: &Fault, result: Option<&Value>) -> Vec<ProbeOutcome> {
    let statuses = result.and_then(|result| result.pointer("/status/probeStatuses")).and_then(Value::as_array);
    let mut found: Vec<ProbeOutcome> = statuses
        .into_iter()
        .flatten()
        .map(|probe| ProbeOutcome {
            name: text(probe, "/name").to_owned(),
            probe_type: text(probe, "/type").to_owned(),
            mode: text(probe, "/mode").to_owned(),
            verdict: some_text(probe, "/status/verdict").unwrap_or_else(|| "Awaited".to_owned()),
            description: some_text(probe, "/status/description"),
        })
        .collect();
    let written = |probe: &&Probe| probe.inline && !found.iter().any(|known| known.name == probe.name);
    let awaited: Vec<ProbeOutcome> = fault
        .probes
        .iter()
        .filter(written)
        .map(|probe| ProbeOutcome {
            name: probe.name.clone(),
            probe_type: probe.probe_type.clone(),
            mode: probe.mode.clone(),
            verdict: if result.is_some() { "N/A" } else { "Awaited" }.to_owned(),
            description: None,
        })
        .collect();
    found.extend(awaited);
    found
}

fn moment(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer).parse().ok()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn some_text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
