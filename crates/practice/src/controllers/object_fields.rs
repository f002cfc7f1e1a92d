//! Reading fields of objects that may have any shape: a missing or mistyped field reads as
//! empty, never as a failure.

use kube::api::DynamicObject;
use serde_json::{Value, json};

/// Reads of an object whose kind is known only at run time.
pub(crate) trait Fields {
    /// The value at a JSON pointer (`/spec/name`).
    fn at(&self, pointer: &str) -> &Value;

    fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    fn number(&self, pointer: &str) -> i64 {
        self.at(pointer).as_i64().unwrap_or_default()
    }

    fn flag(&self, pointer: &str) -> bool {
        self.at(pointer).as_bool().unwrap_or_default()
    }

    fn items(&self, pointer: &str) -> &[Value] {
        self.at(pointer).as_array().map_or(&[], Vec::as_slice)
    }

    fn texts(&self, pointer: &str) -> Vec<String> {
        self.items(pointer).iter().filter_map(|v| v.as_str().map(str::to_string)).collect()
    }
}

impl Fields for Value {
    fn at(&self, pointer: &str) -> &Value {
        self.pointer(pointer).unwrap_or(&Value::Null)
    }
}

impl Fields for DynamicObject {
    fn at(&self, pointer: &str) -> &Value {
        self.data.pointer(pointer).unwrap_or(&Value::Null)
    }
}

/// Metadata reads that give empty text instead of nothing.
pub(crate) trait Named {
    fn name(&self) -> &str;
    fn ns(&self) -> &str;
    fn uid(&self) -> &str;
    fn label(&self, key: &str) -> &str;
    fn annotation(&self, key: &str) -> &str;
    fn deleting(&self) -> bool;
    /// The name of the owner of this kind, empty when there is none.
    fn owner(&self, kind: &str) -> &str;
    fn owned_by(&self, uid: &str) -> bool;
}

impl Named for DynamicObject {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn ns(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    fn label(&self, key: &str) -> &str {
        let labels = self.metadata.labels.as_ref();
        labels.and_then(|l| l.get(key)).map_or("", String::as_str)
    }

    fn annotation(&self, key: &str) -> &str {
        let annotations = self.metadata.annotations.as_ref();
        annotations.and_then(|a| a.get(key)).map_or("", String::as_str)
    }

    fn deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    fn owner(&self, kind: &str) -> &str {
        let owners = self.metadata.owner_references.as_deref();
        owners.unwrap_or_default().iter().find(|o| o.kind == kind).map_or("", |o| &o.name)
    }

    fn owned_by(&self, uid: &str) -> bool {
        let owners = self.metadata.owner_references.as_deref();
        owners.unwrap_or_default().iter().any(|o| o.uid == uid)
    }
}

/// An owner reference to an object; `controller` marks the one that manages it.
pub(crate) fn owner_reference(kind: super::Kind, owner: &DynamicObject) -> Value {
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.kind,
        "name": owner.name(),
        "uid": owner.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// A short stable text for names, from any input (FNV-1a, as a lower-case base-32 of Kubernetes'
/// own safe letters).
pub(crate) fn short_hash(text: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in text.bytes() {
        hash ^= u64::from(byte);
        hash = hash.wrapping_mul(0x0100_0000_01b3);
    }
    let mut out = String::new();
    for _ in 0..10 {
        out.push(char::from(LETTERS[(hash % LETTERS.len() as u64) as usize]));
        hash /= LETTERS.len() as u64;
    }
    out
}

/// The same text for equal values, whatever order their keys were written in.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut pairs: Vec<_> = fields.iter().map(|(k, v)| format!("{k:?}:{}", canonical(v))).collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(","))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

/// Random letters for generated names.
pub(crate) fn random_suffix(length: usize) -> String {
    short_hash(&fastrand::u64(..).to_string())[..length.min(10)].to_string()
}
