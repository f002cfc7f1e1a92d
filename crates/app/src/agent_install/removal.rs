//! Removing the agent: every object of it, found by its labels, and the Leases that it leaves behind. What it is known
//! by goes last, so that a removal that was cut off anywhere is seen as such and completed by removing once more.

use std::{collections::BTreeSet, time::Duration};

use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, Preconditions, PropagationPolicy},
    discovery::{Discovery, Scope, verbs},
};
use pilothouse_chaos::names::digest;
use pilothouse_cluster::{Error as ClusterError, kinds};

use super::{
    Found,
    begun::Work,
    is_labelled,
    leases::Leases,
    permissions::{Act, missing_acts},
    planning::kind_names,
    projects_of,
    standing::careful,
    triggers_of,
};
use crate::{
    App, Result,
    agent::{AGENT, NAME_LABEL},
    contract::{ActivityKind, AgentRemoval, AgentStatus, AppError, ErrorCode, Topic, UninstallAgent},
    deploys::confirmed,
    journal::{AgentSince, Begin, End, Intent},
    operations::Operation,
    session::Live,
    values::small,
};

/// How long objects may take to go. They go on going without anybody looking.
const GONE: Duration = Duration::from_secs(180);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Kinds of which an object keeps no namespace: what others note about what is there, or made for it.
const PASSING: [&str; 8] = [
    "Event",
    "Endpoints",
    "EndpointSlice",
    "ReplicaSet",
    "ControllerRevision",
    "PodMetrics",
    "Lease",
    "LocalSubjectAccessReview",
];

/// What a removal is about.
struct Drawn {
    view: AgentRemoval,
    found: Vec<Found>,
    leases: Leases,
}

/// Whether an object of a namespace is there in every namespace.
fn is_usual(kind: &str, name: &str) -> bool {
    match kind {
        "ConfigMap" => matches!(name, "kube-root-ca.crt" | "openshift-service-ca.crt"),
        "ServiceAccount" => name == "default",
        // Up to Kubernetes 1.23 every service account had a Secret.
        "Secret" => name.starts_with("default-token-") || name.starts_with("pilothouse-agent-token-"),
        _ => false,
    }
}

fn many(count: usize, one: &str, more: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {more}") }
}

impl App {
    /// What removing the agent comes to; nothing is written.
    pub async fn plan_agent_removal(&self) -> Result<AgentRemoval> {
        let live = self.live()?;
        Ok(self.draw_removal(&live).await?.view)
    }

    async fn draw_removal(&self, live: &Live) -> Result<Drawn> {
        let (_, all, unseen) = self.agent_objects(live).await?;
        let leases = self.agents_leases(live, &all).await;
        // What cannot be looked at is said, and hinders nobody: who made it can remove it.
        let (mut found, mut stays, mut acts) = (Vec::new(), unseen, BTreeSet::new());
        for one in all {
            if one.kind == kinds::NAMESPACE
                && let Some(other) = self.stranger_in(live, &one.name).await
            {
                stays.push(format!("The namespace {}, for it holds {other}.", one.name));
                continue;
            }
            acts.insert(Act::new("delete", one.kind, one.namespace.as_deref()));
            found.push(one);
        }
        stays.extend(leases.kept.iter().cloned());
        let (projects, triggers) = (projects_of(live).len(), triggers_of(live).len());
        let workflows = live.list(&kinds::CHAOS_WORKFLOW).len();
        let stays_with_kinds = vec![
            format!(
                "{}, {} and {}: an open app looks after them again.",
                many(projects, "chaos project", "chaos projects"),
                many(workflows, "chaos workflow", "chaos workflows"),
                many(triggers, "trigger", "triggers"),
            ),
            "Pilothouse’s three kinds, in which they are kept.".to_owned(),
        ];
        stays.push("Runs that have started, and the files in Git.".to_owned());
        let mut goes: Vec<String> = found.iter().map(Found::words).collect();
        // Without the Leases: they change hands by themselves.
        let shown = digest(&goes.join("\n"));
        goes.extend(leases.free.iter().map(|one| format!("{}, which no app holds", one.words())));
        let missing = missing_acts(live, acts).await;
        let kinds_missing = missing_acts(live, BTreeSet::from([Act::new("delete", kinds::CRD, None)])).await;
        let view = AgentRemoval {
            shown,
            goes,
            stays,
            stays_with_kinds,
            with_kinds: vec![
                many(projects, "chaos project", "chaos projects"),
                many(workflows, "chaos workflow", "chaos workflows"),
                many(triggers, "trigger with its decisions", "triggers with their decisions"),
            ],
            missing,
            kinds_missing,
        };
        Ok(Drawn { view, found, leases })
    }

    /// Something in a namespace that is not the agent's; of every kind that the API server lists there.
    async fn stranger_in(&self, live: &Live, namespace: &str) -> Option<String> {
        let unsure = |what: &str| Some(format!("what nobody could look at ({what})"));
        let discovery = Discovery::new(live.cluster.client());
        let Ok(discovery) = live.cluster.in_time("the kinds there are", discovery.run()).await else {
            return unsure("the kinds there are");
        };
        for group in discovery.groups() {
            for (resource, capabilities) in group.recommended_resources() {
                let listed = capabilities.scope == Scope::Namespaced && capabilities.supports_operation(verbs::LIST);
                if !listed || PASSING.contains(&resource.kind.as_str()) {
                    continue;
                }
                let api: Api<DynamicObject> = Api::namespaced_with(live.cluster.client(), namespace, &resource);
                let some = ListParams::default().limit(50);
                let items = match live.cluster.in_time("the namespace", api.list_metadata(&some)).await {
                    Ok(list) => list.items,
                    Err(ClusterError::NotFound { .. }) => continue,
                    // What cannot be seen may be somebody's.
                    Err(_) => return unsure(&resource.plural),
                };
                let other = items.into_iter().find(|one| {
                    let name = one.metadata.name.as_deref().unwrap_or_default();
                    let going = one.metadata.deletion_timestamp.is_some();
                    !going && !is_labelled(&one.metadata) && !is_usual(&resource.kind, name)
                });
                if let Some(other) = other {
                    return Some(format!("{} {}", resource.kind, other.metadata.name.unwrap_or_default()));
                }
            }
        }
        None
    }

    /// Removes the agent as it was shown. What was begun is brought to its end by doing it again.
    pub async fn uninstall_agent(&self, request: UninstallAgent, operation: String) -> Result<AgentStatus> {
        let live = self.live()?;
        let installed = self.installed_agent(&live).await?;
        confirmed(careful(&live, installed.as_ref()), live.name(), AGENT, request.confirm.as_deref())?;
        if request.kinds && request.confirm.as_deref() != Some(AGENT) {
            return Err(AppError::blocked("all projects, workflows and triggers would go with the kinds")
                .with_hint(format!("type {AGENT} to confirm it")));
        }
        let app = self.arc()?;
        self.operations
            .run(operation, "Looking what is there", |operation| async move {
                let drawn = self.draw_removal(&live).await?;
                if drawn.view.shown != request.shown {
                    return Err(AppError::new(
                        ErrorCode::ClusterConflict,
                        "what would be removed is not what was shown any more",
                    )
                    .with_hint("look at it again, then remove"));
                }
                let kinds_missing = drawn.view.kinds_missing.iter().filter(|_| request.kinds);
                let missing: Vec<&str> = drawn.view.missing.iter().chain(kinds_missing).map(String::as_str).collect();
                if !missing.is_empty() {
                    return Err(AppError::new(ErrorCode::ClusterForbidden, missing.join(" ")));
                }
                let (there, steps, kinds) = (live.clone(), operation.clone(), request.kinds);
                // A removal that was begun is noted as it ended; a cancel counts between two steps.
                let removing = tokio::spawn(async move { app.remove_and_note(&there, &drawn, kinds, &steps).await });
                removing.await.map_err(|error| AppError::internal(format!("the removal ended early: {error}")))??;
                if request.kinds {
                    self.reconnect(&live, live.chosen_platform()).await?;
                }
                self.agent_status().await
            })
            .await
    }

    async fn remove_and_note(&self, live: &Live, drawn: &Drawn, kinds: bool, operation: &Operation) -> Result<()> {
        let words = if kinds {
            "Remove the agent and Pilothouse’s kinds with all that is in them"
        } else {
            "Remove the agent"
        };
        let begin = Begin {
            kind: ActivityKind::Cluster,
            words: words.to_owned(),
            context: Some(live.name().to_owned()),
            object: None,
            intent: Intent::Agent { removal: true },
        };
        let entry = self.journal.enter(begin).await?;
        self.begin_work(live, Work::Remove { kinds }).await?;
        let outcome = self.remove_all(live, drawn, kinds, operation).await;
        if outcome.is_ok() {
            self.end_work(live, AgentSince::Ended { words: words.to_owned(), removal: true }).await;
        }
        // Also of what was cut off pages are to tell how it stands.
        self.changes.tell(Topic::Triggers);
        self.changes.tell(Topic::Chaos);
        let url = Some("/agent".to_owned());
        entry.close_with(outcome, |()| End { url, ..End::default() }).await
    }

    async fn remove_all(&self, live: &Live, drawn: &Drawn, with_kinds: bool, operation: &Operation) -> Result<()> {
        let total = small(drawn.found.len());
        let mut left_alone = Vec::new();
        // First its pods end, for they give their Leases back with the rights that they have.
        let (runs, rest): (Vec<&Found>, Vec<&Found>) =
            drawn.found.iter().partition(|one| one.kind == kinds::DEPLOYMENT);
        for one in runs {
            operation.check()?;
            operation.step(&format!("Removing {}", one.words()), 0, Some(total));
            self.remove(live, one).await?;
        }
        operation.step("Waiting for its pods to end", 1, Some(total));
        self.pods_gone(live, drawn, operation).await?;
        for one in self.agents_leases(live, &drawn.found).await.free.iter().chain(&drawn.leases.free) {
            operation.check()?;
            operation.step(&format!("Removing {}", one.words()), 1, Some(total));
            self.remove_lease(live, one).await?;
        }
        for (at, one) in rest.into_iter().enumerate() {
            operation.check()?;
            operation.step(&format!("Removing {}", one.words()), small(at + 1), Some(total));
            // Looked at once more: the pods may have taken their time to end, and somebody moved in meanwhile.
            if one.kind == kinds::NAMESPACE && self.stranger_in(live, &one.name).await.is_some() {
                left_alone.push(one.uid.clone());
                continue;
            }
            self.remove(live, one).await?;
        }
        if with_kinds {
            // The projects first: without them nobody syncs what goes next.
            for name in kind_names() {
                operation.check()?;
                operation.step(&format!("Removing the kind {name}"), total, Some(total));
                let kind = Found { kind: kinds::CRD, namespace: None, name, uid: None };
                self.remove(live, &kind).await?;
                self.gone(live, vec![kind], operation).await?;
            }
        }
        operation.step("Waiting until all is gone", total, Some(total));
        let left = drawn.found.iter().filter(|one| !left_alone.contains(&one.uid)).cloned().collect();
        self.gone(live, left, operation).await
    }

    /// Waits until none of these objects is there.
    async fn gone(&self, live: &Live, objects: Vec<Found>, operation: &Operation) -> Result<()> {
        let end = tokio::time::Instant::now() + GONE;
        loop {
            let left = self.still_there(live, &objects).await?;
            let Some(one) = left.first() else { return Ok(()) };
            operation.check()?;
            if tokio::time::Instant::now() >= end {
                return Err(AppError::new(ErrorCode::Timeout, format!("{} does not go", one.words()))
                    .with_hint("look at its finalizers; everything else is being removed"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn remove(&self, live: &Live, one: &Found) -> Result<()> {
        let api = match &one.namespace {
            Some(namespace) => live.cluster.api(&one.kind, namespace),
            None => live.cluster.api_all(&one.kind),
        };
        // The very object that was shown: another of its name is somebody else's.
        let parameters = DeleteParams {
            preconditions: one.uid.clone().map(|uid| Preconditions { uid: Some(uid), resource_version: None }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        match live.cluster.in_time(&one.words(), api.delete(&one.name, &parameters)).await {
            Ok(_) | Err(ClusterError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn pods_gone(&self, live: &Live, drawn: &Drawn, operation: &Operation) -> Result<()> {
        // Also where an earlier removal took the Deployment and was cut off.
        let places: BTreeSet<&String> = drawn
            .found
            .iter()
            .filter(|one| matches!(one.kind, kinds::DEPLOYMENT | kinds::SERVICE_ACCOUNT))
            .filter_map(|one| one.namespace.as_ref())
            .collect();
        let end = tokio::time::Instant::now() + GONE;
        let selector = ListParams::default().labels(&format!("{NAME_LABEL}={AGENT}"));
        for place in places {
            let api = live.cluster.api(&kinds::POD, place);
            loop {
                match live.cluster.in_time("the agent's pods", api.list_metadata(&selector)).await {
                    Ok(list) if list.items.is_empty() => break,
                    Ok(_) if tokio::time::Instant::now() < end => {
                        operation.check()?;
                        tokio::time::sleep(LOOK).await;
                    }
                    Ok(list) => {
                        let name = list.items.into_iter().next().and_then(|one| one.metadata.name).unwrap_or_default();
                        return Err(AppError::new(ErrorCode::Timeout, format!("the pod {name} does not end"))
                            .with_hint("its node may be away; remove the agent again when the pod is gone"));
                    }
                    // Who may not see pods cannot wait for them.
                    Err(ClusterError::Forbidden { .. }) => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Those of the objects that are still there. A kind has no uid here: whichever has its name is meant.
    async fn still_there(&self, live: &Live, objects: &[Found]) -> Result<Vec<Found>> {
        let mut left = Vec::new();
        for one in objects {
            let api = match &one.namespace {
                Some(namespace) => live.cluster.api(&one.kind, namespace),
                None => live.cluster.api_all(&one.kind),
            };
            let now = live.cluster.in_time("what is left", api.get_metadata_opt(&one.name)).await;
            if let Ok(Some(now)) = now
                && (one.uid.is_none() || now.metadata.uid == one.uid)
            {
                left.push(one.clone());
            }
        }
        Ok(left)
    }

    /// Whether anything is left of a removal that was begun here and cut off, where nothing else tells of an agent.
    pub(super) async fn remains(&self, live: &Live, with_kinds: bool) -> Result<bool> {
        let drawn = self.draw_removal(live).await?;
        if !drawn.found.is_empty() || !drawn.leases.free.is_empty() {
            return Ok(true);
        }
        let named = |name| Found { kind: kinds::CRD, namespace: None, name, uid: None };
        let all: Vec<Found> = kind_names().into_iter().filter(|_| with_kinds).map(named).collect();
        Ok(!self.still_there(live, &all).await?.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_namespace_holds_keeps_none() {
        assert!(is_usual("ConfigMap", "kube-root-ca.crt") && is_usual("ServiceAccount", "default"));
        assert!(is_usual("Secret", "default-token-x7f2c"));
        assert!(!is_usual("Secret", "kube-root-ca.crt") && !is_usual("ConfigMap", "settings"));
        assert_eq!(many(1, "trigger", "triggers"), "1 trigger");
        assert_eq!(many(0, "trigger", "triggers"), "0 triggers");
    }
}
