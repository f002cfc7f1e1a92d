//! Paths to fields, as people write them: `spec.template.spec.containers[name=app].image`, `metadata.labels["a/b"]`,
//! `spec.volumes[0]`.

use crate::error::Reason;
use serde_json::Value;

/// The longest path.
const MAX_LENGTH: usize = 512;
/// The most steps.
const MAX_STEPS: usize = 32;

/// What the API server itself writes with every change; a test of these would see one in everything.
const RESTLESS: [&str; 3] = ["resourceVersion", "managedFields", "generation"];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    Where(String, String),
}

/// A path, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(Vec<Step>);

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if text.is_empty() || text.len() > MAX_LENGTH {
            return Err(format!("give a path of 1 to {MAX_LENGTH} characters").into());
        }
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (step, after) = bracket(inner)?;
                steps.push(step);
                rest = after;
            } else {
                let named = if steps.is_empty() { rest } else { rest.strip_prefix('.').ok_or("a '.' is missing")? };
                let end = named.find(['.', '[']).unwrap_or(named.len());
                let (name, after) = named.split_at(end);
                if name.is_empty() || name.contains([']', '"', '=']) {
                    return Err(format!("'{name}' is no field's name; write [\"…\"] around one with dots").into());
                }
                steps.push(Step::Key(name.to_owned()));
                rest = after;
            }
        }
        if steps.len() > MAX_STEPS {
            return Err(format!("a path has at most {MAX_STEPS} steps").into());
        }
        let restless = |name: &str| RESTLESS.contains(&name);
        match steps.as_slice() {
            [Step::Key(first)] if first == "metadata" => {
                Err("metadata as a whole changes with every write; name a field of it".into())
            }
            [Step::Key(first), Step::Key(second), ..] if first == "metadata" && restless(second) => {
                Err(format!("metadata.{second} changes with every write").into())
            }
            _ => Ok(Self(steps)),
        }
    }

    /// What is there; none when nothing is.
    pub fn find<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(object, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(*index),
            Step::Where(key, wanted) => {
                let is = |one: &&Value| one.get(key).and_then(Value::as_str) == Some(wanted.as_str());
                value.as_array()?.iter().find(is)
            }
        })
    }
}

fn bracket(inner: &str) -> Result<(Step, &str), Reason> {
    if let Some(quoted) = inner.strip_prefix('"') {
        let (key, after) = quoted.split_once("\"]").ok_or("a '\"]' is missing")?;
        return Ok((Step::Key(key.to_owned()), after));
    }
    let (text, after) = inner.split_once(']').ok_or("a ']' is missing")?;
    if let Some((key, wanted)) = text.split_once('=') {
        return if key.is_empty() {
            Err("a name is missing before '='".into())
        } else {
            Ok((Step::Where(key.to_owned(), wanted.to_owned()), after))
        };
    }
    let index = text.parse().map_err(|_| format!("[{text}] is neither a number nor name=value"))?;
    Ok((Step::Index(index), after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths() {
        let object = json!({"metadata": {"labels": {"a.b/c": "x"}},
            "spec": {"containers": [{"name": "side"}, {"name": "app", "image": "i"}]}});
        let find = |path: &str| FieldPath::parse(path).unwrap().find(&object).cloned();
        assert_eq!(find("spec.containers[name=app].image"), Some(json!("i")));
        assert_eq!(find("spec.containers[1].image"), Some(json!("i")));
        assert_eq!(find("metadata.labels[\"a.b/c\"]"), Some(json!("x")));
        assert_eq!(find("spec.containers[9].image"), None);
        assert_eq!(find("spec.containers.image"), None);
        for broken in ["", ".a", "a..b", "a[", "a[x]", "a[=b]", "a[0]b", "metadata.generation", "metadata", "a[\"b"] {
            assert!(FieldPath::parse(broken).is_err(), "{broken}");
        }
        assert!(FieldPath::parse(&"a.".repeat(300)).is_err());
    }
}
