//! Deploying an environment: choices, checks, and the exact PipelineRun; its course, its end, and the way back.

pub(crate) mod argo;
mod changes;
mod ending;
mod plan;
mod preflight;
mod render;
mod rollback;
mod run_details;
mod start;

pub use argo::{SeenDeployment, delete_application, sync_values, why_no_sync};
pub use changes::{AppChange, app_changes, changes};
pub use ending::{Ending, clean_means, deletion_means};
pub use plan::{AppChoice, Choices, Plan, PlannedApp, plan};
pub(crate) use plan::{is_digest, is_tag};
pub use preflight::{Check, FileState, Outside, preflight};
pub use render::{SHOWN, render, render_clean, run_name, shown_digest};
pub use rollback::{Rollback, rollback};
pub use run_details::{LOG_TAIL, RunDetails, Standing, StepLog, StepState, TaskState, read_log, read_run, run_details};
pub use start::{cancel_run, start_clean, start_deploy};
