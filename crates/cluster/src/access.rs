//! What the user may do.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use crate::connect::Cluster;
use crate::error::Result;
use crate::kinds::Kind;

/// One permission, asked for or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The verb: `create`.
    pub verb: String,
    /// The resource: `codebases.v2.edp.epam.com`.
    pub resource: String,
    /// The namespace; none for all of them, or for kinds outside namespaces.
    pub namespace: Option<String>,
    /// Whether the API server grants it.
    pub allowed: bool,
}

impl Access {
    /// Who could grant it, in a sentence.
    pub fn who_can(&self) -> String {
        who_can(&self.verb, &self.resource, self.namespace.as_deref())
    }
}

impl Cluster {
    /// Whether the user may do `verb` with `kind` in `namespace` (everywhere, if none is given). The API server says
    /// so itself (SelfSubjectAccessReview); nothing is remembered, for rights change.
    pub async fn can(&self, verb: &str, kind: &Kind, namespace: Option<&str>) -> Result<bool> {
        Ok(self.access(verb, kind, None, namespace).await?.allowed)
    }

    /// As [`Cluster::can`], for a subresource such as `status` if one is given, telling what was asked.
    pub async fn access(
        &self,
        verb: &str,
        kind: &Kind,
        subresource: Option<&str>,
        namespace: Option<&str>,
    ) -> Result<Access> {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(kind.group.to_owned()),
                    version: Some(kind.version.to_owned()),
                    resource: Some(kind.plural.to_owned()),
                    subresource: subresource.map(ToOwned::to_owned),
                    namespace: namespace.map(ToOwned::to_owned),
                    verb: Some(verb.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client());
        let answer = self.in_time("asking what you may do", api.create(&PostParams::default(), &review)).await?;
        Ok(Access {
            verb: verb.to_owned(),
            resource: kind.resource_name(),
            namespace: namespace.map(ToOwned::to_owned),
            allowed: answer.status.is_some_and(|status| status.allowed),
        })
    }
}

/// Who could grant a permission, in a sentence.
pub(crate) fn who_can(verb: &str, resource: &str, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!(
            "You lack the verb `{verb}` on `{resource}` in the namespace `{namespace}`. An administrator of that \
             namespace can grant it."
        ),
        None => format!(
            "You lack the verb `{verb}` on `{resource}`. A cluster administrator can grant it, or do this for you."
        ),
    }
}
