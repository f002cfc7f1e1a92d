//! The form that makes a GitOps repository, its rules, and the Codebase it comes to.
//!
//! The rules are those of krci-portal's CreateGitOpsForm and of codebase-operator's admission webhook; the object is the
//! portal's (createCodebaseDraft), except that a new repository is private unless asked otherwise.

use serde_json::{Value, json};

use super::find_existing;
use crate::FieldProblem;
use crate::objects::{GitServer, Objects};

/// How the repository comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// The platform makes it at the provider.
    #[default]
    Create,
    /// It exists.
    Import,
}

impl Strategy {
    /// The word in `spec.strategy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Import => "import",
        }
    }
}

/// Which CI checks the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CiTool {
    /// Tekton in the platform.
    #[default]
    Tekton,
    /// GitLab CI; on GitLab servers only.
    Gitlab,
}

impl CiTool {
    /// The word in `spec.ciTool`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tekton => "tekton",
            Self::Gitlab => "gitlab",
        }
    }
}

/// What the wizard asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Create or import.
    pub strategy: Strategy,
    /// The GitServer's name.
    pub git_server: String,
    /// The owner: user, organisation, workspace, or group with subgroups; unused for Gerrit.
    pub owner: String,
    /// The repository's name; unused for Gerrit.
    pub repository: String,
    /// The repository's path; for Gerrit only.
    pub git_url_path: String,
    /// Which CI checks it.
    pub ci_tool: CiTool,
    /// The default branch.
    pub default_branch: String,
    /// Ask the provider for a private repository.
    pub private: bool,
    /// The Codebase's name.
    pub name: String,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            strategy: Strategy::Create,
            git_server: String::new(),
            owner: String::new(),
            repository: "krci-gitops".to_owned(),
            git_url_path: "/krci-gitops".to_owned(),
            ci_tool: CiTool::Tekton,
            default_branch: super::PLATFORM_BRANCH.to_owned(),
            private: true,
            name: "krci-gitops".to_owned(),
        }
    }
}

impl Form {
    /// The path on the server that this form comes to, always with a leading slash.
    pub fn path(&self, server: Option<&GitServer>) -> String {
        if is_gerrit(server) {
            format!("/{}", self.git_url_path.trim_start_matches('/'))
        } else {
            format!("/{}/{}", self.owner.trim_matches('/'), self.repository)
        }
    }
}

fn is_gerrit(server: Option<&GitServer>) -> bool {
    server.is_some_and(|server| server.provider == "gerrit")
}

/// Checks a form against the platform as it is. Empty when the Codebase may be created.
pub fn validate(form: &Form, objects: &Objects) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let mut add = |field: &str, message: String| problems.push(FieldProblem::new(field, message));
    let server = objects.git_servers.iter().find(|server| server.meta.name == form.git_server);
    match server {
        None => add("gitServer", "Select an existing Git server".to_owned()),
        Some(server) if !server.connected => {
            let why = server.error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            add("gitServer", format!("The platform has no connection to this Git server{why}"));
        }
        Some(_) => {}
    }
    if is_gerrit(server) {
        if form.git_url_path.chars().count() < 3 {
            add("gitUrlPath", "Write a path of at least 3 characters, such as /krci-gitops".to_owned());
        } else if let Some(flaw) = path_flaw(form.git_url_path.trim_start_matches('/')) {
            add("gitUrlPath", flaw);
        }
    } else {
        if form.owner.is_empty() {
            add("owner", "Select owner".to_owned());
        } else if let Some(flaw) = path_flaw(&form.owner) {
            add("owner", flaw);
        }
        if form.repository.is_empty() && form.strategy == Strategy::Import {
            add("repository", "Select repository".to_owned());
        } else if let Some(flaw) = repository_flaw(&form.repository) {
            add("repository", flaw.to_owned());
        }
    }
    if form.ci_tool == CiTool::Gitlab && server.is_some_and(|server| server.provider != "gitlab") {
        add("ciTool", "GitLab CI runs on GitLab servers only; choose Tekton".to_owned());
    }
    if let Some(flaw) = branch_flaw(&form.default_branch) {
        add("defaultBranch", flaw.to_owned());
    }
    match pilothouse_cluster::Name::parse("name", &form.name) {
        Err(error) => add("name", error.to_string()),
        Ok(_) if form.name.contains("--") => add("name", "Two dashes in a row are not allowed".to_owned()),
        Ok(_)
            if objects.codebases.iter().any(|one| one.meta.name == form.name)
                && find_existing(&objects.codebases).is_empty() =>
        {
            add("name", format!("There is another Codebase named `{}`", form.name));
        }
        Ok(_) => {}
    }
    if let Some(existing) = find_existing(&objects.codebases).first() {
        add(
            "form",
            format!("The platform already has the GitOps repository `{}`, and it reads only one", existing.meta.name),
        );
    } else if server.is_some() {
        let path = comparable(&form.path(server));
        if let Some(other) = objects.codebases.iter().find(|one| comparable(&one.git_url_path) == path) {
            let field = if is_gerrit(server) { "gitUrlPath" } else { "repository" };
            add(field, format!("The Codebase `{}` already uses this repository", other.meta.name));
        }
    }
    problems
}

/// A path as the operator compares it: lower-cased, with a leading slash, without `.git`.
pub(super) fn comparable(path: &str) -> String {
    let path = path.trim().to_lowercase();
    let path = path.trim_matches('/');
    format!("/{}", path.strip_suffix(".git").unwrap_or(path))
}

/// The portal's REPOSITORY_NAME rules (core/constants/validation.ts), in its order.
fn repository_flaw(name: &str) -> Option<&'static str> {
    if name.chars().count() < 3 {
        return Some("The name must have at least 3 characters");
    }
    if name.starts_with('/') || name.ends_with('/') {
        return Some("The name must not begin or end with a slash");
    }
    if !name.starts_with(|ch: char| ch.is_ascii_alphanumeric()) {
        return Some("The name must begin with a letter or a digit");
    }
    if !name.chars().all(|ch| ch.is_ascii_alphanumeric() || matches!(ch, '.' | '_' | '-')) {
        return Some("The name may hold letters, digits, dots, dashes and underscores");
    }
    if name.contains("..") {
        return Some("The name must not hold two dots in a row");
    }
    // codebase-operator's webhook looks at the path without this suffix.
    if name.strip_suffix(".git").is_some() {
        return Some("Leave out .git at the end");
    }
    (name.len() > 100).then_some("The name must have at most 100 characters")
}

/// A path of several names, such as a group with subgroups.
pub(super) fn path_flaw(path: &str) -> Option<String> {
    if path.len() > 255 {
        return Some("At most 255 characters".to_owned());
    }
    path.split('/').find_map(|part| {
        let safe = part.chars().all(|ch| ch.is_ascii_alphanumeric() || matches!(ch, '.' | '_' | '-' | '~'));
        if part.is_empty() {
            Some("Write names separated by single slashes".to_owned())
        } else if !safe || part.starts_with('-') || part.chars().all(|ch| ch == '.') {
            Some(format!("`{}` is not a name of letters, digits, dots, dashes and underscores", part.escape_debug()))
        } else {
            None
        }
    })
}

/// The parts of git-check-ref-format that matter for a branch typed by hand.
pub(super) fn branch_flaw(branch: &str) -> Option<&'static str> {
    let safe = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '.' | '_' | '-' | '/');
    if branch.is_empty() {
        return Some("Write the default branch, usually main");
    }
    let wrong = branch.len() > 200
        || !branch.chars().all(safe)
        || branch.starts_with(['-', '/', '.'])
        || branch.ends_with(['/', '.'])
        || branch.ends_with(".lock")
        || ["..", "//", "/."].iter().any(|bad| branch.contains(bad));
    wrong.then_some("This is not a branch name Git accepts")
}

/// The Codebase a form comes to, in the portal's order of fields. Only `private` differs from what the portal sends.
pub fn render(form: &Form, server: Option<&GitServer>) -> Value {
    json!({
        "apiVersion": "v2.edp.epam.com/v1",
        "kind": "Codebase",
        "metadata": {
            "name": form.name,
            "labels": {
                "app.edp.epam.com/systemType": "gitops",
                "app.edp.epam.com/codebaseType": "system",
            },
        },
        "spec": {
            "ciTool": form.ci_tool.as_str(),
            "type": "system",
            "buildTool": "helm",
            "defaultBranch": form.default_branch,
            "deploymentScript": "helm-chart",
            "emptyProject": false,
            "framework": "gitops",
            "gitServer": form.git_server,
            "lang": "helm",
            "private": form.private,
            "strategy": form.strategy.as_str(),
            "versioning": { "type": "semver", "startFrom": "0.1.0-SNAPSHOT" },
            "gitUrlPath": form.path(server),
            "repository": null,
        },
    })
}

/// [`render`] as YAML, to be shown before it is sent.
pub fn render_yaml(form: &Form, server: Option<&GitServer>) -> String {
    // A JSON value always has a YAML form.
    serde_yaml::to_string(&render(form, server)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_follow_the_portal() {
        for good in ["krci-gitops", "a1_b.c", "ABC"] {
            assert_eq!(repository_flaw(good), None, "{good}");
        }
        for bad in ["", "ab", "/abc", "abc/", "-abc", ".abc", "a b c", "a..b", "a/b", "äbc", "abc.git"] {
            assert!(repository_flaw(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn owners_and_branches_are_checked() {
        for bad in ["a//b", "/a", "..", "a/../b", "-x", "a b", "a\nb", "a%0ab"] {
            assert!(path_flaw(bad).is_some(), "{bad}");
        }
        assert_eq!(path_flaw("group/sub.group"), None);
        for bad in ["", "-x", "a..b", "a b", "a.lock", "/a", "a/", "a~1", "refs:x"] {
            assert!(branch_flaw(bad).is_some(), "{bad}");
        }
        assert_eq!(branch_flaw("release/1.0"), None);
    }
}
