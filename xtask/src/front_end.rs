//! The front end in `ui/`: its packages and its built files.

use crate::tasks::{Outcome, command, run, say};
use crate::workspace::at;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// npm in a folder of the repository.
pub fn npm(folder: &str, args: &[&str]) -> Command {
    let mut npm = command("npm");
    npm.current_dir(at(folder)).args(args);
    npm
}

/// Installs the front end's packages when the lock file is newer than what is there.
pub fn install() -> Outcome {
    packages("ui")
}

/// Installs the packages of one folder when its lock file is newer than what is there.
pub fn packages(folder: &str) -> Outcome {
    let lock = modified(&at(folder).join("package-lock.json"));
    let there = modified(&at(folder).join("node_modules/.package-lock.json"));
    if there.is_some() && there >= lock {
        return Ok(());
    }
    say(format!("Installing the packages of {folder}/ with npm"));
    run(npm(folder, &["ci", "--no-audit", "--no-fund"]))
}

/// Builds `ui/dist` when a source is newer than it.
pub fn build() -> Outcome {
    install()?;
    let built = modified(&at("ui/dist/index.html"));
    let is_placeholder = std::fs::read_to_string(at("ui/dist/index.html")).is_ok_and(|t| t.contains("is not built"));
    let sources = ["ui/src", "ui/public", "ui/index.html", "ui/vite.config.ts", "ui/package-lock.json"];
    let newest = sources.iter().filter_map(|p| newest(&at(p))).max();
    if built.is_some() && built >= newest && !is_placeholder {
        return Ok(());
    }
    say("Building the front end");
    run(npm("ui", &["run", "build"]))
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

fn newest(path: &Path) -> Option<SystemTime> {
    let Ok(entries) = std::fs::read_dir(path) else { return modified(path) };
    entries.filter_map(|e| newest(&e.ok()?.path())).max()
}
