//! Providers' APIs on loopback, behind TLS with a private authority: GitHub, GitLab, Bitbucket Cloud and Gerrit, as far
//! as their documentation describes accounts, owners, repositories and their end.

mod apis;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::git_host::Certificate;
use crate::tls_listener::{Connection, TlsListener, finish};

/// Whose API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// GitHub: at its root for `api.github.com`, else below `/api/v3`, as an Enterprise Server has it.
    GitHub,
    /// GitLab, below `/api/v4`.
    GitLab,
    /// Bitbucket Cloud, below `/2.0`.
    Bitbucket,
    /// Gerrit, below `/a`, with the plugin that deletes projects.
    Gerrit,
}

/// A repository that the server holds.
#[derive(Debug, Clone)]
pub struct Stored {
    /// `owner/name`; the project's name for Gerrit.
    pub path: String,
    /// The branch its HEAD names.
    pub default_branch: String,
    /// Whether only members see it.
    pub private: bool,
    /// Whether it takes no pushes any more.
    pub archived: bool,
    /// Whether the token's user may push.
    pub writable: bool,
}

impl Stored {
    /// A private repository with a branch `main` that the user may push to.
    pub fn new(path: &str) -> Self {
        Self { path: path.into(), default_branch: "main".into(), private: true, archived: false, writable: true }
    }
}

/// An answer given instead of the API's.
#[derive(Debug, Clone)]
pub enum Instead {
    /// This status with these headers and this text, which is JSON when it looks so.
    Words(u16, Vec<(&'static str, String)>, String),
    /// The page of a network that wants a login, with 200.
    Page,
    /// A redirect to this address.
    Redirect(String),
    /// The order is carried out, and the connection ends without an answer.
    Lost,
    /// The API's own answer, when the gate is opened.
    Held(Arc<Gate>),
}

/// Something to wait at.
#[derive(Debug, Default)]
pub struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// Lets all through, now and from now on.
    pub fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    pub(crate) fn pass(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while !*open {
            open = self.changed.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub target: String,
    /// The headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// What the server knows.
#[derive(Debug)]
struct State {
    user: String,
    token: String,
    revoked: bool,
    may_delete: bool,
    owners: Vec<String>,
    repositories: BTreeMap<String, Stored>,
    /// The most entries of one page, whatever is asked for.
    page: usize,
    instead: Vec<(String, Instead)>,
    calls: Vec<Call>,
}

/// An answer.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// A running server. It ends with this value.
#[derive(Debug)]
pub struct ProviderHost {
    /// Whose API it speaks.
    pub api: Api,
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The private authority's certificate in PEM.
    pub ca_pem: String,
    /// The user whose token it is.
    pub user: String,
    /// The only token that is taken.
    pub token: String,
    state: Arc<Mutex<State>>,
    _listener: TlsListener,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProviderHost {
    /// Starts a server with a certificate for `127.0.0.1` and `localhost`.
    pub fn start(api: Api) -> Result<Self> {
        Self::start_as(api, &["127.0.0.1", "localhost"])
    }

    /// Starts a server on 127.0.0.1 whose certificate is for `names`.
    pub fn start_as(api: Api, names: &[&str]) -> Result<Self> {
        let (user, token) = ("rig-user".to_owned(), format!("rig-api-token-{:016x}", fastrand::u64(..)));
        let state = Arc::new(Mutex::new(State {
            user: user.clone(),
            token: token.clone(),
            revoked: false,
            may_delete: true,
            owners: Vec::new(),
            repositories: BTreeMap::new(),
            page: 100,
            instead: Vec::new(),
            calls: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        let listener =
            TlsListener::start(Certificate::For(names), move |connection, _| serve(api, connection, &shared))?;
        let (port, ca_pem) = (listener.port, listener.trust.clone());
        Ok(Self { api, port, ca_pem, user, token, state, _listener: listener })
    }

    /// Adds an organisation, group or workspace that the user belongs to.
    pub fn add_owner(&self, path: &str) {
        lock(&self.state).owners.push(path.to_owned());
    }

    /// Adds a repository.
    pub fn add(&self, repository: Stored) {
        lock(&self.state).repositories.insert(repository.path.clone(), repository);
    }

    /// Whether a repository is there.
    pub fn holds(&self, path: &str) -> bool {
        lock(&self.state).repositories.contains_key(path)
    }

    /// Gives at most so many entries in one page.
    pub fn page_size(&self, entries: usize) {
        lock(&self.state).page = entries;
    }

    /// The token is not taken any more.
    pub fn revoke(&self) {
        lock(&self.state).revoked = true;
    }

    /// Whether the token may delete repositories.
    pub fn may_delete(&self, may: bool) {
        lock(&self.state).may_delete = may;
    }

    /// Answers requests that begin with `start`, such as `DELETE /api/v3/repos/`, with something else.
    pub fn answer(&self, start: &str, instead: Instead) {
        let mut state = lock(&self.state);
        state.instead.retain(|(old, _)| old != start);
        state.instead.push((start.to_owned(), instead));
    }

    /// Answers everything truly again.
    pub fn answer_truly(&self) {
        lock(&self.state).instead.clear();
    }

    /// What was asked so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.clone()
    }

    /// How many requests began with `start`.
    pub fn count(&self, start: &str) -> usize {
        let line = |call: &Call| format!("{} {}", call.method, call.target);
        lock(&self.state).calls.iter().filter(|call| line(call).starts_with(start)).count()
    }
}

/// Serves one request; every answer closes the connection.
fn serve(api: Api, mut tls: Connection, state: &Mutex<State>) -> io::Result<()> {
    let Some(call) = read(&mut tls)? else { return Ok(()) };
    let instead = {
        let mut state = lock(state);
        state.calls.push(call.clone());
        let line = format!("{} {}", call.method, call.target);
        state.instead.iter().find(|(start, _)| line.starts_with(start)).map(|(_, instead)| instead.clone())
    };
    let own = || apis::answer(api, &mut lock(state), &call);
    let reply = match instead {
        None => own(),
        Some(Instead::Words(status, headers, body)) => {
            let kind = if body.starts_with(['{', '[']) { "application/json" } else { "text/plain; charset=utf-8" };
            let mut all = vec![("Content-Type".to_owned(), kind.to_owned())];
            all.extend(headers.into_iter().map(|(name, value)| (name.to_owned(), value)));
            Reply { status, headers: all, body }
        }
        Some(Instead::Page) => Reply {
            status: 200,
            headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
            body: "<html>Please log in to the guest network</html>".to_owned(),
        },
        Some(Instead::Redirect(to)) => {
            Reply { status: 302, headers: vec![("Location".to_owned(), to)], body: String::new() }
        }
        Some(Instead::Lost) => {
            own();
            return Ok(());
        }
        Some(Instead::Held(gate)) => {
            gate.pass();
            own()
        }
    };
    let mut head = format!("HTTP/1.1 {} Rig\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    // An answer without content has no length either (RFC 9110).
    if reply.status != 204 {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    head.push_str("Connection: close\r\n\r\n");
    let stream = tls.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(reply.body.as_bytes())?;
    finish(&mut tls)
}

pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Call>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.take(64 * 1024).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let headers = lines.filter_map(|line| {
        line.split_once(':').map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
    });
    Ok(Some(Call { method: method.to_owned(), target: target.to_owned(), headers: headers.collect() }))
}
