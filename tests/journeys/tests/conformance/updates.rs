//! Update (PUT), status, generations, Leases.

use serde_json::{Value, json};

use crate::world::*;

pub async fn put_replaces(w: World) -> Verdict {
    let made = w.config_map("a", json!({"l": "1"})).await;
    let mut body = made.clone();
    body["data"] = json!({"other": "x"});
    body["metadata"]["labels"] = json!({"m": "2"});
    let put = w.put(&format!("{CONFIG_MAPS}/a"), body).await.object();
    let seen = json!([
        put["data"],
        put["metadata"]["labels"],
        put["metadata"]["uid"] == made["metadata"]["uid"],
        put["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"],
    ]);
    verdict(seen, json!([{"other": "x"}, {"m": "2"}, true, false]))
}

pub async fn put_of_the_same_changes_nothing(w: World) -> Verdict {
    let made = w.config_map("a", json!({})).await;
    let put = w.put(&format!("{CONFIG_MAPS}/a"), made.clone()).await.object();
    let merged = w.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {"k": "v"}})).await.object();
    let version = |o: &Value| o["metadata"]["resourceVersion"].clone();
    verdict(json!([version(&put) == version(&made), version(&merged) == version(&made)]), json!([true, true]))
}

pub async fn stale_put(w: World) -> Verdict {
    let made = w.config_map("a", json!({})).await;
    w.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {"k": "2"}})).await.object();
    let mut body = made;
    body["data"]["k"] = json!("3");
    let reply = w.put(&format!("{CONFIG_MAPS}/a"), body).await;
    verdict(
        json!([reply.brief(), reply.body["details"], reply.body["message"]]),
        json!([[409, "Conflict"], {"name": "a", "kind": "configmaps"},
               "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"]),
    )
}

pub async fn put_without_version(w: World) -> Verdict {
    w.config_map("a", json!({})).await;
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let built_in = w.put(&format!("{CONFIG_MAPS}/a"), config_map("a", json!({"x": "y"}))).await;
    let custom = w.put(&format!("{WIDGETS}/a"), widget("a", json!({"size": 2}))).await;
    verdict(json!([built_in.brief(), custom.brief()]), json!([200, [422, "Invalid", ["metadata.resourceVersion"]]]))
}

pub async fn put_of_another_uid(w: World) -> Verdict {
    let mut body = w.config_map("a", json!({})).await;
    body["metadata"]["uid"] = json!("11111111-2222-3333-4444-555555555555");
    verdict(w.put(&format!("{CONFIG_MAPS}/a"), body).await.brief(), json!([409, "Conflict"]))
}

pub async fn put_elsewhere(w: World) -> Verdict {
    let body = w.config_map("a", json!({})).await;
    let name = w.put(&format!("{CONFIG_MAPS}/b"), body.clone()).await;
    let mut moved = body;
    moved["metadata"]["namespace"] = json!("default");
    let namespace = w.put(&format!("{CONFIG_MAPS}/a"), moved).await;
    verdict(json!([name.brief(), namespace.brief()]), json!([[400, "BadRequest"], [400, "BadRequest"]]))
}

pub async fn put_of_the_absent(w: World) -> Verdict {
    let built_in = w.put(&format!("{CONFIG_MAPS}/none"), config_map("none", json!({}))).await;
    let mut body = widget("none", json!({"size": 1}));
    body["metadata"]["resourceVersion"] = json!("1");
    let custom = w.put(&format!("{WIDGETS}/none"), body).await;
    verdict(json!([built_in.brief(), custom.brief()]), json!([[404, "NotFound"], [404, "NotFound"]]))
}

pub async fn selector_is_immutable(w: World) -> Verdict {
    let mut body = w.post(DEPLOYMENTS, deployment("a")).await.object();
    body["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    body["spec"]["selector"]["matchLabels"] = json!({"app": "a", "x": "y"});
    body["spec"]["template"]["metadata"]["labels"] = json!({"app": "a", "x": "y"});
    verdict(w.put(&format!("{DEPLOYMENTS}/a"), body).await.brief(), json!([422, "Invalid", ["spec.selector"]]))
}

pub async fn created_is_immutable(w: World) -> Verdict {
    let mut body = w.config_map("a", json!({})).await;
    let created = body["metadata"]["creationTimestamp"].clone();
    body["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
    body["data"]["x"] = json!("y");
    let without = w.put(&format!("{CONFIG_MAPS}/a"), body.clone()).await.object();
    let same = without["metadata"]["creationTimestamp"] == created;
    let mut generation = without;
    generation["metadata"]["generation"] = json!(7);
    let mut leaving = w.put(&format!("{CONFIG_MAPS}/a"), generation).await.object();
    leaving["metadata"]["deletionTimestamp"] = json!("2001-01-01T00:00:00Z");
    let leaving = w.put(&format!("{CONFIG_MAPS}/a"), leaving).await;
    verdict(json!([same, leaving.brief()]), json!([true, [422, "Invalid", ["metadata.deletionTimestamp"]]]))
}

pub async fn generation_counts_the_spec(w: World) -> Verdict {
    let generation = |o: Value| o["metadata"]["generation"].clone();
    let widget_path = format!("{WIDGETS}/a");
    let gadget_path = format!("{GADGETS}/a");
    let deployment_path = format!("{DEPLOYMENTS}/a");
    let mut seen = Vec::new();
    seen.push(generation(w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object()));
    seen.push(generation(w.merge(&widget_path, json!({"metadata": {"labels": {"a": "b"}}})).await.object()));
    seen.push(generation(w.merge(&widget_path, json!({"spec": {"size": 2}})).await.object()));
    seen.push(generation(w.merge(&format!("{widget_path}/status"), json!({"status": {"count": 1}})).await.object()));
    seen.push(generation(w.post(GADGETS, gadget("a", json!({"size": 1}))).await.object()));
    seen.push(generation(w.merge(&gadget_path, json!({"status": {"count": 1}})).await.object()));
    seen.push(generation(w.merge(&gadget_path, json!({"metadata": {"labels": {"a": "b"}}})).await.object()));
    seen.push(generation(w.post(DEPLOYMENTS, deployment("a")).await.object()));
    seen.push(generation(w.merge(&deployment_path, json!({"metadata": {"labels": {"a": "b"}}})).await.object()));
    seen.push(generation(w.merge(&deployment_path, json!({"spec": {"revisionHistoryLimit": 3}})).await.object()));
    verdict(json!(seen), json!([1, 1, 2, 2, 1, 2, 2, 1, 1, 2]))
}

pub async fn status_through_its_subresource(w: World) -> Verdict {
    let path = format!("{WIDGETS}/a");
    let made = w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let mut body = made.clone();
    body["spec"]["size"] = json!(9);
    body["metadata"]["labels"] = json!({"ignored": "yes"});
    body["status"] = json!({"phase": "Good", "gone": true});
    let status = w.put(&format!("{path}/status"), body).await.object();
    let mut body = status.clone();
    body["spec"]["size"] = json!(5);
    body["status"] = json!({"phase": "Bad"});
    let main = w.put(&path, body).await.object();
    let mut body = main.clone();
    body.as_object_mut().unwrap().remove("status");
    let without = w.put(&path, body).await.object();
    let seen = json!([
        status["spec"]["size"],
        status["metadata"]["labels"],
        status["status"],
        main["spec"]["size"],
        main["status"],
        without["status"],
        w.get(&format!("{path}/status")).await.object()["spec"]["size"],
    ]);
    verdict(seen, json!([1, null, {"phase": "Good"}, 5, {"phase": "Good"}, {"phase": "Good"}, 5]))
}

pub async fn status_patches(w: World) -> Verdict {
    let path = format!("{WIDGETS}/a");
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let merged =
        w.merge(&format!("{path}/status"), json!({"spec": {"size": 3}, "status": {"phase": "One"}})).await.object();
    let main = w.merge(&path, json!({"status": {"phase": "Two"}})).await.object();
    let invalid = w.merge(&format!("{path}/status"), json!({"status": {"count": "x"}})).await;
    let json_patch = json!([{"op": "add", "path": "/status/count", "value": 4}]);
    let patched = w.patch("json-patch+json", &format!("{path}/status"), json_patch).await.object();
    let seen = json!([merged["spec"]["size"], merged["status"], main["status"], invalid.brief(), patched["status"]]);
    verdict(
        seen,
        json!([1, {"phase": "One"}, {"phase": "One"}, [422, "Invalid", ["status.count"]], {"phase": "One", "count": 4}]),
    )
}

pub async fn stale_status(w: World) -> Verdict {
    let path = format!("{WIDGETS}/a");
    let made = w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    w.merge(&path, json!({"spec": {"size": 2}})).await.object();
    let mut body = made;
    body["status"] = json!({"phase": "Late"});
    verdict(w.put(&format!("{path}/status"), body).await.brief(), json!([409, "Conflict"]))
}

pub async fn no_status_subresource(w: World) -> Verdict {
    let mut body = gadget("a", json!({"any": {"thing": [1]}}));
    body["status"] = json!({"phase": "Kept"});
    let made = w.post(GADGETS, body).await.object();
    let merged = w.merge(&format!("{GADGETS}/a"), json!({"status": {"phase": "Changed"}})).await.object();
    let through = w.merge(&format!("{GADGETS}/a/status"), json!({"status": {"phase": "No"}})).await;
    verdict(
        json!([made["status"], made["spec"], merged["status"], through.code]),
        json!([{"phase": "Kept"}, {"any": {"thing": [1]}}, {"phase": "Changed"}, 404]),
    )
}

pub async fn one_lease_holder(w: World) -> Verdict {
    let path = format!("{LEASES}/lock");
    let lease = |holder: &str| {
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "lock"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}})
    };
    let first = w.post(LEASES, lease("one")).await;
    let second = w.post(LEASES, lease("two")).await;
    // Both saw the same lease; the slower one must learn that it lost.
    let seen_by_both = w.get(&path).await.object();
    let mut faster = seen_by_both.clone();
    faster["spec"]["holderIdentity"] = json!("two");
    let mut slower = seen_by_both;
    slower["spec"]["holderIdentity"] = json!("three");
    let faster = w.put(&path, faster).await;
    let slower = w.put(&path, slower).await;
    let blind = w.put(&path, lease("four")).await;
    let holder = w.get(&path).await.object()["spec"]["holderIdentity"].clone();
    let seen = json!([first.brief(), second.brief(), faster.brief(), slower.brief(), blind.brief(), holder]);
    let rule = json!([422, "Invalid", ["metadata.resourceVersion"]]);
    verdict(seen, json!([201, [409, "AlreadyExists"], 200, [409, "Conflict"], rule, "two"]))
}

pub async fn dry_run_update(w: World) -> Verdict {
    let path = format!("{CONFIG_MAPS}/a");
    let mut body = w.config_map("a", json!({})).await;
    body["data"]["k"] = json!("changed");
    let put = w.put(&format!("{path}?dryRun=All"), body).await.object();
    let merged = w.merge(&format!("{path}?dryRun=All"), json!({"data": {"k": "merged"}})).await.object();
    let now = w.get(&path).await.object();
    verdict(json!([put["data"]["k"], merged["data"]["k"], now["data"]["k"]]), json!(["changed", "merged", "v"]))
}
