//! A relay before the API server that counts what an app writes, kills it at a chosen write, or holds writes back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use kube::client::Body;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::Sender;

/// Where to kill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// Before the write of this number reaches the API server.
    Before(usize),
    /// After it was done, and before its answer comes.
    After(usize),
    /// When the Git server has the commit and has not taken it yet.
    Pushing,
    /// When it has taken the commit and has not answered.
    Pushed,
}

impl Place {
    /// Every place of an act that writes so many times, and pushes.
    pub fn all(writes: usize) -> Vec<Self> {
        let around = (1..=writes).flat_map(|n| [Self::Before(n), Self::After(n)]);
        [Self::Pushing, Self::Pushed].into_iter().chain(around).collect()
    }

    /// The Git server's hook that kills there.
    pub fn hook(self) -> Option<&'static str> {
        match self {
            Self::Pushing => Some("pre-receive"),
            Self::Pushed => Some("post-receive"),
            Self::Before(_) | Self::After(_) => None,
        }
    }
}

#[derive(Default)]
struct Watch {
    place: Option<Place>,
    writes: usize,
    /// What was written, for people who read a failure.
    seen: Vec<String>,
    child: Option<u32>,
    /// How many wait to be let through, and whoever asked is still there.
    waiting: usize,
}

/// Which requests are steps, by their method and path.
type Steps = fn(&str, &str) -> bool;

/// What a sync writes about the project and its runs. Leases and questions about rights are no steps of it.
pub fn of_a_sync(method: &str, path: &str) -> bool {
    let about = ["/chaosprojects", "/chaosworkflows", "/workflows"];
    method != "GET" && about.iter().any(|part| path.contains(part))
}

/// A relay before the API server that counts the steps of what the app does.
pub struct Relay {
    port: u16,
    watch: Arc<Mutex<Watch>>,
    /// How many steps go through; the others wait.
    pub gate: Sender<usize>,
}

impl Relay {
    pub async fn start(client: kube::Client, steps: Steps) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let watch = Arc::<Mutex<Watch>>::default();
        let (shared, gate) = (watch.clone(), Sender::new(usize::MAX));
        let gates = gate.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (client, watch, gate) = (client.clone(), shared.clone(), gates.clone());
                tokio::spawn(async move {
                    // Whoever is killed hangs up in the middle.
                    let _ = serve(stream, client, watch, gate, steps).await;
                });
            }
        });
        Self { port, watch, gate }
    }

    /// Counts anew, and kills this process at a place.
    pub fn wait_for(&self, place: Option<Place>, child: u32) {
        *self.watch.lock().unwrap() = Watch { place, child: Some(child), ..Watch::default() };
    }

    /// The steps since then.
    pub fn seen(&self) -> Vec<String> {
        self.watch.lock().unwrap().seen.clone()
    }

    /// How many steps wait to be let through.
    pub fn waiting(&self) -> usize {
        self.watch.lock().unwrap().waiting
    }

    pub fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "rig",
            "clusters": [{"name": "rig", "cluster": {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": "rig"}}],
            "users": [{"name": "rig", "user": {"token": "not-looked-at"}}],
        });
        let path = folder.join("kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

/// One request, and the connection closes.
async fn serve(
    mut stream: TcpStream,
    client: kube::Client,
    watch: Arc<Mutex<Watch>>,
    gate: Sender<usize>,
    steps: Steps,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
    let mut request = http::Request::builder().method(method.as_str()).uri(&path);
    let mut length = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "content-type" | "accept" => request = request.header(name, value),
            _ => {}
        }
    }
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(());
        }
    }
    let number = steps(&method, &path).then(|| {
        let mut watch = watch.lock().unwrap();
        watch.writes += 1;
        watch.seen.push(format!("{method} {path}"));
        watch.writes
    });
    let meant = |place: fn(usize) -> Place| {
        let watch = watch.lock().unwrap();
        number.filter(|number| watch.place == Some(place(*number))).and(watch.child)
    };
    if let Some(pid) = meant(Place::Before) {
        kill(pid);
        return Ok(());
    }
    if let Some(number) = number {
        let mut gate = gate.subscribe();
        watch.lock().unwrap().waiting += 1;
        let open = tokio::select! {
            open = gate.wait_for(|most| number <= *most) => open.is_ok(),
            // Nothing more is sent by whoever waits for an answer, so that a read ends when he hangs up.
            _ = stream.read_u8() => false,
        };
        watch.lock().unwrap().waiting -= 1;
        if !open {
            return Ok(());
        }
    }
    let answer = client.send(request.body(Body::from(body)).unwrap()).await;
    if let Some(pid) = meant(Place::After) {
        kill(pid);
        return Ok(());
    }
    let Ok(answer) = answer else { return Ok(()) };
    let status = answer.status();
    let mut reply = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", status.as_u16());
    if let Some(kind) = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()) {
        reply.push_str(&format!("content-type: {kind}\r\n"));
    }
    stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    let mut frames = std::pin::pin!(http_body_util::BodyStream::new(answer.into_body()));
    while let Some(Ok(frame)) = futures::StreamExt::next(&mut frames).await {
        if let Ok(data) = frame.into_data() {
            stream.write_all(&data).await?;
        }
    }
    stream.shutdown().await
}
