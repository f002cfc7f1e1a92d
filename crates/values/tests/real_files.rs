//! Edits of values files as people write them: whatever is set, added or taken away, every byte outside stays.
//!
//! The files in `tests/data` are put together so that each holds what the charts of one school do. To run the same
//! over other files, name a directory of them: `VALUES_FILES=dir cargo test -p pilothouse-values --test real_files`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::PathBuf;

use pilothouse_values::{KeyPath, read, remove_path, set_path};
use serde_json::{Value, json};

fn files() -> Vec<(String, String)> {
    let mut dirs = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data")];
    dirs.extend(std::env::var_os("VALUES_FILES").map(PathBuf::from));
    let mut files = Vec::new();
    for dir in dirs {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path.file_name().unwrap().to_string_lossy().into_owned(), text));
            }
        }
    }
    assert!(files.len() >= 7, "{}", files.len());
    // The same with the line ends of another system, and without the last of them.
    let windows: Vec<_> =
        files[..7].iter().map(|(name, text)| (name.clone(), text.trim_end().replace('\n', "\r\n"))).collect();
    files.extend(windows);
    files.sort();
    files
}

/// Every path of the tree with its value; of a long file only so many that the test stays short.
fn paths(tree: &Value) -> Vec<(KeyPath, Value)> {
    fn walk(value: &Value, path: &KeyPath, out: &mut Vec<(KeyPath, Value)>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let path = path.key(key);
                    out.push((path.clone(), value.clone()));
                    walk(value, &path, out);
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    let path = path.index(index);
                    out.push((path.clone(), value.clone()));
                    walk(value, &path, out);
                }
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(tree, &KeyPath::root(), &mut out);
    out
}

/// The paths to try of one file: all, or some spread over it when it is long.
fn some(text: &str, all: Vec<(KeyPath, Value)>) -> Vec<(KeyPath, Value)> {
    let wanted = std::env::var("VALUES_PATHS").ok().and_then(|count| count.parse().ok()).unwrap_or(120);
    let wanted = if text.len() < 20_000 { all.len() } else { wanted }.max(1);
    let step = all.len().div_ceil(wanted).max(1);
    all.into_iter().step_by(step).collect()
}

/// The number of bytes that two texts share at the beginning and, of the rest, at the end.
fn shared(old: &str, new: &str) -> (usize, usize) {
    let front = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - front;
    let back = old.bytes().rev().zip(new.bytes().rev()).take(most).take_while(|(a, b)| a == b).count();
    (front, back)
}

fn comments(text: &str) -> usize {
    text.lines().filter(|line| line.trim_start().starts_with('#')).count()
}

fn at<'a>(tree: &'a Value, path: &KeyPath) -> Option<&'a Value> {
    use pilothouse_values::Segment;
    path.segments().iter().try_fold(tree, |at, segment| match segment {
        Segment::Key(key) => at.get(key.as_str()),
        Segment::Index(index) => at.get(*index),
    })
}

/// The tree with another value at a path, written here a second time so that the crate does not judge itself.
fn with(tree: &Value, path: &KeyPath, value: Option<Value>) -> Value {
    use pilothouse_values::Segment;
    let mut tree = tree.clone();
    let (last, above) = path.segments().split_last().unwrap();
    let mut at = &mut tree;
    for segment in above {
        at = match segment {
            Segment::Key(key) => &mut at[key.as_str()],
            Segment::Index(index) => &mut at[*index],
        };
    }
    match (last, value) {
        (Segment::Key(key), Some(value)) => at[key.as_str()] = value,
        (Segment::Index(index), Some(value)) => at[*index] = value,
        (Segment::Key(key), None) => {
            at.as_object_mut().unwrap().shift_remove(key);
        }
        (Segment::Index(index), None) => {
            at.as_array_mut().unwrap().remove(*index);
        }
    }
    tree
}

/// The refused share of all tries must be small; a refusal changes nothing, so it is safe, but of no use.
#[derive(Default)]
struct Tally {
    done: usize,
    refused: Vec<String>,
}

impl Tally {
    fn refuse(&mut self, name: &str, path: &KeyPath, error: &pilothouse_values::Error) {
        // What an alias or a merge key brings in stands on no line of its own; it is right to refuse it.
        if name != "anchors.yaml" {
            self.refused.push(format!("{name} {path}: {error}"));
        }
    }

    fn judge(&self, what: &str) {
        eprintln!("{what}: {} done, {} refused", self.done, self.refused.len());
        for refused in self.refused.iter().take(30) {
            eprintln!("  {refused}");
        }
        assert!(self.done > 100);
        assert!(self.refused.len() * 50 <= self.done, "{} of {} refused", self.refused.len(), self.done);
    }
}

#[test]
fn every_scalar_can_be_set_and_nothing_else_changes() {
    let mut tally = Tally::default();
    for (name, text) in files() {
        let tree = read(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let scalars = paths(&tree).into_iter().filter(|(_, value)| !value.is_object() && !value.is_array()).collect();
        for (number, (path, old)) in some(&text, scalars).into_iter().enumerate() {
            let new_value = match number % 6 {
                0 => json!("changed"),
                1 => json!(4711),
                2 => json!("no"),
                3 => json!("1.10"),
                4 => json!({"one": {"two": ["x", "y"]}}),
                _ => json!("line one\nline two: #\n"),
            };
            assert_ne!(new_value, old);
            match set_path(&text, &path, &new_value) {
                Err(error) => tally.refuse(&name, &path, &error),
                Ok(new) => {
                    tally.done += 1;
                    assert_eq!(read(&new).unwrap(), with(&tree, &path, Some(new_value.clone())), "{name} {path}");
                    assert!(comments(&new) >= comments(&text) - old.as_str().map_or(0, comments), "{name} {path}");
                    if number % 6 < 4 {
                        // One place differs, and it lies on the lines of the old value.
                        let (front, back) = shared(&text, &new);
                        // A folded scalar has more lines than its value.
                        let folded = text.contains(": >") || text.contains(": \"");
                        let old_lines =
                            old.as_str().map_or(0, |old| old.matches('\n').count() + 6 * usize::from(folded));
                        let gone = String::from_utf8_lossy(&text.as_bytes()[front..text.len() - back]).into_owned();
                        assert!(gone.matches('\n').count() <= old_lines, "{name} {path}: {gone:?}");
                    }
                }
            }
        }
    }
    tally.judge("set");
}

#[test]
fn a_scalar_set_back_gives_the_same_meaning_and_every_other_line() {
    let mut tally = Tally::default();
    for (name, text) in files() {
        let tree = read(&text).unwrap();
        let scalars = paths(&tree).into_iter().filter(|(_, value)| value.is_string() || value.is_number()).collect();
        for (path, old) in some(&text, scalars) {
            let Ok(changed) = set_path(&text, &path, &json!(99)) else { continue };
            let back = set_path(&changed, &path, &old).unwrap_or_else(|error| panic!("{name} {path}: {error}"));
            tally.done += 1;
            assert_eq!(read(&back).unwrap(), tree, "{name} {path}");
            let (front, _) = shared(&text, &changed);
            let front = front.min(back.len());
            assert_eq!(&back.as_bytes()[..front], &text.as_bytes()[..front], "{name} {path}");
        }
    }
    tally.judge("set back");
}

#[test]
fn a_key_is_added_to_every_mapping_and_every_line_stays() {
    let mut tally = Tally::default();
    for (name, text) in files() {
        let tree = read(&text).unwrap();
        let mut mappings: Vec<_> = paths(&tree)
            .into_iter()
            .filter(|(_, value)| value.as_object().is_some_and(|map| !map.is_empty()))
            .collect();
        mappings.push((KeyPath::root(), tree.clone()));
        for (number, (path, _)) in some(&text, mappings).into_iter().enumerate() {
            let added = path.key("addedByTest");
            let (target, value) = match number % 3 {
                0 => (added.clone(), json!("12:30")),
                1 => (added.key("deep").key("er"), json!(true)),
                _ => (added.clone(), json!([{"a": 1}, "b"])),
            };
            match set_path(&text, &target, &value) {
                Err(error) => tally.refuse(&name, &target, &error),
                Ok(new) => {
                    tally.done += 1;
                    let (front, back) = shared(&text, &new);
                    assert_eq!(front + back, text.len(), "{name} {target}");
                    let expected = if number % 3 == 1 { json!({"deep": {"er": true}}) } else { value };
                    assert_eq!(read(&new).unwrap(), with(&tree, &added, Some(expected)), "{name} {target}");
                    assert_eq!(text.ends_with('\n'), new.ends_with('\n'), "{name} {target}");
                }
            }
        }
    }
    tally.judge("add");
}

#[test]
fn every_key_can_be_taken_away_and_no_other_line_changes() {
    let mut tally = Tally::default();
    for (name, text) in files() {
        let tree = read(&text).unwrap();
        for (path, _) in some(&text, paths(&tree)) {
            match remove_path(&text, &path) {
                Err(error) => tally.refuse(&name, &path, &error),
                Ok(new) => {
                    tally.done += 1;
                    assert_eq!(read(&new).unwrap(), with(&tree, &path, None), "{name} {path}");
                    let parent = path.parent().unwrap();
                    let alone = at(&read(&new).unwrap(), &parent)
                        .is_some_and(|one| one.as_object().is_some_and(|m| m.is_empty()) || *one == json!([]));
                    if !alone {
                        // What is gone is one stretch of the text.
                        let (front, back) = shared(&text, &new);
                        assert_eq!(front + back, new.len(), "{name} {path}");
                    }
                }
            }
        }
    }
    tally.judge("remove");
}
