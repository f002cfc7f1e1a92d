//! A trigger as a plain policy and annotations, for clusters that run Litmus' own tracker; and what that tracker cannot
//! honour.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::annotations::{EXPERIMENT, GITOPS};
use super::operator_word;
use crate::condition::{Among, Condition, ImageChanged, ImagePart, Operator, is_label};
use crate::spec::{Exclusive, Guards, TriggerSpec, WhileAway, WorkloadKind};

/// Something of a trigger that Litmus' tracker does not honour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unhonoured {
    /// The field's path below `spec`.
    pub field: String,
    /// Why, in words.
    pub why: String,
}

/// A trigger for Litmus' tracker.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// The policy; none when its condition cannot be said in one.
    pub policy: Option<Value>,
    /// The annotations for each workload that it is about.
    pub annotations: BTreeMap<String, String>,
    /// What is lost.
    pub unhonoured: Vec<Unhonoured>,
}

/// Why Litmus' tracker does not honour each guard, by its field; whether it is set or not.
pub fn guards_without_effect() -> Vec<Unhonoured> {
    const MOMENT: &str = "the tracker fires as soon as the workload is written";
    const MEMORY: &str = "the tracker keeps no count of what it started";
    const RUNS: &str = "the tracker does not look whether a run is under way";
    const ASKS: &str = "the tracker asks nobody";
    [
        ("waitForRollout", MOMENT),
        ("rolloutTimeoutSeconds", MOMENT),
        ("soakSeconds", MOMENT),
        ("cooldownSeconds", MEMORY),
        ("maxPerDay", MEMORY),
        ("quietHours", "the tracker knows no hours"),
        ("exclusive", RUNS),
        ("minReadyReplicas", "the tracker does not look at the pods"),
        ("respectDisruptionBudget", "the tracker does not look at disruption budgets"),
        ("approval", ASKS),
        ("dryRun", "the tracker cannot tell without starting"),
    ]
    .map(|(field, why)| Unhonoured { field: format!("guards.{field}"), why: why.to_owned() })
    .into()
}

fn is_set(guards: &Guards, field: &str) -> bool {
    match field {
        "guards.waitForRollout" => guards.wait_for_rollout,
        "guards.rolloutTimeoutSeconds" => guards.rollout_timeout_seconds.is_some(),
        "guards.soakSeconds" => guards.soak_seconds > 0,
        "guards.cooldownSeconds" => guards.cooldown_seconds > 0,
        "guards.maxPerDay" => guards.max_per_day.is_some(),
        "guards.quietHours" => guards.quiet_hours.is_some(),
        "guards.exclusive" => guards.exclusive != Exclusive::Workload,
        "guards.minReadyReplicas" => guards.min_ready_replicas.is_some(),
        "guards.respectDisruptionBudget" => guards.respect_disruption_budget,
        "guards.approval" => guards.approval,
        "guards.dryRun" => guards.dry_run,
        _ => false,
    }
}

/// Writes a trigger for Litmus' tracker. Policies are looked for in `namespace` only, that of the infrastructure.
pub fn export(name: &str, spec: &TriggerSpec, namespace: &str, experiment: &str) -> Export {
    let mut unhonoured: Vec<Unhonoured> =
        guards_without_effect().into_iter().filter(|one| is_set(&spec.guards, &one.field)).collect();
    let mut lost = |field: &str, why: &str| unhonoured.push(Unhonoured { field: field.into(), why: why.into() });
    if spec.target.kind == WorkloadKind::Rollout {
        lost("target.kind", "the tracker watches Deployments, StatefulSets and DaemonSets");
    }
    lost("target", "the policy is for every annotated workload, not only for these");
    if spec.while_away == WhileAway::Run {
        lost("whileAway", "the tracker loses what changes while it does not run");
    }
    let (join, tests) = match &spec.when {
        Condition::All(inner) => ("and", inner.as_slice()),
        Condition::Any(inner) => ("or", inner.as_slice()),
        one => ("or", std::slice::from_ref(one)),
    };
    let compares = |test: &Condition| test.comparison().is_some_and(|(operator, _)| operator != Operator::Changed);
    if join == "and" && tests.len() > 1 {
        lost("when.all", "the tracker leaves out conditions whose key did not change");
    }
    if join == "or" && tests.len() > 1 && tests.iter().any(compares) {
        lost("when.any", "the tracker looks at a condition only when its own key changed");
    }
    let mut conditions = Vec::new();
    let mut whole = true;
    for (n, test) in tests.iter().enumerate() {
        match rendered(test) {
            Ok((condition, note)) => {
                conditions.push(condition);
                if let Some(why) = note {
                    lost(&format!("when[{n}]"), why);
                }
            }
            Err(why) => {
                whole = false;
                lost(&format!("when[{n}]"), why);
            }
        }
    }
    let policy = whole.then(|| {
        json!({
            "apiVersion": "eventtracker.litmuschaos.io/v1",
            "kind": "EventTrackerPolicy",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"condition_type": join, "conditions": conditions},
        })
    });
    let on = if spec.suspended { "false" } else { "true" };
    let annotations = [(GITOPS, on), (EXPERIMENT, experiment)];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Export { policy, annotations, unhonoured }
}

/// The containers whose images a key looks at.
fn list_of(among: Among) -> &'static str {
    match among {
        Among::All => "[not_null(spec.template.spec.initContainers, `[]`), spec.template.spec.containers][]",
        Among::Containers => "spec.template.spec.containers[]",
        Among::InitContainers => "not_null(spec.template.spec.initContainers, `[]`)[]",
    }
}

/// The images that a key means which [`export`] wrote. Such a key builds a text, which others' keys may not.
pub(crate) fn images_of_key(key: &str) -> Option<ImageChanged> {
    let inner = key.strip_prefix("join(',', ")?.strip_suffix(".image)")?;
    [Among::All, Among::Containers, Among::InitContainers].into_iter().find_map(|among| {
        let rest = inner.strip_prefix(list_of(among))?;
        let names: Option<Vec<String>> = match rest {
            "" => Some(Vec::new()),
            some => {
                let each = |name: &str| name.strip_prefix("name=='")?.strip_suffix('\'').map(str::to_owned);
                some.strip_prefix(" | [?")?.strip_suffix(']')?.split(" || ").map(each).collect()
            }
        };
        let containers = names.filter(|all| all.iter().all(|name| is_label(name)))?;
        Some(ImageChanged { containers, among, ..ImageChanged::default() })
    })
}

type Rendered = Result<(Value, Option<&'static str>), &'static str>;

/// A test as a policy's condition, with what of it is lost; or why there is none.
fn rendered(test: &Condition) -> Rendered {
    let quoted = |key: &str| serde_json::to_string(key).unwrap_or_default();
    // Inside '…' only the quote and the backslash would end it; names that have them are not asked for.
    let raw =
        |text: &str| if text.contains(['\'', '\\']) { Err("its name cannot be written in a key") } else { Ok(()) };
    let key = match test {
        Condition::All(_) | Condition::Any(_) => return Err("a policy does not nest"),
        Condition::Cel(_) => return Err("a policy has no CEL"),
        Condition::ImageChanged(images) => {
            if images.part != ImagePart::Any {
                return Err("a policy cannot tell a digest from a tag");
            }
            if !images.except.is_empty() {
                return Err("a policy cannot leave containers out");
            }
            let list = list_of(images.among);
            // Joined to one text, since a list would bring the tracker down.
            let key = if images.containers.is_empty() {
                format!("join(',', {list}.image)")
            } else {
                images.containers.iter().try_for_each(|name| raw(name))?;
                let names: Vec<String> = images.containers.iter().map(|name| format!("name=='{name}'")).collect();
                format!("join(',', {list} | [?{}].image)", names.join(" || "))
            };
            return Ok((json!({"key": key, "operator": "Change"}), None));
        }
        Condition::Replicas(_) => "spec.replicas".to_owned(),
        Condition::Label(test) => format!("metadata.labels.{}", quoted(&test.key)),
        Condition::Annotation(test) => format!("metadata.annotations.{}", quoted(&test.key)),
        Condition::Env(test) => {
            raw(&test.name)?;
            let of = match &test.container {
                Some(container) => format!("[?name=='{container}']"),
                None => "[]".to_owned(),
            };
            format!("spec.template.spec.containers{of}.env[] | [?name=='{}'].value | [0]", test.name)
        }
        Condition::Jmespath(test) => test.key.clone(),
        Condition::Field(test) if test.path.contains(['"', '=']) => {
            return Err("write the field as a JMESPath key");
        }
        Condition::Field(test) => test.path.clone(),
    };
    let Some((operator, value)) = test.comparison() else { return Err("it has no operator") };
    let word = operator_word(operator).ok_or("the tracker has no such operator")?;
    let orders = !matches!(operator, Operator::Changed | Operator::Equals | Operator::NotEquals);
    let note = orders.then_some("the tracker compares numbers as texts: 10 comes before 9");
    if operator == Operator::Changed {
        return Ok((json!({"key": key, "operator": word}), note));
    }
    let value = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err("a policy compares with a text only"),
    };
    Ok((json!({"key": key, "operator": word, "value": value}), note))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(more: Value) -> TriggerSpec {
        let mut spec = json!({"project": "shop", "workflow": "w",
            "target": {"kind": "Deployment", "namespace": "shop", "names": ["cart"]}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    fn keys(when: Value) -> Vec<String> {
        let written = export("p", &spec(json!({"when": when})), "litmus", "id");
        let policy = written.policy.unwrap();
        let conditions = policy["spec"]["conditions"].as_array().unwrap();
        conditions.iter().map(|one| one["key"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn keys_find_one_text_in_a_workload() {
        let workload = json!({"metadata": {"labels": {"a.b/c": "x"}}, "spec": {"replicas": 2, "template": {"spec": {
            "containers": [{"name": "app", "image": "a:1", "env": [{"name": "LEVEL", "value": "debug"}]},
                {"name": "side", "image": "s:1"}]}}}});
        let finds = |when: Value| {
            let found = jmespath::compile(&keys(when)[0]).unwrap().search(&workload).unwrap();
            serde_json::to_value(&*found).unwrap()
        };
        assert_eq!(finds(json!({"imageChanged": {}})), json!("a:1,s:1"));
        assert_eq!(finds(json!({"imageChanged": {"containers": ["app"]}})), json!("a:1"));
        assert_eq!(finds(json!({"imageChanged": {"among": "InitContainers"}})), json!(""));
        assert_eq!(finds(json!({"label": {"key": "a.b/c", "operator": "Changed"}})), json!("x"));
        assert_eq!(finds(json!({"env": {"name": "LEVEL", "operator": "Changed"}})), json!("debug"));
        assert_eq!(finds(json!({"env": {"name": "LEVEL", "container": "app", "operator": "Changed"}})), json!("debug"));
        assert_eq!(finds(json!({"replicas": {"operator": "Changed"}})), json!(2));
    }

    #[test]
    fn what_is_lost_is_told() {
        let lost = |more: Value| -> Vec<String> {
            let written = export("p", &spec(more), "litmus", "id");
            written.unhonoured.into_iter().map(|one| one.field).collect()
        };
        assert_eq!(lost(json!({})), ["guards.waitForRollout", "target"]);
        let all = json!({"guards": {"waitForRollout": true, "rolloutTimeoutSeconds": 60, "soakSeconds": 1,
            "cooldownSeconds": 1, "maxPerDay": 1, "exclusive": "All", "minReadyReplicas": 1, "approval": true,
            "quietHours": {"timeZone": "UTC", "windows": [{"from": "22:00", "to": "06:00"}]},
            "respectDisruptionBudget": true, "dryRun": true}});
        assert_eq!(lost(all).len(), guards_without_effect().len() + 1);
        let nested = json!({"when": {"all": [{"any": [{"imageChanged": {}}]}, {"replicas": {"operator": "Changed"}}]}});
        let written = export("p", &spec(nested), "litmus", "id");
        assert!(written.policy.is_none());
        assert!(written.unhonoured.iter().any(|one| one.field == "when.all"));
        let resting = export("p", &spec(json!({"suspended": true})), "litmus", "id");
        assert_eq!(resting.annotations[GITOPS], "false");
        // What is written is read back as what it says.
        let policy =
            export("p", &spec(json!({"when": {"replicas": {"operator": "Equals", "value": 3}}})), "litmus", "id");
        let read = super::super::Policy::read(&policy.policy.unwrap()).unwrap();
        assert_eq!(read.conditions[0].value.as_deref(), Some("3"));
    }
}
