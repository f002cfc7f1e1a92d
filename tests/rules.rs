//! The rules of the house that a test can hold: who may depend on whom, and what no file may hold.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Parts that may not know each other; `app` joins them.
const DOMAINS: [&str; 4] = ["pilothouse-delivery", "pilothouse-values", "pilothouse-chaos", "pilothouse-triggers"];
/// What domains may stand on.
const BELOW: [&str; 2] = ["pilothouse-git", "pilothouse-cluster"];
/// The longest a source file may grow, in lines.
const LONGEST: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The workspace's packages: name, folder, and the names of their ordinary dependencies.
fn packages() -> Vec<(String, PathBuf, Vec<String>)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let folder = PathBuf::from(text(&package["manifest_path"])).parent().unwrap().to_owned();
            let ordinary = |d: &&Value| d["kind"].is_null() || d["kind"] == "build";
            let names = package["dependencies"].as_array().unwrap().iter().filter(ordinary).map(|d| text(&d["name"]));
            (text(&package["name"]), folder, names.collect())
        })
        .collect()
}

#[test]
fn nothing_under_crates_depends_on_tauri() {
    for (name, folder, dependencies) in packages() {
        if folder.strip_prefix(root()).is_ok_and(|f| f.starts_with("crates")) {
            let tauri: Vec<_> = dependencies.iter().filter(|d| d.contains("tauri")).collect();
            assert!(tauri.is_empty(), "{name} depends on {tauri:?}");
        }
    }
}

#[test]
fn dependencies_point_down() {
    let all: BTreeMap<String, Vec<String>> = packages().into_iter().map(|(name, _, d)| (name, d)).collect();
    let ours =
        |name: &str| -> Vec<String> { all[name].iter().filter(|d| d.starts_with("pilothouse")).cloned().collect() };
    for domain in DOMAINS {
        for dependency in ours(domain) {
            assert!(BELOW.contains(&dependency.as_str()), "{domain} depends on {dependency}");
        }
    }
    for lowest in ["pilothouse-git", "pilothouse-cluster", "pilothouse-practice"] {
        assert_eq!(ours(lowest), Vec::<String>::new(), "{lowest}");
    }
    for shell in ["pilothouse", "pilothouse-agent"] {
        assert_eq!(ours(shell), ["pilothouse-app"], "{shell}");
    }
}

/// Every Rust file that belongs to the workspace.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["crates", "src-tauri", "tests", "xtask"].map(|f| root().join(f)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | "node_modules" | "gen") {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn files_stay_readable() {
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{} has {lines} lines", path.display());
        let stem = path.file_stem().unwrap().to_string_lossy();
        let vague = ["util", "utils", "helper", "helpers", "common", "manager", "misc"];
        assert!(!vague.contains(&stem.as_ref()), "{} is named for nothing it holds", path.display());
    }
}

/// The arguments of every `Result` spelled in a line, split at its outermost commas.
fn results(line: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("Result<") {
        let (mut depth, mut arguments) = (1, vec![String::new()]);
        for c in line[at + "Result<".len()..].chars() {
            match c {
                '<' | '(' | '[' => depth += 1,
                '>' | ')' | ']' => depth -= 1,
                _ => {}
            }
            match (depth, c) {
                (0, _) => break,
                (1, ',') => arguments.push(String::new()),
                _ => arguments.last_mut().unwrap().push(c),
            }
        }
        found.push(arguments.iter().map(|a| a.trim().to_owned()).collect());
    }
    found
}

#[test]
fn errors_have_types() {
    assert_eq!(results("fn f() -> Result<Map<A, B>, E> {"), [["Map<A, B>", "E"]]);
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let untyped = results(line).iter().any(|arguments| arguments.get(1).is_some_and(|e| e == "String"));
            assert!(!untyped, "{}:{}: {line}", path.display(), number + 1);
        }
    }
}

#[test]
fn the_front_end_speaks_to_tauri_in_one_folder() {
    let mut folders = vec![root().join("ui/src")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let inside = path.strip_prefix(root().join("ui/src")).unwrap();
            if path.is_dir() {
                if !inside.starts_with("platform") {
                    folders.push(path);
                }
                continue;
            }
            if inside == Path::new("bindings.ts") {
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            assert!(!text.contains("@tauri-apps/"), "{} imports Tauri itself", path.display());
        }
    }
}
