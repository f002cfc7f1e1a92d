//! The agent: keeps chaos projects in step with Git and serves triggers from within the cluster, and starts runs for
//! pipelines. All that it does is done by [`pilothouse_app`]; here are its command line and its ways to be watched.

mod args;
mod check;
mod config;
mod error;
mod kubeconfig;
mod logging;
mod metrics;
mod pipeline;
mod print;
mod serve;
mod status;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    args::{Args, Command},
    error::{Error, Result},
};

fn main() -> ExitCode {
    let args = Args::parse();
    logging::start(matches!(args.command, Command::Run(_)));
    match run(args.command) {
        Ok(code) => code,
        Err(error) => {
            tracing::debug!(?error, "ended with an error");
            eprintln!("pilothouse-agent: {error}");
            // Not 2, which a wrong call ends with, and not from 10 on, which say what came of a run.
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    // A file system's answer must not hold up the renewal of a Lease, so that there are never fewer than two.
    let workers = std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let code = runtime.block_on(async {
        match command {
            Command::Run(run) => serve::run(run).await,
            Command::Check(check) => check::check(check).await,
            Command::RunWorkflow(asked) => pipeline::run(asked).await,
            Command::PrintManifests(print) => print::print(&print),
        }
    });
    // A keychain or a Git server that does not answer must not keep the process.
    runtime.shutdown_background();
    code
}
