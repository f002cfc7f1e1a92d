//! The commands: one thin adapter for each use case.

pub mod activity;
pub mod agent;
pub mod argo_cd;
pub mod chaos;
pub mod contexts;
pub mod credentials;
pub mod desktop;
pub mod environments;
pub mod git_servers;
pub mod interop;
pub mod outbox;
pub mod rendering;
pub mod repository;
pub mod runs;
pub mod settings;
pub mod triggers;
pub mod values;
pub mod values_desk;
