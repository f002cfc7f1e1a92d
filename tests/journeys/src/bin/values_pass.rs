//! Times what the values editor computes, against reading the same text with the YAML library alone: the diagnostics
//! that follow a keystroke in a long file, its effective result, its fields' knowledge at the cursor. Opening the file is
//! timed from the click, against `git fetch` and `git show` and reading the text. Prints a line for each figure: its
//! name, ours in milliseconds, and the floor's.
//!
//! `values-pass --lines 10000 --keys 5000 --rounds 5`

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use pilothouse_app::contract::{AppError, ConnectTarget, ValuesFile};
use pilothouse_app::keychain::MemoryStore;
use pilothouse_app::{App, AppOptions, Silent};
use pilothouse_practice::git_remote::GitRemote;
use pilothouse_practice::seed;
use pilothouse_values::{Chart, check, completions, diff, effective, read};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, usual: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1)).and_then(|n| n.parse().ok()).unwrap_or(usual)
    };
    let (lines, keys, rounds) = (number("--lines", 10_000), number("--keys", 5_000), number("--rounds", 5));
    // Two lines a key, and one for each group of ten.
    let text = values(lines * 10 / 21, "changed");
    let defaults = values(keys, "default");
    let chart = Chart::new(Some(&defaults), None);
    let empty = serde_json::json!({});
    let file = read(&text)?;
    let middle = text.lines().count() / 2;

    let floor = median(rounds, || Ok(serde_yaml::from_str::<serde_yaml::Value>(&text)?))?;
    let row = |name: &str, ours: f64| println!("{name} {ours:.3} {floor:.3}");
    row("check-ms", median(rounds, || Ok(check(&text, &chart, &[])))?);
    row("effective-ms", {
        let tree = chart.defaults().unwrap_or(&empty);
        median(rounds, || Ok(effective(tree, &file, &[])))?
    });
    row("complete-ms", median(rounds, || Ok(completions(&text, middle, 3, &chart)))?);
    let edited = text.replacen("changed-1\"", "edited\"", 1);
    row("diff-ms", median(rounds, || Ok(diff(&text, &edited)))?);
    let (ours, floor) = open(&text, rounds).await?;
    println!("open-ms {ours:.3} {floor:.3}");
    // The practice cluster's controllers end with the process.
    std::process::exit(0)
}

/// Opening a file of the GitOps repository, chart and all; and what one would type instead.
async fn open(text: &str, rounds: usize) -> Result<(f64, f64), Box<dyn Error>> {
    let data = tempfile::tempdir()?;
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(Vec::new()),
        known_hosts: Vec::new(),
        authority: None,
        ..AppOptions::new(data.path().to_owned())
    };
    let failed = |error: AppError| format!("{error:?}");
    let app = App::open(options, Arc::new(Silent)).await?;
    app.connect(ConnectTarget::Practice, "connect".into()).await.map_err(failed)?;
    let (env, name, repository) = (seed::ENVIRONMENTS[0], seed::APPLICATIONS[0], "acme/values");
    let path = format!("{}/{env}/{name}-values.yaml", seed::FLOW);
    let remote = GitRemote::create(&data.path().join("practice/repositories"))?;
    let bare = remote.create_repo(repository, "main")?.display().to_string();
    remote.commit_files(repository, "main", &[(path.as_str(), text)], "Add values")?;
    let url = format!("ssh://git@{}:22/{repository}", seed::GIT_HOST);
    app.register_repository(url).await.map_err(failed)?;
    app.clone_repository("clone".into()).await.map_err(failed)?;
    let clone = data.path().join("floor.git").display().to_string();
    git(&["clone", "--quiet", "--bare", &bare, &clone])?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        let begin = Instant::now();
        let file = ValuesFile { flow: seed::FLOW.into(), env: env.into(), app: name.into() };
        let opened = app.open_values(file).await.map_err(failed)?;
        ours.push(begin.elapsed().as_secs_f64() * 1000.0);
        if opened.text != text {
            return Err("another text was opened".into());
        }
        let begin = Instant::now();
        git(&["-C", &clone, "fetch", "--quiet", "origin", "main:main"])?;
        let shown = git(&["-C", &clone, "show", &format!("main:{path}")])?;
        black_box(serde_yaml::from_slice::<serde_yaml::Value>(&shown)?);
        floor.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    Ok((middle(ours), middle(floor)))
}

fn git(arguments: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    let output = Command::new("git").args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("git {} failed", arguments.join(" ")).into()) }
}

/// Groups of ten keys, each with a comment.
fn values(keys: usize, value: &str) -> String {
    let mut text = String::new();
    for key in 0..keys {
        if key % 10 == 0 {
            let _ = writeln!(text, "group{}:", key / 10);
        }
        let _ = writeln!(text, "  # What number {key} is for.\n  key{key}: \"{value}-{key}\"");
    }
    text
}

/// Milliseconds.
fn median<T>(rounds: usize, work: impl Fn() -> Result<T, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut taken = Vec::new();
    for _ in 0..rounds.max(1) {
        let begin = Instant::now();
        black_box(work()?);
        taken.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(middle(taken))
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
