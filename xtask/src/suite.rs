//! Every test, counted together.

use crate::front_end::{self, npm};
use crate::packages::{self, Need};
use crate::rig::Rig;
use crate::tasks::{Failure, Outcome, command, follow, say};
use crate::workspace::{at, cache, cargo};
use crate::{end_to_end, tasks};
use std::fmt;
use std::ops::AddAssign;
use std::process::{Child, Command, Stdio};

/// How many tests ended how.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Count {
    /// Tests that held.
    pub passed: u32,
    /// Tests that did not.
    pub failed: u32,
    /// Tests that could not run here; each says why in its own output.
    pub skipped: u32,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Sets up and runs every test. With words, passes them to `cargo test` and runs nothing else.
pub fn test(only: &[&str]) -> Outcome {
    packages::install(Need::Tests)?;
    if !only.is_empty() {
        front_end::build()?;
        let mut some = cargo();
        some.args(["test", "--workspace"]).args(only);
        return tasks::run(some);
    }
    let mut assets = kube_assets()?;
    front_end::install()?;
    helm_asset()?;
    let mut total = Count::default();
    let mut sections: Vec<(&str, Count)> = Vec::new();
    let mut section = |name: &'static str, count: Count| {
        total += count;
        sections.push((name, count));
    };

    section("front end: types", check("Front end: types", npm("ui", &["run", "check"]))?);
    section("front end: units", vitest()?);
    end_to_end::build()?;
    if let Some(mut assets) = assets.take() {
        say("Waiting for the control plane's programs");
        if !assets.wait()?.success() {
            return Err(Failure::new("the control plane's programs could not be made: see artifacts/kube-assets.log"));
        }
    }
    section("cargo test", cargo_test()?);
    section("journeys", end_to_end::all(&[])?);

    println!();
    for (name, count) in &sections {
        println!("{name}: {count}");
    }
    // The last line is read by the continuous integration: keep its form.
    println!("{total}");
    if total.failed > 0 { Err(Failure::new("a test failed: see above")) } else { Ok(()) }
}

/// Starts making the control plane's programs beside the compilation, when they are not there yet.
fn kube_assets() -> Outcome<Option<Child>> {
    let made = std::env::var_os("KUBEBUILDER_ASSETS").is_some() || cache().join("kube-assets/v1.20.2-r1").is_dir();
    if made || !cfg!(target_os = "linux") {
        return Ok(None);
    }
    say("Making a control plane for tests beside the compilation: about 5 minutes, once");
    std::fs::create_dir_all(at("artifacts"))?;
    let log = std::fs::File::create(at("artifacts/kube-assets.log"))?;
    let mut recipe = Command::new("bash");
    recipe.arg(at("tests/rig/kube-assets.sh")).arg(cache().join("kube-assets"));
    recipe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Ok(Some(recipe.spawn()?))
}

/// The Helm that tests use, when there is one: that of `PILOTHOUSE_HELM`, else the cached one.
pub fn helm() -> Option<std::path::PathBuf> {
    let chosen = std::env::var_os("PILOTHOUSE_HELM").filter(|path| !path.is_empty()).map(Into::into);
    chosen.or_else(|| Some(cache().join("helm/v4.1.4/helm")).filter(|path| path.is_file()))
}

/// Brings a real Helm for the tests of rendering. Where it cannot be had, they are counted as skipped, with the reason.
fn helm_asset() -> Outcome {
    if helm().is_some() {
        return Ok(());
    }
    say("Bringing Helm for tests");
    let mut recipe = Command::new("bash");
    recipe.arg(at("tests/rig/helm-asset.sh")).arg(cache().join("helm"));
    recipe.stdin(Stdio::null()).stdout(Stdio::null());
    if !recipe.status().is_ok_and(|status| status.success()) {
        println!("  Helm cannot be had here: the tests that need it will be skipped");
    }
    Ok(())
}

/// A command that counts as one test.
fn check(words: &str, command: Command) -> Outcome<Count> {
    say(words);
    let held = follow(command, |_| ())?;
    Ok(Count { passed: held.into(), failed: (!held).into(), skipped: 0 })
}

fn vitest() -> Outcome<Count> {
    say("Front end: unit tests");
    let mut lines = Vec::new();
    let mut vitest = command("npx");
    vitest.current_dir(at("ui")).args(["vitest", "run", "--reporter=tap-flat"]);
    let held = follow(vitest, |line| lines.push(line.to_owned()))?;
    let mut count = count_tap(lines.iter().map(String::as_str));
    if !held && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

fn cargo_test() -> Outcome<Count> {
    let rig = Rig::start("rig")?;
    say("Rust tests, on the practice cluster and on the real parts");
    let mut count = Count::default();
    let mut compiled = true;
    // libtest cannot skip at run time: a test that cannot run here adds its reason to this list.
    std::fs::create_dir_all(at("artifacts"))?;
    let list = at("artifacts/skipped.txt");
    std::fs::write(&list, "")?;
    let mut tests = cargo();
    tests
        .args(["test", "--workspace", "--no-fail-fast"])
        .env("PILOTHOUSE_RIG", &rig.description)
        .env("PILOTHOUSE_SKIPPED", &list);
    let held = follow(tests, |line| {
        count += count_cargo(line);
        compiled &= !line.starts_with("error: could not compile");
    })?;
    if !held && count.failed == 0 {
        count.failed = 1;
    }
    for why in std::fs::read_to_string(&list)?.lines() {
        println!("skipped: {why}");
        count.passed = count.passed.saturating_sub(1);
        count.skipped += 1;
    }
    Ok(count)
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn count_cargo(line: &str) -> Count {
    let Some(rest) = line.trim().strip_prefix("test result:") else { return Count::default() };
    let number = |word: &str| {
        let before = rest.split(word).next().unwrap_or("");
        if before.len() == rest.len() { 0 } else { before.rsplit(' ').find_map(|w| w.parse().ok()).unwrap_or(0) }
    };
    Count { passed: number("passed"), failed: number("failed"), skipped: number("ignored") }
}

/// Counts the leaves of a TAP stream: `ok 1 - name`, `not ok 2 - name`, `ok 3 - name # SKIP why`.
pub fn count_tap<'a>(lines: impl Iterator<Item = &'a str>) -> Count {
    let mut count = Count::default();
    for line in lines {
        // Nested results are indented: only a test file's own tests are counted.
        if line.starts_with("not ok ") {
            count.failed += 1;
        } else if line.starts_with("ok ") {
            if line.contains("# SKIP") { count.skipped += 1 } else { count.passed += 1 }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cargos_summary() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.02s";
        assert_eq!(count_cargo(line), Count { passed: 12, failed: 3, skipped: 1 });
        assert_eq!(count_cargo("running 3 tests"), Count::default());
    }

    #[test]
    fn reads_tap() {
        let tap =
            ["TAP version 13", "    ok 1 - inner", "ok 1 - a", "not ok 2 - b", "ok 3 - c # SKIP no display", "1..3"];
        assert_eq!(count_tap(tap.into_iter()), Count { passed: 1, failed: 1, skipped: 1 });
    }
}
