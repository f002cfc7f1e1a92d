//! The main job in the real window and in Chromium, and the tour for people without a screen.

use crate::desktop::Desktop;
use crate::packages::{self, Need};
use crate::suite::Count;
use crate::tasks::{Failure, Outcome, command, follow, run, say};
use crate::workspace::{artifacts, at, built, cargo};
use crate::{front_end, suite};

/// What the journeys run on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The practice cluster alone.
    Practice,
    /// The real API server and real Git servers.
    Real,
}

/// Builds what the journeys drive: the app, the bridge for Chromium, the stage of real parts.
pub fn build() -> Outcome {
    front_end::build()?;
    front_end::packages("tests/e2e")?;
    say("Building the app and what drives it");
    let mut build = cargo();
    build.args(["build", "--workspace", "--tests", "--bins", "--examples"]);
    run(build)
}

/// Runs one journey file under a virtual desktop and counts its tests.
pub fn journey(file: &str, stage: Stage, log: &str) -> Outcome<Count> {
    let shots = artifacts(log);
    let _ = std::fs::remove_dir_all(&shots);
    std::fs::create_dir_all(&shots)?;
    let desktop = Desktop::start(1280, 800)?;
    let mut node = command("node");
    node.current_dir(at("tests/e2e")).args(["--test", "--test-concurrency=1", "--test-reporter=tap", file]);
    desktop.dress(&mut node);
    node.env("PILOTHOUSE_APP", built("debug", "pilothouse"))
        .env("PILOTHOUSE_BRIDGE", built("debug/examples", "bridge"))
        .env("PILOTHOUSE_STAGE", built("debug", "pilothouse-stage"))
        .env("PILOTHOUSE_NOTIFICATIONS", built("debug", "pilothouse-notifications"))
        .env("PILOTHOUSE_ON", if stage == Stage::Real { "real" } else { "practice" })
        .env("PILOTHOUSE_SHOTS", &shots);
    // The tests' own Helm, so that what is seen does not depend on the machine.
    if let Some(helm) = suite::helm() {
        node.env("PILOTHOUSE_HELM", helm);
    }
    let mut tap = Vec::new();
    let passed = follow(node, |line| tap.push(line.to_owned()))?;
    let mut count = suite::count_tap(tap.iter().map(String::as_str));
    if !passed && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

/// The app on a virtual display walks the main job on the practice cluster.
pub fn tour() -> Outcome {
    packages::install(Need::Display)?;
    build()?;
    say("The tour: every step of the main job, each with its screenshot");
    let count = journey("tour.test.mjs", Stage::Practice, "tour")?;
    println!("\nscreenshots: {}", artifacts("tour").display());
    if count.failed > 0 { Err(Failure::new("the tour did not reach its end: see the step above")) } else { Ok(()) }
}

/// Every journey, in the window and in Chromium; with a word, only the files whose name holds it.
pub fn e2e(only: &[&str]) -> Outcome {
    packages::install(Need::Tests)?;
    build()?;
    let total = all(only)?;
    println!("\n{total}");
    if total.failed > 0 { Err(Failure::new("a journey failed")) } else { Ok(()) }
}

/// Every journey whose file name holds one of the words, or all of them.
pub fn all(only: &[&str]) -> Outcome<Count> {
    let mut total = Count::default();
    for (file, stage) in [
        ("tour.test.mjs", Stage::Practice),
        ("chromium.test.mjs", Stage::Practice),
        ("keyboard.test.mjs", Stage::Practice),
        ("repository.test.mjs", Stage::Practice),
        ("deploys.test.mjs", Stage::Practice),
        ("argo.test.mjs", Stage::Practice),
        ("values.test.mjs", Stage::Practice),
        ("triggers.test.mjs", Stage::Practice),
        ("waiting.test.mjs", Stage::Real),
        ("chaos.test.mjs", Stage::Real),
        ("agent.test.mjs", Stage::Real),
        ("states.test.mjs", Stage::Real),
        ("notification.test.mjs", Stage::Practice),
        ("dialog.test.mjs", Stage::Real),
        ("window-ssh.test.mjs", Stage::Real),
        ("window-https.test.mjs", Stage::Real),
    ] {
        if !only.is_empty() && !only.iter().any(|w| file.contains(w)) {
            continue;
        }
        say(format!("Journey {file}"));
        total += journey(file, stage, file.trim_end_matches(".test.mjs"))?;
    }
    Ok(total)
}
