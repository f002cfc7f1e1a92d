//! An in-process Kubernetes API server: as much of the API as the application uses, over an in-memory store.
//!
//! It is a [`tower::Service`], so a [`kube::Client`] talks to it without a socket. What it does not know it refuses
//! with the API's own errors.

mod apply;
mod builtins;
mod clock;
mod definitions;
mod discovery;
mod garbage;
mod kinds;
mod ownership;
mod patch;
mod reads;
mod removal;
mod routes;
mod schema;
mod selectors;
mod shape;
mod snapshot;
mod status_errors;
mod store;
mod validation;
mod watch;
mod writes;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};

pub use self::routes::LOG_ANNOTATION;
pub use self::snapshot::Snapshot;

use self::routes::Answer;
use self::status_errors::Refusal;
use self::store::Store;
use self::writes::WriteOptions;
use crate::{Error, Result};

/// How many changes are kept for watches that resume.
const LOG_LIMIT: usize = 10_000;

/// The server. Clones share one store.
#[derive(Debug, Clone)]
pub struct Server {
    store: Arc<Store>,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// A server with the built-in kinds and the namespaces that every cluster has.
    pub fn new() -> Self {
        let server = Self { store: Arc::new(Store::new(LOG_LIMIT)) };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            if let Err(refusal) = server.create("", "namespaces", body) {
                tracing::error!(name, why = refusal.message, "a namespace could not be made");
            }
        }
        server
    }

    /// A server that also serves the kinds of these CustomResourceDefinitions.
    ///
    /// # Errors
    /// [`Error::Definition`] when one of them is not valid.
    pub fn with_crds(crds: impl IntoIterator<Item = Value>) -> Result<Self> {
        let server = Self::new();
        server.define(crds)?;
        Ok(server)
    }

    fn define(&self, crds: impl IntoIterator<Item = Value>) -> Result<()> {
        for crd in crds {
            let name = crd["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            self.create("apiextensions.k8s.io", "customresourcedefinitions", crd)
                .map_err(|refusal| Error::Definition { name, why: refusal.message })?;
        }
        Ok(())
    }

    /// A server that goes on where the one of the snapshot stood. Resource versions continue; watches from before get
    /// 410 Gone.
    ///
    /// # Errors
    /// [`Error::Definition`] when one of the definitions is not valid.
    pub fn take_up(snapshot: Snapshot, crds: impl IntoIterator<Item = Value>) -> Result<Self> {
        let crds = crds.into_iter().collect::<Vec<_>>();
        let server = Self { store: Arc::new(Store::new(LOG_LIMIT)) };
        let ours = |name: &str| crds.iter().any(|crd| crd["metadata"]["name"] == name);
        server.store.with(|state| {
            snapshot.take_up(state, ours);
            // Served before the state settles: an owner of a kind that is not served counts as gone.
            crds.iter().for_each(|crd| state.kinds.register(crd));
        });
        server.define(crds)?;
        Ok(server)
    }

    /// Everything that is here now, for [`Server::take_up`].
    pub fn snapshot(&self) -> Snapshot {
        self.store.with(|state| Snapshot::of(state))
    }

    /// Whether there is something to keep that a snapshot of this version does not hold.
    pub fn changed_since(&self, version: u64) -> bool {
        self.store.with(|state| snapshot::changed_since(state, version))
    }

    /// Rings on every write.
    pub fn bell(&self) -> tokio::sync::watch::Receiver<u64> {
        self.store.bell()
    }

    /// A client of this server; its default namespace is `default`. Needs a running tokio runtime.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// Forgets the changes so far: watches and pages that go back further get 410 Gone.
    pub fn compact(&self) {
        self.store.with(store::State::compact);
    }

    fn create(&self, group: &str, plural: &str, body: Value) -> std::result::Result<(), Refusal> {
        let options = WriteOptions { manager: "pilothouse-practice".to_owned(), ..WriteOptions::default() };
        self.store.with(|state| {
            let kind = state.kinds.find(group, "v1", plural).ok_or_else(Refusal::no_such_resource)?;
            writes::create(state, &kind, "", body, &options).map(|_| ())
        })
    }

    async fn respond(self, request: Request<Body>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let (parts, body) = request.into_parts();
        let answer = match Limited::new(body, routes::MAX_BODY + 1).collect().await {
            Ok(body) => routes::answer(&self.store, &parts, &body.to_bytes()),
            Err(_) => {
                let refusal = Refusal::too_large_body();
                Answer::Json(StatusCode::PAYLOAD_TOO_LARGE, refusal.status())
            }
        };
        let (code, media, body) = match answer {
            Answer::Json(code, value) => {
                (code, "application/json", Full::new(Bytes::from(value.to_string())).boxed_unsync())
            }
            Answer::Text(text) => (StatusCode::OK, "text/plain", Full::new(Bytes::from(text)).boxed_unsync()),
            Answer::Watch(kind, options) => {
                let events = watch::start(&self.store, kind, *options);
                let frames = events.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
                (StatusCode::OK, "application/json", StreamBody::new(frames).boxed_unsync())
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = code;
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media));
        response
    }
}

impl tower::Service<Request<Body>> for Server {
    type Response = Response<UnsyncBoxBody<Bytes, Infallible>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, std::result::Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.respond(request).await) })
    }
}
