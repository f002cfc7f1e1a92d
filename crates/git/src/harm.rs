//! Names that are harmless in Git and do harm on somebody's disk.
//!
//! Nothing here touches a disk: the names come from tree objects and go to the screen. Whoever checks the repository
//! out elsewhere is the one who is warned.

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use crate::repo_path::{DEVICES, printable};

/// How a name could do harm where somebody checks the repository out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Harm {
    /// Another entry of the folder differs by case only: on macOS and Windows one hides the other.
    CaseTwin,
    /// Another entry of the folder is the same text in another Unicode form: on macOS one hides the other.
    FormTwin,
    /// Windows keeps the name for a device.
    WindowsDevice,
    /// Windows drops a dot or space at the end, so that the name becomes another one.
    TrailingDotOrSpace,
    /// It holds a character that Windows refuses or reads as something else, such as `:`, `*` or a backslash.
    WindowsCharacter,
    /// It holds control characters.
    Control,
    /// It holds characters that cannot be seen, or that turn the direction of text.
    Invisible,
    /// It is not UTF-8.
    NotUtf8,
    /// It is `.`, `..` or empty, or holds a slash: it leads out of its folder.
    Escapes,
    /// Some disk reads it as `.git`, or as another name that Git keeps for itself.
    GitOwn,
    /// It is longer than 255 bytes, which most disks refuse.
    TooLong,
    /// It is a link that points out of the repository.
    LinkEscapes,
}

/// What is wrong with one name, by itself.
pub(crate) fn of_name(name: &[u8], link: bool) -> Vec<Harm> {
    let mut harms = Vec::new();
    let mut note = |harm, found: bool| {
        if found {
            harms.push(harm);
        }
    };
    note(Harm::Escapes, matches!(name, b"" | b"." | b"..") || name.contains(&b'/'));
    note(Harm::NotUtf8, std::str::from_utf8(name).is_err());
    note(Harm::TooLong, name.len() > 255);
    let text = String::from_utf8_lossy(name);
    note(Harm::Control, text.chars().any(char::is_control));
    note(Harm::Invisible, text.chars().any(|c| hfs_ignores(c) || turns(c)));
    note(Harm::WindowsCharacter, text.contains(['\\', ':', '*', '?', '"', '<', '>', '|']));
    note(Harm::TrailingDotOrSpace, !matches!(name, b"." | b"..") && text.ends_with(['.', ' ']));
    let bare = bare(&text);
    let stem = bare.split('.').next().unwrap_or_default().trim_end();
    note(Harm::WindowsDevice, DEVICES.contains(&stem));
    note(Harm::GitOwn, git_own(&text, &bare, link));
    harms
}

/// The name as the most forgiving disk reads it: without what HFS+ ignores, without a stream's name and trailing dots
/// and spaces as on NTFS, in small letters.
fn bare(text: &str) -> String {
    let seen: String = text.chars().filter(|c| !hfs_ignores(*c)).collect();
    let before_stream = match seen.split_once(':') {
        Some((before, _)) if !before.is_empty() => before,
        _ => &seen,
    };
    before_stream.trim_end_matches(['.', ' ']).to_lowercase()
}

/// `.git` in any disguise; Git's other files only in disguise or as links, since the plain files are ordinary.
fn git_own(text: &str, bare: &str, link: bool) -> bool {
    if bare == ".git" || short_name_of(bare, "git") {
        return true;
    }
    [".gitmodules", ".gitattributes", ".gitignore", ".mailmap"].iter().any(|own| {
        let stem = own.trim_start_matches('.').get(..6).unwrap_or_default();
        (bare == *own && (text != *own || link)) || short_name_of(bare, stem)
    })
}

/// Whether `bare` is the short name that Windows gives to a longer one: `git~1`, `gitmod~2`.
fn short_name_of(bare: &str, stem: &str) -> bool {
    bare.strip_prefix(stem).and_then(|rest| rest.strip_prefix('~')).is_some_and(|n| matches!(n, "1" | "2" | "3" | "4"))
}

/// Characters that HFS+ ignores when it compares names.
fn hfs_ignores(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// Further characters without a shape, or with power over their neighbours.
fn turns(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{2060}'..='\u{2069}' | '\u{ad}')
}

/// Whether a link's target lies outside, whatever folder the link is in: absolute, with a drive, or upwards further
/// than downwards. A link that climbs and stays inside is counted as leaving: only its folder's depth could tell, and
/// a warning too many is cheap.
pub(crate) fn escapes(target: &[u8]) -> bool {
    let text = String::from_utf8_lossy(target).replace('\\', "/");
    let drive = text.as_bytes().get(1) == Some(&b':');
    text.starts_with('/') || drive || text.split('/').any(|part| part == "..")
}

/// The name as a disk that ignores case and Unicode form compares it.
///
/// Each character is folded by itself, through its capital to its small letter: NTFS and APFS compare that way, one
/// character to one, and never fold `ß` to `ss` as full case folding would. Going through the capital joins letters
/// with two small forms (`ſ` and `s`, `ς` and `σ`). Where the two disagree in details, this joins more than either:
/// at worst somebody is warned of a clash that only another disk would have.
pub(crate) fn folded(name: &[u8]) -> Vec<u8> {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let Ok(text) = std::str::from_utf8(name) else { return name.to_vec() };
    let one = |c: char| {
        let mut capital = c.to_uppercase();
        match (capital.next(), capital.next()) {
            (Some(capital), None) => capital.to_lowercase().next().unwrap_or(c),
            _ => c.to_lowercase().next().unwrap_or(c),
        }
    };
    text.nfd().filter(|c| !hfs_ignores(*c)).map(one).nfc().collect::<String>().into_bytes()
}

/// The name in composed form, which macOS takes for the same name as the decomposed one.
pub(crate) fn composed(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(text) if !name.is_ascii() => text.nfc().filter(|c| !hfs_ignores(*c)).collect::<String>().into_bytes(),
        _ => name.to_vec(),
    }
}

impl std::fmt::Display for Harm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&printable(&format!("{self:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_do_no_harm() {
        for good in ["a", "cart-values.yaml", ".gitignore", ".gitmodules", ".github", "console.yaml", "ü.yaml", "..x"]
        {
            assert_eq!(of_name(good.as_bytes(), false), [], "{good}");
        }
    }

    #[test]
    fn each_harm_is_named() {
        let cases: &[(&[u8], Harm)] = &[
            (b"..", Harm::Escapes),
            (b"a/b", Harm::Escapes),
            (b"CON", Harm::WindowsDevice),
            (b"NUL.yaml", Harm::WindowsDevice),
            (b"com1 .txt", Harm::WindowsDevice),
            (b"x.", Harm::TrailingDotOrSpace),
            (b"x ", Harm::TrailingDotOrSpace),
            (b"a\\b", Harm::WindowsCharacter),
            (b"a\x1bb", Harm::Control),
            ("a\u{202e}b".as_bytes(), Harm::Invisible),
            (b"\xff", Harm::NotUtf8),
            (&[b'n'; 300], Harm::TooLong),
            (b".git", Harm::GitOwn),
            (b".GIT", Harm::GitOwn),
            (b"git~1", Harm::GitOwn),
            (b".git. ", Harm::GitOwn),
            (b".git::$INDEX_ALLOCATION", Harm::GitOwn),
            (".gi\u{200c}t".as_bytes(), Harm::GitOwn),
            (b".GITMODULES", Harm::GitOwn),
            (b"gitmod~1", Harm::GitOwn),
        ];
        for (name, harm) in cases {
            assert!(of_name(name, false).contains(harm), "{:?} {harm}", String::from_utf8_lossy(name));
        }
        assert_eq!(of_name(b".gitmodules", true), [Harm::GitOwn]);
    }

    #[test]
    fn twins_meet() {
        let same = |a: &str, b: &str| folded(a.as_bytes()) == folded(b.as_bytes());
        assert!(same("Dev", "dev") && same("É", "e\u{301}") && same("ſ", "S") && same("ΣΑΣ", "σας") && same("K", "k"));
        assert!(!same("straße", "strasse") && !same("a", "b"));
        assert_eq!(composed("e\u{301}".as_bytes()), composed("é".as_bytes()));
    }

    #[test]
    fn links_outwards_are_seen() {
        for bad in ["/etc/passwd", "../../x", "a/../../b", "C:\\x", "..\\x"] {
            assert!(escapes(bad.as_bytes()), "{bad}");
        }
        assert!(!escapes(b"dev/values.yaml") && !escapes(b"..x"));
    }
}
