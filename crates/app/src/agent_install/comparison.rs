//! What a manifest changes of a live object.

use serde_json::{Map, Value};

/// The part of `live` that `wanted` speaks of. What others or the API server added is left out, for an apply leaves it
/// as it is.
pub(super) fn part_of(live: &Value, wanted: &Value) -> Value {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let both = wanted.iter().filter_map(|(key, wanted)| Some((key.clone(), part_of(live.get(key)?, wanted))));
            Value::Object(both.collect::<Map<_, _>>())
        }
        (Value::Array(live), Value::Array(wanted)) if live.len() == wanted.len() => {
            Value::Array(live.iter().zip(wanted).map(|(live, wanted)| part_of(live, wanted)).collect())
        }
        // An empty map or list is not kept by the API server.
        (Value::Null, Value::Object(wanted)) if wanted.is_empty() => Value::Object(Map::new()),
        _ => live.clone(),
    }
}

/// Whether applying `wanted` would change `live`.
pub(super) fn changes(live: &Value, wanted: &Value) -> bool {
    part_of(live, wanted) != *wanted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_server_adds_is_no_change_and_what_was_edited_is() {
        let wanted = json!({"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"replicas": 2,
            "containers": [{"name": "agent", "args": ["run"]}]}});
        let live = json!({"metadata": {"name": "a", "uid": "u", "labels": {"x": "1", "other": "2"}},
            "spec": {"replicas": 2, "strategy": {}, "containers": [{"name": "agent", "args": ["run"], "image": "x"}]},
            "status": {}});
        assert!(!changes(&live, &wanted));
        for (at, value) in [
            ("/spec/replicas", json!(1)),
            ("/metadata/labels/x", json!("2")),
            ("/spec/containers/0/args", json!(["run", "--more"])),
            ("/spec/containers", json!([])),
        ] {
            let mut edited = live.clone();
            *edited.pointer_mut(at).unwrap() = value;
            assert!(changes(&edited, &wanted), "{at}");
        }
        let mut bare = live.clone();
        bare["metadata"].as_object_mut().unwrap().remove("labels");
        assert!(changes(&bare, &wanted), "a label that is gone");
        // A rule more than wanted is a right too many.
        assert!(changes(
            &json!({"rules": [{"verbs": ["get"]}, {"verbs": ["*"]}]}),
            &json!({"rules": [{"verbs": ["get"]}]})
        ));
    }
}
