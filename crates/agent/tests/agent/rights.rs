//! Each right, taken away in turn.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use pilothouse_app::agent::{Right, manifests, rights};
use serde_json::{Value, json};

use crate::stage::{Stage, until};

/// The Roles of an installation, as the manifests have them.
struct Roles {
    all: Vec<Value>,
}

impl Roles {
    fn of(stage: &Stage) -> Self {
        let mut all = manifests(&stage.plan.settings, &stage.plan.needs);
        all.retain(|one| one["kind"] == "Role");
        Self { all }
    }

    fn api(stage: &Stage, role: &Value) -> (Api<DynamicObject>, String) {
        let namespace = role["metadata"]["namespace"].as_str().unwrap();
        let api = stage.kind_api("rbac.authorization.k8s.io", "Role", "roles", namespace);
        (api, role["metadata"]["name"].as_str().unwrap().to_owned())
    }

    /// Writes the Roles without one right, or whole.
    async fn write(&self, stage: &Stage, without: Option<&Right>) {
        for role in &self.all {
            let mut rules = role["rules"].as_array().unwrap().clone();
            if let Some(right) = without.filter(|right| role["metadata"]["namespace"] == right.namespace) {
                rules.retain(|rule| {
                    !(rule["apiGroups"][0] == right.group
                        && rule["resources"][0] == right.resource
                        && rule["verbs"] == json!(right.verbs))
                });
            }
            let (api, name) = Self::api(stage, role);
            let patch = json!({"rules": rules});
            api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_that_is_missing_is_named_by_its_line() {
    let mut stage = Stage::new().await;
    stage.plan.needs.triggers[0].respect_disruption_budget = true;
    stage.remount().await;
    let roles = Roles::of(&stage);
    stage.enable().await;
    roles.write(&stage, None).await;
    until("all rights", async || (stage.check().0 == 0).then_some(())).await;
    let all = rights(&stage.plan.needs);
    for right in &all {
        roles.write(&stage, Some(right)).await;
        let line = format!("missing right: {}: {}", right.words(), right.why);
        // The API server takes a moment to go by what was written.
        until(&line, async || {
            let (code, said) = stage.check();
            let missing: Vec<&str> = said.lines().filter(|line| line.starts_with("missing right")).collect();
            (code == 1 && missing == [line.as_str()]).then_some(())
        })
        .await;
    }
    assert!(all.len() >= 20, "{}", all.len());
}
