//! GitHub's REST API, version 2022-11-28 and its Enterprise Server.

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{Account, Deletion, Listing, Owner, ProviderError, RemoteRepository, Result, web};
use pilothouse_cluster::web::{Answer, Http};

#[derive(Deserialize)]
struct User {
    login: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Organization {
    login: String,
    description: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    name: String,
    full_name: String,
    private: Option<bool>,
    #[serde(default)]
    archived: bool,
    default_branch: Option<String>,
    permissions: Option<Permissions>,
    html_url: Option<String>,
}

#[derive(Deserialize)]
struct Permissions {
    push: Option<bool>,
}

#[derive(Deserialize)]
struct Branch {
    name: String,
}

fn read(one: Repository) -> RemoteRepository {
    RemoteRepository {
        path: one.full_name,
        name: one.name,
        private: one.private,
        archived: one.archived,
        default_branch: one.default_branch,
        can_push: one.permissions.and_then(|permissions| permissions.push),
        web_url: web(one.html_url),
    }
}

fn page(answer: &Answer) -> Result<(Vec<RemoteRepository>, Option<String>)> {
    let found: Vec<Repository> = answer.json()?;
    Ok((found.into_iter().map(read).collect(), answer.next()))
}

pub(super) async fn account(http: &Http) -> Result<Account> {
    let user: User = http.get("read your account", &["user"], &[]).await?.json()?;
    Ok(Account { login: user.login, name: user.name })
}

pub(super) async fn owners(http: &Http) -> Result<Listing<Owner>> {
    let me = account(http).await?;
    let organizations = http
        .pages("list your organisations", &["user", "orgs"], &[("per_page", "100")], |answer| {
            let found: Vec<Organization> = answer.json()?;
            let title = |text: Option<String>| text.filter(|text| !text.is_empty());
            let owners =
                found.into_iter().map(|one| Owner { path: one.login, title: title(one.description), personal: false });
            Ok((owners.collect(), answer.next()))
        })
        .await;
    // A token without `read:org` may still work with its user's own repositories.
    let organizations = match organizations {
        Err(ProviderError::Forbidden { .. }) => Listing { items: Vec::new(), complete: false },
        other => other?,
    };
    let mut items = vec![Owner { path: me.login, title: me.name, personal: true }];
    items.extend(organizations.items);
    Ok(Listing { items, complete: organizations.complete })
}

pub(super) async fn repositories(http: &Http, owner: &str) -> Result<Listing<RemoteRepository>> {
    let action = "list repositories";
    let query = [("per_page", "100"), ("sort", "full_name")];
    // The public list of a user leaves out private repositories, also one's own.
    if account(http).await?.login.eq_ignore_ascii_case(owner) {
        let own = [("per_page", "100"), ("sort", "full_name"), ("affiliation", "owner")];
        return http.pages(action, &["user", "repos"], &own, page).await;
    }
    match http.pages(action, &["orgs", owner, "repos"], &query, page).await {
        Err(ProviderError::NotFound { .. }) => http.pages(action, &["users", owner, "repos"], &query, page).await,
        other => other,
    }
}

pub(super) async fn repository(http: &Http, (owner, name): &(String, String)) -> Result<Option<RemoteRepository>> {
    let found = http.find("see this repository", &["repos", owner, name]).await?;
    found.map(|answer| answer.json().map(read)).transpose()
}

pub(super) async fn branches(http: &Http, (owner, name): &(String, String)) -> Result<Listing<String>> {
    let segments = ["repos", owner, name, "branches"];
    http.pages("list branches", &segments, &[("per_page", "100")], |answer| {
        let found: Vec<Branch> = answer.json()?;
        Ok((found.into_iter().map(|one| one.name).collect(), answer.next()))
    })
    .await
}

pub(super) async fn delete(http: &Http, (owner, name): &(String, String)) -> Result<Deletion> {
    let segments = ["repos", owner, name];
    http.order(Method::DELETE, "delete this repository", &segments, &[StatusCode::NO_CONTENT]).await?;
    Ok(Deletion::Done)
}
