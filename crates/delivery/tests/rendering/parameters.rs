//! Parameters, given to Helm without a command line, against Helm's own `--set` and `--set-string`.

use std::path::Path;
use std::process::Command;

use super::*;

/// Shows every value as a template sees it: how it is written, and of what kind it is.
const SHOWN: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: all}\ndata:\n  all: {{ .Values | toJson | quote }}\n  \
    seen: {{ include \"seen\" .Values | quote }}\n\
    {{- define \"seen\" }}{{ if kindIs \"map\" . }}{{ range $k, $v := . }}{{ $k }}({{ include \"seen\" $v }}){{ end }}\
    {{ else if kindIs \"slice\" . }}{{ range . }}[{{ include \"seen\" . }}]{{ end }}\
    {{ else }}{{ kindOf . }} {{ . }}{{ end }}{{ end }}\n";

fn parameter(name: &str, value: &str, force_string: bool) -> HelmParameter {
    HelmParameter { name: name.into(), value: value.into(), force_string }
}

/// What Helm makes of parameters on its command line, with the commas of their values escaped as Argo CD does.
fn by_command_line(helm: &Helm, folder: &Path, values: &Path, parameters: &[HelmParameter]) -> Option<String> {
    let mut command = Command::new(&helm.program);
    command.arg("template").arg("--namespace=shop").arg(format!("--values={}", values.display()));
    for one in parameters {
        let list = one.value.starts_with('{') && one.value.ends_with('}');
        let escaped = || one.value.replace("\\,", ",").replace(',', "\\,");
        let value = if list { one.value.clone() } else { escaped() };
        let flag = if one.force_string { "--set-string" } else { "--set" };
        command.arg(format!("{flag}={}={value}", one.name));
    }
    for name in ["HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, folder);
    }
    let ended = command.args(["--", "cart"]).arg(folder.join("chart")).output().unwrap();
    ended.status.success().then(|| String::from_utf8(ended.stdout).unwrap())
}

/// The data of the one object.
fn data(text: &str) -> serde_json::Value {
    let mut mask = Mask::default();
    let manifests = pilothouse_delivery::chart::parse(text).unwrap();
    serde_json::Value::String(manifests[0].text(&mut mask))
}

#[tokio::test]
async fn parameters_come_out_as_helm_itself_sets_them() {
    let Some(helm) = helm("parameters_come_out_as_helm_itself_sets_them").await else { return };
    let values = "db: {user: u, kept: 1, ports: [1, 2.5, yes, 0x10]}\nnothing:\nword: text\nlist:\n- name: a\n  deep: {x: 1}\n- b\n";
    let files = [("templates/a.yaml", SHOWN), ("values.yaml", "db: {user: default, size: 3000000}\nlist: [z]\n")];
    let chart = chart(BARE, &files);
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("chart/templates")).unwrap();
    for (path, bytes) in chart.files() {
        std::fs::write(dir.path().join("chart").join(path), bytes).unwrap();
    }
    let file = dir.path().join("values.yaml");
    std::fs::write(&file, values).unwrap();
    let p = parameter;
    let cases: Vec<Vec<HelmParameter>> = vec![
        vec![p("db.password", "hunter2, \"or\" {so}: ~ ü #", false), p("db.user", "007", true)],
        vec![p("n.a", "1", false), p("n.b", "1000000", false), p("n.c", "-12345678", false), p("n.d", "1.5", false)],
        vec![p("n", "0", false), p("m", "00", false), p("o", "+7", false), p("q", "9223372036854775808", false)],
        vec![p("n", "9007199254740993", false), p("o", "1e3", false), p("q", "0x10", false), p("r", "12_000", false)],
        vec![p("t", "true", false), p("f", "FALSE", false), p("s", "true", true), p("x", "", false)],
        vec![p("db.user", "null", false), p("db.kept", "null", true), p("word", "null", false)],
        vec![p("l", "{a,1,true,b c}", false), p("m", "{}", false), p("n", "{1,2}", true), p("o", "{a\\,b,{c}", false)],
        vec![p("a", "x,y", false), p("b", "x\\,y", false), p("c", "x\\\\y", false), p("d", "x=y.z[0]", false)],
        vec![p("a", "line\nline", false), p("e", "tab\there \\ {{ .Values }}", false), p("g", "{open", false)],
        vec![p(r"ann.prometheus\.io/port", "9090", false), p(r"k\,1", "x", false), p(r"with\[0\]", "x", false)],
        vec![p("a", "1", true), p("a", "2", false)],
        vec![p("a", "2", false), p("a.b", "1", true)],
        vec![p("a.b", "1", false), p("a.c", "2", true), p("a", "3", false)],
        vec![p("db", "text", false)],
        vec![p("list[0].name", "1000000", false)],
        vec![p("list[1]", "c", false), p("list[3].x.y", "5", false)],
        vec![p("list[0].deep.x", "2", false), p("list[0].deep.z", "2", true)],
        vec![p("db.ports[1]", "9", false)],
        vec![p("fresh[2]", "x", false), p("fresh[0].a", "1234567", false)],
        vec![p("grid[0][1]", "7", false), p("grid[1][0]", "x", false)],
        vec![p("a=b", "c", false)],
        vec![p("a=1,b", "2", false)],
        vec![p(".a", "x", false)],
        // What Helm refuses.
        vec![p("word.deeper", "x", false)],
        vec![p("nothing.deeper", "x", false)],
        vec![p("a,b", "x", false)],
        vec![p("a.", "x", false)],
        vec![p("a[x]", "x", false)],
        vec![p("a[-1]", "x", false)],
        vec![p("a[0]b", "x", false)],
        vec![p("word[0]", "x", false)],
        vec![p("l", "{a", false), p("m", "{a,b", false)],
    ];
    let mut refused = 0;
    for parameters in cases {
        let release = Release { parameters: parameters.clone(), ..release(values) };
        let ours = render(&helm, &chart, &release).await;
        let theirs = by_command_line(&helm, dir.path(), &file, &parameters);
        match (ours, theirs) {
            (Ok(ours), Some(theirs)) => {
                let ours = serde_json::Value::String(text(&ours, "ConfigMap"));
                assert_eq!(ours, data(&theirs), "{parameters:?}");
            }
            (Err(_), None) => refused += 1,
            (ours, theirs) => panic!("{parameters:?}: {ours:?} {theirs:?}"),
        }
    }
    assert!(refused >= 8, "{refused}");
}

#[tokio::test]
async fn parameters_go_before_files_and_files_before_each_other() {
    let Some(helm) = helm("parameters_go_before_files_and_files_before_each_other").await else { return };
    let chart =
        chart(BARE, &[("templates/a.yaml", SHOWN), ("values.yaml", "a: chart\nb: chart\nc: chart\nd: chart\n")]);
    let values = |name: &str, text: &str| ValuesText { name: name.into(), text: text.into() };
    let release = Release {
        values: vec![values("one", "b: one\nc: one\nd: one\n"), values("the Application", "c: inline\nd: inline\n")],
        parameters: vec![parameter("d", "parameter", false)],
        ..release("")
    };
    let map = text(&render(&helm, &chart, &release).await.unwrap(), "ConfigMap");
    assert!(map.contains(r#"{"a":"chart","b":"one","c":"inline","d":"parameter"}"#), "{map}");
}

#[cfg(unix)]
#[tokio::test]
async fn no_value_stands_on_helms_command_line() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(helm) = helm("no_value_stands_on_helms_command_line").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let (seen, program) = (dir.path().join("seen"), dir.path().join("helm"));
    let script =
        format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >> {}\nexec {} \"$@\"\n", seen.display(), helm.program.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let watched = Helm { program, ..helm };
    let release = Release {
        parameters: vec![
            parameter("db.pin", "47114711", false),
            parameter("db.list", "{secret-a,secret-b}", false),
            parameter("keys[0].key", "secret-c", true),
            parameter("on", "true", false),
        ],
        ..release("keys: [{key: secret-d}]\n")
    };
    let chart = chart(BARE, &[("templates/a.yaml", SHOWN)]);
    let map = text(&render(&watched, &chart, &release).await.unwrap(), "ConfigMap");
    assert!(map.contains("47114711") && map.contains("secret-c"), "{map}");
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("template") && !seen.contains("secret") && !seen.contains("4711"), "{seen}");
    assert!(!seen.contains("--set"), "{seen}");
}
