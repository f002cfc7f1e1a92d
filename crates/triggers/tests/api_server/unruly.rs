//! A connection whose watches go wrong, in front of the rig's real API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use kube::client::Body;
use pilothouse_cluster::Cluster;
use pilothouse_rig::Rig;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Each watch ends after a second, and every other one asks for what is long compacted, so that the server says 410.
    pub expire: bool,
    /// Each event comes twice, and the one before it once more after it.
    pub repeat: bool,
    /// The server is a newer one: `policy/v1` is served, and `policy/v1beta1` is not.
    pub newer_policy: bool,
}

/// How often it went wrong.
#[derive(Debug, Default)]
pub struct Seen {
    /// Watches that were begun.
    pub watches: AtomicUsize,
    /// Watches that the server refused with 410.
    pub gone: AtomicUsize,
    /// Events that came again.
    pub repeated: AtomicUsize,
}

/// The rig's cluster through such a connection.
pub async fn connection(faults: Faults) -> (Cluster, Arc<Seen>) {
    let client = Rig::get().client().await;
    let seen = Arc::new(Seen::default());
    let notes = seen.clone();
    let service = tower::service_fn(move |mut request: http::Request<Body>| {
        let (client, notes) = (client.clone(), notes.clone());
        async move {
            let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            if watches && faults.expire {
                let nth = notes.watches.fetch_add(1, Ordering::Relaxed);
                set(&mut request, "timeoutSeconds", "1");
                if nth % 2 == 1 {
                    set(&mut request, "resourceVersion", "1");
                }
            }
            if faults.newer_policy {
                replace(&mut request, "/apis/policy/v1beta1/", "/apis/policy/v0/");
                replace(&mut request, "/apis/policy/v1/", "/apis/policy/v1beta1/");
            }
            let answer = client.send(request).await.map_err(Fault::from)?;
            Ok::<_, Fault>(match watches {
                true => answer.map(|body| lines(body, faults, notes)),
                false => answer.map(|body| body.map_err(Fault::from).boxed_unsync()),
            })
        }
    });
    (Cluster::from_client(kube::Client::new(service, "default"), "rig", false), seen)
}

fn replace(request: &mut http::Request<Body>, from: &str, to: &str) {
    let uri = request.uri().to_string();
    if uri.contains(from) {
        *request.uri_mut() = uri.replacen(from, to, 1).parse().unwrap();
    }
}

/// Puts another value for a parameter of the request's query.
fn set(request: &mut http::Request<Body>, name: &str, value: &str) {
    let uri = request.uri().to_string();
    let Some(at) = uri.find(&format!("{name}=")) else { return };
    let start = at + name.len() + 1;
    let end = uri[start..].find('&').map_or(uri.len(), |at| start + at);
    *request.uri_mut() = format!("{}{value}{}", &uri[..start], &uri[end..]).parse().unwrap();
}

/// A watch's events, one a line, as they are to come.
fn lines(body: Body, faults: Faults, seen: Arc<Seen>) -> UnsyncBoxBody<bytes::Bytes, Fault> {
    let (mut rest, mut before) = (Vec::new(), Vec::new());
    let events = body.into_data_stream().map(move |piece| {
        let mut out = Vec::new();
        for byte in piece.map_err(Fault::from)? {
            rest.push(byte);
            if byte != b'\n' {
                continue;
            }
            let line = std::mem::take(&mut rest);
            if line.windows(10).any(|part| part == b"\"code\":410") {
                seen.gone.fetch_add(1, Ordering::Relaxed);
            }
            out.extend_from_slice(&line);
            if faults.repeat && !line.starts_with(b"{\"type\":\"ERROR\"") {
                seen.repeated.fetch_add(1, Ordering::Relaxed);
                out.extend_from_slice(&line);
                out.extend_from_slice(&before);
                before = line;
            }
        }
        Ok::<_, Fault>(http_body::Frame::data(out.into()))
    });
    StreamBody::new(events).boxed_unsync()
}
