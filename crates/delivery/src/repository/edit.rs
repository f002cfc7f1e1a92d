//! Changing a Codebase that is there: what may change, and what a change does not do.
//!
//! The CRD and the operator's admission webhook let every field change (pkg/webhook/codebase_webhook.go, ValidateUpdate
//! does not even look for another Codebase of the same path). What a change comes to is another matter: the operator
//! makes a repository once, and never looks at `private` again.

use serde_json::{Map, Value, json};

use super::form::{CiTool, Strategy, branch_flaw, comparable, path_flaw};
use super::{PLATFORM_BRANCH, is_at};
use crate::FieldProblem;
use crate::objects::{Codebase, Objects};

/// The fields that can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The path on the server.
    pub path: String,
    /// The GitServer.
    pub git_server: String,
    /// Create, or take what exists.
    pub strategy: Strategy,
    /// Which CI checks it.
    pub ci_tool: CiTool,
    /// The default branch.
    pub default_branch: String,
}

impl Edit {
    /// A Codebase as it is.
    pub fn of(codebase: &Codebase) -> Self {
        Self {
            path: codebase.git_url_path.clone(),
            git_server: codebase.git_server.clone(),
            strategy: strategy_of(codebase),
            ci_tool: if codebase.ci_tool == "gitlab" { CiTool::Gitlab } else { CiTool::Tekton },
            default_branch: codebase.default_branch.clone(),
        }
    }
}

fn strategy_of(codebase: &Codebase) -> Strategy {
    if codebase.strategy == "import" { Strategy::Import } else { Strategy::Create }
}

/// One field's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The field, such as `spec.gitUrlPath`.
    pub field: &'static str,
    /// The value now.
    pub old: String,
    /// The value then.
    pub new: String,
}

/// What an edit comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EditPlan {
    /// Why nothing can be changed now.
    pub refused: Option<String>,
    /// Problems of single fields.
    pub problems: Vec<FieldProblem>,
    /// What changes.
    pub changes: Vec<FieldChange>,
    /// What the change does not do, and what stays behind.
    pub stays: Vec<String>,
    /// The merge patch, with the version of the object it was made for; none while nothing may be sent.
    pub patch: Option<Value>,
}

/// Why a Codebase may not be changed at all.
pub fn edit_refusal(codebase: &Codebase) -> Option<String> {
    if codebase.meta.deleting {
        return Some(format!("The Codebase `{}` is being deleted; nothing of it can be changed.", codebase.meta.name));
    }
    codebase.is_protected_from("update").then(|| {
        format!(
            "The label {} forbids to change `{}`. Take the label away first.",
            crate::objects::PROTECTED,
            codebase.meta.name
        )
    })
}

/// Checks an edit against the platform and says what it comes to.
pub fn plan_edit(codebase: &Codebase, edit: &Edit, objects: &Objects) -> EditPlan {
    let mut plan = EditPlan { refused: edit_refusal(codebase), ..EditPlan::default() };
    let mut spec = Map::new();
    let path = format!("/{}", edit.path.trim().trim_matches('/'));
    let path = path.strip_suffix(".git").unwrap_or(&path).to_owned();
    let same_place = comparable(&path) == comparable(&codebase.git_url_path);
    let mut change = |field: &'static str, key: &str, old: &str, new: &str| {
        if old != new {
            plan.changes.push(FieldChange { field, old: old.to_owned(), new: new.to_owned() });
            spec.insert(key.to_owned(), json!(new));
        }
    };
    change(
        "spec.gitUrlPath",
        "gitUrlPath",
        &codebase.git_url_path,
        if same_place { &codebase.git_url_path } else { &path },
    );
    change("spec.gitServer", "gitServer", &codebase.git_server, &edit.git_server);
    if edit.strategy != strategy_of(codebase) {
        change("spec.strategy", "strategy", &codebase.strategy, edit.strategy.as_str());
    }
    change("spec.ciTool", "ciTool", &codebase.ci_tool, edit.ci_tool.as_str());
    change("spec.defaultBranch", "defaultBranch", &codebase.default_branch, &edit.default_branch);

    let moved = !same_place || edit.git_server != codebase.git_server;
    let mut problem = |field: &str, message: String| plan.problems.push(FieldProblem::new(field, message));
    let server = objects.git_servers.iter().find(|server| server.meta.name == edit.git_server);
    match server {
        None => problem("gitServer", "Select an existing Git server".to_owned()),
        Some(server) if edit.ci_tool == CiTool::Gitlab && server.provider != "gitlab" => {
            problem("ciTool", "GitLab CI runs on GitLab servers only; choose Tekton".to_owned());
        }
        Some(_) => {}
    }
    let bare = path.trim_matches('/');
    if bare.chars().count() < 3 {
        problem("path", "Write a path of at least 3 characters, such as /acme/krci-gitops".to_owned());
    } else if let Some(flaw) = path_flaw(bare) {
        problem("path", flaw);
    } else if server.is_some_and(|server| server.provider != "gerrit") && !bare.contains('/') {
        problem("path", "Write owner and repository, such as /acme/krci-gitops".to_owned());
    } else if let Some(other) = objects
        .codebases
        .iter()
        .find(|one| one.meta.name != codebase.meta.name && comparable(&one.git_url_path) == comparable(&path))
    {
        problem("path", format!("The Codebase `{}` already uses this repository", other.meta.name));
    }
    if let Some(flaw) = branch_flaw(&edit.default_branch) {
        problem("defaultBranch", flaw.to_owned());
    }
    let back_to_create = strategy_of(codebase) == Strategy::Import && edit.strategy == Strategy::Create;
    if back_to_create && codebase.is_pushed() {
        problem(
            "strategy",
            "The platform has its repository already and would not make another; delete it and create it anew"
                .to_owned(),
        );
    }
    plan.stays = consequences(codebase, edit, objects, moved);
    if plan.refused.is_none() && plan.problems.is_empty() && !spec.is_empty() {
        plan.patch = Some(json!({
            "metadata": { "resourceVersion": codebase.meta.resource_version, "uid": codebase.meta.uid },
            "spec": spec,
        }));
    }
    plan
}

fn consequences(codebase: &Codebase, edit: &Edit, objects: &Objects, moved: bool) -> Vec<String> {
    let mut said = Vec::new();
    if moved {
        if codebase.is_pushed() && edit.strategy == Strategy::Create {
            said.push(
                "The platform does not make the repository at the new place: it made one already. It has to exist there."
                    .to_owned(),
            );
        }
        said.push(format!("The repository at {} stays at the provider with everything in it.", codebase.git_url_path));
        if let Some(webhook) = &codebase.status.webhook {
            said.push(format!("Its webhook {webhook} stays there too; the platform makes a new one at the new place."));
        }
        let old = objects.git_servers.iter().find(|server| server.meta.name == codebase.git_server);
        let sets: Vec<&str> = objects
            .application_sets
            .iter()
            .flatten()
            .filter(|set| {
                super::values_sources(set)
                    .iter()
                    .any(|source| old.is_some_and(|server| is_at(&source.url, server, &codebase.git_url_path)))
            })
            .map(|set| set.meta.name.as_str())
            .collect();
        if !sets.is_empty() {
            said.push(format!(
                "The ApplicationSets of {} go on reading the old place until they are patched; the repository's page offers the patch.",
                sets.join(", ")
            ));
        }
        said.push(
            "The clone on this computer belongs to the old place; the new one is cloned with its own credential."
                .to_owned(),
        );
    }
    if edit.strategy == Strategy::Import && codebase.strategy != "import" {
        said.push(
            "The platform takes the repository as it is and puts its webhook on it; nothing in it is overwritten."
                .to_owned(),
        );
    }
    if edit.default_branch != codebase.default_branch {
        said.push(format!(
            "The platform adds a branch object for {}; the one of {} stays.",
            edit.default_branch, codebase.default_branch
        ));
        if edit.default_branch != PLATFORM_BRANCH {
            said.push(format!("Values are read from {PLATFORM_BRANCH} all the same."));
        }
    }
    if edit.ci_tool == CiTool::Gitlab && codebase.ci_tool != "gitlab" {
        said.push("The platform pushes a .gitlab-ci.yml; its webhook for Tekton stays.".to_owned());
    }
    said
}
