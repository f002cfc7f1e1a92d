//! What is shown of the GitOps repository.

use super::address::{CloneUrls, clone_urls};
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
    /// Flows whose ApplicationSet reads this repository; all flows where ApplicationSets cannot be read.
    pub used_by: Vec<String>,
    /// Addresses; none while the Git server is unknown.
    pub urls: Option<CloneUrls>,
}

/// The card of a GitOps repository.
pub fn card(codebase: &Codebase, objects: &Objects) -> Card {
    let status = codebase.status.status.clone().filter(|word| !word.is_empty());
    let server = objects.git_servers.iter().find(|server| server.meta.name == codebase.git_server);
    let urls = server.map(|server| clone_urls(server, &codebase.git_url_path));
    let mut used_by: Vec<String> = match (&objects.application_sets, &urls) {
        (Some(sets), Some(urls)) => sets
            .iter()
            .filter(|set| set.values_urls().iter().any(|url| same_url(url, &urls.argo_cd)))
            .map(|set| set.meta.name.clone())
            .collect(),
        _ => objects.pipelines.iter().map(|flow| flow.meta.name.clone()).collect(),
    };
    used_by.sort();
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
        used_by,
        urls,
    }
}

/// Whether two repository addresses mean the same, but for case, a final slash and `.git`.
pub(super) fn same_url(a: &str, b: &str) -> bool {
    let bare = |url: &str| {
        let url = url.trim().trim_end_matches('/').to_lowercase();
        url.strip_suffix(".git").map_or(url.clone(), str::to_owned)
    };
    bare(a) == bare(b)
}
