//! Environments and deployments.

use std::collections::BTreeMap;

use pilothouse_cluster::kinds;
use pilothouse_delivery::{
    ApplicationState, Run, RunKind, RunStatus, deploy::why_no_sync, environment,
};
use pilothouse_git::{BareClone, CommitId, EntryKind, RepoPath};

use crate::{
    App, Result,
    contract::{
        ApplicationNote, ApplicationView, CarriedApplication, DeployRunEntry, DeployStatus,
        DriftView, EnvironmentView, HealthView, OperationView, OverrideState, SyncView, TagEntry,
        ValuesFile, ValuesFileState,
    },
    gitops::Fetched,
};

/// The most entries that an environment's folder is listed with.
const MAX_LISTED: usize = 50_000;
/// How many deployed commits' listings are held at once.
const MAX_DEPLOYED: usize = 16;

/// A run as the window sees it.
pub(crate) fn run_entry(run: &Run) -> DeployRunEntry {
    DeployRunEntry {
        name: run.name.clone(),
        clean: run.kind == RunKind::Clean,
        cancelling: run.cancelling,
        applications: run
            .carried
            .iter()
            .map(|one| CarriedApplication {
                application: one.application.clone(),
                tag: one.tag.clone(),
                digest: one.digest.clone(),
                values_override: one.values_override,
            })
            .collect(),
        status: match run.status {
            RunStatus::Pending => DeployStatus::Pending,
            RunStatus::Running => DeployStatus::Running,
            RunStatus::Succeeded => DeployStatus::Succeeded,
            RunStatus::Failed => DeployStatus::Failed,
            RunStatus::Cancelled => DeployStatus::Cancelled,
        },
        reason: run.reason.clone(),
        started_at: run.started.clone().or_else(|| run.created.clone()),
        finished_at: run.finished.clone(),
    }
}

/// What Git says about one application's values file.
pub(crate) struct FileFacts {
    pub(crate) state: ValuesFileState,
    pub(crate) drift: Option<DriftView>,
}

/// The values files of an environment at one commit, by path: their blobs, or nothing where Helm would read no file.
type Listed = BTreeMap<String, Option<String>>;

/// Looks at the whole folder once, however many applications there are.
fn listed(clone: &BareClone, at: &CommitId, folder: &RepoPath) -> pilothouse_git::Result<Listed> {
    let entries = clone.list(at, Some(folder), MAX_LISTED)?;
    let readable =
        |size: Option<u64>| size.is_some_and(|size| size <= pilothouse_values::LIMIT as u64);
    let files = entries.into_iter().map(|entry| {
        let file =
            matches!(entry.kind, EntryKind::File | EntryKind::Executable) && readable(entry.size);
        (entry.path, file.then_some(entry.blob))
    });
    Ok(files.collect())
}

/// What stands at a path: `Ok(None)` is nothing, an error what is no file that could be read.
fn blob_at<'l>(listed: &'l Listed, path: &RepoPath) -> std::result::Result<Option<&'l str>, ()> {
    match listed.get(path.as_str()) {
        Some(blob) => blob.as_deref().map(Some).ok_or(()),
        None => {
            let below = format!("{path}/");
            let folder = listed
                .range(below.clone()..)
                .next()
                .is_some_and(|(found, _)| found.starts_with(&below));
            if folder { Err(()) } else { Ok(None) }
        }
    }
}

/// Looks at values files in a clone: is the file there, and is what was deployed what is there now? Blocks.
fn look(
    fetched: &Fetched,
    flow: &str,
    env: &str,
    applications: &[(String, Option<String>)],
) -> pilothouse_git::Result<BTreeMap<String, FileFacts>> {
    let mut facts = BTreeMap::new();
    let folder = RepoPath::parse(&format!("{flow}/{env}"))?;
    // A link or a huge file: Helm would not read it either; opening it says why.
    let now = fetched
        .tip
        .as_ref()
        .map(|tip| listed(&fetched.clone, tip, &folder));
    let mut before: BTreeMap<&str, Option<Listed>> = BTreeMap::new();
    let mut drifted = Vec::new();
    for (app, deployed) in applications {
        let file = ValuesFile {
            flow: flow.to_owned(),
            env: env.to_owned(),
            app: app.clone(),
        };
        let Ok(path) = file.path() else { continue };
        let blob = match &now {
            None => Ok(None),
            Some(Ok(now)) => blob_at(now, &path),
            Some(Err(_)) => Err(()),
        };
        let state = match blob {
            Ok(Some(_)) => ValuesFileState::Present,
            Ok(None) => ValuesFileState::Absent,
            Err(()) => ValuesFileState::Unknown,
        };
        if let (Some(_), Some(deployed)) = (&fetched.tip, deployed)
            && let Ok(then) = CommitId::parse(deployed)
        {
            if before.len() >= MAX_DEPLOYED && !before.contains_key(deployed.as_str()) {
                before.clear();
            }
            // The deployed commit may be older than the clone's history; then nothing is said.
            let then = before
                .entry(deployed)
                .or_insert_with(|| listed(&fetched.clone, &then, &folder).ok());
            let old = then.as_ref().map(|then| blob_at(then, &path));
            if let Some(Ok(old)) = old
                && old != blob.unwrap_or_default()
            {
                drifted.push((app.clone(), path, deployed.clone()));
            }
        }
        facts.insert(app.clone(), FileFacts { state, drift: None });
    }
    let paths: Vec<RepoPath> = drifted.iter().map(|(_, path, _)| path.clone()).collect();
    if let (Some(tip), false) = (&fetched.tip, paths.is_empty()) {
        let mut changes = fetched.clone.last_changes(tip, &paths)?;
        for (app, path, deployed) in drifted {
            if let (Some(fact), Some(last)) = (facts.get_mut(&app), changes.remove(path.as_str())) {
                fact.drift = Some(DriftView {
                    committed: last.id.to_string(),
                    deployed,
                });
            }
        }
    }
    Ok(facts)
}

impl App {
    /// What the clone says about the values files of an environment; nothing while there is no clone.
    pub(crate) async fn file_facts(
        &self,
        flow: &str,
        env: &str,
        applications: &[ApplicationState],
    ) -> BTreeMap<String, FileFacts> {
        let Ok(Some(repository)) = self.maybe_gitops().await else {
            return BTreeMap::new();
        };
        let Ok(Some(fetched)) = self.on_disk(&repository.url).await else {
            return BTreeMap::new();
        };
        let wanted: Vec<(String, Option<String>)> = applications
            .iter()
            .map(|a| (a.name.clone(), a.deployed_values.clone()))
            .collect();
        let (flow, env) = (flow.to_owned(), env.to_owned());
        // The page is worth showing without these facts.
        self.git(move || look(&fetched, &flow, &env, &wanted))
            .await
            .unwrap_or_default()
    }

    /// An environment with its applications.
    pub async fn environment(&self, flow: String, env: String) -> Result<EnvironmentView> {
        let (live, platform) = self.platform()?;
        let objects = self.objects(&live);
        let found = environment(&objects, &flow, &env)?;
        let mut facts = self.file_facts(&flow, &env, &found.applications).await;
        let at = Some(platform.as_str());
        let (can_deploy, can_sync, can_delete) = tokio::join!(
            self.may(&live, "create", &kinds::PIPELINE_RUN, at),
            self.may(&live, "update", &kinds::APPLICATION, at),
            self.may(&live, "delete", &kinds::APPLICATION, at),
        );
        let chaos_runs = self.known_runs(&live, None);
        let mut applications = Vec::new();
        for app in found.applications {
            let last_verdict = self.last_verdict(&live, &chaos_runs, &found.namespace, &app.name);
            let fact = facts.remove(&app.name);
            let tag = |tag: pilothouse_delivery::Tag| TagEntry {
                name: tag.name,
                digest: tag.digest,
                created: tag.created,
                latest: tag.latest,
                stable: tag.stable,
                verified: tag.verified,
                deployed: tag.deployed,
            };
            let mut notes: Vec<ApplicationNote> = app
                .notes
                .into_iter()
                .map(|note| ApplicationNote {
                    code: note.code.to_owned(),
                    message: note.message,
                })
                .collect();
            let state = fact.as_ref().map_or(ValuesFileState::Unknown, |f| f.state);
            if app.values_override.live && state == ValuesFileState::Absent {
                notes.push(ApplicationNote {
                    code: "missingValuesFile".into(),
                    message: format!(
                        "The override is on, and {flow}/{env}/{}-values.yaml is not in Git. Argo CD does not pass over a \
                         missing file, so it cannot build the application: add the file, or switch the override off with \
                         a deploy.",
                        app.name
                    ),
                });
            }
            let operation = match app.operation {
                (_, true) => Some(OperationView {
                    phase: "Asked".into(),
                    message: None,
                    started_at: None,
                    finished_at: None,
                    by: None,
                }),
                (last, false) => last.map(|last| OperationView {
                    phase: last.phase,
                    message: last.message,
                    started_at: last.started,
                    finished_at: last.finished,
                    by: last.by,
                }),
            };
            applications.push(ApplicationView {
                tags_why: app.tags.why(),
                tag_stream: app.tags.stream,
                portal_latest: app.tags.portal_latest,
                notes,
                operation,
                why_no_sync: why_no_sync(&app.name, objects.application(&flow, &env, &app.name)),
                version: app.version,
                digest: app.digest,
                values_override: OverrideState {
                    live: app.values_override.live,
                    stored: app.values_override.stored,
                },
                values_file: state,
                health: HealthView {
                    status: app.health.status,
                    message: app.health.message,
                },
                sync: SyncView {
                    status: app.sync.status,
                    why: app.sync.why,
                },
                drift: fact
                    .and_then(|f| f.drift)
                    .filter(|_| app.values_override.live),
                tags: app.tags.tags.into_iter().map(tag).collect(),
                images: app.images,
                urls: app.urls,
                last_verdict,
                name: app.name,
            });
        }
        Ok(EnvironmentView {
            flow: found.flow,
            name: found.name,
            order: u32::try_from(found.order).unwrap_or(0),
            namespace: found.namespace,
            cluster: found.cluster,
            trigger_type: found.trigger_type,
            status: found.status,
            message: found.message,
            applications,
            busy: found.busy.is_some(),
            runs: found.runs.iter().map(run_entry).collect(),
            can_deploy,
            can_sync,
            can_delete,
            clean_template: found.clean_template,
        })
    }
}
