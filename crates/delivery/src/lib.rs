//! Delivery through KubeRocketCI: Git servers, the GitOps repository, deployment flows, environments and deploys.
//!
//! The core is pure: objects in, views, checks and manifests out. What writes looks again at the API server
//! before it does.

pub mod argo_cd;
pub mod care;
pub mod chart;
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

pub use deploy::{start_clean, start_deploy};
pub use environment::{ApplicationState, Environment, Health, Note, OverrideState, Sync, environment};
pub use error::{Error, FieldProblem, Result};
pub use flows::{EnvironmentSummary, Flow, Release, flows, releases};
pub use objects::Objects;
pub use runs::{Carried, Run, RunKind, RunStatus, run_view};
pub use tags::{Tag, TagList, TagSource};
pub use writes::create_repository;
