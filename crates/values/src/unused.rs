//! Keys of a values file that change nothing.

use serde_json::Value;

use crate::diagnostics::{Diagnostic, MOST, Severity};
use crate::effective::{Parameter, Passed};
use crate::key_path::{KeyPath, Segment};
use crate::outline::{Entry, Outline, Shape, Style};
use crate::places::Lines;
use crate::reading::document;

/// Parameters that every deploy passes (cd-pipeline-operator, generateTemplatePatch), even when none are given here.
const ALWAYS_PASSED: [&str; 3] = ["image.tag", "image.repository", "image.digest"];

/// Finds keys without effect: those a deploy passes as parameters, which beat the file; those the chart's defaults do
/// not know; and values of another type than the default's, or null, which takes the default away. Empty when the text does not parse:
/// [`crate::diagnose`] says why.
///
/// A key the defaults do not mention is a hint only: a template may read it all the same.
pub fn keys_without_effect(text: &str, defaults: Option<&Value>, parameters: &[Parameter]) -> Vec<Diagnostic> {
    match document(text) {
        Ok(document) => effectless(text, &Lines::new(text), &document.outline, defaults, parameters),
        Err(_) => Vec::new(),
    }
}

/// What [`keys_without_effect`] finds in a text that was read.
pub(crate) fn effectless(
    text: &str,
    lines: &Lines<'_>,
    outline: &Outline,
    defaults: Option<&Value>,
    parameters: &[Parameter],
) -> Vec<Diagnostic> {
    let mut passed = Passed::new(parameters);
    ALWAYS_PASSED.iter().filter_map(|name| KeyPath::parse(name).ok()).for_each(|path| passed.add(path));
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut likeness = Likeness { left: MOST_COMPARED };
    let mut next = 0;
    while let Some(entry) = outline.entries.get(next) {
        let path = outline.path(next);
        let finding = if passed.decide(&path) { Some(by_parameter(&path)) } else { None };
        let finding = finding.or_else(|| against_default(text, entry, &path, defaults?, &mut likeness));
        next += 1;
        if let Some((severity, code, message)) = finding {
            let at = if code == "unknown-key" || code == "passed-as-parameter" {
                entry.key.start
            } else {
                entry.value.as_ref().map_or(entry.key.start, |value| value.start)
            };
            found.push(Diagnostic::at(lines, at, severity, code, message).about(path));
            // Once a mapping is reported, the keys below it say nothing new.
            next = entry.last;
        }
        if found.len() >= MOST {
            break;
        }
    }
    found
}

type Finding = (Severity, &'static str, String);

fn by_parameter(path: &KeyPath) -> Finding {
    let message = format!(
        "`{path}` has no effect: every deploy passes it as a parameter, and parameters beat values files. Choose the tag when deploying."
    );
    (Severity::Warning, "passed-as-parameter", message)
}

fn against_default(
    text: &str,
    entry: &Entry,
    path: &KeyPath,
    defaults: &Value,
    likeness: &mut Likeness,
) -> Option<Finding> {
    let Some((Segment::Key(key), above)) = path.segments().split_last() else { return None };
    // `global` is shared with subcharts, which have defaults of their own; so has everything below a list.
    if above.is_empty() && matches!(key.as_str(), "global" | "<<")
        || key == "<<"
        || path.segments().iter().any(|one| matches!(one, Segment::Index(_)))
    {
        return None;
    }
    let parent = above.iter().try_fold(defaults, |at, segment| match segment {
        Segment::Key(key) => at.as_object()?.get(key),
        Segment::Index(_) => None,
    })?;
    let parent = parent.as_object().filter(|map| !map.is_empty())?;
    match parent.get(key) {
        Some(default) => of_type(text, entry, path, default),
        None => Some(unknown(path, key, parent, likeness)),
    }
}

fn unknown(path: &KeyPath, key: &str, parent: &serde_json::Map<String, Value>, likeness: &mut Likeness) -> Finding {
    let near = likeness.nearest(key, parent.keys());
    let ask = near.map_or_else(
        || "it may have no effect, unless a template reads it".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    let severity = if near.is_some() { Severity::Warning } else { Severity::Hint };
    (severity, "unknown-key", format!("The chart's defaults have no `{path}`; {ask}."))
}

/// A value of another type than the default's, or none.
fn of_type(text: &str, entry: &Entry, path: &KeyPath, default: &Value) -> Option<Finding> {
    let value = match entry.shape {
        Shape::Collection(collection) if collection.list => Value::Array(Vec::new()),
        Shape::Collection(_) => Value::Object(serde_json::Map::new()),
        Shape::Scalar(Style::Quoted | Style::Block) => Value::String(String::new()),
        Shape::Scalar(Style::Plain) => match &entry.value {
            Some(range) => crate::reading::plain_scalar(text.get(range.clone())?),
            None => Value::Null,
        },
        Shape::Other => return None,
    };
    if value.is_null() {
        if default.is_null() {
            return None;
        }
        let holds =
            !default.as_object().is_some_and(serde_json::Map::is_empty) && default.as_array() != Some(&Vec::new());
        let severity = if entry.value.is_none() && holds { Severity::Warning } else { Severity::Hint };
        let how = if entry.value.is_none() { "Nothing stands behind" } else { "null stands behind" };
        let message = format!(
            "{how} `{path}`, and that takes the chart's default ({}) away: the chart will not see this key at all.",
            kind(default)
        );
        return Some((severity, "null-removes", message));
    }
    let same = std::mem::discriminant(&value) == std::mem::discriminant(default);
    if same || default.is_null() {
        return None;
    }
    let (was, now) = (kind(default), kind(&value));
    // A list default that is empty says little, and so does an empty text; the rest is most likely a mistake.
    let loose = default.as_str() == Some("") || default.as_array().is_some_and(Vec::is_empty);
    let loose = loose || default.as_object().is_some_and(|map| map.is_empty() && value.is_array());
    let severity = if loose { Severity::Hint } else { Severity::Warning };
    let ending = match (default, &value) {
        (Value::Object(_), _) => "; it replaces the mapping whole",
        (Value::Array(_), _) => "; it replaces the list whole",
        (Value::String(_), _) => "; quote it to make it text",
        (_, Value::String(_)) => "; take the quotes away if they are not meant",
        _ => "",
    };
    let message = format!("The chart's default of `{path}` is {was}, but this is {now}{ending}.");
    Some((severity, "type-differs", message))
}

/// What a value is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// How many keys are compared with unknown ones in one check; beyond that nothing is said of what may have been meant.
const MOST_COMPARED: usize = 50_000;

/// Finds the key that may have been meant.
struct Likeness {
    left: usize,
}

impl Likeness {
    /// The key most like `key`, when it is at most two letters away.
    fn nearest<'a>(&mut self, key: &str, known: impl ExactSizeIterator<Item = &'a String>) -> Option<&'a str> {
        let key = key.to_lowercase();
        let letters = key.chars().count();
        if !(4..=60).contains(&letters) {
            return None;
        }
        self.left = self.left.checked_sub(known.len())?;
        known
            .filter(|other| other.len() <= 120 && other.chars().count().abs_diff(letters) <= 2)
            .map(|other| (distance(&key, &other.to_lowercase()), other))
            .filter(|(distance, _)| *distance <= 2)
            .min()
            .map(|(_, other)| other.as_str())
    }
}

/// The number of letters to add, drop or change to come from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (place, left) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = place + 1;
        for (at, right) in b.iter().enumerate() {
            let next = (corner + usize::from(left != *right)).min(row[at] + 1).min(row[at + 1] + 1);
            corner = row[at + 1];
            row[at + 1] = next;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_without_effect_are_found() {
        let defaults = json!({"replicaCount": 1, "image": {"tag": "", "pullPolicy": "x"}, "nodeSelector": {}, "service": {"port": 80}});
        let table: &[(&str, &[(usize, &str)])] = &[
            ("replicaCount: 2\n", &[]),
            ("replicaCuont: 2\n", &[(1, "unknown-key")]),
            ("image:\n  tag: x\n  pullPolicy: z\n", &[(2, "passed-as-parameter")]),
            ("image:\n  digest: x\n", &[(2, "passed-as-parameter")]),
            ("nodeSelector:\n  disk: ssd\n", &[]),
            ("global:\n  x: 1\n", &[]),
            ("service: 80\n", &[(1, "type-differs")]),
            ("extra:\n  a: 1\n  b: 2\n", &[(1, "unknown-key")]),
            ("a: [", &[]),
        ];
        for (text, expected) in table {
            let found: Vec<_> =
                keys_without_effect(text, Some(&defaults), &[]).iter().map(|one| (one.line, one.code)).collect();
            assert_eq!(&found, expected, "{text}");
        }
        let message = &keys_without_effect("replicaCuont: 2\n", Some(&defaults), &[])[0].message;
        assert!(message.contains("`replicaCount`"), "{message}");
    }

    #[test]
    fn without_defaults_only_parameters_are_known() {
        assert_eq!(keys_without_effect("foo: 1\nimage: {tag: x}\n", None, &[]).len(), 1);
        let own = [Parameter { name: "foo".into(), value: "1".into() }];
        assert_eq!(keys_without_effect("foo: 1\nimage: {tag: x}\n", None, &own).len(), 2);
    }
}
