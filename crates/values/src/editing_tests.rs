//! Edits and what they leave as it was.

use super::*;
use crate::outline::outline;
use proptest::prelude::*;
use serde_json::json;

fn set(text: &str, path: &str, value: Value) -> String {
    set_path(text, &KeyPath::parse(path).unwrap(), &value).unwrap()
}

const FILE: &str = "# Values of cart\nreplicaCount: 1 # one is enough\n\nimage:\n  # from the registry\n  pullPolicy: \"Always\"\n\nhosts:\n  - name: a # first\n  - name: b\nflow: {x: 1, list: [1, 2]}\nlong: |\n  one\n  two\nempty:\n";

#[test]
fn an_existing_scalar_is_replaced_alone() {
    let table = [
        ("replicaCount", json!(3), "replicaCount: 1 #", "replicaCount: 3 #"),
        ("image.pullPolicy", json!("IfNotPresent"), "\"Always\"", "IfNotPresent"),
        ("image.pullPolicy", json!("no"), "\"Always\"", "\"no\""),
        ("hosts[0].name", json!("1.0"), "name: a #", "name: \"1.0\" #"),
        ("flow.list[1]", json!("x, y"), "[1, 2]", "[1, \"x, y\"]"),
    ];
    for (path, value, old, new) in table {
        assert_eq!(set(FILE, path, value), FILE.replacen(old, new, 1), "{path}");
    }
}

#[test]
fn keys_are_added_and_larger_values_replaced() {
    for (path, value) in [
        ("image.tag", json!("x")),
        ("resources.limits.cpu", json!("500m")),
        ("flow.z", json!(true)),
        ("empty", json!({"a": [1]})),
        ("long", json!("short")),
        (r"annotations.prometheus\.io/port", json!("8080")),
        ("flow", json!(1)),
        ("empty.below", json!(1)),
        ("hosts[1].port", json!(80)),
    ] {
        let path = KeyPath::parse(path).unwrap();
        let new = set_path(FILE, &path, &value).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(path.find(&read(&new).unwrap()), Some(&value), "{new}");
    }
}

#[test]
fn files_of_comments_only_get_their_first_key() {
    assert_eq!(set("# x\n", "a.b", json!(1)), "# x\na:\n  b: 1\n");
    assert_eq!(set("", "a", json!("no")), "a: \"no\"\n");
    assert_eq!(set("# x\r\n", "a", json!(1)), "# x\r\na: 1\r\n");
}

#[test]
fn windows_line_ends_stay() {
    let text = "a: 1\r\nb:\r\n  c: 2\r\n";
    assert_eq!(set(text, "b.c", json!(3)), "a: 1\r\nb:\r\n  c: 3\r\n");
    let grown = set(text, "b.d", json!(4));
    assert_eq!(grown.matches('\n').count(), grown.matches("\r\n").count(), "{grown:?}");
}

#[test]
fn edits_that_would_change_more_are_refused() {
    for (text, path) in [
        ("a: &x {k: 1}\nb: *x\n", "b.k"),
        ("a: 1\n", "a.b"),
        ("a: [1]\n", "a[5]"),
        ("a: 1\na: 2\n", "a"),
        ("- a\n", "a"),
    ] {
        assert!(set_path(text, &KeyPath::parse(path).unwrap(), &json!(2)).is_err(), "{text}");
    }
}

#[test]
fn the_same_value_changes_nothing() {
    assert_eq!(set(FILE, "replicaCount", json!(1)), FILE);
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["no", "on", "y", "0x1", "1e3", "null", "~", "a: b", "#", "- x"])
            .prop_map(Value::from)
    ]
}

/// A file of `keys` keys with a comment on each line, two levels deep.
fn written(keys: &[(String, i64, bool)]) -> String {
    let mut text = "# top\n".to_owned();
    for (place, (key, number, nested)) in keys.iter().enumerate() {
        if *nested {
            text += &format!(
                "{key}{place}: # {number}\n    inner: {number}   # about {key}\n    # after\n    list:\n    - {number}\n\n"
            );
        } else {
            text += &format!("{key}{place}:   '{number}'  # about {key}\n");
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn outside_the_value_every_byte_stays(
        keys in prop::collection::vec(("[a-z]{1,6}", 0i64..100_000, any::<bool>()), 1..8),
        pick in any::<prop::sample::Index>(),
        value in values(),
    ) {
        let text = written(&keys);
        let place = pick.index(keys.len());
        let (key, _, nested) = &keys[place];
        let path = KeyPath::root().key(&format!("{key}{place}"));
        let path = if *nested { path.key("inner") } else { path };
        let outline = outline(&text);
        let range = outline.entries[outline.follow(&path).0.unwrap()].value.clone().unwrap();
        let new = set_path(&text, &path, &value).unwrap();
        prop_assert!(new.starts_with(&text[..range.start]));
        prop_assert!(new.ends_with(&text[range.end..]));
        let tree = read(&new).unwrap();
        prop_assert_eq!(path.find(&tree), Some(&value));
    }

    #[test]
    fn a_new_key_leaves_every_line(
        keys in prop::collection::vec(("[a-z]{1,6}", 0i64..100_000, any::<bool>()), 1..8),
        pick in any::<prop::sample::Index>(),
        value in values(),
    ) {
        let text = written(&keys);
        let place = pick.index(keys.len());
        let (key, _, nested) = &keys[place];
        let path = if *nested { KeyPath::root().key(&format!("{key}{place}")).key("added") } else { KeyPath::root().key("Added") };
        let new = set_path(&text, &path, &value).unwrap();
        let mut lines = new.lines();
        for line in text.lines() {
            prop_assert!(lines.any(|other| other == line), "{:?} is gone from\n{}", line, new);
        }
    }
}
