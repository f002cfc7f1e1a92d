//! The GitOps repository.

use std::time::Duration;

use pilothouse_cluster::kinds;
use pilothouse_delivery::{
    create_repository,
    objects::Codebase,
    repository::{CiTool, Form, Strategy, card, clone_urls, find_existing, form_warnings, render_yaml, validate},
};
use pilothouse_git::RemoteUrl;

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, CloneState, ErrorCode, FieldProblem, GitServerEntry, OperatorView, Permission,
        RepositoryCard, RepositoryForm, RepositoryOverview, RepositoryPreview, RepositoryStrategy, Topic, Transport,
        Warning,
    },
    gitops::{GitOps, commit_entry},
    journal::{Begin, End, Intent},
    operations::Operation,
    remotes::without_secret,
    session::Live,
};

/// How long the platform may take to create a repository.
const CREATION: Duration = Duration::from_secs(600);
/// How often the platform is asked how far it is.
const LOOK: Duration = Duration::from_millis(700);

fn form_of(form: &RepositoryForm) -> Form {
    let (owner, repository) = (form.owner.trim(), form.repository.trim());
    Form {
        strategy: match form.strategy {
            RepositoryStrategy::Create => Strategy::Create,
            RepositoryStrategy::Import => Strategy::Import,
        },
        git_server: form.git_server.clone(),
        owner: owner.to_owned(),
        repository: repository.to_owned(),
        // Gerrit has no owners: there the one field is the path.
        git_url_path: repository.to_owned(),
        ci_tool: if form.ci_tool == "gitlab" { CiTool::Gitlab } else { CiTool::Tekton },
        default_branch: form.default_branch.trim().to_owned(),
        private: form.private,
        ..Form::default()
    }
}

fn problem(found: pilothouse_delivery::FieldProblem) -> FieldProblem {
    let field = if found.field == "gitUrlPath" { "repository".to_owned() } else { found.field };
    FieldProblem { field, message: found.message }
}

fn warning(found: pilothouse_delivery::repository::Warning) -> Warning {
    Warning { code: found.code.to_owned(), message: found.message, hint: found.hint }
}

/// The card of a repository whose address is not known, because its Git server is gone.
fn stranded_card(objects: &pilothouse_delivery::Objects, why: String) -> Option<RepositoryCard> {
    let known = card(find_existing(&objects.codebases).first()?, objects);
    Some(RepositoryCard {
        registered_here: false,
        clone_state: CloneState::Error { message: why },
        transport: Transport::Ssh,
        url_ssh: String::new(),
        url_https: String::new(),
        remote_branch: None,
        last_commit: None,
        operator: Some(OperatorView::from(&known)),
        name: known.name,
        status: known.status,
        status_known: known.status_known,
        detailed_message: known.detailed_message,
        strategy: known.strategy,
        git_server: known.git_server,
        path: known.path,
        default_branch: known.default_branch,
        web_url: known.web_url,
        private: known.private,
        used_by: known.used_by,
    })
}

impl App {
    /// Whether the user may do something, in the window's form; what cannot be asked is allowed and then refused by
    /// the cluster itself.
    pub(crate) async fn may(
        &self,
        live: &Live,
        verb: &str,
        kind: &pilothouse_cluster::Kind,
        namespace: Option<&str>,
    ) -> Permission {
        match live.cluster.access(verb, kind, None, namespace).await {
            Ok(access) if !access.allowed => Permission { allowed: false, why: Some(access.who_can()) },
            _ => Permission { allowed: true, why: None },
        }
    }

    /// Git servers and the repository.
    pub async fn repository_overview(&self) -> Result<RepositoryOverview> {
        let live = self.live()?;
        let objects = self.objects(&live);
        let (repository, stranded) = match self.maybe_gitops().await {
            // Without its Git server the repository has no address; what is known of it is shown all the same.
            Err(error) if error.code == ErrorCode::NotFound => (None, stranded_card(&objects, error.message)),
            other => (other?, None),
        };
        let git_servers = objects.git_servers.iter().map(|s| GitServerEntry {
            name: s.meta.name.clone(),
            host: s.host.clone(),
            provider: s.provider.clone(),
            user: s.user.clone(),
            ssh_port: u32::from(s.ssh_port),
            https_port: u32::from(s.https_port),
            connected: s.connected,
            error: s.error.clone(),
        });
        let card = match &repository {
            Some(repository) => Some(self.card(repository).await?),
            None => stranded,
        };
        let can_create = match (live.chosen_platform(), &card) {
            (_, Some(card)) => Permission {
                allowed: false,
                why: Some(format!(
                    "The platform already has the GitOps repository {}, and it reads only one.",
                    card.name
                )),
            },
            (Some(platform), None) => self.may(&live, "create", &kinds::CODEBASE, Some(&platform)).await,
            (None, None) => Permission {
                allowed: false,
                why: Some("KubeRocketCI is not installed here; register an existing repository instead.".into()),
            },
        };
        Ok(RepositoryOverview { git_servers: git_servers.collect(), card, can_create })
    }

    /// The repository's card.
    async fn card(&self, repository: &GitOps) -> Result<RepositoryCard> {
        let note = self.remote_note(&repository.url).await?;
        // A clone that cannot be opened is said on the card; it must not take the page away.
        let local = self.on_disk(&repository.url).await.unwrap_or_default();
        let mut last_commit = None;
        if let Some((clone, tip)) = local.as_ref().and_then(|l| Some((l.clone.clone(), l.tip.clone()?))) {
            last_commit = self.git(move || clone.commit_info(&tip)).await.ok().map(commit_entry);
        }
        let clone_state = if self.is_cloning(&repository.url) {
            CloneState::Cloning
        } else {
            match self.kept_credential(&repository.url).await {
                Err(e) => CloneState::Error { message: e.message },
                Ok(None) => CloneState::NeedsCredential,
                Ok(Some(_)) => match (&note.error, &local) {
                    (Some(message), _) => CloneState::Error { message: message.clone() },
                    (None, Some(local)) => CloneState::Ready {
                        commit: local.tip.as_ref().map(ToString::to_string),
                        fetched: note.fetched.clone(),
                    },
                    (None, None) => CloneState::None,
                },
            }
        };
        let url = RemoteUrl::parse(repository.shown())?;
        let known = repository.card.clone();
        let last_part = url.display().rsplit(['/', ':']).next().unwrap_or_default().to_owned();
        Ok(RepositoryCard {
            registered_here: known.is_none(),
            clone_state,
            transport: repository.transport,
            url_ssh: repository.urls.ssh.clone(),
            url_https: repository.urls.https.clone(),
            remote_branch: note.default_branch,
            last_commit,
            operator: known.as_ref().map(OperatorView::from),
            name: known.as_ref().map_or(last_part, |k| k.name.clone()),
            status: known.as_ref().map_or_else(|| "registered".into(), |k| k.status.clone()),
            status_known: known.as_ref().is_none_or(|k| k.status_known),
            detailed_message: known.as_ref().and_then(|k| k.detailed_message.clone()),
            strategy: known.as_ref().map_or_else(|| "import".into(), |k| k.strategy.clone()),
            git_server: known.as_ref().map(|k| k.git_server.clone()).unwrap_or_default(),
            path: known.as_ref().map_or_else(|| url.display().to_owned(), |k| k.path.clone()),
            default_branch: repository.usual_branch.clone(),
            web_url: known.as_ref().and_then(|k| k.web_url.clone()),
            private: known.as_ref().is_none_or(|k| k.private),
            used_by: known.map(|k| k.used_by).unwrap_or_default(),
        })
    }

    /// The exact Codebase a form would create, or its problems.
    pub async fn repository_preview(&self, form: RepositoryForm) -> Result<RepositoryPreview> {
        let (live, _) = self.platform()?;
        let objects = self.objects(&live);
        let form = form_of(&form);
        let problems: Vec<FieldProblem> = validate(&form, &objects).into_iter().map(problem).collect();
        let server = objects.git_servers.iter().find(|s| s.meta.name == form.git_server);
        let urls = server.map(|s| clone_urls(s, &form.path(Some(s)))).filter(|_| problems.is_empty());
        let yaml = if problems.is_empty() { render_yaml(&form, server) } else { String::new() };
        let (url_ssh, url_https) = urls.map(|u| (u.ssh, u.https)).unwrap_or_default();
        Ok(RepositoryPreview {
            yaml,
            problems,
            warnings: form_warnings(&form).into_iter().map(warning).collect(),
            url_ssh,
            url_https,
        })
    }

    /// Creates the Codebase and waits for the platform to finish; answers its name. Cancelling ends the waiting: a write
    /// that was begun is finished with its second look, and gives back what it holds meanwhile.
    pub async fn create_repository(&self, form: RepositoryForm, operation: String) -> Result<String> {
        let (live, platform) = self.platform()?;
        let form = form_of(&form);
        let app = self.arc()?;
        self.operations
            .run(operation, "Creating the repository", |operation| async move {
                let (writing, place) = (live.clone(), platform.clone());
                let written = tokio::spawn(async move {
                    let name = app.write_codebase(&writing, &place, &form).await;
                    app.changes.tell(Topic::Repository);
                    name
                });
                let name =
                    written.await.map_err(|e| AppError::internal(format!("the creation ended early: {e}")))??;
                self.await_codebase(&live, &platform, &name, &operation).await?;
                Ok(name)
            })
            .await
    }

    async fn write_codebase(&self, live: &Live, platform: &str, form: &Form) -> Result<String> {
        let verb = if form.strategy == Strategy::Create { "Create" } else { "Import" };
        let begin = Begin {
            kind: ActivityKind::Repository,
            words: format!("{verb} the GitOps repository {} on {}", form.path(None).trim_matches('/'), form.git_server),
            context: Some(live.name().to_owned()),
            object: Some(format!("Codebase/{platform}/{}", form.name)),
            intent: Intent::Object {
                api: kinds::CODEBASE.api_version(),
                kind: kinds::CODEBASE.kind.into(),
                namespace: platform.to_owned(),
                name: form.name.clone(),
            },
        };
        let id = self.journal.begin(begin).await?;
        let outcome = create_repository(&live.cluster, platform, form).await.map_err(AppError::from);
        self.journal.close_with(id, outcome, |_| End { url: Some("/repository".into()), ..End::default() }).await
    }

    /// Follows a Codebase until the platform is done with it.
    pub(crate) async fn await_codebase(
        &self,
        live: &Live,
        platform: &str,
        name: &str,
        operation: &Operation,
    ) -> Result<()> {
        let api = live.cluster.api(&kinds::CODEBASE, platform);
        let follow = async {
            loop {
                let object = live.cluster.in_time("the Codebase", api.get_opt(name)).await?;
                let object =
                    object.ok_or_else(|| AppError::not_found(format!("the Codebase {name} was deleted meanwhile")))?;
                let codebase = Codebase::read(&object);
                let status = codebase.status;
                let failed = status.status.as_deref() == Some("failed") || status.result.as_deref() == Some("error");
                if status.available && !failed {
                    return Ok(());
                }
                if failed {
                    let why = status.detailed_message.unwrap_or_else(|| "the platform gives no reason".into());
                    return Err(AppError::new(ErrorCode::Delivery, format!("the platform could not do it: {why}"))
                        .with_hint("mend the cause; the platform tries again by itself"));
                }
                let doing = status.action.map_or_else(|| "waiting for the platform".into(), |a| a.replace('_', " "));
                operation.step(&format!("The platform works on it: {doing}"), 1, Some(2));
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(CREATION, follow).await.unwrap_or_else(|_| {
            Err(AppError::new(ErrorCode::Timeout, format!("the platform has not finished {name} within ten minutes"))
                .with_hint("the Codebase is there; its card shows when the platform goes on"))
        })
    }

    /// Registers a repository in the app only, for clusters without KubeRocketCI.
    pub async fn register_repository(&self, url: String) -> Result<RepositoryOverview> {
        let live = self.live()?;
        let checked = without_secret(&url).map_err(|e| {
            if e.code == ErrorCode::GitSecretInUrl {
                return e;
            }
            AppError::fields(vec![FieldProblem { field: "url".into(), message: e.message }])
        })?;
        if let Some(existing) = find_existing(&self.objects(&live).codebases).first() {
            return Err(AppError::new(
                ErrorCode::RepositoryExists,
                format!("the platform already has the GitOps repository {}", existing.meta.name),
            ));
        }
        let begin = Begin {
            kind: ActivityKind::Repository,
            words: format!("Register the repository {checked} in the app"),
            context: Some(live.name().to_owned()),
            object: None,
            intent: Intent::Other,
        };
        let id = self.journal.begin(begin).await?;
        let outcome = self.keep_registered(checked.as_str()).await;
        self.journal.close_with(id, outcome, |()| End::default()).await?;
        self.changes.tell(Topic::Repository);
        self.repository_overview().await
    }

    /// Clones the repository, or fetches when it is cloned already.
    pub async fn clone_repository(&self, operation: String) -> Result<RepositoryCard> {
        let repository = self.gitops().await?;
        let first = self.on_disk(&repository.url).await.unwrap_or_default().is_none();
        let label = if first { "Cloning the repository" } else { "Fetching the repository" };
        self.operations
            .run(operation, label, |operation| async move {
                let fetched = {
                    let _cloning = first.then(|| self.mark_cloning(&repository.url));
                    self.fetch(&repository.url, &repository.usual_branch, Some(&operation)).await?
                };
                if first {
                    let begin = Begin {
                        kind: ActivityKind::Repository,
                        words: format!("Clone {} (branch {})", repository.shown(), fetched.branch),
                        context: self.context_name(),
                        object: None,
                        intent: Intent::Other,
                    };
                    let commit = fetched.tip.as_ref().map(ToString::to_string);
                    self.journal.note(begin, End { commit, ..End::default() }).await?;
                }
                self.changes.tell(Topic::Repository);
                self.changes.tell(Topic::Environments);
                self.card(&repository).await
            })
            .await
    }
}
