//! Where Argo CD alone deploys: what is there, and what its Applications are set to.

use std::collections::{BTreeMap, BTreeSet};

use pilothouse_cluster::{WatchState, kinds};
use pilothouse_delivery::{
    Objects,
    argo_cd::{Place, SourceKind, source_kind, why_kept},
    objects::{AppProject, Application},
};
use serde_json::Value;

use crate::{
    App, Result,
    commits::content_digest,
    contract::{
        AppError, ApplicationNote, ArgoApplication, ArgoCdView, ArgoParameter, ArgoProject, ChartKind, Permission,
        ValuesElsewhere, ValuesFileState,
    },
    session::{ARGO_CD, Live},
    values::small,
};

/// How many of each are offered to choose from.
const MOST_OFFERED: usize = 200;

/// An application of an environment, with the Application behind it.
pub(crate) struct Stood {
    pub(crate) application: Application,
    pub(crate) place: Place,
}

/// The Application at a place.
///
/// # Errors
/// `app.notFound`.
pub(crate) fn stood(objects: &Objects, flow: &str, env: &str, app: &str) -> Result<Stood> {
    let convention = objects.convention.as_ref();
    let found = convention.and_then(|all| all.get(flow, env, app));
    let application = found.and_then(|placed| objects.applications.get(placed.at));
    match (found, application) {
        (Some(placed), Some(application)) => {
            Ok(Stood { application: application.clone(), place: placed.place.clone() })
        }
        _ => Err(AppError::not_found(format!("there is no application {app:?} in {flow}/{env}"))),
    }
}

/// The code of the note that values are read at another branch than the one that is edited.
pub(crate) const OTHER_BRANCH: &str = "otherBranch";

/// Whether a source's revision is a branch, `HEAD` being the default one, which is the only one looked at.
pub(crate) fn is_branch(revision: &str, branch: &str) -> bool {
    matches!(revision, "" | "HEAD") || revision.strip_prefix("refs/heads/").unwrap_or(revision) == branch
}

/// What is out of the ordinary with an Application and its values file.
pub(crate) fn argo_notes(stood: &Stood, file: ValuesFileState, branch: Option<&str>) -> Vec<ApplicationNote> {
    let mut notes = Vec::new();
    let mut add = |code: &str, message: String| notes.push(ApplicationNote { code: code.to_owned(), message });
    let (path, sources) = (stood.place.file(), &stood.application.sources);
    let ignored = sources.get(stood.place.chart).is_some_and(|source| source.ignore_missing);
    match (file, ignored) {
        (ValuesFileState::Absent, true) => add(
            "fileIgnored",
            format!(
                "{path} is not in Git, and the Application passes over a missing file (`ignoreMissingValueFiles`): it \
                 runs with the chart's defaults."
            ),
        ),
        (ValuesFileState::Absent, false) => add(
            "missingValuesFile",
            format!(
                "{path} is not in Git. Argo CD does not pass over a missing file, so it cannot build the application: \
                 add the file, or set `ignoreMissingValueFiles` in the Application."
            ),
        ),
        _ => {}
    }
    let revision = sources.get(stood.place.values).map(|source| source.target_revision.as_str()).unwrap_or_default();
    if let Some(branch) = branch.filter(|branch| !is_branch(revision, branch)) {
        add(
            OTHER_BRANCH,
            format!(
                "Argo CD reads its values at `{revision}`, and what is edited here is `{branch}`: a commit reaches it only \
                 when `{revision}` is moved, or the Application."
            ),
        );
    }
    notes
}

/// What an Application is set to.
pub(crate) fn argo_application(application: &Application, place: &Place) -> ArgoApplication {
    let chart = application.sources.get(place.chart).cloned().unwrap_or_default();
    let values = application.sources.get(place.values);
    ArgoApplication {
        namespace: application.meta.namespace.clone(),
        name: application.meta.name.clone(),
        project: application.project.clone(),
        cluster: application.cluster.clone(),
        target_namespace: application.namespace.clone(),
        chart_kind: match source_kind(&chart) {
            SourceKind::Git => ChartKind::Git,
            SourceKind::Helm => ChartKind::Helm,
            SourceKind::Oci => ChartKind::Oci,
        },
        chart: if chart.chart.is_empty() { chart.path } else { chart.chart },
        chart_url: shown(&chart.repo_url),
        revision: chart.target_revision,
        parameters: chart.parameters.into_iter().map(|(name, value)| ArgoParameter { name, value }).collect(),
        values_revision: values.map(|one| one.target_revision.clone()).unwrap_or_default(),
        ignore_missing: chart.ignore_missing,
        automated: application.automated.is_some(),
        prune: application.automated.is_some_and(|one| one.prune),
        why_kept: why_kept(application),
    }
}

fn project(one: &AppProject) -> ArgoProject {
    let place = |to: &pilothouse_delivery::objects::ProjectDestination| {
        let cluster = if to.server.is_empty() { &to.name } else { &to.server };
        format!("{} in {cluster}", to.namespace)
    };
    ArgoProject {
        name: one.meta.name.clone(),
        namespace: one.meta.namespace.clone(),
        description: one.description.clone(),
        source_repos: one.source_repos.iter().take(MOST_OFFERED).cloned().collect(),
        destinations: one.destinations.iter().take(MOST_OFFERED).map(place).collect(),
    }
}

/// An address without the login that somebody may have written into it: what the window does not need it does not get.
fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    match authority.rsplit_once('@') {
        // Over SSH the user is part of the address, and a password is not.
        Some((user, host)) if scheme.eq_ignore_ascii_case("ssh") && !user.contains(':') => {
            format!("{scheme}://{user}@{host}{path}")
        }
        Some((_, host)) => format!("{scheme}://{host}{path}"),
        None => address.to_owned(),
    }
}

/// An Application's source as YAML, without a login in its address.
pub(crate) fn source_shown(source: &Value) -> Result<String> {
    let mut source = source.clone();
    if let Some(Value::String(address)) = source.get_mut("repoURL") {
        *address = shown(address);
    }
    serde_yaml::to_string(&source).map_err(|e| AppError::internal(e.to_string()))
}

/// What a source is known by when a change comes back from the window: the source itself may hold a login.
pub(crate) fn source_digest(source: &Value) -> String {
    content_digest(source.to_string().as_bytes())
}

fn offered(all: BTreeSet<String>) -> Vec<String> {
    all.into_iter().filter(|text| !text.is_empty()).take(MOST_OFFERED).collect()
}

impl App {
    /// The AppProjects; none where they may not be listed.
    pub(crate) fn app_projects(&self, live: &Live) -> Option<Vec<AppProject>> {
        let found: Vec<AppProject> = live.list(&kinds::APP_PROJECT).iter().map(|one| AppProject::read(one)).collect();
        let hidden = matches!(live.index().state(&kinds::APP_PROJECT), WatchState::Absent | WatchState::Forbidden(_));
        (!hidden || !found.is_empty()).then_some(found)
    }

    /// The branch that values are edited on, as far as it is known.
    pub(crate) async fn edited_branch(&self) -> Option<String> {
        let repository = self.maybe_gitops().await.ok().flatten()?;
        self.remote_note(&repository.url).await.ok()?.default_branch
    }

    /// Whether the user may change, sync and delete the Applications of an environment.
    pub(crate) async fn argo_permissions(
        &self,
        live: &Live,
        objects: &Objects,
        flow: &str,
        env: &str,
    ) -> [Permission; 3] {
        let placed = objects.convention.iter().flat_map(|all| all.all());
        let here = placed.filter(|one| one.place.flow.as_str() == flow && one.place.environment.as_str() == env);
        let namespaces =
            here.filter_map(|one| Some(objects.applications.get(one.at)?.meta.namespace.clone())).collect();
        let change = self.may_in_all(live, "update", &namespaces).await;
        [change.clone(), change, self.may_in_all(live, "delete", &namespaces).await]
    }

    /// Whether the user may do something with the Applications of some namespaces, all of them.
    pub(crate) async fn may_in_all(&self, live: &Live, verb: &str, namespaces: &BTreeSet<String>) -> Permission {
        for namespace in namespaces {
            let found = self.may(live, verb, &kinds::APPLICATION, Some(namespace)).await;
            if !found.allowed {
                return found;
            }
        }
        Permission { allowed: true, why: None }
    }

    /// Argo CD, where it alone deploys.
    pub async fn argo_cd(&self) -> Result<ArgoCdView> {
        let (live, platform) = self.deliverer()?;
        if let Some(platform) = platform {
            return Err(AppError::blocked(format!("the platform in {platform} makes Argo CD's Applications here")));
        }
        let objects = self.objects(&live);
        let projects = self.app_projects(&live);
        let repository = self.maybe_gitops().await?;
        let branch = match &repository {
            Some(repository) => {
                let note = self.remote_note(&repository.url).await?;
                Some(note.default_branch.unwrap_or_else(|| repository.usual_branch.clone()))
            }
            None => None,
        };
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        for one in projects.iter().flatten() {
            *known.entry(&one.meta.namespace).or_default() += 1000;
        }
        for one in &objects.applications {
            *known.entry(&one.meta.namespace).or_default() += 1;
        }
        let mut namespaces: Vec<(&str, usize)> = known.into_iter().collect();
        namespaces.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let mut namespaces: Vec<String> = namespaces.into_iter().map(|(name, _)| name.to_owned()).collect();
        namespaces.truncate(MOST_OFFERED);
        if namespaces.is_empty() {
            namespaces.push(ARGO_CD.to_owned());
        }
        let can_create = self.may(&live, "create", &kinds::APPLICATION, namespaces.first().map(String::as_str)).await;
        let mut elsewhere: BTreeMap<String, usize> = BTreeMap::new();
        for (url, count) in objects.convention.iter().flat_map(|all| &all.elsewhere) {
            *elsewhere.entry(shown(url)).or_default() += count;
        }
        let sources = objects.applications.iter().flat_map(|one| &one.sources);
        Ok(ArgoCdView {
            repository: repository.as_ref().map(|one| one.shown().to_owned()),
            branch,
            elsewhere: elsewhere
                .into_iter()
                .take(MOST_OFFERED)
                .map(|(url, count)| ValuesElsewhere { url, applications: small(count) })
                .collect(),
            applications: small(objects.applications.len()),
            namespaces,
            projects: projects.map(|all| all.iter().map(project).collect()),
            clusters: offered(objects.applications.iter().map(|one| one.cluster.clone()).collect()),
            chart_urls: offered(
                sources.filter(|one| one.reference.is_none()).map(|one| shown(&one.repo_url)).collect(),
            ),
            can_create,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{shown, source_digest, source_shown};

    #[test]
    fn a_login_in_an_address_is_not_shown() {
        for (address, wanted) in [
            ("https://git.example.com/acme/gitops.git", "https://git.example.com/acme/gitops.git"),
            ("https://robin:hush@git.example.com/acme/x", "https://git.example.com/acme/x"),
            ("HTTPS://hush@git.example.com/a@b", "HTTPS://git.example.com/a@b"),
            ("https://robin:hu@sh@git.example.com", "https://git.example.com"),
            ("ssh://git@git.example.com:22/acme/x", "ssh://git@git.example.com:22/acme/x"),
            ("ssh://git:hush@git.example.com/x", "ssh://git.example.com/x"),
            ("git@git.example.com:acme/x.git", "git@git.example.com:acme/x.git"),
            ("registry.example.com:5000/charts", "registry.example.com:5000/charts"),
        ] {
            assert_eq!(shown(address), wanted);
        }
    }
    #[test]
    fn a_source_comes_without_the_login_in_its_address() {
        let source = json!({ "repoURL": "https://robin:hush@git.example.com/acme/x", "path": "chart" });
        assert_eq!(source_shown(&source).unwrap(), "repoURL: https://git.example.com/acme/x\npath: chart\n");
        let other = json!({ "repoURL": "https://robin:other@git.example.com/acme/x", "path": "chart" });
        assert_ne!(source_digest(&source), source_digest(&other));
        assert!(!source_digest(&source).contains("hush"));
    }
}
