//! What is shown of the GitOps repository.

use super::address::{CloneUrls, clone_urls};
use super::readers::{Readers, readers};
use crate::objects::{Codebase, Objects};

/// The GitOps repository at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The Codebase.
    pub name: String,
    /// The operator's status word as it is; `Unknown` before it wrote one.
    pub status: String,
    /// Whether the word is one of the operator's own.
    pub status_known: bool,
    /// Ready for use.
    pub available: bool,
    /// Deletion was asked for.
    pub deleting: bool,
    /// Why it failed, in full.
    pub detailed_message: Option<String>,
    /// How often the operator failed.
    pub failure_count: i64,
    /// `create` or `import`.
    pub strategy: String,
    /// The GitServer.
    pub git_server: String,
    /// The path on the server.
    pub path: String,
    /// The Codebase's default branch.
    pub default_branch: String,
    /// The provider's page; only an `https` address is passed on.
    pub web_url: Option<String>,
    /// Whether a private repository was asked for.
    pub private: bool,
    /// The last step of the operator's chain, as it names it.
    pub action: Option<String>,
    /// `inactive`, `active` or `failed`.
    pub value: Option<String>,
    /// `success` or `error`.
    pub result: Option<String>,
    /// How far the operator's push went: `push_in_progress`, `pushed` and so on.
    pub git: Option<String>,
    /// When the operator wrote last, RFC 3339.
    pub last_time_updated: Option<String>,
    /// The provider's number for the webhook.
    pub webhook: Option<String>,
    /// The operator was told to leave it alone.
    pub paused: bool,
    /// What a label forbids: `update`, `delete`.
    pub protected: Vec<String>,
    /// `tekton` or `gitlab`.
    pub ci_tool: String,
    /// When it was created, RFC 3339.
    pub created: Option<String>,
    /// What still holds a deleted one.
    pub finalizers: Vec<String>,
    /// Fields of the object that could not be read.
    pub problems: Vec<crate::FieldProblem>,
    /// Flows whose ApplicationSet reads this repository; all flows where ApplicationSets cannot be read.
    pub used_by: Vec<String>,
    /// Everything that reads it.
    pub readers: Readers,
    /// Addresses; none while the Git server is unknown.
    pub urls: Option<CloneUrls>,
}

/// The card of a GitOps repository.
pub fn card(codebase: &Codebase, objects: &Objects) -> Card {
    let status = codebase.status.status.clone().filter(|word| !word.is_empty());
    let server = objects.git_servers.iter().find(|server| server.meta.name == codebase.git_server);
    let urls = server.map(|server| clone_urls(server, &codebase.git_url_path));
    let readers = readers(objects, codebase);
    Card {
        name: codebase.meta.name.clone(),
        // `in progress` with a space is the operator's spelling (pkg/util/consts.go), `in_progress` the portal's.
        status_known: status
            .as_deref()
            .is_some_and(|word| matches!(word, "created" | "initialized" | "in progress" | "in_progress" | "failed")),
        status: status.unwrap_or_else(|| "Unknown".to_owned()),
        available: codebase.status.available,
        deleting: codebase.meta.deleting,
        detailed_message: codebase.status.detailed_message.clone(),
        failure_count: codebase.status.failure_count,
        strategy: codebase.strategy.clone(),
        git_server: codebase.git_server.clone(),
        path: codebase.git_url_path.clone(),
        default_branch: codebase.default_branch.clone(),
        web_url: codebase.status.git_web_url.clone().filter(|url| url.starts_with("https://")),
        private: codebase.private,
        action: codebase.status.action.clone(),
        value: codebase.status.value.clone(),
        result: codebase.status.result.clone(),
        git: codebase.status.git.clone().filter(|word| !word.is_empty()),
        last_time_updated: codebase.status.last_time_updated.clone(),
        webhook: codebase.status.webhook.clone(),
        paused: codebase.is_paused(),
        protected: ["update", "delete"]
            .into_iter()
            .filter(|word| codebase.is_protected_from(word))
            .map(str::to_owned)
            .collect(),
        ci_tool: codebase.ci_tool.clone(),
        created: codebase.meta.created.clone(),
        finalizers: codebase.meta.finalizers.clone(),
        problems: codebase.problems.clone(),
        used_by: readers.flows.clone(),
        readers,
        urls,
    }
}
