//! Two apps, a git command line and a hand in the cluster change one project at the same time.
//!
//! Every change puts in a mark of its own. A mark that nobody took out, by deleting a file, by deciding against a
//! version, or by rewriting history, must be in Git and in the cluster at the end, first brought in by whoever made it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use kube::api::{DeleteParams, Patch, PatchParams};
use pilothouse_app::App;
use pilothouse_app::contract::{CommitOutcome, ErrorCode, RunPolicy, SaveWorkflow, WorkflowResolution, WorkflowState};
use pilothouse_chaos::names::{digest, run_name};
use pilothouse_chaos::plan::SyncState;
use pilothouse_cluster::kinds;
use serde_json::json;

use crate::stage::until;
use crate::two_sides::{Sides, email, workflow};

/// How many changes; many more are made by hand with this variable.
const CHANGES: &str = "PILOTHOUSE_STORM_CHANGES";
const SEED: &str = "PILOTHOUSE_STORM_SEED";
const USUAL: u64 = 80;
const NAMES: u64 = 8;
/// The workflows that run when their files change. They are changed by everybody and deleted by nobody, for what is
/// made again runs by hand only.
const AUTOMATIC: [&str; 2] = ["kill-0", "kill-1"];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A small generator, so that a seed means the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn name(&mut self) -> String {
        format!("kill-{}", self.roll(NAMES))
    }
}

/// What was done, for the reckoning.
#[derive(Default)]
struct Ledger {
    /// Marks that must be there at the end.
    alive: BTreeSet<String>,
    /// Marks that may be gone.
    gone: BTreeSet<String>,
    done: BTreeMap<&'static str, u32>,
}

type Shared = Arc<Mutex<Ledger>>;

fn note(ledger: &Shared, what: &'static str) {
    *ledger.lock().unwrap().done.entry(what).or_default() += 1;
}

fn lives(ledger: &Shared, mark: String) {
    let mut ledger = ledger.lock().unwrap();
    if !ledger.gone.contains(&mark) {
        ledger.alive.insert(mark);
    }
}

fn dies(ledger: &Shared, marks: impl IntoIterator<Item = String>) {
    let mut ledger = ledger.lock().unwrap();
    for mark in marks {
        ledger.alive.remove(&mark);
        ledger.gone.insert(mark);
    }
}

fn marks(text: &str) -> BTreeSet<String> {
    text.lines().filter(|line| line.starts_with("# mark ")).map(str::to_owned).collect()
}

fn marked(text: &str, mark: &str, dice: &mut Dice) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let room = lines.iter().position(|line| !line.starts_with('#')).unwrap_or(0) as u64;
    lines.insert(usize::try_from(dice.roll(room + 1)).unwrap(), mark);
    lines.join("\n") + "\n"
}

/// A person at a window.
struct Person {
    name: &'static str,
    app: Arc<App>,
    sides: Arc<Sides>,
    ledger: Shared,
    dice: Dice,
    count: u32,
}

impl Person {
    fn operation(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.name, self.count)
    }

    async fn step(&mut self) {
        let name = self.dice.name();
        match self.dice.roll(10) {
            0..=4 => self.edit(&name).await,
            5 => self.delete(&name).await,
            6 => self.sync().await,
            _ => self.settle().await,
        }
    }

    async fn sync(&mut self) {
        let operation = self.operation();
        note(&self.ledger, "synced by hand");
        match self.app.sync_project(self.sides.project.clone(), operation).await {
            Ok(_) => {}
            // Everybody else kept changing it; the next pass goes on.
            Err(error) => assert!(error.message.contains("while it was being synced"), "{error:?}"),
        }
    }

    async fn edit(&mut self, name: &str) {
        let operation = self.operation();
        let mark = format!("# mark {operation}");
        let (text, base_blob) = match self.app.open_workflow(self.sides.project.clone(), name.to_owned()).await {
            Ok(opened) => (opened.text, opened.base_blob),
            Err(error) if error.code == ErrorCode::NotFound => (workflow(name), None),
            Err(error) => panic!("{error:?}"),
        };
        // What is no workflow is not taken by the editor either.
        if text.contains("broken: [") {
            return;
        }
        let request = SaveWorkflow {
            project: self.sides.project.clone(),
            name: name.to_owned(),
            text: marked(&text, &mark, &mut self.dice),
            base_blob,
            message: format!("{} edits {name}", self.name),
        };
        let outcome = match self.app.save_workflow(request, operation).await {
            Ok(outcome) => outcome,
            // Ten others were quicker.
            Err(error) if error.code == ErrorCode::GitBusy => return note(&self.ledger, "gave up an edit"),
            Err(error) => panic!("{error:?}"),
        };
        match outcome {
            CommitOutcome::Published { .. } => {
                note(&self.ledger, "edited in a window");
                lives(&self.ledger, mark);
            }
            CommitOutcome::Conflict { .. } => note(&self.ledger, "told of another's edit"),
            other => panic!("{other:?}"),
        }
    }

    async fn delete(&mut self, name: &str) {
        if AUTOMATIC.contains(&name) {
            return;
        }
        let operation = self.operation();
        let Ok(opened) = self.app.open_workflow(self.sides.project.clone(), name.to_owned()).await else { return };
        if opened.base_blob.is_none() {
            return;
        }
        note(&self.ledger, "deleted in a window");
        let outcome =
            self.app.delete_workflow(self.sides.project.clone(), name.to_owned(), opened.base_blob, operation).await;
        match outcome {
            Ok(_) => dies(&self.ledger, marks(&opened.text)),
            // The file may be gone all the same: what the cluster has besides keeps the workflow.
            Err(error) if error.code == ErrorCode::ChaosPreviewStale => dies(&self.ledger, marks(&opened.text)),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Decides about the first workflow that waits for a decision.
    async fn settle(&mut self) {
        let entries = self.app.chaos_workflows(self.sides.project.clone()).await.unwrap();
        let waits = |state| matches!(state, WorkflowState::Conflict | WorkflowState::DeletedInGit);
        let Some(entry) = entries.iter().find(|one| waits(one.state)) else { return };
        let (project, name) = (self.sides.project.clone(), entry.name.clone());
        let Ok(seen) = self.app.workflow_sides(project.clone(), name.clone()).await else { return };
        let (git, cluster) = (seen.git.clone().unwrap_or_default(), seen.cluster.clone());
        let (git_only, cluster_only) = (&marks(&git) - &marks(&cluster), &marks(&cluster) - &marks(&git));
        let (how, lost) = match (entry.state, &seen.git, self.dice.roll(3)) {
            (WorkflowState::DeletedInGit, _, 0) => (WorkflowResolution::Restore, BTreeSet::new()),
            (WorkflowState::DeletedInGit, ..) => (WorkflowResolution::ConfirmDeletion, marks(&cluster)),
            (_, _, 0) => (WorkflowResolution::TakeGit, cluster_only),
            (_, None, _) | (_, _, 1) => (WorkflowResolution::TakeCluster, git_only),
            _ => (WorkflowResolution::Take { text: joined(&git, &cluster) }, BTreeSet::new()),
        };
        let operation = self.operation();
        // Counted before: what another brings back meanwhile, nobody lost.
        match self.app.resolve_workflow(project, name, how, seen.seen, operation).await {
            Ok(()) => {
                note(&self.ledger, "decided");
                dies(&self.ledger, lost);
            }
            Err(error) => {
                note(&self.ledger, "decided about what had moved");
                // Refused before anything was written, or after what was decided was in Git.
                if error.code != ErrorCode::ChaosPreviewStale {
                    dies(&self.ledger, lost);
                }
            }
        }
    }
}

fn joined(git: &str, cluster: &str) -> String {
    let missing = &marks(cluster) - &marks(git);
    missing.iter().map(|mark| format!("{mark}\n")).collect::<String>() + git
}

/// A person at a command line.
struct CommandLine {
    work: PathBuf,
    ca: PathBuf,
    folder: String,
    ledger: Shared,
    dice: Dice,
    count: u32,
}

const CLEO: &str = "Cleo";

impl CommandLine {
    fn git(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("git")
            .current_dir(&self.work)
            .args(arguments)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_SSL_CAINFO", &self.ca)
            .envs([("GIT_AUTHOR_NAME", CLEO), ("GIT_COMMITTER_NAME", CLEO)])
            .envs([("GIT_AUTHOR_EMAIL", email(CLEO)), ("GIT_COMMITTER_EMAIL", email(CLEO))])
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.work.join(&self.folder).join(format!("{name}.yaml"))
    }

    fn read(&self, path: &Path) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }

    fn step(&mut self) {
        let name = self.dice.name();
        let what = match self.dice.roll(12) {
            8 | 9 if AUTOMATIC.contains(&name.as_str()) => 0,
            what => what,
        };
        // Somebody is often quicker; then it is done again on what there is.
        for _ in 0..20 {
            assert!(self.git(&["fetch", "-q", "origin", "main"]).is_some(), "the server cannot be reached");
            self.git(&["reset", "-q", "--hard", "FETCH_HEAD"]).unwrap();
            self.git(&["clean", "-qfd"]).unwrap();
            let before: BTreeMap<PathBuf, String> = self.all();
            let (mut mark, mut force) = (None, false);
            match what {
                0..=7 => {
                    self.count += 1;
                    let text = self.read(&self.file(&name)).unwrap_or_else(|| workflow(&name));
                    let new = format!("# mark {CLEO}-{}", self.count);
                    let text = marked(&text, &new, &mut self.dice);
                    std::fs::create_dir_all(self.work.join(&self.folder)).unwrap();
                    std::fs::write(self.file(&name), text).unwrap();
                    mark = Some(new);
                }
                8 => drop(std::fs::remove_file(self.file(&name))),
                9 => {
                    self.count += 1;
                    let to = format!("moved-{}", self.count);
                    let Some(text) = self.read(&self.file(&name)) else { return };
                    std::fs::remove_file(self.file(&name)).unwrap();
                    let renamed = text.replace(&format!("  name: {name}\n"), &format!("  name: {to}\n"));
                    std::fs::write(self.file(&to), renamed).unwrap();
                }
                10 => {
                    let Some(text) = self.read(&self.file(&name)) else { return };
                    std::fs::write(self.file(&name), format!("{text}  broken: [\n")).unwrap();
                    if text.contains("broken: [") {
                        std::fs::write(self.file(&name), text.replace("  broken: [\n", "")).unwrap();
                    }
                }
                // One commit taken back, unless it is the first.
                _ => {
                    if self.git(&["reset", "-q", "--hard", "HEAD~1"]).is_none() || self.all().len() + 2 < before.len() {
                        return;
                    }
                    force = true;
                }
            }
            if !force {
                self.git(&["add", "-A"]).unwrap();
                if self.git(&["commit", "-q", "-m", &format!("{CLEO} changes {name}")]).is_none() {
                    return;
                }
            }
            let plain = ["push", "-q", "origin", "HEAD:main"];
            let tip = self.git(&["rev-parse", "FETCH_HEAD"]).unwrap();
            let exact = format!("--force-with-lease=main:{}", tip.trim());
            let forced = ["push", "-q", exact.as_str(), "origin", "HEAD:main"];
            if self.git(if force { &forced[..] } else { &plain[..] }).is_none() {
                note(&self.ledger, "was too late at the command line");
                continue;
            }
            note(&self.ledger, if force { "rewrote history" } else { "pushed at the command line" });
            let gather = |files: &BTreeMap<PathBuf, String>| -> BTreeSet<String> {
                files.values().flat_map(|text| marks(text)).collect()
            };
            dies(&self.ledger, &gather(&before) - &gather(&self.all()));
            mark.into_iter().for_each(|mark| lives(&self.ledger, mark));
            return;
        }
    }

    fn all(&self) -> BTreeMap<PathBuf, String> {
        let folder = std::fs::read_dir(self.work.join(&self.folder)).into_iter().flatten().flatten();
        folder.filter_map(|entry| Some((entry.path(), self.read(&entry.path())?))).collect()
    }
}

/// A hand in the cluster, as kubectl's.
async fn hand(sides: &Sides, ledger: &Shared, dice: &mut Dice, count: u32) {
    let objects: Vec<_> = sides.objects().await.into_values().filter(|one| !one.manifest.is_empty()).collect();
    let Some(object) =
        (!objects.is_empty()).then(|| &objects[usize::try_from(dice.roll(objects.len() as u64)).unwrap()])
    else {
        return;
    };
    let api = sides.cluster.api(&kinds::CHAOS_WORKFLOW, &sides.namespace);
    let seen = api.get(&object.object).await;
    let Some(seen) = seen.ok().filter(|seen| seen.data["spec"]["manifest"] == json!(object.manifest)) else { return };
    if dice.roll(8) == 0 && !AUTOMATIC.contains(&object.workflow.as_str()) {
        let only = kube::api::Preconditions { resource_version: seen.metadata.resource_version, uid: None };
        let only = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
        // What Git holds comes back from there; what only the cluster had goes.
        if api.delete(&object.object, &only).await.is_ok() {
            note(ledger, "deleted in the cluster");
            dies(ledger, marks(&object.manifest).into_iter().filter(|mark| mark.starts_with("# mark hand-")));
        }
        return;
    }
    let mark = format!("# mark hand-{count}");
    let text = marked(&object.manifest, &mark, dice);
    let patch = json!({"metadata": {"resourceVersion": seen.metadata.resource_version}, "spec": {"manifest": text}});
    if api.patch(&object.object, &PatchParams::default(), &Patch::Merge(&patch)).await.is_ok() {
        note(ledger, "edited in the cluster");
        lives(ledger, mark);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hands_at_once_lose_nothing_and_run_nothing_unasked() {
    let changes = number(CHANGES).unwrap_or(USUAL);
    let seed = number(SEED).unwrap_or_else(|| u64::from(std::process::id()) ^ 0x5eed_0000);
    println!("{changes} changes; {SEED}={seed} does the same again, as far as the order in which they meet allows");
    let sides = Arc::new(Sides::new().await);
    let ledger = Shared::default();
    let files: Vec<(String, String)> =
        (0..NAMES).map(|n| format!("kill-{n}")).map(|name| (sides.path(&name), workflow(&name))).collect();
    sides
        .repo
        .edit("main", "Begin", |dir| {
            std::fs::create_dir_all(dir.join(format!("litmus/{}", sides.project))).unwrap();
            files.iter().for_each(|(path, text)| std::fs::write(dir.join(path), text).unwrap());
            Ok(())
        })
        .unwrap();

    let mut people = Vec::new();
    for (name, salt) in [("Ada", 1), ("Ben", 2)] {
        let app = sides.door().open(&sides.data.path().join(name), name).await;
        app.enable_project(sides.door().form(), "enable".into()).await.unwrap();
        let (sides, ledger) = (sides.clone(), ledger.clone());
        people.push(Person { name, app, sides, ledger, dice: Dice(seed ^ salt), count: 0 });
    }
    for name in AUTOMATIC {
        let app = &people[0].app;
        let reach = app.workflow_reach(sides.project.clone(), name.into()).await.unwrap();
        let set = app.set_run_policy(sides.project.clone(), name.into(), RunPolicy::OnCommit, Some(reach.digest));
        set.await.unwrap();
    }

    let work = sides.data.path().join("cleo");
    let address =
        sides.repo.url.replacen("https://", &format!("https://{}:{}@", sides.host.username, sides.host.token), 1);
    let mut cleo = CommandLine {
        work: work.clone(),
        ca: sides.data.path().join("authority.pem"),
        folder: format!("litmus/{}", sides.project),
        ledger: ledger.clone(),
        dice: Dice(seed ^ 3),
        count: 0,
    };
    std::fs::create_dir_all(&work).unwrap();
    cleo.git(&["init", "-q", "--initial-branch=main"]).unwrap();
    cleo.git(&["remote", "add", "origin", &address]).unwrap();

    // A third for the windows together, a third for the command line, a third for the hand in the cluster would leave
    // the windows, which are slowest, too little: they do half of all.
    let (windows, line, cluster) = (changes / 4, changes / 3, changes - 2 * (changes / 4) - changes / 3);
    let mut all = tokio::task::JoinSet::new();
    for mut person in people {
        all.spawn(async move {
            for _ in 0..windows {
                person.step().await;
            }
            Some(person)
        });
    }
    let line = tokio::task::spawn_blocking(move || (0..line).for_each(|_| cleo.step()));
    let (hands, account) = (sides.clone(), ledger.clone());
    all.spawn(async move {
        let mut dice = Dice(seed ^ 4);
        for count in 0..cluster {
            hand(&hands, &account, &mut dice, u32::try_from(count).unwrap()).await;
            // A hand is not quicker than a window.
            tokio::task::yield_now().await;
        }
        None
    });
    let people: Vec<Person> = all.join_all().await.into_iter().flatten().collect();
    line.await.unwrap();
    reckon(&sides, &ledger, people).await;
}

/// Settles what is left, and compares everything with the ledger.
async fn reckon(sides: &Sides, ledger: &Shared, people: Vec<Person>) {
    let ada = people.iter().find(|one| one.name == "Ada").unwrap();
    for round in 0.. {
        assert!(round < 60, "it does not come to rest: {:?}", sides.objects().await);
        let _ = ada.app.sync_project(sides.project.clone(), format!("last-{round}")).await;
        let mut open = 0;
        for (name, object) in sides.objects().await {
            let state = object.state;
            open += u32::from(state != Some(SyncState::InSync));
            match state {
                Some(SyncState::Invalid) => {
                    let path = sides.path(&name);
                    if let Some(text) = sides.repo.show("main", &path) {
                        sides.repo.push_file(&path, &text.replace("  broken: [\n", ""), "Mend").unwrap();
                    }
                }
                Some(SyncState::Conflict | SyncState::DeletedInGit) => {
                    let both = ada.app.workflow_sides(sides.project.clone(), name.clone()).await;
                    let Ok(both) = both else { continue };
                    let how = match (&both.git, state) {
                        (_, Some(SyncState::DeletedInGit)) => {
                            dies(ledger, marks(&both.cluster));
                            WorkflowResolution::ConfirmDeletion
                        }
                        (Some(git), _) => WorkflowResolution::Take { text: joined(git, &both.cluster) },
                        (None, _) => WorkflowResolution::TakeCluster,
                    };
                    let _ = ada
                        .app
                        .resolve_workflow(sides.project.clone(), name, how, both.seen, format!("settle-{round}"))
                        .await;
                }
                _ => {}
            }
        }
        if open == 0
            && sides.objects().await.values().all(|one| one.due.is_none() && one.state == Some(SyncState::InSync))
        {
            break;
        }
    }
    let ledger = std::mem::take(&mut *ledger.lock().unwrap());
    println!("{:?}; {} marks to be found", ledger.done, ledger.alive.len());
    until("both sides to be equal", async || {
        let held: BTreeMap<String, String> =
            sides.objects().await.into_iter().map(|(name, one)| (name, one.manifest)).collect();
        (held == sides.files()).then_some(())
    })
    .await;
    let there: BTreeSet<String> = sides.files().values().flat_map(|text| marks(text)).collect();
    let lost: Vec<_> = ledger.alive.difference(&there).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    authors(sides, &ledger.gone);
    runs(sides).await;
}

/// Each mark was first brought in by whoever made it; what was made in the cluster, by whoever brought it from there.
fn authors(sides: &Sides, gone: &BTreeSet<String>) {
    let log = sides.repo.git(&["log", "--reverse", "-p", "--no-renames", "--format=@%an|%ae|%cn", "main"]).unwrap();
    let (mut author, mut seen) = (String::new(), BTreeSet::new());
    for line in log.lines() {
        if let Some(head) = line.strip_prefix('@').filter(|head| head.matches('|').count() == 2) {
            author = head.to_owned();
        } else if let Some(mark) = line.strip_prefix("+# mark ") {
            let maker = mark.split('-').next().unwrap();
            if !seen.insert(mark.to_owned()) {
                continue;
            }
            let person = |name: &str| format!("{name}|{}|{name}", email(name));
            let right = match maker {
                "hand" => author == person("Ada") || author == person("Ben"),
                // What was taken out of history, and came back from the cluster, is brought by whoever brought it.
                name => {
                    let back = gone.contains(&format!("# mark {mark}"));
                    author == person(name) || (back && (author == person("Ada") || author == person("Ben")))
                }
            };
            assert!(right, "{mark} is {author}'s");
        }
    }
}

/// Every run is of a workflow that runs on commit, and of one of the commits that changed its file.
async fn runs(sides: &Sides) {
    let mut asked: BTreeSet<String> = BTreeSet::new();
    // Also those that history was rewritten without.
    let all =
        sides.repo.git(&["cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)"]).unwrap();
    let commits: Vec<&str> = all.lines().filter_map(|line| line.strip_prefix("commit ")).collect();
    for name in AUTOMATIC {
        let path = sides.path(name);
        for commit in &commits {
            let Ok(blob) = sides.repo.git(&["rev-parse", "--verify", "-q", &format!("{commit}:{path}")]) else {
                continue;
            };
            let hash = digest(&format!("{}\n{name}\n{commit}\n{blob}", sides.project));
            asked.insert(run_name(name, &hash[..16]));
        }
    }
    let runs = sides.runs().await;
    println!("{} runs", runs.len());
    for (run, workflow) in &runs {
        assert!(AUTOMATIC.contains(&workflow.as_str()), "{run} of {workflow} was not asked for");
        assert!(asked.contains(run), "{run} is of no commit");
    }
    assert!(!runs.is_empty(), "what runs on commit did not run");
}
