//! CustomResourceDefinitions: registration, validation, pruning, defaults.

use serde_json::{Value, json};

use crate::world::*;

fn open_schema() -> Value {
    json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}})
}

fn condition(definition: &Value, kind: &str) -> Value {
    let list = definition["status"]["conditions"].as_array();
    list.into_iter().flatten().find(|c| c["type"] == kind).map_or(Value::Null, |c| c["status"].clone())
}

pub async fn registration(w: World) -> Verdict {
    let group = format!("{}.example.com", w.word);
    let before = w.get(&format!("/apis/{group}/v1/things")).await.code;
    w.define(definition(&group, "Thing", open_schema(), false)).await;
    let path = format!("{DEFINITIONS}/things.{group}");
    let established = async || condition(&w.get(&path).await.body, "Established") == "True";
    w.until("the definition is established", established).await;
    let stored = w.get(&path).await.object();
    let list = w.get(&format!("/apis/{group}/v1/namespaces/{{ns}}/things")).await.object();
    w.until("the group is discovered", async || w.get(&format!("/apis/{group}/v1")).await.code == 200).await;
    let resources = w.get(&format!("/apis/{group}/v1")).await.object();
    let again = w.post(DEFINITIONS, definition(&group, "Thing", open_schema(), false)).await;
    w.delete(&path).await;
    let names = &stored["spec"]["names"];
    let seen = json!([
        before,
        names["singular"],
        names["listKind"],
        condition(&stored, "NamesAccepted"),
        stored["status"]["acceptedNames"]["kind"],
        stored["status"]["storedVersions"],
        list["kind"],
        list["items"],
        resources["resources"][0]["kind"],
        again.brief(),
    ]);
    verdict(
        seen,
        json!([404, "thing", "ThingList", "True", "Thing", ["v1"], "ThingList", [], "Thing", [409, "AlreadyExists"]]),
    )
}

pub async fn malformed_definitions(w: World) -> Verdict {
    let group = format!("{}.example.com", w.word);
    let mut seen = Vec::new();
    let mut name = definition(&group, "Thing", open_schema(), false);
    name["metadata"]["name"] = json!("other.example.com");
    seen.push(w.post(DEFINITIONS, name).await.brief());
    let mut scope = definition(&group, "Thing", open_schema(), false);
    scope["spec"]["scope"] = json!("Everywhere");
    seen.push(w.post(DEFINITIONS, scope).await.brief());
    let untyped = json!({"type": "object", "properties": {"spec": {"properties": {"a": {"type": "string"}}}}});
    seen.push(json!(w.post(DEFINITIONS, definition(&group, "Thing", untyped, false)).await.code));
    let mut schemaless = definition(&group, "Thing", open_schema(), false);
    schemaless["spec"]["versions"][0].as_object_mut().unwrap().remove("schema");
    seen.push(json!(w.post(DEFINITIONS, schemaless).await.code));
    let mut unstored = definition(&group, "Thing", open_schema(), false);
    unstored["spec"]["versions"][0]["storage"] = json!(false);
    seen.push(json!(w.post(DEFINITIONS, unstored).await.code));
    verdict(json!(seen), json!([[422, "Invalid", ["metadata.name"]], [422, "Invalid", ["spec.scope"]], 422, 422, 422]))
}

pub async fn removal(w: World) -> Verdict {
    let group = format!("{}.example.com", w.word);
    w.define(definition(&group, "Thing", open_schema(), false)).await;
    let things = format!("/apis/{group}/v1/namespaces/{{ns}}/things");
    let body =
        json!({"apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": {"name": "a"}, "spec": {"a": "x"}});
    w.post(&things, body).await.object();
    let path = format!("{DEFINITIONS}/things.{group}");
    w.delete(&path).await;
    w.until("the definition goes", async || w.get(&path).await.code == 404).await;
    w.until("the kind goes", async || w.get(&things).await.code == 404).await;
    // Made anew, it must not bring the old objects back.
    w.define(definition(&group, "Thing", open_schema(), false)).await;
    let names = w.names(&things).await;
    w.delete(&path).await;
    verdict(names, json!([]))
}

pub async fn valid_objects(w: World) -> Verdict {
    let mut seen = Vec::new();
    for (at, spec) in [
        json!({"size": 1}),
        json!({"size": 10, "word": "ab", "mode": "wild", "ratio": 1.5, "live": true, "port": 80}),
        json!({"size": 2, "port": "http", "note": null, "when": "2026-01-02T03:04:05Z"}),
        json!({"size": 2, "list": ["a", "b", "c"], "tags": {"a": "b"}, "parts": [{"key": "a"}, {"key": "b"}]}),
        json!({"size": 2, "open": {"any": [1, {"b": null}], "known": {"a": "x"}}, "ratio": 3}),
        json!({"size": 2, "words": ["a", "b"], "inner": {}}),
    ]
    .into_iter()
    .enumerate()
    {
        seen.push(w.post(WIDGETS, widget(&format!("a{at}"), spec)).await.code);
    }
    verdict(json!(seen), json!([201, 201, 201, 201, 201, 201]))
}

pub async fn invalid_objects(w: World) -> Verdict {
    let mut seen = Vec::new();
    let mut expected = Vec::new();
    let cases: &[(Value, &[&str])] = &[
        (json!({}), &["spec.size"]),
        (json!({"size": "x"}), &["spec.size"]),
        (json!({"size": 0}), &["spec.size"]),
        (json!({"size": 11}), &["spec.size"]),
        (json!({"size": 1.5}), &["spec.size"]),
        (json!({"size": null}), &["spec.size"]),
        (json!({"size": 1, "word": "A1"}), &["spec.word"]),
        (json!({"size": 1, "word": "a"}), &["spec.word"]),
        (json!({"size": 1, "word": "abcdefg"}), &["spec.word"]),
        (json!({"size": 1, "mode": "odd"}), &["spec.mode"]),
        (json!({"size": 1, "live": "yes"}), &["spec.live"]),
        (json!({"size": 1, "ratio": "x"}), &["spec.ratio"]),
        (json!({"size": 1, "port": true}), &["spec.port"]),
        (json!({"size": 1, "when": "yesterday"}), &["spec.when"]),
        (json!({"size": 1, "list": []}), &["spec.list"]),
        (json!({"size": 1, "list": ["a", "b", "c", "d"]}), &["spec.list"]),
        (json!({"size": 1, "tags": {"a": 1}}), &["spec.tags.a"]),
        (json!({"size": 1, "parts": [{"key": "a"}, {"key": "a"}]}), &["spec.parts.1"]),
        (json!({"size": 1, "words": ["a", "a"]}), &["spec.words.1"]),
        (json!({"size": 0, "mode": "odd", "inner": {"name": 3}}), &["spec.inner.name", "spec.mode", "spec.size"]),
    ];
    for (spec, fields) in cases {
        let reply = w.post(WIDGETS, widget("a", spec.clone())).await;
        seen.push(json!([spec, reply.brief()]));
        expected.push(json!([spec, [422, "Invalid", fields]]));
    }
    let mut specless = widget("a", json!({}));
    specless.as_object_mut().unwrap().remove("spec");
    let reply = w.post(WIDGETS, specless).await;
    seen.push(json!([reply.brief(), reply.body["details"]["causes"][0]["reason"], reply.body["details"]["kind"]]));
    expected.push(json!([[422, "Invalid", ["spec"]], "FieldValueRequired", "Widget"]));
    verdict(json!(seen), json!(expected))
}

pub async fn pruning(w: World) -> Verdict {
    let mut body = widget(
        "a",
        json!({"size": 1, "gone": 1, "inner": {"gone": 1, "name": "n"},
        "open": {"kept": {"deep": 1}, "known": {"a": "x", "gone": 1}}, "parts": [{"key": "k", "gone": 1}],
        "tags": {"any": "kept"}}),
    );
    body["gone"] = json!("x");
    body["metadata"]["gone"] = json!("x");
    body["status"] = json!({"phase": "x"});
    let made = w.post(WIDGETS, body).await.object();
    let seen = json!([made["spec"], made["gone"], made["metadata"]["gone"], made["status"]]);
    verdict(
        seen,
        json!([{"size": 1, "mode": "calm", "inner": {"name": "n", "depth": 3},
                "open": {"kept": {"deep": 1}, "known": {"a": "x"}}, "parts": [{"key": "k"}], "tags": {"any": "kept"}},
               null, null, null]),
    )
}

pub async fn defaulting(w: World) -> Verdict {
    let one = w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let two = w.post(WIDGETS, widget("b", json!({"size": 1, "mode": "wild", "inner": {}}))).await.object();
    let back = w.merge(&format!("{WIDGETS}/b"), json!({"spec": {"mode": null}})).await.object();
    verdict(
        json!([one["spec"], two["spec"], back["spec"]["mode"]]),
        json!([{"size": 1, "mode": "calm"}, {"size": 1, "mode": "wild", "inner": {"depth": 3}}, "calm"]),
    )
}

pub async fn nulls(w: World) -> Verdict {
    let kept = w.post(WIDGETS, widget("a", json!({"size": 1, "note": null, "mode": null}))).await;
    let dropped = w.post(WIDGETS, widget("b", json!({"size": 1, "word": null, "tags": {"a": null}}))).await;
    let refused = w.post(WIDGETS, widget("c", json!({"size": 1, "list": [null]}))).await;
    verdict(
        json!([kept.code, kept.body["spec"], dropped.code, dropped.body["spec"], refused.code]),
        json!([201, {"size": 1, "note": null, "mode": "calm"}, 201, {"size": 1, "mode": "calm", "tags": {}},
               422]),
    )
}

pub async fn two_versions(w: World) -> Verdict {
    let group = format!("{}.example.com", w.word);
    let mut body = definition(&group, "Thing", open_schema(), false);
    let mut beta = body["spec"]["versions"][0].clone();
    beta["name"] = json!("v1beta1");
    beta["storage"] = json!(false);
    body["spec"]["versions"].as_array_mut().unwrap().push(beta);
    w.define(body).await;
    let path = |version: &str| format!("/apis/{group}/{version}/namespaces/{{ns}}/things");
    w.until("both are served", async || w.get(&path("v1beta1")).await.code == 200).await;
    let object = json!({"apiVersion": format!("{group}/v1beta1"), "kind": "Thing", "metadata": {"name": "a"}, "spec": {"a": "x"}});
    let made = w.post(&path("v1beta1"), object).await.object();
    let got = w.get(&format!("{}/a", path("v1"))).await.object();
    w.until("the group is discovered", async || w.get(&format!("/apis/{group}")).await.code == 200).await;
    let preferred = w.get(&format!("/apis/{group}")).await.object()["preferredVersion"]["version"].clone();
    w.delete(&format!("{DEFINITIONS}/things.{group}")).await;
    let short = |o: &Value| o["apiVersion"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    verdict(json!([short(&made), short(&got), got["spec"], preferred]), json!(["v1beta1", "v1", {"a": "x"}, "v1"]))
}

pub async fn changed_schema(w: World) -> Verdict {
    let group = format!("{}.example.com", w.word);
    w.define(definition(&group, "Thing", open_schema(), false)).await;
    let things = format!("/apis/{group}/v1/namespaces/{{ns}}/things");
    let thing = |name: &str| json!({"apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": {"name": name}, "spec": {"a": "x", "b": 1}});
    let before = w.post(&things, thing("a")).await.object();
    let path = format!("{DEFINITIONS}/things.{group}");
    let change = json!([{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/b",
        "value": {"type": "integer"}}]);
    let patched = w.patch("json-patch+json", &path, change).await;
    let kept = async || {
        let reply = w.post(&format!("{things}?dryRun=All"), thing("b")).await;
        reply.body["spec"]["b"] == 1
    };
    w.until("the new schema is served", kept).await;
    let after = w.post(&things, thing("c")).await.object();
    w.delete(&path).await;
    verdict(json!([before["spec"], patched.code, after["spec"]]), json!([{"a": "x"}, 200, {"a": "x", "b": 1}]))
}
