//! What is around the triggers, from the indexes.

use crate::error::Reason;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::api::DynamicObject;
use pilothouse_cluster::{Cluster, Kind, LiveIndex, WatchSpec, WatchState, kinds};
use serde_json::Value;
use tokio::time::Instant;

use super::trigger::{Trigger, kind_of};
use crate::surroundings::{Budget, Budgets, HALT_LABEL, OpenRun, PROTECTED_LABEL, Surroundings};

/// How soon a Namespace is asked for again that cannot be watched.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Disruption budgets as servers before Kubernetes 1.21 have them.
const OLDER_BUDGET: Kind = Kind { version: "v1beta1", ..kinds::POD_DISRUPTION_BUDGET };

/// What to watch for a set of triggers, besides themselves.
pub(super) fn wanted(triggers: &[Trigger], namespaces: &[String]) -> Vec<WatchSpec> {
    let mut workloads = BTreeSet::new();
    let mut budgets = BTreeSet::new();
    for trigger in triggers.iter().filter(|trigger| trigger.is_valid()) {
        let target = &trigger.spec.target;
        workloads.insert((target.kind, target.namespace.clone()));
        if trigger.spec.guards.respect_disruption_budget {
            budgets.insert(target.namespace.clone());
        }
    }
    let mut specs: Vec<WatchSpec> = Vec::new();
    specs.extend(workloads.iter().map(|(kind, namespace)| WatchSpec::in_namespace(kind_of(*kind), namespace)));
    for kind in [kinds::POD_DISRUPTION_BUDGET, OLDER_BUDGET] {
        specs.extend(budgets.iter().map(|namespace| WatchSpec::in_namespace(kind, namespace)));
    }
    let labelled = |spec: WatchSpec, label: &str| WatchSpec { labels: Some(label.to_owned()), ..spec };
    specs.push(labelled(WatchSpec::everywhere(kinds::NAMESPACE), &format!("{PROTECTED_LABEL}=true")));
    if namespaces.is_empty() {
        specs.push(labelled(WatchSpec::everywhere(kinds::CONFIG_MAP), HALT_LABEL));
    }
    specs.extend(
        namespaces.iter().map(|namespace| labelled(WatchSpec::in_namespace(kinds::CONFIG_MAP, namespace), HALT_LABEL)),
    );
    specs
}

type Objects = Vec<Arc<DynamicObject>>;

/// What was last seen of halts and of protected namespaces. An index is empty both when there is nothing and when
/// nothing may be seen, which must not be taken for one another.
#[derive(Default)]
pub(super) struct Memory {
    halts: Option<Objects>,
    protected: Option<Objects>,
    /// Namespaces that were asked about one by one, when, and whether they are protected.
    asked: HashMap<String, (Instant, Result<bool, Reason>)>,
}

/// What is known of something watched: what is there; what was there last, while a connection that failed is tried
/// again; or why nothing is known.
fn known(state: WatchState, there: Objects, last: &mut Option<Objects>) -> Result<Objects, Reason> {
    let why = match state {
        WatchState::Live | WatchState::Polling => {
            *last = Some(there.clone());
            return Ok(there);
        }
        WatchState::Retrying(words) => return last.clone().ok_or(words.into()),
        WatchState::Starting => "it is being read".to_owned(),
        WatchState::Absent => "the cluster does not serve it".to_owned(),
        WatchState::Forbidden(words) => words,
    };
    *last = None;
    Err(why.into())
}

/// As [`known`], of a kind in an index.
fn known_of(index: &LiveIndex, kind: &Kind, last: &mut Option<Objects>) -> Result<Objects, Reason> {
    let before = index.state(kind);
    let there = index.list(kind);
    // The two are read one after the other, so that a list might be one of another moment than its state.
    let state = if index.state(kind) == before { before } else { WatchState::Starting };
    known(state, there, last)
}

/// Whether a Namespace that was asked for is protected; an error when that cannot be told.
fn marked(namespace: &str, answer: Result<Option<DynamicObject>, pilothouse_cluster::Error>) -> Result<bool, Reason> {
    match answer {
        Ok(Some(object)) => {
            let labels = object.metadata.labels.unwrap_or_default();
            Ok(labels.get(PROTECTED_LABEL).is_some_and(|value| value == "true"))
        }
        Ok(None) => Err(format!("there is no Namespace {namespace}").into()),
        Err(error @ pilothouse_cluster::Error::Forbidden { .. }) => {
            Err(format!("the right to get the Namespace {namespace} is missing: {error}").into())
        }
        Err(error) => Err(error.to_string().into()),
    }
}

impl Memory {
    /// Why the triggers of each namespace are halted, where they are.
    ///
    /// # Errors
    /// Why that cannot be told, in words.
    pub(super) fn halts(&mut self, index: &LiveIndex) -> Result<BTreeMap<String, String>, Reason> {
        let read = |object: &DynamicObject| {
            let reason = object.data.pointer("/data/reason").and_then(Value::as_str).unwrap_or("no reason is given");
            Some((object.metadata.namespace.clone()?, reason.chars().take(200).collect()))
        };
        let found = known_of(index, &kinds::CONFIG_MAP, &mut self.halts)?;
        Ok(found.iter().filter_map(|object| read(object)).collect())
    }

    /// The protected namespaces, and those of which that cannot be told. Who may not list Namespaces may often get
    /// those that they work in.
    pub(super) async fn protection(
        &mut self,
        cluster: &Cluster,
        triggers: &[Trigger],
        index: &LiveIndex,
    ) -> (Vec<String>, BTreeMap<String, String>) {
        if let Ok(found) = known_of(index, &kinds::NAMESPACE, &mut self.protected) {
            self.asked.clear();
            return (found.iter().filter_map(|one| one.metadata.name.clone()).collect(), BTreeMap::new());
        }
        let (mut protected, mut unread) = (Vec::new(), BTreeMap::new());
        self.asked.retain(|_, (when, _)| when.elapsed() < ASK_AGAIN);
        let api = cluster.api_all(&kinds::NAMESPACE);
        let mut trouble: Option<String> = None;
        let valid = triggers.iter().filter(|trigger| trigger.is_valid());
        let targets: BTreeSet<&str> = valid.map(|trigger| trigger.spec.target.namespace.as_str()).collect();
        for namespace in targets {
            let answer = match (self.asked.get(namespace), &trouble) {
                (Some((_, answer)), _) => answer.clone(),
                // One that fails may take long; nobody waits for all of them.
                (None, Some(trouble)) => Err(trouble.clone().into()),
                (None, None) => {
                    let answer = cluster.in_time("read a Namespace", api.get_opt(namespace)).await;
                    let failed = answer.as_ref().err().filter(|error| error.is_transient());
                    trouble = failed.map(ToString::to_string);
                    let answer = marked(namespace, answer);
                    self.asked.insert(namespace.to_owned(), (Instant::now(), answer.clone()));
                    answer
                }
            };
            match answer {
                Ok(true) => protected.push(namespace.to_owned()),
                Ok(false) => {}
                Err(why) => {
                    unread.insert(namespace.to_owned(), why.into());
                }
            }
        }
        (protected, unread)
    }
}

/// Runs that an engine started and that the index does not show yet, with their triggers and workloads, and since when.
pub(super) type Started = HashMap<String, (String, String, Instant)>;

/// What is not shown after so long was never written into a status, and holds nothing back any more.
const UNSHOWN: Duration = Duration::from_secs(120);

/// The runs around all triggers.
pub(super) fn around(triggers: &[Trigger], started: &mut Started) -> Surroundings {
    let mut open = Vec::new();
    for trigger in triggers {
        let names = |run: &String| {
            trigger.status.observed.iter().any(|one| one.last_run.as_ref().is_some_and(|last| last.name == *run))
        };
        started.retain(|run, (uid, ..)| *uid != trigger.uid || !names(run));
        open.extend(trigger.status.open_runs().into_iter().map(|(run, workload)| OpenRun {
            run: run.to_owned(),
            trigger: trigger.uid.clone(),
            workload: workload.to_owned(),
        }));
    }
    started
        .retain(|_, (uid, _, since)| since.elapsed() < UNSHOWN && triggers.iter().any(|trigger| trigger.uid == *uid));
    open.extend(started.iter().map(|(run, (trigger, workload, _))| OpenRun {
        run: run.clone(),
        trigger: trigger.clone(),
        workload: workload.clone(),
    }));
    Surroundings { open, ..Surroundings::default() }
}

/// The disruption budgets of a namespace, in whichever version the cluster serves them.
pub(super) fn budgets(index: &LiveIndex, namespace: &str) -> Budgets {
    let kinds = [kinds::POD_DISRUPTION_BUDGET, OLDER_BUDGET];
    let [newer, older] = kinds.map(|kind| index.state_in(&kind, namespace));
    let (kind, state) = if newer == WatchState::Absent { (OLDER_BUDGET, older) } else { (kinds[0], newer) };
    match state {
        WatchState::Live | WatchState::Polling => {
            let all = index.list(&kind).into_iter().filter(|one| one.metadata.namespace.as_deref() == Some(namespace));
            let read = |one: Arc<DynamicObject>| {
                let mut object = serde_json::to_value(&*one).ok()?;
                // A list does not say it of each.
                object["apiVersion"] = kind.api_version().into();
                Some(Budget::read(&object))
            };
            Budgets::Known(all.filter_map(read).collect())
        }
        WatchState::Starting => Budgets::Unknown("they are being read".to_owned()),
        WatchState::Absent => Budgets::Unknown("the cluster serves none".to_owned()),
        WatchState::Forbidden(words) | WatchState::Retrying(words) => Budgets::Unknown(words),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn namespace(labels: Value) -> DynamicObject {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn an_empty_list_is_known_only_when_it_could_be_seen() {
        let there = || vec![Arc::new(namespace(json!({})))];
        let retrying = || WatchState::Retrying("no route".into());
        let mut last = None;
        assert!(known(WatchState::Starting, Vec::new(), &mut last).is_err());
        assert_eq!(known(retrying(), Vec::new(), &mut last).unwrap_err(), "no route".into(), "nothing was seen yet");
        assert!(known(WatchState::Live, Vec::new(), &mut last).unwrap().is_empty());
        assert_eq!(known(WatchState::Polling, there(), &mut last).unwrap().len(), 1);
        // The objects last seen stay known, even when the index has let go of them.
        assert_eq!(known(retrying(), Vec::new(), &mut last).unwrap().len(), 1);
        let forbidden = WatchState::Forbidden("cannot list".into());
        assert_eq!(known(forbidden, Vec::new(), &mut last).unwrap_err(), "cannot list".into());
        assert!(known(retrying(), Vec::new(), &mut last).is_err(), "what was seen before is too old");
        assert!(known(WatchState::Absent, Vec::new(), &mut last).is_err());
    }

    #[test]
    fn a_namespace_that_cannot_be_read_is_in_doubt() {
        let read = |labels: Value| marked("shop", Ok(Some(namespace(labels))));
        assert_eq!(read(json!({PROTECTED_LABEL: "true"})), Ok(true));
        assert_eq!(read(json!({PROTECTED_LABEL: "false"})), Ok(false));
        assert_eq!(read(json!({})), Ok(false));
        assert!(marked("shop", Ok(None)).is_err());
        let forbidden = pilothouse_cluster::Error::Forbidden {
            verb: "get".into(),
            resource: "namespaces".into(),
            namespace: None,
            message: "olha may not".into(),
        };
        let why = marked("shop", Err(forbidden)).unwrap_err();
        assert!(why.contains("the right to get the Namespace shop") && why.contains("olha may not"), "{why}");
    }
}
