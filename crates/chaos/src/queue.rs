//! Why a run has not begun.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The label that binds a workflow to one Argo controller.
pub const INSTANCE_LABEL: &str = "workflows.argoproj.io/controller-instanceid";

/// An Argo workflow controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    /// Its namespace.
    pub namespace: String,
    /// Its instance id; a controller without one takes only workflows without one.
    pub instance_id: Option<String>,
    /// Whether it looks at its own namespace only.
    pub namespaced: bool,
    /// Whether one of its pods is ready.
    pub ready: bool,
}

/// Why a queued workflow waits, in words. `controllers` is `None` when they could not be read.
pub fn queued_reason(workflow: &Value, controllers: Option<&[Controller]>) -> String {
    let text = |pointer: &str| workflow.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let namespace = text("/metadata/namespace");
    let labels = workflow.pointer("/metadata/labels").and_then(Value::as_object);
    let wanted = labels.and_then(|labels| labels.get(INSTANCE_LABEL)).and_then(Value::as_str);
    let Some(controllers) = controllers else {
        return "no Argo controller has taken it up yet; which controllers there are cannot be read with your permissions".to_owned();
    };
    let in_reach: Vec<_> = controllers.iter().filter(|one| !one.namespaced || one.namespace == namespace).collect();
    if in_reach.is_empty() {
        return format!("no Argo workflow controller looks at the namespace {namespace:?}; install one there");
    }
    let Some(fitting) = in_reach.iter().find(|one| one.instance_id.as_deref() == wanted) else {
        let known: Vec<_> = in_reach.iter().filter_map(|one| one.instance_id.as_deref()).collect();
        return match (wanted, known.is_empty()) {
            (Some(wanted), true) => format!(
                "the label {INSTANCE_LABEL} is {wanted:?}, but the controller here has no instance id; remove the label"
            ),
            (Some(wanted), false) => format!(
                "the label {INSTANCE_LABEL} is {wanted:?}, but the controllers here are {}; correct the label",
                known.join(", ")
            ),
            (None, _) => format!(
                "the controllers here take only workflows with the label {INSTANCE_LABEL}: {}; add the label",
                known.join(", ")
            ),
        };
    };
    if fitting.ready {
        "the Argo controller has not taken it up yet".to_owned()
    } else {
        format!("the Argo controller in {} is not ready", fitting.namespace)
    }
}

/// Reads controllers from Deployments and ConfigMaps: a Deployment is one when it runs an image called
/// `workflow-controller`; its instance id stands in the ConfigMap that its `--configmap` names.
pub fn controllers(deployments: &[Value], config_maps: &[Value]) -> Vec<Controller> {
    let text =
        |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for deployment in deployments {
        let containers = deployment.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        let Some(container) =
            containers.into_iter().flatten().find(|one| text(one, "/image").contains("workflow-controller"))
        else {
            continue;
        };
        let listed = |key: &str| container.get(key).and_then(Value::as_array).into_iter().flatten();
        let arguments: Vec<String> =
            listed("command").chain(listed("args")).filter_map(Value::as_str).map(str::to_owned).collect();
        let after = |flag: &str| {
            let at = arguments.iter().position(|one| one == flag || one.starts_with(&format!("{flag}=")))?;
            arguments[at].split_once('=').map(|(_, value)| value.to_owned()).or_else(|| arguments.get(at + 1).cloned())
        };
        let namespace = text(deployment, "/metadata/namespace");
        let config_name = after("--configmap").unwrap_or_else(|| "workflow-controller-configmap".to_owned());
        let config = config_maps
            .iter()
            .find(|map| text(map, "/metadata/name") == config_name && text(map, "/metadata/namespace") == namespace);
        let instance_id = config.and_then(|map| {
            let direct = text(map, "/data/instanceID");
            if !direct.is_empty() {
                return Some(direct);
            }
            // Older controllers keep their whole configuration as one YAML text.
            let config: Value = serde_yaml::from_str(map.pointer("/data/config")?.as_str()?).ok()?;
            config.get("instanceID")?.as_str().map(str::to_owned)
        });
        found.push(Controller {
            namespace,
            instance_id: after("--instanceid").or(instance_id).filter(|id| !id.is_empty()),
            namespaced: arguments.iter().any(|one| one == "--namespaced" || one == "--namespaced=true"),
            ready: deployment.pointer("/status/readyReplicas").and_then(Value::as_u64).unwrap_or(0) > 0,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasons() {
        let run = |instance: Option<&str>| json!({"metadata": {"namespace": "litmus", "labels": instance.map(|id| json!({INSTANCE_LABEL: id}))}});
        let one = |id: Option<&str>, namespaced, namespace: &str, ready| Controller {
            namespace: namespace.into(),
            instance_id: id.map(str::to_owned),
            namespaced,
            ready,
        };
        for (wanted, controllers, words) in [
            (None, None, "permissions"),
            (None, Some(vec![]), "no Argo workflow controller"),
            (None, Some(vec![one(None, true, "other", true)]), "no Argo workflow controller"),
            (Some("x"), Some(vec![one(None, false, "argo", true)]), "remove the label"),
            (Some("x"), Some(vec![one(Some("y"), true, "litmus", true)]), "correct the label"),
            (None, Some(vec![one(Some("y"), true, "litmus", true)]), "add the label"),
            (Some("y"), Some(vec![one(Some("y"), true, "litmus", false)]), "not ready"),
            (Some("y"), Some(vec![one(Some("y"), true, "litmus", true)]), "not taken it up yet"),
        ] {
            let reason = queued_reason(&run(wanted), controllers.as_deref());
            assert!(reason.contains(words), "{reason}");
        }
    }

    #[test]
    fn controllers_are_read() {
        let deployment = json!({"metadata": {"name": "workflow-controller", "namespace": "litmus"},
            "spec": {"template": {"spec": {"containers": [{"image": "docker.io/litmuschaos/workflow-controller:v3.3.1",
                "args": ["--configmap", "wc", "--namespaced"]}]}}}, "status": {"readyReplicas": 1}});
        let map = json!({"metadata": {"name": "wc", "namespace": "litmus"}, "data": {"config": "instanceID: abc\n"}});
        let found = controllers(&[deployment], &[map]);
        assert_eq!(
            found,
            [Controller { namespace: "litmus".into(), instance_id: Some("abc".into()), namespaced: true, ready: true }]
        );
    }
}
