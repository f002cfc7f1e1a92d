//! The form of a trigger and its object, one from the other.

use pilothouse_triggers::{
    condition::{self, Condition, EnvTest, FieldTest, KeyTest, Operator, QueryTest, ReplicasTest},
    spec::{self, Guards, TargetSpec, TriggerSpec, WorkloadKind},
};
use serde_json::Value;

use crate::{
    Result,
    contract::{
        AppError, ConditionOperator, ConditionTest, ContainersAmong, ExclusiveRuns, FieldProblem, ImagePart,
        LabelEntry, QuietDay, QuietHours, QuietWindow, TriggerCondition, TriggerForm, TriggerGuards, TriggerTarget,
        WhileAway,
    },
};

/// Pairs each word of the window's with the domain's, both ways.
macro_rules! words {
    ($to:ident, $from:ident, $ours:path, $theirs:path, { $($word:ident),* $(,)? }) => {
        pub(crate) fn $to(word: $ours) -> $theirs {
            use {$ours as Ours, $theirs as Theirs};
            match word { $(Ours::$word => Theirs::$word),* }
        }
        pub(crate) fn $from(word: $theirs) -> $ours {
            use {$ours as Ours, $theirs as Theirs};
            match word { $(Theirs::$word => Ours::$word),* }
        }
    };
}

words!(operator, operator_view, ConditionOperator, Operator, {
    Changed, Equals, NotEquals, LessThan, LessOrEqual, GreaterThan, GreaterOrEqual, Contains, StartsWith, EndsWith,
    Matches, In, NotIn, Exists, Absent,
});
words!(among, among_view, ContainersAmong, condition::Among, { All, Containers, InitContainers });
words!(part, part_view, ImagePart, condition::ImagePart, { Any, DigestOnly, NameOrTag });
words!(exclusive, exclusive_view, ExclusiveRuns, spec::Exclusive, { Workload, Trigger, All });
words!(day, day_view, QuietDay, spec::Weekday, { Mon, Tue, Wed, Thu, Fri, Sat, Sun });
words!(away, away_view, WhileAway, spec::WhileAway, { Offer, Run });

/// How deep a condition from the window is followed; the domain's own rule is stricter.
const DEPTH: usize = 32;

fn unfit(field: &str, message: &str) -> AppError {
    AppError::fields(vec![FieldProblem { field: field.into(), message: message.into() }])
}

/// What a test compares with; `at` is where the test is.
fn operand(test: &ConditionTest, at: &str) -> Result<Value> {
    let one = |text: &String| match test.numeric {
        true => serde_json::from_str(text.trim()).ok().filter(Value::is_number).ok_or_else(|| text.clone()),
        false => Ok(Value::String(text.clone())),
    };
    let all: std::result::Result<Vec<Value>, _> = test.values.iter().map(one).collect();
    let all = all.map_err(|text| unfit(&format!("{at}.value"), &format!("\"{text}\" is not a number")))?;
    Ok(match test.operator {
        ConditionOperator::In | ConditionOperator::NotIn => Value::Array(all),
        ConditionOperator::Changed | ConditionOperator::Exists | ConditionOperator::Absent => Value::Null,
        _ => all.into_iter().next().unwrap_or_default(),
    })
}

fn test_view(operator: Operator, value: &Value) -> ConditionTest {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let all = match value {
        Value::Null => Vec::new(),
        Value::Array(all) => all.iter().map(text).collect(),
        one => vec![text(one)],
    };
    let numeric = match value {
        Value::Array(all) => !all.is_empty() && all.iter().all(Value::is_number),
        one => one.is_number(),
    };
    ConditionTest { operator: operator_view(operator), values: all, numeric }
}

fn condition(view: &TriggerCondition, depth: usize, at: &str) -> Result<Condition> {
    if depth > DEPTH {
        return Err(unfit("when", "the condition nests too deep"));
    }
    let inner = |all: &[TriggerCondition], word: &str| {
        let each = |(n, one)| condition(one, depth + 1, &format!("{at}.{word}[{n}]"));
        all.iter().enumerate().map(each).collect::<Result<_>>()
    };
    let compares = |test: &ConditionTest, word: &str| operand(test, &format!("{at}.{word}"));
    Ok(match view {
        TriggerCondition::ImageChanged { containers, except, among: which, part: what } => {
            Condition::ImageChanged(condition::ImageChanged {
                containers: containers.clone(),
                except: except.clone(),
                among: among(*which),
                part: part(*what),
            })
        }
        TriggerCondition::Replicas { test } => {
            Condition::Replicas(ReplicasTest { operator: operator(test.operator), value: compares(test, "replicas")? })
        }
        TriggerCondition::Label { key, test } => Condition::Label(KeyTest {
            key: key.clone(),
            operator: operator(test.operator),
            value: compares(test, "label")?,
        }),
        TriggerCondition::Annotation { key, test } => Condition::Annotation(KeyTest {
            key: key.clone(),
            operator: operator(test.operator),
            value: compares(test, "annotation")?,
        }),
        TriggerCondition::Env { name, container, test } => Condition::Env(EnvTest {
            name: name.clone(),
            container: container.clone(),
            operator: operator(test.operator),
            value: compares(test, "env")?,
        }),
        TriggerCondition::Field { path, test } => Condition::Field(FieldTest {
            path: path.clone(),
            operator: operator(test.operator),
            value: compares(test, "field")?,
        }),
        TriggerCondition::Jmespath { key, test } => Condition::Jmespath(QueryTest {
            key: key.clone(),
            operator: operator(test.operator),
            value: compares(test, "jmespath")?,
        }),
        TriggerCondition::Cel { expression } => Condition::Cel(expression.clone()),
        TriggerCondition::All { conditions } => Condition::All(inner(conditions, "all")?),
        TriggerCondition::Any { conditions } => Condition::Any(inner(conditions, "any")?),
    })
}

/// A condition, for the window.
pub(crate) fn condition_view(condition: &Condition) -> TriggerCondition {
    let inner = |all: &[Condition]| all.iter().map(condition_view).collect();
    match condition {
        Condition::ImageChanged(images) => TriggerCondition::ImageChanged {
            containers: images.containers.clone(),
            except: images.except.clone(),
            among: among_view(images.among),
            part: part_view(images.part),
        },
        Condition::Replicas(test) => TriggerCondition::Replicas { test: test_view(test.operator, &test.value) },
        Condition::Label(test) => {
            TriggerCondition::Label { key: test.key.clone(), test: test_view(test.operator, &test.value) }
        }
        Condition::Annotation(test) => {
            TriggerCondition::Annotation { key: test.key.clone(), test: test_view(test.operator, &test.value) }
        }
        Condition::Env(test) => TriggerCondition::Env {
            name: test.name.clone(),
            container: test.container.clone(),
            test: test_view(test.operator, &test.value),
        },
        Condition::Field(test) => {
            TriggerCondition::Field { path: test.path.clone(), test: test_view(test.operator, &test.value) }
        }
        Condition::Jmespath(test) => {
            TriggerCondition::Jmespath { key: test.key.clone(), test: test_view(test.operator, &test.value) }
        }
        Condition::Cel(expression) => TriggerCondition::Cel { expression: expression.clone() },
        Condition::All(all) => TriggerCondition::All { conditions: inner(all) },
        Condition::Any(all) => TriggerCondition::Any { conditions: inner(all) },
    }
}

fn guards(view: &TriggerGuards) -> Guards {
    let window = |one: &QuietWindow| spec::QuietWindow {
        days: one.days.iter().map(|one| day(*one)).collect(),
        from: one.from.clone(),
        to: one.to.clone(),
    };
    Guards {
        wait_for_rollout: view.wait_for_rollout,
        rollout_timeout_seconds: view.rollout_timeout_seconds,
        soak_seconds: view.soak_seconds,
        cooldown_seconds: view.cooldown_seconds,
        max_per_day: view.max_per_day,
        quiet_hours: view.quiet_hours.as_ref().map(|quiet| spec::QuietHours {
            time_zone: quiet.time_zone.clone(),
            windows: quiet.windows.iter().map(window).collect(),
        }),
        exclusive: exclusive(view.exclusive),
        min_ready_replicas: view.min_ready_replicas,
        respect_disruption_budget: view.respect_disruption_budget,
        approval: view.approval,
        dry_run: view.dry_run,
    }
}

/// Guards, for the window.
pub(crate) fn guards_view(guards: &Guards) -> TriggerGuards {
    let window = |one: &spec::QuietWindow| QuietWindow {
        days: one.days.iter().map(|one| day_view(*one)).collect(),
        from: one.from.clone(),
        to: one.to.clone(),
    };
    TriggerGuards {
        wait_for_rollout: guards.wait_for_rollout,
        rollout_timeout_seconds: guards.rollout_timeout_seconds,
        soak_seconds: guards.soak_seconds,
        cooldown_seconds: guards.cooldown_seconds,
        max_per_day: guards.max_per_day,
        quiet_hours: guards.quiet_hours.as_ref().map(|quiet| QuietHours {
            time_zone: quiet.time_zone.clone(),
            windows: quiet.windows.iter().map(window).collect(),
        }),
        exclusive: exclusive_view(guards.exclusive),
        min_ready_replicas: guards.min_ready_replicas,
        respect_disruption_budget: guards.respect_disruption_budget,
        approval: guards.approval,
        dry_run: guards.dry_run,
    }
}

/// A target, for the window.
pub(crate) fn target_view(target: Option<&TargetSpec>) -> TriggerTarget {
    let entries = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(key, value)| LabelEntry { key: key.clone(), value: value.clone() }).collect()
    };
    TriggerTarget {
        kind: target.map(|t| t.kind.as_str().to_owned()).unwrap_or_default(),
        namespace: target.map(|t| t.namespace.clone()).unwrap_or_default(),
        names: target.map(|t| t.names.clone()).unwrap_or_default(),
        labels: target.map(|t| entries(&t.labels)).unwrap_or_default(),
        annotations: target.map(|t| entries(&t.annotations)).unwrap_or_default(),
    }
}

/// A kind of workload, by its word.
pub(crate) fn kind_of(text: &str) -> Result<WorkloadKind> {
    let found = WorkloadKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| unfit("target.kind", "Choose a Deployment, a StatefulSet, a DaemonSet or a Rollout."))
}

/// What a target names.
pub(crate) fn target_of(view: &TriggerTarget) -> Result<TargetSpec> {
    let map = |all: &[LabelEntry]| all.iter().map(|one| (one.key.clone(), one.value.clone())).collect();
    Ok(TargetSpec {
        kind: kind_of(&view.kind)?,
        namespace: view.namespace.clone(),
        names: view.names.clone(),
        labels: map(&view.labels),
        annotations: map(&view.annotations),
    })
}

/// A trigger of which nothing but the target matters.
pub(crate) fn watching(target: TargetSpec) -> TriggerSpec {
    TriggerSpec {
        project: String::new(),
        workflow: String::new(),
        target,
        when: Condition::default(),
        guards: Guards::default(),
        while_away: spec::WhileAway::default(),
        suspended: false,
    }
}

/// What a form asks for.
pub(crate) fn spec_of(form: &TriggerForm) -> Result<TriggerSpec> {
    Ok(TriggerSpec {
        project: form.project.clone(),
        workflow: form.workflow.clone(),
        target: target_of(&form.target)?,
        when: condition(&form.when, 0, "when")?,
        guards: guards(&form.guards),
        while_away: away(form.while_away),
        suspended: form.suspended,
    })
}

/// A trigger's form, to be changed in the window.
pub(crate) fn view_of(name: &str, spec: &TriggerSpec) -> TriggerForm {
    TriggerForm {
        name: name.to_owned(),
        project: spec.project.clone(),
        workflow: spec.workflow.clone(),
        target: target_view(Some(&spec.target)),
        when: condition_view(&spec.when),
        guards: guards_view(&spec.guards),
        while_away: away_view(spec.while_away),
        suspended: spec.suspended,
        seen: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::ErrorDetail;

    #[test]
    fn a_condition_comes_back_from_the_window_as_it_went() {
        let when: Condition = serde_json::from_value(json!({"all": [
            {"imageChanged": {"containers": ["app"], "except": ["proxy"], "among": "Containers", "part": "DigestOnly"}},
            {"any": [{"replicas": {"operator": "GreaterThan", "value": 3}},
                {"label": {"key": "a/b", "operator": "In", "value": ["x", "y"]}},
                {"annotation": {"key": "n", "operator": "Equals", "value": "1.10"}},
                {"env": {"name": "LEVEL", "container": "app", "operator": "Changed"}},
                {"field": {"path": "spec.paused", "operator": "Exists"}},
                {"jmespath": {"key": "spec.replicas", "operator": "LessThan", "value": "9"}},
                {"cel": "new.spec.replicas > 1"}]}]}))
        .unwrap();
        assert_eq!(condition(&condition_view(&when), 0, "when").unwrap(), when);
        let number =
            ConditionTest { operator: ConditionOperator::LessThan, values: vec!["many".into()], numeric: true };
        let number = TriggerCondition::Replicas { test: number };
        let nested = TriggerCondition::All { conditions: vec![condition_view(&Condition::default()), number] };
        let error = condition(&nested, 0, "when").unwrap_err();
        let Some(ErrorDetail::Fields { problems }) = error.detail.as_deref() else { panic!("{error:?}") };
        assert_eq!(problems[0].field, "when.all[1].replicas.value");
        let mut deep = condition_view(&Condition::default());
        for _ in 0..50 {
            deep = TriggerCondition::All { conditions: vec![deep] };
        }
        assert!(condition(&deep, 0, "when").is_err());
    }
}
