//! Triggers: "when this changes on these workloads, run that workflow, under these guards".
//!
//! [`condition`] judges a change, [`guarding`] holds it back, [`decide`] joins the two; all of it is pure. [`engine`]
//! watches, asks, and acts. The name of a run is a function of the trigger, the workload and the revision, so the API
//! server itself makes a run happen once, however many engines look and however often they restart.

pub mod backtest;
pub mod condition;
pub mod decide;
pub mod engine;
pub mod error;
pub mod explain;
pub mod guarding;
pub mod images;
pub mod launcher;
pub mod litmus;
pub mod rollout;
pub mod spec;
pub mod surroundings;
pub mod workload;

pub use engine::{Clock, Engine, Event, Sink};
pub use error::{Error, Result};
pub use launcher::{Launch, LaunchError, Launched, Launcher, RunState};
