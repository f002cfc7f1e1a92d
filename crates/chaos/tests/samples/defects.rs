//! What upstream does to documents, verdicts and scores that this does not: each defect has its test.

use pilothouse_chaos::run::{Phase, Run, Verdict, run_view};
use pilothouse_chaos::{Severity, WorkflowDocument};
use serde_json::{Value, json};

use super::read;

fn engine_text(name: &str, probe: bool) -> String {
    let probe = if probe { "\n    spec: {probe: [{name: p, type: httpProbe, mode: Edge}]}" } else { "" };
    format!(
        "apiVersion: litmuschaos.io/v1alpha1\nkind: ChaosEngine\nmetadata: {{generateName: {name}-}}\nspec:\n  appinfo: {{appns: shop, applabel: app=cart, appkind: deployment}}\n  experiments:\n  - name: {name}{probe}\n"
    )
}

/// A fault of a run: name, weight, and the verdict and share that Litmus wrote, if it wrote any.
type Played<'a> = (&'a str, &'a str, Option<(&'a str, &'a str)>);

/// A run of these faults.
fn run(faults: &[Played<'_>], labels: Value) -> Run {
    let mut templates = vec![json!({"name": "main", "steps": []})];
    let (mut engines, mut results) = (Vec::new(), Vec::new());
    for (name, weight, written) in faults {
        templates.push(json!({
            "name": format!("step-{name}"), "metadata": {"labels": {"weight": weight}},
            "inputs": {"artifacts": [{"name": "e", "path": "/tmp/e.yaml", "raw": {"data": engine_text(name, true)}}]},
        }));
        let Some((verdict, share)) = written else { continue };
        let engine = format!("{name}-b4k7z");
        engines.push(json!({
            "kind": "ChaosEngine",
            "metadata": {"name": engine, "namespace": "litmus", "labels": {"workflow_run_id": "u1"}},
            "spec": {"experiments": [{"name": name}]}, "status": {"engineStatus": "completed"},
        }));
        results.push(json!({
            "metadata": {"name": format!("{engine}-{name}"), "namespace": "litmus"},
            "spec": {"engine": engine, "experiment": name},
            "status": {"experimentStatus": {"phase": "Completed", "verdict": verdict, "probeSuccessPercentage": share}},
        }));
    }
    let workflow = json!({
        "kind": "Workflow",
        "metadata": {"name": "w-1", "namespace": "litmus", "uid": "u1", "labels": labels},
        "spec": {"entrypoint": "main", "templates": templates},
        "status": {"phase": "Succeeded"},
    });
    run_view(&workflow, &engines, &results)
}

#[test]
fn defect_a_failed_fault_hides_behind_a_step_that_always_succeeds() {
    let run = run(&[("pod-delete", "10", Some(("Fail", "50")))], json!({}));
    assert_eq!((run.phase, run.verdict, run.score), (Phase::Succeeded, Some(Verdict::Fail), Some(50.0)));
}

#[test]
fn defect_a_fault_gets_the_result_of_one_whose_name_contains_its_own() {
    let faults = [("pod-cpu", "10", Some(("Pass", "100"))), ("pod-cpu-hog", "10", Some(("Fail", "0")))];
    for order in [[0, 1], [1, 0]] {
        let run = run(&order.map(|at| faults[at]), json!({}));
        for fault in &run.faults {
            let expected = if fault.name == "pod-cpu" { (Verdict::Pass, Some(100)) } else { (Verdict::Fail, Some(0)) };
            assert_eq!((fault.verdict, fault.probe_success_percentage), expected, "{}", fault.name);
        }
        assert_eq!(run.score, Some(50.0));
    }
}

#[test]
fn defect_the_score_is_divided_by_all_revisions_that_came_from_git() {
    // Every revision from Git has the same, empty id upstream; here only the run's own weights count.
    let run = run(&[("pod-delete", "3", Some(("Pass", "100")))], json!({"revision_id": "", "workflow_id": "w"}));
    assert_eq!((run.verdict, run.score), (Some(Verdict::Pass), Some(100.0)));
}

#[test]
fn defect_an_engine_that_never_came_counts_as_zero_without_a_word() {
    let run = run(&[("pod-delete", "10", Some(("Pass", "100"))), ("pod-cpu-hog", "10", None)], json!({}));
    let missing = &run.faults[1];
    assert_eq!((missing.verdict, run.verdict, run.score), (Verdict::Error, Some(Verdict::Error), Some(50.0)));
    assert!(missing.why.as_ref().is_some_and(|why| !why.is_empty()));
}

#[test]
fn defect_a_fault_without_a_probe_passes_with_a_hundred_and_nobody_is_told() {
    let engine = json!({
        "kind": "ChaosEngine", "metadata": {"name": "e", "namespace": "litmus"},
        "spec": {"experiments": [{"name": "pod-delete"}]}, "status": {"engineStatus": "completed"},
    });
    let result = json!({
        "metadata": {"name": "e-pod-delete"}, "spec": {"engine": "e", "experiment": "pod-delete"},
        "status": {"experimentStatus": {"verdict": "Pass", "probeSuccessPercentage": "100"}},
    });
    let run = run_view(&engine, &[], &[result]);
    assert_eq!(run.verdict, Some(Verdict::Pass));
    assert!(run.warnings.iter().any(|words| words.contains("without any probe")), "{:?}", run.warnings);
}

#[test]
fn defect_runs_from_git_skip_probes_kept_elsewhere_and_score_a_hundred() {
    let text = read("workflow-chaoscenter-saved-recommendation-pod-delete.yaml");
    let document = WorkflowDocument::parse(&text).unwrap();
    let told = document.problems.iter().find(|problem| problem.code == "fault.probe_not_here").unwrap();
    let line = text.lines().nth(told.line.unwrap() - 1).unwrap();
    assert!(line.contains("probeRef"), "{line}");
}

#[test]
fn defect_hub_manifests_carry_label_values_that_no_api_server_takes() {
    let text = read("workflow-pod-cpu-hog.yaml");
    let problem = WorkflowDocument::parse(&text).unwrap().problems.remove(0);
    assert_eq!((problem.code.as_str(), problem.severity, problem.line), ("label.value", Severity::Error, Some(7)));
}

#[test]
fn defect_an_engine_that_is_yaml_only_without_its_braces_is_lost() {
    let braces = engine_text("pod-delete", true).replace("shop,", "{{workflow.parameters.appNamespace}},");
    let text = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {{name: w}}\nspec:\n  entrypoint: a\n  arguments: {{parameters: [{{name: appNamespace, value: shop}}]}}\n  templates:\n  - name: a\n    inputs:\n      artifacts:\n      - name: e\n        raw:\n          data: |\n{}",
        braces.lines().map(|line| format!("            {line}\n")).collect::<String>()
    );
    let document = WorkflowDocument::parse(&text).unwrap();
    assert_eq!(document.faults[0].targets[0].namespace, "shop");
}

#[test]
fn defect_inline_probes_without_a_reference_bring_the_server_down() {
    let text = read("workflow-podtato-head.yaml");
    let document = WorkflowDocument::parse(&text).unwrap();
    assert!(document.faults[0].probes.iter().all(|probe| probe.inline) && !document.faults[0].has_probe_ref);
    assert!(document.first_error().is_none());
}

#[test]
fn defect_a_second_run_meets_the_engine_of_the_first() {
    let document = WorkflowDocument::parse(&read("cronworkflow-bank-of-anthos.yaml")).unwrap();
    assert!(document.problems.iter().any(|problem| problem.code == "chaoscenter.generate_name"));
}
