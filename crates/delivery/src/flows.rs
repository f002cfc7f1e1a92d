//! Deployment flows and their environments.

use crate::objects::Objects;

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
    /// The operator's status word.
    pub status: String,
}

/// All flows by name, each with its environments in order.
pub fn flows(objects: &Objects) -> Vec<Flow> {
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
                })
                .collect(),
        })
        .collect();
    flows.sort_by(|a, b| a.name.cmp(&b.name));
    flows
}
