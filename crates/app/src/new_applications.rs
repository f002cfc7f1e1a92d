//! A new Application of Argo CD: the values file first, then the object, each only if it is what was shown.

use pilothouse_cluster::{ComponentId, kinds};
use pilothouse_delivery::{
    Error as DeliveryError, Objects,
    argo_cd::{
        ChartSource, Destination, Form, Meant, Permitted, SyncPolicy, create, meant, permits_destination,
        permits_namespace, permits_source, render, try_create, validate,
    },
};
use pilothouse_git::RepoPath;
use serde_json::Value;

use crate::{
    App, Result,
    commits::Change,
    contract::{
        ActivityKind, AppError, ApplicationForm, ApplicationMade, ApplicationPreview, ArgoDestination, ArgoSyncPolicy,
        ChartKind, CommitOutcome, FieldProblem, NewApplication, PreflightCheck, Topic, ValuesFile, ValuesFileState,
    },
    deploys::confirmed,
    gitops::{Fetched, GitOps},
    journal::{Begin, End, Intent},
    operations::Operation,
    session::Live,
    values::readable_values,
};

fn values_file(form: &ApplicationForm) -> ValuesFile {
    ValuesFile { flow: form.flow.clone(), env: form.env.clone(), app: form.app.clone() }
}

/// The form as delivery knows it. The values come from where the app itself edits them.
fn domain_form(form: &ApplicationForm, repository: &GitOps, branch: &str) -> Form {
    let (url, chart, version) = (form.chart_url.trim().to_owned(), form.chart.clone(), form.revision.clone());
    Form {
        name: form.name.clone(),
        namespace: form.namespace.clone(),
        project: form.project.clone(),
        flow: form.flow.clone(),
        environment: form.env.clone(),
        application: form.app.clone(),
        chart: match form.chart_kind {
            ChartKind::Git => ChartSource::Git { url, path: chart, revision: version },
            ChartKind::Helm => ChartSource::Helm { url, chart, version },
            ChartKind::Oci => ChartSource::Oci { url, chart, version },
        },
        destination: match &form.destination {
            ArgoDestination::InCluster => Destination::InCluster,
            ArgoDestination::Server { server } => Destination::Server(server.clone()),
            ArgoDestination::Named { name } => Destination::Named(name.clone()),
        },
        target_namespace: form.target_namespace.clone(),
        create_namespace: form.create_namespace,
        ignore_missing: form.ignore_missing,
        values_url: repository.shown().to_owned(),
        values_revision: branch.to_owned(),
        sync: match form.sync {
            ArgoSyncPolicy::Manual => SyncPolicy::Manual,
            ArgoSyncPolicy::Automated { prune, self_heal } => SyncPolicy::Automated { prune, self_heal },
        },
        image_tag: form.image_tag.clone(),
    }
}

fn check(id: &str, label: &str, ok: bool, why: Option<String>, blocking: bool) -> PreflightCheck {
    PreflightCheck { id: id.to_owned(), label: label.to_owned(), ok, why, blocking }
}

/// What a project says of something. What cannot be told from here does not stand in the way: Argo CD itself will say.
fn permitted(id: &str, label: &str, found: Permitted) -> PreflightCheck {
    match found {
        Permitted::Yes => check(id, label, true, None, true),
        Permitted::No(why) => check(id, label, false, Some(why), true),
        Permitted::Unknown(why) => check(id, label, false, Some(why), false),
    }
}

fn yaml_of(application: &Value) -> Result<String> {
    serde_yaml::to_string(application).map_err(|e| AppError::internal(e.to_string()))
}

/// The text of a new, empty values file.
fn first_text(form: &ApplicationForm) -> String {
    format!(
        "# Values of {} in {}/{}. What is not set here is the chart's default.\n{{}}\n",
        form.app, form.flow, form.env
    )
}

/// The text of the values file that saving commits first; none where one is there, or none is wanted.
fn new_file(form: &ApplicationForm, file: ValuesFileState) -> Option<String> {
    (form.create_file && file == ValuesFileState::Absent).then(|| first_text(form))
}

/// Refuses to make anything else than what was shown: the Application, or the file before it. The clone that a preview
/// looks at may be older than the one that saving fetches.
fn only_what_was_seen(request: &NewApplication, yaml: &str, file: Option<&str>) -> Result<()> {
    let what = match (request.seen == yaml, request.seen_file.as_deref() == file) {
        (true, true) => return Ok(()),
        (false, _) => "the Application",
        (true, false) => "the values file",
    };
    Err(DeliveryError::PreviewStale { what: what.to_owned() }.into())
}

/// Everything that a preview and a save look at.
struct Prepared {
    repository: GitOps,
    fetched: Fetched,
    form: Form,
    path: Option<RepoPath>,
    file: ValuesFileState,
}

impl App {
    async fn prepare_application(&self, form: &ApplicationForm) -> Result<Prepared> {
        let repository = self.gitops().await?;
        // A clone that is there will do for a look; saving fetches.
        let fetched = match self.on_disk(&repository.url).await? {
            Some(fetched) => fetched,
            None => self.fetch(&repository.url, &repository.usual_branch, None).await?,
        };
        self.prepared(form, repository, fetched).await
    }

    async fn prepared(&self, form: &ApplicationForm, repository: GitOps, fetched: Fetched) -> Result<Prepared> {
        let path = values_file(form).path().ok();
        let mut file = ValuesFileState::Unknown;
        if let Some(at) = path.clone() {
            let (clone, tip) = (fetched.clone.clone(), fetched.tip.clone());
            let read = move || match tip {
                Some(tip) => clone.read(&tip, &at, pilothouse_values::LIMIT),
                None => Ok(None),
            };
            file = match self.git(read).await {
                Ok(Some(_)) => ValuesFileState::Present,
                Ok(None) => ValuesFileState::Absent,
                Err(_) => ValuesFileState::Unknown,
            };
        }
        let domain = domain_form(form, &repository, &fetched.branch);
        Ok(Prepared { repository, fetched, form: domain, path, file })
    }

    /// What saving a new Application would do; nothing is written.
    pub async fn preview_application(&self, form: ApplicationForm) -> Result<ApplicationPreview> {
        let live = self.argo_cd_alone()?;
        let prepared = self.prepare_application(&form).await?;
        let problems = validate(&prepared.form);
        let path = prepared.path.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut preview = ApplicationPreview {
            problems: problems.into_iter().map(|one| FieldProblem { field: one.field, message: one.message }).collect(),
            yaml: String::new(),
            path,
            file: prepared.file,
            file_text: new_file(&form, prepared.file),
            checks: Vec::new(),
        };
        if preview.problems.is_empty() {
            let application = render(&prepared.form);
            preview.yaml = yaml_of(&application)?;
            preview.checks = self.application_checks(&live, &prepared, &form, &application).await;
        }
        Ok(preview)
    }

    async fn application_checks(
        &self,
        live: &Live,
        prepared: &Prepared,
        form: &ApplicationForm,
        application: &Value,
    ) -> Vec<PreflightCheck> {
        let objects = self.objects(live);
        let mut checks = vec![self.place_check(&objects, form)];
        let projects = self.app_projects(live);
        let project = projects.as_deref().map(|all| meant(all, &form.project, &form.namespace));
        let label = "The AppProject is there";
        match project {
            None => {
                let why = "AppProjects may not be listed with your permissions; Argo CD itself will say.";
                checks.push(check("project", label, false, Some(why.to_owned()), false));
            }
            Some(Meant::Nobody) => {
                let why = format!("There is no AppProject {}.", form.project);
                checks.push(check("project", label, false, Some(why), true));
            }
            Some(Meant::Several) => {
                let why = format!(
                    "There are several AppProjects {}. Argo CD goes by the one in its own namespace and will say itself \
                     what that permits.",
                    form.project
                );
                checks.push(check("project", label, false, Some(why), false));
            }
            Some(Meant::One(project)) => {
                checks.push(check("project", label, true, None, true));
                let form = &prepared.form;
                checks.push(permitted(
                    "namespace",
                    "The project takes Applications of this namespace",
                    permits_namespace(project, &form.namespace),
                ));
                checks.push(permitted(
                    "chartSource",
                    "The project permits the chart's repository",
                    permits_source(project, form.chart.address()),
                ));
                checks.push(permitted(
                    "valuesSource",
                    "The project permits the GitOps repository",
                    permits_source(project, &form.values_url),
                ));
                checks.push(permitted(
                    "destination",
                    "The project permits the destination",
                    permits_destination(project, &form.destination, &form.target_namespace),
                ));
            }
        }
        checks.push(file_check(prepared, form));
        let (namespace, name) = (prepared.form.namespace.as_str(), prepared.form.name.as_str());
        let may = self.may(live, "create", &kinds::APPLICATION, Some(namespace)).await;
        let allowed = may.allowed;
        checks.push(check("permission", "You may make Applications there", allowed, may.why, true));
        if allowed {
            let label = "The API server takes it (dry run)";
            checks.push(match try_create(&live.cluster, namespace, application).await {
                Ok(()) => check("dryRun", label, true, None, true),
                Err(DeliveryError::Exists { .. }) => {
                    let why = format!("There is an Application {name} in {namespace} already. Choose another name.");
                    check("dryRun", label, false, Some(why), true)
                }
                Err(error) => check("dryRun", label, false, Some(AppError::from(error).message), true),
            });
        }
        checks
    }

    fn place_check(&self, objects: &Objects, form: &ApplicationForm) -> PreflightCheck {
        let taken = objects.application(&form.flow, &form.env, &form.app);
        let why = taken.map(|one| {
            format!(
                "The Application {}/{} reads that values file already. Change it, or choose another place.",
                one.meta.namespace, one.meta.name
            )
        });
        check("place", "No other Application reads the values file", why.is_none(), why, true)
    }

    /// The connection, where Argo CD alone deploys.
    pub(crate) fn argo_cd_alone(&self) -> Result<std::sync::Arc<Live>> {
        match self.deliverer()? {
            (live, None) => Ok(live),
            (_, Some(platform)) => {
                Err(AppError::blocked(format!("the platform in {platform} makes Argo CD's Applications here")))
            }
        }
    }

    /// Makes an Application, and its values file first where that is wanted. When it fails, what was there stays, and the
    /// answer says what was done.
    pub async fn create_application(&self, request: NewApplication, operation: String) -> Result<ApplicationMade> {
        let live = self.argo_cd_alone()?;
        self.need(&live, ComponentId::ArgoCd)?;
        confirmed(live.cluster.is_production(), live.name(), &request.form.name, request.confirm.as_deref())?;
        self.operations
            .run(operation, "Making the Application", |operation| async move {
                operation.step("Fetching the repository", 0, Some(3));
                let (repository, fetched) = self.fetch_gitops(Some(&operation)).await?;
                let form = &request.form;
                let prepared = self.prepared(form, repository, fetched).await?;
                let problems = validate(&prepared.form);
                if !problems.is_empty() {
                    return Err(DeliveryError::Form(problems).into());
                }
                let application = render(&prepared.form);
                let text = new_file(form, prepared.file);
                only_what_was_seen(&request, &yaml_of(&application)?, text.as_deref())?;
                let checks = self.application_checks(&live, &prepared, form, &application).await;
                if let Some(found) = checks.iter().find(|one| one.blocking && !one.ok) {
                    let why = found.why.clone().unwrap_or_else(|| found.label.clone());
                    return Err(AppError::blocked(format!("nothing was made: {why}")));
                }
                // Followed to its end even when the operation is cancelled: the timeline must say what came of it.
                let app = self.arc()?;
                let form = request.form;
                let follow = tokio::spawn(async move {
                    app.save_application(&live, &prepared, &form, text, &application, &operation).await
                });
                follow.await.map_err(|e| AppError::internal(format!("making the Application ended early: {e}")))?
            })
            .await
    }

    /// Commits the file, where there is a text for it, and makes the Application, unless that was cancelled before.
    async fn save_application(
        &self,
        live: &Live,
        prepared: &Prepared,
        form: &ApplicationForm,
        text: Option<String>,
        application: &Value,
        operation: &Operation,
    ) -> Result<ApplicationMade> {
        let commit = match text {
            Some(text) => self.commit_first(prepared, form, text, operation).await?,
            None => None,
        };
        let made = match operation.check() {
            Ok(()) => {
                operation.step("Making the Application", 2, Some(3));
                self.make_application(live, prepared, form, application).await
            }
            Err(cancelled) => Err(cancelled),
        };
        match made {
            Ok(()) => Ok(ApplicationMade { name: form.name.clone(), commit }),
            Err(error) => Err(match commit {
                None => error,
                Some(commit) => with_the_file(error, prepared, &commit),
            }),
        }
    }

    /// Commits and pushes the values file. A file that somebody else made meanwhile stays as it is and stops the story.
    async fn commit_first(
        &self,
        prepared: &Prepared,
        form: &ApplicationForm,
        text: String,
        operation: &Operation,
    ) -> Result<Option<String>> {
        let file = values_file(form);
        let path = file.path()?;
        let change = Change {
            kind: ActivityKind::Values,
            words: format!("Commit the values of {} in {}/{}", file.app, file.flow, file.env),
            page: format!("/environments/{}/{}/{}/values", file.flow, file.env, file.app),
            path: path.clone(),
            base_blob: None,
            text: Some(text),
            message: format!("Add values of {} in {}/{}", file.app, file.flow, file.env),
            accept: readable_values(),
        };
        match self.publish(&prepared.repository.url, prepared.fetched.clone(), change, operation).await? {
            CommitOutcome::Published { commit, .. } => Ok(Some(commit.id)),
            CommitOutcome::Unchanged => Ok(None),
            CommitOutcome::Conflict { .. } => {
                Err(AppError::blocked(format!("somebody made {path} at this moment; no Application was made"))
                    .with_hint("look at the file, and save again: it is used as it is"))
            }
        }
    }

    async fn make_application(
        &self,
        live: &Live,
        prepared: &Prepared,
        form: &ApplicationForm,
        application: &Value,
    ) -> Result<()> {
        let (namespace, name) = (&prepared.form.namespace, &prepared.form.name);
        let begin = Begin {
            kind: ActivityKind::Deploy,
            words: format!("Make the Application {name} for {} in {}/{}", form.app, form.flow, form.env),
            context: Some(live.name().to_owned()),
            object: Some(format!("Application/{namespace}/{name}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = create(&live.cluster, namespace, application).await.map_err(AppError::from);
        let url = format!("/environments/{}/{}/{}", form.flow, form.env, form.app);
        entry.close_with(outcome, |()| End { url: Some(url), ..End::default() }).await?;
        self.changes.tell(Topic::Environments);
        Ok(())
    }
}

/// The same error, saying that the file is there by now.
fn with_the_file(error: AppError, prepared: &Prepared, commit: &str) -> AppError {
    let path = prepared.path.as_ref().map(ToString::to_string).unwrap_or_default();
    let short: String = commit.chars().take(8).collect();
    let message = format!(
        "{path} was committed ({short}), and the Application was not made: {}. The file stays as it is; save again to go \
         on from there",
        error.message
    );
    AppError { message, ..error }
}

fn file_check(prepared: &Prepared, form: &ApplicationForm) -> PreflightCheck {
    let label = "The values file is there";
    let path = prepared.path.as_ref().map(ToString::to_string).unwrap_or_default();
    let (ok, why) = match (prepared.file, form.create_file, form.ignore_missing) {
        (ValuesFileState::Present, ..) => (true, None),
        (ValuesFileState::Absent, true, _) => (true, Some(format!("{path} is committed first."))),
        (ValuesFileState::Absent, false, true) => {
            (false, Some(format!("{path} is not in Git. Argo CD passes over it and deploys the chart's defaults.")))
        }
        (ValuesFileState::Absent, false, false) => {
            (false, Some(format!("{path} is not in Git. Argo CD deploys nothing until it is.")))
        }
        (ValuesFileState::Unknown, ..) => (false, Some(format!("{path} cannot be read as a file."))),
    };
    check("file", label, ok, why, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ErrorCode;

    fn form() -> ApplicationForm {
        ApplicationForm {
            flow: "shop".into(),
            env: "dev".into(),
            app: "cart".into(),
            name: "shop-dev-cart".into(),
            namespace: "argocd".into(),
            project: "shop".into(),
            chart_kind: ChartKind::Git,
            chart_url: "https://git.example.com/acme/cart.git".into(),
            chart: "deploy-templates".into(),
            revision: "main".into(),
            image_tag: String::new(),
            destination: ArgoDestination::InCluster,
            target_namespace: "shop-dev".into(),
            create_namespace: true,
            ignore_missing: false,
            sync: ArgoSyncPolicy::Manual,
            create_file: true,
        }
    }

    #[test]
    fn nothing_is_made_that_was_not_seen() {
        let text = first_text(&form());
        let ask = |seen_file: Option<&str>| NewApplication {
            form: form(),
            seen: "yaml".into(),
            seen_file: seen_file.map(str::to_owned),
            confirm: None,
        };
        assert!(only_what_was_seen(&ask(Some(&text)), "yaml", Some(&text)).is_ok());
        assert!(only_what_was_seen(&ask(None), "yaml", None).is_ok());
        // A file that was there when the page was looked at, and is not any more; the other way round; another one.
        for (seen, now) in [(None, Some(text.as_str())), (Some(text.as_str()), None), (Some("{}"), Some(&text))] {
            let error = only_what_was_seen(&ask(seen), "yaml", now).unwrap_err();
            assert_eq!(error.code, ErrorCode::DeployPreviewStale, "{seen:?}");
            assert!(error.message.contains("the values file"), "{error:?}");
        }
        assert!(only_what_was_seen(&ask(Some(&text)), "other", Some(&text)).is_err());
    }

    #[test]
    fn a_file_is_committed_only_where_none_is_and_one_is_wanted() {
        let without = ApplicationForm { create_file: false, ..form() };
        assert!(new_file(&form(), ValuesFileState::Absent).is_some());
        for (form, file) in
            [(form(), ValuesFileState::Present), (form(), ValuesFileState::Unknown), (without, ValuesFileState::Absent)]
        {
            assert_eq!(new_file(&form, file), None, "{file:?}");
        }
    }
}
