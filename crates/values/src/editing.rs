//! Changing keys and leaving everything else as it was written.
//!
//! An edit is worked out as pieces of text that take the place of others; what lies outside the pieces is copied. The
//! result is read again and must mean exactly what was asked for.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::key_path::{KeyPath, Segment};
use crate::outline::{Entry, Outline, Shape, Style, outline};
use crate::removal;
use crate::writing::{Layout, column, line_start, line_stop};
use crate::{Error, Result, read, scalar};

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edit {
    /// Where.
    pub path: KeyPath,
    /// The new value; `None` takes the key away.
    pub value: Option<Value>,
    /// How the value is to be written, when it stands elsewhere so on one line.
    pub written: Option<String>,
}

/// Sets one value and returns the new text. A missing key is added with the keys above it, in the file's own
/// indentation. Comments, order, quoting and line ends outside the value stay byte for byte; strings that some reader
/// would take for something else are quoted. A mapping that replaces a mapping changes only the keys that differ.
///
/// # Errors
/// When the text cannot be read, when a list place does not exist, or when the edit would change the meaning of
/// anything else (an alias, for instance): then nothing is changed.
pub fn set_path(text: &str, path: &KeyPath, value: &Value) -> Result<String> {
    edit(text, &[Edit { path: path.clone(), value: Some(value.clone()), written: None }])
}

/// Takes one key or list place away, with all that is below it, and returns the new text. Comments above the key stay.
/// A mapping or list that loses its last entry becomes `{}` or `[]`.
///
/// # Errors
/// When the text cannot be read, when it does not hold the key itself, or when the edit would change the meaning of
/// anything else: then nothing is changed.
pub fn remove_path(text: &str, path: &KeyPath) -> Result<String> {
    edit(text, &[Edit { path: path.clone(), value: None, written: None }])
}

/// Makes several changes at once; none is made when one of them cannot be.
pub(crate) fn edit(text: &str, edits: &[Edit]) -> Result<String> {
    let before = read(text)?;
    match at_once(text, &before, edits) {
        Err(_) if edits.len() > 1 => {
            // Changes that touch each other are made one after the other; list places go from the end.
            let mut ordered: Vec<&Edit> = edits.iter().collect();
            ordered.sort_by(|a, b| a.value.is_none().cmp(&b.value.is_none()).then_with(|| b.path.cmp(&a.path)));
            let mut new = text.to_owned();
            for one in ordered {
                let tree = read(&new)?;
                new = at_once(&new, &tree, std::slice::from_ref(one))?;
            }
            Ok(new)
        }
        done => done,
    }
}

fn at_once(text: &str, before: &Value, edits: &[Edit]) -> Result<String> {
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
    let first = edits.first().map(|one| one.path.clone()).unwrap_or_default();
    if expected == *before && edits.iter().all(|one| one.value.is_none() || one.path.find(before).is_some()) {
        return Ok(text.to_owned());
    }
    let new = Plan::new(text).run(before, edits)?;
    // The proof: the new text must mean exactly what was asked for.
    let after = read(&new).map_err(|error| refused(&first, &format!("the result would not be readable: {error}")))?;
    if after != expected {
        return Err(refused(&first, "other values would change with it"));
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
    pub outline: Outline,
    pub layout: Layout,
    pub pieces: Vec<Piece>,
    /// Entries that go away.
    pub gone: Vec<usize>,
    /// What is added below an entry, or at the top.
    added: BTreeMap<Option<usize>, Map<String, Value>>,
}

impl<'a> Plan<'a> {
    fn new(text: &'a str) -> Self {
        let outline = outline(text);
        let layout = Layout::of(text, &outline);
        Self { text, outline, layout, pieces: Vec::new(), gone: Vec::new(), added: BTreeMap::new() }
    }

    fn run(mut self, before: &Value, edits: &[Edit]) -> Result<String> {
        for one in edits {
            match &one.value {
                Some(value) => self.set(&one.path, value, one.written.as_deref(), before)?,
                None => self.take(&one.path)?,
            }
        }
        for (place, map) in std::mem::take(&mut self.added) {
            self.add(place, map)?;
        }
        removal::plan(&mut self)?;
        self.write()
    }

    pub(crate) fn refused(&self, path: &KeyPath, why: &str) -> Error {
        Error::EditRefused { path: path.to_string(), why: why.to_owned() }
    }

    fn set(&mut self, path: &KeyPath, value: &Value, written: Option<&str>, before: &Value) -> Result<()> {
        let (place, taken) = self.outline.follow(path);
        let steps = path.segments();
        if taken < steps.len() {
            let mut map = Value::Object(Map::new());
            let rest = KeyPath::from_segments(steps[taken..].to_vec());
            let known = self.added.remove(&place).map_or(map.take(), Value::Object);
            map = if known.is_object() { known } else { Value::Object(Map::new()) };
            if !rest.put(&mut map, value.clone()) {
                return Err(self.refused(path, "a list place on the way does not exist"));
            }
            if let Value::Object(map) = map {
                self.added.insert(place, map);
            }
            return Ok(());
        }
        let Some(index) = place else { return Err(self.refused(path, "a path begins with a key")) };
        // A mapping that replaces a mapping is a change of each key.
        let is_mapping = self.outline.entries[index].collection().is_some_and(|collection| !collection.list);
        if let (true, Value::Object(new), Some(Value::Object(old))) = (is_mapping, value, path.find(before))
            && !new.is_empty()
            && !old.is_empty()
        {
            for (key, value) in new {
                if old.get(key) != Some(value) {
                    self.set(&path.key(key), value, None, before)?;
                }
            }
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                self.take(&path.key(key))?;
            }
            return Ok(());
        }
        self.replace(index, value, written)
    }

    fn take(&mut self, path: &KeyPath) -> Result<()> {
        let (place, taken) = self.outline.follow(path);
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
    pub(crate) fn replace(&mut self, index: usize, value: &Value, written: Option<&str>) -> Result<()> {
        let entry = self.outline.entries[index].clone();
        if entry.shape == Shape::Other && entry.value.clone().is_none_or(|value| self.text[value].starts_with('*')) {
            let path = self.outline.path(index);
            return Err(self.refused(&path, "an alias or a tag stands there"));
        }
        let one_line = written.map_or_else(|| scalar::inline(value), str::to_owned);
        let in_flow = self.in_flow(&entry);
        let Some(old) = entry.value.clone() else {
            let body = (!in_flow && written.is_none()).then(|| self.body(&entry, value)).flatten();
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
            return self.replace_below(index, &entry, old, value, &one_line);
        }
        let behind = &self.text[old.end..line_stop(self.text, old.end)];
        if in_flow || written.is_some() {
            self.piece(old, one_line, Some(index));
        } else if entry.key_style.is_none() {
            // In a list the value begins behind the dash and goes on below itself.
            let new = match value {
                Value::Object(_) | Value::Array(_) => self.layout.block(value, column(self.text, old.start)),
                _ => one_line,
            };
            self.piece(old, new, Some(index));
        } else if let Some((head, body)) = self.body(&entry, value) {
            let stop = old.end + behind.len();
            self.piece(entry.lead_end..old.end, head, Some(index));
            self.piece(stop..stop, body, Some(index));
        } else {
            self.piece(old, one_line, Some(index));
        }
        Ok(())
    }

    /// What stands behind a key and what below it, for a value of several lines.
    fn body(&self, entry: &Entry, value: &Value) -> Option<(String, String)> {
        if entry.key_style.is_none() {
            let at = column(self.text, entry.lead_end) + 1;
            let block = self.layout.below(value, 0).map(|_| self.layout.block(value, at))?;
            return Some((format!(" {block}"), String::new()));
        }
        let at = column(self.text, entry.key.start);
        if let Some(below) = self.layout.below(value, at) {
            let mut body = String::new();
            self.layout.next_line(below, &mut body);
            body.push_str(&self.layout.block(value, below));
            return Some((String::new(), body));
        }
        let (header, body) = self.layout.literal(value, at)?;
        Some((format!(" {header}"), body))
    }

    /// Replaces a collection that stands on the lines below its key.
    fn replace_below(
        &mut self,
        index: usize,
        entry: &Entry,
        old: Range<usize>,
        value: &Value,
        one_line: &str,
    ) -> Result<()> {
        let lines = line_start(self.text, self.first_byte(index, old.start))..old.end;
        let at = column(self.text, entry.key.start);
        let (head, mut body) = self.body(entry, value).unwrap_or((format!(" {one_line}"), String::new()));
        if !head.is_empty() {
            self.piece(entry.lead_end..entry.lead_end, head, Some(index));
        }
        if body.is_empty() {
            let whole = self.whole_lines(lines.start, entry.end);
            self.piece(whole, String::new(), Some(index));
            return Ok(());
        }
        // The same kind of collection stays at its column.
        let same = entry.collection().is_some_and(|collection| collection.list == value.is_array());
        if same && self.layout.below(value, at).is_some() {
            let kept = column(self.text, self.first_byte(index, old.start));
            body = " ".repeat(kept) + &self.layout.block(value, kept);
        } else {
            body = body.strip_prefix(self.layout.line_end).map(str::to_owned).unwrap_or(body);
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
    fn add(&mut self, place: Option<usize>, map: Map<String, Value>) -> Result<()> {
        let value = Value::Object(map);
        let collection = match place {
            Some(index) => match self.outline.entries[index].shape {
                Shape::Collection(collection) if !collection.list => Some(collection),
                Shape::Scalar(Style::Plain) => return self.replace(index, &value, None),
                _ => {
                    let path = self.outline.path(index);
                    return Err(self.refused(&path, "an alias, a tag or a list stands there"));
                }
            },
            None => self.outline.top.as_ref().map(|(top, _)| *top),
        };
        let Some(last) = self.outline.children(place).last() else {
            return match (place, self.outline.top.clone()) {
                (Some(index), _) => self.replace(index, &value, None),
                (None, Some((_, top))) => {
                    let new = self.layout.block(&value, column(self.text, top.start));
                    self.piece(top, new, None);
                    Ok(())
                }
                (None, None) => {
                    self.append(&value);
                    Ok(())
                }
            };
        };
        let (first, last) = (self.outline.children(place).next().unwrap_or(last), self.outline.entries[last].clone());
        if collection.is_some_and(|collection| collection.flow) {
            let inner = scalar::inline(&value);
            let inner = inner.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(&inner);
            self.piece(last.end..last.end, format!(", {inner}"), place);
            return Ok(());
        }
        let at = column(self.text, self.outline.entries[first].key.start);
        let block = self.layout.block(&value, at);
        if last.end > 0 && self.text[..last.end].ends_with('\n') {
            self.piece(last.end..last.end, format!("{}{block}{}", " ".repeat(at), self.layout.line_end), place);
        } else {
            let stop = line_stop(self.text, last.end);
            let mut new = String::new();
            self.layout.next_line(at, &mut new);
            self.piece(stop..stop, new + &block, place);
        }
        Ok(())
    }

    /// Writes the first keys of a file that so far holds comments only.
    fn append(&mut self, value: &Value) {
        let end = self.text.len();
        let windows = self.text.contains("\r\n");
        let layout = Layout { line_end: if windows { "\r\n" } else { "\n" }, ..self.layout };
        let mut new = String::new();
        if !self.text.trim_start_matches('\u{feff}').is_empty() && !self.text.ends_with('\n') {
            new.push_str(layout.line_end);
        }
        new.push_str(&layout.block(value, 0));
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
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn set(text: &str, path: &str, value: Value) -> String {
        set_path(text, &KeyPath::parse(path).unwrap(), &value).unwrap()
    }

    const FILE: &str = "# Values of cart\nreplicaCount: 1 # one is enough\n\nimage:\n  # from the registry\n  pullPolicy: \"Always\"\n\nhosts:\n  - name: a # first\n  - name: b\nflow: {x: 1, list: [1, 2]}\nlong: |\n  one\n  two\nempty:\n";

    #[test]
    fn an_existing_scalar_is_replaced_alone() {
        let table = [
            ("replicaCount", json!(3), "replicaCount: 1 #", "replicaCount: 3 #"),
            ("image.pullPolicy", json!("IfNotPresent"), "\"Always\"", "IfNotPresent"),
            ("image.pullPolicy", json!("no"), "\"Always\"", "\"no\""),
            ("hosts[0].name", json!("1.0"), "name: a #", "name: \"1.0\" #"),
            ("flow.list[1]", json!("x, y"), "[1, 2]", "[1, \"x, y\"]"),
        ];
        for (path, value, old, new) in table {
            assert_eq!(set(FILE, path, value), FILE.replacen(old, new, 1), "{path}");
        }
    }

    #[test]
    fn keys_are_added_and_larger_values_replaced() {
        for (path, value) in [
            ("image.tag", json!("x")),
            ("resources.limits.cpu", json!("500m")),
            ("flow.z", json!(true)),
            ("empty", json!({"a": [1]})),
            ("long", json!("short")),
            (r"annotations.prometheus\.io/port", json!("8080")),
            ("flow", json!(1)),
            ("empty.below", json!(1)),
            ("hosts[1].port", json!(80)),
        ] {
            let path = KeyPath::parse(path).unwrap();
            let new = set_path(FILE, &path, &value).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(path.find(&read(&new).unwrap()), Some(&value), "{new}");
        }
    }

    #[test]
    fn files_of_comments_only_get_their_first_key() {
        assert_eq!(set("# x\n", "a.b", json!(1)), "# x\na:\n  b: 1\n");
        assert_eq!(set("", "a", json!("no")), "a: \"no\"\n");
        assert_eq!(set("# x\r\n", "a", json!(1)), "# x\r\na: 1\r\n");
    }

    #[test]
    fn windows_line_ends_stay() {
        let text = "a: 1\r\nb:\r\n  c: 2\r\n";
        assert_eq!(set(text, "b.c", json!(3)), "a: 1\r\nb:\r\n  c: 3\r\n");
        let grown = set(text, "b.d", json!(4));
        assert_eq!(grown.matches('\n').count(), grown.matches("\r\n").count(), "{grown:?}");
    }

    #[test]
    fn edits_that_would_change_more_are_refused() {
        for (text, path) in [
            ("a: &x {k: 1}\nb: *x\n", "b.k"),
            ("a: 1\n", "a.b"),
            ("a: [1]\n", "a[5]"),
            ("a: 1\na: 2\n", "a"),
            ("- a\n", "a"),
        ] {
            assert!(set_path(text, &KeyPath::parse(path).unwrap(), &json!(2)).is_err(), "{text}");
        }
    }

    #[test]
    fn the_same_value_changes_nothing() {
        assert_eq!(set(FILE, "replicaCount", json!(1)), FILE);
    }

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            prop::sample::select(vec!["no", "on", "y", "0x1", "1e3", "null", "~", "a: b", "#", "- x"])
                .prop_map(Value::from)
        ]
    }

    /// A file of `keys` keys with a comment on each line, two levels deep.
    fn written(keys: &[(String, i64, bool)]) -> String {
        let mut text = "# top\n".to_owned();
        for (place, (key, number, nested)) in keys.iter().enumerate() {
            if *nested {
                text += &format!(
                    "{key}{place}: # {number}\n    inner: {number}   # about {key}\n    # after\n    list:\n    - {number}\n\n"
                );
            } else {
                text += &format!("{key}{place}:   '{number}'  # about {key}\n");
            }
        }
        text
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn outside_the_value_every_byte_stays(
            keys in prop::collection::vec(("[a-z]{1,6}", 0i64..100_000, any::<bool>()), 1..8),
            pick in any::<prop::sample::Index>(),
            value in values(),
        ) {
            let text = written(&keys);
            let place = pick.index(keys.len());
            let (key, _, nested) = &keys[place];
            let path = KeyPath::root().key(&format!("{key}{place}"));
            let path = if *nested { path.key("inner") } else { path };
            let outline = outline(&text);
            let range = outline.entries[outline.follow(&path).0.unwrap()].value.clone().unwrap();
            let new = set_path(&text, &path, &value).unwrap();
            prop_assert!(new.starts_with(&text[..range.start]));
            prop_assert!(new.ends_with(&text[range.end..]));
            let tree = read(&new).unwrap();
            prop_assert_eq!(path.find(&tree), Some(&value));
        }

        #[test]
        fn a_new_key_leaves_every_line(
            keys in prop::collection::vec(("[a-z]{1,6}", 0i64..100_000, any::<bool>()), 1..8),
            pick in any::<prop::sample::Index>(),
            value in values(),
        ) {
            let text = written(&keys);
            let place = pick.index(keys.len());
            let (key, _, nested) = &keys[place];
            let path = if *nested { KeyPath::root().key(&format!("{key}{place}")).key("added") } else { KeyPath::root().key("Added") };
            let new = set_path(&text, &path, &value).unwrap();
            let mut lines = new.lines();
            for line in text.lines() {
                prop_assert!(lines.any(|other| other == line), "{:?} is gone from\n{}", line, new);
            }
        }
    }
}
