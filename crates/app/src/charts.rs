//! An application's chart: the defaults that its values files stand on, and the whole of it.

use std::sync::{Arc, Mutex, PoisonError};

use pilothouse_delivery::{
    chart::{Chart, ChartError, Origin},
    repository::same_repository,
};
use pilothouse_git::{Access, BareClone, CommitId, RemoteUrl, RepoPath, probe};

use crate::{
    App, Result,
    contract::{AppError, ChartDefaults, ValuesFile},
    gitops::GitOps,
    operations::Operation,
    seen_charts::{Place, SeenChart},
    values::text_of,
};

/// The chart's folder in an application's repository (cd-pipeline-operator, generateTemplatePatch).
const FOLDER: &str = "deploy-templates";
/// Where a chart's defaults lie in its folder.
const DEFAULTS: &str = "values.yaml";
/// A chart's description of its values, beside its defaults.
const SCHEMA: &str = "values.schema.json";
/// How many charts are kept.
const MOST_CHARTS: usize = 4;

/// A chart in a Git repository.
#[derive(Clone)]
pub(crate) struct InGit {
    pub(crate) url: RemoteUrl,
    pub(crate) access: Access,
    /// The references in the order they are tried, and whether each is a tag.
    pub(crate) references: Vec<(String, bool)>,
    /// The chart's folder in it; empty is the whole repository.
    pub(crate) folder: String,
}

/// Where an application's chart is read.
pub(crate) struct ChartPlace {
    pub(crate) git: InGit,
    /// The repository as people know it.
    pub(crate) title: String,
    /// The version that the deploy uses, or would use, and its digest.
    pub(crate) tag: Option<(String, Option<String>)>,
}

/// An application's chart, and where it was read.
pub(crate) struct FoundChart {
    pub(crate) chart: Arc<Chart>,
    /// Where it was read: repository, folder and reference, or the place where it is published.
    pub(crate) source: String,
    /// The version that the deploy uses, or would use, and its digest.
    pub(crate) tag: Option<(String, Option<String>)>,
}

/// Whole charts read lately, by repository and build tag.
#[derive(Default)]
pub(crate) struct ChartShelf(Mutex<Vec<(String, String, Arc<Chart>)>>);

impl ChartShelf {
    pub(crate) fn get(&self, url: &str, tag: &str) -> Option<Arc<Chart>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(u, t, _)| u == url && t == tag).map(|(.., chart)| chart.clone())
    }

    pub(crate) fn put(&self, url: &str, tag: &str, chart: &Arc<Chart>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(u, t, _)| u != url || t != tag);
        if kept.len() >= MOST_CHARTS {
            kept.remove(0);
        }
        kept.push((url.to_owned(), tag.to_owned(), chart.clone()));
    }
}

impl InGit {
    /// A file of the chart, in its repository.
    fn path(&self, name: &str) -> String {
        if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) }
    }
}

/// A source's `path` as a folder; empty is the whole repository.
pub(crate) fn folder_of(path: &str) -> String {
    let folder = path.trim_start_matches("./").trim_matches('/');
    if folder == "." { String::new() } else { folder.to_owned() }
}

/// Brings what a reference names. Blocks.
fn commit_of(clone: &BareClone, access: &Access, name: &str, is_tag: bool) -> pilothouse_git::Result<Option<CommitId>> {
    if is_tag {
        return clone.fetch_tag(access, name);
    }
    // A commit is found in the history of the default branch, where it mostly is.
    if let Ok(commit) = CommitId::parse(name) {
        if clone.commit_info(&commit).is_err()
            && let Some(branch) = probe(clone.url(), access)?.default_branch
        {
            clone.fetch(access, &branch)?;
        }
        return Ok(clone.commit_info(&commit).is_ok().then_some(commit));
    }
    if matches!(name, "" | "HEAD") {
        let Some(branch) = probe(clone.url(), access)?.default_branch else { return Ok(None) };
        return Ok(clone.fetch_tip(access, &branch)?.tip);
    }
    Ok(clone.fetch_tip(access, name)?.tip)
}

/// Reads the whole chart at the first reference that has one. Blocks.
fn read_chart(
    clone: &BareClone,
    access: &Access,
    references: &[(String, bool)],
    folder: &str,
) -> std::result::Result<Option<(Chart, String)>, ChartError> {
    let folder = (!folder.is_empty()).then(|| RepoPath::parse(folder)).transpose()?;
    for (name, is_tag) in references {
        let Some(commit) = commit_of(clone, access, name, *is_tag)? else { continue };
        match Chart::read(clone, &commit, folder.as_ref()) {
            Ok(chart) => return Ok(Some((chart, name.clone()))),
            Err(ChartError::Absent { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}

/// What was read of a chart, and at which of the references.
struct Found {
    defaults: Vec<u8>,
    /// None where the chart has none that can be read.
    schema: Option<Vec<u8>>,
    reference: String,
}

/// Reads the defaults at the first reference that has them. Blocks.
fn read_defaults(
    clone: &BareClone,
    access: &Access,
    references: &[(String, bool)],
    (path, schema): (&str, &str),
) -> pilothouse_git::Result<Option<Found>> {
    let (path, schema) = (RepoPath::parse(path)?, RepoPath::parse(schema)?);
    for (name, is_tag) in references {
        let Some(commit) = commit_of(clone, access, name, *is_tag)? else { continue };
        if let Some(content) = clone.read(&commit, &path, pilothouse_values::LIMIT)? {
            // A schema that is a link, or huge, is no reason to do without the defaults.
            let schema = clone.read(&commit, &schema, pilothouse_values::SCHEMA_LIMIT).ok().flatten();
            let (defaults, schema) = (content.bytes, schema.map(|content| content.bytes));
            return Ok(Some(Found { defaults, schema, reference: name.clone() }));
        }
    }
    Ok(None)
}

impl App {
    /// Whether an address of the cluster leads to the repository that is read; on the practice cluster it is a folder.
    fn same_place(&self, address: &str, url: &RemoteUrl) -> bool {
        same_repository(address, url.as_str()) || self.remote(address).is_ok_and(|found| found.as_str() == url.as_str())
    }

    /// Under which words an application's defaults are remembered.
    pub(crate) fn chart_place(&self, file: &ValuesFile) -> Place {
        let context = self.context_name().unwrap_or_default();
        (context, format!("{}/{}", file.flow, file.env), file.app.clone())
    }

    /// Where an application's chart is read: at the version deployed in an environment, else at its newest build, else
    /// on its default branch. The GitOps repository's credential is used where the server is the same.
    pub(crate) async fn find_chart(
        &self,
        repository: &GitOps,
        file: &ValuesFile,
        operation: Option<&Operation>,
    ) -> Result<ChartPlace> {
        let (live, platform) = self.deliverer()?;
        let objects = self.objects(&live);
        if platform.is_none() {
            return self.find_argo_chart(repository, file, &objects, operation).await;
        }
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
        let tag = state.and_then(|s| {
            let deployed = s.version.clone().map(|version| (version, s.digest.clone()));
            deployed.or_else(|| s.tags.tags.first().map(|t| (t.name.clone(), t.digest.clone())))
        });
        let mut references: Vec<(String, bool)> = Vec::new();
        if let Some((tag, _)) = tag.clone() {
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
        let access = self.access(&url, credential, operation).await?;
        let title = codebase.git_url_path.trim_matches('/').to_owned();
        // An Application may have been pointed at another folder of the same repository.
        let folder = match self.deployed(&live, file)?.0.origin {
            Origin::Git { url: at, path, .. } if self.same_place(&at, &url) => folder_of(&path),
            _ => FOLDER.to_owned(),
        };
        let git = InGit { url, access, references, folder };
        Ok(ChartPlace { git, title, tag })
    }

    /// The whole chart of an application, where [`App::find_chart`] says.
    pub(crate) async fn whole_chart(&self, file: &ValuesFile, place: ChartPlace) -> Result<FoundChart> {
        let ChartPlace { git, title, tag } = place;
        let source = |reference: &str| format!("{title}: {} at {reference}", git.folder);
        let shelf = |reference: &str| format!("{reference}:{}", git.folder);
        // A build's tag does not move, so that what was read there stays true.
        if let Some((build, true)) = git.references.first()
            && let Some(chart) = self.shelf.get(git.url.as_str(), &shelf(build))
        {
            return Ok(FoundChart { chart, source: source(build), tag });
        }
        let clone = self.bare_clone(&git.url).await?;
        let (access, references, folder) = (git.access.clone(), git.references.clone(), git.folder.clone());
        let read = move || match read_chart(&clone, &access, &references, &folder) {
            // As everything that Git says: a host key that is not known is remembered, to be accepted.
            Err(ChartError::Git(error)) => Err(error),
            other => Ok(other),
        };
        let found = self.git(read).await??;
        let Some((chart, reference)) = found else {
            let wanted = git.references.first().map(|(name, _)| name.as_str()).unwrap_or_default();
            return Err(AppError::not_found(format!(
                "{} has no chart in {} at {wanted} or on its default branch",
                file.app, git.folder
            )));
        };
        let chart = Arc::new(chart);
        if git.references.first().is_some_and(|(name, is_tag)| *is_tag && *name == reference) {
            self.shelf.put(git.url.as_str(), &shelf(&reference), &chart);
        }
        Ok(FoundChart { chart, source: source(&reference), tag })
    }

    /// The defaults of an application's chart, where [`App::find_chart`] says.
    pub(crate) async fn chart_defaults(&self, repository: &GitOps, file: &ValuesFile) -> Result<ChartDefaults> {
        if let Some(source) = self.published_chart(file)? {
            return self.published_defaults(file, &source).await;
        }
        let ChartPlace { git, title, .. } = self.find_chart(repository, file, None).await?;
        let place = self.chart_place(file);
        let (path, schema) = (git.path(DEFAULTS), git.path(SCHEMA));
        let InGit { url, access, references, .. } = git;
        let wanted = references.first().map(|(name, _)| name.clone()).unwrap_or_default();
        // A build's tag does not move, so that what was read there stays true.
        if let Some(seen) = self.charts.get(&place)
            && seen.reference == wanted
            && references.first().is_some_and(|(_, is_tag)| *is_tag)
        {
            return Ok(seen.defaults);
        }
        let clone = self.bare_clone(&url).await?;
        let at = path.clone();
        let found = self.git(move || read_defaults(&clone, &access, &references, (&at, &schema))).await?;
        let Some(found) = found else {
            let words = format!("{} has no {path} at {wanted} or on its default branch", file.app);
            return Err(AppError::not_found(words));
        };
        let defaults = ChartDefaults {
            text: text_of(&RepoPath::parse(&path)?, found.defaults)?,
            source: format!("{title}: {path} at {}", found.reference),
        };
        self.saw_chart(place, found.reference, defaults, found.schema).await
    }

    /// Remembers what was read of a chart.
    pub(crate) async fn saw_chart(
        &self,
        place: Place,
        reference: String,
        defaults: ChartDefaults,
        schema: Option<Vec<u8>>,
    ) -> Result<ChartDefaults> {
        let schema = schema.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = defaults.text.clone();
        // A large chart takes a while to read.
        let knowledge =
            crate::blocking(move || Ok(pilothouse_values::Chart::new(Some(&text), schema.as_deref()))).await?;
        let knowledge = Arc::new(knowledge);
        self.charts.saw(place, SeenChart { reference, defaults: defaults.clone(), knowledge });
        Ok(defaults)
    }
}
