//! Gerrit's REST API, behind `/a/` where a password is asked for.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{Account, Deletion, Listing, ProviderError, RemoteRepository, Result, web};
use pilothouse_cluster::web::Http;

/// The projects that hold Gerrit's own settings.
const OWN: [&str; 2] = ["All-Projects", "All-Users"];
/// The most projects that are listed.
const LIMIT: usize = 1_000;
/// How many projects are asked for at once. A server may give fewer: what its index answers is cut at the user's limit
/// for queries, without a word.
const PAGE: usize = 500;

#[derive(Deserialize)]
struct Person {
    username: Option<String>,
    name: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize)]
struct Project {
    name: Option<String>,
    state: Option<String>,
    #[serde(default)]
    web_links: Vec<WebLink>,
}

#[derive(Deserialize)]
struct WebLink {
    url: String,
}

#[derive(Deserialize)]
struct Branch {
    #[serde(rename = "ref")]
    reference: String,
}

fn read(name: String, one: Project) -> RemoteRepository {
    RemoteRepository {
        name: name.clone(),
        path: one.name.unwrap_or(name),
        // Who sees a project is a matter of rules, not of one word.
        private: None,
        archived: one.state.is_some_and(|state| state != "ACTIVE"),
        default_branch: None,
        can_push: None,
        web_url: one.web_links.into_iter().find_map(|link| web(Some(link.url))),
    }
}

pub(super) async fn account(http: &Http) -> Result<Account> {
    let person: Person = http.get("read your account", &["accounts", "self"], &[]).await?.json()?;
    Ok(Account { login: person.username.or(person.email).unwrap_or_default(), name: person.name })
}

pub(super) async fn repositories(http: &Http) -> Result<Listing<RemoteRepository>> {
    let mut projects = BTreeMap::<String, Project>::new();
    let mut complete = false;
    // Only an answer with nothing new says that there is no more.
    while !complete && projects.len() <= LIMIT + OWN.len() {
        let (limit, start) = (PAGE.to_string(), projects.len().to_string());
        let query = [("type", "CODE"), ("n", limit.as_str()), ("S", start.as_str())];
        // The empty segment is the slash at the end, without which Gerrit looks for a project.
        let page: BTreeMap<String, Project> = http.get("list projects", &["projects", ""], &query).await?.json()?;
        let before = projects.len();
        projects.extend(page);
        complete = projects.len() == before;
    }
    let projects = projects.into_iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    let mut items: Vec<RemoteRepository> = projects.map(|(name, one)| read(name, one)).collect();
    complete &= items.len() <= LIMIT;
    items.truncate(LIMIT);
    Ok(Listing { items, complete })
}

pub(super) async fn repository(http: &Http, name: &str) -> Result<Option<RemoteRepository>> {
    let Some(answer) = http.find("see this project", &["projects", name]).await? else { return Ok(None) };
    let mut found = read(name.to_owned(), answer.json()?);
    let head: Option<String> = match http.find("read this project's HEAD", &["projects", name, "HEAD"]).await? {
        Some(answer) => Some(answer.json()?),
        None => None,
    };
    found.default_branch = head.and_then(|head| head.strip_prefix("refs/heads/").map(str::to_owned));
    Ok(Some(found))
}

pub(super) async fn branches(http: &Http, name: &str) -> Result<Listing<String>> {
    let found: Vec<Branch> = http.get("list branches", &["projects", name, "branches", ""], &[]).await?.json()?;
    let names = found.into_iter().filter_map(|one| one.reference.strip_prefix("refs/heads/").map(str::to_owned));
    Ok(Listing { items: names.collect(), complete: true })
}

pub(super) async fn delete(http: &Http, name: &str) -> Result<Deletion> {
    let segments = ["projects", name, "delete-project~delete"];
    match http.order(Method::POST, "delete this project", &segments, &[StatusCode::NO_CONTENT]).await {
        Ok(_) => Ok(Deletion::Done),
        Err(ProviderError::NotFound { .. }) => Err(ProviderError::Unsupported(format!(
            "{} cannot delete projects: its delete-project plugin is not installed, or the project is gone already",
            http.host()
        ))),
        Err(other) => Err(other),
    }
}
