//! Checks of a parsed document: what the API server and Argo will refuse, and what ChaosCenter would.

use serde_json::Value;

use crate::document::{DocumentKind, Problem, WorkflowDocument, scalar_text};
use crate::embedded::EngineText;
use crate::engine::EngineName;
use crate::mend::{Mend, label_pointer};
use crate::names::{label_value, label_value_fault};
use crate::places::Places;
use crate::position::{line_of, line_of_pair};

/// Everything worth saying about a document. Errors: it cannot run. Warnings whose code begins with `chaoscenter.`:
/// it runs here, and ChaosCenter would refuse it (`ProcessExperiment` in its GraphQL server).
pub(crate) fn check(document: &WorkflowDocument, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    labels(document, text, &mut problems);
    match document.kind {
        DocumentKind::Workflow | DocumentKind::CronWorkflow => workflow(document, text, &mut problems),
        DocumentKind::ChaosEngine | DocumentKind::ChaosSchedule => {}
    }
    faults(document, text, &mut problems);
    problems
}

fn labels(document: &WorkflowDocument, text: &str, problems: &mut Vec<Problem>) {
    for (place, path) in [
        ("metadata.labels", &["metadata", "labels"][..]),
        ("spec.workflowMetadata.labels", &["spec", "workflowMetadata", "labels"][..]),
    ] {
        let Some(labels) = document.value.pointer(&format!("/{}", path.join("/"))) else { continue };
        for (key, value) in labels.as_object().into_iter().flatten() {
            let mut at = path.to_vec();
            at.push(key);
            let fault = match value {
                Value::String(text) => label_value_fault(text)
                    .map(|why| (format!("{text:?} is no label value: {why}"), label_value(&document.filled(text)))),
                Value::Null => None,
                other => Some((
                    format!("{other} is not text; put it in quotes"),
                    scalar_text(other).map(|text| label_value(&text)).unwrap_or_default(),
                )),
            };
            if let Some((fault, right)) = fault {
                let mut problem = Problem::error("label.value", line_of(text, &at), format!("{place}.{key}: {fault}"));
                problem.mend =
                    (!right.is_empty()).then(|| Box::new(Mend::Set { pointer: label_pointer(path, key), text: right }));
                problems.push(problem);
            }
        }
    }
    if document.kind != DocumentKind::ChaosSchedule && !document.labels.contains_key("infra_id") {
        problems.push(Problem::warning(
            "chaoscenter.infra",
            line_of(text, &["metadata"]),
            "there is no label infra_id, so ChaosCenter would not take this file from Git; runs started here need none",
        )
        .mended(Mend::Infra));
    }
    if matches!(document.kind, DocumentKind::CronWorkflow | DocumentKind::ChaosSchedule) {
        problems.push(Problem::warning(
            "chaoscenter.kind",
            line_of(text, &["kind"]),
            format!(
                "ChaosCenter passes over a {} in Git without a word; here it is synced and run as any other",
                document.kind.as_str()
            ),
        ));
    }
}

fn workflow(document: &WorkflowDocument, text: &str, problems: &mut Vec<Problem>) {
    let under: &[&str] = match document.kind {
        DocumentKind::CronWorkflow => &["spec", "workflowSpec"],
        _ => &["spec"],
    };
    let Some(spec) = document.workflow_spec().and_then(Value::as_object) else {
        problems.push(Problem::error(
            "workflow.spec",
            line_of(text, &["spec"]),
            format!("{} is missing", under.join(".")),
        ));
        return;
    };
    if document.kind == DocumentKind::CronWorkflow {
        if document.schedules.is_empty() {
            problems.push(Problem::error(
                "workflow.schedule",
                line_of(text, &["spec"]),
                "a CronWorkflow needs spec.schedule, such as \"0 3 * * *\"",
            ));
        }
        for schedule in &document.schedules {
            let fields = schedule.split_whitespace().count();
            if fields != 5 && !schedule.starts_with('@') {
                problems.push(Problem::error(
                    "workflow.schedule",
                    line_of(text, &["spec", "schedule"]),
                    format!("the schedule {schedule:?} has {fields} fields; cron takes five"),
                ));
            }
        }
    }
    if spec.contains_key("workflowTemplateRef") {
        return;
    }
    let names: Vec<&str> = spec
        .get("templates")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|template| template.get("name").and_then(Value::as_str))
        .collect();
    let mut entry_path = under.to_vec();
    entry_path.push("entrypoint");
    match spec.get("entrypoint").and_then(Value::as_str) {
        None => problems.push(Problem::error(
            "workflow.entrypoint",
            line_of(text, under),
            format!("{}.entrypoint is missing; it names the template to begin with", under.join(".")),
        )),
        Some(entry) if !names.contains(&entry) => problems.push(Problem::error(
            "workflow.entrypoint",
            line_of(text, &entry_path),
            format!("the entrypoint {entry:?} is not among the templates"),
        )),
        Some(_) => {}
    }
    for name in names.iter().enumerate().filter(|(at, name)| names[..*at].contains(name)).map(|(_, name)| name) {
        problems.push(Problem::error(
            "workflow.template_twice",
            line_of_pair(text, "name", name),
            format!("two templates are called {name:?}"),
        ));
    }
    // A step that names no template is found by Argo only once the run has begun.
    for template in spec.get("templates").and_then(Value::as_array).into_iter().flatten() {
        let steps = template.get("steps").and_then(Value::as_array).into_iter().flatten();
        let steps = steps.flat_map(|group| group.as_array().into_iter().flatten());
        for step in steps {
            if let Some(wanted) = step.get("template").and_then(Value::as_str)
                && !names.contains(&wanted)
            {
                problems.push(Problem::error(
                    "workflow.step",
                    line_of_pair(text, "template", wanted),
                    format!("a step uses the template {wanted:?}, which does not exist"),
                ));
            }
        }
    }
}

fn faults(document: &WorkflowDocument, text: &str, problems: &mut Vec<Problem>) {
    if document.faults.is_empty() {
        problems.push(Problem::warning(
            "fault.none",
            None,
            "no fault was found in this document, so its runs will have no verdict",
        ));
    }
    let in_workflow = matches!(document.kind, DocumentKind::Workflow | DocumentKind::CronWorkflow);
    // Looked for only where there is something to point at.
    let places = std::cell::OnceCell::new();
    let inside = |template: &str, pointers: &[&str]| {
        let places = places.get_or_init(|| Places::read(text)).as_ref()?;
        let engine = EngineText::within(document, text, places, template)?;
        pointers.iter().find_map(|pointer| engine.line(pointer))
    };
    for fault in &document.faults {
        let line = if in_workflow { line_of_pair(text, "name", &fault.template) } else { line_of(text, &["spec"]) };
        let place = &fault.template;
        let own = format!("/spec/experiments/{}/name", fault.index);
        let in_fault = || inside(place, &[own.as_str()]).or(line);
        if in_workflow && !matches!(fault.engine, Some(EngineName::Generated(_))) {
            let mut problem = Problem::warning(
                "chaoscenter.generate_name",
                inside(place, &["/metadata/name", "/metadata"]).or(line),
                format!(
                    "the engine in {place:?} has no generateName: a second run would meet the first one's engine, and ChaosCenter would refuse it"
                ),
            );
            // Only the checker image creates engines; `kubectl apply` takes no generateName.
            problem.mend =
                by_checker(document, place).then(|| Box::new(Mend::GenerateName { template: place.clone() }));
            problems.push(problem);
        }
        if fault.probes.is_empty() {
            problems.push(Problem::warning(
                "chaoscenter.no_probe",
                in_fault(),
                format!("{} in {place:?} has no probe: it passes with 100 whatever happens to the application, and ChaosCenter would refuse it", fault.name),
            )
            .mended(Mend::Probe { template: place.clone(), fault: fault.name.clone() }));
        } else if !fault.probes.iter().any(|probe| probe.inline) {
            problems.push(Problem::warning(
                "fault.probe_not_here",
                inside(place, &["/metadata/annotations/probeRef"]).or(line),
                format!(
                    "{} in {place:?} only refers to probes kept in ChaosCenter; a run started here goes without them",
                    fault.name
                ),
            ));
        }
        for (pointer, what) in &fault.bare_durations {
            let at = inside(place, &[pointer.as_str()]);
            problems.push(
                Problem::warning(
                    "probe.duration",
                    at.or(line),
                    format!("{what} in {place:?} is a bare number, which the engine's CRD has refused since Litmus 3; write it with its unit, as \"1s\""),
                )
                .mended(Mend::Duration { template: place.clone(), pointer: pointer.clone() }),
            );
        }
        if fault.targets.is_empty() {
            problems.push(Problem::warning(
                "fault.no_target",
                in_fault(),
                format!("{} in {place:?} names no target; Litmus then goes by the fault's own settings", fault.name),
            ));
        }
    }
}

/// Whether a template creates its engine with the checker image.
fn by_checker(document: &WorkflowDocument, template: &str) -> bool {
    let templates = document.workflow_spec().and_then(|spec| spec.get("templates")).and_then(Value::as_array);
    let named = templates.into_iter().flatten().find(|one| one.get("name").and_then(Value::as_str) == Some(template));
    let image = named.and_then(|one| one.pointer("/container/image")).and_then(Value::as_str);
    image.is_some_and(|image| image.contains("litmus-checker"))
}
