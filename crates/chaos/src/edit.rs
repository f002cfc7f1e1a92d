//! Byte-exact edits of a text: what an edit does not name stays as it is, byte for byte.

use std::ops::Range;

use serde_json::Value;

use crate::places::{Form, Places};

/// A stretch of a text and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    /// The bytes that go.
    pub(crate) range: Range<usize>,
    /// What comes in their place.
    pub(crate) text: String,
}

impl Edit {
    pub(crate) fn insert(at: usize, text: impl Into<String>) -> Self {
        Self { range: at..at, text: text.into() }
    }
}

/// Carries edits out; `None` when two of them overlap or one lies outside of the text.
pub(crate) fn apply(text: &str, edits: &[Edit]) -> Option<String> {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut out = String::with_capacity(text.len() + 256);
    let mut done = 0;
    for edit in edits {
        out.push_str(text.get(done..edit.range.start)?);
        out.push_str(&edit.text);
        done = edit.range.end;
    }
    out.push_str(text.get(done..)?);
    Some(out)
}

/// A text as a YAML scalar in the form that stands there, or in quotes where that form would make something else of it.
pub(crate) fn scalar(text: &str, form: Form) -> String {
    let harmless = !text
        .contains(['#', '\'', '"', '\n', '{', '}', '[', ']', ',', '&', '*', '!', '|', '>', '%', '@', '`'])
        && !text.contains(": ");
    let read = |written: &str| serde_yaml::from_str::<Value>(written).ok() == Some(Value::String(text.to_owned()));
    let single = format!("'{}'", text.replace('\'', "''"));
    match form {
        Form::Plain if harmless && read(text) => text.to_owned(),
        Form::Single if !text.contains('\n') && read(&single) => single,
        _ => Value::String(text.to_owned()).to_string(),
    }
}

/// The edit that gives a scalar another text; `None` when there is no plain or quoted scalar at the pointer.
pub(crate) fn set_scalar(places: &Places, pointer: &str, text: &str) -> Option<Edit> {
    let place = places.get(pointer)?;
    if !matches!(place.form, Form::Plain | Form::Single | Form::Double) {
        return None;
    }
    // An empty value has no bytes: what is written there needs a space before it.
    let written = scalar(text, place.form);
    let written = if place.value.is_empty() { format!(" {written}") } else { written };
    Some(Edit { range: place.value.clone(), text: written })
}

/// The line break of a text.
pub(crate) fn line_break(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// The edit that puts lines first into the mapping at a pointer, at that mapping's own indentation. `None` when it is not
/// written by indentation.
pub(crate) fn insert_first(text: &str, places: &Places, pointer: &str, lines: &[String]) -> Option<Edit> {
    let (map, first) = (places.get(pointer)?, places.first_below(pointer)?);
    if map.form != Form::Block {
        return None;
    }
    let at = first.key.as_ref()?.start;
    let line_start = text[..at].rfind('\n').map_or(0, |found| found + 1);
    let column = at - line_start;
    let lead = &text[line_start..at];
    // After a dash the first key shares its line with it: the rest goes on below.
    if !lead.chars().all(|ch| matches!(ch, ' ' | '-')) {
        return None;
    }
    let indent = " ".repeat(column);
    let joint = format!("{}{indent}", line_break(text));
    Some(Edit::insert(at, format!("{}{joint}", lines.join(&joint))))
}

/// The edit that takes a mapping's entry away with its line; `None` when it shares that line with anything but a
/// comment.
pub(crate) fn remove_line(text: &str, places: &Places, pointer: &str) -> Option<Edit> {
    let place = places.get(pointer)?;
    let start = place.key.as_ref()?.start;
    let line_start = text[..start].rfind('\n').map_or(0, |found| found + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |found| start + found + 1);
    let rest = text.get(place.value.end..line_end)?.trim();
    let alone = text[line_start..start].trim().is_empty() && (rest.is_empty() || rest.starts_with('#'));
    alone.then(|| Edit { range: line_start..line_end, text: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_touch_only_what_they_name() {
        let text = "metadata:\r\n  name: a # c\r\n  labels: {}\r\n";
        let places = Places::read(text).unwrap();
        let edits = [
            set_scalar(&places, "/metadata/name", "b").unwrap(),
            insert_first(text, &places, "/metadata", &["x: 1".into(), "y: 2".into()]).unwrap(),
        ];
        assert_eq!(apply(text, &edits).unwrap(), "metadata:\r\n  x: 1\r\n  y: 2\r\n  name: b # c\r\n  labels: {}\r\n");
        let gone = remove_line(text, &places, "/metadata/name").unwrap();
        assert_eq!(apply(text, &[gone]).unwrap(), "metadata:\r\n  labels: {}\r\n");
        assert_eq!(
            apply("abc", &[Edit { range: 0..2, text: "x".into() }, Edit { range: 1..3, text: "y".into() }]),
            None
        );
    }

    #[test]
    fn a_scalar_stays_a_text() {
        for text in ["plain", "1e3", "true", "", "a: b", "it's", "{{x}}", "5b9be872-6396-4ad1-b64a-ed4b25edd516", "no"]
        {
            for form in [Form::Plain, Form::Single, Form::Double] {
                let written = scalar(text, form);
                let read: Value = serde_yaml::from_str(&format!("a: {written}\n")).unwrap();
                assert_eq!(read["a"], text, "{written}");
            }
        }
        assert_eq!(scalar("plain", Form::Plain), "plain");
        assert_eq!(scalar("it's", Form::Single), "'it''s'");
    }
}
