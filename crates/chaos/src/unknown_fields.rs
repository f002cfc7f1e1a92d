//! Fields that mean nothing to the API server: those that it drops, and those that it keeps without knowing them.
//!
//! A server that is asked to validate fields says so itself, but only from 1.25 on, and not of a field that it keeps.
//! What came back tells on every version.

use serde_json::{Map, Value};

use crate::places::step;

/// What the server itself writes into metadata, whatever it was sent.
const OWNED: [&str; 9] = [
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "name",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// A field that means nothing to the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// Its pointer in the object that was sent.
    pub(crate) pointer: String,
    /// Whether it is kept all the same.
    pub(crate) kept: bool,
    /// The known field that was probably meant.
    pub(crate) meant: Option<String>,
}

/// The fields of an object that the server did not give back, and, by the schema of its kind where that is known, those
/// that it gave back without knowing them.
pub(crate) fn unknown_fields(sent: &Value, back: &Value, schema: Option<&Value>) -> Vec<Unknown> {
    let mut found = Vec::new();
    for (key, value) in fields(sent) {
        match key.as_str() {
            // With a status of its own, a kind has it written by who is asked to.
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                let owned = |key: &str| OWNED.contains(&key);
                for (key, value) in fields(value).filter(|(key, value)| !owned(key) && !value.is_null()) {
                    if back.get("metadata").and_then(|metadata| metadata.get(key)).is_none() {
                        let pointer = format!("/metadata/{}", step(key));
                        found.push(Unknown { pointer, kept: false, meant: None });
                    } else if value.is_object() {
                        dropped(value, &back["metadata"][key], &format!("/metadata/{}", step(key)), &mut found);
                    }
                }
            }
            _ => {
                let only = Map::from_iter([(key.clone(), value.clone())]);
                dropped(&Value::Object(only), back, "", &mut found);
            }
        }
    }
    if let Some(schema) = schema {
        for one in &mut found {
            one.meant = meant(schema, &one.pointer);
        }
        let properties = schema.get("properties");
        for (key, value) in fields(sent).filter(|(key, _)| !["metadata", "status"].contains(&key.as_str())) {
            if let Some(known) = properties.and_then(|all| all.get(key)) {
                undescribed(value, known, &format!("/{}", step(key)), &mut found);
            }
        }
    }
    found
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// What of a value did not come back. Where a field is gone, nothing below it is told.
fn dropped(sent: &Value, back: &Value, at: &str, found: &mut Vec<Unknown>) {
    match (sent, back) {
        (Value::Object(sent), Value::Object(back)) => {
            for (key, value) in sent {
                let pointer = format!("{at}/{}", step(key));
                match back.get(key) {
                    Some(there) => dropped(value, there, &pointer, found),
                    // A field without a value is none.
                    None if value.is_null() => {}
                    None => found.push(Unknown { pointer, kept: false, meant: None }),
                }
            }
        }
        (Value::Array(sent), Value::Array(back)) => {
            for (index, (value, there)) in sent.iter().zip(back).enumerate() {
                dropped(value, there, &format!("{at}/{index}"), found);
            }
        }
        // What was written is what was understood, or an admission rule's own.
        _ => {}
    }
}

/// What of a value is kept by a part of the schema that keeps all and describes only some.
fn undescribed(value: &Value, schema: &Value, at: &str, found: &mut Vec<Unknown>) {
    match value {
        Value::Object(all) => {
            let properties = schema.get("properties").and_then(Value::as_object).filter(|known| !known.is_empty());
            let keeps = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
            for (key, value) in all {
                let pointer = format!("{at}/{}", step(key));
                let known = properties.and_then(|properties| properties.get(key));
                match (known.or_else(|| schema.get("additionalProperties")), properties) {
                    (Some(known), _) => undescribed(value, known, &pointer, found),
                    (None, Some(properties)) if keeps => {
                        found.push(Unknown { pointer, kept: true, meant: nearest(key, properties) });
                    }
                    (None, _) => {}
                }
            }
        }
        Value::Array(all) => {
            let Some(items) = schema.get("items") else { return };
            for (index, value) in all.iter().enumerate() {
                undescribed(value, items, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// The field of the schema that a dropped one was probably meant to be.
fn meant(schema: &Value, pointer: &str) -> Option<String> {
    let (parent, key) = pointer.rsplit_once('/')?;
    let mut at = schema;
    for part in parent.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let listed = part.parse::<usize>().ok().and_then(|_| at.get("items"));
        at = listed
            .or_else(|| at.get("properties").and_then(|known| known.get(&part)))
            .or_else(|| at.get("additionalProperties"))?;
    }
    nearest(&key.replace("~1", "/").replace("~0", "~"), at.get("properties")?.as_object()?)
}

fn nearest(key: &str, properties: &Map<String, Value>) -> Option<String> {
    let (wanted, mut best) = (key.to_lowercase(), None::<(usize, &String)>);
    for known in properties.keys() {
        let far = distance(&wanted, &known.to_lowercase());
        if best.is_none_or(|(least, _)| far < least) {
            best = Some((far, known));
        }
    }
    // Two slips, and not most of a short word.
    best.filter(|(far, _)| *far <= 2 && far * 2 <= wanted.chars().count()).map(|(_, known)| known.clone())
}

/// How many letters have to be put in, taken out or changed to make one word of another.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut corner = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let changed = corner + usize::from(letter != *other);
            corner = row[column + 1];
            row[column + 1] = changed.min(corner + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(sent: &Value, back: &Value, schema: Option<&Value>) -> Vec<(String, bool, Option<String>)> {
        let all = unknown_fields(sent, back, schema).into_iter();
        let mut found: Vec<_> = all.map(|one| (one.pointer, one.kept, one.meant)).collect();
        found.sort();
        found
    }

    #[test]
    fn what_did_not_come_back_is_told_once_and_where_it_begins() {
        let sent = json!({
            "apiVersion": "v1", "kind": "X", "status": {"phase": "a"}, "sepc": {"a": {"b": 1}},
            "metadata": {"name": "n", "uid": "u", "lables": {"a": "b"}, "labels": {"c": "d"}},
            "spec": {"none": null, "list": [{"good": 1}, {"good": 1, "bd/": 2}], "same": "1"},
        });
        let back = json!({
            "apiVersion": "v1", "kind": "X", "metadata": {"name": "n-x", "labels": {"c": "d"}},
            "spec": {"list": [{"good": 1}, {"good": 1, "more": 3}], "same": 1, "default": true},
        });
        let pointers: Vec<String> = found(&sent, &back, None).into_iter().map(|one| one.0).collect();
        assert_eq!(pointers, ["/metadata/lables", "/sepc", "/spec/list/1/bd~1"]);
        assert_eq!(found(&sent["spec"], &sent["spec"], None), []);
    }

    #[test]
    fn by_the_schema_what_is_kept_unknown_is_told_and_what_was_meant() {
        let schema = json!({"properties": {"spec": {
            "x-kubernetes-preserve-unknown-fields": true,
            "properties": {
                "engineState": {"type": "string"},
                "open": {"x-kubernetes-preserve-unknown-fields": true},
                "labels": {"additionalProperties": {"type": "string"}},
                "experiments": {"items": {"properties": {"name": {"type": "string"}, "spec": {"type": "object"}}}},
            },
        }}});
        let sent = json!({"spec": {"enginestate": "active", "quite": 1, "open": {"any": 1}, "labels": {"any": "a"},
            "experiments": [{"nam": "pod-delete", "elsewhere": 1}]}});
        let mut back = sent.clone();
        back["spec"]["experiments"] = json!([{}]);
        let own = |text: &str| Some(text.to_owned());
        assert_eq!(
            found(&sent, &back, Some(&schema)),
            [
                ("/spec/enginestate".to_owned(), true, own("engineState")),
                ("/spec/experiments/0/elsewhere".to_owned(), false, None),
                ("/spec/experiments/0/nam".to_owned(), false, own("name")),
                ("/spec/quite".to_owned(), true, None),
            ]
        );
    }

    #[test]
    fn words_are_near_by_their_slips() {
        assert_eq!([distance("", "abc"), distance("kitten", "sitting"), distance("abc", "abc")], [3, 3, 0]);
        let known = Map::from_iter([("env".to_owned(), json!({}))]);
        assert_eq!(nearest("evn", &known), None, "two slips in three letters");
        assert_eq!(nearest("envs", &known), Some("env".to_owned()));
    }
}
