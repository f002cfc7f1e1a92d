//! Triggers: "when this changes on these workloads, run that workflow, under these guards".
//!
//! [`decide`] is pure and holds every rule; [`engine`] watches, asks it, and acts. The name of a run is a function of
//! the trigger, the workload and the revision, so the API server itself makes a run happen once, however many engines
//! look and however often they restart.

pub mod decide;
pub mod engine;
pub mod error;
pub mod images;
pub mod launcher;
pub mod rollout;
pub mod spec;

pub use engine::{Clock, Engine, Event, Sink};
pub use error::{Error, Result};
pub use launcher::{Launch, LaunchError, Launched, Launcher, RunState};
