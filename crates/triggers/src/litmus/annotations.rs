//! The annotations by which a workload names its experiment. They are on the workload itself, not on its pods.

use serde_json::Value;

/// Switches a workload on.
pub const GITOPS: &str = "litmuschaos.io/gitops";
/// Names the experiment, as Litmus 3 reads it.
pub const EXPERIMENT: &str = "litmuschaos.io/experimentId";
/// Names the experiment, as Litmus 2 reads it and part of the documentation still says.
pub const WORKFLOW: &str = "litmuschaos.io/workflow";

/// The experiment that a workload names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its id: the label `workflow_id` of the experiment.
    pub experiment: String,
    /// The annotation that names it.
    pub spelling: &'static str,
    /// The other annotation's id, where both are there and differ.
    pub conflicting: Option<String>,
}

/// The experiment that a workload names, if it is switched on. The newer spelling goes first.
pub fn named(workload: &Value) -> Option<Named> {
    let annotation = |key: &str| {
        let found = workload.pointer("/metadata/annotations").and_then(|all| all.get(key)).and_then(Value::as_str);
        found.filter(|text| !text.is_empty())
    };
    if annotation(GITOPS) != Some("true") {
        return None;
    }
    let (newer, older) = (annotation(EXPERIMENT), annotation(WORKFLOW));
    let (experiment, spelling) = newer.map(|id| (id, EXPERIMENT)).or(older.map(|id| (id, WORKFLOW)))?;
    let conflicting = newer.and(older).filter(|id| *id != experiment).map(str::to_owned);
    Some(Named { experiment: experiment.to_owned(), spelling, conflicting })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_spellings() {
        let with = |pairs: &[(&str, &str)]| {
            let map: serde_json::Map<_, _> = pairs.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
            named(&json!({"metadata": {"annotations": map}}))
        };
        let newer = with(&[(GITOPS, "true"), (EXPERIMENT, "a")]).unwrap();
        assert_eq!((newer.experiment.as_str(), newer.spelling, newer.conflicting), ("a", EXPERIMENT, None));
        let older = with(&[(GITOPS, "true"), (WORKFLOW, "b")]).unwrap();
        assert_eq!((older.experiment.as_str(), older.spelling), ("b", WORKFLOW));
        let both = with(&[(GITOPS, "true"), (WORKFLOW, "b"), (EXPERIMENT, "a")]).unwrap();
        assert_eq!((both.experiment.as_str(), both.conflicting.as_deref()), ("a", Some("b")));
        assert_eq!(with(&[(GITOPS, "false"), (EXPERIMENT, "a")]), None);
        assert_eq!(with(&[(EXPERIMENT, "a")]), None);
        assert_eq!(with(&[(GITOPS, "true"), (EXPERIMENT, "")]), None);
    }
}
