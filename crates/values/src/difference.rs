//! Line-by-line differences, ready to show.

use std::time::Duration;

use similar::{ChangeTag, TextDiff as Comparison};

/// What happened to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LineKind {
    /// The same in both.
    Same,
    /// Only in the new text.
    Added,
    /// Only in the old text.
    Removed,
}

/// One line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiffLine {
    /// What happened to it.
    pub kind: LineKind,
    /// Its number in the old text, from 1.
    pub old_no: Option<usize>,
    /// Its number in the new text, from 1.
    pub new_no: Option<usize>,
    /// The line without its end.
    pub text: String,
    /// The line is the last and has no line end.
    pub no_line_end: bool,
}

/// Neighbouring changes with three lines of context.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hunk {
    /// The lines, in order.
    pub lines: Vec<DiffLine>,
}

/// The differences between two texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TextDiff {
    /// The places that differ; empty when the texts are equal.
    pub hunks: Vec<Hunk>,
    /// Number of added lines.
    pub added: usize,
    /// Number of removed lines.
    pub removed: usize,
}

/// The longest that one comparison takes: two large texts without a line in common would take minutes.
const PATIENCE: Duration = Duration::from_secs(1);

/// Compares two texts line by line. What takes too long becomes one replaced block.
pub fn diff(old: &str, new: &str) -> TextDiff {
    diff_within(old, new, PATIENCE)
}

/// As [`diff`], in so much time at most.
pub fn diff_within(old: &str, new: &str, patience: Duration) -> TextDiff {
    let comparison: Comparison<'_, '_, str> =
        similar::TextDiffConfig::default().timeout(patience.min(PATIENCE)).diff_lines(old, new);
    let mut out = TextDiff::default();
    for group in comparison.grouped_ops(3) {
        let mut lines = Vec::new();
        for change in group.iter().flat_map(|op| comparison.iter_changes(op)) {
            let kind = match change.tag() {
                ChangeTag::Equal => LineKind::Same,
                ChangeTag::Insert => LineKind::Added,
                ChangeTag::Delete => LineKind::Removed,
            };
            out.added += usize::from(kind == LineKind::Added);
            out.removed += usize::from(kind == LineKind::Removed);
            let text = change.value();
            lines.push(DiffLine {
                kind,
                old_no: change.old_index().map(|at| at + 1),
                new_no: change.new_index().map(|at| at + 1),
                text: text.trim_end_matches(['\n', '\r']).to_owned(),
                no_line_end: !text.ends_with(['\n', '\r']),
            });
        }
        out.hunks.push(Hunk { lines });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_time_the_texts_are_one_replaced_block() {
        let old: String = (0..20_000).map(|n| format!("{}\n", n % 7)).collect();
        let new: String = (0..20_000).map(|n| format!("{}\n", n % 11)).collect();
        let found = diff_within(&old, &new, Duration::ZERO);
        let kept = found.hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.kind == LineKind::Same).count();
        assert!(found.added + kept >= 19_000 && found.added > 10_000, "{} {kept}", found.added);
    }

    #[test]
    fn hunks_have_numbers() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
        let new = "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk";
        let found = diff(old, new);
        assert_eq!((found.added, found.removed, found.hunks.len()), (2, 1, 2));
        let first: Vec<_> =
            found.hunks[0].lines.iter().map(|line| (line.kind, line.old_no, line.new_no, line.text.as_str())).collect();
        assert_eq!(
            first[..3],
            [
                (LineKind::Same, Some(1), Some(1), "a"),
                (LineKind::Removed, Some(2), None, "b"),
                (LineKind::Added, None, Some(2), "B"),
            ]
        );
        assert!(found.hunks[1].lines.last().unwrap().no_line_end);
    }

    #[test]
    fn equal_texts_have_none() {
        assert_eq!(diff("a: 1\n", "a: 1\n"), TextDiff::default());
        assert_eq!(diff("", "a: 1\n").added, 1);
    }
}
