//! Structural schemas of custom kinds: pruning, defaulting and validation.
//!
//! The rules are those of `k8s.io/apiextensions-apiserver/pkg/apiserver/schema`; validation rules in CEL are not
//! evaluated.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use regex::Regex;
use serde_json::{Map, Value, json};

use super::status_errors::Cause;

fn flag(node: &Value, name: &str) -> bool {
    node[name] == json!(true)
}

/// Whether the node is `x-kubernetes-int-or-string`.
fn int_or_string(node: &Value) -> bool {
    flag(node, "x-kubernetes-int-or-string")
}

/// Drops the fields that the schema does not name.
pub fn prune(node: &Value, value: &mut Value, is_resource_root: bool) {
    match value {
        Value::Object(map) => {
            let properties = node["properties"].as_object();
            let additional = &node["additionalProperties"];
            let keep_all = flag(node, "x-kubernetes-preserve-unknown-fields") || additional == &json!(true);
            let is_resource = is_resource_root || flag(node, "x-kubernetes-embedded-resource");
            map.retain(|key, child| {
                if is_resource && ["apiVersion", "kind", "metadata"].contains(&key.as_str()) {
                    return true;
                }
                if let Some(schema) = properties.and_then(|p| p.get(key)) {
                    prune(schema, child, false);
                    return true;
                }
                if additional.is_object() {
                    prune(additional, child, false);
                    return true;
                }
                keep_all
            });
        }
        Value::Array(items) if node["items"].is_object() => {
            items.iter_mut().for_each(|item| prune(&node["items"], item, false));
        }
        _ => {}
    }
}

/// Drops the nulls of fields that may not be null.
pub fn drop_nulls(node: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => map.retain(|key, child| {
            let additional = &node["additionalProperties"];
            let schema = node["properties"].get(key).or_else(|| additional.is_object().then_some(additional));
            let Some(schema) = schema else { return true };
            drop_nulls(schema, child);
            !child.is_null() || flag(schema, "nullable")
        }),
        Value::Array(items) if node["items"].is_object() => {
            items.iter_mut().for_each(|item| drop_nulls(&node["items"], item));
        }
        _ => {}
    }
}

/// Fills in the schema's defaults.
pub fn fill_defaults(node: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(properties) = node["properties"].as_object() {
                for (key, schema) in properties {
                    if let Some(default) = schema.get("default") {
                        map.entry(key.clone()).or_insert_with(|| default.clone());
                    }
                    if let Some(child) = map.get_mut(key) {
                        fill_defaults(schema, child);
                    }
                }
            }
            let additional = &node["additionalProperties"];
            if additional.is_object() {
                let named = node["properties"].as_object();
                for (key, child) in map.iter_mut() {
                    if named.is_none_or(|n| !n.contains_key(key)) {
                        fill_defaults(additional, child);
                    }
                }
            }
        }
        Value::Array(items) if node["items"].is_object() => {
            items.iter_mut().for_each(|item| fill_defaults(&node["items"], item));
        }
        _ => {}
    }
}

static PATTERNS: LazyLock<Mutex<HashMap<String, Option<Regex>>>> = LazyLock::new(Mutex::default);

/// Whether the text matches; a pattern that cannot be read matches everything.
fn pattern_matches(pattern: &str, text: &str) -> bool {
    let mut cache = PATTERNS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let regex = cache.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
    regex.as_ref().is_none_or(|r| r.is_match(text))
}

fn is_integral(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0)
}

fn child_path(path: &str, key: &str) -> String {
    let plain = !key.contains(['.', '[', '/']);
    match (path.is_empty(), plain) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (false, false) => format!("{path}[{key}]"),
    }
}

/// All the ways in which the value breaks the schema.
pub fn validate(node: &Value, value: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    check(node, value, path, &mut causes);
    causes
}

fn check(node: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && flag(node, "nullable") {
        return;
    }
    if !check_type(node, value, path, causes) {
        return;
    }
    check_alternatives(node, value, path, causes);
    if let Some(allowed) = node["enum"].as_array()
        && !allowed.contains(value)
    {
        let list = allowed.iter().map(|a| a.as_str().map_or_else(|| a.to_string(), str::to_owned)).collect::<Vec<_>>();
        causes.push(Cause::not_supported(path, value, &list));
    }
    match value {
        Value::Number(_) => check_number(node, value, path, causes),
        Value::String(text) => check_text(node, text, path, causes),
        Value::Array(items) => check_list(node, items, path, causes),
        Value::Object(map) => check_map(node, map, path, causes),
        _ => {}
    }
}

fn check_type(node: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) -> bool {
    let wanted = node["type"].as_str();
    let fits = match wanted {
        _ if int_or_string(node) => value.is_string() || is_integral(value),
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => is_integral(value),
        Some("number") => value.is_number(),
        _ => true,
    };
    if !fits {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) if is_integral(value) => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let wanted = if int_or_string(node) { "integer,string" } else { wanted.unwrap_or_default() };
        let detail = format!("{path} in body must be of type {wanted}: {found:?}");
        causes.push(Cause::wrong_type(path, &json!(found), &detail));
    }
    fits
}

fn check_alternatives(node: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let fits = |schema: &Value| validate(schema, value, path).is_empty();
    for schema in node["allOf"].as_array().into_iter().flatten() {
        check(schema, value, path, causes);
    }
    if let Some(any) = node["anyOf"].as_array()
        && !any.iter().any(fits)
    {
        causes.push(Cause::invalid(path, value, &format!("{path:?} must validate at least one schema (anyOf)")));
    }
    if let Some(one) = node["oneOf"].as_array()
        && one.iter().filter(|s| fits(s)).count() != 1
    {
        causes.push(Cause::invalid(path, value, &format!("{path:?} must validate one and only one schema (oneOf)")));
    }
    if node["not"].is_object() && fits(&node["not"]) {
        causes.push(Cause::invalid(path, value, &format!("{path:?} must not validate the schema (not)")));
    }
}

fn check_number(node: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(number) = value.as_f64() else { return };
    if let Some(limit) = node["minimum"].as_f64() {
        let exclusive = flag(node, "exclusiveMinimum");
        if number < limit || (exclusive && number == limit) {
            let words = if exclusive { "greater than" } else { "greater than or equal to" };
            causes.push(Cause::invalid(path, value, &format!("{path} in body should be {words} {limit}")));
        }
    }
    if let Some(limit) = node["maximum"].as_f64() {
        let exclusive = flag(node, "exclusiveMaximum");
        if number > limit || (exclusive && number == limit) {
            let words = if exclusive { "less than" } else { "less than or equal to" };
            causes.push(Cause::invalid(path, value, &format!("{path} in body should be {words} {limit}")));
        }
    }
    if let Some(step) = node["multipleOf"].as_f64()
        && step > 0.0
        && (number / step).fract() != 0.0
    {
        causes.push(Cause::invalid(path, value, &format!("{path} in body should be a multiple of {step}")));
    }
    if node["format"] == "int32" && i32::try_from(number as i64).is_err() {
        causes.push(Cause::invalid(path, value, &format!("{path} in body should be a int32")));
    }
}

fn check_text(node: &Value, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    if let Some(limit) = node["minLength"].as_u64()
        && length < limit
    {
        let detail = format!("{path} in body should be at least {limit} chars long");
        causes.push(Cause::invalid(path, &json!(text), &detail));
    }
    if let Some(limit) = node["maxLength"].as_u64()
        && length > limit
    {
        causes.push(Cause::too_long(path, limit));
    }
    if let Some(pattern) = node["pattern"].as_str()
        && !pattern_matches(pattern, text)
    {
        causes.push(Cause::invalid(path, &json!(text), &format!("{path} in body should match '{pattern}'")));
    }
    let wrong_format = match node["format"].as_str() {
        Some("date-time") => text.parse::<jiff::Timestamp>().is_err(),
        Some("date") => text.parse::<jiff::civil::Date>().is_err(),
        Some("ipv4") => text.parse::<std::net::Ipv4Addr>().is_err(),
        Some("ipv6") => text.parse::<std::net::Ipv6Addr>().is_err(),
        _ => false,
    };
    if wrong_format {
        let format = node["format"].as_str().unwrap_or_default();
        let detail = format!("{path} in body must be of type {format}: {text:?}");
        causes.push(Cause::wrong_type(path, &json!(text), &detail));
    }
}

fn check_list(node: &Value, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    if let Some(limit) = node["minItems"].as_u64()
        && (items.len() as u64) < limit
    {
        let detail = format!("{path} in body should have at least {limit} items");
        causes.push(Cause::invalid(path, &json!(items.len()), &detail));
    }
    if let Some(limit) = node["maxItems"].as_u64()
        && items.len() as u64 > limit
    {
        causes.push(Cause::too_many(path, items.len(), limit));
    }
    if flag(node, "uniqueItems") && (1..items.len()).any(|i| items[..i].contains(&items[i])) {
        causes.push(Cause::invalid(path, &json!(items), &format!("{path} in body shouldn't contain duplicates")));
    }
    let identity = |item: &Value| match node["x-kubernetes-list-type"].as_str() {
        Some("set") => Some(item.clone()),
        Some("map") => {
            let keys = node["x-kubernetes-list-map-keys"].as_array();
            let pick = |k: &Value| k.as_str().map(|k| (k.to_owned(), item[k].clone()));
            Some(Value::Object(keys.into_iter().flatten().filter_map(pick).collect()))
        }
        _ => None,
    };
    for (at, item) in items.iter().enumerate() {
        if let Some(own) = identity(item)
            && items[..at].iter().any(|earlier| identity(earlier).as_ref() == Some(&own))
        {
            causes.push(Cause::duplicate(format!("{path}[{at}]"), &own));
        }
        if node["items"].is_object() {
            check(&node["items"], item, &format!("{path}[{at}]"), causes);
        }
    }
}

fn check_map(node: &Value, map: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
    for name in node["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !map.contains_key(name) {
            causes.push(Cause::required(child_path(path, name), ""));
        }
    }
    if let Some(limit) = node["minProperties"].as_u64()
        && (map.len() as u64) < limit
    {
        let detail = format!("{path} in body should have at least {limit} properties");
        causes.push(Cause::invalid(path, &json!(map.len()), &detail));
    }
    if let Some(limit) = node["maxProperties"].as_u64()
        && map.len() as u64 > limit
    {
        causes.push(Cause::too_many(path, map.len(), limit));
    }
    let properties = node["properties"].as_object();
    for (key, child) in map {
        if let Some(schema) = properties.and_then(|p| p.get(key)) {
            check(schema, child, &child_path(path, key), causes);
        } else if node["additionalProperties"].is_object() {
            check(&node["additionalProperties"], child, &child_path(path, key), causes);
        }
    }
}

/// What keeps a schema from being structural; `path` names the schema in the CRD.
pub fn structural_faults(node: &Value, path: &str, is_root: bool, causes: &mut Vec<Cause>) {
    let kind = node["type"].as_str().unwrap_or_default();
    let untyped_allowed = int_or_string(node) || flag(node, "x-kubernetes-preserve-unknown-fields");
    if kind.is_empty() && (is_root || !untyped_allowed) {
        let place = if is_root { "at the root" } else { "for specified object fields" };
        causes.push(Cause::required(format!("{path}.type"), &format!("must not be empty {place}")));
    } else if is_root && kind != "object" {
        causes.push(Cause::invalid(format!("{path}.type"), &json!(kind), "must be object at the root"));
    }
    if kind == "array" && !node["items"].is_object() {
        causes.push(Cause::required(format!("{path}.items"), "must be specified"));
    }
    if node["properties"].is_object() && node["additionalProperties"].is_object() {
        causes.push(Cause::forbidden(
            format!("{path}.additionalProperties"),
            "additionalProperties and properties are mutual exclusive",
        ));
    }
    for (key, child) in node["properties"].as_object().into_iter().flatten() {
        structural_faults(child, &format!("{path}.properties[{key}]"), false, causes);
    }
    if node["items"].is_object() {
        structural_faults(&node["items"], &format!("{path}.items"), false, causes);
    }
    if node["additionalProperties"].is_object() {
        structural_faults(&node["additionalProperties"], &format!("{path}.additionalProperties"), false, causes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
            "name": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 4},
            "mode": {"type": "string", "enum": ["a", "b"]},
            "port": {"x-kubernetes-int-or-string": true},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                     "properties": {"inner": {"type": "object", "properties": {"known": {"type": "string"}}}}},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "list": {"type": "array", "minItems": 1, "items": {"type": "object",
                     "properties": {"k": {"type": "string", "default": "d"}}}},
            "maybe": {"type": "string", "nullable": true}
        }})
    }

    #[test]
    fn prunes_what_is_not_named() {
        let mut value = json!({"size": 1, "gone": 2, "open": {"kept": 1, "inner": {"known": "x", "gone": 1}},
            "tags": {"a": "b"}, "list": [{"k": "v", "gone": 1}]});
        prune(&schema(), &mut value, false);
        assert_eq!(
            value,
            json!({"size": 1, "open": {"kept": 1, "inner": {"known": "x"}}, "tags": {"a": "b"}, "list": [{"k": "v"}]})
        );
    }

    #[test]
    fn fills_defaults_and_replaces_forbidden_nulls() {
        let mut value = json!({"size": null, "maybe": null, "mode": null, "list": [{}]});
        drop_nulls(&schema(), &mut value);
        fill_defaults(&schema(), &mut value);
        assert_eq!(value, json!({"size": 3, "maybe": null, "list": [{"k": "d"}]}));
    }

    #[test]
    fn validation_names_the_fields() {
        let fields = |value: Value| {
            validate(&schema(), &value, "spec")
                .into_iter()
                .map(|c| format!("{} {}", c.field, c.reason))
                .collect::<Vec<_>>()
        };
        assert!(fields(json!({"size": 1, "port": "http", "maybe": null})).is_empty());
        assert_eq!(fields(json!({})), ["spec.size FieldValueRequired"]);
        assert_eq!(fields(json!({"size": "x"})), ["spec.size FieldValueTypeInvalid"]);
        assert_eq!(
            fields(json!({"size": 0, "mode": "c"})),
            ["spec.size FieldValueInvalid", "spec.mode FieldValueNotSupported"]
        );
        assert_eq!(
            fields(json!({"size": 1, "name": "A"})),
            ["spec.name FieldValueInvalid", "spec.name FieldValueInvalid"]
        );
        assert_eq!(fields(json!({"size": 1, "name": "abcde"})), ["spec.name FieldValueTooLong"]);
        assert_eq!(fields(json!({"size": 1, "list": []})), ["spec.list FieldValueInvalid"]);
        assert_eq!(fields(json!({"size": 1, "tags": {"a": 1}})), ["spec.tags.a FieldValueTypeInvalid"]);
        assert_eq!(fields(json!({"size": 1, "port": 1.5})), ["spec.port FieldValueTypeInvalid"]);
    }

    #[test]
    fn structure_is_demanded() {
        let mut causes = Vec::new();
        structural_faults(&json!({"type": "object", "properties": {"a": {}}}), "s", true, &mut causes);
        assert_eq!(causes.len(), 1);
        assert_eq!(causes[0].field, "s.properties[a].type");
    }
}
