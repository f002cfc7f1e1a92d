//! Where a cursor stands in a text that may not parse yet, because somebody is typing.

use std::collections::HashSet;

use crate::brackets;
use crate::key_path::{KeyPath, Segment};

/// What stands at a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// A key is being written into the mapping at `parent`.
    Key {
        /// The mapping.
        parent: KeyPath,
        /// The letters before the cursor.
        typed: String,
        /// Column of the first of them, from 1.
        from: usize,
        /// In brackets, the keys that the mapping has already.
        there: Option<HashSet<String>>,
    },
    /// A value is being written.
    Value {
        /// The key it belongs to.
        path: KeyPath,
        /// The letters before the cursor.
        typed: String,
        /// Column of the first of them, from 1.
        from: usize,
    },
}

/// A line taken apart: dashes, a key, and what follows its colon.
struct Line<'a> {
    /// Columns of the dashes, from 0.
    dashes: Vec<usize>,
    /// Column of the key or of the first letter, from 0.
    column: usize,
    /// The key without quotes, when the line has one.
    key: Option<String>,
    /// Byte of what follows the colon.
    rest_at: usize,
    /// What follows the dashes, and the colon if there is one.
    rest: &'a str,
}

fn take_apart(line: &str) -> Option<Line<'_>> {
    let mut at = line.len() - line.trim_start_matches(' ').len();
    let mut dashes = Vec::new();
    while let Some(after) = line.get(at..).and_then(|rest| rest.strip_prefix('-')) {
        if !(after.is_empty() || after.starts_with(' ')) {
            break;
        }
        dashes.push(at);
        let blank = after.len() - after.trim_start_matches(' ').len();
        at += 1 + blank;
    }
    let body = line.get(at..)?;
    if body.starts_with('#') || (body.is_empty() && dashes.is_empty()) {
        return None;
    }
    let key_end = match body.chars().next() {
        Some(quote @ ('"' | '\'')) => body[1..].find(quote).map(|end| end + 2),
        _ => None,
    };
    let colon = match key_end {
        // What stands in brackets is not the line's own.
        None if body.starts_with(['{', '[']) => None,
        Some(end) => body[end..].trim_start().starts_with(':').then(|| end + body[end..].find(':').unwrap_or(0)),
        None => body.match_indices(':').map(|(at, _)| at).find(|at| {
            let after = &body[at + 1..];
            after.is_empty() || after.starts_with(' ')
        }),
    };
    let comment = body.find(" #");
    let colon = colon.filter(|colon| comment.is_none_or(|comment| *colon < comment));
    let key = colon.map(|colon| {
        let written = body[..colon].trim();
        let bare = written.trim_matches(['"', '\'']);
        if bare.len() == written.len() { crate::reading::plain_key(bare) } else { bare.to_owned() }
    });
    let rest_at = colon.map_or(at, |colon| at + colon + 1);
    Some(Line { dashes, column: at, key, rest_at, rest: line.get(rest_at..)? })
}

/// Finds out what is written at a line and column, both from 1; `None` in comments and in block scalars.
pub(crate) fn cursor(text: &str, line: usize, column: usize) -> Option<Cursor> {
    let lines: Vec<&str> = text.lines().take(line).collect();
    let full = lines.get(line.checked_sub(1)?).copied().unwrap_or_default();
    let cut = full.char_indices().nth(column.checked_sub(1)?).map_or(full.len(), |(at, _)| at);
    let before = full.get(..cut)?;
    if before.contains('\t') || before.trim_start().starts_with('#') || before.contains(" #") {
        return None;
    }
    if let Some(found) = in_brackets(text, &lines, line, before) {
        return found;
    }
    let here = take_apart(before);
    let (dashes, own) = match &here {
        Some(here) => (here.dashes.clone(), here.column),
        None => (Vec::new(), before.len()),
    };
    let parent = parent(lines.get(..line - 1).unwrap_or(&lines), &dashes, own, here.is_none())?;
    let column_at = |byte: usize| before.get(..byte).map_or(1, |text| text.chars().count() + 1);
    let Some(here) = here else {
        let from = before.chars().count() + 1;
        return Some(Cursor::Key { parent, typed: String::new(), from, there: None });
    };
    if let Some(key) = here.key {
        let typed = here.rest.trim_start();
        if typed.starts_with(['{', '[', '|', '>', '&', '*', '!']) || here.rest.is_empty() {
            return None;
        }
        let from = here.rest_at + (here.rest.len() - typed.len());
        return Some(Cursor::Value { path: parent.key(&key), typed: typed.to_owned(), from: column_at(from) });
    }
    if here.rest.starts_with(['{', '[', '|', '>', '&', '*', '!']) {
        return None;
    }
    Some(Cursor::Key { parent, typed: here.rest.to_owned(), from: column_at(here.column), there: None })
}

/// The most lines that are looked at for the bracket around a cursor.
const MOST_LINES: usize = 200;

/// What stands at a cursor in brackets; `None` outside of them.
fn in_brackets(text: &str, lines: &[&str], line: usize, before: &str) -> Option<Option<Cursor>> {
    let first = line.saturating_sub(MOST_LINES).max(1);
    for number in (first..=line).rev() {
        let own = number == line;
        let this = if own { before } else { lines.get(number - 1)? };
        let Some(parts) = take_apart(this) else { continue };
        let value = parts.rest.trim_start();
        if !value.starts_with(['{', '[']) {
            continue;
        }
        let above = parent(lines.get(..number - 1).unwrap_or_default(), &parts.dashes, parts.column, false)?;
        let above = parts.key.as_ref().map_or_else(|| above.clone(), |key| above.key(key));
        // From the bracket to the cursor, and what follows.
        let start: usize = text.split_inclusive('\n').take(number - 1).map(str::len).sum();
        let at = start + parts.rest_at + (parts.rest.len() - value.len());
        let end: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum::<usize>() + before.len();
        return brackets::cursor(text.get(at..end)?, text.get(end..)?, &above).map(|found| {
            let found = found?;
            let from = text.get(..at + found.at)?.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            Some(match found.key {
                true => Cursor::Key { parent: found.path, typed: found.typed, from, there: Some(found.there) },
                false => Cursor::Value { path: found.path, typed: found.typed, from },
            })
        });
    }
    None
}

/// The mapping that a key at column `own`, behind `dashes`, belongs to, found by the lines above.
fn parent(above: &[&str], dashes: &[usize], own: usize, blank: bool) -> Option<KeyPath> {
    // Steps from the inside out.
    let mut steps: Vec<Segment> = Vec::new();
    let mut edge = own;
    // Places of the list items seen on the way, counted until the list's own key is found.
    let mut counting: Option<(usize, usize)> = None;
    for column in dashes.iter().rev() {
        steps.extend(counting.take().map(|(_, count)| Segment::Index(count)));
        counting = Some((*column, 0));
        edge = *column;
    }
    let mut first = true;
    for line in above.iter().rev() {
        let Some(line) = take_apart(line) else { continue };
        let outer = line.dashes.first().copied().unwrap_or(line.column);
        if first && blank && line.key.is_some() && own > line.column {
            let head = line.rest.trim();
            if head.starts_with(['|', '>']) {
                return None;
            }
        }
        first = false;
        // The text of a block scalar has no keys.
        if let Some((at, count)) = counting {
            if line.dashes.contains(&at) {
                counting = Some((at, count + 1));
                if line.dashes.first() == Some(&at) {
                    continue;
                }
            } else if outer > at || (outer == at && line.key.is_none()) {
                continue;
            }
        } else if outer >= edge && line.column >= edge {
            continue;
        }
        // The line holds the key or the dash above the edge.
        if let Some(key) = &line.key
            && (line.column < edge || (counting.is_some_and(|(at, _)| at == line.column) && line.dashes.is_empty()))
        {
            if line.rest.trim().starts_with(['|', '>']) {
                return None;
            }
            steps.extend(counting.take().map(|(_, count)| Segment::Index(count)));
            steps.push(Segment::Key(key.clone()));
            edge = line.column;
        }
        for dash in line.dashes.iter().rev() {
            if *dash < edge && counting.is_none_or(|(at, _)| at != *dash) {
                steps.extend(counting.take().map(|(_, count)| Segment::Index(count)));
                counting = Some((*dash, 0));
                edge = *dash;
            }
        }
        if edge == 0 && counting.is_none() {
            break;
        }
    }
    steps.extend(counting.map(|(_, count)| Segment::Index(count)));
    steps.reverse();
    Some(KeyPath::from_segments(steps))
}
