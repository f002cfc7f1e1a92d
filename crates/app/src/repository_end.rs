//! The end of the GitOps repository, and its way back.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pilothouse_cluster::kinds;
use pilothouse_delivery::{
    care::{self, Progress},
    deletion::{ChaosUser, ReferrerKind, StepId, full_name, keepsake, plan},
    objects::{Codebase, GitServer},
    provider::{ApiToken, Deletion, ProviderError, ProviderKind},
    repository::is_at,
};
use pilothouse_git::{Credential, RemoteUrl};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, CredentialInput, DeleteAtProvider, DeleteRepository, DeletedRepository, ErrorCode,
        FieldProblem, KeptRepository, ProviderDeletionView, ReferrerView, ReferrerWord, RepositoryDeletion, Topic,
    },
    deploys::confirmed,
    journal::{self, Begin, End, Intent},
    operations::Operation,
    repository_care::the_codebase,
    session::Live,
};

/// How long the cleaning up is followed. It goes on without anybody looking.
const CLEANUP: Duration = Duration::from_secs(600);
/// How often the platform is asked how far it is.
const LOOK: Duration = Duration::from_millis(700);

/// The Codebases that are being deleted now, by their unique ids.
static UNDER_WAY: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The turn of one deletion: of two orders for one Codebase the provider hears one.
struct Turn(String);

impl Turn {
    fn take(name: &str, uid: &str) -> Result<Self> {
        if UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned()) {
            return Ok(Self(uid.to_owned()));
        }
        Err(AppError::blocked(format!("{name} is being deleted already")))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// What to do after a deletion at the provider that did not go as it should.
fn after_failure(error: ProviderError, path: &str, web_url: Option<&str>) -> AppError {
    let look = web_url.map_or_else(|| "look at the provider".to_owned(), |url| format!("look at {url}"));
    let hint = match &error {
        // The order was sent, and its answer is not known.
        ProviderError::Timeout { .. } | ProviderError::Network { .. } | ProviderError::Unexpected { .. } => {
            Some(format!("whether {path} was deleted is not certain: {look} before you try again"))
        }
        ProviderError::NotFound { .. } => Some(format!(
            "if {path} is gone already, leave the provider out and delete the Codebase alone; else use a token that may \
             see it"
        )),
        _ => None,
    };
    let edge = AppError::from(error);
    match hint {
        Some(hint) => edge.with_hint(hint),
        None => edge,
    }
}

/// What is kept of a deleted repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    deleted: String,
    codebase: Value,
}

fn kept_setting(live: &Live) -> String {
    format!("kept-repository:{}:{}", live.name(), live.chosen_platform().unwrap_or_default())
}

fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap_or_default()
}

/// The server that a token goes to, as it is shown.
pub(crate) fn shown_host(server: &GitServer) -> String {
    format!("{}:{}", server.host, server.https_port)
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl App {
    async fn kept(&self, live: &Live) -> Result<Option<Kept>> {
        let kept = self.storage.setting(&kept_setting(live)).await?;
        Ok(kept.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The repository that was deleted here last and can be brought back.
    pub(crate) async fn kept_repository(&self) -> Result<Option<KeptRepository>> {
        let live = self.live()?;
        Ok(self.kept(&live).await?.map(|kept| KeptRepository {
            name: text(&kept.codebase, "/metadata/name"),
            path: text(&kept.codebase, "/spec/gitUrlPath"),
            git_server: text(&kept.codebase, "/spec/gitServer"),
            yaml: yaml(&kept.codebase),
            deleted: kept.deleted,
        }))
    }

    /// The chaos projects whose workflows are in the repository.
    fn chaos_users(&self, live: &Live, server: Option<&GitServer>, path: &str) -> Vec<ChaosUser> {
        let Some(server) = server else { return Vec::new() };
        let uses = |url: &str| is_at(url, server, path);
        live.list(&kinds::CHAOS_PROJECT)
            .iter()
            .filter(|one| {
                let enabled = one.data.pointer("/spec/gitOps/enabled").and_then(Value::as_bool).unwrap_or(false);
                enabled && one.data.pointer("/spec/gitOps/url").and_then(Value::as_str).is_some_and(uses)
            })
            .map(|one| ChaosUser {
                id: one.metadata.name.clone().unwrap_or_default(),
                namespace: one.metadata.namespace.clone().unwrap_or_default(),
            })
            .collect()
    }

    /// The token that somebody signed in with at the server's API; else the one kept for the repository over HTTPS.
    async fn provider_token(&self, server: &GitServer, https: &str) -> Result<Option<ApiToken>> {
        if let Some(own) = self.own_api_token(server).await? {
            return Ok(Some(own));
        }
        let Ok(url) = RemoteUrl::parse(https) else { return Ok(None) };
        Ok(match self.kept_credential(&url).await? {
            Some(Credential::Token { username, token }) => Some(ApiToken { username, token }),
            _ => None,
        })
    }

    /// What deleting the repository comes to; nothing is written.
    pub async fn plan_repository_deletion(&self) -> Result<RepositoryDeletion> {
        let (live, platform) = self.platform()?;
        let objects = self.objects(&live);
        let codebase = the_codebase(&objects)?;
        let server = objects.git_servers.iter().find(|one| one.meta.name == codebase.git_server);
        let chaos = self.chaos_users(&live, server, &codebase.git_url_path);
        let kind = server.and_then(|one| ProviderKind::parse(&one.provider));
        let blocked = match (server, kind) {
            _ if live.cluster.is_practice() => {
                Some("The practice cluster's Git server is a folder on this computer and has no API.".to_owned())
            }
            (None, _) => Some(format!("The Git server `{}` does not exist.", codebase.git_server)),
            (Some(one), None) => Some(format!("`{}` is not a provider whose API is known.", one.provider)),
            _ => None,
        };
        let has_token = match server {
            Some(one) if blocked.is_none() => {
                let urls = pilothouse_delivery::repository::clone_urls(one, &codebase.git_url_path);
                self.provider_token(one, &urls.https).await.is_ok_and(|token| token.is_some())
            }
            _ => false,
        };
        let plan = plan(&objects, &codebase, &chaos, blocked);
        let provider = plan.steps.iter().find(|one| one.id == StepId::Provider);
        let object = live.cluster.api(&kinds::CODEBASE, &platform);
        let object = live.cluster.in_time("the Codebase", object.get(&plan.name)).await?;
        let word = |kind| match kind {
            ReferrerKind::Flow => ReferrerWord::Flow,
            ReferrerKind::ApplicationSet => ReferrerWord::ApplicationSet,
            ReferrerKind::Application => ReferrerWord::Application,
            ReferrerKind::ChaosProject => ReferrerWord::ChaosProject,
        };
        Ok(RepositoryDeletion {
            permission: self.may(&live, "delete", &kinds::CODEBASE, Some(&platform)).await,
            provider: ProviderDeletionView {
                title: kind.map_or_else(|| codebase.git_server.clone(), |kind| kind.title().to_owned()),
                host: server.map(shown_host).unwrap_or_default(),
                full_name: plan.full_name.clone(),
                blocked: provider.and_then(|one| one.blocked.clone()),
                has_token,
                web_url: codebase.status.git_web_url.clone().filter(|url| url.starts_with("https://")),
            },
            referrers: plan
                .referrers
                .into_iter()
                .map(|one| ReferrerView { kind: word(one.kind), name: one.name, what: one.what })
                .collect(),
            name: plan.name,
            uid: plan.uid,
            refused: plan.refused,
            goes: plan.goes,
            stays: plan.stays,
            keepsake: yaml(&keepsake(&object)),
        })
    }

    /// Deletes the repository: first at the provider, if that was asked for and its name was typed, then the Codebase
    /// that was shown; follows the platform's cleaning up. Cancelling ends the following, not the deletion.
    pub async fn delete_repository(&self, request: DeleteRepository, operation: String) -> Result<DeletedRepository> {
        let (live, platform) = self.platform()?;
        let app = self.arc()?;
        self.operations
            .run(operation, "Deleting the repository", |operation| async move {
                let (name, uid) = (request.name.clone(), request.uid.clone());
                let (watching, place) = (live.clone(), platform.clone());
                let steps = operation.clone();
                // What was begun is brought to its end, whoever still waits for it.
                let deleting =
                    tokio::spawn(async move { app.delete_in_order(&live, &platform, request, &steps).await });
                let done =
                    deleting.await.map_err(|e| AppError::internal(format!("the deletion ended early: {e}")))??;
                self.changes.tell(Topic::Repository);
                self.follow_cleanup(&watching, &place, &name, &uid, &operation).await?;
                self.changes.tell(Topic::Repository);
                Ok(done)
            })
            .await
    }

    async fn delete_in_order(
        &self,
        live: &Live,
        platform: &str,
        request: DeleteRepository,
        operation: &Operation,
    ) -> Result<DeletedRepository> {
        let name = request.name;
        if request.provider.is_none() {
            confirmed(live.cluster.is_production(), live.name(), &name, request.confirm.as_deref())?;
        }
        let _turn = Turn::take(&name, &request.uid)?;
        let api = live.cluster.api(&kinds::CODEBASE, platform);
        let object = live.cluster.in_time("the Codebase", api.get_opt(&name)).await?;
        let object = object.ok_or_else(|| AppError::not_found(format!("the Codebase {name} is gone already")))?;
        let codebase = Codebase::read(&object);
        if codebase.meta.uid != request.uid || !codebase.is_gitops() {
            return Err(AppError::new(ErrorCode::ClusterConflict, format!("{name} is another Codebase by now"))
                .with_hint("look at the plan again"));
        }
        // The plan's own refusals hold at the moment of writing too.
        let objects = self.objects(live);
        if let Some(why) = plan(&objects, &codebase, &[], None).refused {
            return Err(AppError::blocked(why));
        }
        let mut provider = None;
        let mut lost = false;
        if let Some(at_provider) = request.provider {
            operation.step("Deleting the repository at the provider", 0, Some(3));
            let outcome = self.delete_at_provider(live, &codebase, &objects.git_servers, at_provider).await?;
            lost = outcome == Deletion::Done;
            let path = full_name(&codebase);
            provider = Some(match outcome {
                Deletion::Done => format!("{path} was deleted."),
                Deletion::Scheduled => {
                    format!("{path} was marked for deletion; until the provider removes it, it can be restored there.")
                }
            });
        }
        operation.step("Deleting the Codebase", 1, Some(3));
        // Kept before it is needed: after the deletion there is nothing left to keep.
        let kept = Kept { deleted: journal::now(), codebase: keepsake(&object) };
        let kept = serde_json::to_string(&kept).map_err(|e| AppError::internal(e.to_string()))?;
        let before = self.storage.setting(&kept_setting(live)).await?;
        self.storage.set_setting(&kept_setting(live), (!lost).then_some(kept)).await?;
        let begin = Begin {
            kind: ActivityKind::Repository,
            words: format!("Delete the repository {name} from the platform"),
            context: Some(live.name().to_owned()),
            object: Some(format!("Codebase/{platform}/{name}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = care::delete(&live.cluster, platform, &name, &request.uid).await.map_err(AppError::from);
        let end = |progress: &Progress| {
            let held = match progress {
                Progress::Gone => "",
                Progress::Held(_) => "; the platform cleans up after it",
            };
            let back = if lost { "" } else { ". It can be brought back on the repository's page" };
            End {
                words: Some(format!("Delete the repository {name} from the platform{held}{back}")),
                url: Some("/repository".into()),
                ..End::default()
            }
        };
        if let Err(error) = entry.close_with(outcome, end).await {
            // Only of a Codebase that certainly stands is there nothing to bring back.
            if care::stands(&live.cluster, platform, &name, &request.uid).await.unwrap_or(false) {
                self.storage.set_setting(&kept_setting(live), before).await?;
            }
            return Err(match provider {
                Some(done) => error
                    .with_hint(format!("at the provider {done} Delete the Codebase alone now: leave the provider out")),
                None => error,
            });
        }
        Ok(DeletedRepository { name, provider, can_return: !lost })
    }

    async fn delete_at_provider(
        &self,
        live: &Live,
        codebase: &Codebase,
        servers: &[GitServer],
        request: DeleteAtProvider,
    ) -> Result<Deletion> {
        let path = full_name(codebase);
        if request.typed.trim() != path {
            return Err(AppError::new(
                ErrorCode::ConfirmationNeeded,
                format!("type {path} to delete it at the provider"),
            ));
        }
        let server = servers.iter().find(|one| one.meta.name == codebase.git_server);
        let server =
            server.ok_or_else(|| AppError::not_found(format!("there is no Git server {:?}", codebase.git_server)))?;
        // Whoever may change a GitServer could otherwise have the token sent to a host of theirs.
        if shown_host(server) != request.host {
            let words = format!("the Git server {} is at {} by now", codebase.git_server, shown_host(server));
            return Err(AppError::new(ErrorCode::ClusterConflict, words).with_hint("look at the plan again"));
        }
        if live.cluster.is_practice() {
            return Err(AppError::blocked("the practice cluster's Git server has no API"));
        }
        let kind = ProviderKind::parse(&server.provider)
            .ok_or_else(|| AppError::blocked(format!("{} is not a provider whose API is known", server.provider)))?;
        let urls = pilothouse_delivery::repository::clone_urls(server, &codebase.git_url_path);
        let token = match request.credential {
            Some(CredentialInput::Token { username, token }) => {
                Some(ApiToken { username: username.unwrap_or_default(), token })
            }
            Some(_) => None,
            None => self.provider_token(server, &urls.https).await?,
        };
        let token = token.ok_or_else(|| {
            let message = "The provider's API takes a token only; give one that may delete repositories.".to_owned();
            AppError::fields(vec![FieldProblem { field: "token".into(), message }])
        })?;
        let provider = self.provider(server, &token).await?;
        // What is deleted there does not come back, so first it must be certain that the Codebase may follow.
        care::rehearse_deletion(&live.cluster, &codebase.meta.namespace, &codebase.meta.name, &codebase.meta.uid)
            .await?;
        let begin = Begin {
            kind: ActivityKind::Repository,
            words: format!("Delete the repository {path} at {}", kind.title()),
            context: Some(live.name().to_owned()),
            object: None,
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let page = codebase.status.git_web_url.as_deref().filter(|url| url.starts_with("https://"));
        let outcome = provider.delete_repository(&path).await.map_err(|error| after_failure(error, &path, page));
        entry.close_with(outcome, |_| End::default()).await
    }

    /// Follows the platform's cleaning up until the Codebase is gone.
    async fn follow_cleanup(
        &self,
        live: &Live,
        platform: &str,
        name: &str,
        uid: &str,
        operation: &Operation,
    ) -> Result<()> {
        let follow = async {
            loop {
                match care::progress(&live.cluster, platform, name, uid).await? {
                    Progress::Gone => return Ok(()),
                    Progress::Held(by) => {
                        let label = format!("The platform cleans up; {name} is held by {}", by.join(", "));
                        operation.step(&label, 2, Some(3));
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(CLEANUP, follow).await.unwrap_or_else(|_| {
            Err(AppError::new(ErrorCode::Timeout, format!("{name} is still held after ten minutes")).with_hint(
                "the deletion stands; the platform's operator, which removes the finalizers, may not be running",
            ))
        })
    }

    /// Makes the repository that was deleted last again, and waits for the platform; answers its name.
    pub async fn bring_back_repository(&self, operation: String) -> Result<String> {
        let (live, platform) = self.platform()?;
        let kept = self.kept(&live).await?;
        let kept = kept.ok_or_else(|| AppError::not_found("nothing is kept of a deleted repository"))?;
        let app = self.arc()?;
        self.operations
            .run(operation, "Bringing the repository back", |operation| async move {
                let (writing, place) = (live.clone(), platform.clone());
                // A write that was begun is finished with its second look, whoever still waits for it.
                let written = tokio::spawn(async move { app.make_again(&writing, &place, kept.codebase).await });
                let name = written.await.map_err(|e| AppError::internal(format!("the return ended early: {e}")))??;
                self.await_codebase(&live, &platform, &name, &operation).await?;
                Ok(name)
            })
            .await
    }

    async fn make_again(&self, live: &Live, platform: &str, codebase: Value) -> Result<String> {
        let name = text(&codebase, "/metadata/name");
        let begin = Begin {
            kind: ActivityKind::Repository,
            words: format!("Bring back the repository {name}"),
            context: Some(live.name().to_owned()),
            object: Some(format!("Codebase/{platform}/{name}")),
            intent: Intent::Object {
                api: kinds::CODEBASE.api_version(),
                kind: kinds::CODEBASE.kind.into(),
                namespace: platform.to_owned(),
                name,
            },
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = care::bring_back(&live.cluster, platform, codebase).await.map_err(AppError::from);
        let end = |_: &String| End { url: Some("/repository".into()), ..End::default() };
        let name = entry.close_with(outcome, end).await?;
        self.storage.set_setting(&kept_setting(live), None).await?;
        self.changes.tell(Topic::Repository);
        Ok(name)
    }
}
