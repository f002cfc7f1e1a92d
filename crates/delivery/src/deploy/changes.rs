//! What a deploy changes, application by application.

use super::plan::Plan;
use crate::Result;
use crate::environment::environment;
use crate::objects::Objects;

/// What a deploy changes of one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppChange {
    /// The application.
    pub application: String,
    /// The tag now; none when it was never deployed.
    pub version: Option<String>,
    /// The tag then.
    pub next_version: String,
    /// The digest now.
    pub digest: Option<String>,
    /// The digest then; none when it is not known and so sent empty.
    pub next_digest: Option<String>,
    /// Whether the values file is read now.
    pub values_override: bool,
    /// Whether it is read then.
    pub next_override: bool,
}

impl AppChange {
    /// Whether anything but the values file's own content is other than now.
    pub fn is_change(&self) -> bool {
        self.version.as_deref() != Some(&self.next_version)
            || self.values_override != self.next_override
            || self.digest != self.next_digest
    }
}

/// What a plan changes, application by application in the flow's order.
///
/// # Errors
/// An unknown flow or environment.
pub fn app_changes(objects: &Objects, plan: &Plan) -> Result<Vec<AppChange>> {
    let environment = environment(objects, &plan.flow, &plan.environment)?;
    let now = |name: &str| environment.applications.iter().find(|app| app.name == name);
    Ok(plan
        .applications
        .iter()
        .filter_map(|planned| {
            let now = now(&planned.name)?;
            Some(AppChange {
                application: planned.name.clone(),
                version: now.version.clone(),
                next_version: planned.tag.clone(),
                digest: now.digest.clone(),
                next_digest: Some(planned.digest.clone()).filter(|digest| !digest.is_empty()),
                values_override: now.values_override.live,
                next_override: planned.values_override,
            })
        })
        .collect())
}

/// The same in words, with what is true of the environment as a whole.
///
/// # Errors
/// As [`app_changes`].
pub fn changes(objects: &Objects, plan: &Plan) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for one in app_changes(objects, plan)? {
        let (name, tag) = (&one.application, &one.next_version);
        words.push(match &one.version {
            None => format!("{name}: first deploy, {tag}"),
            Some(version) if version == tag && one.digest.is_some() && one.next_digest != one.digest => {
                format!("{name}: {tag} again, another image under the same tag")
            }
            Some(version) if version == tag => format!("{name}: {tag} again"),
            Some(version) => format!("{name}: {version} → {tag}"),
        });
        let file = format!("{}/{}/{name}-values.yaml", plan.flow, plan.environment);
        match (one.values_override, one.next_override) {
            (false, true) => words.push(format!("{name}: begins to read {file}")),
            (true, false) => words.push(format!("{name}: goes back to the chart's defaults; {file} stays in Git")),
            (true, true) => words.push(format!("{name}: reads {file} as it is in Git now")),
            (false, false) => {}
        }
    }
    words.push(format!(
        "All applications of {} in {} are synced; what is no longer in Git is removed from the cluster",
        plan.flow, plan.environment
    ));
    Ok(words)
}
