//! Reading workloads and pods: how a rollout stands, and which pods are ready.

use kube::api::DynamicObject;

use super::object_fields::{Fields, Named};

/// Argo CD's health of a Deployment, with its words (gitops-engine, `health_deployment.go`).
pub(crate) fn deployment_health(deployment: &DynamicObject) -> (&'static str, Option<String>) {
    let generation = deployment.metadata.generation.unwrap_or_default();
    let status = deployment.at("/status");
    if deployment.flag("/spec/paused") {
        return ("Suspended", Some("Deployment is paused".into()));
    }
    if generation > status.number("/observedGeneration") {
        let words = "Waiting for rollout to finish: observed deployment generation less than \
                     desired generation";
        return ("Progressing", Some(words.into()));
    }
    let exceeded = status
        .items("/conditions")
        .iter()
        .any(|c| c.text("/type") == "Progressing" && c.text("/reason") == "ProgressDeadlineExceeded");
    if exceeded {
        let words = format!("Deployment \"{}\" exceeded its progress deadline", deployment.name());
        return ("Degraded", Some(words));
    }
    let wanted = deployment.at("/spec/replicas").as_i64().unwrap_or(1);
    let (updated, all, available) =
        (status.number("/updatedReplicas"), status.number("/replicas"), status.number("/availableReplicas"));
    let waiting = |what: String| {
        let words = format!("Waiting for rollout to finish: {what}...");
        ("Progressing", Some(words))
    };
    if updated < wanted {
        waiting(format!("{updated} out of {wanted} new replicas have been updated"))
    } else if all > updated {
        waiting(format!("{} old replicas are pending termination", all - updated))
    } else if available < updated {
        waiting(format!("{available} of {updated} updated replicas are available"))
    } else {
        ("Healthy", None)
    }
}

/// Whether a pod's Ready condition is True and it is not on its way out.
pub(crate) fn is_ready(pod: &DynamicObject) -> bool {
    !pod.deleting()
        && pod.items("/status/conditions").iter().any(|c| c.text("/type") == "Ready" && c.text("/status") == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn health_follows_the_rollout() {
        let with = |spec: Value, status: Value| -> DynamicObject {
            serde_json::from_value(json!({
                "metadata": { "name": "cart", "generation": 2 },
                "spec": spec,
                "status": status,
            }))
            .unwrap()
        };
        let counts = |observed: i64, updated: i64, all: i64, available: i64| {
            json!({"observedGeneration": observed, "updatedReplicas": updated,
                "replicas": all, "availableReplicas": available})
        };
        let two = json!({ "replicas": 2 });
        for (spec, status, expected) in [
            (two.clone(), counts(1, 2, 2, 2), "Progressing"),
            (two.clone(), counts(2, 1, 2, 2), "Progressing"),
            (two.clone(), counts(2, 2, 3, 2), "Progressing"),
            (two.clone(), counts(2, 2, 2, 1), "Progressing"),
            (two.clone(), counts(2, 2, 2, 2), "Healthy"),
            (json!({"replicas": 0}), counts(2, 0, 0, 0), "Healthy"),
            (json!({"replicas": 2, "paused": true}), counts(2, 0, 0, 0), "Suspended"),
            (
                two,
                json!({"observedGeneration": 2, "conditions": [
                    {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}),
                "Degraded",
            ),
        ] {
            assert_eq!(deployment_health(&with(spec, status)).0, expected);
        }
    }
}
