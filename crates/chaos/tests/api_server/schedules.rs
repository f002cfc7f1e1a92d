//! A schedule starts what it asks for, when it asks for it, and nothing else.

use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use pilothouse_chaos::document::path_of;
use pilothouse_chaos::launch::{self, Cause, Next, Started};
use pilothouse_chaos::ticks::{self, Look, Note, Tick};
use pilothouse_chaos::workflow_object::{self, RunPolicy};
use pilothouse_chaos::{Error, Result, project};
use pilothouse_cluster::{Cluster, kinds};
use serde_json::json;

use crate::stage::{MemoryGit, PROJECT, labels, let_run, object, place, sync};

fn cron(schedule: &str, more: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata:\n  name: nightly\nspec:\n  schedule: '{schedule}'\n{more}  workflowSpec:\n    entrypoint: main\n    templates:\n      - name: main\n        container:\n          image: busybox\n"
    )
}

async fn launch(cluster: &Cluster, namespace: &str, tick: &Tick) -> Result<Started> {
    match launch::automatic(cluster, namespace, &tick.run, &labels("nightly"), Cause::Schedule(tick)).await? {
        Next::There(started) => Ok(started),
        Next::Start(prepared) => launch::start(cluster, &prepared).await,
    }
}

async fn runs(cluster: &Cluster, namespace: &str) -> usize {
    cluster.api(&kinds::WORKFLOW, namespace).list(&Default::default()).await.unwrap().items.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_comes_is_run_once_and_one_that_is_missed_is_told() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    let path = path_of(PROJECT, "nightly");
    let text = cron("*/10 * * * *", "  timezone: Europe/Berlin\n  concurrencyPolicy: Forbid\n");
    git.put(&path, Some(&text));
    sync(&cluster, &namespace, &git).await;
    let now = object(&cluster, &namespace, "nightly").await;
    let midnight: Timestamp = "2026-05-05T00:00:00Z".parse().unwrap();
    let at = |minutes: i64| midnight + SignedDuration::from_mins(minutes);
    let look =
        async |minutes: i64| ticks::look(&object(&cluster, &namespace, "nightly").await, &namespace, at(minutes));
    let settle = async |time: Timestamp, note: Note<'_>| {
        let known = object(&cluster, &namespace, "nightly").await;
        ticks::settle(&cluster, &namespace, &known, time, note).await.unwrap();
    };
    // Nothing asks for a run as long as no policy does.
    assert_eq!(ticks::look(&now, &namespace, at(600)), Look::Off);

    let_run(&cluster, &namespace, "nightly", RunPolicy::OnSchedule).await;
    let known = object(&cluster, &namespace, "nightly").await;
    assert!(known.agreed_schedule.as_deref().is_some_and(|words| words.contains("Europe/Berlin")), "{known:?}");
    assert_eq!(look(5).await, Look::Begin);
    settle(at(5), Note::Keep).await;
    assert_eq!(look(9).await, Look::Wait(Some(at(10))));
    let Look::Run { tick, told: None } = look(10).await else { panic!("its time has come") };
    assert_eq!(tick.time, at(10));
    // Killed between the start and the note of it, the same run is found.
    assert!(!launch(&cluster, &namespace, &tick).await.unwrap().already);
    let Look::Run { tick: again, .. } = look(10).await else { panic!("it is not noted yet") };
    assert_eq!(again, tick);
    assert!(launch(&cluster, &namespace, &again).await.unwrap().already);
    settle(tick.time, Note::Clear).await;
    assert_eq!(look(10).await, Look::Wait(Some(at(20))));
    // What was seen to is not started by somebody who looked before.
    let late = launch(&cluster, &namespace, &tick).await;
    assert!(matches!(late, Err(Error::WrongState { .. })), "{late:?}");

    // The run before still goes on, and the schedule allows one at a time.
    let Look::Run { tick, .. } = look(20).await else { panic!("its time has come") };
    let refused = launch(&cluster, &namespace, &tick).await;
    let Err(Error::WrongState { why, .. }) = refused else { panic!("{refused:?}") };
    assert!(why.contains("one at a time"), "{why}");
    settle(tick.time, Note::Say("it was left out")).await;
    assert_eq!(runs(&cluster, &namespace).await, 1);

    // Nobody was there for an hour: told, and not run.
    let Look::Missed { tick, told } = look(85).await else { panic!("times were missed") };
    assert!((tick.time, told.contains("6 times")) == (at(80), true), "{tick:?} {told}");
    settle(tick.time, Note::Say(&told)).await;
    let known = object(&cluster, &namespace, "nightly").await;
    assert!(ticks::tell(&cluster, &namespace, &known, Some(at(90))).await.unwrap());
    let known = object(&cluster, &namespace, "nightly").await;
    assert!(!ticks::tell(&cluster, &namespace, &known, Some(at(90))).await.unwrap(), "the same is written twice");
    let status = known.schedule.unwrap();
    assert_eq!(status.next.as_deref(), Some("2026-05-05T01:30:00Z"));
    assert!(status.note.unwrap().contains("nobody was there"));
    assert_eq!(runs(&cluster, &namespace).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_counts_as_it_was_agreed_to_and_while_the_project_is_on() {
    let (cluster, namespace) = place().await;
    let git = MemoryGit::default();
    let path = path_of(PROJECT, "nightly");
    let form = project::Enable {
        id: PROJECT.into(),
        url: "https://git.example/shop.git".into(),
        branch: "main".into(),
        auth: project::Auth::Token,
        description: None,
    };
    project::enable(&cluster, &namespace, &form).await.unwrap();
    git.put(&path, Some(&cron("0 3 * * *", "")));
    sync(&cluster, &namespace, &git).await;
    let_run(&cluster, &namespace, "nightly", RunPolicy::OnSchedule).await;
    let three: Timestamp = "2026-05-05T03:00:00Z".parse().unwrap();
    let look = async |time: Timestamp| ticks::look(&object(&cluster, &namespace, "nightly").await, &namespace, time);
    let begin = async || {
        let known = object(&cluster, &namespace, "nightly").await;
        let before = three - SignedDuration::from_hours(1);
        ticks::settle(&cluster, &namespace, &known, before, Note::Keep).await.unwrap();
    };
    begin().await;
    let Look::Run { tick, .. } = look(three).await else { panic!("its time has come") };

    // Whoever can commit cannot thereby have it run more often.
    git.put(&path, Some(&cron("* * * * *", "")));
    sync(&cluster, &namespace, &git).await;
    assert_eq!(look(three).await, Look::Off);
    let held = object(&cluster, &namespace, "nightly").await;
    assert!(held.message.contains("* * * * *") && held.held_back(&namespace).unwrap().contains("agreed"), "{held:?}");
    let refused = launch(&cluster, &namespace, &tick).await;
    assert!(refused.is_err(), "{refused:?}");
    git.put(&path, Some(&cron("0 3 * * *", "")));
    sync(&cluster, &namespace, &git).await;
    assert!(matches!(look(three).await, Look::Run { .. }));

    // Suspended, its times are nobody's, also when it goes on at the very minute.
    git.put(&path, Some(&cron("0 3 * * *", "  suspend: true\n")));
    sync(&cluster, &namespace, &git).await;
    assert_eq!(look(three).await, Look::Off);
    let known = object(&cluster, &namespace, "nightly").await;
    assert!(ticks::forget(&cluster, &namespace, &known).await.unwrap().settled.is_none());
    let stale = ticks::forget(&cluster, &namespace, &known).await;
    assert!(matches!(stale, Err(Error::Cluster(pilothouse_cluster::Error::Conflict { .. }))), "{stale:?}");
    git.put(&path, Some(&cron("0 3 * * *", "")));
    sync(&cluster, &namespace, &git).await;
    assert_eq!(look(three).await, Look::Begin);
    begin().await;

    // Switched off, nothing is run; switched on again, what came between is nobody's.
    project::disable(&cluster, &namespace, PROJECT).await.unwrap();
    assert_eq!(look(three).await, Look::Off);
    assert!(launch(&cluster, &namespace, &tick).await.is_err());
    project::enable(&cluster, &namespace, &form).await.unwrap();
    sync(&cluster, &namespace, &git).await;
    assert_eq!(look(three).await, Look::Begin);
    assert_eq!(runs(&cluster, &namespace).await, 0);

    // A schedule that was agreed to by another look than the last is refused.
    let patch = json!({"spec": {"manifest": cron("0 4 * * *", "")}});
    let seen = object(&cluster, &namespace, "nightly").await;
    let digest = pilothouse_chaos::WorkflowDocument::parse(&seen.manifest)
        .map(|document| workflow_object::agreement(&document, &namespace))
        .unwrap();
    let api = cluster.api(&kinds::CHAOS_WORKFLOW, &namespace);
    api.patch(&seen.object, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let which = (PROJECT, "nightly");
    let refused =
        workflow_object::set_run_policy(&cluster, &namespace, which, RunPolicy::OnSchedule, Some(&digest)).await;
    assert!(matches!(refused, Err(Error::PreviewStale { .. })), "{refused:?}");

    // What has no schedule cannot run on one.
    git.put(&path_of(PROJECT, "kill"), Some(&crate::stage::workflow("kill", "")));
    sync(&cluster, &namespace, &git).await;
    let plain = object(&cluster, &namespace, "kill").await.manifest;
    let digest = workflow_object::agreement(&pilothouse_chaos::WorkflowDocument::parse(&plain).unwrap(), &namespace);
    let refused =
        workflow_object::set_run_policy(&cluster, &namespace, (PROJECT, "kill"), RunPolicy::OnSchedule, Some(&digest))
            .await;
    let Err(Error::WrongState { why, .. }) = refused else { panic!("{refused:?}") };
    assert!(why.contains("no schedule"), "{why}");
}
