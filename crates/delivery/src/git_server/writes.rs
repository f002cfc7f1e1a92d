//! The writes around a Git server. Each looks at the API server at the moment of writing.

use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use pilothouse_cluster::{Cluster, Error as ClusterError, Kind, kinds};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::credentials::{Credentials, StoredCredentials, replacement};
use super::form::{ServerForm, render_secret, render_server, validate};
use crate::objects::{Codebase, GitServer};
use crate::provider::{ApiToken, ProviderKind};
use crate::writes::list;
use crate::{Error, Result};

/// What a deletion left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The Secret, when nothing removes it along with its server.
    pub secret_left: Option<String>,
}

/// New credentials for a Git server.
#[derive(Debug, Clone, Default)]
pub struct Replacement {
    /// The private key and its public half.
    pub key: Option<(SecretString, String)>,
    /// The API token.
    pub token: Option<ApiToken>,
}

fn object(kind: &Kind, value: Value) -> Result<DynamicObject> {
    // The text is not in the error: it may hold a secret.
    serde_json::from_value(value)
        .map_err(|_| Error::Refused(format!("the {} that comes of this form is not well formed", kind.kind)))
}

async fn exists(cluster: &Cluster, kind: &Kind, namespace: &str, name: &str) -> Result<bool> {
    match cluster.in_time(kind.kind, cluster.api(kind, namespace).get_metadata_opt(name)).await {
        Ok(found) => Ok(found.is_some()),
        // Who may create but not read is answered by the creation itself, which never overwrites.
        Err(ClusterError::Forbidden { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn create(
    cluster: &Cluster,
    kind: &'static Kind,
    namespace: &str,
    value: Value,
    dry_run: bool,
) -> Result<DynamicObject> {
    let object = object(kind, value)?;
    let name = object.metadata.name.clone().unwrap_or_default();
    let how = PostParams { dry_run, ..PostParams::default() };
    match cluster.in_time(kind.kind, cluster.api(kind, namespace).create(&how, &object)).await {
        Err(ClusterError::Conflict { exists: true, .. }) => Err(Error::Exists { what: kind.kind, name }),
        other => Ok(other?),
    }
}

/// Asks the API server whether both objects could be created, without creating them. Secrets are not sent: they are
/// masked as in what is shown.
///
/// # Errors
/// [`Error::Exists`], or what the API server has against one of them.
pub async fn rehearse(cluster: &Cluster, namespace: &str, form: &ServerForm) -> Result<()> {
    refuse_taken(cluster, namespace, form).await?;
    create(cluster, &kinds::SECRET, namespace, render_secret(form, None), true).await?;
    create(cluster, &kinds::GIT_SERVER, namespace, render_server(form), true).await?;
    Ok(())
}

async fn refuse_taken(cluster: &Cluster, namespace: &str, form: &ServerForm) -> Result<()> {
    for (kind, name) in [(&kinds::GIT_SERVER, &form.name), (&kinds::SECRET, &form.secret_name)] {
        if exists(cluster, kind, namespace, name).await? {
            return Err(Error::Exists { what: kind.kind, name: name.clone() });
        }
    }
    Ok(())
}

/// Creates the Secret, then the GitServer. When the second fails, the first is taken back.
///
/// # Errors
/// [`Error::Form`] and [`Error::Exists`] before anything is written; [`Error::HalfDone`] when the Secret could not be
/// taken back; otherwise what the API server says, and nothing is left.
pub async fn add_server(
    cluster: &Cluster,
    namespace: &str,
    form: &ServerForm,
    credentials: &Credentials,
) -> Result<()> {
    let servers: Vec<GitServer> =
        list(cluster, &kinds::GIT_SERVER, namespace, None).await?.iter().map(GitServer::read).collect();
    // An existing server is told apart from a wrong name: the window has a word for it.
    if servers.iter().any(|server| server.meta.name == form.name) {
        return Err(Error::Exists { what: kinds::GIT_SERVER.kind, name: form.name.clone() });
    }
    let problems = validate(form, &servers, true, credentials.token.as_ref());
    if !problems.is_empty() {
        return Err(Error::Form(problems));
    }
    refuse_taken(cluster, namespace, form).await?;
    let secret = create(cluster, &kinds::SECRET, namespace, render_secret(form, Some(credentials)), false).await?;
    let Err(error) = create(cluster, &kinds::GIT_SERVER, namespace, render_server(form), false).await else {
        return Ok(());
    };
    // Without an answer the server may have been created all the same; then its Secret must stay.
    if let Error::Cluster(lost) = &error
        && lost.is_transient()
    {
        match cluster.in_time("GitServer", cluster.api(&kinds::GIT_SERVER, namespace).get_opt(&form.name)).await {
            Ok(Some(found)) if found.data["spec"]["nameSshKeySecret"] == form.secret_name.as_str() => return Ok(()),
            Ok(_) => {}
            Err(again) => {
                return Err(Error::HalfDone(format!(
                    "The Secret `{}` was created. Whether the GitServer `{}` was is not known, for the cluster does not \
                     answer ({again}). Look at the list again later; if the server is not there, delete the Secret",
                    form.secret_name, form.name
                )));
            }
        }
    }
    match take_back(cluster, namespace, &secret).await {
        Ok(()) => Err(error),
        Err(left) => Err(Error::HalfDone(format!(
            "The GitServer `{}` could not be created: {error}. Its Secret `{}` was created before and could not be deleted \
             again: {left}. Delete the Secret before you try again",
            form.name, form.secret_name
        ))),
    }
}

/// Deletes the very object that was created, not another of its name.
async fn take_back(
    cluster: &Cluster,
    namespace: &str,
    secret: &DynamicObject,
) -> std::result::Result<(), ClusterError> {
    let name = secret.metadata.name.clone().unwrap_or_default();
    let this = Preconditions { uid: secret.metadata.uid.clone(), resource_version: None };
    let how = DeleteParams { preconditions: Some(this), ..DeleteParams::default() };
    match cluster.in_time("the Secret", cluster.api(&kinds::SECRET, namespace).delete(&name, &how)).await {
        Ok(_) | Err(ClusterError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What the Secret of a Git server holds, for a test from this computer.
///
/// # Errors
/// `Forbidden` for most users: the right to read Secrets is an administrator's.
pub async fn read_credentials(
    cluster: &Cluster,
    namespace: &str,
    server: &GitServer,
) -> Result<Option<StoredCredentials>> {
    let found =
        cluster.in_time("the Secret", cluster.api(&kinds::SECRET, namespace).get_opt(&server.secret_name)).await?;
    Ok(found.map(|secret| StoredCredentials::read(ProviderKind::parse(&server.provider), &secret.data["data"])))
}

/// Replaces what is given in the Secret of a Git server, and nothing else, unless somebody changed the Secret meanwhile.
///
/// # Errors
/// [`Error::Unknown`] when there is no such server or Secret, [`Error::Changed`], or what the API server says.
pub async fn replace_credentials(cluster: &Cluster, namespace: &str, server: &str, new: &Replacement) -> Result<()> {
    let server = find(cluster, namespace, server).await?;
    let provider = ProviderKind::parse(&server.provider)
        .ok_or_else(|| Error::Refused(format!("The provider {:?} is not one this app knows", server.provider)))?;
    if new.token.is_some() && provider == ProviderKind::Gerrit {
        return Err(Error::Refused("Gerrit works with the SSH key alone; it has no token here".to_owned()));
    }
    let api = cluster.api(&kinds::SECRET, namespace);
    let missing = || Error::Unknown { what: "Secret", name: server.secret_name.clone() };
    let found = cluster.in_time("the Secret", api.get_metadata_opt(&server.secret_name)).await?.ok_or_else(missing)?;
    let key = new.key.as_ref().map(|(private, public)| (private, public.as_str()));
    let patch = json!({
        "metadata": { "resourceVersion": found.metadata.resource_version, "uid": found.metadata.uid },
        "stringData": replacement(provider, key, new.token.as_ref()),
    });
    let (how, patch) = (PatchParams::default(), Patch::Merge(&patch));
    match cluster.in_time("the Secret", api.patch(&server.secret_name, &how, &patch)).await {
        Ok(_) => Ok(()),
        Err(ClusterError::Conflict { .. }) => {
            Err(Error::Changed { what: format!("The Secret `{}`", server.secret_name) })
        }
        Err(error) => Err(error.into()),
    }
}

async fn find(cluster: &Cluster, namespace: &str, name: &str) -> Result<GitServer> {
    let found = cluster.in_time("GitServer", cluster.api(&kinds::GIT_SERVER, namespace).get_opt(name)).await?;
    found.as_ref().map(GitServer::read).ok_or_else(|| Error::Unknown { what: "Git server", name: name.to_owned() })
}

/// The Codebases that live on a Git server, by name.
pub fn users_of(codebases: &[Codebase], server: &str) -> Vec<String> {
    let mut names: Vec<String> =
        codebases.iter().filter(|one| one.git_server == server).map(|one| one.meta.name.clone()).collect();
    names.sort();
    names
}

/// Deletes a Git server that no Codebase lives on.
///
/// # Errors
/// [`Error::InUse`], [`Error::Changed`], or what the API server says.
pub async fn delete_server(cluster: &Cluster, namespace: &str, name: &str) -> Result<Deleted> {
    let codebases: Vec<Codebase> =
        list(cluster, &kinds::CODEBASE, namespace, None).await?.iter().map(Codebase::read).collect();
    let users = users_of(&codebases, name);
    if !users.is_empty() {
        return Err(Error::InUse { server: name.to_owned(), codebases: users });
    }
    let api = cluster.api(&kinds::GIT_SERVER, namespace);
    let missing = || Error::Unknown { what: "Git server", name: name.to_owned() };
    let found = cluster.in_time("GitServer", api.get_opt(name)).await?.ok_or_else(missing)?;
    let server = GitServer::read(&found);
    let this =
        Preconditions { uid: found.metadata.uid.clone(), resource_version: found.metadata.resource_version.clone() };
    let how = DeleteParams { preconditions: Some(this), ..DeleteParams::default() };
    match cluster.in_time("GitServer", api.delete(name, &how)).await {
        Ok(_) => {}
        Err(ClusterError::Conflict { .. }) => return Err(Error::Changed { what: format!("The GitServer `{name}`") }),
        Err(error) => return Err(error.into()),
    }
    // The operator makes the server its Secret's owner, and Kubernetes removes the Secret then. One that it never got to
    // stays; it may be somebody's, so it is only told. Who may not read it is told of it too.
    let secrets = cluster.api(&kinds::SECRET, namespace);
    let owned = match cluster.in_time("the Secret", secrets.get_metadata_opt(&server.secret_name)).await {
        Ok(None) => true,
        Ok(Some(secret)) => secret
            .metadata
            .owner_references
            .iter()
            .flatten()
            .any(|owner| Some(&owner.uid) == found.metadata.uid.as_ref()),
        Err(_) => false,
    };
    Ok(Deleted { secret_left: (!owned && !server.secret_name.is_empty()).then_some(server.secret_name) })
}
