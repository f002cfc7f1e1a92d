//! Values taken over from another text as they are written there.

use serde_json::Value;

use crate::key_path::KeyPath;
use crate::outline::{Outline, Shape, Style};
use crate::places::Ways;
use crate::scalar;
use crate::writing::{Layout, column, dash, line_start, line_stop};

/// A text that values are taken over from.
pub(crate) struct Original<'a> {
    text: &'a str,
    outline: &'a Outline,
    ways: Ways<'a>,
}

/// How a value is written there.
enum Copied<'a> {
    /// On one line.
    Line(&'a str),
    /// On lines of its own, by indentation: the lines, and the column at which they stand.
    Block(&'a str, usize),
}

/// What is to be written somewhere.
#[derive(Debug, Clone)]
pub(crate) enum Grown {
    /// A value, and where it stands in the text that it is taken over from.
    Value(Value, Option<KeyPath>),
    /// Keys that are put together from several edits.
    Map(Vec<(String, Grown)>),
}

impl Grown {
    /// The plain value.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Value(value, _) => value.clone(),
            Self::Map(pairs) => Value::Object(pairs.iter().map(|(key, one)| (key.clone(), one.value())).collect()),
        }
    }

    /// The same, as the keys it consists of, when it is a mapping.
    pub(crate) fn pairs(&self) -> Option<Vec<(String, Grown)>> {
        match self {
            Self::Map(pairs) => Some(pairs.clone()),
            Self::Value(Value::Object(map), from) => Some(
                map.iter()
                    .map(|(key, value)| {
                        (key.clone(), Self::Value(value.clone(), from.as_ref().map(|path| path.key(key))))
                    })
                    .collect(),
            ),
            Self::Value(..) => None,
        }
    }
}

impl<'a> Original<'a> {
    pub(crate) fn new(text: &'a str, outline: &'a Outline) -> Self {
        Self { text, outline, ways: Ways::new(outline) }
    }

    fn copied(&self, path: &KeyPath) -> Option<Copied<'a>> {
        let index = self.ways.find(path)?;
        let entry = self.outline.entries.get(index)?;
        let range = entry.value.clone()?;
        let inside = self.outline.entries.get(index..entry.last)?;
        // An anchor would be there twice, an alias would lead nowhere, and a tag is no part of the value.
        let plain = |one: &crate::outline::Entry| {
            one.shape != Shape::Other && one.value.as_ref().is_none_or(|value| one.lead_start == value.start)
        };
        if !inside.iter().all(plain) {
            return None;
        }
        let written = self.text.get(range.clone())?;
        match entry.shape {
            // Brackets give some letters a meaning that they have nowhere else.
            Shape::Scalar(Style::Plain) if written.contains([',', '[', ']', '{', '}', '\n', '\r']) => None,
            Shape::Scalar(Style::Plain | Style::Quoted) if !written.contains(['\n', '\r']) => {
                Some(Copied::Line(written))
            }
            Shape::Collection(collection) if collection.flow => {
                (!written.contains(['\n', '\r', '#'])).then_some(Copied::Line(written))
            }
            Shape::Collection(collection) => {
                let first = inside.get(1)?;
                let start = if collection.list { dash(self.text, first.lead_start)? } else { first.key.start };
                let from = line_start(self.text, start);
                // What is said above the first key belongs to what is taken over.
                let below_key = line_stop(self.text, entry.lead_end);
                let lead = self.text.get(below_key..from).filter(|_| entry.key_style.is_some()).unwrap_or_default();
                let said = lead.trim_start_matches(['\r', '\n']);
                let from = if said.trim().is_empty() { from } else { from - said.len() };
                let kept = self.text.get(..range.end)?.trim_end_matches(['\r', '\n']).len();
                let stop = line_stop(self.text, kept.max(start));
                let own_lines = self.text.get(line_start(self.text, start)..start)?.trim().is_empty();
                own_lines
                    .then(|| self.text.get(from..stop).map(|lines| Copied::Block(lines, column(self.text, start))))?
            }
            _ => None,
        }
    }
}

/// Writes values, as they are elsewhere or in the manner of a file.
pub(crate) struct Pen<'a> {
    pub layout: Layout,
    pub original: Option<&'a Original<'a>>,
}

impl Pen<'_> {
    fn copied(&self, what: &Grown) -> Option<Copied<'_>> {
        match what {
            Grown::Value(_, Some(path)) => self.original?.copied(path),
            _ => None,
        }
    }

    /// On one line.
    pub(crate) fn one_line(&self, what: &Grown) -> String {
        match (what, self.copied(what)) {
            (_, Some(Copied::Line(line))) => line.to_owned(),
            (Grown::Map(pairs), _) => {
                let pair = |(key, one): &(String, Grown)| {
                    format!("{}: {}", scalar::inline(&Value::String(key.clone())), self.one_line(one))
                };
                format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
            }
            _ => scalar::inline(&what.value()),
        }
    }

    /// The column at which it stands below a key at `column`; `None` for what stands behind the key.
    pub(crate) fn below(&self, what: &Grown, column: usize) -> Option<usize> {
        match self.copied(what) {
            Some(Copied::Line(_)) => None,
            _ => self.layout.below(&what.value(), column),
        }
    }

    /// By indentation, its first line without the indentation of `column` spaces.
    pub(crate) fn block(&self, what: &Grown, column: usize) -> String {
        match (what, self.copied(what)) {
            (_, Some(Copied::Line(line))) => line.to_owned(),
            (_, Some(Copied::Block(lines, own))) => {
                let mut out = String::new();
                for (place, line) in lines.lines().enumerate() {
                    let lead = line.len() - line.trim_start_matches(' ').len();
                    let rest = line.get(lead.min(own)..).unwrap_or_default().trim_end_matches('\r');
                    match (place, rest.is_empty()) {
                        (0, _) => {}
                        (_, true) => self.layout.next_line(0, &mut out),
                        (_, false) => self.layout.next_line(column, &mut out),
                    }
                    out.push_str(rest);
                }
                out
            }
            (Grown::Map(pairs), _) => {
                let mut out = String::new();
                for (place, (key, one)) in pairs.iter().enumerate() {
                    if place > 0 {
                        self.layout.next_line(column, &mut out);
                    }
                    out.push_str(&scalar::inline(&Value::String(key.clone())));
                    out.push(':');
                    self.behind_colon(one, column, &mut out);
                }
                out
            }
            _ => self.layout.block(&what.value(), column),
        }
    }

    fn behind_colon(&self, what: &Grown, column: usize, out: &mut String) {
        if let Some(below) = self.below(what, column) {
            self.layout.next_line(below, out);
            out.push_str(&self.block(what, below));
        } else if let Some((header, body)) = self.literal(what, column) {
            out.push(' ');
            out.push_str(header);
            out.push_str(&body);
        } else {
            out.push(' ');
            out.push_str(&self.one_line(what));
        }
    }

    /// A text of several lines below its key.
    pub(crate) fn literal(&self, what: &Grown, column: usize) -> Option<(&'static str, String)> {
        match (what, self.copied(what)) {
            (_, Some(_)) | (Grown::Map(_), _) => None,
            (Grown::Value(value, _), None) => self.layout.literal(value, column),
        }
    }
}
