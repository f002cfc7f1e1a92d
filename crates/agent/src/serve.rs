//! `run`: connects, stays connected, and gives its Leases back at the end.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use pilothouse_app::{
    App, AppOptions, Scope,
    agent::{Config, MountedStore},
    contract::ConnectTarget,
};

use crate::{
    args::{Duty, Run},
    config,
    error::Result,
    kubeconfig::{self, Door},
    logging::Logged,
    status::Status,
};

/// The least and the greatest pause before a connection is tried again.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// How often it is looked whether the main loop is to do something.
const BEAT: Duration = Duration::from_secs(5);
/// How often it is looked which kinds the cluster serves.
const KINDS: Duration = Duration::from_secs(60);
/// The same while its own kinds are missing: then it can do nothing.
const OWN_KINDS: Duration = Duration::from_secs(10);
/// How long closing may take in all.
const CLOSING: Duration = Duration::from_secs(10);

/// The app's options for a duty.
pub fn options(duty: &Duty, config: &Config, door: &Door, data: &Path, identity: Option<String>) -> AppOptions {
    let beside = |name: &str| duty.config.with_file_name(name);
    let authority = Some(beside("authority.pem")).filter(|file| file.is_file());
    AppOptions {
        secrets: Arc::new(MountedStore::new(duty.credentials.clone(), &config.needs.projects)),
        kubeconfig: Some(vec![door.file.clone()]),
        known_hosts: vec![beside("known_hosts")],
        authority,
        helm: None,
        scope: Scope::Chaos {
            namespaces: config.needs.homes().into_iter().map(str::to_owned).collect(),
            triggers: config.needs.served().into_iter().map(str::to_owned).collect(),
        },
        identity,
        ..AppOptions::new(data.to_owned())
    }
}

/// Runs until told to end.
pub async fn run(args: Run) -> Result<ExitCode> {
    // Before anything else, so that a signal that comes early is not lost.
    let told = told_to_end();
    let mut config = config::load(&args.duty.config)?;
    let door = kubeconfig::open(&args.reach, &config.cluster, &args.data)?;
    // What a named kubeconfig calls the cluster counts, as consents are kept by it.
    config.cluster.clone_from(&door.context);
    let identity = args.identity.clone().filter(|name| !name.is_empty());
    let app = App::open(options(&args.duty, &config, &door, &args.data, identity), Arc::new(Logged)).await?;
    app.agree_to(&config).await?;
    let status = Arc::new(Status::new(app.clone(), config.clone()));
    let (address, answering) = status.listen(args.listen).await?;
    let version = env!("CARGO_PKG_VERSION");
    let projects = config.needs.projects.len();
    tracing::info!(%version, %address, cluster = %config.cluster, projects, "the agent begins");
    tokio::select! {
        () = work(&app, &status, &door) => {}
        signal = told => tracing::info!(signal, "the agent was told to end"),
    }
    status.end();
    if tokio::time::timeout(CLOSING, app.close()).await.is_err() {
        tracing::warn!("not everything could be put in order in time");
    }
    answering.abort();
    tracing::info!("the agent ended");
    Ok(ExitCode::SUCCESS)
}

/// Stays connected for ever.
async fn work(app: &Arc<App>, status: &Status, door: &Door) {
    loop {
        connect(app, status, door).await;
        stay(app, status).await;
    }
}

/// Connects, however often that takes.
async fn connect(app: &Arc<App>, status: &Status, door: &Door) {
    let mut pause = PAUSES[0];
    loop {
        status.beat();
        let target = ConnectTarget::Context { name: door.context.clone() };
        match app.connect(target, "connect".to_owned()).await {
            Ok(session) => {
                status.connected(true);
                tracing::info!(server = %session.server, version = %session.version, "connected");
                return;
            }
            Err(error) => {
                status.connected(false);
                tracing::warn!(%error, again_in = ?pause, "no connection");
            }
        }
        tokio::time::sleep(pause.mul_f64(0.75 + 0.5 * fastrand::f64())).await;
        pause = (pause * 2).min(PAUSES[1]);
    }
}

/// Goes on until the kinds that the cluster serves are others: what was not there to be watched may be by now. The
/// watches themselves, and the Leases, recover without help.
async fn stay(app: &Arc<App>, status: &Status) {
    if !app.has_chaos_kinds() {
        tracing::warn!("the kinds ChaosProject, ChaosWorkflow and EventTrigger are not installed; waiting for them");
    }
    let mut looked = tokio::time::Instant::now();
    loop {
        status.beat();
        tokio::time::sleep(BEAT).await;
        let often = if app.has_chaos_kinds() { KINDS } else { OWN_KINDS };
        if looked.elapsed() < often {
            continue;
        }
        looked = tokio::time::Instant::now();
        match app.kinds_changed().await {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("the cluster serves other kinds by now; connecting anew");
                return;
            }
            Err(error) => tracing::debug!(%error, "the kinds cannot be looked at now"),
        }
    }
}

/// Resolves with the name of the signal that asks for the end.
#[cfg(unix)]
fn told_to_end() -> impl Future<Output = &'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
async fn told_to_end() -> &'static str {
    match tokio::signal::ctrl_c().await {
        Ok(()) => "Ctrl-C",
        Err(_) => std::future::pending().await,
    }
}
