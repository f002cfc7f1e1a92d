//! The use cases of Pilothouse: one method of [`App`] for each thing a click does, composed from the domains.
//!
//! Nothing here knows a window. What crosses to the front end is in [`contract`].

mod activity;
pub mod agent;
mod agent_install;
mod app;
mod application_changes;
mod argo_cd;
mod argo_charts;
mod authority;
mod background;
mod centers;
mod changes;
mod chaos;
mod chaos_git;
mod charts;
mod commits;
mod connection_tests;
mod consent;
mod contexts;
pub mod contract;
mod credentials;
mod deploy_runs;
mod deploys;
mod doctor;
mod endings;
mod environments;
mod errors;
mod events;
mod git_servers;
mod gitops;
mod image_verdicts;
mod interop;
pub mod journal;
mod keeping;
mod kept_commits;
pub mod keychain;
mod live_objects;
mod new_applications;
mod new_workflows;
pub mod operations;
mod outbox;
mod past_deploys;
mod picked_files;
mod practice;
mod project_moves;
mod project_preview;
mod proposals;
mod provider_lookups;
mod published_charts;
mod releases;
mod remotes;
mod rendering;
mod repository;
mod repository_care;
mod repository_end;
mod rollbacks;
mod run_reports;
mod runs;
mod seats;
mod secret_parts;
mod seen_charts;
mod sending;
mod session;
mod settings;
mod signing;
mod storage;
mod sync_all;
mod syncing;
mod trigger_acts;
mod trigger_desk;
mod trigger_engine;
mod trigger_forms;
mod trigger_halts;
mod trigger_litmus;
mod triggers;
mod values;
mod values_assist;
mod values_compare;
mod values_history;
mod waiting;
mod workflows;

pub use app::{App, AppOptions, Scope};
pub use contract::AppError;
pub use events::{EventSink, Silent};
pub use run_reports::Report;

/// What every use case answers.
pub type Result<T> = std::result::Result<T, AppError>;

/// Runs what blocks on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(e) => Err(AppError::internal(format!("a background thread ended early: {e}"))),
    }
}

/// Whether an address may be given to the user's browser: `https`, or `http` on this machine.
pub fn is_web_address(url: &str) -> bool {
    let clean = !url.chars().any(|c| c.is_control() || c.is_whitespace());
    let local = ["http://127.0.0.1", "http://localhost"]
        .iter()
        .any(|p| url.strip_prefix(p).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])));
    clean && (url.starts_with("https://") || local)
}
