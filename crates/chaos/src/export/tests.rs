use proptest::prelude::*;
use quick_xml::{Reader, XmlVersion, events::Event};

use super::*;
use crate::run::{Phase, ProbeOutcome};

fn fault(name: &str, verdict: Verdict, percentage: Option<u32>) -> FaultRun {
    FaultRun {
        name: name.into(),
        template: "t".into(),
        weight: 10,
        engine: Some(format!("{name}-engine")),
        engine_status: Some("completed".into()),
        verdict,
        probe_success_percentage: percentage,
        probes: vec![ProbeOutcome {
            name: "front".into(),
            probe_type: "httpProbe".into(),
            mode: "EOT".into(),
            verdict: if verdict == Verdict::Pass { "Passed" } else { "Failed" }.into(),
            description: Some("it answered".into()),
        }],
        targets: Vec::new(),
        why: None,
    }
}

fn run(phase: Phase, verdict: Option<Verdict>, score: Option<f64>, faults: Vec<FaultRun>) -> Run {
    Run {
        namespace: "litmus".into(),
        name: "kill-x2b4".into(),
        kind: "Workflow".into(),
        project: Some("shop".into()),
        workflow: Some("kill".into()),
        trigger: None,
        phase,
        steps: Vec::new(),
        faults,
        verdict,
        score,
        created_at: Some("2026-01-01T10:00:00Z".into()),
        started_at: Some("2026-01-01T10:00:01Z".into()),
        finished_at: phase.ended().then(|| "2026-01-01T10:05:01Z".into()),
        why: None,
        warnings: Vec::new(),
    }
}

fn passed() -> Run {
    run(Phase::Succeeded, Some(Verdict::Pass), Some(100.0), vec![fault("pod-delete", Verdict::Pass, Some(100))])
}

fn half_failed() -> Run {
    let faults = vec![fault("pod-delete", Verdict::Pass, Some(100)), fault("pod-cpu-hog", Verdict::Fail, Some(60))];
    run(Phase::Succeeded, Some(Verdict::Fail), Some(80.0), faults)
}

/// An element of a report: its name, its attributes, and the text directly in it.
type Element = (String, Vec<(String, String)>, String);

/// Reads a report as a parser of other people's does, and checks that each character is one that XML has.
fn elements(xml: &str) -> Vec<Element> {
    let legal =
        |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(xml.chars().all(legal), "{xml:?}");
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let (mut all, mut open): (Vec<Element>, Vec<usize>) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => break,
            event @ (Event::Start(_) | Event::Empty(_)) => {
                let (Event::Start(tag) | Event::Empty(tag)) = &event else { unreachable!() };
                let attributes = tag.attributes().map(|one| {
                    let one = one.unwrap();
                    let key = one.key.as_ref().to_owned();
                    let value = one.normalized_value(XmlVersion::Implicit1_0).unwrap();
                    (key, value.into_owned())
                });
                let name = tag.name().as_ref().to_owned();
                all.push((name, attributes.collect(), String::new()));
                if matches!(event, Event::Start(_)) {
                    open.push(all.len() - 1);
                }
            }
            Event::End(_) => {
                open.pop().unwrap();
            }
            Event::Text(text) => {
                if let Some(at) = open.last() {
                    all[*at].2.push_str(&text);
                }
            }
            Event::GeneralRef(reference) => {
                let at = *open.last().unwrap();
                match reference.resolve_char_ref().unwrap() {
                    Some(c) => all[at].2.push(c),
                    None => {
                        all[at].2.push_str(quick_xml::escape::resolve_predefined_entity(&reference).unwrap());
                    }
                }
            }
            Event::Decl(_) => {}
            other => panic!("a report has no {other:?}"),
        }
    }
    assert!(open.is_empty());
    all
}

fn attribute<'a>(element: &'a Element, key: &str) -> &'a str {
    element.1.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()).unwrap()
}

#[test]
fn the_exit_code_says_what_came_of_a_run() {
    let halted = run(Phase::Stopped, Some(Verdict::Stopped), Some(0.0), vec![fault("a", Verdict::Stopped, Some(0))]);
    let broken = run(Phase::Error, Some(Verdict::Error), Some(0.0), vec![fault("a", Verdict::Error, Some(0))]);
    let running = run(Phase::Running, Some(Verdict::Awaited), None, vec![fault("a", Verdict::Awaited, None)]);
    let mut mixed = half_failed();
    mixed.faults.push(fault("c", Verdict::Error, Some(0)));
    let table = [
        (passed(), None, Outcome::Passed, 0),
        (passed(), Some(100.0), Outcome::Passed, 0),
        (half_failed(), None, Outcome::Failed, 10),
        // The score decides where one is asked for, on either side of it.
        (half_failed(), Some(80.0), Outcome::Passed, 0),
        (half_failed(), Some(80.01), Outcome::BelowThreshold, 11),
        (running.clone(), None, Outcome::NotFinished, 12),
        (running, Some(0.0), Outcome::NotFinished, 12),
        // What nobody could judge never passes, not even at a threshold of nothing.
        (halted.clone(), None, Outcome::NotJudged, 13),
        (halted, Some(0.0), Outcome::NotJudged, 13),
        (broken, Some(0.0), Outcome::NotJudged, 13),
        (mixed.clone(), None, Outcome::Failed, 10),
        (mixed, Some(10.0), Outcome::NotJudged, 13),
        (run(Phase::Succeeded, None, None, Vec::new()), None, Outcome::NotJudged, 13),
        (run(Phase::Succeeded, None, None, Vec::new()), Some(0.0), Outcome::NotJudged, 13),
    ];
    for (run, threshold, outcome, code) in table {
        let found = Gate::new(threshold).unwrap().outcome(&run);
        assert_eq!((found, found.exit_code()), (outcome, code), "{threshold:?} {run:?}");
    }
    assert_eq!(Gate::default().outcome_of_all(&[]).exit_code(), 13);
    for none in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
        assert_eq!(Gate::new(Some(none)).unwrap_err().code(), "chaos.parameter");
    }
}

#[test]
fn a_run_as_junit_has_a_case_for_each_fault() {
    let found = elements(&run_junit(&half_failed(), Gate::default()));
    let names: Vec<&str> = found.iter().filter(|e| e.0 == "testcase").map(|e| attribute(e, "name")).collect();
    assert_eq!(names, ["pod-delete (t)", "pod-cpu-hog (t)"]);
    let suite = found.iter().find(|e| e.0 == "testsuite").unwrap();
    let numbers = ["tests", "failures", "errors", "time", "timestamp"].map(|key| attribute(suite, key));
    assert_eq!(numbers, ["2", "1", "0", "300.000", "2026-01-01T10:00:01Z"]);
    let failure = found.iter().find(|e| e.0 == "failure").unwrap();
    assert_eq!((attribute(failure, "type"), failure.2.as_str()), ("failed", "failed (front: it answered)"));
    let property = |name| {
        let is = |e: &&Element| e.0 == "property" && attribute(e, "name") == name;
        found.iter().find(is).map(|e| attribute(e, "value").to_owned())
    };
    assert_eq!(property("resilienceScore").as_deref(), Some("80"));
    assert_eq!(property("exitCode").as_deref(), Some("10"));
    assert_eq!(property("threshold"), None);
}

#[test]
fn a_history_has_a_suite_for_each_run_and_goes_by_the_newest() {
    let mut late = half_failed();
    late.name = "kill-z".into();
    late.created_at = Some("2026-01-02T10:00:00Z".into());
    late.finished_at = Some("2026-01-02T10:05:00Z".into());
    let runs = [passed(), late];
    let found = elements(&history_junit("shop", "kill", &runs, Gate::default()));
    let suites: Vec<&str> = found.iter().filter(|e| e.0 == "testsuite").map(|e| attribute(e, "name")).collect();
    assert_eq!(suites, ["kill-z", "kill-x2b4"]);
    let json: Value = serde_json::from_str(&history_json("shop", "kill", &runs, Gate::default())).unwrap();
    assert_eq!((&json["format"], &json["exitCode"]), (&json!(HISTORY_FORMAT), &json!(10)));
    assert_eq!(json["runs"][0]["run"]["name"], "kill-z");
    assert_eq!(json["runs"][1]["outcome"], "passed");
    let trend = &json["trend"];
    assert_eq!(
        (&trend["passed"], &trend["failed"], &trend["mean"], &trend["change"]),
        (&json!(1), &json!(1), &json!(90.0), &json!(-20.0))
    );
    assert_eq!(trend["points"][0]["run"], "kill-x2b4");
}

#[test]
fn a_run_as_json_holds_all_that_is_known() {
    let run = half_failed();
    let json: Value = serde_json::from_str(&run_json(&run, Gate::new(Some(90.0)).unwrap())).unwrap();
    assert_eq!((&json["format"], &json["outcome"]), (&json!(RUN_FORMAT), &json!("belowThreshold")));
    assert_eq!((&json["exitCode"], &json["threshold"]), (&json!(11), &json!(90.0)));
    assert_eq!(serde_json::from_value::<Run>(json["run"].clone()).unwrap(), run);
}

#[test]
fn a_trend_leaves_out_what_has_not_ended_and_counts_what_could_not_be_judged() {
    let running = run(Phase::Running, Some(Verdict::Awaited), None, Vec::new());
    let bare = run(Phase::Succeeded, None, None, Vec::new());
    assert_eq!(Trend::of(&[]), Trend::default());
    let trend = Trend::of(&[running, bare, passed()]);
    assert_eq!((trend.points.len(), trend.passed, trend.failed, trend.unjudged), (2, 1, 0, 1));
    assert_eq!((trend.mean, trend.change), (Some(100.0), None));
    let scored = |score, at: &str| Run { score: Some(score), finished_at: Some(at.into()), ..passed() };
    let trend = Trend::of(&[scored(66.66, "2026-01-02T00:00:00Z"), scored(33.33, "2026-01-01T00:00:00Z")]);
    assert_eq!((trend.mean, trend.change), (Some(49.99), Some(33.33)));
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    use Verdict::*;
    prop::sample::select(vec![Pass, Fail, Stopped, Error, Awaited])
}

prop_compose! {
    fn any_run()(
        phase in prop::sample::select(vec![
            Phase::Queued, Phase::Running, Phase::Succeeded, Phase::Failed, Phase::Error, Phase::Stopped,
        ]),
        faults in prop::collection::vec((any_verdict(), 0..=100u32), 0..4),
        words in prop::collection::vec(any::<String>(), 6),
    ) -> Run {
        let faults: Vec<FaultRun> = faults.into_iter().map(|(verdict, percentage)| {
            let mut fault = fault(&words[0], verdict, Some(percentage));
            fault.template = words[1].clone();
            fault.why = Some(words[2].clone());
            fault.probes[0].description = Some(words[3].clone());
            fault
        }).collect();
        let any = |verdict| faults.iter().any(|fault| fault.verdict == verdict);
        let verdict = match phase {
            _ if faults.is_empty() => None,
            phase if !phase.ended() => Some(Verdict::Awaited),
            _ if any(Verdict::Fail) => Some(Verdict::Fail),
            Phase::Stopped => Some(Verdict::Stopped),
            _ if any(Verdict::Stopped) => Some(Verdict::Stopped),
            _ if any(Verdict::Error) || any(Verdict::Awaited) => Some(Verdict::Error),
            _ => Some(Verdict::Pass),
        };
        let score = if phase.ended() { crate::run::score(&faults) } else { None };
        let mut run = run(phase, verdict, score, faults);
        run.name = words[4].clone();
        run.why = Some(words[5].clone());
        run.warnings = words;
        run
    }
}

proptest! {
    /// A pipeline that reads the report and one that reads the exit code come to the same; and a text from the cluster,
    /// whatever it holds, never makes an element or an attribute of its own.
    #[test]
    fn the_report_and_the_exit_code_agree(run in any_run(), threshold in prop::option::of(0.0..=100.0f64)) {
        let gate = Gate::new(threshold).unwrap();
        let found = elements(&run_junit(&run, gate));
        let count = |name: &str| found.iter().filter(|e| e.0 == name).count();
        prop_assert_eq!(count("failure") + count("error") == 0, gate.outcome(&run).exit_code() == 0);
        prop_assert!(count("testcase") > 0);
        let known = ["testsuites", "testsuite", "properties", "property", "testcase", "failure", "error", "system-out"];
        prop_assert!(found.iter().all(|e| known.contains(&e.0.as_str())));
        let all = &found[0];
        prop_assert_eq!(attribute(all, "failures"), count("failure").to_string());
        prop_assert_eq!(attribute(all, "errors"), count("error").to_string());
        prop_assert_eq!(attribute(all, "tests"), count("testcase").to_string());
        let json: Value = serde_json::from_str(&run_json(&run, gate)).unwrap();
        prop_assert_eq!(&json["exitCode"], &json!(gate.outcome(&run).exit_code()));
    }

    /// What a report says is what the cluster said, but for characters that XML cannot hold.
    #[test]
    fn a_text_survives_its_escaping(text in any::<String>()) {
        let legal = |c: char| super::xml::escaped(&c.to_string()) != "\u{fffd}";
        let expected: String = text.chars().map(|c| if legal(c) { c } else { '\u{fffd}' }).collect();
        let mut run = passed();
        run.warnings = vec![text];
        let found = elements(&run_junit(&run, Gate::default()));
        let said = found.iter().rfind(|e| e.0 == "system-out").unwrap();
        prop_assert_eq!(&said.2, &expected);
    }
}

#[test]
fn hostile_text_stays_text() {
    let mut run = half_failed();
    let hostile =
        "]]></failure><testcase name=\"&'\u{0}\u{1b}[31m\u{ffff}\u{feff}\r\n\t<!DOCTYPE x [<!ENTITY y \"z\">]>&y;";
    run.name = hostile.into();
    run.faults[1].why = Some(hostile.into());
    run.faults[1].probes.clear();
    let found = elements(&run_junit(&run, Gate::default()));
    let kept = hostile.replace(['\u{0}', '\u{1b}', '\u{ffff}'], "\u{fffd}");
    assert_eq!(attribute(found.iter().find(|e| e.0 == "testsuite").unwrap(), "name"), kept);
    assert_eq!(found.iter().find(|e| e.0 == "failure").unwrap().2, format!("failed ({kept})"));
    // Without bounds a report would be as large as whoever writes results likes.
    run.warnings = vec!["x".repeat(1_000_000)];
    assert!(run_junit(&run, Gate::default()).len() < 30_000);
}
