//! What a condition looks at in a workload, and what of it is remembered.
//!
//! A trigger's status is read by more people than the workload may be, and has a bound. So values are remembered as
//! digests; only a CEL expression, which may compare with the old value, keeps the part that it looks at.

use crate::error::Reason;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Condition, expression, path, query};
use crate::images::images_of;

/// How much of a workload is remembered for expressions, in bytes: two hundred of them have to fit into one object.
pub const MAX_PART: usize = 4 * 1024;

/// What a condition sees in a workload now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its images by container.
    pub images: BTreeMap<String, String>,
    /// Which of the containers run before the others.
    pub init: BTreeSet<String>,
    /// What each test looks at, by the test's key; or why it cannot be looked at.
    pub values: BTreeMap<String, Result<Value, Reason>>,
}

impl Seen {
    /// Looks at a workload.
    pub fn look(condition: &Condition, object: &Value) -> Self {
        let mut room = MAX_PART;
        let tests = condition.tests().into_iter();
        let values = tests.filter_map(|test| Some((key(test)?, value(test, object, &mut room)))).collect();
        Self { images: images_of(object), init: init_containers(object), values }
    }

    /// What of it is remembered.
    pub fn remembered(&self) -> BTreeMap<String, String> {
        let remember = |(key, value): (&String, &Result<Value, Reason>)| {
            let text = match value {
                Ok(part) if key.starts_with(PART) => part.to_string(),
                Ok(value) => digest(value),
                Err(_) => "unreadable".to_owned(),
            };
            (key.clone(), text)
        };
        self.values.iter().map(remember).collect()
    }
}

/// How the keys of expressions begin.
const PART: &str = "cel/";

/// The key under which a test's value is remembered.
pub fn key(test: &Condition) -> Option<String> {
    Some(match test {
        Condition::Replicas(_) => "replicas".to_owned(),
        Condition::Label(test) => format!("label/{}", test.key),
        Condition::Annotation(test) => format!("annotation/{}", test.key),
        Condition::Env(test) => format!("env/{}/{}", test.container.as_deref().unwrap_or("*"), test.name),
        Condition::Field(test) => format!("field/{}", test.path),
        Condition::Jmespath(test) => format!("jmespath/{}", test.key),
        Condition::Cel(text) => format!("{PART}{}", digest(&Value::String(text.clone()))),
        Condition::ImageChanged(_) | Condition::All(_) | Condition::Any(_) => return None,
    })
}

fn value(test: &Condition, object: &Value, room: &mut usize) -> Result<Value, Reason> {
    let at = |pointer: &str, key: &str| object.pointer(pointer).and_then(|map| map.get(key)).cloned();
    Ok(match test {
        Condition::Replicas(_) => object.pointer("/spec/replicas").cloned().unwrap_or_else(|| 1.into()),
        Condition::Label(test) => at("/metadata/labels", &test.key).unwrap_or_default(),
        Condition::Annotation(test) => at("/metadata/annotations", &test.key).unwrap_or_default(),
        Condition::Env(test) => variable(object, test.container.as_deref(), &test.name),
        Condition::Field(test) => path::FieldPath::parse(&test.path)?.find(object).cloned().unwrap_or_default(),
        Condition::Jmespath(test) => query::search(&test.key, object)?,
        Condition::Cel(text) => {
            let part = expression::Compiled::new(text)?.part_of(object);
            let more = "expressions look at more than 4 KiB of it; let them name fields";
            *room = room.checked_sub(part.to_string().len()).ok_or(more)?;
            part
        }
        Condition::ImageChanged(_) | Condition::All(_) | Condition::Any(_) => Value::Null,
    })
}

fn containers<'a>(object: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    let found = object.pointer("/spec/template/spec").and_then(|pod| pod.get(list)).and_then(Value::as_array);
    found.into_iter().flatten()
}

fn init_containers(object: &Value) -> BTreeSet<String> {
    containers(object, "initContainers")
        .filter_map(|one| one.get("name").and_then(Value::as_str))
        .map(str::to_owned)
        .collect()
}

/// A variable's value; where it comes from, when it comes from elsewhere.
fn variable(object: &Value, container: Option<&str>, name: &str) -> Value {
    let named = |one: &&Value, name: &str| one.get("name").and_then(Value::as_str) == Some(name);
    containers(object, "containers")
        .chain(containers(object, "initContainers"))
        .filter(|one| container.is_none_or(|wanted| named(one, wanted)))
        .find_map(|one| one.get("env")?.as_array()?.iter().find(|variable| named(variable, name)))
        .map(|variable| match variable.get("valueFrom") {
            Some(from) => from.clone(),
            // A variable with neither is the empty text.
            None => variable.get("value").cloned().unwrap_or_else(|| Value::String(String::new())),
        })
        .unwrap_or_default()
}

/// A digest of a value: the same however the keys of its objects are ordered.
pub fn digest(value: &Value) -> String {
    let mut hash = Sha256::new();
    feed(&mut hash, value);
    crate::decide::hex(&hash.finalize(), 24)
}

fn feed(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            hash.update(b"{");
            let sorted: BTreeMap<_, _> = map.iter().collect();
            for (key, one) in sorted {
                hash.update(key.len().to_string());
                hash.update(b":");
                hash.update(key);
                feed(hash, one);
            }
            hash.update(b"}");
        }
        Value::Array(all) => {
            hash.update(b"[");
            all.iter().for_each(|one| feed(hash, one));
            hash.update(b"]");
        }
        Value::String(text) => {
            hash.update(b"s");
            hash.update(text.len().to_string());
            hash.update(b":");
            hash.update(text);
        }
        plain => {
            hash.update(b"p");
            hash.update(plain.to_string());
            hash.update(b";");
        }
    }
}
