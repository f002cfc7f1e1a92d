//! GitLab's REST API, version 4.

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{Account, Deletion, Listing, Owner, ProviderError, RemoteRepository, Result, web};
use pilothouse_cluster::web::{Answer, Http};

/// The access level from which one may push: Developer.
const DEVELOPER: i64 = 30;

#[derive(Deserialize)]
struct User {
    username: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Group {
    full_path: String,
    full_name: Option<String>,
}

#[derive(Deserialize)]
struct Project {
    path: String,
    path_with_namespace: String,
    visibility: Option<String>,
    #[serde(default)]
    archived: bool,
    default_branch: Option<String>,
    permissions: Option<Permissions>,
    web_url: Option<String>,
}

#[derive(Deserialize)]
struct Permissions {
    project_access: Option<Level>,
    group_access: Option<Level>,
}

#[derive(Deserialize)]
struct Level {
    access_level: i64,
}

#[derive(Deserialize)]
struct Branch {
    name: String,
}

fn read(one: Project) -> RemoteRepository {
    // Both null means that the right comes from elsewhere (an administrator, a shared group): not known here.
    let level = one.permissions.and_then(|both| {
        let levels = [both.project_access, both.group_access];
        levels.into_iter().flatten().map(|one| one.access_level).max()
    });
    RemoteRepository {
        path: one.path_with_namespace,
        name: one.path,
        private: one.visibility.map(|word| word != "public"),
        archived: one.archived,
        default_branch: one.default_branch,
        can_push: level.map(|level| level >= DEVELOPER),
        web_url: web(one.web_url),
    }
}

fn page(answer: &Answer) -> Result<(Vec<RemoteRepository>, Option<String>)> {
    let found: Vec<Project> = answer.json()?;
    Ok((found.into_iter().map(read).collect(), answer.next()))
}

pub(super) async fn account(http: &Http) -> Result<Account> {
    let user: User = http.get("read your account", &["user"], &[]).await?.json()?;
    Ok(Account { login: user.username, name: user.name })
}

pub(super) async fn owners(http: &Http) -> Result<Listing<Owner>> {
    let me = account(http).await?;
    let query = [("min_access_level", "30"), ("order_by", "path"), ("per_page", "100")];
    let groups = http
        .pages("list your groups", &["groups"], &query, |answer| {
            let found: Vec<Group> = answer.json()?;
            let owners =
                found.into_iter().map(|one| Owner { path: one.full_path, title: one.full_name, personal: false });
            Ok((owners.collect(), answer.next()))
        })
        .await?;
    let mut items = vec![Owner { path: me.login, title: me.name, personal: true }];
    items.extend(groups.items);
    Ok(Listing { items, complete: groups.complete })
}

pub(super) async fn repositories(http: &Http, owner: &str) -> Result<Listing<RemoteRepository>> {
    let query = [("order_by", "path"), ("sort", "asc"), ("per_page", "100")];
    match http.pages("list projects", &["groups", owner, "projects"], &query, page).await {
        Err(ProviderError::NotFound { .. }) => {
            http.pages("list projects", &["users", owner, "projects"], &query, page).await
        }
        other => other,
    }
}

pub(super) async fn repository(http: &Http, path: &str) -> Result<Option<RemoteRepository>> {
    let found = http.find("see this project", &["projects", path]).await?;
    found.map(|answer| answer.json().map(read)).transpose()
}

pub(super) async fn branches(http: &Http, path: &str) -> Result<Listing<String>> {
    let segments = ["projects", path, "repository", "branches"];
    http.pages("list branches", &segments, &[("per_page", "100")], |answer| {
        let found: Vec<Branch> = answer.json()?;
        Ok((found.into_iter().map(|one| one.name).collect(), answer.next()))
    })
    .await
}

pub(super) async fn delete(http: &Http, path: &str) -> Result<Deletion> {
    let expected = [StatusCode::ACCEPTED, StatusCode::NO_CONTENT];
    let status = http.order(Method::DELETE, "delete this project", &["projects", path], &expected).await?;
    // 202: taken, and done later; a server may keep the project for days.
    Ok(if status == StatusCode::ACCEPTED { Deletion::Scheduled } else { Deletion::Done })
}
