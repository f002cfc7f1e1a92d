//! Times and weighs the trigger engine on a real API server with its controllers. From an image change to its run, one
//! after another and a thousand at once, against a bare watch that creates the same object; and what it costs to watch
//! very many Deployments, against `kubectl get deployments --watch`. Prints a line for each figure: its name, ours, and
//! the floor's.
//!
//! `trigger-pass --workloads 1000 --changes 200 --deployments 20000`

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use pilothouse_cluster::{Cluster, Kind, kinds};
use pilothouse_rig::Rig;
use pilothouse_rig::control_plane::client_from;
use pilothouse_triggers::{Engine, Launch, LaunchError, Launched, Launcher, RunState};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How many requests are under way at once, where many are made.
const ABREAST: usize = 50;
/// As many workloads as one trigger watches.
const SHARE: usize = 200;
/// How many of the watched Deployments change while the watching is weighed.
const STIRRED: usize = 2000;
/// How long after the last change its work is taken to be done.
const REST: Duration = Duration::from_secs(5);
/// How long anything may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let text = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str, usual: usize| text(name).and_then(|n| n.parse().ok()).unwrap_or(usual);
    if let (Some(kubeconfig), Some(namespace)) = (text("--serve"), text("--namespace")) {
        let cluster = Cluster::from_client(client_from(Path::new(&kubeconfig)).await?, "rig", false);
        let (launcher, _told) = Runs::new(&cluster, &namespace);
        serve(&cluster, &namespace, launcher).await;
        return Ok(());
    }
    let rig = Rig::start(false)?;
    let cluster = Cluster::from_client(rig.client().await, "rig", false);
    pilothouse_cluster::crds::install(&cluster).await?;
    let workloads = number("--workloads", 1000);
    runs(&rig, &cluster, workloads, number("--changes", 200).min(workloads)).await?;
    watching(&rig, &cluster, number("--deployments", 20_000)).await?;
    drop(rig);
    // Tasks that watch end with the process.
    std::process::exit(0)
}

/// Creates a run as an object, and tells when it was created.
struct Runs {
    api: Api<DynamicObject>,
    tell: UnboundedSender<Instant>,
}

impl Runs {
    fn new(cluster: &Cluster, namespace: &str) -> (Arc<Self>, UnboundedReceiver<Instant>) {
        let (tell, told) = unbounded_channel();
        (Arc::new(Self { api: cluster.api(&kinds::CONFIG_MAP, namespace), tell }), told)
    }

    async fn create(&self, name: &str) -> std::result::Result<Launched, kube::Error> {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        let object = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
        match self.api.create(&PostParams::default(), &object).await {
            Ok(_) => {
                let _ = self.tell.send(Instant::now());
                Ok(Launched::Created)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Launched::Already),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Launcher for Runs {
    async fn launch(&self, launch: &Launch) -> std::result::Result<Launched, LaunchError> {
        self.create(&launch.run).await.map_err(|error| LaunchError { message: error.to_string(), retry: true })
    }

    async fn stop(&self, _: &Launch) -> std::result::Result<(), LaunchError> {
        Ok(())
    }

    async fn state(&self, _: &Launch) -> std::result::Result<RunState, LaunchError> {
        Ok(RunState::Ended("Pass".into()))
    }
}

async fn serve(cluster: &Cluster, namespace: &str, launcher: Arc<Runs>) {
    let (clock, sink) = (Arc::new(jiff::Timestamp::now), Arc::new(|_| {}));
    let cancel = CancellationToken::new();
    Engine::run(cluster.clone(), vec![namespace.to_owned()], launcher, clock, sink, cancel).await;
}

/// The floor: a watch that creates an object for each image that changes.
async fn bare(api: Api<DynamicObject>, runs: Arc<Runs>) -> Result<()> {
    let mut images: HashMap<String, Value> = HashMap::new();
    let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
    while let Some(event) = events.try_next().await? {
        let (watcher::Event::InitApply(object) | watcher::Event::Apply(object)) = event else { continue };
        let name = object.metadata.name.clone().unwrap_or_default();
        let image = object.data.pointer("/spec/template/spec/containers/0/image").cloned().unwrap_or_default();
        let before = images.insert(name.clone(), image.clone());
        if before.is_some_and(|before| before != image) {
            let number = image.as_str().and_then(|text| text.rsplit(':').next().map(str::to_owned));
            runs.create(&format!("{name}-{}", number.unwrap_or_default())).await?;
        }
    }
    Ok(())
}

fn deployment(name: &str, labels: &Value, paused: bool) -> Result<DynamicObject> {
    let pod = json!({"schedulerName": "none", "containers": [{"name": "app", "image": "app:1"}]});
    Ok(serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": labels}, "spec": {"replicas": 1, "paused": paused,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod}}}))?)
}

/// Makes that many Deployments, each labelled with the number of its trigger. Those that are paused cost the cluster no
/// ReplicaSets.
async fn plant(cluster: &Cluster, namespace: &str, count: usize, paused: bool) -> Result<()> {
    let api = cluster.api(&kinds::DEPLOYMENT, namespace);
    let create = async |n: usize| -> Result<()> {
        let object = deployment(&name(n), &json!({"share": (n / SHARE).to_string()}), paused)?;
        api.create(&PostParams::default(), &object).await?;
        Ok(())
    };
    futures::stream::iter(0..count).map(create).buffer_unordered(ABREAST).try_collect::<()>().await
}

async fn trigger(cluster: &Cluster, namespace: &str, share: usize) -> Result<()> {
    let kind: &Kind = &kinds::EVENT_TRIGGER;
    let target = json!({"kind": "Deployment", "namespace": namespace, "labels": {"share": share.to_string()}});
    let object = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": format!("t{share}")},
        "spec": {"project": "bench", "workflow": "kill", "target": target, "guards": {"waitForRollout": false}}});
    cluster.api(kind, namespace).create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    Ok(())
}

/// Waits until the controllers have written what they write of new Deployments.
async fn taken_up(cluster: &Cluster, namespace: &str) -> Result<()> {
    let api = cluster.api(&kinds::DEPLOYMENT, namespace);
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let all = api.list(&Default::default()).await?.items;
        if all.iter().all(|one| one.data.pointer("/status/observedGeneration").is_some()) {
            tokio::time::sleep(REST).await;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    Err("the controllers did not see all Deployments".into())
}

/// Waits until the triggers have seen that many workloads.
async fn seen(cluster: &Cluster, namespace: &str, count: usize) -> Result<()> {
    let api = cluster.api(&kinds::EVENT_TRIGGER, namespace);
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let all = api.list(&Default::default()).await?.items;
        let observed =
            |one: &DynamicObject| one.data.pointer("/status/observed").and_then(Value::as_array).map(Vec::len);
        if all.iter().filter_map(observed).sum::<usize>() == count {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("the engine did not see all workloads".into())
}

fn name(n: usize) -> String {
    format!("w{n:05}")
}

async fn change(api: &Api<DynamicObject>, n: usize, image: &str) -> Result<()> {
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}});
    api.patch(&name(n), &PatchParams::default(), &Patch::Strategic(patch)).await?;
    Ok(())
}

async fn next(told: &mut UnboundedReceiver<Instant>) -> Result<Instant> {
    tokio::time::timeout(PATIENCE, told.recv()).await?.ok_or_else(|| "nobody creates runs any more".into())
}

/// How long each of some changes takes to its run, one after another, and how long all of the workloads take at once.
async fn timed(
    cluster: &Cluster,
    namespace: &str,
    (workloads, changes): (usize, usize),
    told: &mut UnboundedReceiver<Instant>,
) -> Result<(Vec<f64>, f64)> {
    let api = cluster.api(&kinds::DEPLOYMENT, namespace);
    let mut each = Vec::new();
    for n in 0..changes {
        let begin = Instant::now();
        change(&api, n, "app:2").await?;
        each.push(ms(next(told).await?.saturating_duration_since(begin)));
    }
    tokio::time::sleep(REST * 2).await;
    let begin = Instant::now();
    let all = futures::stream::iter(0..workloads)
        .map(async |n| change(&api, n, "app:3").await)
        .buffer_unordered(ABREAST)
        .try_collect::<()>();
    let last = async {
        let mut last = begin;
        for _ in 0..workloads {
            last = next(told).await?.max(last);
        }
        Ok(last)
    };
    let ((), last) = futures::try_join!(all, last)?;
    Ok((each, ms(last.saturating_duration_since(begin))))
}

async fn runs(rig: &Rig, cluster: &Cluster, workloads: usize, changes: usize) -> Result<()> {
    let (ours, floor) = (rig.namespace("ours").await, rig.namespace("floor").await);
    for namespace in [&ours, &floor] {
        plant(cluster, namespace, workloads, false).await?;
    }
    let (runs, mut told) = Runs::new(cluster, &floor);
    let api = cluster.api(&kinds::DEPLOYMENT, &floor);
    let watch = tokio::spawn(async move { bare(api, runs).await.map_err(|error| error.to_string()) });
    // The controllers make what they make of so many new workloads first.
    tokio::time::sleep(REST * 2).await;
    let (mut plain, plain_burst) = timed(cluster, &floor, (workloads, changes), &mut told).await?;
    watch.abort();

    for share in 0..workloads.div_ceil(SHARE) {
        trigger(cluster, &ours, share).await?;
    }
    let (runs, mut told) = Runs::new(cluster, &ours);
    let (engine_cluster, namespace) = (cluster.clone(), ours.clone());
    let engine = tokio::spawn(async move { serve(&engine_cluster, &namespace, runs).await });
    seen(cluster, &ours, workloads).await?;
    tokio::time::sleep(REST).await;
    let (mut each, burst) = timed(cluster, &ours, (workloads, changes), &mut told).await?;
    engine.abort();
    println!("run-p50-ms {:.1} {:.1}", share_of(&mut each, 50), share_of(&mut plain, 50));
    println!("run-p99-ms {:.1} {:.1}", share_of(&mut each, 99), share_of(&mut plain, 99));
    println!("burst-ms {burst:.1} {plain_burst:.1}");
    Ok(())
}

/// A program that is weighed, and ended with this value.
struct Weighed(Child);

impl Drop for Weighed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Weighed {
    fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }

    /// The most memory that it has had, in MiB.
    fn peak(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("it ended before it was weighed")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// The time that it has computed, in milliseconds: the system counts in hundredths of a second.
    fn computed(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        Ok((ticks(11) + ticks(12)) * 10.0)
    }
}

/// One trigger and its engine in a namespace of very many Deployments, beside kubectl that watches the same.
async fn watching(rig: &Rig, cluster: &Cluster, deployments: usize) -> Result<()> {
    let namespace = rig.namespace("crowd").await;
    plant(cluster, &namespace, deployments, true).await?;
    trigger(cluster, &namespace, 0).await?;
    taken_up(cluster, &namespace).await?;
    let mut kubectl = Command::new("kubectl");
    kubectl.arg("--kubeconfig").arg(rig.kubeconfig()).args(["get", "deployments", "--watch", "-n", &namespace]);
    let mut kubectl = Weighed::start(&mut kubectl)?;
    let mut engine = Command::new(std::env::current_exe()?);
    engine.arg("--serve").arg(rig.kubeconfig()).args(["--namespace", &namespace]);
    let engine = Weighed::start(&mut engine)?;
    seen(cluster, &namespace, deployments.min(SHARE)).await?;
    tokio::time::sleep(REST).await;
    let begun = [engine.computed()?, kubectl.computed()?];
    println!("watch-list-cpu-ms {:.1} {:.1}", begun[0], begun[1]);

    let api = cluster.api(&kinds::DEPLOYMENT, &namespace);
    let stir = async |n: usize| -> Result<()> {
        let patch = json!({"metadata": {"annotations": {"note": n.to_string()}}});
        // Those that no trigger watches too.
        let at = n * deployments.div_ceil(STIRRED) % deployments;
        api.patch(&name(at), &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    };
    // One after another: kubectl ends when it does not keep up with a server that hurries.
    for n in 0..STIRRED {
        stir(n).await?;
    }
    tokio::time::sleep(REST).await;
    if kubectl.0.try_wait()?.is_some() {
        return Err("kubectl did not watch to the end".into());
    }
    println!("watch-cpu-ms {:.1} {:.1}", engine.computed()? - begun[0], kubectl.computed()? - begun[1]);
    println!("watch-MiB {:.1} {:.1}", engine.peak()?, kubectl.peak()?);
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The value that so many of a hundred are not above.
fn share_of(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() * percent).div_ceil(100).max(1) - 1;
    values.get(at).copied().unwrap_or(f64::NAN)
}
