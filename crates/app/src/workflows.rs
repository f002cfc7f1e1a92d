//! Chaos workflows: their files in Git, and what they may do.

use std::sync::Arc;

use pilothouse_chaos::{
    Error as ChaosError, Problem, Severity as Seriousness, WorkflowDocument,
    document::path_of,
    plan::SyncState,
    project::Project,
    reach::Reach,
    resolve,
    run::Verdict as Found,
    schedule::Schedule,
    trailers::with_trailers,
    workflow_object::{self, RunPolicy as Policy, WorkflowObject},
};
use pilothouse_cluster::{Error as ClusterError, Name, Subdomain};
use pilothouse_git::RepoPath;

use crate::{
    App, Result,
    chaos_git::ProjectGit,
    commits::{Change, FILE_LIMIT},
    contract::{
        ActivityKind, AppError, ChaosWorkflowEntry, CommitOutcome, Diagnostic, FieldProblem, LastRun, OpenedWorkflow,
        Review, RunPolicy, SaveWorkflow, Severity, SidesSeen, Topic, Verdict, WorkflowReach, WorkflowResolution,
        WorkflowSchedule, WorkflowSides, WorkflowState,
    },
    journal::{Begin, End, Intent},
    runs::only_by_hand,
    session::Live,
    values::{small, text_of},
};

pub(crate) fn diagnostic(problem: &Problem) -> Diagnostic {
    Diagnostic {
        line: problem.line.map_or(1, small),
        column: 1,
        severity: match problem.severity {
            Seriousness::Error => Severity::Error,
            _ => Severity::Warning,
        },
        code: problem.code.clone(),
        message: problem.message.clone(),
        path: None,
    }
}

/// Everything there is to say about a text.
pub(crate) fn diagnostics(text: &str) -> Vec<Diagnostic> {
    match WorkflowDocument::parse(text) {
        Ok(document) => document.problems.iter().map(diagnostic).collect(),
        Err(ChaosError::Refused(problem)) => vec![diagnostic(&problem)],
        Err(other) => {
            let message = other.to_string();
            let code = "document".to_owned();
            vec![Diagnostic { line: 1, column: 1, severity: Severity::Error, code, message, path: None }]
        }
    }
}

fn state(state: Option<SyncState>) -> WorkflowState {
    match state {
        Some(SyncState::InSync) => WorkflowState::InSync,
        Some(SyncState::Ahead) => WorkflowState::Ahead,
        Some(SyncState::Conflict) => WorkflowState::Conflict,
        Some(SyncState::Invalid) => WorkflowState::Invalid,
        Some(SyncState::DeletedInGit) => WorkflowState::DeletedInGit,
        Some(SyncState::Paused) => WorkflowState::Paused,
        // Not looked at yet counts as behind: the next sync brings it.
        _ => WorkflowState::Behind,
    }
}

fn policy_view(policy: Policy) -> RunPolicy {
    match policy {
        Policy::Manual => RunPolicy::Manual,
        Policy::OnCommit => RunPolicy::OnCommit,
        Policy::OnSchedule => RunPolicy::OnSchedule,
        Policy::OnEvent => RunPolicy::OnEvent,
    }
}

/// A verdict as the window sees it.
pub(crate) fn verdict_view(found: Found) -> Verdict {
    match found {
        Found::Pass => Verdict::Pass,
        Found::Fail => Verdict::Fail,
        Found::Stopped => Verdict::Stopped,
        Found::Error => Verdict::Error,
        Found::Awaited => Verdict::Awaited,
    }
}

/// A verdict's word, as objects hold it.
pub(crate) fn verdict_word(word: &str) -> Verdict {
    match word {
        "Pass" => Verdict::Pass,
        "Fail" => Verdict::Fail,
        "Stopped" => Verdict::Stopped,
        "Error" => Verdict::Error,
        "Awaited" => Verdict::Awaited,
        _ => Verdict::NotAvailable,
    }
}

/// How a workflow's schedule stands, where it runs on one.
fn schedule_view(object: &WorkflowObject) -> Option<WorkflowSchedule> {
    if object.run_policy != Policy::OnSchedule {
        return None;
    }
    let status = object.schedule.clone().unwrap_or_default();
    Some(WorkflowSchedule { words: object.agreed_schedule.clone(), next: status.next, note: status.note })
}

fn entry(object: &WorkflowObject, namespace: &str) -> ChaosWorkflowEntry {
    let document = WorkflowDocument::parse(&object.manifest).ok();
    let run_namespace = document.as_ref().and_then(|d| d.namespace.clone()).unwrap_or_else(|| namespace.to_owned());
    ChaosWorkflowEntry {
        name: object.workflow.clone(),
        path: object.path.clone(),
        kind: document.map(|d| d.kind.as_str().to_owned()).unwrap_or_default(),
        state: state(object.state),
        message: Some(object.message.clone()).filter(|m| !m.is_empty()),
        line: object.line.map(small),
        commit: object.commit.clone(),
        author: object.author.clone(),
        run_policy: policy_view(object.run_policy),
        held_back: object.held_back(namespace),
        schedule: schedule_view(object),
        last_run: object.last_run.as_ref().map(|run| LastRun {
            name: run.name.clone(),
            namespace: run_namespace,
            phase: run.phase.clone().unwrap_or_default(),
            verdict: run.verdict.as_deref().map_or(Verdict::NotAvailable, verdict_word),
            score: run.score,
            finished_at: run.finished_at.clone(),
        }),
    }
}

/// What a workflow in the cluster reaches, for a person to agree to.
pub(crate) fn reach_view(object: &WorkflowObject, namespace: &str) -> Result<WorkflowReach> {
    let document = WorkflowDocument::accept(&object.project, &object.path, &object.manifest)?;
    let reach = Reach::of(&document, namespace);
    let schedule = Schedule::of(&document);
    let list = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    Ok(WorkflowReach {
        digest: workflow_object::agreement(&document, namespace),
        schedule: schedule.as_ref().ok().map(|schedule| schedule.words().to_owned()),
        schedule_problem: schedule.err().map(Into::into),
        accounts: list(&reach.accounts),
        namespaces: list(&reach.namespaces),
        images: list(&reach.images),
        powers: list(&reach.powers),
        blocked: workflow_object::never_automatic(&document, &object.workflow, namespace).map(|why| why.to_string()),
    })
}

/// The path of a workflow's file, or what is wrong with its name or its project's.
pub(crate) fn file_path(project: &str, name: &str) -> Result<RepoPath> {
    let refused = |field: &str, error: ClusterError| {
        AppError::fields(vec![FieldProblem { field: field.into(), message: error.to_string() }])
    };
    Name::parse("project", project).map_err(|error| refused("project", error))?;
    Subdomain::parse("workflow", name).map_err(|error| refused("name", error))?;
    let path = path_of(project, name);
    Ok(RepoPath::parse(&path)?)
}

impl App {
    async fn project_of(&self, id: &str) -> Result<(Arc<Live>, Project, ProjectGit)> {
        let live = self.chaos_live()?;
        let project = self.project(&live, id).await?;
        let git = self.project_git(&project, None)?;
        Ok((live, project, git))
    }

    /// A project's workflows.
    pub async fn chaos_workflows(&self, project: String) -> Result<Vec<ChaosWorkflowEntry>> {
        let live = self.chaos_live()?;
        let project = self.project(&live, &project).await?;
        let objects = self.workflow_objects(&live, &project.namespace, &project.id);
        Ok(objects.iter().map(|object| entry(object, &project.namespace)).collect())
    }

    /// Opens a workflow's file.
    pub async fn open_workflow(&self, project: String, name: String) -> Result<OpenedWorkflow> {
        let path = file_path(&project, &name)?;
        let (live, project, git) = self.project_of(&project).await?;
        let fetched = git.fetched().await?;
        let mut content = None;
        if let Some(tip) = fetched.tip {
            let at = path.clone();
            content = self.git(move || fetched.clone.read(&tip, &at, FILE_LIMIT)).await?;
        }
        let object = self
            .workflow_objects(&live, &project.namespace, &project.id)
            .into_iter()
            .find(|object| object.workflow == name);
        let (text, base_blob) = match (content, &object) {
            (Some(content), _) => (text_of(&path, content.bytes)?, Some(content.blob.to_string())),
            // Deleted in Git: what the cluster still holds can be looked at and saved again.
            (None, Some(object)) => (object.manifest.clone(), None),
            (None, None) => return Err(AppError::not_found(format!("there is no {path} in the repository"))),
        };
        // What was committed and waits to be pushed is what one goes on from.
        let (text, base_blob) = match self.waiting_text(&git.url, &git.branch, &path).await? {
            Some(waiting) => (waiting.text, Some(waiting.blob)),
            None => (text, base_blob),
        };
        Ok(OpenedWorkflow {
            diagnostics: diagnostics(&text),
            run_policy: object.map_or(RunPolicy::Manual, |o| policy_view(o.run_policy)),
            name,
            path: path.to_string(),
            text,
            base_blob,
        })
    }

    /// Problems of a text, without saving it.
    pub async fn check_workflow(&self, _project: String, text: String) -> Result<Vec<Diagnostic>> {
        Ok(diagnostics(&text))
    }

    /// The change a commit would make.
    pub async fn review_workflow(
        &self,
        project: String,
        name: String,
        text: String,
        base_blob: Option<String>,
    ) -> Result<Review> {
        let path = file_path(&project, &name)?;
        let (_, project, git) = self.project_of(&project).await?;
        let verb = if base_blob.is_some() { "Change" } else { "Add" };
        let message = format!("{verb} chaos workflow {name} of {}", project.id);
        let fetched = match git.fetched().await {
            Ok(fetched) => Some(fetched),
            Err(_) => self.on_disk(&git.url).await?,
        };
        self.review(fetched, &path, &text, base_blob, diagnostics(&text), message).await
    }

    /// Commits and pushes a workflow's file, then syncs the project.
    pub async fn save_workflow(&self, request: SaveWorkflow, operation: String) -> Result<CommitOutcome> {
        let path = file_path(&request.project, &request.name)?;
        WorkflowDocument::accept(&request.project, path.as_str(), &request.text)?;
        let (live, project, _) = self.project_of(&request.project).await?;
        let (id, file) = (request.project.clone(), path.to_string());
        let message = self.workflow_message(&live, &project, &request.name, &request.message);
        let change = Change {
            kind: ActivityKind::Chaos,
            words: format!("Commit the chaos workflow {} of {}", request.name, request.project),
            page: format!("/chaos/{}/workflows/{}", request.project, request.name),
            path,
            base_blob: request.base_blob,
            text: Some(request.text),
            message,
            accept: Arc::new(move |_, bytes| {
                std::str::from_utf8(bytes).is_ok_and(|text| WorkflowDocument::accept(&id, &file, text).is_ok())
            }),
        };
        self.commit_workflow(live, project, change, "Committing the workflow", operation).await
    }

    /// The message of a commit about a workflow, with the trailers that say so. A missing message stays missing.
    pub(crate) fn workflow_message(&self, live: &Live, project: &Project, name: &str, message: &str) -> String {
        if message.trim().is_empty() {
            return String::new();
        }
        let objects = self.workflow_objects(live, &project.namespace, &project.id);
        let run = objects.iter().find(|object| object.workflow == name).and_then(|object| object.last_run.as_ref());
        with_trailers(message, &project.id, &[(name, run)])
    }

    async fn commit_workflow(
        &self,
        live: Arc<Live>,
        project: Project,
        change: Change,
        label: &str,
        operation: String,
    ) -> Result<CommitOutcome> {
        self.operations
            .run(operation, label, |operation| async move {
                let git = self.project_git(&project, Some(&operation))?;
                operation.step("Fetching what others pushed", 0, Some(3));
                let fetched = git.fetched().await?;
                let outcome = self.publish(&git.url, fetched, change, &operation).await?;
                if project.enabled {
                    operation.step("Syncing the project", 2, Some(3));
                    // The commit stands; what keeps the sync from working is said in the project's state.
                    if let Err(error) = self.sync(&live, &project, Some(&operation)).await {
                        tracing::warn!(%error, project = %project.id, "the sync after a commit failed");
                    }
                }
                self.changes.tell(Topic::Chaos);
                Ok(outcome)
            })
            .await
    }

    /// What a workflow reaches when it runs, to be agreed to before it runs by itself.
    pub async fn workflow_reach(&self, project: String, name: String) -> Result<WorkflowReach> {
        let live = self.chaos_live()?;
        let project = self.project(&live, &project).await?;
        let object = workflow_object::get(&live.cluster, &project.namespace, &project.id, &name).await?;
        reach_view(&object, &project.namespace)
    }

    /// Says when a workflow runs. `seen` is the digest of the reach that was shown, for every policy but by hand.
    ///
    /// # Errors
    /// `chaos.previewStale` when the workflow reaches something else by now.
    pub async fn set_run_policy(
        &self,
        project: String,
        name: String,
        policy: RunPolicy,
        seen: Option<String>,
    ) -> Result<()> {
        let live = self.chaos_live()?;
        if policy != RunPolicy::Manual {
            only_by_hand(live.cluster.is_production(), live.name())?;
        }
        let project = self.project(&live, &project).await?;
        let (wanted, when) = match policy {
            RunPolicy::Manual => (Policy::Manual, "by hand only"),
            RunPolicy::OnCommit => (Policy::OnCommit, "when its file changes"),
            RunPolicy::OnSchedule => (Policy::OnSchedule, "on its schedule"),
            RunPolicy::OnEvent => (Policy::OnEvent, "when a trigger asks"),
        };
        if policy == RunPolicy::OnCommit && project.enabled {
            // What was pushed before this moment comes in first, and is thereby not run.
            self.sync(&live, &project, None).await?;
        }
        let begin = Begin {
            kind: ActivityKind::Chaos,
            words: format!("Let the chaos workflow {name} of {} run {when}", project.id),
            context: Some(live.name().to_owned()),
            object: Some(format!("ChaosWorkflow/{}/{name}", project.namespace)),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let which = (project.id.as_str(), name.as_str());
        let outcome =
            workflow_object::set_run_policy(&live.cluster, &project.namespace, which, wanted, seen.as_deref()).await;
        entry.close_with(outcome.map_err(AppError::from), |_| End::default()).await?;
        self.changes.tell(Topic::Chaos);
        Ok(())
    }

    /// Both sides of a workflow, to be looked at before deciding between them.
    pub async fn workflow_sides(&self, project: String, name: String) -> Result<WorkflowSides> {
        let (live, project, git) = self.project_of(&project).await?;
        let sides = resolve::sides(&live.cluster, &project.namespace, (&project.id, &name), &git).await?;
        let seen = SidesSeen { blob: sides.seen.blob, manifest: sides.seen.manifest };
        Ok(WorkflowSides { git: sides.git, cluster: sides.cluster, base: sides.base, seen })
    }

    /// Settles what a sync cannot settle by itself, a conflict or a file deleted in Git, between the versions that the
    /// user saw.
    ///
    /// # Errors
    /// `chaos.previewStale` when either side is another by now; nothing was written then.
    pub async fn resolve_workflow(
        &self,
        project: String,
        name: String,
        resolution: WorkflowResolution,
        seen: SidesSeen,
        operation: String,
    ) -> Result<()> {
        let (live, project, _) = self.project_of(&project).await?;
        let how = match &resolution {
            WorkflowResolution::TakeGit => "take what Git has",
            WorkflowResolution::TakeCluster => "take what the cluster has",
            WorkflowResolution::Take { .. } => "take a joined text",
            WorkflowResolution::ConfirmDeletion => "delete it from the cluster too",
            WorkflowResolution::Restore => "put its file back",
        };
        let begin = Begin {
            kind: ActivityKind::Chaos,
            words: format!("Settle the chaos workflow {name} of {}: {how}", project.id),
            context: Some(live.name().to_owned()),
            object: Some(format!("ChaosWorkflow/{}/{name}", project.namespace)),
            intent: Intent::Other,
        };
        let seen = resolve::Seen { blob: seen.blob, manifest: seen.manifest };
        self.operations
            .run(operation, "Settling the workflow", |operation| async move {
                let git = self.project_git(&project, Some(&operation))?;
                let entry = self.journal.enter(begin).await?;
                let (cluster, namespace) = (&live.cluster, project.namespace.as_str());
                let which = (project.id.as_str(), name.as_str());
                let by = |how| resolve::resolve(cluster, namespace, which, &git, how, &seen);
                let outcome = match resolution {
                    WorkflowResolution::TakeGit => by(resolve::Resolution::TakeGit).await,
                    WorkflowResolution::TakeCluster => by(resolve::Resolution::TakeCluster).await,
                    WorkflowResolution::Take { text } => by(resolve::Resolution::Take(text)).await,
                    WorkflowResolution::ConfirmDeletion => {
                        resolve::confirm_deletion(cluster, namespace, which, Some((&seen, &git))).await
                    }
                    WorkflowResolution::Restore => resolve::restore(cluster, namespace, which, &git, &seen).await,
                };
                entry.close_with(outcome.map_err(AppError::from), |()| End::default()).await?;
                operation.step("Syncing the project", 1, Some(2));
                self.sync(&live, &project, Some(&operation)).await?;
                self.changes.tell(Topic::Chaos);
                Ok(())
            })
            .await
    }

    /// Deletes a workflow's file from Git and the workflow from the cluster. `base_blob` is that of the file as it was
    /// opened.
    ///
    /// # Errors
    /// `chaos.previewStale` when the file is another by now, or the workflow was changed in the cluster.
    pub async fn delete_workflow(
        &self,
        project: String,
        name: String,
        base_blob: Option<String>,
        operation: String,
    ) -> Result<CommitOutcome> {
        let path = file_path(&project, &name)?;
        let (live, project, git) = self.project_of(&project).await?;
        let stale = || ChaosError::PreviewStale {
            name: name.clone(),
            why: "its file changed in Git since you opened it".to_owned(),
        };
        let now = match self.waiting_text(&git.url, &git.branch, &path).await? {
            Some(waiting) => Some(waiting.blob),
            None => {
                let (fetched, at) = (git.fetched().await?, path.clone());
                let tip = fetched.tip.clone();
                let read = move || tip.map_or(Ok(None), |tip| fetched.clone.read(&tip, &at, FILE_LIMIT));
                self.git(read).await?.map(|content| content.blob.to_string())
            }
        };
        if now != base_blob {
            return Err(stale().into());
        }
        let change = Change {
            kind: ActivityKind::Chaos,
            words: format!("Delete the chaos workflow {name} of {}", project.id),
            page: format!("/chaos/{}", project.id),
            path,
            base_blob,
            text: None,
            message: self.workflow_message(
                &live,
                &project,
                &name,
                &format!("Delete chaos workflow {name} of {}", project.id),
            ),
            accept: Arc::new(|_, _| false),
        };
        let (cluster, namespace, id) = (live.cluster.clone(), project.namespace.clone(), project.id.clone());
        let outcome = self.commit_workflow(live, project, change, "Deleting the workflow", operation).await?;
        if matches!(outcome, CommitOutcome::Conflict { .. }) {
            return Err(stale().into());
        }
        // The user asked for the deletion, so it needs no second confirmation in the cluster.
        match resolve::confirm_deletion(&cluster, &namespace, (&id, &name), None).await {
            Ok(()) | Err(ChaosError::NotFound { .. } | ChaosError::WrongState { .. }) => {}
            Err(other) => return Err(other.into()),
        }
        self.changes.tell(Topic::Chaos);
        Ok(outcome)
    }
}
