//! How the agent stands.

use std::collections::BTreeSet;

use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use pilothouse_cluster::{Kind, kinds, kubeconfig::is_production};
use serde_json::{Value, json};

use super::{BEFORE_PAUSE, FIELD_MANAGER, Installed, begun::Begun};
use crate::{
    App, Result,
    agent::{AGENT, CREDENTIALS, NAME_LABEL, Needs},
    contract::{ActivityKind, AgentProblem, AgentState, AgentStatus, AppError, Topic},
    deploys::confirmed,
    journal::{Begin, End, Intent},
    session::Live,
};

/// Reasons of containers that wait which say that something is wrong.
const WRONG: [&str; 8] = [
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "ErrImageNeverPull",
];

fn number(value: &Value, at: &str) -> u32 {
    value.pointer(at).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

fn text(value: &Value, at: &str) -> String {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Whether what is done to the agent wants its name typed: on a context marked as production, and where the agent
/// itself knows its cluster by such a name, whatever this computer calls it.
pub(super) fn careful(live: &Live, installed: Option<&Installed>) -> bool {
    let known = installed.and_then(|one| one.says("/cluster"));
    live.cluster.is_production() || known.is_some_and(|name| is_production(&name))
}

/// How many pods there should be; one when nobody says.
pub(super) fn replicas(deployment: &DynamicObject) -> u32 {
    if deployment.data.pointer("/spec/replicas").is_none() { 1 } else { number(&deployment.data, "/spec/replicas") }
}

/// The image.
pub(super) fn image(deployment: &DynamicObject) -> String {
    text(&deployment.data, "/spec/template/spec/containers/0/image")
}

/// How many pods there are to be again after a pause.
pub(super) fn replicas_when_on(deployment: &DynamicObject) -> u32 {
    let before = deployment.metadata.annotations.as_ref().and_then(|all| all.get(BEFORE_PAUSE));
    match replicas(deployment) {
        0 => before.and_then(|text| text.parse().ok()).filter(|n| (1..=5).contains(n)).unwrap_or(2),
        some => some,
    }
}

fn hint(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
            "Check the image's name and tag, and that the cluster may pull it; then bring the agent up to date with \
             the right one."
        }
        "CrashLoopBackOff" => "Its log says why it ended: kubectl logs deployment/pilothouse-agent.",
        "FailedCreate" => "A quota or a rule of the namespace refuses its pods.",
        "Unschedulable" => "No node has room for it, or every node is kept for others.",
        _ => return None,
    })
}

/// What keeps pods from running. A warning counts only for a pod that is not ready now.
fn problems(deployment: &DynamicObject, pods: &[DynamicObject], events: &[DynamicObject]) -> Vec<AgentProblem> {
    let mut found: Vec<AgentProblem> = Vec::new();
    let mut say = |about: String, reason: &str, message: String| {
        let one = AgentProblem { about, reason: reason.to_owned(), message, hint: hint(reason).map(str::to_owned) };
        // Two pods have one trouble, most often.
        if !found.iter().any(|known| known.reason == one.reason && known.message == one.message) {
            found.push(one);
        }
    };
    let list = |object: &DynamicObject, at: &str| -> Vec<Value> {
        object.data.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    for condition in list(deployment, "/status/conditions") {
        if condition["type"] == "ReplicaFailure" && condition["status"] == "True" {
            say("Deployment pilothouse-agent".to_owned(), &text(&condition, "/reason"), text(&condition, "/message"));
        }
    }
    for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let conditions = list(pod, "/status/conditions");
        if conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True") {
            continue;
        }
        for one in conditions.iter().filter(|one| one["type"] == "PodScheduled" && one["status"] == "False") {
            say(format!("Pod {name}"), &text(one, "/reason"), text(one, "/message"));
        }
        for container in list(pod, "/status/containerStatuses") {
            let reason = text(&container, "/state/waiting/reason");
            if !WRONG.contains(&reason.as_str()) {
                continue;
            }
            let mut message = text(&container, "/state/waiting/message");
            let ended = text(&container, "/lastState/terminated/message");
            if let Some(code) = container.pointer("/lastState/terminated/exitCode") {
                message = format!("{message}; it ended with exit code {code} {ended}").trim().to_owned();
            }
            say(format!("Pod {name}"), &reason, message);
        }
        let about = |event: &&DynamicObject| text(&event.data, "/involvedObject/name") == name;
        for event in events.iter().filter(about).filter(|event| text(&event.data, "/reason") == "FailedMount") {
            say(format!("Pod {name}"), "FailedMount", text(&event.data, "/message"));
        }
    }
    found
}

/// Projects whose credential nobody is known to have given. Pods that are ready have what they need from elsewhere.
fn uncredited(deployment: &DynamicObject, needs: &Needs, held: &BTreeSet<String>) -> Option<AgentProblem> {
    let lacking = needs.projects.iter().filter(|one| !held.contains(&one.credential));
    let lacking: Vec<&str> = lacking.map(|one| one.id.as_str()).collect();
    let ready = number(&deployment.data, "/status/readyReplicas") >= replicas(deployment);
    if lacking.is_empty() || ready {
        return None;
    }
    Some(AgentProblem {
        about: format!("Secret {CREDENTIALS}"),
        reason: "NoCredential".to_owned(),
        message: format!("Nobody gave it a credential for {}; pods without one are not ready.", lacking.join(", ")),
        hint: Some("Bring the agent up to date, and give it the credential that this computer keeps.".to_owned()),
    })
}

/// Objects of a namespace. Who may not look at pods is told what the Deployment says.
async fn listed(live: &Live, kind: &Kind, namespace: &str, parameters: ListParams) -> Vec<DynamicObject> {
    let api = live.cluster.api(kind, namespace);
    let listed = live.cluster.in_time("the agent's pods", api.list(&parameters)).await;
    listed.map(|list| list.items).unwrap_or_default()
}

/// How the agent stands, in one word and in a sentence.
fn judge(deployment: Option<&DynamicObject>, troubled: bool) -> (AgentState, String) {
    let Some(deployment) = deployment else {
        let words = "Parts of the agent are there and its Deployment is not: an installation or a removal was cut off. \
                     Install it to complete it, or remove what is left.";
        return (AgentState::Halfway, words.to_owned());
    };
    let (wanted, ready) = (replicas(deployment), number(&deployment.data, "/status/readyReplicas"));
    let updated = number(&deployment.data, "/status/updatedReplicas");
    let there = number(&deployment.data, "/status/replicas");
    let seen = deployment.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
    let current = seen >= deployment.metadata.generation;
    if deployment.metadata.deletion_timestamp.is_some() {
        return (AgentState::Leaving, "It is being removed.".to_owned());
    }
    if wanted == 0 {
        let words = if there > 0 { "It is paused; its last pods are ending." } else { "It is paused: no pod runs." };
        return (AgentState::Paused, words.to_owned());
    }
    if current && ready >= wanted && updated >= wanted && there == wanted {
        let words = match wanted {
            1 => "Its pod is ready.".to_owned(),
            n => format!("All {n} pods are ready: one works for each project, the others stand by."),
        };
        return (AgentState::Running, words);
    }
    if troubled {
        let words = match ready {
            0 => "None of its pods is ready.".to_owned(),
            n => format!("{n} of {wanted} pods are ready; what runs goes on."),
        };
        return (AgentState::Failing, words);
    }
    (AgentState::Starting, format!("{ready} of {wanted} pods are ready."))
}

impl App {
    /// How the agent in the cluster stands, and who looks after what.
    pub async fn agent_status(&self) -> Result<AgentStatus> {
        let live = self.live()?;
        let installed = self.installed_agent(&live).await?;
        let charges = self.charges(&live, None).await;
        let confirm = careful(&live, installed.as_ref()).then(|| AGENT.to_owned());
        let practice = live.cluster.is_practice();
        let begun = self.begun(&live).await;
        let Some(Installed { namespace, deployment, needs, held, .. }) = installed else {
            let removal = begun.filter(|one| one.removal().is_some());
            let remains = match removal.as_ref().and_then(Begun::removal) {
                Some(kinds) => self.remains(&live, kinds).await?,
                None => false,
            };
            let cut_off = removal.filter(|_| remains).map(|one| one.view());
            let (state, words) = if remains {
                (AgentState::Halfway, "Its removal was cut off, and something of it is left.")
            } else {
                let words =
                    "There is no agent in this cluster: projects and triggers are looked after while an app is open.";
                (AgentState::Absent, words)
            };
            return Ok(AgentStatus {
                state,
                words: words.to_owned(),
                cut_off,
                namespace: None,
                image: None,
                replicas: 0,
                ready: 0,
                problems: Vec::new(),
                charges,
                practice,
                confirm,
                can_pause: self.may(&live, "patch", &kinds::DEPLOYMENT, None).await,
            });
        };
        let own = ListParams::default().labels(&format!("{NAME_LABEL}={AGENT}"));
        let pods = listed(&live, &kinds::POD, &namespace, own).await;
        let warnings = ListParams::default().fields("involvedObject.kind=Pod,type=Warning").limit(500);
        let events =
            if pods.is_empty() { Vec::new() } else { listed(&live, &kinds::EVENT, &namespace, warnings).await };
        let mut problems = deployment.as_ref().map(|one| problems(one, &pods, &events)).unwrap_or_default();
        let (state, mut words) = judge(deployment.as_ref(), !problems.is_empty());
        // A removal that took nothing yet, or whose agent is installed again since, is none.
        let cut_off = begun.filter(|one| one.removal().is_none() || state == AgentState::Halfway);
        if state == AgentState::Halfway {
            match cut_off.as_ref().map(Begun::removal) {
                Some(Some(_)) => "Its removal was cut off, and a part of it is left.".clone_into(&mut words),
                Some(None) => "Its installation was cut off, and only a part of it is there.".clone_into(&mut words),
                None => {}
            }
        }
        if let (Some(deployment), Some(needs), Some(held), false) =
            (&deployment, &needs, &held, live.cluster.is_practice())
        {
            problems.extend(uncredited(deployment, needs, held));
        }
        Ok(AgentStatus {
            state,
            words,
            image: deployment.as_ref().map(image),
            replicas: deployment.as_ref().map_or(0, replicas),
            ready: deployment.as_ref().map_or(0, |one| number(&one.data, "/status/readyReplicas")),
            problems: if matches!(state, AgentState::Paused | AgentState::Leaving) { Vec::new() } else { problems },
            charges,
            practice,
            confirm,
            can_pause: self.may(&live, "patch", &kinds::DEPLOYMENT, Some(&namespace)).await,
            cut_off: cut_off.map(|one| one.view()),
            namespace: Some(namespace),
        })
    }

    /// Ends all pods of the agent and leaves everything else in place, or lets it go on.
    pub async fn pause_agent(&self, paused: bool, confirm: Option<String>) -> Result<AgentStatus> {
        let live = self.live()?;
        let none = || AppError::not_found("there is no agent in this cluster");
        let installed = self.installed_agent(&live).await?.ok_or_else(none)?;
        confirmed(careful(&live, Some(&installed)), live.name(), AGENT, confirm.as_deref())?;
        let deployment = installed.deployment.ok_or_else(none)?;
        let wanted = if paused { 0 } else { replicas_when_on(&deployment) };
        if replicas(&deployment) != wanted {
            let words = if paused { "Pause the agent" } else { "Let the agent go on" };
            self.scale(&live, &installed.namespace, &deployment, wanted, words).await?;
        }
        self.changes.tell(Topic::Triggers);
        self.agent_status().await
    }

    async fn scale(
        &self,
        live: &Live,
        namespace: &str,
        deployment: &DynamicObject,
        wanted: u32,
        words: &str,
    ) -> Result<()> {
        let begin = Begin {
            kind: ActivityKind::Cluster,
            words: format!("{words} in {namespace}"),
            context: Some(live.name().to_owned()),
            object: Some(format!("Deployment/{namespace}/{AGENT}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let before = replicas_when_on(deployment).to_string();
        let patch = json!({
            // Of the Deployment that was looked at, and of no other.
            "metadata": { "uid": deployment.metadata.uid, "annotations": { BEFORE_PAUSE: before } },
            "spec": { "replicas": wanted },
        });
        let api = live.cluster.api(&kinds::DEPLOYMENT, namespace);
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = live.cluster.in_time("the agent", api.patch(AGENT, &parameters, &Patch::Merge(&patch))).await;
        let url = Some("/agent".to_owned());
        entry.close_with(patched.map_err(AppError::from), |_| End { url, ..End::default() }).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn deployment(wanted: u32, ready: u32, updated: u32) -> DynamicObject {
        object(json!({"metadata": {"name": AGENT, "generation": 3}, "spec": {"replicas": wanted},
            "status": {"observedGeneration": 3, "replicas": wanted, "readyReplicas": ready, "updatedReplicas": updated}}))
    }

    fn pod(ready: bool, waiting: &str) -> DynamicObject {
        let ready = if ready { "True" } else { "False" };
        object(json!({"metadata": {"name": "agent-1"}, "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"state": {"waiting": {"reason": waiting, "message": "no such image"}}}],
        }}))
    }

    #[test]
    fn the_state_is_what_the_deployment_and_its_pods_say() {
        let state = |deployment: &DynamicObject, troubled| judge(Some(deployment), troubled).0;
        assert_eq!(judge(None, false).0, AgentState::Halfway);
        assert_eq!(state(&deployment(2, 2, 2), false), AgentState::Running);
        assert_eq!(state(&deployment(2, 1, 2), false), AgentState::Starting);
        assert_eq!(state(&deployment(2, 2, 1), true), AgentState::Failing, "the old pods run, the new ones cannot");
        assert_eq!(state(&deployment(0, 0, 0), true), AgentState::Paused);
        let mut unseen = deployment(2, 2, 2);
        unseen.metadata.generation = Some(4);
        assert_eq!(state(&unseen, false), AgentState::Starting, "the controller has not seen the change yet");
        let mut leaving = deployment(2, 2, 2);
        leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(state(&leaving, false), AgentState::Leaving);
    }

    #[test]
    fn what_keeps_pods_from_running_is_told_once_with_its_reason() {
        let mut quota = deployment(2, 0, 0);
        quota.data["status"]["conditions"] = json!([{"type": "ReplicaFailure", "status": "True",
            "reason": "FailedCreate", "message": "exceeded quota"}]);
        let found = problems(&quota, &[], &[]);
        assert_eq!((found[0].reason.as_str(), found[0].message.as_str()), ("FailedCreate", "exceeded quota"));
        let broken = [pod(false, "ImagePullBackOff"), pod(false, "ImagePullBackOff")];
        let found = problems(&deployment(2, 0, 2), &broken, &[]);
        assert_eq!(found.len(), 1);
        assert!(found[0].hint.as_deref().unwrap().contains("image"));
        assert_eq!(problems(&deployment(2, 0, 2), &[pod(false, "ContainerCreating")], &[]), []);
        assert_eq!(problems(&deployment(2, 2, 2), &[pod(true, "CrashLoopBackOff")], &[]), []);
        let event = object(json!({"metadata": {"name": "e"}, "involvedObject": {"name": "agent-1"},
            "reason": "FailedMount", "message": "secret not found"}));
        assert_eq!(
            problems(&deployment(1, 0, 1), &[pod(false, "ContainerCreating")], &[event])[0].reason,
            "FailedMount"
        );
    }

    #[test]
    fn a_missing_credential_is_told_while_pods_are_not_ready() {
        let needs: Needs = serde_json::from_value(json!({"projects": [{"namespace": "litmus", "id": "shop",
            "url": "https://git.example/a/b.git", "credential": "litmus.shop"}]}))
        .unwrap();
        let none = BTreeSet::new();
        assert!(uncredited(&deployment(2, 0, 2), &needs, &none).unwrap().message.contains("shop"));
        assert_eq!(uncredited(&deployment(2, 2, 2), &needs, &none), None);
        assert_eq!(uncredited(&deployment(2, 0, 2), &needs, &BTreeSet::from(["litmus.shop".to_owned()])), None);
    }

    #[test]
    fn a_pause_remembers_how_many_there_were() {
        let mut paused = deployment(0, 0, 0);
        assert_eq!(replicas_when_on(&paused), 2);
        for (kept, wanted) in [("3", 3), ("0", 2), ("900", 2), ("x", 2)] {
            paused.metadata.annotations = Some([(BEFORE_PAUSE.to_owned(), kept.to_owned())].into());
            assert_eq!(replicas_when_on(&paused), wanted, "{kept}");
        }
        assert_eq!(replicas_when_on(&deployment(1, 1, 1)), 1);
    }
}
