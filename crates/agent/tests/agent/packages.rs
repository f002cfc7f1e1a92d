//! What stands under deploy/agent is what the program prints.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pilothouse_app::agent::{Plan, manifests, to_yaml};
use serde::Deserialize;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/agent")
}

fn plan(text: &str) -> Plan {
    let plan: Plan = serde_yaml::from_str(text).unwrap();
    assert_eq!(plan.flaws(), []);
    plan
}

fn example() -> String {
    std::fs::read_to_string(folder().join("example.yaml")).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    let all = serde_yaml::Deserializer::from_str(text).map(|one| Value::deserialize(one).unwrap());
    all.filter(|one| !one.is_null()).collect()
}

fn key(object: &Value) -> String {
    let meta = &object["metadata"];
    format!("{} {} {}", object["kind"], meta["namespace"], meta["name"])
}

/// Compares object by object, so that a difference names its object.
fn same(mut found: Vec<Value>, mut wanted: Vec<Value>) {
    found.sort_by_key(key);
    wanted.sort_by_key(key);
    let names = |all: &[Value]| all.iter().map(key).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&wanted));
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(sorted(found), sorted(wanted), "{}", key(wanted));
    }
}

/// The same value with its maps in one order, so that a difference shows at its place.
fn sorted(value: &Value) -> String {
    fn ordered(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let sorted: std::collections::BTreeMap<_, _> = map.iter().map(|(k, v)| (k, ordered(v))).collect();
                serde_json::to_value(sorted).unwrap()
            }
            Value::Array(all) => all.iter().map(ordered).collect(),
            other => other.clone(),
        }
    }
    format!("{:#}", ordered(value))
}

#[test]
fn the_kustomize_base_is_what_the_program_prints() {
    let file = folder().join("kustomize/agent.yaml");
    let program = Command::new(env!("CARGO_BIN_EXE_pilothouse-agent"))
        .args(["print-manifests", "--values"])
        .arg(folder().join("example.yaml"))
        .output()
        .unwrap();
    assert!(program.status.success(), "{}", String::from_utf8_lossy(&program.stderr));
    let printed = String::from_utf8(program.stdout).unwrap();
    if std::env::var_os("UPDATE_DEPLOY").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    assert_eq!(printed, std::fs::read_to_string(&file).unwrap(), "write it anew with UPDATE_DEPLOY=1");
    let plan = plan(&example());
    assert_eq!(printed, to_yaml(&manifests(&plan.settings, &plan.needs), &plan.needs).unwrap());
    let base = std::fs::read_to_string(folder().join("kustomize/kustomization.yaml")).unwrap();
    assert_eq!(serde_yaml::from_str::<Value>(&base).unwrap()["resources"], serde_json::json!(["agent.yaml"]));
}

#[test]
fn the_chart_renders_what_the_program_prints() {
    let helm = match pilothouse_rig::helm::program() {
        Ok(helm) => helm,
        Err(why) => return pilothouse_rig::skipped("the_chart_renders_what_the_program_prints", &why),
    };
    let dir = tempfile::tempdir().unwrap();
    let small =
        "namespace: agents\nimage: a/b:1\ncluster: 'say \"hi\" & <go>'\nauthor: {name: 'A \\ B', email: a@b.c}\n";
    let odd = "replicas: 0\nlog: debug\ncredentials: other\nknownHosts: |\n  [git.example]:2222 ssh-ed25519 AAAA\n\
               authority: |\n  -----BEGIN CERTIFICATE-----\n  AAAA\n  -----END CERTIFICATE-----\negressPorts: [8443]\n\
               projects:\n- {namespace: b, id: one, url: 'https://git.example/a', branch: 'a&<b>\"', credential: c}\n\
               - {namespace: a, id: two, url: 'https://git.example/b', branch: next, credential: c}\n\
               triggers:\n- {namespace: a, target: b, kind: Rollout}\n\
               - {namespace: c, target: b, kind: DaemonSet, respectDisruptionBudget: true}\n\
               - {namespace: c, target: b, kind: Deployment}\n- {namespace: c, target: b, kind: Deployment}\n";
    for (name, text) in [("example", example()), ("small", small.to_owned()), ("odd", format!("{small}{odd}"))] {
        let plan = plan(&text);
        let values = dir.path().join(format!("{name}.yaml"));
        std::fs::write(&values, &text).unwrap();
        let rendered = Command::new(&helm)
            .args(["template", "agent", "--include-crds", "--namespace", &plan.settings.namespace, "--values"])
            .args([&values, &folder().join("chart")])
            .env("HOME", dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(rendered.status.success(), "{name}: {}", String::from_utf8_lossy(&rendered.stderr));
        let mut printed = manifests(&plan.settings, &plan.needs);
        // The release's namespace is whoever installs the chart's to make.
        printed.retain(|one| one["kind"] != "Namespace");
        same(documents(&String::from_utf8(rendered.stdout).unwrap()), printed);
    }
    let mut elsewhere = Command::new(&helm);
    elsewhere.args(["template", "agent", "--namespace", "elsewhere", "--values"]);
    let refused = elsewhere.args([folder().join("example.yaml"), folder().join("chart")]).output().unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--namespace pilothouse"));
}

#[test]
fn the_image_holds_one_static_program_and_runs_it_as_nobody() {
    let text = std::fs::read_to_string(folder().join("Dockerfile")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let (build, image) = lines.split_at(lines.iter().rposition(|line| line.starts_with("FROM ")).unwrap());
    let says = |part: &[&str], what: &str| part.iter().any(|line| line.contains(what));
    // The image below has no C library, no OpenSSL and no zlib.
    for what in ["-C target-feature=+crt-static", "OPENSSL_STATIC=1", "LIBZ_SYS_STATIC=1", "--locked", "| grep "] {
        assert!(says(build, what), "{what} in {build:?}");
    }
    assert_eq!(image[0], "FROM gcr.io/distroless/static-debian12:nonroot");
    assert_eq!(image.iter().filter(|line| line.starts_with("COPY ")).count(), 1, "{image:?}");
    assert!(!says(image, "RUN "), "there is nothing in it that could run: {image:?}");
    // As the Deployment has it.
    let plan = plan(&example());
    let objects = manifests(&plan.settings, &plan.needs);
    let pod = &objects.iter().find(|one| one["kind"] == "Deployment").unwrap()["spec"]["template"]["spec"];
    let user = pod["securityContext"]["runAsUser"].as_u64().unwrap();
    assert!(says(image, &format!("USER {user}:")), "{user} in {image:?}");
}

#[test]
fn a_plan_with_flaws_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let values = dir.path().join("values.yaml");
    std::fs::write(&values, example().replace("id: shop", "id: Shop!").replace("replicas: 2", "replicas: 9")).unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_pilothouse-agent"))
        .args(["print-manifests", "--values"])
        .arg(&values)
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("projects[1].id") && said.contains("replicas"), "{said}");
    assert!(refused.stdout.is_empty());
}
