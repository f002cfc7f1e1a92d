//! The writes. Each looks again at the API server first: what a window shows may be seconds old, and a colleague may
//! have been quicker.

use kube::api::{ListParams, PostParams};
use kube::core::DynamicObject;
use pilothouse_cluster::{Cluster, Kind, explain, kinds};
use serde_json::Value;

use crate::claim;
use crate::deploy::{Choices, Plan, plan, render, render_clean};
use crate::objects::{Codebase, GitServer, Objects, PipelineRun, Stage, TriggerTemplate};
use crate::repository::{self, Form};
use crate::runs::{FLOW_LABEL, belongs, run_view};
use crate::{Error, Result};

/// Creates the GitOps repository's Codebase and answers its name. The form is checked again against the objects the API
/// server holds at this moment, and one person at a time does so: two windows cannot make two repositories.
///
/// # Errors
/// [`Error::RepositoryExists`], [`Error::Underway`], [`Error::Form`], or what the API server says.
pub async fn create_repository(cluster: &Cluster, namespace: &str, form: &Form) -> Result<String> {
    claim::exclusively(cluster, namespace, create_alone(cluster, namespace, form)).await
}

async fn create_alone(cluster: &Cluster, namespace: &str, form: &Form) -> Result<String> {
    let objects = Objects {
        codebases: list(cluster, &kinds::CODEBASE, namespace, None).await?.iter().map(Codebase::read).collect(),
        git_servers: list(cluster, &kinds::GIT_SERVER, namespace, None).await?.iter().map(GitServer::read).collect(),
        ..Objects::default()
    };
    let exists = |name: &str| Error::RepositoryExists { namespace: namespace.to_owned(), name: name.to_owned() };
    refuse_second(namespace, &objects.codebases)?;
    let problems = repository::validate(form, &objects);
    if !problems.is_empty() {
        return Err(Error::Form(problems));
    }
    let server = objects.git_servers.iter().find(|server| server.meta.name == form.git_server);
    match create_object(cluster, &kinds::CODEBASE, namespace, repository::render(form, server)).await {
        // Somebody was quicker by less than the time between the list and the write.
        Err(Error::Cluster(pilothouse_cluster::Error::Conflict { exists: true, .. })) => Err(exists(&form.name)),
        Err(error) => Err(error),
        Ok(made) => {
            claim::withdraw_unless_alone(cluster, namespace, &made).await?;
            Ok(form.name.clone())
        }
    }
}

/// Refuses a second GitOps repository, and one beside another that is still going.
pub(crate) fn refuse_second(namespace: &str, codebases: &[Codebase]) -> Result<()> {
    match repository::find_existing(codebases).first() {
        None => Ok(()),
        Some(one) if one.meta.deleting => Err(Error::BeingDeleted { name: one.meta.name.clone() }),
        Some(one) => Err(Error::RepositoryExists { namespace: namespace.to_owned(), name: one.meta.name.clone() }),
    }
}

/// Starts a deploy of an environment and answers the PipelineRun's name. The plan is made again from `objects`, and the
/// API server is asked whether a run is in progress and what the TriggerTemplate holds now.
///
/// # Errors
/// [`Error::Busy`], an incomplete or unsafe choice, an unusable TriggerTemplate, or what the API server says.
pub async fn start_deploy(
    cluster: &Cluster,
    namespace: &str,
    objects: &Objects,
    flow: &str,
    environment: &str,
    choices: &Choices,
) -> Result<String> {
    let plan: Plan = plan(objects, flow, environment, choices)?;
    refuse_if_busy(cluster, namespace, flow, environment).await?;
    let template = template(cluster, namespace, &plan.template).await?;
    let run = render(&template, &plan, namespace, &suffix())?;
    create(cluster, &kinds::PIPELINE_RUN, namespace, run).await
}

/// Starts a run that removes what is deployed in an environment, and answers its name. The stage comes from the API
/// server.
///
/// # Errors
/// As [`start_deploy`]; also when the environment names no clean template.
pub async fn start_clean(cluster: &Cluster, namespace: &str, flow: &str, environment: &str) -> Result<String> {
    let stages: Vec<Stage> = list(cluster, &kinds::STAGE, namespace, None).await?.iter().map(Stage::read).collect();
    let stage = stages
        .iter()
        .find(|stage| stage.pipeline == flow && stage.name == environment)
        .ok_or_else(|| Error::Unknown { what: "environment", name: environment.to_owned() })?;
    let name = stage
        .clean_template
        .as_deref()
        .ok_or_else(|| Error::Unknown { what: "clean template of", name: environment.to_owned() })?;
    refuse_if_busy(cluster, namespace, flow, environment).await?;
    let template = template(cluster, namespace, name).await?;
    let run = render_clean(&template, stage, namespace, &suffix())?;
    create(cluster, &kinds::PIPELINE_RUN, namespace, run).await
}

async fn refuse_if_busy(cluster: &Cluster, namespace: &str, flow: &str, environment: &str) -> Result<()> {
    let runs = list(cluster, &kinds::PIPELINE_RUN, namespace, Some(&format!("{FLOW_LABEL}={flow}"))).await?;
    let running = runs
        .iter()
        .map(PipelineRun::read)
        .find(|run| belongs(run, flow, environment) && run_view(run).status.is_active());
    running.map_or(Ok(()), |run| Err(Error::Busy { run: run.meta.name }))
}

async fn template(cluster: &Cluster, namespace: &str, name: &str) -> Result<TriggerTemplate> {
    let found =
        cluster.api(&kinds::TRIGGER_TEMPLATE, namespace).get_opt(name).await.map_err(|error| explain(&error))?;
    let found = found.ok_or_else(|| Error::Unknown { what: "TriggerTemplate", name: name.to_owned() })?;
    Ok(TriggerTemplate::read(&found))
}

pub(crate) async fn list(
    cluster: &Cluster,
    kind: &Kind,
    namespace: &str,
    labels: Option<&str>,
) -> Result<Vec<DynamicObject>> {
    let params = labels.map_or_else(ListParams::default, |labels| ListParams::default().labels(labels));
    Ok(cluster.api(kind, namespace).list(&params).await.map_err(|error| explain(&error))?.items)
}

pub(crate) async fn create(cluster: &Cluster, kind: &Kind, namespace: &str, object: Value) -> Result<String> {
    let made = create_object(cluster, kind, namespace, object).await?;
    Ok(made.metadata.name.unwrap_or_default())
}

pub(crate) async fn create_object(
    cluster: &Cluster,
    kind: &Kind,
    namespace: &str,
    object: Value,
) -> Result<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(object).map_err(|error| Error::Template {
        name: kind.kind.to_owned(),
        why: format!("the object made from it is not well formed: {error}"),
    })?;
    let api = cluster.api(kind, namespace);
    Ok(api.create(&PostParams::default(), &object).await.map_err(|error| explain(&error))?)
}

/// Four random letters and digits, as Kubernetes' own name generator uses them: no vowels, so no words.
fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..4).map(|_| char::from(LETTERS[fastrand::usize(..LETTERS.len())])).collect()
}
