//! A live picture of some kinds of object, kept by watches.
//!
//! One lock holds the whole picture and is never held across an await; readers get snapshots of shared objects.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::connect::Cluster;
use crate::error::Error;
use crate::explain::{explain, explain_watch};
use crate::kinds::Kind;

/// Called after each change of a kind's objects or state, without any lock held. It must not block.
pub type OnChange = Arc<dyn Fn(&Kind) + Send + Sync>;

/// What to watch. Secrets are best left out: the index would hold their content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSpec {
    /// The kind.
    pub kind: Kind,
    /// The namespace; none for all.
    pub namespace: Option<String>,
    /// A label selector.
    pub labels: Option<String>,
}

impl WatchSpec {
    /// A kind in one namespace.
    pub fn in_namespace(kind: Kind, namespace: &str) -> Self {
        Self { kind, namespace: Some(namespace.to_owned()), labels: None }
    }

    /// A kind in all namespaces.
    pub fn everywhere(kind: Kind) -> Self {
        Self { kind, namespace: None, labels: None }
    }
}

/// How current the picture of a kind is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchState {
    /// The first list is under way.
    Starting,
    /// Every change arrives as it happens.
    Live,
    /// The user may list but not watch: the list is asked for again and again.
    Polling,
    /// The cluster does not have the kind; looked for again from time to time.
    Absent,
    /// The user may not list the kind: the server's words.
    Forbidden(String),
    /// The connection failed and is tried again; the objects are the last known.
    Retrying(String),
}

impl WatchState {
    /// How much is missing from the picture. What a person has to mend outweighs what mends itself.
    fn gravity(&self) -> u8 {
        match self {
            Self::Live => 0,
            Self::Polling => 1,
            Self::Starting => 2,
            Self::Retrying(_) => 3,
            Self::Absent => 4,
            Self::Forbidden(_) => 5,
        }
    }
}

/// The index' intervals.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// How often a kind is listed that may not be watched, or not be listed yet.
    pub poll: Duration,
    /// After how many polls the watch is tried again: rights change.
    pub polls_before_watch: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { poll: Duration::from_secs(10), polls_before_watch: 6 }
    }
}

type Objects = HashMap<(String, String), Arc<DynamicObject>>;

struct Slot {
    spec: WatchSpec,
    state: WatchState,
    objects: Objects,
}

struct Shared {
    slots: Mutex<Vec<Slot>>,
    on_change: OnChange,
    changes: watch::Sender<u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes one slot, and tells if `change` says that something changed.
    fn change(&self, at: usize, change: impl FnOnce(&mut Slot) -> bool) {
        let kind = {
            let mut slots = self.lock();
            let Some(slot) = slots.get_mut(at) else { return };
            if !change(slot) {
                return;
            }
            slot.spec.kind
        };
        self.changes.send_modify(|count| *count += 1);
        (self.on_change)(&kind);
    }

    fn set_state(&self, at: usize, state: WatchState) {
        self.change(at, |slot| {
            let changed = slot.state != state;
            slot.state = state;
            changed
        });
    }

    fn set_objects(&self, at: usize, objects: Objects, state: WatchState) {
        self.change(at, |slot| {
            let changed = slot.state != state || !same(&slot.objects, &objects);
            slot.state = state;
            slot.objects = objects;
            changed
        });
    }
}

/// Whether two pictures hold the same versions of the same objects.
fn same(old: &Objects, new: &Objects) -> bool {
    let version = |object: &DynamicObject| object.metadata.resource_version.clone();
    old.len() == new.len()
        && new.iter().all(|(key, object)| old.get(key).is_some_and(|other| version(other) == version(object)))
}

/// A live picture of some kinds; dropping it stops its watches.
pub struct LiveIndex {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

impl fmt::Debug for LiveIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.shared.lock();
        let list = slots.iter().map(|slot| (slot.spec.kind.plural, &slot.state, slot.objects.len()));
        f.debug_list().entries(list).finish()
    }
}

impl LiveIndex {
    /// Starts the watches, on the current Tokio runtime.
    pub fn start(cluster: &Cluster, specs: Vec<WatchSpec>, on_change: OnChange) -> Self {
        Self::start_with(cluster, specs, on_change, Tuning::default())
    }

    /// As [`LiveIndex::start`], with other intervals.
    pub fn start_with(cluster: &Cluster, specs: Vec<WatchSpec>, on_change: OnChange, tuning: Tuning) -> Self {
        let slot = |spec: &WatchSpec| Slot { spec: spec.clone(), state: WatchState::Starting, objects: Objects::new() };
        let shared = Arc::new(Shared {
            slots: Mutex::new(specs.iter().map(slot).collect()),
            on_change,
            changes: watch::channel(0).0,
        });
        let tasks = specs.into_iter().enumerate().map(|(at, spec)| {
            let api = match &spec.namespace {
                Some(namespace) => cluster.api(&spec.kind, namespace),
                None => cluster.api_all(&spec.kind),
            };
            tokio::spawn(keep(shared.clone(), at, api, spec, tuning)).abort_handle()
        });
        Self { tasks: tasks.collect(), shared: shared.clone() }
    }

    /// The known objects of a kind, in no order.
    pub fn list(&self, kind: &Kind) -> Vec<Arc<DynamicObject>> {
        let slots = self.shared.lock();
        let mut of_kind = slots.iter().filter(|slot| slot.spec.kind == *kind).peekable();
        let Some(first) = of_kind.next() else { return Vec::new() };
        if of_kind.peek().is_none() {
            return first.objects.values().cloned().collect();
        }
        // Two watches of one kind may see the same object.
        let mut all: HashMap<&(String, String), &Arc<DynamicObject>> = first.objects.iter().collect();
        all.extend(of_kind.flat_map(|slot| &slot.objects));
        all.into_values().cloned().collect()
    }

    /// The objects of a kind in a namespace, as long as a watch that shows all of them is up; else `None`.
    pub fn list_live(&self, kind: &Kind, namespace: &str) -> Option<Vec<Arc<DynamicObject>>> {
        let slots = self.shared.lock();
        let shows = |spec: &WatchSpec| {
            spec.kind == *kind && spec.labels.is_none() && spec.namespace.as_deref().is_none_or(|of| of == namespace)
        };
        let slot = slots.iter().find(|slot| shows(&slot.spec) && slot.state == WatchState::Live)?;
        Some(slot.objects.iter().filter(|((of, _), _)| of == namespace).map(|(_, object)| object.clone()).collect())
    }

    /// One object; the namespace is empty for kinds outside namespaces.
    pub fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        let key = (namespace.to_owned(), name.to_owned());
        let slots = self.shared.lock();
        slots.iter().filter(|slot| slot.spec.kind == *kind).find_map(|slot| slot.objects.get(&key).cloned())
    }

    /// How current a kind is: of several watches of it, the state of the worst. Absent if it is not watched.
    pub fn state(&self, kind: &Kind) -> WatchState {
        self.worst(|spec| spec.kind == *kind)
    }

    /// How current the objects of a kind in one namespace are, whatever the watches of other namespaces see. Absent if
    /// they are not watched.
    pub fn state_in(&self, kind: &Kind, namespace: &str) -> WatchState {
        self.worst(|spec| spec.kind == *kind && spec.namespace.as_deref().is_none_or(|of| of == namespace))
    }

    fn worst(&self, counts: impl Fn(&WatchSpec) -> bool) -> WatchState {
        let slots = self.shared.lock();
        let states = slots.iter().filter(|slot| counts(&slot.spec)).map(|slot| &slot.state);
        states.max_by_key(|state| state.gravity()).map_or(WatchState::Absent, WatchState::clone)
    }

    /// Counts changes; wakes whoever waits for the next.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Waits until every watch has brought its first list or the reason why there is none.
    pub async fn settled(&self) {
        let mut changes = self.changes();
        // The sender lives as long as we do, so that waiting cannot fail.
        while self.shared.lock().iter().any(|slot| slot.state == WatchState::Starting)
            && changes.changed().await.is_ok()
        {}
    }
}

impl Drop for LiveIndex {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn keep(shared: Arc<Shared>, at: usize, api: Api<DynamicObject>, spec: WatchSpec, tuning: Tuning) {
    loop {
        follow(&shared, at, &api, &spec).await;
        // The watch is of no use now: forbidden, or the kind is absent.
        for _ in 0..tuning.polls_before_watch {
            poll(&shared, at, &api, &spec).await;
            tokio::time::sleep(tuning.poll).await;
            if shared.lock().get(at).is_some_and(|slot| slot.state != WatchState::Polling) {
                // Not even a list: the watch begins with one, and costs no more.
                break;
            }
        }
    }
}

/// Watches until that is refused. Expired watches (410) are begun anew with a list, failed connections with growing
/// pauses; both by kube's watcher.
async fn follow(shared: &Shared, at: usize, api: &Api<DynamicObject>, spec: &WatchSpec) {
    let mut config = watcher::Config::default();
    if let Some(labels) = &spec.labels {
        config = config.labels(labels);
    }
    let mut events = watcher(api.clone(), config).default_backoff().boxed();
    let mut listed = Objects::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed = Objects::new(),
            Ok(watcher::Event::InitApply(object)) => {
                let (key, object) = entry(object);
                listed.insert(key, object);
            }
            Ok(watcher::Event::InitDone) => shared.set_objects(at, std::mem::take(&mut listed), WatchState::Live),
            Ok(watcher::Event::Apply(object)) => {
                let (key, object) = entry(object);
                shared.change(at, |slot| {
                    let was = std::mem::replace(&mut slot.state, WatchState::Live);
                    if slot.objects.get(&key).is_some_and(|held| is_older(&object, held)) {
                        return was != WatchState::Live;
                    }
                    slot.objects.insert(key, object);
                    true
                });
            }
            Ok(watcher::Event::Delete(object)) => {
                let (key, _) = entry(object);
                shared.change(at, |slot| {
                    slot.state = WatchState::Live;
                    slot.objects.remove(&key).is_some()
                });
            }
            Err(error) => match explain_watch(&error) {
                Error::Forbidden { .. } | Error::NotFound { .. } => return,
                // Ordinary: the watcher lists anew at once, and the objects stay good until then.
                Error::Gone { .. } => {}
                other => shared.set_state(at, WatchState::Retrying(other.to_string())),
            },
        }
    }
}

/// Whether an object is an earlier state of the very object that is held, as an event that comes late brings it. Versions
/// of one object grow, as numbers; what is no number is never taken for older.
fn is_older(object: &DynamicObject, held: &DynamicObject) -> bool {
    let version = |of: &DynamicObject| of.metadata.resource_version.as_ref()?.parse::<u64>().ok();
    object.metadata.uid == held.metadata.uid
        && version(object).zip(version(held)).is_some_and(|(late, known)| late < known)
}

/// Lists once.
async fn poll(shared: &Shared, at: usize, api: &Api<DynamicObject>, spec: &WatchSpec) {
    let mut params = ListParams::default().limit(500);
    params.label_selector = spec.labels.clone();
    let mut objects = Objects::new();
    loop {
        match api.list(&params).await {
            Ok(page) => {
                objects.extend(page.items.into_iter().map(entry));
                match page.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => params.continue_token = Some(token),
                    None => return shared.set_objects(at, objects, WatchState::Polling),
                }
            }
            Err(error) => {
                return match explain(&error) {
                    Error::Forbidden { message, .. } => {
                        shared.set_objects(at, Objects::new(), WatchState::Forbidden(message));
                    }
                    Error::NotFound { .. } => shared.set_objects(at, Objects::new(), WatchState::Absent),
                    other => shared.set_state(at, WatchState::Retrying(other.to_string())),
                };
            }
        }
    }
}

/// An object and its key. Who manages which field is half of an object's size, and nobody here asks.
fn entry(mut object: DynamicObject) -> ((String, String), Arc<DynamicObject>) {
    object.metadata.managed_fields = None;
    let key = (object.metadata.namespace.clone().unwrap_or_default(), object.metadata.name.clone().unwrap_or_default());
    (key, Arc::new(object))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{CONFIG_MAP, POD};

    fn index(states: Vec<(&str, WatchState)>) -> LiveIndex {
        let slot = |(namespace, state): (&str, WatchState)| Slot {
            spec: WatchSpec::in_namespace(CONFIG_MAP, namespace),
            state,
            objects: Objects::new(),
        };
        let slots = Mutex::new(states.into_iter().map(slot).collect());
        let shared = Shared { slots, on_change: Arc::new(|_| {}), changes: watch::channel(0).0 };
        LiveIndex { shared: Arc::new(shared), tasks: Vec::new() }
    }

    #[test]
    fn of_several_watches_the_worst_is_told() {
        use WatchState::{Absent, Forbidden, Live, Polling, Retrying, Starting};
        let by_gravity = || [Live, Polling, Starting, Retrying("later".into()), Absent, Forbidden("no".into())];
        for (worse, last) in by_gravity().into_iter().enumerate() {
            for first in by_gravity().into_iter().take(worse + 1) {
                for states in [[("a", first.clone()), ("b", last.clone())], [("a", last.clone()), ("b", first.clone())]]
                {
                    let index = index(states.to_vec());
                    assert_eq!(index.state(&CONFIG_MAP), last, "{states:?}");
                    for (namespace, state) in states {
                        assert_eq!(index.state_in(&CONFIG_MAP, namespace), state, "its own watch alone counts");
                    }
                }
            }
        }
        assert_eq!(index(vec![("a", Live)]).state(&POD), Absent);
        assert_eq!(index(vec![("a", Live)]).state_in(&CONFIG_MAP, "b"), Absent);
    }

    #[test]
    fn only_an_earlier_state_of_the_very_object_is_older() {
        let object = |uid: &str, version: Option<&str>| {
            let (uid, resource_version) = (Some(uid.to_owned()), version.map(str::to_owned));
            let metadata = kube::api::ObjectMeta { uid, resource_version, ..Default::default() };
            DynamicObject { types: None, metadata, data: serde_json::Value::Null }
        };
        let held = object("a", Some("100"));
        assert!(is_older(&object("a", Some("99")), &held), "as numbers, not as texts");
        assert!(!is_older(&object("a", Some("100")), &held));
        assert!(!is_older(&object("a", Some("101")), &held));
        assert!(!is_older(&object("b", Some("99")), &held), "another object of that name");
        assert!(!is_older(&object("a", Some("x")), &held) && !is_older(&object("a", None), &held));
    }
}
