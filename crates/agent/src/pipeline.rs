//! `run-workflow`: a run that a pipeline asks for.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use pilothouse_app::{
    App, AppOptions, Scope, Silent,
    agent::{Asked, PipelineRun},
    contract::ConnectTarget,
    keychain::MemoryStore,
};

use crate::{
    args::RunWorkflow,
    error::{Error, Result},
    kubeconfig,
};

/// Starts the run, and waits for its end where that was asked for.
pub async fn run(args: RunWorkflow) -> Result<ExitCode> {
    let folder = std::env::temp_dir();
    let data = tempfile::tempdir().map_err(|source| Error::File { path: folder, done: "written", source })?;
    let cluster = args.cluster.as_deref().unwrap_or_default();
    let door = kubeconfig::open(&args.reach, cluster, data.path())?;
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(vec![door.file.clone()]),
        known_hosts: Vec::new(),
        authority: None,
        helm: None,
        scope: Scope::Chaos { namespaces: vec![args.namespace.clone()], triggers: Vec::new() },
        ..AppOptions::new(data.path().to_owned())
    };
    let app = App::open(options, Arc::new(Silent)).await?;
    app.look_at(ConnectTarget::Context { name: door.context }).await?;
    let asked = Asked {
        project: args.project.clone(),
        workflow: args.workflow.clone(),
        threshold: args.threshold,
        confirm: args.confirm.clone(),
    };
    let (started, warnings) = app.start_for_pipeline(&asked).await?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    println!("started {} in {}", started.run, started.namespace);
    if !args.wait {
        return Ok(ExitCode::SUCCESS);
    }
    let patience = Duration::from_secs(args.timeout);
    let run = app.wait_for_pipeline(&asked, &started, patience, |now| println!("{}", now.phase())).await?;
    report(&args, &run)?;
    println!("{}", run.words());
    Ok(ExitCode::from(run.exit_code()))
}

fn report(args: &RunWorkflow, run: &PipelineRun) -> Result<()> {
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).map_err(|source| Error::File { path: path.to_owned(), done: "written", source })
    };
    if let Some(path) = &args.junit {
        write(path, run.junit())?;
    }
    if let Some(path) = &args.json {
        write(path, run.json())?;
    }
    Ok(())
}
