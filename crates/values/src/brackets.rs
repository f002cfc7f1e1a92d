//! Where a cursor stands within brackets that are not closed yet.

use std::collections::HashSet;

use crate::key_path::KeyPath;

/// How much behind the cursor is looked at for keys that are there already, in bytes.
const BEHIND: usize = 16 * 1024;

/// What stands at a cursor in brackets.
pub(crate) struct Found {
    /// A key is being written; otherwise a value.
    pub key: bool,
    /// The mapping of the key, or the place of the value.
    pub path: KeyPath,
    /// The letters before the cursor.
    pub typed: String,
    /// The byte of the first of them.
    pub at: usize,
    /// The keys that the mapping has already.
    pub there: HashSet<String>,
}

/// A pair of brackets that is open.
#[derive(Default)]
struct Level {
    list: bool,
    /// The place in a list.
    place: usize,
    /// The key whose value is being written.
    key: Option<String>,
    keys: HashSet<String>,
    /// The first byte of what is being written.
    start: usize,
}

struct Scan<'a> {
    text: &'a str,
    open: Vec<Level>,
    /// The keys of the outermost mapping, once it is closed.
    closed: Option<HashSet<String>>,
}

/// Reads from an opening bracket to a cursor. `None` when the bracket is closed before it; nothing within in a comment.
pub(crate) fn cursor(text: &str, behind: &str, above: &KeyPath) -> Option<Option<Found>> {
    let mut scan = Scan { text, open: Vec::new(), closed: None };
    let commented = scan.run();
    let level = scan.open.last()?;
    if commented {
        return Some(None);
    }
    let written = text.get(level.start..).unwrap_or_default();
    let typed = written.trim_start();
    let at = level.start + (written.len() - typed.len());
    let (_, outer) = scan.open.split_last()?;
    let step = |path: KeyPath, level: &Level| match &level.key {
        _ if level.list => path.index(level.place),
        Some(key) => path.key(key),
        None => path,
    };
    let path = outer.iter().fold(above.clone(), step);
    let key = !level.list && level.key.is_none();
    let (path, typed) = (if key { path } else { step(path, level) }, typed.to_owned());
    let there = if key { scan.rest(behind) } else { HashSet::new() };
    Some(Some(Found { key, path, typed, at, there }))
}

impl Scan<'_> {
    /// Reads until the first bracket is closed; whether the text ends in a comment.
    fn run(&mut self) -> bool {
        let mut letters = self.text.char_indices().peekable();
        let mut before = ' ';
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' | '\'' if self.fresh(at) => {
                    let mut escaped = false;
                    for (_, inner) in letters.by_ref() {
                        if !escaped && inner == letter {
                            break;
                        }
                        escaped = letter == '"' && inner == '\\' && !escaped;
                    }
                }
                '#' if before.is_whitespace() => {
                    let Some((end, _)) = letters.by_ref().find(|(_, inner)| *inner == '\n') else { return true };
                    // What is said before a key is no part of it.
                    if self.fresh(at)
                        && let Some(level) = self.open.last_mut()
                    {
                        level.start = end + 1;
                    }
                }
                '{' | '[' if self.open.is_empty() || self.fresh(at) => {
                    self.open.push(Level { list: letter == '[', start: at + 1, ..Level::default() });
                }
                '}' | ']' => {
                    self.key(at);
                    let level = self.open.pop();
                    if self.open.is_empty() {
                        self.closed = level.map(|level| level.keys);
                        return false;
                    }
                }
                ',' => {
                    self.key(at);
                    if let Some(level) = self.open.last_mut() {
                        (level.key, level.place, level.start) = (None, level.place + 1, at + 1);
                    }
                }
                ':' if letters.peek().is_none_or(|(_, next)| next.is_whitespace()) || matches!(before, '"' | '\'') => {
                    self.key(at);
                }
                _ => {}
            }
            before = letter;
        }
        false
    }

    /// Whether nothing of the present key or value is written yet.
    fn fresh(&self, at: usize) -> bool {
        let start = self.open.last().map_or(at, |level| level.start);
        self.text.get(start..at).is_some_and(|written| written.trim().is_empty())
    }

    /// A key ends here, if one is being written.
    fn key(&mut self, at: usize) {
        let text = self.text;
        let Some(level) = self.open.last_mut().filter(|level| !level.list && level.key.is_none()) else { return };
        let written = text.get(level.start..at).unwrap_or_default().trim();
        let bare = written.trim_matches(['"', '\'']);
        let name = if bare.len() == written.len() { crate::reading::plain_key(bare) } else { bare.to_owned() };
        if !written.is_empty() {
            level.keys.insert(name.clone());
            level.key = Some(name);
        }
        level.start = at + 1;
    }

    /// The keys of the innermost mapping, before the cursor and behind it.
    fn rest(&mut self, behind: &str) -> HashSet<String> {
        let mut keys = self.open.last_mut().map(|level| std::mem::take(&mut level.keys)).unwrap_or_default();
        let most = (0..=BEHIND.min(behind.len())).rev().find(|at| behind.is_char_boundary(*at)).unwrap_or(0);
        // What is being written goes on behind the cursor, up to a comma or a bracket.
        let behind = behind.get(..most).unwrap_or_default();
        let Some(comma) = behind.find([',', '}', '\n']).filter(|at| behind[*at..].starts_with(',')) else {
            return keys;
        };
        let text = format!("{{{}", behind.get(comma + 1..).unwrap_or_default());
        let mut scan = Scan { text: &text, open: Vec::new(), closed: None };
        scan.run();
        let seen = scan.closed.or_else(|| scan.open.into_iter().next().map(|level| level.keys)).unwrap_or_default();
        keys.extend(seen);
        keys
    }
}
