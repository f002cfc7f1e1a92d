//! Our own kinds.

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use pilothouse_cluster::crds::{InstallOutcome, install};
use pilothouse_cluster::{Cluster, ComponentId, Error, kinds};
use pilothouse_rig::Rig;
use serde_json::{Value, json};

use crate::admin;

fn object(kind: &pilothouse_cluster::Kind, name: &str, spec: Value) -> DynamicObject {
    DynamicObject::new(name, &kind.resource()).data(json!({"spec": spec}))
}

#[tokio::test]
async fn our_kinds_are_installed_kept_and_renewed() {
    let cluster = admin().await;
    let developer = Cluster::from_client(Rig::get().developer().await, "rig", false);
    let error = install(&developer).await.unwrap_err();
    let Error::Forbidden { verb, .. } = &error else { panic!("{error:?}") };
    assert_eq!(verb, "create");
    assert!(error.hint().unwrap().contains("cluster administrator"), "{:?}", error.hint());

    // Two at once, as when two people connect.
    let (one, two) = tokio::join!(install(&cluster), install(&cluster));
    let all = |outcome: &InstallOutcome| outcome.created.len() + outcome.updated.len() + outcome.unchanged.len();
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((all(&one), all(&two)), (3, 3));
    assert_eq!(install(&cluster).await.unwrap().unchanged.len(), 3);
    assert!(cluster.discover().await.unwrap().has(ComponentId::Pilothouse));

    // An older schema is renewed, and a label of somebody else's stays.
    let crds = cluster.api_all(&kinds::CRD);
    let name = kinds::EVENT_TRIGGER.resource_name();
    let age = |revision: &str| {
        Patch::Merge(json!({"metadata": {"labels": {"team": "sre"},
        "annotations": {"pilothouse.dev/schema-revision": revision}}, "spec": {"names": {"shortNames": ["et"]}}}))
    };
    crds.patch(&name, &PatchParams::default(), &age("0")).await.unwrap();
    assert_eq!(install(&cluster).await.unwrap().updated, [name.as_str()]);
    let renewed = crds.get(&name).await.unwrap();
    assert_eq!(renewed.metadata.labels.unwrap()["team"], "sre");
    assert!(renewed.data["spec"]["names"]["shortNames"].is_null());
    // A newer one is left alone.
    crds.patch(&name, &PatchParams::default(), &age("99")).await.unwrap();
    assert_eq!(install(&cluster).await.unwrap().unchanged.len(), 3);
    crds.patch(&name, &PatchParams::default(), &age("0")).await.unwrap();
    install(&cluster).await.unwrap();

    schemas_hold(&cluster).await;
}

/// Defaults are filled in, status is its own, and what is wrong is refused.
async fn schemas_hold(cluster: &Cluster) {
    let namespace = Rig::get().namespace("ours").await;
    let post = PostParams::default();

    let triggers = cluster.api(&kinds::EVENT_TRIGGER, &namespace);
    let spec = json!({"project": "p", "workflow": "w", "target": {"kind": "Deployment", "namespace": "n"}});
    let mut trigger = object(&kinds::EVENT_TRIGGER, "t", spec.clone());
    trigger.data["status"] = json!({"decisions": [{"time": "2030-01-01T00:00:00Z", "decision": "Fired"}]});
    trigger.data["spec"]["unknown"] = json!(1);
    let made = triggers.create(&post, &trigger).await.unwrap();
    assert!(made.data.get("status").is_none(), "status comes by its own way only");
    assert!(made.data["spec"].get("unknown").is_none());
    assert_eq!(made.data["spec"]["suspended"], false);
    assert_eq!(made.data["spec"]["when"], json!({"imageChanged": {}}));
    assert_eq!(made.data["spec"]["guards"], json!({"waitForRollout": true, "soakSeconds": 0, "cooldownSeconds": 0}));

    let decision = json!({"time": "2030-01-01T00:00:00Z", "decision": "Skipped", "reason": "cooldown", "junk": true,
        "oldImages": {"app": "a:1"}, "newImages": {"app": "a:2"}});
    let status = json!({"status": {"decisions": [decision]}, "spec": {"suspended": true}});
    let after = triggers.patch_status("t", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    assert_eq!(after.data["spec"]["suspended"], false, "status writes touch nothing else");
    assert_eq!(after.data["status"]["decisions"][0]["newImages"]["app"], "a:2");
    assert!(after.data["status"]["decisions"][0].get("junk").is_none());

    let mut wrong = spec;
    wrong["target"]["kind"] = json!("CronJob");
    wrong["guards"] = json!({"soakSeconds": -1});
    let error = pilothouse_cluster::explain(
        &triggers.create(&post, &object(&kinds::EVENT_TRIGGER, "w", wrong)).await.unwrap_err(),
    );
    let Error::Invalid { causes, .. } = &error else { panic!("{error:?}") };
    let fields: Vec<_> = causes.iter().map(|cause| cause.field.as_str()).collect();
    assert!(fields.contains(&"spec.target.kind") && fields.contains(&"spec.guards.soakSeconds"), "{fields:?}");

    let projects = cluster.api(&kinds::CHAOS_PROJECT, &namespace);
    let made = projects
        .create(&post, &object(&kinds::CHAOS_PROJECT, "p", json!({"gitOps": {"url": "https://h/r"}})))
        .await
        .unwrap();
    assert_eq!(made.data["spec"]["gitOps"], json!({"auth": "token", "enabled": false, "url": "https://h/r"}));

    let workflows = cluster.api(&kinds::CHAOS_WORKFLOW, &namespace);
    let spec = json!({"project": "p", "workflow": "w", "manifest": "# comment\nkind: Workflow\n"});
    let made = workflows.create(&post, &object(&kinds::CHAOS_WORKFLOW, "p-w", spec)).await.unwrap();
    assert_eq!(made.data["spec"]["runPolicy"], "Manual");
    let status = json!({"status": {"state": "Lost"}});
    let refused = workflows.patch_status("p-w", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap_err();
    assert_eq!(pilothouse_cluster::explain(&refused).code(), "cluster.invalid");
}
