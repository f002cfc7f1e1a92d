//! How lists and maps of an object merge: as a whole, as a set, or by key.

use serde_json::{Value, json};

use super::kinds::KindDef;

/// How a list merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListShape {
    /// As a whole.
    Atomic,
    /// As a set of scalars.
    Set,
    /// Item by item, found by these keys.
    Keyed(Vec<String>),
}

/// One place in an object, with what is known of its merge rules.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'a> {
    /// Built-in types and all metadata; the field's name and its parent's tell the rule.
    Builtin(&'a str, &'a str),
    /// A node of a custom kind's schema; the flag marks the resource's root.
    Schema(&'a Value, bool),
    /// Nothing is known: maps merge, lists are atomic.
    Free,
}

/// Keyed lists of built-in types: (parent, field, keys); an empty parent fits any.
const KEYED: &[(&str, &str, &[&str])] = &[
    ("", "containers", &["name"]),
    ("", "initContainers", &["name"]),
    ("", "ephemeralContainers", &["name"]),
    ("", "volumes", &["name"]),
    ("", "env", &["name"]),
    ("", "volumeMounts", &["mountPath"]),
    ("", "volumeDevices", &["devicePath"]),
    ("", "imagePullSecrets", &["name"]),
    ("", "hostAliases", &["ip"]),
    ("", "conditions", &["type"]),
    ("", "ownerReferences", &["uid"]),
    ("", "topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("spec", "ports", &["port", "protocol"]),
    ("", "ports", &["containerPort", "protocol"]),
    ("", "secrets", &["name"]),
    ("", "resourceClaims", &["name"]),
];

impl<'a> Shape<'a> {
    /// The shape of a kind's objects.
    pub fn of(kind: &'a KindDef) -> Self {
        match &kind.schema {
            Some(schema) => Shape::Schema(schema, true),
            None => Shape::Builtin("", ""),
        }
    }

    /// The shape of a field.
    pub fn field(self, name: &'a str) -> Self {
        match self {
            Shape::Builtin(_, own) => Shape::Builtin(own, name),
            Shape::Schema(_, true) if name == "metadata" => Shape::Builtin("", "metadata"),
            Shape::Schema(node, _) => {
                if let Some(child) = node["properties"].get(name) {
                    Shape::Schema(child, false)
                } else if node["additionalProperties"].is_object() {
                    Shape::Schema(&node["additionalProperties"], false)
                } else {
                    Shape::Free
                }
            }
            Shape::Free => Shape::Free,
        }
    }

    /// The shape of a list's items.
    pub fn item(self) -> Self {
        match self {
            Shape::Builtin(_, own) => Shape::Builtin(own, ""),
            Shape::Schema(node, _) if node["items"].is_object() => Shape::Schema(&node["items"], false),
            _ => Shape::Free,
        }
    }

    /// How a list at this place merges.
    pub fn list(self) -> ListShape {
        match self {
            Shape::Builtin(_, "finalizers") => ListShape::Set,
            Shape::Builtin(parent, own) => KEYED
                .iter()
                .find(|(p, field, _)| *field == own && (p.is_empty() || *p == parent))
                .map_or(ListShape::Atomic, |(_, _, keys)| {
                    ListShape::Keyed(keys.iter().map(|k| (*k).to_owned()).collect())
                }),
            Shape::Schema(node, _) => match node["x-kubernetes-list-type"].as_str() {
                Some("set") => ListShape::Set,
                Some("map") => ListShape::Keyed(
                    node["x-kubernetes-list-map-keys"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|k| k.as_str().map(str::to_owned))
                        .collect(),
                ),
                _ => ListShape::Atomic,
            },
            Shape::Free => ListShape::Atomic,
        }
    }

    /// Whether a map at this place merges as a whole.
    pub fn is_atomic_map(self) -> bool {
        match self {
            Shape::Builtin(_, own) => ["selector", "nodeSelector", "labelSelector"].contains(&own),
            Shape::Schema(node, _) => node["x-kubernetes-map-type"] == "atomic",
            Shape::Free => false,
        }
    }
}

/// The key of a keyed list's item, with the API's default where a key field may be left out.
pub fn item_key(keys: &[String], item: &Value) -> Value {
    let pick = |key: &String| {
        let value = match &item[key] {
            Value::Null if key == "protocol" => json!("TCP"),
            other => other.clone(),
        };
        (key.clone(), value)
    };
    Value::Object(keys.iter().map(pick).collect())
}
