//! From an HTTP request to a verb on a resource, and back to a response.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header, request::Parts};
use serde_json::{Value, json};

use super::discovery::{self, AUTHORIZATION};
use super::kinds::KindDef;
use super::reads::{self, ListOptions};
use super::removal::{self, RemovalOptions};
use super::selectors::{Fields, Labels, Selection};
use super::status_errors::{Cause, Named, Refusal};
use super::store::{Key, Store};
use super::watch::WatchOptions;
use super::writes::{self, PatchKind, WriteOptions};

/// A body may not be larger, as in etcd's and the API's own limits.
pub const MAX_BODY: usize = 3 * 1024 * 1024;

/// The annotation of a pod that its log is read from.
pub const LOG_ANNOTATION: &str = "practice.pilothouse.dev/log";

/// What the server answers.
pub enum Answer {
    /// One JSON body.
    Json(StatusCode, Value),
    /// Plain text.
    Text(String),
    /// A stream of events.
    Watch(Arc<KindDef>, Box<WatchOptions>),
}

/// How objects are shown: whole, or their metadata alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// As they are stored.
    Whole,
    /// As `PartialObjectMetadata`.
    Metadata,
}

impl View {
    /// One object.
    pub fn object(self, object: Value) -> Value {
        match self {
            View::Whole => object,
            View::Metadata if object["kind"] == "Status" => object,
            View::Metadata => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
            }),
        }
    }

    fn list(self, mut list: Value) -> Value {
        if self == View::Metadata {
            list["kind"] = json!("PartialObjectMetadataList");
            list["apiVersion"] = json!("meta.k8s.io/v1");
            for item in list["items"].as_array_mut().into_iter().flatten() {
                *item = self.object(item.take());
            }
        }
        list
    }
}

struct Request<'a> {
    method: &'a Method,
    query: HashMap<String, String>,
    content_type: String,
    view: View,
    agent: String,
    body: &'a [u8],
}

impl Request<'_> {
    fn query(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.query(name), "true" | "1")
    }

    fn dry_run(&self) -> Result<bool, Refusal> {
        match self.query("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => {
                let cause = Cause::not_supported("dryRun", &json!([other]), &["All".to_owned()]);
                let of = Named { group: "meta.k8s.io", what: "CreateOptions", name: "" };
                Err(Refusal::invalid(of, &[cause]))
            }
        }
    }

    fn json_body(&self) -> Result<Value, Refusal> {
        match self.content_type.as_str() {
            "" | "application/json" => serde_json::from_slice(self.body)
                .map_err(|e| Refusal::bad_request(format!("couldn't get version/kind; json parse error: {e}"))),
            "application/yaml" => self.yaml_body(),
            _ => Err(Refusal::unsupported_media(&["application/json", "application/yaml"])),
        }
    }

    fn yaml_body(&self) -> Result<Value, Refusal> {
        serde_yaml::from_slice(self.body).map_err(|e| Refusal::bad_request(format!("error decoding YAML: {e}")))
    }

    fn options_body(&self) -> Result<Value, Refusal> {
        if self.body.is_empty() { Ok(json!({})) } else { self.json_body() }
    }

    fn selection(&self, kind: &KindDef) -> Result<Selection, Refusal> {
        let selectable = kind.builtin.map_or(&[][..], |b| b.selectable);
        Ok(Selection {
            labels: Labels::parse(self.query("labelSelector"))?,
            fields: Fields::parse(self.query("fieldSelector"), selectable)?,
        })
    }

    fn write_options(&self, status: bool) -> Result<WriteOptions, Refusal> {
        let manager = match self.query("fieldManager") {
            "" => self.agent.clone(),
            named => named.to_owned(),
        };
        Ok(WriteOptions { manager, dry_run: self.dry_run()?, force: self.flag("force"), status })
    }
}

fn decode_segment(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Answers a request.
pub fn answer(store: &Store, parts: &Parts, body: &Bytes) -> Answer {
    match route(store, parts, body) {
        Ok(answer) => answer,
        Err(refusal) => {
            let code = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Answer::Json(code, refusal.status())
        }
    }
}

fn route(store: &Store, parts: &Parts, body: &Bytes) -> Result<Answer, Refusal> {
    if body.len() > MAX_BODY {
        return Err(Refusal::too_large_body());
    }
    let header_text =
        |name: header::HeaderName| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let agent = header_text(header::USER_AGENT).split('/').next().unwrap_or_default();
    let request = Request {
        method: &parts.method,
        query: query.into_owned().collect(),
        content_type: header_text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_owned(),
        view: if header_text(header::ACCEPT).contains("as=PartialObjectMetadata") {
            View::Metadata
        } else {
            View::Whole
        },
        agent: if agent.is_empty() { "unknown".to_owned() } else { agent.to_owned() },
        body,
    };
    let segments = parts.uri.path().split('/').filter(|s| !s.is_empty()).map(decode_segment).collect::<Vec<_>>();
    let segments = segments.iter().map(String::as_str).collect::<Vec<_>>();
    let found = |value: Value| Ok(Answer::Json(StatusCode::OK, value));
    let reads = *request.method == Method::GET;
    match segments.as_slice() {
        ["healthz" | "livez" | "readyz", ..] if reads => Ok(Answer::Text("ok".to_owned())),
        ["version"] if reads => found(discovery::version()),
        ["api"] if reads => found(discovery::core_versions()),
        ["apis"] if reads => found(store.with(|s| discovery::groups(&s.kinds))),
        ["apis", group] if reads => found(store.with(|s| discovery::group(&s.kinds, group))?),
        ["api", version] if reads => found(store.with(|s| discovery::resources(&s.kinds, "", version))?),
        ["apis", group, version] if reads => found(store.with(|s| discovery::resources(&s.kinds, group, version))?),
        ["apis", AUTHORIZATION, "v1", review] => review_access(&request, review),
        ["api", version, rest @ ..] => resource(store, &request, "", version, rest),
        ["apis", group, version, rest @ ..] => resource(store, &request, group, version, rest),
        _ => Err(Refusal::no_such_resource()),
    }
}

/// Everyone may do everything here.
fn review_access(request: &Request<'_>, review: &str) -> Result<Answer, Refusal> {
    let status = match review {
        "selfsubjectaccessreviews" => json!({"allowed": true, "reason": "the practice cluster allows everything"}),
        "selfsubjectrulesreviews" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        _ => return Err(Refusal::no_such_resource()),
    };
    if *request.method != Method::POST {
        return Err(Refusal::method_not_allowed());
    }
    let mut body = request.json_body()?;
    if !body.is_object() {
        return Err(Refusal::bad_request("the body of the request is not an object"));
    }
    body["status"] = status;
    Ok(Answer::Json(StatusCode::CREATED, body))
}

fn resource(
    store: &Store,
    request: &Request<'_>,
    group: &str,
    version: &str,
    path: &[&str],
) -> Result<Answer, Refusal> {
    let find = |plural: &str| store.with(|s| s.kinds.find(group, version, plural));
    // Below /namespaces lie the namespaced resources; the namespaces themselves are a resource of the core group.
    let (kind, namespace, rest) = match path {
        ["namespaces", namespace, plural, rest @ ..]
            if !(group.is_empty() && ["status", "finalize"].contains(plural) && rest.is_empty()) =>
        {
            let kind = find(plural).filter(|k| k.namespaced).ok_or_else(Refusal::no_such_resource)?;
            (kind, Some(*namespace), rest)
        }
        [plural, rest @ ..] => (find(plural).ok_or_else(Refusal::no_such_resource)?, None, rest),
        [] => return Err(Refusal::method_not_allowed()),
    };
    if kind.namespaced && namespace.is_none() && !rest.is_empty() {
        return Err(Refusal::no_such_resource());
    }
    match rest {
        [] => collection(store, request, &kind, namespace),
        [name] => object(store, request, &kind, &Key::new(&kind, namespace.unwrap_or_default(), name), false),
        [name, "status"] if kind.status => {
            object(store, request, &kind, &Key::new(&kind, namespace.unwrap_or_default(), name), true)
        }
        [name, "log"] if kind.is("", "pods") && *request.method == Method::GET => {
            log(store, request, &kind, &Key::new(&kind, namespace.unwrap_or_default(), name))
        }
        _ => Err(Refusal::no_such_resource()),
    }
}

fn collection(
    store: &Store,
    request: &Request<'_>,
    kind: &Arc<KindDef>,
    namespace: Option<&str>,
) -> Result<Answer, Refusal> {
    let everywhere = kind.namespaced && namespace.is_none();
    match request.method.as_str() {
        "GET" if request.flag("watch") => watch(store, request, kind, namespace),
        "GET" => {
            let options = ListOptions {
                selection: request.selection(kind)?,
                limit: request.query("limit").parse().unwrap_or_default(),
                continue_token: request.query("continue").to_owned(),
                version: request.query("resourceVersion").to_owned(),
                exact: request.query("resourceVersionMatch") == "Exact",
            };
            let list = store.with(|s| reads::list(s, kind, namespace, &options))?;
            Ok(Answer::Json(StatusCode::OK, request.view.list(list)))
        }
        "POST" if !everywhere => {
            let options = request.write_options(false)?;
            let body = request.json_body()?;
            let made = store.with(|s| writes::create(s, kind, namespace.unwrap_or_default(), body, &options))?;
            Ok(Answer::Json(StatusCode::CREATED, request.view.object((*made).clone())))
        }
        "DELETE" if !everywhere => {
            let policy = request.query.get("propagationPolicy").map(String::as_str);
            let options = RemovalOptions::read(&request.options_body()?, policy, request.dry_run()?)?;
            let selection = request.selection(kind)?;
            let list = store.with(|s| removal::delete_selected(s, kind, namespace, &selection, &options))?;
            Ok(Answer::Json(StatusCode::OK, request.view.list(list)))
        }
        // Custom kinds are not found there at all, as on a real server.
        _ if everywhere && kind.builtin.is_none() => Err(Refusal::no_such_resource()),
        _ => Err(Refusal::method_not_allowed()),
    }
}

fn watch(
    store: &Store,
    request: &Request<'_>,
    kind: &Arc<KindDef>,
    namespace: Option<&str>,
) -> Result<Answer, Refusal> {
    if request.query.contains_key("sendInitialEvents") {
        let words = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        let of = Named { group: "meta.k8s.io", what: "ListOptions", name: "" };
        return Err(Refusal::invalid(of, &[Cause::forbidden("sendInitialEvents", words)]));
    }
    let from = reads::parse_version(request.query("resourceVersion"))?.filter(|v| *v > 0);
    let newest = store.with(|s| s.version());
    if let Some(asked) = from.filter(|v| *v > newest) {
        return Err(Refusal::too_large_version(asked, newest));
    }
    let options = WatchOptions {
        selection: request.selection(kind)?,
        namespace: namespace.map(str::to_owned),
        from,
        bookmarks: request.flag("allowWatchBookmarks"),
        life: request.query("timeoutSeconds").parse().ok().filter(|s| *s > 0).map(Duration::from_secs),
        view: request.view,
    };
    Ok(Answer::Watch(kind.clone(), Box::new(options)))
}

fn object(
    store: &Store,
    request: &Request<'_>,
    kind: &Arc<KindDef>,
    key: &Key,
    status: bool,
) -> Result<Answer, Refusal> {
    let shown = |code: StatusCode, value: Value| Ok(Answer::Json(code, request.view.object(value)));
    match request.method.as_str() {
        "GET" => shown(StatusCode::OK, store.with(|s| reads::get(s, kind, key))?),
        "PUT" => {
            let options = request.write_options(status)?;
            let body = request.json_body()?;
            let stored = store.with(|s| writes::update(s, kind, key, body, &options))?;
            shown(StatusCode::OK, writes::as_version(kind, &stored))
        }
        "PATCH" => {
            let mut options = request.write_options(status)?;
            let (how, change) = patch_body(request, kind)?;
            if how == PatchKind::Apply {
                options.manager = request.query("fieldManager").to_owned();
            } else if options.force {
                let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
                let of = Named { group: "meta.k8s.io", what: "PatchOptions", name: "" };
                return Err(Refusal::invalid(of, &[cause]));
            }
            let (stored, created) = store.with(|s| writes::patch(s, kind, key, how, &change, &options))?;
            let code = if created { StatusCode::CREATED } else { StatusCode::OK };
            shown(code, writes::as_version(kind, &stored))
        }
        "DELETE" if !status => {
            let policy = request.query.get("propagationPolicy").map(String::as_str);
            let options = RemovalOptions::read(&request.options_body()?, policy, request.dry_run()?)?;
            shown(StatusCode::OK, store.with(|s| removal::delete(s, kind, key, &options))?)
        }
        _ => Err(Refusal::method_not_allowed()),
    }
}

/// What a pod's container has printed. Nothing runs here: who plays the container keeps it in an annotation.
fn log(store: &Store, request: &Request<'_>, kind: &Arc<KindDef>, key: &Key) -> Result<Answer, Refusal> {
    let pod = store.with(|s| reads::get(s, kind, key))?;
    let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let asked = request.query("container");
    if !asked.is_empty() && containers.iter().all(|one| one["name"] != asked) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        return Err(Refusal::bad_request(format!("container {asked} is not valid for pod {name}")));
    }
    let text = pod["metadata"]["annotations"][LOG_ANNOTATION].as_str().unwrap_or_default();
    let mut kept = text;
    if let Ok(lines) = request.query("tailLines").parse::<usize>() {
        let from = text.split_inclusive('\n').count().saturating_sub(lines);
        let skipped: usize = text.split_inclusive('\n').take(from).map(str::len).sum();
        kept = &text[skipped..];
    }
    if let Ok(limit) = request.query("limitBytes").parse::<usize>() {
        let mut end = limit.min(kept.len());
        while !kept.is_char_boundary(end) {
            end -= 1;
        }
        kept = &kept[..end];
    }
    Ok(Answer::Text(kept.to_owned()))
}

fn patch_body(request: &Request<'_>, kind: &KindDef) -> Result<(PatchKind, Value), Refusal> {
    let how = match request.content_type.as_str() {
        "application/merge-patch+json" => PatchKind::Merge,
        "application/json-patch+json" => PatchKind::Json,
        "application/strategic-merge-patch+json" => PatchKind::Strategic,
        "application/apply-patch+yaml" => return Ok((PatchKind::Apply, request.yaml_body()?)),
        _ => {
            let mut accepted = vec!["application/json-patch+json", "application/merge-patch+json"];
            if kind.builtin.is_some() {
                accepted.push("application/strategic-merge-patch+json");
            }
            accepted.push("application/apply-patch+yaml");
            return Err(Refusal::unsupported_media(&accepted));
        }
    };
    let body =
        serde_json::from_slice(request.body).map_err(|e| Refusal::bad_request(format!("error decoding patch: {e}")))?;
    Ok((how, body))
}
