//! Paths inside a repository.

use std::fmt;

use serde::Serialize;

use crate::error::{Error, Result};

/// A checked path of a file inside a repository: relative, with `/` between components, safe on every file system
/// somebody may check it out on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RepoPath(String);

/// Names Windows gives to devices, whatever the extension.
pub(crate) const DEVICES: [&str; 24] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2",
    "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "conin$", "conout$",
];

impl RepoPath {
    /// The longest path, in bytes.
    pub const MAX: usize = 4096;
    /// The longest component, in bytes.
    pub const MAX_COMPONENT: usize = 255;
    /// The most components.
    pub const MAX_DEPTH: usize = 64;

    /// Checks `text`; [`Error::BadPath`] says which component is wrong and why.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::BadPath { path: printable(text), why: why.to_owned() };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if text.len() > Self::MAX {
            return Err(bad("it is longer than 4096 bytes"));
        }
        if text.split('/').count() > Self::MAX_DEPTH {
            return Err(bad("it has more than 64 folders"));
        }
        for component in text.split('/') {
            if let Some(why) = flaw(component) {
                return Err(bad(why));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for RepoPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for RepoPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// Why one component may not be used, if so.
pub(crate) fn flaw(component: &str) -> Option<&'static str> {
    if component.is_empty() {
        return Some("a component is empty");
    }
    if component == "." || component == ".." {
        return Some("it steps out of the repository");
    }
    if component.len() > RepoPath::MAX_COMPONENT {
        return Some("a component is longer than 255 bytes");
    }
    if component.chars().any(|c| c.is_control() || ignorable(c)) {
        return Some("it holds control or invisible characters");
    }
    if component.contains(['\\', ':', '*', '?', '"', '<', '>', '|']) {
        return Some("it holds a character that some file systems refuse");
    }
    if component.starts_with(' ') || component.ends_with([' ', '.']) {
        return Some("a component starts with a space, or ends with a space or a dot");
    }
    let lower = component.to_lowercase();
    if lower == ".git" || lower == "git~1" || lower == ".gitmodules" || lower == "gitmod~1" {
        return Some("Git keeps that name for itself");
    }
    let stem = lower.split('.').next().unwrap_or_default().trim_end();
    if DEVICES.contains(&stem) {
        return Some("Windows keeps that name for a device");
    }
    None
}

/// Characters that HFS+ ignores when it compares names, and those that turn the direction of text.
fn ignorable(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A hostile name in a form that is safe to show: control and direction characters escaped, at most 200 characters.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(200) {
        if c.is_control() || ignorable(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_pass() {
        for good in
            ["a", "storefront/dev/cart-values.yaml", ".github/x", "a b/ü.yaml", "console.yaml", "x..y/.gitignore"]
        {
            assert_eq!(RepoPath::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(RepoPath::parse("a/b/c.yaml").unwrap().file_name(), "c.yaml");
    }

    #[test]
    fn hostile_paths_do_not() {
        let long = "x".repeat(256);
        let deep = "a/".repeat(70) + "b";
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../x",
            "a/../b",
            "a/./b",
            ".git",
            "a/.GIT/hooks",
            "git~1",
            "GIT~1/x",
            ".git\u{200c}/x",
            ".gitmodules",
            ".git ",
            ".git.",
            ".git::$INDEX_ALLOCATION",
            "a\\b",
            "a:b",
            "a\nb",
            "a\0b",
            "CON",
            "nul.yaml",
            "Com1.txt",
            "con .x",
            " a",
            "a ",
            "a.",
            "a\u{202e}b",
            &long,
            &deep,
        ] {
            assert!(RepoPath::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_message_does_not_carry_the_control_characters() {
        let text = RepoPath::parse("a\u{1b}[31m\u{202e}x").unwrap_err().to_string();
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn what_passes_is_relative_and_clean(text in "\\PC{0,40}") {
            if let Ok(path) = RepoPath::parse(&text) {
                let depth = path.components().filter(|c| *c != ".." && *c != "." && !c.is_empty()).count();
                assert_eq!(depth, path.components().count());
            }
        }
    }
}
