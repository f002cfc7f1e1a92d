//! A namespace of its own on the rig's API server, with workloads, a trigger, and engines over it. A run is a ConfigMap
//! of its name: the API server itself sees to it that there is one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use pilothouse_cluster::{Cluster, Kind, kinds};
use pilothouse_rig::{Description, Rig};
use pilothouse_triggers::spec::{DecisionRecord, Outcome, TriggerStatus};
use pilothouse_triggers::{Engine, Launch, LaunchError, Launched, Launcher, RunState};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const RUN: &str = "test/run";

pub struct ObjectLauncher {
    cluster: Cluster,
    namespace: String,
    /// Whether runs go on until they are ended.
    pub open: Mutex<bool>,
    /// What the next launches answer instead of being carried out.
    pub failing: Mutex<Vec<LaunchError>>,
    /// A workload to look at whenever a run is about to be created.
    pub looks_at: Mutex<Option<(Kind, String)>>,
    /// What it was then, and its pods.
    pub looked: Mutex<Vec<(Value, Vec<Value>)>>,
    /// The runs of all calls of `launch`, also of those that found the run there.
    pub launches: Mutex<Vec<String>>,
    /// What was stopped.
    pub stopped: Mutex<Vec<String>>,
}

fn later(error: impl std::fmt::Display) -> LaunchError {
    LaunchError { message: error.to_string(), retry: true }
}

impl ObjectLauncher {
    pub fn new(cluster: Cluster, namespace: &str) -> Self {
        Self {
            cluster,
            namespace: namespace.to_owned(),
            open: Mutex::new(false),
            failing: Mutex::default(),
            looks_at: Mutex::default(),
            looked: Mutex::default(),
            launches: Mutex::default(),
            stopped: Mutex::default(),
        }
    }

    async fn look(&self) {
        let Some((kind, name)) = self.looks_at.lock().unwrap().clone() else { return };
        let value = |object: &kube::api::DynamicObject| serde_json::to_value(object).unwrap();
        let workload = self.cluster.api(&kind, &self.namespace).get(&name).await.unwrap();
        let own = ListParams::default().labels(&format!("app={name}"));
        let pods = self.cluster.api(&kinds::POD, &self.namespace).list(&own).await.unwrap();
        self.looked.lock().unwrap().push((value(&workload), pods.items.iter().map(value).collect()));
    }
}

#[async_trait]
impl Launcher for ObjectLauncher {
    async fn launch(&self, launch: &Launch) -> Result<Launched, LaunchError> {
        self.launches.lock().unwrap().push(launch.run.clone());
        if let Some(error) = self.failing.lock().unwrap().pop() {
            return Err(error);
        }
        self.look().await;
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": launch.run, "labels": {RUN: launch.trigger}}});
        let object = serde_json::from_value(object).unwrap();
        let api = self.cluster.api(&kinds::CONFIG_MAP, &self.namespace);
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => Ok(Launched::Created),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                println!("found the run {} there", launch.run);
                Ok(Launched::Already)
            }
            Err(error) => Err(later(error)),
        }
    }

    async fn stop(&self, launch: &Launch) -> Result<(), LaunchError> {
        let api = self.cluster.api(&kinds::CONFIG_MAP, &self.namespace);
        api.delete(&launch.run, &DeleteParams::default()).await.map_err(later)?;
        self.stopped.lock().unwrap().push(launch.run.clone());
        Ok(())
    }

    async fn state(&self, launch: &Launch) -> Result<RunState, LaunchError> {
        let api = self.cluster.api(&kinds::CONFIG_MAP, &self.namespace);
        match api.get_opt(&launch.run).await.map_err(later)? {
            None => Ok(RunState::Gone),
            Some(_) if *self.open.lock().unwrap() => Ok(RunState::Open),
            Some(_) => Ok(RunState::Ended("Pass".into())),
        }
    }
}

pub struct Place {
    pub cluster: Cluster,
    pub namespace: String,
    pub launcher: Arc<ObjectLauncher>,
    rig: Description,
}

impl Drop for Place {
    /// The node has room for about a hundred pods, fewer than all these tests make.
    fn drop(&mut self) {
        Rig::leave(&self.rig, &self.namespace);
    }
}

pub type Running = (CancellationToken, JoinHandle<()>);

impl Place {
    pub async fn new() -> Self {
        Self::on(Rig::get()).await
    }

    /// On a rig of one's own.
    pub async fn on(rig: &Rig) -> Self {
        let cluster = Cluster::from_client(rig.client().await, "rig", false);
        pilothouse_cluster::crds::install(&cluster).await.unwrap();
        let namespace = rig.namespace("triggers").await;
        let launcher = Arc::new(ObjectLauncher::new(cluster.clone(), &namespace));
        Self { cluster, namespace, launcher, rig: rig.description().clone() }
    }

    pub async fn create(&self, kind: &Kind, mut object: Value) {
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.kind);
        let object = serde_json::from_value(object).unwrap();
        self.cluster.api(kind, &self.namespace).create(&PostParams::default(), &object).await.unwrap();
    }

    /// A Deployment `cart` of one pod with one container `app`.
    pub async fn deployment(&self) {
        self.deployment_of("cart", json!({})).await;
    }

    pub async fn deployment_of(&self, name: &str, annotations: Value) {
        self.workload(&kinds::DEPLOYMENT, name, json!({"annotations": annotations}), json!({})).await;
    }

    /// A workload with one container `app` of the image `app:1`, and one pod where it says how many. `metadata` and
    /// `pod` are added to its own and to its pods' spec.
    pub async fn workload(&self, kind: &Kind, name: &str, metadata: Value, pod: Value) {
        let mut template =
            json!({"terminationGracePeriodSeconds": 0, "containers": [{"name": "app", "image": "app:1"}]});
        add(&mut template, pod);
        let mut object = json!({"metadata": {"name": name}, "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": template}}});
        add(&mut object["metadata"], metadata);
        if *kind != kinds::DAEMON_SET {
            object["spec"]["replicas"] = json!(1);
        }
        if *kind == kinds::STATEFUL_SET {
            add(&mut object["spec"], json!({"serviceName": name, "podManagementPolicy": "Parallel"}));
        }
        self.create(kind, object).await;
    }

    /// A trigger `on-image` on `cart`, under guards.
    pub async fn trigger(&self, guards: Value) {
        self.trigger_with(json!({"guards": guards})).await;
    }

    pub async fn trigger_with(&self, more: Value) {
        self.trigger_as("on-image", more).await;
    }

    pub async fn trigger_as(&self, name: &str, more: Value) {
        let mut spec = json!({"project": "shop", "workflow": "kill-cart",
            "target": {"kind": "Deployment", "namespace": self.namespace, "names": ["cart"]}});
        add(&mut spec, more);
        self.create(&kinds::EVENT_TRIGGER, json!({"metadata": {"name": name}, "spec": spec})).await;
    }

    pub async fn patch(&self, patch: Value) {
        self.patch_as("cart", patch, "kubectl-edit").await;
    }

    pub async fn patch_as(&self, name: &str, patch: Value, manager: &str) {
        let api = self.cluster.api(&kinds::DEPLOYMENT, &self.namespace);
        let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        api.patch(name, &parameters, &Patch::Strategic(&patch)).await.unwrap();
    }

    /// Changes the trigger: its spec, or its annotations.
    pub async fn patch_trigger(&self, patch: Value) {
        let api = self.cluster.api(&kinds::EVENT_TRIGGER, &self.namespace);
        api.patch("on-image", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    pub async fn image(&self, image: &str) {
        self.patch(containers(json!([{"name": "app", "image": image}]))).await;
    }

    pub async fn status(&self) -> TriggerStatus {
        self.status_of("on-image").await
    }

    pub async fn status_of(&self, trigger: &str) -> TriggerStatus {
        let object = self.cluster.api(&kinds::EVENT_TRIGGER, &self.namespace).get(trigger).await.unwrap();
        object.data.get("status").map(|status| serde_json::from_value(status.clone()).unwrap()).unwrap_or_default()
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&TriggerStatus) -> bool) -> TriggerStatus {
        for _ in 0..900 {
            let status = self.status().await;
            if holds(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("never saw {what}: {:#?}", self.status().await);
    }

    /// Waits until `cart` with this image is settled, `runs` have been started and ended, and nothing waits.
    pub async fn settled(&self, image: &str, runs: usize) -> TriggerStatus {
        let status = self
            .until("a settled change", |status| {
                settled_on(status, image)
                    && count(status, Outcome::Fired) == runs
                    && count(status, Outcome::Waited) == 0
                    && status.open_runs().is_empty()
            })
            .await;
        assert_eq!(self.created().await.len(), runs);
        status
    }

    /// Waits until a decision of this kind is the newest one; returns it.
    pub async fn newest(&self, outcome: Outcome, words: &str) -> DecisionRecord {
        let is = |status: &TriggerStatus| {
            status.decisions.last().is_some_and(|one| one.decision == outcome && one.reason.contains(words))
        };
        self.until(words, is).await.decisions.pop().unwrap()
    }

    pub fn engine(&self) -> Running {
        self.engine_at(Arc::new(Timestamp::now))
    }

    pub fn engine_at(&self, clock: pilothouse_triggers::Clock) -> Running {
        self.engine_with(&self.cluster, clock)
    }

    /// An engine that sees the cluster through another connection.
    pub fn engine_with(&self, cluster: &Cluster, clock: pilothouse_triggers::Clock) -> Running {
        let cancel = CancellationToken::new();
        let namespaces = vec![self.namespace.clone()];
        let sink = Arc::new(|_| {});
        let run = Engine::run(cluster.clone(), namespaces, self.launcher.clone(), clock, sink, cancel.clone());
        (cancel, tokio::spawn(run))
    }

    /// Lets the rig's viewer do these things in the namespace, and nothing else there: API group, resource, verbs.
    pub async fn allow_viewer(&self, rules: &[(&str, &str, &[&str])]) {
        let role = Kind { group: "rbac.authorization.k8s.io", version: "v1", kind: "Role", plural: "roles" };
        let binding = Kind { kind: "RoleBinding", plural: "rolebindings", ..role };
        let rule = |(group, resource, verbs): &(&str, &str, &[&str])| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
        let rules: Vec<Value> = rules.iter().map(rule).collect();
        let role_object = json!({"apiVersion": role.api_version(), "kind": "Role", "metadata": {"name": "own"},
            "rules": rules});
        let bound = json!({"apiVersion": role.api_version(), "kind": "RoleBinding", "metadata": {"name": "own"},
            "roleRef": {"apiGroup": role.group, "kind": "Role", "name": "own"},
            "subjects": [{"apiGroup": role.group, "kind": "User", "name": "viewer"}]});
        let parameters = PatchParams::apply("test").force();
        for (kind, object) in [(role, role_object), (binding, bound)] {
            self.cluster.api(&kind, &self.namespace).patch("own", &parameters, &Patch::Apply(object)).await.unwrap();
        }
    }

    /// Waits until a quota on pods is in force: the API server learns of it only after a while.
    pub async fn refuses_pods(&self) {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"},
            "spec": {"containers": [{"name": "app", "image": "app:1"}]}});
        let pod = serde_json::from_value(pod).unwrap();
        let parameters = PostParams { dry_run: true, ..PostParams::default() };
        while self.cluster.api(&kinds::POD, &self.namespace).create(&parameters, &pod).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The runs that there are.
    pub async fn created(&self) -> Vec<String> {
        let api = self.cluster.api(&kinds::CONFIG_MAP, &self.namespace);
        let found = api.list(&ListParams::default().labels(RUN)).await.unwrap();
        found.items.into_iter().filter_map(|one| one.metadata.name).collect()
    }
}

/// Adds the fields of one object to another.
pub fn add(object: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("no object: {more}") };
    object.as_object_mut().unwrap().extend(more);
}

pub fn containers(list: Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": list}}}})
}

pub fn count(status: &TriggerStatus, outcome: Outcome) -> usize {
    status.decisions.iter().filter(|one| one.decision == outcome).count()
}

pub fn settled_on(status: &TriggerStatus, image: &str) -> bool {
    status.observed.iter().any(|one| one.images == BTreeMap::from([("app".to_owned(), image.to_owned())]))
}

pub async fn stop((cancel, task): Running) {
    cancel.cancel();
    task.await.unwrap();
}

/// Ends an engine as a power cut would: wherever it is.
pub async fn kill((_, task): Running) {
    task.abort();
    let _ = task.await;
}
