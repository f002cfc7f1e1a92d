//! The care of the GitOps repository: what wants attention, and what can be done about it.

use std::collections::{BTreeMap, BTreeSet};

use pilothouse_cluster::{WatchState, kinds};
use pilothouse_delivery::{
    Objects, care,
    objects::Codebase,
    repository::{
        Action, Card, CiTool, Edit, PLATFORM_BRANCH, StaleSet, Strategy, ValuesSource, Warning as Found, find_existing,
        flow_shapes, plan_edit, stale_sets, strays, warnings_on,
    },
};
use pilothouse_git::{EntryKind, ExpectedChange, RepoPath};
use serde_json::Value;

use crate::{
    App, Result,
    commits::{FILE_LIMIT, WholeFiles, check_message},
    contract::{
        ActivityKind, AppError, CareAction, CommitOutcome, ErrorCode, FieldChangeView, FieldProblem, OperatorView,
        Permission, RepositoryCare, RepositoryEdit, RepositoryEditPreview, RepositoryPermissions, RepositoryStrategy,
        RepositoryWarning, StaleSetView, StrayFile, StrayFiles, TidyFile, Topic, WarningSeverity,
    },
    journal::{Begin, End, Intent},
    session::Live,
    values::{small, text_diff},
};

/// The most files of a repository that are looked at.
const MOST_FILES: usize = 50_000;
/// The most strays that are shown, and the most that one commit puts in order.
const MOST_STRAYS: usize = 200;

impl From<&Card> for OperatorView {
    fn from(card: &Card) -> Self {
        let problem = |one: &pilothouse_delivery::FieldProblem| FieldProblem {
            field: one.field.clone(),
            message: one.message.clone(),
        };
        Self {
            available: card.available,
            deleting: card.deleting,
            action: card.action.clone(),
            value: card.value.clone(),
            result: card.result.clone(),
            git: card.git.clone(),
            failure_count: u32::try_from(card.failure_count.max(0)).unwrap_or(u32::MAX),
            last_time_updated: card.last_time_updated.clone(),
            webhook: card.webhook.clone(),
            ci_tool: card.ci_tool.clone(),
            created: card.created.clone(),
            paused: card.paused,
            protected: card.protected.clone(),
            finalizers: card.finalizers.clone(),
            problems: card.problems.iter().map(problem).collect(),
            environments: card.readers.environments.clone(),
            applications: card.readers.applications.clone(),
            readers_known: card.readers.sets_known,
        }
    }
}

fn action(found: Action) -> CareAction {
    match found {
        Action::Retry => CareAction::Retry,
        Action::Resume => CareAction::Resume,
        Action::Edit => CareAction::Edit,
        Action::UseExisting => CareAction::UseExisting,
        Action::Delete => CareAction::Delete,
        Action::MendSet => CareAction::MendSet,
    }
}

fn warning(found: Found) -> RepositoryWarning {
    let severity = match found.code {
        "creationFailed" | "severalRepositories" | "serverMissing" => WarningSeverity::Bad,
        "beingDeleted" => WarningSeverity::Note,
        _ => WarningSeverity::Warn,
    };
    RepositoryWarning {
        id: found.subject.as_ref().map_or_else(|| found.code.to_owned(), |one| format!("{}:{one}", found.code)),
        code: found.code.to_owned(),
        severity,
        message: found.message,
        why: found.why.filter(|text| !text.is_empty()),
        next: found.hint,
        actions: found.actions.into_iter().map(action).collect(),
        subject: found.subject,
    }
}

fn place(source: &ValuesSource) -> String {
    match &source.revision {
        Some(revision) => format!("{} at {revision}", source.url),
        None => source.url.clone(),
    }
}

fn stale_view(found: &StaleSet) -> StaleSetView {
    let shown = |patch: &Value| patch.get("spec").map(Value::to_string);
    StaleSetView {
        name: found.name.clone(),
        reads: found.reads.iter().map(place).collect(),
        wanted: place(&found.wanted),
        applications: found.applications.clone(),
        diff: text_diff(&found.template_patch.0, &found.template_patch.1),
        patch: found.merge_patch.as_ref().and_then(|patch| serde_json::to_string_pretty(patch).ok()),
        shown: found.merge_patch.as_ref().and_then(shown),
    }
}

fn edit_of(edit: &RepositoryEdit) -> Edit {
    Edit {
        path: edit.path.trim().to_owned(),
        git_server: edit.git_server.clone(),
        strategy: match edit.strategy {
            RepositoryStrategy::Create => Strategy::Create,
            RepositoryStrategy::Import => Strategy::Import,
        },
        ci_tool: if edit.ci_tool == "gitlab" { CiTool::Gitlab } else { CiTool::Tekton },
        default_branch: edit.default_branch.trim().to_owned(),
    }
}

/// The GitOps repository's Codebase in what is known of the platform.
pub(crate) fn the_codebase(objects: &Objects) -> Result<Codebase> {
    let found = find_existing(&objects.codebases).first().map(|one| (*one).clone());
    found.ok_or_else(|| AppError::new(ErrorCode::NoRepository, "the platform has no GitOps repository"))
}

impl App {
    /// The branch that values are committed to: the remote's own, as far as it was seen.
    async fn values_branch(&self) -> String {
        let known = match self.maybe_gitops().await {
            Ok(Some(repository)) => self.remote_note(&repository.url).await.ok().and_then(|note| note.default_branch),
            _ => None,
        };
        known.unwrap_or_else(|| PLATFORM_BRANCH.to_owned())
    }

    /// What wants attention about the repository, and what the user may do about it.
    pub async fn repository_care(&self) -> Result<RepositoryCare> {
        let live = self.live()?;
        let objects = self.objects(&live);
        let branch = self.values_branch().await;
        let found = warnings_on(&objects, &branch);
        let stale = match the_codebase(&objects) {
            Ok(codebase) => stale_sets(&objects, &codebase, &branch).iter().map(stale_view).collect(),
            Err(_) => Vec::new(),
        };
        let mut warnings: Vec<RepositoryWarning> = found.into_iter().map(warning).collect();
        let remote = match self.maybe_gitops().await {
            Ok(Some(repository)) => {
                self.remote_note(&repository.url).await?.default_branch.map(|name| (name, repository.usual_branch))
            }
            _ => None,
        };
        if let Some((branch, usual)) = remote.filter(|(branch, usual)| branch != usual) {
            warnings.push(RepositoryWarning {
                id: "remoteBranchDiffers".into(),
                code: "remoteBranchDiffers".into(),
                severity: WarningSeverity::Warn,
                message: format!(
                    "The branch in use is `{branch}`, the platform's Codebase says `{usual}`. Values are \
                     committed to `{branch}`."
                ),
                why: Some(format!("The platform reads values from `{PLATFORM_BRANCH}` only.")),
                next: Some(format!("Make `{PLATFORM_BRANCH}` the default branch at the provider.")),
                actions: Vec::new(),
                subject: None,
            });
        }
        warnings.sort_by_key(|one| match one.severity {
            WarningSeverity::Bad => 0,
            WarningSeverity::Warn => 1,
            WarningSeverity::Note => 2,
        });
        let strays = self.stray_files(&live, &objects).await;
        Ok(RepositoryCare {
            warnings,
            permissions: self.repository_permissions(&live).await,
            stale_sets: stale,
            strays,
            kept: self.kept_repository().await?.filter(|_| find_existing(&objects.codebases).is_empty()),
        })
    }

    async fn repository_permissions(&self, live: &Live) -> RepositoryPermissions {
        let Some(platform) = live.chosen_platform() else {
            let why = Some("KubeRocketCI is not installed here.".to_owned());
            let none = Permission { allowed: false, why };
            return RepositoryPermissions {
                create: none.clone(),
                edit: none.clone(),
                delete: none.clone(),
                see_sets: none.clone(),
                mend_sets: none.clone(),
                create_secret: none.clone(),
                create_git_server: none,
            };
        };
        let at = Some(platform.as_str());
        let (create, edit, delete, see_sets, mend_sets, create_secret, create_git_server) = tokio::join!(
            self.may(live, "create", &kinds::CODEBASE, at),
            self.may(live, "patch", &kinds::CODEBASE, at),
            self.may(live, "delete", &kinds::CODEBASE, at),
            self.may(live, "list", &kinds::APPLICATION_SET, at),
            self.may(live, "patch", &kinds::APPLICATION_SET, at),
            self.may(live, "create", &kinds::SECRET, at),
            self.may(live, "create", &kinds::GIT_SERVER, at),
        );
        RepositoryPermissions { create, edit, delete, see_sets, mend_sets, create_secret, create_git_server }
    }

    /// The values files that nothing reads, as far as flows and clone are known.
    async fn stray_files(&self, live: &Live, objects: &Objects) -> StrayFiles {
        let unknown = |why: &str| StrayFiles { files: Vec::new(), total: 0, unknown: Some(why.to_owned()) };
        let index = live.index();
        let readable =
            |kind| !matches!(index.state(kind), WatchState::Absent | WatchState::Forbidden(_) | WatchState::Starting);
        if live.chosen_platform().is_none() || !readable(&kinds::CD_PIPELINE) || !readable(&kinds::STAGE) {
            return unknown("The deployment flows cannot be read, so nobody knows which files they read.");
        }
        let Ok(Some(repository)) = self.maybe_gitops().await else { return unknown("There is no repository.") };
        let Ok(Some(fetched)) = self.on_disk(&repository.url).await else {
            return unknown("The repository is not cloned yet.");
        };
        let Some(tip) = fetched.tip else { return StrayFiles { files: Vec::new(), total: 0, unknown: None } };
        let clone = fetched.clone;
        let listed = self.git(move || clone.list(&tip, None, MOST_FILES)).await;
        let entries = match listed {
            Ok(entries) => entries,
            Err(error) => return unknown(&error.message),
        };
        let is_file = |kind| matches!(kind, EntryKind::File | EntryKind::Executable);
        let blobs: BTreeMap<String, String> =
            entries.into_iter().filter(|one| is_file(one.kind)).map(|one| (one.path, one.blob)).collect();
        let paths: Vec<String> = blobs.keys().cloned().collect();
        let found = strays(&paths, &flow_shapes(objects));
        let total = small(found.len());
        let view = |one: pilothouse_delivery::repository::Stray| StrayFile {
            blob: blobs.get(&one.path).cloned().unwrap_or_default(),
            path: one.path,
            why: one.message,
            rename: one.rename,
        };
        StrayFiles { files: found.into_iter().take(MOST_STRAYS).map(view).collect(), total, unknown: None }
    }

    /// Has the platform try again now; only with `resume` does it go on with a repository it was told to leave alone.
    pub async fn retry_repository(&self, resume: bool) -> Result<()> {
        let (live, platform) = self.platform()?;
        let name = the_codebase(&self.objects(&live))?.meta.name;
        let begin = Begin {
            kind: ActivityKind::Repository,
            words: match resume {
                true => format!("Let the platform go on with {name}"),
                false => format!("Have the platform try {name} again"),
            },
            context: Some(live.name().to_owned()),
            object: Some(format!("Codebase/{platform}/{name}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = care::retry(&live.cluster, &platform, &name, resume).await.map_err(AppError::from);
        entry.close_with(outcome, |()| End { url: Some("/repository".into()), ..End::default() }).await?;
        self.changes.tell(Topic::Repository);
        Ok(())
    }

    /// What a change of the repository comes to; nothing is written.
    pub async fn preview_repository_edit(&self, edit: RepositoryEdit) -> Result<RepositoryEditPreview> {
        let (live, _) = self.platform()?;
        let objects = self.objects(&live);
        let plan = plan_edit(&the_codebase(&objects)?, &edit_of(&edit), &objects);
        let change = |one: pilothouse_delivery::repository::FieldChange| FieldChangeView {
            field: one.field.to_owned(),
            old: one.old,
            new: one.new,
        };
        let problem = |one: pilothouse_delivery::FieldProblem| FieldProblem { field: one.field, message: one.message };
        Ok(RepositoryEditPreview {
            refused: plan.refused,
            problems: plan.problems.into_iter().map(problem).collect(),
            changes: plan.changes.into_iter().map(change).collect(),
            stays: plan.stays,
            patch: plan.patch.and_then(|patch| serde_json::to_string_pretty(&patch).ok()),
        })
    }

    /// Changes the repository, if it is still as `seen`.
    pub async fn edit_repository(&self, seen: RepositoryEdit, edit: RepositoryEdit) -> Result<()> {
        let (live, platform) = self.platform()?;
        let name = the_codebase(&self.objects(&live))?.meta.name;
        let begin = Begin {
            kind: ActivityKind::Repository,
            words: format!("Change the repository {name}"),
            context: Some(live.name().to_owned()),
            object: Some(format!("Codebase/{platform}/{name}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = care::edit(&live.cluster, &platform, &name, &edit_of(&seen), &edit_of(&edit)).await;
        let words = |plan: &pilothouse_delivery::repository::EditPlan| {
            let changes: Vec<String> = plan
                .changes
                .iter()
                .map(|one| format!("{} from {} to {}", one.field.trim_start_matches("spec."), one.old, one.new))
                .collect();
            Some(format!("Change the repository {name}: {}", changes.join(", ")))
        };
        entry
            .close_with(outcome.map_err(AppError::from), |plan| End {
                words: words(plan),
                url: Some("/repository".into()),
                ..End::default()
            })
            .await?;
        self.changes.tell(Topic::Repository);
        Ok(())
    }

    /// Patches an ApplicationSet so that it reads the repository; `shown` is the patch that the user saw.
    pub async fn mend_application_set(&self, name: String, shown: String) -> Result<()> {
        let (live, platform) = self.platform()?;
        let codebase = the_codebase(&self.objects(&live))?.meta.name;
        let shown: Value = serde_json::from_str(&shown)
            .map_err(|_| AppError::blocked("the patch that was shown is not known any more; look at it again"))?;
        let branch = self.values_branch().await;
        let begin = Begin {
            kind: ActivityKind::Repository,
            words: format!("Let the flow {name} read values from {codebase}"),
            context: Some(live.name().to_owned()),
            object: Some(format!("ApplicationSet/{platform}/{name}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = care::mend_set(&live.cluster, &platform, &name, &codebase, &branch, &shown).await;
        let end = |_: &()| End { url: Some(format!("/environments/{name}")), ..End::default() };
        entry.close_with(outcome.map_err(AppError::from), end).await?;
        self.changes.tell(Topic::Repository);
        self.changes.tell(Topic::Environments);
        Ok(())
    }

    /// Renames and deletes values files that nothing reads, as one commit.
    pub async fn tidy_values(&self, files: Vec<TidyFile>, message: String, operation: String) -> Result<CommitOutcome> {
        self.author().await?;
        check_message(&message)?;
        if files.is_empty() || files.len() > MOST_STRAYS {
            return Err(AppError::blocked(format!("choose between one and {MOST_STRAYS} files")));
        }
        self.operations
            .run(operation, "Putting values files in order", |operation| async move {
                let (repository, fetched) = self.fetch_gitops(Some(&operation)).await?;
                let Some(tip) = fetched.tip.clone() else {
                    return Err(AppError::blocked("the repository is empty by now"));
                };
                let live = self.live()?;
                let objects = self.objects(&live);
                let (clone, shapes) = (fetched.clone.clone(), flow_shapes(&objects));
                let wanted = files.clone();
                let changes = self.git(move || tidy_changes(&clone, &tip, &wanted, &shapes)).await?;
                let changes =
                    changes.ok_or_else(|| AppError::blocked("the files changed meanwhile; look at them again"))?;
                let first = files.first().map(|one| one.path.clone()).unwrap_or_default();
                let files = WholeFiles {
                    kind: ActivityKind::Values,
                    changes,
                    message: message.trim().to_owned(),
                    words: match files.len() {
                        1 => format!("Put the values file {first} in order"),
                        many => format!("Put {many} values files in order"),
                    },
                    page: "/repository".to_owned(),
                };
                self.publish_whole(&repository.url, fetched, files, &operation).await
            })
            .await
    }
}

/// The changes of one commit; none when a file is not, or not any more, what it was shown as. What may be done with a
/// file comes from the tree, not from the window.
fn tidy_changes(
    clone: &pilothouse_git::BareClone,
    tip: &pilothouse_git::CommitId,
    wanted: &[TidyFile],
    shapes: &[pilothouse_delivery::repository::FlowShape],
) -> pilothouse_git::Result<Option<Vec<ExpectedChange>>> {
    let paths: Vec<String> = clone.list(tip, None, MOST_FILES)?.into_iter().map(|one| one.path).collect();
    let known = strays(&paths, shapes);
    let mut seen = BTreeSet::new();
    let mut changes = Vec::new();
    for file in wanted {
        let Some(stray) = known.iter().find(|one| one.path == file.path) else { return Ok(None) };
        if !seen.insert(&file.path) || (file.to.is_some() && file.to != stray.rename) {
            return Ok(None);
        }
        let path = RepoPath::parse(&file.path)?;
        let read = clone.read(tip, &path, FILE_LIMIT)?;
        let Some(content) = read.filter(|one| one.blob.to_string() == file.blob) else { return Ok(None) };
        if let Some(to) = &file.to {
            changes.push(ExpectedChange {
                path: RepoPath::parse(to)?,
                base_blob: None,
                base_text: None,
                new: Some(content.bytes.clone()),
            });
        }
        changes.push(ExpectedChange { path, base_blob: Some(content.blob), base_text: Some(content.bytes), new: None });
    }
    Ok(Some(changes))
}
