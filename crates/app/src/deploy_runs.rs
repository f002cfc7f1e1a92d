//! Runs of deploys: followed to their end, and cancelled.

use pilothouse_cluster::{ComponentId, kinds};
use pilothouse_delivery::deploy::{
    RunDetails, Standing, StepLog, StepState, TaskState, cancel_run, read_log, read_run,
};

use crate::{
    App, Result,
    contract::{ActivityKind, AppError, DeployRunView, RunRef, StepLogView, StepView, TaskStatus, TaskView, Topic},
    deploys::confirmed,
    environments::run_entry,
    journal::{Begin, End, Intent},
};

fn status(standing: Standing) -> TaskStatus {
    match standing {
        Standing::Waiting => TaskStatus::Waiting,
        Standing::Running => TaskStatus::Running,
        Standing::Succeeded => TaskStatus::Succeeded,
        Standing::Failed => TaskStatus::Failed,
        Standing::Cancelled => TaskStatus::Cancelled,
        Standing::Skipped => TaskStatus::Skipped,
    }
}

fn step_view(step: StepState) -> StepView {
    StepView {
        name: step.name,
        status: status(step.standing),
        reason: step.reason,
        exit_code: step.exit_code.and_then(|code| i32::try_from(code).ok()),
        started_at: step.started,
        finished_at: step.finished,
    }
}

fn task_view(task: TaskState) -> TaskView {
    TaskView {
        name: task.name,
        status: status(task.standing),
        reason: task.reason,
        started_at: task.started,
        finished_at: task.finished,
        steps: task.steps.into_iter().map(step_view).collect(),
    }
}

impl RunRef {
    /// The page that follows it.
    pub(crate) fn page(&self) -> String {
        format!("/environments/{}/{}/runs/{}", self.flow, self.env, self.run)
    }
}

impl App {
    /// A run with its tasks and steps, as the API server has it now.
    pub async fn deploy_run(&self, run: RunRef) -> Result<DeployRunView> {
        let (live, platform) = self.platform()?;
        self.need(&live, ComponentId::Tekton)?;
        let asked = read_run(&live.cluster, &platform, &run.flow, &run.env, &run.run);
        let may = self.may(&live, "patch", &kinds::PIPELINE_RUN, Some(&platform));
        let (found, can_cancel) = tokio::join!(asked, may);
        let RunDetails { run, tasks, problem } = found?;
        Ok(DeployRunView {
            entry: run_entry(&run),
            tasks: tasks.into_iter().map(task_view).collect(),
            problem,
            can_cancel,
        })
    }

    /// The end of a step's log.
    pub async fn step_log(&self, run: RunRef, task: String, step: String) -> Result<StepLogView> {
        let (live, platform) = self.platform()?;
        let log = read_log(&live.cluster, &platform, (&run.flow, &run.env), &run.run, &task, &step).await?;
        Ok(match log {
            StepLog::Text { text, cut } => StepLogView { text, cut, nothing: None },
            StepLog::Nothing(why) => StepLogView { text: String::new(), cut: false, nothing: Some(why) },
        })
    }

    /// Cancels the run that was shown, by its unique id. `confirm` is the environment's name, which production needs
    /// typed.
    pub async fn cancel_deploy(&self, run: RunRef, uid: String, confirm: Option<String>) -> Result<()> {
        let (live, platform) = self.platform()?;
        confirmed(live.cluster.is_production(), live.name(), &run.env, confirm.as_deref())?;
        let words = format!("Cancel the run {} in {}/{}", run.run, run.flow, run.env);
        let begin = Begin {
            kind: ActivityKind::Deploy,
            words: words.clone(),
            context: Some(live.name().to_owned()),
            object: Some(format!("PipelineRun/{platform}/{}", run.run)),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = cancel_run(&live.cluster, &platform, &run.flow, &run.env, &run.run, &uid).await;
        entry
            .close_with(outcome.map_err(AppError::from), |asked| End {
                words: (!asked).then(|| format!("{words}: it had ended already")),
                url: Some(run.page()),
                ..End::default()
            })
            .await?;
        self.changes.tell(Topic::Environments);
        Ok(())
    }
}
