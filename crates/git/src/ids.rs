//! Names of objects.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

macro_rules! object_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(git2::Oid);

        impl $name {
            /// Reads the full hexadecimal form; anything else is [`Error::BadId`].
            pub fn parse(text: &str) -> Result<Self> {
                let whole = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                match git2::Oid::from_str(text) {
                    Ok(oid) if whole => Ok(Self(oid)),
                    _ => Err(Error::BadId { text: text.chars().take(80).filter(|c| !c.is_control()).collect() }),
                }
            }

            /// The first ten digits, for people.
            pub fn short(&self) -> String {
                self.0.to_string().chars().take(10).collect()
            }

            pub(crate) fn oid(&self) -> git2::Oid {
                self.0
            }
        }

        impl From<git2::Oid> for $name {
            fn from(oid: git2::Oid) -> Self {
                Self(oid)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

object_id!(
    /// A commit's hash.
    CommitId
);
object_id!(
    /// A file content's hash: equal contents have equal ids.
    BlobId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_hashes_are_taken() {
        let text = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(CommitId::parse(text).unwrap().to_string(), text);
        for bad in ["", "0123", "HEAD", &"g".repeat(40), &"0".repeat(64)] {
            assert!(CommitId::parse(bad).is_err(), "{bad}");
        }
    }
}
