//! A snapshot of the store: every object as it stands, and the newest resource version. Pure: where it is kept is not
//! decided here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::store::{Key, State};

/// The form of a snapshot; another form is not read.
const FORM: u32 = 1;

/// How far versions jump when a snapshot is taken up: a version that was handed out after the snapshot was written is
/// never handed out again, and whoever watched from before is told to list anew.
const JUMP: u64 = 1_000;

/// Leases are renewed every few seconds and mean nothing to another process.
const FLEETING: &str = "coordination.k8s.io";

/// The objects of a server at one version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    form: u32,
    version: u64,
    objects: Vec<Kept>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    group: String,
    plural: String,
    namespace: String,
    name: String,
    object: Arc<Value>,
}

impl Snapshot {
    /// The newest resource version in it.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether this program knows its form.
    pub fn is_known(&self) -> bool {
        self.form == FORM
    }

    /// The state as it stands. Secrets are kept without their values, which belong into no file.
    pub(super) fn of(state: &State) -> Self {
        let objects = state.objects().filter(|(key, _)| key.group != FLEETING).map(|(key, object)| Kept {
            group: key.group.clone(),
            plural: key.plural.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            object: if is_secret(key) { Arc::new(without_values(object)) } else { object.clone() },
        });
        Self { form: FORM, version: state.version(), objects: objects.collect() }
    }

    /// Fills an empty state. `replaced` names the definitions that the caller brings in its own edition.
    pub(super) fn take_up(self, state: &mut State, replaced: impl Fn(&str) -> bool) {
        let defines = |kept: &Kept| kept.plural == "customresourcedefinitions";
        let objects = self.objects.into_iter().filter(|kept| !(defines(kept) && replaced(&kept.name)));
        let objects = objects.map(|kept| {
            let key = Key { group: kept.group, plural: kept.plural, namespace: kept.namespace, name: kept.name };
            (key, kept.object)
        });
        state.refill(self.version.saturating_add(JUMP), objects);
    }
}

/// Whether something worth keeping changed after a version.
pub(super) fn changed_since(state: &State, version: u64) -> bool {
    match state.changes_after(version) {
        Ok(mut changes) => changes.any(|change| change.key.group != FLEETING),
        Err(_) => true,
    }
}

fn is_secret(key: &Key) -> bool {
    key.group.is_empty() && key.plural == "secrets"
}

/// The object with its keys and without what they hold.
fn without_values(secret: &Value) -> Value {
    let mut bare = secret.clone();
    if let Some(data) = bare["data"].as_object_mut() {
        data.values_mut().for_each(|value| *value = json!(""));
    }
    if let Some(map) = bare.as_object_mut() {
        map.shift_remove("stringData");
    }
    if let Some(notes) = bare["metadata"]["annotations"].as_object_mut() {
        notes.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    bare
}
