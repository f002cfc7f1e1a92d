//! Names that are safe in a Kubernetes object, a path and a URL alike.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// One RFC 1123 label: 1 to 63 of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// What every name keeps to, in words.
    pub const RULE: &str =
        "use 1 to 63 lower-case letters, digits and hyphens, and begin and end with a letter or digit";

    /// Checks `text`; `field` says in the error what was being named.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        let bytes = text.as_bytes();
        let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        if (1..=63).contains(&bytes.len()) && bytes.iter().all(inner) && edge(bytes.first()) && edge(bytes.last()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::BadName { field: field.to_owned(), shown: text.chars().take(80).collect(), rule: Self::RULE })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl TryFrom<String> for Name {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse("name", &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_pass() {
        for text in ["a", "0", "krci", "my-flow-2", &"x".repeat(63)] {
            assert_eq!(Name::parse("flow", text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn case_21_all_else_is_refused() {
        let long = "x".repeat(64);
        for text in [
            "",
            "../x",
            "a/b",
            "a.b",
            "A",
            "é",
            "-a",
            "a-",
            ".",
            "..",
            "a b",
            "a\n",
            "a\0",
            "\u{202e}a",
            "😀",
            "a_b",
            "a\u{200b}",
            "a\r\nb",
            "%2e%2e",
            "con.",
            &long,
            &"x".repeat(254),
        ] {
            let error = Name::parse("flow", text).unwrap_err();
            assert_eq!(error.code(), "cluster.bad_name", "{text:?}");
            assert!(error.to_string().starts_with("flow: "));
        }
        assert!(serde_json::from_str::<Name>("\"../x\"").is_err());
        assert!(Name::parse("flow", &"y".repeat(100_000)).unwrap_err().to_string().len() < 400);
    }
}
