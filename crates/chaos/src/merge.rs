//! Three-way merge of texts by lines.

use std::collections::HashMap;

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// Merges two descendants of one text. `None` when both changed the same lines, or neighbouring ones, differently:
/// no line that neither side removed is ever dropped, and no marker is ever written.
pub fn merge(base: &str, ours: &str, theirs: &str) -> Option<String> {
    if ours == theirs || theirs == base {
        return Some(ours.to_owned());
    }
    if ours == base {
        return Some(theirs.to_owned());
    }
    let base: Vec<&str> = base.split_inclusive('\n').collect();
    let ours: Vec<&str> = ours.split_inclusive('\n').collect();
    let theirs: Vec<&str> = theirs.split_inclusive('\n').collect();
    let to_ours = matches(&base, &ours);
    let to_theirs = matches(&base, &theirs);

    let mut merged = String::new();
    let (mut b, mut o, mut t) = (0, 0, 0);
    let anchors = (0..base.len())
        .filter_map(|index| Some((index, *to_ours.get(&index)?, *to_theirs.get(&index)?)))
        .chain(std::iter::once((base.len(), ours.len(), theirs.len())));
    for (next_b, next_o, next_t) in anchors {
        let (chunk_b, chunk_o, chunk_t) = (&base[b..next_b], &ours[o..next_o], &theirs[t..next_t]);
        let chosen = if chunk_o == chunk_t || chunk_t == chunk_b {
            chunk_o
        } else if chunk_o == chunk_b {
            chunk_t
        } else {
            return None;
        };
        chosen.iter().for_each(|line| merged.push_str(line));
        if let Some(line) = base.get(next_b) {
            merged.push_str(line);
        }
        (b, o, t) = (next_b + 1, next_o + 1, next_t + 1);
    }
    Some(merged)
}

fn matches(base: &[&str], side: &[&str]) -> HashMap<usize, usize> {
    let mut found = HashMap::new();
    for op in capture_diff_slices(Algorithm::Myers, base, side) {
        if let DiffOp::Equal { old_index, new_index, len } = op {
            found.extend((0..len).map(|step| (old_index + step, new_index + step)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let base = "a\nb\nc\nd\ne\n";
        assert_eq!(merge(base, "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n").as_deref(), Some("A\nb\nc\nd\nE\n"));
        assert_eq!(merge(base, "a\nc\nd\ne\n", "a\nb\nc\nd\ne\nf\n").as_deref(), Some("a\nc\nd\ne\nf\n"));
        assert_eq!(merge(base, "a\nX\nc\nd\ne\n", "a\nX\nc\nd\ne\n").as_deref(), Some("a\nX\nc\nd\ne\n"));
        assert_eq!(merge(base, "a\nX\nc\nd\ne\n", "a\nY\nc\nd\ne\n"), None);
        assert_eq!(merge(base, "", "a\nb\nc\nd\ne\nf\n"), None);
        assert_eq!(merge("", "x\n", "y\n"), None);
    }

    #[test]
    fn a_missing_last_newline_does_not_glue_lines() {
        assert_eq!(merge("a\nb\nc", "a\nb\nc\nd\n", "A\nb\nc"), Some("A\nb\nc\nd\n".into()));
    }

    proptest::proptest! {
        #[test]
        fn keeps_what_no_side_removed(
            length in 0usize..10,
            ours in proptest::collection::vec("[a-n]", 0..12),
            theirs in proptest::collection::vec("[a-n]", 0..12),
        ) {
            let base: Vec<String> = ('a'..='j').take(length).map(String::from).collect();
            let join = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            let (b, o, t) = (join(&base), join(&ours), join(&theirs));
            if let Some(merged) = merge(&b, &o, &t) {
                for line in &base {
                    if ours.contains(line) && theirs.contains(line) {
                        proptest::prop_assert!(merged.lines().any(|kept| kept == line), "{line} lost in {merged:?}");
                    }
                }
            }
            proptest::prop_assert_eq!(merge(&b, &o, &b), Some(o.clone()));
            proptest::prop_assert_eq!(merge(&b, &b, &t), Some(t.clone()));
            proptest::prop_assert_eq!(merge(&b, &o, &o), Some(o));
        }
    }
}
