//! An environment with everything that is shown of it.

use std::collections::HashMap;

use crate::deploy::why_no_sync;
use crate::objects::{Application, ImageStream, Objects, Operation};
use crate::runs::{Run, runs_of};
use crate::tags::{StreamIndex, TagList, tags_of};
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
    /// When the deployed image was built, RFC 3339, by the application's image streams.
    pub image_created: Option<String>,
    /// Since when that image is deployed, RFC 3339, as far as Argo CD remembers.
    pub image_since: Option<String>,
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
    /// Argo CD's last operation, and whether another was asked for and is not taken up yet.
    pub operation: (Option<Operation>, bool),
    /// What is out of the ordinary, each with its explanation.
    pub notes: Vec<Note>,
    /// Why its values cannot be synced without a deploy now; none when they can.
    pub why_no_sync: Option<String>,
}

/// Something out of the ordinary with an application in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// `neverDeployed`, `staleDigest` or `overridePending`.
    pub code: &'static str,
    /// What it means and how to mend it.
    pub message: String,
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
    if let Some(convention) = &objects.convention {
        return crate::argo_cd::environment(objects, convention, flow, environment);
    }
    let unknown = |what, name: &str| Error::Unknown { what, name: name.to_owned() };
    let pipeline = objects.pipeline(flow).ok_or_else(|| unknown("deployment flow", flow))?;
    let stage = objects.stage(flow, environment).ok_or_else(|| unknown("environment", environment))?;
    let set = objects.application_sets.iter().flatten().find(|set| set.meta.name == flow);
    let stages = objects.stages_of(flow);
    let index = ApplicationIndex::of(objects, flow);
    let streams = StreamIndex::of(objects, pipeline);
    // Of several elements the first counts.
    let here = set.into_iter().flat_map(|set| set.elements.iter().rev()).filter(|one| one.stage == environment);
    let stored: HashMap<&str, bool> = here.map(|one| (one.codebase.as_str(), one.custom_values)).collect();
    let applications = pipeline
        .applications
        .iter()
        .map(|name| {
            let deployed: Vec<(&str, &str)> = stages
                .iter()
                .filter_map(|one| Some((one.name.as_str(), index.get(&one.name, name)?.version()?)))
                .collect();
            let tags = tags_of(&streams, &stages, stage, name, &deployed);
            let live = index.get(environment, name);
            let own = streams.of_codebase(name);
            let mut state = state(name, live, stored.get(name.as_str()).copied(), tags);
            state.notes = notes(own, &state, live);
            state.image_created = image_created(own, &state);
            state.why_no_sync = why_no_sync(name, live);
            state
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

pub(crate) fn state(name: &str, live: Option<&Application>, stored: Option<bool>, tags: TagList) -> ApplicationState {
    let Some(live) = live else {
        return ApplicationState {
            name: name.to_owned(),
            version: None,
            digest: None,
            image_created: None,
            image_since: None,
            values_override: OverrideState { live: false, stored },
            deployed_values: None,
            health: missing(),
            sync: unknown(),
            tags,
            images: Vec::new(),
            urls: Vec::new(),
            operation: (None, false),
            notes: Vec::new(),
            why_no_sync: None,
        };
    };
    let version = live.version().map(str::to_owned);
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
        image_created: None,
        image_since: live.image_since().map(str::to_owned),
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
        operation: (live.operation.clone(), live.asked),
        notes: Vec::new(),
        why_no_sync: None,
    }
}

/// The Applications of a flow by environment and application, so that a flow of many is looked through once.
pub(crate) struct ApplicationIndex<'a> {
    labelled: HashMap<(&'a str, &'a str), &'a Application>,
    named: HashMap<&'a str, &'a Application>,
    flow: &'a str,
}

impl<'a> ApplicationIndex<'a> {
    pub(crate) fn of(objects: &'a Objects, flow: &'a str) -> Self {
        let (mut labelled, mut named) = (HashMap::new(), HashMap::new());
        for one in &objects.applications {
            let label = |name: &str| one.meta.label(&format!("app.edp.epam.com/{name}"));
            match (label("pipeline"), label("stage"), label("app-name")) {
                (Some(of), Some(stage), Some(name)) if of == flow => {
                    labelled.entry((stage, name)).or_insert(one);
                }
                _ => {
                    named.entry(one.meta.name.as_str()).or_insert(one);
                }
            }
        }
        Self { labelled, named, flow }
    }

    pub(crate) fn get(&self, environment: &str, application: &str) -> Option<&'a Application> {
        let by_name = || self.named.get(format!("{}-{environment}-{application}", self.flow).as_str());
        self.labelled.get(&(environment, application)).or_else(by_name).copied()
    }
}

fn notes(streams: &[&ImageStream], state: &ApplicationState, live: Option<&Application>) -> Vec<Note> {
    let mut notes = Vec::new();
    let Some(live) = live else { return notes };
    let name = &state.name;
    if state.version.is_none() {
        notes.push(Note {
            code: "neverDeployed",
            message: format!(
                "{name} was never deployed here. Until it is, the platform keeps the tag `NaN` for it, so Argo CD looks \
                 for the chart at a revision such as `build/NaN`, which does not exist. The first deploy ends that."
            ),
        });
    }
    if let (Some(version), Some(digest)) =
        (&state.version, live.parameter("image.digest").filter(|one| !one.is_empty()))
    {
        notes.extend(stale_digest(streams, version, digest));
    }
    if let Some(stored) = state.values_override.stored.filter(|stored| *stored != state.values_override.live)
        && state.version.is_some()
    {
        let message = match stored {
            true => "The override is stored as on, and the running Application does not read the file yet.",
            false => "The override is stored as off, and the running Application still reads the file.",
        };
        notes.push(Note { code: "overridePending", message: message.to_owned() });
    }
    notes
}

/// A deploy that carried no digest kept the one before (edp-tekton, deploy-applicationset-cli), so that the old image
/// runs under the new tag.
fn stale_digest(streams: &[&ImageStream], version: &str, digest: &str) -> Option<Note> {
    let mut tags = streams.iter().flat_map(|stream| &stream.tags);
    let own = tags.clone().filter(|tag| tag.name == version).find_map(|tag| tag.digest.as_deref());
    if own == Some(digest) {
        return None;
    }
    let other = tags.find(|tag| tag.digest.as_deref() == Some(digest) && tag.name != version);
    let what = match (other, own) {
        (Some(other), _) => format!("the digest is the one of {}", other.name),
        (None, Some(_)) => "the digest is not the one of its image stream".to_owned(),
        (None, None) => return None,
    };
    Some(Note {
        code: "staleDigest",
        message: format!(
            "The tag is {version}, but {what}, and the digest decides which image runs. A deploy that carries no digest \
             keeps the one before. Deploy {version} again from here: the digest is always sent, empty when it is unknown."
        ),
    })
}

/// When the deployed image was built, by the application's streams. A tag may be built again, so the digest decides where both sides know it.
fn image_created(streams: &[&ImageStream], state: &ApplicationState) -> Option<String> {
    let version = state.version.as_deref()?;
    let tags = || streams.iter().flat_map(|stream| &stream.tags).filter(|tag| tag.created.is_some());
    let found = match &state.digest {
        Some(digest) => tags()
            .find(|tag| tag.digest.as_deref() == Some(digest))
            .or_else(|| tags().find(|tag| tag.name == version && tag.digest.is_none())),
        None => tags().filter(|tag| tag.name == version).max_by(|a, b| a.created.cmp(&b.created)),
    };
    found?.created.clone()
}

/// The digest of the running image with the deployed tag.
fn running_digest(live: &Application, version: Option<&str>) -> Option<String> {
    let version = version?;
    live.images.iter().find_map(|image| {
        let (name, digest) = image.split_once('@')?;
        name.ends_with(&format!(":{version}")).then(|| digest.to_owned())
    })
}

/// The health of what Argo CD does not know.
pub(crate) fn missing() -> Health {
    Health { status: "Missing".to_owned(), message: Some("Argo CD has no Application for it yet.".to_owned()) }
}

/// The sync of what Argo CD does not know.
pub(crate) fn unknown() -> Sync {
    Sync { status: "Unknown".to_owned(), why: None }
}

pub(crate) fn health(live: &Application) -> Health {
    let status = live.health.clone().unwrap_or_else(|| "Unknown".to_owned());
    let well = matches!(status.as_str(), "Healthy" | "Progressing");
    let message = live.health_message.clone().or_else(|| if well { None } else { failed_operation(live) });
    Health { status, message }
}

pub(crate) fn sync(live: &Application, deployed: bool) -> Sync {
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
