//! Taking values from one environment's file to another's.

use std::collections::HashSet;

use serde_json::Value;

use crate::editing::{Edit, edit};
use crate::key_path::{KeyPath, Segment};
use crate::outline::{Outline, Shape, Style, outline};
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
        let index = Index::new(&outline);
        for row in &mut rows {
            let line = index.find(&row.path).map(|found| lines.of(outline.entries[found].key.start));
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
/// removal where the source has no such key. A mapping changes key by key; what is not chosen, and every comment
/// outside a replaced list, stays byte for byte. A value on one line is written as the source writes it.
///
/// # Errors
/// When a text cannot be read, or a change cannot be made without touching something else; then nothing is changed.
pub fn apply_promotion(source: &str, target: &str, paths: &[KeyPath]) -> Result<String> {
    let (from, to) = (read(source)?, read(target)?);
    let mut rows = Vec::new();
    for path in paths {
        let (value, old) = (path.find(&from), path.find(&to));
        if value.is_none() && old.is_none() {
            let why = "neither file holds this key".to_owned();
            return Err(Error::EditRefused { path: path.to_string(), why });
        }
        if path.segments().iter().any(|segment| matches!(segment, Segment::Index(_))) {
            let why = "a list is taken over as a whole".to_owned();
            return Err(Error::EditRefused { path: path.to_string(), why });
        }
        compare(path, None, value, old, false, &mut rows);
    }
    let outline = outline(source);
    let index = Index::new(&outline);
    let mut edits = Vec::new();
    let mut seen: HashSet<KeyPath> = HashSet::new();
    let going: HashSet<KeyPath> = rows.iter().filter(|row| row.source.is_none()).map(|row| row.path.clone()).collect();
    for row in rows {
        let path = if row.source.is_none() { topmost(row.path, &from, &to, &going) } else { row.path };
        if seen.insert(path.clone()) {
            let written =
                row.source.as_ref().and_then(|_| index.find(&path)).and_then(|at| one_line(source, &outline, at));
            edits.push(Edit { path, value: row.source, written });
        }
    }
    if edits.is_empty() {
        return Ok(target.to_owned());
    }
    edit(target, &edits)
}

/// The mapping above a removed key that goes with it, when the source has none and nothing else is left in it.
fn topmost(path: KeyPath, from: &Value, to: &Value, going: &HashSet<KeyPath>) -> KeyPath {
    fn all_go(path: &KeyPath, value: &Value, going: &HashSet<KeyPath>) -> bool {
        going.contains(path)
            || value.as_object().is_some_and(|map| {
                !map.is_empty() && map.iter().all(|(key, value)| all_go(&path.key(key), value, going))
            })
    }
    let mut path = path;
    while let Some(above) = path.parent().filter(|above| !above.segments().is_empty()) {
        let leaves = above.find(to).is_some_and(|value| all_go(&above, value, going));
        if above.find(from).is_some() || !leaves {
            break;
        }
        path = above;
    }
    path
}

/// A scalar as the source writes it, when it stands on one line without an anchor.
fn one_line(text: &str, outline: &Outline, index: usize) -> Option<String> {
    let entry = &outline.entries[index];
    let written = text.get(entry.value.clone()?)?;
    let plain = matches!(entry.shape, Shape::Scalar(Style::Plain | Style::Quoted)) && !written.contains(['\n', '\r']);
    // Brackets give some letters a meaning that they have nowhere else.
    let anywhere = entry.shape != Shape::Scalar(Style::Plain) || !written.contains([',', '[', ']', '{', '}']);
    (plain && anywhere).then(|| written.to_owned())
}

/// Finds entries by path without searching.
struct Index<'a>(std::collections::HashMap<(Option<usize>, &'a Segment), usize>);

impl<'a> Index<'a> {
    fn new(outline: &'a Outline) -> Self {
        Self(outline.entries.iter().enumerate().map(|(at, entry)| ((entry.parent, &entry.segment), at)).collect())
    }

    fn find(&self, path: &KeyPath) -> Option<usize> {
        path.segments().iter().try_fold(None, |at, segment| Some(Some(*self.0.get(&(at, segment))?)))?
    }
}

/// The beginnings of a text's lines.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    fn of(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }
}
