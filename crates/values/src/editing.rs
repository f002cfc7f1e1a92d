//! Changing keys and leaving everything else as it was written.
//!
//! An edit is worked out as pieces of text that take the place of others; what lies outside the pieces is copied. The
//! result is read again and must mean exactly what was asked for.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use crate::copying::{Grown, Original, Pen};
use crate::key_path::{KeyPath, Segment};
use crate::outline::{Entry, Outline, Shape, Style};
use crate::places::Ways;
use crate::reading::{Document, document};
use crate::writing::{Layout, column, line_start, line_stop};
use crate::{Error, Result, lists, read, removal};

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edit {
    /// Where.
    pub path: KeyPath,
    /// The new value; `None` takes the key away.
    pub value: Option<Value>,
}

/// How edits are made. What comes first leaves more as it is written; should that not work, the next one is tried.
#[derive(Debug, Clone, Copy)]
struct Manner {
    /// Values are written as they are in the text they are taken over from.
    copies: bool,
    /// Of a list that becomes another, the entries that stay keep their lines.
    by_entry: bool,
}

const MANNERS: [Manner; 4] = [
    Manner { copies: true, by_entry: true },
    Manner { copies: false, by_entry: true },
    Manner { copies: true, by_entry: false },
    Manner { copies: false, by_entry: false },
];

/// Sets one value and returns the new text. A missing key is added with the keys above it, in the file's own
/// indentation. Comments, order, quoting and line ends outside the value stay byte for byte; strings that some reader
/// would take for something else are quoted. A mapping that replaces a mapping changes only the keys that differ.
///
/// # Errors
/// When the text cannot be read, when a list place does not exist, or when the edit would change the meaning of
/// anything else (an alias, for instance): then nothing is changed.
pub fn set_path(text: &str, path: &KeyPath, value: &Value) -> Result<String> {
    edit(text, &[Edit { path: path.clone(), value: Some(value.clone()) }], None)
}

/// Takes one key or list place away, with all that is below it, and returns the new text. Comments above the key stay.
/// A mapping or list that loses its last entry becomes `{}` or `[]`.
///
/// # Errors
/// When the text cannot be read, when it does not hold the key itself, or when the edit would change the meaning of
/// anything else: then nothing is changed.
pub fn remove_path(text: &str, path: &KeyPath) -> Result<String> {
    edit(text, &[Edit { path: path.clone(), value: None }], None)
}

/// Makes several changes at once; none is made when one of them cannot be. The values stand in `original`, if it is
/// given, at the same paths.
pub(crate) fn edit(text: &str, edits: &[Edit], original: Option<&Original<'_>>) -> Result<String> {
    match in_some_manner(text, edits, original) {
        Err(_) if edits.len() > 1 => {
            // Changes that touch each other are made one after the other; list places go from the end.
            let mut ordered: Vec<Edit> = edits.to_vec();
            ordered.sort_by(|a, b| a.value.is_none().cmp(&b.value.is_none()).then_with(|| b.path.cmp(&a.path)));
            in_halves(text.to_owned(), &ordered, original)
        }
        done => done,
    }
}

/// Makes the changes in their order, as many at once as do not touch each other.
fn in_halves(text: String, edits: &[Edit], original: Option<&Original<'_>>) -> Result<String> {
    match in_some_manner(&text, edits, original) {
        Err(_) if edits.len() > 1 => {
            let (first, rest) = edits.split_at(edits.len() / 2);
            in_halves(in_halves(text, first, original)?, rest, original)
        }
        done => done,
    }
}

fn in_some_manner(text: &str, edits: &[Edit], original: Option<&Original<'_>>) -> Result<String> {
    let before = document(text)?;
    let expected = match expected(&before.tree, edits)? {
        Some(expected) => expected,
        None => return Ok(text.to_owned()),
    };
    let mut refused = None;
    for manner in MANNERS.into_iter().filter(|manner| !manner.copies || original.is_some()) {
        match at_once(text, &before, &expected, edits, original.filter(|_| manner.copies), manner.by_entry) {
            Ok(new) => return Ok(new),
            // The last reason is that of the plainest manner.
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| Error::EditRefused { path: String::new(), why: "it cannot be made".to_owned() }))
}

/// What the edits come to; none when they change nothing.
fn expected(before: &Value, edits: &[Edit]) -> Result<Option<Value>> {
    let refused = |path: &KeyPath, why: &str| Error::EditRefused { path: path.to_string(), why: why.to_owned() };
    let mut expected = before.clone();
    let mut gone: Vec<&KeyPath> = Vec::new();
    for one in edits {
        let Some((Segment::Key(_), _)) = one.path.segments().split_first() else {
            return Err(refused(&one.path, "a path begins with a key"));
        };
        match &one.value {
            Some(value) if one.path.put(&mut expected, value.clone()) => {}
            Some(_) => {
                let why = "a list place on the way does not exist, or a single value stands in the way";
                return Err(refused(&one.path, why));
            }
            None => gone.push(&one.path),
        }
    }
    // List places are taken from the end, so that those before keep their numbers.
    gone.sort_by(|a, b| b.cmp(a));
    for path in gone {
        if !path.take(&mut expected) {
            return Err(refused(path, "the file does not hold this key"));
        }
    }
    let same = expected == *before && edits.iter().all(|one| one.value.is_none() || one.path.find(before).is_some());
    Ok((!same).then_some(expected))
}

fn at_once(
    text: &str,
    before: &Document,
    expected: &Value,
    edits: &[Edit],
    original: Option<&Original<'_>>,
    by_entry: bool,
) -> Result<String> {
    let refused = |why: &str| {
        let first = edits.first().map(|one| one.path.to_string()).unwrap_or_default();
        Error::EditRefused { path: first, why: why.to_owned() }
    };
    let new = Plan::new(text, &before.outline, original, by_entry).run(&before.tree, edits)?;
    // The proof: the new text must mean exactly what was asked for.
    let after = read(&new).map_err(|error| refused(&format!("the result would not be readable: {error}")))?;
    if after != *expected {
        return Err(refused("other values would change with it"));
    }
    Ok(new)
}

/// A piece of the text and what takes its place; pieces at one place are written deepest first.
#[derive(Debug)]
pub(crate) struct Piece {
    pub range: Range<usize>,
    pub new: String,
    pub depth: usize,
}

/// The pieces of an edit.
pub(crate) struct Plan<'a> {
    pub text: &'a str,
    pub outline: &'a Outline,
    ways: Ways<'a>,
    pub pen: Pen<'a>,
    by_entry: bool,
    pub pieces: Vec<Piece>,
    /// Entries that go away.
    pub gone: Vec<usize>,
    /// What is added below an entry, or at the top.
    added: BTreeMap<Option<usize>, Vec<(String, Grown)>>,
}

impl<'a> Plan<'a> {
    fn new(text: &'a str, outline: &'a Outline, original: Option<&'a Original<'a>>, by_entry: bool) -> Self {
        let pen = Pen { layout: Layout::of(text, outline), original };
        let (pieces, gone, added) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { text, outline, ways: Ways::new(outline), pen, by_entry, pieces, gone, added }
    }

    fn run(mut self, before: &Value, edits: &[Edit]) -> Result<String> {
        for one in edits {
            match &one.value {
                Some(value) => {
                    let from = self.pen.original.map(|_| &one.path);
                    self.set(&one.path, value, from, before)?;
                }
                None => self.take(&one.path)?,
            }
        }
        for (place, map) in std::mem::take(&mut self.added) {
            self.add(place, Grown::Map(map))?;
        }
        removal::plan(&mut self)?;
        self.write()
    }

    pub(crate) fn refused(&self, path: &KeyPath, why: &str) -> Error {
        Error::EditRefused { path: path.to_string(), why: why.to_owned() }
    }

    /// Sets a value, which stands at `from` in the text it is taken over from.
    pub(crate) fn set(&mut self, path: &KeyPath, value: &Value, from: Option<&KeyPath>, before: &Value) -> Result<()> {
        let (place, taken) = self.ways.follow(path);
        let steps = path.segments();
        if taken < steps.len() {
            let known = self.added.entry(place).or_default();
            if !grow(known, &steps[taken..], Grown::Value(value.clone(), from.cloned())) {
                return Err(self.refused(path, "a list place on the way does not exist"));
            }
            return Ok(());
        }
        let Some(index) = place else { return Err(self.refused(path, "a path begins with a key")) };
        let collection = self.outline.entries[index].collection();
        match (value, path.find(before)) {
            // A mapping that replaces a mapping is a change of each key.
            (Value::Object(new), Some(Value::Object(old)))
                if collection.is_some_and(|one| !one.list) && !new.is_empty() && !old.is_empty() =>
            {
                for (key, value) in new {
                    if old.get(key) != Some(value) {
                        self.set(&path.key(key), value, from.map(|from| from.key(key)).as_ref(), before)?;
                    }
                }
                for key in old.keys().filter(|key| !new.contains_key(*key)) {
                    self.take(&path.key(key))?;
                }
                Ok(())
            }
            (Value::Array(new), Some(Value::Array(old)))
                if self.by_entry
                    && collection.is_some_and(|one| one.list && !one.flow)
                    && !new.is_empty()
                    && !old.is_empty() =>
            {
                lists::plan(self, (index, path), (old, new), from, before)
            }
            _ => self.replace(index, &Grown::Value(value.clone(), from.cloned())),
        }
    }

    fn take(&mut self, path: &KeyPath) -> Result<()> {
        let (place, taken) = self.ways.follow(path);
        match place {
            Some(index) if taken == path.segments().len() => {
                self.gone.push(index);
                Ok(())
            }
            _ => Err(self.refused(path, "the key comes from an alias or a merge, not from a line of its own")),
        }
    }

    pub(crate) fn in_flow(&self, entry: &Entry) -> bool {
        let above = match entry.parent {
            Some(parent) => self.outline.entries[parent].collection(),
            None => self.outline.top.as_ref().map(|(top, _)| *top),
        };
        above.is_some_and(|above| above.flow)
    }

    pub(crate) fn depth(&self, place: Option<usize>) -> usize {
        std::iter::successors(place, |index| self.outline.entries[*index].parent).count()
    }

    pub(crate) fn piece(&mut self, range: Range<usize>, new: String, place: Option<usize>) {
        let depth = self.depth(place);
        self.pieces.push(Piece { range, new, depth });
    }

    /// Writes another value where an entry has one.
    pub(crate) fn replace(&mut self, index: usize, what: &Grown) -> Result<()> {
        let entry = self.outline.entries[index].clone();
        if entry.shape == Shape::Other && entry.value.clone().is_none_or(|value| self.text[value].starts_with('*')) {
            let path = self.outline.path(index);
            return Err(self.refused(&path, "an alias or a tag stands there"));
        }
        let one_line = self.pen.one_line(what);
        let in_flow = self.in_flow(&entry);
        let Some(old) = entry.value.clone() else {
            let body = (!in_flow).then(|| self.body(&entry, what)).flatten();
            let (head, body) = body.unwrap_or((format!(" {one_line}"), String::new()));
            self.piece(entry.lead_end..entry.lead_end, head, Some(index));
            if !body.is_empty() {
                let stop = line_stop(self.text, entry.lead_end);
                self.piece(stop..stop, body, Some(index));
            }
            return Ok(());
        };
        let below = entry.collection().is_some_and(|collection| !collection.flow)
            && line_start(self.text, old.start) > entry.lead_end.saturating_sub(usize::from(entry.key_style.is_none()));
        if below && entry.key_style.is_some() {
            return self.replace_below(index, &entry, old, what, &one_line);
        }
        let behind = &self.text[old.end..line_stop(self.text, old.end)];
        if in_flow {
            self.piece(old, one_line, Some(index));
        } else if entry.key_style.is_none() {
            // In a list the value begins behind the dash and goes on below itself.
            let new = match what.value() {
                Value::Object(_) | Value::Array(_) => self.pen.block(what, column(self.text, old.start)),
                _ => one_line,
            };
            self.piece(old, new, Some(index));
        } else if let Some((head, body)) = self.body(&entry, what) {
            let stop = old.end + behind.len();
            self.piece(entry.lead_end..old.end, head, Some(index));
            self.piece(stop..stop, body, Some(index));
        } else {
            self.piece(old, one_line, Some(index));
        }
        Ok(())
    }

    /// What stands behind a key and what below it, for a value of several lines.
    fn body(&self, entry: &Entry, what: &Grown) -> Option<(String, String)> {
        if entry.key_style.is_none() {
            let at = column(self.text, entry.lead_end) + 1;
            let block = self.pen.below(what, 0).map(|_| self.pen.block(what, at))?;
            return Some((format!(" {block}"), String::new()));
        }
        let at = column(self.text, entry.key.start);
        if let Some(below) = self.pen.below(what, at) {
            let mut body = String::new();
            self.pen.layout.next_line(below, &mut body);
            body.push_str(&self.pen.block(what, below));
            return Some((String::new(), body));
        }
        let (header, body) = self.pen.literal(what, at)?;
        Some((format!(" {header}"), body))
    }

    /// Replaces a collection that stands on the lines below its key.
    fn replace_below(
        &mut self,
        index: usize,
        entry: &Entry,
        old: Range<usize>,
        what: &Grown,
        one_line: &str,
    ) -> Result<()> {
        let lines = line_start(self.text, self.first_byte(index, old.start))..old.end;
        let at = column(self.text, entry.key.start);
        let (head, mut body) = self.body(entry, what).unwrap_or((format!(" {one_line}"), String::new()));
        if !head.is_empty() {
            self.piece(entry.lead_end..entry.lead_end, head, Some(index));
        }
        if body.is_empty() {
            let whole = self.whole_lines(lines.start, entry.end);
            self.piece(whole, String::new(), Some(index));
            return Ok(());
        }
        // The same kind of collection stays at its column.
        let same = entry.collection().is_some_and(|collection| collection.list == what.value().is_array());
        if same && self.pen.below(what, at).is_some() {
            let kept = column(self.text, self.first_byte(index, old.start));
            body = " ".repeat(kept) + &self.pen.block(what, kept);
        } else {
            body = body.strip_prefix(self.pen.layout.line_end).map(str::to_owned).unwrap_or(body);
        }
        self.piece(lines, body, Some(index));
        Ok(())
    }

    /// The first byte of a block collection: its first key, or its first dash.
    fn first_byte(&self, index: usize, start: usize) -> usize {
        let list = self.outline.entries[index].collection().is_some_and(|collection| collection.list);
        let first = self.outline.children(Some(index)).next().map(|child| &self.outline.entries[child]);
        match first {
            Some(first) if list => crate::writing::dash(self.text, first.lead_start).unwrap_or(start),
            Some(first) => first.key.start.min(start.max(line_start(self.text, first.key.start))),
            None => start,
        }
    }

    /// The lines from `start` to `end` with a line end that belongs to them.
    pub(crate) fn whole_lines(&self, start: usize, end: usize) -> Range<usize> {
        if end > start && self.text[..end].ends_with('\n') {
            return start..end;
        }
        let stop = line_stop(self.text, end);
        if stop < self.text.len() {
            let after = self.text[stop..].find('\n').map_or(self.text.len(), |at| stop + at + 1);
            return start..after;
        }
        // The last line has no end: the one before loses its own, so that the file still has none.
        let before = self.text[..start].trim_end_matches('\n');
        let before = if start > before.len() { start - 1 } else { start };
        let before = if self.text[..before].ends_with('\r') { before - 1 } else { before };
        before..stop
    }

    /// Adds keys below an entry, or at the top.
    fn add(&mut self, place: Option<usize>, what: Grown) -> Result<()> {
        let collection = match place {
            Some(index) => match self.outline.entries[index].shape {
                Shape::Collection(collection) if !collection.list => Some(collection),
                Shape::Scalar(Style::Plain) => return self.replace(index, &what),
                _ => {
                    let path = self.outline.path(index);
                    return Err(self.refused(&path, "an alias, a tag or a list stands there"));
                }
            },
            None => self.outline.top.as_ref().map(|(top, _)| *top),
        };
        let Some(last) = self.outline.children(place).last() else {
            return match (place, self.outline.top.clone()) {
                (Some(index), _) => self.replace(index, &what),
                (None, Some((_, top))) => {
                    let new = self.pen.block(&what, column(self.text, top.start));
                    self.piece(top, new, None);
                    Ok(())
                }
                (None, None) => {
                    self.append(&what);
                    Ok(())
                }
            };
        };
        let (first, last) = (self.outline.children(place).next().unwrap_or(last), self.outline.entries[last].clone());
        if collection.is_some_and(|collection| collection.flow) {
            let inner = self.pen.one_line(&what);
            let inner = inner.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(&inner);
            self.piece(last.end..last.end, format!(", {inner}"), place);
            return Ok(());
        }
        let at = column(self.text, self.outline.entries[first].key.start);
        let block = self.pen.block(&what, at);
        if last.end > 0 && self.text[..last.end].ends_with('\n') {
            self.piece(last.end..last.end, format!("{}{block}{}", " ".repeat(at), self.pen.layout.line_end), place);
        } else {
            let stop = line_stop(self.text, last.end);
            let mut new = String::new();
            self.pen.layout.next_line(at, &mut new);
            self.piece(stop..stop, new + &block, place);
        }
        Ok(())
    }

    /// Writes the first keys of a file that so far holds comments only.
    fn append(&mut self, what: &Grown) {
        let end = self.text.len();
        let windows = self.text.contains("\r\n");
        let layout = Layout { line_end: if windows { "\r\n" } else { "\n" }, ..self.pen.layout };
        let mut new = String::new();
        if !self.text.trim_start_matches('\u{feff}').is_empty() && !self.text.ends_with('\n') {
            new.push_str(layout.line_end);
        }
        new.push_str(&Pen { layout, original: self.pen.original }.block(what, 0));
        new.push_str(layout.line_end);
        self.piece(end..end, new, None);
    }

    fn write(mut self) -> Result<String> {
        self.pieces.sort_by_key(|piece| (piece.range.start, piece.range.end, std::cmp::Reverse(piece.depth)));
        let mut out = String::with_capacity(self.text.len() + 64);
        let mut done = 0;
        for piece in &self.pieces {
            let Some(kept) = self.text.get(done..piece.range.start) else {
                return Err(self.refused(&KeyPath::root(), "two changes touch the same place"));
            };
            out.push_str(kept);
            out.push_str(&piece.new);
            done = piece.range.end;
        }
        out.push_str(self.text.get(done..).unwrap_or_default());
        Ok(out)
    }
}
/// Puts something into keys that are put together; false where a list place is on the way.
fn grow(pairs: &mut Vec<(String, Grown)>, steps: &[Segment], what: Grown) -> bool {
    let Some((Segment::Key(key), rest)) = steps.split_first() else { return false };
    let known = pairs.iter().position(|(other, _)| other == key);
    if rest.is_empty() {
        match known {
            Some(at) => pairs[at].1 = what,
            None => pairs.push((key.clone(), what)),
        }
        return true;
    }
    let at = known.unwrap_or_else(|| {
        pairs.push((key.clone(), Grown::Map(Vec::new())));
        pairs.len() - 1
    });
    let mut below = pairs[at].1.pairs().unwrap_or_default();
    let done = grow(&mut below, rest, what);
    pairs[at].1 = Grown::Map(below);
    done
}

#[cfg(test)]
#[path = "editing_tests.rs"]
mod tests;
