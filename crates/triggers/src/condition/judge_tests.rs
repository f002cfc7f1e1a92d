//! Conditions against an evaluator that is as plain as can be: it looks at both whole objects and knows nothing of
//! digests, keys or remembered parts.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::images::images_of;

#[derive(Debug, Clone)]
struct Pod {
    replicas: u8,
    labels: [u8; 2],
    images: [u8; 2],
    digests: [u8; 2],
    init: Option<u8>,
    level: Option<u8>,
    ready: u8,
}

fn object(pod: &Pod) -> Value {
    let image = |n: usize| format!("r/app:{}@sha256:{}", pod.images[n], pod.digests[n]);
    let env: Vec<Value> = pod.level.iter().map(|level| json!({"name": "LEVEL", "value": level.to_string()})).collect();
    let mut template = json!({"containers": [
        {"name": "a", "image": image(0), "env": env}, {"name": "b", "image": image(1)}]});
    if let Some(init) = pod.init {
        template["initContainers"] = json!([{"name": "i", "image": format!("init:{init}")}]);
    }
    json!({"metadata": {"labels": {"x": pod.labels[0].to_string(), "y": pod.labels[1].to_string()}},
        "status": {"readyReplicas": pod.ready},
        "spec": {"replicas": pod.replicas, "template": {"spec": template}}})
}

fn pods() -> impl Strategy<Value = Pod> {
    let small = 0..3_u8;
    (
        9..12_u8,
        prop::array::uniform2(small.clone()),
        prop::array::uniform2(small.clone()),
        prop::array::uniform2(small.clone()),
        prop::option::of(small.clone()),
        prop::option::of(8..11_u8),
        small,
    )
        .prop_map(|(replicas, labels, images, digests, init, level, ready)| Pod {
            replicas,
            labels,
            images,
            digests,
            init,
            level,
            ready,
        })
}

/// How a label is named.
#[derive(Debug, Clone, Copy)]
enum Via {
    Label,
    Field,
    Jmespath,
}

/// A test, and what it means: over the old pod and the new one, whether it holds and whether what it names changed.
#[derive(Debug, Clone)]
enum Plain {
    Images { part: ImagePart, among: Among, only: Option<bool> },
    Replicas(Operator, u8),
    Label(Via, bool, Operator, u8),
    Level(Operator, u8),
    Expression(u8),
    All(Vec<Plain>),
    Any(Vec<Plain>),
}

fn tests() -> impl Strategy<Value = Plain> {
    let operator = prop::sample::select(vec![
        Operator::Changed,
        Operator::Equals,
        Operator::NotEquals,
        Operator::LessThan,
        Operator::LessOrEqual,
        Operator::GreaterThan,
        Operator::GreaterOrEqual,
        Operator::Contains,
        Operator::StartsWith,
        Operator::EndsWith,
        Operator::Matches,
        Operator::In,
        Operator::NotIn,
        Operator::Exists,
        Operator::Absent,
    ]);
    let via = prop::sample::select(vec![Via::Label, Via::Field, Via::Jmespath]);
    let part = prop::sample::select(vec![ImagePart::Any, ImagePart::DigestOnly, ImagePart::NameOrTag]);
    let among = prop::sample::select(vec![Among::All, Among::Containers, Among::InitContainers]);
    let leaf = prop_oneof![
        (part, among, prop::option::of(any::<bool>())).prop_map(|(part, among, only)| Plain::Images {
            part,
            among,
            only
        }),
        (operator.clone(), 8..13_u8).prop_map(|(operator, n)| Plain::Replicas(operator, n)),
        (via, any::<bool>(), operator.clone(), 0..3_u8)
            .prop_map(|(via, y, operator, n)| Plain::Label(via, y, operator, n)),
        (operator, 8..11_u8).prop_map(|(operator, n)| Plain::Level(operator, n)),
        (9..12_u8).prop_map(Plain::Expression),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Plain::All),
            prop::collection::vec(inner, 1..4).prop_map(Plain::Any),
        ]
    })
}

fn condition(plain: &Plain) -> Condition {
    let text = |operator: &Operator, n: u8| {
        let operand = match operator {
            Operator::Contains | Operator::StartsWith | Operator::EndsWith => json!(n.to_string()),
            Operator::Matches => json!(format!("^{n}")),
            Operator::In | Operator::NotIn => json!([n, n + 1]),
            _ => json!(n),
        };
        (serde_json::to_value(operator).unwrap(), operand)
    };
    let read = |value: Value| serde_json::from_value(value).unwrap();
    match plain {
        Plain::Images { part, among, only } => {
            let containers = only.map(|second| vec![if second { "b" } else { "a" }]).unwrap_or_default();
            read(
                json!({"imageChanged": {"part": part_word(*part), "among": among_word(*among), "containers": containers}}),
            )
        }
        Plain::Replicas(operator, n) => {
            let (operator, value) = text(operator, *n);
            read(json!({"replicas": {"operator": operator, "value": value}}))
        }
        Plain::Label(via, y, operator, n) => {
            let (operator, value) = text(operator, *n);
            let name = if *y { "y" } else { "x" };
            let (test, field, place) = match via {
                Via::Label => ("label", "key", name.to_owned()),
                Via::Field => ("field", "path", format!("metadata.labels.{name}")),
                Via::Jmespath => ("jmespath", "key", format!("metadata.labels.{name}")),
            };
            read(json!({test: {field: place, "operator": operator, "value": value}}))
        }
        Plain::Level(operator, n) => {
            let (operator, value) = text(operator, *n);
            read(json!({"env": {"name": "LEVEL", "operator": operator, "value": value}}))
        }
        Plain::Expression(n) => {
            Condition::Cel(format!("new.spec.replicas > old.spec.replicas && new.metadata.labels.x != '{n}'"))
        }
        Plain::All(inner) => Condition::All(inner.iter().map(condition).collect()),
        Plain::Any(inner) => Condition::Any(inner.iter().map(condition).collect()),
    }
}

fn part_word(part: ImagePart) -> &'static str {
    match part {
        ImagePart::Any => "Any",
        ImagePart::DigestOnly => "DigestOnly",
        ImagePart::NameOrTag => "NameOrTag",
    }
}

fn among_word(among: Among) -> &'static str {
    match among {
        Among::All => "All",
        Among::Containers => "Containers",
        Among::InitContainers => "InitContainers",
    }
}

/// Whether anything that the tree names is another.
fn differs(plain: &Plain, old: &Pod, new: &Pod) -> bool {
    match plain {
        // Which images are asked about is the judgement's business; any of them is reason enough to judge.
        Plain::Images { .. } => (old.images, old.digests, old.init) != (new.images, new.digests, new.init),
        Plain::Replicas(..) => old.replicas != new.replicas,
        Plain::Label(_, y, ..) => old.labels[usize::from(*y)] != new.labels[usize::from(*y)],
        Plain::Level(..) => old.level != new.level,
        Plain::Expression(_) => old.replicas != new.replicas || old.labels[0] != new.labels[0],
        Plain::All(inner) | Plain::Any(inner) => inner.iter().any(|one| differs(one, old, new)),
    }
}

fn holds_plainly(plain: &Plain, old: &Pod, new: &Pod) -> bool {
    let compare = |operator: Operator, old: Option<u8>, new: Option<u8>, wanted: u8| match operator {
        Operator::Changed => old != new,
        Operator::Equals => new == Some(wanted),
        Operator::NotEquals => new != Some(wanted),
        Operator::LessThan => new.is_some_and(|new| new < wanted),
        Operator::LessOrEqual => new.is_some_and(|new| new <= wanted),
        Operator::GreaterThan => new.is_some_and(|new| new > wanted),
        Operator::GreaterOrEqual => new.is_some_and(|new| new >= wanted),
        Operator::Contains => new.is_some_and(|new| new.to_string().contains(&wanted.to_string())),
        Operator::StartsWith | Operator::Matches => {
            new.is_some_and(|new| new.to_string().starts_with(&wanted.to_string()))
        }
        Operator::EndsWith => new.is_some_and(|new| new.to_string().ends_with(&wanted.to_string())),
        Operator::In => new.is_some_and(|new| new == wanted || new == wanted + 1),
        Operator::NotIn => !new.is_some_and(|new| new == wanted || new == wanted + 1),
        Operator::Exists => new.is_some(),
        Operator::Absent => new.is_none(),
    };
    match plain {
        Plain::Images { part, among, only } => {
            let running = (0..2_usize).filter(|n| only.is_none_or(|second| usize::from(second) == *n)).any(|n| {
                let tag = old.images[n] != new.images[n];
                let digest = old.digests[n] != new.digests[n];
                match part {
                    ImagePart::Any => tag || digest,
                    ImagePart::DigestOnly => digest && !tag,
                    ImagePart::NameOrTag => tag,
                }
            });
            let before = only.is_none() && *part != ImagePart::DigestOnly && new.init.is_some() && old.init != new.init;
            match among {
                Among::All => running || before,
                Among::Containers => running,
                Among::InitContainers => before,
            }
        }
        Plain::Replicas(operator, n) => compare(*operator, Some(old.replicas), Some(new.replicas), *n),
        Plain::Label(_, y, operator, n) => {
            compare(*operator, Some(old.labels[usize::from(*y)]), Some(new.labels[usize::from(*y)]), *n)
        }
        Plain::Level(operator, n) => compare(*operator, old.level, new.level, *n),
        Plain::Expression(n) => new.replicas > old.replicas && new.labels[0] != *n,
        Plain::All(inner) => inner.iter().all(|one| holds_plainly(one, old, new)),
        Plain::Any(inner) => inner.iter().any(|one| holds_plainly(one, old, new)),
    }
}

fn judged(condition: &Condition, old: &Value, new: &Value) -> Judgement {
    let facts = Seen::look(condition, old).remembered();
    judge(condition, Before { images: &images_of(old), facts: &facts }, &Seen::look(condition, new))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn conditions_mean_what_they_say(plain in tests(), old in pods(), new in pods()) {
        let condition = condition(&plain);
        prop_assert_eq!(condition.problems(), Vec::new());
        let wanted = if !differs(&plain, &old, &new) {
            "unchanged"
        } else if holds_plainly(&plain, &old, &new) {
            "yes"
        } else {
            "no"
        };
        let found = match judged(&condition, &object(&old), &object(&new)) {
            Judgement::Unchanged => "unchanged",
            Judgement::Yes(_) => "yes",
            Judgement::No => "no",
            Judgement::Unclear(_) => "unclear",
        };
        prop_assert_eq!(found, wanted, "{:?}", condition);
    }

    #[test]
    fn what_an_image_trigger_does_not_name_never_fires_it(old in pods(), new in pods()) {
        let new = Pod { images: old.images, digests: old.digests, init: old.init, ..new };
        prop_assert_eq!(judged(&Condition::default(), &object(&old), &object(&new)), Judgement::Unchanged);
    }
}

#[test]
fn swapped_containers_changed_and_reordered_ones_did_not() {
    let with = |pairs: [(&str, &str); 2]| {
        let all: Vec<Value> = pairs.iter().map(|(name, image)| json!({"name": name, "image": image})).collect();
        json!({"spec": {"template": {"spec": {"containers": all}}}})
    };
    let old = with([("a", "x:1"), ("b", "y:1")]);
    let judge = |new: &Value| judged(&Condition::default(), &old, new);
    assert_eq!(judge(&with([("b", "y:1"), ("a", "x:1")])), Judgement::Unchanged);
    assert_eq!(judge(&with([("a", "y:1"), ("b", "x:1")])), Judgement::Yes("the image of a, b changed".into()));
    assert_eq!(
        judge(&json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "x:1"}]}}}})),
        Judgement::No,
        "a container that goes brings no new image"
    );
}

#[test]
fn what_cannot_be_told_is_absorbed_where_another_branch_decides() {
    let (old, new) = (json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 2}}));
    let read = |value: Value| -> Condition { serde_json::from_value(value).unwrap() };
    let unclear = json!({"cel": "new.spec.nothing.here > 1"});
    let yes = json!({"replicas": {"operator": "Changed"}});
    let no = json!({"replicas": {"operator": "Equals", "value": 9}});
    assert!(matches!(judged(&read(json!({"any": [unclear, yes]})), &old, &new), Judgement::Yes(_)));
    assert_eq!(judged(&read(json!({"all": [unclear, no]})), &old, &new), Judgement::No);
    assert!(matches!(judged(&read(json!({"all": [unclear, yes]})), &old, &new), Judgement::Unclear(_)));
    assert!(matches!(judged(&read(json!({"any": [unclear, no]})), &old, &new), Judgement::Unclear(_)));
    // No value is told, which may be a secret.
    let secret = |value: &str| json!({"metadata": {"annotations": {"token": value}}});
    let changed = read(json!({"annotation": {"key": "token", "operator": "Changed"}}));
    let said = format!("{:?}", judged(&changed, &secret("hunter1"), &secret("hunter2")));
    assert!(said.contains("token") && !said.contains("hunter"), "{said}");
}
