//! Why a server refused: its words, made safe to show, and what they mean.

use crate::error::Error;

/// The most of a server's words that is kept, in bytes.
pub(crate) const MAX_WORDS: usize = 4096;

/// A refused push: either somebody was quicker, or it is an error.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The branch moved or was locked; trying again on the new tip can help.
    Moved,
    /// Trying again cannot help.
    Refused(Error),
}

/// Makes text from a server safe to show: escape sequences, control and direction characters out, `remote:` prefixes
/// and blank lines out, at most [`MAX_WORDS`].
pub(crate) fn clean(text: &str) -> String {
    let mut plain = String::with_capacity(text.len().min(MAX_WORDS));
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if plain.len() >= MAX_WORDS {
            break;
        }
        match c {
            '\u{1b}' => {
                // A CSI sequence ends with a letter; any other escape has one more character.
                if chars.next_if_eq(&'[').is_some() {
                    while chars.next_if(|c| !c.is_ascii_alphabetic()).is_some() {}
                }
                chars.next();
            }
            '\n' | '\r' => plain.push('\n'),
            '\t' => plain.push(' '),
            c if c.is_control() => {}
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {}
            c => plain.push(c),
        }
    }
    let lines = plain.lines().map(|line| line.trim_end().trim_start_matches("remote: "));
    lines.filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n")
}

/// Judges the status a server gave to our branch; `words` is what it said besides.
///
/// The statuses are those of git's receive-pack and of the large hosts; unknown ones count as a refusal, so that
/// nothing is tried again blindly.
pub(crate) fn judge(branch: &str, status: &str, words: &str) -> Verdict {
    let status = clean(status);
    let lower = status.to_lowercase();
    let moved = [
        "non-fast-forward",
        "fetch first",
        "failed to update ref",
        "cannot lock ref",
        "failed to lock",
        "incorrect old value",
        "reference already exists",
        "stale info",
        "lock error",
    ];
    if moved.iter().any(|sign| lower.contains(sign)) {
        return Verdict::Moved;
    }
    let words = clean(words);
    let said = if words.is_empty() { status.clone() } else { format!("{words}\n({status})") };
    let all = format!("{lower} {}", words.to_lowercase());
    // git's own words for a lost race inside the server's transaction, under a general status.
    if words.contains("cannot lock ref") && !lower.contains("hook") {
        return Verdict::Moved;
    }
    if all.contains("protected branch")
        || all.contains("protected ref")
        || all.contains("gh006")
        || all.contains("gh013")
    {
        return Verdict::Refused(Error::ProtectedBranch { branch: branch.to_owned(), words: said });
    }
    Verdict::Refused(Error::HookRefused { branch: branch.to_owned(), words: said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_made_safe() {
        assert_eq!(clean("remote: \u{1b}[31mno\u{1b}[0m\r\n\r\n\u{202e}x\u{7}y\tz\0"), "no\nxy z");
        assert!(clean(&"é".repeat(10_000)).len() <= MAX_WORDS + 1);
        assert_eq!(clean("\u{1b}"), "");
    }

    #[test]
    fn statuses_are_judged() {
        for status in ["fetch first", "non-fast-forward", "failed to update ref", "cannot lock ref 'refs/heads/x'"] {
            assert!(matches!(judge("main", status, ""), Verdict::Moved), "{status}");
        }
        assert!(matches!(
            judge("main", "pre-receive hook declined", "sign your commits"),
            Verdict::Refused(Error::HookRefused { words, .. }) if words.contains("sign your commits")
        ));
        for (status, words) in [
            ("protected branch hook declined", ""),
            (
                "pre-receive hook declined",
                "GitLab: You are not allowed to push code to protected branches on this project.",
            ),
            ("push declined due to repository rule violations", "error: GH013: Repository rule violations found"),
        ] {
            assert!(
                matches!(judge("main", status, words), Verdict::Refused(Error::ProtectedBranch { .. })),
                "{status}"
            );
        }
        assert!(matches!(judge("main", "something new", ""), Verdict::Refused(Error::HookRefused { .. })));
    }
}
