//! How an environment deploys, as the window is told it: by hand, automatically, or with stable tags, and from which of
//! the platform's templates.

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use pilothouse_app::App;
use pilothouse_cluster::{Kind, kinds};
use pilothouse_rig::Rig;
use serde_json::{Value, json};

use super::{ENV, FLOW, look, request, stage::Stage, until};

const WAYS: [(&str, &str); 4] = [
    ("Auto", "deploy-with-approve"),
    ("Auto-stable", "deploy-diff-approve"),
    ("Manual", "deploy-with-autotests"),
    // As it was.
    ("Manual", "deploy"),
];

/// Changes the environment as its owner would, on a real API server, and looks at what the window is told.
pub async fn are_told(app: &App, stage: &Stage) {
    if stage.is_practice() {
        let view = look(app).await;
        assert_eq!((view.trigger_type.as_str(), view.deploy_template.as_str()), ("Manual", "deploy"));
        return;
    }
    let client = Rig::get().client().await;
    let api =
        |kind: &Kind| -> Api<DynamicObject> { Api::namespaced_with(client.clone(), &stage.platform, &kind.resource()) };
    let (stages, templates) = (api(&kinds::STAGE), api(&kinds::TRIGGER_TEMPLATE));
    let usual = serde_json::to_value(templates.get("deploy").await.unwrap()).unwrap();
    for (kind, template) in WAYS {
        if template != "deploy" {
            let mut own = usual.clone();
            own["metadata"] = json!({ "name": template, "labels": { "app.edp.epam.com/pipelinetype": "deploy" } });
            own["spec"]["resourcetemplates"][0]["spec"]["pipelineRef"]["name"] = json!(template);
            let own: DynamicObject = serde_json::from_value(own).unwrap();
            templates.create(&PostParams::default(), &own).await.unwrap();
        }
        let patch = json!({ "spec": { "triggerType": kind, "triggerTemplate": template } });
        stages.patch(&format!("{FLOW}-{ENV}"), &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        let yaml = until("the way of the environment", async || {
            let view = look(app).await;
            if (view.trigger_type.as_str(), view.deploy_template.as_str()) != (kind, template) {
                return None;
            }
            let ready = view.applications.iter().all(|one| !one.tags.is_empty());
            let preview = if ready { app.preview_deploy(request(&view, 0, false)).await.ok()? } else { return None };
            Some(preview.yaml).filter(|yaml| !yaml.is_empty())
        })
        .await;
        let run: Value = serde_yaml::from_str(&yaml).unwrap();
        assert_eq!(run["spec"]["pipelineRef"]["name"], template, "{yaml}");
        let flows = app.list_flows().await.unwrap();
        let told = flows.iter().flat_map(|flow| &flow.environments).find(|one| one.name == ENV).unwrap();
        assert_eq!(told.trigger_type, kind);
    }
}
