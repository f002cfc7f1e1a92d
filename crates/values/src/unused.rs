//! Keys of a values file that change nothing.

use serde_json::Value;

use crate::diagnostics::{Diagnostic, Severity};
use crate::effective::{Parameter, typed};
use crate::key_path::{KeyPath, Segment};
use crate::outline::{Entry, Shape, outline};

/// Parameters that every deploy passes (cd-pipeline-operator, generateTemplatePatch), even when none are given here.
const ALWAYS_PASSED: [&str; 3] = ["image.tag", "image.repository", "image.digest"];

/// Finds keys without effect: those a deploy passes as parameters, which beat the file; those the chart's defaults do
/// not know; and mappings where the defaults have none, or the other way round. Empty when the text does not parse:
/// [`crate::diagnose`] says why.
///
/// A key the defaults do not mention is a hint only: a template may read it all the same.
pub fn keys_without_effect(text: &str, defaults: Option<&Value>, parameters: &[Parameter]) -> Vec<Diagnostic> {
    if crate::read(text).is_err() {
        return Vec::new();
    }
    let mut passed: Vec<KeyPath> = typed(parameters).into_iter().map(|(path, _)| path).collect();
    passed.extend(ALWAYS_PASSED.iter().filter_map(|name| KeyPath::parse(name).ok()));
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut told: Option<KeyPath> = None;
    for entry in outline(text) {
        // Once a mapping is reported, the keys below it say nothing new.
        if told.as_ref().is_some_and(|above| entry.path.is_within(above)) {
            continue;
        }
        let finding = by_parameter(&entry, &passed).or_else(|| unknown(&entry, defaults?));
        if let Some((severity, code, message)) = finding {
            told = Some(entry.path.clone());
            found.push(Diagnostic::at(text, entry.key.start, severity, code, message));
        }
        if found.len() >= 200 {
            break;
        }
    }
    found
}

type Finding = (Severity, &'static str, String);

fn by_parameter(entry: &Entry, passed: &[KeyPath]) -> Option<Finding> {
    passed.iter().any(|parameter| entry.path.is_within(parameter)).then(|| {
        let message = format!(
            "`{}` has no effect: every deploy passes it as a parameter, and parameters beat values files. Choose the tag when deploying.",
            entry.path
        );
        (Severity::Warning, "passed-as-parameter", message)
    })
}

fn unknown(entry: &Entry, defaults: &Value) -> Option<Finding> {
    let Some((Segment::Key(key), above)) = entry.path.segments().split_last() else { return None };
    // `global` is shared with subcharts, which have defaults of their own; so has everything below a list.
    if above.is_empty() && key == "global" || entry.path.segments().iter().any(|one| matches!(one, Segment::Index(_))) {
        return None;
    }
    let parent = above.iter().try_fold(defaults, |at, segment| match segment {
        Segment::Key(key) => at.as_object()?.get(key),
        Segment::Index(_) => None,
    })?;
    let parent = parent.as_object().filter(|map| !map.is_empty())?;
    let Some(default) = parent.get(key) else {
        let near = nearest(key, parent.keys());
        let ask = near.map_or_else(
            || "it may have no effect, unless a template reads it".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let severity = if near.is_some() { Severity::Warning } else { Severity::Hint };
        return Some((severity, "unknown-key", format!("The chart's defaults have no `{}`; {ask}.", entry.path)));
    };
    let (is_table, is_list) = (default.is_object(), default.is_array());
    match &entry.shape {
        Shape::Scalar(_) if entry.value.is_some() && (is_table || is_list) => {
            let what = if is_table { "a mapping" } else { "a list" };
            let message =
                format!("The chart's defaults have {what} at `{}`; a single value replaces it whole.", entry.path);
            Some((Severity::Warning, "type-differs", message))
        }
        _ => None,
    }
}

/// The key most like `key`, when it is at most two letters away.
fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    if key.chars().count() < 4 || key.chars().count() > 60 {
        return None;
    }
    known
        .filter(|other| other.len() <= 120)
        .map(|other| (distance(&key.to_lowercase(), &other.to_lowercase()), other))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, other)| other.as_str())
}

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
            ("image:\n  tag: x\n  pullPolicy: y\n", &[(2, "passed-as-parameter")]),
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
