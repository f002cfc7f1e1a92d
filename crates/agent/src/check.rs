//! `check`: whether the agent could do its work.

use std::{process::ExitCode, sync::Arc};

use pilothouse_app::{App, Silent, contract::ConnectTarget};

use crate::{
    args::Check,
    config,
    error::{Error, Result},
    kubeconfig, serve,
};

/// Tells each fault on a line of its own; fine when there is none.
pub async fn check(args: Check) -> Result<ExitCode> {
    let mut config = config::load(&args.duty.config)?;
    let folder = std::env::temp_dir();
    let data = tempfile::tempdir().map_err(|source| Error::File { path: folder, done: "written", source })?;
    let door = kubeconfig::open(&args.reach, &config.cluster, data.path())?;
    config.cluster.clone_from(&door.context);
    let app = App::open(serve::options(&args.duty, &config, &door, data.path(), None), Arc::new(Silent)).await?;
    app.agree_to(&config).await?;
    app.look_at(ConnectTarget::Context { name: door.context.clone() }).await?;
    let state = app.agent_state(&config).await;
    let missing = app.missing_rights(&config.needs).await?;
    app.close().await;
    for one in &missing {
        println!("missing right: {one}");
    }
    for one in &state.problems {
        println!("problem: {one}");
    }
    for one in &state.notes {
        println!("note: {one}");
    }
    if missing.is_empty() && state.problems.is_empty() {
        println!("ok: {} projects, {} triggers", config.needs.projects.len(), config.needs.triggers.len());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}
