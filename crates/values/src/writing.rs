//! Values written as YAML, in the manner of the file they go into.

use serde_json::Value;

use crate::outline::Outline;
use crate::scalar::inline;

/// The manner of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Spaces a mapping is indented by below its key.
    pub step: usize,
    /// Spaces a list's dashes are indented by below its key.
    pub dash: usize,
    /// The end of a line.
    pub line_end: &'static str,
}

impl Layout {
    /// The manner most of the file is written in.
    pub(crate) fn of(text: &str, outline: &Outline) -> Self {
        let (mut steps, mut dashes) = ([0usize; 9], [0usize; 9]);
        for (index, entry) in outline.entries.iter().enumerate() {
            let Some(collection) = entry.collection().filter(|one| !one.flow && entry.key_style.is_some()) else {
                continue;
            };
            let Some(child) = outline.children(Some(index)).next().map(|child| &outline.entries[child]) else {
                continue;
            };
            let (above, below) = (column(text, entry.key.start), column(text, child.key.start));
            if collection.list {
                let Some(dash) = dash(text, child.lead_start) else { continue };
                if let Some(count) = column(text, dash).checked_sub(above).and_then(|wide| dashes.get_mut(wide)) {
                    *count += 1;
                }
            } else if let Some(count) = below.checked_sub(above).and_then(|wide| steps.get_mut(wide)) {
                *count += 1;
            }
        }
        let most = |counts: &[usize; 9], usual: usize| {
            let best = counts.iter().copied().max().unwrap_or(0);
            if best == 0 { usual } else { counts.iter().position(|count| *count == best).unwrap_or(usual) }
        };
        let windows = text.contains("\r\n") && text.matches("\r\n").count() == text.matches('\n').count();
        let step = most(&steps, 2).max(1);
        Self { step, dash: most(&dashes, step), line_end: if windows { "\r\n" } else { "\n" } }
    }

    /// A mapping or list by indentation, its first line without the indentation of `column` spaces.
    pub(crate) fn block(&self, value: &Value, column: usize) -> String {
        let mut out = String::new();
        self.write(value, column, &mut out);
        out
    }

    fn write(&self, value: &Value, column: usize, out: &mut String) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (place, (key, value)) in map.iter().enumerate() {
                    if place > 0 {
                        self.next_line(column, out);
                    }
                    out.push_str(&inline(&Value::String(key.clone())));
                    out.push(':');
                    self.behind_colon(value, column, out);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        self.next_line(column, out);
                    }
                    out.push_str("- ");
                    self.write(item, column + 2, out);
                }
            }
            scalar => match self.literal(scalar, column.saturating_sub(2)) {
                Some((header, body)) => {
                    out.push_str(header);
                    out.push_str(&body);
                }
                None => out.push_str(&inline(scalar)),
            },
        }
    }

    fn behind_colon(&self, value: &Value, column: usize, out: &mut String) {
        if let Some(below) = self.below(value, column) {
            self.next_line(below, out);
            self.write(value, below, out);
        } else if let Some((header, body)) = self.literal(value, column) {
            out.push(' ');
            out.push_str(header);
            out.push_str(&body);
        } else {
            out.push(' ');
            out.push_str(&inline(value));
        }
    }

    /// The column at which a mapping or list stands below a key at `column`; `None` for what stands behind the key.
    pub(crate) fn below(&self, value: &Value, column: usize) -> Option<usize> {
        match value {
            Value::Object(map) if !map.is_empty() => Some(column + self.step),
            Value::Array(items) if !items.is_empty() => Some(column + self.dash),
            _ => None,
        }
    }

    /// A text of several lines as `|` with the lines below, each with its line end in front, when it can be written so.
    pub(crate) fn literal(&self, value: &Value, column: usize) -> Option<(&'static str, String)> {
        let Value::String(text) = value else { return None };
        let body = text.strip_suffix('\n').unwrap_or(text);
        let plain = |ch: char| {
            ch == '\n'
                || !(ch.is_control() || matches!(ch, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}'))
        };
        let blank_line = body.split('\n').any(|line| !line.is_empty() && line.trim().is_empty());
        if !body.contains('\n')
            || body.ends_with('\n')
            || body.starts_with([' ', '\n'])
            || blank_line
            || !body.chars().all(plain)
        {
            return None;
        }
        let mut out = String::new();
        for line in body.split('\n') {
            if line.is_empty() {
                out.push_str(self.line_end);
            } else {
                self.next_line(column + self.step, &mut out);
                out.push_str(line);
            }
        }
        Some((if text.ends_with('\n') { "|" } else { "|-" }, out))
    }

    /// A line end and the indentation of the next line.
    pub(crate) fn next_line(&self, column: usize, out: &mut String) {
        out.push_str(self.line_end);
        out.extend(std::iter::repeat_n(' ', column));
    }
}

/// The column of a byte, from 0, counted in characters and without a byte order mark.
pub(crate) fn column(text: &str, offset: usize) -> usize {
    let start = line_start(text, offset);
    text.get(start..offset).unwrap_or_default().chars().filter(|ch| *ch != '\u{feff}').count()
}

/// The first byte of the line that holds a byte.
pub(crate) fn line_start(text: &str, offset: usize) -> usize {
    text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1)
}

/// The end of the line that holds a byte, before its line end.
pub(crate) fn line_stop(text: &str, offset: usize) -> usize {
    let rest = text.get(offset..).unwrap_or_default();
    let end = rest.find('\n').map_or(text.len(), |at| offset + at);
    if end > offset && text.as_bytes().get(end - 1) == Some(&b'\r') && end < text.len() { end - 1 } else { end }
}

/// The dash of the list item whose value begins at `from`.
pub(crate) fn dash(text: &str, from: usize) -> Option<usize> {
    let before = text.get(..from)?.trim_end();
    before.ends_with('-').then(|| before.len() - 1)
}
