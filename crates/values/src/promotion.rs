//! Taking values from one environment's file to another's.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::copying::Original;
use crate::editing::{Edit, edit};
use crate::key_path::{KeyPath, Segment};
use crate::outline::outline;
use crate::places::{Lines, Ways};
use crate::reading::document;
use crate::{Error, Result, read};

/// What taking a row over does to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// The target gets the key.
    Added,
    /// The target loses the key.
    Removed,
    /// The key gets another value.
    Changed,
}

/// Who departed from the common ancestor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// Only the source: taking it over undoes nothing.
    Source,
    /// Only the target: taking the source's value over would undo that.
    Target,
    /// Both, and differently.
    Both,
    /// There is no common ancestor to tell.
    Unknown,
}

/// One key path in which source and target differ. A list is one value.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PromotionRow {
    /// The key path.
    #[serde(serialize_with = "as_text")]
    pub path: KeyPath,
    /// The value in the common ancestor.
    pub base: Option<Value>,
    /// The value in the source.
    pub source: Option<Value>,
    /// The value in the target.
    pub target: Option<Value>,
    /// What taking it over does.
    pub change: Change,
    /// Who changed it since the common ancestor.
    pub changed_in: Side,
    /// Both sides changed it, and differently.
    pub conflict: bool,
    /// Line of the key in the source, from 1.
    pub source_line: Option<usize>,
    /// Line of the key in the target, from 1.
    pub target_line: Option<usize>,
}

fn as_text<S: serde::Serializer>(path: &KeyPath, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(path)
}

/// Compares two values files, with their common ancestor when there is one: a row for each key path in which they
/// differ, in the order of the source, then of the target.
///
/// # Errors
/// When one of the texts cannot be read.
pub fn promote(source: &str, target: &str, base: Option<&str>) -> Result<Vec<PromotionRow>> {
    let (from, to) = (read(source)?, read(target)?);
    let base = base.map(read).transpose()?;
    let mut rows = Vec::new();
    compare(&KeyPath::root(), base.as_ref(), Some(&from), Some(&to), base.is_some(), &mut rows);
    for (text, is_source) in [(source, true), (target, false)] {
        let (outline, lines) = (outline(text), Lines::new(text));
        let ways = Ways::new(&outline);
        for row in &mut rows {
            let line = ways.find(&row.path).map(|found| lines.line(outline.entries[found].key.start));
            if is_source { row.source_line = line } else { row.target_line = line }
        }
    }
    Ok(rows)
}

fn compare(
    path: &KeyPath,
    base: Option<&Value>,
    source: Option<&Value>,
    target: Option<&Value>,
    with_base: bool,
    rows: &mut Vec<PromotionRow>,
) {
    if source == target {
        return;
    }
    let (below_source, below_target) = (source.and_then(Value::as_object), target.and_then(Value::as_object));
    let both_below = (below_source.is_some() || source.is_none()) && (below_target.is_some() || target.is_none());
    let empty = below_source.is_some_and(serde_json::Map::is_empty) && target.is_none()
        || below_target.is_some_and(serde_json::Map::is_empty) && source.is_none();
    if both_below && !empty {
        let base = base.and_then(Value::as_object);
        let keys = below_source.into_iter().flat_map(|map| map.keys());
        let more = below_target.into_iter().flat_map(|map| map.keys());
        let more = more.filter(|key| below_source.is_none_or(|map| !map.contains_key(*key)));
        for key in keys.chain(more) {
            let (source, target) =
                (below_source.and_then(|map| map.get(key)), below_target.and_then(|map| map.get(key)));
            compare(&path.key(key), base.and_then(|map| map.get(key)), source, target, with_base, rows);
        }
        return;
    }
    let changed_in = match (with_base, source == base, target == base) {
        (false, _, _) => Side::Unknown,
        (true, false, true) => Side::Source,
        (true, true, _) => Side::Target,
        (true, false, false) => Side::Both,
    };
    let change = match (source, target) {
        (Some(_), None) => Change::Added,
        (None, _) => Change::Removed,
        _ => Change::Changed,
    };
    rows.push(PromotionRow {
        path: path.clone(),
        base: base.cloned(),
        source: source.cloned(),
        target: target.cloned(),
        change,
        changed_in,
        conflict: changed_in == Side::Both,
        source_line: None,
        target_line: None,
    });
}

/// Takes the chosen key paths over from the source into the target's text: a value, a whole subtree or a list, or a
/// removal where the source has no such key. A mapping changes key by key, a list entry by entry; what is not chosen,
/// and every comment at what stays, stays byte for byte. What is taken over is written as the source writes it, with the
/// comments inside it.
///
/// # Errors
/// When a text cannot be read, or a change cannot be made without touching something else; then nothing is changed.
pub fn apply_promotion(source: &str, target: &str, paths: &[KeyPath]) -> Result<String> {
    let (from, to) = (document(source)?, read(target)?);
    let mut changes = Vec::new();
    for path in paths {
        let (value, old) = (path.find(&from.tree), path.find(&to));
        if value.is_none() && old.is_none() {
            let why = "neither file holds this key".to_owned();
            return Err(Error::EditRefused { path: path.to_string(), why });
        }
        if path.segments().iter().any(|segment| matches!(segment, Segment::Index(_))) {
            let why = "a list is taken over as a whole".to_owned();
            return Err(Error::EditRefused { path: path.to_string(), why });
        }
        differences(path, value, old, &mut changes);
    }
    let going: HashSet<KeyPath> =
        changes.iter().filter(|(_, value)| value.is_none()).map(|(path, _)| path.clone()).collect();
    let mut leaving = HashSet::new();
    if !going.is_empty() {
        leaves(&KeyPath::root(), &to, &going, &mut leaving);
    }
    let mut edits = Vec::new();
    let mut seen: HashSet<KeyPath> = HashSet::new();
    for (path, value) in changes {
        let path = if value.is_none() { topmost(path, &from.tree, &leaving) } else { path };
        if seen.insert(path.clone()) {
            edits.push(Edit { path, value });
        }
    }
    if edits.is_empty() {
        return Ok(target.to_owned());
    }
    edit(target, &edits, Some(&Original::new(source, &from.outline)))
}

/// The changes that make the target's value the source's, as few as possible.
fn differences(
    path: &KeyPath,
    source: Option<&Value>,
    target: Option<&Value>,
    out: &mut Vec<(KeyPath, Option<Value>)>,
) {
    match (source, target) {
        (source, target) if source == target => {}
        (Some(Value::Object(below)), Some(Value::Object(there))) => {
            for (key, value) in below {
                differences(&path.key(key), Some(value), there.get(key), out);
            }
            for key in there.keys().filter(|key| !below.contains_key(*key)) {
                out.push((path.key(key), None));
            }
        }
        (source, _) => out.push((path.clone(), source.cloned())),
    }
}

/// Whether nothing is left of a value once all goes that goes; `out` gets the mappings of which nothing is.
fn leaves(path: &KeyPath, value: &Value, going: &HashSet<KeyPath>, out: &mut HashSet<KeyPath>) -> bool {
    if going.contains(path) {
        return true;
    }
    let Value::Object(map) = value else { return false };
    let mut all = !map.is_empty();
    for (key, below) in map {
        all &= leaves(&path.key(key), below, going, out);
    }
    if all {
        out.insert(path.clone());
    }
    all
}

/// The mapping above a removed key that goes with it, when the source has none and nothing else is left in it.
fn topmost(path: KeyPath, from: &Value, leaving: &HashSet<KeyPath>) -> KeyPath {
    let mut path = path;
    while let Some(above) = path.parent().filter(|above| !above.segments().is_empty()) {
        if above.find(from).is_some() || !leaving.contains(&above) {
            break;
        }
        path = above;
    }
    path
}

/// A comment that is not in a changed text any more.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostComment {
    /// Its line in the text before, from 1.
    pub line: usize,
    /// The comment with its `#`.
    pub text: String,
}

/// The comments of a text that are not in what became of it.
pub fn comments_lost(before: &str, after: &str) -> Vec<LostComment> {
    let comments = |text: &str| -> Vec<(usize, String)> {
        let lines = Lines::new(text);
        let found = outline(text).comments.into_iter();
        found.filter_map(|range| Some((lines.line(range.start), text.get(range)?.trim().to_owned()))).collect()
    };
    let mut left: HashMap<String, usize> = HashMap::new();
    for (_, text) in comments(after) {
        *left.entry(text).or_default() += 1;
    }
    let gone = |(_, text): &(usize, String)| match left.get_mut(text) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    let lost = comments(before).into_iter().filter(gone);
    lost.map(|(line, text)| LostComment { line, text }).collect()
}
