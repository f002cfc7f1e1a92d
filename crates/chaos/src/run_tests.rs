use serde_json::json;

use super::*;

const UID: &str = "uid-1";

/// A workflow of two faults whose names contain each other, with the given status.
fn workflow(status: Value) -> Value {
    let fault = |template: &str, prefix: &str, experiment: &str, weight: &str| {
        json!({
            "name": template,
            "metadata": {"labels": {"weight": weight}},
            "inputs": {"artifacts": [{"raw": {"data": format!(
                "kind: ChaosEngine\nmetadata: {{generateName: {prefix}, labels: {{workflow_run_id: '{{{{workflow.uid}}}}'}}}}\nspec: {{experiments: [{{name: {experiment}, spec: {{probe: [{{name: p, type: httpProbe, mode: EOT}}]}}}}]}}\n"
            )}}]},
        })
    };
    json!({
        "kind": "Workflow",
        "metadata": {"name": "w-1", "namespace": "litmus", "uid": UID, "creationTimestamp": "2026-01-01T10:00:00Z",
            "labels": {"pilothouse.dev/project": "shop", "pilothouse.dev/workflow": "w"}},
        "spec": {"entrypoint": "main", "templates": [
            {"name": "main", "steps": [[{"name": "one", "template": "a"}], [{"name": "two", "template": "b"}]]},
            fault("a", "pod-cpu", "pod-cpu", "10"),
            fault("b", "pod-cpu-hog", "pod-cpu-hog", "5"),
        ]},
        "status": status,
    })
}

fn engine(name: &str, experiment: &str, run: &str, made: &str, status: &str) -> Value {
    json!({"kind": "ChaosEngine",
        "metadata": {"name": name, "creationTimestamp": made, "labels": if run.is_empty() { json!({}) } else { json!({"workflow_run_id": run}) }},
        "spec": {"experiments": [{"name": experiment}]}, "status": {"engineStatus": status}})
}

fn result(engine: &str, experiment: &str, verdict: &str, percentage: &str) -> Value {
    json!({"metadata": {"name": format!("{engine}-{experiment}"), "creationTimestamp": "2026-01-01T10:01:00Z"},
        "spec": {"engine": engine, "experiment": experiment},
        "status": {"experimentStatus": {"phase": "Completed", "verdict": verdict, "probeSuccessPercentage": percentage},
            "probeStatuses": [{"name": "p", "type": "httpProbe", "mode": "EOT", "status": {"verdict": "Passed"}}]}})
}

fn ended() -> Value {
    json!({"phase": "Succeeded", "startedAt": "2026-01-01T10:00:01Z", "finishedAt": "2026-01-01T10:05:00Z"})
}

#[test]
fn faults_are_matched_exactly() {
    let engines = [
        engine("pod-cpu-hogbcdfg", "pod-cpu-hog", UID, "2026-01-01T10:01:00Z", "completed"),
        engine("pod-cpux2x4z", "pod-cpu", UID, "2026-01-01T10:02:00Z", "completed"),
        engine("pod-cpubbbbb", "pod-cpu", "another-run", "2026-01-01T10:00:30Z", "completed"),
    ];
    let results = [
        result("pod-cpu-hogbcdfg", "pod-cpu-hog", "Fail", "33"),
        result("pod-cpux2x4z", "pod-cpu", "Pass", "100"),
        result("pod-cpubbbbb", "pod-cpu", "Fail", "0"),
    ];
    let run = run_view(&workflow(ended()), &engines, &results);
    let seen: Vec<_> =
        run.faults.iter().map(|f| (f.engine.as_deref(), f.verdict, f.probe_success_percentage)).collect();
    assert_eq!(
        seen,
        [(Some("pod-cpux2x4z"), Verdict::Pass, Some(100)), (Some("pod-cpu-hogbcdfg"), Verdict::Fail, Some(33))]
    );
    assert_eq!(run.verdict, Some(Verdict::Fail));
    // (10·100 + 5·33) / 15 = 77.666…
    assert_eq!(run.score, Some(77.66));
    assert_eq!((run.project.as_deref(), run.workflow.as_deref()), (Some("shop"), Some("w")));
}

#[test]
fn results_outlive_their_engines() {
    let results =
        [result("pod-cpu-hogbcdfg", "pod-cpu-hog", "Pass", "100"), result("pod-cpux2x4z", "pod-cpu", "Pass", "100")];
    let run = run_view(&workflow(ended()), &[], &results);
    assert_eq!((run.verdict, run.score), (Some(Verdict::Pass), Some(100.0)));
    let twice = [results[0].clone(), results[1].clone(), result("pod-cpuccccc", "pod-cpu", "Fail", "0")];
    let run = run_view(&workflow(ended()), &[], &twice);
    assert_eq!(run.faults[0].verdict, Verdict::Error);
    assert!(run.faults[0].why.as_deref().is_some_and(|why| why.contains("overlapped")));
}

#[test]
fn phases_and_verdicts() {
    let made = "2026-01-01T10:01:00Z";
    let running = [engine("pod-cpux2x4z", "pod-cpu", UID, made, "initialized")];
    let stopped = [engine("pod-cpux2x4z", "pod-cpu", UID, made, "stopped")];
    let mut halted = workflow(json!({"phase": "Failed"}));
    halted["spec"]["shutdown"] = json!("Stop");
    let table = [
        (workflow(json!({})), &[][..], Phase::Queued, Verdict::Awaited, None),
        (workflow(json!({"phase": "Running"})), &running[..], Phase::Running, Verdict::Awaited, None),
        (workflow(ended()), &[][..], Phase::Succeeded, Verdict::Error, Some(0.0)),
        (workflow(json!({"phase": "Error", "message": "no"})), &[][..], Phase::Error, Verdict::Error, Some(0.0)),
        (halted, &stopped[..], Phase::Stopped, Verdict::Stopped, Some(0.0)),
    ];
    for (object, engines, phase, verdict, score) in table {
        let run = run_view(&object, engines, &[]);
        assert_eq!((run.phase, run.verdict, run.score), (phase, Some(verdict), score), "{object}");
    }
}

#[test]
fn steps_come_in_order_and_the_rest_is_pending() {
    let status = json!({"phase": "Running", "nodes": {
        "x": {"displayName": "one", "type": "Pod", "phase": "Running", "startedAt": "2026-01-01T10:00:02Z"},
        "y": {"displayName": "w-1", "type": "Steps", "phase": "Running", "startedAt": "2026-01-01T10:00:01Z"},
    }});
    let run = run_view(&workflow(status), &[], &[]);
    let seen: Vec<_> = run.steps.iter().map(|step| (step.name.as_str(), step.phase.as_str())).collect();
    assert_eq!(seen, [("one", "Running"), ("two", "Pending")]);
}

#[test]
fn a_standalone_engine_and_a_pass_without_probes() {
    let object = json!({"kind": "ChaosEngine", "metadata": {"name": "e", "namespace": "n"},
        "spec": {"experiments": [{"name": "pod-delete"}]},
        "status": {"engineStatus": "completed", "experiments": [{"name": "pod-delete", "verdict": "Pass", "lastUpdateTime": "2026-01-01T10:00:02Z"}]}});
    let run = run_view(&object, &[], &[]);
    assert_eq!((run.phase, run.verdict, run.score), (Phase::Succeeded, Some(Verdict::Pass), Some(100.0)));
    assert_eq!(run.finished_at.as_deref(), Some("2026-01-01T10:00:02Z"));
    assert_eq!(run.warnings.len(), 1);
}

#[test]
fn an_engine_with_a_fixed_name_counts_only_within_the_run() {
    let mut object = workflow(ended());
    object["spec"]["templates"] = json!([{"name": "a", "inputs": {"artifacts": [{"raw": {"data":
        "kind: ChaosEngine\nmetadata: {name: nginx-chaos}\nspec: {experiments: [{name: pod-delete}]}\n"}}]}}]);
    let at = |made| [engine("nginx-chaos", "pod-delete", "", made, "completed")];
    for (made, found) in
        [("2026-01-01T09:00:00Z", false), ("2026-01-01T10:02:00Z", true), ("2026-01-01T11:00:00Z", false)]
    {
        let run = run_view(&object, &at(made), &[]);
        assert_eq!(run.faults[0].engine.is_some(), found, "{made}");
    }
}
