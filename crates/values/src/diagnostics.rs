//! Findings about the text of a values file.

use crate::key_path::KeyPath;
use crate::outline::{Entry, Outline, Shape, Style, outline};
use crate::places::Lines;
use crate::reading::{Document, LIMIT, TopShape, check_shape, document_of};
use crate::scalar::{exponent, not_json, rounded, sexagesimal, surprising_bool, surprising_integer, trailing_zero};
use crate::{Error, secrets};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Worth knowing.
    Hint,
    /// Probably not what was meant; nothing is stopped.
    Warning,
    /// Helm would refuse or misread the file; it must not be committed so.
    Error,
}

/// One finding, at a place in the text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How much it matters.
    pub severity: Severity,
    /// A stable code, such as `norway-word`.
    pub code: &'static str,
    /// What was found and how to mend it. Never holds the value of a suspected secret.
    pub message: String,
    /// The key that it is about, where it is about one.
    pub path: Option<KeyPath>,
}

impl Diagnostic {
    pub(crate) fn at(
        lines: &Lines<'_>,
        offset: usize,
        severity: Severity,
        code: &'static str,
        message: String,
    ) -> Self {
        let (line, column) = lines.position(offset);
        Self { line, column, severity, code, message, path: None }
    }

    /// The same, about a key.
    pub(crate) fn about(self, path: KeyPath) -> Self {
        Self { path: Some(path), ..self }
    }
}

/// The most findings reported for one text; a hostile file may hold a hundred thousand.
pub(crate) const MOST: usize = 200;

/// Checks the text of a values file: size, syntax, tabs, duplicate keys, the shape at the top, words that Helm reads
/// as something else than they look, and secrets in clear text. Errors come with a place; an empty result is a clean
/// file.
pub fn diagnose(text: &str) -> Vec<Diagnostic> {
    diagnosed(text, &Lines::new(text)).0
}

/// What [`diagnose`] finds, and the document, where it could be read.
pub(crate) fn diagnosed(text: &str, lines: &Lines<'_>) -> (Vec<Diagnostic>, Option<Document>) {
    if text.len() > LIMIT {
        let message =
            format!("The file has {} bytes; the limit is {LIMIT}. Split it or remove what is not needed.", text.len());
        return (vec![Diagnostic::at(lines, 0, Severity::Error, "too-large", message)], None);
    }
    let mut found = tabs(text);
    let mut document = None;
    match check_shape(text) {
        Err(error) => found.extend(of_error(&error, &found)),
        Ok(TopShape::Nothing) => {
            document =
                Some(Document { outline: outline(text), tree: serde_json::Value::Object(serde_json::Map::new()) });
        }
        Ok(TopShape::Mapping) => {
            let outline = outline(text);
            for (index, entry) in outline.entries.iter().enumerate() {
                found.extend(duplicate(lines, &outline, index));
                found.extend(words(text, lines, entry).into_iter().map(|finding| finding.about(outline.path(index))));
                found.extend(secrets::suspect(text, lines, &outline, index));
                if found.len() >= MOST {
                    break;
                }
            }
            // The outline covers block and flow keys; what it cannot see, the strict reading still refuses.
            if !found.iter().any(|finding| finding.severity == Severity::Error) {
                match document_of(text, outline) {
                    Ok(read) => document = Some(read),
                    Err(error) => found.extend(of_error(&error, &found)),
                }
            }
        }
    }
    // The parser also counts lines that end with a letter no editor takes for a line end.
    let last = lines.line(text.len());
    found.iter_mut().for_each(|finding| finding.line = finding.line.min(last));
    found.sort_by_key(|finding| (finding.line, finding.column));
    found.truncate(MOST);
    (found, document)
}

fn of_error(error: &Error, found: &[Diagnostic]) -> Option<Diagnostic> {
    let (line, column, code, message) = match error {
        Error::Syntax { line, column, message } => (*line, *column, "syntax", sentence(message)),
        Error::SeveralDocuments { line } => (*line, 1, "several-documents", error.to_string()),
        Error::NotAMapping { .. } => (1, 1, "not-a-mapping", error.to_string()),
        other => (1, 1, "unreadable", other.to_string()),
    };
    // A tab already explains the syntax error it causes.
    let told = code == "syntax" && found.iter().any(|finding| finding.line == line);
    (!told).then_some(Diagnostic { line, column, severity: Severity::Error, code, message, path: None })
}

fn sentence(message: &str) -> String {
    if message.contains("repetition limit") {
        return "Aliases in this file unfold into too much; write the values out.".to_owned();
    }
    if message.contains("recursion limit") {
        return "Values are nested too deeply (128 levels at most).".to_owned();
    }
    format!("Not readable as YAML: {message}.")
}

/// Tabs used for indentation, which YAML forbids.
fn tabs(text: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut block_indent: Option<usize> = None;
    for (number, line) in text.lines().enumerate() {
        let body = line.trim_start_matches([' ', '\t']);
        if body.is_empty() {
            continue;
        }
        let spaces = line.len() - line.trim_start_matches(' ').len();
        if let Some(indent) = block_indent {
            // Inside a block scalar a tab after the indentation is content.
            if spaces > indent {
                continue;
            }
            block_indent = None;
        }
        if body.starts_with('#') {
            continue;
        }
        let lead = &line[..line.len() - body.len()];
        if let Some(at) = lead.find('\t') {
            found.push(Diagnostic {
                line: number + 1,
                column: at + 1,
                severity: Severity::Error,
                code: "tab-indentation",
                message: "YAML is indented with spaces; replace the tab.".to_owned(),
                path: None,
            });
            if found.len() >= MOST {
                break;
            }
        }
        let end = body.split(" #").next().unwrap_or(body).trim_end();
        let last = end.rsplit([' ', ':']).next().unwrap_or_default();
        if last.starts_with(['|', '>']) && last.chars().skip(1).all(|ch| matches!(ch, '+' | '-' | '1'..='9')) {
            block_indent = Some(spaces);
        }
    }
    found
}

fn duplicate(lines: &Lines<'_>, outline: &Outline, index: usize) -> Option<Diagnostic> {
    let entry = outline.entries.get(index)?;
    entry.duplicate.then(|| {
        let message = format!("`{}` is set twice in the same place; keep one.", outline.path(index));
        Diagnostic::at(lines, entry.key.start, Severity::Error, "duplicate-key", message).about(outline.path(index))
    })
}

/// Unquoted words that do not mean what they look like.
fn words(text: &str, lines: &Lines<'_>, entry: &Entry) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if entry.key_style == Some(Style::Plain)
        && let Some(plain) = text.get(entry.key.clone())
        && let Some(flag) = surprising_bool(plain)
    {
        let message = format!("Helm reads the key `{plain}` as `{flag}`; write \"{plain}\" in quotes.");
        found.push(Diagnostic::at(lines, entry.key.start, Severity::Warning, "norway-word", message));
    }
    let Some(value) = entry.value.clone() else { return found };
    if entry.shape != Shape::Scalar(Style::Plain) {
        return found;
    }
    let (start, Some(plain)) = (value.start, text.get(value)) else { return found };
    let finding = if let Some(flag) = surprising_bool(plain) {
        let message = format!(
            "Helm reads `{plain}` as the boolean {flag}. Write {flag} if that is meant, or \"{plain}\" in quotes for the word."
        );
        Some((Severity::Warning, "norway-word", message))
    } else if let Some(number) = surprising_integer(plain) {
        let message = format!("Helm reads `{plain}` as the number {number}; quote it if the text is meant.");
        Some((Severity::Warning, "number-base", message))
    } else if not_json(plain) {
        let message = format!("Helm cannot read `{plain}`: it has no such number. Quote it if the word is meant.");
        Some((Severity::Error, "not-a-number", message))
    } else if let Some(number) = trailing_zero(plain) {
        let message = format!("Helm reads `{plain}` as the number {number}; quote it if a version is meant.");
        Some((Severity::Warning, "trailing-zero", message))
    } else if rounded(plain) {
        let message = format!("`{plain}` has more digits than Helm keeps of a number; quote it if every digit counts.");
        Some((Severity::Warning, "number-rounded", message))
    } else if exponent(plain) {
        let message =
            format!("`{plain}` is a floating-point number to Helm; quote it if a commit id or a tag is meant.");
        Some((Severity::Warning, "exponent", message))
    } else if sexagesimal(plain) {
        let message = format!("Some YAML readers take `{plain}` for a number in base 60; quote it.");
        Some((Severity::Hint, "sexagesimal", message))
    } else {
        None
    };
    found.extend(finding.map(|(severity, code, message)| Diagnostic::at(lines, start, severity, code, message)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<(usize, usize, &'static str)> {
        diagnose(text).into_iter().map(|finding| (finding.line, finding.column, finding.code)).collect()
    }

    #[test]
    fn findings_have_their_place() {
        type Place = (usize, usize, &'static str);
        let table: &[(&str, &[Place])] = &[
            ("", &[]),
            ("# nothing\n", &[]),
            ("replicaCount: 2\nimage:\n  pullPolicy: Always\n", &[]),
            ("a: no\n", &[(1, 4, "norway-word")]),
            ("a: \"no\"\n", &[]),
            ("a: [x, on]\n", &[(1, 8, "norway-word")]),
            ("on: x\n", &[(1, 1, "norway-word")]),
            (
                "b: 0o17\nc: 017\nd: 1e3\ne: 12:30:45\n",
                &[(1, 4, "number-base"), (2, 4, "number-base"), (3, 4, "exponent"), (4, 4, "sexagesimal")],
            ),
            ("a: 1\nb:\n  c: 1\n  c: 2\n", &[(4, 3, "duplicate-key")]),
            ("a: 1\nb: {c: 1, c: 2}\n", &[(2, 11, "duplicate-key")]),
            ("a:\n\tb: 1\n", &[(2, 1, "tab-indentation")]),
            ("a: |\n  x\n  \ty\n", &[]),
            ("- a\n", &[(1, 1, "not-a-mapping")]),
            ("a: 1\n---\nb: 2\n", &[(2, 1, "several-documents")]),
            ("image:\n  tag: é\nä: no\n", &[(3, 4, "norway-word")]),
        ];
        for (text, expected) in table {
            assert_eq!(&codes(text), expected, "{text:?}");
        }
    }

    #[test]
    fn findings_name_the_key_that_they_are_about() {
        let text = "a: no\nb:\n  - {c: 017}\nd.e:\n  f: 1\n  f: 2\npassword: hunter2hunter2\n";
        let named: Vec<_> =
            diagnose(text).into_iter().map(|one| (one.code, one.path.map(|path| path.to_string()))).collect();
        let named: Vec<_> = named.iter().map(|(code, path)| (*code, path.as_deref())).collect();
        assert_eq!(
            named,
            [
                ("norway-word", Some("a")),
                ("number-base", Some("b[0].c")),
                ("duplicate-key", Some("d\\.e.f")),
                ("clear-text-secret", Some("password")),
            ]
        );
        assert_eq!(diagnose("a: [1\n")[0].path, None, "a text that cannot be read has no keys");
    }

    #[test]
    fn syntax_errors_point_at_their_line() {
        let found = diagnose("a: 1\nb: [1, 2\nc: 3\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].code, "syntax");
        assert_eq!(found[0].severity, Severity::Error);
        assert!(found[0].line >= 2, "{found:?}");
    }

    #[test]
    fn a_hostile_file_yields_a_bounded_list() {
        let text: String = (0..5_000).map(|n| format!("k{n}: no\n")).collect();
        assert_eq!(diagnose(&text).len(), MOST);
        assert_eq!(codes(&"a".repeat(LIMIT + 1)), [(1, 1, "too-large")]);
    }
}
