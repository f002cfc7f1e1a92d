//! What taking a deployment away means, in words, before it is done.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::environment::environment;
use crate::objects::Objects;
use crate::{Error, Result};

/// What taking something away means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// What goes.
    pub goes: Vec<String>,
    /// What stays, and what comes back.
    pub stays: Vec<String>,
    /// Why it cannot be done now.
    pub blocked: Option<String>,
}

impl Ending {
    /// What was shown before it, as a digest: the words, and of a clean run the run itself.
    pub fn shown_digest(&self, run: Option<&Value>) -> String {
        let shown = serde_json::json!([self.goes, self.stays, run]).to_string();
        Sha256::digest(shown.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What a clean run of an environment means.
///
/// # Errors
/// An unknown flow or environment.
pub fn clean_means(objects: &Objects, flow: &str, environment_name: &str) -> Result<Ending> {
    let found = environment(objects, flow, environment_name)?;
    let names: Vec<&str> = found.applications.iter().map(|app| app.name.as_str()).collect();
    let place = format!("{flow}/{environment_name}");
    let blocked = match (&found.clean_template, &found.busy, names.is_empty()) {
        (None, _, _) => {
            Some("This environment names no clean template (`spec.cleanTemplate` of its Stage).".to_owned())
        }
        (_, Some(run), _) => Some(format!("{run} is still running; wait for it to end, or cancel it.")),
        (_, _, true) => Some("The flow has no applications.".to_owned()),
        _ => None,
    };
    let deployed: Vec<String> =
        found.applications.iter().filter_map(|app| Some(format!("{} {}", app.name, app.version.as_deref()?))).collect();
    let running = if deployed.is_empty() { "nothing that was deployed".to_owned() } else { deployed.join(", ") };
    Ok(Ending {
        goes: vec![
            format!("The Argo CD Applications of {}.", names.join(", ")),
            format!(
                "With them everything they made in the namespace {}, running pods and stored data that belongs to the \
                 releases included: {running}.",
                found.namespace
            ),
        ],
        stays: vec![
            format!("The values files under {place}/ stay in Git as they are."),
            "The values override stays as it is stored: the next deploy starts from it.".to_owned(),
            "The environment, its namespace and its verified images stay.".to_owned(),
            "Argo CD makes the Applications anew after a moment: they show the old version and are not synced. Nothing \
             runs until the next deploy."
                .to_owned(),
        ],
        blocked,
    })
}

/// What deleting one application's deployment means.
///
/// # Errors
/// An unknown flow, environment or application.
pub fn deletion_means(objects: &Objects, flow: &str, environment_name: &str, application: &str) -> Result<Ending> {
    let found = environment(objects, flow, environment_name)?;
    let app = found
        .applications
        .iter()
        .find(|app| app.name == application)
        .ok_or_else(|| Error::Unknown { what: "application", name: application.to_owned() })?;
    let live = objects.application(flow, environment_name, application);
    let blocked = match (live, &found.busy) {
        (None, _) => Some(format!("Argo CD has no Application for {application} here, so there is nothing to delete.")),
        (Some(live), _) if live.meta.deleting => Some(format!("{application} is being deleted already.")),
        (_, Some(run)) => Some(format!("{run} is still running; wait for it to end, or cancel it.")),
        _ => None,
    };
    let name = live.map_or_else(|| format!("{flow}-{environment_name}-{application}"), |live| live.meta.name.clone());
    let version = app.version.as_deref().map_or_else(String::new, |version| format!(" ({version})"));
    let others = found.applications.len().saturating_sub(1);
    Ok(Ending {
        goes: vec![
            format!("The Argo CD Application {name}."),
            format!(
                "With it everything it made in the namespace {}{version}, running pods and stored data that belongs to \
                 the release included.",
                found.namespace
            ),
        ],
        stays: vec![
            format!("What is in Git stays: {flow}/{environment_name}/{application}-values.yaml is not touched."),
            "The values override stays as it is stored: the next deploy starts from it.".to_owned(),
            format!("The other applications of {flow}/{environment_name} ({others}) are not touched."),
            format!(
                "Argo CD makes {name} anew after a moment: it shows the old version and is not synced. Nothing of it runs \
                 until the next deploy of {flow}/{environment_name}, which brings it back."
            ),
        ],
        blocked,
    })
}
