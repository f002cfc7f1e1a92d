//! What ChaosCenter's API answers, as its schema describes it. Everything that it declares nullable is optional.

use crate::error::Reason;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::backend::{Experiment, GitOps, RunCard, RunDetail};
use crate::run::{FaultRun, Phase, ProbeOutcome, Verdict};

/// The longest text for people that is kept, in characters.
const WORDS: usize = 300;
/// The most faults of one run.
const FAULTS: usize = 500;

/// Whether a text can be an id of ChaosCenter's: a UUID, or a name that a client chose.
pub(super) fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// A text for people: without control characters, and cut short.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|ch| !ch.is_control()).take(WORDS).collect()
}

#[derive(Deserialize)]
pub(super) struct Graph {
    pub(super) data: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) errors: Vec<GraphError>,
}

#[derive(Deserialize)]
pub(super) struct GraphError {
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Deserialize)]
pub(super) struct Single {
    #[serde(rename = "notifyID")]
    pub(super) notify_id: String,
}

/// A page of a list: how many there are in all, and the entries; or the first id that can be none.
pub(super) trait Page<T> {
    fn entries(self) -> Result<(usize, Vec<T>), Reason>;
}

#[derive(Deserialize)]
pub(super) struct Projects {
    pub(super) data: Option<ProjectPage>,
}

#[derive(Deserialize)]
pub(super) struct ProjectPage {
    #[serde(default)]
    pub(super) projects: Vec<Project>,
    #[serde(rename = "totalNumberOfProjects", default)]
    pub(super) total: usize,
}

#[derive(Deserialize)]
pub(super) struct Project {
    #[serde(rename = "projectID")]
    pub(super) project_id: String,
    #[serde(default)]
    pub(super) name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GitOpsDetails {
    enabled: bool,
    branch: Option<String>,
    #[serde(rename = "repoURL")]
    repo_url: Option<String>,
    auth_type: Option<String>,
}

/// An address without the name and password that somebody wrote in it: either may be a token. The user of an address
/// for SSH is a part of it and stays.
fn without_login(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(mut url) if address.contains("://") => {
            let _ = url.set_password(None);
            if matches!(url.scheme(), "http" | "https") {
                let _ = url.set_username("");
            }
            url.to_string()
        }
        _ if address.contains("://") => address.rsplit('@').next().unwrap_or_default().to_owned(),
        _ => address.to_owned(),
    }
}

impl GitOpsDetails {
    pub(super) fn view(self) -> GitOps {
        let words = |text: Option<String>| clean(&text.unwrap_or_default());
        let url = without_login(&words(self.repo_url));
        GitOps { enabled: self.enabled, url, branch: words(self.branch), auth: words(self.auth_type) }
    }
}

#[derive(Deserialize)]
pub(super) struct Experiments {
    #[serde(rename = "totalNoOfExperiments")]
    total: usize,
    experiments: Vec<OneExperiment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OneExperiment {
    #[serde(rename = "experimentID")]
    id: String,
    #[serde(default)]
    name: String,
    experiment_type: Option<String>,
    cron_syntax: Option<String>,
    infra: Option<Infra>,
    recent_experiment_run_details: Option<Vec<OneRun>>,
}

#[derive(Deserialize)]
struct Infra {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OneRun {
    #[serde(rename = "experimentRunID")]
    id: Option<String>,
    #[serde(rename = "experimentID")]
    experiment: Option<String>,
    phase: Option<String>,
    resiliency_score: Option<f64>,
    updated_at: Option<String>,
}

impl OneRun {
    fn card(self, experiment: &str) -> Result<RunCard, Reason> {
        let id = self.id.unwrap_or_default();
        // A run that is queued has no id yet.
        if !id.is_empty() && !is_id(&id) {
            return Err(id.into());
        }
        let (word, score) = (clean(&self.phase.unwrap_or_default()), score(self.resiliency_score));
        let phase = phase(&word);
        Ok(RunCard {
            id,
            experiment: self.experiment.unwrap_or_else(|| experiment.to_owned()),
            verdict: verdict(phase, &word, score),
            score: score.filter(|_| phase.ended()),
            phase,
            phase_word: word,
            at: self.updated_at.as_deref().and_then(time),
        })
    }
}

impl Page<Experiment> for Experiments {
    fn entries(self) -> Result<(usize, Vec<Experiment>), Reason> {
        let one = |one: OneExperiment| {
            if !is_id(&one.id) {
                return Err(one.id);
            }
            let last = one.recent_experiment_run_details.and_then(|all| all.into_iter().next());
            Ok(Experiment {
                last_run: last.map(|run| run.card(&one.id)).transpose()?,
                id: one.id,
                name: clean(&one.name),
                kind: clean(&one.experiment_type.unwrap_or_default()),
                schedule: one.cron_syntax.map(|text| clean(&text)).filter(|text| !text.is_empty()),
                place: clean(&one.infra.and_then(|infra| infra.name).unwrap_or_default()),
            })
        };
        Ok((self.total, self.experiments.into_iter().map(one).collect::<Result<_, _>>()?))
    }
}

#[derive(Deserialize)]
pub(super) struct Runs {
    #[serde(rename = "totalNoOfExperimentRuns")]
    total: usize,
    #[serde(rename = "experimentRuns")]
    runs: Vec<OneRun>,
}

impl Page<RunCard> for Runs {
    fn entries(self) -> Result<(usize, Vec<RunCard>), Reason> {
        Ok((self.total, self.runs.into_iter().map(|run| run.card("")).collect::<Result<_, _>>()?))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FullRun {
    #[serde(flatten)]
    run: OneRun,
    faults_passed: Option<i64>,
    faults_failed: Option<i64>,
    faults_stopped: Option<i64>,
    faults_na: Option<i64>,
    total_faults: Option<i64>,
    weightages: Option<Vec<Weight>>,
    execution_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Weight {
    fault_name: String,
    weightage: i64,
}

impl FullRun {
    pub(super) fn view(self) -> RunDetail {
        let weights = self.weightages.unwrap_or_default();
        let executed: Value =
            self.execution_data.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
        let nodes = executed.get("nodes").and_then(Value::as_object).into_iter().flatten();
        let faults: Vec<FaultRun> = nodes.filter_map(|(_, node)| fault(node, &weights)).take(FAULTS).collect();
        // An id that can be none is none: the caller refuses to name this run again.
        let mut card = self.run.card("").unwrap_or_else(|id| RunCard {
            id: id.into(),
            experiment: String::new(),
            phase: Phase::Error,
            phase_word: String::new(),
            verdict: None,
            score: None,
            at: None,
        });
        let some = |count: Option<i64>| count.unwrap_or(0) > 0;
        if card.phase.ended() {
            card.verdict = Some(if some(self.faults_failed) {
                Verdict::Fail
            } else if card.phase == Phase::Stopped || some(self.faults_stopped) {
                Verdict::Stopped
            } else if some(self.faults_passed) && !some(self.faults_na) && self.faults_passed == self.total_faults {
                Verdict::Pass
            } else {
                Verdict::Error
            });
        }
        let bare = faults.iter().filter(|fault| fault.verdict == Verdict::Pass && fault.probes.is_empty());
        let warnings = bare.map(|fault| {
            format!(
                "{} passed without any probe: it shows that the fault ran, not that the application withstood it",
                fault.name
            )
        });
        RunDetail { warnings: warnings.collect(), card, faults }
    }
}

fn fault(node: &Value, weights: &[Weight]) -> Option<FaultRun> {
    let chaos = node.get("chaosData").filter(|chaos| chaos.is_object())?;
    let text =
        |pointer: &str| chaos.pointer(pointer).and_then(Value::as_str).map(clean).filter(|text| !text.is_empty());
    let engine = text("/engineName");
    // The name of the step, which is what weights go by as well.
    let template = node.get("name").and_then(Value::as_str).map(clean).unwrap_or_default();
    let name = text("/experimentName").unwrap_or_else(|| template.clone());
    let weight = weights.iter().find(|one| one.fault_name == template || one.fault_name == name);
    let listed = chaos.pointer("/chaosResult/status/probeStatuses").and_then(Value::as_array);
    let probes = listed.into_iter().flatten().take(FAULTS).map(|probe| {
        let text = |pointer: &str| probe.pointer(pointer).and_then(Value::as_str).map(clean).unwrap_or_default();
        ProbeOutcome {
            name: text("/name"),
            probe_type: text("/type"),
            mode: text("/mode"),
            verdict: text("/status/verdict"),
            description: Some(text("/status/description")).filter(|text| !text.is_empty()),
        }
    });
    Some(FaultRun {
        verdict: match text("/experimentVerdict").unwrap_or_default().to_ascii_lowercase().as_str() {
            "pass" | "passed" => Verdict::Pass,
            "fail" | "failed" => Verdict::Fail,
            "stopped" => Verdict::Stopped,
            "error" => Verdict::Error,
            _ => Verdict::Awaited,
        },
        // A text such as "100", or "Awaited".
        probe_success_percentage: text("/probeSuccessPercentage")
            .and_then(|text| text.parse().ok())
            .filter(|n| *n <= 100),
        weight: weight.and_then(|one| u32::try_from(one.weightage).ok()).filter(|n| *n <= 1000).unwrap_or(10),
        engine_status: text("/experimentStatus"),
        why: text("/chaosResult/status/experimentStatus/errorOutput/reason"),
        probes: probes.collect(),
        targets: Vec::new(),
        name,
        template,
        engine,
    })
}

/// ChaosCenter's phases. An ended run with a failed probe is an ended run.
fn phase(word: &str) -> Phase {
    match word {
        "Running" => Phase::Running,
        "Completed" | "Completed_With_Error" | "Completed_With_Probe_Failure" => Phase::Succeeded,
        "Error" | "Timeout" => Phase::Error,
        "Stopped" | "Terminated" => Phase::Stopped,
        // `Queued`, `NA`, and what this schema does not know.
        _ => Phase::Queued,
    }
}

/// The verdict as far as a list tells it: everything that was asked held, or not.
fn verdict(phase: Phase, word: &str, score: Option<f64>) -> Option<Verdict> {
    match phase {
        Phase::Stopped => Some(Verdict::Stopped),
        Phase::Error | Phase::Failed => Some(Verdict::Error),
        Phase::Succeeded if word == "Completed_With_Error" => Some(Verdict::Error),
        Phase::Succeeded if word == "Completed_With_Probe_Failure" => Some(Verdict::Fail),
        Phase::Succeeded => score.map(|score| if score >= 100.0 { Verdict::Pass } else { Verdict::Fail }),
        Phase::Queued | Phase::Running => Some(Verdict::Awaited),
    }
}

fn score(score: Option<f64>) -> Option<f64> {
    score.filter(|score| score.is_finite() && (0.0..=100.0).contains(score))
}

/// Unix milliseconds as a text, as ChaosCenter writes times, in RFC 3339.
fn time(text: &str) -> Option<String> {
    let number: i64 = text.trim().parse().ok()?;
    let time = if number > 100_000_000_000 {
        jiff::Timestamp::from_millisecond(number)
    } else {
        jiff::Timestamp::from_second(number)
    };
    time.ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::without_login;

    #[test]
    fn a_login_in_an_address_is_not_shown() {
        for (written, shown) in [
            ("https://hush@git.example/a/b", "https://git.example/a/b"),
            ("https://robin:hush@git.example/a/b.git", "https://git.example/a/b.git"),
            ("ssh://git@git.example/a/b", "ssh://git@git.example/a/b"),
            ("git@git.example:a/b", "git@git.example:a/b"),
            ("https://robin:hush@git.example:port/a", "git.example:port/a"),
            ("", ""),
        ] {
            assert_eq!(without_login(written), shown, "{written}");
        }
    }
}
