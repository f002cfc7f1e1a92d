//! The four kinds of patches.

use serde_json::{Value, json};

use crate::world::*;

pub async fn merge(w: World) -> Verdict {
    w.config_map("a", json!({"l": "1", "m": "2"})).await;
    let change = json!({"metadata": {"labels": {"l": null, "n": "3"}}, "data": {"k": null, "new": "x"}});
    let out = w.merge(&format!("{CONFIG_MAPS}/a"), change).await.object();
    w.post(WIDGETS, widget("a", json!({"size": 1, "list": ["a", "b"], "inner": {"name": "n"}}))).await.object();
    let change = json!({"spec": {"list": ["c"], "inner": {"depth": 9}}});
    let custom = w.merge(&format!("{WIDGETS}/a"), change).await.object();
    verdict(
        json!([out["metadata"]["labels"], out["data"], custom["spec"]["list"], custom["spec"]["inner"]]),
        json!([{"m": "2", "n": "3"}, {"new": "x"}, ["c"], {"name": "n", "depth": 9}]),
    )
}

pub async fn json(w: World) -> Verdict {
    w.post(WIDGETS, widget("a", json!({"size": 1, "list": ["a", "c"], "tags": {"x/y": "1"}}))).await.object();
    let change = json!([
        {"op": "test", "path": "/spec/size", "value": 1},
        {"op": "add", "path": "/spec/list/1", "value": "b"},
        {"op": "replace", "path": "/spec/size", "value": 2},
        {"op": "remove", "path": "/spec/tags/x~1y"},
        {"op": "copy", "from": "/spec/list/0", "path": "/spec/word"},
        {"op": "replace", "path": "/spec/word", "value": "word"},
        {"op": "move", "from": "/spec/word", "path": "/spec/note"},
    ]);
    let out = w.patch("json-patch+json", &format!("{WIDGETS}/a"), change).await.object();
    verdict(
        out["spec"].clone(),
        json!({"size": 2, "list": ["a", "b", "c"], "tags": {}, "note": "word", "mode": "calm"}),
    )
}

pub async fn json_that_does_not_fit(w: World) -> Verdict {
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let mut seen = Vec::new();
    for change in [
        json!([{"op": "test", "path": "/spec/size", "value": 2}]),
        json!([{"op": "remove", "path": "/spec/none"}]),
        json!([{"op": "replace", "path": "/spec/none/deeper", "value": 1}]),
        json!({"op": "add"}),
    ] {
        seen.push(w.patch("json-patch+json", &format!("{WIDGETS}/a"), change).await.brief());
    }
    verdict(json!(seen), json!([[422, "Invalid"], [422, "Invalid"], [422, "Invalid"], [400, "BadRequest"]]))
}

fn containers(object: &Value) -> &Value {
    &object["spec"]["template"]["spec"]["containers"]
}

pub async fn strategic(w: World) -> Verdict {
    w.post(DEPLOYMENTS, deployment("a")).await.object();
    let change = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "image": "registry.example/main:2", "env": [{"name": "B", "value": "2"}]},
        {"name": "side", "image": "registry.example/side:1"}]}}}});
    let out = w.patch("strategic-merge-patch+json", &format!("{DEPLOYMENTS}/a"), change).await.object();
    let mut list =
        containers(&out).as_array().unwrap().iter().map(|c| json!([c["name"], c["image"]])).collect::<Vec<_>>();
    list.sort_by_key(Value::to_string);
    let main = containers(&out).as_array().unwrap().iter().find(|c| c["name"] == "main").unwrap();
    let mut env = main["env"].as_array().unwrap().iter().map(|e| e["name"].clone()).collect::<Vec<_>>();
    env.sort_by_key(Value::to_string);
    verdict(
        json!([list, env]),
        json!([[["main", "registry.example/main:2"], ["side", "registry.example/side:1"]], ["A", "B"]]),
    )
}

pub async fn strategic_directives(w: World) -> Verdict {
    let mut body = deployment("a");
    body["metadata"]["finalizers"] = json!([]);
    body["spec"]["template"]["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "side", "image": "registry.example/side:1"}));
    w.post(DEPLOYMENTS, body).await.object();
    let change = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}, "template": {"spec": {
        "nodeSelector": {"a": "b"}, "containers": [{"name": "side", "$patch": "delete"}]}}}});
    let out = w.patch("strategic-merge-patch+json", &format!("{DEPLOYMENTS}/a"), change).await.object();
    let change = json!({"spec": {"template": {"spec": {"nodeSelector": {"$patch": "replace", "c": "d"}}}}});
    let replaced = w.patch("strategic-merge-patch+json", &format!("{DEPLOYMENTS}/a"), change).await.object();
    let seen = json!([
        containers(&out).as_array().unwrap().len(),
        out["spec"]["strategy"],
        replaced["spec"]["template"]["spec"]["nodeSelector"],
    ]);
    verdict(seen, json!([1, {"type": "Recreate"}, {"c": "d"}]))
}

pub async fn strategic_on_custom(w: World) -> Verdict {
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let reply = w.patch("strategic-merge-patch+json", &format!("{WIDGETS}/a"), json!({"spec": {"size": 2}})).await;
    verdict(reply.brief(), json!([415, "UnsupportedMediaType"]))
}

pub async fn unknown_patch_type(w: World) -> Verdict {
    w.config_map("a", json!({})).await;
    let reply = w.patch("nonsense+json", &format!("{CONFIG_MAPS}/a"), json!({})).await;
    let plain = w.patch("json", &format!("{CONFIG_MAPS}/a"), json!({})).await;
    verdict(
        json!([reply.brief(), plain.brief()]),
        json!([[415, "UnsupportedMediaType"], [415, "UnsupportedMediaType"]]),
    )
}

pub async fn stale_patch(w: World) -> Verdict {
    let made = w.config_map("a", json!({})).await;
    let version = &made["metadata"]["resourceVersion"];
    let path = format!("{CONFIG_MAPS}/a");
    let change = |value: &str| json!({"metadata": {"resourceVersion": version}, "data": {"k": value}});
    let first = w.merge(&path, change("1")).await;
    let second = w.merge(&path, change("2")).await;
    let applied = w
        .apply(
            "m",
            &path,
            json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "resourceVersion": version}, "data": {"z": "3"}}),
        )
        .await;
    verdict(json!([first.brief(), second.brief(), applied.brief()]), json!([200, [409, "Conflict"], [409, "Conflict"]]))
}

pub async fn patch_of_the_absent(w: World) -> Verdict {
    let merge = w.merge(&format!("{CONFIG_MAPS}/none"), json!({})).await;
    let json = w.patch("json-patch+json", &format!("{WIDGETS}/none"), json!([])).await;
    verdict(json!([merge.brief(), json.brief()]), json!([[404, "NotFound"], [404, "NotFound"]]))
}

pub async fn patch_to_invalid(w: World) -> Verdict {
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    w.post(DEPLOYMENTS, deployment("a")).await.object();
    let custom = w.merge(&format!("{WIDGETS}/a"), json!({"spec": {"size": 99, "mode": "odd"}})).await;
    let removed = w.merge(&format!("{WIDGETS}/a"), json!({"spec": {"size": null}})).await;
    let built_in = w.merge(&format!("{DEPLOYMENTS}/a"), json!({"spec": {"replicas": -1}})).await;
    let label = w.merge(&format!("{WIDGETS}/a"), json!({"metadata": {"labels": {"a": "b c"}}})).await;
    verdict(
        json!([custom.brief(), removed.brief(), built_in.brief(), label.brief()]),
        json!([
            [422, "Invalid", ["spec.mode", "spec.size"]],
            [422, "Invalid", ["spec.size"]],
            [422, "Invalid", ["spec.replicas"]],
            [422, "Invalid", ["metadata.labels"]]
        ]),
    )
}

pub async fn patch_of_identity(w: World) -> Verdict {
    w.config_map("a", json!({})).await;
    let path = format!("{CONFIG_MAPS}/a");
    let name = w.merge(&path, json!({"metadata": {"name": "b"}})).await;
    let uid = w.merge(&path, json!({"metadata": {"uid": "11111111-2222-3333-4444-555555555555"}})).await;
    verdict(json!([name.brief(), uid.brief()]), json!([[400, "BadRequest"], [422, "Invalid", ["metadata.uid"]]]))
}

fn config(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

fn managers(object: &Value) -> Value {
    let mut out = object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|e| e["operation"] == "Apply")
        .map(|e| e["manager"].clone())
        .collect::<Vec<_>>();
    out.sort_by_key(Value::to_string);
    Value::Array(out)
}

pub async fn apply_creates_and_updates(w: World) -> Verdict {
    let path = format!("{CONFIG_MAPS}/a");
    let made = w.apply("m", &path, config(json!({"x": "1"}))).await;
    let again = w.apply("m", &path, config(json!({"x": "1"}))).await;
    let changed = w.apply("m", &path, config(json!({"x": "2", "y": "3"}))).await;
    let custom = w.apply("m", &format!("{WIDGETS}/a"), widget("a", json!({"size": 4}))).await;
    let entry = &changed.body["metadata"]["managedFields"][0];
    let seen = json!([
        made.code,
        again.code,
        made.version() == again.version(),
        changed.code,
        changed.body["data"],
        entry["manager"],
        entry["operation"],
        entry["fieldsV1"]["f:data"]["f:y"],
        custom.code,
        custom.body["spec"],
    ]);
    verdict(
        seen,
        json!([201, 200, true, 200, {"x": "2", "y": "3"}, "m", "Apply", {}, 201, {"size": 4, "mode": "calm"}]),
    )
}

pub async fn apply_conflicts(w: World) -> Verdict {
    let path = format!("{CONFIG_MAPS}/a");
    w.apply("one", &path, config(json!({"x": "1", "y": "1"}))).await.object();
    let refused = w.apply("two", &path, config(json!({"x": "2", "z": "2"}))).await;
    let kept = w.get(&path).await.object()["data"].clone();
    let forced = w.apply_by_force("two", &path, config(json!({"x": "2", "z": "2"}))).await.object();
    // The first manager has lost x, so that to apply it again is now a conflict of its own.
    let back = w.apply("one", &path, config(json!({"x": "1", "y": "1"}))).await;
    let seen = json!([
        refused.brief(),
        refused.body["details"]["causes"][0]["reason"],
        refused.body["details"]["causes"][0]["field"],
        kept,
        forced["data"],
        managers(&forced),
        back.brief(),
    ]);
    verdict(
        seen,
        json!([[409, "Conflict", ["data.x"]], "FieldManagerConflict", ".data.x", {"x": "1", "y": "1"},
               {"x": "2", "y": "1", "z": "2"}, ["one", "two"], [409, "Conflict", ["data.x"]]]),
    )
}

pub async fn apply_shares_equal_values(w: World) -> Verdict {
    let path = format!("{CONFIG_MAPS}/a");
    w.apply("one", &path, config(json!({"x": "1"}))).await.object();
    let both = w.apply("two", &path, config(json!({"x": "1"}))).await.object();
    let left = w.apply("one", &path, config(json!({"own": "1"}))).await.object();
    let gone = w.apply("two", &path, config(json!({"other": "2"}))).await.object();
    verdict(
        json!([managers(&both), left["data"], gone["data"]]),
        json!([["one", "two"], {"x": "1", "own": "1"}, {"own": "1", "other": "2"}]),
    )
}

pub async fn apply_drops_what_is_left_out(w: World) -> Verdict {
    let path = format!("{WIDGETS}/a");
    w.apply(
        "m",
        &path,
        widget("a", json!({"size": 1, "word": "abc", "tags": {"a": "1", "b": "2"}, "words": ["x", "y"]})),
    )
    .await
    .object();
    let mut config = widget("a", json!({"size": 1, "tags": {"a": "1"}, "words": ["y", "z"]}));
    config["metadata"]["labels"] = json!({"l": "1"});
    let out = w.apply("m", &path, config).await.object();
    let unlabelled = w.apply("m", &path, widget("a", json!({"size": 1}))).await.object();
    let labels = unlabelled["metadata"]["labels"].as_object().is_none_or(serde_json::Map::is_empty);
    verdict(
        json!([out["spec"]["word"], out["spec"]["tags"], out["spec"]["words"], out["metadata"]["labels"], labels]),
        json!([null, {"a": "1"}, ["y", "z"], {"l": "1"}, true]),
    )
}

pub async fn apply_keeps_what_others_own(w: World) -> Verdict {
    let path = format!("{CONFIG_MAPS}/a");
    w.apply("one", &path, config(json!({"x": "1"}))).await.object();
    w.merge(&format!("{path}?fieldManager=hand"), json!({"data": {"h": "1"}})).await.object();
    let out = w.apply("one", &path, config(json!({"y": "1"}))).await.object();
    verdict(out["data"].clone(), json!({"h": "1", "y": "1"}))
}

pub async fn apply_merges_keyed_lists(w: World) -> Verdict {
    let path = format!("{PARCELS}/a");
    let part = |key: &str, value: &str| json!({"key": key, "value": value});
    let parts = |list: &[Value]| parcel("a", json!({"parts": list}));
    w.apply("one", &path, parts(&[part("a", "1"), part("b", "1")])).await.object();
    w.apply("two", &path, parts(&[part("c", "2"), json!({"key": "a", "more": "x"})])).await.object();
    let both = w.get(&path).await.object()["spec"]["parts"].clone();
    let conflict = w.apply("three", &path, parts(&[part("a", "3")])).await;
    // The second manager still owns a field in part a, so that only the first one's fields go.
    let left = w.apply("one", &path, parts(&[part("b", "3")])).await.object();
    let seen =
        json!([both, conflict.brief()[0], conflict.body["details"]["causes"][0]["field"], left["spec"]["parts"]]);
    verdict(
        seen,
        json!([[{"key": "a", "value": "1", "more": "x"}, part("b", "1"), part("c", "2")], 409,
               ".spec.parts[key=\"a\"].value", [{"key": "a", "more": "x"}, part("b", "3"), part("c", "2")]]),
    )
}

pub async fn apply_merges_sets(w: World) -> Verdict {
    let path = format!("{PARCELS}/a");
    let config = |words: &[&str], pair: Value| parcel("a", json!({"words": words, "pair": pair}));
    w.apply("one", &path, config(&["x", "y"], json!({"a": "1", "b": "1"}))).await.object();
    w.apply("two", &path, parcel("a", json!({"words": ["y", "z"]}))).await.object();
    let out = w.apply("one", &path, config(&["x"], json!({"a": "2"}))).await.object();
    let conflict = w.apply("two", &path, config(&[], json!({"b": "3"}))).await;
    verdict(
        json!([out["spec"]["words"], out["spec"]["pair"], conflict.brief()]),
        json!([["x", "y", "z"], {"a": "2"}, [409, "Conflict", ["spec.pair"]]]),
    )
}

pub async fn apply_merges_pods(w: World) -> Verdict {
    let path = format!("{DEPLOYMENTS}/a");
    let env = |list: Value| {
        let mut out = deployment("a");
        out["spec"]["template"]["spec"]["containers"][0]["env"] = list;
        out
    };
    w.apply("one", &path, env(json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))).await.object();
    let changed = w.apply("one", &path, env(json!([{"name": "B", "value": "3"}]))).await.object();
    let side = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"template": {"spec":
        {"containers": [{"name": "side", "image": "registry.example/side:1"}]}}}});
    let joined = w.apply("two", &path, side).await.object();
    let image = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"template": {"spec":
        {"containers": [{"name": "main", "image": "registry.example/main:9"}]}}}});
    let refused = w.apply("three", &path, image).await;
    let names = containers(&joined).as_array().unwrap().iter().map(|c| c["name"].clone()).collect::<Vec<_>>();
    verdict(
        json!([containers(&changed)[0]["env"], names, refused.body["details"]["causes"][0]["field"]]),
        json!([[{"name": "B", "value": "3"}], ["main", "side"], ".spec.template.spec.containers[name=\"main\"].image"]),
    )
}

pub async fn apply_replaces_atomic_lists(w: World) -> Verdict {
    let path = format!("{WIDGETS}/a");
    w.apply("one", &path, widget("a", json!({"size": 1, "list": ["a", "b"]}))).await.object();
    let own = w.apply("one", &path, widget("a", json!({"size": 1, "list": ["c"]}))).await.object();
    let other = w.apply("two", &path, widget("a", json!({"size": 1, "list": ["d"]}))).await;
    verdict(json!([own["spec"]["list"], other.brief()]), json!([["c"], [409, "Conflict", ["spec.list"]]]))
}

pub async fn apply_after_update_conflicts(w: World) -> Verdict {
    let path = format!("{CONFIG_MAPS}/a");
    w.apply("one", &path, config(json!({"x": "1"}))).await.object();
    w.merge(&format!("{path}?fieldManager=hand"), json!({"data": {"x": "2"}})).await.object();
    let refused = w.apply("one", &path, config(json!({"x": "1"}))).await;
    let agreed = w.apply("one", &path, config(json!({"x": "2"}))).await;
    let forced = w.apply_by_force("one", &path, config(json!({"x": "3"}))).await.object();
    verdict(
        json!([refused.brief(), agreed.code, forced["data"]]),
        json!([[409, "Conflict", ["data.x"]], 200, {"x": "3"}]),
    )
}

pub async fn apply_needs_a_manager(w: World) -> Verdict {
    let path = format!("{CONFIG_MAPS}/a");
    let nobody = w.patch("apply-patch+yaml", &path, config(json!({}))).await;
    let mut managed = config(json!({}));
    managed["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Apply", "apiVersion": "v1",
        "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}}]);
    w.config_map("a", json!({})).await;
    let managed = w.apply("m", &path, managed).await;
    verdict(json!([nobody.brief(), managed.brief()]), json!([[422, "Invalid", ["fieldManager"]], [400, "BadRequest"]]))
}

pub async fn apply_of_status(w: World) -> Verdict {
    let path = format!("{WIDGETS}/a");
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let config = json!({"apiVersion": "conformance.pilothouse.dev/v1", "kind": "Widget", "metadata": {"name": "a"},
        "status": {"phase": "Good"}});
    let out = w.apply("m", &format!("{path}/status"), config.clone()).await.object();
    let main = w.merge(&path, json!({"spec": {"size": 2}})).await.object();
    verdict(
        json!([out["status"], out["spec"]["size"], main["status"]]),
        json!([{"phase": "Good"}, 1, {"phase": "Good"}]),
    )
}

pub async fn force_is_for_apply(w: World) -> Verdict {
    w.config_map("a", json!({})).await;
    let reply = w.merge(&format!("{CONFIG_MAPS}/a?force=true"), json!({"data": {"k": "2"}})).await;
    verdict(reply.brief(), json!([422, "Invalid", ["force"]]))
}

pub async fn dry_run_apply(w: World) -> Verdict {
    let path = format!("{CONFIG_MAPS}/a");
    let made =
        w.patch("apply-patch+yaml", &format!("{path}?fieldManager=m&dryRun=All"), config(json!({"x": "1"}))).await;
    let absent = w.get(&path).await.code;
    w.apply("m", &path, config(json!({"x": "1"}))).await.object();
    let changed =
        w.patch("apply-patch+yaml", &format!("{path}?fieldManager=m&dryRun=All"), config(json!({"x": "2"}))).await;
    let now = w.get(&path).await.object();
    verdict(json!([made.code, absent, changed.body["data"], now["data"]]), json!([201, 404, {"x": "2"}, {"x": "1"}]))
}
