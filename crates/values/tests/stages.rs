//! Promotion between two environments' files, and the table of what differs across environments.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use pilothouse_values::{
    Change, EnvironmentValues, KeyPath, Parameter, Side, Source, apply_promotion, matrix, promote, read,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const BASE: &str = "replicaCount: 1\nlog: info\nold: true\nhosts: [a]\nres:\n  cpu: 1\n  memory: 1Gi\n";
const SOURCE: &str = "# dev\nreplicaCount: 2\nlog: 'debug' # loud\nhosts:\n- a\n- b\nres:\n  cpu: 2\n  memory: 1Gi\nnew:\n  deep: {x: 1.10}\n";
const TARGET: &str = "# qa\nreplicaCount: 5   # measured\nlog: info\nold: true\nhosts: [a]   # one\nres:\n  cpu: 1\n  # enough\n  memory: 4Gi\n";

fn paths(names: &[&str]) -> Vec<KeyPath> {
    names.iter().map(|name| KeyPath::parse(name).unwrap()).collect()
}

#[test]
fn rows_tell_who_changed_what() {
    let rows = promote(SOURCE, TARGET, Some(BASE)).unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.path.to_string(), row.change, row.changed_in, row.conflict, row.source_line, row.target_line))
        .collect();
    let row =
        |path: &str, change, side, conflict, source, target| (path.to_owned(), change, side, conflict, source, target);
    assert_eq!(
        told,
        [
            row("replicaCount", Change::Changed, Side::Both, true, Some(2), Some(2)),
            row("log", Change::Changed, Side::Source, false, Some(3), Some(3)),
            row("hosts", Change::Changed, Side::Source, false, Some(4), Some(5)),
            row("res.cpu", Change::Changed, Side::Source, false, Some(8), Some(7)),
            row("res.memory", Change::Changed, Side::Target, false, Some(9), Some(9)),
            row("new.deep.x", Change::Added, Side::Source, false, Some(11), None),
            row("old", Change::Removed, Side::Source, false, None, Some(4)),
        ]
    );
    assert_eq!(rows[0].base, Some(json!(1)));
    assert!(promote(SOURCE, TARGET, None).unwrap().iter().all(|row| row.changed_in == Side::Unknown && !row.conflict));
    assert_eq!(promote(SOURCE, SOURCE, Some(BASE)).unwrap(), []);
}

#[test]
fn chosen_paths_are_taken_over_and_the_rest_stays() {
    let new = apply_promotion(SOURCE, TARGET, &paths(&["log", "hosts", "res.cpu", "new", "old"])).unwrap();
    assert_eq!(
        new,
        "# qa\nreplicaCount: 5   # measured\nlog: 'debug'\nhosts:   # one\n  - a\n  - b\nres:\n  cpu: 2\n  # enough\n  memory: 4Gi\nnew:\n  deep:\n    x: 1.1\n"
    );
    assert_eq!(apply_promotion(SOURCE, TARGET, &[]).unwrap(), TARGET);
    assert!(apply_promotion(SOURCE, TARGET, &paths(&["nowhere"])).is_err());
    assert!(apply_promotion(SOURCE, TARGET, &paths(&["hosts[0]"])).is_err());
}

#[test]
fn a_subtree_the_source_lacks_goes_as_a_whole() {
    let new = apply_promotion("a: 1\n", "a: 1\nb:\n  c:\n    d: 1\n  e: 2\nf: 1\n", &paths(&["b"])).unwrap();
    assert_eq!(new, "a: 1\nf: 1\n");
    let new = apply_promotion("a: 1\n", "a: 1\nb:\n  c:\n    d: 1\n  e: 2\nf: 1\n", &paths(&["b.c.d"])).unwrap();
    assert_eq!(new, "a: 1\nb:\n  e: 2\nf: 1\n");
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (0..5i64).prop_map(Value::from),
        prop::sample::select(vec!["no", "x", "", "1.0", "a: b"]).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        prop::collection::vec((0..3i64).prop_map(Value::from), 0..3).prop_map(Value::from),
    ];
    let inner = leaf.prop_recursive(3, 24, 4, |inner| {
        prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
    });
    prop::collection::btree_map("[a-e]", inner, 1..5).prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// A tree as somebody could have written it, with comments.
fn written(tree: &Value, indent: usize, out: &mut String) {
    for (key, value) in tree.as_object().unwrap() {
        let pad = " ".repeat(indent);
        match value {
            Value::Object(map) if !map.is_empty() => {
                *out += &format!("{pad}{key}: # holds {}\n", map.len());
                written(value, indent + 2, out);
            }
            other => *out += &format!("{pad}# about {key}\n{pad}{key}: {other}   # was\n"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn taking_everything_over_makes_the_trees_equal(source in tree(), target in tree(), base in tree()) {
        let (mut from, mut to, mut old) = (String::new(), String::new(), String::new());
        written(&source, 0, &mut from);
        written(&target, 0, &mut to);
        written(&base, 0, &mut old);
        let rows = promote(&from, &to, Some(&old)).unwrap();
        for row in &rows {
            prop_assert!(row.source != row.target);
            prop_assert_eq!(row.conflict, row.source != row.base && row.target != row.base);
        }
        let all: Vec<KeyPath> = rows.iter().map(|row| row.path.clone()).collect();
        let new = apply_promotion(&from, &to, &all).unwrap();
        let left = promote(&from, &new, None).unwrap();
        prop_assert!(left.iter().all(|row| row.source.is_none() && row.target == Some(json!({}))), "{:?}\n{}", left, new);
    }

    #[test]
    fn taking_one_row_over_changes_that_row_alone(source in tree(), target in tree(), pick in any::<prop::sample::Index>()) {
        let (mut from, mut to) = (String::new(), String::new());
        written(&source, 0, &mut from);
        written(&target, 0, &mut to);
        let rows = promote(&from, &to, None).unwrap();
        prop_assume!(!rows.is_empty());
        let row = &rows[pick.index(rows.len())];
        let new = apply_promotion(&from, &to, std::slice::from_ref(&row.path)).unwrap();
        let left = promote(&from, &new, None).unwrap();
        let done = left.iter().all(|other| other.path != row.path || other.target == Some(json!({})));
        prop_assert!(done, "{}", new);
        for other in rows.iter().filter(|other| !other.path.is_within(&row.path) && !row.path.is_within(&other.path)) {
            prop_assert!(left.iter().any(|one| one.path == other.path && one.target == other.target), "{}\n{}", other.path, new);
        }
    }
}

#[test]
fn the_matrix_holds_only_what_differs() {
    let defaults = json!({"replicaCount": 1, "log": "info", "image": {"tag": "", "pullPolicy": "Always"}, "hosts": ["a"], "res": {}});
    let dev = json!({"log": "debug"});
    let prod = read("replicaCount: 3\nhosts: [b, c]\nres: {cpu: 1}\n").unwrap();
    let tag = |tag: &str| vec![Parameter { name: "image.tag".into(), value: tag.into() }];
    let (a, b, c) = (tag("1.2"), tag("1.1"), tag("1.1"));
    let found = matrix(&[
        EnvironmentValues { name: "dev", defaults: &defaults, file: &dev, parameters: &a },
        EnvironmentValues { name: "qa", defaults: &defaults, file: &Value::Null, parameters: &b },
        EnvironmentValues { name: "prod", defaults: &defaults, file: &prod, parameters: &c },
    ]);
    assert_eq!(found.environments, ["dev", "qa", "prod"]);
    let told: Vec<_> = found
        .rows
        .iter()
        .map(|row| {
            let cells: Vec<_> =
                row.cells.iter().map(|cell| cell.as_ref().map(|one| (one.value.clone(), one.source))).collect();
            (row.path.as_str(), cells)
        })
        .collect();
    let default = |value: Value| Some((value, Source::Default));
    let file = |value: Value| Some((value, Source::File));
    let parameter = |value: &str| Some((json!(value), Source::Parameter));
    assert_eq!(
        told,
        [
            ("replicaCount", vec![default(json!(1)), default(json!(1)), file(json!(3))]),
            ("log", vec![file(json!("debug")), default(json!("info")), default(json!("info"))]),
            ("image.tag", vec![parameter("1.2"), parameter("1.1"), parameter("1.1")]),
            ("hosts", vec![default(json!(["a"])), default(json!(["a"])), file(json!(["b", "c"]))]),
            ("res", vec![default(json!({})), default(json!({})), None]),
            ("res.cpu", vec![None, None, file(json!(1))]),
        ]
    );
    assert_eq!(found.same, 1);
}
