//! A sync that is killed at any of its steps goes on after a restart: old or new, never half, nothing doubled.
//!
//! The app runs in a process of its own, which a relay before the API server and the hooks of the Git server kill with
//! SIGKILL: before or after a chosen write to the cluster, before or after a push is taken.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use kube::api::{Patch, PatchParams};
use pilothouse_app::contract::{ActivityOutcome, PlaceSeen, RunPolicy};
use pilothouse_chaos::plan::SyncState;
use pilothouse_cluster::kinds;
use pilothouse_rig::Rig;
use pilothouse_rig::git_host::RepoHandle;
use serde_json::json;

use crate::relay::of_a_sync;
pub use crate::relay::{Place, Relay};
use crate::stage::until;
use crate::two_sides::{Door, Sides, workflow};

const CHILD: &str = "PILOTHOUSE_TEST_KILLED";
/// How many of the places to be killed at are gone through, evenly spread; all of them with this variable.
const PLACES: &str = "PILOTHOUSE_KILL_PLACES";
const USUAL: usize = 5;

/// The child: opens the app as after any start, and enables the project, which is on already; that syncs it. A project
/// that is to go elsewhere and does not follow the other place yet is led there.
#[tokio::test(flavor = "multi_thread")]
async fn child_syncs() {
    let Some(text) = std::env::var_os(CHILD) else { return };
    let text = text.into_string().unwrap();
    let lines: Vec<&str> = text.split('\n').collect();
    let [data, kubeconfig, authority, namespace, project, url, username, token, to] = lines[..] else {
        panic!("{text}")
    };
    let own = str::to_owned;
    let door = Door {
        kubeconfig: kubeconfig.into(),
        authority: authority.into(),
        namespace: own(namespace),
        project: own(project),
        url: own(url),
        username: own(username),
        token: own(token),
    };
    let app = door.open(Path::new(data), "Ada").await;
    let follows = async || {
        let all = app.chaos_overview().await.unwrap().projects;
        all.into_iter().find(|one| one.id == project).map(|one| one.url)
    };
    if !to.is_empty() && until("the project", follows).await != to {
        let (form, seen) = (door.at(to).form(), PlaceSeen { url: own(url), branch: "main".into() });
        app.change_project(form, seen, true, "change".into()).await.unwrap();
    } else {
        let door = if to.is_empty() { door.clone() } else { door.at(to) };
        app.enable_project(door.form(), "enable".into()).await.unwrap();
        app.sync_project(door.project.clone(), "sync".into()).await.unwrap();
    }
    app.close().await;
    let all = app.activity(None, 200).await.unwrap();
    let open: Vec<_> = all.entries.iter().filter(|one| one.outcome == ActivityOutcome::Started).collect();
    assert!(open.is_empty(), "the timeline takes for open what has ended: {open:?}");
    println!("\nsynced");
}

fn child(door: &Door, data: &Path, to: &str) -> std::process::Child {
    let path = |path: &Path| path.display().to_string();
    let (data, kubeconfig, authority) = (path(data), path(&door.kubeconfig), path(&door.authority));
    let lines =
        [&*data, &kubeconfig, &authority, &door.namespace, &door.project, &door.url, &door.username, &door.token, to];
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child_syncs", "--nocapture"])
        .env(CHILD, lines.join("\n"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_killed_at_any_step_is_finished_after_a_restart() {
    let sides = Sides::new().await;
    let relay = Relay::start(Rig::get().client().await, of_a_sync).await;
    let door = Door { kubeconfig: relay.kubeconfig(sides.data.path()), ..sides.door() };
    let data = sides.data.path().join("ada");
    let pid_file = sides.data.path().join("kill");
    install_hooks(&sides.repo, &pid_file);

    // What every round begins with: nothing is new.
    let text = |name: &str, mark: &str| format!("{mark}\n{}", workflow(name));
    for name in ["runs", "taken"] {
        sides.repo.push_file(&sides.path(name), &workflow(name), "Begin").unwrap();
    }
    run(&relay, &door, &data, "", None).await;
    {
        let app = door.open(&sides.data.path().join("ben"), "Ben").await;
        app.enable_project(door.form(), "enable".into()).await.unwrap();
        let reach = app.workflow_reach(sides.project.clone(), "runs".into()).await.unwrap();
        let set = app.set_run_policy(sides.project.clone(), "runs".into(), RunPolicy::OnCommit, Some(reach.digest));
        set.await.unwrap();
        app.close().await;
    }

    let mut rounds = Rounds { sides: &sides, text: &text, number: 0, runs: 0 };
    // Once without being killed, to know how many steps there are.
    rounds.prepare().await;
    run(&relay, &door, &data, "", None).await;
    let steps = relay.seen();
    rounds.check(None, &steps).await;

    let all = Place::all(steps.len());
    let wanted = wanted(USUAL, &all);
    let mut died = 0;
    for place in some_of(&all, wanted) {
        rounds.prepare().await;
        let file = place.hook().map(|hook| pid_file.with_extension(hook));
        // The sync in the background may have done a step that the one by hand then needs no more.
        died += usize::from(run(&relay, &door, &data, "", Some((place, file.as_deref()))).await);
        run(&relay, &door, &data, "", None).await;
        rounds.check(Some(place), &steps).await;
    }
    println!("{died} of {wanted} were killed");
    assert!(died > wanted / 2, "hardly any place was reached");
}

/// Hooks that kill whoever is named in a file for each, and take nothing before the push, everything after.
pub fn install_hooks(repo: &RepoHandle, pid_file: &Path) {
    for (hook, status) in [("pre-receive", 1), ("post-receive", 0)] {
        let file = pid_file.with_extension(hook);
        let script =
            format!("#!/bin/sh\n[ -e '{0}' ] || exit 0\nkill -9 $(cat '{0}')\nexit {status}\n", file.display());
        repo.install_hook(hook, &script).unwrap();
    }
}

/// How many of the places are gone through.
pub fn wanted(usual: usize, all: &[Place]) -> usize {
    let wanted = std::env::var(PLACES).ok().and_then(|text| text.parse().ok()).unwrap_or(usual).clamp(1, all.len());
    println!("{} places, {wanted} are gone through; {PLACES}={} goes through all", all.len(), all.len());
    wanted
}

/// So many places, evenly spread.
pub fn some_of(all: &[Place], wanted: usize) -> impl Iterator<Item = Place> {
    (0..wanted).map(move |n| all[n * all.len() / wanted])
}

/// Runs the child to its end; says whether it was killed.
pub async fn run(relay: &Relay, door: &Door, data: &Path, to: &str, place: Option<(Place, Option<&Path>)>) -> bool {
    let started = child(door, data, to);
    relay.wait_for(place.map(|(place, _)| place), started.id());
    if let Some((_, Some(file))) = place {
        std::fs::write(file, started.id().to_string()).unwrap();
    }
    let output = tokio::task::spawn_blocking(move || started.wait_with_output().unwrap()).await.unwrap();
    let status = output.status;
    if let Some((_, Some(file))) = place {
        std::fs::remove_file(file).unwrap();
    }
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
    assert!(killed || status.success(), "{words}");
    assert!(killed || words.contains("synced"), "the child did nothing: {words}");
    assert!(place.is_some() || !killed, "killed unasked");
    killed
}

/// Rounds of the same changes: one in Git that is to be run, one in the cluster that is to be committed, a new file.
struct Rounds<'a> {
    sides: &'a Sides,
    text: &'a dyn Fn(&str, &str) -> String,
    number: usize,
    runs: usize,
}

impl Rounds<'_> {
    fn mark(&self) -> String {
        format!("# mark {:03}.", self.number)
    }

    async fn prepare(&mut self) {
        self.number += 1;
        let mark = self.mark();
        self.sides.repo.push_file(&self.sides.path("runs"), &(self.text)("runs", &mark), "Change").unwrap();
        let new = format!("new-{}", self.number);
        self.sides.repo.push_file(&self.sides.path(&new), &workflow(&new), "Add").unwrap();
        let object = self.sides.objects().await.remove("taken").unwrap();
        let api = self.sides.cluster.api(&kinds::CHAOS_WORKFLOW, &self.sides.namespace);
        let patch = json!({"spec": {"manifest": (self.text)("taken", &mark)}});
        api.patch(&object.object, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    async fn check(&mut self, place: Option<Place>, steps: &[String]) {
        self.runs += 1;
        let mark = self.mark();
        let (files, objects) = (self.sides.files(), self.sides.objects().await);
        let held: BTreeMap<_, _> = objects.iter().map(|(name, one)| (name.clone(), one.manifest.clone())).collect();
        assert_eq!(held, files, "{place:?} of {steps:?}");
        for (name, one) in &objects {
            assert_eq!(one.state, Some(SyncState::InSync), "{place:?} {name}");
            assert_eq!(one.due, None, "{place:?} {name}");
        }
        assert_eq!(files["taken"], (self.text)("taken", &mark), "{place:?}");
        let log = self.sides.repo.git(&["log", "--format=%an", "-S", &mark, "main", "--", &self.sides.path("taken")]);
        let authors = log.unwrap();
        // The mark comes in once; its going, in the next round, is not looked at here.
        assert_eq!(authors.lines().collect::<Vec<_>>(), ["Ada"], "{place:?}: committed twice, or not");
        let told = "--format=%(trailers:key=Chaos-Workflow,valueonly,separator=%x2C)";
        let about = self.sides.repo.git(&["log", "-1", told, "main", "--", &self.sides.path("taken")]).unwrap();
        assert_eq!(about, "taken", "{place:?}");
        assert_eq!(self.sides.runs().await.len(), self.runs, "{place:?}: run twice, or not");
    }
}
