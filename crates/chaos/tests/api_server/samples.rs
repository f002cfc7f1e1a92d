//! Every sample, imported, checked, synced, run and scored on the real API server, with actors in the place of Argo and
//! Litmus; or refused, with the line and the reason.

use std::path::Path;

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use pilothouse_chaos::document::path_of;
use pilothouse_chaos::launch::{self, Next};
use pilothouse_chaos::mend::{Around, mend, remarks};
use pilothouse_chaos::plan::SyncState;
use pilothouse_chaos::run::{Phase, Verdict};
use pilothouse_chaos::{Error, WorkflowDocument};
use pilothouse_cluster::{Cluster, kinds};
use serde_json::{Value, json};

use crate::stage::{MemoryGit, PROJECT, labels, object, place, sync};

/// What becomes of a sample.
enum Outcome {
    /// It is no chaos workflow: code and line.
    Refused(&'static str, usize),
    /// It syncs and runs as it is: faults, verdict, score.
    Runs(usize, Verdict, f64),
    /// It is invalid on this line, for this reason; once the fix that is offered is made, it runs.
    RunsMended(&'static str, usize, usize, Verdict, f64),
    /// It syncs and starts, and the API server refuses an engine for what the checker said of this line; once the fixes are made, it runs.
    EnginesRefused(&'static str, usize, usize, Verdict, f64),
}
use Outcome::{EnginesRefused, Refused, Runs, RunsMended};

/// The actors let every second fault of a run fail with four of ten probes passed.
const SAMPLES: &[(&str, Outcome)] = &[
    ("chaosengine-chaoscenter-standalone-mock.yaml", Runs(1, Verdict::Pass, 100.0)),
    ("chaosengine-container-kill.yaml", Runs(1, Verdict::Pass, 100.0)),
    ("chaosengine-node-drain.yaml", Runs(1, Verdict::Pass, 100.0)),
    ("chaosengine-pod-cpu-hog.yaml", Runs(1, Verdict::Pass, 100.0)),
    ("chaosengine-pod-delete.yaml", Runs(1, Verdict::Pass, 100.0)),
    ("chaosengine-pod-network-latency.yaml", Runs(1, Verdict::Pass, 100.0)),
    ("chaosengine-pod-network-loss.yaml", Runs(1, Verdict::Pass, 100.0)),
    ("chaosexperiment-container-kill.yaml", Refused("document.kind", 5)),
    ("chaosexperiment-node-drain.yaml", Refused("document.kind", 6)),
    ("chaosexperiment-pod-cpu-hog.yaml", Refused("document.kind", 6)),
    ("chaosexperiment-pod-delete.yaml", Refused("document.kind", 6)),
    ("chaosexperiment-pod-network-latency.yaml", Refused("document.kind", 6)),
    ("chaosexperiment-pod-network-loss.yaml", Refused("document.kind", 6)),
    ("cronworkflow-argocd-catalogue-pod-cpu-hog.yaml", Runs(1, Verdict::Pass, 100.0)),
    ("cronworkflow-bank-of-anthos.yaml", Runs(1, Verdict::Pass, 100.0)),
    ("cronworkflow-chaoscenter-mock.yaml", EnginesRefused("probe.duration", 108, 1, Verdict::Pass, 100.0)),
    ("cronworkflow-node-cpu-hog.yaml", RunsMended("label.value", 7, 1, Verdict::Pass, 100.0)),
    ("cronworkflow-pod-cpu-hog.yaml", RunsMended("label.value", 7, 1, Verdict::Pass, 100.0)),
    ("cronworkflow-pod-delete.yaml", RunsMended("label.value", 7, 1, Verdict::Pass, 100.0)),
    ("cronworkflow-pod-memory-hog.yaml", RunsMended("label.value", 7, 1, Verdict::Pass, 100.0)),
    ("cronworkflow-sock-shop-promProbe.yaml", EnginesRefused("engine.unresolved", 909, 5, Verdict::Fail, 76.0)),
    ("cronworkflow-sock-shop.yaml", Runs(5, Verdict::Fail, 76.0)),
    ("eventtrackerpolicy-example1.yaml", Refused("document.kind", 2)),
    ("eventtrackerpolicy-example2.yaml", Refused("document.kind", 2)),
    ("eventtrackerpolicy-from-docs-user-guide.yaml", Refused("document.kind", 3)),
    ("eventtrackerpolicy-from-issue-3930.yaml", Refused("document.kind", 3)),
    ("eventtrackerpolicy-from-pr-2644-or.yaml", Refused("document.kind", 3)),
    ("eventtrackerpolicy-from-pr-3338-change.yaml", Refused("document.kind", 3)),
    ("workflow-chaoscenter-mock.yaml", EnginesRefused("probe.duration", 106, 1, Verdict::Pass, 100.0)),
    ("workflow-chaoscenter-saved-cart-network-latency.yaml", Runs(1, Verdict::Pass, 100.0)),
    ("workflow-chaoscenter-saved-recommendation-pod-delete.yaml", Runs(1, Verdict::Pass, 100.0)),
    ("workflow-namespaced-scope-chaos.yaml", RunsMended("label.value", 6, 1, Verdict::Pass, 100.0)),
    ("workflow-node-cpu-hog.yaml", RunsMended("label.value", 7, 1, Verdict::Pass, 100.0)),
    ("workflow-node-memory-hog.yaml", RunsMended("label.value", 7, 1, Verdict::Pass, 100.0)),
    ("workflow-pod-cpu-hog.yaml", RunsMended("label.value", 7, 1, Verdict::Pass, 100.0)),
    ("workflow-pod-delete.yaml", RunsMended("label.value", 7, 1, Verdict::Pass, 100.0)),
    ("workflow-pod-memory-hog.yaml", RunsMended("label.value", 7, 1, Verdict::Pass, 100.0)),
    ("workflow-podtato-head.yaml", Runs(1, Verdict::Pass, 100.0)),
    ("workflow-sock-shop.yaml", Runs(5, Verdict::Fail, 76.0)),
    // Nobody upstream publishes one; this is the CRD's own example of a fault every ten minutes, shortened.
    ("chaosschedule-pod-delete.yaml", Runs(1, Verdict::Pass, 100.0)),
];

const SCHEDULE: &str = "# every ten minutes\napiVersion: litmuschaos.io/v1alpha1\nkind: ChaosSchedule\nmetadata:\n  name: schedule-nginx\nspec:\n  schedule:\n    repeat:\n      properties:\n        minChaosInterval:\n          minute:\n            everyNthMinute: 10\n  engineTemplateSpec:\n    engineState: active\n    appinfo: {appns: default, applabel: app=nginx, appkind: deployment}\n    chaosServiceAccount: pod-delete-sa\n    experiments:\n      - name: pod-delete\n";

fn read(name: &str) -> String {
    if name.starts_with("chaosschedule") {
        return SCHEDULE.to_owned();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn typed(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

/// A stage of a run's actors.
struct Actors<'a> {
    cluster: &'a Cluster,
    namespace: String,
}

impl Actors<'_> {
    async fn status(&self, kind: &pilothouse_cluster::Kind, name: &str, status: Value) {
        let api = self.cluster.api(kind, &self.namespace);
        let patch = json!({"status": status});
        // These CRDs have no status subresource, or the same patch goes there.
        let patched = api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        patched.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Litmus: a result for each experiment, then the engine's end.
    async fn judge(&self, engine: &Value, count: &mut usize) {
        let name = engine["metadata"]["name"].as_str().unwrap().to_owned();
        for experiment in engine["spec"]["experiments"].as_array().unwrap() {
            let fault = experiment["name"].as_str().unwrap();
            let (verdict, share) = if (*count).is_multiple_of(2) { ("Pass", "100") } else { ("Fail", "40") };
            *count += 1;
            let result = json!({
                "apiVersion": "litmuschaos.io/v1alpha1", "kind": "ChaosResult",
                "metadata": {"name": format!("{name}-{fault}"), "namespace": self.namespace},
                "spec": {"engine": name, "experiment": fault},
                "status": {"experimentStatus": {"phase": "Completed", "verdict": verdict, "probeSuccessPercentage": share}},
            });
            let api = self.cluster.api(&kinds::CHAOS_RESULT, &self.namespace);
            api.create(&PostParams::default(), &typed(result)).await.unwrap();
        }
        self.status(&kinds::CHAOS_ENGINE, &name, json!({"engineStatus": "completed"})).await;
    }

    /// Argo and the checker: the engines of the templates in their order, each with the parameters filled in. How many
    /// the API server took, and what it said of the others.
    async fn play(&self, workflow: &Value) -> (usize, Vec<String>) {
        let (mut taken, mut refused, mut count) = (0, Vec::new(), 0);
        let parameters =
            workflow.pointer("/spec/arguments/parameters").and_then(Value::as_array).cloned().unwrap_or_default();
        let filled = |text: &str| {
            let mut text = text.replace("{{ workflow.uid }}", "{{workflow.uid}}");
            text = text.replace("{{workflow.uid}}", workflow["metadata"]["uid"].as_str().unwrap());
            for one in &parameters {
                let wanted = format!("{{{{workflow.parameters.{}}}}}", one["name"].as_str().unwrap());
                text = text.replace(&wanted, one["value"].as_str().unwrap_or_default());
            }
            text
        };
        for template in workflow["spec"]["templates"].as_array().unwrap() {
            let artifacts = template.pointer("/inputs/artifacts").and_then(Value::as_array);
            for data in artifacts.into_iter().flatten().filter_map(|one| one.pointer("/raw/data")?.as_str()) {
                let Ok(mut engine) = serde_yaml::from_str::<Value>(&filled(data)) else { continue };
                if engine["kind"] != "ChaosEngine" {
                    continue;
                }
                engine["metadata"]["namespace"] = json!(self.namespace);
                let api = self.cluster.api(&kinds::CHAOS_ENGINE, &self.namespace);
                match api.create(&PostParams::default(), &typed(engine)).await {
                    Ok(made) => {
                        taken += 1;
                        self.judge(&serde_json::to_value(made).unwrap(), &mut count).await;
                    }
                    Err(error) => refused.push(error.to_string()),
                }
            }
        }
        let phase = if refused.is_empty() { "Succeeded" } else { "Failed" };
        let ended = json!({"phase": phase, "startedAt": now(), "finishedAt": later()});
        self.status(&kinds::WORKFLOW, workflow["metadata"]["name"].as_str().unwrap(), ended).await;
        (taken, refused)
    }
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

fn later() -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5)).to_string()
}

/// A sample aimed at a namespace of the test's own: nothing else in it is changed.
fn in_namespace(text: &str, namespace: &str) -> String {
    let document = WorkflowDocument::parse(text).unwrap();
    let Some(old) = document.namespace else { return text.to_owned() };
    let wanted = format!("  namespace: {old}\n");
    let at = text.find(&wanted).unwrap();
    format!("{}  namespace: {namespace}\n{}", &text[..at], &text[at + wanted.len()..])
}

/// Starts a run, plays it, and reads it.
async fn run(
    cluster: &Cluster,
    namespace: &str,
    workflow: &str,
    run: &str,
) -> (pilothouse_chaos::run::Run, Vec<String>) {
    // The last step of the run before: engines of fixed names would meet each other.
    for kind in [kinds::CHAOS_ENGINE, kinds::CHAOS_RESULT] {
        let api = cluster.api(&kind, namespace);
        api.delete_collection(&Default::default(), &Default::default()).await.unwrap();
    }
    let seen = launch::preview(cluster, namespace, run, &labels(workflow)).await.unwrap();
    let next = launch::as_seen(cluster, namespace, run, &labels(workflow), &seen.digest).await.unwrap();
    let Next::Start(prepared) = next else { panic!("{run} was there") };
    let started = launch::start(cluster, &prepared).await.unwrap();
    let actors = Actors { cluster, namespace: started.namespace.clone() };
    let refused = if started.kind == "Workflow" {
        let made = cluster.api(&kinds::WORKFLOW, &started.namespace).get(run).await.unwrap();
        actors.play(&serde_json::to_value(made).unwrap()).await.1
    } else {
        let made = cluster.api(&kinds::CHAOS_ENGINE, &started.namespace).get(run).await.unwrap();
        actors.judge(&serde_json::to_value(made).unwrap(), &mut 0).await;
        Vec::new()
    };
    let read = launch::read_run(cluster, &started.namespace, run).await.unwrap();
    (read, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_run_and_scored_or_refused_with_its_line() {
    let mut here: Vec<String> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    here.sort();
    let listed: Vec<&str> = SAMPLES.iter().map(|row| row.0).filter(|name| !name.starts_with("chaosschedule")).collect();
    assert_eq!(here, listed, "every sample has its row");

    let (cluster, _) = place().await;
    let mut wrong = Vec::new();
    for (at, (sample, outcome)) in SAMPLES.iter().enumerate() {
        let text = read(sample);
        if let Refused(code, line) = outcome {
            match WorkflowDocument::parse(&text) {
                Err(Error::Refused(problem)) if (problem.code.as_str(), problem.line) == (code, Some(*line)) => {}
                other => wrong.push(format!("{sample}: {other:?}")),
            }
            continue;
        }
        // Fixed names of engines would meet each other.
        let (_, namespace) = place().await;
        let mut text = in_namespace(&text, &namespace);
        let name = WorkflowDocument::parse(&text).unwrap().name;
        let git = MemoryGit::default();
        git.put(&path_of(PROJECT, &name), Some(&text));
        sync(&cluster, &namespace, &git).await;
        let synced = object(&cluster, &namespace, &name).await;
        let (code, line) = match outcome {
            RunsMended(code, line, ..) => {
                if (synced.state, synced.line) != (Some(SyncState::Invalid), Some(*line)) {
                    wrong.push(format!("{sample}: {:?} {:?} {}", synced.state, synced.line, synced.message));
                }
                (*code, *line)
            }
            EnginesRefused(code, line, ..) => {
                let (read, refused) = run(&cluster, &namespace, &name, &format!("first-{at}")).await;
                let wanted = if *code == "probe.duration" { "probeTimeout" } else { "workflow.env.appNamespace" };
                let told = refused.first().is_some_and(|words| words.contains(wanted));
                if !told || read.phase != Phase::Failed || read.verdict == Some(Verdict::Pass) {
                    wrong.push(format!("{sample}: {refused:?} {:?} {:?}", read.phase, read.verdict));
                }
                (*code, *line)
            }
            _ => ("", 0),
        };
        if !code.is_empty() {
            let around = Around { stem: Some(name.clone()), infra: None };
            let found = remarks(&text, &around);
            if !found.iter().any(|one| one.problem.code == code && one.problem.line == Some(line) && one.fix.is_some())
            {
                wrong.push(format!("{sample}: no fix for {code} in line {line}: {found:?}"));
                continue;
            }
            let ids: Vec<String> = found
                .iter()
                .filter(|one| one.problem.code == code && one.fix.is_some())
                .map(|one| one.id.clone())
                .collect();
            text = mend(&text, &around, &ids).unwrap();
            git.put(&path_of(PROJECT, &name), Some(&text));
            sync(&cluster, &namespace, &git).await;
        }
        let synced = object(&cluster, &namespace, &name).await;
        if synced.state != Some(SyncState::InSync) || synced.manifest != text {
            wrong.push(format!("{sample}: {:?} {}", synced.state, synced.message));
            continue;
        }
        let (Runs(faults, verdict, score)
        | RunsMended(_, _, faults, verdict, score)
        | EnginesRefused(_, _, faults, verdict, score)) = outcome
        else {
            continue;
        };
        let (read, refused) = run(&cluster, &namespace, &name, &format!("run-{at}")).await;
        let found = (read.phase, read.faults.len(), read.verdict, read.score);
        if found != (Phase::Succeeded, *faults, Some(*verdict), Some(*score)) {
            wrong.push(format!("{sample}: {found:?} {refused:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
