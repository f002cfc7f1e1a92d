//! A cluster with the agent's objects in it, a Git server, and agents as processes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use pilothouse_app::agent::{Author, Needs, Plan, ProjectNeed, Settings, TriggerNeed, manifests};
use pilothouse_chaos::project::{self, Auth, Enable};
use pilothouse_chaos::templates::{self, Request, TemplateTarget};
use pilothouse_chaos::workflow_object::{self, RunPolicy, WorkflowObject};
use pilothouse_cluster::{Cluster, Kind, crds, kinds};
use pilothouse_practice::controllers::{Actor, ActorConfig, Actors, ActorsHandle};
use pilothouse_rig::Rig;
use pilothouse_rig::git_host::{GitHost, RepoHandle};
use pilothouse_triggers::spec::{TriggerStatus, WorkloadKind};
use serde_json::{Value, json};

/// The program: the one that was built with this test, or the one that PILOTHOUSE_AGENT names, as that of an image.
fn program() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_pilothouse-agent"));
    std::env::var_os("PILOTHOUSE_AGENT").map_or_else(built, PathBuf::from)
}

/// How long anything may take before the story counts as stuck; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `look` finds what it looks for.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The Lease of the triggers.
pub const TRIGGERS: &str = "pilothouse-triggers";

/// The workflow that most stories run, on the Deployment `cart`.
pub const WORKFLOW: &str = "cart-pod-delete";

pub struct Stage {
    pub cluster: Cluster,
    pub plan: Plan,
    /// The agent's own namespace.
    pub own: String,
    /// The namespace of the project.
    pub home: String,
    /// The namespace of the workloads.
    pub target: String,
    pub host: GitHost,
    pub repo: RepoHandle,
    pub dir: tempfile::TempDir,
    /// Who plays Argo Workflows and Litmus; nobody does once it is taken.
    pub actors: Option<ActorsHandle>,
    count: AtomicU32,
}

/// The API of an object by what it says of itself.
pub fn api_of(client: kube::Client, object: &Value) -> Api<DynamicObject> {
    let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = if kind == "NetworkPolicy" {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), "networkpolicies")
    } else {
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
    };
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    }
}

impl Stage {
    /// With a Git server over HTTPS.
    pub async fn new() -> Self {
        Self::with(GitHost::https().unwrap()).await
    }

    /// With a Git server of one's own.
    pub async fn with(host: GitHost) -> Self {
        let rig = Rig::get();
        let cluster = Cluster::from_client(rig.client().await, "rig", false);
        crds::install(&cluster).await.unwrap();
        let own = rig.namespace("agent").await;
        let home = rig.namespace("chaos").await;
        let target = rig.namespace("shop").await;
        let repo = host.create_repo("acme/chaos").unwrap();
        let needs = Needs {
            projects: vec![ProjectNeed {
                namespace: home.clone(),
                id: "shop".into(),
                url: repo.url.clone(),
                branch: "main".into(),
                credential: "chaos".into(),
            }],
            triggers: vec![TriggerNeed {
                namespace: home.clone(),
                target: target.clone(),
                kind: WorkloadKind::Deployment,
                respect_disruption_budget: false,
            }],
        };
        let author = Author { name: "The agent".into(), email: "agent@example.com".into() };
        let mut settings = Settings::new(&own, "registry.example/pilothouse-agent:0.1.0", "rig-eu", author);
        settings.authority.clone_from(&host.ca_pem);
        settings.known_hosts.clone_from(&host.host_key_line);
        let plan = Plan { settings, needs };
        assert_eq!(plan.flaws(), []);
        let dir = tempfile::tempdir().unwrap();
        let mut stage =
            Self { cluster, plan, own, home, target, host, repo, dir, actors: None, count: AtomicU32::new(0) };
        stage.install().await;
        stage.mount().await;
        stage.play().await;
        stage
    }

    /// Has Argo Workflows and Litmus played.
    pub async fn play(&mut self) {
        let mut config = ActorConfig::new(&self.home, None).paced(Duration::from_millis(20));
        config.chaos_namespace.clone_from(&self.home);
        let client = Rig::get().client().await;
        self.actors = Some(Actors::start(client, config, &[Actor::Workflows, Actor::Engines]));
    }

    /// Applies what installs the agent. The Deployment is only asked about: its image is nowhere, and its program runs
    /// as a process here.
    async fn install(&self) {
        for object in manifests(&self.plan.settings, &self.plan.needs) {
            let api = api_of(self.cluster.client(), &object);
            let typed: DynamicObject = serde_json::from_value(object.clone()).unwrap();
            match object["kind"].as_str().unwrap() {
                "Namespace" => {
                    let labels = json!({"metadata": {"labels": object["metadata"]["labels"]}});
                    api.patch(&self.own, &PatchParams::default(), &Patch::Merge(&labels)).await.unwrap();
                }
                "CustomResourceDefinition" => {}
                // Served from 1.21 on; the rig's API server may be an older one.
                "PodDisruptionBudget" if Rig::get().description().minor < 21 => {}
                "Deployment" => {
                    let dry = PostParams { dry_run: true, ..PostParams::default() };
                    api.create(&dry, &typed).await.unwrap();
                }
                _ => {
                    api.create(&PostParams::default(), &typed).await.unwrap();
                }
            }
        }
    }

    /// Puts the files in place that a pod would have mounted.
    async fn mount(&self) {
        let folder = |name: &str| {
            let folder = self.dir.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            folder
        };
        let objects = manifests(&self.plan.settings, &self.plan.needs);
        let config = objects.iter().find(|one| one["kind"] == "ConfigMap").unwrap();
        for (name, text) in config["data"].as_object().unwrap() {
            std::fs::write(folder("config").join(name), text.as_str().unwrap()).unwrap();
        }
        let account = folder("account");
        std::fs::write(account.join("token"), self.token().await).unwrap();
        std::fs::write(account.join("namespace"), &self.own).unwrap();
        let kubeconfig = std::fs::read_to_string(Rig::get().kubeconfig()).unwrap();
        let kubeconfig: Value = serde_yaml::from_str(&kubeconfig).unwrap();
        let cluster = &kubeconfig["clusters"][0]["cluster"];
        let pem = match cluster["certificate-authority-data"].as_str() {
            Some(data) => STANDARD.decode(data).unwrap(),
            None => std::fs::read(cluster["certificate-authority"].as_str().unwrap()).unwrap(),
        };
        std::fs::write(account.join("ca.crt"), pem).unwrap();
        let git = folder("git");
        std::fs::write(git.join("chaos.username"), &self.host.username).unwrap();
        let (name, secret) = match self.over_ssh() {
            true => ("chaos.key", &self.host.client_private_key),
            false => ("chaos.token", &self.host.token),
        };
        std::fs::write(git.join(name), secret).unwrap();
    }

    fn over_ssh(&self) -> bool {
        !self.host.client_private_key.is_empty()
    }

    /// Puts the files in place anew, after the plan changed.
    pub async fn remount(&self) {
        self.mount().await;
    }

    /// A token of the agent's service account, from the API server's own hand.
    async fn token(&self) -> String {
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/pilothouse-agent/token", self.own);
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(body.to_string().into_bytes()).unwrap();
        let answer: Value = self.cluster.client().request(request).await.unwrap();
        answer["status"]["token"].as_str().unwrap().to_owned()
    }

    pub fn reach(&self) -> Vec<String> {
        let account = self.dir.path().join("account");
        vec![
            format!("--service-account={}", account.display()),
            format!("--server={}", Rig::get().description().server),
        ]
    }

    pub fn duty(&self) -> Vec<String> {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        vec![format!("--config={}", path("config/config.yaml")), format!("--credentials={}", path("git"))]
    }

    /// Starts an agent that calls itself so. One of the same name as another takes that one's folder over, as a
    /// container that is started again does.
    pub fn agent(&self, name: &str) -> Agent {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let log = self.dir.path().join(format!("{name}-{number}.log"));
        let data = self.dir.path().join(format!("data-{name}"));
        let mut arguments = vec!["run".to_owned(), "--listen=127.0.0.1:0".to_owned()];
        arguments.extend(self.duty());
        arguments.extend(self.reach());
        arguments.extend([format!("--data={}", data.display()), format!("--identity={name}")]);
        Agent::start(&arguments, &log)
    }

    /// Runs a command of the agent's to its end.
    pub fn command(&self, words: &[&str]) -> (i32, String) {
        let mut command = Command::new(program());
        let ended = command.args(words).args(self.reach()).stdin(Stdio::null()).output().unwrap();
        let text = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (ended.status.code().unwrap(), text)
    }

    /// What `check` says.
    pub fn check(&self) -> (i32, String) {
        let duty = self.duty();
        self.command(&["check", &duty[0], &duty[1]])
    }

    pub fn path(&self, workflow: &str) -> String {
        format!("litmus/shop/{workflow}.yaml")
    }

    /// A workflow that deletes a pod of `cart`.
    pub fn workflow(&self, name: &str) -> String {
        let request = Request {
            name: name.to_owned(),
            namespace: self.home.clone(),
            service_account: "argo-chaos".into(),
            chaos_service_account: "litmus-admin".into(),
            target: TemplateTarget {
                kind: "Deployment".into(),
                namespace: self.target.clone(),
                name: "cart".into(),
                selector: "app=cart".into(),
            },
            parameters: [].into(),
            infra_id: None,
        };
        templates::render("pod-delete", &request).unwrap()
    }

    pub fn push(&self, workflow: &str, text: &str, message: &str) {
        self.repo.push_file(&self.path(workflow), text, message).unwrap();
    }

    /// Switches GitOps on for the project, as somebody in a window does.
    pub async fn enable(&self) {
        let form = Enable {
            id: "shop".into(),
            url: self.repo.url.clone(),
            branch: "main".into(),
            auth: if self.over_ssh() { Auth::Ssh } else { Auth::Token },
            description: None,
        };
        project::enable(&self.cluster, &self.home, &form).await.unwrap();
    }

    pub async fn object(&self, workflow: &str) -> Option<WorkflowObject> {
        workflow_object::get(&self.cluster, &self.home, "shop", workflow).await.ok()
    }

    /// Waits until the cluster holds a workflow, and lets it start on events, as a person would.
    pub async fn let_start_on_events(&self, workflow: &str) {
        self.let_start(workflow, RunPolicy::OnEvent).await;
    }

    /// Waits until the cluster holds a workflow, and lets something start it.
    pub async fn let_start(&self, workflow: &str, by: RunPolicy) {
        until("the run policy", async || {
            let object = self.object(workflow).await?;
            let document = pilothouse_chaos::WorkflowDocument::accept("shop", &object.path, &object.manifest).unwrap();
            let seen = workflow_object::agreement(&document, &self.home);
            let which = ("shop", workflow);
            match workflow_object::set_run_policy(&self.cluster, &self.home, which, by, Some(&seen)).await {
                Ok(_) => Some(()),
                // The sync that brought it was still writing its status.
                Err(pilothouse_chaos::Error::Cluster(pilothouse_cluster::Error::Conflict { .. })) => None,
                Err(error) => panic!("{error}"),
            }
        })
        .await;
    }

    /// A Deployment `cart` of so many pods.
    pub async fn cart(&self, replicas: u32) {
        let pod = json!({"terminationGracePeriodSeconds": 0, "containers": [{"name": "app", "image": "cart:1"}]});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart"}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "cart"}},
            "template": {"metadata": {"labels": {"app": "cart"}}, "spec": pod}}});
        let api = self.cluster.api(&kinds::DEPLOYMENT, &self.target);
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        until("the pods of cart", async || {
            let ready = api.get("cart").await.unwrap().data.pointer("/status/readyReplicas").and_then(Value::as_u64);
            (ready == Some(replicas.into())).then_some(())
        })
        .await;
    }

    pub async fn image(&self, image: &str) {
        let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}});
        let api = self.cluster.api(&kinds::DEPLOYMENT, &self.target);
        api.patch("cart", &PatchParams::default(), &Patch::Strategic(&patch)).await.unwrap();
    }

    /// A trigger `on-image` of the project on `cart`. What changes while an agent begins is to be run as well.
    pub async fn trigger(&self, guards: Value) {
        let object = json!({"apiVersion": kinds::EVENT_TRIGGER.api_version(), "kind": kinds::EVENT_TRIGGER.kind,
            "metadata": {"name": "on-image"}, "spec": {"project": "shop", "workflow": WORKFLOW, "guards": guards, "whileAway": "Run",
                "target": {"kind": "Deployment", "namespace": self.target, "names": ["cart"]}}});
        let api = self.cluster.api(&kinds::EVENT_TRIGGER, &self.home);
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    pub async fn status(&self) -> TriggerStatus {
        let object = self.cluster.api(&kinds::EVENT_TRIGGER, &self.home).get("on-image").await.unwrap();
        object.data.get("status").map(|status| serde_json::from_value(status.clone()).unwrap()).unwrap_or_default()
    }

    /// Waits until `cart` with this image is settled and every run has ended; tells the runs that there are.
    pub async fn settled(&self, image: &str, runs: usize) {
        let status = until("a settled change", async || {
            let status = self.status().await;
            let on = status.observed.iter().any(|one| one.images.values().any(|known| known.contains(image)));
            (on && status.open_runs().is_empty() && self.runs().await.len() >= runs).then_some(status)
        })
        .await;
        let made = self.runs().await;
        assert_eq!(made.len(), runs, "{made:?} {status:#?}");
    }

    /// The names of the Workflows in the project's namespace.
    pub async fn runs(&self) -> Vec<String> {
        let all = self.cluster.api(&kinds::WORKFLOW, &self.home).list(&ListParams::default()).await.unwrap();
        all.items.into_iter().filter_map(|one| one.metadata.name).collect()
    }

    /// What the project says of its last sync.
    pub async fn project_says(&self) -> String {
        let project = self.cluster.api(&kinds::CHAOS_PROJECT, &self.home).get("shop").await.unwrap();
        project.data.pointer("/status/message").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Who holds a Lease of the project's namespace; empty when nobody does.
    pub async fn holder(&self, lease: &str) -> String {
        let lease = self.cluster.api(&kinds::LEASE, &self.home).get_opt(lease).await.unwrap();
        let holder = lease.and_then(|lease| Some(lease.data.pointer("/spec/holderIdentity")?.as_str()?.to_owned()));
        holder.unwrap_or_default()
    }

    /// Every file below the stage's folder but those that were mounted.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if !path.is_dir() {
                    found.push(path);
                } else if !path.ends_with("git") && !path.ends_with("account") {
                    folders.push(path);
                }
            }
        }
        found
    }

    pub fn kind_api(
        &self,
        group: &'static str,
        kind: &'static str,
        plural: &'static str,
        namespace: &str,
    ) -> Api<DynamicObject> {
        self.cluster.api(&Kind { group, version: "v1", kind, plural }, namespace)
    }
}

/// An agent's process, which ends with this value, or with this process.
pub struct Agent {
    child: Child,
    pub log: PathBuf,
}

/// Runs a program beside a watcher of the standard input, with whose end it is killed; its own code is the shell's.
const WATCHED: &str = r#"
log=$1; shift
exec 3<&0
"$@" </dev/null >"$log" 2>&1 3<&- &
program=$!
echo $program
( cat <&3 >/dev/null; kill -s KILL $program 2>/dev/null ) >/dev/null &
watcher=$!
wait $program
code=$?
kill -s KILL $watcher 2>/dev/null
exit $code
"#;

impl Agent {
    fn start(arguments: &[String], log: &Path) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", WATCHED, "watched"]).arg(log).arg(program()).args(arguments);
        let child = shell
            .env("RUST_LOG", "info,pilothouse_app=debug,pilothouse_cluster=debug,pilothouse_triggers=debug")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, log: log.to_owned() }
    }

    fn pid(&mut self) -> String {
        let mut line = Vec::new();
        let out = self.child.stdout.as_mut().unwrap();
        let mut byte = [0];
        while out.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    /// Sends a signal and waits for the end; gives the exit code, or 128 and the signal's number.
    pub async fn end(mut self, signal: &str) -> i32 {
        let pid = self.pid();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        until("the agent's end", async || self.child.try_wait().unwrap()).await.code().unwrap()
    }

    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks its status page; the code and the text.
    pub async fn ask(&self, path: &str) -> (u16, String) {
        let address = until("the agent's address", async || {
            let line = self.logged().lines().find(|line| line.contains("the agent begins"))?.to_owned();
            let line: Value = serde_json::from_str(&line).unwrap();
            Some(line["address"].as_str().unwrap().to_owned())
        })
        .await;
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let code = text.split(' ').nth(1).unwrap().parse().unwrap();
        (code, text.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&self) {
        let mut last = String::new();
        let end = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < end {
            let (code, text) = self.ask("/readyz").await;
            if code == 200 {
                return;
            }
            last = text;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it never was ready: {last}\n{}", self.logged());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Closing its input has the shell kill the program.
        self.child.stdin.take();
        let _ = self.child.wait();
    }
}
