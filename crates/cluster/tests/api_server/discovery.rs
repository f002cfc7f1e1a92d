//! What a cluster holds, and what one may do with it.

use kube::api::PostParams;
use pilothouse_cluster::{Cluster, ComponentId, kinds};
use pilothouse_rig::Rig;
use serde_json::json;

use crate::admin;

#[tokio::test]
async fn the_systems_are_found() {
    let found = admin().await.discover().await.unwrap();
    for id in
        [ComponentId::Krci, ComponentId::ArgoCd, ComponentId::Tekton, ComponentId::Litmus, ComponentId::ArgoWorkflows]
    {
        let component = found.components.iter().find(|component| component.id == id).unwrap();
        assert!(component.present && component.missing.is_empty(), "{component:?}");
        assert!(component.version.is_some());
    }
    assert!(found.serves(&kinds::STAGE) && found.serves(&kinds::EVENT_TRACKER_POLICY));
}

#[tokio::test]
async fn a_developer_discovers_the_same_as_an_administrator() {
    let developer = Cluster::from_client(Rig::get().developer().await, "rig", false);
    let present = |found: pilothouse_cluster::Discovered| {
        ComponentId::ALL.into_iter().filter(|id| *id != ComponentId::Pilothouse && found.has(*id)).collect::<Vec<_>>()
    };
    assert_eq!(present(developer.discover().await.unwrap()), present(admin().await.discover().await.unwrap()));
}

#[tokio::test]
async fn rights_are_as_the_roles_say() {
    let admin = admin().await;
    let developer = Cluster::from_client(Rig::get().developer().await, "rig", false);
    for (verb, kind, namespace, allowed) in [
        ("create", kinds::PIPELINE_RUN, Some("krci"), true),
        ("create", kinds::PIPELINE_RUN, Some("default"), false),
        ("create", kinds::CODEBASE, Some("krci"), false),
        ("get", kinds::SECRET, Some("krci"), false),
        ("patch", kinds::APPLICATION, Some("krci"), false),
        ("update", kinds::APPLICATION, Some("krci"), true),
        ("list", kinds::APPLICATION_SET, Some("krci"), false),
        ("create", kinds::CRD, None, false),
        ("list", kinds::CODEBASE, None, false),
    ] {
        let answer = developer.access(verb, &kind, None, namespace).await.unwrap();
        assert_eq!(answer.allowed, allowed, "{answer:?}");
        assert!(answer.who_can().contains(&kind.resource_name()));
        assert!(admin.can(verb, &kind, namespace).await.unwrap());
    }
}

#[tokio::test]
async fn platforms_are_the_namespaces_with_codebases() {
    let namespace = Rig::get().namespace("platform").await;
    let admin = admin().await;
    let codebase = serde_json::from_value(json!({
        "apiVersion": "v2.edp.epam.com/v1", "kind": "Codebase", "metadata": {"name": "app"},
        "spec": {"buildTool": "npm", "emptyProject": false, "defaultBranch": "main", "deploymentScript": "helm-chart", "framework": "react",
            "gitServer": "github", "gitUrlPath": "/acme/app", "lang": "javascript", "repository": {"url": "https://example.com/app"},
            "strategy": "import", "type": "application", "ciTool": "tekton", "versioning": {"type": "default"}}}));
    admin.api(&kinds::CODEBASE, &namespace).create(&PostParams::default(), &codebase.unwrap()).await.unwrap();
    assert!(admin.platforms().await.unwrap().contains(&namespace));

    // The developer may list neither all codebases nor the namespaces: its own namespace is all that it knows.
    Rig::get().grant("developer", &namespace).await;
    let mut client = Rig::get().developer().await;
    let developer = Cluster::from_client(client.clone(), "rig", false);
    assert!(!developer.platforms().await.unwrap().contains(&namespace));
    client = kube::Client::new(
        tower::service_fn(move |request| {
            let client = client.clone();
            async move { client.send(request).await }
        }),
        &namespace,
    );
    let developer = Cluster::from_client(client, "rig", false);
    assert!(developer.platforms().await.unwrap().contains(&namespace));
}
