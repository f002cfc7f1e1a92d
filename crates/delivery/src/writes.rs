//! The writes. Each looks again at the API server first: what a window shows may be seconds old, and a colleague may
//! have been quicker.

use kube::api::{ListParams, PostParams};
use kube::core::DynamicObject;
use pilothouse_cluster::{Cluster, Kind, explain, kinds};
use serde_json::Value;

use crate::claim;
use crate::objects::{Codebase, GitServer, Objects};
use crate::repository::{self, Form};
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

pub(crate) async fn list(
    cluster: &Cluster,
    kind: &Kind,
    namespace: &str,
    labels: Option<&str>,
) -> Result<Vec<DynamicObject>> {
    let params = labels.map_or_else(ListParams::default, |labels| ListParams::default().labels(labels));
    Ok(cluster.api(kind, namespace).list(&params).await.map_err(|error| explain(&error))?.items)
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
