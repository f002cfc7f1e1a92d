//! Where in a YAML text something stands, so that a problem can name its line.
//!
//! A reader of indentation, not a parser: the parser has already accepted the text, and a line that is one off costs a
//! glance, while a second YAML grammar would cost much more.

struct Line<'a> {
    indent: usize,
    key: &'a str,
    value: &'a str,
}

fn lines(text: &str) -> impl Iterator<Item = (usize, Line<'_>)> {
    text.lines().enumerate().filter_map(|(number, raw)| {
        let mut rest = raw.trim_end();
        let mut indent = 0;
        loop {
            let trimmed = rest.trim_start_matches(' ');
            indent += rest.len() - trimmed.len();
            rest = trimmed;
            match rest.strip_prefix("- ") {
                Some(inner) => {
                    indent += 2;
                    rest = inner;
                }
                None => break,
            }
        }
        if rest.is_empty() || rest.starts_with('#') || rest.starts_with("---") {
            return None;
        }
        let (key, value) = match rest.split_once(':') {
            Some((key, value)) if value.is_empty() || value.starts_with(' ') => (key, value.trim()),
            _ => (rest, ""),
        };
        Some((number + 1, Line { indent, key: key.trim().trim_matches(['"', '\'']), value }))
    })
}

/// The 1-based line of a path of mapping keys from the root; the line of its nearest ancestor when a part is written
/// in flow style; `None` when not even the first key is found.
pub fn line_of(text: &str, path: &[&str]) -> Option<usize> {
    let all: Vec<_> = lines(text).collect();
    let mut found = None;
    let mut from = 0;
    let mut level: Option<usize> = None;
    for (depth, key) in path.iter().enumerate() {
        let parent = if depth == 0 { None } else { level };
        let mut here = None;
        let mut child = None;
        for (index, (number, line)) in all.iter().enumerate().skip(from) {
            if parent.is_some_and(|parent| line.indent <= parent) {
                break;
            }
            let child = *child.get_or_insert(line.indent);
            if line.indent == child && line.key == *key {
                here = Some((index, *number, line.indent));
                break;
            }
        }
        let Some((index, number, indent)) = here else { return found };
        found = Some(number);
        from = index + 1;
        level = Some(indent);
    }
    found
}

/// The 1-based line of the first `key: value`.
pub fn line_of_pair(text: &str, key: &str, value: &str) -> Option<usize> {
    lines(text)
        .find(|(_, line)| {
            let written = line.value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
            line.key == key && written == value
        })
        .map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# top\nkind: Workflow\nmetadata:\n  labels:\n    name: x\n  name: real\nspec:\n  templates:\n    - name: \"one\" # c\n      metadata: {labels: {weight: a}}\n";

    #[test]
    fn finds_lines() {
        assert_eq!(line_of(TEXT, &["metadata", "name"]), Some(6));
        assert_eq!(line_of(TEXT, &["metadata", "labels", "name"]), Some(5));
        assert_eq!(line_of(TEXT, &["spec", "schedule"]), Some(7));
        assert_eq!(line_of(TEXT, &["status"]), None);
        assert_eq!(line_of_pair(TEXT, "name", "one"), Some(9));
    }
}
