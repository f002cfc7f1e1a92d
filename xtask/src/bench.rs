//! Performance as ratios against floors measured in the same run, because machines are noisy.

use crate::desktop::Desktop;
use crate::packages::{self, Need};
use crate::tasks::{Failure, Outcome, command, output, run, say, wait_until};
use crate::workspace::{at, built, cargo};
use crate::{desktop, front_end};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often each figure is taken; the median counts.
const ROUNDS: &str = "5";
/// What is built with.
const PROFILE: &str = "measured";
/// Where its examples lie.
const EXAMPLES: &str = "measured/examples";
/// How long a window may take before it counts as never usable.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `git-pass` prints, on a repository of 10,000 files and 5,000 commits over SSH; memory is the largest process's.
const GIT_ROWS: [(&str, &str, &str); 8] = [
    ("clone-ms", "clone (git clone)", "ms"),
    ("clone-MiB", "clone, memory (git clone)", "MiB"),
    ("tip-ms", "newest commit only (git clone --depth 1)", "ms"),
    ("tip-MiB", "newest commit only, memory", "MiB"),
    ("fetch-ms", "fetch of one new commit (git fetch)", "ms"),
    ("fetch-MiB", "fetch of one new commit, memory", "MiB"),
    ("publish-ms", "fetch, commit, push (git commit, git push)", "ms"),
    ("publish-MiB", "fetch, commit, push, memory", "MiB"),
];

/// What `sync-pass` prints, on a chaos project of 10,000 files, a Git server over SSH and an API server.
const SYNC_ROWS: [(&str, &str, &str); 6] = [
    ("nothing-ms", "sync, nothing new (git fetch)", "ms"),
    ("one-ms", "sync, one changed (git fetch, git diff)", "ms"),
    ("first-ms", "first sync (kubectl apply --server-side)", "ms"),
    ("first-MiB", "first sync, peak memory (kubectl)", "MiB"),
    ("plan-ms", "planner alone (reading YAML)", "ms"),
    ("plan-again-ms", "planner, known texts (reading YAML)", "ms"),
];

/// What `environments.mjs` prints, on 6,000 applications. The floor of the assembly turns the objects from JSON and
/// back, that of the memory is the objects' JSON, that of the page a page of 6,000 plain rows in the same window.
const ENVIRONMENT_ROWS: [(&str, &str, &str); 6] = [
    ("assembly-ms", "environment, server side (JSON and back)", "ms"),
    ("memory-MiB", "environment, memory (the objects' JSON)", "MiB"),
    ("paint-ms", "environment, first paint (plain rows)", "ms"),
    ("frame-ms", "environment, frame of scrolling (same)", "ms"),
    ("worst-frame-ms", "environment, worst frame (same)", "ms"),
    ("glide-ms", "environment, frame of the wheel (same)", "ms"),
];

/// What `values-pass` prints, on a file of 10,000 lines and a chart of 5,000 keys; the floor reads the file's YAML.
const VALUES_ROWS: [(&str, &str, &str); 5] = [
    ("open-ms", "open the file (git fetch, git show, YAML)", "ms"),
    ("check-ms", "keystroke to diagnostics (reading YAML)", "ms"),
    ("effective-ms", "effective result (reading YAML)", "ms"),
    ("complete-ms", "completion (reading YAML)", "ms"),
    ("diff-ms", "difference to commit (reading YAML)", "ms"),
];

/// What `trigger-pass` prints: 1,000 workloads, of which 200 change one after another and then all at once, and 20,000
/// Deployments of which 2,000 are written to. The floor of a run is a bare watch that creates the same object; a trigger
/// waits until the cluster has taken the change up, as the second floor does, and writes its decision down before and
/// after. The agent's idle computing is held against a minute of one processor.
const TRIGGER_ROWS: [(&str, &str, &str); 11] = [
    ("run-p50-ms", "image change to run, p50 (watch, create)", "ms"),
    ("run-p99-ms", "image change to run, p99 (watch, create)", "ms"),
    ("burst-ms", "1,000 changes at once (watch, create)", "ms"),
    ("taken-up-p50-ms", "p50 (watch, create when taken up)", "ms"),
    ("taken-up-p99-ms", "p99 (watch, create when taken up)", "ms"),
    ("taken-up-burst-ms", "1,000 at once (create when taken up)", "ms"),
    ("watch-list-cpu-ms", "20,000 Deployments, first list (kubectl)", "ms"),
    ("watch-cpu-ms", "2,000 writes to them, CPU (kubectl -w)", "ms"),
    ("watch-MiB", "20,000 Deployments, peak memory (kubectl)", "MiB"),
    ("idle-MiB", "agent at rest, memory (kubectl -w)", "MiB"),
    ("idle-cpu-ms", "agent at rest, CPU of a minute (one core)", "ms"),
];

/// A program that prints figures, each beside its floor, and what they are called.
struct Pass {
    part: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    /// Name of the figure, what it is, its unit.
    rows: &'static [(&'static str, &'static str, &'static str)],
}

/// All of them, in the order in which they are run.
const PASSES: [Pass; 4] = [
    Pass { part: "sync", program: "sync-pass", arguments: &["--files", "10000", "--rounds", ROUNDS], rows: &SYNC_ROWS },
    Pass {
        part: "git",
        program: "git-pass",
        arguments: &["--files", "10000", "--commits", "5000", "--rounds", ROUNDS],
        rows: &GIT_ROWS,
    },
    Pass {
        part: "values",
        program: "values-pass",
        arguments: &["--lines", "10000", "--keys", "5000", "--rounds", ROUNDS],
        rows: &VALUES_ROWS,
    },
    Pass {
        part: "triggers",
        program: "trigger-pass",
        arguments: &["--workloads", "1000", "--changes", "200", "--deployments", "20000"],
        rows: &TRIGGER_ROWS,
    },
];
/// The parts that are measured in a window.
const IN_WINDOW: [&str; 2] = ["window", "environments"];

/// Prints each figure, its floor, and their ratio: of all parts, or of those that are named.
pub fn bench(parts: &[&str]) -> Outcome {
    let known = || IN_WINDOW.into_iter().chain(PASSES.iter().map(|pass| pass.part));
    if let Some(stranger) = parts.iter().find(|part| known().all(|one| one != **part)) {
        let all: Vec<&str> = known().collect();
        return Err(Failure::new(format!("bench has no part {stranger}; it has {}", all.join(", "))));
    }
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);
    packages::install(Need::Tests)?;
    say("Building with optimisations (minutes, the first time)");
    let in_window = IN_WINDOW.into_iter().any(wanted);
    if in_window {
        front_end::build()?;
        front_end::packages("tests/e2e")?;
        let mut build = cargo();
        build.args(["build", "--profile", PROFILE, "--package", "pilothouse", "--bin", "pilothouse"]);
        build.args(["--example", "empty_window"]);
        run(build)?;
    }
    let mut build = cargo();
    build.args(["build", "--profile", PROFILE, "--package", "pilothouse-journeys", "--bin", "environment-pass"]);
    build.args(PASSES.iter().flat_map(|pass| ["--bin", pass.program]));
    build.args(["--package", "pilothouse-agent", "--bin", "pilothouse-agent"]);
    run(build)?;

    let desktop = if in_window && !desktop::has_display() { Some(Desktop::start(1280, 800)?) } else { None };
    println!("\n{:<44} {:>12} {:>12} {:>8}", "figure", "Pilothouse", "floor", "ratio");
    if wanted("window") {
        window(desktop.as_ref())?;
    }
    for pass in PASSES.iter().filter(|pass| wanted(pass.part)) {
        let mut program = Command::new(built(PROFILE, pass.program));
        program.args(pass.arguments);
        print_rows(&output(program)?, pass.rows)?;
    }
    if wanted("environments") {
        let mut pass = command("node");
        pass.args([at("tests/bench/environments.mjs"), "--applications".into(), "6000".into()]);
        pass.args(["--rounds", ROUNDS]);
        if let Some(desktop) = &desktop {
            desktop.dress(&mut pass);
        }
        pass.env("PILOTHOUSE_APP", built(PROFILE, "pilothouse"))
            .env("PILOTHOUSE_PASS", built(PROFILE, "environment-pass"));
        print_rows(&output(pass)?, &ENVIRONMENT_ROWS)?;
    }
    Ok(())
}

/// Start to usable window, and memory of all its processes.
fn window(desktop: Option<&Desktop>) -> Outcome {
    let mut app = Vec::new();
    let mut empty = Vec::new();
    for _ in 0..ROUNDS.parse().unwrap_or(1) {
        app.push(start(&built(PROFILE, "pilothouse"), desktop)?);
        empty.push(start(&built(EXAMPLES, "empty_window"), desktop)?);
    }
    let ms = |s: &[Started]| median(s.iter().map(|s| s.usable.as_secs_f64() * 1000.0));
    let mib = |s: &[Started]| median(s.iter().map(|s| s.memory_kib as f64 / 1024.0));
    print_row("start to usable (floor: empty Tauri window)", "ms", (ms(&app), ms(&empty)));
    if cfg!(target_os = "linux") {
        print_row("memory, PSS (floor: empty Tauri window)", "MiB", (mib(&app), mib(&empty)));
    }
    Ok(())
}

fn print_rows(figures: &str, rows: &[(&str, &str, &str)]) -> Outcome {
    for (name, what, unit) in rows {
        print_row(what, unit, figures_of(figures, name)?);
    }
    Ok(())
}

fn print_row(what: &str, unit: &str, (ours, floor): (f64, f64)) {
    let with_unit = |figure: f64| format!("{figure:.0} {unit}");
    println!("{what:<44} {:>12} {:>12} {:>8.2}", with_unit(ours), with_unit(floor), ours / floor);
}

/// A figure and its floor, of the line that begins with its name.
fn figures_of(figures: &str, name: &str) -> Outcome<(f64, f64)> {
    let line = figures.lines().find_map(|line| line.strip_prefix(name));
    let mut numbers = line.into_iter().flat_map(str::split_whitespace).filter_map(|word| word.parse::<f64>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(ours), Some(floor)) => Ok((ours, floor)),
        _ => Err(Failure::new(format!("there is no {name} in: {figures}"))),
    }
}

/// One start of a window.
struct Started {
    usable: Duration,
    memory_kib: u64,
}

/// Starts a program that prints `ready` once its page can be used, reads its memory and ends it.
fn start(program: &std::path::Path, desktop: Option<&Desktop>) -> Outcome<Started> {
    let data = std::env::temp_dir().join(format!("pilothouse-bench-{}", std::process::id()));
    let mut command = Command::new(program);
    if let Some(desktop) = desktop {
        desktop.dress(&mut command);
    }
    command.env("PILOTHOUSE_SAY_READY", "1").env("PILOTHOUSE_DATA", &data).stdout(Stdio::piped()).stderr(Stdio::null());
    let begin = Instant::now();
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| Failure::new("no output"))?;
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let ready = BufReader::new(stdout).lines().map_while(Result::ok).any(|line| line == "ready");
        let _ = tell.send(ready);
    });
    let ready = told.recv_timeout(PATIENCE).unwrap_or(false);
    let usable = begin.elapsed();
    let mut settled = 0;
    let _ = wait_until("the memory to settle", Duration::from_secs(4), || {
        settled += 1;
        settled > 30
    });
    let memory_kib = memory_of_tree(child.id());
    let _ = child.kill();
    let _ = child.wait();
    let _ = std::fs::remove_dir_all(data);
    if ready {
        Ok(Started { usable, memory_kib })
    } else {
        Err(Failure::new(format!("{} never became usable", program.display())))
    }
}

/// The proportional set size of a process and all below it, in KiB; 0 where the system does not tell.
fn memory_of_tree(pid: u32) -> u64 {
    let own = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let own: u64 = own
        .lines()
        .find_map(|l| l.strip_prefix("Pss:"))
        .and_then(|l| l.trim().trim_end_matches("kB").trim().parse().ok())
        .unwrap_or(0);
    // A child belongs to the thread that started it.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children: String = threads.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok()).collect();
    own + children.split_whitespace().filter_map(|c| c.parse().ok()).map(memory_of_tree).sum::<u64>()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
