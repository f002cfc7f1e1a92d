//! Reports of runs for other programs, and how the runs of a workflow went.

use std::{io::Write, path::Path};

use pilothouse_chaos::{
    export::{self, Gate, Trend},
    launch,
    names::label_value,
    run::Run,
};

use crate::{
    App, Result,
    contract::{AppError, ErrorCode, ReportFormat, ReportOf, RunTrend, TrendPoint, Verdict},
    session::Live,
    values::small,
    workflows::verdict_view,
};

/// A report, to be saved where the user says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The file name that is offered.
    pub file: String,
    /// Its text.
    pub text: String,
}

impl App {
    fn runs_of(&self, live: &Live, project: &str, workflow: &str) -> Vec<Run> {
        let wanted = label_value(workflow);
        let mut runs = self.known_runs(live, Some(project));
        runs.retain(|run| run.workflow.as_deref() == Some(&wanted));
        runs
    }

    /// How the runs of a workflow went.
    pub async fn workflow_trend(&self, project: String, workflow: String) -> Result<RunTrend> {
        let live = self.live()?;
        let trend = Trend::of(&self.runs_of(&live, &project, &workflow));
        Ok(RunTrend {
            points: trend
                .points
                .into_iter()
                .map(|point| TrendPoint {
                    namespace: point.namespace,
                    run: point.run,
                    at: point.at,
                    verdict: point.verdict.map_or(Verdict::NotAvailable, verdict_view),
                    score: point.score,
                })
                .collect(),
            passed: small(trend.passed),
            failed: small(trend.failed),
            unjudged: small(trend.unjudged),
            mean: trend.mean,
            change: trend.change,
        })
    }

    /// A report of a run, or of all that is known of a workflow's runs.
    pub async fn run_report(&self, of: ReportOf, format: ReportFormat) -> Result<Report> {
        let live = self.live()?;
        let gate = Gate::default();
        let ending = match format {
            ReportFormat::JUnit => "xml",
            ReportFormat::Json => "json",
        };
        let (name, text) = match of {
            ReportOf::Run { namespace, name } => {
                let run = launch::read_run(&live.cluster, &namespace, &name).await?;
                let text = match format {
                    ReportFormat::JUnit => export::run_junit(&run, gate),
                    ReportFormat::Json => export::run_json(&run, gate),
                };
                (name, text)
            }
            ReportOf::History { project, workflow } => {
                let runs = self.runs_of(&live, &project, &workflow);
                let text = match format {
                    ReportFormat::JUnit => export::history_junit(&project, &workflow, &runs, gate),
                    ReportFormat::Json => export::history_json(&project, &workflow, &runs, gate),
                };
                (format!("{project}-{workflow}-runs"), text)
            }
        };
        Ok(Report { file: format!("{name}.{ending}"), text })
    }

    /// Writes a report where the user said: whole, or not at all.
    pub async fn write_report(&self, path: String, report: Report) -> Result<()> {
        crate::blocking(move || {
            let refused = |why: String| AppError::new(ErrorCode::Storage, format!("{path} cannot be written: {why}"));
            let to = Path::new(&path);
            let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.ok_or_else(|| refused("it names no folder".to_owned()))?;
            let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| refused(e.to_string()))?;
            file.write_all(report.text.as_bytes()).map_err(|e| refused(e.to_string()))?;
            file.as_file().sync_all().map_err(|e| refused(e.to_string()))?;
            file.persist(to).map_err(|e| refused(e.error.to_string()))?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{AppOptions, Silent, keychain::MemoryStore};

    #[tokio::test]
    async fn a_report_is_written_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let options =
            AppOptions { secrets: Arc::new(MemoryStore::default()), ..AppOptions::new(dir.path().join("app")) };
        let app = App::open(options, Arc::new(Silent)).await.unwrap();
        let report = |text: &str| Report { file: "a.json".into(), text: text.into() };
        let to = dir.path().join("a.json").to_string_lossy().into_owned();
        app.write_report(to.clone(), report("one")).await.unwrap();
        app.write_report(to.clone(), report("two")).await.unwrap();
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "two");
        let nowhere = dir.path().join("no/such/a.json").to_string_lossy().into_owned();
        assert_eq!(app.write_report(nowhere, report("x")).await.unwrap_err().code, ErrorCode::Storage);
        let folder = dir.path().join("app").to_string_lossy().into_owned();
        assert_eq!(app.write_report(folder, report("x")).await.unwrap_err().code, ErrorCode::Storage);
        let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a.json", "app"], "nothing half lies beside it");
    }
}
