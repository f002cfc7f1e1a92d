//! Each right, taken away in turn.

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use pilothouse_app::agent::{Right, manifests, rights};
use pilothouse_chaos::workflow_object::RunPolicy;
use pilothouse_cluster::{Kind, kinds};
use pilothouse_triggers::spec::Outcome;
use pilothouse_triggers::surroundings::HALT_LABEL;
use serde_json::{Value, json};

use crate::stage::{Agent, Stage, TRIGGERS, WORKFLOW, until};

/// The Roles of an installation, as the manifests have them.
struct Roles {
    all: Vec<Value>,
}

impl Roles {
    fn of(stage: &Stage) -> Self {
        let mut all = manifests(&stage.plan.settings, &stage.plan.needs);
        all.retain(|one| one["kind"] == "Role");
        Self { all }
    }

    fn api(stage: &Stage, role: &Value) -> (Api<DynamicObject>, String) {
        let namespace = role["metadata"]["namespace"].as_str().unwrap();
        let api = stage.kind_api("rbac.authorization.k8s.io", "Role", "roles", namespace);
        (api, role["metadata"]["name"].as_str().unwrap().to_owned())
    }

    /// Writes the Roles without one right, or whole.
    async fn write(&self, stage: &Stage, without: Option<&Right>) {
        for role in &self.all {
            let mut rules = role["rules"].as_array().unwrap().clone();
            if let Some(right) = without.filter(|right| role["metadata"]["namespace"] == right.namespace) {
                rules.retain(|rule| {
                    !(rule["apiGroups"][0] == right.group
                        && rule["resources"][0] == right.resource
                        && rule["verbs"] == json!(right.verbs))
                });
            }
            let (api, name) = Self::api(stage, role);
            let patch = json!({"rules": rules});
            api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        }
    }
}

/// Where it shows that a right is missing.
#[derive(Clone, Copy)]
enum Place {
    /// Why the agent is not ready.
    Readiness,
    /// The project's status.
    Project,
    /// The trigger's status: its condition, or a decision.
    Trigger,
    /// The log.
    Log,
}

/// What is done for a right to be needed.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Nothing,
    /// A new workflow is pushed.
    Push,
    /// The workflow is changed in Git.
    Change,
    /// A file that is no workflow goes from Git.
    Remove,
    /// The workload gets a new image.
    Image,
    /// A workflow that is one ChaosEngine, and runs on commit, is changed in Git.
    Commit,
    /// All triggers are halted while a run and a fault of it are under way.
    Halt,
    /// The Leases are gone.
    Forget,
}

/// The workflow that is one ChaosEngine.
const ENGINE: &str = "engine";

fn engine(stage: &Stage) -> String {
    format!(
        "apiVersion: litmuschaos.io/v1alpha1\nkind: ChaosEngine\nmetadata:\n  name: {ENGINE}\nspec:\n  engineState: \
         active\n  appinfo:\n    appns: {}\n    applabel: app=cart\n    appkind: deployment\n  chaosServiceAccount: \
         litmus-admin\n  experiments:\n    - name: pod-delete\n",
        stage.target
    )
}

/// What breaks without a right, by its resource and its first verb: what needs it, where that shows, and whether
/// projects are synced all the same.
fn breaks(right: &Right) -> (Act, Place, bool) {
    match (right.resource.as_str(), right.verbs[0]) {
        ("chaosprojects" | "chaosworkflows", "get") => (Act::Nothing, Place::Readiness, false),
        ("eventtriggers", "get") => (Act::Nothing, Place::Readiness, true),
        ("chaosprojects/status", _) => (Act::Push, Place::Log, true),
        ("chaosworkflows", "create") | ("chaosworkflows/status", _) => (Act::Push, Place::Project, false),
        ("chaosworkflows", "patch") => (Act::Change, Place::Project, false),
        ("chaosworkflows", "delete") => (Act::Remove, Place::Project, false),
        ("leases", "get") => (Act::Nothing, Place::Readiness, false),
        ("workflows", "get" | "create") => (Act::Image, Place::Trigger, true),
        ("chaosengines" | "chaosresults", "get") => (Act::Image, Place::Log, true),
        ("eventtriggers/status", _) => (Act::Image, Place::Log, true),
        ("configmaps" | "deployments" | "namespaces", _) => (Act::Nothing, Place::Trigger, true),
        ("poddisruptionbudgets", _) => (Act::Image, Place::Trigger, true),
        ("leases", "create") => (Act::Forget, Place::Readiness, true),
        ("chaosengines", "create") => (Act::Commit, Place::Log, true),
        ("workflows" | "chaosengines", "patch") => (Act::Halt, Place::Log, true),
        other => panic!("nothing is known to need {other:?}"),
    }
}

impl Place {
    async fn says(self, stage: &Stage, agent: &Agent) -> String {
        match self {
            Self::Readiness => agent.ask("/readyz").await.1,
            Self::Project => stage.project_says().await,
            Self::Trigger => {
                let status = serde_json::to_value(stage.status().await).unwrap();
                let text = |at: &str, field: &str| {
                    let all = status[at].as_array().cloned().unwrap_or_default();
                    all.iter().filter_map(|one| one[field].as_str().map(str::to_owned)).collect::<String>()
                };
                text("conditions", "message") + &text("decisions", "reason")
            }
            // What is only for those who look for a fault is not said.
            Self::Log => {
                let log = agent.logged();
                let lines = log.lines().filter(|line| !line.contains("\"level\":\"DEBUG\""));
                lines.collect::<Vec<_>>().join("\n").replace("\\\"", "\"")
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_is_named_when_it_is_missing_and_breaks_what_its_line_says() {
    let mut stage = Stage::new().await;
    stage.plan.needs.triggers[0].respect_disruption_budget = true;
    stage.remount().await;
    let roles = Roles::of(&stage);
    roles.write(&stage, None).await;
    stage.push(WORKFLOW, &stage.workflow(WORKFLOW), "Add a workflow");
    stage.enable().await;
    stage.cart(2).await;
    until("all rights", async || (stage.check().0 == 0).then_some(())).await;
    let first = stage.agent("agent");
    stage.let_start_on_events(WORKFLOW).await;
    stage.push(ENGINE, &engine(&stage), "Add a workflow that is one engine");
    stage.let_start(ENGINE, RunPolicy::OnCommit).await;
    stage.trigger(json!({"respectDisruptionBudget": true})).await;
    stage.settled("cart:1", 0).await;
    assert_eq!(first.end("TERM").await, 0);

    let all = rights(&stage.plan.needs);
    for (number, right) in all.iter().enumerate() {
        roles.write(&stage, Some(right)).await;
        let line = format!("missing right: {}: {}", right.words(), right.why);
        // The API server takes a moment to go by what was written.
        until(&line, async || {
            let (code, said) = stage.check();
            let missing: Vec<&str> = said.lines().filter(|line| line.starts_with("missing right")).collect();
            (code == 1 && missing == [line.as_str()]).then_some(())
        })
        .await;
        one_breaks(&mut stage, &roles, right, number, breaks(right)).await;
    }
    assert!(all.len() >= 20, "{}", all.len());

    // With all of them again, everything works: what was held up comes in, and a change makes one run.
    roles.write(&stage, None).await;
    until("all rights again", async || (stage.check().0 == 0).then_some(())).await;
    let agent = stage.agent("agent");
    agent.ready().await;
    until("a trigger at rest", async || {
        let status = stage.status().await;
        let waits = status.decisions.iter().any(|one| one.decision == Outcome::Waited);
        (!waits && status.open_runs().is_empty()).then_some(())
    })
    .await;
    let ready = async || {
        let conditions = serde_json::to_value(stage.status().await).unwrap()["conditions"].clone();
        (conditions[0]["status"] == "True").then_some(())
    };
    until("a trigger that watches", ready).await;
    let before = stage.runs().await.len();
    stage.image("cart:last").await;
    stage.settled("cart:last", before + 1).await;
    stage.push("last", &stage.workflow("last"), "Add the last one");
    until("the last workflow", async || stage.object("last").await).await;
}

/// Starts an agent without one right, and sees what breaks and what does not.
async fn one_breaks(
    stage: &mut Stage,
    roles: &Roles,
    right: &Right,
    number: usize,
    (act, place, syncs): (Act, Place, bool),
) {
    let name = format!("w{number}");
    if act == Act::Remove {
        // Made while that could be done.
        roles.write(stage, None).await;
        stage.push(&name, "kind: [", "Add what is no workflow");
        let agent = stage.agent("agent");
        until("what stands for it", async || stage.object(&name).await).await;
        assert_eq!(agent.end("TERM").await, 0);
        roles.write(stage, Some(right)).await;
        until("the missing right", async || (stage.check().0 == 1).then_some(())).await;
    }
    // Before it begins, so that its first look finds it.
    let beside = format!("{name}-beside");
    if syncs {
        stage.push(&beside, &stage.workflow(&beside), "Add one beside");
    }
    act.prepare(stage, &name).await;
    let agent = stage.agent("agent");
    let halted = if act == Act::Halt { Some(halt(stage).await) } else { None };
    let mut words: Vec<String> =
        right.verbs.iter().map(|verb| format!("cannot {verb} resource \"{}\"", right.resource)).collect();
    if act == Act::Forget {
        // What is asked for before it is tried.
        words = vec![format!("`create` on `{}`", right.resource_name())];
    }
    until(&format!("{} to be missed", right.words()), async || {
        let said = place.says(stage, &agent).await;
        words.iter().any(|one| said.contains(one)).then_some(())
    })
    .await;
    if syncs {
        until("a sync all the same", async || stage.object(&beside).await).await;
    }
    match right.resource.as_str() {
        "leases" => nobody_is_in_charge(stage, &agent, act == Act::Forget).await,
        "workflows" | "chaosengines" | "chaosresults" if right.verbs[0] == "get" => {
            let note = format!("note: {} cannot be followed: ", right.resource_name());
            until("a note about it", async || {
                let (code, said) = agent.ask("/readyz").await;
                (code == 200 && said.contains(&note)).then_some(())
            })
            .await;
        }
        _ => {}
    }
    if let Some(run) = halted {
        stops_the_rest(stage, right, &run).await;
        assert_eq!(agent.end("TERM").await, 0);
        for (kind, name) in [(kinds::CONFIG_MAP, HALT), (kinds::CHAOS_ENGINE, FAULT)] {
            stage.cluster.api(&kind, &stage.home).delete(name, &DeleteParams::default()).await.unwrap();
        }
        stage.play().await;
        return;
    }
    if right.resource == "leases" && act != Act::Forget {
        takes_up_its_work(stage, roles, &agent).await;
    }
    assert_eq!(agent.end("TERM").await, 0);
}

impl Act {
    /// Does it, while no agent is there.
    async fn prepare(self, stage: &mut Stage, name: &str) {
        match self {
            Self::Nothing => {}
            Self::Push => stage.push(name, &stage.workflow(name), "Add another workflow"),
            Self::Change => {
                stage.push(WORKFLOW, &format!("# {name}\n{}", stage.workflow(WORKFLOW)), "Change the workflow");
            }
            Self::Remove => {
                let path = stage.path(name);
                let remove = |tree: &std::path::Path| {
                    std::fs::remove_file(tree.join(&path)).unwrap();
                    Ok(())
                };
                stage.repo.edit("main", "Remove it", remove).unwrap();
            }
            Self::Image => stage.image(&format!("cart:{name}")).await,
            Self::Commit => stage.push(ENGINE, &format!("# {name}\n{}", engine(stage)), "Change the engine"),
            Self::Halt => {
                // Nobody carries the next run out, so that it is under way for as long as it takes.
                until("the end of the runs before", async || {
                    let api = stage.cluster.api(&kinds::WORKFLOW, &stage.home);
                    api.list(&ListParams::default()).await.unwrap().iter().all(has_ended).then_some(())
                })
                .await;
                stage.actors.take();
                stage.image(&format!("cart:{name}")).await;
            }
            Self::Forget => {
                let api = stage.cluster.api(&kinds::LEASE, &stage.home);
                api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
            }
        }
    }
}

fn has_ended(run: &DynamicObject) -> bool {
    let phase = run.data.pointer("/status/phase").and_then(Value::as_str);
    phase.is_some_and(|phase| !matches!(phase, "Pending" | "Running"))
}

/// Nobody has the Leases, and the agent says of each why that is.
async fn nobody_is_in_charge(stage: &Stage, agent: &Agent, are_gone: bool) {
    let home = &stage.home;
    let wanted =
        [format!("the Lease {SYNC} in {home} cannot be had: "), format!("nobody here serves the triggers in {home}: ")];
    until("word of both Leases", async || {
        let (code, said) = agent.ask("/readyz").await;
        (code == 503 && wanted.iter().all(|one| said.contains(one))).then_some(())
    })
    .await;
    let (_, said) = agent.ask("/metrics").await;
    for nobody in [
        format!("pilothouse_project_in_charge{{namespace=\"{home}\",project=\"shop\"}} 0"),
        format!("pilothouse_triggers_in_charge{{namespace=\"{home}\"}} 0"),
    ] {
        assert!(said.lines().any(|line| line == nobody), "{nobody}\n{said}");
    }
    if are_gone {
        let there = stage.cluster.api(&kinds::LEASE, home).list(&ListParams::default()).await.unwrap();
        assert_eq!(there.items.len(), 0, "{there:?}");
    }
    for lease in [SYNC, TRIGGERS] {
        assert_eq!(stage.holder(lease).await, "", "{lease}");
    }
}

/// The agent does its work once the right is there, without being started anew.
async fn takes_up_its_work(stage: &Stage, roles: &Roles, agent: &Agent) {
    roles.write(stage, None).await;
    agent.ready().await;
    for lease in [SYNC, TRIGGERS] {
        until("the Lease", async || (stage.holder(lease).await == "agent").then_some(())).await;
    }
}

const SYNC: &str = "pilothouse-sync-shop";
const HALT: &str = "halt";
const FAULT: &str = "fault";

/// Halts all triggers once a run is under way, with a fault of it; tells the run.
async fn halt(stage: &Stage) -> String {
    let api = stage.cluster.api(&kinds::WORKFLOW, &stage.home);
    // The status may still have one open that ended while no agent was there.
    let run = until("a run under way", async || {
        for name in stage.status().await.open_runs().into_keys() {
            if let Some(run) = api.get_opt(name).await.unwrap().filter(|run| !has_ended(run)) {
                return Some(run);
            }
        }
        None
    })
    .await;
    let create = async |kind: Kind, metadata: Value, spec: Value| {
        let mut object = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": metadata});
        if !spec.is_null() {
            object["spec"] = spec;
        }
        let api = stage.cluster.api(&kind, &stage.home);
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    };
    let labels = json!({"workflow_run_id": run.metadata.uid});
    let spec = json!({"engineState": "active", "experiments": [{"name": "pod-delete"}]});
    create(kinds::CHAOS_ENGINE, json!({"name": FAULT, "labels": labels}), spec).await;
    create(kinds::CONFIG_MAP, json!({"name": HALT, "labels": {HALT_LABEL: "true"}}), Value::Null).await;
    run.metadata.name.unwrap()
}

/// Of a run and its fault, the one that may be stopped is.
async fn stops_the_rest(stage: &Stage, right: &Right, run: &str) {
    let (kind, name, at, stopped) = match right.resource.as_str() {
        "workflows" => (kinds::CHAOS_ENGINE, FAULT, "/spec/engineState", "stop"),
        _ => (kinds::WORKFLOW, run, "/spec/shutdown", "Stop"),
    };
    let api = stage.cluster.api(&kind, &stage.home);
    until("the rest to be stopped", async || {
        let object = api.get(name).await.unwrap();
        (object.data.pointer(at).and_then(Value::as_str) == Some(stopped)).then_some(())
    })
    .await;
}
