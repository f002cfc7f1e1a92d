//! What the comments of a chart's defaults say about its keys.

use std::collections::HashMap;

use crate::key_path::KeyPath;
use crate::outline::Outline;
use crate::writing::{line_start, line_stop};

/// The longest description that is kept, in bytes.
const LONGEST: usize = 2_000;

/// The description of each key: `## @param path text` wherever it stands, else the comment right above the key, else
/// the comment behind it.
pub(crate) fn descriptions(text: &str, outline: &Outline) -> HashMap<KeyPath, String> {
    let mut found = HashMap::new();
    let lines: Vec<&str> = text.lines().collect();
    let starts: Vec<usize> = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    for (index, entry) in outline.entries.iter().enumerate() {
        if entry.key_style.is_none() {
            continue;
        }
        let line = starts.partition_point(|start| *start <= entry.key.start).saturating_sub(1);
        let indent = entry.key.start - line_start(text, entry.key.start);
        let mut above: Vec<&str> = Vec::new();
        let mut size = 0;
        for comment in lines.get(..line).unwrap_or_default().iter().rev() {
            // Deeper comments above are examples of the value before.
            let lead = comment.len() - comment.trim_start().len();
            if !comment.trim_start().starts_with('#') || lead > indent || size > LONGEST {
                break;
            }
            size += comment.len();
            above.push(comment);
        }
        above.reverse();
        let mut words = said(&above);
        if words.is_empty() {
            let behind = text.get(entry.end..line_stop(text, entry.end)).unwrap_or_default().trim();
            words = behind
                .strip_prefix('#')
                .map(|words| words.trim_start_matches('#').trim().to_owned())
                .unwrap_or_default();
        }
        if !words.is_empty() {
            found.insert(outline.path(index), shortened(words));
        }
    }
    for line in lines.iter().filter(|line| line.trim_start().starts_with('#')) {
        let Some((_, rest)) = line.split_once("@param ") else { continue };
        let Some((path, words)) = rest.trim().split_once(' ') else { continue };
        let words = words.trim();
        let words = match words.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
            Some((_, words)) => words.trim(),
            None => words,
        };
        if let Ok(path) = KeyPath::parse(path) {
            found.insert(path, shortened(words.to_owned()));
        }
    }
    found
}

fn shortened(mut words: String) -> String {
    if words.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| words.is_char_boundary(*at)).unwrap_or(0);
        words.truncate(end);
        words.push('…');
    }
    words
}

/// The words of a comment of several lines. Where a `# --` begins, what stands before it belongs to something else.
fn said(lines: &[&str]) -> String {
    let bare = |line: &&str| line.trim_start().trim_start_matches('#').trim().to_owned();
    let mut words: Vec<String> = lines.iter().map(bare).collect();
    if let Some(at) = words.iter().rposition(|line| line.starts_with("--")) {
        words.drain(..at);
    }
    words
        .iter()
        .map(|line| line.strip_prefix("--").unwrap_or(line).trim())
        .filter(|line| !line.starts_with('@') && line.chars().any(char::is_alphanumeric))
        .collect::<Vec<_>>()
        .join("\n")
}
