//! Secrets are compared without being shown.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What stands in the place of a Secret's values. Within one comparison equal values get the same words, whether they
/// are written as base64 or in clear, so that a changed value is seen to have changed.
#[derive(Default)]
pub struct Mask {
    seen: HashMap<Vec<u8>, usize>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").field("hidden", &self.seen.len()).finish()
    }
}

/// Annotations that repeat the whole object, values and all.
const REPEATING: &[&str] = &["kubectl.kubernetes.io/last-applied-configuration"];
/// Annotations of a Secret that are shown: what they say is for Argo CD and for Helm. Any other may repeat the Secret,
/// as those of many tools do.
const SHOWN: &[&str] = &["argocd.argoproj.io/", "helm.sh/"];

impl Mask {
    /// The words for a value.
    fn words(&mut self, value: &[u8]) -> String {
        let next = self.seen.len() + 1;
        let number = *self.seen.entry(value.to_vec()).or_insert(next);
        format!("<hidden {number}>")
    }

    /// The object with what is secret in it hidden. Of a Secret that is everything but its kind, its type
    /// and its metadata, and of these the annotations that are not for Argo CD or Helm.
    pub fn hide(&mut self, object: &Value) -> Value {
        let mut object = object.clone();
        if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| !REPEATING.contains(&name.as_str()));
        }
        if is_secret(&object)
            && let Some(fields) = object.as_object_mut()
        {
            match fields.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations")) {
                Some(Value::Object(notes)) => {
                    let hidden = |name: &str| !SHOWN.iter().any(|shown| name.starts_with(shown));
                    let values = notes.iter_mut().filter(|(name, _)| hidden(name)).map(|(_, value)| value);
                    values.for_each(|value| self.hide_leaves(value, false));
                }
                Some(other) => self.hide_leaves(other, false),
                None => {}
            }
            for (key, value) in fields.iter_mut() {
                if !["apiVersion", "kind", "metadata", "type", "immutable"].contains(&key.as_str()) {
                    self.hide_leaves(value, key == "data");
                }
            }
        }
        object
    }

    fn hide_leaves(&mut self, value: &mut Value, encoded: bool) {
        match value {
            Value::Null => {}
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_leaves(item, encoded)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.hide_leaves(field, encoded)),
            scalar => {
                let text = scalar.as_str().map_or_else(|| scalar.to_string(), str::to_owned);
                let packed: String = text.split_whitespace().collect();
                let plain = STANDARD.decode(&packed).ok().filter(|_| encoded).unwrap_or_else(|| text.into_bytes());
                *scalar = Value::String(self.words(&plain));
            }
        }
    }
}

/// Whether an object is a Secret.
pub(super) fn is_secret(object: &Value) -> bool {
    object["kind"].as_str() == Some("Secret")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_values_look_equal_and_nothing_is_shown() {
        let mut mask = Mask::default();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque",
            "data": {"a": "aHVudGVyMg==", "b": "aHVudGVy\nMg==", "n": 7, "bad": "hunter2!", "deep": {"x": ["hunter3"]}},
            "stringData": {"c": "hunter2"}, "spare": "hunter4"});
        let hidden = mask.hide(&secret);
        assert_eq!(hidden["data"]["a"], "<hidden 1>");
        assert_eq!((&hidden["data"]["b"], &hidden["stringData"]["c"]), (&hidden["data"]["a"], &hidden["data"]["a"]));
        assert_ne!(hidden["data"]["n"], json!(7));
        assert_eq!((&hidden["type"], &hidden["metadata"]["name"]), (&json!("Opaque"), &json!("s")));
        let text = format!("{hidden} {mask:?}");
        assert!(!text.contains("hunter") && !text.contains("aHVu"), "{text}");
        let changed = mask.hide(&json!({"kind": "Secret", "data": {"a": "aHVudGVyMw=="}}));
        assert_ne!(changed["data"]["a"], hidden["data"]["a"]);
    }

    #[test]
    fn what_was_applied_last_is_no_way_around() {
        let note = r#"{"data": {"a": "hunter2"}}"#;
        let live = json!({"kind": "Secret", "metadata": {"annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": note, "kapp.k14s.io/original": note,
            "objectset.rio.cattle.io/applied": "H4sIhunter2", "helm.sh/hook": "pre-install",
            "argocd.argoproj.io/sync-wave": "1"}}});
        let hidden = Mask::default().hide(&live);
        assert_eq!(
            hidden["metadata"]["annotations"],
            json!({"kapp.k14s.io/original": "<hidden 1>", "objectset.rio.cattle.io/applied": "<hidden 2>",
                "helm.sh/hook": "pre-install", "argocd.argoproj.io/sync-wave": "1"})
        );
        let odd = Mask::default().hide(&json!({"kind": "Secret", "metadata": {"annotations": ["hunter2"]}}));
        assert!(!odd.to_string().contains("hunter2"));
    }

    #[test]
    fn other_kinds_are_shown() {
        let map = json!({"kind": "ConfigMap", "data": {"a": "b"}});
        assert_eq!(Mask::default().hide(&map), map);
    }
}
