//! A practice cluster: a Kubernetes API in this process, what a delivery platform holds, and
//! small controllers that play the parts of its operators.

pub mod api;
mod cluster;
pub mod controllers;
pub mod definitions;
mod error;
pub mod git_remote;
mod kept_objects;
pub mod seed;

pub use cluster::{Installed, PracticeCluster};
pub use error::{Error, Result};
