//! The providers' APIs, against the answers that their documentation shows, served on loopback.

#![allow(clippy::unwrap_used, reason = "a test ends where its data is not as expected")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pilothouse_delivery::provider::{ApiToken, Connection, Deletion, Provider, ProviderError, ProviderKind};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// What is answered to one request line such as `GET /user`.
#[derive(Clone)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn json(body: &Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_string().into_bytes() }
    }

    fn of(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A request as it came in.
#[derive(Debug, Clone)]
struct Seen {
    line: String,
    headers: BTreeMap<String, String>,
}

struct Server {
    root: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Serves these answers; anything else is a 404 in the provider's words.
    async fn start(answers: impl FnOnce(&str) -> Vec<(&'static str, Reply)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root = format!("http://{}/", listener.local_addr().unwrap());
        let answers: BTreeMap<String, Reply> =
            answers(&root).into_iter().map(|(line, reply)| (line.to_owned(), reply)).collect();
        let (answers, seen) = (Arc::new(answers), Arc::<Mutex<Vec<Seen>>>::default());
        let log = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, log) = (answers.clone(), log.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let mut first = String::new();
                    stream.read_line(&mut first).await.unwrap();
                    let mut headers = BTreeMap::new();
                    loop {
                        let mut line = String::new();
                        stream.read_line(&mut line).await.unwrap();
                        match line.trim_end().split_once(": ") {
                            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
                            None => break,
                        };
                    }
                    let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
                    log.lock().unwrap().push(Seen { line: line.clone(), headers });
                    let missing = Reply::of(404, r#"{"message":"404 Not Found"}"#);
                    let reply = answers.get(&line).cloned().unwrap_or(missing);
                    let mut head = format!("HTTP/1.1 {} .\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
                    for (name, value) in &reply.headers {
                        head.push_str(&format!("{name}: {value}\r\n"));
                    }
                    head.push_str("connection: close\r\n\r\n");
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(&reply.body).await;
                });
            }
        });
        Self { root, seen }
    }

    fn lines(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|one| one.line.clone()).collect()
    }

    fn header(&self, name: &str) -> Option<String> {
        self.seen.lock().unwrap().last().unwrap().headers.get(name).cloned()
    }

    fn provider(&self, kind: ProviderKind, username: &str) -> Provider {
        let token = ApiToken { username: username.to_owned(), token: "seeded-secret".to_owned().into() };
        Provider::at(kind, &self.root, &token, &Connection::default()).unwrap()
    }
}

/// docs.github.com/en/rest/repos/repos, shortened.
fn github_repository(name: &str, push: bool) -> Value {
    json!({
        "id": 1296269, "node_id": "MDEwOlJlcG9zaXRvcnkxMjk2MjY5", "name": name, "full_name": format!("octocat/{name}"),
        "owner": {"login": "octocat", "id": 1, "type": "User", "site_admin": false},
        "private": true, "html_url": format!("https://github.com/octocat/{name}"),
        "description": "This your first repo!", "fork": false, "archived": false, "disabled": false,
        "visibility": "private", "default_branch": "master", "size": 108,
        "permissions": {"admin": false, "push": push, "pull": true},
    })
}

#[tokio::test]
async fn github_lists_what_the_token_may_see() {
    let user =
        json!({"login": "octocat", "id": 1, "type": "User", "name": "monalisa octocat", "plan": {"name": "pro"}});
    let org = json!({"login": "github", "id": 1, "url": "https://api.github.com/orgs/github", "description": "A great organization"});
    let server = Server::start(|root| {
        let second = format!(
            "<{root}orgs/github/repos?per_page=100&sort=full_name&page=2>; rel=\"next\", <{root}x>; rel=\"last\""
        );
        let back = format!("<{root}orgs/github/repos?page=1>; rel=\"prev\"");
        let branch =
            json!([{"name": "main", "commit": {"sha": "c5b97d5ae6c19d5c5df71a34c7fbeeda2479ccbc"}, "protected": true}]);
        vec![
            ("GET /user", Reply::json(&user)),
            ("GET /user/orgs?per_page=100", Reply::json(&json!([org]))),
            (
                "GET /orgs/github/repos?per_page=100&sort=full_name",
                Reply::json(&json!([github_repository("a", true)])).with("link", second),
            ),
            (
                "GET /orgs/github/repos?per_page=100&sort=full_name&page=2",
                Reply::json(&json!([github_repository("b", false)])).with("Link", back),
            ),
            (
                "GET /user/repos?per_page=100&sort=full_name&affiliation=owner",
                Reply::json(&json!([github_repository("own", true)])),
            ),
            ("GET /repos/octocat/Hello-World", Reply::json(&github_repository("Hello-World", true))),
            ("GET /repos/octocat/Hello-World/branches?per_page=100", Reply::json(&branch)),
            ("DELETE /repos/octocat/Hello-World", Reply::of(204, "")),
        ]
    })
    .await;
    let github = server.provider(ProviderKind::GitHub, "");
    let account = github.account().await.unwrap();
    assert_eq!((account.login.as_str(), account.name.as_deref()), ("octocat", Some("monalisa octocat")));
    assert_eq!(server.header("authorization").unwrap(), "Bearer seeded-secret");
    assert!(server.header("user-agent").unwrap().starts_with("Pilothouse/"), "GitHub refuses requests without one");

    let owners = github.owners().await.unwrap();
    assert!(owners.complete);
    assert_eq!(
        owners.items.iter().map(|one| (one.path.as_str(), one.personal)).collect::<Vec<_>>(),
        [("octocat", true), ("github", false)]
    );

    let theirs = github.repositories("github").await.unwrap();
    assert_eq!(
        theirs.items.iter().map(|one| (one.name.as_str(), one.can_push)).collect::<Vec<_>>(),
        [("a", Some(true)), ("b", Some(false))]
    );
    let own = github.repositories("Octocat").await.unwrap();
    assert_eq!(own.items[0].name, "own", "a user's own list holds the private ones too");

    let found = github.repository("/octocat/Hello-World.git").await.unwrap().unwrap();
    assert_eq!((found.private, found.archived, found.default_branch.as_deref()), (Some(true), false, Some("master")));
    assert_eq!(found.web_url.as_deref(), Some("https://github.com/octocat/Hello-World"));
    assert_eq!(github.repository("octocat/none").await.unwrap(), None);
    assert_eq!(github.branches("octocat/Hello-World").await.unwrap().items, ["main"]);
    assert_eq!(github.delete_repository("octocat/Hello-World").await.unwrap(), Deletion::Done);
    assert!(github.repository("only-one-part").await.is_err());
}

#[tokio::test]
async fn gitlab_takes_paths_as_one_segment() {
    // docs.gitlab.com/api/projects, shortened.
    let project = json!({
        "id": 3, "description": null, "default_branch": "main", "visibility": "private", "archived": false,
        "path": "diaspora-project-site", "path_with_namespace": "group/sub/diaspora-project-site", "empty_repo": false,
        "web_url": "http://example.com/diaspora/diaspora-project-site",
        "permissions": {"project_access": {"access_level": 10, "notification_level": 3}, "group_access": {"access_level": 50, "notification_level": 3}},
    });
    let server = Server::start(|_| {
        let mut reporter = project.clone();
        reporter["permissions"] = json!({"project_access": {"access_level": 20}, "group_access": null});
        let mut elsewhere = project.clone();
        elsewhere["permissions"] = json!({"project_access": null, "group_access": null});
        vec![
            ("GET /user", Reply::json(&json!({"id": 1, "username": "john_smith", "name": "John Smith", "state": "active"}))),
            ("GET /groups?min_access_level=30&order_by=path&per_page=100", Reply::json(&json!([{"id": 1, "name": "Foobar Group", "path": "foo-bar", "full_name": "Foobar Group", "full_path": "foo/bar", "visibility": "public"}]))),
            ("GET /groups/group%2Fsub/projects?order_by=path&sort=asc&per_page=100", Reply::json(&json!([project]))),
            ("GET /users/john_smith/projects?order_by=path&sort=asc&per_page=100", Reply::json(&json!([]))),
            ("GET /projects/group%2Fsub%2Fdiaspora-project-site", Reply::json(&project)),
            ("GET /projects/group%2Fread", Reply::json(&reporter)),
            ("GET /projects/group%2Felse", Reply::json(&elsewhere)),
            ("GET /projects/group%2Fread/repository/branches?per_page=100", Reply::json(&json!([{"name": "main", "default": true, "protected": true, "can_push": false}]))),
            ("DELETE /projects/group%2Fread", Reply::of(202, r#"{"message":"202 Accepted"}"#)),
        ]
    })
    .await;
    let gitlab = server.provider(ProviderKind::GitLab, "");
    let owners = gitlab.owners().await.unwrap().items;
    assert_eq!(owners.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["john_smith", "foo/bar"]);
    assert_eq!(server.header("private-token").unwrap(), "seeded-secret");
    assert_eq!(server.header("authorization"), None);
    let listed = gitlab.repositories("group/sub").await.unwrap();
    assert_eq!(listed.items[0].path, "group/sub/diaspora-project-site");
    assert!(gitlab.repositories("john_smith").await.unwrap().items.is_empty(), "a user is no group");
    let found = gitlab.repository("/group/sub/diaspora-project-site").await.unwrap().unwrap();
    assert_eq!(
        (found.private, found.can_push, found.default_branch.as_deref()),
        (Some(true), Some(true), Some("main"))
    );
    assert_eq!(found.web_url, None, "only a page over TLS is opened");
    assert_eq!(gitlab.repository("group/read").await.unwrap().unwrap().can_push, Some(false));
    assert_eq!(gitlab.repository("group/else").await.unwrap().unwrap().can_push, None);
    assert_eq!(gitlab.branches("group/read").await.unwrap().items, ["main"]);
    assert_eq!(gitlab.delete_repository("group/read").await.unwrap(), Deletion::Scheduled);
}

#[tokio::test]
async fn bitbucket_follows_the_pages_in_its_answers() {
    // developer.atlassian.com/cloud/bitbucket/rest, shortened.
    let repository = |slug: &str| {
        json!({"type": "repository", "full_name": format!("atlassian/{slug}"), "name": "Geordi Server", "slug": slug,
            "is_private": true, "scm": "git", "mainbranch": {"type": "branch", "name": "main"},
            "links": {"html": {"href": format!("https://bitbucket.org/atlassian/{slug}")}}})
    };
    let server = Server::start(|root| {
        let next = format!("{root}repositories/atlassian?role=member&page=2");
        vec![
            ("GET /user", Reply::json(&json!({"type": "user", "username": "evzijst", "nickname": "evzijst", "display_name": "Erik van Zijst", "uuid": "{470c176d-3574-44ea-bb41-89e8638bcca4}"}))),
            ("GET /user/workspaces?pagelen=100", Reply::json(&json!({"pagelen": 10, "page": 1, "size": 1, "values": [{"type": "workspace_access", "administrator": true, "workspace": {"type": "workspace_base", "uuid": "{a15fb181-db1f-48f7-b41f-e1eff06929d6}", "slug": "bbworkspace1"}}]}))),
            ("GET /repositories/atlassian?role=member&sort=full_name&pagelen=100", Reply::json(&json!({"size": 2, "page": 1, "pagelen": 1, "next": next, "values": [repository("geordi")]}))),
            ("GET /repositories/atlassian?role=member&page=2", Reply::json(&json!({"page": 2, "values": [repository("geordi2")]}))),
            ("GET /repositories/atlassian/geordi", Reply::json(&repository("geordi"))),
            ("GET /repositories/atlassian?role=contributor&q=slug%3D%22geordi%22", Reply::json(&json!({"size": 0, "values": []}))),
            ("GET /repositories/atlassian/geordi/refs/branches?pagelen=100", Reply::json(&json!({"values": [{"type": "branch", "name": "main", "target": {"hash": "a1"}}]}))),
            ("DELETE /repositories/atlassian/geordi", Reply::of(403, r#"{"type":"error","error":{"message":"Your credentials lack one or more required privilege scopes."}}"#)),
        ]
    })
    .await;
    let bitbucket = server.provider(ProviderKind::Bitbucket, "evzijst");
    assert_eq!(bitbucket.account().await.unwrap().login, "evzijst");
    // base64 of evzijst:seeded-secret
    assert_eq!(server.header("authorization").unwrap(), "Basic ZXZ6aWpzdDpzZWVkZWQtc2VjcmV0");
    assert_eq!(bitbucket.owners().await.unwrap().items[0].path, "bbworkspace1");
    let listed = bitbucket.repositories("atlassian").await.unwrap();
    assert_eq!(listed.items.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["geordi", "geordi2"]);
    let found = bitbucket.repository("atlassian/geordi").await.unwrap().unwrap();
    assert_eq!((found.can_push, found.default_branch.as_deref()), (Some(false), Some("main")));
    assert_eq!(bitbucket.branches("atlassian/geordi").await.unwrap().items, ["main"]);
    let error = bitbucket.delete_repository("atlassian/geordi").await.unwrap_err();
    assert!(matches!(&error, ProviderError::Forbidden { words, .. } if words.contains("privilege scopes")), "{error}");
}

#[tokio::test]
async fn gerrit_answers_behind_its_prefix() {
    // gerrit-review.googlesource.com/Documentation/rest-api-projects.html, shortened.
    let guarded = |value: Value| Reply::of(200, &format!(")]}}'\n{value}"));
    let server = Server::start(|_| {
        vec![
            ("GET /accounts/self", guarded(json!({"_account_id": 1000096, "name": "John Doe", "email": "john.doe@example.com", "username": "john"}))),
            ("GET /projects/?type=CODE&n=500&S=3", guarded(json!({}))),
            ("GET /projects/?type=CODE&n=500&S=0", guarded(json!({"All-Projects": {"id": "All-Projects", "state": "ACTIVE"}, "external/bison": {"id": "external%2Fbison", "description": "GNU parser generator", "state": "READ_ONLY"}, "krci-gitops": {"id": "krci-gitops", "state": "ACTIVE"}}))),
            ("GET /projects/external%2Fbison", guarded(json!({"id": "external%2Fbison", "name": "external/bison", "parent": "All-Projects", "state": "ACTIVE"}))),
            ("GET /projects/external%2Fbison/HEAD", guarded(json!("refs/heads/master"))),
            ("GET /projects/external%2Fbison/branches/", guarded(json!([{"ref": "HEAD", "revision": "master"}, {"ref": "refs/meta/config", "revision": "76016386a0d8ecc7b6be212424978bb45959d668"}, {"ref": "refs/heads/master", "revision": "67ebf73496383c6777035e374d2d664009e2aa5c"}]))),
        ]
    })
    .await;
    let gerrit = server.provider(ProviderKind::Gerrit, "john");
    assert_eq!(gerrit.account().await.unwrap().login, "john");
    assert!(gerrit.owners().await.unwrap().items.is_empty());
    let listed = gerrit.repositories("").await.unwrap();
    assert_eq!(
        listed.items.iter().map(|one| (one.path.as_str(), one.archived)).collect::<Vec<_>>(),
        [("external/bison", true), ("krci-gitops", false)]
    );
    assert_eq!(gerrit.repository("/external/bison").await.unwrap().unwrap().default_branch.as_deref(), Some("master"));
    assert_eq!(gerrit.branches("external/bison").await.unwrap().items, ["master"]);
    let error = gerrit.delete_repository("external/bison").await.unwrap_err();
    assert!(matches!(error, ProviderError::Unsupported(_)), "{error}");
    assert_eq!(server.lines().last().unwrap(), "POST /projects/external%2Fbison/delete-project~delete");
}

#[tokio::test]
async fn only_the_documented_answer_says_that_something_was_deleted() {
    let page = "<!DOCTYPE html><title>Guest network</title>";
    for (kind, line, reply) in [
        (ProviderKind::GitHub, "DELETE /repos/a/b", Reply::of(200, page)),
        (ProviderKind::GitHub, "DELETE /repos/a/b", Reply::of(202, "")),
        (ProviderKind::GitLab, "DELETE /projects/a%2Fb", Reply::of(200, page)),
        (ProviderKind::Bitbucket, "DELETE /repositories/a/b", Reply::of(200, page)),
        (ProviderKind::Gerrit, "POST /projects/a%2Fb/delete-project~delete", Reply::of(200, page)),
    ] {
        let server = Server::start(|_| vec![(line, reply)]).await;
        let error = server.provider(kind, "robin").delete_repository("a/b").await.unwrap_err();
        assert!(matches!(error, ProviderError::Unexpected { .. }), "{kind:?}: {error}");
        assert_eq!(server.lines().len(), 1);
    }
}

#[tokio::test]
async fn a_github_token_without_organisations_still_has_its_user() {
    let server = Server::start(|_| {
        let words = r#"{"message":"You need at least read:org scope or user scope to list your organizations."}"#;
        vec![
            ("GET /user", Reply::json(&json!({"login": "octocat"}))),
            ("GET /user/orgs?per_page=100", Reply::of(403, words)),
        ]
    })
    .await;
    let owners = server.provider(ProviderKind::GitHub, "").owners().await.unwrap();
    assert_eq!((owners.items.len(), owners.items[0].path.as_str(), owners.complete), (1, "octocat", false));
}

#[tokio::test]
async fn a_token_does_not_travel() {
    let thief = Server::start(|_| vec![("GET /user", Reply::json(&json!({"login": "thief"})))]).await;
    let elsewhere = thief.root.clone();
    let server = Server::start(|_| {
        let to = |path: &str| format!("{elsewhere}{path}");
        vec![
            ("GET /user", Reply::of(302, "").with("location", to("user"))),
            ("GET /repos/a/old", Reply::of(301, "{}").with("location", "/repositories/1296269")),
            (
                "GET /repos/a/b/branches?per_page=100",
                Reply::json(&json!([])).with("link", format!("<{}>; rel=\"next\"", to("x"))),
            ),
        ]
    })
    .await;
    let github = server.provider(ProviderKind::GitHub, "");
    let error = github.account().await.unwrap_err();
    assert!(error.to_string().contains("was not sent there"), "{error}");
    let error = github.repository("a/old").await.unwrap_err();
    assert!(error.to_string().contains("renamed or moved"), "{error}");
    assert!(matches!(github.branches("a/b").await.unwrap_err(), ProviderError::Redirected { .. }));
    assert!(thief.lines().is_empty());
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let server = Server::start(|_| {
        let later = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(59);
        let soon_as_date = later.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let soon = (jiff::Timestamp::now().as_second() + 600).to_string();
        vec![
            (
                "GET /repos/a/auth",
                Reply::of(401, r#"{"message":"Bad credentials","documentation_url":"https://docs.github.com/rest"}"#),
            ),
            ("GET /repos/a/scope", Reply::of(403, r#"{"message":"Resource not accessible by personal access token"}"#)),
            (
                "GET /repos/a/limit",
                Reply::of(403, r#"{"message":"API rate limit exceeded for user ID 1."}"#)
                    .with("x-ratelimit-remaining", "0")
                    .with("x-ratelimit-reset", soon),
            ),
            (
                "GET /repos/a/second",
                Reply::of(403, r#"{"message":"You have exceeded a secondary rate limit"}"#).with("retry-after", "60"),
            ),
            (
                "GET /repos/a/many",
                Reply::of(
                    429,
                    r#"{"message":{"error":"This endpoint has been requested too many times. Try again later."}}"#,
                ),
            ),
            ("GET /repos/a/dated", Reply::of(429, "").with("retry-after", soon_as_date)),
            ("GET /repos/a/page", Reply::of(200, "\n<html><body>Log in to the guest network</body></html>")),
            ("GET /repos/a/html", Reply::of(502, "<html><body>Bad gateway</body></html>")),
            ("GET /repos/a/shape", Reply::json(&json!({"unexpected": "seeded-body"}))),
            ("GET /repos/a/huge", Reply { status: 200, headers: Vec::new(), body: vec![b' '; 9 * 1024 * 1024] }),
        ]
    })
    .await;
    let github = server.provider(ProviderKind::GitHub, "");
    let refused = async |name: &str| github.repository(&format!("a/{name}")).await.unwrap_err();
    let error = refused("auth").await;
    assert!(matches!(&error, ProviderError::Auth { words, .. } if words == "Bad credentials"), "{error}");
    assert_eq!(refused("scope").await.code(), "provider.forbidden");
    let error = refused("limit").await;
    assert!(matches!(&error, ProviderError::RateLimited { until: Some(_), .. }), "{error}");
    assert!(error.to_string().contains("in about 10 minutes"), "{error}");
    assert!(refused("second").await.to_string().contains("in about 1 minute"));
    let error = refused("many").await;
    assert!(matches!(&error, ProviderError::RateLimited { until: None, .. }), "{error}");
    let error = refused("dated").await;
    assert!(error.to_string().contains("in about 59 minutes"), "{error}");
    let error = refused("page").await;
    assert!(error.to_string().contains("a web page") && !error.to_string().contains("guest"), "{error}");
    let error = refused("html").await;
    assert!(!error.to_string().contains('<'), "{error}");
    let error = refused("shape").await;
    assert!(matches!(error, ProviderError::Unexpected { .. }) && !error.to_string().contains("seeded-body"), "{error}");
    assert_eq!(refused("huge").await.code(), "provider.refused");
}

#[tokio::test]
async fn lists_are_bounded() {
    let server = Server::start(|root| {
        // A server whose pages never end.
        let next = format!("<{root}repos/a/b/branches?per_page=100>; rel=\"next\"");
        vec![("GET /repos/a/b/branches?per_page=100", Reply::json(&json!([{"name": "main"}])).with("link", next))]
    })
    .await;
    let listed = server.provider(ProviderKind::GitHub, "").branches("a/b").await.unwrap();
    assert!(!listed.complete);
    assert_eq!(listed.items.len(), 10);
}

#[tokio::test]
async fn silence_and_absence_are_told_apart() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let hold = tokio::spawn(async move {
        let (mut stream, _) = silent.accept().await.unwrap();
        let _ = stream.read(&mut [0; 8]).await;
        std::future::pending::<()>().await;
    });
    let token = ApiToken { username: String::new(), token: "seeded-secret".to_owned().into() };
    let hasty = Connection { timeout: Duration::from_millis(300), ..Connection::default() };
    let provider = Provider::at(ProviderKind::GitLab, &format!("http://{address}/"), &token, &hasty).unwrap();
    assert_eq!(provider.account().await.unwrap_err().code(), "provider.timeout");
    hold.abort();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let provider =
        Provider::at(ProviderKind::GitLab, &format!("http://{nobody}/"), &token, &Connection::default()).unwrap();
    let error = provider.account().await.unwrap_err();
    assert!(matches!(error, ProviderError::Network { .. }) && !error.to_string().contains("seeded"), "{error}");
    // What answers there is not TLS, and so proves nothing.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("https://{}/", plain.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0; 1024]).await;
    });
    let provider = Provider::at(ProviderKind::GitLab, &root, &token, &Connection::default()).unwrap();
    let error = provider.account().await.unwrap_err();
    assert_eq!(error.code(), "provider.tls", "{error}");
}

#[tokio::test]
async fn no_words_are_long_or_hold_the_token() {
    let long = "x".repeat(100_000);
    // Cut before the token is taken out, a part of it would stay at the end.
    let at_the_cut = format!("{}seeded-secret", "x".repeat(394));
    let replies = [
        Reply::of(401, r#"{"message":"Bad token seeded-secret"}"#),
        Reply::of(500, "the header was seeded-secret"),
        Reply::of(401, r#"{"message":"Basic cm9iaW46c2VlZGVkLXNlY3JldA== is wrong"}"#),
        Reply::of(403, &json!({ "message": at_the_cut }).to_string()),
        Reply::of(200, r#""seeded-secret""#),
        Reply::of(200, &json!(long).to_string()),
        Reply::of(500, &json!({ "error": [long] }).to_string()),
        Reply::of(302, "").with("location", "https://seeded-secret.example.com/"),
    ];
    for reply in replies {
        let what = format!("{} {:.60}", reply.status, String::from_utf8_lossy(&reply.body));
        let server = Server::start(|_| vec![("GET /user", reply)]).await;
        let provider = server.provider(ProviderKind::GitHub, "robin");
        let error = provider.account().await.unwrap_err();
        for text in [error.to_string(), format!("{error:?}"), format!("{provider:?}")] {
            assert!(text.len() < 700, "{what}: {} characters", text.len());
            for part in ["seeded", "cm9iaW46"] {
                assert!(!text.contains(part), "{what}: {text}");
            }
        }
    }
}
