//! Git servers and the repository's Codebase on a real API server with the upstream CRDs.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use pilothouse_cluster::{Cluster, Kind, kinds};
use pilothouse_delivery::git_server::{
    Credentials, Replacement, ServerForm, add_server, delete_server, read_credentials, rehearse, replace_credentials,
};
use pilothouse_delivery::objects::GitServer;
use pilothouse_delivery::provider::{ApiToken, ProviderKind};
use pilothouse_delivery::repository::{CiTool, Form, Strategy};
use pilothouse_delivery::{Error, create_repository};
use pilothouse_rig::Rig;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

const SECRET: &str = "seeded-secret-token";

fn sample(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap()).collect()
}

fn cluster(client: Client) -> Cluster {
    Cluster::from_client(client, "rig", false)
}

async fn get(cluster: &Cluster, kind: &Kind, namespace: &str, name: &str) -> Option<Value> {
    let found = cluster.api(kind, namespace).get_opt(name).await.unwrap()?;
    Some(serde_json::to_value(found).unwrap())
}

fn form(kind: ProviderKind) -> ServerForm {
    let named =
        |name: &str, host: &str| ServerForm { name: name.into(), host: host.into(), ..ServerForm::defaults(kind) };
    match kind {
        ProviderKind::GitHub => named("my-github", "github.com"),
        ProviderKind::GitLab => named("my-gitlab", "gitlab.example.com"),
        ProviderKind::Bitbucket => named("my-bitbucket", "bitbucket.org"),
        ProviderKind::Gerrit => ServerForm { ssh_port: 30_001, ..named("gerrit", "gerrit.krci") },
    }
}

/// The samples' placeholders, so that the objects can be compared field by field.
fn credentials(kind: ProviderKind) -> Credentials {
    let token = |username: &str, token: &str| ApiToken { username: username.into(), token: token.to_owned().into() };
    Credentials {
        private_key: SecretString::from("<private key>".to_owned()),
        public_key: "<public key>".to_owned(),
        token: match kind {
            ProviderKind::GitHub | ProviderKind::GitLab => Some(token("", "<token>")),
            ProviderKind::Bitbucket => Some(token("username", "AppPassword")),
            ProviderKind::Gerrit => None,
        },
    }
}

/// A Secret's texts as they come back.
fn texts(secret: &Value) -> BTreeMap<String, String> {
    let data = secret["data"].as_object().unwrap().iter();
    data.map(|(key, value)| {
        let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
        (key.clone(), String::from_utf8(bytes).unwrap())
    })
    .collect()
}

/// The operator's word about a server, which the form waits for.
async fn connect(cluster: &Cluster, namespace: &str, name: &str) {
    let status = json!({"status": {"connected": true, "status": "ok"}});
    let api: Api<DynamicObject> = cluster.api(&kinds::GIT_SERVER, namespace);
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
}

#[tokio::test]
async fn each_provider_is_written_as_the_portal_writes_it() {
    let rig = Rig::get();
    let cluster = cluster(rig.client().await);
    let namespace = rig.namespace("servers").await;
    let samples = sample("gitservers-and-secrets.yaml");
    let of = |kind: &str, name: &str| {
        samples.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == name).unwrap().clone()
    };
    for kind in ProviderKind::ALL {
        let form = form(kind);
        rehearse(&cluster, &namespace, &form).await.unwrap();
        assert_eq!(
            get(&cluster, &kinds::SECRET, &namespace, &form.secret_name).await,
            None,
            "a rehearsal writes nothing"
        );
        add_server(&cluster, &namespace, &form, &credentials(kind)).await.unwrap();

        let (server, secret) = (of("GitServer", &form.name), of("Secret", &form.secret_name));
        let written = get(&cluster, &kinds::GIT_SERVER, &namespace, &form.name).await.unwrap();
        assert_eq!(written["spec"], server["spec"], "{kind:?}");
        let stored = get(&cluster, &kinds::SECRET, &namespace, &form.secret_name).await.unwrap();
        assert_eq!(stored["metadata"]["labels"], secret["metadata"]["labels"]);
        assert_eq!(stored["type"], "Opaque");
        let mut wanted: BTreeMap<String, String> = serde_json::from_value(secret["stringData"].clone()).unwrap();
        if kind == ProviderKind::Bitbucket {
            wanted.insert("token".into(), STANDARD.encode("username:AppPassword"));
        }
        assert_eq!(texts(&stored), wanted, "{kind:?}");

        let seen = GitServer::read(&serde_json::from_value(written).unwrap());
        let back = read_credentials(&cluster, &namespace, &seen).await.unwrap().unwrap();
        assert_eq!(back.private_key.unwrap().expose_secret(), "<private key>\n");
        let token = back.token.map(|one| (one.username, one.token.expose_secret().to_owned()));
        let given = credentials(kind).token.map(|one| (one.username, one.token.expose_secret().to_owned()));
        assert_eq!(token, given, "{kind:?}");
        let error = add_server(&cluster, &namespace, &form, &credentials(kind)).await.unwrap_err();
        assert!(matches!(&error, Error::Exists { what: "GitServer", .. }), "{error}");
    }
}

#[tokio::test]
async fn the_codebase_of_each_wizard_is_the_portals_but_private() {
    let rig = Rig::get();
    let cluster = cluster(rig.client().await);
    let namespace = rig.namespace("wizard").await;
    for kind in ProviderKind::ALL {
        add_server(&cluster, &namespace, &form(kind), &credentials(kind)).await.unwrap();
        connect(&cluster, &namespace, &form(kind).name).await;
    }
    let base = |server: &str| Form { git_server: server.into(), owner: "acme".into(), ..Form::default() };
    let cases = [
        ("codebase-gitops-github.yaml", base("my-github")),
        ("codebase-gitops-gitlab.yaml", base("my-gitlab")),
        ("codebase-gitops-gitlab-gitlabci.yaml", Form { ci_tool: CiTool::Gitlab, ..base("my-gitlab") }),
        ("codebase-gitops-bitbucket.yaml", base("my-bitbucket")),
        ("codebase-gitops-gerrit.yaml", base("gerrit")),
        (
            "codebase-gitops-github-import.yaml",
            Form { strategy: Strategy::Import, repository: "env-values".into(), ..base("my-github") },
        ),
    ];
    let codebases: Api<DynamicObject> = cluster.api(&kinds::CODEBASE, &namespace);
    for (file, form) in cases {
        let wanted = sample(file).remove(0);
        let name =
            create_repository(&cluster, &namespace, &form).await.unwrap_or_else(|error| panic!("{file}: {error}"));
        let written = get(&cluster, &kinds::CODEBASE, &namespace, &name).await.unwrap();
        assert_eq!(written["metadata"]["name"], wanted["metadata"]["name"], "{file}");
        assert_eq!(written["metadata"]["labels"], wanted["metadata"]["labels"], "{file}");
        let mut spec = written["spec"].clone();
        assert_eq!(spec["private"], true, "{file}");
        spec["private"] = false.into();
        // A null that the server dropped is the null of the sample.
        let mut wanted = wanted["spec"].clone();
        for both in [&mut spec, &mut wanted] {
            both.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        }
        assert_eq!(spec, wanted, "{file}");
        codebases.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    let leases = cluster.api(&kinds::LEASE, &namespace).list(&ListParams::default()).await.unwrap();
    assert!(leases.items.is_empty(), "the claim is given back");
}

#[tokio::test]
async fn a_secret_is_taken_back_when_its_server_is_refused() {
    let rig = Rig::get();
    let admin = cluster(rig.client().await);
    let form = form(ProviderKind::GitHub);
    let mut given = credentials(ProviderKind::GitHub);
    given.token = Some(ApiToken { username: String::new(), token: SECRET.to_owned().into() });
    let servers = json!({"apiGroups": ["v2.edp.epam.com"], "resources": ["gitservers"], "verbs": ["get", "list"]});
    let secrets = |verbs: &[&str]| json!({"apiGroups": [""], "resources": ["secrets"], "verbs": verbs});

    // Somebody who may create Secrets, but no GitServers.
    let namespace = rig.namespace("rollback").await;
    grant(rig, &namespace, json!([servers, secrets(&["get", "create", "delete"])])).await;
    let user = cluster(rig.developer().await);
    let error = add_server(&user, &namespace, &form, &given).await.unwrap_err();
    let forbidden = matches!(&error, Error::Cluster(pilothouse_cluster::Error::Forbidden { verb, resource, .. }) if verb == "create" && resource == "gitservers.v2.edp.epam.com");
    assert!(forbidden, "{error:?}");
    assert!(!format!("{error:?}").contains(SECRET));
    assert_eq!(get(&admin, &kinds::SECRET, &namespace, &form.secret_name).await, None, "the Secret is taken back");

    // Somebody who cannot take it back either hears what was left.
    let namespace = rig.namespace("rollback").await;
    grant(rig, &namespace, json!([servers, secrets(&["get", "create"])])).await;
    let error = add_server(&user, &namespace, &form, &given).await.unwrap_err();
    assert!(matches!(&error, Error::HalfDone(words) if words.contains("`ci-github`")), "{error:?}");
    assert!(!format!("{error:?}").contains(SECRET));
    assert!(get(&admin, &kinds::SECRET, &namespace, &form.secret_name).await.is_some());
}

#[tokio::test]
async fn what_is_there_is_never_overwritten() {
    let rig = Rig::get();
    let cluster = cluster(rig.client().await);
    let namespace = rig.namespace("taken").await;
    let form = form(ProviderKind::GitLab);
    let theirs = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": form.secret_name}, "stringData": {"token": "theirs"}});
    let secrets: Api<DynamicObject> = cluster.api(&kinds::SECRET, &namespace);
    secrets.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    for error in [
        rehearse(&cluster, &namespace, &form).await.unwrap_err(),
        add_server(&cluster, &namespace, &form, &credentials(ProviderKind::GitLab)).await.unwrap_err(),
    ] {
        assert!(matches!(&error, Error::Exists { what: "Secret", name } if *name == form.secret_name), "{error}");
    }
    let secret = get(&cluster, &kinds::SECRET, &namespace, &form.secret_name).await.unwrap();
    assert_eq!(texts(&secret)["token"], "theirs");
    assert_eq!(get(&cluster, &kinds::GIT_SERVER, &namespace, &form.name).await, None);
}

#[tokio::test]
async fn a_token_is_replaced_and_the_rest_stays() {
    let rig = Rig::get();
    let cluster = cluster(rig.client().await);
    let namespace = rig.namespace("replace").await;
    let form = form(ProviderKind::GitHub);
    add_server(&cluster, &namespace, &form, &credentials(ProviderKind::GitHub)).await.unwrap();
    // The operator adds a key of its own.
    let secrets: Api<DynamicObject> = cluster.api(&kinds::SECRET, &namespace);
    let added = json!({"stringData": {"secretString": "webhook"}});
    secrets.patch(&form.secret_name, &PatchParams::default(), &Patch::Merge(&added)).await.unwrap();
    let token = Some(ApiToken { username: String::new(), token: SECRET.to_owned().into() });
    replace_credentials(&cluster, &namespace, &form.name, &Replacement { token, key: None }).await.unwrap();
    let secret = get(&cluster, &kinds::SECRET, &namespace, &form.secret_name).await.unwrap();
    let now = texts(&secret);
    assert_eq!(now["token"], SECRET);
    assert_eq!((now["id_rsa"].as_str(), now["secretString"].as_str()), ("<private key>\n", "webhook"));
    let error = replace_credentials(&cluster, &namespace, "none", &Replacement::default()).await.unwrap_err();
    assert!(matches!(error, Error::Unknown { what: "Git server", .. }), "{error}");
    // A developer may neither read nor write Secrets, and hears which right is missing.
    rig.grant("developer", &namespace).await;
    let developer = self::cluster(rig.developer().await);
    let seen = GitServer { secret_name: form.secret_name.clone(), ..GitServer::default() };
    for error in [
        read_credentials(&developer, &namespace, &seen).await.unwrap_err(),
        replace_credentials(&developer, &namespace, &form.name, &Replacement::default()).await.unwrap_err(),
    ] {
        let forbidden = matches!(&error, Error::Cluster(pilothouse_cluster::Error::Forbidden { verb, resource, .. }) if verb == "get" && resource == "secrets");
        assert!(forbidden, "{error:?}");
    }
}

#[tokio::test]
async fn a_server_in_use_is_not_deleted() {
    let rig = Rig::get();
    let cluster = cluster(rig.client().await);
    let namespace = rig.namespace("delete").await;
    let form = form(ProviderKind::GitHub);
    add_server(&cluster, &namespace, &form, &credentials(ProviderKind::GitHub)).await.unwrap();
    connect(&cluster, &namespace, &form.name).await;
    let wizard = Form { git_server: form.name.clone(), owner: "acme".into(), ..Form::default() };
    let name = create_repository(&cluster, &namespace, &wizard).await.unwrap();
    let error = delete_server(&cluster, &namespace, &form.name).await.unwrap_err();
    assert!(matches!(&error, Error::InUse { codebases, .. } if *codebases == [name.clone()]), "{error}");
    cluster.api(&kinds::CODEBASE, &namespace).delete(&name, &DeleteParams::default()).await.unwrap();
    // No operator has made the server its Secret's owner here, so the Secret stays and is named.
    let deleted = delete_server(&cluster, &namespace, &form.name).await.unwrap();
    assert_eq!(deleted.secret_left.as_deref(), Some("ci-github"));
    assert_eq!(get(&cluster, &kinds::GIT_SERVER, &namespace, &form.name).await, None);
}

/// Saves two forms of different names at once and answers how many Codebases there are then, and the outcomes.
async fn race(a: &Cluster, b: &Cluster, namespace: &str) -> (Vec<String>, [Result<String, Error>; 2]) {
    let base = Form { git_server: "my-github".into(), owner: "acme".into(), ..Form::default() };
    let first = Form { name: "gitops-one".into(), repository: "one".into(), ..base.clone() };
    let second = Form { name: "gitops-two".into(), repository: "two".into(), ..base };
    let (one, two) = tokio::join!(create_repository(a, namespace, &first), create_repository(b, namespace, &second));
    let api: Api<DynamicObject> = a.api(&kinds::CODEBASE, namespace);
    let left = api.list(&ListParams::default()).await.unwrap().items;
    let names: Vec<String> = left.into_iter().map(|one| one.metadata.name.unwrap()).collect();
    for name in &names {
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }
    (names, [one, two])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_save_at_once_one_wins_whatever_the_names() {
    let rig = Rig::get();
    let (a, b) = (cluster(rig.client().await), cluster(rig.client().await));
    let namespace = rig.namespace("race").await;
    add_server(&a, &namespace, &form(ProviderKind::GitHub), &credentials(ProviderKind::GitHub)).await.unwrap();
    connect(&a, &namespace, "my-github").await;
    for round in 0..20 {
        let (names, outcomes) = race(&a, &b, &namespace).await;
        assert_eq!(names.len(), 1, "round {round}: {names:?} {outcomes:?}");
        let won: Vec<&String> = outcomes.iter().filter_map(|one| one.as_ref().ok()).collect();
        assert_eq!(won, [&names[0]], "round {round}");
        let lost = outcomes.iter().find_map(|one| one.as_ref().err()).unwrap();
        assert!(matches!(lost, Error::RepositoryExists { name, .. } if *name == names[0]), "round {round}: {lost}");
    }
}

/// Gives the developer these rights in a namespace, and no others.
async fn grant(rig: &Rig, namespace: &str, rules: Value) {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "given", "namespace": namespace}, "rules": rules});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "given", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "given"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "developer"}]});
    for (kind, object) in [("Role", role), ("RoleBinding", binding)] {
        let gvk = kube::core::GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind);
        let api: Api<DynamicObject> =
            Api::namespaced_with(rig.client().await, namespace, &kube::core::ApiResource::from_gvk(&gvk));
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    // The API server's authorizer learns of new roles through a watch of its own.
    let developer = cluster(rig.developer().await);
    while !developer.can("list", &kinds::GIT_SERVER, Some(namespace)).await.unwrap() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_leases_never_two_stay() {
    let rig = Rig::get();
    let admin = cluster(rig.client().await);
    let namespace = rig.namespace("race").await;
    add_server(&admin, &namespace, &form(ProviderKind::GitHub), &credentials(ProviderKind::GitHub)).await.unwrap();
    connect(&admin, &namespace, "my-github").await;
    grant(rig, &namespace, json!([{"apiGroups": ["v2.edp.epam.com"], "resources": ["*"], "verbs": ["*"]}])).await;
    let (a, b) = (cluster(rig.developer().await), cluster(rig.developer().await));
    for round in 0..20 {
        let (names, outcomes) = race(&a, &b, &namespace).await;
        assert!(names.len() <= 1, "round {round}: {names:?}");
        let won: Vec<&String> = outcomes.iter().filter_map(|one| one.as_ref().ok()).collect();
        assert_eq!(won, names.iter().collect::<Vec<_>>(), "round {round}: who is told of a success has one");
    }
}

#[tokio::test]
async fn a_claim_that_nobody_released_does_not_last() {
    let rig = Rig::get();
    let cluster = cluster(rig.client().await);
    let namespace = rig.namespace("claim").await;
    add_server(&cluster, &namespace, &form(ProviderKind::GitHub), &credentials(ProviderKind::GitHub)).await.unwrap();
    connect(&cluster, &namespace, "my-github").await;
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "pilothouse-gitops-repository"}, "spec": {"holderIdentity": "gone"}});
    let leases: Api<DynamicObject> = cluster.api(&kinds::LEASE, &namespace);
    leases.create(&PostParams::default(), &serde_json::from_value(lease).unwrap()).await.unwrap();
    let wizard = Form { git_server: "my-github".into(), owner: "acme".into(), ..Form::default() };
    let error = create_repository(&cluster, &namespace, &wizard).await.unwrap_err();
    assert!(matches!(error, Error::Underway { .. }), "{error}");
    assert_eq!(get(&cluster, &kinds::CODEBASE, &namespace, "krci-gitops").await, None, "nothing was written meanwhile");
    leases.delete("pilothouse-gitops-repository", &DeleteParams::default()).await.unwrap();
    create_repository(&cluster, &namespace, &wizard).await.unwrap();
}
