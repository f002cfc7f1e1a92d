//! How far a rollout is, from a workload's own fields.

use serde_json::Value;

use crate::spec::WorkloadKind;

/// The state of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollout {
    /// Under way; what is awaited, in words.
    Progressing(String),
    /// Every replica is of the newest revision and available.
    Complete,
    /// It is paused.
    Paused,
    /// Replicas cannot be made; the cluster's words.
    Failed(String),
    /// The Deployment's progress deadline has passed.
    TimedOut,
}

/// The state of a workload's rollout, by the rules of `kubectl rollout status`.
pub fn rollout_state(kind: WorkloadKind, workload: &Value) -> Rollout {
    let number = |pointer: &str| workload.pointer(pointer).and_then(Value::as_i64);
    let pauses = matches!(kind, WorkloadKind::Deployment | WorkloadKind::Rollout);
    if pauses && workload.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return Rollout::Paused;
    }
    if !taken_up(workload) {
        return Rollout::Progressing("the cluster has not taken the change up yet".to_owned());
    }
    let wanted = number("/spec/replicas").unwrap_or(1);
    let count = |name: &str| number(&format!("/status/{name}")).unwrap_or(0);
    match kind {
        WorkloadKind::Deployment => deployment(workload, wanted, &count),
        WorkloadKind::StatefulSet => stateful_set(workload, wanted, &count),
        WorkloadKind::DaemonSet => daemon_set(workload, &count),
        WorkloadKind::Rollout => argo_rollout(workload),
    }
}

/// Whether the cluster has taken up a workload's newest change. An Argo Rollout writes its number as text.
pub fn taken_up(workload: &Value) -> bool {
    let generation = workload.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
    let seen = match workload.pointer("/status/observedGeneration") {
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(value) => value.as_i64().unwrap_or(0),
        None => 0,
    };
    seen >= generation
}

/// How many of a workload's replicas are wanted: those of a DaemonSet follow from the nodes.
pub fn wanted(kind: WorkloadKind, workload: &Value) -> i64 {
    let number = |pointer: &str| workload.pointer(pointer).and_then(Value::as_i64);
    match kind {
        WorkloadKind::DaemonSet => number("/status/desiredNumberScheduled").unwrap_or(0),
        _ => number("/spec/replicas").unwrap_or(1),
    }
}

/// How many of them are ready.
pub fn ready(kind: WorkloadKind, workload: &Value) -> i64 {
    let field = if kind == WorkloadKind::DaemonSet { "/status/numberReady" } else { "/status/readyReplicas" };
    workload.pointer(field).and_then(Value::as_i64).unwrap_or(0)
}

fn daemon_set(workload: &Value, count: &dyn Fn(&str) -> i64) -> Rollout {
    let by_hand = workload.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete");
    let (wanted, updated) = (count("desiredNumberScheduled"), count("updatedNumberScheduled"));
    if updated < wanted {
        let how = if by_hand { "; its pods are replaced by hand (OnDelete)" } else { "" };
        return Rollout::Progressing(format!("{updated} of {wanted} replicas are updated{how}"));
    }
    let available = count("numberAvailable");
    if available < wanted {
        return Rollout::Progressing(format!("{available} of {wanted} replicas are available"));
    }
    Rollout::Complete
}

/// By the phase that Argo Rollouts itself tells, and the revision that it calls stable.
fn argo_rollout(workload: &Value) -> Rollout {
    let text = |pointer: &str| workload.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let message = text("/status/message").to_owned();
    match text("/status/phase") {
        "Healthy" if text("/status/stableRS") == text("/status/currentPodHash") => Rollout::Complete,
        "Paused" => Rollout::Paused,
        "Degraded" if message.contains("ProgressDeadlineExceeded") => Rollout::TimedOut,
        "Degraded" => Rollout::Failed(message),
        _ => Rollout::Progressing("the new revision is not the stable one yet".to_owned()),
    }
}

fn deployment(workload: &Value, wanted: i64, count: &dyn Fn(&str) -> i64) -> Rollout {
    let condition = |kind: &str| {
        let all = workload.pointer("/status/conditions").and_then(Value::as_array);
        all.into_iter().flatten().find(|one| one.get("type").and_then(Value::as_str) == Some(kind))
    };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(progress) = condition("Progressing")
        && text(progress, "reason") == "ProgressDeadlineExceeded"
    {
        return Rollout::TimedOut;
    }
    if let Some(failure) = condition("ReplicaFailure")
        && text(failure, "status") == "True"
    {
        return Rollout::Failed(text(failure, "message"));
    }
    let updated = count("updatedReplicas");
    if updated < wanted {
        return Rollout::Progressing(format!("{updated} of {wanted} replicas are updated"));
    }
    let old = count("replicas") - updated;
    if old > 0 {
        return Rollout::Progressing(format!("{old} old replicas have not ended yet"));
    }
    let available = count("availableReplicas");
    if available < updated {
        return Rollout::Progressing(format!("{available} of {updated} replicas are available"));
    }
    Rollout::Complete
}

fn stateful_set(workload: &Value, wanted: i64, count: &dyn Fn(&str) -> i64) -> Rollout {
    let text = |pointer: &str| workload.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let partition =
        workload.pointer("/spec/updateStrategy/rollingUpdate/partition").and_then(Value::as_i64).unwrap_or(0);
    let to_update = (wanted - partition).max(0);
    let whole = partition == 0 && text("/status/updateRevision") == text("/status/currentRevision");
    let updated = if whole { count("updatedReplicas").max(count("currentReplicas")) } else { count("updatedReplicas") };
    if updated < to_update {
        let by_hand = text("/spec/updateStrategy/type") == "OnDelete";
        let how = if by_hand { "; its pods are replaced by hand (OnDelete)" } else { "" };
        return Rollout::Progressing(format!("{updated} of {to_update} replicas are updated{how}"));
    }
    let ready = count("readyReplicas");
    if ready < wanted {
        return Rollout::Progressing(format!("{ready} of {wanted} replicas are ready"));
    }
    Rollout::Complete
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn word(rollout: &Rollout) -> &'static str {
        match rollout {
            Rollout::Progressing(_) => "progressing",
            Rollout::Complete => "complete",
            Rollout::Paused => "paused",
            Rollout::Failed(_) => "failed",
            Rollout::TimedOut => "timed out",
        }
    }

    #[test]
    fn deployments() {
        let state = |spec: Value, status: Value| {
            let object = json!({"metadata": {"generation": 2}, "spec": spec, "status": status});
            word(&rollout_state(WorkloadKind::Deployment, &object))
        };
        let three = json!({"replicas": 3});
        let full = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3});
        let with = |key: &str, value: Value| {
            let mut status = full.clone();
            status[key] = value;
            status
        };
        assert_eq!(state(three.clone(), full.clone()), "complete");
        assert_eq!(state(three.clone(), with("observedGeneration", json!(1))), "progressing");
        assert_eq!(state(three.clone(), with("updatedReplicas", json!(1))), "progressing");
        assert_eq!(state(three.clone(), with("replicas", json!(4))), "progressing");
        assert_eq!(state(three.clone(), with("availableReplicas", json!(2))), "progressing");
        assert_eq!(state(json!({"replicas": 3, "paused": true}), full.clone()), "paused");
        let conditions = json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "status": "False"}]);
        assert_eq!(state(three.clone(), with("conditions", conditions)), "timed out");
        let conditions = json!([{"type": "ReplicaFailure", "status": "True", "message": "quota"}]);
        assert_eq!(state(three, with("conditions", conditions)), "failed");
        assert_eq!(state(json!({"replicas": 0}), json!({"observedGeneration": 2})), "complete");
    }

    #[test]
    fn stateful_sets() {
        let state = |spec: Value, status: Value| {
            let object = json!({"metadata": {"generation": 2}, "spec": spec, "status": status});
            word(&rollout_state(WorkloadKind::StatefulSet, &object))
        };
        let done = json!({"observedGeneration": 2, "readyReplicas": 3, "updatedReplicas": 3, "currentReplicas": 3,
            "updateRevision": "b", "currentRevision": "b"});
        assert_eq!(state(json!({"replicas": 3}), done.clone()), "complete");
        let mut half = done.clone();
        half["updatedReplicas"] = json!(1);
        half["currentRevision"] = json!("a");
        assert_eq!(state(json!({"replicas": 3}), half.clone()), "progressing");
        let partitioned = json!({"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}});
        assert_eq!(state(partitioned, half), "complete");
        let mut unready = done;
        unready["readyReplicas"] = json!(2);
        assert_eq!(state(json!({"replicas": 3}), unready), "progressing");
    }

    #[test]
    fn daemon_sets() {
        let state = |status: Value| {
            let object = json!({"metadata": {"generation": 2}, "spec": {}, "status": status});
            word(&rollout_state(WorkloadKind::DaemonSet, &object))
        };
        let done = json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2,
            "numberAvailable": 2, "numberReady": 2});
        assert_eq!(state(done.clone()), "complete");
        for (field, value) in [("updatedNumberScheduled", 1), ("numberAvailable", 1), ("observedGeneration", 1)] {
            let mut status = done.clone();
            status[field] = json!(value);
            assert_eq!(state(status), "progressing", "{field}");
        }
        let object = json!({"spec": {"replicas": 7}, "status": done});
        assert_eq!((wanted(WorkloadKind::DaemonSet, &object), ready(WorkloadKind::DaemonSet, &object)), (2, 2));
    }

    #[test]
    fn argo_rollouts() {
        let state = |phase: &str, stable: &str, message: &str| {
            let object = json!({"metadata": {"generation": 2}, "spec": {}, "status": {"observedGeneration": "2",
                "phase": phase, "stableRS": stable, "currentPodHash": "b", "message": message}});
            word(&rollout_state(WorkloadKind::Rollout, &object))
        };
        assert_eq!(state("Healthy", "b", ""), "complete");
        assert_eq!(state("Healthy", "a", ""), "progressing");
        assert_eq!(state("Progressing", "a", ""), "progressing");
        assert_eq!(state("Paused", "a", "CanaryPauseStep"), "paused");
        assert_eq!(state("Degraded", "a", "ProgressDeadlineExceeded: …"), "timed out");
        assert_eq!(state("Degraded", "a", "RolloutAborted"), "failed");
        assert!(!taken_up(&json!({"metadata": {"generation": 3}, "status": {"observedGeneration": "2"}})));
    }
}
