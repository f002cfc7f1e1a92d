//! Promotion between two environments' files, and the table of what differs across environments.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use pilothouse_values::{
    Change, EnvironmentValues, KeyPath, LostComment, Parameter, Side, Source, apply_promotion, comments_lost, matrix,
    promote, read, set_path,
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
        "# qa\nreplicaCount: 5   # measured\nlog: 'debug'\nhosts:   # one\n  - a\n  - b\nres:\n  cpu: 2\n  # enough\n  memory: 4Gi\nnew:\n  deep: {x: 1.10}\n"
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

#[test]
fn what_is_taken_over_is_written_as_the_source_writes_it() {
    let source = "a: 1\nnew:\n    # how it is made\n    version: 1.10   # not 1.1\n    'on': \"no\"\n    octal: 0o17\n    ports:\n    - 8080\n    -   name: x\n        big: 12345678901234567890\n    text: |\n        one\n          two\n\n        three\nlast: 1_000\n";
    let target = "top:\n  a: 1\na: 1\n";
    let new = apply_promotion(source, target, &paths(&["new", "last"])).unwrap();
    assert_eq!(
        new,
        "top:\n  a: 1\na: 1\nnew:\n  # how it is made\n  version: 1.10   # not 1.1\n  'on': \"no\"\n  octal: 0o17\n  ports:\n  - 8080\n  -   name: x\n      big: 12345678901234567890\n  text: |\n      one\n        two\n\n      three\nlast: 1_000\n"
    );
    // An alias leads nowhere in the other file; then the value is written out.
    let source = "x: &x {k: 1.50}\nnew:\n  a: *x\n  b: 2.50\n";
    let new = apply_promotion(source, "a: 1\n", &paths(&["new"])).unwrap();
    assert_eq!(new, "a: 1\nnew:\n  a:\n    k: 1.5\n  b: 2.5\n");
    // Line ends are the target's.
    let new = apply_promotion("new:\n  a: 1.0\n  b: 2\n", "x: 1\r\n", &paths(&["new"])).unwrap();
    assert_eq!(new, "x: 1\r\nnew:\r\n  a: 1.0\r\n  b: 2\r\n");
}

#[test]
fn a_list_keeps_the_lines_of_what_stays_in_it() {
    let target =
        "hosts:\n  # the first\n  - a   # main\n  # the second\n  - b\n  - name: c # inner\n    port: 1\n  # end\n";
    let source = "hosts: [x, a, b2, {name: c, port: 2}, d]\n";
    let new = apply_promotion(source, target, &paths(&["hosts"])).unwrap();
    assert_eq!(
        new,
        "hosts:\n  - x\n  # the first\n  - a   # main\n  # the second\n  - b2\n  - name: c # inner\n    port: 2\n  - d\n  # end\n"
    );
    assert_eq!(comments_lost(target, &new), []);
    let fewer = apply_promotion("hosts: [b]\n", target, &paths(&["hosts"])).unwrap();
    assert_eq!(fewer, "hosts:\n  # the first\n  # the second\n  - b\n  # end\n");
    let lost = |line, text: &str| LostComment { line, text: text.into() };
    assert_eq!(comments_lost(target, &fewer), [lost(3, "# main"), lost(6, "# inner")]);
    // In brackets a list is one value, and what is lost with it is told.
    let flow = "hosts: [a, # one\n  b]\n";
    let new = apply_promotion("hosts: [b, c]\n", flow, &paths(&["hosts"])).unwrap();
    assert_eq!((new.as_str(), comments_lost(flow, &new)), ("hosts: [b, c]\n", vec![lost(1, "# one")]));
}

#[test]
fn a_large_file_is_taken_over_whole() {
    let file = |number: usize| {
        let keys = |n: usize| format!("  key{n}: {}\n", n * number);
        let gone = |n: usize| format!("  only{number}x{n}: 1\n");
        "map:\n".to_owned() + &(0..9_000).map(keys).collect::<String>() + &(0..1_000).map(gone).collect::<String>()
    };
    let (source, target) = (file(1), file(2));
    let rows = promote(&source, &target, None).unwrap();
    assert_eq!(rows.len(), 8_999 + 2_000);
    let all: Vec<KeyPath> = rows.into_iter().map(|row| row.path).collect();
    let new = apply_promotion(&source, &target, &all).unwrap();
    assert_eq!(read(&new).unwrap(), read(&source).unwrap());
}

fn items() -> impl Strategy<Value = Vec<Value>> {
    let item = prop_oneof![
        (0..4i64).prop_map(Value::from),
        prop::sample::select(vec!["no", "x", "1.0"]).prop_map(Value::from),
        (0..3i64, 0..3i64).prop_map(|(name, port)| json!({"name": name, "port": port})),
        prop::collection::vec(0..3i64, 1..3).prop_map(Value::from),
    ];
    prop::collection::vec(item, 1..7)
}

/// A list as somebody could have written it, with a comment above each entry.
fn listed(items: &[Value], indent: usize) -> String {
    let pad = " ".repeat(indent);
    let mut out = "# top\nlist: # all\n".to_owned();
    for (place, item) in items.iter().enumerate() {
        out += &format!("{pad}# above {place}\n");
        match item.as_object() {
            Some(map) => out += &format!("{pad}- name: {}\n{pad}  port: {}   # port\n", map["name"], map["port"]),
            None => out += &format!("{pad}- {item}\n"),
        }
    }
    out + "other: 1.50 # last\n"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_list_that_becomes_another_keeps_the_comments_between_its_entries(
        old in items(), new in items(), indent in 0..5usize,
    ) {
        let text = listed(&old, indent);
        let done = set_path(&text, &KeyPath::parse("list").unwrap(), &Value::from(new.clone())).unwrap();
        prop_assert_eq!(&read(&done).unwrap()["list"], &Value::from(new.clone()), "{}", done);
        prop_assert!(done.starts_with("# top\nlist: # all\n") && done.ends_with("other: 1.50 # last\n"), "{}", done);
        for lost in comments_lost(&text, &done) {
            prop_assert_eq!(&lost.text, "# port", "{}", done);
        }
        let source = listed(&new, 2);
        let taken = apply_promotion(&source, &text, &[KeyPath::parse("list").unwrap()]).unwrap();
        prop_assert_eq!(&read(&taken).unwrap()["list"], &Value::from(new), "{}", taken);
        prop_assert!(comments_lost(&text, &taken).iter().all(|lost| lost.text == "# port"), "{}", taken);
    }

    #[test]
    fn a_subtree_is_copied_with_its_numbers(source in tree(), column in 1..4usize) {
        let mut from = "new:\n".to_owned();
        written(&source, 1 + column, &mut from);
        let target = "a:\n    b: 1 # four\n";
        let done = apply_promotion(&from, target, &paths(&["new"])).unwrap();
        prop_assert_eq!(&read(&done).unwrap()["new"], &source, "{}", done);
        prop_assert!(done.starts_with(target), "{}", done);
        let bare = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
        prop_assert_eq!(&bare(&done)[2..], &bare(&from)[..], "{}", done);
    }
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
