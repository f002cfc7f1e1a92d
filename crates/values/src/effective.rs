//! What a values file comes to on top of a chart's defaults and under the parameters of a deploy.

use serde_json::{Map, Value};

use crate::key_path::{KeyPath, Segment};

/// A Helm parameter (`--set name=value`), as Argo CD passes `image.tag`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Parameter {
    /// The key path, such as `image.tag`.
    pub name: String,
    /// The value, always text; Helm gives it a type.
    pub value: String,
}

/// Where an effective value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The chart's own values.yaml.
    Default,
    /// The values file.
    File,
    /// A parameter of the deploy; it beats both.
    Parameter,
}

/// One effective value.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveLine {
    /// The key path, such as `resources.limits.cpu` or `hosts[0].name`.
    pub path: String,
    /// A scalar, or an empty list or mapping.
    pub value: Value,
    /// Where it comes from.
    pub source: Source,
}

impl EffectiveLine {
    /// The value as one would write it in YAML.
    pub fn text(&self) -> String {
        crate::scalar::inline(&self.value)
    }
}

/// The values a chart sees, merged as Helm does it (pkg/chartutil/coalesce.go, pkg/strvals): mappings are merged, lists
/// and scalars replaced, a null in the file takes the default away, and parameters come last.
pub fn merged(defaults: &Value, file: &Value, parameters: &[Parameter]) -> Value {
    let mut tree = file.clone();
    for (path, value) in typed(parameters) {
        set(&mut tree, &path, value);
    }
    let nothing = Map::new();
    match (&tree, defaults) {
        (Value::Object(top), Value::Object(below)) => Value::Object(coalesce(top, below)),
        (Value::Object(top), _) => Value::Object(coalesce(top, &nothing)),
        (_, below) => below.clone(),
    }
}

/// The effective values as a flat list, in the order of the defaults, then of the file.
pub fn effective(defaults: &Value, file: &Value, parameters: &[Parameter]) -> Vec<EffectiveLine> {
    let tree = merged(defaults, file, parameters);
    let passed = Passed::new(parameters);
    let mut lines = Vec::new();
    flatten(&tree, &KeyPath::root(), &mut |path, value| {
        let source = if passed.decide(path) {
            Source::Parameter
        } else if comes_from(path, file) {
            Source::File
        } else {
            Source::Default
        };
        lines.push(EffectiveLine { path: path.to_string(), value: value.clone(), source });
    });
    lines
}

/// The paths that parameters set.
pub(crate) struct Passed(std::collections::HashSet<KeyPath>);

impl Passed {
    pub(crate) fn new(parameters: &[Parameter]) -> Self {
        Self(typed(parameters).into_iter().map(|(path, _)| path).collect())
    }

    /// The paths above those that parameters set: a list in which a parameter sets a place is one of them.
    pub(crate) fn above(parameters: &[Parameter]) -> std::collections::HashSet<KeyPath> {
        let paths = typed(parameters).into_iter().map(|(path, _)| path);
        paths.flat_map(|path| std::iter::successors(path.parent(), KeyPath::parent)).collect()
    }

    pub(crate) fn add(&mut self, path: KeyPath) {
        self.0.insert(path);
    }

    /// Whether a parameter sets this path or one above it.
    pub(crate) fn decide(&self, path: &KeyPath) -> bool {
        let steps = path.segments();
        !self.0.is_empty() && (1..=steps.len()).any(|count| self.0.contains(&steps[..count]))
    }
}

/// Whether the file decides the value: it holds the path itself, or replaces a list or scalar above it.
pub(crate) fn comes_from(path: &KeyPath, file: &Value) -> bool {
    let mut at = file;
    for segment in path.segments() {
        at = match (segment, at) {
            (Segment::Key(key), Value::Object(map)) => match map.get(key) {
                Some(value) => value,
                None => return false,
            },
            // A list in the file replaces the default's list as a whole.
            (_, Value::Array(_)) => return true,
            _ => return false,
        };
    }
    // An empty mapping in the file merges into the default's and so decides nothing unless the default has none.
    true
}

fn coalesce(top: &Map<String, Value>, below: &Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, default) in below {
        match (top.get(key), default) {
            (None, _) => {
                out.insert(key.clone(), default.clone());
            }
            (Some(Value::Null), _) => {}
            (Some(Value::Object(over)), Value::Object(under)) => {
                out.insert(key.clone(), Value::Object(coalesce(over, under)));
            }
            (Some(over), _) => {
                out.insert(key.clone(), without_nulls(over));
            }
        }
    }
    for (key, value) in top {
        if !below.contains_key(key) && !value.is_null() {
            out.insert(key.clone(), without_nulls(value));
        }
    }
    out
}

/// A mapping set by the file alone: nulls in it take nothing away and mean nothing.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), without_nulls(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn flatten(value: &Value, path: &KeyPath, emit: &mut impl FnMut(&KeyPath, &Value)) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                flatten(value, &path.key(key), emit);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                flatten(item, &path.index(index), emit);
            }
        }
        _ if path.segments().is_empty() => {}
        leaf => emit(path, leaf),
    }
}

/// Parameters whose names are key paths, with the type Helm's `--set` gives them.
pub(crate) fn typed(parameters: &[Parameter]) -> Vec<(KeyPath, Value)> {
    parameters.iter().filter_map(|one| Some((KeyPath::parse(&one.name).ok()?, typed_value(&one.value)))).collect()
}

/// helm pkg/strvals `typedVal`: booleans, null and whole numbers without a leading zero; all else is text.
fn typed_value(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        "0" => Value::from(0),
        _ if text.starts_with('0') => Value::String(text.to_owned()),
        _ => text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
    }
}

/// Sets a parameter, replacing whatever scalar stands in its way, as a parameter always wins.
fn set(tree: &mut Value, path: &KeyPath, value: Value) {
    let mut at = tree;
    for segment in path.segments() {
        at = match segment {
            Segment::Key(key) => {
                if !at.is_object() {
                    *at = Value::Object(Map::new());
                }
                let Some(map) = at.as_object_mut() else { return };
                map.entry(key.clone()).or_insert(Value::Null)
            }
            Segment::Index(index) => {
                // strvals.MaxIndex; a parameter beyond it is refused by Helm.
                if *index > 65_536 {
                    return;
                }
                if !at.is_array() {
                    *at = Value::Array(Vec::new());
                }
                let Some(list) = at.as_array_mut() else { return };
                while list.len() <= *index {
                    list.push(Value::Null);
                }
                &mut list[*index]
            }
        };
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parameter(name: &str, value: &str) -> Parameter {
        Parameter { name: name.into(), value: value.into() }
    }

    #[test]
    fn merges_as_helm_does() {
        let table = [
            (json!({"a": 1, "b": 2}), json!({"b": 3}), json!({"a": 1, "b": 3})),
            (json!({"a": {"x": 1, "y": 2}}), json!({"a": {"y": 3}}), json!({"a": {"x": 1, "y": 3}})),
            (json!({"a": [1, 2, 3]}), json!({"a": [9]}), json!({"a": [9]})),
            (json!({"a": {"x": 1}, "b": 1}), json!({"a": null}), json!({"b": 1})),
            (json!({"a": {"x": 1, "y": 2}}), json!({"a": {"x": null}}), json!({"a": {"y": 2}})),
            (json!({"a": {"x": 1}}), json!({"a": 5}), json!({"a": 5})),
            (json!({"a": 5}), json!({"a": {"x": 1}}), json!({"a": {"x": 1}})),
            (json!({"a": {"x": 1}}), json!({"a": {}}), json!({"a": {"x": 1}})),
            (json!({"a": null}), json!({}), json!({"a": null})),
            (json!({}), json!({"new": {"x": null, "y": 1}}), json!({"new": {"y": 1}})),
        ];
        for (defaults, file, expected) in table {
            assert_eq!(merged(&defaults, &file, &[]), expected, "{defaults} + {file}");
        }
    }

    #[test]
    fn parameters_win_and_are_typed() {
        let parameters = [
            parameter("image.tag", "1.0"),
            parameter("replicaCount", "3"),
            parameter("on", "true"),
            parameter("zip", "0123"),
            parameter(r"ann.a\.b", "x"),
            parameter("list[1]", "two"),
        ];
        assert_eq!(
            merged(
                &json!({"image": {"tag": "", "repository": "r"}}),
                &json!({"image": {"tag": "file"}, "list": ["one"]}),
                &parameters
            ),
            json!({"image": {"tag": "1.0", "repository": "r"}, "list": ["one", "two"], "replicaCount": 3, "on": true,
                   "zip": "0123", "ann": {"a.b": "x"}})
        );
    }

    #[test]
    fn every_line_names_its_source() {
        let defaults =
            json!({"replicaCount": 1, "image": {"tag": "", "pullPolicy": "Always"}, "hosts": ["a", "b"], "res": {}});
        let file = json!({"replicaCount": 3, "hosts": ["c"], "image": {"tag": "ignored"}});
        let lines = effective(&defaults, &file, &[parameter("image.tag", "1.2")]);
        let told: Vec<_> = lines.iter().map(|line| (line.path.as_str(), line.text(), line.source)).collect();
        assert_eq!(
            told,
            [
                ("replicaCount", "3".to_owned(), Source::File),
                ("image.tag", "\"1.2\"".to_owned(), Source::Parameter),
                ("image.pullPolicy", "Always".to_owned(), Source::Default),
                ("hosts[0]", "c".to_owned(), Source::File),
                ("res", "{}".to_owned(), Source::Default),
            ]
        );
    }
}
