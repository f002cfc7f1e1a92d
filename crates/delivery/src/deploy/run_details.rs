//! A run followed to its end: its tasks, their steps and the steps' logs.

use kube::api::{LogParams, Request};
use pilothouse_cluster::{Cluster, Error as ClusterError, explain, kinds};

use crate::objects::{PipelineRun, Step, TaskRun};
use crate::runs::{Run, belongs, run_view};
use crate::writes::list;
use crate::{Error, Result};

/// Tekton's label on each TaskRun: the PipelineRun.
const RUN_LABEL: &str = "tekton.dev/pipelineRun";
/// Tekton's label on each TaskRun: the task's name in the pipeline.
const TASK_LABEL: &str = "tekton.dev/pipelineTask";
/// As much of a log's end as is shown, in bytes.
pub const LOG_TAIL: usize = 256 * 1024;
/// As much as the API server is asked for at once, in bytes.
const LOG_ANSWER: i64 = 2 * 1024 * 1024;

/// How a task or a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its turn has not come.
    Waiting,
    /// Running.
    Running,
    /// Ended well.
    Succeeded,
    /// Failed.
    Failed,
    /// Cancelled.
    Cancelled,
    /// Left out.
    Skipped,
}

/// A task of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    /// Its name in the pipeline.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// Why, in Tekton's words.
    pub reason: Option<String>,
    /// When it started, RFC 3339.
    pub started: Option<String>,
    /// When it ended, RFC 3339.
    pub finished: Option<String>,
    /// Its steps, in order.
    pub steps: Vec<StepState>,
}

/// A step of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepState {
    /// Its name in the task.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// Why, in the word of Tekton or the kubelet.
    pub reason: Option<String>,
    /// The exit code, once it ended.
    pub exit_code: Option<i64>,
    /// When it started, RFC 3339.
    pub started: Option<String>,
    /// When it ended, RFC 3339.
    pub finished: Option<String>,
}

/// A run with its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDetails {
    /// The run.
    pub run: Run,
    /// Its tasks, in the pipeline's order.
    pub tasks: Vec<TaskState>,
    /// Why the tasks are not told in full.
    pub problem: Option<String>,
}

/// The end of a step's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepLog {
    /// The text, without colours and other control characters.
    Text {
        /// The text.
        text: String,
        /// Its beginning is left out.
        cut: bool,
    },
    /// There is nothing to read, and why.
    Nothing(String),
}

/// Puts a run's tasks together. Without TaskRuns, which not everybody may read, the run itself names its tasks.
pub fn run_details(run: &PipelineRun, tasks: Option<&[TaskRun]>) -> RunDetails {
    let view = run_view(run);
    let active = view.status.is_active();
    let of = |name: &str| {
        let found = tasks.unwrap_or_default().iter().filter(|one| task_name(run, one) == Some(name));
        // A task that was tried again has several; the newest counts.
        found.max_by(|a, b| a.started.cmp(&b.started))
    };
    let mut names: Vec<String> = run.planned.clone();
    let mut begun: Vec<&TaskRun> = tasks.unwrap_or_default().iter().collect();
    begun.sort_by(|a, b| (&a.started, &a.meta.name).cmp(&(&b.started, &b.meta.name)));
    let known =
        run.children.iter().map(|(_, task)| task.as_str()).chain(begun.iter().filter_map(|one| task_name(run, one)));
    for name in known {
        if !names.iter().any(|one| one == name) {
            names.push(name.to_owned());
        }
    }
    let states = names.into_iter().map(|name| {
        let skipped = run.skipped.iter().find(|(one, _)| *one == name).map(|(_, why)| why.clone());
        match (of(&name), skipped) {
            (Some(task), _) => task_state(name, task),
            (None, Some(why)) => bare(name, Standing::Skipped, Some(why).filter(|why| !why.is_empty())),
            (None, None) => {
                let child = run.children.iter().any(|(_, task)| *task == name);
                let standing = match (child, active) {
                    (true, true) => Standing::Running,
                    (false, true) => Standing::Waiting,
                    // What became of it is written where it cannot be read.
                    (true, false) if view.status == crate::RunStatus::Succeeded => Standing::Succeeded,
                    (true, false) => Standing::Waiting,
                    (false, false) => Standing::Skipped,
                };
                bare(name, standing, None)
            }
        }
    });
    RunDetails { tasks: states.collect(), run: view, problem: None }
}

fn task_name<'a>(run: &'a PipelineRun, task: &'a TaskRun) -> Option<&'a str> {
    let child = run.children.iter().find(|(name, _)| *name == task.meta.name).map(|(_, task)| task.as_str());
    child.or_else(|| task.meta.label(TASK_LABEL))
}

fn bare(name: String, standing: Standing, reason: Option<String>) -> TaskState {
    TaskState { name, standing, reason, started: None, finished: None, steps: Vec::new() }
}

fn task_state(name: String, task: &TaskRun) -> TaskState {
    let cancelled = task.reason.as_deref() == Some("TaskRunCancelled");
    let standing = match task.succeeded.as_deref() {
        Some("True") => Standing::Succeeded,
        Some("False") if cancelled => Standing::Cancelled,
        Some("False") => Standing::Failed,
        _ if task.started.is_some() => Standing::Running,
        _ => Standing::Waiting,
    };
    let reason = match (&task.reason, &task.message) {
        (Some(reason), Some(message)) if !message.is_empty() && message != reason => {
            Some(format!("{reason}: {message}"))
        }
        (reason, message) => reason.clone().or_else(|| message.clone()),
    };
    let ended = matches!(standing, Standing::Succeeded | Standing::Failed | Standing::Cancelled);
    TaskState {
        name,
        standing,
        reason,
        started: task.started.clone(),
        finished: task.finished.clone(),
        steps: task.steps.iter().map(|step| step_state(step, ended)).collect(),
    }
}

fn step_state(step: &Step, ended: bool) -> StepState {
    let cancelled = step.reason.as_deref() == Some("TaskRunCancelled");
    let standing = match (step.exit_code, &step.started) {
        _ if cancelled => Standing::Cancelled,
        // Steps after a failed one are ended by Tekton without having run.
        (Some(_), _) if step.reason.as_deref() == Some("Skipped") => Standing::Skipped,
        (Some(0), _) => Standing::Succeeded,
        (Some(_), _) => Standing::Failed,
        (None, Some(_)) if ended => Standing::Cancelled,
        (None, Some(_)) => Standing::Running,
        (None, None) if ended => Standing::Skipped,
        (None, None) => Standing::Waiting,
    };
    StepState {
        name: step.name.clone(),
        standing,
        reason: step.reason.clone().filter(|reason| reason != "Completed"),
        exit_code: step.exit_code,
        started: step.started.clone(),
        finished: step.finished.clone(),
    }
}

pub(crate) async fn get_run(
    cluster: &Cluster,
    namespace: &str,
    flow: &str,
    environment: &str,
    name: &str,
) -> Result<PipelineRun> {
    let api = cluster.api(&kinds::PIPELINE_RUN, namespace);
    let found = api.get_opt(name).await.map_err(|error| explain(&error))?;
    found
        .map(|found| PipelineRun::read(&found))
        .filter(|run| belongs(run, flow, environment))
        .ok_or_else(|| Error::Unknown { what: "deploy run", name: name.to_owned() })
}

async fn task_runs(cluster: &Cluster, namespace: &str, run: &PipelineRun) -> Result<Vec<TaskRun>> {
    let labels = format!("{RUN_LABEL}={}", run.meta.name);
    let mut tasks: Vec<TaskRun> =
        list(cluster, &kinds::TASK_RUN, namespace, Some(&labels)).await?.iter().map(TaskRun::read).collect();
    // A label can be written by hand.
    tasks.retain(|task| task.meta.label(RUN_LABEL) == Some(&run.meta.name));
    Ok(tasks)
}

/// A run of an environment as it stands now, asked of the API server. TaskRuns that may not be read are lived with.
///
/// # Errors
/// A run that is not there or not of this environment, or what the API server says.
pub async fn read_run(
    cluster: &Cluster,
    namespace: &str,
    flow: &str,
    environment: &str,
    name: &str,
) -> Result<RunDetails> {
    let run = get_run(cluster, namespace, flow, environment, name).await?;
    match task_runs(cluster, namespace, &run).await {
        Ok(tasks) => Ok(run_details(&run, Some(&tasks))),
        Err(Error::Cluster(error @ (ClusterError::Forbidden { .. } | ClusterError::NotFound { .. }))) => {
            let problem = format!("The run's tasks cannot be read, so only what the run itself says is shown: {error}");
            Ok(RunDetails { problem: Some(problem), ..run_details(&run, None) })
        }
        Err(error) => Err(error),
    }
}

/// The end of a step's log. The pod and its container come from the TaskRun, not from whoever asks.
///
/// # Errors
/// A run, task or step that is not there, or what the API server says other than that there is nothing to read.
pub async fn read_log(
    cluster: &Cluster,
    namespace: &str,
    (flow, environment): (&str, &str),
    run: &str,
    task: &str,
    step: &str,
) -> Result<StepLog> {
    let run = get_run(cluster, namespace, flow, environment, run).await?;
    let tasks = task_runs(cluster, namespace, &run).await?;
    let found = tasks
        .iter()
        .filter(|one| task_name(&run, one) == Some(task))
        .max_by(|a, b| a.started.cmp(&b.started))
        .ok_or_else(|| Error::Unknown { what: "task", name: task.to_owned() })?;
    let step = found
        .steps
        .iter()
        .find(|one| one.name == step)
        .ok_or_else(|| Error::Unknown { what: "step", name: step.to_owned() })?;
    let Some(pod) = &found.pod else { return Ok(StepLog::Nothing("The task has no pod yet.".to_owned())) };
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    // Lines may be long: fewer are asked for until their end fits into one answer.
    for lines in [4000, 400, 40] {
        let params = LogParams {
            container: Some(step.container.clone()),
            tail_lines: Some(lines),
            limit_bytes: Some(LOG_ANSWER),
            ..LogParams::default()
        };
        let request = Request::new(&path)
            .logs(pod, &params)
            .map_err(|error| ClusterError::Unexpected { problem: format!("a log cannot be asked for: {error}") })?;
        let answer = match cluster.client().request_text(request).await {
            Ok(text) => text,
            Err(error) => return nothing(explain(&error)),
        };
        let whole = i64::try_from(answer.len()).unwrap_or(i64::MAX) < LOG_ANSWER;
        if whole || lines == 40 {
            let all = whole && answer.lines().count() < usize::try_from(lines).unwrap_or(usize::MAX);
            let (text, cut) = tail(&readable(&answer), LOG_TAIL);
            return Ok(StepLog::Text { text, cut: cut || !all });
        }
    }
    Ok(StepLog::Nothing("The log's lines are too long to be shown.".to_owned()))
}

fn nothing(error: ClusterError) -> Result<StepLog> {
    match error {
        ClusterError::Forbidden { .. } => {
            Ok(StepLog::Nothing(format!("You may not read the logs of pods here: {error}")))
        }
        ClusterError::NotFound { .. } => Ok(StepLog::Nothing(
            "The task's pod is gone, and its log with it. Finished runs are tidied away after some time.".to_owned(),
        )),
        // `container … is waiting to start`, or a kubelet that cannot be reached.
        ClusterError::Invalid { .. } | ClusterError::Busy { .. } => {
            Ok(StepLog::Nothing(format!("The log cannot be read now: {error}")))
        }
        error => Err(error.into()),
    }
}

/// The last `limit` bytes of a text, from the beginning of a line where there is one.
fn tail(text: &str, limit: usize) -> (String, bool) {
    if text.len() <= limit {
        return (text.to_owned(), false);
    }
    let mut from = text.len() - limit;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let end = &text[from..];
    let line = end.find('\n').map_or(0, |at| at + 1);
    (end[if line < end.len() { line } else { 0 }..].to_owned(), true)
}

/// A log without colours, cursor movements and other control characters. Of a line that was written over, as progress
/// bars are, the last state stays.
fn readable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut line = 0;
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        match ch {
            // What is not one of the sequence's own characters ends it, a line feed above all: one that is cut or
            // broken must not swallow the log behind it.
            '\u{1b}' => match chars.next_if(|ch| !ch.is_control()) {
                Some('[') => {
                    while chars.next_if(|ch| ('\u{20}'..='\u{3f}').contains(ch)).is_some() {}
                    chars.next_if(|ch| ('\u{40}'..='\u{7e}').contains(ch));
                }
                // A title or a link: up to the bell or the string's end, which is a sequence of its own.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while chars
                        .next_if(|ch| !matches!(ch, '\n' | '\u{1b}'))
                        .is_some_and(|ch| !matches!(ch, '\u{7}' | '\u{9c}'))
                    {}
                }
                _ => {}
            },
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => out.truncate(line),
            '\n' => {
                out.push('\n');
                line = out.len();
            }
            '\t' => out.push('\t'),
            // Marks that reorder text could make it read as what it is not.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            ch if ch.is_control() => {}
            ch => out.push(ch),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_plain_text() {
        assert_eq!(readable("\u{1b}[31mred\u{1b}[0m\r\nnext\n"), "red\nnext\n");
        assert_eq!(readable("10%\r55%\r100%\ndone"), "100%\ndone");
        assert_eq!(readable("a\u{1b}]8;;http://x\u{7}b\u{0}\u{202e}c"), "abc");
        assert_eq!(readable("\u{1b}"), "");
        let link = "see \u{1b}]8;;http://x\u{1b}\\here\u{1b}]8;;\u{1b}\\ now\nnext";
        assert_eq!(readable(link), "see here now\nnext");
        assert_eq!(readable("\u{1b}]0;a title\nnext"), "\nnext", "without its end");
        assert_eq!(readable("\u{1b}[31\nnext\u{1b}\nlast"), "\nnext\nlast");
    }

    #[test]
    fn of_a_long_log_the_end_is_kept_by_whole_lines() {
        assert_eq!(tail("one\ntwo\n", 100), ("one\ntwo\n".into(), false));
        assert_eq!(tail("one\ntwo\nthree\n", 8), ("three\n".into(), true));
        assert_eq!(tail(&"é".repeat(10), 5), ("éé".into(), true));
    }
}
