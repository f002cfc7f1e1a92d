//! Server-side apply: merge, conflicts, and removal of what a manager no longer applies.

use serde_json::{Map, Value};

use super::ownership::{self, Entry, FieldSet, Path, Step};
use super::shape::{ListShape, Shape, item_key};
use super::status_errors::Refusal;

/// Who applies, and how.
#[derive(Debug, Clone)]
pub struct Applier {
    /// The entry that the manager gets; its set is ignored.
    pub entry: Entry,
    /// Whether fields of others are taken over.
    pub force: bool,
}

/// The object after the apply, without `managedFields`, and the entries to write into it.
pub fn apply(shape: Shape<'_>, live: &Value, config: &Value, by: &Applier) -> Result<(Value, Vec<Entry>), Refusal> {
    let entries = ownership::read(live);
    let mut own = by.entry.clone();
    own.set = ownership::fields_of(shape, config);
    let before = entries.iter().find(|e| e.is_same_manager(&own)).map(|e| e.set.clone()).unwrap_or_default();

    let mut merged = merge(shape, live, config);
    let written = ownership::compare(shape, live, &merged).written;
    let mut others = entries.into_iter().filter(|e| !e.is_same_manager(&own)).collect::<Vec<_>>();
    let mut conflicts = Vec::new();
    for other in &mut others {
        let lost = other.set.intersection(&written).cloned().collect::<FieldSet>();
        for path in &lost {
            conflicts.push((ownership::shown(path), conflict_words(other)));
        }
        other.set.retain(|p| !lost.contains(p));
    }
    if !conflicts.is_empty() && !by.force {
        return Err(Refusal::apply_conflict(&conflicts));
    }

    let gone = before
        .difference(&own.set)
        .filter(|p| others.iter().all(|o| !o.set.contains(*p)))
        .filter(|p| !is_shared_item(p, &others, &own.set))
        .cloned()
        .collect::<FieldSet>();
    remove(shape, &mut merged, &gone, &mut Vec::new());
    others.push(own);
    Ok((merged, others))
}

fn conflict_words(other: &Entry) -> String {
    let manager = &other.manager;
    if other.applied {
        return format!("conflict with {manager:?}");
    }
    let through = if other.subresource.is_empty() { "" } else { " with subresource \"status\"" };
    format!("conflict with {manager:?}{through} using {} at {}", other.api_version, other.time)
}

/// An item of a keyed list stays while anyone owns a field inside it.
fn is_shared_item(path: &Path, others: &[Entry], own: &FieldSet) -> bool {
    matches!(path.last(), Some(Step::Key(_)))
        && others.iter().map(|o| &o.set).chain([own]).any(|set| set.iter().any(|p| p.starts_with(path)))
}

/// `live` with all of `config` laid over it.
fn merge(shape: Shape<'_>, live: &Value, config: &Value) -> Value {
    match (live, config) {
        (Value::Object(live), Value::Object(config)) if !shape.is_atomic_map() => {
            let mut out = live.clone();
            for (key, value) in config {
                let merged = live.get(key).map_or_else(|| value.clone(), |l| merge(shape.field(key), l, value));
                out.insert(key.clone(), merged);
            }
            Value::Object(out)
        }
        (Value::Array(live), Value::Array(config)) => match shape.list() {
            ListShape::Atomic => Value::Array(config.clone()),
            ListShape::Set => {
                let fresh = config.iter().filter(|item| !live.contains(item));
                Value::Array(live.iter().chain(fresh).cloned().collect())
            }
            ListShape::Keyed(keys) => {
                let mut out = live.clone();
                for item in config {
                    let key = item_key(&keys, item);
                    match out.iter_mut().find(|l| item_key(&keys, l) == key) {
                        Some(found) => *found = merge(shape.item(), found, item),
                        None => out.push(item.clone()),
                    }
                }
                Value::Array(out)
            }
        },
        (_, config) => config.clone(),
    }
}

/// Takes the named fields away; maps and lists that this empties go too.
fn remove(shape: Shape<'_>, value: &mut Value, gone: &FieldSet, path: &mut Path) {
    if !gone.iter().any(|p| p.starts_with(path)) {
        return;
    }
    match value {
        Value::Object(map) => {
            let keys = map.keys().cloned().collect::<Vec<_>>();
            for key in keys {
                path.push(Step::Field(key.clone()));
                if gone.contains(path) {
                    map.remove(&key);
                } else if let Some(child) = map.get_mut(&key) {
                    let had = !is_hollow(child);
                    remove(shape.field(&key), child, gone, path);
                    if had && is_hollow(child) {
                        map.remove(&key);
                    }
                }
                path.pop();
            }
        }
        Value::Array(items) => {
            let list = shape.list();
            let mut kept = Vec::new();
            for mut item in std::mem::take(items) {
                let step = match &list {
                    ListShape::Keyed(keys) => Step::Key(item_key(keys, &item).to_string()),
                    ListShape::Set => Step::Value(item.to_string()),
                    ListShape::Atomic => {
                        kept.push(item);
                        continue;
                    }
                };
                path.push(step);
                if !gone.contains(path) {
                    remove(shape.item(), &mut item, gone, path);
                    kept.push(item);
                }
                path.pop();
            }
            *items = kept;
        }
        _ => {}
    }
}

fn is_hollow(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn by(manager: &str, force: bool) -> Applier {
        let entry = Entry {
            manager: manager.to_owned(),
            applied: true,
            api_version: "v1".to_owned(),
            time: "2026-01-01T00:00:00Z".to_owned(),
            subresource: String::new(),
            set: FieldSet::new(),
        };
        Applier { entry, force }
    }

    fn applied(live: &Value, config: &Value, manager: &str, force: bool) -> Result<Value, Refusal> {
        let (mut out, entries) = apply(Shape::Builtin("", ""), live, config, &by(manager, force))?;
        ownership::write(&mut out, &entries);
        Ok(out)
    }

    #[test]
    fn fields_no_longer_applied_go() {
        let base = json!({"metadata": {"name": "x"}});
        let first = applied(&base, &json!({"metadata": {}, "data": {"a": "1", "b": "2"}}), "m", false).unwrap();
        let second = applied(&first, &json!({"metadata": {}, "data": {"a": "1"}}), "m", false).unwrap();
        assert_eq!(second["data"], json!({"a": "1"}));
    }

    #[test]
    fn fields_of_others_conflict_until_forced() {
        let base = json!({"metadata": {"name": "x"}});
        let first = applied(&base, &json!({"data": {"a": "1"}}), "one", false).unwrap();
        let same = applied(&first, &json!({"data": {"a": "1"}}), "two", false).unwrap();
        assert_eq!(ownership::read(&same).len(), 2);
        let refused = applied(&first, &json!({"data": {"a": "2"}}), "two", false).unwrap_err();
        assert_eq!(refused.details["causes"][0]["field"], ".data.a");
        let forced = applied(&first, &json!({"data": {"a": "2"}}), "two", true).unwrap();
        assert_eq!(forced["data"]["a"], "2");
        assert_eq!(ownership::read(&forced).len(), 1);
    }

    #[test]
    fn keyed_lists_merge_by_key() {
        let base = json!({"metadata": {}, "spec": {"containers": [{"name": "a", "image": "1"}]}});
        let one = applied(&base, &json!({"spec": {"containers": [{"name": "b", "image": "2"}]}}), "m", false).unwrap();
        assert_eq!(one["spec"]["containers"].as_array().unwrap().len(), 2);
        let two = applied(&one, &json!({"spec": {"containers": [{"name": "c", "image": "3"}]}}), "m", false).unwrap();
        let names = two["spec"]["containers"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect::<Vec<_>>();
        assert_eq!(names, ["a", "c"]);
    }
}
