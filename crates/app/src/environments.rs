//! Environments and deployments.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pilothouse_cluster::kinds;
use pilothouse_delivery::{ApplicationState, Run, RunKind, RunStatus, environment};
use pilothouse_git::{BareClone, CommitId, EntryKind, RepoPath};

use crate::{
    App, Result,
    argo_cd::{OTHER_BRANCH, argo_application, argo_notes, stood},
    contract::{
        ApplicationNote, ApplicationView, CarriedApplication, DeployRunEntry, DeployStatus, DriftView, EnvironmentView,
        HealthView, LastVerdict, OperationView, OverrideState, SyncView, TagEntry, ValuesFile, ValuesFileState,
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
        uid: run.uid.clone(),
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

/// Whether a verdict is that of the image which runs now: the noted image is among the running ones, or the run began
/// after that image was deployed. None where neither is known.
pub(crate) fn of_running(last: &LastVerdict, app: &ApplicationState) -> Option<bool> {
    let noted = last.image.as_deref().filter(|noted| !noted.is_empty());
    if let Some(noted) = noted.filter(|_| !app.images.is_empty()) {
        return Some(noted.split(", ").any(|one| app.images.iter().any(|image| same_image(image, one))));
    }
    let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let (since, began) = (time(&app.image_since)?, time(&last.started_at)?);
    Some(began >= since)
}

/// Whether two references name one image; a digest is not always written.
pub(crate) fn same_image(one: &str, other: &str) -> bool {
    let plain = |image: &str| image.split_once('@').map_or_else(|| image.to_owned(), |(name, _)| name.to_owned());
    let digest = |image: &str| image.split_once('@').map(|(_, digest)| digest.to_owned());
    match (digest(one), digest(other)) {
        (Some(one), Some(other)) => one == other,
        _ => plain(one) == plain(other),
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
    let readable = |size: Option<u64>| size.is_some_and(|size| size <= pilothouse_values::LIMIT as u64);
    let files = entries.into_iter().map(|entry| {
        let file = matches!(entry.kind, EntryKind::File | EntryKind::Executable) && readable(entry.size);
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
            let folder = listed.range(below.clone()..).next().is_some_and(|(found, _)| found.starts_with(&below));
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
    let now = fetched.tip.as_ref().map(|tip| listed(&fetched.clone, tip, &folder));
    let mut before: BTreeMap<&str, Option<Listed>> = BTreeMap::new();
    let mut drifted = Vec::new();
    for (app, deployed) in applications {
        let file = ValuesFile { flow: flow.to_owned(), env: env.to_owned(), app: app.clone() };
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
            let then = before.entry(deployed).or_insert_with(|| listed(&fetched.clone, &then, &folder).ok());
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
                fact.drift = Some(DriftView { committed: last.id.to_string(), deployed });
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
        let Ok(Some(repository)) = self.maybe_gitops().await else { return BTreeMap::new() };
        let Ok(Some(fetched)) = self.on_disk(&repository.url).await else { return BTreeMap::new() };
        let wanted: Vec<(String, Option<String>)> =
            applications.iter().map(|a| (a.name.clone(), a.deployed_values.clone())).collect();
        let (flow, env) = (flow.to_owned(), env.to_owned());
        // The page is worth showing without these facts.
        self.git(move || look(&fetched, &flow, &env, &wanted)).await.unwrap_or_default()
    }

    /// An environment with its applications.
    pub async fn environment(&self, flow: String, env: String) -> Result<EnvironmentView> {
        let (live, platform) = self.deliverer()?;
        let objects = self.objects(&live);
        let found = environment(&objects, &flow, &env)?;
        let mut facts = self.file_facts(&flow, &env, &found.applications).await;
        let [can_deploy, can_sync, can_delete] = match platform.as_deref() {
            Some(platform) => tokio::join!(
                self.may(&live, "create", &kinds::PIPELINE_RUN, Some(platform)),
                self.may(&live, "update", &kinds::APPLICATION, Some(platform)),
                self.may(&live, "delete", &kinds::APPLICATION, Some(platform)),
            )
            .into(),
            None => self.argo_permissions(&live, &objects, &flow, &env).await,
        };
        let branch = if platform.is_none() { self.edited_branch().await } else { None };
        let chaos_runs = self.known_runs(&live, None);
        let mut applications = Vec::new();
        for app in found.applications {
            let stood = stood(&objects, &flow, &env, &app.name).ok();
            let namespace = stood.as_ref().map_or(&found.namespace, |stood| &stood.application.namespace);
            let mut last_verdict = self.last_verdict(&live, &chaos_runs, namespace, &app.name);
            if let Some(last) = &mut last_verdict {
                last.of_running = of_running(last, &app);
            }
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
                .map(|note| ApplicationNote { code: note.code.to_owned(), message: note.message })
                .collect();
            let state = fact.as_ref().map_or(ValuesFileState::Unknown, |f| f.state);
            if let Some(stood) = &stood {
                notes.extend(argo_notes(stood, state, branch.as_deref()));
            } else if app.values_override.live && state == ValuesFileState::Absent {
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
            // Of what Argo CD reads at another branch, this one says nothing.
            let elsewhere = notes.iter().any(|note| note.code == OTHER_BRANCH);
            let drift = fact.and_then(|f| f.drift).filter(|_| app.values_override.live && !elsewhere);
            applications.push(ApplicationView {
                tags_why: app.tags.why(),
                tag_stream: app.tags.stream,
                portal_latest: app.tags.portal_latest,
                notes,
                operation,
                why_no_sync: app.why_no_sync,
                version: app.version,
                digest: app.digest,
                image_created: app.image_created,
                values_override: OverrideState { live: app.values_override.live, stored: app.values_override.stored },
                values_file: state,
                health: HealthView { status: app.health.status, message: app.health.message },
                sync: SyncView { status: app.sync.status, why: app.sync.why },
                drift,
                argo: stood.as_ref().map(|stood| argo_application(&stood.application, &stood.place)),
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
            deploy_template: found.trigger_template,
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

#[cfg(test)]
mod tests {
    use pilothouse_delivery::{Health, OverrideState as Override, Sync, TagList};

    use super::*;
    use crate::contract::Verdict;

    fn running(images: &[&str], since: Option<&str>) -> ApplicationState {
        ApplicationState {
            name: "cart".into(),
            version: Some("1.4".into()),
            digest: None,
            image_created: None,
            image_since: since.map(str::to_owned),
            values_override: Override { live: false, stored: None },
            deployed_values: None,
            health: Health { status: "Healthy".into(), message: None },
            sync: Sync { status: "Synced".into(), why: None },
            tags: TagList::default(),
            images: images.iter().map(|one| (*one).to_owned()).collect(),
            urls: Vec::new(),
            operation: (None, false),
            notes: Vec::new(),
            why_no_sync: None,
        }
    }

    fn verdict(image: Option<&str>, started: Option<&str>) -> LastVerdict {
        LastVerdict {
            verdict: Verdict::Pass,
            score: None,
            namespace: "litmus".into(),
            run: "r".into(),
            image: image.map(str::to_owned),
            of_running: None,
            started_at: started.map(str::to_owned),
            finished_at: None,
        }
    }

    #[test]
    fn a_verdict_is_that_of_the_running_image_or_of_another() {
        let (early, late) = (Some("2026-03-01T10:00:00Z"), Some("2026-03-01T12:00:00+01:00"));
        let table = [
            // Noted by a trigger: the image decides, whenever it ran.
            (Some("r.io/cart:1.4"), early, &["r.io/cart:1.4@sha256:aa"][..], late, Some(true)),
            (Some("r.io/cart:1.4@sha256:bb"), late, &["r.io/cart:1.4@sha256:aa"], early, Some(false)),
            (Some("r.io/cart:1.3"), late, &["r.io/cart:1.4"], early, Some(false)),
            // Not noted: whether it began after the image came.
            (None, late, &["r.io/cart:1.4"], early, Some(true)),
            (None, early, &["r.io/cart:1.4"], late, Some(false)),
            (None, early, &[], None, None),
            (None, None, &[], early, None),
        ];
        for (image, started, images, since, expected) in table {
            let found = of_running(&verdict(image, started), &running(images, since));
            assert_eq!(found, expected, "{image:?} {started:?} {images:?} {since:?}");
        }
    }
}
