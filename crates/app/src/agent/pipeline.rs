//! A run that a pipeline asks for and waits for.

use std::time::Duration;

use pilothouse_chaos::{
    export::{self, Gate},
    launch,
    run::Run,
};

use crate::{
    App, Result,
    contract::{AppError, RunSeen, RunStarted},
};

/// How often a run is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often a run is asked for whose answer was lost.
const ATTEMPTS: u32 = 5;

/// What a pipeline asks for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The chaos project.
    pub project: String,
    /// The chaos workflow.
    pub workflow: String,
    /// The least resilience score that is good enough; none asks that every fault is withstood.
    pub threshold: Option<f64>,
    /// The workflow's name once more, which a cluster that is marked as production asks for.
    pub confirm: Option<String>,
}

/// A run as a pipeline sees it.
#[derive(Debug, Clone)]
pub struct PipelineRun {
    run: Run,
    gate: Gate,
}

impl PipelineRun {
    /// Whether it has ended.
    pub fn ended(&self) -> bool {
        self.run.phase.ended()
    }

    /// What is going on, in a word.
    pub fn phase(&self) -> String {
        format!("{:?}", self.run.phase)
    }

    /// What came of it, in words.
    pub fn words(&self) -> String {
        self.gate.words(&self.run)
    }

    /// The exit code that says what came of it: 0 when it is good enough.
    pub fn exit_code(&self) -> u8 {
        self.gate.outcome(&self.run).exit_code()
    }

    /// The report as JUnit XML.
    pub fn junit(&self) -> String {
        export::run_junit(&self.run, self.gate)
    }

    /// The report as JSON.
    pub fn json(&self) -> String {
        export::run_json(&self.run, self.gate)
    }
}

impl App {
    /// Starts a run as a person would who looked at it and chose to: whatever its run policy says, and not where a
    /// name has to be typed and was not. Its warnings come back with it.
    ///
    /// # Errors
    /// Those of the preview and of the start; a threshold that is no score.
    pub async fn start_for_pipeline(&self, asked: &Asked) -> Result<(RunStarted, Vec<String>)> {
        gate(asked)?;
        let preview = self.preview_run(asked.project.clone(), asked.workflow.clone()).await?;
        let seen = RunSeen { run: preview.run, digest: preview.digest, context: preview.context };
        let (project, workflow) = (asked.project.clone(), asked.workflow.clone());
        // Asked for the same run once more, it starts nothing that an answer was lost of.
        for _ in 1..ATTEMPTS {
            match self.run_workflow(project.clone(), workflow.clone(), seen.clone(), asked.confirm.clone()).await {
                Err(error) if may_pass(&error) => {
                    tracing::warn!(%error, run = %seen.run, "asking for the run again");
                    tokio::time::sleep(LOOK).await;
                }
                other => return Ok((other?, preview.warnings)),
            }
        }
        Ok((self.run_workflow(project, workflow, seen, asked.confirm.clone()).await?, preview.warnings))
    }

    /// How such a run stands.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn look_for_pipeline(&self, asked: &Asked, run: &RunStarted) -> Result<PipelineRun> {
        let live = self.live()?;
        let gate = gate(asked)?;
        Ok(PipelineRun { run: launch::read_run(&live.cluster, &run.namespace, &run.run).await?, gate })
    }

    /// Waits until such a run has ended, or no longer than `patience`; a connection that fails meanwhile is tried
    /// again. Tells each new phase.
    ///
    /// # Errors
    /// When the run is gone, or cannot be read at the end.
    pub async fn wait_for_pipeline(
        &self,
        asked: &Asked,
        run: &RunStarted,
        patience: Duration,
        mut tell: impl FnMut(&PipelineRun),
    ) -> Result<PipelineRun> {
        // Longer than can be counted is for ever.
        let end = tokio::time::Instant::now().checked_add(patience);
        let mut before = String::new();
        loop {
            let looked = self.look_for_pipeline(asked, run).await;
            let over = end.is_some_and(|end| tokio::time::Instant::now() >= end);
            match looked {
                Ok(found) => {
                    if found.phase() != before {
                        before = found.phase();
                        tell(&found);
                    }
                    if found.ended() || over {
                        return Ok(found);
                    }
                }
                Err(error) if over || !may_pass(&error) => return Err(error),
                Err(error) => tracing::warn!(%error, run = %run.run, "the run cannot be read now"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn gate(asked: &Asked) -> Result<Gate> {
    Ok(Gate::new(asked.threshold)?)
}

/// Whether the same question may be answered in a moment.
fn may_pass(error: &AppError) -> bool {
    matches!(error.retry, crate::contract::Retry::Now | crate::contract::Retry::Later)
}
