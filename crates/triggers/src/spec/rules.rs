//! The rules that a spec has to keep.

use serde::{Deserialize, Serialize};

use super::guards::{QuietHours, clock};
use super::{MAX_OBSERVED, TriggerSpec};
use crate::condition::is_label;

/// A field that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldProblem {
    /// The field's path below `spec`.
    pub field: String,
    /// The rule, in words.
    pub message: String,
}

impl std::fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// The most windows of quiet hours.
const MAX_WINDOWS: usize = 14;
/// One day, in seconds.
const DAY: u32 = 86_400;

/// Checks a spec. Empty when it can be used.
pub fn validate(spec: &TriggerSpec) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let mut say = |field: &str, message: &str| {
        problems.push(FieldProblem { field: field.to_owned(), message: message.to_owned() });
    };
    let subdomain = |text: &str| text.len() <= 253 && text.split('.').all(is_label);
    if !is_label(&spec.project) {
        say("project", "name a chaos project");
    }
    if !subdomain(&spec.workflow) {
        say("workflow", "name a chaos workflow");
    }
    let target = &spec.target;
    if !is_label(&target.namespace) {
        say("target.namespace", "name a namespace");
    }
    if target.names.is_empty() && target.labels.is_empty() && target.annotations.is_empty() {
        say("target", "give names or labels or annotations; a trigger never watches everything in a namespace");
    }
    if target.names.len() > MAX_OBSERVED {
        say("target.names", "a trigger watches at most 200 workloads");
    }
    if target.names.iter().any(|name| !subdomain(name)) {
        say("target.names", "a workload's name has lower-case letters, digits, '-' and '.'");
    }
    for (field, message) in spec.when.problems() {
        say(&format!("when{field}"), &message);
    }
    let guards = &spec.guards;
    if guards.soak_seconds > DAY {
        say("guards.soakSeconds", "at most one day (86400)");
    }
    if guards.cooldown_seconds > 30 * DAY {
        say("guards.cooldownSeconds", "at most thirty days (2592000)");
    }
    // The count is taken from the remembered decisions, of which there are fifty.
    if guards.max_per_day.is_some_and(|max| max == 0 || max > 40) {
        say("guards.maxPerDay", "from 1 to 40; suspend the trigger to start none");
    }
    if guards.rollout_timeout_seconds.is_some_and(|seconds| !(10..=DAY).contains(&seconds)) {
        say("guards.rolloutTimeoutSeconds", "from 10 seconds to one day (86400)");
    }
    if guards.rollout_timeout_seconds.is_some() && !guards.wait_for_rollout {
        say("guards.rolloutTimeoutSeconds", "it has a meaning only when the rollout is waited for");
    }
    if let Some(quiet) = &guards.quiet_hours {
        for (field, message) in quiet_problems(quiet) {
            say(&format!("guards.quietHours{field}"), &message);
        }
    }
    problems
}

fn quiet_problems(quiet: &QuietHours) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if let Err(why) = quiet.zone() {
        found.push((".timeZone".to_owned(), why.into()));
    }
    if quiet.windows.is_empty() || quiet.windows.len() > MAX_WINDOWS {
        found.push((".windows".to_owned(), format!("give 1 to {MAX_WINDOWS} windows")));
    }
    for (n, window) in quiet.windows.iter().enumerate() {
        for (field, text) in [("from", &window.from), ("to", &window.to)] {
            if clock(text).is_none() {
                found.push((format!(".windows[{n}].{field}"), "a time of day is written as 22:00".to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_name_their_field() {
        let spec: TriggerSpec = serde_json::from_value(json!({"project": "shop", "workflow": "kill-cart",
            "target": {"kind": "Deployment", "namespace": "shop", "names": ["cart"]}}))
        .unwrap();
        let field = |change: &dyn Fn(&mut TriggerSpec)| {
            let mut broken = spec.clone();
            change(&mut broken);
            validate(&broken).first().map(|problem| problem.field.clone())
        };
        let when = |text: serde_json::Value| serde_json::from_value(text).unwrap();
        assert_eq!(field(&|s| s.target.names.clear()).as_deref(), Some("target"));
        assert_eq!(field(&|s| s.project = "A".into()).as_deref(), Some("project"));
        assert_eq!(field(&|s| s.guards.max_per_day = Some(0)).as_deref(), Some("guards.maxPerDay"));
        assert_eq!(field(&|s| s.target.names = vec!["a b".into()]).as_deref(), Some("target.names"));
        assert_eq!(field(&|s| s.when = when(json!({"all": []}))).as_deref(), Some("when.all"));
        let nested = json!({"any": [{"imageChanged": {}}, {"all": [{"cel": "1 +"}]}]});
        assert_eq!(field(&|s| s.when = when(nested.clone())).as_deref(), Some("when.any[1].all[0].cel"));
        let text = json!({"replicas": {"operator": "LessThan", "value": "many"}});
        assert_eq!(field(&|s| s.when = when(text.clone())).as_deref(), Some("when.replicas.value"));
        let zone = json!({"timeZone": "Nowhere", "windows": [{"from": "22:00", "to": "06:00"}]});
        let quiet = |s: &mut TriggerSpec| s.guards.quiet_hours = serde_json::from_value(zone.clone()).unwrap();
        assert_eq!(field(&quiet).as_deref(), Some("guards.quietHours.timeZone"));
        let mut deep = json!({"imageChanged": {}});
        for _ in 0..20 {
            deep = json!({"all": [deep]});
        }
        assert_eq!(field(&|s| s.when = when(deep.clone())).as_deref(), Some("when"));
    }
}
