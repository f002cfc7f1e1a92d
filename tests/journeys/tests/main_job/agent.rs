//! The agent's life as the window leads it: planned, installed, in charge, brought up to date, paused, removed. On real
//! parts its pods are run: the program itself, with what the installed manifest gives it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Secret, ServiceAccount};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use pilothouse_app::App;
use pilothouse_app::contract::{
    AgentChange, AgentForm, AgentPlan, AgentState, AgentStatus, ChargeHolder, ConnectTarget, InstallAgent,
    UninstallAgent,
};
use pilothouse_cluster::{Cluster, Kind, kinds};
use pilothouse_rig::Rig;
use pilothouse_rig::agent_node::{self, AgentNode};

use super::*;

pub const PLACE: &str = "pilothouse";
pub const IMAGE: &str = "registry.test/pilothouse-agent:1";
pub const NEXT: &str = "registry.test/pilothouse-agent:2";
const LABELS: &str = "app.kubernetes.io/name=pilothouse-agent,app.kubernetes.io/managed-by=pilothouse";

async fn planned(stage: &Stage, change: impl FnOnce(&mut AgentForm)) -> AgentPlan {
    let mut form = stage.app.plan_agent(None).await.unwrap().form;
    form.author_email = "agent@example.com".into();
    change(&mut form);
    stage.app.plan_agent(Some(form)).await.unwrap()
}

fn request(plan: &AgentPlan, hand_over: Vec<String>) -> InstallAgent {
    InstallAgent { form: plan.form.clone(), shown: plan.shown.clone(), hand_over, confirm: None }
}

async fn install(stage: &Stage, plan: &AgentPlan, hand_over: Vec<String>) -> AgentStatus {
    assert_eq!((&plan.problems, &plan.missing), (&Vec::new(), &Vec::new()));
    stage.app.install_agent(request(plan, hand_over), "agent".into()).await.unwrap()
}

async fn stands(stage: &Stage, what: &str, state: AgentState) -> AgentStatus {
    until(what, async || Some(stage.app.agent_status().await.unwrap()).filter(|status| status.state == state)).await
}

async fn remove(stage: &Stage) {
    let removal = stage.app.plan_agent_removal().await.unwrap();
    assert_eq!(removal.missing, Vec::<String>::new());
    for word in ["Deployment pilothouse-agent in pilothouse", "Namespace pilothouse", "NetworkPolicy"] {
        assert!(removal.goes.iter().any(|one| one.starts_with(word)), "{word}: {:?}", removal.goes);
    }
    assert!(removal.stays_with_kinds[0].contains("1 chaos project"), "{:?}", removal.stays_with_kinds);
    let request = |shown: &str, kinds| UninstallAgent { shown: shown.into(), kinds, confirm: None };
    let app = &stage.app;
    let other = app.uninstall_agent(request("other", false), "remove".into()).await.unwrap_err();
    assert_eq!(other.code, ErrorCode::ClusterConflict, "{other:?}");
    let unconfirmed = app.uninstall_agent(request(&removal.shown, true), "remove".into()).await.unwrap_err();
    assert_eq!(unconfirmed.code, ErrorCode::Blocked, "{unconfirmed:?}");
    let status = app.uninstall_agent(request(&removal.shown, false), "remove".into()).await.unwrap();
    assert_eq!(status.state, AgentState::Absent);
    let overview = app.chaos_overview().await.unwrap();
    assert!(overview.crds_installed && overview.projects.iter().any(|one| one.id == stage.project));
}

/// The plan without an agent: everything is told, and nothing is written.
async fn first_plan(stage: &Stage) -> AgentPlan {
    assert_eq!(stage.app.agent_status().await.unwrap().state, AgentState::Absent);
    let bare = stage.app.plan_agent(None).await.unwrap();
    assert!(bare.problems.iter().any(|one| one.field == "image"), "{:?}", bare.problems);
    assert_eq!(bare.form.projects, [format!("{}/{}", stage.chaos, stage.project)]);
    let plan = planned(stage, |form| form.image = IMAGE.into()).await;
    assert_eq!(plan.problems, []);
    assert!(plan.objects.iter().all(|one| match one.kind.as_str() {
        "CustomResourceDefinition" => one.change == AgentChange::Same,
        "PodDisruptionBudget" => matches!(one.change, AgentChange::Create | AgentChange::Unserved),
        _ => one.change == AgentChange::Create,
    }));
    assert!(plan.rights.iter().all(|one| !one.why.is_empty() && one.change == AgentChange::Create));
    assert!(plan.yaml.contains("kind: NetworkPolicy") && plan.yaml.contains(&plan.rights[0].why));
    let namespace = planned(stage, |form| {
        form.image = IMAGE.into();
        form.namespace = "No Name".into();
    })
    .await;
    assert_eq!(namespace.problems[0].field, "namespace");
    let stale = InstallAgent { shown: "other".into(), ..request(&plan, Vec::new()) };
    let refused = stage.app.install_agent(stale, "agent".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ClusterConflict, "{refused:?}");
    assert_eq!(stage.app.agent_status().await.unwrap().state, AgentState::Absent);
    plan
}

async fn pause_and_go_on(stage: &Stage) {
    let paused = stage.app.pause_agent(true, None).await.unwrap();
    assert_eq!((paused.state, paused.replicas), (AgentState::Paused, 0));
    let plan = stage.app.plan_agent(None).await.unwrap();
    assert_eq!((plan.changes, plan.form.replicas), (0, 2), "a pause is no change: {:?}", plan.objects);
    stage.app.pause_agent(false, None).await.unwrap();
    assert_eq!(stands(stage, "the pods again", AgentState::Running).await.replicas, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_comes_and_goes_on_the_practice_cluster() {
    let stage = Stage::practice().await;
    connect(&stage).await;
    repository(&stage).await;
    values(&stage).await;
    deploy(&stage, 0).await;
    chaos(&stage).await;
    let plan = first_plan(&stage).await;
    assert!(plan.projects[0].refused.is_some(), "a folder has no credential: {:?}", plan.projects);
    install(&stage, &plan, Vec::new()).await;
    let status = stands(&stage, "the pods", AgentState::Running).await;
    assert!(status.practice && status.ready == 2, "{status:?}");
    assert_eq!(stage.app.plan_agent(None).await.unwrap().changes, 0, "an installation is complete");
    // Rights follow the triggers.
    trigger(&stage).await;
    let same = planned(&stage, |_| {}).await;
    assert_eq!((same.changes, same.form.triggers.len()), (0, 0), "what is new is for a person to add");
    assert_eq!(same.triggers.iter().map(|one| one.served).collect::<Vec<_>>(), [Some(false)], "and is named");
    let served = |form: &mut AgentForm| form.triggers = vec![stage.chaos.clone()];
    let more = planned(&stage, served).await;
    let news: Vec<&str> =
        more.rights.iter().filter(|one| one.change == AgentChange::Create).map(|one| one.resource.as_str()).collect();
    // Those that only triggers need, and the Leases with one more name.
    let wanted = ["leases.coordination.k8s.io", "eventtriggers.pilothouse.dev/status", "configmaps"];
    assert_eq!(news, [&wanted[..], &["deployments.apps", "namespaces"]].concat());
    install(&stage, &more, Vec::new()).await;
    let fewer = planned(&stage, |form| form.triggers.clear()).await;
    let gone = |one: &&pilothouse_app::contract::AgentRight| one.change == AgentChange::Remove;
    assert_eq!(fewer.rights.iter().filter(gone).count(), news.len());
    assert!(fewer.objects.iter().any(|one| one.kind == "Role" && one.change == AgentChange::Remove));
    install(&stage, &fewer, Vec::new()).await;
    let same = planned(&stage, |_| {}).await;
    assert_eq!((same.changes, same.form.triggers.len()), (0, 0), "what was taken from it is not proposed again");
    install(&stage, &planned(&stage, served).await, Vec::new()).await;
    pause_and_go_on(&stage).await;
    remove(&stage).await;
}

/// Everything that carries the agent's labels, and its namespace.
pub async fn left(cluster: &Cluster) -> Vec<String> {
    const ALL: [Kind; 12] = [
        kinds::DEPLOYMENT,
        kinds::REPLICA_SET,
        kinds::POD,
        kinds::POD_DISRUPTION_BUDGET,
        kinds::NETWORK_POLICY,
        kinds::CONFIG_MAP,
        kinds::SECRET,
        kinds::ROLE,
        kinds::ROLE_BINDING,
        kinds::CLUSTER_ROLE,
        kinds::CLUSTER_ROLE_BINDING,
        kinds::SERVICE_ACCOUNT,
    ];
    let mut found = Vec::new();
    for kind in ALL {
        let list = match cluster.api_all(&kind).list(&ListParams::default().labels(LABELS)).await {
            // Not every API server knows budgets at this version.
            Err(_) if kind == kinds::POD_DISRUPTION_BUDGET => continue,
            other => other.unwrap(),
        };
        found.extend(list.items.iter().map(|one| format!("{} {}", kind.kind, one.name_any())));
    }
    let namespace: Api<Namespace> = Api::all(cluster.client());
    found.extend(namespace.get_opt(PLACE).await.unwrap().map(|_| format!("Namespace {PLACE}")));
    found
}

async fn holder(cluster: &Cluster, namespace: &str, lease: &str) -> String {
    let found = cluster.api(&kinds::LEASE, namespace).get_opt(lease).await.unwrap();
    let holder = found.and_then(|one| one.data["spec"]["holderIdentity"].as_str().map(str::to_owned));
    holder.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_comes_works_and_goes_on_a_real_cluster() {
    // A cluster of its own: an agent is one for a cluster, and other stories have projects and triggers too.
    let rig = Rig::start(true).unwrap();
    let stage = Stage::real_on(&rig, Transport::Https).await;
    let cluster = Cluster::from_client(rig.client().await, "rig", false);
    let node = AgentNode::start(&agent_node::Setting {
        kubeconfig: rig.kubeconfig(),
        program: agent_node::program().unwrap(),
        namespaces: vec![PLACE.into()],
        images: vec![IMAGE.into(), NEXT.into()],
    })
    .unwrap();
    connect(&stage).await;
    repository(&stage).await;
    values(&stage).await;
    deploy(&stage, 0).await;
    chaos(&stage).await;
    trigger(&stage).await;

    crate::agent_killed::walk(&stage, &rig, &cluster).await;
    by_an_admin_of_namespaces(&stage, &rig, &cluster).await;
    let stranger = passes_for_the_agent(&cluster).await;
    let plan = first_plan(&stage).await;
    refused_to_a_reader(&stage, &rig, &plan).await;
    let project = &plan.projects[0];
    assert!(project.refused.is_none() && !project.in_cluster && project.credential.is_some(), "{project:?}");
    assert!(project.readers.contains("the namespace pilothouse"), "{project:?}");
    install(&stage, &plan, vec![project.key.clone()]).await;
    let status = stands(&stage, "the agent's pods", AgentState::Running).await;
    assert_eq!((status.ready, node.running()), (2, 2), "{status:?}\n{}", node.logs());
    let again = stage.app.plan_agent(None).await.unwrap();
    assert_eq!(again.changes, 0, "an installation is complete: {:?}", again.objects);
    assert!(again.projects[0].in_cluster);
    in_charge(&stage, &cluster, &node).await;
    halfway(&stage, &cluster).await;
    upgrade(&stage, &node).await;
    pause_and_go_on(&stage).await;
    changes_nothing_for_a_colleague(&stage, &rig).await;

    keeps_a_namespace_for_others(&stage, &cluster).await;
    refused_the_kinds(&stage, &rig).await;
    assert_eq!(stage.app.agent_status().await.unwrap().state, AgentState::Running, "nothing of it was begun");
    remove(&stage).await;
    let still = cluster.api(&kinds::DEPLOYMENT, &stranger).get_opt("pilothouse-agent").await.unwrap();
    assert!(still.is_some(), "what only looks like the agent is somebody's");
    cluster.api(&kinds::DEPLOYMENT, &stranger).delete("pilothouse-agent", &DeleteParams::default()).await.unwrap();
    assert_eq!(left(&cluster).await, Vec::<String>::new());
    assert_eq!(node.running(), 0);
    for lease in ["pilothouse-triggers".to_owned(), format!("pilothouse-sync-{}", stage.project)] {
        let now = holder(&cluster, &stage.chaos, &lease).await;
        assert!(!now.starts_with("pilothouse-agent"), "{lease} is still {now}'s");
    }
    // No secret was said, neither by the app nor by the agent.
    stage.no_secret_is_anywhere();
    let secret = stage.secret().unwrap();
    let logs = node.logs();
    assert!(!logs.is_empty() && !logs.contains(&secret), "{logs}");
    kinds_too(&stage, &cluster).await;
}

/// Pilothouse's kinds go with all that is in them; runs and files stay.
async fn kinds_too(stage: &Stage, cluster: &Cluster) {
    let runs = async || cluster.api(&kinds::WORKFLOW, &stage.chaos).list(&ListParams::default()).await.unwrap().items;
    let (before, path) = (runs().await.len(), format!("litmus/{}/{WORKFLOW}.yaml", stage.project));
    assert!(before > 0 && stage.read(&path).is_some());
    let removal = stage.app.plan_agent_removal().await.unwrap();
    assert_eq!((removal.kinds_missing.len(), removal.with_kinds[0].as_str()), (0, "1 chaos project"));
    let request = UninstallAgent { shown: removal.shown, kinds: true, confirm: Some("pilothouse-agent".into()) };
    let status = stage.app.uninstall_agent(request, "remove".into()).await.unwrap();
    assert_eq!((status.state, status.cut_off), (AgentState::Absent, None));
    let definitions = cluster.api_all(&kinds::CRD).list(&ListParams::default()).await.unwrap().items;
    let ours: Vec<String> =
        definitions.iter().map(|one| one.name_any()).filter(|one| one.contains("pilothouse")).collect();
    assert_eq!(ours, Vec::<String>::new());
    assert!(!stage.app.chaos_overview().await.unwrap().crds_installed, "the window knows it at once");
    assert_eq!(runs().await.len(), before);
    assert!(stage.read(&path).is_some(), "no file goes with its object");
}

/// Labels are anybody's to set: somebody makes a Deployment that reads like the agent's, in a namespace before it.
async fn passes_for_the_agent(cluster: &Cluster) -> String {
    let place = "aaa".to_owned();
    let namespace = serde_json::from_value(serde_json::json!({"metadata": {"name": place}})).unwrap();
    Api::<Namespace>::all(cluster.client()).create(&PostParams::default(), &namespace).await.unwrap();
    let labels = serde_json::json!({"app.kubernetes.io/name": "pilothouse-agent",
        "app.kubernetes.io/managed-by": "pilothouse"});
    let object = serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "pilothouse-agent", "labels": labels},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}},
            "spec": {"containers": [{"name": "x", "image": "x"}]}}}});
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    cluster.api(&kinds::DEPLOYMENT, &place).create(&PostParams::default(), &object).await.unwrap();
    place
}

/// Somebody else, who calls the cluster by another name and has neither the host's authority nor the settings on file,
/// finds nothing to change: what is installed stays what it is.
async fn changes_nothing_for_a_colleague(stage: &Stage, rig: &Rig) {
    let folder = tempfile::tempdir().unwrap();
    let colleague = stage.opened_with(&rig.kubeconfigs().many, &folder.path().join("app")).await;
    colleague.connect(ConnectTarget::Context { name: "live-eu".into() }, "connect".into()).await.unwrap();
    let plan = until("the colleague's plan", async || {
        let plan = colleague.plan_agent(None).await.unwrap();
        // Projects and triggers come with the first lists.
        (!plan.form.projects.is_empty() && !plan.form.triggers.is_empty()).then_some(plan)
    })
    .await;
    let changed: Vec<_> = plan.objects.iter().filter(|one| one.diff.is_some()).collect();
    assert_eq!(plan.changes, 0, "{changed:#?}");
    assert_eq!(plan.confirm.as_deref(), Some("pilothouse-agent"), "the colleague knows the cluster as production");
    let unconfirmed = colleague.pause_agent(true, None).await.unwrap_err();
    assert_eq!(unconfirmed.code, ErrorCode::Blocked, "{unconfirmed:?}");
    colleague.close().await;
}

/// A namespace in which somebody else put something does not go.
async fn keeps_a_namespace_for_others(stage: &Stage, cluster: &Cluster) {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client(), PLACE);
    let claim = serde_json::json!({"metadata": {"name": "theirs"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}}}});
    claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();
    let removal = stage.app.plan_agent_removal().await.unwrap();
    assert!(removal.stays.iter().any(|one| one.contains("PersistentVolumeClaim theirs")), "{:?}", removal.stays);
    assert!(!removal.goes.iter().any(|one| one.starts_with("Namespace")), "{:?}", removal.goes);
    claims.delete("theirs", &DeleteParams::default()).await.unwrap();
    until("the claim to go", async || claims.get_opt("theirs").await.unwrap().is_none().then_some(())).await;
}

/// While no window is open the agent looks after both, and a window that opens doubles nothing.
async fn in_charge(stage: &Stage, cluster: &Cluster, node: &AgentNode) {
    let sync = format!("pilothouse-sync-{}", stage.project);
    stage.app.disconnect().await.unwrap();
    for lease in ["pilothouse-triggers", sync.as_str()] {
        until("the agent in charge", async || {
            holder(cluster, &stage.chaos, lease).await.starts_with("pilothouse-agent-").then_some(())
        })
        .await;
    }
    let path = format!("litmus/{}/{WORKFLOW}.yaml", stage.project);
    let text = stage.read(&path).unwrap();
    let other = format!("litmus/{}/while-away.yaml", stage.project);
    stage.colleague(&[(&other, &text.replace(WORKFLOW, "while-away"))], "Add a workflow");
    let all = cluster.api(&kinds::CHAOS_WORKFLOW, &stage.chaos);
    let synced = |one: &DynamicObject| one.data["spec"]["workflow"] == "while-away";
    until("the colleague's workflow", async || {
        all.list(&ListParams::default()).await.unwrap().items.iter().any(synced).then_some(())
    })
    .await;

    stage.connect().await;
    let charges = stage.app.agent_status().await.unwrap().charges;
    let ours: Vec<_> = charges.iter().filter(|one| one.namespace == stage.chaos).collect();
    assert_eq!(ours.len(), 2, "{charges:?}");
    assert!(ours.iter().all(|one| one.by == ChargeHolder::Agent), "{charges:?}\n{}", node.logs());
    // The workflow that came by Git goes by Git, so that the story's own is the only one again.
    let seen = stage.app.open_workflow(stage.project.clone(), "while-away".into()).await.unwrap().base_blob;
    stage.app.delete_workflow(stage.project.clone(), "while-away".into(), seen, "delete".into()).await.unwrap();
    raise_replicas(stage).await;
    let second = deploy(stage, 1).await;
    fired(stage, &second).await;
    let overview = stage.app.list_triggers().await.unwrap();
    let ours = overview.triggers.iter().find(|one| one.namespace == stage.chaos).unwrap();
    assert!(!ours.engine.here, "the agent did that: {:?}", ours.engine);
}

/// An installation that was cut off anywhere is completed by doing it again.
async fn halfway(stage: &Stage, cluster: &Cluster) {
    cluster.api(&kinds::DEPLOYMENT, PLACE).delete("pilothouse-agent", &DeleteParams::default()).await.unwrap();
    let role = cluster.api(&kinds::ROLE, &stage.chaos);
    role.delete("pilothouse-agent", &DeleteParams::default()).await.unwrap();
    stands(stage, "the half of it", AgentState::Halfway).await;
    let plan = planned(stage, |form| form.image = IMAGE.into()).await;
    let missing: Vec<&str> =
        plan.objects.iter().filter(|one| one.change == AgentChange::Create).map(|one| one.kind.as_str()).collect();
    assert_eq!(missing, ["Role", "Deployment"]);
    install(stage, &plan, Vec::new()).await;
    stands(stage, "all of it", AgentState::Running).await;
}

async fn upgrade(stage: &Stage, node: &AgentNode) {
    let broken = planned(stage, |form| form.image = "registry.test/pilothouse-agent:nowhere".into()).await;
    assert_eq!(broken.changes, 1, "{:?}", broken.objects);
    let diff = broken.objects.iter().find_map(|one| one.diff.clone()).unwrap();
    assert_eq!((diff.added, diff.removed), (1, 1), "the image and nothing else");
    install(stage, &broken, Vec::new()).await;
    let failing = stands(stage, "what keeps it from running", AgentState::Failing).await;
    assert_eq!(failing.problems[0].reason, "ImagePullBackOff", "{failing:?}");
    assert!(failing.ready > 0 && node.running() > 0, "what ran goes on: {failing:?}");
    let next = planned(stage, |form| form.image = NEXT.into()).await;
    install(stage, &next, Vec::new()).await;
    let status = stands(stage, "the next version", AgentState::Running).await;
    assert_eq!((status.image.as_deref(), status.problems.len()), (Some(NEXT), 0), "{status:?}");
}

/// Somebody with these rights everywhere and no others.
async fn somebody(stage: &Stage, rig: &Rig, name: &str, rules: serde_json::Value) -> (Arc<App>, tempfile::TempDir) {
    let client = rig.client().await;
    let post = async |path: &str, object: serde_json::Value| {
        let request = http::Request::post(path).header("content-type", "application/json");
        client.request_text(request.body(object.to_string().into_bytes()).unwrap()).await.unwrap();
    };
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = serde_json::json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": name}, "rules": rules});
    post(&format!("{rbac}/clusterroles"), role).await;
    let binding = serde_json::json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}]});
    post(&format!("{rbac}/clusterrolebindings"), binding).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let account = serde_json::from_value(serde_json::json!({"metadata": {"name": name}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let token = accounts.create_token_request(name, &PostParams::default(), &Default::default()).await.unwrap();
    let token = token.status.unwrap().token;
    let text = std::fs::read_to_string(rig.kubeconfig()).unwrap();
    let mut config: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    config["users"][0]["user"] = serde_json::json!({ "token": token });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, config.to_string()).unwrap();
    let app = stage.opened_with(&file, &folder.path().join("app")).await;
    app.connect(ConnectTarget::Context { name: "rig".into() }, "connect".into()).await.unwrap();
    (app, folder)
}

/// Who may do everything in the namespaces that it is about, and only look at projects and triggers elsewhere, installs the
/// agent, brings it up to date and removes it.
async fn by_an_admin_of_namespaces(stage: &Stage, rig: &Rig, cluster: &Cluster) {
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    let place = serde_json::from_value(serde_json::json!({"metadata": {"name": PLACE}})).unwrap();
    namespaces.create(&PostParams::default(), &place).await.unwrap();
    let groups = ["pilothouse.dev", "v2.edp.epam.com", "argoproj.io", "tekton.dev", "apiextensions.k8s.io"];
    let rules = serde_json::json!([{"apiGroups": groups, "resources": ["*"], "verbs": ["get", "list", "watch"]}]);
    // No project: this computer keeps no credential.
    let form = |form: &mut AgentForm| {
        form.image = IMAGE.into();
        form.replicas = 1;
        form.projects.clear();
    };
    let rights = planned(stage, form).await.rights;
    let mut here: std::collections::BTreeSet<&str> = rights.iter().map(|one| one.namespace.as_str()).collect();
    here.insert(PLACE);
    for namespace in here {
        let bind = |kind: &Kind, rest: serde_json::Value| {
            let mut object = serde_json::json!({"apiVersion": kind.api_version(), "kind": kind.kind,
                "metadata": {"name": "all-of-it"}});
            object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            let object: DynamicObject = serde_json::from_value(object).unwrap();
            let api = cluster.api(kind, namespace);
            async move { api.create(&PostParams::default(), &object).await.unwrap() }
        };
        let all = serde_json::json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        bind(&kinds::ROLE, serde_json::json!({ "rules": all })).await;
        let subject = serde_json::json!({"kind": "ServiceAccount", "name": "local", "namespace": "default"});
        let role = serde_json::json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all-of-it"});
        bind(&kinds::ROLE_BINDING, serde_json::json!({"roleRef": role, "subjects": [subject]})).await;
    }
    let (local, _folder) = somebody(stage, rig, "local", rules).await;
    let plan = async |image: &str| {
        until("the admin's plan", async || {
            let mut wanted = local.plan_agent(None).await.unwrap().form;
            form(&mut wanted);
            wanted.image = image.into();
            wanted.author_email = "agent@example.com".into();
            let plan = local.plan_agent(Some(wanted)).await.unwrap();
            // What is bound takes a moment to hold, and triggers come with the first lists.
            (plan.problems.is_empty() && plan.missing.is_empty()).then_some(plan)
        })
        .await
    };
    for image in [IMAGE, NEXT] {
        let plan = plan(image).await;
        assert!(plan.changes > 0, "{image}");
        let status = local.install_agent(request(&plan, Vec::new()), "agent".into()).await.unwrap();
        assert_eq!(status.image.as_deref(), Some(image));
    }
    let removal = local.plan_agent_removal().await.unwrap();
    assert_eq!(removal.missing, Vec::<String>::new(), "what cannot be looked at hinders nobody");
    let asked = UninstallAgent { shown: removal.shown, kinds: false, confirm: None };
    assert_eq!(local.uninstall_agent(asked, "remove".into()).await.unwrap().state, AgentState::Absent);
    local.close().await;
    assert_eq!(left(cluster).await, ["Namespace pilothouse"], "it was there before");
    namespaces.delete(PLACE, &DeleteParams::default()).await.unwrap();
    until("the namespace to go", async || namespaces.get_opt(PLACE).await.unwrap().is_none().then_some(())).await;
}

/// Who may do everything but remove kinds is told so before the agent is touched.
async fn refused_the_kinds(stage: &Stage, rig: &Rig) {
    let groups = ["", "apps", "policy", "networking.k8s.io", "rbac.authorization.k8s.io", "coordination.k8s.io"];
    let all = serde_json::json!(["*"]);
    let rules = serde_json::json!([
        {"apiGroups": groups, "resources": all, "verbs": all},
        {"apiGroups": all, "resources": all, "verbs": ["get", "list", "watch"]},
    ]);
    let (limited, _folder) = somebody(stage, rig, "limited", rules).await;
    let removal = until("the removal's plan", async || {
        Some(limited.plan_agent_removal().await.unwrap()).filter(|one| one.missing.is_empty())
    })
    .await;
    assert!(removal.kinds_missing.iter().any(|one| one.contains("customresourcedefinitions")), "{removal:?}");
    let request = UninstallAgent { shown: removal.shown, kinds: true, confirm: Some("pilothouse-agent".into()) };
    let refused = limited.uninstall_agent(request, "remove".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ClusterForbidden, "{refused:?}");
    limited.close().await;
}

/// Who may only look is told what is missing, verb by verb, before anything is written.
async fn refused_to_a_reader(stage: &Stage, rig: &Rig, plan: &AgentPlan) {
    let rules = serde_json::json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]);
    let (reader, _folder) = somebody(stage, rig, "reader", rules).await;
    let seen = until("the reader's plan", async || {
        // What the reader sees of projects comes with the first lists.
        let seen = reader.plan_agent(Some(plan.form.clone())).await.unwrap();
        seen.problems.is_empty().then_some(seen)
    })
    .await;
    for words in [
        "`create` on `namespaces`",
        "`patch` on `deployments.apps` in the namespace `pilothouse`",
        &format!("`create` on `workflows.argoproj.io` in the namespace `{}`, so you cannot give it", stage.chaos),
    ] {
        assert!(seen.missing.iter().any(|one| one.contains(words)), "{words}: {:#?}", seen.missing);
    }
    assert!(!seen.missing.iter().any(|one| one.contains("`get`")), "what the reader has is not missing");
    let refused = reader.install_agent(request(&seen, Vec::new()), "agent".into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ClusterForbidden, "{refused:?}");
    let secrets: Api<Secret> = Api::namespaced(rig.client().await, PLACE);
    assert!(secrets.get_opt("pilothouse-agent-git").await.unwrap().is_none());
    reader.close().await;
}
