//! How the runs of a workflow went over time.

use serde::{Deserialize, Serialize};

use crate::run::{Run, Verdict};

/// One run of a trend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// The run's namespace.
    pub namespace: String,
    /// The run's name.
    pub run: String,
    /// When it ended, or was created where nobody wrote the end (RFC 3339).
    pub at: Option<String>,
    /// Its verdict; none for a run without any fault.
    pub verdict: Option<Verdict>,
    /// Its resilience score, 0 to 100.
    pub score: Option<f64>,
}

/// How the runs of a workflow went, those that ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trend {
    /// The runs, the oldest first.
    pub points: Vec<Point>,
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many could not be judged.
    pub unjudged: usize,
    /// The mean score of those that have one, cut to two decimals.
    pub mean: Option<f64>,
    /// The newest score less the one before it, in points.
    pub change: Option<f64>,
}

impl Trend {
    /// The trend of runs in any order; those that have not ended are left out.
    pub fn of(runs: &[Run]) -> Self {
        let ended = runs.iter().filter(|run| run.phase.ended());
        let mut points: Vec<Point> = ended
            .map(|run| Point {
                namespace: run.namespace.clone(),
                run: run.name.clone(),
                at: run.finished_at.clone().or_else(|| run.created_at.clone()),
                verdict: run.verdict,
                score: run.score,
            })
            .collect();
        points.sort_by(|a, b| (&a.at, &a.run).cmp(&(&b.at, &b.run)));
        let count = |verdict| points.iter().filter(|point| point.verdict == Some(verdict)).count();
        let (passed, failed) = (count(Verdict::Pass), count(Verdict::Fail));
        let scores: Vec<f64> = points.iter().filter_map(|point| point.score).collect();
        #[allow(clippy::cast_precision_loss)]
        let mean = (!scores.is_empty()).then(|| cut(scores.iter().sum::<f64>() / scores.len() as f64));
        let change = match scores[..] {
            [.., before, last] => Some(cut(last - before)),
            _ => None,
        };
        Self { unjudged: points.len() - passed - failed, points, passed, failed, mean, change }
    }
}

/// To two decimals, towards zero, as the score itself is cut.
fn cut(number: f64) -> f64 {
    // What is a hair below a hundredth is that hundredth: 0.29 * 100 is 28.999….
    ((number * 100.0 + number.signum() * 1e-6).trunc()) / 100.0
}
