//! What providers' APIs tell the wizard: owners, repositories, whether one is there.

use pilothouse_delivery::{
    objects::GitServer,
    provider::{ApiToken, Connection, Listing, Provider, ProviderKind, RemoteRepository},
    repository::clone_urls,
};
use pilothouse_git::{Credential, RemoteUrl};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::{
    App, Result,
    contract::{
        AppError, CredentialInput, ErrorCode, FieldProblem, OwnerChoice, OwnerChoices, RepositoryChoice,
        RepositoryChoices, RepositoryFinding, RepositoryForm, RepositoryStrategy, Topic,
    },
    git_servers::api_token,
    repository_end::shown_host,
};

#[derive(Deserialize)]
struct Packed {
    username: String,
    token: SecretString,
}

/// A token is kept for a provider at a host and port, whatever the GitServer is called.
fn keychain_name(server: &GitServer) -> String {
    format!("api:{}:{}:{}", server.provider, server.host.to_lowercase(), server.https_port)
}

fn account_setting(server: &GitServer) -> String {
    format!("account:{}", keychain_name(server))
}

/// Whether a provider can be asked.
enum Asked {
    /// It can, with this.
    Provider(Provider),
    /// It cannot, for this reason.
    Nobody(String),
}

const NOT_SIGNED_IN: &str = "No token is kept for this server's API on this computer.";

impl App {
    /// A provider's API.
    pub(crate) async fn provider(&self, server: &GitServer, token: &ApiToken) -> Result<Provider> {
        let kind = ProviderKind::parse(&server.provider).ok_or_else(|| {
            let words = format!("the API of {:?} is not one this app knows", server.provider);
            AppError::new(ErrorCode::ProviderUnsupported, words)
        })?;
        let connection = Connection { authority_pem: self.authority_pem().await?, ..Connection::default() };
        let (host, port, token) = (server.host.clone(), server.https_port, token.clone());
        // The system's authorities are read from the disk each time: they may have changed.
        crate::blocking(move || Ok(Provider::new(kind, &host, port, &token, &connection)?)).await
    }

    /// The token that somebody signed in with at a server's API.
    pub(crate) async fn own_api_token(&self, server: &GitServer) -> Result<Option<ApiToken>> {
        let kept = self.keychain.get(&keychain_name(server)).await?;
        let kept = kept.and_then(|text| serde_json::from_str::<Packed>(text.expose_secret()).ok());
        Ok(kept.map(|kept| ApiToken { username: kept.username, token: kept.token }))
    }

    /// The token kept for a server's API; else the one kept for a repository there over HTTPS.
    pub(crate) async fn kept_api_token(&self, server: &GitServer) -> Result<Option<ApiToken>> {
        if let Some(own) = self.own_api_token(server).await? {
            return Ok(Some(own));
        }
        let Some(repository) = self.maybe_gitops().await.unwrap_or_default() else { return Ok(None) };
        let (Ok(theirs), Ok(own)) =
            (RemoteUrl::parse(&clone_urls(server, "any").https), RemoteUrl::parse(&repository.urls.https))
        else {
            return Ok(None);
        };
        if theirs.authority() != own.authority() {
            return Ok(None);
        }
        Ok(match self.kept_credential(&own).await? {
            Some(Credential::Token { username, token }) => Some(ApiToken { username, token }),
            _ => None,
        })
    }

    /// Whose token is kept for a server's API.
    pub(crate) async fn signed_in_as(&self, server: &GitServer) -> Result<Option<String>> {
        let Some(account) = self.storage.setting(&account_setting(server)).await? else { return Ok(None) };
        // A token kept for a session only ends with it, and one can be taken out of the keychain by other programs. A
        // keychain that does not answer now says nothing.
        let gone = self.own_api_token(server).await.is_ok_and(|token| token.is_none());
        Ok((!gone).then_some(account))
    }

    /// Tries a token at a server's API and keeps it in the keychain; answers whose it is. `host` is the server, as
    /// `host:port`, that was shown: the token goes to no other.
    pub async fn sign_in_git_server(&self, name: String, host: String, credential: CredentialInput) -> Result<String> {
        let (live, _) = self.platform()?;
        let server = self.git_server_named(&live, &name)?;
        // Whoever may change a GitServer could otherwise have the token sent to a host of theirs.
        if shown_host(&server) != host {
            let words = format!("the Git server {name} is at {} by now; the token was not sent", shown_host(&server));
            return Err(AppError::new(ErrorCode::ClusterConflict, words).with_hint("look at the server again"));
        }
        if live.practice.is_some() {
            return Err(AppError::blocked("nothing leaves this computer while you practise, so no provider is asked"));
        }
        let token = api_token(credential)?;
        let account = self.provider(&server, &token).await?.account().await?;
        let packed = json!({ "username": token.username, "token": token.token.expose_secret() }).to_string();
        self.keychain.set(&keychain_name(&server), SecretString::from(packed)).await?;
        self.storage.set_setting(&account_setting(&server), Some(account.login.clone())).await?;
        self.changes.tell(Topic::Repository);
        Ok(account.login)
    }

    /// Forgets the token kept for a server's API.
    pub async fn sign_out_git_server(&self, name: String) -> Result<()> {
        let (live, _) = self.platform()?;
        let server = self.git_server_named(&live, &name)?;
        self.keychain.delete(&keychain_name(&server)).await?;
        self.storage.set_setting(&account_setting(&server), None).await?;
        self.changes.tell(Topic::Repository);
        Ok(())
    }

    /// The API of a server with the kept token, or why it is not asked.
    async fn asked(&self, name: &str) -> Result<Asked> {
        let (live, _) = self.platform()?;
        let server = self.git_server_named(&live, name)?;
        if live.practice.is_some() {
            return Ok(Asked::Nobody("The practice server has no API.".into()));
        }
        let Some(token) = self.kept_api_token(&server).await? else { return Ok(Asked::Nobody(NOT_SIGNED_IN.into())) };
        match self.provider(&server, &token).await {
            Ok(provider) => Ok(Asked::Provider(provider)),
            Err(error) if error.code == ErrorCode::ProviderUnsupported => Ok(Asked::Nobody(error.message)),
            Err(error) => Err(error),
        }
    }

    /// Who can own a repository on a Git server.
    pub async fn repository_owners(&self, git_server: String) -> Result<OwnerChoices> {
        let provider = match self.asked(&git_server).await? {
            Asked::Provider(provider) => provider,
            Asked::Nobody(why) => {
                return Ok(OwnerChoices { available: false, why: Some(why), owners: Vec::new(), complete: true });
            }
        };
        let Listing { items, complete } = provider.owners().await?;
        let owners =
            items.into_iter().map(|one| OwnerChoice { path: one.path, title: one.title, personal: one.personal });
        Ok(OwnerChoices { available: true, why: None, owners: owners.collect(), complete })
    }

    /// The repositories of an owner on a Git server; for Gerrit all its projects.
    pub async fn owner_repositories(&self, git_server: String, owner: String) -> Result<RepositoryChoices> {
        let none = |why| RepositoryChoices { available: false, why, repositories: Vec::new(), complete: true };
        let provider = match self.asked(&git_server).await? {
            Asked::Provider(provider) => provider,
            Asked::Nobody(why) => return Ok(none(Some(why))),
        };
        if owner.trim().is_empty() && provider.kind() != ProviderKind::Gerrit {
            return Ok(none(None));
        }
        let Listing { items, complete } = provider.repositories(owner.trim()).await?;
        let gerrit = provider.kind() == ProviderKind::Gerrit;
        let choice = |one: RemoteRepository| RepositoryChoice {
            name: if gerrit { one.path } else { one.name },
            default_branch: one.default_branch,
            private: one.private,
            archived: one.archived,
        };
        let repositories = items.into_iter().map(choice).collect();
        Ok(RepositoryChoices { available: true, why: None, repositories, complete })
    }

    /// What the provider says about the repository that a form names: a clash for one to create, absence, an archive or a
    /// missing right for one to import, and the branch it really has.
    pub async fn look_at_repository(&self, form: RepositoryForm) -> Result<RepositoryFinding> {
        let mut finding =
            RepositoryFinding { exists: None, default_branch: None, problems: Vec::new(), notes: Vec::new() };
        let provider = match self.asked(&form.git_server).await? {
            Asked::Provider(provider) => provider,
            Asked::Nobody(_) => return Ok(finding),
        };
        let (owner, repository) = (form.owner.trim().trim_matches('/'), form.repository.trim().trim_matches('/'));
        let gerrit = provider.kind() == ProviderKind::Gerrit;
        if repository.is_empty() || (owner.is_empty() && !gerrit) {
            return Ok(finding);
        }
        let path = if gerrit { repository.to_owned() } else { format!("{owner}/{repository}") };
        let found = provider.repository(&path).await?;
        finding.exists = Some(found.is_some());
        let mut problem = |message: String| finding.problems.push(FieldProblem { field: "repository".into(), message });
        match (form.strategy, found) {
            (RepositoryStrategy::Create, Some(_)) => {
                problem("Repository with this name already exists. Choose another name, or import it".into());
            }
            (RepositoryStrategy::Create, None) => {}
            (RepositoryStrategy::Import, None) => {
                problem(format!("{} shows your token no repository {path}", provider.host()));
            }
            (RepositoryStrategy::Import, Some(found)) => {
                if found.archived {
                    problem("The repository is archived: nothing can be pushed to it".into());
                }
                if found.can_push == Some(false) {
                    finding.notes.push("Your token may read this repository, but not push to it.".into());
                }
                if found.private == Some(false) {
                    finding.notes.push("The repository is public: everybody can read what is committed to it.".into());
                }
                finding.default_branch = found.default_branch;
            }
        }
        Ok(finding)
    }
}
