//! How a played fault is judged, in the words of a Litmus ChaosResult.

use serde_json::{Value, json};

use super::object_fields::Fields;

/// How a fault ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The fault ran against a target with this many ready replicas before it.
    Ran { target: String, ready: usize },
    /// Nothing matched the target.
    NoTarget { target: String },
    /// Somebody stopped it.
    Stopped,
}

/// What a ChaosResult says at the end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub verdict: &'static str,
    pub phase: &'static str,
    pub probe_success_percentage: String,
    pub probe_statuses: Vec<Value>,
    pub error_output: Option<Value>,
}

/// The probes an engine names: its own, those of its `probeRef` annotation, or the one that
/// every played fault has.
pub(crate) fn probes(experiment: &Value, probe_ref: &str) -> Vec<Value> {
    let mut probes: Vec<Value> = experiment
        .items("/spec/probe")
        .iter()
        .map(|p| json!({ "name": p.text("/name"), "type": p.text("/type"), "mode": p.text("/mode") }))
        .collect();
    let referenced: Vec<Value> = serde_json::from_str(probe_ref).unwrap_or_default();
    probes.extend(
        referenced.iter().map(|p| json!({ "name": p.text("/name"), "type": "k8sProbe", "mode": p.text("/mode") })),
    );
    if probes.is_empty() {
        probes.push(json!({
            "name": "target-stays-available",
            "type": "k8sProbe",
            "mode": "Continuous",
        }));
    }
    probes
}

/// Probes as they stand while the fault runs.
pub(crate) fn awaited(probes: &[Value]) -> Vec<Value> {
    probes.iter().map(|probe| with_status(probe, "Awaited", "The fault is still running")).collect()
}

/// The rule of the practice cluster: a target with at least two ready replicas survives. Probes
/// that look only before the fault (`SOT`) pass in either case.
pub(crate) fn judge(ending: &Ending, probes: &[Value]) -> Verdict {
    match ending {
        Ending::Ran { target, ready } => {
            let survived = *ready >= 2;
            let statuses: Vec<Value> = probes
                .iter()
                .map(|probe| match (survived, probe.text("/mode")) {
                    (false, mode) if mode != "SOT" => with_status(probe, "Failed", &failed_words(target, *ready)),
                    (_, "SOT") => with_status(
                        probe,
                        "Passed",
                        &format!("{target} had {ready} ready {} before the fault", replicas(*ready)),
                    ),
                    _ => with_status(
                        probe,
                        "Passed",
                        &format!("{target} kept serving: {ready} ready replicas, and one at a time was hit"),
                    ),
                })
                .collect();
            let passed = statuses.iter().filter(|s| s.text("/status/verdict") == "Passed").count();
            // As Litmus counts: all passed is 100, otherwise whole percents of the probes.
            let all = passed == statuses.len();
            Verdict {
                verdict: if all { "Pass" } else { "Fail" },
                phase: if all { "Completed" } else { "Completed_With_Probe_Failure" },
                probe_success_percentage: (passed * 100 / statuses.len().max(1)).to_string(),
                probe_statuses: statuses,
                error_output: None,
            }
        }
        Ending::NoTarget { target } => Verdict {
            verdict: "Error",
            phase: "Error",
            probe_success_percentage: "0".into(),
            probe_statuses: not_run(probes, "The fault did not start"),
            error_output: Some(json!({
                "errorCode": "TARGET_SELECTION_ERROR",
                "reason": format!("no running pod of {target} was found"),
            })),
        },
        Ending::Stopped => Verdict {
            verdict: "Stopped",
            phase: "Stopped",
            probe_success_percentage: "0".into(),
            probe_statuses: not_run(probes, "The fault was stopped"),
            error_output: None,
        },
    }
}

fn not_run(probes: &[Value], words: &str) -> Vec<Value> {
    probes.iter().map(|probe| with_status(probe, "N/A", words)).collect()
}

fn failed_words(target: &str, ready: usize) -> String {
    format!(
        "{target} had {ready} ready {}: nothing was left to serve while the fault ran; give it at \
         least 2 replicas",
        replicas(ready)
    )
}

fn replicas(count: usize) -> &'static str {
    match count {
        1 => "replica",
        _ => "replicas",
    }
}

fn with_status(probe: &Value, verdict: &str, words: &str) -> Value {
    let mut probe = probe.clone();
    probe["status"] = json!({ "verdict": verdict, "description": words });
    probe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(ready: usize) -> Ending {
        Ending::Ran { target: "deployment cart".into(), ready }
    }

    #[test]
    fn two_ready_replicas_pass() {
        let own = probes(&json!({}), "");
        let no_target = Ending::NoTarget { target: "deployment cart".into() };
        for (ending, verdict, phase, percentage) in [
            (ran(0), "Fail", "Completed_With_Probe_Failure", "0"),
            (ran(1), "Fail", "Completed_With_Probe_Failure", "0"),
            (ran(2), "Pass", "Completed", "100"),
            (ran(9), "Pass", "Completed", "100"),
            (no_target, "Error", "Error", "0"),
            (Ending::Stopped, "Stopped", "Stopped", "0"),
        ] {
            let judged = judge(&ending, &own);
            assert_eq!(
                (judged.verdict, judged.phase, judged.probe_success_percentage.as_str()),
                (verdict, phase, percentage),
                "{ending:?}"
            );
        }
    }

    #[test]
    fn percentages_count_the_engines_own_probes() {
        let experiment = json!({ "spec": { "probe": [
            { "name": "before", "type": "httpProbe", "mode": "SOT" },
            { "name": "after", "type": "httpProbe", "mode": "EOT" },
            { "name": "during", "type": "httpProbe", "mode": "Continuous" },
        ] } });
        let judged = judge(&ran(1), &probes(&experiment, ""));
        assert_eq!(judged.probe_success_percentage, "33");
        let words = judged.probe_statuses[1].text("/status/description");
        assert!(words.contains("1 ready replica:"), "{words}");
        let referenced = probes(&json!({}), r#"[{"name":"p","mode":"EOT"}]"#);
        assert_eq!(referenced[0].text("/name"), "p");
        assert_eq!(probes(&json!({}), "not json").len(), 1);
    }
}
