//! Reading a values file as Helm reads it, within bounds.

use pilothouse_cluster::Unfolding;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::outline::{DEPTH, Outline, Shape, Style, outline, parser};
use crate::scalar::{bool_word, surprising_bool, surprising_integer};
use crate::{Error, Result};

/// The largest values file that is read, in bytes.
pub const LIMIT: usize = 1024 * 1024;

/// Reads a values file into JSON, as Helm does: YAML 1.1 words, merge keys applied, every key a string.
/// An empty file, or one of comments only, is an empty mapping.
///
/// # Errors
/// Too large, not YAML, several documents, duplicate keys, or anything but a mapping at the top. Aliases that
/// unfold beyond reason are refused before a tree is made of them.
pub fn read(text: &str) -> Result<Value> {
    document(text).map(|document| document.tree)
}

/// A text that was read, and where its keys stand.
pub(crate) struct Document {
    pub outline: Outline,
    pub tree: Value,
}

/// Reads a text as [`read`] does, and keeps the outline that was needed for it.
pub(crate) fn document(text: &str) -> Result<Document> {
    match check_shape(text)? {
        TopShape::Nothing => Ok(Document { outline: outline(text), tree: Value::Object(Map::new()) }),
        TopShape::Mapping => document_of(text, outline(text)),
    }
}

/// Reads a text whose shape has been checked.
pub(crate) fn document_of(text: &str, outline: Outline) -> Result<Document> {
    let normal = as_helm_reads(text, &outline);
    let mut tree: serde_yaml::Value = serde_yaml::from_str(&normal).map_err(|error| syntax(&error))?;
    if text.contains("<<") {
        apply_merges(&mut tree)?;
    }
    match to_json(tree) {
        tree @ Value::Object(_) => Ok(Document { outline, tree }),
        _ => Err(Error::NotAMapping { found: "something else" }),
    }
}

/// Applies merge keys until none is left: what is merged in may hold a merge key of its own.
fn apply_merges(tree: &mut serde_yaml::Value) -> Result<()> {
    for _ in 0..DEPTH {
        let before = tree.clone();
        tree.apply_merge().map_err(|error| syntax(&error))?;
        if *tree == before {
            break;
        }
    }
    Ok(())
}

/// What stands at the top of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopShape {
    /// Nothing, or null.
    Nothing,
    /// A mapping.
    Mapping,
}

/// Checks size, syntax, depth and the top of the text; not duplicate keys.
pub(crate) fn check_shape(text: &str) -> Result<TopShape> {
    if text.len() > LIMIT {
        return Err(Error::TooLarge { size: text.len(), limit: LIMIT });
    }
    bounded(text)?;
    Unfolding::default().count(text).map_err(|error| Error::Syntax {
        line: 1,
        column: 1,
        message: error.to_string(),
    })?;
    let mut top = Skeleton::Null;
    for (number, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let skeleton = Skeleton::deserialize(document).map_err(|error| syntax(&error))?;
        if number > 0 {
            return Err(Error::SeveralDocuments { line: second_document(text) });
        }
        top = skeleton;
    }
    match top {
        Skeleton::Null => Ok(TopShape::Nothing),
        Skeleton::Map => Ok(TopShape::Mapping),
        Skeleton::List => Err(Error::NotAMapping { found: "a list" }),
        Skeleton::Scalar => Err(Error::NotAMapping { found: "a single value" }),
    }
}

/// A text up to this size, in bytes, is read even when only one of the two parsers takes it.
const SMALL: usize = 64 * 1024;

/// Looks at the nesting before the parser that builds the tree does: its time grows with the square of the depth.
fn bounded(text: &str) -> Result<()> {
    let Some(error) = parser(text).find_map(std::result::Result::err) else { return Ok(()) };
    let deep = matches!(error.kind(), granit_parser::ErrorKind::RecursionLimitExceeded);
    if !deep && text.len() <= SMALL {
        // The other parser says what is wrong with it, if it finds it wrong at all.
        return Ok(());
    }
    let message = if deep { "recursion limit exceeded".to_owned() } else { error.kind().to_string() };
    Err(Error::Syntax { line: error.marker().line().max(1), column: error.marker().col() + 1, message })
}

/// An unquoted key as it ends up in Helm's JSON: `on` becomes `true`, `017` becomes `15`.
pub(crate) fn plain_key(plain: &str) -> String {
    if let Some(flag) = bool_word(plain) {
        return flag.to_string();
    }
    if let Some(number) = surprising_integer(plain) {
        return number.to_string();
    }
    let number_like = plain.starts_with(|ch: char| ch.is_ascii_digit() || matches!(ch, '+' | '-' | '.' | '~'));
    if number_like || plain.eq_ignore_ascii_case("null") {
        return serde_yaml::from_str(plain).map_or_else(|_| plain.to_owned(), key_text);
    }
    // A long key may go on on the next line.
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An unquoted scalar as Helm reads it.
pub(crate) fn plain_scalar(plain: &str) -> Value {
    if let Some(flag) = bool_word(plain) {
        return Value::Bool(flag);
    }
    if let Some(number) = surprising_integer(plain) {
        return Value::from(number);
    }
    serde_yaml::from_str(plain).map_or_else(|_| Value::String(plain.to_owned()), to_json)
}

fn syntax(error: &serde_yaml::Error) -> Error {
    let (line, column) = error.location().map_or((1, 1), |at| (at.line().max(1), at.column().max(1)));
    let words = error.to_string();
    // The position is told apart from the words.
    let message = words.split(" at line ").next().unwrap_or(&words).to_owned();
    Error::Syntax { line, column, message }
}

/// The line of the second `---`, or of the first when something stands before it.
fn second_document(text: &str) -> usize {
    let mut content = false;
    for (number, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") || line == "..." {
            if content {
                return number + 1;
            }
            content = true;
        } else if !line.trim().is_empty() && !line.trim_start().starts_with('#') && !line.starts_with('%') {
            content = true;
        }
    }
    1
}

/// The text with every unquoted word that Helm takes for a boolean or a number written the way all readers
/// agree on.
fn as_helm_reads(text: &str, outline: &Outline) -> String {
    let mut changes = Vec::new();
    for entry in &outline.entries {
        if entry.key_style == Some(Style::Plain) {
            changes.extend(common_word(text, entry.key.clone()));
        }
        if entry.shape == Shape::Scalar(Style::Plain) {
            changes.extend(entry.value.clone().and_then(|range| common_word(text, range)));
        }
    }
    let mut out = String::with_capacity(text.len() + 4 * changes.len());
    let mut done = 0;
    for (range, word) in changes {
        out.push_str(text.get(done..range.start).unwrap_or_default());
        out.push_str(&word);
        done = range.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

fn common_word(text: &str, range: std::ops::Range<usize>) -> Option<(std::ops::Range<usize>, String)> {
    let plain = text.get(range.clone())?;
    let word = match (surprising_bool(plain), surprising_integer(plain)) {
        (Some(flag), _) => flag.to_string(),
        (None, Some(number)) => number.to_string(),
        (None, None) => return None,
    };
    Some((range, word))
}

fn to_json(value: serde_yaml::Value) -> Value {
    match value {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(flag) => Value::Bool(flag),
        serde_yaml::Value::Number(number) => number
            .as_i64()
            .map(Value::from)
            .or_else(|| number.as_u64().map(Value::from))
            .or_else(|| number.as_f64().and_then(serde_json::Number::from_f64).map(Value::Number))
            .unwrap_or_else(|| Value::String(number.to_string())),
        serde_yaml::Value::String(text) => Value::String(text),
        serde_yaml::Value::Sequence(items) => Value::Array(items.into_iter().map(to_json).collect()),
        serde_yaml::Value::Mapping(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key_text(key), to_json(value))).collect())
        }
        serde_yaml::Value::Tagged(tagged) => to_json(tagged.value),
    }
}

fn key_text(key: serde_yaml::Value) -> String {
    match to_json(key) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The outer shape of a document. Visiting it walks the whole document, so that the parser's limits on depth and
/// on repetition through aliases apply, without keeping anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skeleton {
    Null,
    Scalar,
    List,
    Map,
}

impl<'de> Deserialize<'de> for Skeleton {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = Skeleton;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("any YAML value")
            }
            fn visit_unit<E>(self) -> std::result::Result<Skeleton, E> {
                Ok(Skeleton::Null)
            }
            fn visit_none<E>(self) -> std::result::Result<Skeleton, E> {
                Ok(Skeleton::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> std::result::Result<Skeleton, D::Error> {
                inner.deserialize_any(Look)
            }
            fn visit_bool<E>(self, _: bool) -> std::result::Result<Skeleton, E> {
                Ok(Skeleton::Scalar)
            }
            fn visit_i64<E>(self, _: i64) -> std::result::Result<Skeleton, E> {
                Ok(Skeleton::Scalar)
            }
            fn visit_u64<E>(self, _: u64) -> std::result::Result<Skeleton, E> {
                Ok(Skeleton::Scalar)
            }
            fn visit_i128<E>(self, _: i128) -> std::result::Result<Skeleton, E> {
                Ok(Skeleton::Scalar)
            }
            fn visit_u128<E>(self, _: u128) -> std::result::Result<Skeleton, E> {
                Ok(Skeleton::Scalar)
            }
            fn visit_f64<E>(self, _: f64) -> std::result::Result<Skeleton, E> {
                Ok(Skeleton::Scalar)
            }
            fn visit_str<E>(self, _: &str) -> std::result::Result<Skeleton, E> {
                Ok(Skeleton::Scalar)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Skeleton, A::Error> {
                while list.next_element::<Skeleton>()?.is_some() {}
                Ok(Skeleton::List)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Skeleton, A::Error> {
                while map.next_entry::<Skeleton, Skeleton>()?.is_some() {}
                Ok(Skeleton::Map)
            }
            fn visit_enum<A: serde::de::EnumAccess<'de>>(self, tagged: A) -> std::result::Result<Skeleton, A::Error> {
                let (_, inner) = tagged.variant::<Skeleton>()?;
                serde::de::VariantAccess::newtype_variant::<Skeleton>(inner)
            }
        }
        deserializer.deserialize_any(Look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_as_helm_does() {
        let text =
            "a: no\non: 1\nb: \"no\"\nc: [yes, off, x]\nd: 017\ne: 1e3\nf: ~\ng:\n  - y: n\nh: |\n  no\ni: no # yes\n";
        assert_eq!(
            read(text).unwrap(),
            json!({"a": false, "true": 1, "b": "no", "c": [true, false, "x"], "d": 15, "e": 1000.0, "f": null,
                   "g": [{"true": false}], "h": "no\n", "i": false})
        );
    }

    #[test]
    fn merge_keys_are_applied() {
        assert_eq!(read("x: &x\n  a: 1\n  b: 2\nz:\n  <<: *x\n  b: 3\n").unwrap()["z"], json!({"b": 3, "a": 1}));
        let chain = "a: &a {p: 1, q: 1}\nb: &b {<<: *a, q: 2}\nc: {<<: *b, r: 3}\n";
        assert_eq!(read(chain).unwrap()["c"], json!({"p": 1, "q": 2, "r": 3}));
    }

    #[test]
    fn empty_files_are_an_empty_mapping() {
        for text in ["", "\n", "# only a comment\n", "---\n", "---\n# x\n", "~\n", "\u{feff}# x\n"] {
            assert_eq!(read(text).unwrap(), json!({}), "{text:?}");
        }
    }

    #[test]
    fn hostile_texts_are_refused_in_bounds() {
        let bomb = {
            let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
            for level in 1..20 {
                let below = level - 1;
                text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 10].join(", "));
            }
            text
        };
        // The reader follows no more aliases than it may, but each brings ten thousand values.
        let wide =
            format!("a: &a [{}]\nb: &b [{}]\nc: [{}]\n", "0,".repeat(10_000), "*a,".repeat(100), "*b,".repeat(10_000));
        assert!(read(&wide).unwrap_err().to_string().contains("unfold"));
        for text in [
            bomb,
            "[".repeat(20_000),
            format!("a: {}", "[".repeat(5_000)),
            "{a: ".repeat(5_000),
            "a: b: c\n".to_owned(),
            "a: *nobody\n".to_owned(),
            "a: \u{0}\n".to_owned(),
            "a: 1\na: 2\n".to_owned(),
            "x".repeat(LIMIT + 1),
            "- a\n".to_owned(),
            "word\n".to_owned(),
            "a: 1\n---\nb: 2\n".to_owned(),
            "a: &a [*a]\n".to_owned(),
        ] {
            assert!(read(&text).is_err(), "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn the_second_document_is_pointed_at() {
        assert!(matches!(read("---\na: 1\n---\nb: 1\n"), Err(Error::SeveralDocuments { line: 3 })));
        assert!(matches!(read("a: 1\n---\nb: 1\n"), Err(Error::SeveralDocuments { line: 2 })));
    }
}
