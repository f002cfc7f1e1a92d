//! Health, readiness and metrics over HTTP.

use std::{
    collections::VecDeque,
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
use tokio::{net::TcpListener, task::AbortHandle, time::Instant};

use crate::{
    error::{Error, Result},
    metrics::{self, Counters},
};

/// How many callers are answered at once; a probe and a scrape are two.
const CALLERS: usize = 32;
/// How long a caller may take to ask.
const ASKING: Duration = Duration::from_secs(2);
/// How long an answer may take.
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
        let status = self.clone();
        let respond = move |request| {
            let status = status.clone();
            async move { status.respond(request).await }
        };
        Ok((bound, tokio::spawn(accept(listener, ASKING, respond))))
    }
}

/// Those who are being answered.
#[derive(Default)]
struct Callers {
    /// The first is who came first.
    here: VecDeque<AbortHandle>,
}

impl Callers {
    /// Makes room for one more. When all places are taken, who came first goes: callers that say nothing must not keep
    /// a probe out.
    fn make_room(&mut self) {
        self.here.retain(|one| !one.is_finished());
        while self.here.len() >= CALLERS {
            if let Some(first) = self.here.pop_front() {
                first.abort();
            }
        }
    }
}

/// Answers whoever calls. A caller has `patience` to ask, and is answered within a time of its own.
async fn accept<R, A>(listener: TcpListener, patience: Duration, respond: R)
where
    R: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send,
{
    let mut callers = Callers::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a caller could not be taken in");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        callers.make_room();
        let respond = respond.clone();
        let caller = tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = respond(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(patience)
                .max_buf_size(16 * 1024)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            if let Ok(Err(error)) = tokio::time::timeout(patience + 2 * PATIENCE, connection).await {
                tracing::debug!(%error, "a caller left early");
            }
        });
        callers.here.push_back(caller.abort_handle());
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    #[tokio::test]
    async fn callers_that_say_nothing_keep_nobody_out() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let ok = |_| async { Response::new(Full::new(Bytes::from_static(b"ok"))) };
        // Nobody leaves by waiting.
        tokio::spawn(accept(listener, Duration::from_secs(24 * 60 * 60), ok));
        let mut silent = Vec::new();
        for _ in 0..CALLERS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut caller = TcpStream::connect(address).await.unwrap();
        caller.write_all(b"GET /healthz HTTP/1.1\r\nHost: agent\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        let answered = tokio::time::timeout(Duration::from_secs(120), caller.read_to_string(&mut answer)).await;
        assert!(answered.is_ok() && answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
        // Who came first left for it, and nobody else.
        let closed = silent[0].read(&mut [0]).await;
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
        silent[1].write_all(b"GET / HTTP/1.1\r\nHost: agent\r\n\r\n").await.unwrap();
        answer.clear();
        silent[1].read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
