//! The images of a workload.

use std::collections::BTreeMap;

use serde_json::Value;

/// The image of each container and init container in the pod template. Container names are unique over both lists.
pub fn images_of(workload: &Value) -> BTreeMap<String, String> {
    let pod = workload.pointer("/spec/template/spec");
    let list = |key: &str| pod.and_then(|pod| pod.get(key)).and_then(Value::as_array).into_iter().flatten();
    list("initContainers")
        .chain(list("containers"))
        .filter_map(|one| Some((one.get("name")?.as_str()?.to_owned(), one.get("image")?.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn init_containers_count() {
        let workload = json!({"spec": {"template": {"spec": {
            "initContainers": [{"name": "i", "image": "a:1"}], "containers": [{"name": "c", "image": "b:1"}, {"name": "x"}]}}}});
        let images = images_of(&workload);
        assert_eq!(images.into_iter().collect::<Vec<_>>(), [("c".into(), "b:1".into()), ("i".into(), "a:1".into())]);
        assert!(images_of(&json!({})).is_empty());
    }
}
