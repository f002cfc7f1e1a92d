//! A web server on loopback, behind TLS with a private authority, that serves files as they were put there: a chart
//! repository, or a registry made by hand.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::git_host::Certificate;
use crate::provider_host::{Call, Gate, read};
use crate::tls_listener::{Connection, TlsListener, finish};

/// What is answered at one path.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The status; 0 for 200.
    pub status: u16,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
    /// The content.
    pub body: Vec<u8>,
    /// The `Authorization` that is wanted, and the challenge to those who come without.
    pub guard: Option<(String, String)>,
    /// What to wait at before the content is sent.
    pub gate: Option<Arc<Gate>>,
}

impl Page {
    /// A file.
    pub fn of(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// A redirect.
    pub fn to(address: impl Into<String>) -> Self {
        Self { status: 302, headers: vec![("Location", address.into())], ..Self::default() }
    }

    /// The same, with one more header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same, for those only who send this `Authorization`.
    pub fn guarded(self, authorization: impl Into<String>, challenge: impl Into<String>) -> Self {
        Self { guard: Some((authorization.into(), challenge.into())), ..self }
    }
}

#[derive(Debug, Default)]
struct State {
    pages: BTreeMap<String, Page>,
    calls: Vec<Call>,
}

/// A running server. It ends with this value.
#[derive(Debug)]
pub struct ChartHost {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The private authority's certificate in PEM.
    pub ca_pem: String,
    state: Arc<Mutex<State>>,
    _listener: TlsListener,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ChartHost {
    /// Starts a server without pages, whose certificate is for `127.0.0.1` and `localhost`.
    pub fn start() -> Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let certificate = Certificate::For(&["127.0.0.1", "localhost"]);
        let listener = TlsListener::start(certificate, move |connection, _| serve(connection, &shared))?;
        Ok(Self { port: listener.port, ca_pem: listener.trust.clone(), state, _listener: listener })
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// Puts a page at a path, which may have a query.
    pub fn put(&self, path: &str, page: Page) {
        lock(&self.state).pages.insert(path.to_owned(), page);
    }

    /// What was asked so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.clone()
    }

    /// How many requests came for paths that begin so.
    pub fn count(&self, start: &str) -> usize {
        lock(&self.state).calls.iter().filter(|call| call.target.starts_with(start)).count()
    }
}

/// Serves one request; every answer closes the connection.
fn serve(mut tls: Connection, state: &Mutex<State>) -> io::Result<()> {
    let Some(call) = read(&mut tls)? else { return Ok(()) };
    let page = {
        let mut state = lock(state);
        state.calls.push(call.clone());
        state.pages.get(&call.target).cloned()
    };
    let mut page = page.unwrap_or_else(|| Page { status: 404, ..Page::of("nothing is here") });
    if let Some((wanted, challenge)) = &page.guard
        && call.headers.get("authorization") != Some(wanted)
    {
        page = Page { status: 401, ..Page::of("who are you?") }.with("WWW-Authenticate", challenge.clone());
    }
    let status = if page.status == 0 { 200 } else { page.status };
    let mut head = format!("HTTP/1.1 {status} Rig\r\n");
    for (name, value) in &page.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", page.body.len()));
    let stream = tls.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.flush()?;
    if let Some(gate) = &page.gate {
        gate.pass();
    }
    stream.write_all(&page.body)?;
    finish(&mut tls)
}
