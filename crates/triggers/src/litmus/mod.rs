//! Litmus' own event tracker: its policies and annotations, read, evaluated as they are written, turned into triggers,
//! and written for clusters that run it.
//!
//! A policy says "and" or "or" over conditions on JMESPath keys. Here that is what it means: `and` holds when every
//! condition does, `or` when at least one does, on a change of anything that a key finds.

pub mod annotations;
pub mod export;
pub mod import;

use crate::error::Reason;
use serde_json::Value;

use crate::condition::facts::Seen;
use crate::condition::judge::{Before, Judgement, judge};
use crate::condition::{Condition, ImageChanged, Operator, QueryTest};
use crate::images::images_of;

/// How a policy joins its conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// All of them.
    And,
    /// At least one.
    Or,
}

/// A condition of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyCondition {
    /// The JMESPath expression.
    pub key: String,
    /// The operator.
    pub operator: Operator,
    /// What it compares with; a policy's values are all texts.
    pub value: Option<String>,
}

/// An `EventTrackerPolicy`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How its conditions are joined.
    pub join: Join,
    /// Its conditions.
    pub conditions: Vec<PolicyCondition>,
}

/// The operators of policies, as they are written there.
const OPERATORS: [(&str, Operator); 7] = [
    ("EqualTo", Operator::Equals),
    ("NotEqualTo", Operator::NotEquals),
    ("LessThan", Operator::LessThan),
    ("GreaterThan", Operator::GreaterThan),
    ("LessThanEqualTo", Operator::LessOrEqual),
    ("GreaterThanEqualTo", Operator::GreaterOrEqual),
    ("Change", Operator::Changed),
];

/// The most conditions of a policy.
const MAX_CONDITIONS: usize = 64;

/// An operator as policies write it; none when they have no such.
pub fn operator_word(operator: Operator) -> Option<&'static str> {
    OPERATORS.iter().find(|(_, one)| *one == operator).map(|(word, _)| *word)
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Everything that keeps it from ever matching, or would bring Litmus' tracker down, in words.
    pub fn read(object: &Value) -> Result<Self, Vec<String>> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut problems = Vec::new();
        let join = match text("/spec/condition_type").as_str() {
            "and" => Join::And,
            "or" => Join::Or,
            other => {
                problems.push(format!("condition_type is \"{other}\"; only \"and\" and \"or\" ever match"));
                Join::And
            }
        };
        let listed = object.pointer("/spec/conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if listed.is_empty() || listed.len() > MAX_CONDITIONS {
            problems.push(format!("it has {} conditions; give 1 to {MAX_CONDITIONS}", listed.len()));
        }
        let mut conditions = Vec::new();
        for (n, one) in listed.iter().take(MAX_CONDITIONS).enumerate() {
            match condition(one) {
                Ok(condition) => conditions.push(condition),
                Err(why) => problems.push(format!("condition {}: {why}", n + 1)),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { namespace: text("/metadata/namespace"), name: text("/metadata/name"), join, conditions })
    }

    /// The condition that it states.
    pub fn condition(&self) -> Condition {
        let test = |one: &PolicyCondition| {
            // What was written for Litmus' tracker comes back as what it was.
            if let Some(images) = written_here(&one.key, one.operator) {
                return Condition::ImageChanged(images);
            }
            Condition::Jmespath(QueryTest {
                key: one.key.clone(),
                operator: one.operator,
                value: one.value.clone().map(Value::String).unwrap_or_default(),
            })
        };
        let tests = self.conditions.iter().map(test).collect();
        match self.join {
            Join::And => Condition::All(tests),
            Join::Or => Condition::Any(tests),
        }
    }

    /// Judges an update of a workload.
    pub fn evaluate(&self, old: &Value, new: &Value) -> Judgement {
        let condition = self.condition();
        let before = Seen::look(&condition, old).remembered();
        judge(&condition, Before { images: &images_of(old), facts: &before }, &Seen::look(&condition, new))
    }
}

/// The images that a key means which was written from a trigger.
fn written_here(key: &str, operator: Operator) -> Option<ImageChanged> {
    export::images_of_key(key).filter(|_| operator == Operator::Changed)
}

fn condition(object: &Value) -> Result<PolicyCondition, Reason> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let key = text("key").unwrap_or_default().to_owned();
    let word = text("operator").unwrap_or_default();
    let operator = OPERATORS.iter().find(|(one, _)| *one == word).map(|(_, operator)| *operator);
    let operator = operator.ok_or_else(|| format!("\"{word}\" is none of its operators"))?;
    if written_here(&key, operator).is_none() {
        crate::condition::query::compile(&key).map_err(|why| format!("key \"{key}\": {why}"))?;
    }
    let value = text("value").map(str::to_owned);
    if value.is_none() && operator != Operator::Changed {
        return Err(format!("{word} needs a value").into());
    }
    Ok(PolicyCondition { key, operator, value })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(join: &str, conditions: Value) -> Result<Policy, Vec<String>> {
        Policy::read(&json!({"metadata": {"name": "p", "namespace": "litmus"},
            "spec": {"condition_type": join, "conditions": conditions}}))
    }

    fn workload(replicas: u64, images: &[&str]) -> Value {
        let containers: Vec<Value> = images.iter().map(|image| json!({"name": "c", "image": image})).collect();
        json!({"metadata": {"labels": {"app": "nginx"}}, "status": {"readyReplicas": replicas},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}}})
    }

    fn yes(policy: &Policy, old: &Value, new: &Value) -> bool {
        matches!(policy.evaluate(old, new), Judgement::Yes(_))
    }

    #[test]
    fn and_is_and_and_or_is_or() {
        let conditions = json!([
            {"key": "spec.replicas", "value": "1", "operator": "EqualTo"},
            {"key": "spec.template.spec.containers[0].image", "value": "nginx:1.18", "operator": "EqualTo"}]);
        let and = policy("and", conditions.clone()).unwrap();
        let or = policy("or", conditions).unwrap();
        let old = workload(1, &["nginx:1.17"]);
        // Both hold, though only one key changed.
        assert!(yes(&and, &old, &workload(1, &["nginx:1.18"])));
        // One key is as wanted by having changed, the other is not and did not change: Litmus would skip it and fire.
        let three = workload(3, &["nginx:1.17"]);
        assert!(!yes(&and, &three, &workload(3, &["nginx:1.18"])));
        assert!(yes(&or, &three, &workload(3, &["nginx:1.18"])));
        // Nothing that it names changed.
        let mut status = old.clone();
        status["status"]["readyReplicas"] = json!(0);
        assert_eq!(or.evaluate(&old, &status), Judgement::Unchanged);
    }

    #[test]
    fn lists_are_compared_and_numbers_are_numbers() {
        let images =
            policy("or", json!([{"key": "spec.template.spec.containers[*].image", "operator": "Change"}])).unwrap();
        assert!(yes(&images, &workload(1, &["a:1", "b:1"]), &workload(1, &["a:1", "b:2"])));
        assert!(!yes(&images, &workload(1, &["a:1"]), &workload(2, &["a:1"])));
        let labels = policy("or", json!([{"key": "metadata.labels", "operator": "Change"}])).unwrap();
        assert_eq!(labels.evaluate(&workload(1, &[]), &workload(2, &[])), Judgement::Unchanged);
        let less = policy("and", json!([{"key": "spec.replicas", "value": "9", "operator": "LessThan"}])).unwrap();
        assert!(!yes(&less, &workload(1, &[]), &workload(10, &[])), "as texts 10 would come before 9");
        let million =
            policy("and", json!([{"key": "spec.replicas", "value": "1000000", "operator": "EqualTo"}])).unwrap();
        assert!(yes(&million, &workload(1, &[]), &workload(1_000_000, &[])), "never written as 1e+06");
    }

    #[test]
    fn what_was_written_from_a_trigger_comes_back_as_it_was() {
        for when in [
            json!({"imageChanged": {}}),
            json!({"imageChanged": {"containers": ["app", "side"], "among": "Containers"}}),
            json!({"any": [{"imageChanged": {"among": "InitContainers"}}, {"imageChanged": {"containers": ["a"]}}]}),
        ] {
            let spec = serde_json::from_value(json!({"project": "p", "workflow": "w", "when": when,
                "target": {"kind": "Deployment", "namespace": "shop", "names": ["cart"]}}))
            .unwrap();
            let written = export::export("p", &spec, "litmus", "e").policy.unwrap();
            let back = Policy::read(&written).unwrap().condition();
            let alone = Condition::Any(vec![spec.when.clone()]);
            assert!(back == spec.when || back == alone, "{back:?}");
        }
        let hostile = "join(',', spec.template.spec.containers[] | [?name=='a' || map(&b, @)].image)";
        assert!(export::images_of_key(hostile).is_none());
        assert!(policy("or", json!([{"key": hostile, "operator": "Change"}])).is_err());
    }

    #[test]
    fn what_can_never_match_is_said() {
        let change = json!([{"key": "spec.replicas", "operator": "Change"}]);
        assert!(policy("AND", change.clone()).unwrap_err()[0].contains("AND"));
        assert!(policy("", change).is_err());
        assert!(policy("and", json!([])).is_err());
        assert!(
            policy("and", json!([{"key": "spec.replicas", "operator": "EqualTo"}])).unwrap_err()[0].contains("value")
        );
        assert!(policy("and", json!([{"key": "spec.[", "operator": "Change"}])).is_err());
        assert!(policy("and", json!([{"key": "a", "operator": "Equals", "value": "1"}])).is_err());
    }

    #[test]
    fn an_or_absorbs_what_cannot_be_told() {
        let conditions = json!([
            {"key": "abs(metadata.labels.app)", "operator": "Change"},
            {"key": "spec.replicas", "operator": "Change"}]);
        let or = policy("or", conditions.clone()).unwrap();
        assert!(yes(&or, &workload(1, &[]), &workload(2, &[])));
        let and = policy("and", conditions).unwrap();
        assert!(matches!(and.evaluate(&workload(1, &[]), &workload(2, &[])), Judgement::Unclear(_)));
    }
}
