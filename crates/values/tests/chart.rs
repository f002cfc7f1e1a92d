//! What a chart's schema and defaults say about a values file, and the help they give while it is written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::type_complexity, missing_docs)]

use pilothouse_values::{Chart, KeyPath, Parameter, Schema, Severity, check, completions, hover, key_at, validate};
use serde_json::json;

const DEFAULTS: &str = "# -- Number of pods
replicaCount: 1
image:
  repository: registry.example.com/cart
  # How often the image is fetched
  pullPolicy: IfNotPresent
  tag: \"\"
service:
  type: ClusterIP
  port: 8080 # where it listens
env:
  - name: A
    value: one
ingress:
  enabled: false
  hosts: []
nodeSelector: {}
## @param metrics.enabled [boolean] Whether metrics are served
metrics:
  enabled: true
";

fn schema() -> String {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://example.com/cart.json",
        "type": "object",
        "additionalProperties": false,
        "required": ["replicaCount", "owner"],
        "properties": {
            "owner": {"type": "string", "minLength": 2, "description": "Who answers for it"},
            "replicaCount": {"type": "integer", "minimum": 1, "maximum": 20, "description": "How many pods run"},
            "image": {"type": "object", "properties": {"pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]}}},
            "service": {"$ref": "#/definitions/service"},
            "env": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "pattern": "^[A-Z_]+$"}}}},
            "ingress": {"type": "object"},
            "nodeSelector": {"type": "object", "additionalProperties": {"type": "string"}},
            "metrics": {"type": "object", "properties": {"enabled": {"type": ["boolean", "null"]}}}
        },
        "definitions": {"service": {"type": "object", "properties": {"type": {"enum": ["ClusterIP", "NodePort"]}, "port": {"type": "integer"}}}}
    })
    .to_string()
}

fn chart() -> Chart {
    let chart = Chart::new(Some(DEFAULTS), Some(&schema()));
    assert!(chart.problems().is_empty(), "{:?}", chart.problems());
    chart
}

#[test]
fn faults_stand_at_the_key_or_value_they_are_about() {
    let chart = chart();
    let table: &[(&str, &[(usize, usize, &str)])] = &[
        ("owner: me\n", &[]),
        ("owner: me\nreplicaCount: two\n", &[(2, 15, "`replicaCount` must be a whole number, but is text.")]),
        ("owner: me\nreplicaCount: 99\n", &[(2, 15, "`replicaCount` must be at most 20.")]),
        ("owner: me\nreplicas: 2\n", &[(2, 1, "`replicas` is no key the chart's schema allows.")]),
        ("replicaCount: 2\n", &[(1, 1, "The values must have the key `owner`.")]),
        (
            "owner: me\nimage:\n  # x\n  pullPolicy: Sometimes\n",
            &[(4, 15, "`image.pullPolicy` must be one of Always, IfNotPresent, Never.")],
        ),
        ("owner: me\nservice: {port: \"80\"}\n", &[(2, 17, "`service.port` must be a whole number, but is text.")]),
        (
            "owner: me\nenv:\n  - name: OK\n  - value: x\n  - name: bad\n",
            &[(4, 5, "`env[1]` must have the key `name`."), (5, 11, "`env[2].name` must match the pattern ^[A-Z_]+$.")],
        ),
        ("owner: me\nnodeSelector:\n  ssd: true\n", &[(3, 8, "`nodeSelector.ssd` must be text, but is a boolean.")]),
        ("owner: me\nmetrics:\n  enabled: no\n", &[]),
        ("owner: [\n", &[]),
    ];
    for (text, expected) in table {
        let found = validate(text, &chart, &[]);
        let told: Vec<_> = found.iter().map(|one| (one.line, one.column, one.message.as_str())).collect();
        assert_eq!(&told, expected, "{text}");
        assert!(found.iter().all(|one| one.severity == Severity::Error && one.code == "schema"));
    }
}

#[test]
fn what_the_file_cannot_mend_is_not_told() {
    let strict = Chart::new(Some("replicaCount: none\n"), Some(&schema()));
    // The default itself does not fit; a file that does not touch it is not blamed, one that mends it is clean.
    assert_eq!(validate("owner: me\n", &strict, &[]), []);
    assert_eq!(validate("owner: me\nreplicaCount: 2\n", &strict, &[]), []);
    // A parameter wins over the file, so the file's value is not what counts.
    let passed = [Parameter { name: "replicaCount".into(), value: "3".into() }];
    assert_eq!(validate("owner: me\nreplicaCount: none\n", &chart(), &passed), []);
}

#[test]
fn a_missing_key_is_told_once_the_file_could_hold_it() {
    let schema = json!({"properties": {"db": {"type": "object", "required": ["host"]}}}).to_string();
    let chart = Chart::new(Some("db: {}\n"), Some(&schema));
    let found = validate("db:\n  port: 1\n", &chart, &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].line, found[0].column), (1, 1));
    assert_eq!(found[0].message, "`db` must have the key `host`.");
}

#[test]
fn hostile_schemas_are_refused_and_nothing_is_fetched() {
    let deep = format!("{}true{}", "{\"not\":".repeat(5_000), "}".repeat(5_000));
    for (schema, why) in [
        ("{\"$ref\": \"https://example.com/x.json\"}".to_owned(), "leads out of the file"),
        ("{\"properties\": {\"a\": {\"$ref\": \"file:///etc/passwd\"}}}".to_owned(), "leads out of the file"),
        ("{\"properties\": {\"a\": {\"$ref\": \"other.json#/a\"}}}".to_owned(), "leads out of the file"),
        (deep, "not JSON"),
        ("[]".to_owned(), "neither"),
        ("{\"type\": 5}".to_owned(), ""),
        ("{\"pattern\": \"(\"}".to_owned(), ""),
        (" ".repeat(pilothouse_values::SCHEMA_LIMIT + 1), "the most"),
        (json!({"anyOf": vec![json!({"pattern": "^a{1,60}$"}); 300]}).to_string(), "more than 256 patterns"),
    ] {
        let error = Schema::parse(&schema).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn of_many_allowed_values_the_first_are_offered() {
    let many: Vec<String> = (0..60_000).map(|n| format!("v{n}")).collect();
    let chart = Chart::new(None, Some(&json!({"properties": {"a": {"enum": many}, "b": {"enum": ["x"]}}}).to_string()));
    let about = |key: &str| chart.about(&pilothouse_values::KeyPath::parse(key).unwrap()).unwrap();
    assert_eq!((about("a").allowed.len(), about("a").allows_more), (200, true));
    assert_eq!((about("b").allowed.len(), about("b").allows_more), (1, false));
    assert_eq!(completions("a: v\n", 1, 5, &chart).len(), 200);
}

#[test]
fn schemas_that_refer_to_themselves_end() {
    // A tree refers to itself, as it may.
    let tree = json!({"$ref": "#/definitions/node", "definitions": {"node": {"properties": {"next": {"$ref": "#/definitions/node"}, "size": {"type": "integer"}}}}});
    let chart = Chart::new(None, Some(&tree.to_string()));
    let found = validate("next:\n  next:\n    size: x\n", &chart, &[]);
    assert_eq!(found.iter().map(|one| (one.line, one.column)).collect::<Vec<_>>(), [(3, 11)]);
    assert!(hover("next:\n  next:\n    size: 1\n", 3, 6, &chart).is_some());

    let own_tail = json!({"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"allOf": [{"$ref": "#/definitions/a"}]}}});
    // Each level asks for the next one twice: 2^40 steps if they were taken.
    let mut definitions = serde_json::Map::new();
    for level in 0..40 {
        let next = format!("#/definitions/l{}", level + 1);
        definitions.insert(format!("l{level}"), json!({"allOf": [{"$ref": next}, {"$ref": next}]}));
    }
    definitions.insert("l40".into(), json!({"type": "object"}));
    let laughs = json!({"$ref": "#/definitions/l0", "definitions": definitions});
    for schema in [own_tail, laughs] {
        let chart = Chart::new(Some("a: 1\n"), Some(&schema.to_string()));
        let found = check("a: 2\n", &chart, &[]);
        assert!(chart.problems().len() + found.len() > 0);
        assert!(found.iter().all(|one| one.code == "schema-unused"), "{found:?}");
        completions("\n", 1, 1, &chart);
        hover("a: 1\n", 1, 1, &chart);
    }
}

fn offered(text: &str, line: usize, column: usize) -> Vec<String> {
    completions(text, line, column, &chart()).into_iter().map(|one| one.label).collect()
}

#[test]
fn keys_are_offered_where_they_belong() {
    assert_eq!(offered("", 1, 1)[..2], ["replicaCount", "image"]);
    assert_eq!(offered("replicaCount: 2\nim", 2, 3), ["image"]);
    assert_eq!(offered("image:\n  ", 2, 3), ["repository", "pullPolicy", "tag"]);
    assert_eq!(offered("image:\n  tag: x\n  ", 3, 3), ["repository", "pullPolicy"]);
    // The text does not parse while the key is unfinished, and lines below count too.
    assert_eq!(offered("image:\n  pul\n  tag: x\nservice:\n  port: 1\n", 2, 6), ["pullPolicy"]);
    assert_eq!(offered("service:\n  port: 1\n\n", 3, 1).first().unwrap(), "replicaCount");
    assert!(!offered("service:\n  port: 1\n\n", 3, 1).contains(&"service".to_owned()));
    assert_eq!(offered("env:\n  - name: A\n    \n", 3, 5), ["value"]);
    assert_eq!(offered("env:\n- value: A\n- value: B\n  \n", 4, 3), ["name"]);
    assert_eq!(offered("env:\n  - ", 2, 5), ["name", "value"]);
    assert_eq!(offered("# im", 1, 5), Vec::<String>::new());
    assert_eq!(offered("x: |\n  im", 2, 5), Vec::<String>::new());
    let added = &completions("", 1, 1, &chart());
    assert_eq!(added[0].insert, "replicaCount: ");
    assert_eq!(added[0].detail, "a whole number, default 1, required");
    assert_eq!(added[0].description, "How many pods run");
    assert_eq!(added[1].insert, "image:\n  ");
}

#[test]
fn values_are_offered_behind_their_key() {
    assert_eq!(offered("image:\n  pullPolicy: ", 2, 15), ["Always", "IfNotPresent", "Never"]);
    assert_eq!(offered("image:\n  pullPolicy: If", 2, 17), ["IfNotPresent"]);
    assert_eq!(offered("metrics:\n  enabled: ", 2, 12), ["true", "false"]);
    assert_eq!(offered("service:\n  type: N", 2, 10), ["NodePort"]);
    let one = &completions("image:\n  pullPolicy: If", 2, 17, &chart())[0];
    assert_eq!((one.from, one.detail.as_str()), (15, "the chart's default"));
}

#[test]
fn hover_tells_default_comment_and_type() {
    let text = "replicaCount: 3\nimage:\n  pullPolicy: Always\nservice:\n  port: 80\nenv:\n  - name: B\nunknown: 1\n";
    let at = |line, column| hover(text, line, column, &chart());
    let replicas = at(1, 3).unwrap();
    assert_eq!((replicas.path.as_str(), replicas.default.as_deref()), ("replicaCount", Some("1")));
    assert_eq!(replicas.description.as_deref(), Some("How many pods run"));
    assert_eq!(replicas.kind.as_deref(), Some("a whole number"));
    assert!(replicas.required);
    let policy = at(3, 16).unwrap();
    assert_eq!(policy.description.as_deref(), Some("How often the image is fetched"));
    assert_eq!(policy.allowed, ["Always", "IfNotPresent", "Never"]);
    assert_eq!(at(5, 4).unwrap().description.as_deref(), Some("where it listens"));
    assert_eq!(at(7, 6).unwrap().path, "env[0].name");
    assert_eq!(at(8, 2), None);
    assert_eq!(key_at(text, 8, 2).unwrap().to_string(), "unknown");
    let plain = Chart::new(Some(DEFAULTS), None);
    assert_eq!(hover(text, 1, 3, &plain).unwrap().description.as_deref(), Some("Number of pods"));
    assert_eq!(
        plain.about(&KeyPath::parse("metrics.enabled").unwrap()).unwrap().description.as_deref(),
        Some("Whether metrics are served")
    );
}

#[test]
fn everything_is_told_before_a_commit_and_nothing_twice() {
    let text = "owner: me\nreplicaCount: \"2\"\nreplicas: 2\nimage:\n  tag: x\nservice:\n  type: no\n  port:\nmetrics: {enabled: yes}\npassword: hunter22\n";
    let found = check(text, &chart(), &[]);
    let told: Vec<_> = found.iter().map(|one| (one.line, one.code)).collect();
    assert_eq!(
        told,
        [
            (2, "schema"),
            (3, "schema"),
            (5, "passed-as-parameter"),
            (7, "norway-word"),
            (7, "schema"),
            (8, "null-removes"),
            (9, "norway-word"),
            (10, "schema"),
            (10, "clear-text-secret"),
        ],
        "{found:#?}"
    );
    assert!(found.iter().all(|one| !one.message.contains("hunter22")));
}

#[test]
fn type_changes_are_told_with_both_types() {
    let plain = Chart::new(Some(DEFAULTS), None);
    let table: &[(&str, &[(usize, usize, &str, Severity)])] = &[
        ("replicaCount: two\n", &[(1, 15, "type-differs", Severity::Warning)]),
        ("env: {A: one}\n", &[(1, 6, "type-differs", Severity::Warning)]),
        ("env:\n  A: one\n", &[(2, 3, "type-differs", Severity::Warning)]),
        ("service: [80]\n", &[(1, 10, "type-differs", Severity::Warning)]),
        ("image:\n  pullPolicy: 5\n", &[(2, 15, "type-differs", Severity::Warning)]),
        ("ingress:\n  enabled: \"false\"\n", &[(2, 12, "type-differs", Severity::Warning)]),
        ("service: null\n", &[(1, 10, "null-removes", Severity::Hint)]),
        ("service:\n", &[(1, 1, "null-removes", Severity::Warning)]),
        ("nodeSelector:\n", &[(1, 1, "null-removes", Severity::Hint)]),
        ("ingress: {enabled: on}\n", &[]),
        ("replicaCount: 1.5\n", &[]),
    ];
    for (text, expected) in table {
        let found = pilothouse_values::keys_without_effect(text, plain.defaults(), &[]);
        let told: Vec<_> = found.iter().map(|one| (one.line, one.column, one.code, one.severity)).collect();
        assert_eq!(&told, expected, "{text}");
    }
}

#[test]
fn keys_and_values_are_offered_in_brackets() {
    let chart = Chart::new(
        Some("service: {type: ClusterIP, port: 80, name: x}\nhosts:\n- {name: a, path: /}\n"),
        Some(r#"{"properties":{"service":{"properties":{"type":{"enum":["ClusterIP","NodePort"]}}}}}"#),
    );
    let offered = |text: &str| {
        let (line, at) = text.lines().enumerate().find_map(|(no, line)| Some((no + 1, line.find('^')?))).unwrap();
        let column = text.lines().nth(line - 1).unwrap()[..at].chars().count() + 1;
        let found = completions(&text.replace('^', ""), line, column, &chart);
        found.into_iter().map(|one| (one.insert, one.from)).collect::<Vec<_>>()
    };
    let pairs = |all: &[(&str, usize)]| all.iter().map(|(text, from)| ((*text).to_owned(), *from)).collect::<Vec<_>>();
    assert_eq!(offered("service: {^"), pairs(&[("type: ", 11), ("port: ", 11), ("name: ", 11)]));
    assert_eq!(offered("service: {port: 1, t^}\n"), pairs(&[("type: ", 20)]));
    assert_eq!(offered("service: {^, name: y, type: z}\n"), pairs(&[("port: ", 11)]));
    assert_eq!(offered("service: {type: ^}\n"), pairs(&[("ClusterIP", 17), ("NodePort", 17)]));
    assert_eq!(offered("service: {\n  port: 80, # {\n  type: No^\n}\n"), pairs(&[("NodePort", 9)]));
    assert_eq!(offered("a: 1\nhosts:\n  - {name: \"x, {\", ^}\n"), pairs(&[("path: ", 20)]));
    assert_eq!(offered("hosts: [{name: x}, {^"), pairs(&[("name: ", 21), ("path: ", 21)]));
    assert_eq!(offered("service: {port: 80}\n^"), pairs(&[("hosts:\n  - ", 1)]));
    for text in ["service: {port: 80, # ty^\n", "service: 'x {^'\n"] {
        assert_eq!(offered(text), [], "{text}");
    }
}

#[test]
fn what_patterns_say_of_keys_is_offered() {
    let schema = r#"{"properties":{"ports":{"patternProperties":{
        "^(http|https)$":{"type":"object","properties":{"port":{"type":"integer","description":"Where it listens."}}},
        "^x-":{"enum":["on","off"]},
        "(unclosed":{"type":"string"}},
        "additionalProperties":{"type":"boolean"}}}}"#;
    // A pattern that no engine takes makes the schema useless; it is told, and nothing else breaks.
    assert!(!Chart::new(None, Some(schema)).has_schema());
    let chart = Chart::new(None, Some(&schema.replace("(unclosed", "^unclosed")));
    let names = |text: &str, line, column| -> Vec<String> {
        completions(text, line, column, &chart).into_iter().map(|one| one.label).collect()
    };
    assert_eq!(names("ports:\n  ", 2, 3), ["http", "https"]);
    assert_eq!(names("ports:\n  http:\n    ", 3, 5), ["port"]);
    assert_eq!(names("ports:\n  x-mode: ", 2, 11), ["on", "off"]);
    let about = |path: &str| chart.about(&KeyPath::parse(path).unwrap()).and_then(|one| one.kind);
    assert_eq!(about("ports.https.port").as_deref(), Some("a whole number"));
    assert_eq!(about("ports.other").as_deref(), Some("true or false"));
    assert_eq!(about("ports.x-mode"), None, "a pattern that fits goes before additionalProperties");
}
