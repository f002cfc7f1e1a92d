//! Times what the values editor computes, against reading the same text with the YAML library alone: the diagnostics
//! that follow a keystroke in a long file, its effective result, its fields' knowledge at the cursor. Prints a line for
//! each figure: its name, ours in milliseconds, and the floor's.
//!
//! `values-pass --lines 10000 --keys 5000 --rounds 5`

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use pilothouse_values::{Chart, check, completions, diff, effective, read};

fn main() -> Result<(), Box<dyn Error>> {
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
    Ok(())
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
    taken.sort_by(f64::total_cmp);
    Ok(taken[taken.len() / 2])
}
