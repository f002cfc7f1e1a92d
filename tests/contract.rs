//! The committed TypeScript and the permission file are exactly what the commands say.
//! `UPDATE_BINDINGS=1 cargo test --test contract` rewrites the TypeScript.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::{collections::BTreeSet, path::Path};

use specta_typescript::Typescript;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn generated() -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bindings.ts");
    pilothouse_desktop::ipc::<tauri::Wry>()
        .export(Typescript::default().header("/* eslint-disable */\n"), &file)
        .unwrap();
    std::fs::read_to_string(&file).unwrap()
}

#[test]
fn bindings_are_current() {
    let path = root().join("ui/src/bindings.ts");
    let fresh = generated();
    if std::env::var_os("UPDATE_BINDINGS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(fresh == committed, "ui/src/bindings.ts is stale: run UPDATE_BINDINGS=1 cargo test --test contract");
}

/// The names the generated client calls.
fn invoked(bindings: &str) -> BTreeSet<String> {
    bindings.split("__TAURI_INVOKE(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

#[test]
fn permission_names_exactly_the_commands() {
    let text = std::fs::read_to_string(root().join("src-tauri/permissions/commands.toml")).unwrap();
    let list = text.split_once("commands.allow").unwrap().1;
    let allowed: BTreeSet<String> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(allowed, invoked(&generated()));
}

#[test]
fn the_window_may_do_nothing_else() {
    let text = std::fs::read_to_string(root().join("src-tauri/capabilities/main.json")).unwrap();
    let capability: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(capability["windows"], serde_json::json!(["main"]));
    assert_eq!(capability["permissions"], serde_json::json!(["core:default", "commands"]));
}

#[test]
fn secrets_are_only_ever_given() {
    // No answer may carry a field of such a name: secrets are fields of one input type alone.
    let bindings = generated();
    let holders: Vec<&str> = bindings
        .split("export type ")
        .skip(1)
        .filter(|t| ["token: string", "passphrase: string", "privateKey", "secret:"].iter().any(|f| t.contains(f)))
        .filter_map(|t| t.split(' ').next())
        .collect();
    assert_eq!(holders, ["CredentialInput"]);
}
