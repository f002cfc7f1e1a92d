//! Git providers' own APIs, as far as a repository's wizard and its care need them.
//!
//! GitHub (REST v3, also Enterprise Server), GitLab (v4), Bitbucket Cloud (2.0) and Gerrit. Lists are bounded: a
//! thousand entries at most, and [`Listing::complete`] says whether that was all.

mod bitbucket;
mod gerrit;
mod github;
mod gitlab;

/// Why a provider's API did not give what was asked.
pub use pilothouse_cluster::web::WebError as ProviderError;
pub use pilothouse_cluster::web::{ApiToken, Connection, Listing};

use pilothouse_cluster::web::{Http, Scheme};
use url::Url;

type Result<T> = std::result::Result<T, ProviderError>;

/// A provider that the platform knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// GitHub, github.com or an Enterprise Server.
    GitHub,
    /// GitLab, gitlab.com or self-managed.
    GitLab,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Gerrit.
    Gerrit,
}

impl ProviderKind {
    /// All of them, in the portal's order.
    pub const ALL: [Self; 4] = [Self::GitHub, Self::GitLab, Self::Bitbucket, Self::Gerrit];

    /// The word in `GitServer.spec.gitProvider`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Bitbucket => "bitbucket",
            Self::Gerrit => "gerrit",
        }
    }

    /// The provider of a GitServer; none for a word the platform does not have.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }

    /// The provider's name as it writes it itself.
    pub fn title(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::GitLab => "GitLab",
            Self::Bitbucket => "Bitbucket",
            Self::Gerrit => "Gerrit",
        }
    }

    fn scheme(self) -> Scheme {
        match self {
            Self::GitHub => Scheme::Bearer,
            Self::GitLab => Scheme::PrivateToken,
            Self::Bitbucket | Self::Gerrit => Scheme::Basic,
        }
    }

    /// The API's root on a host.
    fn root(self, host: &str, port: u16) -> Result<Url> {
        let refused = || ProviderError::Address { address: host.to_owned(), why: "it is not a host name" };
        // A host from the cluster must not smuggle in a path, a port or a user.
        if host.is_empty() || !host.chars().all(|ch| ch.is_ascii_alphanumeric() || matches!(ch, '.' | '-' | '_')) {
            return Err(refused());
        }
        let at = if port == 443 { host.to_owned() } else { format!("{host}:{port}") };
        let text = match self {
            Self::GitHub if host == "github.com" => "https://api.github.com/".to_owned(),
            // GitHub Enterprise Cloud with data residency.
            Self::GitHub if host.ends_with(".ghe.com") => format!("https://api.{at}/"),
            Self::GitHub => format!("https://{at}/api/v3/"),
            Self::GitLab => format!("https://{at}/api/v4/"),
            Self::Bitbucket if host == "bitbucket.org" => "https://api.bitbucket.org/2.0/".to_owned(),
            Self::Bitbucket => {
                return Err(ProviderError::Unsupported(format!(
                    "Bitbucket Cloud (bitbucket.org) is supported, Bitbucket Data Center at {host} is not; neither is it by \
                     the platform"
                )));
            }
            Self::Gerrit => format!("https://{at}/a/"),
        };
        Url::parse(&text).map_err(|_| refused())
    }
}

/// Who a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The login.
    pub login: String,
    /// The person's name, where the provider tells it.
    pub name: Option<String>,
}

/// Somebody or something that can own repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The login, the group's full path, or the workspace's slug.
    pub path: String,
    /// Its name for people.
    pub title: Option<String>,
    /// True for the token's own user.
    pub personal: bool,
}

/// A repository as its provider describes it. What it does not tell is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteRepository {
    /// The owner and the name, `acme/krci-gitops`; in Gerrit the project's name.
    pub path: String,
    /// The name alone.
    pub name: String,
    /// Whether only members can see it.
    pub private: Option<bool>,
    /// Whether it takes no pushes any more.
    pub archived: bool,
    /// The branch it calls its default.
    pub default_branch: Option<String>,
    /// Whether this token's user may push.
    pub can_push: Option<bool>,
    /// Its page.
    pub web_url: Option<String>,
}

/// What became of a repository that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Done,
    /// The provider has taken the order and removes it later; until then it may still be shown, and restored.
    Scheduled,
}

/// A provider's API with a token for it.
#[derive(Debug)]
pub struct Provider {
    kind: ProviderKind,
    http: Http,
}

impl Provider {
    /// The API of the provider at `host`, over HTTPS.
    ///
    /// # Errors
    /// [`ProviderError::Address`], [`ProviderError::Unsupported`] or [`ProviderError::Setup`]; nothing is sent yet.
    pub fn new(
        kind: ProviderKind,
        host: &str,
        https_port: u16,
        token: &ApiToken,
        connection: &Connection,
    ) -> Result<Self> {
        let http = Http::new(kind.root(host, https_port)?, kind.scheme(), token, connection)?;
        Ok(Self { kind, http })
    }

    /// The API at a root of its own, such as a gateway's; plain HTTP is taken on this machine only.
    ///
    /// # Errors
    /// As [`Provider::new`].
    pub fn at(kind: ProviderKind, root: &str, token: &ApiToken, connection: &Connection) -> Result<Self> {
        let bad = || ProviderError::Address { address: "the API's root".to_owned(), why: "it is not an address" };
        let url = Url::parse(root).map_err(|_| bad())?;
        Ok(Self { kind, http: Http::new(url, kind.scheme(), token, connection)? })
    }

    /// Which provider.
    pub fn kind(&self) -> ProviderKind {
        self.kind
    }

    /// The server that is asked.
    pub fn host(&self) -> String {
        self.http.host()
    }

    /// Who the token belongs to: the shortest question that shows whether it is good.
    pub async fn account(&self) -> Result<Account> {
        match self.kind {
            ProviderKind::GitHub => github::account(&self.http).await,
            ProviderKind::GitLab => gitlab::account(&self.http).await,
            ProviderKind::Bitbucket => bitbucket::account(&self.http).await,
            ProviderKind::Gerrit => gerrit::account(&self.http).await,
        }
    }

    /// Who could own a repository: the user, organisations, groups, workspaces. Gerrit has no owners.
    pub async fn owners(&self) -> Result<Listing<Owner>> {
        match self.kind {
            ProviderKind::GitHub => github::owners(&self.http).await,
            ProviderKind::GitLab => gitlab::owners(&self.http).await,
            ProviderKind::Bitbucket => bitbucket::owners(&self.http).await,
            ProviderKind::Gerrit => Ok(Listing { items: Vec::new(), complete: true }),
        }
    }

    /// The repositories of an owner; for Gerrit all projects.
    pub async fn repositories(&self, owner: &str) -> Result<Listing<RemoteRepository>> {
        match self.kind {
            ProviderKind::GitHub => github::repositories(&self.http, owner).await,
            ProviderKind::GitLab => gitlab::repositories(&self.http, owner).await,
            ProviderKind::Bitbucket => bitbucket::repositories(&self.http, owner).await,
            ProviderKind::Gerrit => gerrit::repositories(&self.http).await,
        }
    }

    /// One repository by its path, `acme/krci-gitops`; none when there is none that the token may see.
    pub async fn repository(&self, path: &str) -> Result<Option<RemoteRepository>> {
        match self.kind {
            ProviderKind::GitHub => github::repository(&self.http, &pair(path)?).await,
            ProviderKind::GitLab => gitlab::repository(&self.http, bare(path)).await,
            ProviderKind::Bitbucket => bitbucket::repository(&self.http, &pair(path)?).await,
            ProviderKind::Gerrit => gerrit::repository(&self.http, bare(path)).await,
        }
    }

    /// The names of a repository's branches.
    pub async fn branches(&self, path: &str) -> Result<Listing<String>> {
        match self.kind {
            ProviderKind::GitHub => github::branches(&self.http, &pair(path)?).await,
            ProviderKind::GitLab => gitlab::branches(&self.http, bare(path)).await,
            ProviderKind::Bitbucket => bitbucket::branches(&self.http, &pair(path)?).await,
            ProviderKind::Gerrit => gerrit::branches(&self.http, bare(path)).await,
        }
    }

    /// Deletes a repository at the provider, with all that is in it. There is no way back for us; some providers keep
    /// it for some days.
    pub async fn delete_repository(&self, path: &str) -> Result<Deletion> {
        match self.kind {
            ProviderKind::GitHub => github::delete(&self.http, &pair(path)?).await,
            ProviderKind::GitLab => gitlab::delete(&self.http, bare(path)).await,
            ProviderKind::Bitbucket => bitbucket::delete(&self.http, &pair(path)?).await,
            ProviderKind::Gerrit => gerrit::delete(&self.http, bare(path)).await,
        }
    }
}

/// A path as the APIs want it: no slash at its ends, no `.git`.
fn bare(path: &str) -> &str {
    let path = path.trim_matches('/');
    path.strip_suffix(".git").unwrap_or(path)
}

/// The owner and the name of a path of exactly two parts.
fn pair(path: &str) -> Result<(String, String)> {
    match bare(path).split_once('/') {
        Some((owner, name)) if !owner.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((owner.to_owned(), name.to_owned()))
        }
        _ => Err(ProviderError::Setup(format!("{:?} is not an owner and a repository", bare(path)))),
    }
}

/// Only an address for the browser that is HTTPS is passed on.
fn web(url: Option<String>) -> Option<String> {
    url.filter(|url| url.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_follows_the_host() {
        let root = |kind: ProviderKind, host: &str, port| kind.root(host, port).map(|url| url.to_string());
        assert_eq!(root(ProviderKind::GitHub, "github.com", 443).unwrap(), "https://api.github.com/");
        assert_eq!(root(ProviderKind::GitHub, "acme.ghe.com", 443).unwrap(), "https://api.acme.ghe.com/");
        assert_eq!(
            root(ProviderKind::GitHub, "ghe.example.com", 8443).unwrap(),
            "https://ghe.example.com:8443/api/v3/"
        );
        assert_eq!(root(ProviderKind::GitLab, "git.example.com", 443).unwrap(), "https://git.example.com/api/v4/");
        assert_eq!(root(ProviderKind::Bitbucket, "bitbucket.org", 443).unwrap(), "https://api.bitbucket.org/2.0/");
        assert!(matches!(root(ProviderKind::Bitbucket, "bb.example.com", 443), Err(ProviderError::Unsupported(_))));
        assert_eq!(root(ProviderKind::Gerrit, "gerrit.krci", 443).unwrap(), "https://gerrit.krci/a/");
        for bad in ["evil.example/x/y", "user@evil.example", "a b", ""] {
            assert!(root(ProviderKind::GitLab, bad, 443).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_goes_over_tls_only() {
        let token = ApiToken { username: String::new(), token: "seeded-secret".to_owned().into() };
        let at = |root: &str| Provider::at(ProviderKind::GitLab, root, &token, &Connection::default());
        assert!(matches!(at("http://git.example.com/api/v4/"), Err(ProviderError::Address { .. })));
        assert!(matches!(at("ftp://127.0.0.1/"), Err(ProviderError::Address { .. })));
        assert!(matches!(at("https://user:pass@git.example.com/"), Err(ProviderError::Address { .. })));
        assert!(!format!("{:?}", at("http://127.0.0.1:1/").unwrap()).contains("seeded-secret"));
        let bad = ApiToken { username: String::new(), token: "seeded-secret\n".to_owned().into() };
        let error =
            Provider::at(ProviderKind::GitLab, "http://localhost:1/", &bad, &Connection::default()).unwrap_err();
        assert!(!error.to_string().contains("seeded"), "{error}");
    }
}
