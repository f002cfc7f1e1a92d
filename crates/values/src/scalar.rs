//! Scalars as Helm reads them.
//!
//! Helm goes through sigs.k8s.io/yaml and so through go-yaml's YAML 1.1 rules: an unquoted `no` is false and
//! `017` is fifteen, where YAML 1.2 readers see strings. Files are read here the way Helm reads them.

use serde_json::Value;

/// The boolean an unquoted word means to Helm (go-yaml v2, resolve.go), if any.
pub(crate) fn bool_word(plain: &str) -> Option<bool> {
    match plain {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// Whether the word is a boolean to Helm but not to a YAML 1.2 reader.
pub(crate) fn surprising_bool(plain: &str) -> Option<bool> {
    match plain {
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => None,
        other => bool_word(other),
    }
}

/// The number an unquoted word means to Helm where it is written in an unexpected base or with underscores:
/// `017`, `0o17`, `0x1f`, `0b11`, `1_000`.
pub(crate) fn surprising_integer(plain: &str) -> Option<i64> {
    let (sign, digits) = match plain.as_bytes().first()? {
        b'-' => (-1, &plain[1..]),
        b'+' => (1, &plain[1..]),
        _ => (1, plain),
    };
    if !digits.starts_with(|ch: char| ch.is_ascii_digit()) || digits.ends_with('_') {
        return None;
    }
    let bare: String = digits.chars().filter(|ch| *ch != '_').collect();
    let lower = bare.to_ascii_lowercase();
    let (radix, body) = if let Some(body) = lower.strip_prefix("0x") {
        (16, body)
    } else if let Some(body) = lower.strip_prefix("0o") {
        (8, body)
    } else if let Some(body) = lower.strip_prefix("0b") {
        (2, body)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else if bare.len() != digits.len() {
        (10, lower.as_str())
    } else {
        return None;
    };
    if body.is_empty() || body.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(body, radix).ok().map(|number| sign * number)
}

/// Whether an unquoted word is a float in exponent form (`1e3`), a frequent accident with commit ids and tags.
pub(crate) fn exponent(plain: &str) -> bool {
    let body = plain.trim_start_matches(['+', '-']);
    let Some((mantissa, power)) = body.split_once(['e', 'E']) else { return false };
    let power = power.trim_start_matches(['+', '-']);
    !power.is_empty()
        && power.bytes().all(|b| b.is_ascii_digit())
        && mantissa.bytes().any(|b| b.is_ascii_digit())
        && mantissa.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && mantissa.matches('.').count() <= 1
}

/// Whether an unquoted word is a sexagesimal number to strict YAML 1.1 readers (`12:30:45`).
pub(crate) fn sexagesimal(plain: &str) -> bool {
    let body = plain.trim_start_matches(['+', '-']);
    body.contains(':')
        && body.split(':').count() >= 2
        && body.split(':').enumerate().all(|(place, part)| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_digit())
                && (place == 0 || (part.len() <= 2 && part.parse::<u8>().is_ok_and(|n| n < 60)))
        })
}

/// The number an unquoted `1.10` comes to when its last zero is lost (`1.1`): a frequent accident with versions.
pub(crate) fn trailing_zero(plain: &str) -> Option<f64> {
    let body = plain.trim_start_matches(['+', '-']);
    let (whole, part) = body.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (digits(whole) && digits(part) && part.ends_with('0') && part != "0").then(|| plain.parse().ok()).flatten()
}

/// Whether an unquoted whole number has more digits than a 64-bit float keeps; Helm goes through JSON.
pub(crate) fn rounded(plain: &str) -> bool {
    let body = plain.trim_start_matches(['+', '-']);
    !body.is_empty()
        && body.bytes().all(|b| b.is_ascii_digit())
        && !body.starts_with('0')
        && body.parse::<u64>().map_or(true, |number| number > 1 << 53)
}

/// Whether an unquoted word is an infinity or no number at all, which Helm cannot put into JSON.
pub(crate) fn not_json(plain: &str) -> bool {
    let body = plain.trim_start_matches(['+', '-']);
    matches!(body, ".inf" | ".Inf" | ".INF") || matches!(plain, ".nan" | ".NaN" | ".NAN")
}

/// Whether a string must be quoted so that every reader, of YAML 1.1 or 1.2, gets a string back.
fn needs_quotes(text: &str) -> bool {
    let plain_safe = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '_' | '-' | '.' | '/' | '@' | '+' | '=');
    let Some(first) = text.chars().next() else { return true };
    let words_only =
        text.split(' ').all(|word| !word.is_empty() && word.chars().all(plain_safe)) && !text.ends_with(' ');
    !words_only
        || !(first.is_ascii_alphabetic() || matches!(first, '/' | '_'))
        || bool_word(text).is_some()
        || matches!(text, "null" | "Null" | "NULL" | "y" | "n" | "nan" | "NaN" | "inf" | "Inf")
}

/// A double-quoted YAML scalar on one line that reads back as exactly `text`.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for ch in text.chars() {
        match ch {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(ch)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A value in flow style, on one line.
pub fn inline(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if needs_quotes(text) => quoted(text),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", inline(&Value::String(key.clone())), inline(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helm_words() {
        assert_eq!(surprising_bool("no"), Some(false));
        assert_eq!(surprising_bool("on"), Some(true));
        assert_eq!(surprising_bool("y"), Some(true));
        assert_eq!(surprising_bool("true"), None);
        assert_eq!(surprising_bool("nope"), None);
        for (text, number) in [("017", 15), ("0o17", 15), ("0x1F", 31), ("0b11", 3), ("1_000", 1000), ("-017", -15)] {
            assert_eq!(surprising_integer(text), Some(number), "{text}");
        }
        for text in ["17", "0", "089", "0x", "1.0", "_1", "1_", "abc", "", "0.5", "0_"] {
            assert_eq!(surprising_integer(text), None, "{text}");
        }
        assert!(exponent("1e3") && exponent("12E-4") && exponent("1.5e3") && !exponent("e3") && !exponent("1e3a"));
        assert!(sexagesimal("12:30:45") && sexagesimal("22:22") && !sexagesimal("22:99") && !sexagesimal("a:b"));
    }

    #[test]
    fn strings_keep_their_type() {
        for text in [
            "no", "", "1", "0.1.0", "a: b", "#x", "x #y", "null", "~", "- a", "é", "a\nb", " a", "a ", "{{ x }}", "*a",
            "&a", "NaN", "=", "0x1",
        ] {
            let written = inline(&Value::String(text.to_owned()));
            let read: serde_yaml::Value = serde_yaml::from_str(&format!("k: {written}")).unwrap();
            assert_eq!(read["k"].as_str(), Some(text), "{written}");
        }
        assert_eq!(inline(&Value::String("info".into())), "info");
        assert_eq!(inline(&Value::String("no".into())), "\"no\"");
        assert_eq!(inline(&serde_json::json!({"a": [1, "x"], "b": {}})), "{a: [1, x], b: {}}");
    }
}
