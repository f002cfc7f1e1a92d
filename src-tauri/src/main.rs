//! The desktop app's entry.

#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use std::process::ExitCode;

const HELP: &str = "Pilothouse: GitOps and chaos engineering for Kubernetes in one window

Usage: pilothouse [--help | --version]

Environment:
  KUBECONFIG        kubeconfig files to read, as kubectl does
  PILOTHOUSE_DATA   folder for clones, timeline and preferences
  PILOTHOUSE_LOG    what to log, for example `info` or `pilothouse_app=debug`";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("--help" | "-h") => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some("--version" | "-V") => {
            println!("pilothouse {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    #[cfg(target_os = "linux")]
    if let Some(code) = start_again_with_renderer_choice() {
        return code;
    }
    let filter = tracing_subscriber::EnvFilter::try_from_env("PILOTHOUSE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    match pilothouse_desktop::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("pilothouse: {e}");
            ExitCode::FAILURE
        }
    }
}

/// WebKitGTK's DMABUF renderer shows an empty window on some drivers and doubles the start-up time without a GPU.
/// It reads its switch from the environment, which a running process cannot change safely: the process replaces
/// itself by one that has it. A value the user set is left alone.
#[cfg(target_os = "linux")]
fn start_again_with_renderer_choice() -> Option<ExitCode> {
    use std::os::unix::process::CommandExt;
    const SWITCH: &str = "WEBKIT_DISABLE_DMABUF_RENDERER";
    if std::env::var_os(SWITCH).is_some() {
        return None;
    }
    let program = std::env::current_exe().ok()?;
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).env(SWITCH, "1").exec();
    // Only reached when the replacement failed: the window still works, only slower.
    eprintln!("pilothouse: could not start again with {SWITCH}=1: {error}");
    None
}
