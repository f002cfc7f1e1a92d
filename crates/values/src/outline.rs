//! Where each key of a values file stands in its text.

use std::ops::Range;
use std::str::FromStr;

use yaml_edit::{YamlFile, YamlNode};

use crate::key_path::KeyPath;

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Unquoted.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// `|` or `>`.
    Block,
}

/// What stands at an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A scalar without a tag, with its style and its text as written.
    Scalar(Style),
    /// A mapping or a list.
    Collection,
    /// An alias or a tagged node.
    Other,
}

/// One key or list item of the file.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The way to it; keys are spelled as Helm would spell them.
    pub path: KeyPath,
    /// Bytes of the key; for a list item, of its value.
    pub key: Range<usize>,
    /// How the key is written; `None` for a list item.
    pub key_style: Option<Style>,
    /// Bytes of the value, when it has any.
    pub value: Option<Range<usize>>,
    /// What the value is.
    pub shape: Shape,
    /// The same key stood in the same mapping before.
    pub duplicate: bool,
}

/// All keys and list items of the first document, in the order of the text. Empty when the text does not parse.
///
/// Call it only after the text has passed [`crate::reading`], which bounds size and depth.
pub(crate) fn outline(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Ok(file) = YamlFile::from_str(text)
        && let Some(document) = file.documents().next()
        && let Some(mapping) = document.as_mapping()
    {
        walk(text, &YamlNode::Mapping(mapping), &KeyPath::root(), &mut entries);
    }
    entries
}

/// Line and column, both from 1; the column counts characters.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn walk(text: &str, node: &YamlNode, path: &KeyPath, entries: &mut Vec<Entry>) {
    match node {
        YamlNode::Mapping(mapping) => {
            let mut seen = std::collections::HashSet::new();
            for entry in mapping.entries() {
                let Some(key) = entry.key_node() else { continue };
                let Some(scalar) = key.as_scalar() else { continue };
                let (range, style) = (trimmed(text, &key), style(scalar));
                let name = key_name(text, &range, style, scalar.value());
                let path = path.key(&name);
                let value = entry.value_node();
                entries.push(Entry {
                    duplicate: !seen.insert(name.clone()) && name != "<<",
                    path: path.clone(),
                    key: range,
                    key_style: Some(style),
                    value: value.as_ref().map(|value| trimmed(text, value)).filter(|range| !range.is_empty()),
                    shape: value.as_ref().map_or(Shape::Scalar(Style::Plain), shape),
                });
                if let Some(value) = value {
                    walk(text, &value, &path, entries);
                }
            }
        }
        YamlNode::Sequence(sequence) => {
            for (index, item) in sequence.values().enumerate() {
                let path = path.index(index);
                let range = trimmed(text, &item);
                entries.push(Entry {
                    path: path.clone(),
                    key: range.clone(),
                    key_style: None,
                    value: Some(range).filter(|range| !range.is_empty()),
                    shape: shape(&item),
                    duplicate: false,
                });
                walk(text, &item, &path, entries);
            }
        }
        YamlNode::Scalar(_) | YamlNode::Alias(_) | YamlNode::TaggedNode(_) => {}
    }
}

/// A node's bytes without the white space around it.
fn trimmed(text: &str, node: &YamlNode) -> Range<usize> {
    let range = node.byte_range();
    let (start, end) = (range.start as usize, range.end as usize);
    let Some(inside) = text.get(start..end) else { return 0..0 };
    let start = start + (inside.len() - inside.trim_start().len());
    start..start + inside.trim().len()
}

fn shape(node: &YamlNode) -> Shape {
    match node {
        YamlNode::Scalar(scalar) => Shape::Scalar(style(scalar)),
        YamlNode::Mapping(_) | YamlNode::Sequence(_) => Shape::Collection,
        YamlNode::Alias(_) | YamlNode::TaggedNode(_) => Shape::Other,
    }
}

fn style(scalar: &yaml_edit::Scalar) -> Style {
    if scalar.is_block() {
        Style::Block
    } else if scalar.is_quoted() {
        Style::Quoted
    } else {
        Style::Plain
    }
}

/// A key as it ends up in Helm's JSON: an unquoted `on` becomes `true`.
fn key_name(text: &str, range: &Range<usize>, style: Style, value: String) -> String {
    let plain = text.get(range.clone()).unwrap_or_default();
    if style != Style::Plain {
        return value;
    }
    match (crate::scalar::bool_word(plain), crate::scalar::surprising_integer(plain)) {
        (Some(flag), _) => flag.to_string(),
        (None, Some(number)) => number.to_string(),
        (None, None) => value,
    }
}
