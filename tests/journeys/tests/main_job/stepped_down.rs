//! Who looks after a project and loses its Lease in the middle of a sync writes nothing more, and whoever has the Lease
//! then finishes it.

use std::collections::BTreeSet;

use kube::api::{Patch, PatchParams};
use pilothouse_app::App;
use pilothouse_app::agent::{Author, Config, Needs, ProjectNeed};
use pilothouse_chaos::names::sync_lease;
use pilothouse_chaos::plan::SyncState;
use pilothouse_cluster::kinds;
use pilothouse_rig::Rig;
use serde_json::json;

use crate::killed::Relay;
use crate::relay::of_a_sync;
use crate::stage::until;
use crate::two_sides::{Door, Sides, workflow};

/// More than are written at a time.
const FILES: usize = 20;
/// How many writes of the sync get through before the Lease is lost.
const THROUGH: usize = 3;

async fn in_charge(app: &App, sides: &Sides, url: &str) -> bool {
    let project = ProjectNeed {
        namespace: sides.namespace.clone(),
        id: sides.project.clone(),
        url: url.to_owned(),
        branch: "main".into(),
        credential: "none".into(),
    };
    let author = Author { name: "Ada".into(), email: "ada@example.org".into() };
    let needs = Needs { projects: vec![project], triggers: Vec::new() };
    let state = app.agent_state(&Config { cluster: "rig".into(), author, needs }).await;
    state.projects.iter().any(|one| one.in_charge)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_loses_the_lease_in_the_middle_of_a_sync_writes_nothing_more() {
    let sides = Sides::new().await;
    let relay = Relay::start(Rig::get().client().await, of_a_sync).await;
    let door = Door { kubeconfig: relay.kubeconfig(sides.data.path()), ..sides.door() };
    let app = door.open(&sides.data.path().join("ada"), "Ada").await;
    app.enable_project(door.form(), "enable".into()).await.unwrap();
    let url = sides.repo.url.clone();
    until("this app to be in charge", async || in_charge(&app, &sides, &url).await.then_some(())).await;

    let written = || relay.seen().len();
    relay.gate.send_replace(written() + THROUGH);
    let names: Vec<String> = (0..FILES).map(|n| format!("kill-{n:02}")).collect();
    sides
        .repo
        .edit("main", "Add many", |dir| {
            for name in &names {
                let path = dir.join(sides.path(name));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, workflow(name)).unwrap();
            }
            Ok(())
        })
        .unwrap();
    app.look_again();
    until("a sync in the middle of its writes", async || (relay.waiting() > 1).then_some(())).await;

    let api = sides.cluster.api(&kinds::LEASE, &sides.namespace);
    let lease = sync_lease(&sides.project);
    let give = async |holder: &str| {
        let patch = json!({"spec": {"holderIdentity": holder}});
        api.patch(&lease, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    };
    give("somebody-else").await;
    until("the Lease to be missed", async || (!in_charge(&app, &sides, &url).await).then_some(())).await;
    until("the sync to be given up", async || (relay.waiting() == 0).then_some(())).await;
    let begun = written();
    relay.gate.send_replace(usize::MAX);
    app.look_again();
    app.close().await;
    assert_eq!(written(), begun, "something was written without the Lease");
    let half = sides.objects().await.len();
    assert!((1..FILES).contains(&half), "{half} of {FILES} were made");

    // The next one has it, and finishes; nothing is there twice.
    give("").await;
    let app = door.open(&sides.data.path().join("ben"), "Ben").await;
    app.enable_project(door.form(), "enable".into()).await.unwrap();
    until("the other to be in charge", async || in_charge(&app, &sides, &url).await.then_some(())).await;
    let objects = sides.objects().await;
    assert_eq!(objects.keys().collect::<BTreeSet<_>>(), names.iter().collect());
    for (name, one) in &objects {
        assert_eq!((one.state, &one.manifest), (Some(SyncState::InSync), &workflow(name)), "{name}");
    }
    assert_eq!(sides.repo.commits("main").unwrap(), 2, "the first, and the one that added them");
    app.close().await;
}
