//! An application's chart: the defaults that its values files stand on.

use pilothouse_git::{Access, BareClone, CommitId, RepoPath};

use crate::{
    App, Result,
    contract::{AppError, ChartDefaults, ValuesFile},
    gitops::GitOps,
    seen_charts::Place,
    values::text_of,
};

/// Where a chart's defaults lie in an application's repository (cd-pipeline-operator, generateTemplatePatch).
const DEFAULTS: &str = "deploy-templates/values.yaml";

/// Which of an application's references was read.
struct Found {
    text: String,
    reference: String,
}

/// Reads the defaults at the first reference that has them. Blocks.
fn read_defaults(
    clone: &BareClone,
    access: &Access,
    references: &[(String, bool)],
) -> pilothouse_git::Result<Option<(Vec<u8>, String)>> {
    let path = RepoPath::parse(DEFAULTS)?;
    for (name, is_tag) in references {
        let commit: Option<CommitId> =
            if *is_tag { clone.fetch_tag(access, name)? } else { clone.fetch_tip(access, name)?.tip };
        let Some(commit) = commit else { continue };
        if let Some(content) = clone.read(&commit, &path, pilothouse_values::LIMIT)? {
            return Ok(Some((content.bytes, name.clone())));
        }
    }
    Ok(None)
}

impl App {
    /// Under which words an application's defaults are remembered.
    pub(crate) fn chart_place(&self, file: &ValuesFile) -> Place {
        let context = self.context_name().unwrap_or_default();
        (context, format!("{}/{}", file.flow, file.env), file.app.clone())
    }

    /// The defaults of an application's chart as of the version deployed in an environment, else of its newest
    /// build, else of its default branch. The GitOps repository's credential is used where the server is the same.
    pub(crate) async fn chart_defaults(&self, repository: &GitOps, file: &ValuesFile) -> Result<ChartDefaults> {
        let (live, _) = self.platform()?;
        let objects = self.objects(&live);
        let codebase = objects.codebases.iter().find(|c| c.meta.name == file.app);
        let codebase =
            codebase.ok_or_else(|| AppError::not_found(format!("there is no application {:?}", file.app)))?;
        let url = self.application_url(codebase, &objects.git_servers, repository.transport)?;
        let credential = match self.kept_credential(&url).await? {
            Some(credential) => credential,
            None if url.authority() == repository.url.authority() && url.scheme() == repository.url.scheme() => {
                self.credential(&repository.url).await?
            }
            None => self.credential(&url).await?,
        };
        let environment = pilothouse_delivery::environment(&objects, &file.flow, &file.env)?;
        let state = environment.applications.iter().find(|a| a.name == file.app);
        let tag = state.and_then(|s| s.version.clone().or_else(|| s.tags.tags.first().map(|t| t.name.clone())));
        let mut references: Vec<(String, bool)> = Vec::new();
        if let Some(tag) = tag {
            if codebase.versioning == "semver" {
                references.push((format!("build/{tag}"), true));
            } else {
                references.push((tag.clone(), true));
                references.push((tag, false));
            }
        }
        if !codebase.default_branch.is_empty() {
            references.push((codebase.default_branch.clone(), false));
        }
        let place = self.chart_place(file);
        let wanted = references.first().map(|(name, _)| name.clone()).unwrap_or_default();
        // A build's tag does not move, so that what was read there stays true.
        if let Some((reference, defaults)) = self.charts.get(&place)
            && reference == wanted
            && references.first().is_some_and(|(_, is_tag)| *is_tag)
        {
            return Ok(defaults);
        }
        let access = self.access(&url, credential, None).await?;
        let clone = self.bare_clone(&url).await?;
        let found = self.git(move || read_defaults(&clone, &access, &references)).await?;
        let found = match found {
            Some((bytes, reference)) => Found { text: text_of(&RepoPath::parse(DEFAULTS)?, bytes)?, reference },
            None => {
                return Err(AppError::not_found(format!(
                    "{} has no {DEFAULTS} at {wanted} or on its default branch",
                    file.app
                )));
            }
        };
        let defaults = ChartDefaults {
            text: found.text,
            source: format!("{}: {DEFAULTS} at {}", codebase.git_url_path.trim_matches('/'), found.reference),
        };
        self.charts.saw(place, &found.reference, &defaults);
        Ok(defaults)
    }
}
