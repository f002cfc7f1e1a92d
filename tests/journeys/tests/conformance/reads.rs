//! Discovery, get, list.

use kube::discovery::{Discovery, Scope};
use serde_json::{Value, json};

use crate::world::*;

fn find<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|r| r["name"] == name).unwrap_or(&Value::Null)
}

pub async fn version_and_discovery(w: World) -> Verdict {
    let version = w.get("/version").await.object();
    let core = w.get("/api/v1").await.object();
    let apps = w.get("/apis/apps/v1").await.object();
    let groups = w.get("/apis").await.object();
    let own = w.get("/apis/conformance.pilothouse.dev").await.object();
    let own_resources = w.get("/apis/conformance.pilothouse.dev/v1").await.object();
    let kinds = |resource: &Value| json!([resource["kind"], resource["namespaced"]]);
    let mut verbs = find(&core["resources"], "configmaps")["verbs"].as_array().unwrap().clone();
    verbs.sort_by_key(|v| v.to_string());
    let seen = json!({
        "version": version["gitVersion"].as_str().unwrap().starts_with("v1."),
        "core": w.get("/api").await.object()["versions"],
        "namespaces": kinds(find(&core["resources"], "namespaces")),
        "configmaps": kinds(find(&core["resources"], "configmaps")),
        "verbs": verbs,
        "deployments": kinds(find(&apps["resources"], "deployments/status")),
        "short": find(&apps["resources"], "deployments")["shortNames"],
        "apps": find(&groups["groups"], "apps")["preferredVersion"]["groupVersion"],
        "own": own["preferredVersion"]["groupVersion"],
        "widgets": kinds(find(&own_resources["resources"], "widgets/status")),
        "gadgets": find(&own_resources["resources"], "gadgets/status"),
        "singular": find(&own_resources["resources"], "widgets")["singularName"],
    });
    verdict(
        seen,
        json!({
            "version": true, "core": ["v1"], "namespaces": ["Namespace", false], "configmaps": ["ConfigMap", true],
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            "deployments": ["Deployment", true], "short": ["deploy"], "apps": "apps/v1",
            "own": "conformance.pilothouse.dev/v1", "widgets": ["Widget", true], "gadgets": null, "singular": "widget",
        }),
    )
}

pub async fn client_discovery(w: World) -> Verdict {
    let found = Discovery::new(w.client.clone())
        .filter(&["", "apps", "conformance.pilothouse.dev", "apiextensions.k8s.io"])
        .run()
        .await
        .unwrap();
    let mut seen = Vec::new();
    for (group, kind) in [("", "Namespace"), ("apps", "Deployment"), ("conformance.pilothouse.dev", "Widget")] {
        let group = found.get(group).unwrap();
        let (resource, capabilities) = group.recommended_kind(kind).unwrap();
        seen.push(json!([resource.plural, resource.version, capabilities.scope == Scope::Namespaced]));
    }
    verdict(json!(seen), json!([["namespaces", "v1", false], ["deployments", "v1", true], ["widgets", "v1", true]]))
}

pub async fn get_shows_what_was_created(w: World) -> Verdict {
    let made = w.post(CONFIG_MAPS, config_map("a", json!({"l": "1"}))).await;
    let got = w.get(&format!("{CONFIG_MAPS}/a")).await;
    let meta = &got.body["metadata"];
    let is_text = |v: &Value| v.as_str().is_some_and(|t| !t.is_empty());
    let seen = json!({
        "codes": [made.code, got.code], "same": made.body == got.body, "data": got.body["data"],
        "kind": [got.body["apiVersion"], got.body["kind"]], "labels": meta["labels"],
        "namespace": meta["namespace"] == w.namespace.as_str(), "generation": meta["generation"],
        "server": [is_text(&meta["uid"]), is_text(&meta["resourceVersion"]), is_text(&meta["creationTimestamp"])],
        "managed": meta["managedFields"][0]["operation"],
        "fields": meta["managedFields"][0]["fieldsV1"]["f:data"]["f:k"],
    });
    verdict(
        seen,
        json!({"codes": [201, 200], "same": true, "data": {"k": "v"}, "kind": ["v1", "ConfigMap"], "labels": {"l": "1"},
               "namespace": true, "generation": null, "server": [true, true, true], "managed": "Update", "fields": {}}),
    )
}

pub async fn get_of_the_absent(w: World) -> Verdict {
    let mut seen = Vec::new();
    for path in [CONFIG_MAPS, DEPLOYMENTS, WIDGETS] {
        let reply = w.get(&format!("{path}/none")).await;
        seen.push(json!([reply.brief(), reply.body["message"], reply.body["details"], reply.body["status"]]));
    }
    let expected = |group: &str, plural: &str| {
        let mut details = json!({"name": "none", "kind": plural});
        let mut qualified = plural.to_owned();
        if !group.is_empty() {
            details["group"] = json!(group);
            qualified = format!("{plural}.{group}");
        }
        json!([[404, "NotFound"], format!("{qualified} \"none\" not found"), details, "Failure"])
    };
    verdict(
        json!(seen),
        json!([
            expected("", "configmaps"),
            expected("apps", "deployments"),
            expected("conformance.pilothouse.dev", "widgets")
        ]),
    )
}

pub async fn label_selectors(w: World) -> Verdict {
    for (name, labels) in [
        ("a", json!({"app": "cart", "tier": "web"})),
        ("b", json!({"app": "cart"})),
        ("c", json!({"app": "checkout", "tier": "data"})),
        ("d", json!({"example.com/own": "x", "suite": "d"})),
    ] {
        w.config_map(name, labels).await;
    }
    let mut seen = json!({});
    let mut ask = async |selector: &str| {
        let encoded = selector.replace(' ', "%20").replace('!', "%21").replace(',', "%2C").replace('=', "%3D");
        // What the server itself keeps in a namespace is named kube-*.
        let names = w.names(&format!("{CONFIG_MAPS}?labelSelector={encoded}")).await;
        let own = names.as_array().unwrap().iter().filter(|n| !n.as_str().unwrap().starts_with("kube-"));
        seen[selector] = own.cloned().collect();
    };
    for selector in [
        "app=cart",
        "app==cart,tier=web",
        "app!=cart",
        "app in (cart, checkout)",
        "app in (checkout),tier",
        "app notin (cart)",
        "tier",
        "!tier",
        "example.com/own=x",
        "app=none",
        "",
    ] {
        ask(selector).await;
    }
    verdict(
        seen,
        json!({
            "app=cart": ["a", "b"], "app==cart,tier=web": ["a"], "app!=cart": ["c", "d"],
            "app in (cart, checkout)": ["a", "b", "c"], "app in (checkout),tier": ["c"], "app notin (cart)": ["c", "d"],
            "tier": ["a", "c"], "!tier": ["b", "d"], "example.com/own=x": ["d"], "app=none": [], "": ["a", "b", "c", "d"],
        }),
    )
}

pub async fn malformed_selectors(w: World) -> Verdict {
    let mut seen = Vec::new();
    for query in ["labelSelector=a%20b%20c", "labelSelector=a%20in%20x", "fieldSelector=spec.none%3D1"] {
        seen.push(w.get(&format!("{CONFIG_MAPS}?{query}")).await.brief());
    }
    verdict(json!(seen), json!([[400, "BadRequest"], [400, "BadRequest"], [400, "BadRequest"]]))
}

pub async fn field_selectors(w: World) -> Verdict {
    w.config_map("a", json!({})).await;
    w.config_map("b", json!({})).await;
    w.post(WIDGETS, widget("x", json!({"size": 1}))).await.object();
    w.post(WIDGETS, widget("y", json!({"size": 1}))).await.object();
    let seen = json!([
        w.names(&format!("{CONFIG_MAPS}?fieldSelector=metadata.name%3Da")).await,
        w.names("/api/v1/configmaps?fieldSelector=metadata.namespace%3D{ns},metadata.name%3Db").await,
        w.names(&format!("{WIDGETS}?fieldSelector=metadata.name%21%3Dx")).await,
    ]);
    verdict(seen, json!([["a"], ["b"], ["y"]]))
}

pub async fn pages_show_one_moment(w: World) -> Verdict {
    for name in ["a", "b", "c", "d", "e"] {
        w.post(WIDGETS, widget(name, json!({"size": 1}))).await.object();
    }
    let first = w.get(&format!("{WIDGETS}?limit=2")).await.object();
    // What happens between two pages is not seen in the second.
    w.post(WIDGETS, widget("bb", json!({"size": 1}))).await.object();
    w.delete(&format!("{WIDGETS}/d")).await;
    w.merge(&format!("{WIDGETS}/c"), json!({"spec": {"size": 9}})).await.object();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = w.get(&format!("{WIDGETS}?limit=2&continue={token}")).await.object();
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = w.get(&format!("{WIDGETS}?limit=2&continue={token}")).await.object();
    let version = |page: &Value| page["metadata"]["resourceVersion"].clone();
    let seen = json!({
        "pages": [names(&first), names(&second), names(&third)],
        "remaining": [first["metadata"]["remainingItemCount"], second["metadata"]["remainingItemCount"]],
        "end": third["metadata"]["continue"].as_str().unwrap_or_default(),
        "one": version(&first) == version(&second) && version(&second) == version(&third),
        "size": second["items"][0]["spec"]["size"],
        "now": w.names(WIDGETS).await,
    });
    verdict(
        seen,
        json!({"pages": [["a", "b"], ["c", "d"], ["e"]], "remaining": [3, 1], "end": "", "one": true, "size": 1,
               "now": ["a", "b", "bb", "c", "e"]}),
    )
}

pub async fn pages_end(w: World) -> Verdict {
    for name in ["a", "b"] {
        w.post(WIDGETS, widget(name, json!({"size": 1}))).await.object();
    }
    let exact = w.get(&format!("{WIDGETS}?limit=2")).await.object();
    let wide = w.get(&format!("{WIDGETS}?limit=50")).await.object();
    let end = |page: &Value| page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
    verdict(json!([names(&exact), end(&exact), names(&wide), end(&wide)]), json!([["a", "b"], "", ["a", "b"], ""]))
}

pub async fn expired_pages(w: World) -> Verdict {
    for name in ["a", "b"] {
        w.post(WIDGETS, widget(name, json!({"size": 1}))).await.object();
    }
    let first = w.get(&format!("{WIDGETS}?limit=1")).await.object();
    let path = format!("{WIDGETS}?limit=1&continue={}", first["metadata"]["continue"].as_str().unwrap());
    let turn = std::sync::atomic::AtomicI64::new(0);
    let expired = async || {
        let size = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 9 + 1;
        w.merge(&format!("{WIDGETS}/a"), json!({"spec": {"size": size}})).await.object();
        w.age();
        w.get(&path).await.code != 200
    };
    w.until("the first page's version is forgotten", expired).await;
    verdict(w.get(&path).await.brief(), json!([410, "Expired"]))
}

pub async fn malformed_continue_token(w: World) -> Verdict {
    let reply = w.get(&format!("{WIDGETS}?limit=2&continue=nonsense")).await;
    verdict(reply.brief(), json!([400, "BadRequest"]))
}

pub async fn lists_of_all_namespaces(w: World) -> Verdict {
    let label = json!({"word": w.word});
    w.config_map("a", label.clone()).await;
    let found = w.get(&format!("/api/v1/configmaps?labelSelector=word%3D{}", w.word)).await.object();
    let post = w.post("/api/v1/configmaps", config_map("b", label)).await;
    verdict(json!([names(&found), found["kind"], post.code]), json!([["a"], "ConfigMapList", 405]))
}

pub async fn list_items_of_built_in_and_custom_kinds(w: World) -> Verdict {
    w.config_map("a", json!({"l": "1"})).await;
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let built_in = w.get(&format!("{CONFIG_MAPS}?labelSelector=l")).await.object();
    let custom = w.get(WIDGETS).await.object();
    let seen = json!([
        [built_in["kind"], built_in["apiVersion"], built_in["items"][0]["kind"]],
        [custom["kind"], custom["apiVersion"], custom["items"][0]["kind"]],
    ]);
    verdict(seen, json!([["ConfigMapList", "v1", null], ["WidgetList", "conformance.pilothouse.dev/v1", "Widget"]]))
}

pub async fn metadata_alone(w: World) -> Verdict {
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let one = [("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")];
    let many = [("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")];
    let got = w.send("GET", &format!("{WIDGETS}/a"), &one, None).await.object();
    let list = w.send("GET", WIDGETS, &many, None).await.object();
    let seen = json!([got["kind"], got["metadata"]["name"], got["spec"], list["kind"], list["items"][0]["spec"]]);
    verdict(seen, json!(["PartialObjectMetadata", "a", null, "PartialObjectMetadataList", null]))
}

pub async fn unknown_paths(w: World) -> Verdict {
    let mut seen = Vec::new();
    for path in [
        "/api/v1/namespaces/{ns}/nothings",
        "/apis/none.example/v1/namespaces/{ns}/nothings",
        "/apis/none.example",
        "/apis/apps/v9",
        &format!("{GADGETS}/a/status"),
    ] {
        seen.push(json!(w.get(path).await.code));
    }
    verdict(json!(seen), json!([404, 404, 404, 404, 404]))
}

pub async fn wrong_methods(w: World) -> Verdict {
    let put = w.put(CONFIG_MAPS, config_map("a", json!({}))).await;
    let post = w.post(&format!("{CONFIG_MAPS}/a"), config_map("a", json!({}))).await;
    verdict(json!([put.code, post.code]), json!([405, 405]))
}

pub async fn future_versions(w: World) -> Verdict {
    let reply = w.get(&format!("{WIDGETS}?resourceVersion=900000000&limit=1&resourceVersionMatch=Exact")).await;
    let garbled = w.get(&format!("{WIDGETS}?resourceVersion=abc&watch=true")).await;
    verdict(json!([reply.code >= 400, garbled.code >= 400]), json!([true, true]))
}

pub async fn access_reviews(w: World) -> Verdict {
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {
        "resourceAttributes": {"verb": "create", "group": "apps", "resource": "deployments", "namespace": "{ns}"}}});
    let one = w.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body).await;
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "{ns}"}});
    let all = w.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body).await;
    let rules = all.body["status"]["resourceRules"].as_array().unwrap();
    let everything = rules.iter().any(|r| r["verbs"] == json!(["*"]) && r["resources"] == json!(["*"]));
    verdict(json!([one.code, one.body["status"]["allowed"], all.code, everything]), json!([201, true, 201, true]))
}
