//! The GitOps repository of the platform: which one, over which address, and its clone.

use std::sync::PoisonError;

use pilothouse_cluster::{WatchState, kinds};
use pilothouse_delivery::{
    Objects,
    objects::{Codebase, GitServer},
    repository::{Card, CloneUrls, PLATFORM_BRANCH, card, clone_urls, find_existing},
};
use pilothouse_git::{
    BareClone, CommitId, CommitInfo, Depth, Error as GitError, RemoteState, RemoteUrl, Scheme, probe,
};
use serde::{Deserialize, Serialize};

use crate::{
    App, Result,
    contract::{AppError, CommitEntry, ErrorCode, RemoteCondition, Topic, Transport},
    kept_commits::{MAX_BRANCHES, condition},
    operations::Operation,
    session::Live,
};

/// What the user chose about the repository of one platform.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Choice {
    /// The address used.
    transport: Option<Transport>,
    /// A repository registered without KubeRocketCI.
    registered: Option<String>,
}

/// The GitOps repository.
#[derive(Debug, Clone)]
pub(crate) struct GitOps {
    /// What the platform knows; none for a registered one.
    pub(crate) card: Option<Card>,
    /// Both addresses; an empty one is not known.
    pub(crate) urls: CloneUrls,
    /// The address used.
    pub(crate) transport: Transport,
    /// The same, checked, and on the practice cluster a folder.
    pub(crate) url: RemoteUrl,
    /// The branch while the remote has not been asked for its own.
    pub(crate) usual_branch: String,
}

impl GitOps {
    /// The address as people know it.
    pub(crate) fn shown(&self) -> &str {
        match self.transport {
            Transport::Ssh => &self.urls.ssh,
            Transport::Https => &self.urls.https,
        }
    }

    /// Whether an address is one of its own, over whichever transport.
    pub(crate) fn is_at(&self, address: &str) -> bool {
        let same = |own: &String| {
            let parsed = |text: &str| RemoteUrl::parse(text).map(|url| url.as_str().to_owned()).ok();
            !own.is_empty() && (own == address || parsed(own).is_some_and(|own| Some(own) == parsed(address)))
        };
        [&self.urls.ssh, &self.urls.https].into_iter().any(same)
    }
}

/// A clone, as of the last fetch.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) clone: BareClone,
    pub(crate) branch: String,
    /// None while the repository is empty.
    pub(crate) tip: Option<CommitId>,
}

/// A commit as the window sees it.
pub(crate) fn commit_entry(info: CommitInfo) -> CommitEntry {
    let time = jiff::Timestamp::from_second(info.time_unix).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    CommitEntry { id: info.id.to_string(), summary: info.summary, author: info.author_name, time: time.to_string() }
}

fn choice_setting(live: &Live) -> String {
    format!("repository:{}:{}", live.name(), live.chosen_platform().unwrap_or_default())
}

/// The addresses of a repository that was registered by one of them.
fn registered_urls(text: &str) -> Result<(CloneUrls, Transport)> {
    let url = RemoteUrl::parse(text)?;
    let transport = if url.scheme() == Scheme::Ssh { Transport::Ssh } else { Transport::Https };
    let mut urls = CloneUrls { ssh: String::new(), https: String::new(), argo_cd: String::new() };
    match transport {
        Transport::Ssh => urls.ssh = url.as_str().to_owned(),
        Transport::Https => urls.https = url.as_str().to_owned(),
    }
    Ok((urls, transport))
}

impl App {
    /// What the platform holds, as far as the user may see it.
    pub(crate) fn objects(&self, live: &Live) -> Objects {
        let Some(platform) = live.chosen_platform() else {
            if !live.argo_cd_alone() {
                return Objects::default();
            }
            return Objects::by_convention(&live.list(&kinds::APPLICATION), &live.registered());
        };
        let index = live.index();
        Objects::read(&platform, |kind| match index.state(kind) {
            WatchState::Absent | WatchState::Forbidden(_) => None,
            _ => Some(index.list(kind)),
        })
    }

    async fn repository_choice(&self, live: &Live) -> Result<Choice> {
        let text = self.storage.setting(&choice_setting(live)).await?;
        Ok(text.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default())
    }

    async fn keep_choice(&self, live: &Live, choice: &Choice) -> Result<()> {
        let text = serde_json::to_string(choice).map_err(|e| AppError::internal(e.to_string()))?;
        self.storage.set_setting(&choice_setting(live), Some(text)).await
    }

    /// Remembers over which address the repository is used.
    pub(crate) async fn choose_transport(&self, transport: Transport) -> Result<()> {
        let live = self.live()?;
        let choice = Choice { transport: Some(transport), ..self.repository_choice(&live).await? };
        self.keep_choice(&live, &choice).await
    }

    /// Remembers a repository that the platform does not know.
    pub(crate) async fn keep_registered(&self, text: &str) -> Result<()> {
        let live = self.live()?;
        let (_, transport) = registered_urls(text)?;
        self.keep_choice(&live, &Choice { transport: Some(transport), registered: Some(text.to_owned()) }).await?;
        live.set_registered(vec![text.to_owned()]);
        self.changes.tell(Topic::Environments);
        Ok(())
    }

    /// Tells a fresh connection which repository was registered for it.
    pub(crate) async fn recall_registered(&self, live: &Live) -> Result<()> {
        live.set_registered(self.repository_choice(live).await?.registered.into_iter().collect());
        Ok(())
    }

    /// The GitOps repository, when there is one.
    pub(crate) async fn maybe_gitops(&self) -> Result<Option<GitOps>> {
        let live = self.live()?;
        let choice = self.repository_choice(&live).await?;
        let objects = self.objects(&live);
        let (known, urls, transport, usual_branch) = if let Some(codebase) = find_existing(&objects.codebases).first() {
            let known = card(codebase, &objects);
            let server = known.git_server.clone();
            let urls = known.urls.clone().ok_or_else(|| {
                AppError::not_found(format!("the Git server {server:?} of the GitOps repository does not exist"))
                    .with_hint("create the GitServer again; the repository's address comes from it")
            })?;
            let branch = known.default_branch.clone();
            (Some(known), urls, choice.transport.unwrap_or(Transport::Ssh), branch)
        } else if let Some(text) = &choice.registered {
            let (urls, transport) = registered_urls(text)?;
            (None, urls, transport, String::new())
        } else {
            return Ok(None);
        };
        let text = if transport == Transport::Ssh { &urls.ssh } else { &urls.https };
        let url = self.remote(text)?;
        let usual_branch = if usual_branch.is_empty() { PLATFORM_BRANCH.to_owned() } else { usual_branch };
        Ok(Some(GitOps { card: known, urls, transport, url, usual_branch }))
    }

    /// The GitOps repository.
    ///
    /// # Errors
    /// `app.noRepository`.
    pub(crate) async fn gitops(&self) -> Result<GitOps> {
        self.maybe_gitops().await?.ok_or_else(|| {
            AppError::new(ErrorCode::NoRepository, "there is no GitOps repository yet")
                .with_hint("create or import it on the repository page")
        })
    }

    /// The repository's address over one transport.
    pub(crate) async fn repository_url(&self, transport: Transport) -> Result<String> {
        let repository = self.gitops().await?;
        let url = match transport {
            Transport::Ssh => repository.urls.ssh,
            Transport::Https => repository.urls.https,
        };
        if url.is_empty() {
            return Err(AppError::blocked("this repository was registered by its other address")
                .with_hint("register it again by the address you want to use"));
        }
        Ok(url)
    }

    /// The address of a repository on one of the platform's Git servers.
    pub(crate) async fn git_server_url(&self, server: &str, path: &str, transport: Transport) -> Result<String> {
        let (live, _) = self.platform()?;
        let objects = self.objects(&live);
        let found = objects.git_servers.iter().find(|s| s.meta.name == server);
        let found = found.ok_or_else(|| AppError::not_found(format!("there is no Git server {server:?}")))?;
        Ok(pick(clone_urls(found, path), transport))
    }

    /// The address of an application's own repository.
    pub(crate) fn application_url(
        &self,
        codebase: &Codebase,
        servers: &[GitServer],
        transport: Transport,
    ) -> Result<RemoteUrl> {
        let server = servers.iter().find(|s| s.meta.name == codebase.git_server);
        let server =
            server.ok_or_else(|| AppError::not_found(format!("there is no Git server {:?}", codebase.git_server)))?;
        self.remote(&pick(clone_urls(server, &codebase.git_url_path), transport))
    }

    /// Brings a remote's own default branch into its clone.
    ///
    /// # Errors
    /// `app.noCredential`, and what Git says.
    pub(crate) async fn fetch(
        &self,
        url: &RemoteUrl,
        usual_branch: &str,
        operation: Option<&Operation>,
    ) -> Result<Fetched> {
        let credential = self.credential(url).await?;
        let access = self.access(url, credential, operation).await?;
        let clone = self.bare_clone(url).await?;
        let before = self.remote_note(url).await?.default_branch;
        let (known, usual) = (before.clone(), usual_branch.to_owned());
        let (at, here) = (url.clone(), clone.clone());
        let outcome = self
            .git(move || {
                let branch = known.clone().unwrap_or(usual);
                let look = here.look(&access, &branch, Depth::Whole)?;
                let mut found = condition(&look.state);
                if let Some(RemoteCondition::BranchDeleted { default_branch: None, branches, .. }) = &mut found {
                    let there = probe(&at, &access)?.branches.into_iter().map(|branch| branch.name);
                    *branches = there.take(MAX_BRANCHES).collect();
                }
                let stays = known.is_some() || look.default_branch.as_ref().is_none_or(|d| *d == branch);
                if look.state == RemoteState::Empty || (look.tip.is_some() && stays) {
                    return Ok((Ok((branch, look.tip)), found));
                }
                if look.state == RemoteState::Sha256Repository {
                    return Ok((Err(GitError::Sha256 { host: at.host().unwrap_or_default().to_owned() }), found));
                }
                // Not known yet, or renamed or deleted meanwhile.
                let other = match &look.state {
                    RemoteState::BranchRenamed { to, .. } => Some(to.clone()),
                    _ => look.default_branch,
                };
                let Some(other) = other else { return Ok((Err(GitError::NoBranch { branch }), found)) };
                let outcome = here.fetch(&access, &other)?;
                if outcome.tip.is_none() && !outcome.empty {
                    return Ok((Err(GitError::NoBranch { branch: other }), found));
                }
                Ok((Ok((other, outcome.tip)), found))
            })
            .await;
        let (there, found) = match outcome {
            Ok((there, found)) => (there.map_err(AppError::from), Some(found)),
            Err(error) => (Err(error), None),
        };
        let ended = match &there {
            Ok((branch, _)) => Ok(branch.clone()),
            Err(error) => Err((error.code != ErrorCode::GitCancelled).then(|| error.message.clone())),
        };
        if self.change_note(url, move |note| note.after_fetch(before.as_deref(), ended, found)).await? {
            self.changes.tell(Topic::Repository);
        }
        there.map(|(branch, tip)| Fetched { clone, branch, tip })
    }

    /// The GitOps repository, fetched now.
    pub(crate) async fn fetch_gitops(&self, operation: Option<&Operation>) -> Result<(GitOps, Fetched)> {
        let repository = self.gitops().await?;
        let fetched = self.fetch(&repository.url, &repository.usual_branch, operation).await?;
        Ok((repository, fetched))
    }

    /// A clone as it is on disk, without asking the server; none when it was never fetched.
    pub(crate) async fn on_disk(&self, url: &RemoteUrl) -> Result<Option<Fetched>> {
        let note = self.remote_note(url).await?;
        let (Some(branch), Some(_)) = (note.default_branch, note.fetched) else { return Ok(None) };
        if !self.clone_dir(url).is_dir() {
            return Ok(None);
        }
        let clone = self.bare_clone(url).await?;
        let (here, name) = (clone.clone(), branch.clone());
        let tip = self.git(move || here.tip(&name)).await?;
        Ok(Some(Fetched { clone, branch, tip }))
    }

    /// Marks an address as being cloned for as long as the answer lives.
    pub(crate) fn mark_cloning(&self, url: &RemoteUrl) -> Cloning<'_> {
        self.cloning.lock().unwrap_or_else(PoisonError::into_inner).insert(url.as_str().to_owned());
        self.changes.tell(Topic::Repository);
        Cloning { app: self, url: url.as_str().to_owned() }
    }

    /// Whether an address is being cloned.
    pub(crate) fn is_cloning(&self, url: &RemoteUrl) -> bool {
        self.cloning.lock().unwrap_or_else(PoisonError::into_inner).contains(url.as_str())
    }
}

fn pick(urls: CloneUrls, transport: Transport) -> String {
    match transport {
        Transport::Ssh => urls.ssh,
        Transport::Https => urls.https,
    }
}

/// While it lives, the repository shows as being cloned.
pub(crate) struct Cloning<'a> {
    app: &'a App,
    url: String,
}

impl Drop for Cloning<'_> {
    fn drop(&mut self) {
        self.app.cloning.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.url);
        self.app.changes.tell(Topic::Repository);
    }
}
