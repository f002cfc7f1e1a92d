//! The TriggerTemplates that a deploy and a clean are made from, as the platform's pipeline
//! library installs them.

use serde_json::{Value, json};

use crate::Result;
use crate::controllers::seeding::{Scene, TRIGGER_TEMPLATE};

pub(super) async fn plant(scene: &Scene) -> Result<()> {
    let target = ["CDPIPELINE", "CDSTAGE"];
    let deploy = [&target[..], &["APPLICATIONS_PAYLOAD", "KUBECONFIG_SECRET_NAME"]].concat();
    let clean = [&target[..], &["KUBECONFIG_SECRET_NAME"]].concat();
    for (name, parameters) in [("deploy", deploy), ("clean", clean)] {
        scene.create(TRIGGER_TEMPLATE, scene.platform(), template(name, &parameters)).await?;
    }
    Ok(())
}

fn template(name: &str, parameters: &[&str]) -> Value {
    let declared: Vec<Value> = parameters.iter().map(|p| json!({ "name": p })).collect();
    let mut order = parameters.to_vec();
    // The pipeline itself lists the payload before the target.
    order.sort_by_key(|p| match *p {
        "APPLICATIONS_PAYLOAD" => 0,
        "CDSTAGE" => 1,
        "CDPIPELINE" => 2,
        _ => 3,
    });
    let given: Vec<Value> = order.iter().map(|p| json!({ "name": p, "value": format!("$(tt.params.{p})") })).collect();
    let flow = "$(tt.params.CDPIPELINE)";
    let stage = format!("{flow}-$(tt.params.CDSTAGE)");
    json!({
        "metadata": {
            "name": name,
            "labels": { "app.edp.epam.com/pipelinetype": name },
        },
        "spec": {
            "params": declared,
            "resourcetemplates": [{
                "apiVersion": "tekton.dev/v1",
                "kind": "PipelineRun",
                "metadata": {
                    "generateName": format!("{name}-{stage}-"),
                    "labels": {
                        "app.edp.epam.com/cdpipeline": flow,
                        "app.edp.epam.com/cdstage": stage,
                        "app.edp.epam.com/pipelinetype": name,
                    },
                    "annotations": { "argocd.argoproj.io/compare-options": "IgnoreExtraneous" },
                },
                "spec": {
                    "taskRunTemplate": { "serviceAccountName": "tekton-cd" },
                    "pipelineRef": { "name": name },
                    "params": given,
                    "timeouts": { "pipeline": "1h00m0s" },
                },
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_those_of_the_pipeline_library() {
        for (name, parameters, origin) in [
            (
                "deploy",
                &["CDPIPELINE", "CDSTAGE", "APPLICATIONS_PAYLOAD", "KUBECONFIG_SECRET_NAME"][..],
                include_str!("../../tests/data/triggertemplate-deploy.yaml"),
            ),
            (
                "clean",
                &["CDPIPELINE", "CDSTAGE", "KUBECONFIG_SECRET_NAME"],
                include_str!("../../tests/data/triggertemplate-clean.yaml"),
            ),
        ] {
            let origin: Value = serde_yaml::from_str(origin).unwrap();
            assert_eq!(template(name, parameters)["spec"], origin["spec"], "{name}");
        }
    }
}
