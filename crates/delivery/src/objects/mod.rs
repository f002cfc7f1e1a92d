//! Lenient readers of the objects a platform holds.
//!
//! Operators of other versions, hand edits and nulls are facts of life: a field that is missing or of another type
//! becomes a problem noted on its object, never an error, so that one broken field cannot take a page away.

mod argo;
mod codebase;
mod flow;
mod project;
mod reader;
mod task_run;
mod tekton;

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::api::DynamicObject;
use pilothouse_cluster::{Kind, kinds};

pub use argo::{Application, ApplicationSet, Automated, Condition, Element, Operation, PastSync, SourceRef};
pub use codebase::{Codebase, CodebaseStatus, GitServer, PAUSED, PROTECTED};
pub use flow::{CdPipeline, ImageStream, ImageTag, ObjectStatus, Stage};
pub use project::{AppProject, ProjectDestination};
pub use task_run::{Step, TaskRun};
pub use tekton::{PipelineRun, TriggerTemplate};

/// The part of an object's metadata that is used here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// The object's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its unique id.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// When it was created, RFC 3339.
    pub created: Option<String>,
    /// Deletion was asked for.
    pub deleting: bool,
    /// What still holds a deleted object.
    pub finalizers: Vec<String>,
    /// The version of the object that was read.
    pub resource_version: String,
}

impl Meta {
    fn read(object: &DynamicObject) -> Self {
        let meta = &object.metadata;
        Self {
            name: meta.name.clone().unwrap_or_default(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            labels: meta.labels.clone().unwrap_or_default(),
            annotations: meta.annotations.clone().unwrap_or_default(),
            created: meta.creation_timestamp.as_ref().map(|time| time.0.to_string()),
            deleting: meta.deletion_timestamp.is_some(),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
        }
    }

    /// An annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

/// Everything of one platform that delivery looks at. `None` where a kind cannot be read: absent, or forbidden.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// Codebases: applications, libraries and the GitOps repository.
    pub codebases: Vec<Codebase>,
    /// Git servers.
    pub git_servers: Vec<GitServer>,
    /// Deployment flows.
    pub pipelines: Vec<CdPipeline>,
    /// Environments of the flows.
    pub stages: Vec<Stage>,
    /// Image streams.
    pub streams: Vec<ImageStream>,
    /// Argo CD Applications.
    pub applications: Vec<Application>,
    /// Argo CD ApplicationSets; developers usually may not read them.
    pub application_sets: Option<Vec<ApplicationSet>>,
    /// Names of Argo CD AppProjects.
    pub projects: Option<Vec<String>>,
    /// Tekton PipelineRuns.
    pub runs: Vec<PipelineRun>,
    /// Tekton TriggerTemplates.
    pub templates: Option<Vec<TriggerTemplate>>,
    /// Where the Applications stand in Git, on a cluster where Argo CD alone deploys; none on a platform.
    pub convention: Option<crate::argo_cd::Convention>,
}

impl Objects {
    /// Reads the objects of `namespace` from a source of lists, such as a live index. The source answers `None` for a
    /// kind it cannot read.
    pub fn read(namespace: &str, list: impl Fn(&Kind) -> Option<Vec<Arc<DynamicObject>>>) -> Self {
        fn each<T>(
            objects: Option<Vec<Arc<DynamicObject>>>,
            namespace: &str,
            read: fn(&DynamicObject) -> T,
        ) -> Option<Vec<T>> {
            let here =
                |object: &&Arc<DynamicObject>| object.metadata.namespace.as_deref().is_none_or(|own| own == namespace);
            objects.map(|objects| objects.iter().filter(here).map(|object| read(object)).collect())
        }
        Self {
            codebases: each(list(&kinds::CODEBASE), namespace, Codebase::read).unwrap_or_default(),
            git_servers: each(list(&kinds::GIT_SERVER), namespace, GitServer::read).unwrap_or_default(),
            pipelines: each(list(&kinds::CD_PIPELINE), namespace, CdPipeline::read).unwrap_or_default(),
            stages: each(list(&kinds::STAGE), namespace, Stage::read).unwrap_or_default(),
            streams: each(list(&kinds::CODEBASE_IMAGE_STREAM), namespace, ImageStream::read).unwrap_or_default(),
            applications: each(list(&kinds::APPLICATION), namespace, Application::read).unwrap_or_default(),
            application_sets: each(list(&kinds::APPLICATION_SET), namespace, ApplicationSet::read),
            projects: each(list(&kinds::APP_PROJECT), namespace, |object| {
                object.metadata.name.clone().unwrap_or_default()
            }),
            runs: each(list(&kinds::PIPELINE_RUN), namespace, PipelineRun::read).unwrap_or_default(),
            templates: each(list(&kinds::TRIGGER_TEMPLATE), namespace, TriggerTemplate::read),
            convention: None,
        }
    }

    /// Reads a cluster where Argo CD alone deploys: flows, environments and applications follow from the Applications
    /// that read values from one of `addresses`, those of the GitOps repository.
    pub fn by_convention(applications: &[Arc<DynamicObject>], addresses: &[String]) -> Self {
        let applications: Vec<Application> = applications.iter().map(|one| Application::read(one)).collect();
        let convention = crate::argo_cd::Convention::of(&applications, addresses);
        Self { applications, convention: Some(convention), ..Self::default() }
    }

    /// The environments of a flow, in their order.
    pub fn stages_of(&self, flow: &str) -> Vec<&Stage> {
        let mut stages: Vec<&Stage> = self.stages.iter().filter(|stage| stage.pipeline == flow).collect();
        stages.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
        stages
    }

    /// A flow by name.
    pub fn pipeline(&self, flow: &str) -> Option<&CdPipeline> {
        self.pipelines.iter().find(|pipeline| pipeline.meta.name == flow)
    }

    /// An environment by its name in the flow (`dev`, not `mypipe-dev`).
    pub fn stage(&self, flow: &str, environment: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.pipeline == flow && stage.name == environment)
    }

    /// The Application of an application in an environment.
    pub fn application(&self, flow: &str, environment: &str, application: &str) -> Option<&Application> {
        if let Some(convention) = &self.convention {
            return self.applications.get(convention.get(flow, environment, application)?.at);
        }
        let name = format!("{flow}-{environment}-{application}");
        let labelled = |one: &&Application| {
            one.meta.label("app.edp.epam.com/pipeline") == Some(flow)
                && one.meta.label("app.edp.epam.com/stage") == Some(environment)
                && one.meta.label("app.edp.epam.com/app-name") == Some(application)
        };
        self.applications.iter().find(labelled).or_else(|| self.applications.iter().find(|one| one.meta.name == name))
    }

    /// Problems with fields of any object, each with the object's name in front.
    pub fn problems(&self) -> Vec<crate::FieldProblem> {
        let mut all = Vec::new();
        let mut add = |kind: &str, meta: &Meta, problems: &[crate::FieldProblem]| {
            all.extend(problems.iter().map(|one| crate::FieldProblem {
                field: format!("{kind} {}: {}", meta.name, one.field),
                message: one.message.clone(),
            }));
        };
        self.codebases.iter().for_each(|one| add("Codebase", &one.meta, &one.problems));
        self.git_servers.iter().for_each(|one| add("GitServer", &one.meta, &one.problems));
        self.pipelines.iter().for_each(|one| add("CDPipeline", &one.meta, &one.problems));
        self.stages.iter().for_each(|one| add("Stage", &one.meta, &one.problems));
        self.streams.iter().for_each(|one| add("CodebaseImageStream", &one.meta, &one.problems));
        self.applications.iter().for_each(|one| add("Application", &one.meta, &one.problems));
        self.application_sets.iter().flatten().for_each(|one| add("ApplicationSet", &one.meta, &one.problems));
        self.runs.iter().for_each(|one| add("PipelineRun", &one.meta, &one.problems));
        self.templates.iter().flatten().for_each(|one| add("TriggerTemplate", &one.meta, &one.problems));
        all
    }
}
