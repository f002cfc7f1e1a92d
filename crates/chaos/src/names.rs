//! Names and digests: what may be called what in Git, in the cluster and in labels.

use pilothouse_cluster::Subdomain;
use sha2::{Digest, Sha256};

/// Label on everything a run creates: the chaos project.
pub const PROJECT_LABEL: &str = "pilothouse.dev/project";
/// Label on everything a run creates: the chaos workflow.
pub const WORKFLOW_LABEL: &str = "pilothouse.dev/workflow";
/// Label on a run that a trigger started: the trigger.
pub const TRIGGER_LABEL: &str = "pilothouse.dev/trigger";
/// Label on everything a run creates: the run's own name.
pub const RUN_LABEL: &str = "pilothouse.dev/run";

/// The name of the Lease under which a project is kept in step with Git, by an app or by the agent.
pub fn sync_lease(project: &str) -> String {
    format!("pilothouse-sync-{project}")
}

/// Lower-case hex SHA-256 of a text.
pub fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)] as char);
        out.push(DIGITS[usize::from(byte & 15)] as char);
    }
    out
}

/// The first eight hex digits of a text's digest.
pub fn short_digest(text: &str) -> String {
    digest(text)[..8].to_owned()
}

/// Why a text is not a label value, or `None` when it is.
pub fn label_value_fault(text: &str) -> Option<&'static str> {
    if text.contains("{{") {
        return Some("the API server does not fill in templates inside labels");
    }
    if text.len() > 63 {
        return Some("it is longer than 63 characters");
    }
    let edge = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if inner && edge(text.bytes().next()) && edge(text.bytes().last()) {
        None
    } else {
        Some("use letters, digits, '-', '_' and '.', beginning and ending with a letter or digit")
    }
}

/// A label value for any name: the name itself when it fits, else its beginning and a digest.
pub fn label_value(text: &str) -> String {
    if label_value_fault(text).is_none() {
        return text.to_owned();
    }
    let kept: String =
        text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).take(54).collect();
    let kept = kept.trim_matches(['-', '_', '.']);
    if kept.is_empty() { short_digest(text) } else { format!("{kept}-{}", short_digest(text)) }
}

/// Whether Kubernetes takes a text as an object's name.
pub fn is_object_name(text: &str) -> bool {
    Subdomain::parse("name", text).is_ok()
}

/// The name of the `ChaosWorkflow` object of a workflow: `<project>-<workflow>`, or with a digest where that is no
/// object name. Two workflows may still ask for one name (`a-b` + `c`, `a` + `b-c`): see [`object_name_hashed`].
pub fn object_name(project: &str, workflow: &str) -> String {
    let plain = format!("{project}-{workflow}");
    if is_object_name(&plain) { plain } else { object_name_hashed(project, workflow) }
}

/// The name of the `ChaosWorkflow` object where the plain name is taken or cannot be used.
pub fn object_name_hashed(project: &str, workflow: &str) -> String {
    let hash = digest(&format!("{project}/{workflow}"));
    dns_name(&[project, workflow], &hash[..10], 253)
}

/// A name for a run that a person starts: the workflow's name, cut to fit, and a suffix (lower-case letters and
/// digits; a moment or a digest). At most 63 characters, so that it also fits a label.
pub fn run_name(workflow: &str, suffix: &str) -> String {
    dns_name(&[workflow], suffix, 63)
}

fn dns_name(parts: &[&str], suffix: &str, limit: usize) -> String {
    let mut stem = String::new();
    for part in parts {
        for c in part.to_ascii_lowercase().chars() {
            let c = if c.is_ascii_alphanumeric() { c } else { '-' };
            if !(c == '-' && (stem.is_empty() || stem.ends_with('-'))) {
                stem.push(c);
            }
        }
        if !stem.is_empty() && !stem.ends_with('-') {
            stem.push('-');
        }
    }
    stem.truncate(limit.saturating_sub(suffix.len() + 1));
    let stem = stem.trim_matches('-');
    if stem.is_empty() { format!("run-{suffix}") } else { format!("{stem}-{suffix}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values() {
        for good in ["", "a", "A.b_c-1", "10"] {
            assert_eq!(label_value_fault(good), None, "{good}");
        }
        for bad in ["-a", "a-", "a b", "{{workflow.parameters.x}}_y", &"a".repeat(64)] {
            assert!(label_value_fault(bad).is_some(), "{bad}");
            assert_eq!(label_value_fault(&label_value(bad)), None, "{bad}");
        }
    }

    #[test]
    fn object_names_are_names_and_run_names_fit_a_label() {
        assert_eq!(object_name("shop", "kill-cart"), "shop-kill-cart");
        for workflow in ["Foo_Bar.yml", "-", "ü", &"x".repeat(300)] {
            assert!(is_object_name(&object_name("shop", workflow)), "{workflow}");
            let run = run_name(workflow, "k3x9");
            assert!(run.len() <= 63 && is_object_name(&run), "{run}");
        }
        assert_ne!(object_name_hashed("a-b", "c"), object_name_hashed("a", "b-c"));
    }
}
