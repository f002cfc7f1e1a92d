//! Places of a text, found without searching all of it each time.

use std::collections::HashMap;

use crate::key_path::{KeyPath, Segment};
use crate::outline::Outline;

/// The lines of a text.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, starts: std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect() }
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.line(offset);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        (line, before.chars().filter(|ch| *ch != '\u{feff}').count() + 1)
    }

    /// The byte at a line and column, both from 1; the end of the line when it is shorter.
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let rest = self.text.get(start..).unwrap_or_default();
        let rest = rest.split(['\n', '\r']).next().unwrap_or_default();
        start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
    }
}

/// The ways to all entries of an outline.
pub(crate) struct Ways<'a>(HashMap<(Option<usize>, &'a Segment), usize>);

impl<'a> Ways<'a> {
    pub(crate) fn new(outline: &'a Outline) -> Self {
        let mut ways = HashMap::with_capacity(outline.entries.len());
        for (at, entry) in outline.entries.iter().enumerate() {
            ways.entry((entry.parent, &entry.segment)).or_insert(at);
        }
        Self(ways)
    }

    /// The entry at a path.
    pub(crate) fn find(&self, path: &KeyPath) -> Option<usize> {
        match self.follow(path) {
            (at, taken) if taken == path.segments().len() => at,
            _ => None,
        }
    }

    /// Follows a path as far as the text holds it: the last entry on the way, and the number of steps taken.
    pub(crate) fn follow(&self, path: &KeyPath) -> (Option<usize>, usize) {
        let mut at = None;
        for (taken, segment) in path.segments().iter().enumerate() {
            match self.0.get(&(at, segment)) {
                Some(index) => at = Some(*index),
                None => return (at, taken),
            }
        }
        (at, path.segments().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outline::outline;

    #[test]
    fn lines_and_bytes_belong_together() {
        let text = "\u{feff}a: é\r\nb:\n  c: [1]";
        let lines = Lines::new(text);
        for (at, _) in text.char_indices().filter(|(_, ch)| !matches!(ch, '\r' | '\n' | '\u{feff}')) {
            let (line, column) = lines.position(at);
            // The mark at the beginning is counted by nobody but the text.
            let mark = usize::from(line == 1);
            assert_eq!(lines.offset(line, column + mark), at);
        }
        assert_eq!((lines.position(usize::MAX).0, lines.offset(9, 1)), (3, text.len()));
    }

    #[test]
    fn ways_lead_as_far_as_the_text_goes() {
        let outline = outline("a:\n  b:\n  - c: 1\n");
        let ways = Ways::new(&outline);
        let path = |text: &str| KeyPath::parse(text).unwrap();
        for text in ["a", "a.b", "a.b[0].c", "a.b[1]", "x", "a.x.y"] {
            let path = path(text);
            assert_eq!(ways.follow(&path), outline.follow(&path), "{text}");
            assert_eq!(ways.find(&path).is_some(), outline.follow(&path).1 == path.segments().len());
        }
    }
}
