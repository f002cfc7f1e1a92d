//! Deploying an environment: choices, checks, and the exact PipelineRun.

mod plan;
mod preflight;
mod render;

pub use plan::{AppChoice, Choices, Plan, PlannedApp, changes, plan};
pub use preflight::{Check, FileState, Outside, preflight};
pub use render::{render, render_clean, run_name};
