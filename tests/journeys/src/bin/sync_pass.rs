//! Times and weighs the sync of a large chaos project on real parts: a Git server over SSH and an API server. Nothing
//! new, against `git fetch`; one file changed, against `git fetch` and `git diff --name-only`; the first sync, against
//! `kubectl apply --server-side` of the very objects it makes; the planner alone, against reading the texts' YAML.
//! Prints a line for each figure: its name, ours, and the floor's.
//!
//! `sync-pass --files 10000 --rounds 5`

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::{Api, DynamicObject, ListParams};
use pilothouse_app::contract::{AppError, ChaosProjectForm, ConnectTarget, CredentialInput};
use pilothouse_app::keychain::MemoryStore;
use pilothouse_app::{App, AppOptions, Silent};
use pilothouse_chaos::names::digest;
use pilothouse_chaos::plan::{Base, ClusterItem, Content, GitFile, Sides, plan_knowing};
use pilothouse_chaos::verdicts::Verdicts;
use pilothouse_cluster::kinds;
use pilothouse_rig::Rig;
use pilothouse_rig::git_host::{GitHost, RepoHandle};
use secrecy::SecretString;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PROJECT: &str = "bench";
/// Between two rounds, so that what watches bring of one does not weigh on the next.
const REST: Duration = Duration::from_millis(1500);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, usual: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1)).and_then(|n| n.parse().ok()).unwrap_or(usual)
    };
    let (files, rounds) = (number("--files", 10_000), number("--rounds", 5).max(1));
    planner(files, rounds)?;

    let data = tempfile::tempdir()?;
    let rig = Rig::start(false)?;
    let host = GitHost::ssh()?;
    let repo = host.create_empty_repo("chaos")?;
    repo.git_with_input(&["fast-import", "--quiet"], import(files).as_bytes())?;
    repo.git(&["repack", "-a", "-d", "-q"])?;
    let git = Git::new(&host, data.path())?;
    let known = data.path().join("known_hosts");
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(vec![rig.kubeconfig()]),
        known_hosts: vec![known],
        authority: None,
        ..AppOptions::new(data.path().join("app"))
    };
    let app = App::open(options, Arc::new(Silent)).await?;
    app.connect(ConnectTarget::Context { name: "rig".into() }, "connect".into()).await.map_err(failed)?;
    app.install_pilothouse_crds().await.map_err(failed)?;
    app.set_identity("Robin Doe".into(), "robin@example.com".into()).await.map_err(failed)?;
    let (ours, theirs) = (rig.namespace("ours").await, rig.namespace("theirs").await);

    let begin = Instant::now();
    let key = SecretString::from(host.client_private_key.clone());
    let form = ChaosProjectForm {
        id: PROJECT.into(),
        namespace: ours.clone(),
        use_gitops_repository: false,
        url: repo.url.clone(),
        branch: "main".into(),
        credential: Some(CredentialInput::KeyText { text: key, passphrase: None }),
    };
    app.enable_project(form, "enable".into()).await.map_err(failed)?;
    let first = begin.elapsed();
    let memory = peak("self");
    let api: Api<DynamicObject> = Api::namespaced_with(rig.client().await, &ours, &kinds::CHAOS_WORKFLOW.resource());
    let made = api.list(&ListParams::default()).await?.items;
    if made.len() != files {
        return Err(format!("{} of {files} workflows were synced", made.len()).into());
    }
    let (floor, floor_memory) = kubectl(&rig, &theirs, &made, data.path())?;
    println!("first-ms {:.1} {:.1}", ms(first), ms(floor));
    println!("first-MiB {:.1} {:.1}", memory as f64 / 1024.0, floor_memory as f64 / 1024.0);

    let sync = async |round: usize, name: &str| -> Result<(Duration, usize)> {
        let begin = Instant::now();
        let report = app.sync_project(PROJECT.into(), format!("{name}-{round}")).await.map_err(failed)?;
        Ok((begin.elapsed(), report.actions.len()))
    };
    // What the first sync wrote is looked at once.
    while sync(0, "settle").await?.1 > 0 {}
    let clone = data.path().join("floor.git");
    git.run(None, &["clone", "-q", "--bare", &repo.url, text(&clone)?])?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        tokio::time::sleep(REST).await;
        let (taken, done) = sync(round, "nothing").await?;
        if done > 0 {
            return Err("a sync with nothing new did something".into());
        }
        ours.push(ms(taken));
        floor.push(ms(git.run(Some(&clone), &["fetch", "-q", "origin", "main:main"])?));
    }
    println!("nothing-ms {:.1} {:.1}", median(&mut ours), median(&mut floor));

    (ours, floor) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        change(&repo, round)?;
        tokio::time::sleep(REST).await;
        let (taken, _) = sync(round, "one").await?;
        ours.push(ms(taken));
        let before = repo.git(&["rev-parse", "main~1"])?;
        let both = git.run(Some(&clone), &["fetch", "-q", "origin", "main:main"])?
            + git.run(Some(&clone), &["diff", "--name-only", before.trim(), "main"])?;
        floor.push(ms(both));
    }
    println!("one-ms {:.1} {:.1}", median(&mut ours), median(&mut floor));
    app.close().await;
    drop(rig);
    // Threads of the Git server and the runtime end with the process.
    std::process::exit(0)
}

fn failed(error: AppError) -> String {
    format!("{error:?}")
}

/// The planner over a project that is in sync: as it meets the texts first, and as it meets them again.
fn planner(files: usize, rounds: usize) -> Result<()> {
    let mut sides = Sides { project: PROJECT.into(), complete: true, ..Sides::default() };
    for n in 0..files {
        let (path, text) = file(n, 0);
        let (name, blob) = (format!("kill-{n:05}"), digest(&path));
        sides.base.insert(name.clone(), Base { blob: blob.clone(), digest: digest(&text), text: Some(text.clone()) });
        sides.cluster.insert(name, ClusterItem { manifest: text.clone() });
        sides.git.push(GitFile { path, blob, content: Content::Text(text) });
    }
    let texts: Vec<&str> = sides.cluster.values().map(|item| item.manifest.as_str()).collect();
    let (mut cold, mut warm, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let verdicts = Verdicts::default();
        for taken in [&mut cold, &mut warm] {
            let begin = Instant::now();
            black_box(plan_knowing(&sides, &verdicts));
            taken.push(ms(begin.elapsed()));
        }
        let begin = Instant::now();
        for text in &texts {
            black_box(serde_yaml::from_str::<serde_yaml::Value>(text)?);
        }
        floor.push(ms(begin.elapsed()));
    }
    let floor = median(&mut floor);
    println!("plan-ms {:.1} {floor:.1}", median(&mut cold));
    println!("plan-again-ms {:.1} {floor:.1}", median(&mut warm));
    Ok(())
}

/// Has kubectl make the same objects in another namespace; how long that took, and the memory of it in KiB.
fn kubectl(rig: &Rig, namespace: &str, objects: &[DynamicObject], dir: &Path) -> Result<(Duration, u64)> {
    let mut all = String::new();
    for object in objects {
        let metadata = &object.metadata;
        let plain = serde_json::json!({
            "apiVersion": kinds::CHAOS_WORKFLOW.api_version(),
            "kind": kinds::CHAOS_WORKFLOW.kind,
            "metadata": {
                "name": metadata.name,
                "namespace": namespace,
                "labels": metadata.labels,
                "annotations": metadata.annotations,
            },
            "spec": object.data.get("spec"),
        });
        let _ = writeln!(all, "---\n{plain}");
    }
    let file = dir.join("objects.yaml");
    std::fs::write(&file, all)?;
    let begin = Instant::now();
    let mut child = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(rig.kubeconfig())
        .args(["apply", "--server-side", "-f"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let mut most = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        most = peak(&child.id().to_string()).max(most);
        std::thread::sleep(Duration::from_millis(5));
    };
    if status.success() { Ok((begin.elapsed(), most)) } else { Err(format!("kubectl ended with {status}").into()) }
}

/// The most memory that a process has had, in KiB.
fn peak(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// The git program, as a colleague would run it against the same server.
struct Git {
    ssh: String,
}

impl Git {
    fn new(host: &GitHost, dir: &Path) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let (key, known) = (dir.join("key"), dir.join("known_hosts"));
        std::fs::write(&key, &host.client_private_key)?;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
        std::fs::write(&known, format!("{}\n", host.host_key_line))?;
        let (key, known) = (key.display(), known.display());
        let ssh =
            format!("ssh -F none -i '{key}' -o IdentitiesOnly=yes -o UserKnownHostsFile='{known}' -o BatchMode=yes");
        Ok(Self { ssh })
    }

    fn run(&self, dir: Option<&Path>, arguments: &[&str]) -> Result<Duration> {
        let mut command = Command::new("git");
        if let Some(dir) = dir {
            command.arg("-C").arg(dir);
        }
        command
            .args(arguments)
            .env("GIT_SSH_COMMAND", &self.ssh)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let begin = Instant::now();
        let status = command.status()?;
        if status.success() { Ok(begin.elapsed()) } else { Err(format!("git {} failed", arguments.join(" ")).into()) }
    }
}

/// Somebody else changes one file.
fn change(repo: &RepoHandle, round: usize) -> Result<()> {
    let (path, text) = file(round, round + 1);
    let message = "Change one";
    let commit = format!(
        "commit refs/heads/main\ncommitter A <a@example.test> {} +0000\ndata {}\n{message}\nfrom refs/heads/main^0\nM \
         100644 inline {path}\ndata {}\n{text}\n",
        1_700_000_000 + round,
        message.len(),
        text.len()
    );
    repo.git_with_input(&["fast-import", "--quiet"], commit.as_bytes())?;
    Ok(())
}

/// What `git fast-import` makes the repository from.
fn import(files: usize) -> String {
    let message = "Add workflows";
    let mut all = format!(
        "commit refs/heads/main\ncommitter A <a@example.test> 1600000000 +0000\ndata {}\n{message}\n",
        message.len()
    );
    for (path, text) in (0..files).map(|n| file(n, 0)).collect::<BTreeMap<_, _>>() {
        let _ = write!(all, "M 100644 inline {path}\ndata {}\n{text}\n", text.len());
    }
    all
}

/// A workflow as people write them: one fault with its probe.
fn file(n: usize, edit: usize) -> (String, String) {
    let name = format!("kill-{n:05}");
    let text = format!(
        r#"# Kills the pods of service {n}, edited {edit} times.
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: {name}
  labels:
    infra_id: 11111111-2222-3333-4444-555555555555
    workflow_id: 00000000-0000-0000-0000-0000000{n:05}
spec:
  entrypoint: main
  serviceAccountName: argo-chaos
  templates:
    - name: main
      steps:
        - - name: kill
            template: kill
    - name: kill
      inputs:
        artifacts:
          - name: kill
            path: /tmp/engine.yaml
            raw:
              data: |
                apiVersion: litmuschaos.io/v1alpha1
                kind: ChaosEngine
                metadata:
                  generateName: kill-
                spec:
                  engineState: active
                  chaosServiceAccount: litmus-admin
                  appinfo: {{appns: shop, applabel: app=service-{n}, appkind: deployment}}
                  experiments:
                    - name: pod-delete
                      spec:
                        probe:
                          - name: answers
                            type: httpProbe
                            mode: Continuous
                            httpProbe/inputs:
                              url: http://service-{n}.shop
                              method: {{get: {{criteria: ==, responseCode: "200"}}}}
                            runProperties: {{probeTimeout: 5s, interval: 2s, attempt: 1}}
                        components:
                          env:
                            - {{name: TOTAL_CHAOS_DURATION, value: "30"}}
                            - {{name: CHAOS_INTERVAL, value: "10"}}
      container:
        image: litmuschaos/litmus-checker:3.0.0
        args: ["-file=/tmp/engine.yaml", "-saveName=/tmp/engine-name"]
"#
    );
    (format!("litmus/{PROJECT}/{name}.yaml"), text)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| "an odd folder name".into())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
