//! Bitbucket Cloud's REST API, version 2.0.

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{Account, Deletion, Listing, Owner, RemoteRepository, Result, web};
use pilothouse_cluster::web::{Answer, Http};

#[derive(Deserialize)]
struct User {
    username: Option<String>,
    nickname: Option<String>,
    display_name: Option<String>,
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default = "Vec::new")]
    values: Vec<T>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Membership {
    workspace: Workspace,
}

#[derive(Deserialize)]
struct Workspace {
    slug: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    /// The part of the address; `name` may hold anything.
    slug: Option<String>,
    name: String,
    full_name: String,
    is_private: Option<bool>,
    mainbranch: Option<Branch>,
    links: Option<Links>,
}

#[derive(Deserialize)]
struct Branch {
    name: String,
}

#[derive(Deserialize)]
struct Links {
    html: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

fn read(one: Repository) -> RemoteRepository {
    RemoteRepository {
        path: one.full_name,
        name: one.slug.unwrap_or(one.name),
        private: one.is_private,
        // Bitbucket Cloud has no archive.
        archived: false,
        default_branch: one.mainbranch.map(|branch| branch.name),
        can_push: None,
        web_url: web(one.links.and_then(|links| links.html).map(|link| link.href)),
    }
}

fn page(answer: &Answer) -> Result<(Vec<RemoteRepository>, Option<String>)> {
    let found: Page<Repository> = answer.json()?;
    Ok((found.values.into_iter().map(read).collect(), found.next))
}

pub(super) async fn account(http: &Http) -> Result<Account> {
    let user: User = http.get("read your account", &["user"], &[]).await?.json()?;
    let login = user.username.or(user.nickname).unwrap_or_default();
    Ok(Account { login, name: user.display_name })
}

pub(super) async fn owners(http: &Http) -> Result<Listing<Owner>> {
    // The lists across workspaces, such as user/permissions/workspaces, are gone since April 2026 (CHANGE-2770).
    http.pages("list your workspaces", &["user", "workspaces"], &[("pagelen", "100")], |answer| {
        let found: Page<Membership> = answer.json()?;
        let workspaces = found.values.into_iter().map(|one| one.workspace);
        let owners = workspaces.map(|one| Owner { path: one.slug, title: one.name, personal: false });
        Ok((owners.collect(), found.next))
    })
    .await
}

pub(super) async fn repositories(http: &Http, owner: &str) -> Result<Listing<RemoteRepository>> {
    let query = [("role", "member"), ("sort", "full_name"), ("pagelen", "100")];
    http.pages("list repositories", &["repositories", owner], &query, page).await
}

pub(super) async fn repository(http: &Http, (owner, name): &(String, String)) -> Result<Option<RemoteRepository>> {
    let Some(answer) = http.find("see this repository", &["repositories", owner, name]).await? else {
        return Ok(None);
    };
    let mut found = read(answer.json()?);
    // A repository's own page does not tell what one may do with it; the list of those one may write to does. A quote
    // in the name would end the question's text early.
    if !name.contains(['"', '\\']) {
        let question = format!("slug=\"{}\"", name.to_lowercase());
        let query = [("role", "contributor"), ("q", question.as_str())];
        let writable: Page<Repository> =
            http.get("list repositories", &["repositories", owner], &query).await?.json()?;
        found.can_push = Some(!writable.values.is_empty());
    }
    Ok(Some(found))
}

pub(super) async fn branches(http: &Http, (owner, name): &(String, String)) -> Result<Listing<String>> {
    let segments = ["repositories", owner, name, "refs", "branches"];
    http.pages("list branches", &segments, &[("pagelen", "100")], |answer| {
        let found: Page<Branch> = answer.json()?;
        Ok((found.values.into_iter().map(|one| one.name).collect(), found.next))
    })
    .await
}

pub(super) async fn delete(http: &Http, (owner, name): &(String, String)) -> Result<Deletion> {
    let segments = ["repositories", owner, name];
    http.order(Method::DELETE, "delete this repository", &segments, &[StatusCode::NO_CONTENT]).await?;
    Ok(Deletion::Done)
}
