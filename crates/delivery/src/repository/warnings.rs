//! What wants attention about the GitOps repository.

use super::form::{Form, Strategy};
use super::readers::{StaleSet, stale_sets};
use super::{PLATFORM_BRANCH, find_existing};
use crate::objects::{Codebase, Objects};

/// Something that wants attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// A stable code, such as `branchDiffers`.
    pub code: &'static str,
    /// The object it is about, where there may be several of one code.
    pub subject: Option<String>,
    /// What is the matter.
    pub message: String,
    /// Why it is so, or what comes of it.
    pub why: Option<String>,
    /// How to mend it.
    pub hint: Option<String>,
    /// What can be done about it here, the best first.
    pub actions: Vec<Action>,
}

/// What can be done about a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Have the operator try again now.
    Retry,
    /// Let the operator work on it again.
    Resume,
    /// Change path, server or branch.
    Edit,
    /// Take the repository that exists instead of making one.
    UseExisting,
    /// Delete the Codebase.
    Delete,
    /// Patch the ApplicationSet.
    MendSet,
}

impl Warning {
    fn new(code: &'static str, message: String, hint: &str) -> Self {
        Self { code, subject: None, message, why: None, hint: Some(hint.to_owned()), actions: Vec::new() }
    }

    fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    fn with(mut self, actions: &[Action]) -> Self {
        self.actions = actions.to_vec();
        self
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
    .because("The operator writes `main` into every ApplicationSet that it makes, whatever a Codebase says.")
}

/// How long the operator waits after its `failures`-th failure before it tries again, in seconds
/// (codebase-operator, pkg/util/reconcilation.go: ten seconds more each time, exponential from the tenth).
pub fn seconds_until_retry(failures: i64) -> u64 {
    // The count is raised after the wait is computed.
    let factor = u64::try_from(failures - 1).unwrap_or(0);
    if factor < 10 {
        (factor + 1) * 10
    } else {
        // A float beyond the range becomes the largest number, which is as good as never.
        (10.0 * std::f64::consts::E.powf(factor as f64 + 1.0)) as u64
    }
}

fn waiting(failures: i64) -> String {
    let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times") };
    let seconds = seconds_until_retry(failures);
    match (failures, seconds) {
        (..=0, _) => "The platform tries again by itself.".to_owned(),
        (_, ..=119) => {
            format!("The platform has failed {times} and tries again by itself, {seconds} s after its last attempt.")
        }
        (_, 120..=86_400) => format!(
            "The platform has failed {times} and tries again by itself, but only {} minutes after its last attempt.",
            seconds / 60
        ),
        _ => format!("The platform has failed {times}; by itself it tries again only in {} days.", seconds / 86_400),
    }
}

fn creation_failed(codebase: &Codebase) -> Warning {
    let why = codebase.status.detailed_message.as_deref().unwrap_or("The platform gives no reason.");
    let occupied = why.contains("already contains default branch");
    let hint = if occupied {
        "The repository exists and has a history: use it as it is, or choose another path."
    } else {
        "Mend the cause, then have the platform try again; or change the path."
    };
    let mut actions = vec![Action::Retry, Action::Edit, Action::Delete];
    if codebase.strategy != "import" && !codebase.is_pushed() {
        actions.insert(if occupied { 0 } else { 2 }, Action::UseExisting);
    }
    Warning::new("creationFailed", why.to_owned(), hint).because(waiting(codebase.status.failure_count)).with(&actions)
}

/// Everything about the platform's GitOps repository that wants attention. `branch` is the one values are committed to.
pub fn warnings_on(objects: &Objects, branch: &str) -> Vec<Warning> {
    let mut found = Vec::new();
    let repositories = find_existing(&objects.codebases);
    if repositories.len() > 1 {
        let names: Vec<&str> = repositories.iter().map(|one| one.meta.name.as_str()).collect();
        let message = format!(
            "There are {} GitOps repositories: {}. The platform refuses to make new deployment flows.",
            names.len(),
            names.join(", ")
        );
        found.push(
            Warning::new(
                "severalRepositories",
                message,
                "Delete all but one of these Codebases; the repositories themselves stay.",
            )
            .because("The operator looks for exactly one when it makes a flow's ApplicationSet."),
        );
    }
    let Some(codebase) = repositories.first() else { return found };
    if codebase.meta.deleting {
        let held = codebase.meta.finalizers.join(", ");
        found.push(
            Warning::new(
                "beingDeleted",
                format!("The Codebase `{}` is being deleted.", codebase.meta.name),
                "Wait until the operator has cleaned up. If it does not run any more, an administrator has to remove the finalizers.",
            )
            .because(if held.is_empty() { String::new() } else { format!("It is held by {held}.") }),
        );
    }
    if codebase.is_paused() {
        let message = "The platform was told to leave this repository alone, so nothing changes here.".to_owned();
        found.push(
            Warning::new("paused", message, "Let the platform work on it again.")
                .because(format!("The annotation {} is true.", crate::objects::PAUSED))
                .with(&[Action::Resume]),
        );
    }
    if codebase.has_failed() {
        found.push(creation_failed(codebase));
    }
    if !codebase.private && codebase.strategy == "create" {
        let message =
            "The repository was created as a public one: everyone can read the values of all environments.".to_owned();
        found.push(
            Warning::new(
                "publicRepository",
                message,
                "Make it private at the provider; the platform does not change it afterwards.",
            )
            .because("The portal asks for a public repository unless told otherwise."),
        );
    }
    if !codebase.default_branch.is_empty() && codebase.default_branch != PLATFORM_BRANCH {
        found.push(branch_differs(&codebase.default_branch).with(&[Action::Edit]));
    }
    match objects.git_servers.iter().find(|server| server.meta.name == codebase.git_server) {
        None => {
            let message = format!("The Git server `{}` of this repository does not exist.", codebase.git_server);
            found.push(
                Warning::new(
                    "serverMissing",
                    message,
                    "Create the GitServer again, or choose another for this repository.",
                )
                .with(&[Action::Edit]),
            );
        }
        Some(server) if !server.connected => {
            let why = server.error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            let message = format!("The platform has no connection to the Git server `{}`{why}.", server.meta.name);
            found.push(Warning::new(
                "serverDisconnected",
                message,
                "See the GitServer's Secret and the server's host key.",
            ));
        }
        Some(_) => {}
    }
    found.extend(stale_sets(objects, codebase, branch).iter().map(stale));
    found
}

/// As [`warnings_on`], for the platform's own branch.
pub fn warnings(objects: &Objects) -> Vec<Warning> {
    warnings_on(objects, PLATFORM_BRANCH)
}

fn stale(set: &StaleSet) -> Warning {
    let urls: Vec<&str> = set.reads.iter().map(|one| one.url.as_str()).collect();
    let revisions: Vec<&str> = set.reads.iter().filter_map(|one| one.revision.as_deref()).collect();
    let (code, message) = if set.other_repository {
        ("readsAnotherRepository", format!("The flow `{}` still reads values from {}.", set.name, urls.join(", ")))
    } else {
        (
            "readsAnotherBranch",
            format!(
                "The flow `{}` reads values from the branch {}, but they are committed to {}.",
                set.name,
                revisions.join(", "),
                set.wanted.revision.as_deref().unwrap_or(PLATFORM_BRANCH)
            ),
        )
    };
    let concerned = match set.applications.len() {
        0 => "No application of it has the override on now.".to_owned(),
        _ => format!("It concerns {}.", set.applications.join(", ")),
    };
    let mut warning = Warning::new(
        code,
        message,
        "Patch the ApplicationSet; that needs the right `patch` on applicationsets.argoproj.io. Its Applications then read the new place at their next sync.",
    )
    .because(format!("The platform never updates an ApplicationSet that exists. {concerned}"));
    warning.subject = Some(set.name.clone());
    warning.actions = if set.merge_patch.is_some() { vec![Action::MendSet] } else { Vec::new() };
    warning
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_waits_longer_each_time_and_then_for_days() {
        let waits: Vec<u64> = [1, 2, 10, 11].into_iter().map(seconds_until_retry).collect();
        assert_eq!(waits[..3], [10, 20, 100]);
        assert!(waits[3] > 6 * 86_400, "{waits:?}");
        assert_eq!(seconds_until_retry(i64::MAX), u64::MAX);
        assert_eq!(seconds_until_retry(i64::MIN + 1), 10);
        assert!(waiting(11).contains("days"));
        assert!(waiting(1).contains("failed once"));
    }
}
