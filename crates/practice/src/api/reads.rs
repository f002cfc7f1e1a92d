//! Get and list, with paging over one consistent resource version.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::kinds::KindDef;
use super::selectors::Selection;
use super::status_errors::Refusal;
use super::store::{Key, State};
use super::writes::as_version;

/// What a list request asks for.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Selectors.
    pub selection: Selection,
    /// Page size, 0 for all.
    pub limit: usize,
    /// Token of the page before.
    pub continue_token: String,
    /// Asked resource version, empty for the newest.
    pub version: String,
    /// Whether exactly that version is asked for.
    pub exact: bool,
}

/// One object.
pub fn get(state: &State, kind: &KindDef, key: &Key) -> Result<Value, Refusal> {
    let object = state.get(key).ok_or_else(|| Refusal::not_found(kind.resource(&key.name)))?;
    Ok(as_version(kind, &object))
}

/// An object as it stands in a list: those of built-in kinds leave out what the list says.
pub fn list_item(kind: &KindDef, object: &Value) -> Value {
    let mut out = as_version(kind, object);
    if kind.builtin.is_some()
        && let Some(map) = out.as_object_mut()
    {
        map.shift_remove("apiVersion");
        map.shift_remove("kind");
    }
    out
}

/// Reads a resource version from a query; `None` for any.
pub fn parse_version(text: &str) -> Result<Option<u64>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse::<u64>()
        .map(Some)
        .map_err(|_| Refusal::bad_request(format!("Invalid value: {text:?}: resource version is not a number")))
}

/// A page of objects.
pub fn list(state: &State, kind: &KindDef, namespace: Option<&str>, options: &ListOptions) -> Result<Value, Refusal> {
    let mut version = state.version();
    let mut after = None;
    if !options.continue_token.is_empty() {
        if !options.version.is_empty() && options.version != "0" {
            return Err(Refusal::bad_request("specifying resource version is not allowed when using continue"));
        }
        let (token_version, start) = read_token(&options.continue_token)
            .ok_or_else(|| Refusal::bad_request("continue key is not valid: the token cannot be read"))?;
        version = token_version;
        after = Some(start);
    } else if let Some(asked) = parse_version(&options.version)? {
        if asked > version {
            return Err(Refusal::too_large_version(asked, version));
        }
        if options.exact {
            version = asked;
        }
    }
    let all = state.scan_at(version, kind, namespace).map_err(|refusal| {
        let words = "The provided continue parameter is too old to display a consistent list result. You can start a \
            new list without the continue parameter.";
        if after.is_some() { Refusal::expired(words) } else { refusal }
    })?;
    let position = |key: &Key| (key.namespace.clone(), key.name.clone());
    let mut rest = all
        .iter()
        .filter(|(key, _)| after.as_ref().is_none_or(|after| position(key) > *after))
        .filter(|(_, object)| options.selection.matches(object));
    let mut items = Vec::new();
    let mut last = None;
    while options.limit == 0 || items.len() < options.limit {
        let Some((key, object)) = rest.next() else { break };
        items.push(list_item(kind, object));
        last = Some(position(key));
    }
    let remaining = rest.count();
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if remaining > 0
        && let Some(last) = last
    {
        metadata["continue"] = json!(write_token(version, &last));
        if options.selection.is_everything() {
            metadata["remainingItemCount"] = json!(remaining);
        }
    }
    Ok(json!({"kind": kind.list_kind, "apiVersion": kind.api_version(), "metadata": metadata, "items": items}))
}

fn write_token(version: u64, last: &(String, String)) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": version, "after": [last.0, last.1]});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn read_token(token: &str) -> Option<(u64, (String, String))> {
    let token = serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some((token["rv"].as_u64()?, (text(&token["after"][0])?, text(&token["after"][1])?)))
}
