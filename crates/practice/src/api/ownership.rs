//! Field ownership: sets of field paths, and `metadata.managedFields`.
//!
//! The format is that of `sigs.k8s.io/structured-merge-diff` (fieldsV1).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::shape::{ListShape, Shape, item_key};

/// One step of a field path; the text of keys and values is their JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A field of a map.
    Field(String),
    /// An item of a keyed list.
    Key(String),
    /// An item of a set.
    Value(String),
}

/// A path from the object's root.
pub type Path = Vec<Step>;

/// A set of field paths.
pub type FieldSet = BTreeSet<Path>;

impl Step {
    fn encoded(&self) -> String {
        match self {
            Step::Field(name) => format!("f:{name}"),
            Step::Key(key) => format!("k:{key}"),
            Step::Value(value) => format!("v:{value}"),
        }
    }

    fn decoded(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Step::Field(rest.to_owned())),
            "k" => Some(Step::Key(rest.to_owned())),
            "v" => Some(Step::Value(rest.to_owned())),
            _ => None,
        }
    }
}

/// The path as errors show it: `.spec.containers[name="a"].image`.
pub fn shown(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Field(name) => {
                out.push('.');
                out.push_str(name);
            }
            Step::Key(key) => {
                let fields = serde_json::from_str::<Map<String, Value>>(key).unwrap_or_default();
                let list = fields.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
                out.push_str(&format!("[{}]", list.join(",")));
            }
            Step::Value(value) => out.push_str(&format!("[={value}]")),
        }
    }
    out
}

/// The set as fieldsV1 JSON.
pub fn encode(set: &FieldSet) -> Value {
    let mut root = json!({});
    for path in set {
        let mut at = &mut root;
        for step in path {
            at = &mut at[step.encoded()];
            if !at.is_object() {
                *at = json!({});
            }
        }
        if matches!(path.last(), Some(Step::Key(_))) {
            at["."] = json!({});
        }
    }
    root
}

/// Reads fieldsV1 JSON.
pub fn decode(fields: &Value) -> FieldSet {
    fn walk(node: &Value, path: &mut Path, out: &mut FieldSet) {
        let Some(map) = node.as_object() else { return };
        if map.is_empty() && !path.is_empty() {
            out.insert(path.clone());
        }
        for (key, child) in map {
            if key == "." {
                if matches!(path.last(), Some(Step::Key(_))) {
                    out.insert(path.clone());
                }
            } else if let Some(step) = Step::decoded(key) {
                path.push(step);
                walk(child, path, out);
                path.pop();
            }
        }
    }
    let mut out = FieldSet::new();
    walk(fields, &mut Vec::new(), &mut out);
    out
}

/// The leaf fields that an object sets.
pub fn fields_of(shape: Shape<'_>, value: &Value) -> FieldSet {
    let mut out = FieldSet::new();
    collect(shape, value, &mut Vec::new(), &mut out);
    out.retain(|path| !is_system(path));
    out
}

fn collect(shape: Shape<'_>, value: &Value, path: &mut Path, out: &mut FieldSet) {
    match value {
        Value::Object(map) if !map.is_empty() && !shape.is_atomic_map() => {
            for (key, child) in map {
                path.push(Step::Field(key.clone()));
                collect(shape.field(key), child, path, out);
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => match shape.list() {
            ListShape::Atomic => {
                out.insert(path.clone());
            }
            ListShape::Set => {
                for item in items {
                    path.push(Step::Value(item.to_string()));
                    out.insert(path.clone());
                    path.pop();
                }
            }
            ListShape::Keyed(keys) => {
                for item in items {
                    path.push(Step::Key(item_key(&keys, item).to_string()));
                    out.insert(path.clone());
                    collect(shape.item(), item, path, out);
                    path.pop();
                }
            }
        },
        _ if path.is_empty() => {}
        _ => {
            out.insert(path.clone());
        }
    }
}

/// Fields that nobody owns: the identity and what the server itself keeps.
fn is_system(path: &Path) -> bool {
    let field = |at: usize| match path.get(at) {
        Some(Step::Field(name)) => name.as_str(),
        _ => "",
    };
    match field(0) {
        "apiVersion" | "kind" => true,
        "metadata" => {
            path.len() == 1
                || [
                    "name",
                    "namespace",
                    "creationTimestamp",
                    "selfLink",
                    "uid",
                    "generation",
                    "managedFields",
                    "resourceVersion",
                    "generateName",
                    "deletionTimestamp",
                    "deletionGracePeriodSeconds",
                ]
                .contains(&field(1))
        }
        _ => false,
    }
}

/// What differs between two objects.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Fields whose value differs, and fields that only the new object has.
    pub written: FieldSet,
    /// Fields that only the old object has.
    pub removed: FieldSet,
}

/// Compares field by field.
pub fn compare(shape: Shape<'_>, old: &Value, new: &Value) -> Comparison {
    let mut out = Comparison::default();
    differ(shape, Some(old), Some(new), &mut Vec::new(), &mut out);
    out.written.retain(|p| !is_system(p));
    out.removed.retain(|p| !is_system(p));
    out
}

fn differ(shape: Shape<'_>, old: Option<&Value>, new: Option<&Value>, path: &mut Path, out: &mut Comparison) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) if !shape.is_atomic_map() => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                path.push(Step::Field(key.clone()));
                differ(shape.field(key), a.get(key), b.get(key), path, out);
                path.pop();
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if shape.list() != ListShape::Atomic => {
            let step = |item: &Value| match shape.list() {
                ListShape::Keyed(keys) => Step::Key(item_key(&keys, item).to_string()),
                _ => Step::Value(item.to_string()),
            };
            let steps = a.iter().chain(b).map(step).collect::<BTreeSet<_>>();
            for at in steps {
                let find = |list: &'_ [Value]| list.iter().position(|item| step(item) == at);
                let (left, right) = (find(a).map(|i| &a[i]), find(b).map(|i| &b[i]));
                path.push(at);
                match (left, right) {
                    (Some(_), None) => {
                        out.removed.insert(path.clone());
                    }
                    (None, Some(_)) => {
                        out.written.insert(path.clone());
                    }
                    _ => {}
                }
                differ(shape.item(), left, right, path, out);
                path.pop();
            }
        }
        (Some(_), Some(new)) => {
            out.written.insert(path.clone());
            collect(shape, new, path, &mut out.written);
        }
        (None, Some(new)) => collect(shape, new, path, &mut out.written),
        (Some(old), None) => collect(shape, old, path, &mut out.removed),
        (None, None) => {}
    }
}

/// One entry of `metadata.managedFields`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The manager's name.
    pub manager: String,
    /// Whether the fields were applied (otherwise written by create, update or patch).
    pub applied: bool,
    /// The version in which they were written.
    pub api_version: String,
    /// When they were last written, RFC 3339.
    pub time: String,
    /// `status` for writes through the status subresource, empty otherwise.
    pub subresource: String,
    /// The fields.
    pub set: FieldSet,
}

impl Entry {
    /// Whether both are entries of one manager.
    pub fn is_same_manager(&self, other: &Self) -> bool {
        self.manager == other.manager && self.applied == other.applied && self.subresource == other.subresource
    }
}

/// Reads an object's `managedFields`.
pub fn read(object: &Value) -> Vec<Entry> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let list = object["metadata"]["managedFields"].as_array();
    list.into_iter()
        .flatten()
        .map(|entry| Entry {
            manager: text(&entry["manager"]),
            applied: entry["operation"] == "Apply",
            api_version: text(&entry["apiVersion"]),
            time: text(&entry["time"]),
            subresource: text(&entry["subresource"]),
            set: decode(&entry["fieldsV1"]),
        })
        .collect()
}

/// Writes an object's `managedFields`; entries without fields are left out.
pub fn write(object: &mut Value, entries: &[Entry]) {
    let list = entries
        .iter()
        .filter(|e| !e.set.is_empty())
        .map(|e| {
            let mut out = json!({
                "manager": e.manager, "operation": if e.applied { "Apply" } else { "Update" },
                "apiVersion": e.api_version, "time": e.time, "fieldsType": "FieldsV1", "fieldsV1": encode(&e.set),
            });
            if !e.subresource.is_empty() {
                out["subresource"] = json!(e.subresource);
            }
            out
        })
        .collect::<Vec<_>>();
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.remove("managedFields");
        if !list.is_empty() {
            meta.insert("managedFields".to_owned(), Value::Array(list));
        }
    }
}

/// Entries after a create, update or patch by `own` turned `old` into `new`; `own.set` is ignored.
pub fn after_update(shape: Shape<'_>, entries: &[Entry], old: &Value, new: &Value, own: &Entry) -> Vec<Entry> {
    let changes = compare(shape, old, new);
    if changes.written.is_empty() && changes.removed.is_empty() {
        return entries.to_vec();
    }
    let mut out = Vec::new();
    let mut mine = own.clone();
    mine.set = changes.written.clone();
    for entry in entries {
        if entry.is_same_manager(&mine) {
            mine.set.extend(entry.set.iter().filter(|p| !changes.removed.contains(*p)).cloned());
            if mine.set == entry.set && changes.written.is_empty() {
                mine.time.clone_from(&entry.time);
            }
        } else {
            let mut entry = entry.clone();
            entry.set.retain(|p| !changes.written.contains(p) && !changes.removed.contains(p));
            out.push(entry);
        }
    }
    out.push(mine);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_sets_survive_their_encoding() {
        let object = json!({"metadata": {"name": "a", "labels": {"x": "y"}, "finalizers": ["a/b"]}, "spec": {
            "containers": [{"name": "c", "image": "i"}], "args": ["1", "2"]}});
        let set = fields_of(Shape::Builtin("", ""), &object);
        assert!(set.iter().any(|p| shown(p) == ".spec.containers[name=\"c\"].image"));
        assert!(set.iter().any(|p| shown(p) == ".spec.args"));
        assert!(set.iter().all(|p| shown(p) != ".metadata.name"));
        assert_eq!(decode(&encode(&set)), set);
    }

    #[test]
    fn comparison_tells_written_from_removed() {
        let old = json!({"spec": {"a": 1, "b": 2, "containers": [{"name": "x", "image": "1"}]}});
        let new = json!({"spec": {"a": 1, "c": 3, "containers": [{"name": "x", "image": "2"}]}});
        let out = compare(Shape::Builtin("", ""), &old, &new);
        let show = |set: &FieldSet| set.iter().map(|p| shown(p)).collect::<Vec<_>>();
        assert_eq!(show(&out.written), [".spec.c", ".spec.containers[name=\"x\"].image"]);
        assert_eq!(show(&out.removed), [".spec.b"]);
    }
}
