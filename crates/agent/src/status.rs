//! Health, readiness and metrics over HTTP.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use pilothouse_app::{App, agent::Config};
use tokio::{net::TcpListener, sync::Semaphore, time::Instant};

use crate::{
    error::{Error, Result},
    metrics::{self, Counters},
};

/// How many callers are answered at once; a probe and a scrape are two.
const CALLERS: usize = 32;
/// How long a caller may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After how long without a sign the program counts as stuck.
const STUCK: Duration = Duration::from_secs(60);

/// What is told about the agent.
pub struct Status {
    app: Arc<App>,
    config: Config,
    begun: Instant,
    /// When the main loop went round last, in milliseconds since `begun`.
    beat: AtomicU64,
    ending: AtomicBool,
    connects: AtomicU64,
    failures: AtomicU64,
}

impl Status {
    /// The status of an agent that begins now.
    pub fn new(app: Arc<App>, config: Config) -> Self {
        Self {
            app,
            config,
            begun: Instant::now(),
            beat: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            connects: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// The main loop went round.
    pub fn beat(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beat.store(now, Ordering::Relaxed);
    }

    /// A connection was made, or failed.
    pub fn connected(&self, made: bool) {
        let count = if made { &self.connects } else { &self.failures };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The agent ends: no more calls are for it.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    fn alive(&self) -> bool {
        let beat = Duration::from_millis(self.beat.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(beat) < STUCK
    }

    async fn answer(&self, method: &Method, path: &str) -> (StatusCode, String) {
        if *method != Method::GET && *method != Method::HEAD {
            return (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
        }
        match path {
            "/healthz" if self.alive() => (StatusCode::OK, "ok\n".to_owned()),
            "/healthz" => (StatusCode::SERVICE_UNAVAILABLE, "stuck\n".to_owned()),
            "/readyz" if self.ending.load(Ordering::Relaxed) => {
                (StatusCode::SERVICE_UNAVAILABLE, "it ends\n".to_owned())
            }
            "/readyz" => {
                let state = self.app.agent_state(&self.config).await;
                let code = if state.problems.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                let mut words: String = state.problems.iter().map(|one| format!("{one}\n")).collect();
                words.extend(state.notes.iter().map(|one| format!("note: {one}\n")));
                (code, if words.is_empty() { "ok\n".to_owned() } else { words })
            }
            "/metrics" => {
                let counters = Counters {
                    connects: self.connects.load(Ordering::Relaxed),
                    failures: self.failures.load(Ordering::Relaxed),
                };
                (StatusCode::OK, metrics::page(&self.app.agent_state(&self.config).await, counters))
            }
            _ => (StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n".to_owned()),
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answer = tokio::time::timeout(PATIENCE, self.answer(request.method(), request.uri().path())).await;
        let (code, text) =
            answer.unwrap_or_else(|_| (StatusCode::SERVICE_UNAVAILABLE, "the answer took too long\n".to_owned()));
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = code;
        let plain = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }

    /// Answers at an address until dropped; gives the address, whose port may have been left to the system.
    ///
    /// # Errors
    /// When it cannot be listened at.
    pub async fn listen(self: &Arc<Self>, address: SocketAddr) -> Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        Ok((bound, tokio::spawn(accept(self.clone(), listener))))
    }
}

async fn accept(status: Arc<Status>, listener: TcpListener) {
    let callers = Arc::new(Semaphore::new(CALLERS));
    loop {
        // Nobody is taken in whom nobody can serve.
        let Ok(place) = callers.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a caller could not be taken in");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let status = status.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let status = status.clone();
                async move { Ok::<_, Infallible>(status.respond(request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .max_buf_size(16 * 1024)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            if let Ok(Err(error)) = tokio::time::timeout(2 * PATIENCE, connection).await {
                tracing::debug!(%error, "a caller left early");
            }
            drop(place);
        });
    }
}
