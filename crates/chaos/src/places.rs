//! Where the bytes of each value of a document stand, so that an edit changes these bytes and no others.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

/// The deepest nesting that is read.
const DEPTH: usize = 100;

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A scalar without quotes.
    Plain,
    /// A scalar in single quotes.
    Single,
    /// A scalar in double quotes.
    Double,
    /// A text written with `|`.
    Literal,
    /// A mapping or a list by indentation.
    Block,
    /// A mapping or a list in brackets.
    Flow,
    /// An alias, a folded text, or anything with a tag: nothing that is edited.
    Other,
}

/// One value and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Bytes of the key; `None` in a list.
    pub(crate) key: Option<Range<usize>>,
    /// Bytes of the value; for what is written by indentation, from its first byte to its last.
    pub(crate) value: Range<usize>,
    /// How it is written.
    pub(crate) form: Form,
}

/// The places of a document's values by their JSON pointers.
#[derive(Debug, Default)]
pub(crate) struct Places {
    all: BTreeMap<String, Place>,
}

enum Open {
    Map { pointer: String, key: Option<(String, Range<usize>)>, start: usize, end: usize, flow: bool },
    List { pointer: String, next: usize, start: usize, end: usize, flow: bool },
}

impl Open {
    fn reach(&mut self, to: usize) {
        let (Self::Map { end, .. } | Self::List { end, .. }) = self;
        *end = (*end).max(to);
    }
}

/// A step of a JSON pointer.
pub(crate) fn step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl Places {
    /// Reads the places of the first document of a text; `None` when the text cannot be told apart well enough.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let options = granit_parser::options! {
            flow_nesting_limit: DEPTH,
            block_nesting_limit: DEPTH,
            max_buffered_comment_events: usize::MAX,
        };
        let mut places = Self::default();
        let mut open: Vec<Open> = Vec::new();
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.ok()?;
            let range = span.byte_range()?;
            let tagged = event.tag().is_some();
            match &event {
                Event::DocumentEnd => break,
                Event::Scalar(content, style, ..) => {
                    if let Some(Open::Map { key: key @ None, .. }) = open.last_mut() {
                        *key = Some((content.to_string(), range));
                        continue;
                    }
                    let form = match style {
                        _ if tagged => Form::Other,
                        ScalarStyle::Plain => Form::Plain,
                        ScalarStyle::SingleQuoted => Form::Single,
                        ScalarStyle::DoubleQuoted => Form::Double,
                        ScalarStyle::Literal => Form::Literal,
                        ScalarStyle::Folded => Form::Other,
                    };
                    places.put(&mut open, range, form)?;
                }
                Event::Alias(_) => {
                    places.put(&mut open, range, Form::Other)?;
                }
                Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => {
                    let flow = *style == StructureStyle::Flow;
                    let form = match flow {
                        _ if tagged => Form::Other,
                        true => Form::Flow,
                        false => Form::Block,
                    };
                    let start = range.start;
                    let pointer = places.put(&mut open, start..start, form)?;
                    open.push(match event {
                        Event::MappingStart(..) => Open::Map { pointer, key: None, start, end: start, flow },
                        _ => Open::List { pointer, next: 0, start, end: start, flow },
                    });
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let (Open::Map { pointer, start, end, flow, .. } | Open::List { pointer, start, end, flow, .. }) =
                        open.pop()?;
                    let end = if flow { range.end } else { end };
                    if let Some(place) = places.all.get_mut(&pointer) {
                        place.value = start..end;
                    }
                    if let Some(above) = open.last_mut() {
                        above.reach(end);
                    }
                }
                _ => {}
            }
        }
        Some(places)
    }

    /// Notes a value below what is open; its pointer. `None` for a key that is no scalar.
    fn put(&mut self, open: &mut [Open], value: Range<usize>, form: Form) -> Option<String> {
        let (pointer, key) = match open.last_mut() {
            None => (String::new(), None),
            Some(Open::List { pointer, next, .. }) => {
                *next += 1;
                (format!("{pointer}/{}", *next - 1), None)
            }
            Some(Open::Map { pointer, key, .. }) => {
                let (name, range) = key.take()?;
                (format!("{pointer}/{}", step(&name)), Some(range))
            }
        };
        if let Some(above) = open.last_mut() {
            above.reach(value.end);
        }
        self.all.insert(pointer.clone(), Place { key, value, form });
        Some(pointer)
    }

    /// The place of a value.
    pub(crate) fn get(&self, pointer: &str) -> Option<&Place> {
        self.all.get(pointer)
    }

    /// The first place directly below a mapping, in the order of the text.
    pub(crate) fn first_below(&self, pointer: &str) -> Option<&Place> {
        let prefix = format!("{pointer}/");
        let below = self.all.iter().filter(|(at, _)| at.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('/')));
        below.map(|(_, place)| place).min_by_key(|place| place.value.start)
    }
}

/// The 1-based line of a byte.
pub(crate) fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_found_by_its_pointer() {
        let text = "# top\nmetadata:\n  labels: {a/b: 'x', c: y}\n  name: real # why\nspec:\n- data: |\n    one\n    two\n\n- k\n";
        let places = Places::read(text).unwrap();
        let at = |pointer: &str| {
            let place = places.get(pointer).unwrap_or_else(|| panic!("{pointer}"));
            (&text[place.value.clone()], place.form)
        };
        assert_eq!(at("/metadata/name"), ("real", Form::Plain));
        assert_eq!(at("/metadata/labels/a~1b"), ("'x'", Form::Single));
        assert_eq!(at("/metadata/labels"), ("{a/b: 'x', c: y}", Form::Flow));
        assert_eq!(at("/metadata").0, "labels: {a/b: 'x', c: y}\n  name: real");
        let (literal, form) = at("/spec/0/data");
        assert!(literal.contains("one\n    two") && form == Form::Literal, "{literal:?}");
        assert_eq!(at("/spec/1"), ("k", Form::Plain));
        let first = places.first_below("/metadata").and_then(|place| place.key.clone()).unwrap();
        assert_eq!((&text[first.clone()], line_at(text, first.start)), ("labels", 3));
    }
}
