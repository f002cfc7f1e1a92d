//! Each right, taken away in turn.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use pilothouse_app::agent::{Right, manifests, rights};
use pilothouse_cluster::kinds;
use serde_json::{Value, json};

use crate::stage::{Agent, Stage, WORKFLOW, until};

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
}

/// What breaks without a right, by its resource and its first verb: what needs it, where that shows, and whether
/// projects are synced all the same. Of the rights that are not here `check` alone is asked.
fn breaks(right: &Right) -> Option<(Act, Place, bool)> {
    Some(match (right.resource.as_str(), right.verbs[0]) {
        ("chaosprojects" | "chaosworkflows", "get") => (Act::Nothing, Place::Readiness, false),
        ("eventtriggers", "get") => (Act::Nothing, Place::Readiness, true),
        ("chaosprojects/status", _) => (Act::Push, Place::Log, true),
        ("chaosworkflows", "create") | ("chaosworkflows/status", _) => (Act::Push, Place::Project, false),
        ("chaosworkflows", "patch") => (Act::Change, Place::Project, false),
        ("chaosworkflows", "delete") => (Act::Remove, Place::Project, false),
        ("leases", "get") => (Act::Nothing, Place::Log, false),
        ("workflows", "get" | "create") => (Act::Image, Place::Trigger, true),
        ("chaosengines" | "chaosresults", "get") => (Act::Image, Place::Log, true),
        ("eventtriggers/status", _) => (Act::Image, Place::Log, true),
        ("configmaps" | "deployments" | "namespaces", _) => (Act::Nothing, Place::Trigger, true),
        _ => return None,
    })
}

impl Place {
    async fn says(self, stage: &Stage, agent: &Agent) -> String {
        match self {
            Self::Readiness => agent.ask("/readyz").await.1,
            Self::Project => {
                let project = stage.cluster.api(&kinds::CHAOS_PROJECT, &stage.home).get("shop").await.unwrap();
                project.data["status"]["message"].as_str().unwrap_or_default().to_owned()
            }
            Self::Trigger => {
                let status = serde_json::to_value(stage.status().await).unwrap();
                let text = |at: &str, field: &str| {
                    let all = status[at].as_array().cloned().unwrap_or_default();
                    all.iter().filter_map(|one| one[field].as_str().map(str::to_owned)).collect::<String>()
                };
                text("conditions", "message") + &text("decisions", "reason")
            }
            Self::Log => agent.logged().replace("\\\"", "\""),
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
    stage.trigger(json!({})).await;
    stage.settled("cart:1", 0).await;
    assert_eq!(first.end("TERM").await, 0);

    let all = rights(&stage.plan.needs);
    let mut broken = 0;
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
        if let Some((act, place, syncs)) = breaks(right) {
            one_breaks(&stage, &roles, right, number, (act, place, syncs)).await;
            broken += 1;
        }
    }
    assert!(all.len() >= 20 && broken >= 16, "{broken} of {}", all.len());

    // With all of them again, everything works: what was held up comes in, and a change makes one run.
    roles.write(&stage, None).await;
    until("all rights again", async || (stage.check().0 == 0).then_some(())).await;
    let agent = stage.agent("agent");
    agent.ready().await;
    until("a trigger at rest", async || stage.status().await.open_runs().is_empty().then_some(())).await;
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
    stage: &Stage,
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
    match act {
        Act::Nothing => {}
        Act::Push => stage.push(&name, &stage.workflow(&name), "Add another workflow"),
        Act::Change => stage.push(WORKFLOW, &format!("# {name}\n{}", stage.workflow(WORKFLOW)), "Change the workflow"),
        Act::Remove => {
            let path = stage.path(&name);
            let remove = |tree: &std::path::Path| {
                std::fs::remove_file(tree.join(&path)).unwrap();
                Ok(())
            };
            stage.repo.edit("main", "Remove it", remove).unwrap();
        }
        Act::Image => stage.image(&format!("cart:{name}")).await,
    }
    let agent = stage.agent("agent");
    let any = right.verbs.iter().map(|verb| format!("cannot {verb} resource \"{}\"", right.resource));
    let words: Vec<String> = any.collect();
    until(&format!("{} to be missed", right.words()), async || {
        let said = place.says(stage, &agent).await;
        words.iter().any(|one| said.contains(one)).then_some(())
    })
    .await;
    if syncs {
        until("a sync all the same", async || stage.object(&beside).await).await;
    }
    assert_eq!(agent.end("TERM").await, 0);
}
