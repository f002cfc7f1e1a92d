//! An environment with everything that is shown of it.

use crate::objects::{Application, Objects};
use crate::runs::{Run, runs_of};
use crate::tags::{TagList, tags_of};
use crate::{Error, Result};

/// An environment of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The flow.
    pub flow: String,
    /// Its name in the flow.
    pub name: String,
    /// Its place in the flow.
    pub order: i64,
    /// Where it deploys to.
    pub namespace: String,
    /// The cluster it deploys to.
    pub cluster: String,
    /// `Manual`, `Auto` or `Auto-stable`.
    pub trigger_type: String,
    /// The TriggerTemplate of a deploy.
    pub trigger_template: String,
    /// The TriggerTemplate of a clean run.
    pub clean_template: Option<String>,
    /// The operator's status word.
    pub status: String,
    /// What the operator says of a failure.
    pub message: Option<String>,
    /// The flow's applications, in the flow's order.
    pub applications: Vec<ApplicationState>,
    /// Deploy and clean runs, newest first.
    pub runs: Vec<Run>,
    /// The run in progress, if any.
    pub busy: Option<String>,
}

/// An application in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationState {
    /// The Codebase.
    pub name: String,
    /// The deployed tag; none when it was never deployed (upstream writes `NaN`).
    pub version: Option<String>,
    /// The deployed digest.
    pub digest: Option<String>,
    /// The values override.
    pub values_override: OverrideState,
    /// The commit of the values repository that was deployed last, where Argo CD says.
    pub deployed_values: Option<String>,
    /// Argo CD's health.
    pub health: Health,
    /// Argo CD's sync.
    pub sync: Sync,
    /// Tags on offer.
    pub tags: TagList,
    /// Images running.
    pub images: Vec<String>,
    /// Its addresses: http and https ones only.
    pub urls: Vec<String>,
}

/// The values override, live and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverrideState {
    /// The live Application has several sources and so reads the values file.
    pub live: bool,
    /// What the ApplicationSet stores; none where it cannot be read.
    pub stored: Option<bool>,
}

/// Argo CD's health word and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `Healthy`, `Progressing`, `Degraded`, `Suspended`, `Missing` or `Unknown`.
    pub status: String,
    /// Why.
    pub message: Option<String>,
}

/// Argo CD's sync word and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// `Synced`, `OutOfSync` or `Unknown`.
    pub status: String,
    /// Why.
    pub why: Option<String>,
}

/// Puts an environment together.
///
/// # Errors
/// [`Error::Unknown`] when the flow or the environment is not there.
pub fn environment(objects: &Objects, flow: &str, environment: &str) -> Result<Environment> {
    let unknown = |what, name: &str| Error::Unknown { what, name: name.to_owned() };
    let pipeline = objects.pipeline(flow).ok_or_else(|| unknown("deployment flow", flow))?;
    let stage = objects.stage(flow, environment).ok_or_else(|| unknown("environment", environment))?;
    let set = objects.application_sets.iter().flatten().find(|set| set.meta.name == flow);
    let applications = pipeline
        .applications
        .iter()
        .map(|name| {
            let stored = set.and_then(|set| set.element(environment, name)).map(|element| element.custom_values);
            let live = objects.application(flow, environment, name);
            state(name, live, stored, tags_of(objects, pipeline, stage, name))
        })
        .collect();
    let runs = runs_of(objects, flow, environment);
    Ok(Environment {
        flow: flow.to_owned(),
        name: stage.name.clone(),
        order: stage.order,
        namespace: stage.namespace.clone(),
        cluster: stage.cluster.clone(),
        trigger_type: stage.trigger_type.clone(),
        trigger_template: stage.trigger_template.clone(),
        clean_template: stage.clean_template.clone(),
        status: stage.status.status.clone().unwrap_or_else(|| "Unknown".to_owned()),
        message: stage.status.message.clone(),
        applications,
        busy: runs.iter().find(|run| run.status.is_active()).map(|run| run.name.clone()),
        runs,
    })
}

fn state(name: &str, live: Option<&Application>, stored: Option<bool>, tags: TagList) -> ApplicationState {
    let Some(live) = live else {
        return ApplicationState {
            name: name.to_owned(),
            version: None,
            digest: None,
            values_override: OverrideState { live: false, stored },
            deployed_values: None,
            health: Health {
                status: "Missing".to_owned(),
                message: Some("Argo CD has no Application for it yet.".to_owned()),
            },
            sync: Sync { status: "Unknown".to_owned(), why: None },
            tags,
            images: Vec::new(),
            urls: Vec::new(),
        };
    };
    let version = live.parameter("image.tag").filter(|tag| !tag.is_empty() && *tag != "NaN").map(str::to_owned);
    let digest = live
        .parameter("image.digest")
        .filter(|digest| !digest.is_empty())
        .map(str::to_owned)
        .or_else(|| running_digest(live, version.as_deref()));
    let (health, sync) = (health(live), sync(live, version.is_some()));
    ApplicationState {
        name: name.to_owned(),
        version,
        digest,
        values_override: OverrideState { live: live.multi_source, stored },
        deployed_values: live.deployed_values_revision().map(str::to_owned),
        health,
        sync,
        tags,
        images: live.images.clone(),
        urls: live
            .urls
            .iter()
            .filter(|url| url.starts_with("https://") || url.starts_with("http://"))
            .cloned()
            .collect(),
    }
}

/// The digest of the running image with the deployed tag.
fn running_digest(live: &Application, version: Option<&str>) -> Option<String> {
    let version = version?;
    live.images.iter().find_map(|image| {
        let (name, digest) = image.split_once('@')?;
        name.ends_with(&format!(":{version}")).then(|| digest.to_owned())
    })
}

fn health(live: &Application) -> Health {
    let status = live.health.clone().unwrap_or_else(|| "Unknown".to_owned());
    let well = matches!(status.as_str(), "Healthy" | "Progressing");
    let message = live.health_message.clone().or_else(|| if well { None } else { failed_operation(live) });
    Health { status, message }
}

fn sync(live: &Application, deployed: bool) -> Sync {
    let status = live.sync.clone().unwrap_or_else(|| "Unknown".to_owned());
    let errors: Vec<&str> = live
        .conditions
        .iter()
        .filter(|one| one.kind.ends_with("Error") || one.kind.ends_with("Warning"))
        .map(|one| one.message.as_str())
        .filter(|message| !message.is_empty())
        .collect();
    let why = if !deployed && status != "Synced" {
        // Before the first deploy the chart is looked for at the tag `NaN`, so Argo CD's own words mislead.
        Some("It was never deployed here.".to_owned())
    } else if !errors.is_empty() {
        Some(errors.join("\n"))
    } else if status == "Synced" {
        None
    } else {
        failed_operation(live)
    };
    Sync { status, why }
}

fn failed_operation(live: &Application) -> Option<String> {
    let operation = live.operation.as_ref().filter(|one| matches!(one.phase.as_str(), "Failed" | "Error"))?;
    operation.message.clone()
}
