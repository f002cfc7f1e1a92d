//! Times and weighs the trigger engine on a real API server with its controllers. From an image change to its run, one
//! after another and a thousand at once, against a bare watch that creates the same object; and what it costs to watch
//! very many Deployments, against `kubectl get deployments --watch`. Prints a line for each figure: its name, ours, and
//! the floor's. The first floor does not wait until the controllers have taken a change up, as a trigger does; the second
//! one does. And what the agent costs that has nothing to do.
//!
//! `trigger-pass --workloads 1000 --changes 200 --deployments 20000`; where a number is 0 its part is left out.

mod idle;
mod weighed;

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use pilothouse_cluster::{Cluster, Kind, kinds};
use pilothouse_rig::Rig;
use pilothouse_rig::control_plane::client_from;
use pilothouse_triggers::{Engine, Event, Launch, LaunchError, Launched, Launcher, RunState};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::weighed::Weighed;

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
/// How long the controllers may take to come to rest: tens of thousands of Deployments are written to one by one.
const CONTROLLERS: Duration = Duration::from_secs(3600);

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
    let (workloads, deployments) = (number("--workloads", 1000), number("--deployments", 20_000));
    if workloads > 0 {
        runs(&rig, &cluster, workloads, number("--changes", 200).min(workloads)).await?;
        idle::footprint(&rig, &cluster).await?;
    }
    if deployments > 0 {
        watching(&rig, &cluster, deployments).await?;
    }
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

/// What keeps triggers from their work would spoil the figures.
fn grumble(event: Event) {
    if let Event::Trouble { trigger, message, .. } = event {
        eprintln!("{trigger}: {message}");
    }
}

async fn serve(cluster: &Cluster, namespace: &str, launcher: Arc<Runs>) {
    let (clock, sink) = (Arc::new(jiff::Timestamp::now), Arc::new(grumble));
    let cancel = CancellationToken::new();
    Engine::run(cluster.clone(), vec![namespace.to_owned()], launcher, clock, sink, cancel).await;
}

/// The floor: a watch that creates an object for each image that changes; at once, or when the controllers have taken
/// the change up.
async fn bare(api: Api<DynamicObject>, runs: Arc<Runs>, waits: bool) -> Result<()> {
    let mut images: HashMap<String, Value> = HashMap::new();
    let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
    while let Some(event) = events.try_next().await? {
        let (watcher::Event::InitApply(object) | watcher::Event::Apply(object)) = event else { continue };
        let name = object.metadata.name.clone().unwrap_or_default();
        let image = object.data.pointer("/spec/template/spec/containers/0/image").cloned().unwrap_or_default();
        let before = images.get(&name).cloned();
        if before.is_some() && waits && !is_taken_up(&object) {
            continue;
        }
        images.insert(name.clone(), image.clone());
        if before.is_some_and(|before| before != image) {
            let number = image.as_str().and_then(|text| text.rsplit(':').next().map(str::to_owned));
            runs.create(&format!("{name}-{}", number.unwrap_or_default())).await?;
        }
    }
    Ok(())
}

/// Whether the Deployment's controller has seen its newest version.
fn is_taken_up(object: &DynamicObject) -> bool {
    let seen = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
    seen.is_some() && seen >= object.metadata.generation
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

/// Waits until the controllers have done what there is to do about the Deployments of some namespaces.
async fn at_rest(cluster: &Cluster, namespaces: &[&str]) -> Result<()> {
    let end = Instant::now() + CONTROLLERS;
    let mut before = BTreeMap::new();
    while Instant::now() < end {
        let looked = Instant::now();
        let mut versions = BTreeMap::new();
        let mut taken_up = true;
        for namespace in namespaces {
            let all = cluster.api(&kinds::DEPLOYMENT, namespace).list(&Default::default()).await?.items;
            taken_up &= all.iter().all(is_taken_up);
            versions.extend(all.into_iter().map(|one| (one.metadata.uid, one.metadata.resource_version)));
        }
        if taken_up && versions == before {
            return Ok(());
        }
        before = versions;
        // Long lists are not all that the API server has to do.
        tokio::time::sleep(REST.max(looked.elapsed() * 4)).await;
    }
    Err("the controllers did not come to rest".into())
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
    images: [&str; 2],
    told: &mut UnboundedReceiver<Instant>,
) -> Result<Times> {
    let api = cluster.api(&kinds::DEPLOYMENT, namespace);
    let mut each = Vec::new();
    for n in 0..changes {
        let begin = Instant::now();
        change(&api, n, images[0]).await?;
        each.push(ms(next(told).await?.saturating_duration_since(begin)));
    }
    at_rest(cluster, &[namespace]).await?;
    let begin = Instant::now();
    let all = futures::stream::iter(0..workloads)
        .map(async |n| change(&api, n, images[1]).await)
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
    let slow = each.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    eprintln!("{namespace}: the slowest of {changes} is number {}", slow.map_or(0, |(at, _)| at + 1));
    each.sort_by(f64::total_cmp);
    Ok(Times { each, burst: ms(last.saturating_duration_since(begin)) })
}

/// What was timed, in milliseconds.
struct Times {
    /// Changes one after another, the quickest first.
    each: Vec<f64>,
    /// All at once, to the last run.
    burst: f64,
}

impl Times {
    /// The value that so many of a hundred are not above.
    fn share(&self, percent: usize) -> f64 {
        let at = (self.each.len() * percent).div_ceil(100).max(1) - 1;
        self.each.get(at).copied().unwrap_or(f64::NAN)
    }
}

async fn floor(cluster: &Cluster, namespace: &str, counts: (usize, usize), waits: bool) -> Result<Times> {
    let (runs, mut told) = Runs::new(cluster, namespace);
    let api = cluster.api(&kinds::DEPLOYMENT, namespace);
    let watch = tokio::spawn(async move { bare(api, runs, waits).await.map_err(|error| error.to_string()) });
    // Its first list is not timed.
    tokio::time::sleep(REST).await;
    let images = if waits { ["app:4", "app:5"] } else { ["app:2", "app:3"] };
    let times = timed(cluster, namespace, counts, images, &mut told).await?;
    watch.abort();
    Ok(times)
}

async fn runs(rig: &Rig, cluster: &Cluster, workloads: usize, changes: usize) -> Result<()> {
    let (own, other) = (rig.namespace("ours").await, rig.namespace("floor").await);
    for namespace in [&own, &other] {
        plant(cluster, namespace, workloads, false).await?;
    }
    // Each waits until the controllers have done with what was before: they would be what is timed.
    let rest = async || at_rest(cluster, &[&own, &other]).await;
    rest().await?;
    let plain = floor(cluster, &other, (workloads, changes), false).await?;
    rest().await?;
    let waiting = floor(cluster, &other, (workloads, changes), true).await?;
    rest().await?;

    for share in 0..workloads.div_ceil(SHARE) {
        trigger(cluster, &own, share).await?;
    }
    let (runs, mut told) = Runs::new(cluster, &own);
    let (engine_cluster, namespace) = (cluster.clone(), own.clone());
    let engine = tokio::spawn(async move { serve(&engine_cluster, &namespace, runs).await });
    seen(cluster, &own, workloads).await?;
    tokio::time::sleep(REST).await;
    let ours = timed(cluster, &own, (workloads, changes), ["app:2", "app:3"], &mut told).await?;
    engine.abort();
    for percent in [50, 99] {
        println!("run-p{percent}-ms {:.1} {:.1}", ours.share(percent), plain.share(percent));
        println!("taken-up-p{percent}-ms {:.1} {:.1}", ours.share(percent), waiting.share(percent));
    }
    println!("burst-ms {:.1} {:.1}", ours.burst, plain.burst);
    println!("taken-up-burst-ms {:.1} {:.1}", ours.burst, waiting.burst);
    Ok(())
}

/// One trigger and its engine in a namespace of very many Deployments, beside kubectl that watches the same.
async fn watching(rig: &Rig, cluster: &Cluster, deployments: usize) -> Result<()> {
    let namespace = rig.namespace("crowd").await;
    plant(cluster, &namespace, deployments, true).await?;
    trigger(cluster, &namespace, 0).await?;
    at_rest(cluster, &[&namespace]).await?;
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
