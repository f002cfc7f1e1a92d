//! Clusters: kubeconfig, credential plugins, connection, discovery, permissions, a live index over watches, leadership
//! and Pilothouse's own CRDs.
//!
//! What comes from a kubeconfig or a cluster is hostile until checked: a kubeconfig may name any program to run, a
//! server may answer with anything. Errors name the thing and the remedy, and never carry a credential.

mod access;
mod connect;
pub mod crds;
mod discover;
mod error;
pub mod exec;
mod explain;
mod index;
pub mod kinds;
pub mod kubeconfig;
mod leadership;
mod name;
mod reason;
pub mod search_path;
mod unfolding;
pub mod web;

pub use access::Access;
pub use connect::Cluster;
pub use discover::{Component, ComponentId, Discovered};
pub use error::{Cause, Error, Result};
pub use explain::{explain, explain_watch};
pub use index::{LiveIndex, OnChange, Tuning, WatchSpec, WatchState};
pub use kinds::Kind;
pub use leadership::{Leadership, Timing};
pub use name::{Name, Subdomain};
pub use reason::Reason;
pub use unfolding::{Unfolding, UnfoldsTooFar};
