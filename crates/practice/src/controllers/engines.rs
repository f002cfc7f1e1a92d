//! The Litmus chaos-operator with its runner: an active ChaosEngine runs each experiment against
//! its target and leaves a ChaosResult `<engine>-<experiment>`.

use std::sync::Arc;

use kube::api::{DeleteParams, DynamicObject};
use kube::runtime::controller::Action;
use serde_json::{Value, json};

use super::kinds::{CHAOS_ENGINE, CHAOS_EXPERIMENT, CHAOS_RESULT, POD};
use super::object_fields::{Fields, Named, random_suffix};
use super::targets::{self, Target};
use super::verdicts::{Ending, Verdict, awaited, judge, probes};
use super::workload_pods::is_ready;
use super::{Part, Scene, controller, play};
use crate::Result;

/// Visible steps that one fault takes.
const STEPS: usize = 4;
/// The faults that take a pod away.
const KILLING: [&str; 2] = ["pod-delete", "container-kill"];

/// The ChaosEngine controller.
pub(super) fn engines(scene: &Arc<Scene>) -> Part {
    let engines = controller(scene, CHAOS_ENGINE, &scene.config.chaos_namespace);
    Box::pin(play("chaosengine", engines, scene.clone(), CHAOS_ENGINE, reconcile))
}

async fn reconcile(engine: Arc<DynamicObject>, scene: Arc<Scene>) -> Result<Action> {
    if engine.deleting() {
        return Ok(Action::await_change());
    }
    let active = engine.text("/spec/engineState") != "stop";
    match (engine.text("/status/engineStatus"), active) {
        // A stopped engine that is made active again runs again.
        ("completed", _) | ("stopped", false) => {}
        ("" | "initialized", false) => write(&scene, &engine, "stopped", &[]).await?,
        _ => run(&engine, &scene).await?,
    }
    Ok(Action::await_change())
}

async fn write(scene: &Scene, engine: &DynamicObject, word: &str, experiments: &[Value]) -> Result<()> {
    let mut status = json!({ "engineStatus": word });
    if !experiments.is_empty() {
        status["experiments"] = json!(experiments);
    }
    scene.merge_status(CHAOS_ENGINE, engine.ns(), engine.name(), status).await.map(|_| ())
}

async fn run(engine: &DynamicObject, scene: &Scene) -> Result<()> {
    write(scene, engine, "initialized", &[]).await?;
    scene.pause().await;
    let mut experiments = Vec::new();
    let mut stopped = false;
    for experiment in engine.items("/spec/experiments") {
        let name = experiment.text("/name");
        let pod = format!("{name}-{}-{}", random_suffix(6), random_suffix(5));
        let entry = |status: &str, verdict: &str| {
            json!({
                "name": name,
                "runner": format!("{}-runner", engine.name()),
                "experimentPod": pod,
                "status": status,
                "verdict": verdict,
                "lastUpdateTime": scene.now(),
            })
        };
        experiments.push(entry("Running", "Awaited"));
        write(scene, engine, "initialized", &experiments).await?;
        let verdict = fault(engine, experiment, scene).await?;
        stopped = verdict.verdict == "Stopped";
        experiments.pop();
        let word = if stopped { "Stopped" } else { "Completed" };
        experiments.push(entry(word, verdict.verdict));
        if stopped {
            break;
        }
        write(scene, engine, "initialized", &experiments).await?;
    }
    let word = if stopped { "stopped" } else { "completed" };
    write(scene, engine, word, &experiments).await
}

async fn fault(engine: &DynamicObject, experiment: &Value, scene: &Scene) -> Result<Verdict> {
    let name = experiment.text("/name");
    let probes = probes(experiment, engine.annotation("probeRef"));
    let mut result = Report::open(engine, name, scene).await?;
    let target = targets::find(scene, engine).await?;
    let ready = target.ready();
    result.begin(&awaited(&probes), &target).await?;
    let mut ending = match target.pods.is_empty() {
        true => Ending::NoTarget { target: target.words.clone() },
        false => Ending::Ran { target: target.words.clone(), ready },
    };
    if !target.pods.is_empty() {
        for step in 0..STEPS {
            if asked_to_stop(engine, scene).await? {
                ending = Ending::Stopped;
                break;
            }
            if step == 1 && KILLING.contains(&name) {
                kill_one(scene, &target).await?;
            }
            scene.pause().await;
        }
    }
    let verdict = judge(&ending, &probes);
    result.close(&verdict, &target).await?;
    Ok(verdict)
}

/// An engine that was deleted under the fault counts as stopped.
async fn asked_to_stop(engine: &DynamicObject, scene: &Scene) -> Result<bool> {
    let now = scene.get(CHAOS_ENGINE, engine.ns(), engine.name()).await?;
    Ok(now.is_none_or(|now| now.deleting() || now.text("/spec/engineState") == "stop"))
}

/// The blast is real: a ready pod of the target goes, at once, and its controller replaces it.
async fn kill_one(scene: &Scene, target: &Target) -> Result<()> {
    let Some(pod) = target.pods.iter().find(|p| is_ready(p)) else {
        return Ok(());
    };
    let force = DeleteParams::default().grace_period(0);
    match scene.api(POD, pod.ns()).delete(pod.name(), &force).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The ChaosResult of one experiment.
struct Report<'s> {
    scene: &'s Scene,
    namespace: &'s str,
    name: String,
    runs: [i64; 3],
    targets: Vec<Value>,
}

impl<'s> Report<'s> {
    /// Finds the result of earlier runs or makes a new one.
    async fn open(engine: &'s DynamicObject, experiment: &str, scene: &'s Scene) -> Result<Self> {
        let mut name = format!("{}-{experiment}", engine.name());
        let namespace = engine.ns();
        let instance = engine
            .items("/spec/experiments")
            .iter()
            .flat_map(|e| e.items("/spec/components/env"))
            .find(|e| e.text("/name") == "INSTANCE_ID")
            .map_or("", |e| e.text("/value"));
        if !instance.is_empty() {
            name = format!("{name}-{instance}");
        }
        if scene.get(CHAOS_RESULT, namespace, &name).await?.is_none() {
            // The result carries the labels of the experiment's pod: those of the experiment's
            // definition, and the engine's uid.
            let definition = scene.get(CHAOS_EXPERIMENT, namespace, experiment).await?;
            let mut labels = definition
                .map(|d| d.at("/spec/definition/labels").clone())
                .filter(Value::is_object)
                .unwrap_or_else(|| json!({}));
            labels["chaosUID"] = json!(engine.uid());
            let object = json!({
                "metadata": { "name": name, "labels": labels },
                "spec": { "engine": engine.name(), "experiment": experiment, "instance": instance },
                "status": {},
            });
            scene.create(CHAOS_RESULT, namespace, object).await?;
        }
        let found = scene.want(CHAOS_RESULT, namespace, &name).await?;
        let count = |field: &str| found.number(&format!("/status/history/{field}"));
        Ok(Self {
            scene,
            namespace,
            name,
            runs: [count("passedRuns"), count("failedRuns"), count("stoppedRuns")],
            targets: Vec::new(),
        })
    }

    async fn begin(&mut self, probes: &[Value], target: &Target) -> Result<()> {
        self.targets = match target.pods.is_empty() {
            true => Vec::new(),
            false => vec![json!({
                "name": target.name,
                "kind": target.kind,
                "chaosStatus": "targeted",
            })],
        };
        self.write(
            json!({
                "phase": "Running",
                "verdict": "Awaited",
                "probeSuccessPercentage": "Awaited",
                "errorOutput": null,
            }),
            probes,
        )
        .await
    }

    async fn close(&mut self, verdict: &Verdict, target: &Target) -> Result<()> {
        match verdict.verdict {
            "Pass" => self.runs[0] += 1,
            "Stopped" => self.runs[2] += 1,
            _ => self.runs[1] += 1,
        }
        if let Some(entry) = self.targets.first_mut() {
            let word = match target.pods.is_empty() {
                true => "targeted",
                false => "reverted",
            };
            entry["chaosStatus"] = json!(word);
        }
        self.write(
            json!({
                "phase": verdict.phase,
                "verdict": verdict.verdict,
                "probeSuccessPercentage": verdict.probe_success_percentage,
                "errorOutput": verdict.error_output,
            }),
            &verdict.probe_statuses,
        )
        .await
    }

    async fn write(&self, experiment_status: Value, probes: &[Value]) -> Result<()> {
        let [passed, failed, stopped] = self.runs;
        let status = json!({
            "experimentStatus": experiment_status,
            "probeStatuses": probes,
            "history": {
                "passedRuns": passed,
                "failedRuns": failed,
                "stoppedRuns": stopped,
                "targets": self.targets,
            },
        });
        self.scene.merge_status(CHAOS_RESULT, self.namespace, &self.name, status).await.map(|_| ())
    }
}
