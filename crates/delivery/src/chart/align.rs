//! A live object, seen through a manifest: only what the manifest sets, in the manifest's order and spelling.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// The annotation in which what was applied last is kept.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Argo CD's own mark by label; it goes over the chart's.
const INSTANCE: &str = "app.kubernetes.io/instance";

/// The part of `live` that says something about `wanted`.
///
/// A field that only the cluster sets (status, defaults, what controllers add) is left out. A field that the object
/// was applied with and the manifest no longer sets is kept: it would be removed. `application` is the Argo CD
/// Application, whose mark on the object is no difference.
pub(super) fn align(wanted: &Value, live: &Value, application: &str) -> Value {
    let applied = live["metadata"]["annotations"][APPLIED].as_str().and_then(|text| serde_json::from_str(text).ok());
    let mut live = live.clone();
    let (here, there) = (&wanted["metadata"]["labels"][INSTANCE], &live["metadata"]["labels"][INSTANCE]);
    if here.is_string() && there.as_str() == Some(application) {
        live["metadata"]["labels"][INSTANCE] = here.clone();
    }
    let applied: Option<Value> = applied.map(|mut applied: Value| {
        // Argo CD applies its mark with the rest.
        if let Some(labels) = applied.pointer_mut("/metadata/labels").and_then(Value::as_object_mut)
            && labels.get(INSTANCE).and_then(Value::as_str) == Some(application)
        {
            labels.remove(INSTANCE);
        }
        if let Some(notes) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            notes.retain(|name, _| !name.starts_with("argocd.argoproj.io/"));
        }
        if let Some(metadata) = applied.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.remove("namespace");
        }
        applied
    });
    let kind = wanted["kind"].as_str().unwrap_or_default();
    field(wanted, &live, applied.as_ref(), &Place { kind, path: Vec::new() })
}

/// Kinds that hold data, and nothing but what the manifest says.
const DATA: &[&str] = &["ConfigMap", "Secret"];
/// Kinds that tell amounts outside of `resources`.
const AMOUNTS: &[&str] =
    &["LimitRange", "ResourceQuota", "HorizontalPodAutoscaler", "PersistentVolumeClaim", "PersistentVolume"];
/// Fields of theirs that hold amounts, as they are or by their name.
const AMOUNT_FIELDS: &[&str] =
    &["limits", "requests", "hard", "capacity", "min", "max", "default", "defaultRequest", "value", "averageValue"];

/// Where in an object.
struct Place<'a> {
    /// The object's kind.
    kind: &'a str,
    path: Vec<&'a str>,
}

impl<'a> Place<'a> {
    fn below<'b>(&self, key: &'b str) -> Place<'b>
    where
        'a: 'b,
    {
        let mut path: Vec<&'b str> = self.path.clone();
        path.push(key);
        Place { kind: self.kind, path }
    }

    /// Whether every key here belongs to the manifest.
    fn is_whole(&self) -> bool {
        DATA.contains(&self.kind) && matches!(self.path.as_slice(), ["data" | "binaryData"])
    }

    /// Whether a scalar here is an amount, which the server may spell otherwise. The name of a field alone does not
    /// tell: what is called `max` may be a version.
    fn is_amount(&self) -> bool {
        if DATA.contains(&self.kind) || self.path.first() != Some(&"spec") {
            return false;
        }
        let pair = |one: &[&str]| matches!(one, ["resources", "limits" | "requests"]);
        let ends = matches!(self.path.as_slice(), [.., "emptyDir", "sizeLimit"] | [.., "resourceFieldRef", "divisor"]);
        let kind = AMOUNTS.contains(&self.kind) && self.path.iter().any(|key| AMOUNT_FIELDS.contains(key));
        ends || kind || self.path.windows(2).any(pair)
    }
}

fn field(wanted: &Value, live: &Value, applied: Option<&Value>, at: &Place<'_>) -> Value {
    match (wanted, live) {
        // Null asks for the server's own choice.
        (Value::Null, _) => Value::Null,
        (Value::Object(wanted), Value::Object(live)) => Value::Object(object(wanted, live, applied, at)),
        (Value::Array(wanted), Value::Array(live)) => Value::Array(list(wanted, live, applied, at)),
        (wanted, live) if same(wanted, live, at) => wanted.clone(),
        (_, live) => live.clone(),
    }
}

fn object(
    wanted: &Map<String, Value>,
    live: &Map<String, Value>,
    applied: Option<&Value>,
    at: &Place<'_>,
) -> Map<String, Value> {
    let applied = applied.and_then(Value::as_object);
    let mut out = Map::new();
    for (key, value) in wanted {
        match live.get(key) {
            Some(live) => {
                out.insert(key.clone(), field(value, live, applied.and_then(|all| all.get(key)), &at.below(key)));
            }
            // The server does not keep what is empty.
            None if empty(value) => {
                out.insert(key.clone(), value.clone());
            }
            None => {}
        }
    }
    for (key, live) in live.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
        match applied.and_then(|all| all.get(key)) {
            Some(applied) if !empty(applied) => {
                out.insert(key.clone(), field(applied, live, None, &at.below(key)));
            }
            None if at.is_whole() => {
                out.insert(key.clone(), live.clone());
            }
            _ => {}
        }
    }
    out
}

fn list(wanted: &[Value], live: &[Value], applied: Option<&Value>, at: &Place<'_>) -> Vec<Value> {
    let applied = applied.and_then(Value::as_array);
    let Some(key) = key_of(wanted, live) else {
        let mut out: Vec<Value> = wanted.iter().zip(live).map(|(one, live)| field(one, live, None, at)).collect();
        out.extend(live.iter().skip(wanted.len()).cloned());
        return out;
    };
    let by_key = |list: &'_ [Value]| -> HashMap<Value, usize> {
        // The first of several counts, as it is found first.
        list.iter().enumerate().rev().map(|(place, one)| (one[key].clone(), place)).collect()
    };
    let (mine, theirs) = (by_key(wanted), by_key(live));
    let before = applied.map(|all| (all, by_key(all)));
    let applied_one = |one: &Value| before.as_ref().and_then(|(all, places)| all.get(*places.get(&one[key])?));
    let mut out = Vec::new();
    for one in wanted {
        let there = theirs.get(&one[key]).and_then(|place| live.get(*place));
        out.extend(there.map(|live| field(one, live, applied_one(one), at)));
    }
    for live in live.iter().filter(|live| !mine.contains_key(&live[key])) {
        match applied {
            // What was not applied was added by somebody else: a side container, for one.
            Some(_) => out.extend(applied_one(live).map(|before| field(before, live, None, at))),
            None => out.push(live.clone()),
        }
    }
    out
}

/// The field that tells a list's elements apart, if one does in both lists.
fn key_of(wanted: &[Value], live: &[Value]) -> Option<&'static str> {
    let tells_apart = |key: &str, list: &[Value]| {
        let mut seen: HashSet<&Value> = HashSet::new();
        list.iter().all(|one| (one[key].is_string() || one[key].is_number()) && seen.insert(&one[key]))
    };
    ["name", "mountPath", "containerPort", "port", "ip", "host"]
        .into_iter()
        .find(|key| !wanted.is_empty() && tells_apart(key, wanted) && tells_apart(key, live))
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn same(wanted: &Value, live: &Value, at: &Place<'_>) -> bool {
    if wanted == live {
        return true;
    }
    if let (Some(one), Some(other)) = (wanted.as_f64(), live.as_f64()) {
        return one == other;
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match (text(wanted), text(live)) {
        (Some(one), Some(other)) if at.is_amount() => match (amount(&one), amount(&other)) {
            (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * one.abs().max(other.abs()),
            _ => false,
        },
        _ => false,
    }
}

/// What a quantity such as `500m` or `1Gi` comes to.
fn amount(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        exponent => 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_status_and_spelling_are_no_difference() {
        let wanted = json!({"kind": "Deployment", "metadata": {"name": "a", "annotations": {}, "labels": {INSTANCE: "cart"}},
            "spec": {"replicas": 2, "paused": null, "template": {"spec": {"containers": [{"name": "c", "image": "i",
                "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}, "env": [], "ports": [{"containerPort": 80}]}]}}}});
        let live = json!({"kind": "Deployment", "metadata": {"name": "a", "uid": "1", "managedFields": [], "labels":
                {INSTANCE: "shop-dev-cart"}},
            "status": {"replicas": 2}, "spec": {"replicas": 2.0, "strategy": {}, "template": {"spec": {"containers": [
                {"name": "c", "image": "i", "imagePullPolicy": "Always", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                 "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}}});
        assert_eq!(align(&wanted, &live, "shop-dev-cart"), wanted);
        assert_ne!(align(&wanted, &live, "another"), wanted, "another owner's mark is a difference");
    }

    #[test]
    fn what_would_change_or_go_is_kept() {
        let wanted =
            json!({"kind": "Deployment", "spec": {"replicas": 3, "env": [{"name": "A", "value": "1"}], "args": ["x"]}});
        let mut live = json!({"kind": "Deployment", "metadata": {"annotations": {}}, "spec": {"replicas": 2, "minReady": 5, "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
            "args": ["x", "y"]}});
        let seen = align(&wanted, &live, "app");
        assert_eq!(
            seen,
            json!({"kind": "Deployment", "spec": {"replicas": 2, "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "args": ["x", "y"]}})
        );
        // Where it is known what was applied, that decides: B was added by somebody else, minReady was not.
        let applied =
            json!({"spec": {"replicas": 2, "minReady": 5, "env": [{"name": "A", "value": "1"}], "args": ["x", "y"]}});
        live["metadata"]["annotations"][APPLIED] = json!(applied.to_string());
        let seen = align(&wanted, &live, "app");
        assert_eq!(seen["spec"]["env"], json!([{"name": "A", "value": "1"}]));
        assert_eq!(seen["spec"]["minReady"], 5);
    }

    #[test]
    fn a_config_maps_data_are_the_manifests_alone() {
        let wanted = json!({"kind": "ConfigMap", "data": {"a": "1"}});
        let live = json!({"kind": "ConfigMap", "data": {"a": "1", "gone": "2"}, "immutable": false});
        assert_eq!(align(&wanted, &live, "")["data"], json!({"a": "1", "gone": "2"}));
    }

    #[test]
    fn only_amounts_are_compared_as_amounts() {
        let seen = |kind: &str, top: &str, wanted: Value, live: Value| {
            let wanted = json!({"kind": kind, top: wanted});
            align(&wanted, &json!({"kind": kind, top: live}), "") == wanted
        };
        let max = |text: &str| json!({"max": text});
        assert!(!seen("ConfigMap", "data", max("1.10"), max("1.1")));
        assert!(!seen("Secret", "stringData", json!({"limits": "1.0"}), json!({"limits": "1"})));
        assert!(!seen("Gateway", "spec", json!({"versions": max("1.10")}), json!({"versions": max("1.1")})));
        assert!(!seen("LimitRange", "metadata", json!({"labels": max("1.10")}), json!({"labels": max("1.1")})));
        let below = |text: &str| json!({"resources": {"limits": {"memory": text}}});
        assert!(seen("Gateway", "spec", below("1024Mi"), below("1Gi")));
        assert!(!seen("ConfigMap", "spec", below("1024Mi"), below("1Gi")));
        let limits = |text: &str| json!({"limits": [{"type": "Container", "max": {"memory": text}}]});
        assert!(seen("LimitRange", "spec", limits("1024Mi"), limits("1Gi")));
        assert!(seen("ResourceQuota", "spec", json!({"hard": {"cpu": "1000m"}}), json!({"hard": {"cpu": 1}})));
    }

    #[test]
    fn long_lists_are_aligned_in_time_that_grows_with_them() {
        let list =
            |from: usize| -> Vec<Value> { (from..from + 50_000).map(|n| json!({"name": format!("v{n}")})).collect() };
        let (wanted, live) = (json!({"spec": {"env": list(0)}}), json!({"spec": {"env": list(1)}}));
        assert_eq!(align(&wanted, &live, "")["spec"]["env"].as_array().map(Vec::len), Some(50_000));
    }

    #[test]
    fn amounts() {
        assert_eq!(amount("1Gi"), amount("1024Mi"));
        assert_eq!(amount("1e3"), Some(1000.0));
        assert_eq!(amount("0.1"), amount("100m"));
        assert_eq!((amount("x"), amount("1q"), amount("")), (None, None, None));
    }
}
