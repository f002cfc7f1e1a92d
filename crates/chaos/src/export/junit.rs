//! The JUnit report, in the form that Jenkins, GitLab and GitHub's actions read.

use std::fmt::Write;

use jiff::Timestamp;

use super::xml::escaped;
use super::{Gate, Outcome, not_passed, said};
use crate::run::{FaultRun, Run, Verdict};

/// How a test case ended.
enum End {
    Passed,
    /// The application's doing.
    Failure(&'static str, String),
    /// Nobody can say: not the application's doing.
    Error(&'static str, String),
}

struct Case {
    class: String,
    name: String,
    end: End,
    /// What else is to be known.
    out: Vec<String>,
}

/// The numbers of a suite.
#[derive(Default)]
struct Sum {
    tests: usize,
    failures: usize,
    errors: usize,
}

impl Sum {
    fn of(cases: &[Case]) -> Self {
        let count = |is: fn(&End) -> bool| cases.iter().filter(|case| is(&case.end)).count();
        Self {
            tests: cases.len(),
            failures: count(|end| matches!(end, End::Failure(..))),
            errors: count(|end| matches!(end, End::Error(..))),
        }
    }

    fn add(&mut self, other: &Self) {
        self.tests += other.tests;
        self.failures += other.failures;
        self.errors += other.errors;
    }

    fn attributes(&self) -> String {
        format!("tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"0\"", self.tests, self.failures, self.errors)
    }
}

/// A report of runs, a suite for each, in the order given.
pub(super) fn report(name: &str, runs: &[Run], gate: Gate) -> String {
    let (mut all, mut suites, mut seconds) = (Sum::default(), String::new(), 0.0);
    for run in runs {
        let cases = cases(run, gate);
        let sum = Sum::of(&cases);
        seconds += duration(run).unwrap_or_default();
        suite(&mut suites, run, gate, &cases, &sum);
        all.add(&sum);
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" {} time=\"{seconds:.3}\">\n{suites}</testsuites>\n",
        escaped(name),
        all.attributes(),
    )
}

fn suite(out: &mut String, run: &Run, gate: Gate, cases: &[Case], sum: &Sum) {
    let outcome = gate.outcome(run);
    let _ = write!(out, "  <testsuite name=\"{}\" {}", escaped(&run.name), sum.attributes());
    if let Some(seconds) = duration(run) {
        let _ = write!(out, " time=\"{seconds:.3}\"");
    }
    if let Some(moment) = run.started_at.as_ref().or(run.created_at.as_ref()) {
        let _ = write!(out, " timestamp=\"{}\"", escaped(moment));
    }
    out.push_str(">\n    <properties>\n");
    let mut property = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            let _ = writeln!(out, "      <property name=\"{name}\" value=\"{}\"/>", escaped(value));
        }
    };
    property("namespace", Some(&run.namespace));
    property("project", run.project.as_deref());
    property("workflow", run.workflow.as_deref());
    property("trigger", run.trigger.as_deref());
    property("phase", Some(&format!("{:?}", run.phase)));
    property("verdict", run.verdict.map(|verdict| format!("{verdict:?}")).as_deref());
    property("resilienceScore", run.score.map(|score| score.to_string()).as_deref());
    property("threshold", gate.threshold().map(|score| score.to_string()).as_deref());
    property("outcome", Some(outcome.word()));
    property("exitCode", Some(&outcome.exit_code().to_string()));
    out.push_str("    </properties>\n");
    for case in cases {
        write_case(out, case);
    }
    if !run.warnings.is_empty() {
        let _ = writeln!(out, "    <system-out>{}</system-out>", escaped(&run.warnings.join("\n")));
    }
    out.push_str("  </testsuite>\n");
}

fn write_case(out: &mut String, case: &Case) {
    let _ = write!(out, "    <testcase classname=\"{}\" name=\"{}\"", escaped(&case.class), escaped(&case.name));
    if case.out.is_empty() && matches!(case.end, End::Passed) {
        out.push_str("/>\n");
        return;
    }
    out.push_str(">\n");
    let (element, kind, words) = match &case.end {
        End::Passed => ("", "", ""),
        End::Failure(kind, words) => ("failure", *kind, words.as_str()),
        End::Error(kind, words) => ("error", *kind, words.as_str()),
    };
    if !element.is_empty() {
        let words = escaped(words);
        let _ = writeln!(out, "      <{element} type=\"{kind}\" message=\"{words}\">{words}</{element}>");
    }
    if !case.out.is_empty() {
        let _ = writeln!(out, "      <system-out>{}</system-out>", escaped(&case.out.join("\n")));
    }
    out.push_str("    </testcase>\n");
}

fn cases(run: &Run, gate: Gate) -> Vec<Case> {
    let class = super::name_of(run).replace('/', ".");
    let outcome = gate.outcome(run);
    let mut cases: Vec<Case> = run.faults.iter().map(|fault| case(&class, run, fault, gate, outcome)).collect();
    if gate.threshold().is_some() && matches!(outcome, Outcome::Passed | Outcome::BelowThreshold) {
        let end = match outcome {
            Outcome::BelowThreshold => End::Failure(outcome.word(), gate.words(run)),
            _ => End::Passed,
        };
        let out = run.score.map(|score| format!("resilience score {score}"));
        cases.push(Case { class: class.clone(), name: "resilience score".into(), end, out: out.into_iter().collect() });
    }
    let good = cases.iter().all(|case| matches!(case.end, End::Passed));
    if cases.is_empty() || good && outcome != Outcome::Passed {
        // What no fault says: the run as a whole is not finished, was stopped, or had nothing to judge.
        let end = match outcome {
            Outcome::Passed => End::Passed,
            Outcome::Failed | Outcome::BelowThreshold => End::Failure(outcome.word(), not_passed(run)),
            Outcome::NotFinished | Outcome::NotJudged => {
                let why = run.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                End::Error(outcome.word(), format!("{}{why}", gate.words(run)))
            }
        };
        cases.push(Case { class, name: "the run".into(), end, out: Vec::new() });
    }
    cases
}

fn case(class: &str, run: &Run, fault: &FaultRun, gate: Gate, outcome: Outcome) -> Case {
    let words = said(fault);
    let end = match fault.verdict {
        Verdict::Pass => End::Passed,
        Verdict::Fail if gate.threshold().is_none() => End::Failure("failed", words.clone()),
        // The score decides, and this fault has its part in it.
        Verdict::Fail => End::Passed,
        Verdict::Awaited if !run.phase.ended() => End::Error("notFinished", words.clone()),
        Verdict::Stopped | Verdict::Error | Verdict::Awaited => End::Error("notJudged", words.clone()),
    };
    let mut out = Vec::new();
    if matches!(end, End::Passed) && fault.verdict != Verdict::Pass {
        out.push(format!("{words}; the run is held to its resilience score, and is {}", outcome.word()));
    }
    if let Some(percentage) = fault.probe_success_percentage {
        out.push(format!("probe success {percentage} %, weight {}", fault.weight));
    }
    out.extend(fault.probes.iter().map(|probe| {
        let words = probe.description.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
        format!("probe {} ({}, {}) {}{words}", probe.name, probe.probe_type, probe.mode, probe.verdict)
    }));
    let name =
        if fault.template.is_empty() { fault.name.clone() } else { format!("{} ({})", fault.name, fault.template) };
    Case { class: class.to_owned(), name, end, out }
}

/// How long a run took, in seconds.
fn duration(run: &Run) -> Option<f64> {
    let moment = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
    let begun = moment(&run.started_at).or_else(|| moment(&run.created_at))?;
    let seconds = moment(&run.finished_at)?.duration_since(begun).as_secs_f64();
    (seconds >= 0.0).then_some(seconds)
}
