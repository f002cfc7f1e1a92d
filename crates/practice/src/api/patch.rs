//! Merge patch (RFC 7386), JSON Patch (RFC 6902) and the API's own strategic merge patch.

use serde_json::{Map, Value};

use super::shape::{ListShape, Shape};
use super::status_errors::Refusal;

/// Lays a merge patch over a value; null removes.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(map) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Why an operation of a JSON Patch does not fit, in the API's words.
struct Unfit(String);

/// Applies a JSON Patch, all operations or none.
pub fn json_patch(target: &Value, patch: &Value) -> Result<Value, Refusal> {
    let operations = patch
        .as_array()
        .ok_or_else(|| Refusal::bad_request("error decoding patch: a JSON Patch is a list of operations"))?;
    let mut out = target.clone();
    for operation in operations {
        one_operation(&mut out, operation).map_err(|Unfit(why)| Refusal::patch_failed(&why))?;
    }
    Ok(out)
}

fn one_operation(target: &mut Value, operation: &Value) -> Result<(), Unfit> {
    let text = |name: &str| {
        operation[name]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| Unfit(format!("operation lacks {name:?}: {operation}")))
    };
    let value =
        || operation.get("value").cloned().ok_or_else(|| Unfit(format!("operation lacks \"value\": {operation}")));
    let path = text("path")?;
    match text("op")?.as_str() {
        "add" => insert(target, &path, value()?),
        "remove" => take(target, &path).map(|_| ()),
        "replace" => {
            let place = target.pointer_mut(&path).ok_or_else(|| missing("replace", &path))?;
            *place = value()?;
            Ok(())
        }
        "move" => {
            let moved = take(target, &text("from")?)?;
            insert(target, &path, moved)
        }
        "copy" => {
            let from = text("from")?;
            let copied = target.pointer(&from).cloned().ok_or_else(|| missing("copy", &from))?;
            insert(target, &path, copied)
        }
        "test" => {
            let expected = value()?;
            if target.pointer(&path).unwrap_or(&Value::Null) == &expected {
                Ok(())
            } else {
                Err(Unfit(format!("testing value {path} failed: test failed")))
            }
        }
        other => Err(Unfit(format!("Unexpected kind: {other}"))),
    }
}

fn missing(operation: &str, path: &str) -> Unfit {
    Unfit(format!("{operation} operation does not apply: doc is missing path: {path}: missing value"))
}

fn split(path: &str) -> Result<(&str, String), Unfit> {
    let (parent, last) =
        path.rsplit_once('/').ok_or_else(|| Unfit(format!("path {path:?} does not start with '/'")))?;
    Ok((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn insert(target: &mut Value, path: &str, value: Value) -> Result<(), Unfit> {
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    let (parent, last) = split(path)?;
    match target.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.insert(last, value);
            Ok(())
        }
        Some(Value::Array(items)) => {
            let at = if last == "-" { items.len() } else { last.parse().map_err(|_| missing("add", path))? };
            if at > items.len() {
                return Err(missing("add", path));
            }
            items.insert(at, value);
            Ok(())
        }
        _ => Err(missing("add", path)),
    }
}

fn take(target: &mut Value, path: &str) -> Result<Value, Unfit> {
    let (parent, last) = split(path)?;
    let taken = match target.pointer_mut(parent) {
        Some(Value::Object(map)) => map.shift_remove(&last),
        Some(Value::Array(items)) => {
            last.parse::<usize>().ok().filter(|at| *at < items.len()).map(|at| items.remove(at))
        }
        _ => None,
    };
    taken.ok_or_else(|| missing("remove", path))
}

/// Lays a strategic merge patch over a built-in object; lists with a merge key merge by it.
pub fn strategic(shape: Shape<'_>, target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if patch.get("$patch").is_some_and(|d| d == "replace") {
        let rest = patch.iter().filter(|(k, _)| *k != "$patch").map(|(k, v)| (k.clone(), v.clone()));
        *target = Value::Object(rest.collect());
        return;
    }
    if patch.get("$patch").is_some_and(|d| d == "delete") {
        *target = Value::Object(Map::new());
        return;
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(map) = target.as_object_mut() else { return };
    if let Some(keep) = patch.get("$retainKeys").and_then(Value::as_array) {
        map.retain(|key, _| keep.iter().any(|k| k == key));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            let doomed = value.as_array().cloned().unwrap_or_default();
            if let Some(items) = map.get_mut(list).and_then(Value::as_array_mut) {
                items.retain(|item| !doomed.contains(item));
            }
        } else if key.starts_with('$') {
            // `$setElementOrder` only orders; `$retainKeys` was read above.
        } else if value.is_null() {
            map.remove(key);
        } else {
            let inner = shape.field(key);
            match (map.get_mut(key), value, inner.list()) {
                (Some(Value::Array(items)), Value::Array(changes), ListShape::Keyed(keys)) => {
                    let merge_key = keys.first().cloned().unwrap_or_default();
                    strategic_list(inner, items, changes, &merge_key);
                }
                (Some(Value::Array(items)), Value::Array(changes), ListShape::Set) => {
                    let fresh = changes.iter().filter(|c| !items.contains(c)).cloned().collect::<Vec<_>>();
                    items.extend(fresh);
                }
                (_, Value::Array(changes), _) => {
                    let plain = changes.iter().filter(|c| c.get("$patch").is_none()).cloned();
                    map.insert(key.clone(), plain.collect());
                }
                _ => strategic(inner, map.entry(key.clone()).or_insert(Value::Null), value),
            }
        }
    }
}

fn strategic_list(shape: Shape<'_>, items: &mut Vec<Value>, changes: &[Value], key: &str) {
    if changes.iter().any(|c| c.get("$patch").is_some_and(|d| d == "replace")) {
        items.clear();
    }
    for change in changes {
        match change.get("$patch").and_then(Value::as_str) {
            Some("replace") => {}
            Some("delete") => items.retain(|item| item[key] != change[key]),
            _ => match items.iter_mut().find(|item| item[key] == change[key]) {
                Some(found) => strategic(shape.item(), found, change),
                None => items.insert(0, change.clone()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merge_patch_follows_the_rfc() {
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [1]}), json!({"a": [2, 3]}), json!({"a": [2, 3]})),
            (json!({}), json!({"a": {"b": {"c": null}}}), json!({"a": {"b": {}}})),
        ] {
            let mut out = target;
            merge(&mut out, &patch);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn json_patch_follows_the_rfc() {
        let base = json!({"a": {"b/c": 1}, "l": [1, 3]});
        let out = json_patch(
            &base,
            &json!([{"op": "test", "path": "/a/b~1c", "value": 1}, {"op": "add", "path": "/l/1", "value": 2},
                    {"op": "add", "path": "/l/-", "value": 4}, {"op": "move", "from": "/a/b~1c", "path": "/x"},
                    {"op": "copy", "from": "/x", "path": "/y"}, {"op": "remove", "path": "/l/0"},
                    {"op": "replace", "path": "/x", "value": 9}]),
        );
        assert_eq!(out.unwrap(), json!({"a": {}, "l": [2, 3, 4], "x": 9, "y": 1}));
        assert!(json_patch(&base, &json!([{"op": "remove", "path": "/none"}])).is_err());
        assert!(json_patch(&base, &json!([{"op": "test", "path": "/l/0", "value": 2}])).is_err());
    }

    #[test]
    fn strategic_patch_merges_containers_by_name() {
        let mut object = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b", "image": "1"}]}}}});
        let patch = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "a", "image": "2", "env": [{"name": "Y", "value": "2"}]}, {"name": "b", "$patch": "delete"}]}}}});
        strategic(Shape::Builtin("", ""), &mut object, &patch);
        let containers = &object["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers.as_array().unwrap().len(), 1);
        assert_eq!(containers[0]["image"], "2");
        assert_eq!(containers[0]["env"].as_array().unwrap().len(), 2);
    }
}
