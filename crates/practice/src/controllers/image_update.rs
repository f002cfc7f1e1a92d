//! What the platform's deploy task does to an ApplicationSet (edp-tekton,
//! `tasks/cd/deploy-applicationset-cli.yaml`): a jq program over the elements of one stage.

use serde_json::{Map, Value};

use super::object_fields::Fields;

/// Applies the payload of a deploy to the elements. As in the task's jq, `//` skips only null and
/// false: an empty digest clears the old one, an absent digest keeps it; `customValues` changes
/// only when it is a boolean.
pub(crate) fn update_elements(elements: &[Value], stage: &str, updates: &Map<String, Value>) -> Vec<Value> {
    elements
        .iter()
        .map(|element| {
            let mut element = element.clone();
            let update = match element.text("/stage") == stage {
                true => updates.get(element.text("/codebase")),
                false => None,
            };
            if let Some(update) = update {
                element["imageTag"] = update["imageTag"].clone();
                element["imageDigest"] = or_else(&update["imageDigest"])
                    .or_else(|| or_else(&element["imageDigest"]))
                    .unwrap_or_else(|| Value::String(String::new()));
                if let Value::Bool(on) = update["customValues"] {
                    element["customValues"] = Value::Bool(on);
                }
            }
            element
        })
        .collect()
}

fn or_else(value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        value => Some(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn follows_the_jq_program_case_by_case() {
        let old = json!({"stage": "dev", "codebase": "cart", "imageTag": "1", "imageDigest": "sha256:1", "customValues": true});
        for (case, update, tag, digest, custom) in [
            (
                "all given",
                json!({"imageTag": "2", "imageDigest": "sha256:2", "customValues": false}),
                json!("2"),
                json!("sha256:2"),
                json!(false),
            ),
            (
                "digest absent keeps the old one",
                json!({"imageTag": "2", "customValues": true}),
                json!("2"),
                json!("sha256:1"),
                json!(true),
            ),
            (
                "digest null keeps the old one",
                json!({"imageTag": "2", "imageDigest": null}),
                json!("2"),
                json!("sha256:1"),
                json!(true),
            ),
            ("empty digest wins", json!({"imageTag": "2", "imageDigest": ""}), json!("2"), json!(""), json!(true)),
            (
                "customValues absent keeps",
                json!({"imageTag": "2", "imageDigest": "sha256:2"}),
                json!("2"),
                json!("sha256:2"),
                json!(true),
            ),
            (
                "customValues as text keeps",
                json!({"imageTag": "2", "imageDigest": "", "customValues": "false"}),
                json!("2"),
                json!(""),
                json!(true),
            ),
            ("no tag writes null", json!({"imageDigest": ""}), json!(null), json!(""), json!(true)),
        ] {
            let updates = Map::from_iter([("cart".to_string(), update)]);
            let new = update_elements(std::slice::from_ref(&old), "dev", &updates);
            assert_eq!(new[0]["imageTag"], tag, "{case}");
            assert_eq!(new[0]["imageDigest"], digest, "{case}");
            assert_eq!(new[0]["customValues"], custom, "{case}");
        }
    }

    #[test]
    fn other_stages_and_applications_stay() {
        let elements = [
            json!({"stage": "qa", "codebase": "cart", "imageTag": "1"}),
            json!({"stage": "dev", "codebase": "checkout", "imageTag": "1"}),
        ];
        let updates = Map::from_iter([("cart".to_string(), json!({"imageTag": "2"}))]);
        assert_eq!(update_elements(&elements, "dev", &updates), elements);
    }

    #[test]
    fn an_element_without_a_digest_gets_an_empty_one() {
        let elements = [json!({"stage": "dev", "codebase": "cart"})];
        let updates = Map::from_iter([("cart".to_string(), json!({"imageTag": "2"}))]);
        assert_eq!(update_elements(&elements, "dev", &updates)[0]["imageDigest"], json!(""));
    }
}
