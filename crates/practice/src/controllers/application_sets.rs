//! Argo CD's ApplicationSet controller: one Application for each list element, its spec replaced
//! whole when it changes, and deleted with its element (argo-cd,
//! `applicationset/controllers/applicationset_controller.go`).

use std::sync::Arc;

use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use serde_json::{Value, json};

use super::go_template::{render, render_value};
use super::kinds::{APPLICATION, APPLICATION_SET};
use super::object_fields::{Fields, Named, owner_reference};
use super::{Part, Scene, also_watch, controller, play};
use crate::{Error, Result};

/// The ApplicationSet controller.
pub(super) fn sets(scene: &Arc<Scene>) -> Part {
    let namespace = scene.platform();
    let sets = controller(scene, APPLICATION_SET, namespace);
    let sets = also_watch(sets, scene, (APPLICATION, namespace), APPLICATION_SET, |application| {
        match application.owner(APPLICATION_SET.kind) {
            "" => Vec::new(),
            owner => vec![(application.ns().into(), owner.into())],
        }
    });
    Box::pin(play("applicationset", sets, scene.clone(), APPLICATION_SET, reconcile))
}

async fn reconcile(set: Arc<DynamicObject>, scene: Arc<Scene>) -> Result<Action> {
    if set.deleting() {
        return Ok(Action::await_change());
    }
    let wanted = match applications_of(&set) {
        Ok(wanted) => wanted,
        Err(error) => {
            condition(&scene, &set, Some(&error.to_string())).await?;
            return Ok(Action::await_change());
        }
    };
    let mut existing = scene.list(APPLICATION, set.ns(), "").await?;
    existing.retain(|a| a.owned_by(set.uid()));
    for application in &wanted {
        let name = application.text("/metadata/name");
        match existing.iter().find(|a| a.name() == name) {
            Some(found) if found.deleting() => {}
            Some(found) => align(&scene, found, application).await?,
            None => {
                let mut application = application.clone();
                application["metadata"]["ownerReferences"] = json!([owner_reference(APPLICATION_SET, &set)]);
                scene.create(APPLICATION, set.ns(), application).await?;
            }
        }
    }
    for found in existing.iter().filter(|a| !a.deleting()) {
        if !wanted.iter().any(|a| a.text("/metadata/name") == found.name()) {
            scene.delete(APPLICATION, set.ns(), found.name()).await?;
        }
    }
    condition(&scene, &set, None).await?;
    Ok(Action::await_change())
}

async fn align(scene: &Scene, found: &DynamicObject, wanted: &Value) -> Result<()> {
    let labels = wanted.at("/metadata/labels").as_object();
    let same_labels = labels.into_iter().flatten().all(|(k, v)| v.as_str() == Some(found.label(k)));
    if found.at("/spec") == wanted.at("/spec") && same_labels {
        return Ok(());
    }
    let mut changed = found.clone();
    changed.data["spec"] = wanted.at("/spec").clone();
    let own = changed.metadata.labels.get_or_insert_default();
    for (key, value) in labels.into_iter().flatten() {
        own.insert(key.clone(), value.as_str().unwrap_or_default().into());
    }
    scene.replace(APPLICATION, found.ns(), &changed).await?;
    Ok(())
}

async fn condition(scene: &Scene, set: &DynamicObject, failure: Option<&str>) -> Result<()> {
    let (kind, reason, message) = match failure {
        None => ("ResourcesUpToDate", "ApplicationSetUpToDate", "All applications have been generated successfully"),
        Some(words) => ("ErrorOccurred", "RenderTemplateParamsError", words),
    };
    let now = set.text("/status/conditions/0/type");
    if now == kind && set.text("/status/conditions/0/message") == message {
        return Ok(());
    }
    let status = json!({ "conditions": [{
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": scene.now(),
    }] });
    scene.merge_status(APPLICATION_SET, set.ns(), set.name(), status).await.map(|_| ())
}

/// Every Application that a set asks for.
pub(crate) fn applications_of(set: &DynamicObject) -> Result<Vec<Value>> {
    set.items("/spec/generators")
        .iter()
        .flat_map(|g| g.items("/list/elements"))
        .map(|element| application_of(set, element))
        .collect()
}

/// The Application of one element: the template, with the patch merged over it.
pub(crate) fn application_of(set: &DynamicObject, element: &Value) -> Result<Value> {
    let mut application = render_value(set.at("/spec/template"), element)?;
    let patch = render(set.text("/spec/templatePatch"), element)?;
    if !patch.trim().is_empty() {
        let mut patch: Value = serde_yaml::from_str(&patch)
            .map_err(|e| Error::Template { reason: format!("the patch is no YAML: {e}") })?;
        spell_as_argo(&mut patch);
        merge(&mut application, &patch);
    }
    application["metadata"]["namespace"] = json!(set.ns());
    Ok(application)
}

/// The operator writes `RepoURL`; Go reads field names without regard to case.
fn spell_as_argo(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(url) = fields.shift_remove("RepoURL") {
                fields.insert("repoURL".into(), url);
            }
            fields.values_mut().for_each(spell_as_argo);
        }
        Value::Array(items) => items.iter_mut().for_each(spell_as_argo),
        _ => {}
    }
}

/// JSON merge patch: objects merge, everything else is replaced, null removes.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Value::Object(fields) = target {
        for (key, change) in changes {
            match change {
                Value::Null => {
                    fields.shift_remove(key);
                }
                change => merge(fields.entry(key.clone()).or_insert(Value::Null), change),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn applications_are_those_of_argo_with_the_override_on_and_off() {
        let set: DynamicObject =
            serde_json::from_value(yaml(include_str!("../../tests/data/applicationset.yaml"))).unwrap();
        let made = applications_of(&set).unwrap();
        let on = yaml(include_str!("../../tests/data/application-override-on.yaml"));
        let off = yaml(include_str!("../../tests/data/application-override-off.yaml"));
        for (made, origin) in made.iter().zip([on, off]) {
            assert_eq!(made.at("/spec"), origin.at("/spec"));
            assert_eq!(made.at("/metadata"), origin.at("/metadata"));
        }
    }

    #[test]
    fn a_bad_template_names_what_is_missing() {
        let set: DynamicObject = serde_json::from_value(json!({
            "metadata": { "name": "x", "namespace": "krci" },
            "spec": {
                "generators": [{ "list": { "elements": [{ "stage": "dev" }] } }],
                "template": { "metadata": { "name": "{{ .codebase }}" } },
            },
        }))
        .unwrap();
        let words = applications_of(&set).unwrap_err().to_string();
        assert!(words.contains("codebase"), "{words}");
    }
}
