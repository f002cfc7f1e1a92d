//! Paths to a key inside a values file, as Helm's `--set` writes them: `image.tag`, `hosts[0].name`,
//! `annotations.prometheus\.io/port`.

use crate::{Error, Result};

/// One step of a [`KeyPath`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub enum Segment {
    /// A key of a mapping.
    Key(String),
    /// A place in a list, from 0.
    Index(usize),
}

/// The way from the top of a values file to one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize)]
pub struct KeyPath(Vec<Segment>);

impl KeyPath {
    /// The top of the file.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads `a.b[0].c`; `\` keeps the next character as it is.
    ///
    /// # Errors
    /// [`Error::BadPath`] for an empty segment, an unclosed or non-numeric index, or text after `]`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why| Error::BadPath { path: text.chars().take(200).collect(), why };
        let mut segments = Vec::new();
        let mut key = String::new();
        let mut expects_key = true;
        let mut chars = text.chars();
        while let Some(ch) = chars.next() {
            match ch {
                '.' => {
                    if expects_key && key.is_empty() {
                        return Err(bad("a key is empty"));
                    }
                    if !key.is_empty() {
                        segments.push(Segment::Key(std::mem::take(&mut key)));
                    }
                    expects_key = true;
                }
                '[' => {
                    if !key.is_empty() {
                        segments.push(Segment::Key(std::mem::take(&mut key)));
                    } else if expects_key {
                        return Err(bad("an index follows no key"));
                    }
                    let mut digits = String::new();
                    loop {
                        match chars.next() {
                            Some(']') => break,
                            Some(digit) if digit.is_ascii_digit() && digits.len() < 6 => digits.push(digit),
                            _ => return Err(bad("an index must be a number of at most six digits in [ ]")),
                        }
                    }
                    let index = digits.parse().map_err(|_| bad("an index is empty"))?;
                    segments.push(Segment::Index(index));
                    expects_key = false;
                }
                _ => {
                    if !expects_key && key.is_empty() {
                        return Err(bad("a dot is missing after ]"));
                    }
                    match ch {
                        '\\' => key.push(chars.next().ok_or_else(|| bad("it ends with a backslash"))?),
                        other => key.push(other),
                    }
                    expects_key = true;
                }
            }
        }
        if !key.is_empty() {
            segments.push(Segment::Key(key));
        } else if expects_key {
            return Err(bad("a key is empty"));
        }
        Ok(Self(segments))
    }

    /// The path of these steps.
    pub(crate) fn from_segments(segments: Vec<Segment>) -> Self {
        Self(segments)
    }

    /// The steps, from the top.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// This path with one more key.
    pub fn key(&self, key: &str) -> Self {
        let mut segments = self.0.clone();
        segments.push(Segment::Key(key.to_owned()));
        Self(segments)
    }

    /// This path with one more list place.
    pub fn index(&self, index: usize) -> Self {
        let mut segments = self.0.clone();
        segments.push(Segment::Index(index));
        Self(segments)
    }

    /// Whether `self` is `other` or lies below it.
    pub fn is_within(&self, other: &KeyPath) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The path without its last step; `None` for the top.
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        Some(Self(above.to_vec()))
    }

    /// Takes away what stands at this path. `false` when nothing stands there.
    pub(crate) fn take(&self, tree: &mut serde_json::Value) -> bool {
        let Some((last, above)) = self.0.split_last() else { return false };
        let holder = above.iter().try_fold(tree, |at, segment| match segment {
            Segment::Key(key) => at.as_object_mut()?.get_mut(key),
            Segment::Index(index) => at.as_array_mut()?.get_mut(*index),
        });
        match (last, holder) {
            (Segment::Key(key), Some(serde_json::Value::Object(map))) => map.shift_remove(key).is_some(),
            (Segment::Index(index), Some(serde_json::Value::Array(list))) if *index < list.len() => {
                list.remove(*index);
                true
            }
            _ => false,
        }
    }

    /// The value at this path.
    pub(crate) fn find<'a>(&self, tree: &'a serde_json::Value) -> Option<&'a serde_json::Value> {
        self.0.iter().try_fold(tree, |at, segment| match segment {
            Segment::Key(key) => at.as_object()?.get(key),
            Segment::Index(index) => at.as_array()?.get(*index),
        })
    }

    /// Puts a value at this path, making mappings on the way. `false` when a list place or a scalar is in the way.
    pub(crate) fn put(&self, tree: &mut serde_json::Value, value: serde_json::Value) -> bool {
        let mut at = tree;
        for segment in &self.0 {
            at = match segment {
                Segment::Key(key) => {
                    if at.is_null() {
                        *at = serde_json::Value::Object(serde_json::Map::new());
                    }
                    let Some(map) = at.as_object_mut() else { return false };
                    map.entry(key.clone()).or_insert(serde_json::Value::Null)
                }
                Segment::Index(index) => match at.as_array_mut().and_then(|list| list.get_mut(*index)) {
                    Some(item) => item,
                    None => return false,
                },
            };
        }
        *at = value;
        true
    }
}

impl std::borrow::Borrow<[Segment]> for KeyPath {
    fn borrow(&self) -> &[Segment] {
        &self.0
    }
}

impl std::fmt::Display for KeyPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) => {
                    if place > 0 {
                        f.write_str(".")?;
                    }
                    for ch in key.chars() {
                        if matches!(ch, '.' | '[' | '\\') {
                            f.write_str("\\")?;
                        }
                        write!(f, "{ch}")?;
                    }
                }
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_and_print_alike() {
        for text in ["a", "a.b", "a[0]", "a[0][1].b", r"a.prometheus\.io/port", r"x\[0]", "image.tag"] {
            assert_eq!(KeyPath::parse(text).unwrap().to_string(), text, "{text}");
        }
        assert_eq!(
            KeyPath::parse(r"a\.b[3].c").unwrap().segments(),
            &[Segment::Key("a.b".into()), Segment::Index(3), Segment::Key("c".into())]
        );
    }

    #[test]
    fn malformed_paths_are_refused() {
        for text in ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[]", "[0]", "a[0]b", "a\\", "a[99999999999]", "a[0]."]
        {
            assert!(KeyPath::parse(text).is_err(), "{text}");
        }
    }
}
