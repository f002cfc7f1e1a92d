//! YAML as it must not hurt: too large, too deep, unfolding, oddly written; and edits that leave the rest alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use pilothouse_values::{
    Chart, Error, KeyPath, LIMIT, check, completions, diagnose, hover, read, remove_path, set_path,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn path(text: &str) -> KeyPath {
    KeyPath::parse(text).unwrap()
}

/// Everything that takes a text takes this one without harm; the text is refused.
fn refused(text: &str) -> Error {
    let chart = Chart::new(Some("a: 1\n"), None);
    let found = check(text, &chart, &[]);
    assert!(!found.is_empty() && found.len() <= 200);
    assert!(found.iter().any(|one| one.severity == pilothouse_values::Severity::Error), "{found:?}");
    assert!(set_path(text, &path("a"), &json!(2)).is_err());
    assert!(remove_path(text, &path("a")).is_err());
    completions(text, 1, 1, &chart);
    hover(text, 1, 1, &chart);
    assert!(!Chart::new(Some(text), None).problems().is_empty());
    read(text).unwrap_err()
}

#[test]
fn case_25_billion_laughs_are_refused() {
    let mut text = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", "));
    }
    let error = refused(&text);
    assert!(matches!(error, Error::Syntax { .. }), "{error}");
    // The same through merge keys.
    let mut text = "a: &a0 {k: v}\n".to_owned();
    for level in 1..30 {
        text += &format!("a{level}: &a{level} {{l: {{<<: *a{0}}}, r: {{<<: *a{0}}}}}\n", level - 1);
    }
    refused(&text);
}

#[test]
fn case_25_ten_thousand_levels_are_refused() {
    for text in [
        format!("a: {}", "[".repeat(10_000)),
        format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000)),
        "{a: ".repeat(10_000),
        "- ".repeat(10_000),
        "? ".repeat(10_000),
        format!("a: {}", "[".repeat(1_000_000)),
        (0..1_400).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>(),
    ] {
        let error = refused(&text);
        assert!(matches!(error, Error::Syntax { .. }), "{error}");
    }
}

#[test]
fn case_25_a_million_keys_and_a_hundred_megabytes_are_refused() {
    let keys: String = (0..1_000_000).map(|n| format!("k{n}: 1\n")).collect();
    let scalar = format!("a: {}\n", "x".repeat(100 * 1024 * 1024));
    for text in [keys, scalar] {
        assert!(matches!(refused(&text), Error::TooLarge { limit: LIMIT, .. }));
    }
}

#[test]
fn case_26_odd_texts_have_their_meaning_or_their_error() {
    assert!(refused("a: 1\nb: {c: 1, c: 2}\n").to_string().contains("duplicate"));
    assert!(diagnose("a: 1\nb: 1\na: 2\n").iter().any(|one| one.code == "duplicate-key" && one.line == 3));
    // The same key spelled otherwise.
    assert!(diagnose("on: 1\n\"true\": 2\n").iter().any(|one| one.code == "duplicate-key" && one.line == 2));
    assert_eq!(read("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n").unwrap()["d"], json!({"b": 1, "e": 2}));
    assert_eq!(read("a: !!binary aGk=\n").unwrap(), json!({"a": "aGk="}));
    assert!(
        diagnose("a:\n\tb: 1\n").iter().any(|one| one.code == "tab-indentation" && (one.line, one.column) == (2, 1))
    );
    assert_eq!(read("\u{feff}a: 1\n").unwrap(), json!({"a": 1}));
    assert_eq!(diagnose("\u{feff}a: no\n")[0].column, 4);
    assert_eq!(read("a: 1\r\nb: x\r\n").unwrap(), json!({"a": 1, "b": "x"}));
    assert_eq!(read("a: 1").unwrap(), json!({"a": 1}));
    // UTF-16 read as if it were UTF-8 is full of zero bytes.
    let sixteen: String = "a: 1\n".chars().flat_map(|ch| [ch, '\0']).collect();
    refused(&sixteen);
}

#[test]
fn case_27_an_edit_changes_its_value_alone() {
    let text = "\u{feff}# top\r\na: &x 'one'   # first\r\nb: [1,  2 , \"3\"]\r\n\r\nc:\r\n    d: |\r\n      text\r\n    e: *x\r\nz: \"last\"";
    for (at, value, old, new) in [
        ("b[1]", json!("no"), "  2 ,", "  \"no\" ,"),
        ("z", json!(7), "\"last\"", "7"),
        ("c.e", json!("x"), "", ""),
        ("c.d", json!("one line"), "|\r\n      text", "one line"),
    ] {
        let done = set_path(text, &path(at), &value);
        if old.is_empty() {
            assert!(done.is_err());
        } else {
            assert_eq!(done.unwrap(), text.replacen(old, new, 1), "{at}");
        }
    }
    // The anchor is used elsewhere, so its value cannot change alone.
    assert!(set_path(text, &path("a"), &json!("two")).is_err());
    assert_eq!(
        set_path(text, &path("c.f"), &json!(1)).unwrap(),
        text.replace("    e: *x\r\n", "    e: *x\r\n    f: 1\r\n")
    );
    assert_eq!(remove_path(text, &path("z")).unwrap(), text.replace("\r\nz: \"last\"", ""));
    assert_eq!(remove_path(text, &path("c.e")).unwrap(), text.replace("    e: *x\r\n", ""));
}

#[test]
fn case_28_words_keep_their_type() {
    let text = "a: no\nb: on\nc: 1e3\nd: 0o17\ne: 1.10\nf: 12:30:45\ng: ''\nh: null\ni:\nj: ~\nk: 2024-01-01\nl: 0x1F\nm: 'no'\n";
    assert_eq!(
        read(text).unwrap(),
        json!({"a": false, "b": true, "c": 1000.0, "d": 15, "e": 1.1, "f": "12:30:45", "g": "", "h": null, "i": null,
               "j": null, "k": "2024-01-01", "l": 31, "m": "no"})
    );
    let told: Vec<_> = diagnose(text).into_iter().map(|one| (one.line, one.code)).collect();
    assert_eq!(
        told,
        [
            (1, "norway-word"),
            (2, "norway-word"),
            (3, "exponent"),
            (4, "number-base"),
            (5, "trailing-zero"),
            (6, "sexagesimal"),
            (12, "number-base")
        ]
    );
    // As texts they are written so that they stay texts, for readers of YAML 1.1 and 1.2.
    for word in
        ["no", "on", "1e3", "0o17", "1.10", "12:30:45", "", "null", "~", "y", "0x1F", ".inf", "1_000", "<<", "="]
    {
        let new = set_path(text, &path("m"), &json!(word)).unwrap();
        assert_eq!(read(&new).unwrap()["m"], json!(word), "{new}");
        assert!(diagnose(&new).iter().all(|one| one.line != 13), "{new}");
    }
    // And an edit elsewhere leaves each as it is written.
    let new = set_path(text, &path("g"), &json!("x")).unwrap();
    assert_eq!(new, text.replace("g: ''", "g: x"));
    assert!(diagnose("a: .inf\n").iter().any(|one| one.code == "not-a-number"));
    assert!(diagnose("a: 12345678901234567890\n").iter().any(|one| one.code == "number-rounded"));
}

#[test]
fn case_29_a_second_document_is_told_at_its_line() {
    let found = diagnose("a: 1\n---\nb: 2\n");
    assert_eq!((found[0].line, found[0].code), (2, "several-documents"));
    assert!(matches!(refused("a: 1\n---\nb: 2\n"), Error::SeveralDocuments { line: 2 }));
    assert_eq!(read("---\na: 1\n...\n").unwrap(), json!({"a": 1}));
}

const WORDS: &[&str] = &[
    "a",
    "b",
    "image",
    "tag",
    ":",
    ": ",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "-",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&x ",
    "*x",
    "!!str ",
    "!x ",
    "|",
    "|+\n",
    ">-\n  ",
    "'",
    "\"",
    "\\",
    "# c",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "no",
    "1e3",
    "0o17",
    "~",
    "<<",
    "<<: ",
    "\t",
    "\r\n",
    "\u{feff}",
    "é",
    "\u{0}",
    "\u{85}",
    "\u{2028}",
    "=",
    "@",
    "`",
    "a: 1\n",
    "b:\n  c: x\n",
    "- d: 1\n",
    "{{ x }}",
];

fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        12 => prop::sample::select(WORDS).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

fn every_path(value: &Value, at: &KeyPath, out: &mut Vec<KeyPath>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            out.push(at.key(key));
            every_path(value, &at.key(key), out);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(index, value)| {
            out.push(at.index(index));
            every_path(value, &at.index(index), out);
        }),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(1_500)
    ))]

    /// The fuzz target of the edit: `PROPTEST_CASES=1000000 cargo test -p pilothouse-values --test hostile case_30`.
    #[test]
    fn case_30_whatever_the_text_nothing_breaks(text in text(), line in 0usize..8, column in 0usize..12, pick in any::<prop::sample::Index>()) {
        let chart = Chart::new(Some("a: 1\nb:\n  c: x # y\nimage: {tag: x}\n"), Some("{\"properties\":{\"a\":{\"type\":\"integer\"}}}"));
        let found = check(&text, &chart, &[]);
        for one in &found {
            prop_assert!(one.line >= 1 && one.line <= text.matches('\n').count() + 2 && one.column >= 1, "{:?}", one);
        }
        completions(&text, line, column, &chart);
        hover(&text, line, column, &chart);
        Chart::new(Some(&text), Some(&text));
        let Ok(tree) = read(&text) else {
            prop_assert!(set_path(&text, &path("a"), &json!(1)).is_err());
            return Ok(());
        };
        let mut paths = Vec::new();
        every_path(&tree, &KeyPath::root(), &mut paths);
        paths.push(path("added.below"));
        let at = &paths[pick.index(paths.len())];
        for value in [json!("no"), json!({"k": [1]}), json!(null), json!("two\nlines\n")] {
            if let Ok(new) = set_path(&text, at, &value) {
                let after = read(&new).unwrap();
                let mut left = Vec::new();
                every_path(&after, &KeyPath::root(), &mut left);
                prop_assert!(left.contains(at), "{:?}", new);
            }
        }
        if let Ok(new) = remove_path(&text, at) {
            prop_assert!(read(&new).is_ok());
            prop_assert!(new.len() <= text.len() + 3);
        }
    }
}

/// A file of `count` keys in groups of ten, a comment at each.
fn long(count: usize) -> String {
    (0..count / 10)
        .map(|group| {
            let inner: String = (0..9).map(|n| format!("  key{n}: value-{n} # about it\n")).collect();
            format!("group{group}:\n{inner}")
        })
        .collect()
}

#[test]
fn long_files_are_within_bounds() {
    // Ten thousand lines, and a hundred thousand keys of one mapping: a quadratic step would take minutes here.
    let text = long(10_000);
    assert_eq!(text.lines().count(), 10_000);
    let chart = Chart::new(Some(&text), Some("{\"additionalProperties\": {\"type\": \"object\"}}"));
    assert!(check(&text, &chart, &[]).is_empty());
    let wide: String = (0..60_000).map(|n| format!("k{n}: {n}\n")).collect();
    assert!(check(&wide, &Chart::new(Some(&wide), None), &[]).is_empty());
    let new = set_path(&wide, &path("k59999"), &json!("x")).unwrap();
    assert!(new.ends_with("k59998: 59998\nk59999: x\n"));
}
