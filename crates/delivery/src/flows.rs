//! Deployment flows and their environments.

use std::collections::{HashMap, HashSet};

use crate::environment::{health, sync};
use crate::objects::{Application, Objects};
use crate::runs::{STAGE_LABEL, TYPE_LABEL, run_view};

/// A deployment flow (`CDPipeline`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The operator's status word, `Unknown` before it wrote one.
    pub status: String,
    /// What the operator says of a failure.
    pub message: Option<String>,
    /// Its applications, in order.
    pub applications: Vec<String>,
    /// Its environments, in order.
    pub environments: Vec<EnvironmentSummary>,
}

/// An environment (`Stage`) of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentSummary {
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
    /// The operator's status word; where Argo CD alone deploys, the worst health.
    pub status: String,
    /// The applications in it, in order.
    pub applications: Vec<String>,
}

/// All flows by name, each with its environments in order.
pub fn flows(objects: &Objects) -> Vec<Flow> {
    if let Some(convention) = &objects.convention {
        return crate::argo_cd::flows(objects, convention);
    }
    let word = |status: &Option<String>| status.clone().unwrap_or_else(|| "Unknown".to_owned());
    let mut flows: Vec<Flow> = objects
        .pipelines
        .iter()
        .map(|pipeline| Flow {
            name: pipeline.meta.name.clone(),
            description: pipeline.description.clone(),
            status: word(&pipeline.status.status),
            message: pipeline.status.message.clone(),
            applications: pipeline.applications.clone(),
            environments: objects
                .stages_of(&pipeline.meta.name)
                .into_iter()
                .map(|stage| EnvironmentSummary {
                    name: stage.name.clone(),
                    order: stage.order,
                    namespace: stage.namespace.clone(),
                    cluster: stage.cluster.clone(),
                    trigger_type: stage.trigger_type.clone(),
                    status: word(&stage.status.status),
                    applications: pipeline.applications.clone(),
                })
                .collect(),
        })
        .collect();
    flows.sort_by(|a, b| a.name.cmp(&b.name));
    flows
}

/// One application in one environment, as a list over all flows shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The flow.
    pub flow: String,
    /// The environment.
    pub environment: String,
    /// The environment's place in the flow.
    pub order: i64,
    /// Where it deploys to.
    pub namespace: String,
    /// The application.
    pub application: String,
    /// The deployed tag; none when it was never deployed.
    pub version: Option<String>,
    /// The running Application reads the values file.
    pub values_override: bool,
    /// The commit of the values repository that is deployed.
    pub deployed_values: Option<String>,
    /// The branch or tag that the values are read at, where the platform does not decide it.
    pub values_revision: Option<String>,
    /// Argo CD's health.
    pub health: String,
    /// Why the health is as it is.
    pub health_why: Option<String>,
    /// Argo CD's sync.
    pub sync: String,
    /// Why the sync is as it is.
    pub sync_why: Option<String>,
    /// A deploy or clean run of the environment is in progress.
    pub busy: bool,
}

/// Every application in every environment: flows by name, environments and applications in their order. Each object is
/// looked at once, however many there are.
pub fn releases(objects: &Objects) -> Vec<Release> {
    if let Some(convention) = &objects.convention {
        return crate::argo_cd::releases(objects, convention);
    }
    let mut live: HashMap<String, &Application> = HashMap::with_capacity(objects.applications.len());
    for one in &objects.applications {
        let label = |name: &str| one.meta.label(&format!("app.edp.epam.com/{name}"));
        let name = match (label("pipeline"), label("stage"), label("app-name")) {
            (Some(flow), Some(stage), Some(name)) => format!("{flow}-{stage}-{name}"),
            _ => one.meta.name.clone(),
        };
        live.entry(name).or_insert(one);
    }
    let busy: HashSet<&str> = objects
        .runs
        .iter()
        .filter(|run| {
            matches!(run.meta.label(TYPE_LABEL), Some("deploy" | "clean")) && run_view(run).status.is_active()
        })
        .filter_map(|run| run.meta.label(STAGE_LABEL))
        .collect();
    let mut stages: HashMap<&str, Vec<&crate::objects::Stage>> = HashMap::new();
    for stage in &objects.stages {
        stages.entry(stage.pipeline.as_str()).or_default().push(stage);
    }
    let mut pipelines: Vec<_> = objects.pipelines.iter().collect();
    pipelines.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
    let mut out = Vec::new();
    for pipeline in pipelines {
        let flow = &pipeline.meta.name;
        let mut own = stages.remove(flow.as_str()).unwrap_or_default();
        own.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
        for stage in own {
            let busy = busy.contains(format!("{flow}-{}", stage.name).as_str());
            for application in &pipeline.applications {
                let found = live.get(&format!("{flow}-{}-{application}", stage.name)).copied();
                let version = found.and_then(Application::version).map(str::to_owned);
                let (health, sync) = match found {
                    Some(found) => (health(found), sync(found, version.is_some())),
                    None => (crate::environment::missing(), crate::environment::unknown()),
                };
                out.push(Release {
                    flow: flow.clone(),
                    environment: stage.name.clone(),
                    order: stage.order,
                    namespace: stage.namespace.clone(),
                    application: application.clone(),
                    version,
                    values_override: found.is_some_and(|found| found.multi_source),
                    deployed_values: found.and_then(Application::deployed_values_revision).map(str::to_owned),
                    values_revision: None,
                    health: health.status,
                    health_why: health.message,
                    sync: sync.status,
                    sync_why: sync.why,
                    busy,
                });
            }
        }
    }
    out
}
