//! Help while a values file is written: what could stand at the cursor, and what a key under the pointer means.

use serde_json::Value;

use crate::chart::{Chart, Knowledge};
use crate::cursor::{Cursor, cursor};
use crate::key_path::KeyPath;
use crate::outline::{offset_of, outline};
use crate::scalar::inline;
use crate::writing::Layout;

/// One thing that could be written at the cursor.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// The text that takes the place of what stands between `from` and the cursor.
    pub insert: String,
    /// The key or value to show.
    pub label: String,
    /// Type and default, on one line.
    pub detail: String,
    /// What it is for; empty when nobody says.
    pub description: String,
    /// Column at which the replaced letters begin, from 1.
    pub from: usize,
}

/// What is known of the key under the pointer.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hover {
    /// The key path.
    pub path: String,
    /// The chart's default as one would write it on one line, cut when long.
    pub default: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its type in words.
    pub kind: Option<String>,
    /// The values the schema allows, as one would write them.
    pub allowed: Vec<String>,
    /// The schema requires it.
    pub required: bool,
    /// The schema calls it deprecated.
    pub deprecated: bool,
}

/// The most completions that are offered at once.
const MOST: usize = 200;

/// What could be written at a line and column, both from 1: keys the chart knows that the mapping does not have yet,
/// or the values a key can take. Works on a text that does not parse yet. Empty in comments and in block scalars.
pub fn completions(text: &str, line: usize, column: usize, chart: &Chart) -> Vec<Completion> {
    if text.len() > crate::LIMIT {
        return Vec::new();
    }
    match cursor(text, line, column) {
        Some(Cursor::Key { parent, typed, from, there }) => keys(text, line, &parent, &typed, from, there, chart),
        Some(Cursor::Value { path, typed, from }) => values(&path, &typed, from, chart),
        None => Vec::new(),
    }
}

fn keys(
    text: &str,
    line: usize,
    parent: &KeyPath,
    typed: &str,
    from: usize,
    there: Option<std::collections::HashSet<String>>,
    chart: &Chart,
) -> Vec<Completion> {
    let in_brackets = there.is_some();
    let there = there.unwrap_or_else(|| siblings(text, line, parent, from));
    let layout = Layout::of(text, &outline(text));
    let typed = typed.to_lowercase();
    let mut found = Vec::new();
    for key in chart.keys(parent) {
        if there.contains(&key) || !key.to_lowercase().contains(&typed) {
            continue;
        }
        let about = chart.about(&parent.key(&key)).unwrap_or_default();
        let written = inline(&Value::String(key.clone()));
        let column = from - 1;
        let insert = match (&about.default, about.kind.as_deref()) {
            _ if in_brackets => format!("{written}: "),
            (Some(Value::Object(map)), _) if !map.is_empty() => below(&layout, &written, column + layout.step, ""),
            (Some(Value::Array(list)), _) if !list.is_empty() => below(&layout, &written, column + layout.dash, "- "),
            (None, Some("a mapping")) => below(&layout, &written, column + layout.step, ""),
            (None, Some("a list")) => below(&layout, &written, column + layout.dash, "- "),
            _ => format!("{written}: "),
        };
        let starts = key.to_lowercase().starts_with(&typed);
        let (detail, description) = (detail(&about), about.description.unwrap_or_default());
        found.push((!starts, Completion { insert, label: key, detail, description, from }));
    }
    found.sort_by_key(|(later, _)| *later);
    found.into_iter().map(|(_, one)| one).take(MOST).collect()
}

fn below(layout: &Layout, key: &str, column: usize, lead: &str) -> String {
    let mut out = format!("{key}:");
    layout.next_line(column, &mut out);
    out + lead
}

/// The keys that the mapping around the cursor has on other lines.
fn siblings(text: &str, line: usize, parent: &KeyPath, from: usize) -> std::collections::HashSet<String> {
    // The line being written is left out, so that the rest parses more often.
    let rest: String =
        text.split_inclusive('\n').enumerate().filter(|(no, _)| no + 1 != line).map(|(_, one)| one).collect();
    let mut there = std::collections::HashSet::new();
    let outline = outline(&rest);
    if !outline.entries.is_empty() {
        let (place, taken) = outline.follow(parent);
        if taken == parent.segments().len() {
            for child in outline.children(place) {
                if let crate::key_path::Segment::Key(key) = &outline.entries[child].segment {
                    there.insert(key.clone());
                }
            }
        }
        return there;
    }
    // A text that does not parse: lines at the same column around the cursor, up to one further out.
    let lines: Vec<&str> = text.lines().collect();
    let here = line.saturating_sub(1).min(lines.len());
    let column = |line: &&str| line.len() - line.trim_start_matches([' ', '-']).len();
    let within = |line: &&&str| line.trim().is_empty() || column(line) + 1 >= from;
    let before = lines[..here].iter().rev().take_while(within);
    let after = lines.get(here + 1..).unwrap_or_default().iter().take_while(within);
    for one in before.chain(after).filter(|one| column(one) + 1 == from) {
        if let Some((key, _)) = one.trim_start_matches([' ', '-']).split_once(':') {
            there.insert(key.trim().trim_matches(['"', '\'']).to_owned());
        }
    }
    there
}

fn values(path: &KeyPath, typed: &str, from: usize, chart: &Chart) -> Vec<Completion> {
    let Some(about) = chart.about(path) else { return Vec::new() };
    let mut offered = about.allowed.clone();
    let boolean = about.kind.as_deref().is_some_and(|kind| kind.contains("true or false") || kind == "a boolean");
    if boolean && offered.is_empty() {
        offered.extend([Value::Bool(true), Value::Bool(false)]);
    }
    let usual =
        about.default.clone().filter(|default| !default.is_object() && !default.is_array() && !default.is_null());
    offered.extend(usual.filter(|default| default.as_str() != Some("")));
    let typed = typed.trim_matches(['"', '\'']).to_lowercase();
    let mut found: Vec<Completion> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for value in offered {
        let insert = inline(&value);
        let label = value.as_str().map_or_else(|| insert.clone(), str::to_owned);
        if !label.to_lowercase().starts_with(&typed) || !known.insert(insert.clone()) {
            continue;
        }
        let detail = if about.default.as_ref() == Some(&value) { "the chart's default" } else { "" };
        let description = about.description.clone().unwrap_or_default();
        found.push(Completion { insert, label, detail: detail.to_owned(), description, from });
    }
    found.truncate(MOST);
    found
}

fn detail(about: &Knowledge) -> String {
    let kind = about.kind.clone().unwrap_or_default();
    let required = if about.required { "required" } else { "" };
    let deprecated = if about.deprecated { "deprecated" } else { "" };
    let default =
        about.default.as_ref().map(|value| format!("default {}", cut(&inline(value), 60))).unwrap_or_default();
    let parts = [kind.as_str(), default.as_str(), required, deprecated];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most).chain(std::iter::once('…')).collect()
}

/// What is known of the key at a line and column, both from 1: on its name or on its value. `None` where no key stands
/// or nothing is known of it.
pub fn hover(text: &str, line: usize, column: usize, chart: &Chart) -> Option<Hover> {
    if text.len() > crate::LIMIT {
        return None;
    }
    let path = key_at(text, line, column)?;
    let about = chart.about(&path)?;
    Some(Hover {
        path: path.to_string(),
        default: about.default.as_ref().map(|value| cut(&inline(value), 400)),
        description: about.description,
        kind: about.kind,
        allowed: about.allowed.iter().take(50).map(|value| cut(&inline(value), 80)).collect(),
        required: about.required,
        deprecated: about.deprecated,
    })
}

/// The path of the key or list item at a line and column, both from 1.
pub fn key_at(text: &str, line: usize, column: usize) -> Option<KeyPath> {
    if text.len() > crate::LIMIT {
        return None;
    }
    let outline = outline(text);
    if outline.entries.is_empty() {
        return match cursor(text, line, column)? {
            Cursor::Key { .. } => None,
            Cursor::Value { path, .. } => Some(path),
        };
    }
    let at = offset_of(text, line, column);
    // Of the entries that hold the place the last is the innermost.
    let holds = |index: &usize| {
        let entry = &outline.entries[*index];
        let scalar = entry.collection().is_none();
        let on_value = entry.value.as_ref().is_some_and(|value| scalar && value.start <= at && at <= value.end);
        on_value || (entry.key_style.is_some() && entry.key.start <= at && at <= entry.key.end)
    };
    (0..outline.entries.len()).rev().find(holds).map(|index| outline.path(index))
}
