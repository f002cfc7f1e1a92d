//! Delete: finalizers, preconditions, garbage, namespaces.

use serde_json::{Value, json};

use crate::world::*;

async fn gone(w: &World, path: &str) -> bool {
    w.get(path).await.code == 404
}

pub async fn delete_removes(w: World) -> Verdict {
    w.config_map("a", json!({})).await;
    let made = w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let built_in = w.delete(&format!("{CONFIG_MAPS}/a")).await;
    let custom = w.delete(&format!("{WIDGETS}/a")).await;
    let seen = json!([
        built_in.body["kind"],
        built_in.body["status"],
        built_in.body["details"]["name"],
        built_in.body["details"]["kind"],
        custom.body["status"],
        custom.body["details"]["group"],
        custom.body["details"]["uid"] == made["metadata"]["uid"],
        w.get(&format!("{CONFIG_MAPS}/a")).await.code,
        w.get(&format!("{WIDGETS}/a")).await.code,
    ]);
    verdict(
        seen,
        json!(["Status", "Success", "a", "configmaps", "Success", "conformance.pilothouse.dev", true, 404, 404]),
    )
}

pub async fn delete_of_the_absent(w: World) -> Verdict {
    let built_in = w.delete(&format!("{CONFIG_MAPS}/none")).await;
    let custom = w.delete(&format!("{WIDGETS}/none")).await;
    verdict(json!([built_in.brief(), custom.brief()]), json!([[404, "NotFound"], [404, "NotFound"]]))
}

pub async fn preconditions(w: World) -> Verdict {
    let made = w.config_map("a", json!({})).await;
    let path = format!("{CONFIG_MAPS}/a");
    let meta = &made["metadata"];
    let uid = w.delete_with(&path, json!({"preconditions": {"uid": "other"}})).await;
    let version = w.delete_with(&path, json!({"preconditions": {"resourceVersion": "1"}})).await;
    let right = json!({"preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}});
    let right = w.delete_with(&path, right).await;
    verdict(json!([uid.brief(), version.brief(), right.code]), json!([[409, "Conflict"], [409, "Conflict"], 200]))
}

pub async fn finalizers_hold(w: World) -> Verdict {
    let mut body = widget("a", json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(["example.com/one", "example.com/two"]);
    w.post(WIDGETS, body).await.object();
    let path = format!("{WIDGETS}/a");
    let first = w.delete(&path).await;
    let held = w.get(&path).await.object();
    let again = w.delete(&path).await;
    let still = w.get(&path).await;
    let one = w.merge(&path, json!({"metadata": {"finalizers": ["example.com/two"]}})).await;
    let between = w.get(&path).await.code;
    let none = w.merge(&path, json!({"metadata": {"finalizers": null}})).await;
    let seen = json!([
        first.code < 300,
        first.body["kind"],
        held["metadata"]["deletionTimestamp"].is_string(),
        held["metadata"]["deletionGracePeriodSeconds"],
        held["metadata"]["generation"],
        again.code < 300,
        still.version() == held["metadata"]["resourceVersion"],
        one.code,
        between,
        none.code,
        w.get(&path).await.code,
    ]);
    verdict(seen, json!([true, "Widget", true, 0, 2, true, true, 200, 200, 200, 404]))
}

pub async fn no_finalizers_added_while_leaving(w: World) -> Verdict {
    let mut body = widget("a", json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(["example.com/one"]);
    w.post(WIDGETS, body).await.object();
    let path = format!("{WIDGETS}/a");
    w.delete(&path).await;
    let added = w.merge(&path, json!({"metadata": {"finalizers": ["example.com/one", "example.com/two"]}})).await;
    w.merge(&path, json!({"metadata": {"finalizers": null}})).await;
    verdict(added.brief(), json!([422, "Invalid", ["metadata.finalizers"]]))
}

pub async fn spec_changes_while_leaving(w: World) -> Verdict {
    let mut body = widget("a", json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(["example.com/one"]);
    w.post(WIDGETS, body).await.object();
    let path = format!("{WIDGETS}/a");
    w.delete(&path).await;
    let changed = w.merge(&path, json!({"spec": {"size": 2}})).await;
    let status = w.merge(&format!("{path}/status"), json!({"status": {"phase": "Leaving"}})).await;
    let taken = w.post(WIDGETS, widget("a", json!({"size": 3}))).await;
    w.merge(&path, json!({"metadata": {"finalizers": null}})).await;
    let fresh = w.post(WIDGETS, widget("a", json!({"size": 3}))).await;
    verdict(
        json!([changed.code, status.code, taken.brief(), fresh.code]),
        json!([200, 200, [409, "AlreadyExists"], 201]),
    )
}

pub async fn collections(w: World) -> Verdict {
    for (name, label) in [("a", "go"), ("b", "stay"), ("c", "go")] {
        let mut body = widget(name, json!({"size": 1}));
        body["metadata"]["labels"] = json!({"what": label});
        w.post(WIDGETS, body).await.object();
    }
    let dry = w.delete(&format!("{WIDGETS}?labelSelector=what%3Dgo&dryRun=All")).await;
    let all = w.names(WIDGETS).await;
    let some = w.delete(&format!("{WIDGETS}?labelSelector=what%3Dgo")).await;
    let left = w.names(WIDGETS).await;
    let rest = w.delete(WIDGETS).await;
    let none = w.names(WIDGETS).await;
    let everywhere = w.delete("/apis/conformance.pilothouse.dev/v1/widgets").await;
    verdict(
        json!([dry.code, all, some.code, some.body["kind"], left, rest.code, none, everywhere.code]),
        json!([200, ["a", "b", "c"], 200, "WidgetList", ["b"], 200, [], 404]),
    )
}

pub async fn owners_take_dependants_along(w: World) -> Verdict {
    let owner = w.config_map("owner", json!({})).await;
    let child = w.post(CONFIG_MAPS, owned_by("child", &[&owner])).await.object();
    w.post(CONFIG_MAPS, owned_by("grandchild", &[&child])).await.object();
    w.config_map("stranger", json!({"owned": "no"})).await;
    w.delete_with(&format!("{CONFIG_MAPS}/owner"), json!({"propagationPolicy": "Background"})).await;
    let path = format!("{CONFIG_MAPS}?labelSelector=owned");
    w.until("the dependants go", async || w.names(&path).await == json!(["stranger"])).await;
    verdict(w.names(&path).await, json!(["stranger"]))
}

pub async fn dependants_of_two_owners(w: World) -> Verdict {
    let one = w.config_map("one", json!({})).await;
    let two = w.config_map("two", json!({})).await;
    w.post(CONFIG_MAPS, owned_by("child", &[&one, &two])).await.object();
    w.delete(&format!("{CONFIG_MAPS}/one")).await;
    let path = format!("{CONFIG_MAPS}/child");
    let owners = async || w.get(&path).await.body["metadata"]["ownerReferences"].clone();
    w.until("the lost owner is forgotten", async || owners().await.as_array().is_some_and(|o| o.len() == 1)).await;
    let left = owners().await[0]["name"].clone();
    w.delete(&format!("{CONFIG_MAPS}/two")).await;
    w.until("the dependant goes", async || gone(&w, &path).await).await;
    verdict(json!([left, gone(&w, &path).await]), json!(["two", true]))
}

pub async fn orphans_stay(w: World) -> Verdict {
    let owner = w.config_map("owner", json!({})).await;
    w.post(CONFIG_MAPS, owned_by("child", &[&owner])).await.object();
    w.delete_with(&format!("{CONFIG_MAPS}/owner"), json!({"propagationPolicy": "Orphan"})).await;
    w.until("the owner goes", async || gone(&w, &format!("{CONFIG_MAPS}/owner")).await).await;
    let child = w.get(&format!("{CONFIG_MAPS}/child")).await.object();
    verdict(json!(child["metadata"]["ownerReferences"].is_array()), json!(false))
}

pub async fn foreground_goes_last(w: World) -> Verdict {
    let owner = w.config_map("owner", json!({})).await;
    let mut child = owned_by("child", &[&owner]);
    child["metadata"]["finalizers"] = json!(["example.com/wait"]);
    w.post(CONFIG_MAPS, child).await.object();
    let reply = w.delete_with(&format!("{CONFIG_MAPS}/owner"), json!({"propagationPolicy": "Foreground"})).await;
    let child = format!("{CONFIG_MAPS}/child");
    let owner = format!("{CONFIG_MAPS}/owner");
    let leaving = async |path: &str| w.get(path).await.body["metadata"]["deletionTimestamp"].is_string();
    w.until("the dependant is being deleted", async || leaving(&child).await).await;
    let held = w.get(&owner).await;
    w.merge(&child, json!({"metadata": {"finalizers": null}})).await;
    w.until("the owner goes", async || gone(&w, &owner).await).await;
    verdict(
        json!([reply.code < 300, held.code, held.body["metadata"]["finalizers"], gone(&w, &child).await]),
        json!([true, 200, ["foregroundDeletion"], true]),
    )
}

pub async fn dependants_with_finalizers(w: World) -> Verdict {
    let owner = w.config_map("owner", json!({})).await;
    let mut child = owned_by("child", &[&owner]);
    child["metadata"]["finalizers"] = json!(["example.com/wait"]);
    w.post(CONFIG_MAPS, child).await.object();
    w.delete_with(&format!("{CONFIG_MAPS}/owner"), json!({"propagationPolicy": "Background"})).await;
    let child = format!("{CONFIG_MAPS}/child");
    let at_once = gone(&w, &format!("{CONFIG_MAPS}/owner")).await;
    let leaving = async || w.get(&child).await.body["metadata"]["deletionTimestamp"].is_string();
    w.until("the dependant is being deleted", leaving).await;
    w.merge(&child, json!({"metadata": {"finalizers": null}})).await;
    verdict(json!([at_once, gone(&w, &child).await]), json!([true, true]))
}

pub async fn absent_owner(w: World) -> Verdict {
    let nobody = json!({"metadata": {"name": "nobody", "uid": "11111111-2222-3333-4444-555555555555"}});
    let made = w.post(CONFIG_MAPS, owned_by("child", &[&nobody])).await;
    let path = format!("{CONFIG_MAPS}/child");
    w.until("the dependant of nobody goes", async || gone(&w, &path).await).await;
    verdict(json!([made.code, gone(&w, &path).await]), json!([201, true]))
}

async fn namespace(w: &World) -> String {
    let name = format!("conformance-{}-inner", w.word);
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let made = w.post("/api/v1/namespaces", body).await.object();
    assert_eq!(made["status"]["phase"], "Active");
    name
}

pub async fn namespaces_take_content_along(w: World) -> Verdict {
    let name = namespace(&w).await;
    let maps = format!("/api/v1/namespaces/{name}/configmaps");
    let widgets = format!("/apis/conformance.pilothouse.dev/v1/namespaces/{name}/widgets");
    w.post(&maps, config_map("a", json!({}))).await.object();
    w.post(&widgets, widget("a", json!({"size": 1}))).await.object();
    let path = format!("/api/v1/namespaces/{name}");
    let reply = w.delete(&path).await;
    w.until("the namespace goes", async || gone(&w, &path).await).await;
    let seen = json!([
        reply.body["kind"],
        reply.body["status"]["phase"],
        w.get(&format!("{maps}/a")).await.code,
        w.get(&format!("{widgets}/a")).await.code,
        w.post(&maps, config_map("b", json!({}))).await.brief(),
    ]);
    verdict(seen, json!(["Namespace", "Terminating", 404, 404, [404, "NotFound"]]))
}

pub async fn leaving_namespace_takes_nothing_new(w: World) -> Verdict {
    let name = namespace(&w).await;
    let maps = format!("/api/v1/namespaces/{name}/configmaps");
    let mut body = config_map("a", json!({}));
    body["metadata"]["finalizers"] = json!(["example.com/wait"]);
    w.post(&maps, body).await.object();
    w.delete(&format!("/api/v1/namespaces/{name}")).await;
    let new = w.post(&maps, config_map("b", json!({}))).await;
    let phase = w.get(&format!("/api/v1/namespaces/{name}")).await.object()["status"]["phase"].clone();
    let causes = &new.body["details"]["causes"][0]["reason"];
    let seen: Value = json!([new.code, new.body["reason"], causes, phase]);
    w.merge(&format!("{maps}/a"), json!({"metadata": {"finalizers": null}})).await;
    verdict(seen, json!([403, "Forbidden", "NamespaceTerminating", "Terminating"]))
}

pub async fn dry_run_delete(w: World) -> Verdict {
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let query = w.delete(&format!("{WIDGETS}/a?dryRun=All")).await;
    let body = w.delete_with(&format!("{WIDGETS}/a"), json!({"dryRun": ["All"]})).await;
    verdict(json!([query.code, body.code, w.get(&format!("{WIDGETS}/a")).await.code]), json!([200, 200, 200]))
}
