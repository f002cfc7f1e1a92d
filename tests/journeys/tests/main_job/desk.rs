//! The trigger editor, the kill switch, Litmus' policies, and an environment that asks for a verdict: the part of the
//! story that a person walks through after the first triggered run.

use kube::api::{DeleteParams, ListParams, PostParams};
use pilothouse_app::contract::{
    ConditionOperator, ConditionTest, DecisionKind, DeployChoice, DeployRequest, ErrorCode, ExperimentChoice,
    GuardGroup, GuardState, ReleaseAsked, TriggerCondition, TriggerForm, TriggerTarget, Verdict, WriteLitmus,
};
use pilothouse_cluster::{Cluster, Kind, kinds};
use pilothouse_rig::Rig;
use serde_json::json;

use super::{APP, ENV, FLOW, WORKFLOW};
use crate::stage::{Stage, until};

const TRIGGER: &str = "cart-image";
const NEXT: &str = "qa";

/// Walks it, with the tag of the release that the triggered run was about.
pub async fn walk(stage: &Stage, tag: &str) {
    let form = change_over_what_was_seen(stage).await;
    matches_and_problems(stage, &form).await;
    try_it(stage, &form, tag).await;
    budgets(stage, &form).await;
    halt(stage, &form).await;
    policies(stage, &form).await;
    verdicts(stage, tag).await;
}

async fn change_over_what_was_seen(stage: &Stage) -> TriggerForm {
    let app = &stage.app;
    let opened = app.open_trigger(stage.chaos.clone(), TRIGGER.into()).await.unwrap();
    assert_eq!((opened.form.name.as_str(), opened.form.workflow.as_str()), (TRIGGER, WORKFLOW));
    assert!(opened.yaml.contains("kind: EventTrigger") && !opened.yaml.contains("status:"), "{}", opened.yaml);
    let reach = opened.reach.unwrap();
    let mut form = TriggerForm { seen: Some(reach.digest), ..opened.form };
    form.guards.approval = true;
    let taken = app.save_trigger(form.clone()).await.unwrap_err();
    assert_eq!(taken.code, ErrorCode::Exists, "{taken:?}");
    app.change_trigger(stage.chaos.clone(), form.clone(), opened.version.clone()).await.unwrap();
    // A colleague who opened it before that writes nothing, and is told.
    let late = TriggerForm { suspended: true, ..form.clone() };
    let refused = app.change_trigger(stage.chaos.clone(), late, opened.version).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ClusterConflict, "{refused:?}");
    let now = app.open_trigger(stage.chaos.clone(), TRIGGER.into()).await.unwrap();
    assert!(now.form.guards.approval && !now.form.suspended);
    // What the engine writes down is nobody's edit: the version stays.
    let again = app.open_trigger(stage.chaos.clone(), TRIGGER.into()).await.unwrap();
    assert_eq!(again.version, now.version);
    let elsewhere = app.change_trigger("elsewhere".into(), form.clone(), now.version).await.unwrap_err();
    assert_eq!(elsewhere.code, ErrorCode::Fields, "{elsewhere:?}");
    form
}

async fn matches_and_problems(stage: &Stage, form: &TriggerForm) {
    let app = &stage.app;
    let found = app.match_workloads(form.target.clone()).await.unwrap();
    assert_eq!(found.workloads.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), [APP]);
    let nothing = TriggerTarget { names: Vec::new(), ..form.target.clone() };
    assert!(app.match_workloads(nothing).await.unwrap().workloads.is_empty(), "no trigger watches a whole namespace");
    let other = TriggerTarget { kind: "StatefulSet".into(), ..form.target.clone() };
    assert!(app.match_workloads(other).await.unwrap().workloads.is_empty());

    assert_eq!(app.check_trigger(form.clone()).await.unwrap(), []);
    let cel = TriggerCondition::Cel { expression: "new.spec.replicas >".into() };
    let number = ConditionTest { operator: ConditionOperator::LessThan, values: vec!["few".into()], numeric: true };
    for (when, field) in [(cel, "when.cel"), (TriggerCondition::Replicas { test: number }, "when.replicas.value")] {
        let found = app.check_trigger(TriggerForm { when, ..form.clone() }).await.unwrap();
        assert_eq!(found.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), [field]);
    }
}

async fn try_it(stage: &Stage, form: &TriggerForm, tag: &str) {
    let app = &stage.app;
    let count = async || {
        let triggers = app.list_triggers().await.unwrap().triggers;
        let decisions = triggers.iter().find(|t| t.namespace == stage.chaos).map(|t| t.decisions.len());
        (decisions, app.list_runs(Some(stage.project.clone())).await.unwrap().len())
    };
    let before = count().await;
    let asked = app.test_trigger(form.clone(), APP.into()).await.unwrap();
    assert_eq!(asked.released.decision, Some(DecisionKind::Waited), "{asked:?}");
    assert_eq!(asked.released.reason, "waiting for approval");
    assert_eq!(asked.now.decision, None, "{asked:?}");
    assert!(asked.compared_with.is_some(), "two releases were deployed: {asked:?}");
    assert!(asked.new_images.iter().any(|image| image.contains(tag)), "{asked:?}");
    assert_ne!(asked.old_images, asked.new_images);
    assert_eq!(asked.tests.iter().map(|one| one.holds).collect::<Vec<_>>(), [Some(true)]);
    let holding = |asked: &pilothouse_app::contract::TriggerTest| {
        let held = asked.guards.iter().filter(|one| one.state != GuardState::Passes);
        held.map(|one| (one.guard, one.state)).collect::<Vec<_>>()
    };
    assert_eq!(holding(&asked), [(GuardGroup::Approval, GuardState::Waits)]);

    let mut plain = form.clone();
    plain.guards.approval = false;
    let fires = app.test_trigger(plain.clone(), APP.into()).await.unwrap();
    assert_eq!(fires.released.decision, Some(DecisionKind::Fired), "{fires:?}");
    plain.guards.cooldown_seconds = 86_400;
    let cools = app.test_trigger(plain.clone(), APP.into()).await.unwrap();
    assert_eq!(cools.released.decision, Some(DecisionKind::Skipped), "its run was just now: {cools:?}");
    plain.when = TriggerCondition::All {
        conditions: vec![
            plain.when.clone(),
            TriggerCondition::Cel { expression: "new.spec.template.spec.containers.size() > 50".into() },
        ],
    };
    let fails = app.test_trigger(plain.clone(), APP.into()).await.unwrap();
    assert_eq!(fails.released.decision, None, "{fails:?}");
    assert_eq!(fails.tests.iter().map(|one| one.holds).collect::<Vec<_>>(), [Some(true), Some(false)]);
    assert!(app.test_trigger(form.clone(), "nothing".into()).await.is_err());

    let mut past = form.clone();
    past.guards.approval = false;
    let found = app.backtest_trigger(past, APP.into()).await.unwrap();
    let newest = found.entries.first().unwrap();
    assert_eq!(newest.decision, Some(DecisionKind::Fired), "{found:?}");
    assert!(newest.new_images.iter().any(|image| image.contains(tag)), "{found:?}");
    assert_eq!(count().await, before, "asking starts nothing and writes nothing");
}

/// A budget that lets no pod go is seen in whichever version the API server has it.
async fn budgets(stage: &Stage, form: &TriggerForm) {
    if stage.is_practice() {
        return;
    }
    let cluster = Cluster::from_client(Rig::get().client().await, "rig", false);
    let newer = cluster.api_all(&kinds::POD_DISRUPTION_BUDGET).list(&ListParams::default()).await.is_ok();
    let kind = Kind { version: if newer { "v1" } else { "v1beta1" }, ..kinds::POD_DISRUPTION_BUDGET };
    let place = form.target.namespace.as_str();
    let workload = cluster.api(&kinds::DEPLOYMENT, place).get(APP).await.unwrap();
    let budget = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": "keep-all"},
        "spec": {"minAvailable": "100%", "selector": workload.data["spec"]["selector"]}});
    let api = cluster.api(&kind, place);
    api.create(&PostParams::default(), &serde_json::from_value(budget).unwrap()).await.unwrap();
    let mut form = form.clone();
    form.guards.approval = false;
    form.guards.respect_disruption_budget = true;
    let pods = async || {
        let asked = stage.app.test_trigger(form.clone(), APP.into()).await.unwrap();
        asked.guards.into_iter().find(|one| one.guard == GuardGroup::Pods).unwrap()
    };
    let held = pods().await;
    assert_eq!(held.state, GuardState::Waits, "{held:?}");
    assert!(held.reason.as_deref().is_some_and(|why| why.contains("keep-all")), "{held:?}");
    api.delete("keep-all", &DeleteParams::default()).await.unwrap();
    assert_eq!(pods().await.state, GuardState::Passes);
}

async fn halt(stage: &Stage, form: &TriggerForm) {
    let app = &stage.app;
    let here = async || app.trigger_halts().await.unwrap().into_iter().find(|one| one.namespace == stage.chaos);
    assert!(here().await.is_none());
    app.halt_triggers(stage.chaos.clone(), Some("payments are down".into())).await.unwrap();
    let halt = until("the halt", here).await;
    assert_eq!(halt.reason, "payments are down");
    let places = app.list_triggers().await.unwrap().places;
    let place = places.iter().find(|one| one.namespace == stage.chaos).unwrap();
    assert!(place.halt.is_some() && place.can_halt.allowed && place.triggers == 1 && place.open_runs.is_empty());
    let asked = app.test_trigger(form.clone(), APP.into()).await.unwrap();
    assert_eq!(asked.released.decision, Some(DecisionKind::Skipped), "{asked:?}");
    let allowed = asked.guards.iter().find(|one| one.guard == GuardGroup::Allowed).unwrap();
    assert_eq!(allowed.state, GuardState::Skips);
    app.halt_triggers(stage.chaos.clone(), None).await.unwrap();
    until("the triggers to go on", async || here().await.is_none().then_some(())).await;
}

async fn policies(stage: &Stage, form: &TriggerForm) {
    let app = &stage.app;
    let name = "cart-policy";
    let form = TriggerForm { name: name.into(), ..form.clone() };
    let shown = app.export_trigger(form.clone(), stage.chaos.clone(), Some("exp-1".into())).await.unwrap();
    assert!(shown.policy.as_ref().is_some_and(|yaml| yaml.contains("EventTrackerPolicy")));
    assert_eq!(shown.workloads, [APP]);
    assert!(shown.unhonoured.iter().any(|one| one.field == "guards.approval"), "{shown:?}");
    assert!(shown.guards.len() > shown.unhonoured.iter().filter(|one| one.field.starts_with("guards")).count());
    let request = WriteLitmus {
        form: form.clone(),
        namespace: stage.chaos.clone(),
        experiment: "exp-1".into(),
        annotate: true,
        workloads: vec![APP.into(), "never-shown".into()],
    };
    let written = app.write_litmus(request.clone()).await.unwrap();
    assert_eq!((written.annotated.as_slice(), written.refused.as_slice()), (&[APP.to_owned()][..], &[][..]));
    app.write_litmus(request.clone()).await.unwrap();
    let mut other = request;
    other.form.when = TriggerCondition::Replicas {
        test: ConditionTest { operator: ConditionOperator::Changed, values: Vec::new(), numeric: false },
    };
    assert_eq!(app.write_litmus(other).await.unwrap_err().code, ErrorCode::Exists);

    let listed = app.litmus_policies().await.unwrap();
    let ours = listed.policies.iter().find(|one| one.name == name && one.namespace == stage.chaos).unwrap();
    assert!(listed.known && ours.problems.is_empty() && ours.conditions.len() == 1, "{ours:?}");
    // The id says nothing here as long as nobody tells which workflow it is.
    let unknown = until("the annotated workload", async || {
        let found = app.import_litmus_policy(stage.chaos.clone(), name.into(), Vec::new()).await.unwrap();
        found.unknown.contains(&"exp-1".to_owned()).then_some(found)
    })
    .await;
    assert!(unknown.triggers.iter().all(|one| one.target.namespace != form.target.namespace), "{unknown:?}");
    let choice =
        ExperimentChoice { experiment: "exp-1".into(), project: stage.project.clone(), workflow: WORKFLOW.into() };
    let found = app.import_litmus_policy(stage.chaos.clone(), name.into(), vec![choice]).await.unwrap();
    let made = found.triggers.iter().find(|one| one.target.namespace == form.target.namespace).unwrap();
    assert_eq!((made.workflow.as_str(), made.target.annotations.len()), (WORKFLOW, 2));
    assert!(found.differences.iter().any(|one| one.about == "once"));
    assert_eq!(app.check_trigger(made.clone()).await.unwrap(), [], "it can be saved as it is");
}

async fn verdicts(stage: &Stage, tag: &str) {
    let app = &stage.app;
    let ask = |application: &str, tag: Option<&str>| ReleaseAsked {
        application: application.into(),
        tag: tag.map(str::to_owned),
    };
    let here = app.release_verdicts(FLOW.into(), ENV.into(), vec![ask(APP, None)]).await.unwrap();
    assert_eq!(here[0].tag.as_deref(), Some(tag));
    assert_eq!(here[0].tested.as_ref().map(|one| one.verdict), Some(Verdict::Pass), "{here:?}");
    let asked = vec![ask(APP, Some(tag)), ask(APP, Some("0.0.0-never")), ask("checkout", Some(tag))];
    let next = app.release_verdicts(FLOW.into(), NEXT.into(), asked).await.unwrap();
    assert_eq!(next[0].tested.as_ref().map(|one| one.env.as_str()), Some(ENV), "{next:?}");
    assert!(next[1].tested.is_none() && next[2].tested.is_none(), "{next:?}");

    let first = app.verdict_requirement(FLOW.into(), ENV.into()).await.unwrap();
    assert!(!first.required && !first.can_change.allowed);
    assert_eq!(app.require_verdict(FLOW.into(), ENV.into(), true).await.unwrap_err().code, ErrorCode::Blocked);
    let choices = |checkout: &str| {
        let choice = |application: &str, tag: &str| DeployChoice {
            application: application.into(),
            tag: tag.into(),
            values_override: false,
        };
        vec![choice(APP, tag), choice("checkout", checkout)]
    };
    let request = DeployRequest {
        flow: FLOW.into(),
        env: NEXT.into(),
        choices: choices(tag),
        confirm: None,
        rollback_of: None,
        seen: None,
    };
    let check = async || {
        let preview = app.preview_deploy(request.clone()).await.unwrap();
        preview.checks.into_iter().find(|one| one.id == "verdict")
    };
    assert!(check().await.is_none(), "nobody asked for it yet");
    app.require_verdict(FLOW.into(), NEXT.into(), true).await.unwrap();
    let held = until("the requirement", check).await;
    assert!(!held.ok && held.blocking, "{held:?}");
    let why = held.why.unwrap();
    assert!(why.contains("no chaos run has tested checkout") && !why.contains("cart"), "{why}");
    let refused = app.deploy(request.clone()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Blocked, "{refused:?}");
    assert!(app.verdict_requirement(FLOW.into(), NEXT.into()).await.unwrap().required);
    app.require_verdict(FLOW.into(), NEXT.into(), false).await.unwrap();
    until("the requirement to go", async || check().await.is_none().then_some(())).await;
}
