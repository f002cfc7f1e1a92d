//! Values that look like secrets written in clear text.

use crate::diagnostics::{Diagnostic, Severity};
use crate::key_path::Segment;
use crate::outline::{Entry, Outline, Shape, Style};
use crate::places::Lines;

/// Ends of key names (without `-` and `_`, lower-cased) under which a secret is usually kept.
const NAMES: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secretkey",
    "token",
    "apikey",
    "privatekey",
    "accesskey",
    "credentials",
    "connectionstring",
];

/// Beginnings by which issued tokens are known.
const MARKS: [&str; 12] =
    ["ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA", "ASIA", "sk_live_", "ATATT3", "npm_"];

/// Says so when an entry looks like a secret in clear text. The words never hold the value.
pub(crate) fn suspect(text: &str, lines: &Lines<'_>, outline: &Outline, index: usize) -> Option<Diagnostic> {
    let entry = outline.entries.get(index)?;
    if !matches!(entry.shape, Shape::Scalar(_)) {
        return None;
    }
    let range = entry.value.clone()?;
    let written = text.get(range.clone())?;
    let value = written.trim_matches(['"', '\'']);
    let why = if written.contains("PRIVATE KEY-----") {
        "This is a private key"
    } else if issued(value) {
        "This looks like an issued access token"
    } else if named(entry) && looks_real(value, entry) {
        "This looks like a secret in clear text"
    } else {
        return None;
    };
    let message = format!(
        "{why}: everyone who can read the repository can read `{}`. Keep it in a Kubernetes Secret and name the Secret here.",
        outline.path(index)
    );
    let finding = Diagnostic::at(lines, range.start, Severity::Warning, "clear-text-secret", message);
    Some(finding.about(outline.path(index)))
}

fn issued(value: &str) -> bool {
    let one_word = value.len() >= 20 && value.len() <= 4096 && value.chars().all(|ch| ch.is_ascii_graphic());
    let web_token = value.starts_with("eyJ") && value.matches('.').count() == 2;
    one_word && (web_token || MARKS.iter().any(|mark| value.starts_with(mark)))
}

fn named(entry: &Entry) -> bool {
    let Segment::Key(key) = &entry.segment else { return false };
    let key: String = key.chars().filter(|ch| ch.is_alphanumeric()).collect::<String>().to_lowercase();
    NAMES.iter().any(|name| key.ends_with(name))
}

/// Not empty, not a template, not a placeholder, not a switch, and not the name of something.
fn looks_real(value: &str, entry: &Entry) -> bool {
    let lower = value.to_lowercase();
    let placeholder = ["changeme", "change-me", "example", "placeholder"].iter().any(|word| lower.contains(word));
    let word = matches!(lower.as_str(), "todo" | "none" | "null" | "true" | "false");
    let reference = value.contains("{{") || value.starts_with(['$', '<']);
    let number = entry.shape == Shape::Scalar(Style::Plain) && value.parse::<f64>().is_ok();
    let short = value.chars().count() < 4;
    !(placeholder || word || reference || number || short)
}

#[cfg(test)]
mod tests {
    use crate::diagnose;

    fn suspected(text: &str) -> bool {
        let found = diagnose(text);
        found.iter().any(|finding| finding.code == "clear-text-secret")
    }

    #[test]
    fn secrets_are_suspected() {
        for text in [
            "db:\n  password: hunter22\n",
            "API_TOKEN: \"abcd1234\"\n",
            "x: ghp_012345678901234567890123456789012345\n",
            "key: |\n  -----BEGIN OPENSSH PRIVATE KEY-----\n  abc\n",
            "aws: AKIA0123456789ABCDEF\n",
        ] {
            assert!(suspected(text), "{text}");
        }
    }

    #[test]
    fn names_and_placeholders_are_not() {
        for text in [
            "password: \"\"\n",
            "password: changeme\n",
            "password: {{ .Values.x }}\n",
            "existingSecretName: db\n",
            "secretName: db\n",
            "automountServiceAccountToken: true\n",
            "maxTokens: 4000\n",
            "secret:\n  name: db\n",
        ] {
            assert!(!suspected(text), "{text}");
        }
    }

    #[test]
    fn the_value_is_never_repeated() {
        let found = diagnose("password: hunter22\n");
        assert!(!found[0].message.contains("hunter22"));
    }
}
