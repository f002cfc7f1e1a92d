//! Discovery documents, and the server's version.

use serde_json::{Value, json};

use super::kinds::{KindDef, Registry};
use super::status_errors::Refusal;

/// The group of the access reviews, which are not stored.
pub const AUTHORIZATION: &str = "authorization.k8s.io";

/// `/version`.
pub fn version() -> Value {
    json!({
        "major": "1", "minor": "33", "gitVersion": "v1.33.0+practice", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// `/api`.
pub fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

fn group_versions(kinds: &Registry) -> Vec<(String, Vec<String>)> {
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    let own = kinds.all().iter().map(|k| (k.group.as_str(), k.version.as_str()));
    for (group, version) in own.chain([(AUTHORIZATION, "v1")]).filter(|(group, _)| !group.is_empty()) {
        match out.iter_mut().find(|(g, _)| g == group) {
            Some((_, versions)) if versions.iter().any(|v| v == version) => {}
            Some((_, versions)) => versions.push(version.to_owned()),
            None => out.push((group.to_owned(), vec![version.to_owned()])),
        }
    }
    for (_, versions) in &mut out {
        versions.sort_by_key(|v| std::cmp::Reverse(version_rank(v)));
    }
    out
}

/// Stable before beta before alpha, higher numbers first, as `k8s.io/apimachinery/pkg/version` orders them.
fn version_rank(version: &str) -> (u8, u32, u32) {
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    let split = |text: &str, word: &str| {
        let (major, minor) = text.split_once(word)?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    if let Ok(major) = rest.parse() {
        (3, major, 0)
    } else if let Some((major, minor)) = split(rest, "beta") {
        (2, major, minor)
    } else if let Some((major, minor)) = split(rest, "alpha") {
        (1, major, minor)
    } else {
        (0, 0, 0)
    }
}

fn group_body(group: &str, versions: &[String]) -> Value {
    let entry = |v: &String| json!({"groupVersion": format!("{group}/{v}"), "version": v});
    let list = versions.iter().map(entry).collect::<Vec<_>>();
    json!({"name": group, "versions": list, "preferredVersion": list.first()})
}

/// `/apis`.
pub fn groups(kinds: &Registry) -> Value {
    let list = group_versions(kinds).iter().map(|(group, versions)| group_body(group, versions)).collect::<Vec<_>>();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list})
}

/// `/apis/<group>`.
pub fn group(kinds: &Registry, name: &str) -> Result<Value, Refusal> {
    let found = group_versions(kinds).into_iter().find(|(group, _)| group == name);
    let (group, versions) = found.ok_or_else(Refusal::no_such_resource)?;
    let mut out = group_body(&group, &versions);
    out["kind"] = json!("APIGroup");
    out["apiVersion"] = json!("v1");
    Ok(out)
}

/// `/api/v1` and `/apis/<group>/<version>`.
pub fn resources(kinds: &Registry, group: &str, version: &str) -> Result<Value, Refusal> {
    let mut list = Vec::new();
    for kind in kinds.all().iter().filter(|k| k.group == group && k.version == version) {
        list.extend(resource(kind));
    }
    if group == AUTHORIZATION && version == "v1" {
        for (plural, kind) in [
            ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
            ("selfsubjectrulesreviews", "SelfSubjectRulesReview"),
        ] {
            list.push(
                json!({"name": plural, "singularName": "", "namespaced": false, "kind": kind, "verbs": ["create"]}),
            );
        }
    }
    if list.is_empty() {
        return Err(Refusal::no_such_resource());
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list}))
}

fn resource(kind: &KindDef) -> Vec<Value> {
    let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let mut own = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
        "verbs": verbs,
    });
    if !kind.short_names.is_empty() {
        own["shortNames"] = json!(kind.short_names);
    }
    let mut out = vec![own];
    if kind.status {
        out.push(json!({
            "name": format!("{}/status", kind.plural), "singularName": "", "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": ["get", "patch", "update"],
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_stand_in_the_order_of_preference() {
        let mut versions = ["v1alpha1", "v1", "v2beta1", "v2", "v1beta2", "odd"];
        versions.sort_by_key(|v| std::cmp::Reverse(version_rank(v)));
        assert_eq!(versions, ["v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "odd"]);
    }
}
