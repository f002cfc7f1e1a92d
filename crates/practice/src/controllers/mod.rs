//! Small controllers that play the parts of the operators: codebase-operator,
//! cd-pipeline-operator, Argo CD, Tekton, Argo Workflows, Litmus and, where no cluster is
//! behind the API, the workload controllers of Kubernetes itself. Each works against any
//! client, so the practice cluster and the tests against a real API server play the same parts.
//!
//! Every actor is level-triggered: what it does follows from the objects as they are, so it can
//! stop and start again at any moment.

mod application_rendering;
mod application_sets;
mod applications;
mod codebases;
mod delivery;
mod engines;
mod go_template;
mod image_update;
mod kinds;
mod object_fields;
mod pipeline_runs;
mod pod_keeping;
mod rollouts;
mod scene;
mod targets;
mod task_runs;
mod verdicts;
mod workflow_steps;
mod workflows;
mod workload_pods;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::Client;
use kube::api::DynamicObject;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use tokio::task::JoinSet;

use crate::git_remote::GitAccess;
use crate::{Error, Result};

use object_fields::Named;

pub(crate) use kinds::Kind;
pub(crate) use scene::Scene;

/// One part that is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// codebase-operator's GitServer controller: marks servers as connected.
    GitServers,
    /// codebase-operator's Codebase controller: provisions repositories, branches and streams.
    Codebases,
    /// cd-pipeline-operator: CDPipeline and Stage to ApplicationSet, namespaces and streams.
    Delivery,
    /// Argo CD's ApplicationSet controller: list elements to Applications.
    ApplicationSets,
    /// Argo CD's application controller: comparison, sync, health.
    Applications,
    /// Tekton running the platform's deploy and clean pipelines.
    PipelineRuns,
    /// kube-controller-manager and kubelet for Deployments, StatefulSets, ReplicaSets and Pods.
    /// Never start it where a real cluster does this work.
    Rollouts,
    /// Argo Workflows, as far as chaos workflows need it.
    Workflows,
    /// The Litmus chaos-operator with its runner: ChaosEngine to ChaosResult.
    Engines,
}

impl Actor {
    /// Every part that no plain Kubernetes control plane plays.
    pub const PLATFORM: &[Actor] = &[
        Actor::GitServers,
        Actor::Codebases,
        Actor::Delivery,
        Actor::ApplicationSets,
        Actor::Applications,
        Actor::PipelineRuns,
        Actor::Workflows,
        Actor::Engines,
    ];

    /// Every part of a cluster that is nothing but an API and has no KubeRocketCI.
    pub const WITHOUT_PLATFORM: &[Actor] = &[Actor::Applications, Actor::Rollouts, Actor::Workflows, Actor::Engines];

    /// Every part, for a cluster that is nothing but an API.
    pub const ALL: &[Actor] = &[
        Actor::GitServers,
        Actor::Codebases,
        Actor::Delivery,
        Actor::ApplicationSets,
        Actor::Applications,
        Actor::PipelineRuns,
        Actor::Rollouts,
        Actor::Workflows,
        Actor::Engines,
    ];
}

/// How the actors play.
#[derive(Clone)]
pub struct ActorConfig {
    /// The platform namespace (`krci`).
    pub namespace: String,
    /// The namespace whose Workflows and ChaosEngines are played; all of them when empty.
    pub chaos_namespace: String,
    /// The Git server behind the platform; without one repositories are taken for granted and
    /// nothing can be synced.
    pub git: Option<Arc<dyn GitAccess>>,
    /// Time between two steps that a person can see: about 400 ms on screen, 20 ms in tests.
    pub pace: Duration,
    /// How long a deploy waits for sync and health before it fails.
    pub patience: Duration,
    /// Host and space of the image registry that new image streams name.
    pub registry: String,
    /// The clock that every written time comes from.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl ActorConfig {
    /// The practice cluster's settings for a platform namespace.
    pub fn new(namespace: &str, git: Option<Arc<dyn GitAccess>>) -> Self {
        Self {
            namespace: namespace.into(),
            chaos_namespace: String::new(),
            git,
            pace: Duration::from_millis(400),
            patience: Duration::from_secs(300),
            registry: format!("registry.practice.local/{namespace}"),
            now: Arc::new(Timestamp::now),
        }
    }

    /// The same with another pace.
    pub fn paced(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }
}

/// Starts actors on the running tokio runtime.
pub struct Actors;

impl Actors {
    /// Starts the named parts; they play until the handle is dropped.
    pub fn start(client: Client, config: ActorConfig, which: &[Actor]) -> ActorsHandle {
        let scene = Arc::new(Scene { client, config });
        let mut tasks = JoinSet::new();
        for actor in which {
            for part in parts(*actor, &scene) {
                tasks.spawn(part);
            }
        }
        ActorsHandle { _tasks: tasks }
    }
}

/// Keeps the actors playing; they stop when it is dropped.
pub struct ActorsHandle {
    _tasks: JoinSet<()>,
}

type Part = BoxFuture<'static, ()>;

fn parts(actor: Actor, scene: &Arc<Scene>) -> Vec<Part> {
    match actor {
        Actor::GitServers => vec![codebases::git_servers(scene)],
        Actor::Codebases => vec![codebases::codebases(scene)],
        Actor::Delivery => vec![delivery::pipelines(scene), delivery::stages(scene)],
        Actor::ApplicationSets => vec![application_sets::sets(scene)],
        Actor::Applications => vec![applications::applications(scene)],
        Actor::PipelineRuns => vec![pipeline_runs::runs(scene)],
        Actor::Rollouts => rollouts::workloads(scene),
        Actor::Workflows => vec![workflows::workflows(scene)],
        Actor::Engines => vec![engines::engines(scene)],
    }
}

/// A controller of one kind over one namespace (all of them when empty).
fn controller(scene: &Scene, kind: Kind, namespace: &str) -> Controller<DynamicObject> {
    Controller::new_with(scene.api(kind, namespace), watcher::Config::default(), kind.resource())
        .with_config(Config::default().debounce(Duration::from_millis(5)))
}

/// Adds a watch on another kind; `names` says which primary objects an event there concerns,
/// as (namespace, name) pairs.
fn also_watch(
    controller: Controller<DynamicObject>,
    scene: &Scene,
    (kind, namespace): (Kind, &str),
    primary: Kind,
    names: impl Fn(&DynamicObject) -> Vec<(String, String)> + Send + Sync + 'static,
) -> Controller<DynamicObject> {
    let resource = primary.resource();
    controller.watches_with(scene.api(kind, namespace), kind.resource(), watcher::Config::default(), move |object| {
        names(&object)
            .into_iter()
            .map(|(namespace, name)| {
                let reference = ObjectRef::new_with(&name, resource.clone());
                match namespace.as_str() {
                    "" => reference,
                    namespace => reference.within(namespace),
                }
            })
            .collect::<Vec<_>>()
    })
}

/// Runs a controller until its task is dropped. Each pass reads the object afresh, so that it
/// never acts on what its own last pass has changed. A failed pass is logged and tried again.
async fn play<F>(
    part: &'static str,
    controller: Controller<DynamicObject>,
    scene: Arc<Scene>,
    kind: Kind,
    reconcile: impl Fn(Arc<DynamicObject>, Arc<Scene>) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Result<Action>> + Send + 'static,
{
    let reconcile = Arc::new(reconcile);
    let again = scene.config.pace.max(Duration::from_millis(50));
    controller
        .run(
            move |object, scene: Arc<Scene>| {
                let reconcile = reconcile.clone();
                async move {
                    match scene.get(kind, object.ns(), object.name()).await? {
                        Some(object) => reconcile(Arc::new(object), scene).await,
                        None => Ok(Action::await_change()),
                    }
                }
            },
            move |object, error, _| {
                let name = object.metadata.name.as_deref().unwrap_or_default();
                // Losing a race for an object is the normal way to learn that it changed.
                match error {
                    Error::Kube(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                        tracing::trace!(part, name, "will look again");
                    }
                    error => tracing::warn!(part, name, %error, "pass failed"),
                }
                Action::requeue(again)
            },
            scene,
        )
        .for_each(|_| std::future::ready(()))
        .await;
}

/// What the seed shares with the actors, so that what is planted and what is played agree.
pub(crate) mod seeding {
    pub(crate) use super::Kind;
    pub(crate) use super::codebases::{branch_status, path_hash};
    pub(crate) use super::delivery::app_project;
    pub(crate) use super::kinds::*;
    pub(crate) use super::object_fields::owner_reference;
    pub(crate) use super::scene::Scene;

    /// The verbs of the actors, for writing what is there from the start.
    pub(crate) fn scene(client: kube::Client, namespace: &str) -> Scene {
        Scene { client, config: super::ActorConfig::new(namespace, None) }
    }
}
