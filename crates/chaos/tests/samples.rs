//! Real manifests parse, or are refused with the right reason.

// Clippy takes only the functions marked as tests for tests, not what they share.
#![allow(clippy::unwrap_used)]

#[path = "samples/defects.rs"]
mod defects;
#[path = "samples/fixes.rs"]
mod fixes;

use std::path::Path;

use pilothouse_chaos::{DocumentKind, Error, Severity, WorkflowDocument};

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// name, kind, faults, codes of the problems that are errors
const GOOD: &[(&str, DocumentKind, usize, &[&str])] = &[
    ("chaosengine-chaoscenter-standalone-mock.yaml", DocumentKind::ChaosEngine, 1, &[]),
    ("chaosengine-container-kill.yaml", DocumentKind::ChaosEngine, 1, &[]),
    ("chaosengine-node-drain.yaml", DocumentKind::ChaosEngine, 1, &[]),
    ("chaosengine-pod-cpu-hog.yaml", DocumentKind::ChaosEngine, 1, &[]),
    ("chaosengine-pod-delete.yaml", DocumentKind::ChaosEngine, 1, &[]),
    ("chaosengine-pod-network-latency.yaml", DocumentKind::ChaosEngine, 1, &[]),
    ("chaosengine-pod-network-loss.yaml", DocumentKind::ChaosEngine, 1, &[]),
    ("cronworkflow-argocd-catalogue-pod-cpu-hog.yaml", DocumentKind::CronWorkflow, 1, &[]),
    ("cronworkflow-bank-of-anthos.yaml", DocumentKind::CronWorkflow, 1, &[]),
    ("cronworkflow-chaoscenter-mock.yaml", DocumentKind::CronWorkflow, 1, &[]),
    ("cronworkflow-node-cpu-hog.yaml", DocumentKind::CronWorkflow, 1, &["label.value"]),
    ("cronworkflow-pod-cpu-hog.yaml", DocumentKind::CronWorkflow, 1, &["label.value"]),
    ("cronworkflow-pod-delete.yaml", DocumentKind::CronWorkflow, 1, &["label.value"]),
    ("cronworkflow-pod-memory-hog.yaml", DocumentKind::CronWorkflow, 1, &["label.value"]),
    ("cronworkflow-sock-shop.yaml", DocumentKind::CronWorkflow, 5, &[]),
    ("cronworkflow-sock-shop-promProbe.yaml", DocumentKind::CronWorkflow, 5, &[]),
    ("workflow-chaoscenter-mock.yaml", DocumentKind::Workflow, 1, &[]),
    ("workflow-chaoscenter-saved-cart-network-latency.yaml", DocumentKind::Workflow, 1, &[]),
    ("workflow-chaoscenter-saved-recommendation-pod-delete.yaml", DocumentKind::Workflow, 1, &[]),
    ("workflow-namespaced-scope-chaos.yaml", DocumentKind::Workflow, 1, &["label.value"]),
    ("workflow-node-cpu-hog.yaml", DocumentKind::Workflow, 1, &["label.value"]),
    ("workflow-node-memory-hog.yaml", DocumentKind::Workflow, 1, &["label.value"]),
    ("workflow-pod-cpu-hog.yaml", DocumentKind::Workflow, 1, &["label.value"]),
    ("workflow-pod-delete.yaml", DocumentKind::Workflow, 1, &["label.value"]),
    ("workflow-pod-memory-hog.yaml", DocumentKind::Workflow, 1, &["label.value"]),
    ("workflow-podtato-head.yaml", DocumentKind::Workflow, 1, &[]),
    ("workflow-sock-shop.yaml", DocumentKind::Workflow, 5, &[]),
];

/// name, code, line
const REFUSED: &[(&str, &str, usize)] = &[
    ("chaosexperiment-container-kill.yaml", "document.kind", 5),
    ("chaosexperiment-node-drain.yaml", "document.kind", 6),
    ("chaosexperiment-pod-cpu-hog.yaml", "document.kind", 6),
    ("chaosexperiment-pod-delete.yaml", "document.kind", 6),
    ("chaosexperiment-pod-network-latency.yaml", "document.kind", 6),
    ("chaosexperiment-pod-network-loss.yaml", "document.kind", 6),
    ("eventtrackerpolicy-example1.yaml", "document.kind", 2),
    ("eventtrackerpolicy-example2.yaml", "document.kind", 2),
    ("eventtrackerpolicy-from-docs-user-guide.yaml", "document.kind", 3),
    ("eventtrackerpolicy-from-issue-3930.yaml", "document.kind", 3),
    ("eventtrackerpolicy-from-pr-2644-or.yaml", "document.kind", 3),
    ("eventtrackerpolicy-from-pr-3338-change.yaml", "document.kind", 3),
];

#[test]
fn every_sample_is_known() {
    let mut names: Vec<String> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    let mut known: Vec<&str> = GOOD.iter().map(|row| row.0).chain(REFUSED.iter().map(|row| row.0)).collect();
    known.sort_unstable();
    assert_eq!(names, known);
}

#[test]
fn samples_parse() {
    let mut wrong = Vec::new();
    for (name, kind, faults, errors) in GOOD {
        let document = match WorkflowDocument::parse(&read(name)) {
            Ok(document) => document,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let found: Vec<&str> = document
            .problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| problem.code.as_str())
            .collect();
        if (document.kind, document.faults.len(), &found[..]) != (*kind, *faults, *errors) {
            wrong.push(format!(
                "{name}: {:?}, {} faults, {:?}",
                document.kind,
                document.faults.len(),
                document.problems
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn others_are_refused() {
    for (name, code, line) in REFUSED {
        match WorkflowDocument::parse(&read(name)) {
            Err(Error::Refused(problem)) => {
                assert_eq!((problem.code.as_str(), problem.line), (*code, Some(*line)), "{name}");
                assert!(problem.message.contains(if name.starts_with("chaos") {
                    "ChaosExperiment"
                } else {
                    "EventTracker"
                }));
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_saved_experiment_is_read_in_full() {
    let document = WorkflowDocument::parse(&read("workflow-chaoscenter-saved-recommendation-pod-delete.yaml")).unwrap();
    assert_eq!(document.service_account.as_deref(), Some("argo-chaos"));
    let fault = &document.faults[0];
    assert_eq!(fault.namespace.as_deref(), Some("litmus"));
    assert_eq!(fault.targets[0].namespace, "otel-demo");
    assert_eq!(fault.targets[0].labels.as_deref(), Some("app.kubernetes.io/component=recommendation"));
    assert!(fault.has_probe_ref && fault.probes.len() == 1 && !fault.probes[0].inline);
    assert_eq!(fault.weight, 10);
    let codes: Vec<_> = document.problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["fault.probe_not_here"]);
}

#[test]
fn what_chaoscenter_would_refuse_is_told_with_a_line() {
    let text = read("workflow-namespaced-scope-chaos.yaml");
    let document = WorkflowDocument::parse(&text).unwrap();
    for code in ["label.value", "chaoscenter.generate_name", "chaoscenter.no_probe"] {
        let problem = document.problems.iter().find(|problem| problem.code == code);
        let line = problem.and_then(|problem| problem.line).unwrap_or_else(|| panic!("{code}: {problem:?}"));
        let shown = text.lines().nth(line - 1).unwrap();
        assert!(
            if code == "label.value" { shown.contains("subject") } else { shown.contains("name: pod-") },
            "{shown}"
        );
    }
}

#[test]
fn hostile_texts_are_refused() {
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (next, last) in ('b'..='j').zip('a'..='i') {
        bomb.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{last}"); 9].join(", ")));
    }
    let head = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: a}\nspec: {entrypoint: a, templates: [{name: a}]}\n";
    for (text, code) in [
        (String::new(), "document.empty"),
        ("- a\n".into(), "document.not_object"),
        ("a: [\n".into(), "document.not_yaml"),
        (format!("{head}---\n{head}"), "document.several"),
        (format!("{head}kind: Workflow\n"), "document.not_yaml"),
        (bomb, "document.not_yaml"),
        (format!("{head}# {}", "x".repeat(1 << 20)), "document.too_large"),
        ("[".repeat(1 << 20), "document.too_deep"),
        ("[\n".repeat(50_000), "document.not_yaml"),
        (head.replace("name: a}\nspec", "name: A}\nspec"), "document.name"),
        (head.replace("argoproj.io/v1alpha1", "argoproj.io/v1"), "document.api_version"),
    ] {
        match WorkflowDocument::parse(&text) {
            Err(Error::Refused(problem)) => assert_eq!(problem.code, code),
            other => panic!("{code}: {other:?}"),
        }
    }
    let shown = WorkflowDocument::parse(&format!("---\n{head}---\n")).unwrap();
    assert_eq!(shown.name, "a");
}
