//! A first values file, made of the chart's defaults.

/// Every character that some YAML reader takes for the end of a line.
const BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// A new values file in which `header` and every line of the chart's defaults is a comment: it changes nothing until a
/// line is uncommented by taking away its `# `. Line ends are those of the defaults.
pub fn create_from_defaults(defaults: &str, header: &str) -> String {
    let line_end = if defaults.contains("\r\n") { "\r\n" } else { "\n" };
    let mut out = String::with_capacity(defaults.len() * 5 / 4 + header.len() + 16);
    for line in lines(header) {
        comment(&mut out, line, line_end);
    }
    if !header.is_empty() && !defaults.is_empty() {
        out.push_str(line_end);
    }
    for line in lines(defaults.trim_start_matches('\u{feff}')) {
        if line.is_empty() { out.push_str(line_end) } else { comment(&mut out, line, line_end) }
    }
    out
}

/// The lines of a text, without their ends and without an empty last one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(at) = rest.find(BREAKS) else { return Some(std::mem::take(&mut rest)) };
        let line = &rest[..at];
        let after = &rest[at..];
        let width = if after.starts_with("\r\n") { 2 } else { after.chars().next().map_or(0, char::len_utf8) };
        rest = &after[width..];
        Some(line)
    })
}

fn comment(out: &mut String, line: &str, line_end: &str) {
    out.push('#');
    if !line.is_empty() {
        out.push(' ');
    }
    // Characters that are not allowed even in a comment would make the whole file unreadable.
    out.extend(
        line.chars()
            .filter(|ch| *ch == '\t' || !(ch.is_control() || matches!(ch, '\u{feff}' | '\u{fffe}' | '\u{ffff}'))),
    );
    out.push_str(line_end);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn defaults_become_comments() {
        assert_eq!(
            create_from_defaults("# Count\nreplicaCount: 1\n\nimage:\n  tag: \"\"\n", "Values of cart in dev"),
            "# Values of cart in dev\n\n# # Count\n# replicaCount: 1\n\n# image:\n#   tag: \"\"\n"
        );
    }

    #[test]
    fn line_ends_are_kept() {
        assert_eq!(create_from_defaults("a: 1\r\nb: 2\r\n", "h"), "# h\r\n\r\n# a: 1\r\n# b: 2\r\n");
    }

    proptest! {
        #[test]
        fn the_file_is_always_an_empty_mapping(defaults in "(\\PC|[\n\r\t\u{85}\u{2028}\u{0}\u{feff}]|a: 1\n){0,80}", header in "(\\PC|[\n\r]){0,30}") {
            let text = create_from_defaults(&defaults, &header);
            prop_assert_eq!(crate::read(&text).unwrap(), serde_json::json!({}));
        }

        #[test]
        fn uncommenting_gives_the_defaults_back(defaults in "([a-z#: -]{1,12}\n|\n){0,20}") {
            let text = create_from_defaults(&defaults, "");
            let back: String = text.lines().map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line))).collect();
            prop_assert_eq!(back, defaults);
        }
    }
}
