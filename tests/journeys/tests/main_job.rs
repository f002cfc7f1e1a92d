//! The main job, without a window: from a connection to a chaos verdict beside a release, on the practice cluster and
//! on real parts alike.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its story cannot go on")]

#[path = "main_job/agent.rs"]
mod agent;
#[path = "main_job/agent_killed.rs"]
mod agent_killed;
#[path = "main_job/desk.rs"]
mod desk;
#[path = "main_job/killed.rs"]
mod killed;
#[path = "main_job/moved.rs"]
mod moved;
#[path = "main_job/relay.rs"]
mod relay;
#[path = "main_job/stage.rs"]
#[allow(dead_code, reason = "the stage has more than this story needs")]
mod stage;
#[path = "main_job/stepped_down.rs"]
mod stepped_down;
#[path = "main_job/storm.rs"]
mod storm;
#[path = "main_job/two_sides.rs"]
mod two_sides;

use pilothouse_app::contract::{
    ActivityOutcome, ChaosProjectForm, ChaosTarget, CloneState, CommitOutcome, CommitValues, ContainersAmong,
    DecisionKind, DeployChoice, DeployRequest, DeployStatus, ErrorCode, ErrorDetail, ImagePart, ParameterValue,
    RemoteTarget, RepositoryForm, RunPolicy, RunSeen, SaveWorkflow, TemplateChoice, Transport, TriggerCondition,
    TriggerForm, TriggerGuards, TriggerTarget, ValuesFile, ValuesFileState, Verdict, WhileAway, WorkflowState,
};
use stage::{Stage, until};

const FLOW: &str = "storefront";
const ENV: &str = "dev";
const APP: &str = "cart";
const WORKFLOW: &str = "cart-pod-delete";

#[tokio::test(flavor = "multi_thread")]
async fn on_the_practice_cluster() {
    main_job(&Stage::practice().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_real_cluster_over_ssh() {
    let _one = stage::one_at_a_time().await;
    main_job(&Stage::real(Transport::Ssh).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_real_cluster_over_https() {
    let _one = stage::one_at_a_time().await;
    main_job(&Stage::real(Transport::Https).await).await;
}

async fn main_job(stage: &Stage) {
    connect(stage).await;
    repository(stage).await;
    values(stage).await;
    let first = deploy(stage, 0).await;
    chaos(stage).await;
    let failed = run_by_hand(stage).await;
    assert_eq!(failed, Verdict::Fail, "one replica does not survive");
    trigger(stage).await;
    raise_replicas(stage).await;
    let second = deploy(stage, 1).await;
    assert_ne!(first, second);
    fired(stage, &second).await;
    desk::walk(stage, &second).await;
    timeline(stage).await;
}

async fn connect(stage: &Stage) {
    let contexts = stage.app.list_contexts().await.unwrap();
    assert!(contexts.practice);
    let session = stage.connect().await;
    assert_eq!(session.platform.as_deref(), Some(stage.platform.as_str()));
    assert_eq!(session.practice, stage.is_practice());
}

async fn repository(stage: &Stage) {
    let app = &stage.app;
    let overview = app.repository_overview().await.unwrap();
    assert!(overview.card.is_none());
    assert!(overview.can_create.allowed);
    let wrong = RepositoryForm { owner: String::new(), ..stage.repository_form() };
    let preview = app.repository_preview(wrong).await.unwrap();
    assert_eq!((preview.yaml.as_str(), preview.problems[0].field.as_str()), ("", "owner"));
    let preview = app.repository_preview(stage.repository_form()).await.unwrap();
    assert!(preview.problems.is_empty(), "{:?}", preview.problems);
    assert!(preview.yaml.contains("app.edp.epam.com/systemType: gitops") && preview.yaml.contains("private: true"));

    assert_eq!(app.create_repository(stage.repository_form(), "create".into()).await.unwrap(), "krci-gitops");
    let again = app.create_repository(stage.repository_form(), "again".into()).await.unwrap_err();
    assert_eq!(again.code, ErrorCode::RepositoryExists);
    let card = until("the repository's card", async || {
        app.repository_overview().await.unwrap().card.filter(|c| c.status == "created")
    })
    .await;
    assert!(card.private);

    let target = || RemoteTarget::Repository { transport: stage.transport };
    if let Some(wrong) = stage.wrong_credential() {
        let refused = app.test_remote(target(), Some(wrong)).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::GitAuth, "{refused:?}");
    }
    if stage.asks_for_host_key() {
        let unknown = app.test_remote(target(), stage.credential()).await.unwrap_err();
        assert_eq!(unknown.code, ErrorCode::GitHostKeyUnknown, "{unknown:?}");
        let Some(ErrorDetail::HostKey { host, port, fingerprint, .. }) = unknown.detail.map(|d| *d) else {
            panic!("no key")
        };
        let key = pilothouse_app::contract::AcceptHostKey { host, port, fingerprint };
        let other = pilothouse_app::contract::AcceptHostKey { fingerprint: "SHA256:other".into(), ..key.clone() };
        assert_eq!(app.accept_host_key(other).await.unwrap_err().code, ErrorCode::NotFound);
        app.accept_host_key(key).await.unwrap();
    }
    let check = app.test_remote(target(), stage.credential()).await.unwrap();
    assert_eq!(check.default_branch.as_deref(), Some("main"));
    if let Some(credential) = stage.credential() {
        assert!(matches!(card.clone_state, CloneState::NeedsCredential), "{:?}", card.clone_state);
        assert_eq!(app.clone_repository("early".into()).await.unwrap_err().code, ErrorCode::NoCredential);
        app.save_repository_credential(stage.transport, credential).await.unwrap();
    }
    let card = app.clone_repository("clone".into()).await.unwrap();
    assert!(matches!(card.clone_state, CloneState::Ready { .. }), "{:?}", card.clone_state);
    assert_eq!(card.remote_branch.as_deref(), Some("main"));
}

fn file() -> ValuesFile {
    ValuesFile { flow: FLOW.into(), env: ENV.into(), app: APP.into() }
}

fn commit(text: &str, base_blob: Option<String>) -> CommitValues {
    CommitValues {
        flow: FLOW.into(),
        env: ENV.into(),
        app: APP.into(),
        text: text.into(),
        base_blob,
        message: "Change the cart".into(),
    }
}

async fn values(stage: &Stage) {
    let app = &stage.app;
    let flows = app.list_flows().await.unwrap();
    assert_eq!(flows[0].name, FLOW);
    let opened = app.open_values(file()).await.unwrap();
    assert_eq!(opened.path, "storefront/dev/cart-values.yaml");
    assert!(!opened.exists && opened.base_blob.is_none());
    let defaults = opened.defaults.unwrap_or_else(|| panic!("no defaults: {:?}", opened.defaults_problem));
    assert!(defaults.text.contains("replicaCount"), "{}", defaults.text);
    assert!(opened.text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{}", opened.text);

    let text = "# the cart\nreplicaCount: 1\nimage:\n  tag: mine\n";
    let found = app.check_values(file(), text.into()).await.unwrap();
    assert!(found.iter().any(|d| d.line == 4), "image.* is passed as a parameter: {found:?}");
    let effective = app.effective_values(file(), "replicaCount: 1\n".into()).await.unwrap();
    assert!(effective.lines.iter().any(|line| line.path == "replicaCount" && line.value == "1"));

    let text = "# the cart\nreplicaCount: 1\n";
    let review = app.review_values(file(), text.into(), None).await.unwrap();
    assert_eq!((review.diff.added, review.diff.removed, review.moved), (2, 0, false));
    let nameless = app.commit_values(commit(text, None), "c0".into()).await.unwrap_err();
    assert_eq!(nameless.code, ErrorCode::NoIdentity);
    app.set_identity("Ada Example".into(), "ada@example.org".into()).await.unwrap();

    // A colleague is quicker: the commit lands on top of theirs.
    stage.colleague(&[("storefront/qa/cart-values.yaml", "replicaCount: 3\n")], "Scale qa");
    let outcome = app.commit_values(commit(text, None), "c1".into()).await.unwrap();
    let CommitOutcome::Published { commit: published, blob, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(published.author, "Ada Example");
    assert_eq!(stage.read("storefront/dev/cart-values.yaml").as_deref(), Some(text));
    assert!(stage.read("storefront/qa/cart-values.yaml").is_some(), "the colleague's commit is still there");

    // A true conflict shows both versions and loses nothing.
    stage.colleague(&[("storefront/dev/cart-values.yaml", "# the cart\nreplicaCount: 5\n")], "Scale dev");
    let mine = "# the cart\nreplicaCount: 4\n";
    let review = app.review_values(file(), mine.into(), blob.clone()).await.unwrap();
    assert!(review.moved);
    let outcome = app.commit_values(commit(mine, blob), "c2".into()).await.unwrap();
    let CommitOutcome::Conflict { theirs, ours, base, their_blob, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(theirs.as_deref(), Some("# the cart\nreplicaCount: 5\n"));
    assert_eq!((ours.as_deref(), base.as_deref()), (Some(mine), Some(text)));
    assert_eq!(stage.read("storefront/dev/cart-values.yaml"), theirs);
    let outcome = app.commit_values(commit(text, their_blob), "c3".into()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?}");
}

/// Raises the replicas, as somebody does whom a run has shown that one is not enough.
async fn raise_replicas(stage: &Stage) {
    let opened = stage.app.open_values(file()).await.unwrap();
    assert!(opened.exists);
    assert_eq!(opened.last_change.unwrap().author, "Ada Example");
    let text = opened.text.replace("replicaCount: 1", "replicaCount: 2");
    let outcome = stage.app.commit_values(commit(&text, opened.base_blob), "c4".into()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?}");
}

/// Deploys the environment with the `back`-th newest tag counted from the oldest, and answers the cart's tag.
async fn deploy(stage: &Stage, number: usize) -> String {
    let app = &stage.app;
    let before = until("the environment", async || {
        let view = app.environment(FLOW.into(), ENV.into()).await.unwrap();
        (!view.busy && view.applications.iter().all(|a| !a.tags.is_empty())).then_some(view)
    })
    .await;
    assert_eq!(before.applications[0].values_file, ValuesFileState::Present);
    let choice = |values_override: bool| DeployRequest {
        flow: FLOW.into(),
        env: ENV.into(),
        choices: before
            .applications
            .iter()
            .map(|a| DeployChoice {
                application: a.name.clone(),
                tag: a.tags[a.tags.len() - 1 - number.min(a.tags.len() - 1)].name.clone(),
                values_override: values_override && a.name == APP,
            })
            .collect(),
        confirm: None,
        rollback_of: None,
        seen: None,
    };
    let request = choice(true);
    let preview = app.preview_deploy(request.clone()).await.unwrap();
    let blocking: Vec<_> = preview.checks.iter().filter(|c| c.blocking && !c.ok).collect();
    assert!(blocking.is_empty(), "{blocking:?}");
    assert!(preview.yaml.contains("APPLICATIONS_PAYLOAD"), "{}", preview.yaml);
    assert!(!preview.changes.is_empty());
    let seen = preview.digest;
    let started = app.deploy(DeployRequest { seen, ..request.clone() }).await.unwrap();
    let tag = request.choices.iter().find(|c| c.application == APP).unwrap().tag.clone();
    until("the deploy", async || {
        let view = app.environment(FLOW.into(), ENV.into()).await.unwrap();
        let run = view.runs.iter().find(|r| r.name == started.run)?;
        assert!(!matches!(run.status, DeployStatus::Failed | DeployStatus::Cancelled), "{run:?}");
        let cart = view.applications.iter().find(|a| a.name == APP)?;
        let done = run.status == DeployStatus::Succeeded
            && cart.version.as_deref() == Some(tag.as_str())
            && cart.health.status == "Healthy"
            && cart.sync.status == "Synced"
            && cart.values_override.live;
        done.then_some(())
    })
    .await;
    tag
}

fn project(stage: &Stage) -> ChaosProjectForm {
    ChaosProjectForm {
        id: stage.project.clone(),
        namespace: stage.chaos.clone(),
        use_gitops_repository: true,
        url: String::new(),
        branch: String::new(),
        credential: None,
    }
}

async fn chaos(stage: &Stage) {
    let app = &stage.app;
    assert!(app.chaos_overview().await.unwrap().crds_installed);
    let check = app.test_project(project(stage)).await.unwrap();
    assert!(check.branches.contains(&"main".to_owned()));
    let entry = app.enable_project(project(stage), "enable".into()).await.unwrap();
    assert!(entry.enabled && entry.has_credential, "{entry:?}");
    assert_eq!(entry.branch, "main");

    let templates = app.workflow_templates().await.unwrap();
    assert!(templates.iter().any(|t| t.id == "pod-delete"));
    let namespace = app.environment(FLOW.into(), ENV.into()).await.unwrap().namespace;
    let choice = TemplateChoice {
        id: "pod-delete".into(),
        project: stage.project.clone(),
        name: WORKFLOW.into(),
        target: ChaosTarget { kind: "Deployment".into(), namespace, name: APP.into() },
        parameters: vec![ParameterValue { name: "TOTAL_CHAOS_DURATION".into(), value: "30".into() }],
    };
    let text = app.render_template(choice).await.unwrap();
    let problems = app.check_workflow(stage.project.clone(), text.clone()).await.unwrap();
    let save = |text: &str, base_blob| SaveWorkflow {
        project: stage.project.clone(),
        name: WORKFLOW.into(),
        text: text.into(),
        base_blob,
        message: "Delete pods of the cart".into(),
    };
    assert!(app.save_workflow(save("kind: Nothing\n", None), "bad".into()).await.is_err());
    let outcome = app.save_workflow(save(&text, None), "save".into()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?} {problems:?}");
    let path = format!("litmus/{}/{WORKFLOW}.yaml", stage.project);
    assert_eq!(stage.read(&path).as_deref(), Some(text.as_str()));
    until("the workflow", async || {
        let all = app.chaos_workflows(stage.project.clone()).await.unwrap();
        all.into_iter().find(|w| w.name == WORKFLOW && w.state == WorkflowState::InSync)
    })
    .await;

    // What a colleague pushes appears, a new file and a change alike, and nothing of it runs by itself.
    let changed = format!("# reviewed by a colleague\n{text}");
    let other = text.replace(WORKFLOW, "cart-again");
    let again = format!("litmus/{}/cart-again.yaml", stage.project);
    stage.colleague(&[(&path, &changed), (&again, &other)], "Review the cart's chaos");
    let report = app.sync_project(stage.project.clone(), "sync".into()).await.unwrap();
    assert!(report.problems.is_empty(), "{report:?}");
    let opened = until("the colleague's change", async || {
        let all = app.chaos_workflows(stage.project.clone()).await.unwrap();
        let both = all.len() == 2 && all.iter().all(|w| w.state == WorkflowState::InSync);
        let opened = app.open_workflow(stage.project.clone(), WORKFLOW.into()).await.unwrap();
        (both && opened.text == changed).then_some(opened)
    })
    .await;
    assert_eq!(opened.run_policy, RunPolicy::Manual);
    assert!(app.list_runs(Some(stage.project.clone())).await.unwrap().is_empty());

    let delete =
        async |blob| app.delete_workflow(stage.project.clone(), "cart-again".into(), blob, "delete".into()).await;
    let seen = app.open_workflow(stage.project.clone(), "cart-again".into()).await.unwrap().base_blob;
    assert_eq!(delete(opened.base_blob.clone()).await.unwrap_err().code, ErrorCode::ChaosPreviewStale);
    let outcome = delete(seen).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Published { .. }), "{outcome:?}");
    until("the deletion", async || {
        (app.chaos_workflows(stage.project.clone()).await.unwrap().len() == 1).then_some(())
    })
    .await;
    assert_eq!(stage.read(&again), None);
}

async fn run_by_hand(stage: &Stage) -> Verdict {
    let app = &stage.app;
    let preview = app.preview_run(stage.project.clone(), WORKFLOW.into()).await.unwrap();
    assert!(preview.targets.iter().all(|t| t.found), "{preview:?}");
    assert_eq!(preview.confirm, None);
    let seen = RunSeen { run: preview.run, digest: preview.digest, context: preview.context };
    let elsewhere = RunSeen { context: "elsewhere".into(), ..seen.clone() };
    let other = RunSeen { digest: "0".repeat(64), ..seen.clone() };
    for stale in [elsewhere, other] {
        let refused = app.run_workflow(stage.project.clone(), WORKFLOW.into(), stale, None).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::ChaosPreviewStale, "{refused:?}");
    }
    let started = app.run_workflow(stage.project.clone(), WORKFLOW.into(), seen.clone(), None).await.unwrap();
    // The answer was lost and the button is pressed again: it is the same run.
    let again = app.run_workflow(stage.project.clone(), WORKFLOW.into(), seen, None).await.unwrap();
    assert_eq!(again, started);
    let run = until("the run", async || {
        let run = app.run(started.namespace.clone(), started.run.clone()).await.unwrap();
        (!run.entry.running).then_some(run)
    })
    .await;
    assert_eq!(run.faults.len(), 1, "{run:?}");
    assert!(run.faults[0].probes.iter().all(|p| !p.verdict.is_empty()));
    assert!(run.entry.score.is_some());
    let listed = until("the run in the list", async || {
        let runs = app.list_runs(Some(stage.project.clone())).await.unwrap();
        runs.into_iter().find(|r| r.name == started.run && !r.running)
    })
    .await;
    assert_eq!(listed.verdict, run.entry.verdict);
    assert_eq!(app.list_runs(Some(stage.project.clone())).await.unwrap().len(), 1, "asked for twice, run once");
    stage
        .noticed("the end of the run", |notice| notice.path.as_deref().is_some_and(|p| p.ends_with(&started.run)))
        .await;
    run.entry.verdict
}

async fn trigger(stage: &Stage) {
    let app = &stage.app;
    let namespace = app.environment(FLOW.into(), ENV.into()).await.unwrap().namespace;
    let workloads = app.workloads(Some(namespace.clone())).await.unwrap();
    assert!(workloads.iter().any(|w| w.name == APP && !w.images.is_empty()), "{workloads:?}");
    let form = TriggerForm {
        name: "cart-image".into(),
        project: stage.project.clone(),
        workflow: WORKFLOW.into(),
        target: TriggerTarget {
            kind: "Deployment".into(),
            namespace,
            names: vec![APP.into()],
            labels: Vec::new(),
            annotations: Vec::new(),
        },
        when: TriggerCondition::ImageChanged {
            containers: Vec::new(),
            except: Vec::new(),
            among: ContainersAmong::All,
            part: ImagePart::Any,
        },
        guards: TriggerGuards::default(),
        while_away: WhileAway::Offer,
        suspended: false,
        seen: None,
    };
    let nameless = TriggerForm { name: String::new(), ..form.clone() };
    assert_eq!(app.preview_trigger(nameless).await.unwrap_err().code, ErrorCode::Fields);
    let preview = app.preview_trigger(form.clone()).await.unwrap();
    assert_eq!(preview.matches.len(), 1, "{preview:?}");
    let reach = preview.reach.unwrap();
    assert!(reach.blocked.is_none() && reach.accounts.iter().any(|a| a == "argo-chaos"), "{reach:?}");
    let unseen = app.save_trigger(form.clone()).await.unwrap_err();
    assert_eq!(unseen.code, ErrorCode::ChaosPreviewStale, "{unseen:?}");
    app.save_trigger(TriggerForm { seen: Some(reach.digest), ..form }).await.unwrap();
    until("the trigger in charge", async || {
        let overview = app.list_triggers().await.unwrap();
        let ours = overview.triggers.iter().find(|t| t.namespace == stage.chaos)?;
        // Once the engine has looked at the workload, what changes from then on is seen.
        (ours.engine.here && ours.problem.is_none() && ours.observed == [APP]).then_some(())
    })
    .await;
}

async fn fired(stage: &Stage, tag: &str) {
    let app = &stage.app;
    let decision = until("the triggered run's verdict", async || {
        let overview = app.list_triggers().await.unwrap();
        let ours = overview.triggers.iter().find(|t| t.namespace == stage.chaos)?;
        ours.decisions.iter().find(|d| d.decision == DecisionKind::Fired && d.verdict.is_some()).cloned()
    })
    .await;
    assert_eq!(decision.verdict, Some(Verdict::Pass), "two replicas survive: {decision:?}");
    let tested = "for the trigger cart-image";
    stage
        .noticed("the end of the triggered run", |notice| notice.body.contains(tag) && notice.body.contains(tested))
        .await;
    assert!(decision.new_images.iter().any(|image| image.contains(tag)), "{decision:?}");
    let runs = app.list_runs(Some(stage.project.clone())).await.unwrap();
    assert_eq!(runs.iter().filter(|r| r.trigger.is_some()).count(), 1, "once: {runs:?}");

    let verdict = until("the verdict beside the release", async || {
        let view = app.environment(FLOW.into(), ENV.into()).await.unwrap();
        let cart = view.applications.into_iter().find(|a| a.name == APP)?;
        cart.last_verdict.filter(|v| Some(&v.run) == decision.run.as_ref())
    })
    .await;
    assert_eq!(verdict.verdict, Verdict::Pass);
    assert_eq!(verdict.score, Some(100.0));
    assert!(verdict.image.is_some_and(|image| image.contains(tag)));
    let workflows = until("the workflow's last run", async || {
        let all = app.chaos_workflows(stage.project.clone()).await.unwrap();
        let last = all[0].last_run.as_ref()?;
        (Some(&last.name) == decision.run.as_ref() && last.verdict == Verdict::Pass).then_some(all)
    })
    .await;
    assert_eq!(workflows[0].run_policy, RunPolicy::OnEvent);
}

async fn timeline(stage: &Stage) {
    let page = stage.app.activity(None, 200).await.unwrap();
    for (words, with_commit, with_object) in [
        ("Create the GitOps repository", false, true),
        ("Commit the values of cart", true, false),
        ("Deploy storefront to dev", false, true),
        ("Enable GitOps for the chaos project", false, true),
        ("Commit the chaos workflow cart-pod-delete", true, false),
        ("Delete the chaos workflow cart-again", true, false),
        ("Run the chaos workflow cart-pod-delete", false, true),
        ("Save the trigger cart-image", false, true),
        ("Run cart-pod-delete, because the trigger cart-image", false, true),
    ] {
        let entry = page.entries.iter().find(|e| e.words.starts_with(words) && e.outcome == ActivityOutcome::Done);
        let entry = entry.unwrap_or_else(|| panic!("no {words:?} in {:#?}", page.entries));
        assert!(!with_commit || entry.commit.is_some(), "{entry:?}");
        assert!(!with_object || entry.object.is_some(), "{entry:?}");
    }
    assert!(page.entries.iter().all(|e| e.outcome != ActivityOutcome::Started), "{:#?}", page.entries);
    stage.no_secret_is_anywhere();
}
