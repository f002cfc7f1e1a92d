//! Deploys that Argo CD remembers of an Application, and what going back to one of them changes.

use kube::api::{DynamicObject, ObjectMeta};
use serde_json::{Value, json};

use super::convention::{Place, place};
use super::views::version;
use crate::objects::Application;

/// A deploy that Argo CD remembers (`status.history`), as far as it can be gone back to.
#[derive(Debug, Clone, PartialEq)]
pub struct PastDeploy {
    /// Argo CD's number of it.
    pub id: u32,
    /// When it ended, RFC 3339.
    pub time: Option<String>,
    /// Who asked for it; none where Argo CD did so by itself.
    pub by: Option<String>,
    /// The image's tag, else the chart's version or revision.
    pub version: String,
    /// The chart's version or revision, as it was asked for.
    pub revision: String,
    /// The chart's commit or version that this was found to be.
    pub resolved: Option<String>,
    /// The commit of the values repository.
    pub values: Option<String>,
    /// The chart's source of then; none where it was another place's.
    pub source: Option<Value>,
}

/// The deploys of the application at a place, newest first.
pub fn past_deploys(object: &DynamicObject, at: &Place) -> Vec<PastDeploy> {
    let history = object.data["status"]["history"].as_array();
    history.into_iter().flatten().rev().filter_map(|entry| read(entry, at)).collect()
}

fn read(entry: &Value, at: &Place) -> Option<PastDeploy> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let sources = &entry["sources"];
    let data = json!({ "spec": { "sources": sources } });
    let then = Application::read(&DynamicObject { types: None, metadata: ObjectMeta::default(), data });
    let same = |found: &Place| {
        (&found.flow, &found.environment, &found.application) == (&at.flow, &at.environment, &at.application)
    };
    let found = place(&then).filter(same);
    let of = |number: Option<usize>| number.and_then(|number| text(&entry["revisions"][number]));
    let chart = found.as_ref().map(|found| found.chart);
    Some(PastDeploy {
        id: u32::try_from(entry["id"].as_u64()?).ok()?,
        time: text(&entry["deployedAt"]),
        by: text(&entry["initiatedBy"]["username"]),
        version: version(&then, chart.unwrap_or_default()),
        revision: then
            .sources
            .get(chart.unwrap_or_default())
            .map(|one| one.target_revision.clone())
            .unwrap_or_default(),
        resolved: of(chart),
        values: of(found.as_ref().map(|found| found.values)),
        source: chart.and_then(|chart| sources.get(chart).cloned()),
    })
}

/// The chart's source that deploys what a past deploy did, and whether it had to be pinned: a branch, or a range of
/// versions, leads elsewhere by now, so that what it led to then is named instead.
pub fn source_of(past: &PastDeploy, all: &[PastDeploy]) -> Option<(Value, bool)> {
    let mut source = past.source.clone().filter(Value::is_object)?;
    let moved = |one: &PastDeploy| {
        let chart = |source: &Option<Value>| source.as_ref().map(|one| (one["repoURL"].clone(), one["chart"].clone()));
        one.revision == past.revision && one.resolved != past.resolved && chart(&one.source) == chart(&past.source)
    };
    let resolved = past.resolved.as_ref().filter(|resolved| **resolved != past.revision && all.iter().any(moved));
    if let Some(resolved) = resolved {
        source["targetRevision"] = json!(resolved);
    }
    Some((source, resolved.is_some()))
}

#[cfg(test)]
mod tests {
    use super::super::form::{render, tests::form};
    use super::*;

    fn entry(id: u32, revision: &str, resolved: &str, tag: &str) -> Value {
        let mut sources = render(&form())["spec"]["sources"].clone();
        sources[0]["targetRevision"] = json!(revision);
        sources[0]["helm"]["parameters"] = json!([{ "name": "image.tag", "value": tag }]);
        json!({ "id": id, "deployedAt": "2026-01-01T10:00:00Z", "sources": sources, "revisions": [resolved, "v1"] })
    }

    fn read_all(history: Value) -> Vec<PastDeploy> {
        let mut object: DynamicObject = serde_json::from_value(render(&form())).unwrap();
        let at = place(&Application::read(&object)).unwrap();
        object.data["status"] = json!({ "history": history });
        past_deploys(&object, &at)
    }

    #[test]
    fn the_newest_comes_first_with_what_was_deployed() {
        let all = read_all(json!([entry(3, "build/1", "aaa", "1"), entry(4, "build/2", "bbb", "2")]));
        assert_eq!(all.iter().map(|one| (one.id, one.version.as_str())).collect::<Vec<_>>(), [(4, "2"), (3, "1")]);
        assert_eq!((all[1].resolved.as_deref(), all[1].values.as_deref()), (Some("aaa"), Some("v1")));
        let (source, pinned) = source_of(&all[1], &all).unwrap();
        assert!(!pinned && source["targetRevision"] == "build/1" && source["helm"]["parameters"][0]["value"] == "1");
    }

    #[test]
    fn a_branch_that_moved_is_pinned_to_what_it_was() {
        let all = read_all(json!([entry(0, "main", "aaa", "1"), entry(1, "main", "bbb", "1")]));
        let (source, pinned) = source_of(&all[1], &all).unwrap();
        assert!(pinned && source["targetRevision"] == "aaa", "{source}");
    }

    #[test]
    fn odd_entries_and_other_places_are_not_gone_back_to() {
        let mut other = entry(1, "build/1", "aaa", "1");
        other["sources"][0]["helm"]["valueFiles"] = json!(["$values/shop/qa/cart-values.yaml"]);
        let all = read_all(json!([{ "id": "x" }, 7, { "id": 0, "source": { "repoURL": "x" } }, other]));
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all.iter().all(|one| source_of(one, &all).is_none()), "{all:?}");
    }
}
