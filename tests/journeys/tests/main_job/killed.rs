//! A sync that is killed at any of its steps goes on after a restart: old or new, never half, nothing doubled.
//!
//! The app runs in a process of its own, which a relay before the API server and the hooks of the Git server kill with
//! SIGKILL: before or after a chosen write to the cluster, before or after a push is taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use kube::api::{Patch, PatchParams};
use kube::client::Body;
use pilothouse_app::contract::{ActivityOutcome, RunPolicy};
use pilothouse_chaos::plan::SyncState;
use pilothouse_cluster::kinds;
use pilothouse_rig::Rig;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::two_sides::{Door, Sides, workflow};

const CHILD: &str = "PILOTHOUSE_TEST_KILLED";
/// How many of the places to be killed at are gone through, evenly spread; all of them with this variable.
const PLACES: &str = "PILOTHOUSE_KILL_PLACES";
const USUAL: usize = 5;

/// Where to kill.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Before the write of this number reaches the API server.
    Before(usize),
    /// After it was done, and before its answer comes.
    After(usize),
    /// When the Git server has the commit and has not taken it yet.
    Pushing,
    /// When it has taken the commit and has not answered.
    Pushed,
}

#[derive(Default)]
struct Watch {
    place: Option<Place>,
    writes: usize,
    /// What was written, for people who read a failure.
    seen: Vec<String>,
    child: Option<u32>,
}

/// A relay before the API server that counts what the app writes about the project and its runs.
struct Relay {
    port: u16,
    watch: Arc<Mutex<Watch>>,
}

impl Relay {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (watch, client) = (Arc::<Mutex<Watch>>::default(), Rig::get().client().await);
        let shared = watch.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (client, watch) = (client.clone(), shared.clone());
                tokio::spawn(async move {
                    // Whoever is killed hangs up in the middle.
                    let _ = serve(stream, client, watch).await;
                });
            }
        });
        Self { port, watch }
    }

    fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "rig",
            "clusters": [{"name": "rig", "cluster": {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": "rig"}}],
            "users": [{"name": "rig", "user": {"token": "not-looked-at"}}],
        });
        let path = folder.join("kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

/// One request, and the connection closes.
async fn serve(mut stream: TcpStream, client: kube::Client, watch: Arc<Mutex<Watch>>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
    let mut request = http::Request::builder().method(method.as_str()).uri(&path);
    let mut length = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "content-type" | "accept" => request = request.header(name, value),
            _ => {}
        }
    }
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(());
        }
    }
    // Leases and questions about rights are no steps of a sync.
    let counts = method != "GET"
        && (path.contains("/chaosprojects") || path.contains("/chaosworkflows") || path.contains("/workflows"));
    let number = counts.then(|| {
        let mut watch = watch.lock().unwrap();
        watch.writes += 1;
        watch.seen.push(format!("{method} {path}"));
        watch.writes
    });
    let meant = |place: fn(usize) -> Place| {
        let watch = watch.lock().unwrap();
        number.filter(|number| watch.place == Some(place(*number))).and(watch.child)
    };
    if let Some(pid) = meant(Place::Before) {
        kill(pid);
        return Ok(());
    }
    let answer = client.send(request.body(Body::from(body)).unwrap()).await;
    if let Some(pid) = meant(Place::After) {
        kill(pid);
        return Ok(());
    }
    let Ok(answer) = answer else { return Ok(()) };
    let status = answer.status();
    let mut reply = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", status.as_u16());
    if let Some(kind) = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()) {
        reply.push_str(&format!("content-type: {kind}\r\n"));
    }
    stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    let mut frames = std::pin::pin!(http_body_util::BodyStream::new(answer.into_body()));
    while let Some(Ok(frame)) = futures::StreamExt::next(&mut frames).await {
        if let Ok(data) = frame.into_data() {
            stream.write_all(&data).await?;
        }
    }
    stream.shutdown().await
}

/// The child: opens the app as after any start, and enables the project, which is on already; that syncs it.
#[tokio::test(flavor = "multi_thread")]
async fn child_syncs() {
    let Some(text) = std::env::var_os(CHILD) else { return };
    let text = text.into_string().unwrap();
    let lines: Vec<&str> = text.split('\n').collect();
    let [data, kubeconfig, authority, namespace, project, url, username, token] = lines[..] else { panic!("{text}") };
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
    app.enable_project(door.form(), "enable".into()).await.unwrap();
    app.sync_project(door.project.clone(), "sync".into()).await.unwrap();
    app.close().await;
    let all = app.activity(None, 200).await.unwrap();
    let open: Vec<_> = all.entries.iter().filter(|one| one.outcome == ActivityOutcome::Started).collect();
    assert!(open.is_empty(), "the timeline takes for open what has ended: {open:?}");
    println!("\nsynced");
}

fn child(door: &Door, data: &Path) -> std::process::Child {
    let path = |path: &Path| path.display().to_string();
    let lines = [
        &path(data),
        &path(&door.kubeconfig),
        &path(&door.authority),
        &door.namespace,
        &door.project,
        &door.url,
        &door.username,
        &door.token,
    ];
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child_syncs", "--nocapture"])
        .env(CHILD, lines.map(String::as_str).join("\n"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_killed_at_any_step_is_finished_after_a_restart() {
    let sides = Sides::new().await;
    let relay = Relay::start().await;
    let door = Door { kubeconfig: relay.kubeconfig(sides.data.path()), ..sides.door() };
    let data = sides.data.path().join("ada");
    let pid_file = sides.data.path().join("kill");
    // A hook that kills whoever is named in a file for it, and takes nothing before the push, everything after.
    for (hook, status) in [("pre-receive", 1), ("post-receive", 0)] {
        let file = pid_file.with_extension(hook);
        let script =
            format!("#!/bin/sh\n[ -e '{0}' ] || exit 0\nkill -9 $(cat '{0}')\nexit {status}\n", file.display());
        sides.repo.install_hook(hook, &script).unwrap();
    }

    // What every round begins with: nothing is new.
    let text = |name: &str, mark: &str| format!("{mark}\n{}", workflow(name));
    for name in ["runs", "taken"] {
        sides.repo.push_file(&sides.path(name), &workflow(name), "Begin").unwrap();
    }
    run(&relay, &door, &data, None).await;
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
    run(&relay, &door, &data, None).await;
    let steps = relay.watch.lock().unwrap().seen.clone();
    rounds.check(None, &steps).await;

    let all = (1..=steps.len()).flat_map(|n| [Place::Before(n), Place::After(n)]);
    let all: Vec<Place> = [Place::Pushing, Place::Pushed].into_iter().chain(all).collect();
    let wanted = std::env::var(PLACES).ok().and_then(|text| text.parse().ok()).unwrap_or(USUAL).clamp(1, all.len());
    let mut died = 0;
    println!("{} places, {wanted} are gone through; {PLACES}={} goes through all", all.len(), all.len());
    for place in (0..wanted).map(|n| all[n * all.len() / wanted]) {
        rounds.prepare().await;
        let hook = match place {
            Place::Pushing => Some("pre-receive"),
            Place::Pushed => Some("post-receive"),
            _ => None,
        };
        let file = hook.map(|hook| pid_file.with_extension(hook));
        // The sync in the background may have done a step that the one by hand then needs no more.
        died += usize::from(run(&relay, &door, &data, Some((place, file.as_deref()))).await);
        run(&relay, &door, &data, None).await;
        rounds.check(Some(place), &steps).await;
    }
    println!("{died} of {wanted} were killed");
    assert!(died > wanted / 2, "hardly any place was reached");
}

/// Runs the child to its end; says whether it was killed.
async fn run(relay: &Relay, door: &Door, data: &Path, place: Option<(Place, Option<&Path>)>) -> bool {
    let started = child(door, data);
    *relay.watch.lock().unwrap() =
        Watch { place: place.map(|(place, _)| place), child: Some(started.id()), ..Watch::default() };
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
