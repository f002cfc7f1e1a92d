//! A node for the agent's pods. The hollow node only says that it runs things; this one runs them: the real binary, as
//! a process, with the arguments, variables, ports, mounted files and the account's own token that the pod asks for.
//!
//! It plays the kubelet's part as far as a pod can tell: images that cannot be pulled, Secrets that are not there,
//! probes, restarts with a pause in between, and the end by SIGTERM with the pod's own time to end in.

mod room;
mod steering;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Container, Event, Node, Pod, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::control_plane::{client_from, on_own_thread};
use crate::error::{At, Error, Result};
use crate::leash::Leash;
use room::{Fitted, Lacking, Room};
use steering::Steering;

/// The label by which the agent's pods are known.
const AGENT: (&str, &str) = ("app.kubernetes.io/name", "pilothouse-agent");
/// How often the pods are looked at.
const LOOK: Duration = Duration::from_millis(150);
/// How often mounted files are looked at, and how long a container that ended rests.
const NOW_AND_THEN: Duration = Duration::from_secs(1);
/// How often the node says that it is there.
const BEAT: Duration = Duration::from_secs(10);
/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(1);
/// Leaves its process id behind, then becomes the container's program.
const START: &str = r#"echo $$ > "$0"; exec "$@""#;

/// What the node is to run, and for whom.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The kubeconfig of somebody who may do everything.
    pub kubeconfig: PathBuf,
    /// The program in the agent's image.
    pub program: PathBuf,
    /// The namespaces whose agent this is; they need not be there yet.
    pub namespaces: Vec<String>,
    /// The images that can be pulled.
    pub images: Vec<String>,
}

/// A running node. It and its processes end with this value, or with this process.
#[derive(Debug)]
pub struct AgentNode {
    stop: Arc<AtomicBool>,
    running: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
    dir: tempfile::TempDir,
}

/// Where the API server is.
#[derive(Debug, Clone)]
struct Server {
    host: String,
    port: u16,
}

impl AgentNode {
    /// Joins the cluster.
    pub fn start(setting: &Setting) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("pilothouse-node-")
            .tempdir()
            .at("make a folder", "the system's temporary folder")?;
        let name = format!("agent-node-{}", (0..6).map(|_| fastrand::lowercase()).collect::<String>());
        let steering = Steering::start(&name, &setting.namespaces)?;
        let configuration = steering.configuration(&name);
        let (of_node, kubeconfig) = (name.clone(), setting.kubeconfig.clone());
        on_own_thread(async move {
            let client = client_from(&kubeconfig).await?;
            join(&client, &of_node, &configuration).await
        })?;
        let (stop, running) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let work = Work {
            name,
            setting: setting.clone(),
            dir: dir.path().to_owned(),
            stop: Arc::clone(&stop),
            running: Arc::clone(&running),
        };
        let thread = std::thread::spawn(move || {
            let _steering = steering;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let outcome = runtime.map_err(|source| Error::Start { program: "a runtime".to_owned(), source });
            if let Err(error) = outcome.and_then(|runtime| runtime.block_on(work.run())) {
                eprintln!("the agent's node: {error}");
            }
        });
        Ok(Self { stop, running, thread: Some(thread), dir })
    }

    /// How many of the agent's processes run now.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    /// Everything that the agent's processes have written so far.
    pub fn logs(&self) -> String {
        let files = std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten();
        let logs = files.map(|entry| entry.path().join("log"));
        logs.filter_map(|log| std::fs::read_to_string(log).ok()).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for AgentNode {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Makes the node and has its pods sent to it.
async fn join(client: &Client, name: &str, webhook: &Value) -> Result<()> {
    // The scheduler leaves it alone: what is to run here is brought by the webhook.
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": {"unschedulable": true, "taints": [{"key": "rig.test/agent", "effect": "NoSchedule"}]},
    });
    let node: Node = serde_json::from_value(node).map_err(kube::Error::SerdeError)?;
    Api::<Node>::all(client.clone()).create(&PostParams::default(), &node).await?;
    let request = http::Request::post("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(webhook.to_string().into_bytes())
        .map_err(kube::Error::HttpError)?;
    client.request_text(request).await?;
    Ok(())
}

fn now() -> String {
    format!("{:.0}", Timestamp::now())
}

/// What the node does until it is stopped.
struct Work {
    name: String,
    setting: Setting,
    dir: PathBuf,
    stop: Arc<AtomicBool>,
    running: Arc<AtomicUsize>,
}

/// A pod in the node's hands.
struct Held {
    dir: PathBuf,
    room: Room,
    leash: Option<Leash>,
    refreshed: Option<Instant>,
    since: String,
    restarts: u32,
    again: Option<Instant>,
    last_exit: Option<i32>,
    /// Since when the liveness probe has failed.
    unwell: Option<Instant>,
    ending: Option<Instant>,
    told: Value,
    complained: String,
}

/// What a container does, for its status.
enum State {
    Waiting { reason: &'static str, message: String },
    Running { ready: bool },
}

impl Work {
    async fn run(self) -> Result<()> {
        let client = client_from(&self.setting.kubeconfig).await?;
        let config = kube::config::Kubeconfig::read_from(&self.setting.kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default()).await?;
        let url = config.cluster_url;
        let server = Server { host: url.host().unwrap_or("127.0.0.1").to_owned(), port: url.port_u16().unwrap_or(443) };
        let mut held: BTreeMap<String, Held> = BTreeMap::new();
        let mut beaten = None::<Instant>;
        let selector = ListParams::default().fields(&format!("spec.nodeName={}", self.name));
        while !self.stop.load(Ordering::Acquire) {
            if beaten.is_none_or(|at| at.elapsed() >= BEAT) {
                // An API server that is away for a moment is part of the tests, here and below.
                beaten = self.beat(&client).await.is_ok().then(Instant::now);
            }
            if let Ok(list) = Api::<Pod>::all(client.clone()).list(&selector).await {
                let here: Vec<String> = list.items.iter().filter_map(ResourceExt::uid).collect();
                held.retain(|uid, _| here.contains(uid));
                for pod in &list.items {
                    let Some(uid) = pod.uid() else { continue };
                    if !held.contains_key(&uid) {
                        held.insert(uid.clone(), Held::new(self.dir.join(&uid))?);
                    }
                    if let Some(one) = held.get_mut(&uid)
                        && let Err(error) = self.look(&client, &server, pod, one).await
                    {
                        eprintln!("the agent's node, {}: {error}", pod.name_any());
                    }
                }
            }
            let running =
                held.values_mut().filter_map(|one| one.leash.as_mut()).filter_map(|l| l.running().then_some(()));
            self.running.store(running.count(), Ordering::Release);
            tokio::time::sleep(LOOK).await;
        }
        drop(held);
        self.running.store(0, Ordering::Release);
        // What is left behind is in nobody's way, but should not pile up in a rig that stays.
        let path = format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}", self.name);
        if let Ok(request) = http::Request::delete(path).body(Vec::new()) {
            let _ = client.request_text(request).await;
        }
        let _ = Api::<Node>::all(client).delete(&self.name, &DeleteParams::default()).await;
        Ok(())
    }

    /// Says that the node is there and well.
    async fn beat(&self, client: &Client) -> Result<()> {
        let status = json!({"status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready",
                "lastHeartbeatTime": now(), "lastTransitionTime": now()}],
            "capacity": {"cpu": "8", "memory": "16Gi", "pods": "110"},
            "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"},
        }});
        let api: Api<Node> = Api::all(client.clone());
        api.patch_status(&self.name, &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok(())
    }

    async fn look(&self, client: &Client, server: &Server, pod: &Pod, held: &mut Held) -> Result<()> {
        let Some(container) = pod.spec.as_ref().and_then(|spec| spec.containers.first()) else { return Ok(()) };
        if pod.metadata.deletion_timestamp.is_some() {
            return end(client, pod, held).await;
        }
        let image = container.image.clone().unwrap_or_default();
        if !self.setting.images.contains(&image) {
            let message = format!("Back-off pulling image \"{image}\": not found");
            let lacking = format!("Failed to pull image \"{image}\": not found");
            complain(client, pod, held, "Failed", &lacking).await?;
            return tell(client, pod, held, State::Waiting { reason: "ImagePullBackOff", message }).await;
        }
        if held.refreshed.is_none() {
            held.room.take_ports(container)?;
        }
        if held.refreshed.is_none_or(|at| at.elapsed() >= NOW_AND_THEN) {
            let dir = held.dir.clone();
            if let Err(Lacking(why)) = held.room.fill(client, pod, container, &dir).await? {
                complain(client, pod, held, "FailedMount", &why).await?;
                // What already runs keeps the files that it has.
                if held.leash.is_none() {
                    let state = State::Waiting { reason: "ContainerCreating", message: String::new() };
                    return tell(client, pod, held, state).await;
                }
            }
            held.refreshed = Some(Instant::now());
        }
        if let Some(leash) = &mut held.leash
            && !leash.running()
        {
            held.last_exit = Some(exit_of(&leash.log_tail()));
            held.leash = None;
            held.restarts += 1;
            held.again = Some(Instant::now() + NOW_AND_THEN * held.restarts.min(10));
        }
        if held.leash.is_none() {
            if held.again.is_some_and(|at| Instant::now() < at) {
                let message = "back-off restarting failed container".to_owned();
                complain(client, pod, held, "BackOff", "Back-off restarting failed container").await?;
                return tell(client, pod, held, State::Waiting { reason: "CrashLoopBackOff", message }).await;
            }
            match held.room.fit(client, pod, container, server).await? {
                Ok(fitted) => self.begin(held, &fitted)?,
                Err(Lacking(message)) => {
                    let state = State::Waiting { reason: "CreateContainerConfigError", message };
                    return tell(client, pod, held, state).await;
                }
            }
        }
        if let Some(probe) = &container.liveness_probe {
            held.unwell = if succeeds(probe, container, &held.room).await {
                None
            } else {
                held.unwell.or_else(|| Some(Instant::now()))
            };
            let (period, fails) = (probe.period_seconds.unwrap_or(10), probe.failure_threshold.unwrap_or(3));
            let patience = probe.initial_delay_seconds.unwrap_or(0) + period.max(1) * fails.max(1);
            let patience = Duration::from_secs(u64::try_from(patience).unwrap_or(30));
            if held.unwell.is_some_and(|since| since.elapsed() > patience) {
                complain(client, pod, held, "Unhealthy", "Liveness probe failed").await?;
                held.unwell = None;
                if let Some(leash) = &mut held.leash {
                    leash.stop();
                }
            }
        }
        let ready = match &container.readiness_probe {
            Some(probe) => succeeds(probe, container, &held.room).await,
            None => true,
        };
        tell(client, pod, held, State::Running { ready }).await
    }

    fn begin(&self, held: &mut Held, fitted: &Fitted) -> Result<()> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", START]).arg(held.dir.join("process")).arg(&self.setting.program).args(&fitted.arguments);
        // A container inherits nothing.
        for (name, _) in std::env::vars_os() {
            command.env_remove(name);
        }
        command.envs(fitted.variables.iter().map(|(name, value)| (name, value))).current_dir(&held.dir);
        held.leash = Some(Leash::start(&command, &held.dir.join("log"))?);
        held.since = now();
        Ok(())
    }
}

impl Held {
    fn new(dir: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&dir).at("make the pod's folder", &dir)?;
        Ok(Self {
            dir,
            room: Room::default(),
            leash: None,
            refreshed: None,
            since: now(),
            restarts: 0,
            again: None,
            last_exit: None,
            unwell: None,
            ending: None,
            told: Value::Null,
            complained: String::new(),
        })
    }
}

/// The status with which the leash saw its child end.
fn exit_of(log: &str) -> i32 {
    let last = log.rsplit("ended with status ").next().unwrap_or_default();
    last.split_whitespace().next().and_then(|code| code.parse().ok()).unwrap_or(137)
}

/// Ends a pod as the kubelet does: SIGTERM, then as much time as the pod wants, then SIGKILL; then it is gone.
async fn end(client: &Client, pod: &Pod, held: &mut Held) -> Result<()> {
    if let Some(leash) = &mut held.leash
        && leash.running()
    {
        let Some(since) = held.ending else {
            if let Ok(process) = std::fs::read_to_string(held.dir.join("process")) {
                let mut kill = Command::new("kill");
                kill.args(["-s", "TERM", process.trim()]).stdout(Stdio::null()).stderr(Stdio::null());
                let _ = kill.status();
            }
            held.ending = Some(Instant::now());
            return Ok(());
        };
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
        if since.elapsed() < Duration::from_secs(u64::try_from(grace).unwrap_or(0)) {
            return Ok(());
        }
        leash.stop();
    }
    held.leash = None;
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let now = DeleteParams::default().grace_period(0);
    match api.delete(&pod.name_any(), &now).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(other) => Err(other.into()),
    }
}

/// Whether a probe succeeds now.
async fn succeeds(probe: &Probe, container: &Container, room: &Room) -> bool {
    let Some(get) = &probe.http_get else { return true };
    let number = match &get.port {
        IntOrString::Int(port) => Some(*port),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name));
            named.map(|port| port.container_port)
        }
    };
    let Some(port) = number.and_then(|port| room.port(port)) else { return false };
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        let path = get.path.as_deref().unwrap_or("/");
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match tokio::time::timeout(PROBE, ask).await {
        Ok(Ok(answer)) => matches!(answer[9], b'2' | b'3'),
        _ => false,
    }
}

/// Writes the pod's status where it changed.
async fn tell(client: &Client, pod: &Pod, held: &mut Held, state: State) -> Result<()> {
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    let (ready, phase, now_does) = match state {
        State::Waiting { reason, message } => {
            let phase = if held.restarts > 0 { "Running" } else { "Pending" };
            (false, phase, json!({"waiting": {"reason": reason, "message": message}}))
        }
        State::Running { ready } => (ready, "Running", json!({"running": {"startedAt": held.since}})),
    };
    let essence = json!([ready, phase, now_does, held.restarts]);
    if essence == held.told {
        return Ok(());
    }
    let truth = |yes: bool| if yes { "True" } else { "False" };
    let condition = |name: &str, yes: bool| json!({"type": name, "status": truth(yes), "lastTransitionTime": now()});
    let mut status = json!({
        "name": container.map(|one| one.name.clone()),
        "image": container.and_then(|one| one.image.clone()),
        "imageID": "",
        "ready": ready,
        "started": phase == "Running",
        "restartCount": held.restarts,
        "state": now_does,
    });
    if let Some(code) = held.last_exit {
        status["lastState"] =
            json!({"terminated": {"exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" }}});
    }
    let patch = json!({"status": {
        "phase": phase,
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "startTime": pod.metadata.creation_timestamp,
        "conditions": [
            condition("PodScheduled", true),
            condition("Initialized", true),
            condition("ContainersReady", ready),
            condition("Ready", ready),
        ],
        "containerStatuses": [status],
    }});
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    held.told = essence;
    Ok(())
}

/// Leaves an event beside the pod; once for each thing that is wrong.
async fn complain(client: &Client, pod: &Pod, held: &mut Held, reason: &str, message: &str) -> Result<()> {
    if held.complained == message {
        return Ok(());
    }
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": format!("{name}."), "namespace": namespace},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": name, "namespace": namespace, "uid": pod.uid()},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "source": {"component": "kubelet"},
        "firstTimestamp": now(),
        "lastTimestamp": now(),
        "count": 1,
    });
    let event: Event = serde_json::from_value(event).map_err(kube::Error::SerdeError)?;
    Api::<Event>::namespaced(client.clone(), &namespace).create(&PostParams::default(), &event).await?;
    held.complained = message.to_owned();
    Ok(())
}

/// The agent's program, beside the test's own.
///
/// # Errors
/// [`Error::Start`] when it was not built.
pub fn program() -> Result<PathBuf> {
    let built = |path: &Path| path.join("pilothouse-agent");
    let own = std::env::current_exe().at("find the test's own program", "")?;
    let found = own.ancestors().skip(1).take(2).map(built).find(|path| path.is_file());
    found.ok_or_else(|| Error::Start {
        program: "pilothouse-agent".to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::NotFound, "build it with cargo build -p pilothouse-agent"),
    })
}
