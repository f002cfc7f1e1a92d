//! What a deploy will do.

use pilothouse_cluster::Name;

use crate::environment::environment;
use crate::objects::Objects;
use crate::{Error, Result};

/// What to deploy: one choice for each application.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choices {
    /// The choices, in any order.
    pub applications: Vec<AppChoice>,
}

/// What to deploy of one application.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppChoice {
    /// The application.
    pub application: String,
    /// The tag; the portal's prefixes `latest::` and `stable::` are allowed.
    pub tag: String,
    /// Read the values file.
    pub values_override: bool,
    /// The very image wanted, of an earlier deploy; goes before what the image stream says of the tag now.
    pub digest: Option<String>,
}

impl AppChoice {
    /// The tag without the portal's prefix.
    pub fn plain_tag(&self) -> &str {
        let tag = self.tag.as_str();
        tag.strip_prefix("latest::").or_else(|| tag.strip_prefix("stable::")).unwrap_or(tag)
    }
}

/// A deploy that is complete and safe to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The flow.
    pub flow: String,
    /// The environment's name in the flow.
    pub environment: String,
    /// The cluster, which Tekton gets as `KUBECONFIG_SECRET_NAME`.
    pub cluster: String,
    /// The TriggerTemplate.
    pub template: String,
    /// All applications of the flow, in its order.
    pub applications: Vec<PlannedApp>,
}

/// One application of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedApp {
    /// The application.
    pub name: String,
    /// The tag.
    pub tag: String,
    /// Read the values file.
    pub values_override: bool,
    /// The digest; empty when it is not known. It is always sent, because the deploy task keeps the digest of the old
    /// image when it is not (edp-tekton, deploy-applicationset-cli).
    pub digest: String,
}

impl Plan {
    /// The value of `APPLICATIONS_PAYLOAD`.
    pub fn payload(&self) -> String {
        let map: serde_json::Map<String, serde_json::Value> = self
            .applications
            .iter()
            .map(|one| {
                let fields = serde_json::json!({
                    "imageTag": one.tag, "customValues": one.values_override, "imageDigest": one.digest,
                });
                (one.name.clone(), fields)
            })
            .collect();
        serde_json::Value::Object(map).to_string()
    }
}

/// Makes a plan of choices. Every application of the flow must have a tag, because a deploy always carries them all.
///
/// # Errors
/// An unknown flow or environment, a missing or unsafe tag, a choice for an application the flow does not have.
pub fn plan(objects: &Objects, flow: &str, environment_name: &str, choices: &Choices) -> Result<Plan> {
    let environment = environment(objects, flow, environment_name)?;
    check_names(flow, environment_name, &environment.cluster)?;
    if let Some(stranger) =
        choices.applications.iter().find(|one| environment.applications.iter().all(|app| app.name != one.application))
    {
        return Err(Error::Choice(format!("`{}` is not an application of the flow `{flow}`", stranger.application)));
    }
    let mut applications = Vec::new();
    for app in &environment.applications {
        Name::parse("application", &app.name)?;
        let choice = choices.applications.iter().find(|one| one.application == app.name);
        let choice = choice.filter(|one| !one.plain_tag().is_empty()).ok_or_else(|| {
            Error::Choice(format!("choose a tag for `{}`; a deploy carries every application of the flow", app.name))
        })?;
        let tag = choice.plain_tag();
        if !is_tag(tag) {
            return Err(Error::Choice(format!("`{}` is not an image tag", tag.escape_debug())));
        }
        let known = app.tags.find(tag).and_then(|tag| tag.digest.clone());
        // The image that runs now has a digest even when its tag has left the stream.
        let running = || app.digest.clone().filter(|_| app.version.as_deref() == Some(tag));
        let wanted = choice.digest.clone().filter(|digest| is_digest(digest));
        let digest = wanted.or(known).or_else(running).filter(|digest| is_digest(digest)).unwrap_or_default();
        applications.push(PlannedApp {
            name: app.name.clone(),
            tag: tag.to_owned(),
            values_override: choice.values_override,
            digest,
        });
    }
    if applications.is_empty() {
        return Err(Error::Choice(format!("the flow `{flow}` has no applications")));
    }
    Ok(Plan {
        flow: flow.to_owned(),
        environment: environment_name.to_owned(),
        cluster: environment.cluster,
        template: environment.trigger_template,
        applications,
    })
}

/// Refuses names that no object can have: they go into parameters, labels and scripts.
pub(super) fn check_names(flow: &str, environment: &str, cluster: &str) -> Result<()> {
    Name::parse("deployment flow", flow)?;
    Name::parse("environment", environment)?;
    // The cluster is the name of a Secret, which may hold dots.
    for part in cluster.split('.') {
        Name::parse("cluster", part)?;
    }
    Ok(())
}

/// The grammar of image tags (distribution/reference). It matters twice here: the task splices the payload into a
/// shell script between single quotes.
pub(crate) fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|ch: char| ch.is_ascii_alphanumeric() || ch == '_')
        && text.chars().all(|ch| ch.is_ascii_alphanumeric() || matches!(ch, '_' | '.' | '-'))
}

/// The grammar of digests.
pub(crate) fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty()
            && algorithm.chars().all(|ch| ch.is_ascii_alphanumeric() || matches!(ch, '+' | '.' | '_' | '-'))
            && (32..=256).contains(&hex.len())
            && hex.chars().all(|ch| ch.is_ascii_hexdigit())
    })
}
