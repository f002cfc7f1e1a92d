//! Times and weighs what the app puts together for the page of a large environment: applications on a real API server,
//! their values files in a repository behind a real Git server. The floor turns the same objects from JSON and back.
//! Prints a line for each figure: its name, ours, and the floor's. With `--hold`, it then prints `stage` and the path of
//! a kubeconfig for that API server, and lives until its standard input ends.
//!
//! `environment-pass --applications 6000 --rounds 5 --hold`

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use pilothouse_app::contract::{AppError, ConnectTarget, CredentialInput, Transport, ValuesFileState};
use pilothouse_app::keychain::MemoryStore;
use pilothouse_app::{App, AppOptions, Silent};
use pilothouse_cluster::{Kind, kinds};
use pilothouse_practice::git_remote::GitRemote;
use pilothouse_practice::seed;
use pilothouse_rig::Rig;
use pilothouse_rig::git_host::GitHost;
use secrecy::SecretString;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ENVIRONMENT: &str = "dev";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let given = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1));
    let number = |name: &str, usual: usize| given(name).and_then(|n| n.parse().ok()).unwrap_or(usual);
    let (count, rounds) = (number("--applications", 6_000), number("--rounds", 5).max(1));
    let data = tempfile::tempdir()?;
    let rig = Rig::start(false)?;
    let client = rig.client().await;
    let host = GitHost::ssh()?;
    let repo = host.create_empty_repo("values")?;
    repo.git_with_input(&["fast-import", "--quiet"], import(count).as_bytes())?;
    let deployed = repo.git(&["rev-parse", "main~1"])?.trim().to_owned();
    let platform = rig.namespace("bench").await;
    seed::plant_in(client.clone(), &GitRemote::create(&data.path().join("remotes"))?, &platform).await?;
    let of = |kind: &Kind| -> Api<DynamicObject> { Api::namespaced_with(client.clone(), &platform, &kind.resource()) };
    let (applications, streams) = (of(&kinds::APPLICATION), of(&kinds::CODEBASE_IMAGE_STREAM));
    let work = stream::iter(0..count).map(Ok::<_, Box<dyn Error>>).try_for_each_concurrent(16, |n| {
        let made = (application(n, &platform, &repo.url, &deployed), image_stream(n));
        let (applications, streams) = (&applications, &streams);
        async move {
            applications.create(&PostParams::default(), &serde_json::from_value(made.0)?).await?;
            streams.create(&PostParams::default(), &serde_json::from_value(made.1)?).await?;
            Ok(())
        }
    });
    work.await?;
    let names: Vec<String> = (0..count).map(name).collect();
    let inputs: Vec<String> = names.iter().map(|name| format!("{name}-main")).collect();
    let patch = json!({"spec": {"applications": names, "applicationsToPromote": names, "inputDockerStreams": inputs}});
    of(&kinds::CD_PIPELINE).patch(seed::FLOW, &PatchParams::default(), &Patch::Merge(patch)).await?;
    let objects = serde_json::to_string(&applications.list(&ListParams::default()).await?.items)?;

    let known = data.path().join("known_hosts");
    std::fs::write(&known, format!("{}\n", host.host_key_line))?;
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(vec![rig.kubeconfig()]),
        known_hosts: vec![known],
        authority: None,
        ..AppOptions::new(data.path().join("app"))
    };
    let before = memory();
    let app = App::open(options, Arc::new(Silent)).await?;
    app.connect(ConnectTarget::Context { name: "rig".into() }, "connect".into()).await.map_err(failed)?;
    app.select_platform(platform.clone()).await.map_err(failed)?;
    app.register_repository(repo.url.clone()).await.map_err(failed)?;
    let key = CredentialInput::KeyText { text: SecretString::from(host.client_private_key.clone()), passphrase: None };
    app.save_repository_credential(Transport::Ssh, key).await.map_err(failed)?;
    app.clone_repository("clone".into()).await.map_err(failed)?;

    let environment = || app.environment(seed::FLOW.into(), ENVIRONMENT.into());
    let first = environment().await.map_err(failed)?;
    let present = first.applications.iter().filter(|app| app.values_file == ValuesFileState::Present).count();
    if (first.applications.len(), present) != (count, count) {
        return Err(format!("{} of {count} applications, {present} values files", first.applications.len()).into());
    }
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begin = Instant::now();
        let answer = serde_json::to_string(&environment().await.map_err(failed)?)?;
        ours.push(begin.elapsed().as_secs_f64() * 1000.0);
        black_box(answer);
        let begin = Instant::now();
        let read: Vec<Value> = serde_json::from_str(&objects)?;
        black_box(serde_json::to_string(&read)?);
        floor.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    println!("assembly-ms {:.1} {:.1}", median(&mut ours), median(&mut floor));
    let mib = |bytes: f64| bytes / 1024.0 / 1024.0;
    println!("memory-MiB {:.1} {:.1}", mib((memory() - before) as f64), mib(objects.len() as f64));
    app.close().await;
    if arguments.iter().any(|a| a == "--hold") {
        println!("stage {}", rig.kubeconfig().display());
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    }
    drop(rig);
    std::process::exit(0)
}

fn failed(error: AppError) -> String {
    format!("{error:?}")
}

/// Names as long as people make them.
fn name(n: usize) -> String {
    format!("{}-service-{n:05}", ["payments-ledger", "catalog", "shop-frontend-gateway", "cart"][n % 4])
}

fn application(n: usize, platform: &str, url: &str, deployed: &str) -> Value {
    let (name, tag) = (name(n), format!("1.{}.0-SNAPSHOT.{n}", n % 50));
    let repository = format!("registry.example/krci/{name}");
    json!({
        "apiVersion": kinds::APPLICATION.api_version(),
        "kind": kinds::APPLICATION.kind,
        "metadata": {
            "name": format!("{}-{ENVIRONMENT}-{name}", seed::FLOW),
            "finalizers": ["resources-finalizer.argocd.argoproj.io"],
            "labels": {
                "app.edp.epam.com/app-name": name,
                "app.edp.epam.com/pipeline": seed::FLOW,
                "app.edp.epam.com/stage": ENVIRONMENT,
            },
        },
        "spec": {
            "project": platform,
            "destination": {"name": "in-cluster", "namespace": format!("{platform}-{}-{ENVIRONMENT}", seed::FLOW)},
            "sources": [
                {"ref": "values", "repoURL": url, "targetRevision": "main"},
                {
                    "helm": {
                        "parameters": [
                            {"name": "image.tag", "value": tag},
                            {"name": "image.repository", "value": repository},
                            {"name": "image.digest", "value": ""},
                        ],
                        "releaseName": name,
                        "valueFiles": [format!("$values/{}/{ENVIRONMENT}/{name}-values.yaml", seed::FLOW)],
                    },
                    "path": "deploy-templates",
                    "repoURL": format!("ssh://git@git.example:22/acme/{name}"),
                    "targetRevision": format!("build/{tag}"),
                },
            ],
        },
        "status": {
            "health": {"status": if n.is_multiple_of(17) { "Degraded" } else { "Healthy" }},
            "sync": {
                "status": if n.is_multiple_of(11) { "OutOfSync" } else { "Synced" },
                "revisions": [deployed, "0123456789012345678901234567890123456789"],
            },
            "summary": {"images": [format!("{repository}:{tag}")], "externalURLs": [format!("https://{name}.example")]},
            "history": [{
                "id": 1,
                "deployedAt": "2026-09-12T08:00:00Z",
                "revisions": [deployed, "0123456789012345678901234567890123456789"],
            }],
        },
    })
}

fn image_stream(n: usize) -> Value {
    let name = name(n);
    let tags: Vec<Value> = (0..3)
        .map(|back| json!({"name": format!("1.{}.0-SNAPSHOT.{}", n % 50, n + back), "created": "2026-09-12T08:00:00Z"}))
        .collect();
    json!({
        "apiVersion": kinds::CODEBASE_IMAGE_STREAM.api_version(),
        "kind": kinds::CODEBASE_IMAGE_STREAM.kind,
        "metadata": {"name": format!("{name}-main")},
        "spec": {"codebase": name, "imageName": format!("registry.example/krci/{name}"), "tags": tags},
    })
}

/// What `git fast-import` makes the repository from; a second commit changes each tenth file.
fn import(count: usize) -> String {
    let mut all = String::new();
    for (round, step) in [1, 10].into_iter().enumerate() {
        let time = 1_600_000_000 + round;
        let _ = write!(all, "commit refs/heads/main\ncommitter A <a@example.test> {time} +0000\ndata 6\nChange\n");
        for n in (0..count).step_by(step) {
            let text = format!("replicaCount: {}\nimage:\n  pullPolicy: Always\n", round + 1);
            let path = format!("{}/{ENVIRONMENT}/{}-values.yaml", seed::FLOW, name(n));
            let _ = write!(all, "M 100644 inline {path}\ndata {}\n{text}\n", text.len());
        }
    }
    all
}

/// The memory of this process that is its own, in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: Option<usize> = line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
    kib.unwrap_or(0) * 1024
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
