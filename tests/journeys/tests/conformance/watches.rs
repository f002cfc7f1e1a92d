//! Watch: from where it starts, what it shows, how it ends.

use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};

use crate::world::*;

fn size(object: &Value) -> Value {
    object["spec"]["size"].clone()
}

async fn version(w: &World) -> String {
    w.get(WIDGETS).await.version()
}

pub async fn from_a_version(w: World) -> Verdict {
    w.post(WIDGETS, widget("before", json!({"size": 1}))).await.object();
    let from = version(&w).await;
    let mut stream = w.watch(&format!("{WIDGETS}?watch=true&resourceVersion={from}")).await;
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    w.merge(&format!("{WIDGETS}/a"), json!({"spec": {"size": 2}})).await.object();
    w.merge(&format!("{WIDGETS}/before"), json!({"spec": {"size": 3}})).await.object();
    w.merge(&format!("{WIDGETS}/a/status"), json!({"status": {"phase": "x"}})).await.object();
    w.delete(&format!("{WIDGETS}/a")).await;
    let seen = events(&mut stream, 5, size).await;
    verdict(
        seen,
        json!([
            ["ADDED", "a", 1],
            ["MODIFIED", "a", 2],
            ["MODIFIED", "before", 3],
            ["MODIFIED", "a", 2],
            ["DELETED", "a", 2]
        ]),
    )
}

pub async fn from_the_start(w: World) -> Verdict {
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    w.post(WIDGETS, widget("b", json!({"size": 2}))).await.object();
    let mut unnamed = w.watch(&format!("{WIDGETS}?watch=true")).await;
    let mut first = events(&mut unnamed, 2, size).await;
    // What is there already comes in no order.
    first.as_array_mut().unwrap().sort_by_key(Value::to_string);
    w.delete(&format!("{WIDGETS}/a")).await;
    let then = events(&mut unnamed, 1, size).await;
    let mut zero = w.watch(&format!("{WIDGETS}?watch=true&resourceVersion=0")).await;
    let any = zero.next().await.unwrap()["type"].clone();
    verdict(json!([first, then, any]), json!([[["ADDED", "a", 1], ["ADDED", "b", 2]], [["DELETED", "a", 1]], "ADDED"]))
}

pub async fn resumed(w: World) -> Verdict {
    let from = version(&w).await;
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let middle = w.merge(&format!("{WIDGETS}/a"), json!({"spec": {"size": 2}})).await.version();
    w.merge(&format!("{WIDGETS}/a"), json!({"spec": {"size": 3}})).await.object();
    w.post(WIDGETS, widget("b", json!({"size": 4}))).await.object();
    let mut whole = w.watch(&format!("{WIDGETS}?watch=true&resourceVersion={from}")).await;
    let mut rest = w.watch(&format!("{WIDGETS}?watch=true&resourceVersion={middle}")).await;
    verdict(
        json!([events(&mut whole, 4, size).await, events(&mut rest, 2, size).await]),
        json!([
            [["ADDED", "a", 1], ["MODIFIED", "a", 2], ["MODIFIED", "a", 3], ["ADDED", "b", 4]],
            [["MODIFIED", "a", 3], ["ADDED", "b", 4]]
        ]),
    )
}

pub async fn selectors_move_objects_in_and_out(w: World) -> Verdict {
    let mut body = widget("in", json!({"size": 1}));
    body["metadata"]["labels"] = json!({"on": "yes"});
    w.post(WIDGETS, body).await.object();
    w.post(WIDGETS, widget("out", json!({"size": 2}))).await.object();
    let mut stream =
        w.watch(&format!("{WIDGETS}?watch=true&labelSelector=on%3Dyes&resourceVersion={}", version(&w).await)).await;
    let on = |value: Value| json!({"metadata": {"labels": {"on": value}}});
    w.merge(&format!("{WIDGETS}/out"), on(json!("yes"))).await.object();
    w.merge(&format!("{WIDGETS}/out"), json!({"spec": {"size": 5}})).await.object();
    w.merge(&format!("{WIDGETS}/in"), on(json!("no"))).await.object();
    w.merge(&format!("{WIDGETS}/in"), json!({"spec": {"size": 6}})).await.object();
    w.merge(&format!("{WIDGETS}/in"), on(json!("yes"))).await.object();
    w.delete(&format!("{WIDGETS}/out")).await;
    let seen = events(&mut stream, 5, |o| json!([o["spec"]["size"], o["metadata"]["labels"]["on"]])).await;
    verdict(
        seen,
        json!([
            ["ADDED", "out", [2, "yes"]],
            ["MODIFIED", "out", [5, "yes"]],
            ["DELETED", "in", [1, "yes"]],
            ["ADDED", "in", [6, "yes"]],
            ["DELETED", "out", [5, "yes"]]
        ]),
    )
}

pub async fn one_object(w: World) -> Verdict {
    let from = version(&w).await;
    let mut stream =
        w.watch(&format!("{WIDGETS}?watch=true&fieldSelector=metadata.name%3Db&resourceVersion={from}")).await;
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    w.post(WIDGETS, widget("b", json!({"size": 2}))).await.object();
    w.delete(&format!("{WIDGETS}/a")).await;
    w.delete(&format!("{WIDGETS}/b")).await;
    verdict(events(&mut stream, 2, size).await, json!([["ADDED", "b", 2], ["DELETED", "b", 2]]))
}

pub async fn too_old(w: World) -> Verdict {
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let mut stream = w.watch(&format!("{WIDGETS}?watch=true&resourceVersion=1")).await;
    let event = stream.next().await.unwrap();
    let end = stream.next().await.is_none();
    let object = &event["object"];
    verdict(
        json!([event["type"], object["kind"], object["code"], object["reason"], end]),
        json!(["ERROR", "Status", 410, "Expired", true]),
    )
}

pub async fn times_out(w: World) -> Verdict {
    w.post(WIDGETS, widget("a", json!({"size": 1}))).await.object();
    let stream = w.watch(&format!("{WIDGETS}?watch=true&timeoutSeconds=1")).await;
    let all = stream.collect::<Vec<_>>().await;
    let kinds = all.iter().map(|e| e["type"].clone()).collect::<Vec<_>>();
    verdict(json!(kinds), json!(["ADDED"]))
}

pub async fn finalized_objects(w: World) -> Verdict {
    let mut body = widget("a", json!({"size": 1}));
    body["metadata"]["finalizers"] = json!(["example.com/one"]);
    w.post(WIDGETS, body).await.object();
    let mut stream = w.watch(&format!("{WIDGETS}?watch=true&resourceVersion={}", version(&w).await)).await;
    w.delete(&format!("{WIDGETS}/a")).await;
    w.merge(&format!("{WIDGETS}/a"), json!({"metadata": {"finalizers": null}})).await.object();
    let seen = events(&mut stream, 2, |o| json!(o["metadata"]["deletionTimestamp"].is_string())).await;
    verdict(seen, json!([["MODIFIED", "a", true], ["DELETED", "a", true]]))
}

pub async fn bookmarks(w: World) -> Verdict {
    let made = w.post(WIDGETS, widget("a", json!({"size": 1}))).await;
    let path = format!("{WIDGETS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=5");
    // A busy API server may miss the moment before the end at which it sends one; that is allowed, so ask again.
    let mut all = Vec::new();
    for _ in 0..5 {
        all = w.watch(&path).await.collect::<Vec<_>>().await;
        if all.last().is_some_and(|event| event["type"] == "BOOKMARK") {
            break;
        }
    }
    let number = |text: &Value| text.as_str().unwrap().parse::<u64>().unwrap();
    let last = all.last().unwrap();
    let meta = &last["object"]["metadata"];
    let reaches = number(&meta["resourceVersion"]) >= made.version().parse::<u64>().unwrap();
    verdict(
        json!([all[0]["type"], last["type"], last["object"]["kind"], meta["name"].is_string(), reaches]),
        json!(["ADDED", "BOOKMARK", "Widget", false, true]),
    )
}

pub async fn ends_with_its_kind(w: World) -> Verdict {
    let group = format!("{}.example.com", w.word);
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    w.define(definition(&group, "Thing", schema, false)).await;
    let things = format!("/apis/{group}/v1/namespaces/{{ns}}/things");
    let body = json!({"apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": {"name": "a"}});
    w.post(&things, body).await.object();
    let mut stream = w.watch(&format!("{things}?watch=true")).await;
    let first = events(&mut stream, 1, |_| Value::Null).await;
    w.delete(&format!("{DEFINITIONS}/things.{group}")).await;
    let rest = events(&mut stream, 9, |_| Value::Null).await;
    verdict(json!([first, rest]), json!([[["ADDED", "a", null]], [["DELETED", "a", null]]]))
}

pub async fn client_watcher(w: World) -> Verdict {
    let kind = GroupVersionKind::gvk("conformance.pilothouse.dev", "v1", "Widget");
    let api: Api<DynamicObject> =
        Api::namespaced_with(w.client.clone(), &w.namespace, &ApiResource::from_gvk_with_plural(&kind, "widgets"));
    for name in ["a", "b", "c"] {
        w.post(WIDGETS, widget(name, json!({"size": 1}))).await.object();
    }
    // Pages of two: the start takes more than one.
    let config = watcher::Config::default().page_size(2);
    let mut stream = watcher(api, config).default_backoff().boxed();
    let mut seen = Vec::new();
    while seen.len() < 7 {
        let event = tokio::time::timeout(std::time::Duration::from_secs(60), stream.next()).await.unwrap();
        let name = |o: &DynamicObject| o.metadata.name.clone().unwrap();
        match event.unwrap().unwrap() {
            watcher::Event::Init => seen.push("init".to_owned()),
            watcher::Event::InitApply(o) => seen.push(format!("start {}", name(&o))),
            watcher::Event::InitDone => {
                seen.push("ready".to_owned());
                w.merge(&format!("{WIDGETS}/b"), json!({"spec": {"size": 2}})).await.object();
                w.delete(&format!("{WIDGETS}/c")).await;
            }
            watcher::Event::Apply(o) => seen.push(format!("apply {}", name(&o))),
            watcher::Event::Delete(o) => seen.push(format!("delete {}", name(&o))),
        }
    }
    verdict(json!(seen), json!(["init", "start a", "start b", "start c", "ready", "apply b", "delete c"]))
}
