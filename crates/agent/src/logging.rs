//! What is written about what goes on.

use pilothouse_app::{
    EventSink,
    contract::{Changed, Notice, NoticeLevel, OperationProgress},
};
use tracing_subscriber::EnvFilter;

/// Begins to log as `RUST_LOG` says: one JSON object to a line for an agent that stays, plain lines to the standard
/// error output for a command.
pub fn start(stays: bool) {
    let usual = if stays { "info" } else { "warn" };
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let mut wanted = wanted.unwrap_or_else(|| usual.to_owned());
    // Whoever may not list Namespaces is told so every ten seconds, and looks at single ones instead.
    if !wanted.contains("kube_runtime") {
        wanted.push_str(",kube_runtime::watcher=error");
    }
    let filter = EnvFilter::try_new(&wanted).unwrap_or_else(|_| EnvFilter::new(usual));
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    if stays {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    } else {
        lines.with_writer(std::io::stderr).with_ansi(false).without_time().with_target(false).init();
    }
}

/// Logs what the app would tell a window.
pub struct Logged;

impl EventSink for Logged {
    fn changed(&self, _: Changed) {}

    fn progress(&self, _: OperationProgress) {}

    fn notice(&self, notice: Notice, _: bool) {
        let Notice { level, title, body, .. } = notice;
        match level {
            NoticeLevel::Info | NoticeLevel::Good => tracing::info!(%title, %body, "notice"),
            NoticeLevel::Warn | NoticeLevel::Bad => tracing::warn!(%title, %body, "notice"),
        }
    }
}
