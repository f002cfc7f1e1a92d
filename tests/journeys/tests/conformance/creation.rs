//! Create, and the rules that bodies must keep.

use serde_json::{Value, json};

use crate::world::*;

pub async fn the_server_owns_identity(w: World) -> Verdict {
    let mut body = widget("a", json!({"size": 1}));
    for (field, value) in [
        ("uid", json!("11111111-2222-3333-4444-555555555555")),
        ("creationTimestamp", json!("2001-01-01T00:00:00Z")),
        ("generation", json!(9)),
        ("deletionTimestamp", json!("2001-01-01T00:00:00Z")),
        ("selfLink", json!("/nonsense")),
    ] {
        body["metadata"][field] = value;
    }
    body["status"] = json!({"phase": "Odd"});
    let made = w.post(WIDGETS, body).await.object();
    let meta = &made["metadata"];
    let seen = json!([
        meta["uid"] == "11111111-2222-3333-4444-555555555555",
        meta["creationTimestamp"] == "2001-01-01T00:00:00Z",
        meta["generation"],
        meta["deletionTimestamp"],
        made["status"],
    ]);
    verdict(seen, json!([false, false, 1, null, null]))
}

pub async fn absent_namespace(w: World) -> Verdict {
    let path = format!("/api/v1/namespaces/none-{}/configmaps", w.word);
    let built_in = w.post(&path, config_map("a", json!({}))).await;
    let path = format!("/apis/conformance.pilothouse.dev/v1/namespaces/none-{}/widgets", w.word);
    let custom = w.post(&path, widget("a", json!({"size": 1}))).await;
    let seen =
        json!([built_in.brief(), built_in.body["details"]["kind"], custom.brief(), custom.body["details"]["kind"]]);
    verdict(seen, json!([[404, "NotFound"], "namespaces", [404, "NotFound"], "namespaces"]))
}

pub async fn name_taken(w: World) -> Verdict {
    w.config_map("a", json!({})).await;
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let built_in = w.post(CONFIG_MAPS, config_map("a", json!({}))).await;
    let custom = w.post(WIDGETS, widget("a", json!({"size": 2}))).await;
    let seen = json!([
        built_in.brief(),
        built_in.body["message"],
        built_in.body["details"],
        custom.brief(),
        custom.body["details"]
    ]);
    verdict(
        seen,
        json!([[409, "AlreadyExists"], "configmaps \"a\" already exists", {"name": "a", "kind": "configmaps"},
               [409, "AlreadyExists"], {"name": "a", "group": "conformance.pilothouse.dev", "kind": "widgets"}]),
    )
}

pub async fn generated_names(w: World) -> Verdict {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "base-"}});
    let one = w.post(CONFIG_MAPS, body.clone()).await.object();
    let two = w.post(CONFIG_MAPS, body).await.object();
    let long = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x".repeat(80)}});
    let long = w.post(CONFIG_MAPS, long).await.object();
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    let seen = json!([
        name(&one).starts_with("base-"),
        name(&one).len(),
        name(&one) == name(&two),
        one["metadata"]["generateName"],
        name(&long).len(),
    ]);
    verdict(seen, json!([true, 10, false, "base-", 63]))
}

pub async fn name_missing(w: World) -> Verdict {
    let built_in = w.post(CONFIG_MAPS, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}})).await;
    let mut body = widget("a", json!({"size": 1}));
    body["metadata"] = json!({});
    let custom = w.post(WIDGETS, body).await;
    verdict(
        json!([built_in.brief(), custom.brief()]),
        json!([[422, "Invalid", ["metadata.name"]], [422, "Invalid", ["metadata.name"]]]),
    )
}

pub async fn malformed_metadata(w: World) -> Verdict {
    let mut seen = Vec::new();
    for meta in [
        json!({"name": "Upper"}),
        json!({"name": "a_b"}),
        json!({"name": "-a"}),
        json!({"name": "a..b"}),
        json!({"name": "x".repeat(254)}),
        json!({"name": "ok", "labels": {"bad key!": "v"}}),
        json!({"name": "ok", "labels": {"k": "bad value!"}}),
        json!({"name": "ok", "labels": {"k": "x".repeat(64)}}),
        json!({"name": "ok", "annotations": {"bad key!": "v"}}),
        json!({"name": "ok", "finalizers": ["unqualified"]}),
    ] {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta});
        seen.push(w.post(CONFIG_MAPS, body).await.brief());
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a.b"}});
    seen.push(w.post("/api/v1/namespaces", namespace).await.brief());
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "1a"}, "spec": {"ports": [{"port": 80}]}});
    seen.push(w.post("/api/v1/namespaces/{ns}/services", service).await.brief());
    let mut custom = widget("Upper", json!({"size": 1}));
    seen.push(w.post(WIDGETS, custom.clone()).await.brief());
    custom["metadata"] = json!({"name": "dotted.name"});
    seen.push(w.post(WIDGETS, custom).await.brief());
    let of = |field: &str| json!([422, "Invalid", [field]]);
    verdict(
        json!(seen),
        json!([
            of("metadata.name"),
            of("metadata.name"),
            of("metadata.name"),
            of("metadata.name"),
            of("metadata.name"),
            of("metadata.labels"),
            of("metadata.labels"),
            of("metadata.labels"),
            of("metadata.annotations"),
            of("metadata.finalizers.0"),
            of("metadata.name"),
            of("metadata.name"),
            of("metadata.name"),
            201
        ]),
    )
}

pub async fn malformed_owners(w: World) -> Verdict {
    let mut body = config_map("a", json!({}));
    body["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "", "uid": ""}]);
    let empty = w.post(CONFIG_MAPS, body.clone()).await;
    let owner =
        |uid: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": uid, "controller": true});
    body["metadata"]["ownerReferences"] = json!([owner("1"), owner("2")]);
    let two = w.post(CONFIG_MAPS, body).await;
    verdict(
        json!([empty.brief(), two.brief()]),
        json!([
            [422, "Invalid", ["metadata.ownerReferences.name", "metadata.ownerReferences.uid"]],
            [422, "Invalid", ["metadata.ownerReferences"]]
        ]),
    )
}

pub async fn version_given(w: World) -> Verdict {
    let mut body = config_map("a", json!({}));
    body["metadata"]["resourceVersion"] = json!("1");
    let reply = w.post(CONFIG_MAPS, body).await;
    verdict(json!([reply.code >= 400, w.get(&format!("{CONFIG_MAPS}/a")).await.code]), json!([true, 404]))
}

pub async fn wrong_place(w: World) -> Verdict {
    let mut elsewhere = config_map("a", json!({}));
    elsewhere["metadata"]["namespace"] = json!("default");
    let mut kind = config_map("a", json!({}));
    kind["kind"] = json!("Secret");
    let mut version = widget("a", json!({"size": 1}));
    version["apiVersion"] = json!("conformance.pilothouse.dev/v2");
    let mut kindless = widget("a", json!({"size": 1}));
    kindless.as_object_mut().unwrap().remove("kind");
    let seen = json!([
        w.post(CONFIG_MAPS, elsewhere).await.brief(),
        w.post(CONFIG_MAPS, kind).await.brief(),
        w.post(WIDGETS, version).await.brief(),
        w.post(WIDGETS, kindless).await.brief(),
    ]);
    let bad = json!([400, "BadRequest"]);
    verdict(seen, json!([bad, bad, bad, bad]))
}

pub async fn wrong_types(w: World) -> Verdict {
    let mut data = config_map("a", json!({}));
    data["data"] = json!({"k": 1});
    let mut labels = config_map("a", json!({}));
    labels["metadata"]["labels"] = json!({"k": 1});
    let mut replicas = deployment("a");
    replicas["spec"]["replicas"] = json!("three");
    let mut custom = widget("a", json!({"size": 1}));
    custom["metadata"]["annotations"] = json!(["x"]);
    let garbled = w.send("POST", CONFIG_MAPS, &[("content-type", "application/json")], Some(json!("text"))).await;
    let seen = json!([
        w.post(CONFIG_MAPS, data).await.brief(),
        w.post(CONFIG_MAPS, labels).await.brief(),
        w.post(DEPLOYMENTS, replicas).await.brief(),
        w.post(WIDGETS, custom).await.brief(),
        garbled.brief(),
    ]);
    let bad = json!([400, "BadRequest"]);
    verdict(seen, json!([bad, bad, bad, bad, bad]))
}

pub async fn wrong_media_type(w: World) -> Verdict {
    let body = Some(config_map("a", json!({})));
    let reply = w.send("POST", CONFIG_MAPS, &[("content-type", "text/html")], body).await;
    verdict(reply.brief(), json!([415, "UnsupportedMediaType"]))
}

pub async fn dry_run_keeps_nothing(w: World) -> Verdict {
    let made = w.post(&format!("{WIDGETS}?dryRun=All"), widget("a", json!({"size": 1}))).await;
    let invalid = w.post(&format!("{WIDGETS}?dryRun=All"), widget("a", json!({"size": 0}))).await;
    let nonsense = w.post(&format!("{WIDGETS}?dryRun=Some"), widget("a", json!({"size": 1}))).await;
    let seen = json!([
        made.code,
        made.body["spec"],
        made.body["metadata"]["uid"].is_string(),
        made.body["metadata"]["resourceVersion"],
        invalid.brief(),
        nonsense.brief(),
        w.get(&format!("{WIDGETS}/a")).await.code,
    ]);
    verdict(
        seen,
        json!([201, {"size": 1, "mode": "calm"}, true, null, [422, "Invalid", ["spec.size"]], [422, "Invalid", ["dryRun"]], 404]),
    )
}

pub async fn deployment_defaults(w: World) -> Verdict {
    let mut body = deployment("a");
    body["spec"].as_object_mut().unwrap().remove("replicas");
    body["spec"]["paused"] = json!(true);
    body["spec"]["nonsense"] = json!("dropped");
    body["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80}]);
    body["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": 1, "memory": "64Mi"}});
    body["status"] = json!({"replicas": 9});
    let made = w.post(DEPLOYMENTS, body).await.object();
    let spec = &made["spec"];
    let pod = &spec["template"]["spec"];
    let container = &pod["containers"][0];
    let seen = json!({
        "spec": [spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"], spec["strategy"]],
        "nonsense": spec["nonsense"], "generation": made["metadata"]["generation"],
        "replicas": made["status"]["replicas"],
        "pod": [pod["restartPolicy"], pod["dnsPolicy"], pod["schedulerName"], pod["terminationGracePeriodSeconds"], pod["securityContext"]],
        "container": [container["imagePullPolicy"], container["terminationMessagePath"], container["ports"], container["resources"]],
    });
    verdict(
        seen,
        json!({
            "spec": [1, 10, 600, {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}],
            "nonsense": null, "generation": 1, "replicas": null,
            "pod": ["Always", "ClusterFirst", "default-scheduler", 30, {}],
            "container": ["IfNotPresent", "/dev/termination-log", [{"containerPort": 80, "protocol": "TCP"}],
                          {"limits": {"cpu": "1", "memory": "64Mi"}}],
        }),
    )
}

pub async fn deployment_rules(w: World) -> Verdict {
    let mut seen = Vec::new();
    let mut other = deployment("a");
    other["spec"]["selector"] = json!({"matchLabels": {"app": "other"}});
    seen.push(w.post(DEPLOYMENTS, other).await.brief());
    let mut empty = deployment("a");
    empty["spec"]["template"]["spec"]["containers"] = json!([]);
    seen.push(w.post(DEPLOYMENTS, empty).await.brief());
    let mut nameless = deployment("a");
    nameless["spec"]["template"]["spec"]["containers"] =
        json!([{"image": "x"}, {"name": "Bad_Name", "image": "x"}, {"name": "a"}]);
    seen.push(w.post(DEPLOYMENTS, nameless).await.brief());
    let mut twice = deployment("a");
    twice["spec"]["template"]["spec"]["containers"] = json!([{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]);
    seen.push(w.post(DEPLOYMENTS, twice).await.brief());
    let mut negative = deployment("a");
    negative["spec"]["replicas"] = json!(-1);
    seen.push(w.post(DEPLOYMENTS, negative).await.brief());
    let at = "spec.template.spec.containers";
    verdict(
        json!(seen),
        json!([
            [422, "Invalid", ["spec.template.metadata.labels"]],
            [422, "Invalid", [at]],
            [422, "Invalid", [format!("{at}.0.name"), format!("{at}.1.name"), format!("{at}.2.image")]],
            [422, "Invalid", [format!("{at}.1.name")]],
            [422, "Invalid", ["spec.replicas"]],
        ]),
    )
}

pub async fn secret_texts(w: World) -> Verdict {
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
        "data": {"b": "eA=="}, "stringData": {"a": "text"}});
    let made = w.post("/api/v1/namespaces/{ns}/secrets", body).await.object();
    verdict(
        json!([made["data"], made["stringData"], made["type"]]),
        json!([{"a": "dGV4dA==", "b": "eA=="}, null, "Opaque"]),
    )
}

pub async fn malformed_config_keys(w: World) -> Verdict {
    let mut body = config_map("a", json!({}));
    body["data"] = json!({"bad key": "v"});
    verdict(w.post(CONFIG_MAPS, body).await.brief(), json!([422, "Invalid", ["data.bad key"]]))
}

pub async fn lease_times(w: World) -> Verdict {
    let time = "2026-01-02T03:04:05.678901Z";
    let body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"},
        "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": time, "leaseTransitions": 0}});
    w.post(LEASES, body).await.object();
    let got = w.get(&format!("{LEASES}/a")).await.object();
    verdict(
        got["spec"].clone(),
        json!({"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": time, "leaseTransitions": 0}),
    )
}

pub async fn lease_rules(w: World) -> Verdict {
    let body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"},
        "spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}});
    let fields = ["spec.leaseDurationSeconds", "spec.leaseTransitions"];
    verdict(w.post(LEASES, body).await.brief(), json!([422, "Invalid", fields]))
}

pub async fn events_about_objects(w: World) -> Verdict {
    let path = "/api/v1/namespaces/{ns}/events";
    for (name, kind) in [("a", "Widget"), ("b", "Gadget")] {
        let body = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "e-"}, "reason": "Tried",
            "message": "words", "type": "Normal", "count": 1, "firstTimestamp": "2026-01-02T03:04:05Z",
            "source": {"component": "suite"},
            "involvedObject": {"apiVersion": "v1", "kind": kind, "name": name, "namespace": "{ns}"}});
        w.post(path, body).await.object();
    }
    let found = w.get(&format!("{path}?fieldSelector=involvedObject.name%3Da,reason%3DTried")).await.object();
    let items = found["items"].as_array().unwrap();
    verdict(
        json!([items.len(), items[0]["involvedObject"]["kind"], items[0]["firstTimestamp"]]),
        json!([1, "Widget", "2026-01-02T03:04:05Z"]),
    )
}

pub async fn other_built_in_kinds(w: World) -> Verdict {
    // Older servers let no pod in before the account's token is there, some time after the account.
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": deployment("a")["spec"]["template"]["spec"]});
    w.until("the namespace takes pods", async || {
        w.post("/api/v1/namespaces/{ns}/pods?dryRun=All", pod.clone()).await.code == 201
    })
    .await;
    let template = deployment("a")["spec"]["template"].clone();
    let selector = json!({"matchLabels": {"app": "a"}});
    let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"});
    let one = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"restartPolicy": "Never",
        "containers": [{"name": "main", "image": "registry.example/main"}]}});
    let mut seen = json!({});
    for (group, kind, plural, fields) in [
        ("v1", "ServiceAccount", "serviceaccounts", json!({})),
        ("v1", "Service", "services", json!({"spec": {"selector": {"app": "a"}, "ports": [{"port": 80}]}})),
        ("v1", "Pod", "pods", json!({"spec": template["spec"]})),
        (
            "apps/v1",
            "StatefulSet",
            "statefulsets",
            json!({"spec": {"selector": selector, "serviceName": "a", "template": template}}),
        ),
        ("apps/v1", "DaemonSet", "daemonsets", json!({"spec": {"selector": selector, "template": template}})),
        ("apps/v1", "ReplicaSet", "replicasets", json!({"spec": {"selector": selector, "template": template}})),
        ("batch/v1", "Job", "jobs", json!({"spec": {"template": one}})),
        ("rbac.authorization.k8s.io/v1", "Role", "roles", json!({"rules": [rule]})),
        (
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "rolebindings",
            json!({"roleRef": role, "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "{ns}"}]}),
        ),
    ] {
        let root = if group == "v1" { "api" } else { "apis" };
        let mut body = fields;
        body["apiVersion"] = json!(group);
        body["kind"] = json!(kind);
        body["metadata"] = json!({"name": "a", "labels": {"app": "a"}});
        let made = w.post(&format!("/{root}/{group}/namespaces/{{ns}}/{plural}?dryRun=All"), body).await;
        let spec = &made.body["spec"];
        seen[kind] = match kind {
            "Service" => json!([made.code, spec["type"], spec["ports"], spec["sessionAffinity"]]),
            "Pod" => json!([made.code, made.body["status"]["phase"], spec["restartPolicy"]]),
            "StatefulSet" => json!([made.code, spec["replicas"], spec["podManagementPolicy"], spec["updateStrategy"]]),
            "DaemonSet" => json!([made.code, spec["updateStrategy"]["type"], spec["revisionHistoryLimit"]]),
            "ReplicaSet" => json!([made.code, spec["replicas"], made.body["metadata"]["generation"]]),
            "Job" => json!([
                made.code,
                spec["completions"],
                spec["parallelism"],
                spec["backoffLimit"],
                spec["template"]["spec"]["containers"][0]["imagePullPolicy"],
                spec["selector"]["matchLabels"]["controller-uid"].is_string()
                    || spec["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"].is_string()
            ]),
            _ => json!([made.code]),
        };
    }
    verdict(
        seen,
        json!({
            "ServiceAccount": [201], "Role": [201], "RoleBinding": [201],
            "Service": [201, "ClusterIP", [{"port": 80, "targetPort": 80, "protocol": "TCP"}], "None"],
            "Pod": [201, "Pending", "Always"],
            "StatefulSet": [201, 1, "OrderedReady", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}],
            "DaemonSet": [201, "RollingUpdate", 10], "ReplicaSet": [201, 1, 1], "Job": [201, 1, 1, 6, "Always", true],
        }),
    )
}
