//! Where a case runs: a client, a namespace of its own, and the kinds that the suite defines.

use std::time::{Duration, Instant};

use futures::{AsyncBufReadExt, StreamExt, stream::BoxStream};
use http::Request;
use kube::Client;
use kube::client::Body;
use pilothouse_practice::api::Server;
use pilothouse_rig::Rig;
use serde_json::{Value, json};

/// ConfigMaps of the case's namespace.
pub const CONFIG_MAPS: &str = "/api/v1/namespaces/{ns}/configmaps";
/// Deployments of the case's namespace.
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/{ns}/deployments";
/// Leases of the case's namespace.
pub const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases";
/// Custom objects with a status subresource.
pub const WIDGETS: &str = "/apis/conformance.pilothouse.dev/v1/namespaces/{ns}/widgets";
/// Custom objects without one.
pub const GADGETS: &str = "/apis/conformance.pilothouse.dev/v1/namespaces/{ns}/gadgets";
/// Custom objects with lists of all kinds. Their schema has no `x-kubernetes-int-or-string`, for which servers before
/// 1.21 apply every list of the kind as a whole.
pub const PARCELS: &str = "/apis/conformance.pilothouse.dev/v1/namespaces/{ns}/parcels";
/// Definitions.
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// How long a case waits for what a server does in its own time. Only spent when something is wrong.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a case saw, and what both servers must show.
pub struct Verdict {
    /// What was seen.
    pub seen: Value,
    /// What must be seen.
    pub expected: Value,
}

/// Joins the two halves of a verdict.
pub fn verdict(seen: Value, expected: Value) -> Verdict {
    Verdict { seen, expected }
}

/// An answer: code and body (a text where it is not JSON).
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status code.
    pub code: u16,
    /// The body.
    pub body: Value,
}

impl Reply {
    /// What must agree of an answer: the code, and of a refusal the reason and the fields that its causes name.
    pub fn brief(&self) -> Value {
        if self.code < 300 {
            return json!(self.code);
        }
        let causes = self.body["details"]["causes"].as_array();
        let mut fields =
            causes.into_iter().flatten().filter_map(|c| c["field"].as_str()).map(plain_field).collect::<Vec<_>>();
        fields.sort_unstable();
        fields.dedup();
        if fields.is_empty() {
            json!([self.code, self.body["reason"]])
        } else {
            json!([self.code, self.body["reason"], fields])
        }
    }

    /// The answer's object; fails the test when the request was refused.
    pub fn object(self) -> Value {
        assert!(self.code < 300, "{} {}", self.code, self.body);
        self.body
    }

    /// The object's resource version.
    pub fn version(&self) -> String {
        self.body["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
    }
}

/// Older servers write list indexes as `list.0`, newer ones as `list[0]`.
fn plain_field(field: &str) -> String {
    let mut out = String::new();
    for part in field.replace('[', ".").replace(']', "").split('.').filter(|p| !p.is_empty()) {
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(part);
    }
    out
}

/// One API, with a namespace for one case.
#[derive(Clone)]
pub struct World {
    /// The client, with all rights.
    pub client: Client,
    /// The case's namespace.
    pub namespace: String,
    /// A word that no other case uses.
    pub word: String,
    /// The practice API, where it is one.
    pub server: Option<Server>,
}

impl World {
    /// A practice API of its own.
    pub async fn practice() -> Self {
        let server = Server::new();
        Self::enter(server.client(), Some(server)).await
    }

    /// The rig's API server.
    pub async fn real() -> Self {
        Self::enter(Rig::get().client().await, None).await
    }

    async fn enter(client: Client, server: Option<Server>) -> Self {
        let seed = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "conformance-"}});
        let mut world = Self { client, namespace: String::new(), word: String::new(), server };
        let made = world.post("/api/v1/namespaces", seed).await.object();
        world.namespace = made["metadata"]["name"].as_str().unwrap().to_owned();
        world.word = world.namespace.replace("conformance-", "w");
        for definition in [widgets(), gadgets(), parcels()] {
            world.define(definition).await;
        }
        world
    }

    /// Registers a definition and waits until its kind is served.
    pub async fn define(&self, definition: Value) {
        let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
        let (plural, group) = name.split_once('.').unwrap();
        let version = definition["spec"]["versions"][0]["name"].as_str().unwrap().to_owned();
        let made = self.post(DEFINITIONS, definition).await;
        assert!(made.code == 201 || made.code == 409, "{} {}", made.code, made.body);
        let served = format!("/apis/{group}/{version}/{plural}");
        self.until("the kind is served", async || self.get(&served).await.code == 200).await;
    }

    /// Takes the case's namespace away; the server finishes it in its own time.
    pub async fn leave(&self) {
        self.delete("/api/v1/namespaces/{ns}").await;
    }

    /// Lets the server forget old versions: the practice API at once, a real one at its next compaction.
    pub fn age(&self) {
        if let Some(server) = &self.server {
            server.compact();
        }
    }

    /// Waits until something is so.
    pub async fn until(&self, what: &str, so: impl AsyncFn() -> bool) {
        let begin = Instant::now();
        while !so().await {
            assert!(begin.elapsed() < PATIENCE, "it did not happen that {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Any request; `{ns}` in the path is the case's namespace.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Reply {
        let mut request = Request::builder().method(method).uri(path.replace("{ns}", &self.namespace));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(Vec::new, |b| b.to_string().replace("{ns}", &self.namespace).into_bytes());
        let response = self.client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Reply { code, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], None).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], Some(body)).await
    }

    /// PUT.
    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send("PUT", path, &[("content-type", "application/json")], Some(body)).await
    }

    /// PATCH with a merge patch.
    pub async fn merge(&self, path: &str, body: Value) -> Reply {
        self.patch("merge-patch+json", path, body).await
    }

    /// PATCH of another type: what stands behind `application/`.
    pub async fn patch(&self, media: &str, path: &str, body: Value) -> Reply {
        self.send("PATCH", path, &[("content-type", &format!("application/{media}"))], Some(body)).await
    }

    /// Server-side apply.
    pub async fn apply(&self, manager: &str, path: &str, body: Value) -> Reply {
        self.patch("apply-patch+yaml", &format!("{path}?fieldManager={manager}"), body).await
    }

    /// Server-side apply that takes fields over.
    pub async fn apply_by_force(&self, manager: &str, path: &str, body: Value) -> Reply {
        self.patch("apply-patch+yaml", &format!("{path}?fieldManager={manager}&force=true"), body).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], None).await
    }

    /// DELETE with options.
    pub async fn delete_with(&self, path: &str, options: Value) -> Reply {
        self.send("DELETE", path, &[("content-type", "application/json")], Some(options)).await
    }

    /// A watch's events.
    pub async fn watch(&self, path: &str) -> BoxStream<'static, Value> {
        let uri = path.replace("{ns}", &self.namespace);
        let request = Request::builder().method("GET").uri(uri).body(Vec::new()).unwrap();
        let reader = Box::pin(self.client.request_stream(request).await.unwrap());
        reader.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).boxed()
    }

    /// The names of a list.
    pub async fn names(&self, path: &str) -> Value {
        names(&self.get(path).await.object())
    }

    /// Makes a ConfigMap with these labels.
    pub async fn config_map(&self, name: &str, labels: Value) -> Value {
        self.post(CONFIG_MAPS, config_map(name, labels)).await.object()
    }
}

/// The next `count` events as `[type, name, extra]`.
pub async fn events(stream: &mut BoxStream<'static, Value>, count: usize, extra: impl Fn(&Value) -> Value) -> Value {
    let mut out = Vec::new();
    while out.len() < count {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await.expect("an event in time");
        let Some(event) = next else { break };
        if event["type"] != "BOOKMARK" {
            out.push(json!([event["type"], event["object"]["metadata"]["name"], extra(&event["object"])]));
        }
    }
    Value::Array(out)
}

/// The names of the items of a list.
pub fn names(list: &Value) -> Value {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone()).collect()
}

/// A ConfigMap.
pub fn config_map(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"k": "v"}})
}

/// A ConfigMap that another object owns.
pub fn owned_by(name: &str, owners: &[&Value]) -> Value {
    let mut out = config_map(name, json!({"owned": "yes"}));
    out["metadata"]["ownerReferences"] = owners
        .iter()
        .map(|o| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": o["metadata"]["name"],
                   "uid": o["metadata"]["uid"], "blockOwnerDeletion": true})
        })
        .collect();
    out
}

/// A Deployment that no controller needs to finish.
pub fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "replicas": 0, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [
            {"name": "main", "image": "registry.example/main:1", "env": [{"name": "A", "value": "1"}]}]}}}})
}

/// A widget with this spec.
pub fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "conformance.pilothouse.dev/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

/// A gadget with this spec.
pub fn gadget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "conformance.pilothouse.dev/v1", "kind": "Gadget", "metadata": {"name": name}, "spec": spec})
}

/// A parcel with this spec.
pub fn parcel(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "conformance.pilothouse.dev/v1", "kind": "Parcel", "metadata": {"name": name}, "spec": spec})
}

/// A definition with one version.
pub fn definition(group: &str, kind: &str, schema: Value, has_status: bool) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    let mut version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    if has_status {
        version["subresources"] = json!({"status": {}});
    }
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")}, "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural}, "versions": [version]}})
}

fn widgets() -> Value {
    let schema = json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 10},
            "word": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 6},
            "mode": {"type": "string", "enum": ["calm", "wild"], "default": "calm"},
            "ratio": {"type": "number"},
            "live": {"type": "boolean"},
            "port": {"x-kubernetes-int-or-string": true},
            "note": {"type": "string", "nullable": true},
            "when": {"type": "string", "format": "date-time"},
            "inner": {"type": "object", "properties": {"depth": {"type": "integer", "default": 3},
                                                       "name": {"type": "string"}}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                     "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}}},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "list": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "string"}},
            "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"],
                      "items": {"type": "object", "required": ["key"], "properties": {
                          "key": {"type": "string"}, "value": {"type": "string"}}}},
            "words": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
        }},
        "status": {"type": "object", "properties": {"phase": {"type": "string"}, "count": {"type": "integer"}}}
    }});
    definition("conformance.pilothouse.dev", "Widget", schema, true)
}

fn gadgets() -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    definition("conformance.pilothouse.dev", "Gadget", schema, false)
}

fn parcels() -> Value {
    let text = json!({"type": "string"});
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"],
                  "items": {"type": "object", "required": ["key"], "properties": {"key": text, "value": text, "more": text}}},
        "words": {"type": "array", "x-kubernetes-list-type": "set", "items": text},
        "whole": {"type": "array", "items": text},
        "pair": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": text, "b": text}}
    }}}});
    definition("conformance.pilothouse.dev", "Parcel", schema, false)
}
