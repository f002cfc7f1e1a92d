//! The API's own error body: a `Status` object with code, reason and causes.
//!
//! Wording follows `k8s.io/apimachinery/pkg/api/errors` and `pkg/util/validation/field`.

use serde_json::{Value, json};

/// A refused request: everything a `Status` failure carries.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP status code, repeated in the body.
    pub code: u16,
    /// Machine-readable reason, `NotFound` for example.
    pub reason: &'static str,
    /// What went wrong, in words.
    pub message: String,
    /// `details` of the `Status`: the object meant and the causes.
    pub details: Value,
}

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Machine-readable reason, `FieldValueRequired` for example.
    pub reason: &'static str,
    /// What is wrong with the field, without its path.
    pub message: String,
    /// Path of the field, `spec.replicas` for example.
    pub field: String,
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "\"null\"".to_owned(),
        other => other.to_string(),
    }
}

impl Cause {
    fn new(reason: &'static str, field: impl Into<String>, message: String) -> Self {
        Self { reason, message, field: field.into() }
    }

    /// A field that must be given and was not.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Self::new("FieldValueRequired", field, message)
    }

    /// A value that breaks a rule of its field.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {}: {detail}", shown(value)))
    }

    /// A value of another type than the field's.
    pub fn wrong_type(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new("FieldValueTypeInvalid", field, format!("Invalid value: {}: {detail}", shown(value)))
    }

    /// A value outside the field's list of values.
    pub fn not_supported(field: impl Into<String>, value: &Value, allowed: &[String]) -> Self {
        let list = allowed.iter().map(|a| format!("{a:?}")).collect::<Vec<_>>().join(", ");
        Self::new(
            "FieldValueNotSupported",
            field,
            format!("Unsupported value: {}: supported values: {list}", shown(value)),
        )
    }

    /// A value that stands twice in a list of distinct values.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new("FieldValueDuplicate", field, format!("Duplicate value: {}", shown(value)))
    }

    /// A text longer than the field takes.
    pub fn too_long(field: impl Into<String>, limit: u64) -> Self {
        Self::new("FieldValueTooLong", field, format!("Too long: may not be longer than {limit}"))
    }

    /// A list longer than the field takes.
    pub fn too_many(field: impl Into<String>, count: usize, limit: u64) -> Self {
        Self::new("FieldValueTooMany", field, format!("Too many: {count}: must have at most {limit} items"))
    }

    /// A value that may not be given here.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {detail}"))
    }

    fn json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }

    fn words(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

/// How a resource is named in an error: `deployments.apps "cart"`.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Plural (most errors) or kind (validation errors).
    pub what: &'a str,
    /// Name of the object.
    pub name: &'a str,
}

impl Named<'_> {
    fn qualified(&self) -> String {
        if self.group.is_empty() { self.what.to_owned() } else { format!("{}.{}", self.what, self.group) }
    }

    fn details(&self) -> Value {
        let mut out = json!({});
        for (key, text) in [("name", self.name), ("group", self.group), ("kind", self.what)] {
            if !text.is_empty() {
                out[key] = json!(text);
            }
        }
        out
    }
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: String, details: Value) -> Self {
        Self { code, reason, message, details }
    }

    /// The `Status` object for the wire.
    pub fn status(&self) -> Value {
        let mut out = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason,
        });
        if self.details.as_object().is_some_and(|d| !d.is_empty()) {
            out["details"] = self.details.clone();
        }
        out["code"] = json!(self.code);
        out
    }

    /// 400: the request cannot be read.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message.into(), json!({}))
    }

    /// 404: no such resource type or path.
    pub fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource".to_owned(), json!({}))
    }

    /// 404: no such object.
    pub fn not_found(of: Named<'_>) -> Self {
        Self::new(404, "NotFound", format!("{} {:?} not found", of.qualified(), of.name), of.details())
    }

    /// 405: the path exists, the verb does not.
    pub fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource".to_owned(),
            json!({}),
        )
    }

    /// 409: the name is taken.
    pub fn already_exists(of: Named<'_>) -> Self {
        Self::new(409, "AlreadyExists", format!("{} {:?} already exists", of.qualified(), of.name), of.details())
    }

    /// 409: the object is not what the writer believed.
    pub fn conflict(of: Named<'_>, why: &str) -> Self {
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {} {:?}: {why}", of.qualified(), of.name),
            of.details(),
        )
    }

    /// 409: the object was written since the writer read it.
    pub fn stale(of: Named<'_>) -> Self {
        Self::conflict(
            of,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409: server-side apply met fields that others own.
    pub fn apply_conflict(causes: &[(String, String)]) -> Self {
        let list = causes
            .iter()
            .map(|(field, words)| json!({"reason": "FieldManagerConflict", "message": words, "field": field}))
            .collect::<Vec<_>>();
        let words = causes.iter().map(|(field, words)| format!("{words}: {field}")).collect::<Vec<_>>();
        let count = causes.len();
        let plural = if count == 1 { "" } else { "s" };
        Self::new(
            409,
            "Conflict",
            format!("Apply failed with {count} conflict{plural}: {}", words.join("\n- ")),
            json!({"causes": list}),
        )
    }

    /// 422: fields are wrong. `of.what` is the kind.
    pub fn invalid(of: Named<'_>, causes: &[Cause]) -> Self {
        let words = match causes {
            [one] => one.words(),
            many => format!("[{}]", many.iter().map(Cause::words).collect::<Vec<_>>().join(", ")),
        };
        let mut details = of.details();
        details["causes"] = causes.iter().map(Cause::json).collect();
        Self::new(422, "Invalid", format!("{} {:?} is invalid: {words}", of.qualified(), of.name), details)
    }

    /// 422: a JSON Patch that does not fit the object.
    pub fn patch_failed(why: &str) -> Self {
        Self::new(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request".to_owned(),
            json!({"causes": [{"reason": "UnexpectedServerResponse", "message": why}]}),
        )
    }

    /// 403 on one object.
    pub fn forbidden(of: Named<'_>, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("{} {:?} is forbidden: {why}", of.qualified(), of.name), of.details())
    }

    /// 403: nothing new in a namespace that is being deleted.
    pub fn namespace_terminating(of: Named<'_>, namespace: &str) -> Self {
        let mut out = Self::forbidden(
            of,
            &format!("unable to create new content in namespace {namespace} because it is being terminated"),
        );
        out.details["causes"] = json!([{"reason": "NamespaceTerminating", "field": "metadata.namespace",
            "message": format!("namespace {namespace} is being terminated")}]);
        out
    }

    /// 410: the asked resource version is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message.into(), json!({}))
    }

    /// 504: the asked resource version lies in the future.
    pub fn too_large_version(asked: u64, current: u64) -> Self {
        Self::new(
            504,
            "Timeout",
            format!("Too large resource version: {asked}, current: {current}"),
            json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                   "retryAfterSeconds": 1}),
        )
    }

    /// 413: the body is larger than the API takes.
    pub fn too_large_body() -> Self {
        Self::new(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728".to_owned(), json!({}))
    }

    /// 415: a body of a type that this resource does not take.
    pub fn unsupported_media(accepted: &[&str]) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
            json!({}),
        )
    }

    /// 500: a fault of the server itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message.into(), json!({}))
    }
}
