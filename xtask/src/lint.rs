//! Formatting and static checks.

use crate::front_end::{self, npm};
use crate::tasks::{Outcome, exists, run, say};
use crate::workspace::cargo;

/// Formats everything.
pub fn fmt() -> Outcome {
    let mut fmt = cargo();
    fmt.args(["fmt", "--all"]);
    run(fmt)
}

/// Everything that a change must pass besides its tests.
pub fn lint() -> Outcome {
    say("Formatting");
    let mut fmt = cargo();
    fmt.args(["fmt", "--all", "--check"]);
    run(fmt)?;
    front_end::build()?;
    say("Clippy");
    let mut clippy = cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]);
    run(clippy)?;
    deny()?;
    say("Front end: types, lint, advisories");
    for args in [&["run", "check"][..], &["run", "lint"], &["audit", "--audit-level", "high"]] {
        run(npm("ui", args))?;
    }
    Ok(())
}

/// Licences, sources, bans and advisories; the tool is installed once when it is missing.
fn deny() -> Outcome {
    say("Licences, sources and advisories");
    if !exists("cargo-deny") {
        say("Installing cargo-deny (a few minutes, once)");
        let mut install = cargo();
        install.args(["install", "--locked", "cargo-deny"]);
        run(install)?;
    }
    let mut deny = cargo();
    deny.args(["deny", "check", "licenses", "bans", "sources"]);
    run(deny)?;
    let mut fetch = cargo();
    fetch.args(["deny", "fetch", "db"]).stderr(std::process::Stdio::null());
    if run(fetch).is_err() {
        println!("  the advisory database cannot be reached from here: advisories are NOT checked in this run");
        return Ok(());
    }
    let mut advisories = cargo();
    advisories.args(["deny", "check", "advisories"]);
    run(advisories)
}
