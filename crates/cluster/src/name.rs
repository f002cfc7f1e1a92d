//! Names that are safe in a Kubernetes object, a path and a URL alike.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Defines one kind of name: `$dots` says whether it may have several parts.
macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $limit:literal, $dots:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What every such name keeps to, in words.
            pub const RULE: &str = $rule;

            /// Checks `text`; `field` says in the error what was being named.
            pub fn parse(field: &str, text: &str) -> Result<Self> {
                let parts_fit = if $dots { text.split('.').all(is_part) } else { is_part(text) };
                if text.len() <= $limit && parts_fit {
                    return Ok(Self(text.to_owned()));
                }
                let shown = text.chars().take(80).collect();
                Err(Error::BadName { field: field.to_owned(), shown, rule: Self::RULE })
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                Self::parse("name", &text)
            }
        }
    };
}

checked_name!(
    /// One RFC 1123 label: 1 to 63 of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit. For whatever
    /// becomes a folder, a namespace or a label's value.
    Name,
    63,
    false,
    "use 1 to 63 lower-case letters, digits and hyphens, and begin and end with a letter or digit"
);

checked_name!(
    /// One RFC 1123 subdomain, which is what Kubernetes takes as the name of most objects: labels of any length,
    /// joined with dots, at most 253 characters in all.
    Subdomain,
    253,
    true,
    "use 1 to 253 lower-case letters, digits, hyphens and dots, and begin and end each part between dots with a \
     letter or digit"
);

/// Whether `text` is made of what a label is made of, its length aside.
fn is_part(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let bytes = text.as_bytes();
    edge(bytes.first()) && bytes.iter().all(inner) && edge(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_pass() {
        for text in ["a", "0", "krci", "my-flow-2", &"x".repeat(63)] {
            assert_eq!(Name::parse("flow", text).unwrap().as_str(), text);
            assert_eq!(Subdomain::parse("workflow", text).unwrap().as_str(), text);
        }
        for text in ["a.b", "0.1-2.c", &"x".repeat(253)] {
            assert_eq!(Subdomain::parse("workflow", text).unwrap().as_str(), text);
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
            if !matches!(text, "a.b") && text != long {
                let error = Subdomain::parse("workflow", text).unwrap_err();
                assert!(error.to_string().starts_with("workflow: "), "{text:?}");
            }
        }
        for text in ["a..b", "a.-b", "a-.b", ".a", "a.", "a/b.c", "../x.y", &format!("{long}.{}", "y".repeat(190))] {
            assert_eq!(Subdomain::parse("workflow", text).unwrap_err().code(), "cluster.bad_name", "{text:?}");
        }
        assert!(serde_json::from_str::<Name>("\"../x\"").is_err());
        assert!(Name::parse("flow", &"y".repeat(100_000)).unwrap_err().to_string().len() < 400);
    }
}
