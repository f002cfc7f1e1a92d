//! What the user may not do, told before anything is begun.

use std::collections::BTreeSet;

use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, api::PostParams};
use pilothouse_cluster::{Kind, kinds};

use crate::{agent::Right, session::Live};

/// How many questions are asked at once.
const AT_ONCE: usize = 16;

/// A verb on a kind, in a namespace or everywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Act {
    verb: &'static str,
    kind: Kind,
    namespace: Option<String>,
}

impl Act {
    pub(super) fn new(verb: &'static str, kind: Kind, namespace: Option<&str>) -> Self {
        Self { verb, kind, namespace: namespace.map(str::to_owned) }
    }
}

/// Those of the acts that the user may not do. What cannot be told is found out by trying.
pub(super) async fn missing_acts(live: &Live, acts: BTreeSet<Act>) -> Vec<String> {
    let acts: Vec<Act> = acts.into_iter().collect();
    let mut missing = Vec::new();
    for some in acts.chunks(AT_ONCE) {
        let asked =
            join_all(some.iter().map(|act| live.cluster.access(act.verb, &act.kind, None, act.namespace.as_deref())));
        let refused = asked.await.into_iter().flatten().filter(|access| !access.allowed);
        missing.extend(refused.map(|access| access.who_can()));
    }
    missing
}

/// Whether the user may give rights in a namespace that they do not have themselves.
async fn may_give_any(live: &Live, namespace: &str) -> bool {
    for verb in ["escalate", "bind"] {
        if !live.cluster.can(verb, &kinds::ROLE, Some(namespace)).await.unwrap_or(false) {
            return false;
        }
    }
    true
}

/// Whether the user has a right, for all objects or for one by name. What cannot be told is found out by trying.
async fn has(live: &Live, right: &Right, verb: &str, name: Option<&String>) -> bool {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_owned())),
        None => (right.resource.as_str(), None),
    };
    let attributes = ResourceAttributes {
        group: Some(right.group.clone()),
        resource: Some(resource.to_owned()),
        subresource,
        name: name.cloned(),
        namespace: Some(right.namespace.clone()),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let api: Api<SelfSubjectAccessReview> = Api::all(live.cluster.client());
    let parameters = PostParams::default();
    let answer = live.cluster.in_time("asking what you may do", api.create(&parameters, &review)).await;
    answer.map_or(true, |answer| answer.status.is_some_and(|status| status.allowed))
}

/// Those of the rights that the user does not have and so cannot give: the API server lets nobody give more than they
/// have, unless they may `escalate`.
pub(super) async fn missing_rights(live: &Live, rights: &[Right]) -> Vec<String> {
    let namespaces: BTreeSet<&String> = rights.iter().map(|one| &one.namespace).collect();
    let mut free = BTreeSet::new();
    for namespace in namespaces {
        if may_give_any(live, namespace).await {
            free.insert(namespace);
        }
    }
    let mut questions = Vec::new();
    for right in rights.iter().filter(|one| !free.contains(&one.namespace)) {
        let names: Vec<Option<&String>> =
            if right.names.is_empty() { vec![None] } else { right.names.iter().map(Some).collect() };
        for verb in &right.verbs {
            questions.extend(names.iter().map(|name| (right, *verb, *name)));
        }
    }
    let mut found = BTreeSet::new();
    for some in questions.chunks(AT_ONCE) {
        let asked = join_all(some.iter().map(|(right, verb, name)| has(live, right, verb, *name))).await;
        let refused = some.iter().zip(asked).filter(|(_, has)| !has);
        found.extend(refused.map(|((right, verb, _), _)| {
            format!(
                "You lack the verb `{verb}` on `{}` in the namespace `{}`, so you cannot give it to the agent.",
                right.resource_name(),
                right.namespace
            )
        }));
    }
    found.into_iter().collect()
}
