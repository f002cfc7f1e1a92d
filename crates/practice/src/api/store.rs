//! The store: objects by key, and a bounded log of changes. Pure and synchronous, behind one lock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::garbage;
use super::kinds::{KindDef, Registry};
use super::status_errors::Refusal;

/// Where an object lies; the order is the order of lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// API group, empty for the core group.
    pub group: String,
    /// Plural name of the resource.
    pub plural: String,
    /// Namespace, empty for cluster-wide objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// The key of an object of this kind.
    pub fn new(kind: &KindDef, namespace: &str, name: &str) -> Self {
        Self {
            group: kind.group.clone(),
            plural: kind.plural.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// One write: what stood there before, what stands there now.
#[derive(Debug, Clone)]
pub struct Change {
    /// The resource version that the write got.
    pub version: u64,
    /// The object's key.
    pub key: Key,
    /// The object before, if it existed.
    pub before: Option<Arc<Value>>,
    /// The object after; of a deleted one, its last state with the version of its deletion.
    pub after: Arc<Value>,
    /// Whether the object is gone.
    pub deleted: bool,
}

/// The first resource version handed out. Above zero by far, so that version 1 is always too old, as on a server
/// that has lived for a while.
const FIRST_VERSION: u64 = 1_000;

/// Everything the server holds.
#[derive(Debug)]
pub struct State {
    version: u64,
    floor: u64,
    log_limit: usize,
    objects: BTreeMap<Key, Arc<Value>>,
    log: VecDeque<Change>,
    /// The kinds now served.
    pub kinds: Registry,
    /// Whether something happened that garbage collection must look at.
    pub unsettled: bool,
}

impl State {
    fn new(log_limit: usize) -> Self {
        Self {
            version: FIRST_VERSION,
            floor: FIRST_VERSION,
            log_limit,
            objects: BTreeMap::new(),
            log: VecDeque::new(),
            kinds: Registry::default(),
            unsettled: false,
        }
    }

    /// The newest resource version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.objects.get(key).cloned()
    }

    /// All objects with their keys.
    pub fn objects(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// The objects of one resource, in one namespace or in all.
    pub fn scan<'a>(
        &'a self,
        group: &'a str,
        plural: &'a str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let from = Key {
            group: group.to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.unwrap_or_default().to_owned(),
            name: String::new(),
        };
        self.objects.range(from..).take_while(move |(key, _)| {
            key.group == group && key.plural == plural && namespace.is_none_or(|n| key.namespace == n)
        })
    }

    /// Writes an object and gives it its resource version.
    pub fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let after = Arc::new(object);
        let before = self.objects.insert(key.clone(), after.clone());
        let owners = |o: &Value| o["metadata"]["ownerReferences"].is_array();
        let leaving = |o: &Value| o["metadata"]["deletionTimestamp"].is_string();
        self.unsettled |= owners(&after) || leaving(&after);
        self.record(Change { version: self.version, key, before, after: after.clone(), deleted: false });
        after
    }

    /// Removes an object; returns its last state.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.version += 1;
        let mut last = (*before).clone();
        last["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let after = Arc::new(last);
        self.unsettled = true;
        let change = Change {
            version: self.version,
            key: key.clone(),
            before: Some(before),
            after: after.clone(),
            deleted: true,
        };
        self.record(change);
        Some(after)
    }

    fn record(&mut self, change: Change) {
        self.log.push_back(change);
        while self.log.len() > self.log_limit {
            if let Some(old) = self.log.pop_front() {
                self.floor = old.version;
            }
        }
    }

    /// Whether changes after this version are all still known.
    pub fn remembers(&self, version: u64) -> bool {
        version >= self.floor
    }

    /// The changes after a version, oldest first; refused with 410 when some are forgotten.
    pub fn changes_after(&self, version: u64) -> Result<impl Iterator<Item = &Change>, Refusal> {
        if !self.remembers(version) {
            return Err(Refusal::expired(format!("too old resource version: {version} ({})", self.floor)));
        }
        let from = self.log.partition_point(|c| c.version <= version);
        Ok(self.log.range(from..))
    }

    /// The objects of one resource as they were at a version.
    pub fn scan_at(
        &self,
        version: u64,
        kind: &KindDef,
        namespace: Option<&str>,
    ) -> Result<BTreeMap<Key, Arc<Value>>, Refusal> {
        let own = |key: &Key| kind.is(&key.group, &key.plural) && namespace.is_none_or(|n| key.namespace == n);
        let changes = self.changes_after(version)?.filter(|c| own(&c.key)).collect::<Vec<_>>();
        let mut out = self
            .scan(&kind.group, &kind.plural, namespace)
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect::<BTreeMap<_, _>>();
        for change in changes.into_iter().rev() {
            match &change.before {
                Some(before) => out.insert(change.key.clone(), before.clone()),
                None => out.remove(&change.key),
            };
        }
        Ok(out)
    }

    /// Puts these objects, as they are, in the place of all that is here; the kinds that they define are served.
    /// The log starts at `version`: older ones are answered with 410.
    pub fn refill(&mut self, version: u64, objects: impl Iterator<Item = (Key, Arc<Value>)>) {
        self.objects = objects.collect();
        self.kinds = Registry::default();
        for (key, object) in &self.objects {
            if key.plural == "customresourcedefinitions" {
                self.kinds.register(object);
            }
        }
        self.log.clear();
        self.version = self.version.max(version);
        self.floor = self.version;
        self.unsettled = true;
    }

    /// Forgets all changes so far: older versions are answered with 410 from now on.
    pub fn compact(&mut self) {
        self.log.clear();
        self.floor = self.version;
    }
}

/// The lock around the state, and the bell that watches wait for.
#[derive(Debug)]
pub struct Store {
    state: Mutex<State>,
    bell: watch::Sender<u64>,
}

impl Store {
    /// An empty store that remembers this many changes.
    pub fn new(log_limit: usize) -> Self {
        let state = State::new(log_limit);
        let bell = watch::Sender::new(state.version);
        Self { state: Mutex::new(state), bell }
    }

    /// Looks at or changes the state, collects garbage, and wakes the watches.
    pub fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        // A panic in between would leave whole objects behind, never half ones: the state stays usable.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.version;
        let out = act(&mut state);
        garbage::settle(&mut state);
        if state.version != before {
            self.bell.send_replace(state.version);
        }
        out
    }

    /// A bell that rings on every write.
    pub fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }
}
