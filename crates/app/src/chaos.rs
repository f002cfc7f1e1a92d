//! Chaos projects.

use std::sync::Arc;

use pilothouse_chaos::{
    Error as ChaosError,
    instantiate::RunLabels,
    launch::Cause,
    plan::SyncState,
    project::{self, Auth, Enable, Project},
    sync::{SyncReport as Synced, Watched, sync_knowing},
    workflow_object::{Due, WorkflowObject, settle_due},
};
use pilothouse_cluster::{ComponentId, Name, kinds};
use pilothouse_git::{Credential, RemoteUrl, Scheme};

use crate::{
    App, Result,
    chaos_git::ProjectGit,
    contract::{
        ActivityKind, AppError, ChaosOverview, ChaosProjectEntry, ChaosProjectForm, ErrorCode, FieldProblem,
        Permission, ProjectAuth, ProjectState, SyncActionEntry, SyncReport, Topic, WorkflowCounts,
    },
    gitops::GitOps,
    journal::{self, Begin, End, Intent},
    operations::Operation,
    runs::only_by_hand,
    session::Live,
    values::small,
};

/// Where a project's repository is, as the user gave it.
pub(crate) struct Place {
    pub(crate) shown: String,
    pub(crate) url: RemoteUrl,
    pub(crate) auth: Auth,
}

fn project_object(namespace: &str, id: &str) -> String {
    format!("ChaosProject/{namespace}/{id}")
}

impl App {
    /// The connection, when the app's own kinds are installed.
    pub(crate) fn chaos_live(&self) -> Result<Arc<Live>> {
        let live = self.live()?;
        self.need(&live, ComponentId::Pilothouse)?;
        Ok(live)
    }

    /// The workflows of a project as the cluster holds them.
    pub(crate) fn workflow_objects(&self, live: &Live, namespace: &str, project: &str) -> Vec<WorkflowObject> {
        let objects = live.list(&kinds::CHAOS_WORKFLOW);
        let here = objects.iter().filter(|o| o.metadata.namespace.as_deref() == Some(namespace));
        let mut found: Vec<WorkflowObject> =
            here.filter_map(|o| WorkflowObject::read(o)).filter(|w| w.project == project).collect();
        found.sort_by(|a, b| a.workflow.cmp(&b.workflow));
        found
    }

    /// A project by its id. The cluster is asked itself: what was just enabled must be found.
    pub(crate) async fn project(&self, live: &Live, id: &str) -> Result<Project> {
        let mut all: Vec<Project> =
            live.list(&kinds::CHAOS_PROJECT).iter().filter_map(|o| Project::read(o)).filter(|p| p.id == id).collect();
        all.sort_by(|a, b| a.namespace.cmp(&b.namespace));
        if let [one, other, ..] = &all[..] {
            let (one, other) = (&one.namespace, &other.namespace);
            return Err(AppError::blocked(format!(
                "there are two chaos projects {id}, in the namespaces {one} and {other}, which cannot be told apart"
            ))
            .with_hint("delete one of the two ChaosProject objects, or give it another name"));
        }
        if let [known] = &all[..] {
            return Ok(project::get(&live.cluster, &known.namespace, id).await?);
        }
        for namespace in self.project_namespaces(live).await {
            match project::get(&live.cluster, &namespace, id).await {
                Ok(found) => return Ok(found),
                Err(ChaosError::NotFound { .. } | ChaosError::Cluster(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(AppError::not_found(format!("there is no chaos project {id:?}")))
    }

    /// Namespaces a project can live in, the likely ones first.
    async fn project_namespaces(&self, live: &Live) -> Vec<String> {
        let mut found = Vec::new();
        let api = live.cluster.api_all(&kinds::NAMESPACE);
        if let Ok(list) = live.cluster.in_time("the namespaces", api.list(&Default::default())).await {
            found.extend(list.items.into_iter().filter_map(|n| n.metadata.name));
        }
        found.extend(live.chosen_platform());
        found.push(live.cluster.default_namespace().to_owned());
        found.sort();
        found.dedup();
        found.retain(|n| !n.starts_with("kube-"));
        let rank = |n: &String| match n.as_str() {
            "litmus" => 0,
            n if Some(n) == live.chosen_platform().as_deref() => 1,
            _ => 2,
        };
        found.sort_by_key(rank);
        found
    }

    pub(crate) async fn project_entry(&self, live: &Live, project: Project) -> ChaosProjectEntry {
        let shared = self.maybe_gitops().await.ok().flatten();
        self.project_beside(live, project, shared.as_ref()).await
    }

    async fn project_beside(&self, live: &Live, project: Project, shared: Option<&GitOps>) -> ChaosProjectEntry {
        let workflows = self.workflow_objects(live, &project.namespace, &project.id);
        let count = |wanted: SyncState| small(workflows.iter().filter(|w| w.state == Some(wanted)).count());
        let state = match project.state.as_deref() {
            _ if !project.enabled => ProjectState::Disabled,
            None => ProjectState::Pending,
            Some("InSync") => ProjectState::InSync,
            Some("Failed") => ProjectState::Failed,
            Some(_) => ProjectState::Attention,
        };
        let credential = match self.remote(&project.url) {
            Ok(url) => self.kept_credential(&url).await,
            Err(error) => Err(error),
        };
        let has_credential = matches!(credential, Ok(Some(_)));
        // Without a credential nothing is synced from here anyway: it is a colleague's to sync.
        let asks = project.enabled && has_credential && !self.consented(live, &project).await.unwrap_or(false);
        let (state, message) = match project.message {
            message @ Some(_) if asks && state == ProjectState::Failed => (state, message),
            _ if asks => (ProjectState::Attention, Some(crate::consent::ASK.to_owned())),
            message => (state, message),
        };
        ChaosProjectEntry {
            counts: WorkflowCounts {
                total: small(workflows.len()),
                in_sync: count(SyncState::InSync),
                conflict: count(SyncState::Conflict),
                invalid: count(SyncState::Invalid),
            },
            state,
            has_credential,
            auth: match project.auth {
                Auth::Token => ProjectAuth::Token,
                Auth::Ssh => ProjectAuth::Ssh,
            },
            id: project.id,
            namespace: project.namespace,
            enabled: project.enabled,
            in_gitops_repository: shared.is_some_and(|shared| shared.is_at(&project.url)),
            url: project.url,
            branch: project.branch,
            commit: project.commit,
            last_sync: project.last_sync,
            message,
        }
    }

    /// The chaos projects.
    pub async fn chaos_overview(&self) -> Result<ChaosOverview> {
        let live = self.live()?;
        let crds_installed = live.has(ComponentId::Pilothouse);
        if !crds_installed {
            let why = Some("Pilothouse's kinds are not installed in this cluster.".to_owned());
            let can_manage = Permission { allowed: false, why };
            return Ok(ChaosOverview { crds_installed, projects: Vec::new(), can_manage, namespaces: Vec::new() });
        }
        let mut projects: Vec<Project> =
            live.list(&kinds::CHAOS_PROJECT).iter().filter_map(|o| Project::read(o)).collect();
        projects.sort_by(|a, b| (&a.id, &a.namespace).cmp(&(&b.id, &b.namespace)));
        let shared = self.maybe_gitops().await.ok().flatten();
        let mut entries = Vec::new();
        for project in projects {
            entries.push(self.project_beside(&live, project, shared.as_ref()).await);
        }
        let namespaces = self.project_namespaces(&live).await;
        let can_manage = self.may(&live, "create", &kinds::CHAOS_PROJECT, namespaces.first().map(String::as_str)).await;
        Ok(ChaosOverview { crds_installed, projects: entries, can_manage, namespaces })
    }

    /// Where a form's repository is.
    pub(crate) async fn place(&self, form: &ChaosProjectForm) -> Result<Place> {
        let (shown, url) = if form.use_gitops_repository {
            let repository = self.gitops().await?;
            (repository.shown().to_owned(), repository.url)
        } else {
            let url = self.remote(form.url.trim()).map_err(|e| {
                if e.code == ErrorCode::GitSecretInUrl {
                    return e;
                }
                let problem = FieldProblem { field: "url".into(), message: e.message.clone() };
                AppError::fields(vec![problem])
            })?;
            // As it was understood: what stands around it must not reach the cluster.
            (RemoteUrl::parse(form.url.trim())?.as_str().to_owned(), url)
        };
        let scheme = RemoteUrl::parse(&shown)?.scheme();
        let auth = if scheme == Scheme::Ssh { Auth::Ssh } else { Auth::Token };
        Ok(Place { shown, url, auth })
    }

    pub(crate) async fn form_credential(&self, form: &ChaosProjectForm, place: &Place) -> Result<Option<Credential>> {
        match &form.credential {
            Some(input) if !form.use_gitops_repository && place.url.scheme() != Scheme::Local => {
                Ok(Some(self.credential_of(input.clone(), &place.url).await?))
            }
            _ => self.kept_credential(&place.url).await,
        }
    }

    /// Reaches the repository with what the form gives, keeps the credential that did, and says which branch it is to be.
    ///
    /// # Errors
    /// `app.fields` when the repository has no such branch; nothing is kept then.
    pub(crate) async fn reached(&self, form: &ChaosProjectForm, place: &Place) -> Result<String> {
        let credential = self.form_credential(form, place).await?;
        let given = credential.clone().unwrap_or_default();
        let check = self.check_remote(&place.shown, place.url.clone(), given).await?;
        let branch = match form.branch.trim() {
            "" => check.default_branch.unwrap_or_else(|| "main".into()),
            branch => branch.to_owned(),
        };
        if !check.empty && !check.branches.contains(&branch) {
            let message = format!("The repository has no branch {branch}.");
            return Err(AppError::fields(vec![FieldProblem { field: "branch".into(), message }]));
        }
        if let Some(credential) = &credential {
            self.keep_credential(&place.url, credential).await?;
        }
        Ok(branch)
    }

    /// Enables GitOps for a project and syncs it once.
    pub async fn enable_project(&self, form: ChaosProjectForm, operation: String) -> Result<ChaosProjectEntry> {
        let live = self.chaos_live()?;
        let mut problems = Vec::new();
        if let Err(error) = Name::parse("project", &form.id) {
            problems.push(FieldProblem { field: "id".into(), message: error.to_string() });
        }
        if let Err(error) = Name::parse("namespace", &form.namespace) {
            problems.push(FieldProblem { field: "namespace".into(), message: error.to_string() });
        }
        let elsewhere = live
            .list(&kinds::CHAOS_PROJECT)
            .iter()
            .filter_map(|o| Project::read(o))
            .find(|p| p.id == form.id && p.namespace != form.namespace);
        if let Some(other) = elsewhere {
            let message = format!(
                "There is a project {} in the namespace {}; choose another id, by which people tell them apart.",
                other.id, other.namespace
            );
            problems.push(FieldProblem { field: "id".into(), message });
        }
        if !problems.is_empty() {
            return Err(AppError::fields(problems));
        }
        let place = self.place(&form).await?;
        self.operations
            .run(operation, "Testing the repository", |operation| async move {
                let branch = self.reached(&form, &place).await?;
                operation.step("Enabling GitOps", 1, Some(3));
                let begin = Begin {
                    kind: ActivityKind::Chaos,
                    words: format!("Enable GitOps for the chaos project {} from {} ({branch})", form.id, place.shown),
                    context: Some(live.name().to_owned()),
                    object: Some(project_object(&form.namespace, &form.id)),
                    intent: Intent::Object {
                        api: kinds::CHAOS_PROJECT.api_version(),
                        kind: kinds::CHAOS_PROJECT.kind.into(),
                        namespace: form.namespace.clone(),
                        name: form.id.clone(),
                    },
                };
                let entry = self.journal.enter(begin).await?;
                let enable = Enable {
                    id: form.id.clone(),
                    url: place.shown.clone(),
                    branch,
                    auth: place.auth,
                    description: None,
                };
                let outcome = project::enable(&live.cluster, &form.namespace, &enable).await.map_err(AppError::from);
                let page = format!("/chaos/{}", form.id);
                let enabled = entry.close_with(outcome, |_| End { url: Some(page), ..End::default() }).await?;
                self.consent_to_sync(&live, &enabled).await?;
                operation.step("Syncing workflows", 2, Some(3));
                // The project stands; what keeps its first sync from working is said in its state.
                if let Err(error) = self.sync(&live, &enabled, Some(&operation)).await {
                    tracing::warn!(%error, project = %enabled.id, "the first sync failed");
                }
                let now = project::get(&live.cluster, &enabled.namespace, &enabled.id).await?;
                Ok(self.project_entry(&live, now).await)
            })
            .await
    }

    /// Disables GitOps for a project; Git and workflows stay.
    pub async fn disable_project(&self, id: String) -> Result<()> {
        let live = self.chaos_live()?;
        let project = self.project(&live, &id).await?;
        let begin = Begin {
            kind: ActivityKind::Chaos,
            words: format!("Disable GitOps for the chaos project {id}"),
            context: Some(live.name().to_owned()),
            object: Some(project_object(&project.namespace, &id)),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = project::disable(&live.cluster, &project.namespace, &id).await.map_err(AppError::from);
        entry.close_with(outcome, |()| End::default()).await?;
        self.withdraw_consent(&live, &project).await?;
        self.changes.tell(Topic::Chaos);
        Ok(())
    }

    /// A project's repository as the sync needs it.
    pub(crate) fn project_git(&self, project: &Project, operation: Option<&Operation>) -> Result<ProjectGit> {
        Ok(ProjectGit {
            app: self.arc()?,
            url: self.remote(&project.url)?,
            branch: project.branch.clone(),
            operation: operation.cloned(),
            credential: None,
        })
    }

    /// Syncs a project once, notes the outcome in it, and starts the runs that its policies ask for. The cluster is
    /// asked itself: what was just written must be seen.
    pub(crate) async fn sync(&self, live: &Live, project: &Project, operation: Option<&Operation>) -> Result<Synced> {
        self.sync_by(live, project, operation, &|| None).await
    }

    /// As [`App::sync`], by what the watches show where they are up.
    pub(crate) async fn sync_changes(
        &self,
        live: &Live,
        project: &Project,
        operation: Option<&Operation>,
    ) -> Result<Synced> {
        let watched = || live.index().list_live(&kinds::CHAOS_WORKFLOW, &project.namespace);
        self.sync_by(live, project, operation, &watched).await
    }

    async fn sync_by(
        &self,
        live: &Live,
        project: &Project,
        operation: Option<&Operation>,
        watched: Watched<'_>,
    ) -> Result<Synced> {
        let git = self.project_git(project, operation)?;
        let (cluster, namespace) = (&live.cluster, project.namespace.as_str());
        let outcome = sync_knowing(cluster, namespace, &project.id, &git, &self.chaos_memory, watched).await;
        let noted =
            project::note_sync(&live.cluster, &project.namespace, &project.id, outcome.as_ref(), &journal::now()).await;
        if let Err(error) = noted {
            tracing::warn!(%error, project = %project.id, "the outcome of a sync could not be noted");
        }
        let report = outcome?;
        if report.writes > 0 {
            self.changes.tell(Topic::Chaos);
        }
        for due in &report.due {
            self.run_due(live, project, due).await?;
        }
        Ok(report)
    }

    /// Starts the run of a change that is due, and notes that it is there. A kill between the two is harmless: the
    /// next sync finds the change due still, and its run there. Several apps that see one change start one run.
    async fn run_due(&self, live: &Live, project: &Project, due: &Due) -> Result<()> {
        let workflow = due.workflow.as_str();
        if let Err(error) = only_by_hand(live.cluster.is_production(), live.name()) {
            tracing::info!(reason = %error, %workflow, "a run on commit was not started");
            return Ok(());
        }
        let labels = RunLabels { project: project.id.clone(), workflow: workflow.into(), ..RunLabels::default() };
        let words = format!("Run {workflow}, because its file changed and it runs on commit");
        match self.start_automatic(live, &project.namespace, &due.run, &labels, Cause::Commit(due), words).await? {
            Ok(_) => {
                if let Err(error) = settle_due(&live.cluster, &project.namespace, &project.id, due).await {
                    tracing::warn!(%error, %workflow, "a change that was run stays marked as due");
                }
            }
            // It stays due until the file changes or somebody agrees; its page says what holds it back.
            Err(error @ (ChaosError::NotAgreed { .. } | ChaosError::Elsewhere { .. })) => {
                tracing::info!(reason = %error, %workflow, "a run on commit is held back");
            }
            Err(error) => tracing::warn!(%error, %workflow, "a run on commit could not be started"),
        }
        Ok(())
    }

    /// Syncs a project now.
    pub async fn sync_project(&self, id: String, operation: String) -> Result<SyncReport> {
        let live = self.chaos_live()?;
        let project = self.project(&live, &id).await?;
        if !project.enabled {
            return Err(
                AppError::blocked(format!("GitOps is off for the chaos project {id}")).with_hint("enable it first")
            );
        }
        self.operations
            .run(operation, "Syncing workflows", |operation| async move {
                self.consent_to_sync(&live, &project).await?;
                self.changes.tell(Topic::Chaos);
                let report = self.sync_changes(&live, &project, Some(&operation)).await?;
                let actions = report.done.iter().map(|done| SyncActionEntry {
                    workflow: done.workflow.clone(),
                    action: done.what.to_owned(),
                    words: if done.message.is_empty() {
                        format!("{} {}", done.workflow, done.what)
                    } else {
                        format!("{} {}: {}", done.workflow, done.what, done.message)
                    },
                });
                Ok(SyncReport {
                    commit: report.commit.clone(),
                    actions: actions.collect(),
                    problems: report.problems.clone(),
                })
            })
            .await
    }
}
