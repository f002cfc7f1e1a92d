//! Which of the agent's rights are missing, by the API server's own word.

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, api::PostParams};
use pilothouse_cluster::Cluster;

use super::rights::{Right, rights};
use crate::{App, Result, agent::Needs};

/// How many questions are open at once.
const AT_ONCE: usize = 16;

/// A right that is missing, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The right.
    pub right: Right,
    /// Those of its verbs that are not granted.
    pub verbs: Vec<&'static str>,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lacks = Right { verbs: self.verbs.clone(), ..self.right.clone() };
        write!(f, "{}: {}", lacks.words(), self.right.why)
    }
}

/// Whether the API server grants one verb on one of the objects that a right reaches.
async fn granted(cluster: &Cluster, right: &Right, verb: &str, name: Option<&str>) -> Result<bool> {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (right.resource.as_str(), None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(right.group.clone()),
                resource: Some(resource.to_owned()),
                subresource,
                name: name.map(str::to_owned),
                namespace: Some(right.namespace.clone()),
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client());
    let answer = cluster.in_time("asking for the rights", api.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Those of these rights that whoever is connected does not have, in their order.
///
/// # Errors
/// When the API server does not answer.
pub async fn missing(cluster: &Cluster, rights: &[Right]) -> Result<Vec<Missing>> {
    let asked = stream::iter(rights.iter().cloned().map(|right| async move {
        let mut lacks = Vec::new();
        for verb in &right.verbs {
            let names: Vec<Option<&str>> = match right.names.as_slice() {
                [] => vec![None],
                names => names.iter().map(|name| Some(name.as_str())).collect(),
            };
            for name in names {
                if !granted(cluster, &right, verb, name).await? {
                    lacks.push(*verb);
                    break;
                }
            }
        }
        Ok((!lacks.is_empty()).then_some(Missing { right: right.clone(), verbs: lacks }))
    }));
    let answers: Vec<Result<Option<Missing>>> = asked.buffered(AT_ONCE).collect().await;
    answers.into_iter().filter_map(Result::transpose).collect()
}

impl App {
    /// Those of the rights that follow from these needs that whoever is connected does not have.
    ///
    /// # Errors
    /// `app.notConnected`; when the API server does not answer.
    pub async fn missing_rights(&self, needs: &Needs) -> Result<Vec<Missing>> {
        missing(&self.live()?.cluster, &rights(needs)).await
    }
}
