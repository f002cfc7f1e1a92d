//! Delivery through KubeRocketCI: Git servers, the GitOps repository, deployment flows, environments and deploys.
//!
//! The core is pure: objects in, views, checks and manifests out. Two functions write, [`create_repository`] and
//! [`start_deploy`] (with [`start_clean`]), and both look again at the API server before they do.

pub mod care;
mod claim;
pub mod deletion;
pub mod deploy;
mod environment;
mod error;
mod flows;
pub mod git_server;
pub mod objects;
pub mod provider;
pub mod repository;
mod runs;
mod tags;
mod writes;

pub use environment::{ApplicationState, Environment, Health, OverrideState, Sync, environment};
pub use error::{Error, FieldProblem, Result};
pub use flows::{EnvironmentSummary, Flow, flows};
pub use objects::Objects;
pub use runs::{Run, RunKind, RunStatus, run_view};
pub use tags::{Tag, TagList};
pub use writes::{create_repository, start_clean, start_deploy};
