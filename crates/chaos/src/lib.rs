//! Chaos: projects, workflow documents, the sync planner, runs, verdicts and scores.
//!
//! The core is pure: [`document`], [`plan`], [`templates`], [`instantiate`], [`run`], [`schedule`], [`blast`] and [`reach`] take data and give
//! data. The effects ([`project`], [`sync`], [`launch`], [`stop`]) take a cluster, do what the core says, and are safe
//! to repeat.

mod acceptance;
mod apply;
pub mod backend;
pub mod blast;
pub mod center;
mod delta;
pub mod document;
pub mod dry_run;
mod edit;
mod embedded;
pub mod engine;
pub mod error;
pub mod export;
pub mod form;
pub mod git_side;
pub mod instantiate;
pub mod launch;
pub mod memory;
pub mod mend;
pub mod merge;
pub mod names;
mod places;
pub mod plan;
pub mod position;
pub mod project;
pub mod queue;
pub mod reach;
pub mod remap;
pub mod resolve;
pub mod run;
pub mod schedule;
pub mod stop;
pub mod sync;
mod template_yaml;
pub mod templates;
pub mod ticks;
pub mod trailers;
mod unknown_fields;
pub mod verdicts;
pub mod workflow_object;

pub use document::{DocumentKind, Problem, Severity, WorkflowDocument};
pub use error::{Error, Result};
pub use git_side::GitSide;
pub use memory::Memory;
