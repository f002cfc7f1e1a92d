//! Real parts for tests, on loopback: a Kubernetes control plane with upstream CRDs, Git servers, a Secret Service.
//!
//! Everything started here ends with the process that started it, even when that is killed.

pub mod agent;
pub mod agent_node;
pub mod assets;
mod base64;
pub mod center_host;
pub mod chart_host;
pub mod control_plane;
pub mod crds;
mod error;
pub mod git_host;
pub mod helm;
pub mod leash;
mod namespaces;
pub mod old_tls;
pub mod pki;
pub mod provider_host;
pub mod proxy;
mod rbac;
pub mod registry;
mod rig;
pub mod secret_service;
mod skipping;
mod tls_listener;
pub mod wire;

pub use error::{Error, Result};
pub use rig::{Description, Rig, SHARED};
pub use skipping::skipped;
