//! What a trigger may start through the app: nothing on a production context, and nothing beyond what was agreed to.

use std::sync::Arc;

use kube::api::{Patch, PatchParams, PostParams};
use pilothouse_app::contract::{ConnectTarget, ErrorCode, RunPolicy, RunSeen};
use pilothouse_app::keychain::MemoryStore;
use pilothouse_app::{App, AppOptions, Silent};
use pilothouse_cluster::kinds;
use pilothouse_rig::Rig;
use pilothouse_triggers::spec::{DecisionRecord, Outcome, TriggerStatus};
use serde_json::{Value, json};

use crate::stage::{one_at_a_time, until};
use crate::two_sides::Sides;

const WORKFLOW: &str = "kill";
const PLAIN: &str = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: kill\nspec:\n  entrypoint: \
                     main\n  serviceAccountName: argo-chaos\n  templates:\n    - name: main\n      container:\n        \
                     image: busybox\n";

/// A project with one workflow that events may start as it is, a Deployment, and a trigger on it.
struct Shop {
    sides: Sides,
    app: Arc<App>,
}

impl Shop {
    async fn open(workflow: &str) -> Self {
        let sides = Sides::new().await;
        sides.repo.push_file(&sides.path(WORKFLOW), workflow, "Add a workflow").unwrap();
        let app = connected(&sides, "rig").await;
        app.enable_project(sides.door().form(), "enable".into()).await.unwrap();
        let shop = Self { sides, app };
        shop.synced(workflow).await;
        let reach = shop.app.workflow_reach(shop.sides.project.clone(), WORKFLOW.into()).await.unwrap();
        let (project, seen) = (shop.sides.project.clone(), Some(reach.digest));
        shop.app.set_run_policy(project, WORKFLOW.into(), RunPolicy::OnEvent, seen).await.unwrap();
        let pod = json!({"terminationGracePeriodSeconds": 0, "containers": [{"name": "app", "image": "app:1"}]});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "cart"}},
                "template": {"metadata": {"labels": {"app": "cart"}}, "spec": pod}}});
        let trigger = json!({"apiVersion": kinds::EVENT_TRIGGER.api_version(), "kind": kinds::EVENT_TRIGGER.kind,
            "metadata": {"name": "on-image"}, "spec": {"project": shop.sides.project, "workflow": WORKFLOW,
                "target": {"kind": "Deployment", "namespace": shop.sides.namespace, "names": ["cart"]},
                "whileAway": "Run", "guards": {"waitForRollout": false}}});
        for (kind, object) in [(kinds::DEPLOYMENT, deployment), (kinds::EVENT_TRIGGER, trigger)] {
            let api = shop.sides.cluster.api(&kind, &shop.sides.namespace);
            api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        }
        until("the first sight", async || (!shop.status().await.observed.is_empty()).then_some(())).await;
        shop
    }

    async fn status(&self) -> TriggerStatus {
        let api = self.sides.cluster.api(&kinds::EVENT_TRIGGER, &self.sides.namespace);
        let object = api.get("on-image").await.unwrap();
        object.data.get("status").map(|status| serde_json::from_value(status.clone()).unwrap()).unwrap_or_default()
    }

    /// Waits until the cluster has the text of the workflow that Git has.
    async fn synced(&self, text: &str) {
        until("the sync", async || {
            let _ = self.app.sync_project(self.sides.project.clone(), "sync".into()).await;
            let objects = self.sides.objects().await;
            objects.get(WORKFLOW).filter(|object| object.manifest == text).map(|_| ())
        })
        .await;
    }

    async fn deploy(&self, image: &str) {
        let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}});
        let api = self.sides.cluster.api(&kinds::DEPLOYMENT, &self.sides.namespace);
        api.patch("cart", &PatchParams::default(), &Patch::Strategic(&patch)).await.unwrap();
    }

    /// What the trigger decides of an image, once that is more than waiting.
    async fn decided(&self, image: &str) -> DecisionRecord {
        until("a decision", async || {
            let status = self.status().await;
            status.decisions.into_iter().rfind(|one| {
                one.new_images.get("app").is_some_and(|new| new == image) && one.decision != Outcome::Waited
            })
        })
        .await
    }

    /// Has the runs end, as the workflow controller would, and waits until the trigger knows.
    async fn runs_end(&self) {
        let api = self.sides.cluster.api(&kinds::WORKFLOW, &self.sides.namespace);
        for run in self.sides.runs().await.into_keys() {
            let patch = json!({"status": {"phase": "Succeeded", "finishedAt": "2026-01-01T00:00:00Z"}});
            api.patch(&run, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        }
        until("the end of the runs", async || self.status().await.open_runs().is_empty().then_some(())).await;
    }
}

async fn connected(sides: &Sides, context: &str) -> Arc<App> {
    let door = sides.door();
    let options = AppOptions {
        secrets: Arc::new(MemoryStore::default()),
        kubeconfig: Some(vec![Rig::get().kubeconfigs().many.clone()]),
        known_hosts: Vec::new(),
        authority: Some(door.authority),
        ..AppOptions::new(sides.data.path().join(context))
    };
    let app = App::open(options, Arc::new(Silent)).await.unwrap();
    app.set_identity("Olha".into(), "olha@example.org".into()).await.unwrap();
    app.connect(ConnectTarget::Context { name: context.into() }, "connect".into()).await.unwrap();
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn case_58_on_a_production_context_a_run_needs_its_typed_name_and_no_trigger_starts_one() {
    let _one = one_at_a_time().await;
    let shop = Shop::open(PLAIN).await;
    shop.app.disconnect().await.unwrap();
    let app = connected(&shop.sides, "live-eu").await;
    assert!(app.current_session().await.unwrap().unwrap().production);

    let project = || shop.sides.project.clone();
    let preview = app.preview_run(project(), WORKFLOW.into()).await.unwrap();
    assert_eq!(preview.confirm.as_deref(), Some(WORKFLOW));
    let seen =
        || RunSeen { run: preview.run.clone(), digest: preview.digest.clone(), context: preview.context.clone() };
    for typed in [None, Some("yes"), Some("Kill")] {
        let refused = app.run_workflow(project(), WORKFLOW.into(), seen(), typed.map(str::to_owned)).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::ConfirmationNeeded, "{typed:?}");
        assert!(refused.message.contains("live-eu"), "{refused:?}");
    }
    assert!(shop.sides.runs().await.is_empty());

    // Nobody can type anything at a trigger.
    shop.deploy("app:2").await;
    let decided = shop.decided("app:2").await;
    assert_eq!(decided.decision, Outcome::Skipped);
    assert!(decided.reason.contains("live-eu is marked as production"), "{}", decided.reason);
    assert!(shop.sides.runs().await.is_empty());

    let run = app.run_workflow(project(), WORKFLOW.into(), seen(), Some(WORKFLOW.into())).await.unwrap();
    assert_eq!(shop.sides.runs().await.into_keys().collect::<Vec<_>>(), [run.run]);
    app.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn case_59_a_workflow_that_reaches_beyond_what_was_agreed_to_is_not_started_and_why_is_said() {
    let _one = one_at_a_time().await;
    let shop = Shop::open(PLAIN).await;
    shop.deploy("app:2").await;
    assert_eq!(shop.decided("app:2").await.decision, Outcome::Fired);
    shop.runs_end().await;

    let node = "  volumes:\n    - name: node\n      hostPath: {path: /etc}\n";
    let beyond = [
        (PLAIN.replace("argo-chaos", "cluster-admin"), "the service account cluster-admin"),
        (PLAIN.replace("busybox", "evil.example/miner"), "the image evil.example/miner"),
        (PLAIN.replace("  name: kill\n", "  name: kill\n  namespace: kube-system\n"), "kube-system"),
        (format!("{PLAIN}{node}"), "the node's path /etc"),
    ];
    for (n, (text, why)) in beyond.iter().enumerate() {
        shop.sides.repo.push_file(&shop.sides.path(WORKFLOW), text, "Reach further").unwrap();
        shop.synced(text).await;
        let image = format!("app:{}", n + 3);
        shop.deploy(&image).await;
        let decided = shop.decided(&image).await;
        assert_eq!(decided.decision, Outcome::Skipped, "{why}: {}", decided.reason);
        assert!(decided.reason.contains(why), "{why}: {}", decided.reason);
        assert_eq!(shop.sides.runs().await.len(), 1, "{why}");
    }

    // As it was agreed to it is started again.
    shop.sides.repo.push_file(&shop.sides.path(WORKFLOW), PLAIN, "As before").unwrap();
    shop.synced(PLAIN).await;
    shop.deploy("app:9").await;
    assert_eq!(shop.decided("app:9").await.decision, Outcome::Fired);
    assert_eq!(shop.sides.runs().await.len(), 2);
    shop.app.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_on_a_cron_workflow_makes_one_run_and_no_schedule() {
    let _one = one_at_a_time().await;
    let cron = "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata:\n  name: kill\nspec:\n  schedule: '0 3 * * \
                *'\n  workflowSpec:\n    entrypoint: main\n    serviceAccountName: argo-chaos\n    templates:\n      - \
                name: main\n        container:\n          image: busybox\n";
    let shop = Shop::open(cron).await;
    shop.deploy("app:2").await;
    assert_eq!(shop.decided("app:2").await.decision, Outcome::Fired);
    assert_eq!(shop.sides.runs().await.len(), 1);
    let crons = shop.sides.cluster.api(&kinds::CRON_WORKFLOW, &shop.sides.namespace);
    let left: Vec<Value> =
        crons.list(&Default::default()).await.unwrap().items.into_iter().map(|one| one.data).collect();
    assert!(left.is_empty(), "{left:?}");
    shop.app.disconnect().await.unwrap();
}
