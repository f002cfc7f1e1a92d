//! What wants attention about the GitOps repository.

use super::card::same_url;
use super::form::{Form, Strategy};
use super::{PLATFORM_BRANCH, clone_urls, find_existing};
use crate::objects::Objects;

/// Something that wants attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// A stable code, such as `branchDiffers`.
    pub code: &'static str,
    /// What is the matter.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl Warning {
    fn new(code: &'static str, message: String, hint: &str) -> Self {
        Self { code, message, hint: Some(hint.to_owned()) }
    }
}

/// What the user should know before saving a form that is otherwise right.
pub fn form_warnings(form: &Form) -> Vec<Warning> {
    let mut found = Vec::new();
    if !form.private && form.strategy == Strategy::Create {
        let message = "Everyone will be able to read the values of all environments.".to_owned();
        found.push(Warning::new("publicRepository", message, "Leave the repository private unless that is meant."));
    }
    if form.default_branch != PLATFORM_BRANCH {
        found.push(branch_differs(&form.default_branch));
    }
    found
}

fn branch_differs(branch: &str) -> Warning {
    let message =
        format!("The default branch is `{branch}`, but the platform reads values from `{PLATFORM_BRANCH}` only.");
    Warning::new(
        "branchDiffers",
        message,
        "Rename the branch to main at the provider, or keep the values in a branch named main.",
    )
}

/// Everything about the platform's GitOps repository that wants attention.
pub fn warnings(objects: &Objects) -> Vec<Warning> {
    let mut found = Vec::new();
    let repositories = find_existing(&objects.codebases);
    if repositories.len() > 1 {
        let names: Vec<&str> = repositories.iter().map(|one| one.meta.name.as_str()).collect();
        let message = format!(
            "There are {} GitOps repositories: {}. The platform refuses to make new deployment flows.",
            names.len(),
            names.join(", ")
        );
        found.push(Warning::new(
            "severalRepositories",
            message,
            "Delete all but one of these Codebases; the repositories themselves stay.",
        ));
    }
    let Some(codebase) = repositories.first() else { return found };
    if codebase.status.status.as_deref() == Some("failed") || codebase.status.result.as_deref() == Some("error") {
        let why = codebase.status.detailed_message.as_deref().unwrap_or("The platform gives no reason.");
        let hint = if why.contains("already contains default branch") {
            "The repository exists and has a history: delete this Codebase and import the repository instead."
        } else {
            "Mend the cause; the platform tries again by itself. A wrong path can only be mended by deleting the Codebase and creating it anew."
        };
        found.push(Warning::new("creationFailed", why.to_owned(), hint));
    }
    if !codebase.private && codebase.strategy == "create" {
        let message =
            "The repository was created as a public one: everyone can read the values of all environments.".to_owned();
        found.push(Warning::new(
            "publicRepository",
            message,
            "Make it private at the provider; the platform does not change it afterwards.",
        ));
    }
    if !codebase.default_branch.is_empty() && codebase.default_branch != PLATFORM_BRANCH {
        found.push(branch_differs(&codebase.default_branch));
    }
    match objects.git_servers.iter().find(|server| server.meta.name == codebase.git_server) {
        None => {
            let message = format!("The Git server `{}` of this repository does not exist.", codebase.git_server);
            found.push(Warning::new(
                "serverMissing",
                message,
                "Create the GitServer again, or delete the Codebase and create it anew.",
            ));
        }
        Some(server) => {
            if !server.connected {
                let why = server.error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
                let message = format!("The platform has no connection to the Git server `{}`{why}.", server.meta.name);
                found.push(Warning::new(
                    "serverDisconnected",
                    message,
                    "See the GitServer's Secret and the server's host key.",
                ));
            }
            let own = clone_urls(server, &codebase.git_url_path).argo_cd;
            for set in objects.application_sets.iter().flatten() {
                for url in set.values_urls().into_iter().filter(|url| !same_url(url, &own)) {
                    let message = format!("The flow `{}` still reads values from {url}.", set.meta.name);
                    found.push(Warning::new(
                        "readsAnotherRepository",
                        message,
                        "The platform never updates an existing ApplicationSet: change repoURL in its templatePatch.",
                    ));
                }
            }
        }
    }
    found
}
