//! Checks before a deploy.

use std::collections::BTreeMap;

use super::plan::{AppChoice, Choices, is_tag};
use crate::environment::environment;
use crate::objects::Objects;
use crate::repository::{PLATFORM_BRANCH, find_existing};
use crate::{Error, Result};

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// A stable id, such as `tags`.
    pub id: &'static str,
    /// What is checked.
    pub label: &'static str,
    /// Whether it passed.
    pub ok: bool,
    /// Why not, or what could not be known.
    pub why: Option<String>,
    /// Whether it stops the deploy.
    pub blocking: bool,
}

/// Whether a values file is in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// It is.
    Present,
    /// It is not.
    Absent,
    /// The repository is not cloned.
    Unknown,
}

/// What the objects do not say.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Values files by application; one that is not listed is unknown.
    pub values_files: BTreeMap<String, FileState>,
    /// The remote's own default branch, once seen.
    pub remote_branch: Option<String>,
}

fn check(id: &'static str, label: &'static str, blocking: bool, why: Vec<String>) -> Check {
    Check {
        id,
        label,
        ok: why.is_empty(),
        blocking: blocking && !why.is_empty(),
        why: (!why.is_empty()).then(|| why.join("; ")),
    }
}

/// Checks a deploy before it is started. Nothing is written; a check that cannot be made says so and does not block.
///
/// # Errors
/// An unknown flow or environment.
pub fn preflight(
    objects: &Objects,
    flow: &str,
    environment_name: &str,
    choices: &Choices,
    outside: &Outside,
) -> Result<Vec<Check>> {
    let environment = environment(objects, flow, environment_name)?;
    let of = |name: &str| choices.applications.iter().find(|one| one.application == name);
    let mut checks = Vec::new();

    let known = |name: &str| objects.codebases.iter().any(|one| one.meta.name == name);
    let mut strange: Vec<String> = choices
        .applications
        .iter()
        .filter(|one| environment.applications.iter().all(|app| app.name != one.application))
        .map(|one| format!("`{}` is not an application of this flow", one.application))
        .collect();
    strange.extend(
        environment
            .applications
            .iter()
            .filter(|app| !known(&app.name))
            .map(|app| format!("the Codebase `{}` is gone", app.name)),
    );
    checks.push(check("applications", "The applications are known", true, strange));

    let missing = environment
        .applications
        .iter()
        .filter_map(|app| match of(&app.name).map(AppChoice::plain_tag) {
            None | Some("") => Some(format!("choose a tag for {}", app.name)),
            Some(tag) if !is_tag(tag) => Some(format!("`{}` is not an image tag", tag.escape_debug())),
            Some(_) => None,
        })
        .collect();
    checks.push(check("tags", "Every application has a tag", true, missing));

    let digests = environment
        .applications
        .iter()
        .filter_map(|app| {
            let tag = of(&app.name)?.plain_tag();
            let found = app.tags.find(tag);
            // An earlier deploy's own digest goes before the stream's.
            let given = of(&app.name).is_some_and(|one| one.digest.is_some());
            let sent = "so an empty one is sent, and the tag alone decides; without it the deploy would keep the digest \
                        of the image before";
            match found {
                _ if given => None,
                Some(found) if found.digest.is_some() => None,
                Some(_) => Some(format!("the digest of {} {tag} is not known, {sent}", app.name)),
                None if tag.is_empty() || app.version.as_deref() == Some(tag) => None,
                None => Some(format!("{} {tag} is not in the image stream of this environment, {sent}", app.name)),
            }
        })
        .collect();
    checks.push(check("digests", "The digest of every image is known", false, digests));

    let busy = environment.busy.iter().map(|run| format!("{run} is still running")).collect();
    checks.push(check("idle", "No run is in progress", true, busy));

    checks.extend(values_files(flow, environment_name, choices, outside));
    checks.push(project(objects, flow, environment_name));
    checks.extend(repository(objects, outside));

    let template = &environment.trigger_template;
    checks.push(match &objects.templates {
        None => check(
            "template",
            "The TriggerTemplate is there",
            false,
            vec!["TriggerTemplates cannot be read here".to_owned()],
        ),
        Some(all) if all.iter().any(|one| one.meta.name == *template) => {
            check("template", "The TriggerTemplate is there", true, Vec::new())
        }
        Some(_) => check(
            "template",
            "The TriggerTemplate is there",
            true,
            vec![format!("there is no TriggerTemplate `{template}`")],
        ),
    });

    let failed = (environment.status == "failed").then(|| {
        environment.message.clone().unwrap_or_else(|| "the platform reports the environment as failed".to_owned())
    });
    checks.push(check("environment", "The environment is in order", false, failed.into_iter().collect()));
    Ok(checks)
}

fn values_files(flow: &str, environment: &str, choices: &Choices, outside: &Outside) -> Vec<Check> {
    let with_override: Vec<&AppChoice> = choices.applications.iter().filter(|one| one.values_override).collect();
    if with_override.is_empty() {
        return Vec::new();
    }
    let label = "Values files are in Git for every override";
    let state = |one: &AppChoice| outside.values_files.get(&one.application).copied().unwrap_or(FileState::Unknown);
    let named = |wanted: FileState, words: &str| -> Vec<String> {
        with_override
            .iter()
            .filter(|one| state(one) == wanted)
            .map(|one| format!("{flow}/{environment}/{}-values.yaml {words}", one.application))
            .collect()
    };
    let absent = named(FileState::Absent, "is not in the repository, so Argo CD could not build the application");
    if !absent.is_empty() {
        return vec![check("valuesFiles", label, true, absent)];
    }
    vec![check(
        "valuesFiles",
        label,
        false,
        named(FileState::Unknown, "could not be looked for: the repository is not cloned"),
    )]
}

/// The AppProject is named as the platform's namespace and made by the administrator, not by the operator.
fn project(objects: &Objects, flow: &str, environment: &str) -> Check {
    let label = "The Argo CD project is there";
    let stage = objects.stage(flow, environment);
    let live = objects.applications.iter().find(|one| one.meta.label("app.edp.epam.com/pipeline") == Some(flow));
    let wanted = live
        .map(|one| one.project.clone())
        .filter(|project| !project.is_empty())
        .or_else(|| stage.map(|stage| stage.meta.namespace.clone()))
        .unwrap_or_default();
    match &objects.projects {
        None => check("project", label, false, vec!["AppProjects cannot be read here".to_owned()]),
        Some(all) if all.contains(&wanted) => check("project", label, true, Vec::new()),
        Some(_) => check(
            "project",
            label,
            true,
            vec![format!("there is no AppProject `{wanted}`; an administrator has to create it")],
        ),
    }
}

fn repository(objects: &Objects, outside: &Outside) -> Vec<Check> {
    let label = "There is one GitOps repository";
    let found = find_existing(&objects.codebases);
    let mut checks = vec![match found.as_slice() {
        [_] => check("repository", label, true, Vec::new()),
        [] => check("repository", label, true, vec!["there is none; create or import it first".to_owned()]),
        // Existing flows keep working: the operator only refuses to make new ones.
        many => check("repository", label, false, vec![format!("there are {}; new flows will fail", many.len())]),
    }];
    let mut branches = Vec::new();
    if let Some(one) = found.first().filter(|one| one.default_branch != PLATFORM_BRANCH) {
        branches.push(format!("the Codebase says `{}`", one.default_branch));
    }
    if let Some(branch) = outside.remote_branch.as_deref().filter(|branch| *branch != PLATFORM_BRANCH) {
        branches.push(format!("the repository's default branch is `{branch}`"));
    }
    if !branches.is_empty() {
        branches.push(format!("the platform reads values from `{PLATFORM_BRANCH}` only"));
    }
    checks.push(check("branch", "Values are read from the branch they are committed to", false, branches));
    checks
}

impl From<&Check> for Error {
    /// A check that stops a deploy, as an error.
    fn from(check: &Check) -> Self {
        Error::Choice(check.why.clone().unwrap_or_else(|| check.label.to_owned()))
    }
}
