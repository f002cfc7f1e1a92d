//! Contexts that work, and the words for those that do not.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kube::api::{DynamicObject, PostParams};
use kube::{Api, core::ObjectMeta};
use pilothouse_cluster::{Cluster, Error, kinds};
use pilothouse_rig::Rig;
use serde_json::json;

use crate::admin;

async fn connect(context: &str) -> Result<Cluster, Error> {
    Cluster::connect_in(&[Rig::get().kubeconfigs().many.clone()], context).await
}

fn object(kind: &pilothouse_cluster::Kind, name: &str, data: serde_json::Value) -> DynamicObject {
    let mut object = DynamicObject::new(name, &kind.resource()).data(data);
    object.metadata = ObjectMeta { name: Some(name.to_owned()), ..object.metadata };
    object
}

#[tokio::test]
async fn a_context_is_connected_to() {
    let cluster = connect("rig").await.unwrap();
    assert_eq!(cluster.version().await.unwrap(), cluster.version().await.unwrap());
    assert!(cluster.version().await.unwrap().starts_with("v1."));
    assert!(cluster.server().starts_with(&Rig::get().description().server));
    assert!(!cluster.is_production() && !cluster.is_practice() && !cluster.is_insecure());
    assert!(connect("live-eu").await.unwrap().is_production());
    assert_eq!(connect("developer").await.unwrap().default_namespace(), "krci");
}

#[tokio::test]
async fn what_is_wrong_with_a_connection_is_told_apart() {
    for (context, code) in [
        ("nowhere", "cluster.unreachable"),
        ("stranger", "cluster.tls"),
        ("outsider", "cluster.unauthorized"),
        ("dangling", "cluster.kubeconfig"),
        ("absent", "cluster.kubeconfig"),
    ] {
        let error = connect(context).await.unwrap_err();
        assert_eq!(error.code(), code, "{context}: {error:?}");
    }
}

#[tokio::test]
async fn refusals_conflicts_and_mistakes_are_told_apart() {
    let namespace = Rig::get().namespace("explain").await;
    let cluster = admin().await;
    let maps = cluster.api(&kinds::CONFIG_MAP, &namespace);
    let post = PostParams::default();
    let ask =
        |error: Result<_, kube::Error>| pilothouse_cluster::explain(&error.map(|_: DynamicObject| ()).unwrap_err());

    assert_eq!(ask(maps.get("nothing").await).code(), "cluster.not_found");
    let map = maps.create(&post, &object(&kinds::CONFIG_MAP, "one", json!({"data": {"a": "1"}}))).await.unwrap();
    let twice = ask(maps.create(&post, &object(&kinds::CONFIG_MAP, "one", json!({}))).await);
    assert!(matches!(twice, Error::Conflict { exists: true, .. }), "{twice:?}");

    let mut newer = map.clone();
    newer.data["data"]["a"] = "2".into();
    maps.replace("one", &post, &newer).await.unwrap();
    let stale = ask(maps.replace("one", &post, &map).await);
    assert!(matches!(stale, Error::Conflict { exists: false, .. }), "{stale:?}");

    let codebases = cluster.api(&kinds::CODEBASE, &namespace);
    let wrong =
        ask(codebases.create(&post, &object(&kinds::CODEBASE, "wrong", json!({"spec": {"strategy": "steal"}}))).await);
    let Error::Invalid { causes, .. } = &wrong else { panic!("{wrong:?}") };
    assert!(causes.iter().any(|cause| cause.field.starts_with("spec.")), "{causes:?}");

    let developer = Cluster::from_client(Rig::get().developer().await, "rig", false);
    let error = ask(developer.api(&kinds::SECRET, "krci").get("any").await);
    let Error::Forbidden { verb, resource, namespace, .. } = &error else { panic!("{error:?}") };
    assert_eq!((verb.as_str(), resource.as_str(), namespace.as_deref()), ("get", "secrets", Some("krci")));
    assert!(error.hint().unwrap().contains("`get` on `secrets`"));
}

/// A kubeconfig for the rig whose user is a plugin: `/bin/sh` with this script.
fn with_plugin(dir: &Path, script: &str) -> PathBuf {
    let plugin = dir.join("plugin");
    std::fs::write(&plugin, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
    let authority = Rig::get().kubeconfig().parent().unwrap().join("pki/ca.crt");
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "plugged",
        "clusters": [{"name": "c", "cluster": {"server": Rig::get().description().server, "certificate-authority": authority}}],
        // A relative command is looked for beside the kubeconfig.
        "users": [{"name": "u", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin",
            "interactiveMode": "IfAvailable"}}}],
        "contexts": [{"name": "plugged", "context": {"cluster": "c", "user": "u"}}]});
    let path = dir.join("config");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

#[tokio::test]
async fn a_plugin_s_certificate_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Rig::get().kubeconfig().parent().unwrap().join("pki");
    let read = |name: &str| std::fs::read_to_string(pki.join(name)).unwrap();
    let credential = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {
        "clientCertificateData": read("developer.crt"), "clientKeyData": read("developer.key"),
        "expirationTimestamp": "2099-01-01T00:00:00Z"}});
    std::fs::write(dir.path().join("credential"), credential.to_string()).unwrap();
    let path = with_plugin(dir.path(), "cat \"$(dirname \"$0\")/credential\"");
    let cluster = Cluster::connect_in(&[path], "plugged").await.unwrap();
    assert!(cluster.can("list", &kinds::CODEBASE, Some("krci")).await.unwrap());
    assert!(!cluster.can("create", &kinds::CODEBASE, Some("krci")).await.unwrap());
    assert!(cluster.credential_expires().is_some());
}

#[tokio::test]
async fn a_plugin_s_token_is_used_kept_and_asked_for_anew_when_refused() {
    if !Rig::get().description().has_controllers {
        return; // without controllers no service account gets its token
    }
    let namespace = Rig::get().namespace("plugin").await;
    let client = Rig::get().client().await;
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = Api::namespaced(client, &namespace);
    let account = serde_json::from_value(json!({"metadata": {"name": "robot"}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let request = serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 3600}})).unwrap();
    let answer = accounts.create_token_request("robot", &PostParams::default(), &request).await.unwrap();
    let token = answer.status.unwrap().token.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let file = dir.path().join("token");
    let path = with_plugin(
        dir.path(),
        "here=$(dirname \"$0\"); echo run >> \"$here/runs\"\n\
         printf '{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"%s\"}}' \"$(cat \"$here/token\")\"",
    );
    let count = || std::fs::read_to_string(&runs).unwrap_or_default().lines().count();

    std::fs::write(&file, "revoked").unwrap();
    let error = Cluster::connect_in(std::slice::from_ref(&path), "plugged").await.unwrap_err();
    assert_eq!(error.code(), "cluster.unauthorized", "{error:?}");
    std::fs::write(&file, &token).unwrap();
    let cluster = Cluster::connect_in(&[path], "plugged").await.unwrap();
    assert_eq!(count(), 2);
    for _ in 0..10 {
        assert!(!cluster.can("list", &kinds::SECRET, Some(&namespace)).await.unwrap());
    }
    assert_eq!(count(), 2, "a token without end is kept");
}

#[tokio::test]
async fn a_failing_plugin_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = with_plugin(dir.path(), "echo s3cr3t >&2; exit 1");
    let error = Cluster::connect_in(&[path], "plugged").await.unwrap_err();
    assert_eq!(error.code(), "cluster.exec");
    assert!(error.to_string().contains("/plugin") && !format!("{error:?}").contains("s3cr3t"), "{error:?}");
}
