//! Times a sync of a chaos project in which nothing is new, and `git fetch` of the same repository in which nothing is
//! new. Prints the two medians in milliseconds.
//!
//! `sync-pass --files 1000 --rounds 5`

use std::error::Error;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use pilothouse_app::contract::{ChaosProjectForm, ConnectTarget};
use pilothouse_app::keychain::MemoryStore;
use pilothouse_app::{App, AppOptions, Silent};
use pilothouse_practice::git_remote::GitRemote;
use pilothouse_practice::seed;

const REPOSITORY: &str = "acme/chaos";
const PROJECT: &str = "bench";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, usual: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1)).and_then(|n| n.parse().ok()).unwrap_or(usual)
    };
    let (files, rounds) = (number("--files", 1000), number("--rounds", 5));
    let data = tempfile::tempdir()?;
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(Vec::new()),
        known_hosts: Vec::new(),
        authority: None,
        ..AppOptions::new(data.path().to_owned())
    };
    let app = App::open(options, Arc::new(Silent)).await?;
    let failed = |error: pilothouse_app::contract::AppError| format!("{error:?}");
    app.connect(ConnectTarget::Practice, "connect".into()).await.map_err(failed)?;
    app.set_identity("Robin Doe".into(), "robin@example.com".into()).await.map_err(failed)?;

    let remote = GitRemote::create(&data.path().join("practice/repositories"))?;
    let bare = remote.create_repo(REPOSITORY, "main")?;
    let named: Vec<(String, String)> = (0..files).map(file).collect();
    let borrowed: Vec<(&str, &str)> = named.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    remote.commit_files(REPOSITORY, "main", &borrowed, "Add workflows")?;

    let form = ChaosProjectForm {
        id: PROJECT.into(),
        namespace: "litmus".into(),
        use_gitops_repository: false,
        url: format!("ssh://git@{}:22/{REPOSITORY}", seed::GIT_HOST),
        branch: "main".into(),
        credential: None,
    };
    app.enable_project(form, "enable".into()).await.map_err(failed)?;
    let known = app.chaos_workflows(PROJECT.into()).await.map_err(failed)?.len();
    if known != files {
        return Err(format!("{known} of {files} workflows were synced").into());
    }

    let clone = data.path().join("floor.git");
    git(&["clone", "--quiet", "--bare", &bare.display().to_string(), &clone.display().to_string()])?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let begin = Instant::now();
        let report = app.sync_project(PROJECT.into(), format!("sync-{round}")).await.map_err(failed)?;
        ours.push(begin.elapsed().as_secs_f64() * 1000.0);
        if !report.actions.is_empty() {
            return Err("a pass with nothing new did something".into());
        }
        let begin = Instant::now();
        git(&["-C", &clone.display().to_string(), "fetch", "--quiet", "origin", "main:main"])?;
        floor.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    println!("{:.1} {:.1}", median(&mut ours), median(&mut floor));
    data.close()?;
    // The practice cluster's controllers end with the process.
    std::process::exit(0)
}

fn file(n: usize) -> (String, String) {
    let name = format!("kill-{n:04}");
    let text = format!(
        "# Workflow {n}\napiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: {name}\nspec:\n  \
         entrypoint: main\n  templates:\n    - name: main\n      container:\n        image: busybox\n"
    );
    (format!("litmus/{PROJECT}/{name}.yaml"), text)
}

fn git(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let status = Command::new("git").args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("git {} failed", arguments.join(" ")).into()) }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
