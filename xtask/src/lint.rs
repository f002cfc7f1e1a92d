//! Formatting and static checks.

use crate::front_end::{self, npm};
use crate::tasks::{Failure, Outcome, exists, run, say};
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
    for args in [&["run", "check"][..], &["run", "lint"]] {
        run(npm("ui", args))?;
    }
    ["ui", "tests/e2e"].into_iter().try_for_each(audit)
}

/// Advisories on one folder's packages; a registry that gives none is said, and is no failure.
fn audit(folder: &str) -> Outcome {
    let mut ask = npm(folder, &["audit", "--audit-level", "high", "--json"]);
    let answer = ask.stderr(std::process::Stdio::null()).output()?;
    let report = String::from_utf8_lossy(&answer.stdout);
    if !report.contains("auditReportVersion") {
        println!("  {folder}: the registry gives no advisories here: they are NOT checked in this run");
        return Ok(());
    }
    if answer.status.success() {
        return Ok(());
    }
    println!("{report}");
    Err(Failure::new(format!("a package of {folder} has an advisory: see above")))
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
