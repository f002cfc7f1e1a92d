//! Where chaos is kept and run: the cluster's own objects, or an installation of ChaosCenter. One interface for both.

use async_trait::async_trait;
use pilothouse_cluster::Cluster;
use serde::{Deserialize, Serialize};

use crate::document::WorkflowDocument;
use crate::error::{Error, Result};
use crate::instantiate::RunLabels;
use crate::launch::{self, Next};
use crate::project::{self, Enable};
use crate::run::{FaultRun, Phase, Verdict};
use crate::{stop, workflow_object};

/// A list, perhaps cut short.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Whether these are all.
    pub complete: bool,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectCard {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What the user is in it, where the other side tells it: `Owner`, `Executor` or `Viewer`.
    pub role: Option<String>,
}

/// How a project stands to Git. Never holds a credential.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitOps {
    /// Whether it is on.
    pub enabled: bool,
    /// The repository.
    pub url: String,
    /// The branch.
    pub branch: String,
    /// How it is let in, in the other side's word.
    pub auth: String,
}

/// An experiment: a workflow that can be run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Experiment {
    /// Its id; for the cluster's own, its name.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `Workflow`, `CronWorkflow`, … or ChaosCenter's `Experiment`, `CronExperiment`.
    pub kind: String,
    /// Its schedule.
    pub schedule: Option<String>,
    /// Where it runs: a namespace, or an infrastructure's name.
    pub place: String,
    /// Its last run.
    pub last_run: Option<RunCard>,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunCard {
    /// Its id, or its name. Empty for a run that was asked for and has no id yet.
    pub id: String,
    /// The experiment.
    pub experiment: String,
    /// How far it is.
    pub phase: Phase,
    /// The other side's own word for that.
    pub phase_word: String,
    /// Its verdict, once known.
    pub verdict: Option<Verdict>,
    /// Its resilience score, 0 to 100.
    pub score: Option<f64>,
    /// When it changed last (RFC 3339).
    pub at: Option<String>,
}

/// A run in full.
#[derive(Debug, Clone, PartialEq)]
pub struct RunDetail {
    /// As in a list.
    pub card: RunCard,
    /// Its faults.
    pub faults: Vec<FaultRun>,
    /// What to know before believing it.
    pub warnings: Vec<String>,
}

/// A place where chaos is kept and run.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The projects.
    async fn projects(&self) -> Result<Listed<ProjectCard>>;
    /// How a project stands to Git.
    async fn gitops(&self, project: &str) -> Result<GitOps>;
    /// Switches GitOps off; repository and experiments stay.
    async fn disable_gitops(&self, project: &str) -> Result<()>;
    /// A project's experiments.
    async fn experiments(&self, project: &str) -> Result<Listed<Experiment>>;
    /// A project's runs, newest first; of one experiment, when that is given.
    async fn runs(&self, project: &str, experiment: Option<&str>) -> Result<Listed<RunCard>>;
    /// One run, by what [`RunCard::id`] or [`Backend::start`] gave.
    async fn run(&self, project: &str, run: &str) -> Result<RunDetail>;
    /// Starts an experiment now; what names the run from here on. Whoever calls this has asked a person.
    async fn start(&self, project: &str, experiment: &str) -> Result<String>;
    /// Stops a run.
    async fn stop(&self, project: &str, experiment: &str, run: &str) -> Result<()>;
}

/// The cluster's own: `ChaosProject` and `ChaosWorkflow` objects, and the runs of a namespace.
#[derive(Clone)]
pub struct ClusterBackend {
    /// The cluster.
    pub cluster: Cluster,
    /// The namespace of the projects' objects.
    pub namespace: String,
    /// What the names of the runs started here end in.
    pub suffix: fn() -> String,
}

impl ClusterBackend {
    /// Switches GitOps on. The credential stays on this machine, so it is no part of this.
    pub async fn enable_gitops(&self, form: &Enable) -> Result<()> {
        project::enable(&self.cluster, &self.namespace, form).await.map(|_| ())
    }
}

fn card(run: &crate::run::Run) -> RunCard {
    RunCard {
        id: run.name.clone(),
        experiment: run.workflow.clone().unwrap_or_default(),
        phase: run.phase,
        phase_word: format!("{:?}", run.phase),
        verdict: run.verdict,
        score: run.score,
        at: run.finished_at.clone().or_else(|| run.started_at.clone()).or_else(|| run.created_at.clone()),
    }
}

#[async_trait]
impl Backend for ClusterBackend {
    async fn projects(&self) -> Result<Listed<ProjectCard>> {
        let all = project::list(&self.cluster, &self.namespace).await?;
        let items = all.into_iter().map(|one| ProjectCard { name: one.id.clone(), id: one.id, role: None }).collect();
        Ok(Listed { items, complete: true })
    }

    async fn gitops(&self, project: &str) -> Result<GitOps> {
        let found = project::get(&self.cluster, &self.namespace, project).await?;
        let auth = if found.auth == project::Auth::Ssh { "ssh" } else { "token" };
        Ok(GitOps { enabled: found.enabled, url: found.url, branch: found.branch, auth: auth.to_owned() })
    }

    async fn disable_gitops(&self, project: &str) -> Result<()> {
        project::disable(&self.cluster, &self.namespace, project).await.map(|_| ())
    }

    async fn experiments(&self, project: &str) -> Result<Listed<Experiment>> {
        let objects = workflow_object::list(&self.cluster, &self.namespace, project).await?;
        let runs = self.runs(project, None).await?.items;
        let items = objects.into_values().map(|object| {
            let document = WorkflowDocument::parse(&object.manifest).ok();
            Experiment {
                kind: document.as_ref().map(|one| one.kind.as_str().to_owned()).unwrap_or_default(),
                schedule: document.as_ref().and_then(|one| one.schedules.first().cloned()),
                place: document.and_then(|one| one.namespace).unwrap_or_else(|| self.namespace.clone()),
                last_run: runs.iter().find(|run| run.experiment == object.workflow).cloned(),
                id: object.workflow.clone(),
                name: object.workflow,
            }
        });
        Ok(Listed { items: items.collect(), complete: true })
    }

    async fn runs(&self, project: &str, experiment: Option<&str>) -> Result<Listed<RunCard>> {
        let runs = launch::list_runs(&self.cluster, &self.namespace, Some(project)).await?;
        let wanted = |run: &RunCard| experiment.is_none_or(|name| run.experiment == name);
        Ok(Listed { items: runs.iter().map(card).filter(wanted).collect(), complete: true })
    }

    async fn run(&self, _project: &str, run: &str) -> Result<RunDetail> {
        let run = launch::read_run(&self.cluster, &self.namespace, run).await?;
        Ok(RunDetail { card: card(&run), faults: run.faults, warnings: run.warnings })
    }

    async fn start(&self, project: &str, experiment: &str) -> Result<String> {
        let labels = RunLabels { project: project.to_owned(), workflow: experiment.to_owned(), ..RunLabels::default() };
        let name = crate::names::run_name(experiment, &(self.suffix)());
        let seen = launch::preview(&self.cluster, &self.namespace, &name, &labels).await?;
        match launch::as_seen(&self.cluster, &self.namespace, &name, &labels, &seen.digest).await? {
            Next::There(started) => Ok(started.name),
            Next::Start(prepared) => Ok(launch::start(&self.cluster, &prepared).await?.name),
        }
    }

    async fn stop(&self, _project: &str, _experiment: &str, run: &str) -> Result<()> {
        match stop::stop(&self.cluster, &self.namespace, run).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::WrongState { name: run.to_owned(), why: "it had ended already".to_owned() }),
            Err(error) => Err(error),
        }
    }
}
