//! What the agent costs while there is nothing to do.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use pilothouse_app::agent::{Author, Needs, ProjectNeed, Settings, TriggerNeed, config_text};
use pilothouse_chaos::project::{self, Auth, Enable};
use pilothouse_cluster::{Cluster, kinds};
use pilothouse_rig::Rig;
use pilothouse_rig::git_host::{GitHost, RepoHandle};
use pilothouse_triggers::spec::WorkloadKind;
use serde_json::Value;

use crate::weighed::Weighed;
use crate::{PATIENCE, REST, Result, SHARE};

/// How long it is weighed.
const MINUTES: u32 = 2;

/// An agent with one project that is in sync over HTTPS, and one trigger on as many Deployments as one may watch; beside
/// kubectl that watches the same Deployments. Its computing is held against one processor.
pub async fn footprint(rig: &Rig, cluster: &Cluster) -> Result<()> {
    let namespace = rig.namespace("idle").await;
    crate::plant(cluster, &namespace, SHARE, true).await?;
    crate::trigger(cluster, &namespace, 0).await?;
    let host = GitHost::https()?;
    let repo = host.create_repo("chaos")?;
    let form = Enable {
        id: "bench".into(),
        url: repo.url.clone(),
        branch: "main".into(),
        auth: Auth::Token,
        description: None,
    };
    project::enable(cluster, &namespace, &form).await?;
    let folder = tempfile::tempdir()?;
    mount(folder.path(), &namespace, &host, &repo)?;
    crate::at_rest(cluster, &[&namespace]).await?;

    let mut kubectl = Command::new("kubectl");
    kubectl.arg("--kubeconfig").arg(rig.kubeconfig()).args(["get", "deployments", "--watch", "-n", &namespace]);
    let kubectl = Weighed::start(&mut kubectl)?;
    let mut agent = Command::new(std::env::current_exe()?.with_file_name("pilothouse-agent"));
    agent.args(["run", "--listen=127.0.0.1:0", "--identity=bench"]).arg("--kubeconfig").arg(rig.kubeconfig());
    for (option, name) in [("--config", "config.yaml"), ("--credentials", "git"), ("--data", "data")] {
        agent.arg(option).arg(folder.path().join(name));
    }
    let agent = Weighed::start(&mut agent)?;
    in_sync(cluster, &namespace).await?;
    crate::seen(cluster, &namespace, SHARE).await?;
    tokio::time::sleep(REST * 2).await;

    let before = agent.computed()?;
    let time = Duration::from_secs(60) * MINUTES;
    tokio::time::sleep(time).await;
    println!("idle-MiB {:.1} {:.1}", agent.resident()?, kubectl.resident()?);
    println!("idle-cpu-ms {:.1} {:.1}", (agent.computed()? - before) / f64::from(MINUTES), 60_000.0);
    Ok(())
}

/// The files that a pod would have.
fn mount(folder: &Path, namespace: &str, host: &GitHost, repo: &RepoHandle) -> Result<()> {
    let project = ProjectNeed {
        namespace: namespace.to_owned(),
        id: "bench".into(),
        url: repo.url.clone(),
        branch: "main".into(),
        credential: "bench".into(),
    };
    let trigger = TriggerNeed {
        namespace: namespace.to_owned(),
        target: namespace.to_owned(),
        kind: WorkloadKind::Deployment,
        respect_disruption_budget: false,
    };
    let needs = Needs { projects: vec![project], triggers: vec![trigger] };
    let author = Author { name: "The agent".into(), email: "agent@example.com".into() };
    let settings = Settings::new(namespace, "registry.example/pilothouse-agent:0.1.0", "rig", author);
    std::fs::write(folder.join("config.yaml"), config_text(&settings, &needs))?;
    std::fs::write(folder.join("authority.pem"), &host.ca_pem)?;
    let git = folder.join("git");
    std::fs::create_dir(&git)?;
    std::fs::write(git.join("bench.token"), &host.token)?;
    std::fs::write(git.join("bench.username"), &host.username)?;
    Ok(())
}

async fn in_sync(cluster: &Cluster, namespace: &str) -> Result<()> {
    let api = cluster.api(&kinds::CHAOS_PROJECT, namespace);
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let state = api.get("bench").await?;
        if state.data.pointer("/status/state").and_then(Value::as_str) == Some("InSync") {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err("the agent did not sync its project".into())
}
