//! Where each key of a values file stands in its text.

use std::collections::HashSet;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

use crate::key_path::{KeyPath, Segment};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A scalar without a tag, with its style.
    Scalar(Style),
    /// A mapping or a list without a tag.
    Collection(Collection),
    /// An alias or a tagged node.
    Other,
}

/// A mapping or a list, and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Collection {
    /// A list; otherwise a mapping.
    pub list: bool,
    /// In brackets; otherwise by indentation.
    pub flow: bool,
}

/// One key or list item of the file.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The entry whose value holds this one; `None` at the top.
    pub parent: Option<usize>,
    /// The last step of the way to it; keys are spelled as Helm would spell them.
    pub segment: Segment,
    /// Bytes of the key; for a list item, of its value.
    pub key: Range<usize>,
    /// How the key is written; `None` for a list item.
    pub key_style: Option<Style>,
    /// Bytes of the value without anchor and tag, when it has any.
    pub value: Option<Range<usize>>,
    /// What the value is.
    pub shape: Shape,
    /// The same key stood in the same mapping before.
    pub duplicate: bool,
    /// Index of the first entry behind this one that does not lie below it.
    pub last: usize,
    /// End of what stands between the parent and the value: the colon, the anchor, the tag.
    pub lead_end: usize,
    /// First byte of the anchor or tag, or of the value.
    pub lead_start: usize,
    /// End of all bytes that count for the value, with the blank lines that `|+` keeps.
    pub end: usize,
}

impl Entry {
    /// The collection that stands here, if one does.
    pub(crate) fn collection(&self) -> Option<Collection> {
        match self.shape {
            Shape::Collection(collection) => Some(collection),
            _ => None,
        }
    }
}

/// All keys and list items of the first document, in the order of the text.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// The entries; each stands before those below it.
    pub entries: Vec<Entry>,
    /// The mapping at the top and its bytes, if there is one.
    pub top: Option<(Collection, Range<usize>)>,
    /// Bytes of the comments.
    pub comments: Vec<Range<usize>>,
}

impl Outline {
    /// The way from the top to an entry.
    pub(crate) fn path(&self, index: usize) -> KeyPath {
        let mut segments = Vec::new();
        let mut at = self.entries.get(index);
        while let Some(entry) = at {
            segments.push(entry.segment.clone());
            at = entry.parent.and_then(|parent| self.entries.get(parent));
        }
        segments.reverse();
        KeyPath::from_segments(segments)
    }

    /// The entries directly below an entry, or at the top.
    pub(crate) fn children(&self, parent: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        let (mut next, end) = match parent {
            None => (0, self.entries.len()),
            Some(index) => (index + 1, self.entries.get(index).map_or(0, |entry| entry.last)),
        };
        std::iter::from_fn(move || {
            let this = next;
            if this >= end {
                return None;
            }
            next = self.entries.get(this)?.last.max(this + 1);
            Some(this)
        })
    }

    /// Follows a path as far as the text holds it: the last entry on the way, and the number of steps taken.
    pub(crate) fn follow(&self, path: &KeyPath) -> (Option<usize>, usize) {
        let mut at = None;
        for (taken, segment) in path.segments().iter().enumerate() {
            match self.children(at).find(|index| self.entries[*index].segment == *segment) {
                Some(index) => at = Some(index),
                None => return (at, taken),
            }
        }
        (at, path.segments().len())
    }
}

/// Reads the outline of a text; empty when the text does not parse.
///
/// Call it only on a text of bounded size. Nesting beyond [`DEPTH`] ends it.
pub(crate) fn outline(text: &str) -> Outline {
    let mut builder = Builder { text, out: Outline::default(), open: Vec::new(), skipping: 0, before: 0 };
    for event in parser(text) {
        let Ok((event, span)) = event else { return Outline::default() };
        let Some(range) = span.byte_range() else { return Outline::default() };
        if let Event::DocumentEnd = event {
            break;
        }
        builder.event(&event, &span, range);
    }
    builder.out
}

/// The deepest nesting that is read.
pub(crate) const DEPTH: usize = 128;

/// The reader of events, bounded in depth.
pub(crate) fn parser(text: &str) -> Parser<'_, granit_parser::StrInput<'_>> {
    let options = granit_parser::options! {
        emit_anchor_events: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
        max_buffered_comment_events: usize::MAX,
    };
    Parser::new_from_str_with_options(text, options)
}

/// The byte at a line and column, both from 1; the end of the line when it is shorter.
pub(crate) fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    let rest = text.get(start..).unwrap_or_default();
    let rest = rest.split(['\n', '\r']).next().unwrap_or_default();
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
}

/// A collection that is being read.
struct Open {
    entry: Option<usize>,
    collection: Collection,
    start: usize,
    key: Option<(Range<usize>, Style, String)>,
    /// The key was one that has no name, such as a list; its value is passed over.
    nameless: bool,
    seen: HashSet<String>,
    next: usize,
}

struct Builder<'a> {
    text: &'a str,
    out: Outline,
    open: Vec<Open>,
    /// Collections open below a part that has no path.
    skipping: usize,
    /// End of the last content, where a block collection that closes now ended.
    before: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: &Event<'_>, span: &Span, range: Range<usize>) {
        match event {
            Event::Comment(..) => self.out.comments.push(range),
            Event::Anchor(..) if self.skipping == 0 => self.anchor(range),
            Event::Scalar(content, style, ..) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                let tagged = event.tag().is_some();
                let shape = if tagged { Shape::Other } else { Shape::Scalar(style) };
                self.node(span, range, shape, Some((content, style)), event.tag().is_some());
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => self.node(span, range, Shape::Other, None, false),
            Event::SequenceStart(style, ..) => self.begin(span, range, true, *style, event.tag().is_some()),
            Event::MappingStart(style, ..) => self.begin(span, range, false, *style, event.tag().is_some()),
            Event::SequenceEnd | Event::MappingEnd => self.end(&range),
            _ => {}
        }
    }

    fn begin(&mut self, span: &Span, range: Range<usize>, list: bool, style: StructureStyle, tagged: bool) {
        if self.skipping > 0 {
            self.skipping += 1;
            return;
        }
        let collection = Collection { list, flow: style == StructureStyle::Flow };
        let start = range.start;
        if self.open.is_empty() {
            if list || self.out.top.is_some() {
                self.skipping = 1;
                return;
            }
            self.out.top = Some((collection, start..start));
            self.push_open(None, collection, start);
            return;
        }
        if let Some(open) = self.open.last_mut()
            && !open.collection.list
            && (open.key.is_none() || open.nameless)
        {
            // A key that is a collection has no name that Helm could ask for, and neither has what follows it.
            open.nameless = !open.nameless;
            self.skipping = 1;
            return;
        }
        let shape = if tagged { Shape::Other } else { Shape::Collection(collection) };
        if let Some(index) = self.entry(span, start..start, shape) {
            self.push_open(Some(index), collection, start);
        } else {
            self.skipping = 1;
        }
    }

    fn push_open(&mut self, entry: Option<usize>, collection: Collection, start: usize) {
        let (seen, key) = (HashSet::new(), None);
        self.open.push(Open { entry, collection, start, key, nameless: false, seen, next: 0 });
    }

    fn end(&mut self, range: &Range<usize>) {
        if self.skipping > 0 {
            self.skipping -= 1;
            self.before = self.before.max(range.end.min(self.trimmed_end(range.end)));
            return;
        }
        let Some(open) = self.open.pop() else { return };
        let end = if open.collection.flow { range.end } else { self.before.max(open.start) };
        self.before = self.before.max(end);
        let last = self.out.entries.len();
        match open.entry.and_then(|index| self.out.entries.get_mut(index)) {
            Some(entry) => {
                entry.value = Some(open.start..end);
                entry.end = end;
                entry.last = last;
                if entry.key_style.is_none() {
                    entry.key = open.start..end;
                }
            }
            None => {
                if let Some((_, top)) = &mut self.out.top {
                    top.end = end;
                }
            }
        }
    }

    fn trimmed_end(&self, end: usize) -> usize {
        self.text.get(..end).map_or(end, |before| before.trim_end().len())
    }

    fn node(&mut self, span: &Span, range: Range<usize>, shape: Shape, scalar: Option<(&str, Style)>, tagged: bool) {
        if self.skipping > 0 || self.open.is_empty() {
            self.before = self.before.max(self.trimmed_end(range.end));
            return;
        }
        let Some(open) = self.open.last_mut() else { return };
        if !open.collection.list {
            if open.nameless {
                open.nameless = false;
                self.before = self.before.max(range.end);
                return;
            }
            if open.key.is_none() {
                self.before = self.before.max(range.end);
                match scalar {
                    Some((content, style)) if !tagged => {
                        let plain = self.text.get(range.clone()).unwrap_or_default();
                        let name =
                            if style == Style::Plain { crate::reading::plain_key(plain) } else { content.to_owned() };
                        open.key = Some((range, style, name));
                    }
                    _ => open.nameless = true,
                }
                return;
            }
        }
        self.entry(span, range, shape);
    }

    /// Adds an entry for a value that begins at `range`.
    fn entry(&mut self, span: &Span, range: Range<usize>, shape: Shape) -> Option<usize> {
        let index = self.out.entries.len();
        let open = self.open.last_mut()?;
        let (segment, key, duplicate, colon) = if open.collection.list {
            open.next += 1;
            (Segment::Index(open.next - 1), None, false, None)
        } else {
            let (key, style, name) = open.key.take()?;
            let duplicate = !open.seen.insert(name.clone()) && name != "<<";
            let colon = colon(self.text, key.end);
            (Segment::Key(name), Some((key, style)), duplicate, colon)
        };
        let parent = open.entry;
        let tag = span.tag_span().and_then(|span| span.byte_range());
        let lead_end = colon.or(key.as_ref().map(|(key, _)| key.end)).unwrap_or(range.start);
        let mut end = range.end;
        let mut value = range.clone();
        if matches!(shape, Shape::Scalar(Style::Block)) {
            let from = tag.as_ref().map_or(lead_end, |tag| tag.end);
            value = header(self.text, if key.is_some() { from } else { line_start(self.text, range.start) }, &range)
                ..range.end;
            let keeps = self
                .text
                .get(value.start..range.start)
                .is_some_and(|header| header.split('#').next().unwrap_or_default().contains('+'));
            let trimmed = self.trimmed_end(range.end).max(value.start);
            // The header alone remains when the text is empty.
            value.end = trimmed;
            // What the reader counts may reach into the indentation of the next line.
            let lines_end = line_start(self.text, range.end);
            let to_the_end = range.end == self.text.len();
            end = if !keeps {
                trimmed
            } else if to_the_end {
                range.end
            } else {
                lines_end.max(trimmed)
            };
        }
        let empty = value.is_empty();
        let lead_start = tag.as_ref().map_or(value.start, |tag| tag.start);
        let lead_end = tag.as_ref().map_or(lead_end, |tag| tag.end.max(lead_end));
        let end = if empty { lead_end } else { end };
        self.before = self.before.max(end);
        let (key, key_style) = match key {
            Some((key, style)) => (key, Some(style)),
            None => (value.clone(), None),
        };
        self.out.entries.push(Entry {
            parent,
            segment,
            key,
            key_style,
            value: (!empty).then_some(value),
            shape,
            duplicate,
            last: index + 1,
            lead_end,
            lead_start,
            end,
        });
        Some(index)
    }

    /// Counts an anchor to the entry it was just read for.
    fn anchor(&mut self, range: Range<usize>) {
        // The anchor of a key or of the top belongs to no entry.
        if self.open.last().is_some_and(|open| open.key.is_some()) {
            return;
        }
        let Some(entry) = self.out.entries.last_mut() else { return };
        if range.start < entry.lead_end && entry.key_style.is_some() && range.end <= entry.key.end {
            return;
        }
        if matches!(entry.shape, Shape::Scalar(Style::Block))
            && let Some(value) = &mut entry.value
        {
            value.start = value.start.max(range.end);
            let rest = self.text.get(value.start..value.end).unwrap_or_default();
            value.start += rest.find(['|', '>']).unwrap_or(0);
        }
        entry.lead_start = entry.lead_start.min(range.start);
        entry.lead_end = entry.lead_end.max(range.end);
        if entry.value.is_none() {
            entry.end = entry.end.max(range.end);
            self.before = self.before.max(range.end);
        }
    }
}

fn line_start(text: &str, offset: usize) -> usize {
    text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1)
}

/// The end of the colon behind a key.
fn colon(text: &str, key_end: usize) -> Option<usize> {
    let rest = text.get(key_end..)?;
    let blank = rest.len() - rest.trim_start().len();
    rest[blank..].starts_with(':').then_some(key_end + blank + 1)
}

/// The start of the `|` or `>` above the text of a block scalar.
fn header(text: &str, from: usize, content: &Range<usize>) -> usize {
    let Some(before) = text.get(from..content.start) else { return content.start };
    if let Some(at) = before.find(['|', '>']) {
        return from + at;
    }
    // In a list the header stands on an earlier line, behind the dash.
    let above = text.get(..from).unwrap_or_default();
    above.rfind(['|', '>']).unwrap_or(content.start)
}
