//! Runs for other programs: whether a run is good enough, and its report as JUnit XML and as JSON.
//!
//! A pipeline goes by the exit code, or by the JUnit report; the two always agree: a report without a failure or an
//! error is one whose exit code is 0.

mod junit;
mod trend;
mod xml;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use trend::{Point, Trend};

use crate::error::{Error, Result};
use crate::run::{FaultRun, Run, Verdict};

/// What says which shape a JSON report of one run has.
pub const RUN_FORMAT: &str = "pilothouse.dev/chaos-run/v1";
/// What says which shape a JSON report of a workflow's history has.
pub const HISTORY_FORMAT: &str = "pilothouse.dev/chaos-history/v1";

/// When a run is good enough.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Gate {
    threshold: Option<f64>,
}

impl Gate {
    /// Every fault must be withstood; or, with a threshold, the resilience score must reach it, whatever single faults
    /// have shown.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the threshold is no number from 0 to 100.
    pub fn new(threshold: Option<f64>) -> Result<Self> {
        match threshold {
            Some(score) if !(0.0..=100.0).contains(&score) => Err(Error::Parameter {
                name: "threshold".to_owned(),
                message: format!("{score} is no resilience score; give a number from 0 to 100"),
            }),
            threshold => Ok(Self { threshold }),
        }
    }

    /// The least resilience score that is good enough.
    pub fn threshold(self) -> Option<f64> {
        self.threshold
    }

    /// Whether a run is good enough.
    pub fn outcome(self, run: &Run) -> Outcome {
        if !run.phase.ended() {
            return Outcome::NotFinished;
        }
        let judged = |fault: &FaultRun| matches!(fault.verdict, Verdict::Pass | Verdict::Fail);
        match (self.threshold, run.verdict) {
            (_, None | Some(Verdict::Stopped | Verdict::Error | Verdict::Awaited)) => Outcome::NotJudged,
            (None, Some(Verdict::Pass)) => Outcome::Passed,
            (None, Some(Verdict::Fail)) => Outcome::Failed,
            // In the score such a fault counts as 0, which would blame the application.
            (Some(_), Some(_)) if !run.faults.iter().all(judged) => Outcome::NotJudged,
            (Some(least), Some(_)) if run.score.is_none_or(|score| score < least) => Outcome::BelowThreshold,
            (Some(_), Some(_)) => Outcome::Passed,
        }
    }

    /// What came of a workflow, by its newest run: [`Outcome::NotJudged`] where it never ran.
    pub fn outcome_of_all(self, runs: &[Run]) -> Outcome {
        newest_first(runs).first().map_or(Outcome::NotJudged, |run| self.outcome(run))
    }

    /// An outcome in words, for the person who reads the log of a pipeline.
    pub fn words(self, run: &Run) -> String {
        let score = run
            .score
            .map_or_else(|| "no resilience score".to_owned(), |score| format!("a resilience score of {score}"));
        let least = self.threshold.unwrap_or_default();
        match self.outcome(run) {
            Outcome::Passed if self.threshold.is_some() => format!("passed: {score}, and {least} is enough"),
            Outcome::Passed => format!("passed, with {score}"),
            Outcome::Failed => format!("failed, with {score}: {}", not_passed(run)),
            Outcome::BelowThreshold => format!("not good enough: {score}, and {least} is needed: {}", not_passed(run)),
            Outcome::NotFinished => "not finished".to_owned(),
            Outcome::NotJudged if run.faults.is_empty() => "not judged: it has no fault".to_owned(),
            Outcome::NotJudged => format!("not judged: {}", not_passed(run)),
        }
    }
}

/// Whether a run is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It is.
    Passed,
    /// The application did not withstand a fault.
    Failed,
    /// The resilience score is below the threshold that was asked for.
    BelowThreshold,
    /// It has not ended.
    NotFinished,
    /// It ended, and nothing can be said: it was stopped, a fault could not be carried out, or there is none.
    NotJudged,
}

impl Outcome {
    /// The exit code that says it. Codes from 10 on, so that they are never taken for a program that could not do its
    /// work (1), that was called wrongly (2), or that was killed (from 128 on).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 10,
            Self::BelowThreshold => 11,
            Self::NotFinished => 12,
            Self::NotJudged => 13,
        }
    }

    /// Its word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::BelowThreshold => "belowThreshold",
            Self::NotFinished => "notFinished",
            Self::NotJudged => "notJudged",
        }
    }
}

/// One run as a JUnit report, a test case for each fault.
pub fn run_junit(run: &Run, gate: Gate) -> String {
    junit::report(&name_of(run), std::slice::from_ref(run), gate)
}

/// The runs of one workflow as a JUnit report, a test suite for each run, the newest first.
pub fn history_junit(project: &str, workflow: &str, runs: &[Run], gate: Gate) -> String {
    junit::report(&format!("{project}/{workflow}"), &newest_first(runs), gate)
}

/// One run as JSON.
pub fn run_json(run: &Run, gate: Gate) -> String {
    let mut report = json!({"format": RUN_FORMAT});
    merge(&mut report, judged(run, gate));
    pretty(&report)
}

/// The runs of one workflow as JSON, the newest first. The outcome is that of the newest.
pub fn history_json(project: &str, workflow: &str, runs: &[Run], gate: Gate) -> String {
    let runs = newest_first(runs);
    let outcome = gate.outcome_of_all(&runs);
    pretty(&json!({
        "format": HISTORY_FORMAT,
        "project": project,
        "workflow": workflow,
        "outcome": outcome.word(),
        "exitCode": outcome.exit_code(),
        "threshold": gate.threshold,
        "trend": Trend::of(&runs),
        "runs": runs.iter().map(|run| judged(run, gate)).collect::<Vec<_>>(),
    }))
}

fn judged(run: &Run, gate: Gate) -> Value {
    let outcome = gate.outcome(run);
    json!({
        "outcome": outcome.word(),
        "exitCode": outcome.exit_code(),
        "words": gate.words(run),
        "threshold": gate.threshold,
        "run": run,
    })
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn pretty(value: &Value) -> String {
    // The alternate form of a value cannot fail, as that of a serializer could.
    format!("{value:#}\n")
}

fn newest_first(runs: &[Run]) -> Vec<Run> {
    let mut runs = runs.to_vec();
    runs.sort_by(|a, b| (&b.created_at, &b.name).cmp(&(&a.created_at, &a.name)));
    runs
}

fn name_of(run: &Run) -> String {
    match (&run.project, &run.workflow) {
        (Some(project), Some(workflow)) => format!("{project}/{workflow}"),
        _ => run.name.clone(),
    }
}

/// The faults that were not withstood, in words.
fn not_passed(run: &Run) -> String {
    let others = run.faults.iter().filter(|fault| fault.verdict != Verdict::Pass);
    let words: Vec<String> = others.map(|fault| format!("{} {}", fault.name, said(fault))).collect();
    if words.is_empty() { format!("the run ended as {:?}", run.phase) } else { words.join("; ") }
}

/// What a fault has shown, and why.
fn said(fault: &FaultRun) -> String {
    let verdict = match fault.verdict {
        Verdict::Pass => "passed",
        Verdict::Fail => "failed",
        Verdict::Stopped => "was stopped",
        Verdict::Error => "could not be judged",
        Verdict::Awaited => "has no verdict yet",
    };
    let failed = fault.probes.iter().filter(|probe| probe.verdict == "Failed");
    let why: Vec<String> = fault
        .why
        .iter()
        .cloned()
        .chain(failed.map(|probe| match &probe.description {
            Some(words) => format!("{}: {words}", probe.name),
            None => format!("the probe {} failed", probe.name),
        }))
        .collect();
    if why.is_empty() { verdict.to_owned() } else { format!("{verdict} ({})", why.join("; ")) }
}

#[cfg(test)]
mod tests;
