//! Three versions of a text become one, or stay apart.

use git2::{MergeFileInput, MergeFileOptions};

use crate::error::Result;

/// The largest text that is merged, in bytes.
const MAX: usize = 16 * 1024 * 1024;

/// What became of three versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// Both changes fit together.
    Clean(Vec<u8>),
    /// They touch the same lines, or the content is no text.
    Conflict,
}

/// Lays the change from `base` to `ours` onto `theirs`, line by line.
pub fn merge_text(base: &[u8], ours: &[u8], theirs: &[u8]) -> Result<Merge> {
    if ours == theirs || base == theirs {
        return Ok(Merge::Clean(ours.to_vec()));
    }
    if base == ours {
        return Ok(Merge::Clean(theirs.to_vec()));
    }
    if [base, ours, theirs].iter().any(|text| text.len() > MAX || text.contains(&0)) {
        return Ok(Merge::Conflict);
    }
    let (mut a, mut o, mut t) = (MergeFileInput::new(), MergeFileInput::new(), MergeFileInput::new());
    a.content(base);
    o.content(ours);
    t.content(theirs);
    let mut options = MergeFileOptions::new();
    options.style_standard(true);
    let merged = git2::merge_file(&a, &o, &t, Some(&mut options))?;
    Ok(if merged.is_automergeable() { Merge::Clean(merged.content().to_vec()) } else { Merge::Conflict })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_apart_fit_together_and_changes_to_one_line_do_not() {
        let base = b"a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n";
        let ours = b"a: 9\nb: 2\nc: 3\nd: 4\ne: 5\n";
        let theirs = b"a: 1\nb: 2\nc: 3\nd: 4\ne: 8\n";
        assert_eq!(merge_text(base, ours, theirs).unwrap(), Merge::Clean(b"a: 9\nb: 2\nc: 3\nd: 4\ne: 8\n".to_vec()));
        assert_eq!(merge_text(base, ours, b"a: 7\nb: 2\nc: 3\nd: 4\ne: 5\n").unwrap(), Merge::Conflict);
        assert_eq!(merge_text(b"\0", b"\0a", b"\0b").unwrap(), Merge::Conflict);
        assert_eq!(merge_text(b"", b"x\n", b"y\n").unwrap(), Merge::Conflict);
    }

    proptest::proptest! {
        #[test]
        fn one_sided_changes_always_win(base in "[a-c\\n]{0,30}", side in "[a-c\\n]{0,30}") {
            let (base, side) = (base.as_bytes(), side.as_bytes());
            assert_eq!(merge_text(base, side, base).unwrap(), Merge::Clean(side.to_vec()));
            assert_eq!(merge_text(base, base, side).unwrap(), Merge::Clean(side.to_vec()));
            assert_eq!(merge_text(base, side, side).unwrap(), Merge::Clean(side.to_vec()));
        }
    }
}
