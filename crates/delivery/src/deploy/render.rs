//! The PipelineRun of a deploy or a clean run, as the portal makes it from a TriggerTemplate
//! (createDeployPipelineRunDraft).

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::plan::{Plan, check_names};
use crate::objects::{Stage, TriggerTemplate};
use crate::{Error, Result};

/// `<kind>-<flow>-<environment>-<suffix>`, cut in the middle to the 63 characters of a label.
pub fn run_name(kind: &str, flow: &str, environment: &str, suffix: &str) -> String {
    let mut base = format!("{kind}-{flow}-{environment}");
    base.truncate(base.floor_char_boundary(63usize.saturating_sub(suffix.len() + 1)));
    format!("{}-{suffix}", base.trim_end_matches('-'))
}

/// The PipelineRun that deploys a plan. `suffix` makes its name unique: four random letters and digits.
///
/// # Errors
/// [`Error::Template`] when the template does not hold a PipelineRun, or names parameters nobody gives.
pub fn render(template: &TriggerTemplate, plan: &Plan, namespace: &str, suffix: &str) -> Result<Value> {
    let given = [
        ("APPLICATIONS_PAYLOAD", plan.payload()),
        ("CDSTAGE", plan.environment.clone()),
        ("CDPIPELINE", plan.flow.clone()),
        ("KUBECONFIG_SECRET_NAME", plan.cluster.clone()),
    ];
    filled(template, "deploy", &plan.flow, &plan.environment, namespace, suffix, &given)
}

/// What stands for the four letters of a run that is only shown.
pub const SHOWN: &str = "xxxx";

/// What was shown before a deploy, as a digest: the run of a plan, and what it changes in words.
///
/// # Errors
/// As [`render`].
pub fn shown_digest(template: &TriggerTemplate, plan: &Plan, namespace: &str, changes: &[String]) -> Result<String> {
    let shown = serde_json::json!([render(template, plan, namespace, SHOWN)?, changes]).to_string();
    Ok(Sha256::digest(shown.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The PipelineRun that removes what is deployed in an environment.
///
/// # Errors
/// As [`render`]; names that no object can have.
pub fn render_clean(template: &TriggerTemplate, stage: &Stage, namespace: &str, suffix: &str) -> Result<Value> {
    check_names(&stage.pipeline, &stage.name, &stage.cluster)?;
    let given = [
        ("CDSTAGE", stage.name.clone()),
        ("CDPIPELINE", stage.pipeline.clone()),
        ("KUBECONFIG_SECRET_NAME", stage.cluster.clone()),
    ];
    filled(template, "clean", &stage.pipeline, &stage.name, namespace, suffix, &given)
}

fn filled(
    template: &TriggerTemplate,
    kind: &str,
    flow: &str,
    environment: &str,
    namespace: &str,
    suffix: &str,
    given: &[(&str, String)],
) -> Result<Value> {
    let wrong = |why: &str| Error::Template { name: template.meta.name.clone(), why: why.to_owned() };
    let mut run = template.resources.first().cloned().ok_or_else(|| wrong("it makes nothing"))?;
    if run["kind"] != "PipelineRun"
        || !run["apiVersion"].as_str().is_some_and(|version| version.starts_with("tekton.dev/"))
    {
        return Err(wrong("the first object it makes is not a Tekton PipelineRun"));
    }
    let mut values: Vec<(String, String)> =
        given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    for (name, default) in &template.parameters {
        if let Some(default) = default
            && values.iter().all(|(own, _)| own != name)
        {
            values.push((name.clone(), default.clone()));
        }
    }
    // The given parameters are set by name, whatever the template has there; then references elsewhere are filled in.
    let params = run["spec"]["params"].take();
    let mut params = params.as_array().cloned().unwrap_or_default();
    for (name, value) in given {
        match params.iter_mut().find(|one| one["name"] == *name) {
            Some(one) => one["value"] = Value::String(value.clone()),
            None => params.push(serde_json::json!({"name": name, "value": value})),
        }
    }
    let own: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
    for param in params.iter_mut().filter(|one| !own.iter().any(|name| one["name"] == **name)) {
        substitute(param, &values);
    }
    let labels = run["metadata"]["labels"].take();
    let annotations = run["metadata"]["annotations"].take();
    substitute(&mut run, &values);
    if let Some(spec) = run["spec"].as_object_mut() {
        spec.insert("params".to_owned(), Value::Array(params));
    }
    run["metadata"] = metadata(kind, flow, environment, namespace, suffix, labels, annotations, &values);
    let mut left = false;
    look(&run["spec"], &own, &mut left);
    if left {
        return Err(wrong("it names a parameter that a deploy does not give"));
    }
    Ok(run)
}

#[allow(clippy::too_many_arguments)]
fn metadata(
    kind: &str,
    flow: &str,
    environment: &str,
    namespace: &str,
    suffix: &str,
    mut labels: Value,
    mut annotations: Value,
    values: &[(String, String)],
) -> Value {
    substitute(&mut labels, values);
    substitute(&mut annotations, values);
    let stage = format!("{flow}-{environment}");
    let mut all = Map::new();
    for (key, value) in [
        ("app.edp.epam.com/cdpipeline", flow),
        ("app.edp.epam.com/cdstage", &stage),
        ("app.edp.epam.com/stage", &stage),
        ("app.edp.epam.com/pipelinetype", kind),
    ] {
        all.insert(key.to_owned(), Value::String(value.to_owned()));
    }
    for (key, value) in labels.as_object().into_iter().flatten() {
        all.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let mut out = Map::new();
    out.insert("name".to_owned(), Value::String(run_name(kind, flow, environment, suffix)));
    out.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
    if annotations.as_object().is_some_and(|map| !map.is_empty()) {
        out.insert("annotations".to_owned(), annotations);
    }
    out.insert("labels".to_owned(), Value::Object(all));
    Value::Object(out)
}

/// Fills `$(tt.params.NAME)` in every text.
fn substitute(value: &mut Value, values: &[(String, String)]) {
    match value {
        Value::String(text) if text.contains("$(tt.params.") => {
            for (name, filled) in values {
                *text = text.replace(&format!("$(tt.params.{name})"), filled);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, values)),
        Value::Object(map) => map.values_mut().for_each(|item| substitute(item, values)),
        _ => {}
    }
}

/// Looks for a reference that stayed unfilled, outside the values given by us.
fn look(value: &Value, own: &[&str], left: &mut bool) {
    match value {
        Value::String(text) => *left |= text.contains("$(tt.params."),
        Value::Array(items) => {
            for item in items.iter().filter(|item| !own.iter().any(|name| item["name"] == **name)) {
                look(item, own, left);
            }
        }
        Value::Object(map) => map.values().for_each(|item| look(item, own, left)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_a_label() {
        assert_eq!(run_name("deploy", "mypipe", "dev", "ab12"), "deploy-mypipe-dev-ab12");
        let long = run_name("deploy", &"p".repeat(60), "dev", "ab12");
        assert_eq!(long.len(), 63);
        assert!(long.ends_with("-ab12"));
        assert_eq!(
            run_name("deploy", &format!("{}-x", "p".repeat(50)), "dev", "ab12"),
            format!("deploy-{}-ab12", "p".repeat(50))
        );
        let wide = run_name("deploy", &"é".repeat(40), "dev", "ab12");
        assert!(wide.len() <= 63 && wide.ends_with("é-ab12"), "{wide}");
    }
}
