//! Setting one key and leaving everything else as it was written.

use std::str::FromStr;

use serde_json::Value;
use yaml_edit::path::YamlPath;
use yaml_edit::{ScalarValue, YamlFile};

use crate::key_path::{KeyPath, Segment};
use crate::outline::{Shape, Style, outline};
use crate::{Error, Result, read, scalar};

/// Stands in the tree for the value to be written, which is then put in its place as text, so that quoting is ours.
const STAND_IN: &str = "pilothouse-stand-in";

/// Sets one value and returns the new text. Comments, order, quoting and line ends elsewhere stay byte for byte;
/// strings that some reader would take for something else are quoted. Mappings and lists are written in flow style.
///
/// # Errors
/// When the text cannot be read, when a list place does not exist, or when the edit would change the meaning of
/// anything else (an alias, for instance): then nothing is changed.
pub fn set_path(text: &str, path: &KeyPath, value: &Value) -> Result<String> {
    let refused = |why: &str| Error::EditRefused { path: path.to_string(), why: why.to_owned() };
    let Some((Segment::Key(_), _)) = path.segments().split_first() else {
        return Err(refused("a path begins with a key"));
    };
    let before = read(text)?;
    if text.contains(STAND_IN) {
        return Err(refused("the file already holds a word this editor needs"));
    }
    let mut expected = before.clone();
    if !path.put(&mut expected, value.clone()) {
        return Err(refused("a list place on the way does not exist, or a single value stands in the way"));
    }
    if expected == before && path.find(&before).is_some() {
        return Ok(text.to_owned());
    }
    let written = scalar::inline(value);
    let new = match replace_scalar(text, path, &written) {
        Some(new) => new,
        None => insert(text, path, &written)?,
    };
    // The proof: the new text must mean exactly what was asked for, and hold every comment it held.
    let after = read(&new).map_err(|error| refused(&format!("the result would not be readable: {error}")))?;
    if after != expected {
        return Err(refused("other values would change with it"));
    }
    if comments(&new) != comments(text) {
        return Err(refused("a comment would be lost"));
    }
    Ok(new)
}

/// Replaces a scalar that stands on one line, by its bytes.
fn replace_scalar(text: &str, path: &KeyPath, written: &str) -> Option<String> {
    let entry = outline(text).into_iter().find(|entry| entry.path == *path && !entry.duplicate)?;
    let range = entry.value?;
    let one_line = matches!(entry.shape, Shape::Scalar(Style::Plain | Style::Quoted));
    let old = text.get(range.clone())?;
    // An anchor or a tag in front belongs to the old value.
    if !one_line || old.contains(['\n', '\r']) || old.starts_with(['&', '!', '*']) {
        return None;
    }
    let mut new = text.to_owned();
    new.replace_range(range, written);
    Some(new)
}

/// Adds a key, or replaces a value that spans lines, through the syntax tree.
fn insert(text: &str, path: &KeyPath, written: &str) -> Result<String> {
    let refused = |why: String| Error::EditRefused { path: path.to_string(), why };
    let windows = text.contains("\r\n") && !text.replace("\r\n", "").contains('\n');
    let file = YamlFile::from_str(text).map_err(|error| refused(error.to_string()))?;
    let document = file.documents().next().filter(|document| document.as_mapping().is_some());
    let Some(document) = document else { return Ok(append(text, path, written, windows)) };
    document.try_set_path(&spelled(path), ScalarValue::plain(STAND_IN)).map_err(|error| refused(error.to_string()))?;
    let mut new = file.to_string();
    if new.matches(STAND_IN).count() != 1 {
        return Err(refused("the place to write to is not unique".to_owned()));
    }
    new = new.replacen(STAND_IN, written, 1);
    if text.ends_with('\n') && !new.ends_with('\n') {
        new.push('\n');
    }
    if windows {
        new = new.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    Ok(new)
}

/// Writes the first key of a file that so far holds comments only.
fn append(text: &str, path: &KeyPath, written: &str, windows: bool) -> String {
    let line_end = if windows { "\r\n" } else { "\n" };
    let mut new = text.to_owned();
    if !new.is_empty() && !new.ends_with('\n') {
        new.push_str(line_end);
    }
    let last = path.segments().len().saturating_sub(1);
    for (depth, segment) in path.segments().iter().enumerate() {
        let Segment::Key(key) = segment else { continue };
        new.push_str(&"  ".repeat(depth));
        new.push_str(&scalar::inline(&Value::String(key.clone())));
        new.push(':');
        if depth == last {
            new.push(' ');
            new.push_str(written);
        }
        new.push_str(line_end);
    }
    new
}

/// The path as the syntax tree's own path reader takes it: every character of a key that means something is escaped.
fn spelled(path: &KeyPath) -> String {
    let mut out = String::new();
    for segment in path.segments() {
        match segment {
            Segment::Key(key) => {
                if !out.is_empty() {
                    out.push('.');
                }
                for (place, ch) in key.chars().enumerate() {
                    if matches!(ch, '.' | '[' | ']' | '\\') || (place == 0 && ch.is_ascii_digit()) {
                        out.push('\\');
                    }
                    out.push(ch);
                }
            }
            Segment::Index(index) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}

/// All comments of the file, in order.
fn comments(text: &str) -> Vec<String> {
    let Ok(file) = YamlFile::from_str(text) else { return Vec::new() };
    file.comments().map(|comment| comment.text().trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn set(text: &str, path: &str, value: Value) -> String {
        set_path(text, &KeyPath::parse(path).unwrap(), &value).unwrap()
    }

    const FILE: &str = "# Values of cart\nreplicaCount: 1 # one is enough\n\nimage:\n  # from the registry\n  pullPolicy: \"Always\"\n\nhosts:\n  - name: a # first\n  - name: b\nflow: {x: 1, list: [1, 2]}\nlong: |\n  one\n  two\nempty:\n";

    #[test]
    fn an_existing_scalar_is_replaced_alone() {
        let table = [
            ("replicaCount", json!(3), "replicaCount: 1 #", "replicaCount: 3 #"),
            ("image.pullPolicy", json!("IfNotPresent"), "\"Always\"", "IfNotPresent"),
            ("image.pullPolicy", json!("no"), "\"Always\"", "\"no\""),
            ("hosts[0].name", json!("1.0"), "name: a #", "name: \"1.0\" #"),
            ("flow.list[1]", json!("x, y"), "[1, 2]", "[1, \"x, y\"]"),
        ];
        for (path, value, old, new) in table {
            assert_eq!(set(FILE, path, value), FILE.replacen(old, new, 1), "{path}");
        }
    }

    #[test]
    fn keys_are_added_and_larger_values_replaced() {
        for (path, value) in [
            ("image.tag", json!("x")),
            ("resources.limits.cpu", json!("500m")),
            ("flow.z", json!(true)),
            ("empty", json!({"a": [1]})),
            ("long", json!("short")),
            (r"annotations.prometheus\.io/port", json!("8080")),
            ("flow", json!(1)),
            ("empty.below", json!(1)),
            ("hosts[1].port", json!(80)),
        ] {
            let path = KeyPath::parse(path).unwrap();
            let new = set_path(FILE, &path, &value).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(path.find(&read(&new).unwrap()), Some(&value), "{new}");
        }
    }

    #[test]
    fn files_of_comments_only_get_their_first_key() {
        assert_eq!(set("# x\n", "a.b", json!(1)), "# x\na:\n  b: 1\n");
        assert_eq!(set("", "a", json!("no")), "a: \"no\"\n");
        assert_eq!(set("# x\r\n", "a", json!(1)), "# x\r\na: 1\r\n");
    }

    #[test]
    fn windows_line_ends_stay() {
        let text = "a: 1\r\nb:\r\n  c: 2\r\n";
        assert_eq!(set(text, "b.c", json!(3)), "a: 1\r\nb:\r\n  c: 3\r\n");
        let grown = set(text, "b.d", json!(4));
        assert_eq!(grown.matches('\n').count(), grown.matches("\r\n").count(), "{grown:?}");
    }

    #[test]
    fn edits_that_would_change_more_are_refused() {
        for (text, path) in [
            ("a: &x {k: 1}\nb: *x\n", "b.k"),
            ("a: 1\n", "a.b"),
            ("a: [1]\n", "a[5]"),
            ("a: 1\na: 2\n", "a"),
            ("- a\n", "a"),
        ] {
            assert!(set_path(text, &KeyPath::parse(path).unwrap(), &json!(2)).is_err(), "{text}");
        }
    }

    #[test]
    fn the_same_value_changes_nothing() {
        assert_eq!(set(FILE, "replicaCount", json!(1)), FILE);
    }

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            prop::sample::select(vec!["no", "on", "y", "0x1", "1e3", "null", "~", "a: b", "#", "- x"])
                .prop_map(Value::from)
        ]
    }

    /// A file of `keys` keys with a comment on each line, two levels deep.
    fn written(keys: &[(String, i64, bool)]) -> String {
        let mut text = "# top\n".to_owned();
        for (place, (key, number, nested)) in keys.iter().enumerate() {
            if *nested {
                text += &format!(
                    "{key}{place}: # {number}\n    inner: {number}   # about {key}\n    # after\n    list:\n    - {number}\n\n"
                );
            } else {
                text += &format!("{key}{place}:   '{number}'  # about {key}\n");
            }
        }
        text
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn outside_the_value_every_byte_stays(
            keys in prop::collection::vec(("[a-z]{1,6}", 0i64..100_000, any::<bool>()), 1..8),
            pick in any::<prop::sample::Index>(),
            value in values(),
        ) {
            let text = written(&keys);
            let place = pick.index(keys.len());
            let (key, _, nested) = &keys[place];
            let path = KeyPath::root().key(&format!("{key}{place}"));
            let path = if *nested { path.key("inner") } else { path };
            let range = outline(&text).into_iter().find(|entry| entry.path == path).unwrap().value.unwrap();
            let new = set_path(&text, &path, &value).unwrap();
            prop_assert!(new.starts_with(&text[..range.start]));
            prop_assert!(new.ends_with(&text[range.end..]));
            let tree = read(&new).unwrap();
            prop_assert_eq!(path.find(&tree), Some(&value));
        }

        #[test]
        fn a_new_key_leaves_every_line(
            keys in prop::collection::vec(("[a-z]{1,6}", 0i64..100_000, any::<bool>()), 1..8),
            pick in any::<prop::sample::Index>(),
            value in values(),
        ) {
            let text = written(&keys);
            let place = pick.index(keys.len());
            let (key, _, nested) = &keys[place];
            let path = if *nested { KeyPath::root().key(&format!("{key}{place}")).key("added") } else { KeyPath::root().key("Added") };
            let new = set_path(&text, &path, &value).unwrap();
            let mut lines = new.lines();
            for line in text.lines() {
                prop_assert!(lines.any(|other| other == line), "{:?} is gone from\n{}", line, new);
            }
        }
    }
}
