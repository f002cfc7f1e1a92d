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
                // A CSI sequence ends with a letter, an OSC sequence with a bell or another escape; any other escape
                // has one more character.
                if chars.next_if_eq(&'[').is_some() {
                    while chars.next_if(|c| !c.is_ascii_alphabetic()).is_some() {}
                } else if chars.next_if_eq(&']').is_some() {
                    while chars.next_if(|c| !matches!(c, '\u{7}' | '\u{1b}' | '\n')).is_some() {}
                    if chars.next_if_eq(&'\u{1b}').is_none() {
                        chars.next_if_eq(&'\u{7}');
                        continue;
                    }
                }
                chars.next_if(|c| *c != '\n');
            }
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => plain.push('\n'),
            '\t' => plain.push(' '),
            c if c.is_control() => {}
            // Invisible characters, those that turn the direction of text, and tags.
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => {}
            '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => {}
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
pub(crate) fn judge(host: &str, branch: &str, status: &str, words: &str) -> Verdict {
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
    // git's own words for a lost race inside the server's transaction, under a general status.
    if words.contains("cannot lock ref") && !lower.contains("hook") {
        return Verdict::Moved;
    }
    let said = match (words.is_empty(), status.is_empty()) {
        (true, _) => status,
        (false, true) => words,
        (false, false) => format!("{words}\n({status})"),
    };
    Verdict::Refused(refusal(host, branch, &said))
}

/// What a refused push means, by the words of GitHub, GitLab, Bitbucket, Gerrit, Azure DevOps, Gitea and git itself.
pub(crate) fn refusal(host: &str, branch: &str, words: &str) -> Error {
    let words = clean(words);
    let lower = words.to_lowercase();
    let says = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    let (host, branch) = (host.to_owned(), branch.to_owned());
    // A rule set names several things at once; the one that the author can mend in the commit goes first.
    if says(&["push cannot contain secrets", "push protection", "gh009", "secrets detected", "secret detected"]) {
        return Error::SecretFound { branch, words };
    }
    let unsigned = ["verified signature", "must be signed", "signed with a gpg", "unsigned commit", "requires signed"];
    if says(&unsigned) {
        return Error::SignatureRequired { branch, words };
    }
    let size = ["gh001", "large files detected", "file size limit", "than the allowed size", "size limit"];
    if says(&size) || says(&["maximum allowed size", "maximum object size", "pack exceeds"]) {
        return Error::PushTooLarge { branch, words };
    }
    if frozen(&lower) {
        return Error::Archived { host, words };
    }
    let protected = [
        "protected branch",
        "protected ref",
        "gh006",
        "gh013",
        "repository rule violations",
        "through pull requests",
        "through a pull request",
        "through a merge request",
        "must use a pull request",
        "permission denied to update branch",
        "prohibited by gerrit",
        "pushes to this branch are not permitted",
        "branch is protected",
    ];
    if says(&protected) {
        return Error::ProtectedBranch { branch, words };
    }
    if says(&["push code to this project", "does not have write access", "write access to repository not granted"]) {
        return Error::Forbidden { host, words };
    }
    Error::HookRefused { branch, words }
}

/// Whether the words speak of a repository that nobody may change any more.
fn frozen(lower: &str) -> bool {
    // A key that is good for reading only says nothing about the repository.
    let key = lower.contains(" key ") || lower.contains("token");
    let still = ["archived", "read-only", "read only", "read_only"].iter().any(|sign| lower.contains(sign));
    still && !key
}

/// The words in small letters without what stands in quotes: a path or a name there may hold any sign that is looked for.
pub(crate) fn unquoted(words: &str) -> String {
    let mut kept = String::with_capacity(words.len());
    let mut rest = words;
    let mut before = ' ';
    while let Some(at) = rest.find(['\'', '"']) {
        let (head, tail) = rest.split_at(at);
        kept.push_str(head);
        before = head.chars().next_back().unwrap_or(before);
        let (mark, inside) = tail.split_at(1);
        kept.push_str(mark);
        // An apostrophe stands after a letter.
        let end = if before.is_alphanumeric() { None } else { inside.find(mark) };
        before = '\'';
        rest = end.map_or(inside, |end| &inside[end..]);
        if end.is_some() {
            kept.push_str(mark);
            rest = &rest[1..];
        }
    }
    kept.push_str(rest);
    kept.to_lowercase()
}

/// Whether the words of a TLS or SSH library say that the connection broke off, and nothing about trust or rights.
pub(crate) fn breaks_off(lower: &str) -> bool {
    let tls = [" eof", "syscall", "connection reset", "broken pipe", "connection was aborted"];
    let ssh = ["userauth response", "unable to send", "getting response", "socket disconnect", "transport read"];
    tls.iter().chain(&ssh).any(|sign| lower.contains(sign))
}

/// What a server means that ends the conversation with words; `None` when they name none of the usual reasons.
pub(crate) fn of_connection(host: &str, words: &str) -> Option<Error> {
    let words = clean(words);
    let lower = unquoted(&words);
    let says = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    let host = host.to_owned();
    if says(&["could not be found", "repository not found", "does not exist", "no such repository"]) {
        return Some(Error::NotFound { host, words });
    }
    if frozen(&lower) {
        return Some(Error::Archived { host, words });
    }
    let forbidden = [
        "permission to ",
        "permission denied to",
        "write access",
        "not allowed to",
        "not permitted",
        "marked as read only",
        "forbidden",
        "saml sso",
        "access denied",
        "insufficient permission",
    ];
    says(&forbidden).then_some(Error::Forbidden { host, words })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_quotes_says_nothing_about_what_went_wrong() {
        let words = "fatal: '/srv/Geofence/denied' does not appear to be a git repository";
        assert_eq!(unquoted(words), "fatal: '' does not appear to be a git repository");
        assert!(!breaks_off(&unquoted(words)));
        assert_eq!(unquoted("It isn't allowed, and won't be: \"eof\" 'x"), "it isn't allowed, and won't be: \"\" 'x");
        assert_eq!(unquoted("'a' \"b"), "'' \"b");
        assert_eq!(unquoted("SSL error: unexpected EOF"), "ssl error: unexpected eof");
    }

    #[test]
    fn words_are_made_safe() {
        assert_eq!(clean("remote: \u{1b}[31mno\u{1b}[0m\r\n\r\n\u{202e}x\u{7}y\tz\0"), "no\nxy z");
        assert_eq!(clean("a\u{1b}]0;title\u{7}b\u{1b}]8;;http://x\u{1b}\\c\u{1b}(Bd\u{e0041}\u{ad}"), "abcBd");
        assert!(clean(&"é".repeat(10_000)).len() <= MAX_WORDS + 1);
        assert_eq!(clean("\u{1b}"), "");
    }

    #[test]
    fn a_lost_race_is_told_from_a_refusal() {
        for status in ["fetch first", "non-fast-forward", "failed to update ref", "cannot lock ref 'refs/heads/x'"] {
            assert!(matches!(judge("h", "main", status, ""), Verdict::Moved), "{status}");
        }
        assert!(matches!(judge("h", "main", "internal", "error: cannot lock ref 'x'"), Verdict::Moved));
        let hook = judge("h", "main", "pre-receive hook declined", "error: cannot lock ref 'x'");
        assert!(matches!(hook, Verdict::Refused(_)), "a hook may say anything");
    }

    #[test]
    fn refusals_of_the_large_hosts_are_told_apart() {
        let hook = "pre-receive hook declined";
        let rules = "push declined due to repository rule violations";
        for (status, words, code) in [
            ("protected branch hook declined", "", "git.protected_branch"),
            (
                "protected branch hook declined",
                "error: GH006: Protected branch update failed for refs/heads/main.\nerror: Required status check \
                 \"ci\" is expected.",
                "git.protected_branch",
            ),
            (
                rules,
                "error: GH013: Repository rule violations found for refs/heads/main.\n- Changes must be made through a \
                 pull request.",
                "git.protected_branch",
            ),
            (
                rules,
                "error: GH013: Repository rule violations found for refs/heads/main.\n- GITHUB PUSH PROTECTION\n \
                 — Push cannot contain secrets",
                "git.secret_found",
            ),
            (hook, "error: GH009: Secrets detected! This push failed.", "git.secret_found"),
            (hook, "PUSH BLOCKED: Secrets detected in code changes", "git.secret_found"),
            (
                "protected branch hook declined",
                "error: GH006: Protected branch update failed for refs/heads/main.\nerror: Commits must have verified \
                 signatures.",
                "git.signature_required",
            ),
            (hook, "GitLab: Commit must be signed with a GPG key", "git.signature_required"),
            (
                hook,
                "error: GH001: Large files detected.\nerror: File a is 120.00 MB; this exceeds GitHub's file size limit",
                "git.push_too_large",
            ),
            (
                hook,
                "GitLab: File \"a\" is larger than the allowed size of 5 MiB. Use Git LFS to manage this file.",
                "git.push_too_large",
            ),
            ("unpacker error", "fatal: pack exceeds maximum allowed size (1.00 KiB)", "git.push_too_large"),
            (
                hook,
                "GitLab: You are not allowed to push code to protected branches on this project.",
                "git.protected_branch",
            ),
            (hook, "GitLab: You can't push code to an archived project.", "git.archived"),
            (hook, "GitLab: You are not allowed to push code to this project.", "git.forbidden"),
            (hook, "GitLab: Commit message does not follow the pattern 'JIRA-.+'", "git.hook_refused"),
            (hook, "Permission denied to update branch main.", "git.protected_branch"),
            (
                hook,
                "Branch refs/heads/main can only be modified through pull requests. Check your branch permissions \
                 configuration with the project administrator.",
                "git.protected_branch",
            ),
            ("prohibited by Gerrit: not permitted: update", "", "git.protected_branch"),
            ("prohibited by Gerrit: project state READ_ONLY does not permit write", "", "git.archived"),
            (
                "TF402455: Pushes to this branch are not permitted; you must use a pull request to update this branch.",
                "",
                "git.protected_branch",
            ),
            (hook, "Gitea: Not allowed to push to protected branch main", "git.protected_branch"),
            (hook, "sign your commits", "git.hook_refused"),
            ("something new", "", "git.hook_refused"),
        ] {
            let Verdict::Refused(error) = judge("git.example", "main", status, words) else {
                panic!("{status} {words}")
            };
            assert_eq!(error.code(), code, "{status} {words}");
            let text = error.to_string();
            let first = clean(if words.is_empty() { status } else { words });
            assert!(text.contains(first.lines().next().unwrap()), "its own words: {text}");
            assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{code} says what to do");
        }
    }

    #[test]
    fn words_that_end_a_conversation_are_told_apart() {
        for (words, code) in [
            ("ERROR: This repository was archived so it is read-only.", "git.archived"),
            ("You can't push code to a read-only GitLab instance.", "git.archived"),
            ("ERROR: Permission to o/r.git denied to somebody.", "git.forbidden"),
            ("ERROR: The key you are authenticating with has been marked as read only.", "git.forbidden"),
            ("This deploy key does not have write access to this project.", "git.forbidden"),
            ("Write access to repository not granted.", "git.forbidden"),
            ("ERROR: Repository not found.", "git.not_found"),
            (
                "ERROR: The project you were looking for could not be found or you don't have permission to view it.",
                "git.not_found",
            ),
        ] {
            assert_eq!(of_connection("h", words).map(|error| error.code()), Some(code), "{words}");
        }
        assert!(of_connection("h", "failed to send data").is_none());
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_server_says_becomes_safe_text(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let text = String::from_utf8_lossy(&bytes);
            let cleaned = clean(&text);
            assert!(cleaned.len() <= text.len());
            assert!(!cleaned.chars().any(|c| c.is_control() && c != '\n'), "{cleaned:?}");
            assert_eq!(clean(&cleaned), cleaned, "safe text stays as it is");
            let _ = (judge("h", "b", &text, &text), of_connection("h", &text));
        }
    }
}
