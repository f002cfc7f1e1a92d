//! What each provider answers, in the words of its documentation.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Api, Call, Reply, State, Stored};
use crate::base64::base64;

/// A path's parts, decoded, and its query.
struct Asked {
    parts: Vec<String>,
    /// The path as it came, without the query.
    path: String,
    query: BTreeMap<String, String>,
    /// The scheme and the host the client used.
    origin: String,
}

impl Asked {
    fn read(call: &Call, root: &str) -> Option<Self> {
        let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
        let parts = path.strip_prefix(root)?.strip_prefix('/')?.split('/').map(decoded).collect();
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = pairs.map(|(name, value)| (decoded(name), decoded(value))).collect();
        let host = call.headers.get("host").cloned().unwrap_or_default();
        Some(Self { parts, path: path.to_owned(), query, origin: format!("https://{host}") })
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.query.get(name)?.parse().ok()
    }

    /// The address of another page of the same list.
    fn page(&self, number: usize) -> String {
        let mut query = self.query.clone();
        query.insert("page".into(), number.to_string());
        let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        format!("{}{}?{}", self.origin, self.path, pairs.join("&"))
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (high, low) = (hex(rest.next()).unwrap_or(0), hex(rest.next()).unwrap_or(0));
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn reply(status: u16, value: &Value) -> Reply {
    let kind = ("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned());
    Reply { status, headers: vec![kind], body: value.to_string() }
}

fn plain(status: u16, text: &str) -> Reply {
    let kind = ("Content-Type".to_owned(), "text/plain; charset=utf-8".to_owned());
    Reply { status, headers: vec![kind], body: text.to_owned() }
}

const NOTHING: Reply = Reply { status: 204, headers: Vec::new(), body: String::new() };

/// The API's answer.
pub(super) fn answer(api: Api, state: &mut State, call: &Call) -> Reply {
    let at_root = call.headers.get("host").is_some_and(|host| host == "api.github.com");
    let root = match api {
        Api::GitHub if at_root => "",
        Api::GitHub => "/api/v3",
        Api::GitLab => "/api/v4",
        Api::Bitbucket => "/2.0",
        Api::Gerrit => "/a",
    };
    let Some(asked) = Asked::read(call, root) else { return plain(404, "Not Found") };
    let known = !state.revoked && call.headers.get(authorization(api).0) == Some(&expected(api, state));
    match api {
        // GitHub turns away whoever does not say what program it is.
        Api::GitHub if !call.headers.contains_key("user-agent") => plain(
            403,
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
        ),
        Api::GitHub if !known => reply(
            401,
            &json!({"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest", "status": "401"}),
        ),
        Api::GitHub => github(state, call, &asked),
        Api::GitLab if state.revoked => reply(
            401,
            &json!({"error": "invalid_token", "error_description": "Token was revoked. You have to re-authorize from the user."}),
        ),
        Api::GitLab if !known => reply(401, &json!({"message": "401 Unauthorized"})),
        Api::GitLab => gitlab(state, call, &asked),
        Api::Bitbucket if !known => reply(
            401,
            &json!({"type": "error", "error": {"message": "Token is invalid, expired, or not supported for this endpoint."}}),
        ),
        Api::Bitbucket => bitbucket(state, call, &asked),
        Api::Gerrit if !known => plain(401, "Unauthorized"),
        Api::Gerrit => gerrit(state, call, &asked),
    }
}

/// The header that carries the token, and what stands before it there.
fn authorization(api: Api) -> (&'static str, &'static str) {
    match api {
        Api::GitHub => ("authorization", "Bearer "),
        Api::GitLab => ("private-token", ""),
        Api::Bitbucket | Api::Gerrit => ("authorization", "Basic "),
    }
}

fn expected(api: Api, state: &State) -> String {
    let (_, before) = authorization(api);
    match api {
        Api::GitHub | Api::GitLab => format!("{before}{}", state.token),
        Api::Bitbucket | Api::Gerrit => {
            format!("{before}{}", base64(format!("{}:{}", state.user, state.token).as_bytes()))
        }
    }
}

/// The entries of the page that was asked for, and the number of the next one.
fn cut<T>(state: &State, asked: &Asked, size: &str, all: Vec<T>) -> (Vec<T>, Option<usize>) {
    let size = asked.number(size).unwrap_or(20).min(state.page).max(1);
    let page = asked.number("page").unwrap_or(1).max(1);
    let more = all.len() > page * size;
    (all.into_iter().skip((page - 1) * size).take(size).collect(), more.then_some(page + 1))
}

/// A page as GitHub and GitLab give it, with the next one's address in the header.
fn linked(state: &State, asked: &Asked, all: Vec<Value>) -> Reply {
    let (page, next) = cut(state, asked, "per_page", all);
    let mut reply = reply(200, &Value::Array(page));
    if let Some(next) = next {
        let link = format!("<{}>; rel=\"next\", <{}>; rel=\"first\"", asked.page(next), asked.page(1));
        reply.headers.push(("Link".to_owned(), link));
        reply.headers.push(("X-Next-Page".to_owned(), next.to_string()));
    }
    reply
}

/// The repositories right below an owner.
fn of<'a>(state: &'a State, owner: &str) -> impl Iterator<Item = &'a Stored> {
    let owner = owner.to_lowercase();
    state
        .repositories
        .values()
        .filter(move |one| one.path.rsplit_once('/').is_some_and(|(path, _)| path.to_lowercase() == owner))
}

fn name(one: &Stored) -> &str {
    one.path.rsplit_once('/').map_or(one.path.as_str(), |(_, name)| name)
}

fn find<'a>(state: &'a State, path: &str) -> Option<&'a Stored> {
    state.repositories.values().find(|one| one.path.eq_ignore_ascii_case(path))
}

fn github(state: &mut State, call: &Call, asked: &Asked) -> Reply {
    let missing = || {
        reply(
            404,
            &json!({"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"}),
        )
    };
    let show = |one: &Stored| {
        json!({"id": 1, "name": name(one), "full_name": one.path, "private": one.private, "archived": one.archived,
            "default_branch": one.default_branch, "html_url": format!("https://github.example/{}", one.path),
            "permissions": {"admin": false, "push": one.writable, "pull": true}})
    };
    let parts: Vec<&str> = asked.parts.iter().map(String::as_str).collect();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", ["user"]) => reply(200, &json!({"login": state.user, "id": 1, "type": "User", "name": "Rig User"})),
        ("GET", ["user", "orgs"]) => {
            let all = state.owners.iter().map(|one| json!({"login": one, "id": 2, "description": ""})).collect();
            linked(state, asked, all)
        }
        ("GET", ["user", "repos"]) => linked(state, asked, of(state, &state.user).map(show).collect()),
        ("GET", ["orgs", owner, "repos"]) if state.owners.iter().any(|one| one.eq_ignore_ascii_case(owner)) => {
            linked(state, asked, of(state, owner).map(show).collect())
        }
        // The public list of a user leaves out the private ones.
        ("GET", ["users", owner, "repos"]) => {
            linked(state, asked, of(state, owner).filter(|one| !one.private).map(show).collect())
        }
        ("GET", ["repos", owner, name]) => {
            find(state, &format!("{owner}/{name}")).map_or_else(missing, |one| reply(200, &show(one)))
        }
        ("DELETE", ["repos", owner, name]) => {
            let Some(path) = find(state, &format!("{owner}/{name}")).map(|one| one.path.clone()) else {
                return missing();
            };
            if !state.may_delete {
                return reply(
                    403,
                    &json!({"message": "Must have admin rights to Repository.", "documentation_url": "https://docs.github.com/rest/repos/repos#delete-a-repository", "status": "403"}),
                );
            }
            state.repositories.remove(&path);
            NOTHING
        }
        _ => missing(),
    }
}

fn gitlab(state: &mut State, call: &Call, asked: &Asked) -> Reply {
    let missing = |what: &str| reply(404, &json!({"message": format!("404 {what} Not Found")}));
    let show = |one: &Stored| {
        json!({"id": 1, "path": name(one), "path_with_namespace": one.path, "archived": one.archived,
            "visibility": if one.private { "private" } else { "public" }, "default_branch": one.default_branch,
            "web_url": format!("https://gitlab.example/{}", one.path), "permissions": {
                "project_access": {"access_level": if one.writable { 40 } else { 20 }}, "group_access": null}})
    };
    let parts: Vec<&str> = asked.parts.iter().map(String::as_str).collect();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", ["user"]) => {
            reply(200, &json!({"id": 1, "username": state.user, "name": "Rig User", "state": "active"}))
        }
        ("GET", ["groups"]) => {
            let all = state.owners.iter().map(|one| json!({"id": 2, "full_path": one, "full_name": one})).collect();
            linked(state, asked, all)
        }
        ("GET", ["groups", owner, "projects"]) if !state.owners.iter().any(|one| one == owner) => missing("Group"),
        ("GET", ["users", owner, "projects"]) if state.user != *owner => missing("User"),
        ("GET", ["groups" | "users", owner, "projects"]) => linked(state, asked, of(state, owner).map(show).collect()),
        ("GET", ["projects", path]) => {
            find(state, path).map_or_else(|| missing("Project"), |one| reply(200, &show(one)))
        }
        ("DELETE", ["projects", path]) => {
            let Some(path) = find(state, path).map(|one| one.path.clone()) else { return missing("Project") };
            if !state.may_delete {
                return reply(403, &json!({"message": "403 Forbidden"}));
            }
            state.repositories.remove(&path);
            reply(202, &json!({"message": "202 Accepted"}))
        }
        _ => reply(404, &json!({"error": "404 Not Found"})),
    }
}

fn bitbucket(state: &mut State, call: &Call, asked: &Asked) -> Reply {
    let error = |status, words: &str| reply(status, &json!({"type": "error", "error": {"message": words}}));
    let show = |one: &Stored| {
        json!({"type": "repository", "slug": name(one), "name": name(one), "full_name": one.path, "scm": "git",
            "is_private": one.private, "mainbranch": {"type": "branch", "name": one.default_branch},
            "links": {"html": {"href": format!("https://bitbucket.example/{}", one.path)}}})
    };
    let paged = |state: &State, all: Vec<Value>| {
        let (values, next) = cut(state, asked, "pagelen", all);
        let mut page = json!({"pagelen": asked.number("pagelen").unwrap_or(10), "values": values});
        if let Some(next) = next {
            page["next"] = asked.page(next).into();
        }
        reply(200, &page)
    };
    let parts: Vec<&str> = asked.parts.iter().map(String::as_str).collect();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", ["user"]) => reply(200, &json!({"type": "user", "username": state.user, "display_name": "Rig User"})),
        ("GET", ["user", "workspaces"]) => {
            let one = |slug: &String| json!({"type": "workspace_access", "administrator": true, "workspace": {"type": "workspace_base", "slug": slug}});
            paged(state, state.owners.iter().map(one).collect())
        }
        // Removed in April 2026.
        ("GET", ["user", "permissions", _] | ["workspaces"]) => {
            error(410, "CHANGE-2770 - Functionality has been deprecated")
        }
        ("GET", ["repositories", owner]) => {
            if !state.owners.iter().any(|one| one == owner) {
                return error(404, &format!("No workspace with identifier '{owner}'."));
            }
            let wanted =
                asked.query.get("q").and_then(|q| q.strip_prefix("slug=\"")?.strip_suffix('"').map(str::to_owned));
            let writing = asked.query.get("role").is_some_and(|role| role == "contributor");
            let all = of(state, owner)
                .filter(|one| wanted.as_deref().is_none_or(|slug| slug == name(one)))
                .filter(|one| one.writable || !writing);
            paged(state, all.map(show).collect())
        }
        ("GET", ["repositories", owner, slug]) => match find(state, &format!("{owner}/{slug}")) {
            Some(one) => reply(200, &show(one)),
            None => error(404, &format!("Repository {owner}/{slug} not found")),
        },
        ("DELETE", ["repositories", owner, slug]) => {
            let Some(path) = find(state, &format!("{owner}/{slug}")).map(|one| one.path.clone()) else {
                return error(404, &format!("Repository {owner}/{slug} not found"));
            };
            if !state.may_delete {
                return error(403, "Your credentials lack one or more required privilege scopes.");
            }
            state.repositories.remove(&path);
            NOTHING
        }
        _ => error(404, "Resource not found"),
    }
}

fn gerrit(state: &mut State, call: &Call, asked: &Asked) -> Reply {
    // Against browsers that would run an answer as a script.
    let guarded = |value: &Value| {
        let mut reply = reply(200, value);
        reply.body.insert_str(0, ")]}'\n");
        reply
    };
    let show = |one: &Stored| json!({"id": encoded(&one.path), "name": one.path, "state": if one.archived { "READ_ONLY" } else { "ACTIVE" }});
    let missing = |path: &str| plain(404, &format!("Not found: {path}"));
    let parts: Vec<&str> = asked.parts.iter().map(String::as_str).collect();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", ["accounts", "self"]) => {
            guarded(&json!({"_account_id": 1, "username": state.user, "name": "Rig User"}))
        }
        // As its index answers: cut at the user's limit for queries.
        ("GET", ["projects", ""]) => {
            let (count, start) = (asked.number("n").unwrap_or(usize::MAX), asked.number("S").unwrap_or(0));
            let own = [Stored::new("All-Projects"), Stored::new("All-Users")];
            let all: BTreeMap<&str, Value> =
                own.iter().chain(state.repositories.values()).map(|one| (one.path.as_str(), show(one))).collect();
            let page: serde_json::Map<String, Value> = all
                .into_iter()
                .skip(start)
                .take(count.min(state.page))
                .map(|(name, one)| (name.to_owned(), one))
                .collect();
            guarded(&Value::Object(page))
        }
        ("GET", ["projects", path]) => find(state, path).map_or_else(|| missing(path), |one| guarded(&show(one))),
        ("GET", ["projects", path, "HEAD"]) => match find(state, path) {
            Some(one) => guarded(&json!(format!("refs/heads/{}", one.default_branch))),
            None => missing(path),
        },
        ("POST", ["projects", path, "delete-project~delete"]) => {
            let Some(path) = find(state, path).map(|one| one.path.clone()) else { return missing(path) };
            if !state.may_delete {
                return plain(403, "delete project not permitted");
            }
            state.repositories.remove(&path);
            NOTHING
        }
        _ => plain(404, "Not Found"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_were() {
        assert_eq!(decoded(&encoded("a/b c\"é")), "a/b c\"é");
        assert_eq!(decoded("slug%3D%22a%22+b"), "slug=\"a\" b");
    }
}
