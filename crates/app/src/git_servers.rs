//! The platform's Git servers: listed, tested, added, changed and deleted.

use pilothouse_cluster::kinds;
use pilothouse_delivery::{
    git_server::{
        Attempt, Credentials, Replacement, ServerForm, StoredCredentials, add_server, delete_server, differences,
        preview_yaml, read_credentials, rehearse, replace_credentials, users_of, validate,
    },
    objects::GitServer,
    provider::{ApiToken, ProviderKind},
    repository::clone_urls,
};
use pilothouse_git::{Credential, Error as GitError, RemoteUrl, inspect_private_key, probe};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, AttemptState, AttemptView, CredentialInput, ErrorCode, FieldProblem, GitServerCheck,
        GitServerDeleted, GitServerForm, GitServerPreview, GitServerView, GitServersView, Permission, Topic,
    },
    credentials::generated_name,
    journal::{Begin, End, Intent},
    session::Live,
};

/// A path that no server has: who is let in hears that it is not there.
const NOWHERE: &str = "pilothouse/connection-test";

fn field(name: &str, message: &str) -> AppError {
    AppError::fields(vec![FieldProblem { field: name.into(), message: message.into() }])
}

fn kind_of(provider: &str) -> Result<ProviderKind> {
    ProviderKind::parse(provider).ok_or_else(|| field("provider", "Choose GitHub, GitLab, Bitbucket or Gerrit."))
}

fn form_of(form: &GitServerForm) -> Result<ServerForm> {
    let trimmed = |text: &str| text.trim().to_owned();
    Ok(ServerForm {
        provider: kind_of(&form.provider)?,
        name: trimmed(&form.name),
        host: trimmed(&form.host),
        user: trimmed(&form.user),
        ssh_port: form.ssh_port,
        https_port: form.https_port,
        secret_name: trimmed(&form.secret_name),
        webhook_url: trimmed(&form.webhook_url),
        skip_webhook_ssl_verification: form.skip_webhook_ssl_verification,
        tekton_disabled: form.tekton_disabled,
    })
}

/// Nothing leaves this computer while one practises: no server is asked, whatever its name is.
fn practice_check(here: bool) -> GitServerCheck {
    let words = "Nothing leaves this computer while you practise, so this server is not asked.";
    let not_made = || AttemptView { state: AttemptState::NotMade, words: words.into() };
    let ssh = match here {
        true => AttemptView {
            state: AttemptState::Passed,
            words: "The practice server is a folder on this computer.".into(),
        },
        false => not_made(),
    };
    GitServerCheck { ssh, api: not_made(), differences: Vec::new() }
}

/// The keychain's entry of a key that was made here and has been handed over.
fn made_here(key: Option<&CredentialInput>) -> Option<String> {
    match key {
        Some(CredentialInput::Generated { key_id }) => Some(generated_name(key_id)),
        _ => None,
    }
}

/// The token in the window's input.
pub(crate) fn api_token(input: CredentialInput) -> Result<ApiToken> {
    match input {
        CredentialInput::Token { username, token } if !token.expose_secret().trim().is_empty() => Ok(ApiToken {
            username: username.unwrap_or_default().trim().to_owned(),
            token: SecretString::from(token.expose_secret().trim().to_owned()),
        }),
        _ => Err(field("token", "Enter the access token.")),
    }
}

fn view(attempt: Attempt) -> AttemptView {
    let (state, words) = match attempt {
        Attempt::Passed(words) => (AttemptState::Passed, words),
        Attempt::Failed(words) => (AttemptState::Failed, words),
        Attempt::NotMade(words) => (AttemptState::NotMade, words),
    };
    AttemptView { state, words }
}

impl App {
    /// A Git server of the platform, as it is known now.
    pub(crate) fn git_server_named(&self, live: &Live, name: &str) -> Result<GitServer> {
        let found = self.objects(live).git_servers.into_iter().find(|one| one.meta.name == name);
        found.ok_or_else(|| AppError::not_found(format!("there is no Git server {name:?} on this platform")))
    }

    /// The platform's Git servers with the operator's word about each.
    pub async fn git_servers(&self) -> Result<GitServersView> {
        let (live, platform) = self.platform()?;
        let objects = self.objects(&live);
        let mut servers = Vec::new();
        for one in &objects.git_servers {
            let kind = ProviderKind::parse(&one.provider);
            servers.push(GitServerView {
                name: one.meta.name.clone(),
                provider_title: kind.map_or_else(|| one.provider.clone(), |kind| kind.title().to_owned()),
                provider: one.provider.clone(),
                host: one.host.clone(),
                user: one.user.clone(),
                ssh_port: u32::from(one.ssh_port),
                https_port: u32::from(one.https_port),
                secret_name: one.secret_name.clone(),
                connected: one.connected,
                error: one.error.clone(),
                users: users_of(&objects.codebases, &one.meta.name),
                signed_in_as: self.signed_in_as(one).await?,
            });
        }
        servers.sort_by(|a, b| a.name.cmp(&b.name));
        let at = Some(platform.as_str());
        let secrets = self.may(&live, "create", &kinds::SECRET, at).await;
        let can_add = if secrets.allowed { self.may(&live, "create", &kinds::GIT_SERVER, at).await } else { secrets };
        // The patch is made against the version that is there, so the Secret must be readable too.
        let reads = self.may(&live, "get", &kinds::SECRET, at).await;
        let can_edit = if reads.allowed { self.may(&live, "patch", &kinds::SECRET, at).await } else { reads };
        let can_delete: Permission = self.may(&live, "delete", &kinds::GIT_SERVER, at).await;
        Ok(GitServersView { servers, can_add, can_edit, can_delete })
    }

    /// The form for a provider, filled in with the portal's defaults and names that are free.
    pub async fn git_server_defaults(&self, provider: String) -> Result<GitServerForm> {
        let (live, _) = self.platform()?;
        let form = ServerForm::defaults(kind_of(&provider)?);
        let servers = self.objects(&live).git_servers;
        let taken = |name: &str| servers.iter().any(|one| one.meta.name == name || one.secret_name == name);
        let free = |name: &str| {
            (1..).map(|n| if n == 1 { name.to_owned() } else { format!("{name}-{n}") }).find(|one| !taken(one))
        };
        Ok(GitServerForm {
            provider,
            name: free(&form.name).unwrap_or_default(),
            secret_name: free(&form.secret_name).unwrap_or_default(),
            host: form.host,
            user: form.user,
            ssh_port: form.ssh_port,
            https_port: form.https_port,
            webhook_url: form.webhook_url,
            skip_webhook_ssl_verification: form.skip_webhook_ssl_verification,
            tekton_disabled: form.tekton_disabled,
        })
    }

    /// The private key for the platform, and its public half. A key that asks for a passphrase is of no use to it.
    async fn platform_key(&self, input: CredentialInput) -> Result<(SecretString, String)> {
        if matches!(input, CredentialInput::Token { .. } | CredentialInput::Agent) {
            return Err(field(
                "key",
                "The platform needs the private key itself: paste it, choose its file, or make one.",
            ));
        }
        let any = RemoteUrl::parse("ssh://git@localhost/any")?;
        let Credential::SshKey { private_key, passphrase, .. } = self.credential_of(input, &any).await? else {
            return Err(field("key", "Give a private SSH key."));
        };
        let (text, phrase) = (private_key.clone(), passphrase.clone());
        let info = self.git(move || inspect_private_key(&text, phrase.as_ref())).await?;
        if info.encrypted {
            return Err(field(
                "key",
                "The platform cannot ask for a passphrase: give a key without one, or make one here.",
            ));
        }
        Ok((private_key, info.public_openssh))
    }

    async fn checked(
        &self,
        live: &Live,
        form: &GitServerForm,
        key: Option<CredentialInput>,
        token: Option<CredentialInput>,
    ) -> Result<(ServerForm, Option<(SecretString, String)>, Option<ApiToken>, Vec<FieldProblem>)> {
        let form = form_of(form)?;
        let mut own = Vec::new();
        let key = match key {
            Some(input) => match self.platform_key(input).await {
                Ok(key) => Some(key),
                Err(e) if e.code == ErrorCode::Keychain => return Err(e),
                Err(e) => {
                    own.push(FieldProblem { field: "key".into(), message: e.message });
                    None
                }
            },
            None => None,
        };
        let token = match token {
            Some(input) if form.provider != ProviderKind::Gerrit => api_token(input).ok(),
            _ => None,
        };
        let servers = self.objects(live).git_servers;
        let has_key = key.is_some() || !own.is_empty();
        let found = validate(&form, &servers, has_key, token.as_ref());
        own.extend(found.into_iter().map(|one| FieldProblem { field: one.field, message: one.message }));
        Ok((form, key, token, own))
    }

    /// The Secret and the GitServer that a form comes to, secrets masked; the API server is asked whether it would take
    /// them.
    pub async fn preview_git_server(
        &self,
        form: GitServerForm,
        key: Option<CredentialInput>,
        token: Option<CredentialInput>,
    ) -> Result<GitServerPreview> {
        let (live, platform) = self.platform()?;
        let (form, _, _, mut problems) = self.checked(&live, &form, key, token).await?;
        if problems.is_empty() {
            match rehearse(&live.cluster, &platform, &form).await {
                Ok(()) => {}
                Err(pilothouse_delivery::Error::Exists { what, name }) => {
                    let field = if what == kinds::SECRET.kind { "secretName" } else { "name" };
                    let message = format!("There is a {what} named `{name}` already; choose another name");
                    problems.push(FieldProblem { field: field.into(), message });
                }
                Err(error) => return Err(error.into()),
            }
        }
        let yaml = if problems.is_empty() { preview_yaml(&form) } else { String::new() };
        Ok(GitServerPreview { yaml, problems })
    }

    /// Creates the Secret, then the GitServer; neither stays when the second fails.
    pub async fn add_git_server(
        &self,
        form: GitServerForm,
        key: Option<CredentialInput>,
        token: Option<CredentialInput>,
    ) -> Result<()> {
        let (live, platform) = self.platform()?;
        let used = made_here(key.as_ref());
        let (form, key, token, problems) = self.checked(&live, &form, key, token).await?;
        let (Some((private_key, public_key)), true) = (key, problems.is_empty()) else {
            return Err(AppError::fields(problems));
        };
        let begin =
            self.server_entry(&platform, &form.name, format!("Add the Git server {} ({})", form.name, form.host));
        let id = self.journal.begin(begin).await?;
        let credentials = Credentials { private_key, public_key, token };
        let outcome = add_server(&live.cluster, &platform, &form, &credentials).await.map_err(AppError::from);
        let end = |_: &()| End { url: Some("/repository".into()), ..End::default() };
        self.journal.close_with(id, outcome, end).await?;
        self.changes.tell(Topic::Repository);
        self.forget(used).await
    }

    fn server_entry(&self, platform: &str, name: &str, words: String) -> Begin {
        Begin {
            kind: ActivityKind::Repository,
            words,
            context: self.context_name(),
            object: Some(format!("GitServer/{platform}/{name}")),
            intent: Intent::Other,
        }
    }

    /// Replaces the platform's key or token for a Git server.
    pub async fn replace_git_server_credential(
        &self,
        name: String,
        key: Option<CredentialInput>,
        token: Option<CredentialInput>,
    ) -> Result<()> {
        let (live, platform) = self.platform()?;
        let server = self.git_server_named(&live, &name)?;
        let used = made_here(key.as_ref());
        let token = token.map(api_token).transpose()?;
        if server.provider == "bitbucket" && token.as_ref().is_some_and(|token| token.username.is_empty()) {
            return Err(field("username", "Bitbucket wants the user name beside the app password or API token."));
        }
        let key = match key {
            Some(input) => Some(self.platform_key(input).await?),
            None => None,
        };
        let what = match (&key, &token) {
            (None, None) => return Err(field("token", "Give a token or a key.")),
            (Some(_), None) => "SSH key",
            (None, Some(_)) => "token",
            (Some(_), Some(_)) => "SSH key and token",
        };
        let begin =
            self.server_entry(&platform, &name, format!("Replace the platform's {what} for the Git server {name}"));
        let id = self.journal.begin(begin).await?;
        let new = Replacement { key, token };
        let outcome = replace_credentials(&live.cluster, &platform, &name, &new).await.map_err(AppError::from);
        self.journal.close_with(id, outcome, |_| End::default()).await?;
        self.changes.tell(Topic::Repository);
        self.forget(used).await
    }

    /// Takes a key that was made here out of the keychain: it lives on in the cluster.
    async fn forget(&self, used: Option<String>) -> Result<()> {
        match used {
            Some(name) => self.keychain.delete(&name).await,
            None => Ok(()),
        }
    }

    /// Deletes a Git server that no Codebase lives on.
    pub async fn delete_git_server(&self, name: String) -> Result<GitServerDeleted> {
        let (live, platform) = self.platform()?;
        let begin = self.server_entry(&platform, &name, format!("Delete the Git server {name}"));
        let id = self.journal.begin(begin).await?;
        let outcome = delete_server(&live.cluster, &platform, &name).await.map_err(AppError::from);
        let deleted = self.journal.close_with(id, outcome, |_| End::default()).await?;
        self.changes.tell(Topic::Repository);
        Ok(GitServerDeleted { secret_left: deleted.secret_left })
    }

    /// Tests a Git server from this computer: SSH, and the provider's API with the token. The platform's own credentials
    /// are used where the user may read them, the user's otherwise; they do not leave this process but for the server.
    pub async fn test_git_server(&self, name: String) -> Result<GitServerCheck> {
        let (live, platform) = self.platform()?;
        let server = self.git_server_named(&live, &name)?;
        let codebases = self.objects(&live).codebases;
        let path = codebases.iter().find(|one| one.git_server == name).map(|one| one.git_url_path.clone());
        if live.practice.is_some() {
            let here = self.practice_path(&RemoteUrl::parse(&clone_urls(&server, NOWHERE).ssh)?).is_some();
            return Ok(practice_check(here));
        }
        let stored = match read_credentials(&live.cluster, &platform, &server).await {
            Ok(Some(stored)) => stored,
            // Not everybody may read Secrets; one's own credentials then have to do.
            Ok(None) | Err(_) => StoredCredentials::default(),
        };
        let urls = clone_urls(&server, path.as_deref().unwrap_or(NOWHERE));
        let ssh = self.try_ssh(&urls.ssh, stored.private_key).await?;
        let api = self.try_api(&server, stored.token).await;
        let differences = differences(&server, &ssh, &api);
        Ok(GitServerCheck { ssh: view(ssh), api: view(api), differences })
    }

    async fn try_ssh(&self, text: &str, platform_key: Option<SecretString>) -> Result<Attempt> {
        let known = RemoteUrl::parse(text)?;
        let (credential, whose) = match platform_key {
            Some(private_key) => {
                (Credential::SshKey { username: String::new(), private_key, passphrase: None }, "the platform's key")
            }
            None => match self.kept_credential(&known).await? {
                Some(Credential::None) | None => {
                    let words = "You may not read the platform's key, and no key of yours is kept for this server.";
                    return Ok(Attempt::NotMade(words.into()));
                }
                Some(own) => (own, "your own key"),
            },
        };
        let access = self.access(&known, credential, None).await?;
        let at = known.clone();
        // A missing repository is told only to those who were let in.
        let let_in = self
            .git(move || match probe(&at, &access) {
                Err(GitError::NotFound { .. } | GitError::Forbidden { .. }) | Ok(_) => Ok(()),
                Err(error) => Err(error),
            })
            .await;
        match let_in {
            Ok(()) => {
                Ok(Attempt::Passed(format!("{} lets this computer in over SSH with {whose}.", known.authority())))
            }
            // The window asks about the host's key, and tries again.
            Err(error) if error.code == ErrorCode::GitHostKeyUnknown => Err(error),
            Err(error) => Ok(Attempt::Failed(format!("with {whose}: {}", error.message))),
        }
    }

    async fn try_api(&self, server: &GitServer, platform_token: Option<ApiToken>) -> Attempt {
        if server.provider == "gerrit" && platform_token.is_none() {
            return Attempt::NotMade("The platform uses Gerrit over SSH alone; it has no token.".into());
        }
        let (token, whose) = match platform_token {
            Some(token) => (token, "the platform's token"),
            None => match self.kept_api_token(server).await {
                Ok(Some(token)) => (token, "your own token"),
                Ok(None) => {
                    let words = "You may not read the platform's token, and no token of yours is kept for this server.";
                    return Attempt::NotMade(words.into());
                }
                Err(error) => return Attempt::NotMade(error.message),
            },
        };
        let asked = async { Ok::<_, AppError>(self.provider(server, &token).await?.account().await?) };
        match asked.await {
            Ok(account) => Attempt::Passed(format!("{} knows {whose}: it is {}'s.", server.host, account.login)),
            Err(error) if error.code == ErrorCode::ProviderUnsupported => Attempt::NotMade(error.message),
            Err(error) => Attempt::Failed(format!("with {whose}: {}", error.message)),
        }
    }
}
